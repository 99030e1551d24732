//! The store seam: versioned keys, row locks, one atomic commit.
//!
//! [`Store`] is all that the layers above know of where data lives. It moves bytes and knows no
//! tables: a [`Key`] is a space (one per table or index), a partition part and a clustering part,
//! each order-preserving and prefix-free, so that a store without partitions can treat the
//! concatenation as one ordered key, and Cassandra can hash the first part and sort by the second.
//!
//! What every implementation promises, checked by one conformance suite:
//!
//! - a read at `at` sees exactly the versions with a commit timestamp ≤ `at`, whole commits only;
//! - [`Store::commit`] is atomic and durable before it returns; its timestamp is above every
//!   timestamp any snapshot was handed out at before its validation;
//! - [`Store::snapshot`] covers every commit acknowledged before the call, on any gateway;
//! - an outcome that cannot be known is an error of kind `Undetermined`, never a retryable one;
//! - [`Store::changes`] may over-report and never under-reports;
//! - dropping the future of [`Store::lock`] cancels the wait and leaves no lock behind.

pub mod cassandra;
#[cfg(test)]
pub(crate) mod conformance;
pub mod embedded;
pub mod foreign;
pub mod holds;
pub mod locks;
pub mod lwt;
pub mod memory;
mod requests;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::channel::oneshot;

pub use self::requests::{Pace, Requests};
pub use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::types::SqlType;
pub use crate::types::descriptor::{ColumnId, SpaceId};

/// The space of the catalog's descriptors: a commit there changes the schema.
pub const SCHEMA_SPACE: SpaceId = SpaceId(1);

