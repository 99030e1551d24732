//! Scans: the store's page with the transaction's own writes merged in.
//!
//! Where the store gives keys in order (over the whole range, or within the one partition it
//! lies in), a page covers the keys up to its last entry, and own writes of that stretch are
//! merged in order. Else own values replace the store's as they come, and own new keys follow
//! after the last page.

use std::ops::Bound;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Isolation, Txn};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::{Continuation, Entry, Key, KeyRange, Page, PageLimit};

/// Where a scan stands between two pages.
struct Position {
    /// The own keys up to here (in the scan's direction) are done with: a tail.
    after: Option<Bytes>,
    rest: Rest,
}

/// What of the store's range is left.
enum Rest {
    /// Everything after `after`.
    After,
    /// What the store's own continuation says.
    Store(Bytes),
    /// Nothing; own new keys remain.
    OwnOnly,
}

impl Position {
    fn encode(&self) -> Continuation {
        let (tag, store): (u8, &[u8]) = match &self.rest {
            Rest::After => (0, &[]),
            Rest::Store(next) => (1, next),
            Rest::OwnOnly => (2, &[]),
        };
        let after = self.after.as_deref();
        let mut bytes = BytesMut::with_capacity(6 + after.map_or(0, <[u8]>::len) + store.len());
        bytes.put_u8(tag);
        bytes.put_u8(u8::from(after.is_some()));
        bytes.put_u32(after.map_or(0, <[u8]>::len) as u32);
        bytes.put_slice(after.unwrap_or_default());
        bytes.put_slice(store);
        Continuation(bytes.freeze())
    }

    fn decode(from: Option<Continuation>) -> Result<Position> {
        let Some(Continuation(bytes)) = from else {
            return Ok(Position { after: None, rest: Rest::After });
        };
        let corrupt = || Error::internal("a continuation that no scan gave");
        let [tag, has_after, a, b, c, d, ..] = bytes[..] else { return Err(corrupt()) };
        let end = 6 + u32::from_be_bytes([a, b, c, d]) as usize;
        if end > bytes.len() {
            return Err(corrupt());
        }
        let after = (has_after != 0).then(|| bytes.slice(6..end));
        let rest = match tag {
            0 => Rest::After,
            1 => Rest::Store(bytes.slice(end..)),
            2 => Rest::OwnOnly,
            _ => return Err(corrupt()),
        };
        Ok(Position { after, rest })
    }
}

impl Txn {
    /// A page of the live entries of `range` as the running statement sees them; the
    /// transaction's own have timestamp zero. A page may be empty and still have a next one.
    pub async fn scan(
        &mut self,
        range: &KeyRange,
        reverse: bool,
        limit: PageLimit,
        from: Option<Continuation>,
    ) -> Result<Page> {
        // A scan served from memory never waits, so it gives others their turn here.
        tokio::task::coop::consume_budget().await;
        let position = Position::decode(from)?;
        let capabilities = self.store().capabilities();
        let ordered = capabilities.ordered || range.partition_len.is_some();
        if let Rest::OwnOnly = position.rest {
            return self.own_tail(range, reverse, limit, position.after).await;
        }
        let at = self.ensure_snapshot().await?;
        let left = narrowed(range, reverse, position.after.as_ref());
        let page = match position.rest {
            Rest::Store(next) => {
                self.store().scan(range, at, reverse, limit, Some(Continuation(next))).await?
            }
            _ => self.store().scan(&left, at, reverse, limit, None).await?,
        };
        let last = page.entries.last().map(|e| tail(&e.key));
        let covered = match (&page.next, &last) {
            (None, _) => Some(left.clone()),
            (Some(_), Some(last)) => Some(cut(&left, reverse, last)),
            (Some(_), None) => None,
        };
        if self.options.isolation == Isolation::Serializable {
            let read = if ordered { covered.clone() } else { Some(left.clone()) };
            if let Some(read) = read {
                self.reads.range(read);
            }
        }
        let after = last.or(position.after);
        if !self.buffer.touches(&left) {
            let next = page.next.map(|n| Position { after, rest: Rest::Store(n.0) }.encode());
            return Ok(Page { entries: page.entries, next });
        }
        if ordered {
            return Ok(self.merge(page, covered, reverse, limit, after));
        }
        let rest = page.next.map_or(Rest::OwnOnly, |next| Rest::Store(next.0));
        let entries = page.entries.into_iter().filter_map(|e| self.overlay(e)).collect();
        Ok(Page { entries, next: Some(Position { after: None, rest }.encode()) })
    }

