//! Tests of the registry as a whole.

mod cases;
mod context;
mod registry;
