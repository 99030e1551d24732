//! The order-preserving code of key columns.
//!
//! Comparing encoded bytes compares the values as PostgreSQL's default btree operator class
//! does; every code is prefix-free, so codes can be concatenated. Equal values have equal codes:
//! numeric 1.0 and 1.00, float -0 and 0, char(n) with and without its blanks. What the code
//! forgets by that (see [`is_lossless`]) the row's value keeps.
//!
//! ```text
//! bool                 00 | 01
//! int2 int4 int8       big endian, sign bit flipped     -1::int2 → 7f ff
//! oid                  4 bytes big endian
//! float4 float8        IEEE bits big endian; positive: sign bit set; negative: all flipped
//! date time timestamp  as int4 / int8
//! text                 UTF-8 bytes, 00                  'ab' → 61 62 00
//! bytea                bytes with 00 → 00 ff, then 00 01
//! uuid                 16 bytes
//! numeric              Numeric::encode_key
//! interval             the compared span (µs, 30-day months) as 16 bytes, then months, days
//! array                for each element 01 code | 02 for NULL; then 00
//! ```
//!
//! A nullable key column has a marker before it: 01 for a value, 00 or 02 for NULL, as NULLs sort
//! first or last. A descending column inverts every byte of the code, not of the marker.

use bytes::Bytes;

use crate::error::{Error, Result, SqlState};
use crate::types::{Array, BaseType, Datum, Interval, Numeric, SqlType};

const NULL_FIRST: u8 = 0x00;
const PRESENT: u8 = 0x01;
const NULL_LAST: u8 = 0x02;

const DAY_MICROS: i128 = 86_400_000_000;

/// Whether a value can be read back from its key code exactly as it was written.
pub fn is_lossless(ty: SqlType) -> bool {
    use BaseType::*;
    !ty.is_array && !matches!(ty.base, Numeric | Float4 | Float8 | Bpchar | Interval)
}

/// Whether the type has an order-preserving code at all. Types without one have no index (0A000).
pub fn is_indexable(ty: SqlType) -> bool {
    use BaseType::*;
    matches!(
        ty.base,
        Bool | Bytea
            | SingleChar
            | Name
            | Int8
            | Int2
            | Int4
            | Text
            | Oid
            | Xid
            | Regclass
            | Regtype
            | Regproc
            | Float4
            | Float8
            | Bpchar
            | Varchar
            | Date
            | Time
            | Timestamp
            | Timestamptz
            | Interval
            | Numeric
            | Uuid
    )
}

/// Appends a key column with its marker.
pub fn encode(
    datum: &Datum,
    ty: SqlType,
    desc: bool,
    nulls_first: bool,
    out: &mut Vec<u8>,
) -> Result<()> {
    if datum.is_null() {
        out.push(if nulls_first { NULL_FIRST } else { NULL_LAST });
        return Ok(());
    }
    out.push(PRESENT);
    let start = out.len();
    encode_value(datum, ty, out)?;
    if desc {
        for byte in &mut out[start..] {
            *byte = !*byte;
        }
    }
    Ok(())
}

/// Appends the code of a value that is not NULL, ascending, without a marker: what primary key
/// columns have.
pub fn encode_value(datum: &Datum, ty: SqlType, out: &mut Vec<u8>) -> Result<()> {
    match datum {
        Datum::Bool(v) => out.push(u8::from(*v)),
        Datum::Char(v) => out.push(*v),
        Datum::Int2(v) => out.extend_from_slice(&(*v as u16 ^ 1 << 15).to_be_bytes()),
        Datum::Int4(v) | Datum::Date(v) => {
            out.extend_from_slice(&(*v as u32 ^ 1 << 31).to_be_bytes());
        }
        Datum::Int8(v) | Datum::Time(v) | Datum::Timestamp(v) | Datum::Timestamptz(v) => {
            out.extend_from_slice(&(*v as u64 ^ 1 << 63).to_be_bytes());
        }
        Datum::Oid(v) => out.extend_from_slice(&v.to_be_bytes()),
        Datum::Float4(v) => encode_float4(*v, out),
        Datum::Float8(v) => encode_float8(*v, out),
        Datum::Numeric(v) => v.encode_key(out),
        Datum::Text(v) => {
            let text: &str = v;
            let text = if ty.base == BaseType::Bpchar { text.trim_end_matches(' ') } else { text };
            out.extend_from_slice(text.as_bytes());
            out.push(0);
        }
        Datum::Bytea(v) => {
            for byte in v.iter() {
                out.push(*byte);
                if *byte == 0 {
                    out.push(0xff);
                }
            }
            out.extend_from_slice(&[0, 1]);
        }
        Datum::Uuid(v) => out.extend_from_slice(v),
        Datum::Interval(v) => encode_interval(v, out),
        Datum::Array(array) => {
            for element in &array.values {
                encode(element, ty.element(), false, false, out)?;
            }
            out.push(0);
        }
        Datum::Null | Datum::Jsonb(_) | Datum::Record(_) => {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "key columns of type {} are not supported",
                    crate::types::pg_type::format_type(ty)
                ),
            )
            .with_hint("Use a column of another type in keys and indexes."));
        }
    }
    Ok(())
}

