//! WITH: queries that are run once, and recursive ones.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::context::{Cte, ExecContext};
use super::key::row_key;
use super::node::{Node, Ready, RowBatch, build, collect};
use crate::error::{Error, Result};
use crate::plan::node::{RecursivePlan, WithPlan};
use crate::types::Row;

/// See [`WithPlan`].
pub struct WithNode {
    plan: Arc<WithPlan>,
    body: Option<Box<dyn Node>>,
}

impl WithNode {
    /// One that has not begun.
    pub fn new(plan: Arc<WithPlan>) -> WithNode {
        WithNode { plan, body: None }
    }
}

#[async_trait]
impl Node for WithNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if self.body.is_none() {
            // A query is run when its first scan asks; the one of an earlier run is forgotten.
            ctx.state.ctes.insert(self.plan.cte, Cte::Query(self.plan.query.clone()));
            self.body = Some(build(&self.plan.body, &mut ctx.state));
        }
        match &mut self.body {
            Some(body) => body.next(ctx, max).await,
            None => Ok(None),
        }
    }
}

/// A use of a CTE.
pub struct CteScanNode {
    cte: usize,
    rows: Option<Arc<Vec<Row>>>,
    at: usize,
}

impl CteScanNode {
    /// From the first row on.
    pub fn new(cte: usize) -> CteScanNode {
        CteScanNode { cte, rows: None, at: 0 }
    }
}

async fn rows_of(ctx: &mut ExecContext<'_>, cte: usize) -> Result<Arc<Vec<Row>>> {
    match ctx.state.ctes.get(&cte) {
        Some(Cte::Rows(rows)) => Ok(Arc::clone(rows)),
        Some(Cte::Query(query)) => {
            let query = query.clone();
            let mut memory = ctx.state.memory.reserve();
            let mut node = build(&query, &mut ctx.state);
            let rows = Arc::new(collect(node.as_mut(), ctx, &mut memory).await?);
            ctx.state.kept.push(memory);
            ctx.state.ctes.insert(cte, Cte::Rows(Arc::clone(&rows)));
            Ok(rows)
        }
        None => Err(Error::internal(format!("WITH query {cte} is not in scope"))),
    }
}

#[async_trait]
impl Node for CteScanNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        let rows = match &self.rows {
            Some(rows) => Arc::clone(rows),
            None => {
                let rows = rows_of(ctx, self.cte).await?;
                self.rows = Some(Arc::clone(&rows));
                rows
            }
        };
        let rest = &rows[self.at..];
        let piece = rest[..rest.len().min(max)].to_vec();
        self.at += piece.len();
        Ok((!piece.is_empty()).then_some(piece))
    }
}

/// See [`RecursivePlan`]: runs the step on the rows of the last round until there are none.
pub struct RecursiveNode {
    plan: Arc<RecursivePlan>,
    ready: Option<Ready>,
}

impl RecursiveNode {
    /// One that has not begun.
    pub fn new(plan: Arc<RecursivePlan>) -> RecursiveNode {
        RecursiveNode { plan, ready: None }
    }

    async fn run(&self, ctx: &mut ExecContext<'_>) -> Result<Vec<Row>> {
        let plan = &self.plan;
        let mut memory = ctx.state.memory.reserve();
        let mut seen = HashSet::new();
        let mut fresh = |rows: Vec<Row>| -> Vec<Row> {
            if plan.all {
                return rows;
            }
            rows.into_iter().filter(|r| seen.insert(row_key(r, &plan.padded))).collect()
        };
        let mut base = build(&plan.base, &mut ctx.state);
        let mut round = fresh(collect(base.as_mut(), ctx, &mut memory).await?);
        let mut all = Vec::new();
        while !round.is_empty() {
            ctx.check_cancel()?;
            ctx.forget_cte(plan.cte)?;
            ctx.state.ctes.insert(plan.cte, Cte::Rows(Arc::new(round.clone())));
            all.append(&mut round);
            let mut step = build(&plan.step, &mut ctx.state);
            round = fresh(collect(step.as_mut(), ctx, &mut memory).await?);
        }
        ctx.forget_cte(plan.cte)?;
        ctx.state.kept.push(memory);
        Ok(all)
    }
}

#[async_trait]
impl Node for RecursiveNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if self.ready.is_none() {
            self.ready = Some(Ready::new(self.run(ctx).await?));
        }
        Ok(self.ready.as_mut().and_then(|r| r.take(max)))
    }
}
