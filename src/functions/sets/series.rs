//! `generate_series`, lazily: the executor may stop it.

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, optional};
use crate::functions::numbers::ints::Int;
use crate::types::Datum;

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
