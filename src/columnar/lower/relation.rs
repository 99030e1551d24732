//! Relational operators as DataFusion plan nodes.
//!
//! Every column of the lowered plan is unqualified and named after its [`ColId`], so that names
//! never clash and references never need a table.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::common::{Column as DfColumn, JoinType};
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::Sort as DfSort;
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlan, LogicalPlanBuilder, Operator, lit};

use super::aggregate::{groupable, lower_aggregate, ordered};
use super::expr::{ExprLowering, Lowered, column_name};
use super::floats::float_at;
use super::subqueries::{collect_subqueries, gives_one_row, not_in, replace_subquery};
use super::{LoweredRel, Lowering, from_datafusion};
use crate::error::{Error, Result};
use crate::sql::bound::{
    AggregateCall, ColId, Column, Expr, JoinKind, Rel, Scan, SetOp, SortKey, Subquery, SubqueryKind,
};
use crate::types::{BaseType, Datum};

type DfResult<T> = datafusion::common::Result<T>;

fn build(step: DfResult<LogicalPlanBuilder>) -> Result<LogicalPlan> {
    step.and_then(LogicalPlanBuilder::build).map_err(from_datafusion)
}

fn refuse<T>(what: &str) -> Result<T> {
    Err(Error::unsupported(format!("{what} on the column path")))
}

fn column(id: ColId) -> DfExpr {
    DfExpr::Column(DfColumn::new_unqualified(column_name(id)))
}

impl LoweredRel {
    /// The plan with just these columns, in this order.
    pub(super) fn select(self, columns: &[Column]) -> Result<LogicalPlan> {
        let exprs: Vec<DfExpr> = columns.iter().map(|c| column(c.id)).collect();
        build(LogicalPlanBuilder::from(self.plan).project(exprs))
    }
}

