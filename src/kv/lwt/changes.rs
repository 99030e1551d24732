//! The change log: for each space and incarnation a partition, in it a row for each commit.
//!
//! The row, with its keys, is written before anything of the commit is sent. The outcome that is
//! hoped for, the timestamp, is written beside what makes it a commit, and written over where it
//! did not come to that; until then the row's number stands in the gateway's published state. So
//! the rows below the lowest number that is open are complete, whoever reads them. A cursor is a
//! position in every incarnation's log, and the timestamp up to which it is complete: of
//! incarnations whose rows and logs are gone (`departed`), a mark tells the newest commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::gateway::Gateway;
use super::partitions::*;
use super::peers::{Peer, Retired, View};
use super::published::Open;
use super::records::REMOVAL_TIME;
use super::rows::*;
use crate::clock::Timestamp;
use crate::error::{Error, Result, SqlState};
use crate::kv::{ChangePage, Commit, Cursor, Key, SpaceId};

/// Write times of a log row's cells, and of its removal. That a commit never took effect is said
/// over what was hoped for, whichever comes later.
const KEYS_TIME: u64 = 1;
const OUTCOME_TIME: u64 = 2;
const NEVER_TIME: u64 = 3;
const REMOVED_TIME: u64 = 4;
/// In whose log the mark of those that are gone is.
const NOBODY: Incarnation = 0;
/// Rows of the log read at once.
const LOG_PAGE_ROWS: usize = 256;

/// A place in one incarnation's log: the last row taken up, and how many of its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    number: u64,
    /// Keys taken of the row after `number`.
    offset: u32,
}

/// A cursor, taken apart.
#[derive(Default)]
struct Position {
    /// It is after all commits up to then.
    complete: Timestamp,
    places: BTreeMap<Incarnation, Place>,
}

/// A row of the log.
struct Logged {
    number: u64,
    keys: Bytes,
    /// None: not known; zero: never.
    outcome: Option<u64>,
}

fn log_partition(space: SpaceId, incarnation: Incarnation) -> Partition {
    let mut key = BytesMut::with_capacity(12);
    key.put_u32(space.0);
    key.put_u64(incarnation);
    Partition { table: Table::Log, key: key.freeze() }
}

fn decode(cursor: &Cursor) -> Result<Position> {
    let mut position = Position::default();
    let mut rest = &cursor.0[..];
    if rest.is_empty() {
        return Ok(position);
    }
    let foreign = |_| Error::corrupted("a change log cursor is not one of this store");
    position.complete = Timestamp(rest.try_get_u64().map_err(foreign)?);
    while !rest.is_empty() {
        let incarnation = rest.try_get_u64().map_err(foreign)?;
        let number = rest.try_get_u64().map_err(foreign)?;
        let offset = rest.try_get_u32().map_err(foreign)?;
        position.places.insert(incarnation, Place { number, offset });
    }
    Ok(position)
}

fn encode(position: &Position) -> Cursor {
    let mut out = BytesMut::with_capacity(8 + 20 * position.places.len());
    out.put_u64(position.complete.0);
    for (incarnation, place) in &position.places {
        out.put_u64(*incarnation);
        out.put_u64(place.number);
        out.put_u32(place.offset);
    }
    Cursor(out.freeze())
}

/// The first number of a gateway's log that is not settled.
fn end_of(peer: &Peer, space: SpaceId) -> u64 {
    if peer.retired == Retired::Settled {
        return u64::MAX;
    }
    let open = peer.state.open.iter().flat_map(|o| &o.log);
    let open = open.filter(|(s, _)| *s == space).map(|(_, number)| *number);
    open.min().unwrap_or(peer.state.log_next)
}

