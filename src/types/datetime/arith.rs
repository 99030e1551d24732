//! Arithmetic of dates and times.
//!
//! Months are added first, to the same day of the month or its last; then days, then time. Where
//! there is a time zone, months and days move the local clock and time moves the instant.

use super::abbreviation::{self, Meaning};
use super::decode::decode_offset;
use super::{
    Civil, DATE_INFINITY, DATE_NEG_INFINITY, DAY, INFINITY, NEG_INFINITY, SECOND, TimeZone,
    check_date, check_timestamp, civil_from_days, clock_from_micros, days_from_civil,
    days_in_month, out_of_range, split_timestamp,
};
use crate::error::{Error, Result, SqlState};
use crate::types::Interval;
use crate::types::interval::MONTH_DAYS;

/// Whether a timestamp is `infinity` or `-infinity`.
pub fn is_infinite(t: i64) -> bool {
    matches!(t, INFINITY | NEG_INFINITY)
}

fn is_infinite_date(days: i32) -> bool {
    matches!(days, DATE_INFINITY | DATE_NEG_INFINITY)
}

fn feature(message: &str) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

fn field_overflow(message: impl Into<String>) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

/// A date some days on. 22008 beyond the calendar.
pub fn date_add_days(date: i32, days: i32) -> Result<i32> {
    if is_infinite_date(date) {
        return Ok(date);
    }
    let sum = date.checked_add(days).ok_or_else(|| out_of_range("date"))?;
    if is_infinite_date(sum) { Err(out_of_range("date")) } else { check_date(sum) }
}

/// A date some days back.
pub fn date_sub_days(date: i32, days: i32) -> Result<i32> {
    if is_infinite_date(date) {
        return Ok(date);
    }
    let difference = date.checked_sub(days).ok_or_else(|| out_of_range("date"))?;
    if is_infinite_date(difference) { Err(out_of_range("date")) } else { check_date(difference) }
}

/// Days between two dates. 22008 for infinite ones.
pub fn date_sub(a: i32, b: i32) -> Result<i32> {
    if is_infinite_date(a) || is_infinite_date(b) {
        return Err(field_overflow("cannot subtract infinite dates"));
    }
    a.checked_sub(b).ok_or_else(|| out_of_range("date"))
}

/// A date as a timestamp, at midnight. 22008 where a timestamp does not reach.
pub fn date_to_timestamp(date: i32) -> Result<i64> {
    match date {
        DATE_INFINITY => Ok(INFINITY),
        DATE_NEG_INFINITY => Ok(NEG_INFINITY),
        _ => i64::from(date)
            .checked_mul(DAY)
            .and_then(|t| check_timestamp(t).ok())
            .ok_or_else(|| field_overflow("date out of range for timestamp")),
    }
}

/// A date as a timestamp with time zone: midnight there.
pub fn date_to_timestamptz(date: i32, zone: &TimeZone) -> Result<i64> {
    let local = date_to_timestamp(date)?;
    if is_infinite(local) {
        return Ok(local);
    }
    let utc = zone.to_utc(local).and_then(|t| check_timestamp(t).ok());
    utc.ok_or_else(|| field_overflow("date out of range for timestamp"))
}

/// The day of a timestamp.
pub fn timestamp_to_date(t: i64) -> Result<i32> {
    match t {
        INFINITY => Ok(DATE_INFINITY),
        NEG_INFINITY => Ok(DATE_NEG_INFINITY),
        _ => Ok(split_timestamp(t).0),
    }
}

/// The time of day of a timestamp; none for infinite ones.
pub fn timestamp_to_time(t: i64) -> Option<i64> {
    (!is_infinite(t)).then(|| split_timestamp(t).1)
}

/// The local timestamp of an instant.
pub fn timestamptz_to_timestamp(t: i64, zone: &TimeZone) -> Result<i64> {
    if is_infinite(t) {
        return Ok(t);
    }
    let local = zone.to_local(t).ok_or_else(|| out_of_range("timestamp"))?;
    check_timestamp(local)
}

