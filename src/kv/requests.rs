//! What a transaction, or a process, asked of a store that counts.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests by kind. One that several transactions share counts for each of them.
#[derive(Debug, Default)]
pub struct Requests {
    /// Reads.
    pub reads: AtomicU64,
    /// Reads that go through consensus.
    pub serial_reads: AtomicU64,
    /// Plain writes.
    pub writes: AtomicU64,
    /// Lightweight transactions.
    pub lwts: AtomicU64,
    /// Of these, those that were refused.
    pub conflicts: AtomicU64,
    /// Requests of any kind that had no answer.
    pub retries: AtomicU64,
    /// Times that others' locks or commits were waited for.
    pub lock_waits: AtomicU64,
}

impl Requests {
    /// The counts so far, with their names.
    pub fn counts(&self) -> [(&'static str, u64); 7] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("reads", count(&self.reads)),
            ("serial_reads", count(&self.serial_reads)),
            ("writes", count(&self.writes)),
            ("lwts", count(&self.lwts)),
            ("conflicts", count(&self.conflicts)),
            ("retries", count(&self.retries)),
            ("lock_waits", count(&self.lock_waits)),
        ]
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, count)) in self.counts().into_iter().enumerate() {
            let space = if n == 0 { "" } else { " " };
            write!(f, "{space}{name}={count}")?;
        }
        Ok(())
    }
}
