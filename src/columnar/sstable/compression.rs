//! CompressionInfo.db, and the algorithms that it names.
//!
//! ```text
//! name utf · options i32 × (utf, utf) · chunk length i32 · stored raw from i32 · data length i64
//!   · chunks i32 · chunks × offset i64 [· dictionary: kind u8, id i64, length i32, bytes, crc32]
//! ```
//! Offsets are read as the chunks are, so that a large file takes no more memory than a small one.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::bytes::{Bad, Cursor, corrupted};
use super::files::Version;
use crate::error::{Error, Result};

/// Bytes of a chunk at most.
const CHUNK_BYTES_MAX: usize = 1 << 26;
/// Bytes of the names before the offsets at most.
const HEAD_BYTES_MAX: u64 = 1 << 16;
/// Bytes of a dictionary at most.
const DICTIONARY_BYTES_MAX: usize = 1 << 24;
/// Options of a compressor at most.
const OPTIONS_MAX: i32 = 64;
/// The one kind of dictionary there is.
const DICTIONARY_ZSTD: u8 = 0;

/// What is wrong with a chunk, in words.
pub(super) type Wrong = &'static str;

/// Makes chunks whole again.
pub(super) enum Decompressor {
    Lz4,
    Snappy(snap::raw::Decoder),
    Deflate(flate2::Decompress),
    Zstd(zstd::bulk::Decompressor<'static>),
    /// Chunks that are stored as they are.
    Noop,
}

const LENGTH: Wrong = "a chunk has another length than its place says";
const LZ4: Wrong = "a chunk is not what LZ4 writes";
const SNAPPY: Wrong = "a chunk is not what Snappy writes";
const DEFLATE: Wrong = "a chunk is not what Deflate writes";
const ZSTD: Wrong = "a chunk is not what Zstd writes";

impl Decompressor {
    fn of(name: &str, dictionary: &[u8]) -> Option<std::io::Result<Decompressor>> {
        Some(Ok(match name {
            "LZ4Compressor" => Decompressor::Lz4,
            "SnappyCompressor" => Decompressor::Snappy(snap::raw::Decoder::new()),
            "DeflateCompressor" => Decompressor::Deflate(flate2::Decompress::new(true)),
            "ZstdCompressor" | "ZstdDictionaryCompressor" => {
                return Some(
                    zstd::bulk::Decompressor::with_dictionary(dictionary).map(Decompressor::Zstd),
                );
            }
            "NoopCompressor" => Decompressor::Noop,
            _ => return None,
        }))
    }

    /// Fills `whole` from a chunk.
    pub fn run(&mut self, chunk: &[u8], whole: &mut [u8]) -> Result<(), Wrong> {
        if chunk.is_empty() && whole.is_empty() {
            return Ok(());
        }
        let written = match self {
            Decompressor::Lz4 => {
                let (length, block) = chunk.split_first_chunk::<4>().ok_or(LZ4)?;
                if u32::from_le_bytes(*length) as usize != whole.len() {
                    return Err(LENGTH);
                }
                lz4_flex::block::decompress_into(block, whole).map_err(|_| LZ4)?
            }
            Decompressor::Snappy(decoder) => {
                if snap::raw::decompress_len(chunk).map_err(|_| SNAPPY)? != whole.len() {
                    return Err(LENGTH);
                }
                decoder.decompress(chunk, whole).map_err(|_| SNAPPY)?
            }
            Decompressor::Deflate(state) => {
                state.reset(true);
                state
                    .decompress(chunk, whole, flate2::FlushDecompress::Finish)
                    .map_err(|_| DEFLATE)?;
                state.total_out() as usize
            }
            Decompressor::Zstd(state) => {
                state.decompress_to_buffer(chunk, whole).map_err(|_| ZSTD)?
            }
            Decompressor::Noop if chunk.len() == whole.len() => {
                whole.copy_from_slice(chunk);
                chunk.len()
            }
            Decompressor::Noop => return Err(LENGTH),
        };
        if written == whole.len() { Ok(()) } else { Err(LENGTH) }
    }
}

/// The chunks of a Data.db, one after the other.
pub(super) struct Chunks {
    path: PathBuf,
    offsets: BufReader<File>,
    /// Offset of the next chunk, already read.
    next: u64,
    /// Chunks whose offset is not read yet.
    left: u64,
    /// The algorithm's name.
    pub compressor: String,
    pub decompressor: Decompressor,
    /// Bytes of every chunk but the last, decompressed.
    pub chunk_bytes: usize,
    /// Chunks at least this long are stored as they are.
    pub raw_from: usize,
    /// Bytes of the whole file, decompressed.
    pub data_bytes: u64,
}

impl Chunks {
    /// Opens CompressionInfo.db.
    pub fn open(path: PathBuf, version: Version) -> Result<Chunks> {
        let mut file = File::open(&path)?;
        let file_bytes = file.metadata()?.len();
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(HEAD_BYTES_MAX).read_to_end(&mut head)?;
        let bad = |bad: Bad| bad.in_file(&path, 0);
        let mut cursor = Cursor::new(&head);
        let compressor = cursor.utf().map_err(bad)?.to_owned();
        let options = cursor.i32().map_err(bad)?;
        if !(0..=OPTIONS_MAX).contains(&options) {
            return Err(bad(cursor.bad("an impossible number of options")));
        }
        for _ in 0..2 * options {
            cursor.utf().map_err(bad)?;
        }
        let chunk_bytes = cursor.i32().map_err(bad)? as usize;
        if !chunk_bytes.is_power_of_two() || chunk_bytes > CHUNK_BYTES_MAX {
            return Err(bad(cursor.bad("an impossible length of chunks")));
        }
        let raw_from = cursor.i32().map_err(bad)?;
        let raw_from = usize::try_from(raw_from).unwrap_or(0);
        let data_bytes = cursor.i64().map_err(bad)?.max(0) as u64;
        let count = cursor.i32().map_err(bad)?.max(0) as u64;
        let start = cursor.position() as u64;
        // A writer that was told to flush at the very end leaves a chunk of no bytes.
        if count == 0 || data_bytes.div_ceil(chunk_bytes as u64) > count {
            return Err(bad(cursor.bad("the number of chunks does not fit the length")));
        }
        let end = start + 8 * count;
        if end > file_bytes || end < file_bytes && !version.has_dictionaries() {
            return Err(bad(cursor.bad("the file's length does not fit the number of chunks")));
        }
        let dictionary = if end < file_bytes {
            file.seek(SeekFrom::Start(end))?;
            read_dictionary(&mut file, &path, end)?
        } else {
            Vec::new()
        };
        let decompressor = Decompressor::of(&compressor, &dictionary).ok_or_else(|| {
            let message =
                format!("{}: compression by {compressor} is not supported", path.display());
            Error::unsupported_message(message)
        })??;
        file.seek(SeekFrom::Start(start))?;
        let mut chunks = Chunks {
            offsets: BufReader::new(file),
            next: 0,
            left: count,
            compressor,
            decompressor,
            chunk_bytes,
            raw_from,
            data_bytes,
            path,
        };
        chunks.next = chunks.read_offset()?;
        if chunks.next != 0 {
            return Err(corrupted(&chunks.path, start, "the first chunk is not at the beginning"));
        }
        Ok(chunks)
    }

