//! INSERT, UPDATE and DELETE of foreign tables: single rows, by their whole key.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Planner, Want, ids};
use crate::error::{Error, Result};
use crate::plan::access;
use crate::plan::foreign::choose;
use crate::plan::foreign::write::{ForeignWrite, ForeignWritePlan, Found};
use crate::plan::node::{Op, PlanNode, place_of};
use crate::plan::tree;
use crate::sql::bound::{
    ColId, Column, Delete, Expr, Insert, Rel, Returning, Scan, Statement, Update,
};
use crate::types::cql::CqlType;
use crate::types::descriptor::{ForeignRole, RelationKind, TableDescriptor};

/// Functions of `n + x` and `n - x` of a bigint.
const PLUS: [&str; 5] = ["int8pl", "int84pl", "int82pl", "int48pl", "int28pl"];
const MINUS: [&str; 3] = ["int8mi", "int84mi", "int82mi"];

/// The foreign table that a statement writes.
pub(super) fn written(statement: &Statement) -> Option<&Arc<TableDescriptor>> {
    let table = match statement {
        Statement::Query(_) => return None,
        Statement::Insert(insert) => &insert.table,
        Statement::Update(update) => &update.table,
        Statement::Delete(delete) => &delete.table,
        Statement::With(with) => {
            let mut parts = with.ctes.iter().map(|(_, cte)| cte).chain([&with.main]);
            return parts.find_map(written);
        }
    };
    (table.kind == RelationKind::Foreign).then_some(table)
}

/// 0A000 for a write beside others in one statement.
pub(super) fn refuse_beside(statement: &Statement) -> Result<()> {
    match written(statement) {
        Some(_) => Err(Error::unsupported(
            "writing to a foreign table in a statement with WITH that writes",
        )),
        None => Ok(()),
    }
}

