//! Subqueries in expressions.

use super::super::ast::{self, Expr as Ast, ExprKind, Offset, OperatorName};
use super::super::bound::{Column, Expr, Rel, Subquery, SubqueryKind};
use super::expr::negate_if;
use super::level::Clause;
use super::{Binder, BoundQuery, operator_name};
use crate::error::{Error, Result, SqlState};
use crate::types::{SqlType, pg_type};

impl Binder<'_> {
    pub(super) fn subquery(&mut self, ast: &Ast) -> Result<Expr> {
        let at = ast.at;
        match &ast.kind {
            ExprKind::Exists(query) => {
                let bound = self.sub_query(query, at)?;
                Ok(as_value(SubqueryKind::Exists, bound.rel, SqlType::BOOL))
            }
            ExprKind::Query(query) => {
                let bound = self.sub_query(query, at)?;
                let ty = self.only_column(&bound, at)?;
                Ok(as_value(SubqueryKind::Scalar, bound.rel, ty))
            }
            ExprKind::ArrayQuery(query) => {
                let bound = self.sub_query(query, at)?;
                let element = self.only_column(&bound, at)?;
                let ty = pg_type::array_of(element.plain()).ok_or_else(|| {
                    let message = format!("could not find array type for data type {element}");
                    self.error(SqlState::UNDEFINED_OBJECT, message, at)
                })?;
                Ok(as_value(SubqueryKind::Array, bound.rel, ty))
            }
            ExprKind::InQuery(left, query, negated) => {
                let any = self.quantified(left, &operator_name("="), true, query, at)?;
                Ok(negate_if(*negated, any))
            }
            ExprKind::AnyAllQuery(left, name, any, query) => {
                self.quantified(left, name, *any, query, at)
            }
            _ => Err(Error::internal("not a subquery")),
        }
    }

    /// Binds a query one level further in.
    pub(super) fn sub_query(&mut self, query: &ast::Query, at: Offset) -> Result<BoundQuery> {
        if let Some(message) = self.clause().refuses_subqueries() {
            return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, at));
        }
        self.recursion_barrier("a subquery", |b| b.query(query, true))
    }

    fn only_column(&self, bound: &BoundQuery, at: Offset) -> Result<SqlType> {
        match bound.columns.as_slice() {
            [one] => Ok(one.ty),
            _ => {
                let message = "subquery must return only one column";
                Err(self.error(SqlState::SYNTAX_ERROR, message, at))
            }
        }
    }

    /// `left op ANY|ALL (query)`
    fn quantified(
        &mut self,
        left: &Ast,
        name: &OperatorName,
        any: bool,
        query: &ast::Query,
        at: Offset,
    ) -> Result<Expr> {
        let (lefts, is_row) = match &left.kind {
            ExprKind::Row(items) => (self.row_fields(items)?, true),
            _ => (vec![(self.expr(left)?, left.at)], false),
        };
        let bound = self.sub_query(query, at)?;
        let count = bound.columns.len();
        if lefts.len() != count {
            let message = match lefts.len() < count {
                true => "subquery has too many columns",
                false => "subquery has too few columns",
            };
            return Err(self.error(SqlState::SYNTAX_ERROR, message, at));
        }
        // `<> ALL` of rows is NOT (= ANY); other orders of rows have no form here.
        if is_row && count > 1 {
            match (&*name.name, any) {
                ("=", true) => {}
                ("<>", false) => {
                    let same = self.compare_each(lefts, &operator_name("="), true, bound, at)?;
                    return Ok(Expr::Not(Box::new(same)));
                }
                _ => return Err(self.unsupported("this comparison of rows with a subquery", at)),
            }
        }
        self.compare_each(lefts, name, any, bound, at)
    }

    fn compare_each(
        &mut self,
        lefts: Vec<(Expr, Offset)>,
        name: &OperatorName,
        any: bool,
        mut bound: BoundQuery,
        at: Offset,
    ) -> Result<Expr> {
        let mut left = Vec::with_capacity(lefts.len());
        let mut functions = Vec::with_capacity(lefts.len());
        let mut rights = Vec::with_capacity(lefts.len());
        let mut coerced = false;
        for ((expr, place), column) in lefts.into_iter().zip(&bound.columns) {
            let right = Expr::Column(column.id, column.ty);
            let (function, expr, right) = self.comparison(name, expr, right, at, [place, at])?;
            if !function.result.same(SqlType::BOOL) {
                let message = format!(
                    "row comparison operator must yield type boolean, not type {}",
                    function.result
                );
                return Err(self.error(SqlState::DATATYPE_MISMATCH, message, at));
            }
            coerced |= !matches!(right, Expr::Column(..));
            left.push(expr);
            functions.push(function);
            rights.push(right);
        }
        if coerced {
            let exprs = rights.into_iter().zip(&bound.columns).map(|(expr, column)| {
                let ty = expr.ty();
                (expr, Column { id: column.id, name: column.name.clone(), ty, origin: None })
            });
            let mut exprs: Vec<(Expr, Column)> = exprs.collect();
            for (expr, column) in &mut exprs {
                if !matches!(expr, Expr::Column(..)) {
                    let name = column.name.clone();
                    *column = self.new_column(name, column.ty);
                }
            }
            bound.rel = Rel::Project { input: Box::new(bound.rel), exprs };
        }
        let kind = SubqueryKind::AnyAll { any, left, functions };
        Ok(as_value(kind, bound.rel, SqlType::BOOL))
    }

    /// `(a, b) op (query)`: the query's one row compared with the left one.
    pub(super) fn compare_row_with_query(
        &mut self,
        name: &OperatorName,
        lefts: &[Ast],
        query: &ast::Query,
        at: Offset,
    ) -> Result<Expr> {
        let lefts = self.row_fields(lefts)?;
        let bound = self.sub_query(query, at)?;
        if lefts.len() != bound.columns.len() {
            let message = match lefts.len() < bound.columns.len() {
                true => "subquery has too many columns",
                false => "subquery has too few columns",
            };
            return Err(self.error(SqlState::SYNTAX_ERROR, message, at));
        }
        let rights = bound.columns.iter().map(|c| (Expr::Column(c.id, c.ty), at)).collect();
        let test = self.compare_rows(name, lefts, rights, at)?;
        let column = self.new_column("?column?".into(), SqlType::BOOL);
        let rel = Rel::Project { input: Box::new(bound.rel), exprs: vec![(test, column)] };
        Ok(as_value(SubqueryKind::Scalar, rel, SqlType::BOOL))
    }

    /// What may not be seen from inside another query's FROM.
    pub(super) fn in_clause<T>(
        &mut self,
        clause: Clause,
        f: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let before = std::mem::replace(&mut self.level().clause, clause);
        let result = f(self);
        self.level().clause = before;
        result
    }
}

fn as_value(kind: SubqueryKind, rel: Rel, ty: SqlType) -> Expr {
    Expr::Subquery(Box::new(Subquery { kind, rel, ty }))
}
