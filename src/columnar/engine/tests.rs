use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, col, lit};

use super::*;
use crate::clock::{Clock, SimulatedClock};
use crate::columnar::files::tests::FullFiles;
use crate::columnar::fixture::{Table, every_type, print};
use crate::columnar::manifest::FileKind;
use crate::columnar::rows;
use crate::kv::Key;
use crate::types::SqlType;

/// An engine whose background does nothing by itself.
pub(super) fn engine(
    table: &Table,
    dir: &std::path::Path,
    change: impl Fn(&mut EngineOptions),
) -> Arc<Engine> {
    // Two engines that share views must not draw the same numbers.
    static SEED: AtomicU64 = AtomicU64::new(1);
    let seed = SEED.fetch_add(1, Ordering::Relaxed);
    let clock = Arc::new(SimulatedClock::new(1_800_000_000_000_000, seed));
    engine_by(clock, table, dir, change)
}

/// The same with a clock of the caller's.
pub(super) fn engine_by(
    clock: Arc<dyn Clock>,
    table: &Table,
    dir: &std::path::Path,
    change: impl Fn(&mut EngineOptions),
) -> Arc<Engine> {
    let mut options = EngineOptions::new(dir.to_owned());
    options.file = FileOptions { file_rows_max: 300, group_rows: 64, zstd_level: Some(1) };
    options.check_interval = Duration::from_secs(3600);
    options.threads = 2;
    change(&mut options);
    Engine::start(table.store.clone(), clock, options).unwrap()
}

async fn batches(engine: &Engine, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
    let mut stream = engine.run(engine.context(), plan);
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch.map_err(crate::columnar::lower::from_datafusion)?);
    }
    Ok(batches)
}

async fn provider(
    engine: &Engine,
    table: &Table,
    hold: &Arc<Hold>,
    own: &[(Key, Option<Bytes>)],
) -> Result<Arc<ViewTable>> {
    engine
        .provider(ScanRequest {
            table: Arc::new(table.descriptor.clone()),
            hold: hold.clone(),
            own: own.to_vec(),
            columns: table.descriptor.columns.iter().map(|c| c.id).collect(),
            delta_keys_max: usize::MAX,
        })
        .await
}

fn scan(provider: Arc<ViewTable>) -> LogicalPlanBuilder {
    LogicalPlanBuilder::scan("t", provider_as_source(provider), None).unwrap()
}

/// Every row that the column path shows, printed and sorted.
pub(super) async fn columnar_rows(
    engine: &Engine,
    table: &Table,
    hold: &Arc<Hold>,
    own: &[(Key, Option<Bytes>)],
) -> Result<Vec<String>> {
    let provider = provider(engine, table, hold, own).await?;
    let plan = scan(provider).build().unwrap();
    let types: Vec<SqlType> = table.descriptor.columns.iter().map(|c| c.ty).collect();
    let mut printed = Vec::new();
    for batch in batches(engine, plan).await? {
        printed.extend(rows::read(&batch, &types)?.iter().map(|row| print(row)));
    }
    printed.sort();
    Ok(printed)
}

/// Every row that the row path shows.
pub(super) fn expected_rows(
    table: &Table,
    hold: &Hold,
    own: &[(Key, Option<Bytes>)],
) -> Vec<String> {
    let mut rows = table.rows_at(hold.at);
    let wanted: Vec<_> = table.descriptor.columns.iter().map(|c| c.id).collect();
    let decoder = table.codec.decoder(&wanted).unwrap();
    for (key, value) in own {
        match value {
            Some(value) => {
                let row = decoder.decode(key, value).unwrap();
                rows.insert(key.tail().to_vec(), print(&row));
            }
            None => {
                rows.remove(key.tail());
            }
        }
    }
    let mut rows: Vec<String> = rows.into_values().collect();
    rows.sort();
    rows
}

pub(super) async fn snapshot(table: &Table) -> Arc<Hold> {
    Arc::new(table.store.snapshot().await.unwrap())
}

