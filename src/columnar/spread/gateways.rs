//! The gateways that share scans: what they give each other, and when.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlan, ScalarUDF};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use datafusion_distributed::{
    DesiredTaskCountEvent, DesiredTaskCountEventResponse, DistributedExt, DistributedLeafExec,
    DistributedMetricsFormat, ScaleUpLeafNodeEvent, ScaleUpLeafNodeEventResponse,
    SessionStateBuilderExt, Worker, WorkerQueryContext, WorkerResolver,
    rewrite_distributed_plan_with_metrics,
};
use http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use url::Url;

use super::codec::ScanCodec;
use crate::clock::Clock;
use crate::columnar::engine::Engine;
use crate::columnar::query::ViewTable;
use crate::columnar::query::scan::ViewScan;
use crate::error::{Error, Result, SqlState};
use crate::types::io::hex;

/// How long a gateway scans alone after the others could not do their shares.
const PAUSE: Duration = Duration::from_secs(5);
/// How often gateways say that they are there, and look for the others.
const MEET_INTERVAL: Duration = Duration::from_secs(3);
/// How long EXPLAIN (ANALYZE) waits for what other gateways measured.
const MEASURES_WAIT: Duration = Duration::from_secs(2);

/// Who shares scans, and from when on.
#[derive(Clone, Debug)]
pub struct SpreadOptions {
    /// Where this gateway takes shares, `host:port`, as the others reach it.
    pub listen: String,
    /// Who knows the others.
    pub peers: Arc<dyn Peers>,
    /// What they prove with that they belong here.
    pub secret: Option<String>,
    /// Rows that make a share worth being given away.
    pub rows: usize,
}

/// Where gateways find each other.
#[async_trait]
pub trait Peers: Send + Sync + std::fmt::Debug {
    /// Says that a gateway takes shares at `own`; gives where others do that have the same mark.
    async fn meet(&self, own: &str, mark: &str) -> Result<Vec<String>>;
}

/// Functions that all gateways know by their names.
#[derive(Clone)]
pub struct Functions {
    /// Of one row's values,
    pub scalars: Vec<Arc<ScalarUDF>>,
    /// and of many rows'.
    pub aggregates: Vec<Arc<AggregateUDF>>,
}

impl Functions {
    fn give(&self, mut builder: SessionStateBuilder) -> SessionStateBuilder {
        let scalars = builder.scalar_functions().get_or_insert_default();
        scalars.extend(self.scalars.iter().cloned());
        let aggregates = builder.aggregate_functions().get_or_insert_default();
        aggregates.extend(self.aggregates.iter().cloned());
        builder
    }
}

/// The gateways that share scans.
pub struct Spread {
    /// This one's first, then those that are there.
    urls: Arc<Mutex<Vec<Url>>>,
    worker: Worker,
    headers: HeaderMap,
    codec: Arc<ScanCodec>,
    functions: Functions,
    rows: usize,
    clock: Arc<dyn Clock>,
    /// Alone until then (monotonic).
    paused_until: Mutex<Duration>,
}

/// All of them, wherever they are.
struct Gateways(Vec<Url>);

impl WorkerResolver for Gateways {
    fn get_urls(&self) -> DfResult<Vec<Url>> {
        Ok(self.0.clone())
    }
}

