//! Rewrites of the bound tree that keep its meaning and make it cheaper to run.
//!
//! In order: constants are folded; CTEs used once are put in their place; subqueries become
//! joins; conditions move down; columns that nobody uses are dropped. Each is a function over the
//! whole tree; none needs another to be right.

mod cte;
mod decorrelate;
mod fold;
mod prune;
mod pushdown;
mod qualification;

use std::collections::HashSet;

use super::{PlanSettings, tree};
use crate::error::Result;
use crate::sql::bound::{Delete, Expr, Insert, Rel, Statement, Update};

/// Rewrites a statement. Gives the qualification of an UPDATE's or DELETE's target row, as it
/// stood before: what must still hold for a newer version of the row.
pub fn rewrite(statement: &mut Statement, settings: &PlanSettings<'_>) -> Result<Recheck> {
    fold::statement(statement, settings.eval)?;
    cte::hoist(statement);
    Ok(rewrite_folded(statement))
}

/// Conditions of one statement, and of those in its WITH.
#[derive(Default)]
pub struct Recheck {
    /// Of the statement.
    pub own: Vec<Expr>,
    /// Of the queries of its WITH, in their order.
    pub ctes: Vec<Vec<Expr>>,
}

fn rewrite_folded(statement: &mut Statement) -> Recheck {
    let own = match statement {
        Statement::Query(rel) => {
            query(rel);
            prune::all(rel);
            Vec::new()
        }
        Statement::Insert(insert) => {
            rewrite_insert(insert);
            Vec::new()
        }
        Statement::Update(update) => rewrite_update(update),
        Statement::Delete(delete) => rewrite_delete(delete),
        Statement::With(with) => {
            let ctes = with.ctes.iter_mut().map(|(_, cte)| rewrite_folded(cte).own).collect();
            return Recheck { own: rewrite_folded(&mut with.main).own, ctes };
        }
    };
    Recheck { own, ctes: Vec::new() }
}

/// Rewrites a query for the column path: every subquery that can be a join becomes one, because
/// nothing is looked up by its key there.
///
/// # Errors
/// What folding constants raises.
pub fn rewrite_wide(rel: &mut Rel, settings: &PlanSettings<'_>) -> Result<()> {
    fold::relation(rel, settings.eval)?;
    cte::inline(rel);
    decorrelate::relation(rel, false);
    pushdown::relation(rel);
    prune::all(rel);
    Ok(())
}

/// Rewrites a relation, columns not yet dropped.
fn query(rel: &mut Rel) {
    cte::inline(rel);
    decorrelate::relation(rel, true);
    pushdown::relation(rel);
}

/// Rewrites the subqueries of an expression.
fn expression(expr: &mut Expr) {
    tree::each_operand_mut(expr, &mut |e| expression(e));
    if let Expr::Subquery(sub) = expr {
        query(&mut sub.rel);
        prune::subquery(sub);
    }
}

fn rewrite_insert(insert: &mut Insert) {
    query(&mut insert.source);
    prune::all(&mut insert.source);
    for (e, _) in &mut insert.returning.exprs {
        expression(e);
    }
    if let Some(update) = insert.on_conflict.as_mut().and_then(|c| c.update.as_mut()) {
        update.assignments.iter_mut().for_each(|(_, e)| expression(e));
        update.filter.iter_mut().for_each(expression);
    }
}

fn rewrite_update(update: &mut Update) -> Vec<Expr> {
    let target: HashSet<_> = update.target.iter().map(|c| c.id).collect();
    let mut recheck = qualification::of(&update.source, update.row_key);
    update.assignments.iter_mut().for_each(|(_, e)| expression(e));
    update.returning.exprs.iter_mut().for_each(|(e, _)| expression(e));
    let new_row: HashSet<_> = update.new_row.iter().map(|c| c.id).collect();
    let mut used = HashSet::from([update.row_key]);
    let exprs = update.assignments.iter().map(|(_, e)| e);
    let exprs = exprs.chain(update.returning.exprs.iter().map(|(e, _)| e)).chain(&recheck);
    exprs.for_each(|e| tree::add_expr_columns(e, &mut used));
    used.retain(|c| !target.contains(c) && !new_row.contains(c));
    qualification::expose(&mut update.source, &used);
    query(&mut update.source);
    prune::relation(&mut update.source, &used);
    recheck.iter_mut().for_each(expression);
    recheck
}

fn rewrite_delete(delete: &mut Delete) -> Vec<Expr> {
    let target: HashSet<_> = delete.target.iter().map(|c| c.id).collect();
    let mut recheck = qualification::of(&delete.source, delete.row_key);
    delete.returning.exprs.iter_mut().for_each(|(e, _)| expression(e));
    let mut used = HashSet::from([delete.row_key]);
    let exprs = delete.returning.exprs.iter().map(|(e, _)| e).chain(&recheck);
    exprs.for_each(|e| tree::add_expr_columns(e, &mut used));
    used.retain(|c| !target.contains(c));
    qualification::expose(&mut delete.source, &used);
    query(&mut delete.source);
    prune::relation(&mut delete.source, &used);
    recheck.iter_mut().for_each(expression);
    recheck
}
