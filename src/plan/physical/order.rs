//! The order of inner joins, for a query that goes to the column path: DataFusion joins in the
//! order it is given.
//!
//! The order is the one that joins on the row path are put in, without lookups by key.

use std::collections::HashSet;

use super::joins::{Item, Step, flatten, is_cluster, smallest, take_applicable};
use super::{Planner, Want, ids};
use crate::error::Result;
use crate::plan::tree;
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
        let mut items = Vec::with_capacity(own.len());
        for rel in &own {
            let node = self.build(rel, &Want::default())?;
            let columns: HashSet<ColId> = ids(&rel.columns()).into_iter().collect();
            items.push(Item { rel, columns, node });
        }
        let reorder = items.len() <= REORDER_MAX;
        let first = items.remove(if reorder { smallest(&items) } else { 0 });
        let (mut node, mut columns) = (first.node, first.columns);
        let conditions = take_applicable(&mut conjuncts, &columns, &HashSet::new(), &items);
        let mut joined = tree::filter(first.rel.clone(), conditions);
        while !items.is_empty() {
            let next =
                if reorder { self.next_item(&node, &columns, &items, &conjuncts) } else { 0 };
            let item = items.remove(next);
            let on = take_applicable(&mut conjuncts, &columns, &item.columns, &items);
            let step =
                Step { kind: JoinKind::Inner, on: &on, left: &columns, right: &item.columns };
            node.rows = self.join_rows(&node, &item.node, &step);
            columns.extend(item.columns);
            joined = Rel::Join {
                left: Box::new(joined),
                right: Box::new(item.rel.clone()),
                kind: JoinKind::Inner,
                on: tree::and(on),
                lateral: false,
            };
        }
        Ok(tree::filter(joined, conjuncts))
    }
}
