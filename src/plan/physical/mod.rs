//! From the rewritten bound tree to operators.
//!
//! [`Planner::build`] goes down the tree with what is wanted of a node's rows ([`Want`]) and comes
//! back with the cheapest operator it knows, its estimated rows and cost, and the order its rows
//! come in. Column positions are settled here: a node may put its columns in any order, and
//! [`Planner::in_order`] puts them straight where places count.

mod aggregate;
mod dml;
mod foreign;
mod foreign_write;
mod joins;
mod lock;
mod order;
mod route;
mod scan;
mod window;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::PlanSettings;
use super::node::*;
use super::rewrite::Recheck;
use super::scalar::{Compiler, Scalar, Scalars, Scope};
use super::sizes::Sizes;
use super::{explain, stats, tree};
use crate::error::{Error, Result};
use crate::functions::FunctionKind;
use crate::kv::LockMode;
use crate::sql::bound::{Call, ColId, Column, Expr, Rel, SetOp, SortKey, Statement, WithStatement};
use crate::types::descriptor::{ColumnId, TableDescriptor};
use crate::types::{BaseType, Datum};

/// What a parent wants of a node's rows. Nothing of it is a promise, but for `top`, which a sort
/// may act on.
#[derive(Clone, Default)]
pub struct Want {
    /// The order that would save a sort.
    pub order: Vec<OrderItem>,
    /// How many rows will be taken, if not all.
    pub rows: Option<f64>,
    /// LIMIT and OFFSET directly above, through nodes that keep rows one to one.
    top: Option<(Expr, Option<Expr>)>,
}

/// Plans one statement.
pub struct Planner<'a> {
    pub(super) settings: &'a PlanSettings<'a>,
    /// Columns of the frames of the subplans being planned, innermost last.
    frames: Vec<Vec<ColId>>,
    subplans: Vec<Arc<Subplan>>,
    tables: Vec<(Arc<TableDescriptor>, LockMode)>,
    sizes: RefCell<Sizes>,
    nodes: usize,
    waits: bool,
    /// Estimated rows of the CTEs in scope.
    ctes: HashMap<usize, f64>,
    /// CTEs scanned, of each subplan being planned, innermost last.
    scanned: Vec<HashSet<usize>>,
    /// Names of columns, for EXPLAIN.
    names: explain::Names,
    /// Which table's column a column is.
    origins: HashMap<ColId, (Arc<TableDescriptor>, ColumnId)>,
}

impl Scope for Planner<'_> {
    fn frame_slot(&mut self, column: ColId) -> Result<usize> {
        let Some(frame) = self.frames.last_mut() else {
            return Err(Error::internal(format!("column {} is made nowhere", column.0)));
        };
        if let Some(at) = frame.iter().position(|c| *c == column) {
            return Ok(at);
        }
        frame.push(column);
        Ok(frame.len() - 1)
    }

    fn subplan(&mut self, rel: &Rel, rows_max: Option<u64>) -> Result<(usize, Vec<ColId>)> {
        let want = Want { rows: rows_max.map(|r| r as f64), ..Want::default() };
        self.frames.push(Vec::new());
        self.scanned.push(HashSet::new());
        let root = self.build(rel, &want)?;
        let root = self.in_order(root, &ids(&rel.columns()));
        let ctes = self.scanned.pop().unwrap_or_default();
        let frame = self.frames.pop().unwrap_or_default();
        if let Some(around) = self.scanned.last_mut() {
            around.extend(&ctes);
        }
        let volatile = tree::is_volatile_rel(rel);
        let ctes = ctes.into_iter().collect();
        self.subplans.push(Arc::new(Subplan { root, frame: frame.clone(), ctes, volatile }));
        Ok((self.subplans.len() - 1, frame))
    }

    fn waits(&mut self) {
        self.waits = true;
    }
}

/// The ids of columns.
pub fn ids(columns: &[Column]) -> Vec<ColId> {
    columns.iter().map(|c| c.id).collect()
}

