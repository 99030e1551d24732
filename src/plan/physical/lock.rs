//! `FOR UPDATE` and its kin: where in a query rows are locked.
//!
//! Rows are locked above the sort and below the limit and the projection, as PostgreSQL does: a
//! row that the limit cuts off is not locked, and columns are computed from the version that was
//! locked. So the projections above a locked table are moved above the lock; below it every
//! column that a condition uses is still in the row, and conditions can be checked again over
//! newest versions.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Planner, Want, ids};
use crate::encoding::table::TableCodec;
use crate::error::{Error, Result};
use crate::kv::LockMode;
use crate::plan::node::{LockRowsPlan, LockTarget, Op, PlanNode};
use crate::plan::tree;
use crate::sql::bound::{ColId, Column, Expr, JoinKind, Rel, RowLock, Scan, SortKey};
use crate::types::descriptor::ColumnId;

/// A query level taken apart: what is computed last, the order, and the rest.
struct Level<'r> {
    outputs: Option<Vec<(Expr, Column)>>,
    sort: Option<Vec<SortKey>>,
    input: &'r Rel,
}

/// Whether a table of this query level is locked.
pub(super) fn has_lock(rel: &Rel) -> bool {
    match rel {
        Rel::Project { input, .. } | Rel::Sort { input, .. } => has_lock(input),
        other => {
            let mut found = false;
            each_locked(other, &mut |_, _| found = true);
            found
        }
    }
}

impl Planner<'_> {
    /// Plans a query level with locked tables.
    pub(super) fn lock_rows(&mut self, rel: &Rel, want: &Want) -> Result<PlanNode> {
        let level = peel(rel);
        let mut input = level.input.clone();
        let mut locked: Vec<(Scan, RowLock)> = Vec::new();
        each_locked_mut(&mut input, &mut |scan| {
            let Some(lock) = scan.lock.take() else { return };
            // Ids from the top of their range are not used by the binder.
            let fresh = ColId(u32::MAX - scan.columns.first().map_or(0, |(_, c)| c.id.0));
            scan.row_key.get_or_insert(fresh);
            locked.push((scan.clone(), lock));
        });
        for (scan, _) in &locked {
            super::foreign::refuse_lock(scan)?;
            // Against DDL that moves or drops the rows that are locked.
            self.tables.push((scan.table.clone(), LockMode::KeyShare));
        }
        let order = level.sort.as_deref().and_then(super::order_of).unwrap_or_default();
        let below = Want { order, rows: want.rows, top: None };
        let mut node = self.build(&input, &below)?;
        if let Some(keys) = &level.sort {
            node = self.sorted(node, keys, &Want::default())?;
        }
        node = self.lock_node(node, &input, &locked)?;
        match level.outputs {
            Some(exprs) => self.projected(node, &exprs),
            None => Ok(self.in_order(node, &ids(&rel.columns()))),
        }
    }

    fn lock_node(
        &mut self,
        input: PlanNode,
        rel: &Rel,
        locked: &[(Scan, RowLock)],
    ) -> Result<PlanNode> {
        let row = input.columns.clone();
        let place = |id: ColId| {
            row.iter()
                .position(|c| *c == id)
                .ok_or_else(|| Error::internal("locked table without its columns"))
        };
        let mut targets = Vec::with_capacity(locked.len());
        for (scan, lock) in locked {
            let codec = Arc::new(TableCodec::new(&scan.table)?);
            let wanted: Vec<ColumnId> = scan.columns.iter().map(|(id, _)| *id).collect();
            let row_key = scan.row_key.ok_or_else(|| Error::internal("no row key"))?;
            targets.push(LockTarget {
                table: scan.table.clone(),
                decoder: codec.decoder(&wanted)?,
                codec,
                lock: *lock,
                row_key: place(row_key)?,
                places: scan.columns.iter().map(|(_, c)| place(c.id)).collect::<Result<_>>()?,
            });
        }
        let mut conditions = Vec::new();
        gather(rel, &mut conditions);
        let recheck = self.scalars(&conditions, &row)?;
        let (rows, cost, order) = (input.rows, input.cost, input.order.clone());
        let plan = LockRowsPlan { input, targets, recheck };
        let mut out = self.node(Op::LockRows(Arc::new(plan)), row.to_vec(), rows, cost);
        out.order = order;
        Ok(out)
    }
}

fn peel(rel: &Rel) -> Level<'_> {
    match rel {
        Rel::Project { input, exprs } => {
            let level = peel(input);
            let mut outputs = exprs.clone();
            if let Some(map) = substitution(&level) {
                outputs.iter_mut().for_each(|(e, _)| tree::substitute(e, &map));
            }
            Level { outputs: Some(outputs), ..level }
        }
        Rel::Sort { input, keys } => {
            let level = peel(input);
            let mut keys = keys.clone();
            if let Some(map) = substitution(&level) {
                keys.iter_mut().for_each(|k| tree::substitute(&mut k.expr, &map));
            }
            Level { sort: Some(keys), ..level }
        }
        input => Level { outputs: None, sort: None, input },
    }
}

fn substitution(level: &Level<'_>) -> Option<HashMap<ColId, Expr>> {
    let outputs = level.outputs.as_ref()?;
    Some(outputs.iter().map(|(e, c)| (c.id, e.clone())).collect())
}

/// The locked tables of one query level: through filters and joins, not where rows are
/// null-extended.
fn each_locked(rel: &Rel, f: &mut dyn FnMut(&Scan, RowLock)) {
    match rel {
        Rel::Scan(scan) => {
            if let Some(lock) = scan.lock {
                f(scan, lock);
            }
        }
        Rel::Filter { input, .. } => each_locked(input, f),
        Rel::Join { left, right, kind, .. } => {
            if *kind != JoinKind::Full {
                each_locked(left, f);
            }
            if *kind == JoinKind::Inner {
                each_locked(right, f);
            }
        }
        _ => {}
    }
}

fn each_locked_mut(rel: &mut Rel, f: &mut dyn FnMut(&mut Scan)) {
    match rel {
        Rel::Scan(scan) => f(scan),
        Rel::Filter { input, .. } => each_locked_mut(input, f),
        Rel::Join { left, right, kind, .. } => {
            if *kind != JoinKind::Full {
                each_locked_mut(left, f);
            }
            if *kind == JoinKind::Inner {
                each_locked_mut(right, f);
            }
        }
        _ => {}
    }
}

/// The conditions that every row of a query level satisfies.
fn gather(rel: &Rel, out: &mut Vec<Expr>) {
    match rel {
        Rel::Scan(scan) => out.extend(scan.filter.iter().cloned()),
        Rel::Filter { input, predicate } => {
            gather(input, out);
            out.extend(tree::conjuncts(predicate.clone()));
        }
        Rel::Join { left, right, kind, on, lateral } => {
            if *kind != JoinKind::Full {
                gather(left, out);
            }
            if *kind == JoinKind::Inner && !lateral {
                gather(right, out);
            }
            if *kind == JoinKind::Inner {
                out.extend(on.clone().into_iter().flat_map(tree::conjuncts));
            }
        }
        _ => {}
    }
}
