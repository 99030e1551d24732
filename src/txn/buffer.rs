//! A transaction's uncommitted writes.
//!
//! An ordered map from key to the versions the transaction wrote, each stamped with the command
//! that wrote it. A statement sees versions of commands before its own, so that an
//! `INSERT … SELECT` from its own target ends. Older versions are kept only while someone can
//! still go back to them: a savepoint, or a statement suspended half-way.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::kv::{Expect, Key, KeyRange, SpaceId, Write};

/// Bookkeeping bytes that one write costs beside its key and value: map entry and allocations.
const WRITE_OVERHEAD_BYTES: usize = 160;

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
    bytes: usize,
    /// Keys written since the oldest savepoint, in order; empty without savepoints.
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

/// Where a savepoint stands in the buffer's log.
pub(super) type LogPosition = usize;

impl Buffer {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes held, bookkeeping included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes a version.
    pub fn put(&mut self, key: Key, write: NewWrite, command: Command, keep: Keep) {
        let NewWrite { value, tracked, expect } = write;
        let size = value.as_ref().map_or(0, Bytes::len) + WRITE_OVERHEAD_BYTES;
        self.bytes += size;
        if keep == Keep::Logged {
            self.log.push(key.clone());
        }
        let version = OwnVersion { command, tracked, value };
        match self.entries.entry(key) {
            std::collections::btree_map::Entry::Vacant(place) => {
                self.bytes += place.key().bytes().len();
                place.insert(Own { newest: version, older: None, expect });
            }
            std::collections::btree_map::Entry::Occupied(mut place) => {
                let own = place.get_mut();
                let tracked = version.tracked || own.newest.tracked;
                let before = std::mem::replace(&mut own.newest, version);
                own.newest.tracked = tracked;
                if before.command == command {
                    self.bytes -= version_bytes(&before);
                } else if keep != Keep::Nothing {
                    own.older.get_or_insert_default().push(before);
                } else {
                    // The running statement still sees what stood there before it.
                    let older = own.older.take();
                    let gone = older.into_iter().flat_map(|v| *v).map(|v| version_bytes(&v));
                    self.bytes -= gone.sum::<usize>();
                    own.older = Some(Box::new(vec![before]));
                }
            }
        }
    }

    /// The newest value written to a key; inner none: deleted.
    pub fn newest(&self, key: &Key) -> Option<Option<&Bytes>> {
        self.entries.get(key).map(|own| own.newest.value.as_ref())
    }

    /// The value that a statement sees.
    pub fn visible(&self, key: &Key, before: Command) -> Option<Option<&Bytes>> {
        let version = self.entries.get(key)?.visible(before)?;
        Some(version.value.as_ref())
    }

    /// What a statement sees of the writes in a range, ascending.
    pub fn range<'a>(
        &'a self,
        range: &KeyRange,
        before: Command,
    ) -> impl DoubleEndedIterator<Item = (&'a Key, Option<&'a Bytes>)> + use<'a> {
        let whole = |bytes: Bytes| Key::from_bytes(bytes, 0);
        let (start, end) = match range.is_empty() {
            // BTreeMap::range panics on a range that ends before it starts.
            true => {
                let space = || Key::new(range.space, &[], 0).bytes().clone();
                (Bound::Included(space()), Bound::Excluded(space()))
            }
            false => range.key_bounds(),
        };
        let bounds = (start.map(whole), end.map(whole));
        self.entries.range(bounds).filter_map(move |(key, own)| {
            own.visible(before).map(|version| (key, version.value.as_ref()))
        })
    }

    /// Whether anything was written to a range, seen by the running statement or not.
    pub fn touches(&self, range: &KeyRange) -> bool {
        !self.is_empty() && self.range(range, Command::MAX).next().is_some()
    }

    /// What a statement sees of the writes in a space.
    pub fn space(
        &self,
        space: SpaceId,
        before: Command,
    ) -> impl Iterator<Item = (Key, Option<Bytes>)> {
        let all = KeyRange::all(space);
        self.range(&all, before).map(|(key, value)| (key.clone(), value.cloned()))
    }

    /// Where a savepoint made now stands.
    pub fn position(&self) -> LogPosition {
        self.log.len()
    }

    /// Undoes every write of `command` or later; all of them were logged after `position`.
    pub fn rollback(&mut self, position: LogPosition, command: Command) {
        for key in self.log.drain(position..).rev() {
            let std::collections::btree_map::Entry::Occupied(mut place) = self.entries.entry(key)
            else {
                continue;
            };
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
    }

    /// No savepoint is left.
    pub fn forget_log(&mut self) {
        self.log = Vec::new();
    }

    /// Everything, as a commit wants it.
    pub fn into_writes(self) -> Vec<Write> {
        let write = |(key, own): (Key, Own)| Write {
            key,
            value: own.newest.value,
            expect: own.expect,
            tracked: own.newest.tracked,
        };
        self.entries.into_iter().map(write).collect()
    }
}

/// What is written to a key.
pub(super) struct NewWrite {
    pub value: Option<Bytes>,
    pub tracked: bool,
    pub expect: Expect,
}

fn version_bytes(version: &OwnVersion) -> usize {
    version.value.as_ref().map_or(0, Bytes::len) + WRITE_OVERHEAD_BYTES
}
