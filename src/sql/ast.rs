//! The syntax tree of queries, expressions, INSERT, UPDATE and DELETE.
//!
//! It follows PostgreSQL's raw parse tree: special forms (`EXTRACT`, `AT TIME ZONE`, `LIKE`, …)
//! are already calls of the functions and operators they stand for, and every node knows the byte
//! of the text that PostgreSQL would point at. Names are folded. Nothing is looked up yet.

use std::sync::Arc;

/// A byte offset in the statement's text.
pub type Offset = u32;

/// A name, folded or as quoted.
#[derive(Clone, Debug)]
pub struct Ident {
    /// The name.
    pub name: Arc<str>,
    /// Where it stands.
    pub at: Offset,
}

/// A name with qualifiers: at least one part.
pub type QualifiedName = Vec<Ident>;

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where PostgreSQL points at it: an operator's symbol, a call's name, a cast's `::`.
    pub at: Offset,
}

/// An operator's name.
#[derive(Clone, Debug)]
pub struct OperatorName {
    /// `OPERATOR(schema.op)`
    pub schema: Option<Ident>,
    /// The symbol.
    pub name: Arc<str>,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// NULL
    Null,
    /// TRUE, FALSE
    Bool(bool),
    /// Digits: an int4, int8 or numeric by size. A sign before it is folded in.
    Number(Box<str>),
    /// A string: of unknown type.
    String(Arc<str>),
    /// `B'…'` (or `X'…'`), as written.
    Bits(Box<str>),
    /// `$n`, from 1.
    Param(u32),
    /// A column, qualified or not.
    Column(QualifiedName),
    /// `t.*`, or `*` alone (empty).
    Star(QualifiedName),
    /// `(expr).name`
    Field(Box<Expr>, Ident),
    /// `(expr).*`
    FieldStar(Box<Expr>),
    /// `expr[index]`
    Subscript(Box<Expr>, Box<Expr>),
    /// `expr[lower:upper]`
    Slice(Box<Expr>, Option<Box<Expr>>, Option<Box<Expr>>),
    /// A prefix operator.
    Unary(OperatorName, Box<Expr>),
    /// An operator.
    Binary(OperatorName, Box<Expr>, Box<Expr>),
    /// AND of two or more.
    And(Vec<Expr>),
    /// OR of two or more.
    Or(Vec<Expr>),
    /// NOT
    Not(Box<Expr>),
    /// `IS [NOT] NULL`
    IsNull(Box<Expr>, Negated),
    /// `IS [NOT] TRUE, FALSE, UNKNOWN (none)`
    IsBool(Box<Expr>, Option<bool>, Negated),
    /// `IS [NOT] DISTINCT FROM`
    IsDistinct(Box<Expr>, Box<Expr>, Negated),
    /// `[NOT] BETWEEN`
    Between(Box<Between>),
    /// `[NOT] IN (list)`
    InList(Box<Expr>, Vec<Expr>, Negated),
    /// `[NOT] IN (query)`
    InQuery(Box<Expr>, Box<Query>, Negated),
    /// LIKE, ILIKE, SIMILAR TO: the operator it stands for, with the pattern as that takes it.
    Like(Box<Like>),
    /// `left op ANY|ALL (array)`; ANY if true.
    AnyAll(Box<Expr>, OperatorName, bool, Box<Expr>),
    /// `left op ANY|ALL (query)`; ANY if true.
    AnyAllQuery(Box<Expr>, OperatorName, bool, Box<Query>),
    /// EXISTS (query)
    Exists(Box<Query>),
    /// (query)
    Query(Box<Query>),
    /// ARRAY(query)
    ArrayQuery(Box<Query>),
    /// ARRAY[…]
    Array(Vec<Expr>),
    /// ROW(…) and (a, b)
    Row(Vec<Expr>),
    /// CASE
    Case(Box<Case>),
    /// COALESCE
    Coalesce(Vec<Expr>),
    /// GREATEST (true), LEAST
    Extreme(bool, Vec<Expr>),
    /// NULLIF
    NullIf(Box<Expr>, Box<Expr>),
    /// A cast, however written.
    Cast(Box<Expr>, TypeName),
    /// A function, aggregate or window function.
    Call(Box<Call>),
    /// CURRENT_DATE and the like.
    Value(SqlValue),
    /// COLLATE
    Collate(Box<Expr>, QualifiedName),
    /// GROUPING(…)
    Grouping(Vec<Expr>),
    /// DEFAULT, where INSERT and UPDATE take it.
    Default,
}

