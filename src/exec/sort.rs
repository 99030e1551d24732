//! ORDER BY.

use std::cmp::Ordering;
use std::sync::Arc;

use async_trait::async_trait;

use super::context::{ExecContext, State};
use super::key::trimmed;
use super::limit::row_count;
use super::memory::Reservation;
use super::node::{Node, Ready, RowBatch, build};
use crate::error::Result;
use crate::functions::compare;
use crate::plan::node::{SortPlan, SortSpec};
use crate::types::{Datum, Row};

/// The values that a row is sorted by.
pub async fn key_values(
    ctx: &mut ExecContext<'_>,
    keys: &[SortSpec],
    row: &[Datum],
) -> Result<Vec<Datum>> {
    let mut out = Vec::with_capacity(keys.len());
    for key in keys {
        let value = ctx.value(&key.expr, row, &[]).await?;
        out.push(if key.padded { trimmed(value) } else { value });
    }
    Ok(out)
}

/// The order of two rows by the values of their keys.
pub fn compare_keys(keys: &[SortSpec], a: &[Datum], b: &[Datum]) -> Ordering {
    for ((key, a), b) in keys.iter().zip(a).zip(b) {
        let ordering = match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if key.desc => compare(b, a),
            (false, false) => compare(a, b),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}

/// How many rows a limit above lets through; none: all.
async fn most(ctx: &mut ExecContext<'_>, plan: &SortPlan) -> Result<Option<usize>> {
    let Some((limit, offset)) = &plan.top else { return Ok(None) };
    let Some(limit) = row_count(ctx, Some(limit), false).await? else { return Ok(None) };
    let offset = row_count(ctx, offset.as_ref(), true).await?.unwrap_or(0);
    Ok(usize::try_from(limit.saturating_add(offset)).ok())
}

/// See [`SortPlan`]. With a limit above, no more than twice that many rows are held.
pub struct SortNode {
    plan: Arc<SortPlan>,
    input: Option<Box<dyn Node>>,
    ready: Ready,
    memory: Reservation,
}

impl SortNode {
    /// One that has not begun.
    pub fn new(plan: Arc<SortPlan>, state: &mut State) -> SortNode {
        SortNode {
            input: Some(build(&plan.input, state)),
            ready: Ready::default(),
            memory: state.memory.reserve(),
            plan,
        }
    }

    async fn sort(&mut self, ctx: &mut ExecContext<'_>, mut input: Box<dyn Node>) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let most = most(ctx, &plan).await?;
        let by_keys =
            |a: &(Vec<Datum>, Row), b: &(Vec<Datum>, Row)| compare_keys(&plan.keys, &a.0, &b.0);
        let mut rows: Vec<(Vec<Datum>, Row)> = Vec::new();
        while let Some(batch) = input.next(ctx, super::BATCH_ROWS_MAX).await? {
            ctx.check_cancel()?;
            for row in batch {
                let key = key_values(ctx, &plan.keys, &row).await?;
                self.memory.row(&row)?;
                self.memory.row(&key)?;
                rows.push((key, row));
            }
            if let Some(most) = most
                && rows.len() > 2 * most + super::BATCH_ROWS_MAX
            {
                rows.sort_by(by_keys);
                for (key, row) in rows.drain(most..) {
                    self.memory
                        .shrink(super::memory::row_bytes(&key) + super::memory::row_bytes(&row));
                }
            }
        }
        rows.sort_by(by_keys);
        self.ready = Ready::new(rows.into_iter().map(|(_, row)| row).collect());
        Ok(())
    }
}

#[async_trait]
impl Node for SortNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if let Some(input) = self.input.take() {
            self.sort(ctx, input).await?;
        }
        Ok(self.ready.take(max))
    }
}
