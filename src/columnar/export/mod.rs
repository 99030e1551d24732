//! Rows of the store into Parquet files.
//!
//! ```text
//! store.segments(range, at) ─▶ decode: datums, Arrow builders ─▶ batches + keys ─▶ encode:
//! Parquet,
//! (one thread)                                     (bounded)     (another)   index, sketches
//! ```
//!
//! The reader takes entries in key order from a snapshot somebody holds; nothing here reads
//! through a transaction. Memory is bounded by construction: [`QUEUE_BATCHES`] batches of
//! [`BATCH_ROWS`] rows on their way, and one row group being encoded. A file is durable before it
//! is spoken of, and removed when it was not finished.
//!
//! What this does not do: it knows no manifest and no generation (that is `view`), and it never
//! decides what to export.

pub mod file;
pub mod index;
pub mod sketch;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow::array::RecordBatch;

use super::files::Files;
use super::manifest::{FileKind, FileRecord, data_name, index_name};
use super::rows::{ArrowRowWriter, ColumnShape};

use crate::encoding::table::{RowDecoder, TableCodec};
use crate::error::{Error, Result, SqlState};
use crate::kv::{Entry, Segments};
use crate::types::descriptor::{ColumnId, TableDescriptor};
pub use file::{FileOptions, FileWriter};

/// Rows in one batch on its way from the decoder to the encoder.
pub const BATCH_ROWS: usize = 8192;
/// A batch ends early at this many bytes of values.
pub const BATCH_BYTES: usize = 16 << 20;
/// Batches that may wait for the encoder.
pub const QUEUE_BATCHES: usize = 4;
/// Entries asked of the store at once.
const READ_ROWS: usize = 1024;

/// A table as the column path sees it: which columns in which form, and how to read its rows.
#[derive(Clone)]
pub struct TableShape {
    /// The table.
    pub table: TableDescriptor,
    /// Its columns.
    pub columns: Vec<ColumnShape>,
    /// Places of the primary key's columns, in the key's order; empty if the key is hidden.
    pub key_columns: Vec<usize>,
    codec: TableCodec,
    decoder: RowDecoder,
}

impl TableShape {
    /// The shape of `table`.
    pub fn new(table: &TableDescriptor) -> Result<TableShape> {
        let columns: Vec<ColumnShape> = table.columns.iter().map(ColumnShape::of).collect();
        let codec = TableCodec::new(table)?;
        let wanted: Vec<ColumnId> = columns.iter().map(|c| c.id).collect();
        let decoder = codec.decoder(&wanted)?;
        let places =
            table.primary.columns.iter().map(|k| wanted.iter().position(|w| *w == k.column));
        let key_columns = places.map_while(|place| place).collect();
        Ok(TableShape { table: table.clone(), columns, key_columns, codec, decoder })
    }

    /// How rows and keys of the table are written.
    pub fn codec(&self) -> &TableCodec {
        &self.codec
    }

    /// Reads the columns of the shape from a row.
    pub fn decoder(&self) -> &RowDecoder {
        &self.decoder
    }
}

/// Keys of the rows of a batch, without the space, after each other.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Keys {
    /// Appends a key.
    pub fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len() as u32);
    }

    /// The keys, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start as usize..*end as usize])
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// How far an export has come. Readable while it runs; what `pg_stat_progress_*` will show.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows the store is believed to have for it.
    pub rows_total: AtomicU64,
    /// Rows written.
    pub rows_done: AtomicU64,
    /// Bytes of finished files.
    pub bytes_done: AtomicU64,
    /// Finished files.
    pub files_done: AtomicU64,
    stopped: AtomicBool,
}

impl Progress {
    /// Makes the export end soon, with 57014.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// 57014 once it was stopped.
    pub fn check(&self) -> Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Error::new(SqlState::QUERY_CANCELED, "export was stopped"));
        }
        Ok(())
    }
}

/// Files being written, one after the other; numbers them and keeps what was finished. Files of
/// an export that fails are removed when it is dropped.
pub struct FileSink<'a> {
    files: &'a dyn Files,
    shape: &'a TableShape,
    options: &'a FileOptions,
    progress: &'a Progress,
    first_number: u64,
    next_number: u64,
    current: Option<FileWriter>,
    finished: Vec<FileRecord>,
    kept: bool,
}

