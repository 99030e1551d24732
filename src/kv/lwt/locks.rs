//! Row locks: entries in the head of a row, taken (`taking`) and given up by conditional batches.
//!
//! Which of its transactions hold what, a gateway also knows by itself, so that its own entries
//! are dead at once when their transaction has ended, and are removed when somebody has time.
//! Entries of a retired gateway are dead too. A waiter looks again after a pause, or when
//! something ended in its own gateway; there is no queue.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::deadlock::Waiting;
use super::gateway::Gateway;
use super::partitions::*;
use super::peers::Retired;
use super::rows::*;
use super::settle::{Sequence, static_number};
use super::tables::{is_local, is_table};
use super::taking::TAKEN_AT_ONCE;
use crate::error::{Error, Result, SqlState};
use crate::kv::{Key, LockMode, TxnId};

/// What this gateway's transactions hold, or are about to.
#[derive(Default)]
pub struct Held(Mutex<HashMap<TxnId, HashMap<Key, LockMode>>>);

impl Held {
    /// How a transaction holds a key.
    pub fn mode(&self, txn: TxnId, key: &Key) -> Option<LockMode> {
        self.0.lock().get(&txn)?.get(key).copied()
    }

    /// Sets how a transaction holds a key; none: not at all.
    pub fn set(&self, txn: TxnId, key: &Key, mode: Option<LockMode>) {
        let mut held = self.0.lock();
        let keys = held.entry(txn).or_default();
        match mode {
            Some(mode) => {
                keys.insert(key.clone(), mode);
            }
            None => {
                keys.remove(key);
            }
        }
        if keys.is_empty() {
            held.remove(&txn);
        }
    }

    /// Whether a transaction holds anything.
    pub fn knows(&self, txn: TxnId) -> bool {
        self.0.lock().contains_key(&txn)
    }

    /// Whether nobody holds anything.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Ends a transaction; the keys of which the store has entries.
    pub fn end(&self, txn: TxnId) -> Vec<Key> {
        let keys = self.0.lock().remove(&txn).unwrap_or_default();
        let stored = keys.into_iter().filter(|(key, mode)| !is_local(key, *mode));
        stored.map(|(key, _)| key).collect()
    }
}

/// What stands in the way of a write or a lock.
#[derive(Clone, Debug)]
pub struct Blocked {
    /// The key.
    pub key: Key,
    /// How it was wanted.
    pub mode: LockMode,
    /// Whose locks.
    pub txns: Vec<TxnId>,
    /// Or whose intent.
    pub attempt: Option<Attempt>,
}

/// 55P03
pub fn not_available(message: &str) -> Error {
    Error::new(SqlState::LOCK_NOT_AVAILABLE, message)
}

/// Keys by the partition they lie in, each with its clustering key and its place in `keys`.
pub fn by_partition<'a>(
    keys: impl Iterator<Item = &'a Key>,
) -> BTreeMap<Partition, Vec<(usize, Bytes)>> {
    let mut groups: BTreeMap<Partition, Vec<(usize, Bytes)>> = BTreeMap::new();
    for (i, key) in keys.enumerate() {
        let (partition, clustering) = place(key);
        groups.entry(partition).or_default().push((i, clustering));
    }
    groups
}

/// The head of a key among rows.
pub fn head_of(rows: &[Row], clustering: &Bytes) -> Result<Record> {
    let is_it = |r: &&Row| r.key.kind == Kind::Head && r.key.key == *clustering;
    Record::read(rows.iter().find(is_it))
}

impl Gateway {
    /// Whether an entry still means something.
    async fn is_alive(self: &Arc<Self>, holder: &Holder, key: &Key) -> Result<bool> {
        if holder.incarnation == self.incarnation {
            return Ok(self.held.mode(holder.txn, key).is_some());
        }
        let view = self.view().await?;
        let Some(peer) = view.peer(holder.incarnation) else { return Ok(false) };
        if peer.retired == Retired::No && self.is_expired(peer) {
            self.retire(holder.incarnation).await?;
            return Ok(false);
        }
        Ok(peer.retired == Retired::No)
    }

    /// Who stands in the way of `txn` on a row: another's intent, or conflicting locks.
    pub async fn blocked(
        self: &Arc<Self>,
        key: &Key,
        record: &Record,
        txn: TxnId,
        mode: LockMode,
    ) -> Result<Option<Blocked>> {
        if let Some(intent) = record.intent {
            let (txns, attempt) = (vec![intent.attempt.txn], Some(intent.attempt));
            return Ok(Some(Blocked { key: key.clone(), mode, txns, attempt }));
        }
        let mut txns = Vec::new();
        for holder in &record.locks {
            let conflicts = holder.txn != txn && holder.mode.conflicts(mode);
            if conflicts && self.is_alive(holder, key).await? {
                txns.push(holder.txn);
            }
        }
        let blocked = Blocked { key: key.clone(), mode, txns, attempt: None };
        Ok((!blocked.txns.is_empty()).then_some(blocked))
    }

