//! A view: the files of one generation, open and verified, with their masks.
//!
//! [`View::load`] opens what the manifest names and refuses it by name if anything is not what was
//! written; the caller then makes the view anew. [`build`] makes the next generation: it writes
//! files, then masks, then the manifest, whose rename is the switch. Until then readers see the
//! old generation, and after a failure nothing of the new one is left.
//!
//! Files live as long as a view that uses them: a generation that is superseded marks the files
//! that its successor does not share, and the last user's drop removes them. What a crash leaves
//! behind is removed when the folder is loaded next ([`remove_orphans`]).

pub mod build;
pub mod statistics;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::SchemaRef;
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::export::TableShape;
use super::export::file::parquet_error;
use super::export::index::KeyIndex;
use super::files::{CheckedFile, Files, read_whole};
use super::manifest::{FileRecord, Manifest};
use super::mask::FileMask;
use super::rows::schema;
use crate::error::{Error, Result};

/// Identities of open files, for caches.
static NEXT_FILE_ID: AtomicU64 = AtomicU64::new(0);

/// A file of a view, open.
pub struct DataFile {
    /// What the manifest says of it.
    pub record: FileRecord,
    /// Its identity in this process; never used twice.
    pub id: u64,
    /// Where its keys lie.
    pub index: KeyIndex,
    data: CheckedFile,
    footer: ArrowReaderMetadata,
    files: Arc<dyn Files>,
    obsolete: AtomicBool,
}

impl std::fmt::Debug for DataFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.data.path())
    }
}

impl DataFile {
    /// Opens a file and its index and verifies their lengths, the index's tail and the footer.
    /// Its arrays have the types of `schema`.
    pub fn open(
        files: &Arc<dyn Files>,
        record: &FileRecord,
        schema: &SchemaRef,
    ) -> Result<DataFile> {
        let index = KeyIndex::open(
            files.as_ref(),
            &record.index_name(),
            record.index_bytes,
            record.index_crc,
        )?;
        let data = CheckedFile::open(files.as_ref(), &record.data_name(), index.data.clone())?;
        let options = ArrowReaderOptions::new().with_schema(schema.clone());
        let footer = ArrowReaderMetadata::load(&data, options)
            .map_err(|e| parquet_error(data.path(), "read", e))?;
        let rows = footer.metadata().file_metadata().num_rows();
        let groups = footer.metadata().num_row_groups();
        if rows != i64::from(record.rows)
            || index.rows() != record.rows
            || groups != record.rows.div_ceil(record.group_rows) as usize
        {
            return Err(Error::corrupted(format!(
                "file \"{}\" has not the rows that its manifest says",
                data.path()
            )));
        }
        Ok(DataFile {
            record: record.clone(),
            id: NEXT_FILE_ID.fetch_add(1, Ordering::Relaxed),
            index,
            data,
            footer,
            files: files.clone(),
            obsolete: AtomicBool::new(false),
        })
    }

    /// The footer.
    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        self.footer.metadata()
    }

    /// Row groups.
    pub fn groups(&self) -> usize {
        self.metadata().num_row_groups()
    }

    /// Rows of a group.
    pub fn group_rows(&self, group: usize) -> usize {
        self.metadata().row_group(group).num_rows() as usize
    }

    /// Bytes of a column in a group, as stored.
    pub fn chunk_bytes(&self, group: usize, column: usize) -> u64 {
        self.metadata().row_group(group).column(column).byte_range().1
    }

    /// A column of a row group, decoded.
    pub fn read_chunk(&self, group: usize, column: usize) -> Result<ArrayRef> {
        let failed = |e| parquet_error(self.data.path(), "read", e);
        let (start, len) = self.metadata().row_group(group).column(column).byte_range();
        let bytes = self.data.read(start, len as usize)?;
        let chunk = Chunk { file: self.data.clone(), start, bytes };
        let mask = ProjectionMask::roots(self.footer.parquet_schema(), [column]);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(chunk, self.footer.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(self.group_rows(group))
            .build()
            .map_err(failed)?;
        let batches = reader
            .collect::<Result<Vec<RecordBatch>, _>>()
            .map_err(|e| failed(ParquetError::ArrowError(e.to_string())))?;
        let arrays: Vec<&dyn arrow::array::Array> =
            batches.iter().map(|b| b.column(0).as_ref()).collect();
        let array = match batches.as_slice() {
            [batch] => batch.column(0).clone(),
            _ => concat(&arrays).map_err(|e| Error::internal(e.to_string()))?,
        };
        if array.len() != self.group_rows(group) {
            return Err(Error::corrupted(format!("file \"{}\" lacks rows", self.data.path())));
        }
        Ok(array)
    }

    /// Verifies every byte of the Parquet file.
    pub fn verify(&self) -> Result<()> {
        self.data.verify()
    }

    /// Keeps the file in the folder.
    pub fn keep(&self) {
        self.obsolete.store(false, Ordering::Relaxed);
    }

    /// Lets the file go from the folder once nobody uses it.
    pub fn retire(&self) {
        self.obsolete.store(true, Ordering::Relaxed);
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Relaxed) {
            // What cannot be removed now is an orphan that the next start removes.
            let _ = self.files.remove(&self.record.data_name());
            let _ = self.files.remove(&self.record.index_name());
        }
    }
}

