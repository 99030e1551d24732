//! Reading stored tables and catalog relations.
//!
//! A scan first turns its access into keys or ranges of keys ([`keys`]), in the index's order,
//! then reads them page by page: rows under the primary key directly, rows under a secondary
//! index through the entries' row keys, a page of them in one request.

mod keys;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;

pub use self::keys::given_values;
use self::keys::{Target, targets};
use super::context::{ExecContext, RowStream};
use super::node::{Node, Ready, RowBatch};
use crate::error::Result;
use crate::kv::{Continuation, Key, KeyRange, PageLimit};
use crate::plan::node::{ScanPlan, VirtualPlan};
use crate::types::{Datum, Row};

/// Bytes of keys and values in one page.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Keys asked for at once.
const KEYS_MAX: usize = 1024;

/// The keys of the rows that a scan of the primary key by whole keys names.
pub async fn row_keys(ctx: &mut ExecContext<'_>, scan: &ScanPlan) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    for target in targets(ctx, scan, &[]).await? {
        if let Target::Point(key) = target {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// All rows of a scan whose keys are computed from a left row.
async fn fetch(
    ctx: &mut ExecContext<'_>,
    plan: &Arc<ScanPlan>,
    left: &[Datum],
) -> Result<Vec<Row>> {
    let mut reader = Reader::new(Arc::clone(plan), targets(ctx, plan, left).await?);
    let mut rows = Vec::new();
    while let Some(batch) = reader.next(ctx, super::BATCH_ROWS_MAX).await? {
        rows.extend(batch);
    }
    Ok(rows)
}

/// The same for several left rows: where each has keys only, all are asked for at once.
pub async fn fetch_all(
    ctx: &mut ExecContext<'_>,
    plan: &Arc<ScanPlan>,
    lefts: &[Row],
) -> Result<Vec<Vec<Row>>> {
    let mut found = Vec::with_capacity(lefts.len());
    if !plan.access.point || plan.access.index.is_some() {
        for left in lefts {
            found.push(fetch(ctx, plan, left).await?);
        }
        return Ok(found);
    }
    let mut wanted = Vec::with_capacity(lefts.len());
    for left in lefts {
        let mut keys = Vec::new();
        for target in targets(ctx, plan, left).await? {
            if let Target::Point(key) = target {
                keys.push(key);
            }
        }
        wanted.push(keys);
    }
    let mut keys: Vec<Key> = wanted.iter().flatten().cloned().collect();
    keys.sort_unstable();
    keys.dedup();
    let mut values = HashMap::with_capacity(keys.len());
    for some in keys.chunks(KEYS_MAX) {
        let stored = get(ctx, some.to_vec()).await?;
        ctx.spend(stored.len()).await?;
        values.extend(stored);
    }
    let reader = Reader::new(Arc::clone(plan), Vec::new());
    for keys in wanted {
        let stored = |key: Key| values.get(&key).cloned().map(|value| (key, value));
        let stored: Vec<(Key, Bytes)> = keys.into_iter().filter_map(stored).collect();
        found.push(reader.decode(ctx, stored).await?);
    }
    Ok(found)
}

/// See [`ScanPlan`].
pub struct ScanNode {
    plan: Arc<ScanPlan>,
    reader: Option<Reader>,
    columns: Option<ColumnReader>,
}

/// Reads the rows of a columnar view.
struct ColumnReader {
    rows: RowStream,
    ready: Ready,
}

impl ScanNode {
    /// One that has not begun.
    pub fn new(plan: Arc<ScanPlan>) -> ScanNode {
        ScanNode { plan, reader: None, columns: None }
    }
}

#[async_trait]
impl Node for ScanNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if let Some(columns) = &self.plan.columnar {
            if self.columns.is_none() {
                let rows = ctx.virtuals.columnar(ctx.txn, &self.plan.table, columns).await?;
                self.columns = Some(ColumnReader { rows, ready: Ready::default() });
            }
            let Some(reader) = &mut self.columns else { return Ok(None) };
            return reader.next(ctx, &self.plan, max).await;
        }
        if self.reader.is_none() {
            let targets = targets(ctx, &self.plan, &[]).await?;
            self.reader = Some(Reader::new(Arc::clone(&self.plan), targets));
        }
        match &mut self.reader {
            Some(reader) => reader.next(ctx, max).await,
            None => Ok(None),
        }
    }

    fn is_over(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| {
            reader.targets.is_empty() && reader.open.is_none() && reader.ready.is_empty()
        })
    }
}

impl ColumnReader {
    async fn next(
        &mut self,
        ctx: &mut ExecContext<'_>,
        plan: &ScanPlan,
        max: usize,
    ) -> Result<Option<RowBatch>> {
        loop {
            if let Some(batch) = self.ready.take(max) {
                return Ok(Some(batch));
            }
            ctx.check_cancel()?;
            let Some(rows) = self.rows.next().await else { return Ok(None) };
            let mut rows = rows?;
            if !plan.filter.is_empty() {
                let mut kept = Vec::with_capacity(rows.len());
                for row in rows {
                    if ctx.all_hold(&plan.filter, &row, &[]).await? {
                        kept.push(row);
                    }
                }
                rows = kept;
            }
            self.ready = Ready::new(rows);
        }
    }
}

