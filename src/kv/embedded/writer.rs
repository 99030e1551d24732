//! The one writer: a thread that turns what arrives into groups, each one batch and one fsync.
//!
//! ```text
//! take all that waits ─▶ validate, stamp, fill one batch ─▶ journal + fsync + memtables
//!        ▲                                                          │
//!        └── collect a little ◀── answer ◀── release locks ◀── let snapshots see it
//! ```
//!
//! Committers that arrive during an fsync make the next group. Clients that were answered together
//! would come back one by one, the first alone in an fsync that all others wait for; so before it
//! begins one the writer waits a little while transactions that hold locks are still running.
//!
//! Everything that changes the store goes through this thread, so validation needs no locks:
//! between the look at a head and the batch nobody else writes. Snapshots see a commit, and its
//! locks are free, only when it is durable and whole.
//!
//! A batch that fails may be in the journal or not: its commits are answered 40003, and the
//! engine takes no more writes. To keep a full disk from doing that, commits are refused with
//! 53100 while less than a reserve is free.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fjall::{OwnedWriteBatch, PersistMode, Slice};
use tokio::sync::oneshot;

use super::bulk::{Below, Bulk};
use super::changes::{self, Place};
use super::collect::Collector;
use super::core::{Core, Size};
use super::engine;
use super::head::{Head, Stamp};
use super::queue::{Done, Job, Work};
use super::recent::Recent;
use crate::clock::Timestamp;
use crate::error::{Error, Result, SqlState};
use crate::kv::{Commit, CommitOutcome, Expect, Key, RangeCheck, SpaceId, TxnId, Version, Write};

/// How far ahead of the last commit the durable bound on timestamps is set.
const CEILING_AHEAD_MS: u64 = 2000;
/// The writer waits for more commits at most this part of what a synced batch takes.
const GATHER_SHARE: u32 = 4;
/// And never longer than this.
const GATHER_MAX: Duration = Duration::from_micros(500);
/// A wait shorter than this costs more than it brings.
const GATHER_MIN: Duration = Duration::from_micros(20);
/// How long closing waits for memtables to be flushed, and how often it looks.
const CLOSE_FLUSH_MAX: Duration = Duration::from_secs(5);
const CLOSE_PAUSE: Duration = Duration::from_millis(2);
/// Locks from which on they are released apart.
const RELEASE_APART: usize = 10_000;
/// How often the free space of the disk is looked at.
const DISK_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Name of the durable bound in `meta`: every commit's timestamp is below it.
pub(super) const CEILING: &[u8] = b"ceiling";

/// The writer's state.
pub(super) struct Writer {
    pub core: Arc<Core>,
    pub collector: Collector,
    pub recent: Recent,
    ceiling: Timestamp,
    /// Commits that met a head of a bulk commit in flight.
    pub deferred: Vec<Job>,
    disk_checked: Option<Duration>,
    disk_full: bool,
    /// What a synced batch takes, about.
    sync_time: Duration,
    /// Waits for more commits, one after the other, in which none came.
    vain: u32,
}

/// A batch being made, and what to do when it is durable.
pub(super) struct Group {
    pub batch: OwnedWriteBatch,
    /// Whether anything in it must survive.
    pub sync: bool,
    /// Whether a later job may look at what an earlier one writes.
    shared: bool,
    /// Heads written by earlier jobs of this group.
    pending: HashMap<Bytes, Version>,
    pub last: Timestamp,
    /// Heads written, for the cache.
    heads: Vec<(Bytes, Option<Slice>)>,
    scratch: Vec<u8>,
    finished: Vec<Finished>,
    pub sizes: BTreeMap<SpaceId, Size>,
}

struct Finished {
    reply: oneshot::Sender<Result<Done>>,
    txn: Option<TxnId>,
    /// Whether the answer holds only if the batch is written.
    written: bool,
    result: Result<Done>,
}

/// A key's newest version as the writer sees it.
pub(super) enum Current {
    /// This one, and the bulk commit it came with.
    Version(Version, Option<Arc<Bulk>>),
    /// It has none.
    Nothing,
    /// A bulk commit in flight wrote it.
    InFlight,
}

