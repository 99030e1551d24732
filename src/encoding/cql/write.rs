//! From datums to CQL's bytes: cells that are written, keys and bounds that are looked for.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::integer::{bytes as integer_bytes, put_signed, put_unsigned};
use super::{DATE_ZERO, EPOCH_DAYS, EPOCH_MICROS};
use crate::error::{Error, Result, SqlState};
use crate::types::cql::CqlType;
use crate::types::io::{self, FormatSettings};
use crate::types::json::Json;
use crate::types::{Datum, Interval, Numeric};

/// Bytes of a key that Cassandra takes.
const KEY_BYTES_MAX: usize = 65_535;

/// The cell of a value; none is NULL.
///
/// # Errors
/// 22003, 22008, 22023 for values that CQL's type has not; nothing is rounded.
pub fn cell(ty: &CqlType, value: &Datum) -> Result<Option<Bytes>> {
    let bytes = match (value, ty) {
        (Datum::Null, _) => return Ok(None),
        (Datum::Jsonb(json), _) => match json_cell(ty, json)? {
            Some(bytes) => bytes,
            None => return Ok(None),
        },
        (Datum::Array(array), CqlType::List(of) | CqlType::Set(of)) => {
            let parts = array.values.iter().map(|v| element(ty, of, v));
            collection(parts.collect::<Result<Vec<_>>>()?)
        }
        (Datum::Array(array), CqlType::Vector(of, count)) => {
            let parts = array.values.iter().map(|v| element(ty, of, v));
            vector(ty, of, *count, parts.collect::<Result<Vec<_>>>()?)?
        }
        _ => scalar(ty, value)?,
    };
    Ok(Some(bytes.into()))
}

fn element(ty: &CqlType, of: &CqlType, value: &Datum) -> Result<Vec<u8>> {
    match value {
        Datum::Null => Err(no_value(ty, "a NULL element")),
        value => scalar(of, value),
    }
}

fn no_value(ty: &CqlType, what: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("{what} is no value of CQL type {ty}"))
}

fn out_of_range(ty: &CqlType) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value out of range for CQL type {ty}"),
    )
}

