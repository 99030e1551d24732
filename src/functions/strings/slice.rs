//! Parts of strings: `substr`, `left`, `lpad`, `trim`, `split_part`, `position`, `overlay` and so
//! on. Positions count characters from 1.

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, one, optional, three, two};
use crate::types::Datum;

use super::basic::{VALUE_BYTES_MAX, too_large};

/// Where the character of that index (from 0) begins; the end if there are fewer.
pub(super) fn byte_at(s: &str, index: usize) -> usize {
    if s.is_ascii() {
        return index.min(s.len());
    }
    s.char_indices().nth(index).map_or(s.len(), |(at, _)| at)
}

/// The characters from `start` (from 1, may lie before), `length` of them or all.
pub(super) fn cut(s: &str, start: i32, length: Option<i32>) -> Result<&str> {
    let end = match length {
        Some(..0) => {
            return Err(Error::new(
                SqlState::SUBSTRING_ERROR,
                "negative substring length not allowed",
            ));
        }
        // An end beyond all strings is no end.
        Some(length) => start.checked_add(length),
        None => None,
    };
    let from = byte_at(s, start.max(1) as usize - 1);
    match end {
        None => Ok(&s[from..]),
        Some(end) => {
            let count = i64::from(end) - i64::from(start.max(1));
            if count <= 0 {
                return Ok("");
            }
            let rest = &s[from..];
            Ok(&rest[..byte_at(rest, count as usize)])
        }
    }
}

pub(super) fn substr(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    cut(arg(a, 0)?, arg(a, 1)?, optional(a, 2)?).map(Datum::text)
}

/// How many characters `left` and `right` keep: `n`, or all but `-n`.
fn kept(s: &str, n: i32) -> usize {
    match n {
        0.. => n as usize,
        _ => s.chars().count().saturating_sub(n.unsigned_abs() as usize),
    }
}

pub(super) fn left(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |s: &str, n: i32| s[..byte_at(s, kept(s, n))].to_owned())
}

pub(super) fn right(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |s: &str, n: i32| {
        let skipped = match n {
            0.. => s.chars().count().saturating_sub(n as usize),
            _ => n.unsigned_abs() as usize,
        };
        s[byte_at(s, skipped)..].to_owned()
    })
}

/// The string cut to `length` characters, and what must be added to reach it.
fn padding<'a>(s: &'a str, length: i32, fill: &str) -> Result<(&'a str, String)> {
    let length = length.max(0) as usize;
    let cut = &s[..byte_at(s, length)];
    let missing = length - cut.chars().count();
    if missing == 0 || fill.is_empty() {
        return Ok((cut, String::new()));
    }
    if length.saturating_mul(4) > VALUE_BYTES_MAX {
        return Err(too_large());
    }
    Ok((cut, fill.chars().cycle().take(missing).collect()))
}

pub(super) fn lpad(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let fill = optional(a, 2)?.unwrap_or(" ");
    let (kept, pad) = padding(arg(a, 0)?, arg(a, 1)?, fill)?;
    Ok(Datum::text(pad + kept))
}

pub(super) fn rpad(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let fill = optional(a, 2)?.unwrap_or(" ");
    let (kept, pad) = padding(arg(a, 0)?, arg(a, 1)?, fill)?;
    Ok(Datum::text(kept.to_owned() + &pad))
}

pub(super) fn btrim(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let set: &str = optional(a, 1)?.unwrap_or(" ");
    one(a, |s: &str| s.trim_matches(|c| set.contains(c)))
}

pub(super) fn ltrim(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let set: &str = optional(a, 1)?.unwrap_or(" ");
    one(a, |s: &str| s.trim_start_matches(|c| set.contains(c)))
}

pub(super) fn rtrim(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let set: &str = optional(a, 1)?.unwrap_or(" ");
    one(a, |s: &str| s.trim_end_matches(|c| set.contains(c)))
}

pub(super) fn position(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |s: &str, part: &str| match s.find(part) {
        Some(at) => s[..at].chars().count() as i32 + 1,
        None => 0,
    })
}

pub(super) fn starts_with(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |s: &str, prefix: &str| s.starts_with(prefix))
}

pub(super) fn reverse(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |s: &str| s.chars().rev().collect::<String>())
}

pub(super) fn repeat(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |s: &str, count: i32| {
        let count = count.max(0) as usize;
        match s.len().checked_mul(count) {
            Some(bytes) if bytes <= VALUE_BYTES_MAX => Ok(s.repeat(count)),
            _ => Err(too_large()),
        }
    })
}

pub(super) fn replace(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    three(a, |s: &str, from: &str, to: &str| match from {
        "" => s.to_owned(),
        _ => s.replace(from, to),
    })
}

/// Each character of `from` becomes the one at its place in `to`, or nothing.
pub(super) fn translate(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    three(a, |s: &str, from: &str, to: &str| {
        let mapped = s.chars().filter_map(|c| match from.chars().position(|f| f == c) {
            None => Some(c),
            Some(i) => to.chars().nth(i),
        });
        mapped.collect::<String>()
    })
}

pub(super) fn split_part(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    three(a, |s: &str, by: &str, n: i32| {
        if n == 0 {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "field position must not be zero",
            ));
        }
        let nth = n.unsigned_abs() as usize - 1;
        if by.is_empty() {
            return Ok(if nth == 0 { s.to_owned() } else { String::new() });
        }
        let part = match n {
            0.. => s.split(by).nth(nth),
            // Counted from the end, but split from the front: separators may overlap.
            _ => {
                let parts: Vec<&str> = s.split(by).collect();
                parts.len().checked_sub(nth + 1).map(|i| parts[i])
            }
        };
        Ok(part.unwrap_or("").to_owned())
    })
}

/// `overlay(s placing new from start for length)`.
pub(super) fn overlay(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (s, new, start): (&str, &str, i32) = (arg(a, 0)?, arg(a, 1)?, arg(a, 2)?);
    let length = optional(a, 3)?.unwrap_or(new.chars().count() as i32);
    if start <= 0 {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let Some(after) = start.checked_add(length) else {
        return Err(crate::functions::numbers::ints::out_of_range("integer"));
    };
    Ok(Datum::text([cut(s, 1, Some(start - 1))?, new, cut(s, after, None)?].concat()))
}
