//! `COPY … (FORMAT parquet)`: a query's rows into a file or to the client, a file into a table.
//!
//! The file is the server's, so only superusers name one. Its columns are taken by name, and go
//! through the casts of an assignment; text goes through the column's input function, as in the
//! other formats, so that what COPY TO wrote as text comes back. Encoding and decoding happen
//! off the session's own thread.

use std::path::Path;
use std::sync::Arc;

use super::super::Session;
use super::super::client::Client;
use super::super::loading::BATCH_ROWS;
use super::super::names::Named;
use super::super::progress::{CopyProgress, Shown};
use super::super::transfer::copied_columns;
use crate::columnar::exchange::local_path;
use crate::columnar::exchange::read::{ParquetFile, RowReader};
use crate::columnar::exchange::write::{
    Compression, GROUP_ROWS, GROUP_ROWS_MAX, RowWriter, WriteOptions,
};
use crate::error::{Error, Result, SqlState};
use crate::exec::CopyPlace;
use crate::functions::coerce_typmod;
use crate::plan::Plan;
use crate::sql::ParsedStatement;
use crate::sql::statement::{Copy, CopyOptions, CopyTarget};
use crate::types::descriptor::TableDescriptor;
use crate::types::io::{self, FormatSettings};
use crate::types::{BaseType, Datum, Row, SqlType};

/// Rows asked of a query at once.
const QUERY_ROWS: usize = 1024;
/// Rows that are encoded, or decoded, in one go.
const CHUNK_ROWS: usize = 8192;
/// Bytes of a message to the client.
const MESSAGE_BYTES: usize = 64 << 10;

impl Session {
    /// Runs COPY of the format Parquet; how many rows there were.
    pub(in crate::session) async fn copy_parquet(
        &mut self,
        client: &mut impl Client,
        parsed: &ParsedStatement,
        copy: &Copy,
    ) -> Result<u64> {
        if copy.program {
            return Err(Error::unsupported("COPY with a program"));
        }
        let options = layout(&copy.options, copy.from)?;
        match (&copy.file, copy.from) {
            (Some(file), from) => {
                self.may_touch_files(from)?;
                if from {
                    self.copy_from_parquet(parsed, copy, file).await
                } else {
                    self.copy_to_parquet(client, parsed, copy, Some(file), options).await
                }
            }
            (None, false) => self.copy_to_parquet(client, parsed, copy, None, options).await,
            (None, true) => Err(Error::unsupported("COPY FROM STDIN of Parquet")
                .with_hint("A Parquet file is read from its end: name a file of the server.")),
        }
    }

