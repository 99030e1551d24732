//! A cluster of three simulated replicas, and a world in which everything has its turn.
//!
//! - `replica`: cells, read repair, the acceptor's side of Paxos;
//! - `paxos`: the coordinator's side;
//! - `accord`: the other protocol that spaces may have;
//! - `cluster`: messages and what happens to them;
//! - [`World`]: tasks of all nodes on one thread, in an order and a time that one seed decides.
//!
//! On a real runtime the same cluster serves the conformance suite.

mod accord;
pub mod cluster;
mod paxos;
pub mod replica;

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::env::Environment;
use crate::clock::{Clock, SimulatedClock};

/// Where simulated time starts: an hour in the year 2026.
const EPOCH_MICROS: u64 = 1_790_000_000_000_000;

/// A node: a gateway's life, or the cluster.
pub type Node = u32;
/// The cluster's own node, which never crashes.
pub const CLUSTER: Node = 0;

struct Task {
    node: Node,
    future: Option<BoxFuture<'static, ()>>,
    waker: Arc<TaskWaker>,
}

struct TaskWaker {
    id: u64,
    queued: AtomicBool,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::SeqCst) {
            self.ready.lock().push(self.id);
        }
    }
}

#[derive(Default)]
struct State {
    now: Duration,
    next: u64,
    tasks: BTreeMap<u64, Task>,
    timers: BTreeMap<(Duration, u64), Waker>,
    dead: HashSet<Node>,
    /// A node that does nothing until then.
    paused: BTreeMap<Node, Duration>,
    /// A node that dies before its n-th turn from now.
    doomed: BTreeMap<Node, u64>,
    steps: u64,
}

/// Simulated nodes, one thread, one seed.
pub struct World {
    state: Mutex<State>,
    ready: Arc<Mutex<Vec<u64>>>,
    random: SimulatedClock,
}

impl World {
    pub fn new(seed: u64) -> Arc<World> {
        Arc::new(World {
            state: Mutex::default(),
            ready: Arc::default(),
            random: SimulatedClock::new(0, seed.wrapping_mul(0x5851_f42d_4c95_7f2d) + 1),
        })
    }

    /// A number below `below`.
    pub fn random(&self, below: u64) -> u64 {
        super::env::random_below(&self.random, below)
    }

    /// Simulated time.
    pub fn now(&self) -> Duration {
        self.state.lock().now
    }

    /// A node's environment, its clock wrong by `skew` and running `drift` millionths too fast.
    pub fn node(self: &Arc<Self>, node: Node, skew_micros: i64, drift: i64) -> Arc<NodeEnv> {
        let skew_micros = AtomicI64::new(skew_micros);
        let clock = Arc::new(NodeClock { world: self.clone(), skew_micros, drift });
        Arc::new(NodeEnv { world: self.clone(), node, clock })
    }

    pub fn spawn(&self, node: Node, future: BoxFuture<'static, ()>) {
        let mut state = self.state.lock();
        if state.dead.contains(&node) {
            drop(state);
            drop(future);
            return;
        }
        state.next += 1;
        let id = state.next;
        let ready = self.ready.clone();
        let waker = Arc::new(TaskWaker { id, queued: AtomicBool::new(true), ready });
        state.tasks.insert(id, Task { node, future: Some(future), waker });
        self.ready.lock().push(id);
    }

    /// Ends a node: none of its tasks runs again. What it has sent is on its way.
    pub fn crash(&self, node: Node) {
        let gone: Vec<Task> = {
            let mut state = self.state.lock();
            state.dead.insert(node);
            let ids: Vec<u64> =
                state.tasks.iter().filter(|(_, t)| t.node == node).map(|(id, _)| *id).collect();
            ids.iter().filter_map(|id| state.tasks.remove(id)).collect()
        };
        drop(gone);
    }

    /// Lets a node die before its `turn`-th turn from now.
    pub fn crash_at(&self, node: Node, turn: u64) {
        self.state.lock().doomed.insert(node, turn);
    }

    pub fn is_dead(&self, node: Node) -> bool {
        self.state.lock().dead.contains(&node)
    }

    /// Lets a node do nothing for a while.
    pub fn pause(&self, node: Node, time: Duration) {
        let mut state = self.state.lock();
        let until = state.now + time;
        state.paused.insert(node, until);
    }

