//! Scans, segments and estimates: the heads in order, each looked at for its time.

use std::ops::Bound;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use fjall::Iter;

use super::core::{Core, Look};
use super::engine;
use super::head::Head;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::kv::{Continuation, Entry, Estimate, Key, KeyRange, Page, PageLimit, Segments, Version};

/// Heads that one page looks at, also when few of them are alive at its time.
const LOOKED_AT_MAX: usize = 16 * 1024;
/// Entries counted one by one before an estimate goes by the keys' distance.
const COUNTED_MAX: usize = 256;

/// Collects entries so that a page costs one buffer, not two for each entry.
#[derive(Default)]
struct Gathered {
    buffer: BytesMut,
    entries: Vec<(usize, usize, u16, Timestamp)>,
}

impl Gathered {
    fn push(&mut self, key: &[u8], partition_len: u16, ts: Timestamp, value: &[u8]) {
        let start = self.buffer.len();
        self.buffer.put_slice(key);
        self.buffer.put_slice(value);
        self.entries.push((start, start + key.len(), partition_len, ts));
    }

    fn finish(self) -> Vec<Entry> {
        let buffer = self.buffer.freeze();
        let ends = self.entries.iter().skip(1).map(|e| e.0).chain([buffer.len()]);
        let entry = |((start, split, partition_len, ts), end): ((_, _, u16, _), usize)| Entry {
            key: Key::from_bytes(buffer.slice(start..split), usize::from(partition_len)),
            ts,
            value: buffer.slice(split..end),
        };
        self.entries.iter().copied().zip(ends).map(entry).collect()
    }
}

impl Core {
    /// Adds a key's entry at a time, if it has one.
    fn gather(
        &self,
        gathered: &mut Gathered,
        key: &[u8],
        bytes: &fjall::Slice,
        at: Timestamp,
    ) -> Result<()> {
        let head = Head::decode(bytes)?;
        let version = match self.look_newest(&head, at) {
            Some(ts) => {
                match head.value {
                    Some(value) => gathered.push(key, head.partition_len, ts, value),
                    None => self.met_deletion(key, ts),
                }
                return Ok(());
            }
            None => match self.look(key, bytes, at)? {
                Look::Found(version) => Some(version),
                Look::Nothing => None,
                Look::Again => self.get(key, at)?,
            },
        };
        if let Some(Version { ts, value: Some(value) }) = version {
            gathered.push(key, head.partition_len, ts, &value);
        }
        Ok(())
    }

    /// The timestamp of a head that is itself visible.
    fn look_newest(&self, head: &Head<'_>, at: Timestamp) -> Option<Timestamp> {
        self.committed(head.stamp).filter(|ts| *ts <= at)
    }

    /// A page of a scan.
    pub fn page(
        &self,
        range: &KeyRange,
        at: Timestamp,
        reverse: bool,
        limit: PageLimit,
        from: Option<Continuation>,
    ) -> Result<Page> {
        let mut left = range.clone();
        if let Some(Continuation(last)) = from {
            *if reverse { &mut left.end } else { &mut left.start } = Bound::Excluded(last);
        }
        if left.is_empty() {
            return Ok(Page::default());
        }
        let mut heads = self.engine.heads.range::<Bytes, _>(left.key_bounds());
        let mut gathered = Gathered::default();
        let mut next = None;
        for looked_at in 1.. {
            let guard = if reverse { heads.next_back() } else { heads.next() };
            let Some(guard) = guard else { break };
            let (key, bytes) = guard.into_inner().map_err(engine::error)?;
            self.gather(&mut gathered, &key, &bytes, at)?;
            if gathered.entries.len() >= limit.rows_max
                || gathered.buffer.len() >= limit.bytes_max
                || looked_at >= LOOKED_AT_MAX
            {
                next = Some(Continuation(Bytes::copy_from_slice(&key[Key::SPACE_LEN..])));
                break;
            }
        }
        Ok(Page { entries: gathered.finish(), next })
    }

    /// How many live entries a range holds, about.
    pub fn estimate(&self, range: &KeyRange) -> Result<Estimate> {
        if range.is_empty() {
            return Ok(Estimate::default());
        }
        let whole = self.sizes.lock().get(&range.space).copied().unwrap_or_default();
        let whole = Estimate { rows: whole.rows.max(0) as u64, bytes: whole.bytes.max(0) as u64 };
        if matches!((&range.start, &range.end), (Bound::Unbounded, Bound::Unbounded)) {
            return Ok(whole);
        }
        let mut counted = Estimate::default();
        let mut last = Bytes::new();
        for guard in self.engine.heads.range::<Bytes, _>(range.key_bounds()).take(COUNTED_MAX) {
            let (key, bytes) = guard.into_inner().map_err(engine::error)?;
            if let Some(value) = Head::decode(&bytes)?.value {
                counted.rows += 1;
                counted.bytes += (key.len() + value.len()) as u64;
            }
            last = Bytes::copy_from_slice(&key);
        }
        let rest = (Bound::Excluded(last), range.key_bounds().1);
        let Some(end) = self.engine.heads.range::<Bytes, _>(rest).next_back() else {
            return Ok(counted);
        };
        let end = end.key().map_err(engine::error)?;
        let share = self.share(range, &end)?;
        let rows = ((whole.rows as f64 * share) as u64).max(counted.rows);
        let bytes = rows.saturating_mul(whole.bytes) / whole.rows.max(1);
        Ok(Estimate { rows, bytes })
    }

    /// Which part of its space a range is, if keys lay evenly between the first and the last.
    fn share(&self, range: &KeyRange, range_end: &[u8]) -> Result<f64> {
        let mut all = self.engine.heads.range::<Bytes, _>(KeyRange::all(range.space).key_bounds());
        let mut inside = self.engine.heads.range::<Bytes, _>(range.key_bounds());
        let (Some(first), Some(last), Some(start)) = (all.next(), all.next_back(), inside.next())
        else {
            return Ok(1.0);
        };
        let first = first.key().map_err(engine::error)?;
        let last = last.key().map_err(engine::error)?;
        let start = start.key().map_err(engine::error)?;
        let common = first.iter().zip(last.iter()).take_while(|(a, b)| a == b).count();
        let number = |key: &[u8]| {
            let mut bytes = [0; 8];
            let rest = key.get(common..).unwrap_or_default();
            let len = rest.len().min(8);
            bytes[..len].copy_from_slice(&rest[..len]);
            u64::from_be_bytes(bytes) as f64
        };
        let (low, high) = (number(&first), number(&last));
        let share = (number(range_end) - number(&start)) / (high - low).max(1.0);
        Ok(share.clamp(0.0, 1.0))
    }
}

/// Reads a range in one go, holding the engine's iterator open.
pub(super) struct EmbeddedSegments {
    pub core: Arc<Core>,
    pub heads: Option<Iter>,
    pub at: Timestamp,
}

impl Segments for EmbeddedSegments {
    fn next(&mut self, rows_max: usize) -> Result<Vec<Entry>> {
        let Some(heads) = &mut self.heads else { return Ok(Vec::new()) };
        let mut gathered = Gathered::default();
        while gathered.entries.len() < rows_max {
            let Some(guard) = heads.next() else {
                self.heads = None;
                break;
            };
            let (key, bytes) = guard.into_inner().map_err(engine::error)?;
            self.core.gather(&mut gathered, &key, &bytes, self.at)?;
        }
        Ok(gathered.finish())
    }
}