    fn may_touch_files(&self, from: bool) -> Result<()> {
        if self.superuser {
            return Ok(());
        }
        let (right, doing) = match from {
            true => ("pg_read_server_files", "from"),
            false => ("pg_write_server_files", "to"),
        };
        let message = format!(
            "must be superuser or have privileges of the {right} role to COPY {doing} a file"
        );
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message).with_hint(
            "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.",
        ))
    }

    async fn copy_to_parquet(
        &mut self,
        client: &mut impl Client,
        parsed: &ParsedStatement,
        copy: &Copy,
        file: Option<&str>,
        options: WriteOptions,
    ) -> Result<u64> {
        let relative = "relative path not allowed for COPY to file";
        let path = file.map(|file| local_path(file, relative)).transpose()?;
        let (kind, text, _) = self.copied_query(parsed, copy)?;
        let (mut running, mut next) = self.start_copy_to(&kind, &text).await?;
        let plan = running.plan().clone();
        let columns = plan.columns.iter().map(|column| (column.name.to_string(), column.ty));
        let columns: Vec<(String, SqlType)> = columns.collect();
        check_names(&columns)?;
        let named = Named::of_types(columns.iter().map(|c| c.1), |_| false);
        let context = self.eval_context(&running.schema().clone());
        let mut unique = [0; 8];
        self.database.clock.random(&mut unique);
        let unique = u64::from_be_bytes(unique);
        let count_of = columns.len();
        let to_client = path.is_none();
        let mut writer = off_thread(move || match path {
            Some(path) => RowWriter::file(path, unique, &columns, options),
            None => RowWriter::memory(&columns, options),
        })
        .await?;
        if to_client {
            client.copy_out(true, count_of);
        }
        let (mut count, mut chunk) = (0, Vec::new());
        while let Some(mut rows) = next {
            named.write(&mut rows, &context);
            count += rows.len() as u64;
            chunk.append(&mut rows);
            if chunk.len() >= CHUNK_ROWS {
                writer = written(writer, std::mem::take(&mut chunk)).await?;
                send(client, &writer.bytes()).await?;
            }
            next = self.next_batch(&mut running, &[], QUERY_ROWS).await?;
        }
        let writer = written(writer, chunk).await?;
        send(client, &writer.bytes()).await?;
        let rest = off_thread(move || writer.finish()).await?;
        send(client, &rest).await?;
        if to_client {
            client.copy_done();
        }
        Ok(count)
    }

    async fn copy_from_parquet(
        &mut self,
        parsed: &ParsedStatement,
        copy: &Copy,
        file: &str,
    ) -> Result<u64> {
        let CopyTarget::Table(name, columns) = &copy.target else {
            return Err(Error::internal("COPY FROM without a table"));
        };
        self.check_read_write("COPY FROM")?;
        self.copied_table(name, &parsed.text, true)?;
        let path = local_path(file, "relative path not allowed for COPY from file")?;
        let table = self.locked_target(name, &parsed.text).await?;
        let asked = columns.is_some();
        let wanted = copied_columns(&table, columns.as_deref())?;
        let file = off_thread(move || ParquetFile::open(&path)).await?;
        let taken = taken_columns(&file, &table, &wanted, asked)?;
        let names: Vec<String> = taken.iter().map(|column| column.name.clone()).collect();
        let types: Vec<SqlType> = taken.iter().map(Taken::given).collect();
        let plan = self.insert_plan(&table, (&names, &types), parsed, copy.filter.as_ref());
        let plan = plan.map_err(|e| match e.code() {
            // The position would be one in the text of an INSERT that nobody wrote.
            SqlState::DATATYPE_MISMATCH => e.without_position(),
            _ => e,
        })?;
        let shown = file.path().to_owned();
        let places: Vec<usize> = taken.iter().map(|column| column.place).collect();
        let reader = off_thread(move || file.rows(&places, CHUNK_ROWS)).await?;
        let format = self.environment.info(&mut self.settings).format.clone();
        let parsing = Parsing { taken, format, now_micros: self.statement_time };
        self.load_rows(&plan, reader, Arc::new(parsing), &table, &shown).await
    }

    async fn load_rows(
        &mut self,
        plan: &Arc<Plan>,
        mut reader: RowReader,
        parsing: Arc<Parsing>,
        table: &TableDescriptor,
        path: &Path,
    ) -> Result<u64> {
        let shown = Shown::new(&self.backend, CopyProgress::new(table.id.0, true, true));
        let (mut first, mut stored) = (1, 0);
        let place = |error: Error, row: u64| {
            let (table, path) = (&table.name, path.display());
            error.with_context(format!("COPY {table}, row {row} of file \"{path}\""))
        };
        loop {
            let parsing = parsing.clone();
            let read = move || {
                let mut rows = reader.next_rows()?;
                let parsed = rows.as_mut().map_or(Ok(()), |rows| parsing.parse(rows));
                Ok((reader, rows, parsed))
            };
            let (back, rows, parsed) = off_thread(read).await?;
            reader = back;
            let Some(mut rows) = rows else {
                self.end_loads().await?;
                return Ok(stored);
            };
            // Rows before one that cannot be parsed are checked first, as they come first.
            let wrong = parsed.err();
            if let Some((at, _)) = &wrong {
                rows.truncate(*at);
            }
            while !rows.is_empty() {
                let rest = rows.split_off(rows.len().min(BATCH_ROWS));
                let (batch, many) = (rows, first);
                let given = batch.len() as u64;
                first += given;
                rows = rest;
                let done = self.store_rows(plan, batch, wrong.is_none()).await;
                let done = done.map_err(|(error, at)| match at {
                    Some(CopyPlace::Checking(at) | CopyPlace::Storing(at)) => {
                        place(error, many + at as u64)
                    }
                    None => error,
                })?;
                shown.progress.add_rows(done, given - done);
                stored += done;
            }
            if let Some((_, error)) = wrong {
                return Err(place(error, first));
            }
        }
    }
}

/// A column of the file on its way into one of the table.
struct Taken {
    name: String,
    /// Its place in the file.
    place: usize,
    /// Its type there.
    file: SqlType,
    /// The table's.
    table: SqlType,
}

impl Taken {
    /// Whether its text is read as the table's type.
    fn is_parsed(&self) -> bool {
        let text = |ty: SqlType| matches!(ty.base, BaseType::Text | BaseType::Json);
        text(self.file) && self.file.is_array == self.table.is_array
    }

    /// The type that the INSERT is given.
    fn given(&self) -> SqlType {
        if self.is_parsed() { self.table } else { self.file }
    }
}