async fn history(seed: u64, key_columns: usize) {
    let mut table = Table::new(&every_type(), key_columns, seed);
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&table, dir.path(), |_| {});
    table.churn(900, 1000, 10).await;
    engine.enable(&table.descriptor).unwrap();
    // Older than every generation: it has none, and takes none from those that are held later.
    let _before = snapshot(&table).await;
    table.churn(1, 1000, 0).await;
    engine.refresh(table.descriptor.id).await.unwrap();
    let mut held = vec![snapshot(&table).await];
    for step in 0..30 {
        let count = [1, 5, 40, 300][table.random.below(4) as usize];
        table.churn(count, 1000, 30).await;
        if table.random.chance(25) {
            engine.refresh(table.descriptor.id).await.unwrap();
        }
        if table.random.chance(40) {
            held.push(snapshot(&table).await);
        }
        let hold = match table.random.chance(60) {
            true => snapshot(&table).await,
            false => held[table.random.below(held.len() as u64) as usize].clone(),
        };
        let mut own = BTreeMap::new();
        for _ in 0..table.random.below(4) * 3 {
            let key = table.random.below(1200) as i32;
            let (key, value) = table.write(key, table.random.chance(40));
            own.insert(key, value);
        }
        let own: Vec<_> = own.into_iter().collect();
        // Every snapshot is held, so a generation is kept that it can be read from.
        let rows = columnar_rows(&engine, &table, &hold, &own).await.unwrap();
        let expected = expected_rows(&table, &hold, &own);
        assert!(rows == expected, "seed {seed}, step {step}: {} {}", rows.len(), expected.len());
    }
    let status = engine.status(table.descriptor.id).unwrap();
    assert_eq!(status.state, ViewState::Ready);
    // A new process reads what the old one left.
    drop(engine);
    let again = self::engine(&table, dir.path(), |_| {});
    again.enable(&table.descriptor).unwrap();
    assert_eq!(again.status(table.descriptor.id).unwrap().generation, status.generation);
    table.churn(20, 1000, 30).await;
    let hold = snapshot(&table).await;
    let rows = columnar_rows(&again, &table, &hold, &[]).await.unwrap();
    assert!(rows == expected_rows(&table, &hold, &[]), "after a restart");
}

#[tokio::test]
async fn view_and_delta_show_what_the_row_path_shows() {
    for seed in 0..4 {
        history(seed, 1).await;
    }
    history(100, 2).await;
    history(200, 0).await;
}

#[tokio::test]
async fn filters_are_exact_and_prune_row_groups() {
    let mut table = Table::new(&[SqlType::INT4, SqlType::INT8, SqlType::TEXT], 1, 5);
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&table, dir.path(), |_| {});
    table.churn(3000, 2000, 0).await;
    engine.enable(&table.descriptor).unwrap();
    engine.refresh(table.descriptor.id).await.unwrap();
    table.churn(50, 2000, 50).await;
    let hold = snapshot(&table).await;
    let all = expected_rows(&table, &hold, &[]);
    let provider = provider(&engine, &table, &hold, &[]).await.unwrap();
    assert!(provider.facts().delta_rows > 0);
    let filter = col("t.c0").between(lit(100), lit(150)).and(col("t.c1").gt(lit(0i64)));
    let plan = scan(provider).filter(filter).unwrap().build().unwrap();
    let (_, physical) = engine.plan(engine.context().into(), plan.clone()).await.unwrap();
    let text = datafusion::physical_plan::displayable(physical.as_ref()).indent(false).to_string();
    assert!(!text.contains("FilterExec"), "{text}");
    assert!(text.contains("row_groups=1/") || text.contains("row_groups=2/"), "{text}");
    let types = [SqlType::INT4, SqlType::INT8, SqlType::TEXT];
    let mut found = Vec::new();
    for batch in batches(&engine, plan).await.unwrap() {
        found.extend(rows::read(&batch, &types).unwrap().iter().map(|row| print(row)));
    }
    found.sort();
    let expected: Vec<String> = all
        .into_iter()
        .filter(|row| {
            let number = |tag: &str| {
                let rest = &row[row.find(tag)? + tag.len()..];
                rest[..rest.find(')')?].parse::<i64>().ok()
            };
            number("Int4(").is_some_and(|v| (100..=150).contains(&v))
                && number("Int8(").is_some_and(|v| v > 0)
        })
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_limit_gives_no_more_and_no_less() {
    let mut table = Table::new(&[SqlType::INT4, SqlType::INT8], 1, 6);
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&table, dir.path(), |_| {});
    table.churn(2000, 1500, 0).await;
    engine.enable(&table.descriptor).unwrap();
    engine.refresh(table.descriptor.id).await.unwrap();
    let hold = snapshot(&table).await;
    for limit in [1, 70, 100_000] {
        let provider = provider(&engine, &table, &hold, &[]).await.unwrap();
        let plan = scan(provider).limit(0, Some(limit)).unwrap().build().unwrap();
        let rows: usize =
            batches(&engine, plan).await.unwrap().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, limit.min(expected_rows(&table, &hold, &[]).len()));
    }
}

