//! The store on a cluster with lightweight transactions: Cassandra 4.1 to 6.
//!
//! - `partitions`: what is asked of the cluster, with the CQL it stands for; `env`: of the process;
//! - `rows`: the bytes (`schemas/lwt.md`);
//! - `gateway`: announcements, leases; `coalesce` shares its requests, `counting` counts them;
//! - `incarnations`: this process as one gateway after another;
//! - `peers`: all gateways' rows; `snapshots`: timestamps that can be read at;
//! - `read`: plain QUORUM reads at a snapshot; `newest`: of one key, without one; `segments`: all
//!   of a space in key order, by `sorting`; `stored`: from rows in files;
//! - `commit`, `several`: one batch in one partition, or intents and a verdict;
//! - `load`: rows of new spaces, without a commit;
//! - `settle`: outcomes of batches and of other gateways' commits;
//! - `locks`, `taking`, `deadlock`: row locks, cycles of waiters; `tables`: locks of tables;
//! - `changes`: the change log.
//!
//! The protocol and what holds it up: `ARCHITECTURE.md`, *The cluster store*. No state of a gateway
//! outlives it, and none needs to.
//!
//! [`Partitions`] is answered by `kv::cassandra`, and by `sim` in tests.

mod changes;
mod coalesce;
mod commit;
pub mod counting;
mod deadlock;
mod departed;
pub mod env;
mod finish;
mod gateway;
mod implicit;
mod incarnations;
mod latches;
mod load;
mod locks;
mod looks;
mod newest;
mod options;
mod own;
pub mod partitions;
mod peers;
mod pieces;
mod presence;
mod published;
mod read;
mod records;
mod rows;
mod segments;
mod settle;
mod several;
#[cfg(test)]
mod sim;
mod snapshots;
mod sorting;
pub mod stored;
mod tables;
mod taking;
#[cfg(test)]
mod tests;
mod whole;

use std::ops::Bound;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use futures::channel::oneshot;
use futures::future::{Either, select};

use self::counting::Counting;
use self::env::Environment;
use self::gateway::Gateway;
use self::incarnations::Incarnations;
pub use self::options::LwtOptions;
use self::partitions::{Partitions, RingPosition, Table};
use self::read::{Reader, within_partition};
use self::rows::{key_at, place};
use self::segments::RingSegments;
use self::snapshots::Snapshot;
pub use self::sorting::{Sorted, Sorter};
use super::*;
use crate::error::{Error, Result};

/// Rows read at once where all of a range is wanted.
const PAGE_ROWS: usize = 512;
/// Pages read for an estimate, before the cluster's own numbers are taken.
const ESTIMATE_PAGES_MAX: usize = 5;
/// Bytes of a row in a cluster beside its key and its value.
const ROW_OVERHEAD: u64 = 64;

/// The store, as one process has it; its requests are counted in `requests`, if there are some.
pub struct LwtStore {
    incarnations: Arc<Incarnations>,
    requests: Option<Arc<Requests>>,
}

impl LwtStore {
    /// Joins a cluster.
    pub async fn open(
        partitions: Arc<dyn Partitions>,
        env: Arc<dyn Environment>,
        options: LwtOptions,
    ) -> Result<Arc<LwtStore>> {
        let requests = Arc::default();
        let partitions = Arc::new(Counting { below: partitions, requests });
        let incarnations = Incarnations::join(partitions, env, options).await?;
        Ok(Arc::new(LwtStore { incarnations, requests: None }))
    }

    fn gateway(&self) -> Arc<Gateway> {
        self.counting(self.incarnations.current())
    }

    /// The incarnation that a transaction has its locks of.
    fn gateway_of(&self, txn: TxnId) -> Arc<Gateway> {
        self.counting(self.incarnations.of(txn))
    }

    fn counting(&self, gateway: Arc<Gateway>) -> Arc<Gateway> {
        match &self.requests {
            Some(requests) => gateway.counting(requests.clone()),
            None => gateway,
        }
    }

    /// The snapshot to read at `at` with.
    async fn at(&self, gateway: &Arc<Gateway>, at: Timestamp) -> Result<Arc<Snapshot>> {
        if at == Timestamp::MAX {
            return Ok(Arc::new(gateway.snapshot().await?));
        }
        gateway.check_low(at)?;
        gateway.known_snapshot(at).await
    }