impl Gateway {
    /// Writes the keys of a commit to the logs in which it has numbers.
    pub async fn write_log(&self, commit: &Commit, open: &Open) -> Result<()> {
        for (space, at) in &open.log {
            let tracked = commit.writes.iter().filter(|w| w.tracked && w.key.space() == *space);
            let keys = encode_keys(tracked.map(|w| &w.key));
            let row = RowKey::head(&number(*at));
            let write = CellWrite { row, column: Column::Ch, value: Some(keys) };
            let partition = log_partition(*space, open.attempt.incarnation);
            self.write(&partition, vec![write], KEYS_TIME).await?;
        }
        Ok(())
    }

    /// Writes what becomes of a commit to the logs in which it has numbers.
    pub async fn write_outcome(&self, open: &Open, committed: Option<Timestamp>) -> Result<()> {
        for (space, at) in &open.log {
            let row = RowKey::head(&number(*at));
            let value = Some(number(committed.unwrap_or_default().0));
            let write = CellWrite { row, column: Column::Oc, value };
            let partition = log_partition(*space, open.attempt.incarnation);
            let time = if committed.is_some() { OUTCOME_TIME } else { NEVER_TIME };
            self.write(&partition, vec![write], time).await?;
        }
        Ok(())
    }

    /// The keys of a log row, if it was written.
    pub async fn logged_keys(
        &self,
        space: SpaceId,
        incarnation: Incarnation,
        at: u64,
    ) -> Result<Option<Vec<Key>>> {
        let partition = log_partition(space, incarnation);
        let select = Select::Heads(vec![number(at)]);
        let rows = self.read(&partition, select, Consistency::Quorum).await?;
        let cell = rows.iter().find_map(|r| r.get(Column::Ch));
        cell.map(|cell| decode_keys(space, cell)).transpose()
    }

    /// Log rows after a number and below another, at most a page, and how far the log is trimmed.
    async fn log_rows(
        &self,
        space: SpaceId,
        incarnation: Incarnation,
        after: u64,
        below: u64,
    ) -> Result<(Vec<Logged>, Option<(u64, Timestamp)>)> {
        let select = Select::Range {
            start: std::ops::Bound::Excluded(number(after)),
            end: std::ops::Bound::Excluded(number(below)),
            reverse: false,
            limit: LOG_PAGE_ROWS,
        };
        let partition = log_partition(space, incarnation);
        let rows = self.read(&partition, select, Consistency::Quorum).await?;
        let statics = rows.iter().find(|r| r.key == RowKey::STATIC);
        let trimmed = statics.and_then(|r| r.get(Column::Tr)).map(|cell| {
            let (upto, newest) = cell.split_at(cell.len().min(8));
            let part = |bytes: &[u8]| read_number(Some(&Bytes::copy_from_slice(bytes)));
            Ok::<_, Error>((part(upto)?, Timestamp(part(newest)?)))
        });
        let mut logged = Vec::with_capacity(rows.len());
        for row in rows.iter().filter(|r| r.key.kind == Kind::Head) {
            let outcome = row.get(Column::Oc).map(|cell| read_number(Some(cell))).transpose()?;
            let keys = row.get(Column::Ch).cloned().unwrap_or_default();
            logged.push(Logged { number: read_number(Some(&row.key.key))?, keys, outcome });
        }
        Ok((logged, trimmed.transpose()?))
    }

    /// [`crate::kv::Store::changes`]
    pub async fn read_changes(
        self: &Arc<Self>,
        space: SpaceId,
        cursor: &Cursor,
        keys_max: usize,
    ) -> Result<ChangePage> {
        self.check()?;
        let mut position = decode(cursor)?;
        let view = self.view().await?;
        let mut page = ChangePage::default();
        for peer in &view.peers {
            let place = position.places.entry(peer.incarnation).or_default();
            self.changes_of(peer, space, place, keys_max, &mut page).await?;
            if *place == Place::default() {
                position.places.remove(&peer.incarnation);
            }
            if page.more {
                break;
            }
        }
        // After the logs: what was removed from them while they were read was marked before.
        if self.newest_departed(space).await? > position.complete {
            return Err(trimmed_away(space));
        }
        position.places.retain(|incarnation, _| view.peer(*incarnation).is_some());
        page.next = encode(&position);
        Ok(page)
    }

