//! Commits over several partitions without a verdict on the way: one conditional batch in each
//! partition, all at once, that places intents with the commit's timestamp. When all are placed,
//! that is the commit, and it is acknowledged; the verdict is written afterwards, for whoever meets
//! an intent, and then the rows are finished.
//!
//! It goes as a commit of one batch does: announced and its rows read, then all gateways' rows,
//! then the timestamp. Only its gateway knows whether all intents are placed, until there is a
//! verdict. So nobody but that gateway gives one while it announces the commit; and whoever settles
//! it for a gateway that is gone fences every partition first, by which what is not placed never
//! will be, and then looks whether all are (parallel commits: Taft et al., CockroachDB, SIGMOD
//! 2020, 3.1).
//!
//! Where an intent cannot be placed at once, the others are taken back, and the next attempt waits
//! in order, with a verdict (`several`). Where it is not known whether all were placed, because
//! this gateway may have been taken for gone meanwhile, a verdict is asked for before anything is
//! taken back.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};

use super::commit::{Step, demand_row, tracked_spaces};
use super::finish::{Recorded, Rows};
use super::gateway::Gateway;
use super::locks::head_of;
use super::partitions::*;
use super::pieces::{Piece, Ready};
use super::published::{Open, OpenKind};
use super::rows::*;
use super::settle::{Sent, Sequence};
use super::whole::is_written;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::{Commit, CommitOutcome};

impl Gateway {
    /// One attempt to commit without waiting for a verdict.
    pub async fn try_implicit(
        self: &Arc<Self>,
        commit: &Commit,
        pieces: &[Piece<'_>],
    ) -> Result<Step> {
        let latches = self.latches.take_all(pieces.iter().map(|p| &p.part.partition)).await;
        let first =
            |piece: &Piece<'_>| (piece.part.partition.clone(), piece.part.writes[0].0.clone());
        let kind = OpenKind::Implicit(pieces.iter().map(first).collect());
        let open = self.open(commit.txn, kind, &tracked_spaces(commit));
        let ready = match self.prepare_implicit(commit, pieces, &open).await {
            Ok(Ok(ready)) => ready,
            other => {
                // Nothing was sent.
                self.settle_open(&open, None).await;
                self.publish_soon();
                return other.map(|step| step.err().unwrap_or(Step::Again));
            }
        };
        let ts = ready.ts;
        let (batches, rows) = place_intents(pieces, ready, open.attempt);
        let placed = self.while_told(&open, ts, self.place_all(batches, open.attempt, ts)).await;
        drop(latches);
        let recorded = match placed {
            Ok(Sent::Applied) => Some(Recorded::Later),
            Ok(Sent::Unseen) => {
                let found = self.surely(|| self.decide(open.attempt, Verdict::Aborted)).await;
                found.committed().map(|_| Recorded::Before)
            }
            Ok(Sent::Refused) | Err(_) => None,
        };
        let Some(recorded) = recorded else {
            self.take_back(&open, rows).await;
            return placed.map(|_| Step::Again);
        };
        self.remember_verdict(open.attempt, Verdict::Committed(ts));
        self.acknowledge(commit, &open, ts, rows, recorded).await;
        Ok(Step::Done(CommitOutcome::Committed(ts)))
    }

    async fn prepare_implicit(
        self: &Arc<Self>,
        commit: &Commit,
        pieces: &[Piece<'_>],
        open: &Open,
    ) -> Result<std::result::Result<Ready, Step>> {
        let rows = self.announce_and_read(commit, pieces, open).await?;
        self.prepare(commit, pieces, &rows).await
    }

    /// Sends the batches of all partitions; refused if one of them surely was, as then nobody finds
    /// all of them.
    async fn place_all(
        &self,
        batches: Vec<(Batch, Sequence, Bytes)>,
        attempt: Attempt,
        ts: Timestamp,
    ) -> Result<Sent> {
        let placing = batches.into_iter().map(|(batch, sequence, first)| {
            let select = Select::Versions(first.clone());
            let mine = move |rows: &[Row]| {
                // Or finished already, by somebody who settled it for this gateway.
                let is_placed = head_of(rows, &first)?.intent_of(attempt).is_some();
                Ok(is_placed || is_written(rows, attempt.txn, ts)?)
            };
            Box::pin(self.settle(vec![batch], sequence, select, mine)) as BoxFuture<'_, _>
        });
        let placed: Vec<Sent> = join_all(placing).await.into_iter().collect::<Result<_>>()?;
        let one = |sent| placed.contains(&sent).then_some(sent);
        Ok(one(Sent::Refused).or(one(Sent::Unseen)).unwrap_or(Sent::Applied))
    }

    /// What came of such a commit, whose gateway is sealed; it has a verdict from then on.
    pub async fn settle_implicit(
        &self,
        open: &Open,
        rows: &[(Partition, Bytes)],
    ) -> Result<Verdict> {
        for (partition, _) in rows {
            self.fence(partition).await?;
        }
        let mut found = Verdict::Aborted;
        for (partition, ck) in rows {
            let select = Select::Rows(vec![ck.clone()]);
            let rows = self.read(partition, select, Consistency::Serial).await?;
            match head_of(&rows, ck)?.intent_of(open.attempt) {
                Some(intent) => found = Verdict::Committed(intent.ts),
                // Never placed, or there is a verdict already.
                None => return self.decide(open.attempt, Verdict::Aborted).await,
            }
        }
        self.decide(open.attempt, found).await
    }
}

/// A commit's intents: for each partition the batch that places them, its number and one of its
/// rows; and the rows as they are then.
fn place_intents(
    pieces: &[Piece<'_>],
    ready: Ready,
    attempt: Attempt,
) -> (Vec<(Batch, Sequence, Bytes)>, Vec<Rows>) {
    let Ready { ts, prepared, .. } = ready;
    let (mut batches, mut all) = (Vec::new(), Vec::new());
    for (piece, mut ready) in pieces.iter().zip(prepared) {
        let sequence = ready.add_number(piece, ts);
        let mut rows = Rows::of(&piece.part);
        let mut heads = std::mem::take(&mut ready.records);
        for ((ck, write), head) in piece.part.writes.iter().zip(&mut heads) {
            demand_row(&mut ready.batch, ck, head);
            let intent = Intent { attempt, ts, deleted: write.value.is_none() };
            intent.add_to(&mut ready.batch, ck, write.value.clone());
            (head.intent, head.intent_value) = (Some(intent), write.value.clone());
        }
        batches.push((ready.batch, sequence, rows.keys[0].clone()));
        rows.heads = Some(heads);
        all.push(rows);
    }
    (batches, all)
}
