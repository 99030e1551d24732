//! Rows of JSON: members, elements, keys.

use std::sync::Arc;

use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::call::arg;
use crate::functions::sets::Rows;
use crate::types::json::Json;
use crate::types::{Datum, Row, SqlType};

use super::plain::invalid;
use super::raw::{self, Kind};

/// The columns of the functions that give members.
pub(in crate::functions) const MEMBERS: &[(&str, SqlType)] =
    &[("key", SqlType::TEXT), ("value", SqlType::JSON)];
pub(in crate::functions) const MEMBERS_B: &[(&str, SqlType)] =
    &[("key", SqlType::TEXT), ("value", SqlType::JSONB)];
pub(in crate::functions) const MEMBERS_TEXT: &[(&str, SqlType)] =
    &[("key", SqlType::TEXT), ("value", SqlType::TEXT)];
/// The column of the functions that give elements.
pub(in crate::functions) const ELEMENTS: &[(&str, SqlType)] = &[("value", SqlType::JSON)];
pub(in crate::functions) const ELEMENTS_B: &[(&str, SqlType)] = &[("value", SqlType::JSONB)];
pub(in crate::functions) const ELEMENTS_TEXT: &[(&str, SqlType)] = &[("value", SqlType::TEXT)];

fn rows(rows: Vec<Row>) -> Rows {
    Box::new(rows.into_iter().map(Ok))
}

fn optional_text(text: Option<String>) -> Datum {
    text.map_or(Datum::Null, Datum::text)
}

fn members(a: &[Datum], value: impl Fn(&str) -> Datum) -> Result<Rows> {
    let json: &str = arg(a, 0)?;
    match Kind::of(json) {
        Kind::Object => {
            Ok(rows(raw::members(json).map(|(key, v)| vec![Datum::text(key), value(v)]).collect()))
        }
        Kind::Array => Err(invalid("cannot deconstruct an array as an object")),
        _ => Err(invalid("cannot deconstruct a scalar")),
    }
}

pub(in crate::functions) fn json_each(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    members(a, |value| Datum::text(value))
}

pub(in crate::functions) fn json_each_text(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    members(a, |value| optional_text(raw::as_text(value)))
}

fn elements(a: &[Datum], name: &str, value: impl Fn(&str) -> Datum) -> Result<Rows> {
    let json: &str = arg(a, 0)?;
    match Kind::of(json) {
        Kind::Array => Ok(rows(raw::elements(json).map(|v| vec![value(v)]).collect())),
        Kind::Object => Err(invalid(format!("cannot call {name} on a non-array"))),
        _ => Err(invalid(format!("cannot call {name} on a scalar"))),
    }
}

pub(in crate::functions) fn json_array_elements(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    elements(a, "json_array_elements", |value| Datum::text(value))
}

pub(in crate::functions) fn json_array_elements_text(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    elements(a, "json_array_elements_text", |value| optional_text(raw::as_text(value)))
}

pub(in crate::functions) fn json_object_keys(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    let json: &str = arg(a, 0)?;
    match Kind::of(json) {
        Kind::Object => {
            Ok(rows(raw::members(json).map(|(key, _)| vec![Datum::text(key)]).collect()))
        }
        Kind::Array => Err(invalid("cannot call json_object_keys on an array")),
        kind => {
            debug_assert!(kind.is_scalar());
            Err(invalid("cannot call json_object_keys on a scalar"))
        }
    }
}

fn members_b(a: &[Datum], name: &str, value: impl Fn(&Json) -> Datum) -> Result<Rows> {
    match &**arg::<&Arc<Json>>(a, 0)? {
        Json::Object(pairs) => Ok(rows(
            pairs.iter().map(|(key, v)| vec![Datum::Text(key.clone()), value(v)]).collect(),
        )),
        _ => Err(invalid(format!("cannot call {name} on a non-object"))),
    }
}

fn datum(json: &Json) -> Datum {
    Datum::Jsonb(Arc::new(json.clone()))
}

pub(in crate::functions) fn jsonb_each(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    members_b(a, "jsonb_each", datum)
}

pub(in crate::functions) fn jsonb_each_text(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    members_b(a, "jsonb_each_text", |value| optional_text(value.as_text()))
}

fn elements_b(a: &[Datum], value: impl Fn(&Json) -> Datum) -> Result<Rows> {
    match &**arg::<&Arc<Json>>(a, 0)? {
        Json::Array(items) => Ok(rows(items.iter().map(|item| vec![value(item)]).collect())),
        Json::Object(_) => Err(invalid("cannot extract elements from an object")),
        _ => Err(invalid("cannot extract elements from a scalar")),
    }
}

pub(in crate::functions) fn jsonb_array_elements(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    elements_b(a, datum)
}

pub(in crate::functions) fn jsonb_array_elements_text(
    _: &EvalContext,
    a: &[Datum],
) -> Result<Rows> {
    elements_b(a, |value| optional_text(value.as_text()))
}

pub(in crate::functions) fn jsonb_object_keys(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    match &**arg::<&Arc<Json>>(a, 0)? {
        Json::Object(pairs) => {
            Ok(rows(pairs.iter().map(|(key, _)| vec![Datum::Text(key.clone())]).collect()))
        }
        Json::Array(_) => Err(invalid("cannot call jsonb_object_keys on an array")),
        _ => Err(invalid("cannot call jsonb_object_keys on a scalar")),
    }
}
