//! Descriptors of tables, columns, constraints and indexes: plain data, serialized into the
//! catalog as JSON (schemas/catalog.md).
//!
//! Ids are never used again: a dropped column's id stays taken, so that bytes of old rows never
//! get a new meaning.

use serde::{Deserialize, Serialize};

use super::SqlType;
/// A table's or index's own part of the key space. Numbers below 100 are reserved.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct SpaceId(pub u32);

/// A table's durable identity; also its OID in `pg_class`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct TableId(pub u32);

/// A column's durable identity in its table: `attnum`, from 1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ColumnId(pub u16);

/// What a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelationKind {
    /// An ordinary table: rows in the store.
    Table,
    /// A catalog relation made from the schema snapshot.
    Virtual,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDescriptor {
    /// Identity: `attnum`.
    pub id: ColumnId,
    /// Name, as folded.
    pub name: String,
    /// Type.
    pub ty: SqlType,
    /// NOT NULL, or part of the primary key.
    pub not_null: bool,
    /// DEFAULT, as SQL text that the binder can read.
    pub default: Option<String>,
    /// What rows written before the column was added have: the type's text form.
    #[serde(default)]
    pub missing: Option<String>,
}

/// A CHECK constraint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckDescriptor {
    /// OID in `pg_constraint`.
    pub oid: u32,
    /// Constraint name.
    pub name: String,
    /// The condition, as SQL text that the binder can read.
    pub expr: String,
}

/// How far an index has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexState {
    /// Written, not read.
    WriteOnly,
    /// Written and read.
    Public,
}

/// One column of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexColumn {
    /// The column.
    pub column: ColumnId,
    /// Whether it descends.
    pub desc: bool,
    /// Whether NULLs come first.
    pub nulls_first: bool,
}

/// An index. The primary key is one too: its space holds the rows themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexDescriptor {
    /// OID in `pg_class`.
    pub oid: u32,
    /// Name; constraints of the same name belong to it.
    pub name: String,
    /// Key columns, in order.
    pub columns: Vec<IndexColumn>,
    /// Whether equal keys are refused (NULLs are never equal).
    pub unique: bool,
    /// Whether it was made by PRIMARY KEY or UNIQUE, and is so in `pg_constraint`.
    pub constraint_oid: Option<u32>,
    /// Where its entries lie.
    pub space: SpaceId,
    /// How far it has come.
    pub state: IndexState,
}

/// A relation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableDescriptor {
    /// Identity and OID.
    pub id: TableId,
    /// Its schema's name.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// Live columns in order of their ids.
    pub columns: Vec<ColumnDescriptor>,
    /// The next column id.
    pub next_column: u16,
    /// The primary key. A table declared without one gets a hidden key: a unique 16-byte row id.
    pub primary: IndexDescriptor,
    /// Whether `primary` is the hidden row id (its `columns` is empty then).
    pub hidden_key: bool,
    /// How many of the primary key's columns make the partition part.
    pub partition_columns: u16,
    /// Secondary indexes.
    pub indexes: Vec<IndexDescriptor>,
    /// CHECK constraints, by name.
    pub checks: Vec<CheckDescriptor>,
    /// Whether a columnar view is kept (`columnar = on`); its changes are tracked then.
    pub columnar: bool,
    /// Owner's role name.
    pub owner: String,
    /// Counts up with every change of this descriptor.
    pub version: u64,
}

impl TableDescriptor {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&ColumnDescriptor> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The column of that id.
    pub fn column_by_id(&self, id: ColumnId) -> Option<&ColumnDescriptor> {
        self.columns.iter().find(|c| c.id == id)
    }

    /// Where the rows lie.
    pub fn space(&self) -> SpaceId {
        self.primary.space
    }
}