impl<'a> Lowering<'a> {
    fn scope(&self, types: &HashMap<ColId, DataType>) -> ExprLowering<'_> {
        ExprLowering {
            params: self.params,
            context: self.context,
            columns: types.clone(),
            wide: self.wide,
        }
    }

    /// Lowers a relational operator.
    pub(super) fn rel(&mut self, rel: &'a Rel) -> Result<LoweredRel> {
        match rel {
            Rel::Scan(scan) => self.scan(scan),
            Rel::Values { rows, columns } => self.values(rows, columns),
            Rel::Filter { input, predicate } => self.filter(input, predicate),
            Rel::Project { input, exprs } => self.project(input, exprs),
            Rel::Join { left, right, kind, on, lateral: false } => {
                self.join(left, right, *kind, on.as_ref())
            }
            Rel::Aggregate { input, groups, sets, aggregates, grouping }
                if sets.len() <= 1 && grouping.is_empty() =>
            {
                self.aggregate(input, groups, aggregates)
            }
            Rel::Distinct { input, on } if on.is_empty() => self.distinct(input),
            Rel::Sort { input, keys } => self.sort(input, keys),
            Rel::Limit { input, limit, offset, with_ties: false } => {
                self.limit(input, limit.as_ref(), offset.as_ref())
            }
            Rel::SetOp { op: SetOp::Union, all, left, right, columns } => {
                self.union(left, right, columns, *all)
            }
            Rel::With { cte, query, body } if !matches!(**query, Rel::Recursive { .. }) => {
                self.ctes.insert(*cte, query);
                self.rel(body)
            }
            Rel::CteScan { cte, columns } => self.cte(*cte, columns),
            _ => refuse("this operator"),
        }
    }

    fn scan(&mut self, scan: &'a Scan) -> Result<LoweredRel> {
        if scan.lock.is_some() {
            return refuse("row locks");
        }
        if scan.row_key.is_some() {
            return refuse("the row's key");
        }
        let provider = self.scans.provider(scan)?;
        let schema = provider.schema();
        let builder = LogicalPlanBuilder::scan("t", provider_as_source(provider), None);
        let renamed = |b: LogicalPlanBuilder| {
            let exprs: Vec<DfExpr> = schema
                .fields()
                .iter()
                .zip(&scan.columns)
                .map(|(f, (_, c))| {
                    DfExpr::Column(DfColumn::new(Some("t"), f.name())).alias(column_name(c.id))
                })
                .collect();
            b.project(exprs)
        };
        let plan = build(builder.and_then(renamed))?;
        let types = schema
            .fields()
            .iter()
            .zip(&scan.columns)
            .map(|(f, (_, c))| (c.id, f.data_type().clone()))
            .collect();
        let mut lowered = LoweredRel { plan, types };
        for predicate in &scan.filter {
            lowered = self.apply_filter(lowered, predicate)?;
        }
        Ok(lowered)
    }

    fn values(&mut self, rows: &[Vec<Expr>], columns: &[Column]) -> Result<LoweredRel> {
        if columns.is_empty() && rows.len() == 1 {
            let plan = build(Ok(LogicalPlanBuilder::empty(true)))?;
            return Ok(LoweredRel { plan, types: HashMap::new() });
        }
        let types = HashMap::new();
        let scope = self.scope(&types);
        let mut lowered = Vec::with_capacity(rows.len());
        let mut kinds: Vec<Option<DataType>> = vec![None; columns.len()];
        for row in rows {
            let mut out = Vec::with_capacity(row.len());
            for (at, expr) in row.iter().enumerate() {
                let value = scope.lower(expr)?;
                match &kinds[at] {
                    None => kinds[at] = Some(value.data_type.clone()),
                    Some(kind) if *kind == value.data_type => {}
                    Some(_) => return refuse("VALUES of several numeric scales"),
                }
                out.push(value.expr);
            }
            lowered.push(out);
        }
        let builder = LogicalPlanBuilder::values(lowered).and_then(|b| {
            let names: Vec<DfExpr> = columns
                .iter()
                .enumerate()
                .map(|(at, c)| {
                    DfExpr::Column(DfColumn::new_unqualified(format!("column{}", at + 1)))
                        .alias(column_name(c.id))
                })
                .collect();
            b.project(names)
        });
        let types = columns.iter().zip(kinds).filter_map(|(c, k)| Some((c.id, k?))).collect();
        Ok(LoweredRel { plan: build(builder)?, types })
    }

    fn filter(&mut self, input: &'a Rel, predicate: &'a Expr) -> Result<LoweredRel> {
        let lowered = self.rel(input)?;
        self.apply_filter(lowered, predicate)
    }

    fn apply_filter(&mut self, input: LoweredRel, predicate: &'a Expr) -> Result<LoweredRel> {
        let mut input = input;
        for part in conjuncts(predicate) {
            input = match not_in(part) {
                Some((left, subquery)) => self.not_in(input, left, subquery)?,
                None => self.keep(input, part)?,
            };
        }
        Ok(input)
    }

    /// The rows for which a condition is true.
    fn keep(&mut self, input: LoweredRel, condition: &'a Expr) -> Result<LoweredRel> {
        let (input, condition) = self.lift_subqueries(input, condition)?;
        let condition = self.scope(&input.types).lower(&condition)?;
        let plan = build(LogicalPlanBuilder::from(input.plan).filter(condition.expr))?;
        Ok(LoweredRel { plan, types: input.types })
    }

    /// `left NOT IN (subquery)`: true if the subquery gives nothing; else unless `left` or one of
    /// its values is NULL, or one is equal.
    fn not_in(
        &mut self,
        input: LoweredRel,
        left: &'a Expr,
        subquery: &'a Subquery,
    ) -> Result<LoweredRel> {
        let Some(right) = subquery.rel.columns().into_iter().next() else {
            return refuse("a subquery without columns");
        };
        let inner = self.rel(&subquery.rel)?;
        let right_type = inner.types[&right.id].clone();
        let inner = inner.select(std::slice::from_ref(&right))?;
        let value = self.scope(&input.types).lower(left)?;
        let other =
            Lowered { expr: column(right.id), ty: right.ty, data_type: right_type, scale: None };
        let args = [left.clone(), Expr::Column(right.id, right.ty)];
        let scope = self.scope(&input.types);
        let Some(equal) = scope.compare(Operator::Eq, &value, &other, &args) else {
            return refuse("NOT IN of these types");
        };
        let (all, known) = (format!("all{}", right.id.0), format!("known{}", right.id.0));
        let counts =
            [count(lit(1i64)).alias(all.as_str()), count(column(right.id)).alias(known.as_str())];
        let builder = LogicalPlanBuilder::from(inner.clone());
        let counts = build(builder.aggregate(Vec::<DfExpr>::new(), counts))?;
        let number = |name: &str| DfExpr::Column(DfColumn::new_unqualified(name));
        let decided = number(&all)
            .eq(lit(0i64))
            .or(value.expr.is_not_null().and(number(&all).eq(number(&known))));
        let plan = LogicalPlanBuilder::from(input.plan)
            .cross_join(counts)
            .and_then(|b| b.filter(decided))
            .and_then(|b| b.join_on(inner, JoinType::LeftAnti, [equal]));
        Ok(LoweredRel { plan: build(plan)?, types: input.types })
    }

    fn project(&mut self, input: &'a Rel, exprs: &'a [(Expr, Column)]) -> Result<LoweredRel> {
        let mut input = self.rel(input)?;
        let mut lifted = Vec::with_capacity(exprs.len());
        for (expr, _) in exprs {
            let (next, expr) = self.lift_subqueries(input, expr)?;
            input = next;
            lifted.push(expr);
        }
        let scope = self.scope(&input.types);
        let mut out = Vec::with_capacity(exprs.len());
        let mut types = HashMap::with_capacity(exprs.len());
        for (expr, (_, c)) in lifted.iter().zip(exprs) {
            let value = scope.lower(expr)?;
            if value.scale.is_some() {
                return refuse("a CASE of numerics of several scales as a column");
            }
            types.insert(c.id, value.data_type);
            out.push(value.expr.alias(column_name(c.id)));
        }
        let plan = build(LogicalPlanBuilder::from(input.plan).project(out))?;
        Ok(LoweredRel { plan, types })
    }

    /// Replaces uncorrelated scalar subqueries by columns: each joins its one row to the input.
    fn lift_subqueries(&mut self, input: LoweredRel, expr: &'a Expr) -> Result<(LoweredRel, Expr)> {
        let mut found = Vec::new();
        collect_subqueries(expr, &mut found);
        let mut input = input;
        let mut replaced = expr.clone();
        for subquery in found {
            if !matches!(subquery.kind, SubqueryKind::Scalar) {
                return refuse("this kind of subquery");
            }
            let inner = self.rel(&subquery.rel)?;
            let Some(column_of) = subquery.rel.columns().into_iter().next() else {
                return refuse("a subquery without columns");
            };
            if !gives_one_row(&subquery.rel) {
                return refuse("a scalar subquery that may give several rows");
            }
            let data_type = inner.types[&column_of.id].clone();
            let right = inner.select(std::slice::from_ref(&column_of))?;
            let plan = build(LogicalPlanBuilder::from(input.plan).cross_join(right))?;
            let mut types = input.types;
            types.insert(column_of.id, data_type);
            input = LoweredRel { plan, types };
            replace_subquery(&mut replaced, &column_of);
        }
        Ok((input, replaced))
    }

    fn join(
        &mut self,
        left: &'a Rel,
        right: &'a Rel,
        kind: JoinKind,
        on: Option<&'a Expr>,
    ) -> Result<LoweredRel> {
        let left = self.rel(left)?;
        let right = self.rel(right)?;
        let mut both = left.types.clone();
        both.extend(right.types);
        let mut conditions = Vec::new();
        if let Some(on) = on {
            let scope = self.scope(&both);
            for part in conjuncts(on) {
                conditions.push(scope.lower(part)?.expr);
            }
        }
        let join_type = match kind {
            JoinKind::Inner => JoinType::Inner,
            JoinKind::Left => JoinType::Left,
            JoinKind::Full => JoinType::Full,
            JoinKind::Semi => JoinType::LeftSemi,
            JoinKind::Anti => JoinType::LeftAnti,
        };
        let builder = LogicalPlanBuilder::from(left.plan);
        let plan = if conditions.is_empty() && kind == JoinKind::Inner {
            build(builder.cross_join(right.plan))?
        } else {
            let conditions = if conditions.is_empty() { vec![lit(true)] } else { conditions };
            build(builder.join_on(right.plan, join_type, conditions))?
        };
        let types = if matches!(kind, JoinKind::Semi | JoinKind::Anti) { left.types } else { both };
        Ok(LoweredRel { plan, types })
    }

    fn aggregate(
        &mut self,
        input: &'a Rel,
        groups: &'a [(Expr, Column)],
        aggregates: &'a [AggregateCall],
    ) -> Result<LoweredRel> {
        let input = self.rel(input)?;
        let scope = self.scope(&input.types);
        let mut types = HashMap::new();
        let mut group_exprs = Vec::with_capacity(groups.len());
        for (expr, c) in groups {
            let value = scope.lower(expr)?;
            if !groupable(&value) {
                return refuse("grouping by this type");
            }
            types.insert(c.id, value.data_type);
            group_exprs.push(value.expr.alias(column_name(c.id)));
        }
        // The groups have their names below the aggregate already: DataFusion sends what a join
        // above knows of them to the scan by name.
        let group_columns: Vec<DfExpr> = groups.iter().map(|(_, c)| column(c.id)).collect();
        let mut calls = Vec::with_capacity(aggregates.len());
        // What is shown of it, where that is not what DataFusion gives.
        let mut shown = group_columns.clone();
        let mut is_plain = true;
        for call in aggregates {
            let (lowered, id) = (lower_aggregate(&scope, call)?, call.output.id);
            calls.push(lowered.expr.alias(column_name(id)));
            shown.push(match lowered.is_place {
                true => float_at(column(id), &lowered.data_type).alias(column_name(id)),
                false => column(id),
            });
            is_plain &= !lowered.is_place;
            types.insert(id, lowered.data_type);
        }
        if calls.is_empty() && group_exprs.is_empty() {
            return refuse("an aggregate without calls");
        }
        let builder = LogicalPlanBuilder::from(input.plan);
        let plan = build(if calls.is_empty() {
            builder.project(group_exprs).and_then(LogicalPlanBuilder::distinct)
        } else {
            let mut inputs: Vec<ColId> = input.types.keys().copied().collect();
            inputs.sort_unstable();
            let below = group_exprs.into_iter().chain(inputs.into_iter().map(column));
            let grouped = builder.project(below).and_then(|b| b.aggregate(group_columns, calls));
            match is_plain {
                true => grouped,
                false => grouped.and_then(|grouped| grouped.project(shown)),
            }
        })?;
        Ok(LoweredRel { plan, types })
    }

    fn distinct(&mut self, input: &'a Rel) -> Result<LoweredRel> {
        let columns = input.columns();
        let lowered = self.rel(input)?;
        for c in &columns {
            let data_type = lowered.types[&c.id].clone();
            let value = Lowered { expr: column(c.id), ty: c.ty, data_type, scale: None };
            if !groupable(&value) {
                return refuse("DISTINCT of this type");
            }
        }
        let types = lowered.types.clone();
        let plan = lowered.select(&columns)?;
        let plan = build(LogicalPlanBuilder::from(plan).distinct())?;
        Ok(LoweredRel { plan, types })
    }

    fn sort(&mut self, input: &'a Rel, keys: &'a [SortKey]) -> Result<LoweredRel> {
        let input = self.rel(input)?;
        let scope = self.scope(&input.types);
        let mut exprs = Vec::with_capacity(keys.len());
        for key in keys {
            let value = scope.lower(&key.expr)?;
            let expr = sort_expression(value)?;
            exprs.push(DfSort { expr, asc: !key.desc, nulls_first: key.nulls_first });
        }
        let plan = build(LogicalPlanBuilder::from(input.plan).sort(exprs))?;
        Ok(LoweredRel { plan, types: input.types })
    }

    fn limit(
        &mut self,
        input: &'a Rel,
        limit: Option<&Expr>,
        offset: Option<&Expr>,
    ) -> Result<LoweredRel> {
        let fetch = self.count_of(limit)?;
        let skip = self.count_of(offset)?.unwrap_or(0);
        let input = self.rel(input)?;
        let plan = build(LogicalPlanBuilder::from(input.plan).limit(skip, fetch))?;
        Ok(LoweredRel { plan, types: input.types })
    }

    /// The value of LIMIT or OFFSET; NULL is none.
    fn count_of(&self, expr: Option<&Expr>) -> Result<Option<usize>> {
        let datum = match expr {
            None => return Ok(None),
            Some(Expr::Literal(datum, _)) => datum,
            Some(Expr::Param(index, _)) => self.params.get(*index).unwrap_or(&Datum::Null),
            Some(_) => return refuse("a computed LIMIT"),
        };
        match datum {
            Datum::Null => Ok(None),
            Datum::Int8(n) if *n >= 0 => Ok(Some(*n as usize)),
            _ => refuse("a negative LIMIT"),
        }
    }

    fn union(
        &mut self,
        left: &'a Rel,
        right: &'a Rel,
        columns: &[Column],
        all: bool,
    ) -> Result<LoweredRel> {
        let mut sides = Vec::with_capacity(2);
        let mut types: HashMap<ColId, DataType> = HashMap::new();
        for rel in [left, right] {
            let own = rel.columns();
            let lowered = self.rel(rel)?;
            let mut exprs = Vec::with_capacity(own.len());
            for (from, to) in own.iter().zip(columns) {
                let data_type = lowered.types[&from.id].clone();
                if types.insert(to.id, data_type.clone()).is_some_and(|t| t != data_type) {
                    return refuse("UNION of several numeric scales");
                }
                let value = Lowered { expr: column(from.id), ty: to.ty, data_type, scale: None };
                if !all && !groupable(&value) {
                    return refuse("UNION of this type");
                }
                exprs.push(column(from.id).alias(column_name(to.id)));
            }
            sides.push(build(LogicalPlanBuilder::from(lowered.plan).project(exprs))?);
        }
        let (Some(right), Some(left)) = (sides.pop(), sides.pop()) else {
            return Err(Error::internal("a union has two sides"));
        };
        let builder = LogicalPlanBuilder::from(left);
        let plan = build(if all { builder.union(right) } else { builder.union_distinct(right) })?;
        Ok(LoweredRel { plan, types })
    }

    fn cte(&mut self, cte: usize, columns: &[Column]) -> Result<LoweredRel> {
        let Some(query) = self.ctes.get(&cte).copied() else {
            return refuse("a recursive WITH");
        };
        let own = query.columns();
        let lowered = self.rel(query)?;
        let mut types = HashMap::with_capacity(columns.len());
        let mut exprs = Vec::with_capacity(columns.len());
        for (from, to) in own.iter().zip(columns) {
            types.insert(to.id, lowered.types[&from.id].clone());
            exprs.push(column(from.id).alias(column_name(to.id)));
        }
        let plan = build(LogicalPlanBuilder::from(lowered.plan).project(exprs))?;
        Ok(LoweredRel { plan, types })
    }
}

/// What DataFusion sorts by. Numerics as bytes have no order in Arrow.
fn sort_expression(value: Lowered) -> Result<DfExpr> {
    match value.data_type {
        DataType::Float64 => Ok(value.expr + lit(0.0f64)),
        DataType::Float32 => Ok(value.expr + lit(0.0f32)),
        _ if value.ty.base == BaseType::Bpchar && value.ty.typmod > 4 => Ok(value.expr),
        _ if ordered(&value) => Ok(value.expr),
        DataType::Binary if value.ty.base == BaseType::Numeric && !value.ty.is_array => {
            Ok(super::udf::numeric_sort_key(value.expr))
        }
        _ => refuse("ORDER BY of this type"),
    }
}

/// The parts of an AND.
fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::And(parts) => parts.iter().flat_map(conjuncts).collect(),
        other => vec![other],
    }
}