/// A whole key: 4 bytes of space (big endian), the partition part, the clustering part.
///
/// Its bytes are its identity and its order; where the partition part ends is a note beside them.
#[derive(Clone)]
pub struct Key {
    bytes: Bytes,
    partition_end: u16,
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl Key {
    /// Bytes of the space prefix.
    pub const SPACE_LEN: usize = 4;

    /// A key from its parts. `tail` is partition and clustering bytes after each other, of which
    /// the first `partition_len` are the partition part.
    pub fn new(space: SpaceId, tail: &[u8], partition_len: usize) -> Key {
        debug_assert!(partition_len <= tail.len());
        let mut bytes = Vec::with_capacity(Self::SPACE_LEN + tail.len());
        bytes.extend_from_slice(&space.0.to_be_bytes());
        bytes.extend_from_slice(tail);
        Key { bytes: bytes.into(), partition_end: (Self::SPACE_LEN + partition_len) as u16 }
    }

    /// A key from whole bytes, space first.
    pub fn from_bytes(bytes: Bytes, partition_len: usize) -> Key {
        debug_assert!(bytes.len() >= Self::SPACE_LEN + partition_len);
        Key { bytes, partition_end: (Self::SPACE_LEN + partition_len) as u16 }
    }

    /// The whole key, space first.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The space.
    pub fn space(&self) -> SpaceId {
        let mut b = [0; 4];
        b.copy_from_slice(&self.bytes[..4]);
        SpaceId(u32::from_be_bytes(b))
    }

    /// The partition part.
    pub fn partition(&self) -> &[u8] {
        &self.bytes[Self::SPACE_LEN..self.partition_end as usize]
    }

    /// The clustering part.
    pub fn clustering(&self) -> &[u8] {
        &self.bytes[self.partition_end as usize..]
    }

    /// How many bytes of the tail are the partition part.
    pub fn partition_len(&self) -> usize {
        self.partition_end as usize - Self::SPACE_LEN
    }

    /// Partition and clustering parts, without the space.
    pub fn tail(&self) -> &[u8] {
        &self.bytes[Self::SPACE_LEN..]
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/", self.space().0)?;
        for b in self.partition() {
            write!(f, "{b:02x}")?;
        }
        f.write_str("/")?;
        for b in self.clustering() {
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}

/// A range of keys of one space, by tail bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// The space.
    pub space: SpaceId,
    /// Lower bound on the tail.
    pub start: Bound<Bytes>,
    /// Upper bound on the tail.
    pub end: Bound<Bytes>,
    /// Length of the partition part when both bounds lie in one partition.
    pub partition_len: Option<u16>,
}

impl KeyRange {
    /// All of a space.
    pub fn all(space: SpaceId) -> KeyRange {
        KeyRange { space, start: Bound::Unbounded, end: Bound::Unbounded, partition_len: None }
    }

    /// Every key of `space` whose tail begins with `prefix`.
    pub fn prefix(space: SpaceId, prefix: Bytes, partition_len: Option<u16>) -> KeyRange {
        let end = match prefix_end(&prefix) {
            Some(end) => Bound::Excluded(Bytes::from(end)),
            None => Bound::Unbounded,
        };
        KeyRange { space, start: Bound::Included(prefix), end, partition_len }
    }

    /// The bounds as whole keys, space first.
    pub fn key_bounds(&self) -> (Bound<Bytes>, Bound<Bytes>) {
        let whole = |tail: &[u8]| Key::new(self.space, tail, 0).bytes;
        let start = match &self.start {
            Bound::Unbounded => Bound::Included(whole(&[])),
            Bound::Included(tail) => Bound::Included(whole(tail)),
            Bound::Excluded(tail) => Bound::Excluded(whole(tail)),
        };
        let end = match &self.end {
            Bound::Unbounded => match self.space.0.checked_add(1) {
                Some(next) => Bound::Excluded(Bytes::copy_from_slice(&next.to_be_bytes())),
                None => Bound::Unbounded,
            },
            Bound::Included(tail) => Bound::Included(whole(tail)),
            Bound::Excluded(tail) => Bound::Excluded(whole(tail)),
        };
        (start, end)
    }

    /// Whether no key can lie in the range.
    pub fn is_empty(&self) -> bool {
        use Bound::{Excluded, Included};
        match (&self.start, &self.end) {
            (Included(start), Included(end)) => start > end,
            (Included(start) | Excluded(start), Excluded(end))
            | (Excluded(start), Included(end)) => start >= end,
            _ => false,
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &Key) -> bool {
        if key.space() != self.space {
            return false;
        }
        let tail = key.tail();
        let above = match &self.start {
            Bound::Unbounded => true,
            Bound::Included(b) => tail >= b.as_ref(),
            Bound::Excluded(b) => tail > b.as_ref(),
        };
        let below = match &self.end {
            Bound::Unbounded => true,
            Bound::Included(b) => tail <= b.as_ref(),
            Bound::Excluded(b) => tail < b.as_ref(),
        };
        above && below
    }
}

/// The smallest byte string above every string with this prefix; none if all bytes are 0xff.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// One committed version of a key. `value: None` is a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// When it was committed.
    pub ts: Timestamp,
    /// The value, or none where the key was deleted.
    pub value: Option<Bytes>,
}

/// A live key and its version, as scans give them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// When this version was committed. Zero: the reading transaction's own uncommitted write.
    pub ts: Timestamp,
    /// The value; never a deletion.
    pub value: Bytes,
}

/// How much one page of a scan may hold.
#[derive(Clone, Copy, Debug)]
pub struct PageLimit {
    /// Entries at most.
    pub rows_max: usize,
    /// Stop after this many bytes of keys and values.
    pub bytes_max: usize,
}

/// Where a scan goes on: opaque, made by the store that gets it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation(pub Bytes);

/// One page of a scan. On a store with [`Capabilities::ordered`], keys ascend over all pages
/// (descend when the scan was reversed); otherwise they ascend within a partition.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Live entries.
    pub entries: Vec<Entry>,
    /// Set when there may be more.
    pub next: Option<Continuation>,
}

/// What a store is like, for the planner and EXPLAIN.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Its name: `memory`, `embedded`, `lwt`, `accord`.
    pub name: &'static str,
    /// Whether scans over many partitions come in key order.
    pub ordered: bool,
    /// Whether a lock costs little (memory) or a round trip: an autocommit statement on a store
    /// with dear locks goes straight to its one commit and lets that find conflicts.
    pub cheap_locks: bool,
    /// Whether a snapshot costs little (memory) or round trips: a statement that reads one key
    /// then asks for its newest version instead.
    pub cheap_snapshots: bool,
    /// Whether values' columns are kept as columns that others than Sluice can read.
    pub native_columns: bool,
    /// Whether [`Store::load`] can be asked: it costs much less than a commit of as many rows.
    pub loads: bool,
}

