//! Reads of one key without a snapshot, on any gateway, beside writers of one row, of several in
//! one partition and of several partitions: what was acknowledged or shown is seen from then on.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use super::super::sim::cluster::REPLICAS;
use super::harness::*;
use super::*;
use crate::error::ErrorKind;
use crate::kv::conformance::txn;

const SPACE: SpaceId = SpaceId(304);
/// Counters: each is written to all rows of its group by one commit.
const GROUPS: u64 = 4;
const READERS: u64 = 4;
const ROUNDS: u64 = 14;

/// Rows of a group: alone; two and three in one partition; two in two.
fn rows(group: u64) -> Vec<Key> {
    let key = |partition: u8, n: u8| Key::new(SPACE, &[partition, n], 1);
    match group {
        0 => vec![key(0, 0)],
        1 => vec![key(1, 0), key(1, 1)],
        2 => vec![key(2, 0), key(2, 1), key(2, 2)],
        _ => vec![key(1, 9), key(3, 0)],
    }
}

fn count(version: Option<&Version>) -> u64 {
    let value = version.and_then(|v| v.value.as_ref());
    value.map_or(0, |v| u64::from_be_bytes(v.as_ref().try_into().unwrap()))
}

/// What everybody is owed of a group.
#[derive(Clone, Debug, Default)]
struct Owed {
    /// The highest number that was acknowledged, or shown by any read.
    least: u64,
    /// Numbers that were refused.
    refused: BTreeSet<u64>,
}

#[derive(Clone)]
struct Shared {
    groups: Arc<Mutex<Vec<Owed>>>,
    gates: Arc<Mutex<Vec<Gate>>>,
    wrong: Arc<Mutex<Vec<String>>>,
    left: Arc<Mutex<u64>>,
}

impl Shared {
    fn owed(&self) -> Vec<u64> {
        self.groups.lock().iter().map(|g| g.least).collect()
    }

    /// A read showed a number where `owed` was owed as it began.
    fn seen(&self, what: &str, group: u64, number: u64, owed: u64) {
        let groups = &mut *self.groups.lock();
        let of = &mut groups[group as usize];
        if number < owed {
            let text = format!("{what}: group {group} went back from {owed} to {number}");
            self.wrong.lock().push(text);
        }
        if of.refused.contains(&number) {
            self.wrong.lock().push(format!("{what}: {number} of group {group} was refused"));
        }
        of.least = of.least.max(number);
    }
}

/// A commit that writes a number to all rows of a group.
fn written(group: u64, number: u64) -> Commit {
    let value = Some(Bytes::copy_from_slice(&number.to_be_bytes()));
    let write = |key| Write { key, value: value.clone(), expect: Expect::Any, tracked: false };
    let writes = rows(group).into_iter().map(write).collect();
    let snapshot = Timestamp::ZERO;
    Commit { txn: txn(), snapshot, reads: vec![], ranges: vec![], writes }
}

/// Half of the writers look at a row first, and few of those write nothing then.
async fn write(sim: Sim, shared: Shared, gate: Gate, group: u64, number: u64) {
    let commit = written(group, number);
    let mut announced = None;
    if sim.world.random(2) == 0 {
        let owed = shared.owed()[group as usize];
        match gate.store.look(commit.txn, &commit.writes[0].key).await {
            Ok((version, guard)) => {
                shared.seen("look", group, count(version.as_ref()), owed);
                announced = guard;
            }
            Err(error) => assert!(is_allowed(&error), "{error:?}"),
        }
        sim.sleep(Duration::from_micros(sim.world.random(2) * sim.world.random(40_000))).await;
        if sim.world.random(8) == 0 {
            return;
        }
    }
    let outcome = gate.store.commit(commit).await;
    drop(announced);
    match outcome {
        Ok(CommitOutcome::Committed(_)) => {
            let of = &mut shared.groups.lock()[group as usize];
            of.least = of.least.max(number);
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) if error.kind() == ErrorKind::Undetermined => {}
        Err(error) => {
            assert!(is_allowed(&error), "{error:?}");
            shared.groups.lock()[group as usize].refused.insert(number);
        }
    }
    sim.sleep(Duration::from_micros(sim.world.random(4000))).await;
}

/// One key alone, or all rows at a snapshot.
async fn read(sim: Sim, shared: Shared, gate: Gate) {
    let owed = shared.owed();
    let group = sim.world.random(GROUPS);
    let keys = rows(group);
    if sim.world.random(4) > 0 {
        let key = &keys[sim.world.random(keys.len() as u64) as usize];
        match gate.store.get(key, Timestamp::MAX).await {
            Ok(version) => {
                let number = count(version.as_ref());
                shared.seen("newest", group, number, owed[group as usize]);
            }
            Err(error) => assert!(is_allowed(&error), "{error:?}"),
        }
        return;
    }
    let found = match gate.store.snapshot().await {
        Ok(hold) => gate.store.get_many(&keys, hold.at).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(found) => {
            let numbers: BTreeSet<u64> = found.iter().map(|v| count(v.as_ref())).collect();
            assert_eq!(numbers.len(), 1, "a torn snapshot of group {group}: {numbers:?}");
            for number in numbers {
                shared.seen("snapshot", group, number, owed[group as usize]);
            }
        }
        Err(error) => assert!(is_allowed(&error), "{error:?}"),
    }
}

