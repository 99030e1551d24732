//! What tokens hold: names folded, strings decoded.

use std::sync::Arc;

use super::super::position_at;
use super::{Kind, Token};
use crate::error::{Error, Result, SqlState};
use crate::types::NAME_BYTES_MAX;

/// A word as a name: ASCII letters in lower case, cut to [`NAME_BYTES_MAX`].
pub fn fold(word: &str) -> Arc<str> {
    let word = cut(word);
    if word.bytes().any(|b| b.is_ascii_uppercase()) {
        Arc::from(word.to_ascii_lowercase())
    } else {
        Arc::from(word)
    }
}

/// A name cut to [`NAME_BYTES_MAX`], at a character's end.
pub fn cut(name: &str) -> &str {
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let mut end = NAME_BYTES_MAX;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// The name that a `"…"` token holds.
pub fn quoted_name(source: &str) -> Arc<str> {
    let inner = &source[1..source.len() - 1];
    if inner.contains('"') {
        Arc::from(cut(&inner.replace("\"\"", "\"")))
    } else {
        Arc::from(cut(inner))
    }
}

/// The value of a string token.
pub fn string_value(text: &str, token: Token) -> Result<String> {
    let source = &text[token.start as usize..token.end as usize];
    let decoded = match token.kind {
        Kind::DollarString => {
            let tag = source[1..].find('$').map_or(0, |i| i + 2);
            return Ok(source[tag..source.len() - tag].to_owned());
        }
        Kind::EscapeString => unescape(&join_parts(&source[1..], true)),
        Kind::UnicodeString => unescape_unicode(&join_parts(&source[2..], false), '\\'),
        _ if source.starts_with(['n', 'N']) => return Ok(join_parts(&source[1..], false)),
        _ => return Ok(join_parts(source, false)),
    };
    // The escape's own place is known where the string has one part without doubled quotes.
    let prefix = if token.kind == Kind::EscapeString { 2 } else { 3 };
    decoded.map_err(|fault| fault.located(text, token.start + prefix))
}

/// The name that a `U&"…"` token holds.
pub fn unicode_name(text: &str, token: Token, escape: char) -> Result<Arc<str>> {
    let source = &text[token.start as usize + 2..token.end as usize];
    let name = quoted_name(source);
    let decoded = unescape_unicode(&name, escape);
    Ok(Arc::from(cut(&decoded.map_err(|fault| fault.located(text, token.start + 3))?)))
}

/// The value of a `U&'…'` token with an escape character of its own.
pub fn unicode_string(text: &str, token: Token, escape: char) -> Result<String> {
    let source = &text[token.start as usize + 2..token.end as usize];
    unescape_unicode(&join_parts(source, false), escape)
        .map_err(|fault| fault.located(text, token.start + 3))
}

/// The bodies of a string's quoted parts, joined; doubled quotes single, backslashes kept.
fn join_parts(source: &str, escapes: bool) -> String {
    let inner = &source[1..source.len() - 1];
    if !inner.contains('\'') {
        return inner.to_owned();
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' && escapes {
            out.push(c);
            out.extend(chars.next());
        } else if c != '\'' {
            out.push(c);
        } else if chars.next_if_eq(&'\'').is_some() {
            out.push('\'');
        } else {
            skip_to_quote(&mut chars);
        }
    }
    out
}

/// Skips blanks and comments between two parts of a string, and the quote after them.
fn skip_to_quote(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.next() {
        if c == '\'' {
            return;
        }
        if c == '-' {
            while chars.next_if(|c| !matches!(c, '\n' | '\r')).is_some() {}
        }
    }
}

/// What is wrong with an escape, and the byte of the body at which it begins, if it has a place.
struct EscapeFault {
    error: Error,
    at: Option<usize>,
}

impl EscapeFault {
    fn located(self, text: &str, body: u32) -> Error {
        match self.at {
            Some(at) => self.error.at(position_at(text, body + at as u32)),
            None => self.error,
        }
    }
}

/// Decodes backslash escapes.
fn unescape(body: &str) -> Result<String, EscapeFault> {
    let mut out: Vec<u8> = Vec::with_capacity(body.len());
    let mut chars = body.char_indices().peekable();
    while let Some((place, c)) = chars.next() {
        if c != '\\' {
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        match chars.next().map(|(_, c)| c) {
            Some('b') => out.push(8),
            Some('f') => out.push(12),
            Some('n') => out.push(b'\n'),
            Some('r') => out.push(b'\r'),
            Some('t') => out.push(b'\t'),
            Some(first @ '0'..='7') => {
                out.push(digits(&mut chars, first as u32 - '0' as u32, 8, 2) as u8);
            }
            Some('x') if chars.peek().is_some_and(|(_, c)| c.is_ascii_hexdigit()) => {
                out.push(digits(&mut chars, 0, 16, 2) as u8);
            }
            Some(size @ ('u' | 'U')) => {
                let count = if size == 'u' { 4 } else { 8 };
                let decoded = unicode_escape(&mut chars, count).ok_or_else(|| {
                    let error = invalid_escape("invalid Unicode escape")
                        .with_hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.");
                    EscapeFault { error, at: Some(place) }
                })?;
                let decoded = decoded.map_err(|error| EscapeFault { error, at: Some(place) })?;
                out.extend(decoded.encode_utf8(&mut [0; 4]).bytes());
            }
            Some(other) => out.extend(other.encode_utf8(&mut [0; 4]).bytes()),
            None => {}
        }
    }
    if out.contains(&0) {
        return Err(EscapeFault { error: invalid_bytes(&[0]), at: None });
    }
    String::from_utf8(out).map_err(|e| {
        let bytes = e.as_bytes();
        let from = e.utf8_error().valid_up_to();
        let length = e.utf8_error().error_len().unwrap_or(1);
        let error = invalid_bytes(&bytes[from..(from + length).min(bytes.len())]);
        EscapeFault { error, at: None }
    })
}

fn invalid_escape(message: &str) -> Error {
    Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, message)
}