/// A column of a table, as [`Store::describe`] tells of it.
#[derive(Clone, Debug)]
pub struct NativeColumn {
    /// Its name in SQL.
    pub name: String,
    /// Its identity in its table, and in row values.
    pub id: ColumnId,
    /// Its type.
    pub ty: SqlType,
}

/// A transaction, over all gateways and restarts.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct TxnId(pub u128);

impl TxnId {
    /// The part of it that messages show: unique within one process.
    pub fn short(self) -> u64 {
        self.0 as u64
    }
}

/// Row lock strengths, with PostgreSQL's conflict table (manual, 13.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// `FOR KEY SHARE`
    KeyShare,
    /// `FOR SHARE`
    Share,
    /// `FOR NO KEY UPDATE`: what an UPDATE that leaves the key alone takes.
    NoKeyUpdate,
    /// `FOR UPDATE`: deletes, key changes, inserts.
    Update,
}

impl LockMode {
    /// Whether two transactions cannot hold these on one row at once.
    pub fn conflicts(self, other: LockMode) -> bool {
        use LockMode::*;
        let (weak, strong) = if self <= other { (self, other) } else { (other, self) };
        match weak {
            KeyShare => strong == Update,
            Share => strong >= NoKeyUpdate,
            NoKeyUpdate | Update => true,
        }
    }
}

/// What to do when a lock is held by another transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Wait; at most `lock_timeout_ms` (0: no limit), then 55P03.
    Block {
        /// `lock_timeout` in milliseconds; 0 is none.
        lock_timeout_ms: u64,
        /// `deadlock_timeout` in milliseconds; 0 is the store's own.
        deadlock_timeout_ms: u64,
    },
    /// 55P03 at once.
    NoWait,
    /// Leave such keys out.
    SkipLocked,
}

/// A request for locks on several keys; either all are taken (less the skipped) or none.
#[derive(Clone, Debug)]
pub struct LockRequest {
    /// Who asks. A transaction never conflicts with itself.
    pub txn: TxnId,
    /// The keys; a key that has no row can be locked too (an insert does).
    pub keys: Vec<Key>,
    /// How strong.
    pub mode: LockMode,
    /// What if held.
    pub wait: LockWait,
}

/// A lock that was taken.
#[derive(Clone, Debug)]
pub struct Locked {
    /// The newest committed version under the lock; none: never written, or collected.
    pub current: Option<Version>,
    /// Whether the request waited for another transaction first.
    pub waited: bool,
    /// Whether the transaction held no lock on the key before.
    pub fresh: bool,
}

/// What a write demands of the head it replaces. One that demands something does not wait for who
/// has the row locked, where locks are dear: it counts as changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the writer holds the lock, or writes blindly.
    Any,
    /// No live row.
    Absent,
    /// The head still has this commit timestamp.
    Unchanged(Timestamp),
}

/// One write of a commit.
#[derive(Clone, Debug)]
pub struct Write {
    /// The key.
    pub key: Key,
    /// The new value; none deletes.
    pub value: Option<Bytes>,
    /// The condition.
    pub expect: Expect,
    /// Whether the key goes into the change log of its space (columnar or change-fed tables).
    pub tracked: bool,
}

/// A point read to validate.
#[derive(Clone, Debug)]
pub struct ReadCheck {
    /// The key.
    pub key: Key,
    /// The commit timestamp seen; zero when there was no row.
    pub seen: Timestamp,
}

/// A range read to validate: nothing in it may have been committed after `at`, other than by
/// this transaction.
#[derive(Clone, Debug)]
pub struct RangeCheck {
    /// The range, cut to what was really read.
    pub range: KeyRange,
    /// The snapshot it was read at.
    pub at: Timestamp,
}

/// A transaction's whole effect.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Who; its locks are released whatever the outcome.
    pub txn: TxnId,
    /// The snapshot it read at.
    pub snapshot: Timestamp,
    /// Point reads to validate (SERIALIZABLE only).
    pub reads: Vec<ReadCheck>,
    /// Range reads to validate (SERIALIZABLE only).
    pub ranges: Vec<RangeCheck>,
    /// The writes, at most one for each key.
    pub writes: Vec<Write>,
}

