//! Transactions: snapshots, own writes, locks, savepoints, one commit.
//!
//! ```text
//! begin ─▶ begin_statement ─▶ get / scan / lock / put … ─▶ commit
//!              ▲      │                                     rollback, or drop
//!              └──────┘ next statement (READ COMMITTED: a new snapshot)
//! ```
//!
//! What each level permits, with Hermitage's names (`tests/` has one script for each):
//!
//! | level           | permits                                        | conflicts                |
//! | --------------- | ---------------------------------------------- | ------------------------ |
//! | READ COMMITTED  | lost update (P4), G-single, G2-item, G2        | wait, then go on         |
//! | REPEATABLE READ | write skew (G2-item, G2)                       | 40001 on a locked row    |
//! | SERIALIZABLE    | nothing                                        | 40001, also at commit    |
//!
//! A SERIALIZABLE transaction records what it reads; its commit is refused if any of that has
//! changed, so it takes effect as if all of it had run at its commit timestamp. One that writes
//! nothing is not validated: it sees a prefix of the commit order. When it locks a row that is
//! newer than its snapshot, the snapshot moves up if nothing read so far has changed (a *read
//! refresh*), and only else there is an error.
//!
//! This module knows no tables and no SQL. It never blocks a thread. Dropping an open [`Txn`]
//! rolls it back.

mod buffer;
mod load;
mod optimistic;
mod reads;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

pub use self::optimistic::Discipline;

use self::buffer::{Buffer, Command, Keep, LogPosition, NewWrite};
use self::load::Loads;
use self::reads::ReadSet;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result, SqlState};
use crate::kv::{
    Commit, CommitOutcome, Expect, Hold, Key, KeyRange, LockMode, LockRequest, LockWait, Locked,
    Requests, SharedStore, SpaceId, TxnId, Version,
};

/// Bytes that one transaction may have written before it commits, bookkeeping included.
pub const WRITE_BYTES_MAX: usize = 8 << 30;

/// The same where each row costs several requests to a cluster.
pub const REMOTE_WRITE_BYTES_MAX: usize = 256 << 20;

/// PostgreSQL's isolation levels; READ UNCOMMITTED is READ COMMITTED there too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Each statement has its own snapshot; conflicting writes wait and go on.
    #[default]
    ReadCommitted,
    /// One snapshot; a row changed since is 40001.
    RepeatableRead,
    /// As if one after the other, in the order of their commits.
    Serializable,
}

/// How a transaction begins.
#[derive(Clone, Copy, Debug)]
pub struct TxnOptions {
    /// Isolation level.
    pub isolation: Isolation,
    /// `READ ONLY`.
    pub read_only: bool,
    /// `lock_timeout` for [`LockWait::Block`] built by [`Txn::block`]; 0 is none.
    pub lock_timeout_ms: u64,
    /// `deadlock_timeout` for it; 0 is the store's own.
    pub deadlock_timeout_ms: u64,
    /// 54000 beyond it.
    pub write_bytes_max: usize,
}

impl Default for TxnOptions {
    fn default() -> Self {
        TxnOptions {
            isolation: Isolation::ReadCommitted,
            read_only: false,
            lock_timeout_ms: 0,
            deadlock_timeout_ms: 0,
            write_bytes_max: WRITE_BYTES_MAX,
        }
    }
}

/// Begins transactions on one store.
#[derive(Clone)]
pub struct TxnManager {
    store: SharedStore,
    ids: Arc<Ids>,
}

struct Ids {
    /// Random: sets this process apart from all others, and from itself before a restart.
    incarnation: u64,
    next: AtomicU64,
}

impl TxnManager {
    /// A manager of transactions on `store`.
    pub fn new(store: SharedStore, clock: Arc<dyn Clock>) -> TxnManager {
        let mut incarnation = [0; 8];
        clock.random(&mut incarnation);
        let incarnation = u64::from_le_bytes(incarnation);
        TxnManager { store, ids: Arc::new(Ids { incarnation, next: AtomicU64::new(1) }) }
    }

    /// The store.
    pub fn store(&self) -> &SharedStore {
        &self.store
    }

    /// An identity that no other transaction has.
    pub fn next_id(&self) -> TxnId {
        let number = self.ids.next.fetch_add(1, Ordering::Relaxed);
        TxnId((u128::from(self.ids.incarnation) << 64) | u128::from(number))
    }

