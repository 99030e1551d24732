//! Which rows of a file are superseded: one bit for each position, by row group.
//!
//! A mask is cheap to clone and copies only the row groups that change, so that every query has
//! its own. Because masks speak of positions, a filter below them sees each row as it was written
//! and may be pushed to the file.
//!
//! On disk: the number of dead rows, then their positions as varint gaps.

use std::sync::Arc;

use arrow::buffer::{BooleanBuffer, Buffer};

/// The dead rows of one file.
#[derive(Clone, Debug, Default)]
pub struct FileMask {
    rows: u32,
    group_rows: u32,
    dead: u32,
    groups: Vec<Option<Arc<GroupMask>>>,
}

#[derive(Clone, Debug)]
struct GroupMask {
    /// A set bit is a dead row.
    words: Vec<u64>,
    dead: u32,
}

impl FileMask {
    /// A mask without dead rows for a file of `rows` rows in groups of `group_rows`.
    pub fn new(rows: u32, group_rows: u32) -> FileMask {
        debug_assert!(group_rows > 0);
        let groups = vec![None; rows.div_ceil(group_rows) as usize];
        FileMask { rows, group_rows, dead: 0, groups }
    }

    /// Rows of the file.
    #[cfg(feature = "spread")]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Rows of each of its groups but the last.
    #[cfg(feature = "spread")]
    pub fn group_rows(&self) -> u32 {
        self.group_rows
    }

    /// Dead rows.
    pub fn dead(&self) -> u32 {
        self.dead
    }

    /// Rows that are not dead.
    pub fn live(&self) -> u32 {
        self.rows - self.dead
    }

    /// Dead rows of a group.
    pub fn dead_in_group(&self, group: usize) -> u32 {
        self.groups[group].as_ref().map_or(0, |g| g.dead)
    }

    fn rows_of(&self, group: usize) -> u32 {
        (self.rows - group as u32 * self.group_rows).min(self.group_rows)
    }

    /// Marks a row dead; whether it was alive.
    pub fn kill(&mut self, position: u32) -> bool {
        debug_assert!(position < self.rows);
        let group = (position / self.group_rows) as usize;
        let words = self.rows_of(group).div_ceil(64) as usize;
        let mask = self.groups[group]
            .get_or_insert_with(|| Arc::new(GroupMask { words: vec![0; words], dead: 0 }));
        let within = position % self.group_rows;
        let (word, bit) = ((within / 64) as usize, 1u64 << (within % 64));
        if mask.words[word] & bit != 0 {
            return false;
        }
        let mask = Arc::make_mut(mask);
        mask.words[word] |= bit;
        mask.dead += 1;
        self.dead += 1;
        true
    }

    /// Marks every row from `start` to before `end` dead.
    pub fn kill_range(&mut self, start: u32, end: u32) {
        for position in start..end.min(self.rows) {
            self.kill(position);
        }
    }

    /// Whether a row is dead.
    pub fn is_dead(&self, position: u32) -> bool {
        let within = position % self.group_rows;
        self.groups[(position / self.group_rows) as usize]
            .as_ref()
            .is_some_and(|g| g.words[(within / 64) as usize] & 1 << (within % 64) != 0)
    }

    /// The live rows of a group as set bits; none if all of them live.
    pub fn live_bits(&self, group: usize) -> Option<BooleanBuffer> {
        let mask = self.groups[group].as_ref().filter(|g| g.dead > 0)?;
        let live: Vec<u64> = mask.words.iter().map(|w| !w).collect();
        Some(BooleanBuffer::new(Buffer::from_vec(live), 0, self.rows_of(group) as usize))
    }

    /// Positions of dead rows, ascending.
    pub fn dead_positions(&self) -> impl Iterator<Item = u32> + '_ {
        self.groups.iter().enumerate().filter_map(|(i, g)| Some((i, g.as_ref()?))).flat_map(
            move |(i, group)| {
                let base = i as u32 * self.group_rows;
                group.words.iter().enumerate().flat_map(move |(w, word)| {
                    let mut rest = *word;
                    std::iter::from_fn(move || {
                        let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                        rest &= rest - 1;
                        Some(base + w as u32 * 64 + bit)
                    })
                })
            },
        )
    }

    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(self.dead, out);
        let mut next = 0;
        for position in self.dead_positions() {
            put_varint(position - next, out);
            next = position + 1;
        }
    }

    /// Reads the stored form of a mask of such a file; none if it is not one.
    pub fn decode(mut bytes: &[u8], rows: u32, group_rows: u32) -> Option<FileMask> {
        let mut mask = FileMask::new(rows, group_rows);
        let dead = take_varint(&mut bytes)?;
        let mut next = 0u32;
        for _ in 0..dead {
            let position = next.checked_add(take_varint(&mut bytes)?)?;
            if position >= rows {
                return None;
            }
            mask.kill(position);
            next = position + 1;
        }
        bytes.is_empty().then_some(mask)
    }
}

fn put_varint(mut v: u32, out: &mut Vec<u8>) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut v = 0u32;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        v |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if *byte < 0x80 {
            return Some(v);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_positions_and_bytes_agree() {
        let dead = [0u32, 1, 63, 64, 99, 100, 250, 999];
        let mut mask = FileMask::new(1000, 100);
        let before = mask.clone();
        for position in dead {
            assert!(mask.kill(position));
            assert!(!mask.kill(position));
        }
        assert_eq!(before.dead(), 0, "a clone keeps its own bits");
        assert_eq!((mask.dead(), mask.live(), mask.dead_in_group(0)), (8, 992, 5));
        assert_eq!(mask.dead_positions().collect::<Vec<_>>(), dead);
        assert!((0..1000).all(|p| mask.is_dead(p) == dead.contains(&p)));
        assert!(mask.live_bits(4).is_none());
        let bits = mask.live_bits(2).unwrap();
        assert_eq!((bits.len(), bits.count_set_bits(), bits.value(50)), (100, 99, false));
        let mut bytes = Vec::new();
        mask.encode(&mut bytes);
        let back = FileMask::decode(&bytes, 1000, 100).unwrap();
        assert_eq!(back.dead_positions().collect::<Vec<_>>(), dead);
        assert!(FileMask::decode(&bytes, 999, 100).is_none());
        assert!(FileMask::decode(&bytes[1..], 1000, 100).is_none());
        mask.kill_range(995, 2000);
        assert_eq!(mask.dead(), 12);
    }
}
