//! Statistics.db: the header that rows are encoded by, and what is known of them as a whole.
//!
//! ```text
//! count i32 · crc32 · count × (kind i32, offset i32) · crc32 · count × (component · crc32)
//! ```
//! Kinds are 0 validation (the partitioner), 1 compaction, 2 statistics, 3 header. A component is
//! found through that table of contents alone.

use std::path::Path;

use super::bytes::{Bad, Cursor, corrupted, read_small};
use super::clustering;
use super::files::{Files, Version};
use super::types::{self, CqlType, Place};
use crate::error::{Error, Result};

/// Bytes of a Statistics.db at most.
const BYTES_MAX: u64 = 1 << 28;
/// What timestamps are counted from in the header: 2015-09-22, in microseconds.
const TIMESTAMP_EPOCH: i64 = 1_442_880_000_000_000;
/// What deletion times are counted from in the header, in seconds.
const DELETION_TIME_EPOCH: i64 = 1_442_880_000;
/// Bytes of a checksum.
const CRC_BYTES: usize = 4;

const VALIDATION: i32 = 0;
const COMPACTION: i32 = 1;
const STATISTICS: i32 = 2;
const HEADER: i32 = 3;

/// A column that is not part of the primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: CqlType,
    /// It has a cell for each element.
    pub complex: bool,
}

/// The serialization header.
#[derive(Clone, Debug)]
pub struct Header {
    /// What timestamps are counted from.
    pub min_timestamp: i64,
    /// What deletion times are counted from.
    pub min_deletion_time: i64,
    /// What times to live are counted from.
    pub min_ttl: i32,
    /// Parts of the partition key.
    pub key: Vec<Place>,
    /// Clustering columns.
    pub clustering: Vec<Place>,
    /// Static columns, in the file's order: simple before complex ones, each by name.
    pub statics: Vec<Column>,
    /// Regular columns, in the same order.
    pub regulars: Vec<Column>,
}

/// Statistics of an SSTable.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Partitions.
    pub partitions: u64,
    /// Rows, with those that are deleted or expired.
    pub rows: u64,
    /// The smallest time of writing, in microseconds by convention.
    pub min_timestamp: i64,
    /// The greatest.
    pub max_timestamp: i64,
    /// When the file was repaired, in milliseconds since 1970; 0 if it was not.
    pub repaired_at: i64,
    /// Level of leveled compaction.
    pub level: i32,
}

/// What Statistics.db says.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// The partitioner's class, without its package.
    pub partitioner: String,
    /// The header.
    pub header: Header,
    /// The statistics.
    pub summary: Summary,
}

/// Reads Statistics.db.
pub fn read(files: &Files) -> Result<Statistics> {
    let path = files.path("Statistics.db");
    let bytes = read_small(&path, BYTES_MAX)?;
    let contents = table_of_contents(&bytes).map_err(|bad| bad.in_file(&path, 0))?;
    let component = |kind: i32, name: &str| -> Result<(usize, &[u8])> {
        let found = contents.iter().find(|part| part.kind == kind);
        let part = found.ok_or_else(|| corrupted(&path, 0, format!("there is no {name}")))?;
        Ok((part.at, &bytes[part.at..part.end]))
    };
    let (at, validation) = component(VALIDATION, "partitioner")?;
    let partitioner = Cursor::new(validation).utf().map_err(|b| b.in_file(&path, at as u64))?;
    let (at, header) = component(HEADER, "serialization header")?;
    let header = read_header(header, &path, at)?;
    let (at, statistics) = component(STATISTICS, "statistics")?;
    let summary = read_summary(statistics, files.version, &header)
        .map_err(|bad| bad.in_file(&path, at as u64))?;
    let partitioner = partitioner.rsplit('.').next().unwrap_or(partitioner).to_owned();
    Ok(Statistics { partitioner, header, summary })
}

struct Part {
    kind: i32,
    at: usize,
    end: usize,
}

fn table_of_contents(bytes: &[u8]) -> Result<Vec<Part>, Bad> {
    let mut cursor = Cursor::new(bytes);
    let count = cursor.i32()?;
    checked(&mut cursor, bytes, 0)?;
    let count = usize::try_from(count).ok().filter(|n| (1..=HEADER as usize + 1).contains(n));
    let count = count.ok_or(Bad { at: 0, what: "an impossible number of components" })?;
    let mut starts = Vec::with_capacity(count);
    for _ in 0..count {
        let at = cursor.position();
        let (kind, offset) = (cursor.i32()?, cursor.i32()?);
        if ![VALIDATION, COMPACTION, STATISTICS, HEADER].contains(&kind) {
            return Err(Bad { at, what: "an unknown kind of component" });
        }
        starts.push((kind, usize::try_from(offset).unwrap_or(usize::MAX)));
    }
    // The checksum goes on from the count's, whose own bytes are left out.
    checked(&mut cursor, bytes, 2 * CRC_BYTES)?;
    let mut parts = Vec::with_capacity(count);
    for (n, (kind, at)) in starts.iter().enumerate() {
        let next = starts.get(n + 1).map_or(bytes.len(), |(_, next)| *next);
        let misplaced = Bad { at: *at, what: "a component lies outside the file" };
        if *at < cursor.position() || next > bytes.len() {
            return Err(misplaced);
        }
        let end = next.checked_sub(CRC_BYTES).filter(|end| end >= at).ok_or(misplaced)?;
        let mut crc = Cursor::at(bytes, end);
        if crc.u32()? != crc32fast::hash(&bytes[*at..end]) {
            return Err(Bad { at: end, what: "a component's checksum does not fit" });
        }
        parts.push(Part { kind: *kind, at: *at, end });
    }
    Ok(parts)
}

