//! COPY … FROM STDIN and TO STDOUT: data between the client and the executor.
//!
//! FROM runs an INSERT of many rows again and again, so that defaults, constraints and indexes are
//! those of any INSERT; the rows of one COPY commit or fail together. TO runs a query.

use std::sync::Arc;

use bytes::BytesMut;

use super::Session;
use super::client::{Client, CopyInput};
use super::copy::{CopyColumn, CopyFormat, CopyOptions, Force, Reader, Writer};
use super::names::Named;
use super::rows::Running;
use super::run::Outcome;
use crate::catalog::quote_ident;
use crate::error::{Error, Result, SqlState};
use crate::exec::RowBatch;
use crate::kv::LockMode;
use crate::plan::Plan;
use crate::sql::ast::{Ident, QualifiedName};
use crate::sql::statement::{
    self, Copy, CopyHeader, CopyOptions as Asked, CopyTarget, StatementKind,
};
use crate::sql::{self, ParsedStatement};
use crate::types::descriptor::{RelationKind, TableDescriptor};
use crate::types::{Datum, Row};

/// Rows that one INSERT takes.
const INSERT_ROWS: usize = 256;

/// Parameters that one INSERT may have.
const INSERT_PARAMETERS_MAX: usize = 32_000;

/// Rows asked of a query at once.
const BATCH_ROWS: usize = 1024;

/// Data is sent in messages of about this size.
const MESSAGE_BYTES: usize = 8 << 10;

/// Where COPY FROM puts its rows.
struct Inserter {
    columns: usize,
    /// For [`Inserter::batch`] rows at once.
    whole: Arc<Plan>,
    batch: usize,
    table: Arc<TableDescriptor>,
    names: Vec<String>,
}

impl Session {
    /// Runs COPY.
    pub(super) async fn copy(
        &mut self,
        client: &mut impl Client,
        parsed: &ParsedStatement,
        copy: &Copy,
    ) -> Result<Outcome> {
        if copy.program || copy.file.is_some() {
            let what = if copy.program { "a program" } else { "a file of the server" };
            return Err(Error::unsupported(format!("COPY with {what}")).with_hint(
                "Use STDIN or STDOUT; psql's \\copy reads and writes the client's files.",
            ));
        }
        if copy.filter.is_some() {
            return Err(Error::unsupported("COPY FROM … WHERE"));
        }
        let rows = if copy.from {
            self.copy_from(client, parsed, copy).await?
        } else {
            self.copy_to(client, parsed, copy).await?
        };
        Ok(Outcome::tag(format!("COPY {rows}")))
    }

    async fn copy_from(
        &mut self,
        client: &mut impl Client,
        parsed: &ParsedStatement,
        copy: &Copy,
    ) -> Result<u64> {
        let CopyTarget::Table(name, columns) = &copy.target else {
            return Err(Error::internal("COPY FROM without a table"));
        };
        self.check_read_write("COPY FROM")?;
        self.copied_table(name, &parsed.text)?;
        let table = self.locked_target(name, &parsed.text).await?;
        let names = copied_columns(&table, columns.as_deref(), &parsed.text)?;
        let options = options(&copy.options, &names)?;
        let columns = copy_columns(&table, &names);
        let info = self.environment.info(&mut self.settings);
        let format = info.format.clone();
        let binary = options.format == CopyFormat::Binary;
        let mut reader = Reader::new(options, &*table.name, columns, format, self.statement_time);
        let inserter = self.inserter(table, names)?;
        client.copy_in(binary, inserter.columns).await?;
        let (mut data, mut waiting, mut count) = (BytesMut::new(), Vec::new(), 0);
        loop {
            data.clear();
            match client.copy_input(&mut data).await? {
                CopyInput::Data => waiting.append(&mut reader.push(&data)?),
                CopyInput::Done => break,
                CopyInput::Failed(why) => {
                    let message = format!("COPY from stdin failed: {why}");
                    return Err(Error::new(SqlState::QUERY_CANCELED, message));
                }
            }
            if waiting.len() >= inserter.batch {
                count += self.insert_copied(&inserter, &mut waiting, false).await?;
            }
        }
        waiting.append(&mut reader.finish()?);
        count += self.insert_copied(&inserter, &mut waiting, true).await?;
        Ok(count)
    }

