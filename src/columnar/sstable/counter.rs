//! Counters: a count for each replica that took increments, and a clock that says which is newer.
//!
//! ```text
//! header i16: elements · elements × i16 · shards × (id 16 bytes, clock i64, count i64)
//! ```
//! An element is the index of a shard: as it is for a *local* shard, with the highest bit set for a
//! *global* one. Shards without an element are *remote*. All but global ones come from before 2.1.

use std::cmp::Ordering;

use super::bytes::{Bad, Cursor};
use super::values::Wrong;

/// Bytes of a shard.
const SHARD_BYTES: usize = 16 + 8 + 8;
const MALFORMED: Wrong = "a counter is not made of shards";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Global,
    Local,
    Remote,
}

#[derive(Clone, Copy, Debug)]
struct Shard<'a> {
    kind: Kind,
    id: &'a [u8],
    clock: i64,
    count: i64,
}

fn body(context: &[u8]) -> Result<(&[u8], &[u8]), Wrong> {
    let (elements, rest) = context.split_first_chunk::<2>().ok_or(MALFORMED)?;
    let elements = usize::from(i16::from_be_bytes(*elements).unsigned_abs());
    let (header, shards) = rest.split_at_checked(2 * elements).ok_or(MALFORMED)?;
    if shards.len() % SHARD_BYTES != 0 { Err(MALFORMED) } else { Ok((header, shards)) }
}

fn shards(context: &[u8]) -> Result<Vec<Shard<'_>>, Wrong> {
    let (header, shards) = body(context)?;
    let elements: Vec<i16> =
        header.chunks_exact(2).map(|e| i16::from_be_bytes([e[0], e[1]])).collect();
    let mut found = Vec::with_capacity(shards.len() / SHARD_BYTES);
    for (index, bytes) in shards.chunks_exact(SHARD_BYTES).enumerate() {
        let index = index as i16;
        let kind = |element: &i16| {
            let global = *element == index.wrapping_add(i16::MIN);
            if global { Some(Kind::Global) } else { (*element == index).then_some(Kind::Local) }
        };
        let kind = elements.iter().find_map(kind).unwrap_or(Kind::Remote);
        found.push(read_shard(kind, bytes).map_err(|bad| bad.what)?);
    }
    Ok(found)
}

fn read_shard(kind: Kind, bytes: &[u8]) -> Result<Shard<'_>, Bad> {
    let mut cursor = Cursor::new(bytes);
    Ok(Shard { kind, id: cursor.take(16)?, clock: cursor.i64()?, count: cursor.i64()? })
}

/// The counter's value: the sum of all counts.
pub(super) fn total(context: &[u8]) -> Result<i64, Wrong> {
    let (_, shards) = body(context)?;
    let mut sum = 0_i64;
    for shard in shards.chunks_exact(SHARD_BYTES) {
        let count = shard.last_chunk::<8>().ok_or(MALFORMED)?;
        sum = sum.wrapping_add(i64::from_be_bytes(*count));
    }
    Ok(sum)
}

/// Puts two states of one counter together, after `merged`.
pub(super) fn merge(left: &[u8], right: &[u8], merged: &mut Vec<u8>) -> Result<(), Wrong> {
    let (left, right) = (shards(left)?, shards(right)?);
    let mut all = Vec::with_capacity(left.len() + right.len());
    let (mut l, mut r) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let order = match (l.peek(), r.peek()) {
            (Some(a), Some(b)) => a.id.cmp(b.id),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        let shard = match order {
            Ordering::Less => l.next().copied(),
            Ordering::Greater => r.next().copied(),
            Ordering::Equal => l.next().zip(r.next()).map(|(a, b)| reconcile(*a, *b)),
        };
        all.extend(shard);
    }
    let marked = |(index, shard): (usize, &Shard<'_>)| match shard.kind {
        Kind::Global => Some((index as i16).wrapping_add(i16::MIN)),
        Kind::Local => Some(index as i16),
        Kind::Remote => None,
    };
    let elements: Vec<i16> = all.iter().enumerate().filter_map(marked).collect();
    merged.extend_from_slice(&(elements.len() as i16).to_be_bytes());
    elements.iter().for_each(|e| merged.extend_from_slice(&e.to_be_bytes()));
    for shard in &all {
        merged.extend_from_slice(shard.id);
        merged.extend_from_slice(&shard.clock.to_be_bytes());
        merged.extend_from_slice(&shard.count.to_be_bytes());
    }
    Ok(())
}

/// Which of two shards of one id counts.
fn reconcile<'a>(left: Shard<'a>, right: Shard<'a>) -> Shard<'a> {
    let newer = |left_is_newer: bool| if left_is_newer { left } else { right };
    match (left.kind, right.kind) {
        (Kind::Global, Kind::Global) => {
            newer((left.clock, left.count) > (right.clock, right.count))
        }
        (Kind::Global, _) => left,
        (_, Kind::Global) => right,
        (Kind::Local, Kind::Local) => Shard {
            clock: left.clock.wrapping_add(right.clock),
            count: left.count.wrapping_add(right.count),
            ..left
        },
        (Kind::Local, Kind::Remote) => left,
        (Kind::Remote, Kind::Local) => right,
        (Kind::Remote, Kind::Remote) if left.clock == right.clock => {
            newer(left.count > right.count)
        }
        // Clocks of shards that were merged once are negative, and count downwards.
        (Kind::Remote, Kind::Remote) if left.clock < 0 => {
            newer(right.clock > 0 || left.clock < right.clock)
        }
        (Kind::Remote, Kind::Remote) => newer(right.clock > 0 && left.clock >= right.clock),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(elements: &[i16], shards: &[(u8, i64, i64)]) -> Vec<u8> {
        let mut bytes = (elements.len() as i16).to_be_bytes().to_vec();
        elements.iter().for_each(|e| bytes.extend_from_slice(&e.to_be_bytes()));
        for (id, clock, count) in shards {
            bytes.extend_from_slice(&[*id; 16]);
            bytes.extend_from_slice(&clock.to_be_bytes());
            bytes.extend_from_slice(&count.to_be_bytes());
        }
        bytes
    }

    fn merged(left: &[u8], right: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        merge(left, right, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn shards_with_the_higher_clock_count() {
        let global = |n: i16| n.wrapping_add(i16::MIN);
        let a = context(&[global(0), global(1)], &[(1, 5, 50), (2, 1, 7)]);
        let b = context(&[global(0), global(1)], &[(1, 6, 10), (3, 1, 1)]);
        let both = context(&[global(0), global(1), global(2)], &[(1, 6, 10), (2, 1, 7), (3, 1, 1)]);
        assert_eq!(merged(&a, &b), both);
        assert_eq!(merged(&b, &a), both);
        assert_eq!(total(&both), Ok(18));
        let local = context(&[0], &[(1, 9, 100)]);
        assert_eq!(merged(&local, &b), b);
        assert_eq!(total(&merged(&local, &local)), Ok(200));
        let remote = context(&[], &[(1, 9, 3)]);
        assert_eq!(merged(&remote, &local), local);
        assert_eq!(total(&a[..a.len() - 1]), Err(MALFORMED));
        assert_eq!(total(&[]), Err(MALFORMED));
        assert_eq!(total(&[0x7f, 0xff, 0]), Err(MALFORMED));
    }
}
