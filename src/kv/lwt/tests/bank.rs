//! Transfers between accounts: money is neither made nor lost, and every snapshot shows all of it.

use super::harness::*;
use super::*;
use crate::error::ErrorKind;
use crate::kv::conformance::{BLOCK, txn};

const ACCOUNTS: u64 = 6;
const START: i64 = 100;
const BANK: SpaceId = SpaceId(300);

/// Account `n`: two of them in each partition.
fn account(n: u64) -> Key {
    Key::new(BANK, &[(n / 2) as u8, (n % 2) as u8], 1)
}

fn balance(version: Option<&Version>) -> i64 {
    let value = version.and_then(|v| v.value.as_ref());
    value.map_or(0, |v| i64::from_be_bytes(v.as_ref().try_into().unwrap()))
}

fn set(key: Key, balance: i64, expect: Expect) -> Write {
    let value = Some(Bytes::copy_from_slice(&balance.to_be_bytes()));
    Write { key, value, expect, tracked: false }
}

/// One transfer, by one of the ways there are.
async fn transfer(sim: &Sim, store: &LwtStore) -> Result<()> {
    let from = sim.world.random(ACCOUNTS);
    let to = (from + 1 + sim.world.random(ACCOUNTS - 1)) % ACCOUNTS;
    let keys = [account(from), account(to)];
    let amount = sim.world.random(20) as i64;
    let me = txn();
    let hold = store.snapshot().await?;
    let way = sim.world.random(3);
    let found = if way == 0 {
        let (keys, mode) = (keys.to_vec(), LockMode::NoKeyUpdate);
        let locked = store.lock(LockRequest { txn: me, keys, mode, wait: BLOCK }).await;
        if locked.is_err() {
            store.abandon(me);
        }
        locked?.into_iter().map(|l| l.unwrap().current).collect()
    } else {
        store.get_many(&keys, hold.at).await?
    };
    let ts = |n: usize| found[n].as_ref().map_or(Timestamp::ZERO, |v| v.ts);
    let expect = |n: usize| if way == 1 { Expect::Unchanged(ts(n)) } else { Expect::Any };
    let reads = match way {
        2 => (0..2).map(|n| ReadCheck { key: keys[n].clone(), seen: ts(n) }).collect(),
        _ => Vec::new(),
    };
    let writes = vec![
        set(keys[0].clone(), balance(found[0].as_ref()) - amount, expect(0)),
        set(keys[1].clone(), balance(found[1].as_ref()) + amount, expect(1)),
    ];
    let commit = Commit { txn: me, snapshot: hold.at, reads, ranges: Vec::new(), writes };
    store.commit(commit).await.map(|_| ())
}

/// The sum at a snapshot, by get or by scan.
async fn total(sim: &Sim, store: &LwtStore) -> Result<i64> {
    let hold = store.snapshot().await?;
    if sim.world.random(2) == 0 {
        let keys: Vec<Key> = (0..ACCOUNTS).map(account).collect();
        let found = store.get_many(&keys, hold.at).await?;
        return Ok(found.iter().map(|v| balance(v.as_ref())).sum());
    }
    let limit = PageLimit { rows_max: 2, bytes_max: 1 << 20 };
    let (mut sum, mut from) = (0, None);
    loop {
        let page = store.scan(&KeyRange::all(BANK), hold.at, false, limit, from).await?;
        for entry in page.entries {
            sum += balance(Some(&Version { ts: entry.ts, value: Some(entry.value) }));
        }
        from = page.next;
        if from.is_none() {
            return Ok(sum);
        }
    }
}

fn allowed<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if is_allowed(&error) => None,
        Err(error) => panic!("{error:?}"),
    }
}

async fn bank(sim: Sim, clients: u64, transfers: u64, crashes: bool) {
    let first = sim.gate().await;
    let start = || {
        let open = |n| set(account(n), START, Expect::Any);
        let writes = (0..ACCOUNTS).map(open).collect();
        let snapshot = Timestamp::ZERO;
        Commit { txn: txn(), snapshot, reads: Vec::new(), ranges: Vec::new(), writes }
    };
    loop {
        match first.store.commit(start()).await {
            Ok(CommitOutcome::Committed(_)) => break,
            Ok(other) => panic!("{other:?}"),
            // Unknown is as good: it writes what is there.
            Err(error) => assert!(is_allowed(&error), "{error:?}"),
        }
    }
    let gates = Arc::new(parking_lot::Mutex::new(vec![first, sim.gate().await]));
    sim.harass(gates.clone());
    let left = Arc::new(parking_lot::Mutex::new(clients * transfers));
    for client in 0..clients {
        let (sim, gates, left) = (sim.clone(), gates.clone(), left.clone());
        sim.clone().cluster.env.spawn(Box::pin(async move {
            for _ in 0..transfers {
                let gate = gates.lock()[client as usize % 2].clone();
                let (ended, end) = futures::channel::oneshot::channel();
                let inner = sim.clone();
                let store = gate.store.clone();
                if crashes && sim.world.random(12) == 0 {
                    sim.world.crash_at(gate.env.node, sim.world.random(60) + 1);
                }
                sim.spawn(&gate, async move {
                    if inner.world.random(3) == 0 {
                        if let Some(total) = allowed(total(&inner, &store).await) {
                            assert_eq!(total, ACCOUNTS as i64 * START, "a torn snapshot");
                        }
                    } else {
                        allowed(transfer(&inner, &store).await);
                    }
                    let _ = ended.send(());
                });
                let _ = end.await;
                // A gateway that died gets a successor; one that was retired joins again.
                let gone = sim.world.is_dead(gate.env.node);
                if gone {
                    let next = sim.gate().await;
                    gates.lock()[client as usize % 2] = next;
                }
                *left.lock() -= 1;
            }
        }));
    }
    while *left.lock() > 0 {
        sim.sleep(Duration::from_millis(20)).await;
    }
    sim.heal();
    let last = sim.gate().await;
    for _ in 0..3 {
        let total = total(&sim, &last.store).await;
        let total = total.unwrap_or_else(|e| panic!("{:?} {e:?}", e.kind() == ErrorKind::Internal));
        assert_eq!(total, ACCOUNTS as i64 * START, "at the end");
    }
    // All that was begun gets its end: a snapshot taken now is soon resolved.
    let at = last.store.snapshot().await.unwrap().at;
    last.resolves(at, Duration::from_millis(50)).await;
}

#[test]
fn money_stays_while_messages_get_lost() {
    for_seeds(12, Faults::heavy(), |sim| bank(sim, 4, 12, false));
}

#[test]
fn money_stays_on_accord() {
    for_seeds_with_accord(12, Faults::heavy(), |sim| bank(sim, 4, 12, true));
}

#[test]
fn money_stays_while_gateways_die() {
    for_seeds(12, Faults::heavy(), |sim| bank(sim, 4, 12, true));
}
