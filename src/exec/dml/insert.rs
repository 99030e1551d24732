//! INSERT, with ON CONFLICT.

use std::sync::Arc;

use crate::catalog;
use crate::encoding::table::IndexEntry;
use crate::error::{Error, Result, SqlState};
use crate::exec::context::ExecContext;
use crate::kv::{Key, LockMode, Locked};
use crate::plan::node::{ConflictSpec, InsertPlan, Op, Target};
use crate::plan::scalar::Scalars;
use crate::types::descriptor::IndexDescriptor;
use crate::types::{Datum, Row};

use super::constraints::{check_row, duplicate};
use super::foreign::note;
use super::update::Replacement;
use super::{Newest, WriteState, newest};

/// How rows get into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the transaction's commit: anybody may write the table's keys, which are locked.
    Commit,
    /// They are loaded: the table was made or emptied by this transaction, and only its own rows
    /// can be in the way.
    Load,
}

impl Way {
    /// The way for all rows of the running statement. A row that is loaded may be seen at once, so
    /// a statement that reads the table has none of its rows loaded.
    ///
    /// # Errors
    /// Those of the store, which is told of the table before it is given rows.
    pub async fn choose(ctx: &ExecContext<'_>, plan: &Arc<InsertPlan>) -> Result<Way> {
        if !Way::may_load(ctx, plan) {
            return Ok(Way::Commit);
        }
        let table = &plan.target.table;
        if !ctx.txn.loaded_spaces().any(|space| space == table.space()) {
            catalog::describe(ctx.txn.store(), table).await?;
        }
        Ok(Way::Load)
    }

    fn may_load(ctx: &ExecContext<'_>, plan: &Arc<InsertPlan>) -> bool {
        let statement = ctx.state.plan.as_ref().map(|statement| &statement.root.op);
        let alone = matches!(statement, Some(Op::Insert(root)) if Arc::ptr_eq(root, plan));
        let answers = plan.returning.as_ref().is_some_and(|scalars| scalars.subqueries);
        let mut spaces = plan.target.indexes.iter().map(|index| index.index.space);
        alone
            && !plan.reads_target
            && !answers
            && plan.conflict.is_none()
            && ctx.txn.may_load(plan.target.table.space())
            && spaces.all(|space| ctx.txn.may_load(space))
    }
}

/// A row on its way in.
struct Incoming {
    row: Row,
    key: Key,
    entries: Vec<IndexEntry>,
}

/// Inserts a batch of rows (one value for each column of the table).
///
/// # Errors
/// 23502, 23514, 23505, 21000 for a row that ON CONFLICT DO UPDATE meets twice, 40001 and 40P01
/// from locking.
pub async fn insert(
    ctx: &mut ExecContext<'_>,
    plan: &InsertPlan,
    rows: Vec<Row>,
    way: Way,
    state: &mut WriteState,
    out: &mut Vec<Row>,
) -> Result<()> {
    for row in &rows {
        check_row(ctx, &plan.target, &plan.checks, row).await?;
    }
    insert_checked(ctx, plan, rows, way, state, out).await
}

/// Inserts rows that the constraints were checked for.
///
/// # Errors
/// As [`insert`], less 23502 and 23514.
pub async fn insert_checked(
    ctx: &mut ExecContext<'_>,
    plan: &InsertPlan,
    rows: Vec<Row>,
    way: Way,
    state: &mut WriteState,
    out: &mut Vec<Row>,
) -> Result<()> {
    let incoming = prepare(ctx, &plan.target, rows)?;
    let mut keys = Vec::new();
    if way == Way::Commit {
        for one in &incoming {
            lockable(&plan.target, one, &mut keys);
        }
    }
    let wait = ctx.lock_wait();
    let locked = if keys.is_empty() {
        Vec::new()
    } else {
        ctx.state.store.locks += keys.len() as u64;
        ctx.txn.claim(&keys, plan.conflict.is_none(), wait).await?
    };
    let mut locks = locked.into_iter();
    for one in incoming {
        let found = match way {
            Way::Commit => obstacle(ctx, &plan.target, &one, &mut locks)?,
            Way::Load => loaded_obstacle(ctx, &plan.target, &one).await?,
        };
        match found {
            None => {
                match way {
                    Way::Commit => store(ctx, &plan.target, &one)?,
                    Way::Load => load(ctx, &plan.target, &one).await?,
                }
                if plan.conflict.is_some() {
                    state.touched.insert(one.key.clone());
                }
                note(ctx, state, &plan.target.table, &one.key, None, Some(&one.row));
                state.affected += 1;
                give(ctx, plan.returning.as_ref(), &one.row, &[], out).await?;
            }
            Some(found) => match &plan.conflict {
                Some(conflict) if arbitrates(conflict, &found) => {
                    resolve(ctx, plan, conflict, one, &found, state, out).await?;
                }
                _ => {
                    let index = found.index(&plan.target);
                    return Err(duplicate(ctx, &plan.target, index, &one.row));
                }
            },
        }
    }
    Ok(())
}

