//! One SSTable from its first partition to its last, without its index.
//!
//! ```text
//! partition: key length u16 · key · deletion · [static row] · rows and markers… · 0x01
//! row:       flags [flags] · clustering · size · size of the one before · body (see `row`)
//! marker:    0x02 · kind u8 · values u16 · clustering · size · size before · deletion [deletion]
//! ```
//! A row is whole in the buffer when it is decoded; its places are good until the next is read.

use std::cmp::Ordering;

use super::bytes::{Bad, Cursor, SHORT};
use super::clustering::{Bound, Span, read_values};
use super::data::Data;
use super::definition::Dropped;
use super::files::{Files, Version};
use super::row::{Deletion, Encoding, Plan, Row, flags, read_body};
use super::statistics::{Column, Header};
use super::token::{self, Tokens};
use crate::error::Result;

/// Bytes of a key or clustering at most: 64 KiB for each of so many columns.
const HEAD_BYTES_MAX: usize = 1 << 24;
const UNKNOWN_FLAGS: &str = "unknown flags of a row";
const TOO_LONG: &str = "a row is longer than the file";

/// What comes next in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Row,
    /// The bound of a deleted range; what lies after it is deleted by [`Reader::range`].
    Marker(Bound),
    End,
}

/// Reads an SSTable.
pub(super) struct Reader {
    pub data: Data,
    header: Header,
    encoding: Encoding,
    version: Version,
    statics: Vec<Plan>,
    regulars: Vec<Plan>,
    /// Which partitions are read; none: all, and their tokens are not needed.
    tokens: Option<Tokens>,
    /// Of the partition.
    pub key: Vec<u8>,
    pub token: i64,
    pub deletion: Deletion,
    pub static_row: Row,
    /// What the static row's places are in.
    pub static_bytes: Vec<u8>,
    /// Of the row or marker; places in [`Reader::bytes`].
    pub clustering: Vec<Option<Span>>,
    pub row: Row,
    /// The deletion of the range that is open.
    pub range: Deletion,
    missing: Vec<bool>,
}

/// How a file's columns are read: its own, at their index in the table's.
pub(super) fn plan(own: &[Column], table: &[Column], dropped: &[Dropped]) -> Vec<Plan> {
    let dropped_at = |name: &str| match dropped.iter().find(|d| d.name == name) {
        None => i64::MIN,
        Some(found) if found.again => found.at,
        Some(_) => i64::MAX,
    };
    own.iter()
        .map(|column| Plan {
            column: table.iter().position(|c| c.name == column.name).unwrap_or(0) as u16,
            complex: column.complex,
            // Elements always have their length before them.
            fixed: if column.complex { None } else { column.ty.fixed_length() },
            dropped_at: dropped_at(&column.name),
        })
        .collect()
}

impl Reader {
    /// Opens a file, for all its partitions in any order, or those of some tokens. The plans come
    /// from [`plan`]; about `block` bytes are read at once.
    pub fn open(
        files: &Files,
        header: Header,
        (statics, regulars): (Vec<Plan>, Vec<Plan>),
        tokens: Option<Tokens>,
        block: usize,
    ) -> Result<Reader> {
        Ok(Reader {
            data: Data::open(files, block)?,
            encoding: Encoding::of(&header, files.version.unsigned_deletion_times()),
            header,
            version: files.version,
            statics,
            regulars,
            tokens,
            key: Vec::new(),
            token: 0,
            deletion: Deletion::NONE,
            static_row: Row::new(),
            static_bytes: Vec::new(),
            clustering: Vec::new(),
            row: Row::new(),
            range: Deletion::NONE,
            missing: Vec::new(),
        })
    }

