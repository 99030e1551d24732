//! What operators see while they run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use super::cte::Cte;
use super::dml::{CopyPlace, DeferredChecks, WriteState};
use super::memory::Memory;
use super::profile::StoreFigures;
use super::subquery::Results;
use crate::catalog::CatalogSnapshot;
use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::kv::LockWait;
use crate::plan::Plan;
use crate::plan::explain::NodeFigures;
use crate::plan::scalar::{Env, Scalar, Scalars, Stop};
use crate::txn::Txn;
use crate::types::descriptor::{ColumnId, TableDescriptor};
use crate::types::{Datum, Row};

/// Bytes that one statement's sorts, hash tables and materialized rows may take.
pub const WORK_BYTES_MAX: usize = 2 << 30;

/// Rows that a statement works on before it lets others run.
const REST_ROWS: usize = 1024;

/// Rows that come from beside the transaction, batch by batch.
pub type RowStream = BoxStream<'static, Result<Vec<Row>>>;

/// Gives the rows of what does not lie in the store as rows: catalog relations, columnar views.
pub trait VirtualTables: Send + Sync {
    /// All rows of `table`, all its columns.
    fn rows(&self, table: &TableDescriptor) -> Result<Vec<Row>>;

    /// These columns of all rows of a table as the transaction's running statement sees them, by
    /// the table's columnar view.
    fn columnar<'a>(
        &'a self,
        _txn: &'a mut Txn,
        _table: &'a Arc<TableDescriptor>,
        _columns: &'a [ColumnId],
    ) -> BoxFuture<'a, Result<RowStream>> {
        Box::pin(async { Err(Error::unsupported("reading a columnar view here")) })
    }
}

/// What is borrowed for one call into an execution.
pub struct ExecContext<'a> {
    /// The transaction.
    pub txn: &'a mut Txn,
    /// Checks that wait for the transaction's end.
    pub deferred: &'a mut DeferredChecks,
    /// Settings, time, catalog for functions.
    pub eval: &'a EvalContext,
    /// The statement's parameters.
    pub params: &'a [Datum],
    /// The schema snapshot the statement was bound against.
    pub catalog: &'a Arc<CatalogSnapshot>,
    /// Rows of catalog relations.
    pub virtuals: &'a dyn VirtualTables,
    /// Set when the statement is to end.
    pub cancel: &'a CancellationToken,
    /// What the execution keeps; swapped in by it for the call.
    pub state: State,
}

/// What an execution keeps between batches, beside its nodes.
pub struct State {
    /// The plan; none only in a context that no execution entered.
    pub plan: Option<Arc<Plan>>,
    /// Values from the query around, for the subplan that is running.
    pub frame: Vec<Datum>,
    /// Results of subqueries.
    pub results: Results,
    /// CTEs in scope.
    pub ctes: HashMap<usize, Arc<Cte>>,
    /// What was written.
    pub writes: WriteState,
    /// The statement's memory.
    pub memory: Memory,
    /// Where a batch of COPY FROM is.
    pub copying: Option<CopyPlace>,
    /// What was asked of the store.
    pub store: StoreFigures,
    /// Whether a write to a foreign table is under way.
    pub in_flight: Arc<AtomicBool>,
    /// Figures of the nodes by their id, where EXPLAIN ANALYZE asked for them.
    pub profile: Option<Vec<NodeFigures>>,
    /// Rows worked on since the last rest.
    spent: usize,
    row_ids: u32,
}

impl Default for State {
    fn default() -> State {
        State {
            plan: None,
            frame: Vec::new(),
            results: Results::default(),
            ctes: HashMap::new(),
            writes: WriteState::default(),
            memory: Memory::new(WORK_BYTES_MAX),
            copying: None,
            store: StoreFigures::default(),
            in_flight: Arc::default(),
            profile: None,
            spent: 0,
            row_ids: 0,
        }
    }
}

impl State {
    /// The state of a run that has not begun.
    pub fn new(plan: Arc<Plan>) -> State {
        State { plan: Some(plan), ..State::default() }
    }
}

impl<'a> ExecContext<'a> {
    /// The plan that is running.
    pub fn plan(&self) -> Result<Arc<Plan>> {
        self.state.plan.clone().ok_or_else(|| Error::internal("no plan is running"))
    }

    /// Counts rows worked on. Every `REST_ROWS` of them others get their turn on this thread,
    /// and a statement that is to end does so: without it nothing but a lock or the client would
    /// ever interrupt a computation.
    ///
    /// # Errors
    /// 57014.
    #[inline]
    pub async fn spend(&mut self, rows: usize) -> Result<()> {
        self.state.spent += rows;
        if self.state.spent < REST_ROWS {
            return Ok(());
        }
        self.state.spent = 0;
        tokio::task::yield_now().await;
        self.check_cancel()
    }

    /// 57014 if the statement is to end.
    pub fn check_cancel(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to user request",
            ));
        }
        Ok(())
    }

    /// Waiting for locks as `lock_timeout` says.
    pub fn lock_wait(&self) -> LockWait {
        self.txn.block()
    }

    /// What expressions see with these rows.
    pub fn env<'b>(&'b self, row: &'b [Datum], right: &'b [Datum]) -> Env<'b> {
        Env {
            context: self.eval,
            params: self.params,
            frame: &self.state.frame,
            subresults: &self.state.results,
            row,
            right,
        }
    }

    /// The value of an expression, running the subqueries it needs.
    pub async fn value(
        &mut self,
        scalar: &Scalar,
        row: &[Datum],
        right: &[Datum],
    ) -> Result<Datum> {
        loop {
            match scalar.eval(&self.env(row, right)) {
                Ok(value) => {
                    self.state.results.forget_volatile();
                    return Ok(value);
                }
                Err(Stop::Error(e)) => return Err(e),
                Err(Stop::Subquery(request)) => self.run_subquery(*request).await?,
            }
        }
    }

    /// Whether all conditions are true.
    pub async fn all_hold(
        &mut self,
        conditions: &Scalars,
        row: &[Datum],
        right: &[Datum],
    ) -> Result<bool> {
        if !conditions.subqueries {
            return conditions.hold(&self.env(row, right));
        }
        for scalar in &conditions.list {
            if !matches!(self.value(scalar, row, right).await?, Datum::Bool(true)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The values of several expressions.
    pub async fn values(
        &mut self,
        scalars: &Scalars,
        row: &[Datum],
        right: &[Datum],
    ) -> Result<Row> {
        let mut out = Vec::with_capacity(scalars.list.len());
        if !scalars.subqueries {
            let env = self.env(row, right);
            for scalar in &scalars.list {
                out.push(scalar.eval(&env).map_err(Stop::into_error)?);
            }
            return Ok(out);
        }
        for scalar in &scalars.list {
            out.push(self.value(scalar, row, right).await?);
        }
        Ok(out)
    }

    /// Forgets what was computed from a CTE whose rows change.
    pub fn forget_cte(&mut self, cte: usize) -> Result<()> {
        let plan = self.plan()?;
        self.state.results.forget(|subplan| plan.subplans[subplan].ctes.contains(&cte));
        Ok(())
    }

    /// A new row id for a table without a primary key: time first, so that rows lie in the order
    /// in which they came, then the transaction and a count.
    pub fn new_row_id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        let micros = self.eval.clock.wall_micros() as u64;
        id[..8].copy_from_slice(&micros.to_be_bytes());
        id[8..12].copy_from_slice(&(self.txn.id().0 as u32).to_be_bytes());
        self.state.row_ids += 1;
        id[12..].copy_from_slice(&self.state.row_ids.to_be_bytes());
        id
    }
}
