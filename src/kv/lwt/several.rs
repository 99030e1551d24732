//! Commits over several partitions: intents in all of them, then the reads are validated, then
//! one verdict.
//!
//! The timestamp is chosen above every `high` after all intents are there. Who read one of the
//! rows before its intent was there has a snapshot below it; who reads later meets the intent.
//! It is published while the verdict is on its way: who reads at it waits for the verdict. With
//! reads to validate it is published first, and the reads are looked at as a snapshot at that very
//! timestamp: whoever changes them later commits above it.
//!
//! A first attempt places its intents in all partitions at once and does not wait: where somebody
//! is in the way, it takes them back. Later ones go through the partitions in order and wait for
//! others' intents with their own in place, so that of many writers of the same rows each gets
//! its turn. Nobody waits in a circle: who waits in order waits only further up, or for first
//! attempts, which do not wait; validation waits for a bounded time; and for locks, which may be
//! held for long, intents are taken back always.

use std::sync::Arc;

use futures::StreamExt;
use futures::future::{BoxFuture, join3};

use super::commit::{Check, Part, Step, changes_schema, demand_row, tracked_spaces};
use super::deadlock::Waiting;
use super::finish::{Recorded, Rows};
use super::gateway::Gateway;
use super::locks::{Blocked, head_of};
use super::partitions::*;
use super::published::{Open, OpenKind};
use super::read::Reader;
use super::rows::*;
use super::settle::{Sent, Sequence, static_number};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::{Commit, CommitOutcome};

/// Partitions of one commit worked on at once.
const PARALLEL_MAX: usize = 64;

/// How an intent batch ended.
enum Prewrite {
    /// In place; the commit must be above this.
    Placed(Timestamp),
    Blocked(Blocked),
    Refused(CommitOutcome),
}

