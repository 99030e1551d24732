//! Runs a scenario in a simulated world, for many seeds; a failing seed is printed and can be run
//! alone: `SLUICE_SIM_SEED=17 cargo test …`. `SLUICE_SIM_SEEDS=5000` runs that many.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;

use super::super::sim::cluster::{Cluster, Connection, Faults, REPLICAS};
use super::super::sim::{CLUSTER, Node, NodeEnv, World};
use super::*;
use crate::error::ErrorKind;
use crate::kv::conformance;

/// Turns after which a run counts as stuck.
const STEPS_MAX: u64 = 6_000_000;
/// How far clocks are set forward or back at once.
const CLOCK_STEP_MICROS: u64 = 2 * 3_600_000_000;
/// Leases in simulated time.
pub const LEASE: Duration = Duration::from_millis(600);

/// How long records of finished attempts stay, by seed.
const RECORDS_KEPT: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(30), Duration::from_millis(300)];

/// How long rows of gateways that are gone stay, by seed.
const DEPARTED_KEPT: [Duration; 3] = [Duration::ZERO, Duration::from_millis(300), LONG];
/// Longer than any simulation, and than clocks are set forward.
pub const LONG: Duration = Duration::from_secs(24 * 3600);

/// A simulated cluster and its gateways.
#[derive(Clone)]
pub struct Sim {
    pub world: Arc<World>,
    pub cluster: Arc<Cluster>,
    nodes: Arc<Mutex<Node>>,
    done: Arc<Mutex<bool>>,
    /// See [`LwtOptions::lease`]: by two lost heartbeats a gateway may be taken for gone.
    pub lease: Duration,
    /// See [`LwtOptions::unsure`].
    pub unsure: bool,
    /// See [`LwtOptions::credulous`].
    pub credulous: bool,
    /// See [`LwtOptions::record_kept`]: shorter than most pauses.
    pub record_kept: Duration,
    /// See [`LwtOptions::departed_kept`].
    pub departed_kept: Duration,
    /// See [`LwtOptions::implicit_max`]; none: some gateways so, some so.
    pub implicit_max: Option<usize>,
}

/// A gateway of the simulation.
#[derive(Clone)]
pub struct Gate {
    pub store: Arc<LwtStore>,
    pub env: Arc<NodeEnv>,
    /// What it asks for is done while it is set, and it hears of nothing.
    pub deaf: Arc<AtomicBool>,
}

impl Gate {
    /// Waits until nothing more can appear at or below a timestamp.
    pub async fn resolves(&self, at: Timestamp, pause: Duration) {
        while self.store.resolved().await.unwrap() < at {
            self.env.sleep(pause).await;
        }
    }
}

impl Sim {
    pub fn new(seed: u64, faults: Faults) -> Sim {
        let world = World::new(seed);
        let cluster = Cluster::new(world.node(CLUSTER, 0, 0), faults);
        Sim::of(world, cluster)
    }

    /// A simulation whose spaces have Accord.
    pub fn with_accord(seed: u64, faults: Faults) -> Sim {
        let world = World::new(seed);
        let cluster = Cluster::with_accord(world.node(CLUSTER, 0, 0), faults);
        Sim::of(world, cluster)
    }

    fn of(world: Arc<World>, cluster: Arc<Cluster>) -> Sim {
        let record_kept = RECORDS_KEPT[world.random(RECORDS_KEPT.len() as u64) as usize];
        let departed_kept = DEPARTED_KEPT[world.random(DEPARTED_KEPT.len() as u64) as usize];
        Sim {
            world,
            cluster,
            nodes: Arc::new(Mutex::new(CLUSTER)),
            done: Arc::default(),
            lease: LEASE,
            unsure: false,
            credulous: false,
            record_kept,
            departed_kept,
            implicit_max: None,
        }
    }

    /// A new gateway, its clock wrong by up to five seconds and a few percent.
    pub async fn gate(&self) -> Gate {
        let node = {
            let mut nodes = self.nodes.lock();
            *nodes += 1;
            *nodes
        };
        let skew = self.world.random(10_000_000) as i64 - 5_000_000;
        let drift = self.world.random(60_000) as i64 - 30_000;
        let env = self.world.node(node, skew, drift);
        let options = LwtOptions {
            lease: self.lease,
            heartbeat: LEASE / 4,
            deadlock_timeout: Duration::from_millis(60),
            settle_timeout: Duration::from_secs(20),
            unsure: self.unsure,
            credulous: self.credulous,
            record_kept: self.record_kept,
            departed_kept: self.departed_kept,
            implicit_max: self.implicit_max.unwrap_or(self.world.random(2) as usize * 32),
            ..LwtOptions::default()
        };
        loop {
            let deaf = Arc::new(AtomicBool::new(false));
            let connection = Connection::with_deafness(&self.cluster, env.clone(), deaf.clone());
            if let Ok(store) = LwtStore::open(connection, env.clone(), options.clone()).await {
                return Gate { store, env, deaf };
            }
        }
    }

