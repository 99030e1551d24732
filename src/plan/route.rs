//! Which path serves each table access: rows from the store, or columns from a view.
//!
//! The decision is per access and by cost, within what the session allows
//! (`sluice.read_engines`) and what a hint asks for. The row path costs by rows read; the column
//! path has a price to start, then reads a value for a fraction of a row. Nothing goes to the
//! column path unless the whole statement is cheaper that way: a lookup join may read one row of a
//! table that would be scanned whole if it were read alone.

use std::sync::Arc;

use super::tree;
use crate::error::{Error, Result, SqlState};
use crate::sql::bound::{PathHint, Rel, Scan};
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
    /// Whether no other path is allowed.
    pub forced: bool,
    /// Rows of the table when this was decided.
    pub rows: f64,
}

/// A query some of whose accesses the column path serves.
#[derive(Debug)]
pub struct ColumnarQuery {
    /// The query, rewritten.
    pub rel: Rel,
    /// For each table access, in the order of [`scans`], its route.
    pub routes: Vec<TableRoute>,
}

impl ColumnarQuery {
    /// The table accesses with their routes.
    pub fn accesses(&self) -> impl Iterator<Item = (&Scan, &TableRoute)> {
        scans(&self.rel).into_iter().zip(&self.routes)
    }

    /// Whether some access has no other path.
    pub fn is_forced(&self) -> bool {
        self.routes.iter().any(|r| r.forced && r.path == Path::Column)
    }
}

/// The table accesses of a query, subqueries' included, in a fixed order.
pub fn scans(rel: &Rel) -> Vec<&Scan> {
    let mut found = Vec::new();
    tree::each_rel_deep(rel, &mut |rel| {
        if let Rel::Scan(scan) = rel {
            found.push(&**scan);
        }
    });
    found
}

/// What is known of an access when it is routed.
#[derive(Clone, Copy, Debug)]
pub struct AccessFacts {
    /// Rows that the row path would read.
    pub rows_read: f64,
    /// What it would cost there.
    pub row_cost: f64,
    /// What the column path costs before its first row.
    pub view_cost: f64,
    /// Rows of the table.
    pub rows_total: f64,
    /// Whether keys narrow the access.
    pub keyed: bool,
    /// Columns wanted.
    pub columns: usize,
    /// The hint.
    pub hint: Option<PathHint>,
    /// Whether the statement writes, or locks rows of a table: only the row path can.
    pub writes: bool,
    /// Whether the rows written or locked are this access's.
    pub target: bool,
}

/// What the column path costs before its first row, in rows read by the row path.
const COLUMN_START_ROWS: f64 = 5_000.0;
/// What one value costs on the column path, in rows read by the row path.
const COLUMN_VALUE_ROWS: f64 = 0.004;

impl AccessFacts {
    fn column_cost(&self) -> f64 {
        self.view_cost + self.rows_total * self.columns.max(1) as f64 * COLUMN_VALUE_ROWS
    }

    /// The access in words.
    fn what(&self) -> String {
        let what = if self.keyed { "key range" } else { "whole table" };
        format!("{what}, about {:.0} rows", self.rows_read)
    }
}

