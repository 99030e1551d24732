//! Tables for SQL scripts.

use std::sync::Arc;

use super::harness::Db;
use crate::error::Result;
use crate::kv::SpaceId;
use crate::sql::bind::{Binder, TableLookup};
use crate::sql::bound::{Column, Statement};
use crate::types::descriptor::*;
use crate::types::{Row, SqlType, io};

const DEPT: &str = "insert into dept values (1, 'sales', 10000.50), (2, 'support', 20000),
    (3, 'empty', 0), (4, 'staff', null)";

const EMP: &str = "insert into emp values (1, 'ann', 1, null, 3000, '2018-02-03'),
    (2, 'bob', 1, 1, 1500.25, '2019-05-06'), (3, 'cid', 2, 1, 2000, '2020-07-08'),
    (4, 'dee', 2, 3, 2000, '2020-07-08'), (5, 'eve', 1, 2, 1500.25, '2021-01-01'),
    (6, 'fay', 4, 1, 900, null), (7, 'gus', null, 6, null, '2022-12-31'),
    (8, 'hal', 2, 3, 2500, '2017-01-01')";

/// `dept`, `emp` and `item`, their first column the key; `emp` has an index on its third, `item` a
/// unique one on its second.
pub struct Tables([Arc<TableDescriptor>; 3]);

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
        constraint_oid: unique.then_some(oid + 5),
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
    let indexes = match name {
        "emp" => vec![index("emp_dept", oid + 1, 3, false)],
        "item" => vec![index("item_code_key", oid + 1, 2, true)],
        _ => Vec::new(),
    };
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
        keys_in_value: false,
        indexes,
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
    let item = [("id", T::INT4), ("code", T::TEXT), ("qty", T::INT4), ("note", T::TEXT)];
    let mut item = table("item", 2020, &item);
    let descriptor = Arc::make_mut(&mut item);
    descriptor.columns[2].default = Some("7".into());
    descriptor.columns[3].default = Some("'x'".into());
    descriptor.columns[3].not_null = true;
    let (name, expr) = ("item_qty_check".into(), "qty >= 0".into());
    descriptor.checks.push(CheckDescriptor {
        oid: 2029,
        name,
        expr,
        columns: vec![ColumnId(3)],
        not_valid: false,
    });
    Tables([table("dept", 2000, &dept), table("emp", 2010, &emp), item])
}

/// Binds one statement.
pub fn bind(db: &Db, tables: &Tables, sql: &str) -> Result<(Statement, Vec<Column>)> {
    let parsed = crate::sql::parse(sql)?.remove(0);
    let mut binder = Binder::new(tables, &db.eval, parsed.text.clone(), Vec::new());
    let bound = binder.bind_statement(&parsed.kind)?;
    Ok((bound.statement, bound.columns))
}

/// The tables with the rows of `dept` and `emp`.
pub async fn filled() -> Result<(Db, Tables)> {
    let (db, tables) = (Db::new(), tables());
    for sql in [DEPT, EMP] {
        db.run(bind(&db, &tables, sql)?.0).await?;
    }
    Ok((db, tables))
}

/// Rows as `psql -At` prints them.
pub fn text(rows: &[Row], columns: &[Column]) -> Vec<String> {
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

/// Each statement with the lines that PostgreSQL answers.
pub fn cases(expected: &str) -> Vec<(&str, Vec<&str>)> {
    let mut out: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in expected.lines() {
        match (line.strip_prefix("> "), out.last_mut()) {
            (Some(query), _) => out.push((query, Vec::new())),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    out
}
