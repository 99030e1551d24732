//! DISTINCT and DISTINCT ON.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::context::{ExecContext, State};
use super::key::{RowKey, row_key};
use super::memory::Reservation;
use super::node::{Node, RowBatch, build};
use crate::error::Result;
use crate::plan::node::DistinctPlan;

/// See [`DistinctPlan`]: gives the first row for each key, in the input's order.
pub struct DistinctNode {
    plan: Arc<DistinctPlan>,
    input: Box<dyn Node>,
    seen: HashSet<RowKey>,
    last: Option<RowKey>,
    memory: Reservation,
}

impl DistinctNode {
    /// One that has seen nothing.
    pub fn new(plan: Arc<DistinctPlan>, state: &mut State) -> DistinctNode {
        DistinctNode {
            input: build(&plan.input, state),
            seen: HashSet::new(),
            last: None,
            memory: state.memory.reserve(),
            plan,
        }
    }

    /// Whether the key comes for the first time.
    fn is_new(&mut self, key: RowKey) -> Result<bool> {
        if self.plan.sorted {
            if self.last.as_ref() == Some(&key) {
                return Ok(false);
            }
            self.last = Some(key);
            return Ok(true);
        }
        if self.seen.contains(&key) {
            return Ok(false);
        }
        self.memory.row(&key.0)?;
        self.seen.insert(key);
        Ok(true)
    }
}

#[async_trait]
impl Node for DistinctNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        loop {
            let Some(batch) = self.input.next(ctx, max).await? else { return Ok(None) };
            ctx.spend(batch.len()).await?;
            let mut out = Vec::with_capacity(batch.len());
            for row in batch {
                let key = if self.plan.on.is_empty() {
                    row_key(&row, &self.plan.padded)
                } else {
                    let values = ctx.values(&self.plan.on, &row, &[]).await?;
                    row_key(&values, &self.plan.padded)
                };
                if self.is_new(key)? {
                    out.push(row);
                }
            }
            if !out.is_empty() {
                return Ok(Some(out));
            }
        }
    }
}
