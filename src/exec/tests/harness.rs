//! A store in memory, and a way to run statements on it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::catalog::CatalogSnapshot;
use crate::catalog::descriptor::RoleDescriptor;
use crate::clock::SystemClock;
use crate::error::Result;
use crate::exec::{DeferredChecks, ExecContext, Execution, State, VirtualTables};
use crate::functions::EvalContext;
use crate::kv::memory::MemoryStore;
use crate::plan::tests::build::{Sizes, context};
use crate::plan::{Plan, PlanSettings, ReadEngines, plan, plan_as_written};
use crate::sql::bound::Statement;
use crate::txn::{Isolation, Txn, TxnManager, TxnOptions};
use crate::types::descriptor::TableDescriptor;
use crate::types::{Datum, Row};

/// A database without a front end.
pub struct Db {
    manager: TxnManager,
    pub eval: EvalContext,
    catalog: Arc<CatalogSnapshot>,
}

struct NoVirtualTables;

impl VirtualTables for NoVirtualTables {
    fn rows(&self, _: &TableDescriptor) -> Result<Vec<Row>> {
        Ok(Vec::new())
    }
}

impl Db {
    /// An empty one.
    pub fn new() -> Db {
        let clock = Arc::new(SystemClock::new());
        let store = MemoryStore::new(clock.clone());
        let role = RoleDescriptor::bootstrap("postgres", None);
        Db {
            manager: TxnManager::new(store, clock),
            eval: context(),
            catalog: Arc::new(CatalogSnapshot::initial("postgres", role)),
        }
    }

    /// A READ COMMITTED transaction.
    pub fn begin(&self) -> Txn {
        self.begin_at(Isolation::ReadCommitted)
    }

    /// A transaction.
    pub fn begin_at(&self, isolation: Isolation) -> Txn {
        self.manager.begin(TxnOptions { isolation, ..TxnOptions::default() })
    }

    /// Runs a statement in a transaction of its own.
    pub async fn run(&self, statement: Statement) -> Result<Vec<Row>> {
        let mut txn = self.begin();
        let rows = self.run_in(&mut txn, statement).await?;
        txn.commit().await?;
        Ok(rows)
    }

    /// Runs a statement.
    pub async fn run_in(&self, txn: &mut Txn, statement: Statement) -> Result<Vec<Row>> {
        self.run_with(txn, statement, &[]).await
    }

    /// Runs a statement with parameters.
    pub async fn run_with(
        &self,
        txn: &mut Txn,
        statement: Statement,
        params: &[Datum],
    ) -> Result<Vec<Row>> {
        let settings = PlanSettings {
            eval: &self.eval,
            statistics: &Sizes,
            ordered: true,
            seq_scans: true,
            engines: ReadEngines::default(),
            labels: false,
        };
        let plan = plan(statement, &settings)?;
        self.execute(txn, plan, params).await
    }

    /// Runs a query planned as it was written.
    pub async fn run_as_written(&self, statement: &Statement) -> Result<Vec<Row>> {
        let settings = PlanSettings {
            eval: &self.eval,
            statistics: &Sizes,
            ordered: true,
            seq_scans: true,
            engines: ReadEngines::default(),
            labels: false,
        };
        let plan = plan_as_written(statement, &settings)?;
        self.execute(&mut self.begin(), plan, &[]).await
    }

    async fn execute(&self, txn: &mut Txn, plan: Plan, params: &[Datum]) -> Result<Vec<Row>> {
        let plan = Arc::new(plan);
        txn.begin_statement().await?;
        let mut execution = Execution::new(plan);
        let mut ctx = ExecContext {
            txn,
            deferred: &mut DeferredChecks::default(),
            eval: &self.eval,
            params,
            catalog: &self.catalog,
            virtuals: &NoVirtualTables,
            cancel: &CancellationToken::new(),
            state: State::default(),
        };
        let mut rows = Vec::new();
        while let Some(batch) = execution.next_batch(&mut ctx, usize::MAX).await? {
            rows.extend(batch);
        }
        Ok(rows)
    }
}
