//! `extract` and `date_part`: one field of a date, a time or an interval.

use super::truncate::{unrecognized, unsupported};
use super::unit::{self, Unit};
use super::{
    Civil, Clock, DATE_INFINITY, DATE_NEG_INFINITY, DAY, EPOCH_JULIAN, EPOCH_UNIX_SECONDS, HOUR,
    INFINITY, MINUTE, NEG_INFINITY, SECOND, civil_from_days, clock_from_micros, days_from_civil,
    split_timestamp, weekday,
};
use crate::error::Result;
use crate::types::{Interval, Numeric, SqlType};

/// Seconds of a year of 365.25 days.
const YEAR_SECONDS: i64 = 31_557_600;
const MONTH_SECONDS: i64 = 30 * 86_400;

/// A field's value, of which `extract` makes a numeric and `date_part` a float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// A whole number.
    Integer(i64),
    /// Whole seconds (or milliseconds, by `scale`) and microseconds: `(micros, scale)`.
    Scaled(i128, u32),
    /// Length of an interval in microseconds, and in seconds as floats add it up.
    Length(i128, f64),
    /// A day number and microseconds of that day.
    Julian(i32, i64),
    /// Of an infinite value, where the field grows with it; whether negative.
    Infinite(bool),
    /// Of an infinite value, where the field goes round.
    Null,
}

impl Part {
    /// What `extract` gives; none for NULL.
    pub fn to_numeric(self) -> Result<Option<Numeric>> {
        Ok(Some(match self {
            Part::Integer(n) => Numeric::from_i64(n),
            Part::Scaled(n, scale) => Numeric::from_i128(n, scale),
            Part::Length(micros, _) => Numeric::from_i128(micros, 6),
            Part::Julian(day, micros) => {
                let fraction = Numeric::from_i64(micros).div(&Numeric::from_i64(DAY))?;
                Numeric::from_i64(i64::from(day)).add(&fraction)?
            }
            Part::Infinite(true) => Numeric::NEG_INFINITY,
            Part::Infinite(false) => Numeric::INFINITY,
            Part::Null => return Ok(None),
        }))
    }

    /// What `date_part` gives; none for NULL.
    pub fn to_f64(self) -> Option<f64> {
        Some(match self {
            Part::Integer(n) => n as f64,
            Part::Scaled(n, scale) => {
                let unit = 10i128.pow(scale);
                match i64::try_from(n) {
                    // Beyond a minute it is an epoch, which PostgreSQL divides as a whole.
                    Ok(n) if n.abs() > 60 * SECOND => n as f64 / unit as f64,
                    _ => (n / unit) as f64 + (n % unit) as f64 / unit as f64,
                }
            }
            Part::Length(_, seconds) => seconds,
            Part::Julian(day, micros) => f64::from(day) + micros as f64 / 1e6 / 86_400.0,
            Part::Infinite(true) => f64::NEG_INFINITY,
            Part::Infinite(false) => f64::INFINITY,
            Part::Null => return None,
        })
    }
}

/// ISO year and week of a day.
pub fn iso_week(days: i32) -> (i32, i32) {
    // The week belongs to the year of its Thursday.
    let thursday = i64::from(days) - i64::from((weekday(days) + 6) % 7) + 3;
    let year = civil_from_days(thursday as i32).year;
    let week = (thursday - days_from_civil(year, 1, 1)) / 7 + 1;
    (year, week as i32)
}

/// Day of the year, from 1.
pub fn day_of_year(days: i32) -> i32 {
    (i64::from(days) - days_from_civil(civil_from_days(days).year, 1, 1)) as i32 + 1
}

/// The century (100) or millennium (1000) that a year lies in.
fn period(year: i32, length: i32) -> i64 {
    let number = if year > 0 { (year + length - 1) / length } else { -((length - year) / length) };
    i64::from(number)
}

/// A field of a day; none if it has no such field.
fn date_field(unit: Unit, days: i32) -> Option<i64> {
    let Civil { year, month, day } = civil_from_days(days);
    // There is no year zero: 1 BC is -1.
    let shown = |year: i32| i64::from(if year > 0 { year } else { year - 1 });
    Some(match unit {
        Unit::Day => i64::from(day),
        Unit::Month => i64::from(month),
        Unit::Quarter => i64::from((month - 1) / 3 + 1),
        Unit::Year => shown(year),
        Unit::Decade => i64::from(year.div_euclid(10)),
        Unit::Century => period(year, 100),
        Unit::Millennium => period(year, 1000),
        Unit::Week => i64::from(iso_week(days).1),
        Unit::IsoYear => shown(iso_week(days).0),
        Unit::DayOfWeek => i64::from(weekday(days)),
        Unit::IsoDayOfWeek => i64::from((weekday(days) + 6) % 7 + 1),
        Unit::DayOfYear => i64::from(day_of_year(days)),
        _ => return None,
    })
}

/// A field of a time of day; none if it has no such field.
fn time_field(unit: Unit, clock: Clock) -> Option<Part> {
    let micros = i128::from(clock.second) * i128::from(SECOND) + i128::from(clock.micros);
    Some(match unit {
        Unit::Microsecond => Part::Integer(micros as i64),
        Unit::Millisecond => Part::Scaled(micros, 3),
        Unit::Second => Part::Scaled(micros, 6),
        Unit::Minute => Part::Integer(i64::from(clock.minute)),
        Unit::Hour => Part::Integer(i64::from(clock.hour)),
        _ => return None,
    })
}

