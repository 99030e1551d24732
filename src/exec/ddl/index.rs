//! CREATE INDEX.

use super::create::check_key_type;
use super::{Runner, Tag, undefined_relation, wrong_kind};
use crate::catalog::Relation;
use crate::catalog::change::NewIndex;
use crate::error::{Error, Result, SqlState};
use crate::kv::LockMode;
use crate::sql::ddl::CreateIndex;
use crate::types::descriptor::{IndexColumn, RelationKind, TableDescriptor};

/// Columns an index can have.
const INDEX_COLUMNS_MAX: usize = 32;

impl Runner<'_> {
    pub(super) async fn create_index(&mut self, create: &CreateIndex) -> Result<Tag> {
        let tag = Ok("CREATE INDEX".into());
        let table = match self.find(&create.table)? {
            Some(Relation::Table(table)) if table.kind != RelationKind::Foreign => table,
            Some(Relation::Table(_)) => {
                let message = format!("cannot create index on relation \"{}\"", create.table.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                    .with_detail("This operation is not supported for foreign tables."));
            }
            Some(Relation::Sequence(_)) => {
                let message = format!("cannot create index on relation \"{}\"", create.table.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                    .with_detail("This operation is not supported for sequences."));
            }
            Some(Relation::Index(..)) => {
                return Err(wrong_kind(&create.table.name, "is an index"));
            }
            None => return Err(undefined_relation(&create.table)),
        };
        super::refuse_system(&table)?;
        if let Some(name) = &create.name
            && create.if_not_exists
            && !self.is_free(&table.schema, name, true)?
        {
            return tag;
        }
        // Writers wait, readers do not.
        let Some(table) = self.lock_found(&table, LockMode::NoKeyUpdate).await? else {
            return Box::pin(self.create_index(create)).await;
        };
        let columns = index_columns(&table, create)?;
        if let Some(name) = &create.name {
            self.is_free(&table.schema, name, false)?;
        }
        let new = NewIndex { name: create.name.clone(), columns, unique: create.unique };
        let index = self.change.new_index(&table, new, "idx").await?;
        self.build_index(&table, &index).await?;
        let mut changed = TableDescriptor::clone(&table);
        changed.indexes.push(index);
        self.change.write_table(changed)?;
        tag
    }
}

fn index_columns(table: &TableDescriptor, create: &CreateIndex) -> Result<Vec<IndexColumn>> {
    if create.columns.len() > INDEX_COLUMNS_MAX {
        return Err(Error::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("cannot use more than {INDEX_COLUMNS_MAX} columns in an index"),
        ));
    }
    let mut columns = Vec::with_capacity(create.columns.len());
    for column in &create.columns {
        let Some(found) = table.column(&column.name) else {
            return Err(Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{}\" does not exist", column.name),
            ));
        };
        check_key_type(found.ty)?;
        columns.push(IndexColumn {
            column: found.id,
            desc: column.desc,
            nulls_first: column.nulls_first,
        });
    }
    Ok(columns)
}