/// Whether NOT was written.
pub type Negated = bool;

/// BETWEEN.
#[derive(Clone, Debug)]
pub struct Between {
    /// What is tested.
    pub expr: Expr,
    /// From.
    pub low: Expr,
    /// To.
    pub high: Expr,
    /// NOT
    pub negated: Negated,
    /// SYMMETRIC
    pub symmetric: bool,
}

/// LIKE and its kin.
#[derive(Clone, Debug)]
pub struct Like {
    /// The operator: `~~`, `!~~`, `~~*`, `!~~*`, `~`, `!~`.
    pub operator: &'static str,
    /// What is matched.
    pub expr: Expr,
    /// The pattern, through `like_escape` or `similar_to_escape` where that is asked for.
    pub pattern: Expr,
}

/// CASE.
#[derive(Clone, Debug)]
pub struct Case {
    /// `CASE operand WHEN …`
    pub operand: Option<Expr>,
    /// Conditions and results, and where their WHEN stands.
    pub arms: Vec<(Expr, Expr, Offset)>,
    /// ELSE
    pub otherwise: Option<Expr>,
}

/// Values of the statement's environment written without parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is SQL's value of that name, with its precision")]
pub enum SqlValue {
    CurrentDate,
    CurrentTime(Option<i32>),
    CurrentTimestamp(Option<i32>),
    LocalTime(Option<i32>),
    LocalTimestamp(Option<i32>),
    CurrentRole,
    CurrentUser,
    User,
    SessionUser,
    CurrentCatalog,
    CurrentSchema,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function.
    pub name: QualifiedName,
    /// Whether the grammar chose the name (`EXTRACT(… FROM …)`): then it is in pg_catalog.
    pub special: bool,
    /// Arguments in order.
    pub args: Vec<Argument>,
    /// `f(*)`
    pub star: bool,
    /// VARIADIC before the last argument.
    pub variadic: bool,
    /// DISTINCT
    pub distinct: bool,
    /// ORDER BY inside the parentheses.
    pub order_by: Vec<OrderItem>,
    /// WITHIN GROUP (ORDER BY …)
    pub within_group: Vec<OrderItem>,
    /// FILTER (WHERE …)
    pub filter: Option<Expr>,
    /// OVER
    pub over: Option<Over>,
}

/// An argument.
#[derive(Clone, Debug)]
pub struct Argument {
    /// `name => …`
    pub name: Option<Ident>,
    /// The value.
    pub expr: Expr,
}

/// OVER.
#[derive(Clone, Debug)]
pub enum Over {
    /// OVER name
    Name(Ident),
    /// OVER (…)
    Window(Box<WindowSpec>),
}

/// A window's definition.
#[derive(Clone, Debug)]
pub struct WindowSpec {
    /// The window it adds to.
    pub base: Option<Ident>,
    /// PARTITION BY
    pub partition_by: Vec<Expr>,
    /// ORDER BY
    pub order_by: Vec<OrderItem>,
    /// The frame, if written.
    pub frame: Option<FrameSpec>,
    /// Where it stands.
    pub at: Offset,
}

/// A window frame as written.
#[derive(Clone, Debug)]
pub struct FrameSpec {
    /// ROWS, RANGE, GROUPS
    pub unit: super::bound::FrameUnit,
    /// From.
    pub start: FrameEdge,
    /// To.
    pub end: FrameEdge,
    /// EXCLUDE
    pub exclude: super::bound::FrameExclude,
    /// Where it stands.
    pub at: Offset,
}

