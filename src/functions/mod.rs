//! Functions, operators, casts and aggregates: one implementation each, over datums.
//!
//! The tables here are also what `pg_proc`, `pg_operator`, `pg_cast` and `pg_aggregate` show, so
//! that the catalog and the binder never disagree. Signatures and OIDs follow PostgreSQL's
//! pg_proc.dat, pg_operator.dat and pg_cast.dat.

mod aggregates;
mod arrays;
mod call;
mod casts;
mod comparison;
mod datum_order;
mod json;
mod numbers;
mod operators;
mod picture;
mod registry;
mod sets;
mod signature;
mod state;
mod strings;
mod system;
#[cfg(test)]
mod tests;
mod times;

use std::sync::Arc;
use std::time::Duration;

pub use aggregates::{AggregateKind, aggregate_kind};
pub use arrays::{FIELD, SLICE};
pub use call::{eval_call, eval_typed};
pub use casts::{apply_cast, coerce_typmod, is_named, text_in, text_out};
pub use datum_order::{compare, hash_datum};
pub use registry::{
    all_casts, all_functions, all_operators, equality, find_cast, function_by_oid, functions_named,
    less_than, operators_named,
};
pub use state::{AdvisoryKey, AdvisoryRequest, SessionHooks, SessionState, Signal};
pub use strings::{quote_identifier, quote_literal};

use crate::error::Result;
use crate::types::{BaseType, Datum, Row, SqlType};

/// How a function's result depends on more than its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// Only on the arguments.
    Immutable,
    /// Also on session settings and the statement's time.
    Stable,
    /// On anything: evaluated for each row.
    Volatile,
}

/// What an evaluation may know beside its arguments. Cheap to clone.
#[derive(Clone)]
pub struct EvalContext {
    /// Start of the transaction: microseconds since 2000-01-01 UTC (`now()`).
    pub transaction_time: i64,
    /// Start of the statement (`statement_timestamp()`).
    pub statement_time: i64,
    /// The session's settings and identity.
    pub session: Arc<SessionInfo>,
    /// The schema snapshot, for functions about the catalog.
    pub catalog: Arc<dyn CatalogLookup>,
    /// The clock, for `clock_timestamp()` and random values.
    pub clock: Arc<dyn crate::clock::Clock>,
}

/// What functions and text conversion may know of the session.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// `session_user`
    pub session_user: String,
    /// `current_user`
    pub current_user: String,
    /// `current_database()`
    pub database: String,
    /// Schemas searched for unqualified names, `pg_catalog` first.
    pub search_path: Vec<String>,
    /// `pg_backend_pid()`
    pub backend_pid: i32,
    /// Settings that steer text forms.
    pub format: crate::types::io::FormatSettings,
    /// Every setting by lower-case name, for `current_setting()`.
    pub settings: Arc<std::collections::BTreeMap<String, String>>,
    /// What its columnar queries may take.
    pub analytics: AnalyticsLimits,
    /// What functions keep in the session.
    pub state: Arc<SessionState>,
}

/// Limits of a role's columnar queries; zero and none: only those of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnalyticsLimits {
    /// `sluice.analytics_queries`: of the role at once.
    pub queries: usize,
    /// `sluice.analytics_memory`: of the role's together, in bytes.
    pub memory_bytes: usize,
    /// `sluice.analytics_timeout`: of one.
    pub time: Option<Duration>,
}

/// What functions ask of the schema snapshot (`to_regclass`, `pg_get_expr`, `format_type`, …).
/// Names come back unquoted.
pub trait CatalogLookup: Send + Sync {
    /// Schema and name of the relation (table or index) with this OID.
    fn relation_name(&self, oid: u32) -> Option<(String, String)>;
    /// OID of a relation; `schema: None` searches `path`.
    fn relation_oid(&self, schema: Option<&str>, name: &str, path: &[String]) -> Option<u32>;
    /// A relation's name, quoted, as it is found on `path`, else with its schema.
    fn name_on_path(&self, oid: u32, path: &[String]) -> Option<String> {
        let (schema, name) = self.relation_name(oid)?;
        Some(match self.relation_oid(None, &name, path) == Some(oid) {
            true => quote_identifier(&name).into_owned(),
            false => format!("{}.{}", quote_identifier(&schema), quote_identifier(&name)),
        })
    }
    /// OID of a schema.
    fn schema_oid(&self, name: &str) -> Option<u32>;
    /// Name of a schema.
    fn schema_name(&self, oid: u32) -> Option<String>;
    /// OID of a role.
    fn role_oid(&self, name: &str) -> Option<u32>;
    /// Name of a role.
    fn role_name(&self, oid: u32) -> Option<String>;
    /// `CREATE INDEX …` of an index; `column` 0 is all of it, else that column alone.
    fn index_definition(&self, oid: u32, column: i32) -> Option<String>;
    /// The definition of a constraint, as `pg_get_constraintdef` prints it; names on `path` without
    /// their schema.
    fn constraint_definition(&self, oid: u32, path: &[String]) -> Option<String>;
    /// Bytes that a relation takes.
    fn relation_size(&self, oid: u32) -> Option<i64>;
    /// Schema and name of the sequence that a table's column owns, if it owns one; none if there
    /// is no such column.
    fn column_sequence(&self, table: u32, column: &str) -> Option<Option<(String, String)>>;
    /// Comment of an object; none if it has none.
    fn comment(&self, oid: u32, class: &str, sub_id: i32) -> Option<String>;
    /// The sequence with this OID.
    fn sequence(&self, oid: u32) -> Option<Box<dyn SequenceCounter + '_>>;
    /// The sequence that the last `nextval` of a session was about.
    fn last_sequence(&self, session: i32) -> Option<u32>;
}

