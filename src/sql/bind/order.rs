//! ORDER BY, DISTINCT, LIMIT: what they name in a select list, and what they add to it.

use super::super::ast::{Distinct, Expr as Ast, ExprKind, OrderItem, Query};
use super::super::bound::{Expr, Rel, SortKey};
use super::Binder;
use super::group::same_expr;
use super::level::Clause;
use super::target::Output;
use crate::error::{Error, Result, SqlState};
use crate::types::{Datum, SqlType};

/// One item of ORDER BY: an output, and its direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct OrderKey {
    pub output: usize,
    pub desc: bool,
    pub nulls_first: bool,
}

impl Binder<'_> {
    /// ORDER BY over a select list; expressions that are not in it are added as junk.
    pub(super) fn order_by(
        &mut self,
        items: &[OrderItem],
        outputs: &mut Vec<Output>,
    ) -> Result<Vec<OrderKey>> {
        let mut keys: Vec<OrderKey> = Vec::with_capacity(items.len());
        for item in items {
            let output = self.find_output(&item.expr, Clause::OrderBy, outputs)?;
            self.settle_output(&mut outputs[output], item.expr.at)?;
            let expr = outputs[output].expr.clone();
            let key = self.sort_key(item, expr)?;
            if keys.iter().any(|k| k.output == output) {
                continue;
            }
            keys.push(OrderKey { output, desc: key.desc, nulls_first: key.nulls_first });
        }
        Ok(keys)
    }

    /// An output of unknown type that is sorted or grouped by is text.
    pub(super) fn settle_output(&mut self, output: &mut Output, at: u32) -> Result<()> {
        if output.expr.ty().same(SqlType::UNKNOWN) {
            let expr = std::mem::replace(&mut output.expr, Expr::Row(Vec::new(), None));
            output.expr = self.resolve_unknown(expr, at)?;
        }
        Ok(())
    }

    /// The output that an item of ORDER BY, GROUP BY or DISTINCT ON means: by name, by position,
    /// or by being equal; else a new one that is junk.
    pub(super) fn find_output(
        &mut self,
        ast: &Ast,
        clause: Clause,
        outputs: &mut Vec<Output>,
    ) -> Result<usize> {
        if let ExprKind::Column(parts) = &ast.kind
            && let [name] = parts.as_slice()
        {
            let hidden =
                clause == Clause::GroupBy && self.names_local_column(&name.name, ast.at)?;
            if !hidden && let Some(output) = self.output_named(&name.name, ast, clause, outputs)? {
                return Ok(output);
            }
        }
        match &ast.kind {
            ExprKind::Number(digits) => match digits.parse::<i32>() {
                Ok(position) => return self.output_at(position, ast, clause, outputs),
                Err(_) => return Err(self.not_a_position(ast, clause)),
            },
            ExprKind::String(_) | ExprKind::Null | ExprKind::Bool(_) | ExprKind::Bits(_) => {
                return Err(self.not_a_position(ast, clause));
            }
            _ => {}
        }
        self.find_or_add(ast, clause, outputs)
    }

    /// As [`Binder::find_output`], by equality alone.
    pub(super) fn find_or_add(
        &mut self,
        ast: &Ast,
        clause: Clause,
        outputs: &mut Vec<Output>,
    ) -> Result<usize> {
        let from = self.level().uses.len();
        let expr = self.bind_in(ast, clause)?;
        if let Some(found) = outputs.iter().position(|o| same_expr(&o.expr, &expr)) {
            return Ok(found);
        }
        let uses = (from, self.level().uses.len());
        let name = super::target::output_name(ast);
        outputs.push(Output { expr, name, origin: None, at: ast.start(), uses, junk: true });
        Ok(outputs.len() - 1)
    }

    fn not_a_position(&self, ast: &Ast, clause: Clause) -> Error {
        let message = format!("non-integer constant in {}", clause.name());
        self.error(SqlState::SYNTAX_ERROR, message, ast.at)
    }

    fn output_at(
        &self,
        position: i32,
        ast: &Ast,
        clause: Clause,
        outputs: &[Output],
    ) -> Result<usize> {
        let visible = outputs.iter().filter(|o| !o.junk).count() as i32;
        if (1..=visible).contains(&position) {
            return Ok(position as usize - 1);
        }
        let message = format!("{} position {position} is not in select list", clause.name());
        Err(self.error(SqlState::INVALID_COLUMN_REFERENCE, message, ast.at))
    }

    fn output_named(
        &self,
        name: &str,
        ast: &Ast,
        clause: Clause,
        outputs: &[Output],
    ) -> Result<Option<usize>> {
        let mut found: Option<usize> = None;
        for (i, output) in outputs.iter().enumerate() {
            if output.junk || &*output.name != name {
                continue;
            }
            match found {
                Some(first) if !same_expr(&outputs[first].expr, &output.expr) => {
                    let message = format!("{} \"{name}\" is ambiguous", clause.name());
                    return Err(self.error(SqlState::AMBIGUOUS_COLUMN, message, ast.at));
                }
                Some(_) => {}
                None => found = Some(i),
            }
        }
        Ok(found)
    }

    /// Whether a name is a column of this query's own FROM.
    fn names_local_column(&self, name: &str, at: u32) -> Result<bool> {
        let here = self.levels.len() - 1;
        Ok(self.find_column(name, at)?.is_some_and(|found| found.level == here))
    }

    /// An expression with its direction. 42883 if its type has no order.
    pub(super) fn sort_key(&self, item: &OrderItem, expr: Expr) -> Result<SortKey> {
        let ty = expr.ty();
        let mut desc = item.desc;
        if let Some((name, at)) = &item.using {
            let operator = self.find_operator(name, Some(ty), ty, *at)?;
            let ordering = operator.left.is_some_and(|l| l.same(operator.right));
            desc = match operator.name {
                "<" if ordering => false,
                ">" if ordering => true,
                symbol => {
                    let message = format!("operator {symbol} is not a valid ordering operator");
                    let error = self.error(SqlState::WRONG_OBJECT_TYPE, message, *at);
                    return Err(error.with_hint(
                        "Ordering operators must be \"<\" or \">\" members of btree operator \
                         families.",
                    ));
                }
            };
        } else {
            self.require_ordering(ty, item.expr.start())?;
        }
        let nulls_first = item.nulls_first.unwrap_or(desc);
        Ok(SortKey { expr, desc, nulls_first })
    }

    /// DISTINCT's keys as outputs: all of them, or those of ON in the order ORDER BY has them.
    pub(super) fn distinct_on(
        &mut self,
        distinct: &Distinct,
        outputs: &mut Vec<Output>,
        order: &[OrderKey],
    ) -> Result<Vec<usize>> {
        match distinct {
            Distinct::No => Ok(Vec::new()),
            Distinct::All => {
                for key in order {
                    let output = &outputs[key.output];
                    if output.junk {
                        let message = "for SELECT DISTINCT, ORDER BY expressions must appear in \
                                       select list";
                        let code = SqlState::INVALID_COLUMN_REFERENCE;
                        return Err(self.error(code, message, output.at));
                    }
                }
                for output in outputs.iter_mut().filter(|o| !o.junk) {
                    let at = output.at;
                    self.settle_output(output, at)?;
                    self.require_equality(output.expr.ty(), at)?;
                }
                Ok(Vec::new())
            }
            Distinct::On(items) => {
                let mut on: Vec<usize> = Vec::with_capacity(items.len());
                let mut places = Vec::with_capacity(items.len());
                for item in items {
                    let output = self.find_output(item, Clause::DistinctOn, outputs)?;
                    self.settle_output(&mut outputs[output], item.at)?;
                    self.require_equality(outputs[output].expr.ty(), item.start())?;
                    if !on.contains(&output) {
                        on.push(output);
                        places.push(item.start());
                    }
                }
                self.match_order(&on, &places, order)?;
                Ok(on)
            }
        }
    }

    /// DISTINCT ON's expressions must be what ORDER BY begins with, in any order.
    fn match_order(&self, on: &[usize], places: &[u32], order: &[OrderKey]) -> Result<()> {
        let mut skipped = false;
        let mut matched = Vec::new();
        let mut fault = None;
        for key in order {
            match on.iter().position(|o| *o == key.output) {
                None => skipped = true,
                Some(place) if skipped => {
                    fault = Some(places[place]);
                    break;
                }
                Some(_) => matched.push(key.output),
            }
        }
        if fault.is_none() && skipped {
            fault = on.iter().position(|o| !matched.contains(o)).map(|place| places[place]);
        }
        let Some(at) = fault else { return Ok(()) };
        let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
        Err(self.error(SqlState::INVALID_COLUMN_REFERENCE, message, at))
    }

    /// LIMIT and OFFSET around a relation.
    pub(super) fn limit(&mut self, query: &Query) -> Result<Option<(Option<Expr>, Option<Expr>)>> {
        if query.limit.is_none() && query.offset.is_none() {
            return Ok(None);
        }
        let offset = self.limit_value(query.offset.as_ref(), Clause::Offset)?;
        let limit = self.limit_value(query.limit.as_ref(), Clause::Limit)?;
        let null = |e: &Option<Expr>| matches!(e, Some(Expr::Literal(Datum::Null, _)));
        if query.with_ties.is_some() && null(&limit) {
            let message = "row count cannot be null in FETCH FIRST ... WITH TIES clause";
            return Err(Error::new(SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, message));
        }
        let given = |e: Option<Expr>| if null(&e) { None } else { e };
        let (limit, offset) = (given(limit), given(offset));
        if limit.is_none() && offset.is_none() {
            return Ok(None);
        }
        Ok(Some((limit, offset)))
    }

    fn limit_value(&mut self, ast: Option<&Ast>, clause: Clause) -> Result<Option<Expr>> {
        let Some(ast) = ast else { return Ok(None) };
        let mark = self.level().uses.len();
        let bound = self.bind_in(ast, clause)?;
        self.level().uses.truncate(mark);
        let bound = self.coerce_clause(bound, SqlType::INT8, clause.name(), ast.start())?;
        self.refuse_columns(bound, clause.name(), ast.start()).map(Some)
    }

    /// What comes above a projection: DISTINCT, ORDER BY, LIMIT, and dropping what was junk.
    pub(super) fn finish(&mut self, projection: Rel, junk: &[bool], top: Top<'_>) -> Rel {
        let columns = projection.columns();
        let column = |i: usize| Expr::Column(columns[i].id, columns[i].ty);
        let keys = top.order.iter().map(|key| SortKey {
            expr: column(key.output),
            desc: key.desc,
            nulls_first: key.nulls_first,
        });
        let keys: Vec<SortKey> = keys.collect();
        let sort = |input: Rel, keys: Vec<SortKey>| match keys.is_empty() {
            true => input,
            false => Rel::Sort { input: Box::new(input), keys },
        };
        let mut rel = projection;
        match top.distinct {
            Distinct::No => rel = sort(rel, keys),
            Distinct::All => {
                rel = Rel::Distinct { input: Box::new(rel), on: Vec::new() };
                rel = sort(rel, keys);
            }
            Distinct::On(_) => {
                rel = sort(rel, keys);
                let on = top.distinct_on.iter().map(|i| column(*i)).collect();
                rel = Rel::Distinct { input: Box::new(rel), on };
            }
        }
        if let Some((limit, offset)) = top.limit {
            let input = Box::new(rel);
            rel = Rel::Limit { input, limit, offset, with_ties: top.with_ties };
        }
        if junk.iter().any(|j| *j) {
            let kept = columns.iter().zip(junk).filter(|(_, junk)| !**junk);
            let exprs = kept.map(|(c, _)| (Expr::Column(c.id, c.ty), c.clone())).collect();
            rel = Rel::Project { input: Box::new(rel), exprs };
        }
        rel
    }

    /// ORDER BY of a set operation or VALUES: over its columns alone.
    pub(super) fn order_columns(
        &mut self,
        query: &Query,
        outputs: &mut Vec<Output>,
    ) -> Result<Vec<OrderKey>> {
        let visible = outputs.len();
        let order = self.order_by(&query.order_by, outputs)?;
        if let Some(added) = outputs.get(visible) {
            let message = "invalid UNION/INTERSECT/EXCEPT ORDER BY clause";
            let error = self.error(SqlState::FEATURE_NOT_SUPPORTED, message, added.at);
            return Err(error
                .with_detail("Only result column names can be used, not expressions or functions.")
                .with_hint(
                    "Add the expression/function to every SELECT, or move the UNION into a FROM \
                     clause.",
                ));
        }
        Ok(order)
    }
}

/// What stands above a projection.
pub(super) struct Top<'q> {
    pub order: Vec<OrderKey>,
    pub distinct: &'q Distinct,
    pub distinct_on: Vec<usize>,
    pub limit: Option<(Option<Expr>, Option<Expr>)>,
    pub with_ties: bool,
}
