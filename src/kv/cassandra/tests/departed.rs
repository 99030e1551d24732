//! Rows of gateways that are gone, on a cluster.

use std::ops::Bound;

use super::*;
use crate::clock::Timestamp;
use crate::error::SqlState;
use crate::kv::{Key, SpaceId, conformance};

const SPACE: SpaceId = SpaceId(310);
/// Gateways that come and go.
const GATEWAYS: u8 = 5;
/// Longest wait for a removal.
const PATIENCE: Duration = Duration::from_secs(20);

fn key(n: u8) -> Key {
    Key::new(SPACE, &[n], 1)
}

async fn commit(store: &SharedStore, n: u8) -> Timestamp {
    let write = conformance::write(key(n), Some(Bytes::copy_from_slice(&[n])));
    conformance::committed(store.commit(conformance::commit(vec![write])).await.unwrap())
}

/// How many rows all gateways have.
async fn gateways(cluster: &Cassandra) -> usize {
    let partition = Partition { table: Table::Gateways, key: Bytes::from_static(b"g") };
    let (start, end) = (Bound::Unbounded, Bound::Unbounded);
    let all = Select::Range { start, end, reverse: false, limit: usize::MAX };
    cluster.read(&partition, all, Consistency::Quorum).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_left_are_forgotten() {
    let Some(point) = contact_point() else { return };
    let keyspace = fresh_keyspace();
    let cluster = connect(&keyspace, &point).await;
    let stays = join_for(cluster.clone(), Duration::ZERO).await;
    commit(&stays, 0).await;
    let hold = stays.snapshot().await.unwrap();
    let early = stays.cursor_at(SPACE, hold.at).await.unwrap();
    let mut newest = Timestamp::ZERO;
    for n in 1..=GATEWAYS {
        let comes = join(cluster.clone()).await;
        newest = commit(&comes, n).await;
        comes.close().await.unwrap();
    }
    tokio::time::timeout(PATIENCE, async {
        while gateways(&cluster).await > 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("rows of gateways that left stay");

    let next = join(connect(&keyspace, &point).await).await;
    let now = next.snapshot().await.unwrap();
    assert!(now.at >= newest, "a snapshot below what was acknowledged");
    for n in 0..=GATEWAYS {
        let version = next.get(&key(n), now.at).await.unwrap();
        assert_eq!(version.unwrap().value.unwrap()[..], [n]);
    }
    let error = stays.changes(SPACE, &early, 100).await.unwrap_err();
    assert_eq!(error.code(), SqlState::SNAPSHOT_TOO_OLD);
    let cursor = next.cursor_at(SPACE, now.at).await.unwrap();
    let ts = commit(&stays, 9).await;
    conformance::reached(&next, ts).await;
    let page = next.changes(SPACE, &cursor, 100).await.unwrap();
    assert_eq!(page.keys, [(key(9), ts)]);
}
