//! Statement texts, with the values they are given, and the definitions of tables.
//!
//! What the protocol calls static columns of a space lies in a row of its own, of kind 0: a
//! SELECT for rows that are not there gives no static columns, and that row can be asked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Bound;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::rows::Value;
use crate::kv::lwt::partitions::*;

/// A statement's text and values.
pub(super) type Bound_ = (String, Vec<Value>);

/// Columns of a space's table, in the order they are selected in, after the clustering key.
pub(super) const SPACE_COLUMNS: &[Column] = &[
    Column::Gd,
    Column::Lg,
    Column::Fe,
    Column::Ts,
    Column::Tx,
    Column::Pv,
    Column::Dl,
    Column::Va,
    Column::Lk,
    Column::In,
    Column::Iv,
];

/// The columns that a read of a table gives.
pub(super) fn columns(table: Table) -> &'static [Column] {
    match table {
        Table::Gateways => &[Column::St, Column::Rt],
        Table::Transactions => &[Column::Vd, Column::Wt],
        Table::Log => &[Column::Ch, Column::Oc],
        Table::Space(_) => SPACE_COLUMNS,
    }
}

fn name(column: Column) -> &'static str {
    match column {
        Column::Gd => "gd",
        Column::Lg => "lg",
        Column::Fe => "fe",
        Column::Ts => "ts",
        Column::Tx => "tx",
        Column::Pv => "pv",
        Column::Dl => "dl",
        Column::Va => "va",
        Column::Lk => "lk",
        Column::In => "\"in\"",
        Column::Iv => "iv",
        Column::Vd => "vd",
        Column::Wt => "wt",
        Column::St => "st",
        Column::Rt => "rt",
        Column::Ch => "ch",
        Column::Oc => "oc",
        Column::Tr => "tr",
    }
}

fn kind(kind: Kind) -> i8 {
    match kind {
        Kind::Static => 0,
        Kind::Head => 1,
        Kind::History => 2,
    }
}

/// Names in one keyspace.
pub(super) struct Names {
    /// The keyspace.
    pub keyspace: String,
    /// Sets the tables of this keyspace apart from those of one of the same name before it.
    pub identity: Bytes,
}

impl Names {
    /// A table's name, with its keyspace.
    fn table(&self, table: Table) -> String {
        let keyspace = &self.keyspace;
        match table {
            Table::Gateways => format!("{keyspace}.gateways"),
            Table::Transactions => format!("{keyspace}.transactions"),
            Table::Log => format!("{keyspace}.log"),
            Table::Space(space) => format!("{keyspace}.s{}", space.0),
        }
    }

    /// A table's name as every statement that names it has it.
    pub fn prefix(&self, table: Table) -> String {
        format!(" {} ", self.table(table))
    }

