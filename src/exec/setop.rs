//! UNION, INTERSECT and EXCEPT.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::context::{ExecContext, State};
use super::key::{RowKey, row_key};
use super::memory::Reservation;
use super::node::{Node, RowBatch, build};
use crate::error::Result;
use crate::plan::node::SetOpPlan;
use crate::sql::bound::SetOp;
use crate::types::Row;

/// Rows asked of the right side at once.
const BUILD_ROWS: usize = 1024;

/// See [`SetOpPlan`].
pub struct SetOpNode {
    plan: Arc<SetOpPlan>,
    inputs: std::vec::IntoIter<Box<dyn Node>>,
    current: Option<Box<dyn Node>>,
    /// Of INTERSECT and EXCEPT: how often the right side has each row; none until it is read.
    right: Option<HashMap<RowKey, u64>>,
    /// Rows given, where each is given once.
    given: HashSet<RowKey>,
    memory: Reservation,
}

impl SetOpNode {
    /// One that has not begun.
    pub fn new(plan: Arc<SetOpPlan>, state: &mut State) -> SetOpNode {
        let inputs: Vec<Box<dyn Node>> = plan.inputs.iter().map(|i| build(i, state)).collect();
        let mut inputs = inputs.into_iter();
        SetOpNode {
            current: inputs.next(),
            inputs,
            right: None,
            given: HashSet::new(),
            memory: state.memory.reserve(),
            plan,
        }
    }

    async fn read_right(&mut self, ctx: &mut ExecContext<'_>) -> Result<()> {
        if self.plan.op == SetOp::Union || self.right.is_some() {
            return Ok(());
        }
        let mut counts: HashMap<RowKey, u64> = HashMap::new();
        if let Some(mut right) = self.inputs.next() {
            while let Some(batch) = right.next(ctx, BUILD_ROWS).await? {
                ctx.spend(batch.len()).await?;
                for row in batch {
                    self.memory.row(&row)?;
                    *counts.entry(row_key(&row, &self.plan.padded)).or_default() += 1;
                }
            }
        }
        self.right = Some(counts);
        Ok(())
    }

    /// Whether a row of the left side (of any side, for UNION) comes out.
    fn passes(&mut self, row: &Row) -> Result<bool> {
        let SetOpPlan { op, all, padded, .. } = self.plan.as_ref();
        if *op == SetOp::Union && *all {
            return Ok(true);
        }
        let key = row_key(row, padded);
        if *op != SetOp::Union {
            let count = self.right.as_mut().and_then(|r| r.get_mut(&key));
            let there = match (count, *all) {
                (Some(n), true) if *n > 0 => {
                    *n -= 1;
                    true
                }
                (Some(_), true) | (None, _) => false,
                (Some(_), false) => true,
            };
            if there != (*op == SetOp::Intersect) {
                return Ok(false);
            }
            if *all {
                return Ok(true);
            }
        }
        if self.given.contains(&key) {
            return Ok(false);
        }
        self.memory.row(&key.0)?;
        self.given.insert(key);
        Ok(true)
    }
}

#[async_trait]
impl Node for SetOpNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        self.read_right(ctx).await?;
        loop {
            let Some(current) = &mut self.current else { return Ok(None) };
            let Some(batch) = current.next(ctx, max).await? else {
                self.current = self.inputs.next();
                continue;
            };
            ctx.spend(batch.len()).await?;
            let mut out = Vec::with_capacity(batch.len());
            for row in batch {
                if self.passes(&row)? {
                    out.push(row);
                }
            }
            if !out.is_empty() {
                return Ok(Some(out));
            }
        }
    }
}
