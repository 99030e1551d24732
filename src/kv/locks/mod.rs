//! Row locks in the memory of one process.
//!
//! A lock is known by a keyed 64-bit hash of its key: two keys with one hash would be one lock,
//! which can make someone wait and can never let two transactions have one row. Locks live in
//! `SHARDS` maps, each behind a mutex held for nanoseconds; waiting is asynchronous.
//!
//! Order of grants: first come, first served among those that conflict. A request that conflicts
//! with no holder but with a waiter queues behind it, so that a stream of shared locks cannot
//! starve an exclusive one. Who holds a lock already and wants more goes before the queue.
//!
//! A waiter looks for a deadlock each time `deadlock_timeout` has passed. It then holds all
//! shards, so the waits-for graph it walks is one moment's truth, and only a real cycle ends a
//! transaction: the one that looked.
//!
//! Dropping the future of [`LockTable::acquire`] at any await takes the request out of the queue
//! and gives back what it had taken before.

pub(in crate::kv) mod deadlock;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use self::state::{Attempt, LockState, Owner, Waiter};
use crate::clock::Clock;
use crate::error::{Error, Result, SqlState};
use crate::kv::{Key, LockMode, LockRequest, LockWait, TxnId};

/// Parts of the lock table, and of the table of owners. A power of two.
const SHARDS: usize = 64;
/// A shard's map that is emptier than one eighth of a capacity above this gives memory back.
const SHRINK_ABOVE: usize = 1024;
/// `deadlock_timeout` as PostgreSQL has it.
pub const DEADLOCK_TIMEOUT: Duration = Duration::from_secs(1);

type Shard = HashMap<u64, LockState, BuildHasherDefault<HashedKey>>;
type Owners = HashMap<TxnId, Arc<Owner>>;

/// The hasher of keys that are hashes.
#[derive(Default)]
struct HashedKey(u64);

impl Hasher for HashedKey {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// How one key of a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Held.
    Held {
        /// Whether it had to wait for another transaction.
        waited: bool,
        /// Whether the transaction held nothing on the key before.
        fresh: bool,
    },
    /// Another transaction has it, and the request was to skip.
    Skipped,
}

/// How long a request waits.
#[derive(Clone, Copy)]
struct Limits {
    /// In all.
    timeout: Duration,
    /// Before each look for a deadlock.
    deadlock_timeout: Duration,
}

/// The lock table.
pub struct LockTable {
    seed: u64,
    shards: Box<[Mutex<Shard>]>,
    owners: Box<[Mutex<Owners>]>,
    tickets: AtomicU64,
    deadlock_timeout: Duration,
}

impl LockTable {
    /// An empty table. The clock gives the seed of the hash, so that nobody can choose keys that
    /// collide.
    pub fn new(clock: &dyn Clock, deadlock_timeout: Duration) -> LockTable {
        let mut seed = [0; 8];
        clock.random(&mut seed);
        LockTable {
            seed: u64::from_le_bytes(seed),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            owners: (0..SHARDS).map(|_| Mutex::default()).collect(),
            tickets: AtomicU64::new(0),
            deadlock_timeout,
        }
    }

    /// Takes the locks of a request, all (less the skipped) or none, and answers in the order of
    /// its keys. 55P03 when a lock is not to be had, 40P01 on a deadlock.
    pub async fn acquire(&self, request: &LockRequest) -> Result<SmallVec<[Grant; 2]>> {
        let owner = self.owner(request.txn);
        let mut grants = SmallVec::from_elem(Grant::Skipped, request.keys.len());
        let mut taking = Taking { table: self, owner: &owner, taken: SmallVec::new(), keep: false };
        for place in self.order(&request.keys) {
            let key = &request.keys[place];
            let hash = self.hash(key);
            grants[place] = match self.attempt(&owner, hash, request.mode) {
                Attempt::Granted { before } => {
                    taking.took(hash, before, request.mode);
                    Grant::Held { waited: false, fresh: before.is_none() }
                }
                Attempt::Refused => match request.wait {
                    LockWait::SkipLocked => Grant::Skipped,
                    LockWait::NoWait => return Err(not_available("could not obtain lock on row")),
                    LockWait::Block { lock_timeout_ms, deadlock_timeout_ms } => {
                        let limits = self.limits(lock_timeout_ms, deadlock_timeout_ms);
                        let (before, waited) =
                            self.wait(&owner, key, hash, request.mode, limits).await?;
                        taking.took(hash, before, request.mode);
                        Grant::Held { waited, fresh: before.is_none() }
                    }
                },
            };
        }
        taking.keep();
        Ok(grants)
    }

