//! From an access to keys and ranges.
//!
//! Each value of the first columns makes a prefix of the key's bytes; several values for a column
//! make several prefixes. The range on the next column becomes bounds behind each prefix. A
//! comparison with NULL is never true, so a NULL value makes nothing.

use std::ops::Bound;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::encoding::key;
use crate::error::Result;
use crate::exec::context::ExecContext;
use crate::kv::{Key, KeyRange, SpaceId, prefix_end};
use crate::plan::access::{AccessColumn, KeyBound, KeyPart};
use crate::plan::node::ScanPlan;
use crate::types::{BaseType, Datum};

/// What is to be read.
pub enum Target {
    /// One key.
    Point(Key),
    /// All keys of a range.
    Range(KeyRange),
}

/// The bytes of some key columns.
#[derive(Clone, Default)]
struct Prefix {
    bytes: Vec<u8>,
    /// Length of the partition part, once all its columns are there.
    partition: Option<usize>,
}

/// Values of one key column.
pub type Values = SmallVec<[Datum; 1]>;

/// Marker of a value that is not NULL in a marked column; NULLs are below or above it.
const PRESENT: u8 = 0x01;

/// What a scan reads, in ascending order of keys, each once.
pub async fn targets(
    ctx: &mut ExecContext<'_>,
    scan: &ScanPlan,
    left: &[Datum],
) -> Result<Vec<Target>> {
    let access = &scan.access;
    let space = access.index.as_ref().map_or(scan.table.space(), |i| i.index.space);
    let mut prefixes = vec![Prefix::default()];
    for (at, (part, column)) in access.parts.iter().zip(&access.columns).enumerate() {
        let values = part_values(ctx, part, column, left).await?;
        let ends_partition = at + 1 == access.partition_columns;
        if let [value] = values.as_slice() {
            for prefix in &mut prefixes {
                append(value, column, &mut prefix.bytes)?;
                prefix.partition =
                    prefix.partition.or(ends_partition.then_some(prefix.bytes.len()));
            }
            continue;
        }
        let mut longer = Vec::with_capacity(prefixes.len() * values.len());
        for prefix in &prefixes {
            for value in &values {
                let mut next = prefix.clone();
                append(value, column, &mut next.bytes)?;
                if ends_partition {
                    next.partition = Some(next.bytes.len());
                }
                longer.push(next);
            }
        }
        prefixes = longer;
    }
    if prefixes.len() > 1 {
        prefixes.sort_by(|a, b| a.bytes.cmp(&b.bytes));
        prefixes.dedup_by(|a, b| a.bytes == b.bytes);
    }
    if access.point {
        let key = |p: Prefix| Key::new(space, &p.bytes, p.partition.unwrap_or(p.bytes.len()));
        return Ok(prefixes.into_iter().map(|p| Target::Point(key(p))).collect());
    }
    let next = access.columns.get(access.parts.len());
    let Some(bounds) = bounds(ctx, scan, next, left).await? else { return Ok(Vec::new()) };
    Ok(prefixes.into_iter().map(|p| Target::Range(range(space, p, &bounds))).collect())
}

fn append(value: &Datum, column: &AccessColumn, out: &mut Vec<u8>) -> Result<()> {
    if column.marked {
        key::encode(value, column.ty, column.desc, column.nulls_first, out)
    } else {
        key::encode_value(value, column.ty, out)
    }
}

async fn part_values(
    ctx: &mut ExecContext<'_>,
    part: &KeyPart,
    column: &AccessColumn,
    left: &[Datum],
) -> Result<Values> {
    if let KeyPart::Null = part {
        return Ok(SmallVec::from_iter([Datum::Null]));
    }
    let fitting = given_values(ctx, part, left).await?.into_iter();
    let fitting = fitting.filter_map(|v| match fit(v, column) {
        Fit::Value(value) => Some(value),
        _ => None,
    });
    Ok(fitting.collect())
}

/// What a key column is compared with, of whatever type; nothing for NULL.
pub async fn given_values(
    ctx: &mut ExecContext<'_>,
    part: &KeyPart,
    left: &[Datum],
) -> Result<Values> {
    let mut values: Values = SmallVec::new();
    match part {
        KeyPart::Null => {}
        KeyPart::OneOf(list) => {
            for scalar in list {
                values.push(ctx.value(scalar, left, &[]).await?);
            }
        }
        KeyPart::Element(scalar) => {
            if let Datum::Array(array) = ctx.value(scalar, left, &[]).await? {
                values.extend(array.values.iter().cloned());
            }
        }
    }
    Ok(values)
}

