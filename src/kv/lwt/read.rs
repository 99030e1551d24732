//! Reads at a snapshot: plain QUORUM reads, never Paxos, unless something is half-learned.
//!
//! A head at or below the snapshot is the answer. Above it, the head's and the older versions'
//! links to what they replaced lead to the answer, within one request. A link that leads nowhere
//! is a batch of which a quorum does not know all rows yet: a SERIAL read finishes it.
//!
//! An intent is met only where it matters: if its attempt could commit at or below the snapshot,
//! its verdict is waited for. One whose timestamp is above the snapshot cannot, nor one of unknown
//! timestamp whose floor is at or above it.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::gateway::Gateway;
use super::locks::head_of;
use super::partitions::*;
use super::published::Open;
use super::rows::*;
use super::snapshots::{Snapshot, too_old};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::{SpaceId, Version};

/// Looks at another attempt's record while validating, before giving way.
const VALIDATION_LOOKS: u32 = 8;
/// Rows of a scanned page that are asked after at once, where their heads are not the answer.
const ROWS_AT_ONCE: usize = 32;

/// Who reads, and so what of an intent in the way.
#[derive(Clone, Copy, Debug)]
pub enum Reader {
    /// Anyone: waits.
    Plain,
    /// An attempt that validates, its own intents in place: it does not see those, and of two
    /// attempts that meet each other's intents only the lower waits, and not for long.
    Attempt(Attempt),
}

/// A row's version at a snapshot.
enum Visible {
    Known(Option<Version>),
    /// The version is in the history.
    Older,
    /// It depends on this attempt.
    Depends(Attempt),
}

/// What a read could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Yield;

impl Gateway {
    /// Waits for announced commits that could still appear where `matters` says, at or below the
    /// snapshot.
    pub async fn await_open(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        matters: impl Fn(&Partition) -> bool,
    ) -> Result<()> {
        loop {
            let next = {
                let open = snapshot.open.lock();
                let concerns = |o: &&Open| o.may_appear(&matters);
                open.iter().find(concerns).cloned()
            };
            let Some(open) = next else { return Ok(()) };
            self.wait_settled(&open).await?;
            snapshot.open.lock().retain(|o| o.attempt != open.attempt);
        }
    }

    /// The versions of keys of one partition at a snapshot, in the order asked.
    pub async fn versions_at(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        partition: &Partition,
        keys: &[Bytes],
        reader: Reader,
    ) -> Result<Result<Vec<Option<Version>>, Yield>> {
        self.await_open(snapshot, |p| p == partition).await?;
        let rows = self.read(partition, Select::Rows(keys.to_vec()), Consistency::Quorum).await?;
        let mut versions = Vec::with_capacity(keys.len());
        for key in keys {
            let row = rows.iter().find(|r| r.key.kind == Kind::Head && r.key.key == *key);
            let record = Record::read(row)?;
            match self.version_at(snapshot.at, partition, key, record, reader).await? {
                Ok(version) => versions.push(version),
                Err(held_up) => return Ok(Err(held_up)),
            }
        }
        self.check_lease().await?;
        Ok(Ok(versions))
    }

    /// A row's version at `at`, given its head as read just now.
    pub async fn version_at(
        self: &Arc<Self>,
        at: Timestamp,
        partition: &Partition,
        key: &Bytes,
        head: Record,
        reader: Reader,
    ) -> Result<Result<Option<Version>, Yield>> {
        let mut head = head;
        loop {
            match self.visible(at, &head, reader) {
                Visible::Known(version) => return Ok(Ok(version)),
                Visible::Older => {
                    return match self.older(at, partition, key, reader).await? {
                        Ok(version) => Ok(Ok(version)),
                        Err(again) => {
                            head = again;
                            continue;
                        }
                    };
                }
                Visible::Depends(attempt) => {
                    let looks = match reader {
                        Reader::Plain => u32::MAX,
                        Reader::Attempt(me) if me < attempt => VALIDATION_LOOKS,
                        Reader::Attempt(_) => 1,
                    };
                    let Some(verdict) = self.resolve(attempt, looks).await? else {
                        return Ok(Err(Yield));
                    };
                    self.finish_soon(partition, key, attempt, verdict);
                    if let Some(version) = self.with_verdict(at, &head, verdict) {
                        return Ok(Ok(Some(version)));
                    }
                    // With the intent still there it is aborted (`records`).
                    if verdict == Verdict::Aborted && !self.is_credulous() {
                        head = self.read_head(partition, key).await?;
                    }
                    if head.intent_of(attempt).is_some() {
                        head.intent = None;
                    }
                }
            }
        }
    }

