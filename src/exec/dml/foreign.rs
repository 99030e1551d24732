//! FOREIGN KEY, at the end of a statement: every row that references has one that it references.
//!
//! What a statement writes is noted ([`note`]) and looked at when it has written all of it
//! ([`check`]). A row that came or changed locks the row it references FOR KEY SHARE, by its key,
//! so that it stays until this transaction ends. A row that went or changed its key is locked by
//! the statement already: nobody can begin to reference it, and those that do are found by a query
//! that sees everything committed until now, and refused, deleted or updated as the constraint
//! says. Such a query is a statement of its own, whose rows are checked in their turn.
//!
//! What a deferred constraint would refuse is left in [`DeferredChecks`](super::DeferredChecks),
//! and looked at by [`check_deferred`].

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;

use super::WriteState;
use super::deferred::Side;
use super::referencing::{Plans, Referencing};
use crate::encoding::table::{IndexCodec, TableCodec};
use crate::error::{Error, Result, SqlState};
use crate::exec::BATCH_ROWS_MAX;
use crate::exec::context::ExecContext;
use crate::exec::ddl::{key_names, not_present};
use crate::functions;
use crate::kv::{Key, LockMode};
use crate::txn::Isolation;
use crate::types::descriptor::{
    ColumnId, ForeignAction, ForeignKeyDescriptor, TableDescriptor, TableId,
};
use crate::types::{Datum, Row, io};

/// Rows noted by a load before they are checked.
const EARLY_EVENTS: usize = 16 * BATCH_ROWS_MAX;

/// A row that a statement wrote.
pub struct Event {
    table: Arc<TableDescriptor>,
    /// The row's key, the new one if it has another now.
    key: Key,
    old: Option<Row>,
    new: Option<Row>,
}

/// Notes a row that was written, if foreign keys may care.
pub(super) fn note(
    ctx: &ExecContext<'_>,
    state: &mut WriteState,
    table: &Arc<TableDescriptor>,
    key: &Key,
    old: Option<&[Datum]>,
    new: Option<&[Datum]>,
) {
    let references = new.is_some() && !table.foreign_keys.is_empty();
    if references || (old.is_some() && ctx.catalog.is_referenced(table.id)) {
        let (old, new) = (old.map(<[_]>::to_vec), new.map(<[_]>::to_vec));
        let (table, key) = (Arc::clone(table), key.clone());
        state.events.push(Arc::new(Event { table, key, old, new }));
    }
}

/// The tables whose rows the foreign keys of written tables may lock or write, with the locks that
/// takes.
pub(in crate::exec) fn involved(
    ctx: &ExecContext<'_>,
    written: &[Arc<TableDescriptor>],
) -> Vec<(Arc<TableDescriptor>, LockMode)> {
    let mut seen: HashSet<TableId> = written.iter().map(|table| table.id).collect();
    let (mut todo, mut found) = (written.to_vec(), Vec::new());
    while let Some(table) = todo.pop() {
        for (child, _) in ctx.catalog.references_to(table.id) {
            if seen.insert(child.id) {
                found.push((Arc::clone(&child), LockMode::Share));
                todo.push(child);
            }
        }
        for key in &table.foreign_keys {
            if let Some(parent) = ctx.catalog.table_by_id(key.parent)
                && seen.insert(parent.id)
            {
                found.push((parent, LockMode::KeyShare));
            }
        }
    }
    found
}

/// Where rows with a key of a referenced table lie.
struct Referenced {
    parent: Arc<TableDescriptor>,
    codec: TableCodec,
    /// A unique index other than the primary key.
    index: Option<IndexCodec>,
    /// Places of the key's columns in a row, in the order of the constraint.
    places: Vec<usize>,
}

impl Referenced {
    fn new(parent: Arc<TableDescriptor>, key: &ForeignKeyDescriptor) -> Result<Referenced> {
        let Some(index) = key.index_of(&parent) else {
            return Err(Error::internal(format!("{} references no key", key.name)));
        };
        let secondary = index.oid != parent.primary.oid;
        Ok(Referenced {
            codec: TableCodec::new(&parent)?,
            index: secondary.then(|| IndexCodec::new(&parent, index)).transpose()?,
            places: places(&parent, &key.parent_columns),
            parent,
        })
    }

