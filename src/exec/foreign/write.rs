//! Writes rows of a foreign table: one lightweight transaction for each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::scan::{decode, requests};
use super::{check_isolation, cluster, consistency};
use crate::encoding::cql::write::cell;
use crate::error::{Error, Result, SqlState};
use crate::exec::context::{ExecContext, State};
use crate::exec::node::{Node, Ready, RowBatch, build};
use crate::kv::foreign::{Request, Written};
use crate::plan::foreign::write::{
    ForeignWrite, ForeignWritePlan, Found, count_text, delete_text, insert_text, update_text,
};
use crate::plan::scalar::Scalar;
use crate::types::descriptor::{ForeignDescriptor, ForeignRole};
use crate::types::{Datum, Row, io};

/// Times that a row is read again because it changed between being read and written.
const TRIES_MAX: u32 = 10;
/// The pause before the second try; each later one is as much longer.
const PAUSE: Duration = Duration::from_millis(10);

/// See [`ForeignWritePlan`].
pub struct ForeignWriteNode {
    plan: Arc<ForeignWritePlan>,
    source: Option<Box<dyn Node>>,
    begun: bool,
    ready: Ready,
}

impl ForeignWriteNode {
    /// One that has not begun.
    pub fn new(plan: Arc<ForeignWritePlan>, state: &mut State) -> ForeignWriteNode {
        let source = match &plan.write {
            ForeignWrite::Insert { source, .. } => Some(build(source, state)),
            _ => None,
        };
        ForeignWriteNode { plan, source, begun: false, ready: Ready::default() }
    }

    async fn run(&mut self, ctx: &mut ExecContext<'_>, out: &mut Vec<Row>) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        match &plan.write {
            ForeignWrite::Insert { ignore, .. } => {
                let Some(source) = &mut self.source else { return Ok(()) };
                while let Some(rows) = source.next(ctx, crate::exec::BATCH_ROWS_MAX).await? {
                    for row in rows {
                        ctx.check_cancel()?;
                        if insert(ctx, &plan, &row, *ignore).await? {
                            finish(ctx, &plan, &row, &[], out).await?;
                        }
                    }
                }
                Ok(())
            }
            ForeignWrite::Update { found, sets } => {
                if let Some((new, old)) = update(ctx, &plan, found, sets).await? {
                    finish(ctx, &plan, &new, &old, out).await?;
                }
                Ok(())
            }
            ForeignWrite::Count { found, sets } => count(ctx, &plan, found, sets).await,
            ForeignWrite::Delete { found, counters } => {
                if let Some(old) = delete(ctx, &plan, found, *counters).await? {
                    finish(ctx, &plan, &old, &[], out).await?;
                }
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Node for ForeignWriteNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if !self.begun {
            self.begun = true;
            check_isolation(ctx, &self.plan.table)?;
            let mut out = Vec::new();
            let run = self.run(ctx, &mut out).await;
            let before = ctx.state.writes.affected;
            run.map_err(|e| with_written(e, before))?;
            self.ready = Ready::new(out);
        }
        Ok(self.ready.take(max))
    }
}

/// Says what an error does not undo.
fn with_written(error: Error, rows: u64) -> Error {
    if rows == 0 {
        return error;
    }
    let stay = match rows {
        1 => "One row of this statement was written before, and stays.".to_owned(),
        rows => format!("{rows} rows of this statement were written before, and stay."),
    };
    let detail = match error.detail() {
        Some(detail) => format!("{detail} {stay}"),
        None => stay,
    };
    error.with_detail(detail)
}

/// Counts a row that was written, and computes RETURNING.
async fn finish(
    ctx: &mut ExecContext<'_>,
    plan: &ForeignWritePlan,
    row: &[Datum],
    old: &[Datum],
    out: &mut Vec<Row>,
) -> Result<()> {
    ctx.state.writes.affected += 1;
    if let Some(returning) = &plan.returning {
        out.push(ctx.values(returning, row, old).await?);
    }
    Ok(())
}

fn foreign(plan: &ForeignWritePlan) -> Result<&ForeignDescriptor> {
    let foreign = plan.table.foreign.as_deref();
    foreign.ok_or_else(|| Error::internal("a foreign table that stands for none"))
}

/// The cell of a column's value.
fn cell_of(plan: &ForeignWritePlan, at: usize, value: &Datum) -> Result<Option<Bytes>> {
    let column = &foreign(plan)?.columns[at];
    cell(&column.ty, value).map_err(|e| {
        e.with_context(format!("column \"{}\" of \"{}\"", column.name, plan.table.name))
    })
}

/// Sends a write. While it is under way nobody can say whether it was done.
async fn send(
    ctx: &mut ExecContext<'_>,
    plan: &ForeignWritePlan,
    text: String,
    values: Vec<Option<Bytes>>,
) -> Result<Written> {
    let request = Request {
        table: plan.table.clone(),
        text: text.into(),
        values,
        consistency: consistency(&ctx.eval.session),
    };
    let store = ctx.txn.store().clone();
    ctx.state.store.requests += 1;
    ctx.state.in_flight.store(true, Ordering::Relaxed);
    let written = cluster(&store)?.write(&request).await;
    ctx.state.in_flight.store(false, Ordering::Relaxed);
    written
}

/// Writes a new row; false where there is one of its key and that is to be ignored.
async fn insert(
    ctx: &mut ExecContext<'_>,
    plan: &ForeignWritePlan,
    row: &[Datum],
    ignore: bool,
) -> Result<bool> {
    let table = &plan.table;
    let (mut present, mut values) = (Vec::new(), Vec::new());
    for (at, (column, value)) in foreign(plan)?.columns.iter().zip(row).enumerate() {
        match (value.is_null(), column.role) {
            (true, ForeignRole::Partition(_) | ForeignRole::Clustering(..)) => {
                let name = &table.columns[at].name;
                let message = format!(
                    "null value in column \"{name}\" of relation \"{}\" violates not-null \
                     constraint",
                    table.name
                );
                return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message)
                    .with_detail("It is part of the primary key in the cluster.")
                    .with_table(&table.schema, &table.name)
                    .with_column(name));
            }
            (true, _) => continue,
            (false, ForeignRole::Static) => {
                let name = &table.columns[at].name;
                let what = format!("writing to static column \"{name}\" of a foreign table");
                return Err(Error::unsupported(what)
                    .with_detail("It has one value for all rows of a partition."));
            }
            (false, _) => {
                present.push(at);
                values.push(cell_of(plan, at, value)?);
            }
        }
    }
    match send(ctx, plan, insert_text(table, &present), values).await? {
        Written::Done => Ok(true),
        Written::Refused if ignore => Ok(false),
        Written::Refused => Err(duplicate(ctx, plan, row)?),
    }
}

