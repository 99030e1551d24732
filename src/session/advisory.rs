//! Advisory locks: what `pg_advisory_lock` and its family take.
//!
//! They are locks of the store, in a space of their own, and so hold between all sessions of all
//! gateways. One owner, the session, has both kinds, those until it ends or gives them up and
//! those until the transaction ends; a session never waits for itself. How often it holds which
//! is counted here.
//!
//! Two things differ from PostgreSQL: who holds a key shared and exclusively and gives up the
//! exclusive lock keeps it until the shared one goes too; and a circle of waits through an
//! advisory lock and a row is not found, since a row's owner is the transaction. `lock_timeout`
//! ends such a wait.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::functions::{AdvisoryKey, AdvisoryRequest};
use crate::kv::{Key, LockMode, LockRequest, LockWait, SharedStore, SpaceId, TxnId};
use crate::types::{Datum, Row};

/// Where advisory locks are taken; nothing is ever written there.
const ADVISORY_SPACE: SpaceId = SpaceId(4);

/// How often a key is held: shared, exclusively.
#[derive(Clone, Copy, Default)]
struct Counts {
    session: [u32; 2],
    transaction: [u32; 2],
}

impl Counts {
    fn is_free(self) -> bool {
        self.session == [0; 2] && self.transaction == [0; 2]
    }

    fn holds(self, exclusive: bool) -> bool {
        self.session[usize::from(exclusive)] + self.transaction[usize::from(exclusive)] > 0
    }
}

#[derive(Default)]
struct Held {
    counts: HashMap<AdvisoryKey, Counts>,
    /// What the transaction took, in that order.
    log: Vec<(AdvisoryKey, bool)>,
}

/// The advisory locks of one session.
pub struct AdvisoryLocks {
    store: SharedStore,
    owner: TxnId,
    held: Mutex<Held>,
}

impl AdvisoryLocks {
    /// No locks, of an owner that nobody else is.
    pub fn new(store: SharedStore, owner: TxnId) -> AdvisoryLocks {
        AdvisoryLocks { store, owner, held: Mutex::default() }
    }

    /// Takes a lock. False if it is held by another session and the request does not wait.
    ///
    /// # Errors
    /// 40P01, 55P03 and what the store raises.
    pub async fn take(&self, request: AdvisoryRequest, wait: LockWait) -> Result<bool> {
        let AdvisoryRequest { key, exclusive, .. } = request;
        let held = self.held.lock().counts.get(&key).copied().unwrap_or_default();
        if !held.holds(true) && !held.holds(exclusive) {
            let mode = if exclusive { LockMode::Update } else { LockMode::Share };
            let wait = if request.wait { wait } else { LockWait::SkipLocked };
            let keys = vec![store_key(key)];
            let locked = self.store.lock(LockRequest { txn: self.owner, keys, mode, wait }).await?;
            if locked.iter().any(Option::is_none) {
                return Ok(false);
            }
        }
        let mut held = self.held.lock();
        let counts = held.counts.entry(key).or_default();
        if request.transaction {
            counts.transaction[usize::from(exclusive)] += 1;
            held.log.push((key, exclusive));
        } else {
            counts.session[usize::from(exclusive)] += 1;
        }
        Ok(true)
    }

    /// Gives up one of the session's own. False if it has none such.
    ///
    /// # Errors
    /// What the store raises.
    pub async fn give_up(&self, key: AdvisoryKey, exclusive: bool) -> Result<bool> {
        let freed = {
            let mut held = self.held.lock();
            let Some(counts) = held.counts.get_mut(&key) else { return Ok(false) };
            let count = &mut counts.session[usize::from(exclusive)];
            if *count == 0 {
                return Ok(false);
            }
            *count -= 1;
            held.take_freed()
        };
        self.unlock(freed).await.map(|()| true)
    }

    /// Gives up all that are the session's own.
    ///
    /// # Errors
    /// What the store raises.
    pub async fn give_up_all(&self) -> Result<()> {
        let freed = {
            let mut held = self.held.lock();
            held.counts.values_mut().for_each(|counts| counts.session = [0; 2]);
            held.take_freed()
        };
        self.unlock(freed).await
    }

    /// Fails if locks were lost: who relies on them learns of it as of a server that is gone.
    ///
    /// # Errors
    /// One that ends the session.
    pub fn check(&self) -> Result<()> {
        if self.held.lock().counts.is_empty() {
            return Ok(());
        }
        self.store.check_locks(self.owner).map_err(Error::ending_session)
    }

    /// How many locks the transaction has taken so far.
    pub fn mark(&self) -> usize {
        self.held.lock().log.len()
    }

    /// Gives up what the transaction took after a mark; 0 is its beginning.
    ///
    /// # Errors
    /// What the store raises.
    pub async fn back_to(&self, mark: usize) -> Result<()> {
        let freed = {
            let mut held = self.held.lock();
            if held.log.len() <= mark {
                return Ok(());
            }
            for (key, exclusive) in held.log.split_off(mark) {
                if let Some(counts) = held.counts.get_mut(&key) {
                    counts.transaction[usize::from(exclusive)] -= 1;
                }
            }
            held.take_freed()
        };
        self.unlock(freed).await
    }

    /// The session ended, and with it all its locks.
    pub fn end(&self) {
        let held = std::mem::take(&mut *self.held.lock());
        if !held.counts.is_empty() {
            self.store.abandon(self.owner);
        }
    }

    async fn unlock(&self, freed: Vec<Key>) -> Result<()> {
        if freed.is_empty() {
            return Ok(());
        }
        self.store.unlock(self.owner, Some(&freed)).await
    }

    /// Their rows in `pg_locks`.
    pub fn rows(&self, database: u32, pid: i32) -> Vec<Row> {
        let held = self.held.lock();
        let row = |(key, exclusive): (&AdvisoryKey, bool)| {
            let (class, object, form) = key.parts();
            let mut row = vec![Datum::Null; 16];
            row[0] = Datum::text("advisory");
            row[1] = Datum::Oid(database);
            row[7] = Datum::Oid(class);
            row[8] = Datum::Oid(object);
            row[9] = Datum::Int2(form);
            row[10] = Datum::text(format!("{pid}/0"));
            row[11] = Datum::Int4(pid);
            row[12] = Datum::text(mode_name(exclusive));
            row[13] = Datum::Bool(true);
            row[14] = Datum::Bool(false);
            row
        };
        let held = held.counts.iter().flat_map(|(key, counts)| {
            let held = [false, true].into_iter().filter(|exclusive| counts.holds(*exclusive));
            held.map(move |exclusive| (key, exclusive))
        });
        held.map(row).collect()
    }
}

impl Held {
    /// Forgets the keys that are held no longer, and names them.
    fn take_freed(&mut self) -> Vec<Key> {
        let freed = self.counts.extract_if(|_, counts| counts.is_free());
        freed.map(|(key, _)| store_key(key)).collect()
    }
}

/// What PostgreSQL calls a mode.
pub fn mode_name(exclusive: bool) -> &'static str {
    if exclusive { "ExclusiveLock" } else { "ShareLock" }
}

/// The key in the store: all of it is the partition part, so that one lock is one partition's.
fn store_key(key: AdvisoryKey) -> Key {
    let (class, object, form) = key.parts();
    let mut tail = [0; 9];
    tail[..4].copy_from_slice(&class.to_be_bytes());
    tail[4..8].copy_from_slice(&object.to_be_bytes());
    tail[8] = form as u8;
    Key::new(ADVISORY_SPACE, &tail, tail.len())
}
