//! CQL values as Arrow columns (schemas/sstable.md).
//!
//! A `Values` takes values as Cassandra stores them and never panics on bytes that are none: it
//! says what is wrong with them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, PrimitiveBuilder,
    StringBuilder,
};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time64NanosecondType, TimeUnit, TimestampMillisecondType,
};
use arrow::error::ArrowError;

use super::collections::{
    DurationValues, ListValues, MapValues, StructValues, VectorValues, duration_fields, entries,
    item, struct_fields,
};
use super::counter;
use super::numbers;
use super::types::CqlType;

/// What is wrong with a value.
pub(super) type Wrong = &'static str;

pub(super) const LENGTH: Wrong = "a value has another length than its type";
const UTF8: Wrong = "a text is not UTF-8";

/// The Arrow type of a CQL type.
pub fn arrow_type(ty: &CqlType) -> DataType {
    match ty {
        CqlType::Ascii | CqlType::Text | CqlType::Inet | CqlType::Varint | CqlType::Decimal => {
            DataType::Utf8
        }
        CqlType::Blob => DataType::Binary,
        CqlType::Boolean | CqlType::Empty => DataType::Boolean,
        CqlType::TinyInt => DataType::Int8,
        CqlType::SmallInt => DataType::Int16,
        CqlType::Int => DataType::Int32,
        CqlType::BigInt | CqlType::Counter => DataType::Int64,
        CqlType::Float => DataType::Float32,
        CqlType::Double => DataType::Float64,
        CqlType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        CqlType::Date => DataType::Date32,
        CqlType::Time => DataType::Time64(TimeUnit::Nanosecond),
        CqlType::Uuid | CqlType::TimeUuid => DataType::FixedSizeBinary(16),
        CqlType::Duration => DataType::Struct(duration_fields()),
        CqlType::List(element) | CqlType::Set(element) => DataType::List(item(element)),
        CqlType::Map(key, value) => DataType::Map(entries(key, value), false),
        CqlType::Tuple(_) | CqlType::User(_) => DataType::Struct(struct_fields(ty)),
        CqlType::Vector(element, n) => DataType::FixedSizeList(item(element), *n as i32),
    }
}

/// Gathers values of one type.
pub(super) enum Values {
    Boolean(BooleanBuilder),
    Int8(PrimitiveBuilder<Int8Type>),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Counter(PrimitiveBuilder<Int64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Timestamp(PrimitiveBuilder<TimestampMillisecondType>),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64NanosecondType>),
    Uuid(FixedSizeBinaryBuilder),
    Text(StringBuilder),
    Blob(BinaryBuilder),
    /// Numbers and addresses whose text is made from their bytes.
    Written(StringBuilder, fn(&[u8], &mut String) -> Result<(), Wrong>, String),
    Duration(Box<DurationValues>),
    List(Box<ListValues>),
    Map(Box<MapValues>),
    Struct(Box<StructValues>),
    Vector(Box<VectorValues>),
}

impl Values {
    /// For values of `ty`.
    pub fn new(ty: &CqlType) -> Values {
        let written = |write| Values::Written(StringBuilder::new(), write, String::new());
        match ty {
            CqlType::Ascii | CqlType::Text => Values::Text(StringBuilder::new()),
            CqlType::Blob => Values::Blob(BinaryBuilder::new()),
            CqlType::Boolean | CqlType::Empty => Values::Boolean(BooleanBuilder::new()),
            CqlType::TinyInt => Values::Int8(PrimitiveBuilder::new()),
            CqlType::SmallInt => Values::Int16(PrimitiveBuilder::new()),
            CqlType::Int => Values::Int32(PrimitiveBuilder::new()),
            CqlType::BigInt => Values::Int64(PrimitiveBuilder::new()),
            CqlType::Counter => Values::Counter(PrimitiveBuilder::new()),
            CqlType::Float => Values::Float32(PrimitiveBuilder::new()),
            CqlType::Double => Values::Float64(PrimitiveBuilder::new()),
            CqlType::Timestamp => {
                Values::Timestamp(PrimitiveBuilder::new().with_data_type(arrow_type(ty)))
            }
            CqlType::Date => Values::Date(PrimitiveBuilder::new()),
            CqlType::Time => Values::Time(PrimitiveBuilder::new()),
            CqlType::Uuid | CqlType::TimeUuid => Values::Uuid(FixedSizeBinaryBuilder::new(16)),
            CqlType::Inet => written(numbers::write_inet),
            CqlType::Varint => written(numbers::write_varint),
            CqlType::Decimal => written(numbers::write_decimal),
            CqlType::Duration => Values::Duration(Box::new(DurationValues::new())),
            CqlType::List(element) | CqlType::Set(element) => {
                Values::List(Box::new(ListValues::new(element)))
            }
            CqlType::Map(key, value) => Values::Map(Box::new(MapValues::new(key, value))),
            CqlType::Tuple(parts) => Values::Struct(Box::new(StructValues::new(ty, parts.iter()))),
            CqlType::User(user) => {
                let fields = user.fields.iter().map(|(_, ty)| ty);
                Values::Struct(Box::new(StructValues::new(ty, fields)))
            }
            CqlType::Vector(element, n) => Values::Vector(Box::new(VectorValues::new(element, *n))),
        }
    }

