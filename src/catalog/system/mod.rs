//! The system's own relations: `pg_catalog` and `information_schema`, made from the snapshot.
//!
//! `relations.txt` lists them with the columns, types and OIDs that PostgreSQL 15 has; a relation
//! that is not in it does not exist. Rows about types, functions, operators and casts come from
//! the tables that the binder itself uses, rows about user objects from the [`CatalogSnapshot`],
//! rows about the running process from [`Provider`]s. What Sluice has none of (triggers, policies,
//! publications, …) is an empty relation.
//!
//! PostgreSQL's views are relations of their own here, not queries over the others.

mod attributes;
mod builtin;
pub(super) mod cells;
mod dependencies;
mod information;
mod objects;
mod references;
mod roles;
#[cfg(test)]
mod tests;
mod types;
mod views;

pub(super) use builtin::comment as builtin_comment;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::CatalogSnapshot;
use super::descriptor::SequenceDescriptor;
use super::sequence::wait;
use crate::functions::EvalContext;
use crate::types::descriptor::{
    ColumnDescriptor, ColumnId, RelationKind, TableDescriptor, TableId,
};
use crate::types::{BaseType, Datum, Row, SqlType, pg_type};

/// Gives the rows of a system relation that is about the running process (`pg_stat_activity`,
/// `pg_settings`, …), as seen by a session.
pub type Provider = Arc<dyn Fn(&EvalContext) -> Vec<Row> + Send + Sync>;

/// PostgreSQL's definitions: `schema.name oid kind column:type!,…`.
const DEFINITIONS: &str = include_str!("relations.txt");

/// What system relations are made from.
pub(super) struct Source<'a> {
    pub snapshot: &'a CatalogSnapshot,
    pub eval: &'a EvalContext,
}

/// The rows of a system relation.
pub fn rows(table: &TableDescriptor, snapshot: &CatalogSnapshot, eval: &EvalContext) -> Vec<Row> {
    let provider = snapshot.providers().read().get(table.name.as_str()).cloned();
    if let Some(provider) = provider {
        return provider(eval);
    }
    if let Some(sequence) = snapshot.sequence(table.id.0) {
        return sequence_row(sequence, snapshot).into_iter().collect();
    }
    let source = Source { snapshot, eval };
    if table.schema == super::descriptor::INFORMATION_SCHEMA {
        return information::rows(&table.name, &source);
    }
    objects::rows(&table.name, &source)
        .or_else(|| types::rows(&table.name))
        .or_else(|| roles::rows(&table.name, &source))
        .or_else(|| views::rows(&table.name, &source))
        .unwrap_or_default()
}

/// A sequence as a SELECT from it sees it.
pub fn sequence_table(sequence: &SequenceDescriptor) -> Arc<TableDescriptor> {
    let columns =
        [("last_value", SqlType::INT8), ("log_cnt", SqlType::INT8), ("is_called", SqlType::BOOL)];
    let columns = (1..).zip(columns).map(|(id, (name, ty))| ColumnDescriptor {
        not_null: true,
        ..ColumnDescriptor::new(ColumnId(id), name, ty)
    });
    Arc::new(TableDescriptor::unplaced(
        TableId(sequence.oid),
        &sequence.schema,
        &sequence.name,
        RelationKind::Virtual,
        columns.collect(),
    ))
}

/// The one row of [`sequence_table`]; none if the store does not answer.
fn sequence_row(sequence: &SequenceDescriptor, snapshot: &CatalogSnapshot) -> Option<Row> {
    let (value, called) = wait(snapshot.counters()?.position(sequence)).ok()?;
    Some(vec![Datum::Int8(value), Datum::Int8(0), Datum::Bool(called)])
}

/// A system relation by name.
pub fn table(schema: &str, name: &str) -> Option<Arc<TableDescriptor>> {
    let definitions = definitions();
    definitions.by_name.get(name).filter(|t| t.table.schema == schema).map(|r| r.table.clone())
}

/// A system relation by OID.
pub fn table_by_oid(oid: u32) -> Option<Arc<TableDescriptor>> {
    let definitions = definitions();
    definitions.by_oid.get(&oid).map(|r| r.table.clone())
}

/// A system relation, with PostgreSQL's `relkind`.
#[derive(Clone)]
pub(super) struct SystemRelation {
    pub table: Arc<TableDescriptor>,
    pub relkind: u8,
}

/// All system relations, as listed.
pub(super) fn all() -> &'static [SystemRelation] {
    &definitions().all
}

struct Definitions {
    all: Vec<SystemRelation>,
    by_name: HashMap<String, SystemRelation>,
    by_oid: HashMap<u32, SystemRelation>,
}

fn definitions() -> &'static Definitions {
    static DEFINED: OnceLock<Definitions> = OnceLock::new();
    DEFINED.get_or_init(|| {
        let all: Vec<SystemRelation> = DEFINITIONS.lines().filter_map(define).collect();
        let by_name = all.iter().map(|r| (r.table.name.clone(), r.clone())).collect();
        let by_oid = all.iter().map(|r| (r.table.id.0, r.clone())).collect();
        Definitions { all, by_name, by_oid }
    })
}

fn define(line: &str) -> Option<SystemRelation> {
    let mut parts = line.split(' ');
    let (schema, name) = parts.next()?.split_once('.')?;
    let oid: u32 = parts.next()?.parse().ok()?;
    let relkind = *parts.next()?.as_bytes().first()?;
    let columns: Vec<ColumnDescriptor> = parts
        .next()?
        .split(',')
        .zip(1..)
        .filter_map(|(column, id)| define_column(column, id))
        .collect();
    let kind = RelationKind::Virtual;
    let table = TableDescriptor::unplaced(TableId(oid), schema, name, kind, columns);
    Some(SystemRelation { table: Arc::new(table), relkind })
}

fn define_column(text: &str, id: u16) -> Option<ColumnDescriptor> {
    let (name, ty) = text.split_once(':')?;
    let not_null = ty.ends_with('!');
    let ty = match ty.trim_end_matches('!') {
        "anyarray" => SqlType::of(BaseType::AnyArray),
        name => pg_type::by_typname(name)?,
    };
    Some(ColumnDescriptor { not_null, ..ColumnDescriptor::new(ColumnId(id), name, ty) })
}
