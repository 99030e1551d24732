//! Three replicas and the messages between coordinators and them: each may be slow, late or lost.
//!
//! A gateway's request goes to a coordinator, which is a task of the cluster: it goes on when the
//! gateway has lost patience or is gone, so a request can take effect long after.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use parking_lot::Mutex;

use super::super::env::{Environment, random_below};
use super::super::partitions::*;
use super::accord::Accord;
use super::replica::{Replica, RingKey, Rows, live, merge};
use crate::kv::SpaceId;

pub const REPLICAS: usize = 3;
pub const QUORUM: usize = 2;

/// What goes wrong, and how often. Probabilities are in 1/1000.
#[derive(Clone, Debug)]
pub struct Faults {
    /// A message between a coordinator and a replica gets lost, each way.
    pub lost: u64,
    /// A request or a reply between a gateway and its coordinator gets lost.
    pub client_lost: u64,
    /// A request reaches its coordinator only after the gateway's timeout.
    pub late: u64,
    /// A message takes ten times as long.
    pub slow: u64,
    /// Each message takes up to this; zero: messages are delivered at once.
    pub delay: Duration,
    /// How long coordinators wait for replicas; gateways wait three times as long.
    pub timeout: Duration,
}

impl Faults {
    /// Everything works, at once.
    pub fn none() -> Faults {
        Faults {
            lost: 0,
            client_lost: 0,
            late: 0,
            slow: 0,
            delay: Duration::ZERO,
            timeout: Duration::from_millis(500),
        }
    }

    /// Messages take time and a few are lost, fewer than would cost a quorum often.
    pub fn benign() -> Faults {
        Faults {
            lost: 5,
            slow: 10,
            delay: Duration::from_micros(20),
            timeout: Duration::from_millis(300),
            ..Faults::none()
        }
    }

    /// Everything goes wrong often, in simulated time.
    pub fn heavy() -> Faults {
        Faults {
            lost: 30,
            client_lost: 25,
            late: 15,
            slow: 80,
            delay: Duration::from_millis(2),
            timeout: Duration::from_millis(30),
        }
    }
}

/// The cluster.
pub struct Cluster {
    pub env: Arc<dyn Environment>,
    replicas: [Mutex<Replica>; REPLICAS],
    faults: Mutex<Faults>,
    ballots: AtomicU64,
    /// A replica hears nothing while its bit is set.
    cut: AtomicU64,
    /// Batches on attempts' records get lost, and nobody is told.
    verdicts_lost: AtomicBool,
    /// Where the tables of spaces have Accord.
    accord: Option<Accord>,
}

impl Cluster {
    pub fn new(env: Arc<dyn Environment>, faults: Faults) -> Arc<Cluster> {
        Cluster::with(env, faults, None)
    }

    /// A cluster whose spaces have Accord.
    pub fn with_accord(env: Arc<dyn Environment>, faults: Faults) -> Arc<Cluster> {
        Cluster::with(env, faults, Some(Accord::default()))
    }

    fn with(env: Arc<dyn Environment>, faults: Faults, accord: Option<Accord>) -> Arc<Cluster> {
        Arc::new(Cluster {
            accord,
            env,
            replicas: Default::default(),
            faults: Mutex::new(faults),
            ballots: AtomicU64::new(1),
            cut: AtomicU64::new(0),
            verdicts_lost: AtomicBool::new(false),
        })
    }

