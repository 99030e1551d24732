//! CTEs that are used once are put in the place of their use, as PostgreSQL does, so that
//! conditions reach their tables. Volatile and recursive ones are not.

use crate::plan::tree;
use crate::sql::bound::{Column, Expr, Rel, Statement, WithStatement};

/// Inlines what can be, in a whole tree.
pub fn inline(rel: &mut Rel) {
    tree::each_input_mut(rel, &mut inline);
    tree::each_expr_mut(rel, &mut subqueries);
    let Rel::With { cte, query, body } = rel else { return };
    let uses = uses_of(body, *cte);
    if uses == 0 {
        *rel = std::mem::replace(body, tree::nothing());
        return;
    }
    let recursive = matches!(query.as_ref(), Rel::Recursive { .. });
    if uses == 1 && !recursive && !tree::is_volatile_rel(query) && !has_set_function(query) {
        let mut body = std::mem::replace(body.as_mut(), tree::nothing());
        let mut query = Some(std::mem::replace(query.as_mut(), tree::nothing()));
        replace(&mut body, *cte, &mut query);
        *rel = body;
    }
}

/// Puts WITH around a whole statement that writes, if more than its source uses the queries.
pub fn hoist(statement: &mut Statement) {
    if let Statement::With(with) = statement {
        with.ctes.iter_mut().for_each(|(_, cte)| hoist(cte));
        return hoist(&mut with.main);
    }
    let mut used = false;
    statement_exprs(statement, &mut |e| {
        tree::walk(e, &mut |e| {
            if let Expr::Subquery(sub) = e {
                tree::each_rel_deep(&sub.rel, &mut |r| {
                    used = used || matches!(r, Rel::CteScan { .. });
                });
            }
        });
    });
    let Some(source) = source_mut(statement).filter(|_| used) else { return };
    let mut ctes = Vec::new();
    while let Rel::With { cte, query, body } = source {
        let query = std::mem::replace(query.as_mut(), tree::nothing());
        ctes.push((*cte, Statement::Query(query)));
        *source = std::mem::replace(body.as_mut(), tree::nothing());
    }
    if ctes.is_empty() {
        return;
    }
    let main = std::mem::replace(statement, Statement::Query(tree::nothing()));
    *statement = Statement::With(Box::new(WithStatement { ctes, main }));
}

fn source_mut(statement: &mut Statement) -> Option<&mut Rel> {
    match statement {
        Statement::Insert(insert) => Some(&mut insert.source),
        Statement::Update(update) => Some(&mut update.source),
        Statement::Delete(delete) => Some(&mut delete.source),
        Statement::Query(_) | Statement::With(_) => None,
    }
}

/// The expressions of a statement that stand outside its source.
fn statement_exprs<'s>(statement: &'s Statement, f: &mut dyn FnMut(&'s Expr)) {
    match statement {
        Statement::Insert(insert) => {
            insert.returning.exprs.iter().for_each(|(e, _)| f(e));
            if let Some(update) = insert.on_conflict.as_ref().and_then(|c| c.update.as_ref()) {
                update.assignments.iter().for_each(|(_, e)| f(e));
                update.filter.iter().for_each(f);
            }
        }
        Statement::Update(update) => {
            update.assignments.iter().for_each(|(_, e)| f(e));
            update.returning.exprs.iter().for_each(|(e, _)| f(e));
        }
        Statement::Delete(delete) => delete.returning.exprs.iter().for_each(|(e, _)| f(e)),
        Statement::Query(_) | Statement::With(_) => {}
    }
}

fn subqueries(expr: &mut Expr) {
    tree::each_operand_mut(expr, &mut subqueries);
    if let Expr::Subquery(sub) = expr {
        inline(&mut sub.rel);
    }
}

/// A set-returning function can be endless where only some rows of the CTE are taken; as a
/// subquery it would be too, so this only keeps the evaluation once.
fn has_set_function(rel: &Rel) -> bool {
    let mut found = false;
    tree::each_rel_deep(rel, &mut |r| found = found || matches!(r, Rel::Function { .. }));
    found
}

/// How often a CTE is scanned. A use where it would be evaluated again and again counts twice.
fn uses_of(rel: &Rel, cte: usize) -> usize {
    let mut uses = 0;
    tree::each_rel_deep(rel, &mut |r| {
        if let Rel::CteScan { cte: used, .. } = r
            && *used == cte
        {
            uses += 1;
        }
    });
    if uses == 1 && is_repeated(rel, cte) { 2 } else { uses }
}

/// Whether the one use stands in a subquery, a lateral side or a recursive step.
fn is_repeated(rel: &Rel, cte: usize) -> bool {
    let mut found = false;
    tree::each_rel_deep(rel, &mut |r| {
        tree::each_expr(r, &mut |e| {
            tree::walk(e, &mut |e| {
                if let Expr::Subquery(sub) = e {
                    found = found || scans(&sub.rel, cte);
                }
            });
        });
        match r {
            Rel::Join { right, lateral: true, .. } => found = found || scans(right, cte),
            Rel::Recursive { step, .. } => found = found || scans(step, cte),
            _ => {}
        }
    });
    found
}

fn scans(rel: &Rel, cte: usize) -> bool {
    let mut found = false;
    tree::each_rel_deep(rel, &mut |r| {
        found = found || matches!(r, Rel::CteScan { cte: used, .. } if *used == cte);
    });
    found
}

fn replace(rel: &mut Rel, cte: usize, query: &mut Option<Rel>) {
    if let Rel::CteScan { cte: used, columns } = rel
        && *used == cte
    {
        if let Some(query) = query.take() {
            *rel = renamed(query, std::mem::take(columns));
        }
        return;
    }
    tree::each_input_mut(rel, &mut |input| replace(input, cte, query));
}

/// `query` with its columns under other ids.
fn renamed(query: Rel, columns: Vec<Column>) -> Rel {
    let made = query.columns();
    let exprs = made
        .into_iter()
        .zip(columns)
        .map(|(from, to)| (Expr::Column(from.id, from.ty), to))
        .collect();
    Rel::Project { input: Box::new(query), exprs }
}
