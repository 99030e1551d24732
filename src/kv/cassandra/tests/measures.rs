//! Requests and latencies of the store's operations, beside the bare CQL in the same run.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::kv::conformance::{commit, committed, txn};
use crate::kv::lwt::counting::Counting;
use crate::kv::{
    Commit, Expect, Key, LockMode, LockRequest, LockWait, Requests, SpaceId, Timestamp, Write,
};

const ROUNDS: usize = 200;
const SPACE: SpaceId = SpaceId(300);

/// Requests so far: reads, SERIAL reads, plain writes, conditional batches.
fn counted(requests: &Requests) -> [u64; 4] {
    let r = requests;
    [&r.reads, &r.serial_reads, &r.writes, &r.lwts].map(|n| n.load(Ordering::Relaxed))
}

/// The median of a step's time, and its requests each.
async fn measure<F: Future<Output = ()>>(
    clock: &SystemClock,
    requests: &Requests,
    mut step: impl FnMut(usize) -> F,
) -> (Duration, [f64; 4]) {
    for n in 0..ROUNDS / 4 {
        step(n).await;
    }
    let before = counted(requests);
    let mut times = Vec::with_capacity(ROUNDS);
    for n in 0..ROUNDS {
        let began = clock.monotonic();
        step(n).await;
        times.push(clock.monotonic() - began);
    }
    let after = counted(requests);
    times.sort_unstable();
    let each = std::array::from_fn(|i| (after[i] - before[i]) as f64 / ROUNDS as f64);
    (times[ROUNDS / 2], each)
}

fn key(n: usize) -> Key {
    Key::new(SPACE, &(n as u32).to_be_bytes(), 4)
}

fn update(n: usize) -> Commit {
    let value = Some(Bytes::from(format!("value {n}")));
    let write = Write { key: key(n % 50), value, expect: Expect::Any, tracked: false };
    Commit { txn: txn(), ..commit(vec![write]) }
}

async fn raw(cassandra: &Cassandra, clock: &SystemClock) -> [Duration; 3] {
    let none = Requests::default();
    let name = format!("{}.raw", cassandra.names.keyspace);
    let session = &cassandra.session;
    let table = format!("CREATE TABLE {name} (pk blob PRIMARY KEY, ts blob, va blob)");
    session.query_unpaged(table, ()).await.unwrap();
    let prepare = async |text: String| session.prepare(text).await.unwrap();
    let put = prepare(format!("UPDATE {name} SET ts = ?, va = ? WHERE pk = ?")).await;
    let get = prepare(format!("SELECT ts, va FROM {name} WHERE pk = ?")).await;
    let cas = prepare(format!("UPDATE {name} SET ts = ?, va = ? WHERE pk = ? IF ts = ?")).await;
    let (ts, va) = (vec![1u8; 8], b"value 0000".to_vec());
    let pk = |n: usize| ((n % 50) as u32).to_be_bytes().to_vec();
    for n in 0..50 {
        session.execute_unpaged(&put, (&ts, &va, pk(n))).await.unwrap();
    }
    let read = measure(clock, &none, async |n| {
        session.execute_unpaged(&get, (pk(n),)).await.unwrap();
    });
    let read = read.await.0;
    let write = measure(clock, &none, async |n| {
        session.execute_unpaged(&put, (&ts, &va, pk(n))).await.unwrap();
    });
    let write = write.await.0;
    let both = measure(clock, &none, async |n| {
        session.execute_unpaged(&get, (pk(n),)).await.unwrap();
        session.execute_unpaged(&cas, (&ts, &va, pk(n), &ts)).await.unwrap();
    });
    [read, write, both.await.0]
}

#[expect(clippy::print_stdout, reason = "figures for who runs it")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_beside_bare_cql() {
    let Some(point) = contact_point() else { return };
    let clock = SystemClock::new();
    let cassandra = connect(&fresh_keyspace(), &point).await;
    let requests = Arc::new(Requests::default());
    let counting = Counting { below: cassandra.clone(), requests: requests.clone() };
    let store = join(Arc::new(counting)).await;
    for n in 0..50 {
        committed(store.commit(update(n)).await.unwrap());
    }
    let [read, write, read_cas] = raw(&cassandra, &clock).await;
    println!("raw: read {read:.1?}, plain write {write:.1?}, read + LWT {read_cas:.1?}");
    let show = |what: &str, (time, each): (Duration, [f64; 4]), beside: Duration| {
        let ratio = time.as_secs_f64() / beside.as_secs_f64();
        let [reads, serial, writes, batches] = each;
        println!(
            "{what}: {time:.1?}, {ratio:.2} × raw; reads {reads:.2}, SERIAL {serial:.2}, \
             writes {writes:.2}, LWTs {batches:.2}"
        );
        each
    };
    let snapshot = measure(&clock, &requests, async |_| {
        store.snapshot().await.unwrap();
    });
    show("snapshot", snapshot.await, read);
    let get = measure(&clock, &requests, async |n| {
        let hold = store.snapshot().await.unwrap();
        assert!(store.get(&key(n % 50), hold.at).await.unwrap().is_some());
    });
    let each = show("point read at a new snapshot", get.await, read);
    assert!(each[0] < 3.3 && each[3] == 0.0, "{each:?}");
    let newest = measure(&clock, &requests, async |n| {
        assert!(store.get(&key(n % 50), Timestamp::MAX).await.unwrap().is_some());
    });
    let each = show("point read of what is newest", newest.await, read);
    assert!(each[0] < 2.3 && each[3] == 0.0, "{each:?}");
    let commits = measure(&clock, &requests, async |n| {
        committed(store.commit(update(n)).await.unwrap());
    });
    let each = show("one-row commit", commits.await, read_cas);
    assert!(each[3] < 1.1, "{each:?}");
    let tables = measure(&clock, &requests, async |n| {
        let commit = update(n);
        let request = LockRequest {
            txn: commit.txn,
            keys: vec![Key::new(SPACE, &[], 0)],
            mode: LockMode::Share,
            wait: LockWait::NoWait,
        };
        store.lock(request).await.unwrap();
        committed(store.commit(commit).await.unwrap());
    });
    let each = show("one-row commit under a table's lock", tables.await, read_cas);
    assert!(each[3] < 1.1, "{each:?}");
    let several = measure(&clock, &requests, async |n| {
        let writes = (0..5).flat_map(|i| update(5 * n + i).writes).collect();
        committed(store.commit(Commit { txn: txn(), ..commit(writes) }).await.unwrap());
    });
    show("five rows in five partitions", several.await, read_cas);
    assert!(store.snapshot().await.unwrap().at > Timestamp::ZERO);
}
