//! WITH: queries that are run at most once, row by row as their scans ask, and recursive ones.
//!
//! A query runs only as far as somebody reads it, so `WITH RECURSIVE … SELECT … LIMIT 10` ends
//! even where the recursion does not. Its rows are kept for its other scans.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::context::{ExecContext, State};
use super::key::{RowKey, row_key};
use super::memory::{Memory, Reservation};
use super::node::{Node, RowBatch, build};
use crate::error::{Error, Result};
use crate::plan::node::{PlanNode, RecursivePlan, StatementsPlan, WithPlan};
use crate::types::{Datum, Row};

/// A CTE: the rows that are there, and what makes more of them.
pub struct Cte(Mutex<Inner>);

struct Inner {
    source: Source,
    rows: Vec<Row>,
    /// The frame that the query was defined under.
    frame: Vec<Datum>,
    memory: Reservation,
    /// Whether it writes: its rows do not count in the statement's tag.
    writes: bool,
}

enum Source {
    /// Nobody has asked yet.
    Planned(PlanNode),
    /// More may come.
    Running(Box<dyn Node>),
    /// Somebody is waiting for more right now.
    Busy,
    /// All rows are there.
    Done,
}

impl Cte {
    fn of_query(query: PlanNode, state: &State, writes: bool) -> Arc<Cte> {
        Arc::new(Cte(Mutex::new(Inner {
            source: Source::Planned(query),
            rows: Vec::new(),
            frame: state.frame.clone(),
            memory: state.memory.reserve(),
            writes,
        })))
    }

    fn of_rows(rows: Vec<Row>, memory: &Memory) -> Arc<Cte> {
        let (source, frame, memory) = (Source::Done, Vec::new(), memory.reserve());
        Arc::new(Cte(Mutex::new(Inner { source, rows, frame, memory, writes: false })))
    }

    /// The rows from `at` on that are there, at most `max`.
    fn piece(&self, at: usize, max: usize) -> RowBatch {
        let inner = self.0.lock();
        let rest = inner.rows.get(at..).unwrap_or_default();
        rest[..rest.len().min(max)].to_vec()
    }

    /// Lets the query run until there are more rows. False at its end.
    async fn advance(&self, ctx: &mut ExecContext<'_>, max: usize) -> Result<bool> {
        let (source, frame) = {
            let mut inner = self.0.lock();
            (std::mem::replace(&mut inner.source, Source::Busy), inner.frame.clone())
        };
        let mut node = match source {
            Source::Planned(plan) => build(&plan, &mut ctx.state),
            Source::Running(node) => node,
            Source::Done => {
                self.0.lock().source = Source::Done;
                return Ok(false);
            }
            Source::Busy => return Err(Error::internal("WITH query reads itself")),
        };
        let around = std::mem::replace(&mut ctx.state.frame, frame);
        let affected = ctx.state.writes.affected;
        let batch = node.next(ctx, max).await;
        ctx.state.frame = around;
        let mut inner = self.0.lock();
        if inner.writes {
            ctx.state.writes.affected = affected;
        }
        match batch? {
            Some(batch) => {
                for row in &batch {
                    inner.memory.row(row)?;
                }
                inner.rows.extend(batch);
                inner.source = Source::Running(node);
                Ok(true)
            }
            None => {
                inner.source = Source::Done;
                Ok(false)
            }
        }
    }
}

/// See [`WithPlan`].
pub struct WithNode {
    plan: Arc<WithPlan>,
    body: Option<Box<dyn Node>>,
}

impl WithNode {
    /// One that has not begun.
    pub fn new(plan: Arc<WithPlan>) -> WithNode {
        WithNode { plan, body: None }
    }
}

#[async_trait]
impl Node for WithNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if self.body.is_none() {
            // Results computed from the CTE of an earlier run are of no use any more.
            ctx.forget_cte(self.plan.cte)?;
            let cte = Cte::of_query(self.plan.query.clone(), &ctx.state, false);
            ctx.state.ctes.insert(self.plan.cte, cte);
            self.body = Some(build(&self.plan.body, &mut ctx.state));
        }
        match &mut self.body {
            Some(body) => body.next(ctx, max).await,
            None => Ok(None),
        }
    }
}

/// See [`StatementsPlan`]. As in PostgreSQL, what nobody read to its end is run when the statement
/// itself is done, the last of WITH first.
pub struct StatementsNode {
    plan: Arc<StatementsPlan>,
    main: Option<Box<dyn Node>>,
}

impl StatementsNode {
    /// One that has not begun.
    pub fn new(plan: Arc<StatementsPlan>) -> StatementsNode {
        StatementsNode { plan, main: None }
    }
}

