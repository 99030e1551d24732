//! The only reader of time and randomness.
//!
//! A [`Timestamp`] is a hybrid logical clock reading (Kulkarni et al., 2014): milliseconds since
//! the Unix epoch in the upper 48 bits, a counter in the lower 16. Code that needs time takes a
//! [`Clock`], so that tests and the simulation hold it in their hands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in commit order. Zero is before every commit.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Before every commit.
    pub const ZERO: Timestamp = Timestamp(0);
    /// After every commit.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// From milliseconds since the Unix epoch, counter zero.
    pub fn from_millis(ms: u64) -> Timestamp {
        Timestamp(ms << 16)
    }

    /// Milliseconds since the Unix epoch.
    pub fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// The next one.
    pub fn next(self) -> Timestamp {
        Timestamp(self.0 + 1)
    }

    /// The one before; zero stays zero.
    pub fn prev(self) -> Timestamp {
        Timestamp(self.0.saturating_sub(1))
    }
}

/// Reads time and randomness.
pub trait Clock: Send + Sync + 'static {
    /// Wall clock: microseconds since the Unix epoch.
    fn wall_micros(&self) -> i64;
    /// Time since an arbitrary start; never goes back.
    fn monotonic(&self) -> Duration;
    /// Fills `buf` with random bytes (cryptographic on [`SystemClock`], seeded in simulations).
    fn random(&self, buf: &mut [u8]);
}

/// The machine's clock and random source.
pub struct SystemClock {
    start: Instant,
    /// The wall clock when `start` was taken: later wall readings that order commits are this
    /// anchor plus monotonic time, so that a step of the wall clock reorders nothing.
    anchor_micros: i64,
}

impl SystemClock {
    /// A clock anchored now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's time")]
    pub fn new() -> SystemClock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        SystemClock { start: Instant::now(), anchor_micros: wall.as_micros() as i64 }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn wall_micros(&self) -> i64 {
        self.anchor_micros + self.start.elapsed().as_micros() as i64
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::expect_used, reason = "without randomness no secret can be made: stop")]
    fn random(&self, buf: &mut [u8]) {
        getrandom::fill(buf).expect("the system's random source failed");
    }
}

/// A clock that moves only when told to, with a seeded random source. For tests and simulation.
pub struct SimulatedClock {
    micros: AtomicU64,
    seed: AtomicU64,
}

impl SimulatedClock {
    /// Starts at `micros` since the epoch; `seed` decides all randomness.
    pub fn new(micros: u64, seed: u64) -> SimulatedClock {
        SimulatedClock { micros: AtomicU64::new(micros), seed: AtomicU64::new(seed) }
    }

    /// Moves time on.
    pub fn advance(&self, by: Duration) {
        self.micros.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn wall_micros(&self) -> i64 {
        self.micros.load(Ordering::SeqCst) as i64
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn random(&self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            // SplitMix64 (Steele et al., 2014).
            let mut z = self.seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let bytes = (z ^ (z >> 31)).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// A hybrid logical clock: strictly increasing timestamps that stay close to the wall clock.
pub struct HybridClock {
    clock: Arc<dyn Clock>,
    last: AtomicU64,
}

impl HybridClock {
    /// Starts above `floor`, the highest timestamp known to be in use.
    pub fn new(clock: Arc<dyn Clock>, floor: Timestamp) -> HybridClock {
        HybridClock { clock, last: AtomicU64::new(floor.0) }
    }

    /// A timestamp above every one returned or observed before.
    pub fn tick(&self) -> Timestamp {
        let physical = Timestamp::from_millis((self.clock.wall_micros() / 1000) as u64).0;
        let mut last = self.last.load(Ordering::SeqCst);
        loop {
            let next = physical.max(last + 1);
            match self.last.compare_exchange_weak(last, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Timestamp(next),
                Err(seen) => last = seen,
            }
        }
    }

    /// Moves the clock to at least `seen`.
    pub fn observe(&self, seen: Timestamp) {
        self.last.fetch_max(seen.0, Ordering::SeqCst);
    }

    /// The highest timestamp returned or observed.
    pub fn last(&self) -> Timestamp {
        Timestamp(self.last.load(Ordering::SeqCst))
    }
}
