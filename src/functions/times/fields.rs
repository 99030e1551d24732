//! `extract`, `date_part`, `date_trunc`, `make_*`.

use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::call::{
    Date, Ret, Time, Timestamp, Timestamptz, arg, one, optional, three, two,
};
use crate::types::datetime::{
    self, IntervalParts, Part, extract_date, extract_interval, extract_time, extract_timestamp,
    extract_timestamptz, trunc_interval, trunc_timestamp, trunc_timestamptz, zone_of_name,
};
use crate::types::{Datum, Interval};

use super::zone;

fn timestamptz_part(context: &EvalContext, field: &str, t: i64) -> Result<Part> {
    extract_timestamptz(field, t, zone(context).offset_at(t))
}

/// `extract` gives a numeric.
fn numeric(part: Result<Part>) -> Result<Datum> {
    part?.to_numeric()?.datum()
}

/// `date_part` gives a float.
fn float(part: Result<Part>) -> Result<Datum> {
    part?.to_f64().datum()
}

pub(super) fn extract_from_timestamp(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |field: &str, t: Timestamp| numeric(extract_timestamp(field, t.0)))
}

pub(super) fn extract_from_timestamptz(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |field: &str, t: Timestamptz| numeric(timestamptz_part(context, field, t.0)))
}

pub(super) fn extract_from_date(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |field: &str, d: Date| numeric(extract_date(field, d.0)))
}

pub(super) fn extract_from_time(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |field: &str, t: Time| numeric(extract_time(field, t.0)))
}

pub(super) fn extract_from_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |field: &str, i: &Interval| numeric(extract_interval(field, i)))
}

pub(super) fn part_of_timestamp(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |field: &str, t: Timestamp| float(extract_timestamp(field, t.0)))
}

pub(super) fn part_of_timestamptz(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |field: &str, t: Timestamptz| float(timestamptz_part(context, field, t.0)))
}

/// PostgreSQL takes the part of a date from its midnight, hours and all.
pub(super) fn part_of_date(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |field: &str, d: Date| {
        float(extract_timestamp(field, datetime::date_to_timestamp(d.0)?))
    })
}

pub(super) fn part_of_time(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |field: &str, t: Time| float(extract_time(field, t.0)))
}

pub(super) fn part_of_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |field: &str, i: &Interval| float(extract_interval(field, i)))
}

pub(super) fn truncate_timestamp(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |unit: &str, t: Timestamp| trunc_timestamp(unit, t.0).map(Timestamp))
}

pub(super) fn truncate_timestamptz(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |unit: &str, t: Timestamptz| {
        trunc_timestamptz(unit, t.0, zone(context)).map(Timestamptz)
    })
}

pub(super) fn truncate_timestamptz_in_zone(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    three(a, |unit: &str, t: Timestamptz, zone: &str| {
        trunc_timestamptz(unit, t.0, &zone_of_name(zone)?).map(Timestamptz)
    })
}

pub(super) fn truncate_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |unit: &str, i: &Interval| trunc_interval(unit, i))
}

pub(super) fn make_date(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    three(a, |year: i32, month: i32, day: i32| datetime::make_date(year, month, day).map(Date))
}

pub(super) fn make_time(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    three(a, |hour: i32, minute: i32, seconds: f64| {
        datetime::make_time(hour, minute, seconds).map(Time)
    })
}

/// Year, month, day.
fn day_of(a: &[Datum]) -> Result<(i32, i32, i32)> {
    Ok((arg(a, 0)?, arg(a, 1)?, arg(a, 2)?))
}

pub(super) fn make_timestamp(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let t = datetime::make_timestamp(day_of(a)?, arg(a, 3)?, arg(a, 4)?, arg(a, 5)?)?;
    Ok(Datum::Timestamp(t))
}

pub(super) fn make_timestamptz(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (hour, minute, seconds) = (arg(a, 3)?, arg(a, 4)?, arg(a, 5)?);
    let t = match optional::<&str>(a, 6)? {
        None => datetime::make_timestamptz(day_of(a)?, hour, minute, seconds, zone(context))?,
        Some(zone) => datetime::make_timestamptz_at(day_of(a)?, hour, minute, seconds, zone)?,
    };
    Ok(Datum::Timestamptz(t))
}

pub(super) fn make_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let part = |i: usize| optional::<i32>(a, i).map(Option::unwrap_or_default);
    datetime::make_interval(IntervalParts {
        years: part(0)?,
        months: part(1)?,
        weeks: part(2)?,
        days: part(3)?,
        hours: part(4)?,
        minutes: part(5)?,
        seconds: optional(a, 6)?.unwrap_or_default(),
    })
    .datum()
}

/// `to_timestamp(seconds since 1970)`
pub(super) fn to_timestamp(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |seconds: f64| datetime::from_epoch(seconds).map(Timestamptz))
}
