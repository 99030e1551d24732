//! Dates and times: the calendar, text forms, arithmetic, time zones.
//!
//! A date is days, a timestamp microseconds, since 2000-01-01 (in UTC where it has a zone). The
//! calendar is the proleptic Gregorian; years are astronomical inside (0 is 1 BC). jiff is asked
//! for the offsets of time zones and for nothing else.
//!
//! - `output`: text of values; `parse`: values of text (by `field`, `word` and `decode`);
//! - `zone`: time zones; `abbreviation`: their abbreviations;
//! - `arith`: adding intervals, `age`, `date_trunc`, `extract`, `make_*`.

pub mod abbreviation;
mod arith;
mod decode;
mod extract;
pub(in crate::types) mod field;
mod make;
mod output;
mod parse;
#[cfg(test)]
mod tests;
mod truncate;
pub mod unit;
mod word;
mod zone;

pub use arith::*;
pub use extract::{
    Part, day_of_year, extract_date, extract_interval, extract_time, extract_timestamp,
    extract_timestamptz, iso_week,
};
pub use make::{
    IntervalParts, from_epoch, make_date, make_interval, make_time, make_timestamp,
    make_timestamptz, make_timestamptz_at,
};
pub(in crate::types) use output::{push_fraction, push_padded};
pub use output::{write_date, write_time, write_timestamp, write_timestamptz};
pub use parse::{parse_date, parse_time, parse_timestamp, parse_timestamptz};
pub use truncate::{trunc_interval, trunc_timestamp, trunc_timestamptz};
pub use zone::TimeZone;

use crate::error::{Error, Result, SqlState};

/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds of an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds of a day.
pub const DAY: i64 = 24 * HOUR;

/// Julian day of 2000-01-01.
pub const EPOCH_JULIAN: i32 = 2_451_545;
/// Julian day of 1970-01-01.
pub const UNIX_EPOCH_JULIAN: i32 = 2_440_588;
/// Seconds from 1970-01-01 to 2000-01-01.
pub const EPOCH_UNIX_SECONDS: i64 = (EPOCH_JULIAN - UNIX_EPOCH_JULIAN) as i64 * 86_400;

/// First date: 4714-11-24 BC, Julian day 0.
pub const DATE_MIN: i32 = -EPOCH_JULIAN;
/// Day after the last date, 5874897-12-31.
pub const DATE_END: i32 = 2_147_483_494 - EPOCH_JULIAN;
/// First timestamp: 4714-11-24 00:00 BC.
pub const TIMESTAMP_MIN: i64 = -211_813_488_000_000_000;
/// First microsecond after the last timestamp, 294276-12-31.
pub const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;

/// `-infinity` of a date.
pub const DATE_NEG_INFINITY: i32 = i32::MIN;
/// `infinity` of a date.
pub const DATE_INFINITY: i32 = i32::MAX;
/// `-infinity` of a timestamp.
pub const NEG_INFINITY: i64 = i64::MIN;
/// `infinity` of a timestamp.
pub const INFINITY: i64 = i64::MAX;

/// Layout of dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is PostgreSQL's style of that name")]
pub enum DateFormat {
    #[default]
    Iso,
    Sql,
    Postgres,
    German,
}

/// Which of three numbers is what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is PostgreSQL's order of that name")]
pub enum DateOrder {
    #[default]
    Mdy,
    Dmy,
    Ymd,
}

/// `DateStyle`: layout of output, and order of day and month where it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateStyle {
    /// Layout.
    pub format: DateFormat,
    /// Order.
    pub order: DateOrder,
}

