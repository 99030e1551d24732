//! Encounters that the protocol was made for, one by one.

use std::sync::atomic::{AtomicU64, Ordering};

use super::harness::*;
use super::*;
use crate::kv::conformance::txn;

const SPACE: SpaceId = SpaceId(302);

/// Key `n`, in a partition of its own.
fn key(n: u8) -> Key {
    Key::new(SPACE, &[n], 1)
}

fn write(n: u8, value: u8) -> Write {
    Write { key: key(n), value: byte(value), expect: Expect::Any, tracked: true }
}

/// Whether it committed; refused or unknown is no.
async fn commit(gate: &Gate, writes: Vec<Write>) -> bool {
    super::harness::commit(gate, writes).await.is_some()
}

/// A value at a snapshot; none also where the store could not be reached.
async fn get(gate: &Gate, n: u8, at: Timestamp) -> Option<u8> {
    let version = gate.store.get(&key(n), at).await;
    match version {
        Ok(version) => version.and_then(|v| v.value).map(|v| v[0]),
        Err(error) => {
            assert!(is_allowed(&error), "{error:?}");
            None
        }
    }
}

fn only_delays() -> Faults {
    Faults { lost: 0, client_lost: 0, late: 0, ..Faults::heavy() }
}

/// A writer, a reader, and the reader's snapshot anywhere within the writer's commit over two
/// partitions, up to so many microseconds after its beginning.
async fn within_a_commit(sim: &Sim, micros: u64) -> (Gate, Gate, Hold) {
    let (writer, reader) = (sim.gate().await, sim.gate().await);
    assert!(commit(&writer, vec![write(1, 0), write(2, 0)]).await);
    let task = writer.clone();
    sim.spawn(&writer, async move {
        commit(&task, vec![write(1, 1), write(2, 1)]).await;
    });
    sim.sleep(Duration::from_micros(sim.world.random(micros))).await;
    let hold = reader.store.snapshot().await.unwrap();
    (writer, reader, hold)
}

/// Both rows or none, and the same again later.
#[test]
fn a_reader_against_a_commit() {
    for_seeds(40, only_delays(), |sim| async move {
        let (_writer, reader, hold) = within_a_commit(&sim, 60_000).await;
        let one = get(&reader, 1, hold.at).await;
        sim.sleep(Duration::from_micros(sim.world.random(30_000))).await;
        let two = get(&reader, 2, hold.at).await;
        assert_eq!(one, two, "torn");
        sim.sleep(Duration::from_millis(200)).await;
        assert_eq!((get(&reader, 1, hold.at).await, get(&reader, 2, hold.at).await), (one, two));
    });
}

/// A reader stands still between a row's intent and its verdict, until the commit is finished and
/// its record removed. How often it then showed half of the commit.
fn readers_that_come_late(seeds: u64, credulous: bool) -> u64 {
    let torn = Arc::new(AtomicU64::new(0));
    let count = torn.clone();
    for_seeds(seeds, only_delays(), move |mut sim| {
        (sim.credulous, sim.record_kept) = (credulous, Duration::from_millis(20));
        sim.implicit_max = Some(0);
        let torn = count.clone();
        async move {
            let (_writer, reader, hold) = within_a_commit(&sim, 40_000).await;
            let (task, at) = (reader.clone(), hold.at);
            let (ended, end) = futures::channel::oneshot::channel();
            sim.spawn(&reader, async move {
                let _ = ended.send(get(&task, 1, at).await);
            });
            sim.sleep(Duration::from_micros(sim.world.random(10_000))).await;
            sim.world.pause(reader.env.node, LEASE * 2 / 3);
            let one = end.await.unwrap();
            let two = get(&reader, 2, at).await;
            torn.fetch_add(u64::from(one != two), Ordering::SeqCst);
        }
    });
    torn.load(Ordering::SeqCst)
}

#[test]
fn a_reader_against_the_removal_of_a_record() {
    assert_eq!(readers_that_come_late(120, false), 0);
}