    /// A transaction. Costs nothing until it does something.
    pub fn begin(&self, mut options: TxnOptions) -> Txn {
        if !self.store.capabilities().cheap_locks {
            options.write_bytes_max = options.write_bytes_max.min(REMOTE_WRITE_BYTES_MAX);
        }
        Txn {
            manager: self.clone(),
            id: self.next_id(),
            options,
            snapshot: None,
            newest: false,
            command: 0,
            last_command: 0,
            suspended: Arc::new(()),
            buffer: Buffer::default(),
            reads: ReadSet::default(),
            savepoints: Vec::new(),
            locked_since: Vec::new(),
            has_locks: false,
            discipline: Discipline::default(),
            expected: HashMap::new(),
            loads: Loads::default(),
            prepared: None,
        }
    }
}

/// A key's value as a transaction sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// When it was committed; zero: written by the transaction itself.
    pub ts: Timestamp,
    /// The value.
    pub value: Bytes,
}

/// A savepoint of one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SavepointId(usize);

struct Savepoint {
    /// Writes of this command and later ones come after the savepoint.
    command: Command,
    log: LogPosition,
    locks: usize,
}

/// What a suspended statement needs to go on seeing what it saw: see [`Txn::statement`].
#[derive(Clone)]
pub struct Statement {
    snapshot: Option<Arc<Hold>>,
    command: Command,
    _suspended: Arc<()>,
}

/// What a commit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// The commit timestamp; of a transaction without writes, its snapshot.
    pub ts: Timestamp,
}

/// An open transaction. Dropping it rolls it back.
pub struct Txn {
    manager: TxnManager,
    id: TxnId,
    options: TxnOptions,
    snapshot: Option<Arc<Hold>>,
    /// The running statement has no snapshot, and has not read anything.
    newest: bool,
    /// The running statement's.
    command: Command,
    /// The highest given to any statement.
    last_command: Command,
    /// Counts, by its references, the [`Statement`]s out there.
    suspended: Arc<()>,
    buffer: Buffer,
    reads: ReadSet,
    savepoints: Vec<Savepoint>,
    /// Locks taken since the oldest savepoint, in order.
    locked_since: Vec<Key>,
    /// Whether a lock was ever asked for.
    has_locks: bool,
    discipline: Discipline,
    /// What rows were seen as that were not locked.
    expected: HashMap<Key, Expect>,
    loads: Loads,
    /// What the store prepared for its commit.
    prepared: Option<Hold>,
}

impl Txn {
    /// Its identity.
    pub fn id(&self) -> TxnId {
        self.id
    }

    /// Its isolation level.
    pub fn isolation(&self) -> Isolation {
        self.options.isolation
    }

    /// Its store.
    pub fn store(&self) -> &SharedStore {
        &self.manager.store
    }

    /// Whether it was begun READ ONLY.
    pub fn read_only(&self) -> bool {
        self.options.read_only
    }

