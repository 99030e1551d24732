//! One incarnation of a gateway: what it publishes of itself, what it knows of the others.
//!
//! All gateways share one small partition, a row each. Two orders between its writes and reads
//! carry the protocol (`ARCHITECTURE.md` has the proof):
//!
//! - a commit is *announced* in its gateway's row before the gateway reads all rows and chooses a
//!   timestamp above every `high` it finds;
//! - a snapshot takes its timestamp from the highest `high`, and only then reads which commits
//!   are announced. Whatever it does not find there will get a timestamp above the snapshot's.
//!
//! No clocks are compared: a skewed clock moves timestamps ahead and breaks nothing. A lease is a
//! counter; who sees it unchanged for `lease`, by its own monotonic clock, may retire its gateway.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::coalesce::Coalescer;
use super::counting::Counting;
use super::env::{Environment, random_below};
use super::latches::Latches;
use super::locks::Held;
use super::looks::Look;
use super::newest::Settled;
use super::partitions::*;
use super::peers::{Peer, Retired, View, read_peer};
use super::records::Records;
use super::rows::*;
use super::snapshots::Snapshot;
use super::tables::Tables;
use crate::clock::{Clock, HybridClock, Timestamp};
use crate::error::{Error, Result, SqlState};
use crate::kv::{Requests, SpaceId, TxnId};

/// The shortest and the longest pause between two tries or looks.
const PAUSE_MIN: Duration = Duration::from_micros(500);
const PAUSE_MAX: Duration = Duration::from_millis(40);
/// Who was away for so long, by either clock, is retired: much less than Cassandra keeps in mind
/// what was removed (`gc_grace_seconds`, ten days).
pub const ABSENT_MAX: Duration = Duration::from_secs(12 * 3600);

/// How a gateway behaves.
#[derive(Clone, Debug)]
pub struct LwtOptions {
    /// A gateway whose counter stands still for this long is retired by whoever needs to.
    pub lease: Duration,
    /// How often an idle gateway publishes. A third of the lease at most.
    pub heartbeat: Duration,
    /// A waiter looks for a deadlock each time this has passed.
    pub deadlock_timeout: Duration,
    /// A commit whose outcome is not known by then is reported as such (40003); the gateway goes
    /// on settling it.
    pub settle_timeout: Duration,
    /// Rows of one conditional batch.
    pub batch_rows_max: usize,
    /// Bytes that one conditional batch writes anew; with the versions it moves to the history it
    /// is twice that, which must stay below what the cluster takes at once.
    pub batch_bytes_max: usize,
    /// Bytes of one key and value.
    pub row_bytes_max: usize,
    /// How long the change log keeps what one gateway needs no more: others' views may be older.
    pub log_kept: Duration,
    /// How long an attempt's record stays when all its rows are finished.
    pub record_kept: Duration,
    /// How long the row of a gateway that is gone stays after the newest that it told.
    pub departed_kept: Duration,
    /// Where more rows are sorted than memory is for.
    pub sort_dir: std::path::PathBuf,
    /// Shows newest versions without making sure that they stay visible, to see that it is needed.
    #[cfg(test)]
    pub unsure: bool,
    /// Believes every abort, to see that it must not.
    #[cfg(test)]
    pub credulous: bool,
}

impl Default for LwtOptions {
    fn default() -> LwtOptions {
        LwtOptions {
            lease: Duration::from_secs(3),
            heartbeat: Duration::from_millis(500),
            deadlock_timeout: crate::kv::locks::DEADLOCK_TIMEOUT,
            settle_timeout: Duration::from_secs(30),
            batch_rows_max: 1024,
            batch_bytes_max: 1 << 20,
            row_bytes_max: 6 << 20,
            log_kept: Duration::from_secs(900),
            record_kept: Duration::from_secs(10),
            departed_kept: Duration::from_secs(3600),
            sort_dir: std::env::temp_dir(),
            #[cfg(test)]
            unsure: false,
            #[cfg(test)]
            credulous: false,
        }
    }
}

