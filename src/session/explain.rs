//! EXPLAIN [ANALYZE].

use std::sync::Arc;

use super::Session;
use super::path::Described;
use super::rows::{Running, STALE_MAX, Step};
use super::statement::{Body, Prepared};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::plan::explain::{self, explain};
use crate::sql::statement::ExplainOptions;
use crate::types::{Datum, Row};

/// Rows asked of an execution at once.
const BATCH_ROWS: usize = 1024;

impl Session {
    /// The lines of EXPLAIN, of the statement bound again where the schema has changed.
    pub(super) async fn explain(
        &mut self,
        prepared: &Arc<Prepared>,
        parameters: &[Datum],
    ) -> Result<Vec<Row>> {
        let mut prepared = prepared.clone();
        let mut attempt = 0;
        loop {
            let Body::Explain(options, plan) = &prepared.body else {
                return Err(Error::internal("EXPLAIN bound again is none"));
            };
            let mut running = Running::profiled(plan.clone(), prepared.schema.clone());
            let lines = self.explain_run(options, plan, &mut running, parameters).await;
            if !running.is_stale() || attempt >= STALE_MAX {
                return lines;
            }
            prepared = self.revalidate(&prepared)?;
            attempt += 1;
        }
    }

    /// The lines of EXPLAIN; with ANALYZE, after running the plan. Where the store counts its
    /// requests, they are shown: with those of the commit, if the statement is all of its message
    /// and of its transaction, which is committed then.
    async fn explain_run(
        &mut self,
        options: &ExplainOptions,
        plan: &Arc<Plan>,
        running: &mut Running,
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
        let mut requests = None;
        let commits = self.alone && self.may_run_again();
        let begun = self.database.clock.monotonic();
        if options.analyze {
            if commits && self.may_hope(plan) {
                running.hope();
            }
            requests = self.ensure_txn()?.count_requests();
            if plan.writes {
                self.check_read_write("EXPLAIN")?;
                self.check_foreign(plan, "EXPLAIN ANALYZE")?;
            }
            while self.next_batch(running, parameters, BATCH_ROWS).await?.is_some() {}
        } else if plan.columnar.is_some() {
            // Only what a view has now says which row groups a scan reads.
            self.advance(running, parameters, Step::ChoosePath).await?;
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
        if let Some(requests) = requests {
            if commits {
                self.commit_implicit().await?;
            }
            lines.push(format!("Store: {requests}"));
        }
        if options.analyze && options.summary.unwrap_or(true) {
            lines.push(format!("Execution Time: {:.3} ms", took.as_secs_f64() * 1000.0));
        }
        Ok(lines.into_iter().map(|line| vec![Datum::text(line)]).collect())
    }
}
