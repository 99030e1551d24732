//! One client's session: what it is told to do, in which transaction, with which settings.
//!
//! ```text
//! wire ── query ─────────────────▶ simple ─┐
//!      ── parse, bind, execute ──▶ extended ┴─▶ statement (parse, bind, plan, cache)
//!                                                   │
//!                                     run ─▶ exec (rows), blocks (transactions),
//!                                            utility (settings, prepared statements)
//! ```
//!
//! The session owns everything that outlives a message: the transaction, prepared statements,
//! portals and settings. The connection is lent to it as a [`Client`] for one call at a time.
//!
//! Invariants: after an error [`Session::fail`] has run before anything else does; a portal never
//! outlives its transaction; BEGIN, COMMIT and SAVEPOINT do what they say.

mod advisory;
mod blocks;
mod client;
mod columns;
mod constraints;
pub mod copy;
mod cursor;
mod database;
mod ddl;
mod environment;
mod explain;
mod extended;
mod hooks;
mod loading;
mod named;
mod names;
mod parquet;
mod path;
mod plans;
mod progress;
pub mod registry;
mod rows;
mod run;
pub mod settings;
mod shapes;
mod simple;
mod statement;
mod system;
mod transaction;
mod transfer;
pub mod utf8;
mod utility;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use client::{Client, CopyInput, Field, Mark, Notice, NoticeSeverity, ResultFormats};
pub use columns::{ColumnOptions, ColumnPath};
pub use database::{Database, POSTGRES_VERSION, VERSION};
pub use extended::{BindRequest, StatementDescription};
pub use transaction::Status;

use self::advisory::AdvisoryLocks;
use self::cursor::Cursor;
use self::environment::Environment;
use self::extended::Portal;
use self::hooks::Hooks;
use self::registry::{Backend, State};
use self::settings::{Settings, Source};
use self::statement::Named;
use self::transaction::{Block, Transaction};
use crate::catalog::descriptor::RoleDescriptor;
use crate::clock::Timestamp;
use crate::error::{Error, Result, SqlState};

/// From the Unix epoch to PostgreSQL's, 2000-01-01, in microseconds.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A client's session.
pub struct Session {
    database: Arc<Database>,
    backend: Arc<Backend>,
    settings: Settings,
    environment: Environment,
    advisory: Arc<AdvisoryLocks>,
    user: String,
    superuser: bool,
    transaction: Option<Transaction>,
    statements: HashMap<String, Named>,
    portals: HashMap<String, Portal>,
    cursors: HashMap<String, Cursor>,
    /// What the client is told before the running statement's tag.
    notices: Vec<Notice>,
    /// Whether the running statement is all of a simple query's text, or a Sync follows it.
    alone: bool,
    /// Whether it is one of several of such a text.
    several: bool,
    /// When the running statement began: microseconds since 2000-01-01 UTC.
    statement_time: i64,
    /// Its newest commit.
    last_commit: Timestamp,
    /// What the client was told last of the parameters it is told of.
    reported: Vec<(&'static str, Arc<str>)>,
    reported_version: u64,
}

/// What a session of a role begins with: the server's settings, the role's, the startup packet's.
fn first_settings(
    database: &Database,
    role: &RoleDescriptor,
    parameters: &[(String, String)],
) -> Result<Settings> {
    let (user, superuser) = (role.name.as_str(), role.superuser);
    let mut settings = database.settings.clone();
    let own =
        [("is_superuser", if superuser { "on" } else { "off" }), ("session_authorization", user)];
    for (name, value) in own {
        settings.set(name, Some(value), false, 0, Source::Server)?;
    }
    for (name, value) in &role.settings {
        // Whoever gave it to the role was allowed to.
        let given = settings.set(name, Some(value), false, 0, Source::Session { superuser: true });
        if let Err(error) = given {
            tracing::warn!(user, name, ?error, "a role's setting is not taken");
        }
    }
    for (name, value) in parameters {
        // As PostgreSQL: the packet may set what the role may set in a session.
        settings.set(name, Some(value), false, 0, Source::Session { superuser })?;
    }
    settings.fix_defaults();
    Ok(settings)
}

impl Session {
    /// A session of `user`; checks that role and database exist and sets the startup's parameters.
    pub fn start(
        database: Arc<Database>,
        backend: Arc<Backend>,
        user: &str,
        database_name: &str,
        parameters: &[(String, String)],
    ) -> Result<Session> {
        let snapshot = database.catalog.snapshot();
        let refused =
            |message| Err(Error::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message));
        let Some(role) = snapshot.role(user) else {
            return refused(format!("role \"{user}\" does not exist"));
        };
        if !role.login {
            return refused(format!("role \"{user}\" is not permitted to log in"));
        }
        if snapshot.database().name != database_name {
            let message = format!("database \"{database_name}\" does not exist");
            return Err(Error::new(SqlState::INVALID_CATALOG_NAME, message)
                .with_hint(format!("The database is \"{}\".", snapshot.database().name)));
        }
        let superuser = role.superuser;
        let settings = first_settings(&database, role, parameters)?;
        {
            let mut activity = backend.activity.lock();
            user.clone_into(&mut activity.user);
            activity.superuser = superuser;
            database_name.clone_into(&mut activity.database);
            settings.value("application_name").clone_into(&mut activity.application_name);
        }
        let transactions = &database.transactions;
        let advisory = AdvisoryLocks::new(transactions.store().clone(), transactions.next_id());
        let advisory = backend.advisory.get_or_init(|| Arc::new(advisory)).clone();
        let environment = Environment::new(
            user,
            database_name,
            Hooks {
                backend: backend.clone(),
                registry: database.registry.clone(),
                advisory: advisory.clone(),
                shared: Arc::default(),
            },
        );
        let reported = settings.reported().collect();
        Ok(Session {
            reported_version: settings.version(),
            database,
            backend,
            settings,
            environment,
            advisory,
            user: user.to_owned(),
            superuser,
            transaction: None,
            statements: HashMap::new(),
            portals: HashMap::new(),
            cursors: HashMap::new(),
            notices: Vec::new(),
            alone: false,
            several: false,
            statement_time: 0,
            last_commit: Timestamp::ZERO,
            reported,
        })
    }

