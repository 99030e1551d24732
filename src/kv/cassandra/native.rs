//! A table's columns as columns of CQL, for readers beside Sluice.
//!
//! Where a row value's field has a CQL value that means the same and leads back to the same bytes,
//! it is kept in a column of its own, named `<name>_<id>`; all other fields stay together in `vr`
//! (`schemas/lwt.md`). Which columns there are is read from the cluster's own schema, so a gateway
//! can finish rows of tables that it knows nothing else of. `vr` lists the columns that hold the
//! value's fields: one that this gateway has not heard of yet is noticed, not lost.

use bytes::Bytes;

use super::failure::Trouble;
use crate::encoding::row::{Body, Encoder, Field, Fields, unzigzag, write_varint, zigzag};
use crate::kv::NativeColumn;
use crate::types::descriptor::ColumnId;
use crate::types::{BaseType, Datum, Numeric, SqlType};

/// Days from CQL's date zero (-2^31 days from 1970-01-01) to PostgreSQL's (2000-01-01).
const DATE_OFFSET: i64 = (1 << 31) + 10_957;
/// The byte that jsonb's stored form begins with, before its text.
const JSONB_VERSION: u8 = 1;
/// Longest numeric, in digits, that becomes a `decimal`: turning bases takes their square.
const DECIMAL_DIGITS_MAX: usize = 1000;

/// A CQL type that a column can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CqlType {
    Boolean,
    Smallint,
    Int,
    Bigint,
    Float,
    Double,
    Text,
    /// jsonb, whose column's name ends in a `j`.
    Json,
    Blob,
    Uuid,
    Date,
    Decimal,
}

const NAMES: [(CqlType, &str); 12] = [
    (CqlType::Boolean, "boolean"),
    (CqlType::Smallint, "smallint"),
    (CqlType::Int, "int"),
    (CqlType::Bigint, "bigint"),
    (CqlType::Float, "float"),
    (CqlType::Double, "double"),
    (CqlType::Text, "text"),
    (CqlType::Json, "text"),
    (CqlType::Blob, "blob"),
    (CqlType::Uuid, "uuid"),
    (CqlType::Date, "date"),
    (CqlType::Decimal, "decimal"),
];

impl CqlType {
    /// The type that values of a type are kept as; none: they stay in `vr`.
    fn of(ty: SqlType) -> Option<CqlType> {
        if ty.is_array {
            return None;
        }
        Some(match ty.base {
            BaseType::Bool => CqlType::Boolean,
            BaseType::Int2 | BaseType::SingleChar => CqlType::Smallint,
            BaseType::Int4 => CqlType::Int,
            BaseType::Int8 | BaseType::Oid => CqlType::Bigint,
            // Microseconds: CQL's timestamp has milliseconds, its time no 24:00.
            BaseType::Time | BaseType::Timestamp | BaseType::Timestamptz => CqlType::Bigint,
            BaseType::Float4 => CqlType::Float,
            BaseType::Float8 => CqlType::Double,
            BaseType::Text | BaseType::Varchar | BaseType::Bpchar | BaseType::Name => CqlType::Text,
            BaseType::Json => CqlType::Text,
            BaseType::Jsonb => CqlType::Json,
            BaseType::Bytea => CqlType::Blob,
            BaseType::Uuid => CqlType::Uuid,
            BaseType::Date => CqlType::Date,
            BaseType::Numeric => CqlType::Decimal,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        NAMES.iter().find(|(ty, _)| *ty == self).map_or("blob", |(_, name)| name)
    }

    fn by_name(name: &str) -> Option<CqlType> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(ty, _)| *ty)
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Native {
    /// Its name, quoted.
    pub name: String,
    id: ColumnId,
    ty: CqlType,
}

/// The columns of one table, by ascending id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Natives {
    pub columns: Vec<Native>,
    /// Columns with ids up to here were known when these were read.
    pub known: u16,
}

/// A row value taken apart.
pub(super) struct Split {
    /// `vr`
    pub rest: Bytes,
    /// A cell for each native column.
    pub cells: Vec<Option<Bytes>>,
    /// The highest column id in the value.
    pub highest: u16,
}

impl Natives {
    /// The columns of a table, by what the cluster's schema says of it.
    pub fn read(columns: impl Iterator<Item = (String, String)>) -> Natives {
        let native = |(name, ty): (String, String)| {
            let (_, id) = name.rsplit_once('_')?;
            let (id, ty) = match (id.strip_suffix('j'), CqlType::by_name(&ty)?) {
                (Some(id), CqlType::Text) => (id, CqlType::Json),
                (_, ty) => (id, ty),
            };
            Some(Native { name: quoted(&name), id: ColumnId(id.parse().ok()?), ty })
        };
        let mut columns: Vec<Native> = columns.filter_map(native).collect();
        columns.sort_by_key(|c| c.id);
        let known = columns.last().map_or(0, |c| c.id.0);
        Natives { columns, known }
    }

