//! Agents beside the nodes of a cluster: views from the nodes' own files.
//!
//! ```text
//! gateway: exporter ──http──▶ agent of each node: snapshots of a table's files, under a lease
//!                   └─http──▶ one of them: job: all their files ─▶ rows at T ─▶ shared view store
//! ```
//!
//! - `exporter`: what a gateway does: a timestamp it holds, snapshots of a quorum, one job;
//! - `server`: what an agent answers; `node`: nodetool and snapshots; `job`: one export;
//! - `http`: as much of HTTP/1.1 as they speak with each other;
//! - `message`: what they say.
//!
//! Invariants: an agent changes nothing of its node but snapshots of its own name, and removes
//! those when their lease ends, when it starts and when it stops; whatever it cannot do, a gateway
//! does by QUORUM reads. Nothing here decides what is committed.
//!
//! Not here: TLS between them; agents want a network of the cluster's own.

mod exporter;
mod http;
mod job;
mod message;
mod node;
mod server;
#[cfg(test)]
mod tests;

pub use exporter::Agents;
pub use server::{AgentOptions, run};