impl<'a> FileSink<'a> {
    /// A sink of files numbered from `next_number`.
    pub fn new(
        files: &'a dyn Files,
        shape: &'a TableShape,
        options: &'a FileOptions,
        progress: &'a Progress,
        next_number: u64,
    ) -> FileSink<'a> {
        FileSink {
            files,
            shape,
            options,
            progress,
            first_number: next_number,
            next_number,
            current: None,
            finished: Vec::new(),
            kept: false,
        }
    }

    fn write(&mut self, kind: FileKind, mut batch: RecordBatch, mut keys: Keys) -> Result<()> {
        while !keys.is_empty() {
            let writer = match &mut self.current {
                Some(writer) => writer,
                empty => {
                    let number = self.next_number;
                    self.next_number += 1;
                    let new =
                        FileWriter::create(self.files, self.shape, self.options, kind, number);
                    empty.insert(new?)
                }
            };
            let room = (self.options.file_rows_max - writer.rows()) as usize;
            let taken = keys.len().min(room);
            writer.write(&batch.slice(0, taken), keys.iter().take(taken))?;
            self.progress.rows_done.fetch_add(taken as u64, Ordering::Relaxed);
            if taken == room {
                self.end_file()?;
            }
            let mut rest = Keys::default();
            keys.iter().skip(taken).for_each(|key| rest.push(key));
            batch = batch.slice(taken, batch.num_rows() - taken);
            keys = rest;
        }
        Ok(())
    }

    fn end_file(&mut self) -> Result<()> {
        if let Some(writer) = self.current.take() {
            let record = writer.finish()?;
            self.progress
                .bytes_done
                .fetch_add(record.bytes + record.index_bytes, Ordering::Relaxed);
            self.progress.files_done.fetch_add(1, Ordering::Relaxed);
            self.finished.push(record);
        }
        Ok(())
    }

    /// Writes all rows that `source` gives, in files of their own.
    pub fn export(&mut self, kind: FileKind, source: &mut dyn Segments) -> Result<()> {
        let (sender, receiver) = sync_channel(QUEUE_BATCHES);
        let (shape, progress) = (self.shape, self.progress);
        let (decoded, encoded) = std::thread::scope(|scope| {
            let decoder = scope.spawn(move || decode(source, shape, progress, &sender));
            let encoded = self.encode(kind, receiver);
            let decoded = decoder
                .join()
                .unwrap_or_else(|_| Err(Error::internal("the export's reader panicked")));
            (decoded, encoded)
        });
        // The decoder ends early because the encoder failed: the encoder's error is the cause.
        encoded.and(decoded)
    }

    fn encode(&mut self, kind: FileKind, batches: Receiver<(RecordBatch, Keys)>) -> Result<()> {
        for (batch, keys) in batches {
            self.progress.check()?;
            self.write(kind, batch, keys)?;
        }
        self.end_file()
    }

    /// The finished files and the next number. They stay.
    pub fn into_files(mut self) -> (Vec<FileRecord>, u64) {
        self.kept = true;
        (std::mem::take(&mut self.finished), self.next_number)
    }
}

impl Drop for FileSink<'_> {
    fn drop(&mut self) {
        if !self.kept {
            for number in self.first_number..self.next_number {
                // What cannot be removed now is an orphan that the next start removes.
                let _ = self.files.remove(&data_name(number));
                let _ = self.files.remove(&index_name(number));
            }
        }
    }
}

/// Reads and decodes everything `source` has; stops quietly when nobody takes it any more.
fn decode(
    source: &mut dyn Segments,
    shape: &TableShape,
    progress: &Progress,
    out: &SyncSender<(RecordBatch, Keys)>,
) -> Result<()> {
    let mut writer = ArrowRowWriter::of(&shape.columns, BATCH_ROWS)?;
    let mut keys = Keys::default();
    loop {
        progress.check()?;
        let entries = source.next(READ_ROWS)?;
        let end = entries.is_empty();
        for entry in entries {
            writer.append(&shape.decoder.decode_entry(&entry)?)?;
            keys.push(entry.key.tail());
        }
        let full = writer.rows() + READ_ROWS > BATCH_ROWS || writer.bytes() >= BATCH_BYTES;
        if writer.rows() > 0 && (end || full) {
            let batch = (writer.finish()?, std::mem::take(&mut keys));
            if out.send(batch).is_err() {
                return Ok(());
            }
        }
        if end {
            return Ok(());
        }
    }
}

/// Entries already at hand, as a source.
pub struct EntrySource(VecDeque<Entry>);

impl EntrySource {
    /// Gives `entries`, which ascend by key.
    pub fn new(entries: Vec<Entry>) -> EntrySource {
        EntrySource(entries.into())
    }
}

impl Segments for EntrySource {
    fn next(&mut self, rows_max: usize) -> Result<Vec<Entry>> {
        let taken = self.0.len().min(rows_max);
        Ok(self.0.drain(..taken).collect())
    }
}

#[cfg(test)]
mod tests;
