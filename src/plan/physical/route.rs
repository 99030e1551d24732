//! Routing: what each table access would cost on the row path, for [`route::decide`].

use super::{Planner, scan};
use crate::error::Result;
use crate::plan::node::PlanNode;
use crate::plan::route::{self, AccessFacts, ColumnarQuery, Path, ReadEngines, TableRoute};
use crate::plan::{access, stats, tree};
use crate::sql::bound::{Rel, Scan, Statement};
use crate::types::descriptor::RelationKind;

impl Planner<'_> {
    /// The routes of a statement whose row plan is `root`.
    pub(super) fn routes(&self, statement: &Statement, root: &PlanNode) -> Result<Vec<TableRoute>> {
        let rel = match statement {
            Statement::Query(rel) => rel,
            Statement::Insert(insert) => &insert.source,
            Statement::Update(update) => &update.source,
            Statement::Delete(delete) => &delete.source,
        };
        let scans = route::scans(rel);
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
            rows_total: stats::ROWS_DEFAULT,
            keyed: false,
            columns: scan.columns.len(),
            hint: scan.hint,
            writes,
            target: scan.lock.is_some() || scan.row_key.is_some(),
        };
        if scan.table.kind == RelationKind::Virtual {
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

/// The query for the column path, if it serves some access.
pub(super) fn columnar(statement: &Statement, routes: &[TableRoute]) -> Option<ColumnarQuery> {
    let Statement::Query(rel) = statement else { return None };
    let any = routes.iter().any(|r| r.path == Path::Column);
    any.then(|| ColumnarQuery { rel: Rel::clone(rel), routes: routes.to_vec() })
}
