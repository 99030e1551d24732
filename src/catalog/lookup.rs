//! What functions ask of a snapshot, and definitions printed as PostgreSQL prints them.

use std::sync::Arc;

use super::descriptor::{CommentTarget, SequenceDescriptor, oids};
use super::quote::quote_ident;
use super::sequence::{Sequences, wait};
use super::snapshot::{CatalogSnapshot, Relation, visible_indexes};
use super::system;
use crate::error::Result;
use crate::functions::{CatalogLookup, SequenceCounter};
use crate::types::descriptor::{
    ColumnId, ConstraintTiming, ForeignAction, ForeignKeyDescriptor, IndexColumn, IndexDescriptor,
    TableDescriptor,
};

impl CatalogLookup for CatalogSnapshot {
    fn relation_name(&self, oid: u32) -> Option<(String, String)> {
        match self.relation_by_oid(oid)? {
            Relation::Table(table) => Some((table.schema.clone(), table.name.clone())),
            Relation::Index(table, at) => Some((table.schema.clone(), at.of(&table)?.name.clone())),
            Relation::Sequence(sequence) => Some((sequence.schema.clone(), sequence.name.clone())),
        }
    }

    fn relation_oid(&self, schema: Option<&str>, name: &str, path: &[String]) -> Option<u32> {
        match self.relation(schema, name, path)? {
            Relation::Table(table) => Some(table.id.0),
            Relation::Index(table, at) => Some(at.of(&table)?.oid),
            Relation::Sequence(sequence) => Some(sequence.oid),
        }
    }

    fn schema_oid(&self, name: &str) -> Option<u32> {
        self.schema(name).map(|s| s.oid)
    }

    fn schema_name(&self, oid: u32) -> Option<String> {
        self.schemas().find(|s| s.oid == oid).map(|s| s.name.clone())
    }

    fn role_oid(&self, name: &str) -> Option<u32> {
        self.role(name).map(|r| r.oid)
    }

    fn role_name(&self, oid: u32) -> Option<String> {
        self.role_by_oid(oid).map(|r| r.name.clone())
    }

    fn index_definition(&self, oid: u32, column: i32) -> Option<String> {
        let Relation::Index(table, at) = self.relation_by_oid(oid)? else { return None };
        let index = at.of(&table)?;
        match usize::try_from(column).ok()? {
            0 => Some(index_definition(&table, index)),
            // One column alone is printed without its order.
            n => {
                let column = index.columns.get(n - 1)?;
                let name = &table.column_by_id(column.column)?.name;
                Some(quote_ident(name).into_owned())
            }
        }
    }

    fn constraint_definition(&self, oid: u32, path: &[String]) -> Option<String> {
        self.tables().find_map(|table| {
            if let Some(check) = table.checks.iter().find(|c| c.oid == oid) {
                let suffix = if check.not_valid { " NOT VALID" } else { "" };
                return Some(check_definition(&check.expr) + suffix);
            }
            if let Some(key) = table.foreign_keys.iter().find(|key| key.oid == oid) {
                return foreign_key_definition(self, table, key, path);
            }
            let mut indexes = visible_indexes(table).map(|(_, index)| index);
            let index = indexes.find(|index| index.constraint_oid == Some(oid))?;
            Some(key_definition(table, index))
        })
    }

    fn relation_size(&self, oid: u32) -> Option<i64> {
        self.relation_by_oid(oid)?;
        Some(self.sizes().read().get(&oid).map_or(0, |size| size.bytes as i64))
    }

    fn column_sequence(&self, table: u32, column: &str) -> Option<Option<(String, String)>> {
        let Relation::Table(table) = self.relation_by_oid(table)? else { return None };
        let column = table.column(column)?.id;
        let owned = |s: &&Arc<SequenceDescriptor>| {
            s.owned_by.is_some_and(|owner| owner.table == table.id && owner.column == column)
        };
        let found = self.sequences().find(owned);
        Some(found.map(|s| (s.schema.clone(), s.name.clone())))
    }

    fn comment(&self, oid: u32, class: &str, sub_id: i32) -> Option<String> {
        let class = match class {
            "" => {
                let mut comments = self.comments();
                let own = comments.find(|(t, _)| t.oid == oid && t.sub_id == sub_id);
                let built_in = || system::builtin_comment(oid, None).map(str::to_owned);
                return own.map(|(_, text)| text.to_string()).or_else(built_in);
            }
            "pg_authid" | "pg_roles" => oids::CLASS_ROLE,
            name => system::table(super::descriptor::PG_CATALOG, name)?.id.0,
        };
        let own = self.comment_on(CommentTarget { class, oid, sub_id });
        own.or_else(|| system::builtin_comment(oid, Some(class)).filter(|_| sub_id == 0))
            .map(str::to_owned)
    }

