//! COPY: its options, its columns, and TO STDOUT, which runs a query. FROM is in `loading`.

use std::sync::Arc;

use bytes::BytesMut;

use super::Session;
use super::client::Client;
use super::copy::{CopyColumn, CopyFormat, CopyOptions, Force, Writer};
use super::names::Named;
use super::progress::{CopyProgress, Shown};
use super::rows::Running;
use super::run::Outcome;
use crate::catalog::quote_ident;
use crate::error::{Error, Result, SqlState};
use crate::exec::RowBatch;
use crate::sql::ast::{Ident, QualifiedName};
use crate::sql::statement::{
    self, Copy, CopyHeader, CopyOptions as Asked, CopyTarget, StatementKind,
};
use crate::sql::{self, ParsedStatement};
use crate::types::descriptor::{RelationKind, TableDescriptor};

/// Rows asked of a query at once.
const BATCH_ROWS: usize = 1024;

impl Session {
    /// Runs COPY.
    pub(super) async fn copy(
        &mut self,
        client: &mut impl Client,
        parsed: &ParsedStatement,
        copy: &Copy,
    ) -> Result<Outcome> {
        if copy.options.format == statement::CopyFormat::Parquet {
            let rows = self.copy_parquet(client, parsed, copy).await?;
            return Ok(Outcome::tag(format!("COPY {rows}")));
        }
        if copy.program || copy.file.is_some() {
            let what = if copy.program { "a program" } else { "a file of the server" };
            return Err(Error::unsupported(format!("COPY with {what}")).with_hint(
                "Use STDIN or STDOUT; psql's \\copy reads and writes the client's files.",
            ));
        }
        let rows = if copy.from {
            self.copy_from(client, parsed, copy).await?
        } else {
            self.copy_to(client, parsed, copy).await?
        };
        Ok(Outcome::tag(format!("COPY {rows}")))
    }

    async fn copy_to(
        &mut self,
        client: &mut impl Client,
        parsed: &ParsedStatement,
        copy: &Copy,
    ) -> Result<u64> {
        let (kind, text, table) = self.copied_query(parsed, copy)?;
        let (mut running, mut next) = self.start_copy_to(&kind, &text).await?;
        let plan = running.plan().clone();
        let columns = plan.columns.iter();
        let columns: Vec<CopyColumn> = columns
            .map(|column| CopyColumn { name: column.name.to_string(), ty: column.ty })
            .collect();
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let options = options(&copy.options, &names, table.as_deref(), false)?;
        let binary = options.format == CopyFormat::Binary;
        let named = Named::of_types(columns.iter().map(|c| c.ty), |_| binary);
        let context = self.eval_context(&running.schema().clone());
        let format = self.environment.info(&mut self.settings).format.clone();
        let mut writer = Writer::new(options, columns, format);
        client.copy_out(binary, names.len());
        let mut data = BytesMut::new();
        writer.header(&mut data);
        if !binary && !data.is_empty() {
            client.copy_data(&data);
            data.clear();
        }
        let relation = table.as_ref().map_or(0, |table| table.id.0);
        let shown = Shown::new(&self.backend, CopyProgress::new(relation, false, false));
        let mut count = 0;
        while let Some(mut rows) = next {
            named.write(&mut rows, &context);
            count += rows.len() as u64;
            let mut bytes = 0;
            for row in &rows {
                // A message for each row, the header of binary data with the first one: drivers
                // that give out rows take one for the other.
                writer.row(row, &mut data);
                bytes += data.len();
                client.copy_data(&data);
                data.clear();
                if client.is_full() {
                    client.flush().await?;
                }
            }
            shown.progress.add_bytes(bytes);
            shown.progress.add_rows(rows.len() as u64, 0);
            next = self.next_batch(&mut running, &[], BATCH_ROWS).await?;
        }
        writer.finish(&mut data);
        if !data.is_empty() {
            client.copy_data(&data);
        }
        client.copy_done();
        Ok(count)
    }

    /// The query whose rows COPY TO copies, its text, and the table if that is what is copied.
    pub(super) fn copied_query(
        &mut self,
        parsed: &ParsedStatement,
        copy: &Copy,
    ) -> Result<(StatementKind, Arc<str>, Option<Arc<TableDescriptor>>)> {
        let (name, columns) = match &copy.target {
            CopyTarget::Query(kind) => return Ok(((**kind).clone(), parsed.text.clone(), None)),
            CopyTarget::Table(name, columns) => (name, columns),
        };
        let table = self.copied_table(name, &parsed.text, false)?;
        let names = copied_columns(&table, columns.as_deref())?;
        let quoted: Vec<_> = names.iter().map(|name| quote_ident(name)).collect();
        let (schema, name) = (quote_ident(&table.schema), quote_ident(&table.name));
        let text = format!("SELECT {} FROM {schema}.{name}", quoted.join(","));
        let statement = sql::parse(&text)?.pop();
        let statement = statement.ok_or_else(|| Error::internal("a SELECT parsed to nothing"))?;
        Ok((statement.kind, statement.text, Some(table)))
    }

