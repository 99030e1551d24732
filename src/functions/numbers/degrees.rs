//! Trigonometry in degrees, exact where its values are, and the inverse hyperbolic functions.
//!
//! Quotients by the functions' own values at 30, 45 and 60 degrees keep rounding errors out of
//! the results that are exact, as PostgreSQL does it.

use std::f64::consts::LN_2;

use super::math::domain;
use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::call::{one, two};
use crate::types::Datum;

const RADIANS_PER_DEGREE: f64 = 0.017_453_292_519_943_295;
/// Below this, the inverse hyperbolic functions are their argument.
const TINY: f64 = 1.0 / (1_u64 << 28) as f64;
/// Above this, they are a logarithm.
const HUGE: f64 = (1_u64 << 28) as f64;

/// Sine of 0 to 30 degrees.
fn small_sine(x: f64) -> f64 {
    (x * RADIANS_PER_DEGREE).sin() / (30.0 * RADIANS_PER_DEGREE).sin() / 2.0
}

/// Cosine of 0 to 60 degrees.
fn small_cosine(x: f64) -> f64 {
    let one_minus = |x: f64| 1.0 - (x * RADIANS_PER_DEGREE).cos();
    1.0 - one_minus(x) / one_minus(60.0) / 2.0
}

/// Sine of 0 to 90 degrees.
fn quadrant_sine(x: f64) -> f64 {
    if x <= 30.0 { small_sine(x) } else { small_cosine(90.0 - x) }
}

/// Cosine of 0 to 90 degrees.
fn quadrant_cosine(x: f64) -> f64 {
    if x <= 60.0 { small_cosine(x) } else { small_sine(90.0 - x) }
}

/// Inverse sine of 0 to 1.
fn inverse_sine(x: f64) -> f64 {
    match x <= 0.5 {
        true => x.asin() / 0.5_f64.asin() * 30.0,
        false => 90.0 - x.acos() / 0.5_f64.acos() * 60.0,
    }
}

/// Inverse cosine of 0 to 1.
fn inverse_cosine(x: f64) -> f64 {
    match x <= 0.5 {
        true => 90.0 - x.asin() / 0.5_f64.asin() * 30.0,
        false => x.acos() / 0.5_f64.acos() * 60.0,
    }
}

/// An angle in the first quadrant, and whether sine, cosine and tangent changed their signs.
struct Folded {
    angle: f64,
    sine: f64,
    cosine: f64,
}

fn fold(x: f64) -> Folded {
    let mut folded = Folded { angle: x % 360.0, sine: 1.0, cosine: 1.0 };
    if folded.angle < 0.0 {
        folded.angle = -folded.angle;
        folded.sine = -folded.sine;
    }
    if folded.angle > 180.0 {
        folded.angle = 360.0 - folded.angle;
        folded.sine = -folded.sine;
    }
    if folded.angle > 90.0 {
        folded.angle = 180.0 - folded.angle;
        folded.cosine = -folded.cosine;
    }
    folded
}

/// A function of any finite angle.
fn of_angle(a: &[Datum], f: fn(&Folded) -> f64) -> Result<Datum> {
    one(a, |x: f64| match x {
        _ if x.is_nan() => Ok(x),
        _ if x.is_infinite() => Err(domain()),
        _ => Ok(f(&fold(x))),
    })
}

pub(super) fn sind(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    of_angle(a, |f| f.sine * quadrant_sine(f.angle))
}

pub(super) fn cosd(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    of_angle(a, |f| f.cosine * quadrant_cosine(f.angle))
}

/// A quotient of sine and cosine, 1 at 45 degrees; zero has no sign.
fn quotient(f: &Folded, over: fn(f64) -> f64, under: fn(f64) -> f64) -> f64 {
    let unit = over(45.0) / under(45.0);
    // A zero loses its sign.
    f.sine * f.cosine * (over(f.angle) / under(f.angle) / unit) + 0.0
}

pub(super) fn tand(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    of_angle(a, |f| quotient(f, quadrant_sine, quadrant_cosine))
}

pub(super) fn cotd(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    of_angle(a, |f| quotient(f, quadrant_cosine, quadrant_sine))
}

/// A function of -1 to 1.
fn of_unit(a: &[Datum], f: fn(f64) -> f64) -> Result<Datum> {
    one(a, |x: f64| match x.abs() > 1.0 {
        true => Err(domain()),
        false => Ok(f(x)),
    })
}

pub(super) fn asind(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    of_unit(a, |x| if x >= 0.0 { inverse_sine(x) } else { -inverse_sine(-x) })
}

pub(super) fn acosd(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    of_unit(a, |x| if x >= 0.0 { inverse_cosine(x) } else { 90.0 + inverse_sine(-x) })
}

pub(super) fn atand(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| x.atan() / 1.0_f64.atan() * 45.0)
}

pub(super) fn atan2d(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |y: f64, x: f64| y.atan2(x) / 1.0_f64.atan() * 45.0)
}

pub(super) fn asinh(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| {
        let size = x.abs();
        let result = match size {
            _ if !x.is_finite() || size < TINY => return x,
            _ if size > HUGE => size.ln() + LN_2,
            _ if size > 2.0 => (2.0 * size + 1.0 / ((x * x + 1.0).sqrt() + size)).ln(),
            _ => {
                let square = x * x;
                (size + square / (1.0 + (1.0 + square).sqrt())).ln_1p()
            }
        };
        result.copysign(x)
    })
}

pub(super) fn acosh(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| match x {
        _ if x < 1.0 => Err(domain()),
        _ if !x.is_finite() => Ok(x),
        _ if x > HUGE => Ok(x.ln() + LN_2),
        _ if x > 2.0 => Ok((2.0 * x - 1.0 / (x + (x * x - 1.0).sqrt())).ln()),
        _ => {
            let t = x - 1.0;
            Ok((t + (2.0 * t + t * t).sqrt()).ln_1p())
        }
    })
}

pub(super) fn atanh(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: f64| {
        let size = x.abs();
        let result = match size {
            _ if size > 1.0 => return Err(domain()),
            1.0 => f64::INFINITY,
            _ if x.is_nan() || size < TINY => return Ok(x),
            _ if size < 0.5 => {
                let double = size + size;
                0.5 * (double + double * size / (1.0 - size)).ln_1p()
            }
            _ => 0.5 * ((size + size) / (1.0 - size)).ln_1p(),
        };
        Ok(result.copysign(x))
    })
}