/// What a gateway knows of itself.
#[derive(Default)]
pub struct Own {
    counter: u64,
    /// What it will publish as `high`.
    pub high: Timestamp,
    /// What it published as `low`.
    pub low: Timestamp,
    schema: Timestamp,
    log_next: u64,
    /// By floor.
    open: BTreeMap<Timestamp, Open>,
    /// Timestamps that are read at.
    pub pins: BTreeMap<Timestamp, usize>,
    /// The highest commit that was shown to a caller.
    pub observed: Timestamp,
    /// The highest `high` known to be at a quorum.
    pub confirmed: Timestamp,
}

impl Own {
    /// Takes back one pin.
    pub fn unpin(&mut self, at: Timestamp) {
        if let Some(count) = self.pins.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                self.pins.remove(&at);
            }
        }
    }

    /// The next state to publish.
    fn state(&mut self) -> GatewayState {
        self.counter += 1;
        let pinned = self.pins.keys().next().copied().unwrap_or(Timestamp::MAX);
        let open = self.open.keys().next().copied().unwrap_or(Timestamp::MAX);
        self.low = self.low.max(pinned.min(open).min(self.confirmed));
        GatewayState {
            counter: self.counter,
            high: self.high,
            low: self.low,
            schema: self.schema,
            log_next: self.log_next,
            open: self.open.values().cloned().collect(),
            ..GatewayState::default()
        }
    }
}

/// What this gateway saw of the others' leases.
#[derive(Default)]
struct Leases {
    /// When it last saw their rows.
    seen: Duration,
    /// When each counter was first seen as it is.
    counters: HashMap<Incarnation, (u64, Duration)>,
}

/// An incarnation, as one transaction or the process itself has it: its requests are counted in
/// `requests`, if there are some. What is done after an outcome is known is not.
pub struct Gateway {
    core: Arc<Core>,
    /// The cluster.
    pub partitions: Arc<dyn Partitions>,
    /// Where requests are counted.
    pub requests: Option<Arc<Requests>>,
}

impl Deref for Gateway {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

/// What all handles of an incarnation share.
pub struct Core {
    /// Which.
    pub incarnation: Incarnation,
    cluster: Arc<Counting>,
    /// Time and tasks.
    pub env: Arc<dyn Environment>,
    /// How it behaves.
    pub options: LwtOptions,
    /// Timestamps.
    pub clock: HybridClock,
    /// The process's clock.
    pub time: Arc<dyn Clock>,
    /// Something of this gateway ended that others may wait for.
    pub progress: Notify,
    /// Its transactions' locks.
    pub held: Held,
    /// And those of tables.
    pub tables: Tables,
    /// Of partitions that are written in.
    pub latches: Latches,
    /// Commits that were announced while their row was read.
    pub looks: Mutex<HashMap<TxnId, Look>>,
    /// One gateway is retired at a time.
    pub retiring: tokio::sync::Mutex<()>,
    /// What it knows of itself.
    pub own: Mutex<Own>,
    /// Snapshots that are held, and the last few others.
    pub snapshots: Mutex<BTreeMap<Timestamp, (Weak<Snapshot>, Option<Arc<Snapshot>>)>>,
    /// Verdicts that were read lately.
    pub verdicts: Mutex<HashMap<Attempt, Verdict>>,
    /// Of attempts that are finished.
    pub records: Records,
    /// Whether rows of those that are gone are being removed.
    pub departing: AtomicBool,
    /// What the last read of all rows tells of commits.
    settled: Mutex<Settled>,
    horizon: AtomicU64,
    /// The newest change of the schema that any view showed.
    schema: AtomicU64,
    publish: Arc<Coalescer<Result<(), Failure>>>,
    view: Arc<Coalescer<Result<Arc<View>, Failure>>>,
    leases: Mutex<Leases>,
    /// Monotonic microseconds at the start of the last read that showed this gateway in its place.
    verified: AtomicU64,
    /// Wall clock microseconds then.
    verified_wall: AtomicI64,
    /// Something ended that no publication has told of yet.
    pub untold: AtomicBool,
    fenced: AtomicBool,
    closed: AtomicBool,
}

/// The partition of all gateways' rows.
pub fn gateways() -> Partition {
    Partition { table: Table::Gateways, key: Bytes::from_static(b"g") }
}

/// 57P03 after the end.
fn closed() -> Error {
    Error::new(SqlState::CANNOT_CONNECT_NOW, "the store is closed")
}

fn fenced() -> Error {
    Error::new(SqlState::CONNECTION_FAILURE, "this gateway was retired by another one")
        .with_hint("It did not answer for longer than its lease. It joins again: try again.")
}

impl Core {
    /// A pause between tries, longer with each.
    pub async fn pause(&self, attempt: u32) {
        let longest = PAUSE_MIN.saturating_mul(1 << attempt.min(8)).min(PAUSE_MAX);
        let micros = longest.as_micros() as u64;
        let micros = micros / 2 + random_below(&*self.time, micros / 2 + 1);
        self.env.sleep(Duration::from_micros(micros)).await;
    }

