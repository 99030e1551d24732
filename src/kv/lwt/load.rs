//! Loads: the rows of spaces that only one open transaction knows of, written plainly.
//!
//! No intents, no verdict, no lightweight transactions: what makes these rows everybody's is the
//! commit that tells of their spaces. Rows go out in the order of the ring, those that lie beside
//! each other in one batch, so that a coordinator has most of what it is sent itself.
//!
//! A row's first version counts as committed at the transaction's own snapshot. That is above zero
//! and below its commit, so every snapshot that knows of the space sees it, and every batch that
//! changes it later has a higher timestamp.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};

use super::gateway::Gateway;
use super::partitions::*;
use super::rows::{number, place, txn_cell};
use crate::error::{Error, Result, SqlState};
use crate::kv::Load;

/// Batches of one load under way at once.
const BATCHES_AT_ONCE: usize = 32;
/// Partitions of one batch, and bytes of its keys and values if there are several: Cassandra warns
/// of more than ten, and of more than 5 KiB (`unlogged_batch_across_partitions_warn_threshold`,
/// `batch_size_warn_threshold`).
const PARTITIONS_MAX: usize = 10;
const MIXED_BYTES_MAX: usize = 2 << 10;
/// What a row takes in a batch beside its key and value.
const ROW_BYTES: usize = 64;
/// Bytes of a batch in one partition.
const BATCH_BYTES_MAX: usize = 64 << 10;
/// How long a batch is tried again that no quorum takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A row on its way.
struct Placed<'a> {
    token: i64,
    partition: Partition,
    clustering: Bytes,
    value: &'a Bytes,
}

impl Placed<'_> {
    fn bytes(&self) -> usize {
        self.partition.key.len() + self.clustering.len() + self.value.len() + ROW_BYTES
    }
}

/// Rows that go out together, all of one space.
#[derive(Default)]
struct Group {
    batches: Vec<Batch>,
    bytes: usize,
}

impl Group {
    /// Whether a row of so many bytes may join.
    fn takes(&self, row: &Placed<'_>) -> bool {
        let Some(last) = self.batches.last() else { return true };
        let bytes = self.bytes + row.bytes();
        match last.partition == row.partition {
            true if self.batches.len() == 1 => bytes <= BATCH_BYTES_MAX,
            true => bytes <= MIXED_BYTES_MAX,
            false => {
                last.partition.table == row.partition.table
                    && self.batches.len() < PARTITIONS_MAX
                    && bytes <= MIXED_BYTES_MAX
            }
        }
    }
}

impl Gateway {
    /// Writes all rows of a load.
    ///
    /// # Errors
    /// 54000 for a row that is too large, 08006 where no quorum takes a batch for long.
    pub async fn run_load(&self, load: &Load) -> Result<()> {
        let mut rows = Vec::with_capacity(load.rows.len());
        for (key, value) in &*load.rows {
            self.row_size(key, Some(value))?;
            let (partition, clustering) = place(key);
            let token = self.partitions.token(&partition.key);
            rows.push(Placed { token, partition, clustering, value });
        }
        let order = |row: &Placed<'_>| {
            let Partition { table, key } = row.partition.clone();
            (table, row.token, key, row.clustering.clone())
        };
        rows.sort_by_cached_key(order);
        let (ts, txn) = (number(load.at.0), txn_cell(load.txn));
        let mut groups: Vec<Group> = Vec::new();
        for row in rows {
            let group = match groups.last_mut() {
                Some(group) if group.takes(&row) => group,
                _ => {
                    groups.push(Group::default());
                    let Some(group) = groups.last_mut() else { continue };
                    group
                }
            };
            group.bytes += row.bytes();
            let joins = group.batches.last().is_some_and(|last| last.partition == row.partition);
            if !joins {
                group.batches.push(Batch::new(&row.partition));
            }
            let Some(batch) = group.batches.last_mut() else { continue };
            let at = RowKey::head(&row.clustering);
            // Nothing is compared; it says that there is nothing to be written over.
            batch.demand(&at, Column::Ts, None);
            batch.set(&at, Column::Ts, Some(ts.clone()));
            batch.set(&at, Column::Tx, Some(txn.clone()));
            batch.set(&at, Column::Dl, None);
            batch.set(&at, Column::Va, Some(row.value.clone()));
        }
        // The first ones make the spaces' tables, if nobody has yet.
        let space = |group: &Group| group.batches.first().map(|b| b.partition.table);
        let mut rest = &groups[..];
        while let Some((first, others)) = rest.split_first() {
            self.send_group(&first.batches).await?;
            let same = others.iter().take_while(|group| space(group) == space(first)).count();
            let sent = others[..same].iter().map(|group| self.send_group(&group.batches));
            let sent: Vec<BoxFuture<'_, Result<()>>> = sent.map(|f| Box::pin(f) as _).collect();
            stream::iter(sent).buffer_unordered(BATCHES_AT_ONCE).try_collect::<()>().await?;
            rest = &others[same..];
        }
        Ok(())
    }

    async fn send_group(&self, batches: &[Batch]) -> Result<()> {
        let (mut attempt, started) = (0, self.time.monotonic());
        loop {
            self.check()?;
            let failure = match self.partitions.load(batches).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            let refused = matches!(failure, Failure::Refused(_));
            if refused || self.since(started) >= PATIENCE {
                let error = Error::from(failure);
                return Err(match error.code() {
                    SqlState::CONNECTION_FAILURE => error.with_hint(
                        "Nothing of the load can be seen: run it again when enough of its nodes \
                         answer.",
                    ),
                    _ => error,
                });
            }
            self.pause(attempt).await;
            attempt += 1;
        }
    }
}
