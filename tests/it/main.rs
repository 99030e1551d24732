//! Integration tests: one crate, one binary.

#![allow(clippy::unwrap_used, clippy::too_many_lines, reason = "a test that panics has failed")]

#[cfg(feature = "columnar")]
mod columns;
mod crash;
mod ddl;
mod fuzz_wire;
mod interrupts;
mod program;
mod server;
mod tidy;
mod wire;
