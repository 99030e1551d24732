//! Columns of values that hold other values: lists, sets, maps, tuples, user types, vectors, and
//! durations, which have three parts.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListArray, ListArray, MapArray, NullBufferBuilder, PrimitiveBuilder,
    StructArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Int64Type};
use arrow::error::ArrowError;

use super::bytes::{Bad, Cursor};
use super::types::CqlType;
use super::values::{LENGTH, Values, Wrong, arrow_type, fixed};

const ELEMENTS: Wrong = "a collection does not hold what it says";

/// A cell of a column that has one for each element: path and value.
type Element<'a> = (&'a [u8], &'a [u8]);

pub(super) fn item(element: &CqlType) -> Arc<Field> {
    Arc::new(Field::new("item", arrow_type(element), true))
}

pub(super) fn entries(key: &CqlType, value: &CqlType) -> Arc<Field> {
    let key = Field::new("key", arrow_type(key), false);
    let value = Field::new("value", arrow_type(value), true);
    Arc::new(Field::new("entries", DataType::Struct(vec![key, value].into()), false))
}

pub(super) fn duration_fields() -> Fields {
    vec![
        Field::new("months", DataType::Int32, false),
        Field::new("days", DataType::Int32, false),
        Field::new("nanoseconds", DataType::Int64, false),
    ]
    .into()
}

/// The fields of a tuple (`field_1`, …) or of a user's type.
pub(super) fn struct_fields(ty: &CqlType) -> Fields {
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

/// Durations, in three parts.
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

/// Maps.
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

/// Vectors.
pub(super) struct VectorValues {
    field: Arc<Field>,
    nulls: NullBufferBuilder,
    items: Values,
    dimension: usize,
    element_bytes: Option<usize>,
}

fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])))
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
    pub fn new() -> DurationValues {
        DurationValues {
            nulls: NullBufferBuilder::new(0),
            months: PrimitiveBuilder::new(),
            days: PrimitiveBuilder::new(),
            nanoseconds: PrimitiveBuilder::new(),
        }
    }

    pub fn push_null(&mut self) {
        self.nulls.append_null();
        self.months.append_value(0);
        self.days.append_value(0);
        self.nanoseconds.append_value(0);
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Bad> {
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

    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.months.finish()),
            Arc::new(self.days.finish()),
            Arc::new(self.nanoseconds.finish()),
        ];
        let nulls = self.nulls.finish();
        Ok(Arc::new(StructArray::try_new(duration_fields(), columns, nulls)?))
    }
}

impl ListValues {
    pub fn new(element: &CqlType) -> ListValues {
        ListValues {
            field: item(element),
            nulls: NullBufferBuilder::new(0),
            offsets: vec![0],
            items: Values::new(element),
            count: 0,
        }
    }

    /// Ends a list, or null.
    pub fn end(&mut self, valid: bool) {
        self.offsets.push(self.count);
        self.nulls.append(valid);
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
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

    /// The elements of a set are the paths of its cells.
    pub fn push_cells<'a>(
        &mut self,
        set: bool,
        cells: impl Iterator<Item = Element<'a>>,
    ) -> Result<(), Wrong> {
        for (path, value) in cells {
            self.items.push(if set { path } else { value })?;
            self.count += 1;
        }
        self.end(true);
        Ok(())
    }

    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let offsets = take_offsets(&mut self.offsets);
        self.count = 0;
        let (items, nulls) = (self.items.finish()?, self.nulls.finish());
        Ok(Arc::new(ListArray::try_new(Arc::clone(&self.field), offsets, items, nulls)?))
    }
}

impl MapValues {
    pub fn new(key: &CqlType, value: &CqlType) -> MapValues {
        MapValues {
            field: entries(key, value),
            nulls: NullBufferBuilder::new(0),
            offsets: vec![0],
            keys: Values::new(key),
            values: Values::new(value),
            count: 0,
        }
    }

    /// Ends a map, or null.
    pub fn end(&mut self, valid: bool) {
        self.offsets.push(self.count);
        self.nulls.append(valid);
    }

    fn push_key(&mut self, key: &[u8]) -> Result<(), Wrong> {
        let text = matches!(self.keys, Values::Text(_) | Values::Blob(_));
        if key.is_empty() && !text {
            return Err("a map has an empty key of a type that has none");
        }
        self.count += 1;
        self.keys.push(key)
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
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

    pub fn push_cells<'a>(
        &mut self,
        cells: impl Iterator<Item = Element<'a>>,
    ) -> Result<(), Wrong> {
        for (path, value) in cells {
            self.push_key(path)?;
            self.values.push(value)?;
        }
        self.end(true);
        Ok(())
    }

    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let offsets = take_offsets(&mut self.offsets);
        self.count = 0;
        let DataType::Struct(fields) = self.field.data_type().clone() else {
            return Err(ArrowError::SchemaError("a map without entries".to_owned()));
        };
        let columns = vec![self.keys.finish()?, self.values.finish()?];
        let entries = StructArray::try_new(fields, columns, None)?;
        let (field, nulls) = (Arc::clone(&self.field), self.nulls.finish());
        Ok(Arc::new(MapArray::try_new(field, offsets, entries, nulls, false)?))
    }
}

impl StructValues {
    pub fn new<'a>(ty: &CqlType, parts: impl Iterator<Item = &'a CqlType>) -> StructValues {
        StructValues {
            fields: struct_fields(ty),
            nulls: NullBufferBuilder::new(0),
            columns: parts.map(Values::new).collect(),
        }
    }

    pub fn push_null(&mut self) {
        self.nulls.append_null();
        self.columns.iter_mut().for_each(Values::push_null);
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
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

    /// The path of a cell is the index of its field.
    pub fn push_cells<'a>(
        &mut self,
        cells: impl Iterator<Item = Element<'a>>,
    ) -> Result<(), Wrong> {
        let mut next = 0;
        for (path, value) in cells {
            let index = usize::from(u16::from_be_bytes(fixed(path)?));
            if index < next || index >= self.columns.len() {
                return Err("a field of a user type is unknown");
            }
            self.columns[next..index].iter_mut().for_each(Values::push_null);
            self.columns[index].push(value)?;
            next = index + 1;
        }
        self.columns[next..].iter_mut().for_each(Values::push_null);
        self.nulls.append_non_null();
        Ok(())
    }

    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let rows = self.nulls.len();
        let columns: Result<Vec<ArrayRef>, _> =
            self.columns.iter_mut().map(Values::finish).collect();
        let (fields, nulls) = (self.fields.clone(), self.nulls.finish());
        Ok(Arc::new(StructArray::try_new_with_length(fields, columns?, nulls, rows)?))
    }
}

impl VectorValues {
    pub fn new(element: &CqlType, dimension: usize) -> VectorValues {
        VectorValues {
            field: item(element),
            nulls: NullBufferBuilder::new(0),
            items: Values::new(element),
            dimension,
            element_bytes: element.fixed_length(),
        }
    }

    pub fn push_null(&mut self) {
        self.nulls.append_null();
        (0..self.dimension).for_each(|_| self.items.push_null());
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
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

    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let (field, items) = (Arc::clone(&self.field), self.items.finish()?);
        let n = i32::try_from(self.dimension).unwrap_or(i32::MAX);
        Ok(Arc::new(FixedSizeListArray::try_new(field, n, items, self.nulls.finish())?))
    }
}
