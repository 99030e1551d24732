//! Bound expressions as DataFusion expressions.
//!
//! Three ways, best first: a native expression where Arrow's semantics are PostgreSQL's (boolean
//! logic, comparisons of like types, LIKE, CASE); a checked kernel ([`super::udf::ArithmeticUdf`]);
//! a call of the datum function. What has none of the three is refused with 0A000, and the
//! statement runs on the row executor over the same scans.

use std::cell::Cell;
use std::collections::HashMap;

use arrow::compute::DatePart;
use arrow::datatypes::DataType;
use datafusion::common::{Column as DfColumn, ScalarValue};
use datafusion::logical_expr::{
    BinaryExpr, Case, Expr as DfExpr, Operator, ScalarUDF, cast, expr::InList, lit,
};

use super::extract::ExtractUdf;
use super::operators::{arithmetic, comparison, date_operator};
use super::udf::{Arithmetic, ArithmeticUdf, DatumOperation, DatumUdf};
use crate::columnar::values::{ColumnBuilder, DECIMAL_PRECISION_MAX, arrow_type};
use crate::error::{Error, Result};
use crate::functions::EvalContext;
use crate::sql::bound::{Call, ColId, Expr};
use crate::types::{BaseType, Datum, SqlType};

/// The name a column has in the lowered plan.
pub fn column_name(id: ColId) -> String {
    format!("c{}", id.0)
}

/// A lowered expression.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The DataFusion expression.
    pub expr: DfExpr,
    /// Its SQL type.
    pub ty: SqlType,
    /// Its Arrow type: for numerics more than `ty` says.
    pub data_type: DataType,
    /// For a CASE whose numeric arms differ in scale: the scale of the arm taken (int4), which
    /// `sum` needs to print its result as PostgreSQL does.
    pub scale: Option<Box<DfExpr>>,
}

/// What expressions are lowered against.
pub struct ExprLowering<'a> {
    /// Values of `$n`.
    pub params: &'a [Datum],
    /// For functions that depend on the session.
    pub context: &'a EvalContext,
    /// Arrow types of the columns in scope.
    pub columns: HashMap<ColId, DataType>,
    /// Set where an expression may raise [`TOO_WIDE`](super::TOO_WIDE).
    pub wide: &'a Cell<bool>,
}

fn refuse<T>(what: impl std::fmt::Display) -> Result<T> {
    Err(Error::unsupported(format!("{what} on the column path")))
}

/// A datum as a DataFusion constant, numerics as the decimal that just holds them.
pub fn literal(datum: &Datum, ty: SqlType) -> Result<Lowered> {
    let data_type = match datum {
        Datum::Numeric(v) if ty.base == BaseType::Numeric && !ty.is_array => {
            let scale = v.scale();
            let fits = scale <= u32::from(DECIMAL_PRECISION_MAX)
                && v.to_i128_scaled(scale).is_some_and(|d| d.abs() < 10i128.pow(38));
            if fits {
                DataType::Decimal128(DECIMAL_PRECISION_MAX, scale as i8)
            } else {
                DataType::Binary
            }
        }
        _ => arrow_type(ty),
    };
    let mut builder = ColumnBuilder::new(ty, &data_type, 1)?;
    builder.append(datum)?;
    let value = ScalarValue::try_from_array(&builder.finish(), 0)
        .map_err(|e| Error::internal(e.to_string()))?;
    Ok(Lowered { expr: lit(value), ty, data_type, scale: None })
}

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

fn decimal_scale(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal128(_, scale) => Some(*scale),
        DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(0),
        _ => None,
    }
}

/// `-0` as `0`, so that Arrow's total order agrees with PostgreSQL on zero.
fn without_negative_zero(side: Lowered) -> DfExpr {
    match side.data_type {
        DataType::Float64 => side.expr + lit(0.0f64),
        DataType::Float32 => side.expr + lit(0.0f32),
        _ => side.expr,
    }
}

