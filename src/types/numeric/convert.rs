//! Numbers to and from integers, floats, modifiers and the wire's binary form.

use bytes::{BufMut, BytesMut};

use super::{DISPLAY_SCALE_MAX, Numeric, POW10, Repr, overflow};
use crate::error::{Error, Result, SqlState};
use crate::types::numeric::var::{BASE, Var};
use crate::types::pg_type::numeric_modifier;

const SIGN_POSITIVE: u16 = 0x0000;
const SIGN_NEGATIVE: u16 = 0x4000;
const SIGN_NAN: u16 = 0xc000;
const SIGN_POS_INF: u16 = 0xd000;
const SIGN_NEG_INF: u16 = 0xf000;
/// Floats up to this are exact integers.
const FLOAT_EXACT_MAX: u64 = 1 << 53;

impl Numeric {
    /// The number a float shows with 15 significant digits, as PostgreSQL casts.
    pub fn from_f64(f: f64) -> Numeric {
        from_float(f, 15)
    }

    /// The number a float shows with 6 significant digits.
    pub fn from_f32(f: f32) -> Numeric {
        from_float(f64::from(f), 6)
    }

    /// The nearest float; far ones are infinite.
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Repr::Small { mantissa, scale } if mantissa.unsigned_abs() <= FLOAT_EXACT_MAX => {
                // Both sides are exact, so that the one division rounds correctly.
                *mantissa as f64 / POW10[*scale as usize] as f64
            }
            Repr::Small { .. } | Repr::Big(_) => self.to_string().parse().unwrap_or(f64::NAN),
            Repr::PosInf => f64::INFINITY,
            Repr::NegInf => f64::NEG_INFINITY,
            Repr::NaN => f64::NAN,
        }
    }

    /// The nearest float of four bytes; far ones are infinite.
    pub fn to_f32(&self) -> f32 {
        match &self.0 {
            Repr::Small { .. } | Repr::Big(_) => self.to_string().parse().unwrap_or(f32::NAN),
            _ => self.to_f64() as f32,
        }
    }

    /// The nearest smallint, halves away from zero. 22003 if there is none.
    pub fn to_i16(&self) -> Result<i16> {
        self.to_integer("smallint")
    }

    /// The nearest integer, halves away from zero. 22003 if there is none.
    pub fn to_i32(&self) -> Result<i32> {
        self.to_integer("integer")
    }

    /// The nearest bigint, halves away from zero. 22003 if there is none.
    pub fn to_i64(&self) -> Result<i64> {
        self.to_integer("bigint")
    }

    fn to_integer<T: TryFrom<i128>>(&self, name: &str) -> Result<T> {
        let range = |message| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message);
        if self.is_nan() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot convert NaN to {name}"),
            ));
        }
        if self.is_infinite() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot convert infinity to {name}"),
            ));
        }
        self.round(0)?
            .to_i128_scaled(0)
            .and_then(|n| T::try_from(n).ok())
            .ok_or_else(|| range(format!("{name} out of range")))
    }

    /// The value times `10^scale`, if that is an integer of 128 bits.
    pub fn to_i128_scaled(&self, scale: u32) -> Option<i128> {
        match &self.0 {
            Repr::Small { mantissa, scale: own } => {
                let own = u32::from(*own);
                let mantissa = i128::from(*mantissa);
                if scale >= own {
                    return mantissa.checked_mul(super::pow10(scale - own)?);
                }
                let unit = i128::from(POW10[(own - scale) as usize]);
                (mantissa % unit == 0).then_some(mantissa / unit)
            }
            Repr::Big(v) => v.to_scaled(i32::try_from(scale).ok()?),
            _ => None,
        }
    }

    /// Rounded to a column's precision and scale. 22003 if it has too many digits.
    pub fn apply_typmod(&self, typmod: i32) -> Result<Numeric> {
        let Some((precision, scale)) = numeric_modifier(typmod) else {
            return Ok(self.clone());
        };
        let field_overflow = |what: String| {
            Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
                .with_detail(format!("A field with precision {precision}, scale {scale} {what}."))
        };
        if self.is_nan() {
            return Ok(self.clone());
        }
        if self.is_infinite() {
            return Err(field_overflow("cannot hold an infinite value".to_owned()));
        }
        let rounded = self.round(scale)?;
        let digits_max = precision - scale;
        if rounded.digits_before_point().is_some_and(|n| n > digits_max) {
            let bound = match digits_max {
                0 => "1".to_owned(),
                n => format!("10^{n}"),
            };
            return Err(field_overflow(format!(
                "must round to an absolute value less than {bound}"
            )));
        }
        Ok(rounded)
    }

    /// Decimal digits before the point, negative for zeros after it; none for zero.
    fn digits_before_point(&self) -> Option<i32> {
        match &self.0 {
            Repr::Small { mantissa: 0, .. } => None,
            Repr::Small { mantissa, scale } => Some(
                super::digit_count(u128::from(mantissa.unsigned_abs())) as i32 - i32::from(*scale),
            ),
            Repr::Big(v) => {
                let first = v.digits.first()?;
                let lead = 4 - super::digit_count(u128::from(*first)) as i32;
                Some((v.weight + 1) * 4 - lead)
            }
            _ => None,
        }
    }

    /// Appends the wire's binary form: digit count, weight, sign, scale, base 10000 digits.
    pub fn to_binary(&self, out: &mut BytesMut) {
        let special = |out: &mut BytesMut, sign: u16| {
            out.put_u16(0);
            out.put_u16(0);
            out.put_u16(sign);
            // The display scale that PostgreSQL sends for the infinities, and for NaN.
            out.put_u16(if sign == SIGN_NAN { 0 } else { 0x20 });
        };
        match &self.0 {
            Repr::NaN => special(out, SIGN_NAN),
            Repr::PosInf => special(out, SIGN_POS_INF),
            Repr::NegInf => special(out, SIGN_NEG_INF),
            Repr::Small { mantissa, scale } => small_to_binary(*mantissa, *scale, out),
            Repr::Big(v) => {
                put_header(out, v.digits.len(), v.weight, v.negative, v.dscale);
                for &d in &v.digits {
                    out.put_u16(d);
                }
            }
        }
    }

    /// Reads the wire's binary form.
    pub fn from_binary(bytes: &[u8]) -> Result<Numeric> {
        let invalid = |what: &str| {
            Error::new(
                SqlState::INVALID_BINARY_REPRESENTATION,
                format!("invalid {what} in external \"numeric\" value"),
            )
        };
        let word = |i: usize| {
            bytes.get(2 * i..2 * i + 2).map(|b| u16::from_be_bytes([b[0], b[1]])).ok_or_else(|| {
                Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
            })
        };
        let (count, weight, sign, dscale) = (word(0)?, word(1)? as i16, word(2)?, word(3)?);
        match sign {
            SIGN_POSITIVE | SIGN_NEGATIVE => {}
            SIGN_NAN => return Ok(Numeric::NAN),
            SIGN_POS_INF => return Ok(Numeric::INFINITY),
            SIGN_NEG_INF => return Ok(Numeric::NEG_INFINITY),
            _ => return Err(invalid("sign")),
        }
        if i32::from(dscale) > DISPLAY_SCALE_MAX {
            return Err(invalid("scale"));
        }
        let mut digits = Vec::with_capacity((count as usize).min(bytes.len() / 2));
        for i in 0..usize::from(count) {
            let digit = word(4 + i)?;
            if u32::from(digit) >= BASE {
                return Err(invalid("digit"));
            }
            digits.push(digit);
        }
        if bytes.len() != 8 + 2 * usize::from(count) {
            return Err(Error::new(
                SqlState::INVALID_BINARY_REPRESENTATION,
                "incorrect binary data format",
            ));
        }
        let (weight, dscale) = (i32::from(weight), i32::from(dscale));
        let mut v = Var { negative: sign == SIGN_NEGATIVE, weight, dscale, digits };
        v.strip();
        // Digits beyond the scale are cut, as PostgreSQL does.
        Numeric::from_var(v.truncated(dscale))
    }
}

