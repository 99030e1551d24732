//! From CQL's bytes to datums.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::integer::{digits, take_signed, take_unsigned};
use super::{DATE_ZERO, EPOCH_DAYS, EPOCH_MICROS, malformed};
use crate::error::{Error, Result, SqlState};
use crate::types::cql::CqlType;
use crate::types::datetime::{check_date, check_timestamp};
use crate::types::io::{self, FormatSettings};
use crate::types::json::Json;
use crate::types::{Array, Datum, Numeric};

/// Nanoseconds in a day: the end of CQL's times.
const DAY_NANOS: i64 = 86_400_000_000_000;
const NANOS: u64 = 1_000_000_000;

/// A value of [`CqlType::sql_type`]. No bytes are NULL; so are empty ones, which Cassandra takes
/// for a value of every type, but for those of which they are one.
///
/// # Errors
/// 22P03 for bytes that are no value of the type, 22008 and 22003 for values that SQL's has not.
pub fn datum(ty: &CqlType, bytes: Option<&Bytes>) -> Result<Datum> {
    let Some(bytes) = bytes else { return Ok(Datum::Null) };
    if bytes.is_empty() && !matches!(ty, CqlType::Ascii | CqlType::Text | CqlType::Blob) {
        return Ok(Datum::Null);
    }
    match ty {
        CqlType::Blob => Ok(Datum::Bytea(bytes.clone())),
        CqlType::List(of) | CqlType::Set(of) if of.is_scalar() => {
            let values = elements(ty, bytes)?.into_iter().map(|b| scalar_or_null(of, b));
            array(of, values.collect::<Result<_>>()?)
        }
        CqlType::Vector(of, count) if of.is_scalar() => {
            let values = vector_elements(ty, of, *count, bytes)?.into_iter();
            array(of, values.map(|b| scalar(of, b)).collect::<Result<_>>()?)
        }
        _ if ty.is_scalar() => scalar(ty, bytes),
        _ => Ok(Datum::Jsonb(Arc::new(json(ty, bytes)?))),
    }
}

fn array(of: &CqlType, values: Vec<Datum>) -> Result<Datum> {
    Ok(Datum::Array(Arc::new(Array::new(of.element_base(), values))))
}

fn scalar_or_null(ty: &CqlType, bytes: Option<&[u8]>) -> Result<Datum> {
    bytes.map_or(Ok(Datum::Null), |bytes| scalar(ty, bytes))
}

/// A number in so many bytes.
fn number<const N: usize>(ty: &CqlType, bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| malformed(&ty.to_string()))
}

fn scalar(ty: &CqlType, bytes: &[u8]) -> Result<Datum> {
    Ok(match ty {
        CqlType::Ascii | CqlType::Text => Datum::Text(text(ty, bytes)?),
        CqlType::Tinyint => Datum::Int2(i16::from(i8::from_be_bytes(number(ty, bytes)?))),
        CqlType::Smallint => Datum::Int2(i16::from_be_bytes(number(ty, bytes)?)),
        CqlType::Int => Datum::Int4(i32::from_be_bytes(number(ty, bytes)?)),
        CqlType::Bigint | CqlType::Counter => Datum::Int8(i64::from_be_bytes(number(ty, bytes)?)),
        CqlType::Varint => Datum::Numeric(Numeric::parse(&digits(bytes))?),
        CqlType::Decimal => Datum::Numeric(decimal(ty, bytes)?),
        CqlType::Float => Datum::Float4(f32::from_be_bytes(number(ty, bytes)?)),
        CqlType::Double => Datum::Float8(f64::from_be_bytes(number(ty, bytes)?)),
        CqlType::Boolean => Datum::Bool(number::<1>(ty, bytes)? != [0]),
        CqlType::Blob => Datum::Bytea(Bytes::copy_from_slice(bytes)),
        CqlType::Uuid | CqlType::Timeuuid => Datum::Uuid(number(ty, bytes)?),
        CqlType::Timestamp => timestamp(i64::from_be_bytes(number(ty, bytes)?))?,
        CqlType::Date => date(u32::from_be_bytes(number(ty, bytes)?))?,
        CqlType::Time => match i64::from_be_bytes(number(ty, bytes)?) {
            // SQL's type has microseconds; what is below is cut.
            nanos @ 0..DAY_NANOS => Datum::Time(nanos / 1000),
            _ => return Err(malformed("time")),
        },
        CqlType::Inet => Datum::text(inet(bytes)?.to_string()),
        CqlType::Duration => Datum::text(duration(bytes)?),
        _ => return Err(Error::internal(format!("{ty} is no scalar"))),
    })
}

