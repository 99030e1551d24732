//! `sluice demo`: sample data and what to paste. A shop in a folder of its own, or, with
//! `--cluster`, a fleet of drones that report to a cluster.

mod agents;
mod balancer;
mod cluster;
mod feed;
mod fleet;
mod nodes;
mod processes;
mod shop;
mod silent;

use super::DemoArgs;
use crate::error::{Error, Result, SqlState};

/// Serves a sample until told to stop, then throws it away.
pub(super) fn run(args: DemoArgs) -> Result<()> {
    match (args.cluster, &args.views.view_store) {
        (true, _) => cluster::run(args),
        (false, None) => shop::run(args),
        (false, Some(_)) => {
            let message = "--view-store needs --cluster";
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .with_hint("The views of an embedded store lie in its own folder."))
        }
    }
}