    /// Appends null.
    pub fn push_null(&mut self) {
        match self {
            Values::Boolean(b) => b.append_null(),
            Values::Int8(b) => b.append_null(),
            Values::Int16(b) => b.append_null(),
            Values::Int32(b) => b.append_null(),
            Values::Int64(b) | Values::Counter(b) => b.append_null(),
            Values::Float32(b) => b.append_null(),
            Values::Float64(b) => b.append_null(),
            Values::Timestamp(b) => b.append_null(),
            Values::Date(b) => b.append_null(),
            Values::Time(b) => b.append_null(),
            Values::Uuid(b) => b.append_null(),
            Values::Text(b) | Values::Written(b, ..) => b.append_null(),
            Values::Blob(b) => b.append_null(),
            Values::Duration(d) => d.push_null(),
            Values::List(list) => list.end(false),
            Values::Map(map) => map.end(false),
            Values::Struct(s) => s.push_null(),
            Values::Vector(v) => v.push_null(),
        }
    }

    /// Appends a value. Of all types but texts and blobs, no bytes at all are null.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        match self {
            Values::Text(b) => {
                b.append_value(std::str::from_utf8(bytes).map_err(|_| UTF8)?);
                return Ok(());
            }
            Values::Blob(b) => {
                b.append_value(bytes);
                return Ok(());
            }
            _ => {}
        }
        if bytes.is_empty() {
            self.push_null();
            return Ok(());
        }
        match self {
            Values::Boolean(b) => b.append_value(fixed::<1>(bytes)?[0] != 0),
            Values::Int8(b) => b.append_value(i8::from_be_bytes(fixed(bytes)?)),
            Values::Int16(b) => b.append_value(i16::from_be_bytes(fixed(bytes)?)),
            Values::Int32(b) => b.append_value(i32::from_be_bytes(fixed(bytes)?)),
            Values::Int64(b) => b.append_value(i64::from_be_bytes(fixed(bytes)?)),
            Values::Counter(b) => b.append_value(counter::total(bytes)?),
            Values::Float32(b) => b.append_value(f32::from_be_bytes(fixed(bytes)?)),
            Values::Float64(b) => b.append_value(f64::from_be_bytes(fixed(bytes)?)),
            Values::Timestamp(b) => b.append_value(i64::from_be_bytes(fixed(bytes)?)),
            // Days since the smallest i32.
            Values::Date(b) => {
                b.append_value((u32::from_be_bytes(fixed(bytes)?) ^ (1 << 31)) as i32);
            }
            Values::Time(b) => b.append_value(i64::from_be_bytes(fixed(bytes)?)),
            Values::Uuid(b) => b.append_value(fixed::<16>(bytes)?).map_err(|_| LENGTH)?,
            Values::Written(b, write, text) => {
                text.clear();
                write(bytes, text)?;
                b.append_value(text);
            }
            Values::Duration(d) => d.push(bytes).map_err(|bad| bad.what)?,
            Values::List(list) => list.push(bytes)?,
            Values::Map(map) => map.push(bytes)?,
            Values::Struct(s) => s.push(bytes)?,
            Values::Vector(v) => v.push(bytes)?,
            Values::Text(_) | Values::Blob(_) => {}
        }
        Ok(())
    }

    /// Appends a value that has a cell for each element, from their paths and values.
    pub fn push_cells<'a>(
        &mut self,
        set: bool,
        cells: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<(), Wrong> {
        match self {
            Values::List(list) => list.push_cells(set, cells)?,
            Values::Map(map) => map.push_cells(cells)?,
            Values::Struct(s) => s.push_cells(cells)?,
            _ => return Err("a column of a simple type has elements"),
        }
        Ok(())
    }

    /// The array; the builder is empty again.
    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Values::Boolean(b) => Arc::new(b.finish()),
            Values::Int8(b) => Arc::new(b.finish()),
            Values::Int16(b) => Arc::new(b.finish()),
            Values::Int32(b) => Arc::new(b.finish()),
            Values::Int64(b) | Values::Counter(b) => Arc::new(b.finish()),
            Values::Float32(b) => Arc::new(b.finish()),
            Values::Float64(b) => Arc::new(b.finish()),
            Values::Timestamp(b) => Arc::new(b.finish()),
            Values::Date(b) => Arc::new(b.finish()),
            Values::Time(b) => Arc::new(b.finish()),
            Values::Uuid(b) => Arc::new(b.finish()),
            Values::Text(b) | Values::Written(b, ..) => Arc::new(b.finish()),
            Values::Blob(b) => Arc::new(b.finish()),
            Values::Duration(d) => d.finish()?,
            Values::List(list) => list.finish()?,
            Values::Map(map) => map.finish()?,
            Values::Struct(s) => s.finish()?,
            Values::Vector(v) => v.finish()?,
        })
    }
}

/// The bytes of a type that has so many.
#[inline]
pub(super) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Wrong> {
    bytes.try_into().map_err(|_| LENGTH)
}