/// It would, if it believed that what has no verdict any more was aborted.
#[test]
fn without_a_second_look_it_is_torn() {
    assert_ne!(readers_that_come_late(120, true), 0);
}

/// What commits over several partitions leave is rows.
#[test]
fn records_go_when_their_commits_are_finished() {
    for_seeds(15, Faults::heavy(), |sim| async move {
        let gates = [sim.gate().await, sim.gate().await];
        for value in 0..12 {
            // Of the same rows, so that some are in the way of others.
            let (a, b) = (commit(&gates[0], vec![write(1, value), write(2, value)]), async {
                commit(&gates[1], vec![write(2, value), write(3, value)]).await;
            });
            futures::join!(a, b);
        }
        sim.heal();
        sim.sleep(Duration::from_secs(5)).await;
        let connection = Connection::new(&sim.cluster, gates[0].env.clone());
        let left = loop {
            if let Ok(page) = connection.ring(Table::Transactions, None, 100).await {
                break page;
            }
        };
        assert_eq!(left.rows.len(), 0, "{left:?}");
    });
}

/// A second commit, through another gateway with another clock, begins when the first is
/// acknowledged: who sees the second sees the first.
#[test]
fn a_causal_pair_of_single_batches() {
    for_seeds(40, only_delays(), |sim| async move {
        let (one, two) = (sim.gate().await, sim.gate().await);
        let reader = sim.gate().await;
        let (first, second) = (one.clone(), two.clone());
        sim.spawn(&one, async move {
            assert!(commit(&first, vec![write(1, 1)]).await);
            assert!(commit(&second, vec![write(2, 1)]).await);
        });
        for _ in 0..12 {
            let hold = reader.store.snapshot().await.unwrap();
            let effect = get(&reader, 2, hold.at).await;
            let cause = get(&reader, 1, hold.at).await;
            assert!(effect.is_none() || cause.is_some(), "an effect without its cause");
        }
    });
}

/// Batches are learned by some replicas only; a reader of an old version finds it all the same.
#[test]
fn a_head_learned_before_its_history() {
    let faults = Faults { lost: 150, client_lost: 0, late: 0, ..Faults::heavy() };
    for_seeds(25, faults, |sim| async move {
        let (writer, reader) = (sim.gate().await, sim.gate().await);
        while !commit(&writer, vec![write(1, 0)]).await {}
        let hold = loop {
            if let Ok(hold) = reader.store.snapshot().await {
                break hold;
            }
        };
        for value in 1..6 {
            commit(&writer, vec![write(1, value)]).await;
            if let Ok(version) = reader.store.get(&key(1), hold.at).await {
                let value = version.and_then(|v| v.value).map(|v| v[0]);
                assert_eq!(value, Some(0), "the old version");
            }
        }
    });
}

/// A gateway stands still anywhere within its commit, for longer than its lease, and is retired;
/// then it goes on. What was read meanwhile stays, and the log has what is there.
#[test]
fn a_sealer_against_a_late_intent() {
    for_seeds(40, only_delays(), |mut sim| async move {
        // The log is read from its beginning.
        sim.departed_kept = LONG;
        let (late, other) = (sim.gate().await, sim.gate().await);
        let task = late.clone();
        let several = sim.world.random(2) == 0;
        sim.spawn(&late, async move {
            let writes = if several { vec![write(1, 1), write(2, 1)] } else { vec![write(1, 1)] };
            commit(&task, writes).await;
        });
        sim.sleep(Duration::from_micros(sim.world.random(40_000))).await;
        sim.world.pause(late.env.node, LEASE * 4);
        // Raises the timestamps over what the late one may have chosen.
        assert!(commit(&other, vec![write(3, 1)]).await);
        let hold = other.store.snapshot().await.unwrap();
        let seen = get(&other, 1, hold.at).await;
        other.resolves(hold.at, Duration::from_millis(30)).await;
        let page = other.store.changes(SPACE, &Cursor::default(), 100).await.unwrap();
        let logged = page.keys.iter().any(|(k, ts)| *k == key(1) && *ts <= hold.at);
        assert!(seen.is_none() || logged, "seen, and not in the log");
        sim.sleep(LEASE * 5).await;
        assert_eq!(get(&other, 1, hold.at).await, seen, "it came after all");
    });
}

