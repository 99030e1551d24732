//! SERIALIZABLE transactions that read lists and append to them, checked for cycles; write skew;
//! rows that only one may insert.

use parking_lot::Mutex;

use super::harness::*;
use super::history::{Ended, Observed, check};
use super::*;
use crate::error::ErrorKind;
use crate::kv::conformance::txn;

const LISTS: SpaceId = SpaceId(301);
const KEYS: u64 = 5;

/// Key `n`: the first two share a partition.
fn list_key(n: u64) -> Key {
    Key::new(LISTS, &[n.saturating_sub(1) as u8, n as u8], 1)
}

fn decode(version: Option<&Version>) -> Vec<u64> {
    let value = version.and_then(|v| v.value.as_ref());
    let number = |b: &[u8]| u64::from_be_bytes(b.try_into().unwrap());
    value.map_or(Vec::new(), |v| v.chunks(8).map(number).collect())
}

fn encode(list: &[u64]) -> Option<Bytes> {
    Some(list.iter().flat_map(|n| n.to_be_bytes()).collect())
}

/// A key's range: its own partition from the key up to the next.
fn range_of(key: &Key) -> KeyRange {
    KeyRange::prefix(LISTS, key.bytes().slice(Key::SPACE_LEN..), Some(1))
}

/// One transaction. What it read and wrote goes into `seen` as it happens.
async fn run(sim: &Sim, store: &LwtStore, element: u64, seen: &mut Observed) -> Result<Ended> {
    let hold = store.snapshot().await?;
    let me = txn();
    let count = sim.world.random(3) + 1;
    let mut picked: Vec<u64> = (0..count).map(|_| sim.world.random(KEYS)).collect();
    picked.sort_unstable();
    picked.dedup();
    let keys: Vec<Key> = picked.iter().map(|n| list_key(*n)).collect();
    let found = match sim.world.random(2) {
        0 => store.get_many(&keys, hold.at).await?,
        _ => {
            let mut found = Vec::new();
            for key in &keys {
                found.push(store.get(key, hold.at).await?);
            }
            found
        }
    };
    let mut commit =
        Commit { txn: me, snapshot: hold.at, reads: vec![], ranges: vec![], writes: vec![] };
    for ((n, key), version) in picked.iter().zip(&keys).zip(&found) {
        let mut list = decode(version.as_ref());
        seen.reads.push((*n, list.clone()));
        match sim.world.random(4) {
            0 => commit.ranges.push(RangeCheck { range: range_of(key), at: hold.at }),
            1 if sim.world.random(4) == 0 => {
                commit.ranges.push(RangeCheck { range: KeyRange::all(LISTS), at: hold.at });
            }
            _ => {
                let ts = version.as_ref().map_or(Timestamp::ZERO, |v| v.ts);
                commit.reads.push(ReadCheck { key: key.clone(), seen: ts });
            }
        }
        if sim.world.random(2) == 0 {
            seen.appends.push((*n, element));
            list.push(element);
            let (key, value) = (key.clone(), encode(&list));
            commit.writes.push(Write { key, value, expect: Expect::Any, tracked: true });
        }
    }
    if commit.writes.is_empty() {
        // What only reads saw one snapshot, and is not validated.
        return Ok(Ended::Committed);
    }
    match store.commit(commit).await? {
        CommitOutcome::Committed(_) => Ok(Ended::Committed),
        _ => Ok(Ended::Refused),
    }
}

type History = Arc<Mutex<Vec<Observed>>>;

async fn observe(sim: Sim, gate: Gate, element: u64, history: History) {
    let now = || sim.world.now();
    // Until it has ended, its end is not known: its gateway may die first.
    let place = history.lock().len();
    let open = Observed {
        begun: now(),
        ended: Duration::MAX,
        how: Ended::Unknown,
        reads: vec![],
        appends: (0..KEYS).map(|n| (n, element)).collect(),
    };
    history.lock().push(Observed { appends: Vec::new(), ..open.clone() });
    let mut seen = Observed { appends: Vec::new(), ..open };
    let result = run(&sim, &gate.store, element, &mut seen).await;
    seen.how = match result {
        Ok(how) => how,
        Err(error) if error.kind() == ErrorKind::Undetermined => Ended::Unknown,
        Err(error) => {
            assert!(is_allowed(&error), "{error:?}");
            Ended::Refused
        }
    };
    if seen.how != Ended::Unknown {
        seen.ended = now();
    }
    history.lock()[place] = seen;
}

