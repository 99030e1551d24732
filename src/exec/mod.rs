//! The row executor: runs plans over a transaction.
//!
//! A plan becomes a tree of operators that give rows in batches. An [`Execution`] owns its tree
//! and everything it keeps between batches, so that a portal can be suspended and go on later;
//! what it only borrows for a call (the transaction, settings, parameters) is an [`ExecContext`].
//!
//! ```text
//! Execution::next_batch(ctx) ─▶ root.next(ctx) ─▶ … ─▶ scan.next(ctx) ─▶ txn ─▶ kv
//! ```
//!
//! Every operator of the bound tree runs here. Memory that grows with the data (sorts, hash
//! tables, materialized CTEs) is charged to the statement; beyond its limit it fails with 53200.

mod aggregate;
pub mod context;
mod cte;
pub mod ddl;
mod distinct;
pub mod dml;
mod foreign;
mod function;
mod join;
mod key;
mod limit;
mod memory;
mod node;
mod profile;
mod scan;
mod setop;
mod simple;
mod sort;
mod statistics;
mod subquery;
mod window;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use context::{ExecContext, RowStream, State, VirtualTables, WORK_BYTES_MAX};
pub use dml::{CopyPlace, DeferredChecks, DeferredMark, check_deferred};
pub use memory::{Memory, Reservation};
pub use node::RowBatch;
pub use profile::StoreFigures;
pub use statistics::StoreStatistics;

use self::dml::CopyNode;
use self::node::{Node, build};
use crate::error::{Error, Result};
use crate::kv::{Key, LockMode};
use crate::plan::Plan;
use crate::plan::explain::NodeFigures;
use crate::plan::node::Op;
use crate::types::Row;
use crate::types::descriptor::{RelationKind, TableDescriptor};

/// Rows in a batch, at most.
pub const BATCH_ROWS_MAX: usize = 1024;

/// A statement being run.
pub struct Execution {
    plan: Arc<Plan>,
    root: Option<Box<dyn Node>>,
    state: State,
    /// Whether a write to a foreign table is under way; the state is away while it is.
    in_flight: Arc<AtomicBool>,
}

impl Execution {
    /// A run of `plan` that has not begun.
    pub fn new(plan: Arc<Plan>) -> Execution {
        let state = State::new(Arc::clone(&plan));
        Execution::with_state(plan, state)
    }

    /// A run that keeps figures of every node, for EXPLAIN ANALYZE.
    pub fn profiled(plan: Arc<Plan>) -> Execution {
        let mut state = State::new(Arc::clone(&plan));
        state.profile = Some(Vec::new());
        Execution::with_state(plan, state)
    }

    /// A batch of COPY FROM: rows as parameters of `plan`, an INSERT of one row. They are checked,
    /// and stored if `store`.
    pub fn copying(plan: Arc<Plan>, rows: Vec<Row>, store: bool) -> Result<Execution> {
        let Op::Insert(insert) = &plan.root.op else {
            return Err(Error::internal("COPY FROM without an INSERT"));
        };
        let root = Box::new(CopyNode::new(insert.clone(), rows, store));
        let state = State::new(Arc::clone(&plan));
        let in_flight = state.in_flight.clone();
        Ok(Execution { plan, root: Some(root), state, in_flight })
    }

    /// Whether it was given up while a write to a foreign table was under way.
    pub fn is_unsettled(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Where a batch of COPY FROM failed.
    pub fn copy_place(&self) -> Option<CopyPlace> {
        self.state.copying
    }

    fn with_state(plan: Arc<Plan>, mut state: State) -> Execution {
        let root = build(&plan.root, &mut state);
        let in_flight = state.in_flight.clone();
        Execution { plan, root: Some(root), state, in_flight }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes the locks of the tables it writes or locks rows of. Call it before the first batch;
    /// the caller then compares the schema with the plan's.
    pub async fn lock_tables(&mut self, ctx: &mut ExecContext<'_>) -> Result<()> {
        for (table, mode) in &self.plan.tables {
            lock_table(ctx, table, *mode).await?;
        }
        let is_written = |(table, mode): &&(Arc<TableDescriptor>, LockMode)| {
            *mode == LockMode::Share
                && (!table.foreign_keys.is_empty() || ctx.catalog.is_referenced(table.id))
        };
        let written: Vec<_> =
            self.plan.tables.iter().filter(is_written).map(|(table, _)| table.clone()).collect();
        if !written.is_empty() {
            for (table, mode) in dml::foreign::involved(ctx, &written) {
                lock_table(ctx, &table, mode).await?;
            }
        }
        Ok(())
    }

    /// The next rows, at most `max` (and [`BATCH_ROWS_MAX`]); none at the end. Never an empty
    /// batch.
    ///
    /// # Errors
    /// What the statement raises; the execution gives nothing more after that.
    pub async fn next_batch(
        &mut self,
        ctx: &mut ExecContext<'_>,
        max: usize,
    ) -> Result<Option<RowBatch>> {
        let Some(mut root) = self.root.take() else { return Ok(None) };
        std::mem::swap(&mut ctx.state, &mut self.state);
        let outcome = self.advance(root.as_mut(), ctx, max.min(BATCH_ROWS_MAX)).await;
        std::mem::swap(&mut ctx.state, &mut self.state);
        if matches!(outcome, Ok(Some(_))) {
            self.root = Some(root);
        }
        outcome
    }

    /// Whether it is known already that no batch comes any more. Never of what writes: that ends
    /// with checks.
    pub fn is_over(&self) -> bool {
        !self.plan.writes && self.root.as_ref().is_none_or(|root| root.is_over())
    }

    async fn advance(
        &mut self,
        root: &mut dyn Node,
        ctx: &mut ExecContext<'_>,
        max: usize,
    ) -> Result<Option<RowBatch>> {
        loop {
            ctx.check_cancel()?;
            match root.next(ctx, max).await? {
                Some(rows) if rows.is_empty() => {}
                None if !ctx.state.writes.events.is_empty() => {
                    dml::foreign::check(ctx).await?;
                    return Ok(None);
                }
                other => return Ok(other),
            }
        }
    }

    /// Figures of the nodes so far, by their id; empty unless the run is a profiled one.
    pub fn figures(&self) -> &[NodeFigures] {
        self.state.profile.as_deref().unwrap_or_default()
    }

    /// What the statement asked of the store so far.
    pub fn store_figures(&self) -> StoreFigures {
        self.state.store
    }

    /// Rows written so far: the number in the command tag of INSERT, UPDATE and DELETE.
    pub fn affected(&self) -> u64 {
        self.state.writes.affected
    }
}

/// Takes a table's lock: DML a weak one, schema changes the strongest, so that each waits for
/// the other's transactions as in PostgreSQL.
pub async fn lock_table(
    ctx: &mut ExecContext<'_>,
    table: &TableDescriptor,
    mode: LockMode,
) -> Result<()> {
    if table.kind != RelationKind::Table {
        return Ok(());
    }
    let wait = ctx.lock_wait();
    let key = Key::new(table.space(), &[], 0);
    ctx.txn.lock_newest(&[key], mode, wait).await?;
    Ok(())
}
