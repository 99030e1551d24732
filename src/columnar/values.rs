//! Datums as Arrow values and back: the one mapping that export, delta, row scans and the
//! lowering share (schemas/parquet-mapping.md).
//!
//! A column's Arrow type follows from its SQL type, but for numeric, where an expression may hold
//! its exact values as decimals of any scale or as bytes; [`ColumnReader`] reads whichever it is
//! given. Dates and timestamps move from PostgreSQL's epoch (2000-01-01) to Unix's; the infinities
//! stay the smallest and the largest integer, so that order holds.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BinaryArray, BinaryBuilder, BinaryViewArray, BooleanArray,
    BooleanBuilder, Decimal128Array, Decimal128Builder, FixedSizeBinaryArray,
    FixedSizeBinaryBuilder, LargeStringArray, PrimitiveArray, PrimitiveBuilder, StringArray,
    StringViewArray, StringViewBuilder,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt32Type,
    UInt64Type,
};
use bytes::{Bytes, BytesMut};

use crate::error::{Error, Result, SqlState};
use crate::types::pg_type::{format_type, numeric_modifier};
use crate::types::{BaseType, Datum, Interval, Numeric, SqlType, io};

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
/// Microseconds from 1970-01-01 to 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Most digits of a Decimal128.
pub const DECIMAL_PRECISION_MAX: u8 = 38;

/// The Arrow type that columns of a SQL type have.
pub fn arrow_type(ty: SqlType) -> DataType {
    if ty.is_array {
        return DataType::Binary;
    }
    match ty.base {
        BaseType::Bool => DataType::Boolean,
        BaseType::Int2 => DataType::Int16,
        BaseType::Int4 => DataType::Int32,
        BaseType::Int8 => DataType::Int64,
        BaseType::SingleChar => DataType::Int8,
        BaseType::Float4 => DataType::Float32,
        BaseType::Float8 => DataType::Float64,
        BaseType::Numeric => match numeric_modifier(ty.typmod) {
            Some((p, s)) if p <= i32::from(DECIMAL_PRECISION_MAX) && (0..=p).contains(&s) => {
                DataType::Decimal128(p as u8, s as i8)
            }
            _ => DataType::Binary,
        },
        BaseType::Date => DataType::Date32,
        BaseType::Time => DataType::Time64(TimeUnit::Microsecond),
        BaseType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        BaseType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        BaseType::Uuid | BaseType::Interval => DataType::FixedSizeBinary(16),
        BaseType::Bytea | BaseType::Record => DataType::Binary,
        BaseType::Oid
        | BaseType::Xid
        | BaseType::Regproc
        | BaseType::Regprocedure
        | BaseType::Regoper
        | BaseType::Regclass
        | BaseType::Regtype
        | BaseType::Regnamespace
        | BaseType::Regrole => DataType::UInt32,
        _ => DataType::Utf8View,
    }
}

/// Gathers datums of one SQL type into an Arrow array.
pub struct ColumnBuilder {
    ty: SqlType,
    kind: Builder,
}

