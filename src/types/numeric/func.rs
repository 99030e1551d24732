//! Roots, exponentials and logarithms, to PostgreSQL's result scales.
//!
//! Each works with eight digits more than it shows, so that the last digit shown is rounded
//! rightly but for ties of that length.

use std::f64::consts::{LN_10, LOG10_2, LOG10_E};

use super::arith::{RESULT_SCALE_MAX, SIGNIFICANT_MIN};
use super::var::{GROUP, Var};
use super::{Numeric, WEIGHT_MAX, division_by_zero, overflow};
use crate::error::{Error, Result, SqlState};

/// Digits worked with beyond those shown.
const GUARD: i32 = 8;
/// Exponents are estimated within this, so that no estimate overflows.
const ESTIMATE_MAX: f64 = 2000.0;
/// Beyond this `exp` overflows or is zero.
const EXP_ARGUMENT_MAX: f64 = 6000.0;

fn log_error(what: &str) -> Error {
    Error::new(SqlState::INVALID_ARGUMENT_FOR_LOG, format!("cannot take logarithm of {what}"))
}

fn power_error(message: &str) -> Error {
    Error::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message)
}

impl Numeric {
    /// The square root. 2201F for negative numbers.
    pub fn sqrt(&self) -> Result<Numeric> {
        if self.is_nan() {
            return Ok(Numeric::NAN);
        }
        if self.sign() < 0 {
            return Err(power_error("cannot take square root of a negative number"));
        }
        if self.is_infinite() {
            return Ok(Numeric::INFINITY);
        }
        let v = self.to_var();
        let rscale = SIGNIFICANT_MIN - (v.weight * GROUP / 2 + 1);
        let rscale = rscale.max(v.dscale).clamp(0, RESULT_SCALE_MAX);
        Numeric::from_var(sqrt(&v, rscale))
    }

    /// The square root of a number that is not negative, rounded to `scale` decimals.
    pub fn sqrt_to_scale(&self, scale: u32) -> Result<Numeric> {
        Numeric::from_var(sqrt(&self.to_var(), (scale as i32).clamp(0, RESULT_SCALE_MAX)))
    }

    /// e to this power.
    pub fn exp(&self) -> Result<Numeric> {
        if !self.is_finite() {
            return Ok(if self.sign() < 0 { Numeric::ZERO } else { self.clone() });
        }
        let v = self.to_var();
        let weight = (self.to_f64() * LOG10_E).clamp(-ESTIMATE_MAX, ESTIMATE_MAX);
        let rscale = (SIGNIFICANT_MIN - weight as i32).max(v.dscale).clamp(0, RESULT_SCALE_MAX);
        Numeric::from_var(exp(&v, rscale)?)
    }

    /// The natural logarithm. 2201E for zero and below.
    pub fn ln(&self) -> Result<Numeric> {
        if self.is_nan() {
            return Ok(Numeric::NAN);
        }
        self.check_logarithm()?;
        if self.is_infinite() {
            return Ok(Numeric::INFINITY);
        }
        let v = self.to_var();
        let rscale = SIGNIFICANT_MIN - estimate_ln_weight(&v);
        let rscale = rscale.max(v.dscale).clamp(0, RESULT_SCALE_MAX);
        Numeric::from_var(ln(&v, rscale))
    }

    /// The logarithm of `n` to the base `self`. 2201E for zero and below.
    pub fn log(&self, n: &Numeric) -> Result<Numeric> {
        if self.is_nan() || n.is_nan() {
            return Ok(Numeric::NAN);
        }
        // Finite arguments are looked at in turn.
        if self.is_finite() && n.is_finite() {
            self.check_logarithm()?;
        } else if self.sign() < 0 || n.sign() < 0 {
            return Err(log_error("a negative number"));
        }
        if self.sign() == 0 {
            return Err(log_error("zero"));
        }
        n.check_logarithm()?;
        match (self.is_infinite(), n.is_infinite()) {
            (true, true) => return Ok(Numeric::NAN),
            (true, false) => return Ok(Numeric::ZERO),
            (false, true) => return Ok(Numeric::INFINITY),
            (false, false) => {}
        }
        let (base, n) = (self.to_var(), n.to_var());
        let base_weight = estimate_ln_weight(&base);
        let n_weight = estimate_ln_weight(&n);
        let weight = n_weight - base_weight;
        let rscale = (SIGNIFICANT_MIN - weight).max(base.dscale).max(n.dscale);
        let rscale = rscale.clamp(0, RESULT_SCALE_MAX);
        let ln_base = ln(&base, (rscale + weight - base_weight + GUARD).max(0));
        let ln_n = ln(&n, (rscale + weight - n_weight + GUARD).max(0));
        if ln_base.is_zero() {
            return Err(division_by_zero());
        }
        Numeric::from_var(ln_n.div(&ln_base, rscale, true))
    }

