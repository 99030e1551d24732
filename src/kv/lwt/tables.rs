//! Locks of tables: shared ones cost no request, exclusive ones are told to all gateways.
//!
//! A key without partition and clustering part stands for a table. DML holds it in a shared mode,
//! which only its own gateway knows, with the newest change of the schema known at the time. DDL
//! holds it exclusively: by an entry in the store, so that of several gateways' DDL one goes on;
//! then it *closes* the table in its gateway's row, waits for its own gateway's sharers, and for
//! every commit that another gateway has announced by then.
//!
//! A commit looks at the gateways' rows after it is announced, as ever. So either it finds the
//! table closed, and waits, or the DDL finds it announced, and waits. What it finds opened again
//! was changed: the row that opens it says when. Such a commit is refused with 40001.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::deadlock::Waiting;
use super::gateway::Gateway;
use super::locks::{Blocked, not_available};
use super::partitions::{Partition, Table};
use super::peers::{Retired, View};
use super::published::{Closed, GatewayState};
use super::rows::Incarnation;
use super::taking::Taking;
use crate::clock::Timestamp;
use crate::error::{Error, Result, SqlState};
use crate::kv::{Commit, Key, LockMode, LockRequest, LockWait, Locked, SpaceId, TxnId};

/// Changed tables that a gateway's row names; those before them count as all tables.
const CHANGED_MAX: usize = 32;

/// Whether a key stands for a table.
pub fn is_table(key: &Key) -> bool {
    key.tail().is_empty()
}

/// Whether a lock of this key and mode has no entry in the store.
pub fn is_local(key: &Key, mode: LockMode) -> bool {
    is_table(key) && mode <= LockMode::Share
}

fn key_of(space: SpaceId) -> Key {
    Key::new(space, &[], 0)
}

/// What this gateway's transactions hold of tables, and what the others have closed.
#[derive(Default)]
pub struct Tables(Mutex<State>);

#[derive(Default)]
struct State {
    /// Sharers of each table, with the newest change of the schema known to each.
    shared: HashMap<SpaceId, HashMap<TxnId, (LockMode, Timestamp)>>,
    /// Closed by this gateway.
    closed: Vec<Closed>,
    /// Closed by others, as the last view showed.
    elsewhere: Vec<Closed>,
    /// Tables changed by this gateway's DDL, the oldest first.
    changed: VecDeque<(SpaceId, Timestamp)>,
    /// Everything may have changed up to here.
    forgotten: Timestamp,
}

impl State {
    /// Who has closed a table against a mode.
    fn closers(&self, space: SpaceId, txn: TxnId, mode: LockMode) -> Vec<TxnId> {
        let all = self.closed.iter().chain(&self.elsewhere);
        let against = all.filter(|c| c.space == space && c.txn != txn && c.mode.conflicts(mode));
        against.map(|c| c.txn).collect()
    }
}

impl Tables {
    /// Puts into a gateway's row what others must know.
    pub fn fill(&self, row: &mut GatewayState) {
        let state = self.0.lock();
        row.closed.clone_from(&state.closed);
        row.changed = state.changed.iter().copied().collect();
        row.forgotten = state.forgotten;
    }

    /// Takes note of what others have closed.
    pub fn seen(&self, view: &View, me: u64) {
        let closed = view.others(me).flat_map(|p| p.state.closed.clone());
        self.0.lock().elsewhere = closed.collect();
    }

    /// Shares a table, unless somebody has closed it: then who.
    fn share(
        &self,
        space: SpaceId,
        txn: TxnId,
        mode: LockMode,
        schema: Timestamp,
    ) -> std::result::Result<(), Vec<TxnId>> {
        let mut state = self.0.lock();
        let closers = state.closers(space, txn, mode);
        if !closers.is_empty() {
            return Err(closers);
        }
        let sharers = state.shared.entry(space).or_default();
        let entry = sharers.entry(txn).or_insert((mode, schema));
        entry.0 = entry.0.max(mode);
        Ok(())
    }

