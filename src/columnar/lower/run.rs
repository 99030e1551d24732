//! A query on its way through DataFusion: tables in, rows out.
//!
//! Where the lowering cannot promise that no decimal leaves 128 bits, nothing is given out before
//! the run is over: the caller can then still run the statement on the row path.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;

use super::{LoweredQuery, Scans, TOO_WIDE, from_datafusion, lower, read_batch};
use crate::columnar::engine::{BatchStream, Engine};
use crate::columnar::query::{RowSource, RowTable, ViewTable};
use crate::columnar::rows::ColumnShape;
use crate::error::{Error, Result};
use crate::functions::EvalContext;
use crate::plan::route::scans;
use crate::sql::bound::{Column, Rel, Scan};
use crate::types::{Datum, Row};

/// Bytes of a result held back until its run is known to have gone well.
const HELD_BYTES_MAX: usize = 256 << 20;

/// Where the rows of one table access come from.
pub enum Source {
    /// A view and what changed since.
    View(Arc<ViewTable>),
    /// The row path: rows with the access's columns.
    Rows(RowSource),
}

/// A running query.
pub struct QueryRun {
    stream: BatchStream,
    columns: Vec<Column>,
    held: VecDeque<RecordBatch>,
    held_bytes: usize,
    /// Whether batches are given out as they come.
    streams: bool,
    finished: bool,
}

struct Tables(HashMap<usize, Arc<dyn TableProvider>>);

fn address(scan: &Scan) -> usize {
    std::ptr::from_ref(scan) as usize
}

impl Scans for Tables {
    fn provider(&self, scan: &Scan) -> Result<Arc<dyn TableProvider>> {
        let found = self.0.get(&address(scan)).cloned();
        found.ok_or_else(|| Error::internal(format!("access to {} has no source", scan.alias)))
    }
}

impl QueryRun {
    /// Lowers a query and starts it. `sources` are those of the accesses, in the order of
    /// [`scans`].
    ///
    /// # Errors
    /// 0A000 for what only the row executor runs.
    pub fn start(
        engine: &Engine,
        rel: &Rel,
        sources: Vec<Source>,
        params: &[Datum],
        context: &EvalContext,
    ) -> Result<QueryRun> {
        let tables = scans(rel).into_iter().zip(sources);
        let tables = Tables(tables.map(|(s, source)| (address(s), table(s, source))).collect());
        let LoweredQuery { plan, columns, exact } = lower(rel, &tables, params, context)?;
        let stream = engine.run(engine.context(), plan);
        let held = VecDeque::new();
        Ok(QueryRun { stream, columns, held, held_bytes: 0, streams: exact, finished: false })
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// What the query raises. [`TOO_WIDE`] (before the first rows only) asks for the row path.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        loop {
            if self.streams || self.finished {
                if let Some(batch) = self.held.pop_front() {
                    return read_batch(&batch, &self.columns).map(Some);
                }
                if self.finished {
                    return Ok(None);
                }
            }
            match self.stream.next().await {
                Some(batch) => self.hold(batch.map_err(from_datafusion)?)?,
                None => self.finished = true,
            }
        }
    }

    fn hold(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if !self.streams {
            self.held_bytes += batch.get_array_memory_size();
            if self.held_bytes > HELD_BYTES_MAX {
                return Err(Error::new(TOO_WIDE, "the result is too large to hold back"));
            }
        }
        self.held.push_back(batch);
        Ok(())
    }
}

fn table(scan: &Scan, source: Source) -> Arc<dyn TableProvider> {
    match source {
        Source::View(view) => view,
        Source::Rows(rows) => {
            let shape = |(id, column): &(_, Column)| ColumnShape {
                id: *id,
                name: column.name.to_string(),
                ty: column.ty,
            };
            let shapes: Vec<ColumnShape> = scan.columns.iter().map(shape).collect();
            Arc::new(RowTable::new(&shapes, rows))
        }
    }
}
