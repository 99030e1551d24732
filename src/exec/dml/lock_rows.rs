//! SELECT … FOR UPDATE and its weaker kin.

use crate::error::{Error, Result, SqlState};
use crate::exec::context::ExecContext;
use crate::kv::{Key, LockWait};
use crate::plan::node::{LockRowsPlan, LockTarget};
use crate::types::Row;

use super::{newest, row_key};

/// Locks the rows that a batch comes from, and gives the batch as it is under the locks: rows
/// that are gone, no longer qualify or are skipped are left out.
///
/// # Errors
/// 55P03 for NOWAIT and lock_timeout; 40001 and 40P01.
pub async fn lock_rows(
    ctx: &mut ExecContext<'_>,
    plan: &LockRowsPlan,
    rows: Vec<Row>,
) -> Result<Vec<Row>> {
    let mut kept: Vec<(Row, bool)> = rows.into_iter().map(|row| (row, false)).collect();
    for target in &plan.targets {
        kept = lock_target(ctx, target, kept).await?;
    }
    let mut out = Vec::with_capacity(kept.len());
    for (row, changed) in kept {
        if changed && !ctx.all_hold(&plan.recheck, &row, &[]).await? {
            continue;
        }
        out.push(row);
    }
    Ok(out)
}

async fn lock_target(
    ctx: &mut ExecContext<'_>,
    target: &LockTarget,
    rows: Vec<(Row, bool)>,
) -> Result<Vec<(Row, bool)>> {
    let mut keys: Vec<Option<Key>> = Vec::with_capacity(rows.len());
    for (row, _) in &rows {
        keys.push(row_key(&target.codec, &row[target.row_key])?);
    }
    let asked: Vec<Key> = keys.iter().flatten().cloned().collect();
    let wait = match (target.lock.nowait, target.lock.skip_locked) {
        (true, _) => LockWait::NoWait,
        (_, true) => LockWait::SkipLocked,
        _ => ctx.lock_wait(),
    };
    let locked =
        ctx.txn.lock(&asked, target.lock.mode, wait).await.map_err(|e| name_relation(e, target))?;
    let snapshot = ctx.txn.snapshot();
    let mut locks = locked.into_iter();
    let mut out = Vec::with_capacity(rows.len());
    for ((mut row, mut changed), key) in rows.into_iter().zip(keys) {
        let Some(key) = key else {
            out.push((row, changed));
            continue;
        };
        let Some(locked) = locks.next().flatten() else { continue };
        let now = newest(ctx, &key, &locked, snapshot);
        let Some(value) = now.value else { continue };
        if now.changed {
            changed = true;
            let fresh = target.decoder.decode(&key, &value)?;
            for (place, datum) in target.places.iter().zip(fresh) {
                row[*place] = datum;
            }
        }
        out.push((row, changed));
    }
    Ok(out)
}

/// NOWAIT's message names the table, which the lock manager does not know.
fn name_relation(error: Error, target: &LockTarget) -> Error {
    if target.lock.nowait && error.code() == SqlState::LOCK_NOT_AVAILABLE {
        let name = &target.table.name;
        return Error::new(
            SqlState::LOCK_NOT_AVAILABLE,
            format!("could not obtain lock on row in relation \"{name}\""),
        );
    }
    error
}
