//! On a real cluster, where `SLUICE_TEST_CASSANDRA` names one (`host:port`): `tests/cluster` does.
//! With `SLUICE_TEST_HOME_DC` commits agree in that data centre.

mod measures;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::SystemClock;
use crate::kv::SharedStore;
use crate::kv::lwt::env::{Environment, Tokio};
use crate::kv::lwt::{LwtOptions, LwtStore};

/// Where the cluster is; none: these tests do nothing.
fn contact_point() -> Option<String> {
    std::env::var("SLUICE_TEST_CASSANDRA").ok()
}

/// The commit protocol that `SLUICE_TEST_COMMIT` names.
fn commit() -> Option<CommitProtocol> {
    let accord = std::env::var("SLUICE_TEST_COMMIT").is_ok_and(|name| name == "accord");
    accord.then_some(CommitProtocol::Accord)
}

/// A keyspace that is not there yet.
fn fresh_keyspace() -> String {
    let mut bytes = [0; 6];
    crate::clock::Clock::random(&SystemClock::new(), &mut bytes);
    bytes.iter().fold("t".to_owned(), |name, b| format!("{name}{b:02x}"))
}

async fn connect(keyspace: &str, point: &str) -> Arc<Cassandra> {
    let options = CassandraOptions {
        contact_points: vec![point.to_owned()],
        keyspace: keyspace.to_owned(),
        // Where commits agree in one data centre only.
        serial_domain: std::env::var("SLUICE_TEST_HOME_DC").ok().map(SerialDomain::Within),
        commit: commit(),
        ..CassandraOptions::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Cassandra::connect(&options, &clock).await.unwrap()
}

/// A gateway on a keyspace.
async fn join(cluster: Arc<dyn Partitions>) -> SharedStore {
    join_for(cluster, LwtOptions::default().departed_kept).await
}

/// One that removes the rows of others when they are gone for so long.
async fn join_for(cluster: Arc<dyn Partitions>, departed_kept: Duration) -> SharedStore {
    let env: Arc<dyn Environment> = Arc::new(Tokio(Arc::new(SystemClock::new())));
    let deadlock_timeout = Duration::from_millis(100);
    let (log_kept, usual) = (Duration::ZERO, LwtOptions::default());
    let options = LwtOptions { deadlock_timeout, log_kept, departed_kept, ..usual };
    LwtStore::open(cluster, env, options).await.unwrap()
}

mod departed;

mod on_one_partition {
    use super::*;

    async fn make() -> Option<(SharedStore, ())> {
        let point = contact_point()?;
        Some((join(connect(&fresh_keyspace(), &point).await).await, ()))
    }

    crate::kv::conformance::suite!(make);
}

/// The same, where no two rows share a partition.
mod over_many_partitions {
    use super::*;
    use crate::kv::conformance::spread::Spread;

    async fn make() -> Option<(SharedStore, ())> {
        let point = contact_point()?;
        Some((Spread::over(join(connect(&fresh_keyspace(), &point).await).await), ()))
    }

    crate::kv::conformance::suite!(make);
}
