//! Moves conditions down: into scans, to the sides of joins, through projections, unions, groups.
//!
//! A condition over the null-extended side of an outer join that no NULL satisfies makes the join
//! an inner one. A condition that calls a volatile function stays where it is.

use std::collections::{HashMap, HashSet};

use crate::plan::tree;
use crate::sql::bound::{ColId, Column, Expr, JoinKind, Rel, SetOp, WindowCall};

/// Moves the conditions of a whole tree, subqueries included.
pub fn relation(rel: &mut Rel) {
    let taken = std::mem::replace(rel, tree::nothing());
    *rel = push(taken, Vec::new());
}

/// `rel` under `conditions`, each as far down as it can go.
fn push(mut rel: Rel, conditions: Vec<Expr>) -> Rel {
    tree::each_expr_mut(&mut rel, &mut subqueries);
    match rel {
        Rel::Filter { input, predicate } => {
            let mut list = factored(predicate);
            list.extend(conditions);
            push(*input, list)
        }
        Rel::Scan(mut scan) => {
            scan.filter.extend(conditions);
            Rel::Scan(scan)
        }
        Rel::Project { input, exprs } => project(*input, exprs, conditions),
        Rel::Join { .. } => join(rel, conditions),
        Rel::Aggregate { .. } => aggregate(rel, conditions),
        Rel::Window { input, calls } => {
            let (down, stay) = split(conditions, |c| {
                calls.iter().all(|call| uses_partition(c, call)) && !tree::is_volatile(c)
            });
            let input = Box::new(push(*input, down));
            tree::filter(Rel::Window { input, calls }, stay)
        }
        Rel::Distinct { input, on } => {
            let keys: HashSet<ColId> = on.iter().flat_map(column).collect();
            let (down, stay) = split(conditions, |c| {
                !tree::is_volatile(c) && (on.is_empty() || uses_some(c, &keys))
            });
            let input = Box::new(push(*input, down));
            tree::filter(Rel::Distinct { input, on }, stay)
        }
        Rel::Sort { input, keys } => {
            let (down, stay) = split(conditions, |c| !tree::is_volatile(c));
            let input = Box::new(push(*input, down));
            tree::filter(Rel::Sort { input, keys }, stay)
        }
        Rel::SetOp { op, all, left, right, columns } => {
            let (down, stay) =
                split(conditions, |c| !tree::is_volatile(c) && !tree::has_subquery(c));
            let left = Box::new(push_renamed(*left, &down, &columns));
            // What the left side does not have cannot be in the result, but for a union.
            let needed = if op == SetOp::Union { down.as_slice() } else { &[] };
            let right = Box::new(push_renamed(*right, needed, &columns));
            tree::filter(Rel::SetOp { op, all, left, right, columns }, stay)
        }
        Rel::With { cte, mut query, body } => {
            relation(&mut query);
            let body = Box::new(push(*body, conditions));
            Rel::With { cte, query, body }
        }
        Rel::Function { input: Some(input), calls, ordinality, outer } => {
            let own = made(&input);
            let (down, stay) = split(conditions, |c| !tree::is_volatile(c) && uses_some(c, &own));
            let input = Some(Box::new(push(*input, down)));
            tree::filter(Rel::Function { input, calls, ordinality, outer }, stay)
        }
        mut other => {
            tree::each_input_mut(&mut other, &mut relation);
            tree::filter(other, conditions)
        }
    }
}

fn subqueries(expr: &mut Expr) {
    tree::each_operand_mut(expr, &mut subqueries);
    if let Expr::Subquery(sub) = expr {
        relation(&mut sub.rel);
    }
}

fn split(list: Vec<Expr>, test: impl FnMut(&Expr) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    let mut test = test;
    list.into_iter().partition(|e| test(e))
}

fn column(expr: &Expr) -> Option<ColId> {
    match expr {
        Expr::Column(id, _) => Some(*id),
        _ => None,
    }
}

fn made(rel: &Rel) -> HashSet<ColId> {
    rel.columns().iter().map(|c| c.id).collect()
}

/// Whether a condition uses columns of `columns`, and of this level no others. Outer columns are
/// not told apart from others here, so a condition with one is left where it is, unless all its
/// columns are known.
fn uses_some(condition: &Expr, columns: &HashSet<ColId>) -> bool {
    let used = tree::expr_columns(condition);
    !used.is_empty() && used.is_subset(columns)
}

fn uses_partition(condition: &Expr, window: &WindowCall) -> bool {
    let keys: HashSet<ColId> = window.partition_by.iter().flat_map(column).collect();
    uses_some(condition, &keys)
}

