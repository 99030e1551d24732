//! The manifest: what a view is made of (schemas/view-manifest.md).
//!
//! One JSON document behind a line with its length and checksum:
//!
//! ```text
//! sluice-view 1 <length> <crc32 of the document, hexadecimal>
//! {"generation":7, ...}
//! ```
//!
//! It is replaced whole, by rename, after every file it names is durable; the rename is the
//! moment a new generation exists. Whatever cannot be verified is refused with the file's name
//! (XX001, or 58030 and 58P01 from the file system): a view is made again from the store, never
//! repaired.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::columnar::files::{Files, read_whole, replace};
use crate::columnar::rows::ColumnShape;
use crate::error::{Error, Result};
use crate::kv::Cursor;
use crate::types::descriptor::TableDescriptor;

/// Name of the manifest in its folder.
pub const NAME: &str = "manifest.json";
/// The format written, and the newest one read.
pub const FORMAT: u32 = 1;
const MAGIC: &str = "sluice-view";

/// A view's description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Counts up with every switch.
    pub generation: u64,
    /// The snapshot the view shows: every commit at or below is in it, no other.
    pub at: Timestamp,
    /// From here on the change log tells what the view does not show.
    pub cursor: Cursor,
    /// When it was made: microseconds since 1970.
    pub made_micros: i64,
    /// The table as it was at the snapshot.
    pub table: TableDescriptor,
    /// The columns of every file, in order.
    pub columns: Vec<ColumnShape>,
    /// Live rows.
    pub rows: u64,
    /// For each column.
    pub statistics: Vec<ColumnStatistics>,
    /// Base files in the order of their keys, then delta files in the order they were made.
    pub files: Vec<FileRecord>,
    /// Where the masks are; none if no row is dead.
    pub masks: Option<MaskRecord>,
    /// The number of the next file.
    pub next_file: u64,
    /// What this generation was made from.
    #[serde(default)]
    pub source: Source,
}

/// What a generation was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// All rows, read through the store; on a cluster at QUORUM.
    Store {
        /// Why not from files, where that was tried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// All rows, from the files of the cluster's nodes.
    Segments {
        /// Which.
        from: String,
    },
    /// The generation before, and the rows that changed since.
    Changes,
}

impl Default for Source {
    fn default() -> Source {
        Source::Store { why: None }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Store { why: None } => f.write_str("store"),
            Source::Store { why: Some(why) } => write!(f, "store: {why}"),
            Source::Segments { from } => write!(f, "sstables of {from}"),
            Source::Changes => f.write_str("changes"),
        }
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// All rows of a range of keys as they were when it was written. Ranges do not overlap.
    Base,
    /// Rows changed since: keys of any range.
    Delta,
}

/// A Parquet file and its index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Number; the files are `<number>.parquet` and `<number>.index`, ten digits.
    pub number: u64,
    /// What it holds.
    pub kind: FileKind,
    /// Rows, dead ones included. Never zero.
    pub rows: u32,
    /// Rows of every row group but the last.
    pub group_rows: u32,
    /// Length of the Parquet file.
    pub bytes: u64,
    /// Length of the index.
    pub index_bytes: u64,
    /// Checksum of the index's tail, which has the checksums of all else.
    pub index_crc: u32,
    /// The first row's key, without the space.
    #[serde(with = "hex")]
    pub first_key: Vec<u8>,
    /// The last row's key.
    #[serde(with = "hex")]
    pub last_key: Vec<u8>,
    /// Places of float columns with a NaN: their statistics, which leave NaNs out, decide nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nan_columns: Vec<u16>,
    /// The file's part of the mask file: offset and length. None if no row is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<(u64, u64)>,
}

impl FileRecord {
    /// Name of the Parquet file.
    pub fn data_name(&self) -> String {
        data_name(self.number)
    }

    /// Name of the index.
    pub fn index_name(&self) -> String {
        index_name(self.number)
    }
}

/// Name of a Parquet file by its number.
pub fn data_name(number: u64) -> String {
    format!("{number:010}.parquet")
}

/// Name of an index by its number.
pub fn index_name(number: u64) -> String {
    format!("{number:010}.index")
}

/// The file with the masks of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskRecord {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its checksum.
    pub crc: u32,
}

/// What is known of a column's values, for the choice of paths and plans.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// NULLs, those of dead rows included.
    pub nulls: u64,
    /// Distinct values, estimated.
    pub distinct: u64,
    /// A lower bound in the type's text form; none where the order of files is not the type's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// An upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// Bytes of the column in the files.
    pub bytes: u64,
}

impl Manifest {
    /// The stored form.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let body = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::internal(format!("manifest cannot be written: {e}")))?;
        let crc = crc32fast::hash(&body);
        let mut bytes = format!("{MAGIC} {FORMAT} {} {crc:08x}\n", body.len()).into_bytes();
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// Reads the stored form; `path` is for messages.
    pub fn decode(bytes: &[u8], path: &str) -> Result<Manifest> {
        let damaged = |what: &str| Error::corrupted(format!("file \"{path}\" is damaged: {what}"));
        let end = bytes.iter().position(|b| *b == b'\n').ok_or_else(|| damaged("no first line"))?;
        let line = std::str::from_utf8(&bytes[..end]).map_err(|_| damaged("no first line"))?;
        let body = &bytes[end + 1..];
        let words: Vec<&str> = line.split(' ').collect();
        let [MAGIC, format, len, crc] = words[..] else { return Err(damaged("no first line")) };
        let format: u32 = format.parse().map_err(|_| damaged("no format number"))?;
        if format > FORMAT {
            return Err(Error::corrupted(format!(
                "file \"{path}\" has format {format}; this version reads up to {FORMAT}"
            )));
        }
        if len.parse() != Ok(body.len()) {
            return Err(damaged("it has not the length that was written"));
        }
        if u32::from_str_radix(crc, 16) != Ok(crc32fast::hash(body)) {
            return Err(damaged("its checksum does not match"));
        }
        let manifest: Manifest =
            serde_json::from_slice(body).map_err(|e| damaged(&e.to_string()))?;
        if manifest.columns.len() != manifest.statistics.len()
            || manifest.files.iter().any(|f| f.rows == 0 || f.group_rows == 0)
        {
            return Err(damaged("it contradicts itself"));
        }
        Ok(manifest)
    }

