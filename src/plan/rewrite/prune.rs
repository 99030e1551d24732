//! Drops columns that nobody uses, so that scans read no more than they must.
//!
//! Where places count (set operations, CTEs, the statement's own result) all columns are wanted.

use std::collections::HashSet;

use crate::plan::tree;
use crate::sql::bound::{ColId, Rel, Subquery, SubqueryKind};

/// Prunes a relation all of whose columns are wanted.
pub fn all(rel: &mut Rel) {
    let wanted = rel.columns().iter().map(|c| c.id).collect();
    relation(rel, &wanted);
}

/// Prunes the relation of a subquery.
pub fn subquery(sub: &mut Subquery) {
    match sub.kind {
        SubqueryKind::Exists => relation(&mut sub.rel, &HashSet::new()),
        _ => all(&mut sub.rel),
    }
}

/// Prunes a relation of which the columns `wanted` are used.
pub fn relation(rel: &mut Rel, wanted: &HashSet<ColId>) {
    drop_unused(rel, wanted);
    let mut below = wanted.clone();
    tree::each_expr(rel, &mut |e| tree::add_expr_columns(e, &mut below));
    tree::each_expr_mut(rel, &mut |e| subqueries(e));
    match rel {
        Rel::Join { left, right, lateral, .. } => {
            relation(right, &below);
            if *lateral {
                below.extend(tree::free_columns(right));
            }
            relation(left, &below);
        }
        Rel::Distinct { input, on } if on.is_empty() => all(input),
        Rel::SetOp { left, right, .. } => {
            all(left);
            all(right);
        }
        Rel::With { query, body, .. } => {
            all(query);
            relation(body, wanted);
        }
        Rel::Recursive { base, step, .. } => {
            all(base);
            all(step);
        }
        other => tree::each_input_mut(other, &mut |input| relation(input, &below)),
    }
}

fn subqueries(expr: &mut crate::sql::bound::Expr) {
    tree::each_operand_mut(expr, &mut subqueries);
    if let crate::sql::bound::Expr::Subquery(sub) = expr {
        subquery(sub);
    }
}

/// Drops what the node itself makes and nobody wants.
fn drop_unused(rel: &mut Rel, wanted: &HashSet<ColId>) {
    match rel {
        Rel::Scan(scan) => {
            let mut used = wanted.clone();
            scan.filter.iter().for_each(|e| tree::add_expr_columns(e, &mut used));
            scan.columns.retain(|(_, c)| used.contains(&c.id));
        }
        Rel::Project { exprs, .. } => {
            exprs.retain(|(e, c)| wanted.contains(&c.id) || tree::is_volatile(e));
        }
        Rel::Aggregate { aggregates, grouping, .. } => {
            aggregates.retain(|a| wanted.contains(&a.output.id));
            grouping.retain(|(_, c)| wanted.contains(&c.id));
        }
        Rel::Window { calls, .. } => calls.retain(|c| wanted.contains(&c.call.output.id)),
        _ => {}
    }
}