    /// Gives up locks of `txn`: those of `keys`, or all.
    pub fn release(&self, txn: TxnId, keys: Option<&[Key]>) {
        match keys {
            Some(keys) => {
                let owner = self.owners[owner_shard(txn)].lock().get(&txn).cloned();
                if let Some(owner) = owner {
                    for key in keys {
                        self.release_one(&owner, self.hash(key));
                    }
                }
            }
            None => {
                let owner = self.owners[owner_shard(txn)].lock().remove(&txn);
                if let Some(owner) = owner {
                    let held = std::mem::take(&mut *owner.held.lock());
                    for hash in held {
                        self.release_one(&owner, hash);
                    }
                }
            }
        }
    }

    /// The mode in which `txn` holds `key`.
    pub fn held(&self, txn: TxnId, key: &Key) -> Option<LockMode> {
        let owner = self.owners[owner_shard(txn)].lock().get(&txn).cloned()?;
        let hash = self.hash(key);
        self.shard(hash).lock().get(&hash)?.mode_of(&owner)
    }

    /// How many locks `txn` has taken, some of them perhaps twice.
    pub fn count_of(&self, txn: TxnId) -> usize {
        let owner = self.owners[owner_shard(txn)].lock().get(&txn).cloned();
        owner.map_or(0, |owner| owner.held.lock().len())
    }

    /// How many transactions have asked for locks and do not wait for one.
    pub fn running(&self) -> usize {
        let runs = |owner: &&Arc<Owner>| owner.waits_for.lock().is_none();
        self.owners.iter().map(|shard| shard.lock().values().filter(runs).count()).sum()
    }

