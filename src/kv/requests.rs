//! What a transaction, or a process, asked of a store that counts, and how fast that answers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

/// How fast a cluster answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A read of a row by its key.
    pub request: Duration,
    /// Each row of a page of many, beyond that.
    pub row: Duration,
}

/// A new figure's weight in an average that moves: one of so many.
const WEIGHT: u64 = 32;
/// Pages of fewer rows tell nothing of the cost of one.
const PAGE_ROWS_MIN: u64 = 64;

/// Averages of what was measured of a cluster, the last figures weighing most, in nanoseconds.
#[derive(Debug)]
pub struct Pacer {
    request: AtomicU64,
    row: AtomicU64,
}

impl Default for Pacer {
    fn default() -> Pacer {
        Pacer { request: AtomicU64::new(1_000_000), row: AtomicU64::new(10_000) }
    }
}

fn average(of: &AtomicU64, figure: u64) {
    // Two at once may lose one figure.
    let before = of.load(Ordering::Relaxed);
    of.store((before * (WEIGHT - 1) + figure) / WEIGHT, Ordering::Relaxed);
}

impl Pacer {
    /// Takes note of a read of a row.
    pub fn read(&self, took: Duration) {
        average(&self.request, took.as_nanos() as u64);
    }

    /// Takes note of a page of `rows`.
    pub fn page(&self, took: Duration, rows: usize) {
        let rows = rows as u64;
        if rows >= PAGE_ROWS_MIN {
            let rest =
                (took.as_nanos() as u64).saturating_sub(self.request.load(Ordering::Relaxed));
            average(&self.row, rest / rows);
        }
    }

    /// The averages.
    pub fn pace(&self) -> Pace {
        let average = |of: &AtomicU64| Duration::from_nanos(of.load(Ordering::Relaxed));
        Pace { request: average(&self.request), row: average(&self.row) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_follows_what_is_measured() {
        let pacer = Pacer::default();
        for _ in 0..1000 {
            pacer.read(Duration::from_micros(300));
            pacer.page(Duration::from_micros(300 + 2 * 500), 500);
            pacer.page(Duration::from_secs(1), 3);
        }
        let Pace { request, row } = pacer.pace();
        let near = |found: Duration, wanted: u128| found.as_nanos().abs_diff(wanted) < wanted / 50;
        assert!(near(request, 300_000), "{request:?}");
        assert!(near(row, 2000), "{row:?}");
    }
}
