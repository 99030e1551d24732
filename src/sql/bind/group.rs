//! GROUP BY: grouping sets, and the rule that outputs name only what is grouped.

use std::sync::Arc;

use super::super::ast::{Expr as Ast, ExprKind, GroupItem, Offset};
use super::super::bound::{AggregateCall, Column, Expr, Rel, SortKey};
use super::super::walk;
use super::level::{Clause, Producer};
use super::target::Output;
use super::{Binder, ColId};
use crate::error::{Error, Result, SqlState};

/// Grouping sets a query may have.
const SETS_MAX: usize = 4_096;
/// Elements of one CUBE.
const CUBE_ELEMENTS_MAX: usize = 12;

/// GROUP BY bound: expressions and the sets of them.
#[derive(Default)]
pub(super) struct Grouping {
    exprs: Vec<Group>,
    sets: Vec<Vec<usize>>,
}

impl Grouping {
    /// What is grouped by.
    pub fn expressions(&mut self) -> impl Iterator<Item = &mut Expr> {
        self.exprs.iter_mut().map(|group| &mut group.expr)
    }
}

/// What is grouped by. As in PostgreSQL, two outputs that are named are two groups, even of one
/// expression: a set may have the one and not the other.
struct Group {
    expr: Expr,
    /// The output that it is.
    output: Option<usize>,
}

/// The rewriting of expressions over a query's input into expressions over its groups.
struct Rewrite {
    groups: Vec<(Expr, Column)>,
    /// Groups in the order in which they are matched: outputs first, as they stand.
    order: Vec<usize>,
    /// Places of groups that every set has: what functional dependency may build on.
    common: Vec<usize>,
    added: Vec<usize>,
    passed: Vec<ColId>,
}

impl Rewrite {
    /// The group that an expression is.
    fn find(&self, expr: &Expr) -> Option<usize> {
        let added = self.order.len()..self.groups.len();
        let mut all = self.order.iter().copied().chain(added);
        all.find(|at| same_expr(&self.groups[*at].0, expr))
    }
}

