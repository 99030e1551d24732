//! Exact decimal numbers, as PostgreSQL's numeric: any size, a display scale, NaN, ±Infinity.
//!
//! A value is 16 bytes. Where its digits, display scale included, fit an `i64` it is held inline
//! as mantissa and scale; the rest is a shared `Var`, base 10000 as on PostgreSQL's wire. Both
//! forms of one value are never in use at once: `Numeric::from_var` and [`Numeric::from_i128`]
//! prefer the small one. Equality and order ignore the display scale; only text shows it.
//!
//! - `parse`: text; `arith`: + − × ÷ %, rounding; `func`: sqrt, exp, ln, log, power;
//! - `convert`: integers, floats, typmod, the wire's binary form; `key`: bytes in order;
//! - `var`: the long form and its arithmetic.

mod arith;
mod convert;
mod func;
mod key;
mod parse;
#[cfg(test)]
mod tests;
mod var;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
pub(crate) use parse::{is_space, trim_space};
use var::Var;

/// Largest scale of the inline form: every power of ten up to it fits an `i64`.
const SMALL_SCALE_MAX: u32 = 18;
/// Most digits after the point that a value can show.
pub const DISPLAY_SCALE_MAX: i32 = 0x3fff;
/// Highest weight, in base 10000 digits, of a first digit.
const WEIGHT_MAX: i32 = 0x7fff;

/// An exact decimal number of any size.
#[derive(Clone)]
pub struct Numeric(Repr);

#[derive(Clone)]
enum Repr {
    /// `mantissa / 10^scale`, scale ≤ [`SMALL_SCALE_MAX`].
    Small {
        mantissa: i64,
        scale: u8,
    },
    Big(Arc<Var>),
    NegInf,
    PosInf,
    NaN,
}

