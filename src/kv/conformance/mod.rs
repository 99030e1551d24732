//! What the seam promises, as tests that run on every implementation.
//!
//! An implementation's tests say `conformance::suite!(make)`, where `make` is a function that
//! gives a fresh, empty store (and anything that must live as long). Each case stands alone.
//! `conformance::hurt_suite!(make)` adds the cases in which the store comes to harm.

pub mod changes;
pub mod commits;
pub mod load;
pub mod loads;
pub mod locks;
pub mod outcomes;
pub mod reads;
pub mod spread;

use std::time::Duration;

use super::*;

/// One test for each case of the suite, on stores made by `$make`: an async function that
/// gives a store and something to keep alive beside it, or none where there is no store to test.
macro_rules! suite {
    ($make:path) => {
        $crate::kv::conformance::suite!(@ $make, reads:
            a_snapshot_sees_what_was_committed_before_it
            every_version_is_read_at_its_time
            deletions_hide_and_history_stays
            newest_reads_follow_commits
            get_many_answers_in_order
            scans_respect_bounds_and_spaces
            scans_go_on_in_both_directions
            scans_read_the_past
            keys_keep_their_partition_part
            large_values_come_back
            estimates_are_near
            segments_read_a_snapshot
        );
        $crate::kv::conformance::suite!(@ $make, commits:
            expectations_are_checked
            point_reads_are_validated
            ranges_are_validated
            a_refused_commit_writes_nothing_and_unlocks
            a_commit_without_writes_only_validates
            an_old_snapshot_keeps_its_versions
            a_hold_below_the_horizon_is_refused
            a_dropped_space_is_empty
            timestamps_rise_above_snapshots
        );
        $crate::kv::conformance::suite!(@ $make, locks:
            modes_conflict_as_postgres_says
            a_waiter_gets_the_newest_version
            commits_and_abandoning_release
            nowait_skip_and_timeout
            cancelled_waits_leave_nothing
            partial_unlock
            deadlocks_end
            a_deadlock_ends_by_the_shorter_timeout
        );
        $crate::kv::conformance::suite!(@ $make, changes:
            tracked_writes_are_reported
            pages_of_changes_join
            trimmed_changes_are_refused
            resolved_rises
        );
        $crate::kv::conformance::suite!(@ $make, loads:
            loaded_rows_are_read_like_others
            commits_go_on_over_loaded_rows
        );
        $crate::kv::conformance::suite!(@ $make, load:
            no_commit_is_seen_in_part
            locked_counters_lose_nothing
            validated_counters_lose_nothing
            changes_never_under_report
        );
    };
    (@ $make:path, $file:ident: $($case:ident)*) => {
        mod $file {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let made: Option<(SharedStore, _)> = $make().await.into();
                    let Some((store, _keep)) = made else { return };
                    $crate::kv::conformance::$file::$case(store).await;
                }
            )*
        }
    };
}
pub(crate) use suite;

/// The cases of `outcomes` on what `$make` makes: an async function that gives a
/// [`outcomes::Patient`].
macro_rules! hurt_suite {
    ($make:path) => {
        mod outcomes {
            use super::*;

            $crate::kv::conformance::hurt_suite!(@ $make:
                lost_answers_make_no_lies
                who_dies_on_the_way_is_sealed
            );
        }
    };
    (@ $make:path: $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::kv::conformance::outcomes::$case($make).await;
            }
        )*
    };
}
pub(crate) use hurt_suite;

/// The space most cases use.
pub const SPACE: SpaceId = SpaceId(200);
/// Waits as long as it takes.
pub const BLOCK: LockWait = LockWait::Block { lock_timeout_ms: 0, deadlock_timeout_ms: 0 };

/// Key `n` of [`SPACE`]: two bytes of partition part, two of clustering part.
pub fn key(n: u32) -> Key {
    Key::new(SPACE, &n.to_be_bytes(), 2)
}

