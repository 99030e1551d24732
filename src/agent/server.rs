//! An agent: its life, and what it answers.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /health` | the node, snapshots under a lease, exports |
//! | `POST /snapshots` | flushes a table and takes a snapshot, under a lease |
//! | `GET /snapshots` | names of all that agents of the keyspace took on this node |
//! | `POST /snapshots/<name>/lease` | renews it |
//! | `GET /snapshots/<name>/<n>/<file>` | a file; ranges from an offset on |
//! | `DELETE /snapshots/<name>` | releases it |
//! | `POST /exports` | begins one: a share of a table's rows is collected |
//! | `POST /exports/<id>/parts` | has them cut by keys |
//! | `GET /exports/<id>/parts/<n>` | one of the parts |
//! | `POST /exports/<id>/files` | has files written of a part that all agents have of it |
//! | `GET /exports/<id>` | how far it is, or what came of it |
//! | `DELETE /exports/<id>` | stops and forgets it |

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;

use super::http::{self, Answer, Request};
use super::job::{Job, Place, Step};
use super::message::{Identity, Order, Take};
use super::node::Node;
use super::tool::Tool;
use crate::clock::Clock;
use crate::columnar::shared::ViewStore;
use crate::error::{Error, Result, SqlState};
use crate::kv::cassandra::Cassandra;
use crate::kv::cassandra::agents::Agent as Registered;
use crate::types::io::hex;

/// How often an agent says that it is there, and looks for leases that ended.
const BEAT: Duration = Duration::from_secs(3);
const REAP_INTERVAL: Duration = Duration::from_secs(1);
/// The longest lease.
const LEASE_MAX: Duration = Duration::from_secs(600);
/// Exports at once.
const JOBS_MAX: usize = 4;
/// How long an export is kept that nobody asks for.
const JOB_PATIENCE: Duration = Duration::from_secs(40);

/// How an agent is set up.
pub struct AgentOptions {
    /// Where it listens.
    pub listen: std::net::SocketAddr,
    /// Where others reach it, if that is another address.
    pub advertise: Option<String>,
    /// What administers the node.
    pub tool: Tool,
    /// The node's data folders.
    pub data_dirs: Vec<PathBuf>,
    /// The keyspace.
    pub keyspace: String,
    /// Where views are shared: the URL.
    pub view_store: String,
    /// A folder of its own.
    pub scratch: PathBuf,
}

struct Agent {
    place: Arc<Place>,
    secret: String,
    jobs: Mutex<HashMap<String, Arc<Job>>>,
}

/// Runs an agent until `stop` ends. `ready` hears where it listens.
pub async fn run(
    cluster: Arc<Cassandra>,
    options: AgentOptions,
    store: Arc<ViewStore>,
    clock: Arc<dyn Clock>,
    ready: impl FnOnce(String),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let listener = TcpListener::bind(options.listen).await.map_err(|e| {
        Error::new(SqlState::IO_ERROR, format!("could not listen on {}: {e}", options.listen))
    })?;
    let address = options.advertise.unwrap_or(listener.local_addr()?.to_string());
    let host = options.tool.host(|token| cluster.host_of_token(token)).await?;
    let node = Node::new(options.tool, options.data_dirs, &options.keyspace, clock.clone())?;
    let node = Arc::new(node);
    // What an earlier life left.
    node.release_all().await;
    let mut random = [0; 16];
    clock.random(&mut random);
    let secret = hex(&random);
    let place =
        Place { host: host.clone(), node: node.clone(), store, scratch: options.scratch, clock };
    let agent =
        Arc::new(Agent { place: Arc::new(place), secret: secret.clone(), jobs: Mutex::default() });
    cluster.make_agents().await?;
    let store = options.view_store;
    let registered = Registered { host: host.clone(), address: address.clone(), secret, store };
    cluster.register_agent(&registered).await?;
    ready(format!("node {host}, listening on {address}"));
    let handler: Arc<http::Handler> = {
        let agent = agent.clone();
        Arc::new(move |request| {
            let agent = agent.clone();
            Box::pin(async move { agent.answer(request).await })
        })
    };
    let reaping = async {
        loop {
            tokio::time::sleep(REAP_INTERVAL).await;
            node.reap().await;
            agent.reap();
        }
    };
    let beating = async {
        loop {
            tokio::time::sleep(BEAT).await;
            if let Err(error) = cluster.register_agent(&registered).await {
                tracing::warn!(?error, "the agent is not known to gateways for now");
            }
        }
    };
    tokio::select! {
        () = http::serve(listener, handler) => {}
        () = reaping => {}
        () = beating => {}
        () = stop => {}
    }
    agent.jobs.lock().values().for_each(|job| job.progress.stop());
    if let Err(error) = cluster.withdraw_agent(&host).await {
        tracing::debug!(?error, "the agent's row expires by itself");
    }
    node.release_all().await;
    Ok(())
}

impl Agent {
    async fn answer(self: &Arc<Self>, request: Request) -> Answer {
        if request.bearer.as_deref() != Some(self.secret.as_str()) {
            return Answer::refused(401, "the request does not show the agent's secret");
        }
        match self.route(&request).await {
            Ok(answer) => answer,
            Err(e) => Answer::refused(500, e.message()),
        }
    }

