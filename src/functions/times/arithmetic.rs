//! Sums, differences, casts.

use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::call::{Date, Time, Timestamp, Timestamptz, arg, one, three, two};
use crate::types::datetime::{
    DAY, age as age_between, at_interval_zone, at_zone, date_add_days, date_add_time,
    date_bin as bin, date_sub, date_sub_days, date_to_timestamp, date_to_timestamptz,
    from_interval_zone, from_zone, interval_to_time, is_infinite, time_add, time_sub,
    timestamp_add, timestamp_sub, timestamp_sub_interval, timestamp_to_date, timestamp_to_time,
    timestamp_to_timestamptz, timestamptz_add, timestamptz_sub_interval, timestamptz_to_timestamp,
};
use crate::types::{Datum, Interval};

use super::zone;

/// The arguments the other way round, for the commuted operators.
fn swapped(a: &[Datum]) -> [Datum; 2] {
    [a[1].clone(), a[0].clone()]
}

pub(super) fn date_plus_days(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |d: Date, n: i32| date_add_days(d.0, n).map(Date))
}

pub(super) fn days_plus_date(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    date_plus_days(context, &swapped(a))
}

pub(super) fn date_minus_days(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |d: Date, n: i32| date_sub_days(d.0, n).map(Date))
}

pub(super) fn date_minus_date(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: Date, y: Date| date_sub(x.0, y.0))
}

pub(super) fn date_plus_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |d: Date, i: &Interval| timestamp_add(date_to_timestamp(d.0)?, i).map(Timestamp))
}

pub(super) fn interval_plus_date(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    date_plus_interval(context, &swapped(a))
}

pub(super) fn date_minus_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |d: Date, i: &Interval| {
        timestamp_sub_interval(date_to_timestamp(d.0)?, i).map(Timestamp)
    })
}

pub(super) fn date_plus_time(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |d: Date, t: Time| date_add_time(d.0, t.0).map(Timestamp))
}

pub(super) fn time_plus_date(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    date_plus_time(context, &swapped(a))
}

pub(super) fn time_plus_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: Time, i: &Interval| Time(time_add(t.0, i)))
}

pub(super) fn interval_plus_time(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    time_plus_interval(context, &swapped(a))
}

pub(super) fn time_minus_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: Time, i: &Interval| Time(time_sub(t.0, i)))
}

pub(super) fn time_minus_time(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: Time, y: Time| Interval::new(0, 0, x.0 - y.0))
}

pub(super) fn timestamp_plus_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: Timestamp, i: &Interval| timestamp_add(t.0, i).map(Timestamp))
}

pub(super) fn interval_plus_timestamp(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    timestamp_plus_interval(context, &swapped(a))
}

pub(super) fn timestamp_minus_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: Timestamp, i: &Interval| timestamp_sub_interval(t.0, i).map(Timestamp))
}

pub(super) fn timestamp_minus_timestamp(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: Timestamp, y: Timestamp| timestamp_sub(x.0, y.0))
}

pub(super) fn timestamptz_plus_interval(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: Timestamptz, i: &Interval| timestamptz_add(t.0, i, zone(context)).map(Timestamptz))
}

pub(super) fn interval_plus_timestamptz(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    timestamptz_plus_interval(context, &swapped(a))
}

pub(super) fn timestamptz_minus_interval(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: Timestamptz, i: &Interval| {
        timestamptz_sub_interval(t.0, i, zone(context)).map(Timestamptz)
    })
}

pub(super) fn timestamptz_minus_timestamptz(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: Timestamptz, y: Timestamptz| timestamp_sub(x.0, y.0))
}

pub(super) fn interval_plus_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: &Interval, y: &Interval| x.add(y))
}

pub(super) fn interval_minus_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: &Interval, y: &Interval| x.sub(y))
}

pub(super) fn negate_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Interval::neg)
}

pub(super) fn interval_times(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |i: &Interval, factor: f64| i.mul(factor))
}