/// How a commit ended, where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Durable, visible to every later snapshot.
    Committed(Timestamp),
    /// A write's [`Expect`] did not hold; nothing was written.
    WriteConflict {
        /// The key concerned.
        key: Key,
        /// What stands there.
        found: Option<Version>,
    },
    /// A read or range changed since; nothing was written.
    ReadConflict {
        /// The space concerned.
        space: SpaceId,
    },
}

/// Rows of spaces that nobody knows of but the transaction that made them: see [`Store::load`].
#[derive(Clone, Debug)]
pub struct Load {
    /// Whose spaces they are.
    pub txn: TxnId,
    /// When they count as committed: who reads at or above this sees them.
    pub at: Timestamp,
    /// The rows, whose keys had no version before.
    pub rows: Arc<HashMap<Key, Bytes>>,
}

/// Tells when a load has ended; dropped, it ends the load.
pub type Loading = oneshot::Receiver<Result<()>>;

/// A place in the change log of a space: opaque, made by the store. Empty: the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cursor(pub Bytes);

/// A page of the change log.
#[derive(Clone, Debug, Default)]
pub struct ChangePage {
    /// Keys that may have changed, with the commit timestamp; keys can come more than once.
    pub keys: Vec<(Key, Timestamp)>,
    /// Where to go on.
    pub next: Cursor,
    /// Whether there was more to give when the page was cut.
    pub more: bool,
}

/// Reads one space's committed rows at a timestamp, outside any transaction, in ascending key
/// order. Blocking: call it from a thread that may.
pub trait Segments: Send {
    /// The next entries, at most `rows_max`; empty at the end.
    fn next(&mut self, rows_max: usize) -> Result<Vec<Entry>>;
}

/// Keeps versions visible at a timestamp from being collected, until dropped.
pub struct Hold {
    /// The timestamp held.
    pub at: Timestamp,
    release: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Hold {
    /// A hold that runs `release` when dropped.
    pub fn new(at: Timestamp, release: impl FnOnce() + Send + Sync + 'static) -> Hold {
        Hold { at, release: Some(Box::new(release)) }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hold({:?})", self.at)
    }
}

/// The store. See the module's documentation for what every implementation promises.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What it is like.
    fn capabilities(&self) -> Capabilities;

    /// The store as one transaction has it, its requests counted in `requests`; none: this store
    /// does not count.
    fn counted(self: Arc<Self>, _requests: Arc<Requests>) -> Option<SharedStore> {
        None
    }

    /// What this process has asked of the cluster since it started; none: it is on no cluster.
    fn requests(&self) -> Option<&Requests> {
        None
    }

    /// How fast the cluster answers; none: the store is in this process.
    fn pace(&self) -> Option<Pace> {
        None
    }

    /// The tables beside it in the cluster it is on; none: it is on no cluster.
    fn foreign(&self) -> Option<&dyn foreign::Foreign> {
        None
    }

    /// A snapshot: covers every commit acknowledged before the call. The hold keeps its versions.
    async fn snapshot(&self) -> Result<Hold>;

    /// No commit at or below this will appear any more. It reaches what was acknowledged soon after
    /// that.
    async fn resolved(&self) -> Result<Timestamp>;

    /// The oldest timestamp that anybody still reads at, or else what a snapshot would get now.
    fn oldest(&self) -> Timestamp;

    /// Keeps the versions visible at `at`. 72000 if they may be gone already.
    fn hold(&self, at: Timestamp) -> Result<Hold>;

    /// The version of `key` visible at `at`; a deletion may come as such or as none.
    /// [`Timestamp::MAX`] asks for the newest: every commit acknowledged before the call is seen,
    /// and what is given, later snapshots and reads see, on any gateway. Where snapshots are dear
    /// that is cheaper than one; two such reads do not make a snapshot: of two commits that are
    /// under way at once the first may show the one and the second not the other.
    async fn get(&self, key: &Key, at: Timestamp) -> Result<Option<Version>>;

    /// The newest version of a key, as [`Store::get`] gives it, to a transaction whose commit will
    /// write this key and nothing else; it is untracked. The store may prepare that commit, which
    /// others may wait for: what it gives beside the version is kept until then, and dropped
    /// before the transaction reads anything at a snapshot.
    async fn look(&self, _txn: TxnId, key: &Key) -> Result<(Option<Version>, Option<Hold>)> {
        Ok((self.get(key, Timestamp::MAX).await?, None))
    }

