//! A space's rows at a timestamp, through QUORUM reads, in key order.
//!
//! The ring has another order than the keys, so all is read and sorted first. Agents beside the
//! nodes read their files instead, and sort what they find the same way.

use std::sync::Arc;

use futures::channel::{mpsc, oneshot};
use futures::executor::block_on;
use futures::{SinkExt, StreamExt};

use super::PAGE_ROWS;
use super::gateway::Gateway;
use super::partitions::RingPosition;
use super::read::Reader;
use super::rows::key_at;
use super::snapshots::Snapshot;
use super::sorting::{Sorted, Sorter};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::{Entry, KeyRange, Segments, Version};

/// Pages read before they are sorted.
const PAGES_AHEAD: usize = 2;

/// See [`crate::kv::Store::segments`].
pub struct RingSegments {
    pub gateway: Arc<Gateway>,
    pub range: KeyRange,
    pub at: Timestamp,
    pub sorted: Option<Sorted>,
}

impl RingSegments {
    fn read_sorted(&self) -> Result<Sorted> {
        // The cluster is asked on the gateway's runtime; this thread has none.
        let (sender, mut pages) = mpsc::channel(PAGES_AHEAD);
        let (done, ended) = oneshot::channel();
        let (gateway, range, at) = (self.gateway.clone(), self.range.clone(), self.at);
        self.gateway.env.spawn(Box::pin(async move {
            let _ = done.send(read_pages(&gateway, &range, at, sender).await);
        }));
        let mut sorter = Sorter::in_dir(self.gateway.options.sort_dir.clone());
        while let Some(page) = block_on(pages.next()) {
            for entry in page {
                sorter.add(entry)?;
            }
        }
        // A task that is gone has not read to the end.
        block_on(ended).map_err(|_| Error::internal("reading a space was given up"))??;
        sorter.finish()
    }
}

/// Sends all pages of a range; ends early when nobody wants them.
async fn read_pages(
    gateway: &Arc<Gateway>,
    range: &KeyRange,
    at: Timestamp,
    mut pages: mpsc::Sender<Vec<Entry>>,
) -> Result<()> {
    let snapshot = gateway.known_snapshot(at).await?;
    let mut after = None;
    loop {
        let page = read_page(gateway, range, &snapshot, &mut after).await?;
        if pages.send(page).await.is_err() || after.is_none() {
            return Ok(());
        }
    }
}

/// The page after a position; moves that on, to none at the end.
async fn read_page(
    gateway: &Arc<Gateway>,
    range: &KeyRange,
    snapshot: &Snapshot,
    after: &mut Option<RingPosition>,
) -> Result<Vec<Entry>> {
    let space = range.space;
    let read = gateway.ring_at(snapshot, space, after.take(), PAGE_ROWS, Reader::Plain).await?;
    let Ok(read) = read else { return Err(Error::internal("a plain read gave way")) };
    *after = read.next;
    let mut entries = Vec::with_capacity(read.rows.len());
    for (pk, ck, Version { ts, value }) in read.rows {
        let key = key_at(space, &pk, &ck);
        if let Some(value) = value.filter(|_| range.contains(&key)) {
            entries.push(Entry { key, ts, value });
        }
    }
    Ok(entries)
}

impl Segments for RingSegments {
    fn next(&mut self, rows_max: usize) -> Result<Vec<Entry>> {
        let sorted = match &mut self.sorted {
            Some(sorted) => sorted,
            None => {
                let sorted = self.read_sorted()?;
                self.sorted.insert(sorted)
            }
        };
        sorted.next(rows_max)
    }
}
