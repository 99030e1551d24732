//! Plans of hand-built trees, as EXPLAIN shows them.

pub(crate) mod build;

use std::sync::Arc;
use std::time::Duration;

use self::build::*;
use super::explain::{ExplainOptions, explain};
use super::{AccessCosts, NoStatistics, Path, PlanSettings, ReadEngines, Statistics, plan};
use crate::functions::functions_named;
use crate::kv::Pace;
use crate::sql::bound::*;
use crate::types::descriptor::{ColumnDescriptor, ColumnId, IndexColumn, TableDescriptor};
use crate::types::{Array, BaseType, Datum, SqlType};

fn lines(rel: Rel) -> String {
    try_lines(rel).unwrap()
}

fn try_lines(rel: Rel) -> crate::error::Result<String> {
    lines_with(rel, true)
}

fn lines_with(rel: Rel, seq_scans: bool) -> crate::error::Result<String> {
    let context = context();
    let settings = PlanSettings {
        eval: &context,
        statistics: &Sizes,
        ordered: true,
        seq_scans,
        engines: ReadEngines::default(),
        labels: true,
    };
    let plan = plan(Statement::Query(rel), &settings)?;
    let options = ExplainOptions { costs: false, ..ExplainOptions::default() };
    Ok(explain(&plan, &options, &[]).join("\n"))
}

#[track_caller]
fn check(rel: Rel, expected: &str) {
    let expected: Vec<&str> = expected.trim().lines().map(|l| l.trim_end()).collect();
    let found = lines(rel);
    let expected = expected.join("\n");
    assert_eq!(found, expected, "\n--- found\n{found}\n--- expected\n{expected}\n");
}

#[test]
fn a_whole_primary_key_is_one_get() {
    let on = Expr::And(vec![eq(col(1), int(5)), eq(int(7), col(2)), eq(col(3), int(1))]);
    check(
        filter(scan("t", 2, 0), on),
        "
Index Scan using t_pkey on t
  Index Cond: ((a = 5) AND (7 = b))
  Filter: (c = 1)",
    );
}

#[test]
fn part_of_a_key_bounds_a_range() {
    let on = Expr::And(vec![eq(col(1), int(5)), call(">", col(2), int(7))]);
    check(
        filter(scan("t", 2, 0), on),
        "
Index Scan using t_pkey on t
  Index Cond: ((a = 5) AND (b > 7))",
    );
}

#[test]
fn lists_are_many_gets() {
    let values = vec![Datum::Int4(1), Datum::Int4(2)];
    let array = Array { element: BaseType::Int4, lower_bound: 1, values };
    let any = Expr::AnyAll {
        any: true,
        left: Box::new(col(1)),
        array: Box::new(Expr::Literal(
            Datum::Array(Arc::new(array)),
            SqlType::array_of(BaseType::Int4),
        )),
        function: function("="),
        position: 0,
    };
    check(
        filter(scan("t", 1, 0), any),
        "
Index Scan using t_pkey on t
  Index Cond: (a = ANY ('{1,2}'::integer[]))",
    );
    let or = Expr::Or(vec![eq(col(1), int(1)), eq(col(1), int(2))]);
    check(
        filter(scan("t", 1, 0), or),
        "
Index Scan using t_pkey on t
  Index Cond: ((a = 1) OR (a = 2))",
    );
}

#[test]
fn a_selective_index_is_used_and_a_wide_range_is_not() {
    check(
        filter(scan("t", 1, 0), eq(col(3), int(5))),
        "
Index Scan using t_c on t
  Index Cond: (c = 5)",
    );
    check(
        filter(scan("t", 1, 0), call(">", col(3), int(5))),
        "
Seq Scan on t
  Filter: (c > 5)",
    );
}

/// Two columns of a key of three are in many rows, though each of them has many values.
#[test]
fn without_seq_scans_an_index_serves_where_it_can() {
    let wide = || filter(scan("t", 1, 0), call(">", col(3), int(5)));
    assert!(lines(wide()).starts_with("Seq Scan on t"));
    assert!(lines_with(wide(), false).unwrap().starts_with("Index Scan using t_c on t"));
    let no_index = filter(scan("t", 1, 0), call(">", col(2), int(5)));
    assert!(lines_with(no_index, false).unwrap().starts_with("Seq Scan"));
}

