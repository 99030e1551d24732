//! Agents beside the nodes: which there are, and whether those that answer are a quorum.
//!
//! An agent has a row in the table `agents` that expires unless it is written again: gateways find
//! agents by the cluster's contact points alone. Nothing is decided by these rows; an agent that
//! is gone does not answer.

use std::collections::BTreeSet;
use std::time::Duration;

use scylla::frame::response::result::TableSpec;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;

use super::connect::change_schema;
use super::failure::trouble;
use super::{Cassandra, CommitProtocol, Trouble};
use crate::error::{Error, Result, SqlState};

/// Seconds that an agent's row lasts.
const LEASE_SECONDS: i32 = 15;

/// How often, and after what pause, a table that was made is looked for.
const TABLE_TRIES: u32 = 50;
const TABLE_PAUSE: Duration = Duration::from_millis(200);

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// The id of its node.
    pub host: String,
    /// Where it listens.
    pub address: String,
    /// What a request to it shows.
    pub secret: String,
    /// Where it writes views.
    pub store: String,
}

/// Which nodes have which part of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The start of each range, and the ids of its replicas.
    ranges: Vec<(i64, BTreeSet<String>)>,
}

impl Ring {
    /// Whether `hosts` are a quorum of the replicas of every range.
    pub fn is_quorum(&self, hosts: &BTreeSet<String>) -> bool {
        let enough =
            |replicas: &BTreeSet<String>| replicas.intersection(hosts).count() > replicas.len() / 2;
        !self.ranges.is_empty() && self.ranges.iter().all(|(_, replicas)| enough(replicas))
    }

    /// As few of `hosts` as are a quorum everywhere, the last ones left out first; none if all
    /// together are not.
    pub fn quorum_of(&self, hosts: &[String]) -> Option<Vec<String>> {
        let mut kept: Vec<String> = hosts.to_vec();
        let enough = |kept: &[String]| self.is_quorum(&kept.iter().cloned().collect());
        if !enough(&kept) {
            return None;
        }
        for at in (0..kept.len()).rev() {
            let host = kept.remove(at);
            if !enough(&kept) {
                kept.insert(at, host);
            }
        }
        Some(kept)
    }

    /// All nodes that have a range.
    pub fn hosts(&self) -> BTreeSet<String> {
        self.ranges.iter().flat_map(|(_, replicas)| replicas.iter().cloned()).collect()
    }
}

impl Cassandra {
    fn agents_table(&self) -> String {
        format!("{}.agents", self.names.keyspace)
    }

    /// Makes the table of agents, if it is missing.
    pub async fn make_agents(&self) -> Result<()> {
        let table = self.agents_table();
        let id = self.names.id_of(&table);
        let text = format!(
            "CREATE TABLE IF NOT EXISTS {table} (host text PRIMARY KEY, address text, \
             secret text, store text) WITH read_repair = 'BLOCKING' AND id = {id}"
        );
        let _one = self.schema.lock().await;
        let made = change_schema(&self.session, text).await;
        made.map_err(|t| t.into_error("make the table of agents"))
    }

    /// Writes an agent's row, which lasts for a while.
    pub async fn register_agent(&self, agent: &Agent) -> Result<()> {
        let table = self.agents_table();
        let text = format!(
            "INSERT INTO {table} (host, address, secret, store) VALUES (?, ?, ?, ?) \
             USING TTL {LEASE_SECONDS}"
        );
        let values = (&agent.host, &agent.address, &agent.secret, &agent.store);
        let mut tries = 0;
        loop {
            let done = self.session.query_unpaged(at_quorum(text.clone()), values).await;
            match done.map_err(|e| trouble(&e)) {
                Ok(_) => return Ok(()),
                // Another agent made the table just now, and the node asked has not heard of it.
                Err(Trouble::NoTable) if tries < TABLE_TRIES => tries += 1,
                Err(trouble) => return Err(trouble.into_error("register an agent")),
            }
            tokio::time::sleep(TABLE_PAUSE).await;
        }
    }

