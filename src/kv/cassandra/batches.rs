//! What is written goes out in unlogged batches: conditional ones, plain cells, loads.

use scylla::response::query_result::QueryResult;
use scylla::routing::partitioner::{Murmur3Partitioner, Partitioner, PartitionerHasher};
use scylla::statement::Consistency as CqlConsistency;
use scylla::statement::batch::{Batch as CqlBatch, BatchType};

use super::Cassandra;
use super::cql::Bound_;
use super::failure::{Trouble, trouble};
use super::native::Natives;
use super::prepared::Use;
use super::rows::applied;
use crate::kv::lwt::partitions::{Applied, Batch, CellWrite, LOAD_TIME, Partition, Table};

/// Where a partition key lies in the ring.
pub(super) fn token(key: &[u8]) -> i64 {
    let mut hasher = Murmur3Partitioner.build_hasher();
    hasher.write(key);
    hasher.finish().value()
}

/// A batch that a quorum answers, without statements yet.
fn unlogged(idempotent: bool) -> CqlBatch {
    let mut cql = CqlBatch::new(BatchType::Unlogged);
    cql.set_consistency(CqlConsistency::Quorum);
    cql.set_is_idempotent(idempotent);
    cql
}

impl Cassandra {
    /// Sends a batch whose conditions decide whether it is applied.
    pub(super) async fn send_batch(&self, batch: &Batch) -> Result<Applied, Trouble> {
        let mut cql = unlogged(false);
        cql.set_serial_consistency(Some(self.about.domain.consistency()));
        cql.set_execution_profile_handle(Some(self.about.conditional.clone()));
        let table = batch.partition.table;
        let conditional = |natives: &Natives| self.names.conditional(batch, natives);
        let statements = self.with_natives(table, conditional).await?;
        let answer = self.send_statements(cql, statements, Use::Conditional).await?;
        let answer = answer.into_rows_result().map_err(|e| Trouble::Defect(e.to_string()))?;
        applied(&answer)
    }

    /// Sends cells of one partition.
    pub(super) async fn send_writes(
        &self,
        partition: &Partition,
        writes: &[CellWrite],
        timestamp: u64,
    ) -> Result<(), Trouble> {
        let mut statements = self.names.plain(partition, writes, timestamp);
        if statements.len() == 1 {
            let Some((text, values)) = statements.pop() else { return Ok(()) };
            let statement = self.prepared.get(&self.session, text, Use::Write).await?;
            let done = self.session.execute_unpaged(&statement, &values).await;
            return done.map(drop).map_err(|e| trouble(&e));
        }
        self.send_statements(unlogged(true), statements, Use::Write).await.map(drop)
    }

    /// Sends batches of one space as one, to a replica of its first row.
    pub(super) async fn send_load(&self, batches: &[Batch]) -> Result<(), Trouble> {
        let Some(first) = batches.first() else { return Ok(()) };
        let updates = |natives: &Natives| {
            let mut statements = Vec::new();
            let highest = batches.iter().map(|b| self.names.updates(b, natives, &mut statements));
            let highest = highest.max().unwrap_or(0);
            (statements, highest)
        };
        let statements = self.with_natives(first.partition.table, updates).await?;
        let mut cql = unlogged(true);
        cql.set_timestamp(Some(LOAD_TIME as i64));
        self.send_statements(cql, statements, Use::Write).await.map(drop)
    }

    /// What `made` makes of a table's columns of values and says which of them it needs.
    async fn with_natives<T>(
        &self,
        table: Table,
        made: impl Fn(&Natives) -> (T, u16),
    ) -> Result<T, Trouble> {
        let natives = self.natives(table).await?;
        let (it, highest) = made(&natives);
        Ok(match self.newer_natives(table, &natives, highest).await? {
            Some(natives) => made(&natives).0,
            None => it,
        })
    }

    /// Prepares statements, puts them into a batch and sends that.
    async fn send_statements(
        &self,
        mut cql: CqlBatch,
        statements: Vec<Bound_>,
        usage: Use,
    ) -> Result<QueryResult, Trouble> {
        let mut values = Vec::with_capacity(statements.len());
        for (text, bound) in statements {
            cql.append_statement(self.prepared.get(&self.session, text, usage).await?);
            values.push(bound);
        }
        self.session.batch(&cql, values).await.map_err(|e| trouble(&e))
    }
}
