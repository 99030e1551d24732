//! From the bound tree to a plan that the row executor runs.
//!
//! ```text
//! bound::Statement ─ rewrite ─▶ bound::Statement ─ physical ─▶ Plan
//!   fold constants                access paths (access)
//!   inline CTEs                   join order and method
//!   subqueries to joins           compiled expressions (scalar)
//!   push conditions down          which path serves a table (route)
//!   drop unused columns
//! ```
//!
//! Planning does no input or output: sizes come in as [`Statistics`]. A [`Plan`] is immutable; a
//! prepared statement keeps it and runs it again with other parameters, because every key bound
//! and limit in it is an expression evaluated at the start. What cannot be turned into a join
//! stays a subquery and is run by apply, so every bound statement has a plan.

pub mod access;
mod alone;
pub mod compare;
pub mod explain;
pub mod foreign;
pub mod node;
mod physical;
mod rewrite;
pub mod route;
pub mod scalar;
pub mod sizes;
pub mod stats;
#[cfg(test)]
pub(crate) mod tests;
pub mod tree;

pub use node::{Plan, PlanNode, StatementKind};
pub use route::{ColumnarQuery, Path, ReadEngines, TableRoute};
pub use stats::{AccessCosts, NoStatistics, Statistics};

use crate::error::Result;
use crate::functions::EvalContext;
use crate::sql::bound::Statement;

/// What planning is told.
#[derive(Clone, Copy)]
pub struct PlanSettings<'a> {
    /// For folding constants.
    pub eval: &'a EvalContext,
    /// Sizes of tables.
    pub statistics: &'a dyn Statistics,
    /// Whether scans over many partitions come in key order: `Capabilities::ordered`.
    pub ordered: bool,
    /// `enable_seqscan`
    pub seq_scans: bool,
    /// `sluice.read_engines`
    pub engines: ReadEngines,
    /// Whether to make EXPLAIN's lines.
    pub labels: bool,
}

/// Plans a statement.
///
/// # Errors
/// What folding constants raises (as PostgreSQL does when it plans), 55000 for an access that no
/// allowed path can serve.
pub fn plan(mut statement: Statement, settings: &PlanSettings<'_>) -> Result<Plan> {
    let mut wide = match &statement {
        Statement::Query(rel) if route::has_views(rel, settings.engines) => Some(rel.clone()),
        _ => None,
    };
    if let Some(rel) = &mut wide {
        rewrite::rewrite_wide(rel, settings)?;
    }
    let recheck = rewrite::rewrite(&mut statement, settings)?;
    physical::plan(&statement, wide, &recheck, settings)
}

/// Plans a query as it was written, without rewrites: what rewritten plans are compared with.
#[cfg(test)]
pub(crate) fn plan_as_written(statement: &Statement, settings: &PlanSettings<'_>) -> Result<Plan> {
    physical::plan(statement, None, &rewrite::Recheck::default(), settings)
}

/// The value of an expression without columns, parameters and subqueries: a DEFAULT.
///
/// # Errors
/// What evaluating it raises; 0A000 for a subquery.
pub fn constant_value(
    expr: &crate::sql::bound::Expr,
    context: &EvalContext,
) -> Result<crate::types::Datum> {
    struct Alone;
    impl scalar::Scope for Alone {
        fn frame_slot(&mut self, _: crate::sql::bound::ColId) -> Result<usize> {
            Err(crate::error::Error::internal("a default with a column"))
        }

        fn subplan(
            &mut self,
            _: &crate::sql::bound::Rel,
            _: Option<u64>,
        ) -> Result<(usize, Vec<crate::sql::bound::ColId>)> {
            Err(crate::error::Error::unsupported("a subquery in a default"))
        }
    }
    let compiled = scalar::Compiler { row: &[], right: &[], scope: &mut Alone }.compile(expr)?;
    let env = scalar::Env {
        context,
        params: &[],
        frame: &[],
        subresults: &scalar::NoSubresults,
        row: &[],
        right: &[],
    };
    compiled.eval(&env).map_err(scalar::Stop::into_error)
}
