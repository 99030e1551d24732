//! Tables of DataFusion plans: a view with what changed since, or rows of the row path.
//!
//! [`ViewTable`] shows one table exactly as of one snapshot: the view's rows that are not masked,
//! then the delta's. Filters are pushed down as exact, because a mask speaks of positions and the
//! delta is filtered by the same expression; row groups that cannot match are not read.
//! [`RowTable`] shows rows that somebody else reads, so that one plan can mix both paths.

pub mod cache;
mod filter;
pub mod prune;
pub mod rows;
pub mod scan;

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, ScalarValue, Statistics};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::delta::Overlay;
use super::rows::ColumnShape;
use super::values::{ColumnBuilder, arrow_type};
use super::view::View;
use crate::clock::Timestamp;
use crate::kv::Hold;
use crate::types::io;
use cache::ChunkCache;
use prune::GroupBounds;
use scan::ViewScan;

pub use rows::{RowSource, RowTable};

/// Fields named by position, so that any columns can stand beside each other.
pub fn positional_schema<'a>(columns: impl Iterator<Item = &'a ColumnShape>) -> SchemaRef {
    let fields = columns
        .enumerate()
        .map(|(at, column)| Field::new(format!("c{at}"), arrow_type(column.ty), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Everything a scan of one table at one snapshot needs; shared by the plans made of it.
pub struct ViewSnapshot {
    /// The view.
    pub view: Arc<View>,
    /// Its row groups' bounds.
    pub bounds: Arc<GroupBounds>,
    /// What changed since.
    pub overlay: Overlay,
    /// Decoded chunks.
    pub cache: Arc<ChunkCache>,
    /// The snapshot.
    pub hold: Arc<Hold>,
    /// Told when a file turns out to be damaged.
    pub damaged: Box<dyn Fn(&crate::error::Error) + Send + Sync>,
}

impl std::fmt::Debug for ViewSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at {}", self.view, self.hold.at.0)
    }
}

/// A table at a snapshot, through its view.
#[derive(Debug)]
pub struct ViewTable {
    snapshot: Arc<ViewSnapshot>,
    /// The view's columns that the table has, in its order.
    columns: Arc<[usize]>,
    schema: SchemaRef,
}

impl ViewTable {
    /// The table with these columns of the view.
    pub fn new(snapshot: Arc<ViewSnapshot>, columns: Vec<usize>) -> ViewTable {
        let shapes = columns.iter().map(|at| &snapshot.view.shape.columns[*at]);
        let schema = positional_schema(shapes);
        ViewTable { snapshot, columns: columns.into(), schema }
    }

    /// Facts for EXPLAIN.
    pub fn facts(&self) -> ViewFacts {
        let view = &self.snapshot.view.manifest;
        ViewFacts {
            generation: view.generation,
            at: view.at,
            made_micros: view.made_micros,
            delta_rows: self.snapshot.overlay.rows,
            changed_keys: self.snapshot.overlay.changed,
            files: view.files.len(),
        }
    }
}

/// What a scan of a view is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewFacts {
    /// Generation of the view.
    pub generation: u64,
    /// The view's own snapshot.
    pub at: Timestamp,
    /// When it was made: microseconds since 1970.
    pub made_micros: i64,
    /// Rows that come from the delta.
    pub delta_rows: usize,
    /// Keys that changed since.
    pub changed_keys: usize,
    /// Files of the view.
    pub files: usize,
}

#[async_trait]
impl TableProvider for ViewTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match filter.is_volatile() {
                true => TableProviderFilterPushDown::Unsupported,
                false => TableProviderFilterPushDown::Exact,
            })
            .collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(statistics(&self.snapshot, &self.columns, &self.schema))
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let schema = DFSchema::try_from(self.schema.as_ref().clone())?;
        let filters = filters.iter().map(|f| state.create_physical_expr(f.clone(), &schema));
        let filters = filters.collect::<DataFusionResult<Vec<_>>>()?;
        let all = || (0..self.columns.len()).collect();
        let projection = projection.cloned().unwrap_or_else(all);
        let scan = ViewScan::new(
            self.snapshot.clone(),
            self.columns.clone(),
            self.schema.clone(),
            projection,
            filters,
            limit,
            state.config().target_partitions(),
        )?;
        Ok(Arc::new(scan))
    }
}

/// What the optimizer may know of a snapshot's rows.
pub(crate) fn statistics(
    snapshot: &ViewSnapshot,
    columns: &[usize],
    schema: &SchemaRef,
) -> Statistics {
    let overlay = &snapshot.overlay;
    let rows = overlay.masks.iter().map(|m| m.live() as usize).sum::<usize>() + overlay.rows;
    let manifest = &snapshot.view.manifest;
    let bound = |text: &Option<String>, at: usize| {
        let ty = snapshot.view.shape.columns[columns[at]].ty;
        let parsed = text.as_ref().and_then(|text| {
            let datum = io::parse_text(text, ty, &Default::default(), 0).ok()?;
            let mut builder = ColumnBuilder::new(ty, schema.field(at).data_type(), 1).ok()?;
            builder.append(&datum).ok()?;
            ScalarValue::try_from_array(&builder.finish(), 0).ok()
        });
        parsed.map_or(Precision::Absent, Precision::Inexact)
    };
    let column_statistics = columns.iter().enumerate().map(|(at, column)| {
        let known = &manifest.statistics[*column];
        ColumnStatistics {
            null_count: Precision::Inexact(known.nulls as usize),
            distinct_count: Precision::Inexact((known.distinct as usize).min(rows)),
            min_value: bound(&known.min, at),
            max_value: bound(&known.max, at),
            ..ColumnStatistics::new_unknown()
        }
    });
    let bytes: u64 = columns.iter().map(|c| manifest.statistics[*c].bytes).sum();
    Statistics {
        num_rows: Precision::Exact(rows),
        total_byte_size: Precision::Inexact(bytes as usize),
        column_statistics: column_statistics.collect(),
    }
}

/// An error of ours on its way through DataFusion.
pub(crate) fn to_datafusion(e: crate::error::Error) -> DataFusionError {
    DataFusionError::External(Box::new(e))
}
