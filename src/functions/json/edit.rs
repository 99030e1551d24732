//! Functions of `jsonb` that change it.

use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, one, optional, two};
use crate::types::json::{Json, compare_keys};
use crate::types::{Array, Datum};

use super::jsonb::step_index;
use super::plain::invalid;

/// `jsonb || jsonb`: objects merge, everything else becomes one array.
pub(super) fn concatenate(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    fn items(json: &Json) -> Vec<Json> {
        match json {
            Json::Array(items) => items.clone(),
            other => vec![other.clone()],
        }
    }
    two(a, |x: &Arc<Json>, y: &Arc<Json>| match (&**x, &**y) {
        (Json::Object(x), Json::Object(y)) => Json::object([&x[..], &y[..]].concat()),
        (x, y) => {
            let mut all = items(x);
            all.extend(items(y));
            Json::Array(all)
        }
    })
}

fn scalar_error() -> Error {
    invalid("cannot delete from scalar")
}

/// Without the keys, or the elements that are one of these texts.
fn without(json: &Json, gone: impl Fn(&str) -> bool) -> Result<Json> {
    match json {
        Json::Object(pairs) => {
            Ok(Json::Object(pairs.iter().filter(|(key, _)| !gone(key)).cloned().collect()))
        }
        Json::Array(items) => {
            let stays = |item: &&Json| !matches!(item, Json::String(s) if gone(s));
            Ok(Json::Array(items.iter().filter(stays).cloned().collect()))
        }
        _ => Err(scalar_error()),
    }
}

pub(super) fn delete_key(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &Arc<Json>, key: &str| without(json, |k| k == key))
}

pub(super) fn delete_keys(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &Arc<Json>, keys: &Array| {
        without(json, |k| {
            keys.values.iter().any(|key| matches!(key, Datum::Text(key) if **key == *k))
        })
    })
}

pub(super) fn delete_at(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |json: &Arc<Json>, index: i32| match &**json {
        Json::Array(items) => {
            let mut items = items.clone();
            if let Some(i) = place(index, items.len()) {
                items.remove(i);
            }
            Ok(Json::Array(items))
        }
        Json::Object(_) => Err(invalid("cannot delete from object using integer index")),
        _ => Err(scalar_error()),
    })
}

/// The place that an index means, from the end where negative.
fn place(index: i32, length: usize) -> Option<usize> {
    let i = match usize::try_from(index) {
        Ok(i) => i,
        Err(_) => length.checked_sub(index.unsigned_abs() as usize)?,
    };
    (i < length).then_some(i)
}

/// What is done at the end of a path.
enum Change<'a> {
    Delete,
    /// The new value; whether it may be made where there is none.
    Set(&'a Json, bool),
    /// The new value; whether after the element there.
    Insert(&'a Json, bool),
}

/// Follows a path, of which `depth` steps are done, and does the change at its end.
fn change(json: &Json, path: &[Datum], depth: usize, what: &Change<'_>) -> Result<Json> {
    let Some(step) = optional::<&str>(path, depth)? else {
        return match path.get(depth) {
            Some(_) => Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                format!("path element at position {} is null", depth + 1),
            )),
            None => Ok(json.clone()),
        };
    };
    let last = depth + 1 == path.len();
    match json {
        Json::Object(pairs) => {
            let found = pairs.binary_search_by(|(key, _)| compare_keys(key, step));
            let mut pairs = pairs.clone();
            match (found, last, what) {
                (Ok(i), false, _) => pairs[i].1 = change(&pairs[i].1, path, depth + 1, what)?,
                (Err(_), false, _) | (Err(_), true, Change::Delete | Change::Set(_, false)) => {}
                (Ok(i), true, Change::Delete) => {
                    pairs.remove(i);
                }
                (Ok(i), true, Change::Set(new, _)) => pairs[i].1 = (*new).clone(),
                (Ok(_), true, Change::Insert(..)) => {
                    return Err(invalid("cannot replace existing key")
                        .with_hint("Try using the function jsonb_set to replace key value."));
                }
                (Err(i), true, Change::Set(new, true) | Change::Insert(new, _)) => {
                    pairs.insert(i, (step.into(), (*new).clone()));
                }
            }
            Ok(Json::Object(pairs))
        }
        Json::Array(items) => {
            let index = step_index(step, depth + 1)?;
            change_array(items, index, path, depth, what).map(Json::Array)
        }
        other => Ok(other.clone()),
    }
}

