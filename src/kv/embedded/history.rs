//! Versions that are no longer heads and that a snapshot may still need.
//!
//! They live in memory: after a crash no snapshot of before is left to read them. When they grow
//! beyond a limit (a long-running reader beside many writers), the oldest move to a keyspace on
//! disk. Each carries the time at which it was superseded, so that one which is not collected yet
//! is never taken for what stood there later.
//!
//! One thread adds, spills and collects; any thread reads. A version is added before the head
//! that supersedes it appears, and is on disk before it leaves memory.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use fjall::{OwnedWriteBatch, Slice};
use parking_lot::RwLock;
use smallvec::SmallVec;

use super::engine::{self, Engine};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::Version;

/// Maps behind a lock each. A power of two.
const SHARDS: usize = 16;
/// Bookkeeping bytes of a version in memory.
const VERSION_OVERHEAD_BYTES: usize = 150;
/// Versions moved to disk in one step.
const SPILL_BATCH_BYTES: usize = 1 << 20;
/// Versions on disk looked at in one step of a sweep.
const SWEEP_STEP: usize = 1024;
/// A shard's map that is emptier than one eighth of a capacity above this gives memory back.
const SHRINK_ABOVE: usize = 1024;

/// The versions.
pub(super) struct History {
    shards: Box<[RwLock<HashMap<Bytes, Chain>>]>,
    bytes: AtomicUsize,
    /// The highest time at which a version on disk was superseded; zero: none is there.
    spilled_until: AtomicU64,
}

/// Versions of one key, oldest first.
type Chain = SmallVec<[Old; 1]>;

/// A version, and when it ceased to be the newest.
struct Old {
    version: Version,
    until: Timestamp,
}

/// What waits for collection. Held by the one thread that changes the history.
#[derive(Default)]
pub(super) struct Garbage {
    /// In the order in which it was added, which is nearly that in which it was superseded.
    queue: VecDeque<Superseded>,
    /// Where the sweep over the versions on disk stands; none: none is under way.
    sweep: Option<Slice>,
    /// The horizon of the last sweep.
    swept: Timestamp,
}

struct Superseded {
    until: Timestamp,
    key: Bytes,
    /// The version's own timestamp.
    ts: Timestamp,
    bytes: usize,
}

impl Garbage {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.sweep.is_none()
    }
}

impl History {
    /// An empty history. What an earlier run left on disk, superseded at or before
    /// `spilled_until`, is swept.
    pub fn new(spilled_until: Timestamp) -> History {
        History {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            bytes: AtomicUsize::new(0),
            spilled_until: AtomicU64::new(spilled_until.0),
        }
    }

    fn shard(&self, key: &[u8]) -> &RwLock<HashMap<Bytes, Chain>> {
        &self.shards[crc32fast::hash(key) as usize % SHARDS]
    }

    /// Keeps a version that the commit at `until` supersedes.
    pub fn add(&self, garbage: &mut Garbage, key: &Bytes, version: Version, until: Timestamp) {
        let bytes =
            key.len() + version.value.as_ref().map_or(0, Bytes::len) + VERSION_OVERHEAD_BYTES;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        garbage.queue.push_back(Superseded { until, key: key.clone(), ts: version.ts, bytes });
        self.shard(key).write().entry(key.clone()).or_default().push(Old { version, until });
    }

    /// The version of a key visible at `at`, among those superseded. The caller holds `at`.
    pub fn get(&self, engine: &Engine, key: &[u8], at: Timestamp) -> Result<Option<Version>> {
        if let Some(chain) = self.shard(key).read().get(key)
            && let Some(old) = chain.iter().rev().find(|old| old.version.ts <= at)
        {
            return Ok((old.until > at).then(|| old.version.clone()));
        }
        // It may have moved to disk between the look into memory and now, never back.
        if self.spilled_until.load(Ordering::Acquire) <= at.0 {
            return Ok(None);
        }
        let (start, end) = (spilled_key(key, at), spilled_key(key, Timestamp::ZERO));
        let Some(guard) = engine.old.range(start..=end).next() else { return Ok(None) };
        let (key, value) = guard.into_inner().map_err(engine::error)?;
        let Old { version, until } = decode_spilled(&key, &value)?;
        Ok((until > at).then_some(version))
    }

    /// Drops at most `versions_max` versions superseded at or below the horizon from memory, and
    /// some from disk. Whether there is more to drop.
    pub fn collect(
        &self,
        engine: &Engine,
        garbage: &mut Garbage,
        horizon: Timestamp,
        versions_max: usize,
        batch: &mut OwnedWriteBatch,
    ) -> Result<bool> {
        let mut more = self.sweep(engine, garbage, horizon, batch)?;
        for _ in 0..versions_max {
            let Some(gone) = garbage.queue.pop_front_if(|s| s.until <= horizon) else {
                return Ok(more);
            };
            self.remove(&gone);
        }
        more |= garbage.queue.front().is_some_and(|s| s.until <= horizon);
        Ok(more)
    }

