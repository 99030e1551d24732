//! Subqueries become joins.
//!
//! ```text
//! WHERE EXISTS (SELECT … FROM i WHERE i.k = o.k AND p)   o SEMI JOIN (i WHERE p) ON i.k = o.k
//! WHERE NOT EXISTS (…)                                   o ANTI JOIN …
//! WHERE x IN (SELECT e FROM i WHERE …)                   o SEMI JOIN i ON x = e
//! … (SELECT agg(e) FROM i WHERE i.k = o.k)               o LEFT JOIN (SELECT k, agg(e) FROM i
//!                                                          GROUP BY k) ON i.k = o.k
//! ```
//!
//! Only conditions that are ANDed into a WHERE or HAVING are taken: there NULL and false are the
//! same, which is what lets IN become a semi join. NOT IN keeps its NULL semantics as a hashed
//! subplan. A subquery from which the outer columns cannot be pulled up stays a subquery; so does
//! one without outer columns that is evaluated once anyway, and an aggregate that an index
//! answers by its key.

use std::collections::{HashMap, HashSet};

use crate::plan::compare::{Order, comparison};
use crate::plan::tree;
use crate::sql::bound::{
    AggregateCall, Call, ColId, Column, Expr, JoinKind, Rel, Subquery, SubqueryKind,
};
use crate::types::descriptor::{ColumnId, IndexState, RelationKind};
use crate::types::{BaseType, Datum, SqlType};

/// Ids from here on are not used by the binder.
const FRESH_IDS: u32 = 1 << 31;

/// Rewrites a whole tree. `by_key`: an aggregate that an index answers by its key may stay.
pub fn relation(rel: &mut Rel, by_key: bool) {
    Rewriter { next: FRESH_IDS, by_key }.relation(rel);
}

struct Rewriter {
    next: u32,
    by_key: bool,
}

/// An equality between the levels: the inner side becomes a group key.
struct Correlation {
    inner: Expr,
    outer: Expr,
    call: Call,
    /// Whether the inner side stands left.
    inner_left: bool,
}

impl Rewriter {
    fn relation(&mut self, rel: &mut Rel) {
        tree::each_input_mut(rel, &mut |input| self.relation(input));
        tree::each_expr_mut(rel, &mut |e| self.expression(e));
        match rel {
            Rel::Filter { .. } => self.filter(rel),
            Rel::Project { .. } => self.project(rel),
            _ => {}
        }
    }

    fn expression(&mut self, expr: &mut Expr) {
        tree::each_operand_mut(expr, &mut |e| self.expression(e));
        if let Expr::Subquery(sub) = expr {
            self.relation(&mut sub.rel);
        }
    }

    fn filter(&mut self, rel: &mut Rel) {
        let Rel::Filter { input, predicate } = rel else { return };
        if !tree::has_subquery(predicate) || tree::is_volatile_rel(input) {
            return;
        }
        let columns = input.columns();
        let mut level = std::mem::replace(input.as_mut(), tree::nothing());
        let mut kept = Vec::new();
        let truth = Expr::Literal(Datum::Bool(true), SqlType::BOOL);
        for conjunct in tree::conjuncts(std::mem::replace(predicate, truth)) {
            match self.condition(&level, &conjunct) {
                Some((kind, right, on)) => {
                    level = Rel::Join {
                        left: Box::new(level),
                        right: Box::new(right),
                        kind,
                        on: tree::and(on),
                        lateral: false,
                    };
                }
                None => kept.push(conjunct),
            }
        }
        for conjunct in &mut kept {
            self.aggregates(&mut level, conjunct);
        }
        let widened = level.columns().len() > columns.len();
        *rel = tree::filter(level, kept);
        if widened {
            let input = std::mem::replace(rel, tree::nothing());
            *rel = Rel::Project { input: Box::new(input), exprs: unchanged(columns) };
        }
    }

    fn project(&mut self, rel: &mut Rel) {
        let Rel::Project { input, exprs } = rel else { return };
        if !exprs.iter().any(|(e, _)| tree::has_subquery(e)) || tree::is_volatile_rel(input) {
            return;
        }
        let mut level = std::mem::replace(input.as_mut(), tree::nothing());
        for (e, _) in exprs.iter_mut() {
            self.aggregates(&mut level, e);
        }
        **input = level;
    }

