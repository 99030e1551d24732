//! The extended protocol: prepared statements and portals.

use std::borrow::Cow;
use std::sync::Arc;

use super::blocks::in_failed_block;
use super::client::{Client, Field, ResultFormats};
use super::rows::Running;
use super::statement::{Named, Prepared};
use super::transaction::{Block, Status};
use super::{Session, utf8};
use crate::error::{Error, Result, SqlState};
use crate::functions;
use crate::types::io;
use crate::types::{Datum, Row, SqlType};

/// Most named statements and portals a session may hold, each.
const NAMED_MAX: usize = 10_000;

/// A portal: a statement with its parameters, and how far it has run.
pub struct Portal {
    /// The statement.
    pub prepared: Arc<Prepared>,
    /// Its parameters.
    pub parameters: Arc<[Datum]>,
    /// Formats of its columns.
    pub formats: ResultFormats,
    /// How far it has run.
    pub state: PortalState,
    /// Nesting level of the transaction it was made in.
    pub level: u32,
}

/// How far a portal has run.
#[derive(Default)]
pub enum PortalState {
    /// Not at all.
    #[default]
    Ready,
    /// Some of its rows were sent, and the others are to be computed.
    Running(Box<Running>),
    /// Its rows are all here, and some were sent; the tag comes after them.
    Held(std::vec::IntoIter<Row>, Cow<'static, str>),
    /// To its end. A portal without rows cannot be run again.
    Done,
}

impl Portal {
    /// A portal that has not run.
    pub fn new(
        prepared: Arc<Prepared>,
        parameters: Arc<[Datum]>,
        formats: ResultFormats,
        level: u32,
    ) -> Portal {
        Portal { prepared, parameters, formats, state: PortalState::Ready, level }
    }
}

/// What Bind asks for.
pub struct BindRequest<'a> {
    /// The portal's name; empty: the unnamed one.
    pub portal: &'a str,
    /// The statement's name.
    pub statement: &'a str,
    /// Formats of the parameters: none (text), one for all, or one for each; true is binary.
    pub parameter_formats: &'a [bool],
    /// Values of the parameters; none is NULL.
    pub parameters: &'a [Option<&'a [u8]>],
    /// Formats of the result's columns.
    pub result_formats: ResultFormats,
}

/// What Describe tells of a statement.
pub struct StatementDescription<'a> {
    /// Types of its parameters.
    pub parameters: &'a [SqlType],
    /// Columns of its rows; none: it gives no rows.
    pub fields: Option<&'a [Field]>,
}

impl Session {
    /// Parse.
    pub async fn parse(&mut self, name: &str, query: &str, types: &[u32]) -> Result<()> {
        self.begin_statement(&Arc::from(query))?;
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(name) {
            return Err(Error::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        self.transaction()?;
        let known = self.database.catalog.snapshot();
        let prepared = match self.prepare_text(query, types) {
            // Another gateway may have changed the schema.
            Err(_) if self.database.catalog.refresh(&known).await? => {
                self.prepare_text(query, types)?
            }
            prepared => prepared?,
        };
        let prepared = self.known_sizes(prepared).await?;
        self.keep_statement(name, prepared, false)
    }

    /// Keeps a prepared statement under its name.
    pub(super) fn keep_statement(
        &mut self,
        name: &str,
        prepared: Arc<Prepared>,
        from_sql: bool,
    ) -> Result<()> {
        if self.statements.len() >= NAMED_MAX {
            return Err(too_many("prepared statements"));
        }
        let (text, time) = (prepared.text.clone(), self.statement_time);
        let named = Named { prepared, text, time, from_sql, runs: 0 };
        self.statements.insert(name.to_owned(), named);
        Ok(())
    }

    /// The prepared statement of that name.
    pub(super) fn statement(&self, name: &str) -> Result<&Arc<Prepared>> {
        self.statements.get(name).map(|named| &named.prepared).ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
        })
    }

