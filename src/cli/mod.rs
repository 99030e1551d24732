//! The command line: `sluice start`, `sluice agent`, `sluice demo`, `sluice sstable`,
//! `sluice version`.
//!
//! Every flag has an environment variable; a flag wins over it. What goes wrong before the server
//! is ready is an error with a hint, and a non-zero exit.

#[cfg(feature = "columnar")]
mod agent;
mod cluster;
mod demo;
mod folder;
#[cfg(feature = "spread")]
mod scans;
mod serve;
#[cfg(feature = "columnar")]
mod sstable;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::cluster::{ClusterArgs, CommitKind, StoreKind};
use crate::error::Result;
use crate::session::{POSTGRES_VERSION, VERSION};

/// PostgreSQL's protocol and semantics over a transactional key-value store, with columnar views.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a database in a folder or on a cluster.
    Start(Box<StartArgs>),
    /// Serve a sample database that is thrown away at the end.
    Demo(Box<DemoArgs>),
    /// Make views from the files of a Cassandra node, beside it.
    #[cfg(feature = "columnar")]
    Agent(Box<agent::AgentArgs>),
    /// Read a Cassandra table from its files on disk, without Cassandra.
    #[cfg(feature = "columnar")]
    #[command(subcommand)]
    Sstable(sstable::SstableCommand),
    /// Print the version.
    Version {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// SCRAM-SHA-256 with a password.
    Scram,
    /// Not at all; only where nobody else can connect (loopback).
    Trust,
}

/// What every server takes.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// Address and port to listen on.
    #[arg(long, env = "SLUICE_LISTEN", default_value = "127.0.0.1:5432")]
    pub listen: SocketAddr,
    /// Clients at once, at most.
    #[arg(long, env = "SLUICE_MAX_CONNECTIONS", default_value_t = 1000)]
    pub max_connections: usize,
    /// Memory of all analytical queries together; beyond it they spill, then fail.
    #[arg(long, env = "SLUICE_ANALYTICS_MEMORY", default_value_t = 1024, value_name = "MEGABYTES")]
    pub analytics_memory: usize,
    /// Memory for decoded columns of columnar views.
    #[arg(long, env = "SLUICE_ANALYTICS_CACHE", default_value_t = 1024, value_name = "MEGABYTES")]
    pub analytics_cache: usize,
    /// Seconds that open transactions have to end when the server is told to stop.
    #[arg(long, env = "SLUICE_DRAIN_TIMEOUT", default_value_t = 10, value_name = "SECONDS")]
    pub drain_timeout: u64,
    /// Seconds that clients have to prove who they are.
    #[arg(
        long,
        env = "SLUICE_AUTHENTICATION_TIMEOUT",
        default_value_t = 60,
        value_name = "SECONDS"
    )]
    pub authentication_timeout: u64,
    /// What is logged: error, warn, info, debug, trace, or module=level,…
    #[arg(long, env = "SLUICE_LOG", default_value = "warn,scylla=error")]
    pub log: String,
}