#[async_trait]
impl Node for StatementsNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if self.main.is_none() {
            for cte in &self.plan.ctes {
                let made = Cte::of_query(cte.query.clone(), &ctx.state, cte.writes);
                ctx.state.ctes.insert(cte.cte, made);
            }
            self.main = Some(build(&self.plan.main, &mut ctx.state));
        }
        if let Some(main) = &mut self.main
            && let Some(batch) = main.next(ctx, max).await?
        {
            return Ok(Some(batch));
        }
        for cte in self.plan.ctes.iter().rev().filter(|cte| cte.writes) {
            let Some(made) = ctx.state.ctes.get(&cte.cte).cloned() else { continue };
            while made.advance(ctx, crate::exec::BATCH_ROWS_MAX).await? {
                ctx.check_cancel()?;
            }
        }
        Ok(None)
    }
}

/// A use of a CTE.
pub struct CteScanNode {
    number: usize,
    cte: Option<Arc<Cte>>,
    at: usize,
}

impl CteScanNode {
    /// From the first row on.
    pub fn new(number: usize) -> CteScanNode {
        CteScanNode { number, cte: None, at: 0 }
    }
}

#[async_trait]
impl Node for CteScanNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        let cte = match &self.cte {
            Some(cte) => Arc::clone(cte),
            None => {
                let Some(cte) = ctx.state.ctes.get(&self.number) else {
                    let number = self.number;
                    return Err(Error::internal(format!("WITH query {number} is not in scope")));
                };
                Arc::clone(self.cte.insert(Arc::clone(cte)))
            }
        };
        loop {
            let piece = cte.piece(self.at, max);
            if !piece.is_empty() {
                self.at += piece.len();
                return Ok(Some(piece));
            }
            ctx.spend(1).await?;
            if !cte.advance(ctx, max).await? {
                return Ok(None);
            }
        }
    }
}

/// See [`RecursivePlan`]: runs the step on the rows of the last round until there are none.
pub struct RecursiveNode {
    plan: Arc<RecursivePlan>,
    running: Option<Box<dyn Node>>,
    /// What `running` reads as the CTE, in a step.
    last_round: Option<Arc<Cte>>,
    /// Rows for the next round.
    round: Vec<Row>,
    seen: HashSet<RowKey>,
    /// For `seen`.
    seen_memory: Reservation,
    /// For `round`.
    round_memory: Reservation,
    done: bool,
}

impl RecursiveNode {
    /// One that has not begun.
    pub fn new(plan: Arc<RecursivePlan>, state: &mut State) -> RecursiveNode {
        RecursiveNode {
            running: Some(build(&plan.base, state)),
            plan,
            last_round: None,
            round: Vec::new(),
            seen: HashSet::new(),
            seen_memory: state.memory.reserve(),
            round_memory: state.memory.reserve(),
            done: false,
        }
    }

    /// Rows that were not there before; all of them for UNION ALL.
    fn fresh(&mut self, rows: RowBatch) -> Result<RowBatch> {
        if self.plan.all {
            return Ok(rows);
        }
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let key = row_key(&row, &self.plan.padded);
            if !self.seen.contains(&key) {
                self.seen_memory.row(&key.0)?;
                self.seen.insert(key);
                out.push(row);
            }
        }
        Ok(out)
    }

    /// The next rows of the base or of the running step, which sees the last round as the CTE.
    async fn pull(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        let Some(running) = &mut self.running else { return Ok(None) };
        let Some(last_round) = &self.last_round else { return running.next(ctx, max).await };
        let around = ctx.state.ctes.insert(self.plan.cte, Arc::clone(last_round));
        let batch = running.next(ctx, max).await;
        if let Some(around) = around {
            ctx.state.ctes.insert(self.plan.cte, around);
        }
        batch
    }

    /// Begins the step over the rows of the round that ended.
    fn next_round(&mut self, ctx: &mut ExecContext<'_>) -> Result<()> {
        ctx.forget_cte(self.plan.cte)?;
        let rows = std::mem::take(&mut self.round);
        self.last_round = Some(Cte::of_rows(rows, &ctx.state.memory));
        self.round_memory.clear();
        self.running = Some(build(&self.plan.step, &mut ctx.state));
        Ok(())
    }
}

#[async_trait]
impl Node for RecursiveNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        while !self.done {
            ctx.spend(1).await?;
            match self.pull(ctx, max).await? {
                Some(batch) => {
                    ctx.spend(batch.len()).await?;
                    let batch = self.fresh(batch)?;
                    for row in &batch {
                        self.round_memory.row(row)?;
                    }
                    self.round.extend(batch.iter().cloned());
                    if !batch.is_empty() {
                        return Ok(Some(batch));
                    }
                }
                None if self.round.is_empty() => self.done = true,
                None => self.next_round(ctx)?,
            }
        }
        Ok(None)
    }
}