/// 23505
fn duplicate(ctx: &ExecContext<'_>, plan: &ForeignWritePlan, row: &[Datum]) -> Result<Error> {
    let table = &plan.table;
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for column in foreign(plan)?.key().unwrap_or_default() {
        let Some(at) = table.columns.iter().position(|c| c.id == column.id) else { continue };
        names.push(crate::catalog::quote_ident(&table.columns[at].name).into_owned());
        let shown = io::to_text(&row[at], table.columns[at].ty, &ctx.eval.session.format);
        values.push(shown.unwrap_or_default());
    }
    let message =
        format!("duplicate key value violates the primary key of foreign table \"{}\"", table.name);
    let detail = format!("Key ({})=({}) already exists.", names.join(", "), values.join(", "));
    Ok(Error::new(SqlState::UNIQUE_VIOLATION, message)
        .with_detail(detail)
        .with_table(&table.schema, &table.name))
}

/// A row that is to be written.
struct Target {
    /// The cells of its key.
    key: Vec<Option<Bytes>>,
    /// Its values; all NULL if they are of no importance.
    row: Row,
    /// What the write is to find as it was: columns and cells.
    compared: Vec<(usize, Option<Bytes>)>,
}

/// The row by its key; none if there is none, or it does not satisfy the conditions.
async fn find(
    ctx: &mut ExecContext<'_>,
    plan: &ForeignWritePlan,
    found: &Found,
) -> Result<Option<Target>> {
    let rows = &found.rows;
    let Some(request) = requests(ctx, rows, &[]).await?.pop() else { return Ok(None) };
    let key = request.values.clone();
    if !found.read {
        let row = vec![Datum::Null; rows.width];
        return Ok(Some(Target { key, row, compared: Vec::new() }));
    }
    let store = ctx.txn.store().clone();
    ctx.state.store.requests += 1;
    let page = cluster(&store)?.page(&request, 1, None).await?;
    let Some(cells) = page.rows.into_iter().next() else { return Ok(None) };
    let row = decode(rows, &cells)?;
    if !ctx.all_hold(&rows.filter, &row, &[]).await? {
        return Ok(None);
    }
    let mut compared: Vec<usize> = found.compared.clone();
    // What is NULL is so in a row that is gone, too: something of it must be there.
    if !compared.is_empty() && compared.iter().all(|at| cells[*at].is_none()) {
        let columns = foreign(plan)?.columns.iter().enumerate();
        let mut regular = columns.filter(|(_, c)| c.role == ForeignRole::Regular);
        compared.extend(regular.find(|(at, _)| cells[*at].is_some()).map(|(at, _)| at));
    }
    let compared = compared.into_iter().map(|at| (at, cells[at].clone())).collect();
    Ok(Some(Target { key, row, compared }))
}

