//! Rows of tables that change: indexes built, tables rewritten, constraints checked.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Runner;
use super::define::RowExpr;
use crate::catalog;
use crate::encoding::table::{IndexCodec, IndexEntry, RowDecoder, TableCodec};
use crate::error::{Error, Result, SqlState};
use crate::kv::{Continuation, Hold, Key, KeyRange, PageLimit, SharedStore};
use crate::types::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use crate::types::{Datum, Row, io};

/// How much of a table is read at once.
const PAGE: PageLimit = PageLimit { rows_max: 1024, bytes_max: 4 << 20 };

/// What becomes of each row.
type Visit<'v> = dyn FnMut(&mut Runner<'_>, Row) -> Result<()> + Send + 'v;

/// The rows of a locked table: the newest committed ones, with the transaction's own changes on
/// top.
struct TableRows {
    store: SharedStore,
    hold: Hold,
    range: KeyRange,
    decoder: RowDecoder,
    /// What the transaction wrote; taken when all others were given.
    own: BTreeMap<Key, Option<Bytes>>,
    /// Where the scan goes on; none: it has ended.
    from: Option<Option<Continuation>>,
}

impl TableRows {
    /// Some more of them, each with its key; none: that was all.
    async fn next(&mut self) -> Result<Option<Vec<(Row, Key)>>> {
        let mut rows = Vec::new();
        let Some(from) = self.from.take() else {
            for (key, value) in std::mem::take(&mut self.own) {
                if let Some(value) = value {
                    rows.push((self.decoder.decode(&key, &value)?, key));
                }
            }
            return Ok((!rows.is_empty()).then_some(rows));
        };
        let page = self.store.scan(&self.range, self.hold.at, false, PAGE, from).await?;
        for entry in page.entries {
            if !self.own.contains_key(&entry.key) {
                rows.push((self.decoder.decode(&entry.key, &entry.value)?, entry.key));
            }
        }
        self.from = page.next.map(Some);
        Ok(Some(rows))
    }
}

