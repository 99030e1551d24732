//! COPY … FROM STDIN: data of the client into a table.
//!
//! Rows are read from the data as it comes and go on in batches of PostgreSQL's size: each is
//! checked as a row of an INSERT would be, and a batch is stored together, its keys locked and
//! looked up in one request. All rows commit or fail together, with the transaction; until then
//! they take memory: 6 million rows of TPC-H's lineitem took 1.8 GB, some 160 bytes a row beside
//! its data. `txn::WRITE_BYTES_MAX` limits it, on a cluster `txn::REMOTE_WRITE_BYTES_MAX` (54000
//! beyond); rows of a table that the transaction has made go to a cluster as they come.

use std::sync::Arc;

use bytes::BytesMut;

use super::Session;
use super::client::{Client, CopyInput};
use super::copy::{CopyFormat, CopyRow, Reader};
use super::progress::{CopyProgress, Shown};
use super::rows::Running;
use super::transfer::{copied_columns, copy_columns, options};
use crate::catalog::quote_ident;
use crate::error::{Error, Result, SqlState};
use crate::exec::CopyPlace;
use crate::kv::LockMode;
use crate::plan::Plan;
use crate::sql::ast::{self, QualifiedName};
use crate::sql::bind::Binder;
use crate::sql::statement::{Copy, CopyTarget};
use crate::sql::{self, ParsedStatement, StatementKind};
use crate::types::descriptor::TableDescriptor;
use crate::types::{Row, SqlType};

/// Rows of a batch, as PostgreSQL's `MAX_BUFFERED_TUPLES`: which error comes first depends on it.
pub(super) const BATCH_ROWS: usize = 1000;

/// Bytes of data of a batch, as PostgreSQL's `MAX_BUFFERED_BYTES`.
const BATCH_BYTES: usize = 65_535;

/// Data is taken from the client until there are so many bytes of it.
const INPUT_BYTES: usize = 64 << 10;

/// Rows on their way into a table.
struct Loader {
    plan: Arc<Plan>,
    reader: Reader,
    batch: Vec<CopyRow>,
    /// Bytes of the batch's data.
    bytes: usize,
    count: u64,
    shown: Shown,
}

impl Session {
    /// Runs COPY FROM; how many rows there were.
    pub(super) async fn copy_from(
        &mut self,
        client: &mut impl Client,
        parsed: &ParsedStatement,
        copy: &Copy,
    ) -> Result<u64> {
        let CopyTarget::Table(name, columns) = &copy.target else {
            return Err(Error::internal("COPY FROM without a table"));
        };
        self.check_read_write("COPY FROM")?;
        self.copied_table(name, &parsed.text, true)?;
        let table = self.locked_target(name, &parsed.text).await?;
        let names = copied_columns(&table, columns.as_deref())?;
        let options = options(&copy.options, &names, Some(&table), true)?;
        let columns = copy_columns(&table, &names);
        let format = self.environment.info(&mut self.settings).format.clone();
        let binary = options.format == CopyFormat::Binary;
        let types: Vec<SqlType> = columns.iter().map(|column| column.ty).collect();
        let plan = self.insert_plan(&table, (&names, &types), parsed, copy.filter.as_ref())?;
        client.copy_in(binary, columns.len()).await?;
        let reader = Reader::new(options, &*table.name, columns, format, self.statement_time);
        let shown = Shown::new(&self.backend, CopyProgress::new(table.id.0, true, false));
        let mut loader = Loader { plan, reader, batch: Vec::new(), bytes: 0, count: 0, shown };
        let mut data = BytesMut::new();
        loop {
            let input = client.copy_input(&mut data).await?;
            if data.len() >= INPUT_BYTES || input != CopyInput::Data {
                loader.reader.feed(&data)?;
                loader.shown.progress.add_bytes(data.len());
                data.clear();
                self.load(&mut loader, input == CopyInput::Done).await?;
            }
            match input {
                CopyInput::Data => {}
                CopyInput::Done => break,
                CopyInput::Failed(why) => {
                    let message = format!("COPY from stdin failed: {why}");
                    return Err(Error::new(SqlState::QUERY_CANCELED, message));
                }
            }
        }
        self.store_batch(&mut loader, true).await?;
        self.end_loads().await?;
        Ok(loader.count)
    }