/// Reads the rows of keys and ranges.
struct Reader {
    plan: Arc<ScanPlan>,
    targets: VecDeque<Target>,
    /// The range that is being read, and where it goes on.
    open: Option<(KeyRange, Option<Continuation>)>,
    ready: Ready,
}

impl Reader {
    fn new(plan: Arc<ScanPlan>, mut targets: Vec<Target>) -> Reader {
        if plan.reverse {
            targets.reverse();
        }
        Reader { plan, targets: targets.into(), open: None, ready: Ready::default() }
    }

    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        loop {
            if let Some(batch) = self.ready.take(max) {
                return Ok(Some(batch));
            }
            let Some(found) = self.page(ctx, max).await? else { return Ok(None) };
            ctx.spend(found.len()).await?;
            let rows = self.decode(ctx, found).await?;
            self.ready = Ready::new(rows);
        }
    }

    /// Keys and values of the next stored rows; none at the end.
    async fn page(
        &mut self,
        ctx: &mut ExecContext<'_>,
        max: usize,
    ) -> Result<Option<Vec<(Key, Bytes)>>> {
        if let Some((range, from)) = self.open.take() {
            return self.range_page(ctx, range, from, max).await.map(Some);
        }
        match self.targets.pop_front() {
            None => Ok(None),
            Some(Target::Range(range)) => self.range_page(ctx, range, None, max).await.map(Some),
            Some(Target::Point(key)) => {
                let mut keys = vec![key];
                while keys.len() < KEYS_MAX {
                    match self.targets.pop_front() {
                        Some(Target::Point(key)) => keys.push(key),
                        Some(other) => {
                            self.targets.push_front(other);
                            break;
                        }
                        None => break,
                    }
                }
                let found = get(ctx, keys).await?;
                self.base_rows(ctx, found).await.map(Some)
            }
        }
    }

    async fn range_page(
        &mut self,
        ctx: &mut ExecContext<'_>,
        range: KeyRange,
        from: Option<Continuation>,
        max: usize,
    ) -> Result<Vec<(Key, Bytes)>> {
        // A filter lets few through: reading a little more at once is cheaper than once more.
        let rows_max = if self.plan.filter.is_empty() { max } else { max.max(64) };
        let limit = PageLimit { rows_max, bytes_max: PAGE_BYTES_MAX };
        let page = ctx.txn.scan(&range, self.plan.reverse, limit, from).await?;
        ctx.state.store.requests += 1;
        ctx.state.store.scanned += page.entries.len() as u64;
        if page.next.is_some() {
            self.open = Some((range, page.next));
        }
        let found = page.entries.into_iter().map(|e| (e.key, e.value)).collect();
        self.base_rows(ctx, found).await
    }

    /// The rows that entries of a secondary index point to; rows themselves as they are.
    async fn base_rows(
        &self,
        ctx: &mut ExecContext<'_>,
        found: Vec<(Key, Bytes)>,
    ) -> Result<Vec<(Key, Bytes)>> {
        let Some(index) = &self.plan.access.index else { return Ok(found) };
        let mut keys = Vec::with_capacity(found.len());
        for (key, value) in &found {
            let tail = index.codec.row_key_tail(key, value)?;
            keys.push(self.plan.codec.key_from_tail(tail)?);
        }
        get(ctx, keys).await
    }

    async fn decode(
        &self,
        ctx: &mut ExecContext<'_>,
        found: Vec<(Key, Bytes)>,
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::with_capacity(found.len());
        for (key, value) in found {
            let mut row = self.plan.decoder.decode(&key, &value)?;
            if !self.plan.filter.is_empty() && !ctx.all_hold(&self.plan.filter, &row, &[]).await? {
                continue;
            }
            if self.plan.row_key {
                row.push(Datum::Bytea(key.bytes().slice(Key::SPACE_LEN..)));
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// The live ones of some keys, in their order.
async fn get(ctx: &mut ExecContext<'_>, keys: Vec<Key>) -> Result<Vec<(Key, Bytes)>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    ctx.state.store.requests += 1;
    ctx.state.store.gets += keys.len() as u64;
    if let [key] = keys.as_slice() {
        let found = ctx.txn.get(key).await?;
        return Ok(found.map(|v| (key.clone(), v.value)).into_iter().collect());
    }
    let found = ctx.txn.get_many(&keys).await?;
    Ok(keys.into_iter().zip(found).filter_map(|(k, v)| Some((k, v?.value))).collect())
}

/// See [`VirtualPlan`].
pub struct VirtualNode {
    plan: Arc<VirtualPlan>,
    ready: Option<Ready>,
}

impl VirtualNode {
    /// One that has not begun.
    pub fn new(plan: Arc<VirtualPlan>) -> VirtualNode {
        VirtualNode { plan, ready: None }
    }
}

#[async_trait]
impl Node for VirtualNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if self.ready.is_none() {
            let mut rows = Vec::new();
            for all in ctx.virtuals.rows(&self.plan.table)? {
                ctx.spend(1).await?;
                let row: Row = self.plan.columns.iter().map(|at| all[*at].clone()).collect();
                if ctx.all_hold(&self.plan.filter, &row, &[]).await? {
                    rows.push(row);
                }
            }
            self.ready = Some(Ready::new(rows));
        }
        Ok(self.ready.as_mut().and_then(|r| r.take(max)))
    }
}
