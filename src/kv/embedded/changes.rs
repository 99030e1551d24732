//! The change log: which tracked keys a commit wrote.
//!
//! One record for each commit and space, keyed so that a space's records lie in commit order:
//!
//! ```text
//! 000000c8 00000191f3a70000 00000000 → list of keys (the third part: number of its first key)
//! 000000c8 00000191f3a70001 ffffffff → number of a bulk commit, which keeps its keys itself
//! ```
//!
//! A cursor names the last key given: commit timestamp, and number within the commit and space.

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::{Cursor, Key, SpaceId};

/// Stands for the number where a record refers to a bulk commit.
pub(super) const BULK_NUMBER: u32 = u32::MAX;

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub ts: Timestamp,
    pub number: u32,
}

impl Place {
    /// Before everything.
    pub const START: Place = Place { ts: Timestamp::ZERO, number: 0 };

    pub fn to_cursor(self) -> Cursor {
        let mut bytes = Vec::with_capacity(12);
        bytes.extend_from_slice(&self.ts.0.to_be_bytes());
        bytes.extend_from_slice(&self.number.to_be_bytes());
        Cursor(bytes.into())
    }

    pub fn from_cursor(cursor: &Cursor) -> Result<Place> {
        if cursor.0.is_empty() {
            return Ok(Place::START);
        }
        Place::decode(&cursor.0)
            .ok_or_else(|| Error::corrupted("a change log cursor is not one of this store"))
    }

    pub fn decode(bytes: &[u8]) -> Option<Place> {
        let (ts, number) = bytes.split_first_chunk::<8>()?;
        let number = u32::from_be_bytes(number.try_into().ok()?);
        Some(Place { ts: Timestamp(u64::from_be_bytes(*ts)), number })
    }
}

/// The key of a record.
pub(super) fn record_key(space: SpaceId, place: Place) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    bytes.extend_from_slice(&space.0.to_be_bytes());
    bytes.extend_from_slice(&place.ts.0.to_be_bytes());
    bytes.extend_from_slice(&place.number.to_be_bytes());
    bytes
}

/// The place of a record of `space`, from its key.
pub(super) fn record_place(key: &[u8]) -> Result<Place> {
    key.get(4..)
        .and_then(Place::decode)
        .ok_or_else(|| Error::corrupted("a record of the change log has a bad key"))
}

/// Adds a key to a list.
pub(super) fn push_key(list: &mut Vec<u8>, key: &Key) {
    list.extend_from_slice(&(key.bytes().len() as u16).to_be_bytes());
    list.extend_from_slice(&(key.partition_len() as u16).to_be_bytes());
    list.extend_from_slice(key.bytes());
}

/// The keys of a list.
pub(super) fn keys_of(list: &Bytes) -> Result<Vec<Key>> {
    let corrupt = || Error::corrupted("a list of changed keys cannot be read");
    let mut keys = Vec::new();
    let mut at = 0;
    while at < list.len() {
        let [a, b, c, d] = *list.get(at..at + 4).ok_or_else(corrupt)? else {
            return Err(corrupt());
        };
        let (len, partition_len) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let end = at + 4 + usize::from(len);
        if end > list.len() || usize::from(len) < Key::SPACE_LEN + usize::from(partition_len) {
            return Err(corrupt());
        }
        keys.push(Key::from_bytes(list.slice(at + 4..end), usize::from(partition_len)));
        at = end;
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_keys_come_back() {
        let keys = [Key::new(SpaceId(1), b"", 0), Key::new(SpaceId(2), &[9; 5000], 17)];
        let mut list = Vec::new();
        keys.iter().for_each(|key| push_key(&mut list, key));
        let found = keys_of(&list.clone().into()).unwrap();
        assert_eq!(found, keys);
        assert_eq!(found[1].partition_len(), 17);
        list.pop();
        assert!(keys_of(&list.into()).is_err());
    }

    #[test]
    fn records_sort_by_space_then_time() {
        let place = |ts, number| Place { ts: Timestamp(ts), number };
        let keys = [
            record_key(SpaceId(1), place(5, 0)),
            record_key(SpaceId(1), place(5, BULK_NUMBER)),
            record_key(SpaceId(1), place(6, 0)),
            record_key(SpaceId(2), Place::START),
        ];
        assert!(keys.is_sorted());
        assert_eq!(record_place(&keys[1]).unwrap(), place(5, BULK_NUMBER));
    }
}