    /// The key under which a row with these values is found: its own, or its unique entry.
    fn key(&self, values: &[Datum]) -> Result<Key> {
        let mut row = vec![Datum::Null; self.parent.columns.len()];
        for (at, value) in self.places.iter().zip(values) {
            row[*at] = value.clone();
        }
        match &self.index {
            Some(index) => {
                index.entry(&row, &Key::new(self.parent.space(), &[], 0)).map(|entry| entry.key)
            }
            None => self.codec.row_key(&row, [0; 16]),
        }
    }
}

pub(super) fn places(table: &TableDescriptor, columns: &[ColumnId]) -> Vec<usize> {
    let place = |id: &ColumnId| table.columns.iter().position(|c| c.id == *id);
    columns.iter().filter_map(place).collect()
}

fn values_at(row: &[Datum], places: &[usize]) -> Vec<Datum> {
    places.iter().map(|at| row[*at].clone()).collect()
}

fn same_values(a: &[Datum], b: &[Datum]) -> bool {
    a.iter().zip(b).all(|(a, b)| functions::compare(a, b) == Ordering::Equal)
}

/// Checks what was noted, and does what the constraints ask for.
///
/// # Errors
/// 23503, and what the queries raise.
pub(in crate::exec) fn check<'a>(
    ctx: &'a mut ExecContext<'_>,
) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
    Box::pin(async move {
        let events = std::mem::take(&mut ctx.state.writes.events);
        let mut plans = Plans::new();
        // A row may reference one that was loaded with it.
        ctx.txn.end_loads().await?;
        ctx.txn.begin_statement().await?;
        for batch in events.chunks(BATCH_ROWS_MAX) {
            ctx.check_cancel()?;
            let mut now = Vec::new();
            for event in batch {
                for key in &event.table.foreign_keys {
                    let deferred = ctx.deferred.is_deferred(key);
                    // The event before may be of a row that this one finds changed: PostgreSQL
                    // too looks at every change of a row that the transaction wrote.
                    let again = deferred && ctx.deferred.has_waited(key) && event.new.is_some();
                    if !again && !references_anew(event, key) {
                        continue;
                    }
                    match deferred {
                        true => ctx.deferred.wait(key, event, Side::Child)?,
                        false => now.push((event.as_ref(), key)),
                    }
                }
            }
            check_references(ctx, &now).await?;
        }
        for event in &events {
            if let Some(old) = &event.old {
                follow(ctx, event, old, &mut plans).await?;
            }
        }
        Ok(())
    })
}

/// Checks what a load has noted so far, so that it need not be kept to the statement's end: what
/// other tables hold does not depend on the rest of the statement.
///
/// # Errors
/// As [`check`].
pub(super) async fn check_early(ctx: &mut ExecContext<'_>, table: &TableDescriptor) -> Result<()> {
    let itself = table.foreign_keys.iter().any(|key| key.parent == table.id);
    if itself || ctx.state.writes.events.len() < EARLY_EVENTS {
        return Ok(());
    }
    let here = ctx.txn.statement();
    check(ctx).await?;
    ctx.txn.enter(&here);
    Ok(())
}

/// A row that references another.
struct Probe<'e> {
    event: &'e Event,
    key: &'e ForeignKeyDescriptor,
    values: Vec<Datum>,
    at: Key,
}

/// Whether a row references another one than before.
fn references_anew(event: &Event, key: &ForeignKeyDescriptor) -> bool {
    let Some(new) = &event.new else { return false };
    let own = places(&event.table, &key.columns);
    let same = |old: &Row| same_values(&values_at(old, &own), &values_at(new, &own));
    !event.old.as_ref().is_some_and(same)
}

