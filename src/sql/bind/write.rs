//! What the binders of INSERT, UPDATE, DELETE and DDL need: a level of their own with rows in
//! it, RETURNING, and expressions that descriptors keep as text.
//!
//! ```text
//! binder.scoped(|b| {
//!     let target = b.add_target(&update.table, update.alias.as_ref())?;   // visible from here on
//!     let from = b.from_clause(&update.from)?;
//!     let filter = b.where_clause(update.filter.as_ref(), Clause::Where, "WHERE")?;
//!     …
//! })
//! ```

use std::sync::Arc;

use super::super::ast::{self, Alias, FromItem, Ident, QualifiedName, Target, With};
use super::super::bound::{Column, Expr, Rel, Returning, Scan};
use super::Binder;
use super::cte::BoundCte;
use super::from::scope_column;
use super::level::{Clause, Level, Producer};
use super::scope::Source;
use crate::error::{Error, Result};
use crate::types::SqlType;
use crate::types::descriptor::TableDescriptor;

/// A table that a statement writes: its scan, with the id of the row key.
pub struct WriteTarget {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// Its columns, in descriptor order.
    pub columns: Vec<Column>,
    /// Its scan, with `row_key` set.
    pub scan: Scan,
    /// The id of the row key.
    pub row_key: super::ColId,
}

impl Binder<'_> {
    /// Runs `f` in a level of its own.
    pub fn scoped<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.levels.push(Level::default());
        let result = f(self);
        self.levels.pop();
        result
    }

    /// Binds WITH of a statement that writes; [`Binder::wrap`] puts it around the source.
    pub fn with_queries(&mut self, with: Option<&With>) -> Result<WithQueries> {
        Ok(WithQueries(match with {
            Some(with) => self.with_clause(with)?,
            None => Vec::new(),
        }))
    }

    /// Puts the queries of WITH around a relation.
    pub fn wrap(&self, with: WithQueries, rel: Rel) -> Rel {
        self.wrap_with(with.0, rel)
    }

    /// The table to write, visible in the level by its name or alias.
    pub fn add_target(
        &mut self,
        name: &QualifiedName,
        alias: Option<&Ident>,
    ) -> Result<WriteTarget> {
        let table = self.find_table(name)?;
        self.add_table(table, alias)
    }

    /// As [`Binder::add_target`], for a table already found.
    pub fn add_table(
        &mut self,
        table: Arc<TableDescriptor>,
        alias: Option<&Ident>,
    ) -> Result<WriteTarget> {
        let alias = alias.map(|name| Alias { name: name.clone(), columns: Vec::new() });
        let (rel, source) = self.scan(table.clone(), alias.as_ref())?;
        let Rel::Scan(mut scan) = rel else { return Err(Error::internal("no scan of a table")) };
        self.level().sources.push(source);
        let columns = scan.columns.iter().map(|(_, column)| column.clone()).collect();
        let level = self.levels.len() - 1;
        let row_key = self.new_id(level, Producer::Other, 0);
        scan.row_key = Some(row_key);
        Ok(WriteTarget { table, columns, scan: *scan, row_key })
    }

    /// Makes a row visible under a name: EXCLUDED, or the row as it will be stored.
    pub fn add_row(&mut self, name: &str, columns: &[Column], qualified_only: bool) {
        let visible = columns.iter().map(scope_column).collect();
        let mut source = Source::new(Arc::from(name), visible);
        source.by_column = !qualified_only;
        self.mention(&source);
        self.level().sources.push(source);
    }

    /// Fresh columns like those of a table, for [`Binder::add_row`].
    pub fn row_of(&mut self, table: &TableDescriptor) -> Vec<Column> {
        let columns = table.columns.iter().map(|column| {
            let origin = Some((table.id.0, column.id));
            self.source_column(Arc::from(column.name.as_str()), column.ty, origin)
        });
        columns.collect()
    }

    /// FROM or USING beside the target: none if the list is empty.
    pub fn more_sources(&mut self, items: &[FromItem]) -> Result<Option<Rel>> {
        let target = self.level().sources.clone();
        for source in &mut self.level().sources {
            source.lateral_only = true;
            source.lateral_ok = false;
            source.written = true;
        }
        let rel = self.from_clause(items)?;
        debug_assert!(self.level().sources.len() >= target.len());
        Ok(rel)
    }

    /// RETURNING over what is visible in the level.
    pub fn returning(&mut self, targets: &[Target]) -> Result<Returning> {
        if targets.is_empty() {
            return Ok(Returning::default());
        }
        let mut outputs = self.in_clause(Clause::Returning, |b| b.targets(targets))?;
        for output in &mut outputs {
            let at = output.at;
            self.settle_output(output, at)?;
        }
        Ok(Returning { exprs: self.project(&outputs) })
    }

    /// A DEFAULT or CHECK that a descriptor keeps as text, over the rows visible in the level.
    /// Its errors have no position: the text is not the client's.
    pub fn stored_expression(&mut self, text: &str, clause: Clause) -> Result<Expr> {
        let ast = super::super::parse_expression(text)?;
        let statement = std::mem::replace(&mut self.text, Arc::from(text));
        let bound = self.bind_in(&ast, clause);
        self.text = statement;
        bound.map_err(|e| {
            let fields = e.into_fields();
            let mut error = Error::new(fields.code, fields.message);
            if let Some(detail) = fields.detail {
                error = error.with_detail(detail);
            }
            error
        })
    }

    /// The DEFAULT of a column as a value of its type; NULL if it has none.
    pub fn default_value(
        &mut self,
        default: Option<&str>,
        ty: SqlType,
        name: &str,
    ) -> Result<Expr> {
        let Some(text) = default else {
            return Ok(Expr::Literal(crate::types::Datum::Null, ty));
        };
        let bound = self.scoped(|b| b.stored_expression(text, Clause::ColumnDefault))?;
        self.coerce_assign(bound, ty, name, 0)
    }

    /// A CHECK condition over the rows visible in the level.
    pub fn check_condition(&mut self, text: &str) -> Result<Expr> {
        let bound = self.stored_expression(text, Clause::Check)?;
        self.condition(bound, "CHECK", 0)
    }

    /// A value for a column as SQL wrote it.
    pub fn assigned_value(
        &mut self,
        ast: &ast::Expr,
        clause: Clause,
        ty: SqlType,
        column: &str,
    ) -> Result<Expr> {
        let bound = self.bind_in(ast, clause)?;
        let at = match bound.ty() {
            SqlType::UNKNOWN => ast.at,
            _ => ast.start(),
        };
        self.coerce_assign(bound, ty, column, at)
    }
}

/// The queries of a WITH clause.
pub struct WithQueries(Vec<BoundCte>);
