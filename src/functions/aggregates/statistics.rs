//! Variance and standard deviation, covariance, correlation and regression.
//!
//! Of numeric and integers exactly, from the sums of values and of squares; of floats by Youngs
//! and Cramer's recurrence, in PostgreSQL's order of operations.

use crate::error::Result;
use crate::functions::call::{Ret, arg};
use crate::functions::numbers::floats::overflow;
use crate::functions::{Accumulator, EvalContext};
use crate::types::{Datum, Numeric};

/// Over all of the population, or a sample of it.
const POPULATION: bool = false;

/// `var_*` and `stddev_*` of integers and numeric.
#[derive(Default)]
pub(super) struct Spread<const SAMPLE: bool, const ROOT: bool> {
    count: i64,
    sum: Option<Numeric>,
    squares: Option<Numeric>,
}

fn exact(datum: &Datum) -> Result<Numeric> {
    Ok(match datum {
        Datum::Int2(x) => Numeric::from_i64(i64::from(*x)),
        Datum::Int4(x) => Numeric::from_i64(i64::from(*x)),
        Datum::Int8(x) => Numeric::from_i64(*x),
        other => arg::<&Numeric>(std::slice::from_ref(other), 0)?.clone(),
    })
}

impl<const SAMPLE: bool, const ROOT: bool> Accumulator for Spread<SAMPLE, ROOT> {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if args[0].is_null() {
            return Ok(());
        }
        let x = exact(&args[0])?;
        let square = x.mul(&x)?;
        let plus = |sum: &Option<Numeric>, x: Numeric| match sum {
            Some(sum) => sum.add(&x),
            None => Ok(x),
        };
        self.sum = Some(plus(&self.sum, x)?);
        self.squares = Some(plus(&self.squares, square)?);
        self.count += 1;
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        let (Some(sum), Some(squares)) = (&self.sum, &self.squares) else {
            return Ok(Datum::Null);
        };
        if SAMPLE != POPULATION && self.count <= 1 {
            return Ok(Datum::Null);
        }
        if !sum.is_finite() || !squares.is_finite() {
            return Ok(Datum::Numeric(Numeric::NAN));
        }
        let count = Numeric::from_i64(self.count);
        let numerator = count.mul(squares)?.sub(&sum.mul(sum)?)?;
        if numerator.sign() <= 0 {
            return Ok(Datum::Numeric(Numeric::ZERO));
        }
        let others = if SAMPLE { Numeric::from_i64(self.count - 1) } else { count.clone() };
        let variance = numerator.div(&count.mul(&others)?)?;
        match ROOT {
            true => variance.sqrt_to_scale(variance.scale()).datum(),
            false => variance.datum(),
        }
    }
}

/// Count, sum and squared distances from the mean, kept up with each value.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, x: f64) -> Result<()> {
        let before = *self;
        self.count += 1.0;
        self.sum += x;
        if before.count > 0.0 {
            let distance = x * self.count - self.sum;
            self.squares += distance * distance / (self.count * before.count);
            if self.sum.is_infinite() || self.squares.is_infinite() {
                if before.sum.is_finite() && x.is_finite() {
                    return Err(overflow());
                }
                self.squares = f64::NAN;
            }
        } else if !x.is_finite() {
            self.squares = f64::NAN;
        }
        Ok(())
    }
}

/// `var_*` and `stddev_*` of floats.
#[derive(Default)]
pub(super) struct FloatSpread<const SAMPLE: bool, const ROOT: bool>(Moments);

impl<const SAMPLE: bool, const ROOT: bool> Accumulator for FloatSpread<SAMPLE, ROOT> {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        match &args[0] {
            Datum::Null => Ok(()),
            Datum::Float4(x) => self.0.add(f64::from(*x)),
            _ => self.0.add(arg(args, 0)?),
        }
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        let others = if SAMPLE { self.0.count - 1.0 } else { self.0.count };
        if others <= 0.0 {
            return Ok(Datum::Null);
        }
        let variance = self.0.squares / others;
        Ok(Datum::Float8(if ROOT { variance.sqrt() } else { variance }))
    }
}