    pub fn faults(&self) -> Faults {
        self.faults.lock().clone()
    }

    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock() = faults;
    }

    /// Cuts a replica off, or connects it again.
    pub fn set_cut(&self, replica: usize, cut: bool) {
        match cut {
            true => self.cut.fetch_or(1 << replica, Ordering::SeqCst),
            false => self.cut.fetch_and(!(1 << replica), Ordering::SeqCst),
        };
    }

    /// Loses all verdicts, or no more.
    pub fn lose_verdicts(&self, lost: bool) {
        self.verdicts_lost.store(lost, Ordering::SeqCst);
    }

    /// What the tables of spaces have instead of Paxos, if a quorum is there for it.
    fn accord_of(&self, table: Table) -> Result<Option<&Accord>, Failure> {
        let Some(accord) = &self.accord else { return Ok(None) };
        if !matches!(table, Table::Space(_)) {
            return Ok(None);
        }
        match (0..REPLICAS).filter(|n| !self.is_cut(*n)).count() >= QUORUM {
            true => Ok(Some(accord)),
            false => Err(Failure::Unavailable),
        }
    }

    fn is_cut(&self, replica: usize) -> bool {
        self.cut.load(Ordering::SeqCst) >> replica & 1 == 1
    }

    pub fn random(&self, below: u64) -> u64 {
        random_below(&*self.env.clock(), below)
    }

    fn chance(&self, thousandths: u64) -> bool {
        thousandths > 0 && self.random(1000) < thousandths
    }

    /// A ballot that nobody has; mostly above those given before.
    pub fn ballot(&self, above: u64) -> u64 {
        let number = self.ballots.fetch_add(1, Ordering::SeqCst);
        let high = (above >> 24).max(number) + 1 + self.random(4);
        self.ballots.fetch_max(high, Ordering::SeqCst);
        (high << 24) | (number & 0xff_ffff)
    }

    async fn travel(&self, faults: &Faults) {
        let mut time = Duration::from_micros(self.random(faults.delay.as_micros() as u64 + 1));
        if self.chance(faults.slow) {
            time *= 10;
        }
        self.env.sleep(time).await;
    }

    /// Sends a message to some replicas. Replies come as they come; a lost one never.
    pub fn send<R: Send + 'static>(
        self: &Arc<Self>,
        to: &[usize],
        message: impl Fn(&mut Replica) -> R + Send + Sync + 'static,
    ) -> mpsc::UnboundedReceiver<(usize, R)> {
        let (replies, receiver) = mpsc::unbounded();
        let faults = self.faults();
        let message = Arc::new(message);
        for &n in to {
            if faults.delay.is_zero() {
                if !self.is_cut(n) {
                    let _ = replies.unbounded_send((n, message(&mut self.replicas[n].lock())));
                }
                continue;
            }
            let (this, message) = (self.clone(), message.clone());
            let (replies, faults) = (replies.clone(), faults.clone());
            self.env.spawn(Box::pin(async move {
                this.travel(&faults).await;
                if this.chance(faults.lost) || this.is_cut(n) {
                    return;
                }
                let reply = message(&mut this.replicas[n].lock());
                this.travel(&faults).await;
                if !this.chance(faults.lost) && !this.is_cut(n) {
                    let _ = replies.unbounded_send((n, reply));
                }
            }));
        }
        receiver
    }

    /// Replies until `enough` says so, or no more come in time: then none.
    pub async fn gather<R>(
        &self,
        mut replies: mpsc::UnboundedReceiver<(usize, R)>,
        mut enough: impl FnMut(&[(usize, R)]) -> bool,
    ) -> (Vec<(usize, R)>, bool) {
        let mut timeout = self.env.sleep(self.faults().timeout);
        let mut got = Vec::new();
        loop {
            if enough(&got) {
                return (got, true);
            }
            match select(replies.next(), timeout).await {
                Either::Left((Some(reply), rest)) => {
                    got.push(reply);
                    timeout = rest;
                }
                // All have answered that will: what is lost shows only as silence.
                Either::Left((None, rest)) if self.faults().delay.is_zero() => {
                    drop(rest);
                    return (got, false);
                }
                Either::Left((None, rest)) => {
                    rest.await;
                    return (got, false);
                }
                Either::Right(_) => return (got, false),
            }
        }
    }

    /// Two of the three.
    fn some_quorum(&self) -> Vec<usize> {
        let without = self.random(REPLICAS as u64) as usize;
        (0..REPLICAS).filter(|n| *n != without).collect()
    }

    async fn quorum_read(
        self: &Arc<Self>,
        partition: &Partition,
        select: Select,
    ) -> Result<Vec<Row>, Failure> {
        let (asked, what) = (partition.clone(), select.clone());
        let replies = self.send(&self.some_quorum(), move |r| r.select(&asked, &what));
        let (replies, whole) = self.gather(replies, |got| got.len() >= QUORUM).await;
        if !whole {
            return Err(Failure::Unavailable);
        }
        let mut merged = Rows::new();
        replies.iter().for_each(|(_, rows)| merge(&mut merged, rows));
        let rows = cut(&mut merged, &select);
        self.read_repair(partition, &merged, &replies).await?;
        Ok(rows)
    }

    /// Brings those that answered up to what was read, before it is told.
    async fn read_repair(
        self: &Arc<Self>,
        partition: &Partition,
        merged: &Rows,
        replies: &[(usize, Rows)],
    ) -> Result<(), Failure> {
        for (n, rows) in replies {
            let behind: Rows = merged
                .iter()
                .filter(|(key, row)| rows.get(key) != Some(row))
                .map(|(key, row)| (key.clone(), row.clone()))
                .collect();
            if behind.is_empty() {
                continue;
            }
            let partition = partition.clone();
            let acks = self.send(&[*n], move |r| r.repair(&partition, &behind));
            if !self.gather(acks, |got| !got.is_empty()).await.1 {
                return Err(Failure::Unavailable);
            }
        }
        Ok(())
    }

    async fn plain_write(
        self: &Arc<Self>,
        partition: &Partition,
        writes: Vec<CellWrite>,
        timestamp: u64,
    ) -> Result<(), Failure> {
        let partition = partition.clone();
        let message = move |r: &mut Replica| r.write(&partition, &writes, timestamp);
        let acks = self.send(&[0, 1, 2], message);
        match self.gather(acks, |got| got.len() >= QUORUM).await {
            (_, true) => Ok(()),
            _ => Err(Failure::Uncertain),
        }
    }

    async fn ring_read(
        self: &Arc<Self>,
        table: Table,
        after: Option<RingPosition>,
        limit: usize,
    ) -> Result<RingPage, Failure> {
        let from = after.clone();
        let replies =
            self.send(&self.some_quorum(), move |r| r.ring(table, from.as_ref(), limit + 1));
        let (replies, whole) = self.gather(replies, |got| got.len() >= QUORUM).await;
        if !whole {
            return Err(Failure::Unavailable);
        }
        // Beyond the end of what a replica gave, nothing is known of it.
        let ends = replies.iter().filter(|(_, (_, all))| !all);
        let end: Option<RingKey> =
            ends.filter_map(|(_, (rows, _))| Some(rows.last()?.0.clone())).min();
        let mut merged: std::collections::BTreeMap<RingKey, super::replica::Stored> =
            std::collections::BTreeMap::new();
        for (_, (rows, _)) in &replies {
            for (key, row) in rows.iter().filter(|(k, _)| end.as_ref().is_none_or(|e| k <= e)) {
                let into = merged.entry(key.clone()).or_default();
                row.iter().for_each(|(c, cell)| super::replica::put(into, *c, cell.clone()));
            }
        }
        let more = end.is_some() || merged.len() > limit;
        let mut page = RingPage::default();
        let mut last = None;
        for (key, stored) in merged.into_iter().take(limit) {
            let partition = Partition { table, key: key.partition.clone() };
            let rows = Rows::from([(key.row.clone(), stored)]);
            let had: Vec<(usize, Rows)> = replies
                .iter()
                .map(|(n, (rows, _))| {
                    let row = rows.iter().find(|(k, _)| *k == key);
                    (*n, row.map(|(k, row)| (k.row.clone(), row.clone())).into_iter().collect())
                })
                .collect();
            self.read_repair(&partition, &rows, &had).await?;
            last =
                Some(RingPosition { partition: key.partition.clone(), key: key.row.key.clone() });
            page.rows.extend(live(&key.row, &rows[&key.row]).map(|row| (key.partition, row)));
        }
        page.next = last.filter(|_| more);
        Ok(page)
    }
}