/// Locks the rows that written rows reference.
async fn check_references(
    ctx: &mut ExecContext<'_>,
    written: &[(&Event, &ForeignKeyDescriptor)],
) -> Result<()> {
    let mut known: HashMap<u32, Referenced> = HashMap::new();
    let mut probes = Vec::new();
    for &(event, key) in written {
        let Some(new) = &event.new else { continue };
        if let std::collections::hash_map::Entry::Vacant(place) = known.entry(key.oid) {
            let parent = ctx.catalog.table_by_id(key.parent);
            let parent = parent.ok_or_else(|| Error::internal("a referenced table is gone"))?;
            place.insert(Referenced::new(parent, key)?);
        }
        let own = places(&event.table, &key.columns);
        let values = values_at(new, &own);
        let nulls = values.iter().filter(|value| value.is_null()).count();
        if nulls == values.len() || (nulls > 0 && !key.match_full) {
            continue;
        }
        let referenced = &known[&key.oid];
        if nulls > 0 {
            return Err(not_present(&event.table, &referenced.parent, key, None));
        }
        let mut theirs = Vec::with_capacity(values.len());
        for ((value, own), at) in values.iter().zip(&own).zip(&referenced.places) {
            let from = event.table.columns[*own].ty.plain();
            let to = referenced.parent.columns[*at].ty.plain();
            theirs.push(functions::apply_cast(ctx.eval, value.clone(), from, to, false)?);
        }
        let at = referenced.key(&theirs)?;
        probes.push(Probe { event, key, values, at });
    }
    let present = lock_present(ctx, probes.iter().map(|probe| &probe.at)).await?;
    for probe in &probes {
        let referenced = &known[&probe.key.oid];
        let mut found = present.get(&probe.at).cloned().flatten();
        if let (Some(tail), true) = (&found, referenced.index.is_some()) {
            // The entry tells the row, which is what others lock before they change it.
            let row = referenced.codec.key_from_tail(tail)?;
            lock_present(ctx, std::iter::once(&row)).await?;
            found =
                lock_present(ctx, std::iter::once(&probe.at)).await?.remove(&probe.at).flatten();
        }
        if found.is_none() {
            let settings = &ctx.eval.session.format;
            let own = places(&probe.event.table, &probe.key.columns);
            let types = own.iter().map(|at| probe.event.table.columns[*at].ty);
            let shown = probe.values.iter().zip(types);
            let shown = shown.map(|(v, ty)| io::to_text(v, ty, settings).unwrap_or_default());
            let shown = Some(shown.collect());
            return Err(not_present(&probe.event.table, &referenced.parent, probe.key, shown));
        }
    }
    Ok(())
}

/// Locks keys FOR KEY SHARE and gives what they hold now.
async fn lock_present<'k>(
    ctx: &mut ExecContext<'_>,
    keys: impl Iterator<Item = &'k Key>,
) -> Result<HashMap<Key, Option<bytes::Bytes>>> {
    let mut seen = HashSet::new();
    let keys: Vec<Key> = keys.filter(|key| seen.insert(*key)).cloned().collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let mut found = HashMap::with_capacity(keys.len());
    // Of a table that this transaction has made nobody else knows.
    let (own, keys): (Vec<Key>, Vec<Key>) =
        keys.into_iter().partition(|key| ctx.txn.has_made(key.space()));
    let seen = ctx.txn.get_many(&own).await?;
    found.extend(own.into_iter().zip(seen.into_iter().map(|seen| seen.map(|row| row.value))));
    if keys.is_empty() {
        return Ok(found);
    }
    let wait = ctx.lock_wait();
    ctx.state.store.locks += keys.len() as u64;
    let locked = ctx.txn.lock_newest(&keys, LockMode::KeyShare, wait).await?;
    for (key, locked) in keys.into_iter().zip(locked) {
        let committed = locked.and_then(|l| l.current).and_then(|version| version.value);
        let value = ctx.txn.own(&key).unwrap_or(committed);
        found.insert(key, value);
    }
    Ok(found)
}

/// Does what constraints ask for the rows that reference one which went or changed.
async fn follow(
    ctx: &mut ExecContext<'_>,
    event: &Arc<Event>,
    old: &[Datum],
    plans: &mut Plans,
) -> Result<()> {
    for (child, key) in ctx.catalog.references_to(event.table.id) {
        let theirs = places(&event.table, &key.parent_columns);
        let before = values_at(old, &theirs);
        if before.iter().any(Datum::is_null) {
            continue;
        }
        let after = event.new.as_ref().map(|new| values_at(new, &theirs));
        if after.as_ref().is_some_and(|after| same_values(after, &before)) {
            continue;
        }
        let action = if after.is_some() { key.on_update } else { key.on_delete };
        if action == ForeignAction::NoAction && ctx.deferred.is_deferred(&key) {
            ctx.deferred.wait(&key, event, Side::Parent)?;
            continue;
        }
        let rows = Referencing::new(&event.table, &child, &key, before);
        rows.act(ctx, action, after, plans).await?;
        refuse_referencing(ctx, event, &rows, action, plans).await?;
    }
    Ok(())
}