#[test]
fn columns_of_a_key_are_not_independent() {
    let Rel::Scan(mut scan) = scan("t", 2, 0) else { panic!("no scan") };
    let table = Arc::make_mut(&mut scan.table);
    let last = ColumnDescriptor { id: ColumnId(4), name: "d".into(), ..table.columns[1].clone() };
    table.columns.push(last);
    let key = |id| IndexColumn { column: ColumnId(id), desc: false, nulls_first: false };
    table.primary.columns.push(key(4));
    table.indexes[0].columns = vec![key(1), key(3)];
    let on = Expr::And(vec![eq(col(1), int(5)), eq(col(2), int(7)), eq(col(3), int(9))]);
    check(
        filter(Rel::Scan(scan), on),
        "
Index Scan using t_c on t
  Index Cond: ((a = 5) AND (c = 9))
  Filter: (b = 7)",
    );
}

#[test]
fn an_index_gives_the_order_of_a_limit() {
    check(
        limit(order(scan("t", 1, 0), 1, true), 10),
        "
Limit
  ->  Index Scan Backward using t_pkey on t",
    );
    check(
        limit(order(scan("t", 1, 0), 3, false), 10),
        "
Limit
  ->  Index Scan using t_c on t",
    );
    check(
        order(scan("t", 1, 0), 3, false),
        "
Sort
  Sort Key: c
  ->  Seq Scan on t",
    );
}

#[test]
fn few_rows_look_their_partners_up() {
    let on = eq(col(2), col(101));
    let rel = join(scan("s", 1, 0), scan("t", 1, 100), JoinKind::Inner, Some(on));
    check(
        rel,
        "
Nested Loop
  ->  Seq Scan on s
  ->  Index Scan using t_pkey on t
        Index Cond: (s.b = t.a)",
    );
}

#[test]
fn many_rows_meet_in_a_hash_table() {
    let on = eq(col(2), col(102));
    let rel = join(scan("t", 1, 0), scan("u", 1, 100), JoinKind::Left, Some(on));
    check(
        rel,
        "
Hash Left Join
  Hash Cond: (t.b = u.b)
  ->  Seq Scan on t
  ->  Hash
        ->  Seq Scan on u",
    );
}

#[test]
fn a_condition_on_the_optional_side_makes_an_inner_join() {
    let on = eq(col(2), col(102));
    let rel = join(scan("t", 1, 0), scan("u", 1, 100), JoinKind::Left, Some(on));
    let text = lines(filter(rel, call(">", col(103), int(1))));
    assert!(text.starts_with("Hash Join"), "{text}");
}

#[test]
fn exists_becomes_a_semi_join_and_not_exists_an_anti_join() {
    let inner = || filter(scan("u", 1, 100), eq(col(102), col(2)));
    let exists = || subquery(SubqueryKind::Exists, inner(), SqlType::BOOL);
    check(
        filter(scan("t", 1, 0), exists()),
        "
Hash Semi Join
  Hash Cond: (u.b = t.b)
  ->  Seq Scan on t
  ->  Hash
        ->  Seq Scan on u",
    );
    let text = lines(filter(scan("t", 1, 0), Expr::Not(Box::new(exists()))));
    assert!(text.starts_with("Hash Anti Join"), "{text}");
}

#[test]
fn a_correlated_aggregate_is_grouped_once() {
    let max = functions_named("max").iter().find(|f| f.args == [INT]).unwrap();
    let aggregate = Rel::Aggregate {
        input: Box::new(filter(scan("u", 1, 100), eq(col(102), col(2)))),
        groups: Vec::new(),
        sets: vec![Vec::new()],
        aggregates: vec![AggregateCall {
            function: max,
            args: vec![col(101)],
            distinct: false,
            order_by: Vec::new(),
            filter: None,
            output: named(150, INT),
        }],
        grouping: Vec::new(),
    };
    let value = subquery(SubqueryKind::Scalar, select(aggregate, &[150]), INT);
    check(
        filter(scan("t", 1, 0), eq(col(3), value)),
        "
Hash Join
  Hash Cond: ((u.b = t.b) AND (t.c = (max(u.a))))
  ->  Seq Scan on t
  ->  Hash
        ->  HashAggregate
              Group Key: u.b
              ->  Seq Scan on u",
    );
}

