//! Tables: create, drop, truncate, rename.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::descriptor::oids;
use super::super::names;
use super::super::object::{Kind, ObjectId};
use super::super::visible_indexes;
use super::key::NewKey;
use super::{SchemaChange, undefined_table};
use crate::error::{Error, Result, SqlState};
use crate::kv::LockMode;
use crate::types::descriptor::{
    CheckDescriptor, ColumnDescriptor, ColumnId, ForeignDescriptor, ForeignKeyDescriptor,
    IndexDescriptor, IndexState, Loaded, RelationKind, TableDescriptor, TableId,
};

/// A CHECK constraint to make.
#[derive(Clone, Debug)]
pub struct NewCheck {
    /// Its name; none: PostgreSQL's own choice.
    pub name: Option<String>,
    /// The condition, as it is stored.
    pub expr: String,
    /// The columns it uses.
    pub columns: Vec<ColumnId>,
    /// NOT VALID
    pub not_valid: bool,
}

/// A table to make.
#[derive(Clone, Debug)]
pub struct NewTable {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns; their ids count up from 1.
    pub columns: Vec<ColumnDescriptor>,
    /// The primary key.
    pub primary: Option<NewKey>,
    /// UNIQUE constraints.
    pub uniques: Vec<NewKey>,
    /// CHECK constraints.
    pub checks: Vec<NewCheck>,
    /// How many of the primary key's columns make the partition part; none: the first.
    pub partition_columns: Option<u16>,
    /// `columnar = on`
    pub columnar: bool,
}