/// A field of an infinite value: fields that go round are NULL.
fn infinite_field(unit: Unit, negative: bool) -> Part {
    match unit {
        Unit::Year
        | Unit::Decade
        | Unit::Century
        | Unit::Millennium
        | Unit::Julian
        | Unit::IsoYear
        | Unit::Epoch => Part::Infinite(negative),
        _ => Part::Null,
    }
}

fn is_zone_unit(unit: Unit) -> bool {
    matches!(unit, Unit::Timezone | Unit::TimezoneHour | Unit::TimezoneMinute)
}

fn timestamp_field(unit: Unit, local: i64) -> Option<Part> {
    let (days, micros) = split_timestamp(local);
    if unit == Unit::Julian {
        return Some(Part::Julian(days + EPOCH_JULIAN, micros));
    }
    date_field(unit, days)
        .map(Part::Integer)
        .or_else(|| time_field(unit, clock_from_micros(micros)))
}

fn epoch(t: i64) -> Part {
    Part::Scaled(i128::from(t) + i128::from(EPOCH_UNIX_SECONDS) * i128::from(SECOND), 6)
}

/// A field of a timestamp.
pub fn extract_timestamp(name: &str, t: i64) -> Result<Part> {
    let ty = SqlType::TIMESTAMP;
    let unit = unit::field(name).ok_or_else(|| unrecognized(name, ty))?;
    match (t, unit) {
        (INFINITY | NEG_INFINITY, unit) => Ok(infinite_field(unit, t < 0)),
        (_, Unit::Epoch) => Ok(epoch(t)),
        _ => timestamp_field(unit, t).ok_or_else(|| unsupported(name, ty)),
    }
}

/// A field of an instant, as the clock shows it at `offset` seconds east of UTC.
pub fn extract_timestamptz(name: &str, t: i64, offset: i32) -> Result<Part> {
    let ty = SqlType::TIMESTAMPTZ;
    let unit = unit::field(name).ok_or_else(|| unrecognized(name, ty))?;
    if matches!(t, INFINITY | NEG_INFINITY) {
        return Ok(infinite_field(unit, t < 0));
    }
    let part = match unit {
        Unit::Epoch => Some(epoch(t)),
        Unit::Timezone => Some(Part::Integer(i64::from(offset))),
        Unit::TimezoneHour => Some(Part::Integer(i64::from(offset / 3600))),
        Unit::TimezoneMinute => Some(Part::Integer(i64::from(offset / 60 % 60))),
        _ => timestamp_field(unit, t + i64::from(offset) * SECOND),
    };
    part.ok_or_else(|| unsupported(name, ty))
}

/// A field of a date.
pub fn extract_date(name: &str, days: i32) -> Result<Part> {
    let ty = SqlType::DATE;
    let unit = unit::field(name).ok_or_else(|| unrecognized(name, ty))?;
    let is_time = matches!(
        unit,
        Unit::Microsecond | Unit::Millisecond | Unit::Second | Unit::Minute | Unit::Hour
    );
    if is_time || is_zone_unit(unit) {
        return Err(unsupported(name, ty));
    }
    Ok(match (days, unit) {
        (DATE_INFINITY | DATE_NEG_INFINITY, _) => infinite_field(unit, days < 0),
        (_, Unit::Epoch) => Part::Integer(i64::from(days) * 86_400 + EPOCH_UNIX_SECONDS),
        (_, Unit::Julian) => Part::Integer(i64::from(days) + i64::from(EPOCH_JULIAN)),
        _ => match date_field(unit, days) {
            Some(value) => Part::Integer(value),
            None => return Err(unsupported(name, ty)),
        },
    })
}

/// A field of a time of day.
pub fn extract_time(name: &str, time: i64) -> Result<Part> {
    let ty = SqlType::TIME;
    let unit = unit::field(name).ok_or_else(|| unrecognized(name, ty))?;
    if unit == Unit::Epoch {
        return Ok(Part::Scaled(i128::from(time), 6));
    }
    time_field(unit, clock_from_micros(time)).ok_or_else(|| unsupported(name, ty))
}

/// A field of an interval.
pub fn extract_interval(name: &str, interval: &Interval) -> Result<Part> {
    let ty = SqlType::INTERVAL;
    let unit = unit::field(name).ok_or_else(|| unrecognized(name, ty))?;
    let (years, months) = (i64::from(interval.months / 12), i64::from(interval.months % 12));
    let micros = i128::from(interval.micros % MINUTE);
    Ok(match unit {
        Unit::Microsecond => Part::Integer(micros as i64),
        Unit::Millisecond => Part::Scaled(micros, 3),
        Unit::Second => Part::Scaled(micros, 6),
        Unit::Minute => Part::Integer(interval.micros / MINUTE % 60),
        Unit::Hour => Part::Integer(interval.micros / HOUR),
        Unit::Day => Part::Integer(i64::from(interval.days)),
        Unit::Month => Part::Integer(months),
        Unit::Quarter => Part::Integer(months / 3 + 1),
        Unit::Year => Part::Integer(years),
        Unit::Decade => Part::Integer(years / 10),
        Unit::Century => Part::Integer(years / 100),
        Unit::Millennium => Part::Integer(years / 1000),
        Unit::Epoch => {
            let days = i64::from(interval.days) * 86_400;
            let seconds = years * YEAR_SECONDS + months * MONTH_SECONDS + days;
            let micros = i128::from(seconds) * i128::from(SECOND) + i128::from(interval.micros);
            // Added up in PostgreSQL's order, which rounding shows.
            let mut float = interval.micros as f64 / 1e6;
            float += (years * YEAR_SECONDS) as f64;
            float += (months * MONTH_SECONDS) as f64;
            float += days as f64;
            Part::Length(micros, float)
        }
        _ => return Err(unsupported(name, ty)),
    })
}
