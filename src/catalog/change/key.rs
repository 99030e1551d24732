//! Keys and indexes.

use std::sync::Arc;

use super::super::descriptor::oids;
use super::super::names;
use super::SchemaChange;
use super::table::{constraint_names, duplicate_constraint};
use crate::error::Result;
use crate::types::descriptor::{
    ColumnId, IndexColumn, IndexDescriptor, IndexState, TableDescriptor,
};

/// A PRIMARY KEY or UNIQUE constraint to make.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its name; none: PostgreSQL's own choice.
    pub name: Option<String>,
    /// Its columns.
    pub columns: Vec<ColumnId>,
}

/// An index to make.
#[derive(Clone, Debug)]
pub struct NewIndex {
    /// Its name; none: PostgreSQL's own choice.
    pub name: Option<String>,
    /// Its columns.
    pub columns: Vec<IndexColumn>,
    /// UNIQUE
    pub unique: bool,
}

impl SchemaChange<'_> {
    /// Makes the descriptor of a key's index and takes its name. `label`: `pkey` or `key`.
    pub(super) async fn new_key(
        &mut self,
        table: &TableDescriptor,
        key: NewKey,
        label: &str,
    ) -> Result<IndexDescriptor> {
        let constraints = constraint_names(table);
        if let Some(name) = &key.name
            && constraints.contains(name.as_str())
            && !self.snapshot.name_taken(&table.schema, name)
        {
            return Err(duplicate_constraint(&table.name, name));
        }
        let columns = key.columns.iter().map(|column| IndexColumn {
            column: *column,
            desc: false,
            nulls_first: false,
        });
        let index = NewIndex { name: key.name, columns: columns.collect(), unique: true };
        let mut index = self.new_index(table, index, label).await?;
        index.constraint_oid = Some(self.catalog.next_oid().await?);
        Ok(index)
    }

    /// Makes the descriptor of an index and takes its name; it is not yet part of the table.
    pub async fn new_index(
        &mut self,
        table: &TableDescriptor,
        new: NewIndex,
        label: &str,
    ) -> Result<IndexDescriptor> {
        let name = match new.name {
            Some(name) => name,
            None => self.choose_index_name(table, &new.columns, label),
        };
        let oid = self.catalog.next_oid().await?;
        self.claim_relation(&table.schema, &name, oid).await?;
        Ok(IndexDescriptor {
            oid,
            name,
            columns: new.columns,
            unique: new.unique,
            constraint_oid: None,
            space: self.new_space().await?,
            state: IndexState::Public,
        })
    }

    fn choose_index_name(
        &self,
        table: &TableDescriptor,
        columns: &[IndexColumn],
        label: &str,
    ) -> String {
        let constraints = constraint_names(table);
        let own: Vec<&str> = table.indexes.iter().map(|i| i.name.as_str()).collect();
        let taken = |name: &str| {
            self.snapshot.name_taken(&table.schema, name)
                || own.contains(&name)
                || name == table.name
                || name == table.primary.name
                || (label != "idx" && constraints.contains(name))
        };
        if label == "pkey" {
            return names::choose(&table.name, "", label, taken);
        }
        let columns = columns.iter().filter_map(|c| table.column_by_id(c.column));
        let part = names::column_part(columns.map(|c| c.name.as_str()));
        names::choose(&table.name, &part, label, taken)
    }

    /// Makes the descriptor of a UNIQUE constraint's index; it is not yet part of the table.
    pub async fn new_unique(
        &mut self,
        table: &TableDescriptor,
        key: NewKey,
    ) -> Result<IndexDescriptor> {
        self.new_key(table, key, "key").await
    }

    /// Makes the descriptor of a primary key, with a space of its own: the rows move there.
    pub async fn new_primary(
        &mut self,
        table: &TableDescriptor,
        key: NewKey,
    ) -> Result<IndexDescriptor> {
        self.new_key(table, key, "pkey").await
    }

    /// Drops a secondary index of a locked table, and the constraint it belongs to.
    pub fn drop_index(
        &mut self,
        table: &TableDescriptor,
        oid: u32,
    ) -> Result<Arc<TableDescriptor>> {
        let mut new = table.clone();
        if let Some(at) = new.indexes.iter().position(|index| index.oid == oid) {
            let index = new.indexes.remove(at);
            self.forget_index(table, &index)?;
        }
        self.write_table(new)
    }

    /// Gives up an index's name, entries and comments.
    pub fn forget_index(&mut self, table: &TableDescriptor, index: &IndexDescriptor) -> Result<()> {
        if index.oid != 0 {
            self.release_relation(&table.schema, &index.name)?;
        }
        self.discard_space(index.space)?;
        self.drop_comments(oids::CLASS_RELATION, index.oid)?;
        match index.constraint_oid {
            Some(constraint) => self.drop_comments(oids::CLASS_CONSTRAINT, constraint),
            None => Ok(()),
        }
    }

    /// Moves a locked table's rows to another primary key: `primary` none is a hidden row id. The
    /// caller copies the rows; every secondary index gets a new space, to be filled again.
    pub async fn replace_primary(
        &mut self,
        table: &TableDescriptor,
        primary: Option<IndexDescriptor>,
        partition_columns: u16,
    ) -> Result<Arc<TableDescriptor>> {
        let mut new = table.clone();
        new.hidden_key = primary.is_none();
        new.partition_columns = partition_columns;
        new.primary = match primary {
            Some(primary) => primary,
            None => self.hidden_key().await?,
        };
        for column in &new.primary.columns {
            if let Some(c) = new.columns.iter_mut().find(|c| c.id == column.column) {
                c.not_null = true;
            }
        }
        self.forget_index(table, &table.primary)?;
        for index in &mut new.indexes {
            self.discard_space(index.space)?;
            index.space = self.new_space().await?;
        }
        self.write_table(new)
    }

    /// ALTER INDEX … RENAME TO, of a locked table's index; its constraint is renamed with it.
    pub async fn rename_index(
        &mut self,
        table: &TableDescriptor,
        oid: u32,
        name: &str,
    ) -> Result<()> {
        self.claim_relation(&table.schema, name, oid).await?;
        let mut new = table.clone();
        let indexes = new.indexes.iter_mut().chain(std::iter::once(&mut new.primary));
        for index in indexes.filter(|index| index.oid == oid) {
            self.release_relation(&table.schema, &index.name)?;
            name.clone_into(&mut index.name);
        }
        self.write_table(new)?;
        Ok(())
    }
}