    /// This to the power of `exponent`.
    pub fn power(&self, exponent: &Numeric) -> Result<Numeric> {
        if !self.is_finite() || !exponent.is_finite() {
            return self.power_special(exponent);
        }
        self.check_power(exponent)?;
        Numeric::from_var(power(&self.to_var(), &exponent.to_var())?)
    }

    fn check_logarithm(&self) -> Result<()> {
        match self.sign() {
            0 => Err(log_error("zero")),
            -1 => Err(log_error("a negative number")),
            _ => Ok(()),
        }
    }

    fn check_power(&self, exponent: &Numeric) -> Result<()> {
        if self.is_zero() && exponent.sign() < 0 {
            return Err(power_error("zero raised to a negative power is undefined"));
        }
        if self.sign() < 0 && exponent.is_finite() && !exponent.is_integral() {
            return Err(power_error(
                "a negative number raised to a non-integer power yields a complex result",
            ));
        }
        Ok(())
    }

    /// Powers where a side is NaN or infinite, as POSIX has them.
    fn power_special(&self, exponent: &Numeric) -> Result<Numeric> {
        if self.is_nan() {
            return Ok(if exponent.is_zero() { Numeric::ONE } else { Numeric::NAN });
        }
        if exponent.is_nan() {
            return Ok(if *self == Numeric::ONE { Numeric::ONE } else { Numeric::NAN });
        }
        self.check_power(exponent)?;
        if *self == Numeric::ONE || exponent.is_zero() {
            return Ok(Numeric::ONE);
        }
        if self.is_zero() {
            return Ok(Numeric::ZERO);
        }
        if exponent.is_infinite() {
            let one = self.abs().cmp(&Numeric::ONE);
            return Ok(match (one.is_eq(), one.is_gt() == (exponent.sign() > 0)) {
                (true, _) => Numeric::ONE,
                (false, true) => Numeric::INFINITY,
                (false, false) => Numeric::ZERO,
            });
        }
        if exponent.sign() < 0 {
            return Ok(Numeric::ZERO);
        }
        let odd = exponent.is_integral() && !exponent.rem(&Numeric::from_i64(2))?.is_zero();
        Ok(if self.sign() < 0 && odd { Numeric::NEG_INFINITY } else { Numeric::INFINITY })
    }
}

fn to_f64(v: &Var) -> f64 {
    let mut text = String::new();
    v.write_to(&mut text);
    text.parse().unwrap_or(f64::NAN)
}

fn int(n: i64) -> Var {
    Var::from_i128(i128::from(n), 0)
}

/// Decimals that keep `digits` significant ones of a number of this weight.
fn significant_scale(digits: i32, weight: i32) -> i32 {
    (digits - weight * GROUP).max(0)
}

/// The root rounded to `rscale`, by Newton's iteration with growing precision.
fn sqrt(v: &Var, rscale: i32) -> Var {
    if v.is_zero() {
        return Var::zero(rscale.max(0));
    }
    // A float of the first digits starts it with about 15 decimal digits right.
    let even = v.weight - v.weight.rem_euclid(2);
    let lead = (0..6).fold(0f64, |f, i| f * 1e4 + f64::from(v.at(even + 1 - i))) / 1e16;
    let text = format!("{:.17e}", lead.sqrt());
    let mut x = match Numeric::parse(&text) {
        Ok(n) => n.to_var(),
        Err(_) => Var::one(),
    };
    x.weight += even / 2;
    let half = Numeric::from_i128(5, 1).to_var();
    // One digit beyond what is shown decides; more, so that iteration's own error stays below it.
    let wanted = rscale + GUARD;
    let mut digits = 14;
    loop {
        digits *= 2;
        let scale = (digits - x.weight * GROUP).min(wanted).max(0);
        x = x.add(&v.div(&x, scale + 4, true)).mul(&half).truncated(scale + 4);
        if scale >= wanted.max(0) {
            break;
        }
    }
    exact_root(v, x, rscale)
}

