//! Figures of a run, for EXPLAIN ANALYZE: each node is wrapped and watched from outside.

use async_trait::async_trait;

use super::context::{ExecContext, State};
use super::node::{Node, RowBatch};
use crate::error::Result;
use crate::plan::explain::NodeFigures;

/// What a statement asked of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Keys got.
    pub gets: u64,
    /// Rows that scans read.
    pub scanned: u64,
    /// Locks asked for.
    pub locks: u64,
    /// Requests of any kind.
    pub requests: u64,
}

/// A node and its figures.
pub struct Profiled {
    id: usize,
    inner: Box<dyn Node>,
}

impl Profiled {
    /// Watches `inner`, which is one more loop of the plan's node `id`.
    pub fn new(id: usize, inner: Box<dyn Node>, state: &mut State) -> Profiled {
        add(state, id, |f| f.loops += 1);
        Profiled { id, inner }
    }
}

/// Adds to the figures of a node, where figures are kept.
pub fn add(state: &mut State, id: usize, change: impl FnOnce(&mut NodeFigures)) {
    let Some(figures) = &mut state.profile else { return };
    if figures.len() <= id {
        figures.resize(id + 1, NodeFigures::default());
    }
    change(&mut figures[id]);
}

#[async_trait]
impl Node for Profiled {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        let (start, before) = (ctx.eval.clock.monotonic(), ctx.state.store);
        let batch = self.inner.next(ctx, max).await?;
        let micros = (ctx.eval.clock.monotonic() - start).as_micros() as u64;
        let after = ctx.state.store;
        add(&mut ctx.state, self.id, |f| {
            f.micros += micros;
            if f.rows == 0 && f.loops <= 1 {
                f.first_micros += micros;
            }
            f.rows += batch.as_ref().map_or(0, Vec::len) as u64;
            f.gets += after.gets - before.gets;
            f.scanned += after.scanned - before.scanned;
            f.round_trips += after.requests - before.requests;
        });
        Ok(batch)
    }
}
