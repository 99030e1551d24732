//! Aggregates: one [`Accumulator`] for each way of taking many values into one.
//!
//! Accumulators are given NULLs and skip them where PostgreSQL's transition function is strict.
//! `finish` may be called again after more rows: windows with growing frames do.

mod basic;
mod collect;
mod numbers;
mod ordered;
mod statistics;
pub(super) mod table;

use super::Accumulator;
use crate::types::SqlType;

/// An accumulator that starts the same for all argument types.
fn new<A: Accumulator + Default + 'static>(_: &[SqlType]) -> Box<dyn Accumulator> {
    Box::<A>::default()
}

fn percentile_cont(types: &[SqlType]) -> Box<dyn Accumulator> {
    Box::new(ordered::Percentile::<true>::new(types))
}

fn percentile_disc(types: &[SqlType]) -> Box<dyn Accumulator> {
    Box::new(ordered::Percentile::<false>::new(types))
}

pub(super) fn rank(_: &[SqlType]) -> Box<dyn Accumulator> {
    Box::new(ordered::Hypothetical::new(ordered::Place::Rank))
}

pub(super) fn dense_rank(_: &[SqlType]) -> Box<dyn Accumulator> {
    Box::new(ordered::Hypothetical::new(ordered::Place::DenseRank))
}

pub(super) fn percent_rank(_: &[SqlType]) -> Box<dyn Accumulator> {
    Box::new(ordered::Hypothetical::new(ordered::Place::PercentRank))
}

pub(super) fn cume_dist(_: &[SqlType]) -> Box<dyn Accumulator> {
    Box::new(ordered::Hypothetical::new(ordered::Place::CumeDist))
}

/// What an aggregate needs beside its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateKind {
    /// Nothing.
    Plain,
    /// WITHIN GROUP.
    OrderedSet,
    /// WITHIN GROUP, with as many keys as arguments.
    Hypothetical,
}

/// What kind of aggregate a function is.
pub fn aggregate_kind(function: &super::Function) -> AggregateKind {
    match function.oid {
        3972 | 3974 | 3976 | 3978 | 3980 | 3982 | 3984 => AggregateKind::OrderedSet,
        3986 | 3988 | 3990 | 3992 => AggregateKind::Hypothetical,
        _ => AggregateKind::Plain,
    }
}
