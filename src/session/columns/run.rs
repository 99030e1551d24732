//! One query on the column path, inside its transaction.
//!
//! Views are asked for at the transaction's snapshot, with its own writes; or, where the session
//! allows an answer of some age, at the newest snapshot that any of them was made at. Accesses that
//! the row path serves are read through the transaction as the query asks for them: the session
//! drives both, because only it has the transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::super::database::Database;
use super::{ColumnPath, Staleness};
use crate::columnar::engine::{Engine, ScanRequest};
use crate::columnar::exchange::table::FilesTable;
use crate::columnar::lower::TOO_WIDE;
use crate::columnar::lower::run::{QueryRun, Source};
use crate::columnar::query::{RowSource, ViewFacts, ViewTable};
use crate::error::{Error, Result, SqlState};
use crate::exec::{BATCH_ROWS_MAX, ExecContext, Execution, RowBatch, RowStream};
use crate::functions::EvalContext;
use crate::kv::{Hold, KeyRange};
use crate::plan::{self, ColumnarQuery, Path, Plan, PlanSettings, ReadEngines, TableRoute, tree};
use crate::sql::bound::{ColId, Column, Rel, Scan, Statement};
use crate::txn::{Isolation, Txn};
use crate::types::Row;
use crate::types::descriptor::{ColumnId, TableDescriptor};

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
    engine: Arc<Engine>,
    run: QueryRun,
    /// What each access is made of; none: rows.
    facts: Vec<Option<ViewFacts>>,
    /// The time at the start, to tell ages.
    now_micros: i64,
    /// Since when the answer may be out of date; none: it is exact.
    past_micros: Option<i64>,
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
        watched: bool,
        within: Option<Staleness>,
    ) -> Result<Begun> {
        let Some(engine) = &self.engine else {
            let none = Error::unsupported("the column path of a server without views");
            return if query.is_forced() { Err(none) } else { Ok(Begun::Rows(none)) };
        };
        if let Some(past) = within.and_then(|within| past(engine, query, ctx, database, within))
            && let Some(views) = views_at(engine, query, &past).await
        {
            if past.kept {
                ctx.txn.read_at(past.hold);
            }
            let run = start(engine, query, views, ctx, database, watched).await;
            return begun(run.map(|run| ColumnRun { past_micros: Some(past.since_micros), ..run }));
        }
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
        let files = query.accesses().any(|(scan, _)| scan.table.files.is_some());
        if views.iter().all(Option::is_none) && !files {
            let why = missing.unwrap_or_else(|| Error::internal("no access has a view"));
            return Ok(Begun::Rows(why));
        }
        begun(start(engine, query, views, ctx, database, watched).await)
    }
}

fn begun(run: Result<ColumnRun>) -> Result<Begun> {
    match run {
        Ok(run) => Ok(Begun::Columns(Box::new(run))),
        Err(e) if e.code() == SqlState::FEATURE_NOT_SUPPORTED => Ok(Begun::Rows(e)),
        Err(e) => Err(e),
    }
}

/// A snapshot before the transaction's own.
struct Past {
    hold: Arc<Hold>,
    /// Whether the store keeps its versions. Else only views made at it show it.
    kept: bool,
    /// When it was taken: microseconds since 1970.
    since_micros: i64,
}

/// The newest snapshot that a view of the query was made at, if the session may read there and
/// every access can: by views made at that very snapshot, or because the store still has it.
fn past(
    engine: &Engine,
    query: &ColumnarQuery,
    ctx: &ExecContext<'_>,
    database: &Database,
    within: Staleness,
) -> Option<Past> {
    if query.accesses().any(|(scan, _)| scan.table.files.is_some()) {
        return None;
    }
    let columns = query.accesses().filter(|(_, route)| route.path == Path::Column);
    let views: Option<Vec<_>> = columns.map(|(scan, _)| engine.newest_view(&scan.table)).collect();
    let views = views?;
    let (at, since_micros) = views.iter().copied().max()?;
    let near = since_micros >= within.since_micros && at >= within.floor;
    if !near || at >= ctx.txn.snapshot() {
        return None;
    }
    if views.len() == query.routes.len() && views.iter().all(|view| view.0 == at) {
        return Some(Past { hold: Arc::new(Hold::new(at, || {})), kept: false, since_micros });
    }
    let hold = database.transactions.store().hold(at).ok()?;
    Some(Past { hold: Arc::new(hold), kept: true, since_micros })
}

