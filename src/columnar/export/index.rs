//! The file beside each Parquet file: where each key lies, and the Parquet file's checksums.
//!
//! Rows of a Parquet file lie in the order of their encoded keys, so the position of a key is its
//! rank. The index keeps the keys themselves, front-coded in blocks, and a directory of the
//! blocks' first keys that stays in memory (schemas/view-manifest.md has the bytes):
//!
//! ```text
//! "SLXI" 01 | block … | tail | crc32(tail) | length of tail | "SLXI"
//! block = (shared varint, rest varint, rest bytes) for each key
//! tail  = rows, block directory, sums of the Parquet file, sketches
//! ```
//!
//! Why keys and not the key columns of the Parquet file: a table with a hidden key has no such
//! columns, and a lookup of one key reads one block of some hundred bytes instead of a page of each
//! key column. A million 12-byte keys of lineitem's shape (order, line) take 4.2 bytes each.

use std::sync::Arc;

use super::sketch::{REGISTERS, Sketch};
use crate::columnar::files::{BlockSums, FileRead, FileWrite, Files, io_error};
use crate::error::{Error, Result};

/// Keys in one block.
pub const BLOCK_KEYS: u32 = 128;
const MAGIC: &[u8; 4] = b"SLXI";
const VERSION: u8 = 1;
/// Block bytes held back until they are written.
const BUFFER_LEN: usize = 256 * 1024;

fn put_varint(mut v: u64, out: &mut Vec<u8>) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut v = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            v |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(v);
            }
        }
        None
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        let mut b = [0; 4];
        b.copy_from_slice(self.bytes(4)?);
        Some(u32::from_le_bytes(b))
    }
}

#[derive(Clone, Debug, Default)]
struct Directory {
    /// Where each block starts; one more for the end of the last.
    offsets: Vec<u64>,
    crcs: Vec<u32>,
    /// First keys after each other, and where each starts.
    firsts: Vec<u8>,
    first_starts: Vec<u32>,
}

impl Directory {
    fn first(&self, block: usize) -> &[u8] {
        let end = self.first_starts.get(block + 1).map_or(self.firsts.len(), |e| *e as usize);
        &self.firsts[self.first_starts[block] as usize..end]
    }

    fn blocks(&self) -> usize {
        self.crcs.len()
    }
}

/// Writes an index while its Parquet file is written.
pub struct IndexWriter {
    file: Box<dyn FileWrite>,
    path: String,
    buffer: Vec<u8>,
    /// Where in `buffer` the open block starts.
    block_start: usize,
    written: u64,
    directory: Directory,
    rows: u32,
    last: Vec<u8>,
}

impl IndexWriter {
    /// Creates the index file `name`.
    pub fn create(files: &dyn Files, name: &str) -> Result<IndexWriter> {
        let mut buffer = Vec::with_capacity(BUFFER_LEN + 4096);
        buffer.extend_from_slice(MAGIC);
        buffer.push(VERSION);
        let block_start = buffer.len();
        Ok(IndexWriter {
            file: files.create(name)?,
            path: files.path(name),
            buffer,
            block_start,
            written: 0,
            directory: Directory::default(),
            rows: 0,
            last: Vec::new(),
        })
    }

    /// Takes the next row's key; keys ascend.
    pub fn push(&mut self, key: &[u8]) -> Result<()> {
        if self.rows > 0 && self.last.as_slice() >= key {
            return Err(Error::corrupted(format!(
                "keys out of order at row {} of \"{}\"",
                self.rows, self.path
            )));
        }
        let shared = if self.rows.is_multiple_of(BLOCK_KEYS) {
            self.end_block()?;
            self.directory.offsets.push(self.written + self.block_start as u64);
            self.directory.first_starts.push(self.directory.firsts.len() as u32);
            self.directory.firsts.extend_from_slice(key);
            0
        } else {
            self.last.iter().zip(key).take_while(|(a, b)| a == b).count()
        };
        put_varint(shared as u64, &mut self.buffer);
        put_varint((key.len() - shared) as u64, &mut self.buffer);
        self.buffer.extend_from_slice(&key[shared..]);
        self.last.truncate(shared);
        self.last.extend_from_slice(&key[shared..]);
        self.rows += 1;
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        if self.rows > 0 {
            self.directory.crcs.push(crc32fast::hash(&self.buffer[self.block_start..]));
        }
        self.block_start = self.buffer.len();
        if self.buffer.len() >= BUFFER_LEN {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.buffer).map_err(|e| io_error("write", &self.path, e))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        self.block_start = 0;
        Ok(())
    }

