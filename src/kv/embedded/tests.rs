use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::clock::SystemClock;
use crate::kv::conformance::outcomes::{Fault, Patient};
use crate::kv::conformance::{
    SPACE, changes_after, commit, committed, key, numbers, put, read, scan_all, txn, value, write,
};

fn options(dir: &tempfile::TempDir) -> EmbeddedOptions {
    EmbeddedOptions {
        deadlock_timeout: Duration::from_millis(50),
        ..EmbeddedOptions::new(dir.path().join("store"))
    }
}

fn open(options: EmbeddedOptions) -> SharedStore {
    EmbeddedStore::open(options, Arc::new(SystemClock::new())).unwrap()
}

/// A store with the usual options.
pub(crate) async fn make() -> (SharedStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (open(options(&dir)), dir)
}

crate::kv::conformance::suite!(make);

/// Every commit is a bulk commit, every old version goes to disk, memtables are tiny.
mod without_room {
    use super::*;

    async fn make() -> (SharedStore, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions {
            bulk_bytes: 0,
            history_bytes_max: 0,
            memtable_bytes: 20_000,
            ..options(&dir)
        };
        (open(options), dir)
    }

    crate::kv::conformance::suite!(make);
}

#[tokio::test]
async fn everything_but_snapshots_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(&dir));
    let first = put(&store, vec![(1, Some("a")), (2, Some("b")), (3, Some("c"))]).await;
    let last = put(&store, vec![(2, None), (3, Some("d"))]).await;
    let (_, cursor) = changes_after(&store, Cursor::default(), 2).await;
    let size = store.estimate(&KeyRange::all(SPACE)).await.unwrap();
    store.close().await.unwrap();
    let error = store.commit(commit(vec![write(key(1), None)])).await.unwrap_err();
    assert_eq!(error.code(), SqlState::CANNOT_CONNECT_NOW);
    drop(store);
    for _ in 0..2 {
        let store = open(options(&dir));
        let hold = store.snapshot().await.unwrap();
        assert!(hold.at >= last);
        let all = scan_all(&store, &KeyRange::all(SPACE), hold.at, false, 10).await;
        assert_eq!(numbers(&all), [1, 3]);
        assert_eq!(read(&store, 3, hold.at).await.as_deref(), Some("d"));
        assert_eq!(store.hold(first).unwrap_err().code(), SqlState::SNAPSHOT_TOO_OLD);
        assert_eq!(store.estimate(&KeyRange::all(SPACE)).await.unwrap(), size);
        assert_eq!(changes_after(&store, cursor.clone(), 2).await.0, []);
        assert_eq!(changes_after(&store, Cursor::default(), 100).await.0.len(), 5);
    }
    let store = open(options(&dir));
    let (_, end) = changes_after(&store, Cursor::default(), 100).await;
    store.trim_changes(SPACE, &end).await.unwrap();
    assert!(put(&store, vec![(9, Some("x"))]).await > last);
    drop(store);
    let store = open(options(&dir));
    assert!(store.changes(SPACE, &Cursor::default(), 1).await.is_err());
    assert_eq!(changes_after(&store, end, 2).await.0.len(), 1);
}

#[tokio::test]
async fn a_folder_in_use_or_of_a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(&dir));
    let clock: Arc<SystemClock> = Arc::new(SystemClock::new());
    let error = EmbeddedStore::open(options(&dir), clock.clone()).err().unwrap();
    assert_eq!(error.code(), SqlState::OBJECT_IN_USE);
    assert!(error.message().contains("in use by another process"), "{error}");
    drop(store);
    let format = dir.path().join("store/FORMAT");
    std::fs::write(&format, "sluice embedded store, format 99\n").unwrap();
    let error = EmbeddedStore::open(options(&dir), clock.clone()).err().unwrap();
    assert!(error.message().contains("has format 99"), "{error}");
    assert!(error.message().contains("format 1"), "{error}");
    std::fs::write(&format, "something else").unwrap();
    let error = EmbeddedStore::open(options(&dir), clock.clone()).err().unwrap();
    assert_eq!(error.code(), SqlState::DATA_CORRUPTED);
    std::fs::remove_file(&format).unwrap();
    let error = EmbeddedStore::open(options(&dir), clock).err().unwrap();
    assert!(error.message().contains("FORMAT"), "{error}");
}