    /// Runs until `future` ends; panics after `steps_max` turns, or when all stands still.
    pub fn run<T: Send + 'static>(
        self: &Arc<Self>,
        steps_max: u64,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        self.spawn(CLUSTER, Box::pin(async move { *slot.lock() = Some(future.await) }));
        loop {
            if let Some(result) = result.lock().take() {
                return result;
            }
            assert!(self.turn(), "everything waits for ever");
            let steps = self.state.lock().steps;
            let now = self.now();
            assert!(steps < steps_max, "no end after {steps} turns, at {now:?}");
        }
    }

    /// One turn of one task that can go on, else time moves to the next timer.
    fn turn(&self) -> bool {
        let picked = {
            let mut ready = self.ready.lock();
            let n = ready.len() as u64;
            (n > 0).then(|| self.random(n) as usize).map(|i| ready.swap_remove(i))
        };
        let Some(id) = picked else { return self.next_timer() };
        let mut state = self.state.lock();
        state.steps += 1;
        let Some(task) = state.tasks.get_mut(&id) else { return true };
        let node = task.node;
        let waker = task.waker.clone();
        waker.queued.store(false, Ordering::SeqCst);
        if let Some(until) = state.paused.get(&node).copied() {
            if until > state.now {
                state.next += 1;
                let place = (until, state.next);
                state.timers.insert(place, waker.into());
                return true;
            }
            state.paused.remove(&node);
        }
        if let Some(left) = state.doomed.get_mut(&node) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                state.doomed.remove(&node);
                drop(state);
                self.crash(node);
                return true;
            }
        }
        let Some(task) = state.tasks.get_mut(&id) else { return true };
        let Some(mut future) = task.future.take() else { return true };
        drop(state);
        let waker = Waker::from(waker);
        let ended = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut state = self.state.lock();
        if ended {
            state.tasks.remove(&id);
        } else if let Some(task) = state.tasks.get_mut(&id) {
            task.future = Some(future);
            return true;
        }
        drop(state);
        true
    }

    fn next_timer(&self) -> bool {
        let mut state = self.state.lock();
        let Some(((at, _), waker)) = state.timers.pop_first() else { return false };
        state.now = state.now.max(at);
        drop(state);
        waker.wake();
        true
    }
}

/// A node's clock: the world's, made wrong.
struct NodeClock {
    world: Arc<World>,
    skew_micros: AtomicI64,
    drift: i64,
}

impl Clock for NodeClock {
    fn wall_micros(&self) -> i64 {
        let now = self.world.now().as_micros() as i64;
        EPOCH_MICROS as i64
            + self.skew_micros.load(Ordering::Relaxed)
            + now
            + now * self.drift / 1_000_000
    }

    fn monotonic(&self) -> Duration {
        let now = self.world.now().as_micros() as i64;
        Duration::from_micros((now + now * self.drift / 1_000_000).max(0) as u64)
    }

    fn random(&self, buf: &mut [u8]) {
        self.world.random.random(buf);
    }
}

/// A node's environment.
pub struct NodeEnv {
    pub world: Arc<World>,
    pub node: Node,
    clock: Arc<NodeClock>,
}

impl NodeEnv {
    /// Sets the wall clock forward, or back. All that a gateway knows of the time it knows by its
    /// [`Clock`], so this is what a step of the machine's clock is.
    pub fn step_clock(&self, micros: i64) {
        self.clock.skew_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Environment for NodeEnv {
    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { world: self.world.clone(), time, until: None })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.world.spawn(self.node, task);
    }
}

/// A wait in simulated time.
struct Sleep {
    world: Arc<World>,
    time: Duration,
    until: Option<(Duration, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let world = self.world.clone();
        let mut state = world.state.lock();
        let place = match self.until {
            Some(place) => place,
            None => {
                state.next += 1;
                let place = (state.now + self.time, state.next);
                self.until = Some(place);
                place
            }
        };
        if state.now >= place.0 {
            state.timers.remove(&place);
            return Poll::Ready(());
        }
        state.timers.insert(place, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.until {
            self.world.state.lock().timers.remove(&place);
        }
    }
}
