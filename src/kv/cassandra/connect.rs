//! A session with the cluster: addresses, credentials, policies, and what is refused.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::client::session::{Session, TlsContext};
use scylla::client::session_builder::SessionBuilder;
use scylla::cluster::{ClusterState, NodeRef};
use scylla::policies::load_balancing::{
    DefaultPolicy, FallbackPlan, LoadBalancingPolicy, NodeIdentifier, RoutingInfo,
    SingleTargetLoadBalancingPolicy,
};
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::routing::Shard;
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency, SerialConsistency};

use super::CassandraOptions;
use super::failure::{Trouble, trouble};
use super::refused::refused;
use crate::error::{Error, Result, SqlState};

/// How long a node has to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take; longer than the nodes' own timeouts, so that they speak first.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(2500);
/// How long the cluster has to agree on a schema.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(20);
/// Tries of a change of the schema, and the pause between two.
const SCHEMA_TRIES_MAX: usize = 4;
const SCHEMA_PAUSE: Duration = Duration::from_millis(200);
/// A connection that says nothing is asked this often, and given up after that long.
const KEEPALIVE_INTERVAL: Duration = Duration::from_millis(1500);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_millis(1500);
/// A repeatable request is sent to another node too when it has no answer after this.
const SPECULATIVE_AFTER: Duration = Duration::from_millis(100);
const SPECULATIVE_MAX: usize = 2;
/// The oldest release whose conditional batches and reads are what the protocol needs.
const OLDEST: (u32, u32) = (4, 1);

/// What cluster this is.
#[derive(Clone, Debug)]
pub struct About {
    /// The lowest release of all nodes.
    pub release: String,
    /// The data centre whose nodes are asked.
    pub datacenter: String,
    /// Nodes of each data centre.
    pub datacenters: Vec<(String, usize)>,
    /// Nodes.
    pub nodes: usize,
    /// `paxos_variant`
    pub paxos: String,
    /// `paxos_state_purging`
    pub purging: String,
    /// Replicas by data centre, once the keyspace is known.
    pub replication: String,
    /// How conditional batches are sent: to the first replica, so that gateways that want the same
    /// partition meet there and not between two nodes.
    pub(super) conditional: ExecutionProfileHandle,
    /// The same, in this gateway's own data centre or not at all: LOCAL_SERIAL means the nodes of
    /// whoever is asked.
    pub(super) conditional_near: ExecutionProfileHandle,
    /// The same for tables of other keyspaces, wherever this one's commits agree.
    pub(super) conditional_anywhere: ExecutionProfileHandle,
    /// Which replicas agree on conditional batches, once the keyspace is known.
    pub domain: SerialDomain,
}

/// Which replicas agree on conditional batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SerialDomain {
    /// All of them: a quorum of all data centres (SERIAL).
    #[default]
    Everywhere,
    /// Those of one data centre (LOCAL_SERIAL, asked of its nodes).
    Within(String),
}

impl std::fmt::Display for SerialDomain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SerialDomain::Everywhere => f.write_str("SERIAL"),
            SerialDomain::Within(home) => write!(f, "LOCAL_SERIAL in {home}"),
        }
    }
}

impl SerialDomain {
    /// The one that a keyspace's settings name.
    pub(super) fn named(text: &str) -> Option<SerialDomain> {
        match text.strip_prefix("LOCAL_SERIAL in ") {
            Some(home) => Some(SerialDomain::Within(home.to_owned())),
            None => (text == "SERIAL").then_some(SerialDomain::Everywhere),
        }
    }

    /// The consistency of conditions.
    pub(super) fn consistency(&self) -> SerialConsistency {
        match self {
            SerialDomain::Everywhere => SerialConsistency::Serial,
            SerialDomain::Within(_) => SerialConsistency::LocalSerial,
        }
    }
}

impl About {
    /// Takes note of which replicas agree; 22023 if there is no such data centre.
    pub(super) fn agree_in(&mut self, domain: SerialDomain) -> Result<()> {
        if let SerialDomain::Within(home) = &domain {
            check_datacenter(home, &self.datacenters, "--home-dc")?;
            self.conditional = first_replica(home, false);
        }
        self.domain = domain;
        Ok(())
    }
}

