//! Conditional batches until their outcome is known, fences, verdicts, and the commits of
//! gateways that are gone.
//!
//! A batch whose reply is missing is sent again, the same: if the first sending took effect the
//! second does not, and the rows show whose they are. If it did not, and the second sending is
//! refused, the first may still be on its way; before anyone is told that nothing happened, the
//! batch's number is made too low to ever pass (a *fence*). A number, in a static column of the
//! partition, is part of every batch for that.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::gateway::Gateway;
use super::partitions::*;
use super::peers::{Peer, Retired};
use super::published::{Open, OpenKind};
use super::rows::*;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// An attempt that its gateway does not announce is given this long before it is aborted: the
/// announcement is under way together with the first intents.
const ORPHAN_GRACE: Duration = Duration::from_millis(20);

/// Verdicts that are remembered: a scan meets an attempt's intents in many rows, and a verdict
/// never changes.
const VERDICTS_KEPT: usize = 1024;

/// A number that rises with every batch of a kind, by which late batches are told.
#[derive(Clone, Copy, Debug)]
pub struct Sequence {
    /// The static column.
    pub column: Column,
    /// What stood there when the partition was read.
    pub seen: u64,
    /// What the batch writes there.
    pub next: u64,
}

impl Sequence {
    /// The condition and the write that belong into a batch.
    pub fn add_to(self, batch: &mut Batch) {
        let test = match self.seen {
            0 => Test::Is(None),
            _ => Test::Below(number(self.next)),
        };
        batch.conditions.push(Condition { row: RowKey::STATIC, column: self.column, test });
        let value = Some(number(self.next));
        batch.writes.push(CellWrite { row: RowKey::STATIC, column: self.column, value });
    }
}

/// The row of the static columns.
pub fn static_number(rows: &[Row], column: Column) -> Result<u64> {
    let row = rows.iter().find(|r| r.key == RowKey::STATIC);
    read_number(row.and_then(|row| row.get(column)))
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It took effect.
    Applied,
    /// It did not, and never will.
    Refused,
    /// It will not any more, and nothing shows that it did. As long as nobody takes this gateway
    /// for gone, that is as good as refused. Else others may have finished what it wrote, written
    /// it over, and pruned it.
    Unseen,
}

impl Gateway {
    /// Sends a batch until it is known what became of it; several are one, all or nothing.
    /// Rows of the first one's partition selected by `select` show that to `mine`, and `sequence`
    /// is its number. An error means that nothing happened and nothing will.
    pub async fn settle(
        &self,
        batches: Vec<Batch>,
        sequence: Sequence,
        select: Select,
        mine: impl Fn(&[Row]) -> Result<bool> + Send + Sync,
    ) -> Result<Sent> {
        let mut uncertain = false;
        let mut attempt = 0;
        loop {
            match self.send(&batches).await {
                Ok(Applied::Yes) => return Ok(Sent::Applied),
                Ok(Applied::No) if !uncertain => return Ok(Sent::Refused),
                Ok(Applied::No) => {
                    let partition = &batches[0].partition;
                    return self.settle_refused(partition, sequence, select, mine).await;
                }
                Err(Failure::Uncertain) => uncertain = true,
                Err(failure @ Failure::Unavailable) if !uncertain && attempt >= 3 => {
                    return Err(failure.into());
                }
                Err(failure @ Failure::Refused(_)) if !uncertain => return Err(failure.into()),
                Err(Failure::Unavailable | Failure::Refused(_)) => {}
            }
            self.pause(attempt).await;
            attempt += 1;
        }
    }

    async fn send(&self, batches: &[Batch]) -> std::result::Result<Applied, Failure> {
        match batches {
            [batch] => self.partitions.cas(batch.clone()).await,
            _ => self.partitions.cas_all(batches.to_vec()).await,
        }
    }

    async fn settle_refused(
        &self,
        partition: &Partition,
        sequence: Sequence,
        select: Select,
        mine: impl Fn(&[Row]) -> Result<bool> + Send + Sync,
    ) -> Result<Sent> {
        let mut attempt = 0;
        loop {
            let serial = Consistency::Serial;
            if let Ok(rows) = self.partitions.read(partition, select.clone(), serial).await {
                if mine(&rows)? {
                    return Ok(Sent::Applied);
                }
                let seen = static_number(&rows, sequence.column)?;
                if seen >= sequence.next {
                    return Ok(Sent::Unseen);
                }
                let mut fence = Batch::new(partition);
                Sequence { seen, ..sequence }.add_to(&mut fence);
                let _ = self.partitions.cas(fence).await;
            }
            self.pause(attempt).await;
            attempt += 1;
        }
    }

