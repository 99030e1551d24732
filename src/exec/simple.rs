//! Constant rows, filters, projections.

use std::sync::Arc;

use async_trait::async_trait;

use super::context::{ExecContext, State};
use super::node::{Node, RowBatch, build};
use crate::error::Result;
use crate::plan::node::{FilterPlan, ProjectPlan, ValuesPlan};
use crate::types::Datum;

/// See [`ValuesPlan`].
pub struct ValuesNode {
    plan: Arc<ValuesPlan>,
    at: usize,
}

impl ValuesNode {
    /// From the first row on.
    pub fn new(plan: Arc<ValuesPlan>) -> ValuesNode {
        ValuesNode { plan, at: 0 }
    }
}

#[async_trait]
impl Node for ValuesNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        let rest = &self.plan.rows[self.at..];
        let piece = &rest[..rest.len().min(max)];
        if piece.is_empty() {
            return Ok(None);
        }
        ctx.spend(piece.len()).await?;
        let mut rows = Vec::with_capacity(piece.len());
        for scalars in piece {
            rows.push(ctx.values(scalars, &[], &[]).await?);
        }
        self.at += piece.len();
        Ok(Some(rows))
    }
}

/// See [`FilterPlan`].
pub struct FilterNode {
    input: Box<dyn Node>,
    plan: Arc<FilterPlan>,
    /// Of conditions that do not depend on the row: whether they hold.
    open: Option<bool>,
}

impl FilterNode {
    /// One that has not begun.
    pub fn new(plan: Arc<FilterPlan>, state: &mut State) -> FilterNode {
        FilterNode { input: build(&plan.input, state), plan, open: None }
    }
}

#[async_trait]
impl Node for FilterNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if self.plan.one_time {
            let open = match self.open {
                Some(open) => open,
                None => ctx.all_hold(&self.plan.conditions, &[], &[]).await?,
            };
            self.open = Some(open);
            return if open { self.input.next(ctx, max).await } else { Ok(None) };
        }
        loop {
            let Some(rows) = self.input.next(ctx, max).await? else { return Ok(None) };
            ctx.spend(rows.len()).await?;
            let mut kept = Vec::with_capacity(rows.len());
            for row in rows {
                if ctx.all_hold(&self.plan.conditions, &row, &[]).await? {
                    kept.push(row);
                }
            }
            if !kept.is_empty() {
                return Ok(Some(kept));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.input.is_over()
    }
}

/// See [`ProjectPlan`].
pub struct ProjectNode {
    input: Box<dyn Node>,
    plan: Arc<ProjectPlan>,
}

impl ProjectNode {
    /// One that has not begun.
    pub fn new(plan: Arc<ProjectPlan>, state: &mut State) -> ProjectNode {
        ProjectNode { input: build(&plan.input, state), plan }
    }
}

#[async_trait]
impl Node for ProjectNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        let Some(rows) = self.input.next(ctx, max).await? else { return Ok(None) };
        if self.plan.moves.is_none() {
            ctx.spend(rows.len()).await?;
        }
        let mut out = Vec::with_capacity(rows.len());
        for mut row in rows {
            out.push(match &self.plan.moves {
                Some(moves) => {
                    moves.iter().map(|at| std::mem::replace(&mut row[*at], Datum::Null)).collect()
                }
                None => ctx.values(&self.plan.exprs, &row, &[]).await?,
            });
        }
        Ok(Some(out))
    }

    fn is_over(&self) -> bool {
        self.input.is_over()
    }
}
