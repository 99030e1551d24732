//! Commits that are one conditional batch: in one partition a lightweight transaction, in several,
//! where the cluster can do that at once, an Accord transaction.
//!
//! Announce and read the rows at once, read all gateways' rows, choose the timestamp, send, and
//! publish the timestamp at once. The order matters: the rows are read before the gateways' rows,
//! so that a fence set after this gateway was sealed is one that the batch does not know of. A
//! timestamp that is published early shows nobody anything: whoever reads at it finds the commit
//! announced and waits for what comes of it.
//!
//! A partition that is only read has its number raised too: who writes there later gets a higher
//! timestamp, so that timestamps are an order in which all could have happened.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{join3, try_join_all};

use super::commit::{Check, Part, Step, changes_schema, supersede, tracked_spaces, write_head};
use super::gateway::Gateway;
use super::locks::{Blocked, head_of, ts_cell};
use super::looks::Look;
use super::partitions::*;
use super::peers::View;
use super::read::within_partition;
use super::rows::*;
use super::settle::{Sequence, static_number};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::{Commit, CommitOutcome, Key, KeyRange, LockMode, RangeCheck, ReadCheck};

/// What a commit does in one partition.
pub struct Piece<'a> {
    part: Part<'a>,
    reads: Vec<(Bytes, &'a ReadCheck)>,
    ranges: Vec<&'a RangeCheck>,
}

