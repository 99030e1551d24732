//! BEGIN, COMMIT, ROLLBACK, savepoints, and the modes of transactions.
//!
//! Warnings and errors are those of PostgreSQL's xact.c.

use super::advisory::AdvisoryLocks;
use super::client::Notice;
use super::settings::Source;
use super::transaction::{Block, Modes, Transaction, isolation_name};
use super::{POSTGRES_EPOCH_MICROS, Session};
use crate::catalog::change::SchemaChange;
use crate::error::{Error, Result, SqlState};
use crate::sql::statement::{StatementKind, TransactionModes};
use crate::txn::{Txn, TxnManager, TxnOptions};

fn only_in_blocks(what: &str) -> Error {
    let message = format!("{what} can only be used in transaction blocks");
    Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message)
}

/// Begins the store's part of a transaction.
fn begin_txn(manager: &TxnManager, modes: Modes) -> Txn {
    manager.begin(TxnOptions {
        isolation: modes.level(),
        read_only: modes.read_only,
        ..TxnOptions::default()
    })
}

impl Session {
    /// The open transaction; an implicit one begins if there is none.
    pub(super) fn transaction(&mut self) -> Result<&mut Transaction> {
        if self.transaction.is_none() {
            self.open_transaction(Block::Implicit, TransactionModes::default())?;
        }
        self.transaction.as_mut().ok_or_else(|| Error::internal("no transaction"))
    }

    /// Begins the open transaction's part in the store, if it has none yet.
    pub(super) fn ensure_txn(&mut self) -> Result<&mut Txn> {
        let knobs = self.environment.knobs(&self.settings);
        self.transaction()?;
        let manager = &self.database.transactions;
        let transaction =
            self.transaction.as_mut().ok_or_else(|| Error::internal("no transaction"))?;
        let modes = transaction.modes;
        let txn = transaction.txn.get_or_insert_with(|| begin_txn(manager, modes));
        txn.set_lock_timeouts(knobs.lock_timeout_ms, knobs.deadlock_timeout_ms);
        Ok(txn)
    }

    fn open_transaction(&mut self, block: Block, asked: TransactionModes) -> Result<()> {
        let modes = self.environment.knobs(&self.settings).default_modes.with(asked);
        // As PostgreSQL: when the statement began that begins the transaction.
        let time = match self.statement_time {
            0 => self.database.clock.wall_micros() - POSTGRES_EPOCH_MICROS,
            time => time,
        };
        self.transaction = Some(Transaction::new(block, modes, time));
        self.show_modes()
    }

    /// Makes `SHOW transaction_…` tell this transaction's modes.
    fn show_modes(&mut self) -> Result<()> {
        let Some(transaction) = &self.transaction else { return Ok(()) };
        let (modes, level) = (transaction.modes, transaction.level());
        let shown = self.environment.knobs(&self.settings).shown_modes;
        let on = |value| if value { "on" } else { "off" };
        let changed = [
            (
                modes.isolation != shown.isolation,
                "transaction_isolation",
                isolation_name(modes.isolation),
            ),
            (modes.read_only != shown.read_only, "transaction_read_only", on(modes.read_only)),
            (modes.deferrable != shown.deferrable, "transaction_deferrable", on(modes.deferrable)),
        ];
        for (_, name, value) in changed.into_iter().filter(|(changed, ..)| *changed) {
            self.settings.set(name, Some(value), true, level, Source::Server)?;
        }
        Ok(())
    }