const POW10: [i64; 19] = {
    let mut powers = [1i64; 19];
    let mut i = 1;
    while i < 19 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// 10^n, if an i128 holds it.
fn pow10(n: u32) -> Option<i128> {
    match n {
        0..=18 => Some(i128::from(POW10[n as usize])),
        19..=36 => Some(i128::from(POW10[18]) * i128::from(POW10[n as usize - 18])),
        37 | 38 => Some(10i128.pow(n)),
        _ => None,
    }
}

/// Decimal digits of a number; zero has none.
fn digit_count(n: u128) -> u32 {
    n.checked_ilog10().map_or(0, |l| l + 1)
}

fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

impl Numeric {
    /// Zero, without decimals.
    pub const ZERO: Numeric = Numeric(Repr::Small { mantissa: 0, scale: 0 });
    /// One, without decimals.
    pub const ONE: Numeric = Numeric(Repr::Small { mantissa: 1, scale: 0 });
    /// Not a number: above all others, and equal to itself.
    pub const NAN: Numeric = Numeric(Repr::NaN);
    /// Above every finite number.
    pub const INFINITY: Numeric = Numeric(Repr::PosInf);
    /// Below every finite number.
    pub const NEG_INFINITY: Numeric = Numeric(Repr::NegInf);

    /// An integer.
    pub const fn from_i64(n: i64) -> Numeric {
        Numeric(Repr::Small { mantissa: n, scale: 0 })
    }

    /// `mantissa / 10^scale`, showing `scale` decimals.
    pub fn from_i128(mantissa: i128, scale: u32) -> Numeric {
        match i64::try_from(mantissa) {
            Ok(small) if scale <= SMALL_SCALE_MAX => {
                Numeric(Repr::Small { mantissa: small, scale: scale as u8 })
            }
            _ => Numeric(Repr::Big(Arc::new(Var::from_i128(mantissa, scale)))),
        }
    }

    /// Whether it is neither NaN nor infinite.
    pub fn is_finite(&self) -> bool {
        matches!(self.0, Repr::Small { .. } | Repr::Big(_))
    }

    /// Whether it is NaN.
    pub fn is_nan(&self) -> bool {
        matches!(self.0, Repr::NaN)
    }

    /// Whether it is an infinity.
    pub fn is_infinite(&self) -> bool {
        matches!(self.0, Repr::PosInf | Repr::NegInf)
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.sign() == 0 && self.is_finite()
    }

    /// Whether it is finite and has no fraction.
    pub fn is_integral(&self) -> bool {
        match &self.0 {
            Repr::Small { mantissa, scale } => mantissa % POW10[*scale as usize] == 0,
            Repr::Big(v) => v.is_integral(),
            _ => false,
        }
    }

    /// -1, 0 or 1; 0 for NaN too.
    pub fn sign(&self) -> i32 {
        match &self.0 {
            Repr::Small { mantissa, .. } => mantissa.signum() as i32,
            Repr::Big(v) => v.sign(),
            Repr::PosInf => 1,
            Repr::NegInf => -1,
            Repr::NaN => 0,
        }
    }

    /// Decimals shown; 0 for NaN and the infinities.
    pub fn scale(&self) -> u32 {
        match &self.0 {
            Repr::Small { scale, .. } => u32::from(*scale),
            Repr::Big(v) => v.dscale as u32,
            _ => 0,
        }
    }

    /// Mantissa and scale of the inline form: the door for fast paths elsewhere.
    pub fn as_small(&self) -> Option<(i64, u32)> {
        match &self.0 {
            Repr::Small { mantissa, scale } => Some((*mantissa, u32::from(*scale))),
            _ => None,
        }
    }

    /// The long form. Only for finite numbers; others give zero.
    fn to_var(&self) -> Var {
        match &self.0 {
            Repr::Small { mantissa, scale } => {
                Var::from_i128(i128::from(*mantissa), u32::from(*scale))
            }
            Repr::Big(v) => Var::clone(v),
            _ => Var::zero(0),
        }
    }

    /// The shortest form of a long one. 22003 where PostgreSQL's format ends.
    fn from_var(mut v: Var) -> Result<Numeric> {
        v.strip();
        if v.weight > WEIGHT_MAX || v.dscale > DISPLAY_SCALE_MAX {
            return Err(overflow());
        }
        if let Some((mantissa, scale)) = v.to_small() {
            return Ok(Numeric(Repr::Small { mantissa, scale }));
        }
        Ok(Numeric(Repr::Big(Arc::new(v))))
    }

    /// The total order of numeric: -Infinity, numbers, Infinity, NaN; 1.0 and 1.00 are equal.
    fn compare(&self, other: &Numeric) -> Ordering {
        use Repr::{Big, NaN, NegInf, PosInf, Small};
        match (&self.0, &other.0) {
            (Small { mantissa: a, scale: sa }, Small { mantissa: b, scale: sb }) => {
                if sa == sb {
                    return a.cmp(b);
                }
                let (a, b) = (i128::from(*a), i128::from(*b));
                if sa < sb {
                    (a * i128::from(POW10[(sb - sa) as usize])).cmp(&b)
                } else {
                    a.cmp(&(b * i128::from(POW10[(sa - sb) as usize])))
                }
            }
            (Big(a), Big(b)) => a.compare(b),
            (Small { .. }, Big(b)) => self.to_var().compare(b),
            (Big(a), Small { .. }) => a.compare(&other.to_var()),
            (NaN, NaN) | (PosInf, PosInf) | (NegInf, NegInf) => Ordering::Equal,
            (NaN, _) | (_, NegInf) => Ordering::Greater,
            (_, NaN) | (NegInf, _) => Ordering::Less,
            (PosInf, _) => Ordering::Greater,
            (_, PosInf) => Ordering::Less,
        }
    }

    /// Writes the text form.
    pub fn write_to(&self, out: &mut String) {
        match &self.0 {
            Repr::Small { mantissa, scale } => write_small(*mantissa, *scale as usize, out),
            Repr::Big(v) => v.write_to(out),
            Repr::PosInf => out.push_str("Infinity"),
            Repr::NegInf => out.push_str("-Infinity"),
            Repr::NaN => out.push_str("NaN"),
        }
    }
}

fn write_small(mantissa: i64, scale: usize, out: &mut String) {
    // Sign, 19 digits, point and the zero before it.
    let mut buf = [b'0'; 24];
    let mut at = buf.len();
    let mut rest = mantissa.unsigned_abs();
    let mut written = 0;
    while rest > 0 || written <= scale {
        if written == scale && scale > 0 {
            at -= 1;
            buf[at] = b'.';
        }
        at -= 1;
        buf[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        written += 1;
    }
    if mantissa < 0 {
        at -= 1;
        buf[at] = b'-';
    }
    out.push_str(std::str::from_utf8(&buf[at..]).unwrap_or_default());
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Numeric) -> bool {
        self.compare(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Numeric) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Numeric {
    fn cmp(&self, other: &Numeric) -> Ordering {
        self.compare(other)
    }
}

impl Hash for Numeric {
    /// Equal numbers hash alike, whatever scale they show.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Repr::Small { mantissa, scale } => {
                let (mut mantissa, mut scale) = (*mantissa, *scale);
                while scale > 0 && mantissa % 10 == 0 {
                    mantissa /= 10;
                    scale -= 1;
                }
                (mantissa, scale).hash(state);
            }
            // A long form that a small one could equal (trailing zeros) hashes as that one.
            Repr::Big(v) => match v.without_trailing_zeros().to_small() {
                Some(small) => small.hash(state),
                None => (v.negative, v.weight, &v.digits).hash(state),
            },
            Repr::PosInf => 1u8.hash(state),
            Repr::NegInf => 2u8.hash(state),
            Repr::NaN => 3u8.hash(state),
        }
    }
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write_to(&mut out);
        f.pad(&out)
    }
}

impl fmt::Debug for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<i64> for Numeric {
    fn from(n: i64) -> Numeric {
        Numeric::from_i64(n)
    }
}
