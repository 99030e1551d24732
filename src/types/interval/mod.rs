//! Spans of time in months, days and microseconds.
//!
//! The parts are independent: a month is no fixed number of days, nor a day of hours. Only order
//! and equality count a month as 30 days and a day as 24 hours, so that `1 mon = 30 days`.

mod output;
mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use super::datetime::{DAY, HOUR, MINUTE};
use crate::error::{Error, Result, SqlState};

/// Days that order counts a month as.
pub const MONTH_DAYS: i32 = 30;
/// Modifier bits of "any field".
const ALL_FIELDS: i32 = 0x7fff;
/// Modifier bits of "any precision".
const ALL_DIGITS: i32 = 0xffff;
/// Most digits of a second.
const DIGITS_MAX: i32 = 6;

/// A span of time; the three parts are independent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interval {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

/// `IntervalStyle`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is PostgreSQL's style of that name")]
pub enum IntervalStyle {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

impl IntervalStyle {
    /// The style of this name.
    pub fn from_setting(name: &str) -> Option<IntervalStyle> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "postgres" => IntervalStyle::Postgres,
            "postgres_verbose" => IntervalStyle::PostgresVerbose,
            "sql_standard" => IntervalStyle::SqlStandard,
            "iso_8601" => IntervalStyle::Iso8601,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            IntervalStyle::Postgres => "postgres",
            IntervalStyle::PostgresVerbose => "postgres_verbose",
            IntervalStyle::SqlStandard => "sql_standard",
            IntervalStyle::Iso8601 => "iso_8601",
        }
    }
}

fn out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

/// Rounded to microseconds.
fn round_seconds(seconds: f64) -> f64 {
    (seconds * 1e6).round_ties_even() / 1e6
}

fn to_i32(value: f64) -> Result<i32> {
    let fits = value >= f64::from(i32::MIN) && value < -f64::from(i32::MIN);
    if fits { Ok(value as i32) } else { Err(out_of_range()) }
}

fn to_i64(value: f64) -> Result<i64> {
    let fits = value >= i64::MIN as f64 && value < -(i64::MIN as f64);
    if fits { Ok(value as i64) } else { Err(out_of_range()) }
}

impl Interval {
    /// No time.
    pub const ZERO: Interval = Interval { months: 0, days: 0, micros: 0 };

    /// A span of its parts.
    pub const fn new(months: i32, days: i32, micros: i64) -> Interval {
        Interval { months, days, micros }
    }

    /// Its length in microseconds, months counted as 30 days: what order goes by.
    pub fn span(&self) -> i128 {
        let days = i64::from(self.months) * i64::from(MONTH_DAYS) + i64::from(self.days);
        i128::from(days) * i128::from(DAY) + i128::from(self.micros)
    }

    /// The sum, part by part. 22008 on overflow.
    pub fn add(&self, other: &Interval) -> Result<Interval> {
        let add = || {
            Some(Interval {
                months: self.months.checked_add(other.months)?,
                days: self.days.checked_add(other.days)?,
                micros: self.micros.checked_add(other.micros)?,
            })
        };
        add().ok_or_else(out_of_range)
    }

    /// The difference, part by part. 22008 on overflow.
    pub fn sub(&self, other: &Interval) -> Result<Interval> {
        let sub = || {
            Some(Interval {
                months: self.months.checked_sub(other.months)?,
                days: self.days.checked_sub(other.days)?,
                micros: self.micros.checked_sub(other.micros)?,
            })
        };
        sub().ok_or_else(out_of_range)
    }

    /// With every part's sign turned. 22008 on overflow.
    pub fn neg(&self) -> Result<Interval> {
        Interval::ZERO.sub(self)
    }

    /// Multiplied; fractions of months go on into days, of days into time.
    pub fn mul(&self, factor: f64) -> Result<Interval> {
        self.scale(|part| part * factor)
    }

    /// Divided, as [`Interval::mul`]. 22012 for zero.
    pub fn div(&self, divisor: f64) -> Result<Interval> {
        if divisor == 0.0 {
            return Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
        }
        self.scale(|part| part / divisor)
    }