#[tokio::test]
async fn a_full_disk_refuses_commits_and_serves_reads() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(&dir));
    put(&store, vec![(1, Some("a"))]).await;
    drop(store);
    let full = EmbeddedOptions { disk_reserve_bytes: u64::MAX, ..options(&dir) };
    let store = open(full);
    let me = txn();
    crate::kv::conformance::lock(&store, me, &[1]).await;
    let refused = Commit { txn: me, ..commit(vec![write(key(1), value("b"))]) };
    assert_eq!(store.commit(refused).await.unwrap_err().code(), SqlState::DISK_FULL);
    assert_eq!(read(&store, 1, Timestamp::MAX).await.as_deref(), Some("a"));
    let request = LockRequest {
        txn: txn(),
        keys: vec![key(1)],
        mode: LockMode::Update,
        wait: LockWait::NoWait,
    };
    store.lock(request).await.unwrap();
    // A bulk commit leaves nothing behind either.
    let big = (0..20_000).map(|n| write(key(n), value("x"))).collect();
    assert_eq!(store.commit(commit(big)).await.unwrap_err().code(), SqlState::DISK_FULL);
    assert_eq!(read(&store, 1, Timestamp::MAX).await.as_deref(), Some("a"));
    drop(store);
    let store = open(options(&dir));
    put(&store, vec![(1, Some("c"))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_commit_is_seen_at_once_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(EmbeddedOptions { memtable_bytes: 1 << 20, ..options(&dir) });
    put(&store, (0..1000).map(|n| (n, Some("old"))).collect()).await;
    let before = store.snapshot().await.unwrap();
    let rows = 60_000;
    let bulk = tokio::spawn({
        let store = store.clone();
        async move {
            let mut writes: Vec<Write> =
                (0..rows).map(|n| write(key(n), value("a value of some length"))).collect();
            writes.extend((rows..rows + 500).map(|n| write(key(n), None)));
            for write in writes.iter_mut().take(10) {
                write.value = None;
            }
            committed(store.commit(commit(writes)).await.unwrap())
        }
    });
    let all = KeyRange::all(SPACE);
    let mut small = 0;
    while !bulk.is_finished() {
        let hold = store.snapshot().await.unwrap();
        let found = scan_all(&store, &all, hold.at, false, 5000).await;
        assert!(found.len() == 1000 || found.len() == rows as usize - 10, "{}", found.len());
        let elsewhere = Key::new(SpaceId(999), b"k", 1);
        committed(store.commit(commit(vec![write(elsewhere, value("v"))])).await.unwrap());
        small += 1;
    }
    let ts = bulk.await.unwrap();
    assert!(small > 3, "{small}");
    assert!(ts > before.at);
    // The old snapshot still reads what it did, also below rows written again since.
    put(&store, (0..500).map(|n| (n, Some("newest"))).collect()).await;
    let old = scan_all(&store, &all, before.at, false, 5000).await;
    assert_eq!(old.len(), 1000);
    assert!(old.iter().all(|e| e.value == "old"));
    assert_eq!(read(&store, 5, ts).await, None);
    assert_eq!(read(&store, 20, ts).await.as_deref(), Some("a value of some length"));
    assert_eq!(read(&store, 20, Timestamp::MAX).await.as_deref(), Some("newest"));
    let cursor = store.cursor_at(SPACE, before.at).await.unwrap();
    let (changes, _) = changes_after(&store, cursor, 7000).await;
    assert_eq!(changes.iter().filter(|(_, t)| *t == ts).count(), rows as usize);
    assert_eq!(store.estimate(&all).await.unwrap().rows, u64::from(rows));
    drop(before);
    drop(store);
    let store = open(options(&dir));
    let at = store.snapshot().await.unwrap();
    assert_eq!(scan_all(&store, &all, at.at, true, 5000).await.len(), rows as usize);
    let (changes, _) = changes_after(&store, Cursor::default(), 7000).await;
    assert_eq!(changes.iter().filter(|(_, t)| *t == ts).count(), rows as usize);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_bulk_commit_is_undone() {
    let (store, _dir) = make().await;
    put(&store, vec![(5, Some("old")), (40_000, Some("there"))]).await;
    let rows = 50_000;
    let mut writes: Vec<Write> = (0..rows).map(|n| write(key(n), value("new"))).collect();
    writes[40_000].expect = Expect::Absent;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move {
            // Without a lock: waits for the bulk commit if it meets it, and stands either way.
            for n in 0..50 {
                put(&store, vec![(n * 7, Some("mine"))]).await;
            }
        }
    });
    let outcome = store.commit(commit(writes)).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::WriteConflict { .. }), "{outcome:?}");
    waiting.await.unwrap();
    let at = store.snapshot().await.unwrap().at;
    let all = scan_all(&store, &KeyRange::all(SPACE), at, false, 1000).await;
    assert_eq!(all.len(), 52);
    assert!(all.iter().all(|e| e.value != "new"));
    assert_eq!(store.estimate(&KeyRange::all(SPACE)).await.unwrap().rows, 52);
}

