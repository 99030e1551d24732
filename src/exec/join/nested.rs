//! The join that compares each left row with each right row.

use std::sync::Arc;

use async_trait::async_trait;

use super::{join_row, null_left};
use crate::error::Result;
use crate::exec::context::{ExecContext, State};
use crate::exec::memory::Reservation;
use crate::exec::node::{Node, Ready, RowBatch, build};
use crate::plan::node::NestedPlan;
use crate::sql::bound::JoinKind;
use crate::types::Row;

/// See [`NestedPlan`]. The right side is read once and kept.
pub struct NestedNode {
    plan: Arc<NestedPlan>,
    left: Box<dyn Node>,
    right: Option<Box<dyn Node>>,
    rows: Vec<Row>,
    matched: Vec<bool>,
    /// Left rows that were read and not joined yet.
    waiting: std::vec::IntoIter<Row>,
    ready: Ready,
    left_done: bool,
    memory: Reservation,
}

impl NestedNode {
    /// A join that has not begun.
    pub fn new(plan: Arc<NestedPlan>, state: &mut State) -> NestedNode {
        NestedNode {
            left: build(&plan.left, state),
            right: Some(build(&plan.right, state)),
            rows: Vec::new(),
            matched: Vec::new(),
            waiting: Vec::new().into_iter(),
            ready: Ready::default(),
            left_done: false,
            memory: state.memory.reserve(),
            plan,
        }
    }

    async fn read_right(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<()> {
        let Some(mut right) = self.right.take() else { return Ok(()) };
        while let Some(batch) = right.next(ctx, max).await? {
            ctx.spend(batch.len()).await?;
            for row in batch {
                self.memory.row(&row)?;
                self.rows.push(row);
            }
        }
        self.matched = vec![false; self.rows.len()];
        Ok(())
    }
}

#[async_trait]
impl Node for NestedNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        self.read_right(ctx, max.max(1024)).await?;
        loop {
            if let Some(batch) = self.ready.take(max) {
                return Ok(Some(batch));
            }
            if self.left_done {
                return Ok(None);
            }
            if self.waiting.len() == 0 {
                match self.left.next(ctx, max).await? {
                    Some(batch) => self.waiting = batch.into_iter(),
                    None => self.left_done = true,
                }
            }
            let mut out = Vec::new();
            let plan = &self.plan;
            let full = plan.kind == JoinKind::Full;
            if self.left_done {
                if full {
                    let lone = self.rows.iter().zip(&self.matched).filter(|(_, m)| !**m);
                    out.extend(lone.map(|(r, _)| null_left(plan.left_width, r)));
                }
            } else {
                // No more than a batch at once: each left row may have many partners.
                while out.len() < max
                    && let Some(left) = self.waiting.next()
                {
                    ctx.spend(1).await?;
                    let matched = &mut self.matched;
                    let mark = |at: usize| {
                        if full {
                            matched[at] = true;
                        }
                    };
                    let candidates = self.rows.iter().enumerate();
                    let width = plan.right_width;
                    join_row(ctx, plan.kind, &plan.on, &left, candidates, width, &mut out, mark)
                        .await?;
                }
            }
            self.ready = Ready::new(out);
        }
    }
}