/// The instant of a local timestamp.
pub fn timestamp_to_timestamptz(local: i64, zone: &TimeZone) -> Result<i64> {
    if is_infinite(local) {
        return Ok(local);
    }
    let t = zone.to_utc(local).ok_or_else(|| out_of_range("timestamp"))?;
    check_timestamp(t)
}

/// Date and time of day together.
pub fn date_add_time(date: i32, time: i64) -> Result<i64> {
    let midnight = date_to_timestamp(date)?;
    if is_infinite(midnight) { Ok(midnight) } else { check_timestamp(midnight + time) }
}

/// A time of day some time on, around the clock; months and days do not count.
pub fn time_add(time: i64, interval: &Interval) -> i64 {
    (time + interval.micros % DAY).rem_euclid(DAY)
}

/// A time of day some time back, around the clock.
pub fn time_sub(time: i64, interval: &Interval) -> i64 {
    (time - interval.micros % DAY).rem_euclid(DAY)
}

/// An interval's time of day, around the clock.
pub fn interval_to_time(interval: &Interval) -> i64 {
    interval.micros.rem_euclid(DAY)
}

/// A day some months on, or the last of its month.
fn add_months(date: Civil, months: i32) -> Option<Civil> {
    let total = i64::from(date.year) * 12 + i64::from(date.month) - 1 + i64::from(months);
    let year = i32::try_from(total.div_euclid(12)).ok()?;
    let month = total.rem_euclid(12) as i32 + 1;
    Some(Civil { year, month, day: date.day.min(days_in_month(year, month)) })
}

/// A local timestamp some months on, then some days; none where either leaves the calendar.
fn add_calendar(local: i64, interval: &Interval) -> Option<i64> {
    let mut local = local;
    if interval.months != 0 {
        let (days, micros) = split_timestamp(local);
        let c = add_months(civil_from_days(days), interval.months)?;
        let days = days_from_civil(c.year, c.month, c.day);
        local = check_timestamp(days.checked_mul(DAY)?.checked_add(micros)?).ok()?;
    }
    if interval.days != 0 {
        let moved = i64::from(interval.days).checked_mul(DAY)?.checked_add(local)?;
        local = check_timestamp(moved).ok()?;
    }
    Some(local)
}

/// A timestamp some time on. 22008 beyond the calendar.
pub fn timestamp_add(t: i64, interval: &Interval) -> Result<i64> {
    if is_infinite(t) {
        return Ok(t);
    }
    let moved = add_calendar(t, interval).and_then(|t| t.checked_add(interval.micros));
    moved.and_then(|t| check_timestamp(t).ok()).ok_or_else(|| out_of_range("timestamp"))
}

/// A timestamp some time back.
pub fn timestamp_sub_interval(t: i64, interval: &Interval) -> Result<i64> {
    timestamp_add(t, &interval.neg()?)
}

/// An instant some time on, by the clock of `zone`.
pub fn timestamptz_add(t: i64, interval: &Interval, zone: &TimeZone) -> Result<i64> {
    if is_infinite(t) {
        return Ok(t);
    }
    let moved = || {
        let mut t = t;
        // Months and days separately: each step may pass a change of the zone's offset.
        for step in [Interval::new(interval.months, 0, 0), Interval::new(0, interval.days, 0)] {
            if step.months != 0 || step.days != 0 {
                t = zone.to_utc(add_calendar(zone.to_local(t)?, &step)?)?;
            }
        }
        check_timestamp(t.checked_add(interval.micros)?).ok()
    };
    moved().ok_or_else(|| out_of_range("timestamp"))
}

/// An instant some time back, by the clock of `zone`.
pub fn timestamptz_sub_interval(t: i64, interval: &Interval, zone: &TimeZone) -> Result<i64> {
    timestamptz_add(t, &interval.neg()?, zone)
}

