//! Statements run on the store in memory.

mod harness;
mod queries;
mod tables;
mod writes;

use self::harness::Db;
use crate::clock::SystemClock;
use crate::error::Result;
use crate::exec::StoreStatistics;
use crate::kv::memory::MemoryStore;
use crate::plan::Statistics;
use crate::plan::tests::build::*;
use crate::sql::bound::*;
use crate::types::descriptor::{ColumnId, TableDescriptor};
use crate::types::{Datum, Row, SqlType};
use std::sync::Arc;

const T: u32 = 0;

fn ints(rows: Vec<Row>) -> Vec<Vec<Option<i32>>> {
    let value = |d: &Datum| match d {
        Datum::Int4(v) => Some(*v),
        Datum::Null => None,
        other => panic!("{other:?}"),
    };
    rows.iter().map(|r| r.iter().map(value).collect()).collect()
}

fn columns(table: &TableDescriptor, base: u32) -> Vec<Column> {
    table
        .columns
        .iter()
        .map(|c| Column {
            id: ColId(base + u32::from(c.id.0)),
            name: c.name.as_str().into(),
            ty: c.ty,
            origin: None,
        })
        .collect()
}

fn insert(table: &Arc<TableDescriptor>, rows: &[[i32; 3]]) -> Statement {
    let rows = rows.iter().map(|r| r.iter().map(|v| int(*v)).collect()).collect();
    Statement::Insert(Box::new(Insert {
        table: table.clone(),
        target: columns(table, 500),
        source: Rel::Values { rows, columns: columns(table, 600) },
        checks: vec![("positive".into(), call(">", col(503), int(0)))],
        filter: None,
        on_conflict: None,
        returning: Returning::default(),
    }))
}

fn row_scan(base: u32, key: u32) -> Rel {
    let Rel::Scan(mut scan) = scan("t", 1, base) else { panic!() };
    scan.row_key = Some(ColId(key));
    Rel::Scan(scan)
}

/// `UPDATE t SET c = c + 1 WHERE predicate RETURNING *`
fn update(table: &Arc<TableDescriptor>, predicate: Expr) -> Statement {
    let target = columns(table, T);
    let new_row = columns(table, 700);
    let exprs = new_row.iter().map(|c| (col(c.id.0), named(c.id.0 + 100, c.ty))).collect();
    Statement::Update(Box::new(Update {
        table: table.clone(),
        source: filter(row_scan(T, 99), predicate),
        row_key: ColId(99),
        target,
        assignments: vec![(ColumnId(3), call("+", col(3), int(1)))],
        checks: Vec::new(),
        new_row,
        returning: Returning { exprs },
    }))
}

fn delete(table: &Arc<TableDescriptor>, predicate: Expr) -> Statement {
    Statement::Delete(Box::new(Delete {
        table: table.clone(),
        target: columns(table, T),
        source: filter(row_scan(T, 99), predicate),
        row_key: ColId(99),
        returning: Returning::default(),
    }))
}

async fn filled() -> Result<(Db, Arc<TableDescriptor>)> {
    let db = Db::new();
    let table = table("t", 1);
    db.run(insert(&table, &[[1, 10, 100], [2, 20, 200], [3, 30, 300], [4, 10, 100]])).await?;
    Ok((db, table))
}

fn query(rel: Rel) -> Statement {
    Statement::Query(rel)
}

#[tokio::test]
async fn what_is_inserted_is_found_by_key_range_and_index() -> Result<()> {
    let (db, _) = filled().await?;
    let by_key = filter(scan("t", 1, T), eq(col(1), int(2)));
    assert_eq!(ints(db.run(query(by_key)).await?), [[Some(2), Some(20), Some(200)]]);
    let by_range = filter(scan("t", 1, T), call(">", col(1), int(2)));
    assert_eq!(ints(db.run(query(select(by_range, &[1]))).await?), [[Some(3)], [Some(4)]]);
    let by_index = filter(scan("t", 1, T), eq(col(3), int(100)));
    assert_eq!(ints(db.run(query(select(by_index, &[1]))).await?), [[Some(1)], [Some(4)]]);
    let last = limit(order(scan("t", 1, T), 1, true), 2);
    assert_eq!(ints(db.run(query(select(last, &[1]))).await?), [[Some(4)], [Some(3)]]);
    Ok(())
}

#[tokio::test]
async fn a_second_row_with_a_key_is_refused() -> Result<()> {
    let (db, table) = filled().await?;
    for rows in [&[[2, 0, 1]][..], &[[8, 0, 1], [8, 0, 1]]] {
        let error = db.run(insert(&table, rows)).await.unwrap_err();
        assert_eq!(error.code().as_str(), "23505");
        let message = "duplicate key value violates unique constraint \"t_pkey\"";
        assert_eq!(error.message(), message);
    }
    let error = db.run(insert(&table, &[[9, 0, 0]])).await.unwrap_err();
    assert_eq!(error.code().as_str(), "23514");
    assert_eq!(error.fields().detail.as_deref(), Some("Failing row contains (9, 0, 0)."));
    Ok(())
}

