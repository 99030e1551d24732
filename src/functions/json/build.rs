//! JSON of SQL values: `to_json`, `json_build_object`, `row_to_json` and the like.

use crate::error::{Error, Result};
use crate::functions::call::{arg, optional};
use crate::functions::{EvalContext, text_out};
use crate::types::datetime::{DateFormat, DateOrder, DateStyle};
use crate::types::io::{self, FormatSettings};
use crate::types::json::write_string;
use crate::types::{BaseType, Datum, Record, SqlType};

use super::jsonb::from_json;
use super::plain::invalid;

/// Writes a value of SQL as JSON.
pub(super) fn write(context: &EvalContext, datum: &Datum, ty: SqlType, out: &mut String) {
    match datum {
        Datum::Null => out.push_str("null"),
        Datum::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Datum::Int2(_)
        | Datum::Int4(_)
        | Datum::Int8(_)
        | Datum::Float4(_)
        | Datum::Float8(_)
        | Datum::Numeric(_) => write_number(context, datum, ty, out),
        Datum::Text(text) if ty.base == BaseType::Json => out.push_str(text),
        Datum::Text(text) => write_string(text, out),
        Datum::Jsonb(json) => json.write_to(out),
        Datum::Date(_) | Datum::Timestamp(_) | Datum::Timestamptz(_) => {
            write_time(context, datum, ty, out);
        }
        Datum::Array(array) if ty.is_array => {
            let element = SqlType::of(array.element);
            write_array(array.values.iter().map(|value| (value, element)), context, false, out);
        }
        Datum::Record(fields) => write_record(context, fields, false, out),
        other => {
            let mut text = String::new();
            text_out(context, other, ty, &mut text);
            write_string(&text, out);
        }
    }
}

/// NaN and infinities are strings: JSON has no such numbers.
fn write_number(context: &EvalContext, datum: &Datum, ty: SqlType, out: &mut String) {
    let start = out.len();
    text_out(context, datum, ty, out);
    if out[start..].starts_with(['N', 'I']) || out[start..].starts_with("-I") {
        out.insert(start, '"');
        out.push('"');
    }
}

/// Dates and times as XML Schema writes them: ISO 8601, with a `T`, and minutes in every offset.
fn write_time(context: &EvalContext, datum: &Datum, ty: SqlType, out: &mut String) {
    let settings = FormatSettings {
        date_style: DateStyle { format: DateFormat::Iso, order: DateOrder::Ymd },
        ..context.session.format.clone()
    };
    let mut text = String::new();
    io::write_text(datum, ty, &settings, &mut text);
    if !matches!(datum, Datum::Date(_)) && text.starts_with(|c: char| c.is_ascii_digit()) {
        text = text.replacen(' ', "T", 1);
    }
    if let (Datum::Timestamptz(_), Some(time)) = (datum, text.find('T'))
        && let Some(sign) = text[time..].find(['+', '-'])
    {
        let offset = time + sign + 1;
        let digits = text[offset..].find(' ').map_or(text.len(), |end| offset + end);
        if !text[offset..digits].contains(':') {
            text.insert_str(digits, ":00");
        }
    }
    out.push('"');
    out.push_str(&text);
    out.push('"');
}

fn write_array<'a>(
    values: impl Iterator<Item = (&'a Datum, SqlType)>,
    context: &EvalContext,
    pretty: bool,
    out: &mut String,
) {
    out.push('[');
    for (i, (value, ty)) in values.enumerate() {
        if i > 0 {
            out.push_str(if pretty { ",\n " } else { "," });
        }
        write(context, value, ty, out);
    }
    out.push(']');
}

/// A row value, with its fields' names.
fn write_record(context: &EvalContext, record: &Record, pretty: bool, out: &mut String) {
    out.push('{');
    for (i, field) in record.iter().enumerate() {
        if i > 0 {
            out.push_str(if pretty { ",\n " } else { "," });
        }
        write_string(&record.name_of(i), out);
        out.push(':');
        write(context, field, record.type_of(i), out);
    }
    out.push('}');
}

