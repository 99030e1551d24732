//! `sum` and `avg` of int8, numeric and interval, and of whatever becomes numeric on the way.

use std::marker::PhantomData;

use crate::error::Result;
use crate::functions::call::{Ret, arg};
use crate::functions::numbers::floats::{Float, overflow};
use crate::functions::numbers::ints::Int;
use crate::functions::{Accumulator, EvalContext};
use crate::types::{Datum, Interval, Numeric};

/// Integers added up in 128 bits, which no number of rows overflows.
#[derive(Default)]
struct WideSum {
    sum: i128,
    count: i64,
}

/// `sum` of int8: a numeric.
#[derive(Default)]
pub(super) struct SumWide(WideSum);

impl Accumulator for SumWide {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if !args[0].is_null() {
            self.0.sum += i128::from(arg::<i64>(args, 0)?);
            self.0.count += 1;
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        (self.0.count > 0).then(|| Numeric::from_i128(self.0.sum, 0)).datum()
    }
}

/// `avg` of integers: a numeric.
#[derive(Default)]
pub(super) struct AvgInts<A>(WideSum, PhantomData<A>);

impl<A: Int + Send> Accumulator for AvgInts<A> {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if !args[0].is_null() {
            self.0.sum += i128::from(arg::<A>(args, 0)?.wide());
            self.0.count += 1;
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        match self.0.count {
            0 => Ok(Datum::Null),
            n => Numeric::from_i128(self.0.sum, 0).div(&Numeric::from_i64(n)).datum(),
        }
    }
}

/// `sum` (and, if `AVG`, `avg`) of numeric.
#[derive(Default)]
pub(super) struct SumNumeric<const AVG: bool> {
    sum: Option<Numeric>,
    count: i64,
}

impl<const AVG: bool> Accumulator for SumNumeric<AVG> {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if !args[0].is_null() {
            let x: &Numeric = arg(args, 0)?;
            self.count += 1;
            self.sum = Some(match &self.sum {
                Some(sum) => sum.add(x)?,
                None => x.clone(),
            });
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        match &self.sum {
            Some(sum) if AVG => sum.div(&Numeric::from_i64(self.count)).datum(),
            sum => sum.clone().datum(),
        }
    }
}

/// `avg` of floats: a float8, of a sum in order of arrival.
#[derive(Default)]
pub(super) struct AvgFloats<A> {
    sum: f64,
    count: f64,
    of: PhantomData<A>,
}

impl<A: Float + Send> Accumulator for AvgFloats<A> {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if !args[0].is_null() {
            let x = arg::<A>(args, 0)?.wide();
            let sum = self.sum + x;
            if sum.is_infinite() && self.sum.is_finite() && x.is_finite() {
                return Err(overflow());
            }
            self.sum = sum;
            self.count += 1.0;
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        (self.count > 0.0).then_some(self.sum / self.count).datum()
    }
}

/// `sum` (and, if `AVG`, `avg`) of interval.
#[derive(Default)]
pub(super) struct SumInterval<const AVG: bool> {
    sum: Option<Interval>,
    count: i64,
}

impl<const AVG: bool> Accumulator for SumInterval<AVG> {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if !args[0].is_null() {
            let x: &Interval = arg(args, 0)?;
            self.count += 1;
            self.sum = Some(match &self.sum {
                Some(sum) => sum.add(x)?,
                None => *x,
            });
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        match self.sum {
            Some(sum) if AVG => sum.div(self.count as f64).datum(),
            sum => sum.datum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::tests::context::context;

    #[test]
    fn wide_sums_do_not_overflow() {
        let mut sum = SumWide::default();
        for _ in 0..3 {
            sum.add(&context(), &[Datum::Int8(i64::MAX)]).unwrap();
        }
        let Ok(Datum::Numeric(total)) = sum.finish(&context()) else { panic!("no numeric") };
        assert_eq!(total.to_string(), "27670116110564327421");
    }
}
