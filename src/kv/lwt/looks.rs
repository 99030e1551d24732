//! Looks at a row that is about to be written, and nothing else: the commit is announced while the
//! row is read, and finds both done.
//!
//! An announcement holds up who reads its partition at a later snapshot. So one that its commit
//! does not follow is withdrawn: with its guard, which its transaction drops when it ends or takes
//! a snapshot itself, where what was read is being written by others, and at the latest after
//! [`ANNOUNCED_FOR`]. Nobody waits for another's announcement while keeping one for longer.
//!
//! Of its own gateway's announcements nobody waits for one whose commit has not begun: that asks
//! for the gateways' rows yet, so it comes after every snapshot that is there now, and it is not
//! what anybody has seen.
//!
//! Where others write too, a look does not announce anything for a while: its commit would only be
//! waited for in vain.
//!
//! What was read is used again if no batch of this gateway came between; of others the batch's own
//! conditions know.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join;

use super::gateway::Gateway;
use super::locks::head_of;
use super::partitions::*;
use super::published::{Open, OpenKind};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::{Hold, TxnId, Version};

/// How long a look announces a commit that does not come.
const ANNOUNCED_FOR: Duration = Duration::from_millis(20);

/// A commit that was announced by a look.
pub struct Look {
    /// As it was announced.
    pub open: Open,
    /// The key that was read,
    pub key: Bytes,
    /// its row and the partition's own,
    pub rows: Vec<Row>,
    /// and the turn of the partition's latch then; none: the row is not read yet.
    pub turn: Option<u64>,
}

impl Gateway {
    /// The newest committed version of a key that a transaction will write alone, as
    /// [`Gateway::newest`] gives it. Its commit is announced for as long as the guard is kept, but
    /// not for long.
    pub async fn look(
        self: &Arc<Self>,
        txn: TxnId,
        partition: &Partition,
        key: &Bytes,
    ) -> Result<(Option<Version>, Option<Hold>)> {
        let Some(turn) = self.latches.free_turn(partition, self.time.monotonic()) else {
            return Ok((self.newest(partition, key).await?, None));
        };
        self.check()?;
        let _held = self.hold_newest();
        let open = self.open(txn, OpenKind::Whole(vec![partition.clone()]), &[]);
        let floor = open.attempt.floor;
        // Nothing of its rows yet, but from here on it is withdrawn, whatever happens.
        let look = Look { open, key: key.clone(), rows: Vec::new(), turn: None };
        self.looks.lock().insert(txn, look);
        let (this, late) = (self.in_background(), self.in_background());
        let guard = Hold::new(floor, move || this.withdraw(txn, floor));
        self.env.spawn(Box::pin(async move {
            late.env.sleep(ANNOUNCED_FOR).await;
            late.withdraw(txn, floor);
        }));
        let began = self.time.monotonic();
        let reading = self.read(partition, Select::Heads(vec![key.clone()]), Consistency::Quorum);
        let (announced, rows) = join(self.publish(), self.beside_view(reading)).await;
        announced?;
        let rows = rows?;
        let version = self.newest_of(partition, key, head_of(&rows, key)?, began).await?;
        if let Some(version) = &version
            && !self.shows(partition, version.ts).await?
        {
            self.withdraw(txn, floor);
            self.latches.contend(partition, self.time.monotonic());
        }
        self.make_sure(partition, version.as_ref()).await?;
        if let Some(look) = self.looks.lock().get_mut(&txn) {
            (look.rows, look.turn) = (rows, Some(turn));
        }
        Ok((version, Some(guard)))
    }

    /// Whether an attempt of this gateway is a look whose commit has not begun.
    pub(super) fn is_looking(&self, floor: Timestamp) -> bool {
        self.looks.lock().values().any(|look| look.open.attempt.floor == floor)
    }

    /// Whether an attempt of this gateway is under way that may have written.
    pub fn is_writing(&self, floor: Timestamp) -> bool {
        !self.is_looking(floor) && self.is_undecided(floor)
    }

    /// What a transaction announced by a look, if its commit is what was announced.
    pub fn take_look(self: &Arc<Self>, txn: TxnId, kind: &OpenKind, tracked: bool) -> Option<Look> {
        let look = self.looks.lock().remove(&txn)?;
        if look.open.kind == *kind && !tracked {
            return Some(look);
        }
        self.close_open(look.open.attempt.floor, None);
        self.publish_soon();
        None
    }

    /// Ends a look's announcement, unless its commit has it.
    fn withdraw(self: &Arc<Self>, txn: TxnId, floor: Timestamp) {
        let mut looks = self.looks.lock();
        if looks.get(&txn).is_some_and(|look| look.open.attempt.floor == floor) {
            looks.remove(&txn);
            drop(looks);
            self.close_open(floor, None);
            self.publish_soon();
        }
    }
}
