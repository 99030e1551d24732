//! What an incarnation says of itself in its row: the commits that it announces, the timestamps it
//! may have given, the versions it still reads.

use std::collections::BTreeMap;

use super::gateway::Gateway;
use super::peers::Peer;
use super::published::{GatewayState, Open, OpenKind};
use super::rows::*;
use crate::clock::Timestamp;
use crate::kv::{SpaceId, TxnId};

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
    pub(super) open: BTreeMap<Timestamp, Open>,
    /// Timestamps that are read at.
    pub pins: BTreeMap<Timestamp, usize>,
    /// The highest commit that was shown to a caller.
    pub observed: Timestamp,
    /// The highest `high` known to be at a quorum.
    pub confirmed: Timestamp,
}

impl Own {
    /// That of a gateway that joins.
    pub fn new() -> Own {
        Own { log_next: 1, ..Own::default() }
    }

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
    pub(super) fn state(&mut self) -> GatewayState {
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

impl Gateway {
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

    /// Notes that a commit is decided: its log is written, and whoever meets its rows learns what
    /// came of it.
    pub fn decided(&self, floor: Timestamp, committed: Option<Timestamp>) {
        {
            let own = &mut *self.own.lock();
            own.high = own.high.max(committed.unwrap_or_default());
            if let Some(open) = own.open.get_mut(&floor) {
                open.decided = true;
                open.log = Vec::new();
            }
        }
        self.progress.notify_waiters();
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

    /// Whether an attempt of this gateway is under way, and may come to anything yet.
    pub fn is_undecided(&self, floor: Timestamp) -> bool {
        self.own.lock().open.get(&floor).is_some_and(|open| !open.decided)
    }

    /// A timestamp above `floor` and all this gateway gave or saw.
    pub fn tick_above(&self, floor: Timestamp) -> Timestamp {
        self.clock.observe(floor);
        self.clock.tick()
    }
}