/// A sequence, as functions use it. Sessions are told apart by their backends.
pub trait SequenceCounter {
    /// Its name.
    fn name(&self) -> &str;
    /// `nextval`: durable before it is given. Blocks the thread for one commit now and then.
    fn next(&self, session: i32) -> Result<i64>;
    /// `setval`
    fn set(&self, value: i64, called: bool, session: i32) -> Result<()>;
    /// `currval`: none before the session's first value.
    fn current(&self, session: i32) -> Option<i64>;
    /// `pg_sequence_last_value`: none before the first value.
    fn last(&self) -> Result<Option<i64>>;
}

/// The code of a scalar function. NULL handling of strict functions is the caller's.
pub type ScalarFn = fn(&EvalContext, &[Datum]) -> Result<Datum>;

/// The code of a scalar function whose result depends on its arguments' types beyond what their
/// datums tell (`to_json`, `format`, `pg_typeof`, …). The types are the arguments' own, one for
/// each datum.
pub type TypedFn = fn(&EvalContext, &[SqlType], &[Datum]) -> Result<Datum>;

/// The code of a set-returning function: its rows, one datum for each output column.
pub type SetFn = fn(&EvalContext, &[Datum]) -> Result<Box<dyn Iterator<Item = Result<Row>> + Send>>;

/// The running state of an aggregate over one group.
pub trait Accumulator: Send {
    /// Takes one row's arguments.
    fn add(&mut self, context: &EvalContext, args: &[Datum]) -> Result<()>;
    /// The result over all rows taken; the state stays valid (windows go on adding).
    fn finish(&mut self, context: &EvalContext) -> Result<Datum>;
}

/// Makes the state of an aggregate called with these argument types.
pub type AggregateFn = fn(&[SqlType]) -> Box<dyn Accumulator>;

/// Window functions that are not aggregates; the executor owns their evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is PostgreSQL's function of that name")]
pub enum WindowFn {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile,
    Lag,
    Lead,
    FirstValue,
    LastValue,
    NthValue,
}

/// What a function is, with its code.
#[derive(Clone, Copy)]
pub enum FunctionKind {
    /// One value from one row.
    Scalar(ScalarFn),
    /// One value from one row, by the arguments' types too. Call it through [`eval_typed`].
    Typed(TypedFn),
    /// Rows from one row. The second part names the output columns; empty: the function's name.
    Set(SetFn, &'static [(&'static str, SqlType)]),
    /// One value from many rows.
    Aggregate(AggregateFn),
    /// One value for each row, from its partition.
    Window(WindowFn),
}

/// A function. Its arguments and result may be polymorphic (`AnyElement`, `AnyArray`, …); the
/// binder resolves them at the call.
pub struct Function {
    /// OID in `pg_proc`.
    pub oid: u32,
    /// Name.
    pub name: &'static str,
    /// Declared argument types.
    pub args: &'static [SqlType],
    /// Whether the last argument (an array type in `args`) takes any number of its elements;
    /// the code is then given the elements as separate datums.
    pub variadic: bool,
    /// How many of the last arguments may be left out; the code is given fewer datums then.
    pub defaults: usize,
    /// Declared result type.
    pub result: SqlType,
    /// Whether any NULL argument makes the result NULL without a call.
    pub strict: bool,
    /// How the result depends on more than the arguments.
    pub volatility: Volatility,
    /// Whether it may wait, for a time or for another session: no thread that others need may
    /// run it.
    pub waits: bool,
    /// What it is, with its code.
    pub kind: FunctionKind,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.name, self.oid)
    }
}

/// An operator: a name for a function of one or two arguments.
#[derive(Debug)]
pub struct Operator {
    /// OID in `pg_operator`.
    pub oid: u32,
    /// Its symbol.
    pub name: &'static str,
    /// Left argument; none for a prefix operator.
    pub left: Option<SqlType>,
    /// Right argument.
    pub right: SqlType,
    /// The function behind it.
    pub function: &'static Function,
    /// The operator that gives the same with its sides swapped (`<` for `>`).
    pub commutator: Option<&'static str>,
    /// The operator that gives the opposite (`<>` for `=`).
    pub negator: Option<&'static str>,
}

/// Where a cast is applied without being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// Anywhere.
    Implicit,
    /// Assigning to a column.
    Assignment,
    /// Only where written.
    Explicit,
}

/// How a cast is done.
#[derive(Clone, Copy, Debug)]
pub enum CastMethod {
    /// By a function of one argument.
    Function(&'static Function),
    /// Same datum, another type.
    Binary,
    /// Through the text form: output of the source, input of the target.
    Text,
}

/// A cast between two types, modifiers aside (length and precision are coerced after it).
#[derive(Debug)]
pub struct Cast {
    /// From.
    pub source: SqlType,
    /// To.
    pub target: SqlType,
    /// Where it is applied.
    pub context: CastContext,
    /// How.
    pub method: CastMethod,
}

/// Never called: keeps the polymorphic pseudo-types documented in one place.
///
/// `AnyElement`/`AnyArray`/`AnyNonArray` must agree exactly within one call;
/// `AnyCompatible`/`AnyCompatibleArray` are resolved to a common type first; `Any` takes anything.
pub const POLYMORPHIC: &[BaseType] = &[
    BaseType::AnyElement,
    BaseType::AnyArray,
    BaseType::AnyNonArray,
    BaseType::AnyCompatible,
    BaseType::AnyCompatibleArray,
    BaseType::Any,
];
