//! Where connections run: a thread for each core, and a pool beside for what takes long.
//!
//! ```text
//!         several long turns
//! home thread ──────────────▶ pool        the same task, moved between two of its turns
//!      ▲                        │
//!      └────────────────────────┘
//!         several short turns
//! ```
//!
//! A connection has one home thread with an event loop of its own, so that a short statement never
//! crosses threads: its bytes are read, its statement run and its answer written in one turn,
//! without a wake-up of anybody. (With one pool for all, waking and stealing took a third of a
//! key lookup's time.) A statement that computes for long would keep its neighbours waiting, so
//! its connection moves to the pool while it does, and goes home afterwards. A statement that may
//! wait on its thread (`pg_sleep`) has itself moved before it does.
//!
//! Where several connections of a home thread have input at once, each holds its answer back until
//! the others have theirs ([`Crowd`]). An answer wakes its client, which takes the thread's core to
//! send its next statement; and so on after each. Sent one after the other, they find the clients'
//! side awake, and their next statements come together.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::error::Result;
use crate::session::registry::Place;

/// A turn is long from here on.
const LONG_TURN: Duration = Duration::from_micros(100);
/// So many long turns, one after the other, move a connection to the pool. One alone says
/// little: on a busy machine its thread may only have had to wait for a core.
const LONG_TURNS: u32 = 3;
/// So many short turns, one after the other, bring it home.
const SHORT_TURNS: u32 = 4;
/// Turns that a home thread gives before it looks for input again.
const EVENT_INTERVAL: u32 = 13;
/// Stack of a home thread: deep expressions are bound and evaluated on it.
const STACK_BYTES: usize = 16 << 20;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The home threads.
pub struct Workers {
    homes: Vec<Home>,
    pool: Handle,
    clock: Arc<dyn Clock>,
    next: AtomicUsize,
}

/// What a connection knows of where it runs.
pub struct Seat {
    /// By it the connection asks to be moved.
    pub place: Arc<Place>,
    /// Those beside it on its home thread.
    pub crowd: Arc<Crowd>,
}

/// The connections of a home thread that have something to answer at the same time.
#[derive(Default)]
pub struct Crowd {
    /// Answers since the thread last waited for input.
    answers: AtomicUsize,
    /// Answers between the two times before that.
    before: AtomicUsize,
}

impl Crowd {
    /// Waits, with an answer that is ready, until the others that have input have theirs; not if
    /// there were none lately.
    pub async fn gather(&self) {
        let answers = self.answers.load(Ordering::Relaxed) + 1;
        self.answers.store(answers, Ordering::Relaxed);
        if answers > 1 || self.before.load(Ordering::Relaxed) > 1 {
            tokio::task::yield_now().await;
        }
    }

    /// The thread has nothing to do.
    fn rest(&self) {
        let answers = self.answers.swap(0, Ordering::Relaxed);
        self.before.store(answers, Ordering::Relaxed);
    }
}

struct Home {
    handle: Handle,
    crowd: Arc<Crowd>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// So many threads beside the runtime that this runs on, which is the pool.
    pub fn start(count: usize, clock: Arc<dyn Clock>) -> Result<Workers> {
        let homes = (0..count).map(Home::start).collect::<Result<_>>()?;
        Ok(Workers { homes, pool: Handle::current(), clock, next: AtomicUsize::new(0) })
    }

    /// Runs a connection. `make` is called on its home thread, whose event loop then has what it
    /// opens; by its place the connection asks to be moved.
    pub fn spawn<F>(&self, make: impl FnOnce(Option<Seat>) -> Option<F> + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        if self.homes.is_empty() {
            self.pool.spawn(async move {
                if let Some(work) = make(None) {
                    work.await;
                }
            });
            return;
        }
        let Home { handle: home, crowd, .. } = &self.homes[at % self.homes.len()];
        let (home, crowd) = (home.clone(), crowd.clone());
        let (pool, clock) = (self.pool.clone(), self.clock.clone());
        home.clone().spawn(async move {
            let place = Arc::<Place>::default();
            let seat = Seat { place: place.clone(), crowd };
            let Some(work) = make(Some(seat)) else { return };
            let work: Work = Box::pin(work);
            let work = Some(work);
            let connection =
                Connection { work, home, pool, clock, place, away: false, elsewhere: 0 };
            connection.await;
        });
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for home in &mut self.homes {
            drop(home.stop.take());
        }
        for home in &mut self.homes {
            if home.thread.take().is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("a thread of connections had panicked");
            }
        }
    }
}

