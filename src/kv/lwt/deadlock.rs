//! Waiting for others, and cycles of those who wait for each other, over all gateways.
//!
//! A waiter writes whom it waits for into a row of its own, soon, so that one with a shorter
//! `deadlock_timeout` finds it; after its own it follows such rows from blocker to blocker. A way
//! back to itself is a cycle only if every wait on it is the same one when all are read a second
//! time, and every lock waited for is still held: each wait then lasted from the first reading to
//! the second, so all held at one moment. Of a cycle, the transaction with the highest identity
//! gives up; every member finds the cycle, so exactly one ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::gateway::Gateway;
use super::locks::{Blocked, not_available};
use super::partitions::*;
use super::rows::*;
use super::tables::is_table;
use crate::error::Result;
use crate::kv::locks::deadlock::{self, Edge};
use crate::kv::{LockRequest, LockWait, TxnId};

/// How long one waits before others are told: most waits are over by then.
const TOLD_AFTER: Duration = Duration::from_millis(250);
/// Transactions looked at in one search.
const SEARCH_MAX: usize = 1000;

/// One request's waiting.
pub struct Waiting {
    gateway: Arc<Gateway>,
    txn: TxnId,
    timeout: Option<Duration>,
    deadlock_timeout: Duration,
    since: Option<Duration>,
    looked: Duration,
    /// What was published last.
    published: Option<Wait>,
    steps: u32,
}

fn wait_row(txn: TxnId) -> Partition {
    Partition { table: Table::Transactions, key: txn_cell(txn) }
}

impl Waiting {
    /// Nothing waited for yet. `lock_timeout_ms`: 0 is none; `deadlock_timeout_ms`: 0 is the
    /// gateway's own.
    pub fn new(
        gateway: &Arc<Gateway>,
        txn: TxnId,
        lock_timeout_ms: u64,
        deadlock_timeout_ms: u64,
    ) -> Waiting {
        let deadlock_timeout = match deadlock_timeout_ms {
            0 => gateway.options.deadlock_timeout,
            ms => Duration::from_millis(ms),
        };
        Waiting {
            deadlock_timeout,
            gateway: gateway.clone(),
            txn,
            timeout: (lock_timeout_ms > 0).then(|| Duration::from_millis(lock_timeout_ms)),
            since: None,
            looked: Duration::ZERO,
            published: None,
            steps: 0,
        }
    }

    /// As a request for locks says.
    pub fn of(gateway: &Arc<Gateway>, request: &LockRequest) -> Waiting {
        let (timeout, deadlock) = match request.wait {
            LockWait::Block { lock_timeout_ms, deadlock_timeout_ms } => {
                (lock_timeout_ms, deadlock_timeout_ms)
            }
            _ => (0, 0),
        };
        Waiting::new(gateway, request.txn, timeout, deadlock)
    }

    /// Waits a little. 55P03 when that was too long, 40P01 in a deadlock.
    pub async fn step(&mut self, blocked: &Blocked) -> Result<()> {
        let gateway = self.gateway.clone();
        gateway.check()?;
        let now = gateway.time.monotonic();
        let since = *self.since.get_or_insert_with(|| {
            self.looked = now;
            gateway.count_wait();
            now
        });
        if self.timeout.is_some_and(|timeout| now.saturating_sub(since) >= timeout) {
            return Err(not_available("canceling statement due to lock timeout"));
        }
        let is_told = self.published.is_some();
        if !is_told && now.saturating_sub(since) >= TOLD_AFTER.min(self.deadlock_timeout) {
            self.publish(blocked).await?;
        }
        if now.saturating_sub(self.looked) >= self.deadlock_timeout {
            self.publish(blocked).await?;
            if let Some(cycle) = gateway.find_cycle(self.txn).await? {
                return Err(deadlock::error(cycle.iter().map(|step| &step.edge)));
            }
            self.looked = gateway.time.monotonic();
        }
        gateway.pause_or_progress(self.steps).await;
        self.steps = (self.steps + 1).min(6);
        Ok(())
    }

