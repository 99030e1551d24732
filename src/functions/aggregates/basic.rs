//! count, sum, avg, min, max.

use std::marker::PhantomData;

use crate::error::Result;
use crate::functions::call::{Ret, arg};
use crate::functions::comparison::Pair;
use crate::functions::numbers::floats::{Float, check_overflow};
use crate::functions::numbers::ints::{Int, narrow};
use crate::functions::{Accumulator, EvalContext};
use crate::types::Datum;

/// `count(*)` and `count(x)`.
#[derive(Default)]
pub(super) struct Count(i64);

impl Accumulator for Count {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if !args.first().is_some_and(Datum::is_null) {
            self.0 += 1;
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        Ok(Datum::Int8(self.0))
    }
}

/// `sum` of int2 and int4: an int8.
#[derive(Default)]
pub(super) struct SumInts<A>(Option<i64>, PhantomData<A>);

impl<A: Int + Send> Accumulator for SumInts<A> {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if !args[0].is_null() {
            let x = arg::<A>(args, 0)?.wide();
            self.0 = Some(narrow(self.0.unwrap_or(0).checked_add(x))?);
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        self.0.datum()
    }
}

/// `sum` of floats, in their own precision and in order of arrival.
#[derive(Default)]
pub(super) struct SumFloats<A>(Option<A>);

impl<A: Float + Send> Accumulator for SumFloats<A> {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if !args[0].is_null() {
            let x: A = arg(args, 0)?;
            self.0 = Some(match self.0 {
                None => x,
                Some(sum) => {
                    let (sum, x) = (sum.wide(), x.wide());
                    check_overflow(sum + x, sum.is_finite() && x.is_finite())?
                }
            });
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        self.0.datum()
    }
}

/// `min` and `max` of a type that compares by `P`.
pub(super) struct Extreme<P, const MAX: bool>(Option<[Datum; 2]>, PhantomData<P>);

impl<P, const MAX: bool> Default for Extreme<P, MAX> {
    fn default() -> Self {
        Extreme(None, PhantomData)
    }
}

impl<P: Pair + Send, const MAX: bool> Accumulator for Extreme<P, MAX> {
    fn add(&mut self, context: &EvalContext, args: &[Datum]) -> Result<()> {
        if args[0].is_null() {
            return Ok(());
        }
        match &mut self.0 {
            None => self.0 = Some([args[0].clone(), Datum::Null]),
            Some(pair) => {
                // The best so far and the candidate lie beside each other, as `order` wants them.
                pair[1] = args[0].clone();
                if !P::keeps_first(context, pair, MAX)? {
                    pair.swap(0, 1);
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        Ok(self.0.as_ref().map_or(Datum::Null, |pair| pair[0].clone()))
    }
}