    /// Removes an agent's row.
    pub async fn withdraw_agent(&self, host: &str) -> Result<()> {
        let text = format!("DELETE FROM {} WHERE host = ?", self.agents_table());
        let done = self.session.query_unpaged(at_quorum(text), (host,)).await;
        done.map(drop).map_err(|e| trouble(&e).into_error("withdraw an agent"))
    }

    /// The agents that said lately that they are there.
    pub async fn agents(&self) -> Result<Vec<Agent>> {
        let text = format!("SELECT host, address, secret, store FROM {}", self.agents_table());
        let failed = |e: String| {
            Error::new(SqlState::CONNECTION_FAILURE, "could not read which agents there are")
                .with_detail(e)
        };
        let answer = match self.session.query_unpaged(at_quorum(text), ()).await {
            Ok(answer) => answer,
            Err(e) if matches!(trouble(&e), Trouble::NoTable) => return Ok(Vec::new()),
            Err(e) => return Err(failed(e.to_string())),
        };
        let rows = answer.into_rows_result().map_err(|e| failed(e.to_string()))?;
        let rows = rows.rows::<(String, Option<String>, Option<String>, Option<String>)>();
        let mut agents = Vec::new();
        for row in rows.map_err(|e| failed(e.to_string()))? {
            // A row of which only some cells are left is about to go.
            if let (host, Some(address), Some(secret), Some(store)) =
                row.map_err(|e| failed(e.to_string()))?
            {
                agents.push(Agent { host, address, secret, store });
            }
        }
        agents.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(agents)
    }

    /// The ring as it is now.
    pub async fn ring_of_nodes(&self) -> Result<Ring> {
        let failed = |e: String| {
            Error::new(SqlState::CONNECTION_FAILURE, "could not read the cluster's own tables")
                .with_detail(e)
        };
        self.session.refresh_metadata().await.map_err(|e| failed(e.to_string()))?;
        let state = self.session.get_cluster_state();
        let keyspace = state.get_keyspace(&self.names.keyspace);
        let keyspace = keyspace.ok_or_else(|| failed("the keyspace is gone".to_owned()))?;
        let locator = state.replica_locator();
        let table = TableSpec::borrowed(&self.names.keyspace, "settings");
        let ranges = locator.ring().iter().map(|(token, _)| {
            let replicas = locator.replicas_for_token(*token, &keyspace.strategy, None, &table);
            (
                token.value(),
                replicas.into_iter().map(|(node, _)| node.host_id.to_string()).collect(),
            )
        });
        Ok(Ring { ranges: ranges.collect() })
    }

    /// Why this keyspace's files do not tell what is committed; none where they do.
    pub fn files_lag(&self) -> Option<&'static str> {
        match self.commit() {
            CommitProtocol::Lwt => None,
            CommitProtocol::Accord => {
                Some("Accord acknowledges commits before the replicas have applied them")
            }
        }
    }
}

fn at_quorum(text: String) -> Statement {
    let mut statement = Statement::new(text);
    statement.set_consistency(Consistency::Quorum);
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &str) -> Vec<String> {
        names.chars().map(String::from).collect()
    }

    #[test]
    fn a_quorum_is_one_in_every_range() {
        let range = |at, replicas: &str| (at, names(replicas).into_iter().collect());
        let ring = Ring { ranges: vec![range(0, "abc"), range(10, "bcd"), range(20, "cda")] };
        let quorum = |hosts: &str| ring.quorum_of(&names(hosts));
        assert_eq!(quorum("abcd").unwrap(), names("abc"), "d is left out first");
        assert_eq!(quorum("bd"), None, "b is not a quorum of abc");
        assert_eq!(quorum("dcb").unwrap(), names("dcb"));
        assert_eq!(ring.hosts().len(), 4);
        let one = Ring { ranges: vec![range(0, "a")] };
        assert!(one.quorum_of(&names("a")).is_some() && one.quorum_of(&[]).is_none());
        assert!(!Ring { ranges: Vec::new() }.is_quorum(&BTreeSet::new()));
    }
}
