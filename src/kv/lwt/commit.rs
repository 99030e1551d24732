//! Commits: which way one goes, and what all ways have in common.
//!
//! What fits into one conditional batch is one (`whole`). A few partitions are one batch in each,
//! without waiting for more (`implicit`). All else is intents and a verdict (`several`).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join;

use super::deadlock::Waiting;
use super::gateway::Gateway;
use super::locks::{Blocked, head_of, ts_cell};
use super::partitions::*;
use super::pieces::{Way, way};
use super::published::Open;
use super::read::Reader;
use super::rows::*;
use super::tables::{is_table, schema_changed};
use crate::clock::Timestamp;
use crate::error::{Error, Result, SqlState};
use crate::kv::{Commit, CommitOutcome, Expect, Key, LockMode, SCHEMA_SPACE, SpaceId, Write};

/// How long others may not know that something of this gateway has ended.
const UNTOLD_FOR: Duration = Duration::from_millis(2);

/// How a try to commit ended.
pub enum Step {
    /// With this outcome.
    Done(CommitOutcome),
    /// Somebody is in the way.
    Blocked(Blocked),
    /// Something changed meanwhile: again.
    Again,
}

/// What a check of rows before a write came to.
pub enum Check {
    /// All as it should be: the records of the writes, in their order.
    Fine(Vec<Record>),
    /// Somebody is in the way.
    Blocked(Blocked),
    /// A condition does not hold.
    Refused(CommitOutcome),
}

/// The writes of a commit that go into one batch.
#[derive(Clone)]
pub struct Part<'a> {
    /// The partition.
    pub partition: Partition,
    /// The writes, each with its clustering key.
    pub writes: Vec<(Bytes, &'a Write)>,
}

/// The spaces of which a commit has tracked writes.
pub fn tracked_spaces(commit: &Commit) -> Vec<SpaceId> {
    let tracked = commit.writes.iter().filter(|w| w.tracked);
    let mut spaces: Vec<SpaceId> = tracked.map(|w| w.key.space()).collect();
    spaces.sort_unstable();
    spaces.dedup();
    spaces
}

/// Whether a commit changes the schema.
pub fn changes_schema(commit: &Commit) -> bool {
    commit.writes.iter().any(|w| w.key.space() == SCHEMA_SPACE)
}

/// A commit's writes by partition, each cut to batches of a bounded size.
fn parts<'a>(gateway: &Gateway, commit: &'a Commit) -> Result<Vec<Vec<Part<'a>>>> {
    let groups = super::locks::by_partition(commit.writes.iter().map(|w| &w.key));
    let mut parts = Vec::with_capacity(groups.len());
    for (partition, group) in groups {
        let mut cut: Vec<Part<'a>> = Vec::new();
        let mut bytes = usize::MAX;
        for (i, ck) in group {
            let write = &commit.writes[i];
            let size = gateway.row_size(&write.key, write.value.as_ref())?;
            match cut.last_mut() {
                Some(part)
                    if part.writes.len() < gateway.options.batch_rows_max
                        && bytes + size <= gateway.options.batch_bytes_max =>
                {
                    bytes += size;
                    part.writes.push((ck, write));
                }
                _ => {
                    bytes = size;
                    cut.push(Part { partition: partition.clone(), writes: vec![(ck, write)] });
                }
            }
        }
        parts.push(cut);
    }
    Ok(parts)
}

