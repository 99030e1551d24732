//! Runs plans: the transaction's statement, batches of rows to the client, the tag.

use std::borrow::Cow;
use std::sync::Arc;

use super::Session;
use super::client::Client;
use super::columns::Staleness;
use super::database::Database;
use super::extended::{Portal, PortalState};
use super::names::Named;
use super::path::{Described, TakenPath};
use super::statement::{Body, Prepared};
use super::system::SystemTables;
use super::transaction::Block;
use crate::catalog::{Catalog, CatalogSnapshot};
use crate::clock::Timestamp;
use crate::error::{Error, Result, SqlState};
use crate::exec::{CopyPlace, ExecContext, Execution, RowBatch, State};
use crate::plan::explain::NodeFigures;
use crate::plan::{Plan, StatementKind};
use crate::txn::{Discipline, Isolation, Statement, Txn};
use crate::types::descriptor::Loaded;
use crate::types::{Datum, Row};

/// Times that a statement is run again after a conflict, before the client is told.
const RETRIES_MAX: usize = 20;

/// Times that a statement is bound again because the schema changed, before the client is told.
pub(super) const STALE_MAX: usize = 100;

/// Rows that are asked of an execution at once when all are wanted.
const BATCH_ROWS: usize = 1024;

/// Rows of a RETURNING that is read in parts: all are kept from its start on.
const HELD_ROWS_MAX: usize = 1_000_000;

/// An execution that has begun.
pub struct Running {
    execution: Execution,
    /// Where it runs.
    path: TakenPath,
    /// The transaction's statement, to be entered again.
    statement: Option<Statement>,
    /// The schema it was bound against.
    schema: Arc<CatalogSnapshot>,
    /// Whether a change of the schema came between: it is to be bound again.
    stale: bool,
    /// Whether the schema may change: its tables are locked, or it has none.
    pinned: bool,
    /// Whether it reads one key's newest version, or writes by key, without a snapshot.
    lone: bool,
    /// Whether it writes without locks, and its commit follows at once.
    hopes: bool,
    /// Whether it is a part of a statement that has a snapshot.
    is_part: bool,
}

/// How far a call takes an execution. Each step does those before it that are not done.
#[derive(Clone, Copy)]
pub enum Step {
    /// The statement begins: its snapshot, its tables' locks, its schema.
    Begin,
    /// The path is chosen, and the views that it reads are opened.
    ChoosePath,
    /// Rows, at most so many.
    Rows(usize),
}

impl Running {
    /// A run of `plan` that has not begun.
    pub fn new(plan: Arc<Plan>, schema: Arc<CatalogSnapshot>) -> Running {
        Running::of(Execution::new(plan), schema, false)
    }

    /// A run that keeps figures of every node.
    pub fn profiled(plan: Arc<Plan>, schema: Arc<CatalogSnapshot>) -> Running {
        Running::of(Execution::profiled(plan), schema, true)
    }

    fn of(execution: Execution, schema: Arc<CatalogSnapshot>, watched: bool) -> Running {
        Running {
            execution,
            path: TakenPath::open(watched),
            statement: None,
            schema,
            stale: false,
            pinned: false,
            lone: false,
            hopes: false,
            is_part: false,
        }
    }

    /// A batch of COPY FROM into tables that the transaction has locked; see
    /// [`Execution::copying`].
    pub fn copying(
        plan: Arc<Plan>,
        schema: Arc<CatalogSnapshot>,
        rows: Vec<Row>,
        store: bool,
    ) -> Result<Running> {
        let execution = Execution::copying(plan, rows, store)?;
        Ok(Running { is_part: true, ..Running::of(execution, schema, false).pinned() })
    }

    /// Rows written so far.
    pub fn affected(&self) -> u64 {
        self.execution.affected()
    }

    /// Where a batch of COPY FROM failed.
    pub fn copy_place(&self) -> Option<CopyPlace> {
        self.execution.copy_place()
    }

    /// A run whose tables the transaction has locked already, or that has none.
    pub fn pinned(self) -> Running {
        Running { pinned: true, ..self }
    }

