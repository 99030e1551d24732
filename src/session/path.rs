//! Which path a running query takes: the column path where its plan has one that can serve it,
//! else the row executor.

use super::columns::{Begun, ColumnRun, Staleness};
use super::database::Database;
use crate::error::{Error, Result, SqlState};
use crate::exec::{ExecContext, Execution, RowBatch};
use crate::plan::Plan;

/// The path taken.
pub enum TakenPath {
    /// None yet; and whether somebody wants to see the plan.
    Open {
        /// EXPLAIN does.
        watched: bool,
        /// How old its snapshot may be, if it need not be the newest.
        within: Option<Staleness>,
    },
    /// Columns.
    Columns(Box<ColumnRun>),
    /// Rows, because the column path cannot run the query.
    Rows(Error),
}

impl TakenPath {
    /// A path to be chosen.
    pub fn open(watched: bool) -> TakenPath {
        TakenPath::Open { watched, within: None }
    }

    /// Lets the statement read at an older snapshot.
    pub fn allow(&mut self, staleness: Option<Staleness>) {
        if let TakenPath::Open { within, .. } = self {
            *within = staleness;
        }
    }

    /// Chooses the path, if that has not been done. Nothing runs.
    pub async fn choose(
        &mut self,
        plan: &Plan,
        ctx: &mut ExecContext<'_>,
        database: &Database,
    ) -> Result<()> {
        if let (TakenPath::Open { watched, within }, Some(query)) = (&*self, &plan.columnar) {
            let begun = database.columns.begin(query, ctx, database, *watched, *within).await?;
            *self = match begun {
                Begun::Columns(run) => TakenPath::Columns(run),
                Begun::Rows(why) => give_way(why),
            };
        }
        Ok(())
    }

    /// The next rows of `execution`, or of the same query on the column path.
    pub async fn next_batch(
        &mut self,
        execution: &mut Execution,
        ctx: &mut ExecContext<'_>,
        database: &Database,
        max: usize,
    ) -> Result<Option<RowBatch>> {
        self.choose(execution.plan(), ctx, database).await?;
        if let TakenPath::Columns(run) = self {
            match run.next_batch(ctx, max).await {
                Err(error) if run.gives_way(&error) => *self = give_way(error),
                result => return result,
            }
        }
        execution.next_batch(ctx, max).await
    }

    /// Whether it is the row executor that gives rows.
    pub fn is_rows(&self) -> bool {
        !matches!(self, TakenPath::Columns(_))
    }

    /// What EXPLAIN says of the column path: the lines of its plan, or why it is not taken.
    pub fn describe(&self, plan: &Plan, figures: bool) -> Described {
        match (self, &plan.columnar) {
            (TakenPath::Columns(run), Some(query)) => Described::Plan(run.describe(query, figures)),
            (TakenPath::Rows(why), Some(_)) => {
                Described::Note(format!("Column path not taken: {}", why.message()))
            }
            _ => Described::Nothing,
        }
    }
}

/// What EXPLAIN says of the column path.
pub enum Described {
    /// There is none for the statement.
    Nothing,
    /// It is not taken, and why.
    Note(String),
    /// The plan that runs there, in lines.
    Plan(Vec<String>),
}

/// Leaves a query to the row executor, which reads views itself where it must.
fn give_way(why: Error) -> TakenPath {
    if matches!(why.code(), SqlState::INTERNAL_ERROR | SqlState::DATA_CORRUPTED) {
        tracing::warn!(error = ?why, "the column path gave a statement up");
    }
    TakenPath::Rows(why)
}
