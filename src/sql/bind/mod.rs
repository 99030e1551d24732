//! The binder: names, types and overloads resolved by PostgreSQL's rules.
//!
//! ```text
//! ast ──▶ Binder ──▶ bound
//!         │ levels: one per query, innermost last ([`level`])
//!         │ from ──▶ targets ──▶ where ──▶ having ──▶ order ──▶ group ──▶ limit ──▶ windows
//! ```
//!
//! Clauses are bound in PostgreSQL's order, so that of two mistakes the same one is reported and
//! parameters get the same types. Expressions come out with every cast explicit; a literal of
//! unknown type is read as soon as its context gives it a type. Aggregates, window functions and
//! set-returning functions are lifted into the level they belong to and leave a column behind.
//! Rules of types are in [`coerce`], [`overload`] and [`operator`]; nothing here evaluates
//! anything but literals.

pub mod aggregate;
pub mod call;
pub mod coerce;
pub mod common;
pub mod conflict;
pub mod cte;
pub mod cursor;
pub mod expr;
pub mod from;
pub mod generic;
pub mod group;
pub mod insert;
pub mod join;
pub mod level;
pub mod literal;
pub mod operator;
pub mod order;
mod ordered_set;
pub mod overload;
pub mod rows;
pub mod scope;
pub mod select;
pub mod setop;
pub mod subquery;
pub mod target;
pub mod types;
pub mod update;
pub mod window;
pub mod write;

use std::collections::HashMap;
use std::sync::Arc;

use super::ast::{self, Offset};
use super::bound::{ColId, Column, Expr, Rel, Statement};
use super::{StatementKind, position_at};
use crate::catalog::CatalogSnapshot;
use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::types::descriptor::TableDescriptor;
use crate::types::{BaseType, RecordShape, SqlType};
use level::{ColumnInfo, Level};

use super::bound::{CurrentOf, WithStatement};

/// Parameters a statement may have.
pub const PARAMETERS_MAX: u32 = 65_535;
/// Columns a select list may have.
pub const TARGETS_MAX: usize = 1_664;

/// Where the binder finds tables.
pub trait TableLookup {
    /// The table of that name; `schema: None` searches `path`.
    fn table(
        &self,
        schema: Option<&str>,
        name: &str,
        path: &[String],
    ) -> Option<Arc<TableDescriptor>>;
    /// Whether a schema of that name exists.
    fn has_schema(&self, name: &str) -> bool;
    /// The database's name, which may stand before a schema's.
    fn database_name(&self) -> &str;
}

impl TableLookup for CatalogSnapshot {
    fn table(
        &self,
        schema: Option<&str>,
        name: &str,
        path: &[String],
    ) -> Option<Arc<TableDescriptor>> {
        CatalogSnapshot::table(self, schema, name, path)
    }

    fn has_schema(&self, name: &str) -> bool {
        self.schema(name).is_some()
    }

    fn database_name(&self) -> &str {
        &self.database().name
    }
}

/// A bound statement.
#[derive(Debug)]
pub struct Bound {
    /// What to run.
    pub statement: Statement,
    /// What comes out, in order; empty if nothing does.
    pub columns: Vec<Column>,
    /// The types of all parameters.
    pub parameters: Vec<SqlType>,
    /// WHERE CURRENT OF: whose row is written.
    pub current_of: Option<CurrentOf>,
}

/// A bound query.
#[derive(Debug)]
pub struct BoundQuery {
    /// What to run.
    pub rel: Rel,
    /// What comes out, in order.
    pub columns: Vec<Column>,
}

/// Binds one statement.
pub struct Binder<'a> {
    catalog: &'a dyn TableLookup,
    context: &'a EvalContext,
    text: Arc<str>,
    parameters: Vec<Option<SqlType>>,
    /// Whether parameters stand for literals of type int4.
    lifted: bool,
    /// What each [`ColId`] is, by its number.
    columns: Vec<ColumnInfo>,
    levels: Vec<Level>,
    next_cte: usize,
    /// What the fields are of columns that are row values.
    records: HashMap<ColId, RecordShape>,
    /// Where the `*` being expanded stands.
    star: Offset,
    current_of: Option<CurrentOf>,
    /// The queries of the statement's WITH, if one of them writes.
    with_writes: Vec<(usize, Statement)>,
    /// Whether no values come with the text.
    without_parameters: bool,
}

