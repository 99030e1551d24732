//! Locks of many rows in one request, by many who want the same ones: nobody has what another
//! holds, nobody who asks once gets into a deadlock, and nothing is left behind.

use parking_lot::Mutex;

use super::harness::*;
use super::*;
use crate::kv::conformance::{BLOCK, commit, txn};

/// Two of them in each partition.
const ROWS: u64 = 24;
const SPACE: SpaceId = SpaceId(310);
const GATES: u64 = 3;
const CLIENTS: u64 = 9;
const ROUNDS: u64 = 6;

fn row(n: u64) -> Key {
    Key::new(SPACE, &[(n / 2) as u8, (n % 2) as u8], 1)
}

fn write(key: Key, expect: Expect) -> Write {
    Write { key, value: Some(Bytes::from_static(b"v")), expect, tracked: false }
}

/// Who believes to hold what.
#[derive(Default)]
struct Holding(Vec<(TxnId, LockMode, Vec<Key>)>);

impl Holding {
    fn begin(&mut self, txn: TxnId, mode: LockMode, keys: &[Key]) {
        for (other, theirs, held) in &self.0 {
            let shared = keys.iter().find(|key| held.contains(key));
            let both = shared.filter(|_| mode.conflicts(*theirs));
            assert_eq!(both, None, "{txn:?} and {other:?} hold it");
        }
        self.0.push((txn, mode, keys.to_vec()));
    }

    fn end(&mut self, txn: TxnId) {
        self.0.retain(|(other, ..)| *other != txn);
    }
}

