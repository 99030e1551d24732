//! Commits that are one conditional batch: in one partition a lightweight transaction, in several,
//! where the cluster can do that at once, an Accord transaction.
//!
//! Announce and read the rows at once, read all gateways' rows, choose the timestamp, send, and
//! publish the timestamp at once. A timestamp that is published early shows nobody anything:
//! whoever reads at it finds the commit announced and waits for what comes of it.
//!
//! A partition that is only read has its number raised too: who writes there later gets a higher
//! timestamp, so that timestamps are an order in which all could have happened.

use std::sync::Arc;

use super::commit::{Step, demand_row, supersede, tracked_spaces, write_head};
use super::gateway::{Gateway, outcome_unknown};
use super::looks::Look;
use super::partitions::*;
use super::pieces::{Piece, Prepared, Ready};
use super::published::{Open, OpenKind};
use super::rows::*;
use super::settle::Sent;
use crate::clock::Timestamp;
use crate::error::{Result, SqlState};
use crate::kv::{Commit, CommitOutcome, TxnId};

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
            Err(error) if error.code() == SqlState::STATEMENT_COMPLETION_UNKNOWN => {
                // Who took this gateway for gone knows, and has the last word in the log.
                self.close_open(open.attempt.floor, None);
                return result;
            }
            _ => None,
        };
        self.settle_open(&open, committed).await;
        match committed {
            Some(ts) => self.tell_settled(&open, ts).await,
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
            None => self.announce_and_read(commit, pieces, open).await?,
        };
        let Ready { ts, prepared, view } = match self.prepare(commit, pieces, &rows).await? {
            Ok(ready) => ready,
            Err(step) => return Ok(step),
        };
        let mut batches = Vec::with_capacity(pieces.len());
        let mut first = None;
        for (piece, mut ready) in pieces.iter().zip(prepared) {
            let sequence = ready.add_number(piece, ts);
            if first.is_none() && !piece.part.writes.is_empty() {
                first = Some((batches.len(), sequence, piece.part.writes[0].0.clone()));
            }
            write_heads(commit, piece, &mut ready, ts, view.horizon());
            batches.push(ready.batch);
        }
        let Some((at, sequence, ck)) = first else { return Ok(Step::Again) };
        // Who settles it looks at one partition with writes.
        batches.swap(0, at);
        let me = commit.txn;
        let mine = move |rows: &[Row]| is_written(rows, me, ts);
        let settling = self.settle(batches, sequence, Select::Versions(ck), mine);
        match self.while_told(open, ts, settling).await? {
            Sent::Applied => Ok(Step::Done(CommitOutcome::Committed(ts))),
            Sent::Refused => Ok(Step::Again),
            // It would be there if nobody had taken this gateway for gone by now.
            Sent::Unseen => match self.view().await.and_then(|_| self.check()) {
                Ok(()) => Ok(Step::Again),
                Err(_) => Err(outcome_unknown()),
            },
        }
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
        self.read_pieces(pieces).await
    }
}

/// Whether rows show a version that a transaction wrote.
pub fn is_written(rows: &[Row], txn: TxnId, ts: Timestamp) -> Result<bool> {
    let mut records = rows.iter().map(|row| Record::read(Some(row)));
    records.try_fold(false, |found, r| r.map(|r| found || (r.txn == txn && r.ts == ts)))
}

/// Adds a piece's writes to its batch.
fn write_heads(
    commit: &Commit,
    piece: &Piece<'_>,
    ready: &mut Prepared,
    ts: Timestamp,
    horizon: Timestamp,
) {
    for ((ck, write), record) in piece.part.writes.iter().zip(std::mem::take(&mut ready.records)) {
        demand_row(&mut ready.batch, ck, &record);
        supersede(&mut ready.batch, ck, &record, horizon);
        write_head(&mut ready.batch, ck, &record, ts, commit.txn, write.value.clone());
    }
}
