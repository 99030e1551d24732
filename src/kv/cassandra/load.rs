//! Loads: rows of new spaces in unlogged batches, with the columns of their tables.

use scylla::routing::partitioner::{Murmur3Partitioner, Partitioner, PartitionerHasher};
use scylla::statement::Consistency as CqlConsistency;
use scylla::statement::batch::{Batch as CqlBatch, BatchType};

use super::Cassandra;
use super::failure::{Trouble, trouble};
use super::prepared::Use;
use crate::kv::lwt::partitions::{Batch, LOAD_TIME};

/// Where a partition key lies in the ring.
pub(super) fn token(key: &[u8]) -> i64 {
    let mut hasher = Murmur3Partitioner.build_hasher();
    hasher.write(key);
    hasher.finish().value()
}

impl Cassandra {
    /// Sends batches of one space as one.
    pub(super) async fn send_load(&self, batches: &[Batch]) -> Result<(), Trouble> {
        let Some(first) = batches.first() else { return Ok(()) };
        let table = first.partition.table;
        let mut natives = self.natives(table).await?;
        loop {
            let mut statements = Vec::new();
            let mut highest = 0;
            for batch in batches {
                highest = self.names.updates(batch, &natives, &mut statements).max(highest);
            }
            if let Some(newer) = self.newer_natives(table, &natives, highest).await? {
                natives = newer;
                continue;
            }
            // Sent to a replica of its first row.
            let mut cql = CqlBatch::new(BatchType::Unlogged);
            cql.set_consistency(CqlConsistency::Quorum);
            cql.set_timestamp(Some(LOAD_TIME as i64));
            cql.set_is_idempotent(true);
            let mut values = Vec::with_capacity(statements.len());
            for (text, bound) in statements {
                cql.append_statement(self.prepared.get(&self.session, text, Use::Write).await?);
                values.push(bound);
            }
            return self.session.batch(&cql, values).await.map(drop).map_err(|e| trouble(&e));
        }
    }
}
