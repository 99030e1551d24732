//! Time zones: offsets at instants, and instants of local times.
//!
//! Rules come from jiff, which reads the system's database or its own copy. jiff ends at year
//! 9999; later times use the rules of the same place in the 400-year cycle of the calendar.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset};

use super::{DAY, EPOCH_UNIX_SECONDS, SECOND};

/// Microseconds of the calendar's cycle, 400 years.
const CYCLE: i64 = 146_097 * DAY;
/// From here on (year 9600) times are moved back by whole cycles.
const FAR: i64 = 19 * CYCLE;
/// Largest offset in hours that a zone written as a number may have.
const HOURS_MAX: i32 = 167;

/// Changes of a zone's offset looked through for an abbreviation, each way.
const TRANSITIONS_MAX: usize = 400;

/// A time zone and the name it was asked for by.
#[derive(Clone)]
pub struct TimeZone {
    name: Arc<str>,
    rules: Rules,
}

#[derive(Clone)]
enum Rules {
    /// Seconds east of UTC, and the abbreviation shown.
    Fixed(i32, Arc<str>),
    Database(jiff::tz::TimeZone),
}

impl TimeZone {
    /// UTC.
    pub fn utc() -> TimeZone {
        TimeZone { name: "UTC".into(), rules: Rules::Fixed(0, "UTC".into()) }
    }

    /// A zone of a constant offset, in seconds east of UTC; named as `SET TIME ZONE` with a number
    /// names it (`<+05:30>-05:30`).
    pub fn fixed(offset: i32) -> TimeZone {
        let text = |seconds: i32, out: &mut String| {
            out.push(if seconds < 0 { '-' } else { '+' });
            let s = seconds.abs();
            out.push_str(&format!("{:02}", s / 3600));
            if s % 3600 != 0 {
                out.push_str(&format!(":{:02}", s / 60 % 60));
            }
            if s % 60 != 0 {
                out.push_str(&format!(":{:02}", s % 60));
            }
        };
        let mut shown = String::new();
        text(offset, &mut shown);
        let mut name = format!("<{shown}>");
        // POSIX counts west.
        text(-offset, &mut name);
        TimeZone { name: name.into(), rules: Rules::Fixed(offset, shown.into()) }
    }

