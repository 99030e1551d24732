//! One simulated replica: cells with write times, and the acceptor's state of each partition.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::kv::SpaceId;

use super::super::partitions::{
    Batch, CellWrite, Column, Condition, Kind, Partition, RingPosition, Row, RowKey, Select, Table,
    Test,
};

/// A ballot; zero is before all.
pub type Ballot = u64;

/// A cell: the higher write time wins, then the greater value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub time: u64,
    pub value: Option<Bytes>,
}

/// A row as a replica has it, deleted cells too.
pub type Stored = BTreeMap<Column, Cell>;
/// Rows by clustering key.
pub type Rows = BTreeMap<RowKey, Stored>;
/// What an accepted or committed ballot writes.
pub type Proposal = std::sync::Arc<Update>;

/// The writes of a conditional batch.
#[derive(Default)]
pub struct Update {
    pub writes: Vec<CellWrite>,
    pub prune: Vec<(Bytes, u64)>,
}

impl Update {
    pub fn of(batch: &Batch) -> Proposal {
        Proposal::new(Update { writes: batch.writes.clone(), prune: batch.prune.clone() })
    }

    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

#[derive(Default)]
struct Acceptor {
    promised: Ballot,
    accepted: Option<(Ballot, Proposal)>,
    committed: Option<(Ballot, Proposal)>,
}

#[derive(Default)]
struct Part {
    rows: Rows,
    acceptor: Acceptor,
}

/// A replica's answer to a prepare.
#[derive(Clone)]
pub struct Promise {
    /// None: promised. Else the higher ballot promised before.
    pub refused_for: Option<Ballot>,
    pub accepted: Option<(Ballot, Proposal)>,
    pub committed: Option<(Ballot, Proposal)>,
}

/// A partition in ring order.
type Place = (Table, u64, Bytes);

/// A replica.
#[derive(Default)]
pub struct Replica {
    parts: BTreeMap<Place, Part>,
    /// When tables were dropped. What has a ballot up to there is about the table of before.
    dropped: BTreeMap<Table, Ballot>,
}

/// The token of a partition key (FNV-1a).
pub fn token(key: &[u8]) -> u64 {
    let step = |hash: u64, b: &u8| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
    key.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn place(partition: &Partition) -> Place {
    (partition.table, token(&partition.key), partition.key.clone())
}

/// Adds a cell to a row if it wins.
pub fn put(row: &mut Stored, column: Column, cell: Cell) {
    let wins = |old: &Cell| (old.time, &old.value) < (cell.time, &cell.value);
    if row.get(&column).is_none_or(wins) {
        row.insert(column, cell);
    }
}

/// Adds rows to rows.
pub fn merge(into: &mut Rows, rows: &Rows) {
    for (key, cells) in rows {
        let row = into.entry(key.clone()).or_default();
        for (column, cell) in cells {
            put(row, *column, cell.clone());
        }
    }
}

/// A row without its deleted cells; none: nothing is left.
pub fn live(key: &RowKey, stored: &Stored) -> Option<Row> {
    let cells: Vec<(Column, Bytes)> =
        stored.iter().filter_map(|(c, cell)| Some((*c, cell.value.clone()?))).collect();
    (!cells.is_empty()).then(|| Row { key: key.clone(), cells })
}

/// Whether a condition holds of rows.
pub fn holds(rows: &Rows, condition: &Condition) -> bool {
    let cell = rows.get(&condition.row).and_then(|row| row.get(&condition.column));
    let value = cell.and_then(|cell| cell.value.as_ref());
    match &condition.test {
        Test::Is(expected) => value == expected.as_ref(),
        Test::Below(bound) => value.is_some_and(|value| value < bound),
    }
}

impl Replica {
    /// The spaces that have logs.
    pub fn logged_spaces(&self) -> Vec<SpaceId> {
        let logs = self.parts.keys().filter(|(table, ..)| *table == Table::Log);
        let space = |key: &Bytes| key.first_chunk().map(|id| SpaceId(u32::from_be_bytes(*id)));
        logs.filter_map(|(.., key)| space(key)).collect()
    }

    fn part(&mut self, partition: &Partition) -> &mut Part {
        self.parts.entry(place(partition)).or_default()
    }

    pub fn prepare(&mut self, partition: &Partition, ballot: Ballot) -> Promise {
        let dropped_at = self.dropped_at(partition);
        let acceptor = &mut self.part(partition).acceptor;
        let promised = acceptor.promised.max(dropped_at);
        let refused_for = (ballot <= promised).then_some(promised);
        acceptor.promised = acceptor.promised.max(ballot);
        Promise {
            refused_for,
            accepted: acceptor.accepted.clone(),
            committed: acceptor.committed.clone(),
        }
    }

    pub fn accept(&mut self, partition: &Partition, ballot: Ballot, proposal: &Proposal) -> bool {
        let dropped_at = self.dropped_at(partition);
        let acceptor = &mut self.part(partition).acceptor;
        let accepts = ballot >= acceptor.promised && ballot > dropped_at;
        if accepts {
            acceptor.promised = ballot;
            acceptor.accepted = Some((ballot, proposal.clone()));
        }
        accepts
    }

    pub fn learn(&mut self, partition: &Partition, ballot: Ballot, proposal: &Proposal) {
        if ballot <= self.dropped_at(partition) {
            return;
        }
        self.write(partition, &proposal.writes, ballot);
        for (key, version) in &proposal.prune {
            let (from, to) = (RowKey::history(key, *version), RowKey::history(key, 0));
            self.part(partition).rows.retain(|row, _| *row < from || *row > to);
        }
        let acceptor = &mut self.part(partition).acceptor;
        if acceptor.committed.as_ref().is_none_or(|(b, _)| *b < ballot) {
            acceptor.committed = Some((ballot, proposal.clone()));
        }
        acceptor.accepted.take_if(|(b, _)| *b <= ballot);
    }

    pub fn write(&mut self, partition: &Partition, writes: &[CellWrite], time: u64) {
        let rows = &mut self.part(partition).rows;
        for CellWrite { row, column, value } in writes {
            let cell = Cell { time, value: value.clone() };
            put(rows.entry(row.clone()).or_default(), *column, cell);
        }
    }

    /// Read repair.
    pub fn repair(&mut self, partition: &Partition, rows: &Rows) {
        let dropped_at = self.dropped_at(partition);
        let into = &mut self.part(partition).rows;
        for (key, cells) in rows {
            for (column, cell) in cells.iter().filter(|(_, cell)| cell.time > dropped_at) {
                put(into.entry(key.clone()).or_default(), *column, cell.clone());
            }
        }
    }

    fn dropped_at(&self, partition: &Partition) -> Ballot {
        self.dropped.get(&partition.table).copied().unwrap_or(0)
    }

    /// The rows a SELECT is for, whatever its LIMIT; the static ones too.
    pub fn select(&self, partition: &Partition, select: &Select) -> Rows {
        let mut found = Rows::new();
        let Some(part) = self.parts.get(&place(partition)) else { return found };
        let mut take = |key: RowKey| {
            if let Some(row) = part.rows.get(&key) {
                found.insert(key, row.clone());
            }
        };
        if !matches!(select, Select::Rows(_)) {
            take(RowKey::STATIC);
        }
        match select {
            Select::Rows(keys) | Select::Heads(keys) => {
                keys.iter().for_each(|key| take(RowKey::head(key)))
            }
            Select::Versions(key) => {
                take(RowKey::head(key));
                let from = RowKey::history(key, u64::MAX);
                let versions = part.rows.range(from..=RowKey::history(key, 0));
                found.extend(versions.map(|(k, row)| (k.clone(), row.clone())));
            }
            Select::Range { start, end, .. } => {
                let from = match start {
                    Bound::Included(key) | Bound::Excluded(key) => RowKey::head(key),
                    Bound::Unbounded => RowKey::head(&Bytes::new()),
                };
                let heads = part.rows.range(from..).take_while(|(k, _)| k.kind == Kind::Head);
                let heads = heads
                    .skip_while(|(k, _)| matches!(start, Bound::Excluded(s) if k.key == *s))
                    .take_while(|(k, _)| match end {
                        Bound::Unbounded => true,
                        Bound::Included(end) => k.key <= *end,
                        Bound::Excluded(end) => k.key < *end,
                    });
                found.extend(heads.map(|(k, row)| (k.clone(), row.clone())));
            }
        }
        found
    }

    /// The rows that conditions name.
    pub fn named(&self, partition: &Partition, conditions: &[Condition]) -> Rows {
        let Some(part) = self.parts.get(&place(partition)) else { return Rows::new() };
        let row = |c: &Condition| Some((c.row.clone(), part.rows.get(&c.row)?.clone()));
        conditions.iter().filter_map(row).collect()
    }

    /// Heads of a table in ring order, at most `limit`, and whether those were all.
    pub fn ring(
        &self,
        table: Table,
        after: Option<&RingPosition>,
        limit: usize,
    ) -> (Vec<(RingKey, Stored)>, bool) {
        let from = match after {
            Some(position) => (table, token(&position.partition), position.partition.clone()),
            None => (table, 0, Bytes::new()),
        };
        let mut found = Vec::new();
        for ((t, token, partition), part) in self.parts.range(from..) {
            if *t != table {
                break;
            }
            let after = after.filter(|a| a.partition == *partition).map(|a| &a.key);
            let start = after.map_or(RowKey::head(&Bytes::new()), RowKey::head);
            let heads = part.rows.range(start..).take_while(|(k, _)| k.kind == Kind::Head);
            for (key, row) in heads.skip_while(|(k, _)| after.is_some_and(|a| k.key == *a)) {
                if found.len() == limit {
                    return (found, false);
                }
                found.push((
                    RingKey { token: *token, partition: partition.clone(), row: key.clone() },
                    row.clone(),
                ));
            }
        }
        (found, true)
    }

    pub fn drop_table(&mut self, table: Table, ballot: Ballot) {
        self.parts.retain(|(t, _, _), _| *t != table);
        self.dropped.insert(table, ballot);
    }
}

/// A head's place in ring order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RingKey {
    pub token: u64,
    pub partition: Bytes,
    pub row: RowKey,
}
