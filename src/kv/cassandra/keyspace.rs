//! The keyspace, and what was decided once for it: format, protocol, serial domain.
//!
//! A row of the table `settings`, written by one lightweight transaction by whichever gateway
//! comes first, says so; every gateway must agree with it.

use std::fmt::Write as _;

use bytes::Bytes;
use scylla::client::session::Session;
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlValue, Row as CqlRow};

use super::connect::{About, SerialDomain, change_schema, check_datacenter, texts};
use super::cql::Names;
use super::failure::{Trouble, trouble};
use super::{CassandraOptions, CommitProtocol};
use crate::clock::Clock;
use crate::error::{Error, Result, SqlState};

/// The format of all tables (`schemas/lwt.md`).
const FORMAT: i32 = 6;
/// Replicas that a new keyspace has where there are so many nodes.
const REPLICAS: usize = 3;
/// Cassandra's own limit.
const NAME_LEN_MAX: usize = 48;
/// Times a request at start is tried.
const TRIES_MAX: usize = 5;

/// Makes the keyspace if it is missing, and checks that it is one for this gateway.
pub(super) async fn open(
    session: &Session,
    options: &CassandraOptions,
    about: &mut About,
    random: &dyn Clock,
) -> Result<Names> {
    let name = &options.keyspace;
    check_name(name)?;
    let wants_accord = options.commit == Some(CommitProtocol::Accord);
    if wants_accord {
        if let Some(SerialDomain::Within(_)) = &options.serial_domain {
            return Err(Error::unsupported("--commit accord with a home data centre"));
        }
        check_accord(session).await?;
    }
    let domain = options.serial_domain.as_ref();
    if let Some(SerialDomain::Within(home)) = domain {
        check_datacenter(home, &about.datacenters, "--home-dc")?;
    }
    let found =
        format!("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = '{name}'");
    let missing = texts::<1>(session, &found).await?.is_empty();
    if missing && options.existing {
        return Err(not_there(name));
    }
    if missing {
        let replication = replication(options, about)?;
        let text = format!(
            "CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {replication} \
             AND durable_writes = true"
        );
        change_schema(session, text).await.map_err(|t| t.into_error("make the keyspace"))?;
    }
    if !options.existing {
        let text = format!(
            "CREATE TABLE IF NOT EXISTS {name}.settings (name text PRIMARY KEY, format int, \
             commit text, serial text, identity blob) WITH read_repair = 'BLOCKING'"
        );
        change_schema(session, text).await.map_err(|t| t.into_error("make the keyspace"))?;
    }
    session.refresh_metadata().await.map_err(|e| {
        Error::new(SqlState::CONNECTION_FAILURE, "could not read the cluster's own tables")
            .with_detail(e.to_string())
    })?;
    let (replication, least) = replicas(session, name).await?;
    if about.nodes > 1 && least < REPLICAS {
        tracing::warn!(keyspace = %name, %replication, "a node that is down stops all of the \
            keyspace; ALTER KEYSPACE to three replicas, and repair");
    }
    about.replication = replication;
    check_tables(session, name).await?;
    let wanted = (options.commit, domain);
    let settings = match options.existing {
        true => read_settings(session, name, wanted).await?.ok_or_else(|| not_there(name)),
        false => settle(session, name, wanted, random).await,
    }?;
    check_home(session, name, &settings.domain)?;
    about.agree_in(settings.domain)?;
    if settings.commit == CommitProtocol::Accord && !wants_accord {
        check_accord(session).await?;
    }
    Ok(Names { keyspace: name.clone(), identity: settings.identity, commit: settings.commit })
}

fn check_name(name: &str) -> Result<()> {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_lowercase());
    let rest = chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let system = name.starts_with("system");
    if first && rest && name.len() <= NAME_LEN_MAX && !system {
        return Ok(());
    }
    let message = format!("\"{name}\" is not a usable keyspace name");
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(format!(
        "Give --keyspace lower-case letters, digits and _, {NAME_LEN_MAX} at most, a letter first."
    )))
}