    /// Those that a table should have and is not known to have, as `"name_1" type`.
    pub fn missing(&self, wanted: &[NativeColumn]) -> Vec<String> {
        let new = wanted.iter().filter(|w| !self.columns.iter().any(|c| c.id == w.id));
        new.filter_map(definition).collect()
    }

    /// Takes a row value apart. None: it is not a row value, and kept whole.
    pub fn split(&self, value: &Bytes) -> Option<Split> {
        if self.columns.is_empty() {
            return None;
        }
        let mut rest = Encoder::default();
        let mut list = Vec::with_capacity(self.columns.len());
        let mut cells = vec![None; self.columns.len()];
        let (mut at, mut last, mut highest) = (0, 0, 0);
        let mut fields = Fields::new(value);
        while let Some(field) = fields.next_field().ok()? {
            highest = field.id.0;
            while self.columns.get(at).is_some_and(|c| c.id < field.id) {
                at += 1;
            }
            let native = self.columns.get(at).filter(|c| c.id == field.id);
            match native.and_then(|native| to_cell(native.ty, &field)) {
                Some(cell) => {
                    write_varint(u64::from(field.id.0 - last), &mut list);
                    last = field.id.0;
                    cells[at] = Some(cell);
                }
                None => rest.raw(field.id, field.body),
            }
        }
        // The list ends with what is no distance.
        list.push(0);
        list.extend_from_slice(&rest.finish());
        Some(Split { rest: list.into(), cells, highest })
    }

