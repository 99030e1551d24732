//! Many transactions at once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

const WRITERS: u32 = 4;

/// Commits of each writer: fewer where one takes round trips.
fn commits(store: &SharedStore) -> u32 {
    if store.capabilities().cheap_locks { 150 } else { 30 }
}

fn spawn_all<F: Future<Output = ()> + Send + 'static>(
    count: u32,
    task: impl Fn(u32) -> F,
) -> Vec<tokio::task::JoinHandle<()>> {
    (0..count).map(|i| tokio::spawn(task(i))).collect()
}

async fn join(tasks: Vec<tokio::task::JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

/// Writers set all of ten rows to one value each time; readers must find them equal, by get,
/// get_many and scan, and never older than what they saw before.
pub async fn no_commit_is_seen_in_part(store: SharedStore) {
    put(&store, (0..10).map(|n| (n, Some("start"))).collect()).await;
    let done = Arc::new(AtomicBool::new(false));
    let readers = spawn_all(2, |_| {
        let (store, done) = (store.clone(), done.clone());
        async move {
            let mut last = Timestamp::ZERO;
            while !done.load(Ordering::Relaxed) {
                let hold = store.snapshot().await.unwrap();
                assert!(hold.at >= last);
                last = hold.at;
                let entries = scan_all(&store, &KeyRange::all(SPACE), hold.at, false, 4).await;
                let keys: Vec<Key> = (0..10).map(key).collect();
                let found = store.get_many(&keys, hold.at).await.unwrap();
                let mut values: HashSet<Bytes> = entries.iter().map(|e| e.value.clone()).collect();
                values.extend(found.into_iter().map(|v| v.unwrap().value.unwrap()));
                assert_eq!((entries.len(), values.len()), (10, 1), "{values:?}");
                tokio::task::yield_now().await;
            }
        }
    });
    let writers = spawn_all(WRITERS, |w| {
        let store = store.clone();
        async move {
            for i in 0..commits(&store) {
                let text = format!("{w}-{i}");
                let order: Vec<u32> = (0..10).map(|n| (n * 7 + i) % 10).collect();
                put(&store, order.into_iter().map(|n| (n, Some(text.as_str()))).collect()).await;
            }
        }
    });
    join(writers).await;
    done.store(true, Ordering::Relaxed);
    join(readers).await;
}

fn number(version: Option<&Version>) -> u64 {
    let bytes = version.and_then(|v| v.value.as_ref());
    bytes.map_or(0, |b| u64::from_be_bytes(b.as_ref().try_into().unwrap()))
}

fn count(n: u64) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(&n.to_be_bytes()))
}

/// Read under the lock, add one, commit.
pub async fn locked_counters_lose_nothing(store: SharedStore) {
    let tasks = spawn_all(WRITERS, |w| {
        let store = store.clone();
        async move {
            for i in 0..commits(&store) {
                let (me, n) = (txn(), (w + i) % 2);
                let locked = lock(&store, me, &[n]).await;
                let current = locked[0].as_ref().unwrap().current.as_ref();
                let writes = vec![write(key(n), count(number(current) + 1))];
                committed(store.commit(Commit { txn: me, ..commit(writes) }).await.unwrap());
            }
        }
    });
    join(tasks).await;
    let mut total = 0;
    for n in 0..2 {
        total += number(store.get(&key(n), Timestamp::MAX).await.unwrap().as_ref());
    }
    assert_eq!(total, u64::from(WRITERS * commits(&store)));
}

/// Read at a snapshot, add one, commit if still so; else again.
pub async fn validated_counters_lose_nothing(store: SharedStore) {
    let conflicts = Arc::new(AtomicU64::new(0));
    let tasks = spawn_all(WRITERS, |w| {
        let (store, conflicts) = (store.clone(), conflicts.clone());
        async move {
            let mut done = 0;
            while done < commits(&store) / 2 {
                let hold = store.snapshot().await.unwrap();
                let seen = store.get(&key(1), hold.at).await.unwrap();
                let ts = seen.as_ref().map_or(Timestamp::ZERO, |v| v.ts);
                let mut attempt = commit(vec![write(key(1), count(number(seen.as_ref()) + 1))]);
                attempt.snapshot = hold.at;
                match w % 2 {
                    0 => attempt.reads.push(ReadCheck { key: key(1), seen: ts }),
                    _ => {
                        let range = KeyRange::all(SPACE);
                        attempt.ranges.push(RangeCheck { range, at: hold.at });
                    }
                }
                match store.commit(attempt).await.unwrap() {
                    CommitOutcome::Committed(_) => done += 1,
                    CommitOutcome::ReadConflict { .. } => {
                        conflicts.fetch_add(1, Ordering::Relaxed);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    });
    join(tasks).await;
    let last = store.get(&key(1), Timestamp::MAX).await.unwrap();
    assert_eq!(number(last.as_ref()), u64::from(WRITERS * (commits(&store) / 2)));
}

/// A follower of the log that re-reads the keys it is told of ends with the whole table.
pub async fn changes_never_under_report(store: SharedStore) {
    let done = Arc::new(AtomicBool::new(false));
    let follower = tokio::spawn({
        let (store, done) = (store.clone(), done.clone());
        async move {
            let mut known: HashSet<(Key, Timestamp)> = HashSet::new();
            let mut cursor = Cursor::default();
            loop {
                let last_round = done.load(Ordering::Relaxed);
                let (keys, next) = changes_after(&store, cursor, 50).await;
                cursor = next;
                known.extend(keys);
                if last_round {
                    return known;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let written: Arc<parking_lot::Mutex<Vec<(u32, Timestamp)>>> = Arc::default();
    let writers = spawn_all(WRITERS, |w| {
        let (store, written) = (store.clone(), written.clone());
        async move {
            for i in 0..commits(&store) {
                let n = w * 1000 + (i * 31) % 97;
                let ts = put(&store, vec![(n, Some("x")), (n + 100, Some("y"))]).await;
                let gone = put(&store, vec![(n + 100, None)]).await;
                written.lock().extend([(n, ts), (n + 100, ts), (n + 100, gone)]);
            }
        }
    });
    join(writers).await;
    done.store(true, Ordering::Relaxed);
    let known = follower.await.unwrap();
    for (n, ts) in written.lock().iter() {
        assert!(known.contains(&(key(*n), *ts)), "{n} at {ts:?}");
    }
}
