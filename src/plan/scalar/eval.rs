//! Evaluation of compiled expressions over one or two rows.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::compare::Order;
use super::{
    AnyAllScalar, CallScalar, Env, ResultKind, Scalar, Stop, SubqueryRequest, SubqueryScalar,
    SubqueryUse, Subresult, TypedScalar,
};
use crate::error::{Error, Result};
use crate::functions::{EvalContext, Function, apply_cast, compare, eval_call};
use crate::types::{Array, Datum, NAME_BYTES_MAX, Record, SqlType};

/// Most calls have few arguments; these lie on the stack.
type Args = smallvec::SmallVec<[Datum; 3]>;

impl Scalar {
    /// The value for the rows of `env`.
    ///
    /// # Errors
    /// What the functions raise, with their position; [`Stop::Subquery`] when a subquery has to
    /// be run first.
    pub fn eval(&self, env: &Env<'_>) -> Result<Datum, Stop> {
        match self {
            Scalar::Const(_)
            | Scalar::Param(_)
            | Scalar::Slot(_)
            | Scalar::Right(_)
            | Scalar::Outer(_) => self.leaf(env).cloned(),
            Scalar::Call(call) => eval_function(call, env),
            Scalar::Compare(c) => Ok(match eval_compare(c, env)? {
                Some(v) => Datum::Bool(v),
                None => Datum::Null,
            }),
            Scalar::And(_) | Scalar::Or(_) | Scalar::Not(_) | Scalar::IsBool(..) => {
                Ok(self.eval_bool(env)?.map_or(Datum::Null, Datum::Bool))
            }
            Scalar::IsNull(e) => Ok(Datum::Bool(is_null(&e.eval(env)?))),
            Scalar::Cast(cast) => {
                let value = cast.expr.eval(env)?;
                if value.is_null() {
                    return Ok(Datum::Null);
                }
                apply_cast(env.context, value, cast.from, cast.to, cast.explicit)
                    .map_err(|e| Stop::Error(e.at(cast.position)))
            }
            Scalar::Case(case) => {
                for (when, then) in &case.0 {
                    if when.is_true(env)? {
                        return then.eval(env);
                    }
                }
                case.1.eval(env)
            }
            Scalar::Coalesce(list) => {
                for e in list {
                    let value = e.eval(env)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Ok(Datum::Null)
            }
            Scalar::Typed(call) => eval_typed(call, env),
            Scalar::IsDistinct(d) => {
                let (left, right) = (d.0.eval(env)?, d.1.eval(env)?);
                Ok(Datum::Bool(is_distinct(env.context, left, right, d.2)?))
            }
            Scalar::Extreme(greatest, list) => eval_extreme(*greatest, list, env),
            Scalar::AnyAll(a) => eval_any_all(a, env),
            Scalar::Array(element, list) => {
                let values = eval_list(list, env)?;
                Ok(Datum::Array(Arc::new(Array { element: *element, lower_bound: 1, values })))
            }
            Scalar::Subscript(s) => eval_subscript(s.0.eval(env)?, s.1.eval(env)?),
            Scalar::Row(list, shape) => {
                let fields = eval_list(list, env)?.into();
                let shape = Some(shape.clone());
                Ok(Datum::Record(Arc::new(Record { fields, shape })))
            }
            Scalar::Subquery(sub) => eval_subquery(sub, env),
        }
    }

    /// Whether the value, of type bool, is true (neither false nor NULL).
    #[inline]
    pub fn is_true(&self, env: &Env<'_>) -> Result<bool, Stop> {
        Ok(self.eval_bool(env)? == Some(true))
    }

    /// The value as three-valued logic has it; none is NULL.
    pub fn eval_bool(&self, env: &Env<'_>) -> Result<Option<bool>, Stop> {
        match self {
            Scalar::Compare(c) => eval_compare(c, env),
            Scalar::And(list) => eval_junction(list, env, false),
            Scalar::Or(list) => eval_junction(list, env, true),
            Scalar::Not(e) => Ok(e.eval_bool(env)?.map(|v| !v)),
            Scalar::IsNull(e) => Ok(Some(match e.leaf_opt(env) {
                Some(leaf) => is_null(leaf),
                None => is_null(&e.eval(env)?),
            })),
            Scalar::IsBool(e, wanted) => Ok(Some(e.eval_bool(env)? == Some(*wanted))),
            _ => match self.eval(env)? {
                Datum::Bool(v) => Ok(Some(v)),
                Datum::Null => Ok(None),
                other => Err(Error::internal(format!("condition is {other:?}")).into()),
            },
        }
    }

    /// The value by reference, where it is one that lies ready.
    #[inline]
    fn leaf_opt<'a>(&'a self, env: &Env<'a>) -> Option<&'a Datum> {
        match self {
            Scalar::Const(value) => Some(value),
            Scalar::Slot(i) => env.row.get(*i),
            Scalar::Right(i) => env.right.get(*i),
            Scalar::Param(i) => env.params.get(*i),
            Scalar::Outer(i) => env.frame.get(*i),
            _ => None,
        }
    }

    #[inline]
    fn leaf<'a>(&'a self, env: &Env<'a>) -> Result<&'a Datum, Stop> {
        self.leaf_opt(env).ok_or_else(|| missing(self))
    }
}

#[cold]
fn missing(scalar: &Scalar) -> Stop {
    match scalar {
        Scalar::Param(i) => Error::new(
            crate::error::SqlState::UNDEFINED_PARAMETER,
            format!("there is no parameter ${}", i + 1),
        )
        .into(),
        other => Error::internal(format!("{other:?} is not in the row")).into(),
    }
}

fn eval_list(list: &[Scalar], env: &Env<'_>) -> Result<Vec<Datum>, Stop> {
    list.iter().map(|e| e.eval(env)).collect()
}

/// Arguments of a call; none if the call is strict and one of them is NULL.
fn eval_args(args: &[Scalar], strict: bool, env: &Env<'_>) -> Result<Option<Args>, Stop> {
    let mut values = Args::new();
    let mut null = false;
    for arg in args {
        let value = arg.eval(env)?;
        null |= value.is_null();
        values.push(value);
    }
    Ok(if strict && null { None } else { Some(values) })
}

fn eval_function(call: &CallScalar, env: &Env<'_>) -> Result<Datum, Stop> {
    match eval_args(&call.args, call.strict, env)? {
        Some(args) => (call.code)(env.context, &args).map_err(|e| Stop::Error(e.at(call.position))),
        None => Ok(Datum::Null),
    }
}

fn eval_typed(call: &TypedScalar, env: &Env<'_>) -> Result<Datum, Stop> {
    match eval_args(&call.args, call.strict, env)? {
        Some(args) => (call.code)(env.context, &call.types, &args)
            .map_err(|e| Stop::Error(e.at(call.position))),
        None => Ok(Datum::Null),
    }
}

/// A comparison, without copies where the sides lie ready.
#[inline]
fn eval_compare(c: &(Order, Scalar, Scalar), env: &Env<'_>) -> Result<Option<bool>, Stop> {
    let (order, left, right) = c;
    let decide = |l: &Datum, r: &Datum| {
        if l.is_null() || r.is_null() { None } else { Some(order.holds(compare_fast(l, r))) }
    };
    Ok(match (left.leaf_opt(env), right.leaf_opt(env)) {
        (Some(l), Some(r)) => decide(l, r),
        (Some(l), None) => decide(l, &right.eval(env)?),
        (None, Some(r)) => decide(&left.eval(env)?, r),
        (None, None) => {
            let l = left.eval(env)?;
            decide(&l, &right.eval(env)?)
        }
    })
}

/// As [`compare`], with the commonest types decided here, integers of different width included.
#[inline]
pub(crate) fn compare_fast(l: &Datum, r: &Datum) -> Ordering {
    match (l, r) {
        (Datum::Int4(a), Datum::Int4(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b)) => a.cmp(b),
        (Datum::Text(a), Datum::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        _ => match (integer(l), integer(r)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => compare(l, r),
        },
    }
}

fn integer(d: &Datum) -> Option<i64> {
    match d {
        Datum::Int2(v) => Some(i64::from(*v)),
        Datum::Int4(v) => Some(i64::from(*v)),
        Datum::Int8(v) => Some(*v),
        _ => None,
    }
}

/// AND (`decisive` false) and OR (`decisive` true): ends at the first decisive operand.
fn eval_junction(list: &[Scalar], env: &Env<'_>, decisive: bool) -> Result<Option<bool>, Stop> {
    let mut null = false;
    for e in list {
        match e.eval_bool(env)? {
            Some(v) if v == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => null = true,
        }
    }
    Ok(if null { None } else { Some(!decisive) })
}

/// NULL, or a row of which every field is NULL.
fn is_null(value: &Datum) -> bool {
    match value {
        Datum::Null => true,
        Datum::Record(fields) => fields.iter().all(Datum::is_null),
        _ => false,
    }
}

fn is_distinct(
    context: &EvalContext,
    left: Datum,
    right: Datum,
    equal: &'static Function,
) -> Result<bool> {
    Ok(match (left.is_null(), right.is_null()) {
        (true, true) => false,
        (true, false) | (false, true) => true,
        _ => !matches!(eval_call(equal, context, &[left, right])?, Datum::Bool(true)),
    })
}

fn eval_extreme(greatest: bool, list: &[Scalar], env: &Env<'_>) -> Result<Datum, Stop> {
    let wanted = if greatest { Ordering::Greater } else { Ordering::Less };
    let mut best = Datum::Null;
    for e in list {
        let value = e.eval(env)?;
        if value.is_null() {
            continue;
        }
        if best.is_null() || compare(&value, &best) == wanted {
            best = value;
        }
    }
    Ok(best)
}

fn eval_any_all(a: &AnyAllScalar, env: &Env<'_>) -> Result<Datum, Stop> {
    let left = a.left.eval(env)?;
    if let Some(list) = &a.sorted {
        if left.is_null() {
            let empty = list.values.is_empty() && !list.has_null;
            return Ok(if empty { Datum::Bool(!a.any) } else { Datum::Null });
        }
        let found = list.values.binary_search_by(|v| compare_fast(v, &left)).is_ok();
        return Ok(match (found, list.has_null) {
            (true, _) => Datum::Bool(a.any),
            (false, true) => Datum::Null,
            (false, false) => Datum::Bool(!a.any),
        });
    }
    let array = match a.array.eval(env)? {
        Datum::Null => return Ok(Datum::Null),
        Datum::Array(array) => array,
        other => return Err(Error::internal(format!("ANY over {other:?}")).into()),
    };
    let mut null = false;
    for element in &array.values {
        let result = compare_pair(a.function, env.context, &left, element)
            .map_err(|e| Stop::Error(e.at(a.position)))?;
        match result {
            Some(v) if v == a.any => return Ok(Datum::Bool(a.any)),
            Some(_) => {}
            None => null = true,
        }
    }
    Ok(if null { Datum::Null } else { Datum::Bool(!a.any) })
}

/// The comparison of two values by a function of result bool.
fn compare_pair(
    function: &Function,
    context: &EvalContext,
    left: &Datum,
    right: &Datum,
) -> Result<Option<bool>> {
    match eval_call(function, context, &[left.clone(), right.clone()])? {
        Datum::Bool(v) => Ok(Some(v)),
        Datum::Null => Ok(None),
        other => Err(Error::internal(format!("comparison gave {other:?}"))),
    }
}

fn eval_subscript(array: Datum, index: Datum) -> Result<Datum, Stop> {
    let (array, index) = match (array, index) {
        (Datum::Null, _) | (_, Datum::Null) => return Ok(Datum::Null),
        (Datum::Text(name), Datum::Int4(index)) => return Ok(byte_of_name(&name, index)),
        (Datum::Array(array), Datum::Int4(index)) => (array, index),
        (array, index) => {
            return Err(Error::internal(format!("subscript {index:?} of {array:?}")).into());
        }
    };
    let at = i64::from(index) - i64::from(array.lower_bound);
    let value = usize::try_from(at).ok().and_then(|at| array.values.get(at));
    Ok(value.cloned().unwrap_or(Datum::Null))
}

/// A name is an array of bytes, counted from 0; zeros follow what it says.
fn byte_of_name(name: &str, index: i32) -> Datum {
    match usize::try_from(index) {
        Ok(at) if at <= NAME_BYTES_MAX => {
            Datum::Char(name.as_bytes().get(at).copied().unwrap_or_default())
        }
        _ => Datum::Null,
    }
}

fn eval_subquery(sub: &SubqueryScalar, env: &Env<'_>) -> Result<Datum, Stop> {
    let frame = eval_list(&sub.args, env)?;
    let request = |kind| request(sub.subplan, frame.clone(), kind);
    let SubqueryUse::AnyAll { any, left, functions, hashed } = &sub.kind else {
        let kind = match sub.kind {
            SubqueryUse::Exists => ResultKind::Exists,
            SubqueryUse::Array(element) => ResultKind::Array(element),
            _ => ResultKind::Scalar,
        };
        return match env.subresults.get(sub.subplan, &frame) {
            Some(Subresult::Value(value)) => Ok(value),
            Some(Subresult::Rows(_)) => Err(Error::internal("subquery gave rows").into()),
            None => Err(request(kind)),
        };
    };
    let left = eval_list(left, env)?;
    let rows = match env.subresults.get(sub.subplan, &frame) {
        Some(Subresult::Rows(rows)) => rows,
        Some(Subresult::Value(_)) => return Err(Error::internal("subquery gave a value").into()),
        None => return Err(request(ResultKind::Rows)),
    };
    if *hashed && !left.iter().any(Datum::is_null) {
        let (found, nulls) = rows.find(&left);
        if found || !nulls {
            return Ok(Datum::Bool(found == *any));
        }
    }
    let mut null = false;
    for row in rows.rows() {
        match compare_rows(functions, env.context, &left, row)? {
            Some(v) if v == *any => return Ok(Datum::Bool(*any)),
            Some(_) => {}
            None => null = true,
        }
    }
    Ok(if null { Datum::Null } else { Datum::Bool(!any) })
}

#[cold]
fn request(subplan: usize, frame: Vec<Datum>, kind: ResultKind) -> Stop {
    Stop::Subquery(Box::new(SubqueryRequest { subplan, frame, kind }))
}

/// Whether all pairs compare true; false as soon as one is false.
fn compare_rows(
    functions: &[&'static Function],
    context: &EvalContext,
    left: &[Datum],
    right: &[Datum],
) -> Result<Option<bool>> {
    let mut null = false;
    for ((function, l), r) in functions.iter().zip(left).zip(right) {
        match compare_pair(function, context, l, r)? {
            Some(false) => return Ok(Some(false)),
            Some(true) => {}
            None => null = true,
        }
    }
    Ok(if null { None } else { Some(true) })
}

/// `NOT expr`, simplified where that is plain.
pub fn not(expr: crate::sql::bound::Expr) -> crate::sql::bound::Expr {
    use crate::sql::bound::Expr;
    match expr {
        Expr::Not(inner) => *inner,
        Expr::Literal(Datum::Bool(v), _) => Expr::Literal(Datum::Bool(!v), SqlType::BOOL),
        other => Expr::Not(Box::new(other)),
    }
}
