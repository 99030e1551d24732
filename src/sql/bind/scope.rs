//! What names mean: columns and tables of the queries around an expression, innermost first.

use std::sync::Arc;

use super::super::ast::{Ident, Offset};
use super::super::bound::Expr;
use super::Binder;
use super::level::Level;
use crate::error::{Error, Result, SqlState};
use crate::types::SqlType;
use crate::types::descriptor::{ColumnId, TableDescriptor};

/// Names within this edit distance are offered as a hint.
const NAME_DISTANCE_MAX: usize = 3;

/// A column that a name can mean.
#[derive(Clone, Debug)]
pub struct ScopeColumn {
    /// Its name here.
    pub name: Arc<str>,
    /// What it is: a column, or both sides of a FULL JOIN USING.
    pub expr: Expr,
    /// The table column it is, unchanged.
    pub origin: Option<(u32, ColumnId)>,
}

impl ScopeColumn {
    /// Its type.
    pub fn ty(&self) -> SqlType {
        self.expr.ty()
    }
}

/// An item of FROM as names see it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its alias, or its name.
    pub name: Arc<str>,
    /// The table it is, if it is one.
    pub table: Option<Arc<TableDescriptor>>,
    /// Whether an alias was written: then the table's own name means nothing.
    pub aliased: bool,
    /// Its columns.
    pub columns: Vec<ScopeColumn>,
    /// Whether `name.column` finds it.
    pub by_name: bool,
    /// Whether its columns are found without its name.
    pub by_column: bool,
    /// Whether only LATERAL items can see it now.
    pub lateral_only: bool,
    /// Whether they may: not across the nullable side of a join.
    pub lateral_ok: bool,
    /// Whether it is on the nullable side of an outer join: its row may be missing.
    pub nullable: bool,
    /// Whether the statement writes it.
    pub written: bool,
}

impl Source {
    /// An item that is found by its name and by its columns.
    pub fn new(name: Arc<str>, columns: Vec<ScopeColumn>) -> Source {
        Source {
            name,
            table: None,
            aliased: true,
            columns,
            by_name: true,
            by_column: true,
            lateral_only: false,
            lateral_ok: true,
            nullable: false,
            written: false,
        }
    }
}

/// An item of FROM of which only the name is kept, for messages.
#[derive(Clone, Debug)]
pub struct Mention {
    name: Arc<str>,
    table: Option<Arc<TableDescriptor>>,
    aliased: bool,
}

impl From<&Source> for Mention {
    fn from(source: &Source) -> Mention {
        let Source { name, table, aliased, .. } = source;
        Mention { name: name.clone(), table: table.clone(), aliased: *aliased }
    }
}

/// A column found, and the level whose FROM it is in.
pub(super) struct Found {
    pub column: ScopeColumn,
    pub level: usize,
}

