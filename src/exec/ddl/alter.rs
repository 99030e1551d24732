//! ALTER TABLE, ALTER INDEX and what ALTER SEQUENCE shares with them.

use std::sync::Arc;

use super::create::{multiple_primary_keys, partition_columns, table_options};
use super::foreign::needs_index;
use super::{Runner, Tag, undefined_constraint, undefined_relation, wrong_kind};
use crate::catalog::change::{NewCheck, NewKey};
use crate::catalog::{IndexRef, Relation, visible_indexes};
use crate::error::{Error, Result, SqlState};
use crate::kv::LockMode;
use crate::sql::ddl::{
    AlterTable, Constraint, ConstraintKind, ObjectKind, ObjectName, OptionValue, StorageOption,
};
use crate::types::descriptor::{ColumnId, ForeignKeyDescriptor, RelationKind, TableDescriptor};

/// 0A000 for what cannot be done to a foreign table: its columns are the cluster's.
fn check_foreign(action: &AlterTable) -> Result<()> {
    match action {
        AlterTable::RenameTable(_)
        | AlterTable::RenameColumn { .. }
        | AlterTable::OwnerTo(_)
        | AlterTable::SetSchema(_) => Ok(()),
        _ => Err(Error::unsupported("ALTER FOREIGN TABLE other than RENAME, OWNER and SET SCHEMA")
            .with_hint(
                "Change the table in the cluster, drop the foreign table, import it again.",
            )),
    }
}

