//! Running plans on the engine's threads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::yielding::{Stopped, yielding};
use super::{Engine, Quota};
use crate::clock::Clock;
use crate::columnar::spread::Spread;
use crate::error::{Error, SqlState};
use crate::functions::AnalyticsLimits;

/// Batches that wait for their reader.
const BATCHES_AHEAD: usize = 4;

/// The batches of a running plan. Dropping it ends the plan.
pub struct BatchStream {
    batches: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    task: tokio::task::JoinHandle<()>,
    stopped: Stopped,
    _alarm: Option<AbortOnDropHandle<()>>,
}

impl BatchStream {
    /// The next batch; none at the end.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, DataFusionError>> {
        self.batches.recv().await
    }
}

impl Drop for BatchStream {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
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
    /// Gateways that may have shares of it; 0 for all.
    gateways_max: usize,
    stopped: Stopped,
}

impl From<SessionContext> for Turn {
    fn from(context: SessionContext) -> Turn {
        Turn { context, role: None, time: None, gateways_max: 1, stopped: Stopped::default() }
    }
}

impl Engine {
    /// What a query of a role runs with, that so many gateways may have shares of; 0: all.
    pub fn turn(&self, quota: &Quota, gateways_max: usize) -> Result<Turn, DataFusionError> {
        if quota.limits == AnalyticsLimits::default() {
            return Ok(Turn { gateways_max, ..self.context().into() });
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
            // Limits are those of this process.
            gateways_max: 1,
            stopped: Stopped::default(),
        })
    }

    /// Optimizes and runs a plan on the engine's threads; it waits its turn if enough queries run.
    /// Errors come through the stream.
    pub fn run(&self, turn: impl Into<Turn>, plan: LogicalPlan) -> BatchStream {
        let turn = turn.into();
        let mut ways = Vec::new();
        if let Some(context) = self.shared_context(&turn, &plan, false) {
            ways.push(Way { context, plan: Plan::Shared(plan.clone()) });
        }
        ways.push(Way { context: turn.context.clone(), plan: Plan::Alone(plan) });
        self.start_task(turn, ways)
    }

    /// The session for a plan that other gateways can have shares of.
    fn shared_context(
        &self,
        turn: &Turn,
        plan: &LogicalPlan,
        measured: bool,
    ) -> Option<SessionContext> {
        self.spread.get()?.context(&turn.context, plan, turn.gateways_max, measured)
    }

    /// The physical plan of a logical one, made on the engine's threads, and what it runs with.
    pub async fn plan(
        &self,
        turn: Turn,
        plan: LogicalPlan,
    ) -> Result<(Turn, Arc<dyn ExecutionPlan>), DataFusionError> {
        let shared = self.shared_context(&turn, &plan, true);
        let (context, plan) = match shared {
            Some(context) => (context, Plan::Shared(plan)),
            None => (turn.context.clone(), Plan::Alone(plan)),
        };
        let way = Way { context: context.clone(), plan };
        let (clock, stopped) = (self.clock.clone(), turn.stopped.clone());
        let task = self.handle().spawn(async move { way.physical((&clock, &stopped)).await });
        let physical = task.await.map_err(|e| DataFusionError::External(Box::new(e)))??;
        Ok((Turn { context, ..turn }, physical))
    }

    /// Runs a physical plan.
    pub fn run_physical(&self, turn: impl Into<Turn>, plan: Arc<dyn ExecutionPlan>) -> BatchStream {
        let turn = turn.into();
        let way = Way { context: turn.context.clone(), plan: Plan::Physical(plan) };
        self.start_task(turn, vec![way])
    }

    fn start_task(&self, turn: Turn, ways: Vec<Way>) -> BatchStream {
        let spread = self.spread.get().cloned();
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let (clock, stopped) = (self.clock.clone(), turn.stopped.clone());
        let admission: Arc<Semaphore> = self.admission.clone();
        let (alarm, rings) = turn.time.map(|time| alarm(time, stopped.clone())).unzip();
        let task = self.handle().spawn(async move {
            let role = turn.role;
            // The role's turn first: those that wait for it keep nobody else. No semaphore is
            // closed while the engine lives.
            let _role = match role {
                Some(role) => Some(role.acquire_owned().await),
                None => None,
            };
            let Ok(_permit) = admission.acquire_owned().await else { return };
            let work = give(ways, (&clock, &turn.stopped), spread, &sender);
            let ended = match alarm {
                Some(alarm) => alarm.within(work, &turn.stopped).await,
                None => work.await,
            };
            if let Err(error) = ended {
                let _ = sender.send(Err(error)).await;
            }
        });
        BatchStream { batches, task, stopped, _alarm: rings }
    }
}

