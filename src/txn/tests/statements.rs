//! Own writes, savepoints, locks, deadlock, limits.

use std::ops::Bound;

use super::script::{SPACE, key, run, value};
use super::*;
use crate::clock::SystemClock;
use crate::kv::{Entry, PageLimit};

fn manager(store: &SharedStore) -> TxnManager {
    TxnManager::new(store.clone(), Arc::new(SystemClock::new()))
}

pub async fn own_writes_are_seen_by_later_statements(store: SharedStore) {
    let script = "
        a: begin rc
        a: insert 3 30
        a: set 1 11
        a: del 2
        a: scan => 1=11 3=30
        a: back-scan => 3=30 1=11
        a: get 2 => none
        a: insert 3 31 => 23505
        a: begin rr
        a: scan => 1=10 2=20
        a: add-all 1 => 2
        a: add-all 1 => 2
        a: scan => 1=12 2=22
        b: begin rc
        b: scan => 1=10 2=20
        a: commit
        b: scan => 1=12 2=22
    ";
    run(store, script).await;
}

pub async fn a_statement_does_not_see_its_own_writes(store: SharedStore) {
    let mut txn = manager(&store).begin(TxnOptions::default());
    txn.begin_statement().await.unwrap();
    txn.put(key(1), value(1), false).unwrap();
    assert_eq!(txn.get(&key(1)).await.unwrap(), None);
    assert_eq!(txn.own(&key(1)), Some(Some(value(1))));
    assert_eq!(txn.own_changes(SPACE).count(), 0);
    txn.begin_statement().await.unwrap();
    txn.put(key(1), value(2), false).unwrap();
    txn.put(key(1), value(3), false).unwrap();
    txn.delete(key(2), false).unwrap();
    let seen = txn.get_many(&[key(2), key(1)]).await.unwrap();
    assert_eq!(seen, [None, Some(Visible { ts: Timestamp::ZERO, value: value(1) })]);
    txn.begin_statement().await.unwrap();
    assert_eq!(txn.get(&key(1)).await.unwrap().unwrap().value, value(3));
    let own: Vec<_> = txn.own_changes(SPACE).collect();
    assert_eq!(own, [(key(1), Some(value(3))), (key(2), None)]);
}

pub async fn a_suspended_statement_keeps_its_view(store: SharedStore) {
    for isolation in [Isolation::ReadCommitted, Isolation::RepeatableRead] {
        let manager = manager(&store);
        let mut txn = manager.begin(TxnOptions { isolation, ..TxnOptions::default() });
        txn.begin_statement().await.unwrap();
        txn.put(key(1), value(1), false).unwrap();
        txn.begin_statement().await.unwrap();
        let portal = txn.statement();
        for n in 2..5 {
            txn.begin_statement().await.unwrap();
            txn.put(key(1), value(n), false).unwrap();
        }
        let mut other = manager.begin(TxnOptions::default());
        other.put(key(7), value(7), false).unwrap();
        other.commit().await.unwrap();
        txn.enter(&portal);
        assert_eq!(txn.get(&key(1)).await.unwrap().unwrap().value, value(1));
        assert_eq!(txn.get(&key(7)).await.unwrap(), None);
        txn.begin_statement().await.unwrap();
        assert_eq!(txn.get(&key(1)).await.unwrap().unwrap().value, value(4));
        assert_eq!(
            txn.get(&key(7)).await.unwrap().is_some(),
            isolation == Isolation::ReadCommitted
        );
        let mut cleanup = manager.begin(TxnOptions::default());
        cleanup.delete(key(7), false).unwrap();
        cleanup.commit().await.unwrap();
    }
}

pub async fn savepoints(store: SharedStore) {
    let script = "
        a: begin rc
        a: set 1 11
        a: save
        a: set 1 12
        a: set 1 13
        a: insert 3 30
        a: save
        a: del 1
        a: del 3
        a: scan => 2=20
        a: back
        a: scan => 1=13 2=20 3=30
        a: del 2
        a: back
        a: scan => 1=13 2=20 3=30
        a: release
        a: back
        a: scan => 1=11 2=20
        a: set 2 21
        a: release
        a: scan => 1=11 2=21
        a: commit
        b: begin rc
        b: scan => 1=11 2=21
    ";
    run(store, script).await;
}

pub async fn savepoints_give_back_their_locks(store: SharedStore) {
    let script = "
        a: begin rc
        a: lock 1 share
        a: save
        a: lock 2 update
        a: lock 1 update
        b: begin rc
        b: lock 2 update nowait => 55P03
        a: back
        b: begin rc
        b: lock 2 update nowait
        b: lock 1 update skip => skipped
        a: rollback
        b: lock 1 update nowait
    ";
    run(store, script).await;
}

