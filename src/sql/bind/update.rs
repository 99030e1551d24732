//! UPDATE and DELETE.
//!
//! Clauses are bound in PostgreSQL's order: FROM, WHERE, RETURNING, then SET.

use super::super::ast::{
    self, Assignment, Delete as AstDelete, Expr as Ast, ExprKind, FromItem, Ident, Offset,
    Update as AstUpdate,
};
use super::super::bound::{
    Column, Delete, Expr, JoinKind, Rel, Returning, Statement, Subquery, SubqueryKind, Update,
};
use super::super::walk;
use super::insert::always_generated;
use super::level::Clause;
use super::write::WriteTarget;
use super::{Binder, expr::volatility};
use crate::error::{Error, Result, SqlState};
use crate::functions::Volatility;
use crate::types::descriptor::{ColumnDescriptor, ColumnId, Identity, TableDescriptor};

/// Which rows a statement writes.
struct Sought<'a> {
    /// FROM, USING
    more: &'a [FromItem],
    /// WHERE
    filter: Option<&'a Ast>,
}

impl Binder<'_> {
    /// Binds UPDATE; gives what RETURNING produces too.
    pub(super) fn bind_update(&mut self, update: &AstUpdate) -> Result<(Statement, Vec<Column>)> {
        self.scoped(|b| {
            let with = b.with_queries(update.with.as_ref())?;
            let target = b.add_target(&update.table, update.alias.as_ref())?;
            b.check_writable(&target.table, &update.table)?;
            let rows = Sought { more: &update.from, filter: update.filter.as_ref() };
            let source = b.rows_to_write(&target, rows, update.current_of.as_ref())?;
            let new_row = b.row_of(&target.table);
            let returning = b.returning_new(&update.returning, &new_row)?;
            let assignments = b.assignments(&update.assignments, &target.table)?;
            let checks = b.checks(&target.table, &new_row)?;
            let source = b.source_of(source, &target, update.current_of.as_ref());
            let outputs = returning.exprs.iter().map(|(_, column)| column.clone()).collect();
            let bound = Update {
                table: target.table,
                target: target.columns,
                source: b.wrap(with, source),
                row_key: target.row_key,
                assignments,
                checks,
                new_row,
                returning,
            };
            Ok((Statement::Update(Box::new(bound)), outputs))
        })
    }

    /// Binds DELETE; gives what RETURNING produces too.
    pub(super) fn bind_delete(&mut self, delete: &AstDelete) -> Result<(Statement, Vec<Column>)> {
        self.scoped(|b| {
            let with = b.with_queries(delete.with.as_ref())?;
            let target = b.add_target(&delete.table, delete.alias.as_ref())?;
            b.check_writable(&target.table, &delete.table)?;
            let rows = Sought { more: &delete.using, filter: delete.filter.as_ref() };
            let source = b.rows_to_write(&target, rows, delete.current_of.as_ref())?;
            let returning = b.returning(&delete.returning)?;
            let source = b.source_of(source, &target, delete.current_of.as_ref());
            let outputs = returning.exprs.iter().map(|(_, column)| column.clone()).collect();
            let bound = Delete {
                table: target.table,
                target: target.columns,
                source: b.wrap(with, source),
                row_key: target.row_key,
                returning,
            };
            Ok((Statement::Delete(Box::new(bound)), outputs))
        })
    }

    /// The target's scan joined with FROM or USING, filtered by WHERE. For WHERE CURRENT OF what
    /// stands beside the target, if anything.
    fn rows_to_write(
        &mut self,
        target: &WriteTarget,
        sought: Sought<'_>,
        current_of: Option<&Ident>,
    ) -> Result<Option<Rel>> {
        let mut lateral = false;
        let mut more = None;
        if !sought.more.is_empty() {
            let mark = self.mark();
            more = self.more_sources(sought.more)?;
            lateral = self.is_lateral(mark);
        }
        if current_of.is_some() {
            return Ok(more);
        }
        let mut rel = Rel::Scan(Box::new(target.scan.clone()));
        if let Some(right) = more {
            let (left, right) = (Box::new(rel), Box::new(right));
            rel = Rel::Join { left, right, kind: JoinKind::Inner, on: None, lateral };
        }
        Ok(Some(match self.where_clause(sought.filter, Clause::Where, "WHERE")? {
            Some(predicate) => Rel::Filter { input: Box::new(rel), predicate },
            None => rel,
        }))
    }

    /// The rows to write; of a cursor, once all parameters are known.
    fn source_of(
        &mut self,
        rows: Option<Rel>,
        target: &WriteTarget,
        current_of: Option<&Ident>,
    ) -> Rel {
        match (current_of, rows) {
            (None, Some(rows)) => rows,
            (None, None) => Rel::Scan(Box::new(target.scan.clone())),
            (Some(cursor), more) => self.current_row(target, cursor, more),
        }
    }

    /// RETURNING, where the target's columns are those of the row as it will be stored.
    fn returning_new(&mut self, targets: &[ast::Target], new_row: &[Column]) -> Result<Returning> {
        let before = self.level().sources.clone();
        if let Some(source) = self.level().sources.first_mut() {
            for (visible, new) in source.columns.iter_mut().zip(new_row) {
                visible.expr = Expr::Column(new.id, new.ty);
            }
        }
        let returning = self.returning(targets);
        self.level().sources = before;
        returning
    }

    /// SET. 42601 for a column assigned twice.
    pub(super) fn assignments(
        &mut self,
        assignments: &[Assignment],
        table: &TableDescriptor,
    ) -> Result<Vec<(ColumnId, Expr)>> {
        let mut bound: Vec<(ColumnId, Expr)> = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            let values = self.assignment(assignment, table)?;
            for (id, value) in values {
                if bound.iter().any(|(other, _)| *other == id) {
                    let name = table.column_by_id(id).map_or("", |c| &c.name);
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("multiple assignments to same column \"{name}\""),
                    ));
                }
                bound.push((id, value));
            }
        }
        Ok(bound)
    }

    fn assignment(
        &mut self,
        assignment: &Assignment,
        table: &TableDescriptor,
    ) -> Result<Vec<(ColumnId, Expr)>> {
        let value = &assignment.value;
        if !assignment.multiple {
            let Some(name) = assignment.columns.first() else {
                return Err(Error::internal("an assignment to nothing"));
            };
            return Ok(vec![self.set_column(name, value, table)?]);
        }
        match &value.kind {
            ExprKind::Row(items) => {
                self.check_count(assignment.columns.len(), items.len(), value.at)?;
                let pairs = assignment.columns.iter().zip(items);
                pairs.map(|(name, item)| self.set_column(name, item, table)).collect()
            }
            ExprKind::Query(query) => self.set_from_query(&assignment.columns, query, value, table),
            _ => Err(self.error(
                SqlState::FEATURE_NOT_SUPPORTED,
                "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
                value.start(),
            )),
        }
    }

    fn check_count(&self, columns: usize, values: usize, at: Offset) -> Result<()> {
        if columns == values {
            return Ok(());
        }
        let message = "number of columns does not match number of values";
        Err(self.error(SqlState::SYNTAX_ERROR, message, at))
    }

    fn set_column(
        &mut self,
        name: &Ident,
        value: &Ast,
        table: &TableDescriptor,
    ) -> Result<(ColumnId, Expr)> {
        let column = self.target_column(table, name)?;
        if matches!(value.kind, ExprKind::Default) {
            return Ok((column.id, self.column_default(column)?));
        }
        let bound = self.assigned_value(value, Clause::UpdateSource, column.ty, &column.name)?;
        refuse_generated(column)?;
        Ok((column.id, bound))
    }

    /// `(a, b) = (SELECT x, y …)`: one scalar subquery for each column.
    fn set_from_query(
        &mut self,
        names: &[Ident],
        query: &ast::Query,
        value: &Ast,
        table: &TableDescriptor,
    ) -> Result<Vec<(ColumnId, Expr)>> {
        let mut set = Vec::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            let column = self.target_column(table, name)?;
            refuse_generated(column)?;
            let mut bound =
                self.in_clause(Clause::UpdateSource, |b| b.sub_query(query, value.at))?;
            self.check_count(names.len(), bound.columns.len(), value.at)?;
            if names.len() > 1 && is_volatile(&mut bound.rel) {
                let what = "assigning several columns from a query with volatile functions";
                return Err(self.unsupported(what, value.at));
            }
            let output = bound.columns.swap_remove(place);
            let ty = output.ty;
            let id = self.new_column(output.name.clone(), ty);
            let exprs = vec![(Expr::Column(output.id, ty), id)];
            let rel = Rel::Project { input: Box::new(bound.rel), exprs };
            let subquery = Subquery { kind: SubqueryKind::Scalar, rel, ty };
            let expr = Expr::Subquery(Box::new(subquery));
            let expr = self.coerce_assign(expr, column.ty, &column.name, value.at)?;
            set.push((column.id, expr));
        }
        Ok(set)
    }
}

/// 428C9 for a column whose values only its identity makes.
fn refuse_generated(column: &ColumnDescriptor) -> Result<()> {
    if column.identity != Some(Identity::Always) {
        return Ok(());
    }
    Err(Error::new(
        SqlState::GENERATED_ALWAYS,
        format!("column \"{}\" can only be updated to DEFAULT", column.name),
    )
    .with_detail(always_generated(&column.name)))
}

/// Whether a relation calls a volatile function.
fn is_volatile(rel: &mut Rel) -> bool {
    let mut found = false;
    walk::expressions_mut(rel, &mut |expr| {
        found |= volatility(expr) == Volatility::Volatile;
    });
    found
}