/// A frame's edge.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum FrameEdge {
    UnboundedPreceding,
    Preceding(Box<Expr>),
    CurrentRow,
    Following(Box<Expr>),
    UnboundedFollowing,
}

/// One item of ORDER BY.
#[derive(Clone, Debug)]
pub struct OrderItem {
    /// By what.
    pub expr: Expr,
    /// DESC
    pub desc: bool,
    /// NULLS FIRST or LAST, if written.
    pub nulls_first: Option<bool>,
    /// `USING op`: the operator and where it stands.
    pub using: Option<(OperatorName, Offset)>,
}

/// A type as written.
#[derive(Clone, Debug)]
pub struct TypeName {
    /// Its name; the grammar's own spellings (`double precision`) are pg_catalog names already.
    pub name: QualifiedName,
    /// Modifiers in parentheses. For intervals the first is the mask of fields.
    pub modifiers: Vec<Expr>,
    /// `[]` or ARRAY.
    pub array: bool,
    /// SETOF
    pub set_of: bool,
    /// Where it stands.
    pub at: Offset,
}

/// A query with everything around its body.
#[derive(Clone, Debug)]
pub struct Query {
    /// WITH
    pub with: Option<With>,
    /// SELECT, VALUES, or a set operation.
    pub body: QueryBody,
    /// ORDER BY
    pub order_by: Vec<OrderItem>,
    /// LIMIT; `LIMIT ALL` is NULL.
    pub limit: Option<Expr>,
    /// FETCH FIRST … WITH TIES, and where it stands.
    pub with_ties: Option<Offset>,
    /// OFFSET
    pub offset: Option<Expr>,
    /// FOR UPDATE and the like.
    pub locks: Vec<Locking>,
    /// Where it begins.
    pub at: Offset,
}

/// WITH.
#[derive(Clone, Debug)]
pub struct With {
    /// RECURSIVE
    pub recursive: bool,
    /// Its queries.
    pub ctes: Vec<Cte>,
    /// Where it stands.
    pub at: Offset,
}

/// One query of WITH.
#[derive(Clone, Debug)]
pub struct Cte {
    /// Its name.
    pub name: Ident,
    /// Names for its columns.
    pub columns: Vec<Ident>,
    /// MATERIALIZED or NOT, if written.
    pub materialized: Option<bool>,
    /// Its query.
    pub body: CteBody,
}

impl Cte {
    /// Whether it writes.
    pub fn writes(&self) -> bool {
        !matches!(self.body, CteBody::Query(_))
    }
}

/// What a query of WITH is.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum CteBody {
    Query(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
}

/// The body of a query.
#[derive(Clone, Debug)]
pub enum QueryBody {
    /// SELECT
    Select(Box<Select>),
    /// VALUES: rows, each with where it begins.
    Values(Vec<Vec<Expr>>),
    /// UNION, INTERSECT, EXCEPT
    SetOp(Box<SetOperation>),
}

/// A set operation.
#[derive(Clone, Debug)]
pub struct SetOperation {
    /// Which.
    pub op: super::bound::SetOp,
    /// ALL
    pub all: bool,
    /// Left.
    pub left: Query,
    /// Right.
    pub right: Query,
}

/// SELECT.
#[derive(Clone, Debug)]
pub struct Select {
    /// DISTINCT
    pub distinct: Distinct,
    /// The select list.
    pub targets: Vec<Target>,
    /// FROM
    pub from: Vec<FromItem>,
    /// WHERE
    pub filter: Option<Expr>,
    /// GROUP BY
    pub group_by: Vec<GroupItem>,
    /// GROUP BY DISTINCT
    pub group_distinct: bool,
    /// HAVING
    pub having: Option<Expr>,
    /// WINDOW
    pub windows: Vec<(Ident, WindowSpec)>,
    /// `/*+ READ_FROM_STORAGE(…) */` after SELECT: tables and their paths.
    pub hints: Vec<(Arc<str>, super::bound::PathHint)>,
}