    /// Inserts rows that wait, as many as whole batches take; all of them if it is the `end`.
    async fn insert_copied(
        &mut self,
        inserter: &Inserter,
        waiting: &mut Vec<Row>,
        end: bool,
    ) -> Result<u64> {
        let mut rows = std::mem::take(waiting).into_iter();
        let mut count = 0;
        while rows.len() >= inserter.batch {
            let batch: Vec<Datum> = rows.by_ref().take(inserter.batch).flatten().collect();
            self.run_to_end(&inserter.whole, &batch).await?;
            count += inserter.batch as u64;
        }
        if end && rows.len() > 0 {
            let left = rows.len();
            let plan = self.insert_plan(&inserter.table, &inserter.names, left)?;
            let batch: Vec<Datum> = rows.by_ref().flatten().collect();
            self.run_to_end(&plan, &batch).await?;
            count += left as u64;
        }
        waiting.extend(rows);
        Ok(count)
    }

    async fn run_to_end(&mut self, plan: &Arc<Plan>, parameters: &[Datum]) -> Result<()> {
        let mut running = Running::new(plan.clone(), self.schema()).pinned();
        while self.next_batch(&mut running, parameters, BATCH_ROWS).await?.is_some() {}
        Ok(())
    }

    fn inserter(&mut self, table: Arc<TableDescriptor>, names: Vec<String>) -> Result<Inserter> {
        let columns = names.len();
        let batch = (INSERT_PARAMETERS_MAX / columns.max(1)).clamp(1, INSERT_ROWS);
        let whole = self.insert_plan(&table, &names, batch)?;
        Ok(Inserter { columns, whole, batch, table, names })
    }

    /// `INSERT INTO table (columns) VALUES ($1, …), …` of so many rows.
    fn insert_plan(
        &mut self,
        table: &TableDescriptor,
        names: &[String],
        rows: usize,
    ) -> Result<Arc<Plan>> {
        let quoted: Vec<_> = names.iter().map(|name| quote_ident(name)).collect();
        let row = |i: usize| {
            let parameters: Vec<String> =
                (1..=names.len()).map(|c| format!("${}", i * names.len() + c)).collect();
            format!("({})", parameters.join(","))
        };
        let values: Vec<String> = (0..rows).map(row).collect();
        let (schema, name) = (quote_ident(&table.schema), quote_ident(&table.name));
        let text = if names.is_empty() {
            format!("INSERT INTO {schema}.{name} DEFAULT VALUES")
        } else {
            format!(
                "INSERT INTO {schema}.{name} ({}) VALUES {}",
                quoted.join(","),
                values.join(",")
            )
        };
        let types = names.iter().filter_map(|n| table.column(n)).map(|c| Some(c.ty.plain()));
        let types: Vec<_> = types.collect();
        let declared = (0..rows).flat_map(|_| types.iter().copied()).collect();
        let statement = sql::parse(&text)?.pop();
        let statement = statement.ok_or_else(|| Error::internal("an INSERT parsed to nothing"))?;
        let schema = self.schema();
        let (plan, _) = self.plan(&statement.kind, &statement.text, &schema, declared, false)?;
        Ok(Arc::new(plan))
    }