    /// Whether it failed because a change of the schema came between binding it and running it.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// The schema it was bound against.
    pub fn schema(&self) -> &Arc<CatalogSnapshot> {
        &self.schema
    }

    /// Has it write without locks: see [`Session::may_hope`].
    pub fn hope(&mut self) {
        self.hopes = true;
    }

    /// What EXPLAIN says of the column path.
    pub fn describe(&self, figures: bool) -> Described {
        self.path.describe(self.plan(), figures)
    }

    /// The figures so far.
    pub fn figures(&self) -> &[NodeFigures] {
        self.execution.figures()
    }

    /// The same run from its start.
    pub fn again(&mut self) {
        self.execution = Execution::new(self.plan().clone());
        self.path = TakenPath::open(false);
    }

    /// What runs.
    pub fn plan(&self) -> &Arc<Plan> {
        self.execution.plan()
    }
}

impl Session {
    /// Runs a plan from its start, again after a conflict where nobody has seen anything of it,
    /// and bound again where the schema has changed since it was bound.
    pub(super) async fn start_plan(
        &mut self,
        client: &mut impl Client,
        portal: &mut Portal,
        prepared: &Arc<Prepared>,
        plan: &Arc<Plan>,
        rows_max: usize,
    ) -> Result<()> {
        self.check_writes(plan)?;
        let mark = client.mark();
        let again = self.may_run_again();
        let (mut prepared, mut plan) = (prepared.clone(), plan.clone());
        let mut hopeful = true;
        for attempt in 0.. {
            let schema = prepared.schema.clone();
            let mut running = Running::new(plan.clone(), schema);
            let hopes = hopeful && self.may_hope(&plan);
            if hopes {
                running.hope();
            }
            portal.state = PortalState::Running(Box::new(running));
            let mut ended = self.advance_plan(client, portal, rows_max).await;
            if hopes && ended.is_ok() {
                ended = self.commit_implicit().await;
                if ended.is_err() {
                    client.take_back_completion();
                }
            }
            match ended {
                Err(error) if is_stale(&portal.state) => {
                    tracing::debug!(attempt, "statement is bound again");
                    if attempt >= STALE_MAX {
                        return Err(error);
                    }
                    if hopes {
                        // It ran before it learned of the change: what it has written is void.
                        self.begin_again()?;
                    }
                    prepared = self.revalidate(&prepared)?;
                    let Body::Plan(bound) = &prepared.body else {
                        return Err(Error::internal("a plan bound again is none"));
                    };
                    plan = bound.clone();
                }
                Err(error)
                    if again
                        && attempt < RETRIES_MAX
                        && error.code() == SqlState::SERIALIZATION_FAILURE
                        && client.rewind(mark) =>
                {
                    tracing::debug!(?error, attempt, "statement is run again");
                    hopeful = false;
                    self.begin_again()?;
                }
                result => return result,
            }
        }
        Ok(())
    }

    /// Gives the implicit transaction of one statement a new one in the store.
    fn begin_again(&mut self) -> Result<()> {
        let transaction = self.transaction()?;
        transaction.txn = None;
        transaction.queried = false;
        Ok(())
    }

    /// Whether the statement is alone in an implicit READ COMMITTED transaction.
    pub(super) fn may_run_again(&self) -> bool {
        self.transaction.as_ref().is_some_and(|t| {
            t.block == Block::Implicit
                && !t.queried
                && t.schema.is_none()
                && t.modes.level() == Isolation::ReadCommitted
        })
    }

    /// Whether a statement writes without locks, which are dear, and is run again with them if
    /// its commit meets a conflict: it is all of an implicit READ COMMITTED transaction.
    pub(super) fn may_hope(&mut self, plan: &Plan) -> bool {
        let store = self.database.transactions.store();
        if store.capabilities().cheap_locks || !self.alone || !self.may_run_again() {
            return false;
        }
        // Who waits for a limited time only has to wait for locks.
        let patient = self.environment.knobs(&self.settings).lock_timeout_ms == 0;
        let schema = self.database.catalog.snapshot();
        patient && plan.may_hope(|table| !schema.references_to(table.id).is_empty())
    }

