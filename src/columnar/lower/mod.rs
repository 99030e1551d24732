//! The bound tree as a DataFusion plan: how wide queries run.
//!
//! [`lower`] turns a whole query into a `LogicalPlan` whose leaves are table providers given by
//! the caller ([`Scans`]), one for each table's occurrence: the column path (view and delta) or
//! the row path (a stream of the transaction's rows), at one snapshot either way. DataFusion's
//! optimizer and engine do the rest; [`read_batch`] turns what comes out into rows again.
//!
//! A construct without a form that gives PostgreSQL's answer exactly is refused with 0A000: the
//! caller then runs the row executor over the same scans. So does a run that ends in
//! [`udf::TOO_WIDE`]: a decimal left 128 bits, and numeric has no such limit.
//!
//! Nothing here reads data or knows of views; see `columnar::query` for that.

mod aggregate;
mod expr;
mod extract;
mod floats;
#[cfg(feature = "spread")]
pub mod named;
mod operators;
mod relation;
pub mod run;
mod subqueries;
mod sums;
mod udf;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::LogicalPlan;

pub use udf::TOO_WIDE;

use super::values::ColumnReader;
use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::sql::bound::{ColId, Column, Rel, Scan};
use crate::types::{Datum, Row};

/// Gives each table's occurrence its provider. The provider's columns are the scan's, in order.
pub trait Scans {
    /// The provider for `scan`.
    fn provider(&self, scan: &Scan) -> Result<Arc<dyn TableProvider>>;
}

/// A lowered query.
#[derive(Debug)]
pub struct LoweredQuery {
    /// The plan, not optimized.
    pub plan: LogicalPlan,
    /// What comes out.
    pub columns: Vec<Column>,
    /// Whether no decimal of the plan can leave 128 bits: then no run ends in [`TOO_WIDE`].
    pub exact: bool,
}

/// Lowers a query.
///
/// # Errors
/// 0A000 for what only the row executor runs, naming it; others from the providers.
pub fn lower(
    rel: &Rel,
    scans: &dyn Scans,
    params: &[Datum],
    context: &EvalContext,
) -> Result<LoweredQuery> {
    let wide = Cell::new(false);
    let mut lowering = Lowering { scans, params, context, ctes: HashMap::new(), wide: &wide };
    let lowered = lowering.rel(rel)?;
    let columns = rel.columns();
    let plan = lowered.select(&columns)?;
    Ok(LoweredQuery { plan, columns, exact: !wide.get() })
}

/// State of one lowering.
struct Lowering<'a> {
    scans: &'a dyn Scans,
    params: &'a [Datum],
    context: &'a EvalContext,
    /// Queries of the CTEs in scope; each use is lowered anew.
    ctes: HashMap<usize, &'a Rel>,
    /// Set where an expression may raise [`TOO_WIDE`].
    wide: &'a Cell<bool>,
}

/// A plan with the Arrow types of its columns.
struct LoweredRel {
    plan: LogicalPlan,
    types: HashMap<ColId, DataType>,
}

/// Turns an output batch into rows.
pub fn read_batch(batch: &RecordBatch, columns: &[Column]) -> Result<Vec<Row>> {
    let readers: Vec<ColumnReader<'_>> =
        columns.iter().zip(batch.columns()).map(|(c, a)| ColumnReader::new(c.ty, a)).collect();
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        rows.push(readers.iter().map(|r| r.datum(row)).collect::<Result<Row>>()?);
    }
    Ok(rows)
}

/// What DataFusion names where queries have spilled all they may.
const SPILL_LIMIT: &str = "max_temp_directory_size";

/// 53400, as PostgreSQL says of `temp_file_limit`.
fn spilled_too_much() -> Error {
    Error::new(
        SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        "temporary files of analytical queries exceed their limit",
    )
    .with_hint("Raise --analytics-memory, or make the query sort or group less.")
}

/// An error of DataFusion as ours: one of ours that passed through it comes back whole; a full
/// memory pool is 53200.
pub fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(source) => match source.downcast::<Error>() {
            Ok(error) => *error,
            Err(source) => Error::internal(format!("columnar engine: {source}")),
        },
        DataFusionError::ArrowError(inner, _) => match *inner {
            arrow::error::ArrowError::ExternalError(source) => {
                from_datafusion(DataFusionError::External(source))
            }
            other => unforeseen(&other.to_string()),
        },
        DataFusionError::ParquetError(inner) => {
            Error::new(SqlState::BAD_COPY_FILE_FORMAT, "could not read a Parquet file")
                .with_detail(inner.to_string())
        }
        DataFusionError::ObjectStore(inner) => {
            let code = match &*inner {
                object_store::Error::NotFound { .. } => SqlState::UNDEFINED_FILE,
                _ => SqlState::IO_ERROR,
            };
            Error::new(code, format!("could not read a Parquet file: {inner}"))
        }
        DataFusionError::Context(_, inner) => from_datafusion(*inner),
        DataFusionError::Diagnostic(_, inner) => from_datafusion(*inner),
        DataFusionError::Shared(inner) => match Arc::try_unwrap(inner) {
            Ok(inner) => from_datafusion(inner),
            Err(shared) => shared_error(&shared),
        },
        DataFusionError::ResourcesExhausted(what) if !what.contains(SPILL_LIMIT) => {
            Error::new(SqlState::OUT_OF_MEMORY, "out of memory for analytical queries")
                .with_detail(what)
                .with_hint(
                    "Raise --analytics-memory, or the role's sluice.analytics_memory, or make \
                     the query touch fewer groups.",
                )
        }
        other => unforeseen(&other.to_string()),
    }
}

/// XX000, but for what is no error of a type of its own.
fn unforeseen(what: &str) -> Error {
    match what.contains(SPILL_LIMIT) {
        true => spilled_too_much(),
        false => Error::internal(format!("columnar engine: {what}")),
    }
}

/// The same for an error that others hold too: its fields are copied.
fn shared_error(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(source) => match source.downcast_ref::<Error>() {
            Some(e) => Error::new(e.code(), e.message()),
            None => Error::internal(format!("columnar engine: {source}")),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            shared_error(inner)
        }
        DataFusionError::Shared(inner) => shared_error(inner),
        DataFusionError::ResourcesExhausted(what) => {
            from_datafusion(DataFusionError::ResourcesExhausted(what.clone()))
        }
        other => unforeseen(&other.to_string()),
    }
}
