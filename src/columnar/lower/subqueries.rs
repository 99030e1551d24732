//! Subqueries within expressions: which there are, and a column in the place of each.

use datafusion::logical_expr::Operator;

use super::operators::comparison;
use crate::sql::bound::{Column, Expr, Rel, Subquery, SubqueryKind};

/// What is tested by a NOT IN with a subquery, and the subquery.
pub fn not_in(expr: &Expr) -> Option<(&Expr, &Subquery)> {
    let (negated, subquery) = match expr {
        Expr::Not(inner) => match &**inner {
            Expr::Subquery(subquery) => (true, subquery),
            _ => return None,
        },
        Expr::Subquery(subquery) => (false, subquery),
        _ => return None,
    };
    let SubqueryKind::AnyAll { any, left, functions } = &subquery.kind else { return None };
    let ([left], [function]) = (left.as_slice(), functions.as_slice()) else { return None };
    let wanted = if negated { Operator::Eq } else { Operator::NotEq };
    (*any == negated && comparison(function.name) == Some(wanted)).then_some((left, subquery))
}

/// Whether a query always gives exactly one row: an ungrouped aggregate below projections.
pub fn gives_one_row(rel: &Rel) -> bool {
    match rel {
        Rel::Project { input, .. } => gives_one_row(input),
        Rel::Aggregate { groups, sets, .. } => groups.is_empty() && sets.len() <= 1,
        Rel::Values { rows, .. } => rows.len() == 1,
        _ => false,
    }
}

/// The subqueries of an expression, outermost first; parts that cannot hold one are passed over.
pub fn collect_subqueries<'a>(expr: &'a Expr, out: &mut Vec<&'a Subquery>) {
    if let Expr::Subquery(subquery) = expr {
        out.push(subquery);
        return;
    }
    for child in children(expr) {
        collect_subqueries(child, out);
    }
}

fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Call(call) => call.args.iter().collect(),
        Expr::Cast { expr, .. } => vec![expr],
        Expr::And(parts) | Expr::Or(parts) | Expr::Coalesce(parts, _) => parts.iter().collect(),
        Expr::Not(e) | Expr::IsNull(e) | Expr::IsBool(e, _) => vec![e],
        Expr::IsDistinct { left, right, .. } => vec![left, right],
        Expr::Case { arms, otherwise, .. } => {
            arms.iter().flat_map(|(w, t)| [w, t]).chain([&**otherwise]).collect()
        }
        Expr::AnyAll { left, array, .. } => vec![left, array],
        _ => Vec::new(),
    }
}

fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Call(call) => call.args.iter_mut().collect(),
        Expr::Cast { expr, .. } => vec![expr],
        Expr::And(parts) | Expr::Or(parts) | Expr::Coalesce(parts, _) => parts.iter_mut().collect(),
        Expr::Not(e) | Expr::IsNull(e) | Expr::IsBool(e, _) => vec![e],
        Expr::IsDistinct { left, right, .. } => vec![left, right],
        Expr::Case { arms, otherwise, .. } => {
            arms.iter_mut().flat_map(|(w, t)| [w, t]).chain([&mut **otherwise]).collect()
        }
        Expr::AnyAll { left, array, .. } => vec![left, array],
        _ => Vec::new(),
    }
}

/// Puts a column in the place of the subquery that produces it.
pub fn replace_subquery(expr: &mut Expr, by: &Column) {
    if let Expr::Subquery(subquery) = expr {
        let own = subquery.rel.columns();
        if own.first().is_some_and(|c| c.id == by.id) {
            *expr = Expr::Column(by.id, by.ty);
        }
        return;
    }
    for child in children_mut(expr) {
        replace_subquery(child, by);
    }
}
