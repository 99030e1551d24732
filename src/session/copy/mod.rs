//! The formats of COPY: bytes to rows and rows to bytes.
//!
//! A [`Reader`] is fed whatever pieces arrive and gives whole rows as soon as it has them; a
//! [`Writer`] appends to a buffer. Text and CSV follow PostgreSQL's `copyfromparse.c` and
//! `copyto.c`, binary its documented layout (manual, COPY, "Binary Format"). Nothing here knows
//! tables or the wire.

mod binary;
mod csv;
mod text;

#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};

use crate::error::{Error, Result, SqlState};
use crate::functions::coerce_typmod;
use crate::types::io::{self, FormatSettings};
use crate::types::{Datum, Row, SqlType};

/// Longest line or field group kept while waiting for its end.
pub const LINE_BYTES_MAX: usize = 1 << 30;

/// The three formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyFormat {
    #[default]
    /// Columns between delimiters, with escapes.
    Text,
    /// Comma-separated values.
    Csv,
    /// The types' binary forms.
    Binary,
}

/// Which columns a FORCE_… option names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Force {
    /// None.
    #[default]
    Never,
    /// `*`
    All,
    /// These, by place in the column list.
    Columns(Vec<usize>),
}

impl Force {
    fn covers(&self, column: usize) -> bool {
        match self {
            Force::Never => false,
            Force::All => true,
            Force::Columns(columns) => columns.contains(&column),
        }
    }
}

/// COPY's options, checked and with their defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// FORMAT
    pub format: CopyFormat,
    /// DELIMITER: one byte.
    pub delimiter: u8,
    /// NULL
    pub null: String,
    /// HEADER
    pub header: bool,
    /// HEADER MATCH: the header must name the columns.
    pub header_match: bool,
    /// QUOTE
    pub quote: u8,
    /// ESCAPE
    pub escape: u8,
    /// FORCE_QUOTE
    pub force_quote: Force,
    /// FORCE_NOT_NULL
    pub force_not_null: Force,
    /// FORCE_NULL
    pub force_null: Force,
}

impl CopyOptions {
    /// The defaults of a format.
    pub fn new(format: CopyFormat) -> CopyOptions {
        let csv = format == CopyFormat::Csv;
        CopyOptions {
            format,
            delimiter: if csv { b',' } else { b'\t' },
            null: if csv { String::new() } else { "\\N".to_owned() },
            header: false,
            header_match: false,
            quote: b'"',
            escape: b'"',
            force_quote: Force::Never,
            force_not_null: Force::Never,
            force_null: Force::Never,
        }
    }

    /// Whether the options agree with each other; PostgreSQL's errors where they do not.
    pub fn check(&self) -> Result<()> {
        let wrong =
            |message: &str| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message.to_owned()));
        if matches!(self.delimiter, b'\n' | b'\r') {
            return wrong("COPY delimiter cannot be newline or carriage return");
        }
        if self.null.contains(['\n', '\r']) {
            return wrong("COPY null representation cannot use newline or carriage return");
        }
        let reserved = b"\\.abcdefghijklmnopqrstuvwxyz0123456789";
        if self.format == CopyFormat::Text && reserved.contains(&self.delimiter) {
            let shown = self.delimiter as char;
            return wrong(&format!("COPY delimiter cannot be \"{shown}\""));
        }
        if self.null.as_bytes().contains(&self.delimiter) {
            return wrong("COPY delimiter must not appear in the NULL specification");
        }
        if self.format == CopyFormat::Csv {
            if self.delimiter == self.quote {
                return wrong("COPY delimiter and quote must be different");
            }
            if self.null.as_bytes().contains(&self.quote) {
                return wrong("CSV quote character must not appear in the NULL specification");
            }
        }
        Ok(())
    }
}

/// A column of a COPY.
#[derive(Clone, Debug)]
pub struct CopyColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
}

/// Names the place of an error as PostgreSQL's context line does.
pub(super) struct Place<'a> {
    table: &'a str,
    line: u64,
}

impl Place<'_> {
    fn line(&self, error: Error) -> Error {
        error.with_context(format!("COPY {}, line {}", self.table, self.line))
    }

    fn column(&self, error: Error, column: &str, value: Option<&str>) -> Error {
        let value = value.map(shortened);
        let shown = value.map_or_else(|| "null input".to_owned(), |v| format!("\"{v}\""));
        let Place { table, line } = self;
        error.with_context(format!("COPY {table}, line {line}, column {column}: {shown}"))
    }

    /// A field of which there is no text to show.
    fn field(&self, error: Error, column: &str) -> Error {
        let Place { table, line } = self;
        error.with_context(format!("COPY {table}, line {line}, column {column}"))
    }

    fn content(&self, error: Error, content: &str) -> Error {
        let Place { table, line } = self;
        error.with_context(format!("COPY {table}, line {line}: \"{}\"", shortened(content)))
    }
}

/// Values in messages are cut, as PostgreSQL's `limit_printout_length` does.
fn shortened(value: &str) -> String {
    const SHOWN_BYTES_MAX: usize = 100;
    if value.len() <= SHOWN_BYTES_MAX {
        return value.to_owned();
    }
    let mut end = SHOWN_BYTES_MAX;
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &value[..end])
}

