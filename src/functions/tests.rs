//! Tests of the registry as a whole.

mod cases;
pub(super) mod context;
mod registry;
