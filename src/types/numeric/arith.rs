//! Sums, products, quotients and rounding, with PostgreSQL's result scales.

use super::{
    DISPLAY_SCALE_MAX, Numeric, POW10, Repr, SMALL_SCALE_MAX, digit_count, division_by_zero, pow10,
};
use crate::error::Result;
use crate::types::numeric::var::{GROUP, Var, small_pow10};

/// Significant digits that quotients, roots and logarithms have at least.
pub(super) const SIGNIFICANT_MIN: i32 = 16;
/// Most decimals that such a result shows.
pub(super) const RESULT_SCALE_MAX: i32 = 1000;
/// Bound on the scale that `round` and `trunc` take.
const ROUND_SCALE_MAX: i32 = 2000;

impl Numeric {
    /// The sum.
    pub fn add(&self, other: &Numeric) -> Result<Numeric> {
        match (&self.0, &other.0) {
            (Repr::Small { mantissa: a, scale: sa }, Repr::Small { mantissa: b, scale: sb }) => {
                Ok(add_small(*a, *sa, *b, *sb))
            }
            _ if self.is_finite() && other.is_finite() => {
                Numeric::from_var(self.to_var().add(&other.to_var()))
            }
            (Repr::NaN, _) | (_, Repr::NaN) => Ok(Numeric::NAN),
            (Repr::PosInf, Repr::NegInf) | (Repr::NegInf, Repr::PosInf) => Ok(Numeric::NAN),
            (Repr::PosInf | Repr::NegInf, _) => Ok(self.clone()),
            _ => Ok(other.clone()),
        }
    }

    /// The difference.
    pub fn sub(&self, other: &Numeric) -> Result<Numeric> {
        self.add(&other.neg())
    }

    /// The product.
    pub fn mul(&self, other: &Numeric) -> Result<Numeric> {
        if let (Repr::Small { mantissa: a, scale: sa }, Repr::Small { mantissa: b, scale: sb }) =
            (&self.0, &other.0)
        {
            // Two mantissas of 63 bits and two scales of 18 always fit.
            let product = i128::from(*a) * i128::from(*b);
            return Ok(Numeric::from_i128(product, u32::from(*sa) + u32::from(*sb)));
        }
        if self.is_nan() || other.is_nan() {
            return Ok(Numeric::NAN);
        }
        if self.is_finite() && other.is_finite() {
            let product = self.to_var().mul(&other.to_var());
            let product = if product.dscale > DISPLAY_SCALE_MAX {
                product.rounded(DISPLAY_SCALE_MAX)
            } else {
                product
            };
            return Numeric::from_var(product);
        }
        Ok(match self.sign() * other.sign() {
            1 => Numeric::INFINITY,
            -1 => Numeric::NEG_INFINITY,
            _ => Numeric::NAN,
        })
    }

    /// The quotient, to at least 16 significant digits. 22012 for a zero divisor.
    pub fn div(&self, other: &Numeric) -> Result<Numeric> {
        if let Some(special) = self.div_special(other)? {
            return Ok(special);
        }
        let rscale = div_scale(self, other);
        if let Some(quotient) = div_small(self, other, rscale) {
            return Ok(quotient);
        }
        Numeric::from_var(self.to_var().div(&other.to_var(), rscale, true))
    }

    /// The integer quotient, cut towards zero (`div()`).
    pub fn div_trunc(&self, other: &Numeric) -> Result<Numeric> {
        if let Some(special) = self.div_special(other)? {
            return Ok(special);
        }
        Numeric::from_var(self.to_var().div(&other.to_var(), 0, false))
    }

    /// NaN, infinities and the zero divisor; none if both are finite and the divisor is not zero.
    fn div_special(&self, other: &Numeric) -> Result<Option<Numeric>> {
        if self.is_finite() && other.is_finite() {
            return if other.is_zero() { Err(division_by_zero()) } else { Ok(None) };
        }
        if self.is_nan() || other.is_nan() {
            return Ok(Some(Numeric::NAN));
        }
        if self.is_finite() {
            return Ok(Some(Numeric::ZERO));
        }
        if other.is_infinite() {
            return Ok(Some(Numeric::NAN));
        }
        Ok(Some(match self.sign() * other.sign() {
            0 => return Err(division_by_zero()),
            1 => Numeric::INFINITY,
            _ => Numeric::NEG_INFINITY,
        }))
    }

    /// The rest of the quotient cut towards zero; it has the sign of `self`.
    pub fn rem(&self, other: &Numeric) -> Result<Numeric> {
        if self.is_nan() || other.is_nan() {
            return Ok(Numeric::NAN);
        }
        if other.is_zero() {
            return Err(division_by_zero());
        }
        if self.is_infinite() {
            return Ok(Numeric::NAN);
        }
        if other.is_infinite() {
            return Ok(self.clone());
        }
        if let (Repr::Small { mantissa: a, scale: sa }, Repr::Small { mantissa: b, scale: sb }) =
            (&self.0, &other.0)
        {
            let scale = (*sa).max(*sb);
            let a = i128::from(*a) * i128::from(POW10[(scale - sa) as usize]);
            let b = i128::from(*b) * i128::from(POW10[(scale - sb) as usize]);
            return Ok(Numeric::from_i128(a % b, u32::from(scale)));
        }
        let (a, b) = (self.to_var(), other.to_var());
        Numeric::from_var(a.sub(&a.div(&b, 0, false).mul(&b)))
    }

