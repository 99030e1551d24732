//! A gateway that is hurt at any request of a commit, in real time: its requests or their answers
//! get lost, or it is gone. Another gateway looks on, and retires it.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::super::partitions::*;
use super::*;
use crate::kv::conformance::outcomes::{Fault, Patient};
use crate::kv::conformance::spread::Spread;

/// Short, so that a trial is; long enough that a busy machine does not miss a heartbeat.
const LEASE: Duration = Duration::from_millis(1500);
/// How long a caller waits for an outcome.
const PATIENCE: Duration = Duration::from_millis(500);

/// A gateway's way to the cluster, with a fault at one request.
struct Hurt {
    below: Arc<Connection>,
    armed: Mutex<Option<(Fault, u32)>>,
    struck: AtomicBool,
    gone: AtomicBool,
}

impl Hurt {
    /// What goes wrong with the request that comes now.
    fn next(&self) -> Option<Fault> {
        let mut armed = self.armed.lock();
        match armed.as_mut()? {
            (_, step @ 1..) => {
                *step -= 1;
                None
            }
            (fault, 0) => {
                let fault = *fault;
                *armed = None;
                self.struck.store(true, Ordering::Relaxed);
                Some(fault)
            }
        }
    }

    async fn ask<T>(
        &self,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if self.gone.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        match self.next() {
            None => request.await,
            Some(Fault::RequestLost) => Err(Failure::Uncertain),
            Some(Fault::AnswerLost) => {
                let _ = request.await;
                Err(Failure::Uncertain)
            }
            Some(fault) => {
                self.gone.store(true, Ordering::Relaxed);
                if fault == Fault::GoneAfter {
                    let _ = request.await;
                }
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Partitions for Hurt {
    async fn read(
        &self,
        partition: &Partition,
        select: Select,
        consistency: Consistency,
    ) -> Result<Vec<Row>, Failure> {
        self.ask(self.below.read(partition, select, consistency)).await
    }

    async fn ring(
        &self,
        table: Table,
        after: Option<RingPosition>,
        limit: usize,
    ) -> Result<RingPage, Failure> {
        self.ask(self.below.ring(table, after, limit)).await
    }

    async fn write(
        &self,
        partition: &Partition,
        writes: Vec<CellWrite>,
        timestamp: u64,
    ) -> Result<(), Failure> {
        self.ask(self.below.write(partition, writes, timestamp)).await
    }

    async fn cas(&self, batch: Batch) -> Result<Applied, Failure> {
        self.ask(self.below.cas(batch)).await
    }

    async fn remove(&self, table: Table) -> Result<(), Failure> {
        self.ask(self.below.remove(table)).await
    }

    async fn size(&self, table: Table) -> Result<(u64, u64), Failure> {
        self.ask(self.below.size(table)).await
    }
}

/// The gateway that is hurt, and the one beside it.
struct Pair {
    connection: Arc<Hurt>,
    store: SharedStore,
    other: SharedStore,
}

impl Pair {
    /// With `spread`, every row has a partition of its own.
    async fn new(spread: bool, implicit_max: usize) -> Pair {
        let env: Arc<dyn Environment> = Arc::new(Tokio(Arc::new(SystemClock::new())));
        let cluster = Cluster::new(env.clone(), Faults::none());
        let options = LwtOptions {
            lease: LEASE,
            heartbeat: LEASE / 6,
            settle_timeout: PATIENCE,
            implicit_max,
            ..options()
        };
        let connection = Arc::new(Hurt {
            below: Connection::new(&cluster, env.clone()),
            armed: Mutex::default(),
            struck: AtomicBool::default(),
            gone: AtomicBool::default(),
        });
        let store = LwtStore::open(connection.clone(), env.clone(), options.clone()).await.unwrap();
        let patient = LwtOptions { settle_timeout: Duration::from_secs(20), ..options };
        let below = Connection::new(&cluster, env.clone());
        let other = LwtStore::open(below, env, patient).await.unwrap();
        let over = |store: Arc<LwtStore>| match spread {
            true => Spread::over(store),
            false => store as SharedStore,
        };
        Pair { connection, store: over(store), other: over(other) }
    }
}

#[async_trait]
impl Patient for Pair {
    fn store(&self) -> SharedStore {
        self.store.clone()
    }

    async fn observer(&self) -> SharedStore {
        self.other.clone()
    }

    fn arm(&self, fault: Fault, step: u32) -> bool {
        *self.connection.armed.lock() = Some((fault, step));
        true
    }

    fn struck(&self) -> bool {
        self.connection.struck.load(Ordering::Relaxed)
    }

    async fn successor(&self) -> SharedStore {
        self.other.clone()
    }
}

mod in_partitions_shared {
    use super::*;

    async fn make() -> Pair {
        Pair::new(false, 0).await
    }

    crate::kv::conformance::hurt_suite!(make);
}

mod in_partitions_of_their_own {
    use super::*;

    async fn make() -> Pair {
        Pair::new(true, 8).await
    }

    crate::kv::conformance::hurt_suite!(make);
}

mod with_a_verdict {
    use super::*;

    async fn make() -> Pair {
        Pair::new(true, 0).await
    }

    crate::kv::conformance::hurt_suite!(make);
}