impl Gateway {
    /// The bytes of a row's key and value; 54000 where they are more than the cluster takes.
    pub(super) fn row_size(&self, key: &Key, value: Option<&Bytes>) -> Result<usize> {
        let size = key.bytes().len() + value.map_or(0, Bytes::len);
        let most = self.options.row_bytes_max;
        if size <= most {
            return Ok(size);
        }
        let message =
            format!("a row of {size} bytes is larger than the {most} bytes of the cluster");
        Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message))
    }

    /// Commits, to the end. Gives up the transaction's locks.
    pub async fn run_commit(self: &Arc<Self>, commit: &Commit) -> Result<CommitOutcome> {
        let result = self.try_commit(commit).await;
        let keys = self.end_locks(commit.txn);
        let written: HashSet<&Key> = match &result {
            Ok(CommitOutcome::Committed(_)) => commit.writes.iter().map(|w| &w.key).collect(),
            _ => HashSet::new(),
        };
        let left = keys.into_iter().filter(|key| !written.contains(key)).collect();
        self.remove_soon(commit.txn, left);
        result
    }

    async fn try_commit(self: &Arc<Self>, commit: &Commit) -> Result<CommitOutcome> {
        self.check()?;
        if commit.writes.is_empty() {
            return self.validate_only(commit).await;
        }
        let parts = parts(self, commit)?;
        let way = way(self, commit, &parts);
        let mut waiting = Waiting::new(self, commit.txn, 0, 0);
        let (mut attempt, began) = (0, self.time.monotonic());
        loop {
            let step = match &way {
                Way::Whole(pieces) => self.try_whole(commit, pieces).await?,
                Way::Implicit(pieces) if attempt == 0 => self.try_implicit(commit, pieces).await?,
                _ => {
                    let in_order = (attempt > 0).then_some(&mut waiting);
                    self.try_several(commit, &parts, in_order).await?
                }
            };
            match step {
                Step::Done(outcome) => return Ok(outcome),
                // Who shared a table that DDL changes meanwhile is refused in the end.
                Step::Blocked(blocked)
                    if is_table(&blocked.key)
                        && self.since(began) >= self.options.settle_timeout / 2 =>
                {
                    return Err(schema_changed());
                }
                Step::Blocked(blocked) => self.clear(&blocked, &mut waiting).await?,
                Step::Again => self.pause(attempt).await,
            }
            self.check()?;
            attempt += 1;
        }
    }

    /// Whether all that was read still held at a moment from now on, and which.
    async fn validate_only(self: &Arc<Self>, commit: &Commit) -> Result<CommitOutcome> {
        let snapshot = self.snapshot().await?;
        match self.changed_space(commit, &snapshot, Reader::Plain).await? {
            None => Ok(CommitOutcome::Committed(snapshot.at)),
            Some(space) => Ok(CommitOutcome::ReadConflict { space }),
        }
    }

    /// The space in which something that was read looks different at a snapshot.
    pub async fn changed_space(
        self: &Arc<Self>,
        commit: &Commit,
        snapshot: &super::snapshots::Snapshot,
        reader: Reader,
    ) -> Result<Option<SpaceId>> {
        for (partition, group) in super::locks::by_partition(commit.reads.iter().map(|r| &r.key)) {
            let keys: Vec<Bytes> = group.iter().map(|(_, ck)| ck.clone()).collect();
            let found = self.versions_at(snapshot, &partition, &keys, reader).await?;
            self.step();
            for (n, (i, _)) in group.iter().enumerate() {
                let read = &commit.reads[*i];
                let same = found.as_ref().is_ok_and(|found| {
                    let live = found[n].as_ref().filter(|v| v.value.is_some());
                    live.map_or(Timestamp::ZERO, |v| v.ts) == read.seen
                });
                if !same {
                    return Ok(Some(read.key.space()));
                }
            }
        }
        for check in &commit.ranges {
            let changed = self.range_changed(snapshot, &check.range, check.at, reader).await?;
            if changed != Ok(false) {
                return Ok(Some(check.range.space));
            }
        }
        Ok(None)
    }

    /// Checks rows that are to be written.
    pub async fn check_rows(
        self: &Arc<Self>,
        commit: &Commit,
        part: &Part<'_>,
        rows: &[Row],
    ) -> Result<Check> {
        let mut records = Vec::with_capacity(part.writes.len());
        for (ck, write) in &part.writes {
            let record = head_of(rows, ck)?;
            let mode = match record.is_live() && write.value.is_some() {
                true => LockMode::NoKeyUpdate,
                false => LockMode::Update,
            };
            if let Some(held) = self.held.mode(commit.txn, &write.key)
                && !record.locks.iter().any(|h| h.txn == commit.txn && h.mode >= held)
            {
                self.view().await?;
                self.check()?;
                return Err(Error::internal("a lock was lost while its gateway lives"));
            }
            if let Some(blocked) = self.blocked(&write.key, &record, commit.txn, mode).await? {
                // Its statement is run again with locks, and waits for them: a commit that waits
                // could not be cancelled.
                if blocked.attempt.is_none() && write.expect != Expect::Any {
                    let (key, found) = (write.key.clone(), record.version());
                    return Ok(Check::Refused(CommitOutcome::WriteConflict { key, found }));
                }
                return Ok(Check::Blocked(blocked));
            }
            let holds = match write.expect {
                Expect::Any => true,
                Expect::Absent => !record.is_live(),
                Expect::Unchanged(ts) => record.ts == ts && ts > Timestamp::ZERO,
            };
            if !holds {
                let found = record.version();
                found.iter().for_each(|v| self.observe(v.ts));
                let key = write.key.clone();
                return Ok(Check::Refused(CommitOutcome::WriteConflict { key, found }));
            }
            records.push(record);
        }
        Ok(Check::Fine(records))
    }

    /// Takes a commit out of this gateway's row that has come to its end, and says in the log if
    /// that is none.
    pub async fn settle_open(self: &Arc<Self>, open: &Open, committed: Option<Timestamp>) {
        if committed.is_none() {
            self.surely(|| self.write_outcome(open, None)).await;
        }
        self.close_open(open.attempt.floor, committed);
    }

    /// Has a quorum know of a commit's timestamp, and the log of what is to come of it, while that
    /// takes effect.
    pub async fn while_told<T>(
        &self,
        open: &Open,
        ts: Timestamp,
        effect: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        {
            let own = &mut *self.own.lock();
            own.high = own.high.max(ts);
        }
        // Whether it was told, `confirmed` says.
        let (ended, _) = join(self.while_logged(open, ts, effect), self.publish()).await;
        ended
    }

    /// Has the log know of what is to come of a commit while that takes effect.
    pub async fn while_logged<T>(
        &self,
        open: &Open,
        ts: Timestamp,
        effect: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let logged = self.surely(|| self.write_outcome(open, Some(ts)));
        let (ended, ()) = join(effect, logged).await;
        ended
    }

    /// What must be told of a settled commit before it is acknowledged: its timestamp. That it is
    /// settled is told afterwards; at once where somebody may wait for it.
    pub async fn tell_settled(self: &Arc<Self>, open: &Open, ts: Timestamp) {
        if self.own.lock().confirmed < ts {
            return self.surely(|| self.publish()).await;
        }
        let now = self.time.monotonic();
        let contended = |partition: &_| self.latches.is_contended(partition, now);
        match !open.log.is_empty() || open.may_appear(contended) {
            true => self.publish_soon(),
            false => self.publish_later(),
        }
    }

    /// Publishes in the background.
    pub fn publish_soon(self: &Arc<Self>) {
        let this = self.in_background();
        self.env.spawn(Box::pin(async move {
            // The next publication says the same.
            let _ = this.publish().await;
        }));
    }

    /// Publishes in the background, what probably nobody waits for: in a while, unless another
    /// publication says the same until then. At once, it would be in the way of the next commit's.
    pub fn publish_later(self: &Arc<Self>) {
        if self.untold.swap(true, Ordering::SeqCst) {
            return;
        }
        let this = self.in_background();
        self.env.spawn(Box::pin(async move {
            this.env.sleep(UNTOLD_FOR).await;
            if this.untold.load(Ordering::SeqCst) {
                let _ = this.publish().await;
            }
        }));
    }
}

