//! The flags of a cluster, and opening the store on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::clock::Clock;
use crate::error::{Error, Result, SqlState};
use crate::kv::SharedStore;
use crate::kv::cassandra::{Cassandra, CassandraOptions, CommitProtocol, SerialDomain};
use crate::kv::lwt::env::OnRuntime;
use crate::kv::lwt::{LwtOptions, LwtStore};
use crate::types::io::hex;

/// Where the rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StoreKind {
    /// In a folder, of this process alone.
    #[default]
    Embedded,
    /// In a Cassandra cluster, shared by any number of gateways.
    Cassandra,
}

/// How transactions commit on a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CommitKind {
    /// As the keyspace was made; a new one: by lightweight transactions.
    #[default]
    Auto,
    /// By lightweight transactions.
    Lwt,
    /// By Accord.
    Accord,
}

/// Which replicas agree on commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum SerialKind {
    /// A quorum of all data centres.
    Serial,
    /// A quorum of one, --home-dc.
    LocalSerial,
}

/// What `--store cassandra` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArgs {
    /// Some nodes of the cluster: host:port,…
    #[arg(long, env = "SLUICE_CONTACT_POINTS", value_delimiter = ',', value_name = "HOST:PORT")]
    pub contact_points: Vec<String>,
    /// Keyspace of the database; made if missing.
    #[arg(long, env = "SLUICE_KEYSPACE")]
    pub keyspace: Option<String>,
    /// Data centre whose nodes are asked; by default that of the first node that answers.
    #[arg(long, env = "SLUICE_LOCAL_DC", value_name = "NAME")]
    pub local_dc: Option<String>,
    /// Replicas of a new keyspace: a number for each data centre, or dc:number,…; by default
    /// three, or as many as there are nodes.
    #[arg(long, env = "SLUICE_REPLICATION")]
    pub replication: Option<String>,
    /// How transactions commit; decided when the keyspace is new.
    #[arg(long, env = "SLUICE_COMMIT", value_enum, default_value = "auto")]
    pub commit: CommitKind,
    /// Which replicas agree on commits; decided when the keyspace is new, which has serial if
    /// nothing is said.
    #[arg(long, env = "SLUICE_SERIAL_DOMAIN", value_enum)]
    pub serial_domain: Option<SerialKind>,
    /// The data centre that commits agree in, with local_serial: it must be up for any to be made.
    #[arg(long, env = "SLUICE_HOME_DC", value_name = "NAME")]
    pub home_dc: Option<String>,
    /// User at the cluster.
    #[arg(long, env = "SLUICE_CLUSTER_USER")]
    pub cluster_user: Option<String>,
    /// Its password; best given by the variable.
    #[arg(long, env = "SLUICE_CLUSTER_PASSWORD", hide_env_values = true)]
    pub cluster_password: Option<String>,
    /// A file that holds the password and nothing else.
    #[arg(
        long,
        env = "SLUICE_CLUSTER_PASSWORD_FILE",
        value_name = "FILE",
        conflicts_with = "cluster_password"
    )]
    pub cluster_password_file: Option<PathBuf>,
    /// Certificate authority (PEM) of the cluster; turns TLS on.
    #[arg(long, env = "SLUICE_CLUSTER_CA", value_name = "FILE")]
    pub cluster_ca: Option<PathBuf>,
}

fn missing(flag: &str, hint: &str) -> Error {
    let message = format!("--store cassandra needs {flag}");
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(hint)
}

/// User and password at the cluster.
fn credentials(args: &ClusterArgs) -> Result<Option<(String, String)>> {
    let password = match &args.cluster_password_file {
        Some(path) => Some(read_password(path)?),
        None => args.cluster_password.clone(),
    };
    match (args.cluster_user.clone(), password) {
        (Some(user), Some(password)) => Ok(Some((user, password))),
        (None, None) => Ok(None),
        _ => {
            let message = "--cluster-user and its password belong together";
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(
                "Give the password by --cluster-password-file or SLUICE_CLUSTER_PASSWORD.",
            ))
        }
    }
}