impl Runner<'_> {
    pub(super) async fn alter(
        &mut self,
        kind: ObjectKind,
        name: &ObjectName,
        if_exists: bool,
        actions: &[AlterTable],
    ) -> Result<Tag> {
        let tag: Tag = format!("ALTER {}", kind.word().to_ascii_uppercase()).into();
        let Some(relation) = self.find(name)? else {
            let error = undefined_relation(name);
            if !if_exists {
                return Err(error);
            }
            let message = format!("{}, skipping", error.message());
            self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
            return Ok(tag);
        };
        match relation {
            Relation::Table(table)
                if kind == ObjectKind::Table
                    || (kind == ObjectKind::ForeignTable
                        && table.kind == RelationKind::Foreign)
                    || (kind == ObjectKind::Index
                        && matches!(actions, [AlterTable::RenameTable(_)])) =>
            {
                super::refuse_system(&table)?;
                if table.kind == RelationKind::Foreign {
                    actions.iter().try_for_each(check_foreign)?;
                }
                let Some(mut table) = self.lock_found(&table, LockMode::Update).await? else {
                    return Box::pin(self.alter(kind, name, if_exists, actions)).await;
                };
                let mut ordered: Vec<&AlterTable> = actions.iter().collect();
                ordered.sort_by_key(|action| pass(action));
                for action in ordered {
                    let altered = self.alter_table(&table, action).await;
                    table = altered.map_err(|e| unplaced(e, action))?;
                }
            }
            Relation::Index(table, at) => self.alter_index(&table, at, actions).await?,
            Relation::Sequence(sequence) => {
                let sequence = self.change.lock_sequence(&sequence).await?;
                match actions {
                    [AlterTable::RenameTable(new_name)] => {
                        self.is_free(&sequence.schema, new_name, false)?;
                        self.change.rename_sequence(&sequence, new_name).await?;
                    }
                    [AlterTable::OwnerTo(owner)] => {
                        self.check_role(owner)?;
                        let mut changed = sequence.as_ref().clone();
                        changed.owner.clone_from(owner);
                        self.change.write_sequence(changed)?;
                    }
                    _ => return Err(not_for(actions, &name.name, "sequences")),
                }
            }
            Relation::Table(_) => {
                let article = if kind == ObjectKind::Index { "an" } else { "a" };
                let what = format!("is not {article} {}", kind.word());
                return Err(wrong_kind(&name.name, &what));
            }
        }
        Ok(tag)
    }

    async fn alter_index(
        &mut self,
        table: &TableDescriptor,
        at: IndexRef,
        actions: &[AlterTable],
    ) -> Result<()> {
        let Some(index) = at.of(table) else { return Err(Error::internal("no such index")) };
        let [AlterTable::RenameTable(new_name)] = actions else {
            return Err(not_for(actions, &index.name, "indexes"));
        };
        let table = self.change.lock_table(table, LockMode::NoKeyUpdate).await?;
        self.is_free(&table.schema, new_name, false)?;
        self.change.rename_index(&table, index.oid, new_name).await
    }

    /// One action on a locked table; gives the table after it.
    async fn alter_table(
        &mut self,
        table: &Arc<TableDescriptor>,
        action: &AlterTable,
    ) -> Result<Arc<TableDescriptor>> {
        match action {
            AlterTable::AddColumn { column, if_not_exists } => {
                self.add_column(table, column, *if_not_exists).await?;
            }
            AlterTable::DropColumn { name, if_exists, cascade } => {
                self.drop_column(table, name, *if_exists, *cascade).await?;
            }
            AlterTable::RenameColumn { name, new_name } => {
                self.rename_column(table, name, new_name)?;
            }
            AlterTable::RenameTable(new_name) => {
                self.is_free(&table.schema, new_name, false)?;
                self.change.rename_table(table, new_name).await?;
            }
            AlterTable::RenameConstraint { name, new_name } => {
                self.rename_constraint(table, name, new_name).await?;
            }
            AlterTable::SetDefault { column, default } => {
                self.set_default(table, column, default.as_ref())?;
            }
            AlterTable::SetNotNull(column) => self.set_not_null(table, column, true).await?,
            AlterTable::DropNotNull(column) => self.set_not_null(table, column, false).await?,
            AlterTable::SetType { column, ty, using, position } => {
                self.set_type(table, column, ty, using.as_ref(), *position).await?;
            }
            AlterTable::DropIdentity { column, if_exists } => {
                self.drop_identity(table, column, *if_exists).await?;
            }
            AlterTable::AddIdentity { column, always, options } => {
                self.add_identity(table, column, *always, options).await?;
            }
            AlterTable::SetIdentity { column, always, options } => {
                self.set_identity(table, column, *always, options).await?;
            }
            AlterTable::AddConstraint { constraint, not_valid } => {
                self.add_constraint(table, constraint, None, *not_valid).await?;
            }
            AlterTable::DropConstraint { name, if_exists, cascade } => {
                self.drop_constraint(table, name, *if_exists, *cascade).await?;
            }
            AlterTable::ValidateConstraint(name) => {
                self.validate_constraint(table, name).await?;
            }
            AlterTable::SetOptions(options) => self.set_options(table, options)?,
            AlterTable::ResetOptions(names) => self.reset_options(table, names)?,
            AlterTable::OwnerTo(owner) => {
                self.check_role(owner)?;
                let owner = owner.clone();
                self.change.write_table(TableDescriptor { owner, ..table.as_ref().clone() })?;
            }
            AlterTable::SetSchema(schema) if *schema == table.schema => {}
            AlterTable::SetSchema(schema) => self.change.move_table(table, schema).await?,
        }
        self.current(table)
    }

    fn set_options(
        &mut self,
        table: &Arc<TableDescriptor>,
        options: &[StorageOption],
    ) -> Result<()> {
        let options = table_options(options)?;
        self.check_views(&options)?;
        if let Some(names) = &options.partition_by {
            // Rows lie where the key's first columns say: that cannot change in place.
            let key = NewKey {
                name: None,
                columns: table.primary.columns.iter().map(|c| c.column).collect(),
            };
            let wanted = partition_columns(&options, Some(&key), &table.columns)?;
            if wanted != Some(table.partition_columns) {
                let what = format!("changing partition_by to ({})", names.join(", "));
                return Err(Error::unsupported(what));
            }
        }
        if let Some(columnar) = options.columnar {
            let changed = TableDescriptor { columnar, ..TableDescriptor::clone(table) };
            self.change.write_table(changed)?;
        }
        Ok(())
    }

    fn reset_options(&mut self, table: &Arc<TableDescriptor>, names: &[String]) -> Result<()> {
        for name in names {
            if name == "columnar" {
                let off = TableDescriptor { columnar: false, ..table.as_ref().clone() };
                self.change.write_table(off)?;
                continue;
            }
            table_options(&[StorageOption { name: name.clone(), value: OptionValue::None }])?;
        }
        Ok(())
    }

    /// A table as this statement has changed it so far.
    fn current(&self, table: &TableDescriptor) -> Result<Arc<TableDescriptor>> {
        self.schema()
            .table_by_id(table.id)
            .ok_or_else(|| Error::internal(format!("table {} vanished in its DDL", table.name)))
    }

    async fn rename_constraint(
        &mut self,
        table: &TableDescriptor,
        name: &str,
        new_name: &str,
    ) -> Result<()> {
        let mut indexes = visible_indexes(table).map(|(_, index)| index);
        if let Some(index) =
            indexes.find(|index| index.constraint_oid.is_some() && index.name == name)
        {
            self.is_free(&table.schema, new_name, false)?;
            return self.change.rename_index(table, index.oid, new_name).await;
        }
        let mut changed = table.clone();
        if super::constraint_oid(table, new_name).is_some() {
            return Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!("constraint \"{new_name}\" for relation \"{}\" already exists", table.name),
            ));
        }
        let checks = changed.checks.iter_mut().map(|check| (&mut check.name, ()));
        let foreign = changed.foreign_keys.iter_mut().map(|key| (&mut key.name, ()));
        match checks.chain(foreign).find(|(found, ())| **found == name) {
            Some((found, ())) => new_name.clone_into(found),
            None => return Err(undefined_constraint(table, name, "for table")),
        }
        self.change.write_table(changed).map(|_| ())
    }

    /// Adds a constraint; `column` is the one that it stands with.
    pub(super) async fn add_constraint(
        &mut self,
        table: &Arc<TableDescriptor>,
        constraint: &Constraint,
        column: Option<&str>,
        not_valid: bool,
    ) -> Result<()> {
        match &constraint.kind {
            ConstraintKind::Check(source) => {
                let condition = self.condition(source, table)?;
                let check = NewCheck {
                    name: constraint.name.clone(),
                    expr: condition.text,
                    columns: condition.columns,
                    not_valid,
                };
                let check = self.change.new_check(table, check).await?;
                let compiled = self.compiled_condition(&check.expr, table)?;
                if !not_valid {
                    self.check_rows(table, &check.name, &compiled).await?;
                }
                let mut changed = table.as_ref().clone();
                changed.checks.push(check);
                self.change.write_table(changed)?;
            }
            ConstraintKind::Foreign(written) => {
                self.add_foreign_key(table, constraint, written, column, not_valid).await?;
            }
            ConstraintKind::Unique(_) => {
                let written = [(column, constraint)];
                let keys = self.keys(&table.name, &table.columns, &written);
                let (_, mut uniques) = keys.map_err(without_position_of_missing)?;
                let Some(key) = uniques.pop() else { return Ok(()) };
                if let Some(name) = &key.name {
                    self.is_free(&table.schema, name, false)?;
                }
                let index = self.change.new_unique(table, key).await?;
                self.build_index(table, &index).await?;
                let mut changed = table.as_ref().clone();
                changed.indexes.push(index);
                self.change.write_table(changed)?;
            }
            ConstraintKind::PrimaryKey(_) => {
                if !table.hidden_key {
                    return Err(multiple_primary_keys(&table.name));
                }
                check_names(table, constraint)?;
                let written = [(column, constraint)];
                let (primary, _) = self.keys(&table.name, &table.columns, &written)?;
                let Some(key) = primary else { return Ok(()) };
                if let Some(name) = &key.name {
                    self.is_free(&table.schema, name, false)?;
                }
                let index = self.change.new_primary(table, key).await?;
                let new = self.change.replace_primary(table, Some(index), 1).await?;
                self.rewrite(table, &new, &mut |_, row| Ok(row)).await?;
            }
        }
        Ok(())
    }

    /// VALIDATE CONSTRAINT
    async fn validate_constraint(
        &mut self,
        table: &Arc<TableDescriptor>,
        name: &str,
    ) -> Result<()> {
        if self.validate_foreign_key(table, name).await? {
            return Ok(());
        }
        let Some(check) = table.checks.iter().find(|check| check.name == name) else {
            let error = match super::constraint_oid(table, name) {
                Some(_) => Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!(
                        "constraint \"{name}\" of relation \"{}\" is not a foreign key or check \
                         constraint",
                        table.name
                    ),
                ),
                None => undefined_constraint(table, name, "of relation"),
            };
            return Err(error);
        };
        if !check.not_valid {
            return Ok(());
        }
        let compiled = self.compiled_condition(&check.expr, table)?;
        self.check_rows(table, name, &compiled).await?;
        let mut changed = table.as_ref().clone();
        for check in changed.checks.iter_mut().filter(|check| check.name == name) {
            check.not_valid = false;
        }
        self.change.write_table(changed).map(|_| ())
    }

    async fn drop_constraint(
        &mut self,
        table: &Arc<TableDescriptor>,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        if table.foreign_keys.iter().any(|key| key.name == name) {
            let mut changed = table.as_ref().clone();
            changed.foreign_keys.retain(|key| key.name != name);
            return self.change.write_table(changed).map(|_| ());
        }
        if table.checks.iter().any(|check| check.name == name) {
            let mut changed = table.as_ref().clone();
            changed.checks.retain(|check| check.name != name);
            return self.change.write_table(changed).map(|_| ());
        }
        let mut indexes = visible_indexes(table).map(|(_, index)| index);
        let found = indexes.find(|index| index.constraint_oid.is_some() && index.name == name);
        if let Some(index) = found {
            let dropped = format!("constraint {name} on table {}", table.name);
            let on = format!("index {name}");
            let needs = |key: &ForeignKeyDescriptor| needs_index(key, table, index);
            self.drop_references(table, &dropped, &on, cascade, &needs, &[]).await?;
        }
        let table = &self.current(table)?;
        match found {
            Some(index) if index.oid == table.primary.oid => {
                let new = self.change.replace_primary(table, None, 1).await?;
                self.rewrite(table, &new, &mut |_, row| Ok(row)).await
            }
            Some(index) => self.change.drop_index(table, index.oid).map(|_| ()),
            None => {
                let error = undefined_constraint(table, name, "of relation");
                if !if_exists {
                    return Err(error);
                }
                let message = format!("{}, skipping", error.message());
                self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
                Ok(())
            }
        }
    }

    /// Drops the indexes and conditions that use a column; gives the table without them. A
    /// primary key is left to the caller.
    pub(super) fn drop_users(
        &mut self,
        table: &TableDescriptor,
        column: ColumnId,
    ) -> Result<TableDescriptor> {
        let mut changed = table.clone();
        changed.checks.retain(|check| !check.columns.contains(&column));
        changed.foreign_keys.retain(|key| !key.columns.contains(&column));
        let (gone, kept): (Vec<_>, Vec<_>) = changed
            .indexes
            .into_iter()
            .partition(|index| index.columns.iter().any(|c| c.column == column));
        changed.indexes = kept;
        for index in &gone {
            self.change.forget_index(table, index)?;
        }
        Ok(changed)
    }
}

