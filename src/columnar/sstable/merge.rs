//! What is left of several versions of a row: Cassandra's rules of reconciliation.
//!
//! - A deletion deletes what was written at its time or before; of several, the latest counts.
//! - Of two cells the later counts. At the same time: a tombstone or expiring cell before one that
//!   is neither; a tombstone before an expiring cell; the later end; the shorter time to live; the
//!   greater bytes.
//! - Counters are put together shard by shard; a tombstone of a counter counts whatever its time.
//! - Only then is dropped what is deleted or has expired at the time of the run: a tombstone first
//!   has to meet all that it deletes.

use std::cmp::Ordering;

use super::clustering::Span;
use super::compare;
use super::counter;
use super::row::{Cell, Deletion, Liveness, NO_DELETION, Row};
use super::statistics::Column;
use super::types::CqlType;
use super::values::Wrong;

/// A row of one file, and what its places are in.
#[derive(Clone, Copy)]
pub(super) struct Version<'a> {
    pub row: &'a Row,
    pub bytes: &'a [u8],
}

/// A cell that is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pick {
    pub column: u16,
    /// Index of the version that its places are in; [`SCRATCH`] is [`Merged::scratch`].
    pub version: u16,
    pub path: Span,
    pub value: Span,
}

/// Stands for no version.
pub(super) const SCRATCH: u16 = u16::MAX;

/// What is left of a row.
#[derive(Default)]
pub(super) struct Merged {
    /// By column and path.
    pub picks: Vec<Pick>,
    /// Counters that were put together.
    pub scratch: Vec<u8>,
    /// For each version the cell that comes next.
    heads: Vec<usize>,
}