/// Which replicas are to agree, if that is said.
fn serial_domain(args: &ClusterArgs) -> Result<Option<SerialDomain>> {
    let wrong = |message: &str, hint: &str| {
        Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(hint))
    };
    match (args.serial_domain, &args.home_dc) {
        (None, None) => Ok(None),
        (Some(SerialKind::Serial), None) => Ok(Some(SerialDomain::Everywhere)),
        (Some(SerialKind::LocalSerial), Some(home)) => Ok(Some(SerialDomain::Within(home.clone()))),
        (Some(SerialKind::LocalSerial), None) => wrong(
            "--serial-domain local_serial needs --home-dc",
            "Give the one data centre that commits agree in: --home-dc dc1",
        ),
        (_, Some(_)) => wrong(
            "--home-dc goes with --serial-domain local_serial only",
            "--local-dc says which data centre's nodes are asked first.",
        ),
    }
}

/// The password in a file, without the end of its line.
fn read_password(path: &Path) -> Result<String> {
    let unusable = |why: &str| {
        let message = format!("could not use the password in {}: {why}", path.display());
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_hint("Give --cluster-password-file a file with the password and nothing else.")
    };
    let text = std::fs::read_to_string(path).map_err(|e| unusable(&e.to_string()))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(unusable("it is empty")),
        password => Ok(password.to_owned()),
    }
}

/// A store on a cluster.
pub(super) struct Joined {
    pub store: SharedStore,
    /// What the cluster is, for the person who started this.
    pub about: String,
    /// A folder name that no other keyspace has.
    pub views: String,
    /// The cluster.
    #[cfg_attr(not(feature = "columnar"), expect(dead_code, reason = "agents make views"))]
    pub cluster: Arc<Cassandra>,
}

/// Connects to a cluster; `existing`: to a keyspace that gateways have made.
pub(super) async fn connect(
    args: &ClusterArgs,
    clock: &Arc<dyn Clock>,
    existing: bool,
) -> Result<Arc<Cassandra>> {
    if args.contact_points.is_empty() {
        return Err(missing("--contact-points", "Give some nodes: --contact-points 10.0.0.1:9042"));
    }
    let Some(keyspace) = args.keyspace.clone() else {
        return Err(missing("--keyspace", "Give one; it is made if it is missing: --keyspace app"));
    };
    let options = CassandraOptions {
        contact_points: args.contact_points.clone(),
        keyspace,
        existing,
        local_dc: args.local_dc.clone(),
        replication: args.replication.clone(),
        serial_domain: serial_domain(args)?,
        commit: match args.commit {
            CommitKind::Auto => None,
            CommitKind::Lwt => Some(CommitProtocol::Lwt),
            CommitKind::Accord => Some(CommitProtocol::Accord),
        },
        credentials: credentials(args)?,
        authority: args.cluster_ca.clone(),
    };
    Cassandra::connect(&options, clock).await
}

/// A folder name that no other keyspace has, whatever its name: files that a keyspace of the same
/// name left are of other rows.
pub(super) fn folder_of(cluster: &Cassandra, keyspace: &str) -> String {
    format!("{keyspace}-{}", hex(cluster.identity()))
}

/// Joins a cluster's gateways. `dir`: where more rows are sorted than memory is for; `new`: whether
/// a keyspace that is missing may be made, or why not.
pub(super) async fn join(
    args: &ClusterArgs,
    clock: &Arc<dyn Clock>,
    dir: &Path,
    new: Result<()>,
) -> Result<Joined> {
    let cluster = match (connect(args, clock, new.is_err()).await, new) {
        (Err(e), Err(refused)) if e.code() == SqlState::INVALID_SCHEMA_NAME => return Err(refused),
        (connected, _) => connected?,
    };
    let keyspace = args.keyspace.clone().unwrap_or_default();
    let about =
        format!("keyspace {keyspace}, commit {}; {}", cluster.commit().name(), cluster.about());
    let env =
        Arc::new(OnRuntime { clock: clock.clone(), runtime: tokio::runtime::Handle::current() });
    let views = folder_of(&cluster, &keyspace);
    let options = LwtOptions { sort_dir: dir.to_owned(), ..LwtOptions::default() };
    let store = LwtStore::open(cluster.clone(), env, options).await?;
    Ok(Joined { store, about, views, cluster })
}
