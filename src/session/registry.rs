//! Who is connected: process numbers, cancel keys, interrupts, and what each session is doing.
//!
//! A [`Backend`] is the one thing about a session that others may touch. An interrupt is a flag
//! and a wake-up: the session looks at the flag between batches and whenever its task is polled,
//! so that work which waits (for a lock, for the store, for the client) stops at once by being
//! dropped, and an idle session learns of a shutdown without reading from its socket.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::advisory::AdvisoryLocks;
use super::progress::Slot;
use crate::clock::Clock;
use crate::error::{Error, Result, SqlState};

/// Bytes of a cancel key: what protocol 3.2 allows and PostgreSQL 18 makes. Protocol 3.0 clients
/// are told the first four.
pub const SECRET_LEN: usize = 32;

/// Bytes of a cancel key in protocol 3.0.
pub const SHORT_SECRET_LEN: usize = 4;

const CANCEL: u8 = 1;
const DRAIN: u8 = 2;
const TERMINATE: u8 = 4;

/// What a session is doing, as `pg_stat_activity.state` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Waiting for a statement.
    #[default]
    Idle,
    /// Running one.
    Active,
    /// Waiting, in a transaction.
    IdleInTransaction,
    /// Waiting, in a failed transaction.
    IdleInFailedTransaction,
}

impl State {
    /// As `pg_stat_activity.state` prints it.
    pub fn name(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Active => "active",
            State::IdleInTransaction => "idle in transaction",
            State::IdleInFailedTransaction => "idle in transaction (aborted)",
        }
    }
}

/// What `pg_stat_activity` shows of a session. Times are microseconds since the Unix epoch.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// The session's user.
    pub user: String,
    /// Whether that is a superuser.
    pub superuser: bool,
    /// Its database.
    pub database: String,
    /// What the application calls itself.
    pub application_name: String,
    /// What it is doing.
    pub state: State,
    /// The statement running, or the last one.
    pub query: Arc<str>,
    /// When it connected.
    pub backend_start: i64,
    /// When its transaction began; 0: none.
    pub transaction_start: i64,
    /// When its statement began; 0: none yet.
    pub query_start: i64,
    /// When `state` changed.
    pub state_change: i64,
}

/// Says whether a client has hung up, without taking anything it sent.
pub type Probe = Box<dyn Fn() -> bool + Send>;

/// What the timer of running work stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alarm {
    Timeout,
    LookAtClient,
}

/// Where a connection's task runs, as far as its session has a say in it.
///
/// A thread of connections must not wait: others' statements run on it. Before a session calls
/// what may wait it asks to be moved to a thread that may ([`Place::away`]).
#[derive(Default)]
pub struct Place(AtomicBool);

impl Place {
    /// Whether the task is to run where it may wait.
    pub fn is_away(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Comes back on a thread that may wait, and stays there until the answer is dropped. Who
    /// moves tasks looks at [`Place::is_away`] after each turn.
    pub async fn away(self: Arc<Place>) -> Away {
        self.0.store(true, Ordering::Relaxed);
        let away = Away(self);
        tokio::task::yield_now().await;
        away
    }
}

/// While it lives, its session's task runs where it may wait.
pub struct Away(Arc<Place>);

impl Drop for Away {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// A session, as others see it.
pub struct Backend {
    /// Its process number.
    pub pid: i32,
    /// Its cancel key.
    pub secret: [u8; SECRET_LEN],
    /// The client's address.
    pub peer: Option<SocketAddr>,
    flags: AtomicU8,
    waker: AtomicWaker,
    /// Set when the running statement is to end; a new one for the statement after that.
    token: Mutex<CancellationToken>,
    clock: Arc<dyn Clock>,
    /// When the running statement times out: microseconds of the clock; 0: never.
    deadline: AtomicU64,
    /// Time between two looks whether the client is there, in microseconds; 0: never.
    check_interval: AtomicU64,
    /// When the last look was.
    checked: AtomicU64,
    /// Says whether the client has hung up.
    probe: Mutex<Option<Probe>>,
    /// Where the session's task runs; none where nobody moves it.
    pub place: OnceLock<Arc<Place>>,
    /// What it is doing.
    pub activity: Mutex<Activity>,
    /// The COPY it runs.
    pub copying: Slot,
    /// The advisory locks of its session, once there is one.
    pub advisory: OnceLock<Arc<AdvisoryLocks>>,
}

impl Backend {
    /// Asks for the end of the running statement; without one, nothing happens.
    pub fn cancel(&self) {
        self.raise(CANCEL);
    }

