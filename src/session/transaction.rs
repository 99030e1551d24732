//! A session's transaction: its block, its savepoints, its modes.
//!
//! ```text
//!            BEGIN                    error
//! (none) ───────────▶ Explicit ─────────────────▶ Failed
//!   │ ▲                 │  ▲                        │ │
//!   │ └── COMMIT, ──────┘  └──── ROLLBACK TO ───────┘ │
//!   │     ROLLBACK ◀──────────────────────────────────┘
//!   └── any statement ──▶ Implicit ── end of message, Sync ──▶ (none)
//! ```
//!
//! The store's transaction begins with the first statement that needs one. A failed block without
//! savepoints has given up its transaction, and with it every lock; with savepoints, only what
//! came after the last one.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::catalog::{Catalog, CatalogSnapshot};
use crate::clock::Timestamp;
use crate::error::{Error, Result, SqlState};
use crate::exec::{DeferredChecks, DeferredMark};
use crate::sql::statement::{IsolationLevel, TransactionModes};
use crate::txn::{Isolation, SavepointId, Txn};

/// Most savepoints in one transaction.
const SAVEPOINTS_MAX: usize = 10_000;

/// A transaction's state, as `ReadyForQuery` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Outside a transaction block.
    Idle,
    /// In one.
    InTransaction,
    /// In a failed one.
    Failed,
}

impl Status {
    /// The letter that stands for it.
    pub fn letter(self) -> u8 {
        match self {
            Status::Idle => b'I',
            Status::InTransaction => b'T',
            Status::Failed => b'E',
        }
    }
}

/// How a transaction came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// By a statement; ends with the message or at Sync.
    Implicit,
    /// By BEGIN.
    Explicit,
    /// By BEGIN, and something in it went wrong.
    Failed,
}

/// The modes in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// Isolation level, as asked for.
    pub isolation: IsolationLevel,
    /// READ ONLY
    pub read_only: bool,
    /// DEFERRABLE
    pub deferrable: bool,
}

impl Modes {
    /// These modes with what a statement asks for on top.
    pub fn with(self, asked: TransactionModes) -> Modes {
        Modes {
            isolation: asked.isolation.unwrap_or(self.isolation),
            read_only: asked.read_only.unwrap_or(self.read_only),
            deferrable: asked.deferrable.unwrap_or(self.deferrable),
        }
    }

    /// The level that the store knows.
    pub fn level(self) -> Isolation {
        match self.isolation {
            IsolationLevel::ReadUncommitted | IsolationLevel::ReadCommitted => {
                Isolation::ReadCommitted
            }
            IsolationLevel::RepeatableRead => Isolation::RepeatableRead,
            IsolationLevel::Serializable => Isolation::Serializable,
        }
    }
}

/// A level's name, as settings have it.
pub fn isolation_name(level: IsolationLevel) -> &'static str {
    match level {
        IsolationLevel::ReadUncommitted => "read uncommitted",
        IsolationLevel::ReadCommitted => "read committed",
        IsolationLevel::RepeatableRead => "repeatable read",
        IsolationLevel::Serializable => "serializable",
    }
}

/// The level of that name.
pub fn isolation_named(name: &str) -> IsolationLevel {
    match name {
        "read uncommitted" => IsolationLevel::ReadUncommitted,
        "repeatable read" => IsolationLevel::RepeatableRead,
        "serializable" => IsolationLevel::Serializable,
        _ => IsolationLevel::ReadCommitted,
    }
}

struct Savepoint {
    name: String,
    id: SavepointId,
    /// The schema as the transaction saw it then.
    schema: Option<Arc<CatalogSnapshot>>,
    /// Whether the transaction was READ ONLY then.
    read_only: bool,
    /// How many advisory locks the transaction had taken.
    advisory_mark: usize,
    /// The checks that waited.
    deferred: DeferredMark,
}

/// An open transaction.
pub struct Transaction {
    /// How it came about.
    pub block: Block,
    /// Its modes.
    pub modes: Modes,
    /// The store's part; none before the first statement that needs one, or after a failure.
    pub txn: Option<Txn>,
    /// The schema with this transaction's own changes; none without any.
    pub schema: Option<Arc<CatalogSnapshot>>,
    /// Whether a statement ran that took a snapshot.
    pub queried: bool,
    /// When it began: microseconds since 2000-01-01 UTC.
    pub time: i64,
    savepoints: Vec<Savepoint>,
    /// Checks that wait for its end.
    pub deferred: DeferredChecks,
    /// The schema last made from a published one for this transaction.
    pub adapted: Adapted,
}

/// The schema that was last made from a published one for a transaction.
#[derive(Default)]
pub struct Adapted(Mutex<Option<Sources>>);

/// A schema as one transaction sees it, and what it was made from.
struct Sources {
    published: Arc<CatalogSnapshot>,
    own: Option<Arc<CatalogSnapshot>>,
    schema: Arc<CatalogSnapshot>,
}