/// 22023 for a data centre that the cluster has not.
pub(super) fn check_datacenter(
    name: &str,
    datacenters: &[(String, usize)],
    flag: &str,
) -> Result<()> {
    if datacenters.iter().any(|(known, _)| known == name) {
        return Ok(());
    }
    let names: Vec<&str> = datacenters.iter().map(|(name, _)| name.as_str()).collect();
    let message = format!("the cluster has no data centre \"{name}\"");
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        .with_hint(format!("{flag} can be: {}.", names.join(", "))))
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nodes =
            if self.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", self.nodes) };
        write!(
            f,
            "Cassandra {}, {nodes}, replication {}, Paxos {} (state purging: {})",
            self.release, self.replication, self.paxos, self.purging
        )?;
        match &self.domain {
            SerialDomain::Everywhere => Ok(()),
            SerialDomain::Within(home) => write!(f, ", commits agree in {home}"),
        }
    }
}

/// Connects and looks at the cluster.
pub(super) async fn connect(options: &CassandraOptions) -> Result<(Session, About)> {
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.contact_points)
        .connection_timeout(CONNECT_TIMEOUT)
        .keepalive_interval(KEEPALIVE_INTERVAL)
        .keepalive_timeout(KEEPALIVE_TIMEOUT)
        .schema_agreement_timeout(SCHEMA_TIMEOUT)
        .schema_agreement_interval(Duration::from_millis(20))
        .fetch_full_schema_metadata(false)
        .refresh_metadata_on_auto_schema_agreement(false)
        .keyspaces_to_fetch([&options.keyspace])
        .default_execution_profile_handle(profile(None).into_handle());
    if let Some((user, password)) = &options.credentials {
        builder = builder.user(user, password);
    }
    if let Some(path) = &options.authority {
        builder = builder.tls_context(Some(tls(path)?));
    }
    let session = builder.build().await.map_err(|e| refused(&e, options))?;
    let about = look(&session, options).await?;
    let default = session.get_default_execution_profile_handle();
    default.clone().map_to_another_profile(profile(Some(&about.datacenter)));
    Ok((session, about))
}

fn profile(datacenter: Option<&str>) -> ExecutionProfile {
    ExecutionProfile::builder()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .consistency(Consistency::Quorum)
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .load_balancing_policy(balancing(datacenter, true))
        .speculative_execution_policy(Some(Arc::new(SimpleSpeculativeExecutionPolicy {
            max_retry_count: SPECULATIVE_MAX,
            retry_interval: SPECULATIVE_AFTER,
        })))
        .build()
}

/// The first replica in a data centre; of others only with `failover`.
fn first_replica(datacenter: &str, failover: bool) -> ExecutionProfileHandle {
    let others = balancing(Some(datacenter), failover);
    let policy = FirstReplica { datacenter: datacenter.to_owned(), others };
    profile(None).to_builder().load_balancing_policy(Arc::new(policy)).build().into_handle()
}

fn balancing(datacenter: Option<&str>, failover: bool) -> Arc<dyn LoadBalancingPolicy> {
    let policy = DefaultPolicy::builder().token_aware(true).permit_dc_failover(failover);
    match datacenter {
        Some(name) => policy.prefer_datacenter(name.to_owned()).build(),
        None => policy.build(),
    }
}

/// The first replica of a partition in the preferred data centre, whoever asks.
#[derive(Debug)]
struct FirstReplica {
    datacenter: String,
    others: Arc<dyn LoadBalancingPolicy>,
}

impl LoadBalancingPolicy for FirstReplica {
    fn pick<'a>(
        &'a self,
        request: &'a RoutingInfo,
        cluster: &'a ClusterState,
    ) -> Option<(NodeRef<'a>, Option<Shard>)> {
        let first = || {
            let (token, table) = (request.token?, request.table?);
            let keyspace = cluster.get_keyspace(table.ks_name())?;
            let replicas = cluster.replica_locator().replicas_for_token(
                token,
                &keyspace.strategy,
                Some(&self.datacenter),
                table,
            );
            let mut ordered = replicas.into_replicas_ordered().into_iter();
            ordered.find(|(node, _)| node.is_connected())
        };
        match first() {
            Some((node, shard)) => Some((node, Some(shard))),
            None => self.others.pick(request, cluster),
        }
    }

    fn fallback<'a>(
        &'a self,
        request: &'a RoutingInfo,
        cluster: &'a ClusterState,
    ) -> FallbackPlan<'a> {
        self.others.fallback(request, cluster)
    }

    fn name(&self) -> String {
        "first replica".to_owned()
    }
}

