//! Rows out of Parquet files of others.
//!
//! A file's columns have the SQL types of [`FileColumn`]; one that has none makes the file
//! unreadable, by name. Bytes that are not Parquet are 22P04, with the file's name.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::ArrayRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};

use super::{FileColumn, damaged, file_error};
use crate::columnar::values::ColumnReader;
use crate::error::{Error, Result, SqlState};
use crate::types::Row;

/// A file that was looked at.
pub struct ParquetFile {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
    /// Its columns.
    pub columns: Vec<FileColumn>,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
}

impl ParquetFile {
    /// Opens a file and reads its schema.
    pub fn open(path: &Path) -> Result<ParquetFile> {
        let opened = File::open(path);
        let file = opened.map_err(|e| file_error("open", path, " for reading", e))?;
        let known = file.metadata().map_err(|e| file_error("stat", path, "", e))?;
        if known.is_dir() {
            let message = format!("\"{}\" is a directory", path.display());
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        // Types are Parquet's own: what a writer notes of Arrow beside them is its own affair.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&file, options).map_err(|e| damaged(path, e))?;
        let shown = path.to_string_lossy();
        let parquet = metadata.metadata().file_metadata().schema_descr();
        let nodes = parquet.root_schema().get_fields();
        let fields = metadata.schema().fields().iter().zip(nodes);
        let columns = fields.map(|(field, node)| FileColumn::of(field, node, &shown));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = metadata.metadata().file_metadata().num_rows();
        Ok(ParquetFile {
            path: path.to_owned(),
            columns,
            rows: u64::try_from(rows).unwrap_or_default(),
            bytes: known.len(),
            file,
            metadata,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the columns at these places, in their order in the file, some rows at once.
    pub fn rows(self, places: &[usize], batch_rows: usize) -> Result<RowReader> {
        let ParquetFile { path, file, metadata, columns, .. } = self;
        let parquet = metadata.metadata().file_metadata().schema_descr();
        let wanted = ProjectionMask::roots(parquet, places.iter().copied());
        let mut places = places.to_vec();
        places.sort_unstable();
        let columns = places.iter().map(|at| columns[*at].clone()).collect();
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_projection(wanted)
            .with_batch_size(batch_rows)
            .build()
            .map_err(|e| damaged(&path, e))?;
        Ok(RowReader { path, reader, columns })
    }
}

/// Reads the rows of a file.
pub struct RowReader {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    columns: Vec<FileColumn>,
}

impl RowReader {
    /// The next rows; none at the end.
    pub fn next_rows(&mut self) -> Result<Option<Vec<Row>>> {
        let Some(batch) = self.reader.next() else { return Ok(None) };
        let batch = batch.map_err(|e| damaged(&self.path, e.into()))?;
        let named = |e: Error| {
            let message = format!("file \"{}\": {}", self.path.display(), e.message());
            Error::new(e.code(), message)
        };
        let columns = self.columns.iter().zip(batch.columns());
        let arrays = columns.clone().map(|(column, array)| column.taken(array).map_err(named));
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_>>()?;
        let readers: Vec<ColumnReader<'_>> = self
            .columns
            .iter()
            .zip(&arrays)
            .map(|(column, array)| ColumnReader::new(column.ty, array))
            .collect();
        let row = |at| readers.iter().map(|reader| reader.datum(at)).collect::<Result<Row>>();
        (0..batch.num_rows()).map(row).collect::<Result<_>>().map(Some)
    }
}
