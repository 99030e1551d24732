//! Integers in text.

use super::invalid_syntax;
use crate::error::{Error, Result, SqlState};
use crate::types::numeric::trim_space;

fn out_of_range(type_name: &str, text: &str) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value \"{text}\" is out of range for type {type_name}"),
    )
}

/// Why digits were not read.
enum Fault {
    Syntax,
    Range,
}

/// Sign and digits with blanks around, of a number not below `min` and not above `-1 - min`. Out
/// of range is noticed before what is wrong behind it.
fn parse(text: &str, min: i64) -> Result<i64, Fault> {
    let bytes = trim_space(text).as_bytes();
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, bytes),
    };
    if digits.is_empty() {
        return Err(Fault::Syntax);
    }
    let mut value: i64 = 0;
    // Counted downwards: the negative side has one more.
    for &b in digits {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Fault::Syntax);
        }
        let next = value.checked_mul(10).and_then(|v| v.checked_sub(i64::from(digit)));
        value = next.filter(|v| *v >= min).ok_or(Fault::Range)?;
    }
    match negative {
        true => Ok(value),
        false if value == min => Err(Fault::Range),
        false => Ok(-value),
    }
}

/// Digits that an `i64` holds whatever they are.
const PLAIN_DIGITS_MAX: usize = 18;

/// The common form: an optional minus and a few digits, nothing around.
fn parse_plain(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > PLAIN_DIGITS_MAX {
        return None;
    }
    let mut value = 0;
    for &b in digits {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

fn parse_as<T: TryFrom<i64>>(text: &str, type_name: &str, min: i64) -> Result<T> {
    if let Some(value) = parse_plain(text.as_bytes()).and_then(|v| T::try_from(v).ok()) {
        return Ok(value);
    }
    match parse(text, min) {
        Ok(value) => T::try_from(value).map_err(|_| out_of_range(type_name, text)),
        Err(Fault::Syntax) => Err(invalid_syntax(type_name, text)),
        Err(Fault::Range) => Err(out_of_range(type_name, text)),
    }
}

/// Reads a smallint.
pub fn parse_i16(text: &str) -> Result<i16> {
    parse_as(text, "smallint", i64::from(i16::MIN))
}

/// Reads an integer.
pub fn parse_i32(text: &str) -> Result<i32> {
    parse_as(text, "integer", i64::from(i32::MIN))
}

/// Reads a bigint.
pub fn parse_i64(text: &str) -> Result<i64> {
    parse_as(text, "bigint", i64::MIN)
}

/// Reads an OID; as in C, negative numbers wrap.
pub(super) fn parse_oid(text: &str) -> Result<u32> {
    match parse(text, i64::MIN) {
        Ok(value) => u32::try_from(value)
            .or_else(|_| i32::try_from(value).map(|v| v as u32))
            .map_err(|_| out_of_range("oid", text)),
        Err(Fault::Syntax) => Err(invalid_syntax("oid", text)),
        Err(Fault::Range) => Err(out_of_range("oid", text)),
    }
}

/// Reads a transaction id as PostgreSQL 15 does: C's strtoul of any base, and no error.
pub(super) fn parse_xid(text: &str) -> u32 {
    let text = text.trim_start_matches(crate::types::numeric::is_space);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', ..] => (8, digits),
        _ => (10, digits),
    };
    let mut value: u64 = 0;
    for digit in digits.chars().map_while(|c| c.to_digit(radix)) {
        match value.checked_mul(u64::from(radix)).and_then(|v| v.checked_add(u64::from(digit))) {
            Some(next) => value = next,
            None => return u32::MAX,
        }
    }
    if negative { (value as u32).wrapping_neg() } else { value as u32 }
}

/// Writes an integer.
pub fn write_i64(value: i64, out: &mut String) {
    let mut buf = [0u8; 20];
    let mut at = buf.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        buf[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buf[at] = b'-';
    }
    out.push_str(std::str::from_utf8(&buf[at..]).unwrap_or_default());
}