/// The replication of a new keyspace, in CQL.
fn replication(options: &CassandraOptions, about: &About) -> Result<String> {
    let wrong = |text: &str| {
        let message = format!("--replication {text} cannot be read");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_hint("Give a number of replicas, or a list dc1:3,dc2:3.")
    };
    let mut each: Vec<(String, usize)> = Vec::new();
    match options.replication.as_deref() {
        None => {
            let default = |(name, nodes): &(String, usize)| (name.clone(), REPLICAS.min(*nodes));
            each.extend(about.datacenters.iter().map(default));
        }
        Some(text) => match text.parse::<usize>() {
            Ok(count) => {
                each.extend(about.datacenters.iter().map(|(name, _)| (name.clone(), count)));
            }
            Err(_) => {
                for part in text.split(',') {
                    let (name, count) = part.split_once(':').ok_or_else(|| wrong(text))?;
                    let count = count.trim().parse().map_err(|_| wrong(text))?;
                    each.push((name.trim().to_owned(), count));
                }
            }
        },
    }
    let mut replication = "{'class': 'NetworkTopologyStrategy'".to_owned();
    for (name, count) in &each {
        let Some((_, nodes)) = about.datacenters.iter().find(|(known, _)| known == name) else {
            let message = format!("the cluster has no data centre \"{name}\"");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        };
        if *count == 0 || count > nodes {
            let message = format!("--replication asks for {count} replicas of {nodes} nodes");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        let _ = write!(replication, ", '{}': {count}", name.replace('\'', "''"));
    }
    Ok(replication + "}")
}

/// The keyspace's replication, as it is told, and the fewest replicas that a data centre has;
/// strategies without quorums are refused.
async fn replicas(session: &Session, name: &str) -> Result<(String, usize)> {
    use scylla::cluster::metadata::Strategy;

    let state = session.get_cluster_state();
    let keyspace = state.get_keyspace(name).ok_or_else(|| {
        Error::new(SqlState::CONNECTION_FAILURE, format!("keyspace {name} is not there yet"))
            .with_hint("Start again; the nodes do not agree on it so far.")
    })?;
    Ok(match &keyspace.strategy {
        Strategy::SimpleStrategy { replication_factor } => {
            (replication_factor.to_string(), *replication_factor)
        }
        Strategy::NetworkTopologyStrategy { datacenter_repfactors } => {
            let mut each: Vec<_> = datacenter_repfactors.iter().collect();
            each.sort();
            let least = each.iter().map(|(_, n)| **n).min().unwrap_or(0);
            let each: Vec<String> = each.iter().map(|(dc, n)| format!("{dc}:{n}")).collect();
            (each.join(","), least)
        }
        other => {
            let message = format!("the replication of keyspace {name} cannot be used");
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .with_detail(format!("{other:?}"))
                .with_hint("Use NetworkTopologyStrategy."));
        }
    })
}

/// Without blocking read repair, two reads could see a row go back.
async fn check_tables(session: &Session, keyspace: &str) -> Result<()> {
    let text = format!(
        "SELECT table_name, read_repair FROM system_schema.tables \
         WHERE keyspace_name = '{keyspace}'"
    );
    for [table, repair] in texts::<2>(session, &text).await? {
        let (Some(table), Some(repair)) = (table, repair) else { continue };
        if !repair.eq_ignore_ascii_case("BLOCKING") {
            let message = format!("table {keyspace}.{table} has read_repair = '{repair}'");
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).with_hint(
                format!("ALTER TABLE {keyspace}.{table} WITH read_repair = 'BLOCKING';"),
            ));
        }
    }
    Ok(())
}

/// 55000 for a home that has no replicas of the keyspace.
fn check_home(session: &Session, name: &str, domain: &SerialDomain) -> Result<()> {
    use scylla::cluster::metadata::Strategy;

    let SerialDomain::Within(home) = domain else { return Ok(()) };
    let state = session.get_cluster_state();
    let there = match state.get_keyspace(name).map(|keyspace| &keyspace.strategy) {
        Some(Strategy::NetworkTopologyStrategy { datacenter_repfactors }) => {
            datacenter_repfactors.get(home).is_some_and(|replicas| *replicas > 0)
        }
        _ => true,
    };
    if there {
        return Ok(());
    }
    let message =
        format!("keyspace {name} has no replicas in data centre {home}, where it commits");
    Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_hint(format!("ALTER KEYSPACE {name} to have some there, and repair.")))
}

/// Accord is a setting of every node, off by default.
async fn check_accord(session: &Session) -> Result<()> {
    let setting = "SELECT value, name FROM system_views.settings WHERE name = 'accord.enabled'";
    let found = texts::<2>(session, setting).await.unwrap_or_default();
    if matches!(&found[..], [[Some(enabled), _]] if enabled == "true") {
        return Ok(());
    }
    let message = "this cluster has no Accord";
    Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).with_hint(
        "Accord needs Cassandra 6 with accord.enabled: true in every cassandra.yaml; \
         --commit lwt works without.",
    ))
}

/// What was decided when the keyspace was new.
struct Settings {
    identity: Bytes,
    commit: CommitProtocol,
    domain: SerialDomain,
}

fn not_there(name: &str) -> Error {
    let message = format!("keyspace {name} is not there yet");
    Error::new(SqlState::INVALID_SCHEMA_NAME, message).with_hint("Start a gateway on it first.")
}

