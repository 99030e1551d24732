//! The physical plan: which operator runs where, with compiled expressions.
//!
//! A plan is immutable and shared: a prepared statement keeps one and runs it with other
//! parameters. Each operator's part is behind an `Arc`, so that a running execution holds what it
//! needs and borrows nothing. Rows are positional; [`PlanNode::columns`] says which column of the
//! statement stands where.

use std::sync::Arc;

use super::access::Access;
use super::foreign::ForeignPlan;
use super::foreign::write::ForeignWritePlan;
use super::route::{ColumnarQuery, TableRoute};
use super::scalar::{Scalar, Scalars};
use super::sizes::Sizes;
use crate::encoding::table::{IndexCodec, RowDecoder, TableCodec};
use crate::functions::{AggregateFn, Function, SetFn, WindowFn};
use crate::kv::LockMode;
use crate::sql::bound::{
    ColId, Column, CurrentOf, FrameExclude, FrameUnit, JoinKind, RowLock, SetOp,
};
use crate::types::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use crate::types::{Datum, SqlType};

/// A planned statement.
#[derive(Debug)]
pub struct Plan {
    /// The operator at the top.
    pub root: PlanNode,
    /// What the client is sent; empty where nothing comes back.
    pub columns: Vec<Column>,
    /// What the statement is.
    pub kind: StatementKind,
    /// Whether it writes, be it only in its WITH.
    pub writes: bool,
    /// Whether it calls a function that may wait.
    pub waits: bool,
    /// The foreign table that it writes, which is no part of its transaction.
    pub foreign: Option<Arc<TableDescriptor>>,
    /// Subqueries and lateral sides, run with a frame.
    pub subplans: Vec<Arc<Subplan>>,
    /// How each table access was routed; empty where there was nothing to choose.
    pub routes: Vec<TableRoute>,
    /// The query for the column path, if that serves some access. The operators above run where
    /// it turns out that it cannot.
    pub columnar: Option<Arc<ColumnarQuery>>,
    /// Tables whose lock is taken before the first row, and how.
    pub tables: Vec<(Arc<TableDescriptor>, LockMode)>,
    /// How many nodes there are, subplans included: ids are below it.
    pub nodes: usize,
    /// The sizes of tables that it was made for.
    pub sizes: Sizes,
    /// WHERE CURRENT OF: whose row is written. Its key is the parameter after all others.
    pub current_of: Option<CurrentOf>,
}

impl PlanNode {
    /// Whether a cursor may go back over the rows though nothing keeps them: PostgreSQL's
    /// `ExecSupportsBackwardScan`, and no row locks.
    pub fn goes_back(&self) -> bool {
        match &self.op {
            Op::Values(_) | Op::Scan(_) | Op::Virtual(_) | Op::CteScan(_) | Op::Sort(_) => true,
            Op::Function(p) => p.input.is_none(),
            Op::Filter(p) => p.input.goes_back(),
            Op::Project(p) => p.input.goes_back(),
            Op::Limit(p) => p.input.goes_back(),
            Op::With(p) => p.body.goes_back(),
            _ => false,
        }
    }
}

/// What a statement is, for its command tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum StatementKind {
    Select,
    Insert,
    Update,
    Delete,
}

/// A plan that is run with values from outside.
#[derive(Debug)]
pub struct Subplan {
    /// The operator at the top.
    pub root: PlanNode,
    /// The columns of its frame, in order.
    pub frame: Vec<ColId>,
    /// CTEs it reads that are defined outside.
    pub ctes: Vec<usize>,
    /// Whether its rows can differ between two runs with one frame.
    pub volatile: bool,
}

