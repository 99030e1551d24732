//! Rows of the row path as a table of a DataFusion plan.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::{positional_schema, to_datafusion};
use crate::columnar::rows::{ArrowRowWriter, ColumnShape};
use crate::error::Result;
use crate::types::{Row, SqlType};

/// Starts a read of rows: each with a datum for every column of the table. Called once for each
/// run of the scan; the stream ends early when it is dropped.
pub type RowSource = Arc<dyn Fn() -> BoxStream<'static, Result<Vec<Row>>> + Send + Sync>;

/// A table of rows that somebody else reads.
pub struct RowTable {
    source: RowSource,
    types: Arc<[SqlType]>,
    schema: SchemaRef,
}

impl std::fmt::Debug for RowTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RowTable")
    }
}

impl RowTable {
    /// A table with these columns.
    pub fn new(columns: &[ColumnShape], source: RowSource) -> RowTable {
        let types = columns.iter().map(|c| c.ty).collect();
        RowTable { source, types, schema: positional_schema(columns.iter()) }
    }
}

#[async_trait]
impl TableProvider for RowTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => self.schema.clone(),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(RowScan {
            source: self.source.clone(),
            types: self.types.clone(),
            table_schema: self.schema.clone(),
            projection: projection.cloned(),
            schema,
            properties: Arc::new(properties),
        }))
    }
}

/// The scan of a [`RowTable`].
struct RowScan {
    source: RowSource,
    types: Arc<[SqlType]>,
    table_schema: SchemaRef,
    projection: Option<Vec<usize>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl std::fmt::Debug for RowScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RowScan")
    }
}

impl DisplayAs for RowScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RowScan")
    }
}

impl ExecutionPlan for RowScan {
    fn name(&self) -> &str {
        "RowScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let children_properties = ChildrenPropertiesMode::Recompute;
        self.replace_children(children, ReplaceChildrenOptions { children_properties })
    }

    fn execute(
        &self,
        _: usize,
        _: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let (types, schema) = (self.types.clone(), self.table_schema.clone());
        let projection = self.projection.clone();
        let batches = (self.source)().map(move |rows| {
            let batch = rows.and_then(|rows| to_batch(&rows, &types, &schema));
            let batch = batch.map_err(to_datafusion)?;
            match &projection {
                Some(projection) => Ok::<_, DataFusionError>(batch.project(projection)?),
                None => Ok(batch),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches)))
    }
}

fn to_batch(rows: &[Row], types: &[SqlType], schema: &SchemaRef) -> Result<RecordBatch> {
    let mut writer = ArrowRowWriter::new(types, schema.clone(), rows.len())?;
    rows.iter().try_for_each(|row| writer.append(row))?;
    writer.finish()
}
