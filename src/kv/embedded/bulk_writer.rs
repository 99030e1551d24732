//! The writer's part in bulk commits, and the task that leads one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::bulk::{self, Bulk, Extents};
use super::changes::{self, Place};
use super::core::{Core, Size};
use super::engine::{self, Engine};
use super::head::{Head, Stamp};
use super::queue::{Done, Work, write_bytes};
use super::writer::{Group, Writer, expected};
use crate::error::{Error, Result};
use crate::kv::{Commit, CommitOutcome, SpaceId, Version, Write};

/// Bytes of keys and values in one chunk: what others wait for at most.
const CHUNK_BYTES: usize = 1 << 20;
/// Writes in one chunk.
const CHUNK_WRITES: usize = 16 * 1024;
/// Pause of a bulk commit while the engine catches up with its flushes.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Carries out a bulk commit, chunk by chunk, so that others get their turn in between.
pub(super) async fn commit(core: Arc<Core>, mut commit: Commit) -> Result<CommitOutcome> {
    let txn = commit.txn;
    let _turn = core.bulks.turn.lock().await;
    let bulk = core.bulks.begin(&core.engine, core.clock.tick().0);
    let writes = std::mem::take(&mut commit.writes);
    let result = match write_all(&core, &bulk, writes).await {
        Ok(Ok(extents)) => {
            let bulk = bulk.clone();
            outcome(core.ask(Work::FinishBulk { bulk, commit, extents }).await)
        }
        Ok(Err(conflict)) => Ok(conflict),
        Err(error) => Err(error),
    };
    let undo = match &result {
        Ok(outcome) => !matches!(outcome, CommitOutcome::Committed(_)),
        // What may be committed is not undone.
        Err(error) => error.kind() != crate::error::ErrorKind::Undetermined,
    };
    if undo {
        let undone = undo_all(&core, &bulk).await;
        core.locks.release(txn, None);
        undone?;
    }
    result
}

fn outcome(done: Result<Done>) -> Result<CommitOutcome> {
    match done? {
        Done::Outcome(outcome) => Ok(outcome),
        _ => Err(Error::internal("a commit without an outcome")),
    }
}

async fn write_all(
    core: &Core,
    bulk: &Arc<Bulk>,
    writes: Vec<Write>,
) -> Result<Result<Box<Extents>, CommitOutcome>> {
    let mut extents = Box::<Extents>::default();
    let mut writes = writes.into_iter().peekable();
    while writes.peek().is_some() {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while bytes < CHUNK_BYTES
            && chunk.len() < CHUNK_WRITES
            && let Some(write) = writes.next()
        {
            bytes += write_bytes(&write);
            chunk.push(write);
        }
        while core.engine.is_busy() {
            tokio::time::sleep(BUSY_PAUSE).await;
        }
        let bulk = bulk.clone();
        match core.ask(Work::Chunk { bulk, writes: chunk, extents }).await? {
            Done::Extents(so_far) => extents = so_far,
            Done::Outcome(conflict) => return Ok(Err(conflict)),
            Done::Ok => return Err(Error::internal("a chunk without an extent")),
        }
    }
    Ok(Ok(extents))
}

async fn undo_all(core: &Core, bulk: &Arc<Bulk>) -> Result<()> {
    let mut after = None;
    while let Some((place, keys)) = bulk.list(after.as_deref())? {
        core.ask(Work::UndoChunk { bulk: bulk.clone(), keys }).await?;
        after = Some(place);
    }
    core.ask(Work::ForgetBulk { bulk: bulk.clone() }).await?;
    Ok(())
}

