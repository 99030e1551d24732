//! `sluice sstable`: what the files are, and their rows as CSV, JSON or Parquet.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::{Array as _, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::data::Data;
use super::files::{self, TableName};
use super::statistics;
use super::table::{Output, Table};
use super::text::{self, Form};
use crate::error::{Error, Result, SqlState};

/// Level of zstd in Parquet files.
const ZSTD_LEVEL: i32 = 1;
/// Bytes that opening a file to look at it may read at once.
const LOOK_BYTES: usize = 4096;

/// What rows are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header and a line for each row.
    Csv,
    /// An object on a line for each row.
    Json,
    /// Apache Parquet, compressed with zstd.
    Parquet,
    /// Their number alone, after all of them were read.
    Count,
}

/// Writes the rows that are alive at `now`, in seconds since 1970. Gives how many.
///
/// # Errors
/// As for [`Table::scan`], and those of writing. A file that could not be written to its end is
/// removed.
pub fn dump(table: &Table, now: i64, format: Format, output: Option<&Path>) -> Result<u64> {
    let written = match output {
        None if format == Format::Parquet => {
            let message = "Parquet is not written to the standard output";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .with_hint("Name a file with --output."));
        }
        None => write_rows(table, now, format, std::io::stdout().lock()),
        Some(path) => {
            let file = File::create(path).map_err(|e| {
                let message = format!("could not write {}: {e}", path.display());
                Error::new(SqlState::IO_ERROR, message)
            })?;
            let written = match format {
                Format::Parquet => write_parquet(table, now, file),
                _ => write_rows(table, now, format, file),
            };
            if written.is_err() {
                let _ = std::fs::remove_file(path);
            }
            written
        }
    };
    match written {
        // Who reads has enough.
        Err(error) if is_broken_pipe(&error) => Ok(0),
        other => other,
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let source = error.fields().source.as_ref();
    let io = source.and_then(|s| s.downcast_ref::<std::io::Error>());
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

fn write_rows(table: &Table, now: i64, format: Format, to: impl Write) -> Result<u64> {
    let mut to = BufWriter::with_capacity(1 << 20, to);
    let columns = table.columns();
    let mut line = String::new();
    let count_only = format == Format::Count;
    if format == Format::Csv {
        for (n, column) in columns.iter().enumerate() {
            line.push_str(if n == 0 { "" } else { "," });
            csv_field(&mut line, &column.name);
        }
        writeln!(to, "{line}")?;
    }
    let mut count = 0;
    for batch in table.scan(now)? {
        let batch = batch?;
        for row in 0..if count_only { 0 } else { batch.num_rows() } {
            line.clear();
            let written = match format {
                Format::Csv => csv_line(&mut line, columns, &batch, row),
                _ => json_line(&mut line, columns, &batch, row),
            };
            written.map_err(|_| Error::internal("a value has no text"))?;
            line.push('\n');
            to.write_all(line.as_bytes())?;
        }
        count += batch.num_rows() as u64;
    }
    if count_only {
        writeln!(to, "{count}")?;
    }
    to.flush()?;
    Ok(count)
}

fn csv_line(
    line: &mut String,
    columns: &[Output],
    batch: &RecordBatch,
    row: usize,
) -> std::fmt::Result {
    let mut field = String::new();
    for (n, (column, array)) in columns.iter().zip(batch.columns()).enumerate() {
        line.push_str(if n == 0 { "" } else { "," });
        if array.is_null(row) {
            continue;
        }
        field.clear();
        text::write(&mut field, &column.ty, array, row, Form::Plain)?;
        csv_field(line, &field);
    }
    Ok(())
}

/// A field; an empty one is null, so an empty text has quotes.
fn csv_field(line: &mut String, field: &str) {
    if field.is_empty() || field.contains(['"', ',', '\n', '\r']) {
        line.push('"');
        line.push_str(&field.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(field);
    }
}

fn json_line(
    line: &mut String,
    columns: &[Output],
    batch: &RecordBatch,
    row: usize,
) -> std::fmt::Result {
    line.push('{');
    for (n, (column, array)) in columns.iter().zip(batch.columns()).enumerate() {
        line.push_str(if n == 0 { "" } else { ", " });
        text::json_name(line, &column.name)?;
        line.push_str(": ");
        if array.is_null(row) {
            line.push_str("null");
        } else {
            text::write(line, &column.ty, array, row, Form::Json)?;
        }
    }
    line.push('}');
    Ok(())
}

fn write_parquet(table: &Table, now: i64, file: File) -> Result<u64> {
    let failed = |e: parquet::errors::ParquetError| {
        Error::new(SqlState::IO_ERROR, format!("could not write Parquet: {e}")).with_source(e)
    };
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(failed)?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let mut writer =
        ArrowWriter::try_new(file, table.schema(), Some(properties)).map_err(failed)?;
    let mut count = 0;
    for batch in table.scan(now)? {
        let batch = batch?;
        writer.write(&batch).map_err(failed)?;
        count += batch.num_rows() as u64;
    }
    writer.close().map_err(failed)?;
    Ok(count)
}

/// What one SSTable is.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its Data.db.
    pub data: PathBuf,
    /// Of its folder.
    pub table: Option<String>,
    /// `nb`, `oa`, …
    pub version: &'static str,
    /// `big` or `bti`.
    pub format: &'static str,
    /// The compressor; nothing where it is not compressed.
    pub compressor: Option<String>,
    /// Bytes of Data.db.
    pub bytes: u64,
    /// Bytes of it, decompressed.
    pub bytes_decompressed: u64,
    /// What Statistics.db says.
    pub summary: statistics::Summary,
}

/// Looks at the SSTables that paths name, of whatever tables.
///
/// # Errors
/// As for [`Table::open`].
pub fn list(paths: &[PathBuf]) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for files in files::find(paths)? {
        let statistics = statistics::read(&files)?;
        let data = Data::open(&files, LOOK_BYTES)?;
        listed.push(Listed {
            data: data.path().to_owned(),
            table: TableName::of(&files.folder).map(|name| name.full()),
            version: files.version.name(),
            format: files.version.format(),
            compressor: data.compressor().map(str::to_owned),
            bytes: std::fs::metadata(data.path())?.len(),
            bytes_decompressed: data.length(),
            summary: statistics.summary,
        });
    }
    Ok(listed)
}

/// A time of writing, in microseconds since 1970 by convention, as text.
pub fn time_of_writing(micros: i64) -> String {
    text::timestamp(micros.div_euclid(1000))
}
