//! SQL queries over two small tables, with PostgreSQL 15's answers (`queries.txt`).

use std::sync::Arc;

use super::harness::Db;
use crate::error::Result;
use crate::kv::SpaceId;
use crate::sql::bind::{Binder, TableLookup};
use crate::sql::bound::{Column, Insert, Returning, Statement};
use crate::types::descriptor::*;
use crate::types::{Row, SqlType, io};

const EXPECTED: &str = include_str!("queries.txt");

const DEPT: &str = "values (1, 'sales'::text, '10000.50'::numeric), (2, 'support', '20000'),
    (3, 'empty', '0'), (4, 'staff', null)";

const EMP: &str = "values (1, 'ann'::text, 1, null::int, '3000'::numeric, '2018-02-03'::date),
    (2, 'bob', 1, 1, '1500.25', '2019-05-06'), (3, 'cid', 2, 1, '2000', '2020-07-08'),
    (4, 'dee', 2, 3, '2000', '2020-07-08'), (5, 'eve', 1, 2, '1500.25', '2021-01-01'),
    (6, 'fay', 4, 1, '900', null), (7, 'gus', null, 6, null, '2022-12-31'),
    (8, 'hal', 2, 3, '2500', '2017-01-01')";

/// `dept` and `emp`, their first column the key; `emp` has an index on its third.
struct Tables([Arc<TableDescriptor>; 2]);

impl TableLookup for Tables {
    fn table(&self, _: Option<&str>, name: &str, _: &[String]) -> Option<Arc<TableDescriptor>> {
        self.0.iter().find(|t| t.name == name).cloned()
    }

    fn has_schema(&self, name: &str) -> bool {
        name == "public"
    }

    fn database_name(&self) -> &str {
        "postgres"
    }
}

fn index(name: &str, oid: u32, column: u16, unique: bool) -> IndexDescriptor {
    let column = ColumnId(column);
    IndexDescriptor {
        oid,
        name: name.into(),
        columns: vec![IndexColumn { column, desc: false, nulls_first: false }],
        unique,
        constraint_oid: None,
        space: SpaceId(oid),
        state: IndexState::Public,
    }
}

fn table(name: &str, oid: u32, columns: &[(&str, SqlType)]) -> Arc<TableDescriptor> {
    let column = |(at, (name, ty)): (usize, &(&str, SqlType))| ColumnDescriptor {
        id: ColumnId(at as u16 + 1),
        name: (*name).into(),
        ty: *ty,
        not_null: at == 0,
        default: None,
        missing: None,
        identity: None,
    };
    let second = || vec![index(&format!("{name}_dept"), oid + 1, 3, false)];
    Arc::new(TableDescriptor {
        id: TableId(oid),
        schema: "public".into(),
        name: name.into(),
        kind: RelationKind::Table,
        columns: columns.iter().enumerate().map(column).collect(),
        next_column: columns.len() as u16 + 1,
        primary: index(&format!("{name}_pkey"), oid, 1, true),
        hidden_key: false,
        partition_columns: 1,
        indexes: if name == "emp" { second() } else { Vec::new() },
        checks: Vec::new(),
        columnar: false,
        owner: "postgres".into(),
        version: 1,
    })
}

fn tables() -> Tables {
    use SqlType as T;
    let dept = [("id", T::INT4), ("name", T::TEXT), ("budget", T::NUMERIC)];
    let emp = [
        ("id", T::INT4),
        ("name", T::TEXT),
        ("dept", T::INT4),
        ("boss", T::INT4),
        ("salary", T::NUMERIC),
        ("hired", T::DATE),
    ];
    Tables([table("dept", 2000, &dept), table("emp", 2010, &emp)])
}

fn bind(db: &Db, tables: &Tables, sql: &str) -> Result<(Statement, Vec<Column>)> {
    let parsed = crate::sql::parse(sql)?.remove(0);
    let mut binder = Binder::new(tables, &db.eval, parsed.text.clone(), Vec::new());
    let bound = binder.bind_statement(&parsed.kind)?;
    Ok((bound.statement, bound.columns))
}

async fn fill(db: &Db, tables: &Tables, table: &Arc<TableDescriptor>, sql: &str) -> Result<()> {
    let Statement::Query(source) = bind(db, tables, sql)?.0 else { panic!("not a query") };
    let target = table.columns.iter().zip(1..).map(|(c, i)| Column {
        id: crate::sql::bound::ColId(100_000 + i),
        name: c.name.as_str().into(),
        ty: c.ty,
        origin: None,
    });
    let insert = Insert {
        table: table.clone(),
        target: target.collect(),
        source,
        checks: Vec::new(),
        on_conflict: None,
        returning: Returning::default(),
    };
    db.run(Statement::Insert(Box::new(insert))).await.map(|_| ())
}

async fn filled() -> Result<(Db, Tables)> {
    let (db, tables) = (Db::new(), tables());
    fill(&db, &tables, &tables.0[0], DEPT).await?;
    fill(&db, &tables, &tables.0[1], EMP).await?;
    Ok((db, tables))
}

fn text(rows: &[Row], columns: &[Column]) -> Vec<String> {
    let settings = io::FormatSettings::default();
    rows.iter()
        .map(|row| {
            let values: Vec<String> = row
                .iter()
                .zip(columns)
                .map(|(d, c)| io::to_text(d, c.ty, &settings).unwrap_or_default())
                .collect();
            values.join("|")
        })
        .collect()
}

/// Each query with the lines that PostgreSQL answers.
fn cases() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut out: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in EXPECTED.lines() {
        match (line.strip_prefix("> "), out.last_mut()) {
            (Some(query), _) => out.push((query, Vec::new())),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    out
}

#[tokio::test]
async fn answers_are_postgresqls() -> Result<()> {
    let (db, tables) = filled().await?;
    let mut wrong = Vec::new();
    for (query, expected) in cases() {
        let found = match bind(&db, &tables, query) {
            Ok((statement, columns)) => match db.run(statement).await {
                Ok(rows) => text(&rows, &columns),
                Err(e) => vec![format!("{e:?}")],
            },
            Err(e) => vec![format!("binder: {e:?}")],
        };
        if found != expected {
            wrong.push(format!("{query}\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// Rewrites, access paths and join methods change no answer.
#[tokio::test]
async fn rewritten_plans_answer_as_written_ones() -> Result<()> {
    let (db, tables) = filled().await?;
    for (query, _) in cases().iter().filter(|(q, _)| !q.starts_with("with recursive")) {
        let (statement, columns) = bind(&db, &tables, query)?;
        let written = text(&db.run_as_written(&statement).await?, &columns);
        let rewritten = text(&db.run(statement).await?, &columns);
        assert_eq!(rewritten, written, "{query}");
    }
    Ok(())
}