impl Binder<'_> {
    pub(super) fn group_by(
        &mut self,
        items: &[GroupItem],
        distinct: bool,
        outputs: &mut Vec<Output>,
    ) -> Result<Grouping> {
        let mut grouping = Grouping { exprs: Vec::new(), sets: vec![Vec::new()] };
        for item in items {
            let alternatives = self.group_item(item, outputs, &mut grouping.exprs)?;
            if grouping.sets.len().saturating_mul(alternatives.len()) > SETS_MAX {
                let message = format!("too many grouping sets present (maximum {SETS_MAX})");
                return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, message));
            }
            let product = grouping.sets.iter().flat_map(|set| {
                alternatives.iter().map(move |more| {
                    let mut set = set.clone();
                    set.extend(
                        more.iter().filter(|i| !set.contains(i)).copied().collect::<Vec<_>>(),
                    );
                    set
                })
            });
            grouping.sets = product.collect();
        }
        if distinct {
            let mut seen: Vec<Vec<usize>> = Vec::new();
            grouping.sets.retain(|set| {
                let mut sorted = set.clone();
                sorted.sort_unstable();
                let new = !seen.contains(&sorted);
                if new {
                    seen.push(sorted);
                }
                new
            });
        }
        Ok(grouping)
    }

    /// The sets that one item stands for.
    fn group_item(
        &mut self,
        item: &GroupItem,
        outputs: &mut Vec<Output>,
        exprs: &mut Vec<Group>,
    ) -> Result<Vec<Vec<usize>>> {
        match item {
            GroupItem::Empty => Ok(vec![Vec::new()]),
            GroupItem::Expr(ast) => Ok(vec![self.group_list(ast, outputs, exprs)?]),
            GroupItem::Rollup(items, _) => {
                let elements = self.group_elements(items, outputs, exprs)?;
                let prefix = |n: usize| elements[..n].concat();
                Ok((0..=elements.len()).rev().map(prefix).collect())
            }
            GroupItem::Cube(items, at) => {
                if items.len() > CUBE_ELEMENTS_MAX {
                    let message = format!("CUBE is limited to {CUBE_ELEMENTS_MAX} elements");
                    return Err(self.error(SqlState::TOO_MANY_COLUMNS, message, *at));
                }
                let elements = self.group_elements(items, outputs, exprs)?;
                let count = elements.len();
                let subset = |mask: usize| {
                    let chosen = (0..count).filter(|i| mask & (1 << (count - 1 - i)) != 0);
                    chosen.flat_map(|i| elements[i].iter().copied()).collect()
                };
                Ok((0..1usize << count).rev().map(subset).collect())
            }
            GroupItem::Sets(items, _) => {
                let mut sets = Vec::new();
                for item in items {
                    sets.extend(self.group_item(item, outputs, exprs)?);
                }
                Ok(sets)
            }
        }
    }

    fn group_elements(
        &mut self,
        items: &[Ast],
        outputs: &mut Vec<Output>,
        exprs: &mut Vec<Group>,
    ) -> Result<Vec<Vec<usize>>> {
        items.iter().map(|ast| self.group_list(ast, outputs, exprs)).collect()
    }

    /// One expression, or several in parentheses; not a written ROW.
    fn group_list(
        &mut self,
        ast: &Ast,
        outputs: &mut Vec<Output>,
        exprs: &mut Vec<Group>,
    ) -> Result<Vec<usize>> {
        let mut places = Vec::new();
        match &ast.kind {
            ExprKind::Row(items) if self.text.as_bytes().get(ast.at as usize) == Some(&b'(') => {
                for item in items {
                    places.extend(self.group_list(item, outputs, exprs)?);
                }
            }
            _ => places.push(self.group_expr(ast, outputs, exprs)?),
        }
        Ok(places)
    }

    fn group_expr(
        &mut self,
        ast: &Ast,
        outputs: &mut Vec<Output>,
        exprs: &mut Vec<Group>,
    ) -> Result<usize> {
        let visible = outputs.len();
        let mark = self.level().uses.len();
        let output = self.find_output(ast, Clause::GroupBy, outputs)?;
        self.level().uses.truncate(mark);
        self.settle_output(&mut outputs[output], ast.at)?;
        let expr = outputs[output].expr.clone();
        outputs.truncate(visible);
        let same = |o: &Output| same_expr(&o.expr, &expr);
        let output = if output < visible { Some(output) } else { outputs.iter().position(same) };
        self.require_equality(expr.ty(), ast.start())?;
        self.refuse_in_group(expr.clone())?;
        let known = exprs.iter().position(|group| match (group.output, output) {
            (Some(a), Some(b)) => a == b,
            (None, None) => same_expr(&group.expr, &expr),
            _ => false,
        });
        if let Some(known) = known {
            return Ok(known);
        }
        exprs.push(Group { expr, output });
        Ok(exprs.len() - 1)
    }

    /// A name or position may mean an output that no one may group by.
    fn refuse_in_group(&self, mut expr: Expr) -> Result<()> {
        let depth = self.levels.len() as u32 - 1;
        let mut fault = None;
        walk::columns(&mut expr, &mut |id| {
            let info = self.column_info(id);
            if info.level == depth {
                fault = match info.producer {
                    Producer::Aggregate => {
                        Some(("aggregate functions are", SqlState::GROUPING_ERROR, info.at))
                    }
                    Producer::Window => {
                        Some(("window functions are", SqlState::WINDOWING_ERROR, info.at))
                    }
                    _ => fault,
                };
            }
        });
        match fault {
            Some((what, code, at)) => {
                Err(self.error(code, format!("{what} not allowed in GROUP BY"), at))
            }
            None => Ok(()),
        }
    }

    /// The aggregation above `input`, if the query has one; outputs, HAVING and what was lifted
    /// then name its columns.
    pub(super) fn aggregate(
        &mut self,
        input: Rel,
        grouping: Option<Grouping>,
        outputs: &mut [Output],
        having: &mut Option<(Expr, (usize, usize))>,
    ) -> Result<Rel> {
        let level = self.level();
        if level.recursive
            && let Some(first) = level.aggregates.first()
        {
            let at = first.output.id;
            let at = self.column_info(at).at;
            let message =
                "aggregate functions are not allowed in a recursive query's recursive term";
            return Err(self.error(SqlState::INVALID_RECURSION, message, at));
        }
        let level = self.level();
        let plain = level.aggregates.is_empty() && level.grouping.is_empty();
        if plain && grouping.is_none() && having.is_none() {
            return Ok(input);
        }
        let Grouping { exprs, sets } =
            grouping.unwrap_or(Grouping { exprs: Vec::new(), sets: vec![Vec::new()] });
        let named: Vec<Option<usize>> = exprs.iter().map(|group| group.output).collect();
        let groups: Vec<(Expr, Column)> =
            exprs.into_iter().map(|group| self.group_column(group.expr)).collect();
        let common = (0..groups.len()).filter(|i| sets.iter().all(|set| set.contains(i)));
        let common = common.collect();
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|at| named[*at].unwrap_or(usize::MAX));
        let (added, passed) = (Vec::new(), Vec::new());
        let mut rewrite = Rewrite { groups, order, common, added, passed };

        for (at, output) in outputs.iter_mut().enumerate() {
            match named.iter().position(|output| *output == Some(at)) {
                Some(group) => {
                    let column = &rewrite.groups[group].1;
                    output.expr = Expr::Column(column.id, column.ty);
                }
                None => self.rewrite_top(&mut output.expr, output.uses, &mut rewrite)?,
            }
        }
        if let Some((expr, uses)) = having {
            self.rewrite_top(expr, *uses, &mut rewrite)?;
        }
        self.rewrite_lifted(&mut rewrite)?;
        self.check_direct(&mut rewrite)?;
        let grouping = self.grouping_calls(&rewrite)?;

        let aggregates = std::mem::take(&mut self.level().aggregates);
        let sets = sets.into_iter().map(|mut set| {
            set.extend(&rewrite.added);
            set
        });
        let sets = sets.collect();
        let (input, groups) = (Box::new(input), rewrite.groups);
        Ok(Rel::Aggregate { input, groups, sets, aggregates, grouping })
    }

    /// Direct arguments of ordered-set aggregates are the group's: they use grouped columns alone.
    fn check_direct(&mut self, rewrite: &mut Rewrite) -> Result<()> {
        let everything = (0, self.level().uses.len());
        let aggregates = std::mem::take(&mut self.level().aggregates);
        for aggregate in &aggregates {
            for direct in super::ordered_set::direct_arguments(aggregate) {
                let checked = self.rewrite_top(&mut direct.clone(), everything, rewrite);
                checked.map_err(|error| {
                    error.with_detail(
                        "Direct arguments of an ordered-set aggregate must use only grouped \
                         columns.",
                    )
                })?;
            }
        }
        self.level().aggregates = aggregates;
        Ok(())
    }

    fn group_column(&mut self, expr: Expr) -> (Expr, Column) {
        let (name, origin) = match &expr {
            Expr::Column(id, _) => match self.named_column(*id) {
                Some((_, name, origin)) => (name, origin),
                None => (Arc::from("?column?"), None),
            },
            _ => (Arc::from("?column?"), None),
        };
        let mut column = self.new_column(name, expr.ty());
        column.origin = origin;
        (expr, column)
    }

    /// Window and set-returning calls run over groups too.
    fn rewrite_lifted(&mut self, rewrite: &mut Rewrite) -> Result<()> {
        let everything = (0, self.level().uses.len());
        let mut calls = std::mem::take(&mut self.level().window_calls);
        for pending in &mut calls {
            let mut fault = Ok(());
            walk::window_mut(&mut pending.call, &mut |expr| {
                if fault.is_ok() {
                    fault = self.rewrite_top(expr, everything, rewrite);
                }
            });
            fault?;
        }
        self.level().window_calls = calls;
        let mut sets = std::mem::take(&mut self.level().sets);
        for set in &mut sets {
            for arg in &mut set.call.args {
                self.rewrite_top(arg, everything, rewrite)?;
            }
        }
        self.level().sets = sets;
        Ok(())
    }

    fn grouping_calls(&mut self, rewrite: &Rewrite) -> Result<Vec<(Vec<usize>, Column)>> {
        let calls = std::mem::take(&mut self.level().grouping);
        let mut out = Vec::with_capacity(calls.len());
        for (args, output) in calls {
            let mut places = Vec::with_capacity(args.len());
            for (arg, at) in args {
                places.push(rewrite.find(&arg).ok_or_else(|| {
                    let message = "arguments to GROUPING must be grouping expressions of the \
                                   associated query level";
                    self.error(SqlState::GROUPING_ERROR, message, at)
                })?);
            }
            out.push((places, output));
        }
        Ok(out)
    }

    fn rewrite_top(
        &mut self,
        expr: &mut Expr,
        uses: (usize, usize),
        rewrite: &mut Rewrite,
    ) -> Result<()> {
        rewrite.passed.clear();
        if matches!(expr, Expr::Literal(..))
            && let Some(at) = rewrite.find(expr)
        {
            let column = &rewrite.groups[at].1;
            *expr = Expr::Column(column.id, column.ty);
            return Ok(());
        }
        self.rewrite(expr, uses, rewrite, false)
    }

    /// Replaces what is grouped by the group's column; anything else of the input is an error.
    fn rewrite(
        &mut self,
        expr: &mut Expr,
        uses: (usize, usize),
        rewrite: &mut Rewrite,
        inside: bool,
    ) -> Result<()> {
        if matches!(expr, Expr::Literal(..) | Expr::Param(..)) {
            return Ok(());
        }
        if let Some(at) = rewrite.find(expr) {
            let column = &rewrite.groups[at].1;
            let column = Expr::Column(column.id, column.ty);
            walk::columns(expr, &mut |id| rewrite.passed.push(id));
            *expr = column;
            return Ok(());
        }
        if let Expr::Column(id, _) = *expr {
            let info = self.column_info(id);
            let here = self.levels.len() as u32 - 1;
            if info.level != here || !matches!(info.producer, Producer::Source) {
                return Ok(());
            }
            if self.depends(id, rewrite) {
                let (_, column) = self.group_column(expr.clone());
                rewrite.added.push(rewrite.groups.len());
                let value = Expr::Column(column.id, column.ty);
                rewrite.groups.push((std::mem::replace(expr, value), column));
                rewrite.passed.push(id);
                return Ok(());
            }
            return Err(self.ungrouped(id, uses, &rewrite.passed, inside));
        }
        let mut fault = Ok(());
        walk::children_mut(expr, &mut |child| {
            if fault.is_ok() {
                fault = self.rewrite(child, uses, rewrite, inside);
            }
        });
        if let Expr::Subquery(subquery) = expr {
            walk::expressions_mut(&mut subquery.rel, &mut |inner| {
                if fault.is_ok() {
                    fault = self.rewrite(inner, uses, rewrite, true);
                }
            });
        }
        fault
    }

    /// Whether a column depends on its table's primary key, all of which is grouped.
    fn depends(&self, id: ColId, rewrite: &Rewrite) -> bool {
        let sources = &self.levels[self.levels.len() - 1].sources;
        let has = |wanted: ColId| {
            rewrite
                .common
                .iter()
                .any(|i| matches!(&rewrite.groups[*i].0, Expr::Column(id, _) if *id == wanted))
        };
        sources.iter().any(|source| {
            let Some(table) = &source.table else { return false };
            let is_own = |c: &super::scope::ScopeColumn| {
                matches!(&c.expr, Expr::Column(own, _) if *own == id)
            };
            if table.hidden_key || table.primary.columns.is_empty() {
                return false;
            }
            source.columns.iter().any(is_own)
                && table.primary.columns.iter().all(|key| {
                    let place = table.columns.iter().position(|c| c.id == key.column);
                    let column = place.and_then(|i| source.columns.get(i));
                    matches!(column.map(|c| &c.expr), Some(Expr::Column(own, _)) if has(*own))
                })
        })
    }

    /// Source, name and origin of a column of this query's FROM.
    fn named_column(
        &self,
        id: ColId,
    ) -> Option<(Arc<str>, Arc<str>, Option<(u32, crate::types::descriptor::ColumnId)>)> {
        let sources = &self.levels[self.levels.len() - 1].sources;
        sources.iter().filter(|s| s.by_name).find_map(|source| {
            let column = source
                .columns
                .iter()
                .find(|c| matches!(&c.expr, Expr::Column(own, _) if *own == id))?;
            Some((source.name.clone(), column.name.clone(), column.origin))
        })
    }

    fn ungrouped(
        &self,
        id: ColId,
        (from, to): (usize, usize),
        passed: &[ColId],
        inside: bool,
    ) -> Error {
        let before = passed.iter().filter(|p| **p == id).count();
        let uses = &self.levels[self.levels.len() - 1].uses;
        let range = uses.get(from..to.min(uses.len())).unwrap_or_default();
        let mut own = range.iter().filter(|(used, _)| *used == id).map(|(_, at)| *at);
        let first = own.clone().next();
        let at: Offset = own.nth(before).or(first).unwrap_or_default();
        let name = match self.named_column(id) {
            Some((source, name, _)) => format!("{source}.{name}"),
            None => "?column?".to_owned(),
        };
        let message = if inside {
            format!("subquery uses ungrouped column \"{name}\" from outer query")
        } else {
            format!(
                "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate \
                 function"
            )
        };
        self.error(SqlState::GROUPING_ERROR, message, at)
    }
}

