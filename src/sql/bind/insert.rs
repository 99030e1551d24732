//! INSERT.
//!
//! ```text
//! scoped level: WITH ── source (the target is named but not visible) ── ON CONFLICT ── RETURNING
//! ```
//!
//! The source comes out with one column for each column of the table, defaults filled in. Each
//! value of a VALUES list is brought to its column's type by itself, as PostgreSQL does.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::super::ast::{
    self, Expr as Ast, ExprKind, Ident, Insert as AstInsert, Offset, Query, QueryBody,
};
use super::super::bound::{Column, Expr, Insert, Rel, Statement};
use super::level::Clause;
use super::write::WriteTarget;
use super::{Binder, BoundQuery, ColId};
use crate::catalog::descriptor::oids;
use crate::error::{Error, Result, SqlState};
use crate::types::descriptor::{
    ColumnDescriptor, ColumnId, Identity, RelationKind, TableDescriptor,
};
use crate::types::{Datum, SqlType};

/// What a column of a new row gets.
enum Value {
    /// Its default.
    Default,
    /// A value of its type.
    Given(Expr),
}

impl Binder<'_> {
    /// Binds INSERT; gives what RETURNING produces too.
    pub(super) fn bind_insert(&mut self, insert: &AstInsert) -> Result<(Statement, Vec<Column>)> {
        self.scoped(|b| {
            let with = b.with_queries(insert.with.as_ref())?;
            let target = b.add_target(&insert.table, insert.alias.as_ref())?;
            b.check_writable(&target.table, &insert.table)?;
            let columns = b.insert_columns(insert, &target.table)?;
            // The source cannot name the target, but messages can.
            let visible = std::mem::take(&mut b.level().sources);
            let source = b.insert_source(insert, &target, &columns)?;
            b.level().sources = visible;
            let on_conflict = match &insert.on_conflict {
                Some(conflict) => Some(b.on_conflict(conflict, &target)?),
                None => None,
            };
            let checks = b.checks(&target.table, &target.columns)?;
            let returning = b.returning(&insert.returning)?;
            let outputs = returning.exprs.iter().map(|(_, column)| column.clone()).collect();
            let bound = Insert {
                table: target.table,
                target: target.columns,
                source: b.wrap(with, source),
                checks,
                filter: None,
                on_conflict,
                returning,
            };
            Ok((Statement::Insert(Box::new(bound)), outputs))
        })
    }

    /// Binds the INSERT of one row that COPY FROM is, and the WHERE that a row has to meet; that
    /// one stands in `text`.
    pub fn bind_copy(
        &mut self,
        insert: &AstInsert,
        filter: Option<&ast::Expr>,
        text: Arc<str>,
    ) -> Result<super::Bound> {
        let (mut statement, columns) = self.bind_insert(insert)?;
        if let (Statement::Insert(insert), Some(filter)) = (&mut statement, filter) {
            self.text = text;
            self.without_parameters = true;
            insert.filter = Some(self.scoped(|b| {
                b.add_row(&insert.table.name, &insert.target, false);
                let bound = b.bind_in(filter, Clause::CopyWhere)?;
                b.condition(bound, "WHERE", filter.start())
            })?);
        }
        let parameters = self.parameter_types()?;
        Ok(super::Bound { statement, columns, parameters, current_of: None })
    }

    /// 42501 for the system's own relations.
    pub(super) fn check_writable(
        &self,
        table: &TableDescriptor,
        name: &ast::QualifiedName,
    ) -> Result<()> {
        if table.kind != RelationKind::Virtual {
            return Ok(());
        }
        let _ = name;
        if table.id.0 >= oids::FIRST_USER {
            let message = format!("cannot change sequence \"{}\"", table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied for table {}", table.name),
        )
        .with_detail("System catalog modifications are currently disallowed."))
    }

    /// The CHECK constraints of a table over a row's columns.
    pub(super) fn checks(
        &mut self,
        table: &TableDescriptor,
        row: &[Column],
    ) -> Result<Vec<(String, Expr)>> {
        if table.checks.is_empty() {
            return Ok(Vec::new());
        }
        self.scoped(|b| {
            b.add_row(&table.name, row, false);
            let bound = table.checks.iter().map(|check| {
                let condition = b.check_condition(&check.expr)?;
                Ok((check.name.clone(), condition))
            });
            bound.collect()
        })
    }

    /// The column of that name. 42703 if there is none.
    pub(super) fn target_column<'t>(
        &self,
        table: &'t TableDescriptor,
        name: &Ident,
    ) -> Result<&'t ColumnDescriptor> {
        table.column(&name.name).ok_or_else(|| {
            let message =
                format!("column \"{}\" of relation \"{}\" does not exist", name.name, table.name);
            self.error(SqlState::UNDEFINED_COLUMN, message, name.at)
        })
    }

    /// Which columns the source's values are for: all, if none are written.
    fn insert_columns(&self, insert: &AstInsert, table: &TableDescriptor) -> Result<Vec<ColumnId>> {
        let Some(names) = &insert.columns else {
            return Ok(table.columns.iter().map(|c| c.id).collect());
        };
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let column = self.target_column(table, name)?;
            if columns.contains(&column.id) {
                let message = format!("column \"{}\" specified more than once", name.name);
                return Err(self.error(SqlState::DUPLICATE_COLUMN, message, name.at));
            }
            columns.push(column.id);
        }
        Ok(columns)
    }

    fn insert_source(
        &mut self,
        insert: &AstInsert,
        target: &WriteTarget,
        columns: &[ColumnId],
    ) -> Result<Rel> {
        match &insert.source {
            None => self.value_rows(insert, target, columns, &[Vec::new()]),
            Some(query) => match plain_values(query) {
                Some(rows) => self.value_rows(insert, target, columns, rows),
                None => self.query_rows(insert, target, columns, query),
            },
        }
    }

    /// VALUES, or DEFAULT VALUES as one row without values.
    fn value_rows(
        &mut self,
        insert: &AstInsert,
        target: &WriteTarget,
        columns: &[ColumnId],
        rows: &[Vec<Ast>],
    ) -> Result<Rel> {
        let width = rows.first().map_or(0, Vec::len);
        if let Some(row) = rows.iter().find(|row| row.len() != width) {
            let at = row.first().map_or(0, Ast::start);
            let message = "VALUES lists must all be the same length";
            return Err(self.error(SqlState::SYNTAX_ERROR, message, at));
        }
        if insert.source.is_some() {
            let first = rows.first().map_or(&[][..], Vec::as_slice);
            let excess = first.get(columns.len()).map(Ast::start);
            self.check_width(insert, columns.len(), width, excess, row_width(first))?;
        }
        let clause = if rows.len() == 1 { Clause::InsertValues } else { Clause::Values };
        let mut bound = Vec::with_capacity(rows.len());
        for row in rows {
            let mut values = Vec::with_capacity(row.len());
            for (ast, id) in row.iter().zip(columns) {
                let column = column(&target.table, *id)?;
                values.push((*id, self.value(insert, ast, clause, column)?));
            }
            bound.push(self.row_values(target, values)?);
        }
        if let Some(set) = self.level().sets.first() {
            let at = set.call.position;
            return Err(Error::unsupported("a set-returning function in VALUES").at(at));
        }
        let columns = self.fresh_columns(&target.table);
        Ok(Rel::Values { rows: bound, columns })
    }

    fn value(
        &mut self,
        insert: &AstInsert,
        ast: &Ast,
        clause: Clause,
        column: &ColumnDescriptor,
    ) -> Result<Value> {
        if matches!(ast.kind, ExprKind::Default) {
            return Ok(Value::Default);
        }
        let bound = self.assigned_value(ast, clause, column.ty, &column.name)?;
        self.given(insert, column, bound)
    }

    /// A value given for a column: identity columns take it or not.
    fn given(&self, insert: &AstInsert, column: &ColumnDescriptor, value: Expr) -> Result<Value> {
        match (column.identity, insert.overriding) {
            (Some(_), Some(false)) => Ok(Value::Default),
            (Some(Identity::Always), None) => Err(Error::new(
                SqlState::GENERATED_ALWAYS,
                format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name),
            )
            .with_detail(always_generated(&column.name))
            .with_hint("Use OVERRIDING SYSTEM VALUE to override.")),
            _ => Ok(Value::Given(value)),
        }
    }

    /// A row in descriptor order.
    fn row_values(
        &mut self,
        target: &WriteTarget,
        mut values: Vec<(ColumnId, Value)>,
    ) -> Result<Vec<Expr>> {
        let mut row = Vec::with_capacity(target.table.columns.len());
        for column in &target.table.columns {
            let given = values.iter().position(|(id, _)| *id == column.id);
            row.push(match given.map(|at| values.swap_remove(at).1) {
                Some(Value::Given(value)) => value,
                Some(Value::Default) | None => self.column_default(column)?,
            });
        }
        Ok(row)
    }

    /// A column's default as a value of its type.
    pub(super) fn column_default(&mut self, column: &ColumnDescriptor) -> Result<Expr> {
        self.default_value(column.default.as_deref(), column.ty, &column.name)
    }

    fn fresh_columns(&mut self, table: &TableDescriptor) -> Vec<Column> {
        let columns = table.columns.iter();
        columns.map(|c| self.new_column(c.name.as_str().into(), c.ty)).collect()
    }

    /// INSERT … SELECT.
    fn query_rows(
        &mut self,
        insert: &AstInsert,
        target: &WriteTarget,
        columns: &[ColumnId],
        query: &Query,
    ) -> Result<Rel> {
        let BoundQuery { mut rel, columns: made } = self.bind_query_unresolved(query)?;
        let place = |at: usize| target_places(query).get(at).copied().unwrap_or(query.at);
        let excess = (made.len() > columns.len()).then(|| place(columns.len()));
        self.check_width(insert, columns.len(), made.len(), excess, None)?;
        let mut values = Vec::with_capacity(made.len());
        for (i, (output, id)) in made.iter().zip(columns).enumerate() {
            let column = column(&target.table, *id)?;
            // A literal of unknown type takes the column's, wherever the query carries it.
            let value = match take_unknown(&mut rel, output.id) {
                Some(literal) => literal,
                None => Expr::Column(output.id, output.ty),
            };
            let value = self.coerce_assign(value, column.ty, &column.name, place(i))?;
            values.push((*id, self.given(insert, column, value)?));
        }
        let row = self.row_values(target, values)?;
        let columns = self.fresh_columns(&target.table);
        let exprs = row.into_iter().zip(columns).collect();
        Ok(Rel::Project { input: Box::new(rel), exprs })
    }

    /// 42601 where values and columns do not pair up.
    fn check_width(
        &self,
        insert: &AstInsert,
        columns: usize,
        values: usize,
        excess: Option<Offset>,
        row_width: Option<usize>,
    ) -> Result<()> {
        if values > columns {
            let message = "INSERT has more expressions than target columns";
            return Err(self.error(SqlState::SYNTAX_ERROR, message, excess.unwrap_or_default()));
        }
        if let Some(names) = &insert.columns
            && values < columns
        {
            let at = names.get(values).map_or(0, |name| name.at);
            let message = "INSERT has more target columns than expressions";
            let error = self.error(SqlState::SYNTAX_ERROR, message, at);
            return Err(match row_width == Some(columns) {
                true => error.with_hint(
                    "The insertion source is a row expression containing the same number of \
                     columns expected by the INSERT. Did you accidentally use extra parentheses?",
                ),
                false => error,
            });
        }
        Ok(())
    }
}

