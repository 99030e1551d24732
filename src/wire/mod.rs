//! The PostgreSQL wire protocol, server side.
//!
//! ```text
//! server ── accept ──▶ startup (encryption refused, packet, auth) ──▶ protocol (a loop)
//!                          │                                             │
//!                       cancel           frontend (decode) ── session ── output, rows (encode)
//! ```
//!
//! One task serves one client. It reads what the client sent with one system call, decodes the
//! messages in place, lets the session act on them, and writes all answers with one system call at
//! Sync. pgwire gives the SCRAM exchange and the rare messages; the frequent ones are encoded by
//! hand, straight from datums.
//!
//! Invariants: no input makes the server panic, hang, or hold more memory than it sent; an error
//! of one connection is its own; nothing here knows SQL.

pub mod auth;
mod connection;
mod frontend;
mod output;
mod protocol;
mod rows;
mod server;
mod startup;
mod workers;

pub use connection::Stream;
pub use protocol::{Gate, serve};
pub use server::{Server, ServerOptions};
