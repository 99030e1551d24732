//! Loads: rows of spaces that the transaction has made, written while it runs.
//!
//! Nobody else knows of such a space before the commit, so its rows need no locks, no conditions
//! and no place in the write buffer: they go to the store as they come, a few MiB behind the
//! statement ([`crate::kv::Store::load`]), and a rollback leaves them to be dropped with their
//! space. That is so only where nothing goes back behind them: where no savepoint is newer than the
//! space, and no cursor stands that must not see them.
//!
//! What was loaded is seen by all reads from the next statement on, as rows that were there. The
//! statement itself looks for keys that it has loaded with [`Txn::loaded`]: a filter of bounded
//! size says which were certainly not, and the others are looked up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use super::{SavepointId, Txn};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::{Key, Load, Loading, SpaceId};

/// Bytes of keys and values that are gathered before they go out; as many may be on their way.
const CHUNK_BYTES: usize = 4 << 20;
/// What a gathered row takes beside its key and value.
const ROW_BYTES: usize = 96;
/// Bits of the parts of a filter. A part is full at [`KEY_BITS`] for each key; the last one takes
/// all that come, and answers "perhaps" more often.
const FILTER_BITS: [usize; 3] = [1 << 20, 1 << 25, 1 << 29];
const KEY_BITS: usize = 32;
const FILTER_HASHES: u64 = 8;

/// What a transaction loads.
#[derive(Default)]
pub(super) struct Loads {
    /// The spaces it has made, and how many savepoints there were.
    made: BTreeMap<SpaceId, usize>,
    /// When the rows count as committed.
    at: Timestamp,
    gathered: HashMap<Key, Bytes>,
    bytes: usize,
    sent: Option<(Arc<HashMap<Key, Bytes>>, Loading)>,
    keys: Filter,
    /// The spaces that have loaded rows.
    filled: BTreeSet<SpaceId>,
}

impl Txn {
    /// Takes note of a space that this transaction has made: nobody else knows of it.
    pub fn made_space(&mut self, space: SpaceId) {
        self.loads.made.insert(space, self.savepoints.len());
    }

    /// Whether the transaction has made a space.
    pub fn has_made(&self, space: SpaceId) -> bool {
        self.loads.made.contains_key(&space)
    }

    /// Whether rows may be loaded into a space now.
    pub fn may_load(&self, space: SpaceId) -> bool {
        self.loads.made.get(&space) == Some(&self.savepoints.len())
            && Arc::strong_count(&self.suspended) == 1
            && self.manager.store.capabilities().loads
    }

    /// The spaces that rows were loaded into.
    pub fn loaded_spaces(&self) -> impl Iterator<Item = SpaceId> {
        self.loads.filled.iter().copied()
    }

    /// The value of a key of a space that rows are loaded into: what the transaction wrote there
    /// last, the running statement included.
    pub async fn loaded(&mut self, key: &Key) -> Result<Option<Bytes>> {
        if let Some(own) = self.buffer.newest(key) {
            return Ok(own);
        }
        if !self.loads.keys.may_have(key) {
            return Ok(None);
        }
        let sent = self.loads.sent.as_ref().map(|(rows, _)| rows);
        let near = self.loads.gathered.get(key).or_else(|| sent.and_then(|rows| rows.get(key)));
        if let Some(value) = near {
            return Ok(Some(value.clone()));
        }
        let at = self.ensure_snapshot().await?;
        let version = self.manager.store.get(key, at).await?;
        Ok(version.and_then(|version| version.value))
    }

    /// Loads a row into a space that allows it ([`Txn::may_load`]), under a key that has none.
    ///
    /// # Errors
    /// Those of rows loaded before, too.
    pub async fn load(&mut self, key: Key, value: Bytes) -> Result<()> {
        if self.buffer.newest(&key).is_some() {
            // Deleted before by this transaction, which may have been a loaded row.
            return self.put(key, value, false);
        }
        let loads = &mut self.loads;
        loads.keys.add(&key);
        loads.filled.insert(key.space());
        loads.bytes += key.bytes().len() + value.len() + ROW_BYTES;
        loads.gathered.insert(key, value);
        match loads.bytes >= CHUNK_BYTES {
            true => self.send_gathered().await,
            false => Ok(()),
        }
    }

