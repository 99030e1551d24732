//! Joins: conditions, and the columns that USING and NATURAL merge.

use std::sync::Arc;

use super::super::ast::{Ident, Join, JoinCondition, JoinType};
use super::super::bound::{Expr, JoinKind, Rel};
use super::common::common_type;
use super::from::Item;
use super::level::Clause;
use super::scope::{ScopeColumn, Source};
use super::{Binder, operator_name};
use crate::error::{Error, Result, SqlState};

/// One pair of columns that USING merges.
struct Merged {
    name: Arc<str>,
    left: ScopeColumn,
    right: ScopeColumn,
}

impl Binder<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Result<Item> {
        let nullable_left = matches!(join.kind, JoinType::Right | JoinType::Full);
        let nullable_right = matches!(join.kind, JoinType::Left | JoinType::Full);
        let left = self.join_side(nullable_left, |b| b.from_item(&join.left))?;
        // The left side is visible to LATERAL items of the right, unless it is nullable.
        let lateral_ok = !nullable_left;
        let visible = self.level().sources.len();
        for source in &left.sources {
            let mut source = source.clone();
            source.lateral_only = true;
            source.lateral_ok = lateral_ok;
            self.level().sources.push(source);
        }
        let mark = self.mark();
        let right = self.join_side(nullable_right, |b| b.from_item(&join.right));
        self.level().sources.truncate(visible);
        let right = right?;
        let lateral = self.is_lateral(mark);
        self.check_conflicts(&left.sources, &right.sources)?;