/// Time between two timestamps, in days and time. 22008 for infinite ones.
pub fn timestamp_sub(a: i64, b: i64) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(field_overflow("cannot subtract infinite timestamps"));
    }
    let micros = a.checked_sub(b).ok_or_else(|| field_overflow("interval out of range"))?;
    Interval::new(0, 0, micros).justify_hours()
}

/// Years, months, days and time from `b` to `a`, both local.
pub fn age(a: i64, b: i64) -> Interval {
    let sign = if a < b { -1 } else { 1 };
    let (later, earlier) = if a < b { (b, a) } else { (a, b) };
    let ((later_days, later_micros), (earlier_days, earlier_micros)) =
        (split_timestamp(later), split_timestamp(earlier));
    let (x, y) = (civil_from_days(later_days), civil_from_days(earlier_days));
    let mut micros = later_micros - earlier_micros;
    let mut days = x.day - y.day;
    let mut months = (x.year - y.year) * 12 + x.month - y.month;
    if micros < 0 {
        micros += DAY;
        days -= 1;
    }
    // Days are borrowed from the month of the earlier side.
    while days < 0 {
        days += days_in_month(y.year, y.month);
        months -= 1;
    }
    Interval::new(sign * months, sign * days, i64::from(sign) * micros)
}

/// The start of the bin of width `stride`, counted from `origin`, that a timestamp lies in.
pub fn date_bin(stride: &Interval, t: i64, origin: i64) -> Result<i64> {
    if is_infinite(t) {
        return Ok(t);
    }
    if is_infinite(origin) {
        return Err(field_overflow("origin out of range"));
    }
    if stride.months != 0 {
        return Err(feature(
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let interval_range = || field_overflow("interval out of range");
    let width = i64::from(stride.days)
        .checked_mul(DAY)
        .and_then(|d| d.checked_add(stride.micros))
        .ok_or_else(interval_range)?;
    if width <= 0 {
        return Err(field_overflow("stride must be greater than zero"));
    }
    let distance = t.checked_sub(origin).ok_or_else(interval_range)?;
    let start = distance.div_euclid(width).checked_mul(width).and_then(|d| origin.checked_add(d));
    check_timestamp(start.ok_or_else(|| out_of_range("timestamp"))?)
}

/// Rounded to the digits of a second that a modifier asks for.
pub fn round_timestamp(t: i64, typmod: i32) -> Result<i64> {
    if is_infinite(t) || !(0..6).contains(&typmod) {
        return Ok(t);
    }
    check_timestamp(round_micros(t, typmod))
}

/// A time of day rounded to the digits of a second that a modifier asks for.
pub fn round_time(time: i64, typmod: i32) -> i64 {
    if (0..6).contains(&typmod) { round_micros(time, typmod) } else { time }
}

fn round_micros(micros: i64, digits: i32) -> i64 {
    let unit = 10i64.pow((6 - digits) as u32);
    micros.saturating_add(micros.signum() * (unit / 2)) / unit * unit
}

/// The local timestamp, in a zone told by name, of an instant (`AT TIME ZONE`).
pub fn at_zone(zone: &str, t: i64) -> Result<i64> {
    if is_infinite(t) {
        return Ok(t);
    }
    let offset = match zone_meaning(zone)? {
        ZoneMeaning::Offset(offset) => offset,
        ZoneMeaning::Zone(zone) => zone.offset_at(t),
        // An abbreviation means what it meant near that time.
        ZoneMeaning::Abbreviation(name, zone) => {
            zone.offset_of_abbreviation(&name, zone.to_local(t).unwrap_or(t))
        }
    };
    check_timestamp(t.saturating_add(i64::from(offset) * SECOND))
}

/// The instant of a local timestamp in a zone told by name (`AT TIME ZONE`).
pub fn from_zone(zone: &str, local: i64) -> Result<i64> {
    if is_infinite(local) {
        return Ok(local);
    }
    let offset = local_offset(zone, local)?;
    check_timestamp(local.saturating_sub(i64::from(offset) * SECOND))
}

fn local_offset(zone: &str, local: i64) -> Result<i32> {
    Ok(match zone_meaning(zone)? {
        ZoneMeaning::Offset(offset) => offset,
        ZoneMeaning::Zone(zone) => zone.offset_of_local(local),
        ZoneMeaning::Abbreviation(name, zone) => zone.offset_of_abbreviation(&name, local),
    })
}

/// Offset east of UTC, in seconds, of a zone told as an interval. 22023 if it has months or days.
pub fn interval_offset(interval: &Interval) -> Result<i32> {
    if interval.months != 0 || interval.days != 0 {
        let mut shown = String::new();
        interval.write_to(crate::types::interval::IntervalStyle::Postgres, &mut shown);
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("interval time zone \"{shown}\" must not include months or days"),
        ));
    }
    Ok((interval.micros / SECOND) as i32)
}

/// The local timestamp, at an offset told as an interval, of an instant.
pub fn at_interval_zone(interval: &Interval, t: i64) -> Result<i64> {
    let offset = interval_offset(interval)?;
    if is_infinite(t) { Ok(t) } else { check_timestamp(t + i64::from(offset) * SECOND) }
}

/// The instant of a local timestamp at an offset told as an interval.
pub fn from_interval_zone(interval: &Interval, local: i64) -> Result<i64> {
    let offset = interval_offset(interval)?;
    if is_infinite(local) { Ok(local) } else { check_timestamp(local - i64::from(offset) * SECOND) }
}

enum ZoneMeaning {
    Offset(i32),
    Zone(TimeZone),
    Abbreviation(String, TimeZone),
}

/// What the name of a zone means: an abbreviation first, then a zone.
fn zone_meaning(name: &str) -> Result<ZoneMeaning> {
    let lower = name.to_ascii_lowercase();
    let unknown = || super::parse::unknown_zone(name);
    Ok(match abbreviation::lookup(&lower) {
        Some(Meaning::Fixed(offset, _)) => ZoneMeaning::Offset(offset),
        Some(Meaning::Zone(zone)) => {
            ZoneMeaning::Abbreviation(lower, TimeZone::named(zone).ok_or_else(unknown)?)
        }
        None => ZoneMeaning::Zone(TimeZone::named(name).ok_or_else(unknown)?),
    })
}

/// The zone of this name, abbreviations included, for functions that take one beside a time.
pub fn zone_of_name(name: &str) -> Result<TimeZone> {
    Ok(match zone_meaning(name)? {
        ZoneMeaning::Offset(offset) => TimeZone::fixed(offset),
        ZoneMeaning::Zone(zone) | ZoneMeaning::Abbreviation(_, zone) => zone,
    })
}

/// Offset at a local time in the zone that `make_timestamptz` is given: a signed number too.
pub(super) fn sane_offset(zone: &str, local: i64) -> Result<i32> {
    let invalid = |message| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    if zone.starts_with(|c: char| c.is_ascii_digit()) {
        let kind = "numeric time zone";
        return Err(invalid(format!("invalid input syntax for type {kind}: \"{zone}\""))
            .with_hint("Numeric time zones must have \"-\" or \"+\" as first character."));
    }
    match decode_offset(zone) {
        Ok(offset) => Ok(offset),
        Err(super::Fault::Offset) => {
            Err(invalid(format!("numeric time zone \"{zone}\" out of range")))
        }
        Err(_) => local_offset(zone, local),
    }
}

/// A whole interval in microseconds with 30-day months; none where that overflows.
pub fn interval_micros(interval: &Interval) -> Option<i64> {
    let days = i64::from(interval.months) * i64::from(MONTH_DAYS) + i64::from(interval.days);
    days.checked_mul(DAY)?.checked_add(interval.micros)
}

/// Hours, minutes, seconds of a local timestamp, for the functions that show them.
pub fn civil_and_clock(local: i64) -> (Civil, super::Clock) {
    let (days, micros) = split_timestamp(local);
    (civil_from_days(days), clock_from_micros(micros))
}
