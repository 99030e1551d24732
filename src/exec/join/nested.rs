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
            ready: Ready::default(),
            left_done: false,
            memory: state.memory.reserve(),
            plan,
        }
    }

    async fn read_right(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<()> {
        let Some(mut right) = self.right.take() else { return Ok(()) };
        while let Some(batch) = right.next(ctx, max).await? {
            ctx.check_cancel()?;
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
            ctx.check_cancel()?;
            let mut out = Vec::new();
            match self.left.next(ctx, max).await? {
                Some(batch) => {
                    let plan = &self.plan;
                    let full = plan.kind == JoinKind::Full;
                    for left in batch {
                        let matched = &mut self.matched;
                        let mark = |at: usize| {
                            if full {
                                matched[at] = true;
                            }
                        };
                        let candidates = self.rows.iter().enumerate();
                        let width = plan.right_width;
                        join_row(
                            ctx, plan.kind, &plan.on, &left, candidates, width, &mut out, mark,
                        )
                        .await?;
                    }
                }
                None => {
                    self.left_done = true;
                    if self.plan.kind == JoinKind::Full {
                        let lone = self.rows.iter().zip(&self.matched).filter(|(_, m)| !**m);
                        out.extend(lone.map(|(r, _)| null_left(self.plan.left_width, r)));
                    }
                }
            }
            self.ready = Ready::new(out);
        }
    }
}