impl Current {
    fn version(&self) -> Option<&Version> {
        match self {
            Current::Version(version, _) => Some(version),
            _ => None,
        }
    }
}

/// What is to become of a commit.
enum Verdict {
    /// It goes on, and these are the versions it supersedes.
    Go(Vec<Current>),
    Refuse(CommitOutcome),
    /// It waits for a bulk commit.
    Defer,
}

impl Writer {
    pub fn new(core: Arc<Core>, collector: Collector, ceiling: Timestamp) -> Writer {
        let recent = Recent::new(core.holds.visible());
        Writer {
            core,
            collector,
            recent,
            ceiling,
            deferred: Vec::new(),
            disk_checked: None,
            disk_full: false,
            sync_time: Duration::ZERO,
            vain: 0,
        }
    }

    /// Works until told to stop.
    pub fn run(mut self) {
        let core = self.core.clone();
        // Also on a panic: whoever waits is told, and nobody waits for ever.
        let _close = CloseOnDrop(&core);
        loop {
            core.queue.wait(self.collector.wait());
            self.gather();
            let jobs = core.queue.take();
            let stop = jobs.iter().any(|job| matches!(job.work, Work::Stop));
            self.work(jobs);
            if let Err(error) = self.collector.step(&core, &mut self.recent) {
                tracing::error!(?error, "collection failed");
            }
            if stop {
                self.finish();
                return;
            }
        }
    }

    /// Waits a little for commits that are about to come, so that they share the next fsync
    /// instead of waiting for it to end: as long as some transaction that holds locks is running.
    fn gather(&mut self) {
        let (waiting, commits) = self.core.queue.waiting();
        let most = (self.sync_time / GATHER_SHARE).min(GATHER_MAX) / (1 << self.vain.min(8));
        if waiting == 0 || !commits || most < GATHER_MIN {
            // Conditions change: now and then it is tried again.
            self.vain = self.vain.saturating_sub(u32::from(waiting > 1));
            return;
        }
        let running = self.core.locks.running();
        if running > waiting {
            let came = self.core.queue.gather(running, most);
            self.vain = if came > waiting { 0 } else { self.vain + 1 };
        }
    }

    fn work(&mut self, jobs: Vec<Job>) {
        self.check_disk();
        let mut group = self.group(jobs.len() > 1);
        for Job { work, reply } in jobs {
            match work {
                Work::Commit(commit) => self.commit_job(&mut group, commit, reply),
                other => {
                    // The rest looks at heads as they are, and is answered by itself.
                    self.flush(group);
                    group = self.group(true);
                    self.other_job(&mut group, other, reply);
                    self.flush(group);
                    group = self.group(true);
                }
            }
        }
        self.flush(group);
    }

    fn group(&self, shared: bool) -> Group {
        Group {
            batch: self.core.engine.db.batch(),
            sync: false,
            shared,
            pending: HashMap::new(),
            last: Timestamp::ZERO,
            heads: Vec::new(),
            scratch: Vec::new(),
            finished: Vec::new(),
            sizes: BTreeMap::new(),
        }
    }

    fn commit_job(
        &mut self,
        group: &mut Group,
        commit: Commit,
        reply: oneshot::Sender<Result<Done>>,
    ) {
        let txn = Some(commit.txn);
        let (result, written) = if self.disk_full && !commit.writes.is_empty() {
            (Err(self.disk_full_error()), false)
        } else {
            let wrote = !commit.writes.is_empty();
            match self.judge(group, &commit) {
                Ok(Verdict::Go(olds)) => (self.apply(group, commit, olds), wrote),
                Ok(Verdict::Refuse(conflict)) => (Ok(Done::Outcome(conflict)), wrote),
                Ok(Verdict::Defer) => {
                    self.deferred.push(Job { work: Work::Commit(commit), reply });
                    return;
                }
                Err(error) => (Err(error), false),
            }
        };
        group.finished.push(Finished { reply, txn, written, result });
    }