/// Cuts what was merged to the SELECT's order and LIMIT; only what is left counts as read.
pub(super) fn cut(merged: &mut Rows, select: &Select) -> Vec<Row> {
    let Select::Range { reverse, limit, .. } = select else {
        return merged.iter().filter_map(|(key, row)| live(key, row)).collect();
    };
    let mut rows: Vec<Row> = Vec::new();
    let heads = merged.iter().filter(|(k, _)| k.kind == Kind::Head);
    let heads: Box<dyn Iterator<Item = _>> =
        if *reverse { Box::new(heads.rev()) } else { Box::new(heads) };
    rows.extend(heads.filter_map(|(key, row)| live(key, row)).take(*limit));
    let read: std::collections::BTreeSet<RowKey> = rows.iter().map(|r| r.key.clone()).collect();
    merged.retain(|key, _| key.kind == Kind::Static || read.contains(key));
    let statics = merged.get(&RowKey::STATIC);
    rows.extend(statics.and_then(|row| live(&RowKey::STATIC, row)));
    rows
}

/// A gateway's way to the cluster.
pub struct Connection {
    cluster: Arc<Cluster>,
    env: Arc<dyn Environment>,
    /// What the gateway asks for is done while it is set, and no answer comes back.
    deaf: Arc<AtomicBool>,
}

