//! Numbers from text.

use super::{Numeric, POW10, Repr, overflow};
use crate::error::{Error, Result, SqlState};
use crate::types::numeric::var::Var;

/// Digits that an `i64` holds whatever they are.
const FAST_DIGITS_MAX: usize = 18;
/// Exponents from here on overflow whatever the digits are.
const EXPONENT_MAX: i64 = i32::MAX as i64 / 2;

impl Numeric {
    /// Reads the text form: `12.50`, `-1e10`, `NaN`, `Infinity`; blanks around are let be.
    pub fn parse(text: &str) -> Result<Numeric> {
        match parse_plain(text.as_bytes()) {
            Some(n) => Ok(n),
            None => parse_any(text),
        }
    }
}

/// The common form: sign, at most 18 digits, a point among them.
fn parse_plain(bytes: &[u8]) -> Option<Numeric> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    if digits.is_empty() || digits.len() > FAST_DIGITS_MAX + 1 {
        return None;
    }
    // One digit more than is wanted does not overflow yet.
    let mut mantissa: u64 = 0;
    let mut point = None;
    for (i, &b) in digits.iter().enumerate() {
        match b {
            b'0'..=b'9' => mantissa = mantissa * 10 + u64::from(b - b'0'),
            b'.' if point.is_none() => point = Some(i),
            _ => return None,
        }
    }
    let count = digits.len() - usize::from(point.is_some());
    if count == 0 || count > FAST_DIGITS_MAX {
        return None;
    }
    let scale = point.map_or(0, |i| digits.len() - i - 1) as u8;
    let mantissa = if negative { -(mantissa as i64) } else { mantissa as i64 };
    Some(Numeric(Repr::Small { mantissa, scale }))
}

fn parse_any(text: &str) -> Result<Numeric> {
    let invalid = || {
        Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type numeric: \"{text}\""),
        )
    };
    let trimmed = trim_space(text);
    let (negative, unsigned) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    if unsigned.eq_ignore_ascii_case("infinity") || unsigned.eq_ignore_ascii_case("inf") {
        return Ok(if negative { Numeric::NEG_INFINITY } else { Numeric::INFINITY });
    }
    if trimmed.eq_ignore_ascii_case("nan") {
        return Ok(Numeric::NAN);
    }
    let bytes = unsigned.as_bytes();
    let mut decimal = Vec::with_capacity(bytes.len());
    let mut before: Option<usize> = None;
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
        match b {
            b'0'..=b'9' => decimal.push(b - b'0'),
            b'.' if before.is_none() => before = Some(decimal.len()),
            _ => break,
        }
        at += 1;
    }
    if decimal.is_empty() {
        return Err(invalid());
    }
    let before = before.unwrap_or(decimal.len()) as i64;
    let after = decimal.len() as i64 - before;
    let exponent = match bytes.get(at) {
        None => 0,
        Some(b'e' | b'E') => parse_exponent(&unsigned[at + 1..]).ok_or_else(invalid)?,
        Some(_) => return Err(invalid()),
    };
    if exponent.abs() >= EXPONENT_MAX {
        return Err(overflow());
    }
    let dscale = (after - exponent).max(0);
    if decimal.iter().all(|&d| d == 0) {
        decimal.clear();
    }
    let limit = i64::from(super::DISPLAY_SCALE_MAX);
    let weight = i64::from(super::WEIGHT_MAX + 1) * 4;
    let zeros = decimal.iter().take_while(|&&d| d == 0).count() as i64;
    let places = before + exponent - zeros;
    if dscale > limit || (!decimal.is_empty() && places > weight) {
        return Err(overflow());
    }
    if decimal.is_empty() {
        return Numeric::from_var(Var::zero(dscale as i32));
    }
    let significant = &decimal[zeros as usize..];
    Numeric::from_var(Var::from_decimal(negative, significant, places as i32, dscale as i32))
}

/// What C's strtol reads, up to the end: blanks, a sign, digits.
fn parse_exponent(text: &str) -> Option<i64> {
    let text = text.trim_start_matches(is_space);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // More digits than fit overflow anyway.
    let value = digits.parse::<i64>().unwrap_or(EXPONENT_MAX);
    Some(if text.starts_with('-') { -value } else { value })
}

/// C's isspace.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// Without the blanks around.
pub(crate) fn trim_space(text: &str) -> &str {
    text.trim_matches(is_space)
}

const _: () = assert!(POW10.len() == FAST_DIGITS_MAX + 1);
