//! Entries in key order: in memory up to [`RUN_BYTES_MAX`], beyond it in sorted runs on disk that
//! are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::PAGE_ROWS;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::{Entry, Key, Segments};

/// Keys and values sorted in memory; more are sorted in runs.
const RUN_BYTES_MAX: usize = 64 << 20;
/// What an entry takes in memory beside its key and value.
const ENTRY_BYTES: usize = size_of::<Entry>();
/// Buffer of a run that is written or merged.
const BUFFER_BYTES: usize = 64 << 10;

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
        Sorted::of(self.runs)
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
    fn of(mut runs: Vec<BufReader<File>>) -> Result<Sorted> {
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (n, run) in runs.iter_mut().enumerate() {
            heads.extend(read_entry(run)?.map(|entry| Reverse(Head { entry, run: n })));
        }
        Ok(Sorted::Merged { runs, heads })
    }

    /// Merges runs that [`Sorted::part`] wrote, from the same or other entries.
    pub fn merge(runs: &[PathBuf]) -> Result<Sorted> {
        let open = |run| Ok(BufReader::with_capacity(BUFFER_BYTES, File::open(run)?));
        Sorted::of(runs.iter().map(open).collect::<Result<_>>()?)
    }

    /// Writes all of them to runs in a folder: those whose keys lie, without their space, below
    /// the first bound, those from there up to the second, and so on. The bounds do not descend.
    pub fn part(mut self, bounds: &[Bytes], dir: &Path) -> Result<Vec<PathBuf>> {
        let mut runs = Vec::new();
        let mut entries = Vec::new().into_iter();
        for n in 0..=bounds.len() {
            let path = dir.join(format!("part-{n}"));
            let mut out = BufWriter::with_capacity(BUFFER_BYTES, File::create(&path)?);
            runs.push(path);
            loop {
                if entries.as_slice().is_empty() {
                    entries = self.take(PAGE_ROWS)?.into_iter();
                }
                let is_here =
                    |entry: &Entry| bounds.get(n).is_none_or(|b| entry.key.tail() < &b[..]);
                if !entries.as_slice().first().is_some_and(is_here) {
                    break;
                }
                entries.next().map_or(Ok(()), |entry| write_entry(&mut out, &entry))?;
            }
            out.flush()?;
        }
        Ok(runs)
    }

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

    #[test]
    fn parts_of_several_are_merged_again() {
        let dir = tempfile::tempdir().unwrap();
        let tail = |n| Bytes::copy_from_slice(entry(n).key.tail());
        let bounds = [tail(300), tail(300), tail(700)];
        let of = |share: u32, run_bytes_max| {
            let mut sorter = Sorter::new(std::env::temp_dir(), run_bytes_max);
            (0..1000).rev().filter(|n| n % 3 == share).for_each(|n| sorter.add(entry(n)).unwrap());
            let dir = dir.path().join(share.to_string());
            std::fs::create_dir(&dir).unwrap();
            sorter.finish().unwrap().part(&bounds, &dir).unwrap()
        };
        let shares = [of(0, usize::MAX), of(1, 4000), of(2, 0)];
        for (part, numbers) in [0..300, 300..300, 300..700, 700..1000].into_iter().enumerate() {
            let runs: Vec<PathBuf> = shares.iter().map(|runs| runs[part].clone()).collect();
            let found = Sorted::merge(&runs).unwrap().take(2000).unwrap();
            assert_eq!(found, numbers.map(entry).collect::<Vec<_>>());
        }
        let none = Sorter::in_dir(std::env::temp_dir()).finish().unwrap();
        let runs = none.part(&[Bytes::new()], dir.path()).unwrap();
        assert!(Sorted::merge(&runs).unwrap().take(1).unwrap().is_empty());
    }
}