    /// Where a gateway's state lies.
    pub fn row_key(incarnation: Incarnation) -> RowKey {
        RowKey::head(&number(incarnation))
    }

    /// How long ago, by the monotonic clock.
    pub fn since(&self, start: Duration) -> Duration {
        self.time.monotonic().saturating_sub(start)
    }

    async fn publish_once(&self) -> Result<(), Failure> {
        let (mut attempt, started) = (0, self.time.monotonic());
        loop {
            if self.was_away() {
                self.fenced.store(true, Ordering::SeqCst);
                return Err(Failure::Unavailable);
            }
            self.untold.store(false, Ordering::SeqCst);
            let (mut state, high) = {
                let mut own = self.own.lock();
                (own.state(), own.high)
            };
            // After the rest: whoever sees a change's `high` sees which tables it changed.
            self.tables.fill(&mut state);
            let (row, column) = (Self::row_key(self.incarnation), Column::St);
            let write = CellWrite { row, column, value: Some(state.encode()) };
            match self.cluster.write(&gateways(), vec![write], state.counter).await {
                Ok(()) => {
                    let mut own = self.own.lock();
                    own.confirmed = own.confirmed.max(high);
                    return Ok(());
                }
                Err(failure) if failure.is_final(attempt, self.since(started)) => {
                    return Err(failure);
                }
                Err(_) => self.pause(attempt).await,
            }
            attempt += 1;
        }
    }

    async fn view_once(&self) -> Result<Arc<View>, Failure> {
        let started = self.time.monotonic();
        let high = self.own.lock().confirmed;
        let mut attempt = 0;
        let all = Select::Range {
            start: std::ops::Bound::Unbounded,
            end: std::ops::Bound::Unbounded,
            reverse: false,
            limit: usize::MAX,
        };
        let rows = loop {
            match self.cluster.read(&gateways(), all.clone(), Consistency::Quorum).await {
                Ok(rows) => break rows,
                Err(failure) if failure.is_final(attempt, self.since(started)) => {
                    return Err(failure);
                }
                Err(_) => self.pause(attempt).await,
            }
            attempt += 1;
        };
        let mut view = View::default();
        for row in rows.iter().filter(|r| r.key.kind == Kind::Head) {
            match read_peer(row) {
                Ok(peer) => view.peers.push(peer),
                Err(error) => {
                    tracing::error!(%error, "a gateway's row cannot be read");
                    return Err(Failure::Unavailable);
                }
            }
        }
        self.viewed(&view, started);
        let view = Arc::new(view);
        *self.settled.lock() = Settled { high, view: view.clone(), began: started };
        Ok(view)
    }

    /// Takes note of what a read of all rows showed.
    fn viewed(&self, view: &View, started: Duration) {
        self.clock.observe(view.high());
        self.horizon.fetch_max(view.horizon().0, Ordering::SeqCst);
        self.tables.seen(view, self.incarnation);
        self.schema.fetch_max(view.schema().0, Ordering::SeqCst);
        {
            let mut own = self.own.lock();
            own.confirmed = own.confirmed.max(view.high());
        }
        self.note_leases(view);
        match view.peer(self.incarnation).map(|me| me.retired) {
            Some(Retired::No) => {
                self.verified.fetch_max(started.as_micros() as u64, Ordering::SeqCst);
                self.verified_wall.store(self.time.wall_micros(), Ordering::SeqCst);
            }
            // It joins.
            None if !self.was_there() => {}
            _ if self.closed.load(Ordering::SeqCst) => {}
            _ => self.fenced.store(true, Ordering::SeqCst),
        }
    }

    /// Whether any read has shown it in its place.
    fn was_there(&self) -> bool {
        self.verified.load(Ordering::SeqCst) > 0
    }

