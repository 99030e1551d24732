//! Looks at a row that is about to be written, and nothing else: the commit is announced while the
//! row is read, and finds both done.
//!
//! An announcement holds up who reads its partition at a later snapshot. So one that its commit
//! does not follow is withdrawn: with its guard, which its transaction drops when it ends or takes
//! a snapshot itself (which would wait for it), and at the latest after [`ANNOUNCED_FOR`].
//!
//! What was read is used again if no batch of this gateway came between; of others the batch's own
//! conditions know.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join;

use super::gateway::Gateway;
use super::partitions::*;
use super::rows::*;
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
    /// and the turn of the partition's latch then; none: somebody held it.
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
    ) -> Result<(Option<Version>, Hold)> {
        self.check()?;
        let _held = self.hold_newest();
        let turn = self.free_turn(partition);
        let open = self.open(txn, OpenKind::Whole(vec![partition.clone()]), &[]);
        let floor = open.attempt.floor;
        // Nothing of its rows yet, but from here on it is withdrawn, whatever happens.
        let look = Look { open, key: key.clone(), rows: Vec::new(), turn: None };
        self.looks.lock().insert(txn, look);
        let (this, late) = (self.in_background(), self.in_background());
        let guard = Hold::new(floor, move || this.withdraw(txn, floor));
        let reading = self.read(partition, Select::Heads(vec![key.clone()]), Consistency::Quorum);
        let (announced, rows) = join(self.publish(), self.beside_view(reading)).await;
        announced?;
        let rows = rows?;
        let version = self.newest_in(partition, key, &rows).await?;
        if let Some(look) = self.looks.lock().get_mut(&txn) {
            (look.rows, look.turn) = (rows, turn);
        }
        self.env.spawn(Box::pin(async move {
            late.env.sleep(ANNOUNCED_FOR).await;
            late.withdraw(txn, floor);
        }));
        Ok((version, guard))
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
