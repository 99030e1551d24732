//! The bound tree: a statement after names, types and overloads are resolved.
//!
//! Every cast is explicit, every function is one entry of [`crate::functions`], every column has a
//! [`ColId`] that is unique in its statement: a base relation's occurrence, a projection, an
//! aggregate each make fresh ids for what they produce. An expression may name any `ColId` in
//! scope; one that its own input does not produce comes from outside, which is all that
//! correlation is. Consumers: `plan` and `exec` (rows), `columnar::lower` (DataFusion).

use std::sync::Arc;

use crate::functions::Function;
use crate::types::descriptor::{ColumnId, TableDescriptor};
use crate::types::{Datum, SqlType};

/// A column of one statement, unique in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColId(pub u32);

/// A produced column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its id.
    pub id: ColId,
    /// Its name, as a client is told.
    pub name: Arc<str>,
    /// Its type.
    pub ty: SqlType,
    /// The table column it is, unchanged: table OID and attnum for RowDescription.
    pub origin: Option<(u32, ColumnId)>,
}

/// An expression. Its type is [`Expr::ty`].
#[derive(Clone, Debug)]
pub enum Expr {
    /// A constant.
    Literal(Datum, SqlType),
    /// `$n`, from 0 here.
    Param(usize, SqlType),
    /// A column.
    Column(ColId, SqlType),
    /// A scalar function or operator. Aggregates, window and set-returning functions never stand
    /// here: the binder lifts them into [`Rel`] nodes and leaves a column.
    Call(Call),
    /// A cast by text or by relabelling, and the coercion to the target's typmod; casts by
    /// function are this too, so that `functions::apply_cast` is the one place.
    Cast {
        /// What is cast.
        expr: Box<Expr>,
        /// The type of `expr`.
        from: SqlType,
        /// The type it becomes.
        to: SqlType,
        /// Whether written by the user (else an error instead of truncation).
        explicit: bool,
        /// Position of the cast in the statement, 0 if none.
        position: u32,
    },
    /// Three-valued AND of two or more.
    And(Vec<Expr>),
    /// Three-valued OR of two or more.
    Or(Vec<Expr>),
    /// NOT.
    Not(Box<Expr>),
    /// IS NULL (IS NOT NULL is `Not` of it). Of a row value: all fields NULL.
    IsNull(Box<Expr>),
    /// IS TRUE / IS FALSE (IS UNKNOWN is `IsNull`).
    IsBool(Box<Expr>, bool),
    /// IS DISTINCT FROM, by the equality function of the two (same-typed) sides.
    IsDistinct {
        /// Left side.
        left: Box<Expr>,
        /// Right side.
        right: Box<Expr>,
        /// The `=` of the type.
        equal: &'static Function,
    },
    /// CASE without an operand (the binder turns `CASE x WHEN v` into comparisons; `x` is then
    /// evaluated once for each arm, so the binder keeps volatile operands out by a 0A000).
    Case {
        /// Conditions and results.
        arms: Vec<(Expr, Expr)>,
        /// The ELSE; NULL if there was none.
        otherwise: Box<Expr>,
        /// The common type.
        ty: SqlType,
    },
    /// COALESCE.
    Coalesce(Vec<Expr>, SqlType),
    /// GREATEST (true) and LEAST (false).
    Extreme {
        /// Whether the greatest.
        greatest: bool,
        /// The candidates, one type.
        args: Vec<Expr>,
        /// The common type.
        ty: SqlType,
    },
    /// `left op ANY (array)` and `left op ALL (array)`; `IN (list)` of constants too.
    AnyAll {
        /// ANY (true) or ALL (false).
        any: bool,
        /// Left side.
        left: Box<Expr>,
        /// The array.
        array: Box<Expr>,
        /// The operator's function, bool.
        function: &'static Function,
        /// Position of the operator.
        position: u32,
    },
    /// ARRAY[…].
    Array(Vec<Expr>, SqlType),
    /// `array[index]`.
    Subscript {
        /// The array.
        array: Box<Expr>,
        /// The index, int4.
        index: Box<Expr>,
        /// The element's type.
        ty: SqlType,
    },
    /// ROW(…), and the row of an item of FROM, whose fields have names.
    Row(Vec<Expr>, Option<Arc<[Arc<str>]>>),
    /// A subquery used as a value.
    Subquery(Box<Subquery>),
}