fn encode_float4(v: f32, out: &mut Vec<u8>) {
    let v = if v == 0.0 { 0.0 } else { v };
    let bits = if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() };
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    out.extend_from_slice(&ordered.to_be_bytes());
}

fn encode_float8(v: f64, out: &mut Vec<u8>) {
    let v = if v == 0.0 { 0.0 } else { v };
    let bits = if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() };
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    out.extend_from_slice(&ordered.to_be_bytes());
}

fn encode_interval(v: &Interval, out: &mut Vec<u8>) {
    let days = i128::from(v.months) * 30 + i128::from(v.days);
    let span = days * DAY_MICROS + i128::from(v.micros);
    out.extend_from_slice(&(span as u128 ^ 1 << 127).to_be_bytes());
}

fn take<'a>(input: &mut &'a [u8], n: usize) -> Result<&'a [u8]> {
    let Some((head, tail)) = input.split_at_checked(n) else {
        return Err(Error::corrupted(format!(
            "key ends early: {n} bytes wanted, {} there",
            input.len()
        )));
    };
    *input = tail;
    Ok(head)
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N]> {
    let mut array = [0; N];
    array.copy_from_slice(take(input, N)?);
    Ok(array)
}

/// Reads a key column with its marker. Lossy types (see [`is_lossless`]) come back canonical.
pub fn decode(input: &mut &[u8], ty: SqlType, desc: bool) -> Result<Datum> {
    match take(input, 1)?[0] {
        NULL_FIRST | NULL_LAST => Ok(Datum::Null),
        PRESENT if !desc => decode_value(input, ty),
        PRESENT => {
            let inverted: Vec<u8> = input.iter().map(|b| !b).collect();
            let mut rest = inverted.as_slice();
            let datum = decode_value(&mut rest, ty)?;
            *input = &input[inverted.len() - rest.len()..];
            Ok(datum)
        }
        marker => Err(Error::corrupted(format!("unknown key marker {marker:#04x}"))),
    }
}

