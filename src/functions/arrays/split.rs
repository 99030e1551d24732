//! Text into arrays.

use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::call::optional;
use crate::functions::sets::Rows;
use crate::types::{Array, BaseType, Datum};

/// The parts of the first argument between the second; none for NULL. Without a separator each
/// character is a part, an empty one splits nothing; the third argument's text is NULL.
fn parts(a: &[Datum]) -> Result<Option<Vec<Datum>>> {
    let Some(text) = optional::<&str>(a, 0)? else { return Ok(None) };
    let null: Option<&str> = optional(a, 2)?;
    let part = |part: &str| match null == Some(part) {
        true => Datum::Null,
        false => Datum::text(part),
    };
    Ok(Some(match optional::<&str>(a, 1)? {
        _ if text.is_empty() => Vec::new(),
        None => text.chars().map(|c| part(c.encode_utf8(&mut [0; 4]))).collect(),
        Some("") => vec![part(text)],
        Some(separator) => text.split(separator).map(part).collect(),
    }))
}

/// `string_to_array(text, separator [, text for NULL])`
pub(super) fn string_to_array(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(parts(a)?
        .map_or(Datum::Null, |values| Datum::Array(Array::new(BaseType::Text, values).into())))
}

/// `string_to_table(text, separator [, text for NULL])`
pub(in crate::functions) fn string_to_table(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    let values = parts(a)?.unwrap_or_default();
    Ok(Box::new(values.into_iter().map(|value| Ok(vec![value]))))
}
