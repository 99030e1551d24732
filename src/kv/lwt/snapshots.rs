//! Timestamps that can be read at, and what keeps their versions.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::gateway::{Core, Gateway};
use super::own::Own;
use super::published::Open;
use super::rows::*;
use crate::clock::Timestamp;
use crate::error::{Error, Result, SqlState};

/// Snapshots without a hold that are kept.
const SNAPSHOTS_KEPT: usize = 64;

/// A timestamp that can be read at: every commit at or below it is there, or is in `open`.
pub struct Snapshot {
    /// The timestamp.
    pub at: Timestamp,
    /// Commits that may still appear at or below it where nothing shows them, until they are
    /// decided.
    pub open: Mutex<Vec<Open>>,
    /// Keeps versions.
    _pin: Option<Pin>,
}

/// Keeps the versions visible at a timestamp from being collected.
pub struct Pin {
    at: Timestamp,
    gateway: Weak<Core>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.upgrade() {
            gateway.own.lock().unpin(self.at);
        }
    }
}

impl Gateway {
    fn pin(&self, own: &mut Own, at: Timestamp) -> Pin {
        *own.pins.entry(at).or_default() += 1;
        Pin { at, gateway: self.downgrade() }
    }

    /// Keeps versions; 72000 if they may be gone.
    pub fn hold(self: &Arc<Self>, at: Timestamp) -> Result<Pin> {
        let own = &mut *self.own.lock();
        if at < own.low {
            return Err(too_old());
        }
        Ok(self.pin(own, at))
    }

    /// Keeps versions for who reads what is newest, without a snapshot.
    pub fn hold_newest(&self) -> Pin {
        let own = &mut *self.own.lock();
        let at = own.low.max(own.confirmed);
        self.pin(own, at)
    }

    /// Whether versions visible at `at` are kept, as far as this gateway decides.
    pub fn check_low(&self, at: Timestamp) -> Result<()> {
        if at < self.own.lock().low { Err(too_old()) } else { Ok(()) }
    }

    /// A snapshot that covers every commit acknowledged before the call, and all this gateway
    /// has shown to anyone.
    pub async fn snapshot(self: &Arc<Self>) -> Result<Snapshot> {
        self.check()?;
        let view = self.view().await?;
        let (at, pin) = {
            let own = &mut *self.own.lock();
            let at = view.high().max(own.observed).max(own.low);
            own.high = own.high.max(at);
            (at, self.pin(own, at))
        };
        self.open_at(at, Some(pin), view.high()).await
    }

    /// A snapshot at a given time, which must not lie in the future.
    pub async fn snapshot_at(self: &Arc<Self>, at: Timestamp) -> Result<Snapshot> {
        let confirmed = {
            let own = &mut *self.own.lock();
            own.high = own.high.max(at);
            own.confirmed
        };
        self.open_at(at, None, confirmed).await
    }

    /// Remembers a snapshot for reads that only name its timestamp.
    pub fn remember(&self, snapshot: &Arc<Snapshot>) {
        let mut snapshots = self.snapshots.lock();
        snapshots.retain(|_, (held, _)| held.strong_count() > 0);
        snapshots.insert(snapshot.at, (Arc::downgrade(snapshot), None));
    }

    /// The snapshot at a timestamp, made if there is none.
    pub async fn known_snapshot(self: &Arc<Self>, at: Timestamp) -> Result<Arc<Snapshot>> {
        if let Some((snapshot, _)) = self.snapshots.lock().get(&at)
            && let Some(snapshot) = snapshot.upgrade()
        {
            return Ok(snapshot);
        }
        let snapshot = Arc::new(self.snapshot_at(at).await?);
        let mut snapshots = self.snapshots.lock();
        // The oldest of those that nobody holds make room.
        let kept = |s: &(Weak<Snapshot>, Option<Arc<Snapshot>>)| s.1.is_some();
        if snapshots.values().filter(|s| kept(s)).count() >= SNAPSHOTS_KEPT
            && let Some(oldest) = snapshots.iter().find(|(_, s)| kept(s)).map(|(at, _)| *at)
        {
            snapshots.remove(&oldest);
        }
        snapshots.insert(at, (Arc::downgrade(&snapshot), Some(snapshot.clone())));
        Ok(snapshot)
    }

    /// What may still appear at or below `at`, which a quorum must know as a `high` first.
    async fn open_at(
        self: &Arc<Self>,
        at: Timestamp,
        pin: Option<Pin>,
        confirmed: Timestamp,
    ) -> Result<Snapshot> {
        if at > confirmed {
            self.publish().await?;
        }
        let view = self.view().await?;
        self.check()?;
        let single = |o: &&Open| {
            let Attempt { floor, incarnation, .. } = o.attempt;
            let looks = incarnation == self.incarnation && self.is_looking(floor);
            o.may_appear(|_| true) && floor < at && !looks
        };
        let open = view.open().filter(single).cloned().collect();
        Ok(Snapshot { at, open: Mutex::new(open), _pin: pin })
    }

    /// No commit at or below this will appear any more.
    pub async fn resolved(self: &Arc<Self>) -> Result<Timestamp> {
        self.check()?;
        let high = self.view().await?.high();
        let view = self.view().await?;
        let open = view.open().filter(|o| !o.decided).map(|o| o.attempt.floor).min();
        Ok(high.min(open.unwrap_or(Timestamp::MAX)))
    }
}

/// 72000
pub fn too_old() -> Error {
    Error::new(SqlState::SNAPSHOT_TOO_OLD, "snapshot too old")
}