impl Length for CheckedFile {
    fn len(&self) -> u64 {
        CheckedFile::len(self)
    }
}

impl ChunkReader for CheckedFile {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let len = CheckedFile::len(self).saturating_sub(start);
        self.get_bytes(start, len as usize).map(Bytes::reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.read(start, length).map_err(|e| ParquetError::External(Box::new(e)))
    }
}

/// One column chunk in memory, verified; other ranges come from the file.
struct Chunk {
    file: CheckedFile,
    start: u64,
    bytes: Bytes,
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Chunk {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        match start.checked_sub(self.start).filter(|at| *at <= self.bytes.len() as u64) {
            Some(at) => Ok(self.bytes.slice(at as usize..).reader()),
            None => self.file.get_read(start),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let at = start.checked_sub(self.start).map(|at| at as usize);
        match at.filter(|at| at + length <= self.bytes.len()) {
            Some(at) => Ok(self.bytes.slice(at..at + length)),
            None => self.file.get_bytes(start, length),
        }
    }
}

/// One generation, open.
pub struct View {
    /// What it is made of.
    pub manifest: Manifest,
    /// Its table, as it was.
    pub shape: TableShape,
    /// The schema of its files.
    pub schema: SchemaRef,
    /// Its files, as the manifest lists them.
    pub files: Vec<Arc<DataFile>>,
    /// The rows of each file that are dead in this generation.
    pub masks: Vec<FileMask>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "View({} generation {})", self.manifest.table.name, self.manifest.generation)
    }
}

impl View {
    /// Opens what a manifest describes; files that `known` has open are shared.
    pub fn open(
        files: &Arc<dyn Files>,
        manifest: Manifest,
        known: &[Arc<DataFile>],
    ) -> Result<View> {
        let shape = TableShape::new(&manifest.table)?;
        if shape.columns != manifest.columns {
            return Err(Error::corrupted(format!(
                "file \"{}\" contradicts itself: columns",
                files.path(super::manifest::NAME)
            )));
        }
        let schema = schema(&shape.columns);
        let open = manifest.files.iter().map(|record| {
            let same = |f: &&Arc<DataFile>| f.record.number == record.number;
            match known.iter().find(same) {
                Some(file) => Ok(file.clone()),
                None => DataFile::open(files, record, &schema).map(Arc::new),
            }
        });
        let open: Vec<Arc<DataFile>> = open.collect::<Result<_>>()?;
        let masks = read_masks(files.as_ref(), &manifest)?;
        Ok(View { schema, shape, files: open, masks, manifest })
    }

    /// The view of a folder; none if it has none. XX001, 58030 or 58P01 if it is not whole.
    pub fn load(files: &Arc<dyn Files>) -> Result<Option<View>> {
        match Manifest::load(files.as_ref())? {
            Some(manifest) => View::open(files, manifest, &[]).map(Some),
            None => Ok(None),
        }
    }

    /// File and position of each of `keys`, which ascend; none where no live row has the key.
    pub fn locate(&self, keys: &[&[u8]]) -> Result<Vec<Option<(usize, u32)>>> {
        let mut found = vec![None; keys.len()];
        for (at, file) in self.files.iter().enumerate() {
            let record = &file.record;
            let from = keys.partition_point(|k| *k < record.first_key.as_slice());
            let to = keys.partition_point(|k| *k <= record.last_key.as_slice());
            let positions = file.index.positions(keys[from..to].iter().copied())?;
            for (place, position) in found[from..to].iter_mut().zip(positions) {
                if let Some(position) = position.filter(|p| !self.masks[at].is_dead(*p)) {
                    *place = Some((at, position));
                }
            }
        }
        Ok(found)
    }
}

fn read_masks(files: &dyn Files, manifest: &Manifest) -> Result<Vec<FileMask>> {
    let bytes = match &manifest.masks {
        Some(record) => {
            let bytes = read_whole(files, &record.name)?;
            if bytes.len() as u64 != record.bytes || crc32fast::hash(&bytes) != record.crc {
                let path = files.path(&record.name);
                return Err(Error::corrupted(format!(
                    "file \"{path}\" is damaged: it is not what was written"
                )));
            }
            bytes
        }
        None => Vec::new(),
    };
    let masks = manifest.files.iter().map(|file| match file.mask {
        None => Ok(FileMask::new(file.rows, file.group_rows)),
        Some((offset, len)) => bytes
            .get(offset as usize..(offset + len) as usize)
            .and_then(|part| FileMask::decode(part, file.rows, file.group_rows))
            .ok_or_else(|| {
                Error::corrupted(format!("masks of \"{}\" cannot be read", file.data_name()))
            }),
    });
    masks.collect()
}

/// Removes every file that `manifest` does not name; all of them if there is none.
pub fn remove_orphans(files: &dyn Files, manifest: Option<&Manifest>) -> Result<()> {
    let named = manifest.map(Manifest::file_names).unwrap_or_default();
    for name in files.list()? {
        if !named.contains(&name) {
            files.remove(&name)?;
        }
    }
    Ok(())
}
