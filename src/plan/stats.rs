//! What the planner believes of sizes, and what it thinks things cost.
//!
//! Costs are in units of one row read from a page of a scan (about a microsecond on the embedded
//! store). Only their ratios matter.

use crate::kv::Pace;
use crate::types::descriptor::{ColumnId, TableDescriptor};

/// What is known of tables' sizes. The planner is handed it and does no input or output.
pub trait Statistics: Send + Sync {
    /// Rows of a table, if known.
    fn rows(&self, table: &TableDescriptor) -> Option<f64>;
    /// Different values of a column, if known.
    fn distinct(&self, table: &TableDescriptor, column: ColumnId) -> Option<f64>;
    /// What reading the store costs.
    fn costs(&self) -> AccessCosts {
        AccessCosts::IN_PROCESS
    }
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

/// Of what a setting turns off, which is taken only where nothing else is; as PostgreSQL's
/// disable_cost.
pub const DISABLED_COST: f64 = 1.0e10;
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

/// What reading rows of a store costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccessCosts {
    /// Reading one row in a page.
    pub row: f64,
    /// Getting one row by its key.
    pub get: f64,
    /// Getting one row of many by their keys at once.
    pub get_many: f64,
    /// Getting the row that an index entry points to: its place is anywhere.
    pub index_lookup: f64,
    /// Beginning a scan.
    pub seek: f64,
    /// What a view of the store's rows costs before its first row: learning what changed since.
    pub view: f64,
}

/// Keys that a cluster answers in the time of one, when many are asked for at once.
const GETS_AT_ONCE: f64 = 8.0;
/// Requests, one after the other, that tell what changed since a view.
const VIEW_REQUESTS: f64 = 4.0;

impl AccessCosts {
    /// Those of a store in this process. They are ratios of one processor's work, measured once:
    /// machines differ in all of it alike.
    pub const IN_PROCESS: AccessCosts = AccessCosts {
        row: 1.0,
        get: 2.5,
        get_many: 1.8,
        index_lookup: 3.5,
        seek: 3.0,
        view: 300.0,
    };

    /// Those of a cluster, which is as far as it is: measured from the start on.
    pub fn of_cluster(pace: Pace) -> AccessCosts {
        let micros = |took: std::time::Duration| took.as_secs_f64() * 1e6;
        let (request, row) = (micros(pace.request).max(1.0), micros(pace.row).max(1.0));
        let one_of_many = (request / GETS_AT_ONCE).max(row);
        AccessCosts {
            row,
            get: request,
            get_many: one_of_many,
            index_lookup: one_of_many,
            seek: request,
            view: Self::IN_PROCESS.view + VIEW_REQUESTS * request,
        }
    }
}

/// Giving one row on.
pub const ROW_COST: f64 = 1.0;
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
