//! UNION, INTERSECT, EXCEPT, and VALUES.

use std::sync::Arc;

use super::super::ast::{Distinct, Expr as Ast, Offset, Query, QueryBody, SetOperation};
use super::super::bound::{Column, Expr, Rel, SetOp};
use super::common::{common_modifier, common_type};
use super::from::scope_column;
use super::level::Clause;
use super::order::Top;
use super::scope::Source;
use super::target::Output;
use super::{Binder, BoundQuery};
use crate::error::{Error, Result, SqlState};
use crate::types::SqlType;

/// The two sides of a set operation with columns of common types.
pub(super) struct Matched {
    pub left: Rel,
    pub right: Rel,
    pub names: Vec<Arc<str>>,
    pub types: Vec<SqlType>,
}

impl Binder<'_> {
    /// A set operation with what stands around it.
    pub(super) fn set_operation(
        &mut self,
        query: &Query,
        operation: &SetOperation,
    ) -> Result<BoundQuery> {
        let name = set_name(operation.op);
        if let Some(lock) = query.locks.first() {
            return Err(self.locks_with(lock, "UNION/INTERSECT/EXCEPT"));
        }
        // Where a recursive query may not name itself.
        let (left_barrier, right_barrier) = match (operation.op, operation.all) {
            (SetOp::Intersect, true) => (Some("INTERSECT"), Some("INTERSECT")),
            (SetOp::Except, true) => (Some("EXCEPT"), Some("EXCEPT")),
            (SetOp::Except, false) => (None, Some("EXCEPT")),
            _ => (None, None),
        };
        let side = |b: &mut Self, query: &Query, barrier: Option<&'static str>| match barrier {
            Some(place) => b.recursion_barrier(place, |b| b.set_side(query)),
            None => b.set_side(query),
        };
        let left = side(self, &operation.left, left_barrier)?;
        let right = side(self, &operation.right, right_barrier)?;
        let matched = self.match_columns(left, right, operation, name)?;
        if !(operation.op == SetOp::Union && operation.all) {
            for (i, ty) in matched.types.iter().enumerate() {
                let at = self.target_place(&operation.left, i);
                self.require_equality(*ty, at)?;
            }
        }
        let mut columns = Vec::with_capacity(matched.types.len());
        for (name, ty) in matched.names.into_iter().zip(matched.types) {
            columns.push(self.new_column(name, ty));
        }
        let rel = Rel::SetOp {
            op: operation.op,
            all: operation.all,
            left: Box::new(matched.left),
            right: Box::new(matched.right),
            columns: columns.clone(),
        };
        self.around_columns(query, rel, columns, true)
    }

    /// One side; literals of unknown type stay so until both sides are known.
    fn set_side(&mut self, query: &Query) -> Result<BoundQuery> {
        self.query(query, false)
    }

    /// ORDER BY and LIMIT over columns that exist already. `only`: ORDER BY may name these alone.
    fn around_columns(
        &mut self,
        query: &Query,
        mut rel: Rel,
        columns: Vec<Column>,
        only: bool,
    ) -> Result<BoundQuery> {
        self.adopt(&columns);
        let outputs = columns.iter().map(|column| Output {
            expr: Expr::Column(column.id, column.ty),
            name: column.name.clone(),
            origin: column.origin,
            at: 0,
            uses: (0, 0),
            junk: false,
        });
        let mut outputs: Vec<Output> = outputs.collect();
        let mut source =
            Source::new(Arc::from("*SELECT*"), columns.iter().map(scope_column).collect());
        source.by_name = false;
        self.level().sources.push(source);
        let order = match only {
            true => self.order_columns(query, &mut outputs)?,
            false => self.order_by(&query.order_by, &mut outputs)?,
        };
        self.level().sources.clear();
        let limit = self.limit(query)?;
        let top = Top {
            order,
            distinct: &Distinct::No,
            distinct_on: Vec::new(),
            limit,
            with_ties: query.with_ties.is_some(),
        };
        if outputs.len() > columns.len() {
            let exprs = self.project(&outputs);
            rel = Rel::Project { input: Box::new(rel), exprs };
        }
        let junk: Vec<bool> = outputs.iter().map(|o| o.junk).collect();
        let rel = self.finish(rel, &junk, top);
        Ok(BoundQuery { rel, columns })
    }

    /// Brings the columns of both sides to their common types.
    pub(super) fn match_columns(
        &mut self,
        left: BoundQuery,
        right: BoundQuery,
        operation: &SetOperation,
        name: &str,
    ) -> Result<Matched> {
        if left.columns.len() != right.columns.len() {
            let message = format!("each {name} query must have the same number of columns");
            let at = self.target_place(&operation.right, 0);
            return Err(self.error(SqlState::SYNTAX_ERROR, message, at));
        }
        let names = left.columns.iter().map(|c| c.name.clone()).collect();
        let mut types = Vec::with_capacity(left.columns.len());
        for (i, (a, b)) in left.columns.iter().zip(&right.columns).enumerate() {
            let pair = [a.ty, b.ty];
            let mut common = common_type(pair).map_err(|mismatch| {
                let at = self.target_place(&operation.right, i);
                self.error(SqlState::DATATYPE_MISMATCH, mismatch.message(name), at)
            })?;
            common.typmod = common_modifier(pair, common);
            types.push(common);
        }
        let left = self.as_types(left, &types, &operation.left, name)?;
        let right = self.as_types(right, &types, &operation.right, name)?;
        Ok(Matched { left, right, names, types })
    }

    /// A query's relation with its columns as these types.
    fn as_types(
        &mut self,
        bound: BoundQuery,
        types: &[SqlType],
        query: &Query,
        name: &str,
    ) -> Result<Rel> {
        let same = bound.columns.iter().zip(types).all(|(c, ty)| c.ty.same(*ty));
        if same {
            return Ok(bound.rel);
        }
        let BoundQuery { mut rel, columns } = bound;
        self.literals_as_types(&mut rel, &columns, types, query)?;
        let now = rel.columns();
        if now.iter().zip(types).all(|(c, ty)| c.ty.same(*ty)) {
            return Ok(rel);
        }
        let mut exprs = Vec::with_capacity(now.len());
        for (i, (column, ty)) in now.iter().zip(types).enumerate() {
            let value = Expr::Column(column.id, column.ty);
            if column.ty.same(*ty) {
                exprs.push((value, column.clone()));
                continue;
            }
            let at = self.target_place(query, i);
            let value = self.coerce_to_common(value, *ty, name, at)?;
            exprs.push((value, self.new_column(column.name.clone(), *ty)));
        }
        Ok(Rel::Project { input: Box::new(rel), exprs })
    }

    /// Gives the literals and parameters of unknown type that a query computes their types.
    fn literals_as_types(
        &mut self,
        rel: &mut Rel,
        columns: &[Column],
        types: &[SqlType],
        query: &Query,
    ) -> Result<()> {
        for (i, (column, ty)) in columns.iter().zip(types).enumerate() {
            if column.ty.same(SqlType::UNKNOWN) {
                let at = self.target_place(query, i);
                self.type_column(rel, column.id, *ty, at)?;
            }
        }
        Ok(())
    }

    /// Gives a column of unknown type its type, where it is computed and on the way up.
    pub(super) fn type_column(
        &mut self,
        rel: &mut Rel,
        id: super::ColId,
        ty: SqlType,
        at: Offset,
    ) -> Result<()> {
        match rel {
            Rel::Project { input, exprs } => {
                for (expr, column) in exprs.iter_mut().filter(|(_, c)| c.id == id) {
                    column.ty = ty;
                    match expr {
                        Expr::Column(source, from) => {
                            *from = ty;
                            let source = *source;
                            self.type_column(input, source, ty, at)?;
                        }
                        _ => {
                            let value = std::mem::replace(expr, Expr::Row(Vec::new(), None));
                            *expr = self.coerce(value, ty, at)?;
                        }
                    }
                }
            }
            Rel::Values { rows, columns } => {
                let Some(place) = columns.iter().position(|c| c.id == id) else { return Ok(()) };
                columns[place].ty = ty;
                for row in rows {
                    let value = std::mem::replace(&mut row[place], Expr::Row(Vec::new(), None));
                    row[place] = self.coerce(value, ty, at)?;
                }
            }
            Rel::SetOp { left, right, columns, .. } => {
                let Some(place) = columns.iter().position(|c| c.id == id) else { return Ok(()) };
                columns[place].ty = ty;
                for side in [left, right] {
                    let inner = side.columns()[place].id;
                    self.type_column(side, inner, ty, at)?;
                }
            }
            Rel::Sort { input, keys } => {
                self.type_column(input, id, ty, at)?;
                for key in keys {
                    if let Expr::Column(own, from) = &mut key.expr
                        && *own == id
                    {
                        *from = ty;
                    }
                }
            }
            Rel::Filter { input, .. }
            | Rel::Distinct { input, .. }
            | Rel::Limit { input, .. }
            | Rel::With { body: input, .. } => self.type_column(input, id, ty, at)?,
            _ => {}
        }
        Ok(())
    }

    /// Outputs of unknown type become text.
    pub(super) fn resolve_outputs(&mut self, mut bound: BoundQuery) -> Result<BoundQuery> {
        for column in &mut bound.columns {
            if column.ty.same(SqlType::UNKNOWN) {
                self.type_column(&mut bound.rel, column.id, SqlType::TEXT, 0)?;
                column.ty = SqlType::TEXT;
            }
        }
        Ok(bound)
    }

    /// Where the output at `index` of a query stands.
    pub(super) fn target_place(&self, query: &Query, index: usize) -> Offset {
        match &query.body {
            QueryBody::Select(select) => {
                select.targets.get(index).or(select.targets.last()).map_or(0, |t| t.expr.start())
            }
            QueryBody::Values(rows) => {
                rows.first().and_then(|row| row.get(index)).map_or(0, Ast::start)
            }
            QueryBody::SetOp(operation) => self.target_place(&operation.left, index),
        }
    }

    /// VALUES with what stands around it.
    pub(super) fn values_query(&mut self, query: &Query, rows: &[Vec<Ast>]) -> Result<BoundQuery> {
        if let Some(lock) = query.locks.first() {
            let message = format!("{} cannot be applied to VALUES", super::select::lock_name(lock));
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let width = rows.first().map_or(0, Vec::len);
        let mut bound: Vec<Vec<Expr>> = Vec::with_capacity(rows.len());
        for row in rows {
            if row.len() != width {
                let message = "VALUES lists must all be the same length";
                let at = row.first().map_or(0, Ast::start);
                return Err(self.error(SqlState::SYNTAX_ERROR, message, at));
            }
            let exprs = row.iter().map(|ast| self.bind_in(ast, Clause::Values));
            bound.push(exprs.collect::<Result<_>>()?);
        }
        let mut columns = Vec::with_capacity(width);
        for i in 0..width {
            let places: Vec<Offset> = rows.iter().map(|row| row[i].start()).collect();
            let name: Arc<str> = format!("column{}", i + 1).into();
            let taken = bound
                .iter_mut()
                .map(|row| std::mem::replace(&mut row[i], Expr::Row(Vec::new(), None)));
            let taken = taken.collect();
            let (exprs, ty) = self.unify(taken, &places, "VALUES")?;
            for (row, expr) in bound.iter_mut().zip(exprs) {
                row[i] = expr;
            }
            columns.push(self.new_column(name, ty));
        }
        let rel = Rel::Values { rows: bound, columns: columns.clone() };
        self.around_columns(query, rel, columns, false)
    }
}

fn set_name(op: SetOp) -> &'static str {
    match op {
        SetOp::Union => "UNION",
        SetOp::Intersect => "INTERSECT",
        SetOp::Except => "EXCEPT",
    }
}
