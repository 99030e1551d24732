//! Decoded column chunks of view files, kept while there is room.
//!
//! A file never changes, so a chunk decoded once serves every query until its place is needed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef};
use parking_lot::Mutex;

use crate::columnar::view::DataFile;
use crate::error::Result;

/// When the cache is full, it is emptied to this share, in percent.
const KEEP_PERCENT: usize = 80;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct ChunkId {
    file: u64,
    group: u32,
    column: u32,
}

struct Cached {
    array: ArrayRef,
    bytes: usize,
    used: u64,
}

#[derive(Default)]
struct Inner {
    chunks: HashMap<ChunkId, Cached>,
    bytes: usize,
}

/// The cache; shared by all tables.
pub struct ChunkCache {
    bytes_max: usize,
    clock: AtomicU64,
    inner: Mutex<Inner>,
}

impl ChunkCache {
    /// A cache of at most `bytes_max` bytes of arrays; 0 keeps nothing.
    pub fn new(bytes_max: usize) -> ChunkCache {
        ChunkCache { bytes_max, clock: AtomicU64::new(0), inner: Mutex::default() }
    }

    /// Bytes kept now.
    pub fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    /// A column of a row group, from the cache or decoded.
    pub fn chunk(&self, file: &DataFile, group: usize, column: usize) -> Result<ArrayRef> {
        let id = ChunkId { file: file.id, group: group as u32, column: column as u32 };
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        if let Some(cached) = self.inner.lock().chunks.get_mut(&id) {
            cached.used = now;
            return Ok(cached.array.clone());
        }
        let array = file.read_chunk(group, column)?;
        let bytes = array.get_array_memory_size();
        if bytes <= self.bytes_max {
            let mut inner = self.inner.lock();
            if inner.bytes + bytes > self.bytes_max {
                inner.shrink(self.bytes_max / 100 * KEEP_PERCENT);
            }
            let cached = Cached { array: array.clone(), bytes, used: now };
            if let Some(old) = inner.chunks.insert(id, cached) {
                inner.bytes -= old.bytes;
            }
            inner.bytes += bytes;
        }
        Ok(array)
    }

    /// Forgets the chunks of files that `keep` refuses.
    pub fn retain(&self, keep: impl Fn(u64) -> bool) {
        let mut inner = self.inner.lock();
        inner.chunks.retain(|id, _| keep(id.file));
        inner.bytes = inner.chunks.values().map(|c| c.bytes).sum();
    }
}

impl Inner {
    fn shrink(&mut self, bytes_max: usize) {
        let mut ages: Vec<(u64, ChunkId)> =
            self.chunks.iter().map(|(id, c)| (c.used, *id)).collect();
        ages.sort_unstable_by_key(|(used, _)| *used);
        for (_, id) in ages {
            if self.bytes <= bytes_max {
                return;
            }
            if let Some(cached) = self.chunks.remove(&id) {
                self.bytes -= cached.bytes;
            }
        }
    }
}