    /// Asks for the end of the session once it is idle and outside a transaction.
    pub fn drain(&self) {
        self.raise(DRAIN);
    }

    /// Asks for the end of the session, now.
    pub fn terminate(&self) {
        self.raise(TERMINATE);
    }

    fn raise(&self, flag: u8) {
        self.flags.fetch_or(flag, Ordering::SeqCst);
        if flag != DRAIN {
            self.token.lock().cancel();
        }
        self.waker.wake();
    }

    /// Forgets a cancel request that came before the statement that now begins.
    pub fn begin_statement(&self) {
        if self.flags.load(Ordering::Relaxed) & CANCEL != 0 {
            self.flags.fetch_and(!CANCEL, Ordering::SeqCst);
        }
        let mut token = self.token.lock();
        if token.is_cancelled() && self.flags.load(Ordering::Relaxed) & TERMINATE == 0 {
            *token = CancellationToken::new();
        }
    }

    /// What the running statement watches while it computes.
    pub fn token(&self) -> CancellationToken {
        self.token.lock().clone()
    }

    /// The error with which a running statement ends, if somebody asked for that.
    pub fn check(&self) -> Result<()> {
        let flags = self.flags.load(Ordering::Relaxed);
        if flags & TERMINATE != 0 {
            return Err(terminated());
        }
        if flags & CANCEL != 0 {
            self.flags.fetch_and(!CANCEL, Ordering::SeqCst);
            return Err(Error::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to user request",
            ));
        }
        Ok(())
    }

    /// Whether an idle session should end; one in a transaction goes on while only drained.
    pub fn should_leave(&self, in_transaction: bool) -> bool {
        let flags = self.flags.load(Ordering::Relaxed);
        flags & TERMINATE != 0 || (flags & DRAIN != 0 && !in_transaction)
    }

    /// How the client's presence can be looked at.
    pub fn set_probe(&self, probe: Probe) {
        *self.probe.lock() = Some(probe);
    }

    /// Starts the clock of a statement, unless it runs already.
    pub fn start_clock(&self, timeout: Option<Duration>, check_interval: Option<Duration>) {
        self.check_interval.store(check_interval.map_or(0, micros), Ordering::Relaxed);
        if let Some(timeout) = timeout
            && self.deadline.load(Ordering::Relaxed) == 0
        {
            let deadline = micros(self.clock.monotonic().saturating_add(timeout)).max(1);
            self.deadline.store(deadline, Ordering::Relaxed);
        }
    }

    /// Stops the clock: the statement is over.
    pub fn stop_clock(&self) {
        self.deadline.store(0, Ordering::Relaxed);
    }

    /// What the running statement's timer is to stand for, and how long it runs.
    fn alarm(&self) -> Option<(Alarm, Duration)> {
        let deadline = self.deadline.load(Ordering::Relaxed);
        let interval = self.check_interval.load(Ordering::Relaxed);
        if deadline == 0 && interval == 0 {
            return None;
        }
        let now = micros(self.clock.monotonic());
        let left = |at: u64| Duration::from_micros(at.saturating_sub(now));
        let timeout = (deadline != 0).then(|| (Alarm::Timeout, left(deadline)));
        let look = (interval != 0).then(|| {
            let checked = self.checked.load(Ordering::Relaxed);
            // The first look of a statement comes an interval after its start.
            let base = if now.saturating_sub(checked) > 2 * interval { now } else { checked };
            self.checked.store(base, Ordering::Relaxed);
            (Alarm::LookAtClient, left(base.saturating_add(interval)))
        });
        timeout.into_iter().chain(look).min_by_key(|(_, left)| *left)
    }

    /// The timer has run out.
    fn ring(&self, alarm: Alarm) -> Result<()> {
        if alarm == Alarm::Timeout {
            self.stop_clock();
            return Err(statement_timeout());
        }
        self.checked.store(micros(self.clock.monotonic()), Ordering::Relaxed);
        match &*self.probe.lock() {
            Some(is_gone) if is_gone() => Err(client_gone()),
            _ => Ok(()),
        }
    }

