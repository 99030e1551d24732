//! WITH: queries that are named once and used by name, recursive ones included.

use std::sync::Arc;

use super::super::ast::{self, Alias, Cte, CteBody, Ident, Offset, QueryBody, SetOperation, With};
use super::super::bound::{Column, Rel, SetOp, Statement};
use super::from::{Item, scope_column};
use super::level::Level;
use super::scope::Source;
use super::{Binder, BoundQuery};
use crate::error::{Error, Result, SqlState};
use crate::types::SqlType;

/// A query of WITH that can be named.
pub struct VisibleCte {
    name: Arc<str>,
    at: Offset,
    number: usize,
    columns: Vec<(Arc<str>, SqlType)>,
    state: State,
    uses: usize,
    /// Whether it writes and gives nothing back.
    mute: bool,
}

/// How far the query itself has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Bound: names mean its result.
    Ready,
    /// A query that is no UNION: it may not name itself.
    Plain,
    /// A statement that writes: it may not name itself.
    Writes,
    /// The first part of a recursive one: it may not name itself.
    Base,
    /// The second part: its name means the rows of the last round. Why it may not be named
    /// where the binder is now, if so.
    Step(Option<&'static str>),
}

/// A query of WITH bound, for [`Rel::With`].
#[derive(Debug)]
pub struct BoundCte {
    level: usize,
    number: usize,
    query: Statement,
}

/// The queries of a WITH clause that are still to be bound.
#[derive(Default)]
pub struct PendingCtes {
    names: Vec<Arc<str>>,
    /// With RECURSIVE they may be named before they are written: bound when that happens.
    queries: Vec<Cte>,
    /// Numbers of those being bound, the one that named the next before it.
    open: Vec<usize>,
    /// Those bound, each after what it names.
    bound: Vec<BoundCte>,
}