/// Reads a value written by [`encode_value`].
pub fn decode_value(input: &mut &[u8], ty: SqlType) -> Result<Datum> {
    if ty.is_array {
        return decode_array(input, ty);
    }
    let i32_of = |b: [u8; 4]| (u32::from_be_bytes(b) ^ 1 << 31) as i32;
    let i64_of = |b: [u8; 8]| (u64::from_be_bytes(b) ^ 1 << 63) as i64;
    Ok(match ty.base {
        BaseType::Bool => Datum::Bool(take(input, 1)?[0] != 0),
        BaseType::SingleChar => Datum::Char(take(input, 1)?[0]),
        BaseType::Int2 => Datum::Int2((u16::from_be_bytes(take_array(input)?) ^ 1 << 15) as i16),
        BaseType::Int4 => Datum::Int4(i32_of(take_array(input)?)),
        BaseType::Date => Datum::Date(i32_of(take_array(input)?)),
        BaseType::Int8 => Datum::Int8(i64_of(take_array(input)?)),
        BaseType::Time => Datum::Time(i64_of(take_array(input)?)),
        BaseType::Timestamp => Datum::Timestamp(i64_of(take_array(input)?)),
        BaseType::Timestamptz => Datum::Timestamptz(i64_of(take_array(input)?)),
        BaseType::Oid
        | BaseType::Xid
        | BaseType::Regclass
        | BaseType::Regtype
        | BaseType::Regproc => Datum::Oid(u32::from_be_bytes(take_array(input)?)),
        BaseType::Float4 => {
            let bits = u32::from_be_bytes(take_array(input)?);
            let bits = if bits >> 31 == 1 { bits ^ 1 << 31 } else { !bits };
            Datum::Float4(f32::from_bits(bits))
        }
        BaseType::Float8 => {
            let bits = u64::from_be_bytes(take_array(input)?);
            let bits = if bits >> 63 == 1 { bits ^ 1 << 63 } else { !bits };
            Datum::Float8(f64::from_bits(bits))
        }
        BaseType::Numeric => Datum::Numeric(Numeric::decode_key(input)?),
        BaseType::Text | BaseType::Varchar | BaseType::Bpchar | BaseType::Name => {
            decode_text(input, ty)?
        }
        BaseType::Bytea => Datum::Bytea(decode_bytes(input)?),
        BaseType::Uuid => Datum::Uuid(take_array(input)?),
        BaseType::Interval => {
            let span = (u128::from_be_bytes(take_array(input)?) ^ 1 << 127) as i128;
            let days = span.div_euclid(DAY_MICROS);
            Datum::Interval(Box::new(Interval {
                months: (days / 30) as i32,
                days: (days % 30) as i32,
                micros: span.rem_euclid(DAY_MICROS) as i64,
            }))
        }
        _ => {
            return Err(Error::corrupted(format!(
                "type {} stands in no key",
                crate::types::pg_type::format_type(ty)
            )));
        }
    })
}

fn decode_text(input: &mut &[u8], ty: SqlType) -> Result<Datum> {
    let Some(end) = input.iter().position(|b| *b == 0) else {
        return Err(Error::corrupted("text in key without its end"));
    };
    let bytes = take(input, end)?;
    *input = &input[1..];
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Error::corrupted(format!("text in key is not UTF-8: {e}")))?;
    if ty.base == BaseType::Bpchar && ty.typmod > 4 {
        let width = (ty.typmod - 4) as usize;
        let pad = width.saturating_sub(text.chars().count());
        let mut padded = String::with_capacity(text.len() + pad);
        padded.push_str(text);
        padded.extend(std::iter::repeat_n(' ', pad));
        return Ok(Datum::text(padded));
    }
    Ok(Datum::text(text))
}

fn decode_bytes(input: &mut &[u8]) -> Result<Bytes> {
    let mut out = Vec::new();
    loop {
        let byte = take(input, 1)?[0];
        if byte != 0 {
            out.push(byte);
            continue;
        }
        match take(input, 1)?[0] {
            0xff => out.push(0),
            1 => return Ok(out.into()),
            other => {
                return Err(Error::corrupted(format!("unknown escape {other:#04x} in key bytes")));
            }
        }
    }
}

fn decode_array(input: &mut &[u8], ty: SqlType) -> Result<Datum> {
    let mut values = Vec::new();
    while input.first() != Some(&0) {
        values.push(decode(input, ty.element(), false)?);
    }
    take(input, 1)?;
    Ok(Datum::Array(std::sync::Arc::new(Array { element: ty.base, lower_bound: 1, values })))
}

