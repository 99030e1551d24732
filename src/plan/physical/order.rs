//! The order of inner joins, for a query that goes to the column path: DataFusion joins in the
//! order it is given.
//!
//! The order is the one that joins on the row path are put in, without lookups by key. (To try each
//! relation as the first, by the same costs, helped no query of TPC-H and made q05 slower by half.)

use std::collections::HashSet;

use super::joins::{Item, Step, flatten, is_cluster, smallest, take_applicable};
use super::{Planner, Want, ids};
use crate::error::Result;
use crate::plan::node::PlanNode;
use crate::plan::{stats, tree};
use crate::sql::bound::{ColId, Expr, JoinKind, Rel};

/// A cluster of more relations than this is joined in the order written.
const REORDER_MAX: usize = 24;

impl Planner<'_> {
    /// Puts the inner joins of a query, and of its subqueries, in order.
    pub(super) fn order_joins(&mut self, rel: &mut Rel) -> Result<()> {
        if is_cluster(rel) {
            let taken = std::mem::replace(rel, tree::nothing());
            *rel = self.ordered(taken)?;
            return Ok(());
        }
        let mut failed = None;
        tree::each_input_mut(rel, &mut |input| {
            if failed.is_none() {
                failed = self.order_joins(input).err();
            }
        });
        tree::each_expr_mut(rel, &mut |e| {
            if failed.is_none() {
                failed = self.order_subqueries(e).err();
            }
        });
        if let (Rel::With { cte, query, .. }, None) = (&*rel, &failed) {
            let rows = self.build(query, &Want::default())?.rows;
            self.ctes.insert(*cte, rows);
        }
        failed.map_or(Ok(()), Err)
    }

    fn order_subqueries(&mut self, expr: &mut Expr) -> Result<()> {
        let mut failed = None;
        tree::each_operand_mut(expr, &mut |e| {
            if failed.is_none() {
                failed = self.order_subqueries(e).err();
            }
        });
        if let (Expr::Subquery(sub), None) = (&mut *expr, &failed) {
            self.frames.push(Vec::new());
            let ordered = self.order_joins(&mut sub.rel);
            self.frames.pop();
            ordered?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// A cluster, its relations one after the other.
    ///
    /// A semi or anti join stands below, at the one relation that it is about. It moves above the
    /// inner joins where they leave less for it to look at than it would have spared them.
    fn ordered(&mut self, rel: Rel) -> Result<Rel> {
        let mut rels = Vec::new();
        let mut conjuncts = Vec::new();
        flatten(&rel, &mut rels, &mut conjuncts);
        let mut own: Vec<Rel> = rels.into_iter().cloned().collect();
        for rel in &mut own {
            self.order_joins(rel)?;
        }
        for conjunct in &mut conjuncts {
            self.order_subqueries(conjunct)?;
        }
        let mut late = vec![false; own.len()];
        let mut best = self.arranged(&own, &late, &conjuncts)?;
        for at in 0..own.len() {
            if is_reducing(&own[at]) {
                late[at] = true;
                let other = self.arranged(&own, &late, &conjuncts)?;
                late[at] = other.cost < best.cost;
                if late[at] {
                    best = other;
                }
            }
        }
        Ok(best.rel)
    }

    /// The relations in the best order found; the semi and anti joins of those that are `late`
    /// come last.
    fn arranged(&mut self, rels: &[Rel], late: &[bool], conjuncts: &[Expr]) -> Result<Arranged> {
        let mut reducing = Vec::new();
        let mut items = Vec::with_capacity(rels.len());
        let mut cost = 0.0;
        for (rel, late) in rels.iter().zip(late) {
            let mut rel = rel;
            while let Rel::Join { left, right, kind, on, .. } = rel
                && *late
                && is_reducing(rel)
            {
                reducing.push((*kind, right, on));
                rel = left;
            }
            let node = self.build(rel, &Want::default())?;
            cost += self.reading_cost(rel, &node)?;
            let columns: HashSet<ColId> = ids(&rel.columns()).into_iter().collect();
            items.push(Item { rel, columns, node });
        }
        let reorder = items.len() <= REORDER_MAX;
        let Chain { rel: mut joined, mut node, columns, conjuncts, cost: joins } =
            self.chained(items, reorder, conjuncts.to_vec());
        cost += joins;
        // Those nearest to their relation first, as they stood.
        for (kind, right, on) in reducing.into_iter().rev() {
            let right_node = self.build(right, &Want::default())?;
            cost += self.reading_cost(right, &right_node)? + hash_cost(node.rows, right_node.rows);
            node.rows = self.reduced(&node, &columns, right, &right_node, kind, on.as_ref());
            let (left, right) = (Box::new(joined), right.clone());
            joined = Rel::Join { left, right, kind, on: on.clone(), lateral: false };
        }
        Ok(Arranged { rel: tree::filter(joined, conjuncts), cost })
    }

    /// Inner joins of the relations, beginning with the smallest and going on with the cheapest
    /// each time.
    fn chained(
        &mut self,
        mut items: Vec<Item<'_>>,
        reorder: bool,
        mut conjuncts: Vec<Expr>,
    ) -> Chain {
        let first = items.remove(if reorder { smallest(&items) } else { 0 });
        let (mut node, mut columns, mut cost) = (first.node, first.columns, 0.0);
        let conditions = take_applicable(&mut conjuncts, &columns, &HashSet::new(), &items);
        let mut rel = tree::filter(first.rel.clone(), conditions);
        while !items.is_empty() {
            let next =
                if reorder { self.next_item(&node, &columns, &items, &conjuncts) } else { 0 };
            let item = items.remove(next);
            let on = take_applicable(&mut conjuncts, &columns, &item.columns, &items);
            let step =
                Step { kind: JoinKind::Inner, on: &on, left: &columns, right: &item.columns };
            let rows = self.join_rows(&node, &item.node, &step);
            cost += hash_cost(node.rows, item.node.rows) + rows * stats::ROW_COST;
            node.rows = rows;
            columns.extend(item.columns);
            rel = inner(rel, item.rel.clone(), tree::and(on));
        }
        Chain { rel, node, columns, conjuncts, cost }
    }

    /// What reading a relation costs by hash joins; of semi and anti joins, theirs too.
    fn reading_cost(&mut self, rel: &Rel, node: &PlanNode) -> Result<f64> {
        let Rel::Join { left, right, .. } = rel else { return Ok(node.cost) };
        if !is_reducing(rel) {
            return Ok(node.cost);
        }
        let left_node = self.build(left, &Want::default())?;
        let right_node = self.build(right, &Want::default())?;
        let sides = self.reading_cost(left, &left_node)? + self.reading_cost(right, &right_node)?;
        Ok(sides + hash_cost(left_node.rows, right_node.rows) + node.rows * stats::ROW_COST)
    }

    /// Rows that a semi or anti join leaves.
    fn reduced(
        &self,
        node: &PlanNode,
        columns: &HashSet<ColId>,
        right: &Rel,
        right_node: &PlanNode,
        kind: JoinKind,
        on: Option<&Expr>,
    ) -> f64 {
        let on = on.cloned().map(tree::conjuncts).unwrap_or_default();
        let right: HashSet<ColId> = ids(&right.columns()).into_iter().collect();
        self.join_rows(node, right_node, &Step { kind, on: &on, left: columns, right: &right })
    }
}

/// A cluster in an order, and what that costs.
struct Arranged {
    rel: Rel,
    cost: f64,
}

/// Inner joins of all relations of a cluster.
struct Chain {
    rel: Rel,
    /// The last relation's plan, with the rows that all of them give.
    node: PlanNode,
    columns: HashSet<ColId>,
    /// Conditions that wait for the top.
    conjuncts: Vec<Expr>,
    cost: f64,
}

/// Whether a relation is one that a semi or anti join takes rows from.
fn is_reducing(rel: &Rel) -> bool {
    matches!(rel, Rel::Join { kind: JoinKind::Semi | JoinKind::Anti, lateral: false, .. })
}

/// What a hash join costs beside its input and its output: the smaller side is kept.
fn hash_cost(left: f64, right: f64) -> f64 {
    left.min(right) * stats::BUILD_COST + left.max(right) * stats::PROBE_COST
}

fn inner(left: Rel, right: Rel, on: Option<Expr>) -> Rel {
    let (left, right) = (Box::new(left), Box::new(right));
    Rel::Join { left, right, kind: JoinKind::Inner, on, lateral: false }
}
