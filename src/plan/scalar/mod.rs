//! Expressions compiled for evaluation: columns are places in a row, functions are code.
//!
//! A [`Scalar`] is made once for a plan and evaluated for every row ([`Scalar::eval`]), without
//! input or output and without allocation of its own. It sees up to two rows side by side (the
//! sides of a join, a row and what is to become of it), the statement's parameters, and the
//! *frame*: the values that a subplan takes from the query around it.
//!
//! A subquery is run by the executor, not here: evaluation looks its result up in the
//! [`Subresults`] and, where it is not there yet, stops with [`Stop::Subquery`]. The executor
//! runs the subplan and evaluates again. So CASE, AND, OR and COALESCE run no subquery that they
//! do not need, as in PostgreSQL.

pub mod compile;
mod eval;

use std::sync::Arc;

use crate::error::Error;
use crate::functions::{EvalContext, Function, ScalarFn, TypedFn};
use crate::types::{Array, BaseType, Datum, RecordShape, SqlType};

pub use super::compare::Order;
pub use compile::{Compiler, Scope};
pub use eval::not;

/// A compiled expression.
#[derive(Clone, Debug)]
pub enum Scalar {
    /// A constant.
    Const(Datum),
    /// `$n`, from 0.
    Param(usize),
    /// A column of the row.
    Slot(usize),
    /// A column of the second row.
    Right(usize),
    /// A value of the frame.
    Outer(usize),
    /// A function that needs its arguments only.
    Call(Box<CallScalar>),
    /// A function that is told its arguments' types.
    Typed(Box<TypedScalar>),
    /// A comparison of two values of one type, by its default order.
    Compare(Box<(Order, Scalar, Scalar)>),
    /// A cast.
    Cast(Box<CastScalar>),
    /// AND
    And(Box<[Scalar]>),
    /// OR
    Or(Box<[Scalar]>),
    /// NOT
    Not(Box<Scalar>),
    /// IS NULL
    IsNull(Box<Scalar>),
    /// IS TRUE, IS FALSE
    IsBool(Box<Scalar>, bool),
    /// IS DISTINCT FROM, with the type's equality
    IsDistinct(Box<(Scalar, Scalar, &'static Function)>),
    /// CASE: arms and ELSE
    Case(Box<(Vec<(Scalar, Scalar)>, Scalar)>),
    /// COALESCE
    Coalesce(Box<[Scalar]>),
    /// GREATEST (true), LEAST (false)
    Extreme(bool, Box<[Scalar]>),
    /// `left op ANY (array)`, `left op ALL (array)`
    AnyAll(Box<AnyAllScalar>),
    /// ARRAY[…]
    Array(BaseType, Box<[Scalar]>),
    /// `array[index]`
    Subscript(Box<(Scalar, Scalar)>),
    /// ROW(…)
    Row(Box<[Scalar]>, Arc<RecordShape>),
    /// A subquery as a value.
    Subquery(Box<SubqueryScalar>),
}

/// A call.
#[derive(Clone, Debug)]
pub struct CallScalar {
    /// Its code.
    pub code: ScalarFn,
    /// Whether a NULL argument makes NULL without a call.
    pub strict: bool,
    /// Its arguments.
    pub args: Box<[Scalar]>,
    /// Its position in the statement.
    pub position: u32,
    /// The function, for EXPLAIN and tests.
    pub function: &'static Function,
}

/// A call that is told its arguments' types.
#[derive(Clone, Debug)]
pub struct TypedScalar {
    /// Its code.
    pub code: TypedFn,
    /// Whether a NULL argument makes NULL without a call.
    pub strict: bool,
    /// Its arguments.
    pub args: Box<[Scalar]>,
    /// Their types.
    pub types: Box<[SqlType]>,
    /// Its position in the statement.
    pub position: u32,
}

/// A cast.
#[derive(Clone, Debug)]
pub struct CastScalar {
    /// Of what.
    pub expr: Scalar,
    /// From.
    pub from: SqlType,
    /// To.
    pub to: SqlType,
    /// Whether written by the user.
    pub explicit: bool,
    /// Its position in the statement.
    pub position: u32,
}

/// `left op ANY/ALL (array)`.
#[derive(Clone, Debug)]
pub struct AnyAllScalar {
    /// ANY (true) or ALL (false).
    pub any: bool,
    /// Left side.
    pub left: Scalar,
    /// The array.
    pub array: Scalar,
    /// The comparison.
    pub function: &'static Function,
    /// For `= ANY` and `<> ALL` of a constant array: its elements, sorted.
    pub sorted: Option<Arc<SortedList>>,
    /// Position of the operator.
    pub position: u32,
}

/// The elements of a constant list, for a search by halves.
#[derive(Clone, Debug)]
pub struct SortedList {
    /// The elements that are not NULL, ascending.
    pub values: Vec<Datum>,
    /// Whether there was a NULL.
    pub has_null: bool,
}

/// A subquery as a value.
#[derive(Clone, Debug)]
pub struct SubqueryScalar {
    /// Its place among the plan's subplans.
    pub subplan: usize,
    /// The frame it is run with.
    pub args: Box<[Scalar]>,
    /// How its rows become a value.
    pub kind: SubqueryUse,
}

/// How the rows of a subquery become a value.
#[derive(Clone, Debug)]
pub enum SubqueryUse {
    /// The value of the one row.
    Scalar,
    /// Whether there is a row.
    Exists,
    /// All values, as an array of this element type.
    Array(BaseType),
    /// A comparison of `left` with each row.
    AnyAll {
        /// ANY (true) or ALL (false).
        any: bool,
        /// Left sides.
        left: Box<[Scalar]>,
        /// The comparisons.
        functions: Box<[&'static Function]>,
        /// Whether every comparison is the default equality, so that a hash table answers.
        hashed: bool,
    },
}

/// Why an evaluation ended without a value.
#[derive(Debug)]
pub enum Stop {
    /// It failed.
    Error(Error),
    /// It needs the result of a subquery first.
    Subquery(Box<SubqueryRequest>),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Stop {
        Stop::Error(e)
    }
}

impl Stop {
    /// The error. A subquery where there can be none is a defect.
    pub fn into_error(self) -> Error {
        match self {
            Stop::Error(e) => e,
            Stop::Subquery(_) => Error::internal("subquery in an expression that cannot run one"),
        }
    }
}

/// A subquery to be run before an evaluation can go on.
#[derive(Debug)]
pub struct SubqueryRequest {
    /// Which subplan.
    pub subplan: usize,
    /// The frame to run it with.
    pub frame: Vec<Datum>,
    /// What becomes of its rows.
    pub kind: ResultKind,
}

/// What becomes of a subquery's rows.
#[derive(Clone, Copy, Debug)]
pub enum ResultKind {
    /// The value of the one row.
    Scalar,
    /// Whether there is a row.
    Exists,
    /// An array of this element type.
    Array(BaseType),
    /// They are kept.
    Rows,
}

/// The result of a subquery for one frame.
#[derive(Clone)]
pub enum Subresult {
    /// The one value, whether a row exists, or the array.
    Value(Datum),
    /// The rows, for ANY and ALL.
    Rows(Arc<dyn RowSet>),
}

/// The rows of a subquery, searchable.
pub trait RowSet: Send + Sync {
    /// All rows.
    fn rows(&self) -> &[crate::types::Row];
    /// Whether a row equal to `left` (no NULL in it) is there, and whether there are rows with a
    /// NULL in them.
    fn find(&self, left: &[Datum]) -> (bool, bool);
}

/// Where evaluation finds the results of subqueries that were run.
pub trait Subresults {
    /// The result of `subplan` under `frame`.
    fn get(&self, subplan: usize, frame: &[Datum]) -> Option<Subresult>;
}

/// No subqueries.
pub struct NoSubresults;

impl Subresults for NoSubresults {
    fn get(&self, _: usize, _: &[Datum]) -> Option<Subresult> {
        None
    }
}

/// What an evaluation sees.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// Settings, time, catalog.
    pub context: &'a EvalContext,
    /// The statement's parameters.
    pub params: &'a [Datum],
    /// Values from the query around.
    pub frame: &'a [Datum],
    /// Results of subqueries.
    pub subresults: &'a (dyn Subresults + Sync),
    /// The row.
    pub row: &'a [Datum],
    /// The second row.
    pub right: &'a [Datum],
}

/// Compiled expressions, with what the executor wants to know of them at once.
#[derive(Clone, Debug, Default)]
pub struct Scalars {
    /// The expressions.
    pub list: Box<[Scalar]>,
    /// Whether any of them holds a subquery.
    pub subqueries: bool,
}

impl From<Vec<Scalar>> for Scalars {
    fn from(list: Vec<Scalar>) -> Scalars {
        let subqueries = list.iter().any(Scalar::has_subquery);
        Scalars { list: list.into(), subqueries }
    }
}

impl Scalars {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether all of them, as conditions, hold. Only without subqueries.
    pub fn hold(&self, env: &Env<'_>) -> crate::error::Result<bool> {
        for scalar in &self.list {
            if !scalar.is_true(env).map_err(Stop::into_error)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Scalar {
    /// Calls `f` for each operand.
    pub fn each_operand<'a>(&'a self, f: &mut dyn FnMut(&'a Scalar)) {
        match self {
            Scalar::Const(_)
            | Scalar::Param(_)
            | Scalar::Slot(_)
            | Scalar::Right(_)
            | Scalar::Outer(_) => {}
            Scalar::Call(call) => call.args.iter().for_each(f),
            Scalar::Typed(call) => call.args.iter().for_each(f),
            Scalar::Compare(c) => {
                f(&c.1);
                f(&c.2);
            }
            Scalar::Cast(cast) => f(&cast.expr),
            Scalar::And(list)
            | Scalar::Or(list)
            | Scalar::Coalesce(list)
            | Scalar::Extreme(_, list)
            | Scalar::Array(_, list)
            | Scalar::Row(list, _) => list.iter().for_each(f),
            Scalar::Not(e) | Scalar::IsNull(e) | Scalar::IsBool(e, _) => f(e),
            Scalar::IsDistinct(d) => {
                f(&d.0);
                f(&d.1);
            }
            Scalar::Case(case) => {
                for (when, then) in &case.0 {
                    f(when);
                    f(then);
                }
                f(&case.1);
            }
            Scalar::AnyAll(a) => {
                f(&a.left);
                f(&a.array);
            }
            Scalar::Subscript(s) => {
                f(&s.0);
                f(&s.1);
            }
            Scalar::Subquery(s) => {
                s.args.iter().for_each(&mut *f);
                if let SubqueryUse::AnyAll { left, .. } = &s.kind {
                    left.iter().for_each(f);
                }
            }
        }
    }

    /// Whether it holds a subquery.
    pub fn has_subquery(&self) -> bool {
        let mut found = matches!(self, Scalar::Subquery(_));
        self.each_operand(&mut |e| found = found || e.has_subquery());
        found
    }
}

/// Appends bytes that are equal for two datums exactly if nothing can tell them apart: unlike
/// comparison, this keeps 1.0 and 1.00, and 0.0 and -0.0, apart.
pub fn identity(datum: &Datum, out: &mut Vec<u8>) {
    use std::io::Write;
    let fixed = |out: &mut Vec<u8>, tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend_from_slice(bytes);
    };
    match datum {
        Datum::Null => out.push(0),
        Datum::Bool(v) => fixed(out, 1, &[u8::from(*v)]),
        Datum::Int2(v) => fixed(out, 2, &v.to_le_bytes()),
        Datum::Int4(v) => fixed(out, 3, &v.to_le_bytes()),
        Datum::Int8(v) => fixed(out, 4, &v.to_le_bytes()),
        Datum::Oid(v) => fixed(out, 5, &v.to_le_bytes()),
        Datum::Float4(v) => fixed(out, 6, &v.to_bits().to_le_bytes()),
        Datum::Float8(v) => fixed(out, 7, &v.to_bits().to_le_bytes()),
        Datum::Char(v) => fixed(out, 8, &[*v]),
        Datum::Date(v) => fixed(out, 9, &v.to_le_bytes()),
        Datum::Time(v) => fixed(out, 10, &v.to_le_bytes()),
        Datum::Timestamp(v) => fixed(out, 11, &v.to_le_bytes()),
        Datum::Timestamptz(v) => fixed(out, 12, &v.to_le_bytes()),
        Datum::Uuid(v) => fixed(out, 13, v),
        Datum::Text(v) => {
            fixed(out, 14, &(v.len() as u64).to_le_bytes());
            out.extend_from_slice(v.as_bytes());
        }
        Datum::Bytea(v) => {
            fixed(out, 15, &(v.len() as u64).to_le_bytes());
            out.extend_from_slice(v);
        }
        Datum::Interval(v) => {
            fixed(out, 16, &v.months.to_le_bytes());
            out.extend_from_slice(&v.days.to_le_bytes());
            out.extend_from_slice(&v.micros.to_le_bytes());
        }
        Datum::Array(v) => array_identity(v, out),
        Datum::Record(v) => {
            fixed(out, 18, &(v.len() as u64).to_le_bytes());
            v.iter().for_each(|d| identity(d, out));
        }
        Datum::Numeric(_) | Datum::Jsonb(_) => {
            out.push(19);
            let start = out.len();
            let _ = write!(out, "{datum:?}");
            let len = (out.len() - start) as u64;
            out.extend_from_slice(&len.to_le_bytes());
        }
    }
}

fn array_identity(array: &Array, out: &mut Vec<u8>) {
    out.push(17);
    out.extend_from_slice(&(array.values.len() as u64).to_le_bytes());
    out.extend_from_slice(&array.lower_bound.to_le_bytes());
    out.extend_from_slice(&(array.element as u32).to_le_bytes());
    array.values.iter().for_each(|d| identity(d, out));
}
