//! Set-returning functions, run in step.

use std::sync::Arc;

use async_trait::async_trait;

use super::context::{ExecContext, State};
use super::node::{Node, RowBatch, build};
use crate::error::Result;
use crate::plan::node::{FunctionPlan, SetCall};
use crate::types::{Datum, Row};

type SetRows = Box<dyn Iterator<Item = Result<Row>> + Send>;

/// The rows of the calls for one input row.
struct Running {
    input: Row,
    calls: Vec<Option<SetRows>>,
    number: i64,
    given: bool,
}

/// See [`FunctionPlan`].
pub struct FunctionNode {
    plan: Arc<FunctionPlan>,
    input: Option<Box<dyn Node>>,
    waiting: std::vec::IntoIter<Row>,
    running: Option<Running>,
    begun: bool,
}

impl FunctionNode {
    /// One that has not begun.
    pub fn new(plan: Arc<FunctionPlan>, state: &mut State) -> FunctionNode {
        FunctionNode {
            input: plan.input.as_ref().map(|i| build(i, state)),
            waiting: Vec::new().into_iter(),
            running: None,
            begun: false,
            plan,
        }
    }

    async fn next_input(&mut self, ctx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        let Some(input) = &mut self.input else {
            let first = !std::mem::replace(&mut self.begun, true);
            return Ok(first.then(Row::new));
        };
        loop {
            if let Some(row) = self.waiting.next() {
                return Ok(Some(row));
            }
            match input.next(ctx, super::BATCH_ROWS_MAX).await? {
                Some(batch) => self.waiting = batch.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// The next row of the running calls; none when all are at their end.
    fn step(&mut self) -> Result<Option<Row>> {
        let plan = &self.plan;
        let Some(running) = &mut self.running else { return Ok(None) };
        let mut any = false;
        let mut row = running.input.clone();
        for (slot, call) in running.calls.iter_mut().zip(&plan.calls) {
            let own = match slot.as_mut().and_then(Iterator::next) {
                Some(own) => {
                    any = true;
                    own?
                }
                None => {
                    *slot = None;
                    vec![Datum::Null; call.width]
                }
            };
            row.extend(own);
        }
        let lone = plan.outer && !running.given;
        if !any && !lone {
            self.running = None;
            return Ok(None);
        }
        running.given = true;
        if plan.ordinality {
            running.number += 1;
            row.push(if any { Datum::Int8(running.number) } else { Datum::Null });
        }
        Ok(Some(row))
    }
}

async fn open(ctx: &mut ExecContext<'_>, plan: &FunctionPlan, input: Row) -> Result<Running> {
    let mut calls = Vec::with_capacity(plan.calls.len());
    for call in &plan.calls {
        calls.push(start(ctx, call, &input).await?);
    }
    Ok(Running { input, calls, number: 0, given: false })
}

/// The rows of a call. A strict function of a NULL gives none.
async fn start(
    ctx: &mut ExecContext<'_>,
    call: &SetCall,
    input: &[Datum],
) -> Result<Option<SetRows>> {
    let args = ctx.values(&call.args, input, &[]).await?;
    if call.function.strict && args.iter().any(Datum::is_null) {
        return Ok(None);
    }
    (call.code)(ctx.eval, &args).map(Some)
}

#[async_trait]
impl Node for FunctionNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        let mut out = Vec::new();
        while out.len() < max {
            ctx.spend(1).await?;
            if self.running.is_none() {
                let Some(input) = self.next_input(ctx).await? else { break };
                self.running = Some(open(ctx, &self.plan, input).await?);
            }
            if let Some(row) = self.step()? {
                out.push(row);
            }
        }
        Ok((!out.is_empty()).then_some(out))
    }
}
