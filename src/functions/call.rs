//! Calling functions, and taking datums apart for their code.
//!
//! A function's code names the Rust types of its arguments in a closure: `two(a, |x: i32, y: i32|
//! …)` takes two datums apart ([`Arg`]), runs the closure and wraps its result ([`Ret`]). A datum
//! of another variant than the declared type's is a defect of the binder, reported as XX000.

use std::sync::Arc;

use bytes::Bytes;

use super::{EvalContext, Function, FunctionKind};
use crate::error::{Error, Result};
use crate::types::json::Json;
use crate::types::{Array, Datum, Interval, Numeric, Record, SqlType};

/// Calls a scalar function: NULL handling of strict functions included.
///
/// # Errors
/// Whatever the function raises; XX000 if it is not scalar, or needs [`eval_typed`].
pub fn eval_call(function: &Function, context: &EvalContext, args: &[Datum]) -> Result<Datum> {
    match function.kind {
        FunctionKind::Scalar(code) => {
            if function.strict && args.iter().any(Datum::is_null) {
                return Ok(Datum::Null);
            }
            code(context, args)
        }
        _ => Err(Error::internal(format!("{function:?} is not callable without types"))),
    }
}

/// Calls a scalar function with its arguments' types, which some need (`pg_typeof`, `to_json`).
///
/// # Errors
/// Whatever the function raises; XX000 if it is not scalar.
pub fn eval_typed(
    function: &Function,
    context: &EvalContext,
    types: &[SqlType],
    args: &[Datum],
) -> Result<Datum> {
    match function.kind {
        FunctionKind::Typed(code) => {
            if function.strict && args.iter().any(Datum::is_null) {
                return Ok(Datum::Null);
            }
            code(context, types, args)
        }
        _ => eval_call(function, context, args),
    }
}

/// A Rust type that one kind of datum is taken apart into.
pub(super) trait Arg<'a>: Sized {
    fn of(datum: &'a Datum) -> Option<Self>;
}

macro_rules! args_by_copy {
    ($($variant:ident $rust:ty),* $(,)?) => {
        $(
            impl Arg<'_> for $rust {
                fn of(datum: &Datum) -> Option<Self> {
                    match datum {
                        Datum::$variant(v) => Some((*v).into()),
                        _ => None,
                    }
                }
            }
        )*
    };
}

macro_rules! args_by_reference {
    ($($variant:ident $rust:ty),* $(,)?) => {
        $(
            impl<'a> Arg<'a> for &'a $rust {
                fn of(datum: &'a Datum) -> Option<Self> {
                    match datum {
                        Datum::$variant(v) => Some(v),
                        _ => None,
                    }
                }
            }
        )*
    };
}

/// A date: days since 2000-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Date(pub i32);
/// A time: microseconds since midnight.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub i64);
/// A timestamp: microseconds since 2000-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamp(pub i64);
/// A timestamptz: microseconds since 2000-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamptz(pub i64);
/// A uuid.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Uuid(pub [u8; 16]);

macro_rules! wrappers {
    ($($name:ident $inner:ty),*) => {
        $(
            impl From<$inner> for $name {
                fn from(v: $inner) -> Self {
                    $name(v)
                }
            }
            impl Ret for $name {
                fn datum(self) -> Result<Datum> {
                    Ok(Datum::$name(self.0))
                }
            }
        )*
    };
}

args_by_copy!(
    Bool bool, Int2 i16, Int4 i32, Int8 i64, Oid u32, Float4 f32, Float8 f64, Char u8,
    Date Date, Time Time, Timestamp Timestamp, Timestamptz Timestamptz, Uuid Uuid,
);
args_by_reference!(
    Numeric Numeric, Text str, Bytea Bytes, Interval Interval, Array Array, Jsonb Arc<Json>,
    Record Record,
);
wrappers!(Date i32, Time i64, Timestamp i64, Timestamptz i64, Uuid [u8; 16]);

impl<'a> Arg<'a> for &'a Datum {
    fn of(datum: &'a Datum) -> Option<Self> {
        Some(datum)
    }
}

/// A Rust type that makes a datum.
pub(super) trait Ret {
    fn datum(self) -> Result<Datum>;
}

macro_rules! results {
    ($($variant:ident $rust:ty),* $(,)?) => {
        $(
            impl Ret for $rust {
                fn datum(self) -> Result<Datum> {
                    Ok(Datum::$variant(self.into()))
                }
            }
        )*
    };
}

results!(
    Bool bool, Int2 i16, Int4 i32, Int8 i64, Oid u32, Float4 f32, Float8 f64, Char u8,
    Numeric Numeric, Text String, Text &str, Text Arc<str>, Bytea Bytes, Bytea Vec<u8>,
    Interval Box<Interval>, Interval Interval, Array Array, Jsonb Json, Jsonb Arc<Json>,
);

impl Ret for Datum {
    fn datum(self) -> Result<Datum> {
        Ok(self)
    }
}

impl<T: Ret> Ret for Option<T> {
    fn datum(self) -> Result<Datum> {
        self.map_or(Ok(Datum::Null), Ret::datum)
    }
}

impl<T: Ret> Ret for Result<T> {
    fn datum(self) -> Result<Datum> {
        self?.datum()
    }
}

/// The argument at `i`, which must be there and not NULL.
pub(super) fn arg<'a, A: Arg<'a>>(args: &'a [Datum], i: usize) -> Result<A> {
    args.get(i).and_then(A::of).ok_or_else(|| unexpected(args, i))
}

/// The argument at `i`; none if it is NULL or was left out.
pub(super) fn optional<'a, A: Arg<'a>>(args: &'a [Datum], i: usize) -> Result<Option<A>> {
    match args.get(i) {
        None | Some(Datum::Null) => Ok(None),
        Some(_) => arg(args, i).map(Some),
    }
}

#[cold]
fn unexpected(args: &[Datum], i: usize) -> Error {
    Error::internal(format!("argument {} of a function is {:?}", i + 1, args.get(i)))
}

/// Runs `f` over one argument.
pub(super) fn one<'a, A: Arg<'a>, R: Ret>(a: &'a [Datum], f: impl FnOnce(A) -> R) -> Result<Datum> {
    f(arg(a, 0)?).datum()
}

/// Runs `f` over two arguments.
pub(super) fn two<'a, A: Arg<'a>, B: Arg<'a>, R: Ret>(
    a: &'a [Datum],
    f: impl FnOnce(A, B) -> R,
) -> Result<Datum> {
    f(arg(a, 0)?, arg(a, 1)?).datum()
}

/// Runs `f` over three arguments.
pub(super) fn three<'a, A: Arg<'a>, B: Arg<'a>, C: Arg<'a>, R: Ret>(
    a: &'a [Datum],
    f: impl FnOnce(A, B, C) -> R,
) -> Result<Datum> {
    f(arg(a, 0)?, arg(a, 1)?, arg(a, 2)?).datum()
}
