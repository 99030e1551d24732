//! What the store's readers and its one writer share, and how a version is found.
//!
//! ```text
//! head of the key ── committed at or before `at` ──▶ that is it
//!   │ later, or of a bulk commit that is later or in flight
//!   ▼
//! (bulk: the head below) ──▶ history: the newest version at or before `at`
//! ```
//!
//! Reads take no lock and no engine snapshot: they read the engine's newest heads. That is
//! enough, because what a newer head superseded was put into the history first, and whatever a
//! held timestamp can see is collected only after it is given up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use fjall::{OwnedWriteBatch, Slice};
use parking_lot::{Mutex, RwLock};

use super::EmbeddedOptions;
use super::bulk::{Below, Bulks};
use super::cache::{Cached, HeadCache};
use super::changes::Place;
use super::engine::{self, Engine};
use super::head::{HEADER_LEN, Head, Stamp};
use super::history::History;
use super::queue::{Done, Queue, Work};
use crate::clock::{Clock, HybridClock, Timestamp};
use crate::error::{Error, Result, SqlState};
use crate::kv::holds::Holds;
use crate::kv::locks::LockTable;
use crate::kv::{KeyRange, SpaceId, Version};

/// Values above this share the engine's buffer instead of being copied out of it.
const SHARE_VALUE_BYTES: usize = 2048;
/// How often a read starts anew because a bulk commit was undone under it.
const AGAIN_MAX: usize = 100;

/// The parts of the store.
pub(super) struct Core {
    pub options: EmbeddedOptions,
    pub engine: Engine,
    pub cache: HeadCache,
    pub clock: HybridClock,
    pub wall: Arc<dyn Clock>,
    pub holds: Arc<Holds>,
    pub locks: LockTable,
    pub history: History,
    pub bulks: Bulks,
    pub queue: Queue,
    /// Live rows and bytes by space, nearly exact.
    pub sizes: Mutex<HashMap<SpaceId, Size>>,
    /// Up to where change logs were trimmed.
    pub trimmed: RwLock<HashMap<SpaceId, Place>>,
    /// Deletions from before the store was opened, met by scans: for the writer to remove.
    pub stale: Mutex<Vec<Bytes>>,
    /// Where timestamps began when the store was opened.
    pub opened_at: Timestamp,
    /// What goes wrong with the writer's batches.
    #[cfg(test)]
    pub faults: super::faults::Faults,
}

/// Live rows of a space and their bytes. Signed: a crash may lose the last few changes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub rows: i64,
    pub bytes: i64,
    /// Whether `meta` has these numbers.
    pub saved: bool,
}

/// Names of sizes in `meta` begin so; the space follows.
const SIZE_PREFIX: &[u8] = b"size:";

/// Reads the sizes written down.
pub(super) fn load_sizes(engine: &Engine) -> Result<HashMap<SpaceId, Size>> {
    let mut sizes = HashMap::new();
    for guard in engine.meta.prefix(SIZE_PREFIX) {
        let (key, value) = guard.into_inner().map_err(engine::error)?;
        let space = key.last_chunk::<4>().map(|b| SpaceId(u32::from_be_bytes(*b)));
        let number = |b: &[u8; 8]| i64::from_be_bytes(*b);
        let (Some(space), Some(rows), Some(bytes)) =
            (space, value.first_chunk().map(number), value.last_chunk().map(number))
        else {
            return Err(Error::corrupted("the size of a space cannot be read"));
        };
        sizes.insert(space, Size { rows, bytes, saved: true });
    }
    Ok(sizes)
}

/// What a look at a head came to.
pub(super) enum Look {
    /// A version; a deletion, too.
    Found(Version),
    /// Nothing at that time.
    Nothing,
    /// The head has changed since it was read: read it again.
    Again,
}

impl Core {
    /// The newest head of a key.
    pub fn head(&self, key: &[u8]) -> Result<Option<Slice>> {
        let ticket = match self.cache.get(key) {
            Cached::Head(head) => return Ok(Some(head)),
            Cached::Miss(ticket) => ticket,
        };
        let head = self.engine.heads.get(key).map_err(engine::error)?;
        if let Some(head) = &head {
            self.cache.put(&ticket, key, head);
        }
        Ok(head)
    }

    /// The version of a key at a held timestamp.
    pub fn get(&self, key: &[u8], at: Timestamp) -> Result<Option<Version>> {
        for _ in 0..AGAIN_MAX {
            let Some(head) = self.head(key)? else { return Ok(None) };
            match self.look(key, &head, at)? {
                Look::Found(version) => return Ok(Some(version)),
                Look::Nothing => return Ok(None),
                Look::Again => {}
            }
        }
        Err(Error::internal("a head kept changing under a read"))
    }

