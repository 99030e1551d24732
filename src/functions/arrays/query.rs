//! What an array is and has.

use crate::error::{Error, Result, SqlState};
use crate::functions::call::{arg, one, optional, two};
use crate::functions::sets::Rows;
use crate::functions::{EvalContext, compare};
use crate::types::{Array, BaseType, Datum};

/// Lower and upper bound of a dimension: the first is the only one, and only where there are
/// elements.
fn bounds(array: &Array, dimension: i32) -> Option<(i32, i32)> {
    match dimension {
        1 => array.upper_bound().map(|upper| (array.lower_bound, upper)),
        _ => None,
    }
}

pub(super) fn length(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |array: &Array, dimension: i32| bounds(array, dimension).map(|(l, u)| u - l + 1))
}

pub(super) fn lower(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |array: &Array, dimension: i32| bounds(array, dimension).map(|b| b.0))
}

pub(super) fn upper(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |array: &Array, dimension: i32| bounds(array, dimension).map(|b| b.1))
}

pub(super) fn dimensions(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |array: &Array| (!array.values.is_empty()).then_some(1))
}

pub(super) fn dimension_text(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |array: &Array| bounds(array, 1).map(|(l, u)| format!("[{l}:{u}]")))
}

pub(super) fn cardinality(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |array: &Array| array.values.len() as i32)
}

/// Whether two elements are the same, NULL being the same as NULL.
pub(super) fn same(x: &Datum, y: &Datum) -> bool {
    compare(x, y).is_eq()
}

/// `array_position(array, element [, start])`
pub(super) fn position(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let Some(array) = optional::<&Array>(a, 0)? else { return Ok(Datum::Null) };
    let start: i32 = match a.get(2) {
        None => array.lower_bound,
        Some(Datum::Null) => {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "initial position must not be null",
            ));
        }
        Some(_) => arg(a, 2)?,
    };
    let mut indexes = (array.lower_bound..).zip(&array.values);
    let found = indexes.find(|(i, value)| *i >= start && same(value, &a[1]));
    Ok(found.map_or(Datum::Null, |(i, _)| Datum::Int4(i)))
}

/// `array_positions(array, element)`
pub(super) fn positions(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let Some(array) = optional::<&Array>(a, 0)? else { return Ok(Datum::Null) };
    let indexes = (array.lower_bound..).zip(&array.values);
    let found = indexes.filter(|(_, value)| same(value, &a[1])).map(|(i, _)| Datum::Int4(i));
    Ok(Datum::Array(Array::new(BaseType::Int4, found.collect()).into()))
}

/// Whether every element of `inner` is in `outer`; NULL is in nothing.
fn holds(outer: &Array, inner: &Array) -> bool {
    let has = |x: &Datum| !x.is_null() && outer.values.iter().any(|y| same(x, y));
    inner.values.iter().all(has)
}

pub(super) fn contains(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, holds)
}

pub(super) fn contained(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |inner: &Array, outer: &Array| holds(outer, inner))
}

pub(super) fn overlap(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: &Array, y: &Array| {
        let in_y = |e: &Datum| !e.is_null() && y.values.iter().any(|f| same(e, f));
        x.values.iter().any(in_y)
    })
}

/// `unnest(array)`
pub(in crate::functions) fn unnest(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    let values = arg::<&Array>(a, 0)?.values.clone();
    Ok(Box::new(values.into_iter().map(|value| Ok(vec![value]))))
}

/// `generate_subscripts(array, dimension [, reverse])`
pub(in crate::functions) fn generate_subscripts(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    let Some((lower, upper)) = bounds(arg(a, 0)?, arg(a, 1)?) else {
        return Ok(Box::new(std::iter::empty()));
    };
    let row = |i: i32| Ok(vec![Datum::Int4(i)]);
    Ok(match optional(a, 2)?.unwrap_or(false) {
        true => Box::new((lower..=upper).rev().map(row)),
        false => Box::new((lower..=upper).map(row)),
    })
}
