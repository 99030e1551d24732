//! Rows of datums into record batches, column by column through [`values`](super::values), and
//! back.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::values::{ColumnBuilder, ColumnReader, arrow_type};
use crate::error::{Error, Result};
use crate::types::descriptor::{ColumnDescriptor, ColumnId};
use crate::types::{BaseType, Datum, Row, SqlType};

/// A column of a view, or of rows on their way to Arrow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnShape {
    /// The column of the table.
    pub id: ColumnId,
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
}

impl ColumnShape {
    /// The shape of a table's column.
    pub fn of(column: &ColumnDescriptor) -> ColumnShape {
        ColumnShape { id: column.id, name: column.name.clone(), ty: column.ty }
    }

    /// Whether the order of the Arrow values is PostgreSQL's order, so that the statistics of a
    /// file may decide comparisons. NaNs are not in the statistics: floats need a look at them.
    pub fn is_ordered(&self) -> bool {
        use BaseType::*;
        if self.ty.is_array {
            return false;
        }
        match self.ty.base {
            Interval | Json | Jsonb | Bpchar | SingleChar => false,
            Numeric => arrow_type(self.ty) != arrow::datatypes::DataType::Binary,
            _ => true,
        }
    }
}

/// The Arrow schema of columns. Fields carry the column id as Parquet's field id.
pub fn schema(columns: &[ColumnShape]) -> SchemaRef {
    let fields = columns.iter().map(|c| {
        let id = ("PARQUET:field_id".to_owned(), c.id.0.to_string());
        Field::new(&c.name, arrow_type(c.ty), true).with_metadata([id].into_iter().collect())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Builds batches from rows.
pub struct ArrowRowWriter {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
}

impl ArrowRowWriter {
    /// A writer of rows with these types into batches of `schema`, with room for `capacity` rows.
    pub fn new(types: &[SqlType], schema: SchemaRef, capacity: usize) -> Result<ArrowRowWriter> {
        let fields = schema.fields().iter();
        let columns = types
            .iter()
            .zip(fields)
            .map(|(ty, f)| ColumnBuilder::new(*ty, f.data_type(), capacity));
        let columns = columns.collect::<Result<_>>()?;
        Ok(ArrowRowWriter { schema, columns, rows: 0, bytes: 0 })
    }

    /// A writer of rows with these columns.
    pub fn of(columns: &[ColumnShape], capacity: usize) -> Result<ArrowRowWriter> {
        let types: Vec<SqlType> = columns.iter().map(|c| c.ty).collect();
        ArrowRowWriter::new(&types, schema(columns), capacity)
    }

    /// Takes a row, which has a datum for each column. After an error the batch is lost.
    pub fn append(&mut self, row: &[Datum]) -> Result<()> {
        debug_assert_eq!(row.len(), self.columns.len());
        for (column, datum) in self.columns.iter_mut().zip(row) {
            column.append(datum)?;
            self.bytes += match datum {
                Datum::Text(v) => 16 + v.len(),
                Datum::Bytea(v) => 8 + v.len(),
                _ => 8,
            };
        }
        self.rows += 1;
        Ok(())
    }

    /// Rows since the last batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the values since the last batch, nearly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows taken since the last batch, as a batch.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let arrays = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map_err(|e| Error::internal(format!("rows do not fit their columns: {e}")))
    }
}

/// The rows of a batch whose columns have these types.
pub fn read(batch: &RecordBatch, types: &[SqlType]) -> Result<Vec<Row>> {
    let columns = batch.columns().iter().zip(types);
    let readers: Vec<_> = columns.map(|(array, ty)| ColumnReader::new(*ty, array)).collect();
    (0..batch.num_rows()).map(|at| readers.iter().map(|r| r.datum(at)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columnar::fixture::{Random, every_type, print, value};

    #[test]
    fn every_type_comes_back_and_parquet_can_have_it() {
        let random = Random::new(1);
        for ty in every_type() {
            let shape = ColumnShape { id: ColumnId(1), name: "c".into(), ty };
            let mut writer = ArrowRowWriter::of(std::slice::from_ref(&shape), 4).unwrap();
            let mut rows: Vec<Row> = (0..500).map(|_| vec![value(ty, &random)]).collect();
            rows.push(vec![Datum::Null]);
            rows.iter().for_each(|row| writer.append(row).unwrap());
            assert_eq!(writer.rows(), 501);
            let back = read(&writer.finish().unwrap(), &[ty]).unwrap();
            for (back, row) in back.iter().zip(&rows) {
                assert_eq!(print(back), print(row), "{ty:?}");
            }
            parquet::arrow::ArrowSchemaConverter::new().convert(&schema(&[shape])).unwrap();
        }
    }
}
