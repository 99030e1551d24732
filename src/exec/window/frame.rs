//! Peers and frames of a partition.

use std::cmp::Ordering;
use std::ops::Range;

use crate::error::{Error, Result, SqlState};
use crate::exec::context::ExecContext;
use crate::exec::sort::compare_keys;
use crate::functions::{apply_cast, compare, eval_call, find_cast};
use crate::plan::node::{FrameEdge, FrameSpec, RangeOffset, SortSpec};
use crate::sql::bound::{FrameExclude, FrameUnit};
use crate::types::{BaseType, Datum, Row};

/// A partition with its peer groups.
pub struct Partition<'a> {
    /// The order's keys.
    pub order_by: &'a [SortSpec],
    /// The rows, in order.
    pub rows: Vec<Row>,
    /// The values each row is ordered by.
    pub keys: Vec<Vec<Datum>>,
    /// For each row, the number of its peer group.
    pub group: Vec<usize>,
    /// Rows of each peer group.
    pub groups: Vec<Range<usize>>,
}

impl<'a> Partition<'a> {
    /// Finds the peers of ordered rows.
    pub fn new(order_by: &'a [SortSpec], rows: Vec<Row>, keys: Vec<Vec<Datum>>) -> Partition<'a> {
        let mut group = Vec::with_capacity(rows.len());
        let mut groups: Vec<Range<usize>> = Vec::new();
        for at in 0..rows.len() {
            let peer = at > 0 && compare_keys(order_by, &keys[at - 1], &keys[at]).is_eq();
            match groups.last_mut() {
                Some(last) if peer => last.end = at + 1,
                _ => groups.push(at..at + 1),
            }
            group.push(groups.len() - 1);
        }
        Partition { order_by, rows, keys, group, groups }
    }

    /// Rows of the peers of `at`, itself included.
    pub fn peers(&self, at: usize) -> Range<usize> {
        self.groups[self.group[at]].clone()
    }
}

/// One end of the frames of all rows: where it lies for each.
pub enum Edge {
    /// At the partition's end.
    Unbounded,
    /// At the row or its peers.
    Current,
    /// So many rows or groups away.
    Count(i64),
    /// RANGE: at this key, for each row; none where the row's own key is NULL.
    Keys(Vec<Option<Bound>>),
}

/// Where a RANGE frame ends.
pub enum Bound {
    /// Below all values of the type.
    Low,
    /// At a value.
    Key(Datum),
    /// Above all values of the type.
    High,
}

impl Bound {
    /// How a key stands to it.
    fn compare(&self, own: &Datum) -> Ordering {
        match self {
            Bound::Low => Ordering::Greater,
            Bound::Key(key) => compare(own, key),
            Bound::High => Ordering::Less,
        }
    }
}

/// The frames of a call over a partition.
pub struct Frames<'a> {
    unit: FrameUnit,
    exclude: FrameExclude,
    start: Edge,
    end: Edge,
    partition: &'a Partition<'a>,
}

