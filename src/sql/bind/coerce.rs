//! Coercions: whether one type becomes another in a context, and the expression that does it.

use super::super::ast::Offset;
use super::super::bound::Expr;
use super::Binder;
use crate::error::{Result, SqlState};
use crate::functions::{CastContext, find_cast};
use crate::types::{BaseType, Datum, SqlType};

/// Whether `from` becomes `to` in this context. Polymorphic targets are not for here.
pub fn can_coerce(from: SqlType, to: SqlType, context: CastContext) -> bool {
    from.same(to)
        || to.same(ANY)
        || from.same(SqlType::UNKNOWN)
        || find_cast(from, to).is_some_and(|cast| cast.context <= context)
}

/// The pseudo-type that takes anything as it is.
pub(super) const ANY: SqlType = SqlType::of(BaseType::Any);

impl Binder<'_> {
    /// The expression as `to`, modifiers aside. The caller knows that it can be.
    pub(super) fn coerce(&mut self, expr: Expr, to: SqlType, at: Offset) -> Result<Expr> {
        self.coerce_as(expr, to.plain(), false, at)
    }

    fn coerce_as(&mut self, expr: Expr, to: SqlType, explicit: bool, at: Offset) -> Result<Expr> {
        let from = expr.ty();
        if from.same(to) || to.same(ANY) {
            return Ok(expr);
        }
        match expr {
            Expr::Literal(Datum::Null, SqlType::UNKNOWN) => Ok(Expr::Literal(Datum::Null, to)),
            Expr::Literal(Datum::Text(text), SqlType::UNKNOWN) => {
                let value = self.read_literal(&text, to).map_err(|e| self.locate(e, at))?;
                Ok(Expr::Literal(value, to))
            }
            Expr::Param(index, SqlType::UNKNOWN) => self.decide_parameter(index, to, at),
            expr => Ok(Expr::Cast { expr: Box::new(expr), from, to, explicit, position: 0 }),
        }
    }

    /// The expression as `to` with its modifier; none if there is no such coercion.
    pub(super) fn coerce_to(
        &mut self,
        expr: Expr,
        to: SqlType,
        context: CastContext,
        at: Offset,
    ) -> Result<Option<Expr>> {
        let from = expr.ty();
        if !can_coerce(from, to, context) {
            return Ok(None);
        }
        let explicit = context == CastContext::Explicit;
        if to.base == BaseType::Interval
            && !to.is_array
            && let Expr::Literal(Datum::Text(text), SqlType::UNKNOWN) = &expr
        {
            let value = self.read_interval(text, to.typmod).map_err(|e| self.locate(e, at))?;
            return Ok(Some(Expr::Literal(value, to)));
        }
        let expr = self.coerce_as(expr, to.plain(), explicit, at)?;
        Ok(Some(with_modifier(expr, to, explicit)))
    }

    /// As [`Binder::coerce_to`], or an error that calls the expression `what`.
    pub(super) fn coerce_clause(
        &mut self,
        expr: Expr,
        to: SqlType,
        what: &str,
        at: Offset,
    ) -> Result<Expr> {
        let from = expr.ty();
        match self.coerce_to(expr, to, CastContext::Assignment, at)? {
            Some(expr) => Ok(expr),
            None => {
                let message = format!("argument of {what} must be type {to}, not type {from}");
                Err(self.error(SqlState::DATATYPE_MISMATCH, message, at))
            }
        }
    }

    /// A condition.
    pub(super) fn condition(&mut self, expr: Expr, what: &str, at: Offset) -> Result<Expr> {
        if expr.ty().same(SqlType::BOOL) {
            return Ok(expr);
        }
        self.coerce_clause(expr, SqlType::BOOL, what, at)
    }

    /// The value that is stored in a column: 42804 if its type does not become the column's.
    pub fn coerce_assign(
        &mut self,
        expr: Expr,
        to: SqlType,
        column: &str,
        at: Offset,
    ) -> Result<Expr> {
        let from = expr.ty();
        match self.coerce_to(expr, to, CastContext::Assignment, at)? {
            Some(expr) => Ok(expr),
            None => {
                let message =
                    format!("column \"{column}\" is of type {to} but expression is of type {from}");
                let error = self.error(SqlState::DATATYPE_MISMATCH, message, at);
                Err(error.with_hint("You will need to rewrite or cast the expression."))
            }
        }
    }
}

/// The expression with the modifier of `to`, whose type it has already.
fn with_modifier(expr: Expr, to: SqlType, explicit: bool) -> Expr {
    let from = expr.ty();
    if from.typmod == to.typmod {
        return expr;
    }
    match expr {
        Expr::Literal(Datum::Null, _) => Expr::Literal(Datum::Null, to),
        Expr::Literal(value, _) => {
            match crate::functions::coerce_typmod(value.clone(), to, explicit) {
                Ok(coerced) => Expr::Literal(coerced, to),
                // It is an error of the run, not of the statement.
                Err(_) => {
                    let expr = Box::new(Expr::Literal(value, from));
                    Expr::Cast { expr, from, to, explicit, position: 0 }
                }
            }
        }
        // One cast does both steps.
        Expr::Cast { expr, from: source, to: step, explicit: written, position }
            if step.typmod == -1 && !source.same(to) =>
        {
            Expr::Cast { expr, from: source, to, explicit: explicit || written, position }
        }
        expr => Expr::Cast { expr: Box::new(expr), from, to, explicit, position: 0 },
    }
}
