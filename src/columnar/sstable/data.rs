//! The bytes of a Data.db as one stream: read in large blocks, verified, decompressed into one
//! buffer that is used again.
//!
//! ```text
//!           base              base + from         base + to
//!            │ consumed ········ │ window ············ │ free
//! ```
//! [`Data::window`] is what is there and not consumed. [`Data::fill`] makes it longer, moving it to
//! the beginning of the buffer; only that invalidates places in it. The buffer is as long as one
//! block and the longest row together.
//!
//! Verified are: the checksum after every compressed chunk, those of CRC.db for files that are not
//! compressed, and at the end Digest.crc32 over the whole file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::bytes::{Bad, corrupted, read_small};
use super::compression::Chunks;
use super::files::Files;
use crate::error::Result;

/// Bytes of the checksum after a chunk.
const CRC_BYTES: usize = 4;
/// Bytes of a Digest.crc32 at most.
const DIGEST_BYTES_MAX: u64 = 64;
/// Bytes of a CRC.db at most.
const CRC_FILE_BYTES_MAX: u64 = 1 << 28;
/// Bytes between the checksums of CRC.db at most.
const CRC_CHUNK_BYTES_MAX: usize = 1 << 26;

/// A Data.db that is being read.
pub(super) struct Data {
    path: PathBuf,
    file: Raw,
    kind: Kind,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// Where the buffer begins in the decompressed file.
    base: u64,
    /// Bytes of the decompressed file.
    length: u64,
    /// Bytes that are decompressed at once.
    block: usize,
}

enum Kind {
    Compressed(Box<Chunks>),
    Plain {
        /// One checksum for each of so many bytes; none if there is no CRC.db.
        checksums: Vec<u32>,
        chunk_bytes: usize,
        read: u64,
    },
}

impl Data {
    /// Opens it. About `block` bytes are read at once.
    pub fn open(files: &Files, block: usize) -> Result<Data> {
        let path = files.path("Data.db");
        let file = Raw::open(&path, files, block)?;
        let (kind, length) = match files.optional("CompressionInfo.db")? {
            Some(info) => {
                let chunks = Chunks::open(info, files.version)?;
                let length = chunks.data_bytes;
                (Kind::Compressed(Box::new(chunks)), length)
            }
            None => {
                let (checksums, chunk_bytes) = plain_checksums(files, file.bytes, block)?;
                let length = file.bytes;
                (Kind::Plain { checksums, chunk_bytes, read: 0 }, length)
            }
        };
        let buffer = Vec::new();
        Ok(Data { path, file, kind, buffer, from: 0, to: 0, base: 0, length, block })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The algorithm's name; nothing for files that are not compressed.
    pub fn compressor(&self) -> Option<&str> {
        match &self.kind {
            Kind::Compressed(chunks) => Some(&chunks.compressor),
            Kind::Plain { .. } => None,
        }
    }

    /// Bytes of the decompressed file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What is there and not consumed.
    #[inline]
    pub fn window(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    /// Consumes bytes of the window.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.to - self.from);
        self.from += n;
    }

    /// The bytes that the last rows lie in, by offsets from [`Data::place`].
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Where in [`Data::bytes`] the window begins.
    #[inline]
    pub fn place(&self) -> usize {
        self.from
    }

    /// An error about a place in [`Data::bytes`].
    #[cold]
    pub fn corrupted(&self, at: usize, what: impl std::fmt::Display) -> crate::error::Error {
        corrupted(&self.path, self.base + at as u64, what)
    }

    /// An error about a place in the window.
    #[cold]
    pub fn bad(&self, bad: Bad) -> crate::error::Error {
        self.corrupted(self.from + bad.at, bad.what)
    }

    /// Makes the window longer, to at least `wanted` bytes where the file has so many. False at
    /// the end of the file, where it could not grow.
    pub fn fill(&mut self, wanted: usize) -> Result<bool> {
        let have = self.to - self.from;
        let left = self.length - self.base - self.to as u64;
        if left == 0 {
            while self.next_chunk()? {}
            self.file.finish(&self.path)?;
            return Ok(false);
        }
        self.buffer.copy_within(self.from..self.to, 0);
        self.base += self.from as u64;
        (self.from, self.to) = (0, have);
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let goal = have + self.block.max(wanted.saturating_sub(have)).min(most);
        while self.to < goal {
            if !self.next_chunk()? {
                return Err(self.corrupted(self.to, "there are fewer chunks than bytes"));
            }
        }
        Ok(true)
    }

    /// Appends the next chunk to the window; after the last byte, chunks have none. False after
    /// the last.
    fn next_chunk(&mut self) -> Result<bool> {
        let left = self.length - self.base - self.to as u64;
        let offset = self.base + self.to as u64;
        let Data { path, file, kind, buffer, to, .. } = self;
        let make_room = |buffer: &mut Vec<u8>, bytes: usize| {
            if buffer.len() < bytes {
                // Grown for good: what is there is overwritten, not cleared.
                buffer.resize(bytes.next_power_of_two(), 0);
            }
        };
        match kind {
            Kind::Compressed(chunks) => {
                let Some((at, length)) = chunks.next(file.bytes)? else { return Ok(false) };
                let whole = (chunks.chunk_bytes as u64).min(left) as usize;
                make_room(buffer, *to + whole);
                let stored = file.take(path, length)?;
                let (chunk, crc) = stored.split_at(length - CRC_BYTES);
                if crc32fast::hash(chunk).to_be_bytes() != crc {
                    return Err(corrupted(path, at, "a chunk's checksum does not fit"));
                }
                let target = &mut buffer[*to..*to + whole];
                if chunk.len() < chunks.raw_from {
                    chunks.decompressor.run(chunk, target).map_err(|w| corrupted(path, at, w))?;
                } else if chunk.len() == whole {
                    target.copy_from_slice(chunk);
                } else {
                    return Err(corrupted(path, at, "a chunk that is stored raw is too long"));
                }
                *to += whole;
            }
            Kind::Plain { .. } if left == 0 => return Ok(false),
            Kind::Plain { checksums, chunk_bytes, read } => {
                let n = (*chunk_bytes as u64).min(left) as usize;
                make_room(buffer, *to + n);
                let stored = file.take(path, n)?;
                let index = (*read / *chunk_bytes as u64) as usize;
                if !checksums.is_empty() && checksums.get(index) != Some(&crc32fast::hash(stored)) {
                    return Err(corrupted(path, offset, "the checksum in CRC.db does not fit"));
                }
                buffer[*to..*to + n].copy_from_slice(stored);
                *read += n as u64;
                *to += n;
            }
        }
        Ok(true)
    }
}

/// The checksums of CRC.db, and of how many bytes each is.
fn plain_checksums(files: &Files, data_bytes: u64, block: usize) -> Result<(Vec<u32>, usize)> {
    let Some(path) = files.optional("CRC.db")? else { return Ok((Vec::new(), block)) };
    let bytes = read_small(&path, CRC_FILE_BYTES_MAX)?;
    let mut words = bytes.chunks_exact(4).map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]));
    let chunk_bytes = words.next().unwrap_or(0) as usize;
    if chunk_bytes == 0 || chunk_bytes > CRC_CHUNK_BYTES_MAX || bytes.len() % 4 != 0 {
        return Err(corrupted(&path, 0, "an impossible length of chunks"));
    }
    let checksums: Vec<u32> = words.collect();
    if (checksums.len() as u64) < data_bytes.div_ceil(chunk_bytes as u64) {
        return Err(corrupted(&path, bytes.len() as u64, "there are too few checksums"));
    }
    Ok((checksums, chunk_bytes))
}

