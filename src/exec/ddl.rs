//! DDL: statements as written become changes of the schema, inside the transaction.
//!
//! Names are looked up under locks, on the newest schema. What a change needs to do to rows (the
//! entries of a new index) is written through the same transaction, so that either all of it is
//! there at the commit or nothing.

use std::sync::Arc;

use crate::catalog::change::{NewCheck, NewIndex, NewKey, NewTable, SchemaChange};
use crate::encoding::table::{IndexCodec, TableCodec};
use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::kv::{KeyRange, LockMode, PageLimit};
use crate::sql::bind::Binder;
use crate::sql::bind::level::Clause;
use crate::sql::bind::types::resolve;
use crate::sql::ddl::{
    AlterTable, ColumnConstraint, ColumnDefinition, Constraint, ConstraintKind, CreateIndex,
    CreateTable, Ddl, ObjectKind, ObjectName, OptionValue, SourceExpr, StorageOption,
};
use crate::types::descriptor::{
    ColumnDescriptor, ColumnId, IndexColumn, IndexDescriptor, RelationKind, TableDescriptor,
};
use crate::types::{Datum, io};

/// How many rows a backfill reads at once.
const BACKFILL_PAGE: PageLimit = PageLimit { rows_max: 2000, bytes_max: 4 << 20 };

/// What a DDL statement came to.
pub struct Done {
    /// Its tag.
    pub tag: &'static str,
    /// Notices for the client.
    pub notices: Vec<String>,
}

impl Done {
    fn new(tag: &'static str) -> Done {
        Done { tag, notices: Vec::new() }
    }
}

/// A DDL statement at work.
pub struct Work<'a, 'b> {
    /// The change it makes.
    pub change: &'a mut SchemaChange<'b>,
    /// Settings, time.
    pub eval: &'a EvalContext,
    /// The statement's text.
    pub text: Arc<str>,
}

impl Work<'_, '_> {
    /// Does what the statement says.
    ///
    /// # Errors
    /// PostgreSQL's, for names that are taken or missing, rows that do not fit, and locks.
    pub async fn run(&mut self, ddl: &Ddl) -> Result<Done> {
        match ddl {
            Ddl::CreateTable(create) => self.create_table(create).await,
            Ddl::CreateIndex(create) => self.create_index(create).await,
            Ddl::Drop { kind: ObjectKind::Table, names, if_exists, .. } => {
                self.drop_tables(names, *if_exists).await
            }
            Ddl::Drop { kind: ObjectKind::Index, names, if_exists, .. } => {
                self.drop_indexes(names, *if_exists).await
            }
            Ddl::Drop { kind: ObjectKind::Schema, names, if_exists, .. } => {
                self.drop_schemas(names, *if_exists).await
            }
            Ddl::Truncate { names, .. } => self.truncate(names).await,
            Ddl::CreateSchema { name: Some(name), owner, if_not_exists } => {
                self.create_schema(name, owner.as_deref(), *if_not_exists).await
            }
            Ddl::AlterTable { kind: ObjectKind::Table, name, if_exists, actions } => {
                self.alter_table(name, *if_exists, actions).await
            }
            _ => Err(Error::unsupported("this schema change")),
        }
    }

    fn path(&self) -> &[String] {
        &self.eval.session.search_path
    }

    fn find(&self, name: &ObjectName) -> Option<Arc<TableDescriptor>> {
        let found = self.change.snapshot().table(name.schema.as_deref(), &name.name, self.path());
        found.filter(|t| t.kind == RelationKind::Table)
    }

    async fn locked(&mut self, name: &ObjectName) -> Result<Arc<TableDescriptor>> {
        match self.find(name) {
            Some(table) => self.change.lock_table(&table, LockMode::Update).await,
            None => Err(missing(name)),
        }
    }