    fn visible(&self, at: Timestamp, head: &Record, reader: Reader) -> Visible {
        if let Some(intent) = head.intent.filter(|i| i.may_be_at(at)) {
            match reader {
                Reader::Attempt(me) if me == intent.attempt => {}
                _ => return Visible::Depends(intent.attempt),
            }
        }
        match head.ts <= at {
            true => Visible::Known(head.version()),
            // A row that was new then, as all are that a long scan meets while others insert.
            false if head.previous == Timestamp::ZERO => Visible::Known(None),
            false => Visible::Older,
        }
    }

    /// A key's head as a quorum has it now.
    pub async fn read_head(&self, partition: &Partition, key: &Bytes) -> Result<Record> {
        let select = Select::Rows(vec![key.clone()]);
        head_of(&self.read(partition, select, Consistency::Quorum).await?, key)
    }

    /// The version that an intent brings, if its attempt committed at or below `at`.
    fn with_verdict(&self, at: Timestamp, head: &Record, verdict: Verdict) -> Option<Version> {
        match verdict {
            Verdict::Committed(ts) if ts <= at => {
                Some(Version { ts, value: head.intent_value.clone() })
            }
            _ => None,
        }
    }

    /// Walks from the head to the version at `at`. The head may have changed meanwhile: if
    /// something of it is to be looked at first, it comes back.
    async fn older(
        self: &Arc<Self>,
        at: Timestamp,
        partition: &Partition,
        key: &Bytes,
        reader: Reader,
    ) -> Result<Result<Option<Version>, Record>> {
        for consistency in [Consistency::Quorum, Consistency::Serial, Consistency::Serial] {
            self.check_low(at)?;
            let rows = self.read(partition, Select::Versions(key.clone()), consistency).await?;
            let head = Record::read(rows.iter().find(|r| r.key.kind == Kind::Head))?;
            match self.visible(at, &head, reader) {
                Visible::Known(version) => return Ok(Ok(version)),
                Visible::Depends(_) => return Ok(Err(head)),
                Visible::Older => {}
            }
            if let Some(version) = walk(at, &head, &rows)? {
                return Ok(Ok(version));
            }
        }
        // Not half-learned, so collected: nobody here keeps it.
        self.view().await?;
        self.check()?;
        Err(too_old())
    }

    /// A page of one partition's versions at a snapshot, deletions too, and where it ended.
    pub async fn range_at(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        partition: &Partition,
        bounds: (Bound<Bytes>, Bound<Bytes>),
        reverse: bool,
        limit: usize,
        reader: Reader,
    ) -> Result<Result<RangePage, Yield>> {
        self.await_open(snapshot, |p| p == partition).await?;
        let (start, end) = bounds;
        let select = Select::Range { start, end, reverse, limit };
        let rows = self.read(partition, select, Consistency::Quorum).await?;
        let mut page = RangePage::default();
        let heads = rows.iter().filter(|r| r.key.kind == Kind::Head);
        for row in heads {
            let (key, head) = (&row.key.key, Record::read(Some(row))?);
            match self.version_at(snapshot.at, partition, key, head, reader).await? {
                Ok(version) => page.rows.extend(version.map(|v| (key.clone(), v))),
                Err(held_up) => return Ok(Err(held_up)),
            }
            page.last = Some(key.clone());
            page.read += 1;
        }
        if page.read < limit {
            page.last = None;
        }
        self.check_lease().await?;
        Ok(Ok(page))
    }

    /// A page of a whole space's versions at a snapshot, deletions too, in token order.
    pub async fn ring_at(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        space: SpaceId,
        after: Option<RingPosition>,
        limit: usize,
        reader: Reader,
    ) -> Result<Result<RingVersions, Yield>> {
        let table = Table::Space(space);
        self.await_open(snapshot, |p| p.table == table).await?;
        let (mut attempt, started) = (0, self.time.monotonic());
        let page = loop {
            match self.partitions.ring(table, after.clone(), limit).await {
                Ok(page) => break page,
                Err(failure) if failure.is_final(attempt, self.since(started)) => {
                    return Err(failure.into());
                }
                Err(_) => self.pause(attempt).await,
            }
            attempt += 1;
        };
        let mut found = RingVersions { rows: Vec::new(), next: page.next };
        let mut versions = stream::iter(page.rows)
            .map(async |(pk, row)| {
                let partition = Partition { table, key: pk };
                let head = Record::read(Some(&row))?;
                let key = row.key.key;
                let version = self.version_at(snapshot.at, &partition, &key, head, reader).await?;
                Ok::<_, Error>(version.map(|version| (partition.key, key, version)))
            })
            .buffered(ROWS_AT_ONCE);
        while let Some(row) = versions.try_next().await? {
            match row {
                Ok((partition, key, Some(version))) => found.rows.push((partition, key, version)),
                Ok((_, _, None)) => {}
                Err(held_up) => return Ok(Err(held_up)),
            }
        }
        self.check_lease().await?;
        Ok(Ok(found))
    }

