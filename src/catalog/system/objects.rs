//! Schemas, relations, indexes, constraints, sequences and comments.

use std::sync::Arc;

use super::super::descriptor::{
    DATABASE_OWNER, INFORMATION_SCHEMA, SchemaDescriptor, SequenceDescriptor, oids,
};
use super::super::foreign;
use super::super::snapshot::visible_indexes;
use super::cells::*;
use super::types::{collation_of, operator_class};
use super::{Source, all, attributes, dependencies};
use crate::types::descriptor::{
    ConstraintTiming, ForeignAction, ForeignKeyDescriptor, IndexDescriptor, RelationKind,
    TableDescriptor,
};
use crate::types::{Datum, Row};

/// `pg_am`: tables
pub(super) const HEAP: u32 = 2;
/// `pg_am`: indexes
pub(super) const BTREE: u32 = 403;

/// The rows of a relation of this module; none if it is not one.
pub(super) fn rows(name: &str, source: &Source<'_>) -> Option<Vec<Row>> {
    Some(match name {
        "pg_namespace" => namespaces(source),
        "pg_class" => classes(source),
        "pg_attribute" => attributes::attributes(source),
        "pg_attrdef" => attributes::defaults(source),
        "pg_index" => indexes(source),
        "pg_constraint" => constraints(source),
        "pg_foreign_table" => {
            source.snapshot.tables().filter_map(|t| foreign::table_row(t)).collect()
        }
        "pg_sequence" => source.snapshot.sequences().map(|s| sequence(s)).collect(),
        "pg_description" => descriptions(source),
        "pg_shdescription" => shared_descriptions(source),
        "pg_depend" => dependencies::rows(source),
        "pg_init_privs" => initial_grants(source),
        _ => return None,
    })
}

impl Source<'_> {
    /// OID of a role; objects of roles that are gone belong to the first superuser.
    pub(super) fn owner(&self, name: &str) -> u32 {
        self.snapshot.role(name).map_or(oids::BOOTSTRAP_ROLE, |r| r.oid)
    }

    /// OID of a schema.
    pub(super) fn schema(&self, name: &str) -> u32 {
        self.snapshot.schema(name).map_or(0, |s| s.oid)
    }
}

/// What initialization grants of a schema, if it does: all to the owner, its use to everybody.
fn granted(schema: &SchemaDescriptor) -> Option<Datum> {
    let owner = &schema.owner;
    let shared = schema.is_system() || owner == DATABASE_OWNER;
    shared.then(|| acl_array([format!("{owner}=UC/{owner}"), format!("=U/{owner}")]))
}

/// `pg_init_privs`. PostgreSQL's `initdb` grants `information_schema` later than it looks.
fn initial_grants(source: &Source<'_>) -> Vec<Row> {
    let row = |s: &Arc<SchemaDescriptor>| {
        let granted = granted(s).filter(|_| s.name != INFORMATION_SCHEMA)?;
        Some(vec![oid(s.oid), oid(oids::CLASS_SCHEMA), int4(0), char(b'i'), granted])
    };
    source.snapshot.schemas().filter_map(row).collect()
}

fn namespaces(source: &Source<'_>) -> Vec<Row> {
    let schemas = source.snapshot.schemas();
    let row = |s: &Arc<SchemaDescriptor>| {
        vec![oid(s.oid), text(&s.name), oid(source.owner(&s.owner)), granted(s).unwrap_or(NULL)]
    };
    schemas.map(row).collect()
}

/// What sets one row of `pg_class` apart from the others.
struct Class<'a> {
    oid: u32,
    name: &'a str,
    schema: u32,
    owner: u32,
    access_method: u32,
    file: u32,
    rows: f32,
    kind: u8,
    columns: usize,
    checks: usize,
    has_index: bool,
    /// Foreign keys of its own or to it: what psql asks before it looks for them.
    has_triggers: bool,
    options: Datum,
}

impl Class<'_> {
    fn row(self) -> Row {
        let replica_identity = match self.kind {
            b'r' if self.oid >= oids::FIRST_USER => b'd',
            _ => b'n',
        };
        vec![
            oid(self.oid),
            text(self.name),
            oid(self.schema),
            oid(0), // reltype: tables have no row type of their own
            oid(0), // reloftype
            oid(self.owner),
            oid(self.access_method),
            oid(self.file),
            oid(0), // reltablespace
            int4(0),
            float4(self.rows),
            int4(0), // relallvisible
            oid(0),  // reltoastrelid
            bool(self.has_index),
            bool(false), // relisshared
            char(b'p'),
            char(self.kind),
            int2(self.columns as i16),
            int2(self.checks as i16),
            bool(false), // relhasrules
            bool(self.has_triggers),
            bool(false), // relhassubclass
            bool(false), // relrowsecurity
            bool(false), // relforcerowsecurity
            bool(true),  // relispopulated
            char(replica_identity),
            bool(false), // relispartition
            oid(0),      // relrewrite
            oid(0),      // relfrozenxid
            oid(0),      // relminmxid
            NULL,        // relacl
            self.options,
            NULL, // relpartbound
        ]
    }
}

