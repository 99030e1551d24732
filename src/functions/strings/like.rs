//! LIKE and ILIKE: `%` is any run of characters, `_` any one, `\` takes the next as it is.
//!
//! Works on bytes (UTF-8 keeps characters apart) and goes back only to the last `%`, which is
//! enough: what an earlier one could still take, the last one can.

use bytes::Bytes;

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, one, two};
use crate::types::Datum;

const ESCAPE: u8 = b'\\';

#[cold]
fn ends_with_escape() -> Error {
    Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "LIKE pattern must not end with escape character")
}

/// Bytes of the character that begins here.
fn char_bytes(first: u8) -> usize {
    match first {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

/// Whether all of `text` matches. `FOLD`: ASCII case does not count. `WIDE`: `_` is a character of
/// UTF-8, else a byte.
pub(in crate::functions) fn matches<const FOLD: bool, const WIDE: bool>(
    text: &[u8],
    pattern: &[u8],
) -> Result<bool> {
    let same = |t: u8, p: u8| match FOLD {
        true => t.eq_ignore_ascii_case(&p),
        false => t == p,
    };
    let (mut t, mut p) = (0, 0);
    // The pattern after the last `%`, and the text it is tried at.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let matched = match (text.get(t), pattern.get(p)) {
            (_, Some(b'%')) => {
                p += 1;
                retry = Some((t, p));
                if p == pattern.len() {
                    return Ok(true);
                }
                continue;
            }
            (None, None) => return Ok(true),
            (None, Some(_)) => return Ok(false),
            (Some(_), None) => false,
            (Some(&c), Some(b'_')) => {
                t += if WIDE { char_bytes(c) } else { 1 };
                p += 1;
                true
            }
            (Some(&c), Some(&ESCAPE)) => {
                let literal = *pattern.get(p + 1).ok_or_else(ends_with_escape)?;
                let matched = same(c, literal);
                if matched {
                    t += 1;
                    p += 2;
                }
                matched
            }
            (Some(&c), Some(&literal)) => {
                let matched = same(c, literal);
                if matched {
                    t += 1;
                    p += 1;
                }
                matched
            }
        };
        if matched {
            continue;
        }
        let Some((at, after)) = retry else { return Ok(false) };
        let Some(next) = next_start::<FOLD, WIDE>(text, at, pattern[after]) else {
            return Ok(false);
        };
        retry = Some((next, after));
        (t, p) = (next, after);
    }
}

/// The next place after `at` where a match of what begins with `first` can begin.
fn next_start<const FOLD: bool, const WIDE: bool>(
    text: &[u8],
    at: usize,
    first: u8,
) -> Option<usize> {
    let from = at + if WIDE { char_bytes(*text.get(at)?) } else { 1 };
    match first {
        b'_' | ESCAPE => (from <= text.len()).then_some(from),
        _ if FOLD => {
            let rest = text.get(from..)?;
            rest.iter().position(|b| b.eq_ignore_ascii_case(&first)).map(|i| from + i)
        }
        _ => text.get(from..)?.iter().position(|b| *b == first).map(|i| from + i),
    }
}

pub(super) fn like(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: &str, p: &str| matches::<false, true>(t.as_bytes(), p.as_bytes()))
}

pub(super) fn not_like(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: &str, p: &str| matches::<false, true>(t.as_bytes(), p.as_bytes()).map(|m| !m))
}

pub(super) fn ilike(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: &str, p: &str| matches::<true, true>(t.as_bytes(), p.as_bytes()))
}

pub(super) fn not_ilike(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: &str, p: &str| matches::<true, true>(t.as_bytes(), p.as_bytes()).map(|m| !m))
}

pub(super) fn bytes_like(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: &bytes::Bytes, p: &bytes::Bytes| matches::<false, false>(t, p))
}

pub(super) fn bytes_not_like(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: &bytes::Bytes, p: &bytes::Bytes| matches::<false, false>(t, p).map(|m| !m))
}

