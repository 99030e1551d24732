//! Spaces of the store that no object has: made by DDL that never committed, or made again by what
//! came late to a space that was dropped.
//!
//! Whoever is given a number for a new space locks it, by a key among the counters, before
//! anything else is asked of that space, and until its transaction ends. So where that lock is
//! free, and the catalog, read after that, does not name the space, nobody will ever use it: DDL
//! that was under way has ended, and what is dropped is dropped for good.

use std::collections::BTreeSet;

use super::counter::autonomous_txn;
use super::object::COUNTER_SPACE;
use super::{Catalog, CatalogSnapshot, FIRST_USER_SPACE, read_objects};
use crate::error::{Result, SqlState};
use crate::kv::{Key, LockMode, LockRequest, LockWait, SpaceId};

/// The first byte of the keys that stand for new spaces; they share a partition.
const CLAIMS: u8 = b'n';

/// The key that a new space's transaction locks. Nothing is ever written there.
pub(super) fn claim(space: SpaceId) -> Key {
    let mut tail = [CLAIMS; 5];
    tail[1..].copy_from_slice(&space.0.to_be_bytes());
    Key::new(COUNTER_SPACE, &tail, 1)
}

impl CatalogSnapshot {
    /// Spaces that something has, or that are to be dropped in time.
    fn spaces(&self) -> BTreeSet<SpaceId> {
        let of_tables =
            self.tables().flat_map(|t| t.indexes.iter().map(|i| i.space).chain([t.space()]));
        of_tables.chain(self.garbage()).collect()
    }
}

impl Catalog {
    /// Drops spaces that nobody has and nobody will have. Those in `suspects` were looked at
    /// before; then it has those to be looked at the next time.
    pub async fn collect_leftovers(&self, suspects: &mut BTreeSet<SpaceId>) -> Result<()> {
        let there = self.store.spaces().await?;
        let known = self.snapshot().spaces();
        let strange = |s: &SpaceId| s.0 >= FIRST_USER_SPACE && !known.contains(s);
        let strange: BTreeSet<SpaceId> = there.into_iter().filter(strange).collect();
        let before = std::mem::replace(suspects, strange);
        for space in suspects.intersection(&before) {
            self.drop_leftover(*space).await?;
        }
        Ok(())
    }

    async fn drop_leftover(&self, space: SpaceId) -> Result<()> {
        let txn = autonomous_txn(self.clock.as_ref());
        let (keys, mode, wait) = (vec![claim(space)], LockMode::Update, LockWait::NoWait);
        match self.store.lock(LockRequest { txn, keys, mode, wait }).await {
            Ok(_) => {}
            Err(error) if error.code() == SqlState::LOCK_NOT_AVAILABLE => return Ok(()),
            Err(error) => return Err(error),
        }
        let dropped = async {
            let (catalog, _) = read_objects(&self.store).await?;
            if !catalog.spaces().contains(&space) {
                tracing::info!(space = space.0, "dropping a space that nothing has");
                self.store.drop_space(space).await?;
            }
            Ok(())
        };
        let dropped = dropped.await;
        self.store.unlock(txn, None).await?;
        dropped
    }
}
