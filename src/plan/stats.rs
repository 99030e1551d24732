//! What the planner believes of sizes, and what it thinks things cost.
//!
//! Costs are in units of one row read from a page of a scan (about a microsecond on the embedded
//! store). Only their ratios matter.

use crate::types::descriptor::{ColumnId, TableDescriptor};

/// What is known of tables' sizes. The planner is handed it and does no input or output.
pub trait Statistics: Send + Sync {
    /// Rows of a table, if known.
    fn rows(&self, table: &TableDescriptor) -> Option<f64>;
    /// Different values of a column, if known.
    fn distinct(&self, table: &TableDescriptor, column: ColumnId) -> Option<f64>;
}

/// Nothing is known.
pub struct NoStatistics;

impl Statistics for NoStatistics {
    fn rows(&self, _: &TableDescriptor) -> Option<f64> {
        None
    }

    fn distinct(&self, _: &TableDescriptor, _: ColumnId) -> Option<f64> {
        None
    }
}

/// Rows of a table of which nothing is known.
pub const ROWS_DEFAULT: f64 = 1000.0;
/// A table is planned for as if it had at least so many rows: it may be empty now and full when
/// the plan is used again.
pub const ROWS_MIN: f64 = 200.0;
/// Different values of a column of which nothing is known, as PostgreSQL's DEFAULT_NUM_DISTINCT.
pub const DISTINCT_DEFAULT: f64 = 200.0;
/// Share of rows that a range condition keeps, as PostgreSQL's DEFAULT_INEQ_SEL.
pub const RANGE_SHARE: f64 = 1.0 / 3.0;
/// Share of rows that a range with two ends keeps, as PostgreSQL's DEFAULT_RANGE_INEQ_SEL.
pub const TWO_SIDED_RANGE_SHARE: f64 = 0.005;
/// Share of rows that any other condition keeps.
pub const OTHER_SHARE: f64 = 0.25;
/// Elements of an array of which nothing is known.
pub const ARRAY_LEN_DEFAULT: f64 = 10.0;

/// Reading one row in a page.
pub const ROW_COST: f64 = 1.0;
/// Getting one row by its key.
pub const GET_COST: f64 = 2.5;
/// Getting one row of many by their keys at once.
pub const GET_MANY_COST: f64 = 1.8;
/// Getting the row that an index entry points to: its place is anywhere.
pub const INDEX_LOOKUP_COST: f64 = 3.5;
/// Beginning a scan.
pub const SEEK_COST: f64 = 3.0;
/// Evaluating a condition or an expression.
pub const EVAL_COST: f64 = 0.05;
/// Putting a row into a hash table.
pub const BUILD_COST: f64 = 0.3;
/// Looking a row up in a hash table.
pub const PROBE_COST: f64 = 0.2;
/// Comparing two rows in a sort.
pub const COMPARE_COST: f64 = 0.05;
/// Starting a subplan.
pub const START_COST: f64 = 2.0;

/// What sorting `rows` rows costs.
pub fn sort_cost(rows: f64) -> f64 {
    let rows = rows.max(2.0);
    rows * rows.log2() * COMPARE_COST + rows * 0.1
}

/// A number of rows as estimates give it: at least one.
pub fn clamp(rows: f64) -> f64 {
    if rows.is_finite() { rows.max(1.0) } else { 1e15 }
}
