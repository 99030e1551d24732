//! What Parquet knows of a column and Arrow does not: that it is a uuid, or JSON.

use std::sync::Arc;

use arrow::datatypes::Schema;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{LogicalType, Type as Physical};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use crate::error::{Error, Result};
use crate::types::BaseType;

/// The Parquet schema of an Arrow schema whose columns have these SQL types. `json`: whether JSON
/// is called so, or is a string like any other.
pub fn annotated(
    schema: &Schema,
    bases: impl Iterator<Item = BaseType>,
    json: bool,
) -> Result<SchemaDescriptor> {
    let build = || -> ParquetResult<SchemaDescriptor> {
        let plain = ArrowSchemaConverter::new().convert(schema)?;
        let fields = plain.root_schema().get_fields().iter().zip(bases);
        let fields = fields.map(|(field, base)| node(field, base, json));
        let fields = fields.collect::<ParquetResult<Vec<_>>>()?;
        let root = Type::group_type_builder(plain.root_schema().name()).with_fields(fields);
        Ok(SchemaDescriptor::new(Arc::new(root.build()?)))
    };
    build().map_err(|e: ParquetError| {
        Error::internal(format!("no Parquet schema of these columns: {e}"))
    })
}

fn node(node: &TypePtr, base: BaseType, json: bool) -> ParquetResult<TypePtr> {
    let info = node.get_basic_info();
    let id = info.has_id().then(|| info.id());
    if node.is_group() {
        let children = node.get_fields().iter().map(|child| self::node(child, base, json));
        let group = Type::group_type_builder(info.name())
            .with_repetition(info.repetition())
            .with_converted_type(info.converted_type())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_id(id)
            .with_fields(children.collect::<ParquetResult<_>>()?);
        return group.build().map(Arc::new);
    }
    let leaf = |physical, length, logical| {
        Type::primitive_type_builder(info.name(), physical)
            .with_repetition(info.repetition())
            .with_length(length)
            .with_logical_type(Some(logical))
            .with_id(id)
            .build()
            .map(Arc::new)
    };
    match base {
        BaseType::Uuid => leaf(Physical::FIXED_LEN_BYTE_ARRAY, 16, LogicalType::Uuid),
        BaseType::Json | BaseType::Jsonb if json => {
            leaf(Physical::BYTE_ARRAY, -1, LogicalType::Json)
        }
        _ => Ok(node.clone()),
    }
}