/// `LIKE pattern ESCAPE escape`: the pattern with `\` for its escape character.
pub(super) fn escape(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (pattern, escape): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
    let mut chars = escape.chars();
    let (escape, more) = (chars.next(), chars.next());
    if more.is_some() {
        return Err(invalid_escape());
    }
    let mut out = String::with_capacity(pattern.len());
    let mut escaped = false;
    for c in pattern.chars() {
        match c {
            c if Some(c) == escape && !escaped && c != '\\' => {
                out.push('\\');
                escaped = true;
            }
            '\\' if escape != Some('\\') => {
                // A backslash is a plain character here; one that was escaped has its escape.
                out.push_str(if escaped { "\\" } else { "\\\\" });
                escaped = false;
            }
            c => {
                out.push(c);
                escaped = false;
            }
        }
    }
    Ok(Datum::text(out))
}

#[cold]
fn invalid_escape() -> Error {
    Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
        .with_hint("Escape string must be empty or one character.")
}

/// `SIMILAR TO`: the pattern as a regular expression. Without a second argument the escape is `\`.
pub(super) fn similar(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let escape: &str = if a.len() > 1 { arg(a, 1)? } else { "\\" };
    if escape.chars().count() > 1 {
        return Err(invalid_escape());
    }
    one(a, |pattern: &str| similar_to_regex(pattern, escape.chars().next()))
}

/// PostgreSQL's translation: `^(?:…)$`; two separators (an escaped double quote) make it the three
/// parts that `substring` tells apart, of which the first takes as little as it can.
fn similar_to_regex(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut out = String::from("^(?:");
    let (mut after_escape, mut in_set, mut separators) = (false, false, 0);
    for c in pattern.chars() {
        if after_escape {
            after_escape = false;
            if c != '"' || in_set {
                out.extend(['\\', c]);
                continue;
            }
            out.push_str(match separators {
                0 => "){1,1}?(",
                1 => "){1,1}(?:",
                _ => return Err(too_many_separators()),
            });
            separators += 1;
        } else if Some(c) == escape {
            after_escape = true;
        } else if in_set {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
            in_set = c != ']';
        } else {
            match c {
                '[' => {
                    out.push('[');
                    in_set = true;
                }
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '\\' | '.' | '^' | '$' => out.extend(['\\', c]),
                _ => out.push(c),
            }
        }
    }
    out.push_str(")$");
    Ok(out)
}

#[cold]
fn too_many_separators() -> Error {
    let message = "SQL regular expression may not contain more than two escape-double-quote \
                   separators";
    Error::new(SqlState::INVALID_USE_OF_ESCAPE_CHARACTER, message)
}

/// `substring(text similar pattern escape character)`
pub(super) fn similar_substring(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let regex = similar(context, &a[1..])?;
    super::regex::substring(context, &[a[0].clone(), regex])
}

/// `similar_escape`: as before, a NULL escape means the default one.
pub(super) fn similar_escape(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    match a {
        [Datum::Null, ..] => Ok(Datum::Null),
        [_, Datum::Null] => similar(context, &a[..1]),
        _ => similar(context, a),
    }
}

/// `like_escape(bytea, bytea)`
pub(super) fn bytes_escape(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (pattern, escape): (&Bytes, &Bytes) = (arg(a, 0)?, arg(a, 1)?);
    if escape.len() > 1 {
        return Err(invalid_escape());
    }
    let escape = escape.first().copied();
    let mut out = Vec::with_capacity(pattern.len());
    let mut escaped = false;
    for &b in pattern {
        match b {
            b if Some(b) == escape && !escaped && b != b'\\' => {
                out.push(b'\\');
                escaped = true;
            }
            b'\\' if escape != Some(b'\\') => {
                out.extend_from_slice(if escaped { b"\\" } else { b"\\\\" });
                escaped = false;
            }
            b => {
                out.push(b);
                escaped = false;
            }
        }
    }
    Ok(Datum::Bytea(out.into()))
}