/// Decides the paths of a statement's accesses. `row_cost` is the cost of the whole statement on
/// the row path.
///
/// # Errors
/// 55000 when what is allowed or hinted at cannot serve an access.
pub fn decide(
    accesses: Vec<(&Scan, AccessFacts)>,
    row_cost: f64,
    engines: ReadEngines,
) -> Result<Vec<TableRoute>> {
    let mut fixed = Vec::with_capacity(accesses.len());
    for (scan, facts) in &accesses {
        fixed.push(without_choice(&scan.table, facts, engines)?);
    }
    let begun = fixed.iter().flatten().any(|(path, _)| *path == Path::Column);
    let column_cost: f64 = accesses
        .iter()
        .zip(&fixed)
        .map(|((_, facts), fixed)| match fixed {
            Some((Path::Row, _)) => facts.row_cost,
            Some((Path::Column, _)) => facts.column_cost(),
            None => facts.column_cost().min(facts.row_cost),
        })
        .sum();
    let worth = begun || row_cost > COLUMN_START_ROWS + column_cost;
    let route = |((scan, facts), fixed): ((&Scan, AccessFacts), Option<(Path, &str)>)| {
        let forced = fixed.is_some();
        let (path, reason) = match fixed {
            Some((path, reason)) => (path, reason.to_owned()),
            None if worth && facts.column_cost() < facts.row_cost => {
                let columns = facts.columns;
                (Path::Column, format!("{}, {columns} columns", facts.what()))
            }
            None => (Path::Row, facts.what()),
        };
        let (table, alias) = (scan.table.clone(), scan.alias.clone());
        TableRoute { table, alias, path, reason, forced, rows: facts.rows_total }
    };
    Ok(accesses.into_iter().zip(fixed).map(route).collect())
}

/// Whether some table of a query has a view that the query may read.
pub fn has_views(rel: &Rel, engines: ReadEngines) -> bool {
    let reads = |scan: &&Scan| scan.table.columnar || scan.table.kind == RelationKind::Files;
    engines.columnar && scans(rel).iter().any(reads)
}

/// Whether only the column path may serve an access.
pub fn columns_only(scan: &Scan, engines: ReadEngines) -> bool {
    if scan.table.kind == RelationKind::Files {
        return true;
    }
    let reads = scan.table.columnar && scan.lock.is_none() && scan.row_key.is_none();
    reads && scan.hint.map_or(!engines.row, |hint| hint == PathHint::Columnar)
}

/// The path of an access that has no choice, and why; none if cost decides.
fn without_choice(
    table: &TableDescriptor,
    facts: &AccessFacts,
    engines: ReadEngines,
) -> Result<Option<(Path, &'static str)>> {
    if table.kind == RelationKind::Virtual {
        return Ok(Some((Path::Row, "catalog relation")));
    }
    if table.kind == RelationKind::Foreign {
        return Ok(Some((Path::Row, "foreign table")));
    }
    if table.kind == RelationKind::Files && !facts.writes {
        return Ok(Some((Path::Column, "Parquet files")));
    }
    if table.kind == RelationKind::Files {
        return Ok(Some((Path::Row, "the statement locks or writes rows")));
    }
    if facts.writes && !engines.row && !facts.target {
        return Err(only_rows(table));
    }
    if facts.writes {
        return Ok(Some((Path::Row, "the statement locks or writes rows")));
    }
    match facts.hint {
        Some(PathHint::Row) => return Ok(Some((Path::Row, "hint"))),
        Some(PathHint::Columnar) if table.columnar => return Ok(Some((Path::Column, "hint"))),
        Some(PathHint::Columnar) => return Err(no_view(table, "the hint asks for it")),
        None => {}
    }
    match (engines.row, engines.columnar) {
        (true, false) => Ok(Some((Path::Row, "sluice.read_engines"))),
        (false, _) if table.columnar => Ok(Some((Path::Column, "sluice.read_engines"))),
        (false, _) => Err(no_view(table, "sluice.read_engines leaves no other path")),
        (true, true) if !table.columnar => Ok(Some((Path::Row, "no columnar view"))),
        (true, true) => Ok(None),
    }
}

fn only_rows(table: &TableDescriptor) -> Error {
    Error::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "a statement that locks or writes rows reads table \"{}\" by the row path, but \
             sluice.read_engines leaves it out",
            table.name
        ),
    )
}

fn no_view(table: &TableDescriptor, why: &str) -> Error {
    Error::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("table \"{}\" has no columnar view, but {why}", table.name),
    )
    .with_hint(format!("ALTER TABLE {} SET (columnar = on) makes one.", table.name))
}