fn put_header(out: &mut BytesMut, count: usize, weight: i32, negative: bool, dscale: i32) {
    out.put_u16(count as u16);
    out.put_i16(weight as i16);
    out.put_u16(if negative { SIGN_NEGATIVE } else { SIGN_POSITIVE });
    out.put_u16(dscale as u16);
}

fn small_to_binary(mantissa: i64, scale: u8, out: &mut BytesMut) {
    let groups = u32::from(scale).div_ceil(4);
    let pad = (groups * 4 - u32::from(scale)) as usize;
    let mut rest = u128::from(mantissa.unsigned_abs()) * u128::from(POW10[pad].unsigned_abs());
    let mut digits = [0u16; 6];
    let mut start = digits.len();
    while rest > 0 {
        start -= 1;
        digits[start] = (rest % u128::from(BASE)) as u16;
        rest /= u128::from(BASE);
    }
    let weight = (digits.len() - start) as i32 - 1 - groups as i32;
    let mut end = digits.len();
    while end > start && digits[end - 1] == 0 {
        end -= 1;
    }
    let weight = if end == start { 0 } else { weight };
    put_header(out, end - start, weight, mantissa < 0, i32::from(scale));
    for &d in &digits[start..end] {
        out.put_u16(d);
    }
}

fn from_float(f: f64, digits: usize) -> Numeric {
    if f.is_nan() {
        return Numeric::NAN;
    }
    if f.is_infinite() {
        return if f > 0.0 { Numeric::INFINITY } else { Numeric::NEG_INFINITY };
    }
    let text = format!("{:.*e}", digits - 1, f);
    // No float is beyond numeric's range.
    Numeric::parse(&trim_fraction(&text)).unwrap_or_else(|_| {
        debug_assert!(false, "{} {text}", overflow());
        Numeric::NAN
    })
}

/// `1.50e-7` as `1.5e-7`: the zeros that `%g` drops.
fn trim_fraction(text: &str) -> String {
    match text.split_once('e') {
        Some((fraction, exponent)) if fraction.contains('.') => {
            let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
            format!("{fraction}e{exponent}")
        }
        _ => text.to_owned(),
    }
}
