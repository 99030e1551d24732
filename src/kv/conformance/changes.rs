//! The change log and the resolved timestamp.

use super::*;
use crate::error::SqlState;

fn ns(keys: &[(Key, Timestamp)]) -> Vec<u32> {
    let number = |key: &Key| u32::from_be_bytes(key.tail().try_into().unwrap());
    let mut numbers: Vec<u32> = keys.iter().map(|(k, _)| number(k)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

pub async fn tracked_writes_are_reported(store: SharedStore) {
    put(&store, vec![(1, Some("a")), (2, Some("a"))]).await;
    let (keys, end) = changes_after(&store, Cursor::default(), 10).await;
    assert_eq!(ns(&keys), [1, 2]);
    let at = store.snapshot().await.unwrap().at;
    let untracked = Write { tracked: false, ..write(key(3), value("a")) };
    let elsewhere = write(Key::new(SpaceId(SPACE.0 + 1), b"x", 1), value("a"));
    let writes = vec![untracked, elsewhere, write(key(4), value("a")), write(key(1), None)];
    let ts = committed(store.commit(commit(writes)).await.unwrap());
    for cursor in [end, store.cursor_at(SPACE, at).await.unwrap()] {
        let (keys, next) = changes_after(&store, cursor, 10).await;
        let found = ns(&keys);
        assert!(found.contains(&1) && found.contains(&4), "{found:?}");
        assert!(keys.iter().all(|(k, t)| *t <= ts && k.space() == SPACE));
        let (rest, _) = changes_after(&store, next, 10).await;
        assert_eq!(rest, []);
    }
}

pub async fn pages_of_changes_join(store: SharedStore) {
    for i in 0..20u32 {
        put(&store, (0..10).map(|n| (i * 10 + n, Some("a"))).collect()).await;
    }
    for keys_max in [1, 7, 10, 1000] {
        let (keys, _) = changes_after(&store, Cursor::default(), keys_max).await;
        assert_eq!(ns(&keys), (0..200).collect::<Vec<u32>>());
    }
}

pub async fn trimmed_changes_are_refused(store: SharedStore) {
    put(&store, (0..10).map(|n| (n, Some("a"))).collect()).await;
    let (_, middle) = changes_after(&store, Cursor::default(), 100).await;
    put(&store, (10..20).map(|n| (n, Some("a"))).collect()).await;
    store.trim_changes(SPACE, &middle).await.unwrap();
    let (keys, end) = changes_after(&store, middle.clone(), 100).await;
    assert_eq!(ns(&keys), (10..20).collect::<Vec<u32>>());
    store.trim_changes(SPACE, &end).await.unwrap();
    // What is gone is never passed over in silence.
    let error = store.changes(SPACE, &middle, 10).await.unwrap_err();
    assert_eq!(error.code(), SqlState::SNAPSHOT_TOO_OLD);
    put(&store, vec![(77, Some("a"))]).await;
    let (keys, _) = changes_after(&store, end, 100).await;
    assert_eq!(ns(&keys), [77]);
}

pub async fn resolved_rises(store: SharedStore) {
    let mut last = store.resolved().await.unwrap();
    for i in 0..50 {
        let ts = put(&store, vec![(i, Some("a"))]).await;
        let resolved = reached(&store, ts).await;
        assert!(resolved >= last);
        last = resolved;
    }
}