/// A call of a scalar function.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which.
    pub function: &'static Function,
    /// Its arguments, already of the declared types.
    pub args: Vec<Expr>,
    /// The result's type, polymorphism resolved.
    pub ty: SqlType,
    /// Position in the statement, 0 if none.
    pub position: u32,
}

/// A subquery in an expression.
#[derive(Clone, Debug)]
pub struct Subquery {
    /// How it is used.
    pub kind: SubqueryKind,
    /// What it runs.
    pub rel: Rel,
    /// The type of the expression.
    pub ty: SqlType,
}

/// How a subquery is used.
#[derive(Clone, Debug)]
pub enum SubqueryKind {
    /// Its one column of its one row; NULL if none; 21000 if more.
    Scalar,
    /// EXISTS.
    Exists,
    /// `left op ANY/ALL (subquery)`; `IN` is `= ANY`, `NOT IN` is `Not` of that. More than one
    /// left expression is a row comparison by `=`.
    AnyAll {
        /// ANY (true) or ALL (false).
        any: bool,
        /// Left sides, one for each column of the subquery.
        left: Vec<Expr>,
        /// The comparison's function for each of them.
        functions: Vec<&'static Function>,
    },
    /// ARRAY(subquery).
    Array,
}

/// One ORDER BY item.
#[derive(Clone, Debug)]
pub struct SortKey {
    /// By what.
    pub expr: Expr,
    /// Whether it descends.
    pub desc: bool,
    /// Whether NULLs come first (PostgreSQL's default: only when descending).
    pub nulls_first: bool,
}

/// Join kinds. RIGHT is a LEFT with its sides swapped by the binder (below a projection).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Inner, and cross without a condition.
    Inner,
    /// Left outer.
    Left,
    /// Full outer.
    Full,
    /// Rows of the left with a match; only left columns come out.
    Semi,
    /// Rows of the left without a match; only left columns come out. `NOT EXISTS`.
    Anti,
}

/// An aggregate call in [`Rel::Aggregate`] or, with a frame, in [`Rel::Window`].
#[derive(Clone, Debug)]
pub struct AggregateCall {
    /// Which.
    pub function: &'static Function,
    /// Its arguments; `count(*)` has none.
    pub args: Vec<Expr>,
    /// DISTINCT.
    pub distinct: bool,
    /// ORDER BY within the call.
    pub order_by: Vec<SortKey>,
    /// FILTER (WHERE …).
    pub filter: Option<Expr>,
    /// What it produces.
    pub output: Column,
}

/// A window frame's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUnit {
    /// ROWS
    Rows,
    /// RANGE
    Range,
    /// GROUPS
    Groups,
}

/// A window frame's bound.
#[derive(Clone, Debug)]
pub enum FrameBound {
    /// UNBOUNDED PRECEDING
    UnboundedPreceding,
    /// n PRECEDING; RANGE: an offset of the sort key's type or interval
    Preceding(Expr),
    /// CURRENT ROW
    CurrentRow,
    /// n FOLLOWING
    Following(Expr),
    /// UNBOUNDED FOLLOWING
    UnboundedFollowing,
}

/// What a frame leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameExclude {
    /// Nothing.
    NoOthers,
    /// The current row.
    CurrentRow,
    /// The current row's peers and itself.
    Group,
    /// The current row's peers, but not itself.
    Ties,
}

/// A window frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Unit.
    pub unit: FrameUnit,
    /// Start.
    pub start: FrameBound,
    /// End.
    pub end: FrameBound,
    /// EXCLUDE.
    pub exclude: FrameExclude,
}

/// One window function call.
#[derive(Clone, Debug)]
pub struct WindowCall {
    /// An aggregate or a window function.
    pub call: AggregateCall,
    /// PARTITION BY.
    pub partition_by: Vec<Expr>,
    /// ORDER BY of the window.
    pub order_by: Vec<SortKey>,
    /// The frame.
    pub frame: Frame,
}

/// Set operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum SetOp {
    Union,
    Intersect,
    Except,
}

