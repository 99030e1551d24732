//! Transfers between few accounts, written over all the time, on gateways that hear nothing for a
//! while and then stand still for longer than their lease: what they asked for takes effect
//! unseen, others settle it, and they come back to something else.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::harness::*;
use super::*;
use crate::error::ErrorKind;
use crate::kv::conformance::{BLOCK, txn};

const SPACE: SpaceId = SpaceId(306);
/// Accounts by their partitions.
const ACCOUNTS: [[u8; 2]; 4] = [[0, 0], [0, 1], [1, 0], [2, 0]];
const CLIENTS: u64 = 4;
const TRANSFERS: u64 = 25;
/// What follows an entry's partition in its key.
const ENTRY: u8 = 9;
/// What follows it in the key of a mark, which comes and goes.
const MARK: u8 = 8;

type Number = i64;

fn account(n: usize) -> Key {
    Key::new(SPACE, &ACCOUNTS[n], 1)
}

/// The ledger's entry of a transfer, beside the account that gives.
fn entry(id: u64, from: usize) -> Key {
    Key::new(SPACE, &[ACCOUNTS[from][0], ENTRY, (id >> 8) as u8, id as u8], 1)
}

/// The mark beside an account.
fn mark(n: usize) -> Key {
    Key::new(SPACE, &[ACCOUNTS[n][0], MARK], 1)
}

fn numbers(version: Option<&Version>) -> Vec<Number> {
    let value = version.and_then(|v| v.value.clone()).unwrap_or_default();
    value.chunks(8).map(|bytes| Number::from_be_bytes(bytes.try_into().unwrap())).collect()
}

fn balance(version: Option<&Version>) -> Number {
    numbers(version).first().copied().unwrap_or(0)
}

fn write(key: Key, numbers: &[Number], expect: Expect) -> Write {
    let value: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
    Write { key, value: Some(value.into()), expect, tracked: true }
}

/// A transfer and what its client was told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Committed(Timestamp),
    Refused,
    Nothing,
}

#[derive(Clone)]
struct Shared {
    gates: Arc<Mutex<Vec<Gate>>>,
    told: Arc<Mutex<BTreeMap<u64, (Key, Told)>>>,
    left: Arc<Mutex<u64>>,
}

async fn found_and_locked(
    store: &LwtStore,
    me: TxnId,
    keys: &[Key; 2],
    at: Timestamp,
    lock: bool,
) -> Result<Vec<Option<Version>>> {
    if !lock {
        return store.get_many(keys, at).await;
    }
    let mode = LockMode::NoKeyUpdate;
    let request = LockRequest { txn: me, keys: keys.to_vec(), mode, wait: BLOCK };
    let locked = store.lock(request).await;
    if locked.is_err() {
        store.abandon(me);
    }
    Ok(locked?.into_iter().map(|row| row.unwrap().current).collect())
}

/// One transfer, its entry in the ledger with it, and a mark set or removed.
async fn transfer(sim: &Sim, store: &LwtStore, id: u64, from: usize) -> Result<CommitOutcome> {
    let n = ACCOUNTS.len();
    // Half of them within one partition.
    let near = from < 2 && sim.world.random(2) == 0;
    let to = if near { 1 - from } else { (from + 1 + sim.world.random(n as u64 - 1) as usize) % n };
    let amount = sim.world.random(20) as Number;
    let keys = [account(from), account(to)];
    let me = txn();
    let hold = store.snapshot().await?;
    let lock = sim.world.random(2) == 0;
    let found = found_and_locked(store, me, &keys, hold.at, lock).await?;
    let expect = |n: usize| match lock {
        true => Expect::Any,
        false => Expect::Unchanged(found[n].as_ref().map_or(Timestamp::ZERO, |v| v.ts)),
    };
    let balance = |n: usize| balance(found[n].as_ref());
    let marked = sim.world.random(2) as Number;
    let moved = [from as Number, to as Number, amount, marked];
    let mut marking = write(mark(from), &[marked], Expect::Any);
    marking.value = marking.value.filter(|_| marked == 1);
    let writes = vec![
        write(keys[0].clone(), &[balance(0) - amount], expect(0)),
        write(keys[1].clone(), &[balance(1) + amount], expect(1)),
        write(entry(id, from), &moved, Expect::Absent),
        marking,
    ];
    let (reads, ranges) = (Vec::new(), Vec::new());
    store.commit(Commit { txn: me, snapshot: hold.at, reads, ranges, writes }).await
}

async fn client(sim: Sim, shared: Shared, client: u64) {
    for round in 0..TRANSFERS {
        let gate = shared.gates.lock()[sim.world.random(2) as usize].clone();
        let id = client << 8 | round;
        let from = sim.world.random(ACCOUNTS.len() as u64) as usize;
        shared.told.lock().insert(id, (entry(id, from), Told::Nothing));
        let (ended, end) = futures::channel::oneshot::channel();
        let (inner, told) = (sim.clone(), shared.told.clone());
        sim.spawn(&gate.clone(), async move {
            let outcome = match transfer(&inner, &gate.store, id, from).await {
                Ok(CommitOutcome::Committed(at)) => Told::Committed(at),
                Ok(_) => Told::Refused,
                Err(error) if error.kind() == ErrorKind::Undetermined => Told::Nothing,
                Err(error) => {
                    assert!(is_allowed(&error), "{error:?}");
                    Told::Refused
                }
            };
            told.lock().get_mut(&id).unwrap().1 = outcome;
            let _ = ended.send(());
        });
        // Nobody waits for who stands still.
        let patience = sim.cluster.env.sleep(LEASE);
        futures::future::select(end, patience).await;
    }
    *shared.left.lock() -= 1;
}