enum Builder {
    Bool(BooleanBuilder),
    Int8(PrimitiveBuilder<Int8Type>),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    UInt32(PrimitiveBuilder<UInt32Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Decimal(Decimal128Builder, u8, i8),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64MicrosecondType>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Text(StringViewBuilder),
    Bytes(BinaryBuilder),
    Fixed(FixedSizeBinaryBuilder),
}

impl ColumnBuilder {
    /// A builder for `ty`, giving arrays of `data_type` (see [`arrow_type`]).
    pub fn new(ty: SqlType, data_type: &DataType, capacity: usize) -> Result<ColumnBuilder> {
        let kind = match data_type {
            DataType::Boolean => Builder::Bool(BooleanBuilder::with_capacity(capacity)),
            DataType::Int8 => Builder::Int8(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Int16 => Builder::Int16(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Int32 => Builder::Int32(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Int64 => Builder::Int64(PrimitiveBuilder::with_capacity(capacity)),
            DataType::UInt32 => Builder::UInt32(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Float32 => Builder::Float32(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Float64 => Builder::Float64(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Date32 => Builder::Date(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Time64(_) => Builder::Time(PrimitiveBuilder::with_capacity(capacity)),
            DataType::Timestamp(_, _) => {
                let builder = PrimitiveBuilder::with_capacity(capacity);
                Builder::Timestamp(builder.with_data_type(data_type.clone()))
            }
            DataType::Decimal128(p, s) => {
                let builder = Decimal128Builder::with_capacity(capacity);
                Builder::Decimal(builder.with_data_type(data_type.clone()), *p, *s)
            }
            DataType::Utf8View => Builder::Text(StringViewBuilder::with_capacity(capacity)),
            DataType::Binary => Builder::Bytes(BinaryBuilder::with_capacity(capacity, 0)),
            DataType::FixedSizeBinary(n) => {
                Builder::Fixed(FixedSizeBinaryBuilder::with_capacity(capacity, *n))
            }
            other => {
                return Err(Error::internal(format!(
                    "no Arrow builder of {other} for {}",
                    format_type(ty)
                )));
            }
        };
        Ok(ColumnBuilder { ty, kind })
    }

    /// Appends a value. 22003 for one that the column's Arrow type cannot hold exactly (numeric
    /// NaN in a decimal, a timestamp after the year 294246).
    pub fn append(&mut self, datum: &Datum) -> Result<()> {
        match (&mut self.kind, datum) {
            (kind, Datum::Null) => append_null(kind),
            (Builder::Bool(b), Datum::Bool(v)) => b.append_value(*v),
            (Builder::Int8(b), Datum::Char(v)) => b.append_value(*v as i8),
            (Builder::Int16(b), Datum::Int2(v)) => b.append_value(*v),
            (Builder::Int32(b), Datum::Int4(v)) => b.append_value(*v),
            (Builder::Int64(b), Datum::Int8(v)) => b.append_value(*v),
            (Builder::UInt32(b), Datum::Oid(v)) => b.append_value(*v),
            (Builder::Float32(b), Datum::Float4(v)) => b.append_value(*v),
            (Builder::Float64(b), Datum::Float8(v)) => b.append_value(*v),
            (Builder::Decimal(b, p, s), Datum::Numeric(v)) => {
                b.append_value(decimal_of(v, *p, *s).ok_or_else(|| unfit(self.ty))?);
            }
            (Builder::Date(b), Datum::Date(v)) => b.append_value(unix_days(*v)),
            (Builder::Time(b), Datum::Time(v)) => b.append_value(*v),
            (Builder::Timestamp(b), Datum::Timestamp(v) | Datum::Timestamptz(v)) => {
                b.append_value(unix_micros(*v).ok_or_else(|| unfit(self.ty))?);
            }
            (Builder::Text(b), Datum::Text(v)) => b.append_value(v),
            (Builder::Text(b), Datum::Jsonb(_)) => {
                b.append_value(io::text_of(datum, self.ty, &Default::default()));
            }
            (Builder::Bytes(b), Datum::Bytea(v)) => b.append_value(v),
            (Builder::Bytes(b), datum) => {
                let mut bytes = BytesMut::new();
                io::write_binary(datum, self.ty, &mut bytes);
                b.append_value(&bytes);
            }
            (Builder::Fixed(b), Datum::Uuid(v)) => append_fixed(b, v)?,
            (Builder::Fixed(b), Datum::Interval(v)) => append_fixed(b, &interval_bytes(v))?,
            (_, other) => {
                return Err(Error::internal(format!(
                    "{other:?} in a column of type {}",
                    format_type(self.ty)
                )));
            }
        }
        Ok(())
    }

    /// The array; the builder is empty again.
    pub fn finish(&mut self) -> ArrayRef {
        match &mut self.kind {
            Builder::Bool(b) => Arc::new(b.finish()),
            Builder::Int8(b) => Arc::new(b.finish()),
            Builder::Int16(b) => Arc::new(b.finish()),
            Builder::Int32(b) => Arc::new(b.finish()),
            Builder::Int64(b) => Arc::new(b.finish()),
            Builder::UInt32(b) => Arc::new(b.finish()),
            Builder::Float32(b) => Arc::new(b.finish()),
            Builder::Float64(b) => Arc::new(b.finish()),
            Builder::Decimal(b, ..) => Arc::new(b.finish()),
            Builder::Date(b) => Arc::new(b.finish()),
            Builder::Time(b) => Arc::new(b.finish()),
            Builder::Timestamp(b) => Arc::new(b.finish()),
            Builder::Text(b) => Arc::new(b.finish()),
            Builder::Bytes(b) => Arc::new(b.finish()),
            Builder::Fixed(b) => Arc::new(b.finish()),
        }
    }
}

fn append_null(kind: &mut Builder) {
    match kind {
        Builder::Bool(b) => b.append_null(),
        Builder::Int8(b) => b.append_null(),
        Builder::Int16(b) => b.append_null(),
        Builder::Int32(b) => b.append_null(),
        Builder::Int64(b) => b.append_null(),
        Builder::UInt32(b) => b.append_null(),
        Builder::Float32(b) => b.append_null(),
        Builder::Float64(b) => b.append_null(),
        Builder::Decimal(b, ..) => b.append_null(),
        Builder::Date(b) => b.append_null(),
        Builder::Time(b) => b.append_null(),
        Builder::Timestamp(b) => b.append_null(),
        Builder::Text(b) => b.append_null(),
        Builder::Bytes(b) => b.append_null(),
        Builder::Fixed(b) => b.append_null(),
    }
}

fn append_fixed(builder: &mut FixedSizeBinaryBuilder, bytes: &[u8; 16]) -> Result<()> {
    builder.append_value(bytes).map_err(|e| Error::internal(e.to_string()))
}

fn unfit(ty: SqlType) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value of type {} has no exact columnar form", format_type(ty)),
    )
    .with_hint("The table stays on the row path; SET (columnar = off) silences the exporter.")
}

/// A numeric's digits at a scale, if it is finite, loses nothing and fits the precision.
pub fn decimal_of(v: &Numeric, precision: u8, scale: i8) -> Option<i128> {
    let digits = v.to_i128_scaled(u32::try_from(scale).ok()?)?;
    let limit = 10i128.checked_pow(u32::from(precision))?;
    (digits.abs() < limit && v.scale() <= scale as u32).then_some(digits)
}

fn unix_days(days: i32) -> i32 {
    if days == i32::MIN || days == i32::MAX { days } else { days + EPOCH_DAYS }
}

fn unix_micros(micros: i64) -> Option<i64> {
    if micros == i64::MIN || micros == i64::MAX {
        return Some(micros);
    }
    micros.checked_add(EPOCH_MICROS).filter(|m| *m != i64::MAX)
}

/// A day count of PostgreSQL from one of Unix.
pub fn days_from_unix(days: i32) -> i32 {
    if days == i32::MIN || days == i32::MAX { days } else { days - EPOCH_DAYS }
}

/// A microsecond count of PostgreSQL from one of Unix.
pub fn micros_from_unix(micros: i64) -> i64 {
    if micros == i64::MIN || micros == i64::MAX { micros } else { micros - EPOCH_MICROS }
}

fn interval_bytes(v: &Interval) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&v.micros.to_be_bytes());
    bytes[8..12].copy_from_slice(&v.days.to_be_bytes());
    bytes[12..].copy_from_slice(&v.months.to_be_bytes());
    bytes
}

fn interval_from(bytes: &[u8]) -> Result<Interval> {
    let (Some(micros), Some(days), Some(months)) =
        (bytes.first_chunk::<8>(), bytes.get(8..12), bytes.get(12..16))
    else {
        return Err(Error::corrupted("interval value is not 16 bytes long"));
    };
    let word = |b: &[u8]| i32::from_be_bytes([b[0], b[1], b[2], b[3]]);
    Ok(Interval { months: word(months), days: word(days), micros: i64::from_be_bytes(*micros) })
}

/// Reads datums of one SQL type out of an Arrow array.
pub struct ColumnReader<'a> {
    ty: SqlType,
    array: &'a ArrayRef,
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> Option<T::Native> {
    array.as_any().downcast_ref::<PrimitiveArray<T>>().map(|a| a.value(row))
}

impl<'a> ColumnReader<'a> {
    /// A reader of `array`, whose values are of SQL type `ty`.
    pub fn new(ty: SqlType, array: &'a ArrayRef) -> ColumnReader<'a> {
        ColumnReader { ty, array }
    }

    /// The value of a row.
    pub fn datum(&self, row: usize) -> Result<Datum> {
        if self.array.is_null(row) {
            return Ok(Datum::Null);
        }
        let found = match self.array.data_type() {
            DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8 => {
                return self.text_datum(row);
            }
            DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                return self.bytes_datum(row);
            }
            DataType::Decimal128(_, scale) => {
                let array = self.array.as_any().downcast_ref::<Decimal128Array>();
                array.map(|a| self.decimal_datum(a.value(row), *scale))
            }
            _ => self.plain_datum(row),
        };
        found.ok_or_else(|| {
            Error::internal(format!("Arrow {} as {}", self.array.data_type(), format_type(self.ty)))
        })
    }

    fn decimal_datum(&self, digits: i128, scale: i8) -> Datum {
        if self.ty.base == BaseType::Int8 && scale == 0 {
            return Datum::Int8(digits as i64);
        }
        Datum::Numeric(Numeric::from_i128(digits, scale.max(0) as u32))
    }

    fn plain_datum(&self, row: usize) -> Option<Datum> {
        let a = self.array;
        Some(match (self.ty.base, a.data_type()) {
            (BaseType::Bool, DataType::Boolean) => {
                Datum::Bool(a.as_any().downcast_ref::<BooleanArray>()?.value(row))
            }
            (BaseType::SingleChar, _) => Datum::Char(primitive::<Int8Type>(a, row)? as u8),
            (BaseType::Float4, _) => Datum::Float4(primitive::<Float32Type>(a, row)?),
            (BaseType::Float8, _) => Datum::Float8(primitive::<Float64Type>(a, row)?),
            (BaseType::Date, _) => Datum::Date(days_from_unix(primitive::<Date32Type>(a, row)?)),
            (BaseType::Time, _) => Datum::Time(primitive::<Time64MicrosecondType>(a, row)?),
            (BaseType::Timestamp, _) => {
                Datum::Timestamp(micros_from_unix(primitive::<TimestampMicrosecondType>(a, row)?))
            }
            (BaseType::Timestamptz, _) => {
                Datum::Timestamptz(micros_from_unix(primitive::<TimestampMicrosecondType>(a, row)?))
            }
            (base, data_type) => {
                let v: i64 = match data_type {
                    DataType::Int16 => i64::from(primitive::<Int16Type>(a, row)?),
                    DataType::Int32 => i64::from(primitive::<Int32Type>(a, row)?),
                    DataType::Int64 => primitive::<Int64Type>(a, row)?,
                    DataType::UInt32 => i64::from(primitive::<UInt32Type>(a, row)?),
                    DataType::UInt64 => i64::try_from(primitive::<UInt64Type>(a, row)?).ok()?,
                    _ => return None,
                };
                match base {
                    BaseType::Int2 => Datum::Int2(i16::try_from(v).ok()?),
                    BaseType::Int4 => Datum::Int4(i32::try_from(v).ok()?),
                    BaseType::Int8 => Datum::Int8(v),
                    BaseType::Numeric => Datum::Numeric(Numeric::from_i128(i128::from(v), 0)),
                    _ => Datum::Oid(u32::try_from(v).ok()?),
                }
            }
        })
    }

    fn text_datum(&self, row: usize) -> Result<Datum> {
        let any = self.array.as_any();
        let text = if let Some(a) = any.downcast_ref::<StringViewArray>() {
            a.value(row)
        } else if let Some(a) = any.downcast_ref::<StringArray>() {
            a.value(row)
        } else if let Some(a) = any.downcast_ref::<LargeStringArray>() {
            a.value(row)
        } else {
            return Err(Error::internal("text array of an unknown kind"));
        };
        if self.ty.base == BaseType::Jsonb {
            return io::parse_text(text, self.ty, &Default::default(), 0);
        }
        Ok(Datum::text(text))
    }

    fn bytes_datum(&self, row: usize) -> Result<Datum> {
        let any = self.array.as_any();
        let bytes = if let Some(a) = any.downcast_ref::<BinaryArray>() {
            a.value(row)
        } else if let Some(a) = any.downcast_ref::<BinaryViewArray>() {
            a.value(row)
        } else if let Some(a) = any.downcast_ref::<FixedSizeBinaryArray>() {
            a.value(row)
        } else {
            return Err(Error::internal("binary array of an unknown kind"));
        };
        match (self.ty.is_array, self.ty.base) {
            (false, BaseType::Bytea) => Ok(Datum::Bytea(Bytes::copy_from_slice(bytes))),
            (false, BaseType::Interval) => Ok(Datum::Interval(Box::new(interval_from(bytes)?))),
            _ => io::parse_binary(bytes, self.ty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(ty: SqlType, values: &[Datum]) {
        let mut builder = ColumnBuilder::new(ty, &arrow_type(ty), values.len()).unwrap();
        for value in values {
            builder.append(value).unwrap();
        }
        let array = builder.finish();
        let reader = ColumnReader::new(ty, &array);
        for (row, value) in values.iter().enumerate() {
            let back = reader.datum(row).unwrap();
            assert_eq!(format!("{back:?}"), format!("{value:?}"), "{}", format_type(ty));
        }
    }

    #[test]
    fn values_come_back() {
        round_trip(SqlType::INT4, &[Datum::Int4(i32::MIN), Datum::Null, Datum::Int4(7)]);
        round_trip(SqlType::BOOL, &[Datum::Bool(true), Datum::Null]);
        round_trip(SqlType::DATE, &[i32::MIN, -1, 0, i32::MAX].map(Datum::Date));
        round_trip(SqlType::TIMESTAMPTZ, &[i64::MIN, -1, 0, i64::MAX].map(Datum::Timestamptz));
        round_trip(SqlType::TEXT, &[Datum::text("é"), Datum::text("x".repeat(100))]);
        round_trip(SqlType::UUID, &[Datum::Uuid([9; 16]), Datum::Null]);
        let numeric = |s: &str| Datum::Numeric(Numeric::parse(s).unwrap());
        let price = SqlType::with_typmod(BaseType::Numeric, ((15 << 16) | 2) + 4);
        round_trip(price, &[numeric("-1234567890123.45"), Datum::Null, numeric("0.00")]);
        round_trip(SqlType::NUMERIC, &[numeric("NaN"), numeric("1.500"), numeric("1e40")]);
        let span = Interval { months: -1, days: 3, micros: 5 };
        round_trip(SqlType::INTERVAL, &[Datum::Interval(Box::new(span)), Datum::Null]);
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let price = SqlType::with_typmod(BaseType::Numeric, ((5 << 16) | 2) + 4);
        let mut builder = ColumnBuilder::new(price, &arrow_type(price), 1).unwrap();
        let nan = Datum::Numeric(Numeric::parse("NaN").unwrap());
        assert_eq!(builder.append(&nan).unwrap_err().code().as_str(), "22003");
        let ty = SqlType::TIMESTAMP;
        let mut builder = ColumnBuilder::new(ty, &arrow_type(ty), 1).unwrap();
        assert!(builder.append(&Datum::Timestamp(9_223_371_331_199_999_999)).is_err());
    }
}