    async fn changes_of(
        &self,
        peer: &Peer,
        space: SpaceId,
        place: &mut Place,
        keys_max: usize,
        page: &mut ChangePage,
    ) -> Result<()> {
        let end = end_of(peer, space);
        loop {
            let (rows, trimmed) = self.log_rows(space, peer.incarnation, place.number, end).await?;
            if trimmed.is_some_and(|(upto, _)| place.number < upto) {
                return Err(trimmed_away(space));
            }
            let last_page = rows.len() < LOG_PAGE_ROWS;
            for row in rows {
                let ts = Timestamp(row.outcome.unwrap_or_default());
                if ts > Timestamp::ZERO {
                    let keys = decode_keys(space, &row.keys)?;
                    let from = place.offset as usize;
                    let room = keys_max - page.keys.len();
                    let left = keys.len().saturating_sub(from);
                    page.keys.extend(keys.into_iter().skip(from).take(room).map(|k| (k, ts)));
                    if left > room {
                        place.offset += room as u32;
                        page.more = true;
                        return Ok(());
                    }
                }
                *place = Place { number: row.number, offset: 0 };
            }
            if last_page {
                return Ok(());
            }
        }
    }

    /// [`crate::kv::Store::cursor_at`]
    pub async fn find_cursor(self: &Arc<Self>, space: SpaceId, at: Timestamp) -> Result<Cursor> {
        self.check()?;
        let view = self.view().await?;
        let mut position = Position { complete: at, ..Position::default() };
        for peer in &view.peers {
            let end = end_of(peer, space);
            let mut place = Place::default();
            'log: loop {
                let (rows, trimmed) =
                    self.log_rows(space, peer.incarnation, place.number, end).await?;
                match trimmed {
                    // Something after `at` is gone: the cursor is one that is refused.
                    Some((_, newest)) if newest > at => break,
                    Some((upto, _)) => place.number = place.number.max(upto),
                    None => {}
                }
                let last_page = rows.len() < LOG_PAGE_ROWS;
                for row in rows {
                    if row.outcome.is_some_and(|ts| ts > at.0) {
                        break 'log;
                    }
                    place.number = row.number;
                }
                if last_page {
                    break;
                }
            }
            if place != Place::default() {
                position.places.insert(peer.incarnation, place);
            }
        }
        Ok(encode(&position))
    }

    /// [`crate::kv::Store::trim_changes`]
    pub async fn trim_log(self: &Arc<Self>, space: SpaceId, cursor: &Cursor) -> Result<()> {
        self.check()?;
        // By this gateway's clock: one that is far ahead takes from views of others what they still
        // need, and they are made anew.
        let kept = Timestamp::from_millis(self.options.log_kept.as_millis() as u64);
        let young = Timestamp(self.clock.tick().0.saturating_sub(kept.0));
        for (incarnation, place) in decode(cursor)?.places {
            self.remove_log_rows(space, incarnation, place.number, Some(young)).await?;
        }
        Ok(())
    }

    /// Removes log rows up to a number. Where the log goes on, only those before the first that is
    /// not older than `young`; how far is noted in the partition first.
    async fn remove_log_rows(
        &self,
        space: SpaceId,
        incarnation: Incarnation,
        upto: u64,
        young: Option<Timestamp>,
    ) -> Result<()> {
        let (numbers, newest) = self.old_log_rows(space, incarnation, upto, young).await?;
        if let (Some(last), Some(_)) = (numbers.last(), young) {
            let newest = newest.unwrap_or_default();
            self.write_trimmed(space, incarnation, Some((*last, newest)), *last).await?;
            tracing::debug!(space = space.0, incarnation, newest = newest.0, "log trimmed");
        }
        self.erase_log_rows(space, incarnation, &numbers).await
    }

    /// The numbers of log rows up to one, before the first that is not older than `young`, and the
    /// newest commit of them and of what was trimmed before; none: there was nothing.
    async fn old_log_rows(
        &self,
        space: SpaceId,
        incarnation: Incarnation,
        upto: u64,
        young: Option<Timestamp>,
    ) -> Result<(Vec<u64>, Option<Timestamp>)> {
        let below = upto.saturating_add(1);
        let (mut newest, mut after) = (None, 0);
        let mut numbers = Vec::new();
        loop {
            let (rows, trimmed) = self.log_rows(space, incarnation, after, below).await?;
            newest = newest.max(trimmed.map(|(_, newest)| newest));
            let kept = rows.iter().position(|row| match (row.outcome, young) {
                (Some(ts), Some(young)) => ts >= young.0,
                _ => false,
            });
            for row in &rows[..kept.unwrap_or(rows.len())] {
                newest = newest.max(Some(Timestamp(row.outcome.unwrap_or_default())));
                numbers.push(row.number);
                after = row.number;
            }
            if rows.len() < LOG_PAGE_ROWS || kept.is_some() {
                return Ok((numbers, newest));
            }
        }
    }

    async fn erase_log_rows(
        &self,
        space: SpaceId,
        incarnation: Incarnation,
        numbers: &[u64],
    ) -> Result<()> {
        let partition = log_partition(space, incarnation);
        for numbers in numbers.chunks(LOG_PAGE_ROWS) {
            let cells = numbers.iter().flat_map(|n| {
                [Column::Ch, Column::Oc].map(|column| {
                    let row = RowKey::head(&number(*n));
                    CellWrite { row, column, value: None }
                })
            });
            self.write(&partition, cells.collect(), REMOVED_TIME).await?;
        }
        Ok(())
    }

    /// Removes all settled log rows of a space that is gone.
    pub async fn drop_log(self: &Arc<Self>, space: SpaceId, view: &View) -> Result<()> {
        for peer in &view.peers {
            let upto = end_of(peer, space).saturating_sub(1);
            self.remove_log_rows(space, peer.incarnation, upto, None).await?;
        }
        if self.newest_departed(space).await? > Timestamp::ZERO {
            self.write_trimmed(space, NOBODY, None, REMOVAL_TIME).await?;
        }
        Ok(())
    }

    /// The newest commit that the logs of gateways had whose rows are gone.
    async fn newest_departed(&self, space: SpaceId) -> Result<Timestamp> {
        let (_, mark) = self.log_rows(space, NOBODY, 0, 1).await?;
        Ok(mark.map_or(Timestamp::ZERO, |(_, newest)| newest))
    }

    /// Removes the log of a settled gateway whose row is about to go; cursors that would need it
    /// are too old from then on.
    pub async fn remove_log(&self, space: SpaceId, incarnation: Incarnation) -> Result<()> {
        let (numbers, newest) = self.old_log_rows(space, incarnation, u64::MAX, None).await?;
        let Some(newest) = newest else { return Ok(()) };
        // Of several marks the one with the newest commit is seen.
        self.write_trimmed(space, NOBODY, Some((u64::MAX, newest)), newest.0).await?;
        self.erase_log_rows(space, incarnation, &numbers).await?;
        self.write_trimmed(space, incarnation, None, REMOVAL_TIME).await
    }

    /// Writes how far a log is trimmed, and the newest commit that was in what is gone.
    async fn write_trimmed(
        &self,
        space: SpaceId,
        incarnation: Incarnation,
        upto: Option<(u64, Timestamp)>,
        time: u64,
    ) -> Result<()> {
        let value = upto.map(|(upto, newest)| {
            Bytes::from([upto.to_be_bytes(), newest.0.to_be_bytes()].concat())
        });
        let write = CellWrite { row: RowKey::STATIC, column: Column::Tr, value };
        self.write(&log_partition(space, incarnation), vec![write], time).await
    }
}

/// 72000
fn trimmed_away(space: SpaceId) -> Error {
    let message = format!("changes of space {} were trimmed", space.0);
    Error::new(SqlState::SNAPSHOT_TOO_OLD, message)
}
