//! What a commit does in each of its partitions, where that is one conditional batch each: what
//! the batch demands of the rows it writes and of what was read, and the timestamp.
//!
//! The order matters: a commit is announced and its rows are read, then all gateways' rows, then
//! the timestamp is chosen. The rows are read before the gateways' rows, so that a fence set after
//! this gateway was sealed is one that the batch does not know of.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{join3, try_join_all};

use super::commit::{Check, Part, Step, changes_schema};
use super::gateway::Gateway;
use super::locks::{Blocked, head_of, ts_cell};
use super::partitions::*;
use super::peers::View;
use super::published::Open;
use super::read::within_partition;
use super::rows::*;
use super::settle::{Sequence, static_number};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::{Commit, CommitOutcome, Key, KeyRange, LockMode, RangeCheck, ReadCheck};

/// What a commit does in one partition.
pub struct Piece<'a> {
    /// What it writes; no writes: it only reads.
    pub part: Part<'a>,
    reads: Vec<(Bytes, &'a ReadCheck)>,
    ranges: Vec<&'a RangeCheck>,
}

impl Piece<'_> {
    /// The rows that are written or were read.
    pub fn keys(&self) -> Vec<Bytes> {
        let written = self.part.writes.iter().map(|(ck, _)| ck);
        let mut keys: Vec<Bytes> =
            written.chain(self.reads.iter().map(|(ck, _)| ck)).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// What is left of a partition to be sent.
pub struct Prepared {
    /// What it demands of rows that were read.
    pub batch: Batch,
    /// The number that stands there.
    seen: u64,
    /// The records of the writes, in their order.
    pub records: Vec<Record>,
    /// The timestamp must be above this.
    pub above: Timestamp,
}

/// A commit that may be sent.
pub struct Ready {
    /// When it commits.
    pub ts: Timestamp,
    /// Its pieces.
    pub prepared: Vec<Prepared>,
    /// All gateways' rows, by a read after the announcement.
    pub view: Arc<View>,
}

/// How a commit goes.
pub enum Way<'a> {
    /// In one batch.
    Whole(Vec<Piece<'a>>),
    /// In one batch for each partition, all at once, which are the commit when all are placed.
    Implicit(Vec<Piece<'a>>),
    /// In intents and a verdict.
    Several,
}

/// The way of a commit whose writes have these parts.
pub fn way<'a>(gateway: &Gateway, commit: &'a Commit, parts: &[Vec<Part<'a>>]) -> Way<'a> {
    match pieces(commit, parts) {
        Some(pieces) if fits_one(gateway, commit, &pieces) => Way::Whole(pieces),
        Some(pieces)
            if pieces.len() <= gateway.options.implicit_max
                && pieces.iter().all(|piece| !piece.part.writes.is_empty()) =>
        {
            Way::Implicit(pieces)
        }
        _ => Way::Several,
    }
}

/// A commit's pieces, in their partitions' order, if it is one batch in each partition.
fn pieces<'a>(commit: &'a Commit, parts: &[Vec<Part<'a>>]) -> Option<Vec<Piece<'a>>> {
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
    Some(pieces.into_values().collect())
}

/// Whether one conditional batch reaches all pieces of a commit.
fn fits_one(gateway: &Gateway, commit: &Commit, pieces: &[Piece<'_>]) -> bool {
    if pieces.len() == 1 {
        return true;
    }
    let rows: usize = pieces.iter().map(|p| p.part.writes.len() + p.reads.len()).sum();
    let value = |w: &crate::kv::Write| w.value.as_ref().map_or(0, Bytes::len);
    let bytes: usize = commit.writes.iter().map(|w| w.key.bytes().len() + value(w)).sum();
    let reach = gateway.partitions.reach();
    let mut keys: Vec<&Bytes> = pieces.iter().map(|piece| &piece.part.partition.key).collect();
    keys.sort_unstable();
    keys.dedup();
    pieces.len() <= reach.partitions
        // Cassandra 6.0-alpha2 takes rows of one key in two tables for the same row.
        && keys.len() == pieces.len()
        && rows <= reach.rows
        && bytes <= gateway.options.batch_bytes_max
}

impl Prepared {
    /// Adds the partition's number to the batch.
    pub fn add_number(&mut self, piece: &Piece<'_>, ts: Timestamp) -> Sequence {
        let sequence = Sequence { column: Column::Gd, seen: self.seen, next: ts.0 };
        match piece.ranges.is_empty() {
            true => sequence.add_to(&mut self.batch),
            false => {
                // No other batch may have come between: the ranges are as they were read.
                let seen = (self.seen > 0).then(|| number(self.seen));
                self.batch.demand(&RowKey::STATIC, Column::Gd, seen);
                self.batch.set(&RowKey::STATIC, Column::Gd, Some(number(ts.0)));
            }
        }
        sequence
    }
}

impl Gateway {
    /// Announces a commit, and reads the rows of its pieces beside that.
    pub async fn announce_and_read(
        &self,
        commit: &Commit,
        pieces: &[Piece<'_>],
        open: &Open,
    ) -> Result<Vec<Vec<Row>>> {
        let logged = self.write_log(commit, open);
        let (announced, logged, rows) =
            join3(self.publish(), logged, self.read_pieces(pieces)).await;
        announced?;
        logged?;
        rows
    }

    /// The rows of all pieces.
    pub async fn read_pieces(&self, pieces: &[Piece<'_>]) -> Result<Vec<Vec<Row>>> {
        try_join_all(pieces.iter().map(async |piece| {
            let select = Select::Heads(piece.keys());
            self.read(&piece.part.partition, select, Consistency::Quorum).await
        }))
        .await
    }

    /// Checks an announced commit and chooses its timestamp: above every `high` that was told
    /// before the announcement, and all that its rows show.
    pub async fn prepare(
        self: &Arc<Self>,
        commit: &Commit,
        pieces: &[Piece<'_>],
        rows: &[Vec<Row>],
    ) -> Result<std::result::Result<Ready, Step>> {
        let mut prepared = Vec::with_capacity(pieces.len());
        for (piece, rows) in pieces.iter().zip(rows) {
            match self.prepare_piece(commit, piece, rows).await? {
                Ok(ready) => prepared.push(ready),
                Err(step) => return Ok(Err(step)),
            }
        }
        let view = self.view().await?;
        self.check()?;
        if let Some(blocked) = self.check_tables(commit, &view)? {
            return Ok(Err(Step::Blocked(blocked)));
        }
        let above = prepared.iter().map(|p| p.above).fold(view.high(), Timestamp::max);
        Ok(Ok(Ready { ts: self.tick_above(above), prepared, view }))
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

fn bounds(range: &KeyRange) -> Option<(Bound<Bytes>, Bound<Bytes>)> {
    within_partition(range).map(|(_, start, end)| (start, end))
}

fn intent_in_the_way(key: &Key, record: &Record) -> Option<Blocked> {
    let attempt = record.intent?.attempt;
    let (txns, attempt) = (vec![attempt.txn], Some(attempt));
    Some(Blocked { key: key.clone(), mode: LockMode::KeyShare, txns, attempt })
}
