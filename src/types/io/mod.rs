//! Text and binary forms of values: what clients send and are sent, and COPY.
//!
//! [`parse_text`] and [`write_text`] are the types' input and output functions, [`parse_binary`]
//! and [`write_binary`] their receive and send functions; errors have the words of PostgreSQL's.
//! A type's modifier is not applied here: `functions::coerce_typmod` does that. Nothing here
//! knows the catalog: the `reg*` types are read and written as numbers (a type's name is read
//! too); whoever has the catalog turns names into numbers before, and back after.

mod binary;
mod float;
mod integer;
mod scalar;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

pub use binary::{parse_binary, write_binary};
pub use float::{write_f32, write_f64};
pub use integer::{parse_i16, parse_i32, parse_i64, write_i64};
pub use scalar::{write_bytea, write_uuid};

use super::datetime::{self, DateStyle, TimeZone};
use super::interval::IntervalStyle;
use super::json;
use super::{Array, BaseType, Datum, Numeric, SqlType, array, pg_type};
use crate::error::{Error, Result, SqlState};

/// How bytea is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteaOutput {
    /// `\x` and two hexadecimal digits for each byte.
    #[default]
    Hex,
    /// Printable bytes as they are, others as `\ooo`.
    Escape,
}

/// Settings that steer text forms.
#[derive(Clone, Debug, PartialEq)]
pub struct FormatSettings {
    /// `DateStyle`
    pub date_style: DateStyle,
    /// `IntervalStyle`
    pub interval_style: IntervalStyle,
    /// `TimeZone`
    pub time_zone: TimeZone,
    /// `extra_float_digits`: above 0 floats are written with as few digits as read back the same.
    pub extra_float_digits: i32,
    /// `bytea_output`
    pub bytea_output: ByteaOutput,
}

impl Default for FormatSettings {
    fn default() -> FormatSettings {
        FormatSettings {
            date_style: DateStyle::default(),
            interval_style: IntervalStyle::default(),
            time_zone: TimeZone::default(),
            extra_float_digits: 1,
            bytea_output: ByteaOutput::default(),
        }
    }
}

/// `invalid input syntax for type …` (22P02).
pub(crate) fn invalid_syntax(type_name: &str, text: &str) -> Error {
    Error::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {type_name}: \"{text}\""),
    )
}

/// Reads the text form of a value. `now_micros` (since 2000-01-01 UTC) is what `'now'` means. The
/// type's modifier is not applied, but the fields of an interval's say what a bare number means.
/// 22021 for NUL bytes.
pub fn parse_text(
    text: &str,
    ty: SqlType,
    settings: &FormatSettings,
    now_micros: i64,
) -> Result<Datum> {
    if text.as_bytes().contains(&0) {
        return Err(Error::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    if ty.is_array {
        let element = ty.element();
        let parsed =
            array::parse(text, ty.base, |item| parse_scalar(item, element, settings, now_micros))?;
        return Ok(Datum::Array(Arc::new(parsed)));
    }
    parse_scalar(text, ty, settings, now_micros)
}

fn parse_scalar(
    text: &str,
    ty: SqlType,
    settings: &FormatSettings,
    now_micros: i64,
) -> Result<Datum> {
    let base = ty.base;
    Ok(match base {
        BaseType::Bool => Datum::Bool(scalar::parse_bool(text)?),
        BaseType::Int2 => Datum::Int2(parse_i16(text)?),
        BaseType::Int4 => Datum::Int4(parse_i32(text)?),
        BaseType::Int8 => Datum::Int8(parse_i64(text)?),
        BaseType::Float4 => Datum::Float4(float::parse_f32(text)?),
        BaseType::Float8 => Datum::Float8(float::parse_f64(text)?),
        BaseType::Numeric => Datum::Numeric(Numeric::parse(text)?),
        BaseType::Text
        | BaseType::Varchar
        | BaseType::Bpchar
        | BaseType::Unknown
        | BaseType::AclItem => Datum::text(text),
        BaseType::Name => Datum::text(scalar::truncate_name(text)),
        BaseType::SingleChar => Datum::Char(scalar::parse_char(text)),
        BaseType::Bytea => Datum::Bytea(scalar::parse_bytea(text)?),
        BaseType::Uuid => Datum::Uuid(scalar::parse_uuid(text)?),
        BaseType::Date => Datum::Date(datetime::parse_date(text, settings, now_micros)?),
        BaseType::Time => Datum::Time(datetime::parse_time(text, settings, now_micros)?),
        BaseType::Timestamp => {
            Datum::Timestamp(datetime::parse_timestamp(text, settings, now_micros)?)
        }
        BaseType::Timestamptz => {
            Datum::Timestamptz(datetime::parse_timestamptz(text, settings, now_micros)?)
        }
        BaseType::Interval => {
            let interval = super::Interval::parse(text, settings.interval_style, ty.typmod)?;
            Datum::Interval(Box::new(interval))
        }
        BaseType::Json => {
            json::validate(text)?;
            Datum::text(text)
        }
        BaseType::Jsonb => Datum::Jsonb(Arc::new(json::Json::parse(text)?)),
        BaseType::Oid => Datum::Oid(integer::parse_oid(text)?),
        BaseType::Xid => Datum::Oid(integer::parse_xid(text)),
        BaseType::Regtype => Datum::Oid(parse_regtype(text)?),
        BaseType::Regproc
        | BaseType::Regprocedure
        | BaseType::Regoper
        | BaseType::Regclass
        | BaseType::Regnamespace
        | BaseType::Regrole => Datum::Oid(parse_reg_number(text, base)?),
        BaseType::Int2Vector => parse_vector(text, BaseType::Int2)?,
        BaseType::OidVector => parse_vector(text, BaseType::Oid)?,
        BaseType::Void => Datum::text(""),
        BaseType::Record => {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "input of anonymous composite types is not implemented",
            ));
        }
        BaseType::PgNodeTree
        | BaseType::Any
        | BaseType::AnyArray
        | BaseType::AnyElement
        | BaseType::AnyNonArray
        | BaseType::AnyCompatible
        | BaseType::AnyCompatibleArray => {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot accept a value of type {}", pg_type::info(base).name),
            ));
        }
    })
}

