//! What all sessions of a process share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use super::columns::ColumnPath;
use super::plans::PlanCache;
use super::registry::Registry;
use super::settings::Settings;
use super::system;
use crate::catalog::object::Object;
use crate::catalog::{self, Catalog, CatalogSnapshot};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result, SqlState};
use crate::exec::StoreStatistics;
use crate::kv::SharedStore;
use crate::txn::{CommitInfo, Txn, TxnManager};

/// Version of PostgreSQL whose behaviour is given.
pub const POSTGRES_VERSION: &str = "15.0";

/// Version of Sluice.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How often data is looked at that DDL left behind and somebody still reads.
const COLLECT_INTERVAL: Duration = Duration::from_secs(1);

/// How often spaces are looked for that nothing has; what is found twice is dropped.
const LEFTOVERS_INTERVAL: Duration = Duration::from_secs(20);

/// How often changes of the schema by other gateways are taken in when nobody asks.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// A database being served.
pub struct Database {
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// The schema.
    pub catalog: Arc<Catalog>,
    /// Transactions on the store.
    pub transactions: TxnManager,
    /// Who is connected.
    pub registry: Arc<Registry>,
    /// Sizes of tables, for the planner.
    pub statistics: StoreStatistics,
    /// Plans that sessions share.
    pub(super) plans: PlanCache,
    /// What sessions start with.
    pub settings: Settings,
    /// What is stored for a password.
    pub(super) verifier_of: VerifierOf,
    /// Whether somebody is dropping what DDL left behind.
    collecting: AtomicBool,
    /// Where work goes on that no session waits for.
    background: Handle,
    /// Views of tables.
    pub(super) columns: Arc<ColumnPath>,
}

/// Makes the verifier that is stored for a password; which scheme is the protocol's matter.
pub type VerifierOf = fn(&str, &dyn Clock) -> String;

impl Database {
    /// A database on `store`. `settings` are the server's own parameters.
    pub fn new(
        store: SharedStore,
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        connections_max: usize,
        settings: &[(&str, String)],
        verifier_of: VerifierOf,
        columns: ColumnPath,
    ) -> Result<Arc<Database>> {
        let mut overrides = vec![
            ("server_version", format!("{POSTGRES_VERSION} (Sluice {VERSION})")),
            ("sluice.version", VERSION.to_owned()),
            ("max_connections", connections_max.to_string()),
        ];
        overrides.extend(settings.iter().cloned());
        let database = Arc::new(Database {
            registry: Arc::new(Registry::new(clock.clone(), connections_max)),
            statistics: StoreStatistics::new(store.clone(), clock.clone()),
            transactions: TxnManager::new(store, clock.clone()),
            plans: PlanCache::default(),
            settings: Settings::server(&overrides),
            verifier_of,
            collecting: AtomicBool::new(false),
            background: Handle::current(),
            columns: Arc::new(columns),
            catalog,
            clock,
        });
        system::provide(&database);
        database.follow_schema();
        database.follow_others();
        database.collect_leftovers();
        Ok(database)
    }

    /// Makes views of the tables that want one, in the background: their files are read for that.
    fn follow_schema(&self) {
        if !self.columns.is_available() {
            return;
        }
        let (columns, catalog) = (self.columns.clone(), self.catalog.clone());
        tokio::task::spawn_blocking(move || columns.follow(&catalog));
    }

    /// Takes in what other gateways change of the schema, where there are others, before somebody
    /// logs in or asks for a name.
    fn follow_others(self: &Arc<Database>) {
        if self.transactions.store().schema() == Timestamp::ZERO {
            return;
        }
        let database = Arc::downgrade(self);
        let mut followed = self.catalog.snapshot();
        self.background.spawn(async move {
            loop {
                tokio::time::sleep(FOLLOW_INTERVAL).await;
                let Some(database) = database.upgrade() else { return };
                match database.catalog.settled().await {
                    Ok(newest) if !Arc::ptr_eq(&newest, &followed) => {
                        followed = newest;
                        database.follow_schema();
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(?error, "could not read the catalog again"),
                }
            }
        });
    }

    /// Drops, now and then, what DDL of gateways that died left in a cluster.
    fn collect_leftovers(self: &Arc<Database>) {
        if self.transactions.store().schema() == Timestamp::ZERO {
            return;
        }
        let database = Arc::downgrade(self);
        let mut suspects = BTreeSet::new();
        self.background.spawn(async move {
            loop {
                tokio::time::sleep(LEFTOVERS_INTERVAL).await;
                let Some(database) = database.upgrade() else { return };
                if let Err(error) = database.catalog.collect_leftovers(&mut suspects).await {
                    tracing::debug!(?error, "could not look for unused spaces");
                }
            }
        });
    }

    /// The SCRAM verifier of a role that may log in.
    pub fn verifier(&self, role: &str) -> Option<String> {
        let snapshot = self.catalog.snapshot();
        let role = snapshot.role(role).filter(|role| role.login)?;
        role.password.clone()
    }

    /// Commits a transaction that changed the schema, and makes its schema everybody's. It runs to
    /// its end whatever becomes of the session: no commit stays unpublished.
    pub async fn commit_schema(
        self: &Arc<Database>,
        txn: Txn,
        schema: Arc<CatalogSnapshot>,
    ) -> Result<CommitInfo> {
        let database = self.clone();
        let publication = self.catalog.publication();
        let work = tokio::spawn(async move {
            database.describe(&schema).await?;
            match txn.commit().await {
                Ok(info) => {
                    publication.publish(&schema, info.ts);
                    database.follow_schema();
                    database.collect_garbage();
                    Ok(info)
                }
                Err(error) => {
                    if is_unknown(error.code()) {
                        database.catalog.reload().await?;
                        database.follow_schema();
                    }
                    Err(error)
                }
            }
        });
        work.await.map_err(|e| Error::internal("a commit of DDL panicked").with_source(e))?
    }

    /// Tells the store of the columns of tables that are new or changed.
    async fn describe(&self, schema: &CatalogSnapshot) -> Result<()> {
        for change in schema.changes() {
            let Some(Object::Table(table)) = &change.object else { continue };
            catalog::describe(self.transactions.store(), table).await?;
        }
        Ok(())
    }

    /// Drops what committed DDL left behind, as soon as nobody reads it any more.
    pub fn collect_garbage(self: &Arc<Database>) {
        if self.collecting.swap(true, Ordering::AcqRel) {
            return;
        }
        let database = self.clone();
        self.background.spawn(async move {
            loop {
                match database.catalog.collect_garbage().await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => tracing::warn!(?error, "could not drop unused data"),
                }
                tokio::time::sleep(COLLECT_INTERVAL).await;
            }
            database.collecting.store(false, Ordering::Release);
        });
    }
}

/// Whether a commit failed so that it may have happened.
fn is_unknown(code: SqlState) -> bool {
    matches!(
        code,
        SqlState::STATEMENT_COMPLETION_UNKNOWN | SqlState::TRANSACTION_RESOLUTION_UNKNOWN
    )
}
