//! Writes of single rows of a foreign table, and the CQL for them.
//!
//! SQL tells how many rows a statement changed and refuses a key that is there; plain CQL writes
//! do neither. So every write has a condition, and is a lightweight transaction of one row:
//!
//! | statement | CQL |
//! | --- | --- |
//! | INSERT | `INSERT … IF NOT EXISTS` |
//! | UPDATE, DELETE by key alone | `… IF EXISTS` |
//! | UPDATE, DELETE that look at the row | `… IF a = ?`: what was seen of it is still so |
//!
//! Counters have no conditions: their row is looked for first, and then counted up.

use std::sync::Arc;

use super::{ForeignPlan, remote_name};
use crate::kv::foreign::quoted;
use crate::plan::node::PlanNode;
use crate::plan::scalar::{Scalar, Scalars};
use crate::types::descriptor::{ForeignColumn, ForeignDescriptor, TableDescriptor};

/// Writes rows of a foreign table.
#[derive(Debug)]
pub struct ForeignWritePlan {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// What is written.
    pub write: ForeignWrite,
    /// RETURNING: over the row as it is written, and as it was.
    pub returning: Option<Scalars>,
}

/// What is written. Columns are places in the descriptor.
#[derive(Debug)]
pub enum ForeignWrite {
    /// INSERT
    Insert {
        /// The rows, all columns of each.
        source: PlanNode,
        /// ON CONFLICT DO NOTHING
        ignore: bool,
    },
    /// UPDATE
    Update {
        /// The row.
        found: Found,
        /// Columns and their new values, over the row.
        sets: Vec<(usize, Scalar)>,
    },
    /// UPDATE of counters
    Count {
        /// The row.
        found: Found,
        /// Columns, what is added to each, and whether it is subtracted instead.
        sets: Vec<(usize, Scalar, bool)>,
    },
    /// DELETE
    Delete {
        /// The row.
        found: Found,
        /// Whether it has counters.
        counters: bool,
    },
}

/// The row that is written, by its whole key.
#[derive(Debug)]
pub struct Found {
    /// How it is read: all columns, in the descriptor's order.
    pub rows: Arc<ForeignPlan>,
    /// Whether it must be read.
    pub read: bool,
    /// Columns that the statement looks at, beside the key.
    pub compared: Vec<usize>,
}

fn names(foreign: &ForeignDescriptor, places: &[usize]) -> Vec<String> {
    places.iter().filter_map(|at| foreign.columns.get(*at)).map(|c| quoted(&c.name)).collect()
}

fn each(columns: &[String], put: impl Fn(&String) -> String, between: &str) -> String {
    columns.iter().map(put).collect::<Vec<_>>().join(between)
}

fn key_of(foreign: &ForeignDescriptor) -> String {
    let key: Vec<&ForeignColumn> = foreign.key().unwrap_or_default();
    let key: Vec<String> = key.into_iter().map(|c| quoted(&c.name)).collect();
    each(&key, |name| format!("{name} = ?"), " AND ")
}

/// `INSERT … IF NOT EXISTS` of these columns.
pub fn insert_text(table: &TableDescriptor, present: &[usize]) -> String {
    let Some(foreign) = &table.foreign else { return String::new() };
    let names = names(foreign, present);
    let marks = vec!["?"; names.len()].join(", ");
    let name = remote_name(table);
    format!("INSERT INTO {name} ({}) VALUES ({marks}) IF NOT EXISTS", names.join(", "))
}

fn condition(foreign: &ForeignDescriptor, compared: &[usize]) -> String {
    match names(foreign, compared).as_slice() {
        [] => "EXISTS".to_owned(),
        some => each(some, |name| format!("{name} = ?"), " AND "),
    }
}

/// `UPDATE … IF …`; without anything to compare `IF EXISTS`.
pub fn update_text(table: &TableDescriptor, sets: &[usize], compared: &[usize]) -> String {
    let Some(foreign) = &table.foreign else { return String::new() };
    let sets = each(&names(foreign, sets), |name| format!("{name} = ?"), ", ");
    let (name, key, condition) =
        (remote_name(table), key_of(foreign), condition(foreign, compared));
    format!("UPDATE {name} SET {sets} WHERE {key} IF {condition}")
}

/// `UPDATE … SET n = n + ?`
pub fn count_text(table: &TableDescriptor, sets: &[(usize, bool)]) -> String {
    let Some(foreign) = &table.foreign else { return String::new() };
    let set = |(at, minus): &(usize, bool)| {
        let name = names(foreign, &[*at]).concat();
        format!("{name} = {name} {} ?", if *minus { '-' } else { '+' })
    };
    let sets: Vec<String> = sets.iter().map(set).collect();
    format!("UPDATE {} SET {} WHERE {}", remote_name(table), sets.join(", "), key_of(foreign))
}

/// `DELETE … IF …`; of a row of counters without a condition.
pub fn delete_text(table: &TableDescriptor, counters: bool, compared: &[usize]) -> String {
    let Some(foreign) = &table.foreign else { return String::new() };
    let text = format!("DELETE FROM {} WHERE {}", remote_name(table), key_of(foreign));
    match counters {
        true => text,
        false => format!("{text} IF {}", condition(foreign, compared)),
    }
}

impl ForeignWritePlan {
    /// The CQL that EXPLAIN shows; an INSERT leaves columns out whose values are NULL.
    pub fn text(&self) -> String {
        let table = &self.table;
        match &self.write {
            ForeignWrite::Insert { .. } => {
                insert_text(table, &(0..table.columns.len()).collect::<Vec<_>>())
            }
            ForeignWrite::Update { found, sets } => {
                let sets: Vec<usize> = sets.iter().map(|(at, _)| *at).collect();
                update_text(table, &sets, &found.compared)
            }
            ForeignWrite::Count { sets, .. } => {
                let sets: Vec<(usize, bool)> = sets.iter().map(|(at, _, m)| (*at, *m)).collect();
                count_text(table, &sets)
            }
            ForeignWrite::Delete { found, counters } => {
                delete_text(table, *counters, &found.compared)
            }
        }
    }

    /// The SELECT that comes before it, if one does.
    pub fn read_text(&self) -> Option<String> {
        match &self.write {
            ForeignWrite::Insert { .. } => None,
            ForeignWrite::Update { found, .. }
            | ForeignWrite::Count { found, .. }
            | ForeignWrite::Delete { found, .. } => found.read.then(|| found.rows.planned_text()),
        }
    }
}
