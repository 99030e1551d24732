//! One query on the column path, inside its transaction.
//!
//! Views are asked for at the transaction's snapshot, with its own writes. Accesses that the row
//! path serves are read through the transaction as the query asks for them: the session drives
//! both, because only it has the transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::super::database::Database;
use super::ColumnPath;
use crate::columnar::engine::{Engine, ScanRequest};
use crate::columnar::lower::TOO_WIDE;
use crate::columnar::lower::run::{QueryRun, Source};
use crate::columnar::query::{RowSource, ViewTable};
use crate::error::{Error, Result, SqlState};
use crate::exec::{BATCH_ROWS_MAX, ExecContext, Execution, RowBatch};
use crate::kv::KeyRange;
use crate::plan::{self, ColumnarQuery, Path, Plan, PlanSettings, ReadEngines, TableRoute, tree};
use crate::sql::bound::{Rel, Scan, Statement};
use crate::txn::Isolation;
use crate::types::Row;
use crate::types::descriptor::ColumnId;

/// Requests for rows that wait for the session.
const PULLS_AHEAD: usize = 16;

/// Own writes to a table beyond which its rows are read by the row path.
const OWN_WRITES_MAX: usize = 1_000_000;

/// What came of asking for the column path.
pub enum Begun {
    /// The query runs there.
    Columns(Box<ColumnRun>),
    /// The row path has to run it, and why.
    Rows(Error),
}

/// A query on the column path.
pub struct ColumnRun {
    run: QueryRun,
    ready: std::vec::IntoIter<Row>,
    given: bool,
    pump: Pump,
}

/// Serves the query's accesses by the row path.
struct Pump {
    pulls: mpsc::Receiver<Pull>,
    plans: Vec<Option<Arc<Plan>>>,
    running: HashMap<u64, Execution>,
}

/// A request for the next rows of one run of an access.
struct Pull {
    access: usize,
    run: u64,
    reply: oneshot::Sender<Result<Option<Vec<Row>>>>,
}

impl ColumnPath {
    /// Starts a query in the running statement of `ctx`.
    ///
    /// # Errors
    /// What ends the statement: above all that a view that it must read cannot show the snapshot.
    pub(in crate::session) async fn begin(
        &self,
        query: &ColumnarQuery,
        ctx: &mut ExecContext<'_>,
        database: &Database,
    ) -> Result<Begun> {
        let Some(engine) = &self.engine else {
            let none = Error::unsupported("the column path of a server without views");
            return if query.is_forced() { Err(none) } else { Ok(Begun::Rows(none)) };
        };
        let mut views = Vec::with_capacity(query.routes.len());
        let mut missing = None;
        for (scan, route) in query.accesses() {
            views.push(match view(engine, scan, route, ctx).await? {
                Ok(view) => view,
                Err(why) => {
                    missing = Some(why);
                    None
                }
            });
        }
        if views.iter().all(Option::is_none) {
            let why = missing.unwrap_or_else(|| Error::internal("no access has a view"));
            return Ok(Begun::Rows(why));
        }
        match start(engine, query, views, ctx, database) {
            Ok(run) => Ok(Begun::Columns(Box::new(run))),
            Err(e) if e.code() == SqlState::FEATURE_NOT_SUPPORTED => Ok(Begun::Rows(e)),
            Err(e) => Err(e),
        }
    }
}

/// The view of an access, if it goes to the column path; the inner error says why it cannot.
async fn view(
    engine: &Engine,
    scan: &Scan,
    route: &TableRoute,
    ctx: &mut ExecContext<'_>,
) -> Result<Result<Option<Arc<ViewTable>>>> {
    if route.path == Path::Row {
        return Ok(Ok(None));
    }
    let space = scan.table.space();
    let Some(hold) = ctx.txn.hold() else {
        return Err(Error::internal("a statement without a snapshot"));
    };
    let own: Vec<_> = ctx.txn.own_changes(space).take(OWN_WRITES_MAX + 1).collect();
    if own.len() > OWN_WRITES_MAX {
        let why = Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("the transaction changed too many rows of table \"{}\"", scan.table.name),
        );
        return if route.forced { Err(why) } else { Ok(Err(why)) };
    }
    let columns: Vec<ColumnId> = scan.columns.iter().map(|(id, _)| *id).collect();
    let request = ScanRequest { table: scan.table.clone(), hold, own, columns };
    match engine.provider(request).await {
        Ok(view) => {
            if ctx.txn.isolation() == Isolation::Serializable && !ctx.txn.read_only() {
                ctx.txn.record_range(KeyRange::all(space));
            }
            Ok(Ok(Some(view)))
        }
        Err(e) if e.code() == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE && !route.forced => {
            Ok(Err(e))
        }
        Err(e) => Err(e),
    }
}