/// Cuts an approximate root to one digit more than shown, corrects that digit, and rounds.
fn exact_root(v: &Var, x: Var, rscale: i32) -> Var {
    let mut x = x.truncated(rscale + 1);
    let unit = Var::from_decimal(false, &[1], -rscale, rscale.max(0) + 1);
    while x.mul(&x).compare(v).is_gt() {
        x = x.sub(&unit);
    }
    loop {
        let next = x.add(&unit);
        if next.mul(&next).compare(v).is_gt() {
            break;
        }
        x = next;
    }
    x.rounded(rscale)
}

/// e^x rounded to `rscale`: x is halved until small, Taylor's series, then squared back.
fn exp(arg: &Var, rscale: i32) -> Result<Var> {
    let mut value = to_f64(arg);
    if value.abs() >= EXP_ARGUMENT_MAX {
        return if value > 0.0 { Err(overflow()) } else { Ok(Var::zero(rscale)) };
    }
    let weight = (value * LOG10_E) as i32;
    let mut halvings = 0;
    while value.abs() > 0.01 {
        halvings += 1;
        value /= 2.0;
    }
    let digits = 1 + weight + rscale + (f64::from(halvings) * LOG10_2) as i32;
    let digits = digits.max(0) + GUARD;
    let scale = digits - 1;
    let x = if halvings > 0 {
        arg.div(&int(1 << halvings), arg.dscale + halvings, true)
    } else {
        arg.clone()
    };
    let mut result = Var::one().add(&x);
    let mut element = x.clone();
    let mut n = 2;
    loop {
        element = element.mul(&x).div(&int(n), scale, true);
        if element.is_zero() {
            break;
        }
        result = result.add(&element);
        n += 1;
    }
    for _ in 0..halvings {
        let scale = significant_scale(digits, result.weight * 2);
        result = result.mul_rounded(&result, scale);
    }
    Ok(result.rounded(rscale))
}

/// Decimal weight of ln(v), roughly.
fn estimate_ln_weight(v: &Var) -> i32 {
    let nine_tenths = Var::from_i128(9, 1);
    let eleven_tenths = Var::from_i128(11, 1);
    if v.sign() <= 0 {
        return 0;
    }
    if v.compare(&nine_tenths).is_ge() && v.compare(&eleven_tenths).is_le() {
        let x = v.sub(&Var::one());
        return match x.digits.first() {
            Some(&d) => x.weight * GROUP + f64::from(d).log10() as i32,
            None => 0,
        };
    }
    let mut digits = f64::from(v.digits[0]);
    let mut weight = v.weight * GROUP;
    if let Some(&second) = v.digits.get(1) {
        digits = digits * 10_000.0 + f64::from(second);
        weight -= GROUP;
    }
    let ln = digits.ln() + f64::from(weight) * LN_10;
    ln.abs().log10() as i32
}

/// ln(v) rounded to `rscale`: roots bring v near 1, then the series of the area tangent.
fn ln(v: &Var, rscale: i32) -> Var {
    let nine_tenths = Var::from_i128(9, 1);
    let eleven_tenths = Var::from_i128(11, 1);
    let mut x = v.clone();
    let mut roots = 0u32;
    while x.compare(&nine_tenths).is_le() || x.compare(&eleven_tenths).is_ge() {
        let scale = (rscale - x.weight * GROUP / 2 + GUARD + GROUP).max(0);
        x = sqrt(&x, scale);
        roots += 1;
    }
    let scale = rscale + (f64::from(roots) * LOG10_2) as i32 + GUARD;
    let z = x.sub(&Var::one()).div(&x.add(&Var::one()), scale, true);
    let square = z.mul_rounded(&z, scale);
    let mut result = z.clone();
    let mut power = z;
    let mut n = 3;
    loop {
        power = power.mul_rounded(&square, scale);
        let element = power.div(&int(n), scale, true);
        if element.is_zero() {
            break;
        }
        result = result.add(&element);
        n += 2;
    }
    let factor = Var::from_i128(2i128 << roots, 0);
    result.mul_rounded(&factor, rscale)
}

