//! Commits: what all have in common, and those that are one conditional batch.
//!
//! One partition, with all that is to be validated in it, is one batch: announce and read the
//! rows at once, read all gateways' rows, choose the timestamp, send. The order matters: the rows
//! are read before the gateways' rows, so that a fence set after this gateway was sealed is one
//! that the batch does not know of.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join3;

use super::deadlock::Waiting;
use super::gateway::Gateway;
use super::locks::{Blocked, head_of, ts_cell};
use super::partitions::*;
use super::read::{Reader, within_partition};
use super::rows::*;
use super::settle::{Sequence, static_number};
use crate::clock::Timestamp;
use crate::error::{Error, Result, SqlState};
use crate::kv::{Commit, CommitOutcome, Expect, LockMode, SCHEMA_SPACE, SpaceId, Write};

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
            let size = write.key.bytes().len() + write.value.as_ref().map_or(0, Bytes::len);
            if size > gateway.options.row_bytes_max {
                return Err(too_large(size, gateway.options.row_bytes_max));
            }
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

/// 54000
fn too_large(size: usize, most: usize) -> Error {
    let message = format!("a row of {size} bytes is larger than the {most} bytes of the cluster");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

impl Gateway {
    /// Commits, to the end. Gives up the transaction's locks.
    pub async fn run_commit(self: &Arc<Self>, commit: &Commit) -> Result<CommitOutcome> {
        let result = self.try_commit(commit).await;
        let keys = self.end_locks(commit.txn);
        let written = |key: &crate::kv::Key| commit.writes.iter().any(|w| w.key == *key);
        let committed = matches!(result, Ok(CommitOutcome::Committed(_)));
        let left = keys.into_iter().filter(|key| !committed || !written(key)).collect();
        self.remove_soon(commit.txn, left);
        result
    }

    async fn try_commit(self: &Arc<Self>, commit: &Commit) -> Result<CommitOutcome> {
        self.check()?;
        if commit.writes.is_empty() {
            return self.validate_only(commit).await;
        }
        let parts = parts(self, commit)?;
        let single = match &parts[..] {
            // A change of the schema leaves a verdict, by which whoever settles it knows its time.
            _ if changes_schema(commit) => None,
            [cut] if cut.len() == 1 && reads_lie_in(commit, &cut[0].partition) => Some(&cut[0]),
            _ => None,
        };
        let mut waiting = Waiting::new(self, commit.txn, 0, 0);
        let mut attempt = 0;
        loop {
            let step = match single {
                Some(part) => self.try_single(commit, part).await?,
                None => {
                    let in_order = (attempt > 0).then_some(&mut waiting);
                    self.try_several(commit, &parts, in_order).await?
                }
            };
            match step {
                Step::Done(outcome) => return Ok(outcome),
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

    async fn try_single(self: &Arc<Self>, commit: &Commit, part: &Part<'_>) -> Result<Step> {
        let _latch = self.latch(&part.partition).await;
        let kind = OpenKind::Single(part.partition.clone());
        let open = self.open(commit.txn, kind, &tracked_spaces(commit));
        let result = self.announced_single(commit, part, &open).await;
        let committed = match &result {
            Ok(Step::Done(CommitOutcome::Committed(ts))) => Some(*ts),
            _ => None,
        };
        self.settle_open(&open, committed).await;
        if committed.is_some() {
            self.publish_surely().await?;
        } else {
            self.publish_soon();
        }
        result
    }

    /// Writes what became of a commit to the log, and takes it out of this gateway's row.
    pub async fn settle_open(self: &Arc<Self>, open: &Open, committed: Option<Timestamp>) {
        let mut attempt = 0;
        while !open.log.is_empty() && self.write_outcome(open, committed).await.is_err() {
            self.pause(attempt).await;
            attempt += 1;
        }
        self.close_open(open.attempt.floor, committed);
    }

    /// Publishes, and tries for as long as it takes: what it is for has happened already.
    pub async fn publish_surely(&self) -> Result<()> {
        let mut attempt = 0;
        while self.publish().await.is_err() {
            self.pause(attempt).await;
            attempt += 1;
        }
        Ok(())
    }

    /// Publishes in the background.
    pub fn publish_soon(self: &Arc<Self>) {
        let this = self.in_background();
        self.env.spawn(Box::pin(async move {
            // The next publication says the same.
            let _ = this.publish().await;
        }));
    }

    async fn announced_single(
        self: &Arc<Self>,
        commit: &Commit,
        part: &Part<'_>,
        open: &Open,
    ) -> Result<Step> {
        let mut keys: Vec<Bytes> = part.writes.iter().map(|(ck, _)| ck.clone()).collect();
        keys.extend(commit.reads.iter().map(|r| place(&r.key).1));
        keys.sort_unstable();
        keys.dedup();
        let rows = self.read(&part.partition, Select::Heads(keys), Consistency::Quorum);
        let logged = self.write_log(commit, open);
        let (announced, logged, rows) = join3(self.publish(), logged, rows).await;
        announced?;
        logged?;
        let rows = rows?;
        let records = match self.check_rows(commit, part, &rows).await? {
            Check::Fine(records) => records,
            Check::Blocked(blocked) => return Ok(Step::Blocked(blocked)),
            Check::Refused(outcome) => return Ok(Step::Done(outcome)),
        };
        let mut batch = Batch::new(&part.partition);
        let mut above = Timestamp(static_number(&rows, Column::Gd)?);
        let gd = above.0;
        if let Some(step) = self.demand_reads(commit, &rows, &mut batch, &mut above).await? {
            return Ok(step);
        }
        let view = self.view().await?;
        self.check()?;
        if let Some(blocked) = self.check_tables(commit.txn, &view)? {
            return Ok(Step::Blocked(blocked));
        }
        above = records.iter().map(|r| r.ts).fold(above.max(view.high()), Timestamp::max);
        let ts = self.tick_above(above);
        let sequence = Sequence { column: Column::Gd, seen: gd, next: ts.0 };
        match commit.ranges.is_empty() {
            true => sequence.add_to(&mut batch),
            false => {
                // No other batch may have come between: the ranges are as they were read.
                batch.demand(&RowKey::STATIC, Column::Gd, (gd > 0).then(|| number(gd)));
                batch.set(&RowKey::STATIC, Column::Gd, Some(number(ts.0)));
            }
        }
        let fence = rows.iter().find(|r| r.key == RowKey::STATIC).and_then(|r| r.get(Column::Fe));
        batch.demand(&RowKey::STATIC, Column::Fe, fence.cloned());
        for ((ck, write), record) in part.writes.iter().zip(&records) {
            let row = RowKey::head(ck);
            batch.demand(&row, Column::Ts, ts_cell(record.ts));
            batch.demand(&row, Column::Lk, record.locks_cell.clone());
            batch.demand(&row, Column::In, None);
            let txn = commit.txn;
            supersede(&mut batch, ck, record, view.horizon());
            write_head(&mut batch, ck, record, ts, txn, write.value.clone());
        }
        let (me, first) = (commit.txn, part.writes[0].0.clone());
        let select = Select::Versions(first);
        let mine = move |rows: &[Row]| {
            let mut records = rows.iter().map(|row| Record::read(Some(row)));
            records.try_fold(false, |found, r| r.map(|r| found || (r.txn == me && r.ts == ts)))
        };
        Ok(match self.settle(batch, sequence, select, mine).await? {
            true => Step::Done(CommitOutcome::Committed(ts)),
            false => Step::Again,
        })
    }

    /// Adds to a batch that what was read in its partition is as it was read.
    async fn demand_reads(
        self: &Arc<Self>,
        commit: &Commit,
        rows: &[Row],
        batch: &mut Batch,
        above: &mut Timestamp,
    ) -> Result<Option<Step>> {
        for read in &commit.reads {
            let (_, ck) = place(&read.key);
            let record = head_of(rows, &ck)?;
            if let Some(blocked) = intent_in_the_way(&read.key, &record) {
                return Ok(Some(Step::Blocked(blocked)));
            }
            if record.live_ts() != read.seen {
                let space = read.key.space();
                return Ok(Some(Step::Done(CommitOutcome::ReadConflict { space })));
            }
            *above = record.ts.max(*above);
            let row = RowKey::head(&ck);
            batch.demand(&row, Column::Ts, ts_cell(record.ts));
            batch.demand(&row, Column::In, None);
        }
        for check in &commit.ranges {
            let Some((partition, mut start, end)) = within_partition(&check.range) else {
                return Err(Error::internal("a range of several partitions in one batch"));
            };
            loop {
                let limit = super::PAGE_ROWS;
                let (from, to) = (start.clone(), end.clone());
                let select = Select::Range { start: from, end: to, reverse: false, limit };
                let rows = self.read(&partition, select, Consistency::Quorum).await?;
                let heads = rows.iter().filter(|r| r.key.kind == Kind::Head);
                let (mut count, mut last) = (0, None);
                for row in heads {
                    let record = Record::read(Some(row))?;
                    let key = key_at(check.range.space, &partition.key, &row.key.key);
                    if let Some(blocked) = intent_in_the_way(&key, &record) {
                        return Ok(Some(Step::Blocked(blocked)));
                    }
                    if record.ts > check.at {
                        let space = check.range.space;
                        return Ok(Some(Step::Done(CommitOutcome::ReadConflict { space })));
                    }
                    (count, last) = (count + 1, Some(row.key.key.clone()));
                }
                match last {
                    Some(last) if count == limit => start = std::ops::Bound::Excluded(last),
                    _ => break,
                }
            }
        }
        Ok(None)
    }
}

fn intent_in_the_way(key: &crate::kv::Key, record: &Record) -> Option<Blocked> {
    let attempt = record.intent?.attempt;
    let (txns, attempt) = (vec![attempt.txn], Some(attempt));
    Some(Blocked { key: key.clone(), mode: LockMode::KeyShare, txns, attempt })
}

/// Whether all that a commit validates lies in one partition.
fn reads_lie_in(commit: &Commit, partition: &Partition) -> bool {
    commit.reads.iter().all(|r| place(&r.key).0 == *partition)
        && commit
            .ranges
            .iter()
            .all(|r| within_partition(&r.range).is_some_and(|(p, ..)| p == *partition))
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
