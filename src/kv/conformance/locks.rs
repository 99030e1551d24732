//! Locks.

use super::*;
use crate::error::SqlState;

const MODES: [LockMode; 4] =
    [LockMode::KeyShare, LockMode::Share, LockMode::NoKeyUpdate, LockMode::Update];

fn request(txn: TxnId, keys: &[u32], mode: LockMode, wait: LockWait) -> LockRequest {
    LockRequest { txn, keys: keys.iter().map(|n| key(*n)).collect(), mode, wait }
}

async fn is_free(store: &SharedStore, n: u32) -> bool {
    let probe = txn();
    let free = store.lock(request(probe, &[n], LockMode::Update, LockWait::NoWait)).await.is_ok();
    store.unlock(probe, None).await.unwrap();
    free
}

pub async fn modes_conflict_as_postgres_says(store: SharedStore) {
    for (i, held) in MODES.into_iter().enumerate() {
        for (j, wanted) in MODES.into_iter().enumerate() {
            let n = (i * 4 + j) as u32;
            let (holder, other) = (txn(), txn());
            store.lock(request(holder, &[n], held, BLOCK)).await.unwrap();
            // Again, and stronger, by the same transaction: no conflict.
            store.lock(request(holder, &[n], held, LockWait::NoWait)).await.unwrap();
            let answer = store.lock(request(other, &[n], wanted, LockWait::NoWait)).await;
            assert_eq!(answer.is_err(), held.conflicts(wanted), "{held:?} {wanted:?}");
            store.unlock(holder, None).await.unwrap();
            store.unlock(other, None).await.unwrap();
            assert!(is_free(&store, n).await);
        }
    }
}

pub async fn a_waiter_gets_the_newest_version(store: SharedStore) {
    put(&store, vec![(1, Some("old"))]).await;
    let first = txn();
    let locked = lock(&store, first, &[1, 2]).await;
    let [Some(one), Some(two)] = &locked[..] else { panic!("{locked:?}") };
    assert!(!one.waited && one.fresh && two.current.is_none());
    assert_eq!(one.current.clone().unwrap().value, value("old"));
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { lock(&store, txn(), &[1]).await }
    });
    settle().await;
    assert!(!waiter.is_finished());
    let change = Commit { txn: first, ..commit(vec![write(key(1), value("new"))]) };
    let ts = committed(store.commit(change).await.unwrap());
    let locked = waiter.await.unwrap();
    let locked = locked[0].as_ref().unwrap();
    assert!(locked.waited);
    assert_eq!(locked.current, Some(Version { ts, value: value("new") }));
    // What was seen under the lock is covered by a snapshot taken now.
    assert!(store.snapshot().await.unwrap().at >= ts);
}

pub async fn commits_and_abandoning_release(store: SharedStore) {
    let me = txn();
    lock(&store, me, &[1, 2]).await;
    let writes = vec![write(key(1), value("x"))];
    committed(store.commit(Commit { txn: me, ..commit(writes) }).await.unwrap());
    assert!(is_free(&store, 1).await && is_free(&store, 2).await);
    let me = txn();
    lock(&store, me, &[1, 2]).await;
    store.abandon(me);
    let next = txn();
    lock(&store, next, &[1, 2]).await;
    store.unlock(next, None).await.unwrap();
    assert!(is_free(&store, 1).await && is_free(&store, 2).await);
}

/// The one that came last does not wait for the patience of the other.
pub async fn a_deadlock_ends_by_the_shorter_timeout(store: SharedStore) {
    let (one, two) = (txn(), txn());
    lock(&store, one, &[1]).await;
    lock(&store, two, &[2]).await;
    let patient = LockWait::Block { lock_timeout_ms: 0, deadlock_timeout_ms: 600_000 };
    let (first, second) = (cross(&store, one, 2, patient), cross(&store, two, 1, BLOCK));
    let both = async { [first.await.unwrap(), second.await.unwrap()] };
    let answers = tokio::time::timeout(Duration::from_secs(60), both).await;
    let answers = answers.expect("nobody looks before the patient one");
    assert_eq!(answers, [Ok(()), Err(SqlState::DEADLOCK_DETECTED)]);
}

/// Locks a row for a transaction, which ends then.
fn cross(
    store: &SharedStore,
    me: TxnId,
    n: u32,
    wait: LockWait,
) -> tokio::task::JoinHandle<Result<(), SqlState>> {
    let store = store.clone();
    tokio::spawn(async move {
        let answer = store.lock(request(me, &[n], LockMode::Update, wait)).await;
        store.abandon(me);
        answer.map(|_| ()).map_err(|e| e.code())
    })
}

pub async fn nowait_skip_and_timeout(store: SharedStore) {
    let holder = txn();
    lock(&store, holder, &[2]).await;
    let me = txn();
    let nowait = request(me, &[1, 2, 3], LockMode::Update, LockWait::NoWait);
    let error = store.lock(nowait).await.unwrap_err();
    assert_eq!(error.code(), SqlState::LOCK_NOT_AVAILABLE);
    assert!(is_free(&store, 1).await && is_free(&store, 3).await, "all or none");
    let wait = LockWait::Block { lock_timeout_ms: 30, deadlock_timeout_ms: 0 };
    let error = store.lock(request(me, &[1, 2, 3], LockMode::Update, wait)).await.unwrap_err();
    assert_eq!(error.code(), SqlState::LOCK_NOT_AVAILABLE);
    assert_eq!(error.message(), "canceling statement due to lock timeout");
    let skip = request(me, &[1, 2, 3], LockMode::Update, LockWait::SkipLocked);
    let locked = store.lock(skip).await.unwrap();
    assert!(locked[0].is_some() && locked[1].is_none() && locked[2].is_some());
    assert!(!is_free(&store, 3).await);
}

pub async fn cancelled_waits_leave_nothing(store: SharedStore) {
    let holder = txn();
    lock(&store, holder, &[5]).await;
    for n in 0..4 {
        let waiter = tokio::spawn({
            let store = store.clone();
            async move { lock(&store, txn(), &[n, 5]).await }
        });
        settle().await;
        waiter.abort();
        assert!(waiter.await.is_err());
    }
    store.unlock(holder, None).await.unwrap();
    settle().await;
    for n in [0, 1, 2, 3, 5] {
        assert!(is_free(&store, n).await, "{n}");
    }
}

pub async fn partial_unlock(store: SharedStore) {
    let me = txn();
    lock(&store, me, &[1, 2, 3]).await;
    store.unlock(me, Some(&[key(2)])).await.unwrap();
    assert!(is_free(&store, 2).await);
    assert!(!is_free(&store, 1).await && !is_free(&store, 3).await);
    let again = lock(&store, me, &[1, 2]).await;
    assert_eq!(again.iter().flatten().map(|l| l.fresh).collect::<Vec<_>>(), [false, true]);
    store.unlock(me, None).await.unwrap();
    for n in 1..=3 {
        assert!(is_free(&store, n).await);
    }
}

/// The store's `deadlock_timeout` must be short for this case.
pub async fn deadlocks_end(store: SharedStore) {
    let (one, two) = (txn(), txn());
    lock(&store, one, &[1]).await;
    lock(&store, two, &[2]).await;
    let (first, second) = (cross(&store, one, 2, BLOCK), cross(&store, two, 1, BLOCK));
    let answers = [first.await.unwrap(), second.await.unwrap()];
    assert!(answers.contains(&Ok(())), "{answers:?}");
    assert!(answers.contains(&Err(SqlState::DEADLOCK_DETECTED)), "{answers:?}");
    assert!(is_free(&store, 1).await && is_free(&store, 2).await);
}