    async fn publish(&mut self, blocked: &Blocked) -> Result<()> {
        let on = Some((blocked.key.clone(), blocked.mode, blocked.txns.clone()));
        if self.published.as_ref().is_some_and(|p| p.on == on) {
            return Ok(());
        }
        let wait = Wait { number: self.gateway.clock.tick().0, on };
        self.gateway.publish_wait(self.txn, &wait).await?;
        self.published = Some(wait);
        Ok(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.published.take().is_none() {
            return;
        }
        let (gateway, txn) = (self.gateway.in_background(), self.txn);
        self.gateway.env.spawn(Box::pin(async move {
            let wait = Wait { number: gateway.clock.tick().0, on: None };
            // A wait that seems to go on is found out by the lock it is for.
            let _ = gateway.publish_wait(txn, &wait).await;
        }));
    }
}

/// One edge of a cycle, and the number of the waiter's wait.
struct Published {
    edge: Edge,
    number: u64,
}

impl Gateway {
    async fn publish_wait(&self, txn: TxnId, wait: &Wait) -> Result<()> {
        let row = RowKey::head(&Bytes::new());
        let value = wait.on.is_some().then(|| wait.encode());
        let write = CellWrite { row, column: Column::Wt, value };
        self.write(&wait_row(txn), vec![write], wait.number).await
    }

    async fn read_wait(&self, txn: TxnId) -> Result<Option<Wait>> {
        let select = Select::Heads(vec![Bytes::new()]);
        let rows = self.read(&wait_row(txn), select, Consistency::Quorum).await?;
        let cell = rows.iter().find_map(|r| r.get(Column::Wt));
        Ok(cell.map(Wait::decode).transpose()?.filter(|w| w.on.is_some()))
    }

    /// A cycle for which `txn`, which waits, has to give up.
    async fn find_cycle(self: &Arc<Self>, txn: TxnId) -> Result<Option<Vec<Published>>> {
        let mut seen = HashSet::from([txn]);
        let mut path: Vec<Published> = Vec::new();
        // For each transaction of the path, the edges not yet followed.
        let mut left = vec![self.edges_of(txn).await?];
        while let Some(more) = left.last_mut() {
            let Some(step) = more.pop() else {
                left.pop();
                path.pop();
                continue;
            };
            let next = step.edge.blocker;
            if next == txn {
                path.push(step);
                let highest = path.iter().all(|step| step.edge.waiter <= txn);
                if highest && self.is_real(&path).await? {
                    return Ok(Some(path));
                }
                path.pop();
            } else if seen.insert(next) && seen.len() < SEARCH_MAX {
                path.push(step);
                left.push(self.edges_of(next).await?);
            }
        }
        Ok(None)
    }

    async fn edges_of(&self, waiter: TxnId) -> Result<Vec<Published>> {
        let Some(Wait { number, on: Some((key, mode, blockers)) }) = self.read_wait(waiter).await?
        else {
            return Ok(Vec::new());
        };
        let edge = |blocker| Edge { waiter, mode, key: key.clone(), blocker };
        Ok(blockers.into_iter().map(|b| Published { edge: edge(b), number }).collect())
    }

    /// Whether a cycle existed at one moment.
    async fn is_real(self: &Arc<Self>, cycle: &[Published]) -> Result<bool> {
        for Published { edge, number } in cycle {
            let wait = self.read_wait(edge.waiter).await?;
            if wait.is_none_or(|w| w.number != *number) {
                return Ok(false);
            }
            if is_table(&edge.key) {
                // A sharer of a table is known to its own gateway only.
                let (space, waiter) = (edge.key.space(), edge.waiter);
                if self.tables.sharers(space, waiter, edge.mode).contains(&edge.blocker) {
                    continue;
                }
            }
            let (partition, clustering) = place(&edge.key);
            let record = self.read_head(&partition, &clustering).await?;
            let blocked = self.blocked(&edge.key, &record, edge.waiter, edge.mode).await?;
            let by_entry = blocked.is_some_and(|b| b.txns.contains(&edge.blocker));
            if !by_entry && !self.is_closed_elsewhere(edge, &record) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the waiter has closed a table in another gateway, and so waits for sharers that
    /// nobody else knows of. It named the blocker, which shared the table then, and still does:
    /// that it waits, in the same transaction, the next step of the cycle tells.
    fn is_closed_elsewhere(&self, edge: &Edge, record: &Record) -> bool {
        let by_waiter = |h: &Holder| h.txn == edge.waiter && h.incarnation != self.incarnation;
        is_table(&edge.key) && record.locks.iter().any(by_waiter)
    }
}