/// Moves past one value written by [`encode_value`], without making a datum where the length is
/// plain.
pub fn skip_value(input: &mut &[u8], ty: SqlType) -> Result<()> {
    let fixed = match (ty.is_array, ty.base) {
        (false, BaseType::Bool | BaseType::SingleChar) => 1,
        (false, BaseType::Int2) => 2,
        (
            false,
            BaseType::Int4
            | BaseType::Date
            | BaseType::Float4
            | BaseType::Oid
            | BaseType::Xid
            | BaseType::Regclass
            | BaseType::Regtype
            | BaseType::Regproc,
        ) => 4,
        (
            false,
            BaseType::Int8
            | BaseType::Time
            | BaseType::Timestamp
            | BaseType::Timestamptz
            | BaseType::Float8,
        ) => 8,
        (false, BaseType::Uuid | BaseType::Interval) => 16,
        _ => {
            decode_value(input, ty)?;
            return Ok(());
        }
    };
    take(input, fixed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(d: &Datum, ty: SqlType, desc: bool, nulls_first: bool) -> Vec<u8> {
        let mut out = Vec::new();
        encode(d, ty, desc, nulls_first, &mut out).unwrap();
        out
    }

    /// Codes ascend as the values are listed, and descend when descending.
    fn check_order(ty: SqlType, values: &[Datum]) {
        for pair in values.windows(2) {
            assert!(
                code(&pair[0], ty, false, false) < code(&pair[1], ty, false, false),
                "{:?} < {:?}",
                pair[0],
                pair[1]
            );
            assert!(code(&pair[0], ty, true, false) > code(&pair[1], ty, true, false));
        }
        for value in values {
            for desc in [false, true] {
                let bytes = code(value, ty, desc, false);
                let mut input = bytes.as_slice();
                let back = decode(&mut input, ty, desc).unwrap();
                assert!(input.is_empty());
                assert_eq!(format!("{back:?}"), format!("{value:?}"));
            }
            let mut plain = Vec::new();
            encode_value(value, ty, &mut plain).unwrap();
            plain.push(7);
            let mut input = plain.as_slice();
            skip_value(&mut input, ty).unwrap();
            assert_eq!(input, [7]);
        }
    }

    #[test]
    fn order_of_fixed_types() {
        check_order(SqlType::BOOL, &[Datum::Bool(false), Datum::Bool(true)]);
        check_order(SqlType::INT2, &[i16::MIN, -1, 0, 1, i16::MAX].map(Datum::Int2));
        check_order(SqlType::INT4, &[i32::MIN, -256, -1, 0, 255, i32::MAX].map(Datum::Int4));
        check_order(SqlType::INT8, &[i64::MIN, -1, 0, 1 << 40, i64::MAX].map(Datum::Int8));
        check_order(SqlType::DATE, &[i32::MIN, -5, 0, i32::MAX].map(Datum::Date));
        check_order(
            SqlType::FLOAT8,
            &[f64::NEG_INFINITY, -1.5, -1e-300, 0.0, 1e-300, 2.0, f64::INFINITY, f64::NAN]
                .map(Datum::Float8),
        );
        check_order(SqlType::FLOAT4, &[-2.5, -0.5, 0.0, 0.5, f32::INFINITY].map(Datum::Float4));
    }

    #[test]
    fn order_of_variable_types() {
        check_order(SqlType::TEXT, &["", "a", "a\u{1}", "aa", "b", "é"].map(Datum::text));
        let bytes: Vec<Datum> = [&b""[..], b"\0", b"\0\0", b"\0\x01", b"\x01", b"a", b"a\0"]
            .map(|b| Datum::Bytea(Bytes::from_static(b)))
            .to_vec();
        check_order(SqlType::BYTEA, &bytes);
        let span =
            |months, days, micros| Datum::Interval(Box::new(Interval { months, days, micros }));
        check_order(SqlType::INTERVAL, &[span(0, 0, 1), span(0, 1, 0), span(1, 0, 0)]);
    }

    #[test]
    fn equal_values_have_equal_codes() {
        let zero = |v| code(&Datum::Float8(v), SqlType::FLOAT8, false, false);
        assert_eq!(zero(0.0), zero(-0.0));
        let month = Datum::Interval(Box::new(Interval { months: 1, days: 0, micros: 0 }));
        let days = Datum::Interval(Box::new(Interval { months: 0, days: 30, micros: 0 }));
        let ty = SqlType::INTERVAL;
        assert_eq!(code(&month, ty, false, false), code(&days, ty, false, false));
        let blank = |s: &str| code(&Datum::text(s), SqlType::BPCHAR, false, false);
        assert_eq!(blank("a  "), blank("a"));
    }

    #[test]
    fn nulls_sort_as_asked() {
        let one = code(&Datum::Int4(i32::MIN), SqlType::INT4, false, false);
        assert!(code(&Datum::Null, SqlType::INT4, false, true) < one);
        assert!(code(&Datum::Null, SqlType::INT4, false, false) > one);
        let desc = code(&Datum::Int4(i32::MAX), SqlType::INT4, true, true);
        assert!(code(&Datum::Null, SqlType::INT4, true, true) < desc);
    }

    #[test]
    fn damaged_keys_are_refused() {
        for bytes in [&b"\x01\x80"[..], b"\x07", b""] {
            let mut input = bytes;
            let e = decode(&mut input, SqlType::INT4, false).unwrap_err();
            assert_eq!(e.code(), SqlState::DATA_CORRUPTED);
        }
    }
}
