//! What parses, what does not, and where the error points: as PostgreSQL 15 says.

use super::super::ast::*;
use super::super::ddl::{ColumnConstraint, Ddl};
use super::super::statement::*;
use super::super::{parse, parse_expression};

fn check_error(sql: &str, message: &str, position: u32) {
    let error = match parse(sql) {
        Ok(_) => panic!("parsed: {sql}"),
        Err(e) => e,
    };
    assert_eq!(error.message(), message, "{sql}");
    assert_eq!(error.fields().position.unwrap_or(0), position, "{sql}");
}

fn kind(sql: &str) -> StatementKind {
    let mut statements = parse(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    assert_eq!(statements.len(), 1, "{sql}");
    statements.remove(0).kind
}

#[test]
fn syntax_errors_point_where_postgres_points() {
    check_error("SELEC 1", "syntax error at or near \"SELEC\"", 1);
    check_error("SELECT 1 FROM", "syntax error at end of input", 14);
    check_error("SELECT FROM WHERE", "syntax error at or near \"WHERE\"", 13);
    check_error("SELECT 1 < 2 < 3", "syntax error at or near \"<\"", 14);
    check_error("SELECT 'é', 1 2", "syntax error at or near \"2\"", 15);
    check_error("SELECT (1", "syntax error at end of input", 10);
    check_error("SELECT 1 LIMIT 1, 2", "LIMIT #,# syntax is not supported", 10);
    check_error("SELECT * FROM (SELECT 1)", "subquery in FROM must have an alias", 15);
    check_error("INSERT INTO t VALUES (1", "syntax error at end of input", 24);
    check_error("UPDATE t SET a = 1,", "syntax error at end of input", 20);
    check_error("CREATE TABLE t (a int,)", "syntax error at or near \")\"", 23);
    check_error("SELECT a FROM t GROUP a", "syntax error at or near \"a\"", 23);
    check_error("SELECT 1; SELEC", "syntax error at or near \"SELEC\"", 11);
}

#[test]
fn operators_bind_as_in_postgres() {
    let shape = |text: &str| shape(&parse_expression(text).unwrap_or_else(|e| panic!("{e:?}")));
    assert_eq!(shape("-2 ^ 2"), "(-2 ^ 2)");
    assert_eq!(shape("1 + 2 * 3"), "(1 + (2 * 3))");
    assert_eq!(shape("a || b + c"), "(a || (b + c))");
    assert_eq!(shape("a = b AND NOT c = d OR e"), "(((a = b) AND NOT (c = d)) OR e)");
    assert_eq!(shape("- a::int"), "(-CAST a)");
    assert_eq!(shape("a - b - c"), "((a - b) - c)");
    assert_eq!(shape("~ a + b"), "(~(a + b))");
    assert_eq!(shape("a BETWEEN 1 AND 2 AND c"), "((a BETWEEN 1 AND 2) AND c)");
    assert_eq!(shape("a IS NULL = b"), "((a IS NULL) = b)");
    assert_eq!(shape("a IS NULL IS NULL"), "((a IS NULL) IS NULL)");
    assert_eq!(shape("a = b IS NULL"), "((a = b) IS NULL)");
    assert_eq!(shape("NOT a IS NULL"), "NOT (a IS NULL)");
    assert_eq!(shape("a < b OPERATOR(pg_catalog.+) c"), "(a < (b + c))");
}

fn shape(expr: &Expr) -> String {
    let list = |items: &[Expr], op: &str| {
        format!("({})", items.iter().map(shape).collect::<Vec<_>>().join(op))
    };
    match &expr.kind {
        ExprKind::Number(n) => n.to_string(),
        ExprKind::Column(parts) => parts.last().map(|p| p.name.to_string()).unwrap_or_default(),
        ExprKind::Unary(op, arg) => format!("({}{})", op.name, shape(arg)),
        ExprKind::Binary(op, left, right) => {
            format!("({} {} {})", shape(left), op.name, shape(right))
        }
        ExprKind::And(items) => list(items, " AND "),
        ExprKind::Or(items) => list(items, " OR "),
        ExprKind::Not(arg) => format!("NOT {}", shape(arg)),
        ExprKind::IsNull(arg, false) => format!("({} IS NULL)", shape(arg)),
        ExprKind::Cast(arg, _) => format!("CAST {}", shape(arg)),
        ExprKind::Between(b) => {
            format!("({} BETWEEN {} AND {})", shape(&b.expr), shape(&b.low), shape(&b.high))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_statement_has_its_kind() {
    let accepted: &[(&str, fn(&StatementKind) -> bool)] = &[
        ("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", |k| {
            matches!(k, StatementKind::Begin(m)
                if m.isolation == Some(IsolationLevel::Serializable) && m.read_only == Some(true))
        }),
        ("START TRANSACTION READ WRITE", |k| matches!(k, StatementKind::Start(_))),
        ("ROLLBACK TO SAVEPOINT a", |k| matches!(k, StatementKind::RollbackTo(n) if n == "a")),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED", |k| {
            matches!(k, StatementKind::SetSessionTransaction(_))
        }),
        (
            "SET search_path = a, \"B\", 'c'",
            |k| matches!(k, StatementKind::Set { value: Some(v), .. } if v == "a, B, c"),
        ),
        ("SET LOCAL sluice.max_staleness TO '5s'", |k| {
            matches!(k, StatementKind::Set { name, local: true, .. }
                if name == "sluice.max_staleness")
        }),
        (
            "SET TIME ZONE 'UTC'",
            |k| matches!(k, StatementKind::Set { name, .. } if name == "timezone"),
        ),
        (
            "SHOW TRANSACTION ISOLATION LEVEL",
            |k| matches!(k, StatementKind::Show(Some(n)) if n == "transaction_isolation"),
        ),
        ("DISCARD ALL", |k| matches!(k, StatementKind::Discard(Discard::All))),
        (
            "vacuum pgbench_branches",
            |k| matches!(k, StatementKind::Vacuum(t, false) if t.len() == 1),
        ),
        (
            "DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT 1",
            |k| matches!(k, StatementKind::Declare(d) if d.hold && d.scroll == Some(false)),
        ),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'",
            |k| matches!(k, StatementKind::Unsupported(n) if n == "CREATE FUNCTION"),
        ),
        ("CREATE TABLE a AS SELECT 1", |k| matches!(k, StatementKind::Ddl(_))),
        (
            "COPY t (a, b) FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER ';')",
            |k| matches!(k, StatementKind::Copy(c) if c.options.format == CopyFormat::Csv && c.from),
        ),
        ("copy (select 1) to stdout csv header", |k| matches!(k, StatementKind::Copy(_))),
        (
            "COPY t FROM STDIN BINARY",
            |k| matches!(k, StatementKind::Copy(c) if c.options.format == CopyFormat::Binary),
        ),
        (
            "EXPLAIN (ANALYZE, COSTS off) SELECT 1",
            |k| matches!(k, StatementKind::Explain(o, _) if o.analyze && o.costs == Some(false)),
        ),
        ("PREPARE p (int, text) AS SELECT $1, $2", |k| matches!(k, StatementKind::Prepare(..))),
        ("ALTER TABLE t SET (columnar = on)", |k| matches!(k, StatementKind::Ddl(_))),
        (
            "CREATE TABLE t (a int PRIMARY KEY DEFAULT 1 + 2 NOT NULL, CHECK (a > 0 AND a < 9))",
            |k| matches!(k, StatementKind::Ddl(_)),
        ),
        ("CREATE UNIQUE INDEX i ON t (a DESC NULLS LAST, b)", |k| {
            matches!(k, StatementKind::Ddl(_))
        }),
        ("TABLE t", |k| matches!(k, StatementKind::Query(_))),
        ("((SELECT 1) UNION (SELECT 2)) ORDER BY 1", |k| matches!(k, StatementKind::Query(_))),
        (
            "SELECT * FROM t FOR NO KEY UPDATE OF t SKIP LOCKED",
            |k| matches!(k, StatementKind::Query(q) if q.locks.len() == 1),
        ),
        ("WITH x AS (SELECT 1) DELETE FROM t USING x", |k| matches!(k, StatementKind::Delete(_))),
    ];
    for (sql, check) in accepted {
        let kind = kind(sql);
        assert!(check(&kind), "{sql}: {kind:?}");
    }
}

#[test]
fn ddl_expressions_are_source_text() {
    let StatementKind::Ddl(ddl) = kind("CREATE TABLE t (a text DEFAULT lower('É' || E'x\\n'))")
    else {
        panic!("no DDL");
    };
    let Ddl::CreateTable(table) = *ddl else { panic!("no table") };
    let constraint = &table.columns[0].constraints[0];
    let ColumnConstraint::Default(expr, _) = constraint else { panic!("{constraint:?}") };
    assert_eq!(&*expr.text, "lower('É' || E'x\\n')");
}

/// Bytes of stack for what is as deep as the parser lets through, in a debug build.
const STACK_BYTES: usize = 512 << 20;

#[test]
fn deep_nesting_is_an_error() {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(nest).unwrap().join().unwrap();
}

fn nest() {
    for deep in [
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT {}1", "- ".repeat(100_000)),
        format!("SELECT {}true", "NOT ".repeat(100_000)),
        format!("SELECT 1{}", " + 1".repeat(100_000)),
        format!("SELECT 1{}", "::int".repeat(100_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(100_000)),
        format!("{}SELECT 1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT * FROM {}t{}", "(".repeat(50_000), ")".repeat(50_000)),
        format!("SELECT * FROM t{}", " CROSS JOIN t".repeat(100_000)),
        format!("SELECT {}1", "CASE WHEN ".repeat(50_000)),
        format!("SELECT {}", "ARRAY[".repeat(50_000)),
        format!("SELECT ARRAY{}", "[".repeat(50_000)),
        format!("SELECT {}", "f(".repeat(50_000)),
        format!("CREATE TABLE t (a int CHECK ({}", "(".repeat(50_000)),
    ] {
        let error = parse(&deep).map(|_| ()).unwrap_err();
        assert_eq!(error.code().as_str(), "54001", "{}", &deep[..40]);
    }
    let wide = format!("SELECT 1 WHERE a = 0{}", " OR a = 1".repeat(50_000));
    assert!(parse(&wide).is_ok());
}
