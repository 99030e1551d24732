//! Removal of attempts' records (the `transactions` table), so that commits over several
//! partitions leave nothing behind but their rows.
//!
//! Only the gateway that made an attempt removes its record, and only when nothing can ask for it
//! in good faith any more:
//!
//! 1. all its rows are finished: a read at QUORUM from then on shows none of its intents;
//! 2. a quorum knows that it is not announced any more, and after that this gateway has read that
//!    nobody has sealed it: so whoever seals it later finds nothing to settle;
//! 3. that is `record_kept` ago.
//!
//! Who read an intent before 1 and asks for the verdict after 3 finds none, or aborts an attempt
//! that was committed: an abort then means nothing, as no row has the intent. So an abort counts
//! only if the intent is there in a read that began after the verdict was known, and "no verdict
//! yet" only within half of `record_kept` after the read of the row began (monotonic clocks may
//! differ by half in their speed). A commit's verdict is always what it says.
//!
//! A removed cell has a write time above every ballot: what is written there later is not seen.
//! Records of gateways that died within `record_kept` stay.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::gateway::Gateway;
use super::partitions::*;
use super::rows::Attempt;

/// Records that wait for their removal; of what comes beyond, records stay.
const WAITING_MAX: usize = 1 << 16;
/// Records removed at once.
const PARALLEL_MAX: usize = 16;
/// The write time of a removal for good: above every ballot, which are microseconds of this
/// millennium, and every timestamp of a commit.
pub const REMOVAL_TIME: u64 = 1 << 62;

/// Attempts whose rows are finished.
#[derive(Default)]
pub struct Records {
    /// Since when, by the monotonic clock.
    waiting: Mutex<VecDeque<(Duration, Attempt)>>,
    removing: AtomicBool,
}

impl Gateway {
    /// An attempt of this gateway is over, its rows are finished, and its announcement is taken
    /// back: the next publication does not have it.
    pub fn record_done(&self, of: Attempt) {
        let mut waiting = self.records.waiting.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push_back((self.time.monotonic(), of));
        }
    }

    /// Removes, in the background, what has waited for long enough. The caller has published, and
    /// then read all gateways' rows.
    pub fn remove_records(self: &Arc<Self>, published_from: Duration) {
        if self.check().is_err() || self.records.removing.swap(true, Ordering::SeqCst) {
            return;
        }
        let gone = self.take_old_records(published_from);
        if gone.is_empty() {
            self.records.removing.store(false, Ordering::SeqCst);
            return;
        }
        let this = self.in_background();
        self.env.spawn(Box::pin(async move {
            let removals = gone.into_iter().map(|of| Box::pin(this.remove_record(of)) as _);
            let removals: Vec<BoxFuture<'_, ()>> = removals.collect();
            futures::stream::iter(removals).buffer_unordered(PARALLEL_MAX).collect::<()>().await;
            this.records.removing.store(false, Ordering::SeqCst);
        }));
    }

    /// Those that have waited for long enough, which wait no more.
    fn take_old_records(&self, published_from: Duration) -> Vec<Attempt> {
        let kept = self.options.record_kept;
        let is_old = |since: Duration| since < published_from && self.since(since) > kept;
        let mut waiting = self.records.waiting.lock();
        let old = waiting.iter().take_while(|(since, _)| is_old(*since)).count();
        waiting.drain(..old).map(|(_, of)| of).collect()
    }

    async fn remove_record(&self, of: Attempt) {
        let (row, column) = (RowKey::head(&Bytes::new()), Column::Vd);
        let write = CellWrite { row, column, value: None };
        if let Err(error) = self.write(&of.record(), vec![write], REMOVAL_TIME).await {
            tracing::debug!(%error, "a commit's record stays");
        }
    }

    /// Whether it believes every abort, as a test may want.
    pub fn is_credulous(&self) -> bool {
        #[cfg(test)]
        return self.options.credulous;
        #[cfg(not(test))]
        false
    }

    /// Whether an attempt without a verdict is undecided, if its intent was in a row whose read
    /// began then.
    pub fn is_verdict_kept(&self, since: Duration) -> bool {
        self.since(since) < self.options.record_kept / 2
    }
}
