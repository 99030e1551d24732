//! Statement texts, with the values they are given, and the definitions of tables.
//!
//! What the protocol calls static columns of a space lies in a row of its own, of kind 0: a
//! SELECT for rows that are not there gives no static columns, and that row can be asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::CommitProtocol;
use super::native::Natives;
use super::rows::Value;
use crate::kv::lwt::partitions::*;
use crate::types::io::write_uuid;

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

/// The order of a space's rows.
const ORDER: &str = "CLUSTERING ORDER BY (kind ASC, ck ASC, ver DESC) AND ";

/// The part of a row value that has no columns of its own.
pub(super) const REST: &str = "vr";

/// The columns that a read of a table gives.
pub(super) fn columns(table: Table) -> &'static [Column] {
    match table {
        Table::Gateways => &[Column::St, Column::Rt],
        Table::Transactions => &[Column::Vd, Column::Wt],
        Table::Log => &[Column::Ch, Column::Oc],
        Table::Space(_) => SPACE_COLUMNS,
    }
}

/// A column's name in CQL.
pub(super) fn name(column: Column) -> &'static str {
    match column {
        Column::Gd => "gd",
        Column::Lg => "lg",
        Column::Fe => "fe",
        Column::Ts => "ts",
        Column::Tx => "tx",
        Column::Pv => "pv",
        Column::Dl => "live",
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
    /// How commits are made.
    pub commit: CommitProtocol,
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

    /// A table's name without its keyspace.
    fn bare(&self, table: Table) -> String {
        let qualified = self.table(table);
        qualified.split('.').next_back().unwrap_or_default().to_owned()
    }

    /// A table's name as every statement that names it has it.
    pub fn prefix(&self, table: Table) -> String {
        format!(" {} ", self.table(table))
    }

    /// The table's id: the same whichever gateway makes it, so that two that make it at once make
    /// one table.
    fn id(&self, table: Table) -> String {
        self.id_of(&self.table(table))
    }

    /// The same by its name, with its keyspace.
    pub fn id_of(&self, table: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.identity);
        hash.update(table);
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        // A random UUID by its form (RFC 9562, version 4).
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        let mut text = String::with_capacity(36);
        write_uuid(&id, &mut text);
        text
    }

    /// `CREATE TABLE`, of a space with these columns of values and the table's name in SQL.
    pub fn create(&self, table: Table, natives: &[String], comment: &str) -> String {
        let (columns, key, options) = match table {
            Table::Gateways => ("pk blob, ck blob, st blob, rt blob", "pk, ck", String::new()),
            // A record that comes back says what it said: nobody needs to keep that it was removed.
            Table::Transactions => {
                ("pk blob, vd blob, wt blob", "pk", "gc_grace_seconds = 3600 AND ".to_owned())
            }
            Table::Log => {
                ("pk blob, ck blob, tr blob STATIC, ch blob, oc blob", "pk, ck", String::new())
            }
            Table::Space(_) => (
                "pk blob, kind tinyint, ck blob, ver bigint, live boolean, gd blob, lg blob, \
                 fe blob, ts blob, tx blob, pv blob, va blob, vr blob, lk blob, \"in\" blob, \
                 iv blob",
                "pk, kind, ck, ver",
                match self.commit {
                    CommitProtocol::Lwt => ORDER.to_owned(),
                    CommitProtocol::Accord => format!("{ORDER}transactional_mode = 'full' AND "),
                },
            ),
        };
        let mut columns = columns.to_owned();
        for native in natives {
            columns += ", ";
            columns += native;
        }
        let (name, id, comment) = (self.table(table), self.id(table), comment.replace('\'', "''"));
        format!(
            "CREATE TABLE IF NOT EXISTS {name} ({columns}, PRIMARY KEY ({key})) \
             WITH {options}read_repair = 'BLOCKING' AND comment = '{comment}' AND id = {id}"
        )
    }

    /// `DROP TABLE`
    pub fn drop(&self, table: Table) -> String {
        format!("DROP TABLE IF EXISTS {}", self.table(table))
    }

    /// The SELECT of a read of one partition.
    pub fn select(&self, partition: &Partition, select: &Select, natives: &Natives) -> Bound_ {
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
        let (from, list) = (self.prefix(table), select_list(table, natives));
        (format!("SELECT {list} FROM{from}WHERE pk = ?{rest}"), values)
    }

    /// The static column of a log.
    pub fn log_static(&self, partition: &Partition) -> Bound_ {
        let from = self.prefix(partition.table);
        let text = format!("SELECT DISTINCT pk, tr FROM{from}WHERE pk = ?");
        (text, vec![Value::blob(&partition.key)])
    }

    /// Heads of partitions with a higher token than a key's.
    pub fn ring(
        &self,
        table: Table,
        after: Option<&Bytes>,
        limit: usize,
        natives: &Natives,
    ) -> Bound_ {
        let mut values = Vec::with_capacity(2);
        let beyond = match after {
            Some(key) => {
                values.push(Value::blob(key));
                "token(pk) > token(?) AND "
            }
            None => "",
        };
        values.push(Value::limit(limit));
        let (from, list) = (self.prefix(table), select_list(table, natives));
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
        let text = "SELECT partitions_count, mean_partition_size FROM system.size_estimates \
                    WHERE keyspace_name = ? AND table_name = ?";
        (text.to_owned(), vec![Value::Text(self.keyspace.clone()), Value::Text(self.bare(table))])
    }

    /// Partition keys of a table, the first of the ring, at most so many.
    pub fn some_partitions(&self, table: Table, limit: usize) -> Bound_ {
        (format!("SELECT DISTINCT pk FROM{}LIMIT {limit}", self.prefix(table)), Vec::new())
    }

    /// The columns of a table, and their types.
    pub fn table_columns(&self, table: Table) -> Bound_ {
        let text = "SELECT column_name, type FROM system_schema.columns \
                    WHERE keyspace_name = ? AND table_name = ?";
        let values = vec![Value::Text(self.keyspace.clone()), Value::Text(self.bare(table))];
        (text.to_owned(), values)
    }

    /// A table's comment, and its name.
    pub fn read_comment(&self, table: Table) -> Bound_ {
        let text = "SELECT comment, table_name FROM system_schema.tables \
                    WHERE keyspace_name = ? AND table_name = ?";
        let values = vec![Value::Text(self.keyspace.clone()), Value::Text(self.bare(table))];
        (text.to_owned(), values)
    }

    /// `ALTER TABLE … ADD`
    pub fn add_columns(&self, table: Table, definitions: &[String]) -> String {
        format!("ALTER TABLE {} ADD ({})", self.table(table), definitions.join(", "))
    }

    /// Writes a table's SQL name beside it.
    pub fn comment(&self, table: Table, comment: &str) -> String {
        let comment = comment.replace('\'', "''");
        format!("ALTER TABLE {} WITH comment = '{comment}'", self.table(table))
    }

    /// The statements of a conditional batch: one for each row, one for each range removed. And
    /// the highest column id in its values.
    pub fn conditional(&self, batch: &Batch, natives: &Natives) -> (Vec<Bound_>, u16) {
        let mut statements = Vec::new();
        let mut demanded = batch.demanded();
        let highest = self.each_update(batch, natives, &mut |row, mut text, mut values| {
            let conditions = demanded.remove(row).unwrap_or_default();
            add_conditions(&mut text, &mut values, &conditions);
            statements.push((text, values));
        });
        for (row, conditions) in demanded {
            // Only demanded: a cell is written as it must be found.
            let same = conditions.iter().find_map(|c| match &c.test {
                Test::Is(value) => Some((c.column, value.as_ref())),
                Test::Below(_) => None,
            });
            let (mut text, mut values) = self.begin_update(batch);
            set_cells(&mut text, &mut values, &same.into_iter().collect());
            self.add_row(&mut text, &mut values, &batch.partition, row);
            add_conditions(&mut text, &mut values, &conditions);
            statements.push((text, values));
        }
        self.add_prunes(batch, &mut statements);
        (statements, highest)
    }

    /// The statements of a batch without its conditions; the highest column id in its values.
    pub fn updates(&self, batch: &Batch, natives: &Natives, into: &mut Vec<Bound_>) -> u16 {
        let highest =
            self.each_update(batch, natives, &mut |_, text, values| into.push((text, values)));
        self.add_prunes(batch, into);
        highest
    }

    fn begin_update(&self, batch: &Batch) -> Bound_ {
        (format!("UPDATE{}SET ", self.prefix(batch.partition.table)), Vec::new())
    }

    fn each_update(
        &self,
        batch: &Batch,
        natives: &Natives,
        take: &mut dyn FnMut(&RowKey, String, Vec<Value>),
    ) -> u16 {
        let mut rows: BTreeMap<&RowKey, BTreeMap<Column, Option<&Bytes>>> = BTreeMap::new();
        for write in &batch.writes {
            rows.entry(&write.row).or_default().insert(write.column, write.value.as_ref());
        }
        // A row without a version has nothing that comes with one; a null would be a tombstone.
        let no_version = |c: &&Condition| c.column == Column::Ts && c.test == Test::Is(None);
        let new: BTreeSet<&RowKey> =
            batch.conditions.iter().filter(no_version).map(|c| &c.row).collect();
        let mut highest = 0;
        for (row, mut cells) in rows {
            let (mut text, mut values) = self.begin_update(batch);
            let is_new = row.kind == Kind::History || new.contains(row);
            if let Some(value) = cells.get(&Column::Va).filter(|_| !natives.columns.is_empty()) {
                highest = set_value(&mut text, &mut values, natives, *value, is_new).max(highest);
                cells.remove(&Column::Va);
            }
            if is_new && cells.get(&Column::Pv).is_some_and(Option::is_none) {
                set_cell(&mut text, &mut values, name(Column::Pv), Value::Unset);
                cells.remove(&Column::Pv);
            }
            set_cells(&mut text, &mut values, &cells);
            self.add_row(&mut text, &mut values, &batch.partition, row);
            take(row, text, values);
        }
        highest
    }

    fn add_prunes(&self, batch: &Batch, into: &mut Vec<Bound_>) {
        let (from, key) = (self.prefix(batch.partition.table), &batch.partition.key);
        for (ck, version) in &batch.prune {
            let text =
                format!("DELETE FROM{from}WHERE pk = ? AND kind = 2 AND ck = ? AND ver <= ?");
            let version = Value::Big(*version as i64);
            into.push((text, vec![Value::blob(key), Value::blob(ck), version]));
        }
    }

    /// Adds ` table WHERE …`, all of a row's key.
    pub fn add_place(
        &self,
        text: &mut String,
        values: &mut Vec<Value>,
        partition: &Partition,
        row: &RowKey,
    ) {
        *text += self.prefix(partition.table).trim_end();
        self.add_row(text, values, partition, row);
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
            self.add_row(&mut text, &mut values, partition, row);
            (text, values)
        };
        rows.into_iter().map(statement).collect()
    }

    fn add_row(
        &self,
        text: &mut String,
        values: &mut Vec<Value>,
        partition: &Partition,
        row: &RowKey,
    ) {
        *text += " WHERE pk = ?";
        values.push(Value::blob(&partition.key));
        match partition.table {
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

/// Adds ` column = ?`, after a comma if it is not the first.
fn set_cell(text: &mut String, values: &mut Vec<Value>, column: &str, value: Value) {
    if text.ends_with('?') {
        *text += ", ";
    }
    *text += column;
    *text += " = ?";
    values.push(value);
}

fn set_cells(text: &mut String, values: &mut Vec<Value>, cells: &BTreeMap<Column, Option<&Bytes>>) {
    for (column, value) in cells {
        let value = match column {
            Column::Dl => Value::Cell(Some(Bytes::copy_from_slice(&[u8::from(value.is_none())]))),
            _ => Value::Blob(value.cloned()),
        };
        set_cell(text, values, name(*column), value);
    }
}

/// Adds a value in columns of its table's own; the highest column id in it.
fn set_value(
    text: &mut String,
    values: &mut Vec<Value>,
    natives: &Natives,
    value: Option<&Bytes>,
    is_new: bool,
) -> u16 {
    let split = value.and_then(|value| natives.split(value));
    let (whole, rest) = match &split {
        Some(split) => (None, Some(split.rest.clone())),
        None => (value.cloned(), None),
    };
    let cell = |cell: Option<Bytes>| match cell {
        None if is_new => Value::Unset,
        cell => Value::Cell(cell),
    };
    set_cell(text, values, name(Column::Va), cell(whole));
    set_cell(text, values, REST, cell(rest));
    for (n, native) in natives.columns.iter().enumerate() {
        let own = split.as_ref().and_then(|split| split.cells[n].clone());
        set_cell(text, values, &native.name, cell(own));
    }
    split.map_or(0, |split| split.highest)
}

/// Adds ` IF …`.
fn add_conditions(text: &mut String, values: &mut Vec<Value>, conditions: &[&Condition]) {
    for (n, condition) in conditions.iter().enumerate() {
        *text += if n == 0 { " IF " } else { " AND " };
        *text += name(condition.column);
        match &condition.test {
            Test::Is(value) => {
                *text += " = ?";
                values.push(Value::Blob(value.clone()));
            }
            Test::Below(value) => {
                *text += " < ?";
                values.push(Value::blob(value));
            }
        }
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

fn select_list(table: Table, natives: &Natives) -> String {
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
    if !natives.columns.is_empty() {
        list += ", ";
        list += REST;
        for native in &natives.columns {
            list += ", ";
            list += &native.name;
        }
    }
    list
}

/// The tuple of a row's key.
pub(super) fn row_tuple(row: &RowKey) -> (i8, Bytes, i64) {
    (kind(row.kind), row.key.clone(), row.version as i64)
}