/// Row locks a SELECT asks for (`FOR UPDATE` …).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLock {
    /// Strength.
    pub mode: crate::kv::LockMode,
    /// NOWAIT.
    pub nowait: bool,
    /// SKIP LOCKED.
    pub skip_locked: bool,
}

/// Which access path a hint asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathHint {
    /// `READ_FROM_STORAGE(COLUMNAR[t])`
    Columnar,
    /// `READ_FROM_STORAGE(ROW[t])`
    Row,
}

/// A table's occurrence.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The table (a virtual one for the catalog).
    pub table: Arc<TableDescriptor>,
    /// Its name in this statement.
    pub alias: Arc<str>,
    /// The columns used, with the ids they have here. The binder lists all; pruning cuts.
    pub columns: Vec<(ColumnId, Column)>,
    /// Conditions on this scan alone, ANDed. The binder leaves it empty; pushdown fills it.
    pub filter: Vec<Expr>,
    /// Row locks.
    pub lock: Option<RowLock>,
    /// The hint.
    pub hint: Option<PathHint>,
    /// The id under which the row's own key comes out (DML needs it), as bytea.
    pub row_key: Option<ColId>,
}

/// A relational operator.
#[derive(Clone, Debug)]
pub enum Rel {
    /// A table.
    Scan(Box<Scan>),
    /// Constant rows; no columns and one row is `SELECT` without FROM.
    Values {
        /// Rows of expressions, cast to the columns' types.
        rows: Vec<Vec<Expr>>,
        /// What comes out.
        columns: Vec<Column>,
    },
    /// A set-returning function: in FROM, or lifted from a select list (then `input` is there, and
    /// each input row is repeated for each of the function's rows; several functions in one list
    /// run in step, padded with NULL).
    Function {
        /// The row it is called for; lateral columns come from it too.
        input: Option<Box<Rel>>,
        /// The calls, run in step.
        calls: Vec<(Call, Vec<Column>)>,
        /// WITH ORDINALITY.
        ordinality: Option<Column>,
        /// Whether rows without results are kept (LEFT JOIN LATERAL … ON true).
        outer: bool,
    },
    /// WHERE, HAVING, ON.
    Filter {
        /// Of what.
        input: Box<Rel>,
        /// Which rows: bool.
        predicate: Expr,
    },
    /// Computed columns. Only these come out.
    Project {
        /// Of what.
        input: Box<Rel>,
        /// Expression and what it is called; a plain column may keep its id.
        exprs: Vec<(Expr, Column)>,
    },
    /// A join; left columns, then right columns come out (semi and anti: left only).
    Join {
        /// Left.
        left: Box<Rel>,
        /// Right. If `lateral`, it may use columns of the left.
        right: Box<Rel>,
        /// Which.
        kind: JoinKind,
        /// Condition.
        on: Option<Expr>,
        /// LATERAL.
        lateral: bool,
    },
    /// GROUP BY. Group columns first, then aggregates, then the grouping ids come out.
    Aggregate {
        /// Of what.
        input: Box<Rel>,
        /// Grouping expressions and what they come out as.
        groups: Vec<(Expr, Column)>,
        /// Grouping sets as indexes into `groups`; one set with all of them for a plain GROUP BY.
        sets: Vec<Vec<usize>>,
        /// Aggregates.
        aggregates: Vec<AggregateCall>,
        /// GROUPING(…) calls: indexes into `groups`, and what they come out as (int4).
        grouping: Vec<(Vec<usize>, Column)>,
    },
    /// Window functions; input columns, then one column for each call come out.
    Window {
        /// Of what.
        input: Box<Rel>,
        /// Calls.
        calls: Vec<WindowCall>,
    },
    /// DISTINCT, or DISTINCT ON: the first row (in input order) for each key.
    Distinct {
        /// Of what.
        input: Box<Rel>,
        /// DISTINCT ON's keys; empty: all columns.
        on: Vec<Expr>,
    },
    /// ORDER BY.
    Sort {
        /// Of what.
        input: Box<Rel>,
        /// By what.
        keys: Vec<SortKey>,
    },
    /// LIMIT and OFFSET, int8; NULL is none.
    Limit {
        /// Of what.
        input: Box<Rel>,
        /// LIMIT.
        limit: Option<Expr>,
        /// OFFSET.
        offset: Option<Expr>,
        /// WITH TIES (the input is a sort then).
        with_ties: bool,
    },
    /// UNION, INTERSECT, EXCEPT. Columns pair by place and have one type.
    SetOp {
        /// Which.
        op: SetOp,
        /// ALL.
        all: bool,
        /// Left.
        left: Box<Rel>,
        /// Right.
        right: Box<Rel>,
        /// What comes out.
        columns: Vec<Column>,
    },
    /// WITH: a query evaluated at most once, used by [`Rel::CteScan`] in `body`.
    With {
        /// Number of the CTE in the statement.
        cte: usize,
        /// Its query; `Recursive` in here makes it recursive.
        query: Box<Rel>,
        /// What uses it.
        body: Box<Rel>,
    },
    /// A use of a CTE, or of the working table inside a recursive one.
    CteScan {
        /// Which.
        cte: usize,
        /// The CTE's columns, under this occurrence's ids, in order.
        columns: Vec<Column>,
    },
    /// The query of WITH RECURSIVE: `step` sees the last round's rows through `CteScan(cte)`.
    Recursive {
        /// Number of the CTE.
        cte: usize,
        /// First rows.
        base: Box<Rel>,
        /// Next rows.
        step: Box<Rel>,
        /// UNION ALL; else rows seen before are dropped.
        all: bool,
        /// What comes out.
        columns: Vec<Column>,
    },
}