    fn other_job(&mut self, group: &mut Group, work: Work, reply: oneshot::Sender<Result<Done>>) {
        let mut txn = None;
        let mut written = true;
        let result = match work {
            Work::Commit(_) | Work::Stop => Ok(Done::Ok),
            Work::Chunk { bulk, writes, extents } if !self.disk_full => {
                let done = self.chunk(group, &bulk, writes, extents);
                if !matches!(done, Ok(Done::Extents(_))) {
                    // What it had put into the batch has no list to undo it by.
                    group.batch = self.core.engine.db.batch();
                    group.heads.clear();
                }
                done
            }
            Work::Chunk { .. } => Err(self.disk_full_error()),
            Work::FinishBulk { bulk, commit, extents } => {
                txn = Some(commit.txn);
                match self.judge_reads(group, &commit) {
                    Ok(None) => self.finish_bulk(group, &bulk, &extents),
                    Ok(Some(conflict)) => Ok(Done::Outcome(conflict)),
                    Err(error) => Err(error),
                }
            }
            Work::UndoChunk { bulk, keys } => self.undo_chunk(group, &bulk, &keys),
            Work::ForgetBulk { bulk } => self.forget_bulk(bulk),
            Work::Remove { keys } => {
                for key in keys {
                    group.remove_head(&self.core, key);
                }
                Ok(Done::Ok)
            }
            Work::Trim { space, upto, records } => {
                for record in records {
                    group.batch.remove(&self.core.engine.changes, &record[..]);
                }
                let (key, value) = super::trim_note(space, upto);
                group.batch.insert(&self.core.engine.meta, key, value);
                Ok(Done::Ok)
            }
        };
        if result.is_err() {
            written = false;
        }
        group.finished.push(Finished { reply, txn, written, result });
    }

    /// The newest version of a key, earlier jobs of the group included.
    fn current(&self, group: &Group, key: &Bytes) -> Result<Current> {
        if group.shared
            && let Some(version) = group.pending.get(key)
        {
            return Ok(Current::Version(version.clone(), None));
        }
        let Some(bytes) = self.core.head(key)? else { return Ok(Current::Nothing) };
        let head = Head::decode(&bytes)?;
        let value = || head.value.map(Bytes::copy_from_slice);
        let bulk = match head.stamp {
            Stamp::At(ts) => return Ok(Current::Version(Version { ts, value: value() }, None)),
            Stamp::Bulk(id) => self.core.bulks.get(id),
        };
        Ok(match bulk.as_ref().and_then(|bulk| bulk.committed()) {
            Some(ts) => Current::Version(Version { ts, value: value() }, bulk),
            None => Current::InFlight,
        })
    }

    fn judge(&mut self, group: &Group, commit: &Commit) -> Result<Verdict> {
        let mut olds = Vec::with_capacity(commit.writes.len());
        for write in &commit.writes {
            let old = self.current(group, write.key.bytes())?;
            if let Current::InFlight = old {
                return Ok(Verdict::Defer);
            }
            if !expected(write.expect, old.version()) {
                let (key, found) = (write.key.clone(), old.version().cloned());
                return Ok(Verdict::Refuse(CommitOutcome::WriteConflict { key, found }));
            }
            olds.push(old);
        }
        let conflict = self.judge_reads(group, commit)?;
        Ok(conflict.map_or(Verdict::Go(olds), Verdict::Refuse))
    }

    fn judge_reads(&mut self, group: &Group, commit: &Commit) -> Result<Option<CommitOutcome>> {
        for read in &commit.reads {
            let known = self.recent.knows_since(commit.snapshot);
            if known && !self.recent.key_changed(&read.key, commit.snapshot) {
                continue;
            }
            let current = match self.current(group, read.key.bytes())? {
                Current::Version(version, _) => Some(version),
                Current::Nothing => None,
                // What is not committed comes after this transaction.
                Current::InFlight => self.core.get_newest(read.key.bytes())?,
            };
            let live = current.filter(|v| v.value.is_some());
            if live.map_or(Timestamp::ZERO, |v| v.ts) != read.seen {
                return Ok(Some(CommitOutcome::ReadConflict { space: read.key.space() }));
            }
        }
        for RangeCheck { range, at } in &commit.ranges {
            let changed = match self.recent.knows_since(*at) {
                true => self.recent.range_changed(range, *at),
                false => {
                    group.pending.keys().any(|key| range.contains(&Key::from_bytes(key.clone(), 0)))
                        || self.core.range_changed(range, *at)?
                }
            };
            if changed {
                return Ok(Some(CommitOutcome::ReadConflict { space: range.space }));
            }
        }
        Ok(None)
    }

