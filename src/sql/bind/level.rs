//! One query being bound: what it can see, and what was lifted out of its expressions.

use std::sync::Arc;

use super::super::ast::{Offset, WindowSpec};
use super::super::bound::{AggregateCall, Call, ColId, Column, WindowCall};
use super::cte::{PendingCtes, VisibleCte};
use super::scope::{Mention, Source};

/// Which clause an expression stands in; decides what it may hold, and what messages call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each is the clause of that name")]
pub enum Clause {
    #[default]
    None,
    JoinOn,
    JoinUsing,
    FromSubselect,
    FromFunction,
    Where,
    Having,
    Filter,
    WindowPartition,
    WindowOrder,
    WindowFrame,
    SelectList,
    InsertValues,
    UpdateSource,
    GroupBy,
    OrderBy,
    DistinctOn,
    Limit,
    Offset,
    Returning,
    Values,
    Check,
    ColumnDefault,
    IndexExpression,
    IndexPredicate,
    AlterColumnType,
    ExecuteParameter,
    CopyWhere,
}

impl Clause {
    /// Its name in messages such as "aggregate functions are not allowed in …".
    pub fn name(self) -> &'static str {
        match self {
            Clause::None => "expression",
            Clause::JoinOn | Clause::JoinUsing => "JOIN conditions",
            Clause::FromSubselect => "FROM clause of their own query level",
            Clause::FromFunction => "functions in FROM",
            Clause::Where => "WHERE",
            Clause::Having => "HAVING",
            Clause::Filter => "FILTER",
            Clause::WindowPartition => "window PARTITION BY",
            Clause::WindowOrder => "window ORDER BY",
            Clause::WindowFrame => "window frame",
            Clause::SelectList => "SELECT",
            Clause::InsertValues | Clause::Values => "VALUES",
            Clause::UpdateSource => "UPDATE",
            Clause::GroupBy => "GROUP BY",
            Clause::OrderBy => "ORDER BY",
            Clause::DistinctOn => "DISTINCT ON",
            Clause::Limit => "LIMIT",
            Clause::Offset => "OFFSET",
            Clause::Returning => "RETURNING",
            Clause::Check => "check constraints",
            Clause::ColumnDefault => "DEFAULT expressions",
            Clause::IndexExpression => "index expressions",
            Clause::IndexPredicate => "index predicates",
            Clause::AlterColumnType => "transform expressions",
            Clause::ExecuteParameter => "EXECUTE parameters",
            Clause::CopyWhere => "COPY FROM WHERE conditions",
        }
    }

    /// Whether aggregates may stand in it.
    pub fn allows_aggregates(self) -> bool {
        matches!(
            self,
            Clause::SelectList
                | Clause::Having
                | Clause::OrderBy
                | Clause::DistinctOn
                | Clause::WindowPartition
                | Clause::WindowOrder
                | Clause::WindowFrame
                | Clause::None
        )
    }

    /// Whether window functions may stand in it.
    pub fn allows_windows(self) -> bool {
        matches!(self, Clause::SelectList | Clause::OrderBy | Clause::DistinctOn | Clause::None)
    }

    /// Whether set-returning functions may stand in it, below nothing but functions and operators.
    pub fn allows_sets(self) -> bool {
        matches!(
            self,
            Clause::SelectList
                | Clause::OrderBy
                | Clause::GroupBy
                | Clause::DistinctOn
                | Clause::InsertValues
                | Clause::None
        )
    }

    /// Whether subqueries may stand in it; the message if not.
    pub fn refuses_subqueries(self) -> Option<&'static str> {
        match self {
            Clause::Check => Some("cannot use subquery in check constraint"),
            Clause::ColumnDefault => Some("cannot use subquery in DEFAULT expression"),
            Clause::IndexExpression => Some("cannot use subquery in index expression"),
            Clause::IndexPredicate => Some("cannot use subquery in index predicate"),
            Clause::AlterColumnType => Some("cannot use subquery in transform expression"),
            Clause::ExecuteParameter => Some("cannot use subquery in EXECUTE parameter"),
            Clause::CopyWhere => Some("cannot use subquery in COPY FROM WHERE condition"),
            _ => None,
        }
    }
}

/// What made a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Producer {
    /// An item of FROM.
    Source,
    /// An aggregate.
    Aggregate,
    /// A window function.
    Window,
    /// A set-returning function.
    Set,
    /// Anything else: a projection, a set operation.
    Other,
}

/// What the binder knows of a column.
#[derive(Clone, Copy, Debug)]
pub struct ColumnInfo {
    /// The query it belongs to: its place in the stack of levels.
    pub level: u32,
    /// What made it.
    pub producer: Producer,
    /// Where the call that made it stands.
    pub at: Offset,
}

/// A set-returning call lifted from a select list.
#[derive(Debug)]
pub struct SetCall {
    /// The call.
    pub call: Call,
    /// What it produces.
    pub columns: Vec<Column>,
    /// How many set-returning calls its arguments are deep: it runs after them.
    pub rank: usize,
}

/// A window call with the place of its window.
#[derive(Debug)]
pub struct PendingWindow {
    /// The call; its window is filled in once all windows are known.
    pub call: WindowCall,
    /// The window's place in [`Level::windows`].
    pub window: usize,
}

/// A window: named in WINDOW, or written in OVER.
#[derive(Clone, Debug)]
pub struct Window {
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// What it says.
    pub spec: WindowSpec,
}

/// A query being bound.
#[derive(Default)]
pub struct Level {
    /// What its expressions can name.
    pub sources: Vec<Source>,
    /// Whether its FROM names the recursive query being bound.
    pub recursive: bool,
    /// Queries of its WITH that are still to be bound.
    pub pending_ctes: PendingCtes,
    /// Every item of FROM met so far, visible or not.
    pub mentions: Vec<Mention>,
    /// The queries of its WITH.
    pub ctes: Vec<VisibleCte>,
    /// The clause being bound.
    pub clause: Clause,
    /// Whether LATERAL items of FROM are visible now.
    pub lateral: bool,
    /// Aggregates that belong to it.
    pub aggregates: Vec<AggregateCall>,
    /// `GROUPING(…)` calls: arguments and what they come out as.
    pub grouping: Vec<(Vec<(super::Expr, Offset)>, Column)>,
    /// Window calls that belong to it.
    pub window_calls: Vec<PendingWindow>,
    /// Windows: named ones first.
    pub windows: Vec<Window>,
    /// Set-returning calls of its select list and clauses.
    pub sets: Vec<SetCall>,
    /// Why a set-returning function may not stand here (`CASE`, `COALESCE`), innermost last.
    pub set_barriers: Vec<&'static str>,
    /// Whether its FROM is there for [`Level::present`] to be added to.
    pub selects: bool,
    /// Columns that are TRUE where an item of an outer join has a row: the first column of each
    /// such item whose whole row is asked for, and the column that tells.
    pub present: Vec<(ColId, Column)>,
    /// Every use of a column of this query, where it stands: messages about grouping point there.
    pub uses: Vec<(ColId, Offset)>,
}