    /// Puts a row value together.
    pub fn join(&self, rest: &Bytes, cells: &[Option<Bytes>]) -> Result<Bytes, Trouble> {
        let damaged = || Trouble::Defect("a row's vr is not as it was written".to_owned());
        let mut input = &rest[..];
        let mut value = Encoder::default();
        let mut held = Vec::new();
        let mut last = 0_u16;
        loop {
            let delta = take_varint(&mut input).ok_or_else(damaged)?;
            if delta == 0 {
                break;
            }
            last = last.checked_add(delta).ok_or_else(damaged)?;
            held.push(ColumnId(last));
        }
        let mut held = held.into_iter().peekable();
        let mut fields = Fields::new(input);
        loop {
            let field = fields.next_field().map_err(|_| damaged())?;
            let upto = field.as_ref().map_or(ColumnId(u16::MAX), |f| f.id);
            while let Some(id) = held.next_if(|id| *id <= upto) {
                let at = self.columns.binary_search_by_key(&id, |c| c.id);
                let at = at.map_err(|_| Trouble::UnknownColumn)?;
                let cell = cells.get(at).and_then(Option::as_ref).ok_or_else(damaged)?;
                add_cell(self.columns[at].ty, id, cell, &mut value).ok_or_else(damaged)?;
            }
            match field {
                Some(field) => value.raw(field.id, field.body),
                None => return Ok(value.finish()),
            }
        }
    }
}

/// `"name_1" type`, if values of its type are kept so.
pub(super) fn definition(column: &NativeColumn) -> Option<String> {
    let ty = CqlType::of(column.ty)?;
    let mark = if ty == CqlType::Json { "j" } else { "" };
    let name = quoted(&format!("{}_{}{mark}", column.name, column.id.0));
    Some(format!("{name} {}", ty.name()))
}

/// A name in double quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A field as a cell. None: it would not come back the same.
fn to_cell(ty: CqlType, field: &Field<'_>) -> Option<Bytes> {
    let copied = |bytes: &[u8]| Some(Bytes::copy_from_slice(bytes));
    match (ty, field.body) {
        (CqlType::Boolean, Body::Bool(v)) => copied(&[u8::from(v)]),
        (CqlType::Smallint, Body::Varint(v)) => {
            copied(&i16::try_from(unzigzag(v)).ok()?.to_be_bytes())
        }
        (CqlType::Int, Body::Varint(v)) => copied(&i32::try_from(unzigzag(v)).ok()?.to_be_bytes()),
        (CqlType::Bigint, Body::Varint(v)) => copied(&unzigzag(v).to_be_bytes()),
        (CqlType::Date, Body::Varint(v)) => {
            let days = unzigzag(v).checked_add(DATE_OFFSET)?;
            copied(&u32::try_from(days).ok()?.to_be_bytes())
        }
        (CqlType::Float, Body::Fixed4(b)) => copied(&f32::from_le_bytes(b).to_be_bytes()),
        (CqlType::Double, Body::Fixed8(b)) => copied(&f64::from_le_bytes(b).to_be_bytes()),
        (CqlType::Json, Body::Bytes([JSONB_VERSION, text @ ..], _))
        | (CqlType::Text, Body::Bytes(text, _)) => {
            std::str::from_utf8(text).ok()?;
            copied(text)
        }
        (CqlType::Blob, Body::Bytes(bytes, _)) => copied(bytes),
        (CqlType::Uuid, Body::Bytes(bytes, _)) if bytes.len() == 16 => copied(bytes),
        (CqlType::Decimal, Body::Small(scale, mantissa)) => {
            let mut cell = Vec::with_capacity(12);
            cell.extend_from_slice(&i32::try_from(scale).ok()?.to_be_bytes());
            let bytes = unzigzag(mantissa).to_be_bytes();
            cell.extend_from_slice(shortest(&bytes));
            Some(cell.into())
        }
        (CqlType::Decimal, Body::Bytes(bytes, _)) => copied(&big_decimal(bytes)?),
        _ => None,
    }
}

/// The reverse of [`to_cell`].
fn add_cell(ty: CqlType, id: ColumnId, cell: &[u8], value: &mut Encoder) -> Option<()> {
    let number = |n: i64| Body::Varint(zigzag(n));
    match ty {
        CqlType::Boolean => value.raw(id, Body::Bool(cell.first()? != &0)),
        CqlType::Smallint => {
            value.raw(id, number(i16::from_be_bytes(cell.try_into().ok()?).into()))
        }
        CqlType::Int => value.raw(id, number(i32::from_be_bytes(cell.try_into().ok()?).into())),
        CqlType::Bigint => value.raw(id, number(i64::from_be_bytes(cell.try_into().ok()?))),
        CqlType::Date => {
            let days = i64::from(u32::from_be_bytes(cell.try_into().ok()?));
            value.raw(id, number(days - DATE_OFFSET));
        }
        CqlType::Float => {
            let v = f32::from_be_bytes(cell.try_into().ok()?);
            value.raw(id, Body::Fixed4(v.to_le_bytes()));
        }
        CqlType::Double => {
            let v = f64::from_be_bytes(cell.try_into().ok()?);
            value.raw(id, Body::Fixed8(v.to_le_bytes()));
        }
        CqlType::Json => {
            let mut bytes = Vec::with_capacity(cell.len() + 1);
            bytes.push(JSONB_VERSION);
            bytes.extend_from_slice(cell);
            value.raw(id, Body::Bytes(&bytes, 0));
        }
        CqlType::Text | CqlType::Blob | CqlType::Uuid => value.raw(id, Body::Bytes(cell, 0)),
        CqlType::Decimal => add_decimal(id, cell, value)?,
    }
    Some(())
}

fn add_decimal(id: ColumnId, cell: &[u8], value: &mut Encoder) -> Option<()> {
    let (scale, mantissa) = cell.split_first_chunk()?;
    let scale = u32::try_from(i32::from_be_bytes(*scale)).ok()?;
    let numeric = match small(mantissa) {
        Some(mantissa) => Numeric::from_i128(mantissa.into(), scale),
        None => Numeric::parse(&decimal_text(mantissa, scale as usize)).ok()?,
    };
    value.field(id, &Datum::Numeric(numeric), SqlType::NUMERIC, true).ok()
}

/// A numeric in its binary form as a `decimal`; none: NaN, infinite or very long.
fn big_decimal(binary: &[u8]) -> Option<Vec<u8>> {
    let numeric = Numeric::from_binary(binary).ok()?;
    if !numeric.is_finite() || numeric.as_small().is_some() {
        return None;
    }
    let text = numeric.to_string();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.as_str()),
    };
    let scale = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if digits.len() > DECIMAL_DIGITS_MAX {
        return None;
    }
    let mut cell = i32::try_from(scale).ok()?.to_be_bytes().to_vec();
    // Least significant byte first, with room for the sign.
    let mut bytes = vec![0_u8];
    for digit in digits.bytes().filter(u8::is_ascii_digit) {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut bytes {
            let n = u32::from(*byte) * 10 + carry;
            (*byte, carry) = (n as u8, n >> 8);
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    bytes.push(0);
    if negative {
        negate(&mut bytes);
    }
    bytes.reverse();
    cell.extend_from_slice(shortest(&bytes));
    // Trailing zeros, digits of no meaning: whatever does not come back is kept as it is.
    let mut back = Encoder::default();
    add_decimal(ColumnId(1), &cell, &mut back)?;
    let mut as_was = Encoder::default();
    as_was.raw(ColumnId(1), Body::Bytes(binary, 0));
    (back.finish() == as_was.finish()).then_some(cell)
}

/// Two's complement, least significant byte first.
fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes {
        (*byte, carry) = (!*byte).overflowing_add(carry.into());
    }
}

