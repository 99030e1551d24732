//! The join that reads matching rows by key for each left row.

use std::sync::Arc;

use async_trait::async_trait;

use super::join_row;
use crate::error::Result;
use crate::exec::context::{ExecContext, State};
use crate::exec::node::{Node, Ready, RowBatch, build};
use crate::exec::{foreign, profile, scan};
use crate::plan::node::{LookupPlan, LookupSide};
use crate::types::Row;

/// Left rows that are looked up at once: a cluster answers many keys in the time of one.
const LEFT_AT_ONCE: usize = 128;

/// See [`LookupPlan`].
pub struct LookupNode {
    plan: Arc<LookupPlan>,
    left: Box<dyn Node>,
    ready: Ready,
}

impl LookupNode {
    /// A join that has not begun.
    pub fn new(plan: Arc<LookupPlan>, state: &mut State) -> LookupNode {
        LookupNode { left: build(&plan.left, state), ready: Ready::default(), plan }
    }
}

#[async_trait]
impl Node for LookupNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        loop {
            if let Some(batch) = self.ready.take(max) {
                return Ok(Some(batch));
            }
            let Some(batch) = self.left.next(ctx, max).await? else { return Ok(None) };
            let plan = &self.plan;
            let mut out = Vec::new();
            let mut batch = batch.into_iter();
            let mut looked_up = std::collections::VecDeque::new();
            loop {
                if looked_up.is_empty() {
                    let (next, rows) = match &plan.right {
                        LookupSide::Stored(right) => {
                            let next: Vec<Row> = batch.by_ref().take(LEFT_AT_ONCE).collect();
                            let rows = scan::fetch_all(ctx, right, &next).await?;
                            (next, rows)
                        }
                        LookupSide::Foreign(right) => {
                            let next: Vec<Row> =
                                batch.by_ref().take(foreign::KEYS_AT_ONCE).collect();
                            let rows = foreign::fetch_all(ctx, right, &next).await?;
                            (next, rows)
                        }
                    };
                    looked_up.extend(next.into_iter().zip(rows));
                }
                let Some((left, rows)) = looked_up.pop_front() else { break };
                ctx.spend(1).await?;
                profile::add(&mut ctx.state, plan.right_id, |f| {
                    f.loops += 1;
                    f.rows += rows.len() as u64;
                });
                let candidates = rows.iter().enumerate();
                let width = plan.right_width;
                join_row(ctx, plan.kind, &plan.on, &left, candidates, width, &mut out, |_| {})
                    .await?;
            }
            self.ready = Ready::new(out);
        }
    }
}