fn scalar(ty: &CqlType, value: &Datum) -> Result<Vec<u8>> {
    let integer = || match value {
        Datum::Int2(v) => Ok(i64::from(*v)),
        Datum::Int4(v) => Ok(i64::from(*v)),
        Datum::Int8(v) => Ok(*v),
        other => Err(Error::internal(format!("{other:?} for CQL type {ty}"))),
    };
    Ok(match (ty, value) {
        (CqlType::Text, Datum::Text(text)) => text.as_bytes().to_vec(),
        (CqlType::Ascii, Datum::Text(text)) if text.is_ascii() => text.as_bytes().to_vec(),
        (CqlType::Ascii, Datum::Text(text)) => return Err(no_value(ty, &format!("\"{text}\""))),
        (CqlType::Tinyint, _) => match i8::try_from(integer()?) {
            Ok(v) => v.to_be_bytes().to_vec(),
            Err(_) => return Err(out_of_range(ty)),
        },
        (CqlType::Smallint, _) => match i16::try_from(integer()?) {
            Ok(v) => v.to_be_bytes().to_vec(),
            Err(_) => return Err(out_of_range(ty)),
        },
        (CqlType::Int, _) => match i32::try_from(integer()?) {
            Ok(v) => v.to_be_bytes().to_vec(),
            Err(_) => return Err(out_of_range(ty)),
        },
        (CqlType::Bigint | CqlType::Counter, _) => integer()?.to_be_bytes().to_vec(),
        (CqlType::Varint, Datum::Numeric(n)) => whole(n).ok_or_else(|| out_of_range(ty))?,
        (CqlType::Decimal, Datum::Numeric(n)) => decimal(n).ok_or_else(|| out_of_range(ty))?,
        (CqlType::Float, Datum::Float4(v)) => v.to_be_bytes().to_vec(),
        (CqlType::Double, Datum::Float8(v)) => v.to_be_bytes().to_vec(),
        (CqlType::Boolean, Datum::Bool(v)) => vec![u8::from(*v)],
        (CqlType::Blob, Datum::Bytea(v)) => v.to_vec(),
        (CqlType::Uuid, Datum::Uuid(v)) => v.to_vec(),
        (CqlType::Timeuuid, Datum::Uuid(v)) if v[6] >> 4 == 1 => v.to_vec(),
        (CqlType::Timeuuid, Datum::Uuid(_)) => {
            return Err(no_value(ty, "a uuid that is not of version 1"));
        }
        (CqlType::Timestamp, Datum::Timestamptz(micros)) => match millis(*micros) {
            (Some(millis), true) => millis.to_be_bytes().to_vec(),
            _ => {
                let message = "CQL timestamps have milliseconds, and no infinity";
                return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
            }
        },
        (CqlType::Date, Datum::Date(days)) => match cql_date(*days) {
            Some(days) => days.to_be_bytes().to_vec(),
            None => {
                let message = "CQL dates have no infinity";
                return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
            }
        },
        (CqlType::Time, Datum::Time(micros)) if *micros < 86_400_000_000 => {
            (micros * 1000).to_be_bytes().to_vec()
        }
        (CqlType::Time, Datum::Time(_)) => return Err(no_value(ty, "24:00:00")),
        (CqlType::Inet, Datum::Text(text)) => match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(v4)) => v4.octets().to_vec(),
            Ok(IpAddr::V6(v6)) => v6.octets().to_vec(),
            Err(_) => return Err(no_value(ty, &format!("\"{text}\""))),
        },
        (CqlType::Duration, Datum::Text(text)) => duration(ty, text)?,
        (_, other) => return Err(Error::internal(format!("{other:?} for CQL type {ty}"))),
    })
}

/// Milliseconds since 1970, and whether that is all of it; none for infinities.
fn millis(micros: i64) -> (Option<i64>, bool) {
    if matches!(micros, i64::MIN | i64::MAX) {
        return (None, false);
    }
    let since = i128::from(micros) + i128::from(EPOCH_MICROS);
    let (millis, rest) = (since.div_euclid(1000), since.rem_euclid(1000));
    (i64::try_from(millis).ok(), rest == 0)
}

fn cql_date(days: i32) -> Option<u32> {
    if matches!(days, i32::MIN | i32::MAX) {
        return None;
    }
    u32::try_from(i64::from(days) + EPOCH_DAYS + DATE_ZERO).ok()
}

fn whole(n: &Numeric) -> Option<Vec<u8>> {
    if !n.is_finite() || !n.is_integral() {
        return None;
    }
    let text = n.to_string();
    integer_bytes(text.split('.').next().unwrap_or_default())
}

fn decimal(n: &Numeric) -> Option<Vec<u8>> {
    if !n.is_finite() {
        return None;
    }
    let text = n.to_string();
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let unscaled = integer_bytes(&text.replace('.', ""))?;
    let mut out = i32::try_from(scale).ok()?.to_be_bytes().to_vec();
    out.extend_from_slice(&unscaled);
    Some(out)
}

/// Months, days and nanoseconds of an interval's text, which must agree in sign.
fn duration(ty: &CqlType, text: &str) -> Result<Vec<u8>> {
    let wrong = || no_value(ty, &format!("\"{text}\""));
    let (plain, nanos_below) = split_nanos(text);
    let parsed = io::parse_text(&plain, crate::types::SqlType::INTERVAL, &Default::default(), 0)?;
    let Datum::Interval(interval) = parsed else { return Err(wrong()) };
    let Interval { months, days, micros } = *interval;
    let below = if micros < 0 || text.contains('-') { -nanos_below } else { nanos_below };
    let nanos = micros.checked_mul(1000).and_then(|n| n.checked_add(below)).ok_or_else(wrong)?;
    let signs = [i64::from(months), i64::from(days), nanos];
    if signs.iter().any(|v| *v < 0) && signs.iter().any(|v| *v > 0) {
        return Err(no_value(ty, "an interval of mixed signs"));
    }
    let mut out = Vec::new();
    signs.iter().for_each(|v| put_signed(*v, &mut out));
    Ok(out)
}

