//! ORDER BY.
//!
//! Rows are sorted in runs of [`RUN_ROWS`] as they come, so that no single sort holds its thread
//! for long, and the runs are merged as the rows are asked for.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use async_trait::async_trait;

use super::context::{ExecContext, State};
use super::key::trimmed;
use super::limit::row_count;
use super::memory::{Reservation, row_bytes};
use super::node::{Node, RowBatch, build};
use crate::error::Result;
use crate::functions::compare;
use crate::plan::node::{SortPlan, SortSpec};
use crate::types::{Datum, Row};

/// Rows sorted at once.
const RUN_ROWS: usize = 32 * 1024;

/// A row with the values it is sorted by.
type Keyed = (Vec<Datum>, Row);

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
    runs: Vec<std::vec::IntoIter<Keyed>>,
    /// The first row left of each run.
    heads: BinaryHeap<Head>,
    memory: Reservation,
}

/// The first row of a run. The one that comes first of all is the greatest.
struct Head {
    plan: Arc<SortPlan>,
    run: usize,
    key: Vec<Datum>,
    row: Row,
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        // Equal rows keep the order in which they came.
        compare_keys(&self.plan.keys, &other.key, &self.key).then(other.run.cmp(&self.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl SortNode {
    /// One that has not begun.
    pub fn new(plan: Arc<SortPlan>, state: &mut State) -> SortNode {
        SortNode {
            input: Some(build(&plan.input, state)),
            runs: Vec::new(),
            heads: BinaryHeap::new(),
            memory: state.memory.reserve(),
            plan,
        }
    }

    async fn sort(&mut self, ctx: &mut ExecContext<'_>, mut input: Box<dyn Node>) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let most = most(ctx, &plan).await?;
        let mut rows: Vec<Keyed> = Vec::new();
        while let Some(batch) = input.next(ctx, super::BATCH_ROWS_MAX).await? {
            ctx.spend(batch.len()).await?;
            for row in batch {
                let key = key_values(ctx, &plan.keys, &row).await?;
                self.memory.row(&row)?;
                self.memory.row(&key)?;
                rows.push((key, row));
            }
            match most {
                Some(most) if rows.len() > 2 * most + super::BATCH_ROWS_MAX => {
                    sort_rows(&plan.keys, &mut rows);
                    for (key, row) in rows.drain(most..) {
                        self.memory.shrink(row_bytes(&key) + row_bytes(&row));
                    }
                }
                None if rows.len() >= RUN_ROWS => self.add_run(std::mem::take(&mut rows)),
                _ => {}
            }
        }
        self.add_run(rows);
        Ok(())
    }

    fn add_run(&mut self, mut rows: Vec<Keyed>) {
        sort_rows(&self.plan.keys, &mut rows);
        let mut rows = rows.into_iter();
        if let Some((key, row)) = rows.next() {
            self.heads.push(Head { plan: self.plan.clone(), run: self.runs.len(), key, row });
            self.runs.push(rows);
        }
    }

    /// The next rows of all runs.
    fn merge(&mut self, max: usize) -> RowBatch {
        let mut out = Vec::new();
        if let [run] = self.runs.as_mut_slice() {
            out.extend(self.heads.pop().map(|head| head.row));
            out.extend(run.by_ref().map(|(_, row)| row).take(max - out.len()));
            return out;
        }
        while out.len() < max
            && let Some(mut head) = self.heads.peek_mut()
        {
            match self.runs[head.run].next() {
                Some((key, row)) => {
                    head.key = key;
                    out.push(std::mem::replace(&mut head.row, row));
                }
                None => out.push(PeekMut::pop(head).row),
            }
        }
        out
    }
}

fn sort_rows(keys: &[SortSpec], rows: &mut [Keyed]) {
    rows.sort_by(|a, b| compare_keys(keys, &a.0, &b.0));
}

#[async_trait]
impl Node for SortNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if let Some(input) = self.input.take() {
            self.sort(ctx, input).await?;
        }
        let rows = self.merge(max.max(1));
        ctx.spend(rows.len()).await?;
        Ok((!rows.is_empty()).then_some(rows))
    }
}
