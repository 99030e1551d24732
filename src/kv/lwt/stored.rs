//! Which version of each row a timestamp shows, from all stored rows of a space.
//!
//! A partition's heads come before its history, both by clustering key, as Cassandra stores them.
//! A head at or below the timestamp is the answer; above it, the links lead through the history.
//! What cannot be said from stored rows alone is left to a read through the store: rows with an
//! intent that may commit at or below the timestamp, and rows whose link leads nowhere, because
//! of what replicas have yet to learn.
//!
//! The timestamp is resolved and held before the rows are flushed. So whatever committed at or
//! below it is at a quorum of replicas, as a head, as an intent or in the history; and the rows
//! of a quorum, put together cell by cell, show it, just as one QUORUM read would.

use bytes::Bytes;

use super::partitions::{Column, Kind, Row};
use super::rows::{Record, key_at};
use crate::clock::Timestamp;
use crate::error::{Error, Result, SqlState};
use crate::kv::{Entry, Key, SpaceId};

/// Rows that are left to the store; with more of them the store had better read all.
pub const UNSETTLED_MAX: usize = 100_000;

/// Goes over stored rows.
pub struct Stored {
    space: SpaceId,
    at: Timestamp,
    partition: Bytes,
    /// Rows of the partition whose version is in the history: clustering key and the version
    /// that is looked for; zero: found, or none.
    waiting: Vec<(Bytes, Timestamp)>,
    /// How many of them lie before the history as far as it was read.
    passed: usize,
    unsettled: Vec<Key>,
}

impl Stored {
    /// For the rows of a space at a timestamp.
    pub fn new(space: SpaceId, at: Timestamp) -> Stored {
        Stored {
            space,
            at,
            partition: Bytes::new(),
            waiting: Vec::new(),
            passed: 0,
            unsettled: Vec::new(),
        }
    }

    /// Takes the next row; gives the live version that is known by it.
    ///
    /// # Errors
    /// XX001 for rows that were not written so, 54000 where too many are left.
    pub fn row(&mut self, partition: &Bytes, row: &Row) -> Result<Option<Entry>> {
        if *partition != self.partition {
            self.end_partition()?;
            self.partition = partition.clone();
        }
        match row.key.kind {
            Kind::Static => Ok(None),
            Kind::Head => self.head(row),
            Kind::History => self.history(row),
        }
    }

    fn head(&mut self, row: &Row) -> Result<Option<Entry>> {
        let head = Record::read(Some(row))?;
        if head.intent.is_some_and(|intent| intent.may_be_at(self.at)) {
            self.leave(&row.key.key)?;
        } else if head.ts <= self.at {
            return Ok(self.entry(&row.key.key, head));
        } else if head.previous > Timestamp::ZERO {
            self.waiting.push((row.key.key.clone(), head.previous));
        }
        Ok(None)
    }

    fn history(&mut self, row: &Row) -> Result<Option<Entry>> {
        let key = &row.key.key;
        while self.waiting.get(self.passed).is_some_and(|(waiting, _)| waiting < key) {
            self.passed += 1;
        }
        let Some((waiting, wanted)) = self.waiting.get_mut(self.passed) else { return Ok(None) };
        // A version without its timestamp is not all there.
        if waiting != key || wanted.0 != row.key.version || row.get(Column::Ts).is_none() {
            return Ok(None);
        }
        let version = Record::read(Some(row))?;
        if version.ts <= self.at {
            *wanted = Timestamp::ZERO;
            return Ok(self.entry(key, version));
        }
        *wanted = version.previous;
        Ok(None)
    }

    fn entry(&self, key: &Bytes, record: Record) -> Option<Entry> {
        let key = key_at(self.space, &self.partition, key);
        record.value.map(|value| Entry { key, ts: record.ts, value })
    }

    fn leave(&mut self, key: &Bytes) -> Result<()> {
        if self.unsettled.len() >= UNSETTLED_MAX {
            let message = "too many rows are being written";
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        self.unsettled.push(key_at(self.space, &self.partition, key));
        Ok(())
    }

    fn end_partition(&mut self) -> Result<()> {
        self.passed = 0;
        for (key, wanted) in std::mem::take(&mut self.waiting) {
            if wanted > Timestamp::ZERO {
                self.leave(&key)?;
            }
        }
        Ok(())
    }

    /// The keys that are left to the store, in order.
    pub fn end(mut self) -> Result<Vec<Key>> {
        self.end_partition()?;
        self.unsettled.sort_unstable();
        Ok(self.unsettled)
    }
}

#[cfg(test)]
mod tests {
    use super::super::partitions::RowKey;
    use super::super::rows::{Attempt, Intent, number};
    use super::*;
    use crate::kv::TxnId;

    fn row(key: RowKey, ts: u64, previous: u64, value: &str) -> Row {
        let mut cells = vec![(Column::Ts, number(ts))];
        if previous > 0 {
            cells.push((Column::Pv, number(previous)));
        }
        if value.is_empty() {
            cells.push((Column::Dl, Bytes::from_static(&[0])));
        } else {
            cells.push((Column::Va, Bytes::copy_from_slice(value.as_bytes())));
        }
        Row { key, cells }
    }

    fn head(key: &'static str) -> RowKey {
        RowKey::head(&Bytes::from_static(key.as_bytes()))
    }

    fn history(key: &'static str, version: u64) -> RowKey {
        RowKey::history(&Bytes::from_static(key.as_bytes()), version)
    }

    #[test]
    fn links_lead_through_the_history() {
        let intent = |floor: u64| {
            let attempt = Attempt { txn: TxnId(1), incarnation: 1, floor: Timestamp(floor) };
            (Column::In, Intent { attempt, ts: Timestamp::ZERO, deleted: true }.encode())
        };
        let mut locked = row(head("f"), 4, 0, "f4");
        locked.cells.push(intent(9));
        let mut later = row(head("g"), 4, 0, "g4");
        later.cells.push(intent(10));
        let rows = [
            Row { key: RowKey::STATIC, cells: vec![] },
            row(head("a"), 10, 5, "a10"),
            row(head("b"), 12, 11, "b12"),
            row(head("c"), 11, 0, "c11"),
            row(head("d"), 11, 9, "d11"),
            row(head("e"), 11, 9, "e11"),
            locked,
            later,
            row(head("h"), 5, 2, ""),
            row(history("a", 5), 5, 0, "a5"),
            row(history("b", 11), 11, 7, "b11"),
            row(history("b", 7), 7, 3, "b7"),
            row(history("b", 3), 3, 0, "b3"),
            row(history("d", 8), 8, 0, "d8"),
            row(history("e", 9), 9, 1, ""),
        ];
        let mut stored = Stored::new(SpaceId(5), Timestamp(10));
        let mut found = Vec::new();
        for partition in [&b"\x01p"[..], b"\x01q"] {
            let partition = Bytes::copy_from_slice(partition);
            for row in &rows {
                found.extend(stored.row(&partition, row).unwrap());
            }
        }
        let values: Vec<&[u8]> = found.iter().map(|e| e.value.as_ref()).collect();
        assert_eq!(values[..values.len() / 2], [&b"a10"[..], b"g4", b"b7"]);
        assert_eq!(found[0].key.tail(), b"pa");
        let left: Vec<Vec<u8>> =
            stored.end().unwrap().iter().map(|key| key.tail().to_vec()).collect();
        assert_eq!(left, [&b"pd"[..], b"pf", b"qd", b"qf"]);
    }
}