/// A short value.
pub fn value(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

/// A transaction identity that no other call gave.
pub fn txn() -> TxnId {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    TxnId(u128::from(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
}

/// A write without a condition, tracked.
pub fn write(key: Key, value: Option<Bytes>) -> Write {
    Write { key, value, expect: Expect::Any, tracked: true }
}

/// A commit of writes, by a new transaction.
pub fn commit(writes: Vec<Write>) -> Commit {
    let snapshot = Timestamp::ZERO;
    Commit { txn: txn(), snapshot, reads: Vec::new(), ranges: Vec::new(), writes }
}

/// Commits, and must succeed.
pub async fn put(store: &SharedStore, writes: Vec<(u32, Option<&str>)>) -> Timestamp {
    let writes = writes.into_iter().map(|(n, v)| write(key(n), v.and_then(value))).collect();
    committed(store.commit(commit(writes)).await.unwrap())
}

/// The timestamp of a success.
pub fn committed(outcome: CommitOutcome) -> Timestamp {
    match outcome {
        CommitOutcome::Committed(ts) => ts,
        other => panic!("not committed: {other:?}"),
    }
}

/// The live value at a timestamp, as text.
pub async fn read(store: &SharedStore, n: u32, at: Timestamp) -> Option<String> {
    let version = store.get(&key(n), at).await.unwrap()?;
    assert!(version.ts <= at);
    Some(String::from_utf8(version.value?.to_vec()).unwrap())
}

/// Locks keys for update, waiting.
pub async fn lock(store: &SharedStore, txn: TxnId, keys: &[u32]) -> Vec<Option<Locked>> {
    let keys = keys.iter().map(|n| key(*n)).collect();
    let request = LockRequest { txn, keys, mode: LockMode::Update, wait: BLOCK };
    store.lock(request).await.unwrap()
}

/// Every entry of a range at a timestamp, read in pages of `rows_max`; in the order of the scan,
/// where the store has one, else in the order asked for.
pub async fn scan_all(
    store: &SharedStore,
    range: &KeyRange,
    at: Timestamp,
    reverse: bool,
    rows_max: usize,
) -> Vec<Entry> {
    let limit = PageLimit { rows_max, bytes_max: 1 << 30 };
    let mut entries = Vec::new();
    let mut from = None;
    loop {
        let page = store.scan(range, at, reverse, limit, from).await.unwrap();
        assert!(page.entries.len() <= rows_max);
        entries.extend(page.entries);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    if !store.capabilities().ordered {
        entries.sort_by(|a, b| if reverse { b.key.cmp(&a.key) } else { a.key.cmp(&b.key) });
    }
    entries
}

/// The numbers of entries' keys.
pub fn numbers(entries: &[Entry]) -> Vec<u32> {
    let number = |e: &Entry| u32::from_be_bytes(e.key.tail().try_into().unwrap());
    entries.iter().map(number).collect()
}

/// Waits until what was acknowledged is resolved: soon.
pub async fn reached(store: &SharedStore, at: Timestamp) -> Timestamp {
    let reaching = async {
        loop {
            let resolved = store.resolved().await.unwrap();
            if resolved >= at {
                return resolved;
            }
            settle().await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(20), reaching).await;
    reached.expect("what was acknowledged is not resolved")
}

/// Every change of [`SPACE`] after a cursor, of what was acknowledged.
pub async fn changes_after(
    store: &SharedStore,
    cursor: Cursor,
    keys_max: usize,
) -> (Vec<(Key, Timestamp)>, Cursor) {
    reached(store, store.snapshot().await.unwrap().at).await;
    let mut keys = Vec::new();
    let mut cursor = cursor;
    loop {
        let page = store.changes(SPACE, &cursor, keys_max).await.unwrap();
        assert!(page.keys.len() <= keys_max);
        keys.extend(page.keys);
        cursor = page.next;
        if !page.more {
            return (keys, cursor);
        }
    }
}

/// Long enough for a task that can go on to have done so.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