impl<'a> Binder<'a> {
    /// A binder for a statement of `text` whose first parameters have the given types.
    pub fn new(
        catalog: &'a dyn TableLookup,
        context: &'a EvalContext,
        text: Arc<str>,
        parameters: Vec<Option<SqlType>>,
    ) -> Binder<'a> {
        Binder {
            catalog,
            context,
            text,
            parameters,
            lifted: false,
            columns: Vec::new(),
            levels: Vec::new(),
            next_cte: 0,
            records: HashMap::new(),
            star: 0,
            current_of: None,
            with_writes: Vec::new(),
            without_parameters: false,
        }
    }

    /// A binder for a text whose so many integers were parsed as parameters. Each must be met as
    /// an expression: else it is 42P18 in the end, since the integer meant something else.
    pub fn lifting(self, integers: usize) -> Binder<'a> {
        Binder { parameters: vec![None; integers], lifted: true, ..self }
    }

    /// A binder of a text that no values come with: a parameter in it is an error.
    pub fn without_parameters(self) -> Self {
        Binder { without_parameters: true, ..self }
    }

    /// Binds a statement that reads or writes rows.
    pub fn bind_statement(&mut self, kind: &StatementKind) -> Result<Bound> {
        let (statement, columns) = match kind {
            StatementKind::Query(query) => {
                let bound = self.query(query, true)?;
                (Statement::Query(bound.rel), bound.columns)
            }
            StatementKind::Insert(insert) => self.bind_insert(insert)?,
            StatementKind::Update(update) => self.bind_update(update)?,
            StatementKind::Delete(delete) => self.bind_delete(delete)?,
            _ => return Err(Error::internal("a statement without rows was bound")),
        };
        let ctes = std::mem::take(&mut self.with_writes);
        let statement = match ctes.is_empty() {
            true => statement,
            false => Statement::With(Box::new(WithStatement { ctes, main: statement })),
        };
        let parameters = self.parameter_types()?;
        Ok(Bound { statement, columns, parameters, current_of: self.current_of.take() })
    }

    /// Binds a query at the top of a statement.
    pub fn bind_query(&mut self, query: &ast::Query) -> Result<BoundQuery> {
        let bound = self.query(query, true)?;
        match self.with_writes.is_empty() {
            true => Ok(bound),
            false => Err(Error::unsupported("a data-modifying statement in WITH here")),
        }
    }

    /// Binds a query whose literals of unknown type stay so: `INSERT … SELECT` gives them the
    /// types of its columns.
    pub fn bind_query_unresolved(&mut self, query: &ast::Query) -> Result<BoundQuery> {
        self.query(query, false)
    }

    /// The types of all parameters. 42P18 for one that nothing gave a type.
    pub fn parameter_types(&self) -> Result<Vec<SqlType>> {
        let typed = self.parameters.iter().enumerate().map(|(i, ty)| match ty {
            Some(ty) if ty.base != BaseType::Unknown => Ok(*ty),
            _ => Err(Error::new(
                SqlState::INDETERMINATE_DATATYPE,
                format!("could not determine data type of parameter ${}", i + 1),
            )),
        });
        typed.collect()
    }

    /// The evaluation context of the statement.
    pub fn context(&self) -> &'a EvalContext {
        self.context
    }

    /// The statement's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds the position of `at` to an error.
    pub fn locate(&self, error: Error, at: Offset) -> Error {
        error.at(position_at(&self.text, at))
    }

    /// An error at `at`.
    pub fn error(&self, code: SqlState, message: impl Into<String>, at: Offset) -> Error {
        self.locate(Error::new(code, message), at)
    }

    /// 0A000 at `at`.
    pub fn unsupported(&self, what: impl std::fmt::Display, at: Offset) -> Error {
        self.locate(Error::unsupported(what), at)
    }

    /// A fresh column of the innermost query.
    pub fn new_column(&mut self, name: Arc<str>, ty: SqlType) -> Column {
        let level = self.levels.len().saturating_sub(1);
        Column { id: self.new_id(level, level::Producer::Other, 0), name, ty, origin: None }
    }

    fn new_id(&mut self, level: usize, producer: level::Producer, at: Offset) -> ColId {
        let id = ColId(self.columns.len() as u32);
        self.columns.push(ColumnInfo { level: level as u32, producer, at });
        id
    }

    fn column_info(&self, id: ColId) -> ColumnInfo {
        self.columns[id.0 as usize]
    }

    /// `$n`
    fn parameter(&mut self, number: u32, at: Offset) -> Result<Expr> {
        if number == 0 || number > PARAMETERS_MAX || self.without_parameters {
            let message = format!("there is no parameter ${number}");
            return Err(self.error(SqlState::UNDEFINED_PARAMETER, message, at));
        }
        let index = number as usize - 1;
        if index >= self.parameters.len() {
            self.parameters.resize(index + 1, None);
        }
        if self.lifted {
            self.parameters[index] = Some(SqlType::INT4);
        }
        Ok(Expr::Param(index, self.parameters[index].unwrap_or(SqlType::UNKNOWN)))
    }

    /// Gives a parameter of unknown type the type its context wants.
    fn decide_parameter(&mut self, index: usize, ty: SqlType, at: Offset) -> Result<Expr> {
        let ty = ty.plain();
        match self.parameters[index] {
            Some(known) if known.base != BaseType::Unknown && !known.same(ty) => {
                let message = format!("inconsistent types deduced for parameter ${}", index + 1);
                let error = self.error(SqlState::AMBIGUOUS_PARAMETER, message, at);
                Err(error.with_detail(format!("{known} versus {ty}")))
            }
            _ => {
                self.parameters[index] = Some(ty);
                Ok(Expr::Param(index, ty))
            }
        }
    }

    fn level(&mut self) -> &mut Level {
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }
}

/// An operator of pg_catalog.
fn operator_name(symbol: &str) -> ast::OperatorName {
    ast::OperatorName { schema: None, name: symbol.into() }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