/// Whether two expressions are the same. Subqueries are never.
pub(super) fn same_expr(a: &Expr, b: &Expr) -> bool {
    let all = |a: &[Expr], b: &[Expr]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_expr(a, b))
    };
    match (a, b) {
        (Expr::Column(a, _), Expr::Column(b, _)) => a == b,
        (Expr::Param(a, x), Expr::Param(b, y)) => a == b && x == y,
        (Expr::Literal(a, x), Expr::Literal(b, y)) => {
            x == y && format!("{a:?}") == format!("{b:?}")
        }
        (Expr::Call(a), Expr::Call(b)) => {
            std::ptr::eq(a.function, b.function) && a.ty == b.ty && all(&a.args, &b.args)
        }
        (Expr::Cast { expr: a, to: x, .. }, Expr::Cast { expr: b, to: y, .. }) => {
            x == y && same_expr(a, b)
        }
        (Expr::And(a), Expr::And(b))
        | (Expr::Or(a), Expr::Or(b))
        | (Expr::Row(a, _), Expr::Row(b, _)) => all(a, b),
        (Expr::Not(a), Expr::Not(b)) | (Expr::IsNull(a), Expr::IsNull(b)) => same_expr(a, b),
        (Expr::IsBool(a, x), Expr::IsBool(b, y)) => x == y && same_expr(a, b),
        (
            Expr::IsDistinct { left: a, right: b, .. },
            Expr::IsDistinct { left: c, right: d, .. },
        ) => same_expr(a, c) && same_expr(b, d),
        (Expr::Coalesce(a, x), Expr::Coalesce(b, y)) => x == y && all(a, b),
        (Expr::Array(a, x), Expr::Array(b, y)) => x == y && all(a, b),
        (
            Expr::Extreme { greatest: a, args: x, .. },
            Expr::Extreme { greatest: b, args: y, .. },
        ) => a == b && all(x, y),
        (
            Expr::Subscript { array: a, index: x, .. },
            Expr::Subscript { array: b, index: y, .. },
        ) => same_expr(a, b) && same_expr(x, y),
        (Expr::Case { arms: a, otherwise: x, .. }, Expr::Case { arms: b, otherwise: y, .. }) => {
            let arms = |(a, b): (&(Expr, Expr), &(Expr, Expr))| {
                same_expr(&a.0, &b.0) && same_expr(&a.1, &b.1)
            };
            a.len() == b.len() && a.iter().zip(b).all(arms) && same_expr(x, y)
        }
        (
            Expr::AnyAll { any: a, left: l, array: x, function: f, .. },
            Expr::AnyAll { any: b, left: m, array: y, function: g, .. },
        ) => a == b && std::ptr::eq(*f, *g) && same_expr(l, m) && same_expr(x, y),
        _ => false,
    }
}

/// Whether two aggregate calls give the same.
pub(super) fn same_aggregate(a: &AggregateCall, b: &AggregateCall) -> bool {
    let exprs = |a: &[Expr], b: &[Expr]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_expr(a, b))
    };
    let keys = |a: &[SortKey], b: &[SortKey]| {
        let same = |(a, b): (&SortKey, &SortKey)| {
            a.desc == b.desc && a.nulls_first == b.nulls_first && same_expr(&a.expr, &b.expr)
        };
        a.len() == b.len() && a.iter().zip(b).all(same)
    };
    let filters = match (&a.filter, &b.filter) {
        (None, None) => true,
        (Some(a), Some(b)) => same_expr(a, b),
        _ => false,
    };
    let steady = |call: &AggregateCall| {
        let volatile =
            |e: &Expr| super::expr::volatility(e) == crate::functions::Volatility::Volatile;
        !call.args.iter().any(volatile)
    };
    std::ptr::eq(a.function, b.function)
        && a.distinct == b.distinct
        && exprs(&a.args, &b.args)
        && keys(&a.order_by, &b.order_by)
        && filters
        && steady(a)
}
