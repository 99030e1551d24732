//! Binary forms of values, all in network byte order.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{Error, Result, SqlState};
use crate::types::{Array, BaseType, Datum, Interval, Numeric, SqlType, datetime, json, pg_type};

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;
/// Version byte that jsonb begins with.
const JSONB_VERSION: u8 = 1;

fn too_short() -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    match bytes.len() {
        len if len < N => Err(too_short()),
        len if len > N => Err(invalid("incorrect binary data format")),
        _ => bytes.try_into().map_err(|_| too_short()),
    }
}

/// Text as sent: UTF-8 without NUL bytes.
fn text(bytes: &[u8]) -> Result<&str> {
    let not_utf8 = |at: usize| {
        let shown: Vec<String> = bytes[at..]
            .iter()
            .take(sequence_length(bytes[at]))
            .map(|b| format!("0x{b:02x}"))
            .collect();
        Error::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    };
    if let Some(at) = bytes.iter().position(|&b| b == 0)
        && std::str::from_utf8(&bytes[..at]).is_ok()
    {
        return Err(not_utf8(at));
    }
    std::str::from_utf8(bytes).map_err(|e| not_utf8(e.valid_up_to()))
}

/// Bytes that a UTF-8 sequence has, by its first.
fn sequence_length(first: u8) -> usize {
    match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    }
}

/// Reads the binary form of a value. 22P03 or 08P01 where it has the wrong size or content.
pub fn parse_binary(bytes: &[u8], ty: SqlType) -> Result<Datum> {
    if ty.is_array {
        return parse_array(bytes, ty.base, 1);
    }
    Ok(match ty.base {
        BaseType::Bool => Datum::Bool(fixed::<1>(bytes)?[0] != 0),
        BaseType::Int2 => Datum::Int2(i16::from_be_bytes(fixed(bytes)?)),
        BaseType::Int4 => Datum::Int4(i32::from_be_bytes(fixed(bytes)?)),
        BaseType::Int8 => Datum::Int8(i64::from_be_bytes(fixed(bytes)?)),
        BaseType::Oid
        | BaseType::Xid
        | BaseType::Regproc
        | BaseType::Regprocedure
        | BaseType::Regoper
        | BaseType::Regclass
        | BaseType::Regtype
        | BaseType::Regnamespace
        | BaseType::Regrole => Datum::Oid(u32::from_be_bytes(fixed(bytes)?)),
        BaseType::Float4 => Datum::Float4(f32::from_be_bytes(fixed(bytes)?)),
        BaseType::Float8 => Datum::Float8(f64::from_be_bytes(fixed(bytes)?)),
        BaseType::Numeric => Datum::Numeric(Numeric::from_binary(bytes)?),
        BaseType::Text | BaseType::Varchar | BaseType::Bpchar | BaseType::Unknown => {
            Datum::text(text(bytes)?)
        }
        BaseType::Name => parse_name(text(bytes)?)?,
        BaseType::SingleChar => Datum::Char(fixed::<1>(bytes)?[0]),
        BaseType::Bytea => Datum::Bytea(Bytes::copy_from_slice(bytes)),
        BaseType::Uuid => Datum::Uuid(fixed(bytes)?),
        BaseType::Date => Datum::Date(datetime::check_date(i32::from_be_bytes(fixed(bytes)?))?),
        BaseType::Time => parse_time(i64::from_be_bytes(fixed(bytes)?))?,
        BaseType::Timestamp => {
            Datum::Timestamp(datetime::check_timestamp(i64::from_be_bytes(fixed(bytes)?))?)
        }
        BaseType::Timestamptz => {
            Datum::Timestamptz(datetime::check_timestamp(i64::from_be_bytes(fixed(bytes)?))?)
        }
        BaseType::Interval => parse_interval(fixed(bytes)?),
        BaseType::Json => {
            let text = text(bytes)?;
            json::validate(text)?;
            Datum::text(text)
        }
        BaseType::Jsonb => parse_jsonb(bytes)?,
        BaseType::Int2Vector => parse_array(bytes, BaseType::Int2, 0)?,
        BaseType::OidVector => parse_array(bytes, BaseType::Oid, 0)?,
        BaseType::Void => Datum::text(""),
        BaseType::Record => {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "input of anonymous composite types is not implemented",
            ));
        }
        BaseType::AclItem => {
            return Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                "no binary input function available for type aclitem",
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
                format!("cannot accept a value of type {}", pg_type::info(ty.base).name),
            ));
        }
    })
}

fn parse_name(text: &str) -> Result<Datum> {
    if super::scalar::truncate_name(text).len() < text.len() {
        return Err(Error::new(SqlState::NAME_TOO_LONG, "identifier too long")
            .with_detail("Identifier must be less than 64 characters."));
    }
    Ok(Datum::text(text))
}

fn parse_time(micros: i64) -> Result<Datum> {
    if !(0..=DAY_MICROS).contains(&micros) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"));
    }
    Ok(Datum::Time(micros))
}

fn parse_interval(bytes: [u8; 16]) -> Datum {
    let n = u128::from_be_bytes(bytes);
    Datum::Interval(Box::new(Interval {
        micros: (n >> 64) as i64,
        days: (n >> 32) as i32,
        months: n as i32,
    }))
}

fn parse_jsonb(bytes: &[u8]) -> Result<Datum> {
    let (&version, rest) = bytes.split_first().ok_or_else(too_short)?;
    if version != JSONB_VERSION {
        return Err(Error::internal(format!("unsupported jsonb version number {version}")));
    }
    Ok(Datum::Jsonb(Arc::new(json::Json::parse(text(rest)?)?)))
}