        let Item { rel: left_rel, sources: mut left } = left;
        let Item { rel: right_rel, sources: mut right } = right;
        left.iter_mut().for_each(|source| source.nullable |= nullable_left);
        right.iter_mut().for_each(|source| source.nullable |= nullable_right);
        let (on, merged, alias) = match &join.condition {
            JoinCondition::None => (None, Vec::new(), None),
            JoinCondition::On(ast) => {
                left.extend(right);
                let on = self.join_condition(&mut left, ast)?;
                let rel = join_rel(join.kind, left_rel, right_rel, Some(on), lateral);
                return self.join_item(rel, left, Vec::new(), join, None);
            }
            JoinCondition::Using(names, alias) => {
                let merged = self.using_columns(&left, &right, names)?;
                (self.merged_condition(&merged)?, merged, alias.as_ref())
            }
            JoinCondition::Natural => {
                let merged = self.natural_columns(&left, &right)?;
                (self.merged_condition(&merged)?, merged, None)
            }
        };
        let uses_merge = !matches!(join.condition, JoinCondition::None);
        let rel = join_rel(join.kind, left_rel, right_rel, on, lateral);
        if !uses_merge {
            left.extend(right);
            return self.join_item(rel, left, Vec::new(), join, None);
        }
        let columns = self.merge(join.kind, &left, &right, merged)?;
        left.extend(right);
        self.join_item(rel, left, columns, join, alias)
    }

    fn join_side(
        &mut self,
        nullable: bool,
        f: impl FnOnce(&mut Self) -> Result<Item>,
    ) -> Result<Item> {
        if nullable { self.recursion_barrier("an outer join", f) } else { f(self) }
    }

    /// ON sees the join's two sides, and queries further out.
    fn join_condition(
        &mut self,
        sides: &mut Vec<Source>,
        ast: &super::super::ast::Expr,
    ) -> Result<Expr> {
        std::mem::swap(&mut self.level().sources, sides);
        let bound = self.bind_in(ast, Clause::JoinOn);
        std::mem::swap(&mut self.level().sources, sides);
        self.condition(bound?, "JOIN/ON", ast.start())
    }

    /// The names that a join has: with merged columns or an alias, its own.
    fn join_item(
        &mut self,
        rel: Rel,
        mut sources: Vec<Source>,
        columns: Vec<ScopeColumn>,
        join: &Join,
        using_alias: Option<&Ident>,
    ) -> Result<Item> {
        let merges = matches!(join.condition, JoinCondition::Using(..) | JoinCondition::Natural);
        if let Some(alias) = &join.alias {
            let columns = match merges {
                true => columns,
                false => Self::visible_columns(&sources).cloned().collect(),
            };
            let mut source = Source::new(alias.name.name.clone(), columns);
            if alias.columns.len() > source.columns.len() {
                let message = format!(
                    "join expression \"{}\" has {} columns available but {} columns specified",
                    source.name,
                    source.columns.len(),
                    alias.columns.len()
                );
                return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
            }
            self.rename(&mut source, Some(alias))?;
            self.mention(&source);
            return Ok(Item { rel, sources: vec![source] });
        }
        if !merges {
            return Ok(Item { rel, sources });
        }
        for source in &mut sources {
            source.by_column = false;
        }
        if let Some(alias) = using_alias {
            let count = match &join.condition {
                JoinCondition::Using(names, _) => names.len(),
                _ => 0,
            };
            let mut source = Source::new(alias.name.clone(), columns[..count].to_vec());
            source.by_column = false;
            self.check_conflicts(&sources, std::slice::from_ref(&source))?;
            self.mention(&source);
            sources.push(source);
        }
        let mut whole = Source::new(Arc::from("unnamed_join"), columns);
        whole.by_name = false;
        sources.push(whole);
        Ok(Item { rel, sources })
    }

    fn using_columns(
        &self,
        left: &[Source],
        right: &[Source],
        names: &[Ident],
    ) -> Result<Vec<Merged>> {
        let mut merged: Vec<Merged> = Vec::with_capacity(names.len());
        for name in names {
            if merged.iter().any(|m| m.name == name.name) {
                let message =
                    format!("column name \"{}\" appears more than once in USING clause", name.name);
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
            let left = self.using_column(left, name, "left")?;
            let right = self.using_column(right, name, "right")?;
            merged.push(Merged { name: name.name.clone(), left, right });
        }
        Ok(merged)
    }

    fn using_column(&self, side: &[Source], name: &Ident, which: &str) -> Result<ScopeColumn> {
        let mut found = Self::visible_columns(side).filter(|c| c.name == name.name);
        let (code, message) = match (found.next(), found.next()) {
            (Some(column), None) => return Ok(column.clone()),
            (None, _) => (
                SqlState::UNDEFINED_COLUMN,
                format!(
                    "column \"{}\" specified in USING clause does not exist in {which} table",
                    name.name
                ),
            ),
            (Some(_), Some(_)) => (
                SqlState::AMBIGUOUS_COLUMN,
                format!(
                    "common column name \"{}\" appears more than once in {which} table",
                    name.name
                ),
            ),
        };
        Err(Error::new(code, message))
    }

    fn natural_columns(&self, left: &[Source], right: &[Source]) -> Result<Vec<Merged>> {
        let mut names: Vec<Ident> = Vec::new();
        for column in Self::visible_columns(left) {
            let shared = Self::visible_columns(right).any(|c| c.name == column.name);
            if shared && !names.iter().any(|n| n.name == column.name) {
                names.push(Ident { name: column.name.clone(), at: 0 });
            }
        }
        self.using_columns(left, right, &names)
    }

    fn merged_condition(&mut self, merged: &[Merged]) -> Result<Option<Expr>> {
        let equal = operator_name("=");
        let mut tests = Vec::with_capacity(merged.len());
        for pair in merged {
            let (left, right) = (pair.left.expr.clone(), pair.right.expr.clone());
            let test = self.binary(&equal, left, right, 0, [0, 0])?;
            tests.push(self.condition(test, "JOIN/USING", 0)?);
        }
        Ok(match tests.len() {
            0 => None,
            1 => tests.pop(),
            _ => Some(Expr::And(tests)),
        })
    }

    /// The join's columns: merged ones first, then the rest of the left, then of the right.
    fn merge(
        &mut self,
        kind: JoinType,
        left: &[Source],
        right: &[Source],
        merged: Vec<Merged>,
    ) -> Result<Vec<ScopeColumn>> {
        let mut columns = Vec::new();
        let names: Vec<Arc<str>> = merged.iter().map(|m| m.name.clone()).collect();
        for Merged { name, left, right } in merged {
            let types = [left.ty(), right.ty()];
            let mut common = common_type(types)
                .map_err(|m| Error::new(SqlState::DATATYPE_MISMATCH, m.message("JOIN/USING")))?;
            common.typmod = super::common::common_modifier(types, common);
            let (left_origin, right_origin) = (left.origin, right.origin);
            let left = self.coerce_to_common(left.expr, common, "JOIN/USING", 0)?;
            let right = self.coerce_to_common(right.expr, common, "JOIN/USING", 0)?;
            let is_column = |e: &Expr| matches!(e, Expr::Column(..));
            let (expr, origin) = match kind {
                JoinType::Inner if !is_column(&left) && is_column(&right) => (right, right_origin),
                JoinType::Inner | JoinType::Left => (left, left_origin),
                JoinType::Right => (right, right_origin),
                JoinType::Full => (Expr::Coalesce(vec![left, right], common), None),
            };
            let origin = origin.filter(|_| is_column(&expr));
            columns.push(ScopeColumn { name, expr, origin });
        }
        let rest = |side: &[Source]| -> Vec<ScopeColumn> {
            Self::visible_columns(side).filter(|c| !names.contains(&c.name)).cloned().collect()
        };
        columns.extend(rest(left));
        columns.extend(rest(right));
        Ok(columns)
    }
}

/// A RIGHT JOIN is a LEFT one with its sides swapped: columns are known by id, not by place.
fn join_rel(kind: JoinType, left: Rel, right: Rel, on: Option<Expr>, lateral: bool) -> Rel {
    let (left, right) = (Box::new(left), Box::new(right));
    match kind {
        JoinType::Inner => Rel::Join { left, right, kind: JoinKind::Inner, on, lateral },
        JoinType::Left => Rel::Join { left, right, kind: JoinKind::Left, on, lateral },
        JoinType::Right => {
            Rel::Join { left: right, right: left, kind: JoinKind::Left, on, lateral: false }
        }
        JoinType::Full => Rel::Join { left, right, kind: JoinKind::Full, on, lateral: false },
    }
}