impl Gateway {
    /// One attempt to commit in several batches.
    pub async fn try_several(
        self: &Arc<Self>,
        commit: &Commit,
        parts: &[Vec<Part<'_>>],
        in_order: Option<&mut Waiting>,
    ) -> Result<Step> {
        let open = self.open(commit.txn, OpenKind::Several, &tracked_spaces(commit));
        let result = self.announced_several(commit, parts, &open, in_order).await;
        let rows = parts.iter().flatten().map(|part| Rows::of(part)).collect();
        match &result {
            Ok(Step::Done(CommitOutcome::Committed(ts))) => {
                self.acknowledge(commit, &open, *ts, rows, Recorded::Before).await;
            }
            _ => self.take_back(&open, rows).await,
        }
        result
    }

    async fn announced_several(
        self: &Arc<Self>,
        commit: &Commit,
        parts: &[Vec<Part<'_>>],
        open: &Open,
        in_order: Option<&mut Waiting>,
    ) -> Result<Step> {
        let attempt = open.attempt;
        let placing: BoxFuture<'_, Vec<Result<Prewrite>>> = match in_order {
            Some(waiting) => Box::pin(self.place_in_order(commit, parts, attempt, waiting)),
            None => {
                let work: Vec<BoxFuture<'_, Result<Prewrite>>> =
                    parts.iter().map(|cut| self.place_intents(commit, cut, attempt)).collect();
                Box::pin(futures::stream::iter(work).buffer_unordered(PARALLEL_MAX).collect())
            }
        };
        let logged = self.write_log(commit, open);
        let (announced, logged, placed) = join3(self.publish(), logged, placing).await;
        announced?;
        logged?;
        let mut above = attempt.floor;
        let mut blocked = None;
        for placed in placed {
            match placed? {
                Prewrite::Placed(floor) => above = above.max(floor),
                Prewrite::Blocked(by) => blocked = Some(by),
                Prewrite::Refused(outcome) => return Ok(Step::Done(outcome)),
            }
        }
        if let Some(blocked) = blocked {
            return Ok(Step::Blocked(blocked));
        }
        let view = self.view().await?;
        self.check()?;
        if let Some(blocked) = self.check_tables(commit, &view)? {
            return Ok(Step::Blocked(blocked));
        }
        let ts = self.tick_above(above.max(view.high()));
        if !commit.reads.is_empty() || !commit.ranges.is_empty() {
            let snapshot = self.snapshot_at(ts).await?;
            let reader = Reader::Attempt(attempt);
            if let Some(space) = self.changed_space(commit, &snapshot, reader).await? {
                return Ok(Step::Done(CommitOutcome::ReadConflict { space }));
            }
        }
        let deciding = self.decide(attempt, Verdict::Committed(ts));
        // Who sees a change of the schema in a `high` must find it told in the same row.
        let verdict = match changes_schema(commit) {
            true => self.while_logged(open, ts, deciding).await?,
            false => self.while_told(open, ts, deciding).await?,
        };
        Ok(match verdict {
            Verdict::Committed(ts) => Step::Done(CommitOutcome::Committed(ts)),
            Verdict::Aborted => Step::Again,
        })
    }

    /// Places intents partition after partition, waiting for those of others.
    async fn place_in_order(
        self: &Arc<Self>,
        commit: &Commit,
        parts: &[Vec<Part<'_>>],
        attempt: Attempt,
        waiting: &mut Waiting,
    ) -> Vec<Result<Prewrite>> {
        let mut placed = Vec::with_capacity(parts.len());
        for cut in parts {
            let ended = loop {
                match self.place_intents(commit, cut, attempt).await {
                    Ok(Prewrite::Blocked(by)) if by.attempt.is_some() => {
                        if let Err(error) = self.clear(&by, waiting).await {
                            break Err(error);
                        }
                    }
                    other => break other,
                }
            };
            let stop = !matches!(ended, Ok(Prewrite::Placed(_)));
            placed.push(ended);
            if stop {
                break;
            }
        }
        placed
    }

    /// Places the intents of one partition, batch after batch.
    fn place_intents<'a>(
        self: &'a Arc<Self>,
        commit: &'a Commit,
        cut: &'a [Part<'a>],
        attempt: Attempt,
    ) -> BoxFuture<'a, Result<Prewrite>> {
        Box::pin(async move {
            let mut above = Timestamp::ZERO;
            for part in cut {
                match self.place_part(commit, part, attempt).await? {
                    Prewrite::Placed(floor) => {
                        above = above.max(floor);
                        self.step();
                    }
                    other => return Ok(other),
                }
            }
            Ok(Prewrite::Placed(above))
        })
    }

    async fn place_part(
        self: &Arc<Self>,
        commit: &Commit,
        part: &Part<'_>,
        attempt: Attempt,
    ) -> Result<Prewrite> {
        let _latch = self.latches.take(&part.partition).await;
        let mut tries = 0;
        loop {
            let keys = part.writes.iter().map(|(ck, _)| ck.clone()).collect();
            let rows = self.read(&part.partition, Select::Heads(keys), Consistency::Quorum).await?;
            let first = head_of(&rows, &part.writes[0].0)?;
            if first.intent_of(attempt).is_some() {
                return Ok(Prewrite::Placed(Timestamp(static_number(&rows, Column::Gd)?)));
            }
            let records = match self.check_rows(commit, part, &rows).await? {
                Check::Fine(records) => records,
                Check::Blocked(blocked) => return Ok(Prewrite::Blocked(blocked)),
                Check::Refused(outcome) => return Ok(Prewrite::Refused(outcome)),
            };
            let seen = static_number(&rows, Column::Gd)?;
            let above = records.iter().map(|r| r.ts).fold(Timestamp(seen), Timestamp::max);
            let next = self.tick_above(above);
            let mut batch = Batch::new(&part.partition);
            let sequence = Sequence { column: Column::Gd, seen, next: next.0 };
            sequence.add_to(&mut batch);
            for ((ck, write), record) in part.writes.iter().zip(&records) {
                demand_row(&mut batch, ck, record);
                let ts = Timestamp::ZERO;
                let intent = Intent { attempt, ts, deleted: write.value.is_none() };
                intent.add_to(&mut batch, ck, write.value.clone());
            }
            let first = part.writes[0].0.clone();
            let select = Select::Heads(vec![first.clone()]);
            let mine = move |rows: &[Row]| Ok(head_of(rows, &first)?.intent_of(attempt).is_some());
            if self.settle(vec![batch], sequence, select, mine).await? == Sent::Applied {
                return Ok(Prewrite::Placed(next));
            }
            self.check()?;
            self.pause(tries).await;
            tries += 1;
        }
    }
}