fn start(
    engine: &Engine,
    query: &ColumnarQuery,
    views: Vec<Option<Arc<ViewTable>>>,
    ctx: &ExecContext<'_>,
    database: &Database,
) -> Result<ColumnRun> {
    let (sender, pulls) = mpsc::channel(PULLS_AHEAD);
    let runs = Arc::new(AtomicU64::new(0));
    let mut sources = Vec::with_capacity(views.len());
    let mut row_plans = Vec::with_capacity(views.len());
    for (access, (view, (scan, _))) in views.into_iter().zip(query.accesses()).enumerate() {
        match view {
            Some(view) => {
                sources.push(Source::View(view));
                row_plans.push(None);
            }
            None => {
                sources.push(Source::Rows(row_source(access, sender.clone(), runs.clone())));
                row_plans.push(Some(Arc::new(row_plan(scan, ctx, database)?)));
            }
        }
    }
    let run = QueryRun::start(engine, &query.rel, sources, ctx.params, ctx.eval)?;
    let pump = Pump { pulls, plans: row_plans, running: HashMap::new() };
    Ok(ColumnRun { run, ready: Vec::new().into_iter(), given: false, pump })
}

/// The plan that reads one access by the row path: its own conditions make keys where they can.
fn row_plan(scan: &Scan, ctx: &ExecContext<'_>, database: &Database) -> Result<Plan> {
    let mut scan = scan.clone();
    // The query computes subqueries once, above; the access needs no result of theirs.
    scan.filter.retain(|e| !tree::has_subquery(e));
    scan.hint = None;
    let settings = PlanSettings {
        eval: ctx.eval,
        statistics: &database.statistics,
        ordered: database.transactions.store().capabilities().ordered,
        engines: ReadEngines::default(),
        labels: false,
    };
    let mut plan = plan::plan(Statement::Query(Rel::Scan(Box::new(scan))), &settings)?;
    plan.columnar = None;
    Ok(plan)
}

fn row_source(access: usize, pulls: mpsc::Sender<Pull>, runs: Arc<AtomicU64>) -> RowSource {
    Arc::new(move || {
        let run = runs.fetch_add(1, Ordering::Relaxed);
        let pulls = pulls.clone();
        futures::stream::try_unfold((), move |()| {
            let pulls = pulls.clone();
            async move {
                let (reply, answer) = oneshot::channel();
                let gone = || Error::new(SqlState::QUERY_CANCELED, "the statement has ended");
                pulls.send(Pull { access, run, reply }).await.map_err(|_| gone())?;
                let rows = answer.await.map_err(|_| gone())??;
                Ok(rows.map(|rows| (rows, ())))
            }
        })
        .boxed()
    })
}

impl ColumnRun {
    /// The next rows, at most `max`; none at the end.
    pub(in crate::session) async fn next_batch(
        &mut self,
        ctx: &mut ExecContext<'_>,
        max: usize,
    ) -> Result<Option<RowBatch>> {
        loop {
            let rows: RowBatch = self.ready.by_ref().take(max).collect();
            if !rows.is_empty() {
                self.given = true;
                return Ok(Some(rows));
            }
            let pull = tokio::select! {
                biased;
                Some(pull) = self.pump.pulls.recv() => pull,
                rows = self.run.next() => match rows? {
                    Some(rows) => {
                        self.ready = rows.into_iter();
                        continue;
                    }
                    None => return Ok(None),
                },
            };
            self.pump.serve(pull, ctx).await;
        }
    }

    /// Whether the row path can take over after this error: nobody has seen anything yet, and
    /// the error is about this path, not about the statement.
    pub(in crate::session) fn gives_way(&self, error: &Error) -> bool {
        !self.given
            && matches!(
                error.code(),
                TOO_WIDE | SqlState::FEATURE_NOT_SUPPORTED | SqlState::INTERNAL_ERROR
            )
    }
}

impl Pump {
    async fn serve(&mut self, pull: Pull, ctx: &mut ExecContext<'_>) {
        let plan = &self.plans[pull.access];
        let answer = match (self.running.get_mut(&pull.run), plan) {
            (Some(running), _) => running.next_batch(ctx, BATCH_ROWS_MAX).await,
            (None, Some(plan)) => {
                let running = self.running.entry(pull.run);
                let running = running.or_insert_with(|| Execution::new(plan.clone()));
                running.next_batch(ctx, BATCH_ROWS_MAX).await
            }
            (None, None) => Err(Error::internal("an access without a plan")),
        };
        // Whoever asked may be gone: then nobody needs the rows.
        let _ = pull.reply.send(answer);
    }
}