impl ExprLowering<'_> {
    /// Lowers an expression.
    pub fn lower(&self, expr: &Expr) -> Result<Lowered> {
        match expr {
            Expr::Literal(datum, ty) => literal(datum, *ty),
            Expr::Param(index, ty) => match self.params.get(*index) {
                Some(datum) => literal(datum, *ty),
                None => Err(Error::internal(format!("parameter ${} has no value", index + 1))),
            },
            Expr::Column(id, ty) => self.column(*id, *ty),
            Expr::Call(call) => self.call(call),
            Expr::Cast { expr, from, to, explicit, .. } => self.cast(expr, *from, *to, *explicit),
            Expr::And(parts) => self.connect(parts, Operator::And),
            Expr::Or(parts) => self.connect(parts, Operator::Or),
            Expr::Not(inner) => self.boolean(inner, |e| DfExpr::Not(Box::new(e))),
            Expr::IsNull(inner) if inner.ty().base != BaseType::Record => {
                self.boolean(inner, |e| DfExpr::IsNull(Box::new(e)))
            }
            Expr::IsBool(inner, true) => self.boolean(inner, |e| DfExpr::IsTrue(Box::new(e))),
            Expr::IsBool(inner, false) => self.boolean(inner, |e| DfExpr::IsFalse(Box::new(e))),
            Expr::IsDistinct { left, right, equal } => {
                let (left, right) = (self.lower(left)?, self.lower(right)?);
                if comparison(equal.name).is_none() || !comparable(&left, &right) {
                    return refuse("IS DISTINCT FROM of these types");
                }
                Ok(boolean(binary(left, Operator::IsDistinctFrom, right)))
            }
            Expr::Case { arms, otherwise, ty } => self.case(arms, otherwise, *ty),
            Expr::Coalesce(args, ty) => self.coalesce(args, *ty),
            Expr::AnyAll { any, left, array, function, .. } => {
                self.any_all(*any, left, array, function.name)
            }
            other => refuse(format!("an expression of kind {}", kind_name(other))),
        }
    }

    fn column(&self, id: ColId, ty: SqlType) -> Result<Lowered> {
        let Some(data_type) = self.columns.get(&id) else {
            return refuse("a correlated column");
        };
        let expr = DfExpr::Column(DfColumn::new_unqualified(column_name(id)));
        Ok(Lowered { expr, ty, data_type: data_type.clone(), scale: None })
    }

    fn boolean(&self, inner: &Expr, wrap: impl FnOnce(DfExpr) -> DfExpr) -> Result<Lowered> {
        Ok(boolean(wrap(self.lower(inner)?.expr)))
    }

    fn connect(&self, parts: &[Expr], operator: Operator) -> Result<Lowered> {
        let mut lowered = Vec::with_capacity(parts.len());
        for part in parts {
            lowered.push(self.lower(part)?.expr);
        }
        let joined = lowered
            .into_iter()
            .reduce(|a, b| DfExpr::BinaryExpr(BinaryExpr::new(Box::new(a), operator, Box::new(b))));
        Ok(boolean(joined.unwrap_or_else(|| lit(operator == Operator::And))))
    }

    fn call(&self, call: &Call) -> Result<Lowered> {
        let name = call.function.name;
        if let Some(condition) = self.date_condition(name, &call.args)? {
            return Ok(condition);
        }
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(self.lower(arg)?);
        }
        if let [left, right] = args.as_slice() {
            if let Some(operator) = comparison(name) {
                if let Some(expr) = self.compare(operator, left, right, &call.args) {
                    if left.data_type != right.data_type {
                        self.may_be_wide(&left.data_type);
                        self.may_be_wide(&right.data_type);
                    }
                    return Ok(boolean(expr));
                }
            } else if let Some(operation) = arithmetic(name) {
                if let Some(lowered) = arithmetic_of(operation, left, right, call.ty)? {
                    self.may_be_wide(&lowered.data_type);
                    return Ok(lowered);
                }
            } else if let Some(expr) = like(name, left, right, &call.args[1]) {
                return Ok(boolean(expr));
            } else if let Some(lowered) = extract(name, &call.args[0], right, call.ty) {
                self.may_be_wide(&lowered.data_type);
                return Ok(lowered);
            }
        }
        if args.iter().any(|a| a.scale.is_some()) {
            return refuse("a function of a CASE with mixed scales");
        }
        let data_type = arrow_type(call.ty);
        let typed = args.into_iter().map(|a| (a.expr, a.ty)).collect();
        let operation = DatumOperation::Call(call.function);
        let expr = DatumUdf::expression(operation, typed, call.ty, data_type.clone(), self.context);
        Ok(Lowered { expr, ty: call.ty, data_type, scale: None })
    }

    /// A date compared with a constant timestamp (`d < date '2024-01-01' + interval '1 year'`): a
    /// comparison with that timestamp's day.
    fn date_condition(&self, name: &str, args: &[Expr]) -> Result<Option<Lowered>> {
        let (operator, day, moment) = match (date_operator(name), args) {
            (Some((operator, false)), [day, moment]) => (operator, day, moment),
            (Some((operator, true)), [moment, day]) => (operator, day, moment),
            _ => return Ok(None),
        };
        let value = match moment {
            Expr::Literal(Datum::Timestamp(at), _) => *at,
            _ => return Ok(None),
        };
        if value == i64::MAX || value == i64::MIN {
            return Ok(None);
        }
        let midnight = value.rem_euclid(DAY_MICROS) == 0;
        let operator = match (operator, midnight) {
            (operator, true) => operator,
            (Operator::Lt | Operator::LtEq, false) => Operator::LtEq,
            (Operator::Gt | Operator::GtEq, false) => Operator::Gt,
            _ => return Ok(None),
        };
        let Ok(days) = i32::try_from(value.div_euclid(DAY_MICROS)) else { return Ok(None) };
        let day = self.lower(day)?;
        let other = literal(&Datum::Date(days), SqlType::DATE)?;
        Ok((day.data_type == other.data_type).then(|| boolean(binary(day, operator, other))))
    }

    /// Takes note of an operation whose result may leave 128 bits.
    pub fn may_be_wide(&self, result: &DataType) {
        if matches!(result, DataType::Decimal128(..) | DataType::Binary) {
            self.wide.set(true);
        }
    }

    /// A native comparison, where Arrow's is PostgreSQL's.
    pub fn compare(
        &self,
        operator: Operator,
        left: &Lowered,
        right: &Lowered,
        args: &[Expr],
    ) -> Option<DfExpr> {
        let (left, right) = (left.clone(), right.clone());
        if left.ty.base != BaseType::Bpchar && right.ty.base != BaseType::Bpchar {
            return comparable(&left, &right).then(|| binary(left, operator, right));
        }
        // char(n) compares without trailing blanks. Stored values are padded to n, so equality
        // with a constant is equality with the padded constant.
        if !matches!(operator, Operator::Eq | Operator::NotEq) {
            return None;
        }
        if left.ty.same(right.ty) && left.ty.typmod == right.ty.typmod && left.ty.typmod > 4 {
            return Some(binary(left, operator, right));
        }
        let (column, constant, at) = match (&args[0], &args[1]) {
            (Expr::Column(..), Expr::Literal(Datum::Text(text), _)) => (left, text, 0),
            (Expr::Literal(Datum::Text(text), _), Expr::Column(..)) => (right, text, 1),
            _ => return None,
        };
        let width = usize::try_from(column.ty.typmod.checked_sub(4)?).ok()?;
        let padded = format!("{:width$}", constant.trim_end_matches(' '));
        let constant = lit(ScalarValue::Utf8View(Some(padded)));
        let sides = if at == 0 { (column.expr, constant) } else { (constant, column.expr) };
        Some(DfExpr::BinaryExpr(BinaryExpr::new(Box::new(sides.0), operator, Box::new(sides.1))))
    }

    fn cast(&self, expr: &Expr, from: SqlType, to: SqlType, explicit: bool) -> Result<Lowered> {
        let inner = self.lower(expr)?;
        let text =
            |ty: SqlType| !ty.is_array && matches!(ty.base, BaseType::Text | BaseType::Varchar);
        let integer = |ty: SqlType| {
            !ty.is_array && matches!(ty.base, BaseType::Int2 | BaseType::Int4 | BaseType::Int8)
        };
        let relabel = (from.same(to) && (to.typmod < 0 || from.typmod == to.typmod))
            || (text(from) && text(to) && to.typmod < 0);
        if relabel {
            return Ok(Lowered { ty: to, ..inner });
        }
        if inner.scale.is_some() {
            return refuse("a cast of a CASE with mixed scales");
        }
        let widens = integer(from)
            && integer(to)
            && arrow_type(from).primitive_width() <= arrow_type(to).primitive_width();
        let native = if widens || (integer(from) && to.same(SqlType::FLOAT8)) {
            Some(arrow_type(to))
        } else if integer(from) && to.same(SqlType::NUMERIC) && to.typmod < 0 {
            Some(DataType::Decimal128(DECIMAL_PRECISION_MAX, 0))
        } else {
            None
        };
        if let Some(data_type) = native {
            let expr = cast(inner.expr, data_type.clone());
            return Ok(Lowered { expr, ty: to, data_type, scale: None });
        }
        let data_type = arrow_type(to);
        let operation = DatumOperation::Cast(explicit);
        let args = vec![(inner.expr, from)];
        let expr = DatumUdf::expression(operation, args, to, data_type.clone(), self.context);
        Ok(Lowered { expr, ty: to, data_type, scale: None })
    }

    fn case(&self, arms: &[(Expr, Expr)], otherwise: &Expr, ty: SqlType) -> Result<Lowered> {
        let mut conditions = Vec::with_capacity(arms.len());
        let mut results = Vec::with_capacity(arms.len() + 1);
        for (when, then) in arms {
            conditions.push(self.lower(when)?.expr);
            results.push(self.lower(then)?);
        }
        results.push(self.lower(otherwise)?);
        let (results, data_type, scales) = unify(results, ty)?;
        self.may_be_wide(&data_type);
        let build = |values: Vec<DfExpr>| {
            let mut values = values;
            let last = values.pop().map(Box::new);
            let arms = conditions.iter().cloned().zip(values);
            let arms = arms.map(|(w, t)| (Box::new(w), Box::new(t))).collect();
            DfExpr::Case(Case { expr: None, when_then_expr: arms, else_expr: last })
        };
        let scale = scales.map(|s| Box::new(build(s)));
        Ok(Lowered { expr: build(results), ty, data_type, scale })
    }

    fn coalesce(&self, args: &[Expr], ty: SqlType) -> Result<Lowered> {
        let lowered = args.iter().map(|a| self.lower(a)).collect::<Result<Vec<_>>>()?;
        let (mut values, data_type, scales) = unify(lowered, ty)?;
        self.may_be_wide(&data_type);
        if scales.is_some() {
            return refuse("COALESCE of numerics of several scales");
        }
        let last = values.pop().map(Box::new);
        let arms = values
            .into_iter()
            .map(|v| (Box::new(DfExpr::IsNotNull(Box::new(v.clone()))), Box::new(v)))
            .collect();
        let expr = DfExpr::Case(Case { expr: None, when_then_expr: arms, else_expr: last });
        Ok(Lowered { expr, ty, data_type, scale: None })
    }

    /// `= ANY` and `<> ALL` of a constant array: IN and NOT IN.
    fn any_all(&self, any: bool, left: &Expr, array: &Expr, function: &str) -> Result<Lowered> {
        let negated = match (any, comparison(function)) {
            (true, Some(Operator::Eq)) => false,
            (false, Some(Operator::NotEq)) => true,
            _ => return refuse("ANY or ALL with this operator"),
        };
        let element = array.ty().element();
        let values = match array {
            Expr::Array(items, _) => items.clone(),
            Expr::Literal(Datum::Array(a), _) => {
                a.values.iter().map(|v| Expr::Literal(v.clone(), element)).collect()
            }
            Expr::Param(index, _) => match self.params.get(*index) {
                Some(Datum::Array(a)) => {
                    a.values.iter().map(|v| Expr::Literal(v.clone(), element)).collect()
                }
                _ => return refuse("ANY of a computed array"),
            },
            _ => return refuse("ANY of a computed array"),
        };
        let side = self.lower(left)?;
        let mut list = Vec::with_capacity(values.len());
        for value in &values {
            let mut item = self.lower(value)?;
            if side.ty.base == BaseType::Bpchar {
                let (Expr::Column(..), Expr::Literal(Datum::Text(text), _)) = (left, value) else {
                    return refuse("ANY of computed char(n) values");
                };
                let width = usize::try_from(side.ty.typmod - 4).unwrap_or(0);
                let padded = format!("{:width$}", text.trim_end_matches(' '));
                item.expr = lit(ScalarValue::Utf8View(Some(padded)));
            } else if !comparable(&side, &item) {
                return refuse("ANY of these types");
            }
            list.push(item.expr);
        }
        let expr = Box::new(without_negative_zero(side));
        Ok(boolean(DfExpr::InList(InList { expr, list, negated })))
    }
}

