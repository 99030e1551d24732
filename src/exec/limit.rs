//! LIMIT and OFFSET.

use std::sync::Arc;

use async_trait::async_trait;

use super::context::{ExecContext, State};
use super::node::{Node, RowBatch, build};
use super::sort::{compare_keys, key_values};
use crate::error::{Error, Result, SqlState};
use crate::plan::node::LimitPlan;
use crate::plan::scalar::Scalar;
use crate::types::{Datum, Row};

/// What LIMIT and OFFSET still allow.
struct Bounds {
    skip: u64,
    take: Option<u64>,
}

/// See [`LimitPlan`].
pub struct LimitNode {
    input: Box<dyn Node>,
    plan: Arc<LimitPlan>,
    bounds: Option<Bounds>,
    /// WITH TIES: the keys of the last row, while rows may still tie with it.
    last: Option<Vec<Datum>>,
}

/// The value of LIMIT or OFFSET; NULL is none.
///
/// # Errors
/// 2201W and 2201X for a negative one.
pub async fn row_count(
    ctx: &mut ExecContext<'_>,
    scalar: Option<&Scalar>,
    offset: bool,
) -> Result<Option<u64>> {
    let Some(scalar) = scalar else { return Ok(None) };
    match ctx.value(scalar, &[], &[]).await? {
        Datum::Null => Ok(None),
        Datum::Int8(n) => match u64::try_from(n) {
            Ok(n) => Ok(Some(n)),
            Err(_) if offset => Err(Error::new(
                SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
                "OFFSET must not be negative",
            )),
            Err(_) => Err(Error::new(
                SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
                "LIMIT must not be negative",
            )),
        },
        other => Err(Error::internal(format!("row count is {other:?}"))),
    }
}

impl LimitNode {
    /// One that has not begun.
    pub fn new(plan: Arc<LimitPlan>, state: &mut State) -> LimitNode {
        LimitNode { input: build(&plan.input, state), plan, bounds: None, last: None }
    }

    /// Those of the next rows that tie with the last one given.
    async fn ties(&mut self, ctx: &mut ExecContext<'_>, rows: Vec<Row>) -> Result<Vec<Row>> {
        let (Some(keys), Some(last)) = (&self.plan.ties, &self.last) else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        for row in rows {
            let own = key_values(ctx, keys, &row).await?;
            if compare_keys(keys, &own, last).is_ne() {
                self.last = None;
                break;
            }
            out.push(row);
        }
        Ok(out)
    }

    async fn step(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        let Some(bounds) = &mut self.bounds else { return Ok(None) };
        if bounds.take == Some(0) {
            if self.last.is_none() {
                return Ok(None);
            }
            return match self.input.next(ctx, max).await? {
                Some(rows) => self.ties(ctx, rows).await.map(Some),
                None => Ok(None),
            };
        }
        let wanted = bounds.take.map_or(max as u64, |t| t.saturating_add(bounds.skip));
        let max = max.min(usize::try_from(wanted).unwrap_or(max)).max(1);
        let Some(mut rows) = self.input.next(ctx, max).await? else { return Ok(None) };
        let skipped = bounds.skip.min(rows.len() as u64);
        bounds.skip -= skipped;
        rows.drain(..skipped as usize);
        let Some(take) = &mut bounds.take else { return Ok(Some(rows)) };
        let given = (*take).min(rows.len() as u64);
        *take -= given;
        let at_end = *take == 0;
        let rest = rows.split_off(given as usize);
        if at_end && let (Some(keys), Some(row)) = (&self.plan.ties, rows.last()) {
            self.last = Some(key_values(ctx, keys, row).await?);
            rows.extend(self.ties(ctx, rest).await?);
        }
        Ok(Some(rows))
    }
}

#[async_trait]
impl Node for LimitNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if self.bounds.is_none() {
            let take = row_count(ctx, self.plan.limit.as_ref(), false).await?;
            let skip = row_count(ctx, self.plan.offset.as_ref(), true).await?.unwrap_or(0);
            self.bounds = Some(Bounds { skip, take });
        }
        loop {
            match self.step(ctx, max).await? {
                Some(rows) if rows.is_empty() => {
                    let done = self.bounds.as_ref().is_some_and(|b| b.take == Some(0));
                    if done && self.last.is_none() {
                        return Ok(None);
                    }
                }
                other => return Ok(other),
            }
        }
    }
}
