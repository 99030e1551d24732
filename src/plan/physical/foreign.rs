//! Access paths of foreign tables.

use std::sync::Arc;

use super::scan::{share_of, values_of};
use super::{Planner, Want};
use crate::error::{Error, Result};
use crate::plan::access::{self, Condition, KeyPart, Test};
use crate::plan::foreign::{Chosen, ForeignAccess, ForeignBound, ForeignPart, ForeignPlan, choose};
use crate::plan::node::{Op, PlanNode};
use crate::plan::{stats, tree};
use crate::sql::bound::{ColId, Expr, Scan};
use crate::types::descriptor::{ForeignColumn, ForeignDescriptor};

/// What a request to the cluster is taken to cost, in rows of the row path.
const REQUEST_COST: f64 = 20.0;
/// Rows that a partition is taken to have.
const PARTITION_ROWS: f64 = 100.0;

impl Planner<'_> {
    /// Plans a foreign table's occurrence.
    pub(super) fn foreign_scan(&mut self, scan: &Scan, _want: &Want) -> Result<PlanNode> {
        if scan.lock.is_some() {
            return Err(Error::unsupported("row locks of foreign tables").with_hint(
                "Nothing in a foreign table can be locked: it is no part of the transaction.",
            ));
        }
        let conjuncts: Vec<Expr> =
            scan.filter.iter().flat_map(|e| tree::conjuncts(e.clone())).collect();
        let conditions = access::conditions(scan, &conjuncts);
        let foreign = foreign_of(scan)?;
        let chosen = choose(foreign, &conditions);
        let (read, cost) = estimate(&chosen);
        let plan = self.foreign_plan(scan, &chosen, &conjuncts, &[])?;
        let text = plan.planned_text();
        let columns: Vec<ColId> = scan.columns.iter().map(|(_, c)| c.id).collect();
        let used = used(&chosen);
        let rest = conjuncts.iter().enumerate().filter(|(at, _)| !used.contains(at));
        let rest: Vec<Expr> = rest.map(|(_, e)| e.clone()).collect();
        let share: f64 = rest.iter().map(share_of).product();
        let mut node =
            self.node(Op::Foreign(Arc::new(plan)), columns, stats::clamp(read * share), cost);
        self.label(&mut node, "Filter", &rest);
        if self.settings.labels {
            node.labels.push(("CQL", text));
            let consistency = self.settings.eval.session.settings.get("sluice.consistency");
            let consistency = consistency.map_or("", String::as_str).to_ascii_uppercase();
            node.labels.push(("Consistency", format!("{consistency}, not transactional")));
        }
        Ok(node)
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
            order: Vec::new(),
            reverse: false,
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

/// The conjuncts that the cluster answers.
fn used(chosen: &Chosen<'_>) -> Vec<usize> {
    let all = chosen.parts.iter().chain(&chosen.low).chain(&chosen.high);
    all.map(|(_, condition)| condition.conjunct).collect()
}

/// Rows that are read, and what that costs.
fn estimate(chosen: &Chosen<'_>) -> (f64, f64) {
    if chosen.parts.is_empty() {
        let rows = stats::ROWS_DEFAULT;
        return (rows, rows * stats::ROW_COST + rows / PARTITION_ROWS * REQUEST_COST);
    }
    let requests: f64 = chosen.parts.iter().map(|(_, c)| values_of(&c.test)).product();
    let each = if chosen.point { 1.0 } else { PARTITION_ROWS };
    let bounds = usize::from(chosen.low.is_some()) + usize::from(chosen.high.is_some());
    let share = stats::RANGE_SHARE.powi(bounds as i32);
    let rows = stats::clamp(requests * each * share);
    (rows, requests * REQUEST_COST + rows * stats::ROW_COST)
}
