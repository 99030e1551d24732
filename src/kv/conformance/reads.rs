//! Gets, scans, segments, estimates.

use super::*;

pub async fn a_snapshot_sees_what_was_committed_before_it(store: SharedStore) {
    let empty = store.snapshot().await.unwrap();
    let first = put(&store, vec![(1, Some("a"))]).await;
    let one = store.snapshot().await.unwrap();
    assert!(empty.at < first && one.at >= first);
    let second = put(&store, vec![(1, Some("b")), (2, Some("c"))]).await;
    assert!(second > one.at);
    let two = store.snapshot().await.unwrap();
    assert_eq!(read(&store, 1, empty.at).await, None);
    assert_eq!(read(&store, 1, one.at).await.as_deref(), Some("a"));
    assert_eq!(read(&store, 2, one.at).await, None);
    assert_eq!(read(&store, 1, two.at).await.as_deref(), Some("b"));
    assert_eq!(read(&store, 2, two.at).await.as_deref(), Some("c"));
}

pub async fn every_version_is_read_at_its_time(store: SharedStore) {
    let _hold = store.snapshot().await.unwrap();
    let mut times = Vec::new();
    for i in 0..50 {
        times.push(put(&store, vec![(1, Some(&format!("v{i}"))), (2, Some("other"))]).await);
    }
    for (i, ts) in times.iter().enumerate() {
        assert_eq!(read(&store, 1, *ts).await, Some(format!("v{i}")));
        let before = i.checked_sub(1).map(|i| format!("v{i}"));
        assert_eq!(read(&store, 1, ts.prev()).await, before);
        assert_eq!(store.get(&key(1), *ts).await.unwrap().unwrap().ts, *ts);
    }
}

pub async fn deletions_hide_and_history_stays(store: SharedStore) {
    let _hold = store.snapshot().await.unwrap();
    let born = put(&store, vec![(1, Some("a")), (2, Some("b"))]).await;
    let gone = put(&store, vec![(1, None)]).await;
    let back = put(&store, vec![(1, Some("c"))]).await;
    assert_eq!(read(&store, 1, born).await.as_deref(), Some("a"));
    assert_eq!(read(&store, 1, gone).await, None);
    assert_eq!(read(&store, 1, back).await.as_deref(), Some("c"));
    let all = KeyRange::all(SPACE);
    assert_eq!(numbers(&scan_all(&store, &all, born, false, 10).await), [1, 2]);
    assert_eq!(numbers(&scan_all(&store, &all, gone, false, 10).await), [2]);
    assert_eq!(numbers(&scan_all(&store, &all, back, false, 10).await), [1, 2]);
}

pub async fn newest_reads_follow_commits(store: SharedStore) {
    assert_eq!(store.get(&key(1), Timestamp::MAX).await.unwrap(), None);
    for i in 0..20 {
        let ts = put(&store, vec![(1, Some(&i.to_string()))]).await;
        let version = store.get(&key(1), Timestamp::MAX).await.unwrap().unwrap();
        assert_eq!((version.ts, version.value), (ts, value(&i.to_string())));
    }
    put(&store, vec![(1, None)]).await;
    assert_eq!(read(&store, 1, Timestamp::MAX).await, None);
}

pub async fn get_many_answers_in_order(store: SharedStore) {
    put(&store, vec![(1, Some("a")), (3, Some("c")), (5, Some("e"))]).await;
    let at = store.snapshot().await.unwrap();
    let keys = [key(5), key(2), key(1), key(5), key(3)];
    let found = store.get_many(&keys, at.at).await.unwrap();
    let values: Vec<Option<Bytes>> = found.into_iter().map(|v| v?.value).collect();
    assert_eq!(values, [value("e"), None, value("a"), value("e"), value("c")]);
}

pub async fn scans_respect_bounds_and_spaces(store: SharedStore) {
    let mut writes: Vec<Write> = (0..10).map(|n| write(key(n), value("x"))).collect();
    for space in [SPACE.0 - 1, SPACE.0 + 1] {
        for tail in [&[0; 4][..], &[0xff; 4], &[]] {
            writes.push(write(Key::new(SpaceId(space), tail, 0), value("other")));
        }
    }
    committed(store.commit(commit(writes)).await.unwrap());
    let at = store.snapshot().await.unwrap().at;
    let tail = |n: u32| Bytes::copy_from_slice(&n.to_be_bytes());
    let bounds = |n: u32| [Bound::Included(tail(n)), Bound::Excluded(tail(n)), Bound::Unbounded];
    for start in bounds(3) {
        for end in bounds(7) {
            let range = KeyRange { space: SPACE, start: start.clone(), end, partition_len: None };
            let expected: Vec<u32> = (0..10).filter(|n| range.contains(&key(*n))).collect();
            assert_eq!(numbers(&scan_all(&store, &range, at, false, 4).await), expected);
        }
    }
    // Ranges that hold nothing, also those that end before they start.
    for (start, end) in [(5, 5), (7, 3)] {
        let (start, end) = (Bound::Included(tail(start)), Bound::Excluded(tail(end)));
        let range = KeyRange { space: SPACE, start, end, partition_len: None };
        assert_eq!(scan_all(&store, &range, at, false, 4).await, []);
        assert_eq!(scan_all(&store, &range, at, true, 4).await, []);
    }
    let prefix = KeyRange::prefix(SPACE, Bytes::from_static(&[0, 0]), Some(2));
    assert_eq!(scan_all(&store, &prefix, at, false, 3).await.len(), 10);
}