/// Runs a client's steps one after the other, each on a gateway that lives.
fn client<F: Future<Output = ()> + Send + 'static>(
    sim: &Sim,
    shared: &Shared,
    crashes: bool,
    step: impl Fn(u64, Gate) -> F + Send + 'static,
) {
    let (sim, shared) = (sim.clone(), shared.clone());
    sim.clone().cluster.env.spawn(Box::pin(async move {
        for round in 0..ROUNDS {
            let at = sim.world.random(2) as usize;
            let gate = shared.gates.lock()[at].clone();
            if crashes && sim.world.random(24) == 0 {
                sim.world.crash_at(gate.env.node, sim.world.random(60) + 1);
            }
            let (ended, end) = futures::channel::oneshot::channel();
            let work = step(round, gate.clone());
            sim.spawn(&gate, async move {
                work.await;
                let _ = ended.send(());
            });
            let _ = end.await;
            let gone = sim.world.is_dead(gate.env.node);
            let stands = || shared.gates.lock()[at].env.node == gate.env.node;
            if gone && stands() {
                let next = sim.gate().await;
                if stands() {
                    shared.gates.lock()[at] = next;
                }
            }
        }
        *shared.left.lock() -= 1;
    }));
}

async fn counters(sim: Sim, crashes: bool) -> Vec<String> {
    let gates = vec![sim.gate().await, sim.gate().await];
    let shared = Shared {
        groups: Arc::new(Mutex::new(vec![Owed::default(); GROUPS as usize])),
        gates: Arc::new(Mutex::new(gates)),
        wrong: Arc::default(),
        left: Arc::new(Mutex::new(GROUPS + READERS)),
    };
    sim.harass(shared.gates.clone());
    // One writer for each group: its numbers rise.
    for group in 0..GROUPS {
        let (s, all) = (sim.clone(), shared.clone());
        client(&sim, &shared, crashes, move |round, gate| {
            write(s.clone(), all.clone(), gate, group, round + 1)
        });
    }
    for _ in 0..READERS {
        let (s, all) = (sim.clone(), shared.clone());
        client(&sim, &shared, crashes, move |_, gate| {
            let (s, all) = (s.clone(), all.clone());
            async move {
                for _ in 0..3 {
                    read(s.clone(), all.clone(), gate.clone()).await;
                }
            }
        });
    }
    while *shared.left.lock() > 0 {
        sim.sleep(Duration::from_millis(20)).await;
    }
    sim.heal();
    std::mem::take(&mut *shared.wrong.lock())
}

/// A look whose commit does not follow, because its transaction lives and does something else.
#[test]
fn an_announced_look_holds_up_readers_for_a_while_only() {
    let faults = Faults { lost: 0, client_lost: 0, late: 0, ..Faults::heavy() };
    for_seeds(10, faults, |sim| async move {
        let (writer, reader) = (sim.gate().await, sim.gate().await);
        let first = writer.store.commit(written(0, 1)).await.unwrap();
        assert!(matches!(first, CommitOutcome::Committed(_)));
        let key = &rows(0)[0];
        let (_, announced) = writer.store.look(txn(), key).await.unwrap();
        // Raises `high` above what is announced.
        writer.store.commit(written(1, 1)).await.unwrap();
        for gate in [&writer, &reader] {
            let (before, hold) = (sim.world.now(), gate.store.snapshot().await.unwrap());
            let version = gate.store.get(key, hold.at).await.unwrap();
            assert_eq!(count(version.as_ref()), 1);
            let took = sim.world.now() - before;
            assert!(took < Duration::from_millis(500), "{took:?}");
        }
        drop(announced);
    });
}

/// Adds one to a row's number by a look and a commit that demands what was seen, until it is done.
async fn add_one(store: SharedStore, key: Key) {
    loop {
        let txn = txn();
        let (version, announced) = store.look(txn, &key).await.unwrap();
        let seen = version.unwrap();
        let value = Some(Bytes::copy_from_slice(&(count(Some(&seen)) + 1).to_be_bytes()));
        let write =
            Write { key: key.clone(), value, expect: Expect::Unchanged(seen.ts), tracked: false };
        let commit = Commit {
            txn,
            snapshot: Timestamp::ZERO,
            reads: vec![],
            ranges: vec![],
            writes: vec![write],
        };
        let outcome = store.commit(commit).await.unwrap();
        drop(announced);
        if matches!(outcome, CommitOutcome::Committed(_)) {
            return;
        }
    }
}

