//! Sizes of tables for the planner, from the store's own estimates.
//!
//! A store in process answers an estimate at once. Planning waits for nothing, so a cluster's
//! estimate is fetched in the background, and what was known before is used meanwhile. Answers
//! are kept for a moment, so that a burst of statements asks once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::kv::{KeyRange, SharedStore, SpaceId};
use crate::plan::{AccessCosts, Statistics};
use crate::types::descriptor::{ColumnId, RelationKind, TableDescriptor};

/// How long an estimate is good.
const FRESH: Duration = Duration::from_secs(2);
/// The same for one that is read from a cluster.
const FRESH_FETCHED: Duration = Duration::from_secs(60);
/// Tables whose estimates are kept; when there are more, all are forgotten.
const TABLES_MAX: usize = 10_000;

/// The sizes of a store's tables.
pub struct StoreStatistics {
    store: SharedStore,
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<Known>>,
    /// Estimates that are being fetched of tables of which nothing is known.
    fetching: watch::Sender<usize>,
}

impl StoreStatistics {
    /// Of the tables in `store`.
    pub fn new(store: SharedStore, clock: Arc<dyn Clock>) -> StoreStatistics {
        let fetching = watch::Sender::new(0);
        StoreStatistics { store, clock, known: Arc::default(), fetching }
    }

    /// Waits for the first estimates of tables; false if none was on its way, or none came in time.
    pub async fn fetched(&self, patience: Duration) -> bool {
        let mut fetching = self.fetching.subscribe();
        if *fetching.borrow_and_update() == 0 {
            return false;
        }
        let none_left = fetching.wait_for(|fetching| *fetching == 0);
        tokio::time::timeout(patience, none_left).await.is_ok()
    }

    /// Takes what ANALYZE found: the next statement is planned by it.
    pub fn learn(&self, space: SpaceId, rows: u64) {
        let until = self.clock.monotonic() + FRESH;
        self.known.lock().insert(space, until, Some(rows as f64));
    }
}

/// Estimates by table.
#[derive(Default)]
struct Known {
    /// Until when, and how many rows.
    tables: HashMap<SpaceId, (Duration, Option<f64>)>,
}

impl Known {
    fn insert(&mut self, space: SpaceId, until: Duration, rows: Option<f64>) {
        if self.tables.len() >= TABLES_MAX {
            self.tables.clear();
        }
        self.tables.insert(space, (until, rows));
    }
}

impl Statistics for StoreStatistics {
    fn rows(&self, table: &TableDescriptor) -> Option<f64> {
        if table.kind != RelationKind::Table {
            return None;
        }
        let now = self.clock.monotonic();
        let space = table.space();
        let known = self.known.lock().tables.get(&space).copied();
        if let Some((until, rows)) = known
            && now < until
        {
            return rows;
        }
        let store = self.store.clone();
        let mut estimate = Box::pin(async move {
            let estimate = store.estimate(&KeyRange::all(space)).await;
            estimate.ok().map(|e| e.rows as f64)
        });
        if let Some(rows) = (&mut estimate).now_or_never() {
            self.known.lock().insert(space, now + FRESH, rows);
            return rows;
        }
        let before = known.and_then(|(_, rows)| rows);
        // Before the answer can come, which then replaces it.
        self.known.lock().insert(space, now + FRESH_FETCHED, before);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (all, fetching) = (self.known.clone(), self.fetching.clone());
            let is_first = known.is_none();
            fetching.send_modify(|count| *count += usize::from(is_first));
            runtime.spawn(async move {
                let rows = estimate.await;
                all.lock().insert(space, now + FRESH_FETCHED, rows.or(before));
                fetching.send_modify(|count| *count -= usize::from(is_first));
            });
        }
        before
    }

    fn costs(&self) -> AccessCosts {
        self.store.pace().map_or(AccessCosts::IN_PROCESS, AccessCosts::of_cluster)
    }

    fn distinct(&self, _: &TableDescriptor, _: ColumnId) -> Option<f64> {
        None
    }
}