    /// The table's id: the same whichever gateway makes it, so that two that make it at once make
    /// one table.
    fn id(&self, table: Table) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.identity);
        hash.update(self.table(table));
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        // A random UUID by its form (RFC 9562, version 4).
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        let mut text = String::with_capacity(36);
        for (i, byte) in id.iter().enumerate() {
            if [4, 6, 8, 10].contains(&i) {
                text.push('-');
            }
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// `CREATE TABLE`
    pub fn create(&self, table: Table) -> String {
        let (columns, key, order) = match table {
            Table::Gateways => ("pk blob, ck blob, st blob, rt blob", "pk, ck", ""),
            Table::Transactions => ("pk blob, vd blob, wt blob", "pk", ""),
            Table::Log => ("pk blob, ck blob, tr blob STATIC, ch blob, oc blob", "pk, ck", ""),
            Table::Space(_) => (
                "pk blob, kind tinyint, ck blob, ver bigint, gd blob, lg blob, fe blob, ts blob, \
                 tx blob, pv blob, dl blob, va blob, lk blob, \"in\" blob, iv blob",
                "pk, kind, ck, ver",
                "CLUSTERING ORDER BY (kind ASC, ck ASC, ver DESC) AND ",
            ),
        };
        let (name, id) = (self.table(table), self.id(table));
        format!(
            "CREATE TABLE IF NOT EXISTS {name} ({columns}, PRIMARY KEY ({key})) \
             WITH {order}read_repair = 'BLOCKING' AND id = {id}"
        )
    }

    /// `DROP TABLE`
    pub fn drop(&self, table: Table) -> String {
        format!("DROP TABLE IF EXISTS {}", self.table(table))
    }

    /// The SELECT of a read of one partition.
    pub fn select(&self, partition: &Partition, select: &Select) -> Bound_ {
        let table = partition.table;
        let mut values = vec![Value::blob(&partition.key)];
        let rest = match (table, select) {
            (Table::Space(_), Select::Rows(keys)) => match &keys[..] {
                [key] => {
                    values.push(Value::blob(key));
                    " AND kind = 1 AND ck = ? AND ver = 0".to_owned()
                }
                keys => {
                    values.push(Value::rows(keys.iter().map(RowKey::head)));
                    " AND (kind, ck, ver) IN ?".to_owned()
                }
            },
            (Table::Space(_), Select::Heads(keys)) => {
                let statics = std::iter::once(RowKey::STATIC);
                values.push(Value::rows(statics.chain(keys.iter().map(RowKey::head))));
                " AND (kind, ck, ver) IN ?".to_owned()
            }
            (Table::Space(_), Select::Versions(key)) => {
                values.extend([Value::blob(key), Value::blob(key)]);
                " AND (kind, ck) IN ((0, 0x), (1, ?), (2, ?))".to_owned()
            }
            (Table::Transactions, _) => String::new(),
            (_, Select::Rows(keys) | Select::Heads(keys)) => {
                values.push(Value::Blobs(keys.clone()));
                " AND ck IN ?".to_owned()
            }
            (_, Select::Versions(key)) => {
                values.push(Value::blob(key));
                " AND ck = ?".to_owned()
            }
            (_, Select::Range { start, end, reverse, limit }) => {
                let space = matches!(table, Table::Space(_));
                let mut text = if space { " AND kind = 1" } else { "" }.to_owned();
                add_bounds(&mut text, &mut values, (start, end));
                if *reverse {
                    text += match space {
                        true => " ORDER BY kind DESC, ck DESC, ver ASC",
                        false => " ORDER BY ck DESC",
                    };
                }
                values.push(Value::limit(*limit));
                text + " LIMIT ?"
            }
        };
        let (from, list) = (self.prefix(table), select_list(table));
        (format!("SELECT {list} FROM{from}WHERE pk = ?{rest}"), values)
    }

    /// The static column of a log.
    pub fn log_static(&self, partition: &Partition) -> Bound_ {
        let from = self.prefix(partition.table);
        let text = format!("SELECT DISTINCT pk, tr FROM{from}WHERE pk = ?");
        (text, vec![Value::blob(&partition.key)])
    }

    /// Heads of partitions with a higher token than a key's.
    pub fn ring(&self, table: Table, after: Option<&Bytes>, limit: usize) -> Bound_ {
        let mut values = Vec::with_capacity(2);
        let beyond = match after {
            Some(key) => {
                values.push(Value::blob(key));
                "token(pk) > token(?) AND "
            }
            None => "",
        };
        values.push(Value::limit(limit));
        let (from, list) = (self.prefix(table), select_list(table));
        let text =
            format!("SELECT pk, {list} FROM{from}WHERE {beyond}kind = 1 LIMIT ? ALLOW FILTERING");
        (text, values)
    }

    /// Partition keys with the token of this one.
    pub fn same_token(&self, table: Table, key: &Bytes) -> Bound_ {
        let from = self.prefix(table);
        let text = format!("SELECT DISTINCT pk FROM{from}WHERE token(pk) = token(?)");
        (text, vec![Value::blob(key)])
    }

    /// A node's own guess at a table's size.
    pub fn size(&self, table: Table) -> Bound_ {
        let qualified = self.table(table);
        let bare = qualified.split('.').next_back().unwrap_or_default().to_owned();
        let text = "SELECT partitions_count, mean_partition_size FROM system.size_estimates \
                    WHERE keyspace_name = ? AND table_name = ?";
        (text.to_owned(), vec![Value::Text(self.keyspace.clone()), Value::Text(bare)])
    }

    /// The statements of a conditional batch: one for each row, one for each range removed.
    pub fn conditional(&self, batch: &Batch) -> Vec<Bound_> {
        let mut rows: BTreeMap<&RowKey, (Vec<&Condition>, Vec<&CellWrite>)> = BTreeMap::new();
        for condition in &batch.conditions {
            let conditions = &mut rows.entry(&condition.row).or_default().0;
            if !conditions.contains(&condition) {
                conditions.push(condition);
            }
        }
        for write in &batch.writes {
            rows.entry(&write.row).or_default().1.push(write);
        }
        let (table, key) = (batch.partition.table, &batch.partition.key);
        let from = self.prefix(table);
        let mut statements = Vec::with_capacity(rows.len() + batch.prune.len());
        for (row, (conditions, writes)) in rows {
            let mut cells: BTreeMap<Column, Option<&Bytes>> =
                writes.iter().map(|w| (w.column, w.value.as_ref())).collect();
            if cells.is_empty() {
                // Only demanded: a cell is written as it must be found.
                let same = conditions.iter().find_map(|c| match &c.test {
                    Test::Is(value) => Some((c.column, value.as_ref())),
                    Test::Below(_) => None,
                });
                cells.extend(same);
            }
            let (mut text, mut values) = (format!("UPDATE{from}SET "), Vec::new());
            set_cells(&mut text, &mut values, &cells);
            self.add_row(&mut text, &mut values, table, key, row);
            for (n, condition) in conditions.iter().enumerate() {
                text += if n == 0 { " IF " } else { " AND " };
                text += name(condition.column);
                match &condition.test {
                    Test::Is(value) => {
                        text += " = ?";
                        values.push(Value::Blob(value.clone()));
                    }
                    Test::Below(value) => {
                        text += " < ?";
                        values.push(Value::blob(value));
                    }
                }
            }
            statements.push((text, values));
        }
        for (ck, version) in &batch.prune {
            let text =
                format!("DELETE FROM{from}WHERE pk = ? AND kind = 2 AND ck = ? AND ver <= ?");
            let version = Value::Big(*version as i64);
            statements.push((text, vec![Value::blob(key), Value::blob(ck), version]));
        }
        statements
    }

    /// The statements of a plain write: one for each row.
    pub fn plain(
        &self,
        partition: &Partition,
        writes: &[CellWrite],
        timestamp: u64,
    ) -> Vec<Bound_> {
        let mut rows: BTreeMap<&RowKey, BTreeMap<Column, Option<&Bytes>>> = BTreeMap::new();
        for write in writes {
            rows.entry(&write.row).or_default().insert(write.column, write.value.as_ref());
        }
        let from = self.prefix(partition.table);
        let statement = |(row, cells): (&RowKey, BTreeMap<Column, Option<&Bytes>>)| {
            let mut text = format!("UPDATE{from}USING TIMESTAMP ? SET ");
            let mut values = vec![Value::Big(timestamp.min(i64::MAX as u64) as i64)];
            set_cells(&mut text, &mut values, &cells);
            self.add_row(&mut text, &mut values, partition.table, &partition.key, row);
            (text, values)
        };
        rows.into_iter().map(statement).collect()
    }

    fn add_row(
        &self,
        text: &mut String,
        values: &mut Vec<Value>,
        table: Table,
        key: &Bytes,
        row: &RowKey,
    ) {
        *text += " WHERE pk = ?";
        values.push(Value::blob(key));
        match table {
            Table::Space(_) => {
                *text += " AND kind = ? AND ck = ? AND ver = ?";
                values.extend([Value::Tiny(kind(row.kind)), Value::blob(&row.key)]);
                values.push(Value::Big(row.version as i64));
            }
            Table::Gateways | Table::Log if row.kind != Kind::Static => {
                *text += " AND ck = ?";
                values.push(Value::blob(&row.key));
            }
            _ => {}
        }
    }
}