fn parse_reg_number(text: &str, base: BaseType) -> Result<u32> {
    if text == "-" {
        return Ok(0);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return integer::parse_oid(text);
    }
    let name = pg_type::info(base).name;
    Err(Error::unsupported(format!("a name as input of type {name} without a catalog")))
}

fn parse_regtype(text: &str) -> Result<u32> {
    if text == "-" {
        return Ok(0);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return integer::parse_oid(text);
    }
    let folded = text.trim().to_lowercase();
    let unqualified = folded.strip_prefix("pg_catalog.").unwrap_or(&folded);
    pg_type::by_name(unqualified).map(SqlType::oid).ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{}\" does not exist", text.trim()))
    })
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The bytes of [`hex`]; none for what is none.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(byte).collect()
}

/// The vectors of the catalog: numbers with blanks between them, counted from 0.
fn parse_vector(text: &str, element: BaseType) -> Result<Datum> {
    let mut values = Vec::new();
    for word in text.split_ascii_whitespace() {
        values.push(match element {
            BaseType::Int2 => Datum::Int2(parse_i16(word)?),
            _ => Datum::Oid(integer::parse_oid(word)?),
        });
    }
    Ok(Datum::Array(Arc::new(Array { element, lower_bound: 0, values })))
}

/// Writes the text form of a value; nothing for NULL.
pub fn write_text(datum: &Datum, ty: SqlType, settings: &FormatSettings, out: &mut String) {
    match datum {
        Datum::Null => {}
        Datum::Bool(b) => out.push(if *b { 't' } else { 'f' }),
        Datum::Int2(n) => write_i64(i64::from(*n), out),
        Datum::Int4(n) => write_i64(i64::from(*n), out),
        Datum::Int8(n) => write_i64(*n, out),
        Datum::Oid(n) => write_oid(*n, ty, out),
        Datum::Float4(f) => write_f32(*f, settings.extra_float_digits, out),
        Datum::Float8(f) => write_f64(*f, settings.extra_float_digits, out),
        Datum::Numeric(n) => n.write_to(out),
        Datum::Text(s) => out.push_str(s),
        Datum::Char(c) => scalar::write_char(*c, out),
        Datum::Bytea(b) => write_bytea(b, settings.bytea_output, out),
        Datum::Uuid(u) => write_uuid(u, out),
        Datum::Date(d) => datetime::write_date(*d, settings.date_style, out),
        Datum::Time(t) => datetime::write_time(*t, out),
        Datum::Timestamp(t) => datetime::write_timestamp(*t, settings.date_style, out),
        Datum::Timestamptz(t) => datetime::write_timestamptz(*t, settings, out),
        Datum::Interval(i) => i.write_to(settings.interval_style, out),
        Datum::Jsonb(j) => j.write_to(out),
        Datum::Array(a) => {
            if !ty.is_array && matches!(ty.base, BaseType::Int2Vector | BaseType::OidVector) {
                write_vector(a, settings, out);
            } else {
                let element = SqlType::of(a.element);
                array::write(a, out, |d, out| write_text(d, element, settings, out));
            }
        }
        Datum::Record(fields) => write_record(fields, settings, out),
    }
}

