//! The tagged code of the columns that are not in the key.
//!
//! A row value is a list of fields in ascending column id. Each starts with a varint
//! `id_delta << 3 | form`, where `id_delta` is the distance from the column before it:
//!
//! ```text
//! form 0  varint, zigzag      int2 int4 int8 date time timestamp timestamptz oid
//! form 1  8 bytes, LE         float8
//! form 2  varint length, bytes  text bytea uuid interval numeric json jsonb arrays
//! form 3  4 bytes, LE         float4
//! form 4  nothing             bool true
//! form 5  nothing             bool false
//! form 6  nothing             NULL
//! form 7  varint scale, varint mantissa (zigzag)   a small numeric
//! ```
//!
//! A missing field is NULL, or the column's `missing` value where the row is older than the
//! column; NULL is written out only for columns that have such a value. A field of a dropped
//! column is passed over: its form says how long it is.
//!
//! Example: `(2: 'ab', 4: -3::int4)` is `12 02 61 62  10 05`.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::types::descriptor::ColumnId;
use crate::types::{BaseType, Datum, Interval, Numeric, SqlType, io};

const VARINT: u8 = 0;
const FIXED8: u8 = 1;
const BYTES: u8 = 2;
const FIXED4: u8 = 3;
const TRUE: u8 = 4;
const FALSE: u8 = 5;
const NULL: u8 = 6;
const SMALL_NUMERIC: u8 = 7;

/// Writes fields in ascending column id.
pub struct Encoder {
    out: Vec<u8>,
    last: u16,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder { out: Vec::with_capacity(96), last: 0 }
    }
}

impl Encoder {
    /// Appends a field. NULL is left out unless `explicit_null`.
    pub fn field(
        &mut self,
        id: ColumnId,
        datum: &Datum,
        ty: SqlType,
        explicit_null: bool,
    ) -> Result<()> {
        debug_assert!(id.0 > self.last, "columns are written in ascending id");
        match datum {
            Datum::Null if !explicit_null => return Ok(()),
            Datum::Null => self.tag(id, NULL),
            Datum::Bool(v) => self.tag(id, if *v { TRUE } else { FALSE }),
            Datum::Int2(v) => self.varint_field(id, i64::from(*v)),
            Datum::Int4(v) | Datum::Date(v) => self.varint_field(id, i64::from(*v)),
            Datum::Int8(v) | Datum::Time(v) | Datum::Timestamp(v) | Datum::Timestamptz(v) => {
                self.varint_field(id, *v);
            }
            Datum::Oid(v) => self.varint_field(id, i64::from(*v)),
            Datum::Char(v) => self.varint_field(id, i64::from(*v)),
            Datum::Float8(v) => {
                self.tag(id, FIXED8);
                self.out.extend_from_slice(&v.to_le_bytes());
            }
            Datum::Float4(v) => {
                self.tag(id, FIXED4);
                self.out.extend_from_slice(&v.to_le_bytes());
            }
            Datum::Numeric(v) => self.numeric_field(id, v),
            Datum::Text(v) => self.bytes_field(id, v.as_bytes()),
            Datum::Bytea(v) => self.bytes_field(id, v),
            Datum::Uuid(v) => self.bytes_field(id, v),
            Datum::Interval(v) => {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&v.micros.to_le_bytes());
                bytes[8..12].copy_from_slice(&v.days.to_le_bytes());
                bytes[12..].copy_from_slice(&v.months.to_le_bytes());
                self.bytes_field(id, &bytes);
            }
            Datum::Jsonb(_) | Datum::Array(_) | Datum::Record(_) => {
                let mut bytes = bytes::BytesMut::new();
                io::write_binary(datum, ty, &mut bytes);
                self.bytes_field(id, &bytes);
            }
        }
        Ok(())
    }

    /// Appends a field as another row value has it.
    pub fn raw(&mut self, id: ColumnId, body: Body<'_>) {
        match body {
            Body::Varint(v) => {
                self.tag(id, VARINT);
                write_varint(v, &mut self.out);
            }
            Body::Fixed8(bytes) => {
                self.tag(id, FIXED8);
                self.out.extend_from_slice(&bytes);
            }
            Body::Fixed4(bytes) => {
                self.tag(id, FIXED4);
                self.out.extend_from_slice(&bytes);
            }
            Body::Bytes(bytes, _) => self.bytes_field(id, bytes),
            Body::Bool(v) => self.tag(id, if v { TRUE } else { FALSE }),
            Body::Null => self.tag(id, NULL),
            Body::Small(scale, mantissa) => {
                self.tag(id, SMALL_NUMERIC);
                write_varint(scale, &mut self.out);
                write_varint(mantissa, &mut self.out);
            }
        }
    }

    /// The bytes.
    pub fn finish(self) -> Bytes {
        self.out.into()
    }

    fn tag(&mut self, id: ColumnId, form: u8) {
        let delta = u64::from(id.0 - self.last);
        self.last = id.0;
        write_varint(delta << 3 | u64::from(form), &mut self.out);
    }

    fn varint_field(&mut self, id: ColumnId, v: i64) {
        self.tag(id, VARINT);
        write_varint(zigzag(v), &mut self.out);
    }

    fn bytes_field(&mut self, id: ColumnId, bytes: &[u8]) {
        self.tag(id, BYTES);
        write_varint(bytes.len() as u64, &mut self.out);
        self.out.extend_from_slice(bytes);
    }

    fn numeric_field(&mut self, id: ColumnId, v: &Numeric) {
        if let Some((mantissa, scale)) = v.as_small() {
            self.tag(id, SMALL_NUMERIC);
            write_varint(u64::from(scale), &mut self.out);
            write_varint(zigzag(mantissa), &mut self.out);
        } else {
            let mut bytes = bytes::BytesMut::new();
            v.to_binary(&mut bytes);
            self.bytes_field(id, &bytes);
        }
    }
}

