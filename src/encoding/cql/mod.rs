//! Values of CQL, as the native protocol has them: bytes to datums ([`read`]) and back
//! ([`mod@write`]). `schemas/foreign.md` says what each type is in SQL and what is lost on the way.

pub mod integer;
pub mod read;
#[cfg(test)]
mod tests;
pub mod write;

use crate::error::{Error, SqlState};

/// Microseconds from 1970 to 2000, where SQL's timestamps begin.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Days from 1970 to 2000.
const EPOCH_DAYS: i64 = 10_957;
/// What CQL's dates count 1970-01-01 as.
const DATE_ZERO: i64 = 1 << 31;

/// 22P03: bytes that are not of their type.
fn malformed(ty: &str) -> Error {
    Error::new(
        SqlState::INVALID_BINARY_REPRESENTATION,
        format!("the cluster gave bytes that are no value of CQL type {ty}"),
    )
}
