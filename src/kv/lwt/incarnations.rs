//! The incarnations of one process. A gateway that did not answer for longer than its lease may
//! be retired by another one; then it joins again, as a new one, by itself.
//!
//! Only time goes from one incarnation to the next: what the new one gives out and reads at lies
//! above all that the old one gave out or saw, so that holds of the old one are too old (72000)
//! and clients never go back. What the old one's transactions locked is void. So a transaction
//! with locks stays with the incarnation that took them, where every step of it fails but its end;
//! one without goes on, if what it demands of the rows still holds.

use std::sync::Arc;

use parking_lot::Mutex;

use super::counting::Counting;
use super::env::Environment;
use super::gateway::Gateway;
use super::options::LwtOptions;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::TxnId;

/// What this process is to the others, now and before.
pub struct Incarnations {
    /// The cluster.
    pub partitions: Arc<Counting>,
    env: Arc<dyn Environment>,
    options: LwtOptions,
    lives: Mutex<Lives>,
}

struct Lives {
    current: Arc<Gateway>,
    /// Retired ones that still have transactions with locks.
    past: Vec<Arc<Gateway>>,
}

impl Incarnations {
    /// Joins a cluster, and again whenever it is retired.
    pub async fn join(
        partitions: Arc<Counting>,
        env: Arc<dyn Environment>,
        options: LwtOptions,
    ) -> Result<Arc<Incarnations>> {
        let (to, with) = (partitions.clone(), env.clone());
        let current = Gateway::join(to, with, options.clone(), Timestamp::ZERO).await?;
        let lives = Mutex::new(Lives { current, past: Vec::new() });
        let this = Arc::new(Incarnations { partitions, env, options, lives });
        this.keep_beating();
        Ok(this)
    }

    /// The present one.
    pub fn current(&self) -> Arc<Gateway> {
        self.lives.lock().current.clone()
    }

    /// That of a transaction: where it has locks, the one that took them.
    pub fn of(&self, txn: TxnId) -> Arc<Gateway> {
        let lives = self.lives.lock();
        lives.past.iter().find(|g| g.held.knows(txn)).unwrap_or(&lives.current).clone()
    }

    /// Beats for as long as somebody has this.
    fn keep_beating(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        let (env, pause) = (self.env.clone(), self.options.heartbeat);
        self.env.spawn(Box::pin(async move {
            loop {
                env.sleep(pause).await;
                let Some(this) = weak.upgrade() else { return };
                let current = this.current();
                if current.is_closed() {
                    return;
                }
                current.beat().await;
                if current.is_fenced() {
                    this.join_again(current).await;
                }
            }
        }));
    }

    async fn join_again(&self, retired: Arc<Gateway>) {
        let (to, with) = (self.partitions.clone(), self.env.clone());
        // Later gifts of the old one are for nobody: it refuses all that a caller asks for.
        let above = retired.clock.last();
        let next = match Gateway::join(to, with, self.options.clone(), above).await {
            Ok(next) => next,
            // The next beat tries again.
            Err(error) => return tracing::warn!(%error, "cannot join the gateways again yet"),
        };
        let (old, new) = (retired.incarnation, next.incarnation);
        let closed = {
            let mut lives = self.lives.lock();
            lives.past.retain(|gateway| !gateway.held.is_empty());
            lives.past.push(retired.clone());
            lives.current = next.clone();
            retired.is_closed()
        };
        tracing::warn!(old, new, "this gateway was retired, and joined again");
        if closed && let Err(error) = next.leave().await {
            tracing::warn!(%error, "could not leave again");
        }
    }
}