impl Binder<'_> {
    /// Binds the queries of WITH; they are visible in the level from here on.
    pub(super) fn with_clause(&mut self, with: &With) -> Result<Vec<BoundCte>> {
        for (i, cte) in with.ctes.iter().enumerate() {
            if with.ctes[..i].iter().any(|c| c.name.name == cte.name.name) {
                let message =
                    format!("WITH query name \"{}\" specified more than once", cte.name.name);
                return Err(self.error(SqlState::DUPLICATE_ALIAS, message, cte.name.at));
            }
        }
        let pending = &mut self.level().pending_ctes;
        pending.names = with.ctes.iter().map(|c| c.name.name.clone()).collect();
        if with.recursive && with.ctes.len() > 1 {
            pending.queries.clone_from(&with.ctes);
        }
        for cte in &with.ctes {
            if self.level().pending_ctes.names.contains(&cte.name.name) {
                self.bind_cte(cte, with.recursive)?;
            }
        }
        let bound = std::mem::take(&mut self.level().pending_ctes.bound);
        if with.ctes.iter().any(Cte::writes) {
            self.with_writes.extend(bound.into_iter().map(|cte| (cte.number, cte.query)));
            return Ok(Vec::new());
        }
        Ok(bound)
    }

    /// Binds one query of the innermost level's WITH.
    fn bind_cte(&mut self, cte: &Cte, recursive: bool) -> Result<()> {
        let level = self.levels.len() - 1;
        let number = self.next_cte;
        self.next_cte += 1;
        let pending = &mut self.level().pending_ctes;
        if recursive {
            pending.names.retain(|n| *n != cte.name.name);
        }
        pending.open.push(number);
        let (query, made) = match &cte.body {
            CteBody::Query(query) => {
                let made = match recursive {
                    true => self.recursive_cte(cte, query, number)?,
                    false => self.query(query, true)?,
                };
                (Statement::Query(made.rel), made.columns)
            }
            _ if level > 0 => {
                let message = "WITH clause containing a data-modifying statement must be at the \
                               top level";
                return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, cte.name.at));
            }
            writes => self.writing_cte(cte, writes, recursive.then_some(number))?,
        };
        let mute = cte.writes() && made.is_empty();
        let columns = self.cte_columns(cte, &made)?;
        let Ident { name, at } = cte.name.clone();
        let pending = &mut self.level().pending_ctes;
        pending.names.retain(|n| *n != name);
        pending.open.pop();
        pending.bound.push(BoundCte { level, number, query });
        let state = State::Ready;
        self.level().ctes.push(VisibleCte { name, at, number, columns, state, uses: 0, mute });
        Ok(())
    }

    /// Binds a statement of WITH that writes. `number`: WITH is recursive.
    fn writing_cte(
        &mut self,
        cte: &Cte,
        body: &CteBody,
        number: Option<usize>,
    ) -> Result<(Statement, Vec<Column>)> {
        if let Some(number) = number {
            let Ident { name, at } = cte.name.clone();
            let (columns, state) = (Vec::new(), State::Writes);
            let known = VisibleCte { name, at, number, columns, state, uses: 0, mute: false };
            self.level().ctes.push(known);
        }
        let bound = match body {
            CteBody::Insert(insert) => self.bind_insert(insert),
            CteBody::Update(update) => self.bind_update(update),
            CteBody::Delete(delete) => self.bind_delete(delete),
            CteBody::Query(_) => Err(Error::internal("a query that does not write")),
        };
        self.level().ctes.retain(|c| Some(c.number) != number);
        bound
    }

    /// Puts the queries that were used around `body`.
    pub(super) fn wrap_with(&self, ctes: Vec<BoundCte>, mut body: Rel) -> Rel {
        for cte in ctes.into_iter().rev() {
            let known = self.levels[cte.level].ctes.iter().find(|c| c.number == cte.number);
            if let Statement::Query(query) = cte.query
                && known.is_some_and(|c| c.uses > 0)
            {
                let (query, inner) = (Box::new(query), Box::new(body));
                body = Rel::With { cte: cte.number, query, body: inner };
            }
        }
        body
    }

    /// A query of a level's WITH that is being bound.
    fn open_cte(&mut self, level: usize, number: usize) -> Result<&mut VisibleCte> {
        let ctes = &mut self.levels[level].ctes;
        let found = ctes.iter_mut().find(|c| c.number == number);
        found.ok_or_else(|| Error::internal("a query of WITH is gone"))
    }

    fn cte_columns(&self, cte: &Cte, made: &[Column]) -> Result<Vec<(Arc<str>, SqlType)>> {
        if cte.columns.len() > made.len() {
            let message = format!(
                "WITH query \"{}\" has {} columns available but {} columns specified",
                cte.name.name,
                made.len(),
                cte.columns.len()
            );
            return Err(self.error(SqlState::INVALID_COLUMN_REFERENCE, message, cte.name.at));
        }
        let named = made.iter().enumerate().map(|(i, column)| {
            let name = cte.columns.get(i).map_or(&column.name, |n| &n.name);
            (name.clone(), column.ty)
        });
        Ok(named.collect())
    }

    /// A query of WITH RECURSIVE, which may turn out not to name itself.
    fn recursive_cte(
        &mut self,
        cte: &Cte,
        query: &ast::Query,
        number: usize,
    ) -> Result<BoundQuery> {
        let union = match &query.body {
            QueryBody::SetOp(operation) if operation.op == SetOp::Union => Some(operation),
            _ => None,
        };
        let state = if union.is_some() { State::Base } else { State::Plain };
        let Ident { name, at } = cte.name.clone();
        let columns = Vec::new();
        let known = VisibleCte { name, at, number, columns, state, uses: 0, mute: false };
        self.level().ctes.push(known);
        let bound = match union {
            Some(operation) => self.recursive_union(cte, query, operation, number),
            None => self.query(query, true),
        };
        self.level().ctes.retain(|c| c.number != number);
        bound
    }

    fn recursive_union(
        &mut self,
        cte: &Cte,
        query: &ast::Query,
        operation: &SetOperation,
        number: usize,
    ) -> Result<BoundQuery> {
        let level = self.levels.len() - 1;
        let Some(with) = &query.with else {
            return self.recursive_sides(cte, query, operation, (number, level));
        };
        self.levels.push(Level::default());
        let ctes = self.with_clause(with)?;
        let mut bound = self.recursive_sides(cte, query, operation, (number, level))?;
        bound.rel = self.wrap_with(ctes, bound.rel);
        self.levels.pop();
        Ok(bound)
    }

    /// The two sides of a recursive query, which is that of level `level`'s WITH.
    fn recursive_sides(
        &mut self,
        cte: &Cte,
        query: &ast::Query,
        operation: &SetOperation,
        (number, level): (usize, usize),
    ) -> Result<BoundQuery> {
        let first = self.query(&operation.left, false)?;
        let first = self.resolve_outputs(first)?;
        let columns = self.cte_columns(cte, &first.columns)?;
        let open = self.open_cte(level, number)?;
        open.columns = columns;
        open.state = State::Step(None);
        let step = self.query(&operation.right, false)?;
        let open = self.open_cte(level, number)?;
        if open.uses == 0 {
            // It does not name itself: an ordinary UNION, bound again as one.
            open.state = State::Plain;
            return self.query(query, true);
        }
        let clause = if !query.order_by.is_empty() {
            "ORDER BY"
        } else if query.offset.is_some() {
            "OFFSET"
        } else if query.limit.is_some() {
            "LIMIT"
        } else if !query.locks.is_empty() {
            "FOR UPDATE/SHARE"
        } else {
            ""
        };
        if !clause.is_empty() {
            let message = format!("{clause} in a recursive query is not implemented");
            let at = match clause {
                "ORDER BY" => query.order_by[0].expr.start(),
                "OFFSET" => query.offset.as_ref().map_or(0, ast::Expr::start),
                "LIMIT" => query.limit.as_ref().map_or(0, ast::Expr::start),
                _ => 0,
            };
            return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, at));
        }
        self.recursive_rel(cte, first, step, operation, number)
    }

    fn recursive_rel(
        &mut self,
        cte: &Cte,
        first: BoundQuery,
        step: BoundQuery,
        operation: &SetOperation,
        number: usize,
    ) -> Result<BoundQuery> {
        let before: Vec<SqlType> = first.columns.iter().map(|c| c.ty).collect();
        let sides = self.match_columns(first, step, operation, "UNION")?;
        for (i, (ty, before)) in sides.types.iter().zip(&before).enumerate() {
            if ty.same(*before) && (ty.typmod == before.typmod || before.typmod == -1) {
                continue;
            }
            let name = &cte.name.name;
            let (shown, overall) = match ty.same(*before) {
                true => (
                    crate::types::pg_type::format_type(*before),
                    crate::types::pg_type::format_type(*ty),
                ),
                false => (before.to_string(), ty.to_string()),
            };
            let message = format!(
                "recursive query \"{name}\" column {} has type {shown} in non-recursive term but \
                 type {overall} overall",
                i + 1
            );
            let at = self.target_place(&operation.left, i);
            let error = self.error(SqlState::DATATYPE_MISMATCH, message, at);
            return Err(
                error.with_hint("Cast the output of the non-recursive term to the correct type.")
            );
        }
        let mut columns = Vec::with_capacity(before.len());
        for (name, ty) in sides.names.into_iter().zip(sides.types) {
            columns.push(self.new_column(name, ty));
        }
        let rel = Rel::Recursive {
            cte: number,
            base: Box::new(sides.left),
            step: Box::new(sides.right),
            all: operation.all,
            columns: columns.clone(),
        };
        Ok(BoundQuery { rel, columns })
    }

    /// A use of a query of WITH; none if no such query is visible.
    pub(super) fn cte_item(&mut self, name: &Ident, alias: Option<&Alias>) -> Result<Option<Item>> {
        let Some((level, index)) = self.find_cte(name)? else { return Ok(None) };
        let cte = &mut self.levels[level].ctes[index];
        let query = cte.name.clone();
        let fault = match cte.state {
            State::Ready | State::Step(None) if cte.uses == 0 => None,
            State::Ready => None,
            State::Plain => {
                let message = format!(
                    "recursive query \"{query}\" does not have the form non-recursive-term UNION \
                     [ALL] recursive-term"
                );
                let at = cte.at;
                return Err(self.error(SqlState::INVALID_RECURSION, message, at));
            }
            State::Writes => {
                let message = format!(
                    "recursive query \"{query}\" must not contain data-modifying statements"
                );
                let at = cte.at;
                return Err(self.error(SqlState::INVALID_RECURSION, message, at));
            }
            State::Base => Some("within its non-recursive term"),
            State::Step(None) => Some("more than once"),
            State::Step(Some(place)) => Some(place),
        };
        if let Some(place) = fault {
            let message =
                format!("recursive reference to query \"{query}\" must not appear {place}");
            return Err(self.error(SqlState::INVALID_RECURSION, message, name.at));
        }
        if self.levels[level].ctes[index].mute {
            let message = format!("WITH query \"{query}\" does not have a RETURNING clause");
            return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, name.at));
        }
        let cte = &mut self.levels[level].ctes[index];
        cte.uses += 1;
        let (number, shape) = (cte.number, cte.columns.clone());
        if cte.state != State::Ready {
            self.level().recursive = true;
        }
        let mut columns = Vec::with_capacity(shape.len());
        for (name, ty) in shape {
            columns.push(self.source_column(name, ty, None));
        }
        let alias_name = alias.map_or(&name.name, |a| &a.name.name).clone();
        let mut source = Source::new(alias_name, columns.iter().map(scope_column).collect());
        self.rename(&mut source, alias)?;
        self.mention(&source);
        let rel = Rel::CteScan { cte: number, columns };
        Ok(Some(Item { rel, sources: vec![source] }))
    }

    /// The query of WITH that a name means: its level and place there.
    fn find_cte(&mut self, name: &Ident) -> Result<Option<(usize, usize)>> {
        for level in (0..self.levels.len()).rev() {
            let known = |b: &Self| b.levels[level].ctes.iter().rposition(|c| c.name == name.name);
            if let Some(index) = known(self) {
                let cte = &self.levels[level].ctes[index];
                let innermost = self.levels[level].pending_ctes.open.last();
                if cte.state != State::Ready && innermost != Some(&cte.number) {
                    let message = "mutual recursion between WITH items is not implemented";
                    return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, cte.at));
                }
                return Ok(Some((level, index)));
            }
            let pending = &self.levels[level].pending_ctes;
            let later = pending.names.contains(&name.name);
            let query = pending.queries.iter().find(|c| c.name.name == name.name).cloned();
            if let Some(query) = query.filter(|_| later) {
                let inner = self.levels.split_off(level + 1);
                let bound = self.bind_cte(&query, true);
                self.levels.extend(inner);
                bound?;
                return Ok(known(self).map(|index| (level, index)));
            }
        }
        Ok(None)
    }

    /// Whether a name is that of a query of WITH which comes later.
    pub(super) fn is_future_cte(&self, name: &str) -> bool {
        self.levels.iter().any(|l| l.pending_ctes.names.iter().any(|n| &**n == name))
    }

    /// Runs `f` where the recursive query being bound may not be named.
    pub(super) fn recursion_barrier<T>(
        &mut self,
        place: &'static str,
        f: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let place = match place {
            "a subquery" => "within a subquery",
            "an outer join" => "within an outer join",
            "INTERSECT" => "within INTERSECT",
            _ => "within EXCEPT",
        };
        let mut changed: Vec<(usize, usize)> = Vec::new();
        for (l, level) in self.levels.iter_mut().enumerate() {
            for (i, cte) in level.ctes.iter_mut().enumerate() {
                if cte.state == State::Step(None) {
                    cte.state = State::Step(Some(place));
                    changed.push((l, i));
                }
            }
        }
        let result = f(self);
        for (l, i) in changed {
            if let Some(cte) = self.levels.get_mut(l).and_then(|l| l.ctes.get_mut(i)) {
                cte.state = State::Step(None);
            }
        }
        result
    }
}

impl std::fmt::Debug for VisibleCte {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VisibleCte({})", self.name)
    }
}
