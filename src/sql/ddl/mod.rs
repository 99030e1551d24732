//! DDL as written: names folded, nothing looked up.
//!
//! The executor looks names up under locks, so that what a statement does is decided on the newest
//! schema.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::ast::{Expr, Query, TypeName};
use crate::types::descriptor::{ConstraintTiming, ForeignAction};

/// A relation's or other object's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The schema, if written.
    pub schema: Option<String>,
    /// The name.
    pub name: String,
    /// Position in the statement's text, 0 if none.
    pub position: u32,
}

impl ObjectName {
    /// As messages show it.
    pub fn display(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// A DDL statement.
#[derive(Clone, Debug)]
pub enum Ddl {
    /// CREATE TABLE
    CreateTable(Box<CreateTable>),
    /// CREATE TABLE AS, SELECT INTO
    CreateTableAs(Box<CreateTableAs>),
    /// CREATE FOREIGN TABLE
    CreateForeignTable(Box<CreateForeignTable>),
    /// IMPORT FOREIGN SCHEMA
    ImportForeignSchema(Box<ImportForeignSchema>),
    /// CREATE INDEX
    CreateIndex(Box<CreateIndex>),
    /// CREATE SCHEMA
    CreateSchema {
        /// Its name; none: that of the role.
        name: Option<String>,
        /// AUTHORIZATION
        owner: Option<String>,
        /// IF NOT EXISTS
        if_not_exists: bool,
    },
    /// DROP
    Drop {
        /// What kind of objects.
        kind: ObjectKind,
        /// Which.
        names: Vec<ObjectName>,
        /// IF EXISTS
        if_exists: bool,
        /// CASCADE
        cascade: bool,
    },
    /// TRUNCATE
    Truncate {
        /// Which tables.
        names: Vec<ObjectName>,
        /// RESTART IDENTITY
        restart_identity: bool,
        /// CASCADE
        cascade: bool,
    },
    /// ALTER TABLE, and what ALTER INDEX and ALTER SEQUENCE share with it
    AlterTable {
        /// What kind of object it was called.
        kind: ObjectKind,
        /// Which.
        name: ObjectName,
        /// IF EXISTS
        if_exists: bool,
        /// What.
        actions: Vec<AlterTable>,
    },
    /// CREATE SEQUENCE
    CreateSequence(Box<CreateSequence>),
    /// ALTER SEQUENCE
    AlterSequence {
        /// Which.
        name: ObjectName,
        /// IF EXISTS
        if_exists: bool,
        /// What changes.
        options: Box<SequenceOptions>,
    },
    /// ALTER SCHEMA … OWNER TO
    SchemaOwner {
        /// Which.
        name: String,
        /// The new owner.
        owner: String,
    },
    /// COMMENT ON
    Comment {
        /// What.
        target: CommentOn,
        /// The comment; none: remove it.
        text: Option<String>,
    },
    /// CREATE ROLE, CREATE USER
    CreateRole(Box<CreateRole>),
    /// ALTER ROLE … WITH
    AlterRole(String, RoleOptions),
    /// ALTER ROLE … SET and RESET
    RoleSetting(String, RoleSetting),
    /// ALTER ROLE … RENAME TO
    RenameRole(String, String),
    /// DROP ROLE
    DropRoles {
        /// Which.
        names: Vec<String>,
        /// IF EXISTS
        if_exists: bool,
    },
}

impl Ddl {
    /// The command's name, as its tag and PostgreSQL's messages have it.
    pub fn command(&self) -> &'static str {
        match self {
            Ddl::CreateTable(_) => "CREATE TABLE",
            Ddl::CreateTableAs(_) => "CREATE TABLE AS",
            Ddl::CreateForeignTable(_) => "CREATE FOREIGN TABLE",
            Ddl::ImportForeignSchema(_) => "IMPORT FOREIGN SCHEMA",
            Ddl::CreateIndex(_) => "CREATE INDEX",
            Ddl::CreateSchema { .. } => "CREATE SCHEMA",
            Ddl::Drop { kind, .. } => match kind {
                ObjectKind::Table => "DROP TABLE",
                ObjectKind::ForeignTable => "DROP FOREIGN TABLE",
                ObjectKind::Index => "DROP INDEX",
                ObjectKind::Schema => "DROP SCHEMA",
                ObjectKind::View => "DROP VIEW",
                ObjectKind::MaterializedView => "DROP MATERIALIZED VIEW",
                ObjectKind::Sequence => "DROP SEQUENCE",
            },
            Ddl::Truncate { .. } => "TRUNCATE TABLE",
            Ddl::AlterTable { kind, .. } => match kind {
                ObjectKind::Table => "ALTER TABLE",
                ObjectKind::ForeignTable => "ALTER FOREIGN TABLE",
                ObjectKind::Index => "ALTER INDEX",
                ObjectKind::Schema => "ALTER SCHEMA",
                ObjectKind::View => "ALTER VIEW",
                ObjectKind::MaterializedView => "ALTER MATERIALIZED VIEW",
                ObjectKind::Sequence => "ALTER SEQUENCE",
            },
            Ddl::CreateSequence(_) => "CREATE SEQUENCE",
            Ddl::AlterSequence { .. } => "ALTER SEQUENCE",
            Ddl::SchemaOwner { .. } => "ALTER SCHEMA",
            Ddl::Comment { .. } => "COMMENT",
            Ddl::CreateRole(_) => "CREATE ROLE",
            Ddl::AlterRole(..) | Ddl::RoleSetting(..) | Ddl::RenameRole(..) => "ALTER ROLE",
            Ddl::DropRoles { .. } => "DROP ROLE",
        }
    }
}

/// Kinds of objects that DROP takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum ObjectKind {
    Table,
    ForeignTable,
    Index,
    Schema,
    View,
    MaterializedView,
    Sequence,
}

