//! Agents beside the nodes, and gateways that share scans: which there are, and whether the agents
//! that answer are a quorum.
//!
//! An agent has a row in the table `agents` that expires unless it is written again, such a gateway
//! one in `scans`: they are found by the cluster's contact points alone. Nothing is decided by
//! these rows; who is gone does not answer.

use std::collections::BTreeSet;
use std::time::Duration;

use scylla::deserialize::row::DeserializeRow;
use scylla::frame::response::result::TableSpec;
use scylla::serialize::row::SerializeRow;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;

use super::connect::change_schema;
use super::failure::trouble;
use super::{Cassandra, CommitProtocol, Trouble};
use crate::error::{Error, Result, SqlState};

/// Seconds that a row lasts.
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

    fn scans_table(&self) -> String {
        format!("{}.scans", self.names.keyspace)
    }

    /// Makes the table of agents, if it is missing.
    pub async fn make_agents(&self) -> Result<()> {
        let columns = "host text PRIMARY KEY, address text, secret text, store text";
        self.make_expiring(&self.agents_table(), columns).await
    }

    /// Makes the table of gateways that share scans, if it is missing.
    pub async fn make_scans(&self) -> Result<()> {
        self.make_expiring(&self.scans_table(), "address text PRIMARY KEY, mark text").await
    }

    async fn make_expiring(&self, table: &str, columns: &str) -> Result<()> {
        let id = self.names.id_of(table);
        let text = format!(
            "CREATE TABLE IF NOT EXISTS {table} ({columns}) \
             WITH read_repair = 'BLOCKING' AND id = {id}"
        );
        let _one = self.schema.lock().await;
        let made = change_schema(&self.session, text).await;
        made.map_err(|t| t.into_error(&format!("make the table {table}")))
    }

    /// Writes an agent's row, which lasts for a while.
    pub async fn register_agent(&self, agent: &Agent) -> Result<()> {
        let text = format!(
            "INSERT INTO {} (host, address, secret, store) VALUES (?, ?, ?, ?)",
            self.agents_table()
        );
        let values = (&agent.host, &agent.address, &agent.secret, &agent.store);
        self.write_expiring(&text, values).await
    }

    async fn write_expiring(&self, text: &str, values: impl SerializeRow) -> Result<()> {
        let text = format!("{text} USING TTL {LEASE_SECONDS}");
        let mut tries = 0;
        loop {
            let done = self.session.query_unpaged(at_quorum(text.clone()), &values).await;
            match done.map_err(|e| trouble(&e)) {
                Ok(_) => return Ok(()),
                // Another one made the table just now, and the node asked has not heard of it.
                Err(Trouble::NoTable) if tries < TABLE_TRIES => tries += 1,
                Err(trouble) => return Err(trouble.into_error("say who is there")),
            }
            tokio::time::sleep(TABLE_PAUSE).await;
        }
    }

    /// Says, for a while, that a gateway takes shares of scans at `own`; gives where others do that
    /// have the same mark.
    pub async fn meet_scans(&self, own: &str, mark: &str) -> Result<Vec<String>> {
        let table = self.scans_table();
        let text = format!("INSERT INTO {table} (address, mark) VALUES (?, ?)");
        self.write_expiring(&text, (own, mark)).await?;
        let what = "which gateways share scans";
        let text = format!("SELECT address, mark FROM {table}");
        let rows = self.read_expiring::<(String, Option<String>)>(text, what).await?;
        let others = rows
            .into_iter()
            .filter(|(address, of)| address != own && of.as_deref().is_some_and(|of| of == mark));
        let mut others: Vec<String> = others.map(|(address, _)| address).collect();
        others.sort();
        Ok(others)
    }

    /// The rows of a table that expire; none where nobody has made it.
    async fn read_expiring<R>(&self, text: String, what: &str) -> Result<Vec<R>>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let failed = |e: String| {
            let message = format!("could not read {what}");
            Error::new(SqlState::CONNECTION_FAILURE, message).with_detail(e)
        };
        let answer = match self.session.query_unpaged(at_quorum(text), ()).await {
            Ok(answer) => answer,
            Err(e) if matches!(trouble(&e), Trouble::NoTable) => return Ok(Vec::new()),
            Err(e) => return Err(failed(e.to_string())),
        };
        let rows = answer.into_rows_result().map_err(|e| failed(e.to_string()))?;
        let rows = rows.rows::<R>().map_err(|e| failed(e.to_string()))?;
        rows.map(|row| row.map_err(|e| failed(e.to_string()))).collect()
    }

    /// Removes an agent's row.
    pub async fn withdraw_agent(&self, host: &str) -> Result<()> {
        let text = format!("DELETE FROM {} WHERE host = ?", self.agents_table());
        let done = self.session.query_unpaged(at_quorum(text), (host,)).await;
        done.map(drop).map_err(|e| trouble(&e).into_error("withdraw an agent"))
    }

    /// The agents that said lately that they are there.
    pub async fn agents(&self) -> Result<Vec<Agent>> {
        type Cells = (String, Option<String>, Option<String>, Option<String>);
        let text = format!("SELECT host, address, secret, store FROM {}", self.agents_table());
        let rows = self.read_expiring::<Cells>(text, "which agents there are").await?;
        // A row of which only some cells are left is about to go.
        let whole = rows.into_iter().filter_map(|(host, address, secret, store)| {
            Some(Agent { host, address: address?, secret: secret?, store: store? })
        });
        let mut agents: Vec<Agent> = whole.collect();
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

    /// The id of the node that has a token, as last heard.
    pub fn host_of_token(&self, token: i64) -> Option<String> {
        let state = self.session.get_cluster_state();
        let mut ring = state.replica_locator().ring().iter();
        let of = ring.find(|(of, _)| of.value() == token);
        of.map(|(_, node)| node.host_id.to_string())
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