/// DISTINCT.
#[derive(Clone, Debug)]
pub enum Distinct {
    /// Not written.
    No,
    /// DISTINCT
    All,
    /// DISTINCT ON (…)
    On(Vec<Expr>),
}

/// An item of a select list or of RETURNING.
#[derive(Clone, Debug)]
pub struct Target {
    /// What; [`ExprKind::Star`] for `*` and `t.*`.
    pub expr: Expr,
    /// Its name, if written.
    pub alias: Option<Ident>,
}

/// An item of GROUP BY.
#[derive(Clone, Debug)]
pub enum GroupItem {
    /// An expression, or several in parentheses.
    Expr(Expr),
    /// `()`
    Empty,
    /// ROLLUP
    Rollup(Vec<Expr>, Offset),
    /// CUBE
    Cube(Vec<Expr>, Offset),
    /// GROUPING SETS
    Sets(Vec<GroupItem>, Offset),
}

/// An item of FROM.
#[derive(Clone, Debug)]
pub enum FromItem {
    /// A table or a CTE.
    Table {
        /// Its name.
        name: QualifiedName,
        /// Its alias.
        alias: Option<Alias>,
    },
    /// A query in parentheses.
    Query {
        /// LATERAL
        lateral: bool,
        /// The query.
        query: Box<Query>,
        /// Its alias.
        alias: Option<Alias>,
        /// Where it stands.
        at: Offset,
    },
    /// A function, or several in ROWS FROM.
    Function {
        /// LATERAL
        lateral: bool,
        /// The calls; more than one only in ROWS FROM.
        calls: Vec<Expr>,
        /// WITH ORDINALITY
        ordinality: bool,
        /// Its alias.
        alias: Option<Alias>,
        /// Whether `AS (column type, …)` was written.
        definitions: Vec<(Ident, TypeName)>,
    },
    /// A join.
    Join(Box<Join>),
}

/// A join as written.
#[derive(Clone, Debug)]
pub struct Join {
    /// Left.
    pub left: FromItem,
    /// Right.
    pub right: FromItem,
    /// Which.
    pub kind: JoinType,
    /// Its condition.
    pub condition: JoinCondition,
    /// `(a JOIN b) AS alias`
    pub alias: Option<Alias>,
}

/// Join kinds as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "SQL's own names")]
pub enum JoinType {
    Inner,
    Left,
    Right,
    Full,
}

impl JoinType {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            JoinType::Inner => "INNER",
            JoinType::Left => "LEFT",
            JoinType::Right => "RIGHT",
            JoinType::Full => "FULL",
        }
    }
}

/// A join's condition.
#[derive(Clone, Debug)]
pub enum JoinCondition {
    /// CROSS JOIN
    None,
    /// ON
    On(Expr),
    /// USING (…) [AS alias]
    Using(Vec<Ident>, Option<Ident>),
    /// NATURAL
    Natural,
}

/// An alias with names for columns.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The alias.
    pub name: Ident,
    /// Names for the first columns.
    pub columns: Vec<Ident>,
}

/// FOR UPDATE and the like.
#[derive(Clone, Debug)]
pub struct Locking {
    /// Strength.
    pub mode: crate::kv::LockMode,
    /// OF
    pub of: Vec<Ident>,
    /// NOWAIT
    pub nowait: bool,
    /// SKIP LOCKED
    pub skip_locked: bool,
}

/// INSERT.
#[derive(Clone, Debug)]
pub struct Insert {
    /// WITH
    pub with: Option<With>,
    /// Into.
    pub table: QualifiedName,
    /// AS alias
    pub alias: Option<Ident>,
    /// Columns, if written.
    pub columns: Option<Vec<Ident>>,
    /// OVERRIDING SYSTEM VALUE (true) or USER VALUE.
    pub overriding: Option<bool>,
    /// Rows; none: DEFAULT VALUES. In VALUES, [`ExprKind::Default`] may stand for a value.
    pub source: Option<Query>,
    /// ON CONFLICT
    pub on_conflict: Option<OnConflict>,
    /// RETURNING
    pub returning: Vec<Target>,
}