/// base^exponent, to 16 significant digits at least.
fn power(base: &Var, exponent: &Var) -> Result<Var> {
    if exponent.is_integral()
        && let Some(n) = exponent.to_scaled(0).and_then(|n| i32::try_from(n).ok())
    {
        return power_int(base, n);
    }
    if base.is_zero() {
        return Ok(Var::zero(SIGNIFICANT_MIN));
    }
    // A negative base comes with an integer exponent only; its parity is the sign.
    let negative = base.negative && exponent.at(0) % 2 == 1;
    let mut magnitude = base.clone();
    magnitude.negative = false;
    let ln_weight = estimate_ln_weight(&magnitude);
    let rough_scale = (GUARD - ln_weight).max(0);
    let rough = ln(&magnitude, rough_scale).mul_rounded(exponent, rough_scale);
    let value = to_f64(&rough);
    if value.abs() > ESTIMATE_MAX * 3.01 {
        return if value > 0.0 { Err(overflow()) } else { Ok(Var::zero(RESULT_SCALE_MAX)) };
    }
    let weight = (value * LOG10_E) as i32;
    let rscale = (SIGNIFICANT_MIN - weight).max(base.dscale).max(exponent.dscale);
    let rscale = rscale.clamp(0, RESULT_SCALE_MAX);
    let digits = (rscale + weight).max(0);
    let scale = (digits - ln_weight + GUARD).max(0);
    let product = ln(&magnitude, scale).mul_rounded(exponent, scale);
    let result = exp(&product, rscale)?;
    Ok(if negative { result.neg() } else { result })
}

/// Decimal weight of base^n, by floats.
fn estimate_power_weight(base: &Var, n: i32) -> f64 {
    if base.is_zero() {
        return 0.0;
    }
    let mut digits = f64::from(base.digits[0]);
    let mut weight = base.weight * GROUP;
    for &d in base.digits.iter().take(4).skip(1) {
        digits = digits * 10_000.0 + f64::from(d);
        weight -= GROUP;
    }
    f64::from(n) * (digits.log10() + f64::from(weight))
}

/// base^n to 16 decimals at least: whole exponents show no significant digits, but decimals.
fn power_int(base: &Var, n: i32) -> Result<Var> {
    let rscale = SIGNIFICANT_MIN.max(base.dscale).min(RESULT_SCALE_MAX);
    match n {
        0 => return Ok(Var::one().rounded(rscale)),
        1 => return Ok(base.clone().rounded(rscale)),
        -1 if !base.is_zero() => return Ok(Var::one().div(base, rscale, true)),
        2 => return Ok(base.mul_rounded(base, rscale)),
        _ => {}
    }
    if base.is_zero() {
        return if n < 0 { Err(division_by_zero()) } else { Ok(Var::zero(rscale)) };
    }
    let estimate = estimate_power_weight(base, n);
    if estimate > f64::from((WEIGHT_MAX + 1) * GROUP) {
        return Err(overflow());
    }
    if estimate + 1.0 < -f64::from(rscale) {
        return Ok(Var::zero(rscale));
    }
    let digits = 1 + rscale + estimate as i32 + f64::from(n).abs().ln() as i32 + GUARD;
    let mut square = base.clone();
    let mut mask = n.unsigned_abs();
    let mut result = if mask & 1 == 1 { base.clone() } else { Var::one() };
    mask >>= 1;
    while mask > 0 {
        let scale = significant_scale(digits, 2 * square.weight).min(2 * square.dscale);
        square = square.mul_rounded(&square, scale);
        if mask & 1 == 1 {
            let scale = significant_scale(digits, square.weight + result.weight);
            result = square.mul_rounded(&result, scale.min(square.dscale + result.dscale));
        }
        // From here on the result overflows for sure, or is zero.
        if square.weight > WEIGHT_MAX || result.weight > WEIGHT_MAX {
            return if n > 0 { Err(overflow()) } else { Ok(Var::zero(rscale)) };
        }
        mask >>= 1;
    }
    Ok(if n < 0 { Var::one().div(&result, rscale, true) } else { result.rounded(rscale) })
}