/// An operator with what the planner believes of it.
#[derive(Clone, Debug)]
pub struct PlanNode {
    /// Its number in the plan.
    pub id: usize,
    /// What it does.
    pub op: Op,
    /// What comes out.
    pub columns: Arc<[ColId]>,
    /// Rows that the planner expects.
    pub rows: f64,
    /// Cost until the first row, in the planner's units.
    pub startup_cost: f64,
    /// Cost until the last row.
    pub cost: f64,
    /// The order in which rows come.
    pub order: RowOrder,
    /// Lines for EXPLAIN; only made when asked for.
    pub labels: Vec<(&'static str, String)>,
}

/// The order of a node's rows.
#[derive(Clone, Debug, Default)]
pub struct RowOrder {
    /// Columns by which they are sorted.
    pub items: Vec<OrderItem>,
    /// Columns that have one value only.
    pub fixed: Vec<ColId>,
}

impl RowOrder {
    /// How many of the first items of `wanted` this order satisfies.
    pub fn prefix(&self, wanted: &[OrderItem]) -> usize {
        let mut have = self.items.iter().peekable();
        for (at, item) in wanted.iter().enumerate() {
            if self.fixed.contains(&item.column) {
                continue;
            }
            while have.next_if(|h| self.fixed.contains(&h.column)).is_some() {}
            match have.next() {
                Some(h) if h.satisfies(item) => {}
                _ => return at,
            }
        }
        wanted.len()
    }

    /// Whether it is at least `wanted`.
    pub fn satisfies(&self, wanted: &[OrderItem]) -> bool {
        self.prefix(wanted) == wanted.len()
    }
}

/// One column of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderItem {
    /// The column.
    pub column: ColId,
    /// Whether it descends.
    pub desc: bool,
    /// Whether NULLs come first; of no importance where the column has none.
    pub nulls_first: bool,
    /// Whether the column has no NULLs.
    pub not_null: bool,
}

impl OrderItem {
    /// Whether rows in this order are also in the order `wanted`.
    pub fn satisfies(&self, wanted: &OrderItem) -> bool {
        self.column == wanted.column
            && self.desc == wanted.desc
            && (self.not_null || self.nulls_first == wanted.nulls_first)
    }
}

/// The operators.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each plan says what its operator does")]
pub enum Op {
    Values(Arc<ValuesPlan>),
    Scan(Arc<ScanPlan>),
    Virtual(Arc<VirtualPlan>),
    Foreign(Arc<ForeignPlan>),
    Function(Arc<FunctionPlan>),
    Filter(Arc<FilterPlan>),
    Project(Arc<ProjectPlan>),
    Nested(Arc<NestedPlan>),
    Apply(Arc<ApplyPlan>),
    Lookup(Arc<LookupPlan>),
    Hash(Arc<HashPlan>),
    Aggregate(Arc<AggregatePlan>),
    Window(Arc<WindowPlan>),
    Distinct(Arc<DistinctPlan>),
    Sort(Arc<SortPlan>),
    Limit(Arc<LimitPlan>),
    SetOp(Arc<SetOpPlan>),
    With(Arc<WithPlan>),
    Statements(Arc<StatementsPlan>),
    CteScan(usize),
    Recursive(Arc<RecursivePlan>),
    LockRows(Arc<LockRowsPlan>),
    Insert(Arc<InsertPlan>),
    Update(Arc<UpdatePlan>),
    Delete(Arc<DeletePlan>),
    ForeignWrite(Arc<ForeignWritePlan>),
}

/// Constant rows.
#[derive(Debug)]
pub struct ValuesPlan {
    /// The rows.
    pub rows: Vec<Scalars>,
}

/// Reads a stored table.
#[derive(Debug)]
pub struct ScanPlan {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// Its name in the statement.
    pub alias: Arc<str>,
    /// Its codec.
    pub codec: Arc<TableCodec>,
    /// Reads the wanted columns.
    pub decoder: RowDecoder,
    /// The wanted columns, where no other path than the column path is allowed.
    pub columnar: Option<Arc<[ColumnId]>>,
    /// By which keys.
    pub access: Access,
    /// Conditions on the decoded columns that the access does not imply.
    pub filter: Scalars,
    /// Whether the row's key is put behind the columns, as bytea.
    pub row_key: bool,
    /// Whether to go from the end to the beginning.
    pub reverse: bool,
}

