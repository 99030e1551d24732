//! Length, concatenation, and the casts among the string types.

use std::sync::Arc;

use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::call::{one, two};
use crate::types::Datum;

/// Bytes that a name can have.
const NAME_BYTES_MAX: usize = 63;

pub(super) fn concatenate(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: &str, y: &str| [x, y].concat())
}

pub(super) fn length(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &str| x.chars().count() as i32)
}

/// The length of a `char(n)` leaves trailing blanks out.
pub(super) fn blank_length(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &str| x.trim_end_matches(' ').chars().count() as i32)
}

pub(super) fn octet_length(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &str| x.len() as i32)
}

/// Without trailing blanks, as a `char(n)` becomes text.
pub(super) fn without_blanks(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    match &a[0] {
        Datum::Text(text) if !text.ends_with(' ') => Ok(Datum::Text(text.clone())),
        _ => one(a, |x: &str| Arc::<str>::from(x.trim_end_matches(' '))),
    }
}

/// Another type of the same text.
pub(super) fn same(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(a[0].clone())
}

/// Cut to the bytes that a name can have, between characters.
pub(super) fn to_name(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &str| Arc::<str>::from(&x[..x.floor_char_boundary(NAME_BYTES_MAX)]))
}
