//! Grouping and aggregates.

use std::sync::Arc;

use super::{OrderItem, Planner, Want};
use crate::error::{Error, Result};
use crate::functions::FunctionKind;
use crate::plan::node::{AggregatePlan, AggregateSpec, Op, PlanNode};
use crate::plan::stats;
use crate::sql::bound::{AggregateCall, ColId, Expr, Rel};

impl Planner<'_> {
    /// Plans GROUP BY. Groups that come sorted are taken one at a time; else a hash table holds
    /// them all.
    pub(super) fn aggregate(&mut self, rel: &Rel) -> Result<PlanNode> {
        let Rel::Aggregate { input, groups, sets, aggregates, grouping } = rel else {
            return Err(Error::internal("not an aggregate"));
        };
        let one_set = matches!(sets.as_slice(), [set] if set.len() == groups.len());
        let wanted = if one_set { group_order(groups.iter().map(|(e, _)| e)) } else { None };
        let want = Want { order: wanted.clone().unwrap_or_default(), ..Want::default() };
        let node = self.build(input, &want)?;
        let row = node.columns.clone();
        let sorted = !groups.is_empty() && wanted.is_some_and(|w| node.order.satisfies(&w));
        let exprs: Vec<Expr> = groups.iter().map(|(e, _)| e.clone()).collect();
        let compiled = self.scalars(&exprs, &row)?;
        let specs =
            aggregates.iter().map(|a| self.aggregate_spec(a, &row)).collect::<Result<Vec<_>>>()?;
        let mut columns: Vec<ColId> = groups.iter().map(|(_, c)| c.id).collect();
        columns.extend(aggregates.iter().map(|a| a.output.id));
        columns.extend(grouping.iter().map(|(_, c)| c.id));
        let rows = if groups.is_empty() { 1.0 } else { self.group_count(&exprs, node.rows) };
        let work = stats::BUILD_COST + stats::EVAL_COST * aggregates.len() as f64;
        let cost = node.cost + node.rows * work * sets.len() as f64;
        let order = node.order.clone();
        let grouping = grouping.iter().map(|(g, _)| g.clone()).collect();
        let plan = AggregatePlan {
            input: node,
            groups: compiled,
            sets: sets.clone(),
            aggregates: specs,
            grouping,
            sorted,
        };
        let mut out = self.node(Op::Aggregate(Arc::new(plan)), columns, rows, cost);
        out.startup_cost = if sorted { 0.0 } else { cost };
        if sorted {
            out.order = super::renamed_order(&order, groups);
        }
        self.label_list(&mut out, "Group Key", &exprs);
        Ok(out)
    }

    fn aggregate_spec(&mut self, call: &AggregateCall, row: &[ColId]) -> Result<AggregateSpec> {
        let FunctionKind::Aggregate(make) = call.function.kind else {
            return Err(Error::internal(format!("{:?} is no aggregate", call.function)));
        };
        let args = self.scalars(&call.args, row)?;
        let order_by = self.sort_specs(&call.order_by, row)?;
        let filter = call.filter.as_ref().map(|f| self.scalar(f, row, &[])).transpose()?;
        let subqueries = args.subqueries
            || order_by.iter().any(|k| k.expr.has_subquery())
            || filter.as_ref().is_some_and(|f| f.has_subquery());
        Ok(AggregateSpec {
            function: call.function,
            make,
            types: call.args.iter().map(Expr::ty).collect(),
            args,
            distinct: call.distinct,
            order_by,
            filter,
            subqueries,
        })
    }

    /// How many groups there will be.
    fn group_count(&self, groups: &[Expr], rows: f64) -> f64 {
        let each: f64 = groups.iter().map(|_| stats::DISTINCT_DEFAULT).product();
        each.min(rows * 0.5).max(1.0)
    }
}

/// The order in which equal groups come after each other, where groups are plain columns.
fn group_order<'a>(groups: impl Iterator<Item = &'a Expr>) -> Option<Vec<OrderItem>> {
    groups
        .map(|e| match e {
            Expr::Column(column, _) => Some(OrderItem {
                column: *column,
                desc: false,
                nulls_first: false,
                not_null: false,
            }),
            _ => None,
        })
        .collect()
}
