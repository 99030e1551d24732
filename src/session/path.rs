//! Which path a running query takes: the column path where its plan has one that can serve it,
//! else the row executor.

use super::columns::{Begun, ColumnRun};
use super::database::Database;
use crate::error::{Error, Result, SqlState};
use crate::exec::{ExecContext, Execution, RowBatch};
use crate::plan::ColumnarQuery;

/// The path taken.
pub enum TakenPath {
    /// None yet.
    Open,
    /// Columns.
    Columns(Box<ColumnRun>),
    /// Rows.
    Rows,
}

impl TakenPath {
    /// The next rows of `execution`, or of the same query on the column path.
    pub async fn next_batch(
        &mut self,
        execution: &mut Execution,
        ctx: &mut ExecContext<'_>,
        database: &Database,
        max: usize,
    ) -> Result<Option<RowBatch>> {
        let Some(query) = execution.plan().columnar.clone() else {
            return execution.next_batch(ctx, max).await;
        };
        if let TakenPath::Open = self {
            *self = match database.columns.begin(&query, ctx, database).await? {
                Begun::Columns(run) => TakenPath::Columns(run),
                Begun::Rows(why) => give_way(&query, why)?,
            };
        }
        if let TakenPath::Columns(run) = self {
            match run.next_batch(ctx, max).await {
                Err(error) if run.gives_way(&error) => *self = give_way(&query, error)?,
                result => return result,
            }
        }
        execution.next_batch(ctx, max).await
    }
}

/// Leaves a query to the row path, if it may go there.
fn give_way(query: &ColumnarQuery, why: Error) -> Result<TakenPath> {
    if why.code() == SqlState::INTERNAL_ERROR {
        tracing::warn!(error = ?why, "the column path gave a statement up");
    }
    if query.is_forced() {
        return Err(why.with_hint(
            "Let the row path run it: SET sluice.read_engines = 'row,columnar', and no hint.",
        ));
    }
    Ok(TakenPath::Rows)
}
