//! Commits: conditions, validation, timestamps; holds and collection.

use super::*;
use crate::error::SqlState;

fn expecting(n: u32, value: Option<Bytes>, expect: Expect) -> Commit {
    commit(vec![Write { key: key(n), value, expect, tracked: false }])
}

pub async fn expectations_are_checked(store: SharedStore) {
    let absent = expecting(1, value("a"), Expect::Absent);
    let first = committed(store.commit(absent.clone()).await.unwrap());
    let CommitOutcome::WriteConflict { key: which, found } = store.commit(absent).await.unwrap()
    else {
        panic!("a row is not absent");
    };
    assert_eq!((which, found.unwrap().ts), (key(1), first));
    let same = Expect::Unchanged(first);
    let second = committed(store.commit(expecting(1, value("b"), same)).await.unwrap());
    let stale = store.commit(expecting(1, value("c"), same)).await.unwrap();
    assert!(matches!(stale, CommitOutcome::WriteConflict { .. }));
    let third = expecting(1, None, Expect::Unchanged(second));
    committed(store.commit(third).await.unwrap());
    let none = store.commit(expecting(9, value("c"), same)).await.unwrap();
    assert_eq!(none, CommitOutcome::WriteConflict { key: key(9), found: None });
    // A deleted row is absent.
    committed(store.commit(expecting(1, value("d"), Expect::Absent)).await.unwrap());
    assert_eq!(read(&store, 1, Timestamp::MAX).await.as_deref(), Some("d"));
}

pub async fn point_reads_are_validated(store: SharedStore) {
    let ts = put(&store, vec![(1, Some("a"))]).await;
    let hold = store.snapshot().await.unwrap();
    let reading = |n: u32, seen: Timestamp| Commit {
        snapshot: hold.at,
        reads: vec![ReadCheck { key: key(n), seen }],
        ..commit(vec![write(key(100 + n), value("w"))])
    };
    committed(store.commit(reading(1, ts)).await.unwrap());
    committed(store.commit(reading(2, Timestamp::ZERO)).await.unwrap());
    put(&store, vec![(1, Some("b")), (2, Some("c"))]).await;
    let conflict = CommitOutcome::ReadConflict { space: SPACE };
    assert_eq!(store.commit(reading(1, ts)).await.unwrap(), conflict);
    assert_eq!(store.commit(reading(2, Timestamp::ZERO)).await.unwrap(), conflict);
    // Written and deleted again: absent as before.
    put(&store, vec![(2, None), (1, None)]).await;
    committed(store.commit(reading(2, Timestamp::ZERO)).await.unwrap());
    assert_eq!(store.commit(reading(1, ts)).await.unwrap(), conflict);
}

pub async fn ranges_are_validated(store: SharedStore) {
    put(&store, vec![(10, Some("a")), (20, Some("a")), (30, Some("a"))]).await;
    let hold = store.snapshot().await.unwrap();
    let tail = |n: u32| Bytes::copy_from_slice(&n.to_be_bytes());
    let reading = |start: u32, end: u32| Commit {
        snapshot: hold.at,
        ranges: vec![RangeCheck {
            range: KeyRange {
                space: SPACE,
                start: Bound::Included(tail(start)),
                end: Bound::Excluded(tail(end)),
                partition_len: None,
            },
            at: hold.at,
        }],
        ..commit(vec![write(key(500), value("w"))])
    };
    let conflict = CommitOutcome::ReadConflict { space: SPACE };
    committed(store.commit(reading(0, 100)).await.unwrap());
    // A phantom, an update, a deletion: each only spoils ranges that hold it.
    put(&store, vec![(15, Some("new"))]).await;
    assert_eq!(store.commit(reading(0, 100)).await.unwrap(), conflict);
    assert_eq!(store.commit(reading(15, 16)).await.unwrap(), conflict);
    committed(store.commit(reading(16, 100)).await.unwrap());
    committed(store.commit(reading(0, 15)).await.unwrap());
    put(&store, vec![(20, Some("b"))]).await;
    assert_eq!(store.commit(reading(16, 25)).await.unwrap(), conflict);
    put(&store, vec![(30, None)]).await;
    assert_eq!(store.commit(reading(25, 100)).await.unwrap(), conflict);
    committed(store.commit(reading(31, 100)).await.unwrap());
}