    /// Whether a statement needs no snapshot: it reads one key, or writes by key and hopes, alone
    /// in an implicit READ COMMITTED transaction, and snapshots are dear.
    fn is_lone(&self, plan: &Plan, hopes: bool) -> bool {
        let cheap = self.database.transactions.store().capabilities().cheap_snapshots;
        let by_key = if hopes { plan.writes_by_key() } else { plan.reads_one_key() };
        !cheap && by_key && self.may_run_again()
    }

    /// How a statement keeps others from the rows it writes.
    fn discipline(&mut self, hopes: bool) -> Discipline {
        if hopes {
            return Discipline::Hopes;
        }
        match self.in_block() && self.environment.knobs(&self.settings).optimistic {
            true => Discipline::Looks,
            false => Discipline::Locks,
        }
    }

    /// How old a statement's snapshot may be: it only reads, is alone in an implicit READ
    /// COMMITTED transaction, and `sluice.max_staleness` is set. A block's statements agree on
    /// what they see, so there each is exact.
    fn staleness(&mut self, plan: &Plan) -> Option<Staleness> {
        let max = self.environment.knobs(&self.settings).max_staleness?;
        let reads = plan.kind == StatementKind::Select && !plan.writes;
        let query = plan.columnar.as_ref().filter(|_| reads && self.may_run_again())?;
        if query.accesses().any(|(scan, _)| scan.lock.is_some()) {
            return None;
        }
        let now = self.database.clock.wall_micros();
        let max = i64::try_from(max.as_micros()).unwrap_or(i64::MAX);
        // Nor before a table was loaded: its rows do not tell when.
        let loaded = query.accesses().map(|(scan, _)| scan.table.loaded);
        let loaded = loaded.filter_map(|loaded| match loaded {
            Loaded::At(ts) => Some(ts),
            _ => None,
        });
        let floor = loaded.fold(self.last_commit, Timestamp::max);
        Some(Staleness { since_micros: now.saturating_sub(max), floor })
    }

