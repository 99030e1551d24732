//! Dates, times and intervals written by a picture.

use super::dates::{Case, Field, Pattern};
use super::{FILL, LOCAL, Node, ORDINAL_LOWER, ORDINAL_UPPER, is_space, ordinal};
use crate::error::{Error, Result, SqlState};
use crate::types::Interval;
use crate::types::datetime::{self, HOUR, MINUTE, SECOND, civil_and_clock, split_timestamp};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const MONTHS_SHORT: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const DAYS_SHORT: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
/// From December back to January, as they are searched.
pub(super) const ROMAN_MONTHS: [&str; 12] =
    ["xii", "xi", "x", "ix", "viii", "vii", "vi", "v", "iv", "iii", "ii", "i"];
/// The width of full names: that of the longest.
const NAME_WIDTH: usize = 9;
/// The width of a Roman month.
const ROMAN_WIDTH: usize = 4;
/// From the Julian day 0 to 2000-01-01.
pub(super) const JULIAN_EPOCH: i32 = 2_451_545;

/// What is written, field by field.
pub(super) struct Moment {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    /// Days since 2000, of what has a date.
    days: Option<i32>,
    /// Seconds east of Greenwich, and the zone's abbreviation.
    zone: Option<(i32, String)>,
}

impl Moment {
    /// Of a local time; the zone is that of a timestamptz.
    pub fn of_timestamp(local: i64, zone: Option<(i32, String)>) -> Moment {
        let (civil, clock) = civil_and_clock(local);
        Moment {
            year: civil.year.into(),
            month: civil.month.into(),
            day: civil.day.into(),
            hour: clock.hour.into(),
            minute: clock.minute.into(),
            second: clock.second.into(),
            micros: clock.micros.into(),
            days: Some(split_timestamp(local).0),
            zone,
        }
    }

    /// Of an interval: fields may be negative.
    pub fn of_interval(interval: &Interval) -> Moment {
        Moment {
            year: (interval.months / 12).into(),
            month: (interval.months % 12).into(),
            day: interval.days.into(),
            hour: interval.micros / HOUR,
            minute: interval.micros % HOUR / MINUTE,
            second: interval.micros % MINUTE / SECOND,
            micros: interval.micros % SECOND,
            days: None,
            zone: None,
        }
    }

    /// Days since 2000. 22007 of an interval, which has no date.
    fn date(&self) -> Result<i32> {
        self.days.ok_or_else(|| {
            let message = "invalid format specification for an interval value";
            Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
                .with_hint("Intervals are not tied to specific calendar dates.")
        })
    }

    /// The year as people count it: there is no year 0.
    fn shown_year(&self, year: i64) -> i64 {
        if self.days.is_some() && year <= 0 { 1 - year } else { year }
    }

    fn day_of_year(&self) -> i64 {
        match self.days {
            Some(days) => datetime::day_of_year(days).into(),
            None => (self.year * 12 + self.month) * 30 + self.day,
        }
    }

    /// Days since 2000; those of an interval's fields read as a date.
    fn any_date(&self) -> i32 {
        let read = || {
            datetime::days_from_civil(self.year as i32, self.month as i32, self.day as i32) as i32
        };
        self.days.unwrap_or_else(read)
    }

    fn iso_year(&self) -> i64 {
        datetime::iso_week(self.any_date()).0.into()
    }
}

/// Writes a moment by a picture.
pub(super) fn write(nodes: &[Node<Pattern>], moment: &Moment) -> Result<String> {
    let mut out = String::new();
    for node in nodes {
        match node {
            Node::Pattern(pattern, modifiers) => {
                write_field(pattern, *modifiers, moment, &mut out)?;
            }
            Node::Space(c) | Node::Separator(c) | Node::Text(c) => out.push(*c),
        }
    }
    Ok(out)
}

/// Digits at least as wide as asked, one more for a sign.
fn number(value: i64, width: usize, modifiers: u8, out: &mut String) -> Result<()> {
    let width = match value {
        _ if modifiers & FILL != 0 => 0,
        0.. => width,
        _ => width + 1,
    };
    let text = format!("{value:0width$}");
    out.push_str(&text);
    if modifiers & (ORDINAL_UPPER | ORDINAL_LOWER) != 0 {
        out.push_str(ordinal(&text, modifiers)?);
    }
    Ok(())
}

