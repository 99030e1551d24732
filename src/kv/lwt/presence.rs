//! The gateways' rows: each tells of itself in its own, reads those of all, and retires who is
//! silent for longer than a lease.
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

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::gateway::{Core, Gateway};
use super::newest::Settled;
use super::partitions::*;
use super::peers::{Peer, Retired, View, read_peer};
use super::rows::*;
use crate::error::Result;

/// Who was away for so long, by either clock, is retired: much less than Cassandra keeps in mind
/// what was removed (`gc_grace_seconds`, ten days).
pub const ABSENT_MAX: Duration = Duration::from_secs(12 * 3600);

/// What this gateway saw of the others' leases.
#[derive(Default)]
pub struct Leases {
    /// When it last saw their rows.
    seen: Duration,
    /// When each counter was first seen as it is.
    counters: HashMap<Incarnation, (u64, Duration)>,
}

/// The partition of all gateways' rows.
pub fn gateways() -> Partition {
    Partition { table: Table::Gateways, key: Bytes::from_static(b"g") }
}

impl Core {
    /// Where a gateway's state lies.
    pub fn row_key(incarnation: Incarnation) -> RowKey {
        RowKey::head(&number(incarnation))
    }

    pub(super) async fn publish_once(&self) -> Result<(), Failure> {
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

    pub(super) async fn view_once(&self) -> Result<Arc<View>, Failure> {
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

    /// Whether a gateway's counter has stood still for too long, as far as this one saw.
    pub fn is_expired(&self, peer: &Peer) -> bool {
        let leases = self.leases.lock();
        let Some((counter, since)) = leases.counters.get(&peer.incarnation) else { return false };
        let still = self.time.monotonic().saturating_sub(*since);
        *counter == peer.state.counter && still > self.options.lease
    }

    /// Marks a gateway's row; a mark never goes back.
    pub async fn set_retired(&self, incarnation: Incarnation, retired: Retired) -> Result<()> {
        let value = Some(number(retired as u64));
        let write = CellWrite { row: Core::row_key(incarnation), column: Column::Rt, value };
        self.write(&gateways(), vec![write], retired as u64).await
    }
}