/// WHERE CURRENT OF. The key of the cursor's row is the parameter after the statement's own.
#[derive(Clone, Debug)]
pub struct CurrentOf {
    /// The cursor.
    pub cursor: Arc<str>,
    /// The table that is written.
    pub table: Arc<TableDescriptor>,
}

/// A table in a cursor's query, one row of which each row of the cursor stands for.
#[derive(Clone, Debug)]
pub struct CursorTable {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// Whether the query locks it; then it may stand in a join.
    pub locked: bool,
}

/// A statement that reads or writes rows.
#[derive(Clone, Debug)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, WITH …
    Query(Rel),
    /// INSERT
    Insert(Box<Insert>),
    /// UPDATE
    Update(Box<Update>),
    /// DELETE
    Delete(Box<Delete>),
    /// WITH where some of its queries write.
    With(Box<WithStatement>),
}

/// WITH where some of its queries write. Each of them runs once and to its end, whoever reads
/// its rows; none sees what another has written.
#[derive(Clone, Debug)]
pub struct WithStatement {
    /// The queries and their numbers, each after those that it names.
    pub ctes: Vec<(usize, Statement)>,
    /// The statement itself.
    pub main: Statement,
}

impl Statement {
    /// Whether it is a query and nothing more.
    pub fn is_query(&self) -> bool {
        matches!(self, Statement::Query(_))
    }
}

/// What RETURNING computes; columns of the target are visible under the target's ids.
#[derive(Clone, Debug, Default)]
pub struct Returning {
    /// Expression and name of each output column; empty: no RETURNING.
    pub exprs: Vec<(Expr, Column)>,
}

/// INSERT.
#[derive(Clone, Debug)]
pub struct Insert {
    /// Into.
    pub table: Arc<TableDescriptor>,
    /// Ids of the table's columns (all, in descriptor order) in `checks`, `on_conflict` and
    /// `returning`: the row as it will be stored.
    pub target: Vec<Column>,
    /// Rows to insert: one column for each of the table's columns, in descriptor order, defaults
    /// filled in and cast to the column's type.
    pub source: Rel,
    /// CHECK constraints, over the target's ids, by name.
    pub checks: Vec<(String, Expr)>,
    /// WHERE of COPY FROM, over the same.
    pub filter: Option<Expr>,
    /// ON CONFLICT.
    pub on_conflict: Option<OnConflict>,
    /// RETURNING.
    pub returning: Returning,
}

/// ON CONFLICT.
#[derive(Clone, Debug)]
pub struct OnConflict {
    /// OIDs of the unique indexes that arbitrate; empty: any.
    pub arbiters: Vec<u32>,
    /// DO UPDATE; none: DO NOTHING.
    pub update: Option<ConflictUpdate>,
}