impl Adapted {
    /// A published schema as a transaction sees it, with `own` changes.
    pub fn adapt(
        &self,
        catalog: &Catalog,
        published: Arc<CatalogSnapshot>,
        own: Option<&Arc<CatalogSnapshot>>,
        txn: &Txn,
    ) -> Arc<CatalogSnapshot> {
        // An old snapshot of rows has no entries of indexes made since.
        let old = txn.isolation() != Isolation::ReadCommitted && txn.snapshot() != Timestamp::ZERO;
        let read_at = old.then(|| txn.snapshot());
        if own.is_none() && read_at.is_none() {
            return published;
        }
        let mut sources = self.0.lock();
        if let Some(known) = &*sources
            && Arc::ptr_eq(&known.published, &published)
            && known.own.as_ref().map(Arc::as_ptr) == own.map(Arc::as_ptr)
        {
            return known.schema.clone();
        }
        let schema = catalog.rebase(own.unwrap_or(&published), read_at);
        let own = own.cloned();
        *sources = Some(Sources { published, own, schema: schema.clone() });
        schema
    }
}

impl Transaction {
    /// A transaction that begins now.
    pub fn new(block: Block, modes: Modes, time: i64) -> Transaction {
        Transaction {
            block,
            modes,
            txn: None,
            schema: None,
            queried: false,
            time,
            savepoints: Vec::new(),
            deferred: DeferredChecks::default(),
            adapted: Adapted::default(),
        }
    }

    /// The schema as this transaction sees it now: the newest published one with its own changes
    /// on top. While nothing changes, it is the same `Arc`.
    pub fn schema_now(&self, catalog: &Catalog) -> Arc<CatalogSnapshot> {
        let published = catalog.snapshot();
        match &self.txn {
            Some(txn) => self.adapted.adapt(catalog, published, self.schema.as_ref(), txn),
            None => published,
        }
    }

    /// Whether [`Transaction::schema_now`] would give this schema.
    pub fn sees(&self, catalog: &Catalog, schema: &Arc<CatalogSnapshot>) -> bool {
        let plain = |txn: &Txn| txn.isolation() == Isolation::ReadCommitted;
        match self.schema.is_none() && self.txn.as_ref().is_none_or(plain) {
            true => catalog.is_newest(schema),
            false => Arc::ptr_eq(&self.schema_now(catalog), schema),
        }
    }

    /// Nesting level of settings and portals: 1, and one more for each savepoint.
    pub fn level(&self) -> u32 {
        1 + self.savepoints.len() as u32
    }

    /// What `ReadyForQuery` says.
    pub fn status(&self) -> Status {
        match self.block {
            Block::Implicit => Status::Idle,
            Block::Explicit => Status::InTransaction,
            Block::Failed => Status::Failed,
        }
    }

    /// SAVEPOINT. The store's transaction begins here at the latest, so that its snapshot, once
    /// taken, outlives a rollback to the savepoint.
    pub fn savepoint(
        &mut self,
        name: &str,
        advisory_mark: usize,
        begin: impl FnOnce() -> Txn,
    ) -> Result<()> {
        if self.savepoints.len() >= SAVEPOINTS_MAX {
            let message = format!("a transaction may have at most {SAVEPOINTS_MAX} savepoints");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let id = self.txn.get_or_insert_with(begin).savepoint();
        let schema = self.schema.clone();
        let read_only = self.modes.read_only;
        let name = name.to_owned();
        let deferred = self.deferred.mark();
        self.savepoints.push(Savepoint { name, id, schema, read_only, advisory_mark, deferred });
        Ok(())
    }

    /// How many advisory locks were taken before the last savepoint; without one, none.
    pub fn advisory_mark(&self) -> usize {
        self.savepoints.last().map_or(0, |savepoint| savepoint.advisory_mark)
    }

    /// RELEASE: the level it stood at. READ ONLY is again what it was there: PostgreSQL takes a
    /// change of it back, other than those of settings.
    pub fn release(&mut self, name: &str) -> Result<u32> {
        let at = self.find(name)?;
        self.modes.read_only = self.savepoints[at].read_only;
        if let Some(txn) = &mut self.txn {
            txn.set_read_only(self.modes.read_only);
            txn.release(self.savepoints[at].id);
        }
        self.savepoints.truncate(at);
        Ok(at as u32 + 2)
    }

    /// ROLLBACK TO: the level it stands at; everything made there or deeper is void.
    pub async fn rollback_to(&mut self, name: &str) -> Result<u32> {
        let at = self.find(name)?;
        self.undo_to(at).await?;
        self.savepoints.truncate(at + 1);
        self.block = Block::Explicit;
        Ok(at as u32 + 2)
    }

    /// A statement failed: takes back what came after the last savepoint, or everything.
    pub async fn fail(&mut self) -> Result<()> {
        self.block = Block::Failed;
        match self.savepoints.len().checked_sub(1) {
            Some(last) => self.undo_to(last).await,
            None => match self.txn.take() {
                Some(txn) => txn.rollback().await,
                None => Ok(()),
            },
        }
    }

    async fn undo_to(&mut self, at: usize) -> Result<()> {
        let savepoint = &self.savepoints[at];
        self.schema.clone_from(&savepoint.schema);
        self.deferred.back_to(&savepoint.deferred);
        match &mut self.txn {
            Some(txn) => txn.rollback_to(savepoint.id).await,
            None => Ok(()),
        }
    }

    fn find(&self, name: &str) -> Result<usize> {
        self.savepoints.iter().rposition(|s| s.name == name).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_SAVEPOINT_SPECIFICATION,
                format!("savepoint \"{name}\" does not exist"),
            )
        })
    }
}