    /// Waits until all that was loaded is there: at the end of a statement that loads.
    pub async fn end_loads(&mut self) -> Result<()> {
        self.send_gathered().await?;
        self.await_sent().await
    }

    async fn send_gathered(&mut self) -> Result<()> {
        if self.loads.gathered.is_empty() {
            return Ok(());
        }
        self.await_sent().await?;
        if self.loads.at == Timestamp::ZERO {
            self.loads.at = self.ensure_snapshot().await?;
        }
        let loads = &mut self.loads;
        loads.bytes = 0;
        let rows = Arc::new(std::mem::take(&mut loads.gathered));
        let load = Load { txn: self.id, at: loads.at, rows: rows.clone() };
        loads.sent = Some((rows, self.manager.store.load(load)));
        Ok(())
    }

    async fn await_sent(&mut self) -> Result<()> {
        // It stays until it has ended: dropped, it would be given up.
        let Some((_, loading)) = &mut self.loads.sent else { return Ok(()) };
        let ended = loading.await.map_err(|_| Error::internal("a load was given up"));
        self.loads.sent = None;
        ended?
    }

    /// Forgets spaces that were made after a savepoint, which is gone back to.
    pub(super) fn unmake_spaces(&mut self, savepoint: SavepointId) {
        let loads = &mut self.loads;
        loads.made.retain(|_, savepoints| *savepoints <= savepoint.0);
        let made = &loads.made;
        loads.filled.retain(|space| made.contains_key(space));
        loads.gathered.retain(|key, _| made.contains_key(&key.space()));
    }

    /// A savepoint and those after it are gone, and what was done since stays.
    pub(super) fn keep_spaces(&mut self, savepoint: SavepointId) {
        for savepoints in self.loads.made.values_mut() {
            *savepoints = (*savepoints).min(savepoint.0);
        }
    }
}

/// Keys that may have been seen: Bloom filters, each larger than the one before.
#[derive(Default)]
struct Filter {
    parts: Vec<Part>,
}

struct Part {
    words: Vec<u64>,
    keys: usize,
}

impl Filter {
    fn add(&mut self, key: &Key) {
        let is_full = |part: &Part| part.keys >= part.words.len() * 64 / KEY_BITS;
        if self.parts.last().is_none_or(is_full)
            && let Some(bits) = FILTER_BITS.get(self.parts.len())
        {
            self.parts.push(Part { words: vec![0; bits / 64], keys: 0 });
        }
        let hash = hash_of(key);
        let Some(part) = self.parts.last_mut() else { return };
        part.keys += 1;
        for bit in part.bits(hash) {
            part.words[bit / 64] |= 1 << (bit % 64);
        }
    }

    fn may_have(&self, key: &Key) -> bool {
        let hash = hash_of(key);
        let has =
            |part: &Part| part.bits(hash).all(|bit| part.words[bit / 64] >> (bit % 64) & 1 == 1);
        self.parts.iter().any(has)
    }
}

impl Part {
    fn bits(&self, (first, step): (u64, u64)) -> impl Iterator<Item = usize> + use<> {
        let bits = self.words.len() as u64 * 64;
        (0..FILTER_HASHES).map(move |n| (first.wrapping_add(step.wrapping_mul(n)) % bits) as usize)
    }
}

/// Two hashes of a key, of which all others are made; the second is odd.
fn hash_of(key: &Key) -> (u64, u64) {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let first = hasher.finish();
    hasher.write_u8(0);
    (first, hasher.finish() | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Key {
        Key::new(SpaceId(200), &n.to_be_bytes(), 4)
    }

    #[test]
    fn a_filter_forgets_no_key_and_knows_few_that_it_was_not_told() {
        let mut filter = Filter::default();
        let told = 60_000;
        (0..told).for_each(|n| filter.add(&key(n)));
        assert_eq!(filter.parts.len(), 2);
        assert!((0..told).all(|n| filter.may_have(&key(n))));
        let wrong = (told..2 * told).filter(|n| filter.may_have(&key(*n))).count();
        assert!(wrong < 20, "{wrong} of {told}");
    }
}