/// A plan, and what it runs with.
struct Way {
    context: SessionContext,
    plan: Plan,
}

enum Plan {
    /// To be run here,
    Alone(LogicalPlan),
    /// or by several gateways, which know no nodes but DataFusion's and scans of views.
    Shared(LogicalPlan),
    Physical(Arc<dyn ExecutionPlan>),
}

impl Way {
    async fn physical(
        self,
        (clock, stopped): (&Arc<dyn Clock>, &Stopped),
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        match self.plan {
            Plan::Alone(plan) => {
                let plan = self.context.state().create_physical_plan(&plan).await?;
                yielding(plan, clock, stopped)
            }
            Plan::Shared(plan) => self.context.state().create_physical_plan(&plan).await,
            Plan::Physical(plan) => Ok(plan),
        }
    }

    async fn start(
        self,
        stop: (&Arc<dyn Clock>, &Stopped),
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let context = self.context.task_ctx();
        execute_stream(self.physical(stop).await?, context)
    }
}

/// What stops a query that has taken its time.
struct Alarm {
    begin: oneshot::Sender<()>,
    rung: oneshot::Receiver<()>,
}

/// An alarm, and the task that lets it ring, on the caller's threads: those of the engine may all
/// be in joins that look for long before they give a row, and do not let their threads go until
/// their conditions fail.
fn alarm(time: Duration, stopped: Stopped) -> (Alarm, AbortOnDropHandle<()>) {
    let ((begin, begun), (ring, rung)) = (oneshot::channel(), oneshot::channel());
    let task = tokio::spawn(async move {
        if begun.await.is_ok() {
            tokio::time::sleep(time).await;
            stopped.store(true, Ordering::Relaxed);
            let _ = ring.send(());
        }
    });
    (Alarm { begin, rung }, AbortOnDropHandle::new(task))
}

impl Alarm {
    /// Does work until it has ended or the alarm rings, which counts from now on.
    async fn within(
        self,
        work: impl Future<Output = Result<(), DataFusionError>>,
        stopped: &Stopped,
    ) -> Result<(), DataFusionError> {
        let _ = self.begin.send(());
        let ended = tokio::select! {
            ended = work => ended,
            Ok(()) = self.rung => Ok(()),
        };
        if !stopped.load(Ordering::Relaxed) {
            return ended;
        }
        let message = "canceling statement due to sluice.analytics_timeout";
        Err(DataFusionError::External(Box::new(Error::new(SqlState::QUERY_CANCELED, message))))
    }
}

/// Runs a plan for its reader, until nobody reads any more: in the first of these ways that gives
/// something.
///
/// # Errors
/// That of the last way.
async fn give(
    ways: Vec<Way>,
    stop: (&Arc<dyn Clock>, &Stopped),
    spread: Option<Arc<Spread>>,
    reader: &mpsc::Sender<Result<RecordBatch, DataFusionError>>,
) -> Result<(), DataFusionError> {
    let mut ways = ways.into_iter().peekable();
    while let Some(way) = ways.next() {
        let (mut given, mut failure) = (false, None);
        match way.start(stop).await {
            Ok(mut stream) => {
                while let Some(batch) = stream.next().await {
                    match batch {
                        Ok(batch) => {
                            given = true;
                            if reader.send(Ok(batch)).await.is_err() {
                                return Ok(());
                            }
                        }
                        Err(error) => {
                            failure = Some(error);
                            break;
                        }
                    }
                }
            }
            Err(error) => failure = Some(error),
        }
        match (failure, &spread) {
            (None, _) => return Ok(()),
            (Some(error), Some(spread)) if !given && ways.peek().is_some() => spread.failed(&error),
            (Some(error), _) => return Err(error),
        }
    }
    Ok(())
}
