//! Durable numbers that are given out once: OIDs and spaces.
//!
//! A gateway takes a block of numbers by one small commit of its own, outside the transaction that
//! wants them, and gives them out from memory. So concurrent DDL never meets on a counter, a
//! rollback returns nothing, and a restart loses at most the rest of a block.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::object::COUNTER_SPACE;
use crate::clock::Clock;
use crate::error::{Error, Result, SqlState};
use crate::kv::{Commit, CommitOutcome, Expect, Key, SharedStore, TxnId, Write};

/// Numbers taken from the store at once.
const BLOCK: u32 = 32;
/// Attempts at a block against other gateways before giving up.
const ATTEMPTS_MAX: usize = 64;

/// One durable counter.
pub(super) struct Counter {
    name: &'static str,
    first: u32,
    store: SharedStore,
    clock: Arc<dyn Clock>,
    /// Numbers at hand: the next one and the end.
    block: Mutex<(u32, u32)>,
}

impl Counter {
    /// A counter that starts at `first` in a new store.
    pub(super) fn new(
        name: &'static str,
        first: u32,
        store: SharedStore,
        clock: Arc<dyn Clock>,
    ) -> Counter {
        Counter { name, first, store, clock, block: Mutex::new((0, 0)) }
    }

    /// A number that nobody was given before.
    pub(super) async fn next(&self) -> Result<u32> {
        let mut block = self.block.lock().await;
        if block.0 == block.1 {
            *block = self.take_block().await?;
        }
        let number = block.0;
        block.0 += 1;
        Ok(number)
    }

    async fn take_block(&self) -> Result<(u32, u32)> {
        let key = Key::new(COUNTER_SPACE, self.name.as_bytes(), self.name.len());
        for _ in 0..ATTEMPTS_MAX {
            let at = self.store.snapshot().await?;
            let version = self.store.get(&key, at.at).await?;
            let (start, expect) = match &version {
                Some(v) if v.value.is_some() => {
                    (self.parse(v.value.as_deref().unwrap_or_default())?, Expect::Unchanged(v.ts))
                }
                _ => (self.first, Expect::Absent),
            };
            let Some(end) = start.checked_add(BLOCK) else {
                return Err(Error::new(
                    SqlState::PROGRAM_LIMIT_EXCEEDED,
                    format!("the catalog is out of numbers for \"{}\"", self.name),
                ));
            };
            let commit = Commit {
                txn: autonomous_txn(self.clock.as_ref()),
                snapshot: at.at,
                reads: Vec::new(),
                ranges: Vec::new(),
                writes: vec![Write {
                    key: key.clone(),
                    value: Some(Bytes::from(end.to_string())),
                    expect,
                    tracked: false,
                }],
            };
            if let CommitOutcome::Committed(_) = self.store.commit(commit).await? {
                return Ok((start, end));
            }
        }
        Err(Error::new(
            SqlState::SERIALIZATION_FAILURE,
            format!("could not take numbers for \"{}\" against other gateways", self.name),
        ))
    }

    fn parse(&self, value: &[u8]) -> Result<u32> {
        let number = std::str::from_utf8(value).ok().and_then(|s| s.parse().ok());
        number.ok_or_else(|| Error::corrupted(format!("catalog counter \"{}\"", self.name)))
    }
}

/// An id for a commit of the catalog's own.
pub(super) fn autonomous_txn(clock: &dyn Clock) -> TxnId {
    let mut id = [0; 16];
    clock.random(&mut id);
    TxnId(u128::from_le_bytes(id))
}