    /// Others of this gateway that share a table in the way of a mode.
    pub fn sharers(&self, space: SpaceId, txn: TxnId, mode: LockMode) -> Vec<TxnId> {
        let state = self.0.lock();
        let sharers = state.shared.get(&space).into_iter().flatten();
        let others = sharers.filter(|(other, (held, _))| **other != txn && held.conflicts(mode));
        others.map(|(other, _)| *other).collect()
    }

    /// Sets how a transaction has closed a table; none: not at all.
    fn close(&self, space: SpaceId, txn: TxnId, mode: Option<LockMode>) {
        let mut state = self.0.lock();
        state.closed.retain(|c| (c.space, c.txn) != (space, txn));
        state.closed.extend(mode.map(|mode| Closed { space, txn, mode }));
    }

    /// Notes, before it is acknowledged, that DDL committed.
    pub fn changed(&self, txn: TxnId, ts: Timestamp) {
        let mut state = self.0.lock();
        let spaces: Vec<SpaceId> =
            state.closed.iter().filter(|c| c.txn == txn).map(|c| c.space).collect();
        state.changed.extend(spaces.into_iter().map(|space| (space, ts)));
        while state.changed.len() > CHANGED_MAX {
            let oldest = state.changed.pop_front().map_or(Timestamp::ZERO, |(_, ts)| ts);
            state.forgotten = state.forgotten.max(oldest);
        }
    }

    /// Notes that a gateway that is gone may have changed anything up to then.
    pub fn forget(&self, upto: Timestamp) {
        let mut state = self.0.lock();
        state.forgotten = state.forgotten.max(upto);
    }

    /// Takes back what a transaction holds of a table, or of all. Whether one is open again.
    pub fn release(&self, txn: TxnId, of: Option<SpaceId>) -> bool {
        let mut state = self.0.lock();
        state.shared.retain(|space, sharers| {
            if of.is_none_or(|of| of == *space) {
                sharers.remove(&txn);
            }
            !sharers.is_empty()
        });
        let before = state.closed.len();
        state.closed.retain(|c| c.txn != txn || of.is_some_and(|of| of != c.space));
        state.closed.len() < before
    }
}

/// Opens a table again that could not be closed in the end.
struct Closing<'a> {
    gateway: &'a Arc<Gateway>,
    space: SpaceId,
    txn: TxnId,
    before: Option<LockMode>,
    done: bool,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.gateway.tables.close(self.space, self.txn, self.before);
            self.gateway.publish_soon();
        }
    }
}

impl Gateway {
    /// Takes a table's lock. None: skipped.
    pub async fn take_table(
        self: &Arc<Self>,
        request: &LockRequest,
        key: &Key,
    ) -> Result<Option<Locked>> {
        let before = self.held.mode(request.txn, key);
        let locked = |waited| Locked { current: None, waited, fresh: before.is_none() };
        if before.is_some_and(|held| held >= request.mode) {
            return Ok(Some(locked(false)));
        }
        let waited = match request.mode <= LockMode::Share {
            true => self.share_table(request, key).await?,
            false => self.close_table(request, key, before).await?,
        };
        Ok(waited.map(locked))
    }

    /// Whether it waited; none: skipped.
    async fn share_table(
        self: &Arc<Self>,
        request: &LockRequest,
        key: &Key,
    ) -> Result<Option<bool>> {
        let (space, txn, mode) = (key.space(), request.txn, request.mode);
        let mut waiting = Waiting::of(self, request);
        let mut waited = false;
        loop {
            self.check()?;
            match self.tables.share(space, txn, mode, self.known_schema()) {
                Ok(()) => {
                    self.held.set(txn, key, Some(mode));
                    return Ok(Some(waited));
                }
                Err(txns) => {
                    if !self.wait_for_table(request, key, txns, &mut waiting).await? {
                        return Ok(None);
                    }
                }
            }
            waited = true;
            self.view().await?;
        }
    }

