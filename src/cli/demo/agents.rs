//! An agent beside each node that the demo has started.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::processes::{Process, program};
use crate::cli::StartArgs;
use crate::error::Result;

/// How long an agent may take to release its snapshots and end.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// What an agent prints when it answers.
const READY: &str = "sluice agent is ready";

/// Starts agents beside the nodes of these folders, for the keyspace and the view store of a
/// gateway, which is there, and waits until they answer.
pub(super) async fn start(
    nodes: &[PathBuf],
    gateway: &StartArgs,
    folder: &Path,
) -> Result<Vec<Process>> {
    let mut agents = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        let mut command = program("agent", gateway, &folder.join(format!("agent{}", n + 1)))?;
        command
            .args(["--listen", "127.0.0.1:0", "--nodetool", "./nodetool"])
            .arg("--data-dir")
            .arg(node.join("data"))
            .current_dir(node);
        agents.push(Process::start("an agent", &mut command, END_TIMEOUT)?);
    }
    for agent in &mut agents {
        agent.line_with(READY).await?;
    }
    Ok(agents)
}