async fn lists(sim: Sim, clients: u64, each: u64, crashes: bool) {
    let gates = Arc::new(Mutex::new(vec![sim.gate().await, sim.gate().await]));
    sim.harass(gates.clone());
    let history = History::default();
    let left = Arc::new(Mutex::new(clients));
    // Every append a client could have made has its element: who died while appending is found.
    for client in 0..clients {
        let (sim, gates, left) = (sim.clone(), gates.clone(), left.clone());
        let history = history.clone();
        sim.clone().cluster.env.spawn(Box::pin(async move {
            for n in 0..each {
                let gate = gates.lock()[client as usize % 2].clone();
                if crashes && sim.world.random(10) == 0 {
                    sim.world.crash_at(gate.env.node, sim.world.random(80) + 1);
                }
                let (ended, end) = futures::channel::oneshot::channel();
                let work =
                    observe(sim.clone(), gate.clone(), client * 1000 + n + 1, history.clone());
                sim.spawn(&gate, async move {
                    work.await;
                    let _ = ended.send(());
                });
                let _ = end.await;
                if sim.world.is_dead(gate.env.node) {
                    let next = sim.gate().await;
                    gates.lock()[client as usize % 2] = next;
                }
            }
            *left.lock() -= 1;
        }));
    }
    while *left.lock() > 0 {
        sim.sleep(Duration::from_millis(20)).await;
    }
    sim.heal();
    let last = sim.gate().await;
    let mut end = Observed {
        begun: sim.world.now(),
        ended: Duration::MAX,
        how: Ended::Committed,
        reads: vec![],
        appends: vec![],
    };
    let hold = last.store.snapshot().await.unwrap();
    for n in 0..KEYS {
        let version = last.store.get(&list_key(n), hold.at).await.unwrap();
        end.reads.push((n, decode(version.as_ref())));
    }
    let mut history = std::mem::take(&mut *history.lock());
    // Those whose gateway died before they could tell: what they appended shows at the end.
    let known: std::collections::BTreeSet<(u64, u64)> =
        history.iter().flat_map(|t| t.appends.clone()).collect();
    let mut orphans: std::collections::BTreeMap<u64, Vec<(u64, u64)>> = Default::default();
    for (key, list) in &end.reads {
        for element in list.iter().filter(|e| !known.contains(&(*key, **e))) {
            orphans.entry(*element).or_default().push((*key, *element));
        }
    }
    for appends in orphans.into_values() {
        let (begun, ended, how) = (Duration::ZERO, Duration::MAX, Ended::Unknown);
        history.push(Observed { begun, ended, how, reads: vec![], appends });
    }
    history.push(end);
    let found = check(&history);
    assert!(found.is_empty(), "{found:?} in {history:#?}");
    // What gateways left that are forgotten is in no log any more.
    if sim.departed_kept == LONG {
        check_log(&last, hold.at).await;
    }
}

/// The change log names every row there is, with its commit.
async fn check_log(gate: &Gate, at: Timestamp) {
    let store: SharedStore = gate.store.clone();
    gate.resolves(at, Duration::from_millis(100)).await;
    let (mut known, mut cursor) = (std::collections::HashSet::new(), Cursor::default());
    loop {
        let page = store.changes(LISTS, &cursor, 7).await.unwrap();
        known.extend(page.keys);
        cursor = page.next;
        if !page.more {
            break;
        }
    }
    for n in 0..KEYS {
        if let Some(version) = store.get(&list_key(n), at).await.unwrap() {
            assert!(known.contains(&(list_key(n), version.ts)), "key {n} at {:?}", version.ts);
        }
    }
}

#[test]
fn lists_are_serializable_while_messages_get_lost() {
    for_seeds(12, Faults::heavy(), |sim| lists(sim, 4, 10, false));
}

#[test]
fn lists_are_serializable_while_gateways_die() {
    for_seeds(12, Faults::heavy(), |sim| lists(sim, 4, 10, true));
}

