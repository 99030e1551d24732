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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columnar::sstable::row::NO_TIMESTAMP;

    const NOW: i64 = 1000;

    fn cell(timestamp: i64, local: i64, ttl: i32) -> Cell {
        let (path, value) = (Span::default(), Span::default());
        Cell { column: 0, ttl, timestamp, local, path, value }
    }

    /// Each cell wins over those after it, whichever comes first.
    #[test]
    fn of_two_cells_one_wins_by_rules() {
        let ordered: [(Cell, &[u8]); 9] = [
            (cell(2, NO_DELETION, 0), b""),
            // At one time: tombstones, the one made later first; expiring cells, by their end, the
            // shorter time to live, the value; cells without an end by their value.
            (cell(1, 600, 0), b""),
            (cell(1, 500, 0), b""),
            (cell(1, 900, 10), b"a"),
            (cell(1, 800, 10), b"z"),
            (cell(1, 800, 20), b"z"),
            (cell(1, 800, 20), b"y"),
            (cell(1, NO_DELETION, 0), b"b"),
            (cell(1, NO_DELETION, 0), b"a\xff"),
        ];
        for (n, (left, left_value)) in ordered.iter().enumerate() {
            for (m, (right, right_value)) in ordered.iter().enumerate() {
                let left_wins = wins((left, left_value), (right, right_value));
                assert_eq!(left_wins, n <= m, "{n} and {m}");
            }
        }
    }

    fn row(liveness: Liveness, deletion: i64, shadowable: bool, cells: &[Cell]) -> Row {
        let mut row = Row::new();
        row.liveness = liveness;
        row.deletion = Deletion { at: deletion, local: 5 };
        row.shadowable = shadowable;
        row.cells.extend_from_slice(cells);
        row
    }

    /// Whether something of the rows is alive, and how many cells.
    fn merged(rows: &[Row], covering: Deletion) -> (bool, usize) {
        let columns = [Column { name: "c".to_owned(), ty: CqlType::Int, complex: false }];
        let versions: Vec<Version<'_>> =
            rows.iter().map(|row| Version { row, bytes: &[] }).collect();
        let mut merged = Merged::default();
        let alive = merged.merge(&versions, &columns, covering, NOW).unwrap();
        (alive, merged.picks.len())
    }

    #[test]
    fn a_row_lives_by_its_liveness_or_by_a_cell() {
        let live = |timestamp| Liveness { timestamp, ..Liveness::NONE };
        let (none, never) = (Deletion::NONE, NO_TIMESTAMP);
        let one = |liveness, cells: &[Cell]| row(liveness, never, false, cells);
        assert_eq!(merged(&[one(live(1), &[])], none), (true, 0));
        assert_eq!(merged(&[one(Liveness::NONE, &[])], none), (false, 0));
        assert_eq!(merged(&[one(Liveness::NONE, &[cell(1, NO_DELETION, 0)])], none), (true, 1));
        assert_eq!(merged(&[one(Liveness::NONE, &[cell(1, 999, 0)])], none), (false, 0));
        // It expires with its second, not after it.
        let ending = |expires| Liveness { timestamp: 1, ttl: 7, expires };
        assert_eq!(merged(&[one(ending(NOW + 1), &[])], none), (true, 0));
        assert_eq!(merged(&[one(ending(NOW), &[])], none), (false, 0));
        assert_eq!(merged(&[one(Liveness::NONE, &[cell(1, NOW, 7)])], none), (false, 0));
        assert_eq!(merged(&[one(Liveness::NONE, &[cell(1, NOW + 1, 7)])], none), (true, 1));
        // An expired cell still hides the older one of another file.
        let rows = [one(live(1), &[cell(2, NOW, 7)]), one(live(1), &[cell(1, NO_DELETION, 0)])];
        assert_eq!(merged(&rows, none), (true, 0));
    }

    #[test]
    fn what_is_as_old_as_its_deletion_is_deleted() {
        let live = |timestamp| Liveness { timestamp, ..Liveness::NONE };
        let cells = [cell(5, NO_DELETION, 0)];
        let covering = |at| Deletion { at, local: 5 };
        let one = |deletion, shadowable| [row(live(5), deletion, shadowable, &cells)];
        assert_eq!(merged(&one(NO_TIMESTAMP, false), covering(4)), (true, 1));
        assert_eq!(merged(&one(NO_TIMESTAMP, false), covering(5)), (false, 0));
        assert_eq!(merged(&one(4, false), Deletion::NONE), (true, 1));
        assert_eq!(merged(&one(5, false), Deletion::NONE), (false, 0));
        // Newer liveness lifts a shadowable deletion, of the cells too.
        let old = row(Liveness::NONE, NO_TIMESTAMP, false, &[cell(3, NO_DELETION, 0)]);
        let [newer] = one(4, true);
        assert_eq!(merged(&[old, newer], Deletion::NONE), (true, 1));
        let [newer] = one(5, true);
        assert_eq!(merged(&[newer], Deletion::NONE), (false, 0));
    }
}