fn text(ty: &CqlType, bytes: &[u8]) -> Result<Arc<str>> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed(&ty.to_string()))?;
    if text.contains('\0') {
        return Err(Error::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    Ok(text.into())
}

fn decimal(ty: &CqlType, bytes: &[u8]) -> Result<Numeric> {
    let (scale, unscaled) =
        bytes.split_first_chunk::<4>().ok_or_else(|| malformed(&ty.to_string()))?;
    let exponent = -i64::from(i32::from_be_bytes(*scale));
    Numeric::parse(&format!("{}e{exponent}", digits(unscaled)))
}

fn timestamp(millis: i64) -> Result<Datum> {
    let out_of_range = || {
        Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("timestamp out of range: {millis} ms after 1970"),
        )
    };
    let micros = millis.checked_mul(1000).and_then(|m| m.checked_sub(EPOCH_MICROS));
    let micros =
        micros.filter(|m| check_timestamp(*m).is_ok() && !matches!(*m, i64::MIN | i64::MAX));
    micros.map(Datum::Timestamptz).ok_or_else(out_of_range)
}

fn date(days: u32) -> Result<Datum> {
    let days = i64::from(days) - DATE_ZERO - EPOCH_DAYS;
    let known = i32::try_from(days).ok();
    let known = known.filter(|d| check_date(*d).is_ok() && !matches!(*d, i32::MIN | i32::MAX));
    known.map(Datum::Date).ok_or_else(|| {
        Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date out of range: {days} days after 2000-01-01"),
        )
    })
}

fn inet(bytes: &[u8]) -> Result<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(bytes).map(IpAddr::from).map_err(|_| malformed("inet"))
}

/// ISO 8601's form, with nanoseconds: what interval's input takes too.
fn duration(mut bytes: &[u8]) -> Result<String> {
    let mut take = || take_signed(&mut bytes).ok_or_else(|| malformed("duration"));
    let (months, days, nanos) = (take()?, take()?, take()?);
    let sign = if months < 0 || days < 0 || nanos < 0 { "-" } else { "" };
    let mut out = String::from("P");
    let mut put = |value: u64, unit: &str| {
        if value != 0 {
            out.push_str(&format!("{sign}{value}{unit}"));
        }
    };
    put(months.unsigned_abs() / 12, "Y");
    put(months.unsigned_abs() % 12, "M");
    put(days.unsigned_abs(), "D");
    let nanos = nanos.unsigned_abs();
    if nanos != 0 || out.len() == 1 {
        out.push('T');
        let (seconds, rest) = (nanos / NANOS, nanos % NANOS);
        for (value, unit) in [(seconds / 3600, 'H'), (seconds / 60 % 60, 'M')] {
            if value != 0 {
                out.push_str(&format!("{sign}{value}{unit}"));
            }
        }
        if rest != 0 {
            let digits = format!("{rest:09}");
            let digits = digits.trim_end_matches('0');
            out.push_str(&format!("{sign}{}.{digits}S", seconds % 60));
        } else if seconds % 60 != 0 || nanos == 0 {
            out.push_str(&format!("{sign}{}S", seconds % 60));
        }
    }
    Ok(out)
}

/// Takes a length and so many bytes; a negative length is null.
fn take_part<'a>(ty: &CqlType, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    let short = || malformed(&ty.to_string());
    let (length, rest) = input.split_first_chunk::<4>().ok_or_else(short)?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *input = rest;
        return Ok(None);
    };
    let (part, rest) = rest.split_at_checked(length).ok_or_else(short)?;
    *input = rest;
    Ok(Some(part))
}