    /// Runs something to its end, whether the caller goes on waiting or not.
    async fn detached<T: Send + 'static>(
        gateway: &Gateway,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let task = async move {
            let _ = answer.send(work.await);
        };
        gateway.env.spawn(Box::pin(task));
        let mut answered = answered;
        let mut steps = None;
        // A commit of many parts takes as long as it takes, while it goes on.
        while steps != Some(gateway.steps()) {
            steps = Some(gateway.steps());
            let patience = gateway.env.sleep(gateway.options.settle_timeout);
            match select(answered, patience).await {
                Either::Left((Ok(result), _)) => return result,
                Either::Left((Err(_), _)) => break,
                Either::Right(((), still)) => answered = still,
            }
        }
        Err(gateway::outcome_unknown())
    }

    async fn scan_partition(
        gateway: &Arc<Gateway>,
        snapshot: &Snapshot,
        range: &KeyRange,
        found: (partitions::Partition, Bound<Bytes>, Bound<Bytes>),
        reverse: bool,
        limit: PageLimit,
        from: Option<Continuation>,
    ) -> Result<Page> {
        let (partition, mut start, mut end) = found;
        if let Some(Continuation(last)) = from {
            match reverse {
                false => start = Bound::Excluded(last),
                true => end = Bound::Excluded(last),
            }
        }
        let mut page = Page::default();
        let rows_max = limit.rows_max.min(PAGE_ROWS);
        let read = gateway
            .range_at(snapshot, &partition, (start, end), reverse, rows_max, Reader::Plain)
            .await?;
        let Ok(read) = read else { return Err(Error::internal("a plain read gave way")) };
        let mut bytes = 0;
        let mut last = read.last;
        for (ck, Version { ts, value }) in read.rows {
            let Some(value) = value else { continue };
            let key = key_at(range.space, &partition.key, &ck);
            bytes += key.bytes().len() + value.len();
            page.entries.push(Entry { key, ts, value });
            if bytes >= limit.bytes_max {
                last = Some(ck);
                break;
            }
        }
        page.next = last.map(Continuation);
        Ok(page)
    }

    async fn scan_ring(
        gateway: &Arc<Gateway>,
        snapshot: &Snapshot,
        range: &KeyRange,
        limit: PageLimit,
        from: Option<Continuation>,
    ) -> Result<Page> {
        let after = from.map(|c| decode_position(&c)).transpose()?;
        let rows_max = limit.rows_max.min(PAGE_ROWS);
        let read = gateway.ring_at(snapshot, range.space, after, rows_max, Reader::Plain).await?;
        let Ok(read) = read else { return Err(Error::internal("a plain read gave way")) };
        let mut page = Page::default();
        let mut bytes = 0;
        let mut next = read.next;
        for (pk, ck, Version { ts, value }) in read.rows {
            let key = key_at(range.space, &pk, &ck);
            let Some(value) = value.filter(|_| range.contains(&key)) else { continue };
            bytes += key.bytes().len() + value.len();
            page.entries.push(Entry { key, ts, value });
            if bytes >= limit.bytes_max {
                next = Some(RingPosition { partition: pk, key: ck });
                break;
            }
        }
        page.next = next.map(|position| encode_position(&position));
        Ok(page)
    }
}

fn encode_position(position: &RingPosition) -> Continuation {
    let mut out = BytesMut::with_capacity(4 + position.partition.len() + position.key.len());
    out.put_u32(position.partition.len() as u32);
    out.put_slice(&position.partition);
    out.put_slice(&position.key);
    Continuation(out.freeze())
}

fn decode_position(from: &Continuation) -> Result<RingPosition> {
    let corrupt = || Error::internal("a continuation that no scan gave");
    let len: [u8; 4] = from.0.get(..4).and_then(|b| b.try_into().ok()).ok_or_else(corrupt)?;
    let end = 4 + u32::from_be_bytes(len) as usize;
    if end > from.0.len() {
        return Err(corrupt());
    }
    Ok(RingPosition { partition: from.0.slice(4..end), key: from.0.slice(end..) })
}

