//! `information_schema`.
//!
//! As in PostgreSQL, a view shows what the current user may see; here that is everything.

use super::super::descriptor::{PG_CATALOG, SequenceDescriptor};
use super::super::foreign;
use super::super::lookup::check_definition;
use super::super::snapshot::visible_indexes;
use super::cells::*;
use super::{Source, all, attributes, references};
use crate::types::descriptor::{
    ColumnDescriptor, Identity, IndexDescriptor, RelationKind, TableDescriptor,
};
use crate::types::{BaseType, Datum, Row, SqlType, pg_type};

/// Bytes of the longest character in UTF-8.
const CHARACTER_BYTES_MAX: i32 = 4;
/// `character_octet_length` of text.
const TEXT_OCTETS_MAX: i32 = 1 << 30;
/// What the owner of a table may do with it.
const PRIVILEGES: [&str; 7] =
    ["INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];

/// The rows of a view.
pub(super) fn rows(name: &str, source: &Source<'_>) -> Vec<Row> {
    let tables = || source.snapshot.tables();
    let each = |parts: &[fn(&Source<'_>, &TableDescriptor) -> Vec<Row>]| {
        let rows = tables().flat_map(|t| parts.iter().flat_map(move |part| part(source, t)));
        rows.collect()
    };
    match name {
        "information_schema_catalog_name" => vec![vec![source.catalog()]],
        "schemata" => schemata(source),
        "tables" => relations(source),
        "columns" => columns(source),
        "table_constraints" => each(&[table_constraints, references::table_constraints]),
        "key_column_usage" => each(&[key_columns, references::key_columns]),
        "constraint_column_usage" => each(&[constraint_columns, references::constraint_columns]),
        "constraint_table_usage" => each(&[constraint_tables, references::constraint_tables]),
        "referential_constraints" => each(&[references::referential_constraints]),
        "check_constraints" => tables().flat_map(|t| check_constraints(source, t)).collect(),
        "sequences" => source
            .snapshot
            .sequences()
            .filter(|s| !s.owned_by.is_some_and(|owner| owner.identity))
            .map(|s| sequence(source, s))
            .collect(),
        "table_privileges" | "role_table_grants" => {
            tables().flat_map(|t| table_privileges(source, t)).collect()
        }
        "column_privileges" | "role_column_grants" => {
            tables().flat_map(|t| column_privileges(source, t)).collect()
        }
        "foreign_tables" => tables().filter_map(|t| foreign_table(source, t)).collect(),
        "foreign_table_options" => tables().flat_map(|t| foreign_options(source, t)).collect(),
        "enabled_roles" => source.snapshot.roles().map(|r| vec![text(&r.name)]).collect(),
        "character_sets" => vec![vec![
            NULL,
            NULL,
            text("UTF8"),
            text("UCS"),
            text("UTF8"),
            source.catalog(),
            text(PG_CATALOG),
            text("C"),
        ]],
        "collations" => ["default", "C", "POSIX", "ucs_basic"]
            .into_iter()
            .map(|name| vec![source.catalog(), text(PG_CATALOG), text(name), text("NO PAD")])
            .collect(),
        "collation_character_set_applicability" => ["default", "C", "POSIX", "ucs_basic"]
            .into_iter()
            .map(|name| {
                vec![source.catalog(), text(PG_CATALOG), text(name), NULL, NULL, text("UTF8")]
            })
            .collect(),
        _ => Vec::new(),
    }
}

impl Source<'_> {
    /// The database's name.
    fn catalog(&self) -> Datum {
        text(&self.snapshot.database().name)
    }

    /// The database's name, schema and name of a table.
    pub(super) fn table_name(&self, table: &TableDescriptor) -> [Datum; 3] {
        [self.catalog(), text(&table.schema), text(&table.name)]
    }

    /// The database's name, schema and name of a constraint of a table.
    pub(super) fn constraint_name(&self, table: &TableDescriptor, name: &str) -> [Datum; 3] {
        [self.catalog(), text(&table.schema), text(name)]
    }
}

fn foreign_table(source: &Source<'_>, table: &TableDescriptor) -> Option<Row> {
    table.foreign.as_ref()?;
    let mut row = Vec::from(source.table_name(table));
    row.extend([source.catalog(), text(foreign::SERVER)]);
    Some(row)
}

fn foreign_options(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let options = table.foreign.as_deref().map(foreign::options);
    let row = |(name, value): (&str, &str)| {
        let mut row = Vec::from(source.table_name(table));
        row.extend([text(name), text(value)]);
        row
    };
    options.into_iter().flatten().map(row).collect()
}

fn schemata(source: &Source<'_>) -> Vec<Row> {
    let row = |name: &str, owner: &str| {
        vec![source.catalog(), text(name), text(owner), NULL, NULL, NULL, NULL]
    };
    source.snapshot.schemas().map(|s| row(&s.name, &s.owner)).collect()
}

fn relations(source: &Source<'_>) -> Vec<Row> {
    let row = |table: &TableDescriptor, kind: &str, insertable: bool| {
        let mut row = Vec::from(source.table_name(table));
        row.push(text(kind));
        row.extend(std::iter::repeat_n(NULL, 5));
        row.extend([yes_or_no(insertable), yes_or_no(false), NULL]);
        row
    };
    let kind = |table: &TableDescriptor| match table.kind {
        RelationKind::Foreign => "FOREIGN",
        _ => "BASE TABLE",
    };
    let mut rows: Vec<Row> = source.snapshot.tables().map(|t| row(t, kind(t), true)).collect();
    for relation in all() {
        let is_table = relation.relkind == b'r';
        let kind = if is_table { "BASE TABLE" } else { "VIEW" };
        rows.push(row(&relation.table, kind, is_table));
    }
    rows
}

fn columns(source: &Source<'_>) -> Vec<Row> {
    let system = all().iter().map(|r| &r.table);
    let tables = source.snapshot.tables().chain(system);
    tables.flat_map(|t| t.columns.iter().map(move |c| column(source, t, c))).collect()
}

fn column(source: &Source<'_>, table: &TableDescriptor, column: &ColumnDescriptor) -> Row {
    let ty = column.ty;
    let number = i32::from(column.id.0);
    let default = match attributes::has_default(column) {
        true => attributes::default_text(source, column),
        false => NULL,
    };
    let mut row = Vec::with_capacity(44);
    row.extend(source.table_name(table));
    row.extend([text(&column.name), int4(number), default, yes_or_no(!column.not_null)]);
    row.extend([text(data_type(ty)), character_length(ty), character_octets(ty)]);
    row.extend(numeric_facets(ty));
    row.extend([datetime_precision(ty), NULL, NULL]);
    row.extend([NULL, NULL, NULL]); // character set
    row.extend(collation(source, ty));
    row.extend([NULL, NULL, NULL]); // domain
    row.extend([source.catalog(), text(PG_CATALOG), text(udt_name(ty))]);
    row.extend([NULL, NULL, NULL, NULL]); // scope, maximum cardinality
    row.extend([text(number.to_string()), yes_or_no(false)]);
    row.extend(identity(source, table, column));
    row.extend([text("NEVER"), NULL, yes_or_no(table.kind != RelationKind::Virtual)]);
    row
}

/// `data_type`: the type without its modifier; arrays are just that.
fn data_type(ty: SqlType) -> String {
    let is_vector = matches!(ty.base, BaseType::Int2Vector | BaseType::OidVector);
    if ty.is_array || is_vector { "ARRAY".to_owned() } else { plain_name(ty) }
}

fn plain_name(ty: SqlType) -> String {
    match ty.base {
        // `bpchar` is what format_type calls a char(n) without n; the standard's name is wanted.
        BaseType::Bpchar => "character".to_owned(),
        _ => pg_type::format_type(ty.plain()),
    }
}

fn udt_name(ty: SqlType) -> String {
    let info = pg_type::info(ty.base);
    if ty.is_array { info.array_name() } else { info.name.to_owned() }
}

fn is_character(ty: SqlType) -> bool {
    !ty.is_array && matches!(ty.base, BaseType::Bpchar | BaseType::Varchar)
}

fn character_length(ty: SqlType) -> Datum {
    match pg_type::length_modifier(ty.typmod) {
        Some(length) if is_character(ty) => int4(length as i32),
        _ => NULL,
    }
}

fn character_octets(ty: SqlType) -> Datum {
    match pg_type::length_modifier(ty.typmod) {
        Some(length) if is_character(ty) => int4(length as i32 * CHARACTER_BYTES_MAX),
        _ if is_character(ty) || ty.same(SqlType::TEXT) => int4(TEXT_OCTETS_MAX),
        _ => NULL,
    }
}

/// Precision, radix and scale.
fn numeric_facets(ty: SqlType) -> [Datum; 3] {
    if ty.is_array {
        return [NULL, NULL, NULL];
    }
    match ty.base {
        BaseType::Int2 => [int4(16), int4(2), int4(0)],
        BaseType::Int4 => [int4(32), int4(2), int4(0)],
        BaseType::Int8 => [int4(64), int4(2), int4(0)],
        BaseType::Float4 => [int4(24), int4(2), NULL],
        BaseType::Float8 => [int4(53), int4(2), NULL],
        BaseType::Numeric => match pg_type::numeric_modifier(ty.typmod) {
            Some((precision, scale)) => [int4(precision), int4(10), int4(scale)],
            None => [NULL, int4(10), NULL],
        },
        _ => [NULL, NULL, NULL],
    }
}

fn datetime_precision(ty: SqlType) -> Datum {
    if ty.is_array {
        return NULL;
    }
    match ty.base {
        BaseType::Date => int4(0),
        BaseType::Time | BaseType::Timestamp | BaseType::Timestamptz => {
            int4(if ty.typmod < 0 { 6 } else { ty.typmod })
        }
        BaseType::Interval => match ty.typmod {
            typmod if typmod < 0 || typmod & 0xffff == 0xffff => int4(6),
            typmod => int4(typmod & 0xffff),
        },
        _ => NULL,
    }
}

/// Only a collation other than the database's own is shown: `name` has C.
fn collation(source: &Source<'_>, ty: SqlType) -> [Datum; 3] {
    match super::types::collation_of(ty) {
        0 | 100 => [NULL, NULL, NULL],
        _ => [source.catalog(), text(PG_CATALOG), text("C")],
    }
}

/// `is_identity` to `identity_cycle`.
fn identity(source: &Source<'_>, table: &TableDescriptor, column: &ColumnDescriptor) -> [Datum; 7] {
    let Some(identity) = column.identity else {
        return [yes_or_no(false), NULL, NULL, NULL, NULL, NULL, yes_or_no(false)];
    };
    let generation = match identity {
        Identity::Always => "ALWAYS",
        Identity::ByDefault => "BY DEFAULT",
    };
    let mut owned = source.snapshot.owned_sequences(table.id);
    let sequence = owned.find(|s| s.owned_by.is_some_and(|o| o.column == column.id));
    let number =
        |of: fn(&SequenceDescriptor) -> i64| sequence.map_or(NULL, |s| text(of(s).to_string()));
    [
        yes_or_no(true),
        text(generation),
        number(|s| s.start),
        number(|s| s.increment),
        number(|s| s.max),
        number(|s| s.min),
        yes_or_no(sequence.is_some_and(|s| s.cycle)),
    ]
}

/// A table's keys with their constraint's name.
fn keys(table: &TableDescriptor) -> impl Iterator<Item = &IndexDescriptor> {
    visible_indexes(table).map(|(_, index)| index).filter(|index| index.constraint_oid.is_some())
}

fn table_constraints(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let row = |name: &str, kind: &str, nulls_distinct: Datum| {
        let mut row = Vec::from(source.constraint_name(table, name));
        row.extend(source.table_name(table));
        row.extend([text(kind), yes_or_no(false), yes_or_no(false), yes_or_no(true)]);
        row.push(nulls_distinct);
        row
    };
    let mut rows: Vec<Row> = keys(table)
        .map(|index| match index.oid == table.primary.oid {
            true => row(&index.name, "PRIMARY KEY", NULL),
            false => row(&index.name, "UNIQUE", yes_or_no(true)),
        })
        .collect();
    rows.extend(table.checks.iter().map(|c| row(&c.name, "CHECK", NULL)));
    // The standard calls NOT NULL a check; PostgreSQL makes names up for them.
    for column in table.columns.iter().filter(|c| c.not_null) {
        rows.push(row(&not_null_name(source, table, column), "CHECK", NULL));
    }
    rows
}

fn not_null_name(
    source: &Source<'_>,
    table: &TableDescriptor,
    column: &ColumnDescriptor,
) -> String {
    format!("{}_{}_{}_not_null", source.schema(&table.schema), table.id.0, column.id.0)
}

fn check_constraints(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let row = |name: &str, clause: &str| {
        let mut row = Vec::from(source.constraint_name(table, name));
        row.push(text(clause));
        row
    };
    let checks = table.checks.iter().map(|check| {
        let definition = check_definition(&check.expr);
        row(&check.name, definition.strip_prefix("CHECK ").unwrap_or(&definition))
    });
    let not_null = table
        .columns
        .iter()
        .filter(|c| c.not_null)
        .map(|c| row(&not_null_name(source, table, c), &format!("{} IS NOT NULL", c.name)));
    checks.chain(not_null).collect()
}

fn key_columns(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let mut rows = Vec::new();
    for index in keys(table) {
        for (key, place) in index.columns.iter().zip(1..) {
            let Some(column) = table.column_by_id(key.column) else { continue };
            let mut row = Vec::from(source.constraint_name(table, &index.name));
            row.extend(source.table_name(table));
            row.extend([text(&column.name), int4(place), NULL]);
            rows.push(row);
        }
    }
    rows
}

fn constraint_columns(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |column, name: &str| {
        let Some(column) = table.column_by_id(column) else { return };
        let mut row = Vec::from(source.table_name(table));
        row.push(text(&column.name));
        row.extend(source.constraint_name(table, name));
        rows.push(row);
    };
    for index in keys(table) {
        index.columns.iter().for_each(|key| add(key.column, &index.name));
    }
    for check in &table.checks {
        check.columns.iter().for_each(|column| add(*column, &check.name));
    }
    rows
}

fn constraint_tables(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let row = |index: &IndexDescriptor| {
        let mut row = Vec::from(source.table_name(table));
        row.extend(source.constraint_name(table, &index.name));
        row
    };
    keys(table).map(row).collect()
}

fn sequence(source: &Source<'_>, sequence: &SequenceDescriptor) -> Row {
    let [precision, radix, scale] = numeric_facets(sequence.ty);
    vec![
        source.catalog(),
        text(&sequence.schema),
        text(&sequence.name),
        text(pg_type::format_type(sequence.ty)),
        precision,
        radix,
        scale,
        text(sequence.start.to_string()),
        text(sequence.min.to_string()),
        text(sequence.max.to_string()),
        text(sequence.increment.to_string()),
        yes_or_no(sequence.cycle),
    ]
}

fn table_privileges(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let row = |privilege: &str| {
        let mut row = vec![text(&table.owner), text(&table.owner)];
        row.extend(source.table_name(table));
        row.extend([text(privilege), yes_or_no(true), yes_or_no(privilege == "SELECT")]);
        row
    };
    PRIVILEGES.into_iter().map(row).collect()
}

fn column_privileges(source: &Source<'_>, table: &TableDescriptor) -> Vec<Row> {
    let mut rows = Vec::new();
    for column in &table.columns {
        for privilege in ["INSERT", "SELECT", "UPDATE", "REFERENCES"] {
            let mut row = vec![text(&table.owner), text(&table.owner)];
            row.extend(source.table_name(table));
            row.extend([text(&column.name), text(privilege), yes_or_no(true)]);
            rows.push(row);
        }
    }
    rows
}
