//! Clustering prefixes: the values that place a row, or the bound of a range, in its partition.
//!
//! Before every 32 values stands a number with two bits for each: 1 the value is empty, 2 it is
//! null; the bytes of both are left out.

use super::bytes::{Bad, Cursor};
use super::types::Place;

/// Values that share a number of bits.
const BATCH: usize = 32;

/// A place in a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub at: usize,
    pub len: usize,
}

impl Span {
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.at..self.at + self.len]
    }
}

/// What a bound does, by the number that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    ExclusiveEnd,
    InclusiveStart,
    /// Ends one range before the values and starts another with them.
    EndThenInclusiveStart,
    /// Ends one range with the values and starts another after them.
    InclusiveEndThenStart,
    InclusiveEnd,
    ExclusiveStart,
}

impl Bound {
    /// By the number in the file.
    pub fn of(kind: u8) -> Option<Bound> {
        match kind {
            0 => Some(Bound::ExclusiveEnd),
            1 => Some(Bound::InclusiveStart),
            2 => Some(Bound::EndThenInclusiveStart),
            // 3 and 4 are whole clusterings, static and not.
            5 => Some(Bound::InclusiveEndThenStart),
            6 => Some(Bound::InclusiveEnd),
            7 => Some(Bound::ExclusiveStart),
            _ => None,
        }
    }

    /// It ends one range and starts another.
    pub fn is_boundary(self) -> bool {
        matches!(self, Bound::EndThenInclusiveStart | Bound::InclusiveEndThenStart)
    }

    /// A range starts here, and there is no other that ends.
    pub fn is_start(self) -> bool {
        matches!(self, Bound::InclusiveStart | Bound::ExclusiveStart)
    }

    /// The bound lies after rows that have its values.
    pub fn after_equal(self) -> bool {
        use Bound::{ExclusiveStart, InclusiveEnd, InclusiveEndThenStart};
        matches!(self, ExclusiveStart | InclusiveEnd | InclusiveEndThenStart)
    }
}

/// Reads `count` values; their spans are offsets in the cursor's slice.
#[inline]
pub(super) fn read_values(
    cursor: &mut Cursor<'_>,
    types: &[Place],
    count: usize,
    values: &mut Vec<Option<Span>>,
) -> Result<(), Bad> {
    values.clear();
    let mut bits = 0_u64;
    for (n, place) in types.iter().take(count).enumerate() {
        if n % BATCH == 0 {
            bits = cursor.vint()?;
        }
        let value = match bits & 3 {
            0 => {
                let len = match place.ty.fixed_length() {
                    Some(len) => len,
                    None => cursor.length()?,
                };
                let at = cursor.position();
                cursor.take(len)?;
                Some(Span { at, len })
            }
            1 => Some(Span { at: cursor.position(), len: 0 }),
            2 => None,
            _ => return Err(cursor.bad("a clustering value is both empty and null")),
        };
        values.push(value);
        bits >>= 2;
    }
    Ok(())
}

/// Skips a bound as Statistics.db has it: kind, number of values, values.
pub(super) fn skip_bound(cursor: &mut Cursor<'_>, types: &[Place]) -> Result<(), Bad> {
    cursor.u8()?;
    let count = usize::from(cursor.u16()?);
    if count > types.len() {
        return Err(cursor.bad("a bound has more values than the table clustering columns"));
    }
    read_values(cursor, types, count, &mut Vec::new())
}