    /// Whether it was away for so long that its row may be gone, and that it was there forgotten.
    fn was_away(&self) -> bool {
        let seen = Duration::from_micros(self.verified.load(Ordering::SeqCst));
        let wall = self.time.wall_micros() - self.verified_wall.load(Ordering::SeqCst);
        self.was_there() && (self.since(seen) > ABSENT_MAX || wall > ABSENT_MAX.as_micros() as i64)
    }

    /// Notes when each counter was first seen as it is. Only time in which this gateway itself saw
    /// the rows counts: after the cluster was out of reach for all, everybody has a whole lease.
    fn note_leases(&self, view: &View) {
        let now = self.time.monotonic();
        let mut leases = self.leases.lock();
        let blind = now.saturating_sub(leases.seen) > self.options.lease;
        leases.seen = now;
        leases.counters.retain(|incarnation, _| view.peer(*incarnation).is_some());
        for peer in &view.peers {
            let lease = leases.counters.entry(peer.incarnation).or_insert((0, now));
            if peer.state.counter > lease.0 || blind {
                *lease = (peer.state.counter, now);
            }
        }
    }
}

impl Gateway {
    /// Joins the gateways of a cluster. Every timestamp it gives out or reads at is above `above`.
    pub async fn join(
        partitions: Arc<Counting>,
        env: Arc<dyn Environment>,
        options: LwtOptions,
        above: Timestamp,
    ) -> Result<Arc<Gateway>> {
        let time = env.clock();
        let mut incarnation = [0; 8];
        time.random(&mut incarnation);
        let core = Arc::new_cyclic(|weak: &Weak<Core>| {
            let (publisher, viewer) = (weak.clone(), weak.clone());
            let publish = Coalescer::new(move || {
                let gateway = publisher.upgrade();
                Box::pin(async move {
                    match gateway {
                        Some(gateway) => gateway.publish_once().await,
                        None => Err(Failure::Unavailable),
                    }
                })
            });
            let view = Coalescer::new(move || {
                let gateway = viewer.upgrade();
                Box::pin(async move {
                    match gateway {
                        Some(gateway) => gateway.view_once().await,
                        None => Err(Failure::Unavailable),
                    }
                })
            });
            Core {
                incarnation: u64::from_be_bytes(incarnation),
                cluster: partitions.clone(),
                options,
                clock: HybridClock::new(time.clone(), above),
                time,
                env,
                progress: Notify::new(),
                held: Held::default(),
                tables: Tables::default(),
                latches: Latches::default(),
                looks: Mutex::default(),
                retiring: tokio::sync::Mutex::default(),
                own: Mutex::new(Own { log_next: 1, ..Own::default() }),
                snapshots: Mutex::default(),
                verdicts: Mutex::default(),
                records: Records::default(),
                departing: AtomicBool::new(false),
                settled: Mutex::default(),
                horizon: AtomicU64::new(0),
                schema: AtomicU64::new(0),
                publish: Arc::new(publish),
                view: Arc::new(view),
                leases: Mutex::default(),
                verified: AtomicU64::new(0),
                verified_wall: AtomicI64::new(0),
                untold: AtomicBool::new(false),
                fenced: AtomicBool::new(false),
                closed: AtomicBool::new(false),
            }
        });
        let gateway = Arc::new(Gateway { core, partitions, requests: None });
        let view = gateway.view().await?;
        {
            let mut own = gateway.own.lock();
            // A first commit is above zero, and so is a first snapshot; and both are above all
            // that this process read at before.
            own.high = view.high().max(gateway.clock.tick());
            own.low = own.high;
        }
        gateway.publish().await?;
        gateway.view().await?;
        Ok(gateway)
    }

    /// An incarnation whose requests are not counted.
    fn of(core: Arc<Core>) -> Arc<Gateway> {
        let partitions: Arc<dyn Partitions> = core.cluster.clone();
        Arc::new(Gateway { core, partitions, requests: None })
    }

    /// The same incarnation, for what nobody waits for.
    pub fn in_background(&self) -> Arc<Gateway> {
        Gateway::of(self.core.clone())
    }

    /// The same incarnation, its requests counted.
    pub fn counting(&self, requests: Arc<Requests>) -> Arc<Gateway> {
        let (core, below) = (self.core.clone(), self.core.cluster.clone());
        let partitions = Arc::new(Counting { below, requests: requests.clone() });
        Arc::new(Gateway { core, partitions, requests: Some(requests) })
    }

