//! Checks of foreign keys that wait for COMMIT, or for SET CONSTRAINTS … IMMEDIATE.
//!
//! A statement leaves what it wrote here for the constraints that are deferred; the statements of
//! ON DELETE and ON UPDATE have run by then. When the checks run, only what still stands is looked
//! at: a row that has gone or changed since needs nothing, its last change left an event too.
//!
//! Nothing is removed before the transaction ends, so that ROLLBACK TO brings back what SET
//! CONSTRAINTS had checked after the savepoint.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::foreign::Event;
use crate::error::{Error, Result, SqlState};
use crate::types::descriptor::{ConstraintTiming, ForeignKeyDescriptor};

/// Most checks of one transaction that may wait.
const WAITING_MAX: usize = 10_000_000;

/// Which side of a constraint an event is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// A row that references came or changed.
    Child,
    /// A row that is referenced went or changed its key.
    Parent,
}

/// A check that waits.
#[derive(Clone)]
pub(super) struct Waiting {
    /// The constraint's OID.
    pub constraint: u32,
    /// What happened.
    pub event: Arc<Event>,
    /// To which side.
    pub side: Side,
    timing: ConstraintTiming,
    /// In which run of checks it was done.
    done: Option<u32>,
}

/// The checks of one transaction that wait.
#[derive(Default)]
pub struct DeferredChecks {
    modes: Modes,
    waiting: Vec<Waiting>,
    constraints: HashSet<u32>,
    runs: u32,
}

/// What SET CONSTRAINTS has said: whether deferred.
#[derive(Clone, Default)]
struct Modes {
    all: Option<bool>,
    each: HashMap<u32, bool>,
}

impl Modes {
    fn is_deferred(&self, oid: u32, timing: ConstraintTiming) -> bool {
        timing != ConstraintTiming::NotDeferrable
            && self
                .each
                .get(&oid)
                .copied()
                .or(self.all)
                .unwrap_or(timing == ConstraintTiming::Deferred)
    }
}

/// A state to come back to.
#[derive(Clone)]
pub struct DeferredMark {
    modes: Modes,
    waiting: usize,
    runs: u32,
}

impl DeferredChecks {
    /// Whether a constraint is to wait now.
    pub(super) fn is_deferred(&self, key: &ForeignKeyDescriptor) -> bool {
        self.modes.is_deferred(key.oid, key.timing)
    }

    /// Whether checks of a constraint have waited in this transaction.
    pub(super) fn has_waited(&self, key: &ForeignKeyDescriptor) -> bool {
        self.constraints.contains(&key.oid)
    }

    /// Leaves a check for later.
    ///
    /// # Errors
    /// 54000 if too many wait.
    pub(super) fn wait(
        &mut self,
        key: &ForeignKeyDescriptor,
        event: &Arc<Event>,
        side: Side,
    ) -> Result<()> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("more than {WAITING_MAX} deferred checks in one transaction"),
            )
            .with_hint("SET CONSTRAINTS ALL IMMEDIATE makes statements check what they write."));
        }
        self.constraints.insert(key.oid);
        self.waiting.push(Waiting {
            constraint: key.oid,
            event: Arc::clone(event),
            side,
            timing: key.timing,
            done: None,
        });
        Ok(())
    }

    /// SET CONSTRAINTS: for all deferrable constraints, or for some by their OIDs.
    pub fn set(&mut self, constraints: Option<&[u32]>, deferred: bool) {
        match constraints {
            None => self.modes = Modes { all: Some(deferred), each: HashMap::new() },
            Some(oids) => self.modes.each.extend(oids.iter().map(|oid| (*oid, deferred))),
        }
    }

    /// At COMMIT nothing may wait any longer.
    pub fn end(&mut self) {
        self.set(None, false);
    }

    /// Whether checks wait that should not, as constraints are set now.
    pub fn is_due(&self) -> bool {
        let due = |one: &Waiting| {
            one.done.is_none() && !self.modes.is_deferred(one.constraint, one.timing)
        };
        self.waiting.iter().any(due)
    }

    /// Takes the checks that are due.
    pub(super) fn take_due(&mut self) -> Vec<Waiting> {
        self.runs += 1;
        let (modes, run) = (&self.modes, self.runs);
        let due = self
            .waiting
            .iter_mut()
            .filter(|one| one.done.is_none() && !modes.is_deferred(one.constraint, one.timing));
        due.map(|one| {
            one.done = Some(run);
            one.clone()
        })
        .collect()
    }

    /// The state now, for a savepoint.
    pub fn mark(&self) -> DeferredMark {
        DeferredMark { modes: self.modes.clone(), waiting: self.waiting.len(), runs: self.runs }
    }

    /// ROLLBACK TO: the state is what it was.
    pub fn back_to(&mut self, mark: &DeferredMark) {
        self.modes = mark.modes.clone();
        self.waiting.truncate(mark.waiting);
        for one in &mut self.waiting {
            one.done = one.done.filter(|run| *run <= mark.runs);
        }
    }
}
