//! A row as Data.db has it: liveness, deletions, and cells whose values stay in the read buffer.
//!
//! ```text
//! [liveness: timestamp [ttl, expiry]] [deletion] [columns that are missing] columns…
//! simple column:  cell
//! complex column: [deletion] · number of cells · cells
//! cell:           flags [timestamp] [deletion time] [ttl] [path] [value]
//! ```
//! Timestamps, deletion times and times to live are unsigned differences to the header's minima.

use super::bytes::{Bad, Cursor};
use super::clustering::Span;
use super::statistics::Header;

/// The deletion time of what is not deleted.
pub(super) const NO_DELETION: i64 = i64::MAX;
/// The timestamp of a row without liveness.
pub(super) const NO_TIMESTAMP: i64 = i64::MIN;
/// The time to live of liveness that is a tombstone from the start (materialized views).
const EXPIRED_TTL: i32 = i32::MAX;

/// Flags of a row.
pub(super) mod flags {
    pub const END_OF_PARTITION: u8 = 0x01;
    pub const MARKER: u8 = 0x02;
    pub const TIMESTAMP: u8 = 0x04;
    pub const TTL: u8 = 0x08;
    pub const DELETION: u8 = 0x10;
    pub const ALL_COLUMNS: u8 = 0x20;
    pub const COMPLEX_DELETION: u8 = 0x40;
    pub const EXTENDED: u8 = 0x80;
    /// In the second byte.
    pub const STATIC: u8 = 0x01;
    /// In the second byte: the deletion goes where newer liveness comes.
    pub const SHADOWABLE: u8 = 0x02;
}

const CELL_DELETED: u8 = 0x01;
const CELL_EXPIRING: u8 = 0x02;
const CELL_EMPTY: u8 = 0x04;
const CELL_ROW_TIMESTAMP: u8 = 0x08;
const CELL_ROW_TTL: u8 = 0x10;
const CELL_KNOWN: u8 = 0x1f;

/// When something was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deletion {
    /// What was written at or before this time is deleted.
    pub at: i64,
    /// When the tombstone was made, in seconds since 1970.
    pub local: i64,
}

impl Deletion {
    /// Nothing is deleted.
    pub const NONE: Deletion = Deletion { at: i64::MIN, local: NO_DELETION };

    #[inline]
    pub fn supersedes(self, other: Deletion) -> bool {
        (self.at, self.local) > (other.at, other.local)
    }

    /// The one that deletes more.
    #[inline]
    pub fn or(self, other: Deletion) -> Deletion {
        if other.supersedes(self) { other } else { self }
    }

    #[inline]
    pub fn deletes(self, timestamp: i64) -> bool {
        timestamp <= self.at
    }
}

/// Whether a row is there for itself, by INSERT, beside its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Liveness {
    pub timestamp: i64,
    pub ttl: i32,
    pub expires: i64,
}

impl Liveness {
    pub const NONE: Liveness = Liveness { timestamp: NO_TIMESTAMP, ttl: 0, expires: NO_DELETION };

    /// At a time in seconds.
    #[inline]
    pub fn is_live(&self, now: i64) -> bool {
        self.timestamp != NO_TIMESTAMP
            && (self.ttl == 0 || self.ttl != EXPIRED_TTL && now < self.expires)
    }

    /// Whether it is the one to keep of two.
    pub fn supersedes(&self, other: &Liveness) -> bool {
        if self.timestamp != other.timestamp {
            return self.timestamp > other.timestamp;
        }
        let expired = |l: &Liveness| l.ttl == EXPIRED_TTL;
        if expired(self) != expired(other) {
            return expired(self);
        }
        if (self.ttl != 0) == (other.ttl != 0) {
            return self.expires > other.expires
                || self.expires == other.expires && self.ttl < other.ttl;
        }
        self.ttl != 0
    }
}

/// A cell. Its path and value are places in the buffer the row was read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// Index in the table's static or regular columns.
    pub column: u16,
    pub ttl: i32,
    pub timestamp: i64,
    /// When it was deleted or expires, in seconds; [`NO_DELETION`] if neither.
    pub local: i64,
    pub path: Span,
    pub value: Span,
}

impl Cell {
    #[inline]
    pub fn is_live(&self, now: i64) -> bool {
        self.local == NO_DELETION || self.ttl != 0 && now < self.local
    }

    #[inline]
    pub fn is_tombstone(&self) -> bool {
        self.local != NO_DELETION && self.ttl == 0
    }
}