    fn creation_schema(&self, name: &ObjectName) -> Result<String> {
        let snapshot = self.change.snapshot();
        match &name.schema {
            Some(schema) if snapshot.schema(schema).is_some() => Ok(schema.clone()),
            Some(schema) => Err(Error::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{schema}\" does not exist"),
            )
            .at(name.position)),
            None => match snapshot.creation_schema(self.path()) {
                Some(schema) => Ok(schema.to_owned()),
                None => Err(Error::new(
                    SqlState::INVALID_SCHEMA_NAME,
                    "no schema has been selected to create in",
                )),
            },
        }
    }

    async fn create_schema(
        &mut self,
        name: &str,
        owner: Option<&str>,
        if_not_exists: bool,
    ) -> Result<Done> {
        let mut done = Done::new("CREATE SCHEMA");
        if if_not_exists && self.change.snapshot().schema(name).is_some() {
            done.notices.push(format!("schema \"{name}\" already exists, skipping"));
            return Ok(done);
        }
        let owner = owner.unwrap_or(&self.eval.session.current_user).to_owned();
        self.change.create_schema(name, &owner).await?;
        Ok(done)
    }

    async fn drop_schemas(&mut self, names: &[ObjectName], if_exists: bool) -> Result<Done> {
        let mut done = Done::new("DROP SCHEMA");
        for name in names {
            if if_exists && self.change.snapshot().schema(&name.name).is_none() {
                done.notices.push(format!("schema \"{}\" does not exist, skipping", name.name));
                continue;
            }
            self.change.drop_schema(&name.name).await?;
        }
        Ok(done)
    }

    async fn create_table(&mut self, create: &CreateTable) -> Result<Done> {
        let mut done = Done::new("CREATE TABLE");
        let schema = self.creation_schema(&create.name)?;
        let name = create.name.name.clone();
        if create.if_not_exists && self.change.snapshot().name_taken(&schema, &name) {
            done.notices.push(format!("relation \"{name}\" already exists, skipping"));
            return Ok(done);
        }
        let mut new = NewTable {
            schema,
            name,
            columns: Vec::new(),
            primary: None,
            uniques: Vec::new(),
            checks: Vec::new(),
            partition_columns: None,
            columnar: false,
        };
        for (at, column) in create.columns.iter().enumerate() {
            let id = ColumnId(at as u16 + 1);
            if new.columns.iter().any(|c| c.name == column.name) {
                return Err(duplicate_column(column));
            }
            let described = self.column(id, column)?;
            new.columns.push(described);
        }
        let mut constraints: Vec<Constraint> = Vec::new();
        for column in &create.columns {
            for constraint in &column.constraints {
                if let ColumnConstraint::Table(constraint) = constraint {
                    constraints.push(own_column(constraint, &column.name));
                }
            }
        }
        constraints.extend(create.constraints.iter().cloned());
        for constraint in &constraints {
            self.constraint(&mut new, constraint)?;
        }
        for option in &create.options {
            table_option(&mut new, option)?;
        }
        self.change.create_table(new).await?;
        Ok(done)
    }

    fn column(&self, id: ColumnId, definition: &ColumnDefinition) -> Result<ColumnDescriptor> {
        let ty = resolve(&definition.ty)?;
        let mut column = ColumnDescriptor::new(id, &definition.name, ty);
        for constraint in &definition.constraints {
            match constraint {
                ColumnConstraint::NotNull(_) => column.not_null = true,
                ColumnConstraint::Default(expr, _) => {
                    self.check_default(expr, &column)?;
                    column.default = Some(expr.text.to_string());
                }
                ColumnConstraint::Null(_) | ColumnConstraint::Table(_) => {}
                ColumnConstraint::Identity { position, .. } => {
                    return Err(Error::unsupported("GENERATED AS IDENTITY").at(*position));
                }
            }
        }
        Ok(column)
    }

    fn binder(&self) -> Binder<'_> {
        Binder::new(self.change.snapshot(), self.eval, self.text.clone(), Vec::new())
    }

    fn check_default(&self, expr: &SourceExpr, column: &ColumnDescriptor) -> Result<()> {
        let mut binder = self.binder();
        binder.default_value(Some(&expr.text), column.ty, &column.name)?;
        Ok(())
    }

    fn constraint(&self, new: &mut NewTable, constraint: &Constraint) -> Result<()> {
        let named = |names: &[String]| -> Result<Vec<ColumnId>> {
            names.iter().map(|name| key_column(new, name, constraint.position)).collect()
        };
        match &constraint.kind {
            ConstraintKind::PrimaryKey(names) => {
                let columns = named(names)?;
                if new.primary.is_some() {
                    return Err(Error::new(
                        SqlState::INVALID_TABLE_DEFINITION,
                        format!("multiple primary keys for table \"{}\" are not allowed", new.name),
                    )
                    .at(constraint.position));
                }
                new.primary = Some(NewKey { name: constraint.name.clone(), columns });
            }
            ConstraintKind::Unique(names) => {
                let columns = named(names)?;
                new.uniques.push(NewKey { name: constraint.name.clone(), columns });
            }
            ConstraintKind::Check(expr) => {
                let shape = probe(new);
                let columns = self.check_columns(&shape, &expr.text)?;
                let name = constraint.name.clone();
                new.checks.push(NewCheck { name, expr: expr.text.to_string(), columns });
            }
        }
        Ok(())
    }

    /// Binds a CHECK over a table's columns; gives those it uses.
    fn check_columns(&self, table: &TableDescriptor, text: &str) -> Result<Vec<ColumnId>> {
        let mut binder = self.binder();
        binder.scoped(|b| {
            let row = b.row_of(table);
            b.add_row(&table.name, &row, false);
            let bound = b.stored_expression(text, Clause::Check)?;
            let used = crate::plan::tree::expr_columns(&bound);
            let ids = row.iter().filter(|c| used.contains(&c.id));
            Ok(ids.filter_map(|c| c.origin.map(|(_, id)| id)).collect())
        })
    }

    async fn drop_tables(&mut self, names: &[ObjectName], if_exists: bool) -> Result<Done> {
        let mut done = Done::new("DROP TABLE");
        for name in names {
            if self.find(name).is_none() {
                if !if_exists {
                    let message = format!("table \"{}\" does not exist", name.display());
                    return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
                }
                done.notices.push(format!("table \"{}\" does not exist, skipping", name.display()));
                continue;
            }
            let table = self.locked(name).await?;
            self.change.drop_table(&table)?;
        }
        Ok(done)
    }

    async fn truncate(&mut self, names: &[ObjectName]) -> Result<Done> {
        for name in names {
            let table = self.locked(name).await?;
            self.change.truncate_table(&table).await?;
        }
        Ok(Done::new("TRUNCATE TABLE"))
    }

    async fn create_index(&mut self, create: &CreateIndex) -> Result<Done> {
        let mut done = Done::new("CREATE INDEX");
        let table = self.locked(&create.table).await?;
        if let Some(name) = &create.name
            && create.if_not_exists
            && self.change.snapshot().name_taken(&table.schema, name)
        {
            done.notices.push(format!("relation \"{name}\" already exists, skipping"));
            return Ok(done);
        }
        let mut columns = Vec::with_capacity(create.columns.len());
        for column in &create.columns {
            let Some(found) = table.column(&column.name) else {
                let message = format!("column \"{}\" does not exist", column.name);
                return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
            };
            let (desc, nulls_first) = (column.desc, column.nulls_first);
            columns.push(IndexColumn { column: found.id, desc, nulls_first });
        }
        let new = NewIndex { name: create.name.clone(), columns, unique: create.unique };
        let index = self.change.new_index(&table, new, "idx").await?;
        self.backfill(&table, &index).await?;
        let mut table = table.as_ref().clone();
        table.indexes.push(index);
        self.change.write_table(table)?;
        Ok(done)
    }

    /// Writes the entries of a new index for the rows that are there.
    async fn backfill(&mut self, table: &TableDescriptor, index: &IndexDescriptor) -> Result<()> {
        let codec = TableCodec::new(table)?;
        let entries = IndexCodec::new(table, index)?;
        let all: Vec<ColumnId> = table.columns.iter().map(|c| c.id).collect();
        let decoder = codec.decoder(&all)?;
        let range = KeyRange::all(table.space());
        let mut from = None;
        loop {
            let page = self.change.txn.scan(&range, false, BACKFILL_PAGE, from).await?;
            for entry in &page.entries {
                let row = decoder.decode_entry(entry)?;
                let made = entries.entry(&row, &entry.key)?;
                if made.unique && self.change.txn.own(&made.key).flatten().is_some() {
                    return Err(self.could_not_create(table, index, &row));
                }
                self.change.txn.put(made.key, made.value, false)?;
            }
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    fn could_not_create(
        &self,
        table: &TableDescriptor,
        index: &IndexDescriptor,
        row: &[Datum],
    ) -> Error {
        let format = &self.eval.session.format;
        let mut names = Vec::new();
        let mut values = Vec::new();
        for column in &index.columns {
            let at = table.columns.iter().position(|c| c.id == column.column);
            if let Some(at) = at {
                names.push(table.columns[at].name.clone());
                let ty = table.columns[at].ty;
                values.push(io::to_text(&row[at], ty, format).unwrap_or_default());
            }
        }
        let message = format!("could not create unique index \"{}\"", index.name);
        let (names, values) = (names.join(", "), values.join(", "));
        Error::new(SqlState::UNIQUE_VIOLATION, message)
            .with_detail(format!("Key ({names})=({values}) is duplicated."))
            .with_table(&table.schema, &table.name)
            .with_constraint(&index.name)
    }

    async fn drop_indexes(&mut self, names: &[ObjectName], if_exists: bool) -> Result<Done> {
        let mut done = Done::new("DROP INDEX");
        for name in names {
            let snapshot = self.change.snapshot();
            let owner = snapshot.tables().find(|t| {
                name.schema.as_ref().is_none_or(|s| *s == t.schema)
                    && t.indexes.iter().any(|i| i.name == name.name)
            });
            let Some(owner) = owner.cloned() else {
                if !if_exists {
                    let message = format!("index \"{}\" does not exist", name.display());
                    return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
                }
                done.notices.push(format!("index \"{}\" does not exist, skipping", name.display()));
                continue;
            };
            let table = self.change.lock_table(&owner, LockMode::Update).await?;
            let Some(index) = table.indexes.iter().find(|i| i.name == name.name) else {
                continue;
            };
            if index.constraint_oid.is_some() {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot drop index {0} because constraint {0} on table {1} requires it",
                        index.name, table.name
                    ),
                )
                .with_hint(format!(
                    "You can drop constraint {} on table {} instead.",
                    index.name, table.name
                )));
            }
            self.change.forget_index(&table, index)?;
            let mut new = table.as_ref().clone();
            new.indexes.retain(|i| i.name != name.name);
            self.change.write_table(new)?;
        }
        Ok(done)
    }

    async fn alter_table(
        &mut self,
        name: &ObjectName,
        if_exists: bool,
        actions: &[AlterTable],
    ) -> Result<Done> {
        let mut done = Done::new("ALTER TABLE");
        if if_exists && self.find(name).is_none() {
            let message = format!("relation \"{}\" does not exist, skipping", name.display());
            done.notices.push(message);
            return Ok(done);
        }
        let mut table = self.locked(name).await?;
        for action in actions {
            table = self.alter(table, action, &mut done).await?;
        }
        Ok(done)
    }

    async fn alter(
        &mut self,
        table: Arc<TableDescriptor>,
        action: &AlterTable,
        done: &mut Done,
    ) -> Result<Arc<TableDescriptor>> {
        let mut new = table.as_ref().clone();
        match action {
            AlterTable::SetOptions(options) => {
                for option in options {
                    new.columnar = columnar_option(option)?;
                }
            }
            AlterTable::RenameTable(to) => {
                self.change.rename_table(&table, to).await?;
                let by_id = self.change.snapshot().table_by_id(table.id);
                return by_id.ok_or_else(|| Error::internal("a renamed table is gone"));
            }
            AlterTable::RenameColumn { name, new_name } => {
                if new.column(new_name).is_some() {
                    return Err(column_exists(&new, new_name));
                }
                column_mut(&mut new, name)?.name.clone_from(new_name);
            }
            AlterTable::SetDefault { column, default } => {
                let found = column_mut(&mut new, column)?;
                if let Some(default) = default {
                    self.check_default(default, found)?;
                }
                found.default = default.as_ref().map(|d| d.text.to_string());
            }
            AlterTable::DropNotNull(column) => column_mut(&mut new, column)?.not_null = false,
            AlterTable::AddColumn { column, if_not_exists } => {
                if new.column(&column.name).is_some() {
                    if !if_not_exists {
                        return Err(column_exists(&new, &column.name));
                    }
                    let relation = &new.name;
                    done.notices.push(format!(
                        "column \"{}\" of relation \"{relation}\" already exists, skipping",
                        column.name
                    ));
                    return Ok(table);
                }
                self.add_column(&mut new, column)?;
            }
            _ => return Err(Error::unsupported("this form of ALTER TABLE")),
        }
        self.change.write_table(new)
    }

    /// Rows that are there have the default as it is now.
    fn add_column(&self, table: &mut TableDescriptor, column: &ColumnDefinition) -> Result<()> {
        let constrained =
            column.constraints.iter().any(|c| matches!(c, ColumnConstraint::Table(_)));
        if constrained {
            return Err(Error::unsupported("ADD COLUMN with a constraint"));
        }
        let mut described = self.column(ColumnId(table.next_column), column)?;
        if let Some(text) = &described.default {
            let mut binder = self.binder();
            let bound = binder.default_value(Some(text), described.ty, &described.name)?;
            let value = crate::plan::constant_value(&bound, self.eval)?;
            described.missing = io::to_text(&value, described.ty, &Default::default());
        }
        if described.not_null && described.missing.is_none() {
            return Err(Error::unsupported("ADD COLUMN … NOT NULL without a DEFAULT"));
        }
        table.next_column += 1;
        table.columns.push(described);
        Ok(())
    }
}

