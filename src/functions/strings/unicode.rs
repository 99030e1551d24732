//! Text with Unicode escapes.

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::one;
use crate::types::Datum;

fn syntax(message: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

/// The number of `count` hexadecimal digits at the beginning.
fn number(text: &str, count: usize) -> Option<u32> {
    let digits = text.get(..count).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

/// The code point of an escape, without its backslash, and how long the escape is.
fn escape(text: &str) -> Option<(u32, usize)> {
    match text.as_bytes().first()? {
        b'+' => Some((number(&text[1..], 6)?, 7)),
        b'u' => Some((number(&text[1..], 4)?, 5)),
        b'U' => Some((number(&text[1..], 8)?, 9)),
        _ => Some((number(text, 4)?, 4)),
    }
}

/// `unistr`: `\XXXX`, `\+XXXXXX`, `\uXXXX`, `\UXXXXXXXX`; surrogates come in pairs.
pub(super) fn unistr(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, decode)
}

fn decode(text: &str) -> Result<String> {
    let surrogates = || syntax("invalid Unicode surrogate pair");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut high: Option<u32> = None;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if c != '\\' || after.starts_with('\\') {
            if high.is_some() {
                return Err(surrogates());
            }
            out.push(c);
            rest = if c == '\\' { &after[1..] } else { after };
            continue;
        }
        let (code, length) = escape(after).ok_or_else(|| {
            syntax("invalid Unicode escape")
                .with_hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
        })?;
        if code == 0 || code > 0x10_ffff {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid Unicode code point: {code:04X}"),
            ));
        }
        rest = &after[length..];
        match (high.take(), code) {
            (Some(first), 0xdc00..=0xdfff) => {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (code - 0xdc00);
                out.push(char::from_u32(code).ok_or_else(surrogates)?);
            }
            (None, 0xd800..=0xdbff) => high = Some(code),
            (None, _) => out.push(char::from_u32(code).ok_or_else(surrogates)?),
            (Some(_), _) => return Err(surrogates()),
        }
    }
    match high {
        Some(_) => Err(surrogates()),
        None => Ok(out),
    }
}
