//! Finds a cycle of transactions that wait for each other, and breaks it.
//!
//! A waiter waits for the holders in its way (hard edges) and for those before it in the queue
//! (soft edges). Who is part of a cycle of hard edges must give up. A cycle with a soft edge in
//! it is undone by letting the one behind go first; that fails only if the reverse had to be
//! done before, and then giving up is the way out too. PostgreSQL does likewise (its README of
//! the lock manager).

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::state::{LockState, Owner, Waiter};
use super::{LockTable, Shard, shard_of};
use crate::error::{Error, SqlState};
use crate::kv::{Key, LockMode, TxnId};

/// One edge of a cycle: who waits, for what, and who is in its way.
pub(in crate::kv) struct Edge {
    pub waiter: TxnId,
    pub mode: LockMode,
    pub key: Key,
    pub blocker: TxnId,
}

/// Someone in a waiter's way.
struct Blocker {
    owner: Arc<Owner>,
    /// Its ticket, where it only stands before the waiter in the queue.
    ticket: Option<u64>,
}

type Shards<'a> = Vec<MutexGuard<'a, Shard>>;

/// The cycle for which `start` must give up, if there is one now. May reorder queues.
///
/// Who gives up waits no longer once this returns, so that one cycle has one victim: another of
/// its waiters that looks before the victim has left the queue finds no cycle.
pub(super) fn find(table: &LockTable, start: &Arc<Owner>) -> Option<Vec<Edge>> {
    let mut shards: Shards<'_> = table.shards.iter().map(|s| s.lock()).collect();
    if let Some(path) = cycle(&shards, start, true) {
        return Some(give_up(&shards, start, &path));
    }
    let mut reversed = HashSet::new();
    while let Some(path) = cycle(&shards, start, false) {
        let soft = path.iter().find_map(|(owner, blocker)| {
            let (_, waiter) = wait_of(&shards, owner)?;
            Some((owner.clone(), waiter.ticket, blocker.ticket?))
        });
        let Some((owner, behind, before)) = soft.filter(|s| reversed.insert((s.1, s.2))) else {
            return Some(give_up(&shards, start, &path));
        };
        if reversed.contains(&(before, behind)) {
            return Some(give_up(&shards, start, &path));
        }
        let Some(hash) = *owner.waits_for.lock() else { break };
        if let Some(state) = shards[shard_of(hash)].get_mut(&hash) {
            state.promote(behind, before);
        }
    }
    None
}

/// A cycle through `start`: each owner with the one in its way that comes next.
fn cycle(
    shards: &Shards<'_>,
    start: &Arc<Owner>,
    hard: bool,
) -> Option<Vec<(Arc<Owner>, Blocker)>> {
    let mut seen: HashSet<*const Owner> = HashSet::new();
    seen.insert(Arc::as_ptr(start));
    let mut path: Vec<(Arc<Owner>, Blocker)> = Vec::new();
    // For each owner of the path and for its end: those in its way not yet looked at.
    let mut left = vec![(start.clone(), blockers(shards, start, hard))];
    while let Some((owner, more)) = left.last_mut() {
        let Some(blocker) = more.pop() else {
            left.pop();
            path.pop();
            continue;
        };
        let next = blocker.owner.clone();
        let closes = Arc::ptr_eq(&next, start);
        if closes || seen.insert(Arc::as_ptr(&next)) {
            path.push((owner.clone(), blocker));
            if closes {
                return Some(path);
            }
            let more = blockers(shards, &next, hard);
            left.push((next, more));
        }
    }
    None
}

/// The lock an owner waits for, and its place in the queue.
fn wait_of<'a>(shards: &'a Shards<'_>, owner: &Arc<Owner>) -> Option<(&'a LockState, &'a Waiter)> {
    let hash = (*owner.waits_for.lock())?;
    let state = shards[shard_of(hash)].get(&hash)?;
    let waiter = state.queue().find(|w| Arc::ptr_eq(&w.owner, owner))?;
    Some((state, waiter))
}

/// Everyone an owner waits for.
fn blockers(shards: &Shards<'_>, owner: &Arc<Owner>, hard: bool) -> Vec<Blocker> {
    let Some((state, waiter)) = wait_of(shards, owner) else { return Vec::new() };
    let before = state.queue().take_while(|w| w.ticket != waiter.ticket && !hard);
    let holders = state.holders().map(|(owner, mode)| (owner, mode, None));
    holders
        .chain(before.map(|w| (&w.owner, w.mode, Some(w.ticket))))
        .filter(|(o, mode, _)| !Arc::ptr_eq(o, owner) && mode.conflicts(waiter.mode))
        .map(|(owner, _, ticket)| Blocker { owner: owner.clone(), ticket })
        .collect()
}

fn give_up(shards: &Shards<'_>, start: &Arc<Owner>, path: &[(Arc<Owner>, Blocker)]) -> Vec<Edge> {
    let edges = edges(shards, path);
    *start.waits_for.lock() = None;
    edges
}

fn edges(shards: &Shards<'_>, path: &[(Arc<Owner>, Blocker)]) -> Vec<Edge> {
    let edge = |(owner, blocker): &(Arc<Owner>, Blocker)| {
        let (_, waiter) = wait_of(shards, owner)?;
        let (mode, key) = (waiter.mode, waiter.key.clone());
        Some(Edge { waiter: owner.id, mode, key, blocker: blocker.owner.id })
    };
    path.iter().filter_map(edge).collect()
}

/// 40P01, with a line of detail for each edge.
pub(in crate::kv) fn error<'a>(cycle: impl IntoIterator<Item = &'a Edge>) -> Error {
    let line = |e: &Edge| {
        let lock = match e.mode {
            LockMode::KeyShare => "KeyShareLock",
            LockMode::Share => "ShareLock",
            LockMode::NoKeyUpdate => "NoKeyUpdateLock",
            LockMode::Update => "UpdateLock",
        };
        let (waiter, blocker) = (e.waiter.short(), e.blocker.short());
        let key = &e.key;
        format!("Process {waiter} waits for {lock} on {key:?}; blocked by process {blocker}.")
    };
    let lines: Vec<String> = cycle.into_iter().map(line).collect();
    Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
        .with_detail(lines.join("\n"))
        .with_hint("See server log for query details.")
}