/// A value as one of the column's type.
enum Fit {
    /// It is one.
    Value(Datum),
    /// It is below all values of the type.
    Below,
    /// It is above all values of the type.
    Above,
    /// It is NULL.
    Null,
}

/// Integers of another width become the column's; other values are of its type already.
fn fit(value: Datum, column: &AccessColumn) -> Fit {
    let number = match &value {
        Datum::Null => return Fit::Null,
        Datum::Int2(v) => i64::from(*v),
        Datum::Int4(v) => i64::from(*v),
        Datum::Int8(v) => *v,
        _ => return Fit::Value(value),
    };
    let out_of_range = if number < 0 { Fit::Below } else { Fit::Above };
    match column.ty.base {
        BaseType::Int2 => {
            i16::try_from(number).map_or(out_of_range, |v| Fit::Value(Datum::Int2(v)))
        }
        BaseType::Int4 => {
            i32::try_from(number).map_or(out_of_range, |v| Fit::Value(Datum::Int4(v)))
        }
        BaseType::Int8 => Fit::Value(Datum::Int8(number)),
        _ => Fit::Value(value),
    }
}

/// Bounds on the bytes behind a prefix.
struct Bounds {
    /// From these bytes on.
    start: Option<Vec<u8>>,
    /// Up to, not including, these bytes.
    end: Option<Vec<u8>>,
}

/// Bytes of a bound, and whether it lies at the start of the value's own keys or after them.
async fn bound(
    ctx: &mut ExecContext<'_>,
    bound: &KeyBound,
    column: &AccessColumn,
    left: &[Datum],
) -> Result<(Fit, Vec<u8>)> {
    let value = ctx.value(&bound.value, left, &[]).await?;
    let fitted = fit(value, column);
    let mut bytes = Vec::new();
    if let Fit::Value(value) = &fitted {
        append(value, column, &mut bytes)?;
    }
    Ok((fitted, bytes))
}

/// The bounds of the range; none if nothing can lie in it.
async fn bounds(
    ctx: &mut ExecContext<'_>,
    scan: &ScanPlan,
    column: Option<&AccessColumn>,
    left: &[Datum],
) -> Result<Option<Bounds>> {
    let access = &scan.access;
    let mut out = Bounds { start: None, end: None };
    let Some(column) = column else { return Ok(Some(out)) };
    if access.low.is_none() && access.high.is_none() {
        return Ok(Some(out));
    }
    if column.marked {
        out = Bounds { start: Some(vec![PRESENT]), end: Some(vec![PRESENT + 1]) };
    }
    for (given, is_low) in [(&access.low, true), (&access.high, false)] {
        let Some(given) = given else { continue };
        let (fitted, bytes) = bound(ctx, given, column, left).await?;
        match fitted {
            Fit::Null => return Ok(None),
            Fit::Below if is_low => continue,
            Fit::Above if !is_low => continue,
            Fit::Below | Fit::Above => return Ok(None),
            Fit::Value(_) => {}
        }
        // In a descending column the larger value has the smaller bytes.
        let at_start = is_low != column.desc;
        let after_own = at_start != given.inclusive;
        let edge = if after_own { prefix_end(&bytes) } else { Some(bytes) };
        if at_start {
            match edge {
                Some(edge) => out.start = Some(edge),
                None => return Ok(None),
            }
        } else if edge.is_some() {
            out.end = edge;
        }
    }
    Ok(Some(out))
}

fn range(space: SpaceId, prefix: Prefix, bounds: &Bounds) -> KeyRange {
    let join = |tail: &[u8]| -> Bytes {
        let mut bytes = prefix.bytes.clone();
        bytes.extend_from_slice(tail);
        bytes.into()
    };
    let start = match &bounds.start {
        Some(tail) => Bound::Included(join(tail)),
        None if prefix.bytes.is_empty() => Bound::Unbounded,
        None => Bound::Included(Bytes::copy_from_slice(&prefix.bytes)),
    };
    let end = match &bounds.end {
        Some(tail) => Bound::Excluded(join(tail)),
        None => match prefix_end(&prefix.bytes) {
            Some(end) if !prefix.bytes.is_empty() => Bound::Excluded(end.into()),
            _ => Bound::Unbounded,
        },
    };
    KeyRange { space, start, end, partition_len: prefix.partition.map(|len| len as u16) }
}