    /// Puts a commit into the batch.
    fn apply(&mut self, group: &mut Group, commit: Commit, olds: Vec<Current>) -> Result<Done> {
        if commit.writes.is_empty() {
            return Ok(Done::Outcome(CommitOutcome::Committed(self.core.holds.visible())));
        }
        let ts = self.core.clock.tick();
        let mut lists: BTreeMap<SpaceId, Vec<u8>> = BTreeMap::new();
        for (write, old) in commit.writes.into_iter().zip(olds) {
            if write.tracked {
                changes::push_key(lists.entry(write.key.space()).or_default(), &write.key);
            }
            self.write_head(group, write, old, ts)?;
        }
        for (space, list) in lists {
            let key = changes::record_key(space, Place { ts, number: 0 });
            group.batch.insert(&self.core.engine.changes, key, list);
        }
        group.last = ts;
        group.sync = true;
        Ok(Done::Outcome(CommitOutcome::Committed(ts)))
    }

    fn write_head(
        &mut self,
        group: &mut Group,
        write: Write,
        old: Current,
        ts: Timestamp,
    ) -> Result<()> {
        let Write { key, value, .. } = write;
        if value.is_none() && old.version().is_none() {
            return Ok(());
        }
        let size = group.sizes.entry(key.space()).or_default();
        size.count(&key, old.version().and_then(|v| v.value.as_ref()), value.as_ref());
        let head = Head {
            stamp: Stamp::At(ts),
            partition_len: key.partition_len() as u16,
            value: value.as_deref(),
        };
        if let Current::Version(old, bulk) = old {
            if let Some(bulk) = bulk {
                self.supersede_below(&key, &bulk)?;
            }
            self.collector.superseded(&self.core, key.bytes(), old, ts);
        }
        group.insert_head(&self.core, key.bytes(), &head);
        if value.is_none() {
            self.collector.deleted(key.bytes().clone(), ts);
        }
        self.recent.add(&key, ts);
        if group.shared {
            group.pending.insert(key.bytes().clone(), Version { ts, value });
        }
        Ok(())
    }

    /// Keeps what lies below a head of a bulk commit, which is about to be replaced, for
    /// snapshots from before that commit.
    fn supersede_below(&mut self, key: &Key, bulk: &Arc<Bulk>) -> Result<()> {
        let (Below::Head(bytes), Some(at)) = (bulk.below(key.bytes())?, bulk.committed()) else {
            return Ok(());
        };
        let head = Head::decode(&bytes)?;
        if let Stamp::Bulk(id) = head.stamp
            && let Some(older) = self.core.bulks.get(id)
        {
            self.supersede_below(key, &older)?;
        }
        if let Some(ts) = self.core.committed(head.stamp) {
            let value = head.value.map(Bytes::copy_from_slice);
            self.collector.superseded(&self.core, key.bytes(), Version { ts, value }, at);
        }
        Ok(())
    }

    /// Makes the group durable and visible, and answers.
    fn flush(&mut self, mut group: Group) {
        if group.last >= self.ceiling {
            let ceiling = Timestamp::from_millis(group.last.millis() + CEILING_AHEAD_MS);
            group.batch.insert(&self.core.engine.meta, CEILING, ceiling.0.to_be_bytes());
            self.ceiling = ceiling;
        }
        let mut failure = None;
        if !group.batch.is_empty() {
            let mode = group.sync.then_some(PersistMode::SyncData);
            let start = self.core.wall.monotonic();
            failure = self.core.write(group.batch.durability(mode)).err();
            if group.sync {
                let took = self.core.wall.monotonic().saturating_sub(start);
                self.sync_time = (self.sync_time * 7 + took) / 8;
            }
        }
        if failure.is_none() {
            for (key, head) in group.heads {
                self.core.cache.written(&key, head);
            }
            self.core.add_sizes(&group.sizes);
            self.core.holds.publish(group.last);
        }
        for finished in group.finished {
            let result = match &failure {
                Some(fault) if finished.written => {
                    tracing::error!(%fault, "writing the journal failed");
                    Err(engine::undetermined(fault))
                }
                _ => finished.result,
            };
            if let Some(txn) = finished.txn {
                self.release(txn);
            }
            // Who asked may be gone; the commit stands all the same.
            let _ = finished.reply.send(result);
        }
    }