/// Reads a catalog relation.
#[derive(Debug)]
pub struct VirtualPlan {
    /// The relation.
    pub table: Arc<TableDescriptor>,
    /// Places of the wanted columns.
    pub columns: Vec<usize>,
    /// Conditions on the wanted columns.
    pub filter: Scalars,
}

/// Calls set-returning functions.
#[derive(Debug)]
pub struct FunctionPlan {
    /// The rows it is called for; none: once.
    pub input: Option<PlanNode>,
    /// The calls, run in step.
    pub calls: Vec<SetCall>,
    /// Whether rows are numbered.
    pub ordinality: bool,
    /// Whether input rows without results are kept.
    pub outer: bool,
}

/// One call of a set-returning function.
#[derive(Debug)]
pub struct SetCall {
    /// Which.
    pub function: &'static Function,
    /// Its code.
    pub code: SetFn,
    /// Its arguments, over the input's row.
    pub args: Scalars,
    /// How many columns it makes.
    pub width: usize,
}

/// Keeps the rows that satisfy all conditions.
#[derive(Debug)]
pub struct FilterPlan {
    /// Of what.
    pub input: PlanNode,
    /// The conditions.
    pub conditions: Scalars,
    /// Whether the conditions do not depend on the row, so that one look decides.
    pub one_time: bool,
}

/// Computes columns.
#[derive(Debug)]
pub struct ProjectPlan {
    /// Of what.
    pub input: PlanNode,
    /// The columns.
    pub exprs: Scalars,
    /// If every column is a plain one, and none is used twice: their places.
    pub moves: Option<Vec<usize>>,
}

/// Compares each left row with each right row; the right side is kept in memory.
#[derive(Debug)]
pub struct NestedPlan {
    /// Left.
    pub left: PlanNode,
    /// Right.
    pub right: PlanNode,
    /// Which join.
    pub kind: JoinKind,
    /// Conditions, over left row and right row.
    pub on: Scalars,
    /// Columns of the right side.
    pub right_width: usize,
    /// Columns of the left side.
    pub left_width: usize,
}

/// Runs the right side anew for each left row.
#[derive(Debug)]
pub struct ApplyPlan {
    /// Left.
    pub left: PlanNode,
    /// The right side, among the subplans.
    pub subplan: usize,
    /// Its frame, over the left row.
    pub args: Scalars,
    /// Which join.
    pub kind: JoinKind,
    /// Conditions, over left row and right row.
    pub on: Scalars,
    /// Columns of the right side.
    pub right_width: usize,
}

/// Looks matching rows up by key for each left row.
#[derive(Debug)]
pub struct LookupPlan {
    /// Left.
    pub left: PlanNode,
    /// The right side. Its access computes keys from the left row; its filter sees its own row.
    pub right: LookupSide,
    /// Which join.
    pub kind: JoinKind,
    /// More conditions, over left row and right row.
    pub on: Scalars,
    /// Columns of the right side, its row key included.
    pub right_width: usize,
    /// The right side's node, for statistics.
    pub right_id: usize,
}

/// What a lookup join looks up.
#[derive(Debug)]
pub enum LookupSide {
    /// A table of the store.
    Stored(Arc<ScanPlan>),
    /// A foreign table.
    Foreign(Arc<ForeignPlan>),
}

/// Joins by a hash table of the right side.
#[derive(Debug)]
pub struct HashPlan {
    /// Left: probes.
    pub left: PlanNode,
    /// Right: in the table.
    pub right: PlanNode,
    /// Which join.
    pub kind: JoinKind,
    /// Keys over the left row.
    pub left_keys: Scalars,
    /// Keys over the right row (as `row`).
    pub right_keys: Scalars,
    /// More conditions, over left row and right row.
    pub on: Scalars,
    /// Columns of the left side.
    pub left_width: usize,
    /// Columns of the right side.
    pub right_width: usize,
}