/// Some rows in no order, a way to want them.
fn wanted(sim: &Sim) -> LockRequest {
    let mut keys: Vec<Key> = Vec::new();
    for _ in 0..sim.world.random(ROWS / 2) + 1 {
        let key = row(sim.world.random(ROWS));
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let mode = match sim.world.random(4) {
        0 => LockMode::Share,
        _ => LockMode::Update,
    };
    let wait = match sim.world.random(8) {
        0 => LockWait::NoWait,
        1 => LockWait::SkipLocked,
        _ => BLOCK,
    };
    LockRequest { txn: txn(), keys, mode, wait }
}

async fn lock_and_end(sim: &Sim, gate: &Gate, holding: Option<&Mutex<Holding>>) {
    let request = wanted(sim);
    let (txn, mode, keys) = (request.txn, request.mode, request.keys.clone());
    let locked = match gate.store.lock(request).await {
        Ok(locked) => locked,
        Err(error) => {
            assert!(is_allowed(&error), "{error:?}");
            assert_ne!(error.code(), SqlState::DEADLOCK_DETECTED, "{error:?}");
            return gate.store.abandon(txn);
        }
    };
    let got: Vec<Key> =
        keys.into_iter().zip(locked).filter_map(|(key, locked)| locked.map(|_| key)).collect();
    if let Some(holding) = holding {
        holding.lock().begin(txn, mode, &got);
    }
    gate.env.sleep(Duration::from_millis(sim.world.random(8))).await;
    if let Some(holding) = holding {
        holding.lock().end(txn);
    }
    if mode == LockMode::Share || sim.world.random(2) == 0 {
        return gate.store.abandon(txn);
    }
    let writes = got.into_iter().take(3).map(|key| write(key, Expect::Any)).collect();
    if let Err(error) = gate.store.commit(Commit { txn, ..commit(writes) }).await {
        assert!(is_allowed(&error), "{error:?}");
    }
}

/// With `harassed`, a gateway may be taken for gone, and its locks too, while it believes in them.
async fn contend(mut sim: Sim, harassed: bool) {
    if !harassed {
        sim.lease = LONG;
    }
    let mut gates = Vec::new();
    for _ in 0..GATES {
        gates.push(sim.gate().await);
    }
    if harassed {
        sim.harass(Arc::new(Mutex::new(gates.clone())));
    }
    let holding: Arc<Mutex<Holding>> = Arc::default();
    let left = Arc::new(Mutex::new(CLIENTS));
    for client in 0..CLIENTS {
        let (gate, holding, left) =
            (gates[(client % GATES) as usize].clone(), holding.clone(), left.clone());
        let inner = sim.clone();
        sim.spawn(&gate.clone(), async move {
            for _ in 0..ROUNDS {
                lock_and_end(&inner, &gate, (!harassed).then_some(&holding)).await;
            }
            *left.lock() -= 1;
        });
    }
    while *left.lock() > 0 {
        sim.sleep(Duration::from_millis(20)).await;
    }
    sim.heal();
    let last = sim.gate().await;
    loop {
        let (txn, keys) = (txn(), (0..ROWS).map(row).collect());
        let request = LockRequest { txn, keys, mode: LockMode::Update, wait: LockWait::NoWait };
        match last.store.lock(request).await {
            Ok(_) => return,
            Err(error) => assert!(is_allowed(&error), "{error:?}"),
        }
        last.store.abandon(txn);
        last.env.sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn who_locks_many_rows_at_once_waits_its_turn() {
    for_seeds(12, Faults::benign(), |sim| contend(sim, false));
}

#[test]
fn no_lock_is_left_by_who_ended() {
    for_seeds(12, Faults::heavy(), |sim| contend(sim, true));
}

#[test]
fn a_lock_given_up_while_nothing_is_reached_is_not_left() {
    for_seeds(5, Faults::none(), |sim| async move {
        let (a, b) = (sim.gate().await, sim.gate().await);
        let request = |wait| LockRequest {
            txn: txn(),
            keys: vec![row(0), row(2)],
            mode: LockMode::Update,
            wait,
        };
        let (held, incarnation) = (request(BLOCK), a.store.gateway().incarnation);
        a.store.lock(held.clone()).await.unwrap();
        (0..2).for_each(|replica| sim.cluster.set_cut(replica, true));
        a.store.abandon(held.txn);
        sim.sleep(Duration::from_secs(60)).await;
        (0..2).for_each(|replica| sim.cluster.set_cut(replica, false));
        let wait = LockWait::Block { lock_timeout_ms: 5000, deadlock_timeout_ms: 0 };
        b.store.lock(request(wait)).await.unwrap();
        // Its gateway was not taken for gone, which would have ended its locks too.
        assert_eq!(a.store.gateway().incarnation, incarnation);
    });
}

/// A commit cannot be cancelled while it waits, so one that demands something does not.
#[test]
fn what_demands_a_row_as_it_was_does_not_wait_for_its_lock() {
    for_seeds(3, Faults::none(), |sim| async move {
        let (a, b) = (sim.gate().await, sim.gate().await);
        let held =
            LockRequest { txn: txn(), keys: vec![row(0)], mode: LockMode::Update, wait: BLOCK };
        a.store.lock(held.clone()).await.unwrap();
        for gate in [&a, &b] {
            let alone = commit(vec![write(row(0), Expect::Absent)]);
            let outcome = gate.store.commit(alone).await.unwrap();
            assert_eq!(outcome, CommitOutcome::WriteConflict { key: row(0), found: None });
            let among = commit(vec![write(row(2), Expect::Any), write(row(0), Expect::Absent)]);
            let outcome = gate.store.commit(among).await.unwrap();
            assert!(matches!(outcome, CommitOutcome::WriteConflict { .. }), "{outcome:?}");
        }
        a.store.abandon(held.txn);
        let outcome = b.store.commit(commit(vec![write(row(0), Expect::Any)])).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed(_)), "{outcome:?}");
    });
}

#[test]
fn a_commit_that_goes_on_is_waited_for() {
    let slow = Faults {
        delay: Duration::from_secs(1),
        timeout: Duration::from_secs(60),
        ..Faults::none()
    };
    for_seeds(2, slow, |sim| async move {
        let gate = sim.gate().await;
        let began = gate.env.clock().monotonic();
        let write = |n: u16| write(Key::new(SPACE, &n.to_be_bytes(), 2), Expect::Any);
        let outcome = gate.store.commit(commit((0..800).map(write).collect())).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed(_)), "{outcome:?}");
        let took = gate.env.clock().monotonic() - began;
        assert!(took > 2 * gate.store.gateway().options.settle_timeout, "{took:?}");
    });
}
