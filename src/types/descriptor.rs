//! Descriptors of tables, columns, constraints and indexes: plain data, serialized into the
//! catalog as JSON (schemas/catalog.md).
//!
//! Ids are never used again: a dropped column's id stays taken, so that bytes of old rows never
//! get a new meaning.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SqlType;
use super::cql::CqlType;
use crate::clock::Timestamp;

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
    /// A table of the cluster that is not the store's own: its `foreign` says which.
    Foreign,
    /// Files of the server that one statement reads: its `files` says which.
    Files,
}

/// Files that a statement reads as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSet {
    /// Their paths, as written.
    pub patterns: Vec<String>,
    /// How many there were.
    pub files: usize,
    /// Their rows.
    pub rows: u64,
}

/// The table of the cluster that a foreign table stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignDescriptor {
    /// Its keyspace.
    pub keyspace: String,
    /// Its name there.
    pub table: String,
    /// Columns, one for each of the foreign table's, in its order.
    pub columns: Vec<ForeignColumn>,
    /// Columns of its partition key.
    pub partition_columns: u16,
    /// Columns of its clustering key.
    pub clustering_columns: u16,
}

/// A column of the cluster's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignColumn {
    /// The foreign table's column.
    pub id: ColumnId,
    /// Its name in the cluster.
    pub name: String,
    /// Its type there.
    pub ty: CqlType,
    /// What it is to the table.
    pub role: ForeignRole,
}

/// What a column is to its table in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForeignRole {
    /// Of the partition key, at this place.
    Partition(u16),
    /// Of the clustering key, at this place; whether it descends.
    Clustering(u16, bool),
    /// One value for a partition.
    Static,
    /// A value of each row.
    Regular,
}

impl ForeignDescriptor {
    /// The columns of the primary key in its order, partition key first; none where the foreign
    /// table has not all of them.
    pub fn key(&self) -> Option<Vec<&ForeignColumn>> {
        let mut key = self.partition()?;
        for at in 0..self.clustering_columns {
            key.push(self.clustering(at)?);
        }
        Some(key)
    }

    /// The columns of the partition key; none where the foreign table has not all of them.
    pub fn partition(&self) -> Option<Vec<&ForeignColumn>> {
        (0..self.partition_columns)
            .map(|at| self.columns.iter().find(|c| c.role == ForeignRole::Partition(at)))
            .collect()
    }

    /// The column at a place of the clustering key, if the foreign table has it.
    pub fn clustering(&self, at: u16) -> Option<&ForeignColumn> {
        let is_at = |role| matches!(role, ForeignRole::Clustering(place, _) if place == at);
        self.columns.iter().find(|c| is_at(c.role))
    }

    /// The column that a foreign table's column stands for.
    pub fn column(&self, id: ColumnId) -> Option<&ForeignColumn> {
        self.columns.iter().find(|c| c.id == id)
    }
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
    /// GENERATED … AS IDENTITY; `default` is then the call of its sequence.
    #[serde(default)]
    pub identity: Option<Identity>,
}

impl ColumnDescriptor {
    /// The sequences that its default calls, which it names by OID.
    pub fn called_sequences(&self) -> impl Iterator<Item = u32> {
        let default = self.default.as_deref().unwrap_or_default();
        default.split("'::regclass").filter_map(|part| part.rsplit_once('\'')?.1.parse().ok())
    }

    /// A column that takes NULL and has no default.
    pub fn new(id: ColumnId, name: &str, ty: SqlType) -> ColumnDescriptor {
        let name = name.to_owned();
        ColumnDescriptor {
            id,
            name,
            ty,
            not_null: false,
            default: None,
            missing: None,
            identity: None,
        }
    }
}

/// Whether an identity column takes values that an INSERT gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// GENERATED ALWAYS: only under OVERRIDING SYSTEM VALUE.
    Always,
    /// GENERATED BY DEFAULT: yes.
    ByDefault,
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
    /// The columns it uses.
    #[serde(default)]
    pub columns: Vec<ColumnId>,
    /// NOT VALID: rows that were there before it may break it.
    #[serde(default)]
    pub not_valid: bool,
}

/// What becomes of rows that reference a row which goes or changes its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForeignAction {
    /// NO ACTION: an error, unless the key is there again at the statement's end.
    NoAction,
    /// RESTRICT: an error.
    Restrict,
    /// CASCADE: they go or change too.
    Cascade,
    /// SET NULL
    SetNull,
    /// SET DEFAULT
    SetDefault,
}