pub(super) fn times_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |factor: f64, i: &Interval| i.mul(factor))
}

pub(super) fn interval_divided(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |i: &Interval, divisor: f64| i.div(divisor))
}

pub(super) fn justify_days(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Interval::justify_days)
}

pub(super) fn justify_hours(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Interval::justify_hours)
}

pub(super) fn justify_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Interval::justify)
}

/// The local midnight that began the day of the transaction.
fn today(context: &EvalContext) -> Result<i64> {
    let local = timestamptz_to_timestamp(context.transaction_time, zone(context))?;
    Ok(local.div_euclid(DAY) * DAY)
}

pub(super) fn timestamp_age(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: Timestamp, y: Timestamp| age_between(x.0, y.0))
}

pub(super) fn timestamp_age_today(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |t: Timestamp| today(context).map(|today| age_between(today, t.0)))
}

pub(super) fn timestamptz_age(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let local = |t: Timestamptz| timestamptz_to_timestamp(t.0, zone(context));
    two(a, |x: Timestamptz, y: Timestamptz| Ok(age_between(local(x)?, local(y)?)))
}

pub(super) fn timestamptz_age_today(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |t: Timestamptz| {
        Ok(age_between(today(context)?, timestamptz_to_timestamp(t.0, zone(context))?))
    })
}

pub(super) fn date_bin(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    three(a, |stride: &Interval, t: Timestamp, origin: Timestamp| {
        bin(stride, t.0, origin.0).map(Timestamp)
    })
}

pub(super) fn date_bin_tz(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    three(a, |stride: &Interval, t: Timestamptz, origin: Timestamptz| {
        bin(stride, t.0, origin.0).map(Timestamptz)
    })
}

/// `timestamp AT TIME ZONE name`
pub(super) fn from_zone_name(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |name: &str, t: Timestamp| match is_infinite(t.0) {
        true => Ok(Timestamptz(t.0)),
        false => from_zone(name, t.0).map(Timestamptz),
    })
}

/// `timestamptz AT TIME ZONE name`
pub(super) fn at_zone_name(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |name: &str, t: Timestamptz| match is_infinite(t.0) {
        true => Ok(Timestamp(t.0)),
        false => at_zone(name, t.0).map(Timestamp),
    })
}

pub(super) fn from_zone_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |offset: &Interval, t: Timestamp| from_interval_zone(offset, t.0).map(Timestamptz))
}

pub(super) fn at_zone_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |offset: &Interval, t: Timestamptz| at_interval_zone(offset, t.0).map(Timestamp))
}

pub(super) fn cast_date_to_timestamp(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |d: Date| date_to_timestamp(d.0).map(Timestamp))
}

pub(super) fn cast_date_to_timestamptz(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |d: Date| date_to_timestamptz(d.0, zone(context)).map(Timestamptz))
}

pub(super) fn cast_timestamp_to_date(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |t: Timestamp| timestamp_to_date(t.0).map(Date))
}

pub(super) fn cast_timestamp_to_time(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |t: Timestamp| timestamp_to_time(t.0).map(Time))
}

pub(super) fn cast_timestamp_to_timestamptz(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |t: Timestamp| timestamp_to_timestamptz(t.0, zone(context)).map(Timestamptz))
}

pub(super) fn cast_timestamptz_to_timestamp(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |t: Timestamptz| timestamptz_to_timestamp(t.0, zone(context)).map(Timestamp))
}

pub(super) fn cast_timestamptz_to_date(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |t: Timestamptz| {
        timestamp_to_date(timestamptz_to_timestamp(t.0, zone(context))?).map(Date)
    })
}

pub(super) fn cast_timestamptz_to_time(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |t: Timestamptz| {
        timestamptz_to_timestamp(t.0, zone(context)).map(|t| timestamp_to_time(t).map(Time))
    })
}

pub(super) fn cast_time_to_interval(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |t: Time| Interval::new(0, 0, t.0))
}