    /// Takes what rows there are in the data, and stores the batches that are full.
    async fn load(&mut self, loader: &mut Loader, last: bool) -> Result<()> {
        loop {
            match loader.reader.next(last) {
                Ok(Some(row)) => {
                    loader.bytes += row.text.len();
                    loader.batch.push(row);
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    // Rows before it were checked when they came.
                    self.store_batch(loader, false).await?;
                    return Err(error);
                }
            }
            if loader.batch.len() >= BATCH_ROWS || loader.bytes >= BATCH_BYTES {
                self.store_batch(loader, true).await?;
            }
        }
    }

    /// Checks the rows of the batch and, if `store`, puts them into the table.
    async fn store_batch(&mut self, loader: &mut Loader, store: bool) -> Result<()> {
        loader.bytes = 0;
        let batch = std::mem::take(&mut loader.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(batch.len());
        let mut places = Vec::with_capacity(batch.len());
        for CopyRow { values, line, text } in batch {
            rows.push(values);
            places.push((line, text));
        }
        match self.store_rows(&loader.plan, rows, store).await {
            Ok(count) => {
                loader.count += count;
                loader.shown.progress.add_rows(count, places.len() as u64 - count);
                Ok(())
            }
            Err((error, place)) => Err(match place {
                Some(CopyPlace::Checking(at)) => {
                    let (line, text) = &places[at];
                    loader.reader.context(error, *line, Some(text))
                }
                Some(CopyPlace::Storing(at)) => {
                    let (line, _) = &places[at.min(places.len() - 1)];
                    loader.reader.context(error, *line, None)
                }
                None => error,
            }),
        }
    }

    /// Checks rows and, if `store`, puts them into the table; how many. An error comes with how
    /// far that was.
    pub(super) async fn store_rows(
        &mut self,
        plan: &Arc<Plan>,
        rows: Vec<Row>,
        store: bool,
    ) -> Result<u64, (Error, Option<CopyPlace>)> {
        let running = Running::copying(plan.clone(), self.schema(), rows, store);
        let mut running = running.map_err(|e| (e, None))?;
        match self.next_batch(&mut running, &[], BATCH_ROWS).await {
            Ok(_) => Ok(running.affected()),
            Err(error) => Err((error, running.copy_place())),
        }
    }

    /// Waits until rows that were loaded are in the store.
    pub(super) async fn end_loads(&mut self) -> Result<()> {
        let txn = self.transaction.as_mut().and_then(|transaction| transaction.txn.as_mut());
        match txn {
            Some(txn) => self.backend.interruptible(txn.end_loads()).await,
            None => Ok(()),
        }
    }

    /// `INSERT INTO table (columns) VALUES ($1, …)`: what a row's columns go through. The WHERE
    /// stands in COPY itself. `types`: of the values given.
    pub(super) fn insert_plan(
        &mut self,
        table: &TableDescriptor,
        (names, types): (&[String], &[SqlType]),
        copy: &ParsedStatement,
        filter: Option<&ast::Expr>,
    ) -> Result<Arc<Plan>> {
        let quoted: Vec<_> = names.iter().map(|name| quote_ident(name)).collect();
        let parameters: Vec<String> = (1..=names.len()).map(|at| format!("${at}")).collect();
        let (schema, name) = (quote_ident(&table.schema), quote_ident(&table.name));
        let text = if names.is_empty() {
            format!("INSERT INTO {schema}.{name} DEFAULT VALUES")
        } else {
            let (columns, values) = (quoted.join(","), parameters.join(","));
            // COPY gives identity columns their values, also those GENERATED ALWAYS.
            format!(
                "INSERT INTO {schema}.{name} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values})"
            )
        };
        let declared = types.iter().copied().map(Some).collect();
        let statement = sql::parse(&text)?.pop();
        let Some(ParsedStatement { kind: StatementKind::Insert(insert), text, .. }) = statement
        else {
            return Err(Error::internal("an INSERT parsed to something else"));
        };
        let schema = self.schema();
        let eval = self.binding_context(&schema);
        let mut binder = Binder::new(schema.as_ref(), &eval, text, declared);
        let bound = binder.bind_copy(&insert, filter, copy.text.clone())?;
        let (plan, _) = self.plan_bound(bound, &eval, false)?;
        Ok(Arc::new(plan))
    }

    /// The table that COPY FROM names, locked as writers lock it.
    pub(super) async fn locked_target(
        &mut self,
        name: &QualifiedName,
        text: &Arc<str>,
    ) -> Result<Arc<TableDescriptor>> {
        loop {
            let table = self.copied_table(name, text, true)?;
            self.lock_tables(&[(table.clone(), LockMode::Share, false)]).await?;
            let now = self.copied_table(name, text, true)?;
            if (now.id, now.version) == (table.id, table.version) {
                return Ok(now);
            }
        }
    }
}