    /// Bind.
    pub fn bind(&mut self, request: BindRequest<'_>) -> Result<()> {
        let known = self.statement(request.statement)?.clone();
        let prepared = self.revalidate(&known)?;
        let prepared = self.resized(&prepared)?;
        if !Arc::ptr_eq(&known, &prepared) {
            self.statements.entry(request.statement.to_owned()).and_modify(|named| {
                named.prepared = prepared.clone();
            });
        }
        let (formats, values) = (request.parameter_formats, request.parameters);
        if formats.len() > 1 && formats.len() != values.len() {
            return Err(violation(format!(
                "bind message has {} parameter formats but {} parameters",
                formats.len(),
                values.len()
            )));
        }
        if values.len() != prepared.parameters.len() {
            return Err(violation(format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                values.len(),
                request.statement,
                prepared.parameters.len()
            )));
        }
        if let Some(kind) = prepared.kind() {
            self.check_not_failed(kind)?;
        }
        if let Some(named) = self.statements.get_mut(request.statement) {
            named.runs += 1;
        }
        if !request.portal.is_empty()
            && (self.portals.contains_key(request.portal)
                || self.cursors.contains_key(request.portal))
        {
            return Err(Error::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{}\" already exists", request.portal),
            ));
        }
        if self.portals.len() >= NAMED_MAX {
            return Err(too_many("portals"));
        }
        let level = self.transaction()?.level();
        let parameters = self.parameters(&prepared.parameters, formats, values)?;
        let columns = prepared.fields.as_ref().map_or(0, |fields| fields.len());
        if let ResultFormats::Each(formats) = &request.result_formats
            && formats.len() != columns
        {
            return Err(violation(format!(
                "bind message has {} result formats but query has {columns} columns",
                formats.len()
            )));
        }
        let portal = Portal::new(prepared, parameters, request.result_formats, level);
        self.portals.insert(request.portal.to_owned(), portal);
        Ok(())
    }

    /// Reads the parameters' values.
    fn parameters(
        &mut self,
        types: &[SqlType],
        formats: &[bool],
        values: &[Option<&[u8]>],
    ) -> Result<Arc<[Datum]>> {
        if values.is_empty() {
            return Ok(Arc::from(&[][..]));
        }
        let info = self.environment.info(&mut self.settings);
        let now = self.transaction.as_ref().map_or(self.statement_time, |t| t.time);
        let mut read = Vec::with_capacity(values.len());
        for (i, (value, ty)) in values.iter().zip(types).enumerate() {
            let Some(bytes) = value else {
                read.push(Datum::Null);
                continue;
            };
            let binary = match formats {
                [] => false,
                [one] => *one,
                each => each[i],
            };
            read.push(if binary {
                io::parse_binary(bytes, *ty).map_err(|e| incorrect_binary(e, i))?
            } else if functions::is_named(*ty) {
                let schema = self.schema();
                functions::text_in(&self.eval_context(&schema), utf8::text(bytes)?, *ty)?
            } else {
                io::parse_text(utf8::text(bytes)?, *ty, &info.format, now)?
            });
        }
        Ok(Arc::from(read))
    }

    /// Describe of a statement.
    pub fn describe_statement(&mut self, name: &str) -> Result<StatementDescription<'_>> {
        let failed = self.status() == Status::Failed;
        let prepared = self.statement(name)?;
        if failed && prepared.fields.is_some() {
            return Err(in_failed_block());
        }
        Ok(StatementDescription {
            parameters: &prepared.parameters,
            fields: prepared.fields.as_deref(),
        })
    }

    /// Describe of a portal: columns and formats, or none if it gives no rows.
    pub fn describe_portal(&self, name: &str) -> Result<Option<(&[Field], &ResultFormats)>> {
        let Some(portal) = self.portals.get(name) else {
            // A cursor is a portal too; drivers ask for the columns of the ones they DECLARE.
            let cursor = self.cursors.get(name).ok_or_else(|| no_portal(name))?;
            return Ok(Some(cursor.described()));
        };
        if self.status() == Status::Failed && portal.prepared.fields.is_some() {
            return Err(in_failed_block());
        }
        Ok(portal.prepared.fields.as_deref().map(|fields| (fields, &portal.formats)))
    }

    /// Execute: at most `rows_max` rows; 0 is all. `last`: a Sync follows.
    pub async fn execute(
        &mut self,
        client: &mut impl Client,
        name: &str,
        rows_max: usize,
        last: bool,
    ) -> Result<()> {
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        if let Some(kind) = portal.prepared.kind() {
            self.check_not_failed(kind)?;
        }
        let text = portal.prepared.text.clone();
        self.begin_statement(&text)?;
        self.alone = last && rows_max == 0;
        self.transaction()?;
        let result = self.run(client, &mut portal, rows_max).await;
        self.backend.stop_clock();
        // A portal does not outlive the transaction that its statement ended.
        if self.transaction.is_some() {
            self.portals.insert(name.to_owned(), portal);
        }
        result
    }

    /// Close of a statement.
    pub fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    /// Close of a portal.
    pub fn close_portal(&mut self, name: &str) {
        if self.portals.remove(name).is_none() {
            self.cursors.remove(name);
        }
    }

    /// Sync: the end of an implicit transaction.
    pub async fn sync(&mut self, _client: &mut impl Client) -> Result<()> {
        match &self.transaction {
            Some(transaction) if transaction.block == Block::Implicit => self.commit().await,
            _ => Ok(()),
        }
    }
}

fn violation(message: String) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}

fn too_many(what: &str) -> Error {
    let message = format!("a session may have at most {NAMED_MAX} {what}");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

fn no_portal(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

/// 22P03 as Bind reports it: which parameter.
fn incorrect_binary(error: Error, i: usize) -> Error {
    if error.code() == SqlState::INVALID_BINARY_REPRESENTATION {
        let message = format!("incorrect binary data format in bind parameter {}", i + 1);
        return Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message);
    }
    error
}
