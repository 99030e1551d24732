//! One Parquet file and its index.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, LogicalType, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::TableShape;
use super::index::IndexWriter;
use super::sketch::Sketch;
use crate::columnar::annotate::annotated;
use crate::columnar::files::{Files, SummedWriter, io_error};
use crate::columnar::manifest::{FileKind, FileRecord, data_name, index_name};
use crate::columnar::rows::schema;
use crate::error::{Error, Result};

/// How files are laid out.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct FileOptions {
    /// Rows of one file at most: what an incremental refresh writes anew at once.
    pub file_rows_max: u32,
    /// Rows of one row group: what one thread scans at once, and what is cached and pruned.
    pub group_rows: u32,
    /// zstd's level for pages; none leaves them uncompressed.
    pub zstd_level: Option<i32>,
}

impl Default for FileOptions {
    fn default() -> Self {
        FileOptions { file_rows_max: 1 << 20, group_rows: 1 << 17, zstd_level: Some(1) }
    }
}

/// Rows of one data page at most: the step of the page index.
const PAGE_ROWS: usize = 16 * 1024;
/// Chance that a bloom filter lets a row group without the key pass.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Writes one file.
pub struct FileWriter {
    number: u64,
    kind: FileKind,
    path: String,
    group_rows: u32,
    parquet: ArrowWriter<SummedWriter>,
    index: IndexWriter,
    sketches: Vec<Sketch>,
    nans: Vec<bool>,
    first_key: Vec<u8>,
}

impl FileWriter {
    /// Creates file `number`.
    pub fn create(
        files: &dyn Files,
        shape: &TableShape,
        options: &FileOptions,
        kind: FileKind,
        number: u64,
    ) -> Result<FileWriter> {
        let names = [data_name(number), index_name(number)];
        let path = files.path(&names[0]);
        let index = IndexWriter::create(files, &names[1])?;
        let out = SummedWriter::new(files.create(&names[0])?);
        let schema = schema(&shape.columns);
        let types = annotated(&schema, shape.columns.iter().map(|c| c.ty.base), false)?;
        let made = ArrowWriterOptions::new()
            .with_properties(properties(shape, options))
            // Arrow's own types are for others to choose.
            .with_skip_arrow_metadata(true)
            .with_parquet_schema(types);
        let parquet = ArrowWriter::try_new_with_options(out, schema, made)
            .map_err(|e| parquet_error(&path, "write", e))?;
        Ok(FileWriter {
            number,
            kind,
            path,
            group_rows: options.group_rows,
            parquet,
            index,
            sketches: vec![Sketch::default(); shape.columns.len()],
            nans: vec![false; shape.columns.len()],
            first_key: Vec::new(),
        })
    }

    /// Rows written so far.
    pub fn rows(&self) -> u32 {
        self.index.rows()
    }

    /// Writes rows with their keys.
    pub fn write<'k>(
        &mut self,
        batch: &RecordBatch,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<()> {
        for key in keys {
            if self.index.rows() == 0 {
                self.first_key = key.to_vec();
            }
            self.index.push(key)?;
        }
        for (at, array) in batch.columns().iter().enumerate() {
            self.sketches[at].add_array(array);
            self.nans[at] |= has_nan(array);
        }
        self.parquet.write(batch).map_err(|e| parquet_error(&self.path, "write", e))
    }

    /// Makes both files durable.
    pub fn finish(self) -> Result<FileRecord> {
        let index = self.index;
        let out = self.parquet.into_inner().map_err(|e| parquet_error(&self.path, "write", e))?;
        let sums = out.finish().map_err(|e| io_error("fsync", &self.path, e))?;
        let (rows, last_key) = (index.rows(), index.last_key().to_vec());
        let (index_bytes, index_crc) = index.finish(&sums, &self.sketches)?;
        let nan_columns =
            self.nans.iter().enumerate().filter(|(_, nan)| **nan).map(|(at, _)| at as u16);
        Ok(FileRecord {
            number: self.number,
            kind: self.kind,
            rows,
            group_rows: self.group_rows,
            bytes: sums.len,
            index_bytes,
            index_crc,
            first_key: self.first_key,
            last_key,
            nan_columns: nan_columns.collect(),
            mask: None,
        })
    }
}

fn has_nan(array: &dyn Array) -> bool {
    match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().flatten().any(f64::is_nan),
        DataType::Float32 => array.as_primitive::<Float32Type>().iter().flatten().any(f32::is_nan),
        _ => false,
    }
}

fn properties(shape: &TableShape, options: &FileOptions) -> WriterProperties {
    let compression = match options.zstd_level.map(ZstdLevel::try_new) {
        Some(Ok(level)) => Compression::ZSTD(level),
        _ => Compression::UNCOMPRESSED,
    };
    let sorting = shape.key_columns.iter().map(|at| SortingColumn {
        column_idx: *at as i32,
        descending: false,
        nulls_first: false,
    });
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(compression)
        .set_max_row_group_row_count(Some(options.group_rows as usize))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns((!shape.key_columns.is_empty()).then(|| sorting.collect()));
    for (at, column) in shape.columns.iter().enumerate() {
        let path = ColumnPath::from(vec![column.name.clone()]);
        if !column.is_ordered() {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
        if shape.key_columns.contains(&at) {
            builder = builder
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_POSITIVES)
                .set_column_bloom_filter_max_ndv(path, u64::from(options.group_rows));
        }
    }
    builder.build()
}

/// Whether a file says of a column that it is a uuid; those of earlier versions do not.
pub fn has_uuid_type(metadata: &ParquetMetaData, column: usize) -> bool {
    let root = metadata.file_metadata().schema_descr().root_schema();
    let field = root.get_fields().get(column);
    field.is_some_and(|f| f.get_basic_info().logical_type_ref() == Some(&LogicalType::Uuid))
}

/// An error of the Parquet library about a file: the error of ours inside it, if there is one.
pub fn parquet_error(path: &str, doing: &str, e: ParquetError) -> Error {
    match e {
        ParquetError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(inner) => match inner.downcast::<std::io::Error>() {
                Ok(io) => io_error(doing, path, *io),
                Err(inner) => {
                    Error::corrupted(format!("could not {doing} file \"{path}\": {inner}"))
                }
            },
        },
        e if doing == "read" => {
            Error::corrupted(format!("file \"{path}\" is damaged: {e}")).with_source(e)
        }
        e => Error::internal(format!("could not {doing} file \"{path}\": {e}")),
    }
}
