//! SELECT: its clauses in PostgreSQL's order, and the relation they make.

use super::super::ast::{Distinct, Locking, Query, QueryBody, Select};
use super::super::bound::{ColId, Column, Expr, PathHint, Rel, RowLock, Scan, WindowCall};
use super::super::parser::with_stack;
use super::super::walk;
use super::group::Grouping;
use super::level::{Clause, Level, Producer, SetCall};
use super::order::{OrderKey, Top};
use super::scope::ScopeColumn;
use super::target::Output;
use super::{Binder, BoundQuery};
use crate::error::{Error, Result, SqlState};
use crate::kv::LockMode;

/// What a SELECT's clauses came to.
struct Clauses {
    outputs: Vec<Output>,
    filter: Option<Expr>,
    having: Option<(Expr, (usize, usize))>,
    order: Vec<OrderKey>,
    grouping: Option<Grouping>,
    distinct_on: Vec<usize>,
    limit: Option<(Option<Expr>, Option<Expr>)>,
}

impl Binder<'_> {
    /// A query in a level of its own. `resolve`: outputs of unknown type become text.
    pub(super) fn query(&mut self, query: &Query, resolve: bool) -> Result<BoundQuery> {
        with_stack(|| {
            self.levels.push(Level::default());
            let bound = self.query_in_level(query, resolve);
            self.levels.pop();
            bound
        })
    }

    fn query_in_level(&mut self, query: &Query, resolve: bool) -> Result<BoundQuery> {
        let ctes = match &query.with {
            Some(with) => self.with_clause(with)?,
            None => Vec::new(),
        };
        let mut bound = match &query.body {
            QueryBody::Select(select) => self.select(query, select, resolve)?,
            QueryBody::Values(rows) => self.values_query(query, rows)?,
            QueryBody::SetOp(operation) => {
                let bound = self.set_operation(query, operation)?;
                if resolve { self.resolve_outputs(bound)? } else { bound }
            }
        };
        bound.rel = self.wrap_with(ctes, bound.rel);
        Ok(bound)
    }

    fn select(&mut self, query: &Query, select: &Select, resolve: bool) -> Result<BoundQuery> {
        self.declare_windows(&select.windows)?;
        let mut from = self.from_clause(&select.from)?;
        self.level().selects = true;
        let clauses = self.clauses(query, select, resolve)?;
        if let Some(rel) = &mut from {
            for (first, present) in self.level().present.clone() {
                tell_presence(rel, first, &present);
            }
            self.apply_hints(rel, select);
            self.apply_locks(rel, query, select, &clauses)?;
        }
        let rel =
            from.unwrap_or_else(|| Rel::Values { rows: vec![Vec::new()], columns: Vec::new() });
        self.assemble(query, select, rel, clauses)
    }

    /// Binds every clause after FROM.
    fn clauses(&mut self, query: &Query, select: &Select, resolve: bool) -> Result<Clauses> {
        let mut outputs = self.in_clause(Clause::SelectList, |b| b.targets(&select.targets))?;
        let filter = self.where_clause(select.filter.as_ref(), Clause::Where, "WHERE")?;
        let from = self.level().uses.len();
        let having = self.where_clause(select.having.as_ref(), Clause::Having, "HAVING")?;
        let having = having.map(|expr| (expr, (from, self.level().uses.len())));
        let order = self.order_by(&query.order_by, &mut outputs)?;
        let grouping = match select.group_by.as_slice() {
            [] => None,
            items => Some(self.group_by(items, select.group_distinct, &mut outputs)?),
        };
        let distinct_on = self.distinct_on(&select.distinct, &mut outputs, &order)?;
        let limit = self.limit(query)?;
        self.bind_windows()?;
        if resolve {
            for output in &mut outputs {
                let at = output.at;
                self.settle_output(output, at)?;
            }
        }
        Ok(Clauses { outputs, filter, having, order, grouping, distinct_on, limit })
    }

    /// WHERE or HAVING.
    pub fn where_clause(
        &mut self,
        ast: Option<&super::super::ast::Expr>,
        clause: Clause,
        name: &str,
    ) -> Result<Option<Expr>> {
        let Some(ast) = ast else { return Ok(None) };
        let bound = self.bind_in(ast, clause)?;
        self.condition(bound, name, ast.start()).map(Some)
    }

    fn assemble(
        &mut self,
        query: &Query,
        select: &Select,
        from: Rel,
        clauses: Clauses,
    ) -> Result<BoundQuery> {
        let Clauses { mut outputs, filter, mut having, order, mut grouping, distinct_on, limit } =
            clauses;
        let mut rel = filtered(from, filter);
        if let Some(grouping) = &mut grouping {
            rel = self.sets_below(rel, grouping);
        }
        if grouping.is_some() || having.is_some() || !self.level().aggregates.is_empty() {
            let present = self.level().present.clone();
            let exprs = outputs.iter_mut().map(|o| &mut o.expr);
            exprs
                .chain(having.iter_mut().map(|(e, _)| e))
                .for_each(|e| always_present(e, &present));
        }
        rel = self.aggregate(rel, grouping, &mut outputs, &mut having)?;
        rel = filtered(rel, having.map(|(expr, _)| expr));
        let windows = std::mem::take(&mut self.level().window_calls);
        if !windows.is_empty() {
            let calls: Vec<WindowCall> = windows.into_iter().map(|w| w.call).collect();
            rel = Rel::Window { input: Box::new(rel), calls };
        }
        let sets = std::mem::take(&mut self.level().sets);
        rel = expand_sets(rel, sets);
        let exprs = self.project(&outputs);
        let columns = exprs.iter().zip(&outputs).filter(|(_, o)| !o.junk);
        let columns = columns.map(|((_, column), _)| column.clone()).collect();
        let junk: Vec<bool> = outputs.iter().map(|o| o.junk).collect();
        let projection = Rel::Project { input: Box::new(rel), exprs };
        let top = Top {
            order,
            distinct: &select.distinct,
            distinct_on,
            limit,
            with_ties: query.with_ties.is_some(),
        };
        Ok(BoundQuery { rel: self.finish(projection, &junk, top), columns })
    }

    /// Set-returning calls that are grouped by run below the aggregation.
    fn sets_below(&mut self, rel: Rel, grouping: &mut Grouping) -> Rel {
        let depth = self.levels.len() as u32 - 1;
        let mut wanted = Vec::new();
        for expr in grouping.expressions() {
            walk::columns(expr, &mut |id| {
                let info = self.column_info(id);
                if info.producer == Producer::Set && info.level == depth {
                    wanted.push(id);
                }
            });
        }
        if wanted.is_empty() {
            return rel;
        }
        let mut below = Vec::new();
        let mut above = Vec::new();
        // What is grouped by may itself be fed by others, lifted before it.
        for mut set in std::mem::take(&mut self.level().sets).into_iter().rev() {
            if set.columns.iter().any(|c| wanted.contains(&c.id)) {
                for arg in &mut set.call.args {
                    walk::columns(arg, &mut |id| wanted.push(id));
                }
                for column in &set.columns {
                    self.columns[column.id.0 as usize].producer = Producer::Source;
                }
                below.push(set);
            } else {
                above.push(set);
            }
        }
        below.reverse();
        above.reverse();
        self.level().sets = above;
        expand_sets(rel, below)
    }

    fn apply_hints(&self, rel: &mut Rel, select: &Select) {
        if select.hints.is_empty() {
            return;
        }
        each_scan(rel, false, &mut |scan| {
            let hint = select.hints.iter().find(|(name, _)| *name == scan.alias);
            if let Some((_, path)) = hint {
                let path: PathHint = *path;
                scan.hint = Some(path);
            }
        });
    }

    pub(super) fn locks_with(&self, lock: &Locking, what: &str) -> Error {
        let message = format!("{} is not allowed with {what}", lock_name(lock));
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
    }

    /// FOR UPDATE and its kin: on the tables of FROM, and those of its subqueries.
    fn apply_locks(
        &self,
        rel: &mut Rel,
        query: &Query,
        select: &Select,
        clauses: &Clauses,
    ) -> Result<()> {
        let Some(first) = query.locks.first() else { return Ok(()) };
        let level = &self.levels[self.levels.len() - 1];
        let clash = if !matches!(select.distinct, Distinct::No) {
            "DISTINCT clause"
        } else if clauses.grouping.is_some() {
            "GROUP BY clause"
        } else if clauses.having.is_some() {
            "HAVING clause"
        } else if !level.aggregates.is_empty() {
            "aggregate functions"
        } else if !level.window_calls.is_empty() {
            "window functions"
        } else if !level.sets.is_empty() {
            "set-returning functions in the target list"
        } else {
            ""
        };
        if !clash.is_empty() {
            return Err(self.locks_with(first, clash));
        }
        for lock in &query.locks {
            for name in &lock.of {
                let known = level.sources.iter().any(|s| s.by_name && s.name == name.name);
                if !known {
                    let message = format!(
                        "relation \"{}\" in {} clause not found in FROM clause",
                        name.name,
                        lock_name(lock)
                    );
                    return Err(self.error(SqlState::UNDEFINED_TABLE, message, name.at));
                }
            }
            let mut found = Vec::new();
            self.lock_item(rel, lock, &mut found)?;
            if let Some(name) = lock.of.iter().find(|name| !found.contains(&&*name.name)) {
                let message = format!("{} cannot be applied to a join", lock_name(lock));
                return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, name.at));
            }
        }
        Ok(())
    }

    /// Locks the items of FROM that a clause names: tables below joins, whole subqueries.
    fn lock_item<'l>(
        &self,
        rel: &mut Rel,
        lock: &'l Locking,
        found: &mut Vec<&'l str>,
    ) -> Result<()> {
        if let Rel::Join { left, right, .. } = rel {
            self.lock_item(left, lock, found)?;
            return self.lock_item(right, lock, found);
        }
        let made = rel.columns();
        let first = made.first().map(|c| c.id);
        let sources = &self.levels[self.levels.len() - 1].sources;
        let owner = sources.iter().filter(|s| s.by_name).find(|source| {
            // The name of a join has columns of several items.
            let own = |c: &ScopeColumn| match &c.expr {
                Expr::Column(id, _) => made.iter().any(|c| c.id == *id),
                _ => false,
            };
            source.columns.iter().all(own)
                && source.columns.iter().any(|c| match &c.expr {
                    Expr::Column(id, _) => Some(*id) == first,
                    _ => false,
                })
        });
        let named = owner.and_then(|s| lock.of.iter().find(|n| n.name == s.name));
        found.extend(named.map(|name| &*name.name));
        if !lock.of.is_empty() && named.is_none() {
            return Ok(());
        }
        if let Some(name) = named {
            let what = match rel {
                Rel::Function { .. } => "a function",
                Rel::CteScan { .. } => "a WITH query",
                _ => "",
            };
            if !what.is_empty() {
                let message = format!("{} cannot be applied to {what}", lock_name(lock));
                return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, name.at));
            }
        }
        each_scan(rel, true, &mut |scan| add_lock(scan, lock));
        Ok(())
    }
}

