//! The qualification of a row that UPDATE or DELETE found: every condition between its table and
//! the statement.
//!
//! When a row turns out to have a newer version, PostgreSQL evaluates the qualification again
//! over that version and the other tables' rows as they were. The conditions are gathered before
//! any rewrite moves them, and the columns of other tables that they use are kept in the source.

use std::collections::{HashMap, HashSet};

use crate::plan::tree;
use crate::sql::bound::{ColId, Column, Expr, JoinKind, Rel};

/// The conditions on the way from the top of `source` down to the scan that makes `row_key`.
pub fn of(source: &Rel, row_key: ColId) -> Vec<Expr> {
    let mut out = Vec::new();
    descend(source, row_key, &mut out);
    out
}

fn makes(rel: &Rel, row_key: ColId) -> bool {
    let mut found = false;
    tree::each_rel_deep(rel, &mut |r| {
        found = found || matches!(r, Rel::Scan(scan) if scan.row_key == Some(row_key));
    });
    found
}

fn descend(rel: &Rel, row_key: ColId, out: &mut Vec<Expr>) {
    match rel {
        Rel::Scan(scan) => out.extend(scan.filter.iter().cloned()),
        Rel::Filter { input, predicate } => {
            descend(input, row_key, out);
            out.extend(tree::conjuncts(predicate.clone()));
        }
        Rel::Join { left, right, on, kind, .. } => {
            let side = if makes(left, row_key) { left } else { right };
            descend(side, row_key, out);
            if matches!(kind, JoinKind::Inner | JoinKind::Semi) {
                out.extend(on.clone().into_iter().flat_map(tree::conjuncts));
            }
        }
        Rel::Project { input, exprs } => {
            // Conditions above may use computed columns; below they are what they stand for.
            let map: HashMap<ColId, Expr> = exprs.iter().map(|(e, c)| (c.id, e.clone())).collect();
            out.iter_mut().for_each(|e| tree::substitute(e, &map));
            descend(input, row_key, out);
        }
        Rel::Sort { input, .. } | Rel::With { body: input, .. } => descend(input, row_key, out),
        _ => {}
    }
}

/// Lets the columns `wanted` through the projections of `source`.
pub fn expose(source: &mut Rel, wanted: &HashSet<ColId>) {
    match source {
        Rel::Project { input, exprs } => {
            let have: HashSet<ColId> = exprs.iter().map(|(_, c)| c.id).collect();
            let below: Vec<Column> = input.columns();
            for column in below.into_iter().filter(|c| wanted.contains(&c.id)) {
                if !have.contains(&column.id) {
                    exprs.push((Expr::Column(column.id, column.ty), column));
                }
            }
            expose(input, wanted);
        }
        Rel::Filter { input, .. } | Rel::Sort { input, .. } => expose(input, wanted),
        _ => {}
    }
}
