//! A table's rows at a timestamp, from SSTables of its replicas.
//!
//! ```text
//! SSTables of a quorum ─▶ sstable: merged cell by cell ─▶ kv::lwt::stored: the versions at T
//!                                                          ├─▶ sorted by key ─▶ export
//!                                                          └─▶ keys left to the store
//! ```
//!
//! The caller answers for the files: flushed after the timestamp was resolved, while it was held,
//! and of a quorum of the replicas of every range.

use std::path::{Path, PathBuf};

use arrow::array::{Array as _, ArrayRef, AsArray as _, BinaryArray, RecordBatch};
use bytes::Bytes;

use super::export::Progress;
use super::sstable::table::Table;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::cassandra::stored::Stored as Columns;
use crate::kv::lwt::stored::Stored;
use crate::kv::lwt::{Sorted, Sorter};
use crate::kv::{Key, SpaceId};

/// Rows as files have them.
pub struct Replicas {
    /// Live rows, in key order.
    pub rows: Option<Sorted>,
    /// Keys that files alone do not tell of, in order.
    pub unsettled: Vec<Key>,
}

/// Reads SSTables, each given by its Data.db: none that is missing is left out. Sorts in `dir`.
/// Blocking.
///
/// # Errors
/// Those of [`Table::open`] and of its scan; 54000 where too many rows are being written.
pub fn read(
    files: &[PathBuf],
    space: SpaceId,
    at: Timestamp,
    dir: &Path,
    now: i64,
    progress: &Progress,
) -> Result<Replicas> {
    if files.is_empty() {
        return Ok(Replicas { rows: None, unsettled: Vec::new() });
    }
    let table = Table::open(files, now)?;
    let columns: Vec<(String, String)> =
        table.columns().iter().map(|c| (c.name.clone(), c.ty.to_string())).collect();
    let columns = Columns::new(&columns)?;
    let mut stored = Stored::new(space, at);
    let mut sorter = Sorter::in_dir(dir.to_owned());
    for batch in table.scan_bytes(now)? {
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
                sorter.add(entry)?;
            }
        }
    }
    Ok(Replicas { rows: Some(sorter.finish()?), unsettled: stored.end()? })
}

fn arrays(batch: &RecordBatch) -> Result<Vec<&BinaryArray>> {
    fn binary(array: &ArrayRef) -> Option<&BinaryArray> {
        array.as_binary_opt::<i32>()
    }
    let arrays: Option<Vec<&BinaryArray>> = batch.columns().iter().map(binary).collect();
    arrays.ok_or_else(|| Error::internal("a raw value is no bytes"))
}