fn invalid_bytes(bytes: &[u8]) -> Error {
    let hex: Vec<String> = bytes.iter().map(|b| format!("0x{b:02x}")).collect();
    Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", hex.join(" ")),
    )
}

type Chars<'a> = std::iter::Peekable<std::str::CharIndices<'a>>;

/// At most `count` more digits after `value`.
fn digits(chars: &mut Chars<'_>, mut value: u32, radix: u32, count: usize) -> u32 {
    for _ in 0..count {
        let Some((_, c)) = chars.next_if(|(_, c)| c.is_digit(radix)) else { break };
        value = value * radix + c.to_digit(radix).unwrap_or(0);
    }
    value
}

/// `count` hexadecimal digits as a character; surrogates come in pairs, the second with its own
/// backslash and letter. None: not an escape; an error inside: not a character.
fn unicode_escape(chars: &mut Chars<'_>, count: u32) -> Option<Result<char>> {
    let first = hex_number(chars, count)?;
    let pair_fault = || Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair");
    if (0xdc00..0xe000).contains(&first) {
        return Some(Err(pair_fault()));
    }
    if !(0xd800..0xdc00).contains(&first) {
        return Some(to_char(first));
    }
    let opened = chars.next().is_some_and(|(_, c)| c == '\\');
    let second = match chars.peek().map(|(_, c)| *c) {
        _ if !opened => None,
        Some('u') => chars.next().and_then(|_| hex_number(chars, 4)),
        Some('U') => chars.next().and_then(|_| hex_number(chars, 8)),
        Some('+') => chars.next().and_then(|_| hex_number(chars, 6)),
        _ => hex_number(chars, 4),
    };
    match second {
        Some(low @ 0xdc00..0xe000) => {
            Some(to_char(0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00)))
        }
        _ => Some(Err(pair_fault())),
    }
}

fn hex_number(chars: &mut Chars<'_>, count: u32) -> Option<u32> {
    let mut value: u32 = 0;
    for _ in 0..count {
        let (_, c) = chars.next_if(|(_, c)| c.is_ascii_hexdigit())?;
        value = value.checked_mul(16)? + c.to_digit(16)?;
    }
    Some(value)
}

fn to_char(code: u32) -> Result<char> {
    char::from_u32(code)
        .filter(|c| *c != '\0')
        .ok_or_else(|| Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape value"))
}

/// Decodes `\XXXX` and `\+XXXXXX`.
fn unescape_unicode(body: &str, escape: char) -> Result<String, EscapeFault> {
    let mut out = String::with_capacity(body.len());
    let mut chars = body.char_indices().peekable();
    while let Some((place, c)) = chars.next() {
        let fault = |error: Error| EscapeFault { error, at: Some(place) };
        if c != escape {
            out.push(c);
        } else if chars.next_if(|(_, c)| *c == escape).is_some() {
            out.push(escape);
        } else {
            let count = if chars.next_if(|(_, c)| *c == '+').is_some() { 6 } else { 4 };
            let decoded = unicode_escape(&mut chars, count).ok_or_else(|| {
                let error = Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape");
                fault(error.with_hint("Unicode escapes must be \\XXXX or \\+XXXXXX."))
            })?;
            out.push(decoded.map_err(fault)?);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;

    #[test]
    fn strings_decode() {
        let value = |text: &str| {
            let token = scan(text).tokens[0];
            string_value(text, token)
        };
        assert_eq!(value("'it''s'").unwrap(), "it's");
        assert_eq!(value("'one'\n 'two'").unwrap(), "onetwo");
        assert_eq!(value("E'a\\tb\\\\\\'\\x41\\101\\u00e9'").unwrap(), "a\tb\\'AA\u{e9}");
        assert_eq!(value("$x$ a 'b' $x$").unwrap(), " a 'b' ");
        assert_eq!(value("U&'d\\0061t\\+000061'").unwrap(), "data");
        assert_eq!(value("E'\\xff'").unwrap_err().code().as_str(), "22021");
        assert_eq!(value("E'\\u12'").unwrap_err().code().as_str(), "22025");
    }
}