    /// Begins the query of COPY TO; gives its first rows.
    pub(super) async fn start_copy_to(
        &mut self,
        kind: &StatementKind,
        text: &Arc<str>,
    ) -> Result<(Running, Option<RowBatch>)> {
        loop {
            let schema = self.schema();
            let (plan, _) = self.plan(kind, text, &schema, None, false)?;
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

    /// The table that COPY names; whether rows go into it.
    pub(super) fn copied_table(
        &mut self,
        name: &QualifiedName,
        text: &Arc<str>,
        into: bool,
    ) -> Result<Arc<TableDescriptor>> {
        let schema = self.schema();
        let eval = self.eval_context(&schema);
        let binder = sql::bind::Binder::new(schema.as_ref(), &eval, text.clone(), Vec::new());
        // PostgreSQL tells no position in the names of COPY.
        let table = binder.find_table(name).map_err(Error::without_position)?;
        if table.kind == RelationKind::Foreign && into {
            return Err(Error::unsupported("COPY FROM into a foreign table")
                .with_hint("INSERT writes rows one by one, outside transaction blocks."));
        }
        if table.kind == RelationKind::Foreign {
            let message = format!("cannot copy from foreign table \"{}\"", table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .with_hint("Try the COPY (SELECT ...) TO variant."));
        }
        if table.kind == RelationKind::Virtual {
            let message = format!("cannot copy from view \"{}\"", table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .with_hint("Try the COPY (SELECT ...) TO variant."));
        }
        Ok(table)
    }
}

/// Names of the columns that are copied: those written, or all.
pub(super) fn copied_columns(
    table: &TableDescriptor,
    written: Option<&[Ident]>,
) -> Result<Vec<String>> {
    let Some(written) = written else {
        return Ok(table.columns.iter().map(|column| column.name.clone()).collect());
    };
    let mut names: Vec<String> = Vec::new();
    for ident in written {
        if table.column(&ident.name).is_none() {
            let (column, table) = (&ident.name, &table.name);
            let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
        }
        if names.iter().any(|name| **name == *ident.name) {
            let message = format!("column \"{}\" specified more than once", ident.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        names.push(ident.name.to_string());
    }
    Ok(names)
}

pub(super) fn copy_columns(table: &TableDescriptor, names: &[String]) -> Vec<CopyColumn> {
    names
        .iter()
        .filter_map(|name| table.column(name))
        .map(|column| CopyColumn { name: column.name.clone(), ty: column.ty })
        .collect()
}

/// The options as written, checked against each other and the format.
pub(super) fn options(
    asked: &Asked,
    names: &[String],
    table: Option<&TableDescriptor>,
    from: bool,
) -> Result<CopyOptions> {
    let format = match asked.format {
        statement::CopyFormat::Text => CopyFormat::Text,
        statement::CopyFormat::Csv => CopyFormat::Csv,
        statement::CopyFormat::Binary => CopyFormat::Binary,
        statement::CopyFormat::Parquet => return Err(Error::internal("Parquet has other options")),
    };
    for (given, name) in [
        (asked.compression.is_some(), "compression"),
        (asked.row_group_size.is_some(), "row_group_size"),
    ] {
        if given {
            let message = format!("COPY {name} available only in PARQUET mode");
            return Err(Error::unsupported_message(message));
        }
    }
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
    check_sides(asked, from)?;
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
    options.force_quote = force(asked.force_quote.as_deref(), "FORCE_QUOTE", names, table)?;
    options.force_not_null =
        force(asked.force_not_null.as_deref(), "FORCE_NOT_NULL", names, table)?;
    options.force_null = force(asked.force_null.as_deref(), "FORCE_NULL", names, table)?;
    options.check()?;
    Ok(options)
}

/// Options that only one direction has.
fn check_sides(asked: &Asked, from: bool) -> Result<()> {
    for (given, name, only_from) in [
        (asked.force_quote.is_some(), "COPY force quote", false),
        (asked.force_not_null.is_some(), "COPY force not null", true),
        (asked.force_null.is_some(), "COPY force null", true),
    ] {
        if given && from != only_from {
            let side = if only_from { "FROM" } else { "TO" };
            let message = format!("{name} only available using COPY {side}");
            return Err(Error::unsupported_message(message));
        }
    }
    if asked.header == Some(CopyHeader::Match) && !from {
        let message = "cannot use \"match\" with HEADER in COPY TO";
        return Err(Error::unsupported_message(message));
    }
    Ok(())
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

fn force(
    asked: Option<&[String]>,
    option: &str,
    names: &[String],
    table: Option<&TableDescriptor>,
) -> Result<Force> {
    match asked {
        None => Ok(Force::Never),
        Some([]) => Ok(Force::All),
        Some(columns) => {
            let place = |column: &String| {
                names.iter().position(|name| name == column).ok_or_else(|| {
                    let missing = |message| Error::new(SqlState::UNDEFINED_COLUMN, message);
                    match table {
                        Some(table) if table.column(column).is_none() => {
                            let table = &table.name;
                            missing(format!(
                                "column \"{column}\" of relation \"{table}\" does not exist"
                            ))
                        }
                        None => missing(format!("column \"{column}\" does not exist")),
                        Some(_) => {
                            let message =
                                format!("{option} column \"{column}\" not referenced by COPY");
                            Error::new(SqlState::INVALID_COLUMN_REFERENCE, message)
                        }
                    }
                })
            };
            Ok(Force::Columns(columns.iter().map(place).collect::<Result<_>>()?))
        }
    }
}
