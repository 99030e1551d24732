//! FOREIGN KEY, at the end of a statement: every row that references has one that it references.
//!
//! What a statement writes is noted ([`note`]) and looked at when it has written all of it
//! ([`check`]). A row that came or changed locks the row it references FOR KEY SHARE, by its key,
//! so that it stays until this transaction ends. A row that went or changed its key is locked by
//! the statement already: nobody can begin to reference it, and those that do are found by a query
//! that sees everything committed until now, and refused, deleted or updated as the constraint
//! says. Such a query is a statement of its own, whose rows are checked in their turn.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;

use super::WriteState;
use crate::catalog::quote_ident;
use crate::encoding::table::{IndexCodec, TableCodec};
use crate::error::{Error, Result, SqlState};
use crate::exec::context::{ExecContext, State};
use crate::exec::ddl::{key_names, not_present};
use crate::exec::{BATCH_ROWS_MAX, Execution};
use crate::functions;
use crate::kv::{Key, KeyRange, LockMode, PageLimit};
use crate::plan::{self, NoStatistics, Plan, PlanSettings, ReadEngines};
use crate::sql;
use crate::sql::bind::Binder;
use crate::txn::Isolation;
use crate::types::descriptor::{
    ColumnId, ForeignAction, ForeignKeyDescriptor, TableDescriptor, TableId,
};
use crate::types::{Datum, Row, SqlType, io};

/// Rows of a referencing table that are read at once.
const PAGE: PageLimit = PageLimit { rows_max: 1024, bytes_max: 4 << 20 };

/// A row that a statement wrote.
pub struct Event {
    table: Arc<TableDescriptor>,
    old: Option<Row>,
    new: Option<Row>,
}

/// Notes a row that was written, if foreign keys may care.
pub(super) fn note(
    ctx: &ExecContext<'_>,
    state: &mut WriteState,
    table: &Arc<TableDescriptor>,
    old: Option<&[Datum]>,
    new: Option<&[Datum]>,
) {
    let references = new.is_some() && !table.foreign_keys.is_empty();
    if references || (old.is_some() && ctx.catalog.is_referenced(table.id)) {
        let (old, new) = (old.map(<[_]>::to_vec), new.map(<[_]>::to_vec));
        state.events.push(Event { table: Arc::clone(table), old, new });
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

fn places(table: &TableDescriptor, columns: &[ColumnId]) -> Vec<usize> {
    let place = |id: &ColumnId| table.columns.iter().position(|c| c.id == *id);
    columns.iter().filter_map(place).collect()
}

fn values_at(row: &[Datum], places: &[usize]) -> Vec<Datum> {
    places.iter().map(|at| row[*at].clone()).collect()
}

fn same_values(a: &[Datum], b: &[Datum]) -> bool {
    a.iter().zip(b).all(|(a, b)| functions::compare(a, b) == Ordering::Equal)
}

/// Plans of the queries that one check has made, by their texts.
type Plans = HashMap<String, Arc<Plan>>;

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
        ctx.txn.begin_statement().await?;
        for batch in events.chunks(BATCH_ROWS_MAX) {
            ctx.check_cancel()?;
            check_references(ctx, batch).await?;
        }
        for event in &events {
            if let Some(old) = &event.old {
                follow(ctx, event, old, &mut plans).await?;
            }
        }
        Ok(())
    })
}

/// A row that references another.
struct Probe<'e> {
    event: &'e Event,
    key: &'e ForeignKeyDescriptor,
    values: Vec<Datum>,
    at: Key,
}

