//! The store in memory: every version in one ordered map, one mutex for writers.
//!
//! For tests and for `demo`-like uses that need no durability; it is the plainest implementation
//! of the seam's promises, and the one other implementations are compared with. "Durable" means
//! here: in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;

use super::holds::Holds;
use super::locks::{DEADLOCK_TIMEOUT, Grant, LockTable};
use super::*;
use crate::clock::{Clock, HybridClock, Timestamp};
use crate::error::{Error, Result, SqlState};

/// Keys looked at for collection after each commit.
const COLLECT_KEYS_MAX: usize = 64;

/// The store in memory.
pub struct MemoryStore {
    clock: HybridClock,
    holds: Arc<Holds>,
    locks: LockTable,
    data: RwLock<Data>,
}

#[derive(Default)]
struct Data {
    chains: BTreeMap<Bytes, Chain>,
    changes: BTreeMap<(SpaceId, Timestamp, u32), Key>,
    /// Up to where each space's change log was trimmed.
    trimmed: HashMap<SpaceId, (Timestamp, u32)>,
    /// Keys of which a version was superseded, and when.
    garbage: VecDeque<(Timestamp, Bytes)>,
}

/// The versions of one key, oldest first; never empty.
struct Chain {
    partition_len: u16,
    versions: Vec<Version>,
}

impl Chain {
    fn at(&self, at: Timestamp) -> Option<&Version> {
        self.versions.iter().rev().find(|v| v.ts <= at)
    }

    fn newest(&self) -> Option<&Version> {
        self.versions.last()
    }
}

impl MemoryStore {
    /// An empty store.
    #[expect(clippy::new_ret_no_self, reason = "stores are held through the seam")]
    pub fn new(clock: Arc<dyn Clock>) -> Arc<dyn Store> {
        MemoryStore::with_deadlock_timeout(clock, DEADLOCK_TIMEOUT)
    }

    /// An empty store whose waiters look for deadlocks after `deadlock_timeout`.
    pub fn with_deadlock_timeout(
        clock: Arc<dyn Clock>,
        deadlock_timeout: std::time::Duration,
    ) -> Arc<dyn Store> {
        let locks = LockTable::new(&*clock, deadlock_timeout);
        let clock = HybridClock::new(clock, Timestamp::ZERO);
        let visible = clock.tick();
        Arc::new(MemoryStore { clock, holds: Holds::new(visible), locks, data: RwLock::default() })
    }
}

impl Data {
    fn newest(&self, key: &Key) -> Option<&Version> {
        self.chains.get(key.bytes()).and_then(Chain::newest)
    }

    fn validate(&self, commit: &Commit) -> Option<CommitOutcome> {
        for write in &commit.writes {
            let found = self.newest(&write.key);
            let holds = match write.expect {
                Expect::Any => true,
                Expect::Absent => found.is_none_or(|v| v.value.is_none()),
                Expect::Unchanged(ts) => found.is_some_and(|v| v.ts == ts),
            };
            if !holds {
                let found = found.cloned();
                return Some(CommitOutcome::WriteConflict { key: write.key.clone(), found });
            }
        }
        for read in &commit.reads {
            let live = self.newest(&read.key).filter(|v| v.value.is_some());
            if live.map_or(Timestamp::ZERO, |v| v.ts) != read.seen {
                return Some(CommitOutcome::ReadConflict { space: read.key.space() });
            }
        }
        for check in &commit.ranges {
            let newer = |chain: &Chain| chain.newest().is_some_and(|v| v.ts > check.at);
            if self.range(&check.range).any(|(_, chain)| newer(chain)) {
                return Some(CommitOutcome::ReadConflict { space: check.range.space });
            }
        }
        None
    }

    fn range(&self, range: &KeyRange) -> impl DoubleEndedIterator<Item = (&Bytes, &Chain)> {
        let bounds = match range.is_empty() {
            // BTreeMap::range panics on a range that ends before it starts.
            true => (Bound::Included(Bytes::new()), Bound::Excluded(Bytes::new())),
            false => range.key_bounds(),
        };
        self.chains.range(bounds)
    }

    fn apply(&mut self, writes: Vec<Write>, ts: Timestamp) {
        for (i, write) in writes.into_iter().enumerate() {
            if write.tracked {
                self.changes.insert((write.key.space(), ts, i as u32), write.key.clone());
            }
            let partition_len = write.key.partition_len() as u16;
            let chain = self
                .chains
                .entry(write.key.bytes().clone())
                .or_insert_with(|| Chain { partition_len, versions: Vec::new() });
            if !chain.versions.is_empty() || write.value.is_none() {
                self.garbage.push_back((ts, write.key.bytes().clone()));
            }
            chain.versions.push(Version { ts, value: write.value });
        }
    }

