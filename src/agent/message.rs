//! What gateways and agents say to each other, as JSON.

use serde::{Deserialize, Serialize};

use crate::columnar::engine::{ExportRequest, Exported};

/// `POST /snapshots`: take one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Take {
    /// The table, without its keyspace.
    pub table: String,
    /// Milliseconds that it stays unless the lease is renewed.
    pub lease_ms: u64,
}

/// A snapshot that was taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// Its name.
    pub snapshot: String,
    /// What a reader of its rows needs.
    pub files: Vec<FileEntry>,
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The number of the data folder it is in, a slash, its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// An agent with its snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Replica {
    /// Its node.
    pub host: String,
    /// Where it listens.
    pub address: String,
    /// What requests show it.
    pub secret: String,
    /// What it has taken.
    pub taken: Taken,
}

/// `POST /exports`: rows of the replicas' snapshots into the view store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// What is wanted.
    pub request: ExportRequest,
    /// From where; the agent itself may be among them.
    pub replicas: Vec<Replica>,
}

/// `GET /exports/<id>`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// `copying`, `reading`, `writing`, `sending`, `done` or `failed`.
    pub phase: String,
    /// Bytes of other replicas' files that were copied.
    pub bytes_copied: u64,
    /// Rows written.
    pub rows_done: u64,
    /// Bytes of finished files.
    pub bytes_done: u64,
    /// Of one that is done.
    pub exported: Option<Exported>,
    /// What went wrong.
    pub error: Option<String>,
    /// The node whose files or agent it went wrong with.
    pub host: Option<String>,
}

/// Any refusal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// Why.
    pub error: String,
}

/// `{"id": …}`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// Of a job.
    pub id: String,
}
