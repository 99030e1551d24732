//! One request in flight; whoever asks meanwhile shares the next one.
//!
//! An answer always comes from a run that began after it was asked for. Runs are tasks of their
//! own, so a caller that goes away disturbs nobody.

use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::env::Environment;

type Run<T> = Box<dyn Fn() -> BoxFuture<'static, T> + Send + Sync>;

/// Shares runs of one request.
pub struct Coalescer<T> {
    run: Run<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    running: bool,
    /// Who waits for a run that has not begun.
    next: Vec<oneshot::Sender<T>>,
}

impl<T: Clone + Send + 'static> Coalescer<T> {
    /// Shares runs of `run`.
    pub fn new(run: impl Fn() -> BoxFuture<'static, T> + Send + Sync + 'static) -> Coalescer<T> {
        let state = Mutex::new(State { running: false, next: Vec::new() });
        Coalescer { run: Box::new(run), state }
    }

    /// The answer of a run that begins now or later; none if the process is going down.
    pub async fn ask(self: &Arc<Self>, env: &dyn Environment) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let start = {
            let mut state = self.state.lock();
            state.next.push(answer);
            !std::mem::replace(&mut state.running, true)
        };
        if start {
            let this = self.clone();
            env.spawn(Box::pin(async move { this.drain().await }));
        }
        answered.await.ok()
    }

    async fn drain(&self) {
        loop {
            let waiting = {
                let mut state = self.state.lock();
                if state.next.is_empty() {
                    state.running = false;
                    return;
                }
                std::mem::take(&mut state.next)
            };
            let result = (self.run)().await;
            for answer in waiting {
                let _ = answer.send(result.clone());
            }
        }
    }
}
