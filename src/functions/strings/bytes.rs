//! bytea: length, concatenation, parts, single bytes and bits.

use bytes::Bytes;

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, one, optional, two};
use crate::functions::numbers::ints::out_of_range;
use crate::types::Datum;

pub(super) fn concatenate(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: &Bytes, y: &Bytes| [&x[..], &y[..]].concat())
}

pub(super) fn length(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Bytes| x.len() as i32)
}

pub(super) fn bit_length(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &Bytes| x.len() as i32 * 8)
}

/// The bytes from `start` (from 1, may lie before), `length` of them or all.
fn cut(bytes: &Bytes, start: i32, length: Option<i32>) -> Result<Bytes> {
    let end = match length {
        Some(..0) => {
            return Err(Error::new(
                SqlState::SUBSTRING_ERROR,
                "negative substring length not allowed",
            ));
        }
        Some(length) => start.checked_add(length),
        None => None,
    };
    let clamp = |at: i32| (at.max(1) as usize - 1).min(bytes.len());
    let (from, to) = (clamp(start), end.map_or(bytes.len(), clamp));
    Ok(bytes.slice(from..to.max(from)))
}

pub(super) fn substr(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    cut(arg(a, 0)?, arg(a, 1)?, optional(a, 2)?).map(Datum::Bytea)
}

pub(super) fn overlay(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (bytes, new, start): (&Bytes, &Bytes, i32) = (arg(a, 0)?, arg(a, 1)?, arg(a, 2)?);
    let length = optional(a, 3)?.unwrap_or(new.len() as i32);
    if start <= 0 {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let after = start.checked_add(length).ok_or_else(|| out_of_range("integer"))?;
    let parts = [&cut(bytes, 1, Some(start - 1))?[..], &new[..], &cut(bytes, after, None)?[..]];
    Ok(Datum::Bytea(parts.concat().into()))
}

pub(super) fn position(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |bytes: &Bytes, part: &Bytes| match part.len() {
        0 => 1,
        n => bytes.windows(n).position(|w| w == &part[..]).map_or(0, |at| at as i32 + 1),
    })
}

fn trim(a: &[Datum], left: bool, right: bool) -> Result<Datum> {
    two(a, |bytes: &Bytes, set: &Bytes| {
        let kept = |b: &u8| !set.contains(b);
        let from = if left { bytes.iter().position(kept) } else { Some(0) };
        let to = if right { bytes.iter().rposition(kept).map(|i| i + 1) } else { None };
        let (from, to) =
            (from.unwrap_or(bytes.len()), to.unwrap_or(if right { 0 } else { bytes.len() }));
        bytes.slice(from.min(to)..to)
    })
}

pub(super) fn btrim(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    trim(a, true, true)
}

pub(super) fn ltrim(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    trim(a, true, false)
}

pub(super) fn rtrim(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    trim(a, false, true)
}

/// The index, if it is one: 2202E.
fn index(i: i64, count: i64) -> Result<usize> {
    match (0..count).contains(&i) {
        true => Ok(i as usize),
        false => Err(Error::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            format!("index {i} out of valid range, 0..{}", count - 1),
        )),
    }
}

pub(super) fn get_byte(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |bytes: &Bytes, i: i32| Ok(i32::from(bytes[index(i.into(), bytes.len() as i64)?])))
}

pub(super) fn set_byte(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (bytes, i, value): (&Bytes, i32, i32) = (arg(a, 0)?, arg(a, 1)?, arg(a, 2)?);
    let i = index(i.into(), bytes.len() as i64)?;
    let mut bytes = bytes.to_vec();
    bytes[i] = value as u8;
    Ok(Datum::Bytea(bytes.into()))
}

/// Bits count from the lowest of the first byte.
pub(super) fn get_bit(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |bytes: &Bytes, i: i64| {
        let i = index(i, bytes.len() as i64 * 8)?;
        Ok(i32::from(bytes[i / 8] >> (i % 8) & 1))
    })
}

pub(super) fn set_bit(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (bytes, i, value): (&Bytes, i64, i32) = (arg(a, 0)?, arg(a, 1)?, arg(a, 2)?);
    let i = index(i, bytes.len() as i64 * 8)?;
    if !matches!(value, 0 | 1) {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "new bit must be 0 or 1"));
    }
    let mut bytes = bytes.to_vec();
    bytes[i / 8] = bytes[i / 8] & !(1 << (i % 8)) | (value as u8) << (i % 8);
    Ok(Datum::Bytea(bytes.into()))
}

pub(super) fn bit_count(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |bytes: &Bytes| bytes.iter().map(|b| i64::from(b.count_ones())).sum::<i64>())
}