/// Which columns are taken. Those of the file that the table has not are an error, and so is one
/// that the statement names and the file has not; others keep their default.
fn taken_columns(
    file: &ParquetFile,
    table: &TableDescriptor,
    wanted: &[String],
    asked: bool,
) -> Result<Vec<Taken>> {
    let shown = file.path().display();
    let missing = |message| Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
    let mut taken: Vec<Taken> = Vec::new();
    for (place, column) in file.columns.iter().enumerate() {
        let (name, relation) = (&column.name, &table.name);
        let Some(own) = table.column(name) else {
            return missing(format!(
                "column \"{name}\" of file \"{shown}\" is not a column of relation \"{relation}\""
            ));
        };
        if taken.iter().any(|other| other.name == *name) {
            let message = format!("column \"{name}\" is twice in file \"{shown}\"");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        if wanted.contains(name) {
            let (file, table) = (column.ty, own.ty);
            taken.push(Taken { name: name.clone(), place, file, table });
        }
    }
    let absent = wanted.iter().find(|name| !taken.iter().any(|column| column.name == **name));
    match absent.filter(|_| asked) {
        Some(name) => missing(format!("file \"{shown}\" has no column \"{name}\"")),
        None => Ok(taken),
    }
}

/// Reads text as the tables' types.
struct Parsing {
    taken: Vec<Taken>,
    format: FormatSettings,
    now_micros: i64,
}

impl Parsing {
    /// Parses what is to be parsed; the row of an error.
    fn parse(&self, rows: &mut [Row]) -> Result<(), (usize, Error)> {
        let parsed = self.taken.iter().enumerate().filter(|(_, column)| column.is_parsed());
        let parsed: Vec<(usize, &Taken)> = parsed.collect();
        for (at, row) in rows.iter_mut().enumerate() {
            for (place, column) in &parsed {
                let datum = std::mem::replace(&mut row[*place], Datum::Null);
                row[*place] = self.value(datum, column.table).map_err(|e| {
                    let message = format!("{} in column \"{}\"", e.message(), column.name);
                    (at, Error::new(e.code(), message))
                })?;
            }
        }
        Ok(())
    }

    fn value(&self, datum: Datum, ty: SqlType) -> Result<Datum> {
        let one = |text: &str, ty: SqlType| {
            io::parse_text(text, ty, &self.format, self.now_micros)
                .and_then(|datum| coerce_typmod(datum, ty, false))
        };
        match datum {
            Datum::Text(text) => one(&text, ty),
            Datum::Array(array) => {
                let mut array = (*array).clone();
                for value in &mut array.values {
                    if let Datum::Text(text) = value {
                        *value = one(text, ty.element())?;
                    }
                }
                array.element = ty.base;
                Ok(Datum::Array(Arc::new(array)))
            }
            other => Ok(other),
        }
    }
}

/// Parquet's columns are found by name.
fn check_names(columns: &[(String, SqlType)]) -> Result<()> {
    for (at, (name, _)) in columns.iter().enumerate() {
        if columns[..at].iter().any(|(other, _)| other == name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message)
                .with_hint("Columns of a Parquet file have different names: use AS."));
        }
    }
    if columns.is_empty() {
        return Err(Error::unsupported("COPY of no columns to Parquet"));
    }
    Ok(())
}

/// The options of the format, checked against those that it has not.
fn layout(asked: &CopyOptions, from: bool) -> Result<WriteOptions> {
    for (given, name) in [
        (asked.delimiter.is_some(), "DELIMITER"),
        (asked.null.is_some(), "NULL"),
        (asked.header.is_some(), "HEADER"),
        (asked.quote.is_some(), "QUOTE"),
        (asked.escape.is_some(), "ESCAPE"),
        (asked.force_quote.is_some(), "FORCE_QUOTE"),
        (asked.force_not_null.is_some(), "FORCE_NOT_NULL"),
        (asked.force_null.is_some(), "FORCE_NULL"),
        (asked.encoding.is_some(), "ENCODING"),
        (from && asked.compression.is_some(), "COMPRESSION"),
        (from && asked.row_group_size.is_some(), "ROW_GROUP_SIZE"),
    ] {
        if given {
            let direction = if from { "FROM " } else { "" };
            let message = format!("cannot specify {name} in COPY {direction}of PARQUET mode");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
    }
    let wrong = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let compression = match asked.compression.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("zstd") => Compression::Zstd,
        Some("snappy") => Compression::Snappy,
        Some("none" | "uncompressed") => Compression::None,
        Some(other) => {
            let error = wrong(format!("COPY compression \"{other}\" not recognized"));
            return Err(error.with_hint("Available: zstd, snappy, none."));
        }
    };
    let group_rows = match &asked.row_group_size {
        None => GROUP_ROWS,
        Some(rows) => {
            let rows = rows.parse().ok().filter(|rows| (1..=GROUP_ROWS_MAX).contains(rows));
            let message = format!("row_group_size must be between 1 and {GROUP_ROWS_MAX} rows");
            rows.ok_or_else(|| wrong(message))?
        }
    };
    Ok(WriteOptions { compression, group_rows })
}

/// Runs what computes for long, or waits for a disk.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::internal(format!("COPY of Parquet: {e}")))?
}

async fn written(mut writer: RowWriter, rows: Vec<Row>) -> Result<RowWriter> {
    let write = move || writer.write(&rows).map(|()| writer);
    off_thread(write).await
}

async fn send(client: &mut impl Client, bytes: &[u8]) -> Result<()> {
    for message in bytes.chunks(MESSAGE_BYTES) {
        client.copy_data(message);
        if client.is_full() {
            client.flush().await?;
        }
    }
    Ok(())
}
