//! The newest version of one key, without a snapshot.
//!
//! A QUORUM read of one row is monotonic by itself: it repairs the row before it answers. So every
//! commit that was acknowledged before is found, as a head or as an intent with its verdict. What
//! is found must be found from then on by every read anywhere, also of the other rows that the
//! same commit wrote. It is, if the commit lies
//!
//! - at or below a `high` that a quorum knows: later snapshots are at or above it; and
//! - is not announced any more by what was read of the gateways' rows after that `high` was at a
//!   quorum: its batch is settled, so a quorum has all of it.
//!
//! One read of the gateways' rows, beside that of the row, tells both of all that is not just being
//! written. For the rest a snapshot is taken that covers the version, and what is announced in the
//! partition waited for, as a read at a snapshot does.
//!
//! The same rows tell of changes of the schema. One that is not told yet, of a commit that is
//! seen, is one that still has the table closed: then nothing is answered (40001), and who asks
//! again waits for the table. The space itself cannot go while it is read: versions are held
//! below every change of the schema that is not told.
//!
//! All of that is said of the row's `ts`, so what an earlier read of the gateways' rows showed is
//! as good, if it covers `ts`: rows that were not written lately need no second request. Of
//! changes of the schema that were acknowledged since, though, an earlier read tells nothing. So
//! it is trusted for a while only, and whoever changes the schema waits for longer than that
//! before it says so, where there are other gateways (a schema lease, as in F1).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join;

use super::gateway::Gateway;
use super::locks::head_of;
use super::partitions::*;
use super::peers::View;
use super::published::Open;
use super::rows::*;
use super::tables::check_open;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::Version;

/// How long what a read of the gateways' rows tells of the schema is trusted, from its beginning.
const SCHEMA_LEASE: Duration = Duration::from_millis(100);
/// How long a change of the schema is kept from its client, so that no lease from before is left;
/// monotonic clocks may differ by half in their speed.
const SCHEMA_LEASES_END: Duration = Duration::from_millis(150);

/// What is known to be settled, by one read of the gateways' rows.
#[derive(Clone, Default)]
pub struct Settled {
    /// A `high` that was at a quorum before the read began.
    pub high: Timestamp,
    /// What the read showed.
    pub view: Arc<View>,
    /// When it began, by the monotonic clock.
    pub began: Duration,
}

impl Gateway {
    /// The newest committed version of a key.
    pub async fn newest(
        self: &Arc<Self>,
        partition: &Partition,
        key: &Bytes,
    ) -> Result<Option<Version>> {
        self.check()?;
        let _held = self.hold_newest();
        let began = self.time.monotonic();
        let reading = self.read(partition, Select::Rows(vec![key.clone()]), Consistency::Quorum);
        let rows = self.beside_view(reading).await?;
        let version = self.newest_of(partition, key, head_of(&rows, key)?, began).await?;
        self.make_sure(partition, version.as_ref()).await?;
        Ok(version)
    }

    /// What is read, and the gateways' rows beside it if they were not read lately.
    pub async fn beside_view(
        &self,
        reading: impl Future<Output = Result<Vec<Row>>>,
    ) -> Result<Vec<Row>> {
        if self.has_schema_lease() {
            return reading.await;
        }
        let (rows, view) = join(reading, self.view()).await;
        view?;
        rows
    }

    /// Has all see, from now on, what was read just now as [`Gateway::beside_view`] does.
    pub async fn make_sure(
        self: &Arc<Self>,
        partition: &Partition,
        version: Option<&Version>,
    ) -> Result<()> {
        if let Some(version) = version {
            self.secure(partition, version.ts).await?;
        }
        check_open(self.incarnation, partition, &self.known_settled().view)?;
        self.check_lease().await
    }

    /// The newest version that a row shows, whose read began then. An intent whose verdict is the
    /// commit is not acknowledged without it, and may be passed: the row stays as it is until
    /// there is one. Of intents that are the commit themselves, the verdict is waited for.
    pub async fn newest_of(
        self: &Arc<Self>,
        partition: &Partition,
        key: &Bytes,
        head: Record,
        began: Duration,
    ) -> Result<Option<Version>> {
        let (mut head, mut began) = (head, began);
        loop {
            let Some(Intent { attempt, ts, .. }) = head.intent else { return Ok(head.version()) };
            let verdict = match ts {
                Timestamp::ZERO => self.read_verdict(attempt, Consistency::Quorum).await?,
                _ => self.resolve(attempt, u32::MAX).await?,
            };
            if let Some(verdict) = verdict {
                self.finish_soon(partition, key, attempt, verdict);
            }
            if let Some(Verdict::Committed(ts)) = verdict {
                return Ok(Some(Version { ts, value: head.intent_value.clone() }));
            }
            if self.is_verdict_kept(began) {
                return Ok(head.version());
            }
            // Its record may be gone already; not so if its intent is still there.
            began = self.time.monotonic();
            head = self.read_head(partition, key).await?;
            if head.intent_of(attempt).is_some() {
                return Ok(head.version());
            }
        }
    }

    /// Has every later read, wherever, see a commit of a partition whose effect was seen.
    async fn secure(self: &Arc<Self>, partition: &Partition, ts: Timestamp) -> Result<()> {
        if self.shows(partition, ts).await? {
            return Ok(());
        }
        let snapshot = self.snapshot().await?;
        self.await_open(&snapshot, |open| open == partition).await
    }

    /// Whether they do already, by what the gateways' rows tell now.
    pub async fn shows(self: &Arc<Self>, partition: &Partition, ts: Timestamp) -> Result<bool> {
        self.observe(ts);
        if self.is_secure(partition, ts) {
            return Ok(true);
        }
        self.view().await?;
        Ok(self.is_secure(partition, ts))
    }

    fn has_schema_lease(&self) -> bool {
        let Settled { view, began, .. } = self.known_settled();
        !view.peers.is_empty() && self.since(began) < SCHEMA_LEASE
    }

    /// Waits until every other gateway has looked for changes of the schema again.
    pub async fn outwait_schema_leases(&self) {
        let view = self.view().await;
        let alone = view.is_ok_and(|view| view.others(self.incarnation).next().is_none());
        if !alone {
            self.env.sleep(SCHEMA_LEASES_END).await;
        }
    }

    fn is_secure(&self, partition: &Partition, ts: Timestamp) -> bool {
        let Settled { high, view, .. } = self.known_settled();
        #[cfg(test)]
        if self.options.unsure {
            return true;
        }
        let unsettled = |open: &Open| {
            let own = open.attempt.incarnation == self.incarnation;
            open.may_appear(|of| of == partition)
                && open.attempt.floor < ts
                && (!own || self.is_writing(open.attempt.floor))
        };
        ts <= high && !view.open().any(unsettled)
    }
}
