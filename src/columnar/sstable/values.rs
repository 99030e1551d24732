//! CQL values as Arrow columns (schemas/sstable.md).
//!
//! A [`Values`] takes values as Cassandra stores them and never panics on bytes that are none: it
//! says what is wrong with them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, FixedSizeListArray, ListArray,
    MapArray, NullBufferBuilder, PrimitiveBuilder, StringBuilder, StructArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Field, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64NanosecondType, TimeUnit, TimestampMillisecondType,
};
use arrow::error::ArrowError;

use super::bytes::{Bad, Cursor};
use super::counter;
use super::numbers;
use super::types::CqlType;

/// What is wrong with a value.
pub(super) type Wrong = &'static str;

const LENGTH: Wrong = "a value has another length than its type";
const UTF8: Wrong = "a text is not UTF-8";
const ELEMENTS: Wrong = "a collection does not hold what it says";

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

fn item(element: &CqlType) -> Arc<Field> {
    Arc::new(Field::new("item", arrow_type(element), true))
}

fn entries(key: &CqlType, value: &CqlType) -> Arc<Field> {
    let key = Field::new("key", arrow_type(key), false);
    let value = Field::new("value", arrow_type(value), true);
    Arc::new(Field::new("entries", DataType::Struct(vec![key, value].into()), false))
}

fn duration_fields() -> Fields {
    vec![
        Field::new("months", DataType::Int32, false),
        Field::new("days", DataType::Int32, false),
        Field::new("nanoseconds", DataType::Int64, false),
    ]
    .into()
}

