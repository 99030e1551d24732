//! Taking row locks: at once where nobody is in the way, in order where somebody is.
//!
//! A request first tries many partitions together, and waits for nobody. Where one is blocked, it
//! gives back all that it got beyond the first such one, in the order of partitions, and only then
//! waits: so requests wait with nothing in hand that lies further up, as if each had gone through
//! its partitions one after the other, and do not get into a circle by themselves. What follows is
//! tried a few at a time, so that among many who want the same rows little is taken in vain.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;

use super::deadlock::Waiting;
use super::gateway::Gateway;
use super::locks::{Blocked, by_partition, head_of, not_available};
use super::partitions::*;
use super::rows::*;
use super::settle::{Sent, Sequence, static_number};
use super::tables::is_table;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::{Key, LockMode, LockRequest, LockWait, Locked, TxnId};

/// Partitions in which one request takes or removes locks at once.
pub const TAKEN_AT_ONCE: usize = 64;

/// The keys of a request in one partition, and what came of them.
pub struct Group<'a> {
    request: &'a LockRequest,
    partition: Partition,
    /// Places in the request with their clustering keys; what is skipped is taken out.
    keys: Vec<(usize, Bytes)>,
    pub locked: BTreeMap<usize, Locked>,
    /// Keys for which another transaction was waited for.
    pub waited: Vec<usize>,
}

/// How a try to lock what one partition has ended.
enum Tried {
    Taken,
    /// Somebody is in the way of a key, and has to be waited for.
    Blocked(usize, Blocked),
}

impl Gateway {
    /// Takes locks, all (less the skipped) or none.
    pub async fn take_locks(
        self: &Arc<Self>,
        request: &LockRequest,
    ) -> Result<Vec<Option<Locked>>> {
        self.check()?;
        let mut locked: Vec<Option<Locked>> = vec![None; request.keys.len()];
        if request.keys.iter().any(is_table) {
            for (key, locked) in request.keys.iter().zip(&mut locked) {
                if !is_table(key) {
                    return Err(Error::internal("locks of tables and of rows in one request"));
                }
                *locked = self.take_table(request, key).await?;
            }
            return Ok(locked);
        }
        let taking = Taking::new(self, request.txn);
        for group in self.take_rows(request, &taking).await? {
            for (i, one) in group.locked {
                locked[i] = Some(Locked { waited: group.waited.contains(&i), ..one });
            }
        }
        taking.keep();
        Ok(locked)
    }

