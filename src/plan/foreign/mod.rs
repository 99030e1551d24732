//! How a scan of a foreign table reaches its rows: which part of its qualification the cluster
//! can answer, and the CQL for it.
//!
//! ```text
//! id = 7 AND at >= $1 AND note LIKE 'a%'   of   PRIMARY KEY (id, at)
//!   ─▶ SELECT id, at, note FROM ks.t WHERE id = ? AND at >= ?
//! ```
//!
//! Equality (or IN, one statement for each value) with every column of the partition key, then
//! with the first columns of the clustering key, then a range on the next. Without the partition
//! key the ring is read, page by page. All conditions are evaluated here again, so that what CQL
//! compares otherwise, or cannot say, changes no answer.

#[cfg(test)]
mod tests;
pub mod write;

use std::fmt::Write as _;
use std::sync::Arc;

use super::access::{Condition, KeyBound, KeyPart, Test};
use super::compare::Order;
use super::scalar::Scalars;
use crate::kv::foreign::quoted;
use crate::types::cql::CqlType;
use crate::types::descriptor::{ForeignColumn, ForeignDescriptor, TableDescriptor};

/// Reads a foreign table.
#[derive(Debug)]
pub struct ForeignPlan {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// Its name in the statement.
    pub alias: Arc<str>,
    /// What is read: names and types in the cluster.
    pub columns: Vec<(String, CqlType)>,
    /// How many of these make the row; one more is read where none does, to count rows by.
    pub width: usize,
    /// By which keys.
    pub access: ForeignAccess,
    /// All conditions on the scan.
    pub filter: Scalars,
}

/// By which keys a foreign table is read. Without parts: by all.
#[derive(Debug, Default)]
pub struct ForeignAccess {
    /// Values for the first columns of the primary key, the whole partition key among them.
    pub parts: Vec<ForeignPart>,
    /// Lower bound of the next column.
    pub low: Option<ForeignBound>,
    /// Upper bound of the next column.
    pub high: Option<ForeignBound>,
    /// How many columns make the partition key.
    pub partition_columns: usize,
    /// The first clustering column, and whether it is to descend, where the order opposite to the
    /// table's is wanted.
    pub opposite: Option<(String, bool)>,
}

/// Values for a column of the key.
#[derive(Debug)]
pub struct ForeignPart {
    /// Its name in the cluster.
    pub name: String,
    /// Its type there.
    pub ty: CqlType,
    /// The values.
    pub values: KeyPart,
}

/// A bound on a column of the key.
#[derive(Debug)]
pub struct ForeignBound {
    /// Its name in the cluster.
    pub name: String,
    /// Its type there.
    pub ty: CqlType,
    /// The bound.
    pub bound: KeyBound,
}

/// The conditions that an access is made from.
#[derive(Clone, Debug, Default)]
pub struct Chosen<'d> {
    /// Of the first columns of the key.
    pub parts: Vec<(&'d ForeignColumn, Condition)>,
    /// Of the next one, from below.
    pub low: Option<(&'d ForeignColumn, Condition)>,
    /// And from above.
    pub high: Option<(&'d ForeignColumn, Condition)>,
    /// Whether the parts name single rows.
    pub point: bool,
}

impl Chosen<'_> {
    /// The conjuncts that the cluster answers.
    pub fn used(&self) -> impl Iterator<Item = usize> {
        let all = self.parts.iter().chain(&self.low).chain(&self.high);
        all.map(|(_, condition)| condition.conjunct)
    }

    /// Whether each part is one value.
    pub fn is_single(&self) -> bool {
        let single = |test: &Test| matches!(test, Test::Compare(Order::Equal, _));
        !self.parts.is_empty() && self.parts.iter().all(|(_, c)| single(&c.test))
    }
}

/// What of a scan's conditions the cluster can answer.
pub fn choose<'d>(foreign: &'d ForeignDescriptor, conditions: &[Condition]) -> Chosen<'d> {
    let mut chosen = Chosen::default();
    let on = |column: &ForeignColumn, test: fn(&Test) -> bool| {
        conditions.iter().find(|c| c.column == column.id && test(&c.test)).cloned()
    };
    let equal = |column: &ForeignColumn| {
        on(column, |t| matches!(t, Test::Compare(Order::Equal, _)))
            .or_else(|| on(column, |t| matches!(t, Test::OneOf(_) | Test::Element(_))))
            .filter(|_| column.ty.is_exact())
    };
    let Some(partition) = foreign.partition() else { return chosen };
    for column in partition {
        match equal(column) {
            Some(condition) => chosen.parts.push((column, condition)),
            None => return Chosen::default(),
        }
    }
    for at in 0..foreign.clustering_columns {
        let Some(column) = foreign.clustering(at) else { return chosen };
        if let Some(condition) = equal(column) {
            chosen.parts.push((column, condition));
            continue;
        }
        if column.ty.is_ordered_alike() {
            let low =
                |t: &Test| matches!(t, Test::Compare(Order::Greater | Order::GreaterEqual, _));
            let high = |t: &Test| matches!(t, Test::Compare(Order::Less | Order::LessEqual, _));
            chosen.low = on(column, low).map(|condition| (column, condition));
            chosen.high = on(column, high).map(|condition| (column, condition));
        }
        return chosen;
    }
    chosen.point = true;
    chosen
}

impl ForeignPlan {
    /// The SELECT as it was planned.
    pub fn planned_text(&self) -> String {
        let inclusive = |bound: &Option<ForeignBound>| bound.as_ref().map(|b| b.bound.inclusive);
        self.text(inclusive(&self.access.low), inclusive(&self.access.high))
    }

    /// The SELECT with a lower and an upper bound, if they are there; whether each is within.
    pub fn text(&self, low: Option<bool>, high: Option<bool>) -> String {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| quoted(name)).collect();
        let mut text = format!("SELECT {} FROM {}", names.join(", "), remote_name(&self.table));
        let access = &self.access;
        let mut word = " WHERE ";
        let mut put = |name: &str, operator: &str| {
            let _ = write!(text, "{word}{} {operator} ?", quoted(name));
            word = " AND ";
        };
        for part in &access.parts {
            put(&part.name, "=");
        }
        if let (Some(bound), Some(inclusive)) = (&access.low, low) {
            put(&bound.name, if inclusive { ">=" } else { ">" });
        }
        if let (Some(bound), Some(inclusive)) = (&access.high, high) {
            put(&bound.name, if inclusive { "<=" } else { "<" });
        }
        if let Some((name, desc)) = &access.opposite {
            let _ =
                write!(text, " ORDER BY {} {}", quoted(name), if *desc { "DESC" } else { "ASC" });
        }
        text
    }
}

/// A foreign table's name in the cluster, as CQL takes it.
pub fn remote_name(table: &TableDescriptor) -> String {
    match &table.foreign {
        Some(foreign) => format!("{}.{}", quoted(&foreign.keyspace), quoted(&foreign.table)),
        None => String::new(),
    }
}