/// Groups and aggregates.
#[derive(Debug)]
pub struct AggregatePlan {
    /// Of what.
    pub input: PlanNode,
    /// Grouping expressions.
    pub groups: Scalars,
    /// Grouping sets.
    pub sets: Vec<Vec<usize>>,
    /// Aggregates.
    pub aggregates: Vec<AggregateSpec>,
    /// GROUPING calls: indexes into the groups.
    pub grouping: Vec<Vec<usize>>,
    /// Whether equal groups come after each other, so that one group is held at a time.
    pub sorted: bool,
}

/// One aggregate call.
#[derive(Debug)]
pub struct AggregateSpec {
    /// Which.
    pub function: &'static Function,
    /// Makes its state.
    pub make: AggregateFn,
    /// Types of its arguments.
    pub types: Vec<SqlType>,
    /// Its arguments.
    pub args: Scalars,
    /// DISTINCT.
    pub distinct: bool,
    /// ORDER BY within the call.
    pub order_by: Vec<SortSpec>,
    /// FILTER.
    pub filter: Option<Scalar>,
    /// Whether anything in the call holds a subquery.
    pub subqueries: bool,
}

/// One sort key.
#[derive(Debug)]
pub struct SortSpec {
    /// By what.
    pub expr: Scalar,
    /// Whether it descends.
    pub desc: bool,
    /// Whether NULLs come first.
    pub nulls_first: bool,
    /// Whether values are char(n): trailing blanks are of no importance then.
    pub padded: bool,
}

/// Window functions over one partitioning and order.
#[derive(Debug)]
pub struct WindowPlan {
    /// Of what; sorted by partition and order.
    pub input: PlanNode,
    /// PARTITION BY.
    pub partition_by: Scalars,
    /// ORDER BY.
    pub order_by: Vec<SortSpec>,
    /// Calls, in the order of their output columns.
    pub calls: Vec<WindowSpec>,
}

/// One window function call.
#[derive(Debug)]
pub struct WindowSpec {
    /// What it is.
    pub kind: WindowKind,
    /// Its arguments.
    pub args: Scalars,
    /// FILTER.
    pub filter: Option<Scalar>,
    /// The frame.
    pub frame: FrameSpec,
}