    /// Moves the oldest versions to disk until no more than `bytes_max` are in memory, or one
    /// step's worth has moved.
    pub fn spill(&self, engine: &Engine, garbage: &mut Garbage, bytes_max: usize) -> Result<()> {
        let mut held = self.bytes.load(Ordering::Relaxed);
        if held <= bytes_max || garbage.queue.is_empty() {
            return Ok(());
        }
        let mut batch = engine.db.batch();
        let (mut count, mut bytes, mut last) = (0, 0, Timestamp::ZERO);
        for gone in &garbage.queue {
            if bytes >= SPILL_BATCH_BYTES || held <= bytes_max {
                break;
            }
            if let Some(chain) = self.shard(&gone.key).read().get(&gone.key)
                && let Some(old) = chain.iter().find(|old| old.version.ts == gone.ts)
            {
                batch.insert(&engine.old, spilled_key(&gone.key, gone.ts), encode_spilled(old));
            }
            held = held.saturating_sub(gone.bytes);
            (count, bytes, last) = (count + 1, bytes + gone.bytes, last.max(gone.until));
        }
        self.spilled_until.fetch_max(last.0, Ordering::AcqRel);
        batch.commit().map_err(engine::error)?;
        for gone in garbage.queue.drain(..count) {
            self.remove(&gone);
        }
        Ok(())
    }

    /// Goes on with, or begins, a pass over the versions on disk that removes what lies below the
    /// horizon. Passes begin when the horizon has passed all that is there, or moved by far.
    fn sweep(
        &self,
        engine: &Engine,
        garbage: &mut Garbage,
        horizon: Timestamp,
        batch: &mut OwnedWriteBatch,
    ) -> Result<bool> {
        let spilled_until = Timestamp(self.spilled_until.load(Ordering::Acquire));
        if spilled_until == Timestamp::ZERO {
            return Ok(false);
        }
        let from = match garbage.sweep.take() {
            Some(from) => from,
            None if horizon >= spilled_until
                || horizon.millis() > garbage.swept.millis() + SWEEP_INTERVAL_MS =>
            {
                garbage.swept = horizon;
                Slice::from([])
            }
            None => return Ok(false),
        };
        let mut count = 0;
        for guard in engine.old.range(from..).take(SWEEP_STEP) {
            let (key, value) = guard.into_inner().map_err(engine::error)?;
            if decode_spilled(&key, &value)?.until <= horizon {
                batch.remove(&engine.old, key.clone());
            }
            count += 1;
            garbage.sweep = Some(key);
        }
        if count == SWEEP_STEP {
            return Ok(true);
        }
        garbage.sweep = None;
        if garbage.swept >= spilled_until {
            // All of it is gone, or will be when the batch is written.
            self.spilled_until.store(0, Ordering::Release);
        }
        Ok(false)
    }

    fn remove(&self, gone: &Superseded) {
        let mut shard = self.shard(&gone.key).write();
        if let Some(chain) = shard.get_mut(&gone.key) {
            chain.retain(|old| old.version.ts != gone.ts);
            if chain.is_empty() {
                shard.remove(&gone.key);
            }
        }
        if shard.capacity() > SHRINK_ABOVE && shard.len() < shard.capacity() / 8 {
            shard.shrink_to(SHRINK_ABOVE);
        }
        self.bytes.fetch_sub(gone.bytes, Ordering::Relaxed);
    }
}

/// How far the horizon moves before the versions on disk are swept again.
const SWEEP_INTERVAL_MS: u64 = 60_000;

/// The key's length, the key, the timestamp upside down: of one key the newest version comes
/// first, and no other key's lie in between.
fn spilled_key(key: &[u8], ts: Timestamp) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + key.len() + 8);
    bytes.extend_from_slice(&(key.len() as u16).to_be_bytes());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&(!ts.0).to_be_bytes());
    bytes
}

/// One byte, 1 for a deletion, when it was superseded, and the value.
fn encode_spilled(old: &Old) -> Vec<u8> {
    let value = old.version.value.as_deref().unwrap_or_default();
    let mut bytes = Vec::with_capacity(9 + value.len());
    bytes.push(u8::from(old.version.value.is_none()));
    bytes.extend_from_slice(&old.until.0.to_be_bytes());
    bytes.extend_from_slice(value);
    bytes
}

fn decode_spilled(key: &[u8], bytes: &[u8]) -> Result<Old> {
    let corrupt = || Error::corrupted("a spilled version cannot be read");
    let ts = key.last_chunk::<8>().ok_or_else(corrupt)?;
    let (flag, rest) = bytes.split_first().ok_or_else(corrupt)?;
    let (until, value) = rest.split_first_chunk::<8>().ok_or_else(corrupt)?;
    let value = (*flag == 0).then(|| Bytes::copy_from_slice(value));
    let version = Version { ts: Timestamp(!u64::from_be_bytes(*ts)), value };
    Ok(Old { version, until: Timestamp(u64::from_be_bytes(*until)) })
}