    fn scale(&self, apply: impl Fn(f64) -> f64) -> Result<Interval> {
        const DAY_SECONDS: f64 = 86_400.0;
        let months = to_i32(apply(f64::from(self.months)))?;
        let days = to_i32(apply(f64::from(self.days)))?;
        let month_days =
            (apply(f64::from(self.months)) - f64::from(months)) * f64::from(MONTH_DAYS);
        let month_days = round_seconds(month_days);
        let whole_month_days = month_days.trunc();
        let day_part =
            apply(f64::from(self.days)) - f64::from(days) + month_days - whole_month_days;
        let mut seconds = round_seconds(day_part * DAY_SECONDS);
        let mut days = i64::from(days);
        // Rounding may have made whole days of it.
        if seconds.abs() >= DAY_SECONDS {
            let carried = (seconds / DAY_SECONDS).trunc();
            days += carried as i64;
            seconds -= carried * DAY_SECONDS;
        }
        days += whole_month_days as i64;
        let micros = to_i64((apply(self.micros as f64) + seconds * 1e6).round_ties_even())?;
        let days = i32::try_from(days).map_err(|_| out_of_range())?;
        Ok(Interval { months, days, micros })
    }

    /// Whole days of time become days (`justify_hours`).
    pub fn justify_hours(&self) -> Result<Interval> {
        let mut out = *self;
        out.carry_days()?;
        out.balance_days();
        Ok(out)
    }

    /// Each 30 days become a month (`justify_days`).
    pub fn justify_days(&self) -> Result<Interval> {
        let mut out = *self;
        out.carry_months()?;
        if out.months > 0 && out.days < 0 {
            out.days += MONTH_DAYS;
            out.months -= 1;
        } else if out.months < 0 && out.days > 0 {
            out.days -= MONTH_DAYS;
            out.months += 1;
        }
        Ok(out)
    }

    /// Both, and all parts get one sign (`justify_interval`).
    pub fn justify(&self) -> Result<Interval> {
        let mut out = *self;
        if (out.days > 0 && out.micros > 0) || (out.days < 0 && out.micros < 0) {
            out.carry_months()?;
        }
        out.carry_days()?;
        out.carry_months()?;
        if out.months > 0 && (out.days < 0 || (out.days == 0 && out.micros < 0)) {
            out.days += MONTH_DAYS;
            out.months -= 1;
        } else if out.months < 0 && (out.days > 0 || (out.days == 0 && out.micros > 0)) {
            out.days -= MONTH_DAYS;
            out.months += 1;
        }
        out.balance_days();
        Ok(out)
    }

    fn carry_days(&mut self) -> Result<()> {
        let carried = (self.micros / DAY) as i32;
        self.micros %= DAY;
        self.days = self.days.checked_add(carried).ok_or_else(out_of_range)?;
        Ok(())
    }

    fn carry_months(&mut self) -> Result<()> {
        let carried = self.days / MONTH_DAYS;
        self.days %= MONTH_DAYS;
        self.months = self.months.checked_add(carried).ok_or_else(out_of_range)?;
        Ok(())
    }

    /// Days and time get one sign.
    fn balance_days(&mut self) {
        if self.days > 0 && self.micros < 0 {
            self.micros += DAY;
            self.days -= 1;
        } else if self.days < 0 && self.micros > 0 {
            self.micros -= DAY;
            self.days += 1;
        }
    }

    /// Cut to the fields, and rounded to the digits, of a column's modifier.
    pub fn apply_typmod(&self, typmod: i32) -> Interval {
        let mut out = *self;
        if typmod < 0 {
            return out;
        }
        match Fields::of(typmod) {
            Fields { last: Field::Year, .. } => {
                out = Interval::new(out.months / 12 * 12, 0, 0);
            }
            Fields { last: Field::Month, .. } => out = Interval::new(out.months, 0, 0),
            Fields { last: Field::Day, .. } => out.micros = 0,
            Fields { last: Field::Hour, .. } => out.micros -= out.micros % HOUR,
            Fields { last: Field::Minute, .. } => out.micros -= out.micros % MINUTE,
            Fields { last: Field::Second, .. } => {}
        }
        let digits = typmod & ALL_DIGITS;
        if (0..DIGITS_MAX).contains(&digits) {
            let unit = 10i64.pow((DIGITS_MAX - digits) as u32);
            let half = unit / 2 * self.micros.signum();
            out.micros = out.micros.saturating_add(half) / unit * unit;
        }
        out
    }
}

