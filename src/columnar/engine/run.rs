//! Running plans on the engine's threads.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use tokio::sync::{Semaphore, mpsc};

use super::{Engine, Quota};
use crate::error::{Error, SqlState};
use crate::functions::AnalyticsLimits;

/// Batches that wait for their reader.
const BATCHES_AHEAD: usize = 4;

/// The batches of a running plan. Dropping it ends the plan.
pub struct BatchStream {
    batches: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    task: tokio::task::JoinHandle<()>,
}

impl BatchStream {
    /// The next batch; none at the end.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, DataFusionError>> {
        self.batches.recv().await
    }
}

impl Drop for BatchStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a query runs with: a session of DataFusion, and its role's limits.
#[derive(Clone)]
pub struct Turn {
    /// The session.
    pub context: SessionContext,
    /// Turns of the role's queries; none: any number.
    role: Option<Arc<Semaphore>>,
    time: Option<Duration>,
}

impl From<SessionContext> for Turn {
    fn from(context: SessionContext) -> Turn {
        Turn { context, role: None, time: None }
    }
}

impl Engine {
    /// What a query of a role runs with.
    pub fn turn(&self, quota: &Quota) -> Result<Turn, DataFusionError> {
        if quota.limits == AnalyticsLimits::default() {
            return Ok(self.context().into());
        }
        let share = self.shares.of(quota, &self.environment)?;
        let memory_bytes = match quota.limits.memory_bytes {
            0 => self.options.memory_bytes,
            bytes => bytes.min(self.options.memory_bytes),
        };
        Ok(Turn {
            context: self.context_within(memory_bytes, &share.environment),
            role: Some(share.admission),
            time: quota.limits.time,
        })
    }

    /// Optimizes and runs a plan on the engine's threads; it waits its turn if enough queries run.
    /// Errors come through the stream.
    pub fn run(&self, turn: impl Into<Turn>, plan: LogicalPlan) -> BatchStream {
        let turn = turn.into();
        let context = turn.context.clone();
        self.start_task(turn, async move { context.state().create_physical_plan(&plan).await })
    }

    /// The physical plan of a logical one, made on the engine's threads.
    pub async fn plan(
        &self,
        context: &SessionContext,
        plan: LogicalPlan,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let state = context.state();
        let task = self.handle().spawn(async move { state.create_physical_plan(&plan).await });
        task.await.map_err(|e| DataFusionError::External(Box::new(e)))?
    }

    /// Runs a physical plan.
    pub fn run_physical(&self, turn: impl Into<Turn>, plan: Arc<dyn ExecutionPlan>) -> BatchStream {
        self.start_task(turn.into(), async move { Ok(plan) })
    }

    fn start_task<P>(&self, turn: Turn, plan: P) -> BatchStream
    where
        P: Future<Output = Result<Arc<dyn ExecutionPlan>, DataFusionError>> + Send + 'static,
    {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let admission: Arc<Semaphore> = self.admission.clone();
        let task = self.handle().spawn(async move {
            let Turn { context, role, time } = turn;
            // The role's turn first: those that wait for it keep nobody else. No semaphore is
            // closed while the engine lives.
            let _role = match role {
                Some(role) => Some(role.acquire_owned().await),
                None => None,
            };
            let Ok(_permit) = admission.acquire_owned().await else { return };
            let work = give(plan, context, &sender);
            let Some(time) = time else { return work.await };
            if tokio::time::timeout(time, work).await.is_err() {
                let error = Error::new(
                    SqlState::QUERY_CANCELED,
                    "canceling statement due to sluice.analytics_timeout",
                );
                let _ = sender.send(Err(DataFusionError::External(Box::new(error)))).await;
            }
        });
        BatchStream { batches, task }
    }
}

/// Runs a plan for its reader, until nobody reads any more.
async fn give<P>(
    plan: P,
    context: SessionContext,
    reader: &mpsc::Sender<Result<RecordBatch, DataFusionError>>,
) where
    P: Future<Output = Result<Arc<dyn ExecutionPlan>, DataFusionError>>,
{
    let started = plan.await.and_then(|plan| execute_stream(plan, context.task_ctx()));
    match started {
        Ok(mut stream) => {
            while let Some(batch) = stream.next().await {
                if reader.send(batch).await.is_err() {
                    return;
                }
            }
        }
        Err(e) => {
            let _ = reader.send(Err(e)).await;
        }
    }
}