    /// Takes the locks of rows, as `taking` knows.
    pub async fn take_rows<'a>(
        self: &Arc<Self>,
        request: &'a LockRequest,
        taking: &Taking,
    ) -> Result<Vec<Group<'a>>> {
        let mut groups: Vec<Group<'a>> = by_partition(request.keys.iter())
            .into_iter()
            .map(|(partition, keys)| Group::new(request, partition, keys))
            .collect();
        let (mut taken, mut width) = (0, TAKEN_AT_ONCE);
        while taken < groups.len() {
            let end = groups.len().min(taken + width);
            let now = &mut groups[taken..end];
            match self.try_groups(now, taking).await? {
                None => {
                    taken = end;
                    width = (2 * width).min(TAKEN_AT_ONCE);
                }
                Some((at, i, blocked)) => {
                    let (first, beyond) = now.split_at_mut(at + 1);
                    taking.give_back(beyond.iter_mut().flat_map(Group::empty).collect()).await;
                    self.wait_for_group(&mut first[at], taking, (i, blocked)).await?;
                    taken += at + 1;
                    width = 1;
                }
            }
        }
        Ok(groups)
    }

    /// Tries to lock what several partitions have. The first one that is blocked, by its place.
    async fn try_groups(
        self: &Arc<Self>,
        groups: &mut [Group<'_>],
        taking: &Taking,
    ) -> Result<Option<(usize, usize, Blocked)>> {
        let work: Vec<BoxFuture<'_, Result<Tried>>> = groups
            .iter_mut()
            .map(|group| -> BoxFuture<'_, _> { Box::pin(self.try_group(group, taking)) })
            .collect();
        let mut first = None;
        for (at, tried) in join_all(work).await.into_iter().enumerate() {
            if let Tried::Blocked(i, blocked) = tried? {
                first.get_or_insert((at, i, blocked));
            }
        }
        Ok(first)
    }

    /// Locks what one partition has, after waiting for who is in the way.
    async fn wait_for_group(
        self: &Arc<Self>,
        group: &mut Group<'_>,
        taking: &Taking,
        mut by: (usize, Blocked),
    ) -> Result<()> {
        let mut waiting = Waiting::of(self, group.request);
        loop {
            let (i, blocked) = by;
            if blocked.attempt.is_none() && !group.waited.contains(&i) {
                group.waited.push(i);
            }
            self.clear(&blocked, &mut waiting).await?;
            by = match self.try_group(group, taking).await? {
                Tried::Taken => return Ok(()),
                Tried::Blocked(i, blocked) => (i, blocked),
            };
        }
    }

    async fn try_group(self: &Arc<Self>, group: &mut Group<'_>, taking: &Taking) -> Result<Tried> {
        let request = group.request;
        let mut attempt = 0;
        loop {
            self.check()?;
            let latch = self.latches.take(&group.partition).await;
            let select = Select::Heads(group.keys.iter().map(|(_, ck)| ck.clone()).collect());
            let rows = self.read(&group.partition, select, Consistency::Quorum).await?;
            let mut wanted = Vec::new();
            let mut in_the_way = None;
            for (i, ck) in &group.keys {
                let key = &request.keys[*i];
                let record = head_of(&rows, ck)?;
                match self.blocked(key, &record, request.txn, request.mode).await? {
                    None => wanted.push((*i, ck.clone(), record)),
                    Some(blocked) => {
                        in_the_way = Some((*i, blocked));
                        break;
                    }
                }
            }
            if let Some((i, blocked)) = in_the_way {
                drop(latch);
                match request.wait {
                    LockWait::Block { .. } => return Ok(Tried::Blocked(i, blocked)),
                    _ if self.is_leftover(&blocked).await? => {}
                    LockWait::NoWait => {
                        return Err(not_available("could not obtain lock on row"));
                    }
                    LockWait::SkipLocked => drop(taking.leave(group.skip(i))),
                }
                continue;
            }
            if self.take_free(group, taking, &rows, &wanted).await? {
                return Ok(Tried::Taken);
            }
            drop(latch);
            self.pause(attempt).await;
            attempt += 1;
        }
    }

    /// Takes locks on rows that were found free. False: something changed meanwhile.
    async fn take_free(
        self: &Arc<Self>,
        group: &mut Group<'_>,
        taking: &Taking,
        rows: &[Row],
        wanted: &[(usize, Bytes, Record)],
    ) -> Result<bool> {
        let request = group.request;
        let mut batch = Batch::new(&group.partition);
        let mut first = None;
        for (i, ck, record) in wanted {
            let key = &request.keys[*i];
            let before = taking.enter(key, request.mode);
            let locked =
                Locked { current: record.version(), waited: false, fresh: before.is_none() };
            group.locked.insert(*i, locked);
            let entered = record
                .locks
                .iter()
                .any(|h| h.txn == request.txn && h.mode >= request.mode && before == Some(h.mode));
            if entered {
                continue;
            }
            first.get_or_insert_with(|| ck.clone());
            let row = RowKey::head(ck);
            batch.demand(&row, Column::Ts, super::locks::ts_cell(record.ts));
            batch.demand(&row, Column::Lk, record.locks_cell.clone());
            batch.demand(&row, Column::In, None);
            let mut holders = self.living(&record.locks, key).await?;
            holders.retain(|h| h.txn != request.txn);
            let mode = before.unwrap_or(request.mode).max(request.mode);
            let incarnation = self.incarnation;
            holders.push(Holder { txn: request.txn, incarnation, mode });
            batch.set(&row, Column::Lk, encode_locks(&holders));
        }
        let Some(first) = first else { return Ok(true) };
        let seen = static_number(rows, Column::Lg)?;
        let next = self.tick_above(Timestamp(seen)).0;
        let sequence = Sequence { column: Column::Lg, seen, next };
        sequence.add_to(&mut batch);
        let me = request.txn;
        let expected = batch.writes[0].value.clone();
        let select = Select::Heads(vec![first.clone()]);
        let taken = self
            .settle(vec![batch], sequence, select, move |rows| {
                let record = head_of(rows, &first)?;
                let mine = record.locks.iter().any(|h| h.txn == me);
                Ok(mine && record.locks_cell == expected)
            })
            .await?
            == Sent::Applied;
        if taken {
            for version in wanted.iter().filter_map(|(_, _, record)| record.version()) {
                self.observe(version.ts);
            }
        }
        Ok(taken)
    }
}

impl<'a> Group<'a> {
    fn new(request: &'a LockRequest, partition: Partition, keys: Vec<(usize, Bytes)>) -> Group<'a> {
        Group { request, partition, keys, locked: BTreeMap::new(), waited: Vec::new() }
    }

    /// Passes over a key.
    fn skip(&mut self, i: usize) -> &'a Key {
        self.keys.retain(|(j, _)| *j != i);
        self.locked.remove(&i);
        &self.request.keys[i]
    }

    /// Has nothing locked; its keys.
    fn empty(&mut self) -> impl Iterator<Item = &'a Key> {
        self.locked.clear();
        let keys = &self.request.keys;
        self.keys.iter().map(|(i, _)| &keys[*i])
    }
}

