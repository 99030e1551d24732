//! `pg_depend`: what cannot be without what. By it `pg_dump` orders what it writes.

use super::cells::{char, int4, oid};
use super::{Source, attributes};
use crate::catalog::descriptor::{SequenceDescriptor, oids};
use crate::catalog::snapshot::visible_indexes;
use crate::types::Row;
use crate::types::descriptor::{
    CheckDescriptor, ColumnId, ForeignKeyDescriptor, IndexDescriptor, TableDescriptor,
};

/// OID of `pg_attrdef`.
const CLASS_DEFAULT: u32 = 2604;

/// Catalog and OID.
type Object = (u32, u32);

/// How one depends on the other: it is dropped with it, refused to be, or a part of it.
const AUTO: u8 = b'a';
const NORMAL: u8 = b'n';
const INTERNAL: u8 = b'i';

/// The rows.
pub(super) fn rows(source: &Source<'_>) -> Vec<Row> {
    let mut found = Found { rows: Vec::new() };
    for table in source.snapshot.tables() {
        let schema = (oids::CLASS_SCHEMA, source.schema(&table.schema));
        found.add(relation(table.id.0), schema, NORMAL);
        visible_indexes(table).for_each(|(_, index)| found.index(table, index));
        table.checks.iter().for_each(|check| found.check(table, check));
        table.foreign_keys.iter().for_each(|key| found.foreign_key(source, table, key));
        found.defaults(source, table);
    }
    for sequence in source.snapshot.sequences() {
        let schema = (oids::CLASS_SCHEMA, source.schema(&sequence.schema));
        found.add(relation(sequence.oid), schema, NORMAL);
        found.owner(sequence);
    }
    found.rows
}

fn relation(oid: u32) -> Object {
    (oids::CLASS_RELATION, oid)
}

struct Found {
    rows: Vec<Row>,
}

impl Found {
    fn add(&mut self, object: Object, on: Object, kind: u8) {
        self.push(object, on, 0, kind);
    }

    fn add_column(&mut self, object: Object, table: u32, column: ColumnId, kind: u8) {
        self.push(object, relation(table), i32::from(column.0), kind);
    }

    fn push(&mut self, (class, object): Object, on: Object, column: i32, kind: u8) {
        self.rows.push(vec![
            oid(class),
            oid(object),
            int4(0),
            oid(on.0),
            oid(on.1),
            int4(column),
            char(kind),
        ]);
    }

    /// A constraint's index is a part of it.
    fn index(&mut self, table: &TableDescriptor, index: &IndexDescriptor) {
        let mut object = relation(index.oid);
        if let Some(constraint) = index.constraint_oid {
            let constraint = (oids::CLASS_CONSTRAINT, constraint);
            self.add(object, constraint, INTERNAL);
            object = constraint;
        }
        for column in &index.columns {
            self.add_column(object, table.id.0, column.column, AUTO);
        }
    }

    fn check(&mut self, table: &TableDescriptor, check: &CheckDescriptor) {
        for column in &check.columns {
            self.add_column((oids::CLASS_CONSTRAINT, check.oid), table.id.0, *column, AUTO);
        }
    }

    fn foreign_key(
        &mut self,
        source: &Source<'_>,
        table: &TableDescriptor,
        key: &ForeignKeyDescriptor,
    ) {
        let constraint = (oids::CLASS_CONSTRAINT, key.oid);
        for column in &key.columns {
            self.add_column(constraint, table.id.0, *column, AUTO);
        }
        for column in &key.parent_columns {
            self.add_column(constraint, key.parent.0, *column, NORMAL);
        }
        let parent = source.snapshot.table_by_id(key.parent);
        if let Some(index) = parent.as_ref().and_then(|parent| key.index_of(parent)) {
            self.add(constraint, relation(index.oid), NORMAL);
        }
    }

    /// A default depends on its column and on the sequences it calls.
    fn defaults(&mut self, source: &Source<'_>, table: &TableDescriptor) {
        for column in table.columns.iter().filter(|c| attributes::has_default(c)) {
            let default = (CLASS_DEFAULT, attributes::default_oid(table, column));
            self.add_column(default, table.id.0, column.id, AUTO);
            let mut called: Vec<u32> = column.called_sequences().collect();
            called.sort_unstable();
            called.dedup();
            for sequence in called.into_iter().filter_map(|of| source.snapshot.sequence(of)) {
                self.add(default, relation(sequence.oid), NORMAL);
            }
        }
    }

    fn owner(&mut self, sequence: &SequenceDescriptor) {
        if let Some(owner) = sequence.owned_by {
            let kind = if owner.identity { INTERNAL } else { AUTO };
            self.add_column(relation(sequence.oid), owner.table.0, owner.column, kind);
        }
    }
}
