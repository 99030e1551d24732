//! Access paths of foreign tables.

use std::collections::HashSet;
use std::sync::Arc;

use super::joins::{Step, joined};
use super::scan::{share_of, values_of};
use super::{Planner, Want};
use crate::error::{Error, Result};
use crate::plan::access::{self, Condition, KeyPart, Test};
use crate::plan::foreign::{Chosen, ForeignAccess, ForeignBound, ForeignPart, ForeignPlan, choose};
use crate::plan::node::{LookupPlan, LookupSide, Op, OrderItem, PlanNode, RowOrder};
use crate::plan::{stats, tree};
use crate::sql::bound::{ColId, Expr, Scan};
use crate::types::descriptor::{ForeignColumn, ForeignDescriptor, ForeignRole, RelationKind};

/// What a request to the cluster is taken to cost, in rows that it gives.
const REQUEST_ROWS: f64 = 20.0;
/// Rows that a table is taken to have: it was not small enough to lie elsewhere.
const TABLE_ROWS: f64 = 100_000.0;
/// Rows that a partition is taken to have.
const PARTITION_ROWS: f64 = 100.0;

impl Planner<'_> {
    /// Plans a foreign table's occurrence.
    pub(super) fn foreign_scan(&mut self, scan: &Scan, want: &Want) -> Result<PlanNode> {
        let conjuncts: Vec<Expr> =
            scan.filter.iter().flat_map(|e| tree::conjuncts(e.clone())).collect();
        let conditions = access::conditions(scan, &conjuncts);
        let foreign = foreign_of(scan)?;
        let chosen = choose(foreign, &conditions);
        let (read, cost) = self.estimate(&chosen);
        let mut plan = self.foreign_plan(scan, &chosen, &conjuncts, &[])?;
        let mut order = order_of(scan, foreign, &chosen);
        if !want.order.is_empty() && !order.satisfies(&want.order) {
            let opposite = opposite(&order);
            if opposite.satisfies(&want.order) {
                order = opposite;
                plan.access.opposite =
                    foreign.clustering(0).map(|c| (c.name.clone(), !descends(c)));
            }
        }
        let columns: Vec<ColId> = scan.columns.iter().map(|(_, c)| c.id).collect();
        let used: HashSet<usize> = chosen.used().collect();
        let rest = conjuncts.iter().enumerate().filter(|(at, _)| !used.contains(at));
        let rest: Vec<Expr> = rest.map(|(_, e)| e.clone()).collect();
        let rows = stats::clamp(read * rest.iter().map(share_of).product::<f64>());
        let text = plan.planned_text();
        let mut node = self.node(Op::Foreign(Arc::new(plan)), columns, rows, cost);
        node.order = order;
        self.label(&mut node, "Filter", &rest);
        self.label_foreign(&mut node, text);
        Ok(node)
    }

    /// What looking a foreign table up for each row of `left` would cost, if its key comes from
    /// that row.
    pub(super) fn foreign_lookup_cost(
        &self,
        left: &PlanNode,
        scan: &Scan,
        conjuncts: &[Expr],
        step: &Step<'_>,
    ) -> Option<f64> {
        let conditions = access::conditions(scan, conjuncts);
        let chosen = choose(scan.table.foreign.as_deref()?, &conditions);
        let keyed = chosen
            .parts
            .iter()
            .any(|(_, c)| !tree::expr_columns(&conjuncts[c.conjunct]).is_disjoint(step.left));
        keyed.then(|| left.rows * self.estimate(&chosen).1)
    }

    /// Joins by looking a foreign table up for each row of `left`.
    pub(super) fn foreign_lookup(
        &mut self,
        left: PlanNode,
        scan: &Scan,
        conjuncts: &[Expr],
        step: &Step<'_>,
        (rows, cost): (f64, f64),
    ) -> Result<PlanNode> {
        let conditions = access::conditions(scan, conjuncts);
        let chosen = choose(foreign_of(scan)?, &conditions);
        let left_columns = left.columns.clone();
        let own = &conjuncts[..conjuncts.len() - step.on.len()];
        let right = self.foreign_plan(scan, &chosen, own, &left_columns)?;
        let right_columns: Vec<ColId> = scan.columns.iter().map(|(_, c)| c.id).collect();
        // All conditions of the join: what the key says too.
        let on = self.pair(step.on, &left_columns, &right_columns)?;
        let (total, order) = (left.cost + cost, left.order.clone());
        let columns = joined(&left_columns, &right_columns, step.kind);
        let text = right.planned_text();
        self.nodes += 1;
        let plan = LookupPlan {
            left,
            right: LookupSide::Foreign(Arc::new(right)),
            kind: step.kind,
            on,
            right_width: right_columns.len(),
            right_id: self.nodes - 1,
        };
        let mut out = self.node(Op::Lookup(Arc::new(plan)), columns, rows, total);
        out.order = order;
        let used: HashSet<usize> = chosen.used().collect();
        let left_out = |from: usize, list: &[Expr]| -> Vec<Expr> {
            let listed = list.iter().enumerate().filter(|(at, _)| !used.contains(&(at + from)));
            listed.map(|(_, e)| e.clone()).collect()
        };
        self.label(&mut out, "Filter", &left_out(0, own));
        self.label_foreign(&mut out, text);
        self.label(&mut out, "Join Filter", &left_out(own.len(), step.on));
        Ok(out)
    }

    /// The CQL of a node, and what it does not promise.
    fn label_foreign(&self, node: &mut PlanNode, text: String) {
        if self.settings.labels {
            node.labels.push(("CQL", text));
            self.label_consistency(node);
        }
    }

    /// Says how many replicas answer, and that no transaction has a part in it.
    pub(super) fn label_consistency(&self, node: &mut PlanNode) {
        let consistency = self.settings.eval.session.settings.get("sluice.consistency");
        let consistency = consistency.map_or("", String::as_str).to_ascii_uppercase();
        node.labels.push(("Consistency", format!("{consistency}, not transactional")));
    }

    /// Compiles a scan by what was chosen. `known` are the columns of the row that keys are
    /// computed from.
    pub(super) fn foreign_plan(
        &mut self,
        scan: &Scan,
        chosen: &Chosen<'_>,
        conjuncts: &[Expr],
        known: &[ColId],
    ) -> Result<ForeignPlan> {
        let foreign = foreign_of(scan)?;
        let mut columns = Vec::with_capacity(scan.columns.len());
        for (id, _) in &scan.columns {
            let column = foreign.column(*id);
            let column = column.ok_or_else(|| Error::internal("a foreign column is missing"))?;
            columns.push((column.name.clone(), column.ty.clone()));
        }
        if columns.is_empty() {
            // Rows are counted by a column that costs little.
            let cheapest = foreign.partition().and_then(|key| key.first().copied());
            let cheapest = cheapest.or(foreign.columns.first());
            columns.extend(cheapest.map(|c| (c.name.clone(), c.ty.clone())));
        }
        let mut parts = Vec::with_capacity(chosen.parts.len());
        for (column, condition) in &chosen.parts {
            let values = match &condition.test {
                Test::Compare(_, value) => KeyPart::OneOf(vec![self.scalar(value, known, &[])?]),
                Test::OneOf(values) => KeyPart::OneOf(
                    values.iter().map(|v| self.scalar(v, known, &[])).collect::<Result<_>>()?,
                ),
                Test::Element(array) => KeyPart::Element(self.scalar(array, known, &[])?),
                Test::IsNull => KeyPart::Null,
            };
            parts.push(ForeignPart { name: column.name.clone(), ty: column.ty.clone(), values });
        }
        let access = ForeignAccess {
            parts,
            low: self.foreign_bound(chosen.low.as_ref(), known)?,
            high: self.foreign_bound(chosen.high.as_ref(), known)?,
            partition_columns: usize::from(foreign.partition_columns),
            opposite: None,
        };
        let row: Vec<ColId> = scan.columns.iter().map(|(_, c)| c.id).collect();
        Ok(ForeignPlan {
            table: scan.table.clone(),
            alias: scan.alias.clone(),
            columns,
            width: scan.columns.len(),
            access,
            filter: self.scalars(conjuncts, &row)?,
        })
    }

    /// Rows that are read, and what that costs: a row as much as one of the store, which is in the
    /// same cluster.
    fn estimate(&self, chosen: &Chosen<'_>) -> (f64, f64) {
        let row = self.settings.statistics.costs().row;
        if chosen.parts.is_empty() {
            return (TABLE_ROWS, TABLE_ROWS * row);
        }
        let requests: f64 = chosen.parts.iter().map(|(_, c)| values_of(&c.test)).product();
        let each = if chosen.point { 1.0 } else { PARTITION_ROWS };
        let bounds = usize::from(chosen.low.is_some()) + usize::from(chosen.high.is_some());
        let share = stats::RANGE_SHARE.powi(bounds as i32);
        let rows = stats::clamp(requests * each * share);
        (rows, (requests * REQUEST_ROWS + rows) * row)
    }

    fn foreign_bound(
        &mut self,
        chosen: Option<&(&ForeignColumn, Condition)>,
        known: &[ColId],
    ) -> Result<Option<ForeignBound>> {
        let Some((column, condition)) = chosen else { return Ok(None) };
        let bound = self.bound(Some(condition), known)?;
        Ok(bound.map(|bound| ForeignBound {
            name: column.name.clone(),
            ty: column.ty.clone(),
            bound,
        }))
    }
}