impl Piece<'_> {
    /// The rows that are written or were read.
    fn keys(&self) -> Vec<Bytes> {
        let written = self.part.writes.iter().map(|(ck, _)| ck);
        let mut keys: Vec<Bytes> =
            written.chain(self.reads.iter().map(|(ck, _)| ck)).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// What is left of a partition to be sent.
struct Prepared {
    batch: Batch,
    /// The number that stands there.
    seen: u64,
    /// The records of the writes, in their order.
    records: Vec<Record>,
    /// The timestamp must be above this.
    above: Timestamp,
}

/// A commit's pieces, in their partitions' order, if it can be one batch.
pub fn pieces<'a>(
    gateway: &Gateway,
    commit: &'a Commit,
    parts: &[Vec<Part<'a>>],
) -> Option<Vec<Piece<'a>>> {
    // A change of the schema leaves a verdict, by which whoever settles it knows its time.
    if changes_schema(commit) {
        return None;
    }
    let mut pieces: BTreeMap<Partition, Piece<'a>> = BTreeMap::new();
    let empty = |partition: &Partition| Piece {
        part: Part { partition: partition.clone(), writes: Vec::new() },
        reads: Vec::new(),
        ranges: Vec::new(),
    };
    for cut in parts {
        let [part] = &cut[..] else { return None };
        let piece = Piece { part: part.clone(), ..empty(&part.partition) };
        pieces.insert(part.partition.clone(), piece);
    }
    for read in &commit.reads {
        let (partition, ck) = place(&read.key);
        let piece = pieces.entry(partition.clone()).or_insert_with(|| empty(&partition));
        piece.reads.push((ck, read));
    }
    for check in &commit.ranges {
        let (partition, ..) = within_partition(&check.range)?;
        let piece = pieces.entry(partition.clone()).or_insert_with(|| empty(&partition));
        piece.ranges.push(check);
    }
    let rows: usize = pieces.values().map(|p| p.part.writes.len() + p.reads.len()).sum();
    let value = |w: &crate::kv::Write| w.value.as_ref().map_or(0, Bytes::len);
    let bytes: usize = commit.writes.iter().map(|w| w.key.bytes().len() + value(w)).sum();
    let reach = gateway.partitions.reach();
    let mut keys: Vec<&Bytes> = pieces.keys().map(|partition| &partition.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let fits = pieces.len() == 1
        || pieces.len() <= reach.partitions
            // Cassandra 6.0-alpha2 takes rows of one key in two tables for the same row.
            && keys.len() == pieces.len()
            && rows <= reach.rows
            && bytes <= gateway.options.batch_bytes_max;
    fits.then(|| pieces.into_values().collect())
}

impl Gateway {
    /// One attempt to commit in one batch.
    pub async fn try_whole(
        self: &Arc<Self>,
        commit: &Commit,
        pieces: &[Piece<'_>],
    ) -> Result<Step> {
        let partitions = || pieces.iter().map(|p| &p.part.partition);
        let _latches = self.latches.take_all(partitions()).await;
        let written = pieces.iter().filter(|p| !p.part.writes.is_empty());
        let kind = OpenKind::Whole(written.map(|p| p.part.partition.clone()).collect());
        let tracked = tracked_spaces(commit);
        let look = self.take_look(commit.txn, &kind, !tracked.is_empty());
        let (open, known) = match look {
            Some(look) => (look.open.clone(), Some(look)),
            None => (self.open(commit.txn, kind, &tracked), None),
        };
        let looked = known.is_some();
        let result = self.announced_whole(commit, pieces, &open, known).await;
        let committed = match &result {
            Ok(Step::Done(CommitOutcome::Committed(ts))) => Some(*ts),
            _ => None,
        };
        self.settle_open(&open, committed).await;
        match committed {
            Some(ts) => self.tell_settled(&open, ts).await?,
            None => {
                if looked {
                    partitions().for_each(|of| self.latches.contend(of, self.time.monotonic()));
                }
                self.publish_soon();
            }
        }
        result
    }

    async fn announced_whole(
        self: &Arc<Self>,
        commit: &Commit,
        pieces: &[Piece<'_>],
        open: &Open,
        look: Option<Look>,
    ) -> Result<Step> {
        let rows = match look {
            Some(look) => self.looked_at(pieces, look).await?,
            None => {
                let reading = try_join_all(pieces.iter().map(|piece| self.read_piece(piece)));
                let logged = self.write_log(commit, open);
                let (announced, logged, rows) = join3(self.publish(), logged, reading).await;
                announced?;
                logged?;
                rows?
            }
        };
        let mut prepared = Vec::with_capacity(pieces.len());
        for (piece, rows) in pieces.iter().zip(rows) {
            match self.prepare_piece(commit, piece, &rows).await? {
                Ok(ready) => prepared.push(ready),
                Err(step) => return Ok(step),
            }
        }
        let view = self.view().await?;
        self.check()?;
        if let Some(blocked) = self.check_tables(commit, &view)? {
            return Ok(Step::Blocked(blocked));
        }
        let above = prepared.iter().map(|p| p.above).fold(view.high(), Timestamp::max);
        let ts = self.tick_above(above);
        let mut batches = Vec::with_capacity(pieces.len());
        let mut first = None;
        for (piece, ready) in pieces.iter().zip(prepared) {
            let sequence = Sequence { column: Column::Gd, seen: ready.seen, next: ts.0 };
            if first.is_none() && !piece.part.writes.is_empty() {
                first = Some((batches.len(), sequence, piece.part.writes[0].0.clone()));
            }
            batches.push(fill(commit, piece, ready, sequence, &view));
        }
        let Some((at, sequence, ck)) = first else { return Ok(Step::Again) };
        // Who settles it looks at one partition with writes.
        batches.swap(0, at);
        let me = commit.txn;
        let mine = move |rows: &[Row]| {
            let mut records = rows.iter().map(|row| Record::read(Some(row)));
            records.try_fold(false, |found, r| r.map(|r| found || (r.txn == me && r.ts == ts)))
        };
        let settling = self.settle(batches, sequence, Select::Versions(ck), mine);
        Ok(match self.while_told(ts, settling).await? {
            true => Step::Done(CommitOutcome::Committed(ts)),
            false => Step::Again,
        })
    }

    async fn read_piece(&self, piece: &Piece<'_>) -> Result<Vec<Row>> {
        let select = Select::Heads(piece.keys());
        self.read(&piece.part.partition, select, Consistency::Quorum).await
    }

    /// The rows of an announced commit: as they were looked at, if they are all that is needed.
    async fn looked_at(&self, pieces: &[Piece<'_>], look: Look) -> Result<Vec<Vec<Row>>> {
        if let [piece] = pieces
            && piece.keys() == [look.key]
            && let Some(turn) = look.turn
            && self.latches.is_next_turn(&piece.part.partition, turn)
        {
            return Ok(vec![look.rows]);
        }
        try_join_all(pieces.iter().map(|piece| self.read_piece(piece))).await
    }

    /// Checks a partition's rows, and what was read there, and demands that they stay so.
    async fn prepare_piece(
        self: &Arc<Self>,
        commit: &Commit,
        piece: &Piece<'_>,
        rows: &[Row],
    ) -> Result<std::result::Result<Prepared, Step>> {
        let records = match self.check_rows(commit, &piece.part, rows).await? {
            Check::Fine(records) => records,
            Check::Blocked(blocked) => return Ok(Err(Step::Blocked(blocked))),
            Check::Refused(outcome) => return Ok(Err(Step::Done(outcome))),
        };
        let mut batch = Batch::new(&piece.part.partition);
        let seen = static_number(rows, Column::Gd)?;
        let mut above = records.iter().map(|r| r.ts).fold(Timestamp(seen), Timestamp::max);
        for (ck, read) in &piece.reads {
            let record = head_of(rows, ck)?;
            if let Some(blocked) = intent_in_the_way(&read.key, &record) {
                return Ok(Err(Step::Blocked(blocked)));
            }
            if record.live_ts() != read.seen {
                let space = read.key.space();
                return Ok(Err(Step::Done(CommitOutcome::ReadConflict { space })));
            }
            above = record.ts.max(above);
            let row = RowKey::head(ck);
            batch.demand(&row, Column::Ts, ts_cell(record.ts));
            batch.demand(&row, Column::In, None);
        }
        for check in &piece.ranges {
            if let Some(step) = self.check_range(&piece.part.partition, check).await? {
                return Ok(Err(step));
            }
        }
        let fence = rows.iter().find(|r| r.key == RowKey::STATIC).and_then(|r| r.get(Column::Fe));
        batch.demand(&RowKey::STATIC, Column::Fe, fence.cloned());
        Ok(Ok(Prepared { batch, seen, records, above }))
    }

    /// Looks at a range as it is: what is in the way, or changed since it was read.
    async fn check_range(
        self: &Arc<Self>,
        partition: &Partition,
        check: &RangeCheck,
    ) -> Result<Option<Step>> {
        let space = check.range.space;
        let Some((mut start, end)) = bounds(&check.range) else { return Ok(None) };
        loop {
            let limit = super::PAGE_ROWS;
            let (from, to) = (start.clone(), end.clone());
            let select = Select::Range { start: from, end: to, reverse: false, limit };
            let rows = self.read(partition, select, Consistency::Quorum).await?;
            let (mut count, mut last) = (0, None);
            for row in rows.iter().filter(|r| r.key.kind == Kind::Head) {
                let record = Record::read(Some(row))?;
                let key = key_at(space, &partition.key, &row.key.key);
                if let Some(blocked) = intent_in_the_way(&key, &record) {
                    return Ok(Some(Step::Blocked(blocked)));
                }
                if record.ts > check.at {
                    return Ok(Some(Step::Done(CommitOutcome::ReadConflict { space })));
                }
                (count, last) = (count + 1, Some(row.key.key.clone()));
            }
            match last {
                Some(last) if count == limit => start = Bound::Excluded(last),
                _ => return Ok(None),
            }
        }
    }
}

/// Adds a partition's number and its writes to its batch.
fn fill(
    commit: &Commit,
    piece: &Piece<'_>,
    ready: Prepared,
    sequence: Sequence,
    view: &View,
) -> Batch {
    let Prepared { mut batch, seen, records, .. } = ready;
    let ts = Timestamp(sequence.next);
    match piece.ranges.is_empty() {
        true => sequence.add_to(&mut batch),
        false => {
            // No other batch may have come between: the ranges are as they were read.
            batch.demand(&RowKey::STATIC, Column::Gd, (seen > 0).then(|| number(seen)));
            batch.set(&RowKey::STATIC, Column::Gd, Some(number(ts.0)));
        }
    }
    for ((ck, write), record) in piece.part.writes.iter().zip(&records) {
        let row = RowKey::head(ck);
        batch.demand(&row, Column::Ts, ts_cell(record.ts));
        batch.demand(&row, Column::Lk, record.locks_cell.clone());
        batch.demand(&row, Column::In, None);
        supersede(&mut batch, ck, record, view.horizon());
        write_head(&mut batch, ck, record, ts, commit.txn, write.value.clone());
    }
    batch
}

fn bounds(range: &KeyRange) -> Option<(Bound<Bytes>, Bound<Bytes>)> {
    within_partition(range).map(|(_, start, end)| (start, end))
}

fn intent_in_the_way(key: &Key, record: &Record) -> Option<Blocked> {
    let attempt = record.intent?.attempt;
    let (txns, attempt) = (vec![attempt.txn], Some(attempt));
    Some(Blocked { key: key.clone(), mode: LockMode::KeyShare, txns, attempt })
}
