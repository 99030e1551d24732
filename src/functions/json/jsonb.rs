//! Functions of `jsonb` that read it.

use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, one, two};
use crate::types::json::Json;
use crate::types::{Array, Datum, Numeric, io};

use super::plain::invalid;
use super::walk;

/// `jsonb` of `json`.
pub(super) fn from_json(json: &Datum) -> Result<Datum> {
    match json {
        Datum::Text(text) => Ok(Datum::Jsonb(Arc::new(Json::parse(text)?))),
        other => Ok(other.clone()),
    }
}

fn datum(json: Option<&Json>) -> Datum {
    json.map_or(Datum::Null, |json| Datum::Jsonb(Arc::new(json.clone())))
}

fn text(json: Option<&Json>) -> Datum {
    json.and_then(Json::as_text).map_or(Datum::Null, Datum::text)
}

pub(super) fn get(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &Arc<Json>, key: &str| datum(json.get(key)))
}

pub(super) fn get_text(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &Arc<Json>, key: &str| text(json.get(key)))
}

/// The element at an index: a scalar is stored as an array of itself.
fn element(json: &Json, index: i32) -> Option<&Json> {
    match json {
        Json::Array(_) => json.at(index.into()),
        Json::Object(_) => None,
        scalar => matches!(index, 0 | -1).then_some(scalar),
    }
}

pub(super) fn at(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &Arc<Json>, index: i32| datum(element(json, index)))
}

pub(super) fn at_text(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &Arc<Json>, index: i32| text(element(json, index)))
}

/// What a path's step leads to.
fn step<'a>(json: &'a Json, step: &str) -> Option<&'a Json> {
    match json {
        Json::Object(_) => json.get(step),
        Json::Array(_) => io::parse_i32(step).ok().and_then(|i| json.at(i.into())),
        _ => None,
    }
}

pub(super) fn get_path(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    walk(arg::<&Arc<Json>>(a, 0)?.as_ref(), a, step).map(datum)
}

pub(super) fn get_path_text(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    walk(arg::<&Arc<Json>>(a, 0)?.as_ref(), a, step).map(text)
}

pub(super) fn type_name(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |json: &Arc<Json>| json.type_name())
}

pub(super) fn array_length(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |json: &Arc<Json>| match &**json {
        Json::Array(items) => Ok(items.len() as i32),
        Json::Object(_) => Err(invalid("cannot get array length of a non-array")),
        _ => Err(invalid("cannot get array length of a scalar")),
    })
}

pub(super) fn contains(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: &Arc<Json>, y: &Arc<Json>| x.contains(y))
}

pub(super) fn contained(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: &Arc<Json>, y: &Arc<Json>| y.contains(x))
}

/// Whether a text is a key, an element, or all of it.
fn has(json: &Json, key: &str) -> bool {
    match json {
        Json::Object(_) => json.get(key).is_some(),
        Json::Array(items) => {
            items.iter().any(|item| matches!(item, Json::String(s) if **s == *key))
        }
        Json::String(s) => **s == *key,
        _ => false,
    }
}

pub(super) fn exists(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &Arc<Json>, key: &str| has(json, key))
}

/// Which of the keys that are not NULL it has.
fn hits(json: &Json, keys: &Array) -> impl Iterator<Item = bool> {
    keys.values.iter().filter_map(|key| match key {
        Datum::Text(key) => Some(has(json, key)),
        _ => None,
    })
}

pub(super) fn exists_any(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &Arc<Json>, keys: &Array| hits(json, keys).any(|hit| hit))
}

pub(super) fn exists_all(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &Arc<Json>, keys: &Array| hits(json, keys).all(|hit| hit))
}

pub(super) fn pretty(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |json: &Arc<Json>| {
        let mut out = String::new();
        json.write_pretty(0, &mut out);
        out
    })
}

fn cannot_cast(json: &Json, target: &str) -> Error {
    let what = match json {
        Json::Number(_) => "numeric",
        json => json.type_name(),
    };
    invalid(format!("cannot cast jsonb {what} to type {target}"))
}

pub(super) fn to_bool(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |json: &Arc<Json>| match **json {
        Json::Bool(b) => Ok(b),
        _ => Err(cannot_cast(json, "boolean")),
    })
}

fn number<'a>(a: &'a [Datum], target: &str) -> Result<&'a Numeric> {
    let json: &Arc<Json> = arg(a, 0)?;
    match &**json {
        Json::Number(n) => Ok(n),
        _ => Err(cannot_cast(json, target)),
    }
}

pub(super) fn to_numeric(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(Datum::Numeric(number(a, "numeric")?.clone()))
}

pub(super) fn to_int2(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    number(a, "smallint")?.to_i16().map(Datum::Int2)
}

pub(super) fn to_int4(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    number(a, "integer")?.to_i32().map(Datum::Int4)
}

pub(super) fn to_int8(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    number(a, "bigint")?.to_i64().map(Datum::Int8)
}

/// A number as a float, by the cast that numeric has.
fn float(context: &EvalContext, a: &[Datum], target: crate::types::SqlType) -> Result<Datum> {
    let name = crate::types::pg_type::format_type(target);
    let number = Datum::Numeric(number(a, &name)?.clone());
    crate::functions::apply_cast(context, number, crate::types::SqlType::NUMERIC, target, true)
}

pub(super) fn to_float4(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    float(context, a, crate::types::SqlType::FLOAT4)
}

pub(super) fn to_float8(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    float(context, a, crate::types::SqlType::FLOAT8)
}

/// The index that a step of a path is, where it meets an array.
pub(super) fn step_index(step: &str, position: usize) -> Result<i32> {
    io::parse_i32(step).map_err(|_| {
        Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("path element at position {position} is not an integer: \"{step}\""),
        )
    })
}
