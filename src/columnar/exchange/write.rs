//! Rows into one Parquet file.
//!
//! A file is written under a temporary name beside its own, synced, and then renamed: who looks
//! sees the old file or the whole new one. A writer that is dropped before leaves nothing. What
//! is in memory is one row group in its encoded form, of `GROUP_BYTES_MAX` at most and a batch.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::types::{Form, form, written_schema, written_type};
use super::{file_error, reason};
use crate::columnar::values::ColumnBuilder;
use crate::error::{Error, Result, SqlState};
use crate::types::io::{self, FormatSettings};
use crate::types::{Datum, Row, SqlType};

/// Rows of a row group where the statement says nothing.
pub const GROUP_ROWS: usize = 1 << 17;
/// Most rows of a row group that a statement may ask for.
pub const GROUP_ROWS_MAX: usize = 1 << 24;
/// Encoded bytes at which a row group ends early: wide rows do not fill the memory.
const GROUP_BYTES_MAX: usize = 128 << 20;
/// Level of zstd.
const ZSTD_LEVEL: i32 = 1;

/// How pages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// zstd
    #[default]
    Zstd,
    /// Snappy
    Snappy,
    /// Not at all.
    None,
}

/// How a file is laid out.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// How pages are compressed.
    pub compression: Compression,
    /// Rows of a row group at most.
    pub group_rows: usize,
}

/// Where the bytes go.
enum Target {
    File(File),
    /// Taken by the caller after each batch.
    Memory(Arc<Mutex<Vec<u8>>>),
}

impl Write for Target {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        match self {
            Target::File(file) => file.write(buf),
            Target::Memory(bytes) => {
                bytes.lock().extend_from_slice(buf);
                Ok(buf.len())
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Removes a file unless it has got its name.
struct Draft {
    temporary: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Writes rows as Parquet.
pub struct RowWriter {
    columns: Vec<Column>,
    schema: SchemaRef,
    writer: ArrowWriter<Target>,
    options: WriteOptions,
    settings: FormatSettings,
    memory: Arc<Mutex<Vec<u8>>>,
    draft: Option<Draft>,
}

impl RowWriter {
    /// A writer into a file, which comes to be at the end. `unique` makes its temporary name one
    /// that nobody else uses.
    pub fn file(
        path: PathBuf,
        unique: u64,
        columns: &[(String, SqlType)],
        options: WriteOptions,
    ) -> Result<RowWriter> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|_| !path.is_dir()) else {
            let message = format!("\"{}\" is a directory", path.display());
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        };
        let temporary = path.with_file_name(format!(".{name}.{unique:016x}.tmp"));
        let file = File::create_new(&temporary)
            .map_err(|e| file_error("open", &path, " for writing", e))?;
        let draft = Draft { temporary, path, kept: false };
        RowWriter::new(Target::File(file), Some(draft), columns, options)
    }

    /// A writer whose bytes are taken by [`RowWriter::bytes`].
    pub fn memory(columns: &[(String, SqlType)], options: WriteOptions) -> Result<RowWriter> {
        let bytes = Arc::new(Mutex::default());
        let mut writer = RowWriter::new(Target::Memory(bytes.clone()), None, columns, options)?;
        writer.memory = bytes;
        Ok(writer)
    }

    fn new(
        target: Target,
        draft: Option<Draft>,
        columns: &[(String, SqlType)],
        options: WriteOptions,
    ) -> Result<RowWriter> {
        let (schema, parquet) = written_schema(columns)?;
        let codec = match options.compression {
            Compression::Zstd => {
                ZstdLevel::try_new(ZSTD_LEVEL).map_or(Codec::UNCOMPRESSED, Codec::ZSTD)
            }
            Compression::Snappy => Codec::SNAPPY,
            Compression::None => Codec::UNCOMPRESSED,
        };
        let properties = WriterProperties::builder()
            .set_created_by(concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(codec)
            .set_max_row_group_row_count(Some(options.group_rows))
            .build();
        let made = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true)
            .with_parquet_schema(parquet);
        let writer = ArrowWriter::try_new_with_options(target, schema.clone(), made)
            .map_err(|e| write_error(draft.as_ref(), e))?;
        let columns = columns.iter().map(|(name, ty)| Column::new(name, *ty));
        Ok(RowWriter {
            columns: columns.collect::<Result<_>>()?,
            schema,
            writer,
            options,
            settings: FormatSettings::default(),
            memory: Arc::default(),
            draft,
        })
    }

    /// Writes rows, which have a value for each column.
    ///
    /// # Errors
    /// 22003 for a value that its column cannot hold, named with the column.
    pub fn write(&mut self, rows: &[Row]) -> Result<()> {
        for rows in rows.chunks(self.options.group_rows) {
            for (at, column) in self.columns.iter_mut().enumerate() {
                for row in rows {
                    column.append(&row[at], &self.settings)?;
                }
            }
            let arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<_>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
            let batch = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
                .map_err(|e| Error::internal(format!("rows do not fit their columns: {e}")))?;
            let draft = self.draft.as_ref();
            self.writer.write(&batch).map_err(|e| write_error(draft, e))?;
            if self.writer.in_progress_size() > GROUP_BYTES_MAX {
                self.writer.flush().map_err(|e| write_error(draft, e))?;
            }
        }
        Ok(())
    }

    /// The bytes written since the last call, of a writer into memory.
    pub fn bytes(&self) -> Vec<u8> {
        std::mem::take(&mut self.memory.lock())
    }

    /// Ends the file; one on disk then has its name, durably. Gives the last bytes of one that
    /// is not.
    pub fn finish(self) -> Result<Vec<u8>> {
        let RowWriter { writer, mut draft, memory, .. } = self;
        let target = writer.into_inner().map_err(|e| write_error(draft.as_ref(), e))?;
        if let (Target::File(file), Some(draft)) = (target, &mut draft) {
            let path = draft.path.clone();
            file.sync_all().map_err(|e| file_error("fsync", &path, "", e))?;
            std::fs::rename(&draft.temporary, &path)
                .map_err(|e| file_error("rename", &path, "", e))?;
            draft.kept = true;
            let folder = path.parent().unwrap_or(Path::new("/"));
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|e| file_error("fsync", folder, "", e))?;
        }
        let bytes = std::mem::take(&mut *memory.lock());
        Ok(bytes)
    }
}

fn write_error(draft: Option<&Draft>, e: ParquetError) -> Error {
    let path = draft.map_or(Path::new("STDOUT"), |draft| &draft.path);
    match e {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => {
                let full = io.kind() == std::io::ErrorKind::StorageFull;
                let code = if full { SqlState::DISK_FULL } else { SqlState::IO_ERROR };
                let why = reason(&io);
                Error::new(code, format!("could not write file \"{}\": {why}", path.display()))
            }
            Err(inner) => Error::internal(format!("could not write Parquet: {inner}")),
        },
        e => Error::internal(format!("could not write Parquet: {e}")),
    }
}