/// A field of an interval's modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl Field {
    const ALL: [Field; 6] =
        [Field::Year, Field::Month, Field::Day, Field::Hour, Field::Minute, Field::Second];

    /// Its bit in the modifier, as PostgreSQL numbers fields.
    fn bit(self) -> i32 {
        match self {
            Field::Month => 1 << 1,
            Field::Year => 1 << 2,
            Field::Day => 1 << 3,
            Field::Hour => 1 << 10,
            Field::Minute => 1 << 11,
            Field::Second => 1 << 12,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Field::Year => "year",
            Field::Month => "month",
            Field::Day => "day",
            Field::Hour => "hour",
            Field::Minute => "minute",
            Field::Second => "second",
        }
    }
}

/// First and last field of a modifier; all of them where it names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub first: Field,
    pub last: Field,
    /// Whether the modifier names fields at all.
    pub named: bool,
}

impl Fields {
    pub(crate) fn of(typmod: i32) -> Fields {
        let bits = (typmod >> 16) & ALL_FIELDS;
        let mut named = Field::ALL.into_iter().filter(|f| bits & f.bit() != 0);
        let all = Fields { first: Field::Year, last: Field::Second, named: false };
        if typmod < 0 || bits == ALL_FIELDS {
            return all;
        }
        match (named.next(), named.next_back()) {
            (Some(first), last) => Fields { first, last: last.unwrap_or(first), named: true },
            (None, _) => all,
        }
    }
}

/// The modifier of `interval fields (digits)`; `fields` as in `year to month`, lower case.
pub fn modifier(fields: Option<&str>, digits: Option<i32>) -> Result<i32> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let bits = match fields.map(str::trim) {
        None | Some("") => ALL_FIELDS,
        Some(text) => {
            field_bits(text).ok_or_else(|| invalid("invalid INTERVAL type modifier".to_owned()))?
        }
    };
    let digits = match digits {
        None => ALL_DIGITS,
        Some(n) if n < 0 => {
            return Err(invalid(format!("INTERVAL({n}) precision must not be negative")));
        }
        // PostgreSQL lowers more digits than there are, with a warning.
        Some(n) => n.min(DIGITS_MAX),
    };
    if bits == ALL_FIELDS && digits == ALL_DIGITS {
        return Ok(-1);
    }
    Ok((bits << 16) | digits)
}

fn field_bits(text: &str) -> Option<i32> {
    let find = |name: &str| Field::ALL.into_iter().find(|f| f.name() == name.trim());
    let (first, last) = match text.split_once(" to ") {
        Some((first, last)) => (find(first)?, find(last)?),
        None => (find(text)?, find(text)?),
    };
    // Years and months do not mix with the rest.
    let mixes = first <= Field::Month && last > Field::Month;
    if first > last || mixes || (first == last && text.contains(" to ")) {
        return None;
    }
    let between = Field::ALL.into_iter().filter(|f| (first..=last).contains(f));
    Some(between.fold(0, |bits, f| bits | f.bit()))
}

/// A modifier as text: ` day to second(3)`.
pub fn modifier_text(typmod: i32) -> String {
    let mut out = String::new();
    if typmod < 0 {
        return out;
    }
    let fields = Fields::of(typmod);
    if fields.named {
        out.push(' ');
        out.push_str(fields.first.name());
        if fields.first != fields.last {
            out.push_str(" to ");
            out.push_str(fields.last.name());
        }
    }
    let digits = typmod & ALL_DIGITS;
    if digits != ALL_DIGITS {
        out.push_str(&format!("({digits})"));
    }
    out
}

impl PartialEq for Interval {
    fn eq(&self, other: &Interval) -> bool {
        self.span() == other.span()
    }
}

impl Eq for Interval {}

impl PartialOrd for Interval {
    fn partial_cmp(&self, other: &Interval) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Interval {
    fn cmp(&self, other: &Interval) -> Ordering {
        self.span().cmp(&other.span())
    }
}

impl Hash for Interval {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.span().hash(state);
    }
}
