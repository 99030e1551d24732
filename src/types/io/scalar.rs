//! Text forms of bool, bytea, uuid, name and `"char"`.

use bytes::Bytes;

use super::{ByteaOutput, invalid_syntax};
use crate::error::{Error, Result, SqlState};
use crate::types::NAME_BYTES_MAX;
use crate::types::numeric::trim_space;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Reads a bool: `true`, `yes`, `on`, `1` and their opposites, or the beginning of one.
pub(super) fn parse_bool(text: &str) -> Result<bool> {
    let word = trim_space(text).to_ascii_lowercase();
    let begins = |full: &str, least: usize| word.len() >= least && full.starts_with(&word);
    match () {
        () if begins("true", 1) || begins("yes", 1) || word == "on" || word == "1" => Ok(true),
        () if begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0" => Ok(false),
        () => Err(invalid_syntax("boolean", text)),
    }
}

/// Cut to what a name holds, at a character's end.
pub(super) fn truncate_name(text: &str) -> &str {
    if text.len() <= NAME_BYTES_MAX {
        return text;
    }
    let end = (0..=NAME_BYTES_MAX).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    &text[..end]
}

/// Reads a `"char"`: `\ooo`, or the first byte.
pub(super) fn parse_char(text: &str) -> u8 {
    match text.as_bytes() {
        [b'\\', a @ b'0'..=b'7', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            (a - b'0').wrapping_mul(64) + (b - b'0') * 8 + (c - b'0')
        }
        [first, ..] => *first,
        [] => 0,
    }
}

/// Writes a `"char"`: bytes that are no character alone as `\ooo`, nothing for zero.
pub(super) fn write_char(c: u8, out: &mut String) {
    match c {
        0 => {}
        0x80.. => push_octal(c, out),
        _ => out.push(c as char),
    }
}

fn push_octal(b: u8, out: &mut String) {
    out.push('\\');
    for shift in [6, 3, 0] {
        out.push((b'0' + ((b >> shift) & 7)) as char);
    }
}

/// Reads a bytea, of either form.
pub(super) fn parse_bytea(text: &str) -> Result<Bytes> {
    match text.strip_prefix("\\x") {
        Some(digits) => parse_hexadecimal(digits),
        None => parse_escapes(text.as_bytes()),
    }
}

fn parse_hexadecimal(digits: &str) -> Result<Bytes> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let mut out = Vec::with_capacity(digits.len() / 2);
    let mut chars = digits.chars();
    let value = |c: char| {
        c.to_digit(16).ok_or_else(|| invalid(format!("invalid hexadecimal digit: \"{c}\"")))
    };
    while let Some(c) = chars.next() {
        if matches!(c, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = value(c)?;
        let odd = || invalid("invalid hexadecimal data: odd number of digits".to_owned());
        let low = value(chars.next().ok_or_else(odd)?)?;
        out.push((high * 16 + low) as u8);
    }
    Ok(out.into())
}

fn parse_escapes(text: &[u8]) -> Result<Bytes> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Ok(out.into()),
            [b'\\', b'\\', rest @ ..] => {
                out.push(b'\\');
                rest
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest
            }
            [b'\\', ..] => {
                return Err(Error::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
            [b, rest @ ..] => {
                out.push(*b);
                rest
            }
        };
    }
}

/// Writes a bytea.
pub fn write_bytea(bytes: &[u8], form: ByteaOutput, out: &mut String) {
    if form == ByteaOutput::Hex {
        out.reserve(2 + 2 * bytes.len());
        out.push_str("\\x");
        for &b in bytes {
            out.push(HEX[usize::from(b >> 4)] as char);
            out.push(HEX[usize::from(b & 15)] as char);
        }
        return;
    }
    for &b in bytes {
        match b {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(b as char),
            _ => push_octal(b, out),
        }
    }
}

/// Reads a uuid: 32 digits, a dash allowed after each four, braces allowed around.
pub(super) fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    uuid(text.as_bytes()).ok_or_else(|| invalid_syntax("uuid", text))
}

fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let (mut rest, braces) = match text {
        [b'{', rest @ ..] => (rest, true),
        _ => (text, false),
    };
    let mut out = [0; 16];
    for (i, byte) in out.iter_mut().enumerate() {
        let [high, low, tail @ ..] = rest else { return None };
        let digit = |b: u8| (b as char).to_digit(16);
        *byte = (digit(*high)? * 16 + digit(*low)?) as u8;
        rest = tail;
        if i % 2 == 1 && i < 15 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
    }
    let end: &[u8] = if braces { b"}" } else { b"" };
    (rest == end).then_some(out)
}

/// Writes a uuid.
pub fn write_uuid(uuid: &[u8; 16], out: &mut String) {
    for (i, &b) in uuid.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push(HEX[usize::from(b >> 4)] as char);
        out.push(HEX[usize::from(b & 15)] as char);
    }
}
