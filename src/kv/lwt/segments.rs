//! A space's rows at a timestamp, through QUORUM reads, in key order.
//!
//! The ring has another order than the keys, so all is read and sorted first: in memory up to
//! [`RUN_BYTES_MAX`], beyond it in sorted runs on disk that are merged. Agents beside the nodes
//! read their files instead, and sort what they find the same way.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::executor::block_on;
use futures::{SinkExt, StreamExt};

use super::PAGE_ROWS;
use super::gateway::Gateway;
use super::partitions::RingPosition;
use super::read::Reader;
use super::rows::key_at;
use super::snapshots::Snapshot;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::{Entry, Key, KeyRange, Segments, Version};

/// Keys and values sorted in memory; more are sorted in runs.
const RUN_BYTES_MAX: usize = 64 << 20;
/// Pages read before they are sorted.
const PAGES_AHEAD: usize = 2;
/// What an entry takes in memory beside its key and value.
const ENTRY_BYTES: usize = size_of::<Entry>();
/// Buffer of a run that is written or merged.
const BUFFER_BYTES: usize = 64 << 10;

/// See [`crate::kv::Store::segments`].
pub struct RingSegments {
    pub gateway: Arc<Gateway>,
    pub range: KeyRange,
    pub at: Timestamp,
    pub sorted: Option<Sorted>,
}

impl RingSegments {
    fn read_sorted(&self) -> Result<Sorted> {
        // The cluster is asked on the gateway's runtime; this thread has none.
        let (sender, mut pages) = mpsc::channel(PAGES_AHEAD);
        let (done, ended) = oneshot::channel();
        let (gateway, range, at) = (self.gateway.clone(), self.range.clone(), self.at);
        self.gateway.env.spawn(Box::pin(async move {
            let _ = done.send(read_pages(&gateway, &range, at, sender).await);
        }));
        let mut sorter = Sorter::in_dir(self.gateway.options.sort_dir.clone());
        while let Some(page) = block_on(pages.next()) {
            for entry in page {
                sorter.add(entry)?;
            }
        }
        // A task that is gone has not read to the end.
        block_on(ended).map_err(|_| Error::internal("reading a space was given up"))??;
        sorter.finish()
    }
}

/// Sends all pages of a range; ends early when nobody wants them.
async fn read_pages(
    gateway: &Arc<Gateway>,
    range: &KeyRange,
    at: Timestamp,
    mut pages: mpsc::Sender<Vec<Entry>>,
) -> Result<()> {
    let snapshot = gateway.known_snapshot(at).await?;
    let mut after = None;
    loop {
        let page = read_page(gateway, range, &snapshot, &mut after).await?;
        if pages.send(page).await.is_err() || after.is_none() {
            return Ok(());
        }
    }
}

/// The page after a position; moves that on, to none at the end.
async fn read_page(
    gateway: &Arc<Gateway>,
    range: &KeyRange,
    snapshot: &Snapshot,
    after: &mut Option<RingPosition>,
) -> Result<Vec<Entry>> {
    let space = range.space;
    let read = gateway.ring_at(snapshot, space, after.take(), PAGE_ROWS, Reader::Plain).await?;
    let Ok(read) = read else { return Err(Error::internal("a plain read gave way")) };
    *after = read.next;
    let mut entries = Vec::with_capacity(read.rows.len());
    for (pk, ck, Version { ts, value }) in read.rows {
        let key = key_at(space, &pk, &ck);
        if let Some(value) = value.filter(|_| range.contains(&key)) {
            entries.push(Entry { key, ts, value });
        }
    }
    Ok(entries)
}

impl Segments for RingSegments {
    fn next(&mut self, rows_max: usize) -> Result<Vec<Entry>> {
        let sorted = match &mut self.sorted {
            Some(sorted) => sorted,
            None => {
                let sorted = self.read_sorted()?;
                self.sorted.insert(sorted)
            }
        };
        sorted.take(rows_max)
    }
}

/// Takes entries in any order.
pub struct Sorter {
    dir: PathBuf,
    run_bytes_max: usize,
    held: Vec<Entry>,
    held_bytes: usize,
    runs: Vec<BufReader<File>>,
}

impl Sorter {
    /// Sorts in memory, and beyond that in files in `dir`.
    pub fn in_dir(dir: PathBuf) -> Sorter {
        Sorter::new(dir, RUN_BYTES_MAX)
    }

    fn new(dir: PathBuf, run_bytes_max: usize) -> Sorter {
        Sorter { dir, run_bytes_max, held: Vec::new(), held_bytes: 0, runs: Vec::new() }
    }

    /// Takes an entry.
    pub fn add(&mut self, entry: Entry) -> Result<()> {
        self.held_bytes += ENTRY_BYTES + entry.key.bytes().len() + entry.value.len();
        self.held.push(entry);
        if self.held_bytes > self.run_bytes_max {
            self.write_run()?;
        }
        Ok(())
    }