    /// 25001 for a write to a foreign table that is not all of its message and its transaction.
    pub(super) fn check_foreign(&self, plan: &Plan, what: &str) -> Result<()> {
        let Some(table) = &plan.foreign else { return Ok(()) };
        let first = self
            .transaction
            .as_ref()
            .is_none_or(|t| t.block == Block::Implicit && !t.queried && t.schema.is_none());
        if first && !self.several {
            return Ok(());
        }
        let name = &table.name;
        let message =
            format!("{what} on foreign table \"{name}\" cannot run inside a transaction block");
        Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message)
            .with_detail("It is no part of the transaction and would not be rolled back with it.")
            .with_hint("Run it by itself, with autocommit."))
    }

    /// 25006 for a write in a READ ONLY transaction.
    fn check_writes(&mut self, plan: &Plan) -> Result<()> {
        let what = match plan.kind {
            StatementKind::Select if !plan.writes => return Ok(()),
            StatementKind::Select => "SELECT",
            StatementKind::Insert => "INSERT",
            StatementKind::Update => "UPDATE",
            StatementKind::Delete => "DELETE",
        };
        self.check_read_write(what)?;
        self.check_foreign(plan, what)
    }

    /// 25006 in a READ ONLY transaction.
    pub(super) fn check_read_write(&mut self, what: &str) -> Result<()> {
        if self.transaction()?.modes.read_only {
            return Err(Error::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {what} in a read-only transaction"),
            ));
        }
        Ok(())
    }

    /// Runs a plan on: at most `rows_max` rows; 0 is all.
    pub(super) async fn advance_plan(
        &mut self,
        client: &mut impl Client,
        portal: &mut Portal,
        rows_max: usize,
    ) -> Result<()> {
        let PortalState::Running(running) = &mut portal.state else {
            return Err(Error::internal("the portal is not running"));
        };
        let writes = running.plan().kind != StatementKind::Select;
        if running.plan().writes && rows_max > 0 && portal.prepared.fields.is_some() {
            // As PostgreSQL: what writes runs to its end at once, whatever the client takes of it.
            let mut rows = Vec::new();
            while let Some(batch) = self.next_batch(running, &portal.parameters, BATCH_ROWS).await?
            {
                if rows.len() + batch.len() > HELD_ROWS_MAX {
                    return Err(Error::new(
                        SqlState::OUT_OF_MEMORY,
                        format!("RETURNING gives more than {HELD_ROWS_MAX} rows to a cursor"),
                    ));
                }
                rows.extend(batch);
            }
            let count = if writes { running.execution.affected() } else { rows.len() as u64 };
            let tag = tag(running.plan().kind, count);
            portal.state = PortalState::Held(rows.into_iter(), tag);
            return self.send_held(client, portal, rows_max).await;
        }
        let info = self.environment.info(&mut self.settings);
        let fields = portal.prepared.fields.clone().unwrap_or_default();
        let named = Named::of(&fields, &portal.formats);
        let mut sent = 0;
        loop {
            let wanted = match rows_max {
                0 => BATCH_ROWS,
                max => (max - sent).min(BATCH_ROWS),
            };
            let batch = self.next_batch(running, &portal.parameters, wanted).await;
            self.tell(client);
            let Some(mut batch) = batch? else { break };
            if !named.is_empty() {
                named.write(&mut batch, &self.eval_context(&running.schema));
            }
            sent += batch.len();
            for row in &batch {
                client.row(row, &fields, &portal.formats, &info.format)?;
                if client.is_full() {
                    client.flush().await?;
                }
            }
            if sent == rows_max {
                client.suspended();
                return Ok(());
            }
            if running.path.is_rows() && running.execution.is_over() {
                break;
            }
        }
        let count = if writes { running.execution.affected() } else { sent as u64 };
        let tag = tag(running.plan().kind, count);
        portal.state = PortalState::Done;
        client.complete(&tag);
        Ok(())
    }

    /// The next rows of an execution, in its transaction's statement.
    pub(super) async fn next_batch(
        &mut self,
        running: &mut Running,
        parameters: &[Datum],
        max: usize,
    ) -> Result<Option<RowBatch>> {
        self.advance(running, parameters, Step::Rows(max)).await
    }

    /// Takes a step of an execution; only [`Step::Rows`] gives any.
    pub(super) async fn advance(
        &mut self,
        running: &mut Running,
        parameters: &[Datum],
        step: Step,
    ) -> Result<Option<RowBatch>> {
        let _away = match self.backend.place.get().cloned() {
            Some(place) if running.plan().waits => Some(place.away().await),
            _ => None,
        };
        running.lone |= running.statement.is_none() && self.is_lone(running.plan(), running.hopes);
        let batch = self.step_of_statement(running, parameters, step).await;
        let batch =
            batch.map_err(|e| if running.execution.is_unsettled() { unsettled(e) } else { e });
        // What functions of a failed statement have set is void; what they said is not.
        let (changes, notices) = self.environment.take_changes();
        self.notices.extend(notices);
        let batch = batch?;
        self.make_changes(changes)?;
        Ok(batch)
    }

    /// A step in the execution's statement of the transaction.
    async fn step_of_statement(
        &mut self,
        running: &mut Running,
        parameters: &[Datum],
        step: Step,
    ) -> Result<Option<RowBatch>> {
        self.ensure_txn()?;
        let staleness = self.staleness(running.plan());
        let discipline = self.discipline(running.hopes);
        let eval = self.eval_context(&running.schema);
        let none = || Error::internal("no transaction");
        let transaction = self.transaction.as_mut().ok_or_else(none)?;
        let txn = transaction.txn.as_mut().ok_or_else(none)?;
        transaction.queried = true;
        let Running { execution, path, statement, schema, stale, pinned, lone, is_part, .. } =
            running;
        let begins = statement.is_none();
        if begins {
            path.allow(staleness);
        }
        let (own, adapted) = (&transaction.schema, &transaction.adapted);
        let deferred = &mut transaction.deferred;
        let (database, catalog) = (&self.database, &self.database.catalog);
        let work = async {
            match statement {
                Some(statement) => txn.enter(statement),
                None if *is_part => txn.begin_part(),
                None => begin(txn, execution.plan(), (*lone, discipline), database).await?,
            }
            let mut context = ExecContext {
                txn,
                deferred,
                eval: &eval,
                params: parameters,
                catalog: schema,
                virtuals: &SystemTables {
                    schema,
                    eval: &eval,
                    columns: &database.columns,
                    cursors: &self.cursors,
                    statements: &self.statements,
                },
                cancel: &self.backend.token(),
                state: State::default(),
            };
            if begins {
                execution.lock_tables(&mut context).await?;
                // DDL that was committed before the snapshot or the locks has been published now.
                let plain = own.is_none() && context.txn.isolation() == Isolation::ReadCommitted;
                if !(plain && catalog.is_settled(schema)) {
                    let published = catalog.settled().await?;
                    let seen = adapted.adapt(catalog, published, own.as_ref(), context.txn);
                    *stale = !*pinned && !Arc::ptr_eq(&seen, schema);
                    check_schema(*stale)?;
                }
            }
            let batch = match step {
                Step::Begin => None,
                Step::ChoosePath => {
                    path.choose(execution.plan(), &mut context, database).await?;
                    None
                }
                Step::Rows(max) => {
                    let batch = path.next_batch(execution, &mut context, database, max).await;
                    let late = is_late(context.txn, catalog, schema, batch.is_err());
                    *stale = std::mem::take(lone) && late.await?;
                    check_schema(*stale)?;
                    batch?
                }
            };
            *statement = Some(context.txn.statement());
            Ok(batch)
        };
        self.backend.check()?;
        self.backend.interruptible(work).await
    }
}