    fn sequence(&self, oid: u32) -> Option<Box<dyn SequenceCounter + '_>> {
        let (sequence, counters) = (CatalogSnapshot::sequence(self, oid)?, self.counters()?);
        Some(Box::new(Counted { sequence, counters }))
    }

    fn last_sequence(&self, session: i32) -> Option<u32> {
        self.counters()?.last_called(session)
    }
}

/// A sequence with where it stands.
struct Counted<'a> {
    sequence: &'a SequenceDescriptor,
    counters: &'a Sequences,
}

impl SequenceCounter for Counted<'_> {
    fn name(&self) -> &str {
        &self.sequence.name
    }

    fn next(&self, session: i32) -> Result<i64> {
        self.counters.next_now(self.sequence, session)
    }

    fn set(&self, value: i64, called: bool, session: i32) -> Result<()> {
        wait(self.counters.set(self.sequence, value, called, session))
    }

    fn current(&self, session: i32) -> Option<i64> {
        self.counters.current(self.sequence.oid, session)
    }

    fn last(&self) -> Result<Option<i64>> {
        let (value, called) = wait(self.counters.position(self.sequence))?;
        Ok(called.then_some(value))
    }
}

/// `CREATE INDEX …`, as `pg_get_indexdef` prints it.
pub fn index_definition(table: &TableDescriptor, index: &IndexDescriptor) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let columns: Vec<String> = index.columns.iter().map(|c| index_column(table, c)).collect();
    format!(
        "CREATE {unique}INDEX {} ON {}.{} USING btree ({})",
        quote_ident(&index.name),
        quote_ident(&table.schema),
        quote_ident(&table.name),
        columns.join(", ")
    )
}

fn index_column(table: &TableDescriptor, column: &IndexColumn) -> String {
    let name = table.column_by_id(column.column).map_or("?", |c| &c.name);
    let order = match (column.desc, column.nulls_first) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, true) => " DESC",
        (true, false) => " DESC NULLS LAST",
    };
    format!("{}{order}", quote_ident(name))
}

/// `PRIMARY KEY (…)` or `UNIQUE (…)`, as `pg_get_constraintdef` prints it.
pub fn key_definition(table: &TableDescriptor, index: &IndexDescriptor) -> String {
    let kind = if index.oid == table.primary.oid { "PRIMARY KEY" } else { "UNIQUE" };
    let name = |c: &IndexColumn| table.column_by_id(c.column).map(|c| quote_ident(&c.name));
    let columns: Vec<_> = index.columns.iter().filter_map(name).collect();
    format!("{kind} ({})", columns.join(", "))
}

/// `CHECK (…)`, as `pg_get_constraintdef` prints it; a stored operator brings its own parentheses.
pub fn check_definition(expr: &str) -> String {
    format!("CHECK ({expr})")
}

/// `FOREIGN KEY (…) REFERENCES …`, as `pg_get_constraintdef` prints it.
fn foreign_key_definition(
    snapshot: &CatalogSnapshot,
    table: &TableDescriptor,
    key: &ForeignKeyDescriptor,
    path: &[String],
) -> Option<String> {
    let parent = snapshot.table_by_id(key.parent)?;
    let list = |table: &TableDescriptor, ids: &[ColumnId]| {
        let columns = ids.iter().filter_map(|id| table.column_by_id(*id));
        columns.map(|c| quote_ident(&c.name).into_owned()).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(
        "FOREIGN KEY ({}) REFERENCES {}({})",
        list(table, &key.columns),
        snapshot.name_on_path(parent.id.0, path)?,
        list(&parent, &key.parent_columns)
    );
    if key.match_full {
        text.push_str(" MATCH FULL");
    }
    for (event, action) in [("UPDATE", key.on_update), ("DELETE", key.on_delete)] {
        let action = match action {
            ForeignAction::NoAction => continue,
            ForeignAction::Restrict => "RESTRICT",
            ForeignAction::Cascade => "CASCADE",
            ForeignAction::SetNull => "SET NULL",
            ForeignAction::SetDefault => "SET DEFAULT",
        };
        text.push_str(&format!(" ON {event} {action}"));
    }
    text.push_str(match key.timing {
        ConstraintTiming::NotDeferrable => "",
        ConstraintTiming::Immediate => " DEFERRABLE",
        ConstraintTiming::Deferred => " DEFERRABLE INITIALLY DEFERRED",
    });
    if key.not_valid {
        text.push_str(" NOT VALID");
    }
    Some(text)
}