#[test]
fn lists_are_serializable_on_accord() {
    for_seeds_with_accord(12, Faults::heavy(), |sim| lists(sim, 4, 10, true));
}

/// Two on call; each may leave if the other stays. Somebody always stays.
#[test]
fn write_skew_is_refused() {
    for_seeds(12, Faults::heavy(), on_call);
    for_seeds_with_accord(12, Faults::heavy(), on_call);
}

async fn on_call(sim: Sim) {
    let gates = [sim.gate().await, sim.gate().await];
    let keys = [list_key(1), list_key(4)];
    for round in 0..4u64 {
        let on: Vec<Write> = keys
            .iter()
            .map(|key| Write {
                key: key.clone(),
                value: encode(&[round]),
                expect: Expect::Any,
                tracked: false,
            })
            .collect();
        let fresh = |writes| Commit {
            txn: txn(),
            snapshot: Timestamp::ZERO,
            reads: vec![],
            ranges: vec![],
            writes,
        };
        while !matches!(
            gates[0].store.commit(fresh(on.clone())).await,
            Ok(CommitOutcome::Committed(_))
        ) {}
        let leave = |n: usize| {
            let (store, keys) = (gates[n].store.clone(), keys.clone());
            async move {
                let hold = store.snapshot().await?;
                let found = store.get_many(&keys, hold.at).await?;
                if found.iter().any(|v| v.as_ref().is_none_or(|v| v.value.is_none())) {
                    return Ok(());
                }
                let reads = keys
                    .iter()
                    .zip(&found)
                    .map(|(key, v)| ReadCheck { key: key.clone(), seen: v.as_ref().unwrap().ts });
                let (key, expect) = (keys[n].clone(), Expect::Any);
                let writes = vec![Write { key, value: None, expect, tracked: false }];
                let mut commit = Commit { reads: reads.collect(), ..fresh(writes) };
                commit.snapshot = hold.at;
                store.commit(commit).await.map(|_| ())
            }
        };
        let (one, two): (Result<()>, Result<()>) = futures::future::join(leave(0), leave(1)).await;
        for result in [one, two] {
            assert!(result.as_ref().err().is_none_or(is_allowed), "{result:?}");
        }
        let found = loop {
            if let Ok(found) = gates[1].store.get_many(&keys, Timestamp::MAX).await {
                break found;
            }
        };
        assert!(found.iter().flatten().any(|v| v.value.is_some()), "nobody is on call");
    }
}

/// Several insert one key; one may be told that it did, and its value stays.
#[test]
fn a_key_is_inserted_once() {
    for_seeds(12, Faults::heavy(), inserts);
    for_seeds_with_accord(12, Faults::heavy(), inserts);
}

async fn inserts(sim: Sim) {
    let gates = [sim.gate().await, sim.gate().await, sim.gate().await];
    for round in 0..5u64 {
        let insert = |n: usize| {
            let store = gates[n].store.clone();
            // The row, and an entry of a unique index.
            let key = |n: u64| Key::new(LISTS, &[100 + n as u8, round as u8], 1);
            let write = |at: u64| Write {
                key: key(at),
                value: encode(&[n as u64 + 1]),
                expect: Expect::Absent,
                tracked: false,
            };
            let several = round % 2 == 0;
            let writes = if several { vec![write(0), write(1)] } else { vec![write(0)] };
            let snapshot = Timestamp::ZERO;
            let commit = Commit { txn: txn(), snapshot, reads: vec![], ranges: vec![], writes };
            async move { (key(0), store.commit(commit).await) }
        };
        let (one, two, three) = futures::join!(insert(0), insert(1), insert(2));
        let mut winners = Vec::new();
        for (n, (key, result)) in [one, two, three].into_iter().enumerate() {
            match result {
                Ok(CommitOutcome::Committed(_)) => winners.push((n as u64 + 1, key)),
                Ok(_) => {}
                Err(error) => assert!(is_allowed(&error), "{error:?}"),
            }
        }
        assert!(winners.len() <= 1, "{winners:?}");
        for (n, key) in winners {
            let found = loop {
                if let Ok(found) = gates[0].store.get(&key, Timestamp::MAX).await {
                    break found;
                }
            };
            assert_eq!(decode(found.as_ref()), [n]);
        }
    }
}