/// A row that was read.
#[derive(Clone, Debug)]
pub struct CopyRow {
    /// Its columns.
    pub values: Row,
    /// The number of its last line.
    pub line: u64,
    /// Its text, line end excluded; empty for binary rows.
    pub text: Bytes,
}

/// How far the search for the end of the first pending line has come.
#[derive(Clone, Copy, Default)]
struct Scan {
    at: usize,
    quoted: bool,
    /// Line ends inside quotes.
    embedded: u64,
}

/// Turns COPY data into rows.
pub struct Reader {
    options: CopyOptions,
    table: String,
    columns: Vec<CopyColumn>,
    types: Vec<SqlType>,
    settings: FormatSettings,
    now_micros: i64,
    pending: BytesMut,
    scan: Scan,
    line: u64,
    ended: bool,
    binary: binary::ReaderState,
}

impl Reader {
    /// A reader of rows with these columns. `now_micros` is what 'now' means in date values.
    pub fn new(
        options: CopyOptions,
        table: impl Into<String>,
        columns: Vec<CopyColumn>,
        settings: FormatSettings,
        now_micros: i64,
    ) -> Reader {
        Reader {
            options,
            table: table.into(),
            types: columns.iter().map(|column| column.ty).collect(),
            columns,
            settings,
            now_micros,
            pending: BytesMut::new(),
            scan: Scan::default(),
            line: 0,
            ended: false,
            binary: binary::ReaderState::default(),
        }
    }

    /// Takes a piece of data.
    ///
    /// # Errors
    /// 54000 for a line that is too long.
    pub fn feed(&mut self, data: &[u8]) -> Result<()> {
        self.pending.extend_from_slice(data);
        if self.pending.len() > LINE_BYTES_MAX {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("COPY line is longer than {LINE_BYTES_MAX} bytes"),
            ));
        }
        Ok(())
    }

    /// The next row that is here whole; `last`: no more data will come.
    ///
    /// # Errors
    /// 22P04 for a malformed line or data that ends inside a row, 22021 for bytes that are not
    /// UTF-8, whatever the types' input raises; the context names line and column.
    pub fn next(&mut self, last: bool) -> Result<Option<CopyRow>> {
        if self.options.format == CopyFormat::Binary {
            return self.next_binary(last);
        }
        while !self.ended && !self.pending.is_empty() {
            let found = if self.options.format == CopyFormat::Csv {
                csv::line_end(&self.pending, &self.options, last, &mut self.scan)
            } else {
                text::line_end(&self.pending, last, &mut self.scan)
            };
            let Some((len, used)) = found else {
                return if last { Err(self.unterminated()) } else { Ok(None) };
            };
            let mut text = self.pending.split_to(used).freeze();
            text.truncate(len);
            self.begin_line();
            if *text == *b"\\." {
                self.ended = true;
            } else if self.line == 1 && self.options.header {
                self.check_header(&text)?;
            } else {
                let values = self.row(&text)?;
                return Ok(Some(CopyRow { values, line: self.line, text }));
            }
        }
        Ok(None)
    }

    /// Counts the line that the search has found. Line ends inside quotes count from the second
    /// line on, when PostgreSQL knows what they look like.
    fn begin_line(&mut self) {
        let embedded = if self.line == 0 { 0 } else { self.scan.embedded };
        self.line += 1 + embedded;
        self.scan = Scan::default();
    }

    fn unterminated(&mut self) -> Error {
        self.begin_line();
        let error = Error::new(SqlState::BAD_COPY_FILE_FORMAT, "unterminated CSV quoted field");
        self.place().content(error, &String::from_utf8_lossy(&self.pending))
    }

    /// What an error at a row of the data is told with: the line, and its text if that is known.
    pub fn context(&self, error: Error, line: u64, text: Option<&[u8]>) -> Error {
        let place = Place { table: &self.table, line };
        match text {
            Some(text) if !text.is_empty() => place.content(error, &String::from_utf8_lossy(text)),
            _ => place.line(error),
        }
    }

    fn place(&self) -> Place<'_> {
        Place { table: &self.table, line: self.line }
    }

    fn utf8<'a>(&self, line: &'a [u8]) -> Result<&'a str> {
        let wrong = |at: usize| {
            let shown: Vec<String> =
                line[at..].iter().take(1).map(|b| format!("{b:#04x}")).collect();
            let message =
                format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
            self.place().line(Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message))
        };
        let text = std::str::from_utf8(line).map_err(|e| wrong(e.valid_up_to()))?;
        match line.iter().position(|b| *b == 0) {
            Some(at) => Err(wrong(at)),
            None => Ok(text),
        }
    }

    fn fields<'a>(&self, text: &'a str) -> Result<Vec<Option<std::borrow::Cow<'a, str>>>> {
        if self.options.format == CopyFormat::Csv {
            csv::split(text, &self.options)
        } else {
            text::split(text, &self.options)
        }
    }

    fn check_header(&self, line: &[u8]) -> Result<()> {
        if !self.options.header_match {
            return Ok(());
        }
        let text = self.utf8(line)?;
        let fields = self.fields(text)?;
        let wrong = |message: String| {
            self.place().content(Error::new(SqlState::BAD_COPY_FILE_FORMAT, message), text)
        };
        if fields.len() != self.columns.len() {
            return Err(wrong(format!(
                "wrong number of fields in header line: got {}, expected {}",
                fields.len(),
                self.columns.len()
            )));
        }
        for (at, (field, column)) in fields.iter().zip(&self.columns).enumerate() {
            let got = field.as_deref().unwrap_or(&self.options.null);
            if got != column.name {
                return Err(wrong(format!(
                    "column name mismatch in header line field {}: got \"{got}\", expected \"{}\"",
                    at + 1,
                    column.name
                )));
            }
        }
        Ok(())
    }

    fn row(&self, line: &[u8]) -> Result<Row> {
        let text = self.utf8(line)?;
        let place = self.place();
        let fields = self.fields(text).map_err(|e| place.content(e, text))?;
        if fields.len() > self.columns.len() {
            let error =
                Error::new(SqlState::BAD_COPY_FILE_FORMAT, "extra data after last expected column");
            return Err(place.content(error, text));
        }
        let mut row = Vec::with_capacity(self.columns.len());
        for (at, column) in self.columns.iter().enumerate() {
            let Some(field) = fields.get(at) else {
                let message = format!("missing data for column \"{}\"", column.name);
                let error = Error::new(SqlState::BAD_COPY_FILE_FORMAT, message);
                return Err(place.content(error, text));
            };
            row.push(match field {
                None => Datum::Null,
                Some(value) => io::parse_text(value, column.ty, &self.settings, self.now_micros)
                    .and_then(|datum| coerce_typmod(datum, column.ty, false))
                    .map_err(|e| place.column(e, &column.name, Some(value)))?,
            });
        }
        Ok(row)
    }

    fn next_binary(&mut self, last: bool) -> Result<Option<CopyRow>> {
        let place = Place { table: &self.table, line: self.line + 1 };
        let row = self.binary.next(&mut self.pending, &self.types, last);
        let of_field = |error, at: usize| place.field(error, &self.columns[at].name);
        let row = row.map_err(|(error, spot)| match spot {
            binary::Spot::Header => error,
            binary::Spot::Row => place.line(error),
            binary::Spot::Field(at) => of_field(error, at),
        });
        let Some(row) = row? else { return Ok(None) };
        let typed = row.into_iter().zip(&self.types).enumerate();
        let values = typed
            .map(|(at, (datum, ty))| coerce_typmod(datum, *ty, false).map_err(|e| of_field(e, at)));
        let values = values.collect::<Result<_>>()?;
        self.line += 1;
        Ok(Some(CopyRow { values, line: self.line, text: Bytes::new() }))
    }
}