impl<'a> Frames<'a> {
    /// Evaluates a frame's bounds.
    ///
    /// # Errors
    /// 22013 for a bound that is NULL or negative.
    pub async fn new(
        ctx: &mut ExecContext<'_>,
        spec: &FrameSpec,
        partition: &'a Partition<'a>,
    ) -> Result<Frames<'a>> {
        Ok(Frames {
            unit: spec.unit,
            exclude: spec.exclude,
            start: edge(ctx, &spec.start, "starting", partition).await?,
            end: edge(ctx, &spec.end, "ending", partition).await?,
            partition,
        })
    }

    /// The frame of a row, exclusion aside.
    pub fn range(&self, at: usize) -> Range<usize> {
        let start = self.place(at, &self.start, true);
        let end = self.place(at, &self.end, false);
        start..end.max(start)
    }

    /// Whether EXCLUDE takes nothing.
    pub fn is_whole(&self) -> bool {
        self.exclude == FrameExclude::NoOthers
    }

    /// Whether EXCLUDE takes `other` out of the frame of `at`.
    pub fn excludes(&self, at: usize, other: usize) -> bool {
        let peers = || self.partition.peers(at).contains(&other);
        match self.exclude {
            FrameExclude::NoOthers => false,
            FrameExclude::CurrentRow => other == at,
            FrameExclude::Group => peers(),
            FrameExclude::Ties => other != at && peers(),
        }
    }

    fn place(&self, at: usize, edge: &Edge, start: bool) -> usize {
        let rows = self.partition.rows.len();
        match (edge, self.unit) {
            (Edge::Unbounded, _) => {
                if start {
                    0
                } else {
                    rows
                }
            }
            (Edge::Current, FrameUnit::Rows) => {
                if start {
                    at
                } else {
                    at + 1
                }
            }
            (Edge::Current, _) => {
                let peers = self.partition.peers(at);
                if start { peers.start } else { peers.end }
            }
            (Edge::Count(n), FrameUnit::Rows) => {
                let place = (at as i64).saturating_add(*n).saturating_add(i64::from(!start));
                place.clamp(0, rows as i64) as usize
            }
            (Edge::Count(n), _) => {
                let group = (self.partition.group[at] as i64).saturating_add(*n);
                let groups = &self.partition.groups;
                match usize::try_from(group) {
                    Err(_) => 0,
                    Ok(g) if g >= groups.len() => rows,
                    Ok(g) if start => groups[g].start,
                    Ok(g) => groups[g].end,
                }
            }
            (Edge::Keys(keys), _) => self.key_place(at, keys[at].as_ref(), start),
        }
    }

    /// The first row at or behind a key (start), or the one behind its last (end).
    fn key_place(&self, at: usize, key: Option<&Bound>, start: bool) -> usize {
        let Some(key) = key else {
            // A NULL key has its peers alone.
            let peers = self.partition.peers(at);
            return if start { peers.start } else { peers.end };
        };
        let desc = self.partition.order_by.first().is_some_and(|k| k.desc);
        let nulls_first = self.partition.order_by.first().is_some_and(|k| k.nulls_first);
        self.partition.keys.partition_point(|own| {
            let own = &own[0];
            if own.is_null() {
                return nulls_first;
            }
            let ordering = key.compare(own);
            let ordering = if desc { ordering.reverse() } else { ordering };
            ordering == Ordering::Less || (!start && ordering == Ordering::Equal)
        })
    }
}

async fn edge(
    ctx: &mut ExecContext<'_>,
    spec: &FrameEdge,
    name: &str,
    partition: &Partition<'_>,
) -> Result<Edge> {
    let (scalar, offset, sign) = match spec {
        FrameEdge::Unbounded => return Ok(Edge::Unbounded),
        FrameEdge::Current => return Ok(Edge::Current),
        FrameEdge::Preceding(scalar, offset) => (scalar, offset, -1),
        FrameEdge::Following(scalar, offset) => (scalar, offset, 1),
    };
    let value = ctx.value(scalar, &[], &[]).await?;
    let wrong = |what: &str| {
        let message = format!("frame {name} offset must not be {what}");
        Err(Error::new(SqlState(*b"22013"), message))
    };
    match (&value, offset) {
        (Datum::Null, _) => wrong("null"),
        (Datum::Int8(n), None) if *n < 0 => wrong("negative"),
        (Datum::Int8(n), None) => Ok(Edge::Count(sign * *n)),
        (_, Some(offset)) => {
            let desc = partition.order_by.first().is_some_and(|k| k.desc);
            let beyond = if (sign > 0) == desc { Bound::Low } else { Bound::High };
            keys(ctx, partition, offset, &value, &beyond).map(Edge::Keys)
        }
        (other, None) => Err(Error::internal(format!("frame offset is {other:?}"))),
    }
}

/// The bounds of all rows; `beyond` where an integer leaves its type, as PostgreSQL's `in_range`
/// has it.
fn keys(
    ctx: &ExecContext<'_>,
    partition: &Partition<'_>,
    offset: &RangeOffset,
    value: &Datum,
    beyond: &Bound,
) -> Result<Vec<Option<Bound>>> {
    let whole = matches!(offset.key.base, BaseType::Int2 | BaseType::Int4 | BaseType::Int8);
    let mut out = Vec::with_capacity(partition.keys.len());
    for own in &partition.keys {
        let Some(own) = own.first().filter(|k| !k.is_null()) else {
            out.push(None);
            continue;
        };
        let moved = eval_call(offset.function, ctx.eval, &[own.clone(), value.clone()]);
        let result = offset.function.result;
        let key = if result.same(offset.key) || find_cast(result, offset.key).is_none() {
            moved
        } else {
            moved.and_then(|moved| apply_cast(ctx.eval, moved, result, offset.key, true))
        };
        out.push(Some(match (key, beyond) {
            (Ok(key), _) => Bound::Key(key),
            (Err(e), Bound::Low) if whole && is_overflow(&e) => Bound::Low,
            (Err(e), _) if whole && is_overflow(&e) => Bound::High,
            (Err(e), _) => return Err(e),
        }));
    }
    Ok(out)
}

fn is_overflow(error: &Error) -> bool {
    error.code() == SqlState::NUMERIC_VALUE_OUT_OF_RANGE
}