/// A big-endian number without the bytes that only repeat its sign.
fn shortest(mut bytes: &[u8]) -> &[u8] {
    while let [first, second, ..] = bytes {
        let redundant = matches!((first, second >> 7), (0, 0) | (0xff, 1));
        if !redundant {
            break;
        }
        bytes = &bytes[1..];
    }
    bytes
}

/// A big-endian number that an i64 holds.
fn small(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.first()? >> 7 == 1;
    let mut number = [if negative { 0xff } else { 0 }; 8];
    number.get_mut(8_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(i64::from_be_bytes(number))
}

/// A big-endian number with a decimal point.
fn decimal_text(bytes: &[u8], scale: usize) -> String {
    let negative = bytes.first().is_some_and(|b| b >> 7 == 1);
    let mut bytes: Vec<u8> = bytes.iter().rev().copied().collect();
    if negative {
        negate(&mut bytes);
    }
    let mut digits = Vec::new();
    while let Some(top) = bytes.iter().rposition(|b| *b != 0) {
        bytes.truncate(top + 1);
        let mut rest = 0_u32;
        for byte in bytes.iter_mut().rev() {
            let n = rest << 8 | u32::from(*byte);
            (*byte, rest) = ((n / 10) as u8, n % 10);
        }
        digits.push(b'0' + rest as u8);
    }
    while digits.len() <= scale {
        digits.push(b'0');
    }
    let mut text = String::with_capacity(digits.len() + 2);
    if negative {
        text.push('-');
    }
    for (left, digit) in digits.iter().enumerate().rev() {
        text.push(char::from(*digit));
        if left == scale && scale > 0 {
            text.push('.');
        }
    }
    text
}

fn take_varint(input: &mut &[u8]) -> Option<u16> {
    let mut n = 0_u32;
    for shift in [0, 7, 14] {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        n |= u32::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return u16::try_from(n).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, id: u16, ty: SqlType) -> NativeColumn {
        NativeColumn { name: name.to_owned(), id: ColumnId(id), ty }
    }

    /// The columns as the cluster's schema tells of them once they are made.
    fn natives(columns: &[NativeColumn]) -> Natives {
        let made = Natives::default().missing(columns).into_iter().map(|definition| {
            let (name, ty) = definition.rsplit_once(' ').unwrap();
            (name.trim_matches('"').replace("\"\"", "\""), ty.to_owned())
        });
        Natives::read(made)
    }

    fn value(fields: &[(u16, SqlType, Datum)]) -> Bytes {
        let mut encoder = Encoder::default();
        for (id, ty, datum) in fields {
            encoder.field(ColumnId(*id), datum, *ty, true).unwrap();
        }
        encoder.finish()
    }

    fn numeric(text: &str) -> Datum {
        Datum::Numeric(Numeric::parse(text).unwrap())
    }

    #[test]
    fn values_come_back_the_same() {
        let fields = [
            (1, SqlType::BOOL, Datum::Bool(true)),
            (2, SqlType::INT2, Datum::Int2(-2)),
            (3, SqlType::INT4, Datum::Int4(i32::MIN)),
            (4, SqlType::INT8, Datum::Int8(i64::MAX)),
            (5, SqlType::FLOAT4, Datum::Float4(-0.0)),
            (6, SqlType::FLOAT8, Datum::Float8(f64::NAN)),
            (7, SqlType::TEXT, Datum::text("\u{1}é")),
            (8, SqlType::BYTEA, Datum::Bytea(Bytes::from_static(b"\0\xff"))),
            (9, SqlType::UUID, Datum::Uuid([9; 16])),
            (10, SqlType::DATE, Datum::Date(-730_000)),
            (11, SqlType::DATE, Datum::Date(i32::MAX)),
            (12, SqlType::NUMERIC, numeric("-12.340")),
            (13, SqlType::NUMERIC, numeric("NaN")),
            (14, SqlType::NUMERIC, numeric("-123456789012345678901234567890.00")),
            (15, SqlType::TIMESTAMPTZ, Datum::Timestamptz(i64::MAX)),
            (16, SqlType::INT4, Datum::Null),
            (17, SqlType::TEXT, Datum::text("")),
            (400, SqlType::INT8, Datum::Int8(0)),
        ];
        let columns: Vec<NativeColumn> =
            fields.iter().map(|(id, ty, _)| column("a \"b_", *id, *ty)).collect();
        let whole = value(&fields);
        let all = natives(&columns);
        assert_eq!(all.columns.len(), columns.len());
        let split = all.split(&whole).unwrap();
        assert_eq!(split.highest, 400);
        let kept: Vec<u16> = all
            .columns
            .iter()
            .zip(&split.cells)
            .filter(|c| c.1.is_none())
            .map(|c| c.0.id.0)
            .collect();
        assert_eq!(kept, [11, 13, 16], "infinite dates, NaN and NULL have no cell");
        assert_eq!(all.join(&split.rest, &split.cells).unwrap(), whole);
        // With few columns of its own the rest has more.
        let few = natives(&columns[3..9]);
        let split = few.split(&whole).unwrap();
        assert_eq!(few.join(&split.rest, &split.cells).unwrap(), whole);
        assert!(Natives::default().split(&whole).is_none());
    }

    #[test]
    fn columns_nobody_told_of_are_noticed() {
        let columns = [column("a", 1, SqlType::INT4), column("b", 2, SqlType::TEXT)];
        let whole =
            value(&[(1, SqlType::INT4, Datum::Int4(1)), (2, SqlType::TEXT, Datum::text("x"))]);
        let split = natives(&columns).split(&whole).unwrap();
        let old = natives(&columns[..1]);
        let read = old.join(&split.rest, &split.cells[..1]);
        assert!(matches!(read, Err(Trouble::UnknownColumn)));
        let gone = natives(&columns).join(&split.rest, &[None, None]);
        assert!(matches!(gone, Err(Trouble::Defect(_))));
    }

    #[test]
    fn jsonb_is_text_without_its_version() {
        let columns = [column("doc", 3, SqlType::JSONB), column("note", 4, SqlType::TEXT)];
        assert_eq!(definition(&columns[0]).unwrap(), "\"doc_3j\" text");
        let doc =
            crate::types::io::parse_text("{\"a\": 1}", SqlType::JSONB, &Default::default(), 0);
        let whole =
            value(&[(3, SqlType::JSONB, doc.unwrap()), (4, SqlType::TEXT, Datum::text("\u{1}{}"))]);
        let both = natives(&columns);
        let split = both.split(&whole).unwrap();
        assert_eq!(split.cells[0].as_deref(), Some(&b"{\"a\": 1}"[..]));
        assert_eq!(split.cells[1].as_deref(), Some(&b"\x01{}"[..]));
        assert_eq!(both.join(&split.rest, &split.cells).unwrap(), whole);
    }

    #[test]
    fn decimals_of_any_length_turn_both_ways() {
        for text in [
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775809",
            "0.000000000000000000000000000001",
            "-340282366920938463463374607431768211456.5",
        ] {
            let columns = [column("n", 1, SqlType::NUMERIC)];
            let whole = value(&[(1, SqlType::NUMERIC, numeric(text))]);
            let one = natives(&columns);
            let split = one.split(&whole).unwrap();
            assert!(split.cells[0].is_some(), "{text}");
            assert_eq!(one.join(&split.rest, &split.cells).unwrap(), whole, "{text}");
        }
        assert_eq!(decimal_text(&[0xff, 0x7f], 3), "-0.129");
        assert_eq!(decimal_text(&[0], 0), "0");
    }
}