fn tls(path: &Path) -> Result<TlsContext> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let unusable = |e: String| {
        let message = format!("could not use the certificates in {}: {e}", path.display());
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_hint("Give --cluster-ca a PEM file with the cluster's certificate authority.")
    };
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| unusable(e.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|e| unusable(e.to_string()))?;
        roots.add(certificate).map_err(|e| unusable(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("there are none".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsContext::Rustls023(Arc::new(config)))
}

/// Some columns of texts, by a statement without parameters.
pub(super) async fn texts<const N: usize>(
    session: &Session,
    text: &str,
) -> Result<Vec<[Option<String>; N]>> {
    texts_with(session, Statement::new(text), ()).await
}

fn unreadable(cause: String) -> Error {
    Error::new(SqlState::CONNECTION_FAILURE, "could not read the cluster's own tables")
        .with_detail(cause)
}

async fn texts_with<const N: usize>(
    session: &Session,
    mut statement: Statement,
    values: impl scylla::serialize::row::SerializeRow,
) -> Result<Vec<[Option<String>; N]>> {
    statement.set_consistency(Consistency::One);
    let answer = session.query_unpaged(statement, values).await;
    let answer = answer.map_err(|e| unreadable(e.to_string()))?;
    let answer = answer.into_rows_result().map_err(|e| unreadable(e.to_string()))?;
    let mut found = Vec::new();
    let rows = answer.rows::<scylla::value::Row>().map_err(|e| unreadable(e.to_string()))?;
    for row in rows {
        let row = row.map_err(|e| unreadable(e.to_string()))?;
        let mut texts = std::array::from_fn(|_| None);
        for (into, value) in texts.iter_mut().zip(row.columns) {
            // Numbers as their digits.
            *into = value.and_then(|v| match v.as_int() {
                Some(number) => Some(number.to_string()),
                None => v.as_text().cloned(),
            });
        }
        found.push(texts);
    }
    Ok(found)
}

/// Columns of texts of the rows about one keyspace.
pub(super) async fn texts_about<const N: usize>(
    session: &Session,
    text: &str,
    keyspace: &str,
) -> Result<Vec<[Option<String>; N]>> {
    texts_with(session, Statement::new(text), (keyspace,)).await
}

/// Release and data centre of each node, as one of them knows itself and the others: two nodes
/// asked would each leave out another one.
async fn nodes(session: &Session) -> Result<Vec<(String, String)>> {
    let mut failed = unreadable("it has no nodes".to_owned());
    for node in session.get_cluster_state().get_nodes_info() {
        let only = SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(node.clone()), None);
        let ask = async |table: &str| {
            let text = format!("SELECT release_version, data_center FROM system.{table}");
            let mut statement = Statement::new(text);
            statement.set_load_balancing_policy(Some(only.clone()));
            texts_with::<2>(session, statement, ()).await
        };
        match (ask("local").await, ask("peers").await) {
            (Ok(local), Ok(peers)) => {
                let known = local.into_iter().chain(peers);
                return Ok(known
                    .filter_map(|[release, datacenter]| Some((release?, datacenter?)))
                    .collect());
            }
            (Err(error), _) | (_, Err(error)) => failed = error,
        }
    }
    Err(failed)
}

/// The types of a keyspace: name, names and types of the fields.
pub(super) async fn user_types(
    session: &Session,
    keyspace: &str,
) -> Result<Vec<(String, Vec<(String, String)>)>> {
    let text = "SELECT type_name, field_names, field_types FROM system_schema.types \
                WHERE keyspace_name = ?";
    let mut statement = Statement::new(text);
    statement.set_consistency(Consistency::One);
    let answer = session.query_unpaged(statement, (keyspace,)).await;
    let answer = answer.map_err(|e| unreadable(e.to_string()))?;
    let answer = answer.into_rows_result().map_err(|e| unreadable(e.to_string()))?;
    let rows = answer.rows::<(String, Vec<String>, Vec<String>)>();
    rows.map_err(|e| unreadable(e.to_string()))?
        .map(|row| {
            let (name, names, types) = row.map_err(|e| unreadable(e.to_string()))?;
            Ok((name, names.into_iter().zip(types).collect()))
        })
        .collect()
}

