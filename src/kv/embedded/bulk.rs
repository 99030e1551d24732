//! Huge commits, in parts.
//!
//! A commit above a size is not one batch: that would need its memory many times over and hold
//! up all others for seconds. Its writes go to the heads in chunks, each head stamped with the
//! commit's *number* instead of a timestamp, and the heads they replace go to notes beside, in
//! the same batches:
//!
//! ```text
//! bulk   number 75 key                  → the head that was replaced ("u")
//!        number 6b space first-number   → list of keys written ("k")
//! meta   "bulk:" number                 → commit timestamp, spaces that are tracked
//! ```
//!
//! The entry in `meta` is what commits it. Until it is there, readers look through the number at
//! the head below; opening the store undoes what has no entry. Afterwards the number stands for
//! the entry's timestamp, for ever: the table of numbers is small. The notes go when no snapshot
//! from before is left, and no reader of the change log needs the lists.
//!
//! There is one bulk commit at a time. Its keys are locked by its transaction; a commit without a
//! lock that meets one of its heads waits until it has ended.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use fjall::{Keyspace, OwnedWriteBatch, PersistMode, Slice};
use parking_lot::RwLock;

use super::changes;
use super::engine::{self, Engine};
use super::head::{Head, Stamp};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::{Key, SpaceId};

const ENTRY_PREFIX: &[u8] = b"bulk:";
const UNDO: u8 = b'u';
const KEYS: u8 = b'k';
/// Bytes of a note's key before the user's key, or the space.
const NOTE_PREFIX_LEN: usize = 9;

/// One bulk commit.
pub(super) struct Bulk {
    /// Its number.
    pub id: u64,
    /// Its commit timestamp; zero while it is in flight.
    ts: AtomicU64,
    /// It was undone: no head carries its number, and its notes go.
    undone: AtomicBool,
    notes: Keyspace,
}

/// What lies below a head of a bulk commit.
pub(super) enum Below {
    /// This head.
    Head(Slice),
    /// No head.
    Nothing,
    /// The commit was undone meanwhile.
    Undone,
}

/// What a bulk commit has written to one space.
#[derive(Clone, Debug, Default)]
pub(super) struct Extent {
    pub first: Bytes,
    pub last: Bytes,
    pub tracked: bool,
    /// Whether some of its writes were deletions, or replaced a head.
    pub untidy: bool,
    /// Keys noted so far.
    pub count: u32,
    /// Change of live rows and their bytes.
    pub rows: i64,
    pub bytes: i64,
}

impl Extent {
    /// Makes it hold a key.
    pub fn cover(&mut self, key: &Bytes) {
        if self.first.is_empty() || *key < self.first {
            self.first = key.clone();
        }
        if *key > self.last {
            self.last = key.clone();
        }
    }
}

/// What a bulk commit has written, by space.
pub(super) type Extents = BTreeMap<SpaceId, Extent>;

impl Bulk {
    fn new(engine: &Engine, id: u64, ts: Timestamp) -> Bulk {
        let (ts, undone) = (AtomicU64::new(ts.0), AtomicBool::new(false));
        Bulk { id, ts, undone, notes: engine.bulk.clone() }
    }

    /// Its commit timestamp, if it has committed.
    pub fn committed(&self) -> Option<Timestamp> {
        match self.ts.load(Ordering::Acquire) {
            0 => None,
            ts => Some(Timestamp(ts)),
        }
    }

    /// From here on its heads are committed.
    pub fn set_committed(&self, ts: Timestamp) {
        self.ts.store(ts.0, Ordering::Release);
    }

    /// What its head of `key` replaced.
    pub fn below(&self, key: &[u8]) -> Result<Below> {
        let head = self.notes.get(self.undo_key(key)).map_err(engine::error)?;
        // In this order: notes are removed only after the flag was set.
        if self.undone.load(Ordering::SeqCst) {
            return Ok(Below::Undone);
        }
        Ok(head.map_or(Below::Nothing, Below::Head))
    }

