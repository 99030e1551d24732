//! `regexp_matches` and the splitting functions.

use std::sync::Arc;

use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::call::arg;
use crate::functions::sets::Rows;
use crate::types::{Array, BaseType, Datum};

use super::functions::{find_all, group_texts, options, refuse_global};
use super::{Options, compile};

/// `regexp_matches(text, pattern [, flags])`: one row for each match, or the first only.
pub(in crate::functions) fn regexp_matches(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    let (text, pattern): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
    let options = options(a, 2)?;
    let regex = compile(pattern, options)?;
    let found = match options.global {
        true => find_all(&regex, text, 0)?,
        false => regex.find_at(text, 0)?.into_iter().collect(),
    };
    let rows: Vec<Datum> = found.iter().map(|groups| group_texts(text, groups)).collect();
    Ok(Box::new(rows.into_iter().map(|row| Ok(vec![row]))))
}

pub(in crate::functions) fn regexp_split_to_table(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    let options = refuse_global(options(a, 2)?, "regexp_split_to_table")?;
    let parts = split(arg(a, 0)?, arg(a, 1)?, options)?;
    Ok(Box::new(parts.into_iter().map(|part| Ok(vec![part]))))
}

pub(in crate::functions::strings) fn regexp_split_to_array(
    _: &EvalContext,
    a: &[Datum],
) -> Result<Datum> {
    let options = refuse_global(options(a, 2)?, "regexp_split_to_array")?;
    let values = split(arg(a, 0)?, arg(a, 1)?, options)?;
    Ok(Datum::Array(Arc::new(Array { element: BaseType::Text, lower_bound: 1, values })))
}

/// What lies between matches. Empty matches at either end or right after a match do not count.
fn split(text: &str, pattern: &str, options: Options) -> Result<Vec<Datum>> {
    let regex = compile(pattern, options)?;
    let mut parts = Vec::new();
    let (mut copied, mut last_end) = (0, 0);
    for groups in find_all(&regex, text, 0)? {
        let (begin, end) = groups[0].unwrap_or_default();
        if begin < text.len() && end > last_end {
            parts.push(Datum::text(&text[copied..begin]));
            copied = end;
        }
        last_end = end;
    }
    parts.push(Datum::text(&text[copied..]));
    Ok(parts)
}