    /// Gets what is in the way out of it, or waits a little.
    pub async fn clear(self: &Arc<Self>, blocked: &Blocked, waiting: &mut Waiting) -> Result<()> {
        match self.is_leftover(blocked).await? {
            true => Ok(()),
            false => waiting.step(blocked).await,
        }
    }

    /// Whether what is in the way is only what an ended attempt left, now removed.
    pub async fn is_leftover(self: &Arc<Self>, blocked: &Blocked) -> Result<bool> {
        let Some(attempt) = blocked.attempt else { return Ok(false) };
        let Some(verdict) = self.resolve(attempt, 1).await? else { return Ok(false) };
        let (partition, clustering) = place(&blocked.key);
        self.finish_row(&partition, &clustering, attempt, verdict).await
    }

    /// The entries that still mean something.
    pub async fn living(self: &Arc<Self>, holders: &[Holder], key: &Key) -> Result<Vec<Holder>> {
        let mut living = Vec::with_capacity(holders.len() + 1);
        for holder in holders {
            if self.is_alive(holder, key).await? {
                living.push(*holder);
            }
        }
        Ok(living)
    }

    /// Removes a transaction's entries from rows, but for keys it holds (again) by then. Late
    /// lock batches of it find their number passed.
    pub async fn remove_entries(self: &Arc<Self>, txn: TxnId, keys: &[Key]) -> Result<()> {
        let groups = by_partition(keys.iter());
        let work: Vec<BoxFuture<'_, Result<()>>> = groups
            .iter()
            .map(|(partition, group)| self.remove_group(txn, partition, keys, group))
            .collect();
        let mut work = futures::stream::iter(work).buffer_unordered(TAKEN_AT_ONCE);
        let mut all = Ok(());
        while let Some(removed) = work.next().await {
            all = all.and(removed);
        }
        self.progress.notify_waiters();
        all
    }

    /// Those of one partition.
    fn remove_group<'a>(
        self: &'a Arc<Self>,
        txn: TxnId,
        partition: &'a Partition,
        keys: &'a [Key],
        group: &'a [(usize, Bytes)],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let _latch = self.latches.take(partition).await;
            let mut attempt = 0;
            loop {
                let select = Select::Heads(group.iter().map(|(_, ck)| ck.clone()).collect());
                let rows = self.read(partition, select, Consistency::Quorum).await?;
                let seen = static_number(&rows, Column::Lg)?;
                let next = self.tick_above(crate::clock::Timestamp(seen)).0;
                let mut batch = Batch::new(partition);
                for (i, ck) in group {
                    let record = head_of(&rows, ck)?;
                    let row = RowKey::head(ck);
                    let (mine, mode) = (|h: &Holder| h.txn == txn, self.held.mode(txn, &keys[*i]));
                    let mut holders = record.locks.clone();
                    match mode {
                        Some(mode) => {
                            holders.iter_mut().filter(|h| mine(h)).for_each(|h| h.mode = mode);
                        }
                        None => holders.retain(|h| !mine(h)),
                    }
                    if holders != record.locks {
                        batch.demand(&row, Column::Lk, record.locks_cell);
                        batch.set(&row, Column::Lk, encode_locks(&holders));
                    }
                }
                let sequence = Sequence { column: Column::Lg, seen, next };
                sequence.add_to(&mut batch);
                if let Ok(Applied::Yes) = self.partitions.cas(batch).await {
                    return Ok(());
                }
                self.pause(attempt).await;
                attempt += 1;
            }
        })
    }

    /// Ends a transaction's locks here; the keys of which the store has entries.
    pub fn end_locks(self: &Arc<Self>, txn: TxnId) -> Vec<Key> {
        let keys = self.held.end(txn);
        if self.tables.release(txn, None) {
            self.publish_soon();
        }
        keys
    }

    /// Gives up one lock; whether the store has an entry of it.
    pub fn give_up(self: &Arc<Self>, txn: TxnId, key: &Key) -> bool {
        let mode = self.held.mode(txn, key);
        self.held.set(txn, key, None);
        if is_table(key) && self.tables.release(txn, Some(key.space())) {
            self.publish_soon();
        }
        !mode.is_some_and(|mode| is_local(key, mode))
    }

    /// Removes entries in the background.
    pub fn remove_soon(self: &Arc<Self>, txn: TxnId, keys: Vec<Key>) {
        self.progress.notify_waiters();
        if keys.is_empty() {
            return;
        }
        let this = self.in_background();
        self.env.spawn(Box::pin(async move { this.remove_surely(txn, &keys).await }));
    }

    /// Removes entries however long it takes: in other gateways they are in the way until then.
    pub async fn remove_surely(self: &Arc<Self>, txn: TxnId, keys: &[Key]) {
        self.surely(|| self.remove_entries(txn, keys)).await;
    }
}

/// A timestamp as `ts` has it: null where nothing was written.
pub fn ts_cell(ts: crate::clock::Timestamp) -> Option<Bytes> {
    (ts.0 > 0).then(|| number(ts.0))
}