/// Plans a rewritten statement.
///
/// `wide` is the same query rewritten for the column path, where it could go there.
pub fn plan(
    statement: &Statement,
    wide: Option<Rel>,
    recheck: &Recheck,
    settings: &PlanSettings<'_>,
) -> Result<Plan> {
    let mut planner = Planner::new(settings);
    if settings.labels {
        planner.names = explain::Names::of(statement);
    }
    let (root, columns) = planner.statement(statement, recheck)?;
    let mut main = statement;
    while let Statement::With(with) = main {
        main = &with.main;
    }
    let kind = match main {
        Statement::Query(_) | Statement::With(_) => StatementKind::Select,
        Statement::Insert(_) => StatementKind::Insert,
        Statement::Update(_) => StatementKind::Update,
        Statement::Delete(_) => StatementKind::Delete,
    };
    let routes = planner.routes(statement, wide.as_ref(), &root)?;
    let columnar = wide.map(|rel| route::columnar(rel, &routes, settings)).transpose()?;
    let columnar = columnar.flatten().map(Arc::new);
    Ok(Plan {
        root,
        columns,
        kind,
        writes: !statement.is_query(),
        waits: planner.waits,
        foreign: foreign_write::written(statement).cloned(),
        subplans: planner.subplans,
        routes,
        columnar,
        tables: planner.tables,
        sizes: planner.sizes.into_inner(),
        nodes: planner.nodes,
        current_of: None,
    })
}

fn returned(exprs: &[(Expr, Column)]) -> Vec<Column> {
    exprs.iter().map(|(_, c)| c.clone()).collect()
}

impl<'a> Planner<'a> {
    fn new(settings: &'a PlanSettings<'a>) -> Planner<'a> {
        Planner {
            settings,
            frames: Vec::new(),
            subplans: Vec::new(),
            tables: Vec::new(),
            sizes: RefCell::default(),
            nodes: 0,
            waits: false,
            ctes: HashMap::new(),
            scanned: vec![HashSet::new()],
            names: explain::Names::default(),
            origins: HashMap::new(),
        }
    }
}

