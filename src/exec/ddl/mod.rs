//! Running DDL.
//!
//! A statement locks what it changes, binds its expressions against the newest descriptors, and
//! writes through the transaction: it is undone with it, and waits for other transactions as in
//! PostgreSQL. What it gives back is the schema that the transaction goes on with.
//!
//! Rows are read at a snapshot of their own, taken under the table's lock: an index built or a
//! table rewritten by a REPEATABLE READ transaction holds every row that was ever committed.

mod alter;
mod alter_column;
mod columnar;
mod create;
mod create_as;
mod define;
mod drop;
mod foreign;
mod foreign_table;
mod identity;
mod index;
mod role;
mod rows;
mod sequence;

use std::borrow::Cow;
use std::sync::Arc;

pub(super) use foreign::{key_names, not_present};
use tokio_util::sync::CancellationToken;

use super::VirtualTables;
use crate::catalog::change::{SchemaChange, undefined_role, undefined_schema};
use crate::catalog::descriptor::{CommentTarget, SequenceDescriptor, oids};
use crate::catalog::{Catalog, CatalogSnapshot, IndexRef, Relation};
use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::kv::LockMode;
use crate::plan::PlanSettings;
use crate::sql::ddl::{CommentOn, Ddl, ObjectName};
use crate::txn::Txn;
use crate::types::descriptor::{RelationKind, TableDescriptor};

/// What a DDL statement runs with.
pub struct DdlContext<'a> {
    /// The transaction; its statement has begun.
    pub txn: &'a mut Txn,
    /// The catalog.
    pub catalog: &'a Catalog,
    /// The schema as the transaction sees it.
    pub schema: &'a Arc<CatalogSnapshot>,
    /// Settings and time.
    pub eval: &'a EvalContext,
    /// The text that the statement came in, for positions.
    pub text: Arc<str>,
    /// For the query of CREATE TABLE AS.
    pub plan: &'a PlanSettings<'a>,
    /// Rows of catalog relations.
    pub virtuals: &'a dyn VirtualTables,
    /// Set when the statement is to end.
    pub cancel: &'a CancellationToken,
    /// What is stored for a password.
    pub verifier: &'a (dyn Fn(&str) -> String + Send + Sync),
    /// A parameter's own spelling, if the session's user may give it a value; none: its default.
    pub setting: &'a (dyn Fn(&str, Option<&str>) -> Result<String> + Send + Sync),
    /// Whether the server keeps columnar views.
    pub views: bool,
}

/// What a DDL statement came to.
#[derive(Debug)]
pub struct DdlOutcome {
    /// The command tag.
    pub tag: Cow<'static, str>,
    /// Notices for the client, as errors: code, message, detail.
    pub notices: Vec<Error>,
    /// The schema that the transaction goes on with.
    pub schema: Arc<CatalogSnapshot>,
}

/// Runs a DDL statement.
///
/// # Errors
/// PostgreSQL's, by its codes; the transaction is then to be rolled back, or to its savepoint.
pub async fn execute(ddl: &Ddl, context: DdlContext<'_>) -> Result<DdlOutcome> {
    let DdlContext {
        txn,
        catalog,
        schema,
        eval,
        text,
        plan,
        virtuals,
        cancel,
        verifier,
        setting,
        views,
    } = context;
    let owner = &eval.session.current_user;
    let change = SchemaChange::new(txn, catalog, schema, owner);
    let notices = Vec::new();
    let mut runner =
        Runner { change, eval, text, plan, virtuals, cancel, verifier, setting, views, notices };
    let tag = runner.run(ddl).await?;
    Ok(DdlOutcome { tag, notices: runner.notices, schema: runner.change.finish() })
}

/// One statement being run.
struct Runner<'a> {
    change: SchemaChange<'a>,
    eval: &'a EvalContext,
    text: Arc<str>,
    plan: &'a PlanSettings<'a>,
    virtuals: &'a dyn VirtualTables,
    cancel: &'a CancellationToken,
    verifier: &'a (dyn Fn(&str) -> String + Send + Sync),
    setting: &'a (dyn Fn(&str, Option<&str>) -> Result<String> + Send + Sync),
    views: bool,
    notices: Vec<Error>,
}

/// A command tag.
type Tag = Cow<'static, str>;

