//! Heads read or written a moment ago.
//!
//! An UPDATE looks at one head three times within microseconds: to find the row, under its lock,
//! and when the writer supersedes it. The cache serves the second and the third. It is a table of
//! fixed size in which a head has one place and overwrites whatever is there.
//!
//! It never holds a head that the engine does not: a reader puts in what it read only if nothing
//! was written to that shard since before it read, and the writer brings it up to date after the
//! engine has the new heads and before snapshots see them.

use bytes::Bytes;
use fjall::Slice;
use parking_lot::Mutex;

/// Parts with a lock each. A power of two.
const SHARDS: usize = 64;
/// Places in each part. A power of two.
const PLACES: usize = 512;
/// Longer heads are not kept.
const HEAD_BYTES_MAX: usize = 512;

/// The cache.
pub(super) struct HeadCache {
    shards: Box<[Mutex<Shard>]>,
}

struct Shard {
    places: Box<[Option<(Slice, Slice)>]>,
    /// Counts writes.
    writes: u64,
}

/// What a look found.
pub(super) enum Cached {
    Head(Slice),
    /// Nothing; this lets the reader put in what it reads now.
    Miss(Ticket),
}

/// The state of a shard when a reader looked.
pub(super) struct Ticket {
    hash: usize,
    writes: u64,
}

impl HeadCache {
    pub fn new() -> HeadCache {
        let shard = || Mutex::new(Shard { places: vec![None; PLACES].into(), writes: 0 });
        HeadCache { shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    fn hash(key: &[u8]) -> usize {
        crc32fast::hash(key) as usize
    }

    /// Looks for the head of a key.
    pub fn get(&self, key: &[u8]) -> Cached {
        let hash = Self::hash(key);
        let shard = self.shards[hash % SHARDS].lock();
        match &shard.places[hash / SHARDS % PLACES] {
            Some((k, head)) if **k == *key => Cached::Head(head.clone()),
            _ => Cached::Miss(Ticket { hash, writes: shard.writes }),
        }
    }

    /// Keeps a head that was read from the engine after the look that gave the ticket.
    pub fn put(&self, ticket: &Ticket, key: &[u8], head: &[u8]) {
        if head.len() > HEAD_BYTES_MAX {
            return;
        }
        // Copies: the engine's slices keep whole blocks alive.
        let entry = Some((Slice::new(key), Slice::new(head)));
        let mut shard = self.shards[ticket.hash % SHARDS].lock();
        if shard.writes == ticket.writes {
            shard.places[ticket.hash / SHARDS % PLACES] = entry;
        }
    }

    /// The engine has a new head of a key; none: it has none, or none that should be kept.
    pub fn written(&self, key: &Bytes, head: Option<Slice>) {
        let hash = Self::hash(key);
        let mut shard = self.shards[hash % SHARDS].lock();
        shard.writes += 1;
        let place = &mut shard.places[hash / SHARDS % PLACES];
        if let Some((k, old)) = place
            && **k == **key
        {
            match head.filter(|head| head.len() <= HEAD_BYTES_MAX) {
                Some(head) => *old = head,
                None => *place = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_read_after_the_last_write_is_kept() {
        let cache = HeadCache::new();
        let key = Bytes::from_static(b"key");
        let Cached::Miss(early) = cache.get(&key) else { panic!() };
        cache.written(&key, Some(Slice::new(b"new")));
        cache.put(&early, &key, b"old");
        let Cached::Miss(late) = cache.get(&key) else { panic!() };
        cache.put(&late, &key, b"new");
        assert!(matches!(cache.get(&key), Cached::Head(head) if *head == *b"new"));
        cache.written(&key, Some(Slice::new(b"newer")));
        assert!(matches!(cache.get(&key), Cached::Head(head) if *head == *b"newer"));
        cache.written(&key, None);
        assert!(matches!(cache.get(&key), Cached::Miss(_)));
    }
}