#[tokio::test]
async fn updates_and_deletes_keep_the_index() -> Result<()> {
    let (db, table) = filled().await?;
    let updated = db.run(update(&table, eq(col(1), int(1)))).await?;
    assert_eq!(ints(updated), [[Some(1), Some(10), Some(101)]]);
    let updated = db.run(update(&table, eq(col(3), int(100)))).await?;
    assert_eq!(ints(updated), [[Some(4), Some(10), Some(101)]]);
    let by_index = filter(scan("t", 1, T), eq(col(3), int(101)));
    assert_eq!(ints(db.run(query(select(by_index.clone(), &[1]))).await?), [[Some(1)], [Some(4)]]);
    db.run(delete(&table, eq(col(1), int(1)))).await?;
    assert_eq!(ints(db.run(query(select(by_index, &[1]))).await?), [[Some(4)]]);
    db.run(delete(&table, call(">", col(2), int(0)))).await?;
    assert!(db.run(query(scan("t", 1, T))).await?.is_empty());
    Ok(())
}

/// A row that somebody else changed while it was waited for is looked at again.
#[tokio::test]
async fn a_changed_row_is_checked_again() -> Result<()> {
    let (db, table) = filled().await?;
    let mut first = db.begin();
    db.run_in(&mut first, update(&table, eq(col(1), int(1)))).await?;
    let waiting = async {
        // Rows 1 and 4 have c = 100 in this statement's snapshot.
        let mut second = db.begin();
        let rows = db.run_in(&mut second, update(&table, eq(col(3), int(100)))).await?;
        second.commit().await?;
        Ok::<_, crate::error::Error>(rows)
    };
    let commit = async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        first.commit().await
    };
    let (rows, committed) = tokio::join!(waiting, commit);
    committed?;
    assert_eq!(ints(rows?), [[Some(4), Some(10), Some(101)]]);
    Ok(())
}

#[tokio::test]
async fn joins_of_every_kind() -> Result<()> {
    let (db, _) = filled().await?;
    let on = || Some(eq(call("+", col(1), int(1)), col(101)));
    let joined = |kind| {
        let rel = join(scan("t", 1, T), scan("t", 1, 100), kind, on());
        match kind {
            JoinKind::Semi | JoinKind::Anti => select(rel, &[1]),
            _ => select(rel, &[1, 101]),
        }
    };
    let run = async |kind| {
        let mut rows = ints(db.run(query(joined(kind))).await?);
        rows.sort();
        Ok::<_, crate::error::Error>(rows)
    };
    let pair = |a, b| vec![a, b];
    let inner = [pair(Some(1), Some(2)), pair(Some(2), Some(3)), pair(Some(3), Some(4))];
    assert_eq!(run(JoinKind::Inner).await?, inner);
    let left = [inner.to_vec(), vec![pair(Some(4), None)]].concat();
    assert_eq!(run(JoinKind::Left).await?, left);
    let full = [vec![pair(None, Some(1))], left].concat();
    assert_eq!(run(JoinKind::Full).await?, full);
    assert_eq!(run(JoinKind::Semi).await?, [[Some(1)], [Some(2)], [Some(3)]]);
    assert_eq!(run(JoinKind::Anti).await?, [[Some(4)]]);
    Ok(())
}

#[tokio::test]
async fn an_endless_recursion_runs_only_as_far_as_it_is_read() -> Result<()> {
    let db = Db::new();
    let one = |id| vec![named(id, SqlType::INT4)];
    let step = Rel::Project {
        input: Box::new(Rel::CteScan { cte: 0, columns: one(2) }),
        exprs: vec![(call("+", col(2), int(1)), named(3, SqlType::INT4))],
    };
    let recursive = Rel::Recursive {
        cte: 0,
        base: Box::new(Rel::Values { rows: vec![vec![int(1)]], columns: one(1) }),
        step: Box::new(step),
        all: true,
        columns: one(4),
    };
    let with = Rel::With {
        cte: 0,
        query: Box::new(recursive),
        body: Box::new(limit(Rel::CteScan { cte: 0, columns: one(5) }, 5)),
    };
    let rows = ints(db.run(query(with)).await?);
    assert_eq!(rows.concat(), [Some(1), Some(2), Some(3), Some(4), Some(5)]);
    Ok(())
}

/// What ANALYZE found is planned by at once, though an estimate from before is not old yet.
#[test]
fn what_analyze_found_is_known() {
    let clock = Arc::new(SystemClock::new());
    let statistics = StoreStatistics::new(MemoryStore::new(clock.clone()), clock);
    let table = table("t", 1);
    assert_eq!(statistics.rows(&table), Some(0.0));
    statistics.learn(table.space(), 5);
    assert_eq!(statistics.rows(&table), Some(5.0));
}