impl Planner<'_> {
    pub(super) fn foreign_insert(&mut self, insert: &Insert) -> Result<PlanNode> {
        let table = &insert.table;
        if has_counters(table) {
            let what = format!("INSERT into foreign table \"{}\" with counters", table.name);
            return Err(Error::unsupported(what).with_hint(
                "UPDATE … SET n = n + 1 counts; CQL makes a counter by counting it up.",
            ));
        }
        if !is_values(&insert.source) {
            return Err(Error::unsupported("INSERT into a foreign table from a query")
                .with_hint("Give rows by VALUES: each is written by itself, in no transaction."));
        }
        self.whole_key(table)?;
        let ignore = match &insert.on_conflict {
            None => false,
            Some(conflict) if conflict.update.is_none() => true,
            Some(_) => return Err(Error::unsupported("ON CONFLICT DO UPDATE of a foreign table")),
        };
        let source = self.build(&insert.source, &Want::default())?;
        let source = self.in_order(source, &ids(&insert.source.columns()));
        let row = ids(&insert.target);
        let returning = self.returning(&insert.returning, &row, &[])?;
        let write = ForeignWrite::Insert { source, ignore };
        Ok(self.foreign_write(table, write, returning, &insert.returning))
    }

    pub(super) fn foreign_update(&mut self, update: &Update) -> Result<PlanNode> {
        let table = &update.table;
        let key = self.whole_key(table)?;
        let row = ids(&update.target);
        let new_row = ids(&update.new_row);
        let mut looked_at = Vec::new();
        for (column, value) in &update.assignments {
            let place = place(table, *column)?;
            let of = table.foreign.as_ref().and_then(|f| f.columns.get(place));
            if key.contains(&place) {
                return Err(Error::unsupported("UPDATE of a foreign table's key")
                    .with_hint("Insert the row under its new key, and delete the old one."));
            }
            if of.is_some_and(|of| of.role == ForeignRole::Static) {
                return Err(static_column(table, place));
            }
            looked_at.push(value.clone());
        }
        let counters = has_counters(table);
        if counters && !update.returning.exprs.is_empty() {
            return Err(Error::unsupported("RETURNING of counters"));
        }
        let returns = !update.returning.exprs.is_empty();
        let wanted = Wanted { source: &update.source, target: &update.target, looked_at, key };
        let found = self.found_foreign(table, "UPDATE", wanted, counters || returns)?;
        let write = match counters {
            true => {
                let mut sets = Vec::new();
                for (column, value) in &update.assignments {
                    let place = place(table, *column)?;
                    let (step, minus) = counted(table, place, value, &row)?;
                    sets.push((place, self.scalar(&step, &row, &[])?, minus));
                }
                ForeignWrite::Count { found, sets }
            }
            false => {
                let mut sets = Vec::new();
                for (column, value) in &update.assignments {
                    sets.push((place(table, *column)?, self.scalar(value, &row, &[])?));
                }
                ForeignWrite::Update { found, sets }
            }
        };
        let returning = self.returning(&update.returning, &new_row, &row)?;
        Ok(self.foreign_write(table, write, returning, &update.returning))
    }

    pub(super) fn foreign_delete(&mut self, delete: &Delete) -> Result<PlanNode> {
        let table = &delete.table;
        let key = self.whole_key(table)?;
        let row = ids(&delete.target);
        let counters = has_counters(table);
        let returns = !delete.returning.exprs.is_empty();
        let wanted =
            Wanted { source: &delete.source, target: &delete.target, looked_at: Vec::new(), key };
        let found = self.found_foreign(table, "DELETE", wanted, counters || returns)?;
        let returning = self.returning(&delete.returning, &row, &[])?;
        let write = ForeignWrite::Delete { found, counters };
        Ok(self.foreign_write(table, write, returning, &delete.returning))
    }

    /// Places of the key's columns: 0A000 where the foreign table has not all of them.
    fn whole_key(&self, table: &TableDescriptor) -> Result<Vec<usize>> {
        let foreign = table.foreign.as_ref();
        let key = foreign.and_then(|f| f.key()).ok_or_else(|| {
            let name = &table.name;
            Error::unsupported(format!("writing to foreign table \"{name}\" without its whole key"))
                .with_hint("Its definition leaves out columns of the primary key.")
        })?;
        if let Some(column) = key.iter().find(|column| !column.ty.is_exact()) {
            let what = format!(
                "writing to foreign table \"{}\", whose key has a column of CQL type {},",
                table.name, column.ty
            );
            return Err(Error::unsupported(what));
        }
        key.into_iter().map(|column| place(table, column.id)).collect()
    }

    /// The one row that the source names.
    fn found_foreign(
        &mut self,
        table: &Arc<TableDescriptor>,
        what: &str,
        wanted: Wanted<'_>,
        read: bool,
    ) -> Result<Found> {
        let refused = |why: &str| {
            let foreign = table.foreign.as_ref().and_then(|f| f.key()).unwrap_or_default();
            let names: Vec<&str> = foreign
                .iter()
                .filter_map(|c| table.column_by_id(c.id))
                .map(|c| c.name.as_str())
                .collect();
            Error::unsupported(format!("{what} of foreign table \"{}\" {why}", table.name))
                .with_hint(format!(
                    "Name one row in WHERE: each column of its key ({}) equal to a value.",
                    names.join(", ")
                ))
        };
        let mut conjuncts = Vec::new();
        let scan = single_scan(wanted.source, &mut conjuncts)
            .filter(|scan| scan.table.id == table.id)
            .ok_or_else(|| refused("beside other tables or by a subquery"))?;
        let conditions = access::conditions(scan, &conjuncts);
        let Some(foreign) = table.foreign.as_deref() else {
            return Err(Error::internal("a foreign table that stands for none"));
        };
        let chosen = choose(foreign, &conditions);
        if !chosen.point || !chosen.is_single() {
            return Err(refused("of more than one row by its key"));
        }
        let used: HashSet<usize> = chosen.used().collect();
        let rest = conjuncts.iter().enumerate().filter(|(at, _)| !used.contains(at));
        let looked_at: HashSet<ColId> =
            rest.map(|(_, e)| e).chain(&wanted.looked_at).flat_map(tree::expr_columns).collect();
        let row = ids(wanted.target);
        let compared: Vec<usize> = (0..row.len())
            .filter(|at| looked_at.contains(&row[*at]) && !wanted.key.contains(at))
            .collect();
        let looks = row.iter().any(|id| looked_at.contains(id));
        // All columns, so that places in the row are places in the descriptor.
        let columns = table.columns.iter().map(|c| c.id).zip(wanted.target.iter().cloned());
        let whole = Scan { columns: columns.collect(), ..scan.clone() };
        let rows = Arc::new(self.foreign_plan(&whole, &chosen, &conjuncts, &[])?);
        let plain = used.len() == conjuncts.len();
        Ok(Found { rows, read: read || looks || !plain, compared })
    }

    fn foreign_write(
        &mut self,
        table: &Arc<TableDescriptor>,
        write: ForeignWrite,
        returning: Option<crate::plan::scalar::Scalars>,
        written: &Returning,
    ) -> PlanNode {
        let plan = ForeignWritePlan { table: table.clone(), write, returning };
        let (text, read) = (plan.text(), plan.read_text());
        let mut node = self.write_node(Op::ForeignWrite(Arc::new(plan)), written, (1.0, 1.0));
        if self.settings.labels {
            node.labels.extend(read.map(|read| ("CQL read first", read)));
            node.labels.push(("CQL", text));
            self.label_consistency(&mut node);
        }
        node
    }
}

