//! Cursors by SQL: DECLARE, FETCH, MOVE, CLOSE, and the row that WHERE CURRENT OF means.
//!
//! A cursor computes its rows as they are asked for, in the snapshot of its DECLARE, and keeps
//! the last of them to go back over. A SCROLL cursor keeps all; one that may go back only because
//! its plan allows it keeps a window, and runs again from its start to get behind that. WITH HOLD
//! computes the rest when its transaction commits. How positions move is PostgreSQL's pquery.c.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Session;
use super::client::{Field, ResultFormats};
use super::rows::{Running, Step};
use super::run::Outcome;
use super::statement::Prepared;
use crate::error::{Error, Result, SqlState};
use crate::exec::{Memory, Reservation, WORK_BYTES_MAX};
use crate::plan::Plan;
use crate::sql::bound::{CurrentOf, CursorTable};
use crate::sql::statement::{FETCH_ALL, Fetch, FetchDirection, StatementKind};
use crate::types::{Datum, Row};

/// Rows that a cursor keeps to go back over, if its plan could give them again.
const WINDOW_ROWS: usize = 10_000;

/// Rows asked of a cursor's plan at once.
const BATCH_ROWS: u64 = 1024;

/// Most cursors a session may have open.
const CURSORS_MAX: usize = 10_000;

/// What DECLARE opens.
pub struct Open<'a> {
    /// The statement.
    pub prepared: &'a Prepared,
    /// The query's plan.
    pub plan: &'a Arc<Plan>,
    /// Tables whose keys stand behind the columns.
    pub tables: &'a Arc<[CursorTable]>,
}

/// How far back a cursor can go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scroll {
    /// Not at all.
    No,
    /// To its start: all rows are kept.
    Kept,
    /// To its start: the plan can run again.
    Again,
}

/// An open cursor.
pub struct Cursor {
    text: Arc<str>,
    fields: Arc<[Field]>,
    tables: Arc<[CursorTable]>,
    scroll: Scroll,
    hold: bool,
    binary: bool,
    created: i64,
    /// Nesting level of the transaction it was made in.
    level: u32,
    /// Whether its transaction has committed.
    held: bool,
    failed: bool,
    at_start: bool,
    at_end: bool,
    /// The number of the row it stands on; all rows' count at the end.
    position: u64,
    source: Mutex<Source>,
}

impl Cursor {
    /// Its columns and their formats, as Describe tells them.
    pub fn described(&self) -> (&[Field], &ResultFormats) {
        let formats = if self.binary { &ResultFormats::Binary } else { &ResultFormats::Text };
        (&self.fields, formats)
    }
}

/// The rows of a cursor.
struct Source {
    /// None: nothing more comes.
    running: Option<Running>,
    parameters: Arc<[Datum]>,
    /// Rows kept, the first of them the one after `before`.
    rows: VecDeque<Row>,
    /// Rows that are no longer kept.
    before: u64,
    memory: Reservation,
}

impl Cursor {
    /// Its row in `pg_cursors`.
    pub fn row(&self, name: &str) -> Row {
        vec![
            Datum::text(name),
            Datum::Text(self.text.clone()),
            Datum::Bool(self.hold),
            Datum::Bool(self.binary),
            Datum::Bool(self.scroll != Scroll::No),
            Datum::Timestamptz(self.created),
        ]
    }

    fn check_back(&self) -> Result<()> {
        if self.scroll == Scroll::No {
            let code = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
            return Err(Error::new(code, "cursor can only scan forward")
                .with_hint("Declare it with SCROLL option to enable backward scan."));
        }
        Ok(())
    }

    /// To before the first row.
    fn rewind(&mut self) -> Result<()> {
        if self.at_start && !self.at_end {
            return Ok(());
        }
        self.check_back()?;
        self.at_start = true;
        self.at_end = false;
        self.position = 0;
        Ok(())
    }

    fn visible(&self, row: &Row) -> Row {
        row[..self.fields.len()].to_vec()
    }
}

impl Source {
    fn known(&self) -> u64 {
        self.before + self.rows.len() as u64
    }

