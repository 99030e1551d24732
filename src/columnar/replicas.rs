//! A table's rows at a timestamp, from SSTables of its replicas.
//!
//! ```text
//! SSTables of a quorum ─▶ sstable: merged cell by cell ─▶ kv::lwt::stored: the versions at T
//!  (a part of the ring)                                    ├─▶ sorted by key, some sampled
//!                                                          └─▶ keys left to the store
//! ```
//!
//! The caller answers for the files: flushed after the timestamp was resolved, while it was held,
//! and of a quorum of the replicas of every range.

use std::path::{Path, PathBuf};

use arrow::array::{Array as _, ArrayRef, AsArray as _, BinaryArray, RecordBatch};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::export::Progress;
use super::sstable::table::Table;
use super::sstable::token::Tokens;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::cassandra::stored::Stored as Columns;
use crate::kv::lwt::stored::Stored;
use crate::kv::lwt::{Sorted, Sorter};
use crate::kv::{Key, SpaceId};
use crate::types::io::hex;

/// Keys of a sample.
const SAMPLE_KEYS_MAX: usize = 1024;

/// Rows as files have them.
pub struct Replicas {
    /// Live rows, in key order.
    pub rows: Sorted,
    /// Some of their keys.
    pub sample: Sample,
    /// Keys that files alone do not tell of, in order.
    pub unsettled: Vec<Key>,
}

/// Some keys of many, without their space, that stand for as many rows each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// In hexadecimal.
    pub keys: Vec<String>,
    /// How many rows.
    pub each: u64,
}

impl Sample {
    /// Every so many of keys that come in no order: ever fewer of more.
    pub fn add(&mut self, nth: u64, key: &Key) {
        if !nth.is_multiple_of(self.each) {
            return;
        }
        if self.keys.len() == SAMPLE_KEYS_MAX {
            let mut even = (0..).map(|n| n % 2 == 0);
            self.keys.retain(|_| even.next().unwrap_or_default());
            self.each *= 2;
            return self.add(nth, key);
        }
        self.keys.push(hex(key.tail()));
    }

    /// Keys in order, in hexadecimal, that cut all that was sampled into parts of about as many
    /// rows.
    pub fn bounds(samples: &[Sample], parts: usize) -> Vec<String> {
        let each = |sample: &Sample| sample.each;
        let of = |sample| {
            let n = each(sample);
            sample.keys.iter().map(move |key| (key, n))
        };
        let mut keys: Vec<(&String, u64)> = samples.iter().flat_map(of).collect();
        keys.sort_unstable();
        let rows: u64 = keys.iter().map(|(_, each)| each).sum();
        let mut below = 0;
        let starts: Vec<u64> = keys
            .iter()
            .map(|(_, each)| {
                below += each;
                below - each
            })
            .collect();
        (1..parts as u64)
            .map(|n| {
                let at = starts.partition_point(|start| *start < rows * n / parts as u64);
                keys.get(at).map_or(String::new(), |(key, _)| (*key).clone())
            })
            .collect()
    }
}

/// Reads SSTables, each given by its Data.db: none that is missing is left out; partitions of some
/// tokens. Sorts in `dir`. Blocking.
///
/// # Errors
/// Those of [`Table::open`] and of its scan; 54000 where too many rows are being written.
pub fn read(
    files: &[PathBuf],
    tokens: Tokens,
    (space, at): (SpaceId, Timestamp),
    dir: &Path,
    now: i64,
    progress: &Progress,
) -> Result<Replicas> {
    let mut sorter = Sorter::in_dir(dir.to_owned());
    let mut sample = Sample { keys: Vec::new(), each: 1 };
    if files.is_empty() {
        return Ok(Replicas { rows: sorter.finish()?, sample, unsettled: Vec::new() });
    }
    let table = Table::open(files, now)?;
    let columns: Vec<(String, String)> =
        table.columns().iter().map(|c| (c.name.clone(), c.ty.to_string())).collect();
    let columns = Columns::new(&columns)?;
    let mut stored = Stored::new(space, at);
    let mut rows = 0;
    for batch in table.scan_bytes(now, tokens)? {
        progress.check()?;
        let batch = batch?;
        let arrays = arrays(&batch)?;
        let mut cells = Vec::with_capacity(arrays.len());
        for row in 0..batch.num_rows() {
            cells.clear();
            cells.extend(arrays.iter().map(|array| {
                array.is_valid(row).then(|| Bytes::copy_from_slice(array.value(row)))
            }));
            let (partition, row) = columns.row(&cells)?;
            if let Some(entry) = stored.row(&partition, &row)? {
                sample.add(rows, &entry.key);
                rows += 1;
                sorter.add(entry)?;
            }
        }
    }
    Ok(Replicas { rows: sorter.finish()?, sample, unsettled: stored.end()? })
}

fn arrays(batch: &RecordBatch) -> Result<Vec<&BinaryArray>> {
    fn binary(array: &ArrayRef) -> Option<&BinaryArray> {
        array.as_binary_opt::<i32>()
    }
    let arrays: Option<Vec<&BinaryArray>> = batch.columns().iter().map(binary).collect();
    arrays.ok_or_else(|| Error::internal("a raw value is no bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_cut_into_like_parts() {
        let sampled = |numbers: &mut dyn Iterator<Item = u32>| {
            let mut sample = Sample { keys: Vec::new(), each: 1 };
            for (nth, n) in numbers.enumerate() {
                sample.add(nth as u64, &Key::new(SpaceId(7), &n.to_be_bytes(), 2));
            }
            assert!(sample.keys.len() <= SAMPLE_KEYS_MAX);
            sample
        };
        // Of one ten times as much as of the other, in no order.
        let few = sampled(&mut (0..10_000).map(|n| n * 7919 % 10_000));
        let many = sampled(&mut (0..100_000).map(|n| 10_000 + n * 7919 % 100_000));
        assert!(many.each > few.each && few.each > 1);
        let bounds = Sample::bounds(&[few, many], 3);
        let wanted = [110_000 / 3, 2 * 110_000 / 3];
        for (bound, wanted) in bounds.iter().zip(wanted) {
            let tail = crate::types::io::unhex(bound).unwrap();
            let n = u32::from_be_bytes(tail[..4].try_into().unwrap());
            assert!(n.abs_diff(wanted) < 5_000, "{n} and not {wanted}");
        }
        assert_eq!(Sample::bounds(&[sampled(&mut (0..0))], 3), ["", ""]);
        assert!(Sample::bounds(&[sampled(&mut (0..9))], 1).is_empty());
    }
}