impl ObjectKind {
    /// As messages name it.
    pub fn word(self) -> &'static str {
        match self {
            ObjectKind::Table => "table",
            ObjectKind::ForeignTable => "foreign table",
            ObjectKind::Index => "index",
            ObjectKind::Schema => "schema",
            ObjectKind::View => "view",
            ObjectKind::MaterializedView => "materialized view",
            ObjectKind::Sequence => "sequence",
        }
    }
}

/// CREATE TABLE.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// Its name.
    pub name: ObjectName,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Columns.
    pub columns: Vec<ColumnDefinition>,
    /// Constraints written for the table.
    pub constraints: Vec<Constraint>,
    /// WITH (…)
    pub options: Vec<StorageOption>,
}

/// A column as written.
#[derive(Clone, Debug)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeName,
    /// Its constraints, in order.
    pub constraints: Vec<ColumnConstraint>,
    /// Position of the name.
    pub position: u32,
}

/// A constraint of one column.
#[derive(Clone, Debug)]
pub enum ColumnConstraint {
    /// NULL; its position.
    Null(u32),
    /// NOT NULL; its position.
    NotNull(u32),
    /// DEFAULT; its position.
    Default(SourceExpr, u32),
    /// What could stand for the table too.
    Table(Constraint),
    /// GENERATED … AS IDENTITY
    Identity {
        /// ALWAYS, not BY DEFAULT.
        always: bool,
        /// Of its sequence.
        options: SequenceOptions,
        /// Its position.
        position: u32,
    },
}

/// An expression with its source text.
#[derive(Clone, Debug)]
pub struct SourceExpr {
    /// The tree; its offsets count in the text that the statement came in.
    pub expr: Expr,
    /// The expression alone.
    pub text: Arc<str>,
}

/// A constraint.
#[derive(Clone, Debug)]
pub struct Constraint {
    /// CONSTRAINT name
    pub name: Option<String>,
    /// What it demands.
    pub kind: ConstraintKind,
    /// Position of the constraint.
    pub position: u32,
}

/// What a constraint demands.
#[derive(Clone, Debug)]
pub enum ConstraintKind {
    /// PRIMARY KEY; the columns are empty where it stands with its column.
    PrimaryKey(Vec<String>),
    /// UNIQUE; as with PRIMARY KEY.
    Unique(Vec<String>),
    /// CHECK
    Check(SourceExpr),
    /// FOREIGN KEY
    Foreign(Box<ForeignKey>),
}

/// FOREIGN KEY and REFERENCES.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// The referencing columns; empty where it stands with its column.
    pub columns: Vec<String>,
    /// The table that is referenced.
    pub parent: ObjectName,
    /// Its columns; empty: its primary key.
    pub parent_columns: Vec<String>,
    /// MATCH FULL
    pub match_full: bool,
    /// ON DELETE
    pub on_delete: ForeignAction,
    /// ON UPDATE
    pub on_update: ForeignAction,
    /// DEFERRABLE and INITIALLY …
    pub timing: ConstraintTiming,
}

/// `name = value` in WITH (…); no value: true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageOption {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: OptionValue,
}

/// An option's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// Not written.
    None,
    /// A word, number or string.
    Word(String),
    /// A list of names in parentheses.
    Names(Vec<String>),
}

/// CREATE TABLE AS.
#[derive(Clone, Debug)]
pub struct CreateTableAs {
    /// Its name.
    pub name: ObjectName,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Names for the first columns.
    pub columns: Vec<String>,
    /// WITH (…)
    pub options: Vec<StorageOption>,
    /// The query.
    pub query: Query,
    /// WITH DATA
    pub with_data: bool,
}

/// CREATE FOREIGN TABLE.
#[derive(Clone, Debug)]
pub struct CreateForeignTable {
    /// Its name.
    pub name: ObjectName,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Columns, each with its OPTIONS.
    pub columns: Vec<(ColumnDefinition, Vec<ForeignOption>)>,
    /// SERVER
    pub server: String,
    /// OPTIONS
    pub options: Vec<ForeignOption>,
}

/// An option of a foreign object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignOption {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// IMPORT FOREIGN SCHEMA.
#[derive(Clone, Debug)]
pub struct ImportForeignSchema {
    /// The server's schema.
    pub remote: String,
    /// Which tables of it.
    pub tables: ImportedTables,
    /// FROM SERVER
    pub server: String,
    /// INTO
    pub into: String,
    /// OPTIONS
    pub options: Vec<ForeignOption>,
}

