//! Casting: one value from one type to another, and to its target's length and precision.
//!
//! [`apply_cast`] is the one place: by function, by relabelling, through the text form, and
//! element by element for arrays. What a cast is comes from [`find_cast`](super::find_cast).

pub(super) mod table;
mod text;
mod typmod;

use std::sync::Arc;

pub(super) use text::{
    find_type, functions_in, operators_in, procedure, relation, split_name, split_quoted,
};
pub use text::{is_named, text_in, text_out};
pub use typmod::coerce_typmod;

use super::{Cast, CastMethod, EvalContext, eval_call, find_cast};
use crate::error::{Error, Result, SqlState};
use crate::types::pg_type::format_type;
use crate::types::{Array, BaseType, Datum, SqlType};

/// Casts a value, the target's typmod included. `explicit` says that the user wrote the cast: too
/// long strings are cut then, instead of refused.
///
/// # Errors
/// What the conversion raises (22P02, 22003, 22001, …); 42846 if there is no such cast.
pub fn apply_cast(
    context: &EvalContext,
    datum: Datum,
    source: SqlType,
    target: SqlType,
    explicit: bool,
) -> Result<Datum> {
    if datum.is_null() {
        return Ok(Datum::Null);
    }
    let cast = match source.same(target) {
        true if source.typmod == target.typmod => return Ok(datum),
        true => datum,
        false => {
            let cast = find_cast(source, target).ok_or_else(|| no_cast(source, target))?;
            convert(context, datum, cast, source, target)?
        }
    };
    match target.typmod {
        -1 => Ok(cast),
        _ => coerce_typmod(cast, target, explicit),
    }
}

#[cold]
fn no_cast(source: SqlType, target: SqlType) -> Error {
    let (source, target) = (format_type(source.plain()), format_type(target.plain()));
    Error::new(SqlState::CANNOT_COERCE, format!("cannot cast type {source} to {target}"))
}

fn convert(
    context: &EvalContext,
    datum: Datum,
    cast: &Cast,
    source: SqlType,
    target: SqlType,
) -> Result<Datum> {
    if let (Datum::Array(array), true) = (&datum, target.is_array) {
        match (source.is_array, source.base) {
            (true, _) => return convert_elements(context, array, cast, source.element(), target),
            (false, BaseType::Int2Vector | BaseType::OidVector) => {
                let source = SqlType::of(array.element);
                return convert_elements(context, array, cast, source, target);
            }
            _ => {}
        }
    }
    match cast.method {
        CastMethod::Binary => Ok(relabel(datum, target)),
        CastMethod::Function(function) => {
            // The function may be of a type that is the same inside: int2 to oid is by int4.
            Ok(relabel(eval_call(function, context, &[datum])?, target))
        }
        CastMethod::Text => through_text(context, &datum, source, target),
    }
}

/// Output of the source type, input of the target. The string types are their own output.
fn through_text(
    context: &EvalContext,
    datum: &Datum,
    source: SqlType,
    target: SqlType,
) -> Result<Datum> {
    if let (Datum::Text(text), false) = (datum, source.is_array) {
        return text_in(context, text, target);
    }
    let mut text = String::new();
    text_out(context, datum, source, &mut text);
    match (target.base, target.is_array) {
        (BaseType::Text | BaseType::Varchar | BaseType::Bpchar, false) => Ok(Datum::text(text)),
        _ => text_in(context, &text, target),
    }
}

/// The same value as the target's datum: only integers and OIDs differ.
fn relabel(datum: Datum, target: SqlType) -> Datum {
    use crate::types::BaseType::{Int4, Oid};
    match (datum, target.base) {
        (Datum::Int4(v), base) if base == Oid || is_named(target) => Datum::Oid(v as u32),
        (Datum::Int8(v), base) if base == Oid || is_named(target) => Datum::Oid(v as u32),
        (Datum::Oid(v), Int4) => Datum::Int4(v as i32),
        (datum, _) => datum,
    }
}

fn convert_elements(
    context: &EvalContext,
    array: &Array,
    cast: &Cast,
    from: SqlType,
    target: SqlType,
) -> Result<Datum> {
    let to = target.element().plain();
    let values = array.values.iter().map(|value| match value {
        Datum::Null => Ok(Datum::Null),
        value => convert(context, value.clone(), cast, from, to),
    });
    Ok(Datum::Array(Arc::new(Array {
        element: target.base,
        lower_bound: array.lower_bound,
        values: values.collect::<Result<_>>()?,
    })))
}
