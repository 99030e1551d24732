//! PostgreSQL's views for people and monitoring.

use super::super::lookup::index_definition;
use super::super::snapshot::visible_indexes;
use super::Source;
use super::cells::*;
use crate::types::descriptor::{IndexDescriptor, TableDescriptor};
use crate::types::{Datum, Row};

/// The rows of a relation of this module; none if it is not one.
pub(super) fn rows(name: &str, source: &Source<'_>) -> Option<Vec<Row>> {
    let tables = || source.snapshot.tables();
    Some(match name {
        "pg_tables" => {
            let system = super::all().iter().filter(|r| r.relkind == b'r');
            let owner = source.snapshot.database().owner.clone();
            let system = system.map(|r| table_row(&r.table, &owner));
            tables().map(|t| table_row(t, &t.owner)).chain(system).collect()
        }
        "pg_indexes" => tables().flat_map(|t| index_rows(t)).collect(),
        "pg_sequences" => source
            .snapshot
            .sequences()
            .map(|s| {
                vec![
                    text(&s.schema),
                    text(&s.name),
                    text(&s.owner),
                    oid(s.ty.oid()),
                    int8(s.start),
                    int8(s.min),
                    int8(s.max),
                    int8(s.increment),
                    bool(s.cycle),
                    int8(s.cache),
                    source.snapshot.last_value(s.oid).map_or(NULL, Datum::Int8),
                ]
            })
            .collect(),
        "pg_settings" => settings(source),
        "pg_stat_all_tables" | "pg_stat_user_tables" => {
            tables().map(|t| table_statistics(source, t)).collect()
        }
        "pg_stat_all_indexes" | "pg_stat_user_indexes" => {
            tables().flat_map(|t| index_statistics(t)).collect()
        }
        _ => return None,
    })
}

fn table_row(table: &TableDescriptor, owner: &str) -> Row {
    vec![
        text(&table.schema),
        text(&table.name),
        text(owner),
        NULL,
        bool(visible_indexes(table).next().is_some()),
        bool(false),
        bool(false),
        bool(false),
    ]
}

fn index_rows(table: &TableDescriptor) -> Vec<Row> {
    let row = |index: &IndexDescriptor| {
        vec![
            text(&table.schema),
            text(&table.name),
            text(&index.name),
            NULL,
            text(index_definition(table, index)),
        ]
    };
    visible_indexes(table).map(|(_, index)| row(index)).collect()
}

/// What the session knows of its settings, where nobody provides more.
fn settings(source: &Source<'_>) -> Vec<Row> {
    let row = |(name, value): (&String, &String)| {
        let mut row = vec![NULL; 17];
        row[0] = text(name);
        row[1] = text(value);
        row[6] = text("user");
        row[7] = text("string");
        row[8] = text("session");
        row[16] = bool(false);
        row
    };
    source.eval.session.settings.iter().map(row).collect()
}

fn table_statistics(source: &Source<'_>, table: &TableDescriptor) -> Row {
    let live = source.snapshot.sizes().read().get(&table.id.0).map_or(0, |s| s.rows as i64);
    let mut row = vec![oid(table.id.0), text(&table.schema), text(&table.name)];
    row.extend(std::iter::repeat_n(int8(0), 8));
    row.push(int8(live));
    row.extend(std::iter::repeat_n(int8(0), 3));
    row.extend(std::iter::repeat_n(NULL, 4));
    row.extend(std::iter::repeat_n(int8(0), 4));
    row
}

fn index_statistics(table: &TableDescriptor) -> Vec<Row> {
    let row = |oid_of: u32, name: &str| {
        vec![
            oid(table.id.0),
            oid(oid_of),
            text(&table.schema),
            text(&table.name),
            text(name),
            int8(0),
            int8(0),
            int8(0),
        ]
    };
    visible_indexes(table).map(|(_, index)| row(index.oid, &index.name)).collect()
}
