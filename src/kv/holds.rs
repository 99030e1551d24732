//! Which timestamps are being read, and so what may be collected.
//!
//! Opening a snapshot and choosing a horizon exclude each other: a horizon is never above a
//! timestamp that is held, or that could still be handed out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::clock::Timestamp;
use crate::error::{Error, Result, SqlState};
use crate::kv::Hold;

/// The open snapshots of one store, and the timestamp that new ones get.
#[derive(Default)]
pub struct Holds {
    /// The newest commit that is durable and whole.
    visible: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Held timestamps, ascending, each with its count. Short: as many as distinct snapshots.
    open: Vec<(Timestamp, usize)>,
    /// Versions superseded at or below this may be gone.
    horizon: Timestamp,
}

impl Holds {
    /// No holds; snapshots start at `visible`, and nothing before it can be read.
    pub fn new(visible: Timestamp) -> Arc<Holds> {
        let inner = Inner { open: Vec::new(), horizon: visible };
        Arc::new(Holds { visible: AtomicU64::new(visible.0), inner: Mutex::new(inner) })
    }

    /// The timestamp that a snapshot would get now.
    pub fn visible(&self) -> Timestamp {
        Timestamp(self.visible.load(Ordering::Acquire))
    }

    /// Every commit at or below `ts` is durable and applied: let snapshots see it.
    pub fn publish(&self, ts: Timestamp) {
        self.visible.fetch_max(ts.0, Ordering::AcqRel);
    }

    /// A snapshot of everything visible.
    pub fn snapshot(self: &Arc<Self>) -> Hold {
        let mut inner = self.inner.lock();
        let at = self.visible();
        inner.open_at(at);
        drop(inner);
        self.to_hold(at)
    }

    /// A hold on a timestamp of the past; 72000 below the horizon.
    pub fn hold(self: &Arc<Self>, at: Timestamp) -> Result<Hold> {
        let mut inner = self.inner.lock();
        if at < inner.horizon {
            return Err(Error::new(SqlState::SNAPSHOT_TOO_OLD, "snapshot too old"));
        }
        inner.open_at(at);
        drop(inner);
        Ok(self.to_hold(at))
    }

    /// Moves the horizon up as far as the holds let it, and tells it: versions superseded at or
    /// below it are needed by nobody.
    pub fn advance_horizon(&self) -> Timestamp {
        let mut inner = self.inner.lock();
        let oldest = inner.open.first().map_or(self.visible(), |(at, _)| *at);
        inner.horizon = inner.horizon.max(oldest.min(self.visible()));
        inner.horizon
    }

    /// The oldest timestamp held, or else what a snapshot would get now.
    pub fn oldest(&self) -> Timestamp {
        let inner = self.inner.lock();
        inner.open.first().map_or(self.visible(), |(at, _)| *at)
    }

    fn to_hold(self: &Arc<Self>, at: Timestamp) -> Hold {
        let holds = self.clone();
        Hold::new(at, move || holds.inner.lock().close(at))
    }
}

impl Inner {
    fn open_at(&mut self, at: Timestamp) {
        match self.open.last_mut() {
            Some((last, count)) if *last == at => *count += 1,
            Some((last, _)) if *last > at => {
                match self.open.binary_search_by_key(&at, |(ts, _)| *ts) {
                    Ok(place) => self.open[place].1 += 1,
                    Err(place) => self.open.insert(place, (at, 1)),
                }
            }
            _ => self.open.push((at, 1)),
        }
    }

    fn close(&mut self, at: Timestamp) {
        if let Ok(place) = self.open.binary_search_by_key(&at, |(ts, _)| *ts) {
            self.open[place].1 -= 1;
            if self.open[place].1 == 0 {
                self.open.remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn horizon_stops_at_the_oldest_hold() {
        let holds = Holds::new(Timestamp(10));
        let old = holds.snapshot();
        holds.publish(Timestamp(20));
        let young = holds.snapshot();
        assert_eq!((old.at, young.at), (Timestamp(10), Timestamp(20)));
        assert_eq!(holds.advance_horizon(), Timestamp(10));
        drop(old);
        let middle = holds.hold(Timestamp(15)).unwrap();
        assert_eq!(holds.advance_horizon(), Timestamp(15));
        assert!(holds.hold(Timestamp(14)).is_err());
        drop((middle, young));
        assert_eq!(holds.advance_horizon(), Timestamp(20));
        assert_eq!(holds.hold(Timestamp(19)).unwrap_err().code(), SqlState::SNAPSHOT_TOO_OLD);
    }
}
