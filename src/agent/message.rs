//! What gateways and agents say to each other, as JSON.

use serde::{Deserialize, Serialize};

use super::http::Peer;
use crate::columnar::engine::{ExportRequest, Exported};
use crate::columnar::replicas::Sample;
use crate::columnar::sstable::token::Tokens;
use crate::kv::cassandra::agents::Agent;

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

/// An agent, as others reach it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Whom {
    /// Its node.
    pub host: String,
    /// Where it listens.
    pub address: String,
    /// What requests show it.
    pub secret: String,
}

impl Whom {
    /// Whom requests go to.
    pub fn peer(&self) -> Peer {
        Peer { address: self.address.clone(), secret: self.secret.clone() }
    }
}

impl From<&Agent> for Whom {
    fn from(agent: &Agent) -> Whom {
        let Agent { host, address, secret, .. } = agent.clone();
        Whom { host, address, secret }
    }
}

/// An agent with its snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Replica {
    /// The agent.
    pub agent: Whom,
    /// What it has taken.
    pub taken: Taken,
}

/// `POST /exports`: collect the rows of a part of the ring from the replicas' snapshots.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// What is wanted.
    pub request: ExportRequest,
    /// From where; the agent itself may be among them.
    pub replicas: Vec<Replica>,
    /// The part.
    pub tokens: Tokens,
}

/// `POST /exports/<id>/parts`: cut what was collected by keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cut {
    /// Where parts begin, but the first: keys without their space, in hexadecimal and in order.
    pub bounds: Vec<String>,
}

/// A part of what an export collected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its length.
    pub bytes: u64,
    /// Its checksum.
    pub crc: u32,
}

/// A part that another agent has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OthersPart {
    /// The agent.
    pub agent: Whom,
    /// Where it answers for the part.
    pub path: String,
    /// What that is.
    pub part: Part,
}

/// `POST /exports/<id>/files`: write files of one part, or of all that was collected.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Write {
    /// Which part; none: it was not cut.
    pub part: Option<usize>,
    /// What the other agents have of it.
    pub others: Vec<OthersPart>,
    /// The number of the first file.
    pub first_file: u64,
}

/// `GET /exports/<id>`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// `copying`, `reading`, then `collected`; `cutting`, then `cut`; `fetching`, `writing`,
    /// `sending`, then `done`; or `failed`.
    pub phase: String,
    /// Bytes that were copied of other replicas' files, and of parts.
    pub bytes_copied: u64,
    /// Rows written.
    pub rows_done: u64,
    /// Bytes of finished files.
    pub bytes_done: u64,
    /// Of what was collected.
    pub sample: Option<Sample>,
    /// Of one that was cut.
    pub parts: Vec<Part>,
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
    /// Why; Sidecar calls it `message`.
    #[serde(alias = "message")]
    pub error: String,
}

/// `{"id": …}`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// Of a job.
    pub id: String,
}