/// Over groups the row of an item is taken to be there: what tells is not grouped.
fn always_present(expr: &mut Expr, present: &[(ColId, Column)]) {
    walk::children_mut(expr, &mut |e| always_present(e, present));
    if let Expr::Case { arms, otherwise, .. } = expr
        && let [(Expr::IsNull(test), _)] = arms.as_slice()
        && let Expr::Column(id, _) = **test
        && present.iter().any(|(_, column)| column.id == id)
    {
        *expr = std::mem::replace(otherwise, Expr::Row(Vec::new(), None));
    }
}

/// Adds a column that is TRUE in each row of the item of FROM that makes column `first`.
fn tell_presence(rel: &mut Rel, first: ColId, present: &Column) {
    if let Rel::Join { left, right, .. } = rel {
        let side = match left.columns().iter().any(|c| c.id == first) {
            true => left,
            false => right,
        };
        return tell_presence(side, first, present);
    }
    let columns = rel.columns().into_iter().map(|c| (Expr::Column(c.id, c.ty), c));
    let told = (super::literal::boolean(true), present.clone());
    let exprs = columns.chain([told]).collect();
    let input =
        Box::new(std::mem::replace(rel, Rel::Values { rows: Vec::new(), columns: Vec::new() }));
    *rel = Rel::Project { input, exprs };
}

