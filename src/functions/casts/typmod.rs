//! Coercing a value to its type's length, precision or scale.

use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::types::datetime::check_timestamp;
use crate::types::pg_type::SECOND_DIGITS_MAX;
use crate::types::{Array, BaseType, Datum, SqlType};

/// What `varchar(n)` and `char(n)` add to `n` in their typmod.
const LENGTH_OFFSET: i32 = 4;

/// Coerces to the target's typmod: lengths of strings (cut if `explicit`, else 22001 unless only
/// blanks are too many), precision and scale of numeric, digits of seconds.
///
/// # Errors
/// 22001 or 22003.
pub fn coerce_typmod(datum: Datum, target: SqlType, explicit: bool) -> Result<Datum> {
    if target.typmod < 0 {
        return Ok(datum);
    }
    match datum {
        Datum::Array(array) if target.is_array => {
            let element = target.element();
            let values = array.values.iter().map(|v| coerce_typmod(v.clone(), element, explicit));
            Ok(Datum::Array(Arc::new(Array {
                element: array.element,
                lower_bound: array.lower_bound,
                values: values.collect::<Result<_>>()?,
            })))
        }
        Datum::Text(text) => match target.base {
            BaseType::Varchar => {
                let length = target.typmod - LENGTH_OFFSET;
                fit(text, length as usize, explicit, "character varying").map(Datum::Text)
            }
            BaseType::Bpchar => {
                let length = (target.typmod - LENGTH_OFFSET) as usize;
                let text = fit(text, length, explicit, "character")?;
                Ok(Datum::Text(pad(text, length)))
            }
            _ => Ok(Datum::Text(text)),
        },
        Datum::Numeric(number) => number.apply_typmod(target.typmod).map(Datum::Numeric),
        Datum::Time(t) => Ok(Datum::Time(round_seconds(t, target.typmod))),
        Datum::Timestamp(t) if t.unsigned_abs() < i64::MAX as u64 => {
            check_timestamp(round_seconds(t, target.typmod)).map(Datum::Timestamp)
        }
        Datum::Timestamptz(t) if t.unsigned_abs() < i64::MAX as u64 => {
            check_timestamp(round_seconds(t, target.typmod)).map(Datum::Timestamptz)
        }
        Datum::Interval(i) => Ok(Datum::Interval(Box::new(i.apply_typmod(target.typmod)))),
        other => Ok(other),
    }
}

/// Microseconds rounded to so many digits of a second, halves away from zero.
fn round_seconds(micros: i64, digits: i32) -> i64 {
    let unit = 10_i64.pow(SECOND_DIGITS_MAX.saturating_sub(digits.max(0)).max(0) as u32);
    match micros {
        0.. => (micros + unit / 2) / unit * unit,
        _ => -((-micros + unit / 2) / unit * unit),
    }
}

/// Cuts to `length` characters what may be cut.
fn fit(text: Arc<str>, length: usize, explicit: bool, type_name: &str) -> Result<Arc<str>> {
    if text.len() <= length {
        return Ok(text);
    }
    let Some((end, _)) = text.char_indices().nth(length) else { return Ok(text) };
    if !explicit && text[end..].bytes().any(|b| b != b' ') {
        return Err(Error::new(
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
            format!("value too long for type {type_name}({length})"),
        ));
    }
    Ok(text[..end].into())
}

/// Fills up with blanks to `length` characters.
fn pad(text: Arc<str>, length: usize) -> Arc<str> {
    let missing = length.saturating_sub(text.chars().count());
    match missing {
        0 => text,
        _ => {
            let mut padded = String::with_capacity(text.len() + missing);
            padded.push_str(&text);
            padded.extend(std::iter::repeat_n(' ', missing));
            padded.into()
        }
    }
}