impl Home {
    fn start(number: usize) -> Result<Home> {
        let crowd = Arc::<Crowd>::default();
        let resting = crowd.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(EVENT_INTERVAL)
            .on_thread_park(move || resting.rest())
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name(format!("connections-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // Ends when the sender is dropped.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
        Ok(Home { handle, crowd, stop: Some(stop), thread: Some(thread) })
    }
}

/// A connection's task, which may continue as another task elsewhere.
struct Connection {
    work: Option<Work>,
    home: Handle,
    pool: Handle,
    clock: Arc<dyn Clock>,
    /// Where it wants to be.
    place: Arc<Place>,
    /// Whether it is in the pool.
    away: bool,
    /// Turns, one after the other, that say it should be in the other place.
    elsewhere: u32,
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.clock.monotonic();
        let Some(work) = self.work.as_mut() else { return Poll::Ready(()) };
        if work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let long = self.clock.monotonic().saturating_sub(before) >= LONG_TURN;
        let must = self.place.is_away();
        let (wanted, enough) = match self.away {
            true => (!long && !must, SHORT_TURNS),
            false if must => (true, 1),
            false => (long, LONG_TURNS),
        };
        self.elsewhere = if wanted { self.elsewhere + 1 } else { 0 };
        if self.elsewhere < enough {
            return Poll::Pending;
        }
        let away = !self.away;
        // The new task polls the work at once, so no wake-up of this one is lost.
        let moved = Connection {
            work: self.work.take(),
            home: self.home.clone(),
            pool: self.pool.clone(),
            clock: self.clock.clone(),
            place: self.place.clone(),
            away,
            elsewhere: 0,
        };
        let target = if away { &self.pool } else { &self.home };
        target.spawn(moved);
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::RuntimeFlavor;

    use super::*;
    use crate::clock::SystemClock;
    use parking_lot::Mutex;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_takes_long_moves_away_and_comes_home() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let workers = Workers::start(1, clock.clone()).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (done, ended) = oneshot::channel();
        let places = seen.clone();
        workers.spawn(move |_| {
            Some(async move {
                let place = || std::thread::current().name().unwrap_or_default().to_owned();
                for turn in 0..20 {
                    places.lock().push(place());
                    let until = clock.monotonic() + 2 * LONG_TURN;
                    while (3..6).contains(&turn) && clock.monotonic() < until {}
                    tokio::task::yield_now().await;
                }
                let _ = done.send(());
            })
        });
        ended.await.unwrap();
        drop(workers);
        let home: Vec<bool> = seen.lock().iter().map(|p| p == "connections-0").collect();
        assert!(home[..=5].iter().all(|home| *home), "{home:?}");
        assert!(!home[6] && home[19], "{home:?}");
    }

    #[tokio::test]
    async fn answers_go_out_together_where_there_are_several() {
        let (crowd, seen) = (Crowd::default(), Mutex::new(String::new()));
        let answer = async |number: char| {
            seen.lock().push(number);
            crowd.gather().await;
            seen.lock().extend(['>', number]);
        };
        tokio::join!(answer('1'), answer('2'), answer('3'));
        assert_eq!(*seen.lock(), "1>123>2>3");
        seen.lock().clear();
        crowd.rest();
        tokio::join!(answer('1'), answer('2'), answer('3'));
        assert!(seen.lock().starts_with("123>"), "{seen:?}");
        seen.lock().clear();
        crowd.rest();
        crowd.rest();
        answer('1').await;
        assert_eq!(*seen.lock(), "1>1");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_may_wait_does_so_in_the_pool() {
        let workers = Workers::start(1, Arc::new(SystemClock::new())).unwrap();
        let (done, ended) = oneshot::channel();
        workers.spawn(move |seat| {
            let place = seat.unwrap().place;
            Some(async move {
                let flavor = || Handle::current().runtime_flavor();
                let mut flavors = vec![flavor()];
                let away = place.away().await;
                for _ in 0..10 {
                    flavors.push(flavor());
                    tokio::task::yield_now().await;
                }
                drop(away);
                for _ in 0..=SHORT_TURNS + 10 {
                    tokio::task::yield_now().await;
                }
                flavors.push(flavor());
                let _ = done.send(flavors);
            })
        });
        let flavors = ended.await.unwrap();
        let home = |flavor: &RuntimeFlavor| *flavor == RuntimeFlavor::CurrentThread;
        assert!(home(&flavors[0]), "{flavors:?}");
        assert!(!flavors[1..11].iter().any(home), "{flavors:?}");
    }
}