/// Compares a checksum over the count and over the bytes between `from` and here.
fn checked(cursor: &mut Cursor<'_>, bytes: &[u8], from: usize) -> Result<(), Bad> {
    let end = cursor.position();
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..4]);
    crc.update(&bytes[from.max(4)..end]);
    if cursor.u32()? == crc.finalize() {
        Ok(())
    } else {
        Err(Bad { at: end, what: "the checksum of the table of contents does not fit" })
    }
}

fn read_header(bytes: &[u8], path: &Path, base: usize) -> Result<Header> {
    let mut cursor = Cursor::new(bytes);
    let bad = |bad: Bad| bad.in_file(path, base as u64);
    let min_timestamp = (cursor.vint().map_err(bad)? as i64).wrapping_add(TIMESTAMP_EPOCH);
    let min_deletion_time = i64::from(cursor.vint32().map_err(bad)?) + DELETION_TIME_EPOCH;
    let min_ttl = cursor.vint32().map_err(bad)?;
    let refused = |at: usize, why: String| -> Error {
        let message = format!("{}: {why} (at byte {})", path.display(), base + at);
        Error::unsupported_message(message)
    };
    let text = |cursor: &mut Cursor<'_>| -> Result<(usize, String)> {
        let at = cursor.position();
        let bytes = cursor.prefixed().map_err(bad)?;
        let text = String::from_utf8(bytes.to_vec())
            .map_err(|_| bad(Bad { at, what: "a name is not UTF-8" }))?;
        Ok((at, text))
    };
    let (at, key) = text(&mut cursor)?;
    let key = types::parse_key(&key).map_err(|why| refused(at, why))?;
    let mut clustering = Vec::new();
    for _ in 0..cursor.length().map_err(bad)? {
        let (at, ty) = text(&mut cursor)?;
        clustering.push(types::parse(&ty).map_err(|why| refused(at, why))?);
    }
    let mut columns = || -> Result<Vec<Column>> {
        let start = cursor.position();
        let mut columns = Vec::new();
        for _ in 0..cursor.length().map_err(bad)? {
            let (_, name) = text(&mut cursor)?;
            let (at, ty) = text(&mut cursor)?;
            let Place { ty, complex, .. } = types::parse(&ty).map_err(|why| refused(at, why))?;
            columns.push(Column { name, ty, complex });
        }
        let order = |c: &Column| (c.complex, c.name.clone());
        if columns.windows(2).any(|pair| order(&pair[0]) >= order(&pair[1])) {
            return Err(bad(Bad { at: start, what: "columns are not in order" }));
        }
        Ok(columns)
    };
    let (statics, regulars) = (columns()?, columns()?);
    if cursor.remaining() != 0 {
        return Err(bad(cursor.bad("the header is longer than its columns")));
    }
    let header =
        Header { min_timestamp, min_deletion_time, min_ttl, key, clustering, statics, regulars };
    Ok(header)
}

fn read_summary(bytes: &[u8], version: Version, header: &Header) -> Result<Summary, Bad> {
    let mut cursor = Cursor::new(bytes);
    let partitions = histogram(&mut cursor)?;
    histogram(&mut cursor)?;
    cursor.take(COMMIT_LOG_POSITION)?;
    let (min_timestamp, max_timestamp) = (cursor.i64()?, cursor.i64()?);
    // Least and greatest deletion time and time to live, and the ratio of compression.
    cursor.take(4 * 4)?;
    cursor.f64()?;
    cursor.i32()?;
    let points = count(&mut cursor)?;
    let point = if version.unsigned_deletion_times() { 8 + 4 } else { 8 + 8 };
    cursor.take(points.saturating_mul(point))?;
    let level = cursor.i32()?;
    let repaired_at = cursor.i64()?;
    if version.unsigned_deletion_times() {
        let types = cursor.length()?;
        for _ in 0..types {
            cursor.prefixed()?;
        }
        for _ in 0..2 {
            clustering::skip_bound(&mut cursor, &header.clustering)?;
        }
    } else {
        for _ in 0..2 {
            for _ in 0..count(&mut cursor)? {
                let n = cursor.u16()?;
                cursor.take(usize::from(n))?;
            }
        }
    }
    // Whether there are counter shards of old kinds, and the number of cells.
    cursor.u8()?;
    cursor.i64()?;
    let rows = cursor.i64()?.max(0) as u64;
    Ok(Summary { partitions, rows, min_timestamp, max_timestamp, repaired_at, level })
}

/// Bytes of a position in the commit log.
const COMMIT_LOG_POSITION: usize = 8 + 4;

fn count(cursor: &mut Cursor<'_>) -> Result<usize, Bad> {
    let at = cursor.position();
    let n = cursor.i32()?;
    match usize::try_from(n) {
        Ok(n) if n <= cursor.remaining() => Ok(n),
        _ => Err(Bad { at, what: "an impossible count" }),
    }
}

/// Skips a histogram; gives how many values went into it.
fn histogram(cursor: &mut Cursor<'_>) -> Result<u64, Bad> {
    let mut total = 0_u64;
    for _ in 0..count(cursor)? {
        cursor.i64()?;
        total = total.saturating_add(cursor.i64()?.max(0) as u64);
    }
    Ok(total)
}