/// 40003 for a statement that ended while a write to a foreign table was under way.
fn unsettled(error: Error) -> Error {
    let message = "it is not known whether the write to the foreign table was done";
    Error::new(SqlState::STATEMENT_COMPLETION_UNKNOWN, message)
        .with_detail(format!("While it was under way: {}.", error.message()))
        .with_hint("Look whether its effect is there before doing it again.")
}

/// Begins a statement of a transaction. A lone one takes no snapshot.
async fn begin(
    txn: &mut Txn,
    plan: &Plan,
    (lone, discipline): (bool, Discipline),
    database: &Database,
) -> Result<()> {
    txn.set_discipline(discipline);
    if let Some(query) = &plan.columnar {
        database.columns.wait_ready(query).await?;
    }
    if lone {
        txn.begin_without_snapshot();
        return Ok(());
    }
    txn.begin_statement().await
}

/// Whether the schema changed before a statement without a snapshot: only its reads tell.
async fn is_late(
    txn: &mut Txn,
    catalog: &Catalog,
    schema: &Arc<CatalogSnapshot>,
    failed: bool,
) -> Result<bool> {
    txn.end_without_snapshot(failed).await?;
    Ok(!catalog.is_settled(schema) && !Arc::ptr_eq(&catalog.settled().await?, schema))
}

/// Whether a portal's run failed because the schema had changed since it was bound.
fn is_stale(state: &PortalState) -> bool {
    matches!(state, PortalState::Running(running) if running.is_stale())
}

/// What a statement ends with that cannot be bound again.
fn check_schema(stale: bool) -> Result<()> {
    if stale {
        return Err(Error::new(
            SqlState::SERIALIZATION_FAILURE,
            "could not serialize access due to concurrent changes of the schema",
        ));
    }
    Ok(())
}

/// A command tag.
fn tag(kind: StatementKind, rows: u64) -> Cow<'static, str> {
    match kind {
        // Most statements that are over soon.
        StatementKind::Select if rows == 1 => return "SELECT 1".into(),
        StatementKind::Insert if rows == 1 => return "INSERT 0 1".into(),
        StatementKind::Update if rows == 1 => return "UPDATE 1".into(),
        StatementKind::Select => format!("SELECT {rows}"),
        StatementKind::Insert => format!("INSERT 0 {rows}"),
        StatementKind::Update => format!("UPDATE {rows}"),
        StatementKind::Delete => format!("DELETE {rows}"),
    }
    .into()
}