#[test]
fn what_arms_of_an_or_share_stands_by_itself() {
    let arm = |v| Expr::And(vec![eq(col(1), int(5)), eq(col(2), int(v))]);
    let text = lines(filter(scan("t", 2, 0), Expr::Or(vec![arm(1), arm(2)])));
    assert!(text.contains("Index Cond: ((a = 5) AND ((b = 1) OR (b = 2)))"), "{text}");
}

#[test]
fn unused_columns_are_not_read() {
    let context = context();
    let settings = PlanSettings {
        eval: &context,
        statistics: &Sizes,
        ordered: true,
        seq_scans: true,
        engines: ReadEngines::default(),
        labels: false,
    };
    let rel = select(filter(scan("t", 1, 0), eq(col(3), int(1))), &[2]);
    let plan = plan(Statement::Query(rel), &settings).unwrap();
    let mut node = &plan.root;
    while let crate::plan::node::Op::Project(p) = &node.op {
        node = &p.input;
    }
    assert_eq!(node.columns.as_ref(), [ColId(2), ColId(3)]);
}

#[test]
fn constants_are_folded_as_far_as_they_are_reached() {
    let broken = || call("/", int(1), int(0));
    let one = |e| Rel::Values { rows: vec![vec![e]], columns: vec![named(1, INT)] };
    let error = try_lines(one(broken())).unwrap_err();
    assert_eq!(error.code().as_str(), "22012");
    let case = Expr::Case {
        arms: vec![(Expr::Literal(Datum::Bool(false), SqlType::BOOL), broken())],
        otherwise: Box::new(int(1)),
        ty: INT,
    };
    assert_eq!(lines(one(case)), "Result");
}

#[test]
fn an_engine_that_cannot_serve_is_refused() {
    let context = context();
    let settings = PlanSettings {
        eval: &context,
        statistics: &Sizes,
        ordered: true,
        seq_scans: true,
        engines: ReadEngines { row: false, columnar: true },
        labels: false,
    };
    let error = plan(Statement::Query(scan("t", 1, 0)), &settings).unwrap_err();
    assert_eq!(error.code().as_str(), "55000");
}

#[test]
fn a_plan_knows_the_sizes_it_was_made_for() {
    let context = context();
    let settings = |statistics| PlanSettings {
        eval: &context,
        statistics,
        ordered: true,
        seq_scans: true,
        engines: ReadEngines { row: true, columnar: true },
        labels: false,
    };
    let planned =
        |statistics| plan(Statement::Query(scan("t", 1, 0)), &settings(statistics)).unwrap().sizes;
    let (known, guessed) = (planned(&Sizes), planned(&NoStatistics));
    assert!(!known.are_guessed() && guessed.are_guessed());
    let now = Duration::from_secs(1);
    assert!(!known.hold(now, |_| Some(1e12)) && guessed.hold(now, |_| Some(1000.0)));
}

/// The sizes of a cluster that is far away.
struct Far;

impl Statistics for Far {
    fn rows(&self, table: &TableDescriptor) -> Option<f64> {
        Sizes.rows(table)
    }

    fn distinct(&self, _: &TableDescriptor, _: ColumnId) -> Option<f64> {
        None
    }

    fn costs(&self) -> AccessCosts {
        let (request, row) = (Duration::from_millis(1), Duration::from_micros(20));
        AccessCosts::of_cluster(Pace { request, row })
    }
}

#[test]
fn a_distant_store_has_a_view_asked_sooner() {
    let context = context();
    let path = |statistics: &dyn Statistics, rows: &str| {
        let mut rel = scan(rows, 1, 0);
        if let Rel::Scan(scan) = &mut rel {
            Arc::make_mut(&mut scan.table).columnar = true;
        }
        let settings = PlanSettings {
            eval: &context,
            statistics,
            ordered: false,
            seq_scans: true,
            engines: ReadEngines::default(),
            labels: true,
        };
        let plan = plan(Statement::Query(rel), &settings).unwrap();
        plan.routes.iter().map(|route| route.path).collect::<Vec<_>>()
    };
    assert_eq!(path(&Sizes, "u"), [Path::Row]);
    assert_eq!(path(&Far, "u"), [Path::Column]);
    // A few rows are read where they are.
    assert_eq!(path(&Far, "v"), [Path::Row]);
    assert_eq!(path(&Sizes, "t"), [Path::Column]);
}
