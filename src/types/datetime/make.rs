//! `make_date` and its like, and `to_timestamp` of a number.

use super::arith::sane_offset;
use super::{
    DATE_MIN, DAY, EPOCH_UNIX_SECONDS, HOUR, INFINITY, MINUTE, NEG_INFINITY, SECOND, TIMESTAMP_END,
    TIMESTAMP_MIN, TimeZone, check_date, check_timestamp, days_from_civil, days_in_month,
    out_of_range,
};
use crate::error::{Error, Result, SqlState};
use crate::types::Interval;

fn overflow(message: String) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

/// Seconds as C's `%02g` shows them.
fn shown_seconds(seconds: f64) -> String {
    let mut out = String::new();
    crate::types::io::write_f64(seconds, -9, &mut out);
    if out.len() < 2 { format!("0{out}") } else { out }
}

/// Day number of a year (negative: BC), month and day.
fn days_of(year: i32, month: i32, day: i32) -> Result<i64> {
    let astronomical = if year < 0 { year + 1 } else { year };
    let valid = year != 0
        && (1..=12).contains(&month)
        && day >= 1
        && day <= days_in_month(astronomical, month);
    if !valid {
        let message = format!("date field value out of range: {astronomical}-{month:02}-{day:02}");
        return Err(overflow(message));
    }
    Ok(days_from_civil(astronomical, month, day))
}

/// `make_date`: a negative year is BC.
pub fn make_date(year: i32, month: i32, day: i32) -> Result<i32> {
    let days = days_of(year, month, day)?;
    let date = i32::try_from(days).ok().filter(|d| *d >= DATE_MIN && check_date(*d).is_ok());
    date.ok_or_else(|| overflow(format!("date out of range: {year}-{month:02}-{day:02}")))
}

fn time_of(hour: i32, minute: i32, seconds: f64) -> Result<i64> {
    let micros = (seconds * 1e6).round_ties_even();
    let fields_ok = (0..=24).contains(&hour)
        && (0..=59).contains(&minute)
        && (0.0..=60.0 * 1e6).contains(&micros);
    let whole = i64::from(hour) * HOUR + i64::from(minute) * MINUTE;
    if !fields_ok || whole + micros as i64 > DAY {
        let shown = shown_seconds(seconds);
        return Err(overflow(format!("time field value out of range: {hour}:{minute:02}:{shown}")));
    }
    Ok(whole + micros as i64)
}

/// `make_time`
pub fn make_time(hour: i32, minute: i32, seconds: f64) -> Result<i64> {
    time_of(hour, minute, seconds)
}

/// `make_timestamp`
pub fn make_timestamp(
    (year, month, day): (i32, i32, i32),
    hour: i32,
    minute: i32,
    seconds: f64,
) -> Result<i64> {
    let days = days_of(year, month, day)?;
    let time = time_of(hour, minute, seconds)?;
    let t = days.checked_mul(DAY).and_then(|d| d.checked_add(time));
    t.and_then(|t| check_timestamp(t).ok()).ok_or_else(|| {
        let shown = shown_seconds(seconds);
        overflow(format!(
            "timestamp out of range: {year}-{month:02}-{day:02} {hour}:{minute:02}:{shown}"
        ))
    })
}

/// `make_timestamptz` in the session's zone.
pub fn make_timestamptz(
    date: (i32, i32, i32),
    hour: i32,
    minute: i32,
    seconds: f64,
    zone: &TimeZone,
) -> Result<i64> {
    let local = make_timestamp(date, hour, minute, seconds)?;
    at_offset(local, zone.offset_of_local(local))
}

/// `make_timestamptz` in a zone told by name, abbreviation or signed number.
pub fn make_timestamptz_at(
    date: (i32, i32, i32),
    hour: i32,
    minute: i32,
    seconds: f64,
    zone: &str,
) -> Result<i64> {
    let local = make_timestamp(date, hour, minute, seconds)?;
    at_offset(local, sane_offset(zone, local)?)
}

fn at_offset(local: i64, offset: i32) -> Result<i64> {
    let t = local.checked_sub(i64::from(offset) * SECOND);
    check_timestamp(t.ok_or_else(|| out_of_range("timestamp"))?)
}

/// The parts of `make_interval`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct IntervalParts {
    pub years: i32,
    pub months: i32,
    pub weeks: i32,
    pub days: i32,
    pub hours: i32,
    pub minutes: i32,
    pub seconds: f64,
}

/// `make_interval`. 22008 on overflow.
pub fn make_interval(p: IntervalParts) -> Result<Interval> {
    let make = || {
        let micros = (p.seconds * 1e6).round_ties_even();
        if !micros.is_finite() || micros.abs() >= i64::MAX as f64 {
            return None;
        }
        let whole = i64::from(p.hours) * HOUR + i64::from(p.minutes) * MINUTE;
        Some(Interval {
            months: p.years.checked_mul(12)?.checked_add(p.months)?,
            days: p.weeks.checked_mul(7)?.checked_add(p.days)?,
            micros: whole.checked_add(micros as i64)?,
        })
    };
    make().ok_or_else(|| overflow("interval out of range".to_owned()))
}

/// `to_timestamp(float8)`: seconds since 1970.
pub fn from_epoch(seconds: f64) -> Result<i64> {
    if seconds.is_nan() {
        return Err(overflow("timestamp cannot be NaN".to_owned()));
    }
    if seconds.is_infinite() {
        return Ok(if seconds > 0.0 { INFINITY } else { NEG_INFINITY });
    }
    let since_2000 = seconds - EPOCH_UNIX_SECONDS as f64;
    let (first, end) = (TIMESTAMP_MIN as f64 / 1e6, TIMESTAMP_END as f64 / 1e6);
    let micros = (since_2000 * 1e6).round_ties_even();
    let inside = since_2000 >= first && since_2000 < end;
    let t = inside.then_some(micros as i64).and_then(|t| check_timestamp(t).ok());
    t.ok_or_else(|| {
        let mut shown = String::new();
        crate::types::io::write_f64(seconds, -9, &mut shown);
        overflow(format!("timestamp out of range: \"{shown}\""))
    })
}