/// 23503 if rows reference what is gone, where the action asks for that.
async fn refuse_referencing(
    ctx: &mut ExecContext<'_>,
    event: &Event,
    rows: &Referencing<'_>,
    action: ForeignAction,
    plans: &mut Plans,
) -> Result<()> {
    if is_refused(ctx, event, rows.key, action, &rows.values)? && rows.lock(ctx, plans).await? > 0 {
        return Err(still_referenced(ctx, event, rows.child, rows.key, &rows.values));
    }
    match ctx.txn.isolation() {
        Isolation::RepeatableRead => rows.refuse_newer(ctx).await,
        _ => Ok(()),
    }
}

/// Makes the deferred checks that are due.
///
/// # Errors
/// 23503, and what the queries raise.
pub async fn check_deferred(ctx: &mut ExecContext<'_>) -> Result<()> {
    let due = ctx.deferred.take_due();
    ctx.txn.begin_statement().await?;
    for batch in due.chunks(BATCH_ROWS_MAX) {
        ctx.check_cancel()?;
        let mut stand = Vec::new();
        for one in batch.iter().filter(|one| one.side == Side::Child) {
            let keys = &one.event.table.foreign_keys;
            if let Some(key) = keys.iter().find(|key| key.oid == one.constraint)
                && still_references(ctx, &one.event, key)?
            {
                stand.push((one.event.as_ref(), key));
            }
        }
        check_references(ctx, &stand).await?;
    }
    let mut plans = Plans::new();
    for one in due.iter().filter(|one| one.side == Side::Parent) {
        let Some(old) = &one.event.old else { continue };
        let referencing = ctx.catalog.references_to(one.event.table.id);
        for (child, key) in referencing.iter().filter(|(_, key)| key.oid == one.constraint) {
            let before = values_at(old, &places(&one.event.table, &key.parent_columns));
            let rows = Referencing::new(&one.event.table, child, key, before);
            let action = ForeignAction::NoAction;
            refuse_referencing(ctx, &one.event, &rows, action, &mut plans).await?;
        }
    }
    Ok(())
}

/// Whether a row that this transaction wrote is as it was written, and its constraint is there.
fn still_references(
    ctx: &ExecContext<'_>,
    event: &Event,
    key: &ForeignKeyDescriptor,
) -> Result<bool> {
    let table = ctx.catalog.table_by_id(event.table.id);
    let table = table.filter(|table| table.space() == event.table.space());
    if !table.is_some_and(|table| table.foreign_keys.iter().any(|k| k.oid == key.oid)) {
        return Ok(false);
    }
    let (Some(new), Some(value)) = (&event.new, ctx.txn.own(&event.key).flatten()) else {
        return Ok(false);
    };
    let decoder = TableCodec::new(&event.table)?.decoder(&key.columns)?;
    let now = decoder.decode(&event.key, &value)?;
    Ok(same_values(&now, &values_at(new, &places(&event.table, &key.columns))))
}

/// Whether no row may reference a key any more: it is not there again.
fn is_refused(
    ctx: &ExecContext<'_>,
    event: &Event,
    key: &ForeignKeyDescriptor,
    action: ForeignAction,
    before: &[Datum],
) -> Result<bool> {
    match action {
        ForeignAction::Restrict => Ok(true),
        // A default may be the very key that goes.
        ForeignAction::NoAction | ForeignAction::SetDefault => {
            let again = Referenced::new(event.table.clone(), key)?.key(before)?;
            Ok(ctx.txn.own(&again).flatten().is_none())
        }
        _ => Ok(false),
    }
}

/// 23503 for a row that others reference.
fn still_referenced(
    ctx: &ExecContext<'_>,
    event: &Event,
    child: &TableDescriptor,
    key: &ForeignKeyDescriptor,
    values: &[Datum],
) -> Error {
    let parent = &event.table;
    let settings = &ctx.eval.session.format;
    let types = places(parent, &key.parent_columns).into_iter().map(|at| parent.columns[at].ty);
    let shown = values.iter().zip(types);
    let shown: Vec<String> =
        shown.map(|(v, ty)| io::to_text(v, ty, settings).unwrap_or_default()).collect();
    Error::new(
        SqlState::FOREIGN_KEY_VIOLATION,
        format!(
            "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \
             \"{}\"",
            parent.name, key.name, child.name
        ),
    )
    .with_detail(format!(
        "Key ({})=({}) is still referenced from table \"{}\".",
        key_names(parent, &key.parent_columns),
        shown.join(", "),
        child.name
    ))
    .with_table(&child.schema, &child.name)
    .with_constraint(&key.name)
}
