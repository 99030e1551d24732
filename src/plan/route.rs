//! Which path serves each table access: rows from the store, or columns from a view.
//!
//! The decision is per access and by cost, within what the session allows
//! (`sluice.read_engines`) and what a hint asks for. The row path costs by rows read; the column
//! path has a price to start, then reads a row for a fraction, more of it the fewer columns are
//! wanted. A selective key is always the row path's.

use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::sql::bound::PathHint;
use crate::types::descriptor::{RelationKind, TableDescriptor};

/// A path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Keys and ranges of the store.
    Row,
    /// The columnar view and what changed since.
    Column,
}

/// What `sluice.read_engines` allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadEngines {
    /// `row`
    pub row: bool,
    /// `columnar`
    pub columnar: bool,
}

impl Default for ReadEngines {
    fn default() -> Self {
        ReadEngines { row: true, columnar: true }
    }
}

/// How one table access is served, and why.
#[derive(Clone, Debug)]
pub struct TableRoute {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// Its name in the statement.
    pub alias: Arc<str>,
    /// The path.
    pub path: Path,
    /// Why, for EXPLAIN.
    pub reason: String,
}

/// What is known of an access when it is routed.
#[derive(Clone, Copy, Debug)]
pub struct AccessFacts {
    /// Rows that the row path would read.
    pub rows_read: f64,
    /// Rows of the table.
    pub rows_total: f64,
    /// Whether keys narrow the access.
    pub keyed: bool,
    /// Columns wanted.
    pub columns: usize,
    /// The hint.
    pub hint: Option<PathHint>,
    /// Whether the statement writes, or locks rows of, this table: only the row path can.
    pub writes: bool,
}

/// What the column path costs before its first row, in rows read by the row path.
const COLUMN_START_ROWS: f64 = 5_000.0;
/// What one value costs on the column path, in rows read by the row path.
const COLUMN_VALUE_ROWS: f64 = 0.004;

/// Decides the path of one access.
///
/// # Errors
/// 55000 when what is allowed or hinted at cannot serve the access.
pub fn decide(
    table: &TableDescriptor,
    facts: &AccessFacts,
    engines: ReadEngines,
) -> Result<(Path, String)> {
    if table.kind == RelationKind::Virtual {
        return Ok((Path::Row, "catalog relation".into()));
    }
    if facts.writes {
        return Ok((Path::Row, "rows are locked or written".into()));
    }
    match facts.hint {
        Some(PathHint::Row) => return Ok((Path::Row, "hint".into())),
        Some(PathHint::Columnar) if table.columnar => return Ok((Path::Column, "hint".into())),
        Some(PathHint::Columnar) => return Err(no_view(table, "the hint asks for it")),
        None => {}
    }
    match (engines.row, engines.columnar) {
        (true, false) => return Ok((Path::Row, "sluice.read_engines".into())),
        (false, true) if table.columnar => {
            return Ok((Path::Column, "sluice.read_engines".into()));
        }
        (false, _) => return Err(no_view(table, "sluice.read_engines leaves no other path")),
        (true, true) => {}
    }
    Ok(by_cost(table, facts))
}

fn by_cost(table: &TableDescriptor, facts: &AccessFacts) -> (Path, String) {
    if !table.columnar {
        return (Path::Row, "no columnar view".into());
    }
    let rows = facts.rows_read;
    let column_cost =
        COLUMN_START_ROWS + facts.rows_total * facts.columns.max(1) as f64 * COLUMN_VALUE_ROWS;
    let what = if facts.keyed { "key range" } else { "whole table" };
    if rows <= column_cost {
        (Path::Row, format!("{what}, about {rows:.0} rows"))
    } else {
        let columns = facts.columns;
        (Path::Column, format!("{what}, about {rows:.0} rows, {columns} columns"))
    }
}

fn no_view(table: &TableDescriptor, why: &str) -> Error {
    Error::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("table \"{}\" has no columnar view, but {why}", table.name),
    )
    .with_hint(format!("ALTER TABLE {} SET (columnar = on) makes one.", table.name))
}
