//! INSERT, UPDATE, DELETE.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Planner, Want, ids};
use crate::encoding::table::{IndexCodec, TableCodec};
use crate::error::{Error, Result};
use crate::kv::LockMode;
use crate::plan::access::{Access, KeyPart};
use crate::plan::node::{
    CheckSpec, ConflictSpec, ConflictUpdateSpec, DeletePlan, Found, InsertPlan, Op, PlanNode,
    ScanPlan, Target, TargetIndex, UpdatePlan, place_of,
};
use crate::plan::route::scans;
use crate::plan::scalar::{Scalar, Scalars};
use crate::sql::bound::{
    ColId, ConflictUpdate, Delete, Expr, Insert, OnConflict, Returning, Update,
};
use crate::types::descriptor::{ColumnId, RelationKind, TableDescriptor};

impl Planner<'_> {
    /// What every writing statement knows of its table.
    fn target(&mut self, table: &Arc<TableDescriptor>) -> Result<Target> {
        let codec = Arc::new(TableCodec::new(table)?);
        let all: Vec<ColumnId> = table.columns.iter().map(|c| c.id).collect();
        let decoder = codec.decoder(&all)?;
        let indexes = table
            .indexes
            .iter()
            .map(|index| {
                Ok(TargetIndex {
                    index: index.clone(),
                    codec: IndexCodec::new(table, index)?,
                    places: places(table, index.columns.iter().map(|c| c.column))?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let not_null = table.columns.iter().enumerate();
        let not_null = not_null.filter(|(_, c)| c.not_null).map(|(i, _)| i).collect();
        let key = places(table, table.primary.columns.iter().map(|c| c.column))?;
        self.tables.push((table.clone(), LockMode::Share));
        Ok(Target { table: table.clone(), codec, decoder, indexes, not_null, key })
    }

    fn checks(&mut self, checks: &[(String, Expr)], row: &[ColId]) -> Result<Vec<CheckSpec>> {
        checks
            .iter()
            .map(|(name, e)| {
                let condition = self.scalar(e, row, &[])?;
                Ok(CheckSpec { name: name.clone(), condition })
            })
            .collect()
    }

    pub(super) fn returning(
        &mut self,
        returning: &Returning,
        row: &[ColId],
        right: &[ColId],
    ) -> Result<Option<Scalars>> {
        if returning.exprs.is_empty() {
            return Ok(None);
        }
        let exprs: Vec<Expr> = returning.exprs.iter().map(|(e, _)| e.clone()).collect();
        Ok(Some(self.pair(&exprs, row, right)?))
    }

    pub(super) fn write_node(
        &mut self,
        op: Op,
        returning: &Returning,
        source: (f64, f64),
    ) -> PlanNode {
        let columns = returning.exprs.iter().map(|(_, c)| c.id).collect();
        self.node(op, columns, source.0, source.1)
    }

    pub(super) fn insert(&mut self, insert: &Insert) -> Result<PlanNode> {
        if insert.table.kind == RelationKind::Foreign {
            return self.foreign_insert(insert);
        }
        let target = self.target(&insert.table)?;
        let source = self.build(&insert.source, &Want::default())?;
        let source = self.in_order(source, &ids(&insert.source.columns()));
        let row = ids(&insert.target);
        let checks = self.checks(&insert.checks, &row)?;
        let conflict =
            insert.on_conflict.as_ref().map(|c| self.conflict(c, &target, &row)).transpose()?;
        let returning = self.returning(&insert.returning, &row, &[])?;
        let size = (source.rows, source.cost);
        let filter = insert.filter.as_ref().map(|e| self.scalar(e, &row, &[])).transpose()?;
        let reads_target = scans(&insert.source).iter().any(|s| s.table.id == insert.table.id);
        let plan = InsertPlan { target, source, reads_target, checks, filter, conflict, returning };
        Ok(self.write_node(Op::Insert(Arc::new(plan)), &insert.returning, size))
    }

    fn conflict(
        &mut self,
        conflict: &OnConflict,
        target: &Target,
        row: &[ColId],
    ) -> Result<ConflictSpec> {
        let any = conflict.arbiters.is_empty();
        let chosen = |oid: u32| any || conflict.arbiters.contains(&oid);
        let primary = !target.table.hidden_key && chosen(target.table.primary.oid);
        let indexes = target.indexes.iter().enumerate();
        let indexes = indexes
            .filter(|(_, i)| i.index.unique && chosen(i.index.oid))
            .map(|(at, _)| at)
            .collect();
        let update = match &conflict.update {
            Some(update) => Some(self.conflict_update(update, &target.table, row)?),
            None => None,
        };
        Ok(ConflictSpec { primary, indexes, update })
    }

    fn conflict_update(
        &mut self,
        update: &ConflictUpdate,
        table: &TableDescriptor,
        row: &[ColId],
    ) -> Result<ConflictUpdateSpec> {
        let excluded = ids(&update.excluded);
        let assignments = self.assignments(&update.assignments, table, row, &excluded)?;
        let filter = update.filter.as_ref().map(|f| self.scalar(f, row, &excluded)).transpose()?;
        Ok(ConflictUpdateSpec { assignments, filter })
    }

    fn assignments(
        &mut self,
        list: &[(ColumnId, Expr)],
        table: &TableDescriptor,
        row: &[ColId],
        right: &[ColId],
    ) -> Result<Vec<(usize, Scalar)>> {
        list.iter()
            .map(|(column, e)| {
                let place = place_of(table, *column)
                    .ok_or_else(|| Error::internal("assignment to a column that is not there"))?;
                Ok((place, self.scalar(e, row, right)?))
            })
            .collect()
    }

    pub(super) fn update(&mut self, update: &Update, recheck: &[Expr]) -> Result<PlanNode> {
        if update.table.kind == RelationKind::Foreign {
            return self.foreign_update(update);
        }
        let target = self.target(&update.table)?;
        let source = self.build(&update.source, &Want::default())?;
        let row = ids(&update.target);
        let right = source.columns.clone();
        let assignments = self.assignments(&update.assignments, &update.table, &row, &right)?;
        let found = self.found(&source, update.row_key, recheck, &row)?;
        let new_row = ids(&update.new_row);
        let checks = self.checks(&update.checks, &new_row)?;
        let returning = self.returning(&update.returning, &new_row, &right)?;
        let assigned: HashSet<usize> = assignments.iter().map(|(p, _)| *p).collect();
        let moves = target.key.iter().any(|p| assigned.contains(p));
        let unique = target.indexes.iter().filter(|i| i.index.unique);
        let unique = unique.flat_map(|i| &i.places).any(|p| assigned.contains(p));
        let lock = if moves || unique { LockMode::Update } else { LockMode::NoKeyUpdate };
        let subqueries = assignments.iter().any(|(_, e)| e.has_subquery());
        let alone = !moves && target.is_alone(|place| assigned.contains(&place));
        let size = (source.rows, source.cost);
        let plan = UpdatePlan {
            target,
            source,
            found,
            assignments,
            subqueries,
            checks,
            returning,
            moves,
            alone,
            lock,
        };
        Ok(self.write_node(Op::Update(Arc::new(plan)), &update.returning, size))
    }

    pub(super) fn delete(&mut self, delete: &Delete, recheck: &[Expr]) -> Result<PlanNode> {
        if delete.table.kind == RelationKind::Foreign {
            return self.foreign_delete(delete);
        }
        let target = self.target(&delete.table)?;
        let source = self.build(&delete.source, &Want::default())?;
        let row = ids(&delete.target);
        let right = source.columns.clone();
        let found = self.found(&source, delete.row_key, recheck, &row)?;
        let returning = self.returning(&delete.returning, &row, &right)?;
        let size = (source.rows, source.cost);
        let plan = DeletePlan { target, source, found, returning };
        Ok(self.write_node(Op::Delete(Arc::new(plan)), &delete.returning, size))
    }

    fn found(
        &mut self,
        source: &PlanNode,
        row_key: ColId,
        recheck: &[Expr],
        row: &[ColId],
    ) -> Result<Found> {
        let place = source
            .columns
            .iter()
            .position(|c| *c == row_key)
            .ok_or_else(|| Error::internal("rows to write without their keys"))?;
        let right = source.columns.clone();
        let recheck = self.pair(recheck, row, &right)?;
        Ok(Found { row_key: place, recheck, direct: direct(source) })
    }
}

/// The source, where it is one row by its whole primary key and nothing else.
fn direct(source: &PlanNode) -> Option<Arc<ScanPlan>> {
    let Op::Scan(scan) = &source.op else { return None };
    let Access { index: None, point: true, subqueries: false, parts, .. } = &scan.access else {
        return None;
    };
    let single = |p: &KeyPart| matches!(p, KeyPart::OneOf(values) if values.len() == 1);
    (scan.filter.is_empty() && parts.iter().all(single)).then(|| scan.clone())
}

fn places(table: &TableDescriptor, columns: impl Iterator<Item = ColumnId>) -> Result<Vec<usize>> {
    columns
        .map(|id| {
            place_of(table, id).ok_or_else(|| Error::internal("key column that is not there"))
        })
        .collect()
}
