//! What functions keep in the session they run in, and ask of it.

use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;

use super::EvalContext;
use crate::error::{Error, Result};
use crate::types::descriptor::TableDescriptor;

/// The key of an advisory lock; the two forms never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdvisoryKey {
    /// A `bigint`.
    One(i64),
    /// Two `integer`s.
    Two(i32, i32),
}

impl AdvisoryKey {
    /// `classid`, `objid` and `objsubid`, as `pg_locks` has them.
    pub fn parts(self) -> (u32, u32, i16) {
        match self {
            AdvisoryKey::One(key) => ((key as u64 >> 32) as u32, key as u32, 1),
            AdvisoryKey::Two(first, second) => (first as u32, second as u32, 2),
        }
    }
}

/// A request for an advisory lock.
#[derive(Clone, Copy, Debug)]
pub struct AdvisoryRequest {
    /// What is locked.
    pub key: AdvisoryKey,
    /// Exclusively, or shared.
    pub exclusive: bool,
    /// Until the transaction's end, or the session's.
    pub transaction: bool,
    /// Whether it waits while another session has it.
    pub wait: bool,
}

/// What another session is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To end its statement.
    Cancel,
    /// To end; for so long it is waited for that.
    Terminate(Duration),
}

/// What a session does for a function that runs in it.
pub trait SessionHooks: Send + Sync {
    /// Waits, unless the statement is interrupted.
    ///
    /// # Errors
    /// 57014 and 57P01 of whoever interrupts.
    fn sleep(&self, duration: Duration) -> Result<()>;
    /// Sets a parameter, for the transaction if `local`; none is its default. Gives what it is
    /// then.
    ///
    /// # Errors
    /// What SET raises.
    fn set_config(&self, name: &str, value: Option<&str>, local: bool) -> Result<String>;
    /// Takes an advisory lock; false if another session has it and the request does not wait.
    ///
    /// # Errors
    /// 40P01, 55P03, and those of whoever interrupts.
    fn lock(&self, request: AdvisoryRequest) -> Result<bool>;
    /// Gives up an advisory lock of the session; false, and a warning, if it has none such.
    ///
    /// # Errors
    /// What the store raises.
    fn unlock(&self, key: AdvisoryKey, exclusive: bool) -> Result<bool>;
    /// Gives up all advisory locks of the session.
    ///
    /// # Errors
    /// What the store raises.
    fn unlock_all(&self) -> Result<()>;
    /// Has another session's statement end, or the session; false, and a warning, where there is
    /// none of that number, or where it is still there after it was waited for.
    ///
    /// # Errors
    /// 42501 for a session of a role that is not one's own, and those of whoever interrupts.
    fn signal(&self, pid: i32, signal: Signal) -> Result<bool>;
    /// The Parquet files of these paths as a relation.
    ///
    /// # Errors
    /// 42501 for who may not read files, 0A000 in a build that cannot, and those of the files.
    fn files(&self, paths: Vec<String>) -> Result<TableDescriptor>;
}

/// What lives as long as a session and is no setting.
#[derive(Default)]
pub struct SessionState {
    generator: Mutex<Option<Generator>>,
    hooks: OnceLock<Box<dyn SessionHooks>>,
}

impl std::fmt::Debug for SessionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionState")
    }
}

impl SessionState {
    /// The state of a session that does these things.
    pub fn new(hooks: Box<dyn SessionHooks>) -> SessionState {
        let state = SessionState::default();
        // The cell is new: nobody has set it.
        let _ = state.hooks.set(hooks);
        state
    }

    /// The Parquet files of these paths as a relation.
    ///
    /// # Errors
    /// Those of [`SessionHooks::files`].
    pub fn files(&self, paths: Vec<String>) -> Result<TableDescriptor> {
        self.hooks()?.files(paths)
    }

    pub(super) fn hooks(&self) -> Result<&dyn SessionHooks> {
        self.hooks
            .get()
            .map(|hooks| &**hooks)
            .ok_or_else(|| Error::unsupported("this function outside of a session"))
    }

    /// `setseed`
    pub(super) fn seed(&self, seed: f64) {
        *self.generator.lock() = Some(Generator::from_fraction(seed));
    }

    /// The next of the session's random numbers: 0 and up, below 1.
    pub(super) fn random(&self, context: &EvalContext) -> f64 {
        let mut generator = self.generator.lock();
        generator.get_or_insert_with(|| Generator::from_clock(context)).fraction()
    }
}

/// xoroshiro128**, seeded as PostgreSQL seeds it, so that `setseed` gives the same sequence.
struct Generator([u64; 2]);

impl Generator {
    fn from_clock(context: &EvalContext) -> Generator {
        let mut bytes = [0; 8];
        context.clock.random(&mut bytes);
        Generator::from_seed(u64::from_le_bytes(bytes))
    }

    fn from_fraction(seed: f64) -> Generator {
        const MANTISSA: f64 = ((1_u64 << 52) - 1) as f64;
        Generator::from_seed((MANTISSA * seed) as i64 as u64)
    }

    fn from_seed(mut seed: u64) -> Generator {
        let mut next = || {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        };
        Generator([next(), next()])
    }

    fn next(&mut self) -> u64 {
        let [first, second] = self.0;
        let mixed = second ^ first;
        self.0 = [first.rotate_left(24) ^ mixed ^ mixed << 16, mixed.rotate_left(37)];
        first.wrapping_mul(5).rotate_left(7).wrapping_mul(9)
    }

    fn fraction(&mut self) -> f64 {
        (self.next() >> 12) as f64 / (1_u64 << 52) as f64
    }
}