fn change_array(
    items: &[Json],
    index: i32,
    path: &[Datum],
    depth: usize,
    what: &Change<'_>,
) -> Result<Vec<Json>> {
    let mut items = items.to_vec();
    let found = place(index, items.len());
    if depth + 1 < path.len() {
        if let Some(i) = found {
            items[i] = change(&items[i], path, depth + 1, what)?;
        }
        return Ok(items);
    }
    // Beyond either end a new element goes to that end.
    let end = if index < 0 { 0 } else { items.len() };
    match (found, what) {
        (Some(i), Change::Delete) => {
            items.remove(i);
        }
        (Some(i), Change::Set(new, _)) => items[i] = (*new).clone(),
        (Some(i), Change::Insert(new, after)) => {
            items.insert(i + usize::from(*after), (*new).clone());
        }
        (None, Change::Set(new, true) | Change::Insert(new, _)) => {
            items.insert(end, (*new).clone());
        }
        (None, Change::Delete | Change::Set(_, false)) => {}
    }
    Ok(items)
}

/// The target of a change: a scalar has no paths.
fn target<'a>(a: &'a [Datum], refusal: &str) -> Result<(&'a Json, &'a [Datum])> {
    let (json, path): (&Arc<Json>, &Array) = (arg(a, 0)?, arg(a, 1)?);
    match &**json {
        Json::Object(_) | Json::Array(_) => Ok((json, &path.values)),
        _ => Err(invalid(refusal)),
    }
}

fn datum(json: Json) -> Datum {
    Datum::Jsonb(Arc::new(json))
}

pub(super) fn delete_path(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (json, path) = target(a, "cannot delete path in scalar")?;
    change(json, path, 0, &Change::Delete).map(datum)
}

/// `jsonb_set(target, path, value [, create])`
pub(super) fn set(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (new, create): (&Arc<Json>, bool) = (arg(a, 2)?, optional(a, 3)?.unwrap_or(true));
    let refusal = "cannot set path in scalar";
    let (json, path) = target(a, refusal)?;
    if !create && matches!(json, Json::Object(p) if p.is_empty()) {
        return Ok(datum(json.clone()));
    }
    change(json, path, 0, &Change::Set(new, create)).map(datum)
}

/// `jsonb_insert(target, path, value [, after])`
pub(super) fn insert(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (new, after): (&Arc<Json>, bool) = (arg(a, 2)?, optional(a, 3)?.unwrap_or(false));
    let (json, path) = target(a, "cannot set path in scalar")?;
    change(json, path, 0, &Change::Insert(new, after)).map(datum)
}

/// `jsonb_set_lax(target, path, value [, create [, what to do with NULL]])`
pub(super) fn set_lax(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    if a[0].is_null() || a[1].is_null() || matches!(a.get(3), Some(Datum::Null)) {
        return Ok(Datum::Null);
    }
    let with = |new: Json| {
        let mut args = a.to_vec();
        args[2] = datum(new);
        args.truncate(4);
        set(context, &args)
    };
    let treatment = match a.get(4) {
        None => "use_json_null",
        Some(_) => optional(a, 4)?.ok_or_else(|| {
            invalid(
                "null_value_treatment must be \"delete_key\", \"return_target\", \
                 \"use_json_null\", or \"raise_exception\"",
            )
        })?,
    };
    if let Some(new) = optional::<&Arc<Json>>(a, 2)? {
        return with(Json::clone(new));
    }
    match treatment {
        "use_json_null" => with(Json::Null),
        "delete_key" => delete_path(context, &a[..2]),
        "return_target" => Ok(a[0].clone()),
        "raise_exception" => Err(Error::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "JSON value must not be null",
        )
        .with_detail("Exception was raised because null_value_treatment is \"raise_exception\".")
        .with_hint(
            "To avoid, either change the null_value_treatment argument or ensure that an SQL \
             NULL is not passed.",
        )),
        _ => Err(invalid(
            "null_value_treatment must be \"delete_key\", \"return_target\", \
             \"use_json_null\", or \"raise_exception\"",
        )),
    }
}

/// Members that are null are left out, at every depth.
pub(super) fn strip_nulls(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    fn stripped(json: &Json) -> Json {
        match json {
            Json::Object(pairs) => {
                let kept = pairs.iter().filter(|(_, value)| !matches!(value, Json::Null));
                Json::Object(kept.map(|(key, value)| (key.clone(), stripped(value))).collect())
            }
            Json::Array(items) => Json::Array(items.iter().map(stripped).collect()),
            other => other.clone(),
        }
    }
    one(a, |json: &Arc<Json>| stripped(json))
}
