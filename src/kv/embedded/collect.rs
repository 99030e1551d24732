//! Collection: a little after each group, by the writer.
//!
//! Below the horizon nobody reads: superseded versions leave the history, heads that are
//! deletions are removed, bulk commits lose their notes. Nothing here has to survive a crash.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fjall::{OwnedWriteBatch, Slice};

use super::bulk::Bulk;
use super::core::Core;
use super::engine;
use super::head::Head;
use super::history::Garbage;
use super::recent::Recent;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::{SpaceId, Version};

/// Versions dropped in one step.
const VERSIONS_PER_STEP: usize = 512;
/// Deletions looked at in one step.
const DELETIONS_PER_STEP: usize = 512;
/// Pause between steps while no work arrives.
const IDLE_PAUSE: Duration = Duration::from_millis(20);
/// How often the sizes of spaces are saved.
const SAVE_SIZES_INTERVAL: Duration = Duration::from_secs(5);

/// What waits to be collected.
#[derive(Default)]
pub(super) struct Collector {
    garbage: Garbage,
    /// Heads that are deletions, and since when.
    deleted: VecDeque<(Timestamp, Bytes)>,
    /// Deletions from before the store was opened.
    stale: Vec<Bytes>,
    bulks: Vec<Ended>,
    /// Heads that this step removes.
    removed: Vec<Bytes>,
    /// Whether the last step left work that could be done at once.
    more: bool,
    sizes_saved: Duration,
}

/// A bulk commit that still has its notes.
struct Ended {
    bulk: Arc<Bulk>,
    /// Spaces whose change log refers to its lists.
    tracked: Vec<SpaceId>,
    /// The list up to which single keys were seen to.
    tidied: Option<Slice>,
    /// No single key is left to see to.
    tidy: bool,
    undone: bool,
}

impl Collector {
    /// A version was superseded.
    pub fn superseded(&mut self, core: &Core, key: &Bytes, old: Version, at: Timestamp) {
        core.history.add(&mut self.garbage, key, old, at);
    }

    /// A head became a deletion.
    pub fn deleted(&mut self, key: Bytes, at: Timestamp) {
        self.deleted.push_back((at, key));
    }

    /// A bulk commit has committed, or was found at the start. `tidy`: all it did was insert.
    pub fn bulk_finished(&mut self, bulk: Arc<Bulk>, tracked: Vec<SpaceId>, tidy: bool) {
        self.bulks.push(Ended { bulk, tracked, tidied: None, tidy, undone: false });
    }

    /// A bulk commit was undone.
    pub fn bulk_undone(&mut self, bulk: Arc<Bulk>) {
        let tracked = Vec::new();
        self.bulks.push(Ended { bulk, tracked, tidied: None, tidy: false, undone: true });
    }

    /// How long the writer may wait for work before the next step; none: as long as it likes.
    pub fn wait(&self) -> Option<Duration> {
        let no_bulks = self.bulks.iter().all(|b| b.tidy && !b.tracked.is_empty());
        let idle = self.garbage.is_empty() && self.deleted.is_empty() && no_bulks;
        match (self.more, idle) {
            (true, _) => Some(Duration::ZERO),
            (false, true) => None,
            (false, false) => Some(IDLE_PAUSE),
        }
    }

    /// One step.
    pub fn step(&mut self, core: &Core, recent: &mut Recent) -> Result<()> {
        let horizon = core.holds.advance_horizon();
        recent.trim(core.holds.oldest());
        let mut batch = core.engine.db.batch();
        let Core { engine, history, .. } = core;
        let garbage = &mut self.garbage;
        self.more = history.collect(engine, garbage, horizon, VERSIONS_PER_STEP, &mut batch)?;
        history.spill(engine, garbage, core.options.history_bytes_max)?;
        self.remove_deletions(core, horizon, &mut batch)?;
        self.clean_bulks(core, horizon, &mut batch)?;
        let now = core.wall.monotonic();
        if now > self.sizes_saved + SAVE_SIZES_INTERVAL {
            self.sizes_saved = now;
            core.save_sizes(&mut batch);
        }
        if !batch.is_empty() {
            batch.commit().map_err(engine::error)?;
        }
        for key in self.removed.drain(..) {
            core.cache.written(&key, None);
        }
        Ok(())
    }

    fn remove_deletions(
        &mut self,
        core: &Core,
        horizon: Timestamp,
        batch: &mut OwnedWriteBatch,
    ) -> Result<()> {
        if let Some(mut stale) = core.stale.try_lock() {
            self.stale.append(&mut stale);
        }
        for key in std::mem::take(&mut self.stale) {
            if remove_deletion(core, &key, horizon, batch)? {
                self.removed.push(key);
            }
        }
        for _ in 0..DELETIONS_PER_STEP {
            let Some((_, key)) = self.deleted.pop_front_if(|(at, _)| *at <= horizon) else {
                return Ok(());
            };
            if remove_deletion(core, &key, horizon, batch)? {
                self.removed.push(key);
            }
        }
        self.more |= self.deleted.front().is_some_and(|(at, _)| *at <= horizon);
        Ok(())
    }

    /// Goes on with the first bulk commit that nobody looks through any more: sees to its single
    /// keys, and then removes its lists, one list in each step.
    fn clean_bulks(
        &mut self,
        core: &Core,
        horizon: Timestamp,
        batch: &mut OwnedWriteBatch,
    ) -> Result<()> {
        let trimmed = core.trimmed.read();
        let ready = |ended: &Ended| {
            let ts = ended.bulk.committed();
            let passed = ended.undone || ts.is_some_and(|ts| ts <= horizon);
            let is_trimmed = |space| trimmed.get(space).map(|place| place.ts) > ts;
            passed && (!ended.tidy || ended.tracked.iter().all(is_trimmed))
        };
        let Some(place) = self.bulks.iter().position(ready) else { return Ok(()) };
        let ended = &mut self.bulks[place];
        self.more = true;
        if ended.tidy {
            if !ended.bulk.drop_list(batch)? {
                self.bulks.swap_remove(place);
            }
            return Ok(());
        }
        match ended.bulk.list(ended.tidied.as_deref())? {
            Some((place, keys)) => {
                for key in keys {
                    if remove_deletion(core, key.bytes(), horizon, batch)? {
                        self.removed.push(key.bytes().clone());
                    }
                    ended.bulk.drop_undo(key.bytes(), batch)?;
                }
                ended.tidied = Some(place);
            }
            None => ended.tidy = true,
        }
        Ok(())
    }
}

/// Removes a head if it is a deletion that everyone sees. Whether it did.
fn remove_deletion(
    core: &Core,
    key: &Bytes,
    horizon: Timestamp,
    batch: &mut OwnedWriteBatch,
) -> Result<bool> {
    let Some(bytes) = core.engine.heads.get(key).map_err(engine::error)? else { return Ok(false) };
    let head = Head::decode(&bytes)?;
    let gone = head.value.is_none() && core.committed(head.stamp).is_some_and(|ts| ts <= horizon);
    if gone {
        batch.remove(&core.engine.heads, &key[..]);
    }
    Ok(gone)
}
