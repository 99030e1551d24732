//! Routing: what each table access would cost on the row path, for [`route::decide`].

use std::sync::Arc;

use super::{Planner, scan};
use crate::error::Result;
use crate::plan::node::PlanNode;
use crate::plan::route::{self, AccessFacts, ColumnarQuery, Path, ReadEngines, TableRoute};
use crate::plan::{PlanSettings, access, stats, tree};
use crate::sql::bound::{ColId, Rel, Scan, Statement};
use crate::types::descriptor::{RelationKind, TableId};

impl Planner<'_> {
    /// The routes of a statement whose row plan is `root`: those of `wide`, if it is there.
    pub(super) fn routes(
        &self,
        statement: &Statement,
        wide: Option<&Rel>,
        root: &PlanNode,
    ) -> Result<Vec<TableRoute>> {
        let mut rels = Vec::new();
        match wide {
            Some(wide) => rels.push(wide),
            None => sources(statement, &mut rels),
        }
        let scans: Vec<&Scan> = rels.into_iter().flat_map(route::scans).collect();
        let settings = self.settings;
        let choice = settings.labels
            || settings.engines != ReadEngines::default()
            || scans.iter().any(|s| s.table.columnar || s.hint.is_some());
        if !choice {
            return Ok(Vec::new());
        }
        let locks = scans.iter().any(|s| s.lock.is_some() || s.row_key.is_some());
        let writes = locks || !matches!(statement, Statement::Query(_));
        let accesses = scans.into_iter().map(|s| (s, self.facts(s, writes))).collect();
        route::decide(accesses, root.cost, settings.engines)
    }

    fn facts(&self, scan: &Scan, writes: bool) -> AccessFacts {
        let mut facts = AccessFacts {
            rows_read: stats::ROWS_DEFAULT,
            row_cost: stats::ROWS_DEFAULT,
            view_cost: self.settings.statistics.costs().view,
            rows_total: stats::ROWS_DEFAULT,
            keyed: false,
            columns: scan.columns.len(),
            hint: scan.hint,
            writes,
            target: scan.lock.is_some() || scan.row_key.is_some(),
        };
        if !matches!(scan.table.kind, RelationKind::Table | RelationKind::Files) {
            return facts;
        }
        facts.rows_total = self.table_rows(&scan.table);
        let conjuncts: Vec<_> =
            scan.filter.iter().flat_map(|e| tree::conjuncts(e.clone())).collect();
        let conditions = access::conditions(scan, &conjuncts);
        let costed = access::candidates(&scan.table, &conditions)
            .into_iter()
            .map(|candidate| self.costed(scan, candidate, &conjuncts))
            .min_by(|a, b| a.cost.total_cmp(&b.cost));
        if let Some(scan::Costed { candidate, read, cost, .. }) = costed {
            facts.rows_read = read;
            facts.row_cost = cost;
            facts.keyed = !candidate.is_full();
        }
        facts
    }
}

/// The relations that a statement reads.
fn sources<'s>(statement: &'s Statement, rels: &mut Vec<&'s Rel>) {
    match statement {
        Statement::Query(rel) => rels.push(rel),
        Statement::Insert(insert) => rels.push(&insert.source),
        Statement::Update(update) => rels.push(&update.source),
        Statement::Delete(delete) => rels.push(&delete.source),
        Statement::With(with) => {
            with.ctes.iter().for_each(|(_, cte)| sources(cte, rels));
            sources(&with.main, rels);
        }
    }
}

/// The query for the column path, if that serves some access: its joins are put in order, and its
/// routes with them.
pub(super) fn columnar(
    rel: Rel,
    routes: &[TableRoute],
    settings: &PlanSettings<'_>,
) -> Result<Option<ColumnarQuery>> {
    if routes.iter().all(|r| r.path == Path::Row) {
        return Ok(None);
    }
    // Occurrences are told apart by their columns' ids, which no reordering changes.
    let before: Vec<_> = route::scans(&rel).into_iter().map(identity).collect();
    let engines = ReadEngines { row: false, columnar: true };
    let settings = PlanSettings { engines, ..*settings };
    let mut ordered = rel.clone();
    Planner::new(&settings).order_joins(&mut ordered)?;
    let places = route::scans(&ordered).into_iter().map(|scan| {
        let wanted = identity(scan);
        before.iter().position(|known| *known == wanted)
    });
    let found: Option<Vec<TableRoute>> = places.map(|at| Some(routes[at?].clone())).collect();
    Ok(Some(match found {
        Some(routes) if before.len() == routes.len() => ColumnarQuery { rel: ordered, routes },
        _ => ColumnarQuery { rel, routes: routes.to_vec() },
    }))
}

/// What tells an occurrence of a table from others; those without columns are alike.
fn identity(scan: &Scan) -> (TableId, Arc<str>, Vec<ColId>) {
    (scan.table.id, scan.alias.clone(), scan.columns.iter().map(|(_, c)| c.id).collect())
}