    /// Whether anything in a range has a version above `since` at a snapshot.
    pub async fn range_changed(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        range: &crate::kv::KeyRange,
        since: Timestamp,
        reader: Reader,
    ) -> Result<Result<bool, Yield>> {
        if let Some((partition, mut start, end)) = within_partition(range) {
            loop {
                let bounds = (start.clone(), end.clone());
                let page = self
                    .range_at(snapshot, &partition, bounds, false, super::PAGE_ROWS, reader)
                    .await?;
                let Ok(page) = page else { return Ok(Err(Yield)) };
                if page.rows.iter().any(|(_, v)| v.ts > since) {
                    return Ok(Ok(true));
                }
                match page.last {
                    Some(last) => start = Bound::Excluded(last),
                    None => return Ok(Ok(false)),
                }
            }
        }
        let mut after = None;
        loop {
            let page = self.ring_at(snapshot, range.space, after, super::PAGE_ROWS, reader).await?;
            let Ok(page) = page else { return Ok(Err(Yield)) };
            let newer = |(pk, ck, v): &(Bytes, Bytes, Version)| {
                v.ts > since && range.contains(&key_at(range.space, pk, ck))
            };
            if page.rows.iter().any(newer) {
                return Ok(Ok(true));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(Ok(false)),
            }
        }
    }
}

/// A page of one partition.
#[derive(Default)]
pub struct RangePage {
    /// Clustering keys and versions.
    pub rows: Vec<(Bytes, Version)>,
    /// Where to go on; none: that was all.
    pub last: Option<Bytes>,
    read: usize,
}

/// A page of a space.
pub struct RingVersions {
    /// Partition keys, clustering keys and versions.
    pub rows: Vec<(Bytes, Bytes, Version)>,
    /// Where to go on.
    pub next: Option<RingPosition>,
}

/// Follows the links from a head to the version at `at`. Outer none: a link leads nowhere.
fn walk(at: Timestamp, head: &Record, rows: &[Row]) -> Result<Option<Option<Version>>> {
    let mut wanted = head.previous;
    loop {
        if wanted == Timestamp::ZERO {
            return Ok(Some(None));
        }
        let row = rows.iter().find(|r| {
            r.key.kind == Kind::History && r.key.version == wanted.0 && r.get(Column::Ts).is_some()
        });
        let Some(row) = row else { return Ok(None) };
        let record = Record::read(Some(row))?;
        if record.ts <= at {
            return Ok(Some(record.version()));
        }
        wanted = record.previous;
    }
}

/// The partition in which a range lies, with its bounds there, if it lies in one.
pub fn within_partition(
    range: &crate::kv::KeyRange,
) -> Option<(Partition, Bound<Bytes>, Bound<Bytes>)> {
    let len = usize::from(range.partition_len?);
    let bytes = |bound: &Bound<Bytes>| match bound {
        Bound::Included(b) | Bound::Excluded(b) => Some(b.clone()),
        Bound::Unbounded => None,
    };
    let start = bytes(&range.start)?;
    let prefix = start.get(..len)?;
    let partition = place(&crate::kv::Key::new(range.space, prefix, len)).0;
    let inside = |bound: &Bound<Bytes>| match bound {
        Bound::Included(b) => Bound::Included(b.slice(len..)),
        Bound::Excluded(b) => Bound::Excluded(b.slice(len..)),
        Bound::Unbounded => Bound::Unbounded,
    };
    let end = match bytes(&range.end) {
        Some(end) if end.get(..len) == Some(prefix) => inside(&range.end),
        // The end of all keys with this prefix.
        Some(end) if crate::kv::prefix_end(prefix).is_some_and(|p| p == end.as_ref()) => {
            match range.end {
                Bound::Excluded(_) => Bound::Unbounded,
                _ => return None,
            }
        }
        None if crate::kv::prefix_end(prefix).is_none() => Bound::Unbounded,
        _ => return None,
    };
    Some((partition, inside(&range.start), end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::KeyRange;

    #[test]
    fn ranges_of_one_partition_are_found() {
        let space = SpaceId(5);
        let prefix = |bytes: &'static [u8], len| {
            within_partition(&KeyRange::prefix(space, Bytes::from_static(bytes), Some(len)))
        };
        let (partition, start, end) = prefix(b"ab", 2).unwrap();
        assert_eq!(partition.key.as_ref(), b"\x01ab");
        assert_eq!((start, end), (Bound::Included(Bytes::new()), Bound::Unbounded));
        let (_, start, end) = prefix(b"abc", 2).unwrap();
        let bytes = Bytes::from_static;
        assert_eq!((start, end), (Bound::Included(bytes(b"c")), Bound::Excluded(bytes(b"d"))));
        assert!(prefix(b"\xff\xff", 2).is_some());
        assert!(within_partition(&KeyRange::all(space)).is_none());
        let two = KeyRange {
            space,
            start: Bound::Included(bytes(b"ab")),
            end: Bound::Excluded(bytes(b"ad")),
            partition_len: Some(2),
        };
        assert!(within_partition(&two).is_none());
    }
}