    /// Merges own writes of the stretch a page covers into it.
    fn merge(
        &self,
        page: Page,
        covered: Option<KeyRange>,
        reverse: bool,
        limit: PageLimit,
        after: Option<Bytes>,
    ) -> Page {
        let Some(covered) = covered else {
            let next = page.next.map(|n| Position { after, rest: Rest::Store(n.0) }.encode());
            return Page { entries: page.entries, next };
        };
        let mut own = self.buffer.range(&covered, self.command, reverse).peekable();
        let mut stored = page.entries.into_iter().peekable();
        let mut entries = Vec::with_capacity(stored.len());
        let mut bytes = 0;
        loop {
            let own_first = match (own.peek(), stored.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((key, _)), Some(entry)) => {
                    if *key == entry.key {
                        stored.next();
                        true
                    } else {
                        (*key < entry.key) != reverse
                    }
                }
            };
            let entry = if own_first { own.next().and_then(own_entry) } else { stored.next() };
            let Some(entry) = entry else { continue };
            bytes += entry.key.bytes().len() + entry.value.len();
            entries.push(entry);
            let full = entries.len() >= limit.rows_max || bytes >= limit.bytes_max;
            if full && (own.peek().is_some() || stored.peek().is_some()) {
                let after = entries.last().map(|e: &Entry| tail(&e.key));
                return Page {
                    entries,
                    next: Some(Position { after, rest: Rest::After }.encode()),
                };
            }
        }
        let next = page.next.map(|n| Position { after, rest: Rest::Store(n.0) }.encode());
        Page { entries, next }
    }

    /// An entry of the store with the transaction's own write in its place.
    fn overlay(&self, entry: Entry) -> Option<Entry> {
        match self.buffer.visible(&entry.key, self.command) {
            None => Some(entry),
            Some(value) => own_entry((entry.key, value)),
        }
    }

    /// Own keys that the store does not have, after a scan without an order.
    async fn own_tail(
        &mut self,
        range: &KeyRange,
        reverse: bool,
        limit: PageLimit,
        after: Option<Bytes>,
    ) -> Result<Page> {
        let at = self.ensure_snapshot().await?;
        let left = narrowed(range, reverse, after.as_ref());
        let own = self.buffer.range(&left, self.command, reverse);
        let own: Vec<Entry> = own.filter_map(own_entry).take(limit.rows_max).collect();
        let keys: Vec<Key> = own.iter().map(|e| e.key.clone()).collect();
        let stored = self.store().get_many(&keys, at).await?;
        let next = (own.len() == limit.rows_max).then(|| {
            let after = keys.last().map(tail);
            Position { after, rest: Rest::OwnOnly }.encode()
        });
        let is_new = |stored: Option<crate::kv::Version>| stored.is_none_or(|v| v.value.is_none());
        let entries =
            own.into_iter().zip(stored).filter_map(|(e, s)| is_new(s).then_some(e)).collect();
        Ok(Page { entries, next })
    }
}

fn own_entry((key, value): (Key, Option<Bytes>)) -> Option<Entry> {
    value.map(|value| Entry { key, ts: Timestamp::ZERO, value })
}

fn tail(key: &Key) -> Bytes {
    key.bytes().slice(Key::SPACE_LEN..)
}

/// What of a range is left after a key.
fn narrowed(range: &KeyRange, reverse: bool, after: Option<&Bytes>) -> KeyRange {
    let mut left = range.clone();
    if let Some(after) = after {
        let bound = Bound::Excluded(after.clone());
        *if reverse { &mut left.end } else { &mut left.start } = bound;
    }
    left
}

/// A range up to a key, that key included.
fn cut(range: &KeyRange, reverse: bool, last: &Bytes) -> KeyRange {
    let mut cut = range.clone();
    let bound = Bound::Included(last.clone());
    *if reverse { &mut cut.start } else { &mut cut.end } = bound;
    cut
}