/// Appends a row's RETURNING columns.
pub(super) async fn give(
    ctx: &mut ExecContext<'_>,
    returning: Option<&Scalars>,
    row: &[Datum],
    right: &[Datum],
    out: &mut Vec<Row>,
) -> Result<()> {
    let Some(returning) = returning else { return Ok(()) };
    let mut values = Vec::with_capacity(returning.list.len());
    for scalar in &returning.list {
        values.push(ctx.value(scalar, row, right).await?);
    }
    out.push(values);
    Ok(())
}

fn prepare(ctx: &mut ExecContext<'_>, target: &Target, rows: Vec<Row>) -> Result<Vec<Incoming>> {
    let mut incoming = Vec::with_capacity(rows.len());
    for row in rows {
        let row_id = if target.table.hidden_key { ctx.new_row_id() } else { [0; 16] };
        let key = target.codec.row_key(&row, row_id)?;
        let mut entries = Vec::with_capacity(target.indexes.len());
        for index in &target.indexes {
            entries.push(index.codec.entry(&row, &key)?);
        }
        incoming.push(Incoming { row, key, entries });
    }
    Ok(incoming)
}

/// The keys under which another row may be in the way: its own, unless that is a fresh row id,
/// and its unique entries.
fn lockable(target: &Target, one: &Incoming, keys: &mut Vec<Key>) {
    if !target.table.hidden_key {
        keys.push(one.key.clone());
    }
    keys.extend(one.entries.iter().filter(|e| e.unique).map(|e| e.key.clone()));
}

/// A row that is in the way.
pub(super) struct Obstacle {
    /// Which index says so: a place in the target's, none for the primary key.
    index: Option<usize>,
    /// Its row key.
    key: Key,
}

impl Obstacle {
    pub(super) fn index<'a>(&self, target: &'a Target) -> &'a IndexDescriptor {
        match self.index {
            Some(at) => &target.indexes[at].index,
            None => &target.table.primary,
        }
    }
}

/// Looks whether a row is in the way, taking the row's locks off `locks` in the order of
/// [`lockable`].
fn obstacle(
    ctx: &ExecContext<'_>,
    target: &Target,
    one: &Incoming,
    locks: &mut impl Iterator<Item = Option<Locked>>,
) -> Result<Option<Obstacle>> {
    let snapshot = ctx.txn.snapshot();
    let mut now = |key: &Key| -> Result<Newest> {
        match locks.next().flatten() {
            Some(locked) => Ok(newest(ctx, key, &locked, snapshot)),
            None => Err(Error::internal("a key that was to be locked was not")),
        }
    };
    let mut found = None;
    if !target.table.hidden_key && now(&one.key)?.value.is_some() {
        found = Some(Obstacle { index: None, key: one.key.clone() });
    }
    for (at, entry) in one.entries.iter().enumerate().filter(|(_, e)| e.unique) {
        if let Some(value) = now(&entry.key)?.value
            && found.is_none()
        {
            let key = target.codec.key_from_tail(&value)?;
            found = Some(Obstacle { index: Some(at), key });
        }
    }
    Ok(found)
}