/// The views of a query's accesses at a snapshot; none if one cannot show it.
async fn views_at(
    engine: &Engine,
    query: &ColumnarQuery,
    past: &Past,
) -> Option<Vec<Option<Arc<ViewTable>>>> {
    let mut views = Vec::with_capacity(query.routes.len());
    for (scan, route) in query.accesses() {
        let columns = scan.columns.iter().map(|(id, _)| *id).collect();
        let (table, hold) = (scan.table.clone(), past.hold.clone());
        views.push(match route.path {
            Path::Row => None,
            Path::Column => {
                let request = ScanRequest {
                    table,
                    hold,
                    own: Vec::new(),
                    columns,
                    delta_keys_max: usize::MAX,
                };
                Some(engine.provider(request).await.ok()?)
            }
        });
    }
    Some(views)
}

impl ColumnPath {
    /// The rows of a table by its view, for the row executor.
    pub(in crate::session) async fn rows(
        &self,
        txn: &mut Txn,
        table: &Arc<TableDescriptor>,
        columns: &[ColumnId],
        eval: &EvalContext,
    ) -> Result<RowStream> {
        let Some(engine) = &self.engine else {
            return Err(Error::unsupported("the column path of a server without views"));
        };
        let source = match table.files {
            Some(_) => Source::Files(files(table, columns.to_vec()).await?),
            None => Source::View(snapshot(engine, table, columns.to_vec(), txn, eval).await?),
        };
        let column = |(id, at): (&ColumnId, u32)| {
            let found = table.column_by_id(*id);
            let found = found.ok_or_else(|| Error::internal("a column that is not there"))?;
            let name = Arc::from(found.name.as_str());
            Ok((*id, Column { id: ColId(at), name, ty: found.ty, origin: None }))
        };
        let scan = Scan {
            table: table.clone(),
            alias: Arc::from(table.name.as_str()),
            columns: columns.iter().zip(0..).map(column).collect::<Result<_>>()?,
            filter: Vec::new(),
            lock: None,
            hint: None,
            row_key: None,
        };
        let rel = Rel::Scan(Box::new(scan));
        let run = QueryRun::start(engine, &rel, vec![source], &[], eval)?;
        let rows = |(engine, mut run): (Arc<Engine>, QueryRun)| async {
            let rows = run.next(&engine).await?;
            Ok(rows.map(|rows| (rows, (engine, run))))
        };
        Ok(futures::stream::try_unfold((engine.clone(), run), rows).boxed())
    }
}

/// The view of an access, if it goes to the column path; the inner error says why it cannot.
async fn view(
    engine: &Engine,
    scan: &Scan,
    route: &TableRoute,
    ctx: &mut ExecContext<'_>,
) -> Result<Result<Option<Arc<ViewTable>>>> {
    if route.path == Path::Row || scan.table.files.is_some() {
        return Ok(Ok(None));
    }
    let columns = scan.columns.iter().map(|(id, _)| *id).collect();
    match snapshot(engine, &scan.table, columns, ctx.txn, ctx.eval).await {
        Ok(view) => Ok(Ok(Some(view))),
        Err(e) if e.code() == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE && !route.forced => {
            Ok(Err(e))
        }
        Err(e) => Err(e),
    }
}

/// A table as the running statement of `txn` sees it. A SERIALIZABLE transaction takes note of
/// having read all of it: its commit fails if any of it changes until then.
async fn snapshot(
    engine: &Engine,
    table: &Arc<TableDescriptor>,
    columns: Vec<ColumnId>,
    txn: &mut Txn,
    eval: &EvalContext,
) -> Result<Arc<ViewTable>> {
    let Some(hold) = txn.hold() else {
        return Err(Error::internal("a statement without a snapshot"));
    };
    let own: Vec<_> = txn.own_changes(table.space()).take(OWN_WRITES_MAX + 1).collect();
    if own.len() > OWN_WRITES_MAX {
        return Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("the transaction changed too many rows of table \"{}\"", table.name),
        ));
    }
    let keys_max = eval.session.settings.get("sluice.delta_rows_max");
    let delta_keys_max = keys_max.and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let request = ScanRequest { table: table.clone(), hold, own, columns, delta_keys_max };
    let view = engine.provider(request).await?;
    if txn.isolation() == Isolation::Serializable && !txn.read_only() {
        txn.record_range(KeyRange::all(table.space()));
    }
    Ok(view)
}