    fn get(&self, number: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(number.checked_sub(self.before + 1)?).ok()?)
    }

    /// Drops rows that need not be kept.
    fn trim(&mut self, scroll: Scroll) {
        let keep = match scroll {
            // What is held has no plan to give it again.
            _ if self.running.is_none() => return,
            Scroll::Kept => return,
            Scroll::Again => WINDOW_ROWS,
            Scroll::No => 1,
        };
        while self.rows.len() > keep {
            self.rows.pop_front();
            self.before += 1;
        }
    }
}

fn no_cursor(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}

impl Session {
    /// DECLARE.
    pub(super) async fn declare(
        &mut self,
        open: Open<'_>,
        parameters: &Arc<[Datum]>,
    ) -> Result<()> {
        let Some(StatementKind::Declare(declare)) = open.prepared.kind() else {
            return Err(Error::internal("no DECLARE"));
        };
        let name = declare.name.as_str();
        if name.is_empty() {
            let message = "invalid cursor name: must not be empty";
            return Err(Error::new(SqlState::INVALID_CURSOR_NAME, message));
        }
        if !declare.hold && !self.in_block() {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
        if self.cursors.contains_key(name) || self.portals.contains_key(name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, message));
        }
        if self.cursors.len() >= CURSORS_MAX {
            let message = format!("a session may have at most {CURSORS_MAX} cursors");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let level = self.transaction()?.level();
        let mut running = Running::new(open.plan.clone(), open.prepared.schema.clone());
        self.advance(&mut running, parameters, Step::Begin).await?;
        let scroll = match declare.scroll {
            Some(true) => Scroll::Kept,
            None if open.plan.root.goes_back() => Scroll::Again,
            _ => Scroll::No,
        };
        let fields = super::statement::fields_of(open.plan).unwrap_or_default();
        let cursor = Cursor {
            text: open.prepared.text.clone(),
            fields: fields.into(),
            tables: open.tables.clone(),
            scroll,
            hold: declare.hold,
            binary: declare.binary,
            created: self.statement_time,
            level,
            held: false,
            failed: false,
            at_start: true,
            at_end: false,
            position: 0,
            source: Mutex::new(Source {
                running: Some(running),
                parameters: parameters.clone(),
                rows: VecDeque::new(),
                before: 0,
                memory: Memory::new(WORK_BYTES_MAX).reserve(),
            }),
        };
        self.cursors.insert(name.to_owned(), cursor);
        Ok(())
    }

    /// The columns that FETCH gives; none for MOVE and for a cursor that is not there.
    pub(super) fn fetch_fields(&self, fetch: &Fetch) -> Option<Vec<Field>> {
        let cursor = self.cursors.get(&fetch.name).filter(|_| !fetch.moves)?;
        Some(cursor.fields.to_vec())
    }

    /// Whether FETCH gives its rows in binary form.
    pub(super) fn is_binary(&self, fetch: &Fetch) -> bool {
        self.cursors.get(&fetch.name).is_some_and(|cursor| cursor.binary)
    }