/// Gateways hear nothing for a moment, and mostly stand still then.
async fn silence(sim: Sim, shared: Shared) {
    while *shared.left.lock() > 0 {
        sim.sleep(Duration::from_millis(sim.world.random(200))).await;
        let gate = shared.gates.lock()[sim.world.random(2) as usize].clone();
        gate.deaf.store(true, Ordering::SeqCst);
        sim.sleep(Duration::from_micros(sim.world.random(40_000))).await;
        let pause = sim.world.random(3) * sim.world.random(LEASE.as_micros() as u64 * 3);
        sim.world.pause(gate.env.node, Duration::from_micros(pause));
        gate.deaf.store(false, Ordering::SeqCst);
        sim.sleep(Duration::from_micros(pause)).await;
    }
}

/// All that the log names, from its beginning.
async fn logged(gate: &Gate) -> HashSet<(Key, Timestamp)> {
    let hold = gate.store.snapshot().await.unwrap();
    gate.resolves(hold.at, Duration::from_millis(30)).await;
    let (mut keys, mut cursor) = (HashSet::new(), Cursor::default());
    loop {
        let page = gate.store.changes(SPACE, &cursor, 1000).await.unwrap();
        keys.extend(page.keys);
        cursor = page.next;
        if !page.more {
            return keys;
        }
    }
}

/// What the ledger says of balances and marks.
#[derive(Default)]
struct Ledger {
    balances: [Number; ACCOUNTS.len()],
    /// By partition, of the newest entry.
    marks: BTreeMap<u8, (Timestamp, Number)>,
}

impl Ledger {
    /// Takes up an entry; the keys that its commit wrote.
    fn add(&mut self, key: Key, version: &Version) -> Vec<Key> {
        let [from, to, amount, marked] = numbers(Some(version))[..] else { panic!("{version:?}") };
        let (from, to) = (from as usize, to as usize);
        self.balances[from] -= amount;
        self.balances[to] += amount;
        let newest = self.marks.entry(ACCOUNTS[from][0]).or_default();
        *newest = (*newest).max((version.ts, marked));
        vec![account(from), account(to), mark(from), key]
    }
}

/// The ledger has what was acknowledged and nothing that was refused, balances and marks are what
/// it says, and the log names every row that its commits wrote.
async fn examine(sim: &Sim, shared: &Shared) {
    let last = sim.gate().await;
    let told = shared.told.lock().clone();
    let hold = last.store.snapshot().await.unwrap();
    let entries: Vec<Key> = told.values().map(|(key, _)| key.clone()).collect();
    let entries = last.store.get_many(&entries, hold.at).await.unwrap();
    let log = logged(&last).await;
    let (mut ledger, mut wrong) = (Ledger::default(), Vec::new());
    for ((id, (key, told)), version) in told.into_iter().zip(&entries) {
        let is = version.as_ref().map(|version| version.ts);
        let holds = match told {
            Told::Committed(at) => is == Some(at),
            Told::Refused => is.is_none(),
            Told::Nothing => true,
        };
        if !holds {
            wrong.push(format!("{id}: {told:?}, found {is:?}"));
        }
        let Some(version) = version else { continue };
        let written = ledger.add(key, version).into_iter();
        let missing: Vec<Key> =
            written.filter(|k| !log.contains(&(k.clone(), version.ts))).collect();
        if !missing.is_empty() {
            wrong.push(format!("{id}: {missing:?} at {:?} in no log", version.ts));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (n, [partition, _]) in ACCOUNTS.iter().enumerate() {
        let keys = [account(n), mark(n)];
        let found = last.store.get_many(&keys, hold.at).await.unwrap();
        let is = (balance(found[0].as_ref()), balance(found[1].as_ref()));
        let (_, marked) = ledger.marks.get(partition).copied().unwrap_or_default();
        assert_eq!(is, (ledger.balances[n], marked), "what the ledger says of {n}");
    }
}

async fn transfers(mut sim: Sim) {
    // The log is read from its beginning.
    sim.departed_kept = LONG;
    let gates = vec![sim.gate().await, sim.gate().await];
    let shared = Shared {
        gates: Arc::new(Mutex::new(gates)),
        told: Arc::default(),
        left: Arc::new(Mutex::new(CLIENTS)),
    };
    for n in 0..CLIENTS {
        sim.cluster.env.spawn(Box::pin(client(sim.clone(), shared.clone(), n)));
    }
    silence(sim.clone(), shared.clone()).await;
    sim.heal();
    // Those that stood still come to their ends.
    sim.sleep(LEASE * 20).await;
    examine(&sim, &shared).await;
}

#[test]
fn who_hears_nothing_and_stands_still_changes_nothing_later() {
    let only_delays = Faults { lost: 0, client_lost: 0, late: 0, ..Faults::heavy() };
    for_seeds(12, only_delays, transfers);
}

#[test]
fn the_same_while_messages_get_lost() {
    for_seeds(12, Faults::heavy(), transfers);
}

#[test]
fn the_same_on_accord() {
    for_seeds_with_accord(12, Faults::heavy(), transfers);
}