/// A signed number as an unsigned one, small where it is.
pub fn zigzag(v: i64) -> u64 {
    (v << 1 ^ v >> 63) as u64
}

/// The reverse of [`zigzag`].
pub fn unzigzag(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

/// Writes a number seven bits at a time, the lowest first (LEB128).
pub fn write_varint(mut v: u64, out: &mut Vec<u8>) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// One field as it lies in a row value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// Its column.
    pub id: ColumnId,
    /// What it holds.
    pub body: Body<'a>,
}

/// A field's form and what it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body<'a> {
    /// A number, zigzag.
    Varint(u64),
    /// A float8, little endian.
    Fixed8([u8; 8]),
    /// A float4, little endian.
    Fixed4([u8; 4]),
    /// Bytes, and where they begin in the row value.
    Bytes(&'a [u8], usize),
    /// A bool.
    Bool(bool),
    /// NULL, where that is not the same as missing.
    Null,
    /// A numeric: scale, and mantissa in zigzag.
    Small(u64, u64),
}

/// Reads the fields of a row value, in ascending column id.
pub struct Fields<'a> {
    input: &'a [u8],
    at: usize,
    last: u16,
}

impl<'a> Fields<'a> {
    /// The fields of `value`.
    pub fn new(value: &'a [u8]) -> Fields<'a> {
        Fields { input: value, at: 0, last: 0 }
    }

    fn corrupted(&self, what: &str) -> Error {
        Error::corrupted(format!(
            "row value damaged at byte {} of {}: {what}",
            self.at,
            self.input.len()
        ))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64> {
        let mut v = 0;
        let mut shift = 0;
        loop {
            let Some(byte) = self.input.get(self.at) else {
                return Err(self.corrupted("number ends early"));
            };
            self.at += 1;
            v |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(v);
            }
            shift += 7;
            if shift > 63 {
                return Err(self.corrupted("number too long"));
            }
        }
    }

    fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.input.len());
        let Some(end) = end else { return Err(self.corrupted("field ends early")) };
        let bytes = &self.input[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    /// The next field; none at the end.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<Field<'a>>> {
        if self.at == self.input.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let id = u64::from(self.last) + (tag >> 3);
        let Ok(id) = u16::try_from(id) else { return Err(self.corrupted("column id too large")) };
        self.last = id;
        let body = match (tag & 7) as u8 {
            VARINT => Body::Varint(self.varint()?),
            FIXED8 => {
                let mut b = [0; 8];
                b.copy_from_slice(self.bytes(8)?);
                Body::Fixed8(b)
            }
            FIXED4 => {
                let mut b = [0; 4];
                b.copy_from_slice(self.bytes(4)?);
                Body::Fixed4(b)
            }
            BYTES => {
                let n = self.varint()?;
                let n = usize::try_from(n).map_err(|_| self.corrupted("length too large"))?;
                let at = self.at;
                Body::Bytes(self.bytes(n)?, at)
            }
            TRUE => Body::Bool(true),
            FALSE => Body::Bool(false),
            NULL => Body::Null,
            _ => Body::Small(self.varint()?, self.varint()?),
        };
        Ok(Some(Field { id: ColumnId(id), body }))
    }
}