/// Two gateways write one row at once, again and again. Who is refused has told its log what it
/// hoped for; it is written over.
#[test]
fn what_was_refused_is_in_no_log() {
    for_seeds(25, only_delays(), |sim| async move {
        let (one, other) = (sim.gate().await, sim.gate().await);
        assert!(commit(&one, vec![write(1, 0)]).await);
        let first = one.store.snapshot().await.unwrap();
        let _kept = other.store.hold(first.at).unwrap();
        for n in 1..6 {
            futures::join!(commit(&one, vec![write(1, n)]), commit(&other, vec![write(1, n)]));
        }
        let last = other.store.snapshot().await.unwrap();
        other.resolves(last.at, Duration::from_millis(30)).await;
        let page = other.store.changes(SPACE, &Cursor::default(), 100).await.unwrap();
        for (key, ts) in page.keys {
            let version = other.store.get(&key, ts).await.unwrap();
            assert_eq!(version.map(|v| v.ts), Some(ts), "in the log and nowhere else");
        }
    });
}

/// A gateway stands still for longer than its lease and is retired. What its transaction had
/// locked is void, and known to be; soon it works again, and goes nowhere back in time.
#[test]
fn a_retired_gateway_joins_again() {
    for_seeds(25, only_delays(), |sim| async move {
        let (late, other) = (sim.gate().await, sim.gate().await);
        assert!(commit(&late, vec![write(1, 0)]).await);
        let me = txn();
        let wait = LockWait::Block { lock_timeout_ms: 0, deadlock_timeout_ms: 0 };
        let keys = vec![key(1), Key::new(SPACE, &[], 0)];
        for key in &keys {
            let request =
                LockRequest { txn: me, keys: vec![key.clone()], mode: LockMode::Share, wait };
            late.store.lock(request).await.unwrap();
        }
        let hold = late.store.snapshot().await.unwrap();
        sim.world.pause(late.env.node, LEASE * 4);
        assert!(commit(&other, vec![write(1, 1)]).await);
        sim.sleep(LEASE * 4 + Duration::from_micros(sim.world.random(600_000))).await;
        // Whatever moment this is, before or after it joined again.
        let alone = sim.world.random(2) == 0;
        let key_shared = if alone { vec![] } else { vec![write(2, 2)] };
        let writes = [vec![write(1, 2)], key_shared].concat();
        let (snapshot, reads, ranges) = (hold.at, vec![], vec![]);
        let ended = late.store.commit(Commit { txn: me, snapshot, reads, ranges, writes }).await;
        assert!(is_allowed(&ended.unwrap_err()), "a lock that was lost");
        let mut tries = 0;
        while !commit(&late, vec![write(3, 1)]).await {
            tries += 1;
            assert!(tries < 100, "it does not join again");
            sim.sleep(LEASE / 20).await;
        }
        let late_hold = late.store.snapshot().await.unwrap();
        assert!(late_hold.at > hold.at);
        assert_eq!(get(&late, 1, late_hold.at).await, Some(1));
        let before = late.store.get(&key(1), hold.at).await.unwrap_err();
        assert_eq!(before.code(), SqlState::SNAPSHOT_TOO_OLD);
    });
}

