//! JSON: `json` keeps its text as written, `jsonb` is a tree.

mod aggregates;
mod build;
mod edit;
mod jsonb;
mod plain;
mod raw;
mod sets;
pub(super) mod table;

pub(super) use aggregates::{json_agg, json_object_agg, jsonb_agg, jsonb_object_agg};
pub(super) use sets::*;

use super::call::optional;
use crate::error::Result;
use crate::types::Datum;

/// What the path in a function's arguments leads to: an array of keys and indexes behind the
/// value, or each an argument. None where a step is NULL or leads nowhere.
fn walk<T>(value: T, a: &[Datum], step: impl Fn(T, &str) -> Option<T>) -> Result<Option<T>> {
    let path = match a.get(1) {
        Some(Datum::Array(steps)) => &steps.values,
        _ => a.get(1..).unwrap_or(&[]),
    };
    let mut value = value;
    for (i, _) in path.iter().enumerate() {
        let Some(key) = optional::<&str>(path, i)? else { return Ok(None) };
        let Some(next) = step(value, key) else { return Ok(None) };
        value = next;
    }
    Ok(Some(value))
}
