//! Dates, times and intervals: arithmetic, fields, making and casting. The calculations are
//! `types::datetime`'s; here they meet the session's time zone and the clock.

mod arithmetic;
mod fields;
mod now;
pub(super) mod table;

pub(super) use now::clock_time;

use super::EvalContext;
use crate::types::datetime::TimeZone;

/// The session's time zone.
fn zone(context: &EvalContext) -> &TimeZone {
    &context.session.format.time_zone
}
