//! Tests of the registry as a whole.

mod context;
mod registry;
