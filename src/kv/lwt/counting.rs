//! Counts what a transaction asks of the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::partitions::*;
use crate::kv::foreign::Foreign;
use crate::kv::{NativeColumn, Pace, Requests, SpaceId};

/// A way to the cluster on which requests are counted.
pub struct Counting {
    /// Where they go.
    pub below: Arc<dyn Partitions>,
    /// Where they are counted.
    pub requests: Arc<Requests>,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counting {
    /// Takes note of an answer that did not come: such requests are sent again.
    fn noted<T>(&self, answer: Result<T, Failure>) -> Result<T, Failure> {
        if matches!(answer, Err(Failure::Uncertain | Failure::Unavailable)) {
            add(&self.requests.retries);
        }
        answer
    }
}

#[async_trait]
impl Partitions for Counting {
    async fn read(
        &self,
        partition: &Partition,
        select: Select,
        consistency: Consistency,
    ) -> Result<Vec<Row>, Failure> {
        add(match consistency {
            Consistency::Quorum => &self.requests.reads,
            Consistency::Serial => &self.requests.serial_reads,
        });
        self.noted(self.below.read(partition, select, consistency).await)
    }

    async fn ring(
        &self,
        table: Table,
        after: Option<RingPosition>,
        limit: usize,
    ) -> Result<RingPage, Failure> {
        add(&self.requests.reads);
        self.noted(self.below.ring(table, after, limit).await)
    }

    async fn write(
        &self,
        partition: &Partition,
        writes: Vec<CellWrite>,
        timestamp: u64,
    ) -> Result<(), Failure> {
        add(&self.requests.writes);
        self.noted(self.below.write(partition, writes, timestamp).await)
    }

    async fn cas(&self, batch: Batch) -> Result<Applied, Failure> {
        add(&self.requests.lwts);
        let answer = self.noted(self.below.cas(batch).await);
        if answer == Ok(Applied::No) {
            add(&self.requests.conflicts);
        }
        answer
    }

    async fn describe(
        &self,
        space: SpaceId,
        name: &str,
        columns: &[NativeColumn],
    ) -> Result<(), Failure> {
        self.below.describe(space, name, columns).await
    }

    fn reach(&self) -> Reach {
        self.below.reach()
    }

    async fn cas_all(&self, batches: Vec<Batch>) -> Result<Applied, Failure> {
        add(&self.requests.lwts);
        let answer = self.noted(self.below.cas_all(batches).await);
        if answer == Ok(Applied::No) {
            add(&self.requests.conflicts);
        }
        answer
    }

    fn token(&self, key: &[u8]) -> i64 {
        self.below.token(key)
    }

    async fn load(&self, batches: &[Batch]) -> Result<(), Failure> {
        add(&self.requests.writes);
        self.noted(self.below.load(batches).await)
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, Failure> {
        self.below.spaces().await
    }

    async fn remove(&self, table: Table) -> Result<(), Failure> {
        self.below.remove(table).await
    }

    async fn size(&self, table: Table) -> Result<(u64, u64), Failure> {
        add(&self.requests.reads);
        self.noted(self.below.size(table).await)
    }

    fn pace(&self) -> Option<Pace> {
        self.below.pace()
    }

    fn foreign(&self) -> Option<&dyn Foreign> {
        self.below.foreign()
    }
}
