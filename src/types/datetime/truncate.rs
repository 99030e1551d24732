//! `date_trunc`.

use super::unit::{self, Unit};
use super::{
    Civil, DAY, HOUR, MINUTE, SECOND, TimeZone, arith, check_timestamp, civil_from_days,
    days_from_civil, out_of_range, split_timestamp, weekday,
};
use crate::error::{Error, Result, SqlState};
use crate::types::{Interval, SqlType};

/// `unit "…" not supported for type …` (0A000).
pub(super) fn unsupported(name: &str, ty: SqlType) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("unit \"{}\" not supported for type {ty}", name.to_ascii_lowercase()),
    )
}

/// `unit "…" not recognized for type …` (22023).
pub(super) fn unrecognized(name: &str, ty: SqlType) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("unit \"{}\" not recognized for type {ty}", name.to_ascii_lowercase()),
    )
}

/// The first year of the decade, century or millennium that a year lies in; `first` is 0 where it
/// begins with a round year, 1 where with the one after.
fn period_start(year: i32, length: i32, first: i32) -> i32 {
    if first == 0 {
        return year.div_euclid(length) * length;
    }
    (year - 1).div_euclid(length) * length + 1
}

/// Cuts a local timestamp; none where the unit is not one to cut to.
fn cut(local: i64, unit: Unit) -> Option<i64> {
    let small = match unit {
        Unit::Microsecond => 1,
        Unit::Millisecond => 1000,
        Unit::Second => SECOND,
        Unit::Minute => MINUTE,
        Unit::Hour => HOUR,
        Unit::Day => DAY,
        _ => 0,
    };
    if small > 0 {
        return Some(local.div_euclid(small) * small);
    }
    let days = split_timestamp(local).0;
    let Civil { year, month, .. } = civil_from_days(days);
    let (year, month) = match unit {
        Unit::Week => {
            let monday = i64::from(days) - i64::from((weekday(days) + 6) % 7);
            return Some(monday * DAY);
        }
        Unit::Month => (year, month),
        Unit::Quarter => (year, (month - 1) / 3 * 3 + 1),
        Unit::Year => (year, 1),
        Unit::Decade => (period_start(year, 10, 0), 1),
        Unit::Century => (period_start(year, 100, 1), 1),
        Unit::Millennium => (period_start(year, 1000, 1), 1),
        _ => return None,
    };
    Some(days_from_civil(year, month, 1) * DAY)
}

/// A timestamp cut to a unit.
pub fn trunc_timestamp(name: &str, t: i64) -> Result<i64> {
    if arith::is_infinite(t) {
        return Ok(t);
    }
    let ty = SqlType::TIMESTAMP;
    let unit = unit::lookup(&name.to_ascii_lowercase()).ok_or_else(|| unrecognized(name, ty))?;
    check_timestamp(cut(t, unit).ok_or_else(|| unsupported(name, ty))?)
}

/// An instant cut to a unit of the local time in `zone`.
pub fn trunc_timestamptz(name: &str, t: i64, zone: &TimeZone) -> Result<i64> {
    if arith::is_infinite(t) {
        return Ok(t);
    }
    let ty = SqlType::TIMESTAMPTZ;
    let unit = unit::lookup(&name.to_ascii_lowercase()).ok_or_else(|| unrecognized(name, ty))?;
    let range = || out_of_range("timestamp");
    let offset = i64::from(zone.offset_at(t)) * SECOND;
    let local = t.checked_add(offset).ok_or_else(range)?;
    let start = cut(local, unit).ok_or_else(|| unsupported(name, ty))?;
    // A day may begin at another offset; parts of it keep theirs.
    let below_day = matches!(
        unit,
        Unit::Microsecond | Unit::Millisecond | Unit::Second | Unit::Minute | Unit::Hour
    );
    let utc = if below_day { start.checked_sub(offset) } else { zone.to_utc(start) };
    check_timestamp(utc.ok_or_else(range)?)
}

/// An interval cut to a unit.
pub fn trunc_interval(name: &str, interval: &Interval) -> Result<Interval> {
    let ty = SqlType::INTERVAL;
    let unit = unit::lookup(&name.to_ascii_lowercase()).ok_or_else(|| unrecognized(name, ty))?;
    let Interval { months, days, micros } = *interval;
    let cut_months = |unit: i32| Interval::new(months / unit * unit, 0, 0);
    let cut_micros = |unit: i64| Interval::new(months, days, micros / unit * unit);
    Ok(match unit {
        Unit::Millennium => cut_months(12_000),
        Unit::Century => cut_months(1200),
        Unit::Decade => cut_months(120),
        Unit::Year => cut_months(12),
        Unit::Quarter => cut_months(3),
        Unit::Month => cut_months(1),
        Unit::Day => Interval::new(months, days, 0),
        Unit::Hour => cut_micros(HOUR),
        Unit::Minute => cut_micros(MINUTE),
        Unit::Second => cut_micros(SECOND),
        Unit::Millisecond => cut_micros(1000),
        Unit::Microsecond => cut_micros(1),
        Unit::Week => {
            return Err(unsupported(name, ty).with_detail("Months usually have fractional weeks."));
        }
        _ => return Err(unsupported(name, ty)),
    })
}
