//! Reads a foreign table.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join_all;

use super::{check_isolation, cluster, consistency};
use crate::encoding::cql::read::datum;
use crate::encoding::cql::write::{Edge, edge, key};
use crate::error::Result;
use crate::exec::context::ExecContext;
use crate::exec::node::{Node, Ready, RowBatch};
use crate::exec::scan::given_values;
use crate::kv::foreign::{Page, Request};
use crate::plan::access::KeyPart;
use crate::plan::foreign::{ForeignBound, ForeignPlan};
use crate::types::cql::CqlType;
use crate::types::{Datum, Row};

/// Rows of the first page; later ones have as many as make about [`PAGE_BYTES`].
const PAGE_ROWS_FIRST: usize = 200;
/// Rows of a page at most.
const PAGE_ROWS_MAX: usize = 5_000;
/// Rows of a page for one of several keys that are looked up at once.
const LOOKUP_PAGE_ROWS: usize = 500;
/// Bytes of cells that a page is to have.
const PAGE_BYTES: usize = 1 << 20;
/// Keys whose first pages are asked for at once.
pub const KEYS_AT_ONCE: usize = 16;
/// Fewer rows than a filter is given are not asked for.
const FILTERED_ROWS_MIN: usize = 64;

/// See [`ForeignPlan`].
pub struct ForeignNode {
    plan: Arc<ForeignPlan>,
    reader: Option<Reader>,
}

impl ForeignNode {
    /// One that has not begun.
    pub fn new(plan: Arc<ForeignPlan>) -> ForeignNode {
        ForeignNode { plan, reader: None }
    }
}

#[async_trait]
impl Node for ForeignNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if self.reader.is_none() {
            self.reader = Some(Reader::open(ctx, Arc::clone(&self.plan), &[]).await?);
        }
        match &mut self.reader {
            Some(reader) => reader.next(ctx, max).await,
            None => Ok(None),
        }
    }

    fn is_over(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| {
            reader.requests.is_empty() && reader.open.is_empty() && reader.ready.is_empty()
        })
    }
}

/// Goes through the requests of one scan.
pub(super) struct Reader {
    plan: Arc<ForeignPlan>,
    /// Not sent yet.
    requests: VecDeque<Request>,
    /// Sent: the rest of each.
    open: VecDeque<(Request, Page)>,
    ready: Ready,
    page_rows: usize,
}

impl Reader {
    /// A reader of the rows that the access names, with values of a left row.
    pub(super) async fn open(
        ctx: &mut ExecContext<'_>,
        plan: Arc<ForeignPlan>,
        left: &[Datum],
    ) -> Result<Reader> {
        check_isolation(ctx, &plan.table)?;
        let requests = requests(ctx, &plan, left).await?.into();
        let page_rows = PAGE_ROWS_FIRST;
        Ok(Reader { plan, requests, open: VecDeque::new(), ready: Ready::default(), page_rows })
    }

    pub(super) async fn next(
        &mut self,
        ctx: &mut ExecContext<'_>,
        max: usize,
    ) -> Result<Option<RowBatch>> {
        loop {
            if let Some(batch) = self.ready.take(max) {
                return Ok(Some(batch));
            }
            ctx.check_cancel()?;
            let Some(cells) = self.page(ctx, max).await? else { return Ok(None) };
            let mut rows = Vec::with_capacity(cells.len());
            for row in cells {
                ctx.spend(1).await?;
                let row = decode(&self.plan, &row)?;
                if ctx.all_hold(&self.plan.filter, &row, &[]).await? {
                    rows.push(row);
                }
            }
            self.ready = Ready::new(rows);
        }
    }

    /// The cells of the next rows; none at the end.
    async fn page(
        &mut self,
        ctx: &mut ExecContext<'_>,
        max: usize,
    ) -> Result<Option<Vec<Vec<Option<Bytes>>>>> {
        let store = ctx.txn.store().clone();
        let cluster = cluster(&store)?;
        let wanted = match self.plan.filter.list.is_empty() {
            true => max,
            false => max.max(FILTERED_ROWS_MIN),
        };
        let rows_max = wanted.min(self.page_rows).max(1);
        if self.open.is_empty() {
            let count = self.requests.len().min(KEYS_AT_ONCE).min(wanted.max(1));
            let sent: Vec<Request> = self.requests.drain(..count).collect();
            ctx.state.store.requests += sent.len() as u64;
            let pages = sent.iter().map(|request| cluster.page(request, rows_max, None));
            let pages = try_join_all(pages).await?;
            self.open = sent.into_iter().zip(pages).collect();
        }
        let Some((request, page)) = self.open.pop_front() else { return Ok(None) };
        self.measure(&page);
        ctx.state.store.scanned += page.rows.len() as u64;
        if let Some(next) = page.next {
            // Asked for when the rows before it have been taken: a LIMIT may not want it.
            let rest = Page { rows: Vec::new(), next: Some(next) };
            if page.rows.is_empty() {
                ctx.state.store.requests += 1;
                let found = cluster.page(&request, rows_max, rest.next).await?;
                self.open.push_front((request, found));
            } else {
                self.open.push_front((request, rest));
            }
        }
        Ok(Some(page.rows))
    }

