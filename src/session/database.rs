//! What all sessions of a process share.

use std::sync::Arc;

use super::plans::PlanCache;
use super::registry::Registry;
use super::settings::Settings;
use super::system;
use crate::catalog::{Catalog, CatalogSnapshot};
use crate::clock::{Clock, Timestamp};
use crate::error::Result;
use crate::exec::StoreStatistics;
use crate::kv::SharedStore;
use crate::txn::TxnManager;

/// Version of PostgreSQL whose behaviour is given.
pub const POSTGRES_VERSION: &str = "15.0";

/// Version of Sluice.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

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
            catalog,
            clock,
        });
        system::provide(&database);
        Ok(database)
    }

    /// The SCRAM verifier of a role that may log in.
    pub fn verifier(&self, role: &str) -> Option<String> {
        let snapshot = self.catalog.snapshot();
        let role = snapshot.role(role).filter(|role| role.login)?;
        role.password.clone()
    }

    /// Makes a committed transaction's schema everybody's, and drops what it left behind.
    pub fn publish(self: &Arc<Database>, schema: &CatalogSnapshot, ts: Timestamp) {
        self.catalog.publish(schema, ts);
        let catalog = self.catalog.clone();
        tokio::spawn(async move {
            if let Err(error) = catalog.collect_garbage().await {
                // The next publication or the next start tries again.
                tracing::warn!(?error, "could not drop unused data");
            }
        });
    }
}
