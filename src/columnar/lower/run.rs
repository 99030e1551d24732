//! A query on its way through DataFusion: tables in, rows out.
//!
//! Where the lowering cannot promise that no decimal leaves 128 bits, nothing is given out before
//! the run is over: the caller can then still run the statement on the row path.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable};

use super::{LoweredQuery, Scans, TOO_WIDE, from_datafusion, lower, read_batch};
use crate::columnar::engine::{BatchStream, Engine, Quota, Turn};
use crate::columnar::exchange::table::FilesTable;
use crate::columnar::query::{RowSource, RowTable, ViewTable};
use crate::columnar::rows::ColumnShape;
use crate::columnar::spread::measured;
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
    /// Parquet files.
    Files(Arc<FilesTable>),
    /// The row path: rows with the access's columns.
    Rows(RowSource),
}

/// A running query.
pub struct QueryRun {
    stream: Option<BatchStream>,
    /// The physical plan, where somebody wants to look at it.
    watched: Option<(Turn, Arc<dyn ExecutionPlan>)>,
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

/// What a query of the session's role runs with.
fn turn(engine: &Engine, context: &EvalContext) -> Result<Turn> {
    let session = &context.session;
    let gateways = session.settings.get("sluice.scan_gateways");
    let gateways_max = gateways.and_then(|n| n.parse().ok()).unwrap_or(0);
    let quota = Quota { role: session.session_user.clone(), limits: session.analytics };
    engine.turn(&quota, gateways_max).map_err(from_datafusion)
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
        let LoweredQuery { plan, columns, exact } = lowered(rel, sources, params, context)?;
        let turn = turn(engine, context)?;
        let stream = engine.run(turn, plan);
        Ok(QueryRun::new(Some(stream), None, columns, exact))
    }

    /// Like [`QueryRun::start`], for somebody who wants to see the plan: it does not run before
    /// the first call of [`QueryRun::next`].
    ///
    /// # Errors
    /// 0A000 for what only the row executor runs.
    pub async fn prepare(
        engine: &Engine,
        rel: &Rel,
        sources: Vec<Source>,
        params: &[Datum],
        context: &EvalContext,
    ) -> Result<QueryRun> {
        let LoweredQuery { plan, columns, exact } = lowered(rel, sources, params, context)?;
        let turn = turn(engine, context)?;
        let (turn, physical) = engine.plan(turn, plan).await.map_err(from_datafusion)?;
        Ok(QueryRun::new(None, Some((turn, physical)), columns, exact))
    }

    fn new(
        stream: Option<BatchStream>,
        watched: Option<(Turn, Arc<dyn ExecutionPlan>)>,
        columns: Vec<Column>,
        streams: bool,
    ) -> QueryRun {
        let held = VecDeque::new();
        QueryRun { stream, watched, columns, held, held_bytes: 0, streams, finished: false }
    }

    /// The physical plan in lines, with what each node did.
    pub fn describe(&self, figures: bool) -> Vec<String> {
        let Some((_, plan)) = &self.watched else { return Vec::new() };
        let text = match figures {
            true => DisplayableExecutionPlan::with_metrics(plan.as_ref()).indent(false).to_string(),
            false => displayable(plan.as_ref()).indent(false).to_string(),
        };
        text.lines().map(str::to_owned).collect()
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// What the query raises. [`TOO_WIDE`] (before the first rows only) asks for the row path.
    pub async fn next(&mut self, engine: &Engine) -> Result<Option<Vec<Row>>> {
        if let (None, Some((turn, plan))) = (&self.stream, &self.watched) {
            self.stream = Some(engine.run_physical(turn.clone(), plan.clone()));
        }
        let Some(stream) = &mut self.stream else { return Ok(None) };
        loop {
            if self.streams || self.finished {
                if let Some(batch) = self.held.pop_front() {
                    return read_batch(&batch, &self.columns).map(Some);
                }
                if self.finished {
                    return Ok(None);
                }
            }
            match stream.next().await {
                Some(batch) => {
                    let batch = batch.map_err(from_datafusion)?;
                    if !self.streams {
                        self.held_bytes += batch.get_array_memory_size();
                        if self.held_bytes > HELD_BYTES_MAX {
                            return Err(Error::new(TOO_WIDE, "too much to hold back"));
                        }
                    }
                    if batch.num_rows() > 0 {
                        self.held.push_back(batch);
                    }
                }
                None => {
                    self.finished = true;
                    if let Some((turn, plan)) = self.watched.take() {
                        self.watched = Some((turn, measured(plan).await));
                    }
                }
            }
        }
    }
}

fn lowered(
    rel: &Rel,
    sources: Vec<Source>,
    params: &[Datum],
    context: &EvalContext,
) -> Result<LoweredQuery> {
    let tables = scans(rel).into_iter().zip(sources);
    let tables = Tables(tables.map(|(s, source)| (address(s), table(s, source))).collect());
    lower(rel, &tables, params, context)
}

fn table(scan: &Scan, source: Source) -> Arc<dyn TableProvider> {
    match source {
        Source::View(view) => view,
        Source::Files(files) => files,
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