/// `sluice start`
#[derive(Clone, Debug, Args)]
pub struct StartArgs {
    /// Where the rows are.
    #[arg(long, env = "SLUICE_STORE", value_enum, default_value = "embedded")]
    pub store: StoreKind,
    /// Folder of the embedded store; made if missing. With a cluster: of this gateway's columnar
    /// views, which are made anew where it is lost; without it they last as long as the gateway.
    #[arg(long, env = "SLUICE_DATA", required_if_eq("store", "embedded"))]
    pub data: Option<PathBuf>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What gateways share.
    #[command(flatten)]
    pub shared: SharedArgs,
    /// How clients prove who they are.
    #[arg(long, env = "SLUICE_AUTH", value_enum, default_value = "scram")]
    pub auth: Auth,
    /// Superuser of a new database.
    #[arg(long, env = "SLUICE_USER", default_value = "postgres")]
    pub user: String,
    /// Its password. Needed with scram when the folder is new; best given by the variable.
    #[arg(long, env = "SLUICE_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// Name of a new database.
    #[arg(long, env = "SLUICE_DATABASE", default_value = "postgres")]
    pub database: String,
    /// What every server takes.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Rows of a table whose view is worth two nodetools.
const SSTABLE_ROWS: u64 = 100_000;

/// The columnar views that gateways of a cluster share.
#[derive(Clone, Debug, Args)]
pub struct ViewArgs {
    /// Where the gateways of a cluster share their columnar views: file:///a/folder that all of
    /// them see, or s3://bucket/prefix, with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION
    /// and AWS_ENDPOINT_URL from the environment (AWS_ALLOW_HTTP=true for one without TLS).
    /// Without it each makes its own; a demo that starts nodes has a folder for them.
    #[arg(long, env = "SLUICE_VIEW_STORE", value_name = "URL")]
    pub view_store: Option<String>,
    /// Rows from which agents beside the nodes make a table's view from the nodes' files, where
    /// there are agents and a view store; fewer are read sooner than nodes flush theirs.
    #[arg(long, env = "SLUICE_SSTABLE_ROWS", default_value_t = SSTABLE_ROWS, value_name = "ROWS")]
    pub sstable_rows: u64,
}

impl Default for ViewArgs {
    fn default() -> ViewArgs {
        ViewArgs { view_store: None, sstable_rows: SSTABLE_ROWS }
    }
}

/// What the gateways of a cluster share: columnar views, and scans of them.
#[derive(Clone, Debug, Default, Args)]
pub struct SharedArgs {
    /// The views.
    #[command(flatten)]
    pub views: ViewArgs,
    /// How scans are shared.
    #[command(flatten)]
    pub scans: ScanArgs,
}

/// The scans that gateways of a cluster share.
#[derive(Clone, Debug, Default, Args)]
pub struct ScanArgs {
    /// Where this gateway takes shares of the others' columnar scans: host:port, as they reach it.
    /// They find each other in the keyspace. Only with a view store, and in a build with --features
    /// spread.
    #[arg(long, env = "SLUICE_SCAN_LISTEN", value_name = "HOST:PORT")]
    pub scan_listen: Option<String>,
    /// What they prove with that they belong here; needed where others could reach them.
    #[arg(long, env = "SLUICE_SCAN_SECRET", hide_env_values = true)]
    pub scan_secret: Option<String>,
    /// Rows of a columnar scan that are worth another gateway.
    #[arg(long, env = "SLUICE_SCAN_ROWS", default_value_t = 1_000_000, value_name = "ROWS")]
    pub scan_rows: usize,
}

/// `sluice demo`
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Orders in the sample; each has one to seven items.
    #[arg(long, env = "SLUICE_DEMO_ORDERS", default_value_t = 100_000, conflicts_with = "cluster")]
    pub orders: u32,
    /// A fleet of drones that reports to a Cassandra cluster instead, through two gateways.
    #[arg(long, env = "SLUICE_DEMO_CLUSTER")]
    pub cluster: bool,
    /// Some nodes of a cluster to be used; without them nodes are started on this machine.
    #[arg(
        long,
        env = "SLUICE_CONTACT_POINTS",
        value_delimiter = ',',
        value_name = "HOST:PORT",
        requires = "cluster"
    )]
    pub contact_points: Vec<String>,
    /// Keyspace of the sample; made if missing.
    #[arg(long, env = "SLUICE_KEYSPACE", default_value = "sluice_demo", requires = "cluster")]
    pub keyspace: String,
    /// Nodes to be started; each takes a gigabyte of memory.
    #[arg(long, env = "SLUICE_DEMO_NODES", default_value_t = 1, requires = "cluster",
        value_parser = clap::value_parser!(u32).range(1..=9))]
    pub nodes: u32,
    /// Folder with Cassandra's jars; fetched with Maven if there are none.
    #[arg(long, env = "SLUICE_DEMO_CASSANDRA", value_name = "FOLDER", requires = "cluster")]
    pub cassandra: Option<PathBuf>,
    /// Events in a second.
    #[arg(long, env = "SLUICE_DEMO_RATE", default_value_t = 2_000, requires = "cluster",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Events after which the fleet is silent; they take some 500 bytes each.
    #[arg(long, env = "SLUICE_DEMO_EVENTS", default_value_t = 2_000_000, requires = "cluster")]
    pub events: u64,
    /// The views that its gateways share.
    #[command(flatten)]
    pub views: ViewArgs,
    /// What every server takes.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Does what the command line says; returns when it is done.
///
/// # Errors
/// Whatever keeps the server from starting, with a hint.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Start(args) => serve::start(*args),
        Command::Demo(args) => demo::run(*args),
        #[cfg(feature = "columnar")]
        Command::Agent(args) => agent::start(*args),
        #[cfg(feature = "columnar")]
        Command::Sstable(command) => sstable::run(command),
        Command::Version { json } => {
            print_version(json);
            Ok(())
        }
    }
}

#[expect(clippy::print_stdout, reason = "the command's result")]
fn print_version(json: bool) {
    if json {
        println!("{{\"version\": \"{VERSION}\", \"postgresql\": \"{POSTGRES_VERSION}\"}}");
    } else {
        println!("sluice {VERSION} (speaks PostgreSQL {POSTGRES_VERSION})");
    }
}
