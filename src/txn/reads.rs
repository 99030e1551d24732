//! What a SERIALIZABLE transaction has read, for validation.
//!
//! Points and ranges, the ranges cut to what was really read. Many become coarse: points of one
//! space turn into ranges, neighbouring ranges into one. Coarser is always safe: it covers more.

use std::ops::Bound;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::kv::{Key, KeyRange, RangeCheck, ReadCheck};

/// Points kept one by one.
pub(super) const POINTS_MAX: usize = 16 * 1024;
/// Ranges kept one by one.
pub(super) const RANGES_MAX: usize = 4 * 1024;
/// Points that become one range when there are too many.
const POINTS_PER_RANGE: usize = 16;

/// The reads of one transaction, all at one snapshot.
#[derive(Debug, Default)]
pub(super) struct ReadSet {
    points: Vec<ReadCheck>,
    ranges: Vec<KeyRange>,
}

impl ReadSet {
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.ranges.is_empty()
    }

    /// A key was read; `seen` is zero where there was no row.
    pub fn point(&mut self, key: &Key, seen: Timestamp) {
        if self.points.len() >= POINTS_MAX {
            self.coarsen_points();
        }
        self.points.push(ReadCheck { key: key.clone(), seen });
    }

    /// A range was read. The next page of a scan continues the range of the page before.
    pub fn range(&mut self, range: KeyRange) {
        if range.is_empty() {
            return;
        }
        if let Some(last) = self.ranges.last_mut()
            && last.space == range.space
        {
            if follows(&last.end, &range.start) {
                last.end = range.end;
                return;
            }
            if follows(&range.end, &last.start) {
                last.start = range.start;
                return;
            }
        }
        if self.ranges.len() >= RANGES_MAX {
            self.coarsen_ranges();
        }
        self.ranges.push(range);
    }

    /// The checks that a commit wants.
    pub fn checks(&self, at: Timestamp) -> (Vec<ReadCheck>, Vec<RangeCheck>) {
        let range = |range: &KeyRange| RangeCheck { range: range.clone(), at };
        (self.points.clone(), self.ranges.iter().map(range).collect())
    }

    fn coarsen_points(&mut self) {
        self.points.sort_by(|a, b| a.key.cmp(&b.key));
        self.points.dedup_by(|a, b| a.key == b.key && a.seen == b.seen);
        if self.points.len() <= POINTS_MAX / 2 {
            return;
        }
        let points = std::mem::take(&mut self.points);
        for space in points.chunk_by(|a, b| a.key.space() == b.key.space()) {
            for group in space.chunks(POINTS_PER_RANGE) {
                if let [first, .., last] = group {
                    let tail = |key: &Key| key.bytes().slice(Key::SPACE_LEN..);
                    self.ranges.push(KeyRange {
                        space: first.key.space(),
                        start: Bound::Included(tail(&first.key)),
                        end: Bound::Included(tail(&last.key)),
                        partition_len: None,
                    });
                } else {
                    self.points.extend_from_slice(group);
                }
            }
        }
        if self.ranges.len() >= RANGES_MAX {
            self.coarsen_ranges();
        }
    }

    /// Merges what overlaps, and then neighbours, until half of what is allowed is left.
    fn coarsen_ranges(&mut self) {
        let mut ranges = std::mem::take(&mut self.ranges);
        ranges.sort_by(|a, b| {
            (a.space, start_order(&a.start)).cmp(&(b.space, start_order(&b.start)))
        });
        let mut merged: Vec<KeyRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if last.space == range.space && overlaps(&last.end, &range.start) => {
                    extend(last, range);
                }
                _ => merged.push(range),
            }
        }
        while merged.len() > RANGES_MAX / 2 {
            let mut halved: Vec<KeyRange> = Vec::with_capacity(merged.len() / 2 + 1);
            let mut open = false;
            for range in merged.drain(..) {
                match halved.last_mut() {
                    Some(last) if open && last.space == range.space => {
                        extend(last, range);
                        open = false;
                    }
                    _ => {
                        halved.push(range);
                        open = true;
                    }
                }
            }
            if halved.len() > RANGES_MAX / 2 && halved.windows(2).all(|w| w[0].space != w[1].space)
            {
                // One range for each space is as coarse as it gets.
                merged = halved;
                break;
            }
            merged = halved;
        }
        self.ranges = merged;
    }
}

