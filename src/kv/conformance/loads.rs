//! Loads: rows of spaces that nobody else knows of. Stores that have none are not asked.

use super::*;

/// Loads keys of [`SPACE`].
async fn load(store: &SharedStore, txn: TxnId, at: Timestamp, keys: std::ops::Range<u32>) {
    let rows = keys.map(|n| (key(n), value(&format!("loaded {n}")).unwrap()));
    let load = Load { txn, at, rows: Arc::new(rows.collect()) };
    store.load(load).await.unwrap().unwrap();
}

pub async fn loaded_rows_are_read_like_others(store: SharedStore) {
    if !store.capabilities().loads {
        return;
    }
    put(&store, vec![(70_000, Some("before"))]).await;
    let hold = store.snapshot().await.unwrap();
    load(&store, txn(), hold.at, 0..700).await;
    for at in [hold.at, Timestamp::MAX] {
        assert_eq!(read(&store, 3, at).await.as_deref(), Some("loaded 3"));
    }
    let all = scan_all(&store, &KeyRange::all(SPACE), hold.at, false, 100).await;
    assert_eq!(numbers(&all), (0..700).chain([70_000]).collect::<Vec<_>>());
    assert!(all.iter().all(|entry| entry.ts <= hold.at));
    let keys: Vec<Key> = [5, 900, 6].map(key).to_vec();
    let found = store.get_many(&keys, hold.at).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    let later = put(&store, vec![(70_000, Some("after"))]).await;
    assert!(later > hold.at);
}

pub async fn commits_go_on_over_loaded_rows(store: SharedStore) {
    if !store.capabilities().loads {
        return;
    }
    put(&store, vec![(70_000, Some("before"))]).await;
    let hold = store.snapshot().await.unwrap();
    let loader = txn();
    load(&store, loader, hold.at, 0..40).await;
    let absent = Write { expect: Expect::Absent, ..write(key(1), value("new")) };
    let refused = store.commit(commit(vec![absent])).await.unwrap();
    let CommitOutcome::WriteConflict { found: Some(found), .. } = refused else {
        panic!("a loaded row is not absent: {refused:?}");
    };
    let same = Expect::Unchanged(found.ts);
    let changed = Write { expect: same, ..write(key(1), value("changed")) };
    let ts = committed(store.commit(commit(vec![changed])).await.unwrap());
    assert!(ts > hold.at);
    put(&store, vec![(2, None), (3, Some("again")), (41, Some("beside"))]).await;
    let locked = lock(&store, txn(), &[4]).await;
    assert_eq!(locked[0].as_ref().unwrap().current.as_ref().unwrap().ts, found.ts);
    // What was there stays readable, and a write of the load that comes late changes nothing.
    for _ in 0..2 {
        assert_eq!(read(&store, 1, hold.at).await.as_deref(), Some("loaded 1"));
        assert_eq!(read(&store, 2, hold.at).await.as_deref(), Some("loaded 2"));
        assert_eq!(read(&store, 1, Timestamp::MAX).await.as_deref(), Some("changed"));
        assert_eq!(read(&store, 2, Timestamp::MAX).await, None);
        assert_eq!(read(&store, 3, Timestamp::MAX).await.as_deref(), Some("again"));
        let all = scan_all(&store, &KeyRange::all(SPACE), Timestamp::MAX, false, 100).await;
        assert_eq!(all.len(), 41);
        load(&store, loader, found.ts, 0..40).await;
    }
}
