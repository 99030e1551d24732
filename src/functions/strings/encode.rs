//! `encode`, `decode`, digests.

use bytes::Bytes;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, one, two};
use crate::types::Datum;
use crate::types::io::hex;

use super::md5::md5;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Characters of a line of base64.
const BASE64_LINE: usize = 76;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

pub(super) fn encode(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let bytes: &Bytes = arg(a, 0)?;
    let format: &str = arg(a, 1)?;
    Ok(Datum::text(match format.to_ascii_lowercase().as_str() {
        "hex" => hex(bytes),
        "base64" => base64(bytes),
        "escape" => escape(bytes),
        _ => return Err(invalid(format!("unrecognized encoding: \"{format}\""))),
    }))
}

pub(super) fn decode(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (text, format): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
    Ok(Datum::Bytea(Bytes::from(match format.to_ascii_lowercase().as_str() {
        "hex" => unhex(text)?,
        "base64" => unbase64(text)?,
        "escape" => unescape(text)?,
        _ => return Err(invalid(format!("unrecognized encoding: \"{format}\""))),
    })))
}

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for (i, chunk) in bytes.chunks(3).enumerate() {
        if i > 0 && (i * 4).is_multiple_of(BASE64_LINE) {
            out.push('\n');
        }
        let group =
            chunk.iter().fold(0u32, |g, b| g << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            match place <= chunk.len() {
                true => out.push(BASE64[(group >> (18 - 6 * place)) as usize & 63] as char),
                false => out.push('='),
            }
        }
    }
    out
}

fn unbase64(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut group, mut place, mut end) = (0u32, 0, 0);
    for c in text.chars() {
        let value = match c {
            ' ' | '\t' | '\n' | '\r' => continue,
            '=' => {
                if end == 0 {
                    end = match place {
                        2 => 1,
                        3 => 2,
                        _ => {
                            return Err(invalid("unexpected \"=\" while decoding base64 sequence"));
                        }
                    };
                }
                0
            }
            c => match BASE64.iter().position(|b| *b as char == c) {
                Some(value) => value as u32,
                None => {
                    let message =
                        format!("invalid symbol \"{c}\" found while decoding base64 sequence");
                    return Err(invalid(message));
                }
            },
        };
        group = group << 6 | value;
        place += 1;
        if place == 4 {
            out.push((group >> 16) as u8);
            if end == 0 || end > 1 {
                out.push((group >> 8) as u8);
            }
            if end == 0 || end > 2 {
                out.push(group as u8);
            }
            (group, place) = (0, 0);
        }
    }
    match place {
        0 => Ok(out),
        _ => Err(invalid("invalid base64 end sequence")
            .with_hint("Input data is missing padding, is truncated, or is otherwise corrupted.")),
    }
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let mut digits = Vec::with_capacity(text.len());
    for c in text.chars() {
        match c.to_digit(16) {
            Some(digit) => digits.push(digit as u8),
            None if matches!(c, ' ' | '\t' | '\n' | '\r') => {}
            None => return Err(invalid(format!("invalid hexadecimal digit: \"{c}\""))),
        }
    }
    if digits.len() % 2 == 1 {
        return Err(invalid("invalid hexadecimal data: odd number of digits"));
    }
    Ok(digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect())
}

/// Zero and high bytes in octal, backslashes doubled.
fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &b in bytes {
        match b {
            0 | 128.. => out.push_str(&format!("\\{b:03o}")),
            b'\\' => out.push_str("\\\\"),
            _ => out.push(b as char),
        }
    }
    out
}

fn unescape(text: &str) -> Result<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let octal = |at: usize| bytes.get(at).filter(|b| (b'0'..=b'7').contains(*b));
        match (bytes[i], bytes.get(i + 1)) {
            (b'\\', Some(b'\\')) => {
                out.push(b'\\');
                i += 2;
            }
            (b'\\', Some(high @ b'0'..=b'3'))
                if octal(i + 2).is_some() && octal(i + 3).is_some() =>
            {
                let digit = |b: u8| b - b'0';
                out.push(digit(*high) << 6 | digit(bytes[i + 2]) << 3 | digit(bytes[i + 3]));
                i += 4;
            }
            (b'\\', _) => {
                return Err(Error::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
            (b, _) => {
                out.push(b);
                i += 1;
            }
        }
    }
    Ok(out)
}

pub(super) fn md5_text(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &str| hex(&md5(x.as_bytes())))
}

pub(super) fn md5_bytes(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Bytes| hex(&md5(x)))
}

pub(super) fn sha224(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Bytes| Sha224::digest(x).to_vec())
}

pub(super) fn sha256(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Bytes| Sha256::digest(x).to_vec())
}

pub(super) fn sha384(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Bytes| Sha384::digest(x).to_vec())
}

pub(super) fn sha512(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Bytes| Sha512::digest(x).to_vec())
}

/// `convert_from(bytea, 'UTF8')`: the one encoding there is.
pub(super) fn convert_from(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |bytes: &Bytes, encoding: &str| {
        check_encoding(encoding, "source")?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|e| {
            let bad = &bytes[e.valid_up_to()..];
            let shown: Vec<String> = bad
                .iter()
                .take(e.error_len().unwrap_or(bad.len()))
                .map(|b| format!("0x{b:02x}"))
                .collect();
            Error::new(
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
            )
        })
    })
}

pub(super) fn convert_to(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |text: &str, encoding: &str| {
        check_encoding(encoding, "destination")?;
        Ok(text.as_bytes().to_vec())
    })
}

fn check_encoding(name: &str, side: &str) -> Result<()> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.to_ascii_lowercase().as_str() {
        "utf8" | "unicode" => Ok(()),
        "sqlascii" | "latin1" | "iso88591" | "win1252" | "eucjp" | "sjis" | "gbk" | "big5" => {
            Err(Error::unsupported(format!("the encoding \"{name}\"")))
        }
        _ => Err(invalid(format!("invalid {side} encoding name \"{name}\""))),
    }
}
