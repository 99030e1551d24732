//! Descriptors of what the catalog holds beside tables: the database, schemas, roles, comments.
//!
//! Plain data, stored as JSON (schemas/catalog.md). Tables are
//! [`crate::types::descriptor::TableDescriptor`].

use serde::{Deserialize, Serialize};

use crate::types::SqlType;
use crate::types::descriptor::{ColumnId, TableId};

/// OIDs that PostgreSQL's own initialization gives out.
pub mod oids {
    /// Schema `pg_catalog`.
    pub const PG_CATALOG: u32 = 11;
    /// Schema `public`.
    pub const PUBLIC: u32 = 2200;
    /// Schema `information_schema` (PostgreSQL 15's initdb).
    pub const INFORMATION_SCHEMA: u32 = 13207;
    /// The superuser made at initialization.
    pub const BOOTSTRAP_ROLE: u32 = 10;
    /// The database made at initialization.
    pub const DATABASE: u32 = 5;
    /// The role whose one member is the database's owner.
    pub const DATABASE_OWNER_ROLE: u32 = 6171;
    /// The first OID of an object made by a user.
    pub const FIRST_USER: u32 = 16384;
    /// `pg_class`, as `classoid` of comments and dependencies.
    pub const CLASS_RELATION: u32 = 1259;
    /// `pg_namespace`
    pub const CLASS_SCHEMA: u32 = 2615;
    /// `pg_constraint`
    pub const CLASS_CONSTRAINT: u32 = 2606;
    /// `pg_authid`
    pub const CLASS_ROLE: u32 = 1260;
    /// `pg_database`
    pub const CLASS_DATABASE: u32 = 1262;
}

/// The schema of the system's own relations and functions.
pub const PG_CATALOG: &str = "pg_catalog";
/// The schema of the SQL standard's catalog views.
pub const INFORMATION_SCHEMA: &str = "information_schema";
/// The role whose one member is the database's owner: it owns schema `public`.
pub const DATABASE_OWNER: &str = "pg_database_owner";
/// Roles that are always there.
pub const PREDEFINED_ROLES: [(u32, &str); 12] = [
    (3373, "pg_monitor"),
    (3374, "pg_read_all_settings"),
    (3375, "pg_read_all_stats"),
    (3377, "pg_stat_scan_tables"),
    (4200, "pg_signal_backend"),
    (4544, "pg_checkpoint"),
    (4569, "pg_read_server_files"),
    (4570, "pg_write_server_files"),
    (4571, "pg_execute_server_program"),
    (oids::DATABASE_OWNER_ROLE, DATABASE_OWNER),
    (6181, "pg_read_all_data"),
    (6182, "pg_write_all_data"),
];
/// The schema every database starts with.
pub const PUBLIC: &str = "public";

/// The database: one for each store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatabaseDescriptor {
    /// OID in `pg_database`.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Owner's role name.
    pub owner: String,
}

/// A schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SchemaDescriptor {
    /// OID in `pg_namespace`.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Owner's role name.
    pub owner: String,
}

impl SchemaDescriptor {
    /// Whether it holds the system's relations, which nobody changes.
    pub fn is_system(&self) -> bool {
        is_system_schema(&self.name)
    }
}

/// Whether a schema holds the system's relations.
pub fn is_system_schema(name: &str) -> bool {
    name == PG_CATALOG || name == INFORMATION_SCHEMA
}

/// A role; a user is one that may log in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleDescriptor {
    /// OID in `pg_authid`.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Bypasses every permission check.
    pub superuser: bool,
    /// Whether it has the rights of the roles it is a member of.
    pub inherit: bool,
    /// CREATEROLE
    pub create_role: bool,
    /// CREATEDB
    pub create_db: bool,
    /// LOGIN
    pub login: bool,
    /// REPLICATION
    pub replication: bool,
    /// BYPASSRLS
    pub bypass_rls: bool,
    /// Connections at once; -1 is no limit.
    pub connection_limit: i32,
    /// SCRAM verifier, in PostgreSQL's form; none: password logins fail.
    pub password: Option<String>,
    /// VALID UNTIL: microseconds since 2000-01-01 UTC.
    pub valid_until: Option<i64>,
    /// Parameters that its sessions begin with, and their values.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
}

impl RoleDescriptor {
    /// A role with CREATE ROLE's defaults.
    pub fn new(oid: u32, name: &str) -> RoleDescriptor {
        RoleDescriptor {
            oid,
            name: name.to_owned(),
            superuser: false,
            inherit: true,
            create_role: false,
            create_db: false,
            login: false,
            replication: false,
            bypass_rls: false,
            connection_limit: -1,
            password: None,
            valid_until: None,
            settings: Vec::new(),
        }
    }

    /// The superuser that initialization makes.
    pub fn bootstrap(name: &str, password: Option<String>) -> RoleDescriptor {
        RoleDescriptor {
            superuser: true,
            create_role: true,
            create_db: true,
            login: true,
            replication: true,
            bypass_rls: true,
            password,
            ..RoleDescriptor::new(oids::BOOTSTRAP_ROLE, name)
        }
    }
}

/// A sequence. Where it stands is a counter of its own (see [`super::sequence`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SequenceDescriptor {
    /// OID in `pg_class`.
    pub oid: u32,
    /// Its schema's name.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Owner's role name.
    pub owner: String,
    /// smallint, integer or bigint.
    pub ty: SqlType,
    /// First value.
    pub start: i64,
    /// Step, not zero.
    pub increment: i64,
    /// Lowest value.
    pub min: i64,
    /// Highest value.
    pub max: i64,
    /// Values that a session takes at once.
    pub cache: i64,
    /// Whether it starts again at its end.
    pub cycle: bool,
    /// Counts restarts: each has a counter of its own.
    pub generation: u32,
    /// First value of this generation.
    pub start_at: i64,
    /// The column that it goes with.
    pub owned_by: Option<SequenceOwner>,
    /// Counts up with every change of this descriptor.
    pub version: u64,
}

/// The column that a sequence is dropped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceOwner {
    /// The table.
    pub table: TableId,
    /// Its column.
    pub column: ColumnId,
    /// Whether it makes an identity column's values.
    pub identity: bool,
}

/// What a comment is about: the catalog its object is in, the object, its column (0: all of it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommentTarget {
    /// OID of the catalog.
    pub class: u32,
    /// OID of the object.
    pub oid: u32,
    /// `attnum`, or 0.
    pub sub_id: i32,
}