/// Reads words off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(too_short)?;
        self.0 = rest;
        Ok(head)
    }

    fn i32(&mut self) -> Result<i32> {
        let b = self.take(4)?;
        Ok(i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }
}

/// Dimensions an array may have (PostgreSQL's MAXDIM).
const DIMENSIONS_MAX: i32 = 6;

/// Elements an array may have (PostgreSQL's MaxArraySize).
const ELEMENTS_MAX: usize = 134_217_727;

fn parse_array(bytes: &[u8], element: BaseType, default_bound: i32) -> Result<Datum> {
    let mut r = Reader(bytes);
    let dimensions = r.i32()?;
    let flags = r.i32()?;
    let oid = r.i32()? as u32;
    if dimensions < 0 {
        return Err(invalid(format!("invalid number of dimensions: {dimensions}")));
    }
    if dimensions > DIMENSIONS_MAX {
        return Err(Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!(
                "number of array dimensions ({dimensions}) exceeds the maximum allowed \
                 ({DIMENSIONS_MAX})"
            ),
        ));
    }
    if flags & !1 != 0 {
        return Err(invalid("invalid array flags"));
    }
    if oid != element as u32 {
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "binary data has array element type {oid} ({}) instead of expected {} ({})",
                pg_type::by_oid(oid).map_or_else(|| "???".to_owned(), |t| t.to_string()),
                element as u32,
                SqlType::of(element),
            ),
        ));
    }
    if dimensions > 1 {
        return Err(Error::unsupported("an array of more than one dimension"));
    }
    let mut array = Array { element, lower_bound: default_bound, values: Vec::new() };
    if dimensions == 1 {
        let count = r.i32()?;
        array.lower_bound = r.i32()?;
        let count = usize::try_from(count)
            .map_err(|_| invalid("invalid array size in external \"array\" value"))?;
        if count > ELEMENTS_MAX {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})"),
            ));
        }
        // Each element takes four bytes at least, whatever the count says.
        array.values.reserve(count.min(r.0.len() / 4));
        for _ in 0..count {
            let len = r.i32()?;
            array.values.push(match usize::try_from(len) {
                Ok(len) => parse_binary(r.take(len)?, SqlType::of(element))?,
                Err(_) if len == -1 => Datum::Null,
                Err(_) => return Err(too_short()),
            });
        }
        if array.values.is_empty() {
            array.lower_bound = default_bound;
        }
    }
    if !r.0.is_empty() {
        return Err(invalid("incorrect binary data format"));
    }
    Ok(Datum::Array(Arc::new(array)))
}

/// Appends the binary form of a value, without its length; nothing for NULL.
pub fn write_binary(datum: &Datum, ty: SqlType, out: &mut BytesMut) {
    match datum {
        Datum::Null => {}
        Datum::Bool(b) => out.put_u8(u8::from(*b)),
        Datum::Int2(n) => out.put_i16(*n),
        Datum::Int4(n) => out.put_i32(*n),
        Datum::Int8(n) => out.put_i64(*n),
        Datum::Oid(n) => out.put_u32(*n),
        Datum::Float4(f) => out.put_f32(*f),
        Datum::Float8(f) => out.put_f64(*f),
        Datum::Numeric(n) => n.to_binary(out),
        Datum::Text(s) => {
            if ty.base == BaseType::Jsonb {
                out.put_u8(JSONB_VERSION);
            }
            out.put_slice(s.as_bytes());
        }
        Datum::Char(c) => out.put_u8(*c),
        Datum::Bytea(b) => out.put_slice(b),
        Datum::Uuid(u) => out.put_slice(u),
        Datum::Date(d) => out.put_i32(*d),
        Datum::Time(t) | Datum::Timestamp(t) | Datum::Timestamptz(t) => out.put_i64(*t),
        Datum::Interval(i) => {
            out.put_i64(i.micros);
            out.put_i32(i.days);
            out.put_i32(i.months);
        }
        Datum::Jsonb(j) => {
            let mut text = String::new();
            j.write_to(&mut text);
            out.put_u8(JSONB_VERSION);
            out.put_slice(text.as_bytes());
        }
        Datum::Array(a) => write_array(a, out),
        Datum::Record(fields) => {
            out.put_i32(fields.len() as i32);
            for (i, field) in fields.iter().enumerate() {
                let ty = fields.type_of(i);
                out.put_u32(ty.oid());
                write_sized(field, ty, out);
            }
        }
    }
}

fn write_array(array: &Array, out: &mut BytesMut) {
    let has_null = array.values.iter().any(Datum::is_null);
    out.put_i32(i32::from(!array.values.is_empty()));
    out.put_i32(i32::from(has_null));
    out.put_u32(array.element as u32);
    if array.values.is_empty() {
        return;
    }
    out.put_i32(array.values.len() as i32);
    out.put_i32(array.lower_bound);
    for value in &array.values {
        write_sized(value, SqlType::of(array.element), out);
    }
}

/// A value after its length; -1 for NULL.
fn write_sized(datum: &Datum, ty: SqlType, out: &mut BytesMut) {
    if datum.is_null() {
        return out.put_i32(-1);
    }
    let at = out.len();
    out.put_i32(0);
    write_binary(datum, ty, out);
    let len = (out.len() - at - 4) as i32;
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
}