pub async fn a_refused_commit_writes_nothing_and_unlocks(store: SharedStore) {
    put(&store, vec![(1, Some("a"))]).await;
    let me = txn();
    lock(&store, me, &[2, 3]).await;
    let writes = vec![
        write(key(2), value("x")),
        Write { expect: Expect::Absent, ..write(key(1), value("x")) },
        write(key(3), value("x")),
    ];
    let outcome = store.commit(Commit { txn: me, ..commit(writes) }).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::WriteConflict { .. }));
    for n in [2, 3] {
        assert_eq!(read(&store, n, Timestamp::MAX).await, None);
    }
    let request = LockRequest {
        txn: txn(),
        keys: vec![key(2), key(3)],
        mode: LockMode::Update,
        wait: LockWait::NoWait,
    };
    assert!(store.lock(request).await.is_ok());
}

pub async fn a_commit_without_writes_only_validates(store: SharedStore) {
    let ts = put(&store, vec![(1, Some("a"))]).await;
    let hold = store.snapshot().await.unwrap();
    let check = || Commit {
        snapshot: hold.at,
        reads: vec![ReadCheck { key: key(1), seen: ts }],
        ranges: vec![RangeCheck { range: KeyRange::all(SPACE), at: hold.at }],
        ..commit(Vec::new())
    };
    let at = committed(store.commit(check()).await.unwrap());
    assert!(at >= ts);
    put(&store, vec![(2, Some("b"))]).await;
    let conflict = CommitOutcome::ReadConflict { space: SPACE };
    assert_eq!(store.commit(check()).await.unwrap(), conflict);
}

pub async fn an_old_snapshot_keeps_its_versions(store: SharedStore) {
    put(&store, (0..50).map(|n| (n, Some("old"))).collect()).await;
    let old = store.snapshot().await.unwrap();
    for i in 0..40 {
        let text = i.to_string();
        put(&store, (0..50).map(|n| (n, Some(text.as_str()))).collect()).await;
        put(&store, (0..50).step_by(3).map(|n| (n, None)).collect()).await;
    }
    settle().await;
    let all = KeyRange::all(SPACE);
    let entries = scan_all(&store, &all, old.at, false, 20).await;
    assert_eq!(entries.len(), 50);
    assert!(entries.iter().all(|e| e.value == "old"));
    let again = store.hold(old.at).unwrap();
    drop(old);
    assert_eq!(read(&store, 7, again.at).await.as_deref(), Some("old"));
}

pub async fn a_hold_below_the_horizon_is_refused(store: SharedStore) {
    let old = put(&store, vec![(1, Some("a"))]).await;
    for i in 0..200 {
        put(&store, vec![(1, Some(&i.to_string()))]).await;
        if let Err(error) = store.hold(old) {
            assert_eq!(error.code(), SqlState::SNAPSHOT_TOO_OLD);
            return;
        }
        settle().await;
    }
    panic!("nothing was ever collected");
}

pub async fn a_dropped_space_is_empty(store: SharedStore) {
    put(&store, (0..300).map(|n| (n, Some("a"))).collect()).await;
    put(&store, (0..300).map(|n| (n, Some("b"))).collect()).await;
    let other = Key::new(SpaceId(SPACE.0 + 1), b"x", 1);
    committed(store.commit(commit(vec![write(other.clone(), value("y"))])).await.unwrap());
    for _ in 0..2 {
        store.drop_space(SPACE).await.unwrap();
        let at = store.snapshot().await.unwrap().at;
        assert_eq!(scan_all(&store, &KeyRange::all(SPACE), at, false, 50).await, []);
        assert_eq!(read(&store, 5, at).await, None);
        assert!(store.get(&other, at).await.unwrap().is_some());
        assert_eq!(store.estimate(&KeyRange::all(SPACE)).await.unwrap().rows, 0);
    }
    // The space can be filled again.
    put(&store, vec![(5, Some("c"))]).await;
    assert_eq!(read(&store, 5, Timestamp::MAX).await.as_deref(), Some("c"));
}

pub async fn timestamps_rise_above_snapshots(store: SharedStore) {
    let mut last = Timestamp::ZERO;
    for i in 0..50 {
        let snapshot = store.snapshot().await.unwrap();
        assert!(snapshot.at >= last);
        let ts = put(&store, vec![(i, Some("x"))]).await;
        assert!(ts > snapshot.at);
        last = ts;
    }
}
