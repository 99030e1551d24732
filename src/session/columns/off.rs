//! The column path of a build without it: no table has a view, and `columnar = on` is refused.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::database::Database;
use super::Staleness;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::exec::{ExecContext, RowBatch, RowStream, StoreStatistics};
use crate::functions::EvalContext;
use crate::kv::SharedStore;
use crate::plan::{AccessCosts, ColumnarQuery, Statistics};
use crate::txn::Txn;
use crate::types::Row;
use crate::types::descriptor::{ColumnId, TableDescriptor};

/// Where views would lie and what analytical queries could take.
#[derive(Clone, Debug)]
pub struct ColumnOptions {
    /// Folder of views and of spilled data.
    pub dir: PathBuf,
    /// Memory of all analytical queries together.
    pub memory_bytes: usize,
    /// Memory for decoded columns.
    pub cache_bytes: usize,
}

/// No views.
pub struct ColumnPath;

/// What came of asking for the column path.
pub enum Begun {
    /// Never: there is none.
    #[expect(dead_code, reason = "a build with views makes it")]
    Columns(Box<ColumnRun>),
    /// The row path has to run it, and why.
    Rows(Error),
}

/// Sizes of tables from the store.
pub struct ViewStatistics<'a> {
    /// Sizes.
    pub store: &'a StoreStatistics,
    /// No views.
    pub views: &'a ColumnPath,
}

impl Statistics for ViewStatistics<'_> {
    fn rows(&self, table: &TableDescriptor) -> Option<f64> {
        self.store.rows(table)
    }

    fn costs(&self) -> AccessCosts {
        self.store.costs()
    }

    fn distinct(&self, table: &TableDescriptor, column: ColumnId) -> Option<f64> {
        let _ = self.views;
        self.store.distinct(table, column)
    }
}

/// No query runs there.
pub enum ColumnRun {}

fn missing() -> Error {
    Error::unsupported("the column path in a build without the feature \"columnar\"")
}

impl ColumnPath {
    /// No views.
    pub fn none() -> ColumnPath {
        ColumnPath
    }

    /// No views either.
    pub fn start(_: SharedStore, _: Arc<dyn Clock>, _: ColumnOptions) -> Result<ColumnPath> {
        Ok(ColumnPath)
    }

    /// Tables cannot have views.
    pub fn is_available(&self) -> bool {
        false
    }

    /// Nothing to do.
    pub fn follow(&self, _: &Catalog) {}

    pub(in crate::session) async fn wait_ready(&self, _: &ColumnarQuery) -> Result<()> {
        Ok(())
    }

    pub(in crate::session) async fn catch_up(&self, _: &Catalog) {}

    pub(in crate::session) async fn refresh(&self, _: &TableDescriptor) -> Result<()> {
        Err(missing())
    }

    pub(in crate::session) fn status_rows(&self, _: &Catalog, _: i64) -> Vec<Row> {
        Vec::new()
    }

    pub(in crate::session) async fn rows(
        &self,
        _: &mut Txn,
        _: &Arc<TableDescriptor>,
        _: &[ColumnId],
        _: &EvalContext,
    ) -> Result<RowStream> {
        Err(missing())
    }

    pub(in crate::session) async fn begin(
        &self,
        query: &ColumnarQuery,
        _: &mut ExecContext<'_>,
        _: &Database,
        _: bool,
        _: Option<Staleness>,
    ) -> Result<Begun> {
        if query.is_forced() { Err(missing()) } else { Ok(Begun::Rows(missing())) }
    }
}

impl ColumnRun {
    pub(in crate::session) async fn next_batch(
        &mut self,
        _: &mut ExecContext<'_>,
        _: usize,
    ) -> Result<Option<RowBatch>> {
        match *self {}
    }

    pub(in crate::session) fn describe(&self, _: &ColumnarQuery, _: bool) -> Vec<String> {
        match *self {}
    }

    pub(in crate::session) fn gives_way(&self, _: &Error) -> bool {
        match *self {}
    }
}