impl Planner<'_> {
    /// A statement's root, and what comes out of it.
    fn statement(
        &mut self,
        statement: &Statement,
        recheck: &Recheck,
    ) -> Result<(PlanNode, Vec<Column>)> {
        Ok(match statement {
            Statement::Query(rel) => (self.query(rel)?, rel.columns()),
            Statement::Insert(insert) => (self.insert(insert)?, returned(&insert.returning.exprs)),
            Statement::Update(update) => {
                (self.update(update, &recheck.own)?, returned(&update.returning.exprs))
            }
            Statement::Delete(delete) => {
                (self.delete(delete, &recheck.own)?, returned(&delete.returning.exprs))
            }
            Statement::With(with) => self.with_statement(with, recheck)?,
        })
    }

    fn with_statement(
        &mut self,
        with: &WithStatement,
        recheck: &Recheck,
    ) -> Result<(PlanNode, Vec<Column>)> {
        with.ctes.iter().try_for_each(|(_, cte)| foreign_write::refuse_beside(cte))?;
        foreign_write::refuse_beside(&with.main)?;
        let mut ctes = Vec::with_capacity(with.ctes.len());
        for (i, (cte, statement)) in with.ctes.iter().enumerate() {
            let own = recheck.ctes.get(i).cloned().unwrap_or_default();
            let own = Recheck { own, ctes: Vec::new() };
            let (node, columns) = self.statement(statement, &own)?;
            let node = match statement.is_query() {
                true => self.in_order(node, &ids(&columns)),
                false => node,
            };
            self.ctes.insert(*cte, node.rows);
            let writes = !statement.is_query();
            ctes.push(StatementCte { cte: *cte, query: node, writes });
        }
        let own = Recheck { own: recheck.own.clone(), ctes: Vec::new() };
        let (main, columns) = self.statement(&with.main, &own)?;
        let (ids, rows, cost) = (main.columns.to_vec(), main.rows, main.cost);
        let plan = StatementsPlan { ctes, main };
        Ok((self.node(Op::Statements(Arc::new(plan)), ids, rows, cost), columns))
    }

    /// A query, its columns in their order.
    fn query(&mut self, rel: &Rel) -> Result<PlanNode> {
        let root = self.build(rel, &Want::default())?;
        Ok(self.in_order(root, &ids(&rel.columns())))
    }

    /// A node of this operator.
    fn node(&mut self, op: Op, columns: Vec<ColId>, rows: f64, cost: f64) -> PlanNode {
        self.nodes += 1;
        PlanNode {
            id: self.nodes - 1,
            op,
            columns: columns.into(),
            rows: stats::clamp(rows),
            startup_cost: 0.0,
            cost,
            order: RowOrder::default(),
            labels: Vec::new(),
        }
    }

    /// Puts a node's columns into the wanted order, with a projection where they are not.
    fn in_order(&mut self, node: PlanNode, wanted: &[ColId]) -> PlanNode {
        if *node.columns == *wanted {
            return node;
        }
        let places: Vec<usize> = wanted
            .iter()
            .map(|w| node.columns.iter().position(|c| c == w).unwrap_or(usize::MAX))
            .collect();
        let (rows, cost) = (node.rows, node.cost);
        let exprs: Vec<Scalar> = places.iter().map(|p| Scalar::Slot(*p)).collect();
        let order = node.order.clone();
        let moves = distinct(&places).then_some(places);
        let plan = ProjectPlan { input: node, exprs: exprs.into(), moves };
        let mut out = self.node(Op::Project(Arc::new(plan)), wanted.to_vec(), rows, cost);
        out.order = order;
        out
    }

    /// Compiles expressions over one row.
    pub(super) fn scalars(&mut self, exprs: &[Expr], row: &[ColId]) -> Result<Scalars> {
        let list = Compiler { row, right: &[], scope: self }.list(exprs)?;
        Ok(list.into())
    }

    /// Compiles one expression over two rows.
    pub(super) fn scalar(&mut self, e: &Expr, row: &[ColId], right: &[ColId]) -> Result<Scalar> {
        Compiler { row, right, scope: self }.compile(e)
    }

    /// Compiles expressions over two rows.
    fn pair(&mut self, exprs: &[Expr], row: &[ColId], right: &[ColId]) -> Result<Scalars> {
        Ok(Compiler { row, right, scope: self }.list(exprs)?.into())
    }

    /// Adds a line of conditions for EXPLAIN.
    fn label(&self, node: &mut PlanNode, name: &'static str, exprs: &[Expr]) {
        if self.settings.labels && !exprs.is_empty() {
            node.labels.push((name, self.names.conjunction(exprs)));
        }
    }

    /// Adds a line of keys for EXPLAIN.
    fn label_list(&self, node: &mut PlanNode, name: &'static str, exprs: &[Expr]) {
        if self.settings.labels && !exprs.is_empty() {
            node.labels.push((name, self.names.list(exprs)));
        }
    }

    /// Plans any relation.
    pub(super) fn build(&mut self, rel: &Rel, want: &Want) -> Result<PlanNode> {
        if lock::has_lock(rel) {
            return self.lock_rows(rel, want);
        }
        match rel {
            Rel::Scan(scan) => self.scan(scan, want),
            Rel::Values { rows, columns } => self.values(rows, columns),
            Rel::Function { input, calls, ordinality, outer } => {
                let columns = ids(&rel.columns());
                self.function(input.as_deref(), calls, (ordinality.is_some(), *outer), columns)
            }
            Rel::Filter { input, predicate } => self.filter(rel, input, predicate, want),
            Rel::Project { input, exprs } => self.project(input, exprs, want),
            Rel::Join { .. } => self.join(rel, want),
            Rel::Aggregate { .. } => self.aggregate(rel),
            Rel::Window { input, calls } => self.window(input, calls),
            Rel::Distinct { input, on } => self.distinct(input, on, want),
            Rel::Sort { input, keys } => self.sort(input, keys, want),
            Rel::Limit { .. } => self.limit(rel, want),
            Rel::SetOp { op, all, left, right, columns } => {
                self.set_op(*op, *all, [left, right], columns)
            }
            Rel::With { cte, query, body } => self.with(*cte, query, body, want),
            Rel::CteScan { cte, columns } => {
                if let Some(scanned) = self.scanned.last_mut() {
                    scanned.insert(*cte);
                }
                let rows = self.ctes.get(cte).copied().unwrap_or(stats::ROWS_DEFAULT);
                Ok(self.node(Op::CteScan(*cte), ids(columns), rows, rows * 0.1))
            }
            Rel::Recursive { cte, base, step, all, columns } => {
                self.recursive(*cte, [base, step], *all, columns)
            }
        }
    }

    fn values(&mut self, rows: &[Vec<Expr>], columns: &[Column]) -> Result<PlanNode> {
        let compiled = rows.iter().map(|row| self.scalars(row, &[])).collect::<Result<Vec<_>>>()?;
        let count = rows.len() as f64;
        let plan = ValuesPlan { rows: compiled };
        Ok(self.node(Op::Values(Arc::new(plan)), ids(columns), count, count * stats::EVAL_COST))
    }

    fn function(
        &mut self,
        input: Option<&Rel>,
        calls: &[(Call, Vec<Column>)],
        (ordinality, outer): (bool, bool),
        columns: Vec<ColId>,
    ) -> Result<PlanNode> {
        let input = input.map(|i| self.build_in_order(i)).transpose()?;
        let row: Vec<ColId> = input.as_ref().map_or(Vec::new(), |i| i.columns.to_vec());
        let mut compiled = Vec::with_capacity(calls.len());
        for (call, made) in calls {
            let FunctionKind::Set(code, _) = call.function.kind else {
                return Err(Error::internal(format!("{:?} makes no rows", call.function)));
            };
            let args = self.scalars(&call.args, &row)?;
            let (function, width) = (call.function, made.len());
            compiled.push(SetCall { function, code, args, width });
        }
        let rows = input.as_ref().map_or(1.0, |i| i.rows) * stats::ROWS_DEFAULT;
        let cost = input.as_ref().map_or(0.0, |i| i.cost) + rows * stats::EVAL_COST;
        let plan = FunctionPlan { input, calls: compiled, ordinality, outer };
        Ok(self.node(Op::Function(Arc::new(plan)), columns, rows, cost))
    }

    /// A relation with its columns where [`Rel::columns`] says.
    fn build_in_order(&mut self, rel: &Rel) -> Result<PlanNode> {
        let node = self.build(rel, &Want::default())?;
        Ok(self.in_order(node, &ids(&rel.columns())))
    }

    fn filter(
        &mut self,
        rel: &Rel,
        input: &Rel,
        predicate: &Expr,
        want: &Want,
    ) -> Result<PlanNode> {
        if joins::is_cluster(rel) {
            return self.join(rel, want);
        }
        let list = tree::conjuncts(predicate.clone());
        let below = Want { top: None, ..want.clone() };
        let node = self.build(input, &below)?;
        self.filtered(node, &list)
    }

    /// `node` under conditions.
    fn filtered(&mut self, node: PlanNode, list: &[Expr]) -> Result<PlanNode> {
        if list.is_empty() {
            return Ok(node);
        }
        let columns = node.columns.clone();
        let made: HashSet<ColId> = columns.iter().copied().collect();
        let one_time =
            list.iter().all(|e| tree::expr_columns(e).is_disjoint(&made) && !tree::is_volatile(e));
        let conditions = self.scalars(list, &columns)?;
        let share: f64 = list.iter().map(scan::share_of).product();
        let (rows, cost) = (node.rows * share, node.cost);
        let cost = cost + node.rows * stats::EVAL_COST * list.len() as f64;
        let (order, startup) = (node.order.clone(), node.startup_cost);
        let plan = FilterPlan { input: node, conditions, one_time };
        let mut out = self.node(Op::Filter(Arc::new(plan)), columns.to_vec(), rows, cost);
        out.order = order;
        out.startup_cost = startup;
        self.label(&mut out, if one_time { "One-Time Filter" } else { "Filter" }, list);
        Ok(out)
    }

    fn project(&mut self, input: &Rel, exprs: &[(Expr, Column)], want: &Want) -> Result<PlanNode> {
        let below = below_project(exprs, want);
        let node = self.build(input, &below)?;
        self.projected(node, exprs)
    }

    /// `node` with computed columns.
    fn projected(&mut self, node: PlanNode, exprs: &[(Expr, Column)]) -> Result<PlanNode> {
        let row = node.columns.clone();
        let list: Vec<Expr> = exprs.iter().map(|(e, _)| e.clone()).collect();
        let compiled = self.scalars(&list, &row)?;
        let columns: Vec<ColId> = exprs.iter().map(|(_, c)| c.id).collect();
        if columns == *row && is_identity(&compiled) {
            return Ok(node);
        }
        let order = renamed_order(&node.order, exprs);
        let (rows, startup) = (node.rows, node.startup_cost);
        let cost = node.cost + rows * stats::EVAL_COST * exprs.len() as f64;
        let moves = moves_of(&compiled);
        let plan = ProjectPlan { input: node, exprs: compiled, moves };
        let mut out = self.node(Op::Project(Arc::new(plan)), columns, rows, cost);
        out.order = order;
        out.startup_cost = startup;
        Ok(out)
    }

    fn distinct(&mut self, input: &Rel, on: &[Expr], want: &Want) -> Result<PlanNode> {
        let below = Want { top: None, rows: None, order: want.order.clone() };
        let node = self.build(input, &below)?;
        let row = node.columns.clone();
        let keys = self.scalars(on, &row)?;
        let padded = if on.is_empty() {
            padded_places(&input.columns(), &row)
        } else {
            let is = |e: &Expr| e.ty().base == BaseType::Bpchar;
            on.iter().enumerate().filter(|(_, e)| is(e)).map(|(i, _)| i).collect()
        };
        let cost = node.cost + node.rows * stats::BUILD_COST;
        let (rows, order) = ((node.rows * 0.5).max(1.0), node.order.clone());
        let plan = DistinctPlan { input: node, on: keys, padded, sorted: false };
        let mut out = self.node(Op::Distinct(Arc::new(plan)), row.to_vec(), rows, cost);
        out.order = order;
        let all: Vec<Expr> = input.columns().iter().map(|c| Expr::Column(c.id, c.ty)).collect();
        self.label_list(&mut out, "Group Key", if on.is_empty() { &all } else { on });
        Ok(out)
    }

    /// Compiles sort keys over a row.
    fn sort_specs(&mut self, keys: &[SortKey], row: &[ColId]) -> Result<Vec<SortSpec>> {
        keys.iter()
            .map(|k| {
                Ok(SortSpec {
                    expr: self.scalar(&k.expr, row, &[])?,
                    desc: k.desc,
                    nulls_first: k.nulls_first,
                    padded: k.expr.ty().base == BaseType::Bpchar,
                })
            })
            .collect()
    }

    fn sort(&mut self, input: &Rel, keys: &[SortKey], want: &Want) -> Result<PlanNode> {
        let order = order_of(keys);
        let below = Want {
            order: order.clone().unwrap_or_default(),
            rows: want.rows.filter(|_| order.is_some()),
            top: None,
        };
        let node = self.build(input, &below)?;
        self.sorted(node, keys, want)
    }

    /// `node` sorted, unless it comes so.
    fn sorted(&mut self, node: PlanNode, keys: &[SortKey], want: &Want) -> Result<PlanNode> {
        let order = order_of(keys);
        let presorted = order.as_ref().map_or(0, |o| node.order.prefix(o));
        if presorted == keys.len() {
            return Ok(node);
        }
        let row = node.columns.clone();
        let specs = self.sort_specs(keys, &row)?;
        let subqueries = specs.iter().any(|s| s.expr.has_subquery());
        let top = match &want.top {
            Some((limit, offset)) => {
                let offset = offset.as_ref().map(|o| self.scalar(o, &[], &[])).transpose()?;
                Some((self.scalar(limit, &[], &[])?, offset))
            }
            None => None,
        };
        let (rows, cost) = (node.rows, node.cost + stats::sort_cost(node.rows));
        let plan = SortPlan { input: node, keys: specs, subqueries, top, presorted };
        let mut out = self.node(Op::Sort(Arc::new(plan)), row.to_vec(), rows, cost);
        out.startup_cost = cost;
        out.order.items = order.unwrap_or_default();
        if self.settings.labels {
            out.labels.push(("Sort Key", self.names.sort_keys(keys)));
        }
        Ok(out)
    }

    fn limit(&mut self, rel: &Rel, want: &Want) -> Result<PlanNode> {
        let Rel::Limit { input, limit, offset, with_ties } = rel else {
            return Err(Error::internal("not a limit"));
        };
        let rows = limit.as_ref().map(|l| row_count(l) + offset.as_ref().map_or(0.0, row_count));
        let top = limit.clone().filter(|_| !with_ties).map(|l| (l, offset.clone()));
        let below = Want { order: want.order.clone(), rows: rows.or(want.rows), top };
        let node = self.build(input, &below)?;
        let limit_scalar = limit.as_ref().map(|l| self.scalar(l, &[], &[])).transpose()?;
        let offset = offset.as_ref().map(|o| self.scalar(o, &[], &[])).transpose()?;
        let ties = match (with_ties, sort_keys(input)) {
            (false, _) => None,
            (true, Some(keys)) => Some(self.sort_specs(keys, &node.columns.clone())?),
            (true, None) => return Err(Error::internal("WITH TIES without a sort")),
        };
        let kept = rows.unwrap_or(node.rows).min(node.rows);
        let share = kept / node.rows;
        let cost = node.startup_cost + (node.cost - node.startup_cost) * share;
        let (order, columns) = (node.order.clone(), node.columns.to_vec());
        let plan = LimitPlan { input: node, limit: limit_scalar, offset, ties };
        let mut out = self.node(Op::Limit(Arc::new(plan)), columns, kept, cost);
        out.order = order;
        Ok(out)
    }

    fn set_op(
        &mut self,
        op: SetOp,
        all: bool,
        sides: [&Rel; 2],
        columns: &[Column],
    ) -> Result<PlanNode> {
        let mut inputs = Vec::with_capacity(2);
        for side in sides {
            self.union_inputs(op, all, side, &mut inputs)?;
        }
        let total: f64 = inputs.iter().map(|i| i.rows).sum();
        let cost: f64 = inputs.iter().map(|i| i.cost).sum();
        let rows = match op {
            SetOp::Union => total,
            SetOp::Intersect => inputs.iter().map(|i| i.rows).fold(f64::MAX, f64::min) * 0.5,
            SetOp::Except => inputs[0].rows * 0.5,
        };
        let order = ids(columns);
        let padded = padded_places(columns, &order);
        let cost = cost + if all { 0.0 } else { total * stats::BUILD_COST };
        let plan = SetOpPlan { op, all, inputs, padded };
        Ok(self.node(Op::SetOp(Arc::new(plan)), order, rows, cost))
    }

    /// The inputs of a set operation; nested unions of the same kind become one.
    fn union_inputs(
        &mut self,
        op: SetOp,
        all: bool,
        rel: &Rel,
        out: &mut Vec<PlanNode>,
    ) -> Result<()> {
        match rel {
            Rel::SetOp { op: SetOp::Union, all: inner, left, right, .. }
                if op == SetOp::Union && all == *inner =>
            {
                self.union_inputs(op, all, left, out)?;
                self.union_inputs(op, all, right, out)
            }
            _ => {
                out.push(self.build_in_order(rel)?);
                Ok(())
            }
        }
    }

    fn with(&mut self, cte: usize, query: &Rel, body: &Rel, want: &Want) -> Result<PlanNode> {
        let query = self.build_in_order(query)?;
        self.ctes.insert(cte, query.rows);
        let below = Want { top: None, ..want.clone() };
        let body = self.build(body, &below)?;
        if let Some(scanned) = self.scanned.last_mut() {
            scanned.remove(&cte);
        }
        let (rows, cost) = (body.rows, body.cost + query.cost);
        let (order, columns) = (body.order.clone(), body.columns.to_vec());
        let plan = WithPlan { cte, query, body };
        let mut out = self.node(Op::With(Arc::new(plan)), columns, rows, cost);
        out.order = order;
        Ok(out)
    }

    fn recursive(
        &mut self,
        cte: usize,
        [base, step]: [&Rel; 2],
        all: bool,
        columns: &[Column],
    ) -> Result<PlanNode> {
        let base = self.build_in_order(base)?;
        self.ctes.insert(cte, base.rows * 10.0);
        let step = self.build_in_order(step)?;
        if let Some(scanned) = self.scanned.last_mut() {
            scanned.remove(&cte);
        }
        let rows = base.rows + step.rows * 10.0;
        let cost = base.cost + step.cost * 10.0;
        let order = ids(columns);
        let padded = padded_places(columns, &order);
        let plan = RecursivePlan { cte, base, step, all, padded };
        Ok(self.node(Op::Recursive(Arc::new(plan)), order, rows, cost))
    }
}