pub async fn waiting_nowait_skip_and_timeout(store: SharedStore) {
    let script = "
        a: begin rc
        a: lock 1 no-key
        b: begin rc
        b: lock 1 key-share nowait
        b: lock 1 share skip => skipped
        b: lock 1 share 60 => waits
        b: => 55P03
        b: begin rc
        b: lock 1 update => waits
        a: rollback
        b: => ok
    ";
    run(store, script).await;
}

pub async fn a_deadlock_ends_one(store: SharedStore) {
    let script = "
        a: begin rc
        b: begin rc
        a: set 1 11
        b: set 2 22
        a: set 2 21 => waits
    ";
    // Which of the two finds the cycle first is not fixed; the script ends where that matters.
    run(store.clone(), script).await;
    let manager = manager(&store);
    let (mut a, mut b) =
        (manager.begin(TxnOptions::default()), manager.begin(TxnOptions::default()));
    let wait = a.block();
    a.lock(&[key(11)], LockMode::Update, wait).await.unwrap();
    b.lock(&[key(12)], LockMode::Update, wait).await.unwrap();
    let cross = |mut txn: Txn, n: i64| {
        tokio::spawn(async move {
            txn.lock(&[key(n)], LockMode::Update, wait).await.map(|_| ()).map_err(|e| e.code())
        })
    };
    let (a, b) = (cross(a, 12), cross(b, 11));
    let mut answers = [a.await.unwrap(), b.await.unwrap()];
    answers.sort_by_key(Result::is_ok);
    assert_eq!(answers, [Err(SqlState::DEADLOCK_DETECTED), Ok(())]);
}

pub async fn dropping_gives_everything_back(store: SharedStore) {
    let manager = manager(&store);
    let mut txn = manager.begin(TxnOptions::default());
    let wait = txn.block();
    txn.lock(&[key(1), key(2)], LockMode::Update, wait).await.unwrap();
    txn.put(key(1), value(5), true).unwrap();
    drop(txn);
    let mut txn = manager.begin(TxnOptions::default());
    txn.lock(&[key(1), key(2)], LockMode::Update, LockWait::NoWait).await.unwrap();
    txn.begin_statement().await.unwrap();
    assert_eq!(txn.get(&key(1)).await.unwrap(), None);
    // A transaction that wrote nothing commits at its snapshot, and unlocks too.
    let at = txn.snapshot();
    assert_eq!(txn.commit().await.unwrap().ts, at);
    let mut txn = manager.begin(TxnOptions::default());
    txn.lock(&[key(1), key(2)], LockMode::Update, LockWait::NoWait).await.unwrap();
}

pub async fn too_many_writes_are_refused(store: SharedStore) {
    let options = TxnOptions { write_bytes_max: 100_000, ..TxnOptions::default() };
    let mut txn = manager(&store).begin(options);
    let big = Bytes::from(vec![1; 1000]);
    for _ in 0..1000 {
        // Writing one key again and again is not much.
        txn.put(key(1), big.clone(), false).unwrap();
    }
    let error = (0..1000).find_map(|n| txn.put(key(n), big.clone(), false).err()).unwrap();
    assert_eq!(error.code(), SqlState::PROGRAM_LIMIT_EXCEEDED);
}

pub async fn isolation_is_set_before_the_first_statement(store: SharedStore) {
    let mut txn = manager(&store).begin(TxnOptions::default());
    txn.set_isolation(Isolation::Serializable).unwrap();
    txn.begin_statement().await.unwrap();
    txn.set_isolation(Isolation::Serializable).unwrap();
    let error = txn.set_isolation(Isolation::ReadCommitted).unwrap_err();
    assert_eq!(error.code(), SqlState::ACTIVE_SQL_TRANSACTION);
}

/// Random writes, savepoints and scans, compared with a plain map.
pub async fn scans_merge_own_writes(store: SharedStore) {
    merge_own_writes(store, 30).await;
}

/// The same with so many writes that ascending ones go to a run.
pub async fn scans_merge_many_own_writes(store: SharedStore) {
    merge_own_writes(store, 600).await;
}

