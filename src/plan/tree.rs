//! Walking and changing the bound tree.
//!
//! The bound tree has two kinds of nodes, relations and expressions, each of which can hold the
//! other (a subquery in an expression, a condition in a relation). The walkers here know every
//! variant once; each rewrite is written over them. [`free_columns`] is what correlation means:
//! the columns a relation uses and does not make.

use std::collections::{HashMap, HashSet};

use crate::functions::Volatility;
use crate::sql::bound::{
    AggregateCall, ColId, Expr, Frame, FrameBound, Rel, SortKey, SubqueryKind, WindowCall,
};
use crate::types::Datum;

/// Calls `f` for each direct operand of `expr`; the relation of a subquery is not one.
pub fn each_operand<'a>(expr: &'a Expr, f: &mut dyn FnMut(&'a Expr)) {
    match expr {
        Expr::Literal(..) | Expr::Param(..) | Expr::Column(..) => {}
        Expr::Call(call) => call.args.iter().for_each(f),
        Expr::Cast { expr, .. } | Expr::Not(expr) | Expr::IsNull(expr) | Expr::IsBool(expr, _) => {
            f(expr);
        }
        Expr::And(list)
        | Expr::Or(list)
        | Expr::Coalesce(list, _)
        | Expr::Array(list, _)
        | Expr::Row(list, _)
        | Expr::Extreme { args: list, .. } => list.iter().for_each(f),
        Expr::IsDistinct { left, right, .. } => {
            f(left);
            f(right);
        }
        Expr::Case { arms, otherwise, .. } => {
            for (when, then) in arms {
                f(when);
                f(then);
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
        Expr::Subquery(sub) => {
            if let SubqueryKind::AnyAll { left, .. } = &sub.kind {
                left.iter().for_each(f);
            }
        }
    }
}

/// As [`each_operand`], to change them.
pub fn each_operand_mut(expr: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    match expr {
        Expr::Literal(..) | Expr::Param(..) | Expr::Column(..) => {}
        Expr::Call(call) => call.args.iter_mut().for_each(f),
        Expr::Cast { expr, .. } | Expr::Not(expr) | Expr::IsNull(expr) | Expr::IsBool(expr, _) => {
            f(expr);
        }
        Expr::And(list)
        | Expr::Or(list)
        | Expr::Coalesce(list, _)
        | Expr::Array(list, _)
        | Expr::Row(list, _)
        | Expr::Extreme { args: list, .. } => list.iter_mut().for_each(f),
        Expr::IsDistinct { left, right, .. } => {
            f(left);
            f(right);
        }
        Expr::Case { arms, otherwise, .. } => {
            for (when, then) in arms {
                f(when);
                f(then);
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
        Expr::Subquery(sub) => {
            if let SubqueryKind::AnyAll { left, .. } = &mut sub.kind {
                left.iter_mut().for_each(f);
            }
        }
    }
}

/// Calls `f` for each input relation of `rel` (those of subqueries in its expressions not).
pub fn each_input<'a>(rel: &'a Rel, f: &mut dyn FnMut(&'a Rel)) {
    match rel {
        Rel::Scan(_) | Rel::Values { .. } | Rel::CteScan { .. } => {}
        Rel::Function { input, .. } => input.iter().for_each(|i| f(i)),
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

/// As [`each_input`], to change them.
pub fn each_input_mut(rel: &mut Rel, f: &mut dyn FnMut(&mut Rel)) {
    match rel {
        Rel::Scan(_) | Rel::Values { .. } | Rel::CteScan { .. } => {}
        Rel::Function { input, .. } => input.iter_mut().for_each(|i| f(i)),
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

fn call_exprs<'a>(call: &'a AggregateCall, f: &mut dyn FnMut(&'a Expr)) {
    call.args.iter().for_each(&mut *f);
    call.order_by.iter().for_each(|k| f(&k.expr));
    call.filter.iter().for_each(f);
}

fn call_exprs_mut(call: &mut AggregateCall, f: &mut dyn FnMut(&mut Expr)) {
    call.args.iter_mut().for_each(&mut *f);
    call.order_by.iter_mut().for_each(|k| f(&mut k.expr));
    call.filter.iter_mut().for_each(f);
}

fn window_exprs<'a>(window: &'a WindowCall, f: &mut dyn FnMut(&'a Expr)) {
    call_exprs(&window.call, f);
    window.partition_by.iter().for_each(&mut *f);
    window.order_by.iter().for_each(|k| f(&k.expr));
    let Frame { start, end, .. } = &window.frame;
    for bound in [start, end] {
        if let FrameBound::Preceding(e) | FrameBound::Following(e) = bound {
            f(e);
        }
    }
}

fn window_exprs_mut(window: &mut WindowCall, f: &mut dyn FnMut(&mut Expr)) {
    call_exprs_mut(&mut window.call, f);
    window.partition_by.iter_mut().for_each(&mut *f);
    window.order_by.iter_mut().for_each(|k| f(&mut k.expr));
    let Frame { start, end, .. } = &mut window.frame;
    for bound in [start, end] {
        if let FrameBound::Preceding(e) | FrameBound::Following(e) = bound {
            f(e);
        }
    }
}

/// Calls `f` for each expression that stands in `rel` itself.
pub fn each_expr<'a>(rel: &'a Rel, f: &mut dyn FnMut(&'a Expr)) {
    match rel {
        Rel::Scan(scan) => scan.filter.iter().for_each(f),
        Rel::Values { rows, .. } => rows.iter().flatten().for_each(f),
        Rel::Function { calls, .. } => {
            calls.iter().flat_map(|(c, _)| &c.args).for_each(f);
        }
        Rel::Filter { predicate, .. } => f(predicate),
        Rel::Project { exprs, .. } => exprs.iter().for_each(|(e, _)| f(e)),
        Rel::Join { on, .. } => on.iter().for_each(f),
        Rel::Aggregate { groups, aggregates, .. } => {
            groups.iter().for_each(|(e, _)| f(e));
            aggregates.iter().for_each(|a| call_exprs(a, f));
        }
        Rel::Window { calls, .. } => calls.iter().for_each(|c| window_exprs(c, f)),
        Rel::Distinct { on, .. } => on.iter().for_each(f),
        Rel::Sort { keys, .. } => keys.iter().for_each(|k| f(&k.expr)),
        Rel::Limit { limit, offset, .. } => limit.iter().chain(offset).for_each(f),
        Rel::SetOp { .. } | Rel::With { .. } | Rel::CteScan { .. } | Rel::Recursive { .. } => {}
    }
}

/// As [`each_expr`], to change them.
pub fn each_expr_mut(rel: &mut Rel, f: &mut dyn FnMut(&mut Expr)) {
    match rel {
        Rel::Scan(scan) => scan.filter.iter_mut().for_each(f),
        Rel::Values { rows, .. } => rows.iter_mut().flatten().for_each(f),
        Rel::Function { calls, .. } => {
            calls.iter_mut().flat_map(|(c, _)| &mut c.args).for_each(f);
        }
        Rel::Filter { predicate, .. } => f(predicate),
        Rel::Project { exprs, .. } => exprs.iter_mut().for_each(|(e, _)| f(e)),
        Rel::Join { on, .. } => on.iter_mut().for_each(f),
        Rel::Aggregate { groups, aggregates, .. } => {
            groups.iter_mut().for_each(|(e, _)| f(e));
            aggregates.iter_mut().for_each(|a| call_exprs_mut(a, f));
        }
        Rel::Window { calls, .. } => calls.iter_mut().for_each(|c| window_exprs_mut(c, f)),
        Rel::Distinct { on, .. } => on.iter_mut().for_each(f),
        Rel::Sort { keys, .. } => keys.iter_mut().for_each(|k| f(&mut k.expr)),
        Rel::Limit { limit, offset, .. } => limit.iter_mut().chain(offset).for_each(f),
        Rel::SetOp { .. } | Rel::With { .. } | Rel::CteScan { .. } | Rel::Recursive { .. } => {}
    }
}

/// Calls `f` for `expr` and everything below it, subqueries' relations not included.
pub fn walk<'a>(expr: &'a Expr, f: &mut dyn FnMut(&'a Expr)) {
    f(expr);
    each_operand(expr, &mut |e| walk(e, f));
}

/// Whether `test` holds for `expr` or anything below it (subqueries' relations not included).
pub fn any(expr: &Expr, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    let mut found = test(expr);
    each_operand(expr, &mut |e| found = found || any(e, test));
    found
}

/// Calls `f` for each expression in `rel` and below, subqueries' relations included.
pub fn each_expr_deep<'a>(rel: &'a Rel, f: &mut dyn FnMut(&'a Expr)) {
    each_expr(rel, &mut |e| {
        walk(e, &mut |e| {
            f(e);
            if let Expr::Subquery(sub) = e {
                each_expr_deep(&sub.rel, f);
            }
        });
    });
    each_input(rel, &mut |i| each_expr_deep(i, f));
}

/// Calls `f` for each relation in `rel` and below, subqueries' relations included.
pub fn each_rel_deep<'a>(rel: &'a Rel, f: &mut dyn FnMut(&'a Rel)) {
    f(rel);
    each_expr(rel, &mut |e| {
        walk(e, &mut |e| {
            if let Expr::Subquery(sub) = e {
                each_rel_deep(&sub.rel, f);
            }
        });
    });
    each_input(rel, &mut |i| each_rel_deep(i, f));
}

/// Whether a function whose result varies from row to row is called anywhere in `expr`.
pub fn is_volatile(expr: &Expr) -> bool {
    any(expr, &mut |e| match e {
        Expr::Call(call) => call.function.volatility == Volatility::Volatile,
        Expr::AnyAll { function, .. } => function.volatility == Volatility::Volatile,
        Expr::Subquery(sub) => is_volatile_rel(&sub.rel),
        _ => false,
    })
}

/// Whether a volatile function is called anywhere in `rel`.
pub fn is_volatile_rel(rel: &Rel) -> bool {
    let mut found = false;
    each_rel_deep(rel, &mut |r| {
        each_expr(r, &mut |e| {
            found = found
                || any(e, &mut |e| match e {
                    Expr::Call(call) => call.function.volatility == Volatility::Volatile,
                    _ => false,
                });
        });
        if let Rel::Function { calls, .. } = r {
            found =
                found || calls.iter().any(|(c, _)| c.function.volatility == Volatility::Volatile);
        }
        if let Rel::Scan(scan) = r {
            found = found || scan.lock.is_some();
        }
    });
    found
}

/// Whether `expr` holds a subquery.
pub fn has_subquery(expr: &Expr) -> bool {
    any(expr, &mut |e| matches!(e, Expr::Subquery(_)))
}

/// The columns `expr` uses; of a subquery, those it does not make itself.
pub fn expr_columns(expr: &Expr) -> HashSet<ColId> {
    let mut out = HashSet::new();
    add_expr_columns(expr, &mut out);
    out
}

/// Adds the columns `expr` uses to `out`.
pub fn add_expr_columns(expr: &Expr, out: &mut HashSet<ColId>) {
    walk(expr, &mut |e| match e {
        Expr::Column(id, _) => {
            out.insert(*id);
        }
        Expr::Subquery(sub) => out.extend(free_columns(&sub.rel)),
        _ => {}
    });
}

/// The columns `rel` uses but does not make: those it takes from outside.
pub fn free_columns(rel: &Rel) -> HashSet<ColId> {
    let mut used = HashSet::new();
    let mut made = HashSet::new();
    gather(rel, &mut used, &mut made);
    used.retain(|c| !made.contains(c));
    used
}

fn gather(rel: &Rel, used: &mut HashSet<ColId>, made: &mut HashSet<ColId>) {
    each_expr(rel, &mut |e| add_expr_columns(e, used));
    made.extend(rel.columns().iter().map(|c| c.id));
    if let Rel::Scan(scan) = rel {
        made.extend(scan.row_key);
    }
    each_input(rel, &mut |i| gather(i, used, made));
}

/// Every column made anywhere in `rel`, subqueries' relations included.
pub fn made_columns(rel: &Rel) -> HashSet<ColId> {
    let mut out = HashSet::new();
    each_rel_deep(rel, &mut |r| {
        out.extend(r.columns().iter().map(|c| c.id));
        if let Rel::Scan(scan) = r {
            out.extend(scan.row_key);
        }
    });
    out
}

/// Whether `expr` uses only columns of `columns`.
pub fn uses_only(expr: &Expr, columns: &HashSet<ColId>) -> bool {
    expr_columns(expr).is_subset(columns)
}

/// Replaces columns by expressions, in `expr` and in the relations of its subqueries.
pub fn substitute(expr: &mut Expr, map: &HashMap<ColId, Expr>) {
    if let Expr::Column(id, _) = expr {
        if let Some(by) = map.get(id) {
            *expr = by.clone();
        }
        return;
    }
    each_operand_mut(expr, &mut |e| substitute(e, map));
    if let Expr::Subquery(sub) = expr {
        substitute_rel(&mut sub.rel, map);
    }
}

/// Replaces columns by expressions everywhere in `rel`.
pub fn substitute_rel(rel: &mut Rel, map: &HashMap<ColId, Expr>) {
    each_expr_mut(rel, &mut |e| substitute(e, map));
    each_input_mut(rel, &mut |i| substitute_rel(i, map));
}

/// Takes a condition apart into what is ANDed.
pub fn conjuncts(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::And(list) => list.into_iter().flat_map(conjuncts).collect(),
        Expr::Literal(Datum::Bool(true), _) => Vec::new(),
        other => vec![other],
    }
}

/// Takes a condition apart into what is ORed.
pub fn disjuncts(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::Or(list) => list.into_iter().flat_map(disjuncts).collect(),
        other => vec![other],
    }
}

/// ANDs conditions; none of them is true.
pub fn and(mut list: Vec<Expr>) -> Option<Expr> {
    match list.len() {
        0 => None,
        1 => list.pop(),
        _ => Some(Expr::And(list)),
    }
}

/// `input` under the condition that all of `list` hold.
pub fn filter(input: Rel, list: Vec<Expr>) -> Rel {
    match and(list) {
        Some(predicate) => Rel::Filter { input: Box::new(input), predicate },
        None => input,
    }
}

/// A relation of no columns and no rows, to take another's place while that is rewritten.
pub fn nothing() -> Rel {
    Rel::Values { rows: Vec::new(), columns: Vec::new() }
}

/// Whether two expressions are the same, by structure. False when in doubt.
pub fn same(a: &Expr, b: &Expr) -> bool {
    match (a, b) {
        (Expr::Column(x, _), Expr::Column(y, _)) => x == y,
        (Expr::Param(x, _), Expr::Param(y, _)) => x == y,
        (Expr::Literal(x, s), Expr::Literal(y, t)) => s == t && same_literal(x, y),
        (Expr::Call(x), Expr::Call(y)) => {
            std::ptr::eq(x.function, y.function)
                && x.function.volatility != Volatility::Volatile
                && same_list(&x.args, &y.args)
        }
        (
            Expr::Cast { expr: x, to: s, explicit: p, .. },
            Expr::Cast { expr: y, to: t, explicit: q, .. },
        ) => s == t && p == q && same(x, y),
        (Expr::And(x), Expr::And(y))
        | (Expr::Or(x), Expr::Or(y))
        | (Expr::Row(x, _), Expr::Row(y, _))
        | (Expr::Coalesce(x, _), Expr::Coalesce(y, _))
        | (Expr::Array(x, _), Expr::Array(y, _)) => same_list(x, y),
        (Expr::Not(x), Expr::Not(y)) | (Expr::IsNull(x), Expr::IsNull(y)) => same(x, y),
        (Expr::IsBool(x, p), Expr::IsBool(y, q)) => p == q && same(x, y),
        (
            Expr::AnyAll { any: p, left: l, array: x, function: f, .. },
            Expr::AnyAll { any: q, left: m, array: y, function: g, .. },
        ) => p == q && std::ptr::eq(*f, *g) && same(l, m) && same(x, y),
        (Expr::Case { arms: x, otherwise: d, .. }, Expr::Case { arms: y, otherwise: e, .. }) => {
            x.len() == y.len()
                && x.iter().zip(y).all(|(a, b)| same(&a.0, &b.0) && same(&a.1, &b.1))
                && same(d, e)
        }
        _ => false,
    }
}

fn same_list(a: &[Expr], b: &[Expr]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

/// Whether two literals of one type are the same value in every respect (1.0 is not 1.00).
fn same_literal(a: &Datum, b: &Datum) -> bool {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    super::scalar::identity(a, &mut x);
    super::scalar::identity(b, &mut y);
    x == y
}

/// A sort key's column, if it is a plain one.
pub fn sort_column(key: &SortKey) -> Option<ColId> {
    match key.expr {
        Expr::Column(id, _) => Some(id),
        _ => None,
    }
}
