//! Which Parquet type a SQL type has in files for others, and the other way round.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray, BinaryBuilder, Int64Array, TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Field, Schema, SchemaRef, TimeUnit, TimestampNanosecondType, UInt64Type,
};
use bytes::BytesMut;
use parquet::basic::LogicalType;
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::columnar::annotate::annotated;
use crate::columnar::values::{ColumnReader, arrow_type};
use crate::error::{Error, Result, SqlState};
use crate::types::pg_type::numeric_modifier;
use crate::types::{Array, BaseType, Datum, SqlType, io};

/// Nanoseconds of a microsecond.
const NANOS: i64 = 1000;
/// Digits of the largest unsigned 64-bit integer.
const UINT64_DIGITS: i32 = 20;

/// What a value is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As the views' files have it.
    Plain,
    /// In the type's text form.
    Text,
}

/// What values of a scalar type are written as.
pub(super) fn form(ty: SqlType) -> Form {
    use BaseType::*;
    match ty.base {
        Interval | Record | SingleChar => Form::Text,
        Numeric if arrow_type(ty.element()) == DataType::Binary => Form::Text,
        Oid | Xid => Form::Plain,
        _ if arrow_type(SqlType::of(ty.base)) == DataType::UInt32 => Form::Text,
        _ => Form::Plain,
    }
}

/// The Arrow type that values of a SQL type are written as.
pub(super) fn written_type(ty: SqlType) -> DataType {
    if ty.is_array {
        let element = Field::new("element", written_type(ty.element()), true);
        return DataType::List(Arc::new(element));
    }
    match form(ty) {
        Form::Text => DataType::Utf8View,
        Form::Plain => arrow_type(ty),
    }
}

/// The Arrow and the Parquet schema of a file with these columns.
pub(super) fn written_schema(
    columns: &[(String, SqlType)],
) -> Result<(SchemaRef, SchemaDescriptor)> {
    let fields = columns.iter().map(|(name, ty)| Field::new(name, written_type(*ty), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let parquet = annotated(&schema, columns.iter().map(|(_, ty)| ty.base), true)?;
    Ok((schema, parquet))
}

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileColumn {
    /// Its name.
    pub name: String,
    /// The SQL type that its values have.
    pub ty: SqlType,
    /// What the file's reader gives.
    pub(crate) given: DataType,
}

impl FileColumn {
    /// The column that a field of a file is.
    ///
    /// # Errors
    /// 0A000 for a type that has no SQL type.
    pub(super) fn of(field: &Field, node: &Type, path: &str) -> Result<FileColumn> {
        let ty = sql_type(field.data_type(), node).ok_or_else(|| {
            let (name, ty) = (field.name(), field.data_type());
            Error::unsupported_message(format!(
                "column \"{name}\" of file \"{path}\" has type {ty}, for which there is no SQL type"
            ))
        })?;
        Ok(FileColumn { name: field.name().clone(), ty, given: field.data_type().clone() })
    }

    /// The type that [`FileColumn::taken`] has to be given; none where a cast of the reader's
    /// own does the same.
    pub(crate) fn reads(&self) -> Option<&DataType> {
        let own = matches!(
            self.given,
            DataType::List(_)
                | DataType::LargeList(_)
                | DataType::Timestamp(TimeUnit::Nanosecond, _)
                | DataType::Time64(TimeUnit::Nanosecond)
                | DataType::Float16
                | DataType::Float32
                | DataType::Float64
        );
        own.then_some(&self.given)
    }

    /// Values as the file has them in the views' form ([`arrow_type`]).
    ///
    /// # Errors
    /// 22008 for a time that is not whole microseconds, 22003 for a number that does not fit.
    pub(crate) fn taken(&self, array: &ArrayRef) -> Result<ArrayRef> {
        match array.data_type() {
            DataType::List(field) => {
                let list = array.as_list::<i32>();
                let ends = list.value_offsets().iter().map(|at| *at as usize).collect::<Vec<_>>();
                self.lists(field, list.values(), &ends, array)
            }
            DataType::LargeList(field) => {
                let list = array.as_list::<i64>();
                let ends = list.value_offsets().iter().map(|at| *at as usize).collect::<Vec<_>>();
                self.lists(field, list.values(), &ends, array)
            }
            _ => scalars(array, self.ty, &self.name),
        }
    }

    fn lists(
        &self,
        field: &Field,
        values: &ArrayRef,
        ends: &[usize],
        array: &ArrayRef,
    ) -> Result<ArrayRef> {
        debug_assert!(!field.data_type().is_nested());
        let element = self.ty.element();
        let values = scalars(values, element, &self.name)?;
        let reader = ColumnReader::new(element, &values);
        let mut built = BinaryBuilder::with_capacity(array.len(), 0);
        let mut bytes = BytesMut::new();
        for row in 0..array.len() {
            if array.is_null(row) {
                built.append_null();
                continue;
            }
            let values = (ends[row]..ends[row + 1]).map(|at| reader.datum(at));
            let values = values.collect::<Result<Vec<_>>>()?;
            let list = Datum::Array(Arc::new(Array::new(element.base, values)));
            bytes.clear();
            io::write_binary(&list, self.ty, &mut bytes);
            built.append_value(&bytes);
        }
        Ok(Arc::new(built.finish()))
    }
}

/// Values of a scalar type in the views' form.
fn scalars(array: &ArrayRef, ty: SqlType, name: &str) -> Result<ArrayRef> {
    let wanted = arrow_type(ty);
    if *array.data_type() == wanted {
        return Ok(array.clone());
    }
    let inexact = || {
        let message = format!("a value of column \"{name}\" is not a whole number of microseconds");
        Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
    };
    if let DataType::Timestamp(TimeUnit::Nanosecond, _) = array.data_type() {
        let nanos = array.as_primitive::<TimestampNanosecondType>();
        if nanos.iter().flatten().any(|v| v % NANOS != 0) {
            return Err(inexact());
        }
        let micros: TimestampMicrosecondArray =
            nanos.iter().map(|v| v.map(|v| v / NANOS)).collect();
        return Ok(Arc::new(micros.with_data_type(wanted)));
    }
    if let DataType::Time64(TimeUnit::Nanosecond) = array.data_type() {
        let nanos = cast(array, &DataType::Int64, name)?;
        let nanos = nanos.as_any().downcast_ref::<Int64Array>();
        let nanos = nanos.ok_or_else(|| Error::internal("times that are no integers"))?;
        if nanos.iter().flatten().any(|v| v % NANOS != 0) {
            return Err(inexact());
        }
        let micros: Int64Array = nanos.iter().map(|v| v.map(|v| v / NANOS)).collect();
        let micros: ArrayRef = Arc::new(micros);
        return cast(&micros, &wanted, name);
    }
    if let DataType::UInt64 = array.data_type() {
        let digits = array.as_primitive::<UInt64Type>();
        let digits: arrow::array::Decimal128Array =
            digits.iter().map(|v| v.map(i128::from)).collect();
        let digits = digits.with_precision_and_scale(UINT64_DIGITS as u8, 0);
        return digits
            .map(|digits| Arc::new(digits) as ArrayRef)
            .map_err(|e| Error::internal(e.to_string()));
    }
    cast(array, &wanted, name)
}

fn cast(array: &ArrayRef, to: &DataType, name: &str) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options).map_err(|e| {
        let message = format!("a value of column \"{name}\" is out of range");
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message).with_detail(e.to_string())
    })
}