/// DO UPDATE SET …; the existing row is visible under the target's ids, EXCLUDED under `excluded`.
#[derive(Clone, Debug)]
pub struct ConflictUpdate {
    /// Ids of the row proposed for insertion, for all columns.
    pub excluded: Vec<Column>,
    /// Assignments, cast to the column's type.
    pub assignments: Vec<(ColumnId, Expr)>,
    /// WHERE.
    pub filter: Option<Expr>,
}

/// UPDATE.
#[derive(Clone, Debug)]
pub struct Update {
    /// Of.
    pub table: Arc<TableDescriptor>,
    /// Ids of the target's columns (all, in descriptor order).
    pub target: Vec<Column>,
    /// The rows to update: produces `target`'s ids, the row key (`row_key`) and whatever the
    /// assignments need; the target's own scan carries `row_key`.
    pub source: Rel,
    /// The id under which `source` gives the target row's key.
    pub row_key: ColId,
    /// Assignments, over `source`'s columns, cast to the column's type.
    pub assignments: Vec<(ColumnId, Expr)>,
    /// CHECK constraints, over ids of `new_row`.
    pub checks: Vec<(String, Expr)>,
    /// Ids of the row as it will be stored, for checks and RETURNING.
    pub new_row: Vec<Column>,
    /// RETURNING, over `new_row`'s ids and those of `source` (other than the target's).
    pub returning: Returning,
}

/// DELETE.
#[derive(Clone, Debug)]
pub struct Delete {
    /// From.
    pub table: Arc<TableDescriptor>,
    /// Ids of the target's columns.
    pub target: Vec<Column>,
    /// The rows to delete; as in [`Update`].
    pub source: Rel,
    /// The id under which `source` gives the target row's key.
    pub row_key: ColId,
    /// RETURNING, over `source`'s columns.
    pub returning: Returning,
}

impl Expr {
    /// The type.
    pub fn ty(&self) -> SqlType {
        match self {
            Expr::Literal(_, ty)
            | Expr::Param(_, ty)
            | Expr::Column(_, ty)
            | Expr::Case { ty, .. }
            | Expr::Coalesce(_, ty)
            | Expr::Extreme { ty, .. }
            | Expr::Array(_, ty)
            | Expr::Subscript { ty, .. } => *ty,
            Expr::Call(call) => call.ty,
            Expr::Cast { to, .. } => *to,
            Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsBool(..)
            | Expr::IsDistinct { .. }
            | Expr::AnyAll { .. } => SqlType::BOOL,
            Expr::Row(..) => SqlType::RECORD,
            Expr::Subquery(s) => s.ty,
        }
    }
}

impl Rel {
    /// What comes out, in order.
    pub fn columns(&self) -> Vec<Column> {
        match self {
            Rel::Scan(scan) => scan.columns.iter().map(|(_, c)| c.clone()).collect(),
            Rel::Values { columns, .. }
            | Rel::SetOp { columns, .. }
            | Rel::CteScan { columns, .. }
            | Rel::Recursive { columns, .. } => columns.clone(),
            Rel::Function { input, calls, ordinality, .. } => {
                let mut out = input.as_ref().map(|i| i.columns()).unwrap_or_default();
                out.extend(calls.iter().flat_map(|(_, c)| c.iter().cloned()));
                out.extend(ordinality.iter().cloned());
                out
            }
            Rel::Filter { input, .. }
            | Rel::Distinct { input, .. }
            | Rel::Sort { input, .. }
            | Rel::Limit { input, .. } => input.columns(),
            Rel::Project { exprs, .. } => exprs.iter().map(|(_, c)| c.clone()).collect(),
            Rel::Join { left, right, kind, .. } => {
                let mut out = left.columns();
                if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
                    out.extend(right.columns());
                }
                out
            }
            Rel::Aggregate { groups, aggregates, grouping, .. } => groups
                .iter()
                .map(|(_, c)| c.clone())
                .chain(aggregates.iter().map(|a| a.output.clone()))
                .chain(grouping.iter().map(|(_, c)| c.clone()))
                .collect(),
            Rel::Window { input, calls } => {
                let mut out = input.columns();
                out.extend(calls.iter().map(|c| c.call.output.clone()));
                out
            }
            Rel::With { body, .. } => body.columns(),
        }
    }
}
