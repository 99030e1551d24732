//! Joins: in which order, and how.
//!
//! Inner joins and the conditions over them are one *cluster*: a set of relations and a set of
//! conjuncts. The order is chosen greedily: begin with the relation that gives fewest rows, then
//! always add the one that makes the next step cheapest, products last. Each step picks among a
//! lookup join (the new relation is a table with a key for the join columns), a hash join (there
//! is an equality), and a nested loop. Outer, semi and anti joins stay where they stand and
//! choose their method alone; a lateral side is run by apply.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Planner, Want, ids, scan};
use crate::error::{Error, Result};
use crate::plan::access;
use crate::plan::compare::comparison;
use crate::plan::node::{
    ApplyPlan, HashPlan, LookupPlan, LookupSide, NestedPlan, Op, PlanNode, RowOrder,
};
use crate::plan::scalar::{Scalars, Scope};
use crate::plan::{route, stats, tree};
use crate::sql::bound::{ColId, Expr, JoinKind, Rel, Scan};
use crate::types::descriptor::RelationKind;

/// A cluster of more relations than this is joined in the order written: the choice is quadratic.
const REORDER_MAX: usize = 24;

/// Whether a relation is conditions over inner joins, to be planned as one.
pub(super) fn is_cluster(rel: &Rel) -> bool {
    match rel {
        Rel::Filter { input, .. } => is_cluster(input),
        Rel::Join { kind: JoinKind::Inner, lateral: false, .. } => true,
        _ => false,
    }
}

/// One relation of a cluster.
pub(super) struct Item<'r> {
    pub(super) rel: &'r Rel,
    pub(super) columns: HashSet<ColId>,
    /// Its plan when read alone.
    pub(super) node: PlanNode,
}

/// What a join step is about.
pub(super) struct Step<'s> {
    pub(super) kind: JoinKind,
    /// Conditions over both sides.
    pub(super) on: &'s [Expr],
    pub(super) left: &'s HashSet<ColId>,
    pub(super) right: &'s HashSet<ColId>,
}

/// An equality of a left and a right expression.
struct KeyPair {
    conjunct: usize,
    left: Expr,
    right: Expr,
}

