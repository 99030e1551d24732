//! Aggregates: one [`Accumulator`] for each way of taking many values into one.
//!
//! Accumulators are given NULLs and skip them where PostgreSQL's transition function is strict.
//! `finish` may be called again after more rows: windows with growing frames do.

mod basic;
mod collect;
mod numbers;
mod statistics;
pub(super) mod table;

use super::Accumulator;
use crate::types::SqlType;

/// An accumulator that starts the same for all argument types.
fn new<A: Accumulator + Default + 'static>(_: &[SqlType]) -> Box<dyn Accumulator> {
    Box::<A>::default()
}