/// An ISO duration without the last three of nine digits behind its point, and those.
fn split_nanos(text: &str) -> (String, i64) {
    let fraction = text.rsplit_once('.').and_then(|(head, tail)| {
        let digits = tail.strip_suffix('S')?;
        let below = digits.get(6..)?;
        let below: i64 = format!("{below:0<3}").parse().ok().filter(|_| below.len() <= 3)?;
        Some((format!("{head}.{}S", &digits[..6]), below))
    });
    fraction.unwrap_or_else(|| (text.to_owned(), 0))
}

/// Parts with their lengths.
fn parts_of<'a>(parts: impl IntoIterator<Item = Option<&'a [u8]>>, out: &mut Vec<u8>) {
    for part in parts {
        match part {
            Some(part) => {
                out.extend_from_slice(&(part.len() as i32).to_be_bytes());
                out.extend_from_slice(part);
            }
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
    }
}

fn collection(parts: Vec<Vec<u8>>) -> Vec<u8> {
    let mut out = (parts.len() as i32).to_be_bytes().to_vec();
    parts_of(parts.iter().map(|p| Some(p.as_slice())), &mut out);
    out
}

fn vector(ty: &CqlType, of: &CqlType, count: u32, parts: Vec<Vec<u8>>) -> Result<Vec<u8>> {
    if parts.len() != count as usize {
        return Err(no_value(ty, &format!("an array of {} elements", parts.len())));
    }
    let mut out = Vec::new();
    for part in parts {
        if of.vector_width().is_none() {
            put_unsigned(part.len() as u64, &mut out);
        }
        out.extend_from_slice(&part);
    }
    Ok(out)
}

/// The bytes of a JSON value; none for null.
fn json_cell(ty: &CqlType, json: &Json) -> Result<Option<Vec<u8>>> {
    if matches!(json, Json::Null) {
        return Ok(None);
    }
    let wrong = || no_value(ty, &format!("the JSON {}", json.type_name()));
    let of_all = |of: &CqlType, items: &[Json]| {
        let parts = items
            .iter()
            .map(|item| json_cell(of, item)?.ok_or_else(|| no_value(ty, "a null element")));
        parts.collect::<Result<Vec<_>>>()
    };
    Ok(Some(match (ty, json) {
        (CqlType::List(of) | CqlType::Set(of), Json::Array(items)) => {
            collection(of_all(of, items)?)
        }
        (CqlType::Vector(of, count), Json::Array(items)) => {
            vector(ty, of, *count, of_all(of, items)?)?
        }
        (CqlType::Map(key, value), Json::Object(pairs)) => {
            let mut out = (pairs.len() as i32).to_be_bytes().to_vec();
            for (name, item) in pairs {
                let name = map_key(key, name)?;
                let item = json_cell(value, item)?.ok_or_else(|| no_value(ty, "a null value"))?;
                parts_of([Some(name.as_slice()), Some(item.as_slice())], &mut out);
            }
            out
        }
        (CqlType::Tuple(parts), Json::Array(items)) if items.len() == parts.len() => {
            let cells = parts.iter().zip(items).map(|(of, item)| json_cell(of, item));
            let cells = cells.collect::<Result<Vec<_>>>()?;
            let mut out = Vec::new();
            parts_of(cells.iter().map(Option::as_deref), &mut out);
            out
        }
        (CqlType::Udt(_, fields), Json::Object(pairs)) => {
            let unknown = pairs.iter().find(|(name, _)| fields.iter().all(|(f, _)| **name != **f));
            if let Some((name, _)) = unknown {
                return Err(no_value(ty, &format!("an object with key \"{name}\"")));
            }
            let cells = fields.iter().map(|(name, of)| match json.get(name) {
                Some(item) => json_cell(of, item),
                None => Ok(None),
            });
            let cells = cells.collect::<Result<Vec<_>>>()?;
            let mut out = Vec::new();
            parts_of(cells.iter().map(Option::as_deref), &mut out);
            out
        }
        (scalar_type, Json::String(_) | Json::Number(_) | Json::Bool(_))
            if scalar_type.is_scalar() =>
        {
            scalar_text(scalar_type, &json.as_text().unwrap_or_default())?
        }
        _ => return Err(wrong()),
    }))
}

fn map_key(ty: &CqlType, name: &Arc<str>) -> Result<Vec<u8>> {
    if ty.is_scalar() {
        return scalar_text(ty, name);
    }
    json_cell(ty, &Json::parse(name)?)?.ok_or_else(|| no_value(ty, "a null key"))
}

fn scalar_text(ty: &CqlType, text: &str) -> Result<Vec<u8>> {
    scalar(ty, &io::parse_text(text, ty.sql_type(), &FormatSettings::default(), 0)?)
}

/// A value that a key column is to be equal to.
///
/// None: no row can have it. The value is one of a type that compares with the column's, and the
/// column's is exact ([`CqlType::is_exact`]). `alone`: it is all of a partition key.
pub fn key(ty: &CqlType, value: &Datum, alone: bool) -> Option<Bytes> {
    if let (CqlType::Inet, Datum::Text(text)) = (ty, value)
        && text.parse::<IpAddr>().is_ok_and(|address| address.to_string() != **text)
    {
        // Equal to no text that an address is shown as.
        return None;
    }
    let bytes = cell(ty, value).ok()??;
    (bytes.len() <= KEY_BYTES_MAX && !(alone && bytes.is_empty())).then_some(bytes)
}

/// A bound of a range on a key column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edge {
    /// At this value; whether it belongs to the range.
    At(Bytes, bool),
    /// It keeps nothing out, or cannot be said.
    Open,
    /// Nothing is within it.
    Nothing,
}