impl Planner<'_> {
    /// Plans a join, or conditions over inner joins.
    pub(super) fn join(&mut self, rel: &Rel, want: &Want) -> Result<PlanNode> {
        if is_cluster(rel) {
            return self.cluster(rel, want);
        }
        let Rel::Join { left, right, kind, on, lateral } = rel else {
            return Err(Error::internal("not a join"));
        };
        let on = on.clone().map(tree::conjuncts).unwrap_or_default();
        let below = Want { top: None, ..want.clone() };
        let left_node = self.build(left, &below)?;
        if *lateral {
            return self.apply(left_node, right, *kind, &on);
        }
        let left_columns: HashSet<ColId> = left_node.columns.iter().copied().collect();
        let right_columns: HashSet<ColId> = ids(&right.columns()).into_iter().collect();
        let step = Step { kind: *kind, on: &on, left: &left_columns, right: &right_columns };
        self.cheapest(left_node, right, None, &step)
    }

    /// Inner joins and their conditions.
    fn cluster(&mut self, rel: &Rel, want: &Want) -> Result<PlanNode> {
        let mut rels = Vec::new();
        let mut conjuncts = Vec::new();
        flatten(rel, &mut rels, &mut conjuncts);
        let mut items = Vec::with_capacity(rels.len());
        for (at, rel) in rels.iter().enumerate() {
            let want = if at == 0 { Want { top: None, ..want.clone() } } else { Want::default() };
            let node = self.build(rel, &want)?;
            let columns = ids(&rel.columns()).into_iter().collect();
            items.push(Item { rel, columns, node });
        }
        let reorder = items.len() <= REORDER_MAX;
        let first = if reorder { smallest(&items) } else { 0 };
        let item = items.remove(first);
        let mut columns = item.columns;
        let mut node = item.node;
        node = self.applicable(node, &mut conjuncts, &columns, &items)?;
        while !items.is_empty() {
            let next =
                if reorder { self.next_item(&node, &columns, &items, &conjuncts) } else { 0 };
            let item = items.remove(next);
            let on = take_applicable(&mut conjuncts, &columns, &item.columns, &items);
            let step =
                Step { kind: JoinKind::Inner, on: &on, left: &columns, right: &item.columns };
            node = self.cheapest(node, item.rel, Some(item.node), &step)?;
            columns.extend(item.columns);
        }
        self.filtered(node, &conjuncts)
    }

    /// Applies conjuncts that need no other relation of the cluster.
    fn applicable(
        &mut self,
        node: PlanNode,
        conjuncts: &mut Vec<Expr>,
        columns: &HashSet<ColId>,
        others: &[Item<'_>],
    ) -> Result<PlanNode> {
        let now = take_applicable(conjuncts, columns, &HashSet::new(), others);
        self.filtered(node, &now)
    }

    /// The relation whose join to `node` is cheapest.
    pub(super) fn next_item(
        &mut self,
        node: &PlanNode,
        columns: &HashSet<ColId>,
        items: &[Item<'_>],
        conjuncts: &[Expr],
    ) -> usize {
        let mut best = (f64::MAX, 0);
        for (at, item) in items.iter().enumerate() {
            let on: Vec<Expr> = conjuncts
                .iter()
                .filter(|c| joins_only(c, columns, &item.columns, items, at))
                .cloned()
                .collect();
            let step = Step { kind: JoinKind::Inner, on: &on, left: columns, right: &item.columns };
            let rows = self.join_rows(node, &item.node, &step);
            let hash = item.node.cost + item.node.rows * stats::BUILD_COST;
            let lookup = self.lookup_cost(node, item.rel, &step).unwrap_or(f64::MAX);
            let mut cost = hash.min(lookup) + rows * stats::ROW_COST;
            if on.is_empty() {
                cost += 1e9;
            }
            if cost < best.0 {
                best = (cost, at);
            }
        }
        best.1
    }

    /// Rows that a join gives.
    pub(super) fn join_rows(&self, left: &PlanNode, right: &PlanNode, step: &Step<'_>) -> f64 {
        let pairs = key_pairs(step);
        let mut rows = left.rows * right.rows;
        for pair in &pairs {
            // As PostgreSQL's eqjoinsel: every value of the side with fewer has its partners.
            let known = [&pair.left, &pair.right].map(|e| self.distinct_of(e));
            let distinct = match known {
                [Some(a), Some(b)] => a.max(b),
                [Some(a), None] | [None, Some(a)] => a,
                [None, None] => stats::DISTINCT_DEFAULT,
            };
            rows /= distinct.max(1.0);
        }
        let used: HashSet<usize> = pairs.iter().map(|p| p.conjunct).collect();
        for (at, e) in step.on.iter().enumerate() {
            if !used.contains(&at) {
                rows *= scan::share_of(e);
            }
        }
        match step.kind {
            JoinKind::Inner => stats::clamp(rows),
            JoinKind::Left | JoinKind::Full => stats::clamp(rows.max(left.rows)),
            JoinKind::Semi => stats::clamp(rows.min(left.rows * 0.5)),
            JoinKind::Anti => stats::clamp((left.rows - rows).max(left.rows * 0.1)),
        }
    }

    /// Different values of an expression that is a table's column.
    fn distinct_of(&self, expr: &Expr) -> Option<f64> {
        let Expr::Column(id, _) = expr else { return None };
        let (table, column) = self.origins.get(id)?;
        Some(self.distinct_values(table, *column))
    }

    /// What looking `rel` up for each row of `left` would cost, if it can be.
    fn lookup_cost(&self, left: &PlanNode, rel: &Rel, step: &Step<'_>) -> Option<f64> {
        let scan = lookup_table(rel, step)?;
        let conjuncts = lookup_conjuncts(scan, step);
        if scan.table.kind == RelationKind::Foreign {
            return self.foreign_lookup_cost(left, scan, &conjuncts, step);
        }
        let costed = self.lookup_candidate(scan, &conjuncts, step)?;
        let costs = self.settings.statistics.costs();
        Some(match costed.candidate.is_one_key() {
            // A batch's keys are asked for at once.
            true => costs.get + left.rows * (costed.cost - costs.get + costs.get_many),
            false => left.rows * costed.cost,
        })
    }

    /// The best access whose keys come from the left row.
    fn lookup_candidate(
        &self,
        scan: &Scan,
        conjuncts: &[Expr],
        step: &Step<'_>,
    ) -> Option<scan::Costed> {
        if route::columns_only(scan, self.settings.engines) {
            return None;
        }
        let conditions = access::conditions(scan, conjuncts);
        access::candidates(&scan.table, &conditions)
            .into_iter()
            .filter(|c| {
                c.implied().any(|i| !tree::expr_columns(&conjuncts[i]).is_disjoint(step.left))
                    && !c.parts.is_empty()
            })
            .map(|c| self.costed(scan, c, conjuncts))
            .min_by(|a, b| a.cost.total_cmp(&b.cost))
    }

    /// Joins by the cheapest method.
    fn cheapest(
        &mut self,
        left: PlanNode,
        rel: &Rel,
        built: Option<PlanNode>,
        step: &Step<'_>,
    ) -> Result<PlanNode> {
        let right = match built {
            Some(node) => node,
            None => self.build(rel, &Want::default())?,
        };
        let pairs = key_pairs(step);
        let rows = self.join_rows(&left, &right, step);
        let table = right.cost + right.rows * stats::BUILD_COST;
        let hash = (!pairs.is_empty()).then_some(table + left.rows * stats::PROBE_COST);
        let nested = right.cost + left.rows * right.rows * stats::EVAL_COST;
        let lookup = self.lookup_cost(&left, rel, step);
        let others = hash.unwrap_or(f64::MAX).min(nested);
        if let Some(cost) = lookup
            && cost < others
        {
            return self.lookup(left, rel, step, rows, cost);
        }
        match hash {
            Some(cost) if cost <= nested || step.kind == JoinKind::Full => {
                self.hash(left, right, pairs, step, (rows, cost))
            }
            _ => self.nested(left, right, step, (rows, nested)),
        }
    }

    fn lookup(
        &mut self,
        left: PlanNode,
        rel: &Rel,
        step: &Step<'_>,
        rows: f64,
        cost: f64,
    ) -> Result<PlanNode> {
        let missing = || Error::internal("lookup join without a key");
        let scan = lookup_table(rel, step).ok_or_else(missing)?;
        let conjuncts = lookup_conjuncts(scan, step);
        if scan.table.kind == RelationKind::Foreign {
            return self.foreign_lookup(left, scan, &conjuncts, step, (rows, cost));
        }
        let costed = self.lookup_candidate(scan, &conjuncts, step).ok_or_else(missing)?;
        let left_columns = left.columns.clone();
        let candidate = costed.candidate;
        let implied: HashSet<usize> = candidate.implied().collect();
        // Conditions of the join that the keys do not imply see both rows; the scan's own filter
        // sees its own.
        let own = conjuncts.len() - step.on.len();
        let plan_conjuncts: Vec<Expr> = conjuncts[..own].to_vec();
        let rest: Vec<Expr> = step
            .on
            .iter()
            .enumerate()
            .filter(|(i, _)| !implied.contains(&(i + own)))
            .map(|(_, e)| e.clone())
            .collect();
        let right = self.scan_plan(scan, &candidate, &plan_conjuncts, &left_columns, false)?;
        let mut right_columns: Vec<ColId> = scan.columns.iter().map(|(_, c)| c.id).collect();
        right_columns.extend(scan.row_key);
        let on = self.pair(&rest, &left_columns, &right_columns)?;
        let total = left.cost + cost;
        let order = left.order.clone();
        let columns = joined(&left_columns, &right_columns, step.kind);
        self.nodes += 1;
        let right_id = self.nodes - 1;
        let plan = LookupPlan {
            left,
            right: LookupSide::Stored(Arc::new(right)),
            kind: step.kind,
            on,
            right_width: right_columns.len(),
            right_id,
        };
        let mut out = self.node(Op::Lookup(Arc::new(plan)), columns, rows, total);
        out.order = order;
        let keys: Vec<Expr> = implied_exprs(&conjuncts, &implied);
        self.label(&mut out, "Index Cond", &keys);
        let filter: Vec<Expr> = plan_conjuncts
            .iter()
            .enumerate()
            .filter(|(i, _)| !implied.contains(i))
            .map(|(_, e)| e.clone())
            .collect();
        self.label(&mut out, "Filter", &filter);
        self.label(&mut out, "Join Filter", &rest);
        Ok(out)
    }

    fn hash(
        &mut self,
        left: PlanNode,
        right: PlanNode,
        pairs: Vec<KeyPair>,
        step: &Step<'_>,
        (rows, cost): (f64, f64),
    ) -> Result<PlanNode> {
        let total = left.cost + cost;
        // Inner joins keep the smaller side in memory.
        let swap = step.kind == JoinKind::Inner && left.rows < right.rows;
        let (lefts, rights): (Vec<Expr>, Vec<Expr>) =
            pairs.iter().map(|p| (p.left.clone(), p.right.clone())).unzip();
        let (left, right, lefts, rights) =
            if swap { (right, left, rights, lefts) } else { (left, right, lefts, rights) };
        let (row, right_row) = (left.columns.clone(), right.columns.clone());
        let left_keys = self.scalars(&lefts, &row)?;
        let right_keys = self.scalars(&rights, &right_row)?;
        let rest = rest_of(step.on, &pairs);
        let on = self.pair(&rest, &row, &right_row)?;
        let columns = joined(&row, &right_row, step.kind);
        let order = match step.kind {
            JoinKind::Full => RowOrder::default(),
            _ => left.order.clone(),
        };
        let plan = HashPlan {
            left_width: row.len(),
            right_width: right_row.len(),
            left,
            right,
            kind: step.kind,
            left_keys,
            right_keys,
            on,
        };
        let mut out = self.node(Op::Hash(Arc::new(plan)), columns, rows, total);
        out.order = order;
        let conditions: Vec<Expr> = pairs.iter().map(|p| step.on[p.conjunct].clone()).collect();
        self.label(&mut out, "Hash Cond", &conditions);
        self.label(&mut out, "Join Filter", &rest);
        Ok(out)
    }

    fn nested(
        &mut self,
        left: PlanNode,
        right: PlanNode,
        step: &Step<'_>,
        (rows, cost): (f64, f64),
    ) -> Result<PlanNode> {
        let (row, right_row) = (left.columns.clone(), right.columns.clone());
        let on = self.pair(step.on, &row, &right_row)?;
        let columns = joined(&row, &right_row, step.kind);
        let total = left.cost + cost;
        let order = match step.kind {
            JoinKind::Full => RowOrder::default(),
            _ => left.order.clone(),
        };
        let plan = NestedPlan {
            left_width: row.len(),
            right_width: right_row.len(),
            left,
            right,
            kind: step.kind,
            on,
        };
        let mut out = self.node(Op::Nested(Arc::new(plan)), columns, rows, total);
        out.order = order;
        self.label(&mut out, "Join Filter", step.on);
        Ok(out)
    }

    /// A lateral join: the right side is run for each left row.
    fn apply(
        &mut self,
        left: PlanNode,
        right: &Rel,
        kind: JoinKind,
        on: &[Expr],
    ) -> Result<PlanNode> {
        let (subplan, frame) = self.subplan(right, None)?;
        let row = left.columns.clone();
        let right_row = ids(&right.columns());
        let exprs = {
            let mut compiler = crate::plan::scalar::Compiler { row: &row, right: &[], scope: self };
            frame.iter().map(|c| compiler.column(*c)).collect::<Result<Vec<_>>>()?
        };
        let args = Scalars::from(exprs);
        let on_scalars = self.pair(on, &row, &right_row)?;
        let inner = &self.subplans[subplan].root;
        let (rows, cost) = (left.rows * inner.rows, left.cost + left.rows * inner.cost);
        let columns = joined(&row, &right_row, kind);
        let order = left.order.clone();
        let right_width = right_row.len();
        let plan = ApplyPlan { left, subplan, args, kind, on: on_scalars, right_width };
        let mut out = self.node(Op::Apply(Arc::new(plan)), columns, rows, cost);
        out.order = order;
        self.label(&mut out, "Join Filter", on);
        Ok(out)
    }
}

/// The relations and conditions of a cluster.
pub(super) fn flatten<'r>(rel: &'r Rel, rels: &mut Vec<&'r Rel>, conjuncts: &mut Vec<Expr>) {
    match rel {
        Rel::Filter { input, predicate } if is_cluster(input) => {
            flatten(input, rels, conjuncts);
            conjuncts.extend(tree::conjuncts(predicate.clone()));
        }
        Rel::Join { left, right, kind: JoinKind::Inner, on, lateral: false } => {
            flatten(left, rels, conjuncts);
            flatten(right, rels, conjuncts);
            conjuncts.extend(on.clone().into_iter().flat_map(tree::conjuncts));
        }
        other => rels.push(other),
    }
}

