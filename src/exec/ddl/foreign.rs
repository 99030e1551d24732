//! FOREIGN KEY constraints: made, checked over the rows that are there, and in the way of drops.

use std::collections::HashSet;
use std::sync::Arc;

use super::drop::refuse_dependents;
use super::{Runner, undefined_relation, wrong_kind};
use crate::catalog::{Relation, quote_ident};
use crate::encoding::key;
use crate::error::{Error, Result, SqlState};
use crate::functions::{self, CastContext};
use crate::kv::LockMode;
use crate::sql::ddl::{Constraint, ForeignKey};
use crate::types::descriptor::{
    ColumnDescriptor, ColumnId, ForeignKeyDescriptor, IndexDescriptor, RelationKind,
    TableDescriptor,
};
use crate::types::{Datum, io, pg_type};

impl Runner<'_> {
    /// Adds a FOREIGN KEY to a locked table; `column` is the one that it stands with.
    pub(super) async fn add_foreign_key(
        &mut self,
        table: &Arc<TableDescriptor>,
        constraint: &Constraint,
        written: &ForeignKey,
        column: Option<&str>,
        not_valid: bool,
    ) -> Result<()> {
        let parent = self.referenced_table(table, written).await?;
        let names: Vec<&str> = match written.columns.is_empty() {
            true => column.into_iter().collect(),
            false => written.columns.iter().map(String::as_str).collect(),
        };
        let columns = column_ids(table, names.into_iter())?;
        let parent_columns = match written.parent_columns.is_empty() {
            true if parent.hidden_key => {
                return Err(Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("there is no primary key for referenced table \"{}\"", parent.name),
                ));
            }
            true => parent.primary.columns.iter().map(|c| c.column).collect(),
            false => column_ids(&parent, written.parent_columns.iter().map(String::as_str))?,
        };
        let invalid = |message: String| Err(Error::new(SqlState::INVALID_FOREIGN_KEY, message));
        let mut seen = HashSet::new();
        if !parent_columns.iter().all(|c| seen.insert(*c)) {
            return invalid(
                "foreign key referenced-columns list must not contain duplicates".to_owned(),
            );
        }
        if columns.len() != parent_columns.len() {
            return invalid(
                "number of referencing and referenced columns for foreign key disagree".to_owned(),
            );
        }
        let key = ForeignKeyDescriptor {
            oid: 0,
            name: String::new(),
            columns,
            parent: parent.id,
            parent_columns,
            on_delete: written.on_delete,
            on_update: written.on_update,
            match_full: written.match_full,
            not_valid,
            timing: written.timing,
        };
        if key.index_of(&parent).is_none() {
            return invalid(format!(
                "there is no unique constraint matching given keys for referenced table \"{}\"",
                parent.name
            ));
        }
        let changed = self.change.add_foreign_key(table, constraint.name.as_deref(), key).await?;
        let Some(key) = changed.foreign_keys.last().cloned() else { return Ok(()) };
        let parent = if parent.id == table.id { &changed } else { &parent };
        check_types(&changed, parent, &key)?;
        if !not_valid {
            self.check_foreign_key(&changed, parent, &key).await?;
        }
        Ok(())
    }

    async fn referenced_table(
        &mut self,
        table: &Arc<TableDescriptor>,
        written: &ForeignKey,
    ) -> Result<Arc<TableDescriptor>> {
        loop {
            match self.find(&written.parent)? {
                Some(Relation::Table(parent)) if parent.id == table.id => {
                    return Ok(Arc::clone(table));
                }
                Some(Relation::Table(parent)) if parent.kind != RelationKind::Foreign => {
                    super::refuse_system(&parent)?;
                    // Its writers wait: no key that is referenced goes before this commits.
                    if let Some(locked) = self.lock_found(&parent, LockMode::NoKeyUpdate).await? {
                        return Ok(locked);
                    }
                }
                Some(_) => {
                    let name = &written.parent.name;
                    let error = wrong_kind(name, "is not a table");
                    let message = format!("referenced relation {}", error.message());
                    return Err(Error::new(error.code(), message));
                }
                None => return Err(undefined_relation(&written.parent)),
            }
        }
    }

    /// VALIDATE CONSTRAINT of a foreign key; false if there is none of that name.
    pub(super) async fn validate_foreign_key(
        &mut self,
        table: &Arc<TableDescriptor>,
        name: &str,
    ) -> Result<bool> {
        let Some(key) = table.foreign_keys.iter().find(|key| key.name == name) else {
            return Ok(false);
        };
        if key.not_valid {
            let parent = self.schema().table_by_id(key.parent);
            let parent = parent.ok_or_else(|| Error::internal("a referenced table is gone"))?;
            self.check_foreign_key(table, &parent, key).await?;
            let mut changed = table.as_ref().clone();
            for key in changed.foreign_keys.iter_mut().filter(|key| key.name == name) {
                key.not_valid = false;
            }
            self.change.write_table(changed)?;
        }
        Ok(true)
    }

    /// 23503 if a row of a locked table references none.
    pub(super) async fn check_foreign_key(
        &mut self,
        table: &TableDescriptor,
        parent: &TableDescriptor,
        key: &ForeignKeyDescriptor,
    ) -> Result<()> {
        let types: Vec<_> = key
            .columns
            .iter()
            .zip(&key.parent_columns)
            .filter_map(|(c, p)| Some((table.column_by_id(*c)?.ty, parent.column_by_id(*p)?.ty)))
            .collect();
        let theirs = places(parent, &key.parent_columns);
        let mut keys: HashSet<Vec<u8>> = HashSet::new();
        self.each_row(parent, &mut |_, row| {
            let mut bytes = Vec::new();
            for (at, (_, ty)) in theirs.iter().zip(&types) {
                key::encode(&row[*at], *ty, false, false, &mut bytes)?;
            }
            keys.insert(bytes);
            Ok(())
        })
        .await?;
        let own = places(table, &key.columns);
        self.each_row(table, &mut |runner, row| {
            let values: Vec<&Datum> = own.iter().map(|at| &row[*at]).collect();
            let nulls = values.iter().filter(|v| v.is_null()).count();
            if nulls == values.len() || (nulls > 0 && !key.match_full) {
                return Ok(());
            }
            let mut bytes = Vec::new();
            for (value, (from, to)) in values.iter().zip(&types) {
                let value = functions::apply_cast(
                    runner.eval,
                    (*value).clone(),
                    from.plain(),
                    to.plain(),
                    false,
                )?;
                key::encode(&value, *to, false, false, &mut bytes)?;
            }
            if nulls == 0 && keys.contains(&bytes) {
                return Ok(());
            }
            let settings = &runner.eval.session.format;
            let shown = |(value, (ty, _)): (&&Datum, &(_, _))| io::to_text(value, *ty, settings);
            let shown: Option<Vec<String>> = values.iter().zip(&types).map(shown).collect();
            Err(not_present(table, parent, key, shown))
        })
        .await
    }

    /// The foreign keys of other tables that need an index, a column or all of a table: refused,
    /// or dropped with CASCADE. `gone` are tables that go too.
    pub(super) async fn drop_references(
        &mut self,
        parent: &TableDescriptor,
        dropped: &str,
        on: &str,
        cascade: bool,
        needs: &(dyn Fn(&ForeignKeyDescriptor) -> bool + Sync),
        gone: &[u32],
    ) -> Result<()> {
        let mut users = self.schema().references_to(parent.id);
        users.retain(|(child, key)| !gone.contains(&child.id.0) && needs(key));
        let named = |(child, key): &(Arc<TableDescriptor>, ForeignKeyDescriptor)| {
            format!("constraint {} on table {}", key.name, child.name)
        };
        let objects: Vec<String> = users.iter().map(named).collect();
        if !cascade {
            refuse_dependents(dropped, on, &objects)?;
        }
        self.cascade_notice(&objects);
        for (child, key) in users {
            let child = self.change.lock_table(&child, LockMode::Update).await?;
            let mut changed = child.as_ref().clone();
            changed.foreign_keys.retain(|k| k.oid != key.oid);
            self.change.write_table(changed)?;
        }
        Ok(())
    }
}