    /// What a condition is as a join, if it is one.
    fn condition(&mut self, level: &Rel, e: &Expr) -> Option<(JoinKind, Rel, Vec<Expr>)> {
        let (sub, kind) = match e {
            Expr::Subquery(sub) => (sub, JoinKind::Semi),
            Expr::Not(inner) => match inner.as_ref() {
                Expr::Subquery(sub) if matches!(sub.kind, SubqueryKind::Exists) => {
                    (sub, JoinKind::Anti)
                }
                _ => return None,
            },
            _ => return None,
        };
        if tree::is_volatile_rel(&sub.rel) {
            return None;
        }
        let outer: HashSet<ColId> = level.columns().iter().map(|c| c.id).collect();
        let (right, on) = match &sub.kind {
            SubqueryKind::Exists => exists(sub, &outer)?,
            SubqueryKind::AnyAll { any: true, left, functions } => {
                if left.iter().any(|l| tree::has_subquery(l) || tree::is_volatile(l)) {
                    return None;
                }
                let position = left.iter().zip(functions);
                let (right, values, mut on) = members(sub, &outer)?;
                on.extend(position.zip(values).map(|((l, function), value)| {
                    Expr::Call(Call {
                        function,
                        args: vec![l.clone(), value],
                        ty: SqlType::BOOL,
                        position: 0,
                    })
                }));
                (right, on)
            }
            _ => return None,
        };
        Some((kind, right, on))
    }

    /// Turns the scalar aggregates in `expr` into joins of `level`.
    fn aggregates(&mut self, level: &mut Rel, expr: &mut Expr) {
        // Calls evaluate all their operands; CASE, AND and OR might not need the subquery.
        match expr {
            Expr::Call(call) => call.args.iter_mut().for_each(|e| self.aggregates(level, e)),
            Expr::Cast { expr, .. } => self.aggregates(level, expr),
            Expr::Subquery(sub) if matches!(sub.kind, SubqueryKind::Scalar) => {
                if let Some(value) = self.aggregate(level, sub) {
                    *expr = value;
                }
            }
            _ => {}
        }
    }

    fn aggregate(&mut self, level: &mut Rel, sub: &Subquery) -> Option<Expr> {
        let (value, aggregates, input) = scalar_aggregate(&sub.rel)?;
        if tree::is_volatile_rel(&sub.rel) {
            return None;
        }
        let outer: HashSet<ColId> = level.columns().iter().map(|c| c.id).collect();
        let (inner, pulled) = pull(input.clone(), &outer);
        if pulled.is_empty() || !tree::free_columns(&inner).is_disjoint(&outer) {
            return None;
        }
        let used = aggregates.iter().flat_map(call_columns).collect::<HashSet<_>>();
        if !used.is_disjoint(&outer) || !tree::expr_columns(value).is_disjoint(&outer) {
            return None;
        }
        let correlations =
            pulled.iter().map(|e| correlation(e, &outer)).collect::<Option<Vec<_>>>()?;
        if self.by_key && is_indexed(&inner, &correlations) {
            return None;
        }
        Some(self.grouped(level, inner, correlations, (value, aggregates)))
    }