/// Demands that a row that is written stays as it was read.
pub fn demand_row(batch: &mut Batch, ck: &Bytes, record: &Record) {
    let row = RowKey::head(ck);
    batch.demand(&row, Column::Ts, ts_cell(record.ts));
    batch.demand(&row, Column::Lk, record.locks_cell.clone());
    batch.demand(&row, Column::In, None);
}

/// Adds the head's version to the history, and takes out what nobody reads any more.
pub fn supersede(batch: &mut Batch, ck: &Bytes, head: &Record, horizon: Timestamp) {
    if head.ts == Timestamp::ZERO {
        return;
    }
    let row = RowKey::history(ck, head.ts.0);
    batch.set(&row, Column::Ts, Some(number(head.ts.0)));
    batch.set(&row, Column::Tx, Some(txn_cell(head.txn)));
    batch.set(&row, Column::Pv, ts_cell(head.previous));
    match &head.value {
        Some(value) => batch.set(&row, Column::Va, Some(value.clone())),
        None => batch.set(&row, Column::Dl, Some(Bytes::from_static(&[1]))),
    }
    if head.ts <= horizon && head.previous > Timestamp::ZERO {
        batch.prune.push((ck.clone(), head.previous.0));
    }
}

/// Writes a version into a head, in the place of `head`, and takes the writer's lock from it.
pub fn write_head(
    batch: &mut Batch,
    ck: &Bytes,
    head: &Record,
    ts: Timestamp,
    txn: crate::kv::TxnId,
    value: Option<Bytes>,
) {
    let row = RowKey::head(ck);
    batch.set(&row, Column::Ts, Some(number(ts.0)));
    batch.set(&row, Column::Tx, Some(txn_cell(txn)));
    batch.set(&row, Column::Pv, ts_cell(head.ts));
    batch.set(&row, Column::Dl, value.is_none().then(|| Bytes::from_static(&[1])));
    batch.set(&row, Column::Va, value);
    if head.locks.iter().any(|h| h.txn == txn) {
        let others: Vec<Holder> = head.locks.iter().filter(|h| h.txn != txn).copied().collect();
        batch.set(&row, Column::Lk, encode_locks(&others));
    }
}