/// The stored bytes, in order.
struct Raw {
    file: File,
    /// Bytes of the file.
    bytes: u64,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// What Digest.crc32 says, and what it is so far.
    digest: Option<(u32, crc32fast::Hasher)>,
}

impl Raw {
    fn open(path: &Path, files: &Files, block: usize) -> Result<Raw> {
        let named = |e: std::io::Error| {
            let message = format!("could not read {}: {e}", path.display());
            crate::error::Error::new(crate::error::SqlState::IO_ERROR, message)
        };
        let file = File::open(path).map_err(named)?;
        let bytes = file.metadata()?.len();
        let digest = match files.optional("Digest.crc32")? {
            Some(path) => {
                let text = read_small(&path, DIGEST_BYTES_MAX)?;
                let text = std::str::from_utf8(&text).unwrap_or_default().trim();
                let expected = text.parse().map_err(|_| corrupted(&path, 0, "not a checksum"))?;
                Some((expected, crc32fast::Hasher::new()))
            }
            None => None,
        };
        let block = usize::try_from(bytes).unwrap_or(block).min(block);
        Ok(Raw { file, bytes, buffer: vec![0; block], from: 0, to: 0, digest })
    }

    /// The next `n` bytes.
    fn take(&mut self, path: &Path, n: usize) -> Result<&[u8]> {
        if self.to - self.from < n {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
            if self.buffer.len() < n {
                self.buffer.resize(n.next_power_of_two(), 0);
            }
            while self.to < n {
                let read = self.file.read(&mut self.buffer[self.to..])?;
                if read == 0 {
                    return Err(corrupted(path, self.bytes, "the file ends too early"));
                }
                if let Some((_, digest)) = &mut self.digest {
                    digest.update(&self.buffer[self.to..self.to + read]);
                }
                self.to += read;
            }
        }
        let taken = &self.buffer[self.from..self.from + n];
        self.from += n;
        Ok(taken)
    }

    /// At the end: nothing may be left, and the digest has to fit.
    fn finish(&mut self, path: &Path) -> Result<()> {
        let mut rest = self.to - self.from;
        if rest == 0 {
            rest = self.file.read(&mut [0])?;
        }
        if rest != 0 {
            return Err(corrupted(path, self.bytes, "the file is longer than its contents"));
        }
        match self.digest.take() {
            Some((expected, digest)) if digest.clone().finalize() != expected => {
                Err(corrupted(path, self.bytes, "the checksum in Digest.crc32 does not fit"))
            }
            _ => Ok(()),
        }
    }
}
