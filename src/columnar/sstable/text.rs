//! Values as text, much as `cqlsh` shows them, and as JSON, as `SELECT JSON` gives them.

use std::fmt::{self, Write};

use arrow::array::{Array, ArrayRef, AsArray as _, StructArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64NanosecondType, TimestampMillisecondType,
};

use super::types::CqlType;
use crate::types::io::write_uuid;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
const MILLIS_PER_DAY: i64 = SECONDS_PER_DAY * 1000;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a field of a CSV file, before any quoting: texts as they are.
    Plain,
    /// Inside a collection of a plain field: texts in single quotes.
    Nested,
    /// As JSON.
    Json,
}

/// Writes the value of a row, which is not null.
pub fn write(
    out: &mut String,
    ty: &CqlType,
    array: &dyn Array,
    row: usize,
    form: Form,
) -> fmt::Result {
    match ty {
        CqlType::Ascii | CqlType::Text => match form {
            Form::Plain => out.write_str(array.as_string::<i32>().value(row)),
            Form::Nested => quote(out, array.as_string::<i32>().value(row)),
            Form::Json => json_string(out, array.as_string::<i32>().value(row)),
        },
        CqlType::Varint | CqlType::Decimal => out.write_str(array.as_string::<i32>().value(row)),
        CqlType::Boolean => {
            let value = array.as_boolean().value(row);
            out.write_str(match (form, value) {
                (Form::Json, true) => "true",
                (Form::Json, false) => "false",
                (_, true) => "True",
                (_, false) => "False",
            })
        }
        CqlType::Empty => Ok(()),
        CqlType::TinyInt => write!(out, "{}", number::<Int8Type>(array, row)),
        CqlType::SmallInt => write!(out, "{}", number::<Int16Type>(array, row)),
        CqlType::Int => write!(out, "{}", number::<Int32Type>(array, row)),
        CqlType::BigInt | CqlType::Counter => write!(out, "{}", number::<Int64Type>(array, row)),
        CqlType::Float => write_float(out, number::<Float32Type>(array, row), form),
        CqlType::Double => write_float(out, number::<Float64Type>(array, row), form),
        CqlType::List(_) | CqlType::Set(_) | CqlType::Vector(..) | CqlType::Map(..) => {
            write_collection(out, ty, array, row, form)
        }
        CqlType::Tuple(_) | CqlType::User(_) => write_struct(out, ty, array, row, form),
        _ => {
            let quoted = form == Form::Json;
            if quoted {
                out.push('"');
            }
            write_unquoted(out, ty, array, row, form)?;
            if quoted {
                out.push('"');
            }
            Ok(())
        }
    }
}

/// Types whose JSON is a string of their text.
fn write_unquoted(
    out: &mut String,
    ty: &CqlType,
    array: &dyn Array,
    row: usize,
    form: Form,
) -> fmt::Result {
    match ty {
        CqlType::Blob => {
            out.push_str("0x");
            array.as_binary::<i32>().value(row).iter().try_for_each(|b| write!(out, "{b:02x}"))
        }
        CqlType::Uuid | CqlType::TimeUuid => {
            let bytes = array.as_fixed_size_binary().value(row);
            write_uuid(bytes.try_into().map_err(|_| fmt::Error)?, out);
            Ok(())
        }
        CqlType::Inet => out.write_str(array.as_string::<i32>().value(row)),
        CqlType::Timestamp => {
            write_timestamp(out, number::<TimestampMillisecondType>(array, row), form)
        }
        CqlType::Date => write_date(out, i64::from(number::<Date32Type>(array, row))),
        CqlType::Time => write_time(out, number::<Time64NanosecondType>(array, row), 9),
        CqlType::Duration => write_duration(out, array.as_struct(), row),
        _ => Err(fmt::Error),
    }
}

fn number<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> T::Native {
    array.as_primitive::<T>().value(row)
}

/// A value or null inside another value.
fn write_part(
    out: &mut String,
    ty: &CqlType,
    array: &ArrayRef,
    row: usize,
    form: Form,
) -> fmt::Result {
    if array.is_null(row) {
        return out.write_str("null");
    }
    write(out, ty, array.as_ref(), row, form)
}

fn write_collection(
    out: &mut String,
    ty: &CqlType,
    array: &dyn Array,
    row: usize,
    form: Form,
) -> fmt::Result {
    let inner = if form == Form::Json { Form::Json } else { Form::Nested };
    if let CqlType::Map(key, value) = ty {
        let entries = array.as_map().value(row);
        out.push('{');
        for n in 0..entries.len() {
            out.push_str(if n == 0 { "" } else { ", " });
            write_key(out, key, entries.column(0), n, inner)?;
            out.push_str(": ");
            write_part(out, value, entries.column(1), n, inner)?;
        }
        out.push('}');
        return Ok(());
    }
    let (element, items) = match ty {
        CqlType::Vector(element, _) => (element, array.as_fixed_size_list().value(row)),
        CqlType::List(element) | CqlType::Set(element) => {
            (element, array.as_list::<i32>().value(row))
        }
        _ => return Err(fmt::Error),
    };
    let set = matches!(ty, CqlType::Set(_)) && form != Form::Json;
    out.push(if set { '{' } else { '[' });
    for n in 0..items.len() {
        out.push_str(if n == 0 { "" } else { ", " });
        write_part(out, element, &items, n, inner)?;
    }
    out.push(if set { '}' } else { ']' });
    Ok(())
}