    /// Rows taken so far.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The key taken last.
    pub fn last_key(&self) -> &[u8] {
        &self.last
    }

    /// Writes the tail, makes the file durable and gives its length and the tail's checksum.
    pub fn finish(mut self, data: &BlockSums, sketches: &[Sketch]) -> Result<(u64, u32)> {
        self.end_block()?;
        self.directory.offsets.push(self.written + self.buffer.len() as u64);
        let mut tail = Vec::new();
        put_varint(u64::from(self.rows), &mut tail);
        put_varint(self.directory.blocks() as u64, &mut tail);
        for block in 0..self.directory.blocks() {
            let ends = &self.directory.offsets[block..block + 2];
            put_varint(ends[1] - ends[0], &mut tail);
            tail.extend_from_slice(&self.directory.crcs[block].to_le_bytes());
            let first = self.directory.first(block);
            put_varint(first.len() as u64, &mut tail);
            tail.extend_from_slice(first);
        }
        put_varint(data.len, &mut tail);
        put_varint(data.sums.len() as u64, &mut tail);
        for sum in &data.sums {
            tail.extend_from_slice(&sum.to_le_bytes());
        }
        put_varint(sketches.len() as u64, &mut tail);
        for sketch in sketches {
            tail.extend_from_slice(sketch.registers());
        }
        let crc = crc32fast::hash(&tail);
        self.buffer.extend_from_slice(&tail);
        self.buffer.extend_from_slice(&crc.to_le_bytes());
        self.buffer.extend_from_slice(&(tail.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(MAGIC);
        self.flush()?;
        self.file.sync().map_err(|e| io_error("fsync", &self.path, e))?;
        Ok((self.written, crc))
    }
}

/// An index open for lookups.
pub struct KeyIndex {
    file: Arc<dyn FileRead>,
    path: String,
    directory: Directory,
    rows: u32,
    /// Checksums of the Parquet file.
    pub data: Arc<BlockSums>,
    /// One sketch for each column of the Parquet file.
    pub sketches: Vec<Sketch>,
}

impl KeyIndex {
    /// Opens an index and verifies its tail: `len` and `crc` are what [`IndexWriter::finish`]
    /// gave. Blocks are verified when they are read.
    pub fn open(files: &dyn Files, name: &str, len: u64, crc: u32) -> Result<KeyIndex> {
        let path = files.path(name);
        let damaged = |what: &str| Error::corrupted(format!("file \"{path}\" is damaged: {what}"));
        let failed = |e| io_error("read", &path, e);
        let file = files.open(name)?;
        if file.byte_len().map_err(failed)? != len || len < 17 {
            return Err(damaged("it has not the length that was written"));
        }
        let mut head = [0; 5];
        file.read_at(0, &mut head).map_err(failed)?;
        if &head[..4] != MAGIC {
            return Err(damaged("it is not an index"));
        }
        if head[4] != VERSION {
            return Err(damaged(&format!("version {} is not known", head[4])));
        }
        let mut foot = [0; 12];
        file.read_at(len - 12, &mut foot).map_err(failed)?;
        let mut foot = Input { bytes: &foot, at: 0 };
        let (stored, tail_len) = (foot.u32(), u64::from(foot.u32().unwrap_or_default()));
        if stored != Some(crc) || tail_len > len - 17 {
            return Err(damaged("its foot is not what was written"));
        }
        let mut tail = vec![0; tail_len as usize];
        file.read_at(len - 12 - tail_len, &mut tail).map_err(failed)?;
        if crc32fast::hash(&tail) != crc {
            return Err(damaged("its tail is not what was written"));
        }
        let parsed = parse_tail(&tail).ok_or_else(|| damaged("its tail cannot be read"))?;
        let (rows, directory, data, sketches) = parsed;
        Ok(KeyIndex { file, path, directory, rows, data: Arc::new(data), sketches })
    }

    /// Rows of the file.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Positions of `keys`, which ascend; none where a key is not in the file.
    pub fn positions<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Result<Vec<Option<u32>>> {
        let mut cursor = BlockCursor::new(self);
        keys.map(|key| {
            let (position, equal) = cursor.seek(key)?;
            Ok(equal.then_some(position))
        })
        .collect()
    }

    /// Position of the first key at or above `key`; the number of rows if there is none.
    pub fn lower_bound(&self, key: &[u8]) -> Result<u32> {
        Ok(BlockCursor::new(self).seek(key)?.0)
    }

    /// All keys, in order, given to `take` with their positions.
    pub fn for_each(&self, mut take: impl FnMut(u32, &[u8]) -> Result<()>) -> Result<()> {
        let mut cursor = BlockCursor::new(self);
        for block in 0..self.directory.blocks() {
            cursor.load(block)?;
            while cursor.step()? {
                take(cursor.position, &cursor.key)?;
            }
        }
        Ok(())
    }
}

fn parse_tail(tail: &[u8]) -> Option<(u32, Directory, BlockSums, Vec<Sketch>)> {
    let mut input = Input { bytes: tail, at: 0 };
    let rows = u32::try_from(input.varint()?).ok()?;
    let blocks = input.varint()?;
    let mut directory = Directory::default();
    let mut offset = 5;
    for _ in 0..blocks {
        directory.offsets.push(offset);
        offset += input.varint()?;
        directory.crcs.push(input.u32()?);
        let first_len = input.varint()? as usize;
        directory.first_starts.push(directory.firsts.len() as u32);
        directory.firsts.extend_from_slice(input.bytes(first_len)?);
    }
    directory.offsets.push(offset);
    let mut data = BlockSums { len: input.varint()?, sums: Vec::new() };
    for _ in 0..input.varint()? {
        data.sums.push(input.u32()?);
    }
    let mut sketches = Vec::new();
    for _ in 0..input.varint()? {
        sketches.push(Sketch::from_registers(input.bytes(REGISTERS)?)?);
    }
    (input.at == tail.len()).then_some((rows, directory, data, sketches))
}

/// Walks keys forward; a block is read once while the keys sought ascend.
struct BlockCursor<'a> {
    index: &'a KeyIndex,
    block: Option<usize>,
    bytes: Vec<u8>,
    at: usize,
    /// The key stepped to last and its position; valid once something was stepped to.
    key: Vec<u8>,
    position: u32,
    stepped: bool,
}

impl<'a> BlockCursor<'a> {
    fn new(index: &'a KeyIndex) -> BlockCursor<'a> {
        BlockCursor {
            index,
            block: None,
            bytes: Vec::new(),
            at: 0,
            key: Vec::new(),
            position: 0,
            stepped: false,
        }
    }

    /// Position of the first key at or above `key`, and whether it is that key. Keys sought
    /// ascend.
    fn seek(&mut self, key: &[u8]) -> Result<(u32, bool)> {
        let directory = &self.index.directory;
        let after = self.block.unwrap_or(0);
        let block = partition_point(after, directory.blocks(), |b| directory.first(b) <= key);
        if block == 0 {
            return Ok((0, false));
        }
        let block = (block - 1).max(after);
        if self.block != Some(block) {
            self.load(block)?;
        }
        if self.stepped && self.key.as_slice() >= key {
            return Ok((self.position, self.key == key));
        }
        while self.step()? {
            if self.key.as_slice() >= key {
                return Ok((self.position, self.key == key));
            }
        }
        // Every key of the block is smaller, and the next block starts above `key`.
        Ok((((block + 1) as u32 * BLOCK_KEYS).min(self.index.rows), false))
    }

    fn damaged(&self) -> Error {
        let block = self.block.unwrap_or_default();
        Error::corrupted(format!("file \"{}\" is damaged in key block {block}", self.index.path))
    }

    fn load(&mut self, block: usize) -> Result<()> {
        let directory = &self.index.directory;
        let (start, end) = (directory.offsets[block], directory.offsets[block + 1]);
        self.bytes.resize((end - start) as usize, 0);
        let read = self.index.file.read_at(start, &mut self.bytes);
        read.map_err(|e| io_error("read", &self.index.path, e))?;
        self.block = Some(block);
        if crc32fast::hash(&self.bytes) != directory.crcs[block] {
            return Err(self.damaged());
        }
        self.at = 0;
        self.key.clear();
        self.position = block as u32 * BLOCK_KEYS;
        self.stepped = false;
        Ok(())
    }

    /// Goes to the next key of the block; false at its end.
    fn step(&mut self) -> Result<bool> {
        if self.at == self.bytes.len() {
            return Ok(false);
        }
        let mut input = Input { bytes: &self.bytes, at: self.at };
        let parts = input.varint().zip(input.varint());
        let rest = parts.and_then(|(shared, rest)| {
            (shared as usize <= self.key.len())
                .then(|| input.bytes(rest as usize).map(|rest| (shared as usize, rest)))?
        });
        let Some((shared, rest)) = rest else { return Err(self.damaged()) };
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
        self.at = input.at;
        if self.stepped {
            self.position += 1;
        }
        self.stepped = true;
        Ok(true)
    }
}

/// The first of `from..to` for which `below` is false; it is true before and false after.
fn partition_point(from: usize, to: usize, below: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (from, to);
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columnar::files::{LocalFiles, read_whole, write_whole};

    fn key(i: u32) -> Vec<u8> {
        format!("{:05}/{}", i / 7, "x".repeat(i as usize % 5) + &format!("{:03}", i % 7))
            .into_bytes()
    }

    fn sorted(n: u32) -> Vec<Vec<u8>> {
        let mut keys: Vec<_> = (0..n).map(|i| key(i * 2)).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    fn write(files: &LocalFiles, keys: &[Vec<u8>]) -> (u64, u32) {
        let mut writer = IndexWriter::create(files, "i").unwrap();
        for key in keys {
            writer.push(key).unwrap();
        }
        let data = BlockSums { len: 70_000, sums: vec![1, 2] };
        writer.finish(&data, &[Sketch::default()]).unwrap()
    }

    #[test]
    fn finds_every_key_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let files = LocalFiles::create(dir.path().to_owned()).unwrap();
        for n in [0, 1, 127, 128, 129, 5000] {
            let keys = sorted(n);
            let (len, crc) = write(&files, &keys);
            let index = KeyIndex::open(&files, "i", len, crc).unwrap();
            assert_eq!(index.rows() as usize, keys.len());
            assert_eq!((index.data.len, index.sketches.len()), (70_000, 1));
            let mut sought: Vec<_> = (0..2 * n + 3).map(key).collect();
            sought.extend([b"".to_vec(), b"~".to_vec()]);
            sought.sort();
            let found = index.positions(sought.iter().map(Vec::as_slice)).unwrap();
            for (key, position) in sought.iter().zip(found) {
                let expected = keys.binary_search(key);
                assert_eq!(position, expected.ok().map(|p| p as u32));
                let bound = expected.unwrap_or_else(|p| p);
                assert_eq!(index.lower_bound(key).unwrap() as usize, bound);
            }
            let mut all = Vec::new();
            index
                .for_each(|position, key| {
                    assert_eq!(position as usize, all.len());
                    all.push(key.to_vec());
                    Ok(())
                })
                .unwrap();
            assert_eq!(all, keys);
        }
    }

    #[test]
    fn keys_out_of_order_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = LocalFiles::create(dir.path().to_owned()).unwrap();
        let mut writer = IndexWriter::create(&files, "i").unwrap();
        writer.push(b"b").unwrap();
        assert!(writer.push(b"b").is_err());
        assert!(writer.push(b"a").is_err());
    }

    #[test]
    fn damage_anywhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = LocalFiles::create(dir.path().to_owned()).unwrap();
        let keys = sorted(300);
        let (len, crc) = write(&files, &keys);
        let bytes = read_whole(&files, "i").unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            write_whole(&files, "i", &damaged).unwrap();
            let read = KeyIndex::open(&files, "i", len, crc)
                .and_then(|index| index.positions(keys.iter().map(Vec::as_slice)));
            // The foot repeats magic bytes that nothing depends on.
            assert!(read.is_err() || at + 4 >= bytes.len(), "byte {at}");
        }
        write_whole(&files, "i", &bytes[..bytes.len() - 1]).unwrap();
        assert!(KeyIndex::open(&files, "i", len, crc).is_err());
    }
}