    async fn copy_to(
        &mut self,
        client: &mut impl Client,
        parsed: &ParsedStatement,
        copy: &Copy,
    ) -> Result<u64> {
        let (kind, text) = match &copy.target {
            CopyTarget::Query(kind) => ((**kind).clone(), parsed.text.clone()),
            CopyTarget::Table(name, columns) => {
                let table = self.copied_table(name, &parsed.text)?;
                let names = copied_columns(&table, columns.as_deref(), &parsed.text)?;
                let quoted: Vec<_> = names.iter().map(|name| quote_ident(name)).collect();
                let (schema, name) = (quote_ident(&table.schema), quote_ident(&table.name));
                let text = format!("SELECT {} FROM {schema}.{name}", quoted.join(","));
                let statement = sql::parse(&text)?.pop();
                let statement =
                    statement.ok_or_else(|| Error::internal("a SELECT parsed to nothing"))?;
                (statement.kind, statement.text)
            }
        };
        let (mut running, mut next) = self.start_copy_to(&kind, &text).await?;
        let plan = running.plan().clone();
        let columns = plan.columns.iter();
        let columns: Vec<CopyColumn> = columns
            .map(|column| CopyColumn { name: column.name.to_string(), ty: column.ty })
            .collect();
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let options = options(&copy.options, &names)?;
        let binary = options.format == CopyFormat::Binary;
        let named = Named::of_types(columns.iter().map(|c| c.ty), |_| binary);
        let context = self.eval_context(&running.schema().clone());
        let format = self.environment.info(&mut self.settings).format.clone();
        let mut writer = Writer::new(options, columns, format);
        client.copy_out(binary, names.len());
        let mut data = BytesMut::new();
        writer.header(&mut data);
        let mut count = 0;
        while let Some(mut rows) = next {
            named.write(&mut rows, &context);
            count += rows.len() as u64;
            for row in &rows {
                writer.row(row, &mut data);
                if data.len() >= MESSAGE_BYTES {
                    client.copy_data(&data);
                    data.clear();
                    if client.is_full() {
                        client.flush().await?;
                    }
                }
            }
            next = self.next_batch(&mut running, &[], BATCH_ROWS).await?;
        }
        writer.finish(&mut data);
        if !data.is_empty() {
            client.copy_data(&data);
        }
        client.copy_done();
        Ok(count)
    }

    /// Begins the query of COPY TO; gives its first rows.
    async fn start_copy_to(
        &mut self,
        kind: &StatementKind,
        text: &Arc<str>,
    ) -> Result<(Running, Option<RowBatch>)> {
        loop {
            let schema = self.schema();
            let (plan, parameters) = self.plan(kind, text, &schema, Vec::new(), false)?;
            if !parameters.is_empty() {
                return Err(Error::new(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1"));
            }
            if plan.columns.is_empty() && !matches!(kind, StatementKind::Query(_)) {
                return Err(Error::unsupported_message("COPY query must have a RETURNING clause"));
            }
            let mut running = Running::new(Arc::new(plan), schema);
            match self.next_batch(&mut running, &[], BATCH_ROWS).await {
                Err(_) if running.is_stale() => {}
                first => return Ok((running, first?)),
            }
        }
    }

    /// The table that COPY FROM names, locked as writers lock it.
    async fn locked_target(
        &mut self,
        name: &QualifiedName,
        text: &Arc<str>,
    ) -> Result<Arc<TableDescriptor>> {
        loop {
            let table = self.copied_table(name, text)?;
            self.lock_tables(&[(table.clone(), LockMode::Share, false)]).await?;
            let now = self.copied_table(name, text)?;
            if (now.id, now.version) == (table.id, table.version) {
                return Ok(now);
            }
        }
    }

    /// The table that COPY names.
    fn copied_table(
        &mut self,
        name: &QualifiedName,
        text: &Arc<str>,
    ) -> Result<Arc<TableDescriptor>> {
        let schema = self.schema();
        let eval = self.eval_context(&schema);
        let binder = sql::bind::Binder::new(schema.as_ref(), &eval, text.clone(), Vec::new());
        let table = binder.find_table(name)?;
        if table.kind == RelationKind::Virtual {
            let message = format!("cannot copy from view \"{}\"", table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .with_hint("Try the COPY (SELECT ...) TO variant."));
        }
        Ok(table)
    }
}

/// Names of the columns that are copied: those written, or all.
fn copied_columns(
    table: &TableDescriptor,
    written: Option<&[Ident]>,
    text: &str,
) -> Result<Vec<String>> {
    let Some(written) = written else {
        return Ok(table.columns.iter().map(|column| column.name.clone()).collect());
    };
    let mut names: Vec<String> = Vec::new();
    for ident in written {
        let at = sql::position_at(text, ident.at);
        if table.column(&ident.name).is_none() {
            let (column, table) = (&ident.name, &table.name);
            let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message).at(at));
        }
        if names.iter().any(|name| **name == *ident.name) {
            let message = format!("column \"{}\" specified more than once", ident.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).at(at));
        }
        names.push(ident.name.to_string());
    }
    Ok(names)
}

