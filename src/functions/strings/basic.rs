//! Length, case, concatenation, and the casts among the string types.
//!
//! The locale is C: case is a matter of ASCII alone, lengths count characters.

use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, one, two};
use crate::types::{Datum, NAME_BYTES_MAX, SqlType};

/// Bytes that a value can have (PostgreSQL's MaxAllocSize).
pub(in crate::functions) const VALUE_BYTES_MAX: usize = 0x3fff_ffff;

/// 54000 for a result that would be larger than a value can be.
#[cold]
pub(in crate::functions) fn too_large() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

pub(super) fn concatenate(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: &str, y: &str| {
        let mut out = String::with_capacity(x.len() + y.len());
        out.push_str(x);
        out.push_str(y);
        out
    })
}

/// `text || anything`: the other side cast to text.
pub(super) fn concatenate_any(
    context: &EvalContext,
    types: &[SqlType],
    a: &[Datum],
) -> Result<Datum> {
    let mut out = String::new();
    for (datum, ty) in a.iter().zip(types) {
        match crate::functions::apply_cast(context, datum.clone(), *ty, SqlType::TEXT, true)? {
            Datum::Text(text) => out.push_str(&text),
            other => crate::functions::text_out(context, &other, *ty, &mut out),
        }
    }
    Ok(Datum::text(out))
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

pub(super) fn bit_length(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &str| x.len() as i32 * 8)
}

pub(super) fn lower(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &str| x.to_ascii_lowercase())
}

pub(super) fn upper(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &str| x.to_ascii_uppercase())
}

/// The first letter of each word upper case, others lower case; words are of letters and digits.
pub(super) fn initcap(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &str| {
        let mut in_word = false;
        let capped = x.chars().map(|c| {
            let cased = if in_word { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
            in_word = c.is_ascii_alphanumeric();
            cased
        });
        capped.collect::<String>()
    })
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

/// A `char(n)` loses its padding before it becomes a name.
pub(super) fn blanks_to_name(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    to_name(context, &[without_blanks(context, a)?])
}

/// `varchar(n)` and `char(n)` as functions: the value, the typmod, whether the cast is explicit.
pub(super) fn to_length<const BLANKS: bool>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (typmod, explicit) = (arg(a, 1)?, arg(a, 2)?);
    let base = if BLANKS { SqlType::BPCHAR.base } else { SqlType::VARCHAR.base };
    let target = SqlType::with_typmod(base, typmod);
    crate::functions::coerce_typmod(a[0].clone(), target, explicit)
}

/// The code point of the first character; 0 for no character.
pub(super) fn ascii(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &str| x.chars().next().map_or(0, |c| c as i32))
}

/// The character of a code point.
pub(super) fn chr(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    const LAST: i32 = 0x10_ffff;
    one(a, |code: i32| match code {
        ..0 => {
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "character number must be positive"))
        }
        0 => Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "null character not permitted")),
        1..=LAST => match char::from_u32(code as u32) {
            Some(c) => Ok(String::from(c)),
            None => Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("requested character not valid for encoding: {code}"),
            )),
        },
        _ => Err(Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("requested character too large for encoding: {code}"),
        )),
    })
}

/// `"char"` from the first byte of a text.
pub(super) fn first_byte(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: &str| x.as_bytes().first().copied().unwrap_or(0))
}

/// `"char"` from and to int4: a signed byte.
pub(super) fn char_from_int(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: i32| {
        i8::try_from(x)
            .map(|x| x as u8)
            .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "\"char\" out of range"))
    })
}

pub(super) fn char_to_int(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: u8| i32::from(x as i8))
}

/// The text of a `"char"`: nothing for 0, an octal escape beyond ASCII.
pub(super) fn char_to_text(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: u8| match x {
        0 => String::new(),
        1..=127 => String::from(x as char),
        _ => format!("\\{x:03o}"),
    })
}

pub(super) fn bool_to_text(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: bool| if x { "true" } else { "false" })
}

/// `name || oid`, made unique: the catalog's own names (`specific_name`).
pub(super) fn name_with_oid(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |name: &str, oid: u32| {
        let suffix = format!("_{oid}");
        let room = name.floor_char_boundary(NAME_BYTES_MAX - suffix.len());
        format!("{}{suffix}", &name[..room])
    })
}
