//! One incarnation of a gateway: what all its handles share, how it joins and leaves, and how it
//! asks the cluster. `own` is what it says of itself, `presence` what it knows of the others.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

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
use super::options::LwtOptions;
use super::own::Own;
use super::partitions::*;
use super::peers::{Retired, View};
use super::presence::Leases;
use super::records::Records;
use super::rows::*;
use super::snapshots::Snapshot;
use super::tables::Tables;
use crate::clock::{Clock, HybridClock, Timestamp};
use crate::error::{Error, Result, SqlState};
use crate::kv::{Requests, TxnId};

/// The shortest and the longest pause between two tries or looks.
const PAUSE_MIN: Duration = Duration::from_micros(500);
const PAUSE_MAX: Duration = Duration::from_millis(40);

/// An incarnation, as one transaction or the process itself has it: its requests are counted in
/// `requests`, if there are some. What is done after an outcome is known is not.
pub struct Gateway {
    core: Arc<Core>,
    /// The cluster.
    pub partitions: Arc<dyn Partitions>,
    /// Where requests are counted.
    pub requests: Option<Arc<Requests>>,
    /// How much of a commit of many parts is done.
    steps: AtomicU64,
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
    pub(super) cluster: Arc<Counting>,
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
    /// When it joined (monotonic).
    pub joined: Duration,
    /// Whether rows of those that are gone are being removed.
    pub departing: AtomicBool,
    /// What the last read of all rows tells of commits.
    pub(super) settled: Mutex<Settled>,
    pub(super) horizon: AtomicU64,
    /// The newest change of the schema that any view showed.
    pub(super) schema: AtomicU64,
    publish: Arc<Coalescer<Result<(), Failure>>>,
    view: Arc<Coalescer<Result<Arc<View>, Failure>>>,
    pub(super) leases: Mutex<Leases>,
    /// Monotonic microseconds at the start of the last read that showed this gateway in its place.
    pub(super) verified: AtomicU64,
    /// Wall clock microseconds then.
    pub(super) verified_wall: AtomicI64,
    /// Something ended that no publication has told of yet.
    pub untold: AtomicBool,
    pub(super) fenced: AtomicBool,
    pub(super) closed: AtomicBool,
}

/// 57P03 after the end.
fn closed() -> Error {
    Error::new(SqlState::CANNOT_CONNECT_NOW, "the store is closed")
}

/// 40003
pub fn outcome_unknown() -> Error {
    let message = "the outcome of the commit is not known";
    Error::new(SqlState::STATEMENT_COMPLETION_UNKNOWN, message)
        .with_hint("Look whether its effects are there before doing it again.")
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

    /// How long ago, by the monotonic clock.
    pub fn since(&self, start: Duration) -> Duration {
        self.time.monotonic().saturating_sub(start)
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
                joined: time.monotonic(),
                time,
                env,
                progress: Notify::new(),
                held: Held::default(),
                tables: Tables::default(),
                latches: Latches::default(),
                looks: Mutex::default(),
                retiring: tokio::sync::Mutex::default(),
                own: Mutex::new(Own::new()),
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
        let gateway =
            Arc::new(Gateway { core, partitions, requests: None, steps: AtomicU64::new(0) });
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
        Arc::new(Gateway { core, partitions, requests: None, steps: AtomicU64::new(0) })
    }

    /// The same incarnation, for what nobody waits for.
    pub fn in_background(&self) -> Arc<Gateway> {
        Gateway::of(self.core.clone())
    }

    /// The same incarnation, its requests counted.
    pub fn counting(&self, requests: Arc<Requests>) -> Arc<Gateway> {
        let (core, below) = (self.core.clone(), self.core.cluster.clone());
        let partitions = Arc::new(Counting { below, requests: requests.clone() });
        let (requests, steps) = (Some(requests), AtomicU64::new(0));
        Arc::new(Gateway { core, partitions, requests, steps })
    }

    /// The same, for one commit.
    pub fn for_commit(&self) -> Arc<Gateway> {
        let (core, partitions) = (self.core.clone(), self.partitions.clone());
        let (requests, steps) = (self.requests.clone(), AtomicU64::new(0));
        Arc::new(Gateway { core, partitions, requests, steps })
    }

    /// A part of a commit that has many is done.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// How many parts of its commit are done.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
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

    /// Tries for as long as it takes, what must follow something that has happened already.
    pub async fn surely<T, F: Future<Output = Result<T>>>(&self, what: impl Fn() -> F) -> T {
        let mut attempt = 0;
        loop {
            if let Ok(done) = what().await {
                return done;
            }
            self.pause(attempt).await;
            attempt += 1;
        }
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

    /// The newest change of the schema that this gateway knows of.
    pub fn known_schema(&self) -> Timestamp {
        Timestamp(self.schema.load(Ordering::SeqCst))
    }

    /// Versions superseded at or below this are read by nobody.
    pub fn known_horizon(&self) -> Timestamp {
        Timestamp(self.horizon.load(Ordering::SeqCst))
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
}