    /// Runs a statement's work until it is done, interrupted, timed out, or its client is gone.
    /// What is interrupted is dropped where it waits.
    pub async fn interruptible<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = pin!(work);
        let mut timer: Option<(Alarm, Pin<Box<tokio::time::Sleep>>)> = None;
        std::future::poll_fn(|cx| {
            match work.as_mut().poll(cx) {
                Poll::Ready(Err(error)) if error.code() == SqlState::QUERY_CANCELED => {
                    // It saw the token; why it was set stands here.
                    return Poll::Ready(Err(self.check().err().unwrap_or(error)));
                }
                Poll::Ready(result) => return Poll::Ready(result),
                Poll::Pending => {}
            }
            self.waker.register(cx.waker());
            if let Err(error) = self.check() {
                return Poll::Ready(Err(error));
            }
            loop {
                if timer.is_none() {
                    let Some((alarm, left)) = self.alarm() else { return Poll::Pending };
                    timer = Some((alarm, Box::pin(tokio::time::sleep(left))));
                }
                let Some((alarm, sleep)) = &mut timer else { return Poll::Pending };
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if let Err(error) = self.ring(*alarm) {
                    return Poll::Ready(Err(error));
                }
                timer = None;
            }
        })
        .await
    }

    /// Runs work that only the end of the session interrupts.
    pub async fn unless_terminated<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            self.waker.register(cx.waker());
            if self.flags.load(Ordering::Relaxed) & TERMINATE != 0 {
                return Poll::Ready(Err(terminated()));
            }
            Poll::Pending
        })
        .await
    }

    /// Waits for the client: `work` until it is done, or none when the session should leave.
    pub async fn while_idle<T>(
        &self,
        in_transaction: bool,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(result));
            }
            self.waker.register(cx.waker());
            if self.should_leave(in_transaction) { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}