impl Connection {
    pub fn new(cluster: &Arc<Cluster>, env: Arc<dyn Environment>) -> Arc<Connection> {
        Connection::with_deafness(cluster, env, Arc::default())
    }

    /// A connection that loses all answers while a switch is set.
    pub fn with_deafness(
        cluster: &Arc<Cluster>,
        env: Arc<dyn Environment>,
        deaf: Arc<AtomicBool>,
    ) -> Arc<Connection> {
        Arc::new(Connection { cluster: cluster.clone(), env, deaf })
    }

    /// Has a coordinator run a request, and waits for its answer, for a while.
    async fn ask<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let faults = self.cluster.faults();
        if faults.delay.is_zero() {
            tokio::task::yield_now().await;
            return request.await;
        }
        let (reply, answer) = oneshot::channel();
        let (cluster, deaf) = (self.cluster.clone(), self.deaf.clone());
        let patience = faults.timeout * 3;
        self.cluster.env.spawn(Box::pin(async move {
            if cluster.chance(faults.client_lost) {
                return;
            }
            if cluster.chance(faults.late) {
                let late = patience.as_micros() as u64;
                let late = late + cluster.random(late * 4);
                cluster.env.sleep(Duration::from_micros(late)).await;
            }
            cluster.travel(&faults).await;
            let result = request.await;
            cluster.travel(&faults).await;
            if !cluster.chance(faults.client_lost) && !deaf.load(Ordering::SeqCst) {
                let _ = reply.send(result);
            } else {
                // Keeps the gateway waiting: silence, not an error.
                cluster.env.sleep(patience * 2).await;
            }
        }));
        match select(answer, self.env.sleep(patience)).await {
            Either::Left((Ok(result), _)) => result,
            _ => Err(Failure::Uncertain),
        }
    }
}

#[async_trait]
impl Partitions for Connection {
    async fn read(
        &self,
        partition: &Partition,
        select: Select,
        consistency: Consistency,
    ) -> Result<Vec<Row>, Failure> {
        let (cluster, partition) = (self.cluster.clone(), partition.clone());
        self.ask(async move {
            if let Some(accord) = cluster.accord_of(partition.table)? {
                return Ok(accord.read(&partition, &select));
            }
            match consistency {
                Consistency::Quorum => cluster.quorum_read(&partition, select).await,
                Consistency::Serial => cluster.serial_read(&partition, select).await,
            }
        })
        .await
    }