/// 40001, after a row changed every time it was to be written.
fn changed(plan: &ForeignWritePlan) -> Error {
    let message = format!(
        "could not serialize access to foreign table \"{}\" due to concurrent updates",
        plan.table.name
    );
    Error::new(SqlState::SERIALIZATION_FAILURE, message)
}

/// Updates the row; the new one and the old one, none if there was none.
async fn update(
    ctx: &mut ExecContext<'_>,
    plan: &ForeignWritePlan,
    found: &Found,
    sets: &[(usize, Scalar)],
) -> Result<Option<(Row, Row)>> {
    for attempt in 0..TRIES_MAX {
        let Some(Target { key, row, compared }) = find(ctx, plan, found).await? else {
            return Ok(None);
        };
        let mut new = row.clone();
        let mut values = Vec::with_capacity(sets.len() + key.len() + compared.len());
        for (at, scalar) in sets {
            new[*at] = ctx.value(scalar, &row, &[]).await?;
            values.push(cell_of(plan, *at, &new[*at])?);
        }
        values.extend(key);
        let (places, cells): (Vec<usize>, Vec<Option<Bytes>>) = compared.into_iter().unzip();
        values.extend(cells);
        let columns: Vec<usize> = sets.iter().map(|(at, _)| *at).collect();
        let text = update_text(&plan.table, &columns, &places);
        match send(ctx, plan, text, values).await? {
            Written::Done => return Ok(Some((new, row))),
            Written::Refused if places.is_empty() => return Ok(None),
            Written::Refused => tokio::time::sleep(PAUSE * attempt).await,
        }
    }
    Err(changed(plan))
}

/// Deletes the row, and gives it; none if there was none.
async fn delete(
    ctx: &mut ExecContext<'_>,
    plan: &ForeignWritePlan,
    found: &Found,
    counters: bool,
) -> Result<Option<Row>> {
    for attempt in 0..TRIES_MAX {
        let Some(Target { key, row, compared }) = find(ctx, plan, found).await? else {
            return Ok(None);
        };
        let (places, cells): (Vec<usize>, Vec<Option<Bytes>>) = match counters {
            true => Default::default(),
            false => compared.into_iter().unzip(),
        };
        let text = delete_text(&plan.table, counters, &places);
        let values = key.into_iter().chain(cells).collect();
        match send(ctx, plan, text, values).await? {
            Written::Done => return Ok(Some(row)),
            Written::Refused if places.is_empty() => return Ok(None),
            Written::Refused => tokio::time::sleep(PAUSE * attempt).await,
        }
    }
    Err(changed(plan))
}

/// Counts a row's counters up, if it is there.
async fn count(
    ctx: &mut ExecContext<'_>,
    plan: &ForeignWritePlan,
    found: &Found,
    sets: &[(usize, Scalar, bool)],
) -> Result<()> {
    let Some(Target { key, row, .. }) = find(ctx, plan, found).await? else { return Ok(()) };
    let mut values = Vec::with_capacity(sets.len() + key.len());
    for (at, scalar, _) in sets {
        let step = ctx.value(scalar, &row, &[]).await?;
        if step.is_null() {
            let name = &plan.table.columns[*at].name;
            let message = format!("counter \"{name}\" cannot be NULL");
            return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message));
        }
        values.push(cell_of(plan, *at, &step)?);
    }
    values.extend(key);
    let columns: Vec<(usize, bool)> = sets.iter().map(|(at, _, minus)| (*at, *minus)).collect();
    send(ctx, plan, count_text(&plan.table, &columns), values).await?;
    ctx.state.writes.affected += 1;
    Ok(())
}