fn wrong(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn url(address: &str) -> Result<Url> {
    let no_address =
        || wrong(format!("\"{address}\" is no address of a gateway")).with_hint("Give host:port.");
    let url = Url::parse(&format!("http://{address}")).map_err(|_| no_address())?;
    match url.port_or_known_default().is_some_and(|port| port > 0) && url.path() == "/" {
        true => Ok(url),
        false => Err(no_address()),
    }
}

fn headers(secret: Option<&str>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    if let Some(secret) = secret {
        let value = HeaderValue::from_str(&format!("Bearer {secret}"));
        let mut value = value.map_err(|_| wrong("a scan secret is printable ASCII".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(headers)
}

impl Spread {
    /// Takes shares from now on, and gives them.
    ///
    /// # Errors
    /// 22023 for addresses that are none, or open to others without a secret; 58030 where it cannot
    /// listen.
    pub fn start(
        engine: &Arc<Engine>,
        options: &SpreadOptions,
        functions: Functions,
        clock: Arc<dyn Clock>,
    ) -> Result<Spread> {
        let io = |e: std::io::Error| {
            let message = format!("could not take scans at {}: {e}", options.listen);
            Error::new(SqlState::IO_ERROR, message).with_source(e)
        };
        let addresses: Vec<SocketAddr> = options.listen.to_socket_addrs().map_err(io)?.collect();
        if options.secret.is_none() && !addresses.iter().all(|a| a.ip().is_loopback()) {
            let message = format!("{} is open to other machines", options.listen);
            return Err(wrong(message).with_hint("Give all gateways the same --scan-secret."));
        }
        let urls = Arc::new(Mutex::new(vec![url(&options.listen)?]));
        let headers = headers(options.secret.as_deref())?;
        let listener = std::net::TcpListener::bind(&addresses[..]).map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        let codec = Arc::new(ScanCodec { engine: Arc::downgrade(engine) });
        let worker = worker(engine, headers.clone(), codec.clone(), functions.clone());
        let served = worker.clone().into_worker_server();
        let handle = engine.handle();
        let _entered = handle.enter();
        let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener).map_err(io)?);
        handle.spawn(async move {
            let server = Server::builder().add_service(served);
            if let Err(error) = server.serve_with_incoming(incoming).await {
                tracing::error!(%error, "no shares of scans are taken any more");
            }
        });
        handle.spawn(meet(options.clone(), Arc::downgrade(&urls)));
        let paused_until = Mutex::new(Duration::ZERO);
        Ok(Spread {
            urls,
            worker,
            headers,
            codec,
            functions,
            rows: options.rows.max(1),
            clock,
            paused_until,
        })
    }

    /// A session that gives shares away, if a plan could be cut: it reads views and nothing else,
    /// by functions that all gateways know by name. `measured`: what its tasks do is wanted.
    pub fn context(
        &self,
        alone: &SessionContext,
        plan: &LogicalPlan,
        gateways_max: usize,
        measured: bool,
    ) -> Option<SessionContext> {
        let paused = self.clock.monotonic() < *self.paused_until.lock();
        let urls = self.urls.lock().clone();
        if paused || gateways_max == 1 || urls.len() == 1 || !reads_views_only(plan) {
            return None;
        }
        let rows = self.rows;
        let local = self.worker.to_local_worker_context(urls[0].clone());
        let desired = move |event: DesiredTaskCountEvent<'_>| {
            let scan = event.plan.downcast_ref::<ViewScan>()?;
            let shares = scan.rows_read().div_ceil(rows).max(1);
            Some(Ok(DesiredTaskCountEventResponse::desired(shares)))
        };
        let state = self
            .functions
            .give(SessionStateBuilder::new_from_existing(alone.state()))
            .with_distributed_planner()
            .with_distributed_worker_resolver(Gateways(urls))
            .with_distributed_local_worker_context(local)
            .with_distributed_user_codec_arc(self.codec.clone())
            .with_distributed_desired_task_count_handler(desired)
            .with_distributed_scale_up_leaf_node_handler(scaled_up)
            .with_distributed_passthrough_headers(self.headers.clone())
            .and_then(|builder| builder.with_distributed_max_tasks_per_stage(gateways_max))
            .and_then(|builder| builder.with_distributed_metrics_collection(measured));
        let state = state.ok()?.build();
        calls_known(plan, &state).then(|| SessionContext::new_with_state(state))
    }

    /// Takes note that others could not do their shares.
    pub fn failed(&self, error: &DataFusionError) {
        tracing::warn!(%error, "a scan over several gateways begins again on this one");
        *self.paused_until.lock() = self.clock.monotonic() + PAUSE;
    }
}

/// Keeps the others' addresses up to date, while somebody wants them. Those of a gateway with
/// another secret, which would do no shares, are not among them.
async fn meet(options: SpreadOptions, urls: Weak<Mutex<Vec<Url>>>) {
    let secret = options.secret.unwrap_or_default();
    let mark = hex(&Sha256::digest(format!("sluice scans {secret}")));
    while let Some(urls) = urls.upgrade() {
        match options.peers.meet(&options.listen, &mark).await {
            Ok(others) => {
                let mut urls = urls.lock();
                urls.truncate(1);
                urls.extend(others.iter().filter_map(|address| url(address).ok()));
            }
            Err(error) => tracing::warn!(?error, "other gateways are as they were last known"),
        }
        drop(urls);
        tokio::time::sleep(MEET_INTERVAL).await;
    }
}

/// A plan that has run, with what each of its tasks did.
pub async fn measured(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let measuring =
        rewrite_distributed_plan_with_metrics(plan.clone(), DistributedMetricsFormat::PerTask);
    match tokio::time::timeout(MEASURES_WAIT, measuring).await {
        Ok(Ok(measured)) => measured,
        // Who has them is gone.
        _ => plan,
    }
}

/// Takes shares of others' scans.
fn worker(
    engine: &Arc<Engine>,
    expected: HeaderMap,
    codec: Arc<ScanCodec>,
    functions: Functions,
) -> Worker {
    let session = move |query: WorkerQueryContext| {
        let admitted =
            query.headers.get(header::AUTHORIZATION) == expected.get(header::AUTHORIZATION);
        let (codec, functions) = (codec.clone(), functions.clone());
        async move {
            if !admitted {
                let message = "another secret than this gateway's".to_owned();
                return Err(DataFusionError::Execution(message));
            }
            Ok(functions.give(query.builder).with_distributed_user_codec_arc(codec).build())
        }
    };
    Worker::from_session_builder(session).with_runtime_env(engine.environment())
}

fn scaled_up(event: ScaleUpLeafNodeEvent<'_>) -> Option<DfResult<ScaleUpLeafNodeEventResponse>> {
    let scan = event.plan.downcast_ref::<ViewScan>()?;
    let shares = scan.shares(event.task_count);
    let leaf = shares.and_then(|shares| {
        let shares = shares.into_iter().map(|share| Arc::new(share) as Arc<dyn ExecutionPlan>);
        DistributedLeafExec::try_new(event.plan.clone(), shares)
    });
    Some(leaf.map(|leaf| ScaleUpLeafNodeEventResponse::new(Arc::new(leaf))))
}

fn reads_views_only(plan: &LogicalPlan) -> bool {
    let mut views_only = true;
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            views_only &= provider.downcast_ref::<ViewTable>().is_some();
        }
        Ok(going_on(views_only))
    });
    walked.is_ok() && views_only
}

/// Whether the functions that a plan calls are a session's, so that others know them by name.
fn calls_known(plan: &LogicalPlan, state: &SessionState) -> bool {
    let mut known = true;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                known &= match expr {
                    Expr::ScalarFunction(call) => {
                        state.scalar_functions().contains_key(call.func.name())
                    }
                    Expr::AggregateFunction(call) => {
                        state.aggregate_functions().contains_key(call.func.name())
                    }
                    Expr::WindowFunction(_) => false,
                    _ => true,
                };
                Ok(going_on(known))
            })
        })
    });
    walked.is_ok() && known
}

fn going_on(on: bool) -> TreeNodeRecursion {
    if on { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop }
}

/// The engine, while it lives.
pub(super) fn living(engine: &Weak<Engine>) -> DfResult<Arc<Engine>> {
    let gone = || DataFusionError::Execution("the gateway is stopping".to_owned());
    engine.upgrade().ok_or_else(gone)
}