/// Whether a foreign key that references a table needs an index of it.
pub(super) fn needs_index(
    key: &ForeignKeyDescriptor,
    parent: &TableDescriptor,
    index: &IndexDescriptor,
) -> bool {
    key.index_of(parent).is_some_and(|found| found.oid == index.oid)
}

fn places(table: &TableDescriptor, columns: &[ColumnId]) -> Vec<usize> {
    let place = |id: &ColumnId| table.columns.iter().position(|c| c.id == *id);
    columns.iter().filter_map(place).collect()
}

fn column_ids<'n>(
    table: &TableDescriptor,
    names: impl Iterator<Item = &'n str>,
) -> Result<Vec<ColumnId>> {
    names
        .map(|name| match table.column(name) {
            Some(column) => Ok(column.id),
            None => Err(Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" referenced in foreign key constraint does not exist"),
            )),
        })
        .collect()
}

/// 42804 for columns that cannot be compared; 0A000 for those that only fit with losses.
fn check_types(
    table: &TableDescriptor,
    parent: &TableDescriptor,
    key: &ForeignKeyDescriptor,
) -> Result<()> {
    for (own, theirs) in key.columns.iter().zip(&key.parent_columns) {
        let (Some(own), Some(theirs)) = (table.column_by_id(*own), parent.column_by_id(*theirs))
        else {
            continue;
        };
        check_type(key, own, theirs)?;
    }
    Ok(())
}