/// PostgreSQL tells the position of what it transforms before it takes the table's lock, and of
/// nothing else.
fn unplaced(error: Error, action: &AlterTable) -> Error {
    let keeps = match action {
        AlterTable::AddConstraint { constraint, .. } => {
            !matches!(constraint.kind, ConstraintKind::Check(_))
        }
        AlterTable::SetDefault { .. } => false,
        AlterTable::SetType { .. } => error.code() != SqlState::DATATYPE_MISMATCH,
        _ => true,
    };
    if keeps { error } else { error.unplaced() }
}

/// A missing column has no position here: only CREATE TABLE tells it.
fn without_position_of_missing(error: Error) -> Error {
    match error.code() {
        SqlState::UNDEFINED_COLUMN => error.unplaced(),
        _ => error,
    }
}

/// 42703 in the words of SET NOT NULL, which a primary key of a table that is there begins with.
fn check_names(table: &TableDescriptor, constraint: &Constraint) -> Result<()> {
    let ConstraintKind::PrimaryKey(names) = &constraint.kind else { return Ok(()) };
    match names.iter().find(|name| table.column(name).is_none()) {
        Some(name) => Err(super::undefined_column(table, name)),
        None => Ok(()),
    }
}

/// When an action runs: PostgreSQL's passes, so that a statement may add a column after the
/// constraint that uses it.
fn pass(action: &AlterTable) -> u8 {
    match action {
        AlterTable::DropColumn { .. } | AlterTable::DropConstraint { .. } => 0,
        AlterTable::SetType { .. } => 1,
        AlterTable::AddColumn { .. } => 2,
        AlterTable::SetDefault { .. }
        | AlterTable::SetNotNull(_)
        | AlterTable::DropNotNull(_)
        | AlterTable::DropIdentity { .. }
        | AlterTable::AddIdentity { .. }
        | AlterTable::SetIdentity { .. } => 3,
        AlterTable::AddConstraint { .. } => 4,
        _ => 5,
    }
}

