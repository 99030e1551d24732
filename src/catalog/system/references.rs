//! Foreign keys in `information_schema`.

use super::Source;
use super::cells::{NULL, int4, text, yes_or_no};
use crate::types::Row;
use crate::types::descriptor::{
    ConstraintTiming, ForeignAction, ForeignKeyDescriptor, TableDescriptor,
};

/// Rows of `table_constraints`.
pub(super) fn table_constraints(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let row = |key: &ForeignKeyDescriptor| {
        let mut row = Vec::from(source.constraint_name(table, &key.name));
        row.extend(source.table_name(table));
        row.extend([
            text("FOREIGN KEY"),
            yes_or_no(key.timing != ConstraintTiming::NotDeferrable),
            yes_or_no(key.timing == ConstraintTiming::Deferred),
            yes_or_no(true),
            NULL,
        ]);
        row
    };
    table.foreign_keys.iter().map(row).collect()
}

/// Rows of `referential_constraints`.
pub(super) fn referential_constraints(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let rule = |action| {
        text(match action {
            ForeignAction::NoAction => "NO ACTION",
            ForeignAction::Restrict => "RESTRICT",
            ForeignAction::Cascade => "CASCADE",
            ForeignAction::SetNull => "SET NULL",
            ForeignAction::SetDefault => "SET DEFAULT",
        })
    };
    let row = |key: &ForeignKeyDescriptor| {
        let parent = source.snapshot.table_by_id(key.parent)?;
        let index = key.index_of(&parent)?;
        let mut row = Vec::from(source.constraint_name(table, &key.name));
        // A unique index that is no constraint has no name here.
        row.extend(match index.constraint_oid {
            Some(_) => source.constraint_name(&parent, &index.name),
            None => [NULL, NULL, NULL],
        });
        row.push(text(if key.match_full { "FULL" } else { "NONE" }));
        row.extend([rule(key.on_update), rule(key.on_delete)]);
        Some(row)
    };
    table.foreign_keys.iter().filter_map(row).collect()
}

/// Rows of `key_column_usage`.
pub(super) fn key_columns(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let mut rows = Vec::new();
    for key in &table.foreign_keys {
        let parent = source.snapshot.table_by_id(key.parent);
        let index = parent.as_ref().and_then(|parent| key.index_of(parent));
        for ((id, theirs), place) in key.columns.iter().zip(&key.parent_columns).zip(1..) {
            let Some(column) = table.column_by_id(*id) else { continue };
            let there = index.and_then(|i| i.columns.iter().position(|c| c.column == *theirs));
            let mut row = Vec::from(source.constraint_name(table, &key.name));
            row.extend(source.table_name(table));
            row.extend([text(&column.name), int4(place)]);
            row.push(there.map_or(NULL, |at| int4(at as i32 + 1)));
            rows.push(row);
        }
    }
    rows
}

/// Rows of `constraint_column_usage`: the columns that are referenced.
pub(super) fn constraint_columns(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let mut rows = Vec::new();
    for key in &table.foreign_keys {
        let Some(parent) = source.snapshot.table_by_id(key.parent) else { continue };
        for column in key.parent_columns.iter().filter_map(|id| parent.column_by_id(*id)) {
            let mut row = Vec::from(source.table_name(&parent));
            row.push(text(&column.name));
            row.extend(source.constraint_name(table, &key.name));
            rows.push(row);
        }
    }
    rows
}

/// Rows of `constraint_table_usage`: the tables that are referenced.
pub(super) fn constraint_tables(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let row = |key: &ForeignKeyDescriptor| {
        let parent = source.snapshot.table_by_id(key.parent)?;
        let mut row = Vec::from(source.table_name(&parent));
        row.extend(source.constraint_name(table, &key.name));
        Some(row)
    };
    table.foreign_keys.iter().filter_map(row).collect()
}