fn distinct(places: &[usize]) -> bool {
    places.iter().enumerate().all(|(i, p)| !places[..i].contains(p))
}

/// Where every expression is a plain column, and none comes twice: their places.
fn moves_of(exprs: &Scalars) -> Option<Vec<usize>> {
    let places = exprs
        .list
        .iter()
        .map(|e| match e {
            Scalar::Slot(i) => Some(*i),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    distinct(&places).then_some(places)
}

fn is_identity(exprs: &Scalars) -> bool {
    exprs.list.iter().enumerate().all(|(at, e)| matches!(e, Scalar::Slot(i) if *i == at))
}

/// What is wanted below a projection: orders by plain columns, under their names there.
fn below_project(exprs: &[(Expr, Column)], want: &Want) -> Want {
    let renamed = |id: ColId| {
        exprs.iter().find(|(_, c)| c.id == id).and_then(|(e, _)| match e {
            Expr::Column(from, _) => Some(*from),
            _ => None,
        })
    };
    let order = want
        .order
        .iter()
        .map(|o| renamed(o.column).map(|column| OrderItem { column, ..*o }))
        .collect::<Option<Vec<_>>>();
    Want { order: order.unwrap_or_default(), rows: want.rows, top: want.top.clone() }
}

/// An order under the names that a projection gives its columns.
fn renamed_order(order: &RowOrder, exprs: &[(Expr, Column)]) -> RowOrder {
    let name = |id: ColId| {
        exprs.iter().find_map(|(e, c)| match e {
            Expr::Column(from, _) if *from == id => Some(c.id),
            _ => None,
        })
    };
    let renamed = |o: &OrderItem| name(o.column).map(|column| OrderItem { column, ..*o });
    let mut items = Vec::new();
    for item in &order.items {
        match renamed(item) {
            Some(item) => items.push(item),
            None if order.fixed.contains(&item.column) => {}
            None => break,
        }
    }
    RowOrder { items, fixed: order.fixed.iter().filter_map(|c| name(*c)).collect() }
}

/// Sort keys as an order, where all of them are plain columns.
pub fn order_of(keys: &[SortKey]) -> Option<Vec<OrderItem>> {
    keys.iter()
        .map(|k| {
            tree::sort_column(k).map(|column| OrderItem {
                column,
                desc: k.desc,
                nulls_first: k.nulls_first,
                not_null: false,
            })
        })
        .collect()
}

/// The sort keys directly below, through projections.
fn sort_keys(rel: &Rel) -> Option<&[SortKey]> {
    match rel {
        Rel::Sort { keys, .. } => Some(keys),
        _ => None,
    }
}

/// How many rows a LIMIT or OFFSET stands for, as far as that is known.
fn row_count(expr: &Expr) -> f64 {
    match expr {
        Expr::Literal(Datum::Int8(n), _) => (*n).max(0) as f64,
        Expr::Literal(Datum::Null, _) => 1e9,
        _ => 100.0,
    }
}

/// Places of char(n) columns, whose trailing blanks do not count in comparisons.
fn padded_places(columns: &[Column], order: &[ColId]) -> Vec<usize> {
    let is_padded =
        |id: &ColId| columns.iter().any(|c| c.id == *id && c.ty.base == BaseType::Bpchar);
    order.iter().enumerate().filter(|(_, id)| is_padded(id)).map(|(i, _)| i).collect()
}
