//! COPY FROM: batches of rows through the plan of a one-row INSERT.
//!
//! The plan is `INSERT INTO table (columns) VALUES ($1, …)`; each row is its parameters, so that
//! defaults, casts, constraints and indexes are those of any INSERT. As in PostgreSQL, each row is
//! checked when it has come, and a batch of rows goes into the table and its indexes together.

use std::sync::Arc;

use async_trait::async_trait;

use super::constraints::check_row;
use super::insert::{Way, insert_checked};
use crate::error::{Error, Result};
use crate::exec::context::ExecContext;
use crate::exec::node::{Node, RowBatch};
use crate::plan::node::{InsertPlan, Op, PlanNode};
use crate::plan::scalar::{Env, Scalar, Scalars, Stop};
use crate::types::{Datum, Row};

/// What a batch came to at a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyPlace {
    /// The row of that number in the batch was being checked.
    Checking(usize),
    /// It was on its way into the table.
    Storing(usize),
}

/// A batch of rows on its way in.
pub struct CopyNode {
    plan: Arc<InsertPlan>,
    rows: Vec<Row>,
    store: bool,
    /// Whether a row of parameters is the table's row as it stands.
    whole: bool,
}

impl CopyNode {
    /// Rows to check, and to store if `store`.
    pub fn new(plan: Arc<InsertPlan>, rows: Vec<Row>, store: bool) -> CopyNode {
        let whole = is_whole(&plan.source);
        CopyNode { plan, rows, store, whole }
    }
}

#[async_trait]
impl Node for CopyNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, _max: usize) -> Result<Option<RowBatch>> {
        let rows = std::mem::take(&mut self.rows);
        let plan = &self.plan;
        let mut checked = Vec::with_capacity(rows.len());
        let mut places = Vec::with_capacity(rows.len());
        for (at, row) in rows.into_iter().enumerate() {
            ctx.spend(1).await?;
            ctx.state.copying = Some(CopyPlace::Checking(at));
            let row = if self.whole { row } else { source_row(ctx, &plan.source, &row)? };
            if let Some(filter) = &plan.filter
                && !matches!(ctx.value(filter, &row, &[]).await?, Datum::Bool(true))
            {
                continue;
            }
            check_row(ctx, &plan.target, &plan.checks, &row).await?;
            checked.push(row);
            places.push(at);
        }
        if self.store && !checked.is_empty() {
            let mut state = std::mem::take(&mut ctx.state.writes);
            let before = state.affected;
            let mut out = Vec::new();
            let way = Way::choose(ctx, plan).await?;
            let done = insert_checked(ctx, plan, checked, way, &mut state, &mut out).await;
            let stored = (state.affected - before) as usize;
            let at = places.get(stored).or(places.last()).copied().unwrap_or_default();
            ctx.state.copying = Some(CopyPlace::Storing(at));
            ctx.state.writes = state;
            done?;
        }
        ctx.state.copying = None;
        Ok(None)
    }
}

/// Whether a source gives its parameters, all of them in their order.
fn is_whole(source: &PlanNode) -> bool {
    let in_order = |(at, scalar): (usize, &Scalar)| matches!(scalar, Scalar::Param(n) if *n == at);
    match &source.op {
        Op::Values(values) => match values.rows.as_slice() {
            [scalars] => scalars.list.iter().enumerate().all(in_order),
            _ => false,
        },
        Op::Project(project) => match &project.moves {
            Some(moves) => {
                moves.iter().enumerate().all(|(at, from)| at == *from) && is_whole(&project.input)
            }
            None => false,
        },
        _ => false,
    }
}

/// The table's row that the plan's source makes of one row of parameters.
fn source_row(ctx: &ExecContext<'_>, source: &PlanNode, params: &[Datum]) -> Result<Row> {
    match &source.op {
        Op::Values(values) => match values.rows.as_slice() {
            [scalars] => evaluate(ctx, scalars, params, &[]),
            _ => Err(Error::internal("COPY inserts other than one row")),
        },
        Op::Project(project) => {
            let mut row = source_row(ctx, &project.input, params)?;
            match &project.moves {
                Some(moves) => Ok(moves
                    .iter()
                    .map(|at| std::mem::replace(&mut row[*at], Datum::Null))
                    .collect()),
                None => evaluate(ctx, &project.exprs, params, &row),
            }
        }
        _ => Err(Error::internal("COPY inserts other than values")),
    }
}

fn evaluate(
    ctx: &ExecContext<'_>,
    scalars: &Scalars,
    params: &[Datum],
    row: &[Datum],
) -> Result<Row> {
    let env = Env { params, ..ctx.env(row, &[]) };
    scalars.list.iter().map(|scalar| scalar.eval(&env).map_err(Stop::into_error)).collect()
}
