//! Plans that all sessions share: a text that somebody planned is not planned again.
//!
//! A plan is found by everything that binding looked at: text, declared parameter types, and the
//! settings that steer names and literals. The schema it was bound against is kept with it, and
//! compared when it is used. A text comes in when it is seen the second time, so that a stream of
//! texts that never come again (literals in place of parameters) does not push out those that do.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

use super::statement::Prepared;

/// Most plans kept.
const PLANS_MAX: usize = 2_000;

/// Longest text kept.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Texts remembered as seen once.
const SEEN_MAX: usize = 4_096;

/// What binding looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlanKey {
    /// The statement.
    pub text: Arc<str>,
    /// Declared types of its parameters.
    pub types: Box<[u32]>,
    /// Settings that steer names and literals.
    pub environment: Arc<str>,
}

/// The shared plans.
pub struct PlanCache {
    inner: Mutex<Inner>,
    hasher: RandomState,
}

struct Inner {
    plans: HashMap<PlanKey, Arc<Prepared>>,
    /// Keys in the order they came, to push out the oldest.
    order: VecDeque<PlanKey>,
    /// Hashes of keys seen once, by their remainder.
    seen: Box<[u64]>,
    /// Likewise those that get no plan.
    refused: Box<[u64]>,
}

impl Default for PlanCache {
    fn default() -> PlanCache {
        PlanCache {
            inner: Mutex::new(Inner {
                plans: HashMap::new(),
                order: VecDeque::new(),
                seen: vec![0; SEEN_MAX].into(),
                refused: vec![0; SEEN_MAX].into(),
            }),
            hasher: RandomState::new(),
        }
    }
}

impl PlanCache {
    /// The plan of that key; the caller checks that its schema is still the one.
    pub fn find(&self, key: &PlanKey) -> Option<Arc<Prepared>> {
        self.inner.lock().plans.get(key).cloned()
    }

    /// Offers a plan.
    pub fn offer(&self, key: PlanKey, plan: Arc<Prepared>) {
        if self.comes_again(&key) {
            self.keep(key, plan);
        }
    }

    /// Whether a key is to have a plan: it was asked for before, and nothing speaks against it.
    pub fn comes_again(&self, key: &PlanKey) -> bool {
        if key.text.len() > TEXT_BYTES_MAX || changes_meaning(&key.text) {
            return false;
        }
        let (hash, slot) = self.slot(key);
        let mut inner = self.inner.lock();
        std::mem::replace(&mut inner.seen[slot], hash) == hash && inner.refused[slot] != hash
    }

    /// Keeps a plan.
    pub fn keep(&self, key: PlanKey, plan: Arc<Prepared>) {
        let mut inner = self.inner.lock();
        if inner.plans.insert(key.clone(), plan).is_none() {
            inner.order.push_back(key);
        }
        if inner.plans.len() > PLANS_MAX
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.plans.remove(&oldest);
        }
    }

    /// A key gets no plan.
    pub fn refuse(&self, key: &PlanKey) {
        let (hash, slot) = self.slot(key);
        self.inner.lock().refused[slot] = hash;
    }

    fn slot(&self, key: &PlanKey) -> (u64, usize) {
        let hash = self.hasher.hash_one(key) | 1;
        (hash, hash as usize / 2 % SEEN_MAX)
    }
}

/// Whether a text may mean something else the next time, or to somebody else: a literal another
/// moment (`'now'`, `'today'`), a path other files. Binding has looked at them already.
fn changes_meaning(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["'now", "today", "tomorrow", "yesterday", "read_parquet"]
        .iter()
        .any(|word| text.contains(word))
}