/// What UPDATE and DELETE say of their row.
struct Wanted<'a> {
    source: &'a Rel,
    target: &'a [Column],
    /// The new values.
    looked_at: Vec<Expr>,
    /// Places of the key's columns.
    key: Vec<usize>,
}

fn place(table: &TableDescriptor, column: crate::types::descriptor::ColumnId) -> Result<usize> {
    place_of(table, column).ok_or_else(|| Error::internal("a column that is not there"))
}

fn has_counters(table: &TableDescriptor) -> bool {
    let foreign = table.foreign.as_ref();
    foreign.is_some_and(|f| f.columns.iter().any(|c| c.ty == CqlType::Counter))
}

fn static_column(table: &TableDescriptor, place: usize) -> Error {
    let name = &table.columns[place].name;
    Error::unsupported(format!("writing to static column \"{name}\" of a foreign table"))
        .with_detail("It has one value for all rows of a partition.")
}

/// The scan that a source is, if it is nothing else but conditions on it.
fn single_scan<'r>(rel: &'r Rel, conjuncts: &mut Vec<Expr>) -> Option<&'r Scan> {
    match rel {
        Rel::Scan(scan) => {
            conjuncts.extend(scan.filter.iter().flat_map(|e| tree::conjuncts(e.clone())));
            Some(scan)
        }
        Rel::Filter { input, predicate } => {
            conjuncts.extend(tree::conjuncts(predicate.clone()));
            single_scan(input, conjuncts)
        }
        _ => None,
    }
}

/// Rows by VALUES, or a SELECT without FROM.
fn is_values(rel: &Rel) -> bool {
    match rel {
        Rel::Values { .. } => true,
        Rel::Project { input, .. } => is_values(input),
        _ => false,
    }
}

/// What `n = n + x` adds to a counter; whether it subtracts.
fn counted(
    table: &TableDescriptor,
    place: usize,
    value: &Expr,
    row: &[ColId],
) -> Result<(Expr, bool)> {
    let refused = || {
        let name = &table.columns[place].name;
        Error::unsupported(format!("setting counter \"{name}\" to a value"))
            .with_hint(format!("A counter is counted up or down: SET {name} = {name} + 1."))
    };
    let is_own = |e: &Expr| matches!(e, Expr::Column(id, _) if row.get(place) == Some(id));
    let is_free = |e: &Expr| tree::expr_columns(e).iter().all(|id| !row.contains(id));
    let Expr::Call(call) = value else { return Err(refused()) };
    let [left, right] = call.args.as_slice() else { return Err(refused()) };
    let name = call.function.name;
    match (is_own(left), is_own(right)) {
        (true, _) if is_free(right) && PLUS.contains(&name) => Ok((right.clone(), false)),
        (true, _) if is_free(right) && MINUS.contains(&name) => Ok((right.clone(), true)),
        (_, true) if is_free(left) && PLUS.contains(&name) => Ok((left.clone(), false)),
        _ => Err(refused()),
    }
}