    /// The parameters a client is told at the start.
    pub fn reported_parameters(&self) -> &[(&'static str, Arc<str>)] {
        &self.reported
    }

    /// Tells the client what has changed of the parameters it is told of.
    pub fn report_changes(&mut self, client: &mut impl Client) {
        if self.reported_version == self.settings.version() {
            return;
        }
        self.reported_version = self.settings.version();
        for (known, (name, value)) in self.reported.iter_mut().zip(self.settings.reported()) {
            if known.1 != value {
                client.parameter(name, &value);
                if name == "application_name" {
                    value.as_ref().clone_into(&mut self.backend.activity.lock().application_name);
                }
                known.1 = value;
            }
        }
    }

    /// What `ReadyForQuery` says.
    pub fn status(&self) -> Status {
        self.transaction.as_ref().map_or(Status::Idle, Transaction::status)
    }

    /// Whether a transaction block is open.
    pub fn in_transaction(&self) -> bool {
        self.status() != Status::Idle
    }

    /// How long the client may stay silent now, and the error for staying so longer.
    pub fn idle_timeout(&mut self) -> Option<(Duration, Error)> {
        let knobs = self.environment.knobs(&self.settings);
        let (limit, code, message) = if self.in_transaction() {
            (
                knobs.idle_in_transaction_timeout?,
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle-in-transaction timeout",
            )
        } else {
            (
                knobs.idle_timeout?,
                SqlState::IDLE_SESSION_TIMEOUT,
                "terminating connection due to idle-session timeout",
            )
        };
        Some((limit, Error::new(code, message)))
    }

    /// Forgets what `currval` and `lastval` would give.
    fn forget_sequences(&self) {
        if let Some(counters) = self.database.catalog.snapshot().counters() {
            counters.end_session(self.backend.pid);
        }
    }

    /// The session waits for its client from now on.
    pub fn idle(&mut self) {
        let state = match self.status() {
            Status::Idle => State::Idle,
            Status::InTransaction => State::IdleInTransaction,
            Status::Failed => State::IdleInFailedTransaction,
        };
        self.backend.stop_clock();
        let now = self.database.clock.wall_micros();
        let mut activity = self.backend.activity.lock();
        activity.state = state;
        activity.state_change = now;
        if state == State::Idle {
            activity.transaction_start = 0;
        }
    }

    /// A statement begins.
    fn begin_statement(&mut self, text: &Arc<str>) -> Result<()> {
        self.backend.begin_statement();
        self.alone = false;
        self.several = false;
        self.start_clock();
        let now = self.database.clock.wall_micros();
        self.statement_time = now - POSTGRES_EPOCH_MICROS;
        let mut activity = self.backend.activity.lock();
        activity.state = State::Active;
        activity.query = text.clone();
        activity.query_start = now;
        activity.state_change = now;
        if activity.transaction_start == 0 {
            activity.transaction_start = now;
        }
        drop(activity);
        self.advisory.check()
    }

    /// `statement_timeout` counts from here, unless it counts already.
    fn start_clock(&mut self) {
        let knobs = self.environment.knobs(&self.settings);
        self.backend.start_clock(knobs.statement_timeout, knobs.client_check);
    }

    /// A message ended with an error: the transaction it ran in is void.
    pub async fn fail(&mut self, error: &Error) {
        self.backend.stop_clock();
        let Some(transaction) = &mut self.transaction else { return };
        let level = transaction.level();
        let mark = transaction.advisory_mark();
        match transaction.block {
            Block::Failed => return,
            Block::Implicit => {
                self.transaction = None;
                self.settings.rollback();
            }
            Block::Explicit => {
                if let Err(second) = transaction.fail().await {
                    tracing::warn!(?error, ?second, "could not roll back after an error");
                }
                self.settings.rollback_to(level);
            }
        }
        self.portals.clear();
        self.cursors_failed(level);
        if let Err(second) = self.advisory.back_to(mark).await {
            tracing::warn!(?error, ?second, "could not give up advisory locks after an error");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.forget_sequences();
        self.advisory.end();
    }
}