    /// Keys it wrote to a space, from that number on: the rest of the list that holds it. Empty
    /// at the end.
    pub fn keys_from(&self, space: SpaceId, number: u32) -> Result<Vec<Key>> {
        let (start, end) = (self.list_key(space, 0), self.list_key(space, number));
        let Some(guard) = self.notes.range(start..=end).next_back() else {
            return Ok(Vec::new());
        };
        let (key, list) = guard.into_inner().map_err(engine::error)?;
        let first = key.last_chunk::<4>().map(|b| u32::from_be_bytes(*b)).unwrap_or_default();
        let mut keys = changes::keys_of(&Bytes::copy_from_slice(&list))?;
        let skip = number.saturating_sub(first) as usize;
        keys.drain(..skip.min(keys.len()));
        Ok(keys)
    }

    /// The first list of keys of any space, or the one after the list named; with its name.
    pub fn list(&self, after: Option<&[u8]>) -> Result<Option<(Slice, Vec<Key>)>> {
        let first = self.note_key(KEYS, 0);
        let start = Bound::Excluded(after.unwrap_or(&first[..]));
        let end = self.note_key(KEYS + 1, 0);
        let mut lists = self.notes.range::<&[u8], _>((start, Bound::Excluded(&end[..])));
        let Some(guard) = lists.next() else { return Ok(None) };
        let (key, value) = guard.into_inner().map_err(engine::error)?;
        Ok(Some((key, changes::keys_of(&Bytes::copy_from_slice(&value))?)))
    }

    fn note_key(&self, tag: u8, more: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(NOTE_PREFIX_LEN + more);
        bytes.extend_from_slice(&self.id.to_be_bytes());
        bytes.push(tag);
        bytes
    }

    /// Names the note of a head that was replaced.
    pub fn undo_key(&self, key: &[u8]) -> Vec<u8> {
        let mut bytes = self.note_key(UNDO, key.len());
        bytes.extend_from_slice(key);
        bytes
    }

    /// Names a list of keys.
    pub fn list_key(&self, space: SpaceId, first: u32) -> Vec<u8> {
        let mut bytes = self.note_key(KEYS, 8);
        bytes.extend_from_slice(&space.0.to_be_bytes());
        bytes.extend_from_slice(&first.to_be_bytes());
        bytes
    }

    /// Adds to a batch what brings back the head that was replaced.
    pub fn restore(&self, engine: &Engine, key: &Key, batch: &mut OwnedWriteBatch) -> Result<()> {
        let key = key.bytes();
        let Some(head) = engine.heads.get(key).map_err(engine::error)? else { return Ok(()) };
        if Head::decode(&head)?.stamp == Stamp::Bulk(self.id) {
            match self.below(key)? {
                Below::Head(old) => batch.insert(&engine.heads, &key[..], old),
                Below::Nothing => batch.remove(&engine.heads, &key[..]),
                Below::Undone => return Err(Error::internal("a bulk commit is undone twice")),
            }
        }
        Ok(())
    }

    /// Adds to a batch the removal of the note of a head, if there is one.
    pub fn drop_undo(&self, key: &[u8], batch: &mut OwnedWriteBatch) -> Result<()> {
        let note = self.undo_key(key);
        if self.notes.contains_key(&note).map_err(engine::error)? {
            batch.remove(&self.notes, note);
        }
        Ok(())
    }

    /// Adds to a batch the removal of the first list, if there is one left.
    pub fn drop_list(&self, batch: &mut OwnedWriteBatch) -> Result<bool> {
        let list = self.list(None)?;
        if let Some((name, _)) = &list {
            batch.remove(&self.notes, name.clone());
        }
        Ok(list.is_some())
    }
}

/// All bulk commits whose numbers heads may carry.
#[derive(Default)]
pub(super) struct Bulks {
    known: RwLock<BTreeMap<u64, Arc<Bulk>>>,
    /// Held by the one in flight.
    pub turn: tokio::sync::Mutex<()>,
}

impl Bulks {
    /// The bulk commit of that number; none: it was undone.
    pub fn get(&self, id: u64) -> Option<Arc<Bulk>> {
        self.known.read().get(&id).cloned()
    }

