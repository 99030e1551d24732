//! From bound expressions to compiled ones.

use std::sync::Arc;

use super::{
    AnyAllScalar, CallScalar, CastScalar, Scalar, SortedList, SubqueryScalar, SubqueryUse,
    TypedScalar,
};
use crate::error::{Error, Result};
use crate::functions::{Function, FunctionKind, compare};
use crate::plan::compare::{Order, comparison};
use crate::sql::bound::{Call, ColId, Expr, Rel, Subquery, SubqueryKind};
use crate::types::{BaseType, Datum, RecordShape};

/// What the compiler asks of the planner around it.
pub trait Scope {
    /// The place of an outer column in the frame of what is being planned.
    fn frame_slot(&mut self, column: ColId) -> Result<usize>;
    /// Plans a subquery. Gives its place among the subplans and the columns of its frame.
    fn subplan(&mut self, rel: &Rel, rows_max: Option<u64>) -> Result<(usize, Vec<ColId>)>;
    /// Takes note of a call of a function that may wait.
    fn waits(&mut self) {}
}

/// Turns bound expressions into [`Scalar`]s over one or two rows of known columns. A column of
/// neither comes from the frame.
pub struct Compiler<'a> {
    /// Columns of the row.
    pub row: &'a [ColId],
    /// Columns of the second row.
    pub right: &'a [ColId],
    /// The planner.
    pub scope: &'a mut dyn Scope,
}