impl SchemaChange<'_> {
    /// CREATE TABLE. 42P07 if the name is taken.
    pub async fn create_table(&mut self, new: NewTable) -> Result<Arc<TableDescriptor>> {
        self.hold_schema(&new.schema).await?;
        let id = self.catalog.next_oid().await?;
        self.claim_relation(&new.schema, &new.name, id).await?;
        let mut table = TableDescriptor {
            id: TableId(id),
            schema: new.schema,
            name: new.name,
            kind: RelationKind::Table,
            next_column: new.columns.len() as u16 + 1,
            columns: new.columns,
            primary: self.hidden_key().await?,
            hidden_key: true,
            partition_columns: 1,
            keys_in_value: self.catalog.store().capabilities().native_columns,
            indexes: Vec::new(),
            checks: Vec::new(),
            columnar: new.columnar,
            columnar_since: 0,
            loaded: Loaded::Never,
            foreign_keys: Vec::new(),
            owner: self.owner.clone(),
            version: 0,
            foreign: None,
            files: None,
        };
        for check in new.checks {
            let check = self.new_check(&table, check).await?;
            table.checks.push(check);
        }
        if let Some(key) = new.primary {
            table.primary = self.new_key(&table, key, "pkey").await?;
            table.hidden_key = false;
            table.partition_columns = new.partition_columns.unwrap_or(1);
            for column in &table.primary.columns {
                if let Some(c) = table.columns.iter_mut().find(|c| c.id == column.column) {
                    c.not_null = true;
                }
            }
        }
        for key in new.uniques {
            let index = self.new_key(&table, key, "key").await?;
            table.indexes.push(index);
        }
        self.write_table(table)
    }

    /// CREATE FOREIGN TABLE: a descriptor that no rows of the store go with. 42P07 if the name is
    /// taken.
    pub async fn create_foreign_table(
        &mut self,
        schema: &str,
        name: &str,
        columns: Vec<ColumnDescriptor>,
        foreign: ForeignDescriptor,
    ) -> Result<Arc<TableDescriptor>> {
        self.hold_schema(schema).await?;
        let id = self.catalog.next_oid().await?;
        self.claim_relation(schema, name, id).await?;
        let mut table =
            TableDescriptor::unplaced(TableId(id), schema, name, RelationKind::Foreign, columns);
        table.foreign = Some(Box::new(foreign));
        table.owner = self.owner.clone();
        table.version = 0;
        self.write_table(table)
    }

    /// The key of a table without a primary key: a row id.
    pub(super) async fn hidden_key(&mut self) -> Result<IndexDescriptor> {
        Ok(IndexDescriptor {
            oid: 0,
            name: String::new(),
            columns: Vec::new(),
            unique: true,
            constraint_oid: None,
            space: self.new_space().await?,
            state: IndexState::Public,
        })
    }

    /// Makes the descriptor of a CHECK constraint. 42710 if its name is taken in the table.
    pub async fn new_check(
        &self,
        table: &TableDescriptor,
        check: NewCheck,
    ) -> Result<CheckDescriptor> {
        let taken = constraint_names(table);
        let name = match check.name {
            Some(name) if taken.contains(name.as_str()) => {
                return Err(duplicate_constraint(&table.name, &name));
            }
            Some(name) => name,
            None => {
                // The name mentions the column if there is just one.
                let column = match check.columns.as_slice() {
                    [only] => table.column_by_id(*only).map_or("", |c| &c.name),
                    _ => "",
                };
                names::choose(&table.name, column, "check", |name| taken.contains(name))
            }
        };
        let oid = self.catalog.next_oid().await?;
        let NewCheck { expr, columns, not_valid, .. } = check;
        Ok(CheckDescriptor { oid, name, expr, columns, not_valid })
    }

    /// Gives a FOREIGN KEY constraint its OID and its name, 42710 if that is taken, and adds it to
    /// a locked table.
    pub async fn add_foreign_key(
        &mut self,
        table: &TableDescriptor,
        name: Option<&str>,
        mut key: ForeignKeyDescriptor,
    ) -> Result<Arc<TableDescriptor>> {
        let taken = constraint_names(table);
        key.name = match name {
            Some(name) if taken.contains(name) => {
                return Err(duplicate_constraint(&table.name, name));
            }
            Some(name) => name.to_owned(),
            None => {
                let columns = key.columns.iter().filter_map(|c| table.column_by_id(*c));
                let part = names::column_part(columns.map(|c| c.name.as_str()));
                names::choose(&table.name, &part, "fkey", |name| taken.contains(name))
            }
        };
        key.oid = self.catalog.next_oid().await?;
        let mut changed = table.clone();
        changed.foreign_keys.push(key);
        self.write_table(changed)
    }

    /// DROP TABLE of a table locked by [`SchemaChange::lock_table`].
    pub fn drop_table(&mut self, table: &TableDescriptor) -> Result<()> {
        self.release_relation(&table.schema, &table.name)?;
        if table.kind == RelationKind::Table {
            self.discard_space(table.space())?;
        }
        for (_, index) in visible_indexes(table) {
            self.release_relation(&table.schema, &index.name)?;
            self.drop_comments(oids::CLASS_RELATION, index.oid)?;
            if let Some(constraint) = index.constraint_oid {
                self.drop_comments(oids::CLASS_CONSTRAINT, constraint)?;
            }
        }
        for index in &table.indexes {
            self.discard_space(index.space)?;
        }
        for check in &table.checks {
            self.drop_comments(oids::CLASS_CONSTRAINT, check.oid)?;
        }
        for key in &table.foreign_keys {
            self.drop_comments(oids::CLASS_CONSTRAINT, key.oid)?;
        }
        self.remove(ObjectId::Plain(Kind::Table, table.id.0))?;
        self.drop_comments(oids::CLASS_RELATION, table.id.0)
    }

    /// Writes a locked table with new spaces, which are empty, for its rows and indexes: all that
    /// TRUNCATE does, and what a table's rows are copied into when all of them change.
    pub async fn move_to_new_spaces(
        &mut self,
        mut table: TableDescriptor,
    ) -> Result<Arc<TableDescriptor>> {
        table.loaded = Loaded::Never;
        self.discard_space(table.primary.space)?;
        table.primary.space = self.new_space().await?;
        for index in &mut table.indexes {
            self.discard_space(index.space)?;
            index.space = self.new_space().await?;
        }
        self.write_table(table)
    }

    /// ALTER TABLE … RENAME TO, of a locked table.
    pub async fn rename_table(&mut self, table: &TableDescriptor, name: &str) -> Result<()> {
        self.hold_schema(&table.schema).await?;
        self.claim_relation(&table.schema, name, table.id.0).await?;
        self.release_relation(&table.schema, &table.name)?;
        self.write_table(TableDescriptor { name: name.to_owned(), ..table.clone() })?;
        Ok(())
    }

    /// ALTER TABLE … SET SCHEMA, of a locked table.
    pub async fn move_table(&mut self, table: &TableDescriptor, schema: &str) -> Result<()> {
        self.hold_schema(schema).await?;
        let indexes: Vec<_> =
            visible_indexes(table).map(|(_, i)| (i.name.clone(), i.oid)).collect();
        let relations = std::iter::once((table.name.clone(), table.id.0)).chain(indexes);
        for (name, oid) in relations {
            self.claim_relation(schema, &name, oid).await.map_err(|e| match e.code() {
                SqlState::DUPLICATE_TABLE => Error::new(
                    SqlState::DUPLICATE_TABLE,
                    format!("relation \"{name}\" already exists in schema \"{schema}\""),
                ),
                _ => e,
            })?;
            self.release_relation(&table.schema, &name)?;
        }
        self.write_table(TableDescriptor { schema: schema.to_owned(), ..table.clone() })?;
        Ok(())
    }

    /// Locks the table of an OID; 42P01 under `name` if there is none.
    pub async fn lock_table_by_id(
        &mut self,
        id: TableId,
        name: &str,
        mode: LockMode,
    ) -> Result<Arc<TableDescriptor>> {
        let table = self.snapshot.table_by_id(id).ok_or_else(|| undefined_table(name))?;
        self.lock_table(&table, mode).await
    }
}

/// Names of a table's constraints.
pub(super) fn constraint_names(table: &TableDescriptor) -> HashSet<&str> {
    let keys = visible_indexes(table).map(|(_, index)| index);
    let keys = keys.filter(|i| i.constraint_oid.is_some()).map(|i| i.name.as_str());
    let foreign = table.foreign_keys.iter().map(|key| key.name.as_str());
    table.checks.iter().map(|c| c.name.as_str()).chain(keys).chain(foreign).collect()
}

/// 42710
pub(super) fn duplicate_constraint(table: &str, name: &str) -> Error {
    Error::new(
        SqlState::DUPLICATE_OBJECT,
        format!("constraint \"{name}\" for relation \"{table}\" already exists"),
    )
}