fn classes(source: &Source<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = all().iter().map(|relation| system_class(source, relation)).collect();
    let sizes = source.snapshot.sizes().read();
    for table in source.snapshot.tables() {
        let (schema, owner) = (source.schema(&table.schema), source.owner(&table.owner));
        let is_foreign = table.kind == RelationKind::Foreign;
        let estimate = |oid| sizes.get(&oid).map_or(-1.0, |size| size.rows as f32);
        rows.push(
            Class {
                oid: table.id.0,
                name: &table.name,
                schema,
                owner,
                access_method: if is_foreign { 0 } else { HEAP },
                file: if is_foreign { 0 } else { table.space().0 },
                rows: estimate(table.id.0),
                kind: if is_foreign { b'f' } else { b'r' },
                columns: usize::from(table.next_column) - 1,
                checks: table.checks.len(),
                has_index: visible_indexes(table).next().is_some(),
                has_triggers: !table.foreign_keys.is_empty()
                    || source.snapshot.is_referenced(table.id),
                options: table_options(table),
            }
            .row(),
        );
        for (_, index) in visible_indexes(table) {
            rows.push(
                Class {
                    oid: index.oid,
                    name: &index.name,
                    schema,
                    owner,
                    access_method: BTREE,
                    file: index.space.0,
                    rows: estimate(index.oid).max(0.0),
                    kind: b'i',
                    columns: index.columns.len(),
                    checks: 0,
                    has_index: false,
                    has_triggers: false,
                    options: NULL,
                }
                .row(),
            );
        }
    }
    rows.extend(source.snapshot.sequences().map(|sequence| sequence_class(source, sequence)));
    rows
}

/// `reloptions`: what WITH (…) said.
fn table_options(table: &TableDescriptor) -> Datum {
    let mut options = Vec::new();
    if table.columnar {
        options.push("columnar=on".to_owned());
    }
    if !table.hidden_key && table.partition_columns != 1 {
        let key = table.primary.columns.iter().take(usize::from(table.partition_columns));
        let names = key.filter_map(|c| table.column_by_id(c.column)).map(|c| c.name.as_str());
        options.push(format!("partition_by={}", names.collect::<Vec<_>>().join(",")));
    }
    if options.is_empty() { NULL } else { text_array(options) }
}

fn system_class(source: &Source<'_>, relation: &super::SystemRelation) -> Row {
    let table = &relation.table;
    Class {
        oid: table.id.0,
        name: &table.name,
        schema: source.schema(&table.schema),
        owner: oids::BOOTSTRAP_ROLE,
        access_method: if relation.relkind == b'r' { HEAP } else { 0 },
        file: 0,
        rows: -1.0,
        kind: relation.relkind,
        columns: table.columns.len(),
        checks: 0,
        has_index: false,
        has_triggers: false,
        options: NULL,
    }
    .row()
}

fn sequence_class(source: &Source<'_>, sequence: &SequenceDescriptor) -> Row {
    Class {
        oid: sequence.oid,
        name: &sequence.name,
        schema: source.schema(&sequence.schema),
        owner: source.owner(&sequence.owner),
        access_method: 0,
        file: sequence.oid,
        rows: 1.0,
        kind: b'S',
        columns: 3,
        checks: 0,
        has_index: false,
        has_triggers: false,
        options: NULL,
    }
    .row()
}

fn indexes(source: &Source<'_>) -> Vec<Row> {
    let tables = source.snapshot.tables();
    tables.flat_map(|t| visible_indexes(t).map(|(_, index)| index_row(t, index))).collect()
}

fn index_row(table: &TableDescriptor, index: &IndexDescriptor) -> Row {
    let columns = index.columns.len() as i16;
    let ty = |id| table.column_by_id(id).map(|c| c.ty);
    let types = || index.columns.iter().filter_map(|c| ty(c.column));
    let option = |desc, nulls_first| i16::from(desc) | i16::from(nulls_first) << 1;
    vec![
        oid(index.oid),
        oid(table.id.0),
        int2(columns),
        int2(columns),
        bool(index.unique),
        bool(false), // indnullsnotdistinct
        bool(index.oid == table.primary.oid),
        bool(false), // indisexclusion
        bool(true),  // indimmediate
        bool(false), // indisclustered
        bool(true),  // indisvalid
        bool(false), // indcheckxmin
        bool(true),  // indisready
        bool(true),  // indislive
        bool(false), // indisreplident
        int2_vector(index.columns.iter().map(|c| c.column.0 as i16)),
        oid_vector(types().map(collation_of)),
        oid_vector(types().map(operator_class)),
        int2_vector(index.columns.iter().map(|c| option(c.desc, c.nulls_first))),
        NULL, // indexprs
        NULL, // indpred
    ]
}

