//! What a session asks of the connection it serves.
//!
//! The session decides what is said and when; a [`Client`] puts it into its protocol's words. Calls
//! that only add to the client's buffer do not wait; [`Client::flush`] and COPY input do.

use std::sync::Arc;

use bytes::BytesMut;

use crate::error::{Error, Result, SqlState};
use crate::types::io::FormatSettings;
use crate::types::{Datum, SqlType};

/// A result's column, as a client is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub ty: SqlType,
    /// OID and attnum of the table column it is, unchanged.
    pub origin: Option<(u32, u16)>,
}

impl Field {
    /// A column that is no table's.
    pub fn new(name: &str, ty: SqlType) -> Field {
        Field { name: Arc::from(name), ty, origin: None }
    }
}

/// In which format each column of a result goes out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResultFormats {
    /// All as text.
    #[default]
    Text,
    /// All binary.
    Binary,
    /// Column by column; true is binary.
    Each(Box<[bool]>),
}

impl ResultFormats {
    /// Whether column `i` is binary.
    pub fn is_binary(&self, i: usize) -> bool {
        match self {
            ResultFormats::Text => false,
            ResultFormats::Binary => true,
            ResultFormats::Each(formats) => formats.get(i).copied().unwrap_or_default(),
        }
    }
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "PostgreSQL's own names")]
pub enum NoticeSeverity {
    Debug,
    Log,
    Notice,
    Warning,
    Info,
}

impl NoticeSeverity {
    /// As it is sent.
    pub fn name(self) -> &'static str {
        match self {
            NoticeSeverity::Debug => "DEBUG",
            NoticeSeverity::Log => "LOG",
            NoticeSeverity::Notice => "NOTICE",
            NoticeSeverity::Warning => "WARNING",
            NoticeSeverity::Info => "INFO",
        }
    }
}

/// Something a client is told that ends nothing.
#[derive(Debug)]
pub struct Notice {
    /// How loud.
    pub severity: NoticeSeverity,
    /// Code, message and the rest.
    pub report: Error,
}

impl Notice {
    /// A warning.
    pub fn warning(code: SqlState, message: impl Into<String>) -> Notice {
        Notice { severity: NoticeSeverity::Warning, report: Error::new(code, message) }
    }

    /// A notice, code 00000.
    pub fn notice(message: impl Into<String>) -> Notice {
        let report = Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
        Notice { severity: NoticeSeverity::Notice, report }
    }

    /// A notice with all the fields of a report.
    pub fn report(report: Error) -> Notice {
        Notice { severity: NoticeSeverity::Notice, report }
    }
}

/// A place in what the client is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub u64);

/// What came next in COPY FROM STDIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyInput {
    /// Data was added to the buffer.
    Data,
    /// The client is done.
    Done,
    /// The client gave up, saying why.
    Failed(String),
}

/// The connection of a session.
pub trait Client: Send {
    /// What columns the rows that follow have.
    fn describe(&mut self, fields: &[Field], formats: &ResultFormats);

    /// A row.
    fn row(
        &mut self,
        row: &[Datum],
        fields: &[Field],
        formats: &ResultFormats,
        settings: &FormatSettings,
    ) -> Result<()>;

    /// A statement is done.
    fn complete(&mut self, tag: &str);

    /// Takes the last [`Client::complete`] back, if nothing was said or sent since.
    fn take_back_completion(&mut self);

    /// A statement without text is done.
    fn empty_query(&mut self);

    /// A portal has more rows.
    fn suspended(&mut self);

    /// A notice.
    fn notice(&mut self, notice: &Notice);

    /// A parameter's new value.
    fn parameter(&mut self, name: &str, value: &str);

    /// This place in what is sent.
    fn mark(&self) -> Mark;

    /// Takes back everything since `mark`; false if some of it was sent already.
    fn rewind(&mut self, mark: Mark) -> bool;

    /// Whether so much waits to be sent that the session should flush.
    fn is_full(&self) -> bool;

    /// Sends what waits. Waits as long as the client does not read.
    fn flush(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// COPY TO STDOUT begins.
    fn copy_out(&mut self, binary: bool, columns: usize);

    /// One message of COPY data.
    fn copy_data(&mut self, data: &[u8]);

    /// COPY TO STDOUT is done.
    fn copy_done(&mut self);

    /// COPY FROM STDIN begins; sent at once.
    fn copy_in(&mut self, binary: bool, columns: usize) -> impl Future<Output = Result<()>> + Send;

    /// Waits for COPY data and adds it to `into`.
    fn copy_input(&mut self, into: &mut BytesMut)
    -> impl Future<Output = Result<CopyInput>> + Send;
}
