//! Writes without locks, where those are dear: rows are looked at, and the commit demands that
//! they are as they were seen.
//!
//! A conflict is 40001, at the commit. Who can run the whole statement again, with locks, may even
//! leave out the look for rows that are new: the commit finds them if they are there.

use futures::future::try_join_all;

use super::Txn;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::{Expect, Key, LockMode, LockWait, Locked, Write};

/// How rows that a statement writes are kept from others until its transaction ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discipline {
    /// They are locked as they are found: who else writes them waits.
    #[default]
    Locks,
    /// The commit demands that they are as they were seen.
    Looks,
    /// The same, for a statement that is all of its transaction and is run again with locks when
    /// that fails: keys that it inserts are taken for free.
    Hopes,
}

impl Txn {
    /// How the statements from here on write.
    pub fn set_discipline(&mut self, discipline: Discipline) {
        self.discipline = discipline;
    }

    /// Rows that the running statement found and will write: locked as [`Txn::lock`] does, or
    /// looked at. `alone`: with nothing else, and untracked.
    pub async fn target(
        &mut self,
        keys: &[Key],
        alone: bool,
        mode: LockMode,
        wait: LockWait,
    ) -> Result<Vec<Option<Locked>>> {
        match self.discipline {
            Discipline::Locks => self.lock(keys, mode, wait).await,
            Discipline::Looks | Discipline::Hopes => self.look(keys, alone).await,
        }
    }

    /// Keys that the running statement will insert: locked as [`Txn::lock_newest`] does, looked
    /// at, or with `hope` only demanded to be free.
    pub async fn claim(
        &mut self,
        keys: &[Key],
        hope: bool,
        wait: LockWait,
    ) -> Result<Vec<Option<Locked>>> {
        match self.discipline {
            Discipline::Locks => self.lock_newest(keys, LockMode::Update, wait).await,
            Discipline::Hopes if hope => {
                for key in keys {
                    self.expected.entry(key.clone()).or_insert(Expect::Absent);
                }
                let free = Locked { current: None, waited: false, fresh: false };
                Ok(vec![Some(free); keys.len()])
            }
            Discipline::Looks | Discipline::Hopes => self.look(keys, false).await,
        }
    }

    async fn look(&mut self, keys: &[Key], alone: bool) -> Result<Vec<Option<Locked>>> {
        let store = self.manager.store.clone();
        let versions = if std::mem::take(&mut self.newest) {
            match keys {
                [key] if alone && self.discipline == Discipline::Hopes => {
                    let (version, prepared) = store.look(self.id, key).await?;
                    self.prepared = prepared;
                    vec![version]
                }
                _ => try_join_all(keys.iter().map(|key| store.get(key, Timestamp::MAX))).await?,
            }
        } else {
            let at = self.ensure_snapshot().await?;
            store.get_many(keys, at).await?
        };
        let mut seen = Vec::with_capacity(keys.len());
        for (key, current) in keys.iter().zip(versions) {
            let live = current.as_ref().filter(|version| version.value.is_some());
            let expect = live.map_or(Expect::Absent, |version| Expect::Unchanged(version.ts));
            self.expected.entry(key.clone()).or_insert(expect);
            if self.options.isolation == super::Isolation::Serializable {
                self.reads.point(key, super::live_ts(current.as_ref()));
            }
            seen.push(Some(Locked { current, waited: false, fresh: false }));
        }
        Ok(seen)
    }

    /// Has the commit demand what was seen.
    pub(super) fn demand(&self, writes: &mut [Write]) {
        if self.expected.is_empty() {
            return;
        }
        for write in writes.iter_mut().filter(|write| write.expect == Expect::Any) {
            if let Some(expect) = self.expected.get(&write.key) {
                write.expect = *expect;
            }
        }
    }
}