    fn collect(&mut self, horizon: Timestamp) {
        for _ in 0..COLLECT_KEYS_MAX {
            let Some((_, key)) = self.garbage.pop_front_if(|(ts, _)| *ts <= horizon) else {
                return;
            };
            let Some(chain) = self.chains.get_mut(&key) else { continue };
            let keep = chain.versions.iter().rposition(|v| v.ts <= horizon).unwrap_or(0);
            chain.versions.drain(..keep);
            if let [Version { ts, value: None }] = chain.versions[..]
                && ts <= horizon
            {
                self.chains.remove(&key);
            }
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "memory",
            ordered: true,
            cheap_locks: true,
            cheap_snapshots: true,
            native_columns: false,
            loads: false,
        }
    }

    async fn snapshot(&self) -> Result<Hold> {
        Ok(self.holds.snapshot())
    }

    async fn resolved(&self) -> Result<Timestamp> {
        Ok(self.holds.visible())
    }

    fn oldest(&self) -> Timestamp {
        self.holds.oldest()
    }

    fn hold(&self, at: Timestamp) -> Result<Hold> {
        self.holds.hold(at)
    }

    async fn get(&self, key: &Key, at: Timestamp) -> Result<Option<Version>> {
        let data = self.data.read();
        Ok(data.chains.get(key.bytes()).and_then(|c| c.at(at)).cloned())
    }

    async fn get_many(&self, keys: &[Key], at: Timestamp) -> Result<Vec<Option<Version>>> {
        let data = self.data.read();
        let get = |key: &Key| data.chains.get(key.bytes()).and_then(|c| c.at(at)).cloned();
        Ok(keys.iter().map(get).collect())
    }

    async fn scan(
        &self,
        range: &KeyRange,
        at: Timestamp,
        reverse: bool,
        limit: PageLimit,
        from: Option<Continuation>,
    ) -> Result<Page> {
        let mut range = range.clone();
        if let Some(Continuation(last)) = from {
            match reverse {
                false => range.start = Bound::Excluded(last),
                true => range.end = Bound::Excluded(last),
            }
        }
        let data = self.data.read();
        let mut page = Page::default();
        let mut bytes = 0;
        let mut entries = data.range(&range);
        while let Some((key, chain)) = if reverse { entries.next_back() } else { entries.next() } {
            let Some(Version { ts, value: Some(value) }) = chain.at(at) else { continue };
            bytes += key.len() + value.len();
            let key = Key::from_bytes(key.clone(), chain.partition_len as usize);
            page.entries.push(Entry { key, ts: *ts, value: value.clone() });
            if page.entries.len() >= limit.rows_max || bytes >= limit.bytes_max {
                let last = page.entries.last().map(|e| e.key.bytes().slice(Key::SPACE_LEN..));
                page.next = last.map(Continuation);
                break;
            }
        }
        Ok(page)
    }

    async fn lock(&self, request: LockRequest) -> Result<Vec<Option<Locked>>> {
        let grants = self.locks.acquire(&request).await?;
        let data = self.data.read();
        let locked = |(key, grant): (&Key, Grant)| match grant {
            Grant::Held { waited, fresh } => {
                Some(Locked { current: data.newest(key).cloned(), waited, fresh })
            }
            Grant::Skipped => None,
        };
        Ok(request.keys.iter().zip(grants).map(locked).collect())
    }

    async fn unlock(&self, txn: TxnId, keys: Option<&[Key]>) -> Result<()> {
        self.locks.release(txn, keys);
        Ok(())
    }

    fn abandon(&self, txn: TxnId) {
        self.locks.release(txn, None);
    }

    async fn commit(&self, commit: Commit) -> Result<CommitOutcome> {
        let txn = commit.txn;
        let outcome = {
            let mut data = self.data.write();
            match data.validate(&commit) {
                Some(conflict) => conflict,
                None if commit.writes.is_empty() => CommitOutcome::Committed(self.holds.visible()),
                None => {
                    let ts = self.clock.tick();
                    data.apply(commit.writes, ts);
                    self.holds.publish(ts);
                    data.collect(self.holds.advance_horizon());
                    CommitOutcome::Committed(ts)
                }
            }
        };
        self.locks.release(txn, None);
        Ok(outcome)
    }

    async fn changes(
        &self,
        space: SpaceId,
        cursor: &Cursor,
        keys_max: usize,
    ) -> Result<ChangePage> {
        let data = self.data.read();
        let after = decode_cursor(cursor)?;
        if data.trimmed.get(&space).is_some_and(|trimmed| after < *trimmed) {
            let message = format!("changes of space {} were trimmed", space.0);
            return Err(Error::new(SqlState::SNAPSHOT_TOO_OLD, message));
        }
        let mut page = ChangePage { next: cursor.clone(), ..ChangePage::default() };
        let from = Bound::Excluded((space, after.0, after.1));
        let to = Bound::Included((space, Timestamp::MAX, u32::MAX));
        for (&(_, ts, number), key) in data.changes.range((from, to)) {
            if page.keys.len() == keys_max {
                page.more = true;
                break;
            }
            page.keys.push((key.clone(), ts));
            page.next = encode_cursor(ts, number);
        }
        Ok(page)
    }

