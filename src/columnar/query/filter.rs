//! One condition of a scan.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{and, prep_null_mask_filter};
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr,
    Literal, NotExpr,
};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};

use super::scan::OUTPUT_ROWS;

/// Rows of a row group by which it is seen what a hint is worth there.
const SAMPLE_ROWS: usize = 2 * OUTPUT_ROWS;

/// A filter on just the columns it needs.
pub(super) struct Filter {
    /// On the table's columns.
    pub whole: Arc<dyn PhysicalExpr>,
    expr: Arc<dyn PhysicalExpr>,
    /// The table's columns it reads.
    pub columns: Vec<usize>,
    schema: SchemaRef,
    /// What an operator above knows as the query runs. That looks again.
    pub is_hint: bool,
    /// It only compares, which fails on no row.
    cannot_fail: bool,
}

/// What a filter did so far in a row group.
#[derive(Clone, Copy, Default)]
pub(super) struct Tried {
    /// Rows it was evaluated for.
    pub rows: usize,
    /// Those of them that it left.
    pub kept: usize,
}

impl Tried {
    /// Whether looking costs more than the few rows it leaves out.
    pub fn is_in_vain(self) -> bool {
        self.rows >= SAMPLE_ROWS && self.kept > self.rows / 8 * 7
    }
}

impl Filter {
    /// A condition on a table's columns.
    pub fn new(
        whole: &Arc<dyn PhysicalExpr>,
        table_schema: &SchemaRef,
    ) -> DataFusionResult<Filter> {
        let mut columns: Vec<usize> =
            collect_columns(whole).iter().map(|column| column.index()).collect();
        columns.sort_unstable();
        let schema = Arc::new(table_schema.project(&columns)?);
        let expr = reassign_expr_columns(whole.clone(), &schema)?;
        let is_hint = whole.is::<DynamicFilterPhysicalExpr>();
        let cannot_fail = only_compares(whole);
        Ok(Filter { whole: whole.clone(), expr, columns, schema, is_hint, cannot_fail })
    }

    /// The rows among `selected` for which the filter is true. It is evaluated only on those: a
    /// row that an earlier one leaves out cannot make it fail. What cannot fail sees all where most
    /// are selected anyway.
    pub fn apply(
        &self,
        arrays: Vec<ArrayRef>,
        rows: usize,
        selected: Option<BooleanArray>,
    ) -> DataFusionResult<BooleanArray> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?;
        let value = match &selected {
            Some(selected) if !self.cannot_fail || selected.true_count() < rows / 2 => {
                self.expr.evaluate_selection(&batch, selected)?
            }
            _ => self.expr.evaluate(&batch)?,
        };
        let array = value.into_array(rows)?;
        let truth = array.as_boolean_opt().ok_or_else(|| {
            DataFusionError::Internal(format!("filter {} is not boolean", self.expr))
        })?;
        let truth = match truth.null_count() == 0 {
            true => truth.clone(),
            false => prep_null_mask_filter(truth),
        };
        Ok(match selected {
            Some(selected) => and(&truth, &selected)?,
            None => truth,
        })
    }
}

/// Whether columns and constants are compared, and nothing is computed. A hint's children are the
/// keys of its join.
fn only_compares(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let plain = match expr.downcast_ref::<BinaryExpr>() {
        Some(binary) => {
            use Operator::*;
            matches!(binary.op(), Eq | NotEq | Lt | LtEq | Gt | GtEq | And | Or)
        }
        None => {
            expr.is::<Column>()
                || expr.is::<Literal>()
                || expr.is::<InListExpr>()
                || expr.is::<IsNullExpr>()
                || expr.is::<IsNotNullExpr>()
                || expr.is::<NotExpr>()
                || expr.is::<LikeExpr>()
                || expr.is::<DynamicFilterPhysicalExpr>()
        }
    };
    plain && expr.children().into_iter().all(only_compares)
}
