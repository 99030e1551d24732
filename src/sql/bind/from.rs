//! FROM: tables, subqueries and functions, and what of them each item can see.

use std::sync::Arc;

use super::super::ast::{self, Alias, ExprKind, FromItem, Ident, Offset, QualifiedName, TypeName};
use super::super::bound::{Call, Column, Expr, JoinKind, Rel, Scan};
use super::Binder;
use super::call::set_outputs;
use super::level::{Clause, Producer};
use super::scope::{Mention, ScopeColumn, Source};
use crate::error::{Error, Result, SqlState};
use crate::functions::FunctionKind;
use crate::types::descriptor::TableDescriptor;
use crate::types::{BaseType, SqlType};

/// The function whose rows are those of Parquet files.
const READ_PARQUET: &str = "read_parquet";

/// An item of FROM bound: what it produces, and the names it has.
pub(super) struct Item {
    pub rel: Rel,
    pub sources: Vec<Source>,
}

impl Binder<'_> {
    /// The whole FROM list; none if it is empty. Its sources become the level's.
    pub(super) fn from_clause(&mut self, items: &[FromItem]) -> Result<Option<Rel>> {
        let mut whole: Option<Rel> = None;
        for item in items {
            let mark = self.mark();
            let bound = self.from_item(item)?;
            self.check_conflicts(&self.levels[self.levels.len() - 1].sources, &bound.sources)?;
            let lateral = self.is_lateral(mark);
            whole = Some(match whole {
                None => bound.rel,
                Some(left) => Rel::Join {
                    left: Box::new(left),
                    right: Box::new(bound.rel),
                    kind: JoinKind::Inner,
                    on: None,
                    lateral,
                },
            });
            for mut source in bound.sources {
                source.lateral_only = true;
                source.lateral_ok = true;
                self.level().sources.push(source);
            }
        }
        for source in &mut self.level().sources {
            source.lateral_only = false;
        }
        Ok(whole)
    }

    /// Where the next item's columns and uses begin.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.columns.len(), self.levels.last().map_or(0, |l| l.uses.len()))
    }

    /// Whether what was bound since the mark uses columns made before it.
    pub(super) fn is_lateral(&self, (first_own, first_use): (usize, usize)) -> bool {
        let uses = self.levels.last().map_or(&[][..], |l| &l.uses[first_use..]);
        uses.iter().any(|(id, _)| (id.0 as usize) < first_own)
    }

    /// 42712 if two items have one name.
    pub(super) fn check_conflicts(&self, left: &[Source], right: &[Source]) -> Result<()> {
        for a in left.iter().filter(|s| s.by_name) {
            for b in right.iter().filter(|s| s.by_name && s.name == a.name) {
                let other_tables = match (&a.table, &b.table) {
                    (Some(x), Some(y)) => !a.aliased && !b.aliased && x.id != y.id,
                    _ => false,
                };
                if !other_tables {
                    let message = format!("table name \"{}\" specified more than once", b.name);
                    return Err(Error::new(SqlState::DUPLICATE_ALIAS, message));
                }
            }
        }
        Ok(())
    }

    pub(super) fn from_item(&mut self, item: &FromItem) -> Result<Item> {
        match item {
            FromItem::Table { name, alias } => self.table_item(name, alias.as_ref()),
            FromItem::Query { lateral, query, alias, at } => {
                self.query_item(*lateral, query, alias.as_ref(), *at)
            }
            FromItem::Function { calls, ordinality, alias, definitions, .. } => {
                self.function_item(calls, *ordinality, alias.as_ref(), definitions)
            }
            FromItem::Join(join) => super::super::parser::with_stack(|| self.join(join)),
        }
    }

    /// Makes columns produced further in columns of this query's FROM.
    pub(super) fn adopt(&mut self, columns: &[Column]) {
        let level = self.levels.len() as u32 - 1;
        for column in columns {
            let info = &mut self.columns[column.id.0 as usize];
            info.level = level;
            info.producer = Producer::Source;
        }
    }

    /// A fresh column of this query's FROM.
    pub(super) fn source_column(
        &mut self,
        name: Arc<str>,
        ty: SqlType,
        origin: Option<(u32, crate::types::descriptor::ColumnId)>,
    ) -> Column {
        let level = self.levels.len() - 1;
        Column { id: self.new_id(level, Producer::Source, 0), name, ty, origin }
    }

    fn table_item(&mut self, name: &QualifiedName, alias: Option<&Alias>) -> Result<Item> {
        if let [name] = name.as_slice()
            && let Some(item) = self.cte_item(name, alias)?
        {
            return Ok(item);
        }
        let table = self.find_table(name)?;
        let (rel, source) = self.scan(table, alias)?;
        Ok(Item { rel, sources: vec![source] })
    }

    /// The table of that name. 42P01 if there is none.
    pub fn find_table(&self, name: &QualifiedName) -> Result<Arc<TableDescriptor>> {
        let at = name[0].at;
        let (schema, table) = match name.as_slice() {
            [table] => (None, table),
            [schema, table] => (Some(&*schema.name), table),
            [database, schema, table] if &*database.name == self.catalog.database_name() => {
                (Some(&*schema.name), table)
            }
            _ => {
                let whole: Vec<&str> = name.iter().map(|p| &*p.name).collect();
                let (code, what) = match name.len() {
                    3 => (
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "cross-database references are not implemented: ",
                    ),
                    _ => {
                        (SqlState::SYNTAX_ERROR, "improper relation name (too many dotted names): ")
                    }
                };
                return Err(self.error(code, format!("{what}\"{}\"", whole.join(".")), at));
            }
        };
        let path = &self.context.session.search_path;
        self.catalog.table(schema, &table.name, path).ok_or_else(|| {
            let schema = schema.map(|s| format!("{s}.")).unwrap_or_default();
            let message = format!("relation \"{schema}{}\" does not exist", table.name);
            let error = self.error(SqlState::UNDEFINED_TABLE, message, at);
            if schema.is_empty() && self.is_future_cte(&table.name) {
                return error
                    .with_detail(format!(
                        "There is a WITH item named \"{}\", but it cannot be referenced from this \
                         part of the query.",
                        table.name
                    ))
                    .with_hint(
                        "Use WITH RECURSIVE, or re-order the WITH items to remove forward \
                         references.",
                    );
            }
            error
        })
    }

    /// A table's occurrence with all its columns.
    pub(super) fn scan(
        &mut self,
        table: Arc<TableDescriptor>,
        alias: Option<&Alias>,
    ) -> Result<(Rel, Source)> {
        let name: Arc<str> = match alias {
            Some(alias) => alias.name.name.clone(),
            None => Arc::from(table.name.as_str()),
        };
        let mut columns = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let origin = Some((table.id.0, column.id));
            let made = self.source_column(Arc::from(column.name.as_str()), column.ty, origin);
            columns.push((column.id, made));
        }
        let visible = columns.iter().map(|(_, column)| scope_column(column)).collect();
        let mut source = Source::new(name.clone(), visible);
        source.table = Some(table.clone());
        source.aliased = alias.is_some();
        self.rename(&mut source, alias)?;
        self.mention(&source);
        let scan = Scan {
            table,
            alias: name,
            columns,
            filter: Vec::new(),
            lock: None,
            hint: None,
            row_key: None,
        };
        Ok((Rel::Scan(Box::new(scan)), source))
    }

    pub(super) fn mention(&mut self, source: &Source) {
        let mention = Mention::from(source);
        self.level().mentions.push(mention);
    }

    /// Gives the first columns the names of an alias's list.
    pub(super) fn rename(&self, source: &mut Source, alias: Option<&Alias>) -> Result<()> {
        let Some(alias) = alias else { return Ok(()) };
        if alias.columns.len() > source.columns.len() {
            let message = format!(
                "table \"{}\" has {} columns available but {} columns specified",
                source.name,
                source.columns.len(),
                alias.columns.len()
            );
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
        }
        for (column, name) in source.columns.iter_mut().zip(&alias.columns) {
            column.name = name.name.clone();
        }
        Ok(())
    }

    fn query_item(
        &mut self,
        lateral: bool,
        query: &ast::Query,
        alias: Option<&Alias>,
        _at: Offset,
    ) -> Result<Item> {
        let before = std::mem::replace(&mut self.level().lateral, lateral);
        let bound = self.in_clause(Clause::FromSubselect, |b| b.query(query, true));
        self.level().lateral = before;
        let bound = bound?;
        self.adopt(&bound.columns);
        let name = alias.map_or_else(|| Arc::from(""), |a| a.name.name.clone());
        let visible = bound.columns.iter().map(scope_column).collect();
        let mut source = Source::new(name, visible);
        self.rename(&mut source, alias)?;
        self.mention(&source);
        Ok(Item { rel: bound.rel, sources: vec![source] })
    }

    fn function_item(
        &mut self,
        calls: &[ast::Expr],
        ordinality: bool,
        alias: Option<&Alias>,
        definitions: &[(Ident, TypeName)],
    ) -> Result<Item> {
        if let Some((name, _)) = definitions.first() {
            return Err(self.unsupported("a column definition list", name.at));
        }
        if let [call] = calls
            && let Some(paths) = self.read_files(call)?
        {
            if ordinality {
                return Err(self.unsupported("WITH ORDINALITY of read_parquet", call.at));
            }
            let found = self.context.session.state.files(paths);
            let table = found.map_err(|e| e.at(call.at))?;
            let (rel, source) = self.scan(Arc::new(table), alias)?;
            return Ok(Item { rel, sources: vec![source] });
        }
        let calls = split_unnest(calls);
        let mut sets = Vec::new();
        let mut columns: Vec<Column> = Vec::new();
        let mut scalars = Vec::new();
        for ast in &calls {
            let before = std::mem::replace(&mut self.level().lateral, true);
            let bound = self.from_call(ast);
            self.level().lateral = before;
            let (bound, outputs) = bound?;
            let single = outputs.len() == 1 && calls.len() == 1;
            let mut made = Vec::with_capacity(outputs.len());
            for (name, ty) in outputs {
                let name: Arc<str> = match alias {
                    Some(alias) if single => alias.name.name.clone(),
                    _ => name.into(),
                };
                made.push(self.source_column(name, ty, None));
            }
            columns.extend(made.iter().cloned());
            match bound {
                FromCall::Set(call) => sets.push((call, made)),
                FromCall::Scalar(expr) => scalars.push((expr, made)),
            }
        }
        let ordinality =
            ordinality.then(|| self.source_column("ordinality".into(), SqlType::INT8, None));
        let rel = self.function_rel(sets, scalars, ordinality.clone(), calls[0].at)?;
        columns.extend(ordinality);
        let name = match alias {
            Some(alias) => alias.name.name.clone(),
            None => target_name(&calls[0]),
        };
        let mut source = Source::new(name, columns.iter().map(scope_column).collect());
        self.rename(&mut source, alias)?;
        self.mention(&source);
        Ok(Item { rel, sources: vec![source] })
    }

    /// The paths of a call of `read_parquet`: literals, as the columns depend on them.
    fn read_files(&self, ast: &ast::Expr) -> Result<Option<Vec<String>>> {
        let ExprKind::Call(call) = &ast.kind else { return Ok(None) };
        let ours = match call.name.as_slice() {
            [name] => &*name.name == READ_PARQUET,
            [schema, name] => &*schema.name == "pg_catalog" && &*name.name == READ_PARQUET,
            _ => false,
        };
        if !ours {
            return Ok(None);
        }
        let mut paths = Vec::new();
        for argument in &call.args {
            let items = match &argument.expr.kind {
                ExprKind::Array(items) => items.as_slice(),
                _ => std::slice::from_ref(&argument.expr),
            };
            for item in items {
                let ExprKind::String(path) = &item.kind else {
                    let what = "read_parquet of paths that are no literals";
                    return Err(self.unsupported(what, item.at));
                };
                paths.push(path.to_string());
            }
        }
        if paths.is_empty() || call.over.is_some() {
            let message = "read_parquet needs the path of a file";
            return Err(self.error(SqlState::UNDEFINED_FUNCTION, message, ast.at));
        }
        Ok(Some(paths))
    }

    /// Set-returning calls in step; values are one row.
    fn function_rel(
        &mut self,
        sets: Vec<(Call, Vec<Column>)>,
        scalars: Vec<(Expr, Vec<Column>)>,
        ordinality: Option<Column>,
        at: Offset,
    ) -> Result<Rel> {
        if scalars.is_empty() {
            return Ok(Rel::Function { input: None, calls: sets, ordinality, outer: false });
        }
        if !sets.is_empty() {
            return Err(self.unsupported("ROWS FROM of sets and values together", at));
        }
        let mut row = Vec::new();
        let mut columns = Vec::new();
        for (expr, made) in scalars {
            row.push(expr);
            columns.extend(made);
        }
        if let Some(column) = ordinality {
            row.push(Expr::Literal(crate::types::Datum::Int8(1), SqlType::INT8));
            columns.push(column);
        }
        Ok(Rel::Values { rows: vec![row], columns })
    }

    /// A call in FROM, with the names and types of what it produces.
    fn from_call(&mut self, ast: &ast::Expr) -> Result<(FromCall, Vec<(String, SqlType)>)> {
        let name = target_name(ast);
        if let ExprKind::Call(call) = &ast.kind
            && call.over.is_none()
            && let Some(bound) = self.set_call(call, ast.at)?
        {
            let FunctionKind::Set(_, outputs) = bound.function.kind else {
                return Err(Error::internal("a set without outputs"));
            };
            if bound.ty.base == BaseType::Record && outputs.is_empty() {
                let message =
                    "a column definition list is required for functions returning \"record\"";
                return Err(self.error(SqlState::SYNTAX_ERROR, message, ast.at));
            }
            let outputs = set_outputs(&bound, outputs, &name);
            return Ok((FromCall::Set(bound), outputs));
        }
        let expr = self.bind_in(ast, Clause::FromFunction)?;
        let expr = self.resolve_unknown(expr, ast.at)?;
        let ty = expr.ty();
        Ok((FromCall::Scalar(expr), vec![(name.to_string(), ty)]))
    }

    /// A call of a set-returning function; none if the function returns one value.
    fn set_call(&mut self, call: &ast::Call, at: Offset) -> Result<Option<Call>> {
        let named = crate::functions::functions_named(call.name.last().map_or("", |n| &*n.name));
        if !named.iter().any(|f| matches!(f.kind, FunctionKind::Set(..))) {
            return Ok(None);
        }
        self.in_clause(Clause::FromFunction, |b| {
            let args = b.bind_args(call, at)?;
            let actual: Vec<SqlType> = args.iter().map(Expr::ty).collect();
            let resolved = b.resolve_function(call, &actual, at)?;
            if !matches!(resolved.function.kind, FunctionKind::Set(..)) {
                return Ok(None);
            }
            let args = b.arguments(args, &resolved.types, &super::call::places(call))?;
            let function = resolved.function;
            Ok(Some(Call { function, args, ty: resolved.result, position: 0 }))
        })
    }

    /// Columns of all sources that are found without a name, in order: what `*` means.
    pub(super) fn visible_columns(sources: &[Source]) -> impl Iterator<Item = &ScopeColumn> {
        sources.iter().filter(|s| s.by_column).flat_map(|s| &s.columns)
    }
}

/// A call in FROM.
enum FromCall {
    Set(Call),
    Scalar(Expr),
}

/// A produced column as names see it.
pub(super) fn scope_column(column: &Column) -> ScopeColumn {
    ScopeColumn {
        name: column.name.clone(),
        expr: Expr::Column(column.id, column.ty),
        origin: column.origin,
    }
}

/// The name that a call in FROM gives its item.
fn target_name(ast: &ast::Expr) -> Arc<str> {
    super::target::output_name(ast)
}

/// `unnest(a, b)` is two calls in step.
fn split_unnest(calls: &[ast::Expr]) -> Vec<ast::Expr> {
    let mut out = Vec::with_capacity(calls.len());
    for ast in calls {
        match &ast.kind {
            ExprKind::Call(call)
                if call.args.len() > 1
                    && call.name.last().is_some_and(|n| &*n.name == "unnest")
                    && !call.variadic =>
            {
                for argument in &call.args {
                    let one = ast::Call { args: vec![argument.clone()], ..(**call).clone() };
                    out.push(ast::Expr::new(ExprKind::Call(Box::new(one)), ast.at));
                }
            }
            _ => out.push(ast.clone()),
        }
    }
    out
}
