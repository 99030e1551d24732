//! Integration tests: one crate, one binary.

mod tidy;