fn not_for(actions: &[AlterTable], name: &str, kinds: &str) -> Error {
    let what = match actions.first() {
        Some(AlterTable::AddColumn { .. }) => "ADD COLUMN",
        Some(AlterTable::DropColumn { .. }) => "DROP COLUMN",
        Some(AlterTable::AddConstraint { .. }) => "ADD CONSTRAINT",
        Some(AlterTable::DropConstraint { .. }) => "DROP CONSTRAINT",
        Some(AlterTable::SetType { .. }) => "ALTER COLUMN ... SET DATA TYPE",
        Some(AlterTable::SetDefault { .. }) => "ALTER COLUMN ... SET DEFAULT",
        Some(AlterTable::SetNotNull(_)) => "ALTER COLUMN ... SET NOT NULL",
        Some(AlterTable::DropNotNull(_)) => "ALTER COLUMN ... DROP NOT NULL",
        Some(AlterTable::SetOptions(_)) => "SET",
        Some(AlterTable::OwnerTo(_)) => "OWNER TO",
        Some(AlterTable::SetSchema(_)) => "SET SCHEMA",
        _ => "this",
    };
    Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("ALTER action {what} cannot be performed on relation \"{name}\""),
    )
    .with_detail(format!("This operation is not supported for {kinds}."))
}