impl Runner<'_> {
    async fn run(&mut self, ddl: &Ddl) -> Result<Tag> {
        match ddl {
            Ddl::CreateTable(create) => self.create_table(create).await,
            Ddl::CreateTableAs(create) => self.create_table_as(create).await,
            Ddl::CreateForeignTable(create) => self.create_foreign_table(create).await,
            Ddl::ImportForeignSchema(import) => self.import_foreign_schema(import).await,
            Ddl::CreateIndex(create) => self.create_index(create).await,
            Ddl::CreateSchema { name, owner, if_not_exists } => {
                self.create_schema(name.as_deref(), owner.as_deref(), *if_not_exists).await
            }
            Ddl::Drop { kind, names, if_exists, cascade } => {
                self.drop(*kind, names, *if_exists, *cascade).await
            }
            Ddl::Truncate { names, restart_identity, cascade } => {
                self.truncate(names, *restart_identity, *cascade).await
            }
            Ddl::AlterTable { kind, name, if_exists, actions } => {
                self.alter(*kind, name, *if_exists, actions).await
            }
            Ddl::CreateSequence(create) => self.create_sequence(create).await,
            Ddl::AlterSequence { name, if_exists, options } => {
                self.alter_sequence(name, *if_exists, options).await
            }
            Ddl::SchemaOwner { name, owner } => {
                self.check_role(owner)?;
                self.change.schema_owner(name, owner).await?;
                Ok("ALTER SCHEMA".into())
            }
            Ddl::Comment { target, text } => self.comment(target, text.as_deref()).await,
            Ddl::CreateRole(create) => self.create_role(create).await,
            Ddl::AlterRole(name, options) => self.alter_role(name, options).await,
            Ddl::RoleSetting(name, change) => self.role_setting(name, change).await,
            Ddl::RenameRole(name, new_name) => self.rename_role(name, new_name).await,
            Ddl::DropRoles { names, if_exists } => self.drop_roles(names, *if_exists).await,
        }
    }

    fn schema(&self) -> &CatalogSnapshot {
        self.change.snapshot()
    }

    fn notice(&mut self, code: SqlState, message: String) {
        self.notices.push(Error::new(code, message));
    }

    /// The relation of that name, if there is one. 3F000 for a schema that is not there.
    fn find(&self, name: &ObjectName) -> Result<Option<Relation>> {
        if let Some(schema) = &name.schema
            && self.schema().schema(schema).is_none()
        {
            return Err(undefined_schema(schema).at(name.position));
        }
        let path = &self.eval.session.search_path;
        Ok(self.schema().relation(name.schema.as_deref(), &name.name, path))
    }

    /// The schema that a new object goes into.
    fn target_schema(&self, name: &ObjectName) -> Result<String> {
        if let Some(schema) = &name.schema {
            return match self.schema().schema(schema) {
                Some(_) => Ok(schema.clone()),
                None => Err(undefined_schema(schema).at(name.position)),
            };
        }
        let path = &self.eval.session.search_path;
        match self.schema().creation_schema(path) {
            Some(schema) => Ok(schema.to_owned()),
            None => Err(Error::new(
                SqlState::INVALID_SCHEMA_NAME,
                "no schema has been selected to create in",
            )
            .at(name.position)),
        }
    }

    /// Whether the name of a new relation is free: 42P07 if not, or a notice.
    fn is_free(&mut self, schema: &str, name: &str, if_not_exists: bool) -> Result<bool> {
        if !self.schema().name_taken(schema, name) {
            return Ok(true);
        }
        let message = format!("relation \"{name}\" already exists");
        if !if_not_exists {
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
        }
        self.notice(SqlState::DUPLICATE_TABLE, format!("{message}, skipping"));
        Ok(false)
    }

    fn check_role(&self, name: &str) -> Result<()> {
        match self.schema().role(name) {
            Some(_) => Ok(()),
            None => Err(undefined_role(name)),
        }
    }

    async fn create_schema(
        &mut self,
        name: Option<&str>,
        owner: Option<&str>,
        if_not_exists: bool,
    ) -> Result<Tag> {
        let tag = Ok("CREATE SCHEMA".into());
        let owner = owner.unwrap_or(&self.eval.session.current_user);
        self.check_role(owner)?;
        let name = name.unwrap_or(owner);
        if if_not_exists && self.schema().schema(name).is_some() {
            let message = format!("schema \"{name}\" already exists, skipping");
            self.notice(SqlState::DUPLICATE_SCHEMA, message);
            return tag;
        }
        self.change.create_schema(name, owner).await?;
        tag
    }

    async fn comment(&mut self, target: &CommentOn, text: Option<&str>) -> Result<Tag> {
        let relation = |oid, sub_id| CommentTarget { class: oids::CLASS_RELATION, oid, sub_id };
        let target = match target {
            CommentOn::Table(name) => {
                let table = self.commented_table(name, Some(RelationKind::Table)).await?;
                relation(table.id.0, 0)
            }
            CommentOn::ForeignTable(name) => {
                let table = self.commented_table(name, Some(RelationKind::Foreign)).await?;
                relation(table.id.0, 0)
            }
            CommentOn::Column(name, column) => {
                let table = self.commented_table(name, None).await?;
                let Some(found) = table.column(column) else {
                    return Err(undefined_column(&table, column));
                };
                relation(table.id.0, i32::from(found.id.0))
            }
            CommentOn::Constraint(name, constraint) => {
                let table = self.user_table(name).await?;
                let Some(oid) = constraint_oid(&table, constraint) else {
                    return Err(undefined_constraint(&table, constraint, "for table"));
                };
                CommentTarget { class: oids::CLASS_CONSTRAINT, oid, sub_id: 0 }
            }
            CommentOn::Index(name) => {
                let (table, at) = self.index(name)?;
                relation(at.of(&table).map_or(0, |index| index.oid), 0)
            }
            CommentOn::Sequence(name) => relation(self.sequence(name)?.oid, 0),
            CommentOn::Schema(name) => match self.schema().schema(name) {
                Some(schema) => {
                    CommentTarget { class: oids::CLASS_SCHEMA, oid: schema.oid, sub_id: 0 }
                }
                None => return Err(undefined_schema(name)),
            },
            CommentOn::Role(name) => {
                self.check_role(name)?;
                let oid = self.schema().role(name).map_or(0, |role| role.oid);
                CommentTarget { class: oids::CLASS_ROLE, oid, sub_id: 0 }
            }
            CommentOn::Database(name) => {
                let database = self.schema().database();
                if database.name != *name {
                    return Err(Error::new(
                        SqlState::INVALID_CATALOG_NAME,
                        format!("database \"{name}\" does not exist"),
                    ));
                }
                CommentTarget { class: oids::CLASS_DATABASE, oid: database.oid, sub_id: 0 }
            }
        };
        self.change.comment(target, text)?;
        Ok("COMMENT".into())
    }

    /// A table, foreign or not, of a kind if one is wanted, locked against other DDL.
    async fn commented_table(
        &mut self,
        name: &ObjectName,
        kind: Option<RelationKind>,
    ) -> Result<Arc<TableDescriptor>> {
        while let Some(Relation::Table(table)) = self.find(name)? {
            match kind {
                Some(RelationKind::Foreign) if table.kind != RelationKind::Foreign => {
                    return Err(wrong_kind(&name.name, "is not a foreign table"));
                }
                Some(RelationKind::Table) => break,
                _ if table.kind != RelationKind::Foreign => break,
                _ => {}
            }
            if let Some(locked) = self.lock_found(&table, LockMode::NoKeyUpdate).await? {
                return Ok(locked);
            }
        }
        self.user_table(name).await
    }

    /// A table that users may change, locked against other DDL.
    async fn user_table(&mut self, name: &ObjectName) -> Result<Arc<TableDescriptor>> {
        self.locked_table(name, LockMode::NoKeyUpdate).await
    }

    /// A table that users may change, locked.
    async fn locked_table(
        &mut self,
        name: &ObjectName,
        mode: LockMode,
    ) -> Result<Arc<TableDescriptor>> {
        loop {
            match self.find(name)? {
                Some(Relation::Table(table)) if table.kind == RelationKind::Foreign => {
                    return Err(wrong_kind(&name.name, "is not a table"));
                }
                Some(Relation::Table(table)) => {
                    refuse_system(&table)?;
                    if let Some(locked) = self.lock_found(&table, mode).await? {
                        return Ok(locked);
                    }
                }
                Some(_) => return Err(wrong_kind(&name.name, "is not a table")),
                None => return Err(undefined_relation(name)),
            }
        }
    }

    /// Locks a table that was found by name; none if it has another name by then, and is to be
    /// looked for again.
    async fn lock_found(
        &mut self,
        table: &TableDescriptor,
        mode: LockMode,
    ) -> Result<Option<Arc<TableDescriptor>>> {
        let locked = self.change.lock_table(table, mode).await?;
        if (&locked.schema, &locked.name) == (&table.schema, &table.name) {
            return Ok(Some(locked));
        }
        self.change.refresh().await?;
        Ok(None)
    }

    fn index(&self, name: &ObjectName) -> Result<(Arc<TableDescriptor>, IndexRef)> {
        match self.find(name)? {
            Some(Relation::Index(table, at)) => Ok((table, at)),
            Some(_) => Err(wrong_kind(&name.name, "is not an index")),
            None => Err(undefined_relation(name)),
        }
    }

    fn sequence(&self, name: &ObjectName) -> Result<Arc<SequenceDescriptor>> {
        match self.find(name)? {
            Some(Relation::Sequence(sequence)) => Ok(sequence),
            Some(_) => Err(wrong_kind(&name.name, "is not a sequence")),
            None => Err(undefined_relation(name)),
        }
    }

    /// 57014 if the statement is to end.
    fn check_cancel(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to user request",
            ));
        }
        Ok(())
    }
}

fn constraint_oid(table: &TableDescriptor, name: &str) -> Option<u32> {
    if let Some(check) = table.checks.iter().find(|c| c.name == name) {
        return Some(check.oid);
    }
    if let Some(key) = table.foreign_keys.iter().find(|key| key.name == name) {
        return Some(key.oid);
    }
    let mut indexes = crate::catalog::visible_indexes(table).map(|(_, index)| index);
    indexes.find(|index| index.name == name)?.constraint_oid
}

fn refuse_system(table: &TableDescriptor) -> Result<()> {
    if table.kind != RelationKind::Virtual {
        return Ok(());
    }
    Err(Error::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("permission denied: \"{}\" is a system catalog", table.name),
    ))
}

fn wrong_kind(name: &str, what: &str) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" {what}"))
}

fn undefined_relation(name: &ObjectName) -> Error {
    Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", name.display()))
}

fn undefined_column(table: &TableDescriptor, column: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{column}\" of relation \"{}\" does not exist", table.name),
    )
}

fn undefined_constraint(table: &TableDescriptor, name: &str, of: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("constraint \"{name}\" {of} \"{}\" does not exist", table.name),
    )
}