/// A word in its case, with blanks up to its width unless they are not wanted.
fn word(word: &str, case: Case, width: usize, modifiers: u8, out: &mut String) {
    let word = match case {
        Case::Upper => word.to_ascii_uppercase(),
        Case::Capital => word.to_owned(),
        Case::Lower => word.to_ascii_lowercase(),
    };
    let width = if modifiers & (FILL | LOCAL) != 0 { 0 } else { width };
    out.push_str(&format!("{word:width$}"));
}

#[expect(clippy::too_many_lines, reason = "one arm for each pattern")]
fn write_field(pattern: &Pattern, modifiers: u8, m: &Moment, out: &mut String) -> Result<()> {
    let case = pattern.case;
    match pattern.field {
        Field::Meridiem { dots } => {
            let late = m.hour % 24 >= 12;
            let text = match (dots, late) {
                (true, true) => "p.m.",
                (true, false) => "a.m.",
                (false, true) => "pm",
                (false, false) => "am",
            };
            word(text, case, 0, modifiers, out);
        }
        Field::Era { dots } => {
            m.date()?;
            let text = match (dots, m.year <= 0) {
                (true, true) => "b.c.",
                (true, false) => "a.d.",
                (false, true) => "bc",
                (false, false) => "ad",
            };
            word(text, case, 0, modifiers, out);
        }
        Field::Hour12 => {
            let hour = if m.hour % 12 == 0 { 12 } else { m.hour % 12 };
            let width = if m.hour >= 0 || hour < 0 { 2 } else { 3 };
            number(hour, width, modifiers, out)?;
        }
        Field::Hour24 => number(m.hour, 2, modifiers, out)?,
        Field::Minute => number(m.minute, 2, modifiers, out)?,
        Field::Second => number(m.second, 2, modifiers, out)?,
        Field::Fraction(digits) => {
            let unit = 10_i64.pow(6 - digits);
            number_as_is(m.micros / unit, digits as usize, modifiers, out)?;
        }
        Field::Millisecond => number_as_is(m.micros / 1000, 3, modifiers, out)?,
        Field::Microsecond => number_as_is(m.micros, 6, modifiers, out)?,
        Field::SecondsOfDay => {
            number_as_is(m.hour * 3600 + m.minute * 60 + m.second, 0, modifiers, out)?;
        }
        Field::Zone | Field::ZoneHour | Field::ZoneMinute | Field::Offset => {
            m.date()?;
            write_zone(pattern, modifiers, m.zone.as_ref(), out);
        }
        Field::MonthName | Field::MonthShort => {
            m.date()?;
            let month = (m.month - 1) as usize;
            match pattern.field {
                Field::MonthName => word(MONTHS[month], case, NAME_WIDTH, modifiers, out),
                _ => word(MONTHS_SHORT[month], case, 0, modifiers, out),
            }
        }
        Field::Month => number(m.month, 2, modifiers, out)?,
        Field::DayName => {
            let day = datetime::weekday(m.date()?) as usize;
            word(DAYS[day], case, NAME_WIDTH, modifiers, out);
        }
        Field::DayShort => {
            let day = datetime::weekday(m.date()?) as usize;
            word(DAYS_SHORT[day], case, 0, modifiers, out);
        }
        Field::DayOfYear => number_as_is(m.day_of_year(), 3, modifiers, out)?,
        Field::IsoDayOfYear => {
            number_as_is(iso_day_of_year(m.any_date()), 3, modifiers, out)?;
        }
        Field::Day => number_as_is(m.day, 2, modifiers, out)?,
        Field::DayOfWeek => {
            number_as_is(i64::from(datetime::weekday(m.date()?)) + 1, 0, modifiers, out)?;
        }
        Field::IsoDayOfWeek => {
            let day = i64::from(datetime::weekday(m.date()?));
            number_as_is(if day == 0 { 7 } else { day }, 0, modifiers, out)?;
        }
        Field::Week => number_as_is((m.day_of_year() - 1) / 7 + 1, 2, modifiers, out)?,
        Field::IsoWeek => {
            let (_, week) = datetime::iso_week(m.any_date());
            number_as_is(week.into(), 2, modifiers, out)?;
        }
        Field::Quarter if m.month == 0 => {}
        Field::Quarter => number_as_is((m.month - 1) / 3 + 1, 0, modifiers, out)?,
        Field::Century => write_century(m, modifiers, out)?,
        Field::YearWithComma => {
            let year = m.shown_year(m.year);
            let text = format!("{},{:03}", year / 1000, year % 1000);
            out.push_str(&text);
            if modifiers & (ORDINAL_UPPER | ORDINAL_LOWER) != 0 {
                out.push_str(ordinal(&text, modifiers)?);
            }
        }
        Field::Year(digits) => write_year(m.shown_year(m.year), digits, modifiers, out)?,
        Field::IsoYear(digits) => {
            let year = m.shown_year(m.iso_year());
            match digits {
                // The width is by the other calendar's year.
                4 if m.year >= 0 => number_as_is(year, 4, modifiers, out)?,
                _ => write_year(year, digits, modifiers, out)?,
            }
        }
        Field::RomanMonth => write_roman(m, case, modifiers, out),
        Field::WeekOfMonth => number_as_is((m.day - 1) / 7 + 1, 0, modifiers, out)?,
        Field::Julian => {
            let days = i64::from(m.any_date());
            number_as_is(days + i64::from(JULIAN_EPOCH), 0, modifiers, out)?;
        }
        Field::Exact => {}
    }
    Ok(())
}