/// Many that look at one row at once, on two gateways: each may find what another is writing.
#[test]
fn looks_at_one_row_do_not_wait_for_each_other() {
    const CLIENTS: u64 = 6;
    const ADDED: u64 = 8;
    let faults = Faults { lost: 0, client_lost: 0, late: 0, ..Faults::heavy() };
    for_seeds(20, faults, |sim| async move {
        let gates = [sim.gate().await, sim.gate().await];
        let first = gates[0].store.commit(written(0, 0)).await.unwrap();
        assert!(matches!(first, CommitOutcome::Committed(_)));
        let (key, left) = (rows(0).remove(0), Arc::new(Mutex::new(CLIENTS)));
        let before = sim.world.now();
        for client in 0..CLIENTS {
            let gate = &gates[client as usize % 2];
            let (store, key, left) = (gate.store.clone(), key.clone(), left.clone());
            sim.spawn(gate, async move {
                for _ in 0..ADDED {
                    add_one(store.clone(), key.clone()).await;
                }
                *left.lock() -= 1;
            });
        }
        while *left.lock() > 0 {
            sim.sleep(Duration::from_millis(5)).await;
        }
        let took = sim.world.now() - before;
        assert!(took < Duration::from_secs(20), "{took:?}");
        let version = gates[1].store.get(&key, Timestamp::MAX).await.unwrap();
        assert_eq!(count(version.as_ref()), CLIENTS * ADDED);
    });
}

#[test]
fn what_was_shown_stays_while_messages_get_lost() {
    for_seeds(20, Faults::heavy(), |sim| async move {
        assert_eq!(counters(sim, false).await, Vec::<String>::new());
    });
}

#[test]
fn what_was_shown_stays_while_gateways_die() {
    for_seeds(20, Faults::heavy(), |sim| async move {
        assert_eq!(counters(sim, true).await, Vec::<String>::new());
    });
}

/// Both rows of a batch, written again and again; readers on another gateway read the one, then
/// the other, now and then both at a snapshot. Other commits there raise its `high` meanwhile. Often
/// only one replica hears anything for a moment, so that batches are half-learned.
async fn pairs(sim: Sim) -> usize {
    let (writer, reader) = (sim.gate().await, sim.gate().await);
    let (left, wrong) = (Arc::new(Mutex::new(1 + READERS)), Arc::new(Mutex::new(0)));
    let (store, done) = (writer.store.clone(), left.clone());
    sim.spawn(&writer, async move {
        for number in 1..40u64 {
            if let Err(error) = store.commit(written(1, number)).await {
                assert!(is_allowed(&error), "{error:?}");
            }
        }
        *done.lock() -= 1;
    });
    let (store, done) = (reader.store.clone(), left.clone());
    sim.spawn(&reader, async move {
        for number in 1.. {
            if *done.lock() <= READERS {
                return;
            }
            if let Err(error) = store.commit(written(0, number)).await {
                assert!(is_allowed(&error), "{error:?}");
            }
        }
    });
    for _ in 0..READERS {
        let (store, done, wrong) = (reader.store.clone(), left.clone(), wrong.clone());
        let world = sim.world.clone();
        sim.spawn(&reader, async move {
            while *done.lock() > READERS {
                let Ok(first) = store.get(&rows(1)[0], Timestamp::MAX).await else { continue };
                let Ok(second) = store.get(&rows(1)[1], Timestamp::MAX).await else { continue };
                let mut shown = vec![count(first.as_ref()), count(second.as_ref())];
                *wrong.lock() += usize::from(!shown.is_sorted());
                if world.random(4) > 0 {
                    continue;
                }
                let Ok(hold) = store.snapshot().await else { continue };
                let Ok(both) = store.get_many(&rows(1), hold.at).await else { continue };
                shown.extend(both.iter().map(|v| count(v.as_ref())));
                assert_eq!(shown[2], shown[3], "a torn snapshot");
                *wrong.lock() += usize::from(!shown.is_sorted());
            }
        });
    }
    while *left.lock() > READERS {
        sim.sleep(Duration::from_micros(sim.world.random(15_000))).await;
        let hears = sim.world.random(REPLICAS as u64) as usize;
        let cut = |cut| {
            (0..REPLICAS).filter(|n| *n != hears).for_each(|n| sim.cluster.set_cut(n, cut));
        };
        cut(true);
        sim.sleep(Duration::from_micros(sim.world.random(2_500))).await;
        cut(false);
    }
    *wrong.lock()
}

/// How many reads went back.
fn went_back(unsure: bool) -> usize {
    let found = Arc::new(Mutex::new(0));
    let all = found.clone();
    let faults = Faults { lost: 5, client_lost: 0, late: 0, ..Faults::heavy() };
    for_seeds(20, faults, move |mut sim| {
        let all = all.clone();
        sim.unsure = unsure;
        async move {
            let wrong = pairs(sim).await;
            *all.lock() += wrong;
        }
    });
    *found.lock()
}

#[test]
fn what_was_shown_of_a_batch_stays() {
    assert_eq!(went_back(false), 0);
}

#[test]
fn what_was_shown_goes_away_if_it_is_not_made_sure() {
    assert!(went_back(true) > 0);
}
