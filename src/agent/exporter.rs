//! The gateway's side: snapshots of a quorum, and agents that make files of them.
//!
//! The timestamp is held and resolved before this begins, and stays held to its end. Each agent
//! of a quorum flushes and snapshots the table after that; they read all these files, each a share
//! (`shares`). An agent that fails is left out, with its node's files, and another quorum is tried;
//! where there is none the caller reads through the store, and says why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use serde_json::json;

use super::message::{Replica, Take, Whom};
use super::shares::{self, Failed, LEASE, SHARES_MAX};
use crate::clock::Clock;
use crate::columnar::engine::{ExportRequest, Exported, Exporter};
use crate::columnar::export::Progress;
use crate::error::{Error, Result, SqlState};
use crate::kv::cassandra::Cassandra;
use crate::kv::cassandra::agents::{Agent, Ring};

/// How long nodetool may take for a snapshot, and more.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(150);
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
        let taken = asked.map(|agent| {
            let (take, agent) = (&take, Whom::from(agent));
            async move {
                let taken = agent.peer().call("POST", "/snapshots", take, SNAPSHOT_PATIENCE).await;
                (agent, taken)
            }
        });
        let mut replicas = Vec::new();
        let before = out.len();
        for (agent, taken) in join_all(taken).await {
            match taken {
                Ok(taken) => replicas.push(Replica { agent, taken }),
                Err(e) => {
                    tracing::warn!(host = agent.host, error = ?e, "an agent takes no snapshot");
                    out.insert(agent.host, e.message().to_owned());
                }
            }
        }
        if out.len() == before {
            return Ok(Some(replicas));
        }
        release(&replicas).await;
        Ok(None)
    }
}

/// Gives snapshots up; what an agent does not hear of, the lease ends.
async fn release(replicas: &[Replica]) {
    let releases = replicas.iter().map(|replica| async move {
        let path = format!("/snapshots/{}", replica.taken.snapshot);
        let peer = replica.agent.peer();
        let done: Result<serde_json::Value> =
            peer.call("DELETE", &path, &json!({}), SNAPSHOT_PATIENCE).await;
        if let Err(error) = done {
            let host = &replica.agent.host;
            tracing::debug!(host, ?error, "a snapshot is left to its lease");
        }
    });
    join_all(releases).await;
}

#[async_trait]
impl Exporter for Agents {
    async fn export(
        &self,
        request: &ExportRequest,
        shares: usize,
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
            let taken = |agent: &&Agent| replicas.iter().any(|r| r.agent.host == agent.host);
            let builders = agents.iter().filter(|a| a.store == self.view_store).filter(taken);
            let builders: Vec<&Agent> = builders.take(shares.clamp(1, SHARES_MAX)).collect();
            if builders.is_empty() {
                release(&replicas).await;
                let message = format!("no agent writes to {}", self.view_store);
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
            }
            let with = (progress, &self.clock);
            let built = shares::export(request, &replicas, &builders, with).await;
            let mut from = format!("{} of {} nodes", replicas.len(), ring.hosts().len());
            if builders.len() > 1 {
                from += &format!(", by {} agents", builders.len());
            }
            tokio::spawn(async move { release(&replicas).await });
            match built {
                Ok(exported) => {
                    let without: String =
                        out.iter().map(|(host, why)| format!("; not of {host}: {why}")).collect();
                    return Ok(Some(Exported { from: from + &without, ..exported }));
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