    /// Gives up a transaction's locks; very many by another thread, since all wait for this one.
    fn release(&self, txn: TxnId) {
        let core = self.core.clone();
        let release = move || core.locks.release(txn, None);
        if self.core.locks.count_of(txn) < RELEASE_APART {
            return release();
        }
        let thread = std::thread::Builder::new().name("kv-release".to_owned());
        if let Err(error) = thread.spawn(release) {
            tracing::warn!(%error, "no thread to release locks");
            self.core.locks.release(txn, None);
        }
    }

    fn check_disk(&mut self) {
        let now = self.core.wall.monotonic();
        if self.disk_checked.is_some_and(|then| now < then + DISK_CHECK_INTERVAL) {
            return;
        }
        self.disk_checked = Some(now);
        match rustix::fs::statvfs(&self.core.options.dir) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                self.disk_full = free < self.core.options.disk_reserve_bytes;
            }
            Err(error) => tracing::warn!(%error, "the disk's free space is not known"),
        }
    }

    fn disk_full_error(&self) -> Error {
        let dir = self.core.options.dir.display();
        Error::new(
            SqlState::DISK_FULL,
            format!("could not extend the store in \"{dir}\": No space left on device"),
        )
        .with_hint("Check free disk space.")
    }

    /// Leaves the exact bound on timestamps, the sizes, and a synced journal.
    fn finish(&mut self) {
        let engine = &self.core.engine;
        let mut batch = engine.db.batch();
        let last = self.core.holds.visible();
        batch.insert(&engine.meta, CEILING, last.0.to_be_bytes());
        self.core.save_sizes(&mut batch);
        if let Err(error) = self.core.write(batch.durability(Some(PersistMode::SyncAll))) {
            tracing::error!(%error, "closing the store");
        }
        // What is in files need not be read from the journal again.
        if let Err(error) = engine.flush_memtables() {
            tracing::warn!(?error, "closing the store");
            return;
        }
        let start = self.core.wall.monotonic();
        while engine.is_flushing() && self.core.wall.monotonic() < start + CLOSE_FLUSH_MAX {
            std::thread::park_timeout(CLOSE_PAUSE);
        }
    }
}

impl Group {
    pub fn insert_head(&mut self, core: &Core, key: &Bytes, head: &Head<'_>) {
        let bytes = head.encode(&mut self.scratch);
        self.batch.insert(&core.engine.heads, &key[..], bytes.clone());
        self.heads.push((key.clone(), Some(bytes)));
    }

    /// A head of a key that had none: no reader can have put one into the cache.
    pub fn insert_new_head(&mut self, core: &Core, key: &Bytes, head: &Head<'_>) {
        let bytes = head.encode(&mut self.scratch);
        self.batch.insert(&core.engine.heads, &key[..], bytes);
    }

    pub fn remove_head(&mut self, core: &Core, key: Bytes) {
        self.batch.remove(&core.engine.heads, &key[..]);
        self.heads.push((key, None));
    }

    /// A head that the cache must not keep is changed by other means.
    pub fn touch(&mut self, key: Bytes) {
        self.heads.push((key, None));
    }
}

impl Size {
    /// A key's value changed.
    pub fn count(&mut self, key: &Key, old: Option<&Bytes>, new: Option<&Bytes>) {
        let bytes = |value: &Bytes| (key.bytes().len() + value.len()) as i64;
        self.rows += i64::from(new.is_some()) - i64::from(old.is_some());
        self.bytes += new.map_or(0, bytes) - old.map_or(0, bytes);
    }
}

/// Whether a write's condition holds.
pub(super) fn expected(expect: Expect, found: Option<&Version>) -> bool {
    match expect {
        Expect::Any => true,
        Expect::Absent => found.is_none_or(|v| v.value.is_none()),
        Expect::Unchanged(ts) => found.is_some_and(|v| v.ts == ts),
    }
}

struct CloseOnDrop<'a>(&'a Core);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}
