//! Parts of arrays and of row values: what the grammar has syntax for and `pg_proc` no name.

use crate::error::Result;
use crate::functions::call::{arg, optional};
use crate::functions::signature::scalar;
use crate::functions::signature::types::*;
use crate::functions::{EvalContext, Function};
use crate::types::{Array, Datum, Record};

/// `array[lower:upper]`: the array, the bounds, and whether the first and the second is given.
pub static SLICE: Function =
    scalar(0, "$slice", &[ANYARRAY, INT4, INT4, BOOL, BOOL], ANYARRAY, slice).nullable();

/// `(row).field`: the row, and the field's place from 0.
pub static FIELD: Function = scalar(0, "$field", &[RECORD, INT4], ANY, field);

fn slice(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let Some(array) = optional::<&Array>(a, 0)? else { return Ok(Datum::Null) };
    // None is a NULL, some none a bound that is not given.
    let bound = |at: usize| -> Result<Option<Option<i32>>> {
        Ok(if arg(a, at + 2)? { optional(a, at)?.map(Some) } else { Some(None) })
    };
    let (Some(lower), Some(upper)) = (bound(1)?, bound(2)?) else { return Ok(Datum::Null) };
    let first = i64::from(array.lower_bound);
    let end = first + array.values.len() as i64;
    let lower = lower.map_or(first, |lower| i64::from(lower).max(first));
    let upper = upper.map_or(end, |upper| (i64::from(upper) + 1).min(end));
    let values = match lower < upper {
        true => array.values[(lower - first) as usize..(upper - first) as usize].to_vec(),
        false => Vec::new(),
    };
    Ok(Datum::Array(std::sync::Arc::new(Array::new(array.element, values))))
}

fn field(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (record, place): (&Record, i32) = (arg(a, 0)?, arg(a, 1)?);
    Ok(usize::try_from(place).ok().and_then(|p| record.get(p)).cloned().unwrap_or(Datum::Null))
}
