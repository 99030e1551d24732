//! Accord, as it promises to be: on the tables of spaces, every read and every transaction takes
//! effect at one moment between its request and its answer, over any partitions. What may go wrong
//! is between gateway and coordinator: requests late or lost, answers lost, no quorum.

use parking_lot::Mutex;

use super::super::partitions::{
    Applied, Batch, Partition, RingPage, RingPosition, Row, Select, Table,
};
use super::cluster::cut;
use super::replica::{Replica, Update, holds, live};

/// What all replicas agree on.
#[derive(Default)]
pub struct Accord {
    state: Mutex<(Replica, u64)>,
}

impl Accord {
    /// Batches in different partitions, all or none.
    pub fn cas(&self, batches: &[Batch]) -> Applied {
        let (replica, ballot) = &mut *self.state.lock();
        let applies = batches.iter().all(|batch| {
            let rows = replica.named(&batch.partition, &batch.conditions);
            batch.conditions.iter().all(|c| holds(&rows, c))
        });
        if !applies {
            return Applied::No;
        }
        *ballot += 1;
        for batch in batches {
            replica.learn(&batch.partition, *ballot, &Update::of(batch));
        }
        Applied::Yes
    }

    /// A SELECT.
    pub fn read(&self, partition: &Partition, select: &Select) -> Vec<Row> {
        let mut rows = self.state.lock().0.select(partition, select);
        cut(&mut rows, select)
    }

    /// A page of heads in ring order.
    pub fn ring(&self, table: Table, after: Option<&RingPosition>, limit: usize) -> RingPage {
        let (heads, all) = self.state.lock().0.ring(table, after, limit);
        let mut page = RingPage::default();
        if let Some((key, _)) = heads.last().filter(|_| !all) {
            let (partition, key) = (key.partition.clone(), key.row.key.clone());
            page.next = Some(RingPosition { partition, key });
        }
        let row = |(key, stored)| -> Option<_> {
            let key: super::replica::RingKey = key;
            Some((key.partition, live(&key.row, &stored)?))
        };
        page.rows = heads.into_iter().filter_map(row).collect();
        page
    }

    /// `DROP TABLE`
    pub fn drop_table(&self, table: Table) {
        let (replica, ballot) = &mut *self.state.lock();
        replica.drop_table(table, *ballot);
    }
}