    /// `SET TRANSACTION`: possible until the first statement ran (else 25001).
    pub fn set_isolation(&mut self, isolation: Isolation) -> Result<()> {
        if self.last_command > 0 && isolation != self.options.isolation {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION ISOLATION LEVEL must be called before any query",
            ));
        }
        self.options.isolation = isolation;
        Ok(())
    }

    /// `SET TRANSACTION READ ONLY | READ WRITE`; the rules of when are the session's.
    pub fn set_read_only(&mut self, read_only: bool) {
        self.options.read_only = read_only;
    }

    /// Follows `SET lock_timeout` and `SET deadlock_timeout`.
    pub fn set_lock_timeouts(&mut self, lock_timeout_ms: u64, deadlock_timeout_ms: u64) {
        self.options.lock_timeout_ms = lock_timeout_ms;
        self.options.deadlock_timeout_ms = deadlock_timeout_ms;
    }

    /// Waiting, for at most `lock_timeout`.
    pub fn block(&self) -> LockWait {
        LockWait::Block {
            lock_timeout_ms: self.options.lock_timeout_ms,
            deadlock_timeout_ms: self.options.deadlock_timeout_ms,
        }
    }

    /// Starts the next statement: it sees the writes of those before it and, at READ COMMITTED,
    /// a new snapshot.
    pub async fn begin_statement(&mut self) -> Result<()> {
        self.next_command();
        self.newest = false;
        if self.options.isolation == Isolation::ReadCommitted {
            self.snapshot = None;
        }
        self.ensure_snapshot().await?;
        Ok(())
    }

    /// Starts the next part of a statement that runs in parts: it sees the writes of those before
    /// it, and all read at one snapshot.
    pub fn begin_part(&mut self) {
        self.next_command();
        self.newest = false;
    }

    /// Starts a statement without a snapshot, at READ COMMITTED: it reads, at their newest, one key
    /// ([`Txn::get`]) or those it writes without locks, and nothing else of the store.
    pub fn begin_without_snapshot(&mut self) {
        debug_assert_eq!(self.options.isolation, Isolation::ReadCommitted);
        self.next_command();
        self.snapshot = None;
        self.newest = true;
    }

    /// It ran. Others' changes of the schema it learned of by what it read, or its commit will;
    /// where it read nothing after all and has nothing to commit, or failed, by a snapshot.
    pub async fn end_without_snapshot(&mut self, failed: bool) -> Result<()> {
        if std::mem::take(&mut self.newest) && (failed || self.buffer.is_empty()) {
            self.ensure_snapshot().await?;
        }
        Ok(())
    }

    /// The running statement, to be entered again after others ran: a portal that is fetched in
    /// parts keeps its snapshot and does not see what was written in between.
    pub fn statement(&self) -> Statement {
        Statement {
            snapshot: self.snapshot.clone(),
            command: self.command,
            _suspended: self.suspended.clone(),
        }
    }

    /// Goes on with a statement that was suspended. It may only read: a write would be stamped
    /// before writes that happened already.
    pub fn enter(&mut self, statement: &Statement) {
        self.snapshot = statement.snapshot.clone();
        self.command = statement.command;
    }

    /// Has the running statement of a READ COMMITTED transaction read at another snapshot, which
    /// is consistent as any is. Nothing has been read yet.
    pub fn read_at(&mut self, snapshot: Arc<Hold>) {
        debug_assert_eq!(self.options.isolation, Isolation::ReadCommitted);
        self.snapshot = Some(snapshot);
    }

    /// Counts from now on what it asks of the store, if that counts; nothing was asked yet.
    pub fn count_requests(&mut self) -> Option<Arc<Requests>> {
        let requests = Arc::new(Requests::default());
        self.manager.store = self.manager.store.clone().counted(requests.clone())?;
        Some(requests)
    }

    /// Another transaction on the same store, that reads what is committed now.
    pub fn latest(&self) -> Txn {
        self.manager.begin(TxnOptions { read_only: true, ..TxnOptions::default() })
    }

    /// The timestamp it reads at; zero before the first statement.
    pub fn snapshot(&self) -> Timestamp {
        self.snapshot.as_ref().map_or(Timestamp::ZERO, |hold| hold.at)
    }

    /// The snapshot, to be read at by a path that goes past this transaction; none before the
    /// first statement.
    pub fn hold(&self) -> Option<Arc<Hold>> {
        self.snapshot.clone()
    }

    /// Whether it wrote anything.
    pub fn has_writes(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// A key as the running statement sees it.
    pub async fn get(&mut self, key: &Key) -> Result<Option<Visible>> {
        if let Some(own) = self.own_visible(key) {
            return Ok(own);
        }
        if std::mem::take(&mut self.newest) {
            let version = self.manager.store.get(key, Timestamp::MAX).await?;
            return Ok(self.read(key, version));
        }
        let at = self.ensure_snapshot().await?;
        let version = self.manager.store.get(key, at).await?;
        Ok(self.read(key, version))
    }

    /// Several keys; the answer has their order.
    pub async fn get_many(&mut self, keys: &[Key]) -> Result<Vec<Option<Visible>>> {
        let at = self.ensure_snapshot().await?;
        if self.buffer.is_empty() {
            let versions = self.manager.store.get_many(keys, at).await?;
            return Ok(keys.iter().zip(versions).map(|(k, v)| self.read(k, v)).collect());
        }
        let mut found: Vec<Option<Option<Visible>>> =
            keys.iter().map(|key| self.own_visible(key)).collect();
        let asked: Vec<Key> = keys
            .iter()
            .zip(&found)
            .filter(|(_, own)| own.is_none())
            .map(|(key, _)| key.clone())
            .collect();
        let versions = self.manager.store.get_many(&asked, at).await?;
        let mut answers = asked.iter().zip(versions);
        for place in found.iter_mut().filter(|own| own.is_none()) {
            if let Some((key, version)) = answers.next() {
                *place = Some(self.read(key, version));
            }
        }
        Ok(found.into_iter().map(Option::flatten).collect())
    }

    /// Locks rows that the running statement found in its snapshot, and gives their newest
    /// committed versions (none: skipped).
    ///
    /// READ COMMITTED goes on with what is newest. REPEATABLE READ fails with 40001 if that is
    /// newer than the snapshot; SERIALIZABLE first tries to move its snapshot up.
    pub async fn lock(
        &mut self,
        keys: &[Key],
        mode: LockMode,
        wait: LockWait,
    ) -> Result<Vec<Option<Locked>>> {
        let locked = self.lock_newest(keys, mode, wait).await?;
        if self.options.isolation == Isolation::ReadCommitted {
            return Ok(locked);
        }
        let at = self.snapshot();
        let newer = locked.iter().flatten().filter_map(|l| l.current.as_ref());
        if let Some(version) = newer.filter(|v| v.ts > at).max_by_key(|v| v.ts) {
            if self.options.isolation == Isolation::RepeatableRead {
                return Err(concurrent_update(version));
            }
            self.refresh(version).await?;
        }
        if self.options.isolation == Isolation::Serializable {
            for (key, locked) in keys.iter().zip(&locked) {
                if let Some(locked) = locked {
                    self.reads.point(key, live_ts(locked.current.as_ref()));
                }
            }
        }
        Ok(locked)
    }

    /// Locks keys whatever the snapshot says of them: what an insert and a check of uniqueness
    /// do, for which a newer row is a duplicate and no serialization failure; tables too.
    pub async fn lock_newest(
        &mut self,
        keys: &[Key],
        mode: LockMode,
        wait: LockWait,
    ) -> Result<Vec<Option<Locked>>> {
        self.has_locks = true;
        self.prepared = None;
        let request = LockRequest { txn: self.id, keys: keys.to_vec(), mode, wait };
        let locked = self.manager.store.lock(request).await?;
        if !self.savepoints.is_empty() {
            let fresh = |(key, locked): (&Key, &Option<Locked>)| {
                locked.as_ref().is_some_and(|l| l.fresh).then(|| key.clone())
            };
            self.locked_since.extend(keys.iter().zip(&locked).filter_map(fresh));
        }
        Ok(locked)
    }

    /// Writes a key. The row's lock is held, or nobody else can write this key. `tracked`: the
    /// change log of the space names it. 54000 when the transaction has written too much.
    pub fn put(&mut self, key: Key, value: Bytes, tracked: bool) -> Result<()> {
        self.write(key, NewWrite { value: Some(value), tracked, expect: Expect::Any })
    }

    /// Deletes a key; otherwise like [`Txn::put`].
    pub fn delete(&mut self, key: Key, tracked: bool) -> Result<()> {
        self.write(key, NewWrite { value: None, tracked, expect: Expect::Any })
    }

    /// Writes a key without a lock, on a condition that the commit checks (else 40001). The first
    /// condition for a key counts.
    pub fn put_if(
        &mut self,
        key: Key,
        value: Option<Bytes>,
        tracked: bool,
        expect: Expect,
    ) -> Result<()> {
        self.write(key, NewWrite { value, tracked, expect })
    }

    fn write(&mut self, key: Key, write: NewWrite) -> Result<()> {
        let keep = match () {
            () if !self.savepoints.is_empty() => Keep::Logged,
            () if Arc::strong_count(&self.suspended) > 1 => Keep::Older,
            () => Keep::Nothing,
        };
        self.buffer.put(key, write, self.command, keep);
        if self.buffer.bytes() > self.options.write_bytes_max {
            let limit = self.options.write_bytes_max;
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("transaction has more than {limit} bytes of uncommitted changes"),
            )
            .with_hint(match self.manager.store.capabilities().loads {
                true => {
                    "Commit in smaller parts, or load into a table that is made or truncated in \
                     the same transaction, which has no such limit."
                }
                false => "Commit in smaller parts.",
            }));
        }
        Ok(())
    }

    /// What the transaction itself wrote to a key last, the running statement included; inner
    /// none: deleted.
    pub fn own(&self, key: &Key) -> Option<Option<Bytes>> {
        self.buffer.newest(key)
    }

    /// The transaction's writes to a space, as the running statement sees them; none: deleted.
    pub fn own_changes(&self, space: SpaceId) -> impl Iterator<Item = (Key, Option<Bytes>)> {
        self.buffer.space(space, self.command)
    }

    /// Records that a range was read by a path that goes past this transaction (a columnar view).
    pub fn record_range(&mut self, range: KeyRange) {
        if self.options.isolation == Isolation::Serializable {
            self.reads.range(range);
        }
    }

    /// Sets a savepoint.
    pub fn savepoint(&mut self) -> SavepointId {
        self.next_command();
        self.savepoints.push(Savepoint {
            command: self.command,
            log: self.buffer.position(),
            locks: self.locked_since.len(),
        });
        SavepointId(self.savepoints.len() - 1)
    }

    /// Undoes everything since a savepoint, which stays; those after it are gone. Locks first
    /// taken since are given up; one that was only made stronger stays strong.
    pub async fn rollback_to(&mut self, savepoint: SavepointId) -> Result<()> {
        let Some(Savepoint { command, log, locks }) = self.savepoints.get(savepoint.0) else {
            return Err(Error::internal("rollback to a savepoint that is gone"));
        };
        self.buffer.rollback(*log, *command);
        let locks = self.locked_since.split_off(*locks);
        self.unmake_spaces(savepoint);
        self.savepoints.truncate(savepoint.0 + 1);
        self.next_command();
        if !locks.is_empty() {
            self.manager.store.unlock(self.id, Some(&locks)).await?;
        }
        Ok(())
    }

    /// Forgets a savepoint and those after it, keeping what was done.
    pub fn release(&mut self, savepoint: SavepointId) {
        self.savepoints.truncate(savepoint.0);
        self.keep_spaces(savepoint);
        if self.savepoints.is_empty() {
            self.buffer.forget_log();
            self.locked_since = Vec::new();
        }
    }

    /// Commits: durable when it returns. 40001 when that cannot be serialized; 40003 or 08007
    /// when the outcome cannot be known.
    pub async fn commit(mut self) -> Result<CommitInfo> {
        self.end_loads().await?;
        let ts = self.snapshot();
        if self.buffer.is_empty() {
            self.end();
            return Ok(CommitInfo { ts });
        }
        let (reads, ranges) = self.reads.checks(ts);
        let mut writes = std::mem::take(&mut self.buffer).into_writes();
        self.demand(&mut writes);
        // From here on the store gives the locks up, whatever happens to this future.
        self.has_locks = false;
        let commit = Commit { txn: self.id, snapshot: ts, reads, ranges, writes };
        match self.manager.store.commit(commit).await? {
            CommitOutcome::Committed(ts) => Ok(CommitInfo { ts }),
            CommitOutcome::WriteConflict { found, .. } => {
                Err(concurrent_update(&found.unwrap_or(Version { ts, value: None })))
            }
            CommitOutcome::ReadConflict { .. } => Err(read_conflict()),
        }
    }

    /// Undoes everything.
    pub async fn rollback(mut self) -> Result<()> {
        self.end();
        Ok(())
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.has_locks) {
            self.manager.store.abandon(self.id);
        }
    }

    fn next_command(&mut self) {
        self.last_command += 1;
        self.command = self.last_command;
    }

    async fn ensure_snapshot(&mut self) -> Result<Timestamp> {
        if let Some(hold) = &self.snapshot {
            return Ok(hold.at);
        }
        self.prepared = None;
        let hold = self.manager.store.snapshot().await?;
        let at = hold.at;
        self.snapshot = Some(Arc::new(hold));
        Ok(at)
    }

    fn own_visible(&self, key: &Key) -> Option<Option<Visible>> {
        if self.buffer.is_empty() {
            return None;
        }
        let value = self.buffer.visible(key, self.command)?;
        Some(value.map(|value| Visible { ts: Timestamp::ZERO, value }))
    }

    /// Takes note of a point read.
    fn read(&mut self, key: &Key, version: Option<Version>) -> Option<Visible> {
        if self.options.isolation == Isolation::Serializable {
            self.reads.point(key, live_ts(version.as_ref()));
        }
        let Version { ts, value } = version?;
        value.map(|value| Visible { ts, value })
    }

    /// Moves the snapshot up to now, over `version`, if nothing read so far has changed.
    async fn refresh(&mut self, version: &Version) -> Result<()> {
        let hold = self.manager.store.snapshot().await?;
        if !self.reads.is_empty() {
            let (reads, ranges) = self.reads.checks(self.snapshot());
            let check = Commit {
                txn: self.manager.next_id(),
                snapshot: self.snapshot(),
                reads,
                ranges,
                writes: Vec::new(),
            };
            let outcome = self.manager.store.commit(check).await?;
            if !matches!(outcome, CommitOutcome::Committed(_)) {
                return Err(concurrent_update(version));
            }
        }
        self.snapshot = Some(Arc::new(hold));
        Ok(())
    }
}

impl Drop for Txn {
    fn drop(&mut self) {
        self.end();
    }
}

/// The timestamp of a row; zero where there is none.
fn live_ts(version: Option<&Version>) -> Timestamp {
    version.filter(|v| v.value.is_some()).map_or(Timestamp::ZERO, |v| v.ts)
}

fn concurrent_update(version: &Version) -> Error {
    let what = if version.value.is_some() { "update" } else { "delete" };
    Error::new(
        SqlState::SERIALIZATION_FAILURE,
        format!("could not serialize access due to concurrent {what}"),
    )
}

fn read_conflict() -> Error {
    Error::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to read/write dependencies among transactions",
    )
    .with_hint("The transaction might succeed if retried.")
}