impl Merged {
    /// Merges versions of one row under the deletion of its partition and ranges. False if nothing
    /// of it is alive at `now`, in seconds.
    pub fn merge(
        &mut self,
        versions: &[Version<'_>],
        columns: &[Column],
        covering: Deletion,
        now: i64,
    ) -> Result<bool, Wrong> {
        self.picks.clear();
        self.scratch.clear();
        let (liveness, active) = row_level(versions, covering);
        if let [only] = versions {
            self.keep(only.row, active, now);
        } else {
            self.merge_cells(versions, columns, active, now)?;
        }
        Ok(liveness.is_live(now) || !self.picks.is_empty())
    }

    /// The cells of the only version.
    #[inline]
    fn keep(&mut self, row: &Row, active: Deletion, now: i64) {
        let plain = row.complex.is_empty();
        for cell in &row.cells {
            let deletion =
                if plain { active } else { active.or(complex_deletion(row, cell.column)) };
            if !deletion.deletes(cell.timestamp) && cell.is_live(now) {
                let Cell { column, path, value, .. } = *cell;
                self.picks.push(Pick { column, version: 0, path, value });
            }
        }
    }

    fn merge_cells(
        &mut self,
        versions: &[Version<'_>],
        columns: &[Column],
        active: Deletion,
        now: i64,
    ) -> Result<(), Wrong> {
        self.heads.clear();
        self.heads.resize(versions.len(), 0);
        let mut of_column = (u16::MAX, active);
        while let Some(first) = self.first(versions, columns) {
            let (column, path) = {
                let version = &versions[first];
                let cell = &version.row.cells[self.heads[first]];
                (cell.column, cell.path.of(version.bytes))
            };
            if of_column.0 != column {
                let deletions = versions.iter().map(|v| complex_deletion(v.row, column));
                of_column = (column, deletions.fold(active, Deletion::or));
            }
            let deletion = of_column.1;
            let definition = &columns[usize::from(column)];
            let mut best: Option<(u16, Cell)> = None;
            for (n, version) in versions.iter().enumerate().skip(first) {
                let Some(cell) = version.row.cells.get(self.heads[n]).copied() else { continue };
                let same = cell.column == column
                    && (!definition.complex
                        || compare::paths(&definition.ty, cell.path.of(version.bytes), path)
                            == Ordering::Equal);
                if !same {
                    continue;
                }
                self.heads[n] += 1;
                if deletion.deletes(cell.timestamp) {
                    continue;
                }
                best = Some(match best {
                    Some(other) => {
                        let counter = definition.ty == CqlType::Counter;
                        self.reconcile(versions, other, (n as u16, cell), counter)?
                    }
                    None => (n as u16, cell),
                });
            }
            if let Some((version, cell)) = best
                && cell.is_live(now)
            {
                let Cell { column, path, value, .. } = cell;
                self.picks.push(Pick { column, version, path, value });
            }
        }
        Ok(())
    }

    /// The version whose next cell comes first.
    fn first(&self, versions: &[Version<'_>], columns: &[Column]) -> Option<usize> {
        let mut found: Option<(usize, &Cell)> = None;
        for (n, version) in versions.iter().enumerate() {
            let Some(cell) = version.row.cells.get(self.heads[n]) else { continue };
            let Some((first, other)) = found else {
                found = Some((n, cell));
                continue;
            };
            let order = cell.column.cmp(&other.column).then_with(|| {
                let definition = &columns[usize::from(cell.column)];
                if !definition.complex {
                    return Ordering::Equal;
                }
                let (path, other) = (cell.path.of(version.bytes), other.path);
                compare::paths(&definition.ty, path, other.of(versions[first].bytes))
            });
            if order == Ordering::Less {
                found = Some((n, cell));
            }
        }
        found.map(|(n, _)| n)
    }

    fn reconcile(
        &mut self,
        versions: &[Version<'_>],
        left: (u16, Cell),
        right: (u16, Cell),
        counter: bool,
    ) -> Result<(u16, Cell), Wrong> {
        let bytes = |of: u16| match of {
            SCRATCH => &[],
            n => versions[usize::from(n)].bytes,
        };
        if counter && !(left.1.is_tombstone() && right.1.is_tombstone()) {
            if left.1.is_tombstone() || right.1.is_tombstone() {
                return Ok(if left.1.is_tombstone() { left } else { right });
            }
            let kept: Vec<u8> = match left.0 {
                SCRATCH => left.1.value.of(&self.scratch).to_vec(),
                n => left.1.value.of(bytes(n)).to_vec(),
            };
            let at = self.scratch.len();
            counter::merge(&kept, right.1.value.of(bytes(right.0)), &mut self.scratch)?;
            let value = Span { at, len: self.scratch.len() - at };
            let timestamp = left.1.timestamp.max(right.1.timestamp);
            return Ok((SCRATCH, Cell { value, timestamp, ..left.1 }));
        }
        let (left_value, right_value) =
            (left.1.value.of(bytes(left.0)), right.1.value.of(bytes(right.0)));
        let keep_left = wins((&left.1, left_value), (&right.1, right_value));
        Ok(if keep_left { left } else { right })
    }
}

/// The liveness that is left, and the deletion that counts for the row.
fn row_level(versions: &[Version<'_>], covering: Deletion) -> (Liveness, Deletion) {
    let mut liveness = Liveness::NONE;
    let mut deletion = (Deletion::NONE, false);
    for Version { row, .. } in versions {
        if row.liveness.supersedes(&liveness) {
            liveness = row.liveness;
        }
        if row.deletion.supersedes(deletion.0) {
            deletion = (row.deletion, row.shadowable);
        }
    }
    // Newer liveness lifts a shadowable deletion.
    if deletion.1 && liveness.timestamp > deletion.0.at {
        deletion.0 = Deletion::NONE;
    }
    let active = covering.or(deletion.0);
    if active.deletes(liveness.timestamp) {
        liveness = Liveness::NONE;
    }
    (liveness, active)
}

fn complex_deletion(row: &Row, column: u16) -> Deletion {
    let found = row.complex.iter().find(|(of, _)| *of == column);
    found.map_or(Deletion::NONE, |(_, deletion)| *deletion)
}

/// Whether the first of two cells counts.
fn wins(left: (&Cell, &[u8]), right: (&Cell, &[u8])) -> bool {
    let ((left, left_value), (right, right_value)) = (left, right);
    if left.timestamp != right.timestamp {
        return left.timestamp > right.timestamp;
    }
    let ends = |cell: &Cell| cell.local != NO_DELETION;
    if ends(left) != ends(right) {
        return ends(left);
    }
    if ends(left) {
        let tombstone = |cell: &Cell| cell.ttl == 0;
        if tombstone(left) != tombstone(right) {
            return tombstone(left);
        }
        if left.local != right.local {
            return left.local > right.local;
        }
        if left.ttl != right.ttl {
            return left.ttl < right.ttl;
        }
    }
    left_value >= right_value
}