fn missing(name: &ObjectName) -> Error {
    let message = format!("relation \"{}\" does not exist", name.display());
    Error::new(SqlState::UNDEFINED_TABLE, message)
}

fn duplicate_column(column: &ColumnDefinition) -> Error {
    let message = format!("column \"{}\" specified more than once", column.name);
    Error::new(SqlState::DUPLICATE_COLUMN, message)
}

fn column_exists(table: &TableDescriptor, name: &str) -> Error {
    let message = format!("column \"{name}\" of relation \"{}\" already exists", table.name);
    Error::new(SqlState::DUPLICATE_COLUMN, message)
}

fn column_mut<'a>(table: &'a mut TableDescriptor, name: &str) -> Result<&'a mut ColumnDescriptor> {
    let relation = table.name.clone();
    table.columns.iter_mut().find(|c| c.name == name).ok_or_else(|| {
        let message = format!("column \"{name}\" of relation \"{relation}\" does not exist");
        Error::new(SqlState::UNDEFINED_COLUMN, message)
    })
}

/// A constraint that stands with its column, as one of the table.
fn own_column(constraint: &Constraint, column: &str) -> Constraint {
    let mut own = constraint.clone();
    match &mut own.kind {
        ConstraintKind::PrimaryKey(columns) | ConstraintKind::Unique(columns)
            if columns.is_empty() =>
        {
            columns.push(column.to_owned());
        }
        _ => {}
    }
    own
}

