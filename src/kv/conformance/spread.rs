//! A store seen with every key in a partition of its own: no commit of two keys, and no range,
//! then lies in one partition.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::*;
use crate::error::Result;

/// The store below, with all of a key as its partition part.
pub struct Spread {
    below: SharedStore,
    /// How long the partition parts of keys were before.
    lengths: Mutex<HashMap<Bytes, usize>>,
}

impl Spread {
    pub fn over(below: SharedStore) -> SharedStore {
        Arc::new(Spread { below, lengths: Mutex::default() })
    }

    fn down(&self, key: &Key) -> Key {
        let len = key.partition_len();
        self.lengths.lock().insert(key.bytes().clone(), len);
        Key::from_bytes(key.bytes().clone(), key.tail().len())
    }

    fn up(&self, key: &Key) -> Key {
        let len = self.lengths.lock().get(key.bytes()).copied();
        Key::from_bytes(key.bytes().clone(), len.unwrap_or(key.partition_len()))
    }

    fn keys(&self, keys: &[Key]) -> Vec<Key> {
        keys.iter().map(|key| self.down(key)).collect()
    }

    fn range(range: &KeyRange) -> KeyRange {
        KeyRange { partition_len: None, ..range.clone() }
    }
}

#[async_trait]
impl Store for Spread {
    fn capabilities(&self) -> Capabilities {
        self.below.capabilities()
    }

    async fn snapshot(&self) -> Result<Hold> {
        self.below.snapshot().await
    }

    async fn resolved(&self) -> Result<Timestamp> {
        self.below.resolved().await
    }

    fn oldest(&self) -> Timestamp {
        self.below.oldest()
    }

    fn hold(&self, at: Timestamp) -> Result<Hold> {
        self.below.hold(at)
    }

    async fn get(&self, key: &Key, at: Timestamp) -> Result<Option<Version>> {
        self.below.get(&self.down(key), at).await
    }

    async fn get_many(&self, keys: &[Key], at: Timestamp) -> Result<Vec<Option<Version>>> {
        self.below.get_many(&self.keys(keys), at).await
    }

    async fn scan(
        &self,
        range: &KeyRange,
        at: Timestamp,
        reverse: bool,
        limit: PageLimit,
        from: Option<Continuation>,
    ) -> Result<Page> {
        let mut page = self.below.scan(&Self::range(range), at, reverse, limit, from).await?;
        page.entries.iter_mut().for_each(|e| e.key = self.up(&e.key));
        Ok(page)
    }

    async fn lock(&self, request: LockRequest) -> Result<Vec<Option<Locked>>> {
        let keys = self.keys(&request.keys);
        self.below.lock(LockRequest { keys, ..request }).await
    }

    async fn unlock(&self, txn: TxnId, keys: Option<&[Key]>) -> Result<()> {
        let keys = keys.map(|keys| self.keys(keys));
        self.below.unlock(txn, keys.as_deref()).await
    }

    fn abandon(&self, txn: TxnId) {
        self.below.abandon(txn);
    }

    async fn commit(&self, mut commit: Commit) -> Result<CommitOutcome> {
        commit.writes.iter_mut().for_each(|w| w.key = self.down(&w.key));
        commit.reads.iter_mut().for_each(|r| r.key = self.down(&r.key));
        commit.ranges.iter_mut().for_each(|r| r.range = Self::range(&r.range));
        self.below.commit(commit).await
    }

    fn load(&self, load: Load) -> Loading {
        let rows = load.rows.iter().map(|(key, value)| (self.down(key), value.clone()));
        let rows = Arc::new(rows.collect());
        self.below.load(Load { rows, ..load })
    }

    async fn changes(
        &self,
        space: SpaceId,
        cursor: &Cursor,
        keys_max: usize,
    ) -> Result<ChangePage> {
        let mut page = self.below.changes(space, cursor, keys_max).await?;
        page.keys.iter_mut().for_each(|(key, _)| *key = self.up(key));
        Ok(page)
    }

    async fn cursor_at(&self, space: SpaceId, at: Timestamp) -> Result<Cursor> {
        self.below.cursor_at(space, at).await
    }

    async fn trim_changes(&self, space: SpaceId, cursor: &Cursor) -> Result<()> {
        self.below.trim_changes(space, cursor).await
    }

    fn segments(&self, range: &KeyRange, at: Timestamp) -> Result<Box<dyn Segments>> {
        self.below.segments(&Self::range(range), at)
    }

    async fn drop_space(&self, space: SpaceId) -> Result<()> {
        self.below.drop_space(space).await
    }

    async fn estimate(&self, range: &KeyRange) -> Result<Estimate> {
        self.below.estimate(&Self::range(range)).await
    }

    async fn close(&self) -> Result<()> {
        self.below.close().await
    }
}
