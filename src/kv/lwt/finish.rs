//! What follows when it is decided what comes of a commit that placed intents: all is told that its
//! caller may rely on, and then its rows get their heads, or their intents are taken out.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;

use super::commit::{Part, changes_schema, supersede, write_head};
use super::gateway::Gateway;
use super::locks::{head_of, ts_cell};
use super::partitions::*;
use super::published::Open;
use super::rows::*;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::Commit;

/// Partitions of one commit worked on at once.
const PARALLEL_MAX: usize = 64;

/// When a commit's verdict is on record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is what made it a commit.
    Before,
    /// It is still to be written.
    Later,
}

/// Rows of one partition that have an attempt's intents, or may have.
pub struct Rows {
    /// The partition.
    pub partition: Partition,
    /// Their clustering keys.
    pub keys: Vec<Bytes>,
    /// Their heads with the intents, in the order of the keys, if that is known.
    pub heads: Option<Vec<Record>>,
}

impl Rows {
    /// Those that a part writes.
    pub fn of(part: &Part<'_>) -> Rows {
        let keys = part.writes.iter().map(|(ck, _)| ck.clone()).collect();
        Rows { partition: part.partition.clone(), keys, heads: None }
    }
}

impl Gateway {
    /// All that must be known of a commit that is decided before its caller hears of it; the rest
    /// is done in the background.
    pub async fn acknowledge(
        self: &Arc<Self>,
        commit: &Commit,
        open: &Open,
        ts: Timestamp,
        rows: Vec<Rows>,
        recorded: Recorded,
    ) {
        if changes_schema(commit) {
            self.tables.changed(commit.txn, ts);
            self.schema_changed(ts);
        }
        self.decided(open.attempt.floor, Some(ts));
        match changes_schema(commit) {
            true => self.surely(|| self.publish()).await,
            false => self.tell_settled(open, ts).await,
        }
        let (this, attempt) = (self.in_background(), open.attempt);
        self.env.spawn(Box::pin(async move {
            if recorded == Recorded::Later {
                this.record_verdict(attempt, Verdict::Committed(ts)).await;
            }
            this.finish_all(&rows, attempt, Verdict::Committed(ts)).await;
            this.close_open(attempt.floor, Some(ts));
            this.record_done(attempt);
            this.publish_later();
        }));
        if changes_schema(commit) {
            self.outwait_schema_leases().await;
        }
    }

    /// Takes back an attempt's intents, for which nobody will ever decide.
    pub async fn take_back(self: &Arc<Self>, open: &Open, mut rows: Vec<Rows>) {
        // Some may not have been placed.
        rows.iter_mut().for_each(|rows| rows.heads = None);
        self.finish_all(&rows, open.attempt, Verdict::Aborted).await;
        self.settle_open(open, None).await;
        // Others may have given it a verdict, or are about to.
        self.record_done(open.attempt);
        self.publish_soon();
    }

    /// Replaces an attempt's intents in rows of one partition by what they came to.
    pub async fn finish_rows(
        self: &Arc<Self>,
        rows: &Rows,
        of: Attempt,
        verdict: Verdict,
    ) -> Result<()> {
        let _latch = self.latches.take(&rows.partition).await;
        let mut known = rows.heads.clone();
        let mut attempt = 0;
        loop {
            let heads = match known.take() {
                Some(heads) => heads,
                None => self.read_heads(rows).await?,
            };
            let batch = self.finishing(rows, &heads, of, verdict);
            if batch.conditions.is_empty() {
                break;
            }
            if let Ok(Applied::Yes) = self.partitions.cas(batch).await {
                break;
            }
            // The rows say what is left to do.
            if attempt > 0 {
                self.pause(attempt).await;
            }
            attempt += 1;
        }
        self.progress.notify_waiters();
        Ok(())
    }

    async fn read_heads(&self, rows: &Rows) -> Result<Vec<Record>> {
        let select = Select::Rows(rows.keys.clone());
        let found = self.read(&rows.partition, select, Consistency::Quorum).await?;
        rows.keys.iter().map(|ck| head_of(&found, ck)).collect()
    }

    /// The batch that does that, by the rows' heads.
    fn finishing(&self, rows: &Rows, heads: &[Record], of: Attempt, verdict: Verdict) -> Batch {
        let mut batch = Batch::new(&rows.partition);
        for (ck, head) in rows.keys.iter().zip(heads) {
            let Some(intent) = head.intent_of(of) else { continue };
            let row = RowKey::head(ck);
            batch.demand(&row, Column::In, Some(intent.encode()));
            batch.demand(&row, Column::Ts, ts_cell(head.ts));
            batch.set(&row, Column::In, None);
            batch.set(&row, Column::Iv, None);
            if let Verdict::Committed(ts) = verdict {
                batch.demand(&row, Column::Lk, head.locks_cell.clone());
                supersede(&mut batch, ck, head, self.known_horizon());
                write_head(&mut batch, ck, head, ts, of.txn, head.intent_value.clone());
            }
        }
        batch
    }

    async fn finish_all(self: &Arc<Self>, rows: &[Rows], of: Attempt, verdict: Verdict) {
        let work = rows.iter().map(|rows| self.surely(move || self.finish_rows(rows, of, verdict)));
        let work: Vec<BoxFuture<'_, ()>> = work.map(|f| Box::pin(f) as _).collect();
        futures::stream::iter(work).buffer_unordered(PARALLEL_MAX).collect::<()>().await;
    }

    /// Whether this gateway is about to finish an attempt's rows itself. Then nobody of it may do
    /// that before: it knows a verdict that is not on record yet, and who settles the attempt for
    /// it, should it die until then, looks for intents.
    fn finishes_itself(&self, of: Attempt) -> bool {
        of.incarnation == self.incarnation && self.has_open(of.floor)
    }

    /// Finishes a row now, for an attempt that was met. False: that will be done.
    pub async fn finish_row(
        self: &Arc<Self>,
        partition: &Partition,
        key: &Bytes,
        of: Attempt,
        verdict: Verdict,
    ) -> Result<bool> {
        if self.finishes_itself(of) {
            return Ok(false);
        }
        let rows = Rows { partition: partition.clone(), keys: vec![key.clone()], heads: None };
        self.finish_rows(&rows, of, verdict).await?;
        Ok(true)
    }

    /// The same in the background.
    pub fn finish_soon(
        self: &Arc<Self>,
        partition: &Partition,
        key: &Bytes,
        of: Attempt,
        verdict: Verdict,
    ) {
        let (this, partition, key) = (self.in_background(), partition.clone(), key.clone());
        self.env.spawn(Box::pin(async move {
            // Its own gateway does the same, or the next one that meets it.
            let _ = this.finish_row(&partition, &key, of, verdict).await;
        }));
    }
}