/// The SQL type of a field; none if there is none.
fn sql_type(given: &DataType, node: &Type) -> Option<SqlType> {
    use DataType as A;
    if let A::List(field) | A::LargeList(field) = given {
        let leaf = leaf(node)?;
        let element = sql_type(field.data_type(), leaf)?;
        return (!element.is_array).then_some(SqlType { is_array: true, ..element });
    }
    let logical = node.get_basic_info().logical_type_ref();
    Some(match given {
        A::Boolean => SqlType::BOOL,
        A::Int8 | A::UInt8 | A::Int16 => SqlType::INT2,
        A::UInt16 | A::Int32 => SqlType::INT4,
        A::UInt32 | A::Int64 => SqlType::INT8,
        A::UInt64 => numeric(UINT64_DIGITS, 0),
        A::Float16 | A::Float32 => SqlType::FLOAT4,
        A::Float64 => SqlType::FLOAT8,
        A::Decimal32(p, s) | A::Decimal64(p, s) | A::Decimal128(p, s) => {
            let (p, s) = (i32::from(*p), i32::from(*s));
            return (0..=p).contains(&s).then(|| numeric(p, s));
        }
        A::Date32 => SqlType::DATE,
        A::Time32(_) | A::Time64(_) => SqlType::TIME,
        A::Timestamp(_, None) => SqlType::TIMESTAMP,
        A::Timestamp(_, Some(_)) => SqlType::TIMESTAMPTZ,
        A::Utf8 | A::LargeUtf8 | A::Utf8View => match logical {
            Some(LogicalType::Json) => SqlType::JSON,
            _ => SqlType::TEXT,
        },
        A::FixedSizeBinary(16) if logical == Some(&LogicalType::Uuid) => SqlType::UUID,
        A::Binary | A::LargeBinary | A::BinaryView | A::FixedSizeBinary(_) => SqlType::BYTEA,
        _ => return None,
    })
}

/// The leaf of a list.
fn leaf(node: &Type) -> Option<&Type> {
    match node.is_group() {
        false => Some(node),
        true => match node.get_fields() {
            [only] => leaf(only),
            _ => None,
        },
    }
}

fn numeric(precision: i32, scale: i32) -> SqlType {
    let ty = SqlType::with_typmod(BaseType::Numeric, ((precision << 16) | scale) + 4);
    debug_assert_eq!(numeric_modifier(ty.typmod), Some((precision, scale)));
    ty
}
