//! Running plans on the engine's threads.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use tokio::sync::{Semaphore, mpsc};

use super::Engine;

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

impl Engine {
    /// Optimizes and runs a plan made with `context` (see [`Engine::context`]) on the engine's
    /// threads; it waits its turn if enough queries run. Errors come through the stream.
    pub fn run(&self, context: SessionContext, plan: LogicalPlan) -> BatchStream {
        self.start_task(async move {
            let state = context.state();
            state.create_physical_plan(&plan).await.map(|plan| (plan, context))
        })
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
    pub fn run_physical(
        &self,
        context: SessionContext,
        plan: Arc<dyn ExecutionPlan>,
    ) -> BatchStream {
        self.start_task(async move { Ok((plan, context)) })
    }

    fn start_task<P>(&self, plan: P) -> BatchStream
    where
        P: Future<Output = Result<(Arc<dyn ExecutionPlan>, SessionContext), DataFusionError>>
            + Send
            + 'static,
    {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let admission: Arc<Semaphore> = self.admission.clone();
        let task = self.handle().spawn(async move {
            // The semaphore is never closed while the engine lives.
            let Ok(_permit) = admission.acquire_owned().await else { return };
            let started =
                plan.await.and_then(|(plan, context)| execute_stream(plan, context.task_ctx()));
            match started {
                Ok(mut stream) => {
                    while let Some(batch) = stream.next().await {
                        if sender.send(batch).await.is_err() {
                            return;
                        }
                    }
                }
                Err(e) => {
                    let _ = sender.send(Err(e)).await;
                }
            }
        });
        BatchStream { batches, task }
    }
}