    async fn ring(
        &self,
        table: Table,
        after: Option<RingPosition>,
        limit: usize,
    ) -> Result<RingPage, Failure> {
        let cluster = self.cluster.clone();
        self.ask(async move {
            if let Some(accord) = cluster.accord_of(table)? {
                return Ok(accord.ring(table, after.as_ref(), limit));
            }
            cluster.ring_read(table, after, limit).await
        })
        .await
    }

    async fn write(
        &self,
        partition: &Partition,
        writes: Vec<CellWrite>,
        timestamp: u64,
    ) -> Result<(), Failure> {
        let (cluster, partition) = (self.cluster.clone(), partition.clone());
        self.ask(async move { cluster.plain_write(&partition, writes, timestamp).await }).await
    }

    async fn cas(&self, batch: Batch) -> Result<Applied, Failure> {
        let cluster = self.cluster.clone();
        self.ask(async move {
            let is_verdict = batch.partition.table == Table::Transactions;
            if is_verdict && cluster.verdicts_lost.load(Ordering::SeqCst) {
                return std::future::pending().await;
            }
            if let Some(accord) = cluster.accord_of(batch.partition.table)? {
                return Ok(accord.cas(&[batch]));
            }
            cluster.cas(batch).await
        })
        .await
    }

    fn reach(&self) -> Reach {
        match self.cluster.accord {
            Some(_) => Reach { partitions: 4, rows: 8 },
            None => Reach { partitions: 1, rows: usize::MAX },
        }
    }

    async fn cas_all(&self, batches: Vec<Batch>) -> Result<Applied, Failure> {
        let cluster = self.cluster.clone();
        self.ask(async move {
            let accord = cluster.accord_of(batches[0].partition.table)?;
            Ok(accord.map_or(Applied::No, |accord| accord.cas(&batches)))
        })
        .await
    }

    async fn remove(&self, table: Table) -> Result<(), Failure> {
        if let Some(accord) = &self.cluster.accord {
            accord.drop_table(table);
        }
        // At once on all: what was begun before finds another table, or none, as the identifier of
        // a table that is made anew is another.
        let mut replicas = self.cluster.replicas.each_ref().map(|replica| replica.lock());
        let ballot = self.cluster.ballot(0);
        for replica in &mut replicas {
            replica.drop_table(table, ballot);
        }
        Ok(())
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, Failure> {
        let mut spaces = BTreeSet::new();
        for replica in &self.cluster.replicas {
            spaces.extend(replica.lock().logged_spaces());
        }
        Ok(spaces.into_iter().collect())
    }

    async fn size(&self, table: Table) -> Result<(u64, u64), Failure> {
        if let Some(accord) = self.cluster.accord_of(table)? {
            let rows = accord.ring(table, None, usize::MAX).rows;
            let value = |row: &Row| row.get(Column::Va).map_or(0, |value| value.len());
            let bytes = rows.iter().map(|(pk, row)| pk.len() + row.key.key.len() + value(row));
            let bytes = bytes.sum::<usize>() as u64;
            let partitions: HashSet<_> = rows.into_iter().map(|(pk, _)| pk).collect();
            return Ok((partitions.len() as u64, bytes));
        }
        let (heads, _) = self.cluster.replicas[0].lock().ring(table, None, usize::MAX);
        let (mut partitions, mut bytes) = (HashSet::new(), 0);
        for (key, row) in &heads {
            let values = [Column::Va, Column::Iv].iter().filter_map(|c| row.get(c));
            let values: usize = values.filter_map(|c| Some(c.value.as_ref()?.len())).sum();
            partitions.insert(&key.partition);
            bytes += (key.partition.len() + key.row.key.len() + values) as u64;
        }
        Ok((partitions.len() as u64, bytes))
    }
}