async fn start(
    engine: &Arc<Engine>,
    query: &ColumnarQuery,
    views: Vec<Option<Arc<ViewTable>>>,
    ctx: &ExecContext<'_>,
    database: &Database,
    watched: bool,
) -> Result<ColumnRun> {
    let facts = views.iter().map(|view| view.as_ref().map(|v| v.facts())).collect();
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
            None if scan.table.files.is_some() => {
                let columns = scan.columns.iter().map(|(id, _)| *id).collect();
                sources.push(Source::Files(files(&scan.table, columns).await?));
                row_plans.push(None);
            }
            None => {
                sources.push(Source::Rows(row_source(access, sender.clone(), runs.clone())));
                row_plans.push(Some(Arc::new(row_plan(scan, ctx, database)?)));
            }
        }
    }
    let run = match watched {
        false => QueryRun::start(engine, &query.rel, sources, ctx.params, ctx.eval)?,
        true => QueryRun::prepare(engine, &query.rel, sources, ctx.params, ctx.eval).await?,
    };
    let pump = Pump { pulls, plans: row_plans, running: HashMap::new() };
    Ok(ColumnRun {
        engine: engine.clone(),
        run,
        facts,
        now_micros: database.clock.wall_micros(),
        past_micros: None,
        ready: Vec::new().into_iter(),
        given: false,
        pump,
    })
}

/// Files as a table; their schemas are read off this thread.
async fn files(table: &Arc<TableDescriptor>, columns: Vec<ColumnId>) -> Result<Arc<FilesTable>> {
    let table = table.clone();
    let opened = tokio::task::spawn_blocking(move || FilesTable::open(&table, &columns)).await;
    opened.map_err(|e| Error::internal(format!("Parquet files: {e}")))?.map(Arc::new)
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
        seq_scans: true,
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
                rows = self.run.next(&self.engine) => match rows? {
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

    /// The lines of EXPLAIN, of a run that is watched.
    pub(in crate::session) fn describe(&self, query: &ColumnarQuery, figures: bool) -> Vec<String> {
        let mut lines = vec!["Columnar Query".to_owned()];
        lines.extend(self.run.describe(figures).iter().map(|line| format!("  {line}")));
        let age = |since: i64| (self.now_micros - since).max(0) as f64 / 1e6;
        if let Some(since) = self.past_micros {
            lines.push(format!("Snapshot: {:.1} s old (sluice.max_staleness)", age(since)));
        }
        for (route, facts) in query.routes.iter().zip(&self.facts) {
            let (alias, reason) = (&route.alias, &route.reason);
            lines.push(match facts {
                None if route.path == Path::Column => {
                    let files = route.table.files.as_ref().map_or(0, |set| set.files);
                    format!("Path of {alias}: columnar ({reason}); {files} files")
                }
                None => format!("Path of {alias}: row ({reason})"),
                Some(facts) => {
                    format!(
                        "Path of {alias}: columnar ({reason}); view {} made {:.1} s ago, \
                         {} files, {} changed keys, {} rows from the delta",
                        facts.generation,
                        age(facts.made_micros),
                        facts.files,
                        facts.changed_keys,
                        facts.delta_rows
                    )
                }
            });
        }
        lines
    }

    /// Whether the row path can take over after this error: nobody has seen anything yet, and
    /// the error is about this path, not about the statement.
    pub(in crate::session) fn gives_way(&self, error: &Error) -> bool {
        !self.given
            && matches!(
                error.code(),
                TOO_WIDE
                    | SqlState::FEATURE_NOT_SUPPORTED
                    | SqlState::INTERNAL_ERROR
                    | SqlState::DATA_CORRUPTED
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