    /// Several gets at once; the answer has the order of `keys`.
    async fn get_many(&self, keys: &[Key], at: Timestamp) -> Result<Vec<Option<Version>>>;

    /// A page of the live entries of `range` at `at`. `from` goes on where a page of the same
    /// range, or of one with the same end in the scan's direction, stopped. A page may be empty
    /// and still have a next one.
    async fn scan(
        &self,
        range: &KeyRange,
        at: Timestamp,
        reverse: bool,
        limit: PageLimit,
        from: Option<Continuation>,
    ) -> Result<Page>;

    /// Takes locks. The answer has the order of the keys; none: skipped.
    async fn lock(&self, request: LockRequest) -> Result<Vec<Option<Locked>>>;

    /// Gives up locks of `txn`: `keys`, or all.
    async fn unlock(&self, txn: TxnId, keys: Option<&[Key]>) -> Result<()>;

    /// Gives up all locks of a transaction that ends without a commit, without waiting: now where
    /// that is possible, else soon.
    fn abandon(&self, txn: TxnId);

    /// Fails if locks that a transaction took may be gone, by no doing of its own.
    fn check_locks(&self, _txn: TxnId) -> Result<()> {
        Ok(())
    }

    /// Commits. Releases the transaction's locks, whatever the outcome. Without writes it only
    /// validates; the timestamp is then one at which all that was checked still held.
    async fn commit(&self, commit: Commit) -> Result<CommitOutcome>;

    /// Writes rows past any commit, into spaces that only the transaction knows of, and begins at
    /// once. When it has ended well they are durable, and read by all who read at or above
    /// [`Load::at`]: nobody but the transaction itself before its commit tells of the spaces, which
    /// has a timestamp above. No log of changes has them. Repeating it changes nothing. Where
    /// [`Capabilities::loads`].
    fn load(&self, _: Load) -> Loading {
        let (done, ended) = oneshot::channel();
        let _ = done.send(Err(Error::internal("this store does not load rows")));
        ended
    }

    /// Keys of `space` that may have changed, in no particular order, after `cursor`, by commits
    /// at or below the resolved timestamp at the time of the call.
    async fn changes(&self, space: SpaceId, cursor: &Cursor, keys_max: usize)
    -> Result<ChangePage>;

    /// A cursor from which [`Store::changes`] gives everything committed after `at`.
    async fn cursor_at(&self, space: SpaceId, at: Timestamp) -> Result<Cursor>;

    /// Drops change log entries of `space` before `cursor`; no view needs them any more.
    async fn trim_changes(&self, space: SpaceId, cursor: &Cursor) -> Result<()>;

    /// Reads a space from snapshotted segments at `at`, which the caller holds.
    fn segments(&self, range: &KeyRange, at: Timestamp) -> Result<Box<dyn Segments>>;

    /// Tells, before anything of it is committed, what the row values of a space consist of
    /// (`encoding::row`): stores that others read keep these columns for them. `name` is the
    /// table's.
    async fn describe(&self, _: SpaceId, _name: &str, _columns: &[NativeColumn]) -> Result<()> {
        Ok(())
    }

    /// Removes every version of a space that was dropped or truncated. Idempotent.
    async fn drop_space(&self, space: SpaceId) -> Result<()>;

    /// The spaces that take up room, where one may do so that nothing was ever committed to.
    async fn spaces(&self) -> Result<Vec<SpaceId>> {
        Ok(Vec::new())
    }

    /// Live keys of a space, estimated cheaply, and their bytes.
    async fn estimate(&self, range: &KeyRange) -> Result<Estimate>;

    /// Where other processes write to the store too: a timestamp at or above every commit in
    /// [`SCHEMA_SPACE`] that the last snapshot, newest read or table lock taken here covers, or
    /// that the writer of a version read by them knew. Zero where this
    /// process is the only one.
    fn schema(&self) -> Timestamp {
        Timestamp::ZERO
    }

    /// Flushes, stops background work; the store answers nothing more.
    async fn close(&self) -> Result<()>;
}

/// A cheap guess at what a range holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Entries.
    pub rows: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// The store as everybody holds it.
pub type SharedStore = Arc<dyn Store>;
