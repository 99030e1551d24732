//! The nodes that write or lock: they pull their source and hand batches on.

use std::sync::Arc;

use async_trait::async_trait;

use super::foreign::check_early;
use super::{Way, delete, delete_found, insert, lock_rows, update, update_found};
use crate::error::Result;
use crate::exec::context::{ExecContext, State};
use crate::exec::node::{Node, Ready, RowBatch, build};
use crate::exec::scan::row_keys;
use crate::kv::Key;
use crate::plan::node::{DeletePlan, InsertPlan, LockRowsPlan, ScanPlan, UpdatePlan};
use crate::types::Row;

/// The rows that a direct UPDATE or DELETE names by key.
async fn direct(ctx: &mut ExecContext<'_>, scan: &ScanPlan) -> Result<Vec<(Key, Row)>> {
    let keys = row_keys(ctx, scan).await?;
    Ok(keys.into_iter().map(|key| (key, Row::new())).collect())
}

/// See [`InsertPlan`].
pub struct InsertNode {
    source: Box<dyn Node>,
    plan: Arc<InsertPlan>,
    ready: Ready,
}

impl InsertNode {
    /// One that has not begun.
    pub fn new(plan: Arc<InsertPlan>, state: &mut State) -> InsertNode {
        InsertNode { source: build(&plan.source, state), plan, ready: Ready::default() }
    }
}

#[async_trait]
impl Node for InsertNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        // All is written before the first RETURNING row goes out, as in PostgreSQL: a portal
        // that is not fetched to its end still writes everything.
        let mut out = Vec::new();
        let way = Way::choose(ctx, &self.plan).await?;
        while let Some(rows) = self.source.next(ctx, crate::exec::BATCH_ROWS_MAX).await? {
            ctx.spend(rows.len()).await?;
            let mut state = std::mem::take(&mut ctx.state.writes);
            let done = insert(ctx, &self.plan, rows, way, &mut state, &mut out).await;
            ctx.state.writes = state;
            done?;
            if way == Way::Load {
                check_early(ctx, &self.plan.target.table).await?;
            }
        }
        ctx.txn.end_loads().await?;
        if !out.is_empty() {
            self.ready = Ready::new(out);
        }
        Ok(self.ready.take(max))
    }
}

/// See [`UpdatePlan`].
pub struct UpdateNode {
    source: Option<Box<dyn Node>>,
    plan: Arc<UpdatePlan>,
    done: bool,
    ready: Ready,
}

impl UpdateNode {
    /// One that has not begun.
    pub fn new(plan: Arc<UpdatePlan>, state: &mut State) -> UpdateNode {
        let source = plan.found.direct.is_none().then(|| build(&plan.source, state));
        UpdateNode { source, plan, done: false, ready: Ready::default() }
    }

    async fn run(&mut self, ctx: &mut ExecContext<'_>, out: &mut Vec<Row>) -> Result<()> {
        let mut state = std::mem::take(&mut ctx.state.writes);
        let plan = &self.plan;
        if let Some(scan) = &plan.found.direct {
            let mut found = direct(ctx, scan).await?;
            found.retain(|(key, _)| state.touched.insert(key.clone()));
            update(ctx, plan, found, &mut state, out).await?;
        }
        ctx.state.writes = state;
        if let Some(source) = &mut self.source {
            while let Some(rows) = source.next(ctx, crate::exec::BATCH_ROWS_MAX).await? {
                ctx.spend(rows.len()).await?;
                // A query of WITH that writes may run within `next`: one state for both.
                let mut state = std::mem::take(&mut ctx.state.writes);
                let done = update_found(ctx, plan, rows, &mut state, out).await;
                ctx.state.writes = state;
                done?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Node for UpdateNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if !std::mem::replace(&mut self.done, true) {
            let mut out = Vec::new();
            self.run(ctx, &mut out).await?;
            self.ready = Ready::new(out);
        }
        Ok(self.ready.take(max))
    }
}

/// See [`DeletePlan`].
pub struct DeleteNode {
    source: Option<Box<dyn Node>>,
    plan: Arc<DeletePlan>,
    done: bool,
    ready: Ready,
}

impl DeleteNode {
    /// One that has not begun.
    pub fn new(plan: Arc<DeletePlan>, state: &mut State) -> DeleteNode {
        let source = plan.found.direct.is_none().then(|| build(&plan.source, state));
        DeleteNode { source, plan, done: false, ready: Ready::default() }
    }

    async fn run(&mut self, ctx: &mut ExecContext<'_>, out: &mut Vec<Row>) -> Result<()> {
        let mut state = std::mem::take(&mut ctx.state.writes);
        let plan = &self.plan;
        if let Some(scan) = &plan.found.direct {
            let mut found = direct(ctx, scan).await?;
            found.retain(|(key, _)| state.touched.insert(key.clone()));
            delete(ctx, plan, found, &mut state, out).await?;
        }
        ctx.state.writes = state;
        if let Some(source) = &mut self.source {
            while let Some(rows) = source.next(ctx, crate::exec::BATCH_ROWS_MAX).await? {
                ctx.spend(rows.len()).await?;
                // A query of WITH that writes may run within `next`: one state for both.
                let mut state = std::mem::take(&mut ctx.state.writes);
                let done = delete_found(ctx, plan, rows, &mut state, out).await;
                ctx.state.writes = state;
                done?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Node for DeleteNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if !std::mem::replace(&mut self.done, true) {
            let mut out = Vec::new();
            self.run(ctx, &mut out).await?;
            self.ready = Ready::new(out);
        }
        Ok(self.ready.take(max))
    }
}

/// See [`LockRowsPlan`].
pub struct LockRowsNode {
    input: Box<dyn Node>,
    plan: Arc<LockRowsPlan>,
}

impl LockRowsNode {
    /// One that has not begun.
    pub fn new(plan: Arc<LockRowsPlan>, state: &mut State) -> LockRowsNode {
        LockRowsNode { input: build(&plan.input, state), plan }
    }
}

#[async_trait]
impl Node for LockRowsNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        loop {
            let Some(rows) = self.input.next(ctx, max).await? else { return Ok(None) };
            ctx.spend(rows.len()).await?;
            let rows = lock_rows(ctx, &self.plan, rows).await?;
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
    }
}