pub(super) fn cast_interval_to_time(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |i: &Interval| Time(interval_to_time(i)))
}

/// `timestamp(timestamp, digits)` and the like: the type's own length coercion.
pub(super) fn to_digits(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let digits: i32 = arg(a, 1)?;
    let ty = crate::types::io::type_of(&a[0]);
    let target = crate::types::SqlType { typmod: digits, ..ty };
    crate::functions::coerce_typmod(a[0].clone(), target, true)
}

pub(super) fn is_finite_date(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |d: Date| !matches!(d.0, i32::MIN | i32::MAX))
}

pub(super) fn is_finite_timestamp(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |t: Timestamp| !is_infinite(t.0))
}

pub(super) fn is_finite_timestamptz(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |t: Timestamptz| !is_infinite(t.0))
}

/// Every interval is finite.
pub(super) fn is_finite_interval(_: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(true))
}

/// `(start, end) OVERLAPS (start, end)` of one type; a NULL end is a point if the rest says so.
pub(super) fn overlaps(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    /// A period: the earlier bound first; the later may be unknown.
    fn period<'a>(from: &'a Datum, to: &'a Datum) -> Option<(&'a Datum, Option<&'a Datum>)> {
        match (from, to) {
            (Datum::Null, Datum::Null) => None,
            (Datum::Null, known) | (known, Datum::Null) => Some((known, None)),
            (from, to) if crate::functions::compare(from, to).is_gt() => Some((to, Some(from))),
            (from, to) => Some((from, Some(to))),
        }
    }
    let (Some(x), Some(y)) = (period(&a[0], &a[1]), period(&a[2], &a[3])) else {
        return Ok(Datum::Null);
    };
    // The later start must lie before the earlier period's end.
    let order = crate::functions::compare(x.0, y.0);
    let (late, early) = if order.is_gt() { (x, y) } else { (y, x) };
    if order.is_eq() {
        // One point in common, unless an end is not known.
        let known = x.1.is_some() && y.1.is_some();
        return Ok(if known { Datum::Bool(true) } else { Datum::Null });
    }
    Ok(match (early.1, late.1) {
        (None, _) => Datum::Null,
        (Some(end), _) if crate::functions::compare(late.0, end).is_lt() => Datum::Bool(true),
        (Some(_), None) => Datum::Null,
        (Some(_), Some(_)) => Datum::Bool(false),
    })
}

/// What adds an interval to a start.
type Plus = fn(&EvalContext, &[Datum]) -> Result<Datum>;

/// `OVERLAPS` where an interval says how far a period goes: `x` for the first, `y` for the second.
fn overlaps_by(context: &EvalContext, a: &[Datum], plus: Plus, x: bool, y: bool) -> Result<Datum> {
    let end = |start: &Datum, end: &Datum, by_length: bool| match (by_length, start, end) {
        (false, ..) => Ok(end.clone()),
        (true, Datum::Null, _) | (true, _, Datum::Null) => Ok(Datum::Null),
        (true, start, length) => plus(context, &[start.clone(), length.clone()]),
    };
    let (first, second) = (end(&a[0], &a[1], x)?, end(&a[2], &a[3], y)?);
    overlaps(context, &[a[0].clone(), first, a[2].clone(), second])
}

pub(super) fn time_overlaps<const X: bool, const Y: bool>(
    context: &EvalContext,
    a: &[Datum],
) -> Result<Datum> {
    overlaps_by(context, a, time_plus_interval, X, Y)
}

pub(super) fn timestamp_overlaps<const X: bool, const Y: bool>(
    context: &EvalContext,
    a: &[Datum],
) -> Result<Datum> {
    overlaps_by(context, a, timestamp_plus_interval, X, Y)
}

pub(super) fn timestamptz_overlaps<const X: bool, const Y: bool>(
    context: &EvalContext,
    a: &[Datum],
) -> Result<Datum> {
    overlaps_by(context, a, timestamptz_plus_interval, X, Y)
}
