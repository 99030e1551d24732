//! Access paths of single tables.

use std::collections::HashSet;
use std::sync::Arc;

use super::{OrderItem, Planner, RowOrder, Want};
use crate::encoding::table::{IndexCodec, TableCodec};
use crate::error::{Error, Result, SqlState};
use crate::plan::access::{
    self, Access, AccessColumn, Candidate, Condition, IndexAccess, KeyBound, KeyPart, Test,
};
use crate::plan::compare::{Order, comparison};
use crate::plan::node::{Op, PlanNode, ScanPlan, VirtualPlan};
use crate::plan::route;
use crate::plan::scalar::Scalar;
use crate::plan::sizes::or_default;
use crate::plan::{stats, tree};
use crate::sql::bound::{ColId, Expr, Scan};
use crate::types::Datum;
use crate::types::descriptor::{ColumnId, Loaded, RelationKind, TableDescriptor};

/// A candidate with what it is believed to cost.
pub(super) struct Costed {
    pub(super) candidate: Candidate,
    /// Rows that the access reads.
    pub(super) read: f64,
    /// Rows left after all conditions.
    pub(super) rows: f64,
    pub(super) cost: f64,
}

impl Planner<'_> {
    /// Plans a table's occurrence.
    pub(super) fn scan(&mut self, scan: &Scan, want: &Want) -> Result<PlanNode> {
        if scan.table.kind == RelationKind::Virtual {
            return self.virtual_scan(scan);
        }
        if scan.table.kind == RelationKind::Foreign {
            return self.foreign_scan(scan, want);
        }
        for (id, column) in &scan.columns {
            self.origins.insert(column.id, (scan.table.clone(), *id));
        }
        let conjuncts: Vec<Expr> =
            scan.filter.iter().flat_map(|e| tree::conjuncts(e.clone())).collect();
        let conditions = access::conditions(scan, &conjuncts);
        let mut best: Option<(f64, Costed, bool)> = None;
        for candidate in self.candidates(scan, &conditions) {
            let costed = self.costed(scan, candidate, &conjuncts);
            let (cost, reverse) = self.cost_for(scan, &costed, want);
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, costed, reverse));
            }
        }
        let Some((_, costed, reverse)) = best else {
            return Err(Error::internal("no access path"));
        };
        let order = self.order_of_access(scan, &costed.candidate, reverse);
        let plan = self.scan_plan(scan, &costed.candidate, &conjuncts, &[], reverse)?;
        let mut columns: Vec<ColId> = scan.columns.iter().map(|(_, c)| c.id).collect();
        columns.extend(scan.row_key);
        let (rows, cost) = (costed.rows, costed.cost);
        let mut node = self.node(Op::Scan(Arc::new(plan)), columns, rows, cost);
        node.order = order;
        self.label_scan(&mut node, &costed.candidate, &conjuncts);
        Ok(node)
    }

    /// The accesses to choose from: just the whole table where only the column path is allowed.
    fn candidates(&self, scan: &Scan, conditions: &[Condition]) -> Vec<Candidate> {
        if route::columns_only(scan, self.settings.engines) {
            return access::candidates(&scan.table, &[]).into_iter().take(1).collect();
        }
        access::candidates(&scan.table, conditions)
    }

    fn virtual_scan(&mut self, scan: &Scan) -> Result<PlanNode> {
        let places = scan
            .columns
            .iter()
            .map(|(id, _)| scan.table.columns.iter().position(|c| c.id == *id))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Error::internal("catalog relation without its column"))?;
        let columns: Vec<ColId> = scan.columns.iter().map(|(_, c)| c.id).collect();
        let filter = self.scalars(&scan.filter, &columns)?;
        let plan = VirtualPlan { table: scan.table.clone(), columns: places, filter };
        let rows = stats::ROWS_DEFAULT * 0.1;
        let share: f64 = scan.filter.iter().map(share_of).product();
        let mut node = self.node(Op::Virtual(Arc::new(plan)), columns, rows * share, rows * 5.0);
        self.label(&mut node, "Filter", &scan.filter);
        Ok(node)
    }

    /// Rows of a table.
    pub(super) fn table_rows(&self, table: &TableDescriptor) -> f64 {
        if let Some(files) = &table.files {
            return (files.rows as f64).max(stats::ROWS_MIN);
        }
        let rows = self.settings.statistics.rows(table);
        self.sizes.borrow_mut().note(table.id, rows);
        or_default(rows)
    }

    /// Different values of a column.
    pub(super) fn distinct_values(&self, table: &TableDescriptor, column: ColumnId) -> f64 {
        let rows = self.table_rows(table);
        if is_unique(table, &[column].into()) {
            return rows;
        }
        let known = self.settings.statistics.distinct(table, column);
        known.unwrap_or(stats::DISTINCT_DEFAULT).clamp(1.0, rows)
    }

    /// The share of rows that a condition on one column keeps.
    fn share(&self, table: &TableDescriptor, condition: &Condition) -> f64 {
        let one = 1.0 / self.distinct_values(table, condition.column);
        match &condition.test {
            Test::Compare(Order::Equal, _) => one,
            Test::Compare(..) => stats::RANGE_SHARE,
            Test::OneOf(list) => (one * list.len() as f64).min(1.0),
            Test::Element(array) => (one * array_len(array)).min(1.0),
            Test::IsNull => 0.02,
        }
    }

    /// Estimates what a candidate reads, and what is left of it.
    pub(super) fn costed(&self, scan: &Scan, candidate: Candidate, conjuncts: &[Expr]) -> Costed {
        let table = &scan.table;
        let total = self.table_rows(table);
        let points: f64 = candidate.parts.iter().map(|c| values_of(&c.test)).product();
        let fixed: HashSet<ColumnId> = candidate.parts.iter().map(|c| c.column).collect();
        let mut read = if candidate.point || is_unique(table, &fixed) {
            points.min(total)
        } else {
            let share: f64 = candidate.parts.iter().map(|c| self.share(table, c)).product();
            (share * total).max(rows_of_prefix(table, &candidate, points, total))
        };
        read *= match (&candidate.low, &candidate.high) {
            (Some(_), Some(_)) => stats::TWO_SIDED_RANGE_SHARE.max(1.0 / total),
            (Some(_), None) | (None, Some(_)) => stats::RANGE_SHARE,
            (None, None) => 1.0,
        };
        let read = stats::clamp(read);
        let implied: HashSet<usize> = candidate.implied().collect();
        let conditions = access::conditions(scan, conjuncts);
        let rest: f64 = conjuncts
            .iter()
            .enumerate()
            .filter(|(i, _)| !implied.contains(i))
            .map(|(i, e)| match conditions.iter().find(|c| c.conjunct == i) {
                Some(c) => self.share(table, c),
                None => share_of(e),
            })
            .product();
        let costs = self.settings.statistics.costs();
        let cost = if candidate.point && candidate.index.is_none() {
            costs.get + (read - 1.0).max(0.0) * costs.get_many
        } else {
            let lookups = if candidate.index.is_some() { costs.index_lookup } else { 0.0 };
            points.max(1.0) * costs.seek + read * (costs.row + lookups)
        };
        let mut cost = cost + read * stats::EVAL_COST * conjuncts.len() as f64;
        if !self.settings.seq_scans && candidate.is_whole() {
            cost += stats::DISABLED_COST;
        }
        Costed { candidate, read, rows: stats::clamp(read * rest), cost }
    }

    /// The cost of a candidate for a parent that wants an order or few rows, and whether to read
    /// from the end.
    fn cost_for(&self, scan: &Scan, costed: &Costed, want: &Want) -> (f64, bool) {
        let share = |rows: f64| want.rows.map_or(1.0, |w| (w / rows).min(1.0));
        let seek = self.settings.statistics.costs().seek;
        if want.order.is_empty() {
            return (seek + costed.cost * share(costed.rows), false);
        }
        for reverse in [false, true] {
            let order = self.order_of_access(scan, &costed.candidate, reverse);
            if order.satisfies(&want.order) {
                return (seek + costed.cost * share(costed.rows), reverse);
            }
        }
        (seek + costed.cost + stats::sort_cost(costed.rows), false)
    }

    /// The order that an access gives rows in.
    fn order_of_access(&self, scan: &Scan, candidate: &Candidate, reverse: bool) -> RowOrder {
        let id_of = |column: ColumnId| {
            scan.columns.iter().find(|(c, _)| *c == column).map(|(_, col)| col.id)
        };
        let fixed: Vec<ColId> = candidate
            .parts
            .iter()
            .filter(|c| matches!(c.test, Test::Compare(Order::Equal, _)))
            .filter_map(|c| id_of(c.column))
            .collect();
        let descriptor = access::index_columns(&scan.table, candidate.index);
        let one_partition =
            candidate.parts.len() >= usize::from(scan.table.partition_columns).max(1);
        if !self.settings.ordered && !one_partition {
            return RowOrder { items: Vec::new(), fixed };
        }
        let mut items = Vec::new();
        for key in &descriptor.columns {
            let Some(column) = id_of(key.column) else { break };
            let not_null = scan
                .table
                .column_by_id(key.column)
                .is_some_and(|c| c.not_null || candidate.index.is_none());
            let desc = key.desc && candidate.index.is_some();
            let nulls_first = key.nulls_first && candidate.index.is_some();
            items.push(OrderItem {
                column,
                desc: desc != reverse,
                nulls_first: nulls_first != reverse,
                not_null,
            });
        }
        RowOrder { items, fixed }
    }

    /// Compiles a scan by `candidate`. `known` are the columns of the row that keys are computed
    /// from (a lookup join's left side).
    pub(super) fn scan_plan(
        &mut self,
        scan: &Scan,
        candidate: &Candidate,
        conjuncts: &[Expr],
        known: &[ColId],
        reverse: bool,
    ) -> Result<ScanPlan> {
        if scan.table.loaded == Loaded::Later {
            let name = &scan.table.name;
            return Err(Error::new(
                SqlState::SERIALIZATION_FAILURE,
                format!("could not serialize access due to concurrent load of table \"{name}\""),
            )
            .with_hint("The transaction might succeed if retried."));
        }
        let codec = Arc::new(TableCodec::new(&scan.table)?);
        let wanted: Vec<ColumnId> = scan.columns.iter().map(|(id, _)| *id).collect();
        let decoder = codec.decoder(&wanted)?;
        let access = self.access(scan, candidate, known)?;
        let implied: HashSet<usize> = candidate.implied().collect();
        let rest: Vec<Expr> = conjuncts
            .iter()
            .enumerate()
            .filter(|(i, _)| !implied.contains(i))
            .map(|(_, e)| e.clone())
            .collect();
        let row: Vec<ColId> = scan.columns.iter().map(|(_, c)| c.id).collect();
        let filter = self.scalars(&rest, &row)?;
        Ok(ScanPlan {
            table: scan.table.clone(),
            alias: scan.alias.clone(),
            codec,
            decoder,
            columnar: route::columns_only(scan, self.settings.engines).then(|| wanted.into()),
            access,
            filter,
            row_key: scan.row_key.is_some(),
            reverse,
        })
    }

    fn access(&mut self, scan: &Scan, candidate: &Candidate, known: &[ColId]) -> Result<Access> {
        let table = &scan.table;
        let descriptor = access::index_columns(table, candidate.index);
        let columns = descriptor
            .columns
            .iter()
            .map(|key| {
                let column = table
                    .column_by_id(key.column)
                    .ok_or_else(|| Error::internal("index on a column that is not there"))?;
                let marked = candidate.index.is_some();
                Ok(AccessColumn {
                    ty: column.ty,
                    desc: key.desc && marked,
                    nulls_first: key.nulls_first,
                    marked,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut parts = Vec::with_capacity(candidate.parts.len());
        for part in &candidate.parts {
            parts.push(match &part.test {
                Test::Compare(_, value) => KeyPart::OneOf(vec![self.scalar(value, known, &[])?]),
                Test::OneOf(values) => KeyPart::OneOf(
                    values.iter().map(|v| self.scalar(v, known, &[])).collect::<Result<_>>()?,
                ),
                Test::Element(array) => KeyPart::Element(self.scalar(array, known, &[])?),
                Test::IsNull => KeyPart::Null,
            });
        }
        let low = self.bound(candidate.low.as_ref(), known)?;
        let high = self.bound(candidate.high.as_ref(), known)?;
        let subqueries = parts.iter().any(part_has_subquery)
            || low.iter().chain(&high).any(|b| b.value.has_subquery());
        let index = match candidate.index {
            Some(_) => Some(IndexAccess {
                index: Arc::new(descriptor.clone()),
                codec: IndexCodec::new(table, descriptor)?,
            }),
            None => None,
        };
        let partition_columns =
            if index.is_some() { 1 } else { usize::from(table.partition_columns) };
        let point = candidate.point;
        Ok(Access { index, columns, parts, low, high, point, partition_columns, subqueries })
    }

    pub(super) fn bound(
        &mut self,
        condition: Option<&Condition>,
        known: &[ColId],
    ) -> Result<Option<KeyBound>> {
        let Some(Condition { test: Test::Compare(order, value), .. }) = condition else {
            return Ok(None);
        };
        let inclusive = matches!(order, Order::LessEqual | Order::GreaterEqual);
        Ok(Some(KeyBound { value: self.scalar(value, known, &[])?, inclusive }))
    }

    /// The lines of a scan for EXPLAIN.
    pub(super) fn label_scan(
        &self,
        node: &mut PlanNode,
        candidate: &Candidate,
        conjuncts: &[Expr],
    ) {
        let mut implied: Vec<usize> = candidate.implied().collect();
        implied.dedup();
        let pick = |keep: bool| -> Vec<Expr> {
            let listed = conjuncts.iter().enumerate();
            listed.filter(|(i, _)| implied.contains(i) == keep).map(|(_, e)| e.clone()).collect()
        };
        self.label(node, "Index Cond", &pick(true));
        self.label(node, "Filter", &pick(false));
    }
}

fn part_has_subquery(part: &KeyPart) -> bool {
    match part {
        KeyPart::OneOf(list) => list.iter().any(Scalar::has_subquery),
        KeyPart::Element(array) => array.has_subquery(),
        KeyPart::Null => false,
    }
}

/// Whether values for these columns name at most one row.
pub(super) fn is_unique(table: &TableDescriptor, columns: &HashSet<ColumnId>) -> bool {
    let primary = (!table.hidden_key).then_some(&table.primary);
    primary
        .into_iter()
        .chain(table.indexes.iter().filter(|i| i.unique))
        .any(|i| !i.columns.is_empty() && i.columns.iter().all(|c| columns.contains(&c.column)))
}

/// Rows that the first columns of a unique key leave, at least: all of its columns together tell
/// rows apart, so they are not independent, and each does a part of that.
fn rows_of_prefix(table: &TableDescriptor, of: &Candidate, points: f64, total: f64) -> f64 {
    let key = access::index_columns(table, of.index);
    let unique = if of.index.is_some() { key.unique } else { !table.hidden_key };
    let (known, all) = (of.parts.len(), key.columns.len());
    if !unique || known == 0 || known >= all {
        return 0.0;
    }
    (points * total.powf(1.0 - known as f64 / all as f64)).min(total)
}

pub(super) fn values_of(test: &Test) -> f64 {
    match test {
        Test::OneOf(list) => list.len() as f64,
        Test::Element(array) => array_len(array),
        _ => 1.0,
    }
}

fn array_len(array: &Expr) -> f64 {
    match array {
        Expr::Literal(Datum::Array(array), _) => array.values.len() as f64,
        Expr::Array(list, _) => list.len() as f64,
        _ => stats::ARRAY_LEN_DEFAULT,
    }
}

/// The share of rows that a condition keeps, by its form alone.
pub(super) fn share_of(expr: &Expr) -> f64 {
    match expr {
        Expr::Call(call) => match comparison(call.function).map(|c| c.order) {
            Some(Order::Equal) => 1.0 / stats::DISTINCT_DEFAULT,
            Some(Order::NotEqual) => 1.0 - 1.0 / stats::DISTINCT_DEFAULT,
            Some(_) => stats::RANGE_SHARE,
            None => stats::OTHER_SHARE,
        },
        Expr::And(list) => list.iter().map(share_of).product(),
        Expr::Or(list) => {
            let none: f64 = list.iter().map(|e| 1.0 - share_of(e)).product();
            1.0 - none
        }
        Expr::Not(inner) => 1.0 - share_of(inner),
        Expr::IsNull(_) => 0.02,
        Expr::AnyAll { any: true, array, .. } => {
            (array_len(array) / stats::DISTINCT_DEFAULT).min(1.0)
        }
        Expr::Literal(Datum::Bool(true), _) => 1.0,
        Expr::Literal(..) => 0.001,
        _ => stats::OTHER_SHARE,
    }
}
