//! `sluice demo`: sample data and what to paste. A shop in a folder of its own, or, with
//! `--cluster`, a fleet of drones that report to a cluster.

mod balancer;
mod cluster;
mod feed;
mod fleet;
mod nodes;
mod processes;
mod shop;
mod silent;

use super::DemoArgs;
use crate::error::Result;

/// Serves a sample until told to stop, then throws it away.
pub(super) fn run(args: DemoArgs) -> Result<()> {
    match args.cluster {
        true => cluster::run(args),
        false => shop::run(args),
    }
}
