//! Arithmetic of float4 and float8 with PostgreSQL's range checks.
//!
//! An infinite result of finite operands is 22003 "value out of range: overflow", a zero result of
//! operands that are not zero "value out of range: underflow".

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{Arg, Ret, one, two};
use crate::types::Datum;

use super::ints::{Int, division_by_zero, out_of_range};

/// float4 or float8. Arithmetic happens in the wider of the two operands' types.
pub(in crate::functions) trait Float: for<'a> Arg<'a> + Ret + Copy {
    /// As a float8.
    fn wide(self) -> f64;
    /// From a float8 that was computed from values of this type: rounds.
    fn narrow(wide: f64) -> Self;
}

impl Float for f32 {
    fn wide(self) -> f64 {
        self.into()
    }
    fn narrow(wide: f64) -> f32 {
        wide as f32
    }
}

impl Float for f64 {
    fn wide(self) -> f64 {
        self
    }
    fn narrow(wide: f64) -> f64 {
        wide
    }
}

#[cold]
pub(in crate::functions) fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

#[cold]
pub(in crate::functions) fn underflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

/// Refuses an infinity that finite operands made.
#[inline]
pub(in crate::functions) fn check_overflow<R: Float>(result: f64, finite: bool) -> Result<R> {
    let result = R::narrow(result);
    match result.wide().is_infinite() && finite {
        true => Err(overflow()),
        false => Ok(result),
    }
}

// The sum, difference, product and quotient of two float4 rounded from float8 equal those rounded
// once (53 >= 2 * 24 + 2 bits), so that one implementation serves both.

pub(super) fn add<A: Float, B: Float, R: Float>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: A, y: B| {
        let (x, y) = (x.wide(), y.wide());
        check_overflow::<R>(x + y, x.is_finite() && y.is_finite())
    })
}

pub(super) fn subtract<A: Float, B: Float, R: Float>(
    _: &EvalContext,
    a: &[Datum],
) -> Result<Datum> {
    two(a, |x: A, y: B| {
        let (x, y) = (x.wide(), y.wide());
        check_overflow::<R>(x - y, x.is_finite() && y.is_finite())
    })
}

pub(super) fn multiply<A: Float, B: Float, R: Float>(
    _: &EvalContext,
    a: &[Datum],
) -> Result<Datum> {
    two(a, |x: A, y: B| {
        let (x, y) = (x.wide(), y.wide());
        let result = check_overflow::<R>(x * y, x.is_finite() && y.is_finite())?;
        match result.wide() == 0.0 && x != 0.0 && y != 0.0 {
            true => Err(underflow()),
            false => Ok(result),
        }
    })
}

pub(super) fn divide<A: Float, B: Float, R: Float>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: A, y: B| {
        let (x, y) = (x.wide(), y.wide());
        if y == 0.0 && !x.is_nan() {
            return Err(division_by_zero());
        }
        let result = check_overflow::<R>(x / y, x.is_finite())?;
        match result.wide() == 0.0 && x != 0.0 && y.is_finite() {
            true => Err(underflow()),
            false => Ok(result),
        }
    })
}

pub(super) fn negate<R: Float>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: R| R::narrow(-x.wide()))
}

pub(super) fn absolute<R: Float>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: R| R::narrow(x.wide().abs()))
}

pub(super) fn from_int<A: Int, R: Float + IntTarget>(
    _: &EvalContext,
    a: &[Datum],
) -> Result<Datum> {
    one(a, |x: A| R::from_int(x.wide()))
}

/// Rounds an integer once, straight into the type.
pub(super) trait IntTarget {
    fn from_int(x: i64) -> Self;
}

impl IntTarget for f32 {
    fn from_int(x: i64) -> f32 {
        x as f32
    }
}

impl IntTarget for f64 {
    fn from_int(x: i64) -> f64 {
        x as f64
    }
}

/// Rounds half to even, as the C library's `rint`.
pub(super) fn to_int<A: Float, R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: A| {
        let rounded = x.wide().round_ties_even();
        // Both bounds are exact floats; the upper one is the first that does not fit.
        let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded);
        fits.then_some(rounded as i64).and_then(R::narrow).ok_or_else(|| out_of_range(R::NAME))
    })
}

pub(super) fn widen(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f32| f64::from(x))
}

pub(super) fn narrow(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| {
        let result = check_overflow::<f32>(x, x.is_finite())?;
        match result == 0.0 && x != 0.0 {
            true => Err(underflow()),
            false => Ok(result),
        }
    })
}
