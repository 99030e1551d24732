//! Arrays made from others.

use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, optional, two};
use crate::types::{Array, BaseType, Datum, SqlType, io};

use super::query::same;

/// The array at `i`, or an empty one of the argument's element type for NULL.
fn array_or_empty(types: &[SqlType], a: &[Datum], i: usize) -> Result<Array> {
    let element = types.get(i).map_or(BaseType::Text, |ty| ty.base);
    Ok(optional::<&Array>(a, i)?.cloned().unwrap_or_else(|| Array::new(element, Vec::new())))
}

fn datum(array: Array) -> Datum {
    Datum::Array(Arc::new(array))
}

pub(super) fn append(_: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    let mut array = array_or_empty(types, a, 0)?;
    if array.values.is_empty() {
        array.lower_bound = 1;
    }
    array.values.push(a[1].clone());
    Ok(datum(array))
}

pub(super) fn prepend(_: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    let mut array = array_or_empty(types, a, 1)?;
    if array.values.is_empty() {
        array.lower_bound = 1;
    }
    array.values.insert(0, a[0].clone());
    Ok(datum(array))
}

pub(super) fn concatenate(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    match (optional::<&Array>(a, 0)?, optional::<&Array>(a, 1)?) {
        (None, _) => Ok(a[1].clone()),
        (_, None) => Ok(a[0].clone()),
        (Some(x), _) if x.values.is_empty() => Ok(a[1].clone()),
        (Some(x), Some(y)) => {
            let values = [&x.values[..], &y.values[..]].concat();
            Ok(datum(Array { element: x.element, lower_bound: x.lower_bound, values }))
        }
    }
}

/// `array_remove(array, element)`
pub(super) fn remove(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let Some(array) = optional::<&Array>(a, 0)? else { return Ok(Datum::Null) };
    let mut array = array.clone();
    array.values.retain(|value| !same(value, &a[1]));
    Ok(datum(array))
}

/// `array_replace(array, from, to)`
pub(super) fn replace(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let Some(array) = optional::<&Array>(a, 0)? else { return Ok(Datum::Null) };
    let mut array = array.clone();
    for value in array.values.iter_mut().filter(|value| same(value, &a[1])) {
        *value = a[2].clone();
    }
    Ok(datum(array))
}

/// `trim_array(array, count)`
pub(super) fn trim(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |array: &Array, count: i32| {
        let length = array.values.len();
        let kept = usize::try_from(count).ok().and_then(|count| length.checked_sub(count));
        let Some(kept) = kept else {
            return Err(Error::new(
                SqlState::ARRAY_SUBSCRIPT_ERROR,
                format!("number of elements to trim must be between 0 and {length}"),
            ));
        };
        let mut array = array.clone();
        array.values.truncate(kept);
        Ok(array)
    })
}

/// `array_fill(element, lengths [, lower bounds])`, of one dimension.
pub(super) fn fill(_: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    let null = || {
        Error::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "dimension array or low bound array cannot be null",
        )
    };
    let element = types.first().map_or_else(|| io::type_of(&a[0]).base, |ty| ty.base);
    let lengths: &Array = optional(a, 1)?.ok_or_else(null)?;
    let bounds: Option<&Array> = match a.get(2) {
        None => None,
        Some(_) => Some(optional(a, 2)?.ok_or_else(null)?),
    };
    if lengths.values.len() > 1 {
        return Err(Error::unsupported("an array of several dimensions"));
    }
    if bounds.is_some_and(|b| b.values.len() != lengths.values.len()) {
        return Err(Error::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "wrong number of array subscripts",
        )
        .with_detail("Low bound array has different size than dimensions array."));
    }
    let Some(length) = lengths.values.first() else {
        return Ok(datum(Array::new(element, Vec::new())));
    };
    let number = |d: &Datum| match d {
        Datum::Null => {
            Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "dimension values cannot be null"))
        }
        d => arg::<i32>(std::slice::from_ref(d), 0),
    };
    let length = number(length)?;
    let lower_bound = match bounds.and_then(|b| b.values.first()) {
        Some(bound) => number(bound)?,
        None => 1,
    };
    /// Elements that an array can have (PostgreSQL's MaxArraySize).
    const ELEMENTS_MAX: i32 = 134_217_727;
    let too_many = || {
        let message = format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})");
        Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
    };
    if !(0..=ELEMENTS_MAX).contains(&length) || lower_bound.checked_add(length).is_none() {
        return Err(too_many());
    }
    let values = vec![a[0].clone(); length as usize];
    Ok(datum(Array { element, lower_bound, values }))
}
