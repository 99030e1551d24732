//! The transaction's, the statement's and the clock's time.

use crate::error::Result;
use crate::functions::EvalContext;
use crate::types::Datum;
use crate::types::datetime::{
    EPOCH_UNIX_SECONDS, SECOND, TimeZone, civil_and_clock, timestamptz_to_timestamp, weekday,
};

use super::zone;

pub(super) fn transaction(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Timestamptz(context.transaction_time))
}

pub(super) fn statement(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Timestamptz(context.statement_time))
}

/// Microseconds since 2000.
pub(in crate::functions) fn clock_time(context: &EvalContext) -> i64 {
    context.clock.wall_micros() - EPOCH_UNIX_SECONDS * SECOND
}

pub(super) fn clock(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Timestamptz(clock_time(context)))
}

/// The clock's time as `Thu Feb 29 12:34:56.789012 2024 UTC`.
pub(super) fn time_of_day(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let t = clock_time(context);
    let zone: &TimeZone = zone(context);
    let local = timestamptz_to_timestamp(t, zone)?;
    let (day, clock) = civil_and_clock(local);
    let of_week = weekday(crate::types::datetime::split_timestamp(local).0);
    let abbreviation = zone.at(t, |_, abbreviation, _| abbreviation.to_owned());
    Ok(Datum::text(format!(
        "{} {} {:02} {:02}:{:02}:{:02}.{:06} {} {abbreviation}",
        DAYS[of_week as usize],
        MONTHS[day.month as usize - 1],
        day.day,
        clock.hour,
        clock.minute,
        clock.second,
        clock.micros,
        day.year
    )))
}