    pub async fn sleep(&self, time: Duration) {
        self.cluster.env.sleep(time).await;
    }

    /// Runs a task on a gateway's node.
    pub fn spawn(&self, gate: &Gate, task: impl Future<Output = ()> + Send + 'static) {
        gate.env.spawn(Box::pin(task));
    }

    /// Cuts off and connects replicas, one at a time, pauses gateways, and sets their clocks
    /// forward and back by up to two hours, until told to stop.
    pub fn harass(&self, gates: Arc<Mutex<Vec<Gate>>>) {
        let sim = self.clone();
        self.cluster.env.spawn(Box::pin(async move {
            loop {
                sim.sleep(Duration::from_millis(sim.world.random(80))).await;
                if *sim.done.lock() {
                    return;
                }
                match sim.world.random(4) {
                    0 => {
                        let replica = sim.world.random(REPLICAS as u64) as usize;
                        sim.cluster.set_cut(replica, true);
                        sim.sleep(Duration::from_millis(sim.world.random(150))).await;
                        sim.cluster.set_cut(replica, false);
                    }
                    1 => {
                        let n = gates.lock().len() as u64;
                        let gate = gates.lock()[sim.world.random(n) as usize].clone();
                        let long = if sim.world.random(8) == 0 { 1500 } else { 60 };
                        let time = Duration::from_millis(sim.world.random(long));
                        sim.world.pause(gate.env.node, time);
                    }
                    2 if sim.world.random(4) == 0 => {
                        let n = gates.lock().len() as u64;
                        let gate = gates.lock()[sim.world.random(n) as usize].clone();
                        let step = sim.world.random(2 * CLOCK_STEP_MICROS) as i64;
                        gate.env.step_clock(step - CLOCK_STEP_MICROS as i64);
                    }
                    _ => {}
                }
            }
        }));
    }

    /// Everything works again.
    pub fn heal(&self) {
        *self.done.lock() = true;
        (0..REPLICAS).for_each(|n| self.cluster.set_cut(n, false));
        let faults = Faults { lost: 0, client_lost: 0, late: 0, ..self.cluster.faults() };
        self.cluster.set_faults(faults);
    }
}

/// What a client may be told when the world is bad; anything else is a defect.
pub fn is_allowed(error: &Error) -> bool {
    let kind = error.kind();
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Undetermined | ErrorKind::Retry)
        || error.code() == SqlState::SNAPSHOT_TOO_OLD
}

/// Commits; its timestamp, of one that was refused or is unknown none.
pub async fn commit(gate: &Gate, writes: Vec<Write>) -> Option<Timestamp> {
    match gate.store.commit(conformance::commit(writes)).await {
        Ok(CommitOutcome::Committed(ts)) => Some(ts),
        Ok(_) => None,
        Err(error) => {
            assert!(is_allowed(&error), "{error:?}");
            None
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs a scenario for `count` seeds.
pub fn for_seeds<F: Future<Output = ()> + Send + 'static>(
    count: u64,
    faults: Faults,
    scenario: impl Fn(Sim) -> F,
) {
    for_seeds_of(Sim::new, count, faults, scenario);
}

/// The same where spaces have Accord.
pub fn for_seeds_with_accord<F: Future<Output = ()> + Send + 'static>(
    count: u64,
    faults: Faults,
    scenario: impl Fn(Sim) -> F,
) {
    for_seeds_of(Sim::with_accord, count, faults, scenario);
}

fn for_seeds_of<F: Future<Output = ()> + Send + 'static>(
    make: fn(u64, Faults) -> Sim,
    count: u64,
    faults: Faults,
    scenario: impl Fn(Sim) -> F,
) {
    let seeds = match number("SLUICE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SLUICE_SIM_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        let run = || {
            let sim = make(seed, faults.clone());
            sim.world.clone().run(STEPS_MAX, scenario(sim));
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            eprintln!("failed: run it alone with SLUICE_SIM_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
