#![doc = include_str!("ARCHITECTURE.md")]
#![cfg_attr(test, allow(clippy::too_many_lines, reason = "tables of cases are long"))]

#[cfg(feature = "columnar")]
pub mod agent;
pub mod catalog;
pub mod cli;
pub mod clock;
#[cfg(feature = "columnar")]
pub mod columnar;
pub mod encoding;
pub mod error;
pub mod exec;
pub mod functions;
pub mod kv;
pub mod plan;
pub mod session;
pub mod sql;
pub mod telemetry;
pub mod txn;
pub mod types;
pub mod wire;