/// The row of settings, if there is one.
async fn settings_row(session: &Session, keyspace: &str) -> Result<Option<CqlRow>, Trouble> {
    let mut read = Statement::new(format!(
        "SELECT format, commit, serial, identity FROM {keyspace}.settings WHERE name = 'keyspace'"
    ));
    read.set_consistency(Consistency::Serial);
    let answer = session.query_unpaged(read, ()).await.map_err(|e| trouble(&e))?;
    let rows = answer.into_rows_result().ok();
    Ok(rows.and_then(|rows| rows.maybe_first_row::<CqlRow>().ok().flatten()))
}

/// The settings that a keyspace has, which must be `wanted` where that is given; none: it is not
/// made, or just being made.
async fn read_settings(
    session: &Session,
    keyspace: &str,
    wanted: (Option<CommitProtocol>, Option<&SerialDomain>),
) -> Result<Option<Settings>> {
    match settings_row(session, keyspace).await {
        Ok(row) => row.map(|row| agree(keyspace, wanted, row.columns)).transpose(),
        Err(Trouble::NoTable) => Ok(None),
        Err(other) => Err(other.into_error("read the keyspace's settings")),
    }
}

/// Writes the settings of a new keyspace, or reads those it has, which must be `wanted` where that
/// is given.
async fn settle(
    session: &Session,
    keyspace: &str,
    wanted: (Option<CommitProtocol>, Option<&SerialDomain>),
    random: &dyn Clock,
) -> Result<Settings> {
    let commit = wanted.0.unwrap_or(CommitProtocol::Lwt).name();
    let ours = wanted.1.cloned().unwrap_or_default().to_string();
    let mut identity = [0; 16];
    random.random(&mut identity);
    let mut insert = Statement::new(format!(
        "INSERT INTO {keyspace}.settings (name, format, commit, serial, identity) \
         VALUES ('keyspace', {FORMAT}, '{commit}', ?, ?) IF NOT EXISTS"
    ));
    insert.set_consistency(Consistency::Quorum);
    insert.set_serial_consistency(Some(SerialConsistency::Serial));
    let mut last = Trouble::NoTable;
    for _ in 0..TRIES_MAX {
        // Whatever became of it, by this gateway or another: what is there then counts.
        let inserted = session.query_unpaged(insert.clone(), (&ours, &identity[..])).await;
        if let Err(error) = inserted {
            last = trouble(&error);
        }
        match settings_row(session, keyspace).await {
            Ok(Some(row)) => return agree(keyspace, wanted, row.columns),
            Ok(None) => {}
            Err(trouble) => last = trouble,
        }
    }
    Err(last.into_error("write the keyspace's settings"))
}

fn agree(
    keyspace: &str,
    wanted: (Option<CommitProtocol>, Option<&SerialDomain>),
    mut columns: Vec<Option<CqlValue>>,
) -> Result<Settings> {
    let differs = |message: String| Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
    let identity = columns.pop().flatten();
    let text = |at: usize| columns.get(at)?.as_ref()?.as_text().cloned();
    let format = columns.first().and_then(|c| c.as_ref()?.as_int()).unwrap_or_default();
    if format > FORMAT {
        let message = format!(
            "keyspace {keyspace} has format {format}, which is newer than format {FORMAT} of this \
             version"
        );
        return Err(differs(message).with_hint("Start a newer version of sluice on it."));
    }
    if format < FORMAT {
        let message = format!(
            "keyspace {keyspace} has format {format}, and this version reads format {FORMAT} only"
        );
        return Err(differs(message).with_hint("Give --keyspace a new name."));
    }
    let (theirs, serial) = (text(1).unwrap_or_default(), text(2).unwrap_or_default());
    let settled = |what: &str, theirs: &str, ours: &str| {
        let message = format!("keyspace {keyspace} has {what} {theirs}, and this gateway {ours}");
        differs(message)
            .with_hint("Both are decided when a keyspace is new; all its gateways keep to them.")
    };
    let known = [CommitProtocol::Lwt, CommitProtocol::Accord];
    let commit = known.into_iter().find(|protocol| protocol.name() == theirs);
    let ours = wanted.0.or(commit).unwrap_or(CommitProtocol::Lwt);
    let Some(commit) = commit.filter(|commit| *commit == ours) else {
        return Err(settled("commit protocol", &theirs, ours.name()));
    };
    let ours = wanted.1.map_or_else(|| serial.clone(), SerialDomain::to_string);
    if serial != ours {
        return Err(settled("serial domain", &serial, &ours));
    }
    let domain = SerialDomain::named(&serial).ok_or_else(|| {
        differs(format!("keyspace {keyspace} has an unknown serial domain {serial}"))
    })?;
    match identity {
        Some(CqlValue::Blob(bytes)) => Ok(Settings { identity: bytes.into(), commit, domain }),
        _ => Err(differs(format!("the settings of keyspace {keyspace} have no identity"))),
    }
}
