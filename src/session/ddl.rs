//! DDL in a session: the change becomes the schema that the rest of the transaction sees.

use std::sync::Arc;

use super::Session;
use super::client::Notice;
use super::run::Outcome;
use super::system::SystemTables;
use crate::error::{Error, Result};
use crate::exec::ddl::{DdlContext, execute};
use crate::plan::{PlanSettings, ReadEngines};
use crate::sql::ddl::Ddl;

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
            virtuals: &SystemTables { schema: &schema, eval: &eval },
            cancel: &token,
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