impl DateStyle {
    /// Changes this style by a value of the setting (`ISO, DMY`; `German`); none if it is wrong.
    pub fn with_setting(self, value: &str) -> Option<DateStyle> {
        let mut style = self;
        let (mut format_seen, mut order_seen) = (None, None);
        for word in value.split(',') {
            let word = word.trim().to_ascii_lowercase();
            let (format, order) = match word.as_str() {
                "iso" => (Some(DateFormat::Iso), None),
                "sql" => (Some(DateFormat::Sql), None),
                w if w.starts_with("postgres") => (Some(DateFormat::Postgres), None),
                "german" => (Some(DateFormat::German), None),
                "ymd" => (None, Some(DateOrder::Ymd)),
                "dmy" => (None, Some(DateOrder::Dmy)),
                w if w.starts_with("euro") => (None, Some(DateOrder::Dmy)),
                "mdy" | "us" => (None, Some(DateOrder::Mdy)),
                w if w.starts_with("noneuro") => (None, Some(DateOrder::Mdy)),
                "default" => (Some(DateFormat::Iso), Some(DateOrder::Mdy)),
                _ => return None,
            };
            if let Some(format) = format {
                if format_seen.is_some_and(|seen| seen != format) {
                    return None;
                }
                style.format = format;
                // German dates come day first, unless said otherwise.
                if format == DateFormat::German && order_seen.is_none() {
                    style.order = DateOrder::Dmy;
                }
                format_seen = Some(format);
            }
            if let Some(order) = order {
                if order_seen.is_some_and(|seen| seen != order) {
                    return None;
                }
                style.order = order;
                order_seen = Some(order);
            }
        }
        Some(style)
    }
}

/// The setting's canonical text: `ISO, MDY`.
impl std::fmt::Display for DateStyle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let format = match self.format {
            DateFormat::Iso => "ISO",
            DateFormat::Sql => "SQL",
            DateFormat::Postgres => "Postgres",
            DateFormat::German => "German",
        };
        let order = match self.order {
            DateOrder::Mdy => "MDY",
            DateOrder::Dmy => "DMY",
            DateOrder::Ymd => "YMD",
        };
        write!(f, "{format}, {order}")
    }
}

/// A day of the calendar; the year is astronomical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Civil {
    /// Year; 0 is 1 BC.
    pub year: i32,
    /// Month, from 1.
    pub month: i32,
    /// Day of the month, from 1.
    pub day: i32,
}

/// A time of day, with what is below a second in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Clock {
    pub hour: i32,
    pub minute: i32,
    pub second: i32,
    pub micros: i32,
}

/// The calendar day of a day number since 2000-01-01 (Howard Hinnant's algorithm).
pub fn civil_from_days(days: i32) -> Civil {
    // Counted from 0000-03-01, in eras of 400 years.
    let z = i64::from(days) + 730_425;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year: year as i32, month: month as i32, day: day as i32 }
}

/// The day number since 2000-01-01 of a calendar day; days beyond the month's end run on.
pub fn days_from_civil(year: i32, month: i32, day: i32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 730_425
}

/// Whether February has 29 days.
pub fn is_leap_year(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month.
pub fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Day of the week, Sunday 0, of a day number since 2000-01-01.
pub fn weekday(days: i32) -> i32 {
    // 2000-01-01 was a Saturday.
    (i64::from(days) + 6).rem_euclid(7) as i32
}

/// Hours, minutes, seconds and microseconds of microseconds since midnight.
pub fn clock_from_micros(micros: i64) -> Clock {
    Clock {
        hour: (micros / HOUR) as i32,
        minute: (micros / MINUTE % 60) as i32,
        second: (micros / SECOND % 60) as i32,
        micros: (micros % SECOND) as i32,
    }
}

/// Day number and microseconds since midnight of a timestamp.
pub fn split_timestamp(t: i64) -> (i32, i64) {
    (t.div_euclid(DAY) as i32, t.rem_euclid(DAY))
}

/// Why a text is no date, time or interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::types) enum Fault {
    /// It does not have the form.
    Syntax,
    /// A field is out of its range.
    Range,
    /// A day or a month is: perhaps they stand in another order.
    DayOrMonth,
    /// A field of an interval is.
    Interval,
    /// The offset of a zone is.
    Offset,
    /// There is no such zone.
    Zone(String),
}

fn out_of_range(what: &str) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range"))
}

/// The date, if it is one: 22008 outside the calendar's range.
pub fn check_date(days: i32) -> Result<i32> {
    let ok =
        matches!(days, DATE_NEG_INFINITY | DATE_INFINITY) || (DATE_MIN..DATE_END).contains(&days);
    if ok { Ok(days) } else { Err(out_of_range("date")) }
}

/// The timestamp, if it is one: 22008 outside the calendar's range.
pub fn check_timestamp(t: i64) -> Result<i64> {
    let ok = matches!(t, NEG_INFINITY | INFINITY) || (TIMESTAMP_MIN..TIMESTAMP_END).contains(&t);
    if ok { Ok(t) } else { Err(out_of_range("timestamp")) }
}