pub(super) fn smallest(items: &[Item<'_>]) -> usize {
    let by_rows = |a: &&Item<'_>, b: &&Item<'_>| {
        a.node.rows.total_cmp(&b.node.rows).then(a.node.cost.total_cmp(&b.node.cost))
    };
    let least = items.iter().min_by(by_rows).map(|i| i.node.id);
    items.iter().position(|i| Some(i.node.id) == least).unwrap_or(0)
}

/// Whether a conjunct becomes decidable by adding item `at`: it uses no column of another.
fn joins_only(
    conjunct: &Expr,
    left: &HashSet<ColId>,
    right: &HashSet<ColId>,
    items: &[Item<'_>],
    at: usize,
) -> bool {
    let used = tree::expr_columns(conjunct);
    !used.is_disjoint(right)
        && !used.is_disjoint(left)
        && items.iter().enumerate().all(|(i, o)| i == at || used.is_disjoint(&o.columns))
}

/// Takes out the conjuncts that use no column of the relations still to come.
pub(super) fn take_applicable(
    conjuncts: &mut Vec<Expr>,
    left: &HashSet<ColId>,
    right: &HashSet<ColId>,
    rest: &[Item<'_>],
) -> Vec<Expr> {
    let (now, later) = std::mem::take(conjuncts).into_iter().partition(|c| {
        let used = tree::expr_columns(c);
        // Conditions on nothing of the cluster wait for the top, where they are a one-time filter.
        (!used.is_disjoint(left) || !used.is_disjoint(right))
            && rest.iter().all(|o| used.is_disjoint(&o.columns))
    });
    *conjuncts = later;
    now
}

/// Equalities between the two sides that a hash table can serve.
fn key_pairs(step: &Step<'_>) -> Vec<KeyPair> {
    let mut out = Vec::new();
    for (conjunct, e) in step.on.iter().enumerate() {
        let Expr::Call(call) = e else { continue };
        let Some(c) = comparison(call.function).filter(|c| c.is_hashable()) else { continue };
        let [a, b] = call.args.as_slice() else { continue };
        if !hashes_alike(c.left, a.ty(), b.ty()) || tree::is_volatile(e) || tree::has_subquery(e) {
            continue;
        }
        let (of_a, of_b) = (tree::expr_columns(a), tree::expr_columns(b));
        let side = |used: &HashSet<ColId>, own: &HashSet<ColId>, other: &HashSet<ColId>| {
            !used.is_disjoint(own) && used.is_disjoint(other)
        };
        if side(&of_a, step.left, step.right) && side(&of_b, step.right, step.left) {
            out.push(KeyPair { conjunct, left: a.clone(), right: b.clone() });
        } else if side(&of_b, step.left, step.right) && side(&of_a, step.right, step.left) {
            out.push(KeyPair { conjunct, left: b.clone(), right: a.clone() });
        }
    }
    out
}

/// Polymorphic equality (arrays, records) hashes alike where the sides have one real type.
fn hashes_alike(
    declared: crate::types::SqlType,
    left: crate::types::SqlType,
    right: crate::types::SqlType,
) -> bool {
    use crate::types::BaseType;
    let polymorphic = matches!(declared.base, BaseType::AnyArray | BaseType::AnyElement);
    left.base != BaseType::Bpchar && (!polymorphic || left.same(right))
}

fn rest_of(on: &[Expr], pairs: &[KeyPair]) -> Vec<Expr> {
    on.iter()
        .enumerate()
        .filter(|(i, _)| pairs.iter().all(|p| p.conjunct != *i))
        .map(|(_, e)| e.clone())
        .collect()
}

/// The stored table that `rel` is, if a lookup join can read it.
fn lookup_table<'r>(rel: &'r Rel, step: &Step<'_>) -> Option<&'r Scan> {
    match rel {
        Rel::Scan(scan)
            if scan.table.kind != RelationKind::Virtual && step.kind != JoinKind::Full =>
        {
            Some(scan)
        }
        _ => None,
    }
}

/// The scan's own conjuncts, then the join's.
fn lookup_conjuncts(scan: &Scan, step: &Step<'_>) -> Vec<Expr> {
    let own = scan.filter.iter().flat_map(|e| tree::conjuncts(e.clone()));
    own.chain(step.on.iter().cloned()).collect()
}

fn implied_exprs(conjuncts: &[Expr], implied: &HashSet<usize>) -> Vec<Expr> {
    let listed = conjuncts.iter().enumerate();
    listed.filter(|(i, _)| implied.contains(i)).map(|(_, e)| e.clone()).collect()
}

/// The columns that a join gives.
pub(super) fn joined(left: &[ColId], right: &[ColId], kind: JoinKind) -> Vec<ColId> {
    let mut out = left.to_vec();
    if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
        out.extend_from_slice(right);
    }
    out
}