    /// Gives an attempt a verdict, unless it has one; the one it has.
    pub async fn decide(&self, of: Attempt, wanted: Verdict) -> Result<Verdict> {
        let partition = of.record();
        let row = RowKey::head(&Bytes::new());
        let mut batch = Batch::new(&partition);
        batch.demand(&row, Column::Vd, None);
        batch.set(&row, Column::Vd, Some(wanted.encode()));
        let mut attempt = 0;
        let mut sent = false;
        loop {
            match self.partitions.cas(batch.clone()).await {
                Ok(Applied::Yes) => return Ok(wanted),
                Ok(Applied::No) => {
                    let read = self.read_verdict(of, Consistency::Serial).await;
                    if let Ok(Some(verdict)) = read {
                        return Ok(verdict);
                    }
                }
                Err(Failure::Unavailable) if !sent && attempt >= 3 => {
                    return Err(Failure::Unavailable.into());
                }
                Err(failure @ Failure::Refused(_)) if !sent => return Err(failure.into()),
                Err(Failure::Unavailable | Failure::Refused(_)) => {}
                Err(Failure::Uncertain) => sent = true,
            }
            self.pause(attempt).await;
            attempt += 1;
        }
    }

    /// An attempt's verdict, if it has one.
    pub async fn read_verdict(
        &self,
        of: Attempt,
        consistency: Consistency,
    ) -> Result<Option<Verdict>> {
        if let Some(verdict) = self.verdicts.lock().get(&of) {
            return Ok(Some(*verdict));
        }
        let select = Select::Heads(vec![Bytes::new()]);
        let rows = self.read(&of.record(), select, consistency).await?;
        let found = rows.iter().find_map(|r| r.get(Column::Vd)).map(Verdict::decode).transpose()?;
        if let Some(verdict) = found {
            self.remember_verdict(of, verdict);
        }
        Ok(found)
    }

    /// Remembers what became of an attempt.
    pub fn remember_verdict(&self, of: Attempt, verdict: Verdict) {
        let mut verdicts = self.verdicts.lock();
        if verdicts.len() >= VERDICTS_KEPT {
            verdicts.clear();
        }
        verdicts.insert(of, verdict);
    }

    /// Has a quorum know what became of an attempt, however long that takes.
    pub async fn record_verdict(&self, of: Attempt, verdict: Verdict) {
        let found = self.surely(|| self.decide(of, verdict)).await;
        if found != verdict {
            tracing::error!(?found, ?verdict, "another verdict of what was acknowledged");
        }
        debug_assert_eq!(found, verdict, "of what was acknowledged");
    }

    /// The verdict of an attempt whose intent was met. Waits while its gateway goes on with it;
    /// aborts it where nobody does. None: still open after `looks`.
    pub async fn resolve(self: &Arc<Self>, of: Attempt, looks: u32) -> Result<Option<Verdict>> {
        let since = self.time.monotonic();
        let mut attempt = 0;
        loop {
            if let Some(verdict) = self.read_verdict(of, Consistency::Quorum).await? {
                return Ok(Some(verdict));
            }
            let own = of.incarnation == self.incarnation;
            if !own || !self.has_open(of.floor) {
                let view = self.view().await?;
                let peer = view.peer(of.incarnation);
                if let Some(peer) = peer.filter(|p| p.retired < Retired::Settled && !own)
                    && (peer.retired == Retired::Sealed || self.is_expired(peer))
                {
                    self.retire(of.incarnation).await?;
                    continue;
                }
                let waited = self.time.monotonic().saturating_sub(since);
                let gone = peer.is_none_or(|p| p.retired > Retired::No);
                if own || gone || (!view.is_open(of) && waited > ORPHAN_GRACE) {
                    return Ok(Some(self.decide(of, Verdict::Aborted).await?));
                }
            }
            if attempt >= looks {
                return Ok(None);
            }
            if attempt == 0 {
                self.count_wait();
            }
            self.pause_or_progress(attempt).await;
            attempt += 1;
        }
    }

    /// Waits until it is decided what comes of an announced commit.
    pub async fn wait_settled(self: &Arc<Self>, open: &Open) -> Result<()> {
        let mut attempt = 0;
        loop {
            if open.attempt.incarnation == self.incarnation {
                if !self.is_undecided(open.attempt.floor) {
                    return Ok(());
                }
            } else {
                let view = self.view().await?;
                let peer = view.peer(open.attempt.incarnation);
                let Some(peer) = peer.filter(|p| p.retired < Retired::Settled) else {
                    return Ok(());
                };
                if !peer.is_undecided(open.attempt) {
                    return Ok(());
                }
                if peer.retired == Retired::Sealed || self.is_expired(peer) {
                    self.retire(open.attempt.incarnation).await?;
                    return Ok(());
                }
            }
            self.check()?;
            if attempt == 0 {
                self.count_wait();
            }
            self.pause_or_progress(attempt).await;
            attempt += 1;
        }
    }