/// A map's key: in JSON a string of the key's JSON, if that is none.
fn write_key(out: &mut String, ty: &CqlType, keys: &ArrayRef, n: usize, form: Form) -> fmt::Result {
    if form != Form::Json {
        return write_part(out, ty, keys, n, form);
    }
    let mut key = String::new();
    write_part(&mut key, ty, keys, n, form)?;
    if key.starts_with('"') { out.write_str(&key) } else { json_string(out, &key) }
}

fn write_struct(
    out: &mut String,
    ty: &CqlType,
    array: &dyn Array,
    row: usize,
    form: Form,
) -> fmt::Result {
    let array = array.as_struct();
    let inner = if form == Form::Json { Form::Json } else { Form::Nested };
    match ty {
        CqlType::Tuple(parts) => {
            out.push(if form == Form::Json { '[' } else { '(' });
            for (n, part) in parts.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                write_part(out, part, array.column(n), row, inner)?;
            }
            out.push(if form == Form::Json { ']' } else { ')' });
        }
        CqlType::User(user) => {
            out.push('{');
            for (n, (name, part)) in user.fields.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                if form == Form::Json {
                    json_name(out, name)?;
                } else {
                    out.push_str(name);
                }
                out.push_str(": ");
                write_part(out, part, array.column(n), row, inner)?;
            }
            out.push('}');
        }
        _ => return Err(fmt::Error),
    }
    Ok(())
}

fn quote(out: &mut String, text: &str) -> fmt::Result {
    write!(out, "'{}'", text.replace('\'', "''"))
}

/// A text as JSON.
pub fn json_string(out: &mut String, text: &str) -> fmt::Result {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => write!(out, "\\u{:04X}", c as u32)?,
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(())
}

/// A column's or field's name as a key of JSON: one with upper-case letters has quotes of its own.
pub fn json_name(out: &mut String, name: &str) -> fmt::Result {
    if name.chars().any(char::is_uppercase) {
        json_string(out, &format!("\"{name}\""))
    } else {
        json_string(out, name)
    }
}

/// A floating-point number: the shortest text that reads back as it.
trait Float: fmt::Debug + Copy {
    fn as_f64(self) -> f64;
}
impl Float for f32 {
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
}
impl Float for f64 {
    fn as_f64(self) -> f64 {
        self
    }
}

fn write_float(out: &mut String, value: impl Float, form: Form) -> fmt::Result {
    let wide = value.as_f64();
    if form == Form::Json && !wide.is_finite() {
        return out.write_str("null");
    }
    if wide.is_nan() {
        return out.write_str("NaN");
    }
    if wide.is_infinite() {
        return out.write_str(if wide > 0.0 { "Infinity" } else { "-Infinity" });
    }
    // "1.0", and an exponent where there would be many zeros.
    write!(out, "{value:?}")
}

/// A time in milliseconds since 1970, as JSON has it, without quotes.
pub fn timestamp(millis: i64) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_timestamp(&mut text, millis, Form::Json);
    text
}

fn write_timestamp(out: &mut String, millis: i64, form: Form) -> fmt::Result {
    let (day, of_day) = (millis.div_euclid(MILLIS_PER_DAY), millis.rem_euclid(MILLIS_PER_DAY));
    write_date(out, day)?;
    out.push(' ');
    let digits = if form == Form::Json { 3 } else { 6 };
    write_time(out, of_day * 1_000_000, digits)?;
    out.write_str(if form == Form::Json { "Z" } else { "+0000" })
}

/// A date by days since 1970, in the proleptic Gregorian calendar.
fn write_date(out: &mut String, days: i64) -> fmt::Result {
    // Years from March on, in eras of 400 years: 146097 days.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let sign = if year < 0 { "-" } else { "" };
    write!(out, "{sign}{:04}-{month:02}-{day:02}", year.abs())
}

fn write_time(out: &mut String, nanos: i64, digits: usize) -> fmt::Result {
    let (seconds, nanos) = (nanos / NANOS_PER_SECOND, nanos % NANOS_PER_SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(out, "{hour:02}:{minute:02}:{second:02}.")?;
    let fraction = format!("{nanos:09}");
    out.write_str(&fraction[..digits])
}

/// `1y2mo3d4h5m6s7ms8us9ns`, without the parts that are zero.
fn write_duration(out: &mut String, array: &StructArray, row: usize) -> fmt::Result {
    let months = i64::from(number::<Int32Type>(array.column(0), row));
    let days = i64::from(number::<Int32Type>(array.column(1), row));
    let nanos = number::<Int64Type>(array.column(2), row);
    if months < 0 || days < 0 || nanos < 0 {
        out.push('-');
    }
    let mut part = |value: u64, units: &[(u64, &str)]| {
        let mut rest = value;
        for (size, unit) in units {
            if rest >= *size {
                let _ = write!(out, "{}{unit}", rest / size);
                rest %= size;
            }
        }
    };
    part(months.unsigned_abs(), &[(12, "y"), (1, "mo")]);
    part(days.unsigned_abs(), &[(1, "d")]);
    const SECOND: u64 = NANOS_PER_SECOND as u64;
    let units = [
        (3600 * SECOND, "h"),
        (60 * SECOND, "m"),
        (SECOND, "s"),
        (1_000_000, "ms"),
        (1000, "us"),
        (1, "ns"),
    ];
    part(nanos.unsigned_abs(), &units);
    Ok(())
}