/// A column's values on their way into a batch.
struct Column {
    name: String,
    ty: SqlType,
    values: ColumnBuilder,
    form: Form,
    list: Option<Lists>,
}

/// Where lists end, and which are there.
struct Lists {
    field: FieldRef,
    offsets: Vec<i32>,
    there: Vec<bool>,
}

impl Column {
    fn new(name: &str, ty: SqlType) -> Result<Column> {
        let element = ty.element();
        let form = form(element);
        let built = match form {
            Form::Plain => element,
            Form::Text => SqlType::TEXT,
        };
        let list = match written_type(ty) {
            DataType::List(field) => Some(Lists { field, offsets: vec![0], there: Vec::new() }),
            _ => None,
        };
        let values = ColumnBuilder::new(built, &written_type(element), 0)?;
        Ok(Column { name: name.to_owned(), ty, values, form, list })
    }

    fn append(&mut self, datum: &Datum, settings: &FormatSettings) -> Result<()> {
        let Column { name, ty, values, form, list } = self;
        let mut one = |datum: &Datum| {
            let appended = match (*form, datum) {
                (Form::Text, datum) if !datum.is_null() => {
                    let text = io::text_of(datum, ty.element(), settings);
                    values.append(&Datum::text(text.as_ref()))
                }
                (_, datum) => values.append(datum),
            };
            appended.map_err(|e| {
                let message = format!("{} in column \"{name}\"", e.message());
                Error::new(e.code(), message)
                    .with_hint("Cast the column to text in COPY (SELECT ...) TO.")
            })
        };
        let Some(lists) = list else { return one(datum) };
        let last = lists.offsets.last().copied().unwrap_or_default();
        let count = match datum {
            Datum::Array(array) => {
                array.values.iter().try_for_each(&mut one)?;
                array.values.len()
            }
            Datum::Null => 0,
            other => return Err(Error::internal(format!("{other:?} in an array's column"))),
        };
        lists.there.push(!datum.is_null());
        let end = i32::try_from(count).ok().and_then(|count| last.checked_add(count));
        lists.offsets.push(end.ok_or_else(|| Error::internal("too many elements in a batch"))?);
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let values = self.values.finish();
        let Some(lists) = &mut self.list else { return Ok(values) };
        let offsets = std::mem::replace(&mut lists.offsets, vec![0]);
        let there = NullBuffer::from(std::mem::take(&mut lists.there));
        let offsets = OffsetBuffer::new(offsets.into());
        ListArray::try_new(lists.field.clone(), offsets, values, Some(there))
            .map(|list| Arc::new(list) as ArrayRef)
            .map_err(|e| Error::internal(format!("lists do not fit their column: {e}")))
    }
}