/// Which tables IMPORT FOREIGN SCHEMA is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedTables {
    /// All.
    All,
    /// LIMIT TO
    Only(Vec<String>),
    /// EXCEPT
    Except(Vec<String>),
}

/// CREATE INDEX.
#[derive(Clone, Debug)]
pub struct CreateIndex {
    /// Its name; none: PostgreSQL's choice.
    pub name: Option<String>,
    /// On which table.
    pub table: ObjectName,
    /// UNIQUE
    pub unique: bool,
    /// CONCURRENTLY
    pub concurrently: bool,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Columns.
    pub columns: Vec<IndexColumn>,
}

/// A column of CREATE INDEX.
#[derive(Clone, Debug)]
pub struct IndexColumn {
    /// Which.
    pub name: String,
    /// DESC
    pub desc: bool,
    /// NULLS FIRST
    pub nulls_first: bool,
    /// Position of the name.
    pub position: u32,
}

/// An action of ALTER TABLE.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "SQL's own clauses")]
pub enum AlterTable {
    AddColumn { column: Box<ColumnDefinition>, if_not_exists: bool },
    DropColumn { name: String, if_exists: bool, cascade: bool },
    RenameColumn { name: String, new_name: String },
    RenameTable(String),
    RenameConstraint { name: String, new_name: String },
    SetDefault { column: String, default: Option<SourceExpr> },
    SetNotNull(String),
    DropNotNull(String),
    SetType { column: String, ty: TypeName, using: Option<SourceExpr>, position: u32 },
    AddConstraint { constraint: Constraint, not_valid: bool },
    DropConstraint { name: String, if_exists: bool, cascade: bool },
    ValidateConstraint(String),
    SetOptions(Vec<StorageOption>),
    ResetOptions(Vec<String>),
    DropIdentity { column: String, if_exists: bool },
    AddIdentity { column: String, always: bool, options: Box<SequenceOptions> },
    SetIdentity { column: String, always: Option<bool>, options: Box<SequenceOptions> },
    OwnerTo(String),
    SetSchema(String),
}

/// What COMMENT ON is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum CommentOn {
    Table(ObjectName),
    ForeignTable(ObjectName),
    Column(ObjectName, String),
    Index(ObjectName),
    Sequence(ObjectName),
    Constraint(ObjectName, String),
    Schema(String),
    Role(String),
    Database(String),
}

/// CREATE SEQUENCE.
#[derive(Clone, Debug)]
pub struct CreateSequence {
    /// Its name.
    pub name: ObjectName,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Its options.
    pub options: SequenceOptions,
}

/// A sequence's options; none: not written.
#[derive(Clone, Debug, Default)]
pub struct SequenceOptions {
    /// AS
    pub ty: Option<TypeName>,
    /// INCREMENT
    pub increment: Option<i64>,
    /// MINVALUE; inner none: NO MINVALUE.
    pub min: Option<Option<i64>>,
    /// MAXVALUE; inner none: NO MAXVALUE.
    pub max: Option<Option<i64>>,
    /// START
    pub start: Option<i64>,
    /// RESTART; inner none: at START.
    pub restart: Option<Option<i64>>,
    /// CACHE
    pub cache: Option<i64>,
    /// CYCLE
    pub cycle: Option<bool>,
    /// OWNED BY; inner none: NONE.
    pub owned_by: Option<Option<(ObjectName, String)>>,
    /// SEQUENCE NAME, of an identity column's.
    pub name: Option<ObjectName>,
}

impl SequenceOptions {
    /// These, and of `more` what is not among them.
    pub fn or(self, more: SequenceOptions) -> SequenceOptions {
        SequenceOptions {
            ty: self.ty.or(more.ty),
            increment: self.increment.or(more.increment),
            min: self.min.or(more.min),
            max: self.max.or(more.max),
            start: self.start.or(more.start),
            restart: self.restart.or(more.restart),
            cache: self.cache.or(more.cache),
            cycle: self.cycle.or(more.cycle),
            owned_by: self.owned_by.or(more.owned_by),
            name: self.name.or(more.name),
        }
    }
}

/// CREATE ROLE.
#[derive(Clone, Debug)]
pub struct CreateRole {
    /// Its name.
    pub name: String,
    /// Its options.
    pub options: RoleOptions,
}

/// A change of what a role's sessions begin with.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleSetting {
    /// A parameter and its value.
    Set(String, String),
    /// A parameter.
    Reset(String),
    /// All of them.
    ResetAll,
}

/// A role's options; none: not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "SQL's own names")]
pub struct RoleOptions {
    pub superuser: Option<bool>,
    pub create_db: Option<bool>,
    pub create_role: Option<bool>,
    pub inherit: Option<bool>,
    pub login: Option<bool>,
    pub replication: Option<bool>,
    pub bypass_rls: Option<bool>,
    pub connection_limit: Option<i32>,
    /// The password in clear or as a verifier; inner none: PASSWORD NULL.
    pub password: Option<Option<String>>,
    pub valid_until: Option<String>,
}
