//! `sluice demo --cluster`: nodes, two gateways behind one address, and a fleet that reports.
//!
//! The first gateway is this process, which also sends the reports; the second one is another
//! process of the same program, and so are the agents beside nodes that it starts. All they share
//! is the cluster, and a folder of views.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::agents;
use super::balancer::balance;
use super::feed::{Load, feed};
use super::fleet::{COLUMNS, SCHEMA, questions};
use super::nodes::{Nodes, jars};
use super::processes::{Process, program};
use super::silent::Quiet;
use crate::cli::serve::{Served, announce, serve, stop_signals};
use crate::cli::{
    Auth, ClusterArgs, DemoArgs, ScanArgs, ServerArgs, SharedArgs, StartArgs, StoreKind,
};
use crate::error::{Error, Result, SqlState};
use crate::session::Database;

pub(super) const USER: &str = "demo";
pub(super) const DATABASE: &str = "demo";
/// Replicas that a keyspace has at most; fewer where there are fewer nodes.
const REPLICAS_MAX: u32 = 3;
/// How long the second gateway may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// What a gateway prints when it answers.
const READY: &str = "sluice is ready on ";

/// Runs it until told to stop.
pub(super) fn run(args: DemoArgs) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("sluice-demo-").tempdir()?;
    // The address first: where somebody else has it, nothing should be started.
    let listener = std::net::TcpListener::bind(args.server.listen).map_err(|error| {
        let message = format!("could not listen on {}: {error}", args.server.listen);
        Error::new(SqlState::IO_ERROR, message).with_hint("Choose another one with --listen.")
    })?;
    listener.set_nonblocking(true)?;
    let nodes = match args.contact_points.is_empty() {
        true => Some(start_nodes(&args, folder.path())?),
        false => None,
    };
    let points = nodes.as_ref().map_or_else(|| args.contact_points.clone(), Nodes::contact_points);
    let processes = nodes.as_ref().map_or_else(Vec::new, Nodes::processes);
    let replicas = nodes.as_ref().map(|_| args.nodes.min(REPLICAS_MAX).to_string());
    let start = gateway(&args, folder.path(), points, replicas);
    let place = folder.path().to_owned();
    let beside = match cfg!(feature = "columnar") {
        true => nodes.as_ref().map_or_else(Vec::new, Nodes::folders),
        false => Vec::new(),
    };
    let outcome = serve(start.clone(), move |served: Served| async move {
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let (second, second_address) = start_second(&start, &place).await?;
        let gateways = vec![std::process::id(), second.id()];
        let addresses = vec![served.address, second_address];
        let connections = start.server.max_connections;
        let database = served.database.clone();
        set_up(&database).await?;
        let agents = agents::start(&beside, &start, &place).await?;
        banner(address, &addresses, database.clock.wall_micros());
        let load = Load { rate: args.rate, events_max: args.events };
        tokio::spawn(async move {
            // Until the process ends; the second gateway and the agents with it.
            let _others = (second, agents);
            if let Err(error) = balance(listener, addresses, connections).await {
                tracing::error!(?error, "clients are not let in any more");
            }
        });
        feed(database, load, (gateways, processes)).await
    });
    drop(nodes);
    outcome
}

/// Starts nodes, or stops those it has started when it is told to end.
fn start_nodes(args: &DemoArgs, folder: &Path) -> Result<Nodes> {
    let jars = jars(args.cassandra.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (_stopping, mut stop) = stop_signals()?;
        tokio::select! {
            nodes = Nodes::start(folder, &jars, args.nodes) => nodes,
            _ = stop.recv() => {
                let message = "stopped before the nodes were ready";
                Err(Error::new(SqlState::ADMIN_SHUTDOWN, message))
            }
        }
    })
}

/// What the gateways are started with.
fn gateway(
    args: &DemoArgs,
    folder: &Path,
    contact_points: Vec<String>,
    replication: Option<String>,
) -> StartArgs {
    let keyspace = Some(args.keyspace.clone());
    let mut views = args.views.clone();
    if args.contact_points.is_empty() && views.view_store.is_none() {
        views.view_store = Some(format!("file://{}", folder.join("views").display()));
    }
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    StartArgs {
        shared: SharedArgs { views, scans: ScanArgs::default() },
        store: StoreKind::Cassandra,
        data: Some(folder.join("gateway1")),
        cluster: ClusterArgs { contact_points, keyspace, replication, ..ClusterArgs::default() },
        auth: Auth::Trust,
        user: USER.to_owned(),
        password: None,
        database: DATABASE.to_owned(),
        server: ServerArgs { listen, ..args.server.clone() },
    }
}

/// Starts another gateway as the first one was.
async fn start_second(first: &StartArgs, folder: &Path) -> Result<(Process, SocketAddr)> {
    let mut command = program("start", first, &folder.join("gateway2"))?;
    command
        .args(["--store", "cassandra", "--auth", "trust", "--listen", "127.0.0.1:0"])
        .args(["--user", USER, "--database", DATABASE])
        .args(["--analytics-memory", &first.server.analytics_memory.to_string()])
        .args(["--analytics-cache", &first.server.analytics_cache.to_string()])
        .args(["--max-connections", &first.server.max_connections.to_string()])
        .args(["--sstable-rows", &first.shared.views.sstable_rows.to_string()]);
    let mut process = Process::start("the second gateway", &mut command, END_TIMEOUT)?;
    let line = process.line_with(READY).await?;
    let address = line.strip_prefix(READY).and_then(|rest| rest.split(' ').next());
    match address.and_then(|text| text.parse().ok()) {
        Some(address) => Ok((process, address)),
        None => Err(Error::internal("a gateway's first line names no address")),
    }
}

async fn set_up(database: &Arc<Database>) -> Result<()> {
    let mut session = Quiet::start(database, USER, DATABASE)?;
    session.run(SCHEMA.to_owned()).await?;
    match cfg!(feature = "columnar") {
        true => session.run(COLUMNS.to_owned()).await,
        false => Ok(()),
    }
}

fn banner(address: SocketAddr, gateways: &[SocketAddr], now_micros: i64) {
    let (host, port) = (address.ip(), address.port());
    let behind: Vec<String> = gateways.iter().map(SocketAddr::to_string).collect();
    let mut lines = vec![
        format!("sluice demo is ready; two gateways ({}) behind one address:", behind.join(", ")),
        String::new(),
        format!("  psql \"postgres://{USER}@{host}:{port}/{DATABASE}\""),
        String::new(),
        "Paste there, for instance:".to_owned(),
    ];
    for (what, question) in questions(now_micros) {
        lines.push(format!("  -- {what}"));
        lines.push(format!("  {question}"));
    }
    lines.push(String::new());
    lines.push("The fleet reports from now on. Ctrl-C ends it all.".to_owned());
    lines.iter().for_each(|line| announce(line));
}