#[async_trait]
impl Store for LwtStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: match self.incarnations.partitions.reach().partitions {
                1 => "lwt",
                _ => "accord",
            },
            ordered: false,
            cheap_locks: false,
            cheap_snapshots: false,
            native_columns: true,
            loads: self.incarnations.partitions.reach().partitions == 1,
        }
    }

    fn counted(self: Arc<Self>, requests: Arc<Requests>) -> Option<SharedStore> {
        let incarnations = self.incarnations.clone();
        Some(Arc::new(LwtStore { incarnations, requests: Some(requests) }))
    }

    fn requests(&self) -> Option<&Requests> {
        Some(&self.incarnations.partitions.requests)
    }

    fn pace(&self) -> Option<Pace> {
        self.incarnations.partitions.pace()
    }

    fn foreign(&self) -> Option<&dyn foreign::Foreign> {
        self.incarnations.partitions.foreign()
    }

    async fn snapshot(&self) -> Result<Hold> {
        let gateway = self.gateway();
        let snapshot = Arc::new(gateway.snapshot().await?);
        gateway.remember(&snapshot);
        Ok(Hold::new(snapshot.at, move || drop(snapshot)))
    }

    async fn resolved(&self) -> Result<Timestamp> {
        self.gateway().resolved().await
    }

    fn oldest(&self) -> Timestamp {
        self.gateway().known_horizon()
    }

    fn hold(&self, at: Timestamp) -> Result<Hold> {
        let pin = self.gateway().hold(at)?;
        Ok(Hold::new(at, move || drop(pin)))
    }

    async fn get(&self, key: &Key, at: Timestamp) -> Result<Option<Version>> {
        if at == Timestamp::MAX {
            let (partition, clustering) = place(key);
            return self.gateway().newest(&partition, &clustering).await;
        }
        let found = self.get_many(std::slice::from_ref(key), at).await?;
        Ok(found.into_iter().next().flatten())
    }

    async fn look(&self, txn: TxnId, key: &Key) -> Result<(Option<Version>, Option<Hold>)> {
        let (partition, clustering) = place(key);
        self.gateway().look(txn, &partition, &clustering).await
    }

    async fn get_many(&self, keys: &[Key], at: Timestamp) -> Result<Vec<Option<Version>>> {
        let gateway = self.gateway();
        let snapshot = self.at(&gateway, at).await?;
        let mut found = vec![None; keys.len()];
        let groups = locks::by_partition(keys.iter());
        let reads = groups.iter().map(|(partition, group)| {
            let (gateway, snapshot) = (&gateway, &snapshot);
            async move {
                let wanted: Vec<Bytes> = group.iter().map(|(_, ck)| ck.clone()).collect();
                let versions =
                    gateway.versions_at(snapshot, partition, &wanted, Reader::Plain).await?;
                Ok::<_, Error>((group, versions.unwrap_or_default()))
            }
        });
        for read in futures::future::join_all(reads).await {
            let (group, versions) = read?;
            for ((i, _), version) in group.iter().zip(versions) {
                found[*i] = version;
            }
        }
        Ok(found)
    }

    async fn scan(
        &self,
        range: &KeyRange,
        at: Timestamp,
        reverse: bool,
        limit: PageLimit,
        from: Option<Continuation>,
    ) -> Result<Page> {
        if range.is_empty() {
            return Ok(Page::default());
        }
        let gateway = self.gateway();
        let snapshot = self.at(&gateway, at).await?;
        match within_partition(range) {
            Some(found) => {
                Self::scan_partition(&gateway, &snapshot, range, found, reverse, limit, from).await
            }
            None => Self::scan_ring(&gateway, &snapshot, range, limit, from).await,
        }
    }

    async fn lock(&self, request: LockRequest) -> Result<Vec<Option<Locked>>> {
        let gateway = self.gateway_of(request.txn);
        let locked = gateway.take_locks(&request).await?;
        // What is taken by now is known to be void, should that be so: see `Incarnations::of`.
        gateway.check()?;
        Ok(locked)
    }

    async fn unlock(&self, txn: TxnId, keys: Option<&[Key]>) -> Result<()> {
        let gateway = self.gateway_of(txn);
        let keys = match keys {
            Some(keys) => keys.iter().filter(|key| gateway.give_up(txn, key)).cloned().collect(),
            None => gateway.end_locks(txn),
        };
        gateway.remove_soon(txn, keys);
        Ok(())
    }

    fn abandon(&self, txn: TxnId) {
        let gateway = self.gateway_of(txn);
        let keys = gateway.end_locks(txn);
        gateway.remove_soon(txn, keys);
    }

    fn check_locks(&self, txn: TxnId) -> Result<()> {
        self.gateway_of(txn).check()
    }

    async fn commit(&self, commit: Commit) -> Result<CommitOutcome> {
        let gateway = self.gateway_of(commit.txn).for_commit();
        let work = gateway.clone();
        Self::detached(&gateway, async move { work.run_commit(&commit).await }).await
    }

    fn load(&self, load: Load) -> Loading {
        let gateway = self.gateway_of(load.txn);
        let (mut done, ended) = oneshot::channel();
        let env = gateway.env.clone();
        env.spawn(Box::pin(async move {
            let written = {
                let work = pin!(gateway.run_load(&load));
                match select(work, pin!(done.cancellation())).await {
                    Either::Left((written, _)) => written,
                    // The transaction has ended: what it had written goes with its spaces.
                    Either::Right(_) => return,
                }
            };
            let _ = done.send(written);
        }));
        ended
    }

    async fn changes(
        &self,
        space: SpaceId,
        cursor: &Cursor,
        keys_max: usize,
    ) -> Result<ChangePage> {
        self.gateway().read_changes(space, cursor, keys_max).await
    }

    async fn cursor_at(&self, space: SpaceId, at: Timestamp) -> Result<Cursor> {
        self.gateway().find_cursor(space, at).await
    }

    async fn trim_changes(&self, space: SpaceId, cursor: &Cursor) -> Result<()> {
        self.gateway().trim_log(space, cursor).await
    }

    fn segments(&self, range: &KeyRange, at: Timestamp) -> Result<Box<dyn Segments>> {
        let (gateway, range) = (self.gateway(), range.clone());
        Ok(Box::new(RingSegments { gateway, range, at, sorted: None }))
    }

    async fn describe(&self, space: SpaceId, name: &str, columns: &[NativeColumn]) -> Result<()> {
        Ok(self.incarnations.partitions.describe(space, name, columns).await?)
    }

    async fn drop_space(&self, space: SpaceId) -> Result<()> {
        let gateway = self.gateway();
        let view = gateway.view().await?;
        gateway.partitions.remove(Table::Space(space)).await?;
        gateway.drop_log(space, &view).await
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>> {
        Ok(self.incarnations.partitions.spaces().await?)
    }

    fn schema(&self) -> Timestamp {
        self.gateway().known_schema()
    }

    async fn estimate(&self, range: &KeyRange) -> Result<Estimate> {
        let size = |e: &Entry| (e.key.bytes().len() + e.value.len()) as u64;
        let gateway = self.gateway();
        let snapshot = gateway.snapshot().await?;
        gateway.remember(&Arc::new(snapshot));
        let limit = PageLimit { rows_max: PAGE_ROWS, bytes_max: usize::MAX };
        let (mut found, mut from) = (Estimate::default(), None);
        let (mut ended, mut last): (u64, Option<Key>) = (0, None);
        for _ in 0..ESTIMATE_PAGES_MAX {
            let page = self.scan(range, Timestamp::MAX, false, limit, from).await?;
            found.rows += page.entries.len() as u64;
            found.bytes += page.entries.iter().map(size).sum::<u64>();
            for Entry { key, .. } in &page.entries {
                let before = last.replace(key.clone());
                ended += u64::from(before.is_some_and(|b| b.partition() != key.partition()));
            }
            from = page.next;
            if from.is_none() {
                return Ok(found);
            }
        }
        let (partitions, bytes) = gateway.partitions.size(Table::Space(range.space)).await?;
        let width = found.bytes / found.rows.max(1);
        // Many rows may share a partition. If none was read to its end, its bytes tell; of a table
        // whose nodes have not counted them yet, only that it has more rows than were read.
        let read = found.rows / (ended + 1);
        let each = match ended {
            0 => read.max(bytes / partitions.max(1) / (width + ROW_OVERHEAD)),
            _ => read,
        };
        let rows = partitions.saturating_mul(each.max(1)).max(found.rows);
        Ok(Estimate { rows, bytes: bytes.max(rows.saturating_mul(width)) })
    }

    async fn close(&self) -> Result<()> {
        self.gateway().leave().await
    }
}