/// What an aggregate of pairs `(y, x)` is asked for.
#[derive(Clone, Copy)]
enum Wanted {
    Count,
    Sxx,
    Syy,
    Sxy,
    AvgX,
    AvgY,
    CovarPop,
    CovarSamp,
    Corr,
    R2,
    Slope,
    Intercept,
}

/// The sums that all aggregates of pairs are made from.
pub(super) struct Regression {
    wanted: Wanted,
    x: Moments,
    y: Moments,
    products: f64,
}

macro_rules! regressions {
    ($($name:ident $wanted:ident),* $(,)?) => {
        $(
            pub(super) fn $name(
                _: &[crate::types::SqlType],
            ) -> Box<dyn Accumulator> {
                let (x, y) = (Moments::default(), Moments::default());
                Box::new(Regression { wanted: Wanted::$wanted, x, y, products: 0.0 })
            }
        )*
    };
}

regressions!(
    regr_count Count, regr_sxx Sxx, regr_syy Syy, regr_sxy Sxy, regr_avgx AvgX, regr_avgy AvgY,
    covar_pop CovarPop, covar_samp CovarSamp, corr Corr, regr_r2 R2, regr_slope Slope,
    regr_intercept Intercept,
);

impl Accumulator for Regression {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        if args[0].is_null() || args[1].is_null() {
            return Ok(());
        }
        let (y, x): (f64, f64) = (arg(args, 0)?, arg(args, 1)?);
        let before = self.x.count;
        let finite = [x, y, self.x.sum, self.y.sum].iter().all(|v| v.is_finite());
        let count = before + 1.0;
        (self.x.count, self.y.count) = (count, count);
        self.x.sum += x;
        self.y.sum += y;
        if before > 0.0 {
            let (dx, dy) = (x * count - self.x.sum, y * count - self.y.sum);
            let scale = 1.0 / (count * before);
            self.x.squares += dx * dx * scale;
            self.y.squares += dy * dy * scale;
            self.products += dx * dy * scale;
            let sums = [self.x.sum, self.x.squares, self.y.sum, self.y.squares, self.products];
            if sums.iter().any(|s| s.is_infinite()) {
                if finite {
                    return Err(overflow());
                }
                for s in [&mut self.x.squares, &mut self.y.squares, &mut self.products] {
                    if s.is_infinite() {
                        *s = f64::NAN;
                    }
                }
            }
        } else {
            if !x.is_finite() {
                (self.x.squares, self.products) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.y.squares, self.products) = (f64::NAN, f64::NAN);
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        let (n, xx, yy, xy) = (self.x.count, self.x.squares, self.y.squares, self.products);
        if let Wanted::Count = self.wanted {
            return Ok(Datum::Int8(n as i64));
        }
        if n < 1.0 {
            return Ok(Datum::Null);
        }
        let result = match self.wanted {
            Wanted::Count => Some(n),
            Wanted::Sxx => Some(xx),
            Wanted::Syy => Some(yy),
            Wanted::Sxy => Some(xy),
            Wanted::AvgX => Some(self.x.sum / n),
            Wanted::AvgY => Some(self.y.sum / n),
            Wanted::CovarPop => Some(xy / n),
            Wanted::CovarSamp => (n > 1.0).then(|| xy / (n - 1.0)),
            Wanted::Corr => (xx != 0.0 && yy != 0.0).then(|| xy / (xx * yy).sqrt()),
            Wanted::R2 if xx == 0.0 => None,
            Wanted::R2 if yy == 0.0 => Some(1.0),
            Wanted::R2 => Some((xy * xy) / (xx * yy)),
            Wanted::Slope => (xx != 0.0).then(|| xy / xx),
            Wanted::Intercept => (xx != 0.0).then(|| (self.y.sum - self.x.sum * xy / xx) / n),
        };
        result.datum()
    }
}