fn constraints(source: &Source<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in source.snapshot.tables() {
        let schema = source.schema(&table.schema);
        for check in &table.checks {
            let columns = check.columns.iter().map(|c| c.0 as i16).collect();
            let mut row = constraint_row(
                check.oid,
                &check.name,
                schema,
                (b'c', table.id.0, 0),
                columns,
                text(&check.expr),
            );
            row[CONVALIDATED] = bool(!check.not_valid);
            rows.push(row);
        }
        for key in &table.foreign_keys {
            rows.push(foreign_key_row(source, table, key, schema));
        }
        for (_, index) in visible_indexes(table) {
            let Some(constraint) = index.constraint_oid else { continue };
            let kind = if index.oid == table.primary.oid { b'p' } else { b'u' };
            let columns = index.columns.iter().map(|c| c.column.0 as i16).collect();
            rows.push(constraint_row(
                constraint,
                &index.name,
                schema,
                (kind, table.id.0, index.oid),
                columns,
                NULL,
            ));
        }
    }
    rows
}

/// The place of `condeferrable` in `pg_constraint`; `condeferred` follows.
const CONDEFERRABLE: usize = 4;
/// The place of `convalidated`.
const CONVALIDATED: usize = 6;
/// The place of `confrelid`; the update, delete and match types follow.
const CONFRELID: usize = 11;
/// The place of `confkey`.
const CONFKEY: usize = 19;

fn foreign_key_row(
    source: &Source<'_>,
    table: &TableDescriptor,
    key: &ForeignKeyDescriptor,
    schema: u32,
) -> Row {
    let parent = source.snapshot.table_by_id(key.parent);
    let index = parent.and_then(|parent| key.index_of(&parent).map(|index| index.oid));
    let columns = key.columns.iter().map(|c| c.0 as i16).collect();
    let place = (b'f', table.id.0, index.unwrap_or(0));
    let mut row = constraint_row(key.oid, &key.name, schema, place, columns, NULL);
    let letter = |action| match action {
        ForeignAction::NoAction => b'a',
        ForeignAction::Restrict => b'r',
        ForeignAction::Cascade => b'c',
        ForeignAction::SetNull => b'n',
        ForeignAction::SetDefault => b'd',
    };
    row[CONDEFERRABLE] = bool(key.timing != ConstraintTiming::NotDeferrable);
    row[CONDEFERRABLE + 1] = bool(key.timing == ConstraintTiming::Deferred);
    row[CONVALIDATED] = bool(!key.not_valid);
    row[CONFRELID] = oid(key.parent.0);
    row[CONFRELID + 1] = char(letter(key.on_update));
    row[CONFRELID + 2] = char(letter(key.on_delete));
    row[CONFRELID + 3] = char(if key.match_full { b'f' } else { b's' });
    row[CONFKEY] = int2_array(key.parent_columns.iter().map(|c| c.0 as i16));
    row
}

fn constraint_row(
    constraint: u32,
    name: &str,
    schema: u32,
    (kind, table, index): (u8, u32, u32),
    columns: Vec<i16>,
    binary: Datum,
) -> Row {
    let key = match columns.is_empty() {
        true => NULL,
        false => int2_array(columns.into_iter()),
    };
    vec![
        oid(constraint),
        text(name),
        oid(schema),
        char(kind),
        bool(false), // condeferrable
        bool(false), // condeferred
        bool(true),  // convalidated
        oid(table),
        oid(0), // contypid
        oid(index),
        oid(0), // conparentid
        oid(0), // confrelid
        char(b' '),
        char(b' '),
        char(b' '),
        bool(true), // conislocal
        int4(0),
        bool(kind != b'c'), // connoinherit
        key,
        NULL, // confkey
        NULL, // conpfeqop
        NULL, // conppeqop
        NULL, // conffeqop
        NULL, // confdelsetcols
        NULL, // conexclop
        binary,
    ]
}

fn sequence(sequence: &SequenceDescriptor) -> Row {
    vec![
        oid(sequence.oid),
        oid(sequence.ty.oid()),
        int8(sequence.start),
        int8(sequence.increment),
        int8(sequence.max),
        int8(sequence.min),
        int8(sequence.cache),
        bool(sequence.cycle),
    ]
}

/// Whether comments on a catalog's objects are shared by all databases.
fn is_shared(class: u32) -> bool {
    class == oids::CLASS_ROLE || class == oids::CLASS_DATABASE
}

fn descriptions(source: &Source<'_>) -> Vec<Row> {
    let comments = source.snapshot.comments().filter(|(target, _)| !is_shared(target.class));
    let row = |of, class, sub, comment: &str| vec![oid(of), oid(class), int4(sub), text(comment)];
    let own =
        comments.map(|(target, comment)| row(target.oid, target.class, target.sub_id, comment));
    own.chain(super::builtin::all().map(|(of, class, comment)| row(of, class, 0, comment)))
        .collect()
}

fn shared_descriptions(source: &Source<'_>) -> Vec<Row> {
    let comments = source.snapshot.comments().filter(|(target, _)| is_shared(target.class));
    comments
        .map(|(target, comment)| vec![oid(target.oid), oid(target.class), text(comment)])
        .collect()
}