async fn merge_own_writes(store: SharedStore, writes_max: u64) {
    let manager = manager(&store);
    let mut setup = manager.begin(TxnOptions::default());
    let mut model: std::collections::BTreeMap<i64, i64> = std::collections::BTreeMap::new();
    for n in (0..400).step_by(3) {
        setup.put(key(n), value(n), false).unwrap();
        model.insert(n, n);
    }
    setup.commit().await.unwrap();
    let mut seed = 42u64;
    let mut random = move |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) % n) as i64
    };
    let mut txn = manager.begin(TxnOptions::default());
    let mut saved = None;
    for round in 0..60 {
        txn.begin_statement().await.unwrap();
        match random(5) {
            0 => saved = Some((txn.savepoint(), model.clone())),
            1 => {
                if let Some((savepoint, before)) = &saved {
                    txn.rollback_to(*savepoint).await.unwrap();
                    model = before.clone();
                }
            }
            _ => {}
        }
        let ascending = random(2) == 0;
        let mut n = 0;
        for _ in 0..random(writes_max) {
            n = if ascending { n + random(3) } else { random(2000) };
            if random(3) == 0 {
                txn.delete(key(n), false).unwrap();
                model.remove(&n);
            } else {
                txn.put(key(n), value(n * 1000 + round), false).unwrap();
                model.insert(n, n * 1000 + round);
            }
        }
        txn.begin_statement().await.unwrap();
        let (low, high) = (random(2000), random(2000));
        let bound = |n: i64| Bytes::copy_from_slice(&(n as u32).to_be_bytes());
        let range = KeyRange {
            space: SPACE,
            start: Bound::Included(bound(low)),
            end: Bound::Excluded(bound(high)),
            partition_len: None,
        };
        let limit = PageLimit { rows_max: 1 + random(40) as usize, bytes_max: 100_000 };
        for reverse in [false, true] {
            let (mut found, mut from) = (Vec::new(), None);
            loop {
                let page = txn.scan(&range, reverse, limit, from).await.unwrap();
                assert!(page.entries.len() <= limit.rows_max);
                found.extend(page.entries.into_iter().map(|e: Entry| (e.key, e.value)));
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
            let inside = model.range(low..high.max(low)).map(|(k, v)| (key(*k), value(*v)));
            let mut expected: Vec<_> = inside.collect();
            if reverse {
                expected.reverse();
            }
            assert_eq!(found, expected, "round {round}");
        }
    }
}

/// Without locks, the commit demands what was seen.
pub async fn looks_are_demanded_at_commit(store: SharedStore) {
    let manager = manager(&store);
    let fill = async |n: i64, v: i64| {
        let mut txn = manager.begin(TxnOptions::default());
        txn.put(key(n), value(v), false).unwrap();
        txn.commit().await.unwrap();
    };
    fill(1, 10).await;
    let begin = async |discipline| {
        let mut txn = manager.begin(TxnOptions::default());
        txn.set_discipline(discipline);
        txn.begin_statement().await.unwrap();
        txn
    };
    let wait = LockWait::NoWait;
    // Two that look at one row: the second to commit is refused, and waits for nobody before.
    let (mut a, mut b) = (begin(Discipline::Looks).await, begin(Discipline::Looks).await);
    for txn in [&mut a, &mut b] {
        let seen = txn.target(&[key(1)], true, LockMode::Update, wait).await.unwrap();
        assert_eq!(seen[0].as_ref().unwrap().current.as_ref().unwrap().value, Some(value(10)));
        txn.put(key(1), value(11), false).unwrap();
    }
    a.commit().await.unwrap();
    let refused = b.commit().await.map_err(|e| e.code());
    assert_eq!(refused, Err(SqlState::SERIALIZATION_FAILURE));
    // A row that is hoped not to be there, and is.
    let mut txn = begin(Discipline::Hopes).await;
    let seen = txn.claim(&[key(1)], true, wait).await.unwrap();
    assert!(seen[0].as_ref().unwrap().current.is_none());
    txn.put(key(1), value(12), false).unwrap();
    let refused = txn.commit().await.map_err(|e| e.code());
    assert_eq!(refused, Err(SqlState::SERIALIZATION_FAILURE));
    // Who looks sees it; and what came after the first look counts, whatever a later one shows.
    let mut txn = begin(Discipline::Looks).await;
    assert!(txn.claim(&[key(1)], true, wait).await.unwrap()[0].as_ref().unwrap().current.is_some());
    fill(1, 13).await;
    txn.begin_statement().await.unwrap();
    txn.target(&[key(1)], true, LockMode::Update, wait).await.unwrap();
    txn.put(key(1), value(14), false).unwrap();
    assert!(txn.commit().await.is_err());
    // Without a snapshot what is newest is seen.
    let mut txn = manager.begin(TxnOptions::default());
    txn.set_discipline(Discipline::Hopes);
    txn.begin_without_snapshot();
    let seen = txn.target(&[key(1)], true, LockMode::Update, wait).await.unwrap();
    assert_eq!(seen[0].as_ref().unwrap().current.as_ref().unwrap().value, Some(value(13)));
    txn.put(key(1), value(15), false).unwrap();
    txn.end_without_snapshot(false).await.unwrap();
    txn.commit().await.unwrap();
}
