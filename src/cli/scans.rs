//! `--scan-listen`: gateways that share scans, which find each other in their keyspace.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::SharedArgs;
use crate::columnar::spread::{Peers, SpreadOptions};
use crate::error::{Error, Result, SqlState};
use crate::kv::cassandra::Cassandra;

/// The gateways of a keyspace.
struct OfKeyspace {
    cluster: Arc<Cassandra>,
    /// Whether they have a table.
    made: OnceCell<()>,
}

impl std::fmt::Debug for OfKeyspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OfKeyspace")
    }
}

#[async_trait]
impl Peers for OfKeyspace {
    async fn meet(&self, own: &str, mark: &str) -> Result<Vec<String>> {
        self.made.get_or_try_init(|| self.cluster.make_scans()).await?;
        self.cluster.meet_scans(own, mark).await
    }
}

/// Who shares scans with this gateway. A cluster is there where views can be shared.
pub(super) fn options(
    args: &SharedArgs,
    cluster: Option<&Arc<Cassandra>>,
) -> Result<Option<SpreadOptions>> {
    let Some(listen) = args.scans.scan_listen.clone() else { return Ok(None) };
    let Some(cluster) = cluster.filter(|_| args.views.view_store.is_some()) else {
        let message = "--scan-listen needs --view-store";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_hint("Gateways share scans of the views that they share."));
    };
    Ok(Some(SpreadOptions {
        listen,
        peers: Arc::new(OfKeyspace { cluster: cluster.clone(), made: OnceCell::new() }),
        secret: args.scans.scan_secret.clone(),
        rows: args.scans.scan_rows,
    }))
}
