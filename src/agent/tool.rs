//! What administers the node beside an agent: nodetool, or Cassandra Sidecar.
//!
//! Of Sidecar's REST API these are used, over HTTP without TLS:
//!
//! | request | for |
//! | --- | --- |
//! | `GET /api/v1/cassandra/settings` | the node's tokens, which say which node it is |
//! | `PUT /api/v1/keyspaces/<k>/tables/<t>/snapshots/<name>?ttl=…` | a snapshot, flushed first |
//! | `DELETE` of the same path | its end |
//!
//! Files are read where they lie, whichever it is.

use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::http::Peer;
use crate::clock::Clock;
use crate::error::{Error, Result, SqlState};

/// How long one administration may take.
pub const TOOL_TIMEOUT: Duration = Duration::from_secs(120);
/// How often it is looked whether a command has ended.
const COMMAND_PAUSE: Duration = Duration::from_millis(10);
/// When Cassandra itself removes a snapshot.
const TIME_TO_LIVE: &str = "6h";
/// Characters of a complaint that are passed on.
const COMPLAINT_MAX: usize = 400;

/// A tool.
pub struct Tool {
    kind: Kind,
    clock: Arc<dyn Clock>,
    /// One thing at a time: a nodetool is a process of a hundred megabytes.
    one: tokio::sync::Mutex<()>,
}

enum Kind {
    /// A command, with its arguments.
    Nodetool(Vec<String>),
    Sidecar(Peer),
}

/// What Sidecar tells of its node, of all that it does.
#[derive(Deserialize)]
struct Settings {
    tokens: Vec<String>,
}

fn wrong(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

impl Tool {
    /// A nodetool: the command and its arguments, in words.
    ///
    /// # Errors
    /// 22023 if there is none.
    pub fn nodetool(command: &str, clock: Arc<dyn Clock>) -> Result<Tool> {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return Err(wrong("--nodetool names no command".to_owned()));
        }
        Ok(Tool { kind: Kind::Nodetool(words), clock, one: tokio::sync::Mutex::default() })
    }

    /// A Sidecar at `http://host:port`.
    ///
    /// # Errors
    /// 22023 for anything else.
    pub fn sidecar(url: &str, clock: Arc<dyn Clock>) -> Result<Tool> {
        let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let is_plain = |address: &&str| {
            let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            matches!(port, Some(Ok(_))) && !address.contains(['/', '@', ' '])
        };
        let Some(address) = address.filter(is_plain) else {
            let message = format!("--sidecar is http://HOST:PORT, not {url}");
            return Err(wrong(message)
                .with_hint("Agents speak HTTP without TLS, to their own node's Sidecar."));
        };
        let peer = Peer { address: address.to_owned(), secret: String::new() };
        Ok(Tool { kind: Kind::Sidecar(peer), clock, one: tokio::sync::Mutex::default() })
    }

    /// The node's id; `owner` knows that of a token's.
    pub async fn host(&self, owner: impl Fn(i64) -> Option<String>) -> Result<String> {
        let failed = |message: &str| Error::new(SqlState::IO_ERROR, message);
        match &self.kind {
            Kind::Nodetool(command) => {
                let said = self.run(command, &["info"]).await?;
                let id = said.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    (name.trim() == "ID").then(|| value.trim().to_owned())
                });
                id.ok_or_else(|| failed("nodetool info tells no ID"))
            }
            Kind::Sidecar(peer) => {
                let path = "/api/v1/cassandra/settings";
                let Settings { tokens } = self.ask(peer, "GET", path).await?;
                let id = tokens.iter().find_map(|token| owner(token.parse().ok()?));
                id.ok_or_else(|| failed("Sidecar's node has no token of this cluster"))
            }
        }
    }

    /// Takes a snapshot of a table, flushed first.
    pub async fn snapshot(&self, keyspace: &str, table: &str, name: &str) -> Result<()> {
        match &self.kind {
            Kind::Nodetool(command) => {
                let full = format!("{keyspace}.{table}");
                let arguments = ["snapshot", "-t", name, "-kt", &full, "--ttl", TIME_TO_LIVE];
                self.run(command, &arguments).await.map(drop)
            }
            Kind::Sidecar(peer) => {
                let path = format!("{}?ttl={TIME_TO_LIVE}", snapshot_path(keyspace, table, name));
                self.ask::<serde_json::Value>(peer, "PUT", &path).await.map(drop)
            }
        }
    }

    /// Removes a table's snapshot.
    pub async fn clear(&self, keyspace: &str, table: &str, name: &str) -> Result<()> {
        match &self.kind {
            Kind::Nodetool(command) => {
                self.run(command, &["clearsnapshot", "-t", name, "--", keyspace]).await.map(drop)
            }
            Kind::Sidecar(peer) => {
                let path = snapshot_path(keyspace, table, name);
                self.ask::<serde_json::Value>(peer, "DELETE", &path).await.map(drop)
            }
        }
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        peer: &Peer,
        method: &str,
        path: &str,
    ) -> Result<T> {
        let _one = self.one.lock().await;
        peer.call(method, path, &json!({}), TOOL_TIMEOUT).await.map_err(|e| {
            let message = format!("Sidecar failed: {method} {path}: {}", e.message());
            Error::new(SqlState::IO_ERROR, message)
        })
    }

    async fn run(&self, command: &[String], arguments: &[&str]) -> Result<String> {
        let _one = self.one.lock().await;
        let mut process = Command::new(&command[0]);
        process.args(&command[1..]).args(arguments);
        output(&mut process, &*self.clock).await.map_err(|why| {
            let message = format!("nodetool {} failed: {why}", arguments.join(" "));
            Error::new(SqlState::IO_ERROR, message)
        })
    }
}

fn snapshot_path(keyspace: &str, table: &str, name: &str) -> String {
    format!("/api/v1/keyspaces/{keyspace}/tables/{table}/snapshots/{name}")
}

/// Runs a command to its end; gives what it said, or why that is no use.
async fn output(command: &mut Command, clock: &dyn Clock) -> Result<String, String> {
    let text = |e: std::io::Error| e.to_string();
    let mut said = tempfile::tempfile().map_err(text)?;
    command.stdin(Stdio::null()).stdout(said.try_clone().map_err(text)?);
    command.stderr(said.try_clone().map_err(text)?);
    let mut child = command.spawn().map_err(text)?;
    let deadline = clock.monotonic() + TOOL_TIMEOUT;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(text)? {
            break status;
        }
        if clock.monotonic() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err("it does not end".to_owned());
        }
        tokio::time::sleep(COMMAND_PAUSE).await;
    };
    let mut bytes = Vec::new();
    said.rewind().and_then(|()| said.read_to_end(&mut bytes)).map_err(text)?;
    let said = String::from_utf8_lossy(&bytes).into_owned();
    if status.success() { Ok(said) } else { Err(complaint(&said)) }
}

/// Why a command failed: its error and not what it told before, if it names one.
fn complaint(said: &str) -> String {
    let at = said.find("\nerror: ").map_or(0, |before| before + 1);
    said[at..].trim().chars().take(COMPLAINT_MAX).collect()
}
