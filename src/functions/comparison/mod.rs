//! Comparison operators: `=`, `<>`, `<`, `<=`, `>`, `>=` of each type and of the mixed pairs that
//! PostgreSQL has, and the functions behind `btree` order (`btint4cmp`).

pub(super) mod table;

use std::cmp::Ordering;

use super::EvalContext;
use super::call::{Arg, Date, Timestamp, Timestamptz, arg};
use super::datum_order::{compare, compare_floats};
use super::numbers::floats::Float;
use super::numbers::ints::Int;
use crate::error::Result;
use crate::types::Datum;
use crate::types::datetime::{DAY, SECOND};

/// How two arguments compare: one for each pair of types that differ in more than name.
pub(super) trait Pair {
    fn order(context: &EvalContext, a: &[Datum]) -> Result<Ordering>;
    /// Which of two equal ones `min` and `max` give: PostgreSQL has the second, but for `char(n)`.
    const FIRST_OF_EQUALS: bool = false;

    /// Whether the first is the one to keep: the larger (`max`) or the smaller.
    fn keeps_first(context: &EvalContext, a: &[Datum], max: bool) -> Result<bool> {
        let order = Self::order(context, a)?;
        let order = if max { order } else { order.reverse() };
        Ok(order.is_gt() || order.is_eq() && Self::FIRST_OF_EQUALS)
    }
}

/// Two of one type.
pub(super) struct Same;
/// Two integers.
pub(super) struct Ints<A, B>(std::marker::PhantomData<(A, B)>);
/// Two floats.
pub(super) struct Floats<A, B>(std::marker::PhantomData<(A, B)>);
/// Two `char(n)`: trailing blanks do not count.
pub(super) struct Blanks;

/// An xid and an int4.
pub(super) struct XidInt;

/// Two of date, timestamp and timestamptz.
pub(super) struct Times<A, B>(std::marker::PhantomData<(A, B)>);

/// A point in time, as far as comparison goes.
pub(super) trait Instant: for<'a> Arg<'a> {
    /// Whether it names an instant, not a local time.
    const ZONED: bool;
    /// Microseconds since 2000, beyond what a timestamp reaches too.
    fn micros(self) -> i128;
}

impl Instant for Date {
    const ZONED: bool = false;
    fn micros(self) -> i128 {
        match self.0 {
            i32::MIN => i64::MIN.into(),
            i32::MAX => i64::MAX.into(),
            days => i128::from(days) * i128::from(DAY),
        }
    }
}

impl Instant for Timestamp {
    const ZONED: bool = false;
    fn micros(self) -> i128 {
        self.0.into()
    }
}

impl Instant for Timestamptz {
    const ZONED: bool = true;
    fn micros(self) -> i128 {
        self.0.into()
    }
}

/// The instant of a local time in the session's zone; times beyond all timestamps stay so.
fn instant(context: &EvalContext, local: i128) -> i128 {
    match i64::try_from(local) {
        Ok(i64::MIN | i64::MAX) | Err(_) => local,
        Ok(finite) => {
            let offset = context.session.format.time_zone.offset_of_local(finite);
            local - i128::from(offset) * i128::from(SECOND)
        }
    }
}

impl<A: Instant, B: Instant> Pair for Times<A, B> {
    fn order(context: &EvalContext, a: &[Datum]) -> Result<Ordering> {
        let (x, y) = (arg::<A>(a, 0)?.micros(), arg::<B>(a, 1)?.micros());
        // Infinity is above every date, though there are dates beyond the last timestamp.
        let infinite = |t: i128| match t {
            _ if t == i128::from(i64::MAX) => 1,
            _ if t == i128::from(i64::MIN) => -1,
            _ => 0,
        };
        let (x, y) = match (A::ZONED, B::ZONED) {
            (true, false) => (x, instant(context, y)),
            (false, true) => (instant(context, x), y),
            _ => (x, y),
        };
        Ok(infinite(x).cmp(&infinite(y)).then(x.cmp(&y)))
    }
}

impl Pair for Same {
    #[inline]
    fn order(_: &EvalContext, a: &[Datum]) -> Result<Ordering> {
        Ok(compare(&a[0], &a[1]))
    }
}

impl<A: Int, B: Int> Pair for Ints<A, B> {
    #[inline]
    fn order(_: &EvalContext, a: &[Datum]) -> Result<Ordering> {
        Ok(arg::<A>(a, 0)?.wide().cmp(&arg::<B>(a, 1)?.wide()))
    }
}

impl<A: Float, B: Float> Pair for Floats<A, B> {
    #[inline]
    fn order(_: &EvalContext, a: &[Datum]) -> Result<Ordering> {
        Ok(compare_floats(arg::<A>(a, 0)?.wide(), arg::<B>(a, 1)?.wide()))
    }
}

impl Pair for XidInt {
    fn order(_: &EvalContext, a: &[Datum]) -> Result<Ordering> {
        Ok(arg::<u32>(a, 0)?.cmp(&(arg::<i32>(a, 1)? as u32)))
    }
}

impl Pair for Blanks {
    const FIRST_OF_EQUALS: bool = true;

    fn order(_: &EvalContext, a: &[Datum]) -> Result<Ordering> {
        let (x, y): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
        Ok(x.trim_end_matches(' ').as_bytes().cmp(y.trim_end_matches(' ').as_bytes()))
    }
}

pub(super) fn eq<P: Pair>(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(P::order(context, a)?.is_eq()))
}

pub(super) fn ne<P: Pair>(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(P::order(context, a)?.is_ne()))
}

pub(super) fn lt<P: Pair>(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(P::order(context, a)?.is_lt()))
}

pub(super) fn le<P: Pair>(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(P::order(context, a)?.is_le()))
}

pub(super) fn gt<P: Pair>(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(P::order(context, a)?.is_gt()))
}

pub(super) fn ge<P: Pair>(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(P::order(context, a)?.is_ge()))
}

/// -1, 0 or 1.
pub(super) fn order<P: Pair>(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(Datum::Int4(P::order(context, a)? as i32))
}

pub(super) fn larger<P: Pair>(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(a[usize::from(!P::keeps_first(context, a, true)?)].clone())
}

pub(super) fn smaller<P: Pair>(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(a[usize::from(!P::keeps_first(context, a, false)?)].clone())
}