    /// What all handles of this incarnation share, for who must not keep it.
    pub fn downgrade(&self) -> Weak<Core> {
        Arc::downgrade(&self.core)
    }

    /// Counts a wait for others.
    pub fn count_wait(&self) {
        self.core.cluster.requests.lock_waits.fetch_add(1, Ordering::Relaxed);
        self.count(|r| &r.lock_waits);
    }

    /// Counts, if that is wanted.
    pub fn count(&self, what: impl FnOnce(&Requests) -> &AtomicU64) {
        if let Some(requests) = &self.requests {
            what(requests).fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Shows that it lives, and retires those that do not.
    pub async fn beat(self: &Arc<Self>) {
        let began = self.time.monotonic();
        let published = self.publish().await;
        let viewed = self.view().await;
        let (Ok(()), Ok(view)) = (published, viewed) else { return };
        self.remove_records(began);
        self.remove_departed(&view);
        for peer in &view.peers {
            let gone = peer.retired == Retired::Sealed || self.is_expired(peer);
            if gone && peer.incarnation != self.incarnation && peer.retired < Retired::Settled {
                let (this, incarnation) = (self.clone(), peer.incarnation);
                self.env.spawn(Box::pin(async move {
                    if let Err(error) = this.retire(incarnation).await {
                        tracing::warn!(%error, incarnation, "a gateway cannot be retired yet");
                    }
                }));
            }
        }
    }

    /// A pause that ends early when something of this gateway ended.
    pub async fn pause_or_progress(&self, attempt: u32) {
        let notified = std::pin::pin!(self.progress.notified());
        let pause = std::pin::pin!(self.pause(attempt));
        match select(notified, pause).await {
            Either::Left(((), _)) | Either::Right(((), _)) => {}
        }
    }

    /// Whether another gateway retired this one.
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::SeqCst)
    }

    /// Whether it has left.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Fails after the end, and when another gateway retired this one.
    pub fn check(&self) -> Result<()> {
        if self.is_fenced() {
            return Err(fenced());
        }
        if self.is_closed() {
            return Err(closed());
        }
        Ok(())
    }

    /// Nobody may have retired this gateway when what was read before this call was read: else
    /// versions may be gone that it believes are kept.
    pub async fn check_lease(&self) -> Result<()> {
        self.check()?;
        let verified = Duration::from_micros(self.verified.load(Ordering::SeqCst));
        if self.since(verified) * 2 > self.options.lease {
            self.view().await?;
        }
        self.check()
    }

    /// A read of one partition, tried again while it fails.
    pub async fn read(
        &self,
        partition: &Partition,
        select: Select,
        consistency: Consistency,
    ) -> Result<Vec<Row>> {
        let (mut attempt, started) = (0, self.time.monotonic());
        loop {
            match self.partitions.read(partition, select.clone(), consistency).await {
                Ok(rows) => return Ok(rows),
                Err(failure) if failure.is_final(attempt, self.since(started)) => {
                    return Err(failure.into());
                }
                Err(_) => self.pause(attempt).await,
            }
            attempt += 1;
        }
    }

    /// A plain write, tried again while it fails.
    pub async fn write(
        &self,
        partition: &Partition,
        writes: Vec<CellWrite>,
        timestamp: u64,
    ) -> Result<()> {
        let (mut attempt, started) = (0, self.time.monotonic());
        loop {
            match self.partitions.write(partition, writes.clone(), timestamp).await {
                Ok(()) => return Ok(()),
                Err(failure) if failure.is_final(attempt, self.since(started)) => {
                    return Err(failure.into());
                }
                Err(_) => self.pause(attempt).await,
            }
            attempt += 1;
        }
    }

    /// Has a quorum know what this gateway's row says now.
    pub async fn publish(&self) -> Result<()> {
        self.count(|r| &r.writes);
        match self.publish.ask(&*self.env).await {
            Some(result) => Ok(result?),
            None => Err(closed()),
        }
    }

    /// All gateways' rows, by a read that begins now or later.
    pub async fn view(&self) -> Result<Arc<View>> {
        self.count(|r| &r.reads);
        match self.view.ask(&*self.env).await {
            Some(result) => Ok(result?),
            None => Err(closed()),
        }
    }