    /// Joins the grouped aggregate to `level`; gives what the subquery's value is there.
    fn grouped(
        &mut self,
        level: &mut Rel,
        inner: Rel,
        correlations: Vec<Correlation>,
        (value, aggregates): (&Expr, &[AggregateCall]),
    ) -> Expr {
        let mut groups = Vec::with_capacity(correlations.len());
        let mut on = Vec::with_capacity(correlations.len());
        for c in correlations {
            let ty = c.inner.ty();
            let column = Column { id: ColId(self.next), name: "key".into(), ty, origin: None };
            self.next += 1;
            let key = Expr::Column(column.id, ty);
            let args = if c.inner_left { vec![key, c.outer] } else { vec![c.outer, key] };
            on.push(Expr::Call(Call { args, ..c.call }));
            groups.push((c.inner, column));
        }
        let sets = vec![(0..groups.len()).collect()];
        let right = Rel::Aggregate {
            input: Box::new(inner),
            groups,
            sets,
            aggregates: aggregates.to_vec(),
            grouping: Vec::new(),
        };
        let left = std::mem::replace(level, tree::nothing());
        *level = Rel::Join {
            left: Box::new(left),
            right: Box::new(right),
            kind: JoinKind::Left,
            on: tree::and(on),
            lateral: false,
        };
        let counts: HashMap<ColId, Expr> = aggregates
            .iter()
            .filter(|a| is_count(a))
            .map(|a| {
                let (id, ty) = (a.output.id, a.output.ty);
                let zero = Expr::Literal(Datum::Int8(0), ty);
                (id, Expr::Coalesce(vec![Expr::Column(id, ty), zero], ty))
            })
            .collect();
        let mut value = value.clone();
        tree::substitute(&mut value, &counts);
        value
    }
}

/// Aggregates that give zero, not NULL, over no rows.
fn is_count(call: &AggregateCall) -> bool {
    matches!(call.function.name, "count" | "regr_count")
}

fn call_columns(call: &AggregateCall) -> HashSet<ColId> {
    let mut out = HashSet::new();
    call.args.iter().for_each(|e| tree::add_expr_columns(e, &mut out));
    call.order_by.iter().for_each(|k| tree::add_expr_columns(&k.expr, &mut out));
    call.filter.iter().for_each(|e| tree::add_expr_columns(e, &mut out));
    out
}

fn unchanged(columns: Vec<Column>) -> Vec<(Expr, Column)> {
    columns.into_iter().map(|c| (Expr::Column(c.id, c.ty), c)).collect()
}

/// EXISTS as the right side of a semi or anti join, with its condition.
fn exists(sub: &Subquery, outer: &HashSet<ColId>) -> Option<(Rel, Vec<Expr>)> {
    let mut core = &sub.rel;
    // Which columns, in which order, how often: all the same to EXISTS.
    loop {
        core = match core {
            Rel::Project { input, .. } | Rel::Sort { input, .. } => input,
            Rel::Limit { input, limit, offset: None, .. } if keeps_a_row(limit.as_ref()) => input,
            _ => break,
        };
    }
    let (inner, on) = pull(core.clone(), outer);
    if on.is_empty() || !tree::free_columns(&inner).is_disjoint(outer) {
        return None;
    }
    Some((inner, on))
}

fn keeps_a_row(limit: Option<&Expr>) -> bool {
    match limit {
        None => true,
        Some(Expr::Literal(Datum::Int8(n), _)) => *n > 0,
        Some(Expr::Literal(Datum::Null, _)) => true,
        Some(_) => false,
    }
}

/// The right side of IN: the relation, its values, and the conditions pulled out of it.
fn members(sub: &Subquery, outer: &HashSet<ColId>) -> Option<(Rel, Vec<Expr>, Vec<Expr>)> {
    if tree::free_columns(&sub.rel).is_disjoint(outer) {
        let values = sub.rel.columns().iter().map(|c| Expr::Column(c.id, c.ty)).collect();
        return Some((sub.rel.clone(), values, Vec::new()));
    }
    let mut core = &sub.rel;
    while let Rel::Distinct { input, on } = core {
        if !on.is_empty() {
            return None;
        }
        core = input;
    }
    let (core, values) = match core {
        Rel::Project { input, exprs } => {
            (input.as_ref(), exprs.iter().map(|(e, _)| e.clone()).collect::<Vec<_>>())
        }
        other => {
            let columns = other.columns();
            (other, columns.iter().map(|c| Expr::Column(c.id, c.ty)).collect())
        }
    };
    let (inner, on) = pull(core.clone(), outer);
    let free =
        values.iter().any(tree::has_subquery) || !tree::free_columns(&inner).is_disjoint(outer);
    (!free).then_some((inner, values, on))
}

