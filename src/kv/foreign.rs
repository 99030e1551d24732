//! Tables that lie beside the store in the cluster it is on, and are none of its own.
//!
//! A store on a cluster gives [`Foreign`] out; no other does. What goes through it is no part of
//! any transaction: no snapshot, no lock, nothing to roll back. It moves bytes as the rest of the
//! seam does: cells are values of CQL types that callers encode and decode
//! ([`crate::encoding::cql`]).
//!
//! A [`Request`] carries its text, so that what EXPLAIN shows is what is sent.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;
use crate::types::cql::CqlType;
use crate::types::descriptor::{ForeignRole, TableDescriptor};

/// How many replicas answer before an answer counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "CQL's own names")]
pub enum Consistency {
    One,
    Two,
    Three,
    Quorum,
    All,
    LocalOne,
    #[default]
    LocalQuorum,
}

/// The consistencies by their names.
const CONSISTENCIES: [(&str, Consistency); 7] = [
    ("one", Consistency::One),
    ("two", Consistency::Two),
    ("three", Consistency::Three),
    ("quorum", Consistency::Quorum),
    ("all", Consistency::All),
    ("local_one", Consistency::LocalOne),
    ("local_quorum", Consistency::LocalQuorum),
];

impl Consistency {
    /// The one of that name, in any case.
    pub fn named(name: &str) -> Option<Consistency> {
        let found = CONSISTENCIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, consistency)| *consistency)
    }

    /// As CQL writes it.
    pub fn name(self) -> String {
        let found = CONSISTENCIES.iter().find(|(_, known)| *known == self);
        found.map_or("", |(name, _)| name).to_ascii_uppercase()
    }

    /// Whether only the gateway's own data centre is asked.
    pub fn is_local(self) -> bool {
        matches!(self, Consistency::LocalOne | Consistency::LocalQuorum)
    }
}

/// A table of a keyspace, as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns: partition key, clustering key, the others by name.
    pub columns: Vec<Column>,
}

/// A column of a [`Table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as the cluster writes it.
    pub written: String,
    /// The same; none where it is one that is not known here.
    pub ty: Option<CqlType>,
    /// What it is to the table.
    pub role: ForeignRole,
}

/// A statement with what is bound to its marks.
#[derive(Clone, Debug)]
pub struct Request {
    /// The foreign table that it is about.
    pub table: Arc<TableDescriptor>,
    /// Its text.
    pub text: Arc<str>,
    /// A cell for each mark; none is NULL.
    pub values: Vec<Option<Bytes>>,
    /// How many replicas are to answer.
    pub consistency: Consistency,
}

/// A page of a SELECT's rows.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Rows of cells.
    pub rows: Vec<Vec<Option<Bytes>>>,
    /// Where it goes on, if there may be more.
    pub next: Option<Bytes>,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was done.
    Done,
    /// Its condition did not hold, and nothing was done.
    Refused,
}

/// The cluster's tables.
#[async_trait]
pub trait Foreign: Send + Sync {
    /// The tables of a keyspace; none if there is no such keyspace.
    ///
    /// # Errors
    /// 0A000 for a keyspace of Sluice's own, 08006 where the cluster does not answer.
    async fn tables(&self, keyspace: &str) -> Result<Option<Vec<Table>>>;

    /// A page of a SELECT's rows, at most `rows_max`; `from` is where the page before said.
    ///
    /// # Errors
    /// 42P01 for a table that is gone, 0A000 for one that has changed, 08006 where too few
    /// replicas answer.
    async fn page(&self, request: &Request, rows_max: usize, from: Option<Bytes>) -> Result<Page>;

    /// Runs an INSERT, UPDATE or DELETE with a condition, or one of a counter. It is sent once.
    ///
    /// # Errors
    /// As [`Foreign::page`], and 40003 where it is not known whether it was done.
    async fn write(&self, request: &Request) -> Result<Written>;
}

/// A name as CQL takes it.
pub fn quoted(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// CQL's reserved words.
const RESERVED: [&str; 61] = [
    "add",
    "allow",
    "alter",
    "and",
    "apply",
    "asc",
    "authorize",
    "batch",
    "begin",
    "by",
    "columnfamily",
    "create",
    "default",
    "delete",
    "desc",
    "describe",
    "drop",
    "entries",
    "execute",
    "from",
    "full",
    "grant",
    "if",
    "in",
    "index",
    "infinity",
    "insert",
    "into",
    "is",
    "keyspace",
    "limit",
    "materialized",
    "mbean",
    "mbeans",
    "modify",
    "nan",
    "norecursive",
    "not",
    "null",
    "of",
    "on",
    "or",
    "order",
    "primary",
    "rename",
    "replace",
    "revoke",
    "schema",
    "select",
    "set",
    "table",
    "to",
    "token",
    "truncate",
    "unlogged",
    "unset",
    "update",
    "use",
    "using",
    "view",
    "where",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert_eq!(quoted("plain_1"), "plain_1");
        assert_eq!(quoted("Mixed"), "\"Mixed\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(quoted("from"), "\"from\"");
        assert_eq!(quoted("with space"), "\"with space\"");
    }

    #[test]
    fn consistencies_have_names() {
        assert_eq!(Consistency::named("Local_Quorum"), Some(Consistency::LocalQuorum));
        assert_eq!(Consistency::named("any"), None);
        assert_eq!(Consistency::LocalOne.name(), "LOCAL_ONE");
    }
}