/// A row.
#[derive(Debug)]
pub(super) struct Row {
    pub liveness: Liveness,
    pub deletion: Deletion,
    pub shadowable: bool,
    /// By column, and by path within a column.
    pub cells: Vec<Cell>,
    /// Deletions of whole columns that have a cell for each element.
    pub complex: Vec<(u16, Deletion)>,
}

impl Row {
    pub fn new() -> Row {
        Row {
            liveness: Liveness::NONE,
            deletion: Deletion::NONE,
            shadowable: false,
            cells: Vec::new(),
            complex: Vec::new(),
        }
    }

    pub fn clear(&mut self) {
        self.liveness = Liveness::NONE;
        self.deletion = Deletion::NONE;
        self.shadowable = false;
        self.cells.clear();
        self.complex.clear();
    }
}

/// How a column is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Index in the table's columns, which may be more than the file's.
    pub column: u16,
    pub complex: bool,
    /// Bytes of a value, if all have as many.
    pub fixed: Option<usize>,
    /// What was written until then is not there; the least time for columns that were not dropped.
    pub dropped_at: i64,
}

/// What all rows of a file share.
pub(super) struct Encoding {
    pub min_timestamp: i64,
    pub min_deletion_time: i64,
    pub min_ttl: i32,
    /// Deletion times are unsigned.
    pub unsigned: bool,
}

impl Encoding {
    pub fn of(header: &Header, unsigned: bool) -> Encoding {
        Encoding {
            min_timestamp: header.min_timestamp,
            min_deletion_time: header.min_deletion_time,
            min_ttl: header.min_ttl,
            unsigned,
        }
    }

    #[inline]
    fn timestamp(&self, cursor: &mut Cursor<'_>) -> Result<i64, Bad> {
        Ok((cursor.vint()? as i64).wrapping_add(self.min_timestamp))
    }

    #[inline]
    fn local(&self, cursor: &mut Cursor<'_>) -> Result<i64, Bad> {
        Ok(i64::from(cursor.vint32()?).wrapping_add(self.min_deletion_time))
    }

    #[inline]
    fn ttl(&self, cursor: &mut Cursor<'_>) -> Result<i32, Bad> {
        let at = cursor.position();
        match cursor.vint32()?.checked_add(self.min_ttl) {
            Some(ttl) if ttl >= 0 => Ok(ttl),
            _ => Err(Bad { at, what: "an impossible time to live" }),
        }
    }

    /// Deletion of a row, range or complex column.
    pub fn deletion(&self, cursor: &mut Cursor<'_>) -> Result<Deletion, Bad> {
        let at = self.timestamp(cursor)?;
        let local = self.local(cursor)?;
        // Beyond 2038 the difference was cut to 32 bits.
        let local = if self.unsigned && local < 0 { i64::from(local as u32) } else { local };
        Ok(Deletion { at, local })
    }

    /// When a cell or liveness with a time to live, or a tombstone (0), ends.
    #[inline]
    fn checked_local(&self, local: i64, ttl: i32, at: usize) -> Result<i64, Bad> {
        if local >= i64::from(ttl) {
            return Ok(local);
        }
        if local < 0 && self.unsigned {
            return Ok(i64::from(local as u32));
        }
        if local >= 0 && ttl == EXPIRED_TTL {
            return Ok(local);
        }
        Err(Bad { at, what: "an impossible deletion time" })
    }
}

/// Reads what follows a row's sizes. `missing` is scratch space.
pub(super) fn read_body(
    cursor: &mut Cursor<'_>,
    encoding: &Encoding,
    columns: &[Plan],
    (flags, extended): (u8, u8),
    missing: &mut Vec<bool>,
    row: &mut Row,
) -> Result<(), Bad> {
    row.clear();
    if flags & flags::TIMESTAMP != 0 {
        let at = cursor.position();
        row.liveness.timestamp = encoding.timestamp(cursor)?;
        if flags & flags::TTL != 0 {
            row.liveness.ttl = encoding.ttl(cursor)?;
            let expires = encoding.local(cursor)?;
            row.liveness.expires = encoding.checked_local(expires, row.liveness.ttl, at)?;
        }
    }
    if flags & flags::DELETION != 0 {
        row.deletion = encoding.deletion(cursor)?;
        row.shadowable = extended & flags::SHADOWABLE != 0;
    }
    let complex_deletions = flags & flags::COMPLEX_DELETION != 0;
    if flags & flags::ALL_COLUMNS != 0 {
        for plan in columns {
            read_column(cursor, encoding, plan, complex_deletions, row)?;
        }
    } else {
        read_missing(cursor, columns.len(), missing)?;
        for (plan, missing) in columns.iter().zip(missing.iter()) {
            if !missing {
                read_column(cursor, encoding, plan, complex_deletions, row)?;
            }
        }
    }
    if cursor.remaining() == 0 { Ok(()) } else { Err(cursor.bad("a row is longer than its cells")) }
}