/// Gives back what a request took, unless it is kept.
pub struct Taking {
    gateway: Arc<Gateway>,
    txn: TxnId,
    /// Each key, with the mode held before.
    taken: Mutex<BTreeMap<Key, Option<LockMode>>>,
}

impl Taking {
    /// Nothing taken yet.
    pub fn new(gateway: &Arc<Gateway>, txn: TxnId) -> Taking {
        Taking { gateway: gateway.clone(), txn, taken: Mutex::default() }
    }

    /// Keeps what was taken.
    pub fn keep(self) {
        self.taken.lock().clear();
    }

    /// Notes a key as held, before its batch is sent, so that a release of an earlier lock on it
    /// lets this one be. The mode before this request.
    fn enter(&self, key: &Key, mode: LockMode) -> Option<LockMode> {
        let mut taken = self.taken.lock();
        if let Some(before) = taken.get(key) {
            return *before;
        }
        let before = self.gateway.held.mode(self.txn, key);
        if before.is_none_or(|held| held < mode) {
            taken.insert(key.clone(), before);
            self.gateway.held.set(self.txn, key, Some(mode));
        }
        before
    }

    /// Has a key held as it was before, if it was taken; the key then.
    fn leave(&self, key: &Key) -> Option<Key> {
        let (key, before) = self.taken.lock().remove_entry(key)?;
        self.gateway.held.set(self.txn, &key, before);
        Some(key)
    }

    /// Gives keys back, and returns when they are in nobody's way any more. They are given back to
    /// the end, whether somebody waits for that or not.
    async fn give_back(&self, keys: Vec<&Key>) {
        let keys: Vec<Key> = keys.into_iter().filter_map(|key| self.leave(key)).collect();
        if keys.is_empty() {
            return;
        }
        let (gateway, txn) = (self.gateway.clone(), self.txn);
        let (done, ended) = oneshot::channel();
        self.gateway.env.spawn(Box::pin(async move {
            gateway.remove_surely(txn, &keys).await;
            let _ = done.send(());
        }));
        let _ = ended.await;
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let keys: Vec<Key> = self.taken.lock().keys().cloned().collect();
        let left = keys.iter().filter_map(|key| self.leave(key)).collect();
        self.gateway.remove_soon(self.txn, left);
    }
}
