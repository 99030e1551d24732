//! Integration tests: one crate, one binary.

mod fuzz_wire;
mod server;
mod tidy;
mod wire;