    /// FETCH and MOVE.
    pub(super) async fn fetch(&mut self, fetch: &Fetch) -> Result<Outcome> {
        let Some(mut cursor) = self.cursors.remove(&fetch.name) else {
            return Err(no_cursor(&fetch.name));
        };
        if cursor.failed {
            let message = format!("portal \"{}\" cannot be run", fetch.name);
            self.cursors.insert(fetch.name.clone(), cursor);
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let mut rows = (!fetch.moves).then(Vec::new);
        let moved = self.travel(&mut cursor, fetch.direction, &mut rows).await;
        cursor.failed = moved.is_err();
        self.cursors.insert(fetch.name.clone(), cursor);
        let count = moved?;
        let verb = if fetch.moves { "MOVE" } else { "FETCH" };
        Ok(Outcome { tag: format!("{verb} {count}").into(), rows })
    }

    /// Moves a cursor; gives how many rows it went over, and puts them into `rows`.
    async fn travel(
        &mut self,
        cursor: &mut Cursor,
        direction: FetchDirection,
        rows: &mut Option<Vec<Row>>,
    ) -> Result<u64> {
        let (forward, count) = match direction {
            FetchDirection::Forward(count) => (count >= 0, count.unsigned_abs()),
            FetchDirection::Backward(count) => (count < 0, count.unsigned_abs()),
            FetchDirection::Absolute(count) => {
                return self.travel_absolute(cursor, count, rows).await;
            }
            FetchDirection::Relative(0) => (true, 0),
            FetchDirection::Relative(count) => {
                let steps = count.unsigned_abs();
                if steps > 1 {
                    self.step(cursor, count > 0, steps - 1, &mut None).await?;
                }
                return self.step(cursor, count > 0, 1, rows).await;
            }
        };
        if count == 0 {
            let on_row = !cursor.at_start && !cursor.at_end;
            if rows.is_none() || !on_row {
                return Ok(u64::from(on_row));
            }
            self.step(cursor, false, 1, &mut None).await?;
            return self.step(cursor, true, 1, rows).await;
        }
        if !forward && count == FETCH_ALL as u64 && rows.is_none() {
            let over = cursor.position - u64::from(cursor.position > 0 && !cursor.at_end);
            cursor.rewind()?;
            return Ok(over);
        }
        self.step(cursor, forward, count, rows).await
    }

    async fn travel_absolute(
        &mut self,
        cursor: &mut Cursor,
        count: i64,
        rows: &mut Option<Vec<Row>>,
    ) -> Result<u64> {
        let steps = count.unsigned_abs();
        if count > 0 {
            if steps - 1 <= cursor.position / 2 {
                cursor.rewind()?;
                if steps > 1 {
                    self.step(cursor, true, steps - 1, &mut None).await?;
                }
            } else {
                let here = cursor.position + u64::from(cursor.at_end);
                if steps <= here {
                    self.step(cursor, false, here - steps + 1, &mut None).await?;
                } else if steps > here + 1 {
                    self.step(cursor, true, steps - here - 1, &mut None).await?;
                }
            }
            self.step(cursor, true, 1, rows).await
        } else if count < 0 {
            self.step(cursor, true, FETCH_ALL as u64, &mut None).await?;
            if steps > 1 {
                self.step(cursor, false, steps - 1, &mut None).await?;
            }
            self.step(cursor, false, 1, rows).await
        } else {
            cursor.rewind()?;
            Ok(0)
        }
    }

    /// Goes over at most `count` rows.
    async fn step(
        &mut self,
        cursor: &mut Cursor,
        forward: bool,
        count: u64,
        rows: &mut Option<Vec<Row>>,
    ) -> Result<u64> {
        if forward {
            if cursor.at_end || count == 0 {
                return Ok(0);
            }
            let first = cursor.position + 1;
            let gone = self.rows_from(cursor, first, count, rows).await?;
            cursor.at_start &= gone == 0;
            cursor.at_end = gone < count;
            cursor.position += gone;
            return Ok(gone);
        }
        cursor.check_back()?;
        if cursor.at_start || count == 0 {
            return Ok(0);
        }
        let last = cursor.position - u64::from(!cursor.at_end);
        let gone = count.min(last);
        if let Some(out) = rows
            && gone > 0
        {
            let from = out.len();
            self.rows_from(cursor, last - gone + 1, gone, rows).await?;
            if let Some(out) = rows {
                out[from..].reverse();
            }
        }
        if gone > 0 && cursor.at_end {
            cursor.at_end = false;
            cursor.position += 1;
        }
        cursor.position -= gone.min(cursor.position);
        if gone < count {
            cursor.at_start = true;
            cursor.position = 0;
        }
        Ok(gone)
    }

    /// Computes and gives the rows from number `first` on, at most `count`: how many there were.
    async fn rows_from(
        &mut self,
        cursor: &mut Cursor,
        first: u64,
        count: u64,
        out: &mut Option<Vec<Row>>,
    ) -> Result<u64> {
        if first <= cursor.source.get_mut().before {
            // No longer kept: the plan gives them again.
            let source = cursor.source.get_mut();
            source.rows.clear();
            source.before = 0;
            if let Some(running) = &mut source.running {
                running.again();
            }
        }
        let mut number = first;
        let end = first.saturating_add(count);
        while number < end {
            if let Some(row) = cursor.source.get_mut().get(number) {
                let row = row.clone();
                if let Some(out) = out {
                    cursor.source.get_mut().memory.row(&row)?;
                    out.push(cursor.visible(&row));
                }
                number += 1;
                continue;
            }
            if !self.produce(cursor, end).await? {
                break;
            }
        }
        cursor.source.get_mut().trim(cursor.scroll);
        Ok(number - first)
    }

    /// Computes the next rows, none beyond number `end`. False at the end.
    async fn produce(&mut self, cursor: &mut Cursor, end: u64) -> Result<bool> {
        let source = cursor.source.get_mut();
        source.trim(cursor.scroll);
        let wanted = (end - 1 - source.known()).min(BATCH_ROWS) as usize;
        let parameters = source.parameters.clone();
        let Some(running) = &mut source.running else { return Ok(false) };
        let Some(batch) = self.next_batch(running, &parameters, wanted).await? else {
            return Ok(false);
        };
        if cursor.scroll == Scroll::Kept {
            for row in &batch {
                source.memory.row(row)?;
            }
        }
        source.rows.extend(batch);
        Ok(true)
    }

    /// CLOSE.
    pub(super) fn close(&mut self, name: Option<&str>) -> Result<Outcome> {
        let Some(name) = name else {
            self.cursors.clear();
            return Ok(Outcome::tag("CLOSE CURSOR ALL"));
        };
        match self.cursors.remove(name) {
            Some(_) => Ok(Outcome::tag("CLOSE CURSOR")),
            None => Err(no_cursor(name)),
        }
    }

    /// The key of the row that WHERE CURRENT OF means.
    pub(super) fn cursor_row(&self, of: &CurrentOf) -> Result<Datum> {
        let (name, table) = (&of.cursor, &of.table.name);
        let Some(cursor) = self.cursors.get(&**name) else { return Err(no_cursor(name)) };
        let refuse = |rest: String| {
            let message = format!("cursor \"{name}\" {rest}");
            Err(Error::new(SqlState::INVALID_CURSOR_STATE, message))
        };
        if cursor.held {
            return refuse("is held from a previous transaction".into());
        }
        let locks = cursor.tables.iter().any(|t| t.locked);
        let found = cursor.tables.iter().enumerate();
        let mut found = found.filter(|(_, t)| t.table.id == of.table.id && t.locked == locks);
        let Some((at, _)) = found.next() else {
            return refuse(match locks {
                true => format!("does not have a FOR UPDATE/SHARE reference to table \"{table}\""),
                false => format!("is not a simply updatable scan of table \"{table}\""),
            });
        };
        if found.next().is_some() {
            return refuse(match locks {
                true => format!("has multiple FOR UPDATE/SHARE references to table \"{table}\""),
                false => format!("is not a simply updatable scan of table \"{table}\""),
            });
        }
        let source = cursor.source.lock();
        let row = source.get(cursor.position).filter(|_| !cursor.at_start && !cursor.at_end);
        match row.and_then(|row| row.get(cursor.fields.len() + at)) {
            Some(key) => Ok(key.clone()),
            None => refuse("is not positioned on a row".into()),
        }
    }

    /// The transaction is about to commit: cursors WITH HOLD take the rest of their rows, the
    /// others end.
    pub(super) async fn hold_cursors(&mut self) -> Result<()> {
        if self.cursors.is_empty() {
            return Ok(());
        }
        self.cursors.retain(|_, cursor| cursor.hold && !cursor.failed);
        let names: Vec<String> =
            self.cursors.iter().filter(|(_, c)| !c.held).map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(mut cursor) = self.cursors.remove(&name) else { continue };
            let first = match cursor.scroll {
                Scroll::No => cursor.position + 1,
                _ => 1,
            };
            if cursor.scroll == Scroll::Again {
                cursor.scroll = Scroll::Kept;
                let source = cursor.source.get_mut();
                if source.before > 0 {
                    self.rows_from(&mut cursor, first, 1, &mut None).await?;
                }
            }
            let kept = cursor.scroll;
            cursor.scroll = Scroll::Kept;
            self.rows_from(&mut cursor, first, FETCH_ALL as u64, &mut None).await?;
            cursor.scroll = kept;
            cursor.source.get_mut().running = None;
            cursor.held = true;
            self.cursors.insert(name, cursor);
        }
        Ok(())
    }

    /// RELEASE of the savepoint at `level`.
    pub(super) fn cursors_released(&mut self, level: u32) {
        for cursor in self.cursors.values_mut() {
            cursor.level = cursor.level.min(level - 1);
        }
    }

    /// What was done at `level` or deeper is void.
    pub(super) fn cursors_failed(&mut self, level: u32) {
        self.cursors.retain(|_, cursor| cursor.held || cursor.level < level);
    }
}
