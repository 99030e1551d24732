//! What changed since a view was made, for queries at any later snapshot.
//!
//! ```text
//! store.changes(cursor…) ─▶ keys ─┬▶ their rows in the view: masked by position
//!                                 └▶ their current versions: appended as batches
//! ```
//!
//! The log may name a key that did not change, and names it after the fact; neither matters: a key
//! it names is masked in the view, and whatever the store has for it at the snapshot is appended.
//!
//! The cache of one generation follows the log as queries ask for later snapshots: it holds each
//! changed key's version as of `State::complete_to`, decoded. A query at T takes it as it is, but
//! for keys that changed again after T and for the transaction's own writes: those are read one by
//! one. So a query is exactly its snapshot, whatever the cache has seen beyond it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use bytes::Bytes;
use tokio::sync::{MutexGuard, Semaphore};

use super::mask::FileMask;
use super::rows::ArrowRowWriter;
use super::view::View;
use crate::error::{Error, Result, SqlState};
use crate::kv::{Cursor, Key, SharedStore, Timestamp, Version};

/// Changed rows that are read at once.
const ROWS_AT_ONCE: usize = 256;
/// Keys asked of the change log at once.
const CHANGES_PAGE: usize = 16 * 1024;
/// How long a query waits for the log to reach its snapshot.
const RESOLVED_WAIT_MAX: Duration = Duration::from_secs(10);
/// First and longest pause between two looks at how far the log is.
const RESOLVED_PAUSE: (Duration, Duration) =
    (Duration::from_micros(200), Duration::from_millis(20));
/// Batches are made one when dead rows outnumber the live ones and exceed this.
const COMPACT_DEAD_MIN: usize = 8192;

/// A key that changed since the view was made.
struct Changed {
    /// The newest commit known to have changed it: the log names it, or the version held is its.
    ts: Timestamp,
    /// The commit of the version held; none where nothing was ever there, or was collected.
    version: Option<Timestamp>,
    /// Where its row is; none if it has none.
    slot: Option<(usize, usize)>,
}

/// Rows of changed keys, all columns of the view.
struct Chunk {
    batch: RecordBatch,
    live: Vec<bool>,
    /// Of the batch.
    bytes: usize,
}

impl Chunk {
    /// A chunk of rows that all live.
    fn new(batch: RecordBatch) -> Chunk {
        Chunk { live: vec![true; batch.num_rows()], bytes: batch.get_array_memory_size(), batch }
    }
}

/// How much a delta may hold; a view with more to add is refreshed first.
#[derive(Clone, Copy)]
pub struct DeltaLimits {
    /// Changed keys.
    pub keys: usize,
    /// Bytes of their rows.
    pub bytes: usize,
}

/// The cache of one generation.
pub struct Delta {
    state: tokio::sync::Mutex<State>,
    /// How many keys are known to have changed.
    changed: AtomicUsize,
    /// Bytes of the rows held.
    bytes: AtomicUsize,
}

struct State {
    /// What it was not enough to hold; more changes never make that less.
    beyond: Option<DeltaLimits>,
    cursor: Cursor,
    complete_to: Timestamp,
    keys: HashMap<Bytes, Changed>,
    /// Keys by [`Changed::ts`].
    order: BTreeMap<(Timestamp, Bytes), ()>,
    masks: Vec<FileMask>,
    chunks: Vec<Chunk>,
}

/// What a query at one snapshot reads beside the view's files.
#[derive(Debug)]
pub struct Overlay {
    /// The rows of each file that the query does not see.
    pub masks: Vec<FileMask>,
    /// Rows it sees instead, with all columns of the view.
    pub batches: Vec<RecordBatch>,
    /// How many they are.
    pub rows: usize,
    /// Keys that changed since the view was made.
    pub changed: usize,
}

impl Overlay {
    /// A view as it was made.
    pub fn nothing_since(view: &View) -> Overlay {
        Overlay { masks: view.masks.clone(), batches: Vec::new(), rows: 0, changed: 0 }
    }
}

/// A write of the asking transaction; none deletes.
pub type OwnWrite = (Key, Option<Bytes>);