impl Runner<'_> {
    async fn rows_of(&mut self, table: &TableDescriptor) -> Result<TableRows> {
        let codec = TableCodec::new(table)?;
        let all: Vec<ColumnId> = table.columns.iter().map(|c| c.id).collect();
        // Earlier parts of this statement included.
        self.change.txn.begin_statement().await?;
        let own = self.change.txn.own_changes(table.space()).collect();
        let store = self.change.catalog().store().clone();
        Ok(TableRows {
            decoder: codec.decoder(&all)?,
            own,
            hold: store.snapshot().await?,
            store,
            range: KeyRange::all(table.space()),
            from: Some(None),
        })
    }

    /// Visits every row of a locked table.
    pub(super) async fn each_row(
        &mut self,
        table: &TableDescriptor,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let mut rows = self.rows_of(table).await?;
        while let Some(page) = rows.next().await? {
            self.check_cancel()?;
            for (row, _) in page {
                visit(self, row)?;
            }
        }
        Ok(())
    }

    /// Gives a space that this transaction has made a row. A key that others may have too is
    /// looked for: false where one has it.
    async fn place_row(&mut self, key: Key, value: Bytes, new: &TableDescriptor) -> Result<bool> {
        let is_free = new.hidden_key || self.is_free_key(&key).await?;
        if is_free {
            self.place(key, value, new.columnar).await?;
        }
        Ok(is_free)
    }

    /// The same with an entry of an index.
    async fn place_entry(&mut self, entry: IndexEntry) -> Result<bool> {
        let is_free = !entry.unique || self.is_free_key(&entry.key).await?;
        if is_free {
            self.place(entry.key, entry.value, false).await?;
        }
        Ok(is_free)
    }

    /// Whether this transaction has not yet placed anything there.
    async fn is_free_key(&mut self, key: &Key) -> Result<bool> {
        let txn = &mut self.change.txn;
        let found = match txn.may_load(key.space()) {
            true => txn.loaded(key).await?,
            false => txn.own(key).flatten(),
        };
        Ok(found.is_none())
    }

    async fn place(&mut self, key: Key, value: Bytes, tracked: bool) -> Result<()> {
        let txn = &mut self.change.txn;
        match txn.may_load(key.space()) {
            true => txn.load(key, value).await,
            false => txn.put(key, value, tracked),
        }
    }

    /// Fills an index of a locked table. 23505 where it is unique and rows are not.
    pub(super) async fn build_index(
        &mut self,
        table: &TableDescriptor,
        index: &IndexDescriptor,
    ) -> Result<()> {
        let codec = IndexCodec::new(table, index)?;
        let mut rows = self.rows_of(table).await?;
        while let Some(page) = rows.next().await? {
            self.check_cancel()?;
            for (row, key) in page {
                let entry = codec.entry(&row, &key)?;
                if !self.place_entry(entry).await? {
                    return Err(not_unique(self, table, index, &row));
                }
            }
        }
        self.change.txn.end_loads().await
    }

    /// Copies the rows of `old` into the new space of `new`, each as `convert` makes it, and fills
    /// all indexes of `new`, whose spaces are new too.
    pub(super) async fn rewrite(
        &mut self,
        old: &TableDescriptor,
        new: &TableDescriptor,
        convert: &mut (dyn FnMut(&Runner<'_>, Row) -> Result<Row> + Send),
    ) -> Result<()> {
        let codec = TableCodec::new(new)?;
        let indexes = new
            .indexes
            .iter()
            .map(|index| Ok((index, IndexCodec::new(new, index)?)))
            .collect::<Result<Vec<_>>>()?;
        if self.change.txn.may_load(new.space()) {
            catalog::describe(self.change.catalog().store(), new).await?;
        }
        let micros = self.eval.clock.wall_micros() as u64;
        let mut number: u64 = 0;
        let mut rows = self.rows_of(old).await?;
        while let Some(page) = rows.next().await? {
            self.check_cancel()?;
            for (row, old_key) in page {
                let row = convert(self, row)?;
                check_not_null(new, &row)?;
                number += 1;
                let key = match (old.hidden_key, new.hidden_key) {
                    // Hidden row ids stay what they are: they tell the order of insertion.
                    (true, true) => Key::new(new.space(), old_key.tail(), old_key.tail().len()),
                    _ => codec.row_key(&row, row_id(micros, number))?,
                };
                if !self.place_row(key.clone(), codec.row_value(&row)?, new).await? {
                    return Err(not_unique(self, new, &new.primary, &row));
                }
                for (index, codec) in &indexes {
                    let entry = codec.entry(&row, &key)?;
                    if !self.place_entry(entry).await? {
                        return Err(not_unique(self, new, index, &row));
                    }
                }
            }
        }
        self.change.txn.end_loads().await
    }

    /// 23514 if a row of a locked table breaks a condition.
    pub(super) async fn check_rows(
        &mut self,
        table: &TableDescriptor,
        name: &str,
        condition: &RowExpr,
    ) -> Result<()> {
        self.each_row(table, &mut |_, row| {
            if matches!(condition.value(&row)?, Datum::Bool(false)) {
                return Err(Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "check constraint \"{name}\" of relation \"{}\" is violated by some row",
                        table.name
                    ),
                )
                .with_table(&table.schema, &table.name)
                .with_constraint(name));
            }
            Ok(())
        })
        .await
    }

    /// 23502 if a row of a locked table has NULL in columns that must not be.
    pub(super) async fn check_nulls(
        &mut self,
        table: &TableDescriptor,
        columns: &[ColumnId],
    ) -> Result<()> {
        let places: Vec<usize> = table
            .columns
            .iter()
            .enumerate()
            .filter(|(_, c)| columns.contains(&c.id))
            .map(|(at, _)| at)
            .collect();
        self.each_row(table, &mut |_, row| match places.iter().find(|at| row[**at].is_null()) {
            Some(at) => Err(contains_nulls(table, &table.columns[*at].name)),
            None => Ok(()),
        })
        .await
    }
}

/// A row id for a row that is copied: by time, as inserts make them, then by number.
fn row_id(micros: u64, number: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&micros.to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

fn check_not_null(table: &TableDescriptor, row: &[Datum]) -> Result<()> {
    let mut columns = table.columns.iter().zip(row);
    match columns.find(|(column, value)| column.not_null && value.is_null()) {
        Some((column, _)) => Err(contains_nulls(table, &column.name)),
        None => Ok(()),
    }
}

fn contains_nulls(table: &TableDescriptor, column: &str) -> Error {
    Error::new(
        SqlState::NOT_NULL_VIOLATION,
        format!("column \"{column}\" of relation \"{}\" contains null values", table.name),
    )
    .with_table(&table.schema, &table.name)
    .with_column(column)
}

fn not_unique(
    runner: &Runner<'_>,
    table: &TableDescriptor,
    index: &IndexDescriptor,
    row: &[Datum],
) -> Error {
    let settings = &runner.eval.session.format;
    let mut names = Vec::with_capacity(index.columns.len());
    let mut values = Vec::with_capacity(index.columns.len());
    for key in &index.columns {
        let Some(at) = table.columns.iter().position(|c| c.id == key.column) else { continue };
        let column = &table.columns[at];
        names.push(crate::catalog::quote_ident(&column.name).into_owned());
        let value = io::to_text(&row[at], column.ty, settings);
        values.push(value.unwrap_or_else(|| "null".to_owned()));
    }
    Error::new(
        SqlState::UNIQUE_VIOLATION,
        format!("could not create unique index \"{}\"", index.name),
    )
    .with_detail(format!("Key ({})=({}) is duplicated.", names.join(", "), values.join(", ")))
    .with_table(&table.schema, &table.name)
    .with_constraint(&index.name)
}