impl Binder<'_> {
    /// The column that an unqualified name means; none if there is no such column anywhere.
    pub(super) fn find_column(&self, name: &str, at: Offset) -> Result<Option<Found>> {
        for (depth, level) in self.levels.iter().enumerate().rev() {
            let mut found: Option<&ScopeColumn> = None;
            for source in &level.sources {
                if !source.by_column || (source.lateral_only && !level.lateral) {
                    continue;
                }
                for column in source.columns.iter().filter(|c| &*c.name == name) {
                    if found.is_some() {
                        return Err(self.ambiguous(name, at));
                    }
                    self.check_lateral(source, at)?;
                    found = Some(column);
                }
            }
            if let Some(column) = found {
                return Ok(Some(Found { column: column.clone(), level: depth }));
            }
        }
        Ok(None)
    }

    fn ambiguous(&self, name: &str, at: Offset) -> Error {
        let message = format!("column reference \"{name}\" is ambiguous");
        self.error(SqlState::AMBIGUOUS_COLUMN, message, at)
    }

    fn check_lateral(&self, source: &Source, at: Offset) -> Result<()> {
        if !source.lateral_only || source.lateral_ok {
            return Ok(());
        }
        let message =
            format!("invalid reference to FROM-clause entry for table \"{}\"", source.name);
        let error = self.error(SqlState::INVALID_COLUMN_REFERENCE, message, at);
        if source.written {
            return Err(error.with_hint(format!(
                "There is an entry for table \"{}\", but it cannot be referenced from this part \
                 of the query.",
                source.name
            )));
        }
        let detail = "The combining JOIN type must be INNER or LEFT for a LATERAL reference.";
        Err(error.with_detail(detail))
    }

    /// The column of a source, by name.
    pub(super) fn column_of(
        &self,
        source: &Source,
        name: &str,
        at: Offset,
    ) -> Result<Option<ScopeColumn>> {
        let mut matches = source.columns.iter().filter(|c| &*c.name == name);
        let found = matches.next().cloned();
        if matches.next().is_some() { Err(self.ambiguous(name, at)) } else { Ok(found) }
    }

    /// The item of FROM that a qualifier means, and its level.
    /// `whole` is the reference that the qualifier stands in, for messages.
    pub(super) fn find_source(
        &self,
        qualifier: &[Ident],
        whole: &[Ident],
    ) -> Result<Option<(usize, usize)>> {
        let (schema, name) = self.split_qualifier(qualifier, whole)?;
        let table = match schema {
            Some(schema) => match self.catalog.table(Some(&schema.name), &name.name, &[]) {
                Some(table) => Some(table),
                None => return Ok(None),
            },
            None => None,
        };
        for (depth, level) in self.levels.iter().enumerate().rev() {
            let mut found = None;
            for (i, source) in level.sources.iter().enumerate() {
                if !source.by_name || (source.lateral_only && !level.lateral) {
                    continue;
                }
                let matches = match &table {
                    Some(table) => {
                        !source.aliased && source.table.as_ref().is_some_and(|t| t.id == table.id)
                    }
                    None => source.name == name.name,
                };
                if matches {
                    if found.is_some() {
                        let message = format!("table reference \"{}\" is ambiguous", name.name);
                        return Err(self.error(
                            SqlState::AMBIGUOUS_ALIAS,
                            message,
                            qualifier[0].at,
                        ));
                    }
                    self.check_lateral(source, qualifier[0].at)?;
                    found = Some((depth, i));
                }
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Schema and name of a qualifier. 0A000 for another database.
    fn split_qualifier<'q>(
        &self,
        qualifier: &'q [Ident],
        whole: &[Ident],
    ) -> Result<(Option<&'q Ident>, &'q Ident)> {
        match qualifier {
            [name] => Ok((None, name)),
            [schema, name] => Ok((Some(schema), name)),
            [database, schema, name] if &*database.name == self.catalog.database_name() => {
                Ok((Some(schema), name))
            }
            _ => {
                let whole: Vec<&str> = whole.iter().map(|p| &*p.name).collect();
                let (message, code) = if qualifier.len() == 3 {
                    let message = "cross-database references are not implemented";
                    (message, SqlState::FEATURE_NOT_SUPPORTED)
                } else {
                    ("improper qualified name (too many dotted names)", SqlState::SYNTAX_ERROR)
                };
                let message = format!("{message}: {}", whole.join("."));
                Err(self.error(code, message, qualifier[0].at))
            }
        }
    }

    /// 42P01 for a qualifier that no visible item of FROM has.
    pub(super) fn missing_source(&self, qualifier: &[Ident]) -> Error {
        let Some(name) = qualifier.last() else { return Error::internal("an empty qualifier") };
        let at = qualifier[0].at;
        let path = &self.context.session.search_path;
        let schema = qualifier.len().checked_sub(2).map(|i| &*qualifier[i].name);
        let table = self.catalog.table(schema, &name.name, path);
        let is_it = |mention: &Mention| match (&table, &mention.table) {
            (Some(wanted), Some(table)) if wanted.id == table.id => true,
            _ => schema.is_none() && mention.name == name.name,
        };
        let found = self.levels.iter().rev().flat_map(|l| l.mentions.iter()).find(|m| is_it(m));
        let Some(mention) = found else {
            let message = format!("missing FROM-clause entry for table \"{}\"", name.name);
            return self.error(SqlState::UNDEFINED_TABLE, message, at);
        };
        let message = format!("invalid reference to FROM-clause entry for table \"{}\"", name.name);
        let alias = Ident { name: mention.name.clone(), at };
        let visible = mention.aliased
            && mention.name != name.name
            && matches!(self.find_source(std::slice::from_ref(&alias), &[]), Ok(Some(_)));
        let hint = if visible {
            format!("Perhaps you meant to reference the table alias \"{}\".", mention.name)
        } else {
            format!(
                "There is an entry for table \"{}\", but it cannot be referenced from this part of \
                 the query.",
                mention.name
            )
        };
        self.error(SqlState::UNDEFINED_TABLE, message, at).with_hint(hint)
    }

    /// 42703 for a column that is nowhere.
    pub(super) fn missing_column(&self, qualifier: &[Ident], name: &Ident) -> Error {
        let at = qualifier.first().map_or(name.at, |q| q.at);
        let relation = qualifier.last();
        let message = match relation {
            Some(relation) => format!("column {}.{} does not exist", relation.name, name.name),
            None => format!("column \"{}\" does not exist", name.name),
        };
        let error = self.error(SqlState::UNDEFINED_COLUMN, message, at);
        match self.similar_column(relation.map(|r| &*r.name), &name.name) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// A hint about a column that was perhaps meant.
    fn similar_column(&self, relation: Option<&str>, name: &str) -> Option<String> {
        let mut best = usize::MAX;
        let mut found: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for level in self.levels.iter().rev() {
            for source in level.sources.iter().filter(|s| s.by_name) {
                let penalty = relation.map_or(0, |r| distance(r, &source.name));
                for column in &source.columns {
                    if &*column.name == name && penalty == 0 {
                        return Some(format!(
                            "There is a column named \"{name}\" in table \"{}\", but it cannot \
                             be referenced from this part of the query.",
                            source.name
                        ));
                    }
                    let far = distance(name, &column.name) + penalty;
                    if far > NAME_DISTANCE_MAX || far > name.chars().count() / 2 + penalty {
                        continue;
                    }
                    if far < best {
                        best = far;
                        found.clear();
                    }
                    if far == best {
                        found.push((source.name.clone(), column.name.clone()));
                    }
                }
            }
        }
        let offer = |(source, column): &(Arc<str>, Arc<str>)| format!("\"{source}.{column}\"");
        match found.as_slice() {
            [one] => Some(format!("Perhaps you meant to reference the column {}.", offer(one))),
            [one, other] => Some(format!(
                "Perhaps you meant to reference the column {} or the column {}.",
                offer(one),
                offer(other)
            )),
            _ => None,
        }
    }

    /// Notes that a column of a level is used at `at`.
    pub(super) fn note_use(&mut self, found: &Found, at: Offset) {
        let level: &mut Level = &mut self.levels[found.level];
        match &found.column.expr {
            Expr::Column(id, _) => level.uses.push((*id, at)),
            Expr::Coalesce(sides, _) => {
                level.uses.extend(sides.iter().filter_map(|side| match side {
                    Expr::Column(id, _) => Some((*id, at)),
                    _ => None,
                }));
            }
            _ => {}
        }
    }
}

/// Levenshtein's distance, all edits alike.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > NAME_DISTANCE_MAX * 4 {
        return usize::MAX / 4;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