/// The detail of errors about identity columns.
pub(super) fn always_generated(column: &str) -> String {
    format!("Column \"{column}\" is an identity column defined as GENERATED ALWAYS.")
}

fn column(table: &TableDescriptor, id: ColumnId) -> Result<&ColumnDescriptor> {
    table.column_by_id(id).ok_or_else(|| Error::internal("a target column that is not there"))
}

/// The rows of a query that is nothing but VALUES.
fn plain_values(query: &Query) -> Option<&[Vec<Ast>]> {
    let plain = query.with.is_none()
        && query.order_by.is_empty()
        && query.limit.is_none()
        && query.offset.is_none()
        && query.locks.is_empty();
    match &query.body {
        QueryBody::Values(rows) if plain => Some(rows),
        _ => None,
    }
}

/// How many fields the only value has, if that is a row.
fn row_width(row: &[Ast]) -> Option<usize> {
    match row {
        [Ast { kind: ExprKind::Row(fields), .. }] => Some(fields.len()),
        _ => None,
    }
}

/// Where the outputs of a query's first SELECT stand.
fn target_places(query: &Query) -> Vec<Offset> {
    match &query.body {
        QueryBody::Select(select) => select.targets.iter().map(|t| t.expr.start()).collect(),
        QueryBody::Values(rows) => rows.first().into_iter().flatten().map(Ast::start).collect(),
        QueryBody::SetOp(operation) => target_places(&operation.left),
    }
}

/// Takes the literal or parameter of unknown type that an output is out of its projection.
fn take_unknown(rel: &mut Rel, id: ColId) -> Option<Expr> {
    match rel {
        Rel::Filter { input, .. } | Rel::Sort { input, .. } | Rel::Limit { input, .. } => {
            take_unknown(input, id)
        }
        Rel::Distinct { input, .. } => take_unknown(input, id),
        Rel::With { body, .. } => take_unknown(body, id),
        Rel::Project { input, exprs } => {
            let (expr, _) = exprs.iter_mut().find(|(_, column)| column.id == id)?;
            match expr {
                Expr::Literal(_, SqlType::UNKNOWN) | Expr::Param(_, SqlType::UNKNOWN) => {
                    // One value for all rows: what stands there instead tells no rows apart.
                    let null = Expr::Literal(Datum::Null, SqlType::TEXT);
                    Some(std::mem::replace(expr, null))
                }
                Expr::Column(inner, _) => {
                    let inner = *inner;
                    take_unknown(input, inner)
                }
                _ => None,
            }
        }
        _ => None,
    }
}
