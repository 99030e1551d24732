//! The column path as sessions see it: which tables have views, and running queries on them. A
//! build without the feature `columnar` has the same face and no views.

#[cfg(not(feature = "columnar"))]
mod off;
#[cfg(feature = "columnar")]
mod run;
#[cfg(feature = "columnar")]
mod views;

use crate::clock::Timestamp;

#[cfg(not(feature = "columnar"))]
pub use off::{Begun, ColumnOptions, ColumnPath, ColumnRun, ViewStatistics};
#[cfg(feature = "columnar")]
pub use run::{Begun, ColumnRun};
#[cfg(feature = "columnar")]
pub use views::{ColumnOptions, ColumnPath, ViewStatistics};

/// How old the answer of a statement may be, by `sluice.max_staleness`.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "columnar"), expect(dead_code, reason = "only views are ever old"))]
pub struct Staleness {
    /// Views made from this time on will do: microseconds since 1970.
    pub since_micros: i64,
    /// The session's own last commit, which it sees in any case.
    pub floor: Timestamp,
}