fn foreign_of(scan: &Scan) -> Result<&ForeignDescriptor> {
    let foreign = scan.table.foreign.as_deref();
    foreign.ok_or_else(|| Error::internal("a foreign table that stands for none"))
}

/// 0A000 for row locks of a foreign table.
pub(super) fn refuse_lock(scan: &Scan) -> Result<()> {
    if scan.table.kind == RelationKind::Files {
        return Err(Error::unsupported("locking rows of files"));
    }
    if scan.table.kind != RelationKind::Foreign {
        return Ok(());
    }
    let what = format!("locking rows of foreign table \"{}\"", scan.table.name);
    Err(Error::unsupported(what).with_hint("It is no part of the transaction."))
}

fn descends(column: &ForeignColumn) -> bool {
    matches!(column.role, ForeignRole::Clustering(_, true))
}

/// The order that rows come in: of one partition that of its clustering columns.
fn order_of(scan: &Scan, foreign: &ForeignDescriptor, chosen: &Chosen<'_>) -> RowOrder {
    let mut order = RowOrder::default();
    if !chosen.is_single() {
        return order;
    }
    let id_of = |column: &ForeignColumn| {
        scan.columns.iter().find(|(id, _)| *id == column.id).map(|(_, c)| c.id)
    };
    order.fixed = chosen.parts.iter().filter_map(|(column, _)| id_of(column)).collect();
    for at in 0..foreign.clustering_columns {
        let Some(column) = foreign.clustering(at).filter(|c| c.ty.is_ordered_alike()) else {
            break;
        };
        let Some(id) = id_of(column) else { break };
        let desc = descends(column);
        order.items.push(OrderItem { column: id, desc, nulls_first: desc, not_null: true });
    }
    order
}

/// The same from the end.
fn opposite(order: &RowOrder) -> RowOrder {
    let turn = |item: &OrderItem| OrderItem { desc: !item.desc, ..*item };
    RowOrder { items: order.items.iter().map(turn).collect(), fixed: order.fixed.clone() }
}
