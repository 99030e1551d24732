//! The gateway's side: snapshots of a quorum, and one agent that makes files of them.
//!
//! The timestamp is held and resolved before this begins, and stays held to its end. Each agent
//! of a quorum flushes and snapshots the table after that; one of them reads all these files. An
//! agent that fails is left out, with its node's files, and another quorum is tried; where there
//! is none the caller reads through the store, and says why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use serde_json::json;

use super::http::Peer;
use super::message::{Identity, Order, Replica, State, Take};
use crate::clock::Clock;
use crate::columnar::engine::{ExportRequest, Exported, Exporter};
use crate::columnar::export::Progress;
use crate::error::{Error, Result, SqlState};
use crate::kv::cassandra::Cassandra;
use crate::kv::cassandra::agents::{Agent, Ring};

/// How long a snapshot stays when its gateway says nothing.
const LEASE: Duration = Duration::from_secs(30);
/// How long nodetool may take for a snapshot, and more.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(150);
/// How long an agent may take to answer anything else.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Questions that it may leave without an answer, one after the other.
const SILENCES_MAX: u32 = 3;
/// Times that the ring may change between snapshots and their check.
const RING_CHANGES_MAX: u32 = 3;

/// The agents of a cluster, as a gateway has them make views.
pub struct Agents {
    cluster: Arc<Cassandra>,
    view_store: String,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Agents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Agents")
    }
}

/// What went wrong with which node's agent or files.
struct Failed {
    host: Option<String>,
    error: Error,
}

impl Agents {
    /// The agents that write to this view store.
    pub fn new(cluster: Arc<Cassandra>, view_store: String, clock: Arc<dyn Clock>) -> Agents {
        Agents { cluster, view_store, clock }
    }

    /// Agents that are left, beginning with any of them.
    async fn candidates(&self, out: &BTreeMap<String, String>) -> Result<Vec<Agent>> {
        let mut agents = self.cluster.agents().await?;
        agents.retain(|agent| !out.contains_key(&agent.host));
        let mut random = [0; 8];
        self.clock.random(&mut random);
        if !agents.is_empty() {
            let first = u64::from_be_bytes(random) % agents.len() as u64;
            agents.rotate_left(first as usize);
        }
        Ok(agents)
    }

    /// A snapshot of the table by each of a quorum; those that are missing go to `out`.
    async fn take(
        &self,
        table: &str,
        agents: &[Agent],
        ring: &Ring,
        out: &mut BTreeMap<String, String>,
    ) -> Result<Option<Vec<Replica>>> {
        let hosts: Vec<String> = agents.iter().map(|agent| agent.host.clone()).collect();
        let Some(quorum) = ring.quorum_of(&hosts) else {
            let mut message = format!(
                "{} of {} nodes have an agent that answers",
                hosts.len(),
                ring.hosts().len()
            );
            for (host, why) in out {
                message += &format!("; {host}: {why}");
            }
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        };
        let take = Take { table: table.to_owned(), lease_ms: LEASE.as_millis() as u64 };
        let asked = agents.iter().filter(|agent| quorum.contains(&agent.host));
        let taken =
            asked.map(|agent| {
                let take = &take;
                async move {
                    (agent, peer(agent).call("POST", "/snapshots", take, SNAPSHOT_PATIENCE).await)
                }
            });
        let mut replicas = Vec::new();
        let before = out.len();
        for (agent, taken) in join_all(taken).await {
            let Agent { host, address, secret, .. } = agent.clone();
            match taken {
                Ok(taken) => replicas.push(Replica { host, address, secret, taken }),
                Err(e) => {
                    tracing::warn!(host, error = ?e, "an agent takes no snapshot");
                    out.insert(host, e.message().to_owned());
                }
            }
        }
        if out.len() == before {
            return Ok(Some(replicas));
        }
        release(&replicas).await;
        Ok(None)
    }

    /// Has one of the agents export.
    async fn build(
        &self,
        request: &ExportRequest,
        replicas: &[Replica],
        builder: &Agent,
        progress: &Progress,
    ) -> Result<Exported, Failed> {
        let of_builder = |error| Failed { host: Some(builder.host.clone()), error };
        let order = Order { request: request.clone(), replicas: replicas.to_vec() };
        let agent = peer(builder);
        let begun = agent.call("POST", "/exports", &order, PATIENCE).await;
        let Identity { id } = begun.map_err(of_builder)?;
        let path = format!("/exports/{id}");
        let outcome = self.follow(&agent, &path, replicas, progress).await;
        // Whatever came of it, nobody asks for it again.
        let ended: Result<serde_json::Value> =
            agent.call("DELETE", &path, &json!({}), PATIENCE).await;
        drop(ended);
        match outcome {
            Ok(State { exported: Some(exported), .. }) => Ok(exported),
            Ok(State { error, host, .. }) => {
                let message = error.unwrap_or_else(|| "it gave no reason".to_owned());
                let host = host.or_else(|| Some(builder.host.clone()));
                Err(Failed { host, error: Error::new(SqlState::IO_ERROR, message) })
            }
            Err(e) if e.code() == SqlState::QUERY_CANCELED => Err(Failed { host: None, error: e }),
            Err(e) => Err(of_builder(e)),
        }
    }