impl Compiler<'_> {
    /// Compiles one expression.
    pub fn compile(&mut self, expr: &Expr) -> Result<Scalar> {
        Ok(match expr {
            Expr::Literal(value, _) => Scalar::Const(value.clone()),
            Expr::Param(i, _) => Scalar::Param(*i),
            Expr::Column(id, _) => self.column(*id)?,
            Expr::Call(call) => self.call(call)?,
            Expr::Cast { expr, from, to, explicit, position } => {
                Scalar::Cast(Box::new(CastScalar {
                    expr: self.compile(expr)?,
                    from: *from,
                    to: *to,
                    explicit: *explicit,
                    position: *position,
                }))
            }
            Expr::And(list) => Scalar::And(self.boxed(list)?),
            Expr::Or(list) => Scalar::Or(self.boxed(list)?),
            Expr::Not(e) => Scalar::Not(Box::new(self.compile(e)?)),
            Expr::IsNull(e) => Scalar::IsNull(Box::new(self.compile(e)?)),
            Expr::IsBool(e, wanted) => Scalar::IsBool(Box::new(self.compile(e)?), *wanted),
            Expr::IsDistinct { left, right, equal } => {
                Scalar::IsDistinct(Box::new((self.compile(left)?, self.compile(right)?, equal)))
            }
            Expr::Case { arms, otherwise, .. } => {
                let arms = arms
                    .iter()
                    .map(|(when, then)| Ok((self.compile(when)?, self.compile(then)?)))
                    .collect::<Result<Vec<_>>>()?;
                Scalar::Case(Box::new((arms, self.compile(otherwise)?)))
            }
            Expr::Coalesce(list, _) => Scalar::Coalesce(self.boxed(list)?),
            Expr::Extreme { greatest, args, .. } => Scalar::Extreme(*greatest, self.boxed(args)?),
            Expr::AnyAll { any, left, array, function, position } => {
                let (left, array) = (self.compile(left)?, self.compile(array)?);
                let sorted = sorted_list(*any, &array, function);
                Scalar::AnyAll(Box::new(AnyAllScalar {
                    any: *any,
                    left,
                    array,
                    function,
                    sorted,
                    position: *position,
                }))
            }
            Expr::Array(list, ty) => Scalar::Array(ty.base, self.boxed(list)?),
            Expr::Subscript { array, index, .. } => {
                Scalar::Subscript(Box::new((self.compile(array)?, self.compile(index)?)))
            }
            Expr::Row(list, names) => {
                let types = list.iter().map(Expr::ty).collect();
                let shape = RecordShape { names: names.clone(), types };
                Scalar::Row(self.boxed(list)?, Arc::new(shape))
            }
            Expr::Subquery(sub) => self.subquery(sub)?,
        })
    }

    /// Compiles several.
    pub fn list(&mut self, exprs: &[Expr]) -> Result<Vec<Scalar>> {
        exprs.iter().map(|e| self.compile(e)).collect()
    }

    fn boxed(&mut self, exprs: &[Expr]) -> Result<Box<[Scalar]>> {
        Ok(self.list(exprs)?.into())
    }

    /// A column of the row, the second row, or the frame.
    pub fn column(&mut self, id: ColId) -> Result<Scalar> {
        if let Some(at) = self.row.iter().position(|c| *c == id) {
            return Ok(Scalar::Slot(at));
        }
        if let Some(at) = self.right.iter().position(|c| *c == id) {
            return Ok(Scalar::Right(at));
        }
        Ok(Scalar::Outer(self.scope.frame_slot(id)?))
    }

    fn call(&mut self, call: &Call) -> Result<Scalar> {
        let function = call.function;
        if let (Some(c), [left, right]) = (comparison(function), call.args.as_slice())
            && c.is_direct()
        {
            let sides = (c.order, self.compile(left)?, self.compile(right)?);
            return Ok(Scalar::Compare(Box::new(sides)));
        }
        if function.waits {
            self.scope.waits();
        }
        let args = self.boxed(&call.args)?;
        match function.kind {
            FunctionKind::Scalar(code) => Ok(Scalar::Call(Box::new(CallScalar {
                code,
                strict: function.strict,
                args,
                position: call.position,
                function,
            }))),
            FunctionKind::Typed(code) => Ok(Scalar::Typed(Box::new(TypedScalar {
                code,
                strict: function.strict,
                types: call.args.iter().map(Expr::ty).collect(),
                args,
                position: call.position,
            }))),
            _ => Err(Error::internal(format!("{function:?} in an expression"))),
        }
    }

    fn subquery(&mut self, sub: &Subquery) -> Result<Scalar> {
        let rows_max = match sub.kind {
            SubqueryKind::Scalar => Some(2),
            SubqueryKind::Exists => Some(1),
            _ => None,
        };
        let (subplan, columns) = self.scope.subplan(&sub.rel, rows_max)?;
        let args = columns.iter().map(|c| self.column(*c)).collect::<Result<_>>()?;
        let kind = match &sub.kind {
            SubqueryKind::Scalar => SubqueryUse::Scalar,
            SubqueryKind::Exists => SubqueryUse::Exists,
            SubqueryKind::Array => SubqueryUse::Array(sub.ty.base),
            SubqueryKind::AnyAll { any, left, functions } => {
                let wanted = if *any { Order::Equal } else { Order::NotEqual };
                SubqueryUse::AnyAll {
                    any: *any,
                    left: self.boxed(left)?,
                    functions: functions.clone().into(),
                    hashed: functions.iter().all(|f| decides_by_order(f, wanted)),
                }
            }
        };
        Ok(Scalar::Subquery(Box::new(SubqueryScalar { subplan, args, kind })))
    }
}

/// Whether `function` is the comparison `wanted` of two equal, plain types, so that the default
/// order answers it.
fn decides_by_order(function: &Function, wanted: Order) -> bool {
    comparison(function).is_some_and(|c| c.order == wanted && c.left.same(c.right) && c.is_direct())
}

/// The sorted elements, for `= ANY` and `<> ALL` of a constant array.
fn sorted_list(any: bool, array: &Scalar, function: &Function) -> Option<Arc<SortedList>> {
    let Scalar::Const(Datum::Array(array)) = array else { return None };
    let wanted = if any { Order::Equal } else { Order::NotEqual };
    let known = comparison(function)?;
    if known.order != wanted || !known.is_direct() || array.element == BaseType::Record {
        return None;
    }
    let mut values: Vec<Datum> = array.values.iter().filter(|v| !v.is_null()).cloned().collect();
    let has_null = values.len() < array.values.len();
    values.sort_by(compare);
    Some(Arc::new(SortedList { values, has_null }))
}
