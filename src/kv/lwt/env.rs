//! What a gateway asks of the process around it: time, sleep, tasks.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::clock::Clock;

/// Time and tasks; the simulation has its own.
pub trait Environment: Send + Sync + 'static {
    /// The gateway's clock.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Waits.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// Runs a task to its end, whoever waits for it or not.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}

/// The process's own runtime.
pub struct Tokio(pub Arc<dyn Clock>);

impl Environment for Tokio {
    fn clock(&self) -> Arc<dyn Clock> {
        self.0.clone()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

/// A runtime of the process: tasks run there, whichever thread starts them, beside the driver's.
pub struct OnRuntime {
    /// The process's clock.
    pub clock: Arc<dyn Clock>,
    /// Where tasks run.
    pub runtime: tokio::runtime::Handle,
}

impl Environment for OnRuntime {
    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.runtime.spawn(task);
    }
}

/// Random numbers between 0 and `below`, from the clock's source.
pub fn random_below(clock: &dyn Clock, below: u64) -> u64 {
    let mut bytes = [0; 8];
    clock.random(&mut bytes);
    u64::from_le_bytes(bytes) % below.max(1)
}
