//! DDL in a session: the change becomes the schema that the rest of the transaction sees.

use std::sync::Arc;

use super::Session;
use super::client::Notice;
use super::run::Outcome;
use super::system::SystemTables;
use crate::catalog::change::table_lock;
use crate::error::{Error, Result};
use crate::exec::ddl::{DdlContext, execute};
use crate::kv::{LockMode, LockWait};
use crate::plan::{PlanSettings, ReadEngines};
use crate::sql::ddl::Ddl;
use crate::types::descriptor::TableDescriptor;

impl Session {
    /// Runs a DDL statement in the open transaction.
    pub(super) async fn run_ddl(&mut self, ddl: &Ddl, text: Arc<str>) -> Result<Outcome> {
        self.check_read_write(ddl.command())?;
        let schema = self.schema();
        let eval = self.eval_context(&schema);
        self.ensure_txn()?.begin_statement().await?;
        let token = self.backend.token();
        let database = self.database.clone();
        let plan = PlanSettings {
            eval: &eval,
            statistics: &database.statistics,
            ordered: database.transactions.store().capabilities().ordered,
            engines: ReadEngines { row: true, columnar: false },
            labels: false,
        };
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
            virtuals: &SystemTables { schema: &schema, eval: &eval, columns: &database.columns },
            cancel: &token,
            views: database.columns.is_available(),
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

impl Session {
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
            database.catalog.settled().await;
            Ok(())
        };
        self.backend.interruptible(work).await
    }
}