    fn read_offset(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        self.offsets.read_exact(&mut bytes)?;
        self.left -= 1;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Where the next chunk is in Data.db, with its checksum: offset and length. Nothing after the
    /// last.
    pub fn next(&mut self, data_file_bytes: u64) -> Result<Option<(u64, usize)>> {
        let at = self.next;
        if at == u64::MAX {
            return Ok(None);
        }
        self.next = if self.left == 0 { u64::MAX } else { self.read_offset()? };
        let end = if self.next == u64::MAX { data_file_bytes } else { self.next };
        let length = end.checked_sub(at).and_then(|n| usize::try_from(n).ok());
        // What an algorithm may add to bytes that do not compress.
        let most = self.chunk_bytes + self.chunk_bytes / 4 + 1024;
        match length {
            Some(length) if length >= 4 && length <= most && end <= data_file_bytes => {
                Ok(Some((at, length)))
            }
            _ => {
                let what = format!("the chunk at {at} has an impossible length");
                Err(corrupted(&self.path, 0, what))
            }
        }
    }
}

fn read_dictionary(file: &mut File, path: &std::path::Path, at: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(DICTIONARY_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    let read = || -> Result<Vec<u8>, Bad> {
        let mut cursor = Cursor::new(&bytes);
        let kind = cursor.u8()?;
        if kind != DICTIONARY_ZSTD {
            return Err(Bad { at: 0, what: "an unknown kind of dictionary" });
        }
        let id = cursor.i64()?;
        let length = cursor.i32()?;
        let dictionary = cursor.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        let crc = [&[kind][..], &id.to_le_bytes()[..], dictionary].concat();
        if cursor.u32()? != crc32c(&crc) || cursor.remaining() != 0 {
            return Err(Bad { at: 0, what: "the dictionary's checksum does not fit" });
        }
        Ok(dictionary.to_vec())
    };
    read().map_err(|bad| bad.in_file(path, at))
}

/// The checksum of dictionaries, which is not the one of everything else: Castagnoli's.
fn crc32c(bytes: &[u8]) -> u32 {
    /// Its polynomial, with the bits in reverse.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_dictionaries_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn chunks_are_as_long_as_their_place_says() {
        let mut lz4 = Decompressor::Lz4;
        let chunk = lz4_flex::block::compress_prepend_size(b"abcabcabcabcabc");
        let mut whole = [0; 15];
        lz4.run(&chunk, &mut whole).unwrap();
        assert_eq!(&whole, b"abcabcabcabcabc");
        assert_eq!(lz4.run(&chunk, &mut whole[..14]), Err(LENGTH));
        assert_eq!(lz4.run(&chunk[..chunk.len() - 1], &mut whole), Err(LZ4));
        assert_eq!(lz4.run(&[1], &mut whole), Err(LZ4));
        assert_eq!(Decompressor::Noop.run(b"a", &mut whole), Err(LENGTH));
        let mut zstd = Decompressor::of("ZstdCompressor", &[]).unwrap().unwrap();
        assert_eq!(zstd.run(b"nothing of it", &mut whole), Err(ZSTD));
        let mut snappy = Decompressor::of("SnappyCompressor", &[]).unwrap().unwrap();
        assert_eq!(snappy.run(&[0xff; 9], &mut whole), Err(SNAPPY));
        assert!(Decompressor::of("OwnCompressor", &[]).is_none());
    }
}