fn check_type(
    key: &ForeignKeyDescriptor,
    own: &ColumnDescriptor,
    theirs: &ColumnDescriptor,
) -> Result<()> {
    let (from, to) = (own.ty.plain(), theirs.ty.plain());
    let implicit = |from, to| {
        functions::find_cast(from, to).is_some_and(|c| c.context == CastContext::Implicit)
    };
    if from.same(to) || implicit(from, to) {
        return Ok(());
    }
    let (from, to) = (pg_type::format_type(from), pg_type::format_type(to));
    if implicit(theirs.ty.plain(), own.ty.plain()) {
        return Err(Error::unsupported(format!("a foreign key from {from} to {to}")));
    }
    Err(Error::new(
        SqlState::DATATYPE_MISMATCH,
        format!("foreign key constraint \"{}\" cannot be implemented", key.name),
    )
    .with_detail(format!(
        "Key columns \"{}\" and \"{}\" are of incompatible types: {from} and {to}.",
        own.name, theirs.name
    )))
}

/// 23503 for a row that references none; without values, one that MATCH FULL refuses.
pub(in crate::exec) fn not_present(
    table: &TableDescriptor,
    parent: &TableDescriptor,
    key: &ForeignKeyDescriptor,
    values: Option<Vec<String>>,
) -> Error {
    let detail = match values {
        Some(values) => format!(
            "Key ({})=({}) is not present in table \"{}\".",
            key_names(table, &key.columns),
            values.join(", "),
            parent.name
        ),
        None => "MATCH FULL does not allow mixing of null and nonnull key values.".to_owned(),
    };
    Error::new(
        SqlState::FOREIGN_KEY_VIOLATION,
        format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
            table.name, key.name
        ),
    )
    .with_detail(detail)
    .with_table(&table.schema, &table.name)
    .with_constraint(&key.name)
}

/// The names of a key's columns, as messages list them.
pub(in crate::exec) fn key_names(table: &TableDescriptor, columns: &[ColumnId]) -> String {
    let names = columns.iter().filter_map(|id| table.column_by_id(*id));
    names.map(|c| quote_ident(&c.name).into_owned()).collect::<Vec<_>>().join(", ")
}