fn boolean(expr: DfExpr) -> Lowered {
    Lowered { expr, ty: SqlType::BOOL, data_type: DataType::Boolean, scale: None }
}

fn binary(left: Lowered, operator: Operator, right: Lowered) -> DfExpr {
    let (left, right) = (without_negative_zero(left), without_negative_zero(right));
    DfExpr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

/// Whether Arrow compares the two as PostgreSQL does: equal types with a plain order, integers of
/// any widths, decimals of any scales.
fn comparable(left: &Lowered, right: &Lowered) -> bool {
    use DataType::*;
    if left.scale.is_some() || right.scale.is_some() {
        return false;
    }
    match (&left.data_type, &right.data_type) {
        (Binary, _) => left.ty.same(SqlType::BYTEA) && right.ty.same(SqlType::BYTEA),
        (FixedSizeBinary(_), _) => left.ty.same(SqlType::UUID) && right.ty.same(SqlType::UUID),
        (Utf8View, Utf8View) => {
            let plain = |ty: SqlType| {
                !ty.is_array
                    && matches!(
                        ty.base,
                        BaseType::Text | BaseType::Varchar | BaseType::Name | BaseType::Unknown
                    )
            };
            plain(left.ty) && plain(right.ty)
        }
        (a, b) if a == b => true,
        (a, b) => decimal_scale(a).is_some() && decimal_scale(b).is_some(),
    }
}

/// Checked arithmetic, if both sides are of a kind that has it.
fn arithmetic_of(
    operation: Arithmetic,
    left: &Lowered,
    right: &Lowered,
    ty: SqlType,
) -> Result<Option<Lowered>> {
    if left.scale.is_some() || right.scale.is_some() {
        return refuse("arithmetic on a CASE with mixed scales");
    }
    let data_type = match ty.base {
        BaseType::Numeric => {
            let scales = (decimal_scale(&left.data_type), decimal_scale(&right.data_type));
            let (Some(a), Some(b)) = scales else { return Ok(None) };
            let scale = match operation {
                Arithmetic::Add | Arithmetic::Subtract => a.max(b),
                Arithmetic::Multiply => a.saturating_add(b),
                // Quotients have a scale of their own for each value.
                Arithmetic::Divide | Arithmetic::Remainder => return Ok(None),
            };
            if scale > DECIMAL_PRECISION_MAX as i8 {
                return Ok(None);
            }
            DataType::Decimal128(DECIMAL_PRECISION_MAX, scale)
        }
        BaseType::Float8 if left.ty.same(ty) && right.ty.same(ty) => DataType::Float64,
        BaseType::Int2 | BaseType::Int4 | BaseType::Int8 => arrow_type(ty),
        _ => return Ok(None),
    };
    let side = |s: &Lowered| {
        if s.data_type == data_type || s.ty.base == BaseType::Numeric {
            s.expr.clone()
        } else {
            cast(s.expr.clone(), data_type.clone())
        }
    };
    let expr = ArithmeticUdf::expression(operation, side(left), side(right), data_type.clone());
    Ok(Some(Lowered { expr, ty, data_type, scale: None }))
}

/// LIKE with a constant pattern without escapes.
fn like(name: &str, left: &Lowered, right: &Lowered, pattern: &Expr) -> Option<DfExpr> {
    let negated = match name {
        "textlike" | "like" => false,
        "textnlike" | "notlike" => true,
        _ => return None,
    };
    let Expr::Literal(Datum::Text(text), _) = pattern else { return None };
    if text.contains('\\') || left.data_type != DataType::Utf8View {
        return None;
    }
    Some(DfExpr::Like(datafusion::logical_expr::Like::new(
        negated,
        Box::new(left.expr.clone()),
        Box::new(right.expr.clone()),
        None,
        false,
    )))
}

/// EXTRACT of a calendar field from a date or a timestamp, as the scale-0 decimal it is.
fn extract(name: &str, field: &Expr, value: &Lowered, ty: SqlType) -> Option<Lowered> {
    if name != "extract" || !matches!(value.ty.base, BaseType::Date | BaseType::Timestamp) {
        return None;
    }
    let Expr::Literal(Datum::Text(field), _) = field else { return None };
    let part = match field.as_ref() {
        "year" => DatePart::Year,
        "month" => DatePart::Month,
        "day" => DatePart::Day,
        _ => return None,
    };
    let data_type = DataType::Decimal128(DECIMAL_PRECISION_MAX, 0);
    let expr = ScalarUDF::from(ExtractUdf::new(part)).call(vec![value.expr.clone()]);
    Some(Lowered { expr, ty, data_type, scale: None })
}

/// Brings alternatives to one Arrow type. Decimals of several scales meet at the largest; then
/// each alternative's own scale comes back too.
fn unify(
    alternatives: Vec<Lowered>,
    ty: SqlType,
) -> Result<(Vec<DfExpr>, DataType, Option<Vec<DfExpr>>)> {
    if alternatives.iter().any(|a| a.scale.is_some()) {
        return refuse("nested CASE with mixed scales");
    }
    let first = alternatives.first().map_or(DataType::Null, |a| a.data_type.clone());
    if alternatives.iter().all(|a| a.data_type == first) {
        return Ok((alternatives.into_iter().map(|a| a.expr).collect(), first, None));
    }
    let is_null = |a: &Lowered| matches!(&a.expr, DfExpr::Literal(v, _) if v.is_null());
    let scales: Option<Vec<i8>> = alternatives
        .iter()
        .map(|a| if is_null(a) { Some(0) } else { decimal_scale(&a.data_type) })
        .collect();
    let data_type = if ty.base == BaseType::Numeric && !ty.is_array {
        let Some(scales) = &scales else { return refuse("CASE of numerics without a scale") };
        let scale = scales.iter().copied().max().unwrap_or(0);
        DataType::Decimal128(DECIMAL_PRECISION_MAX, scale)
    } else {
        arrow_type(ty)
    };
    let mut of_values: Vec<i8> = alternatives
        .iter()
        .filter(|a| !is_null(a))
        .filter_map(|a| decimal_scale(&a.data_type))
        .collect();
    of_values.dedup();
    let mixed = ty.base == BaseType::Numeric && of_values.len() > 1;
    let scale_exprs =
        mixed.then(|| scales.unwrap_or_default().iter().map(|s| lit(i32::from(*s))).collect());
    let values = alternatives
        .into_iter()
        .map(|a| if a.data_type == data_type { a.expr } else { cast(a.expr, data_type.clone()) })
        .collect();
    Ok((values, data_type, scale_exprs))
}

fn kind_name(expr: &Expr) -> &'static str {
    match expr {
        Expr::Extreme { .. } => "GREATEST or LEAST",
        Expr::Array(..) => "ARRAY",
        Expr::Subscript { .. } => "array subscript",
        Expr::Row(..) => "ROW",
        Expr::Subquery(_) => "subquery",
        _ => "row test",
    }
}
