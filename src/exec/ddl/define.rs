//! Defaults and conditions as descriptors keep them: bound once, then printed with every cast and
//! parenthesis, as PostgreSQL's `pg_get_expr` prints them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Runner;
use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::plan::explain::deparse::Names;
use crate::plan::scalar::compile::{Compiler, Scope};
use crate::plan::scalar::{Env, NoSubresults, Scalar, Stop};
use crate::sql::ast::{ExprKind, SqlValue, TypeName};
use crate::sql::bind::Binder;
use crate::sql::bind::level::Clause;
use crate::sql::bound::{ColId, Column, Expr, Rel};
use crate::sql::ddl::SourceExpr;
use crate::sql::walk;
use crate::types::descriptor::{ColumnDescriptor, ColumnId, TableDescriptor};
use crate::types::{Datum, SqlType};

/// A condition as a descriptor keeps it.
pub(super) struct Condition {
    /// Its text.
    pub text: String,
    /// The columns it uses.
    pub columns: Vec<ColumnId>,
}

/// An expression over rows of a table, ready to run.
pub(super) struct RowExpr {
    scalar: Scalar,
    context: EvalContext,
}

impl RowExpr {
    /// Its value for a row given in descriptor order.
    pub(super) fn value(&self, row: &[Datum]) -> Result<Datum> {
        let env = Env {
            context: &self.context,
            params: &[],
            frame: &[],
            subresults: &NoSubresults,
            row,
            right: &[],
        };
        self.scalar.eval(&env).map_err(Stop::into_error)
    }
}

/// Expressions of descriptors hold no subqueries.
struct NoScope;

impl Scope for NoScope {
    fn frame_slot(&mut self, column: ColId) -> Result<usize> {
        Err(Error::internal(format!("column {} is not of the table", column.0)))
    }

    fn subplan(&mut self, _: &Rel, _: Option<u64>) -> Result<(usize, Vec<ColId>)> {
        Err(Error::internal("a subquery in an expression of a descriptor"))
    }
}

impl Runner<'_> {
    fn compile(&self, expr: &Expr, row: &[Column]) -> Result<RowExpr> {
        let ids: Vec<ColId> = row.iter().map(|c| c.id).collect();
        let mut compiler = Compiler { row: &ids, right: &[], scope: &mut NoScope };
        let scalar = compiler.compile(expr)?;
        // Sequences that this statement made are there too.
        let catalog = Arc::new(self.change.snapshot().clone());
        Ok(RowExpr { scalar, context: EvalContext { catalog, ..self.eval.clone() } })
    }

    pub(super) fn binder(&self) -> Binder<'_> {
        Binder::new(self.change.snapshot(), self.eval, self.text.clone(), Vec::new())
    }

    /// The type that a name means.
    pub(super) fn resolve_type(&self, ty: &TypeName) -> Result<SqlType> {
        self.binder().resolve_type(ty)
    }

    /// A DEFAULT as it is stored; none if it is NULL.
    pub(super) fn default_text(
        &self,
        source: &SourceExpr,
        ty: SqlType,
        column: &str,
    ) -> Result<Option<String>> {
        if let Some(word) = written_value(&source.expr.kind) {
            // It must still fit the column.
            self.bind_default(source, ty, column)?;
            return Ok(Some(word.to_owned()));
        }
        let expr = self.bind_default(source, ty, column)?;
        let expr = without_implicit(expr);
        match expr {
            Expr::Literal(Datum::Null, _) => Ok(None),
            expr => Ok(Some(Names::default().expr(&expr))),
        }
    }

    fn bind_default(&self, source: &SourceExpr, ty: SqlType, column: &str) -> Result<Expr> {
        let mut binder = self.binder();
        let bound = binder.scoped(|b| b.bind_in(&source.expr, Clause::ColumnDefault));
        let bound = bound.map_err(|e| match e.code() {
            SqlState::UNDEFINED_COLUMN | SqlState::UNDEFINED_TABLE => {
                let position = e.fields().position.unwrap_or(0);
                let message = "cannot use column reference in DEFAULT expression";
                Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(position)
            }
            _ => e,
        })?;
        let from = bound.ty();
        let assigned = binder.coerce_assign(bound, ty, column, source.expr.at);
        let assigned = assigned.map_err(|e| match e.code() {
            SqlState::DATATYPE_MISMATCH => Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{column}\" is of type {ty} but default expression is of type {from}"
                ),
            )
            .with_hint("You will need to rewrite or cast the expression."),
            _ => e,
        })?;
        refuse_parameters(&binder)?;
        Ok(assigned)
    }

    /// A CHECK condition over the columns of a table, as it is stored.
    pub(super) fn condition(
        &self,
        source: &SourceExpr,
        table: &TableDescriptor,
    ) -> Result<Condition> {
        let mut binder = self.binder();
        let row = binder.scoped(|b| Ok(b.row_of(table)))?;
        let bound = binder.scoped(|b| {
            b.add_row(&table.name, &row, false);
            b.where_clause(Some(&source.expr), Clause::Check, "CHECK")
        })?;
        refuse_parameters(&binder)?;
        let Some(mut bound) = bound else {
            return Err(Error::internal("a condition that is not there"));
        };
        let columns = columns_of(&mut bound, &row);
        Ok(Condition { text: names(&row, table).expr(&bound), columns })
    }

    /// A stored condition with other names for the columns.
    pub(super) fn renamed_condition(
        &self,
        text: &str,
        old: &TableDescriptor,
        new: &TableDescriptor,
    ) -> Result<String> {
        let (bound, row) = self.stored_condition(text, old)?;
        Ok(names(&row, new).expr(&bound))
    }

    fn stored_condition(&self, text: &str, table: &TableDescriptor) -> Result<(Expr, Vec<Column>)> {
        let mut binder = self.binder();
        let row = binder.scoped(|b| Ok(b.row_of(table)))?;
        let bound = binder.scoped(|b| {
            b.add_row(&table.name, &row, false);
            b.check_condition(text)
        })?;
        Ok((bound, row))
    }

    /// A stored condition, ready to be checked.
    pub(super) fn compiled_condition(
        &self,
        text: &str,
        table: &TableDescriptor,
    ) -> Result<RowExpr> {
        let (bound, row) = self.stored_condition(text, table)?;
        self.compile(&bound, &row)
    }

    /// A stored default, ready to be evaluated.
    pub(super) fn compiled_default(&self, column: &ColumnDescriptor) -> Result<RowExpr> {
        let mut binder = self.binder();
        let bound = binder.default_value(column.default.as_deref(), column.ty, &column.name)?;
        self.compile(&bound, &[])
    }

    /// Whether a stored default gives another value for each row.
    pub(super) fn default_is_volatile(&self, column: &ColumnDescriptor) -> Result<bool> {
        let mut binder = self.binder();
        let bound = binder.default_value(column.default.as_deref(), column.ty, &column.name)?;
        Ok(crate::sql::bind::expr::volatility(&bound) == crate::functions::Volatility::Volatile)
    }

    /// A column's old value as its new type: USING, or the cast that assignment does.
    pub(super) fn compiled_conversion(
        &self,
        using: Option<&SourceExpr>,
        table: &TableDescriptor,
        column: &ColumnDescriptor,
        ty: SqlType,
        position: u32,
    ) -> Result<RowExpr> {
        let mut binder = self.binder();
        let row = binder.scoped(|b| Ok(b.row_of(table)))?;
        let bound = match using {
            Some(source) => binder.scoped(|b| {
                b.add_row(&table.name, &row, false);
                b.bind_in(&source.expr, Clause::AlterColumnType)
            })?,
            None => {
                let at = row.iter().find(|c| c.origin.is_some_and(|o| o.1 == column.id));
                let Some(old) = at else { return Err(Error::internal("no such column")) };
                Expr::Column(old.id, old.ty)
            }
        };
        let converted = binder.coerce_assign(bound, ty, &column.name, 0).map_err(|e| {
            if e.code() != SqlState::DATATYPE_MISMATCH {
                return e;
            }
            let how = if using.is_some() { "result of USING clause for column" } else { "column" };
            let error = Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("{how} \"{}\" cannot be cast automatically to type {ty}", column.name),
            );
            match using {
                Some(_) => error.with_hint("You might need to add an explicit cast."),
                None => error.with_hint(format!(
                    "You might need to specify \"USING {}::{ty}\".",
                    crate::catalog::quote_ident(&column.name)
                )),
            }
            .at(position)
        })?;
        refuse_parameters(&binder)?;
        self.compile(&converted, &row)
    }
}