    /// What the last read of all rows tells of commits.
    pub fn known_settled(&self) -> Settled {
        self.settled.lock().clone()
    }

    /// Whether a gateway's counter has stood still for too long, as far as this one saw.
    pub fn is_expired(&self, peer: &Peer) -> bool {
        let leases = self.leases.lock();
        let Some((counter, since)) = leases.counters.get(&peer.incarnation) else { return false };
        let still = self.time.monotonic().saturating_sub(*since);
        *counter == peer.state.counter && still > self.options.lease
    }

    /// The newest change of the schema that this gateway knows of.
    pub fn known_schema(&self) -> Timestamp {
        Timestamp(self.schema.load(Ordering::SeqCst))
    }

    /// Takes over what the row of a settled gateway tells; the next publication has it.
    pub fn inherit(&self, peer: &Peer) {
        let changed = peer.state.changed.iter().map(|(_, ts)| *ts);
        let changed = changed.chain([peer.state.forgotten]).max().unwrap_or_default();
        self.tables.forget(changed);
        let mut own = self.own.lock();
        own.high = own.high.max(peer.state.high);
        own.schema = own.schema.max(peer.state.schema);
    }

    /// Notes a change of the schema, before it is acknowledged: the next publication tells of it.
    pub fn schema_changed(&self, ts: Timestamp) {
        let mut own = self.own.lock();
        own.schema = own.schema.max(ts);
    }

    /// Versions superseded at or below this are read by nobody.
    pub fn known_horizon(&self) -> Timestamp {
        Timestamp(self.horizon.load(Ordering::SeqCst))
    }

    /// Later snapshots of this gateway cover what a caller was shown.
    pub fn observe(&self, ts: Timestamp) {
        self.clock.observe(ts);
        let mut own = self.own.lock();
        own.observed = own.observed.max(ts);
    }

    /// Enters a commit into this gateway's row, with a number in the log of each tracked space.
    /// [`Gateway::publish`] announces it.
    pub fn open(&self, txn: TxnId, kind: OpenKind, spaces: &[SpaceId]) -> Open {
        let own = &mut *self.own.lock();
        let floor = self.clock.tick();
        let log = spaces
            .iter()
            .map(|space| {
                own.log_next += 1;
                (*space, own.log_next - 1)
            })
            .collect();
        let attempt = Attempt { txn, incarnation: self.incarnation, floor };
        let open = Open { attempt, kind, decided: false, log };
        own.open.insert(floor, open.clone());
        open
    }

    /// Notes that a commit's outcome is known everywhere: log and verdict are written.
    pub fn decided(&self, floor: Timestamp, committed: Option<Timestamp>) {
        let own = &mut *self.own.lock();
        own.high = own.high.max(committed.unwrap_or_default());
        if let Some(open) = own.open.get_mut(&floor) {
            open.decided = true;
            open.log = Vec::new();
        }
    }

    /// Takes a commit out of this gateway's row: nothing of it is left to do.
    pub fn close_open(&self, floor: Timestamp, committed: Option<Timestamp>) {
        {
            let own = &mut *self.own.lock();
            own.high = own.high.max(committed.unwrap_or_default());
            own.open.remove(&floor);
        }
        self.progress.notify_waiters();
    }

    /// Whether an attempt of this gateway is under way.
    pub fn has_open(&self, floor: Timestamp) -> bool {
        self.own.lock().open.contains_key(&floor)
    }

    /// A timestamp above `floor` and all this gateway gave or saw.
    pub fn tick_above(&self, floor: Timestamp) -> Timestamp {
        self.clock.observe(floor);
        self.clock.tick()
    }

    /// Leaves: waits for what is under way, for a while, and tells the others.
    pub async fn leave(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        for attempt in 0..TRIES_MAX {
            if self.own.lock().open.is_empty() {
                self.publish().await?;
                return self.set_retired(self.incarnation, Retired::Settled).await;
            }
            self.pause(attempt).await;
        }
        Ok(())
    }

    /// Marks a gateway's row; a mark never goes back.
    pub async fn set_retired(&self, incarnation: Incarnation, retired: Retired) -> Result<()> {
        let value = Some(number(retired as u64));
        let write = CellWrite { row: Core::row_key(incarnation), column: Column::Rt, value };
        self.write(&gateways(), vec![write], retired as u64).await
    }
}