fn set_cells(text: &mut String, values: &mut Vec<Value>, cells: &BTreeMap<Column, Option<&Bytes>>) {
    for (n, (column, value)) in cells.iter().enumerate() {
        if n > 0 {
            *text += ", ";
        }
        *text += name(*column);
        *text += " = ?";
        values.push(Value::Blob(value.cloned()));
    }
}

fn add_bounds(
    text: &mut String,
    values: &mut Vec<Value>,
    (start, end): (&Bound<Bytes>, &Bound<Bytes>),
) {
    let (above, below) = (
        match start {
            Bound::Included(key) => Some((" AND ck >= ?", key)),
            Bound::Excluded(key) => Some((" AND ck > ?", key)),
            Bound::Unbounded => None,
        },
        match end {
            Bound::Included(key) => Some((" AND ck <= ?", key)),
            Bound::Excluded(key) => Some((" AND ck < ?", key)),
            Bound::Unbounded => None,
        },
    );
    for (part, key) in [above, below].into_iter().flatten() {
        *text += part;
        values.push(Value::blob(key));
    }
}

fn select_list(table: Table) -> String {
    let mut list = match table {
        Table::Space(_) => "kind, ck, ver",
        Table::Gateways | Table::Log => "ck",
        Table::Transactions => "pk",
    }
    .to_owned();
    for column in columns(table) {
        list += ", ";
        list += name(*column);
    }
    list
}

/// The tuple of a row's key.
pub(super) fn row_tuple(row: &RowKey) -> (i8, Bytes, i64) {
    (kind(row.kind), row.key.clone(), row.version as i64)
}