    async fn cursor_at(&self, _space: SpaceId, at: Timestamp) -> Result<Cursor> {
        Ok(encode_cursor(at, u32::MAX))
    }

    async fn trim_changes(&self, space: SpaceId, cursor: &Cursor) -> Result<()> {
        let upto = decode_cursor(cursor)?;
        let data = &mut *self.data.write();
        let trimmed = data.trimmed.entry(space).or_default();
        *trimmed = upto.max(*trimmed);
        data.changes.retain(|(s, ts, number), _| *s != space || (*ts, *number) > upto);
        Ok(())
    }

    fn segments(&self, range: &KeyRange, at: Timestamp) -> Result<Box<dyn Segments>> {
        let data = self.data.read();
        let live = |(key, chain): (&Bytes, &Chain)| {
            let Version { ts, value: Some(value) } = chain.at(at)? else { return None };
            let key = Key::from_bytes(key.clone(), chain.partition_len as usize);
            Some(Entry { key, ts: *ts, value: value.clone() })
        };
        let entries: Vec<Entry> = data.range(range).filter_map(live).collect();
        Ok(Box::new(MemorySegments(entries.into_iter())))
    }

    async fn drop_space(&self, space: SpaceId) -> Result<()> {
        let mut data = self.data.write();
        let keys: Vec<Bytes> =
            data.range(&KeyRange::all(space)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            data.chains.remove(&key);
        }
        data.changes.retain(|(s, _, _), _| *s != space);
        Ok(())
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>> {
        let data = self.data.read();
        let space = |key: &Bytes| Key::from_bytes(key.clone(), 0).space();
        let mut spaces: Vec<SpaceId> = data.chains.keys().map(space).collect();
        spaces.dedup();
        Ok(spaces)
    }

    async fn estimate(&self, range: &KeyRange) -> Result<Estimate> {
        let data = self.data.read();
        let mut estimate = Estimate::default();
        for (key, chain) in data.range(range) {
            if let Some(Version { value: Some(value), .. }) = chain.newest() {
                estimate.rows += 1;
                estimate.bytes += (key.len() + value.len()) as u64;
            }
        }
        Ok(estimate)
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// The entries as they were when the reader was made.
struct MemorySegments(std::vec::IntoIter<Entry>);

impl Segments for MemorySegments {
    fn next(&mut self, rows_max: usize) -> Result<Vec<Entry>> {
        Ok(self.0.by_ref().take(rows_max).collect())
    }
}

/// A cursor names the last change given: commit timestamp and number within the commit.
fn encode_cursor(ts: Timestamp, number: u32) -> Cursor {
    let mut bytes = Vec::with_capacity(12);
    bytes.extend_from_slice(&ts.0.to_be_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    Cursor(bytes.into())
}

fn decode_cursor(cursor: &Cursor) -> Result<(Timestamp, u32)> {
    if cursor.0.is_empty() {
        return Ok((Timestamp::ZERO, 0));
    }
    let (ts, number) = cursor
        .0
        .split_at_checked(8)
        .and_then(|(ts, n)| Some((<[u8; 8]>::try_from(ts).ok()?, <[u8; 4]>::try_from(n).ok()?)))
        .ok_or_else(|| Error::corrupted("a change log cursor is not one of this store"))?;
    Ok((Timestamp(u64::from_be_bytes(ts)), u32::from_be_bytes(number)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;
    use crate::kv::conformance::outcomes::{Fault, Patient};

    async fn make() -> (SharedStore, ()) {
        let clock = Arc::new(SystemClock::new());
        (MemoryStore::with_deadlock_timeout(clock, Duration::from_millis(30)), ())
    }

    crate::kv::conformance::suite!(make);

    /// It keeps nothing beyond the process, and its answer is a return: nothing can be lost.
    struct Unhurt(SharedStore);

    #[async_trait]
    impl Patient for Unhurt {
        fn store(&self) -> SharedStore {
            self.0.clone()
        }

        async fn observer(&self) -> SharedStore {
            self.0.clone()
        }

        fn arm(&self, _fault: Fault, _step: u32) -> bool {
            false
        }

        fn struck(&self) -> bool {
            false
        }

        async fn successor(&self) -> SharedStore {
            self.0.clone()
        }
    }

    async fn patient() -> Unhurt {
        Unhurt(make().await.0)
    }

    crate::kv::conformance::hurt_suite!(patient);
}