    /// Asks until it is over, and keeps the snapshots meanwhile.
    async fn follow(
        &self,
        agent: &Peer,
        path: &str,
        replicas: &[Replica],
        progress: &Progress,
    ) -> Result<State> {
        let (mut silences, mut renewed) = (0, self.clock.monotonic());
        loop {
            progress.check()?;
            tokio::time::sleep(POLL_INTERVAL).await;
            match agent.call::<State>("GET", path, &json!({}), PATIENCE).await {
                Ok(state) => {
                    silences = 0;
                    progress.rows_done.store(state.rows_done, Ordering::Relaxed);
                    progress.bytes_done.store(state.bytes_done, Ordering::Relaxed);
                    if matches!(state.phase.as_str(), "done" | "failed") {
                        return Ok(state);
                    }
                }
                Err(e) => {
                    silences += 1;
                    if silences >= SILENCES_MAX {
                        return Err(e);
                    }
                }
            }
            if self.clock.monotonic().saturating_sub(renewed) > LEASE / 4 {
                renewed = self.clock.monotonic();
                join_all(replicas.iter().map(renew)).await;
            }
        }
    }
}

fn peer(agent: &Agent) -> Peer {
    Peer { address: agent.address.clone(), secret: agent.secret.clone() }
}

fn peer_of(replica: &Replica) -> Peer {
    Peer { address: replica.address.clone(), secret: replica.secret.clone() }
}

async fn renew(replica: &Replica) {
    let path = format!("/snapshots/{}/lease", replica.taken.snapshot);
    let lease = Take { table: String::new(), lease_ms: LEASE.as_millis() as u64 };
    let renewed = peer_of(replica).call::<serde_json::Value>("POST", &path, &lease, PATIENCE).await;
    if let Err(e) = renewed {
        tracing::debug!(host = replica.host, error = ?e, "a snapshot's lease was not renewed");
    }
}

/// Gives snapshots up; what an agent does not hear of, the lease ends.
async fn release(replicas: &[Replica]) {
    let releases = replicas.iter().map(|replica| async move {
        let path = format!("/snapshots/{}", replica.taken.snapshot);
        let done = peer_of(replica)
            .call::<serde_json::Value>("DELETE", &path, &json!({}), SNAPSHOT_PATIENCE)
            .await;
        if let Err(e) = done {
            tracing::debug!(host = replica.host, error = ?e, "a snapshot is left to its lease");
        }
    });
    join_all(releases).await;
}

#[async_trait]
impl Exporter for Agents {
    async fn export(
        &self,
        request: &ExportRequest,
        progress: &Progress,
    ) -> Result<Option<Exported>> {
        if let Some(why) = self.cluster.files_lag() {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, why));
        }
        let table = format!("s{}", request.table.space().0);
        // Nodes that are left out, and why.
        let mut out = BTreeMap::new();
        let mut changes = 0;
        loop {
            let ring = self.cluster.ring_of_nodes().await?;
            let agents = self.candidates(&out).await?;
            if agents.is_empty() && out.is_empty() {
                return Ok(None);
            }
            let Some(replicas) = self.take(&table, &agents, &ring, &mut out).await? else {
                continue;
            };
            // A quorum of the ring as it was must be one of the ring as it is.
            if self.cluster.ring_of_nodes().await? != ring {
                release(&replicas).await;
                changes += 1;
                if changes > RING_CHANGES_MAX {
                    let message = "nodes join or leave the cluster";
                    return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
                }
                continue;
            }
            let taken = |agent: &&Agent| replicas.iter().any(|r| r.host == agent.host);
            let builder = agents.iter().filter(|a| a.store == self.view_store).find(taken);
            let Some(builder) = builder else {
                release(&replicas).await;
                let message = format!("no agent writes to {}", self.view_store);
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
            };
            let built = self.build(request, &replicas, builder, progress).await;
            let nodes = format!("{} of {} nodes", replicas.len(), ring.hosts().len());
            tokio::spawn(async move { release(&replicas).await });
            match built {
                Ok(exported) => {
                    let without: String =
                        out.iter().map(|(host, why)| format!("; not of {host}: {why}")).collect();
                    return Ok(Some(Exported { from: nodes + &without, ..exported }));
                }
                Err(Failed { host: Some(host), error }) => {
                    tracing::warn!(host, ?error, "an export without this node's files is tried");
                    out.insert(host, error.message().to_owned());
                }
                Err(Failed { host: None, error }) => return Err(error),
            }
        }
    }
}