    /// When the bulk commit of that number was committed; none: it is in flight, or was undone.
    pub fn committed(&self, id: u64) -> Option<Timestamp> {
        self.known.read().get(&id)?.committed()
    }

    /// Begins one.
    pub fn begin(&self, engine: &Engine, id: u64) -> Arc<Bulk> {
        let bulk = Arc::new(Bulk::new(engine, id, Timestamp::ZERO));
        self.known.write().insert(id, bulk.clone());
        bulk
    }

    /// Every head of an unfinished one was restored: nobody meets its number any more.
    pub fn forget(&self, bulk: &Bulk) {
        self.known.write().remove(&bulk.id);
        bulk.undone.store(true, Ordering::SeqCst);
    }

    /// Reads the entries, and undoes what has none. Those that still have notes, with their
    /// tracked spaces.
    pub fn recover(&self, engine: &Engine) -> Result<Vec<(Arc<Bulk>, Vec<SpaceId>)>> {
        let mut tracked = HashMap::new();
        for guard in engine.meta.prefix(ENTRY_PREFIX) {
            let (key, value) = guard.into_inner().map_err(engine::error)?;
            let (id, ts, spaces) = decode_entry(&key, &value)?;
            self.known.write().insert(id, Arc::new(Bulk::new(engine, id, ts)));
            tracked.insert(id, spaces);
        }
        let mut with_notes = Vec::new();
        let mut next = 0u64;
        while let Some(guard) = engine.bulk.range(next.to_be_bytes()..).next() {
            let key = guard.key().map_err(engine::error)?;
            let id = key.first_chunk().map(|b| u64::from_be_bytes(*b)).unwrap_or(u64::MAX);
            match self.get(id) {
                Some(bulk) => {
                    with_notes.push((bulk, tracked.remove(&id).unwrap_or_default()));
                    let Some(after) = id.checked_add(1) else { break };
                    next = after;
                }
                None => undo(engine, id)?,
            }
        }
        Ok(with_notes)
    }
}

/// Restores the heads that an unfinished bulk commit replaced, and removes its notes.
fn undo(engine: &Engine, id: u64) -> Result<()> {
    let bulk = Bulk::new(engine, id, Timestamp::ZERO);
    let mut after: Option<Slice> = None;
    while let Some((place, keys)) = bulk.list(after.as_deref())? {
        let mut batch = engine.db.batch();
        for key in keys {
            bulk.restore(engine, &key, &mut batch)?;
        }
        batch.commit().map_err(engine::error)?;
        after = Some(place);
    }
    while let Some((name, keys)) = bulk.list(None)? {
        let mut batch = engine.db.batch();
        for key in keys {
            bulk.drop_undo(key.bytes(), &mut batch)?;
        }
        batch.remove(&engine.bulk, name);
        batch.commit().map_err(engine::error)?;
    }
    engine.db.persist(PersistMode::SyncAll).map_err(engine::error)
}

/// Names the entry that commits.
pub(super) fn entry_key(id: u64) -> Vec<u8> {
    [ENTRY_PREFIX, &id.to_be_bytes()].concat()
}

/// The entry that commits.
pub(super) fn entry(ts: Timestamp, extents: &Extents) -> Vec<u8> {
    let mut bytes = ts.0.to_be_bytes().to_vec();
    for (space, extent) in extents {
        if extent.tracked {
            bytes.extend_from_slice(&space.0.to_be_bytes());
        }
    }
    bytes
}

fn decode_entry(key: &[u8], value: &[u8]) -> Result<(u64, Timestamp, Vec<SpaceId>)> {
    let id = key.strip_prefix(ENTRY_PREFIX).and_then(|id| id.try_into().ok());
    let (Some(id), Some((ts, spaces))) = (id.map(u64::from_be_bytes), value.split_first_chunk())
    else {
        return Err(Error::corrupted("the entry of a bulk commit cannot be read"));
    };
    let spaces = spaces.as_chunks::<4>().0.iter().map(|b| SpaceId(u32::from_be_bytes(*b)));
    Ok((id, Timestamp(u64::from_be_bytes(*ts)), spaces.collect()))
}
