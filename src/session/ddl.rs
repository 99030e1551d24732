//! DDL in a session: the change becomes the schema that the rest of the transaction sees.

use std::sync::Arc;

use super::Session;
use super::client::Notice;
use super::run::Outcome;
use crate::catalog::change::SchemaChange;
use crate::error::{Error, Result};
use crate::exec::ddl::Work;
use crate::sql::ddl::Ddl;

impl Session {
    /// Runs a DDL statement in the open transaction.
    pub(super) async fn run_ddl(&mut self, ddl: &Ddl, text: Arc<str>) -> Result<Outcome> {
        self.check_read_write("this statement")?;
        let schema = self.schema();
        let eval = self.eval_context(&schema);
        self.ensure_txn()?.begin_statement().await?;
        let timeout = self.environment.knobs(&self.settings).statement_timeout;
        let catalog = self.database.catalog.clone();
        let owner = self.user.clone();
        let Some(transaction) = &mut self.transaction else {
            return Err(Error::internal("no transaction"));
        };
        transaction.queried = true;
        let Some(txn) = &mut transaction.txn else {
            return Err(Error::internal("no transaction in the store"));
        };
        let work = async {
            let mut change = SchemaChange::new(txn, &catalog, &schema, &owner);
            let done = Work { change: &mut change, eval: &eval, text }.run(ddl).await?;
            Ok((done, change.finish()))
        };
        let (done, schema) = self.backend.interruptible(timeout, work).await?;
        if let Some(transaction) = &mut self.transaction {
            transaction.schema = Some(schema);
        }
        self.notices.extend(done.notices.into_iter().map(Notice::notice));
        Ok(Outcome::tag(done.tag))
    }
}
