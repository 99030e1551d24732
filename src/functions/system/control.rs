//! Functions that act on the session: waiting, settings.

use std::time::Duration;

use crate::error::{Error, Result, SqlState};
use crate::functions::call::{Timestamptz, arg, one, optional};
use crate::functions::{EvalContext, Signal};
use crate::types::{Datum, Interval};

/// Longer waits end here: a hundred years.
const SLEEP_SECONDS_MAX: f64 = 100.0 * 365.25 * 86_400.0;

/// The value of functions that give none.
pub(super) fn void() -> Datum {
    Datum::text("")
}

fn sleep_for(context: &EvalContext, seconds: f64) -> Result<Datum> {
    if seconds > 0.0 {
        let wait = Duration::from_secs_f64(seconds.min(SLEEP_SECONDS_MAX));
        context.session.state.hooks()?.sleep(wait)?;
    }
    Ok(void())
}

/// `pg_sleep(seconds)`
pub(super) fn sleep(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    sleep_for(context, arg(a, 0)?)
}

/// `pg_sleep_for(interval)`: from now on.
pub(super) fn sleep_interval(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |interval: &Interval| sleep_for(context, interval.span() as f64 / 1e6))
}

/// `pg_sleep_until(time)`
pub(super) fn sleep_until(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let until: Timestamptz = arg(a, 0)?;
    let now = crate::functions::times::clock_time(context);
    sleep_for(context, until.0.saturating_sub(now) as f64 / 1e6)
}

/// `pg_cancel_backend(pid)`
pub(super) fn cancel_backend(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    context.session.state.hooks()?.signal(arg(a, 0)?, Signal::Cancel).map(Datum::Bool)
}

/// `pg_terminate_backend(pid [, timeout])`, which is milliseconds.
pub(super) fn terminate_backend(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let Ok(wait) = u64::try_from(optional::<i64>(a, 1)?.unwrap_or(0)) else {
        let message = "\"timeout\" must not be negative";
        return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
    };
    let signal = Signal::Terminate(Duration::from_millis(wait));
    context.session.state.hooks()?.signal(arg(a, 0)?, signal).map(Datum::Bool)
}

/// `set_config(name, value, is_local)`
pub(super) fn set_config(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let Some(name) = optional::<&str>(a, 0)? else {
        return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "SET requires parameter name"));
    };
    let (value, local) = (optional::<&str>(a, 1)?, optional(a, 2)?.unwrap_or(false));
    context.session.state.hooks()?.set_config(name, value, local).map(Datum::text)
}