/// The same, where only the transaction's own rows are.
async fn loaded_obstacle(
    ctx: &mut ExecContext<'_>,
    target: &Target,
    one: &Incoming,
) -> Result<Option<Obstacle>> {
    if !target.table.hidden_key && ctx.txn.loaded(&one.key).await?.is_some() {
        return Ok(Some(Obstacle { index: None, key: one.key.clone() }));
    }
    for (at, entry) in one.entries.iter().enumerate().filter(|(_, e)| e.unique) {
        if let Some(value) = ctx.txn.loaded(&entry.key).await? {
            let key = target.codec.key_from_tail(&value)?;
            return Ok(Some(Obstacle { index: Some(at), key }));
        }
    }
    Ok(None)
}

async fn load(ctx: &mut ExecContext<'_>, target: &Target, one: &Incoming) -> Result<()> {
    let value = target.codec.row_value(&one.row)?;
    ctx.txn.load(one.key.clone(), value).await?;
    for entry in &one.entries {
        ctx.txn.load(entry.key.clone(), entry.value.clone()).await?;
    }
    Ok(())
}

fn store(ctx: &mut ExecContext<'_>, target: &Target, one: &Incoming) -> Result<()> {
    let value = target.codec.row_value(&one.row)?;
    ctx.txn.put(one.key.clone(), value, target.table.columnar)?;
    for entry in &one.entries {
        ctx.txn.put(entry.key.clone(), entry.value.clone(), false)?;
    }
    Ok(())
}

fn arbitrates(conflict: &ConflictSpec, found: &Obstacle) -> bool {
    match found.index {
        None => conflict.primary,
        Some(at) => conflict.indexes.contains(&at),
    }
}

/// ON CONFLICT: skips the row, or updates the one in the way.
async fn resolve(
    ctx: &mut ExecContext<'_>,
    plan: &InsertPlan,
    conflict: &ConflictSpec,
    one: Incoming,
    found: &Obstacle,
    state: &mut WriteState,
    out: &mut Vec<Row>,
) -> Result<()> {
    let wait = ctx.lock_wait();
    // Above READ COMMITTED this fails if the row in the way is newer than the snapshot.
    let key = std::slice::from_ref(&found.key);
    let locked = ctx.txn.target(key, false, LockMode::Update, wait).await?;
    let Some(update) = &conflict.update else { return Ok(()) };
    if !state.touched.insert(found.key.clone()) {
        return Err(Error::new(
            SqlState::CARDINALITY_VIOLATION,
            "ON CONFLICT DO UPDATE command cannot affect row a second time",
        )
        .with_hint(
            "Ensure that no rows proposed for insertion within the same command have duplicate \
             constrained values.",
        ));
    }
    let snapshot = ctx.txn.snapshot();
    let current = locked.into_iter().next().flatten();
    let value = current.and_then(|l| newest(ctx, &found.key, &l, snapshot).value);
    let Some(value) = value else {
        return Err(Error::internal("the row in the way is gone under its lock"));
    };
    let existing = plan.target.decoder.decode(&found.key, &value)?;
    if let Some(filter) = &update.filter
        && !matches!(ctx.value(filter, &existing, &one.row).await?, Datum::Bool(true))
    {
        return Ok(());
    }
    let before = ctx.txn.own(&found.key);
    let mut row = existing.clone();
    for (at, scalar) in &update.assignments {
        row[*at] = ctx.value(scalar, &existing, &one.row).await?;
    }
    check_row(ctx, &plan.target, &plan.checks, &row).await?;
    if ctx.txn.own(&found.key) != before {
        // A WITH that writes, read by an assignment, has changed the row: as in PostgreSQL, the
        // statement's first change of a row is the one that counts.
        return Ok(());
    }
    let replacement = Replacement { key: &found.key, old: &existing, new: &row };
    let key = replacement.apply(ctx, &plan.target).await?;
    note(ctx, state, &plan.target.table, &key, Some(&existing), Some(&row));
    state.affected += 1;
    give(ctx, plan.returning.as_ref(), &row, &[], out).await
}
