//! Agents beside the nodes of a cluster: views from the nodes' own files.
//!
//! ```text
//! gateway: exporter ──http──▶ agent of each node: snapshots of a table's files, under a lease
//!                   └─http──▶ shares: jobs of some of them: files of all ─▶ rows at T of a part of
//!                             the ring ─▶ exchanged by keys ─▶ shared view store
//! ```
//!
//! - `exporter`: what a gateway does: a timestamp it holds, snapshots of a quorum, one export;
//!   `shares`: the agents that share it;
//! - `server`: what an agent answers; `node`: snapshots; `tool`: nodetool or Cassandra Sidecar,
//!   which take them; `job`: one share of an export;
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
mod shares;
#[cfg(test)]
mod tests;
mod tool;

pub use exporter::Agents;
pub use server::{AgentOptions, run};
pub use tool::Tool;