fn key_column(new: &NewTable, name: &str, position: u32) -> Result<ColumnId> {
    match new.columns.iter().find(|c| c.name == name) {
        Some(column) => Ok(column.id),
        None => Err(Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" named in key does not exist"),
        )
        .at(position)),
    }
}

fn table_option(new: &mut NewTable, option: &StorageOption) -> Result<()> {
    match (option.name.as_str(), &option.value) {
        // PostgreSQL's tools set it; there are no pages here that could be filled.
        ("fillfactor", _) => Ok(()),
        ("partition_by", OptionValue::Names(names)) => {
            let Some(primary) = &new.primary else {
                return Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    "partition_by needs a primary key",
                ));
            };
            let ids: Result<Vec<ColumnId>> = names.iter().map(|n| key_column(new, n, 0)).collect();
            if !primary.columns.starts_with(&ids?) {
                return Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    "partition_by must name the first columns of the primary key",
                ));
            }
            new.partition_columns = Some(names.len() as u16);
            Ok(())
        }
        _ => {
            new.columnar = columnar_option(option)?;
            Ok(())
        }
    }
}

fn columnar_option(option: &StorageOption) -> Result<bool> {
    if option.name != "columnar" {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized parameter \"{}\"", option.name),
        ));
    }
    let on = match &option.value {
        OptionValue::None => true,
        OptionValue::Word(word) => match word.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" => true,
            "off" | "false" | "no" | "0" => false,
            _ => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid value for boolean option \"columnar\": {word}"),
                ));
            }
        },
        OptionValue::Names(_) => {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "columnar requires a Boolean value",
            ));
        }
    };
    if on {
        // Views are made and read by `columnar`, but no session asks it for them: a table would
        // gather changes that nothing takes away.
        return Err(Error::unsupported("columnar = on")
            .with_hint("Tables are served from rows; leave the option out."));
    }
    Ok(on)
}

/// A descriptor with the columns of a table to be made, to bind its CHECK constraints over.
fn probe(new: &NewTable) -> TableDescriptor {
    TableDescriptor {
        id: crate::types::descriptor::TableId(0),
        schema: new.schema.clone(),
        name: new.name.clone(),
        kind: RelationKind::Table,
        columns: new.columns.clone(),
        next_column: new.columns.len() as u16 + 1,
        primary: IndexDescriptor {
            oid: 0,
            name: String::new(),
            columns: Vec::new(),
            unique: true,
            constraint_oid: None,
            space: crate::kv::SpaceId(0),
            state: crate::types::descriptor::IndexState::Public,
        },
        hidden_key: true,
        partition_columns: 1,
        indexes: Vec::new(),
        checks: Vec::new(),
        columnar: false,
        owner: String::new(),
        version: 0,
    }
}
