//! A transaction's uncommitted writes.
//!
//! An ordered map from key to the versions the transaction wrote, each stamped with the command
//! that wrote it. A statement sees versions of commands before its own, so that an
//! `INSERT … SELECT` from its own target ends. Older versions are kept only while someone can
//! still go back to them: a savepoint, or a statement suspended half-way.
//!
//! When there are many, new keys that come in ascending order go to a [`run::Run`] for each space
//! instead, which takes a fraction of the memory. A key that is written again moves to the map,
//! its version from the run with it: the map counts where both have a key.

mod run;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use bytes::Bytes;

use self::run::{Run, RunWrite};
use crate::kv::{Expect, Key, KeyRange, SpaceId, Write};

/// Bookkeeping bytes that one write costs beside its key and value: map entry and allocations.
const WRITE_OVERHEAD_BYTES: usize = 160;
/// Writes in the map from which on ascending new keys go to runs.
const RUNS_FROM: usize = 256;

/// Counts statements within a transaction.
pub(super) type Command = u32;

/// One version of a key.
#[derive(Debug)]
struct OwnVersion {
    command: Command,
    tracked: bool,
    value: Option<Bytes>,
}

/// The versions of one key.
#[derive(Debug)]
struct Own {
    newest: OwnVersion,
    /// Those before it, oldest first; a box of a vector, because nearly all keys have none.
    #[expect(clippy::box_collection, reason = "8 bytes in every entry instead of 24")]
    older: Option<Box<Vec<OwnVersion>>>,
    expect: Expect,
}

impl Own {
    fn visible(&self, before: Command) -> Option<&OwnVersion> {
        if self.newest.command < before {
            return Some(&self.newest);
        }
        self.older.as_ref()?.iter().rev().find(|v| v.command < before)
    }
}

/// The buffer.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    entries: BTreeMap<Key, Own>,
    runs: BTreeMap<SpaceId, Run>,
    bytes: usize,
    /// Keys written to the map since the oldest savepoint, in order; empty without savepoints.
    log: Vec<Key>,
}

/// What becomes of the versions that a write replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nobody goes back to them, but for the running statement.
    Nothing,
    /// A suspended statement may.
    Older,
    /// A savepoint may: the log says which keys were written.
    Logged,
}

/// What is written to a key.
pub(super) struct NewWrite {
    pub value: Option<Bytes>,
    pub tracked: bool,
    pub expect: Expect,
}

/// Where a savepoint stands in the buffer's log.
pub(super) type LogPosition = usize;

impl Buffer {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.runs.values().all(|run| run.len() == 0)
    }

    /// Bytes held, bookkeeping included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes a version.
    pub fn put(&mut self, key: Key, write: NewWrite, command: Command, keep: Keep) {
        let NewWrite { value, tracked, expect } = write;
        if expect == Expect::Any && self.entries.len() >= RUNS_FROM {
            let run = self.runs.entry(key.space()).or_default();
            if run.takes(&key) && !self.entries.contains_key(&key) {
                self.bytes += run.push(key, value.as_ref(), command, tracked);
                return;
            }
        }
        if keep == Keep::Logged {
            self.log.push(key.clone());
        }
        self.bytes += value.as_ref().map_or(0, Bytes::len) + WRITE_OVERHEAD_BYTES;
        let version = OwnVersion { command, tracked, value };
        let place = match self.entries.entry(key) {
            Entry::Vacant(place) => {
                self.bytes += place.key().bytes().len();
                let run = self.runs.get(&place.key().space());
                let before = run.and_then(|run| run.get(place.key().bytes()));
                let Some(before) = before.map(|write| own_version(&write)) else {
                    place.insert(Own { newest: version, older: None, expect });
                    return;
                };
                // Its bytes count twice from here on, in the run and in the map.
                self.bytes += version_bytes(&before);
                let own = Own { newest: before, older: None, expect };
                place.insert_entry(own)
            }
            Entry::Occupied(place) => place,
        };
        self.bytes -= replace(place.into_mut(), version, keep);
    }

    /// The newest value written to a key; inner none: deleted.
    pub fn newest(&self, key: &Key) -> Option<Option<Bytes>> {
        self.visible(key, Command::MAX)
    }

    /// The value that a statement sees.
    pub fn visible(&self, key: &Key, before: Command) -> Option<Option<Bytes>> {
        if let Some(own) = self.entries.get(key) {
            return own.visible(before).map(|version| version.value.clone());
        }
        let write = self.runs.get(&key.space())?.get(key.bytes())?;
        (write.command < before).then(|| write.value.map(Bytes::copy_from_slice))
    }

    /// What a statement sees of the writes in a range, in the order asked for.
    pub fn range(&self, range: &KeyRange, before: Command, reverse: bool) -> OwnRange<'_> {
        let (start, end) = match range.is_empty() {
            // BTreeMap::range panics on a range that ends before it starts.
            true => {
                let space = || Key::new(range.space, &[], 0).bytes().clone();
                (Bound::Included(space()), Bound::Excluded(space()))
            }
            false => range.key_bounds(),
        };
        let run = self.runs.get(&range.space);
        let (low, high) = run.map_or((0, 0), |run| {
            let low = run.partition_point(|key| match &start {
                Bound::Included(start) => key < &start[..],
                Bound::Excluded(start) => key <= &start[..],
                Bound::Unbounded => false,
            });
            let high = run.partition_point(|key| match &end {
                Bound::Included(end) => key <= &end[..],
                Bound::Excluded(end) => key < &end[..],
                Bound::Unbounded => true,
            });
            (low, high.max(low))
        });
        let whole = |bytes: Bytes| Key::from_bytes(bytes, 0);
        let mut map = self.entries.range((start.map(whole), end.map(whole)));
        let next = if reverse { map.next_back() } else { map.next() };
        OwnRange { map, next, run, low, high, before, reverse }
    }

    /// Whether anything was written to a range, seen by the running statement or not.
    pub fn touches(&self, range: &KeyRange) -> bool {
        !self.is_empty() && self.range(range, Command::MAX, false).next().is_some()
    }

    /// What a statement sees of the writes in a space.
    pub fn space(
        &self,
        space: SpaceId,
        before: Command,
    ) -> impl Iterator<Item = (Key, Option<Bytes>)> {
        self.range(&KeyRange::all(space), before, false)
    }

    /// Where a savepoint made now stands.
    pub fn position(&self) -> LogPosition {
        self.log.len()
    }

    /// Undoes every write of `command` or later; those to the map were logged after `position`.
    pub fn rollback(&mut self, position: LogPosition, command: Command) {
        for key in self.log.drain(position..).rev() {
            let Entry::Occupied(mut place) = self.entries.entry(key) else { continue };
            loop {
                let own = place.get_mut();
                if own.newest.command < command {
                    break;
                }
                let before = own.older.as_mut().and_then(|older| older.pop());
                self.bytes -= version_bytes(&own.newest);
                match before {
                    Some(before) => own.newest = before,
                    None => {
                        self.bytes -= place.key().bytes().len();
                        place.remove();
                        break;
                    }
                }
            }
        }
        for run in self.runs.values_mut() {
            self.bytes -= run.rollback(command);
        }
    }

    /// No savepoint is left.
    pub fn forget_log(&mut self) {
        self.log = Vec::new();
    }

    /// Everything, as a commit wants it: in key order, each key once.
    pub fn into_writes(self) -> Vec<Write> {
        let count = self.entries.len() + self.runs.values().map(Run::len).sum::<usize>();
        let mut writes = Vec::with_capacity(count);
        let mut map = self.entries.into_iter().peekable();
        let from_map = |(key, own): (Key, Own)| Write {
            key,
            value: own.newest.value,
            expect: own.expect,
            tracked: own.newest.tracked,
        };
        for write in self.runs.into_values().flat_map(Run::into_writes) {
            while let Some(before) = map.next_if(|(key, _)| *key < write.key) {
                writes.push(from_map(before));
            }
            match map.next_if(|(key, _)| *key == write.key) {
                Some(newer) => writes.push(from_map(newer)),
                None => writes.push(write),
            }
        }
        writes.extend(map.map(from_map));
        writes
    }
}

