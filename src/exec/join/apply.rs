//! The join that runs its right side anew for each left row.

use std::sync::Arc;

use async_trait::async_trait;

use super::join_row;
use crate::error::Result;
use crate::exec::context::{ExecContext, State};
use crate::exec::node::{Node, Ready, RowBatch, build};
use crate::plan::node::ApplyPlan;

/// See [`ApplyPlan`].
pub struct ApplyNode {
    plan: Arc<ApplyPlan>,
    left: Box<dyn Node>,
    ready: Ready,
}

impl ApplyNode {
    /// A join that has not begun.
    pub fn new(plan: Arc<ApplyPlan>, state: &mut State) -> ApplyNode {
        ApplyNode { left: build(&plan.left, state), ready: Ready::default(), plan }
    }
}

#[async_trait]
impl Node for ApplyNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        loop {
            if let Some(batch) = self.ready.take(max) {
                return Ok(Some(batch));
            }
            let Some(batch) = self.left.next(ctx, max).await? else { return Ok(None) };
            let plan = &self.plan;
            let mut out = Vec::new();
            for left in batch {
                ctx.spend(1).await?;
                let frame = ctx.values(&plan.args, &left, &[]).await?;
                let rows = ctx.run_subplan(plan.subplan, frame, usize::MAX).await?;
                let candidates = rows.iter().enumerate();
                let width = plan.right_width;
                join_row(ctx, plan.kind, &plan.on, &left, candidates, width, &mut out, |_| {})
                    .await?;
            }
            self.ready = Ready::new(out);
        }
    }
}