/// An aggregate or a window function.
#[derive(Debug)]
pub enum WindowKind {
    /// An aggregate, over the frame.
    Aggregate(&'static Function, AggregateFn, Vec<SqlType>),
    /// A window function.
    Window(WindowFn),
}

/// A compiled frame.
#[derive(Debug)]
pub struct FrameSpec {
    /// Unit.
    pub unit: FrameUnit,
    /// Start.
    pub start: FrameEdge,
    /// End.
    pub end: FrameEdge,
    /// EXCLUDE.
    pub exclude: FrameExclude,
}

/// One end of a frame.
#[derive(Debug)]
pub enum FrameEdge {
    /// The partition's first or last row.
    Unbounded,
    /// The current row (or its peers).
    Current,
    /// So much before it. RANGE: also how to compute the bound from the sort key.
    Preceding(Scalar, Option<RangeOffset>),
    /// So much after it.
    Following(Scalar, Option<RangeOffset>),
}

/// How RANGE computes a bound: `key - offset` or `key + offset`.
#[derive(Debug)]
pub struct RangeOffset {
    /// The function: subtraction or addition.
    pub function: &'static Function,
    /// Type of the sort key, to which the result is cast back.
    pub key: SqlType,
}

/// DISTINCT and DISTINCT ON.
#[derive(Debug)]
pub struct DistinctPlan {
    /// Of what.
    pub input: PlanNode,
    /// Keys; empty: all columns.
    pub on: Scalars,
    /// Places of char(n) columns among the keys.
    pub padded: Vec<usize>,
    /// Whether equal rows come after each other.
    pub sorted: bool,
}

/// Sorts.
#[derive(Debug)]
pub struct SortPlan {
    /// Of what.
    pub input: PlanNode,
    /// By what.
    pub keys: Vec<SortSpec>,
    /// Whether a key holds a subquery.
    pub subqueries: bool,
    /// LIMIT and OFFSET above, so that no more rows than these are kept.
    pub top: Option<(Scalar, Option<Scalar>)>,
    /// By how many of the keys the input is sorted already.
    pub presorted: usize,
}

/// LIMIT and OFFSET.
#[derive(Debug)]
pub struct LimitPlan {
    /// Of what.
    pub input: PlanNode,
    /// LIMIT.
    pub limit: Option<Scalar>,
    /// OFFSET.
    pub offset: Option<Scalar>,
    /// WITH TIES: the keys of the sort below.
    pub ties: Option<Vec<SortSpec>>,
}

/// UNION, INTERSECT, EXCEPT.
#[derive(Debug)]
pub struct SetOpPlan {
    /// Which.
    pub op: SetOp,
    /// ALL.
    pub all: bool,
    /// Inputs: two, or more for UNION.
    pub inputs: Vec<PlanNode>,
    /// Places of char(n) columns.
    pub padded: Vec<usize>,
}

/// Makes a CTE known to what is below.
#[derive(Debug)]
pub struct WithPlan {
    /// Its number.
    pub cte: usize,
    /// Its query.
    pub query: PlanNode,
    /// What uses it.
    pub body: PlanNode,
}

/// A statement with queries of WITH that write.
#[derive(Debug)]
pub struct StatementsPlan {
    /// The queries of WITH.
    pub ctes: Vec<StatementCte>,
    /// The statement itself.
    pub main: PlanNode,
}

/// A query of [`StatementsPlan`].
#[derive(Debug)]
pub struct StatementCte {
    /// Its number.
    pub cte: usize,
    /// What it runs.
    pub query: PlanNode,
    /// Whether it writes, and so runs to its end whoever reads it.
    pub writes: bool,
}

/// WITH RECURSIVE's query.
#[derive(Debug)]
pub struct RecursivePlan {
    /// Number of the CTE whose scans in `step` see the last round's rows.
    pub cte: usize,
    /// First rows.
    pub base: PlanNode,
    /// Next rows.
    pub step: PlanNode,
    /// UNION ALL.
    pub all: bool,
    /// Places of char(n) columns.
    pub padded: Vec<usize>,
}

/// Locks the rows of tables that the rows below come from.
#[derive(Debug)]
pub struct LockRowsPlan {
    /// Of what.
    pub input: PlanNode,
    /// The tables.
    pub targets: Vec<LockTarget>,
    /// Conditions that a row must satisfy with newest versions in it, where these are newer than
    /// the statement's snapshot.
    pub recheck: Scalars,
}

/// One table of [`LockRowsPlan`].
#[derive(Debug)]
pub struct LockTarget {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// Its codec.
    pub codec: Arc<TableCodec>,
    /// The lock.
    pub lock: RowLock,
    /// Place of the row's key.
    pub row_key: usize,
    /// Reads the columns that `places` name.
    pub decoder: RowDecoder,
    /// Where the decoder's columns stand in the row.
    pub places: Vec<usize>,
}

/// What every statement that writes knows of its table.
#[derive(Debug)]
pub struct Target {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// Its codec.
    pub codec: Arc<TableCodec>,
    /// Reads all columns.
    pub decoder: RowDecoder,
    /// Its secondary indexes.
    pub indexes: Vec<TargetIndex>,
    /// Places of NOT NULL columns.
    pub not_null: Vec<usize>,
    /// Places of the primary key's columns.
    pub key: Vec<usize>,
}

impl Target {
    /// Whether a row's columns at some places change without another key changing: no index has
    /// them, nor the change log the row.
    pub fn is_alone(&self, changes: impl Fn(usize) -> bool) -> bool {
        let mut places = self.indexes.iter().flat_map(|index| &index.places);
        !self.table.columnar && !places.any(|place| changes(*place))
    }
}

/// A secondary index that is kept up.
#[derive(Debug)]
pub struct TargetIndex {
    /// The index.
    pub index: IndexDescriptor,
    /// Its codec.
    pub codec: IndexCodec,
    /// Places of its columns in the row.
    pub places: Vec<usize>,
}

/// A CHECK constraint.
#[derive(Debug)]
pub struct CheckSpec {
    /// Its name.
    pub name: String,
    /// The condition, over the row to be stored.
    pub condition: Scalar,
}

/// INSERT.
#[derive(Debug)]
pub struct InsertPlan {
    /// Into.
    pub target: Target,
    /// Rows, one column for each of the table's.
    pub source: PlanNode,
    /// Whether they depend on rows of the table itself.
    pub reads_target: bool,
    /// CHECK constraints.
    pub checks: Vec<CheckSpec>,
    /// WHERE of COPY FROM, over the row: others are left out.
    pub filter: Option<Scalar>,
    /// ON CONFLICT.
    pub conflict: Option<ConflictSpec>,
    /// RETURNING, over the stored row.
    pub returning: Option<Scalars>,
}

/// ON CONFLICT.
#[derive(Debug)]
pub struct ConflictSpec {
    /// Whether the primary key arbitrates.
    pub primary: bool,
    /// Which secondary indexes arbitrate, by place in the target's.
    pub indexes: Vec<usize>,
    /// DO UPDATE.
    pub update: Option<ConflictUpdateSpec>,
}

/// DO UPDATE.
#[derive(Debug)]
pub struct ConflictUpdateSpec {
    /// Place and value, over the existing row and (second) the proposed row.
    pub assignments: Vec<(usize, Scalar)>,
    /// WHERE, over the same.
    pub filter: Option<Scalar>,
}

/// UPDATE.
#[derive(Debug)]
pub struct UpdatePlan {
    /// Of.
    pub target: Target,
    /// Rows to update.
    pub source: PlanNode,
    /// What the source's rows hold of the target.
    pub found: Found,
    /// Place in the table and value, over the existing row and (second) the source's row.
    pub assignments: Vec<(usize, Scalar)>,
    /// Whether an assignment or condition holds a subquery.
    pub subqueries: bool,
    /// CHECK constraints, over the row to be stored.
    pub checks: Vec<CheckSpec>,
    /// RETURNING, over the stored row and (second) the source's row.
    pub returning: Option<Scalars>,
    /// Whether columns of the primary key are assigned.
    pub moves: bool,
    /// Whether nothing but the row itself changes.
    pub alone: bool,
    /// Whether a column of the primary key or of a unique index is assigned: the lock is
    /// stronger then.
    pub lock: LockMode,
}

/// DELETE.
#[derive(Debug)]
pub struct DeletePlan {
    /// From.
    pub target: Target,
    /// Rows to delete.
    pub source: PlanNode,
    /// What the source's rows hold of the target.
    pub found: Found,
    /// RETURNING, over the deleted row and (second) the source's row.
    pub returning: Option<Scalars>,
}

/// How UPDATE and DELETE find the newest version of a row, and whether it still qualifies.
#[derive(Debug)]
pub struct Found {
    /// Place of the row's key in the source's rows.
    pub row_key: usize,
    /// The whole qualification, over the newest version and (second) the source's row: evaluated
    /// when the version is not the one that the source saw.
    pub recheck: Scalars,
    /// Set when the source reads nothing but one row by its whole primary key and has no other
    /// condition: the row is then locked at once and read under the lock.
    pub direct: Option<Arc<ScanPlan>>,
}

/// A constant that the planner made.
pub fn constant(value: Datum) -> Scalar {
    Scalar::Const(value)
}

/// The place of a column in a descriptor's list.
pub fn place_of(table: &TableDescriptor, id: ColumnId) -> Option<usize> {
    table.columns.iter().position(|c| c.id == id)
}
