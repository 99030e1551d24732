//! EXPLAIN [ANALYZE].

use std::sync::Arc;

use super::Session;
use super::path::Described;
use super::rows::{Running, Step};
use crate::catalog::CatalogSnapshot;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::plan::explain::{self, explain};
use crate::sql::statement::ExplainOptions;
use crate::types::{Datum, Row};

/// Rows asked of an execution at once.
const BATCH_ROWS: usize = 1024;

impl Session {
    /// The lines of EXPLAIN; with ANALYZE, after running the plan.
    pub(super) async fn explain(
        &mut self,
        options: &ExplainOptions,
        plan: &Arc<Plan>,
        schema: &Arc<CatalogSnapshot>,
        parameters: &[Datum],
    ) -> Result<Vec<Row>> {
        if let Some(format) = options.format.as_deref().filter(|format| *format != "text") {
            return Err(Error::unsupported(format!("EXPLAIN (FORMAT {format})")));
        }
        let shown = explain::ExplainOptions {
            costs: options.costs.unwrap_or(true),
            timing: options.timing.unwrap_or(true),
            verbose: options.verbose,
        };
        let mut running = Running::profiled(plan.clone(), schema.clone());
        let begun = self.database.clock.monotonic();
        if options.analyze {
            if plan.writes {
                self.check_read_write("EXPLAIN")?;
            }
            while self.next_batch(&mut running, parameters, BATCH_ROWS).await?.is_some() {}
        } else if plan.columnar.is_some() {
            // Only what a view has now says which row groups a scan reads.
            self.advance(&mut running, parameters, Step::ChoosePath).await?;
        }
        let took = self.database.clock.monotonic() - begun;
        let mut lines = match running.describe(options.analyze) {
            Described::Plan(lines) => lines,
            other => {
                let figures = if options.analyze { running.figures() } else { &[] };
                let mut lines = explain(plan, &shown, figures);
                if let Described::Note(note) = other {
                    lines.push(note);
                }
                lines
            }
        };
        if options.analyze && options.summary.unwrap_or(true) {
            lines.push(format!("Execution Time: {:.3} ms", took.as_secs_f64() * 1000.0));
        }
        Ok(lines.into_iter().map(|line| vec![Datum::text(line)]).collect())
    }
}