/// `to_json(anyelement)`
pub(super) fn to_json(context: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    let mut out = String::new();
    write(context, &a[0], types[0], &mut out);
    Ok(Datum::text(out))
}

/// `to_jsonb(anyelement)`
pub(super) fn to_jsonb(context: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    match &a[0] {
        Datum::Jsonb(_) => Ok(a[0].clone()),
        _ => from_json(&to_json(context, types, a)?),
    }
}

/// `array_to_json(array [, line breaks])`
pub(super) fn array_to_json(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let array: &crate::types::Array = arg(a, 0)?;
    let (pretty, element) = (optional(a, 1)?.unwrap_or(false), SqlType::of(array.element));
    let mut out = String::new();
    write_array(array.values.iter().map(|v| (v, element)), context, pretty, &mut out);
    Ok(Datum::text(out))
}

/// `row_to_json(record [, line breaks])`
pub(super) fn row_to_json(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let mut out = String::new();
    write_record(context, arg(a, 0)?, optional(a, 1)?.unwrap_or(false), &mut out);
    Ok(Datum::text(out))
}

/// `$row_json(name, value, …)`: a row whose fields have names, as the binder calls it.
pub(super) fn named_row(context: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    let mut out = String::from("{");
    for (i, pair) in a.chunks(2).enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(arg(pair, 0)?, &mut out);
        out.push(':');
        write(context, &pair[1], types[i * 2 + 1], &mut out);
    }
    out.push('}');
    Ok(Datum::text(out))
}

/// Writes a key: the text form of a scalar.
pub(super) fn write_key(
    context: &EvalContext,
    key: &Datum,
    ty: SqlType,
    out: &mut String,
) -> Result<()> {
    if ty.is_array || matches!(ty.base, BaseType::Json | BaseType::Jsonb | BaseType::Record) {
        return Err(invalid("key value must be scalar, not array, composite, or json"));
    }
    let mut text = String::new();
    match key {
        // As a cast to text has it.
        Datum::Bool(b) => text.push_str(if *b { "true" } else { "false" }),
        key => text_out(context, key, ty, &mut text),
    }
    write_string(&text, out);
    Ok(())
}

fn object_text(
    context: &EvalContext,
    types: &[SqlType],
    a: &[Datum],
    name: &str,
) -> Result<String> {
    if a.len() % 2 == 1 {
        return Err(invalid("argument list must have even number of elements").with_hint(format!(
            "The arguments of {name}() must consist of alternating keys and values."
        )));
    }
    let mut out = String::from("{");
    for (i, pair) in a.chunks(2).enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        if pair[0].is_null() {
            return Err(null_key(name, i * 2 + 1));
        }
        write_key(context, &pair[0], types[i * 2], &mut out)?;
        out.push_str(" : ");
        write(context, &pair[1], types[i * 2 + 1], &mut out);
    }
    out.push('}');
    Ok(out)
}

fn null_key(name: &str, position: usize) -> Error {
    if name == "jsonb_build_object" {
        return invalid(format!("argument {position}: key must not be null"));
    }
    invalid(format!("argument {position} cannot be null")).with_hint("Object keys should be text.")
}

/// `json_build_object(…)`
pub(super) fn object(context: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    object_text(context, types, a, "json_build_object").map(Datum::text)
}

/// `jsonb_build_object(…)`
pub(super) fn object_b(context: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    from_json(&Datum::text(object_text(context, types, a, "jsonb_build_object")?))
}

/// `json_build_array(…)`
pub(super) fn array(context: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    let mut out = String::from("[");
    for (i, (value, ty)) in a.iter().zip(types).enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write(context, value, *ty, &mut out);
    }
    out.push(']');
    Ok(Datum::text(out))
}

/// `jsonb_build_array(…)`
pub(super) fn array_b(context: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    from_json(&array(context, types, a)?)
}

/// 22023 for a key of an aggregate that is NULL.
pub(super) fn null_field() -> Error {
    invalid("field name must not be null")
}