/// Takes the conditions that use `outer` out of a relation, where that keeps its meaning: out of
/// filters, inner joins and what stands to the left of other joins.
fn pull(rel: Rel, outer: &HashSet<ColId>) -> (Rel, Vec<Expr>) {
    let own = |e: &Expr| tree::expr_columns(e).is_disjoint(outer);
    match rel {
        Rel::Filter { input, predicate } => {
            let (inner, mut pulled) = pull(*input, outer);
            let (stay, out): (Vec<_>, Vec<_>) =
                tree::conjuncts(predicate).into_iter().partition(own);
            pulled.extend(out);
            (tree::filter(inner, stay), pulled)
        }
        Rel::Join { left, right, kind, on, lateral: false } => {
            let (left, mut pulled) = match kind {
                JoinKind::Full => (*left, Vec::new()),
                _ => pull(*left, outer),
            };
            let (right, on) = if kind == JoinKind::Inner {
                let (right, more) = pull(*right, outer);
                pulled.extend(more);
                let conjuncts = on.map(tree::conjuncts).unwrap_or_default();
                let (stay, out): (Vec<_>, Vec<_>) = conjuncts.into_iter().partition(own);
                pulled.extend(out);
                (right, tree::and(stay))
            } else {
                (*right, on)
            };
            let (left, right) = (Box::new(left), Box::new(right));
            (Rel::Join { left, right, kind, on, lateral: false }, pulled)
        }
        other => (other, Vec::new()),
    }
}

/// `SELECT expr(aggregates) FROM input` without GROUP BY: expression, aggregates, input.
fn scalar_aggregate(rel: &Rel) -> Option<(&Expr, &[AggregateCall], &Rel)> {
    let Rel::Project { input, exprs } = rel else { return None };
    let [(value, _)] = exprs.as_slice() else { return None };
    let Rel::Aggregate { input, groups, sets, aggregates, grouping } = input.as_ref() else {
        return None;
    };
    let plain = groups.is_empty() && grouping.is_empty() && sets.len() <= 1;
    (plain && !aggregates.is_empty() && !tree::has_subquery(value)).then_some((
        value,
        aggregates.as_slice(),
        input.as_ref(),
    ))
}

/// A condition as an equality between the levels.
fn correlation(e: &Expr, outer: &HashSet<ColId>) -> Option<Correlation> {
    let Expr::Call(call) = e else { return None };
    let known = comparison(call.function)?;
    if known.order != Order::Equal || !known.is_hashable() {
        return None;
    }
    let [a, b] = call.args.as_slice() else { return None };
    if tree::has_subquery(e) || a.ty().base == BaseType::Bpchar {
        return None;
    }
    let (of_a, of_b) = (tree::expr_columns(a), tree::expr_columns(b));
    let is_outer = |used: &HashSet<ColId>| !used.is_empty() && used.is_subset(outer);
    let (inner, outer_side, inner_left) = if is_outer(&of_b) && of_a.is_disjoint(outer) {
        (a, b, true)
    } else if is_outer(&of_a) && of_b.is_disjoint(outer) {
        (b, a, false)
    } else {
        return None;
    };
    let call = Call { args: Vec::new(), ..call.clone() };
    Some(Correlation { inner: inner.clone(), outer: outer_side.clone(), call, inner_left })
}

/// Whether a table below has a key that begins with correlated columns: running the subquery for
/// each row is then a few reads, and grouping the whole table is not.
fn is_indexed(inner: &Rel, correlations: &[Correlation]) -> bool {
    let columns: HashSet<ColId> = correlations
        .iter()
        .filter_map(|c| match &c.inner {
            Expr::Column(id, _) => Some(*id),
            _ => None,
        })
        .collect();
    let mut found = false;
    tree::each_rel_deep(inner, &mut |r| {
        let Rel::Scan(scan) = r else { return };
        if scan.table.kind != RelationKind::Table {
            return;
        }
        let correlated: HashSet<ColumnId> = scan
            .columns
            .iter()
            .filter(|(_, c)| columns.contains(&c.id))
            .map(|(id, _)| *id)
            .collect();
        let public = scan.table.indexes.iter().filter(|i| i.state == IndexState::Public);
        found = found
            || std::iter::once(&scan.table.primary)
                .chain(public)
                .filter_map(|i| i.columns.first())
                .any(|c| correlated.contains(&c.column));
    });
    found
}