/// 57P01.
pub fn terminated() -> Error {
    Error::new(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
}

/// 57014 of `statement_timeout`.
pub fn statement_timeout() -> Error {
    Error::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
}

/// 08006 of `client_connection_check_interval`.
pub fn client_gone() -> Error {
    Error::new(SqlState::CONNECTION_FAILURE, "connection to client lost").ending_session()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Every session.
pub struct Registry {
    backends: Mutex<BTreeMap<i32, Arc<Backend>>>,
    next_pid: AtomicI32,
    clock: Arc<dyn Clock>,
    connections_max: usize,
}

/// A session's place in the registry; leaves it when dropped.
pub struct Registration {
    registry: Arc<Registry>,
    /// The session.
    pub backend: Arc<Backend>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.backends.lock().remove(&self.backend.pid);
    }
}

impl Registry {
    /// An empty registry that admits so many sessions.
    pub fn new(clock: Arc<dyn Clock>, connections_max: usize) -> Registry {
        Registry {
            backends: Mutex::new(BTreeMap::new()),
            next_pid: AtomicI32::new(1),
            clock,
            connections_max,
        }
    }

    /// Admits a session; 53300 when full.
    pub fn register(self: &Arc<Registry>, peer: Option<SocketAddr>) -> Result<Registration> {
        let mut secret = [0; SECRET_LEN];
        self.clock.random(&mut secret);
        let mut backends = self.backends.lock();
        if backends.len() >= self.connections_max {
            return Err(Error::new(
                SqlState::TOO_MANY_CONNECTIONS,
                "sorry, too many clients already",
            ));
        }
        let pid = loop {
            let pid = self.next_pid.fetch_add(1, Ordering::Relaxed) & i32::MAX;
            if pid != 0 && !backends.contains_key(&pid) {
                break pid;
            }
        };
        let now = self.clock.wall_micros();
        let activity = Activity { backend_start: now, state_change: now, ..Activity::default() };
        let backend = Arc::new(Backend {
            pid,
            secret,
            peer,
            flags: AtomicU8::new(0),
            waker: AtomicWaker::new(),
            token: Mutex::default(),
            clock: self.clock.clone(),
            deadline: AtomicU64::new(0),
            check_interval: AtomicU64::new(0),
            checked: AtomicU64::new(0),
            probe: Mutex::new(None),
            activity: Mutex::new(activity),
            copying: Slot::default(),
            advisory: OnceLock::new(),
            place: OnceLock::new(),
        });
        backends.insert(pid, backend.clone());
        drop(backends);
        Ok(Registration { registry: self.clone(), backend })
    }

    /// The session with that process number.
    pub fn find(&self, pid: i32) -> Option<Arc<Backend>> {
        self.backends.lock().get(&pid).cloned()
    }

    /// Cancels what `pid` is running, if `key` is its key in the protocol's short or long form.
    pub fn cancel(&self, pid: i32, key: &[u8]) -> bool {
        let Some(backend) = self.find(pid) else { return false };
        let right = match key.len() {
            SHORT_SECRET_LEN => same_secret(&backend.secret[..SHORT_SECRET_LEN], key),
            SECRET_LEN => same_secret(&backend.secret, key),
            _ => false,
        };
        if right {
            backend.cancel();
        }
        right
    }

    /// Every session, by process number.
    pub fn all(&self) -> Vec<Arc<Backend>> {
        self.backends.lock().values().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.backends.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Compares without telling by its duration where the difference is.
fn same_secret(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;

    fn registry(connections_max: usize) -> Arc<Registry> {
        Arc::new(Registry::new(Arc::new(SimulatedClock::new(0, 7)), connections_max))
    }

    #[test]
    fn a_full_registry_refuses_and_a_leaver_makes_room() {
        let registry = registry(1);
        let first = registry.register(None).unwrap();
        let refused = registry.register(None).err().unwrap();
        assert_eq!(refused.code(), SqlState::TOO_MANY_CONNECTIONS);
        drop(first);
        registry.register(None).unwrap();
    }

    #[tokio::test]
    async fn a_cancel_stops_what_waits_and_not_what_comes_after() {
        let registry = registry(9);
        let session = registry.register(None).unwrap();
        let backend = session.backend.clone();
        assert!(!registry.cancel(backend.pid, &[0; SHORT_SECRET_LEN]));
        assert!(!registry.cancel(backend.pid, &[]));
        let waiting = async {
            let never = std::future::pending::<Result<()>>();
            backend.interruptible(never).await.unwrap_err().code()
        };
        let cancelling = async { registry.cancel(backend.pid, &backend.secret[..4]) };
        let (code, cancelled) = tokio::join!(waiting, cancelling);
        assert_eq!((code, cancelled), (SqlState::QUERY_CANCELED, true));
        backend.cancel();
        backend.begin_statement();
        assert!(backend.check().is_ok());
    }

    #[tokio::test]
    async fn a_statement_times_out() {
        let registry = registry(9);
        let session = registry.register(None).unwrap();
        let never = std::future::pending::<Result<()>>();
        session.backend.start_clock(Some(Duration::from_millis(5)), None);
        let error = session.backend.interruptible(never).await.unwrap_err();
        assert_eq!(error.message(), "canceling statement due to statement timeout");
    }

    #[tokio::test]
    async fn work_ends_when_the_client_has_hung_up() {
        let registry = registry(9);
        let session = registry.register(None).unwrap();
        let looks = Arc::new(AtomicU8::new(0));
        let counted = looks.clone();
        let third = move || counted.fetch_add(1, Ordering::SeqCst) == 2;
        session.backend.set_probe(Box::new(third));
        session.backend.start_clock(None, Some(Duration::from_millis(1)));
        let never = std::future::pending::<Result<()>>();
        let error = session.backend.interruptible(never).await.unwrap_err();
        assert_eq!(error.message(), "connection to client lost");
        assert_eq!(looks.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_drained_session_leaves_when_idle_outside_a_transaction() {
        let registry = registry(9);
        let session = registry.register(None).unwrap();
        session.backend.drain();
        assert!(session.backend.check().is_ok());
        assert!(!session.backend.should_leave(true));
        let never = std::future::pending::<()>();
        assert_eq!(session.backend.while_idle(false, never).await, None);
        session.backend.terminate();
        assert!(session.backend.should_leave(true));
        assert_eq!(session.backend.check().unwrap_err().code(), SqlState::ADMIN_SHUTDOWN);
    }
}
