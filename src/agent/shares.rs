//! One export by several agents: each collects a part of the ring, and writes a range of keys.
//!
//! ```text
//! agents:  collect ──samples──▶ gateway: bounds ──▶ cut ──parts──▶ write ──▶ files
//! ```
//!
//! A view's base files have ranges of keys of their own, and tokens are in another order than
//! keys: so what was collected is exchanged between agents before it is written. An agent alone
//! writes what it collected.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use serde::Serialize;
use serde_json::json;

use super::message::{Cut, Identity, Order, OthersPart, Replica, State, Take, Whom, Write};
use crate::clock::Clock;
use crate::columnar::engine::{ExportRequest, Exported};
use crate::columnar::export::Progress;
use crate::columnar::replicas::Sample;
use crate::columnar::sstable::token::Tokens;
use crate::error::{Error, Result, SqlState};
use crate::kv::cassandra::agents::Agent;

/// Agents that share an export at most: each copies files of all the others' nodes.
pub(super) const SHARES_MAX: usize = 4;
/// How long a snapshot stays when its gateway says nothing.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// How long an agent may take to answer anything but that a snapshot is taken.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How often agents are asked how far they are.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Questions that one may leave without an answer, one after the other.
const SILENCES_MAX: u32 = 3;
/// Numbers of files that each has for itself, of the 65,536 of a build.
const SHARE_FILES: u64 = 1 << 12;

/// What went wrong with which node's agent or files.
pub(super) struct Failed {
    pub host: Option<String>,
    pub error: Error,
}

/// An export under way.
pub(super) struct Shares<'a> {
    request: &'a ExportRequest,
    replicas: &'a [Replica],
    progress: &'a Progress,
    clock: &'a Arc<dyn Clock>,
    shares: Vec<Share>,
}

/// An agent's.
struct Share {
    agent: Whom,
    /// Of the export there.
    path: String,
}

impl Share {
    fn failed(&self, error: Error) -> Failed {
        Failed { host: Some(self.agent.host.clone()), error }
    }

    async fn order(&self, what: &str, order: &impl Serialize) -> Result<(), Failed> {
        let path = format!("{}/{what}", self.path);
        let done = self.agent.peer().call("POST", &path, order, PATIENCE).await;
        done.map(|_: serde_json::Value| ()).map_err(|e| self.failed(e))
    }
}

/// Has agents export, and forgets what they keep of it.
pub(super) async fn export(
    request: &ExportRequest,
    replicas: &[Replica],
    agents: &[&Agent],
    (progress, clock): (&Progress, &Arc<dyn Clock>),
) -> Result<Exported, Failed> {
    let shares = Vec::new();
    let mut export = Shares { request, replicas, progress, clock, shares };
    let exported = export.run(agents).await;
    export.forget().await;
    exported
}