fn push_renamed(rel: Rel, conditions: &[Expr], columns: &[Column]) -> Rel {
    let map: HashMap<ColId, Expr> = columns
        .iter()
        .zip(rel.columns())
        .map(|(to, from)| (to.id, Expr::Column(from.id, from.ty)))
        .collect();
    let mut list = conditions.to_vec();
    list.iter_mut().for_each(|e| tree::substitute(e, &map));
    push(rel, list)
}

fn project(input: Rel, exprs: Vec<(Expr, Column)>, conditions: Vec<Expr>) -> Rel {
    let movable: HashMap<ColId, Expr> = exprs
        .iter()
        .filter(|(e, _)| !tree::is_volatile(e) && !tree::has_subquery(e))
        .map(|(e, c)| (c.id, e.clone()))
        .collect();
    let computed: HashSet<ColId> =
        exprs.iter().map(|(_, c)| c.id).filter(|id| !movable.contains_key(id)).collect();
    let (mut down, stay) = split(conditions, |c| {
        !tree::is_volatile(c) && tree::expr_columns(c).is_disjoint(&computed)
    });
    down.iter_mut().for_each(|e| tree::substitute(e, &movable));
    let input = Box::new(push(input, down));
    tree::filter(Rel::Project { input, exprs }, stay)
}

fn aggregate(rel: Rel, conditions: Vec<Expr>) -> Rel {
    let Rel::Aggregate { input, groups, sets, aggregates, grouping } = rel else { return rel };
    // A group column that a set leaves out is NULL there: only those in every set can move.
    let map: HashMap<ColId, Expr> = groups
        .iter()
        .enumerate()
        .filter(|(i, (e, _))| sets.iter().all(|s| s.contains(i)) && !tree::is_volatile(e))
        .map(|(_, (e, c))| (c.id, e.clone()))
        .collect();
    let keys: HashSet<ColId> = map.keys().copied().collect();
    let (mut down, stay) = split(conditions, |c| !tree::is_volatile(c) && uses_some(c, &keys));
    down.iter_mut().for_each(|e| tree::substitute(e, &map));
    let input = Box::new(push(*input, down));
    tree::filter(Rel::Aggregate { input, groups, sets, aggregates, grouping }, stay)
}

/// Where the conditions of a join go.
#[derive(Default)]
struct Sides {
    left: Vec<Expr>,
    right: Vec<Expr>,
    on: Vec<Expr>,
    above: Vec<Expr>,
}

fn join(rel: Rel, conditions: Vec<Expr>) -> Rel {
    let Rel::Join { mut left, mut right, kind, on, lateral } = rel else { return rel };
    let (mut of_left, mut of_right) = (made(&left), made(&right));
    let mut kind = kind;
    if let (JoinKind::Left | JoinKind::Full, false) = (kind, lateral) {
        let rejects = |columns| conditions.iter().any(|c| rejects_null(c, columns));
        let (left_kept, right_kept) = (rejects(&of_left), rejects(&of_right));
        kind = match (kind, left_kept, right_kept) {
            (JoinKind::Left, _, true) | (JoinKind::Full, true, true) => JoinKind::Inner,
            (JoinKind::Full, true, false) => JoinKind::Left,
            (JoinKind::Full, false, true) => {
                std::mem::swap(&mut left, &mut right);
                std::mem::swap(&mut of_left, &mut of_right);
                JoinKind::Left
            }
            (other, ..) => other,
        };
    }
    let on = on.map(factored).unwrap_or_default();
    let sides = distribute(kind, on, conditions, &of_left, &of_right, lateral);
    let left = Box::new(push(*left, sides.left));
    let right = Box::new(push(*right, sides.right));
    let on = tree::and(sides.on);
    let joined = match kind {
        JoinKind::Semi | JoinKind::Anti if !lateral => sink(kind, *left, right, on),
        _ => Rel::Join { left, right, kind, on, lateral },
    };
    tree::filter(joined, sides.above)
}

/// A semi or anti join, moved to the one side of an inner join below that it is about: it removes
/// rows before they are joined.
fn sink(kind: JoinKind, left: Rel, right: Box<Rel>, on: Option<Expr>) -> Rel {
    let used = on.as_ref().map(tree::expr_columns).unwrap_or_default();
    match left {
        Rel::Filter { input, predicate } => {
            let input = Box::new(sink(kind, *input, right, on));
            Rel::Filter { input, predicate }
        }
        Rel::Join { left: a, right: b, kind: JoinKind::Inner, on: inner_on, lateral: false } => {
            let (of_a, of_b) = (made(&a), made(&b));
            let (in_a, in_b) = (!used.is_disjoint(&of_a), !used.is_disjoint(&of_b));
            let inner = |left, right| Rel::Join {
                left,
                right,
                kind: JoinKind::Inner,
                on: inner_on.clone(),
                lateral: false,
            };
            match (in_a, in_b) {
                (true, false) => inner(Box::new(sink(kind, *a, right, on)), b),
                (false, true) => inner(a, Box::new(sink(kind, *b, right, on))),
                _ => {
                    let left = Box::new(inner(a, b));
                    Rel::Join { left, right, kind, on, lateral: false }
                }
            }
        }
        other => Rel::Join { left: Box::new(other), right, kind, on, lateral: false },
    }
}