/// The writes of a range, map and run merged.
pub(super) struct OwnRange<'a> {
    map: std::collections::btree_map::Range<'a, Key, Own>,
    next: Option<(&'a Key, &'a Own)>,
    run: Option<&'a Run>,
    /// What is left of the run.
    low: usize,
    high: usize,
    before: Command,
    reverse: bool,
}

impl<'a> OwnRange<'a> {
    fn run_next(&self) -> Option<RunWrite<'a>> {
        let index = if self.reverse { self.high - 1 } else { self.low };
        Some(self.run?.at(index))
    }

    fn skip_run(&mut self) {
        if self.reverse {
            self.high -= 1;
        } else {
            self.low += 1;
        }
    }

    fn advance_map(&mut self) {
        self.next = if self.reverse { self.map.next_back() } else { self.map.next() };
    }
}

impl Iterator for OwnRange<'_> {
    type Item = (Key, Option<Bytes>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let run = if self.low < self.high { self.run_next() } else { None };
            let found = match (self.next, run) {
                (None, None) => return None,
                (None, Some(write)) => from_run(&write, self.before),
                (Some((key, own)), run) => {
                    let order = run.map(|write| write.key.cmp(&key.bytes()[..]));
                    let order = if self.reverse { order.map(|o| o.reverse()) } else { order };
                    match (order, run) {
                        (Some(std::cmp::Ordering::Less), Some(write)) => {
                            from_run(&write, self.before)
                        }
                        (order, _) => {
                            let version = own.visible(self.before);
                            let found = version.map(|v| (key.clone(), v.value.clone()));
                            self.advance_map();
                            if order == Some(std::cmp::Ordering::Equal) {
                                self.skip_run();
                            }
                            match found {
                                Some(found) => return Some(found),
                                None => continue,
                            }
                        }
                    }
                }
            };
            self.skip_run();
            if found.is_some() {
                return found;
            }
        }
    }
}

fn from_run(write: &RunWrite<'_>, before: Command) -> Option<(Key, Option<Bytes>)> {
    (write.command < before).then(|| (write.key(), write.value.map(Bytes::copy_from_slice)))
}

fn own_version(write: &RunWrite<'_>) -> OwnVersion {
    let value = write.value.map(Bytes::copy_from_slice);
    OwnVersion { command: write.command, tracked: write.tracked, value }
}

/// Puts a version on top of those of a key. Bytes that became free.
fn replace(own: &mut Own, version: OwnVersion, keep: Keep) -> usize {
    let tracked = version.tracked || own.newest.tracked;
    let command = version.command;
    let before = std::mem::replace(&mut own.newest, version);
    own.newest.tracked = tracked;
    if before.command == command {
        return version_bytes(&before);
    }
    if keep != Keep::Nothing {
        own.older.get_or_insert_default().push(before);
        return 0;
    }
    // The running statement still sees what stood there before it.
    let older = own.older.take().into_iter().flat_map(|versions| *versions);
    let freed = older.map(|version| version_bytes(&version)).sum();
    own.older = Some(Box::new(vec![before]));
    freed
}

fn version_bytes(version: &OwnVersion) -> usize {
    version.value.as_ref().map_or(0, Bytes::len) + WRITE_OVERHEAD_BYTES
}
