//! Removal of the rows of gateways that are gone: every statement reads all gateways' rows, and so
//! must not read more of them with every restart.
//!
//! What was announced by a settled gateway is settled, its locks are void, and its records have
//! verdicts; who does not find its row takes it for gone. What its row and its logs still tell
//! moves first:
//!
//! 1. `high`, the newest change of the schema and the changed tables into this gateway's own row.
//!    A read after that must show that row in its place: then whoever removes this one's some day
//!    has taken over what it says.
//! 2. The newest commit in each of its logs into a mark beside the logs of that space, and the log
//!    goes ([`super::changes`]). A view that is older, and would have to read there, is made anew.
//! 3. Then its row goes, at a time above all that a late heartbeat of it can have. A gateway that
//!    misses its own row was retired.
//!
//! A heartbeat that comes when Cassandra has forgotten the removal, ten days later, would bring the
//! row back: so who was away for [`super::presence::ABSENT_MAX`] by either clock is retired by
//! itself, and tells nothing any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::gateway::{Core, Gateway};
use super::partitions::*;
use super::peers::{Peer, Retired, View};
use super::presence::gateways;
use super::records::REMOVAL_TIME;
use crate::clock::Timestamp;
use crate::error::Result;

/// A gateway is young for such a part of `departed_kept`: where all were away, views that are older
/// than the last commits need the logs first.
const YOUNG: u32 = 4;

impl Gateway {
    /// Removes, in the background, the rows of those that are gone for long enough. One gateway
    /// does: the first of those that live.
    pub fn remove_departed(self: &Arc<Self>, view: &View) {
        let kept = self.options.departed_kept;
        if self.since(self.joined) < kept / YOUNG {
            return;
        }
        let living = view.peers.iter().filter(|peer| peer.retired == Retired::No);
        if living.map(|peer| peer.incarnation).min() != Some(self.incarnation) {
            return;
        }
        let kept = Timestamp::from_millis(kept.as_millis() as u64);
        let old = self.clock.last().0.saturating_sub(kept.0);
        let is_old = |peer: &&Peer| peer.retired == Retired::Settled && peer.state.high.0 <= old;
        let departed: Vec<Peer> = view.peers.iter().filter(is_old).cloned().collect();
        if departed.is_empty() || self.departing.swap(true, Ordering::SeqCst) {
            return;
        }
        let this = self.in_background();
        self.env.spawn(Box::pin(async move {
            if let Err(error) = this.remove_rows_of(&departed).await {
                tracing::debug!(%error, "rows of gateways that are gone stay for now");
            }
            this.departing.store(false, Ordering::SeqCst);
        }));
    }

    async fn remove_rows_of(self: &Arc<Self>, departed: &[Peer]) -> Result<()> {
        departed.iter().for_each(|peer| self.inherit(peer));
        self.publish().await?;
        // Fails if this one is retired too: what it published then, nobody has to heed.
        self.view().await?;
        self.check()?;
        let spaces = self.partitions.spaces().await?;
        for peer in departed {
            for space in &spaces {
                self.remove_log(*space, peer.incarnation).await?;
            }
            let row = Core::row_key(peer.incarnation);
            let cells = [Column::St, Column::Rt];
            let writes = cells.map(|column| CellWrite { row: row.clone(), column, value: None });
            self.write(&gateways(), writes.into(), REMOVAL_TIME).await?;
            tracing::debug!(incarnation = peer.incarnation, "a gateway that is gone is forgotten");
        }
        Ok(())
    }
}