/// SQL's values of the environment stay as they are written: their functions have other names.
fn written_value(kind: &ExprKind) -> Option<&'static str> {
    match kind {
        ExprKind::Value(SqlValue::CurrentTimestamp(None)) => Some("CURRENT_TIMESTAMP"),
        ExprKind::Value(SqlValue::CurrentDate) => Some("CURRENT_DATE"),
        ExprKind::Value(SqlValue::LocalTimestamp(None)) => Some("LOCALTIMESTAMP"),
        ExprKind::Value(SqlValue::CurrentTime(None)) => Some("CURRENT_TIME"),
        ExprKind::Value(SqlValue::LocalTime(None)) => Some("LOCALTIME"),
        ExprKind::Value(SqlValue::CurrentUser) => Some("CURRENT_USER"),
        ExprKind::Value(SqlValue::CurrentRole) => Some("CURRENT_ROLE"),
        ExprKind::Value(SqlValue::SessionUser) => Some("SESSION_USER"),
        ExprKind::Value(SqlValue::User) => Some("USER"),
        _ => None,
    }
}

/// The value without the casts that assignment adds: they are added again when it is read.
fn without_implicit(expr: Expr) -> Expr {
    match expr {
        Expr::Cast { expr, explicit: false, .. } => without_implicit(*expr),
        Expr::Literal(value, ty) => Expr::Literal(value, ty.plain()),
        expr => expr,
    }
}

pub(super) fn refuse_parameters(binder: &Binder<'_>) -> Result<()> {
    match binder.parameter_types() {
        Ok(types) if types.is_empty() => Ok(()),
        _ => Err(Error::new(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1")),
    }
}

/// The columns that an expression uses, ascending.
fn columns_of(expr: &mut Expr, row: &[Column]) -> Vec<ColumnId> {
    let mut used = BTreeSet::new();
    walk::columns(expr, &mut |id| {
        let column = row.iter().find(|c| c.id == id);
        used.extend(column.and_then(|c| c.origin).map(|(_, id)| id));
    });
    used.into_iter().collect()
}

/// The names that a table's columns have, for the ids they were bound under.
fn names(row: &[Column], table: &TableDescriptor) -> Names {
    Names::of_columns(row.iter().filter_map(|c| {
        let column = table.column_by_id(c.origin?.1)?;
        Some((c.id, column.name.as_str()))
    }))
}