impl Delta {
    /// An empty cache for `view`.
    pub fn new(view: &View) -> Delta {
        Delta {
            state: tokio::sync::Mutex::new(State {
                beyond: None,
                cursor: view.manifest.cursor.clone(),
                complete_to: view.manifest.at,
                keys: HashMap::new(),
                order: BTreeMap::new(),
                masks: view.masks.clone(),
                chunks: Vec::new(),
            }),
            changed: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// How many keys are known to have changed.
    pub fn changed(&self) -> usize {
        self.changed.load(Ordering::Relaxed)
    }

    /// Bytes of the changed rows that it holds.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Follows the log to `at` at least, which the caller holds. False where it would hold more
    /// than `limits` then: it stays as it was, and the view should be refreshed.
    pub async fn advance(
        &self,
        view: &View,
        rows: &RowReader,
        at: Timestamp,
        limits: DeltaLimits,
    ) -> Result<bool> {
        self.advanced(view, rows, at, limits).await.map(|state| state.is_some())
    }

    async fn advanced(
        &self,
        view: &View,
        rows: &RowReader,
        at: Timestamp,
        limits: DeltaLimits,
    ) -> Result<Option<MutexGuard<'_, State>>> {
        let mut state = self.state.lock().await;
        let is_within = state.advance(view, rows, at, limits).await?;
        self.changed.store(state.keys.len(), Ordering::Relaxed);
        self.bytes.store(state.bytes(), Ordering::Relaxed);
        Ok(is_within.then_some(state))
    }

    /// What a query at `at`, held by the caller, with these own writes sees. None where that is
    /// more than `limits`: the view should be refreshed first.
    pub async fn overlay(
        &self,
        view: &View,
        rows: &RowReader,
        at: Timestamp,
        own: &[OwnWrite],
        limits: DeltaLimits,
    ) -> Result<Option<Overlay>> {
        match self.advanced(view, rows, at, limits).await? {
            Some(state) if state.keys.len() + own.len() <= limits.keys => {
                state.overlay(view, rows, at, own).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Waits until no commit at or below `at` can appear any more.
pub async fn wait_resolved(store: &SharedStore, at: Timestamp) -> Result<Timestamp> {
    let (mut pause, longest) = RESOLVED_PAUSE;
    let mut waited = Duration::ZERO;
    loop {
        let resolved = store.resolved().await?;
        if resolved >= at {
            return Ok(resolved);
        }
        if waited > RESOLVED_WAIT_MAX {
            return Err(Error::new(
                SqlState::LOCK_NOT_AVAILABLE,
                "the change log does not reach the snapshot",
            )
            .with_detail(format!("It is at {} of {}.", resolved.0, at.0)));
        }
        tokio::time::sleep(pause).await;
        waited += pause;
        pause = (pause * 2).min(longest);
    }
}

impl State {
    /// Bytes of the rows it holds.
    fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    async fn advance(
        &mut self,
        view: &View,
        rows: &RowReader,
        at: Timestamp,
        limits: DeltaLimits,
    ) -> Result<bool> {
        if self.complete_to >= at {
            return Ok(true);
        }
        if self.beyond.is_some_and(|b| limits.keys <= b.keys && limits.bytes <= b.bytes) {
            return Ok(false);
        }
        let is_within = self.follow(view, rows, at, limits).await?;
        if !is_within {
            self.beyond = Some(limits);
        }
        Ok(is_within)
    }

    async fn follow(
        &mut self,
        view: &View,
        rows: &RowReader,
        at: Timestamp,
        limits: DeltaLimits,
    ) -> Result<bool> {
        let store = &rows.store;
        let resolved = wait_resolved(store, at).await?;
        // Nothing of the state changes until everything was read: a query that is dropped in
        // between leaves it as it was.
        let keys_left = limits.keys.saturating_sub(self.keys.len());
        let Some((named, cursor)) = changes_since(store, view, &self.cursor, keys_left).await?
        else {
            return Ok(false);
        };
        // The log may be further by now than it was: versions are read where all it named is in.
        let newest = named.values().copied().max().unwrap_or_default().max(resolved);
        let hold = store.hold(newest)?;
        let keys: Vec<Key> = named
            .keys()
            .map(|tail| view.shape.codec().key_from_tail(tail))
            .collect::<Result<_>>()?;
        let bytes_left = limits.bytes.saturating_sub(self.bytes());
        let Some(versions) = rows.versions_within(&keys, hold.at, bytes_left).await? else {
            return Ok(false);
        };
        let tails: Vec<&[u8]> =
            named.keys().filter(|k| !self.keys.contains_key(*k)).map(AsRef::as_ref).collect();
        let located = view.locate(&tails)?;
        let mut writer = ArrowRowWriter::of(&view.shape.columns, keys.len())?;
        for (key, version) in keys.iter().zip(&versions) {
            if let Some(value) = version.as_ref().and_then(|v| v.value.as_ref()) {
                writer.append(&view.shape.decoder().decode(key, value)?)?;
            }
        }
        for (file, position) in located.into_iter().flatten() {
            self.masks[file].kill(position);
        }
        let chunk = self.chunks.len();
        let mut row = 0;
        for ((tail, ts), version) in named.into_iter().zip(&versions) {
            let slot = version.as_ref().and_then(|v| v.value.as_ref()).map(|_| {
                row += 1;
                (chunk, row - 1)
            });
            let version = version.as_ref().map(|v| v.ts);
            // What is above `resolved` may be there before the log names it.
            let ts = ts.max(version.unwrap_or_default());
            if let Some(old) = self.keys.insert(tail.clone(), Changed { ts, version, slot }) {
                self.order.remove(&(old.ts, tail.clone()));
                if let Some((chunk, row)) = old.slot {
                    self.chunks[chunk].live[row] = false;
                }
            }
            self.order.insert((ts, tail), ());
        }
        if row > 0 {
            self.chunks.push(Chunk::new(writer.finish()?));
        }
        self.cursor = cursor;
        self.complete_to = resolved;
        self.compact()?;
        Ok(true)
    }

    /// Makes one chunk of all when most rows are dead.
    fn compact(&mut self) -> Result<()> {
        let live: usize =
            self.chunks.iter().map(|c| c.live.iter().filter(|live| **live).count()).sum();
        let all: usize = self.chunks.iter().map(|c| c.live.len()).sum();
        if all - live < live.max(COMPACT_DEAD_MIN) {
            return Ok(());
        }
        let batches = self.live_batches(&HashMap::new())?;
        let mut places: Vec<Vec<usize>> = Vec::with_capacity(self.chunks.len());
        let mut next = 0;
        for chunk in &self.chunks {
            let place = chunk.live.iter().map(|live| {
                next += usize::from(*live);
                next.wrapping_sub(1)
            });
            places.push(place.collect());
        }
        let schema = self.chunks[0].batch.schema();
        let batch = arrow::compute::concat_batches(&schema, &batches)
            .map_err(|e| Error::internal(e.to_string()))?;
        for changed in self.keys.values_mut() {
            if let Some((chunk, row)) = changed.slot {
                changed.slot = Some((0, places[chunk][row]));
            }
        }
        self.chunks = vec![Chunk::new(batch)];
        Ok(())
    }

    /// The live rows of every chunk but those in `hidden`.
    fn live_batches(&self, hidden: &HashMap<usize, Vec<usize>>) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::with_capacity(self.chunks.len());
        for (at, chunk) in self.chunks.iter().enumerate() {
            let mut live = chunk.live.clone();
            for row in hidden.get(&at).into_iter().flatten() {
                live[*row] = false;
            }
            if live.iter().all(|live| *live) {
                batches.push(chunk.batch.clone());
            } else if live.iter().any(|live| *live) {
                let filtered = filter_record_batch(&chunk.batch, &BooleanArray::from(live));
                batches.push(filtered.map_err(|e| Error::internal(e.to_string()))?);
            }
        }
        Ok(batches)
    }

    async fn overlay(
        &self,
        view: &View,
        rows: &RowReader,
        at: Timestamp,
        own: &[OwnWrite],
    ) -> Result<Overlay> {
        let mut masks = self.masks.clone();
        let mut hidden: HashMap<usize, Vec<usize>> = HashMap::new();
        // Keys named after the snapshot: what they were at it, if what is held is younger.
        let mut reread: BTreeMap<Bytes, Option<Bytes>> = BTreeMap::new();
        for (_, tail) in self.order.range((at.next(), Bytes::new())..).map(|(k, _)| k) {
            let changed = &self.keys[tail];
            if changed.version.is_none_or(|version| version > at) {
                if let Some((chunk, row)) = changed.slot {
                    hidden.entry(chunk).or_default().push(row);
                }
                reread.insert(tail.clone(), None);
            }
        }
        let keys: Vec<Key> = reread
            .keys()
            .map(|tail| view.shape.codec().key_from_tail(tail))
            .collect::<Result<_>>()?;
        let versions = rows.versions(&keys, at).await?;
        for (place, version) in reread.values_mut().zip(versions) {
            *place = version.and_then(|v| v.value);
        }
        let mut own: Vec<&OwnWrite> = own.iter().collect();
        own.sort_by(|a, b| a.0.cmp(&b.0));
        let unknown: Vec<&[u8]> =
            own.iter().map(|w| w.0.tail()).filter(|tail| !self.keys.contains_key(*tail)).collect();
        for (file, position) in view.locate(&unknown)?.into_iter().flatten() {
            masks[file].kill(position);
        }
        for (key, value) in own {
            let tail = Bytes::copy_from_slice(key.tail());
            if let Some((chunk, row)) = self.keys.get(&tail).and_then(|c| c.slot) {
                hidden.entry(chunk).or_default().push(row);
            }
            reread.insert(tail, value.clone());
        }
        let mut batches = self.live_batches(&hidden)?;
        let mut writer = ArrowRowWriter::of(&view.shape.columns, reread.len())?;
        for (tail, value) in &reread {
            if let Some(value) = value {
                let key = view.shape.codec().key_from_tail(tail)?;
                writer.append(&view.shape.decoder().decode(&key, value)?)?;
            }
        }
        if writer.rows() > 0 {
            batches.push(writer.finish()?);
        }
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        Ok(Overlay { masks, batches, rows, changed: self.keys.len() })
    }
}

/// Tails of all keys that the log names after `cursor`, with their newest commit; and where the
/// log goes on. None if there are more than `keys_max`.
pub async fn changes_since(
    store: &SharedStore,
    view: &View,
    cursor: &Cursor,
    keys_max: usize,
) -> Result<Option<(BTreeMap<Bytes, Timestamp>, Cursor)>> {
    let mut named: BTreeMap<Bytes, Timestamp> = BTreeMap::new();
    let mut cursor = cursor.clone();
    loop {
        let page = store.changes(view.shape.table.space(), &cursor, CHANGES_PAGE).await?;
        for (key, ts) in page.keys {
            let newest = named.entry(Bytes::copy_from_slice(key.tail())).or_default();
            *newest = ts.max(*newest);
        }
        if named.len() > keys_max {
            return Ok(None);
        }
        cursor = page.next;
        if !page.more {
            return Ok(Some((named, cursor)));
        }
    }
}

/// Reads changed rows by their keys, for all views of an engine, in turn and a few at once: on a
/// cluster each is a request, and those of transactions should find room beside them.
#[derive(Clone)]
pub struct RowReader {
    store: SharedStore,
    turns: Arc<Semaphore>,
}

impl RowReader {
    /// A reader of a store's rows.
    pub fn new(store: SharedStore) -> RowReader {
        RowReader { store, turns: Arc::new(Semaphore::new(1)) }
    }

    /// The versions of `keys` at a held timestamp.
    pub async fn versions(&self, keys: &[Key], at: Timestamp) -> Result<Vec<Option<Version>>> {
        Ok(self.versions_within(keys, at, usize::MAX).await?.unwrap_or_default())
    }

    /// The same; none if their values have more than `bytes_max`.
    async fn versions_within(
        &self,
        keys: &[Key],
        at: Timestamp,
        bytes_max: usize,
    ) -> Result<Option<Vec<Option<Version>>>> {
        let mut versions = Vec::with_capacity(keys.len());
        let mut bytes = 0;
        for chunk in keys.chunks(ROWS_AT_ONCE) {
            // No semaphore is closed while somebody reads.
            let _turn = self.turns.acquire().await;
            let read = self.store.get_many(chunk, at).await?;
            let values = read.iter().flatten().flat_map(|version| &version.value);
            bytes += values.map(Bytes::len).sum::<usize>();
            if bytes > bytes_max {
                return Ok(None);
            }
            versions.extend(read);
        }
        Ok(Some(versions))
    }
}