/// The conjuncts of a condition; what every arm of an OR has in common stands by itself, so that
/// `(a AND b) OR (a AND c)` becomes `a AND (b OR c)`.
fn factored(predicate: Expr) -> Vec<Expr> {
    tree::conjuncts(predicate).into_iter().flat_map(factor).collect()
}

fn factor(conjunct: Expr) -> Vec<Expr> {
    if !matches!(conjunct, Expr::Or(_)) || tree::is_volatile(&conjunct) {
        return vec![conjunct];
    }
    let mut arms: Vec<Vec<Expr>> =
        tree::disjuncts(conjunct.clone()).into_iter().map(tree::conjuncts).collect();
    let common: Vec<Expr> = arms[0]
        .iter()
        .filter(|e| arms.iter().all(|arm| arm.iter().any(|other| tree::same(e, other))))
        .cloned()
        .collect();
    if common.is_empty() {
        return vec![conjunct];
    }
    for arm in &mut arms {
        arm.retain(|e| !common.iter().any(|c| tree::same(c, e)));
    }
    let mut out = common;
    // An arm with nothing of its own makes the whole OR true where the common part is.
    if arms.iter().all(|arm| !arm.is_empty()) {
        out.push(Expr::Or(arms.into_iter().filter_map(tree::and).collect()));
    }
    out
}

fn distribute(
    kind: JoinKind,
    on: Vec<Expr>,
    conditions: Vec<Expr>,
    of_left: &HashSet<ColId>,
    of_right: &HashSet<ColId>,
    lateral: bool,
) -> Sides {
    let mut sides = Sides::default();
    let both = |e: &Expr| {
        let used = tree::expr_columns(e);
        (!used.is_disjoint(of_left), !used.is_disjoint(of_right))
    };
    for e in on {
        let volatile = tree::is_volatile(&e);
        match (kind, both(&e)) {
            (JoinKind::Full, _) => sides.on.push(e),
            (_, (false, true)) if !volatile => sides.right.push(e),
            (JoinKind::Inner | JoinKind::Semi, (true, false)) if !volatile => sides.left.push(e),
            _ => sides.on.push(e),
        }
    }
    for e in conditions {
        let volatile = tree::is_volatile(&e);
        match (kind, both(&e)) {
            _ if volatile => sides.above.push(e),
            (JoinKind::Full, _) => sides.above.push(e),
            (_, (true, false)) => sides.left.push(e),
            (JoinKind::Inner, (false, true)) if !lateral => sides.right.push(e),
            (JoinKind::Inner, (false, true) | (true, true)) => sides.on.push(e),
            _ => sides.above.push(e),
        }
    }
    sides
}

/// Whether a condition is not true when all of `columns` are NULL.
fn rejects_null(condition: &Expr, columns: &HashSet<ColId>) -> bool {
    match condition {
        Expr::And(list) => list.iter().any(|e| rejects_null(e, columns)),
        Expr::Or(list) => list.iter().all(|e| rejects_null(e, columns)),
        Expr::Not(inner) => match inner.as_ref() {
            Expr::IsNull(e) => is_null_with(e, columns),
            other => is_null_with(other, columns),
        },
        Expr::IsBool(e, _) => is_null_with(e, columns),
        other => is_null_with(other, columns),
    }
}

/// Whether an expression is NULL when all of `columns` are. False when in doubt.
fn is_null_with(expr: &Expr, columns: &HashSet<ColId>) -> bool {
    match expr {
        Expr::Column(id, _) => columns.contains(id),
        Expr::Call(call) => {
            call.function.strict && call.args.iter().any(|a| is_null_with(a, columns))
        }
        Expr::Cast { expr, .. } | Expr::Not(expr) => is_null_with(expr, columns),
        // `NULL = ANY (list)` is NULL but for an empty list, for which ANY is false.
        Expr::AnyAll { any: true, left, function, .. } => {
            function.strict && is_null_with(left, columns)
        }
        _ => false,
    }
}