    /// What the row's places are in.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.data.bytes()
    }

    /// Makes the window longer for something that does not end in it.
    fn more(&mut self, bad: Bad) -> Result<()> {
        let have = self.data.window().len();
        if bad.what != SHORT || have > HEAD_BYTES_MAX || !self.data.fill(2 * have)? {
            return Err(self.data.bad(bad));
        }
        Ok(())
    }

    /// Goes to the next partition of those that are read: key, deletion and static row. False
    /// after the last.
    pub fn next_partition(&mut self) -> Result<bool> {
        while self.next_head()? {
            let wanted = self.tokens.map_or(Ordering::Equal, |tokens| tokens.place(self.token));
            self.range = Deletion::NONE;
            self.static_row.clear();
            self.static_bytes.clear();
            match wanted {
                Ordering::Less => self.skip_partition()?,
                Ordering::Equal => {
                    if !self.statics.is_empty() {
                        self.read_static()?;
                    }
                    return Ok(true);
                }
                Ordering::Greater => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Key and deletion of the next partition in the file. False after the last.
    fn next_head(&mut self) -> Result<bool> {
        if self.data.window().is_empty() && !self.data.fill(1)? {
            return Ok(false);
        }
        loop {
            let mut cursor = Cursor::new(self.data.window());
            match read_partition_head(&mut cursor, self.version, &mut self.key) {
                Ok(deletion) => {
                    let read = cursor.position();
                    self.deletion = deletion;
                    self.data.consume(read);
                    break;
                }
                Err(bad) => self.more(bad)?,
            }
        }
        if self.tokens.is_some() {
            self.token = token::murmur3(&self.key);
        }
        Ok(true)
    }

    /// Passes over all rows of a partition without a look at what is in them.
    fn skip_partition(&mut self) -> Result<()> {
        if !self.statics.is_empty() {
            self.read_static()?;
        }
        loop {
            let (flags, _, (_, end)) = self.item_head()?;
            self.data.consume(end - self.data.place());
            if flags == flags::END_OF_PARTITION {
                return Ok(());
            }
        }
    }

    fn read_static(&mut self) -> Result<()> {
        let (flags, extended, body) = self.head(|_, cursor| {
            let flags = cursor.u8()?;
            let extended = cursor.u8()?;
            let is_static = extended & flags::STATIC != 0 && flags & flags::EXTENDED != 0;
            if !is_static || flags & (flags::END_OF_PARTITION | flags::MARKER) != 0 {
                return Err(Bad { at: 0, what: "a static row is missing" });
            }
            Ok((flags, extended))
        })?;
        let (at, end) = body;
        let Reader { data, static_row, statics, encoding, missing, static_bytes, .. } = self;
        let mut cursor = Cursor::at(&data.bytes()[..end], at);
        // The size of what came before.
        let read = cursor.vint().and_then(|_| {
            read_body(&mut cursor, encoding, statics, (flags, extended), missing, static_row)
        });
        if let Err(bad) = read {
            return Err(data.corrupted(bad.at, bad.what));
        }
        for cell in &mut static_row.cells {
            for span in [&mut cell.path, &mut cell.value] {
                let kept = static_bytes.len();
                static_bytes.extend_from_slice(span.of(data.bytes()));
                span.at = kept;
            }
        }
        self.data.consume(end - self.data.place());
        Ok(())
    }

    /// Reads what stands before a body with `read`, and the body's size. Gives the place of the
    /// body in [`Reader::bytes`], all of which is there.
    fn head(
        &mut self,
        read: impl Fn(&mut Head<'_>, &mut Cursor<'_>) -> Result<(u8, u8), Bad>,
    ) -> Result<(u8, u8, (usize, usize))> {
        loop {
            let mut cursor = Cursor::new(self.data.window());
            let mut own = Head { header: &self.header, clustering: &mut self.clustering };
            let head = read(&mut own, &mut cursor).and_then(|(flags, extended)| {
                let size = if flags & flags::END_OF_PARTITION != 0 { 0 } else { cursor.vint()? };
                Ok((flags, extended, size))
            });
            let (flags, extended, size) = match head {
                Ok(head) => head,
                Err(bad) => {
                    self.more(bad)?;
                    continue;
                }
            };
            let head = cursor.position();
            let whole = usize::try_from(size).ok().and_then(|size| size.checked_add(head));
            let whole = match whole {
                Some(whole) if whole as u64 <= self.data.length() => whole,
                _ => return Err(self.data.bad(Bad { at: 0, what: TOO_LONG })),
            };
            while self.data.window().len() < whole {
                if !self.data.fill(whole)? {
                    return Err(self.data.bad(Bad { at: 0, what: TOO_LONG }));
                }
            }
            let place = self.data.place();
            for span in self.clustering.iter_mut().flatten() {
                span.at += place;
            }
            return Ok((flags, extended, (place + head, place + whole)));
        }
    }

    /// What stands before the body of the next row or marker, or the partition's end.
    fn item_head(&mut self) -> Result<(u8, u8, (usize, usize))> {
        self.head(|own, cursor| {
            let flags = cursor.u8()?;
            own.clustering.clear();
            if flags & (flags::END_OF_PARTITION | flags::MARKER) != 0 {
                return own.read_marker(cursor, flags);
            }
            let extended = if flags & flags::EXTENDED != 0 { cursor.u8()? } else { 0 };
            if extended & !flags::SHADOWABLE != 0 {
                return Err(Bad { at: 0, what: UNKNOWN_FLAGS });
            }
            let types = &own.header.clustering;
            read_values(cursor, types, types.len(), own.clustering)?;
            Ok((flags, extended))
        })
    }

    /// Goes to the next row or marker of the partition.
    pub fn next_item(&mut self) -> Result<Item> {
        let (flags, extended, (at, end)) = self.item_head()?;
        if flags == flags::END_OF_PARTITION {
            self.data.consume(end - self.data.place());
            if self.range != Deletion::NONE {
                return Err(self.data.bad(Bad { at: 0, what: "a range does not end" }));
            }
            return Ok(Item::End);
        }
        let Reader { data, row, regulars, encoding, missing, range, .. } = self;
        let mut cursor = Cursor::at(&data.bytes()[..end], at);
        // The size of what came before.
        let read = cursor.vint().and_then(|_| {
            if flags == flags::MARKER {
                let bound = Bound::of(extended).unwrap_or(Bound::InclusiveEnd);
                *range = read_range(&mut cursor, encoding, bound, *range)?;
                return Ok(Item::Marker(bound));
            }
            read_body(&mut cursor, encoding, regulars, (flags, extended), missing, row)?;
            Ok(Item::Row)
        });
        match read {
            Ok(item) => {
                self.data.consume(end - self.data.place());
                Ok(item)
            }
            Err(bad) => Err(self.data.corrupted(bad.at, bad.what)),
        }
    }
}

/// The parts of a reader that reading a head needs beside its bytes.
struct Head<'a> {
    header: &'a Header,
    clustering: &'a mut Vec<Option<Span>>,
}

impl Head<'_> {
    /// The end of the partition, or a marker's bound: its kind in the place of extended flags.
    fn read_marker(&mut self, cursor: &mut Cursor<'_>, flags: u8) -> Result<(u8, u8), Bad> {
        if flags == flags::END_OF_PARTITION {
            return Ok((flags, 0));
        }
        if flags != flags::MARKER {
            return Err(Bad { at: 0, what: UNKNOWN_FLAGS });
        }
        let at = cursor.position();
        let kind = cursor.u8()?;
        if Bound::of(kind).is_none() {
            return Err(Bad { at, what: "an unknown kind of range bound" });
        }
        let at = cursor.position();
        let count = usize::from(cursor.u16()?);
        if count > self.header.clustering.len() {
            return Err(Bad {
                at,
                what: "a bound has more values than the table clustering columns",
            });
        }
        read_values(cursor, &self.header.clustering, count, self.clustering)?;
        Ok((flags, kind))
    }
}