/// The text form of a value; nothing for NULL.
pub fn to_text(datum: &Datum, ty: SqlType, settings: &FormatSettings) -> Option<String> {
    if datum.is_null() {
        return None;
    }
    let mut out = String::new();
    write_text(datum, ty, settings, &mut out);
    Some(out)
}

/// Text without a copy where the value is text already.
pub fn text_of<'a>(datum: &'a Datum, ty: SqlType, settings: &FormatSettings) -> Cow<'a, str> {
    match datum {
        Datum::Text(s) => Cow::Borrowed(s),
        _ => Cow::Owned(to_text(datum, ty, settings).unwrap_or_default()),
    }
}

fn write_oid(oid: u32, ty: SqlType, out: &mut String) {
    match ty.base {
        BaseType::Regtype if oid == 0 => out.push('-'),
        BaseType::Regtype => match pg_type::by_oid(oid) {
            Some(t) => out.push_str(&t.to_string()),
            None => write_i64(i64::from(oid), out),
        },
        BaseType::Oid | BaseType::Xid => write_i64(i64::from(oid), out),
        _ if oid == 0 => out.push('-'),
        _ => write_i64(i64::from(oid), out),
    }
}

fn write_vector(vector: &Array, settings: &FormatSettings, out: &mut String) {
    for (i, value) in vector.values.iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        write_text(value, SqlType::of(vector.element), settings, out);
    }
}

fn write_record(record: &super::Record, settings: &FormatSettings, out: &mut String) {
    write_fields(record, out, |field, ty, text| write_text(field, ty, settings, text));
}

/// A row: fields between parentheses, nothing for NULL, quoted where they could be misread.
/// `write` makes a field's text.
pub fn write_fields(
    record: &super::Record,
    out: &mut String,
    write: impl Fn(&Datum, SqlType, &mut String),
) {
    out.push('(');
    let mut text = String::new();
    for (i, field) in record.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        if field.is_null() {
            continue;
        }
        text.clear();
        write(field, record.type_of(i), &mut text);
        let special =
            |c: char| matches!(c, '"' | '\\' | '(' | ')' | ',') || super::numeric::is_space(c);
        if !text.is_empty() && !text.contains(special) {
            out.push_str(&text);
            continue;
        }
        out.push('"');
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                out.push(c);
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push(')');
}

/// The type that a value most likely has, where only the value is known.
pub fn type_of(datum: &Datum) -> SqlType {
    match datum {
        Datum::Null => SqlType::UNKNOWN,
        Datum::Bool(_) => SqlType::BOOL,
        Datum::Int2(_) => SqlType::INT2,
        Datum::Int4(_) => SqlType::INT4,
        Datum::Int8(_) => SqlType::INT8,
        Datum::Oid(_) => SqlType::OID,
        Datum::Float4(_) => SqlType::FLOAT4,
        Datum::Float8(_) => SqlType::FLOAT8,
        Datum::Numeric(_) => SqlType::NUMERIC,
        Datum::Text(_) => SqlType::TEXT,
        Datum::Bytea(_) => SqlType::BYTEA,
        Datum::Char(_) => SqlType::of(BaseType::SingleChar),
        Datum::Date(_) => SqlType::DATE,
        Datum::Time(_) => SqlType::TIME,
        Datum::Timestamp(_) => SqlType::TIMESTAMP,
        Datum::Timestamptz(_) => SqlType::TIMESTAMPTZ,
        Datum::Interval(_) => SqlType::INTERVAL,
        Datum::Uuid(_) => SqlType::UUID,
        Datum::Jsonb(_) => SqlType::JSONB,
        Datum::Array(a) => SqlType::array_of(a.element),
        Datum::Record(_) => SqlType::RECORD,
    }
}