    /// With the other sign.
    pub fn neg(&self) -> Numeric {
        match &self.0 {
            Repr::Small { mantissa, scale } => match mantissa.checked_neg() {
                Some(mantissa) => Numeric(Repr::Small { mantissa, scale: *scale }),
                None => Numeric::from_i128(-i128::from(*mantissa), u32::from(*scale)),
            },
            Repr::Big(v) => {
                let negated = Var::clone(v).neg();
                Numeric::from_var(negated).unwrap_or(Numeric::NAN)
            }
            Repr::PosInf => Numeric::NEG_INFINITY,
            Repr::NegInf => Numeric::INFINITY,
            Repr::NaN => Numeric::NAN,
        }
    }

    /// Without its sign.
    pub fn abs(&self) -> Numeric {
        if self.sign() < 0 { self.neg() } else { self.clone() }
    }

    /// Rounded half away from zero to `scale` decimals; negative scales round to tens, hundreds.
    pub fn round(&self, scale: i32) -> Result<Numeric> {
        self.cut(scale, true)
    }

    /// Cut to `scale` decimals.
    pub fn trunc(&self, scale: i32) -> Result<Numeric> {
        self.cut(scale, false)
    }

    fn cut(&self, scale: i32, round: bool) -> Result<Numeric> {
        let scale = scale.clamp(-ROUND_SCALE_MAX, ROUND_SCALE_MAX);
        match &self.0 {
            Repr::Small { mantissa, scale: own } if (0..=18).contains(&scale) => {
                let (mantissa, own) = (i128::from(*mantissa), i32::from(*own));
                let scaled = if scale >= own {
                    mantissa * i128::from(POW10[(scale - own) as usize])
                } else {
                    let unit = i128::from(POW10[(own - scale) as usize]);
                    if round { div_round(mantissa, unit) } else { mantissa / unit }
                };
                Ok(Numeric::from_i128(scaled, scale as u32))
            }
            Repr::Small { .. } | Repr::Big(_) => {
                let v = self.to_var();
                Numeric::from_var(if round { v.rounded(scale) } else { v.truncated(scale) })
            }
            _ => Ok(self.clone()),
        }
    }

    /// The smallest integer not below it.
    pub fn ceil(&self) -> Result<Numeric> {
        let cut = self.trunc(0)?;
        if self.is_finite() && cut < *self { cut.add(&Numeric::ONE) } else { Ok(cut) }
    }

    /// The largest integer not above it.
    pub fn floor(&self) -> Result<Numeric> {
        let cut = self.trunc(0)?;
        if self.is_finite() && cut > *self { cut.sub(&Numeric::ONE) } else { Ok(cut) }
    }

    /// Decimals needed to show the value exactly; none for NaN and infinities.
    pub fn min_scale(&self) -> Option<i32> {
        self.is_finite().then(|| self.to_var().min_scale())
    }

    /// The same value without trailing zeros after the point.
    pub fn trim_scale(&self) -> Numeric {
        if !self.is_finite() {
            return self.clone();
        }
        Numeric::from_var(self.to_var().without_trailing_zeros()).unwrap_or(Numeric::NAN)
    }
}

/// Rounded half away from zero; `unit` is positive.
fn div_round(n: i128, unit: i128) -> i128 {
    let (quotient, rest) = (n / unit, n % unit);
    if rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2) {
        quotient + n.signum()
    } else {
        quotient
    }
}

fn add_small(a: i64, sa: u8, b: i64, sb: u8) -> Numeric {
    if sa == sb
        && let Some(mantissa) = a.checked_add(b)
    {
        return Numeric(Repr::Small { mantissa, scale: sa });
    }
    let scale = sa.max(sb);
    let a = i128::from(a) * i128::from(POW10[(scale - sa) as usize]);
    let b = i128::from(b) * i128::from(POW10[(scale - sb) as usize]);
    Numeric::from_i128(a + b, u32::from(scale))
}

/// Weight and value of the first base 10000 digit; zeros for zero.
fn first_digit(n: &Numeric) -> (i32, i32) {
    match &n.0 {
        Repr::Small { mantissa: 0, .. } => (0, 0),
        Repr::Small { mantissa, scale } => {
            let magnitude = mantissa.unsigned_abs();
            let count = digit_count(u128::from(magnitude)) as i32;
            let before = count - i32::from(*scale);
            let weight = (before - 1).div_euclid(GROUP);
            let group = before - GROUP * weight;
            let digit = if count >= group {
                magnitude / small_pow10(count - group).unsigned_abs()
            } else {
                magnitude * small_pow10(group - count).unsigned_abs()
            };
            (weight, digit as i32)
        }
        Repr::Big(v) => (v.weight, v.digits.first().map_or(0, |&d| i32::from(d))),
        _ => (0, 0),
    }
}

/// Decimals of a quotient: 16 significant digits, and no fewer than either side shows.
fn div_scale(a: &Numeric, b: &Numeric) -> i32 {
    let (weight_a, digit_a) = first_digit(a);
    let (weight_b, digit_b) = first_digit(b);
    let weight = weight_a - weight_b - i32::from(digit_a <= digit_b);
    let scale = (SIGNIFICANT_MIN - weight * GROUP).max(a.scale() as i32).max(b.scale() as i32);
    scale.clamp(0, RESULT_SCALE_MAX)
}

fn div_small(a: &Numeric, b: &Numeric, rscale: i32) -> Option<Numeric> {
    let ((a, sa), (b, sb)) = (a.as_small()?, b.as_small()?);
    // The scale asked for is never below that of either side.
    let shift = (rscale as u32).checked_add(sb)?.checked_sub(sa)?;
    let numerator = i128::from(a).checked_mul(pow10(shift)?)?;
    let (numerator, divisor) =
        if b < 0 { (-numerator, -i128::from(b)) } else { (numerator, i128::from(b)) };
    Some(Numeric::from_i128(div_round(numerator, divisor), rscale as u32))
}

const _: () = assert!(POW10.len() == SMALL_SCALE_MAX as usize + 1);