/// Who meets the intents of a commit of its own gateway, which is acknowledged and has no verdict
/// on record yet, reads them or waits; and then the gateway dies.
#[test]
fn what_was_acknowledged_before_its_verdict_outlives_its_gateway() {
    for_seeds(4, Faults::none(), |mut sim| async move {
        sim.implicit_max = Some(32);
        let (first, second) = (write(1, 1), write(2, 1));
        let (dying, other) = (sim.gate().await, sim.gate().await);
        assert!(commit(&other, vec![write(1, 0), write(2, 0)]).await);
        // Their rows are finished.
        sim.sleep(Duration::from_millis(100)).await;
        sim.cluster.lose_verdicts(true);
        assert!(commit(&dying, vec![first, second]).await);
        let task = dying.clone();
        sim.spawn(&dying, async move {
            commit(&task, vec![write(1, 2)]).await;
        });
        let hold = dying.store.snapshot().await.unwrap();
        assert_eq!(get(&dying, 1, hold.at).await, Some(1));
        assert_eq!(newest(&dying, 1).await, Some(1));
        sim.sleep(Duration::from_millis(100)).await;
        sim.world.pause(dying.env.node, LEASE * 1000);
        sim.cluster.lose_verdicts(false);
        sim.sleep(LEASE * 4).await;
        let hold = other.store.snapshot().await.unwrap();
        let found = (get(&other, 1, hold.at).await, get(&other, 2, hold.at).await);
        assert_eq!(found, (Some(1), Some(1)));
    });
}

/// A gateway gets no more answers anywhere within its commit, stands still and is retired. What
/// others settle for it they finish, write over and prune in row 1; then it goes on, and finds
/// nothing of its own there. Another gateway, and when the commit was, if it counts.
async fn settled_while_late(sim: &Sim, writes: Vec<Write>) -> (Gate, Option<Timestamp>) {
    let (late, other) = (sim.gate().await, sim.gate().await);
    assert!(commit(&other, vec![write(1, 0), write(2, 0)]).await);
    sim.sleep(Duration::from_millis(100)).await;
    let task = late.clone();
    sim.spawn(&late, async move {
        commit(&task, writes).await;
    });
    sim.sleep(Duration::from_micros(sim.world.random(30_000))).await;
    sim.cluster.set_faults(Faults { client_lost: 500, ..only_delays() });
    sim.sleep(Duration::from_millis(30)).await;
    sim.world.pause(late.env.node, LEASE * 12);
    sim.cluster.set_faults(only_delays());
    sim.sleep(LEASE * 2).await;
    let found = newest_version(&other, 1).await.filter(|version| version.value == byte(1));
    for value in 2..5 {
        assert!(commit(&other, vec![write(1, value)]).await);
        sim.sleep(LEASE).await;
    }
    sim.sleep(LEASE * 12).await;
    (other, found.map(|version| version.ts))
}

#[test]
fn what_was_settled_for_a_late_gateway_stays_whole() {
    let shown = Arc::new(AtomicU64::new(0));
    let count = shown.clone();
    for_seeds(60, only_delays(), move |mut sim| {
        sim.implicit_max = Some(32);
        let shown = count.clone();
        async move {
            let writes = vec![write(1, 1), write(2, 1)];
            let (other, committed) = settled_while_late(&sim, writes).await;
            let expected = u8::from(committed.is_some());
            assert_eq!(newest(&other, 2).await, Some(expected), "half of a commit");
            shown.fetch_add(u64::from(expected), Ordering::SeqCst);
        }
    });
    assert_ne!(shown.load(Ordering::SeqCst), 0);
}

#[test]
fn what_was_settled_for_a_late_gateway_stays_in_the_log() {
    for_seeds(60, only_delays(), move |mut sim| async move {
        // The log is read from its beginning.
        sim.departed_kept = LONG;
        let (other, committed) = settled_while_late(&sim, vec![write(1, 1)]).await;
        let hold = other.store.snapshot().await.unwrap();
        other.resolves(hold.at, Duration::from_millis(30)).await;
        let page = other.store.changes(SPACE, &Cursor::default(), 100).await.unwrap();
        let logged = |ts: Timestamp| page.keys.contains(&(key(1), ts));
        assert!(committed.is_none_or(logged), "{committed:?} in {page:?}");
    });
}

fn byte(value: u8) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(&[value]))
}

async fn newest_version(gate: &Gate, n: u8) -> Option<Version> {
    gate.store.get(&key(n), Timestamp::MAX).await.unwrap()
}

async fn newest(gate: &Gate, n: u8) -> Option<u8> {
    newest_version(gate, n).await.and_then(|version| version.value).map(|value| value[0])
}
