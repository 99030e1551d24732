//! Expressions.

use super::super::ast::{self, Expr as Ast, ExprKind, Ident, Offset, SqlValue};
use super::super::bound::{Column, Expr};
use super::super::parser::with_stack;
use super::level::{Clause, Producer};
use super::{Binder, literal, operator_name};
use crate::error::{Result, SqlState};
use crate::functions::{CastContext, Volatility};
use crate::types::{BaseType, Datum, RecordShape, SqlType};

impl Binder<'_> {
    /// Binds an expression of a clause. What is visible are the sources of the open levels.
    pub fn bind_in(&mut self, ast: &Ast, clause: Clause) -> Result<Expr> {
        let before = std::mem::replace(&mut self.level().clause, clause);
        let result = self.expr(ast);
        self.level().clause = before;
        result
    }

    /// Binds an expression.
    pub(super) fn expr(&mut self, ast: &Ast) -> Result<Expr> {
        match &ast.kind {
            ExprKind::Number(digits) => literal::number(digits).map_err(|e| self.locate(e, ast.at)),
            ExprKind::String(value) => {
                Ok(Expr::Literal(Datum::Text(value.clone()), SqlType::UNKNOWN))
            }
            ExprKind::Null => Ok(Expr::Literal(Datum::Null, SqlType::UNKNOWN)),
            ExprKind::Bool(value) => Ok(literal::boolean(*value)),
            ExprKind::Param(number) => self.parameter(*number, ast.at),
            ExprKind::Column(parts) => self.column(parts),
            _ => with_stack(|| self.compound(ast)),
        }
    }

    fn compound(&mut self, ast: &Ast) -> Result<Expr> {
        let at = ast.at;
        match &ast.kind {
            ExprKind::Binary(op, left, right) => self.binary_expr(op, left, right, at),
            ExprKind::Unary(op, operand) => {
                let bound = self.expr(operand)?;
                self.prefix(op, bound, at, operand.at)
            }
            ExprKind::And(items) => Ok(Expr::And(self.conditions(items, "AND")?)),
            ExprKind::Or(items) => Ok(Expr::Or(self.conditions(items, "OR")?)),
            ExprKind::Not(operand) => {
                let bound = self.expr(operand)?;
                Ok(Expr::Not(Box::new(self.condition(bound, "NOT", operand.start())?)))
            }
            ExprKind::IsNull(operand, negated) => self.null_test(operand, *negated),
            ExprKind::IsBool(operand, test, negated) => self.bool_test(operand, *test, *negated),
            ExprKind::IsDistinct(left, right, negated) => {
                let distinct = self.distinct(left, right, at)?;
                Ok(negate_if(*negated, distinct))
            }
            ExprKind::Between(between) => self.between(between, at),
            ExprKind::InList(operand, list, negated) => self.in_list(operand, list, *negated, at),
            ExprKind::Like(like) => {
                let (left, right) = (self.expr(&like.expr)?, self.expr(&like.pattern)?);
                let name = operator_name(like.operator);
                self.binary(&name, left, right, at, [like.expr.at, like.pattern.at])
            }
            ExprKind::AnyAll(left, op, any, array) => self.any_all(left, op, *any, array, at),
            ExprKind::InQuery(..)
            | ExprKind::AnyAllQuery(..)
            | ExprKind::Exists(_)
            | ExprKind::Query(_)
            | ExprKind::ArrayQuery(_) => self.subquery(ast),
            ExprKind::Array(items) => self.array(items, at),
            ExprKind::Row(items) => self.row(items, at),
            ExprKind::Case(case) => self.with_barrier("CASE", |b| b.case(case)),
            ExprKind::Coalesce(args) => self.with_barrier("COALESCE", |b| {
                let (args, ty) = b.common(args, "COALESCE")?;
                Ok(Expr::Coalesce(args, ty))
            }),
            ExprKind::Extreme(greatest, args) => {
                let name = if *greatest { "GREATEST" } else { "LEAST" };
                let (args, ty) = self.common(args, name)?;
                self.require_order(ty, at)?;
                Ok(Expr::Extreme { greatest: *greatest, args, ty })
            }
            ExprKind::NullIf(left, right) => self.null_if(left, right, at),
            ExprKind::Cast(operand, ty) => self.cast(operand, ty, at),
            ExprKind::Call(call) => self.call(call, at),
            ExprKind::Value(value) => self.sql_value(*value, at),
            ExprKind::Collate(operand, name) => self.collate(operand, name, at),
            ExprKind::Subscript(base, index) => self.subscript(base, index, at),
            ExprKind::Slice(base, lower, upper) => {
                self.slice(base, lower.as_deref(), upper.as_deref(), at)
            }
            ExprKind::Grouping(args) => self.grouping_call(args, at),
            _ => self.misplaced(ast),
        }
    }

    /// What the grammar takes anywhere and only some places mean something with.
    fn misplaced(&mut self, ast: &Ast) -> Result<Expr> {
        let at = ast.at;
        match &ast.kind {
            ExprKind::Default => {
                let message = "DEFAULT is not allowed in this context";
                Err(self.error(SqlState::SYNTAX_ERROR, message, at))
            }
            ExprKind::Star(qualifier) if qualifier.is_empty() => Err(self.error(
                SqlState::SYNTAX_ERROR,
                "row expansion via \"*\" is not supported here",
                at,
            )),
            ExprKind::Star(_) | ExprKind::FieldStar(_) => Err(self.error(
                SqlState::FEATURE_NOT_SUPPORTED,
                "row expansion via \"*\" is not supported here",
                at,
            )),
            ExprKind::Bits(_) => Err(self.unsupported("type bit", at)),
            ExprKind::Field(base, field) => self.field(base, field),
            _ => Err(self.unsupported("this expression", at)),
        }
    }

    /// What the fields of a row value are, where that is known.
    pub(super) fn shape_of(&self, expr: &Expr) -> Option<RecordShape> {
        match expr {
            Expr::Row(fields, names) => {
                let types = fields.iter().map(Expr::ty).collect();
                Some(RecordShape { names: names.clone(), types })
            }
            Expr::Column(id, _) => self.records.get(id).cloned(),
            _ => None,
        }
    }

    /// `(row).field`
    fn field(&mut self, base: &Ast, field: &Ident) -> Result<Expr> {
        if let ExprKind::Column(parts) = &base.kind
            && let Some((level, source)) = self.find_source(parts, parts)?
        {
            let source = self.levels[level].sources[source].clone();
            if let Some(column) = self.column_of(&source, &field.name, field.at)? {
                return Ok(column.expr);
            }
            let message = format!("column {}.{} does not exist", source.name, field.name);
            return Err(self.error(SqlState::UNDEFINED_COLUMN, message, base.at));
        }
        let bound = self.expr(base)?;
        let ty = bound.ty();
        if let Some(shape) = self.shape_of(&bound)
            && let Some(place) = shape.place_of(&field.name)
        {
            if let Expr::Row(mut fields, _) = bound {
                return Ok(fields.swap_remove(place));
            }
            let args = vec![bound, Expr::Literal(Datum::Int4(place as i32), SqlType::INT4)];
            let ty = shape.types[place];
            let function = &crate::functions::FIELD;
            return Ok(Expr::Call(super::super::bound::Call { function, args, ty, position: 0 }));
        }
        if ty.same(SqlType::RECORD) {
            let message =
                format!("could not identify column \"{}\" in record data type", field.name);
            return Err(self.error(SqlState::UNDEFINED_COLUMN, message, base.start()));
        }
        let message = format!(
            "column notation .{} applied to type {ty}, which is not a composite type",
            field.name
        );
        Err(self.error(SqlState::WRONG_OBJECT_TYPE, message, base.start()))
    }

    /// A column, or a whole row.
    fn column(&mut self, parts: &[Ident]) -> Result<Expr> {
        let Some((name, qualifier)) = parts.split_last() else {
            return Err(crate::error::Error::internal("a column without a name"));
        };
        if matches!(self.clause(), Clause::ColumnDefault) {
            let message = "cannot use column reference in DEFAULT expression";
            return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, parts[0].at));
        }
        if qualifier.is_empty() {
            if let Some(found) = self.find_column(&name.name, name.at)? {
                self.note_use(&found, name.at);
                return Ok(found.column.expr);
            }
            if let Some((level, source)) = self.find_source(parts, parts)? {
                return Ok(self.whole_row(level, source, name.at));
            }
            if &*name.name == "tableoid"
                && let [source] = self.levels.last().map_or(&[][..], |l| &l.sources)
                && let Some(oid) = self.table_oid(&source.clone(), name.at)
            {
                return Ok(oid);
            }
            return Err(self.missing_column(&[], name));
        }
        let Some((level, source)) = self.find_source(qualifier, parts)? else {
            return Err(self.missing_source(qualifier));
        };
        let column =
            self.column_of(&self.levels[level].sources[source], &name.name, parts[0].at)?;
        match column {
            Some(column) => {
                let found = super::scope::Found { column, level };
                self.note_use(&found, parts[0].at);
                Ok(found.column.expr)
            }
            None if &*name.name == "tableoid" => {
                let source = self.levels[level].sources[source].clone();
                self.table_oid(&source, parts[0].at)
                    .ok_or_else(|| self.missing_column(qualifier, name))
            }
            None => Err(self.missing_column(qualifier, name)),
        }
    }

    /// `tableoid`: the table's OID, NULL where an outer join made the row: where a column is NULL
    /// that never is. None for what is no table.
    fn table_oid(&mut self, source: &super::scope::Source, at: Offset) -> Option<Expr> {
        let table = source.table.as_ref()?;
        let place = table.columns.iter().position(|c| c.not_null)?;
        let column = source.columns.get(place)?.clone();
        let level = self.levels.len() - 1;
        self.note_use(&super::scope::Found { column: column.clone(), level }, at);
        let ty = SqlType::OID;
        let oid = Expr::Literal(Datum::Oid(table.id.0), ty);
        let is_null = Expr::IsNull(Box::new(column.expr));
        let otherwise = Box::new(oid);
        Some(Expr::Case { arms: vec![(is_null, Expr::Literal(Datum::Null, ty))], otherwise, ty })
    }

    /// The row of an item of FROM; NULL where an outer join found none.
    pub(super) fn whole_row(&mut self, level: usize, source: usize, at: Offset) -> Expr {
        let columns = self.levels[level].sources[source].columns.clone();
        let first = columns.iter().find_map(|column| match &column.expr {
            Expr::Column(id, _) => Some(*id),
            _ => None,
        });
        for column in &columns {
            let found = super::scope::Found { column: column.clone(), level };
            self.note_use(&found, at);
        }
        let row = super::call::whole_row(columns);
        let nullable = self.levels[level].sources[source].nullable && self.levels[level].selects;
        let Some(first) = first.filter(|_| nullable) else { return row };
        let known = self.levels[level].present.iter().find(|(id, _)| *id == first);
        let present = match known {
            Some((_, column)) => column.id,
            None => {
                let id = self.new_id(level, Producer::Source, at);
                let column = Column { id, name: "".into(), ty: SqlType::BOOL, origin: None };
                self.levels[level].present.push((first, column));
                id
            }
        };
        let missing = Expr::IsNull(Box::new(Expr::Column(present, SqlType::BOOL)));
        Expr::Case {
            arms: vec![(missing, Expr::Literal(Datum::Null, SqlType::RECORD))],
            otherwise: Box::new(row),
            ty: SqlType::RECORD,
        }
    }

    pub(super) fn clause(&self) -> Clause {
        self.levels.last().map_or(Clause::None, |l| l.clause)
    }

    /// Runs `f` where set-returning functions may not stand, because of `reason`.
    pub(super) fn with_barrier<T>(
        &mut self,
        reason: &'static str,
        f: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.level().set_barriers.push(reason);
        let result = f(self);
        self.level().set_barriers.pop();
        result
    }

    fn conditions(&mut self, items: &[Ast], what: &str) -> Result<Vec<Expr>> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let bound = self.expr(item)?;
            match self.condition(bound, what, item.start())? {
                Expr::And(inner) if what == "AND" => out.extend(inner),
                Expr::Or(inner) if what == "OR" => out.extend(inner),
                bound => out.push(bound),
            }
        }
        Ok(out)
    }

    fn bool_test(&mut self, operand: &Ast, test: Option<bool>, negated: bool) -> Result<Expr> {
        let what = match (test, negated) {
            (Some(true), false) => "IS TRUE",
            (Some(true), true) => "IS NOT TRUE",
            (Some(false), false) => "IS FALSE",
            (Some(false), true) => "IS NOT FALSE",
            (None, false) => "IS UNKNOWN",
            (None, true) => "IS NOT UNKNOWN",
        };
        let bound = self.expr(operand)?;
        let bound = Box::new(self.condition(bound, what, operand.start())?);
        let tested = match test {
            Some(value) => Expr::IsBool(bound, value),
            None => Expr::IsNull(bound),
        };
        Ok(negate_if(negated, tested))
    }

    /// BETWEEN is two comparisons, SYMMETRIC is BETWEEN both ways; the operand is evaluated in
    /// each, as in PostgreSQL.
    fn between(&mut self, between: &ast::Between, at: Offset) -> Result<Expr> {
        let mut pair = |low: &Ast, high: &Ast| -> Result<Expr> {
            let (first, second) = if between.negated { ("<", ">") } else { (">=", "<=") };
            let low = self.plain_binary(first, &between.expr, low, at)?;
            let high = self.plain_binary(second, &between.expr, high, at)?;
            Ok(if between.negated { Expr::Or(vec![low, high]) } else { Expr::And(vec![low, high]) })
        };
        let forward = pair(&between.low, &between.high)?;
        if !between.symmetric {
            return Ok(forward);
        }
        let backward = pair(&between.high, &between.low)?;
        let both = vec![forward, backward];
        Ok(if between.negated { Expr::And(both) } else { Expr::Or(both) })
    }

    /// A comparison by an operator of pg_catalog's, rows included.
    fn plain_binary(&mut self, symbol: &str, left: &Ast, right: &Ast, at: Offset) -> Result<Expr> {
        let name = operator_name(symbol);
        self.binary_expr(&name, left, right, at)
    }

    fn case(&mut self, case: &ast::Case) -> Result<Expr> {
        let mut operand = None;
        if let Some(ast) = &case.operand {
            let bound = self.expr(ast)?;
            // A string is text here: each WHEN compares with it.
            let bound = match bound.ty() {
                SqlType::UNKNOWN => self.coerce(bound, SqlType::TEXT, ast.at)?,
                _ => bound,
            };
            if volatility(&bound) == Volatility::Volatile {
                return Err(self.unsupported("CASE with a volatile operand", ast.start()));
            }
            operand = Some((bound, ast));
        }
        let mut conditions = Vec::with_capacity(case.arms.len());
        let mut results = Vec::with_capacity(case.arms.len() + 1);
        let mut places = Vec::with_capacity(case.arms.len() + 1);
        for (when, then, when_at) in &case.arms {
            let condition = match &operand {
                Some((operand, ast)) => {
                    let right = self.expr(when)?;
                    let equal = operator_name("=");
                    self.binary(&equal, operand.clone(), right, *when_at, [ast.at, when.at])?
                }
                None => self.expr(when)?,
            };
            conditions.push(self.condition(condition, "CASE/WHEN", when.start())?);
            results.push(self.expr(then)?);
            places.push(then.start());
        }
        // The ELSE is the first candidate for the common type.
        let otherwise = match &case.otherwise {
            Some(ast) => {
                places.insert(0, ast.start());
                self.expr(ast)?
            }
            None => {
                places.insert(0, 0);
                Expr::Literal(Datum::Null, SqlType::UNKNOWN)
            }
        };
        results.insert(0, otherwise);
        let (mut results, ty) = self.unify(results, &places, "CASE")?;
        let otherwise = Box::new(results.remove(0));
        let arms = conditions.into_iter().zip(results).collect();
        Ok(Expr::Case { arms, otherwise, ty })
    }

    /// Several expressions with their common type.
    fn common(&mut self, args: &[Ast], context: &str) -> Result<(Vec<Expr>, SqlType)> {
        let bound = args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
        let places: Vec<Offset> = args.iter().map(Ast::start).collect();
        self.unify(bound, &places, context)
    }

    fn require_order(&self, ty: SqlType, at: Offset) -> Result<()> {
        if crate::functions::less_than(ty).is_some() {
            return Ok(());
        }
        let message = format!("could not identify a comparison function for type {ty}");
        Err(self.error(SqlState::UNDEFINED_FUNCTION, message, at))
    }

    fn null_if(&mut self, left: &Ast, right: &Ast, at: Offset) -> Result<Expr> {
        let (bound, other) = (self.expr(left)?, self.expr(right)?);
        let equal = operator_name("=");
        let (function, bound, other) =
            self.comparison(&equal, bound, other, at, [left.at, right.at])?;
        // The result is the left side as the comparison took it.
        let ty = bound.ty();
        let args = vec![bound.clone(), other];
        let call = super::super::bound::Call { function, args, ty: SqlType::BOOL, position: 0 };
        let null = Expr::Literal(Datum::Null, ty);
        Ok(Expr::Case { arms: vec![(Expr::Call(call), null)], otherwise: Box::new(bound), ty })
    }

    fn cast(&mut self, operand: &Ast, name: &ast::TypeName, at: Offset) -> Result<Expr> {
        let to = self.resolve_type(name)?;
        // Elements of an array constructor are cast one by one.
        if let ExprKind::Array(items) = &operand.kind
            && to.is_array
        {
            return self.array_as(items, to, operand.at);
        }
        let bound = self.expr(operand)?;
        let from = bound.ty();
        let place = match operand.kind {
            ExprKind::String(_) | ExprKind::Param(_) => operand.at,
            _ => at,
        };
        match self.coerce_to(bound, to, CastContext::Explicit, place)? {
            Some(expr) => Ok(expr),
            None => {
                let message = format!("cannot cast type {from} to {to}");
                Err(self.error(SqlState::CANNOT_COERCE, message, at))
            }
        }
    }

    fn sql_value(&mut self, value: SqlValue, at: Offset) -> Result<Expr> {
        let (function, ty) = match value {
            SqlValue::CurrentDate => ("now", SqlType::DATE),
            SqlValue::CurrentTime(_) => {
                return Err(self.unsupported("type timetz", at));
            }
            SqlValue::CurrentTimestamp(p) => ("now", timed(BaseType::Timestamptz, p)),
            SqlValue::LocalTime(p) => ("now", timed(BaseType::Time, p)),
            SqlValue::LocalTimestamp(p) => ("now", timed(BaseType::Timestamp, p)),
            SqlValue::CurrentRole | SqlValue::CurrentUser | SqlValue::User => {
                ("current_user", SqlType::NAME)
            }
            SqlValue::SessionUser => ("session_user", SqlType::NAME),
            SqlValue::CurrentCatalog => ("current_database", SqlType::NAME),
            SqlValue::CurrentSchema => ("current_schema", SqlType::NAME),
        };
        let call = self.builtin_call(function, Vec::new(), at)?;
        match self.coerce_to(call, ty, CastContext::Explicit, at)? {
            Some(expr) => Ok(expr),
            None => Err(self.unsupported(function, at)),
        }
    }

    fn collate(&mut self, operand: &Ast, name: &[Ident], at: Offset) -> Result<Expr> {
        let bound = self.expr(operand)?;
        let schema_ok = name.len() < 2 || &*name[name.len() - 2].name == "pg_catalog";
        let collation = name.last().map_or("", |n| &*n.name);
        if !schema_ok || !matches!(collation, "default" | "C" | "POSIX" | "ucs_basic") {
            return Err(self.unsupported(format_args!("collation \"{collation}\""), at));
        }
        let ty = bound.ty();
        let collatable = matches!(
            ty.base,
            BaseType::Text | BaseType::Varchar | BaseType::Bpchar | BaseType::Name
        );
        if ty.same(SqlType::UNKNOWN) {
            return self.coerce(bound, SqlType::TEXT, operand.at);
        }
        if !collatable {
            let message = format!("collations are not supported by type {ty}");
            return Err(self.error(SqlState::DATATYPE_MISMATCH, message, at));
        }
        Ok(bound)
    }

    /// `array[lower:upper]`
    fn slice(
        &mut self,
        base: &Ast,
        lower: Option<&Ast>,
        upper: Option<&Ast>,
        at: Offset,
    ) -> Result<Expr> {
        let array = self.expr(base)?;
        let ty = array.ty();
        if ty.same(SqlType::JSONB) {
            let message = "jsonb subscript does not support slices";
            let at = lower.or(upper).map_or(at, Ast::start);
            return Err(self.error(SqlState::DATATYPE_MISMATCH, message, at));
        }
        let nested = matches!(base.kind, ExprKind::Slice(..) | ExprKind::Subscript(..));
        if nested || matches!(ty.base, BaseType::Int2Vector | BaseType::OidVector) {
            return Err(self.unsupported("a slice of more than one dimension", at));
        }
        if !ty.is_array {
            return Err(self.no_subscripts(ty, base));
        }
        let mut args = vec![array];
        for bound in [lower, upper] {
            args.push(match bound {
                Some(bound) => self.array_index(bound)?,
                None => Expr::Literal(Datum::Null, SqlType::INT4),
            });
        }
        args.extend([lower, upper].map(|bound| literal::boolean(bound.is_some())));
        let function = &crate::functions::SLICE;
        let ty = ty.plain();
        Ok(Expr::Call(super::super::bound::Call { function, args, ty, position: 0 }))
    }

    fn no_subscripts(&self, ty: SqlType, base: &Ast) -> crate::error::Error {
        let message =
            format!("cannot subscript type {ty} because it does not support subscripting");
        self.error(SqlState::DATATYPE_MISMATCH, message, base.start())
    }

    fn array_index(&mut self, index: &Ast) -> Result<Expr> {
        let bound = self.expr(index)?;
        self.coerce_to(bound, SqlType::INT4, CastContext::Assignment, index.at)?.ok_or_else(|| {
            let message = "array subscript must have type integer";
            self.error(SqlState::DATATYPE_MISMATCH, message, index.start())
        })
    }

    /// `jsonb[key]`: what a path of one step leads to.
    fn json_subscript(&mut self, base: Expr, index: &Ast) -> Result<Expr> {
        let bound = self.expr(index)?;
        let from = bound.ty();
        let text = match from.base {
            _ if from.is_array => None,
            BaseType::Unknown => Some(self.coerce(bound, SqlType::TEXT, index.at)?),
            BaseType::Text | BaseType::Int4 | BaseType::Int2 | BaseType::Varchar => {
                self.coerce_to(bound, SqlType::TEXT, CastContext::Explicit, index.at)?
            }
            _ => None,
        };
        let Some(text) = text else {
            let message = format!("subscript type {from} is not supported");
            let error = self.error(SqlState::DATATYPE_MISMATCH, message, index.start());
            return Err(
                error.with_hint("jsonb subscript must be coercible to either integer or text.")
            );
        };
        let path = SqlType::array_of(BaseType::Text);
        let args = vec![base, Expr::Array(vec![text], path)];
        let named = crate::functions::functions_named("jsonb_extract_path");
        let function =
            named.first().ok_or_else(|| crate::error::Error::internal("jsonb has no paths"))?;
        let ty = SqlType::JSONB;
        Ok(Expr::Call(super::super::bound::Call { function, args, ty, position: 0 }))
    }

    fn subscript(&mut self, base: &Ast, index: &Ast, at: Offset) -> Result<Expr> {
        let array = self.expr(base)?;
        let ty = array.ty();
        if ty.same(SqlType::JSONB) {
            return self.json_subscript(array, index);
        }
        if let ExprKind::Subscript(..) | ExprKind::Slice(..) = base.kind {
            return Err(self.unsupported("a multidimensional array", at));
        }
        let element = match ty.base {
            _ if ty.is_array => ty.element(),
            BaseType::Int2Vector => SqlType::INT2,
            BaseType::OidVector => SqlType::OID,
            BaseType::Name => SqlType::of(BaseType::SingleChar),
            _ => return Err(self.no_subscripts(ty, base)),
        };
        let bound = self.array_index(index)?;
        Ok(Expr::Subscript { array: Box::new(array), index: Box::new(bound), ty: element })
    }
}

fn timed(base: BaseType, precision: Option<i32>) -> SqlType {
    SqlType::with_typmod(base, precision.map_or(-1, |p| p.min(6)))
}

/// NOT, if asked for.
pub(super) fn negate_if(negated: bool, expr: Expr) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}

/// The least steady function in an expression.
pub fn volatility(expr: &Expr) -> Volatility {
    let mut worst = Volatility::Immutable;
    super::super::walk::visit(expr, &mut |e| {
        if let Expr::Call(call) = e {
            worst = worst.max(call.function.volatility);
        }
    });
    worst
}
