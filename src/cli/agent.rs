//! `sluice agent`: beside a Cassandra node, makes views from its files.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::cluster::{self, ClusterArgs};
use super::folder::Folder;
use super::serve::{announce, stop_signals};
use crate::agent::{AgentOptions, Tool, run};
use crate::clock::{Clock, SystemClock};
use crate::columnar::shared::ViewStore;
use crate::error::{Result, SqlState};
use crate::kv::cassandra::Cassandra;
use crate::telemetry;

/// How often it is looked whether gateways have made the keyspace.
const KEYSPACE_PAUSE: Duration = Duration::from_secs(2);

/// `sluice agent`
#[derive(Clone, Debug, Args)]
pub struct AgentArgs {
    /// The cluster, and the keyspace of the gateways; it is waited for.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The node's data folders: data_file_directories of its cassandra.yaml.
    #[arg(
        long = "data-dir",
        env = "SLUICE_DATA_DIRS",
        value_delimiter = ',',
        required = true,
        value_name = "FOLDER"
    )]
    pub data_dirs: Vec<PathBuf>,
    /// The command that administers this node, with its arguments.
    #[arg(long, env = "SLUICE_NODETOOL", default_value = "nodetool", value_name = "COMMAND")]
    pub nodetool: String,
    /// The node's Cassandra Sidecar, instead of a nodetool.
    #[arg(
        long,
        env = "SLUICE_SIDECAR",
        conflicts_with = "nodetool",
        value_name = "http://HOST:PORT"
    )]
    pub sidecar: Option<String>,
    /// Where views are shared, as the gateways have it, with the same environment.
    #[arg(long, env = "SLUICE_VIEW_STORE", value_name = "URL")]
    pub view_store: String,
    /// Address and port to listen on, for gateways and other agents.
    #[arg(long, env = "SLUICE_AGENT_LISTEN", default_value = "127.0.0.1:5480")]
    pub listen: SocketAddr,
    /// Where they reach it, if that is another address: host:port.
    #[arg(long, env = "SLUICE_AGENT_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Folder for files of other replicas and for sorting; without it a temporary one.
    #[arg(long, env = "SLUICE_DATA")]
    pub data: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace, or module=level,…
    #[arg(long, env = "SLUICE_LOG", default_value = "warn")]
    pub log: String,
}

/// Runs an agent until SIGTERM or SIGINT.
pub(super) fn start(args: AgentArgs) -> Result<()> {
    telemetry::start(&args.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(args));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(args: AgentArgs) -> Result<()> {
    let (_stopping, mut stop) = stop_signals()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let folder = args.data.as_deref().map_or_else(Folder::temporary, Folder::open)?;
    let cluster = tokio::select! {
        joined = join(&args, &clock) => joined?,
        _ = stop.recv() => return Ok(()),
    };
    let keyspace = args.cluster.keyspace.clone().unwrap_or_default();
    let store = ViewStore::open(&args.view_store, &cluster::folder_of(&cluster, &keyspace))?;
    let tool = match &args.sidecar {
        Some(url) => Tool::sidecar(url, clock.clone()),
        None => Tool::nodetool(&args.nodetool, clock.clone()),
    }?;
    let options = AgentOptions {
        listen: args.listen,
        advertise: args.advertise,
        tool,
        data_dirs: args.data_dirs,
        keyspace,
        view_store: args.view_store,
        scratch: folder.path().to_owned(),
    };
    let ready = |about: String| announce(&format!("sluice agent is ready: {about}"));
    let stopped = async {
        stop.recv().await;
    };
    run(cluster, options, Arc::new(store), clock, ready, stopped).await
}

/// Waits for the keyspace.
async fn join(args: &AgentArgs, clock: &Arc<dyn Clock>) -> Result<Arc<Cassandra>> {
    loop {
        match cluster::connect(&args.cluster, clock, true).await {
            Err(e) if e.code() == SqlState::INVALID_SCHEMA_NAME => {
                tracing::info!(reason = e.message(), "waiting");
                tokio::time::sleep(KEYSPACE_PAUSE).await;
            }
            other => return other,
        }
    }
}