impl Writer {
    /// Writes a chunk's heads and the notes that undo them.
    pub(super) fn chunk(
        &mut self,
        group: &mut Group,
        bulk: &Arc<Bulk>,
        writes: Vec<Write>,
        mut extents: Box<Extents>,
    ) -> Result<Done> {
        let Engine { heads, bulk: notes, .. } = &self.core.engine;
        let mut lists: BTreeMap<SpaceId, (Vec<u8>, u32)> = BTreeMap::new();
        for Write { key, value, expect, tracked } in writes {
            let old = heads.get(key.bytes()).map_err(engine::error)?;
            let found = match &old {
                None => None,
                Some(bytes) => {
                    let head = Head::decode(bytes)?;
                    let Some(ts) = self.core.committed(head.stamp) else {
                        return Err(Error::internal("two bulk commits at one time"));
                    };
                    let value = head.value.map(bytes::Bytes::copy_from_slice);
                    Some(Version { ts, value })
                }
            };
            if !expected(expect, found.as_ref()) {
                return Ok(Done::Outcome(CommitOutcome::WriteConflict { key, found }));
            }
            let Some((list, count)) =
                (found.is_some() || value.is_some()).then(|| lists.entry(key.space()).or_default())
            else {
                continue;
            };
            changes::push_key(list, &key);
            *count += 1;
            let mut size = Size::default();
            size.count(&key, found.as_ref().and_then(|v| v.value.as_ref()), value.as_ref());
            let extent = extents.entry(key.space()).or_default();
            extent.cover(key.bytes());
            extent.tracked |= tracked;
            extent.untidy |= old.is_some() || value.is_none();
            extent.rows += size.rows;
            extent.bytes += size.bytes;
            let fresh = old.is_none();
            if let Some(old) = old {
                group.batch.insert(notes, bulk.undo_key(key.bytes()), old);
            }
            let head = Head {
                stamp: Stamp::Bulk(bulk.id),
                partition_len: key.partition_len() as u16,
                value: value.as_deref(),
            };
            if fresh {
                // The cache has nothing of it.
                group.insert_new_head(&self.core, key.bytes(), &head);
            } else {
                group.insert_head(&self.core, key.bytes(), &head);
            }
        }
        for (space, (list, count)) in lists {
            let extent = extents.entry(space).or_default();
            group.batch.insert(notes, bulk.list_key(space, extent.count), list);
            extent.count += count;
        }
        Ok(Done::Extents(extents))
    }

    /// Stamps the end of a bulk commit, whose heads are all written.
    pub(super) fn finish_bulk(
        &mut self,
        group: &mut Group,
        bulk: &Arc<Bulk>,
        extents: &Extents,
    ) -> Result<Done> {
        let engine = &self.core.engine;
        let ts = self.core.clock.tick();
        let entry = bulk::entry(ts, extents);
        group.batch.insert(&engine.meta, bulk::entry_key(bulk.id), entry);
        let mut tracked = Vec::new();
        for (space, extent) in extents {
            if extent.tracked {
                let key = changes::record_key(*space, Place { ts, number: changes::BULK_NUMBER });
                group.batch.insert(&engine.changes, key, bulk.id.to_be_bytes());
                tracked.push(*space);
            }
            let size = group.sizes.entry(*space).or_default();
            size.rows += extent.rows;
            size.bytes += extent.bytes;
            self.recent.add_coarse(extent.first.clone(), extent.last.clone(), ts);
        }
        group.last = ts;
        group.sync = true;
        // No snapshot is handed out at `ts` before the batch is durable.
        bulk.set_committed(ts);
        let tidy = !extents.values().any(|extent| extent.untidy);
        self.collector.bulk_finished(bulk.clone(), tracked, tidy);
        self.resume_deferred();
        Ok(Done::Outcome(CommitOutcome::Committed(ts)))
    }

    /// Restores heads.
    pub(super) fn undo_chunk(
        &mut self,
        group: &mut Group,
        bulk: &Bulk,
        keys: &[crate::kv::Key],
    ) -> Result<Done> {
        for key in keys {
            bulk.restore(&self.core.engine, key, &mut group.batch)?;
            group.touch(key.bytes().clone());
        }
        Ok(Done::Ok)
    }

    /// No head carries its number any more.
    pub(super) fn forget_bulk(&mut self, bulk: Arc<Bulk>) -> Result<Done> {
        self.core.bulks.forget(&bulk);
        self.collector.bulk_undone(bulk);
        self.resume_deferred();
        Ok(Done::Ok)
    }

    /// Lets those go on that waited for a bulk commit.
    fn resume_deferred(&mut self) {
        self.core.queue.put_back(std::mem::take(&mut self.deferred));
    }
}