    /// Retires a gateway: the seal first, then its announcements, so that either this gateway
    /// sees an announcement or that gateway sees the seal. Any number of gateways may do it at
    /// once; in each only one of those that wait, or their batches would be in each other's way.
    pub async fn retire(self: &Arc<Self>, incarnation: Incarnation) -> Result<()> {
        let _one = self.retiring.lock().await;
        let view = self.view().await?;
        if view.peer(incarnation).is_none_or(|peer| peer.retired == Retired::Settled) {
            return Ok(());
        }
        tracing::warn!(incarnation, "retiring a gateway");
        self.set_retired(incarnation, Retired::Sealed).await?;
        let view = self.view().await?;
        if let Some(peer) = view.peer(incarnation) {
            self.settle_all_of(peer).await?;
            self.publish().await?;
        }
        self.set_retired(incarnation, Retired::Settled).await
    }

    async fn settle_all_of(self: &Arc<Self>, peer: &Peer) -> Result<()> {
        for open in &peer.state.open {
            let committed = match &open.kind {
                OpenKind::Whole(partitions) => {
                    // All or nothing: one partition decides for all.
                    if let Some(partition) = partitions.first() {
                        self.fence(partition).await?;
                    }
                    self.find_whole(open, partitions).await?
                }
                OpenKind::Implicit(rows) => self.settle_implicit(open, rows).await?.committed(),
                OpenKind::Several => {
                    let verdict = self.decide(open.attempt, Verdict::Aborted).await?;
                    if let Verdict::Committed(ts) = verdict {
                        // It may have changed the schema; who looks again loses little.
                        self.tables.forget(ts);
                        self.schema_changed(ts);
                    }
                    verdict.committed()
                }
            };
            match committed {
                Some(ts) => self.observe(ts),
                // It has gone on since, and settled this one itself: what it wrote may be written
                // over and pruned by now. As long as it announces it, nothing of it is pruned.
                None if !self.is_announced(open.attempt).await? => continue,
                None => {}
            }
            self.write_outcome(open, committed).await?;
        }
        Ok(())
    }

    async fn is_announced(self: &Arc<Self>, attempt: Attempt) -> Result<bool> {
        let view = self.view().await?;
        Ok(view.peer(attempt.incarnation).is_some_and(|peer| peer.is_undecided(attempt)))
    }

    /// Makes every single-batch commit that was prepared for a partition fail, unless it is
    /// there already.
    pub(super) async fn fence(&self, partition: &Partition) -> Result<()> {
        let mut attempt = 0;
        let mut nonce = [0; 8];
        self.time.random(&mut nonce);
        let nonce = Bytes::copy_from_slice(&nonce);
        loop {
            let select = Select::Heads(Vec::new());
            let rows = self.read(partition, select, Consistency::Serial).await?;
            let statics = rows.iter().find(|r| r.key == RowKey::STATIC);
            let seen = statics.and_then(|r| r.get(Column::Fe)).cloned();
            if seen.as_ref() == Some(&nonce) {
                return Ok(());
            }
            let mut batch = Batch::new(partition);
            batch.demand(&RowKey::STATIC, Column::Fe, seen);
            batch.set(&RowKey::STATIC, Column::Fe, Some(nonce.clone()));
            if let Ok(Applied::Yes) = self.partitions.cas(batch).await {
                return Ok(());
            }
            self.pause(attempt).await;
            attempt += 1;
        }
    }

    /// Whether a fenced commit had taken effect, and when; asked for tracked commits only.
    async fn find_whole(&self, open: &Open, partitions: &[Partition]) -> Result<Option<Timestamp>> {
        let Some((space, at)) = open.log.first() else { return Ok(None) };
        let Some(keys) = self.logged_keys(*space, open.attempt.incarnation, *at).await? else {
            // Nothing was sent: the log comes first.
            return Ok(None);
        };
        for key in &keys {
            let (of, clustering) = place(key);
            if !partitions.contains(&of) {
                continue;
            }
            let select = Select::Versions(clustering);
            let rows = self.read(&of, select, Consistency::Serial).await?;
            for row in &rows {
                let record = Record::read(Some(row))?;
                if record.txn == open.attempt.txn && record.ts > open.attempt.floor {
                    return Ok(Some(record.ts));
                }
            }
            return Ok(None);
        }
        Err(Error::corrupted("a change log row names no key of its commit's partitions"))
    }
}