/// The fields of a tuple (`field_1`, …) or of a user's type.
fn struct_fields(ty: &CqlType) -> Fields {
    match ty {
        CqlType::Tuple(parts) => (1..)
            .zip(parts)
            .map(|(n, part)| Field::new(format!("field_{n}"), arrow_type(part), true))
            .collect(),
        CqlType::User(user) => {
            user.fields.iter().map(|(name, ty)| Field::new(name, arrow_type(ty), true)).collect()
        }
        _ => Fields::empty(),
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

pub(super) struct DurationValues {
    nulls: NullBufferBuilder,
    months: PrimitiveBuilder<Int32Type>,
    days: PrimitiveBuilder<Int32Type>,
    nanoseconds: PrimitiveBuilder<Int64Type>,
}

/// Lists and sets.
pub(super) struct ListValues {
    field: Arc<Field>,
    nulls: NullBufferBuilder,
    offsets: Vec<i32>,
    items: Values,
    count: i32,
}

pub(super) struct MapValues {
    field: Arc<Field>,
    nulls: NullBufferBuilder,
    offsets: Vec<i32>,
    keys: Values,
    values: Values,
    count: i32,
}

/// Tuples and users' types.
pub(super) struct StructValues {
    fields: Fields,
    nulls: NullBufferBuilder,
    columns: Vec<Values>,
}

pub(super) struct VectorValues {
    field: Arc<Field>,
    nulls: NullBufferBuilder,
    items: Values,
    dimension: usize,
    element_bytes: Option<usize>,
}

impl Values {
    /// For values of `ty`.
    pub fn new(ty: &CqlType) -> Values {
        let nulls = || NullBufferBuilder::new(0);
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
            CqlType::Duration => Values::Duration(Box::new(DurationValues {
                nulls: nulls(),
                months: PrimitiveBuilder::new(),
                days: PrimitiveBuilder::new(),
                nanoseconds: PrimitiveBuilder::new(),
            })),
            CqlType::List(element) | CqlType::Set(element) => {
                let (field, items) = (item(element), Values::new(element));
                let offsets = vec![0];
                Values::List(Box::new(ListValues {
                    field,
                    nulls: nulls(),
                    offsets,
                    items,
                    count: 0,
                }))
            }
            CqlType::Map(key, value) => Values::Map(Box::new(MapValues {
                field: entries(key, value),
                nulls: nulls(),
                offsets: vec![0],
                keys: Values::new(key),
                values: Values::new(value),
                count: 0,
            })),
            CqlType::Tuple(parts) => Values::new_struct(ty, parts.iter()),
            CqlType::User(user) => Values::new_struct(ty, user.fields.iter().map(|(_, ty)| ty)),
            CqlType::Vector(element, dimension) => Values::Vector(Box::new(VectorValues {
                field: item(element),
                nulls: nulls(),
                items: Values::new(element),
                dimension: *dimension,
                element_bytes: element.fixed_length(),
            })),
        }
    }

    fn new_struct<'a>(ty: &CqlType, parts: impl Iterator<Item = &'a CqlType>) -> Values {
        let nulls = NullBufferBuilder::new(0);
        let columns = parts.map(Values::new).collect();
        Values::Struct(Box::new(StructValues { fields: struct_fields(ty), nulls, columns }))
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
            Values::Duration(d) => {
                d.nulls.append_null();
                d.months.append_value(0);
                d.days.append_value(0);
                d.nanoseconds.append_value(0);
            }
            Values::List(list) => list.end(false),
            Values::Map(map) => map.end(false),
            Values::Struct(s) => {
                s.nulls.append_null();
                s.columns.iter_mut().for_each(Values::push_null);
            }
            Values::Vector(v) => {
                v.nulls.append_null();
                (0..v.dimension).for_each(|_| v.items.push_null());
            }
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
            Values::List(list) => {
                for (path, value) in cells {
                    list.items.push(if set { path } else { value })?;
                    list.count += 1;
                }
                list.end(true);
            }
            Values::Map(map) => {
                for (path, value) in cells {
                    map.push_entry(path, value)?;
                }
                map.end(true);
            }
            Values::Struct(s) => {
                let mut next = 0;
                for (path, value) in cells {
                    let index = usize::from(u16::from_be_bytes(fixed(path)?));
                    if index < next || index >= s.columns.len() {
                        return Err("a field of a user type is unknown");
                    }
                    s.columns[next..index].iter_mut().for_each(Values::push_null);
                    s.columns[index].push(value)?;
                    next = index + 1;
                }
                s.columns[next..].iter_mut().for_each(Values::push_null);
                s.nulls.append_non_null();
            }
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
            Values::Duration(d) => {
                let columns: Vec<ArrayRef> = vec![
                    Arc::new(d.months.finish()),
                    Arc::new(d.days.finish()),
                    Arc::new(d.nanoseconds.finish()),
                ];
                Arc::new(StructArray::try_new(duration_fields(), columns, d.nulls.finish())?)
            }
            Values::List(list) => {
                let offsets = take_offsets(&mut list.offsets);
                list.count = 0;
                let items = list.items.finish()?;
                let nulls = list.nulls.finish();
                Arc::new(ListArray::try_new(Arc::clone(&list.field), offsets, items, nulls)?)
            }
            Values::Map(map) => {
                let offsets = take_offsets(&mut map.offsets);
                map.count = 0;
                let DataType::Struct(fields) = map.field.data_type().clone() else {
                    return Err(ArrowError::SchemaError("a map without entries".to_owned()));
                };
                let columns = vec![map.keys.finish()?, map.values.finish()?];
                let entries = StructArray::try_new(fields, columns, None)?;
                let field = Arc::clone(&map.field);
                Arc::new(MapArray::try_new(field, offsets, entries, map.nulls.finish(), false)?)
            }
            Values::Struct(s) => {
                let rows = s.nulls.len();
                let columns: Result<Vec<ArrayRef>, _> =
                    s.columns.iter_mut().map(Values::finish).collect();
                let (fields, nulls) = (s.fields.clone(), s.nulls.finish());
                Arc::new(StructArray::try_new_with_length(fields, columns?, nulls, rows)?)
            }
            Values::Vector(v) => {
                let field = Arc::clone(&v.field);
                let items = v.items.finish()?;
                let n = i32::try_from(v.dimension).unwrap_or(i32::MAX);
                Arc::new(FixedSizeListArray::try_new(field, n, items, v.nulls.finish())?)
            }
        })
    }
}

fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])))
}

#[inline]
fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Wrong> {
    bytes.try_into().map_err(|_| LENGTH)
}

/// An element of a frozen collection: its length in 32 bits, negative for null.
fn element<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, Bad> {
    match usize::try_from(cursor.i32()?) {
        Ok(n) => cursor.take(n).map(Some),
        Err(_) => Ok(None),
    }
}

fn push_element(values: &mut Values, cursor: &mut Cursor<'_>) -> Result<(), Wrong> {
    match element(cursor).map_err(|_| ELEMENTS)? {
        Some(bytes) => values.push(bytes),
        None => {
            values.push_null();
            Ok(())
        }
    }
}

fn ended(cursor: &Cursor<'_>) -> Result<(), Wrong> {
    if cursor.remaining() == 0 { Ok(()) } else { Err(ELEMENTS) }
}

impl DurationValues {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let mut cursor = Cursor::new(bytes);
        let mut part = || i32::try_from(cursor.signed_vint()?).map_err(|_| cursor.bad(LENGTH));
        let (months, days) = (part()?, part()?);
        let nanoseconds = cursor.signed_vint()?;
        if cursor.remaining() != 0 {
            return Err(cursor.bad(LENGTH));
        }
        self.months.append_value(months);
        self.days.append_value(days);
        self.nanoseconds.append_value(nanoseconds);
        self.nulls.append_non_null();
        Ok(())
    }
}

impl ListValues {
    fn end(&mut self, valid: bool) {
        self.offsets.push(self.count);
        self.nulls.append(valid);
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let mut cursor = Cursor::new(bytes);
        let count = cursor.i32().map_err(|_| ELEMENTS)?;
        for _ in 0..count {
            push_element(&mut self.items, &mut cursor)?;
            self.count += 1;
        }
        ended(&cursor)?;
        self.end(true);
        Ok(())
    }
}

impl MapValues {
    fn end(&mut self, valid: bool) {
        self.offsets.push(self.count);
        self.nulls.append(valid);
    }

    fn push_entry(&mut self, key: &[u8], value: &[u8]) -> Result<(), Wrong> {
        self.push_key(key)?;
        self.values.push(value)
    }

    fn push_key(&mut self, key: &[u8]) -> Result<(), Wrong> {
        let text = matches!(self.keys, Values::Text(_) | Values::Blob(_));
        if key.is_empty() && !text {
            return Err("a map has an empty key of a type that has none");
        }
        self.count += 1;
        self.keys.push(key)
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let mut cursor = Cursor::new(bytes);
        let count = cursor.i32().map_err(|_| ELEMENTS)?;
        for _ in 0..count {
            let key = element(&mut cursor).ok().flatten().ok_or(ELEMENTS)?;
            self.push_key(key)?;
            push_element(&mut self.values, &mut cursor)?;
        }
        ended(&cursor)?;
        self.end(true);
        Ok(())
    }
}

impl StructValues {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let mut cursor = Cursor::new(bytes);
        for column in &mut self.columns {
            // Fields that were added later are not there.
            if cursor.remaining() == 0 {
                column.push_null();
            } else {
                push_element(column, &mut cursor)?;
            }
        }
        ended(&cursor)?;
        self.nulls.append_non_null();
        Ok(())
    }
}

impl VectorValues {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let mut cursor = Cursor::new(bytes);
        for _ in 0..self.dimension {
            let element = match self.element_bytes {
                Some(n) => cursor.take(n),
                None => cursor.prefixed(),
            };
            self.items.push(element.map_err(|_| ELEMENTS)?)?;
        }
        ended(&cursor)?;
        self.nulls.append_non_null();
        Ok(())
    }
}