    async fn route(self: &Arc<Self>, request: &Request) -> Result<Answer> {
        let node = &self.place.node;
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        Ok(match (request.method.as_str(), &parts[..]) {
            ("GET", ["health"]) => self.health(),
            ("POST", ["snapshots"]) => {
                let Take { table, lease_ms } = decoded(&request.body)?;
                check_table(&table)?;
                // Goes on when the asker is gone: the lease ends it.
                let (node, lease) = (node.clone(), lease(lease_ms));
                let taking = tokio::spawn(async move { node.take(&table, lease).await });
                Answer::ok(&taking.await.map_err(|e| Error::internal(e.to_string()))??)
            }
            ("GET", ["snapshots"]) => Answer::ok(&node.found()),
            ("POST", ["snapshots", name, "lease"]) => {
                let Take { lease_ms, .. } = decoded(&request.body)?;
                match node.renew(name, lease(lease_ms)) {
                    true => Answer::ok(&json!({})),
                    false => Answer::refused(404, "there is no such snapshot"),
                }
            }
            ("GET", ["snapshots", name, number, file]) => {
                match node.file(name, &format!("{number}/{file}")) {
                    Some(path) => send_file(path, request.from).await?,
                    None => Answer::refused(404, "there is no such file"),
                }
            }
            ("DELETE", ["snapshots", name]) => {
                node.release(name).await?;
                Answer::ok(&json!({}))
            }
            ("POST", ["exports"]) => self.begin(decoded(&request.body)?)?,
            ("DELETE", ["exports", id]) => {
                if let Some(job) = self.jobs.lock().remove(*id) {
                    job.progress.stop();
                }
                Answer::ok(&json!({}))
            }
            (_, ["exports", id, of @ ..]) => match self.job(id) {
                Some(job) => Self::go_on(&job, request, of).await?,
                None => Answer::refused(404, "there is no such export"),
            },
            _ => Answer::refused(404, "there is nothing here"),
        })
    }

    fn job(&self, id: &str) -> Option<Arc<Job>> {
        let job = self.jobs.lock().get(id).cloned()?;
        job.touch();
        Some(job)
    }

    /// Answers about an export.
    async fn go_on(job: &Arc<Job>, request: &Request, of: &[&str]) -> Result<Answer> {
        let step = match (request.method.as_str(), of) {
            ("GET", []) => return Ok(Answer::ok(&job.state())),
            ("GET", ["parts", number]) => {
                return match job.part(number) {
                    Some(path) => send_file(path, request.from).await,
                    None => Ok(Answer::refused(404, "there is no such part")),
                };
            }
            ("POST", ["parts"]) => Step::Cut(decoded(&request.body)?),
            ("POST", ["files"]) => Step::Write(decoded(&request.body)?),
            _ => return Ok(Answer::refused(404, "there is nothing here")),
        };
        Ok(match start(job, step) {
            true => Answer::ok(&json!({})),
            false => Answer::refused(409, "the export is not as far, or farther"),
        })
    }

    /// Gives up exports that nobody asks for any more.
    fn reap(&self) {
        self.jobs.lock().retain(|_, job| {
            let kept = job.forgotten_for() < JOB_PATIENCE;
            if !kept {
                job.progress.stop();
            }
            kept
        });
    }

    fn health(&self) -> Answer {
        let jobs = self.jobs.lock();
        let exports: HashMap<&String, String> =
            jobs.iter().map(|(id, job)| (id, job.state().phase)).collect();
        Answer::ok(&json!({
            "host": self.place.host,
            "version": env!("CARGO_PKG_VERSION"),
            "snapshots": self.place.node.leased(),
            "exports": exports,
        }))
    }

    fn begin(&self, order: Order) -> Result<Answer> {
        let mut random = [0; 8];
        self.place.clock.random(&mut random);
        let id = format!("{:016x}", u64::from_be_bytes(random));
        let job = Arc::new(Job::new(self.place.clone(), order)?);
        {
            let mut jobs = self.jobs.lock();
            if jobs.len() >= JOBS_MAX {
                return Ok(Answer::refused(500, "too many exports are under way"));
            }
            jobs.insert(id.clone(), job.clone());
        }
        start(&job, Step::Collect);
        Ok(Answer::ok(&Identity { id }))
    }
}

/// Begins a step. False: it is not this one's turn.
fn start(job: &Arc<Job>, step: Step) -> bool {
    let begun = job.begin(&step);
    if begun {
        let job = job.clone();
        tokio::task::spawn_blocking(move || job.run(step));
    }
    begun
}

fn lease(millis: u64) -> Duration {
    Duration::from_millis(millis).min(LEASE_MAX)
}

fn decoded<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| {
        Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("the request cannot be read: {e}"))
    })
}

/// A name that goes to a command.
fn check_table(name: &str) -> Result<()> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("{name} is no table's name")))
}

async fn send_file(path: PathBuf, from: u64) -> Result<Answer> {
    let file = tokio::fs::File::open(path).await?;
    let len = file.metadata().await?.len();
    if from > len {
        return Ok(Answer::refused(416, "the file is shorter"));
    }
    Ok(Answer::File { file, from, len })
}
