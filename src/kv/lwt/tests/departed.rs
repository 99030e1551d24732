//! Gateways that come and go.

use std::sync::atomic::{AtomicU64, Ordering};

use super::harness::*;
use super::*;
use crate::kv::conformance;
use crate::kv::lwt::partitions::{Column, Consistency, Row, Select};
use crate::kv::lwt::presence::gateways;
use crate::kv::lwt::sim::cluster::Connection;

const SPACE: SpaceId = SpaceId(305);

fn key(n: u8) -> Key {
    Key::new(SPACE, &[n], 1)
}

fn write(n: u8, value: u8) -> Write {
    conformance::write(key(n), Some(Bytes::copy_from_slice(&[value])))
}

/// A new gateway commits, and leaves, dies or stands still; its timestamp, if it was told.
async fn come_and_go(sim: &Sim, value: u8) -> Option<Timestamp> {
    let gate = sim.gate().await;
    let way = value % 3;
    let several = sim.world.random(2) == 0;
    let writes =
        if several { vec![write(1, value), write(2, value)] } else { vec![write(1, value)] };
    let (ended, end) = futures::channel::oneshot::channel();
    let task = gate.clone();
    sim.spawn(&gate, async move {
        let _ = ended.send(commit(&task, writes).await);
        if way == 0 {
            let _ = task.store.close().await;
        }
    });
    let ts = end.await.ok().flatten();
    match way {
        0 => {}
        1 => sim.world.crash(gate.env.node),
        _ => sim.world.pause(gate.env.node, LEASE * 6),
    }
    ts
}

/// Rows of gateways, as a quorum has them.
async fn rows_of_gateways(connection: &Connection) -> Vec<Row> {
    let (start, end) = (Bound::Unbounded, Bound::Unbounded);
    let all = Select::Range { start, end, reverse: false, limit: usize::MAX };
    loop {
        let read = connection.read(&gateways(), all.clone(), Consistency::Quorum).await;
        if let Ok(rows) = read {
            break rows.into_iter().filter(|row| row.get(Column::St).is_some()).collect();
        }
    }
}

/// What every acknowledged commit wrote is seen by whoever comes next, with those that told of it
/// gone and forgotten; and nothing is left of them.
#[test]
fn they_leave_nothing_and_what_they_told_stays() {
    for_seeds(12, Faults::heavy(), |mut sim| async move {
        sim.departed_kept = Duration::ZERO;
        let stays = sim.gate().await;
        for value in 0..9 {
            let acknowledged = come_and_go(&sim, value).await;
            sim.sleep(Duration::from_micros(sim.world.random(LEASE.as_micros() as u64 * 3))).await;
            let Some(acknowledged) = acknowledged else { continue };
            let next = sim.gate().await;
            let hold = loop {
                if let Ok(hold) = next.store.snapshot().await {
                    break hold;
                }
            };
            assert!(hold.at >= acknowledged, "a snapshot below what was acknowledged");
            let _ = next.store.close().await;
        }
        sim.heal();
        sim.sleep(LEASE * 20).await;
        let connection = Connection::new(&sim.cluster, stays.env.clone());
        let rows = rows_of_gateways(&connection).await;
        // The one that stays, and those that only stood still.
        assert!(rows.len() <= 4, "{} rows", rows.len());
        assert!(commit(&stays, vec![write(3, 1)]).await.is_some(), "it works");
    });
}

/// Who follows the log through all that learns of every commit, or that it has to look anew.
#[test]
fn who_follows_the_log_misses_nothing() {
    let restarts = Arc::new(AtomicU64::new(0));
    let count = restarts.clone();
    for_seeds(12, Faults::heavy(), move |mut sim| {
        let restarts = count.clone();
        async move {
            sim.departed_kept = Duration::from_millis(sim.world.random(3) * 100);
            let follower = sim.gate().await;
            let (mut known, mut cursor) = (Vec::new(), None);
            for value in 0..24 {
                let committed = come_and_go(&sim, value).await;
                if sim.world.random(3) > 0 {
                    sim.sleep(Duration::from_micros(
                        sim.world.random(LEASE.as_micros() as u64 * 2),
                    ))
                    .await;
                }
                if committed.is_some() && sim.world.random(3) > 0 {
                    continue;
                }
                follow(&follower, &mut known, &mut cursor, &restarts).await;
            }
        }
    });
    assert_ne!(restarts.load(Ordering::SeqCst), 0, "no log was removed too early for anybody");
}

/// Takes up what changed, from where it last was; `cursor` has the snapshot and what was there.
async fn follow(
    gate: &Gate,
    known: &mut Vec<(Key, Timestamp)>,
    cursor: &mut Option<(Cursor, [Timestamp; 2])>,
    restarts: &AtomicU64,
) {
    loop {
        let Ok(hold) = gate.store.snapshot().await else { continue };
        if gate.store.resolved().await.is_ok_and(|resolved| resolved < hold.at) {
            gate.env.sleep(Duration::from_millis(20)).await;
            continue;
        }
        let Ok(now) = gate.store.get_many(&[key(1), key(2)], hold.at).await else { continue };
        let now = [0, 1].map(|n| now[n].as_ref().map_or(Timestamp::ZERO, |v| v.ts));
        if let Some((from, before)) = cursor {
            match gate.store.changes(SPACE, from, 1000).await {
                Ok(page) => {
                    assert!(!page.more);
                    known.extend(page.keys);
                    for n in [0, 1] {
                        let said = known.contains(&(key(n as u8 + 1), now[n]));
                        assert!(now[n] == before[n] || said, "a commit that the log does not name");
                    }
                    *from = page.next;
                    return;
                }
                Err(error) if error.code() == SqlState::SNAPSHOT_TOO_OLD => {
                    restarts.fetch_add(1, Ordering::SeqCst);
                }
                Err(_) => continue,
            }
        }
        known.clear();
        if let Ok(at) = gate.store.cursor_at(SPACE, hold.at).await {
            *cursor = Some((at, now));
            return;
        }
    }
}