#[tokio::test]
async fn damaged_files_are_refused_by_name_and_made_anew() {
    let mut table = Table::new(&every_type(), 1, 7);
    let dir = tempfile::tempdir().unwrap();
    table.churn(1500, 1000, 5).await;
    let folder = dir.path().join("views").join(table.descriptor.id.0.to_string());
    for victim in ["manifest.json", ".index", ".parquet"] {
        for truncate in [false, true] {
            let engine = engine(&table, dir.path(), |o| o.cache_bytes = 0);
            engine.enable(&table.descriptor).unwrap();
            engine.refresh(table.descriptor.id).await.unwrap();
            drop(engine);
            let mut names: Vec<_> = std::fs::read_dir(&folder)
                .unwrap()
                .map(|e| e.unwrap().path())
                .filter(|p| p.to_string_lossy().ends_with(victim))
                .collect();
            names.sort();
            let mut bytes = std::fs::read(&names[0]).unwrap();
            match truncate {
                true => bytes.truncate(bytes.len() - 3),
                false => bytes[500] ^= 1,
            }
            std::fs::write(&names[0], bytes).unwrap();
            let engine = self::engine(&table, dir.path(), |o| o.cache_bytes = 0);
            engine.enable(&table.descriptor).unwrap();
            let hold = snapshot(&table).await;
            let e = columnar_rows(&engine, &table, &hold, &[]).await;
            if let Err(e) = &e {
                let named = e.message().contains(victim);
                let unready = e.code() == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
                assert!(unready || e.code() == SqlState::DATA_CORRUPTED && named, "{e:?}");
            } else {
                // Keys of the first block are only read when they are looked for.
                assert!(victim == ".index" && !truncate);
            }
            engine.refresh(table.descriptor.id).await.unwrap();
            let hold = snapshot(&table).await;
            let rows = columnar_rows(&engine, &table, &hold, &[]).await.unwrap();
            assert!(rows == expected_rows(&table, &hold, &[]));
        }
    }
}

#[tokio::test]
async fn a_full_disk_keeps_the_old_view() {
    let mut table = Table::new(&every_type(), 1, 8);
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&table, dir.path(), |_| {});
    let (files, room) = FullFiles::new(dir.path().join("view"), i64::MAX);
    table.churn(1500, 1000, 5).await;
    engine.enable_in(&table.descriptor, files.clone()).unwrap();
    engine.refresh(table.descriptor.id).await.unwrap();
    let before = files.list().unwrap();
    for left in [0, 2_000, 30_000] {
        table.churn(200, 1000, 20).await;
        room.store(left, std::sync::atomic::Ordering::SeqCst);
        let e = engine.refresh(table.descriptor.id).await.unwrap_err();
        assert_eq!(e.code(), SqlState::DISK_FULL, "{e:?}");
        let mut now = files.list().unwrap();
        let mut before = before.clone();
        now.sort();
        before.sort();
        assert_eq!(now, before);
        let hold = snapshot(&table).await;
        let rows = columnar_rows(&engine, &table, &hold, &[]).await.unwrap();
        assert!(rows == expected_rows(&table, &hold, &[]));
    }
    room.store(i64::MAX, std::sync::atomic::Ordering::SeqCst);
    engine.refresh(table.descriptor.id).await.unwrap();
    assert_eq!(engine.status(table.descriptor.id).unwrap().generation, 2);
}

