//! A set of Parquet files as a table of a DataFusion plan, read by DataFusion's own source.
//!
//! The source reads the columns wanted, leaves out row groups and pages by their statistics, and
//! casts to the SQL type's form. What a cast cannot do exactly (`FileColumn::taken`) is done
//! above it, and so is the bare renaming of float columns: their statistics leave NaNs out, which
//! PostgreSQL has above all other values, so they must decide nothing.

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DataFusionError, Result as DfResult, Statistics};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{ColumnarValue, Expr, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use object_store::ObjectMeta;

use super::FileColumn;
use super::files::Files;
use crate::columnar::values::arrow_type;
use crate::error::{Error, Result, SqlState};
use crate::types::descriptor::{ColumnId, TableDescriptor};

/// Files as a table, with some of their columns.
#[derive(Debug)]
pub struct FilesTable {
    files: Files,
    /// The table's columns, by place in the files'.
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl FilesTable {
    /// The table that a relation of files stands for, with these of its columns. Reads the files'
    /// schemas.
    pub fn open(relation: &TableDescriptor, columns: &[ColumnId]) -> Result<FilesTable> {
        let Some(set) = &relation.files else {
            return Err(Error::internal("a relation of files without files"));
        };
        let files = Files::find(&set.patterns)?;
        let known = relation.columns.iter().map(|c| (&c.name, c.ty));
        if !files.columns.iter().map(|c| (&c.name, c.ty)).eq(known) {
            let message = "cached plan must not change result type";
            return Err(Error::unsupported_message(message).with_detail(
                "The files have other columns than when the statement was prepared.",
            ));
        }
        let columns = columns.iter().map(|id| {
            let at = relation.columns.iter().position(|column| column.id == *id);
            at.ok_or_else(|| Error::internal("a column that no file has"))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let fields = columns.iter().enumerate().map(|(at, place)| {
            Field::new(format!("c{at}"), arrow_type(files.columns[*place].ty), true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(FilesTable { files, columns, schema })
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.files.files.len()
    }

    /// What the source gives: the files' columns, cast where a cast is exact.
    fn source_schema(&self) -> SchemaRef {
        let fields = self.files.columns.iter().map(|column| {
            let ty = if column.reads().is_some() { &column.given } else { &arrow_type(column.ty) };
            Field::new(&column.name, ty.clone(), true)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The files in groups, one for each partition of a plan.
    fn groups(&self, partitions: usize) -> Result<Vec<FileGroup>> {
        let files = self.files.files.iter().map(|file| {
            let location = object_path(&file.path)?;
            let meta = ObjectMeta {
                location,
                last_modified: Default::default(),
                size: file.bytes,
                e_tag: None,
                version: None,
            };
            Ok(meta.into())
        });
        let group = FileGroup::new(files.collect::<Result<_>>()?);
        Ok(group.split_files(partitions))
    }
}

fn object_path(path: &Path) -> Result<object_store::path::Path> {
    object_store::path::Path::from_absolute_path(path).map_err(|e| {
        let message = format!("could not open file \"{}\": {e}", path.display());
        Error::new(SqlState::IO_ERROR, message)
    })
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let wanted = projection.unwrap_or(&all);
        let places: Vec<usize> = wanted.iter().map(|at| self.columns[*at]).collect();
        let schema = self.source_schema();
        let source = ParquetSource::new(TableSchema::from(schema.clone()));
        let groups = self.groups(state.config().target_partitions());
        let mut known = Statistics::new_unknown(&schema);
        known.num_rows = Precision::Inexact(self.files.rows as usize);
        let url = ObjectStoreUrl::local_filesystem();
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups.map_err(crate::columnar::query::to_datafusion)?)
            .with_statistics(known)
            .with_limit(limit)
            .with_projection_indices(Some(places.clone()))?
            .build();
        let scan = DataSourceExec::from_data_source(config);
        let exprs = wanted.iter().zip(&places).enumerate().map(|(at, (name, place))| {
            let column = &self.files.columns[*place];
            let read: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&column.name, at));
            let expr = match column.reads() {
                None => read,
                Some(_) => Arc::new(Taken { column: column.clone(), read }),
            };
            ProjectionExpr::new(expr, format!("c{name}"))
        });
        Ok(Arc::new(ProjectionExec::try_new(exprs.collect::<Vec<_>>(), scan)?))
    }
}

/// A column as it is taken from its file.
#[derive(Debug)]
struct Taken {
    column: FileColumn,
    read: Arc<dyn PhysicalExpr>,
}

impl PartialEq for Taken {
    fn eq(&self, other: &Taken) -> bool {
        self.column == other.column && self.read.eq(&other.read)
    }
}

impl Eq for Taken {}

impl Hash for Taken {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.name.hash(state);
        self.read.hash(state);
    }
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exact({})", self.read)
    }
}

impl PhysicalExpr for Taken {
    fn data_type(&self, _: &Schema) -> DfResult<DataType> {
        Ok(arrow_type(self.column.ty))
    }

    fn nullable(&self, _: &Schema) -> DfResult<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        let array = self.read.evaluate(batch)?.into_array(batch.num_rows())?;
        let taken = self.column.taken(&array).map_err(crate::columnar::query::to_datafusion)?;
        Ok(ColumnarValue::Array(taken))
    }

    fn return_field(&self, schema: &Schema) -> DfResult<FieldRef> {
        let ty = self.data_type(schema)?;
        Ok(Arc::new(Field::new(&self.column.name, ty, true)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.read]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        let read = children.pop().ok_or_else(|| {
            DataFusionError::Internal("a column without what it is read from".to_owned())
        })?;
        Ok(Arc::new(Taken { column: self.column.clone(), read }))
    }

    fn fmt_sql(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read.fmt_sql(f)
    }
}
