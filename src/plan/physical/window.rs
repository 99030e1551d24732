//! Window functions: one pass for each partitioning and order.

use std::sync::Arc;

use super::{Planner, Want};
use crate::error::{Error, Result};
use crate::functions::{FunctionKind, find_cast, operators_named};
use crate::plan::node::{
    FrameEdge, FrameSpec, Op, PlanNode, RangeOffset, WindowKind, WindowPlan, WindowSpec,
};
use crate::plan::{stats, tree};
use crate::sql::bound::{ColId, Expr, Frame, FrameBound, FrameUnit, Rel, SortKey, WindowCall};
use crate::types::SqlType;

impl Planner<'_> {
    /// Plans window calls. Calls over the same window share one sort and one pass.
    pub(super) fn window(&mut self, input: &Rel, calls: &[WindowCall]) -> Result<PlanNode> {
        let mut node = self.build(input, &Want::default())?;
        let mut rest: Vec<&WindowCall> = calls.iter().collect();
        while let Some(first) = rest.first().copied() {
            let (group, others): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|c| same_window(c, first));
            rest = others;
            node = self.window_pass(node, &group)?;
        }
        Ok(node)
    }

    fn window_pass(&mut self, input: PlanNode, calls: &[&WindowCall]) -> Result<PlanNode> {
        let first = calls[0];
        let mut keys: Vec<SortKey> = first
            .partition_by
            .iter()
            .map(|e| SortKey { expr: e.clone(), desc: false, nulls_first: false })
            .collect();
        keys.extend(first.order_by.iter().cloned());
        let node =
            if keys.is_empty() { input } else { self.sorted(input, &keys, &Want::default())? };
        let row = node.columns.clone();
        let partition_by = self.scalars(&first.partition_by, &row)?;
        let order_by = self.sort_specs(&first.order_by, &row)?;
        let specs = calls.iter().map(|c| self.window_spec(c, &row)).collect::<Result<Vec<_>>>()?;
        let mut columns: Vec<ColId> = row.to_vec();
        columns.extend(calls.iter().map(|c| c.call.output.id));
        let (rows, order) = (node.rows, node.order.clone());
        let cost = node.cost + rows * stats::BUILD_COST * calls.len() as f64;
        let plan = WindowPlan { input: node, partition_by, order_by, calls: specs };
        let mut out = self.node(Op::Window(Arc::new(plan)), columns, rows, cost);
        out.order = order;
        Ok(out)
    }

    fn window_spec(&mut self, window: &WindowCall, row: &[ColId]) -> Result<WindowSpec> {
        let call = &window.call;
        let types: Vec<SqlType> = call.args.iter().map(Expr::ty).collect();
        let kind = match call.function.kind {
            FunctionKind::Aggregate(make) => WindowKind::Aggregate(call.function, make, types),
            FunctionKind::Window(function) => WindowKind::Window(function),
            _ => return Err(Error::internal(format!("{:?} over a window", call.function))),
        };
        let args = self.scalars(&call.args, row)?;
        let filter = call.filter.as_ref().map(|f| self.scalar(f, row, &[])).transpose()?;
        let frame = self.frame_spec(&window.frame, &window.order_by)?;
        Ok(WindowSpec { kind, args, filter, frame })
    }

    fn frame_spec(&mut self, frame: &Frame, order_by: &[SortKey]) -> Result<FrameSpec> {
        let start = self.frame_edge(frame.unit, &frame.start, order_by)?;
        let end = self.frame_edge(frame.unit, &frame.end, order_by)?;
        Ok(FrameSpec { unit: frame.unit, start, end, exclude: frame.exclude })
    }

    fn frame_edge(
        &mut self,
        unit: FrameUnit,
        bound: &FrameBound,
        order_by: &[SortKey],
    ) -> Result<FrameEdge> {
        let (expr, preceding) = match bound {
            FrameBound::UnboundedPreceding | FrameBound::UnboundedFollowing => {
                return Ok(FrameEdge::Unbounded);
            }
            FrameBound::CurrentRow => return Ok(FrameEdge::Current),
            FrameBound::Preceding(e) => (e, true),
            FrameBound::Following(e) => (e, false),
        };
        let scalar = self.scalar(expr, &[], &[])?;
        let offset = match (unit, order_by) {
            (FrameUnit::Range, [key]) => {
                // A descending key grows towards the partition's beginning.
                Some(range_offset(key.expr.ty(), expr.ty(), preceding != key.desc)?)
            }
            (FrameUnit::Range, _) => {
                return Err(Error::internal("RANGE with an offset needs one sort key"));
            }
            _ => None,
        };
        Ok(if preceding {
            FrameEdge::Preceding(scalar, offset)
        } else {
            FrameEdge::Following(scalar, offset)
        })
    }
}

/// The operator that moves a key by an offset, its result castable to the key's type.
fn range_offset(key: SqlType, offset: SqlType, minus: bool) -> Result<RangeOffset> {
    let name = if minus { "-" } else { "+" };
    let fits = |result: SqlType| result.same(key) || find_cast(result, key).is_some();
    let operator = operators_named(name).iter().find(|o| {
        o.left.is_some_and(|l| l.same(key)) && o.right.same(offset) && fits(o.function.result)
    });
    match operator {
        Some(operator) => Ok(RangeOffset { function: operator.function, key }),
        None => Err(Error::unsupported("RANGE with an offset of this type")),
    }
}

fn same_window(a: &WindowCall, b: &WindowCall) -> bool {
    let exprs = |x: &[Expr], y: &[Expr]| {
        x.len() == y.len() && x.iter().zip(y).all(|(a, b)| tree::same(a, b))
    };
    exprs(&a.partition_by, &b.partition_by)
        && a.order_by.len() == b.order_by.len()
        && a.order_by.iter().zip(&b.order_by).all(|(a, b)| {
            a.desc == b.desc && a.nulls_first == b.nulls_first && tree::same(&a.expr, &b.expr)
        })
}
