//! Rows of tables that change: indexes built, tables rewritten, constraints checked.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Runner;
use super::define::RowExpr;
use crate::encoding::table::{IndexCodec, TableCodec};
use crate::error::{Error, Result, SqlState};
use crate::kv::{Key, KeyRange, PageLimit, SpaceId};
use crate::types::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use crate::types::{Datum, Row, io};

/// How much of a table is read at once.
const PAGE: PageLimit = PageLimit { rows_max: 1024, bytes_max: 4 << 20 };

/// What becomes of each row: the row, and the key it has now.
type Visit<'v> = dyn FnMut(&mut Runner<'_>, Row, &Key) -> Result<()> + Send + 'v;

impl Runner<'_> {
    /// Visits every row of a locked table: the newest committed ones, with the transaction's own
    /// changes on top.
    pub(super) async fn each_row(
        &mut self,
        table: &TableDescriptor,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let codec = TableCodec::new(table)?;
        let all: Vec<ColumnId> = table.columns.iter().map(|c| c.id).collect();
        let decoder = codec.decoder(&all)?;
        let own = self.own_rows(table.space()).await?;
        let store = self.change.catalog().store().clone();
        let hold = store.snapshot().await?;
        let range = KeyRange::all(table.space());
        let mut from = None;
        loop {
            self.check_cancel()?;
            let page = store.scan(&range, hold.at, false, PAGE, from).await?;
            for entry in &page.entries {
                if !own.contains_key(&entry.key) {
                    let row = decoder.decode(&entry.key, &entry.value)?;
                    visit(self, row, &entry.key)?;
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        for (key, value) in &own {
            if let Some(value) = value {
                let row = decoder.decode(key, value)?;
                visit(self, row, key)?;
            }
        }
        Ok(())
    }

    /// What the transaction itself wrote to a space, earlier parts of this statement included.
    async fn own_rows(&mut self, space: SpaceId) -> Result<BTreeMap<Key, Option<Bytes>>> {
        self.change.txn.begin_statement().await?;
        Ok(self.change.txn.own_changes(space).collect())
    }

    /// Fills an index of a locked table. 23505 where it is unique and rows are not.
    pub(super) async fn build_index(
        &mut self,
        table: &TableDescriptor,
        index: &IndexDescriptor,
    ) -> Result<()> {
        let codec = IndexCodec::new(table, index)?;
        self.each_row(table, &mut |runner, row, key| {
            let entry = codec.entry(&row, key)?;
            if entry.unique && runner.change.txn.own(&entry.key).flatten().is_some() {
                return Err(not_unique(runner, table, index, &row));
            }
            runner.change.txn.put(entry.key, entry.value, false)
        })
        .await
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
        let micros = self.eval.clock.wall_micros() as u64;
        let mut number: u64 = 0;
        self.each_row(old, &mut |runner, row, old_key| {
            let row = convert(runner, row)?;
            check_not_null(new, &row)?;
            number += 1;
            let key = match (old.hidden_key, new.hidden_key) {
                // Hidden row ids stay what they are: they tell the order of insertion.
                (true, true) => Key::new(new.space(), old_key.tail(), old_key.tail().len()),
                _ => codec.row_key(&row, row_id(micros, number))?,
            };
            if !new.hidden_key && runner.change.txn.own(&key).flatten().is_some() {
                return Err(not_unique(runner, new, &new.primary, &row));
            }
            for (index, codec) in &indexes {
                let entry = codec.entry(&row, &key)?;
                if entry.unique && runner.change.txn.own(&entry.key).flatten().is_some() {
                    return Err(not_unique(runner, new, index, &row));
                }
                runner.change.txn.put(entry.key, entry.value, false)?;
            }
            runner.change.txn.put(key, codec.row_value(&row)?, new.columnar)
        })
        .await
    }

    /// 23514 if a row of a locked table breaks a condition.
    pub(super) async fn check_rows(
        &mut self,
        table: &TableDescriptor,
        name: &str,
        condition: &RowExpr,
    ) -> Result<()> {
        self.each_row(table, &mut |_, row, _| {
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
        self.each_row(table, &mut |_, row, _| match places.iter().find(|at| row[**at].is_null()) {
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
