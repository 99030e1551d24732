//! Sizes of tables for the planner, from the store's own estimates.
//!
//! A store in process answers an estimate at once; what would have to be waited for (a cluster)
//! is taken as unknown, because planning waits for nothing. Answers are kept for a moment, so
//! that a burst of statements asks once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::kv::{KeyRange, SharedStore, SpaceId};
use crate::plan::Statistics;
use crate::types::descriptor::{ColumnId, RelationKind, TableDescriptor};

/// How long an estimate is good.
const FRESH: Duration = Duration::from_secs(2);
/// Tables whose estimates are kept; when there are more, all are forgotten.
const TABLES_MAX: usize = 10_000;

/// The sizes of a store's tables.
pub struct StoreStatistics {
    store: SharedStore,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<SpaceId, (Duration, Option<f64>)>>,
}

impl StoreStatistics {
    /// Of the tables in `store`.
    pub fn new(store: SharedStore, clock: Arc<dyn Clock>) -> StoreStatistics {
        StoreStatistics { store, clock, known: Mutex::default() }
    }
}

impl Statistics for StoreStatistics {
    fn rows(&self, table: &TableDescriptor) -> Option<f64> {
        if table.kind == RelationKind::Virtual {
            return None;
        }
        let now = self.clock.monotonic();
        let space = table.space();
        let known = self.known.lock().get(&space).copied();
        if let Some((at, rows)) = known
            && now < at + FRESH
        {
            return rows;
        }
        let range = KeyRange::all(space);
        let estimate = self.store.estimate(&range).now_or_never();
        let rows = estimate.and_then(|e| e.ok()).map(|e| e.rows as f64);
        let mut known = self.known.lock();
        if known.len() >= TABLES_MAX {
            known.clear();
        }
        known.insert(space, (now, rows));
        rows
    }

    fn distinct(&self, _: &TableDescriptor, _: ColumnId) -> Option<f64> {
        None
    }
}