/// Says to a child of this test binary that it is one, and where to write.
const CRASH_DIR: &str = "SLUICE_TEST_CRASH_DIR";
const ROWS: u32 = 8;

/// A child process commits without pause, telling its parent of each acknowledged commit, until
/// it is killed. Nothing acknowledged may be missing, and nothing may be there in part.
#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    if let Ok(dir) = std::env::var(CRASH_DIR) {
        return crash_child(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = HashMap::new();
    for round in 0..6u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kv::embedded::tests::a_killed_process_loses_nothing_acknowledged"])
            .args(["--nocapture", "--test-threads=1"])
            .env(CRASH_DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after so many acknowledgements: also early, and in the midst of a bulk commit.
        let enough = 40 + round * 37;
        for (count, line) in lines.enumerate() {
            let Ok(line) = line else { break };
            if let Some((group, number)) = line.strip_prefix("ack ").and_then(|l| l.split_once(' '))
            {
                let (group, number): (u32, u64) = (group.parse().unwrap(), number.parse().unwrap());
                acknowledged.insert(group, number);
            }
            if count as u64 >= enough {
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
        verify_after_crash(&dir, &acknowledged);
    }
    assert!(acknowledged.len() > 3);
}

#[tokio::main]
async fn verify_after_crash(dir: &tempfile::TempDir, acknowledged: &HashMap<u32, u64>) {
    let store = open(options(dir));
    let at = store.snapshot().await.unwrap();
    for (group, number) in acknowledged {
        let keys: Vec<Key> = (0..ROWS).map(|n| key(group * ROWS + n)).collect();
        let found = store.get_many(&keys, at.at).await.unwrap();
        let values: Vec<u64> = found.into_iter().map(|v| count_of(&v.unwrap())).collect();
        assert!(values.iter().all(|v| *v == values[0]), "in part: {values:?}");
        assert!(values[0] >= *number, "lost: {number} acknowledged, {} found", values[0]);
    }
    // The bulk space: all rows of one round, or of the one before.
    let bulk = scan_all(&store, &KeyRange::all(SpaceId(777)), at.at, false, 10_000).await;
    let rounds: std::collections::HashSet<Bytes> = bulk.iter().map(|e| e.value.clone()).collect();
    assert!(rounds.len() <= 1 && (bulk.is_empty() || bulk.len() == 4000), "{}", bulk.len());
}

fn count_of(version: &Version) -> u64 {
    u64::from_be_bytes(version.value.as_ref().unwrap()[..].try_into().unwrap())
}

#[tokio::main]
async fn crash_child(dir: &str) {
    let mut options = EmbeddedOptions::new(std::path::Path::new(dir).join("store"));
    options.memtable_bytes = 1 << 20;
    let store = open(options);
    let mut tasks = Vec::new();
    for group in 0..6u32 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let first = store.get(&key(group * ROWS), Timestamp::MAX).await.unwrap();
            let mut number = first.map_or(0, |v| count_of(&v));
            loop {
                number += 1;
                let value = Some(Bytes::copy_from_slice(&number.to_be_bytes()));
                let writes =
                    (0..ROWS).map(|n| write(key(group * ROWS + n), value.clone())).collect();
                committed(store.commit(commit(writes)).await.unwrap());
                println!("ack {group} {number}");
            }
        }));
    }
    tasks.push(tokio::spawn(async move {
        for round in 0u64.. {
            // Several chunks.
            let mark = format!("{}-{round} ", std::process::id());
            let value = Some(Bytes::from(mark.repeat(1500 / mark.len())));
            let writes = (0..4000u32)
                .map(|n| write(Key::new(SpaceId(777), &n.to_be_bytes(), 4), value.clone()));
            committed(store.commit(commit(writes.collect())).await.unwrap());
        }
    }));
    for task in tasks {
        task.await.unwrap();
    }
}

/// A store whose journal fails; what comes next opens what is on the disk at that moment, as
/// after `kill -9`.
struct Failing {
    store: Arc<EmbeddedStore>,
    options: EmbeddedOptions,
    dir: tempfile::TempDir,
}

impl Failing {
    fn new(bulk_bytes: usize) -> Failing {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions { bulk_bytes, ..options(&dir) };
        let store = EmbeddedStore::start(options.clone(), Arc::new(SystemClock::new())).unwrap();
        Failing { store: Arc::new(store), options, dir }
    }
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[async_trait]
impl Patient for Failing {
    fn store(&self) -> SharedStore {
        self.store.clone()
    }

    async fn observer(&self) -> SharedStore {
        self.store.clone()
    }

