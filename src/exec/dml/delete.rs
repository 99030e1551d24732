//! DELETE.

use crate::error::Result;
use crate::exec::context::ExecContext;
use crate::kv::{Key, LockMode};
use crate::plan::node::DeletePlan;
use crate::types::Row;

use super::foreign::note;
use super::insert::give;
use super::{WriteState, newest, remove, targets};

/// Deletes the rows of a batch of source rows, by the key that each carries.
///
/// # Errors
/// 40001 and 40P01 from locking.
pub async fn delete_found(
    ctx: &mut ExecContext<'_>,
    plan: &DeletePlan,
    rows: Vec<Row>,
    state: &mut WriteState,
    out: &mut Vec<Row>,
) -> Result<()> {
    let found = targets(&plan.target.codec, rows, plan.found.row_key, state)?;
    delete(ctx, plan, found, state, out).await
}

/// Deletes rows by key; beside each key stands its source row.
///
/// # Errors
/// As [`delete_found`].
pub async fn delete(
    ctx: &mut ExecContext<'_>,
    plan: &DeletePlan,
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
    let alone = plan.target.is_alone(|_| true);
    let locked = ctx.txn.target(&keys, alone, LockMode::Update, wait).await?;
    let snapshot = ctx.txn.snapshot();
    for ((key, source), locked) in found.into_iter().zip(locked) {
        let Some(locked) = locked else { continue };
        let now = newest(ctx, &key, &locked, snapshot);
        let Some(value) = now.value else { continue };
        let row = plan.target.decoder.decode(&key, &value)?;
        if now.changed && !ctx.all_hold(&plan.found.recheck, &row, &source).await? {
            continue;
        }
        remove(ctx, &plan.target, &key, &row)?;
        note(ctx, state, &plan.target.table, &key, Some(&row), None);
        state.affected += 1;
        give(ctx, plan.returning.as_ref(), &row, &source, out).await?;
    }
    Ok(())
}