impl Shares<'_> {
    async fn run(&mut self, agents: &[&Agent]) -> Result<Exported, Failed> {
        self.begin(agents).await?;
        let collected = self.follow("collected").await?;
        if let [alone] = &self.shares[..] {
            let first_file = self.request.first_file;
            let all = Write { part: None, others: Vec::new(), first_file };
            alone.order("files", &all).await?;
        } else {
            let samples: Vec<Sample> = collected.into_iter().filter_map(|s| s.sample).collect();
            let cut = Cut { bounds: Sample::bounds(&samples, self.shares.len()) };
            all(self.shares.iter().map(|share| share.order("parts", &cut))).await?;
            let cut = self.follow("cut").await?;
            let writes = (0..self.shares.len()).map(|part| self.write(part, &cut));
            let writes: Vec<Write> = writes.collect();
            let ordered = self.shares.iter().zip(&writes);
            all(ordered.map(|(share, write)| share.order("files", write))).await?;
        }
        let done = self.follow("done").await?;
        let exported = done.into_iter().map(|state| state.exported);
        let exported: Option<Vec<Exported>> = exported.collect();
        let exported = exported.ok_or_else(|| Failed {
            host: None,
            error: Error::internal("an export that is done has no files"),
        })?;
        Ok(united(exported))
    }

    /// Has each collect a part of the ring.
    async fn begin(&mut self, agents: &[&Agent]) -> Result<(), Failed> {
        let tokens = Tokens::parts(agents.len());
        let (request, replicas) = (self.request, self.replicas);
        let begun = agents.iter().zip(tokens).map(|(agent, tokens)| async move {
            let (request, replicas) = (request.clone(), replicas.to_vec());
            let order = Order { request, replicas, tokens };
            let agent = Whom::from(*agent);
            let begun = agent.peer().call("POST", "/exports", &order, PATIENCE).await;
            match begun {
                Ok(Identity { id }) => Ok(Share { agent, path: format!("/exports/{id}") }),
                Err(error) => Err(Failed { host: Some(agent.host), error }),
            }
        });
        let mut failed = None;
        for begun in join_all(begun).await {
            match begun {
                Ok(share) => self.shares.push(share),
                Err(e) => failed = Some(e),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// What one agent has to write, and where the others have their parts of it.
    fn write(&self, part: usize, cut: &[State]) -> Write {
        let others = self.shares.iter().zip(cut).enumerate().filter(|(n, _)| *n != part);
        let others = others.filter_map(|(_, (share, state))| {
            let (agent, path) = (share.agent.clone(), format!("{}/parts/{part}", share.path));
            Some(OthersPart { agent, path, part: state.parts.get(part)?.clone() })
        });
        let first_file = self.request.first_file + part as u64 * SHARE_FILES;
        Write { part: Some(part), others: others.collect(), first_file }
    }

    /// Asks until all have come to the end of a step, and keeps the snapshots meanwhile.
    async fn follow(&self, end: &str) -> Result<Vec<State>, Failed> {
        let mut silences = vec![0; self.shares.len()];
        let mut states = vec![State::default(); self.shares.len()];
        let mut renewed = self.clock.monotonic();
        while states.iter().any(|state| state.phase != end) {
            self.progress.check().map_err(|error| Failed { host: None, error })?;
            tokio::time::sleep(POLL_INTERVAL).await;
            let asked = self.shares.iter().map(|share| async move {
                share.agent.peer().call::<State>("GET", &share.path, &json!({}), PATIENCE).await
            });
            for (n, answer) in join_all(asked).await.into_iter().enumerate() {
                match answer {
                    Ok(state) => {
                        silences[n] = 0;
                        states[n] = state;
                    }
                    Err(e) => {
                        silences[n] += 1;
                        if silences[n] >= SILENCES_MAX {
                            return Err(self.shares[n].failed(e));
                        }
                    }
                }
            }
            self.tell(&states);
            if let Some(n) = states.iter().position(|state| state.phase == "failed") {
                let State { error, host, .. } = states.swap_remove(n);
                let message = error.unwrap_or_else(|| "it gave no reason".to_owned());
                let failed = self.shares[n].failed(Error::new(SqlState::IO_ERROR, message));
                return Err(Failed { host: host.or(failed.host), ..failed });
            }
            if self.clock.monotonic().saturating_sub(renewed) > LEASE / 4 {
                renewed = self.clock.monotonic();
                join_all(self.replicas.iter().map(renew)).await;
            }
        }
        Ok(states)
    }

    fn tell(&self, states: &[State]) {
        let sum = |of: fn(&State) -> u64| states.iter().map(of).sum();
        self.progress.rows_done.store(sum(|state| state.rows_done), Ordering::Relaxed);
        self.progress.bytes_done.store(sum(|state| state.bytes_done), Ordering::Relaxed);
    }

    /// Whatever came of it, nobody asks for it again.
    async fn forget(&self) {
        join_all(self.shares.iter().map(|share| async move {
            let ended: Result<serde_json::Value> =
                share.agent.peer().call("DELETE", &share.path, &json!({}), PATIENCE).await;
            drop(ended);
        }))
        .await;
    }
}

/// Waits for all; the first failure counts.
async fn all(
    work: impl Iterator<Item = impl Future<Output = Result<(), Failed>>>,
) -> Result<(), Failed> {
    join_all(work).await.into_iter().collect()
}

/// What all have made.
fn united(exported: Vec<Exported>) -> Exported {
    let mut all =
        Exported { records: Vec::new(), next_file: 0, unsettled: Vec::new(), from: String::new() };
    for one in exported {
        all.records.extend(one.records);
        all.next_file = all.next_file.max(one.next_file);
        all.unsettled.extend(one.unsettled);
    }
    all.unsettled.sort_unstable();
    all
}

async fn renew(replica: &Replica) {
    let path = format!("/snapshots/{}/lease", replica.taken.snapshot);
    let lease = Take { table: String::new(), lease_ms: LEASE.as_millis() as u64 };
    let peer = replica.agent.peer();
    if let Err(error) = peer.call::<serde_json::Value>("POST", &path, &lease, PATIENCE).await {
        let host = &replica.agent.host;
        tracing::debug!(host, ?error, "a snapshot's lease was not renewed");
    }
}