    /// Runs a statement about transactions and gives its tag.
    pub(super) async fn transaction_statement(
        &mut self,
        statement: &StatementKind,
    ) -> Result<&'static str> {
        match statement {
            StatementKind::Begin(modes) => self.begin(*modes).map(|()| "BEGIN"),
            StatementKind::Start(modes) => self.begin(*modes).map(|()| "START TRANSACTION"),
            StatementKind::Commit(chain) => self.commit_block(*chain).await,
            StatementKind::Rollback(chain) => self.rollback_block(*chain).await,
            StatementKind::Savepoint(name) => self.savepoint(name).map(|()| "SAVEPOINT"),
            StatementKind::Release(name) => self.release(name).map(|()| "RELEASE"),
            StatementKind::RollbackTo(name) => self.rollback_to(name).await.map(|()| "ROLLBACK"),
            _ => Err(Error::internal("not a statement about transactions")),
        }
    }

    fn begin(&mut self, modes: TransactionModes) -> Result<()> {
        match self.transaction.as_mut().map(|t| &mut t.block) {
            None => self.open_transaction(Block::Explicit, modes),
            Some(block @ Block::Implicit) => {
                *block = Block::Explicit;
                self.set_transaction(modes)
            }
            Some(_) => {
                self.notices.push(Notice::warning(
                    SqlState::ACTIVE_SQL_TRANSACTION,
                    "there is already a transaction in progress",
                ));
                self.set_transaction(modes)
            }
        }
    }

    async fn commit_block(&mut self, chain: bool) -> Result<&'static str> {
        let modes = self.end_block("COMMIT", chain)?;
        let failed = self.transaction.as_ref().is_some_and(|t| t.block == Block::Failed);
        if failed {
            self.rollback().await?;
        } else {
            self.commit().await?;
        }
        self.chain(modes)?;
        Ok(if failed { "ROLLBACK" } else { "COMMIT" })
    }

    async fn rollback_block(&mut self, chain: bool) -> Result<&'static str> {
        let modes = self.end_block("ROLLBACK", chain)?;
        self.rollback().await?;
        self.chain(modes)?;
        Ok("ROLLBACK")
    }

    /// Checks that there is a block to end; the modes that the next one takes over.
    fn end_block(&mut self, what: &str, chain: bool) -> Result<Option<Modes>> {
        let block = self.transaction.as_ref().map_or(Block::Implicit, |t| t.block);
        if block == Block::Implicit {
            if chain {
                return Err(only_in_blocks(&format!("{what} AND CHAIN")));
            }
            self.notices.push(Notice::warning(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "there is no transaction in progress",
            ));
        }
        Ok(self.transaction.as_ref().filter(|_| chain).map(|t| t.modes))
    }

    fn chain(&mut self, modes: Option<Modes>) -> Result<()> {
        let Some(modes) = modes else { return Ok(()) };
        let asked = TransactionModes {
            isolation: Some(modes.isolation),
            read_only: Some(modes.read_only),
            deferrable: Some(modes.deferrable),
        };
        self.open_transaction(Block::Explicit, asked)
    }

    fn savepoint(&mut self, name: &str) -> Result<()> {
        let manager = &self.database.transactions;
        match &mut self.transaction {
            Some(transaction) if transaction.block != Block::Implicit => {
                let modes = transaction.modes;
                transaction.savepoint(name, self.advisory.mark(), || begin_txn(manager, modes))
            }
            _ => Err(only_in_blocks("SAVEPOINT")),
        }
    }

    fn release(&mut self, name: &str) -> Result<()> {
        match &mut self.transaction {
            Some(transaction) if transaction.block != Block::Implicit => {
                let level = transaction.release(name)?;
                self.settings.release(level);
                for portal in self.portals.values_mut() {
                    portal.level = portal.level.min(level - 1);
                }
                self.cursors_released(level);
                self.show_modes()
            }
            _ => Err(only_in_blocks("RELEASE SAVEPOINT")),
        }
    }

    async fn rollback_to(&mut self, name: &str) -> Result<()> {
        match &mut self.transaction {
            Some(transaction) if transaction.block != Block::Implicit => {
                let level = transaction.rollback_to(name).await?;
                self.advisory.back_to(transaction.advisory_mark()).await?;
                self.settings.rollback_to(level);
                self.portals.retain(|_, portal| portal.level < level);
                self.cursors_failed(level);
                // READ ONLY set below the savepoint is taken back with it.
                let read_only = self.environment.knobs(&self.settings).shown_modes.read_only;
                if let Some(transaction) = &mut self.transaction {
                    transaction.modes.read_only = read_only;
                    if let Some(txn) = &mut transaction.txn {
                        txn.set_read_only(read_only);
                    }
                }
                Ok(())
            }
            _ => Err(only_in_blocks("ROLLBACK TO SAVEPOINT")),
        }
    }

    /// SET TRANSACTION, and the modes of BEGIN. Checks as PostgreSQL's check hooks do.
    pub(super) fn set_transaction(&mut self, asked: TransactionModes) -> Result<()> {
        let transaction = self.transaction()?;
        let modes = transaction.modes.with(asked);
        let (nested, queried) = (transaction.level() > 1, transaction.queried);
        let refuse = |message: &str| Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        if modes.isolation != transaction.modes.isolation {
            if queried {
                return refuse("SET TRANSACTION ISOLATION LEVEL must be called before any query");
            }
            if nested {
                return refuse(
                    "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction",
                );
            }
        }
        if transaction.modes.read_only && !modes.read_only {
            if nested {
                return refuse(
                    "cannot set transaction read-write mode inside a read-only transaction",
                );
            }
            if queried {
                return refuse("transaction read-write mode must be set before any query");
            }
        }
        if asked.deferrable.is_some() {
            if nested {
                return refuse(
                    "SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction",
                );
            }
            if queried {
                return refuse("SET TRANSACTION [NOT] DEFERRABLE must be called before any query");
            }
        }
        transaction.modes = modes;
        if let Some(txn) = &mut transaction.txn {
            txn.set_isolation(modes.level())?;
            txn.set_read_only(modes.read_only);
        }
        self.show_modes()
    }

    /// Commits the open transaction, if any; whatever happens, it is over then.
    pub(super) async fn commit(&mut self) -> Result<()> {
        if let Err(error) = self.before_commit().await {
            self.rollback().await?;
            return Err(error);
        }
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        self.portals.clear();
        let writes = transaction.txn.as_ref().is_some_and(Txn::has_writes);
        let committed = match (transaction.txn, transaction.schema) {
            (Some(txn), Some(schema)) => self.database.commit_schema(txn, schema).await.map(Some),
            (Some(txn), None) => txn.commit().await.map(Some),
            (None, _) => Ok(None),
        };
        end_advisory(&self.advisory).await;
        match committed {
            Ok(info) => {
                if let Some(info) = info.filter(|_| writes) {
                    self.last_commit = info.ts;
                }
                self.settings.commit();
                Ok(())
            }
            Err(error) => {
                self.settings.rollback();
                Err(error)
            }
        }
    }

    /// What is still done inside the transaction.
    async fn before_commit(&mut self) -> Result<()> {
        self.end_constraints().await?;
        self.hold_cursors().await?;
        self.note_loads()
    }

    /// Has the transaction's schema say which tables it has loaded.
    fn note_loads(&mut self) -> Result<()> {
        let Some(Transaction { txn: Some(txn), schema: Some(schema), .. }) = &mut self.transaction
        else {
            return Ok(());
        };
        if txn.loaded_spaces().next().is_none() {
            return Ok(());
        }
        let mut change = SchemaChange::new(txn, &self.database.catalog, schema, "");
        change.note_loads()?;
        *schema = change.finish();
        Ok(())
    }

    /// Rolls the open transaction back, if any.
    pub(super) async fn rollback(&mut self) -> Result<()> {
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        self.portals.clear();
        self.cursors_failed(0);
        self.settings.rollback();
        let rolled_back = match transaction.txn {
            Some(txn) => txn.rollback().await,
            None => Ok(()),
        };
        end_advisory(&self.advisory).await;
        rolled_back
    }

    /// Ends the transaction that a statement outside a block began by itself.
    pub(super) async fn commit_implicit(&mut self) -> Result<()> {
        match &self.transaction {
            Some(transaction) if transaction.block == Block::Implicit => self.commit().await,
            _ => Ok(()),
        }
    }

    /// Whether the session is inside BEGIN … COMMIT.
    pub(super) fn in_block(&self) -> bool {
        self.transaction.as_ref().is_some_and(|t| t.block != Block::Implicit)
    }

    /// 25P02 in a failed block, unless the statement is one that ends it.
    pub(super) fn check_not_failed(&self, statement: &StatementKind) -> Result<()> {
        let failed = self.transaction.as_ref().is_some_and(|t| t.block == Block::Failed);
        let ends = matches!(
            statement,
            StatementKind::Commit(_) | StatementKind::Rollback(_) | StatementKind::RollbackTo(_)
        );
        if failed && !ends { Err(in_failed_block()) } else { Ok(()) }
    }
}

/// Gives up a transaction's advisory locks. Its outcome stands whether the store answers or not.
async fn end_advisory(locks: &AdvisoryLocks) {
    if let Err(error) = locks.back_to(0).await {
        tracing::warn!(?error, "could not give up a transaction's advisory locks");
    }
}

/// 25P02.
pub(super) fn in_failed_block() -> Error {
    Error::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}
