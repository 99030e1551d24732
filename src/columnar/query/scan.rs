//! The scan of a view at a snapshot.
//!
//! Row groups are dealt to partitions in turn, and so are the delta's batches. For each row group
//! that may match, the columns of the predicate are read first; the others only if a row is left.
//! Filters that arrive while the query runs (the keys of a hash join's build side, the worst row of
//! a top-N) skip row groups too, and are applied where they leave out rows enough: who made them
//! looks again.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::compute::BatchCoalescer;
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::utils::{conjunction, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};

use super::filter::{Filter, Tried};
use super::{ViewSnapshot, statistics, to_datafusion};

/// Rows of the batches given out.
pub const OUTPUT_ROWS: usize = 8192;

/// The scan.
#[derive(Clone)]
pub struct ViewScan {
    parts: ScanParts,
    /// The table's columns.
    table_schema: SchemaRef,
    schema: SchemaRef,
    groups_all: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ViewScan {
    /// A scan of some of a table's columns.
    pub fn new(
        snapshot: Arc<ViewSnapshot>,
        columns: Arc<[usize]>,
        table_schema: SchemaRef,
        projection: Vec<usize>,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        fetch: Option<usize>,
        partitions: usize,
    ) -> DataFusionResult<ViewScan> {
        let masks = &snapshot.overlay.masks;
        let all: Vec<(usize, usize)> = (snapshot.view.files.iter().enumerate())
            .flat_map(|(file, f)| (0..f.groups()).map(move |group| (file, group)))
            .collect();
        let mut keep = vec![true; all.len()];
        for filter in &filters {
            let matching = snapshot.bounds.prune(filter, &table_schema, &columns);
            keep.iter_mut().zip(matching).for_each(|(keep, matching)| *keep &= matching);
        }
        let live = |file: usize, group: usize| {
            (masks[file].dead_in_group(group) as usize)
                < snapshot.view.files[file].group_rows(group)
        };
        let groups: Vec<(usize, usize)> = (all.iter().zip(keep))
            .filter(|((file, group), keep)| *keep && live(*file, *group))
            .map(|(group, _)| *group)
            .collect();
        let partitions = partitions.min(groups.len()).max(1);
        let parts = ScanParts {
            snapshot,
            columns,
            projection,
            filters,
            fetch,
            groups: groups.into(),
            partitions,
            gives_delta: true,
        };
        ViewScan::of(parts, table_schema, all.len())
    }

    fn of(
        parts: ScanParts,
        table_schema: SchemaRef,
        groups_all: usize,
    ) -> DataFusionResult<ViewScan> {
        let schema = Arc::new(table_schema.project(&parts.projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(parts.partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(ViewScan {
            parts,
            table_schema,
            schema,
            groups_all,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// The scan of these parts.
    #[cfg(feature = "spread")]
    pub fn of_parts(parts: ScanParts) -> DataFusionResult<ViewScan> {
        let view = &parts.snapshot.view;
        let shapes = parts.columns.iter().map(|at| &view.shape.columns[*at]);
        let schema = super::positional_schema(shapes);
        let groups_all = view.files.iter().map(|file| file.groups()).sum();
        ViewScan::of(parts, schema, groups_all)
    }

    /// What it is made of.
    #[cfg(feature = "spread")]
    pub fn parts(&self) -> &ScanParts {
        &self.parts
    }

    /// Rows in the row groups that are read, and of what changed since.
    #[cfg(feature = "spread")]
    pub fn rows_read(&self) -> usize {
        let files = &self.parts.snapshot.view.files;
        let rows = self.parts.groups.iter().map(|(file, group)| files[*file].group_rows(*group));
        rows.sum::<usize>() + self.parts.snapshot.overlay.rows
    }

    /// So many scans that together give what this one does.
    #[cfg(feature = "spread")]
    pub fn shares(&self, count: usize) -> DataFusionResult<Vec<ViewScan>> {
        let share = |at: usize| {
            let parts = self.parts.clone();
            let groups = parts.groups.iter().skip(at).step_by(count).copied().collect();
            ViewScan::of_parts(ScanParts { groups, gives_delta: at + 1 == count, ..parts })
        };
        (0..count).map(share).collect()
    }

    /// Row groups that are read, and all there are.
    pub fn groups_read(&self) -> (usize, usize) {
        (self.parts.groups.len(), self.groups_all)
    }
}

/// What a scan is made of.
#[derive(Clone)]
pub struct ScanParts {
    /// What is read.
    pub snapshot: Arc<ViewSnapshot>,
    /// The view's columns behind the table's.
    pub columns: Arc<[usize]>,
    /// The table's columns that come out.
    pub projection: Vec<usize>,
    /// On the table's columns, in the order they were written; all must hold.
    pub filters: Vec<Arc<dyn PhysicalExpr>>,
    /// Rows that are enough.
    pub fetch: Option<usize>,
    /// Row groups to read: file and group.
    pub groups: Arc<[(usize, usize)]>,
    /// Streams that they are dealt to.
    pub partitions: usize,
    /// Whether what changed since is given too; of a scan's shares one does.
    pub gives_delta: bool,
}

impl std::fmt::Debug for ViewScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ViewScan({:?})", self.parts.snapshot)
    }
}

impl DisplayAs for ViewScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let view = &self.parts.snapshot.view.manifest;
        write!(
            f,
            "ViewScan: table={}, generation={}, row_groups={}/{}, delta_rows={}",
            view.table.name,
            view.generation,
            self.parts.groups.len(),
            self.groups_all,
            self.parts.snapshot.overlay.rows,
        )?;
        if !self.parts.filters.is_empty() {
            write!(f, ", filters={}", conjunction(self.parts.filters.iter().cloned()))?;
        }
        match self.parts.fetch {
            Some(fetch) => write!(f, ", fetch={fetch}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ViewScan {
    fn name(&self) -> &str {
        "ViewScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        for filter in &self.parts.filters {
            if f(filter)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
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
        partition: usize,
        _: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let scanner = Scanner::new(self, partition)?;
        let stream = futures::stream::try_unfold(scanner, |mut scanner| async move {
            // Scanning never waits, so it gives way here: to other queries, and to cancellation.
            tokio::task::yield_now().await;
            Ok::<_, DataFusionError>(scanner.next_batch()?.map(|batch| (batch, scanner)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> DataFusionResult<Arc<Statistics>> {
        let columns: Vec<usize> =
            self.parts.projection.iter().map(|at| self.parts.columns[*at]).collect();
        let mut all = statistics(&self.parts.snapshot, &columns, &self.schema);
        if !self.parts.filters.is_empty() || partition.is_some() || self.parts.fetch.is_some() {
            all = all.to_inexact();
        }
        Ok(Arc::new(all))
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        child: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> DataFusionResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        if child.parent_filters.is_empty() || self.parts.fetch.is_some() {
            return Ok(FilterPushdownPropagation::if_all(child));
        }
        let mut scan = self.clone();
        for parent in &child.parent_filters {
            let filter = reassign_expr_columns(parent.filter.clone(), &self.table_schema)?;
            scan.parts.filters.push(filter);
        }
        let taken = vec![PushedDown::Yes; child.parent_filters.len()];
        let node: Arc<dyn ExecutionPlan> = Arc::new(scan);
        Ok(FilterPushdownPropagation::with_parent_pushdown_result(taken).with_updated_node(node))
    }
}

/// The run of one partition.
struct Scanner {
    snapshot: Arc<ViewSnapshot>,
    columns: Arc<[usize]>,
    table_schema: SchemaRef,
    projection: Vec<usize>,
    schema: SchemaRef,
    filters: Vec<Filter>,
    groups: Vec<(usize, usize)>,
    next_group: usize,
    current: Option<Group>,
    /// Batches of the delta that this partition gives.
    delta: Vec<RecordBatch>,
    output: BatchCoalescer,
    finished: bool,
    left: Option<usize>,
    metrics: BaselineMetrics,
    skipped: Count,
}

/// A row group being read.
struct Group {
    file: usize,
    group: usize,
    rows: usize,
    next: usize,
    live: Option<BooleanBuffer>,
    /// The table's columns read so far.
    arrays: Vec<Option<ArrayRef>>,
    /// For each filter.
    tried: Vec<Tried>,
}

impl Scanner {
    fn new(scan: &ViewScan, partition: usize) -> DataFusionResult<Scanner> {
        let filters = scan.parts.filters.iter().map(|whole| Filter::new(whole, &scan.table_schema));
        let partitions = scan.parts.partitions;
        let delta = match scan.parts.gives_delta {
            true => &scan.parts.snapshot.overlay.batches[..],
            false => &[],
        };
        Ok(Scanner {
            snapshot: scan.parts.snapshot.clone(),
            columns: scan.parts.columns.clone(),
            table_schema: scan.table_schema.clone(),
            projection: scan.parts.projection.clone(),
            schema: scan.schema.clone(),
            filters: filters.collect::<DataFusionResult<_>>()?,
            groups: scan.parts.groups.iter().skip(partition).step_by(partitions).copied().collect(),
            next_group: 0,
            current: None,
            delta: delta.iter().flat_map(slices).skip(partition).step_by(partitions).collect(),
            // What is large enough by itself is not copied once more.
            output: BatchCoalescer::new(scan.schema.clone(), OUTPUT_ROWS)
                .with_biggest_coalesce_batch_size(Some(OUTPUT_ROWS / 2)),
            finished: false,
            left: scan.parts.fetch,
            metrics: BaselineMetrics::new(&scan.metrics, partition),
            skipped: MetricBuilder::new(&scan.metrics).counter("row_groups_skipped", partition),
        })
    }

    fn next_batch(&mut self) -> DataFusionResult<Option<RecordBatch>> {
        let timer = self.metrics.elapsed_compute().clone();
        let _timer = timer.timer();
        if self.left == Some(0) {
            return Ok(None);
        }
        while !self.output.has_completed_batch() && !self.finished {
            self.step()?;
        }
        let Some(mut batch) = self.output.next_completed_batch() else { return Ok(None) };
        if let Some(left) = &mut self.left {
            batch = batch.slice(0, batch.num_rows().min(*left));
            *left -= batch.num_rows();
        }
        self.metrics.record_output(batch.num_rows());
        Ok(Some(batch))
    }

    /// Reads one more slice into the output.
    fn step(&mut self) -> DataFusionResult<()> {
        if let Some(mut group) = self.current.take() {
            if group.next < group.rows {
                self.slice(&mut group)?;
                self.current = Some(group);
            }
            return Ok(());
        }
        if let Some((file, group)) = self.groups.get(self.next_group).copied() {
            self.next_group += 1;
            if !self.may_match(file, group) {
                self.skipped.add(1);
                return Ok(());
            }
            self.current = Some(Group {
                file,
                group,
                rows: self.snapshot.view.files[file].group_rows(group),
                next: 0,
                live: self.snapshot.overlay.masks[file].live_bits(group),
                arrays: vec![None; self.columns.len()],
                tried: vec![Tried::default(); self.filters.len()],
            });
            return Ok(());
        }
        if let Some(batch) = self.delta.pop() {
            return self.delta_batch(&batch);
        }
        self.output.finish_buffered_batch()?;
        self.finished = true;
        Ok(())
    }

    /// Whether a row group can still match: filters that change as the query runs know more now
    /// than when the scan was planned.
    fn may_match(&self, file: usize, group: usize) -> bool {
        let bounds = &self.snapshot.bounds;
        self.filters.iter().all(|filter| {
            !filter.is_hint
                || bounds.may_match(&filter.whole, &self.table_schema, &self.columns, file, group)
        })
    }

    fn array(&self, group: &mut Group, column: usize) -> DataFusionResult<ArrayRef> {
        if let Some(array) = &group.arrays[column] {
            return Ok(array.clone());
        }
        let file = &self.snapshot.view.files[group.file];
        let read = self.snapshot.cache.chunk(file, group.group, self.columns[column]);
        let array = read.map_err(|e| {
            (self.snapshot.damaged)(&e);
            to_datafusion(e)
        })?;
        group.arrays[column] = Some(array.clone());
        Ok(array)
    }

    fn slice(&mut self, group: &mut Group) -> DataFusionResult<()> {
        let start = group.next;
        let len = (group.rows - start).min(OUTPUT_ROWS);
        group.next += len;
        let mut selected =
            group.live.as_ref().map(|live| BooleanArray::new(live.slice(start, len), None));
        let mut left = selected.as_ref().map_or(len, BooleanArray::true_count);
        for (at, filter) in self.filters.iter().enumerate() {
            if left == 0 {
                return Ok(());
            }
            if filter.is_hint && group.tried[at].is_in_vain() {
                continue;
            }
            let arrays: DataFusionResult<Vec<ArrayRef>> = filter
                .columns
                .iter()
                .map(|column| Ok(self.array(group, *column)?.slice(start, len)))
                .collect();
            let kept = filter.apply(arrays?, len, selected)?;
            group.tried[at].rows += left;
            left = kept.true_count();
            group.tried[at].kept += left;
            selected = Some(kept);
        }
        if left == 0 {
            return Ok(());
        }
        let projection = self.projection.clone();
        let arrays: DataFusionResult<Vec<ArrayRef>> = projection
            .into_iter()
            .map(|column| Ok(self.array(group, column)?.slice(start, len)))
            .collect();
        self.push(arrays?, len, selected)
    }

    fn delta_batch(&mut self, batch: &RecordBatch) -> DataFusionResult<()> {
        let column = |at: usize| batch.column(self.columns[at]).clone();
        let mut selected = None;
        for filter in &self.filters {
            let arrays = filter.columns.iter().map(|at| column(*at)).collect();
            selected = Some(filter.apply(arrays, batch.num_rows(), selected)?);
        }
        let arrays = self.projection.iter().map(|at| column(*at)).collect();
        self.push(arrays, batch.num_rows(), selected)
    }

    fn push(
        &mut self,
        arrays: Vec<ArrayRef>,
        rows: usize,
        selected: Option<BooleanArray>,
    ) -> DataFusionResult<()> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?;
        match selected.filter(|s| s.true_count() < rows) {
            Some(selected) => self.output.push_batch_with_filter(batch, &selected)?,
            None => self.output.push_batch(batch)?,
        }
        Ok(())
    }
}

/// A batch in pieces of a scan's size: it may hold all that changed at once.
fn slices(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let rows = batch.num_rows();
    (0..rows).step_by(OUTPUT_ROWS).map(move |at| batch.slice(at, OUTPUT_ROWS.min(rows - at)))
}