    /// The newest version of a key that a snapshot taken now would see.
    pub fn get_newest(&self, key: &[u8]) -> Result<Option<Version>> {
        let at = self.holds.visible();
        let Some(bytes) = self.head(key)? else { return Ok(None) };
        let head = Head::decode(&bytes)?;
        match self.committed(head.stamp) {
            Some(ts) if ts <= at => Ok(Some(version(ts, head.value, &bytes))),
            // Being committed right now. What it supersedes must not be collected meanwhile.
            _ => {
                let hold = self.holds.snapshot();
                self.get(key, hold.at)
            }
        }
    }

    /// What a head means at a held timestamp.
    pub fn look(&self, key: &[u8], bytes: &Slice, at: Timestamp) -> Result<Look> {
        let head = Head::decode(bytes)?;
        match head.stamp {
            Stamp::At(ts) if ts <= at => {
                return Ok(Look::Found(version(ts, head.value, bytes)));
            }
            Stamp::At(_) => {}
            Stamp::Bulk(id) => {
                if let Some(ts) = self.bulks.committed(id).filter(|ts| *ts <= at) {
                    return Ok(Look::Found(version(ts, head.value, bytes)));
                }
                // The commit may end only now, above `at`: what lies below is looked for anyway.
                let Some(bulk) = self.bulks.get(id) else { return Ok(Look::Again) };
                match bulk.below(key)? {
                    Below::Head(below) => return self.look(key, &below, at),
                    Below::Nothing => return Ok(Look::Nothing),
                    Below::Undone => return Ok(Look::Again),
                }
            }
        }
        Ok(self.history.get(&self.engine, key, at)?.map_or(Look::Nothing, Look::Found))
    }

    /// When a head was committed; none: a bulk commit in flight.
    pub fn committed(&self, stamp: Stamp) -> Option<Timestamp> {
        match stamp {
            Stamp::At(ts) => Some(ts),
            Stamp::Bulk(id) => self.bulks.committed(id),
        }
    }

    /// Writes a batch of the writer's.
    pub fn write(&self, batch: OwnedWriteBatch) -> fjall::Result<()> {
        #[cfg(test)]
        return self.faults.write(batch);
        #[cfg(not(test))]
        batch.commit()
    }

    /// Has the writer do something.
    pub async fn ask(&self, work: Work) -> Result<Done> {
        self.queue.push(work)?.await.unwrap_or_else(|_| {
            let message = "the store's writer ended before it answered";
            Err(Error::new(SqlState::STATEMENT_COMPLETION_UNKNOWN, message))
        })
    }

    /// Whether any head of a range was committed after `at`.
    pub fn range_changed(&self, range: &KeyRange, at: Timestamp) -> Result<bool> {
        if range.is_empty() {
            return Ok(false);
        }
        for guard in self.engine.heads.range::<Bytes, _>(range.key_bounds()) {
            let (_, bytes) = guard.into_inner().map_err(engine::error)?;
            // A bulk commit in flight comes after whoever asks.
            if self.committed(Head::decode(&bytes)?.stamp).is_some_and(|ts| ts > at) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Counts what a group changed.
    pub fn add_sizes(&self, changes: &BTreeMap<SpaceId, Size>) {
        let mut sizes = self.sizes.lock();
        for (space, change) in changes {
            let size = sizes.entry(*space).or_default();
            size.rows += change.rows;
            size.bytes += change.bytes;
            size.saved = false;
        }
    }

    /// Writes down the sizes that have changed.
    pub fn save_sizes(&self, batch: &mut OwnedWriteBatch) {
        for (space, size) in self.sizes.lock().iter_mut().filter(|(_, size)| !size.saved) {
            let key = [SIZE_PREFIX, &space.0.to_be_bytes()].concat();
            let value = [size.rows.to_be_bytes(), size.bytes.to_be_bytes()].concat();
            batch.insert(&self.engine.meta, key, value);
            size.saved = true;
        }
    }

    /// Takes note of a deletion that nobody waits to remove, because it is older than this run.
    pub fn met_deletion(&self, key: &[u8], ts: Timestamp) {
        if ts < self.opened_at
            && let Some(mut stale) = self.stale.try_lock()
            && stale.len() < stale.capacity()
        {
            stale.push(Bytes::copy_from_slice(key));
        }
    }
}

/// A version out of a head's bytes.
fn version(ts: Timestamp, value: Option<&[u8]>, bytes: &Slice) -> Version {
    let value = value.map(|value| match value.len() {
        0..=SHARE_VALUE_BYTES => Bytes::copy_from_slice(value),
        _ => Bytes::from_owner(bytes.clone()).slice(HEADER_LEN..),
    });
    Version { ts, value }
}