/// Locks the rows that written rows reference.
async fn check_references(ctx: &mut ExecContext<'_>, events: &[Event]) -> Result<()> {
    let mut known: HashMap<u32, Referenced> = HashMap::new();
    let mut probes = Vec::new();
    for event in events {
        let Some(new) = &event.new else { continue };
        for key in &event.table.foreign_keys {
            if let std::collections::hash_map::Entry::Vacant(place) = known.entry(key.oid) {
                let parent = ctx.catalog.table_by_id(key.parent);
                let parent = parent.ok_or_else(|| Error::internal("a referenced table is gone"))?;
                place.insert(Referenced::new(parent, key)?);
            }
            let own = places(&event.table, &key.columns);
            let values = values_at(new, &own);
            if event.old.as_ref().is_some_and(|old| same_values(&values_at(old, &own), &values)) {
                continue;
            }
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
    let wait = ctx.lock_wait();
    ctx.state.store.locks += keys.len() as u64;
    let locked = ctx.txn.lock_newest(&keys, LockMode::KeyShare, wait).await?;
    let mut found = HashMap::with_capacity(keys.len());
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
    event: &Event,
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
        let types: Vec<SqlType> =
            theirs.iter().map(|at| event.table.columns[*at].ty.plain()).collect();
        let columns: Vec<String> = key
            .columns
            .iter()
            .filter_map(|id| child.column_by_id(*id))
            .map(|c| quote_ident(&c.name).into_owned())
            .collect();
        let name = format!("{}.{}", quote_ident(&child.schema), quote_ident(&child.name));
        let equal = |(i, column): (usize, &String)| format!("x.{column} = ${}", i + 1);
        let filter: Vec<String> = columns.iter().enumerate().map(equal).collect();
        let filter = filter.join(" AND ");
        let set = |value: &dyn Fn(usize) -> String| {
            let each = columns.iter().enumerate();
            let each: Vec<String> = each.map(|(i, c)| format!("{c} = {}", value(i))).collect();
            format!("UPDATE {name} x SET {} WHERE {filter}", each.join(", "))
        };
        let mut query = Query { types, values: before.clone(), text: String::new() };
        match (action, after) {
            (ForeignAction::NoAction | ForeignAction::Restrict, _) => {}
            (ForeignAction::Cascade, None) => {
                query.text = format!("DELETE FROM {name} x WHERE {filter}");
                query.run(ctx, plans).await?;
            }
            (ForeignAction::Cascade, Some(after)) => {
                let count = columns.len();
                query.text = set(&|i| format!("${}", count + i + 1));
                query.types = [query.types.as_slice(), query.types.as_slice()].concat();
                query.values.extend(after);
                query.run(ctx, plans).await?;
            }
            (ForeignAction::SetNull, _) => {
                query.text = set(&|_| "NULL".to_owned());
                query.run(ctx, plans).await?;
            }
            (ForeignAction::SetDefault, _) => {
                query.text = set(&|_| "DEFAULT".to_owned());
                query.run(ctx, plans).await?;
            }
        }
        if is_refused(ctx, event, &key, action, &before)? {
            query.text = format!("SELECT 1 FROM {name} x WHERE {filter} FOR KEY SHARE OF x");
            if query.run(ctx, plans).await? > 0 {
                return Err(still_referenced(ctx, event, &child, &key, &before));
            }
        }
        if ctx.txn.isolation() == Isolation::RepeatableRead {
            refuse_newer(ctx, &child, &key, &event.table, &before).await?;
        }
    }
    Ok(())
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

/// A query over rows that reference others.
struct Query {
    text: String,
    types: Vec<SqlType>,
    values: Vec<Datum>,
}

impl Query {
    /// Runs it as a statement of its own; gives the rows it returned, or 1 for any.
    async fn run(&self, ctx: &mut ExecContext<'_>, plans: &mut Plans) -> Result<usize> {
        let plan = match plans.get(&self.text) {
            Some(plan) => Arc::clone(plan),
            None => {
                let plan = Arc::new(self.plan(ctx)?);
                plans.insert(self.text.clone(), Arc::clone(&plan));
                plan
            }
        };
        ctx.txn.begin_statement().await?;
        let mut execution = Execution::new(plan);
        let mut nested = ExecContext {
            txn: &mut *ctx.txn,
            eval: ctx.eval,
            params: &self.values,
            catalog: ctx.catalog,
            virtuals: ctx.virtuals,
            cancel: ctx.cancel,
            state: State::default(),
        };
        let mut rows = 0;
        while let Some(batch) = execution.next_batch(&mut nested, BATCH_ROWS_MAX).await? {
            rows += batch.len();
        }
        Ok(rows)
    }

    fn plan(&self, ctx: &ExecContext<'_>) -> Result<Plan> {
        let statement = sql::parse(&self.text)?.pop();
        let statement = statement.ok_or_else(|| Error::internal("a query parsed to nothing"))?;
        let types = self.types.iter().map(|ty| Some(*ty)).collect();
        let mut binder = Binder::new(ctx.catalog.as_ref(), ctx.eval, statement.text.clone(), types);
        let bound = binder.bind_statement(&statement.kind)?;
        let settings = PlanSettings {
            eval: ctx.eval,
            statistics: &NoStatistics,
            ordered: false,
            engines: ReadEngines { row: true, columnar: false },
            labels: false,
        };
        plan::plan(bound.statement, &settings)
    }
}

/// 40001 if rows that this transaction's snapshot does not have reference one that went.
async fn refuse_newer(
    ctx: &mut ExecContext<'_>,
    child: &TableDescriptor,
    key: &ForeignKeyDescriptor,
    parent: &TableDescriptor,
    before: &[Datum],
) -> Result<()> {
    let codec = TableCodec::new(child)?;
    let decoder = codec.decoder(&key.columns)?;
    let theirs = places(parent, &key.parent_columns);
    let mut latest = ctx.txn.latest();
    latest.begin_statement().await?;
    let (range, mut from) = (KeyRange::all(child.space()), None);
    loop {
        ctx.check_cancel()?;
        let page = latest.scan(&range, false, PAGE, from).await?;
        for entry in &page.entries {
            let row = decoder.decode_entry(entry)?;
            let mut same = true;
            for ((value, id), (at, wanted)) in
                row.iter().zip(&key.columns).zip(theirs.iter().zip(before))
            {
                let from = child.column_by_id(*id).map_or(SqlType::TEXT, |c| c.ty.plain());
                let to = parent.columns[*at].ty.plain();
                let value = functions::apply_cast(ctx.eval, value.clone(), from, to, false)?;
                same &= functions::compare(&value, wanted) == Ordering::Equal;
            }
            if same && ctx.txn.own(&entry.key).is_none() && ctx.txn.get(&entry.key).await?.is_none()
            {
                return Err(Error::new(
                    SqlState::SERIALIZATION_FAILURE,
                    "could not serialize access due to concurrent update",
                ));
            }
        }
        from = page.next;
        if from.is_none() {
            return Ok(());
        }
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