    /// Sets the next page's rows by the size of those of this one.
    fn measure(&mut self, page: &Page) {
        if page.rows.is_empty() {
            return;
        }
        let size = |cell: &Option<Bytes>| cell.as_ref().map_or(0, Bytes::len) + 8;
        let bytes: usize = page.rows.iter().flatten().map(size).sum();
        let each = (bytes / page.rows.len()).max(1);
        self.page_rows = (PAGE_BYTES / each).clamp(1, PAGE_ROWS_MAX);
    }
}

/// The rows that each of some left rows finds, all asked for at once.
pub async fn fetch_all(
    ctx: &mut ExecContext<'_>,
    plan: &Arc<ForeignPlan>,
    lefts: &[Row],
) -> Result<Vec<Vec<Row>>> {
    check_isolation(ctx, &plan.table)?;
    let mut asked: Vec<(usize, Request)> = Vec::new();
    for (at, left) in lefts.iter().enumerate() {
        asked.extend(requests(ctx, plan, left).await?.into_iter().map(|request| (at, request)));
    }
    let store = ctx.txn.store().clone();
    let cluster = cluster(&store)?;
    let mut found = vec![Vec::new(); lefts.len()];
    for some in asked.chunks(KEYS_AT_ONCE) {
        ctx.check_cancel()?;
        ctx.state.store.requests += some.len() as u64;
        let pages = some.iter().map(|(_, request)| cluster.page(request, LOOKUP_PAGE_ROWS, None));
        for ((at, request), mut page) in some.iter().zip(try_join_all(pages).await?) {
            loop {
                ctx.state.store.scanned += page.rows.len() as u64;
                for cells in &page.rows {
                    ctx.spend(1).await?;
                    let row = decode(plan, cells)?;
                    if ctx.all_hold(&plan.filter, &row, &[]).await? {
                        found[*at].push(row);
                    }
                }
                let Some(next) = page.next.take() else { break };
                ctx.state.store.requests += 1;
                page = cluster.page(request, LOOKUP_PAGE_ROWS, Some(next)).await?;
            }
        }
    }
    Ok(found)
}

/// The values of a row's cells.
pub(super) fn decode(plan: &ForeignPlan, cells: &[Option<Bytes>]) -> Result<Row> {
    let columns = plan.columns.iter().zip(cells).take(plan.width);
    let values = columns.map(|((name, ty), cell)| {
        let value = datum(ty, cell.as_ref());
        value.map_err(|e| e.with_context(format!("column \"{name}\" of \"{}\"", plan.table.name)))
    });
    values.collect()
}

/// What a scan asks for: a request for each key, or one for all rows.
pub(super) async fn requests(
    ctx: &mut ExecContext<'_>,
    plan: &ForeignPlan,
    left: &[Datum],
) -> Result<Vec<Request>> {
    let access = &plan.access;
    let mut keys: Vec<Vec<Option<Bytes>>> = vec![Vec::new()];
    for part in &access.parts {
        let alone = access.partition_columns == 1 && keys.iter().all(Vec::is_empty);
        let values = part_values(ctx, &part.values, &part.ty, left, alone).await?;
        let longer = keys.iter().flat_map(|prefix| {
            values.iter().map(|value| {
                let mut key = prefix.clone();
                key.push(Some(value.clone()));
                key
            })
        });
        keys = longer.collect();
    }
    let (mut bounds, mut inclusive) = (Vec::new(), [None, None]);
    for (at, given) in [&access.low, &access.high].into_iter().enumerate() {
        match bound(ctx, given.as_ref(), at == 0, left).await? {
            Edge::Nothing => return Ok(Vec::new()),
            Edge::Open => {}
            Edge::At(bytes, with_it) => {
                inclusive[at] = Some(with_it);
                bounds.push(bytes);
            }
        }
    }
    let text: Arc<str> = plan.text(inclusive[0], inclusive[1]).into();
    let consistency = consistency(&ctx.eval.session);
    let request = |mut values: Vec<Option<Bytes>>| {
        values.extend(bounds.iter().cloned().map(Some));
        Request { table: plan.table.clone(), text: text.clone(), values, consistency }
    };
    Ok(keys.into_iter().map(request).collect())
}

/// The cells that a key column may have, each once; those that no row can have are left out.
async fn part_values(
    ctx: &mut ExecContext<'_>,
    part: &KeyPart,
    ty: &CqlType,
    left: &[Datum],
    alone: bool,
) -> Result<Vec<Bytes>> {
    let values = given_values(ctx, part, left).await?;
    let mut cells: Vec<Bytes> = values.iter().filter_map(|v| key(ty, v, alone)).collect();
    if cells.len() > 1 {
        cells.sort_unstable();
        cells.dedup();
    }
    Ok(cells)
}

async fn bound(
    ctx: &mut ExecContext<'_>,
    given: Option<&ForeignBound>,
    low: bool,
    left: &[Datum],
) -> Result<Edge> {
    let Some(given) = given else { return Ok(Edge::Open) };
    let value = ctx.value(&given.bound.value, left, &[]).await?;
    Ok(edge(&given.ty, &value, low, given.bound.inclusive))
}
