//! `generate_series`, lazily: the executor may stop it.

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{Ret, Timestamp, Timestamptz, arg, optional};
use crate::functions::numbers::ints::Int;
use crate::functions::numbers::numerics::check_series;
use crate::types::datetime::{timestamp_add, timestamptz_add};
use crate::types::{Datum, Interval, Numeric};

use super::Rows;

#[cold]
fn zero_step() -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

/// `generate_series(start, stop [, step])` of int4 and int8.
pub(super) fn ints<A: Int + Send + 'static>(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    let (start, stop) = (arg::<A>(a, 0)?.wide(), arg::<A>(a, 1)?.wide());
    let step = optional::<A>(a, 2)?.map_or(1, Int::wide);
    if step == 0 {
        return Err(zero_step());
    }
    let within = move |x: &i64| if step > 0 { *x <= stop } else { *x >= stop };
    let values = std::iter::successors(Some(start).filter(within), move |x| {
        x.checked_add(step).filter(within)
    });
    Ok(Box::new(values.map(|x| Ok(vec![A::narrow(x).map_or(Ok(Datum::Null), |x| x.datum())?]))))
}

/// The values from `start` on, until `next` gives none or fails; each is a row.
fn steps<T: Ret + Clone + Send + 'static>(
    start: Option<T>,
    mut next: impl FnMut(&T) -> Result<Option<T>> + Send + 'static,
) -> Rows {
    let mut upcoming = Ok(start);
    Box::new(std::iter::from_fn(move || {
        let current = match std::mem::replace(&mut upcoming, Ok(None)) {
            Ok(current) => current?,
            Err(e) => return Some(Err(e)),
        };
        upcoming = next(&current);
        Some(current.datum().map(|datum| vec![datum]))
    }))
}

/// `generate_series(start, stop [, step])` of numeric.
pub(super) fn numerics(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    let (start, stop): (&Numeric, &Numeric) = (arg(a, 0)?, arg(a, 1)?);
    let step = optional::<&Numeric>(a, 2)?.unwrap_or(&Numeric::ONE).clone();
    check_series(start, stop, &step)?;
    let (stop, rising) = (stop.clone(), step.sign() > 0);
    let within = move |x: &Numeric| if rising { *x <= stop } else { *x >= stop };
    let first = Some(start.clone()).filter(&within);
    Ok(steps(first, move |x| x.add(&step).map(|next| Some(next).filter(&within))))
}

/// Whether the step goes up; 22023 for one that goes nowhere.
fn is_rising(step: &Interval) -> Result<bool> {
    match step.span() {
        0 => Err(zero_step()),
        span => Ok(span > 0),
    }
}

/// `generate_series(start, stop, step)` of timestamp.
pub(super) fn timestamps(_: &EvalContext, a: &[Datum]) -> Result<Rows> {
    let (start, stop, step): (Timestamp, Timestamp, &Interval) =
        (arg(a, 0)?, arg(a, 1)?, arg(a, 2)?);
    let (step, rising) = (*step, is_rising(step)?);
    let within = move |t: &Timestamp| if rising { *t <= stop } else { *t >= stop };
    Ok(steps(Some(start).filter(within), move |t| {
        timestamp_add(t.0, &step).map(|next| Some(Timestamp(next)).filter(within))
    }))
}

/// `generate_series(start, stop, step)` of timestamptz, by the session's clock.
pub(super) fn timestamptzs(context: &EvalContext, a: &[Datum]) -> Result<Rows> {
    let (start, stop, step): (Timestamptz, Timestamptz, &Interval) =
        (arg(a, 0)?, arg(a, 1)?, arg(a, 2)?);
    let (step, rising) = (*step, is_rising(step)?);
    let zone = context.session.format.time_zone.clone();
    let within = move |t: &Timestamptz| if rising { *t <= stop } else { *t >= stop };
    Ok(steps(Some(start).filter(within), move |t| {
        timestamptz_add(t.0, &step, &zone).map(|next| Some(Timestamptz(next)).filter(within))
    }))
}
