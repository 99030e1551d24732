//! DDL in a session: the change becomes the schema that the rest of the transaction sees.

use std::sync::Arc;

use super::Session;
use super::client::Notice;
use super::run::Outcome;
use super::system::SystemTables;
use crate::catalog::change::table_lock;
use crate::catalog::descriptor::oids;
use crate::error::{Error, Result, SqlState};
use crate::exec::ddl::{DdlContext, execute};
use crate::kv::{LockMode, LockWait};
use crate::plan::{PlanSettings, ReadEngines};
use crate::sql::ParsedStatement;
use crate::sql::ast::QualifiedName;
use crate::sql::bind::Binder;
use crate::sql::ddl::Ddl;
use crate::types::descriptor::{RelationKind, TableDescriptor};

impl Session {
    /// Runs a DDL statement in the open transaction.
    pub(super) async fn run_ddl(&mut self, ddl: &Ddl, text: Arc<str>) -> Result<Outcome> {
        self.check_read_write(ddl.command())?;
        self.ensure_txn()?.begin_statement().await?;
        let known = self.database.catalog.snapshot();
        self.database.catalog.refresh(&known).await?;
        let schema = self.schema();
        let eval = self.eval_context(&schema);
        let token = self.backend.token();
        let database = self.database.clone();
        let plan = PlanSettings {
            eval: &eval,
            statistics: &database.statistics,
            ordered: database.transactions.store().capabilities().ordered,
            seq_scans: true,
            engines: ReadEngines { row: true, columnar: false },
            labels: false,
        };
        let (settings, superuser) = (&self.settings, self.superuser);
        let Some(transaction) = &mut self.transaction else {
            return Err(Error::internal("no transaction"));
        };
        transaction.queried = true;
        let Some(txn) = &mut transaction.txn else {
            return Err(Error::internal("no transaction in the store"));
        };
        let context = DdlContext {
            txn,
            catalog: &database.catalog,
            schema: &schema,
            eval: &eval,
            text,
            plan: &plan,
            virtuals: &SystemTables {
                schema: &schema,
                eval: &eval,
                columns: &database.columns,
                cursors: &self.cursors,
                statements: &self.statements,
            },
            cancel: &token,
            views: database.columns.is_available(),
            setting: &|name, value| settings.check(name, value, superuser),
            verifier: &|password| (database.verifier_of)(password, database.clock.as_ref()),
        };
        let outcome = self.backend.interruptible(execute(ddl, context)).await?;
        if let Some(transaction) = &mut self.transaction {
            transaction.schema = Some(outcome.schema);
        }
        self.notices.extend(outcome.notices.into_iter().map(Notice::report));
        Ok(Outcome::tag(outcome.tag))
    }
}

/// The lock that a mode of LOCK TABLE takes: the weakest that keeps out all that PostgreSQL's does.
/// Readers take none, so ACCESS SHARE needs none.
fn lock_of(mode: &str) -> Option<LockMode> {
    match mode {
        "ACCESS SHARE" => None,
        "ROW SHARE" => Some(LockMode::KeyShare),
        "ROW EXCLUSIVE" => Some(LockMode::Share),
        "SHARE UPDATE EXCLUSIVE" | "SHARE" | "SHARE ROW EXCLUSIVE" => Some(LockMode::NoKeyUpdate),
        _ => Some(LockMode::Update),
    }
}

impl Session {
    /// LOCK TABLE.
    pub(super) async fn lock_table_statement(
        &mut self,
        parsed: &ParsedStatement,
        names: &[QualifiedName],
        mode: &str,
        no_wait: bool,
    ) -> Result<Outcome> {
        if !self.in_block() {
            return Err(Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "LOCK TABLE can only be used in transaction blocks",
            ));
        }
        if lock_of(mode).is_some_and(|lock| lock > LockMode::Share) {
            self.check_read_write("LOCK TABLE")?;
        }
        for name in names {
            loop {
                let table = self.table_to_lock(parsed, name)?;
                let Some(lock) = lock_of(mode) else { break };
                let locked = self.lock_tables(&[(table.clone(), lock, no_wait)]).await;
                locked.map_err(|e| match e.code() {
                    SqlState::LOCK_NOT_AVAILABLE if no_wait => Error::new(
                        e.code(),
                        format!("could not obtain lock on relation \"{}\"", table.name),
                    ),
                    _ => e,
                })?;
                let now = self.table_to_lock(parsed, name)?;
                if (now.id, now.space()) == (table.id, table.space()) {
                    break;
                }
            }
        }
        Ok(Outcome::tag("LOCK TABLE"))
    }

    fn table_to_lock(
        &mut self,
        parsed: &ParsedStatement,
        name: &QualifiedName,
    ) -> Result<Arc<TableDescriptor>> {
        let schema = self.schema();
        let eval = self.eval_context(&schema);
        let binder = Binder::new(schema.as_ref(), &eval, parsed.text.clone(), Vec::new());
        let table = binder.find_table(name).map_err(|e| Error::new(e.code(), e.message()))?;
        if table.kind == RelationKind::Virtual && table.id.0 >= oids::FIRST_USER {
            let message = format!("cannot lock relation \"{}\"", table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .with_detail("This operation is not supported for sequences."));
        }
        if table.kind == RelationKind::Foreign {
            let message = format!("cannot lock relation \"{}\"", table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .with_detail("This operation is not supported for foreign tables."));
        }
        Ok(table)
    }

    /// Takes locks of tables for the open transaction; then every DDL on them that was committed
    /// before is in [`Session::schema`]. The flag is NOWAIT.
    pub(super) async fn lock_tables(
        &mut self,
        tables: &[(Arc<TableDescriptor>, LockMode, bool)],
    ) -> Result<()> {
        let database = self.database.clone();
        self.ensure_txn()?;
        let Some(transaction) = &mut self.transaction else {
            return Err(Error::internal("no transaction"));
        };
        transaction.queried = true;
        let Some(txn) = &mut transaction.txn else {
            return Err(Error::internal("no transaction in the store"));
        };
        let work = async {
            txn.begin_statement().await?;
            for (table, mode, no_wait) in tables {
                let wait = if *no_wait { LockWait::NoWait } else { txn.block() };
                txn.lock_newest(&[table_lock(table)], *mode, wait).await?;
            }
            database.catalog.settled().await?;
            Ok(())
        };
        self.backend.interruptible(work).await
    }
}
