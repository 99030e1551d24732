//! Many new keys in ascending order: what a COPY or an `INSERT … SELECT` writes.
//!
//! Keys and values lie after each other in blocks; an entry is 32 bytes that say where. A map
//! would cost three allocations and a half-empty node for each.

use bytes::{Bytes, BytesMut};

use super::Command;
use crate::kv::{Expect, Key, Write};

/// Bytes of a block; a larger write has one of its own.
const BLOCK_BYTES: usize = 1 << 20;
/// Entries of one part of the table.
const PART_ENTRIES: usize = 8 * 1024;
/// Stands for the length of a value where the key is deleted.
const DELETED: u32 = u32::MAX;

/// Ascending keys of one space, each written once.
#[derive(Debug, Default)]
pub(super) struct Run {
    parts: Vec<Vec<Slot>>,
    len: usize,
    /// Full blocks, and then the one being filled.
    full: Vec<Bytes>,
    open: BytesMut,
    last: Option<Key>,
}

/// Where a write lies.
#[derive(Clone, Copy, Debug)]
struct Slot {
    block: u32,
    start: u32,
    key_len: u16,
    partition_len: u16,
    value_len: u32,
    command: Command,
    tracked: bool,
}

/// A write of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunWrite<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
    pub command: Command,
    pub tracked: bool,
    pub partition_len: u16,
}

impl RunWrite<'_> {
    pub fn key(&self) -> Key {
        Key::from_bytes(Bytes::copy_from_slice(self.key), usize::from(self.partition_len))
    }
}

impl Run {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether a key lies after all keys of the run.
    pub fn takes(&self, key: &Key) -> bool {
        self.last.as_ref().is_none_or(|last| last < key)
    }

    /// Adds a key that it takes. Bytes used.
    pub fn push(
        &mut self,
        key: Key,
        value: Option<&Bytes>,
        command: Command,
        tracked: bool,
    ) -> usize {
        let bytes = key.bytes().len() + value.map_or(0, Bytes::len);
        if self.open.capacity() - self.open.len() < bytes {
            let full =
                std::mem::replace(&mut self.open, BytesMut::with_capacity(BLOCK_BYTES.max(bytes)));
            if !full.is_empty() {
                self.full.push(full.freeze());
            }
        }
        let slot = Slot {
            block: self.full.len() as u32,
            start: self.open.len() as u32,
            key_len: key.bytes().len() as u16,
            partition_len: key.partition_len() as u16,
            value_len: value.map_or(DELETED, |v| v.len() as u32),
            command,
            tracked,
        };
        self.open.extend_from_slice(key.bytes());
        self.open.extend_from_slice(value.map_or(&[], |v| &v[..]));
        if self.parts.last().is_none_or(|part| part.len() == PART_ENTRIES) {
            let capacity = if self.parts.is_empty() { 16 } else { PART_ENTRIES };
            self.parts.push(Vec::with_capacity(capacity));
        }
        if let Some(part) = self.parts.last_mut() {
            part.push(slot);
        }
        self.len += 1;
        self.last = Some(key);
        bytes + size_of::<Slot>()
    }

    /// The write of that number, in key order.
    pub fn at(&self, index: usize) -> RunWrite<'_> {
        let slot = &self.parts[index / PART_ENTRIES][index % PART_ENTRIES];
        let block = self.full.get(slot.block as usize).map_or(&self.open[..], |b| &b[..]);
        let split = slot.start as usize + usize::from(slot.key_len);
        let value =
            (slot.value_len != DELETED).then(|| &block[split..split + slot.value_len as usize]);
        RunWrite {
            key: &block[slot.start as usize..split],
            value,
            command: slot.command,
            tracked: slot.tracked,
            partition_len: slot.partition_len,
        }
    }

    /// The number of the first key for which `below` does not hold.
    pub fn partition_point(&self, below: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if below(self.at(middle).key) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The write of a key.
    pub fn get(&self, key: &[u8]) -> Option<RunWrite<'_>> {
        if self.last.as_ref().is_none_or(|last| key > &last.bytes()[..]) {
            return None;
        }
        let index = self.partition_point(|k| k < key);
        (index < self.len).then(|| self.at(index)).filter(|write| write.key == key)
    }

    /// Takes back the writes of `command` and later, which are the last. Bytes freed.
    pub fn rollback(&mut self, command: Command) -> usize {
        let mut freed = 0;
        while let Some(last) = self.len.checked_sub(1).map(|last| self.at(last))
            && last.command >= command
        {
            freed += last.key.len() + last.value.map_or(0, <[u8]>::len) + size_of::<Slot>();
            self.len -= 1;
            if let Some(part) = self.parts.last_mut() {
                part.pop();
                if part.is_empty() {
                    self.parts.pop();
                }
            }
        }
        self.last = self.len.checked_sub(1).map(|last| self.at(last).key());
        freed
    }

    /// All writes, in key order, sharing the blocks.
    pub fn into_writes(self) -> impl Iterator<Item = Write> {
        let mut blocks = self.full;
        blocks.push(self.open.freeze());
        self.parts.into_iter().flatten().map(move |slot| {
            let block = &blocks[slot.block as usize];
            let split = slot.start as usize + usize::from(slot.key_len);
            let key = block.slice(slot.start as usize..split);
            let value = (slot.value_len != DELETED)
                .then(|| block.slice(split..split + slot.value_len as usize));
            Write {
                key: Key::from_bytes(key, usize::from(slot.partition_len)),
                value,
                expect: Expect::Any,
                tracked: slot.tracked,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::SpaceId;

    fn key(n: u32) -> Key {
        Key::new(SpaceId(1), &n.to_be_bytes(), 2)
    }

    #[test]
    fn many_keys_are_found_and_taken_back() {
        let mut run = Run::default();
        let value = Bytes::from(vec![7; 100]);
        for n in 0..50_000 {
            assert!(run.takes(&key(n * 2)));
            run.push(key(n * 2), (n % 5 != 0).then_some(&value), n / 100, n % 2 == 0);
        }
        assert!(!run.takes(&key(99_998)));
        for n in (0..50_000).step_by(333) {
            let write = run.get(key(n * 2).bytes()).unwrap();
            assert_eq!(write.value.is_some(), n % 5 != 0);
            assert_eq!((write.command, write.tracked), (n / 100, n % 2 == 0));
            assert!(run.get(key(n * 2 + 1).bytes()).is_none());
        }
        run.rollback(300);
        assert_eq!(run.len(), 30_000);
        assert!(run.get(key(60_000).bytes()).is_none());
        run.push(key(60_000), None, 301, false);
        run.push(key(60_001), Some(&Bytes::from(vec![1; 3 << 20])), 301, false);
        let writes: Vec<Write> = run.into_writes().collect();
        assert_eq!(writes.len(), 30_002);
        assert!(writes.is_sorted_by_key(|w| w.key.clone()));
        assert_eq!(writes[1].key.partition_len(), 2);
        assert_eq!(writes[30_001].value.as_ref().unwrap().len(), 3 << 20);
    }
}
