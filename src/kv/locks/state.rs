//! The state of one lock: who holds it, who waits for it. Pure; the table does the locking.
//!
//! A lock of one holder and no waiter, which is nearly every lock, is 16 bytes; sharing or
//! waiting moves the rest into a box.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::kv::{Key, LockMode, TxnId};

/// A transaction as the lock table knows it.
pub(super) struct Owner {
    /// Who.
    pub id: TxnId,
    /// Hashes of the keys it locked. May name locks given up since, and some twice.
    pub held: Mutex<Vec<u64>>,
    /// The lock it waits for, if any.
    pub waits_for: Mutex<Option<u64>>,
}

/// A request in a lock's queue.
pub(super) struct Waiter {
    pub ticket: u64,
    pub owner: Arc<Owner>,
    pub mode: LockMode,
    /// For the report of a deadlock.
    pub key: Key,
    /// Told when the lock was granted.
    pub granted: oneshot::Sender<()>,
}

/// One lock.
#[derive(Default)]
pub(super) struct LockState {
    first: Option<(Arc<Owner>, LockMode)>,
    crowd: Option<Box<Crowd>>,
}

/// Further holders, and the queue, in order of arrival but for upgrades, which come first.
#[derive(Default)]
struct Crowd {
    holders: Vec<(Arc<Owner>, LockMode)>,
    queue: VecDeque<Waiter>,
}

/// What an attempt came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Held now. What was held before: none for a fresh lock.
    Granted { before: Option<LockMode> },
    /// Someone is in the way; nothing changed.
    Refused,
}

impl LockState {
    /// Whether nobody holds it or waits for it.
    pub fn is_free(&self) -> bool {
        self.first.is_none() && self.crowd.is_none()
    }

    /// Holders and their modes.
    pub fn holders(&self) -> impl Iterator<Item = (&Arc<Owner>, LockMode)> {
        let more = self.crowd.iter().flat_map(|c| c.holders.iter());
        self.first.iter().chain(more).map(|(o, m)| (o, *m))
    }

    /// The mode `owner` holds.
    pub fn mode_of(&self, owner: &Arc<Owner>) -> Option<LockMode> {
        self.holders().find(|(o, _)| Arc::ptr_eq(o, owner)).map(|(_, m)| m)
    }

    /// Waiters, first come first.
    pub fn queue(&self) -> impl Iterator<Item = &Waiter> {
        self.crowd.iter().flat_map(|c| c.queue.iter())
    }

    fn blocked_by_holders(&self, owner: &Arc<Owner>, mode: LockMode) -> bool {
        self.holders().any(|(o, m)| !Arc::ptr_eq(o, owner) && m.conflicts(mode))
    }

    /// Takes the lock if nobody is in the way. A newcomer lets those go first who wait for what
    /// it would take from them; who holds the lock already needs to wait for holders only.
    pub fn attempt(&mut self, owner: &Arc<Owner>, mode: LockMode) -> Attempt {
        if self.is_free() {
            self.first = Some((owner.clone(), mode));
            return Attempt::Granted { before: None };
        }
        let before = self.mode_of(owner);
        if before.is_some_and(|held| held >= mode) {
            return Attempt::Granted { before };
        }
        if self.blocked_by_holders(owner, mode) {
            return Attempt::Refused;
        }
        if before.is_none() && self.queue().any(|w| w.mode.conflicts(mode)) {
            return Attempt::Refused;
        }
        self.hold(owner, mode);
        Attempt::Granted { before }
    }

    /// Adds to the queue; an upgrade goes before those who hold nothing, else it would wait for
    /// someone who waits for it.
    pub fn enqueue(&mut self, waiter: Waiter) {
        let upgrade = self.mode_of(&waiter.owner).is_some();
        let place = if upgrade {
            self.queue().take_while(|w| self.mode_of(&w.owner).is_some()).count()
        } else {
            self.queue().count()
        };
        self.crowd.get_or_insert_default().queue.insert(place, waiter);
    }

    /// Moves a waiter to before another that it stands behind.
    pub fn promote(&mut self, behind: u64, before: u64) {
        let Some(crowd) = &mut self.crowd else { return };
        let place = |ticket| crowd.queue.iter().position(|w| w.ticket == ticket);
        if let (Some(from), Some(to)) = (place(behind), place(before))
            && let Some(waiter) = crowd.queue.remove(from)
        {
            crowd.queue.insert(to.min(from), waiter);
        }
        self.grant_waiters();
    }

    /// Takes a ticket out of the queue. Whether it was still there.
    pub fn dequeue(&mut self, ticket: u64) -> bool {
        let Some(crowd) = &mut self.crowd else { return false };
        let Some(place) = crowd.queue.iter().position(|w| w.ticket == ticket) else {
            return false;
        };
        crowd.queue.remove(place);
        self.grant_waiters();
        true
    }

    /// Gives the lock up, or goes back to the mode held `before`.
    pub fn give_up(&mut self, owner: &Arc<Owner>, before: Option<LockMode>) {
        match before {
            Some(mode) => self.set_mode(owner, mode),
            None => self.remove_holder(owner),
        }
        if self.crowd.is_some() {
            self.grant_waiters();
        }
    }

    fn hold(&mut self, owner: &Arc<Owner>, mode: LockMode) {
        if self.mode_of(owner).is_some() {
            self.set_mode(owner, mode);
        } else if self.first.is_none() {
            self.first = Some((owner.clone(), mode));
        } else {
            self.crowd.get_or_insert_default().holders.push((owner.clone(), mode));
        }
    }

    fn set_mode(&mut self, owner: &Arc<Owner>, mode: LockMode) {
        let more = self.crowd.iter_mut().flat_map(|c| c.holders.iter_mut());
        for (holder, held) in self.first.iter_mut().chain(more) {
            if Arc::ptr_eq(holder, owner) {
                *held = mode;
            }
        }
    }

    fn remove_holder(&mut self, owner: &Arc<Owner>) {
        if self.first.as_ref().is_some_and(|(o, _)| Arc::ptr_eq(o, owner)) {
            self.first = self.crowd.as_mut().and_then(|c| c.holders.pop());
        } else if let Some(crowd) = &mut self.crowd {
            crowd.holders.retain(|(o, _)| !Arc::ptr_eq(o, owner));
        }
    }

    /// Grants, in order, every waiter that conflicts with no holder and with nobody who waits
    /// before it.
    fn grant_waiters(&mut self) {
        let mut place = 0;
        loop {
            let Some(waiter) = self.queue().nth(place) else { break };
            let ready = !self.blocked_by_holders(&waiter.owner, waiter.mode)
                && !self.queue().take(place).any(|w| w.mode.conflicts(waiter.mode));
            if !ready {
                place += 1;
                continue;
            }
            let Some(waiter) = self.crowd.as_mut().and_then(|c| c.queue.remove(place)) else {
                break;
            };
            let mode = self.mode_of(&waiter.owner).map_or(waiter.mode, |m| m.max(waiter.mode));
            self.hold(&waiter.owner, mode);
            *waiter.owner.waits_for.lock() = None;
            // A waiter that is gone by now finds itself out of the queue and gives the lock back.
            let _ = waiter.granted.send(());
        }
        if self.crowd.as_ref().is_some_and(|c| c.holders.is_empty() && c.queue.is_empty()) {
            self.crowd = None;
        }
    }
}
