//! The embedded store: an LSM engine in this process, durable on one disk.
//!
//! - `engine` opens the folder and is the only code that names fjall's options and errors;
//! - `head`, `changes`, `bulk` document the bytes;
//! - `core` finds versions (`cache` helps), `scan` finds many; any thread may, without waiting;
//! - `queue` and `writer` carry commits, one group after the other; `recent` helps validating;
//! - `bulk_writer` carries huge commits in parts; `history` and `collect` keep and drop versions.
//!
//! What is not kept over a restart: locks, snapshots, superseded versions. Timestamps start above
//! every commit of before. Reading a version that is neither in memory nor in the engine's cache
//! blocks the calling thread for the time of a disk read.

mod bulk;
mod bulk_writer;
mod cache;
mod changes;
mod collect;
mod core;
mod engine;
#[cfg(test)]
mod faults;
mod head;
mod history;
mod queue;
mod recent;
mod scan;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use self::bulk::Bulks;
use self::cache::HeadCache;
use self::changes::{BULK_NUMBER, Place};
use self::collect::Collector;
use self::core::Core;
use self::engine::Engine;
use self::history::History;
use self::queue::{Done, Queue, Work, write_bytes};
use self::scan::EmbeddedSegments;
use self::writer::Writer;
use super::holds::Holds;
use super::locks::{DEADLOCK_TIMEOUT, Grant, LockTable};
use super::*;
use crate::clock::{Clock, HybridClock, Timestamp};
use crate::error::{Error, Result, SqlState};

/// Block cache. The allocator takes about half as much again for it.
pub const CACHE_BYTES: u64 = 28 << 20;
/// Memtable of the heads; up to four more wait for their flush under heavy writing.
pub const MEMTABLE_BYTES: u64 = 12 << 20;
/// Superseded versions kept in memory; more go to disk.
pub const HISTORY_BYTES_MAX: usize = 64 << 20;
/// Commits with more bytes of keys and values go in parts.
pub const BULK_BYTES: usize = 4 << 20;
/// Commits with more writes go in parts.
const BULK_WRITES: usize = 16 * 1024;
/// Commits are refused while less is free on the disk: room for flushes and compactions.
pub const DISK_RESERVE_BYTES: u64 = 256 << 20;
/// Deletions from before the start that may wait for the writer.
const STALE_MAX: usize = 1024;
/// Heads or records removed in one step.
const REMOVE_STEP: usize = 4096;
/// Names of the trim notes in `meta` begin so.
const TRIM_PREFIX: &[u8] = b"trim:";

/// How the store is opened.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Its folder.
    pub dir: PathBuf,
    /// [`CACHE_BYTES`]
    pub cache_bytes: u64,
    /// [`MEMTABLE_BYTES`]
    pub memtable_bytes: u64,
    /// [`HISTORY_BYTES_MAX`]
    pub history_bytes_max: usize,
    /// [`BULK_BYTES`]
    pub bulk_bytes: usize,
    /// [`DISK_RESERVE_BYTES`]
    pub disk_reserve_bytes: u64,
    /// PostgreSQL's `deadlock_timeout`.
    pub deadlock_timeout: Duration,
}

impl EmbeddedOptions {
    /// The defaults for a folder.
    pub fn new(dir: impl Into<PathBuf>) -> EmbeddedOptions {
        EmbeddedOptions {
            dir: dir.into(),
            cache_bytes: CACHE_BYTES,
            memtable_bytes: MEMTABLE_BYTES,
            history_bytes_max: HISTORY_BYTES_MAX,
            bulk_bytes: BULK_BYTES,
            disk_reserve_bytes: DISK_RESERVE_BYTES,
            deadlock_timeout: DEADLOCK_TIMEOUT,
        }
    }
}

/// The store.
pub struct EmbeddedStore {
    core: Arc<Core>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedStore {
    /// Opens the store in a folder, making it if there is none. What a crash left behind is put
    /// in order first.
    pub fn open(options: EmbeddedOptions, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(EmbeddedStore::start(options, clock)?))
    }