pub async fn scans_go_on_in_both_directions(store: SharedStore) {
    let texts: Vec<String> = (0..500).map(|n| "x".repeat(n % 40)).collect();
    let writes = texts.iter().enumerate().map(|(n, t)| (n as u32 * 3, Some(t.as_str()))).collect();
    put(&store, writes).await;
    put(&store, (0..500).step_by(7).map(|n| (n * 3, None)).collect()).await;
    let at = store.snapshot().await.unwrap().at;
    let expected: Vec<u32> = (0..500).filter(|n| n % 7 != 0).map(|n| n * 3).collect();
    let range = KeyRange::all(SPACE);
    for rows_max in [1, 7, 64, 1000] {
        let mut ascending = numbers(&scan_all(&store, &range, at, false, rows_max).await);
        let mut descending = numbers(&scan_all(&store, &range, at, true, rows_max).await);
        if !store.capabilities().ordered {
            ascending.sort_unstable();
            descending.sort_unstable_by(|a, b| b.cmp(a));
        }
        assert_eq!(ascending, expected);
        descending.reverse();
        assert_eq!(descending, expected);
    }
    // A page ends soon after its bytes are used up.
    let small = PageLimit { rows_max: 1000, bytes_max: 100 };
    let page = store.scan(&range, at, false, small, None).await.unwrap();
    assert!(!page.entries.is_empty() && page.entries.len() < 50 && page.next.is_some());
}

pub async fn scans_read_the_past(store: SharedStore) {
    put(&store, (0..100).map(|n| (n, Some("old"))).collect()).await;
    let before = store.snapshot().await.unwrap();
    put(&store, (0..100).step_by(2).map(|n| (n, None)).collect()).await;
    put(&store, (50..150).map(|n| (n, Some("new"))).collect()).await;
    let now = store.snapshot().await.unwrap();
    let range = KeyRange::all(SPACE);
    for reverse in [false, true] {
        let old = scan_all(&store, &range, before.at, reverse, 9).await;
        assert_eq!(old.len(), 100);
        assert!(old.iter().all(|e| e.value == "old" && e.ts <= before.at));
        let new = scan_all(&store, &range, now.at, reverse, 9).await;
        assert_eq!(new.len(), 125);
        assert_eq!(new.iter().filter(|e| e.value == "new").count(), 100);
    }
}

pub async fn keys_keep_their_partition_part(store: SharedStore) {
    let keys =
        [Key::new(SPACE, b"abcde", 0), Key::new(SPACE, b"abcdef", 3), Key::new(SPACE, b"b", 1)];
    committed(
        store
            .commit(commit(keys.iter().map(|k| write(k.clone(), value("x"))).collect()))
            .await
            .unwrap(),
    );
    let at = store.snapshot().await.unwrap().at;
    let mut found = scan_all(&store, &KeyRange::all(SPACE), at, false, 10).await;
    found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let parts: Vec<(&[u8], &[u8])> =
        found.iter().map(|e| (e.key.partition(), e.key.clustering())).collect();
    assert_eq!(parts, [(&b""[..], &b"abcde"[..]), (b"abc", b"def"), (b"b", b"")]);
}

pub async fn large_values_come_back(store: SharedStore) {
    let sizes = [0, 1, 4095, 4096, 70_000, 3 << 20];
    let make = |size: usize| -> Bytes { (0..size).map(|i| (i * 7 % 251) as u8).collect() };
    let writes =
        sizes.iter().enumerate().map(|(n, s)| write(key(n as u32), Some(make(*s)))).collect();
    committed(store.commit(commit(writes)).await.unwrap());
    let at = store.snapshot().await.unwrap().at;
    for (n, size) in sizes.iter().enumerate() {
        let version = store.get(&key(n as u32), at).await.unwrap().unwrap();
        assert!(version.value == Some(make(*size)), "{size}");
    }
    let found = scan_all(&store, &KeyRange::all(SPACE), at, false, 10).await;
    assert_eq!(found.iter().map(|e| e.value.len()).sum::<usize>(), sizes.iter().sum::<usize>());
    // A long key.
    let long = Key::new(SPACE, &[7; 2000], 1000);
    committed(store.commit(commit(vec![write(long.clone(), value("x"))])).await.unwrap());
    assert_eq!(store.get(&long, Timestamp::MAX).await.unwrap().unwrap().value, value("x"));
}

pub async fn estimates_are_near(store: SharedStore) {
    let all = KeyRange::all(SPACE);
    assert_eq!(store.estimate(&all).await.unwrap().rows, 0);
    put(&store, (0..2000).map(|n| (n, Some("0123456789"))).collect()).await;
    let estimate = store.estimate(&all).await.unwrap();
    assert!((1000..=4000).contains(&estimate.rows), "{estimate:?}");
    assert!((10_000..=200_000).contains(&estimate.bytes), "{estimate:?}");
    let other = store.estimate(&KeyRange::all(SpaceId(SPACE.0 + 1))).await.unwrap();
    assert!(other.rows < 100, "{other:?}");
}

pub async fn segments_read_a_snapshot(store: SharedStore) {
    put(&store, (0..1000).map(|n| (n, Some("old"))).collect()).await;
    let hold = store.snapshot().await.unwrap();
    put(&store, (500..1500).map(|n| (n, Some("new"))).collect()).await;
    put(&store, (0..100).map(|n| (n, None)).collect()).await;
    let range = KeyRange::all(SPACE);
    let mut segments = store.segments(&range, hold.at).unwrap();
    let entries = tokio::task::spawn_blocking(move || {
        let mut entries = Vec::new();
        loop {
            let more = segments.next(77).unwrap();
            assert!(more.len() <= 77);
            if more.is_empty() {
                return entries;
            }
            entries.extend(more);
        }
    })
    .await
    .unwrap();
    assert_eq!(numbers(&entries), (0..1000).collect::<Vec<u32>>());
    assert!(entries.iter().all(|e| e.value == "old"));
}
