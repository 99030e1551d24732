//! Integration tests: one crate, one binary.

mod server;
mod tidy;
mod wire;
