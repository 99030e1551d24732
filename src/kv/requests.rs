//! What a transaction asked of a store that counts.

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

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = [
            ("reads", &self.reads),
            ("serial_reads", &self.serial_reads),
            ("writes", &self.writes),
            ("lwts", &self.lwts),
            ("conflicts", &self.conflicts),
            ("retries", &self.retries),
            ("lock_waits", &self.lock_waits),
        ];
        for (n, (name, count)) in shown.into_iter().enumerate() {
            let space = if n == 0 { "" } else { " " };
            write!(f, "{space}{name}={}", count.load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}
