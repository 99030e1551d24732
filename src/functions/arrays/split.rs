//! Text into arrays.

use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::call::{arg, optional};
use crate::functions::sets::Rows;
use crate::types::{Array, BaseType, Datum, SqlType};

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

/// The columns of `pg_options_to_table`.
pub(in crate::functions) const OPTIONS: &[(&str, SqlType)] =
    &[("option_name", SqlType::TEXT), ("option_value", SqlType::TEXT)];

/// `pg_options_to_table(options)`: of `name=value` each part.
pub(in crate::functions) fn options(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    let options: &Array = arg(a, 0)?;
    let texts = options.values.iter().filter_map(|option| match option {
        Datum::Text(text) => Some(text.clone()),
        _ => None,
    });
    let row = |text: std::sync::Arc<str>| match text.split_once('=') {
        Some((name, value)) => Ok(vec![Datum::text(name), Datum::text(value)]),
        None => Ok(vec![Datum::Text(text), Datum::Null]),
    };
    let rows: Vec<_> = texts.map(row).collect();
    Ok(Box::new(rows.into_iter()))
}