    /// Whether it waited; none: skipped.
    async fn close_table(
        self: &Arc<Self>,
        request: &LockRequest,
        key: &Key,
        before: Option<LockMode>,
    ) -> Result<Option<bool>> {
        let (space, txn, mode) = (key.space(), request.txn, request.mode);
        let alone = LockRequest { keys: vec![key.clone()], ..request.clone() };
        let taking = Taking::new(self, txn);
        let taken = self.take_rows(&alone, &taking).await?;
        if taken.iter().all(|group| group.locked.is_empty()) {
            return Ok(None);
        }
        let mut waited = taken.iter().any(|group| !group.waited.is_empty());
        let before = before.filter(|held| *held > LockMode::Share);
        let mut closing = Closing { gateway: self, space, txn, before, done: false };
        self.tables.close(space, txn, Some(mode));
        self.publish().await?;
        let mut waiting = Waiting::of(self, request);
        loop {
            let sharers = self.tables.sharers(space, txn, mode);
            if sharers.is_empty() {
                break;
            }
            waited = true;
            if !self.wait_for_table(request, key, sharers, &mut waiting).await? {
                return Ok(None);
            }
        }
        let view = self.view().await?;
        self.check()?;
        let others = view.open().filter(|o| o.attempt.incarnation != self.incarnation);
        for open in others.filter(|o| !o.decided) {
            self.wait_settled(open).await?;
        }
        // The schema as it is under the lock.
        self.view().await?;
        self.check()?;
        closing.done = true;
        taking.keep();
        Ok(Some(waited))
    }

    /// Waits a little for those who hold a table. False: it is to be skipped.
    async fn wait_for_table(
        self: &Arc<Self>,
        request: &LockRequest,
        key: &Key,
        txns: Vec<TxnId>,
        waiting: &mut Waiting,
    ) -> Result<bool> {
        match request.wait {
            LockWait::NoWait => Err(not_available("could not obtain lock on row")),
            LockWait::SkipLocked => Ok(false),
            LockWait::Block { .. } => {
                let (key, mode) = (key.clone(), request.mode);
                waiting.step(&Blocked { key, mode, txns, attempt: None }).await?;
                Ok(true)
            }
        }
    }

    /// Whether a commit that is announced may go on, by a view that began after that: who has
    /// closed a table that it shares. 40001 if one was changed since; or anything of the schema,
    /// for a transaction that never had a snapshot, which would have told it.
    pub fn check_tables(&self, commit: &Commit, view: &View) -> Result<Option<Blocked>> {
        let txn = commit.txn;
        let shared: Vec<(SpaceId, LockMode, Timestamp)> = {
            let state = self.tables.0.lock();
            let of = |(space, sharers): (&SpaceId, &HashMap<TxnId, (LockMode, Timestamp)>)| {
                sharers.get(&txn).map(|(mode, since)| (*space, *mode, *since))
            };
            state.shared.iter().filter_map(of).collect()
        };
        for (space, mode, since) in shared {
            if commit.snapshot == Timestamp::ZERO && view.schema() > since {
                return Err(schema_changed());
            }
            for peer in &view.peers {
                let mine = peer.incarnation == self.incarnation;
                let changed = |(of, ts): &(SpaceId, Timestamp)| *of == space && *ts > since;
                if peer.state.forgotten > since || (!mine && peer.state.changed.iter().any(changed))
                {
                    return Err(schema_changed());
                }
                let closed = peer
                    .state
                    .closed
                    .iter()
                    .filter(|c| c.space == space && c.txn != txn && c.mode.conflicts(mode));
                let txns: Vec<TxnId> = closed.map(|c| c.txn).collect();
                if !mine && peer.retired < Retired::Settled && !txns.is_empty() {
                    return Ok(Some(Blocked { key: key_of(space), mode, txns, attempt: None }));
                }
            }
        }
        Ok(None)
    }
}

/// 40001 where another gateway has closed a partition's table against its readers.
pub fn check_open(me: Incarnation, partition: &Partition, view: &View) -> Result<()> {
    let Table::Space(space) = partition.table else { return Ok(()) };
    let mut closed = view
        .others(me)
        .flat_map(|p| &p.state.closed)
        .filter(|c| c.space == space && c.mode.conflicts(LockMode::KeyShare));
    closed.next().map_or(Ok(()), |_| Err(schema_changed()))
}

/// 40001
pub fn schema_changed() -> Error {
    Error::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent changes of the schema",
    )
}
