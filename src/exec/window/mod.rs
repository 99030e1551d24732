//! Window functions: a partition at a time.
//!
//! The input comes sorted by partition and order. A partition is read whole; its peer groups and,
//! for each row, its frame are computed; then each call gives one value for each row.

mod calls;
mod frame;

use std::sync::Arc;

use async_trait::async_trait;

use self::frame::Partition;
use super::context::{ExecContext, State};
use super::key::RowKey;
use super::memory::{Reservation, row_bytes};
use super::node::{Node, Ready, RowBatch, build};
use super::sort::key_values;
use crate::error::Result;
use crate::plan::node::WindowPlan;
use crate::types::Row;

/// See [`WindowPlan`].
pub struct WindowNode {
    plan: Arc<WindowPlan>,
    input: Box<dyn Node>,
    waiting: std::vec::IntoIter<Row>,
    /// First row of the next partition, with its key.
    first: Option<(RowKey, Row)>,
    ready: Ready,
    memory: Reservation,
    held_bytes: usize,
}

impl WindowNode {
    /// One that has not begun.
    pub fn new(plan: Arc<WindowPlan>, state: &mut State) -> WindowNode {
        WindowNode {
            input: build(&plan.input, state),
            waiting: Vec::new().into_iter(),
            first: None,
            ready: Ready::default(),
            memory: state.memory.reserve(),
            held_bytes: 0,
            plan,
        }
    }

    async fn next_row(&mut self, ctx: &mut ExecContext<'_>) -> Result<Option<(RowKey, Row)>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let row = loop {
            if let Some(row) = self.waiting.next() {
                break row;
            }
            match self.input.next(ctx, super::BATCH_ROWS_MAX).await? {
                Some(batch) => self.waiting = batch.into_iter(),
                None => return Ok(None),
            }
        };
        let key = RowKey(ctx.values(&self.plan.partition_by, &row, &[]).await?);
        Ok(Some((key, row)))
    }

    /// The rows of the next partition; none at the end.
    async fn partition(&mut self, ctx: &mut ExecContext<'_>) -> Result<Vec<Row>> {
        self.memory.shrink(std::mem::take(&mut self.held_bytes));
        let mut rows = Vec::new();
        let mut current: Option<RowKey> = None;
        while let Some((key, row)) = self.next_row(ctx).await? {
            ctx.spend(1).await?;
            match &current {
                Some(known) if *known != key => {
                    self.first = Some((key, row));
                    break;
                }
                Some(_) => {}
                None => current = Some(key),
            }
            let bytes = row_bytes(&row);
            self.memory.grow(bytes)?;
            self.held_bytes += bytes;
            rows.push(row);
        }
        Ok(rows)
    }
}

#[async_trait]
impl Node for WindowNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        loop {
            if let Some(batch) = self.ready.take(max) {
                return Ok(Some(batch));
            }
            let rows = self.partition(ctx).await?;
            if rows.is_empty() {
                return Ok(None);
            }
            let mut keys = Vec::with_capacity(rows.len());
            for row in &rows {
                ctx.spend(1).await?;
                keys.push(key_values(ctx, &self.plan.order_by, row).await?);
            }
            let partition = Partition::new(&self.plan.order_by, rows, keys);
            let mut columns = Vec::with_capacity(self.plan.calls.len());
            for call in &self.plan.calls {
                columns.push(calls::evaluate(ctx, call, &partition).await?.into_iter());
            }
            let mut rows = partition.rows;
            for row in &mut rows {
                row.extend(columns.iter_mut().filter_map(Iterator::next));
            }
            self.ready = Ready::new(rows);
        }
    }
}