/// ON CONFLICT.
#[derive(Clone, Debug)]
pub struct OnConflict {
    /// Which conflicts.
    pub target: ConflictTarget,
    /// DO UPDATE SET …; none: DO NOTHING.
    pub update: Option<(Vec<Assignment>, Option<Expr>)>,
    /// Where it stands.
    pub at: Offset,
}

/// Which conflicts ON CONFLICT means.
#[derive(Clone, Debug)]
pub enum ConflictTarget {
    /// Any.
    Any,
    /// Those on columns or expressions, of indexes with this predicate.
    Columns(Vec<Expr>, Option<Expr>),
    /// Those of a constraint.
    Constraint(Ident),
}

/// `column = value` or `(columns) = row` of SET.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// One column, or several in parentheses.
    pub columns: Vec<Ident>,
    /// Whether parentheses were written: then the value is a row or a query.
    pub multiple: bool,
    /// The value; [`ExprKind::Default`] for DEFAULT.
    pub value: Expr,
}

/// UPDATE.
#[derive(Clone, Debug)]
pub struct Update {
    /// WITH
    pub with: Option<With>,
    /// Of.
    pub table: QualifiedName,
    /// Its alias.
    pub alias: Option<Ident>,
    /// SET
    pub assignments: Vec<Assignment>,
    /// FROM
    pub from: Vec<FromItem>,
    /// WHERE
    pub filter: Option<Expr>,
    /// WHERE CURRENT OF: the cursor.
    pub current_of: Option<Ident>,
    /// RETURNING
    pub returning: Vec<Target>,
}

/// DELETE.
#[derive(Clone, Debug)]
pub struct Delete {
    /// WITH
    pub with: Option<With>,
    /// From.
    pub table: QualifiedName,
    /// Its alias.
    pub alias: Option<Ident>,
    /// USING
    pub using: Vec<FromItem>,
    /// WHERE
    pub filter: Option<Expr>,
    /// WHERE CURRENT OF: the cursor.
    pub current_of: Option<Ident>,
    /// RETURNING
    pub returning: Vec<Target>,
}

impl Expr {
    /// An expression standing at `at`.
    pub fn new(kind: ExprKind, at: Offset) -> Expr {
        Expr { kind, at }
    }

    /// The leftmost byte of the expression, as PostgreSQL's `exprLocation` finds it: operators
    /// begin with their left side, everything else where it points at.
    pub fn start(&self) -> Offset {
        let left = match &self.kind {
            ExprKind::Binary(_, left, _)
            | ExprKind::IsNull(left, _)
            | ExprKind::IsBool(left, ..)
            | ExprKind::IsDistinct(left, ..)
            | ExprKind::InList(left, ..)
            | ExprKind::InQuery(left, ..)
            | ExprKind::AnyAll(left, ..)
            | ExprKind::AnyAllQuery(left, ..)
            | ExprKind::Cast(left, _)
            | ExprKind::Collate(left, _)
            | ExprKind::Subscript(left, _)
            | ExprKind::Slice(left, ..)
            | ExprKind::Field(left, _)
            | ExprKind::FieldStar(left) => left.start(),
            ExprKind::Between(b) => b.expr.start(),
            ExprKind::Like(l) => l.expr.start(),
            ExprKind::And(items) | ExprKind::Or(items) => {
                items.first().map_or(self.at, Expr::start)
            }
            ExprKind::Call(call) if call.special => {
                call.args.iter().map(|a| a.expr.start()).min().unwrap_or(self.at)
            }
            _ => self.at,
        };
        left.min(self.at)
    }
}
