//! Which keys were committed lately: what validation of SERIALIZABLE reads looks at.
//!
//! Commits append their keys to a log, which costs next to nothing. The index over it is made
//! only when a commit has reads to check. The log is trimmed below the oldest snapshot and never
//! grows beyond a limit; a transaction older than its start is checked against the store itself.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::kv::{Key, KeyRange};

/// Keys kept.
const KEYS_MAX: usize = 1 << 18;

/// The log and its index.
#[derive(Default)]
pub(super) struct Recent {
    log: VecDeque<(Timestamp, Bytes)>,
    /// How many entries of the log, from its start, are in the index.
    indexed: usize,
    /// The newest commit of each key of the indexed part.
    index: BTreeMap<Bytes, Timestamp>,
    /// Ranges of bulk commits: first key, last key, when.
    coarse: Vec<(Bytes, Bytes, Timestamp)>,
    /// All commits above this are known.
    floor: Timestamp,
}

impl Recent {
    /// Knows all commits above `floor`.
    pub fn new(floor: Timestamp) -> Recent {
        Recent { floor, ..Recent::default() }
    }

    /// Whether every commit above `at` is known.
    pub fn knows_since(&self, at: Timestamp) -> bool {
        at >= self.floor
    }

    /// A commit wrote a key. Timestamps never fall.
    pub fn add(&mut self, key: &Key, ts: Timestamp) {
        if self.log.len() >= KEYS_MAX {
            self.pop();
        }
        self.log.push_back((ts, key.bytes().clone()));
    }

    /// A bulk commit wrote keys from `first` to `last`.
    pub fn add_coarse(&mut self, first: Bytes, last: Bytes, ts: Timestamp) {
        self.coarse.push((first, last, ts));
    }

    /// Forgets commits at or below `oldest`, which no open snapshot asks for.
    pub fn trim(&mut self, oldest: Timestamp) {
        while self.log.front().is_some_and(|(ts, _)| *ts <= oldest) {
            self.pop();
        }
        self.coarse.retain(|(_, _, ts)| *ts > oldest);
        self.floor = self.floor.max(oldest);
    }

    /// Whether `key` was committed after `at`.
    pub fn key_changed(&mut self, key: &Key, at: Timestamp) -> bool {
        self.update_index();
        self.index.get(key.bytes()).is_some_and(|ts| *ts > at)
            || self
                .coarse
                .iter()
                .any(|(first, last, ts)| *ts > at && key.bytes() >= first && key.bytes() <= last)
    }

    /// Whether any key of a range was committed after `at`.
    pub fn range_changed(&mut self, range: &KeyRange, at: Timestamp) -> bool {
        if range.is_empty() {
            return false;
        }
        self.update_index();
        let bounds = range.key_bounds();
        self.index.range::<Bytes, _>((bounds.0.as_ref(), bounds.1.as_ref())).any(|(_, ts)| *ts > at)
            || self.coarse.iter().any(|(first, last, ts)| {
                *ts > at && !ends_before(&bounds.1, first) && !starts_after(&bounds.0, last)
            })
    }

    fn update_index(&mut self) {
        for (ts, key) in self.log.range(self.indexed..) {
            self.index.insert(key.clone(), *ts);
        }
        self.indexed = self.log.len();
    }

    fn pop(&mut self) {
        let Some((ts, key)) = self.log.pop_front() else { return };
        self.floor = self.floor.max(ts);
        if self.indexed > 0 {
            self.indexed -= 1;
            if self.index.get(&key) == Some(&ts) {
                self.index.remove(&key);
            }
        }
    }
}

fn ends_before(end: &Bound<Bytes>, key: &Bytes) -> bool {
    match end {
        Bound::Unbounded => false,
        Bound::Included(end) => end < key,
        Bound::Excluded(end) => end <= key,
    }
}

fn starts_after(start: &Bound<Bytes>, key: &Bytes) -> bool {
    match start {
        Bound::Unbounded => false,
        Bound::Included(start) => start > key,
        Bound::Excluded(start) => start >= key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::SpaceId;

    fn key(n: u8) -> Key {
        Key::new(SpaceId(5), &[n], 1)
    }

    fn range(first: u8, last: u8) -> KeyRange {
        KeyRange {
            space: SpaceId(5),
            start: Bound::Included(vec![first].into()),
            end: Bound::Included(vec![last].into()),
            partition_len: None,
        }
    }

    #[test]
    fn points_ranges_and_trimming() {
        let mut recent = Recent::new(Timestamp(10));
        recent.add(&key(1), Timestamp(11));
        recent.add(&key(5), Timestamp(12));
        assert!(recent.key_changed(&key(1), Timestamp(10)));
        assert!(!recent.key_changed(&key(1), Timestamp(11)));
        assert!(recent.range_changed(&range(2, 5), Timestamp(11)));
        assert!(!recent.range_changed(&range(2, 4), Timestamp(10)));
        recent.add(&key(5), Timestamp(13));
        recent.trim(Timestamp(12));
        assert!(recent.knows_since(Timestamp(12)) && !recent.knows_since(Timestamp(11)));
        assert!(recent.key_changed(&key(5), Timestamp(12)));
        assert!(!recent.key_changed(&key(1), Timestamp(12)));
        recent.add_coarse(key(20).bytes().clone(), key(30).bytes().clone(), Timestamp(14));
        assert!(recent.range_changed(&range(0, 20), Timestamp(13)));
        assert!(!recent.range_changed(&range(31, 40), Timestamp(13)));
        assert!(recent.key_changed(&key(25), Timestamp(13)));
    }

    #[test]
    fn a_full_log_raises_its_floor() {
        let mut recent = Recent::new(Timestamp(0));
        for i in 0..(KEYS_MAX as u64 + 10) {
            recent.add(&key((i % 200) as u8), Timestamp(i + 1));
        }
        assert!(!recent.knows_since(Timestamp(9)) && recent.knows_since(Timestamp(10)));
    }
}