    fn start(options: EmbeddedOptions, clock: Arc<dyn Clock>) -> Result<EmbeddedStore> {
        let engine = Engine::open(&options)?;
        let bulks = Bulks::default();
        let mut collector = Collector::default();
        for (bulk, tracked) in bulks.recover(&engine)? {
            collector.bulk_finished(bulk, tracked, false);
        }
        let ceiling = read_ceiling(&engine)?;
        let timestamps = HybridClock::new(clock.clone(), ceiling);
        let start = timestamps.tick();
        let core = Arc::new(Core {
            locks: LockTable::new(&*clock, options.deadlock_timeout),
            holds: Holds::new(start),
            cache: HeadCache::new(),
            history: History::new(ceiling),
            queue: Queue::default(),
            sizes: Mutex::new(core::load_sizes(&engine)?),
            trimmed: RwLock::new(load_trims(&engine)?),
            stale: Mutex::new(Vec::with_capacity(STALE_MAX)),
            opened_at: start,
            #[cfg(test)]
            faults: faults::Faults::default(),
            clock: timestamps,
            wall: clock,
            bulks,
            engine,
            options,
        });
        let writer = Writer::new(core.clone(), collector, ceiling);
        let thread = std::thread::Builder::new().name("kv-writer".to_owned());
        let thread = thread.spawn(move || writer.run())?;
        Ok(EmbeddedStore { core, writer: Mutex::new(Some(thread)) })
    }

