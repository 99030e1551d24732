//! Which row groups of a view a predicate can have rows in.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use parking_lot::Mutex;

use crate::columnar::view::View;
use crate::columnar::view::statistics::{GroupStatistics, of_groups};

/// The statistics of every row group of a view, read from the footers once for each column.
pub struct GroupBounds {
    view: Arc<View>,
    /// For each file, the number of its first group among all.
    starts: Vec<usize>,
    groups: usize,
    columns: Mutex<HashMap<usize, Option<Arc<GroupStatistics>>>>,
}

impl GroupBounds {
    /// The bounds of `view`.
    pub fn new(view: Arc<View>) -> GroupBounds {
        let mut groups = 0;
        let starts = view.files.iter().map(|file| {
            groups += file.groups();
            groups - file.groups()
        });
        let starts = starts.collect();
        GroupBounds { view, starts, groups, columns: Mutex::default() }
    }

    fn column(&self, at: usize) -> Option<Arc<GroupStatistics>> {
        let mut columns = self.columns.lock();
        let read =
            || of_groups(&self.view.shape, &self.view.files, at).ok().flatten().map(Arc::new);
        columns.entry(at).or_insert_with(read).clone()
    }

    /// For each row group of the view, in order of files, whether `predicate` can be true in it.
    /// `columns` are the view's columns behind those of `schema`, which the predicate is about.
    pub fn prune(
        &self,
        predicate: &Arc<dyn PhysicalExpr>,
        schema: &SchemaRef,
        columns: &[usize],
    ) -> Vec<bool> {
        self.prune_range(predicate, schema, columns, 0, self.groups)
    }

    /// The same for one group of a file.
    pub fn may_match(
        &self,
        predicate: &Arc<dyn PhysicalExpr>,
        schema: &SchemaRef,
        columns: &[usize],
        file: usize,
        group: usize,
    ) -> bool {
        let at = self.starts[file] + group;
        self.prune_range(predicate, schema, columns, at, 1)[0]
    }

    fn prune_range(
        &self,
        predicate: &Arc<dyn PhysicalExpr>,
        schema: &SchemaRef,
        columns: &[usize],
        from: usize,
        len: usize,
    ) -> Vec<bool> {
        // A predicate that statistics cannot decide prunes nothing; that is no error.
        let pruning = PruningPredicateBuilder::new()
            .with_file_schema(schema.clone())
            .try_build(predicate.clone());
        let Ok(pruning) = pruning else { return vec![true; len] };
        if pruning.always_true() {
            return vec![true; len];
        }
        let statistics = Groups { bounds: self, schema, columns, from, len };
        pruning.prune(&statistics).unwrap_or_else(|_| vec![true; len])
    }
}

/// Some row groups, as the pruning predicate asks for them.
struct Groups<'a> {
    bounds: &'a GroupBounds,
    schema: &'a SchemaRef,
    columns: &'a [usize],
    from: usize,
    len: usize,
}

impl Groups<'_> {
    fn of(&self, column: &Column) -> Option<Arc<GroupStatistics>> {
        let at = self.schema.index_of(&column.name).ok()?;
        self.bounds.column(self.columns[at])
    }
}

impl PruningStatistics for Groups<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        Some(self.of(column)?.min.slice(self.from, self.len))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        Some(self.of(column)?.max.slice(self.from, self.len))
    }

    fn num_containers(&self) -> usize {
        self.len
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        Some(Arc::new(self.of(column)?.nulls.slice(self.from, self.len)))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let files = self.bounds.view.files.iter();
        let rows = files.flat_map(|f| (0..f.groups()).map(|g| f.group_rows(g) as u64));
        let rows: UInt64Array = rows.skip(self.from).take(self.len).collect();
        Some(Arc::new(rows))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
