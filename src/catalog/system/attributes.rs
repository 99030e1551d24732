//! Columns and their defaults.

use super::super::descriptor::oids;
use super::cells::*;
use super::{Source, all};
use crate::catalog::CatalogSnapshot;
use crate::functions::CatalogLookup;
use crate::types::descriptor::{ColumnDescriptor, Identity, TableDescriptor};
use crate::types::{Datum, Row, SqlType, pg_type};

/// OIDs of defaults are made up from table and column, beyond those that are given out.
const DEFAULT_OID_BASE: u32 = 0x8000_0000;
/// More columns than a table can have: keeps the made-up OIDs of two tables apart.
const COLUMNS_MAX: u32 = 2048;

/// `pg_collation`: the database's own, and that of bytes.
const DEFAULT_COLLATION: u32 = 100;
const C_COLLATION: u32 = 950;

/// System columns, as `pg_attribute` lists them for every table.
const SYSTEM_COLUMNS: [(&str, SqlType, i16); 1] = [("tableoid", SqlType::OID, -6)];

/// What sets one row of `pg_attribute` apart from the others.
struct Attribute<'a> {
    table: u32,
    name: &'a str,
    ty: SqlType,
    number: i16,
    not_null: bool,
    has_default: bool,
    has_missing: bool,
    identity: u8,
    options: Datum,
}

impl Attribute<'_> {
    fn row(self) -> Row {
        let base = pg_type::info(self.ty.base);
        let array = self.ty.is_array;
        let align = if array { base.array_align() } else { base.align };
        vec![
            oid(self.table),
            text(self.name),
            oid(self.ty.oid()),
            int4(-1),
            int2(self.ty.len()),
            int2(self.number),
            int4(i32::from(array)),
            int4(-1),
            int4(self.ty.typmod),
            bool(base.by_value && !array),
            char(align as u8),
            char(if array { b'x' } else { base.storage as u8 }),
            char(0), // attcompression
            bool(self.not_null),
            bool(self.has_default),
            bool(self.has_missing),
            char(self.identity),
            char(0),     // attgenerated
            bool(false), // attisdropped
            bool(true),  // attislocal
            int4(0),
            oid(match super::types::collation_of(self.ty) {
                // The catalogs' own text is ordered by bytes, whatever the database's locale.
                DEFAULT_COLLATION if self.table < oids::FIRST_USER => C_COLLATION,
                other => other,
            }),
            NULL,         // attacl
            NULL,         // attoptions
            self.options, // attfdwoptions
            NULL,         // attmissingval
        ]
    }
}

pub(super) fn attributes(source: &Source<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in all() {
        rows.extend(relation.table.columns.iter().map(|c| column_row(&relation.table, c)));
    }
    for table in source.snapshot.tables() {
        for (name, ty, number) in SYSTEM_COLUMNS {
            rows.push(plain_row(table.id.0, name, ty, number, true));
        }
        rows.extend(table.columns.iter().map(|c| column_row(table, c)));
        for (_, index) in crate::catalog::visible_indexes(table) {
            for (column, number) in index.columns.iter().zip(1..) {
                if let Some(c) = table.column_by_id(column.column) {
                    rows.push(plain_row(index.oid, &c.name, c.ty, number, false));
                }
            }
        }
    }
    for sequence in source.snapshot.sequences() {
        let columns = [
            ("last_value", SqlType::INT8),
            ("log_cnt", SqlType::INT8),
            ("is_called", SqlType::BOOL),
        ];
        for ((name, ty), number) in columns.into_iter().zip(1..) {
            rows.push(plain_row(sequence.oid, name, ty, number, true));
        }
    }
    rows
}

fn plain_row(table: u32, name: &str, ty: SqlType, number: i16, not_null: bool) -> Row {
    Attribute {
        table,
        name,
        ty,
        number,
        not_null,
        has_default: false,
        has_missing: false,
        identity: 0,
        options: NULL,
    }
    .row()
}

fn column_row(table: &TableDescriptor, column: &ColumnDescriptor) -> Row {
    Attribute {
        table: table.id.0,
        name: &column.name,
        ty: column.ty,
        number: column.id.0 as i16,
        not_null: column.not_null,
        has_default: has_default(column),
        has_missing: column.missing.is_some(),
        identity: match column.identity {
            None => 0,
            Some(Identity::Always) => b'a',
            Some(Identity::ByDefault) => b'd',
        },
        options: crate::catalog::foreign::column_options(table, column.id),
    }
    .row()
}

/// Whether a column has a default of its own; an identity's sequence is not one.
pub(super) fn has_default(column: &ColumnDescriptor) -> bool {
    column.default.is_some() && column.identity.is_none()
}

/// OID of a default in `pg_attrdef`.
pub(super) fn default_oid(table: &TableDescriptor, column: &ColumnDescriptor) -> u32 {
    let place = table.id.0.wrapping_mul(COLUMNS_MAX).wrapping_add(u32::from(column.id.0));
    DEFAULT_OID_BASE | place
}

pub(super) fn defaults(source: &Source<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in source.snapshot.tables() {
        for column in table.columns.iter().filter(|c| has_default(c)) {
            rows.push(vec![
                oid(default_oid(table, column)),
                oid(table.id.0),
                int2(column.id.0 as i16),
                default_text(source, column),
            ]);
        }
    }
    rows
}

/// A default as PostgreSQL prints it.
pub(super) fn default_text(source: &Source<'_>, column: &ColumnDescriptor) -> Datum {
    let path = &source.eval.session.search_path;
    text_or_null(column.default.as_deref().map(|d| printed_default(d, source.snapshot, path)))
}

/// A stored default with its sequences named: they are kept by OID, so that a rename does no harm.
fn printed_default(default: &str, snapshot: &CatalogSnapshot, path: &[String]) -> String {
    let Some((called, rest)) = default.rsplit_once(SEQUENCE_CAST) else {
        return default.to_owned();
    };
    let parts: Vec<String> =
        called.split(SEQUENCE_CAST).map(|part| named_last(part, snapshot, path)).collect();
    format!("{}{SEQUENCE_CAST}{rest}", parts.join(SEQUENCE_CAST))
}

/// What follows the OID of a sequence, and its quote.
const SEQUENCE_CAST: &str = "'::regclass";

/// A part of a default that ends with the OID of a sequence, with its name instead.
fn named_last(part: &str, snapshot: &CatalogSnapshot, path: &[String]) -> String {
    let name = |oid: &str| snapshot.name_on_path(oid.parse().ok()?, path);
    let named = part.rsplit_once('\'').and_then(|(before, oid)| Some((before, name(oid)?)));
    let Some((before, name)) = named else { return part.to_owned() };
    format!("{before}'{}", name.replace('\'', "''"))
}