    fn write_run(&mut self) -> Result<()> {
        self.held.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.held_bytes = 0;
        // It has no name: whatever becomes of this process, nothing stays.
        let file = tempfile::tempfile_in(&self.dir)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        for entry in self.held.drain(..) {
            write_entry(&mut out, &entry)?;
        }
        let mut file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.runs.push(BufReader::with_capacity(BUFFER_BYTES, file));
        Ok(())
    }

    /// All of them, in key order.
    pub fn finish(mut self) -> Result<Sorted> {
        if self.runs.is_empty() {
            self.held.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            return Ok(Sorted::Held(self.held.into_iter()));
        }
        self.write_run()?;
        let mut heads = BinaryHeap::with_capacity(self.runs.len());
        for (n, run) in self.runs.iter_mut().enumerate() {
            heads.extend(read_entry(run)?.map(|entry| Reverse(Head { entry, run: n })));
        }
        Ok(Sorted::Merged { runs: self.runs, heads })
    }
}

/// Entries in key order.
pub enum Sorted {
    /// All in memory.
    Held(std::vec::IntoIter<Entry>),
    /// In sorted runs.
    Merged {
        /// The runs.
        runs: Vec<BufReader<File>>,
        /// The next entry of each.
        heads: BinaryHeap<Reverse<Head>>,
    },
}

impl Sorted {
    fn take(&mut self, rows_max: usize) -> Result<Vec<Entry>> {
        let (runs, heads) = match self {
            Sorted::Held(entries) => return Ok(entries.take(rows_max).collect()),
            Sorted::Merged { runs, heads } => (runs, heads),
        };
        let mut taken = Vec::with_capacity(rows_max.min(PAGE_ROWS));
        while taken.len() < rows_max {
            let Some(Reverse(Head { entry, run })) = heads.pop() else { break };
            heads.extend(read_entry(&mut runs[run])?.map(|entry| Reverse(Head { entry, run })));
            taken.push(entry);
        }
        Ok(taken)
    }
}

impl Segments for Sorted {
    fn next(&mut self, rows_max: usize) -> Result<Vec<Entry>> {
        self.take(rows_max)
    }
}

/// The next entry of a run; of two with the same key none comes first.
pub struct Head {
    entry: Entry,
    run: usize,
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.entry.key == other.entry.key
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> std::cmp::Ordering {
        self.entry.key.cmp(&other.entry.key)
    }
}

/// Lengths of the key, of its partition part and of the value, the timestamp, key and value; all
/// numbers are big-endian.
fn write_entry(out: &mut impl Write, entry: &Entry) -> Result<()> {
    let key = entry.key.bytes();
    out.write_all(&(key.len() as u32).to_be_bytes())?;
    out.write_all(&(entry.key.partition_len() as u32).to_be_bytes())?;
    out.write_all(&(entry.value.len() as u32).to_be_bytes())?;
    out.write_all(&entry.ts.0.to_be_bytes())?;
    out.write_all(key)?;
    out.write_all(&entry.value)?;
    Ok(())
}

/// The next entry of a run; none at its end.
fn read_entry(run: &mut impl Read) -> Result<Option<Entry>> {
    let mut number = [0; 4];
    match run.read_exact(&mut number) {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let key_len = u32::from_be_bytes(number) as usize;
    run.read_exact(&mut number)?;
    let partition_len = u32::from_be_bytes(number) as usize;
    run.read_exact(&mut number)?;
    let value_len = u32::from_be_bytes(number) as usize;
    let mut ts = [0; 8];
    run.read_exact(&mut ts)?;
    let mut bytes = vec![0; key_len + value_len];
    run.read_exact(&mut bytes)?;
    let bytes = Bytes::from(bytes);
    let key = Key::from_bytes(bytes.slice(..key_len), partition_len);
    let ts = Timestamp(u64::from_be_bytes(ts));
    Ok(Some(Entry { key, ts, value: bytes.slice(key_len..) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::SpaceId;

    fn entry(n: u32) -> Entry {
        let text = n.to_be_bytes();
        let value = Bytes::from(vec![n as u8; (n % 50) as usize]);
        Entry { key: Key::new(SpaceId(7), &text, 2), ts: Timestamp(u64::from(n)), value }
    }

    #[test]
    fn runs_are_merged_to_one_order() {
        for (run_bytes_max, runs) in [(usize::MAX, false), (4000, true)] {
            let mut sorter = Sorter::new(std::env::temp_dir(), run_bytes_max);
            // Every number below 1009 once, in an order far from sorted.
            for n in 0..1009 {
                sorter.add(entry(n * 512 % 1009)).unwrap();
            }
            assert_eq!(sorter.runs.len() > 10, runs);
            let mut sorted = sorter.finish().unwrap();
            let mut found = Vec::new();
            loop {
                let some = sorted.take(100).unwrap();
                if some.is_empty() {
                    break;
                }
                assert!(some.len() <= 100);
                found.extend(some);
            }
            assert_eq!(found, (0..1009).map(entry).collect::<Vec<_>>());
        }
    }
}