fn copy_columns(table: &TableDescriptor, names: &[String]) -> Vec<CopyColumn> {
    names
        .iter()
        .filter_map(|name| table.column(name))
        .map(|column| CopyColumn { name: column.name.clone(), ty: column.ty })
        .collect()
}

/// The options as written, checked against each other and the format.
fn options(asked: &Asked, names: &[String]) -> Result<CopyOptions> {
    let format = match asked.format {
        statement::CopyFormat::Text => CopyFormat::Text,
        statement::CopyFormat::Csv => CopyFormat::Csv,
        statement::CopyFormat::Binary => CopyFormat::Binary,
    };
    let csv = format == CopyFormat::Csv;
    let mut options = CopyOptions::new(format);
    if let Some(encoding) = &asked.encoding
        && !matches!(encoding.to_ascii_uppercase().as_str(), "UTF8" | "UTF-8" | "UNICODE")
    {
        return Err(Error::unsupported(format!("COPY with encoding \"{encoding}\"")));
    }
    if format == CopyFormat::Binary {
        for (given, name) in [
            (asked.delimiter.is_some(), "DELIMITER"),
            (asked.null.is_some(), "NULL"),
            (asked.header.is_some_and(|h| h != CopyHeader::Off), "HEADER"),
        ] {
            if given {
                let message = match name {
                    "HEADER" => "cannot specify HEADER in BINARY mode".to_owned(),
                    name => format!("cannot specify {name} in BINARY mode"),
                };
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
        }
    }
    for (given, name) in [
        (asked.quote.is_some(), "COPY quote"),
        (asked.escape.is_some(), "COPY escape"),
        (asked.force_quote.is_some(), "COPY force quote"),
        (asked.force_not_null.is_some(), "COPY force not null"),
        (asked.force_null.is_some(), "COPY force null"),
    ] {
        if given && !csv {
            return Err(Error::unsupported_message(format!("{name} available only in CSV mode")));
        }
    }
    if let Some(delimiter) = &asked.delimiter {
        options.delimiter = single_byte("COPY delimiter", delimiter)?;
    }
    if let Some(quote) = &asked.quote {
        options.quote = single_byte("COPY quote", quote)?;
        options.escape = options.quote;
    }
    if let Some(escape) = &asked.escape {
        options.escape = single_byte("COPY escape", escape)?;
    }
    if let Some(null) = &asked.null {
        options.null.clone_from(null);
    }
    options.header = matches!(asked.header, Some(CopyHeader::On | CopyHeader::Match));
    options.header_match = asked.header == Some(CopyHeader::Match);
    options.force_quote = force(asked.force_quote.as_deref(), "FORCE_QUOTE", names)?;
    options.force_not_null = force(asked.force_not_null.as_deref(), "FORCE_NOT_NULL", names)?;
    options.force_null = force(asked.force_null.as_deref(), "FORCE_NULL", names)?;
    options.check()?;
    Ok(options)
}

fn single_byte(what: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => {
            let message = format!("{what} must be a single one-byte character");
            Err(Error::unsupported_message(message))
        }
    }
}

fn force(asked: Option<&[String]>, option: &str, names: &[String]) -> Result<Force> {
    match asked {
        None => Ok(Force::Never),
        Some([]) => Ok(Force::All),
        Some(columns) => {
            let place = |column: &String| {
                names.iter().position(|name| name == column).ok_or_else(|| {
                    let message = format!("{option} column \"{column}\" not referenced by COPY");
                    Error::new(SqlState::INVALID_COLUMN_REFERENCE, message)
                })
            };
            Ok(Force::Columns(columns.iter().map(place).collect::<Result<_>>()?))
        }
    }
}
