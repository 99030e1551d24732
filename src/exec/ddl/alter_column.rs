//! ALTER TABLE: columns.

use std::sync::Arc;

use super::create::{check_key_type, check_system_name, nextval, refuse_pseudo_type};
use super::{Runner, undefined_column};
use crate::catalog::descriptor::SequenceOwner;
use crate::error::{Error, Result, SqlState};
use crate::sql::ast::TypeName;
use crate::sql::ddl::{ColumnDefinition, SourceExpr};
use crate::types::descriptor::{ColumnDescriptor, ColumnId, ForeignKeyDescriptor, TableDescriptor};
use crate::types::io;

impl Runner<'_> {
    /// ADD COLUMN. Rows that are there get the default as it is now: kept in the descriptor where
    /// it is one value, written into every row where it is not.
    pub(super) async fn add_column(
        &mut self,
        table: &Arc<TableDescriptor>,
        definition: &ColumnDefinition,
        if_not_exists: bool,
    ) -> Result<()> {
        let name = &definition.name;
        check_system_name(name)?;
        if table.column(name).is_some() {
            let relation = &table.name;
            let message = format!("column \"{name}\" of relation \"{relation}\" already exists");
            if !if_not_exists {
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
            self.notice(SqlState::DUPLICATE_COLUMN, format!("{message}, skipping"));
            return Ok(());
        }
        let id = ColumnId(table.next_column);
        let defined = self.define_column(&table.name, definition, id)?;
        let mut column = defined.column.clone();
        if let Some(source) = defined.default {
            column.default = self.default_text(source, column.ty, name)?;
        }
        if let Some(own) = &defined.sequence {
            let (schema, relation) = (table.schema.clone(), table.name.clone());
            let sequence = self.own_sequence(&schema, &relation, name, own).await?;
            column.default = Some(nextval(&sequence));
            let owner = SequenceOwner { table: table.id, column: id, identity: own.identity };
            self.change.own_sequence(&sequence, Some(owner))?;
        }
        let not_null = column.not_null;
        let constraints = defined.constraints.clone();
        self.append_column(table, column).await?;
        let mut current = self.current_of(table)?;
        for constraint in constraints {
            self.add_constraint(&current, constraint, Some(name), false).await?;
            current = self.current_of(table)?;
        }
        if not_null && !self.default_fills(&current, id) {
            self.check_nulls(&current, &[id]).await?;
        }
        Ok(())
    }

    fn current_of(&self, table: &TableDescriptor) -> Result<Arc<TableDescriptor>> {
        let current = self.schema().table_by_id(table.id);
        current.ok_or_else(|| Error::internal("the table vanished in its own DDL"))
    }

    /// Whether rows written before a column was added have a value in it.
    fn default_fills(&self, table: &TableDescriptor, id: ColumnId) -> bool {
        table.column_by_id(id).is_some_and(|c| c.missing.is_some())
    }

    async fn append_column(
        &mut self,
        table: &TableDescriptor,
        mut column: ColumnDescriptor,
    ) -> Result<()> {
        let default = match &column.default {
            Some(_) => Some(self.compiled_default(&column)?),
            None => None,
        };
        let volatile = default.is_some() && self.default_is_volatile(&column)?;
        let mut changed = table.clone();
        changed.next_column += 1;
        match default {
            Some(default) if volatile => {
                changed.columns.push(column);
                let new = self.change.move_to_new_spaces(changed).await?;
                return self
                    .rewrite(table, &new, &mut |_, mut row| {
                        row.push(default.value(&[])?);
                        Ok(row)
                    })
                    .await;
            }
            Some(default) => {
                let value = default.value(&[])?;
                column.missing = io::to_text(&value, column.ty, &Default::default());
            }
            None => {}
        }
        changed.columns.push(column);
        self.change.write_table(changed).map(|_| ())
    }

    pub(super) async fn drop_column(
        &mut self,
        table: &Arc<TableDescriptor>,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let Some(column) = table.column(name) else {
            let error = undefined_column(table, name);
            if !if_exists {
                return Err(error);
            }
            let message = format!("{}, skipping", error.message());
            self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
            return Ok(());
        };
        let id = column.id;
        let dropped = format!("column {name} of table {}", table.name);
        let needs = |key: &ForeignKeyDescriptor| key.parent_columns.contains(&id);
        self.drop_references(table, &dropped, &dropped, cascade, &needs, &[table.id.0]).await?;
        self.change.drop_owned_sequences(table, Some(id)).await?;
        let mut changed = self.drop_users(table, id)?;
        let place = changed.columns.iter().position(|c| c.id == id).unwrap_or_default();
        changed.columns.remove(place);
        if !table.primary.columns.iter().any(|c| c.column == id) {
            return self.change.write_table(changed).map(|_| ());
        }
        // The rows lie under this key: they move to another.
        let new = self.change.replace_primary(&changed, None, 1).await?;
        self.rewrite(table, &new, &mut |_, mut row| {
            row.remove(place);
            Ok(row)
        })
        .await
    }

    pub(super) fn rename_column(
        &mut self,
        table: &TableDescriptor,
        name: &str,
        new_name: &str,
    ) -> Result<()> {
        check_system_name(new_name)?;
        let mut changed = table.clone();
        let Some(column) = changed.columns.iter_mut().find(|c| c.name == name) else {
            return Err(Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" does not exist"),
            ));
        };
        if table.column(new_name).is_some() {
            let relation = &table.name;
            let message =
                format!("column \"{new_name}\" of relation \"{relation}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        let id = column.id;
        new_name.clone_into(&mut column.name);
        let mut checks = changed.checks.clone();
        for check in checks.iter_mut().filter(|check| check.columns.contains(&id)) {
            check.expr = self.renamed_condition(&check.expr, table, &changed)?;
        }
        changed.checks = checks;
        self.change.write_table(changed).map(|_| ())
    }

    /// The table with one column changed.
    pub(super) fn with_column(
        table: &TableDescriptor,
        name: &str,
        change: impl FnOnce(&mut ColumnDescriptor),
    ) -> Result<TableDescriptor> {
        let mut changed = table.clone();
        match changed.columns.iter_mut().find(|c| c.name == name) {
            Some(column) => change(column),
            None => return Err(undefined_column(table, name)),
        }
        Ok(changed)
    }

    pub(super) fn set_default(
        &mut self,
        table: &TableDescriptor,
        name: &str,
        default: Option<&SourceExpr>,
    ) -> Result<()> {
        let Some(column) = table.column(name) else { return Err(undefined_column(table, name)) };
        if column.identity.is_some() {
            let relation = &table.name;
            let error = Error::new(
                SqlState::SYNTAX_ERROR,
                format!("column \"{name}\" of relation \"{relation}\" is an identity column"),
            );
            return Err(match default {
                Some(_) => error,
                None => {
                    error.with_hint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead.")
                }
            });
        }
        let text = match default {
            Some(source) => self.default_text(source, column.ty, name)?,
            None => None,
        };
        let changed = Self::with_column(table, name, |c| c.default = text)?;
        self.change.write_table(changed).map(|_| ())
    }

    pub(super) async fn set_not_null(
        &mut self,
        table: &Arc<TableDescriptor>,
        name: &str,
        not_null: bool,
    ) -> Result<()> {
        let Some(column) = table.column(name) else { return Err(undefined_column(table, name)) };
        let relation = &table.name;
        if !not_null && table.primary.columns.iter().any(|c| c.column == column.id) {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("column \"{name}\" is in a primary key"),
            ));
        }
        if !not_null && column.identity.is_some() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("column \"{name}\" of relation \"{relation}\" is an identity column"),
            ));
        }
        if not_null && !column.not_null {
            self.check_nulls(table, &[column.id]).await?;
        }
        let changed = Self::with_column(table, name, |c| c.not_null = not_null)?;
        self.change.write_table(changed).map(|_| ())
    }

    /// ALTER COLUMN … TYPE: every row is written again, every index filled again.
    pub(super) async fn set_type(
        &mut self,
        table: &Arc<TableDescriptor>,
        name: &str,
        ty: &TypeName,
        using: Option<&SourceExpr>,
        position: u32,
    ) -> Result<()> {
        let ty = self.resolve_type(ty)?;
        refuse_pseudo_type(ty, name)?;
        let Some(column) = table.column(name) else { return Err(undefined_column(table, name)) };
        let mut indexes = table.indexes.iter().chain([&table.primary]);
        if indexes.any(|index| index.columns.iter().any(|c| c.column == column.id)) {
            check_key_type(ty)?;
        }
        let used = table.foreign_keys.iter().any(|key| key.columns.contains(&column.id));
        let needed = self.schema().references_to(table.id);
        if used || needed.iter().any(|(_, key)| key.parent_columns.contains(&column.id)) {
            return Err(Error::unsupported("ALTER COLUMN … TYPE of a foreign key's column")
                .with_hint("Drop the constraint first, and add it again."));
        }
        let convert = self.compiled_conversion(using, table, column, ty, position)?;
        let mut changed = Self::with_column(table, name, |c| {
            c.ty = ty;
            c.missing = None;
        })?;
        self.retype_default(&mut changed, column, ty)?;
        // Conditions are bound again: over the new type they may mean other operators.
        for check in &mut changed.checks {
            let draft =
                TableDescriptor { checks: Vec::new(), ..changed_types(table, column.id, ty) };
            check.expr = self.renamed_condition(&check.expr, &draft, &draft)?;
        }
        let place = table.columns.iter().position(|c| c.id == column.id).unwrap_or_default();
        let new = self.change.move_to_new_spaces(changed).await?;
        self.rewrite(table, &new, &mut |_, mut row| {
            row[place] = convert.value(&row)?;
            Ok(row)
        })
        .await?;
        let checks = new.checks.clone();
        for check in checks {
            let compiled = self.compiled_condition(&check.expr, &new)?;
            self.check_rows(&new, &check.name, &compiled).await?;
        }
        Ok(())
    }

    /// A default must fit the new type.
    fn retype_default(
        &self,
        changed: &mut TableDescriptor,
        old: &ColumnDescriptor,
        ty: crate::types::SqlType,
    ) -> Result<()> {
        if old.default.is_none() || old.identity.is_some() {
            return Ok(());
        }
        let Some(column) = changed.columns.iter().find(|c| c.id == old.id) else { return Ok(()) };
        self.compiled_default(column).map(|_| ()).map_err(|e| match e.code() {
            SqlState::DATATYPE_MISMATCH => Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "default for column \"{}\" cannot be cast automatically to type {ty}",
                    old.name
                ),
            ),
            _ => e,
        })
    }
}

fn changed_types(
    table: &TableDescriptor,
    column: ColumnId,
    ty: crate::types::SqlType,
) -> TableDescriptor {
    let mut changed = table.clone();
    for c in changed.columns.iter_mut().filter(|c| c.id == column) {
        c.ty = ty;
    }
    changed
}
