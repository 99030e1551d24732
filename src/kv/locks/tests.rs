use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::SimulatedClock;
use crate::error::SqlState;
use crate::kv::SpaceId;

fn table(deadlock_timeout_ms: u64) -> Arc<LockTable> {
    let clock = SimulatedClock::new(0, 7);
    Arc::new(LockTable::new(&clock, Duration::from_millis(deadlock_timeout_ms)))
}

fn key(n: u32) -> Key {
    Key::new(SpaceId(100), &n.to_be_bytes(), 4)
}

fn request(txn: u128, keys: &[u32], mode: LockMode, wait: LockWait) -> LockRequest {
    LockRequest { txn: TxnId(txn), keys: keys.iter().map(|n| key(*n)).collect(), mode, wait }
}

const BLOCK: LockWait = LockWait::Block { lock_timeout_ms: 0, deadlock_timeout_ms: 0 };
const MODES: [LockMode; 4] =
    [LockMode::KeyShare, LockMode::Share, LockMode::NoKeyUpdate, LockMode::Update];

fn spawn(
    table: &Arc<LockTable>,
    txn: u128,
    keys: &[u32],
    mode: LockMode,
) -> tokio::task::JoinHandle<Result<SmallVec<[Grant; 2]>>> {
    let (table, request) = (table.clone(), request(txn, keys, mode, BLOCK));
    tokio::spawn(async move { table.acquire(&request).await })
}

/// Lets every task that can run do so.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(3)).await;
}

#[tokio::test]
async fn every_pair_of_modes_conflicts_as_postgres_says() {
    // Manual, table 13.3: rows requested, columns held.
    let conflicts = [
        [false, false, false, true],
        [false, false, true, true],
        [false, true, true, true],
        [true, true, true, true],
    ];
    for (r, requested) in MODES.into_iter().enumerate() {
        for (h, held) in MODES.into_iter().enumerate() {
            let table = table(1000);
            table.acquire(&request(1, &[1], held, BLOCK)).await.unwrap();
            let answer = table.acquire(&request(2, &[1], requested, LockWait::NoWait)).await;
            assert_eq!(answer.is_err(), conflicts[r][h], "{requested:?} on {held:?}");
            table.release(TxnId(1), None);
            table.release(TxnId(2), None);
            assert!(table.is_empty());
        }
    }
}

#[tokio::test]
async fn waiters_are_served_in_order_and_shared_locks_do_not_overtake() {
    let table = table(1000);
    table.acquire(&request(1, &[1], LockMode::Share, BLOCK)).await.unwrap();
    let writer = spawn(&table, 2, &[1], LockMode::Update);
    settle().await;
    let reader = spawn(&table, 3, &[1], LockMode::Share);
    settle().await;
    assert!(!writer.is_finished() && !reader.is_finished());
    table.release(TxnId(1), None);
    settle().await;
    assert!(writer.is_finished() && !reader.is_finished());
    table.release(TxnId(2), None);
    let grants = reader.await.unwrap().unwrap();
    assert_eq!(grants[..], [Grant::Held { waited: true, fresh: true }]);
    table.release(TxnId(3), None);
    assert!(table.is_empty());
}

#[tokio::test]
async fn an_upgrade_goes_before_the_queue() {
    let table = table(1000);
    table.acquire(&request(1, &[1], LockMode::Share, BLOCK)).await.unwrap();
    table.acquire(&request(2, &[1], LockMode::Share, BLOCK)).await.unwrap();
    let stranger = spawn(&table, 3, &[1], LockMode::Update);
    settle().await;
    let upgrade = spawn(&table, 1, &[1], LockMode::Update);
    settle().await;
    table.release(TxnId(2), None);
    settle().await;
    assert!(upgrade.is_finished() && !stranger.is_finished());
    assert_eq!(table.held(TxnId(1), &key(1)), Some(LockMode::Update));
    table.release(TxnId(1), None);
    settle().await;
    assert!(stranger.is_finished());
}

#[tokio::test]
async fn lock_timeout_and_skip_locked() {
    let table = table(1000);
    table.acquire(&request(1, &[2], LockMode::Update, BLOCK)).await.unwrap();
    let wait = LockWait::Block { lock_timeout_ms: 30, deadlock_timeout_ms: 0 };
    let error = table.acquire(&request(2, &[1, 2, 3], LockMode::Update, wait)).await.unwrap_err();
    assert_eq!(error.code(), SqlState::LOCK_NOT_AVAILABLE);
    assert_eq!(error.message(), "canceling statement due to lock timeout");
    assert_eq!(table.len(), 1, "all or none");
    let skip = request(2, &[1, 2, 3], LockMode::Update, LockWait::SkipLocked);
    let grants = table.acquire(&skip).await.unwrap();
    let held = Grant::Held { waited: false, fresh: true };
    assert_eq!(grants[..], [held, Grant::Skipped, held]);
}

#[tokio::test]
async fn a_dropped_request_leaves_nothing() {
    let table = table(1000);
    table.acquire(&request(1, &[5], LockMode::Update, BLOCK)).await.unwrap();
    for n in 0..20 {
        let waiter = spawn(&table, 2, &[n, 5], LockMode::Update);
        settle().await;
        waiter.abort();
        settle().await;
        assert_eq!(table.len(), 1);
    }
    // Granted and dropped at the same moment: nobody polled the waiter in between.
    let request = request(2, &[5], LockMode::Update, BLOCK);
    let mut waiting = Box::pin(table.acquire(&request));
    assert!(futures::poll!(&mut waiting).is_pending());
    table.release(TxnId(1), None);
    drop(waiting);
    assert!(table.is_empty());
    assert!(table.owners.iter().all(|o| o.lock().is_empty()));
}