/// The stronger of the locks asked for, and the more impatient.
fn add_lock(scan: &mut Scan, lock: &Locking) {
    let mode: LockMode = lock.mode;
    let new = RowLock { mode, nowait: lock.nowait, skip_locked: lock.skip_locked };
    scan.lock = Some(match scan.lock {
        None => new,
        Some(old) => RowLock {
            mode: old.mode.max(new.mode),
            nowait: old.nowait || new.nowait,
            skip_locked: (old.skip_locked || new.skip_locked) && !(old.nowait || new.nowait),
        },
    });
}

/// A lock clause's name.
pub(super) fn lock_name(lock: &Locking) -> &'static str {
    match lock.mode {
        LockMode::Update => "FOR UPDATE",
        LockMode::NoKeyUpdate => "FOR NO KEY UPDATE",
        LockMode::Share => "FOR SHARE",
        LockMode::KeyShare => "FOR KEY SHARE",
    }
}

/// Calls `f` on the scans of FROM; with `deep`, on those of its subqueries too.
fn each_scan(rel: &mut Rel, deep: bool, f: &mut dyn FnMut(&mut Scan)) {
    match rel {
        Rel::Scan(scan) => f(scan),
        Rel::Join { left, right, .. } => {
            each_scan(left, deep, f);
            each_scan(right, deep, f);
        }
        rel if deep => walk::inputs_mut(rel, &mut |input| each_scan(input, deep, f)),
        _ => {}
    }
}

fn filtered(rel: Rel, predicate: Option<Expr>) -> Rel {
    match predicate {
        Some(predicate) => Rel::Filter { input: Box::new(rel), predicate },
        None => rel,
    }
}

/// Set-returning calls above `rel`: those of one rank in step, the next rank above them.
fn expand_sets(mut rel: Rel, sets: Vec<SetCall>) -> Rel {
    let ranks = sets.iter().map(|s| s.rank + 1).max().unwrap_or(0);
    let mut by_rank: Vec<Vec<_>> = (0..ranks).map(|_| Vec::new()).collect();
    for set in sets {
        by_rank[set.rank].push((set.call, set.columns));
    }
    for calls in by_rank.into_iter().filter(|c| !c.is_empty()) {
        let input = Some(Box::new(rel));
        rel = Rel::Function { input, calls, ordinality: None, outer: false };
    }
    rel
}