#[inline]
fn read_column(
    cursor: &mut Cursor<'_>,
    encoding: &Encoding,
    plan: &Plan,
    complex_deletions: bool,
    row: &mut Row,
) -> Result<(), Bad> {
    if !plan.complex {
        let cell = read_cell(cursor, encoding, plan, &row.liveness)?;
        if cell.timestamp > plan.dropped_at {
            row.cells.push(cell);
        }
        return Ok(());
    }
    if complex_deletions {
        let deletion = encoding.deletion(cursor)?;
        // Where one column has a deletion, those without have this.
        if deletion.at > plan.dropped_at {
            row.complex.push((plan.column, deletion));
        }
    }
    for _ in 0..cursor.length()? {
        let cell = read_cell(cursor, encoding, plan, &row.liveness)?;
        if cell.timestamp > plan.dropped_at {
            row.cells.push(cell);
        }
    }
    Ok(())
}

#[inline]
fn read_cell(
    cursor: &mut Cursor<'_>,
    encoding: &Encoding,
    plan: &Plan,
    liveness: &Liveness,
) -> Result<Cell, Bad> {
    let at = cursor.position();
    let flags = cursor.u8()?;
    if flags & !CELL_KNOWN != 0 {
        return Err(Bad { at, what: "unknown flags of a cell" });
    }
    let timestamp = if flags & CELL_ROW_TIMESTAMP != 0 {
        liveness.timestamp
    } else {
        encoding.timestamp(cursor)?
    };
    let (mut local, mut ttl) = (NO_DELETION, 0);
    if flags & CELL_ROW_TTL != 0 {
        (local, ttl) = (liveness.expires, liveness.ttl);
    } else if flags & (CELL_DELETED | CELL_EXPIRING) != 0 {
        local = encoding.local(cursor)?;
        if flags & CELL_EXPIRING != 0 {
            ttl = encoding.ttl(cursor)?;
        }
        local = encoding.checked_local(local, ttl, at)?;
    }
    let mut path = Span::default();
    if plan.complex {
        path = spanned(cursor)?;
    }
    let value = if flags & CELL_EMPTY != 0 {
        Span { at: cursor.position(), len: 0 }
    } else if let Some(len) = plan.fixed {
        let at = cursor.position();
        cursor.take(len)?;
        Span { at, len }
    } else {
        spanned(cursor)?
    };
    Ok(Cell { column: plan.column, ttl, timestamp, local, path, value })
}

#[inline]
fn spanned(cursor: &mut Cursor<'_>) -> Result<Span, Bad> {
    let len = cursor.length()?;
    let at = cursor.position();
    cursor.take(len)?;
    Ok(Span { at, len })
}

/// Columns up to which the missing ones are bits of a number.
const BITMAP_COLUMNS: usize = 64;

/// Which of the columns a row lacks.
fn read_missing(cursor: &mut Cursor<'_>, count: usize, missing: &mut Vec<bool>) -> Result<(), Bad> {
    let at = cursor.position();
    let impossible = Bad { at, what: "an impossible set of columns" };
    let encoded = cursor.vint()?;
    missing.clear();
    if count < BITMAP_COLUMNS {
        if encoded >> count != 0 {
            return Err(impossible);
        }
        missing.extend((0..count).map(|n| encoded >> n & 1 == 1));
        return Ok(());
    }
    let absent = usize::try_from(encoded).ok().filter(|n| *n <= count).ok_or(impossible)?;
    let present = count - absent;
    // The shorter list is there: of those present, or of those missing.
    let listed_present = present < count / 2;
    missing.resize(count, listed_present);
    for _ in 0..if listed_present { present } else { absent } {
        let index = usize::try_from(cursor.vint()?).unwrap_or(usize::MAX);
        *missing.get_mut(index).ok_or(impossible)? = !listed_present;
    }
    Ok(())
}
