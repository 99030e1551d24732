//! One-dimensional arrays: bounds, elements, containment, splitting text into them.

mod edit;
mod parts;
mod query;
mod split;
pub(super) mod table;

pub use parts::{FIELD, SLICE};
pub(super) use query::{generate_subscripts, unnest};
pub(super) use split::{OPTIONS, options, string_to_table};