    /// How many locks are held or waited for, by anyone.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock().len()).sum()
    }

    /// Whether nothing is locked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn hash(&self, key: &Key) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write(key.bytes());
        hasher.finish()
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[shard_of(hash)]
    }

    /// The order in which a request takes its keys: by hash, so that two requests for the same
    /// keys cannot deadlock with each other.
    fn order(&self, keys: &[Key]) -> SmallVec<[usize; 2]> {
        let mut order: SmallVec<[usize; 2]> = (0..keys.len()).collect();
        if keys.len() > 1 {
            order.sort_by_cached_key(|&i| self.hash(&keys[i]));
        }
        order
    }

    fn owner(&self, txn: TxnId) -> Arc<Owner> {
        let mut owners = self.owners[owner_shard(txn)].lock();
        let owner = owners.entry(txn).or_insert_with(|| {
            let held = Mutex::new(Vec::new());
            Arc::new(Owner { id: txn, held, waits_for: Mutex::new(None) })
        });
        owner.clone()
    }

    fn attempt(&self, owner: &Arc<Owner>, hash: u64, mode: LockMode) -> Attempt {
        self.shard(hash).lock().entry(hash).or_default().attempt(owner, mode)
    }

    fn release_one(&self, owner: &Arc<Owner>, hash: u64) {
        self.give_up(owner, hash, None);
    }

    fn give_up(&self, owner: &Arc<Owner>, hash: u64, before: Option<LockMode>) {
        let mut shard = self.shard(hash).lock();
        if let Some(state) = shard.get_mut(&hash) {
            state.give_up(owner, before);
            if state.is_free() {
                shard.remove(&hash);
                if shard.capacity() > SHRINK_ABOVE && shard.len() < shard.capacity() / 8 {
                    shard.shrink_to(SHRINK_ABOVE);
                }
            }
        }
    }

    fn limits(&self, lock_timeout_ms: u64, deadlock_timeout_ms: u64) -> Limits {
        let or = |ms: u64, default| if ms == 0 { default } else { Duration::from_millis(ms) };
        Limits {
            timeout: or(lock_timeout_ms, Duration::MAX),
            deadlock_timeout: or(deadlock_timeout_ms, self.deadlock_timeout),
        }
    }

    /// Waits in the queue. The mode held before, and whether there was a wait at all.
    async fn wait(
        &self,
        owner: &Arc<Owner>,
        key: &Key,
        hash: u64,
        mode: LockMode,
        limits: Limits,
    ) -> Result<(Option<LockMode>, bool)> {
        let (granted, mut grant) = oneshot::channel();
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let before;
        {
            let mut shard = self.shard(hash).lock();
            let state = shard.entry(hash).or_default();
            if let Attempt::Granted { before } = state.attempt(owner, mode) {
                return Ok((before, false));
            }
            before = state.mode_of(owner);
            *owner.waits_for.lock() = Some(hash);
            let (owner, key) = (owner.clone(), key.clone());
            state.enqueue(Waiter { ticket, owner, mode, key, granted });
        }
        let mut waiting = Waiting { table: self, owner, hash, ticket, before, done: false };
        let mut waited = Duration::ZERO;
        let timeout = limits.timeout;
        loop {
            let step = limits.deadlock_timeout.min(timeout - waited);
            tokio::select! {
                biased;
                _ = &mut grant => {
                    waiting.done = true;
                    return Ok((before, true));
                }
                () = tokio::time::sleep(step) => {}
            }
            waited += step;
            if waited >= timeout {
                return Err(not_available("canceling statement due to lock timeout"));
            }
            if let Some(cycle) = deadlock::find(self, owner) {
                return Err(deadlock::error(&cycle));
            }
        }
    }
}

fn shard_of(hash: u64) -> usize {
    // The map below takes its bits from both ends of the hash.
    (hash >> 32) as usize % SHARDS
}

fn owner_shard(txn: TxnId) -> usize {
    txn.0 as usize % SHARDS
}

fn not_available(message: &str) -> Error {
    Error::new(SqlState::LOCK_NOT_AVAILABLE, message)
}

/// Gives back what a request took, unless it is kept.
struct Taking<'a> {
    table: &'a LockTable,
    owner: &'a Arc<Owner>,
    /// Each lock, with the mode held before.
    taken: SmallVec<[(u64, Option<LockMode>); 2]>,
    keep: bool,
}

impl Taking<'_> {
    fn took(&mut self, hash: u64, before: Option<LockMode>, mode: LockMode) {
        if before.is_none_or(|held| held < mode) {
            self.taken.push((hash, before));
        }
    }

    fn keep(mut self) {
        self.keep = true;
        let fresh = self.taken.iter().filter(|(_, before)| before.is_none());
        self.owner.held.lock().extend(fresh.map(|(hash, _)| *hash));
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        for (hash, before) in self.taken.drain(..) {
            self.table.give_up(self.owner, hash, before);
        }
        let mut owners = self.table.owners[owner_shard(self.owner.id)].lock();
        if self.owner.held.lock().is_empty() {
            owners.remove(&self.owner.id);
        }
    }
}

/// A place in a queue; leaving it early takes the request back.
struct Waiting<'a> {
    table: &'a LockTable,
    owner: &'a Arc<Owner>,
    hash: u64,
    ticket: u64,
    before: Option<LockMode>,
    done: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut shard = self.table.shard(self.hash).lock();
        *self.owner.waits_for.lock() = None;
        let Some(state) = shard.get_mut(&self.hash) else { return };
        if !state.dequeue(self.ticket) {
            // Granted in the meantime.
            state.give_up(self.owner, self.before);
        }
        if state.is_free() {
            shard.remove(&self.hash);
        }
    }
}
