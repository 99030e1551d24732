//! Locks of tables over two gateways: DDL against commits that it has to wait for, or that have
//! to notice it.

use super::*;
use crate::kv::conformance::{BLOCK, commit, committed, txn};

const ROWS: SpaceId = SpaceId(500);
const INDEX: SpaceId = SpaceId(501);
const ROUNDS: u32 = 12;

fn table() -> Key {
    Key::new(ROWS, &[], 0)
}

fn row(space: SpaceId, n: u32) -> Key {
    Key::new(space, &n.to_be_bytes(), 4)
}

fn write(key: Key, value: &'static [u8]) -> Write {
    Write { key, value: Some(Bytes::from_static(value)), expect: Expect::Any, tracked: false }
}

/// What says whether the index is there, as the catalog would.
fn descriptor() -> Key {
    Key::new(SCHEMA_SPACE, b"table", 1)
}

async fn take(store: &SharedStore, txn: TxnId, mode: LockMode, wait: LockWait) -> Result<()> {
    let request = LockRequest { txn, keys: vec![table()], mode, wait };
    store.lock(request).await.map(drop)
}

/// Waits until the gateway is known to be refused the table that DDL on another one closes.
async fn until_closed(store: &SharedStore) {
    let closed = async {
        loop {
            let probe = txn();
            let error = take(store, probe, LockMode::Share, LockWait::NoWait).await.err();
            store.abandon(probe);
            match error.map(|e| e.code()) {
                Some(SqlState::LOCK_NOT_AVAILABLE) => break,
                Some(code) => panic!("{code:?}"),
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.expect("it is never closed");
}

async fn two(faults: Faults) -> (SharedStore, SharedStore) {
    let env: Arc<dyn Environment> = Arc::new(Tokio(Arc::new(SystemClock::new())));
    let cluster = Cluster::new(env.clone(), faults);
    let gateway = || LwtStore::open(Connection::new(&cluster, env.clone()), env.clone(), options());
    (gateway().await.unwrap(), gateway().await.unwrap())
}

async fn all(store: &SharedStore, space: SpaceId, at: Timestamp) -> Vec<Bytes> {
    let (mut keys, mut from) = (Vec::new(), None);
    loop {
        let limit = PageLimit { rows_max: 100, bytes_max: 1 << 20 };
        let page = store.scan(&KeyRange::all(space), at, false, limit, from).await.unwrap();
        keys.extend(page.entries.iter().map(|e| Bytes::copy_from_slice(e.key.tail())));
        from = page.next;
        if from.is_none() {
            keys.sort();
            return keys;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_changed_meanwhile_refuses_the_commit() {
    let (a, b) = two(Faults::none()).await;
    let (writer, ddl) = (txn(), txn());
    take(&b, writer, LockMode::Share, BLOCK).await.unwrap();
    // Another gateway's sharer is not waited for.
    take(&a, ddl, LockMode::Update, BLOCK).await.unwrap();
    let error = take(&b, txn(), LockMode::Share, LockWait::NoWait).await;
    assert!(error.is_ok() || error.is_err_and(|e| e.code() == SqlState::LOCK_NOT_AVAILABLE));
    let change = Commit { txn: ddl, ..commit(vec![write(descriptor(), b"1")]) };
    committed(a.commit(change).await.unwrap());
    let late = Commit { txn: writer, ..commit(vec![write(row(ROWS, 1), b"v")]) };
    assert_eq!(b.commit(late).await.unwrap_err().code(), SqlState::SERIALIZATION_FAILURE);
    // Who shares it from now on knows of the change.
    b.snapshot().await.unwrap();
    assert!(b.schema() > Timestamp::ZERO);
    let again = txn();
    take(&b, again, LockMode::Share, BLOCK).await.unwrap();
    let commit = Commit { txn: again, ..commit(vec![write(row(ROWS, 1), b"v")]) };
    committed(b.commit(commit).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ddl_waits_for_sharers_of_its_own_gateway() {
    let (a, _b) = two(Faults::none()).await;
    let (writer, ddl) = (txn(), txn());
    take(&a, writer, LockMode::Share, BLOCK).await.unwrap();
    let refused = take(&a, ddl, LockMode::Update, LockWait::NoWait).await.unwrap_err();
    assert_eq!(refused.code(), SqlState::LOCK_NOT_AVAILABLE);
    // What it had closed is open again.
    take(&a, txn(), LockMode::Share, BLOCK).await.unwrap();
    let waiting = tokio::spawn({
        let a = a.clone();
        async move { take(&a, ddl, LockMode::NoKeyUpdate, BLOCK).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    a.abandon(writer);
    // The other sharer is still there; a key share would not be in the way.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    waiting.abort();
}

/// DDL waits for a sharer of its gateway, that for a row which another gateway's transaction has
/// locked, and that for the table to be open again. Whichever it is that has to give up, it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_through_another_gateways_sharer_ends() {
    for last in 0..3 {
        let (a, b) = two(Faults::none()).await;
        let mut txns = [txn(), txn(), txn()];
        txns.swap(last, 2);
        let [ddl, sharer, writer] = txns;
        take(&a, sharer, LockMode::Share, BLOCK).await.unwrap();
        take(&b, writer, LockMode::Share, BLOCK).await.unwrap();
        let of_row = |txn| LockRequest {
            txn,
            keys: vec![row(ROWS, 1)],
            mode: LockMode::Update,
            wait: BLOCK,
        };
        b.lock(of_row(writer)).await.unwrap();
        let (one, two, three) = (a.clone(), a.clone(), b.clone());
        let closes = tokio::spawn(async move { take(&one, ddl, LockMode::Update, BLOCK).await });
        let locks = of_row(sharer);
        let waits = tokio::spawn(async move { two.lock(locks).await.map(drop) });
        until_closed(&b).await;
        let late = Commit { txn: writer, ..commit(vec![write(row(ROWS, 1), b"v")]) };
        let commits = tokio::spawn(async move { three.commit(late).await.map(drop) });
        let mut all = [closes, waits, commits];
        let gave_up = tokio::time::timeout(Duration::from_secs(10), &mut all[last]).await;
        let gave_up = gave_up.expect("they wait for each other").unwrap();
        assert_eq!(gave_up.map_err(|e| e.code()), Err(SqlState::DEADLOCK_DETECTED), "{last}");
        all.iter().for_each(|task| task.abort());
    }
}

/// A lone read that takes the gateways' rows as it read them a little before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_read_knows_of_changes_that_were_acknowledged() {
    let (a, b) = two(Faults::none()).await;
    committed(a.commit(commit(vec![write(row(ROWS, 1), b"v")])).await.unwrap());
    for round in 0..ROUNDS {
        // The first brings a lease, the second goes by it.
        for _ in 0..2 {
            b.get(&row(ROWS, 1), Timestamp::MAX).await.unwrap().unwrap();
        }
        let change = commit(vec![write(descriptor(), b"1")]);
        let CommitOutcome::Committed(ts) = a.commit(change).await.unwrap() else {
            panic!("round {round}")
        };
        b.get(&row(ROWS, 1), Timestamp::MAX).await.unwrap().unwrap();
        assert!(b.schema() >= ts, "round {round}");
    }
}

/// Writers on one gateway keep an index if the schema says that there is one; DDL on the other
/// makes it, from the rows it finds, and drops it. No row is ever without its entry.
async fn an_index_misses_nothing(faults: Faults) {
    let (a, b) = two(faults).await;
    let writers = (0..3u32).map(|w| {
        let b = b.clone();
        tokio::spawn(async move {
            for n in 0..40u32 {
                let txn = txn();
                take(&b, txn, LockMode::Share, BLOCK).await.unwrap();
                // As a session does: the schema that the lock is known to cover.
                let indexed = loop {
                    let known = b.schema();
                    let at = b.snapshot().await.unwrap();
                    let found = b.get(&descriptor(), at.at).await.unwrap();
                    if b.schema() == known {
                        break found.and_then(|v| v.value).is_some_and(|v| v.as_ref() == b"1");
                    }
                };
                tokio::time::sleep(Duration::from_millis(u64::from(n % 4))).await;
                let id = w * 1000 + n;
                let mut writes = vec![write(row(ROWS, id), b"v")];
                if indexed {
                    writes.push(write(row(INDEX, id), b""));
                }
                match b.commit(Commit { txn, ..commit(writes) }).await {
                    Ok(outcome) => drop(committed(outcome)),
                    Err(error) => assert_eq!(error.code(), SqlState::SERIALIZATION_FAILURE),
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for round in 0..ROUNDS {
        let ddl = txn();
        take(&a, ddl, LockMode::NoKeyUpdate, BLOCK).await.unwrap();
        let at = a.snapshot().await.unwrap();
        let mut writes = vec![write(descriptor(), if round % 2 == 0 { b"1" } else { b"0" })];
        let (rows, entries) = (all(&a, ROWS, at.at).await, all(&a, INDEX, at.at).await);
        if round % 2 == 0 {
            writes.extend(rows.iter().map(|tail| write(Key::new(INDEX, tail, 4), b"")));
        } else {
            assert_eq!(rows, entries, "round {round}: a row has no entry");
            writes.extend(
                entries
                    .iter()
                    .map(|tail| Write { value: None, ..write(Key::new(INDEX, tail, 4), b"") }),
            );
        }
        committed(a.commit(Commit { txn: ddl, ..commit(writes) }).await.unwrap());
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_made_beside_writers_misses_nothing() {
    an_index_misses_nothing(Faults::none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_made_beside_writers_misses_nothing_under_faults() {
    an_index_misses_nothing(Faults::benign()).await;
}