/// The elements of a list or set; of a map keys and values by turns.
fn elements<'a>(ty: &CqlType, bytes: &'a [u8]) -> Result<Vec<Option<&'a [u8]>>> {
    let (count, mut rest) =
        bytes.split_first_chunk::<4>().ok_or_else(|| malformed(&ty.to_string()))?;
    let each = if matches!(ty, CqlType::Map(..)) { 2 } else { 1 };
    let count = usize::try_from(i32::from_be_bytes(*count)).unwrap_or(0) * each;
    let mut parts = Vec::with_capacity(count.min(bytes.len() / 4));
    for _ in 0..count {
        parts.push(take_part(ty, &mut rest)?);
    }
    Ok(parts)
}

fn vector_elements<'a>(
    ty: &CqlType,
    of: &CqlType,
    count: u32,
    bytes: &'a [u8],
) -> Result<Vec<&'a [u8]>> {
    let short = || malformed(&ty.to_string());
    let (mut parts, mut rest) = (Vec::new(), bytes);
    for _ in 0..count {
        let width = match of.vector_width() {
            Some(width) => width,
            None => take_unsigned(&mut rest).ok_or_else(short)? as usize,
        };
        let (part, after) = rest.split_at_checked(width).ok_or_else(short)?;
        parts.push(part);
        rest = after;
    }
    Ok(parts)
}

fn json_or_null(ty: &CqlType, bytes: Option<&[u8]>) -> Result<Json> {
    match bytes {
        Some(bytes) if !bytes.is_empty() || matches!(ty, CqlType::Ascii | CqlType::Text) => {
            json(ty, bytes)
        }
        _ => Ok(Json::Null),
    }
}

fn json(ty: &CqlType, bytes: &[u8]) -> Result<Json> {
    let list = |of: &CqlType, parts: Vec<Option<&[u8]>>| {
        let values = parts.into_iter().map(|part| json_or_null(of, part));
        Ok(Json::Array(values.collect::<Result<_>>()?))
    };
    match ty {
        CqlType::List(of) | CqlType::Set(of) => list(of, elements(ty, bytes)?),
        CqlType::Vector(of, count) => {
            list(of, vector_elements(ty, of, *count, bytes)?.into_iter().map(Some).collect())
        }
        CqlType::Map(key, value) => {
            let parts = elements(ty, bytes)?;
            let pairs = parts.chunks_exact(2).map(|pair| {
                let name = match json_or_null(key, pair[0])? {
                    Json::String(text) => text,
                    other => other.to_string().into(),
                };
                Ok((name, json_or_null(value, pair[1])?))
            });
            Ok(Json::object(pairs.collect::<Result<_>>()?))
        }
        CqlType::Tuple(parts) => {
            let mut rest = bytes;
            let values = parts.iter().map(|part| json_or_null(part, field(ty, &mut rest)?));
            Ok(Json::Array(values.collect::<Result<_>>()?))
        }
        CqlType::Udt(_, fields) => {
            let mut rest = bytes;
            let pairs = fields.iter().map(|(name, of)| {
                Ok((Arc::from(name.as_str()), json_or_null(of, field(ty, &mut rest)?)?))
            });
            Ok(Json::object(pairs.collect::<Result<_>>()?))
        }
        scalar_type => scalar_json(scalar_type, bytes),
    }
}

/// A field of a tuple or user's type; those added after the value was written are not there.
fn field<'a>(ty: &CqlType, rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    if rest.is_empty() { Ok(None) } else { take_part(ty, rest) }
}

/// Numbers and truth values as such, all others as strings of SQL's text form.
fn scalar_json(ty: &CqlType, bytes: &[u8]) -> Result<Json> {
    let value = scalar(ty, bytes)?;
    let text = io::to_text(&value, ty.sql_type(), &FormatSettings::default()).unwrap_or_default();
    let is_number = match &value {
        Datum::Bool(b) => return Ok(Json::Bool(*b)),
        Datum::Float4(f) => f.is_finite(),
        Datum::Float8(f) => f.is_finite(),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) | Datum::Numeric(_) => true,
        _ => false,
    };
    if is_number {
        return Ok(Json::Number(Numeric::parse(&text)?));
    }
    Ok(Json::String(text.into()))
}
