//! Arithmetic of numeric, its casts, and the functions over it. The calculations are
//! `types::Numeric`'s.

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, one, optional, two};
use crate::types::{Datum, Numeric};

use super::ints::Int;

pub(super) fn add(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, Numeric::add)
}

pub(super) fn subtract(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, Numeric::sub)
}

pub(super) fn multiply(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, Numeric::mul)
}

pub(super) fn divide(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, Numeric::div)
}

pub(super) fn divide_whole(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, Numeric::div_trunc)
}

pub(super) fn remainder(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, Numeric::rem)
}

pub(super) fn power(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, Numeric::power)
}

pub(super) fn negate(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::neg)
}

pub(super) fn absolute(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::abs)
}

pub(super) fn increment(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Numeric| x.add(&Numeric::ONE))
}

pub(super) fn sign(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Numeric| match x.is_nan() {
        true => Numeric::NAN,
        false => Numeric::from_i64(x.sign().into()),
    })
}

/// `round(numeric [, scale])`
pub(super) fn round(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let scale = optional(a, 1)?.unwrap_or(0);
    one(a, |x: &Numeric| x.round(scale))
}

/// `trunc(numeric [, scale])`
pub(super) fn trunc(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let scale = optional(a, 1)?.unwrap_or(0);
    one(a, |x: &Numeric| x.trunc(scale))
}

pub(super) fn ceil(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::ceil)
}

pub(super) fn floor(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::floor)
}

pub(super) fn sqrt(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::sqrt)
}

pub(super) fn exp(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::exp)
}

pub(super) fn ln(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::ln)
}

/// `log(base, x)`
pub(super) fn log(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, Numeric::log)
}

pub(super) fn log10(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Numeric| Numeric::from_i64(10).log(x))
}

pub(super) fn scale(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Numeric| x.is_finite().then(|| x.scale() as i32))
}

pub(super) fn min_scale(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::min_scale)
}

pub(super) fn trim_scale(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::trim_scale)
}

/// Euclid's algorithm; the result shows as many decimals as either side.
fn divisor(x: &Numeric, y: &Numeric) -> Result<Numeric> {
    if !x.is_finite() || !y.is_finite() {
        return Ok(Numeric::NAN);
    }
    let scale = x.scale().max(y.scale()) as i32;
    let (mut x, mut y) = (x.abs(), y.abs());
    while !y.is_zero() {
        let rest = x.rem(&y)?;
        (x, y) = (y, rest);
    }
    x.round(scale)
}

pub(super) fn greatest_common_divisor(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, divisor)
}

pub(super) fn least_common_multiple(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: &Numeric, y: &Numeric| {
        let scale = x.scale().max(y.scale()) as i32;
        match divisor(x, y)? {
            d if d.is_nan() => Ok(d),
            d if d.is_zero() || x.is_zero() || y.is_zero() => Numeric::ZERO.round(scale),
            d => x.div_trunc(&d)?.mul(y)?.abs().round(scale),
        }
    })
}

pub(super) fn factorial(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    /// The largest number whose factorial a numeric can hold.
    const LAST: i64 = 32_177;
    let out_of_range = |message| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message);
    one(a, |n: i64| match n {
        ..0 => Err(out_of_range("factorial of a negative number is undefined")),
        0..=LAST => (2..=n).try_fold(Numeric::ONE, |product, k| product.mul(&Numeric::from_i64(k))),
        _ => Err(out_of_range("value overflows numeric format")),
    })
}

/// `width_bucket(operand, low, high, count)`
pub(super) fn width_bucket(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (x, low, high): (&Numeric, &Numeric, &Numeric) = (arg(a, 0)?, arg(a, 1)?, arg(a, 2)?);
    let count: i32 = arg(a, 3)?;
    super::math::check_buckets(
        count,
        x.is_nan() || low.is_nan() || high.is_nan(),
        low.is_infinite() || high.is_infinite(),
        low.cmp(high).is_eq(),
    )?;
    // Counted along the direction from the low bound to the high one.
    let (rising, below, above) = match low.cmp(high).is_lt() {
        true => (true, x.cmp(low).is_lt(), x.cmp(high).is_ge()),
        false => (false, x.cmp(low).is_gt(), x.cmp(high).is_le()),
    };
    if below {
        return Ok(Datum::Int4(0));
    }
    if above {
        return count
            .checked_add(1)
            .map(Datum::Int4)
            .ok_or_else(|| super::ints::out_of_range("integer"));
    }
    let (distance, width) = match rising {
        true => (x.sub(low)?, high.sub(low)?),
        false => (low.sub(x)?, low.sub(high)?),
    };
    let bucket = distance.mul(&Numeric::from_i64(count.into()))?.div_trunc(&width)?;
    Ok(Datum::Int4(bucket.to_i32()?.min(count - 1) + 1))
}

pub(super) fn from_int<A: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: A| Numeric::from_i64(x.wide()))
}

pub(super) fn from_float4(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::from_f32)
}

pub(super) fn from_float8(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::from_f64)
}

pub(super) fn to_int2(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::to_i16)
}

pub(super) fn to_int4(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::to_i32)
}

pub(super) fn to_int8(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Numeric::to_i64)
}

/// 22003 in the words of the float's input function.
fn unfit(x: &Numeric, type_name: &str) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{x}\" is out of range for type {type_name}"),
    )
}

pub(super) fn to_float4(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Numeric| match x.to_f32() {
        f if x.is_finite() && (f.is_infinite() || f == 0.0 && !x.is_zero()) => {
            Err(unfit(x, "real"))
        }
        f => Ok(f),
    })
}

pub(super) fn to_float8(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Numeric| match x.to_f64() {
        f if x.is_finite() && (f.is_infinite() || f == 0.0 && !x.is_zero()) => {
            Err(unfit(x, "double precision"))
        }
        f => Ok(f),
    })
}

/// `numeric(numeric, typmod)`
pub(super) fn to_typmod(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: &Numeric, typmod: i32| x.apply_typmod(typmod))
}

/// 22023 for bounds and steps that `generate_series` cannot go by.
pub(in crate::functions) fn check_series(
    start: &Numeric,
    stop: &Numeric,
    step: &Numeric,
) -> Result<()> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    for (value, what) in [(start, "start value"), (stop, "stop value"), (step, "step size")] {
        if value.is_nan() {
            return Err(invalid(format!("{what} cannot be NaN")));
        }
        if value.is_infinite() {
            return Err(invalid(format!("{what} cannot be infinity")));
        }
    }
    match step.is_zero() {
        true => Err(invalid("step size cannot equal zero".to_owned())),
        false => Ok(()),
    }
}
