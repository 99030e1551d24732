//! The join by a hash table of the right side.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{join_row, null_left};
use crate::error::Result;
use crate::exec::context::{ExecContext, State};
use crate::exec::key::{RowKey, widen};
use crate::exec::memory::Reservation;
use crate::exec::node::{Node, Ready, RowBatch, build};
use crate::plan::node::HashPlan;
use crate::plan::scalar::Scalars;
use crate::sql::bound::JoinKind;
use crate::types::{Datum, Row};

/// Rows asked of the right side at once.
const BUILD_ROWS: usize = 1024;

/// See [`HashPlan`].
pub struct HashNode {
    plan: Arc<HashPlan>,
    left: Box<dyn Node>,
    right: Option<Box<dyn Node>>,
    rows: Vec<Row>,
    table: HashMap<RowKey, Vec<u32>>,
    matched: Vec<bool>,
    /// Left rows that were read and not joined yet.
    waiting: std::vec::IntoIter<Row>,
    ready: Ready,
    left_done: bool,
    memory: Reservation,
}

/// The key of a row; none if a part is NULL, which equals nothing.
async fn key_of(
    ctx: &mut ExecContext<'_>,
    keys: &Scalars,
    row: &[Datum],
) -> Result<Option<RowKey>> {
    let values = ctx.values(keys, row, &[]).await?;
    if values.iter().any(Datum::is_null) {
        return Ok(None);
    }
    Ok(Some(RowKey(values.into_iter().map(widen).collect())))
}

impl HashNode {
    /// A join that has not begun.
    pub fn new(plan: Arc<HashPlan>, state: &mut State) -> HashNode {
        HashNode {
            left: build(&plan.left, state),
            right: Some(build(&plan.right, state)),
            rows: Vec::new(),
            table: HashMap::new(),
            matched: Vec::new(),
            waiting: Vec::new().into_iter(),
            ready: Ready::default(),
            left_done: false,
            memory: state.memory.reserve(),
            plan,
        }
    }

    async fn build_table(&mut self, ctx: &mut ExecContext<'_>) -> Result<()> {
        let Some(mut right) = self.right.take() else { return Ok(()) };
        while let Some(batch) = right.next(ctx, BUILD_ROWS).await? {
            ctx.spend(batch.len()).await?;
            for row in batch {
                let key = key_of(ctx, &self.plan.right_keys, &row).await?;
                if key.is_none() && self.plan.kind != JoinKind::Full {
                    continue;
                }
                self.memory.row(&row)?;
                let place = self.rows.len() as u32;
                self.rows.push(row);
                if let Some(key) = key {
                    self.memory.row(&key.0)?;
                    self.table.entry(key).or_default().push(place);
                }
            }
        }
        self.matched = vec![false; self.rows.len()];
        Ok(())
    }
}

#[async_trait]
impl Node for HashNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        self.build_table(ctx).await?;
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
                    let key = key_of(ctx, &plan.left_keys, &left).await?;
                    let places = key.and_then(|k| self.table.get(&k)).map_or(&[][..], |p| p);
                    let rows = &self.rows;
                    let candidates = places.iter().map(|p| (*p as usize, &rows[*p as usize]));
                    let matched = &mut self.matched;
                    let mark = |at: usize| {
                        if full {
                            matched[at] = true;
                        }
                    };
                    let width = plan.right_width;
                    join_row(ctx, plan.kind, &plan.on, &left, candidates, width, &mut out, mark)
                        .await?;
                }
            }
            self.ready = Ready::new(out);
        }
    }
}