    /// Tells the writer to end, and waits for that.
    fn stop(&self) {
        if let Some(thread) = self.writer.lock().take() {
            let _ = self.core.queue.push(Work::Stop);
            if thread.join().is_err() {
                tracing::error!("the store's writer had panicked");
            }
        }
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The durable bound on timestamps; zero in a new store.
fn read_ceiling(engine: &Engine) -> Result<Timestamp> {
    let bytes = engine.meta.get(writer::CEILING).map_err(engine::error)?;
    let Some(bytes) = bytes else { return Ok(Timestamp::ZERO) };
    let bytes = bytes.as_ref().try_into();
    let number = bytes.map_err(|_| Error::corrupted("the bound on timestamps cannot be read"))?;
    Ok(Timestamp(u64::from_be_bytes(number)))
}

fn trim_note(space: SpaceId, upto: Place) -> (Vec<u8>, Vec<u8>) {
    let key = [TRIM_PREFIX, &space.0.to_be_bytes()].concat();
    (key, upto.to_cursor().0.to_vec())
}

fn load_trims(engine: &Engine) -> Result<HashMap<SpaceId, Place>> {
    let mut trims = HashMap::new();
    for guard in engine.meta.prefix(TRIM_PREFIX) {
        let (key, value) = guard.into_inner().map_err(engine::error)?;
        let space = key.last_chunk::<4>().map(|b| SpaceId(u32::from_be_bytes(*b)));
        let (Some(space), Some(place)) = (space, Place::decode(&value)) else {
            return Err(Error::corrupted("a trim note cannot be read"));
        };
        trims.insert(space, place);
    }
    Ok(trims)
}

#[async_trait]
impl Store for EmbeddedStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "embedded",
            ordered: true,
            cheap_locks: true,
            cheap_snapshots: true,
            native_columns: false,
            loads: false,
        }
    }

    async fn snapshot(&self) -> Result<Hold> {
        Ok(self.core.holds.snapshot())
    }

    async fn resolved(&self) -> Result<Timestamp> {
        Ok(self.core.holds.visible())
    }

    fn oldest(&self) -> Timestamp {
        self.core.holds.oldest()
    }

    fn hold(&self, at: Timestamp) -> Result<Hold> {
        self.core.holds.hold(at)
    }

    async fn get(&self, key: &Key, at: Timestamp) -> Result<Option<Version>> {
        match at {
            Timestamp::MAX => self.core.get_newest(key.bytes()),
            at => self.core.get(key.bytes(), at),
        }
    }

    async fn get_many(&self, keys: &[Key], at: Timestamp) -> Result<Vec<Option<Version>>> {
        let hold = (at == Timestamp::MAX).then(|| self.core.holds.snapshot());
        let at = hold.as_ref().map_or(at, |hold| hold.at);
        keys.iter().map(|key| self.core.get(key.bytes(), at)).collect()
    }

    async fn scan(
        &self,
        range: &KeyRange,
        at: Timestamp,
        reverse: bool,
        limit: PageLimit,
        from: Option<Continuation>,
    ) -> Result<Page> {
        self.core.page(range, at, reverse, limit, from)
    }

    async fn lock(&self, request: LockRequest) -> Result<Vec<Option<Locked>>> {
        let grants = self.core.locks.acquire(&request).await?;
        let locked = |(key, grant): (&Key, Grant)| match grant {
            Grant::Held { waited, fresh } => {
                let current = self.core.get_newest(key.bytes())?;
                Ok(Some(Locked { current, waited, fresh }))
            }
            Grant::Skipped => Ok(None),
        };
        request.keys.iter().zip(grants).map(locked).collect()
    }

    async fn unlock(&self, txn: TxnId, keys: Option<&[Key]>) -> Result<()> {
        self.core.locks.release(txn, keys);
        Ok(())
    }

    fn abandon(&self, txn: TxnId) {
        self.core.locks.release(txn, None);
    }

    async fn commit(&self, commit: Commit) -> Result<CommitOutcome> {
        let bytes: usize = commit.writes.iter().map(write_bytes).sum();
        if bytes > self.core.options.bulk_bytes || commit.writes.len() > BULK_WRITES {
            // Apart from the caller: once begun it is ended, also when nobody waits any more.
            let task = tokio::spawn(bulk_writer::commit(self.core.clone(), commit));
            return task.await.unwrap_or_else(|_| {
                let message = "a bulk commit ended without an outcome";
                Err(Error::new(SqlState::STATEMENT_COMPLETION_UNKNOWN, message))
            });
        }
        let txn = commit.txn;
        match self.core.ask(Work::Commit(commit)).await {
            Ok(Done::Outcome(outcome)) => Ok(outcome),
            Ok(_) => Err(Error::internal("a commit without an outcome")),
            Err(error) => {
                self.core.locks.release(txn, None);
                Err(error)
            }
        }
    }

    async fn changes(
        &self,
        space: SpaceId,
        cursor: &Cursor,
        keys_max: usize,
    ) -> Result<ChangePage> {
        let after = Place::from_cursor(cursor)?;
        let page = self.core.changes(space, after, keys_max)?;
        // Only now: had anything been trimmed before it was read, this would know.
        if self.core.trimmed.read().get(&space).is_some_and(|trimmed| after < *trimmed) {
            let message = format!("changes of space {} were trimmed", space.0);
            return Err(Error::new(SqlState::SNAPSHOT_TOO_OLD, message));
        }
        Ok(page)
    }

    async fn cursor_at(&self, _space: SpaceId, at: Timestamp) -> Result<Cursor> {
        Ok(Place { ts: at, number: u32::MAX }.to_cursor())
    }

    async fn trim_changes(&self, space: SpaceId, cursor: &Cursor) -> Result<()> {
        let upto = Place::from_cursor(cursor)?;
        {
            let mut trimmed = self.core.trimmed.write();
            let before = trimmed.entry(space).or_insert(Place::START);
            *before = upto.max(*before);
        }
        loop {
            let records = self.core.records_before(space, upto.ts, REMOVE_STEP)?;
            let more = records.len() == REMOVE_STEP;
            self.core.ask(Work::Trim { space, upto, records }).await?;
            if !more {
                return Ok(());
            }
        }
    }

    fn segments(&self, range: &KeyRange, at: Timestamp) -> Result<Box<dyn Segments>> {
        let heads = (!range.is_empty())
            .then(|| self.core.engine.heads.range::<Bytes, _>(range.key_bounds()));
        Ok(Box::new(EmbeddedSegments { core: self.core.clone(), heads, at }))
    }

    async fn drop_space(&self, space: SpaceId) -> Result<()> {
        // Whole files first; what they leave at the edges and in memory goes row by row.
        let (mut start, end) = KeyRange::all(space).key_bounds();
        let (core, files) = (self.core.clone(), (start.clone(), end.clone()));
        let dropped = tokio::task::spawn_blocking(move || core.engine.drop_files(files)).await;
        dropped.map_err(|e| Error::internal(format!("dropping files: {e}")))??;
        loop {
            let heads = self.core.engine.heads.range::<Bytes, _>((start.clone(), end.clone()));
            let keys = heads
                .take(REMOVE_STEP)
                .map(|guard| guard.key().map(|key| Bytes::copy_from_slice(&key)))
                .collect::<fjall::Result<Vec<Bytes>>>()
                .map_err(engine::error)?;
            // Not from the start again: that would walk over all that was removed before.
            let Some(last) = keys.last() else { break };
            start = Bound::Excluded(last.clone());
            while self.core.engine.is_busy() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.core.ask(Work::Remove { keys }).await?;
        }
        self.core.sizes.lock().insert(space, core::Size::default());
        let end = Place { ts: self.core.holds.visible(), number: u32::MAX };
        self.trim_changes(space, &end.to_cursor()).await
    }

    async fn estimate(&self, range: &KeyRange) -> Result<Estimate> {
        self.core.estimate(range)
    }

    async fn close(&self) -> Result<()> {
        self.stop();
        Ok(())
    }
}