/// Whether a range that starts at `start` continues one that ends at `end`, without a gap.
fn follows(end: &Bound<Bytes>, start: &Bound<Bytes>) -> bool {
    match (end, start) {
        (Bound::Included(end), Bound::Excluded(start) | Bound::Included(start))
        | (Bound::Excluded(end), Bound::Included(start)) => end == start,
        _ => false,
    }
}

fn start_order(start: &Bound<Bytes>) -> (&[u8], bool) {
    match start {
        Bound::Unbounded => (&[], false),
        Bound::Included(bytes) => (bytes, false),
        Bound::Excluded(bytes) => (bytes, true),
    }
}

fn overlaps(end: &Bound<Bytes>, start: &Bound<Bytes>) -> bool {
    match (end, start) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Included(end) | Bound::Excluded(end), Bound::Included(start))
        | (Bound::Included(end), Bound::Excluded(start)) => end >= start,
        (Bound::Excluded(end), Bound::Excluded(start)) => end > start,
    }
}

/// Extends `range` to the end of `other`, which does not start before it.
fn extend(range: &mut KeyRange, other: KeyRange) {
    range.partition_len = None;
    let further = match (&range.end, &other.end) {
        (Bound::Unbounded, _) => false,
        (_, Bound::Unbounded) => true,
        (Bound::Included(a), Bound::Included(b) | Bound::Excluded(b)) => b > a,
        (Bound::Excluded(a), Bound::Included(b)) => b >= a,
        (Bound::Excluded(a), Bound::Excluded(b)) => b > a,
    };
    if further {
        range.end = other.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::SpaceId;

    fn key(space: u32, n: u32) -> Key {
        Key::new(SpaceId(space), &n.to_be_bytes(), 4)
    }

    fn covers(reads: &ReadSet, key: &Key) -> bool {
        reads.points.iter().any(|p| p.key == *key) || reads.ranges.iter().any(|r| r.contains(key))
    }

    #[test]
    fn pages_of_one_scan_are_one_range() {
        let tail = |n: u8| Bytes::from(vec![n]);
        let mut reads = ReadSet::default();
        let all = KeyRange::all(SpaceId(7));
        reads.range(KeyRange { end: Bound::Included(tail(3)), ..all.clone() });
        reads.range(KeyRange {
            start: Bound::Excluded(tail(3)),
            end: Bound::Included(tail(9)),
            ..all.clone()
        });
        reads.range(KeyRange { start: Bound::Excluded(tail(9)), ..all.clone() });
        assert_eq!(reads.ranges, [all]);
    }

    #[test]
    fn coarser_covers_all_that_was_read() {
        let mut reads = ReadSet::default();
        let spread = |i: u32| key(i % 3, i.wrapping_mul(2_654_435_761));
        for i in 0..100_000 {
            reads.point(&spread(i), Timestamp(1));
        }
        assert!(reads.points.len() <= POINTS_MAX && reads.ranges.len() <= RANGES_MAX);
        for i in (0..100_000).step_by(997) {
            assert!(covers(&reads, &spread(i)), "{i}");
        }
        assert!(!covers(&reads, &key(3, 0)));
    }

    #[test]
    fn a_space_each_cannot_be_merged() {
        let mut reads = ReadSet::default();
        for i in 0..(RANGES_MAX as u32 + 10) {
            reads.range(KeyRange::all(SpaceId(i)));
        }
        assert!(covers(&reads, &key(5, 5)));
    }
}
