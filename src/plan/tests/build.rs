//! Bound trees built by hand.

use std::sync::Arc;

use crate::catalog::CatalogSnapshot;
use crate::catalog::descriptor::RoleDescriptor;
use crate::clock::SimulatedClock;
use crate::functions::{EvalContext, Function, SessionInfo, operators_named};
use crate::kv::SpaceId;
use crate::plan::Statistics;
use crate::sql::bound::*;
use crate::types::descriptor::*;
use crate::types::{Datum, SqlType};

pub(crate) const INT: SqlType = SqlType::INT4;

pub(crate) fn context() -> EvalContext {
    let role = RoleDescriptor::bootstrap("postgres", None);
    EvalContext {
        transaction_time: 0,
        statement_time: 0,
        session: Arc::new(SessionInfo {
            analytics: Default::default(),
            state: Arc::default(),
            session_user: "postgres".into(),
            current_user: "postgres".into(),
            database: "postgres".into(),
            search_path: vec!["pg_catalog".into(), "public".into()],
            backend_pid: 1,
            format: Default::default(),
            settings: Default::default(),
        }),
        catalog: Arc::new(CatalogSnapshot::initial("postgres", role)),
        clock: Arc::new(SimulatedClock::new(0, 1)),
    }
}

/// Table `t` has 100,000 rows, `u` has 1,000, every other 100.
pub(crate) struct Sizes;

impl Statistics for Sizes {
    fn rows(&self, table: &TableDescriptor) -> Option<f64> {
        Some(match table.name.as_str() {
            "t" => 100_000.0,
            "u" => 1_000.0,
            _ => 100.0,
        })
    }

    fn distinct(&self, _: &TableDescriptor, _: ColumnId) -> Option<f64> {
        None
    }
}

/// `name (a int, b int, c int, primary key (a, b))`, with an index on c.
pub(crate) fn table(name: &str, keys: u16) -> Arc<TableDescriptor> {
    let id = 1000 + u32::from(name.as_bytes()[0]);
    let column = |i: u16, name: &str| ColumnDescriptor {
        id: ColumnId(i),
        name: name.into(),
        ty: INT,
        not_null: i <= keys,
        default: None,
        missing: None,
        identity: None,
    };
    let key = |i: u16| IndexColumn { column: ColumnId(i), desc: false, nulls_first: false };
    let index = |name: String, columns, space, unique| IndexDescriptor {
        oid: id * 10 + space,
        name,
        columns,
        unique,
        constraint_oid: None,
        space: SpaceId(id * 10 + space),
        state: IndexState::Public,
    };
    Arc::new(TableDescriptor {
        id: TableId(id),
        schema: "public".into(),
        name: name.into(),
        kind: RelationKind::Table,
        columns: vec![column(1, "a"), column(2, "b"), column(3, "c")],
        next_column: 4,
        primary: index(format!("{name}_pkey"), (1..=keys).map(key).collect(), 0, true),
        hidden_key: false,
        partition_columns: 1,
        keys_in_value: false,
        indexes: vec![index(format!("{name}_c"), vec![key(3)], 1, false)],
        checks: Vec::new(),
        columnar: false,
        columnar_since: 0,
        loaded: Default::default(),
        foreign_keys: Vec::new(),
        owner: "postgres".into(),
        version: 1,
        foreign: None,
        files: None,
    })
}

/// A scan of all columns, under ids from `base`.
pub(crate) fn scan(name: &str, keys: u16, base: u32) -> Rel {
    let table = table(name, keys);
    let columns = table
        .columns
        .iter()
        .map(|c| {
            let id = ColId(base + u32::from(c.id.0));
            let origin = Some((table.id.0, c.id));
            (c.id, Column { id, name: c.name.as_str().into(), ty: c.ty, origin })
        })
        .collect();
    Rel::Scan(Box::new(Scan {
        alias: name.into(),
        table,
        columns,
        filter: Vec::new(),
        lock: None,
        hint: None,
        row_key: None,
    }))
}

pub(crate) fn col(id: u32) -> Expr {
    Expr::Column(ColId(id), INT)
}

pub(crate) fn int(v: i32) -> Expr {
    Expr::Literal(Datum::Int4(v), INT)
}

pub(crate) fn function(op: &str) -> &'static Function {
    let found = operators_named(op).iter().find(|o| o.left == Some(INT) && o.right == INT);
    found.unwrap().function
}

pub(crate) fn call(op: &str, left: Expr, right: Expr) -> Expr {
    let function = function(op);
    Expr::Call(Call { function, args: vec![left, right], ty: function.result, position: 0 })
}

pub(crate) fn eq(left: Expr, right: Expr) -> Expr {
    call("=", left, right)
}

pub(crate) fn filter(input: Rel, predicate: Expr) -> Rel {
    Rel::Filter { input: Box::new(input), predicate }
}

pub(crate) fn join(left: Rel, right: Rel, kind: JoinKind, on: Option<Expr>) -> Rel {
    Rel::Join { left: Box::new(left), right: Box::new(right), kind, on, lateral: false }
}

pub(crate) fn named(id: u32, ty: SqlType) -> Column {
    Column { id: ColId(id), name: "x".into(), ty, origin: None }
}

pub(crate) fn subquery(kind: SubqueryKind, rel: Rel, ty: SqlType) -> Expr {
    Expr::Subquery(Box::new(Subquery { kind, rel, ty }))
}

pub(crate) fn order(input: Rel, id: u32, desc: bool) -> Rel {
    let key = SortKey { expr: col(id), desc, nulls_first: desc };
    Rel::Sort { input: Box::new(input), keys: vec![key] }
}

pub(crate) fn limit(input: Rel, n: i64) -> Rel {
    let limit = Some(Expr::Literal(Datum::Int8(n), SqlType::INT8));
    Rel::Limit { input: Box::new(input), limit, offset: None, with_ties: false }
}

/// `SELECT columns FROM input`.
pub(crate) fn select(input: Rel, columns: &[u32]) -> Rel {
    let exprs = columns.iter().map(|id| (col(*id), named(*id, INT))).collect();
    Rel::Project { input: Box::new(input), exprs }
}