impl Core {
    /// Keys changed after a place, up to what is visible.
    fn changes(&self, space: SpaceId, after: Place, keys_max: usize) -> Result<ChangePage> {
        let upto = Place { ts: self.holds.visible(), number: u32::MAX };
        let mut page = ChangePage { next: after.to_cursor(), ..ChangePage::default() };
        let start = changes::record_key(space, Place { ts: after.ts, number: 0 });
        let end = changes::record_key(space, upto);
        if start > end {
            return Ok(page);
        }
        for guard in self.engine.changes.range(start..=end) {
            let (key, value) = guard.into_inner().map_err(engine::error)?;
            let place = changes::record_place(&key)?;
            let first = match place.ts == after.ts {
                true => match after.number.checked_add(1) {
                    Some(first) => first,
                    None => continue,
                },
                false => 0,
            };
            let mut number = first;
            loop {
                let keys = match place.number {
                    BULK_NUMBER => self.bulk_changes(space, &value, number)?,
                    _ => {
                        let keys = changes::keys_of(&Bytes::copy_from_slice(&value))?;
                        keys.into_iter().skip(number as usize).collect()
                    }
                };
                if keys.is_empty() {
                    break;
                }
                for key in keys {
                    if page.keys.len() == keys_max {
                        page.more = true;
                        return Ok(page);
                    }
                    page.keys.push((key, place.ts));
                    page.next = Place { ts: place.ts, number }.to_cursor();
                    number += 1;
                }
            }
        }
        Ok(page)
    }

    /// Keys of a bulk commit that a record of the change log refers to.
    fn bulk_changes(&self, space: SpaceId, id: &[u8], number: u32) -> Result<Vec<Key>> {
        let id = id.try_into().map(u64::from_be_bytes);
        let bulk = id.ok().and_then(|id| self.bulks.get(id));
        let bulk = bulk.ok_or_else(|| Error::corrupted("the change log names no bulk commit"))?;
        bulk.keys_from(space, number)
    }

    /// Records of a space from before a time.
    fn records_before(&self, space: SpaceId, ts: Timestamp, max: usize) -> Result<Vec<Bytes>> {
        let start = changes::record_key(space, Place::START);
        let end = changes::record_key(space, Place { ts, number: 0 });
        let records = self.engine.changes.range(start..end).take(max);
        let keys = records.map(|guard| guard.key().map(|key| Bytes::copy_from_slice(&key)));
        keys.collect::<fjall::Result<_>>().map_err(engine::error)
    }
}
