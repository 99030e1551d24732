//! Functions of float8: roots, powers, logarithms, trigonometry, rounding.

use std::f64::consts::PI;

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, one, two};
use crate::types::{Array, Datum};

use super::floats::{overflow, underflow};
use super::ints::out_of_range;

#[cold]
pub(super) fn domain() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

fn power_error(message: &str) -> Error {
    Error::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message)
}

pub(super) fn ceil(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, f64::ceil as fn(f64) -> f64)
}

pub(super) fn floor(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, f64::floor as fn(f64) -> f64)
}

/// Halves to even, as the C library's `rint`.
pub(super) fn round(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, f64::round_ties_even as fn(f64) -> f64)
}

pub(super) fn trunc(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, f64::trunc as fn(f64) -> f64)
}

pub(super) fn sign(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| match x {
        _ if x > 0.0 => 1.0,
        _ if x < 0.0 => -1.0,
        // Of NaN too.
        _ => 0.0,
    })
}

pub(super) fn sqrt(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| match x < 0.0 {
        true => Err(power_error("cannot take square root of a negative number")),
        false => Ok(x.sqrt()),
    })
}

pub(super) fn cbrt(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, f64::cbrt as fn(f64) -> f64)
}

/// Refuses infinite results of finite arguments, and zeros that should not be.
fn checked(result: f64, finite: bool, may_vanish: bool) -> Result<f64> {
    match result {
        _ if result.is_infinite() && finite => Err(overflow()),
        _ if result == 0.0 && !may_vanish => Err(underflow()),
        _ => Ok(result),
    }
}

pub(super) fn power(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: f64, y: f64| {
        if x.is_nan() || y.is_nan() {
            return Ok(if y == 0.0 || x == 1.0 { 1.0 } else { f64::NAN });
        }
        if x == 0.0 && y < 0.0 {
            return Err(power_error("zero raised to a negative power is undefined"));
        }
        if x < 0.0 && y.floor() != y {
            return Err(power_error(
                "a negative number raised to a non-integer power yields a complex result",
            ));
        }
        let finite = x.is_finite() && y.is_finite();
        checked(x.powf(y), finite, !finite || x == 0.0)
    })
}

pub(super) fn exp(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| checked(x.exp(), x.is_finite(), !x.is_finite()))
}

/// The argument of a logarithm, if it has one.
fn positive(x: f64) -> Result<f64> {
    let refuse = |what: &str| {
        let message = format!("cannot take logarithm of {what}");
        Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_LOG, message))
    };
    match x {
        0.0 => refuse("zero"),
        _ if x < 0.0 => refuse("a negative number"),
        _ => Ok(x),
    }
}

pub(super) fn ln(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| positive(x).map(f64::ln))
}

pub(super) fn log10(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| positive(x).map(f64::log10))
}

pub(super) fn degrees(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| checked(x / (PI / 180.0), x.is_finite(), true))
}

pub(super) fn radians(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| checked(x * (PI / 180.0), x.is_finite(), x == 0.0))
}

pub(super) fn pi(_: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Float8(PI))
}

/// A function that has no value at infinity.
fn finite(a: &[Datum], f: fn(f64) -> f64) -> Result<Datum> {
    one(a, |x: f64| match x.is_infinite() {
        true => Err(domain()),
        false => Ok(f(x)),
    })
}

pub(super) fn sin(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    finite(a, f64::sin)
}

pub(super) fn cos(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    finite(a, f64::cos)
}

pub(super) fn tan(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    finite(a, f64::tan)
}

pub(super) fn cot(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    finite(a, |x| 1.0 / x.tan())
}

/// A function of -1 to 1.
fn of_unit(a: &[Datum], f: fn(f64) -> f64) -> Result<Datum> {
    one(a, |x: f64| match x.abs() > 1.0 {
        true => Err(domain()),
        false => Ok(f(x)),
    })
}

pub(super) fn asin(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    of_unit(a, f64::asin)
}

pub(super) fn acos(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    of_unit(a, f64::acos)
}

pub(super) fn atan(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, f64::atan as fn(f64) -> f64)
}

pub(super) fn atan2(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, f64::atan2 as fn(f64, f64) -> f64)
}

pub(super) fn sinh(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, f64::sinh as fn(f64) -> f64)
}

pub(super) fn cosh(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, f64::cosh as fn(f64) -> f64)
}

pub(super) fn tanh(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, f64::tanh as fn(f64) -> f64)
}

/// One of the session's random numbers: 0 and up, below 1.
pub(super) fn random(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Float8(context.session.state.random(context)))
}

/// `setseed(-1 to 1)`
pub(super) fn set_seed(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let seed: f64 = arg(a, 0)?;
    if !(-1.0..=1.0).contains(&seed) {
        let shown = super::percent_g(seed);
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("setseed parameter {shown} is out of allowed range [-1,1]"),
        ));
    }
    context.session.state.seed(seed);
    Ok(Datum::Text("".into()))
}

/// What `width_bucket` refuses: 2201G.
pub(super) fn check_buckets(count: i32, nan: bool, infinite: bool, equal: bool) -> Result<()> {
    let message = match () {
        () if count <= 0 => "count must be greater than zero",
        () if nan => "operand, lower bound, and upper bound cannot be NaN",
        () if infinite => "lower and upper bounds must be finite",
        () if equal => "lower bound cannot equal upper bound",
        () => return Ok(()),
    };
    Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET, message))
}

/// `width_bucket(operand, low, high, count)`
pub(super) fn width_bucket(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (x, low, high): (f64, f64, f64) = (arg(a, 0)?, arg(a, 1)?, arg(a, 2)?);
    let count: i32 = arg(a, 3)?;
    check_buckets(
        count,
        x.is_nan() || low.is_nan() || high.is_nan(),
        low.is_infinite() || high.is_infinite(),
        low == high,
    )?;
    // A falling range is a rising one with all signs turned.
    let (x, low, high) = if low < high { (x, low, high) } else { (-x, -low, -high) };
    if x < low {
        return Ok(Datum::Int4(0));
    }
    if x >= high {
        return count.checked_add(1).map(Datum::Int4).ok_or_else(|| out_of_range("integer"));
    }
    let share = match (high - low).is_infinite() {
        false => (x - low) / (high - low),
        true => (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0),
    };
    Ok(Datum::Int4(((f64::from(count) * share) as i32).min(count - 1) + 1))
}

/// `width_bucket(operand, thresholds)`: how many thresholds it reaches.
pub(super) fn width_bucket_of(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let thresholds: &Array = arg(a, 1)?;
    if thresholds.values.iter().any(Datum::is_null) {
        return Err(Error::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "thresholds array must not contain NULLs",
        ));
    }
    let reached = |t: &Datum| crate::functions::compare(t, &a[0]).is_le();
    Ok(Datum::Int4(thresholds.values.partition_point(reached) as i32))
}