#[tokio::test]
async fn a_dropped_waiter_lets_those_behind_it_go_on() {
    let table = table(1000);
    table.acquire(&request(1, &[1], LockMode::Share, BLOCK)).await.unwrap();
    let writer = spawn(&table, 2, &[1], LockMode::Update);
    settle().await;
    let reader = spawn(&table, 3, &[1], LockMode::Share);
    settle().await;
    writer.abort();
    settle().await;
    assert!(reader.is_finished());
}

#[tokio::test]
async fn a_cycle_ends_exactly_one_of_its_transactions() {
    let table = table(50);
    for n in 1..=4 {
        table.acquire(&request(n, &[n as u32], LockMode::Update, BLOCK)).await.unwrap();
    }
    // 1 → 2 → 3 → 1, and 4 waits for 1 without being part of it.
    let mut waiters = Vec::new();
    for (txn, key) in [(4, 1), (1, 2), (2, 3), (3, 1)] {
        waiters.push((txn, spawn(&table, txn, &[key], LockMode::Update)));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(250)).await;
    let mut killed = Vec::new();
    for (txn, waiter) in waiters.iter_mut().filter(|(_, w)| w.is_finished()) {
        let error = waiter.await.unwrap().unwrap_err();
        assert_eq!(error.code(), SqlState::DEADLOCK_DETECTED);
        assert_eq!(error.message(), "deadlock detected");
        let detail = error.fields().detail.clone().unwrap();
        assert_eq!(detail.lines().count(), 3, "{detail}");
        killed.push(*txn);
    }
    assert_eq!(killed.len(), 1);
    assert_ne!(killed[0], 4);
    table.release(TxnId(killed[0]), None);
}

#[tokio::test]
async fn who_looks_before_the_victim_has_left_finds_no_cycle() {
    let table = table(60_000);
    for n in 1..=2 {
        table.acquire(&request(n, &[n as u32], LockMode::Update, BLOCK)).await.unwrap();
    }
    let waiters = [(1, 2), (2, 1)].map(|(n, key)| spawn(&table, n, &[key], LockMode::Update));
    settle().await;
    let owner = |n| table.owners[owner_shard(TxnId(n))].lock().get(&TxnId(n)).unwrap().clone();
    assert_eq!(deadlock::find(&table, &owner(1)).map(|cycle| cycle.len()), Some(2));
    assert!(deadlock::find(&table, &owner(2)).is_none());
    waiters.into_iter().for_each(|w| w.abort());
}

#[tokio::test]
async fn a_cycle_through_a_queue_is_undone_by_changing_the_order() {
    let table = table(20);
    table.acquire(&request(1, &[1], LockMode::Share, BLOCK)).await.unwrap();
    table.acquire(&request(3, &[2], LockMode::Update, BLOCK)).await.unwrap();
    let writer = spawn(&table, 2, &[1], LockMode::Update);
    settle().await;
    // 3 waits behind 2, which waits for 1, which waits for 3: sharing with 1 harms nobody.
    let reader = spawn(&table, 3, &[1], LockMode::Share);
    settle().await;
    let first = spawn(&table, 1, &[2], LockMode::Update);
    reader.await.unwrap().unwrap();
    table.release(TxnId(3), None);
    first.await.unwrap().unwrap();
    table.release(TxnId(1), None);
    writer.await.unwrap().unwrap();
}

#[tokio::test]
async fn two_upgrades_deadlock_and_a_long_wait_does_not() {
    let table = table(50);
    table.acquire(&request(1, &[1], LockMode::Share, BLOCK)).await.unwrap();
    table.acquire(&request(2, &[1], LockMode::Share, BLOCK)).await.unwrap();
    let first = spawn(&table, 1, &[1], LockMode::Update);
    settle().await;
    let second = spawn(&table, 2, &[1], LockMode::Update);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(first.is_finished() != second.is_finished());
    let plain = spawn(&table, 3, &[1], LockMode::Update);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!plain.is_finished());
}

/// Many tasks on few keys, cancelled at random: at the end nothing is left, and no two ever held
/// conflicting locks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_load_keeps_the_rules() {
    let table = table(5);
    let holders: Arc<Vec<Mutex<Vec<(u128, LockMode)>>>> =
        Arc::new((0..4).map(|_| Mutex::default()).collect());
    let mut tasks = Vec::new();
    for task in 0..16u128 {
        let (table, holders) = (table.clone(), holders.clone());
        tasks.push(tokio::spawn(async move {
            let mut state = task as u64 + 1;
            let mut random = move |n: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % n
            };
            for round in 0..60u128 {
                let txn = (task << 64) | round;
                let mut mine = Vec::new();
                for _ in 0..3 {
                    let (n, mode) = (random(4) as u32, MODES[random(4) as usize]);
                    let request = request(txn, &[n], mode, BLOCK);
                    let limit = Duration::from_micros(random(3000));
                    match tokio::time::timeout(limit, table.acquire(&request)).await {
                        Ok(Ok(_)) => {
                            let mut held = holders[n as usize].lock();
                            let conflict =
                                held.iter().find(|(t, m)| *t != txn && m.conflicts(mode));
                            assert_eq!(conflict, None);
                            held.push((txn, mode));
                            mine.push(n);
                        }
                        Ok(Err(_)) => break,
                        Err(_) => {}
                    }
                }
                for n in mine {
                    holders[n as usize].lock().retain(|(t, _)| *t != txn);
                }
                table.release(TxnId(txn), None);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(table.is_empty());
}
