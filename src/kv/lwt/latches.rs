//! One conditional batch of a gateway in a partition at a time: they would only get in each
//! other's way. Partitions share latches, by their hash.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::partitions::Partition;

const LATCHES: usize = 256;
/// How long it is remembered that others write in a partition too.
const CONTENDED_FOR: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Latch {
    lock: Mutex<()>,
    /// How often it was taken.
    turns: AtomicU64,
    /// Until when others are taken to write there, in monotonic microseconds.
    contended: AtomicU64,
}

/// All of them.
pub struct Latches(Vec<Latch>);

impl Default for Latches {
    fn default() -> Latches {
        Latches((0..LATCHES).map(|_| Latch::default()).collect())
    }
}

impl Latches {
    fn place(&self, partition: &Partition) -> usize {
        let mut hasher = std::hash::DefaultHasher::new();
        partition.hash(&mut hasher);
        hasher.finish() as usize % self.0.len()
    }

    fn of(&self, partition: &Partition) -> &Latch {
        &self.0[self.place(partition)]
    }

    /// A partition's latch. Nobody takes another while holding some.
    pub async fn take(&self, partition: &Partition) -> MutexGuard<'_, ()> {
        self.of(partition).take().await
    }

    /// Those of several partitions.
    pub async fn take_all<'a>(
        &self,
        partitions: impl Iterator<Item = &'a Partition>,
    ) -> Vec<MutexGuard<'_, ()>> {
        // In one order, each once.
        let places: BTreeSet<usize> = partitions.map(|partition| self.place(partition)).collect();
        let mut held = Vec::with_capacity(places.len());
        for place in places {
            held.push(self.0[place].take().await);
        }
        held
    }

    /// How often a partition's latch was taken; none: somebody has it, or others write there too.
    pub fn free_turn(&self, partition: &Partition, now: Duration) -> Option<u64> {
        let latch = self.of(partition);
        let _held = latch.lock.try_lock().ok()?;
        let free = !self.is_contended(partition, now);
        free.then(|| latch.turns.load(Ordering::SeqCst))
    }

    /// Whether others were seen to write in a partition, a while ago at most.
    pub fn is_contended(&self, partition: &Partition, now: Duration) -> bool {
        u128::from(self.of(partition).contended.load(Ordering::SeqCst)) > now.as_micros()
    }

    /// Whether it was taken once since, by who asks and has it.
    pub fn is_next_turn(&self, partition: &Partition, turn: u64) -> bool {
        self.of(partition).turns.load(Ordering::SeqCst) == turn + 1
    }

    /// Takes note that others write in a partition too.
    pub fn contend(&self, partition: &Partition, now: Duration) {
        let until = (now + CONTENDED_FOR).as_micros() as u64;
        self.of(partition).contended.store(until, Ordering::SeqCst);
    }
}

impl Latch {
    async fn take(&self) -> MutexGuard<'_, ()> {
        let held = self.lock.lock().await;
        self.turns.fetch_add(1, Ordering::SeqCst);
        held
    }
}