impl Field<'_> {
    /// The field as a datum of its column's type. `value` is the whole row value, so that bytea
    /// shares it.
    pub fn datum(&self, ty: SqlType, value: &Bytes) -> Result<Datum> {
        if self.body == Body::Null {
            return Ok(Datum::Null);
        }
        if ty.is_array {
            return self.binary(ty);
        }
        Ok(match (ty.base, self.body) {
            (BaseType::Int4, Body::Varint(v)) => Datum::Int4(unzigzag(v) as i32),
            (BaseType::Int8, Body::Varint(v)) => Datum::Int8(unzigzag(v)),
            (BaseType::Int2, Body::Varint(v)) => Datum::Int2(unzigzag(v) as i16),
            (BaseType::Date, Body::Varint(v)) => Datum::Date(unzigzag(v) as i32),
            (BaseType::Time, Body::Varint(v)) => Datum::Time(unzigzag(v)),
            (BaseType::Timestamp, Body::Varint(v)) => Datum::Timestamp(unzigzag(v)),
            (BaseType::Timestamptz, Body::Varint(v)) => Datum::Timestamptz(unzigzag(v)),
            (BaseType::SingleChar, Body::Varint(v)) => Datum::Char(unzigzag(v) as u8),
            (_, Body::Varint(v)) => Datum::Oid(unzigzag(v) as u32),
            (BaseType::Float8, Body::Fixed8(b)) => Datum::Float8(f64::from_le_bytes(b)),
            (BaseType::Float4, Body::Fixed4(b)) => Datum::Float4(f32::from_le_bytes(b)),
            (BaseType::Bool, Body::Bool(v)) => Datum::Bool(v),
            (BaseType::Numeric, Body::Small(scale, mantissa)) => {
                Datum::Numeric(Numeric::from_i128(i128::from(unzigzag(mantissa)), scale as u32))
            }
            (BaseType::Numeric, Body::Bytes(b, _)) => Datum::Numeric(Numeric::from_binary(b)?),
            (BaseType::Bytea, Body::Bytes(b, at)) => Datum::Bytea(value.slice(at..at + b.len())),
            (BaseType::Uuid, Body::Bytes(b, _)) if b.len() == 16 => {
                let mut uuid = [0; 16];
                uuid.copy_from_slice(b);
                Datum::Uuid(uuid)
            }
            (BaseType::Interval, Body::Bytes(b, _)) if b.len() == 16 => {
                let word = |at: usize| {
                    let mut w = [0; 4];
                    w.copy_from_slice(&b[at..at + 4]);
                    i32::from_le_bytes(w)
                };
                let micros = i64::from(word(0) as u32) | i64::from(word(4)) << 32;
                Datum::Interval(Box::new(Interval { months: word(12), days: word(8), micros }))
            }
            (BaseType::Jsonb, Body::Bytes(..)) => return self.binary(ty),
            (_, Body::Bytes(b, _)) => match std::str::from_utf8(b) {
                Ok(text) => Datum::text(text),
                Err(e) => {
                    return Err(Error::corrupted(format!("text in row is not UTF-8: {e}")));
                }
            },
            (base, body) => {
                return Err(Error::corrupted(format!("{base:?} stored as {body:?}")));
            }
        })
    }

    fn binary(&self, ty: SqlType) -> Result<Datum> {
        match self.body {
            Body::Bytes(b, _) => io::parse_binary(b, ty),
            body => Err(Error::corrupted(format!("{:?} stored as {body:?}", ty.base))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(fields: &[(u16, Datum, SqlType)]) -> Bytes {
        let mut encoder = Encoder::default();
        for (id, datum, ty) in fields {
            encoder.field(ColumnId(*id), datum, *ty, false).unwrap();
        }
        let value = encoder.finish();
        let mut reader = Fields::new(&value);
        for (id, datum, ty) in fields.iter().filter(|f| !f.1.is_null()) {
            let field = reader.next_field().unwrap().unwrap();
            assert_eq!(field.id, ColumnId(*id));
            let back = field.datum(*ty, &value).unwrap();
            assert_eq!(format!("{back:?}"), format!("{datum:?}"));
        }
        assert_eq!(reader.next_field().unwrap(), None);
        value
    }

    #[test]
    fn the_documented_example() {
        let value = round_trip(&[
            (2, Datum::text("ab"), SqlType::TEXT),
            (4, Datum::Int4(-3), SqlType::INT4),
        ]);
        assert_eq!(value.as_ref(), [0x12, 2, 0x61, 0x62, 0x10, 5]);
    }

    #[test]
    fn every_form_comes_back() {
        let interval = Interval { months: -1, days: 2, micros: -3_000_000_007 };
        round_trip(&[
            (1, Datum::Bool(true), SqlType::BOOL),
            (2, Datum::Bool(false), SqlType::BOOL),
            (3, Datum::Null, SqlType::INT4),
            (4, Datum::Int8(i64::MIN), SqlType::INT8),
            (5, Datum::Int2(i16::MAX), SqlType::INT2),
            (6, Datum::Float8(-0.5), SqlType::FLOAT8),
            (7, Datum::Float4(1.25), SqlType::FLOAT4),
            (8, Datum::Bytea(Bytes::from_static(b"\0\xff")), SqlType::BYTEA),
            (9, Datum::Uuid([7; 16]), SqlType::UUID),
            (10, Datum::Interval(Box::new(interval)), SqlType::INTERVAL),
            (500, Datum::Timestamptz(i64::MAX), SqlType::TIMESTAMPTZ),
            (501, Datum::Oid(u32::MAX), SqlType::OID),
            (502, Datum::Numeric(Numeric::parse("-12.340").unwrap()), SqlType::NUMERIC),
            (503, Datum::Numeric(Numeric::parse(&"9".repeat(60)).unwrap()), SqlType::NUMERIC),
            (504, Datum::Numeric(Numeric::parse("NaN").unwrap()), SqlType::NUMERIC),
        ]);
    }

    #[test]
    fn damage_is_an_error() {
        for bytes in [
            &b"\x12\x05ab"[..],
            b"\x10",
            b"\x11\0\0",
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert!(Fields::new(bytes).next_field().is_err(), "{bytes:?}");
        }
    }
}