/// Digits at least as wide as asked, a sign included.
fn number_as_is(value: i64, width: usize, modifiers: u8, out: &mut String) -> Result<()> {
    number(value, if value < 0 { width.saturating_sub(1) } else { width }, modifiers, out)
}

fn iso_day_of_year(days: i32) -> i64 {
    let (_, week) = datetime::iso_week(days);
    let day = match datetime::weekday(days) {
        0 => 7,
        day => day,
    };
    i64::from((week - 1) * 7 + day)
}

fn write_century(m: &Moment, modifiers: u8, out: &mut String) -> Result<()> {
    let century = match m.year {
        year if m.days.is_none() => year / 100,
        year @ 1.. => (year - 1) / 100 + 1,
        year => year / 100 - 1,
    };
    let width = if (-99..=99).contains(&century) { 2 } else { 0 };
    number(century, width, modifiers, out)
}

fn write_year(year: i64, digits: u32, modifiers: u8, out: &mut String) -> Result<()> {
    match digits {
        4 => number(year, 4, modifiers, out),
        1 => number_as_is(year % 10, 1, modifiers, out),
        digits => {
            let part = year % 10_i64.pow(digits);
            // The sign has its place by the whole year's.
            let width = digits as usize + usize::from(year < 0 && part == 0);
            number(part, width, modifiers, out)
        }
    }
}

fn write_roman(m: &Moment, case: Case, modifiers: u8, out: &mut String) {
    if m.month == 0 && m.year == 0 {
        return;
    }
    let place = match m.month {
        0 => {
            if m.year >= 0 {
                0
            } else {
                11
            }
        }
        month @ 1.. => 12 - month,
        month => -(month + 1),
    };
    word(ROMAN_MONTHS[place as usize], case, ROMAN_WIDTH, modifiers & FILL, out);
}

fn write_zone(pattern: &Pattern, modifiers: u8, zone: Option<&(i32, String)>, out: &mut String) {
    let offset = zone.map_or(0, |(offset, _)| *offset);
    let sign = if offset >= 0 { '+' } else { '-' };
    let (hours, minutes) = (offset.abs() / 3600, offset.abs() % 3600 / 60);
    match pattern.field {
        Field::Zone => {
            let Some((_, name)) = zone else { return };
            match pattern.case {
                Case::Lower => out.push_str(&name.to_ascii_lowercase()),
                _ => out.push_str(name),
            }
        }
        Field::ZoneHour => out.push_str(&format!("{sign}{hours:02}")),
        Field::ZoneMinute => out.push_str(&format!("{minutes:02}")),
        _ => {
            let width = if modifiers & FILL != 0 { 0 } else { 2 };
            out.push_str(&format!("{sign}{hours:0width$}"));
            if minutes != 0 || offset.abs() % 3600 != 0 {
                out.push_str(&format!(":{minutes:02}"));
            }
        }
    }
}

/// Skips blank space.
pub(super) fn skip_space(text: &str) -> &str {
    text.trim_start_matches(is_space)
}
