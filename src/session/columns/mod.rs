//! The column path as sessions see it: which tables have views, and running queries on them. A
//! build without the feature `columnar` has the same face and no views.

#[cfg(not(feature = "columnar"))]
mod off;
#[cfg(feature = "columnar")]
mod run;
#[cfg(feature = "columnar")]
mod views;

#[cfg(not(feature = "columnar"))]
pub use off::{Begun, ColumnOptions, ColumnPath, ColumnRun, ViewStatistics};
#[cfg(feature = "columnar")]
pub use run::{Begun, ColumnRun};
#[cfg(feature = "columnar")]
pub use views::{ColumnOptions, ColumnPath, ViewStatistics};