    fn arm(&self, fault: Fault, step: u32) -> bool {
        self.store.core.faults.arm(fault, step);
        true
    }

    fn struck(&self) -> bool {
        self.store.core.faults.struck()
    }

    async fn successor(&self) -> SharedStore {
        let error = self.store.commit(commit(vec![write(key(4), value("x"))])).await;
        assert_eq!(error.is_err(), self.struck(), "no writes after one has failed");
        let copy = self.dir.path().join("after");
        copy_folder(&self.options.dir, &copy);
        open(EmbeddedOptions { dir: copy, ..self.options.clone() })
    }
}

mod failing {
    use super::*;

    async fn make() -> Failing {
        Failing::new(BULK_BYTES)
    }

    crate::kv::conformance::hurt_suite!(make);
}

/// The same with every commit in parts.
mod failing_in_bulk {
    use super::*;

    async fn make() -> Failing {
        Failing::new(0)
    }

    crate::kv::conformance::hurt_suite!(make);
}

/// Says to a child of this test binary that it is one, and where to write.
const FULL_DIR: &str = "SLUICE_TEST_FULL_DIR";
/// What the child may write into one file, in blocks of 512 bytes: a little more than the journal
/// has when it is made.
const FILE_BLOCKS: u32 = (66 << 20) / 512;
/// Bytes of each of its commits.
const FILLER_BYTES: usize = 700_000;

/// The journal cannot grow any more, in the midst of a commit: that commit's outcome is not
/// known, nothing is written from then on, reads go on; a restart finds all that was
/// acknowledged, and of the rest whole commits only.
#[test]
fn a_journal_that_cannot_be_written_makes_no_lies() {
    if let Ok(dir) = std::env::var(FULL_DIR) {
        return full_child(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let test = "kv::embedded::tests::a_journal_that_cannot_be_written_makes_no_lies";
    let program = std::env::current_exe().unwrap();
    let limited = format!(
        "trap '' XFSZ; ulimit -f {FILE_BLOCKS}; exec '{}' --exact {test} --nocapture --test-threads=1",
        program.display()
    );
    let child = Command::new("sh")
        .args(["-c", &limited])
        .env(FULL_DIR, dir.path())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{said}");
    let acknowledged = said.lines().filter_map(|l| l.strip_prefix("ack ")).next_back();
    let acknowledged: u64 = acknowledged.unwrap().parse().unwrap();
    assert!(said.contains("unknown"), "{said}");
    full_after(&dir, acknowledged);
}

#[tokio::main]
async fn full_child(dir: &str) {
    let dir = std::path::Path::new(dir).join("store");
    // One journal, from which nothing is flushed.
    let store = open(EmbeddedOptions { memtable_bytes: 1 << 30, ..EmbeddedOptions::new(dir) });
    // The journal is compressed; this is not compressible.
    let mut filler = vec![0; FILLER_BYTES];
    SystemClock::new().random(&mut filler);
    let filler = Some(Bytes::from(filler));
    for number in 1u64.. {
        let count = Some(Bytes::copy_from_slice(&number.to_be_bytes()));
        let mut writes: Vec<Write> = (0..ROWS).map(|n| write(key(n), count.clone())).collect();
        writes.push(write(key(1000 + number as u32), filler.clone()));
        match store.commit(commit(writes)).await {
            Ok(outcome) => {
                committed(outcome);
                println!("ack {number}");
            }
            Err(error) => {
                assert_eq!(error.code(), SqlState::STATEMENT_COMPLETION_UNKNOWN, "{error}");
                println!("unknown {number}");
                break;
            }
        }
    }
    let error = store.commit(commit(vec![write(key(1), None)])).await.unwrap_err();
    assert_eq!(error.code(), SqlState::IO_ERROR, "{error}");
    assert!(store.get(&key(1), Timestamp::MAX).await.unwrap().is_some());
    std::process::exit(0);
}

#[tokio::main]
async fn full_after(dir: &tempfile::TempDir, acknowledged: u64) {
    let store = open(EmbeddedOptions::new(dir.path().join("store")));
    let at = store.snapshot().await.unwrap();
    let keys: Vec<Key> = (0..ROWS).map(key).collect();
    let found = store.get_many(&keys, at.at).await.unwrap();
    let values: Vec<u64> = found.into_iter().map(|v| count_of(&v.unwrap())).collect();
    assert!(values.iter().all(|v| *v == values[0]), "in part: {values:?}");
    assert!((acknowledged..=acknowledged + 1).contains(&values[0]), "{acknowledged}: {values:?}");
    put(&store, vec![(1, Some("x"))]).await;
}