/// Turns rows into COPY data.
pub struct Writer {
    options: CopyOptions,
    columns: Vec<CopyColumn>,
    settings: FormatSettings,
    scratch: String,
}

impl Writer {
    /// A writer of rows with these columns.
    pub fn new(options: CopyOptions, columns: Vec<CopyColumn>, settings: FormatSettings) -> Writer {
        Writer { options, columns, settings, scratch: String::new() }
    }

    /// What comes before the rows.
    pub fn header(&mut self, out: &mut BytesMut) {
        if self.options.format == CopyFormat::Binary {
            return binary::write_header(out);
        }
        if !self.options.header {
            return;
        }
        for (at, column) in self.columns.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(&[self.options.delimiter]);
            }
            if self.options.format == CopyFormat::Csv {
                csv::write_field(&column.name, &self.options, false, self.columns.len() == 1, out);
            } else {
                text::write_field(&column.name, self.options.delimiter, out);
            }
        }
        out.extend_from_slice(b"\n");
    }

    /// One row.
    pub fn row(&mut self, row: &[Datum], out: &mut BytesMut) {
        if self.options.format == CopyFormat::Binary {
            return binary::write_row(row, &self.columns, out);
        }
        let single = self.columns.len() == 1;
        for (at, (datum, column)) in row.iter().zip(&self.columns).enumerate() {
            if at > 0 {
                out.extend_from_slice(&[self.options.delimiter]);
            }
            if datum.is_null() {
                out.extend_from_slice(self.options.null.as_bytes());
                continue;
            }
            self.scratch.clear();
            io::write_text(datum, column.ty, &self.settings, &mut self.scratch);
            if self.options.format == CopyFormat::Csv {
                let force = self.options.force_quote.covers(at);
                csv::write_field(&self.scratch, &self.options, force, single, out);
            } else {
                text::write_field(&self.scratch, self.options.delimiter, out);
            }
        }
        out.extend_from_slice(b"\n");
    }

    /// What comes after the rows.
    pub fn finish(&mut self, out: &mut BytesMut) {
        if self.options.format == CopyFormat::Binary {
            binary::write_trailer(out);
        }
    }
}
