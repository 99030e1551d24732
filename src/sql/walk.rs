//! Walks over bound expressions and relations.

use super::bound::{
    AggregateCall, ColId, Expr, FrameBound, Rel, SortKey, SubqueryKind, WindowCall,
};

/// Calls `f` on an expression and everything in it, outermost first; not on what is in the
/// relations of subqueries.
pub fn visit(expr: &Expr, f: &mut impl FnMut(&Expr)) {
    f(expr);
    children(expr, &mut |child| visit(child, f));
}

/// The expressions directly in an expression. Of a subquery only its left sides.
fn children(expr: &Expr, f: &mut impl FnMut(&Expr)) {
    match expr {
        Expr::Literal(..) | Expr::Param(..) | Expr::Column(..) => {}
        Expr::Call(call) => call.args.iter().for_each(f),
        Expr::Cast { expr, .. } | Expr::Not(expr) | Expr::IsNull(expr) | Expr::IsBool(expr, _) => {
            f(expr);
        }
        Expr::And(items) | Expr::Or(items) | Expr::Row(items, _) => items.iter().for_each(f),
        Expr::Coalesce(items, _) | Expr::Array(items, _) => items.iter().for_each(f),
        Expr::Extreme { args, .. } => args.iter().for_each(f),
        Expr::IsDistinct { left, right, .. } => {
            f(left);
            f(right);
        }
        Expr::Case { arms, otherwise, .. } => {
            for (condition, result) in arms {
                f(condition);
                f(result);
            }
            f(otherwise);
        }
        Expr::AnyAll { left, array, .. } => {
            f(left);
            f(array);
        }
        Expr::Subscript { array, index, .. } => {
            f(array);
            f(index);
        }
        Expr::Subquery(subquery) => {
            if let SubqueryKind::AnyAll { left, .. } = &subquery.kind {
                left.iter().for_each(f);
            }
        }
    }
}

/// The expressions directly in an expression, to be changed. Of a subquery only its left sides.
pub fn children_mut(expr: &mut Expr, f: &mut impl FnMut(&mut Expr)) {
    match expr {
        Expr::Literal(..) | Expr::Param(..) | Expr::Column(..) => {}
        Expr::Call(call) => call.args.iter_mut().for_each(f),
        Expr::Cast { expr, .. } | Expr::Not(expr) | Expr::IsNull(expr) | Expr::IsBool(expr, _) => {
            f(expr);
        }
        Expr::And(items) | Expr::Or(items) | Expr::Row(items, _) => items.iter_mut().for_each(f),
        Expr::Coalesce(items, _) | Expr::Array(items, _) => items.iter_mut().for_each(f),
        Expr::Extreme { args, .. } => args.iter_mut().for_each(f),
        Expr::IsDistinct { left, right, .. } => {
            f(left);
            f(right);
        }
        Expr::Case { arms, otherwise, .. } => {
            for (condition, result) in arms {
                f(condition);
                f(result);
            }
            f(otherwise);
        }
        Expr::AnyAll { left, array, .. } => {
            f(left);
            f(array);
        }
        Expr::Subscript { array, index, .. } => {
            f(array);
            f(index);
        }
        Expr::Subquery(subquery) => {
            if let SubqueryKind::AnyAll { left, .. } = &mut subquery.kind {
                left.iter_mut().for_each(f);
            }
        }
    }
}

/// Calls `f` on every expression that stands directly in a relation or in one below it; not on
/// expressions inside expressions, nor in the relations of their subqueries.
pub fn expressions_mut(rel: &mut Rel, f: &mut impl FnMut(&mut Expr)) {
    own_expressions_mut(rel, f);
    inputs_mut(rel, &mut |input| expressions_mut(input, f));
}

/// The relations directly below one.
pub fn inputs_mut(rel: &mut Rel, f: &mut impl FnMut(&mut Rel)) {
    match rel {
        Rel::Scan(_) | Rel::Values { .. } | Rel::CteScan { .. } => {}
        Rel::Function { input, .. } => {
            if let Some(input) = input {
                f(input);
            }
        }
        Rel::Filter { input, .. }
        | Rel::Project { input, .. }
        | Rel::Aggregate { input, .. }
        | Rel::Window { input, .. }
        | Rel::Distinct { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. } => f(input),
        Rel::Join { left, right, .. } | Rel::SetOp { left, right, .. } => {
            f(left);
            f(right);
        }
        Rel::With { query, body, .. } => {
            f(query);
            f(body);
        }
        Rel::Recursive { base, step, .. } => {
            f(base);
            f(step);
        }
    }
}

/// The expressions that stand directly in a relation.
pub fn own_expressions_mut(rel: &mut Rel, f: &mut impl FnMut(&mut Expr)) {
    match rel {
        Rel::Scan(scan) => scan.filter.iter_mut().for_each(f),
        Rel::Values { rows, .. } => rows.iter_mut().flatten().for_each(f),
        Rel::Function { calls, .. } => {
            calls.iter_mut().flat_map(|(call, _)| &mut call.args).for_each(f);
        }
        Rel::Filter { predicate, .. } => f(predicate),
        Rel::Project { exprs, .. } => exprs.iter_mut().for_each(|(expr, _)| f(expr)),
        Rel::Join { on, .. } => on.iter_mut().for_each(f),
        Rel::Aggregate { groups, aggregates, .. } => {
            groups.iter_mut().for_each(|(expr, _)| f(expr));
            aggregates.iter_mut().for_each(|call| aggregate_mut(call, f));
        }
        Rel::Window { calls, .. } => calls.iter_mut().for_each(|call| window_mut(call, f)),
        Rel::Distinct { on, .. } => on.iter_mut().for_each(f),
        Rel::Sort { keys, .. } => sort_keys_mut(keys, f),
        Rel::Limit { limit, offset, .. } => {
            limit.iter_mut().chain(offset).for_each(f);
        }
        Rel::SetOp { .. } | Rel::With { .. } | Rel::CteScan { .. } | Rel::Recursive { .. } => {}
    }
}

/// The expressions of an aggregate call.
pub fn aggregate_mut(call: &mut AggregateCall, f: &mut impl FnMut(&mut Expr)) {
    call.args.iter_mut().for_each(&mut *f);
    sort_keys_mut(&mut call.order_by, f);
    call.filter.iter_mut().for_each(f);
}

/// The expressions of a window call.
pub fn window_mut(call: &mut WindowCall, f: &mut impl FnMut(&mut Expr)) {
    aggregate_mut(&mut call.call, f);
    call.partition_by.iter_mut().for_each(&mut *f);
    sort_keys_mut(&mut call.order_by, f);
    for edge in [&mut call.frame.start, &mut call.frame.end] {
        if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = edge {
            f(offset);
        }
    }
}

fn sort_keys_mut(keys: &mut [SortKey], f: &mut impl FnMut(&mut Expr)) {
    keys.iter_mut().for_each(|key| f(&mut key.expr));
}

/// Calls `f` with every column that an expression names, in its subqueries too.
pub fn columns(expr: &mut Expr, f: &mut impl FnMut(ColId)) {
    everywhere(expr, &mut |e| {
        if let Expr::Column(id, _) = e {
            f(*id);
        }
    });
}

/// Calls `f` on an expression and everything in it, the relations of subqueries included.
pub fn everywhere(expr: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    f(expr);
    children_mut(expr, &mut |child| everywhere(child, f));
    if let Expr::Subquery(subquery) = expr {
        expressions_mut(&mut subquery.rel, &mut |e| everywhere(e, f));
    }
}