#[tokio::test]
async fn a_query_over_its_memory_fails_alone() {
    let mut table = Table::new(&[SqlType::INT4, SqlType::TEXT], 1, 9);
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&table, dir.path(), |o| (o.memory_bytes, o.spill_bytes) = (40_000, 1));
    table.churn(6000, 5000, 0).await;
    engine.enable(&table.descriptor).unwrap();
    engine.refresh(table.descriptor.id).await.unwrap();
    let hold = snapshot(&table).await;
    let provider_of = || provider(&engine, &table, &hold, &[]);
    let sort = scan(provider_of().await.unwrap())
        .sort([col("t.c1").sort(true, false)])
        .unwrap()
        .build()
        .unwrap();
    let e = batches(&engine, sort).await.unwrap_err();
    assert_eq!(e.code(), SqlState::OUT_OF_MEMORY, "{e:?}");
    let plain = scan(provider_of().await.unwrap()).build().unwrap();
    assert!(!batches(&engine, plain).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_background_makes_refreshes_and_removes_views() {
    let mut table = Table::new(&[SqlType::INT4, SqlType::TEXT], 1, 10);
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&table, dir.path(), |o| {
        o.check_interval = Duration::from_millis(5);
        o.refresh_keys_min = 100;
    });
    table.churn(500, 1000, 0).await;
    engine.enable(&table.descriptor).unwrap();
    let id = table.descriptor.id;
    let reach = async |generation| {
        for _ in 0..2000 {
            if engine.status(id).unwrap().generation >= generation {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("generation {generation} was not reached");
    };
    reach(1).await;
    let (key, value) = table.write(1, false);
    let mut writes = vec![(key, value)];
    writes.extend((2000..2200).map(|key| table.write(key, false)));
    table.commit(writes).await;
    reach(2).await;
    let folder = dir.path().join("views").join(table.descriptor.id.0.to_string());
    assert!(std::fs::read_dir(&folder).unwrap().count() > 0);
    engine.disable(table.descriptor.id);
    assert!(engine.status(table.descriptor.id).is_none());
}

#[tokio::test]
async fn a_view_with_too_much_to_add_is_refreshed_first() {
    let limits: [fn(&mut EngineOptions); 2] =
        [|o| o.delta_keys_max = 100, |o| o.memory_bytes = 1 << 12];
    for change in limits {
        let mut table = Table::new(&[SqlType::INT4, SqlType::TEXT], 1, 13);
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(&table, dir.path(), change);
        table.churn(3000, 1000, 0).await;
        engine.enable(&table.descriptor).unwrap();
        engine.refresh(table.descriptor.id).await.unwrap();
        table.churn(400, 1000, 0).await;
        let hold = snapshot(&table).await;
        let entry = engine.entry(table.descriptor.id).unwrap();
        let refused = columnar_rows(&engine, &table, &hold, &[]).await.unwrap_err();
        assert_eq!(refused.code(), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{refused:?}");
        assert_eq!(entry.newest().unwrap().delta.changed(), 0, "nothing of it is held");
        assert!(entry.is_wanted() && engine.is_due(&entry).await.unwrap());
        drop(hold);
        engine.refresh(table.descriptor.id).await.unwrap();
        assert!(!engine.is_due(&entry).await.unwrap());
        let hold = snapshot(&table).await;
        let rows = columnar_rows(&engine, &table, &hold, &[]).await.unwrap();
        assert!(rows == expected_rows(&table, &hold, &[]));
    }
}

#[tokio::test]
async fn small_refreshes_write_deltas_merge_them_and_renew_worn_ranges() {
    let mut table = Table::new(&[SqlType::INT4, SqlType::TEXT, SqlType::DATE], 1, 11);
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&table, dir.path(), |_| {});
    table.churn(4000, 2000, 0).await;
    engine.enable(&table.descriptor).unwrap();
    engine.refresh(table.descriptor.id).await.unwrap();
    let first: Vec<_> = manifest(&engine, &table).files.iter().map(|f| f.number).collect();
    let (mut deltas_most, mut kept) = (0, true);
    for round in 0..40 {
        // One corner of the keys changes more than the rest.
        let keys = if round % 2 == 0 { 2000 } else { 200 };
        table.churn(12, keys, 30).await;
        engine.refresh(table.descriptor.id).await.unwrap();
        let manifest = manifest(&engine, &table);
        let deltas = manifest.files.iter().filter(|f| f.kind == FileKind::Delta).count();
        deltas_most = deltas_most.max(deltas);
        kept &= manifest.files.iter().any(|f| first.contains(&f.number));
        if round % 8 == 7 {
            let hold = snapshot(&table).await;
            let rows = columnar_rows(&engine, &table, &hold, &[]).await.unwrap();
            assert!(rows == expected_rows(&table, &hold, &[]), "round {round}");
            assert_eq!(manifest.rows as usize, rows.len());
        }
    }
    assert!((2..=crate::columnar::view::build::DELTA_FILES_MAX).contains(&deltas_most));
    assert!(kept, "a small refresh leaves most base files alone");
    let last = manifest(&engine, &table);
    let renewed = last.files.iter().filter(|f| f.kind == FileKind::Base);
    assert!(renewed.clone().any(|f| !first.contains(&f.number)), "no worn range was renewed");
    let folder = dir.path().join("views").join(table.descriptor.id.0.to_string());
    let files = std::fs::read_dir(folder).unwrap().count();
    // Two generations may hold files; nothing else lies about.
    assert!(files <= 2 * (2 * last.files.len() + 2), "{files} files");
}

fn manifest(engine: &Engine, table: &Table) -> crate::columnar::manifest::Manifest {
    let entry = engine.entry(table.descriptor.id).unwrap();
    entry.newest().unwrap().view.manifest.clone()
}

#[tokio::test]
async fn both_paths_stand_in_one_plan_and_count_without_columns() {
    let mut table = Table::new(&[SqlType::INT4, SqlType::TEXT], 1, 12);
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&table, dir.path(), |_| {});
    table.churn(1000, 900, 0).await;
    engine.enable(&table.descriptor).unwrap();
    engine.refresh(table.descriptor.id).await.unwrap();
    table.churn(100, 900, 50).await;
    let hold = snapshot(&table).await;
    let expected = expected_rows(&table, &hold, &[]).len();
    let decoder = table.codec.decoder(&[ColumnId(1), ColumnId(2)]).unwrap();
    let page = crate::kv::PageLimit { rows_max: 1 << 20, bytes_max: 1 << 30 };
    let range = crate::kv::KeyRange::all(table.descriptor.space());
    let entries = table.store.scan(&range, hold.at, false, page, None).await.unwrap().entries;
    let all: Vec<_> = entries.iter().map(|e| decoder.decode_entry(e).unwrap()).collect();
    let chunks: Vec<Vec<_>> = all.chunks(100).map(<[_]>::to_vec).collect();
    let source: crate::columnar::query::RowSource =
        Arc::new(move || Box::pin(futures::stream::iter(chunks.clone().into_iter().map(Ok))));
    let shapes: Vec<_> = table.descriptor.columns.iter().map(rows::ColumnShape::of).collect();
    let row_table = Arc::new(crate::columnar::query::RowTable::new(&shapes, source));
    let right = LogicalPlanBuilder::scan("r", provider_as_source(row_table), None).unwrap();
    let count = datafusion::functions_aggregate::expr_fn::count(lit(1i64));
    let joined = scan(provider(&engine, &table, &hold, &[]).await.unwrap())
        .join(
            right.build().unwrap(),
            datafusion::logical_expr::JoinType::Inner,
            (vec!["t.c0", "t.c1"], vec!["r.c0", "r.c1"]),
            None,
        )
        .unwrap()
        .aggregate(Vec::<datafusion::prelude::Expr>::new(), vec![count.clone()])
        .unwrap();
    // Rows whose text is NULL meet nobody in a join.
    let nulls = all.iter().filter(|row| row[1].is_null()).count();
    assert_eq!(number(&engine, joined.build().unwrap()).await, (expected - nulls) as i64);
    let filter = col("t.c0").gt_eq(lit(0));
    let counted = scan(provider(&engine, &table, &hold, &[]).await.unwrap())
        .filter(filter)
        .unwrap()
        .aggregate(Vec::<datafusion::prelude::Expr>::new(), vec![count])
        .unwrap();
    let positive = all.iter().filter(|r| matches!(r[0], crate::types::Datum::Int4(v) if v >= 0));
    assert_eq!(number(&engine, counted.build().unwrap()).await, positive.count() as i64);
}

async fn number(engine: &Engine, plan: LogicalPlan) -> i64 {
    let batches = batches(engine, plan).await.unwrap();
    let batch = batches.iter().find(|b| b.num_rows() > 0).unwrap();
    match &rows::read(batch, &[SqlType::INT8]).unwrap()[0][0] {
        crate::types::Datum::Int8(v) => *v,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_beside_queries_tear_nothing() {
    let mut table = Table::new(&[SqlType::INT4, SqlType::TEXT], 1, 13);
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&table, dir.path(), |o| {
        o.check_interval = Duration::from_millis(2);
        o.refresh_keys_min = 40;
        o.refresh_percent = 0;
    });
    table.churn(600, 500, 0).await;
    engine.enable(&table.descriptor).unwrap();
    engine.refresh(table.descriptor.id).await.unwrap();
    let (mut compared, mut rounds) = (0, 0);
    // Refreshes come when they come.
    while rounds < 60 || engine.status(table.descriptor.id).unwrap().generation <= 2 {
        rounds += 1;
        assert!(rounds < 6000, "no refresh");
        table.churn(8, 500, 40).await;
        let hold = snapshot(&table).await;
        // Commits after the snapshot are in the log when the query reads it.
        table.churn(8, 500, 40).await;
        match columnar_rows(&engine, &table, &hold, &[]).await {
            Ok(rows) => {
                assert!(rows == expected_rows(&table, &hold, &[]));
                compared += 1;
            }
            Err(e) => assert_eq!(e.code(), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{e:?}"),
        }
    }
    assert!(compared * 3 > rounds * 2, "{compared} of {rounds}");
}