    /// The zone of this name: of the database (any case) or a POSIX rule (`EST5EDT`,
    /// `<+03>-03`). None if there is none. Abbreviations and numbers are not names.
    pub fn named(name: &str) -> Option<TimeZone> {
        if name.eq_ignore_ascii_case("UTC") {
            return Some(TimeZone::utc());
        }
        if let Ok(zone) = jiff::tz::db().get(name)
            && !name.is_empty()
        {
            let canonical = zone.iana_name().unwrap_or(name).to_owned();
            return Some(TimeZone { name: canonical.into(), rules: Rules::Database(zone) });
        }
        if let Some(west) = posix_number(name) {
            return Some(TimeZone { name: name.into(), rules: Rules::Fixed(-west, "".into()) });
        }
        let is_rule = name.contains(|c: char| c.is_ascii_digit())
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '<');
        let zone = is_rule.then(|| jiff::tz::TimeZone::posix(name).ok()).flatten()?;
        Some(TimeZone { name: name.into(), rules: Rules::Database(zone) })
    }

    /// The zone that a value of the setting `TimeZone` means: a name, or hours east of UTC.
    pub fn from_setting(value: &str) -> Option<TimeZone> {
        let value = value.trim();
        if let Ok(hours) = value.parse::<f64>() {
            let seconds = (hours * 3600.0).round();
            let valid = seconds.abs() <= f64::from(HOURS_MAX * 3600);
            return valid.then(|| TimeZone::fixed(seconds as i32));
        }
        TimeZone::named(value)
    }

    /// Its name, as `SHOW TimeZone` tells.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives `f` what holds at an instant (microseconds since 2000-01-01 UTC): offset east of UTC
    /// in seconds, abbreviation, whether it is summer time.
    pub fn at<R>(&self, t: i64, f: impl FnOnce(i32, &str, bool) -> R) -> R {
        match &self.rules {
            Rules::Fixed(offset, abbreviation) => f(*offset, abbreviation, false),
            Rules::Database(zone) => {
                let near = near(t).0;
                let seconds = near.div_euclid(SECOND) + EPOCH_UNIX_SECONDS;
                let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
                let info = zone.to_offset_info(at);
                f(info.offset().seconds(), info.abbreviation(), info.dst().is_dst())
            }
        }
    }

    /// Offset east of UTC, in seconds, at an instant.
    pub fn offset_at(&self, t: i64) -> i32 {
        match &self.rules {
            Rules::Fixed(offset, _) => *offset,
            Rules::Database(_) => self.at(t, |offset, _, _| offset),
        }
    }

    /// Offset east of UTC, in seconds, that a local time has. A time skipped has the offset before
    /// the change, one that comes twice the offset after it.
    pub fn offset_of_local(&self, local: i64) -> i32 {
        let zone = match &self.rules {
            Rules::Fixed(offset, _) => return *offset,
            Rules::Database(zone) => zone,
        };
        let seconds = near(local).0.div_euclid(SECOND) + EPOCH_UNIX_SECONDS;
        let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        // The local time as the civil time that UTC shows then.
        let civil = Offset::UTC.to_datetime(at);
        match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.seconds(),
            AmbiguousOffset::Gap { before, .. } => before.seconds(),
            AmbiguousOffset::Fold { after, .. } => after.seconds(),
        }
    }

    /// The offset, if it is the same at all times.
    pub fn fixed_offset(&self) -> Option<i32> {
        match &self.rules {
            Rules::Fixed(offset, _) => Some(*offset),
            Rules::Database(zone) => zone.to_fixed_offset().ok().map(Offset::seconds),
        }
    }

    /// Offset, in seconds east of UTC, that this zone calls by an abbreviation (lower case) at a
    /// local time: what it means then, or meant last before, or first after.
    pub fn offset_of_abbreviation(&self, name: &str, local: i64) -> i32 {
        let own = self.offset_of_local(local);
        let Rules::Database(zone) = &self.rules else { return own };
        let t = near(local - i64::from(own) * SECOND).0;
        let called = |abbreviation: &str| abbreviation.eq_ignore_ascii_case(name);
        if self.at(t, |_, abbreviation, _| called(abbreviation)) {
            return own;
        }
        let seconds = t.div_euclid(SECOND) + EPOCH_UNIX_SECONDS;
        let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let before = zone.preceding(at).take(TRANSITIONS_MAX);
        let after = zone.following(at).take(TRANSITIONS_MAX);
        let mut all = before.chain(after);
        all.find(|t| called(t.abbreviation())).map_or(own, |t| t.offset().seconds())
    }

    /// The instant of a local time; none where that overflows.
    pub fn to_utc(&self, local: i64) -> Option<i64> {
        local.checked_sub(i64::from(self.offset_of_local(local)) * SECOND)
    }

    /// The local time at an instant; none where that overflows.
    pub fn to_local(&self, t: i64) -> Option<i64> {
        t.checked_add(i64::from(self.offset_at(t)) * SECOND)
    }
}

/// A zone written as a number alone is a POSIX rule too: hours, minutes and seconds *west*.
fn posix_number(name: &str) -> Option<i32> {
    let digits = name.strip_prefix(['+', '-']).unwrap_or(name);
    let mut parts = digits.split(':').map(|part| {
        let valid = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        valid.then(|| part.parse::<i32>().ok()).flatten()
    });
    let mut seconds = 0;
    for (unit, most) in [(3600, HOURS_MAX), (60, 59), (1, 59)] {
        match parts.next() {
            Some(part) => seconds += part.filter(|n| *n <= most)? * unit,
            None => break,
        }
    }
    if parts.next().is_some() {
        return None;
    }
    Some(if name.starts_with('-') { -seconds } else { seconds })
}

/// The time moved by whole cycles to where jiff reaches, and the microseconds it was moved by.
fn near(t: i64) -> (i64, i64) {
    if t < FAR {
        return (t, 0);
    }
    let moved = (t - FAR).div_euclid(CYCLE) * CYCLE + CYCLE;
    (t - moved, moved)
}

impl Default for TimeZone {
    fn default() -> TimeZone {
        TimeZone::utc()
    }
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &TimeZone) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}
