//! Functions of `json`.

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, one, optional, two};
use crate::types::json::write_string;
use crate::types::{Array, Datum, io};

use super::raw::{self, Kind};
use super::walk;

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn datum(value: Option<&str>) -> Datum {
    value.map_or(Datum::Null, |v| Datum::text(v.trim()))
}

fn text(value: Option<&str>) -> Datum {
    value.and_then(raw::as_text).map_or(Datum::Null, Datum::text)
}

pub(super) fn get(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &str, key: &str| datum(raw::get(json, key)))
}

pub(super) fn get_text(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &str, key: &str| text(raw::get(json, key)))
}

pub(super) fn at(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &str, index: i32| datum(raw::at(json, index)))
}

pub(super) fn at_text(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &str, index: i32| text(raw::at(json, index)))
}

/// What a path's step leads to.
fn step<'a>(json: &'a str, step: &str) -> Option<&'a str> {
    match Kind::of(json) {
        Kind::Object => raw::get(json, step),
        Kind::Array => io::parse_i32(step).ok().and_then(|index| raw::at(json, index)),
        _ => None,
    }
}

pub(super) fn get_path(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    walk(arg(a, 0)?, a, step).map(datum)
}

pub(super) fn get_path_text(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    walk(arg(a, 0)?, a, step).map(text)
}

pub(super) fn type_name(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |json: &str| Kind::of(json).name())
}

pub(super) fn array_length(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |json: &str| match Kind::of(json) {
        Kind::Array => Ok(raw::elements(json).count() as i32),
        Kind::Object => Err(invalid("cannot get array length of a non-array")),
        _ => Err(invalid("cannot get array length of a scalar")),
    })
}

/// `json_strip_nulls`: members that are null are left out; blanks too.
pub(super) fn strip_nulls(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    fn write(value: &str, out: &mut String) {
        match Kind::of(value) {
            Kind::Object => {
                out.push('{');
                let kept = raw::members(value).filter(|(_, v)| Kind::of(v) != Kind::Null);
                for (i, (key, value)) in kept.enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_string(&key, out);
                    out.push(':');
                    write(value, out);
                }
                out.push('}');
            }
            Kind::Array => {
                out.push('[');
                for (i, value) in raw::elements(value).enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write(value, out);
                }
                out.push(']');
            }
            Kind::String => write_string(&raw::unescape(value.trim()), out),
            _ => out.push_str(value.trim()),
        }
    }
    one(a, |json: &str| {
        let mut out = String::with_capacity(json.len());
        write(json, &mut out);
        out
    })
}

/// Pairs of key and value from one array of both, or from an array of each.
fn pairs(a: &[Datum]) -> Result<Vec<(String, Datum)>> {
    let subscripts = |message: &str| Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message);
    let (first, second): (&Array, Option<&Array>) = (arg(a, 0)?, optional(a, 1)?);
    let pairs: Vec<(&Datum, &Datum)> = match second {
        None if first.values.len() % 2 == 1 => {
            return Err(subscripts("array must have even number of elements"));
        }
        None => first.values.chunks(2).map(|pair| (&pair[0], &pair[1])).collect(),
        Some(values) if values.values.len() != first.values.len() => {
            return Err(subscripts("mismatched array dimensions"));
        }
        Some(values) => first.values.iter().zip(&values.values).collect(),
    };
    let pairs = pairs.into_iter().map(|(key, value)| match key {
        Datum::Text(key) => Ok((key.to_string(), value.clone())),
        _ => Err(Error::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "null value not allowed for object key",
        )),
    });
    pairs.collect()
}

/// `json_object(text[] [, text[]])`
pub(super) fn object(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let mut out = String::from("{");
    for (i, (key, value)) in pairs(a)?.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_string(key, &mut out);
        out.push_str(" : ");
        match value {
            Datum::Text(value) => write_string(value, &mut out),
            _ => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(Datum::text(out))
}

/// `jsonb_object(text[] [, text[]])`
pub(super) fn object_b(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    super::jsonb::from_json(&object(context, a)?)
}