/// A FOREIGN KEY constraint, kept with the table that references.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForeignKeyDescriptor {
    /// OID in `pg_constraint`.
    pub oid: u32,
    /// Constraint name.
    pub name: String,
    /// The referencing columns.
    pub columns: Vec<ColumnId>,
    /// The table they reference.
    pub parent: TableId,
    /// Its columns, which a primary key or unique index has.
    pub parent_columns: Vec<ColumnId>,
    /// ON DELETE
    pub on_delete: ForeignAction,
    /// ON UPDATE
    pub on_update: ForeignAction,
    /// MATCH FULL: all columns are NULL or none is.
    pub match_full: bool,
    /// NOT VALID: rows that were there before it may break it.
    pub not_valid: bool,
    /// When it is checked.
    #[serde(default)]
    pub timing: ConstraintTiming,
}

/// When a constraint is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintTiming {
    /// NOT DEFERRABLE: at the end of each statement.
    #[default]
    NotDeferrable,
    /// DEFERRABLE INITIALLY IMMEDIATE: the same, unless SET CONSTRAINTS says at COMMIT.
    Immediate,
    /// DEFERRABLE INITIALLY DEFERRED: at COMMIT, unless SET CONSTRAINTS says at once.
    Deferred,
}

impl ForeignKeyDescriptor {
    /// The index of the referenced table that its columns are the key of.
    pub fn index_of<'a>(&self, parent: &'a TableDescriptor) -> Option<&'a IndexDescriptor> {
        let covers = |index: &&IndexDescriptor| {
            index.unique
                && index.columns.len() == self.parent_columns.len()
                && self.parent_columns.iter().all(|c| index.columns.iter().any(|i| i.column == *c))
        };
        let primary = Some(&parent.primary).filter(|_| !parent.hidden_key).into_iter();
        primary.chain(&parent.indexes).find(covers)
    }
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

/// When a table's space was made and filled past any commit (`kv::Store::load`). Versions of such
/// rows do not tell: a snapshot from before must not read the table at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loaded {
    /// Never.
    #[default]
    Never,
    /// By the commit of the descriptor that says so.
    Here,
    /// By an earlier one.
    At(Timestamp),
    /// After the snapshot that a transaction reads at. Never stored.
    Later,
}

impl Loaded {
    fn is_never(&self) -> bool {
        *self == Loaded::Never
    }
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
    /// Whether values have the key's columns too: for stores that keep columns for other readers.
    #[serde(default)]
    pub keys_in_value: bool,
    /// Secondary indexes.
    pub indexes: Vec<IndexDescriptor>,
    /// CHECK constraints, by name.
    pub checks: Vec<CheckDescriptor>,
    /// FOREIGN KEY constraints of this table.
    #[serde(default)]
    pub foreign_keys: Vec<ForeignKeyDescriptor>,
    /// Whether a columnar view is kept (`columnar = on`); its changes are tracked then.
    pub columnar: bool,
    /// The version at which that was switched on last: a view of an earlier time knows nothing of
    /// what changed while it was off.
    #[serde(default)]
    pub columnar_since: u64,
    /// When its space was made and filled past any commit.
    #[serde(default, skip_serializing_if = "Loaded::is_never")]
    pub loaded: Loaded,
    /// Owner's role name.
    pub owner: String,
    /// Counts up with every change of this descriptor.
    pub version: u64,
    /// What a foreign table stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Box<ForeignDescriptor>>,
    /// What a statement's files are; no stored relation has any.
    #[serde(skip)]
    pub files: Option<Arc<FileSet>>,
}

impl TableDescriptor {
    /// A relation with these columns and nothing else, that has no place in the store yet.
    pub fn unplaced(
        id: TableId,
        schema: &str,
        name: &str,
        kind: RelationKind,
        columns: Vec<ColumnDescriptor>,
    ) -> TableDescriptor {
        TableDescriptor {
            id,
            schema: schema.to_owned(),
            name: name.to_owned(),
            kind,
            next_column: columns.len() as u16 + 1,
            columns,
            primary: IndexDescriptor {
                oid: 0,
                name: String::new(),
                columns: Vec::new(),
                unique: true,
                constraint_oid: None,
                space: SpaceId(0),
                state: IndexState::Public,
            },
            hidden_key: true,
            keys_in_value: false,
            partition_columns: 1,
            indexes: Vec::new(),
            checks: Vec::new(),
            columnar: false,
            columnar_since: 0,
            loaded: Loaded::Never,
            foreign_keys: Vec::new(),
            owner: String::new(),
            version: 1,
            foreign: None,
            files: None,
        }
    }

    /// The descriptor as it was committed at `ts`.
    pub fn committed(mut self: Arc<Self>, ts: Timestamp) -> Arc<TableDescriptor> {
        if self.loaded == Loaded::Here {
            Arc::make_mut(&mut self).loaded = Loaded::At(ts);
        }
        self
    }

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