/// Runs a statement that changes the schema and can be repeated, until all nodes know the change.
pub(super) async fn change_schema(
    session: &Session,
    text: String,
) -> std::result::Result<(), Trouble> {
    let mut statement = Statement::new(text);
    statement.set_request_timeout(Some(SCHEMA_TIMEOUT));
    let mut last = Trouble::NoTable;
    for _ in 0..SCHEMA_TRIES_MAX {
        match session.query_unpaged(statement.clone(), ()).await {
            Ok(_) => return Ok(()),
            Err(error) => match trouble(&error) {
                again @ (Trouble::Uncertain(_) | Trouble::Unavailable(_)) => last = again,
                other => return Err(other),
            },
        }
        tokio::time::sleep(SCHEMA_PAUSE).await;
    }
    Err(last)
}

async fn look(session: &Session, options: &CassandraOptions) -> Result<About> {
    let scylla = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'system' \
                  AND table_name = 'scylla_local'";
    if !texts::<1>(session, scylla).await?.is_empty() {
        return Err(Error::unsupported("ScyllaDB as the cluster"));
    }
    let nodes = nodes(session).await?;
    let Some((_, first)) = nodes.first() else {
        return Err(Error::new(SqlState::CONNECTION_FAILURE, "the cluster names no nodes"));
    };
    let datacenter = options.local_dc.clone().unwrap_or_else(|| first.clone());
    let mut datacenters: Vec<(String, usize)> = Vec::new();
    for (_, name) in &nodes {
        match datacenters.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => *count += 1,
            None => datacenters.push((name.clone(), 1)),
        }
    }
    check_datacenter(&datacenter, &datacenters, "--local-dc")?;
    let release = nodes.iter().map(|(r, _)| r).min_by_key(|r| version(r)).cloned();
    let release = release.unwrap_or_default();
    if version(&release) < OLDEST {
        let message = format!("Cassandra {release} is not supported");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .with_detail("Its lightweight transactions or read repair are not what is needed.")
            .with_hint(format!("Use Cassandra {}.{} or newer on all nodes.", OLDEST.0, OLDEST.1)));
    }
    let settings = texts::<2>(session, "SELECT name, value FROM system_views.settings").await?;
    let setting = |name: &str| {
        let found = settings.iter().find(|[n, _]| n.as_deref() == Some(name));
        found.and_then(|[_, value]| value.clone()).unwrap_or_else(|| "unknown".to_owned())
    };
    let (conditional, conditional_near) =
        (first_replica(&datacenter, true), first_replica(&datacenter, false));
    Ok(About {
        release,
        nodes: nodes.len(),
        datacenter,
        datacenters,
        paxos: setting("paxos_variant"),
        purging: setting("paxos_state_purging"),
        replication: String::new(),
        conditional_anywhere: conditional.clone(),
        conditional,
        conditional_near,
        domain: SerialDomain::default(),
    })
}

fn version(release: &str) -> (u32, u32) {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let mut next = || parts.next().and_then(std::result::Result::ok).unwrap_or(0);
    (next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_read_as_they_are_written() {
        for domain in [SerialDomain::Everywhere, SerialDomain::Within("dc 1".to_owned())] {
            assert_eq!(SerialDomain::named(&domain.to_string()), Some(domain));
        }
        assert_eq!(SerialDomain::named("LOCAL_SERIAL"), None);
    }

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(version("5.0.6"), (5, 0));
        assert_eq!(version("6.0-alpha2"), (6, 0));
        assert_eq!(version("4.0.13-SNAPSHOT"), (4, 0));
        assert!(version("3.11.10") < OLDEST && version("4.1.0") >= OLDEST);
        assert!(version("10.1") > version("5.0"));
    }
}
