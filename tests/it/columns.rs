//! The column path through SQL, with the real binary: answers of some age, memory, damaged files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice::clock::{Clock, SystemClock};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::program::Running;

/// Megabytes of memory of all analytical queries together: few.
const MEMORY: [&str; 2] = ["--analytics-memory", "24"];

/// The rows of a query, each its fields with | between.
async fn ask(client: &Client, sql: &str) -> Vec<String> {
    let answers = client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let rows = answers.iter().filter_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| (0..row.len()).map(|i| row.get(i).unwrap_or("")).collect::<Vec<_>>().join("|"))
        .collect()
}

/// SQLSTATE and message of a refusal.
async fn refused(client: &Client, sql: &str) -> (String, String) {
    let error = client.simple_query(sql).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    (error.code().code().to_owned(), error.message().to_owned())
}

/// Folders and files below one.
fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        found.extend(below(&path));
        found.push(path);
    }
    found
}

/// Files of views, of one extension.
fn view_files(data: &Path, extension: &str) -> Vec<PathBuf> {
    let ours = |path: &PathBuf| {
        let text = path.to_string_lossy();
        text.contains("views") && path.is_file() && text.ends_with(extension)
    };
    below(data).into_iter().filter(ours).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_statement_may_read_a_view_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::on(data.path());
    let (writer, reader) = (
        server.connect("postgres", "postgres").await,
        server.connect("postgres", "postgres").await,
    );
    for sql in [
        "create table f (id int primary key, g int, v int) with (columnar = on)",
        "create table d (g int primary key, name text) with (columnar = on)",
        "insert into f select x, x % 10, 1 from generate_series(1, 20000) x",
        "insert into d select x, 'n' || x from generate_series(0, 9) x",
        "refresh columnar view f; refresh columnar view d",
    ] {
        ask(&writer, sql).await;
    }
    ask(&reader, "set sluice.max_staleness = '1h'; set sluice.read_engines = columnar").await;
    ask(&writer, "update f set v = 2 where id <= 100").await;
    let sum = "select sum(v) from f";
    assert_eq!(ask(&reader, sum).await, ["20000"], "the view as it was made");
    let plan = ask(&reader, &format!("explain {sum}")).await.join("\n");
    assert!(plan.contains("s old (sluice.max_staleness)"), "{plan}");
    assert!(plan.contains("0 rows from the delta"), "{plan}");
    assert_eq!(ask(&reader, &format!("begin; {sum}; commit")).await, ["20100"], "exact in a block");
    // Its own writes it sees, from then on.
    ask(&writer, "set sluice.max_staleness = '1h'; set sluice.read_engines = columnar").await;
    assert_eq!(ask(&writer, sum).await, ["20100"]);
    ask(&reader, "set sluice.max_staleness = '1ms'").await;
    assert_eq!(ask(&reader, sum).await, ["20100"], "older than allowed");
    ask(&reader, "set sluice.max_staleness = '1h'").await;

    // Over two tables, at one snapshot: each commit moves one between them.
    ask(&writer, "refresh columnar view f; refresh columnar view d").await;
    let both = "select (select sum(v) from f) as f, (select count(*) from d) as d";
    assert_eq!(ask(&reader, both).await, ["20100|10"]);
    for round in 0..6 {
        let id = 1000 + round;
        let swap = format!(
            "begin; update f set v = v + 1 where id = {id}; delete from d where g = {round}; commit"
        );
        ask(&writer, &swap).await;
        if round % 2 == 1 {
            let table = if round % 4 == 1 { "f" } else { "d" };
            ask(&writer, &format!("refresh columnar view {table}")).await;
        }
        let found = ask(&reader, both).await;
        let (f, d) = found[0].split_once('|').unwrap();
        let sum = f.parse::<i64>().unwrap() + d.parse::<i64>().unwrap();
        assert_eq!(sum, 20110, "torn: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_and_greatest_floats_are_those_of_rows() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::on(data.path());
    let client = server.connect("postgres", "postgres").await;
    for sql in [
        "create table f (id int primary key, g int, x float8, y real) with (columnar = on)",
        "insert into f select n, n % 7, (n * 7919 % 2003 - 1000) / 8.0, (n * 31 % 97 - 50) / 4.0
         from generate_series(1, 9000) n",
        "update f set x = 'NaN' where g = 1 and id % 5 = 0; update f set y = 'NaN' where g = 2",
        "update f set x = '-infinity', y = 'infinity' where id in (3, 17)",
        "update f set x = null, y = null where g = 4; update f set x = '-0' where g = 5",
        "refresh columnar view f; update f set y = 'NaN' where id = 13",
    ] {
        ask(&client, sql).await;
    }
    for query in [
        "select g, min(x), max(x), min(y), max(y), count(*) from f group by g order by g",
        "select min(x), max(y) filter (where g <> 2) from f where g < 6",
        "select max(x) - min(x) from f where g in (0, 3)",
        "select g, max(m) from (select g, id % 3 k, min(y) m from f group by g, k) s
         group by g order by g",
    ] {
        ask(&client, "set sluice.read_engines = row").await;
        let rows = ask(&client, query).await;
        ask(&client, "set sluice.read_engines = columnar").await;
        assert_eq!(ask(&client, query).await, rows, "{query}");
        let plan = ask(&client, &format!("explain {query}")).await.join("\n");
        assert!(plan.contains("Columnar") && plan.contains("AggregateExec"), "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_over_its_memory_fails_alone_or_spills() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_str().unwrap();
    let arguments = [&["start", "--auth", "trust", "--data", folder], &MEMORY[..]].concat();
    let server = Running::start(&arguments);
    let (client, other) = (
        server.connect("postgres", "postgres").await,
        server.connect("postgres", "postgres").await,
    );
    ask(&client, "create table w (id int primary key, k text, v int) with (columnar = on)").await;
    let rows = "insert into w select x, md5(x::text) || md5((x + 1)::text), x \
                from generate_series(1, 400000) x";
    ask(&client, rows).await;
    ask(&client, "refresh columnar view w; set sluice.read_engines = columnar").await;
    // Its groups are several times the memory: they spill.
    let groups = "select count(*), sum(n) from (select k, count(*) n from w group by k) t";
    assert_eq!(ask(&client, groups).await, ["400000|400000"]);
    // So do rows to be sorted.
    let sorted = ask(&client, "select k, v from w order by k").await;
    assert_eq!(sorted.len(), 400_000);
    assert!(sorted.is_sorted());
    // What cannot spill fails alone: the table of a hash join.
    let joined = "select count(*) from w a join w b on a.k = b.k and a.v <= b.v";
    let (code, message) = refused(&client, joined).await;
    assert_eq!(code, "53200", "{message}");
    assert_eq!(ask(&client, "select count(*) from w").await, ["400000"]);
    assert_eq!(ask(&other, "select 1").await, ["1"]);
    let spilled: Vec<PathBuf> = below(data.path())
        .into_iter()
        .filter(|p| p.to_string_lossy().contains("spill") && p.is_file())
        .collect();
    assert_eq!(spilled, [] as [PathBuf; 0], "temporary files stay");
}

/// Questions about `w` that take longer than anybody waits.
const ENDLESS: [&str; 5] = [
    "select count(*) from w a, w b, w c where a.v + b.v < c.v",
    "select a.k from w a, w b, w c order by b.k || a.k || c.k",
    "select count(distinct a.k || b.k) from w a, w b",
    "select sum(length(upper(a.k) || b.k)) from w a, w b",
    "select count(*) from w a, w b where a.v + b.v = -1 or a.k || b.k = 'never'",
];

/// A session that reads columns only, of `w`.
async fn with_endless(server: &Running) -> Client {
    let client = server.connect("postgres", "postgres").await;
    ask(&client, "create table w (id int primary key, k text, v int) with (columnar = on)").await;
    ask(&client, "insert into w select x, md5(x::text), x from generate_series(1, 30000) x").await;
    ask(&client, "refresh columnar view w; set sluice.read_engines = columnar").await;
    client
}

/// What goes on after the end of a query, on whatever thread; nothing.
async fn goes_on_after(server: &Running, query: &str) -> Option<String> {
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = server.processor_time();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let spent = server.processor_time() - before;
    (spent > Duration::from_millis(200)).then(|| format!("{query}: {spent:?} more"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_scan_stops_at_once() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::on(data.path());
    let client = with_endless(&server).await;
    let clock = SystemClock::new();
    let (mut waits, mut going_on) = (Vec::new(), Vec::new());
    for endless in ENDLESS {
        let cancel = client.cancel_token();
        let running = client.simple_query(endless);
        let cancelled = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let began = clock.monotonic();
            cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
            began
        };
        let (ended, began) = tokio::join!(running, cancelled);
        let error = ended.unwrap_err();
        waits.push(clock.monotonic() - began);
        assert_eq!(error.as_db_error().unwrap().code().code(), "57014", "{endless}");
        going_on.extend(goes_on_after(&server, endless).await);
    }
    println!("cancelled within {waits:?}");
    assert!(going_on.is_empty(), "{going_on:?}");
    // A hundred milliseconds, and what a busy machine adds in a debug build.
    assert!(waits.iter().all(|wait| *wait < Duration::from_secs(1)), "{waits:?}");
    let spilled = below(data.path());
    let spilled = spilled.iter().filter(|p| p.to_string_lossy().contains("spill") && p.is_file());
    assert_eq!(spilled.count(), 0, "temporary files stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_takes_too_long_stops() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::on(data.path());
    let client = with_endless(&server).await;
    ask(&client, "set sluice.analytics_timeout = '500ms'").await;
    let clock = SystemClock::new();
    let mut going_on = Vec::new();
    for endless in ENDLESS {
        let began = clock.monotonic();
        let (code, message) = refused(&client, endless).await;
        let took = clock.monotonic() - began;
        assert_eq!(code, "57014", "{endless}: {message}");
        assert!(message.contains("sluice.analytics_timeout"), "{endless}: {message}");
        assert!(took >= Duration::from_millis(500), "{endless}: {took:?}");
        assert!(took < Duration::from_secs(5), "{endless}: {took:?}");
        going_on.extend(goes_on_after(&server, endless).await);
    }
    assert!(going_on.is_empty(), "{going_on:?}");
    assert_eq!(ask(&client, "select count(*) from w").await, ["30000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_changes_than_are_allowed_are_read_as_rows() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::on(data.path());
    let client = server.connect("postgres", "postgres").await;
    ask(&client, "create table w (id int primary key, v int) with (columnar = on)").await;
    ask(&client, "insert into w select x, 1 from generate_series(1, 5000) x").await;
    ask(&client, "refresh columnar view w; set sluice.read_engines = columnar").await;
    let sum = "select sum(v) from w";
    ask(&client, "update w set v = 2 where id <= 10; set sluice.delta_rows_max = 10").await;
    assert_eq!(ask(&client, sum).await, ["5010"]);
    ask(&client, "set sluice.delta_rows_max = 9").await;
    let (code, message) = refused(&client, sum).await;
    assert_eq!(code, "55000", "{message}");
    ask(&client, "set sluice.read_engines = 'row,columnar'").await;
    assert_eq!(ask(&client, sum).await, ["5010"]);
    // Who was refused has asked for a refresh.
    ask(&client, "set sluice.read_engines = columnar").await;
    let clock = SystemClock::new();
    let until = clock.monotonic() + Duration::from_secs(20);
    while client.simple_query(sum).await.is_err() {
        assert!(clock.monotonic() < until, "no refresh");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask(&client, sum).await, ["5010"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_views_are_refused_and_made_anew() {
    let data = tempfile::tempdir().unwrap();
    let damages: [(&str, fn(&Path)); 4] = [
        (".parquet", truncate),
        (".parquet", flip),
        ("manifest.json", truncate),
        ("manifest.json", flip),
    ];
    {
        let server = Running::on(data.path());
        let client = server.connect("postgres", "postgres").await;
        ask(&client, "create table t (id int primary key, v int) with (columnar = on)").await;
        ask(&client, "insert into t select x, x from generate_series(1, 50000) x").await;
        ask(&client, "refresh columnar view t").await;
    }
    for (extension, damage) in damages {
        let files = view_files(data.path(), extension);
        assert!(!files.is_empty(), "{extension}: {:?}", below(data.path()));
        files.iter().for_each(|file| damage(file));
        let server = Running::on(data.path());
        let client = server.connect("postgres", "postgres").await;
        let sum = "select count(*), sum(v) from t";
        assert_eq!(ask(&client, sum).await, ["50000|1250025000"], "{extension}");
        // Who insists on columns is told, by name, and served once the view is made anew.
        ask(&client, "set sluice.read_engines = columnar").await;
        if let Err(error) = client.simple_query(sum).await {
            let error = error.as_db_error().unwrap();
            let told = format!("{} {:?}", error.message(), error.detail());
            assert!(["55000", "XX001"].contains(&error.code().code()), "{error:?}");
            assert!(told.contains("view of table \"t\"") || told.contains(".parquet"), "{told}");
        }
        assert_eq!(ask(&client, sum).await, ["50000|1250025000"], "{extension}");
        let state = "select state from pg_stat_columnar_views";
        for _ in 0..200 {
            if ask(&client, state).await == ["ready"] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(ask(&client, state).await, ["ready"], "{extension}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_leaves_the_view_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::on(data.path());
    let client = server.connect("postgres", "postgres").await;
    ask(&client, "create table t (id int primary key, v int) with (columnar = on)").await;
    // Fewer rows than those whose change makes a view new by itself.
    ask(&client, "insert into t select x, x from generate_series(1, 40000) x").await;
    ask(&client, "refresh columnar view t").await;
    let made = "select generation, made, files from pg_stat_columnar_views";
    let first = ask(&client, made).await;
    // Every file that the next refresh can make lies on a device that is always full.
    let files = view_files(data.path(), "");
    let folder = files.iter().find(|f| f.ends_with("manifest.json")).unwrap().parent().unwrap();
    let names =
        (0..100).flat_map(|n| ["parquet", "index", "masks"].map(|e| format!("{n:010}.{e}")));
    let full: Vec<PathBuf> = names
        .map(|name| folder.join(name))
        .chain([folder.join("manifest.json.tmp")])
        .filter(|path| !path.exists())
        .inspect(|path| std::os::unix::fs::symlink("/dev/full", path).unwrap())
        .collect();
    ask(&client, "update t set v = v + 1 where id <= 10000").await;
    let (code, message) = refused(&client, "refresh columnar view t").await;
    assert_eq!(code, "53100", "{message}");
    assert!(message.starts_with("could not write file"), "{message}");

    // The old view answers, with what changed since.
    ask(&client, "set sluice.read_engines = columnar").await;
    let sum = "select count(*), sum(v) from t";
    assert_eq!(ask(&client, sum).await, ["40000|800030000"]);
    assert_eq!(ask(&client, made).await, first);
    let state = "select state, last_error like 'could not write file%' from pg_stat_columnar_views";
    assert_eq!(ask(&client, state).await, ["ready|t"]);
    let writes = "insert into t values (40001, 0)";
    ask(&client, writes).await;

    for path in full.iter().filter(|path| path.symlink_metadata().is_ok()) {
        std::fs::remove_file(path).unwrap();
    }
    ask(&client, "refresh columnar view t").await;
    assert_eq!(ask(&client, sum).await, ["40001|800030000"]);
    assert_ne!(ask(&client, made).await, first);
    drop(server);
    let server = Running::on(data.path());
    let client = server.connect("postgres", "postgres").await;
    assert_eq!(ask(&client, sum).await, ["40001|800030000"]);
}

fn truncate(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(file, bytes).unwrap();
}