/// The bound that a comparison with a value is, for a type whose order is SQL's.
pub fn edge(ty: &CqlType, value: &Datum, low: bool, inclusive: bool) -> Edge {
    let beyond = |above: bool| if above == low { Edge::Nothing } else { Edge::Open };
    let cut = |floor: Vec<u8>, exact: bool| match (exact, low) {
        (true, _) => Edge::At(floor.into(), inclusive),
        // Between two values: above, or up to, the one below.
        (false, low) => Edge::At(floor.into(), !low),
    };
    match (ty, value) {
        (_, Datum::Null) => Edge::Nothing,
        (CqlType::Timestamp, Datum::Timestamptz(micros)) => match millis(*micros) {
            (Some(millis), exact) => cut(millis.to_be_bytes().to_vec(), exact),
            (None, _) => beyond(*micros > 0),
        },
        (CqlType::Date, Datum::Date(days)) if cql_date(*days).is_none() => beyond(*days > 0),
        (CqlType::Varint, Datum::Numeric(n)) => {
            if n.is_nan() || n.is_infinite() {
                return beyond(n.is_nan() || n.sign() > 0);
            }
            match n.floor().ok().and_then(|floor| whole(&floor)) {
                Some(floor) => cut(floor, n.is_integral()),
                None => Edge::Open,
            }
        }
        (CqlType::Tinyint | CqlType::Smallint | CqlType::Int, _) => match scalar(ty, value) {
            Ok(bytes) => Edge::At(bytes.into(), inclusive),
            Err(_) => {
                beyond(matches!(value, Datum::Int2(1..) | Datum::Int4(1..) | Datum::Int8(1..)))
            }
        },
        _ => match scalar(ty, value) {
            Ok(bytes) if bytes.len() <= KEY_BYTES_MAX => Edge::At(bytes.into(), inclusive),
            _ => Edge::Open,
        },
    }
}