/// The deletion of what follows a marker, before which `open` was the deletion.
fn read_range(
    cursor: &mut Cursor<'_>,
    encoding: &Encoding,
    bound: Bound,
    open: Deletion,
) -> Result<Deletion, Bad> {
    let deletion = encoding.deletion(cursor)?;
    if open != if bound.is_start() { Deletion::NONE } else { deletion } {
        return Err(cursor.bad("a range ends that is not open, or starts in another"));
    }
    let range = if bound.is_boundary() {
        encoding.deletion(cursor)?
    } else if bound.is_start() {
        deletion
    } else {
        Deletion::NONE
    };
    if cursor.remaining() == 0 { Ok(range) } else { Err(cursor.bad("a marker is too long")) }
}

fn read_partition_head(
    cursor: &mut Cursor<'_>,
    version: Version,
    key: &mut Vec<u8>,
) -> Result<Deletion, Bad> {
    let n = cursor.u16()?;
    let bytes = cursor.take(usize::from(n))?;
    key.clear();
    key.extend_from_slice(bytes);
    if !version.unsigned_deletion_times() {
        let local = cursor.i32()?;
        let at = cursor.i64()?;
        let none = local == i32::MAX && at == i64::MIN;
        let some = Deletion { at, local: i64::from(local) };
        return Ok(if none { Deletion::NONE } else { some });
    }
    /// In the place of a deletion's first byte: there is none.
    const LIVE: u8 = 0x80;
    let before = *cursor;
    match cursor.u8()? {
        LIVE => Ok(Deletion::NONE),
        first if first & LIVE != 0 => {
            Err(before.bad("the byte that says whether a partition is deleted is unknown"))
        }
        _ => {
            *cursor = before;
            let at = cursor.i64()?;
            let local = i64::from(cursor.u32()?);
            Ok(Deletion { at, local })
        }
    }
}