    /// Makes this the manifest of the folder, atomically and durably.
    pub fn publish(&self, files: &dyn Files) -> Result<()> {
        replace(files, NAME, &self.encode()?)
    }

    /// The manifest of the folder; none if it has none.
    pub fn load(files: &dyn Files) -> Result<Option<Manifest>> {
        if !files.list()?.iter().any(|name| name == NAME) {
            return Ok(None);
        }
        Manifest::decode(&read_whole(files, NAME)?, &files.path(NAME)).map(Some)
    }

    /// Names of every file that belongs to the view.
    pub fn file_names(&self) -> Vec<String> {
        let mut names = vec![NAME.to_owned()];
        for file in &self.files {
            names.extend([file.data_name(), file.index_name()]);
        }
        names.extend(self.masks.iter().map(|m| m.name.clone()));
        names
    }
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::types::io;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&io::hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(input)?;
        io::unhex(&text).ok_or_else(|| D::Error::custom("a key is not hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columnar::files::tests::FullFiles;
    use crate::columnar::files::write_whole;
    use crate::error::SqlState;
    use crate::types::SqlType;
    use crate::types::descriptor::*;

    pub(crate) fn sample() -> Manifest {
        let space = SpaceId(120);
        let id = ColumnId(1);
        let table = TableDescriptor {
            id: TableId(119),
            schema: "public".into(),
            name: "t".into(),
            kind: RelationKind::Table,
            columns: Vec::new(),
            next_column: 2,
            primary: IndexDescriptor {
                oid: 121,
                name: "t_pkey".into(),
                columns: Vec::new(),
                unique: true,
                constraint_oid: None,
                space,
                state: IndexState::Public,
            },
            hidden_key: true,
            partition_columns: 0,
            keys_in_value: false,
            indexes: Vec::new(),
            checks: Vec::new(),
            columnar: true,
            columnar_since: 1,
            loaded: Loaded::Never,
            foreign_keys: Vec::new(),
            owner: "o".into(),
            version: 3,
            foreign: None,
            files: None,
        };
        Manifest {
            generation: 7,
            at: Timestamp::from_millis(1_800_000_000_000).next(),
            cursor: Cursor(bytes::Bytes::from_static(b"\x00c")),
            made_micros: 5,
            table,
            columns: vec![ColumnShape { id, name: "a".into(), ty: SqlType::INT4 }],
            rows: 9,
            statistics: vec![ColumnStatistics { min: Some("-1".into()), ..Default::default() }],
            files: vec![FileRecord {
                number: 4,
                kind: FileKind::Base,
                rows: 10,
                group_rows: 4,
                bytes: 1000,
                index_bytes: 100,
                index_crc: u32::MAX,
                first_key: vec![0, 255],
                last_key: vec![1],
                nan_columns: vec![],
                mask: Some((0, 3)),
            }],
            masks: Some(MaskRecord { name: "7.masks".into(), bytes: 3, crc: 1 }),
            next_file: 5,
            source: Source::Segments { from: "n1".into() },
        }
    }

    #[test]
    fn comes_back() {
        let manifest = sample();
        let bytes = manifest.encode().unwrap();
        assert_eq!(Manifest::decode(&bytes, "m").unwrap(), manifest);
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused_by_name() {
        let manifest = sample();
        let bytes = manifest.encode().unwrap();
        for len in 0..bytes.len() {
            let e = Manifest::decode(&bytes[..len], "the/file").unwrap_err();
            assert_eq!(e.code(), SqlState::DATA_CORRUPTED);
            assert!(e.message().contains("the/file"), "{e}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            // A flip within the checksum's digits may only change their case.
            let read = Manifest::decode(&damaged, "m");
            assert!(read.is_err() || read.unwrap() == manifest, "byte {at}");
        }
    }

    #[test]
    fn a_newer_format_is_refused() {
        let bytes = sample().encode().unwrap();
        let newer = String::from_utf8(bytes).unwrap().replacen("view 1 ", "view 2 ", 1);
        let e = Manifest::decode(newer.as_bytes(), "m").unwrap_err();
        assert!(e.message().contains("format 2"), "{e}");
    }

    #[test]
    fn a_crash_while_writing_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let (files, room) = FullFiles::new(dir.path().to_owned(), i64::MAX);
        assert_eq!(Manifest::load(&*files).unwrap(), None);
        let mut manifest = sample();
        manifest.publish(&*files).unwrap();
        // Half of the next one was written, and the process died before the rename.
        manifest.generation = 8;
        let bytes = manifest.encode().unwrap();
        write_whole(&*files, "manifest.json.tmp", &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(Manifest::load(&*files).unwrap().unwrap().generation, 7);
        room.store(100, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(manifest.publish(&*files).unwrap_err().code(), SqlState::DISK_FULL);
        assert_eq!(Manifest::load(&*files).unwrap().unwrap().generation, 7);
        room.store(i64::MAX, std::sync::atomic::Ordering::SeqCst);
        manifest.publish(&*files).unwrap();
        assert_eq!(Manifest::load(&*files).unwrap().unwrap(), manifest);
    }
}
