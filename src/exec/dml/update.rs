//! UPDATE.

use crate::error::Result;
use crate::exec::context::ExecContext;
use crate::kv::Key;
use crate::plan::node::{Target, UpdatePlan};
use crate::types::{Datum, Row};

use super::constraints::{check_row, duplicate};
use super::foreign::note;
use super::insert::give;
use super::{WriteState, newest, targets};

/// Updates the rows of a batch of source rows, by the key that each carries.
///
/// # Errors
/// 23502, 23514, 23505; 40001 and 40P01 from locking.
pub async fn update_found(
    ctx: &mut ExecContext<'_>,
    plan: &UpdatePlan,
    rows: Vec<Row>,
    state: &mut WriteState,
    out: &mut Vec<Row>,
) -> Result<()> {
    let found = targets(&plan.target.codec, rows, plan.found.row_key, state)?;
    update(ctx, plan, found, state, out).await
}

/// Updates rows by key; beside each key stands its source row.
///
/// # Errors
/// As [`update_found`].
pub async fn update(
    ctx: &mut ExecContext<'_>,
    plan: &UpdatePlan,
    found: Vec<(Key, Row)>,
    state: &mut WriteState,
    out: &mut Vec<Row>,
) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let keys: Vec<Key> = found.iter().map(|(key, _)| key.clone()).collect();
    let wait = ctx.lock_wait();
    ctx.state.store.locks += keys.len() as u64;
    let locked = ctx.txn.target(&keys, plan.alone, plan.lock, wait).await?;
    let snapshot = ctx.txn.snapshot();
    for ((key, source), locked) in found.into_iter().zip(locked) {
        let Some(locked) = locked else { continue };
        let now = newest(ctx, &key, &locked, snapshot);
        let Some(value) = now.value else { continue };
        let old = plan.target.decoder.decode(&key, &value)?;
        if now.changed && !ctx.all_hold(&plan.found.recheck, &old, &source).await? {
            continue;
        }
        let mut new = old.clone();
        for (at, scalar) in &plan.assignments {
            new[*at] = ctx.value(scalar, &old, &source).await?;
        }
        check_row(ctx, &plan.target, &plan.checks, &new).await?;
        let replacement = Replacement { key: &key, old: &old, new: &new };
        let key = replacement.apply(ctx, &plan.target).await?;
        note(ctx, state, &plan.target.table, &key, Some(&old), Some(&new));
        state.affected += 1;
        give(ctx, plan.returning.as_ref(), &new, &source, out).await?;
    }
    Ok(())
}

/// A locked row and what it becomes.
pub(super) struct Replacement<'a> {
    /// Its key.
    pub key: &'a Key,
    /// As it is.
    pub old: &'a [Datum],
    /// As it will be.
    pub new: &'a [Datum],
}

impl Replacement<'_> {
    /// Writes the row and those index entries that change. Keys that are new to the row are
    /// locked and must be free (23505). Gives the row's key.
    pub async fn apply(&self, ctx: &mut ExecContext<'_>, target: &Target) -> Result<Key> {
        let new_key = if target.table.hidden_key {
            self.key.clone()
        } else {
            target.codec.row_key(self.new, [0; 16])?
        };
        let moved = new_key != *self.key;
        if moved {
            if !self.is_free(ctx, &new_key).await? {
                return Err(duplicate(ctx, target, &target.table.primary, self.new));
            }
            ctx.txn.delete(self.key.clone(), target.table.columnar)?;
        }
        for index in &target.indexes {
            let before = index.codec.entry(self.old, self.key)?;
            let after = index.codec.entry(self.new, &new_key)?;
            if before == after {
                continue;
            }
            if before.key != after.key {
                if after.unique && !self.is_free(ctx, &after.key).await? {
                    return Err(duplicate(ctx, target, &index.index, self.new));
                }
                ctx.txn.delete(before.key, false)?;
            }
            ctx.txn.put(after.key, after.value, false)?;
        }
        let value = target.codec.row_value(self.new)?;
        ctx.txn.put(new_key.clone(), value, target.table.columnar)?;
        Ok(new_key)
    }

    async fn is_free(&self, ctx: &mut ExecContext<'_>, key: &Key) -> Result<bool> {
        let wait = ctx.lock_wait();
        let locked = ctx.txn.claim(std::slice::from_ref(key), true, wait).await?;
        if let Some(own) = ctx.txn.own(key) {
            return Ok(own.is_none());
        }
        let current = locked.into_iter().next().flatten().and_then(|l| l.current);
        Ok(current.is_none_or(|version| version.value.is_none()))
    }
}
