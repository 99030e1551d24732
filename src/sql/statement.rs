//! What a statement is, before anything is looked up: the session dispatches on this.

use std::ops::Range;
use std::sync::Arc;

use super::ast::{Delete, Expr, Insert, QualifiedName, Query, TypeName, Update};
use super::ddl::Ddl;

/// A statement and where it stands in the text it came in.
#[derive(Clone, Debug)]
pub struct ParsedStatement {
    /// What it is.
    pub kind: StatementKind,
    /// The whole text that was sent; positions in errors count in it.
    pub text: Arc<str>,
    /// The statement's bytes in `text`, without the semicolon.
    pub range: Range<usize>,
}

impl ParsedStatement {
    /// The statement's own text.
    pub fn source(&self) -> &str {
        &self.text[self.range.clone()]
    }
}

/// The kinds of statement.
#[derive(Clone, Debug)]
pub enum StatementKind {
    /// SELECT, VALUES, TABLE, WITH
    Query(Box<Query>),
    /// INSERT
    Insert(Box<Insert>),
    /// UPDATE
    Update(Box<Update>),
    /// DELETE
    Delete(Box<Delete>),
    /// CREATE, ALTER, DROP, TRUNCATE, COMMENT, GRANT, …
    Ddl(Box<Ddl>),
    /// EXPLAIN
    Explain(ExplainOptions, Box<StatementKind>),
    /// PREPARE name (types) AS statement
    Prepare(String, Vec<TypeName>, Box<StatementKind>),
    /// EXECUTE name (arguments)
    Execute(String, Vec<Expr>),
    /// DEALLOCATE name; none: ALL
    Deallocate(Option<String>),
    /// BEGIN
    Begin(TransactionModes),
    /// START TRANSACTION
    Start(TransactionModes),
    /// COMMIT, END; whether AND CHAIN
    Commit(bool),
    /// ROLLBACK, ABORT; whether AND CHAIN
    Rollback(bool),
    /// SAVEPOINT
    Savepoint(String),
    /// RELEASE
    Release(String),
    /// ROLLBACK TO
    RollbackTo(String),
    /// SET TRANSACTION
    SetTransaction(TransactionModes),
    /// SET CONSTRAINTS: which, none: ALL; whether DEFERRED
    SetConstraints(Option<Vec<QualifiedName>>, bool),
    /// SET SESSION CHARACTERISTICS AS TRANSACTION
    SetSessionTransaction(TransactionModes),
    /// SET; names in lower case.
    Set {
        /// The setting.
        name: String,
        /// LOCAL
        local: bool,
        /// The new value; none: DEFAULT.
        value: Option<String>,
    },
    /// RESET; none: ALL
    Reset(Option<String>),
    /// SHOW; none: ALL
    Show(Option<String>),
    /// DISCARD
    Discard(Discard),
    /// DECLARE
    Declare(Box<Declare>),
    /// FETCH, MOVE
    Fetch(Fetch),
    /// CLOSE; none: ALL
    Close(Option<String>),
    /// COPY
    Copy(Box<Copy>),
    /// VACUUM: tables, and whether ANALYZE
    Vacuum(Vec<QualifiedName>, bool),
    /// ANALYZE: tables; none: all
    Analyze(Vec<QualifiedName>),
    /// REFRESH COLUMNAR VIEW: of which table
    RefreshColumnar(QualifiedName),
    /// CHECKPOINT
    Checkpoint,
    /// LOCK TABLE: tables, mode in capitals, NOWAIT
    LockTable(Vec<QualifiedName>, String, bool),
    /// A statement of PostgreSQL that Sluice does not have, by name.
    Unsupported(String),
}

/// DECLARE.
#[derive(Clone, Debug)]
pub struct Declare {
    /// The cursor's name.
    pub name: String,
    /// BINARY
    pub binary: bool,
    /// INSENSITIVE
    pub insensitive: bool,
    /// SCROLL (true), NO SCROLL; none: as the query allows.
    pub scroll: Option<bool>,
    /// WITH HOLD
    pub hold: bool,
    /// Its query.
    pub query: Query,
}

/// FETCH and MOVE.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The cursor's name.
    pub name: String,
    /// Where to.
    pub direction: FetchDirection,
    /// MOVE: no rows come back.
    pub moves: bool,
}

/// Where FETCH goes. [`FETCH_ALL`] is ALL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum FetchDirection {
    Forward(i64),
    Backward(i64),
    Absolute(i64),
    Relative(i64),
}

/// The count that means ALL.
pub const FETCH_ALL: i64 = i64::MAX;

/// Isolation levels as SQL names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// Modes of a transaction; none: as the session has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// ISOLATION LEVEL
    pub isolation: Option<IsolationLevel>,
    /// READ ONLY, READ WRITE
    pub read_only: Option<bool>,
    /// DEFERRABLE
    pub deferrable: Option<bool>,
}

/// What DISCARD drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum Discard {
    All,
    Plans,
    Sequences,
    Temp,
}

/// EXPLAIN's options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExplainOptions {
    /// ANALYZE
    pub analyze: bool,
    /// VERBOSE
    pub verbose: bool,
    /// COSTS; true if not written.
    pub costs: Option<bool>,
    /// BUFFERS
    pub buffers: bool,
    /// TIMING
    pub timing: Option<bool>,
    /// SUMMARY
    pub summary: Option<bool>,
    /// SETTINGS
    pub settings: bool,
    /// WAL
    pub wal: bool,
    /// FORMAT, in lower case; none: text
    pub format: Option<String>,
}

/// COPY.
#[derive(Clone, Debug)]
pub struct Copy {
    /// What is copied.
    pub target: CopyTarget,
    /// FROM (true) or TO.
    pub from: bool,
    /// STDIN/STDOUT: none; else a file or program, which only the server could open.
    pub file: Option<String>,
    /// Whether the file is a PROGRAM.
    pub program: bool,
    /// Options.
    pub options: CopyOptions,
    /// COPY FROM … WHERE
    pub filter: Option<Expr>,
}

/// What COPY copies.
#[derive(Clone, Debug)]
pub enum CopyTarget {
    /// A table, and the columns if written.
    Table(QualifiedName, Option<Vec<super::ast::Ident>>),
    /// A query's rows (TO only).
    Query(Box<StatementKind>),
}

/// COPY's formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum CopyFormat {
    #[default]
    Text,
    Csv,
    Binary,
    Parquet,
}

/// COPY's options as written; the one who copies checks how they go together.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// FORMAT
    pub format: CopyFormat,
    /// DELIMITER
    pub delimiter: Option<String>,
    /// NULL
    pub null: Option<String>,
    /// DEFAULT is of later PostgreSQL; HEADER: none, true, or MATCH.
    pub header: Option<CopyHeader>,
    /// QUOTE
    pub quote: Option<String>,
    /// ESCAPE
    pub escape: Option<String>,
    /// FORCE_QUOTE; an empty list is `*`.
    pub force_quote: Option<Vec<String>>,
    /// FORCE_NOT_NULL
    pub force_not_null: Option<Vec<String>>,
    /// FORCE_NULL
    pub force_null: Option<Vec<String>>,
    /// ENCODING
    pub encoding: Option<String>,
    /// FREEZE
    pub freeze: bool,
    /// COMPRESSION, of Parquet
    pub compression: Option<String>,
    /// ROW_GROUP_SIZE, of Parquet: rows
    pub row_group_size: Option<String>,
}

/// COPY's HEADER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum CopyHeader {
    Off,
    On,
    Match,
}
