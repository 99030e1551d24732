//! What functions ask of the session they run in: `pg_sleep`, `set_config`, advisory locks, signals
//! to other sessions.
//!
//! A function has no hold of the session. What it sets is checked against a copy of the settings
//! and waits here until the session takes it over, after the batch of rows it ran in.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::advisory::{AdvisoryLocks, mode_name};
use super::client::Notice;
use super::environment::lock_wait;
use super::registry::{Backend, Registry};
use super::settings::{Settings, Source};
use crate::error::{Error, Result, SqlState};
use crate::functions::{AdvisoryKey, AdvisoryRequest, SessionHooks, Signal};
use crate::types::descriptor::TableDescriptor;

/// How often it is looked whether a session that was told to end is there.
const TERMINATED_INTERVAL: Duration = Duration::from_millis(5);

/// One call of `set_config`.
pub struct Change {
    /// Which parameter.
    pub name: String,
    /// Its new value; none is its default.
    pub value: Option<String>,
    /// Whether for the transaction alone.
    pub local: bool,
}

/// What the session and its functions share.
#[derive(Default)]
pub struct Shared {
    /// The settings in force, with what functions have set of them.
    pub settings: Option<Settings>,
    /// Whether the role is a superuser.
    pub superuser: bool,
    /// What functions have set and the session has not yet.
    pub changes: Vec<Change>,
    /// What functions have to tell the client.
    pub notices: Vec<Notice>,
}

/// The session as functions have it.
pub struct Hooks {
    /// Who interrupts.
    pub backend: Arc<Backend>,
    /// All sessions.
    pub registry: Arc<Registry>,
    /// The session's advisory locks.
    pub advisory: Arc<AdvisoryLocks>,
    /// What is shared.
    pub shared: Arc<Mutex<Shared>>,
}

impl Hooks {
    /// Waits, on this thread, for work that an interrupt ends.
    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let work = self.backend.interruptible(work);
        match Handle::try_current() {
            Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
                tokio::task::block_in_place(|| handle.block_on(work))
            }
            _ => Err(Error::unsupported("waiting on this thread")),
        }
    }

    /// A warning for the client.
    fn warn(&self, message: String) {
        self.shared.lock().notices.push(Notice::warning(SqlState::WARNING, message));
    }

    /// A superuser may signal anybody, others only sessions of their own role.
    fn may_signal(&self, other: &Backend, signal: Signal) -> Result<()> {
        if self.shared.lock().superuser {
            return Ok(());
        }
        let (user, superuser) = {
            let activity = other.activity.lock();
            (activity.user.clone(), activity.superuser)
        };
        let message = match (signal, superuser) {
            (Signal::Cancel, true) => "must be a superuser to cancel superuser query",
            (Signal::Terminate(_), true) => "must be a superuser to terminate superuser process",
            _ if user == self.backend.activity.lock().user => return Ok(()),
            (Signal::Cancel, false) => {
                "must be a member of the role whose query is being canceled or member of \
                 pg_signal_backend"
            }
            (Signal::Terminate(_), false) => {
                "must be a member of the role whose process is being terminated or member of \
                 pg_signal_backend"
            }
        };
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
    }
}

impl SessionHooks for Hooks {
    fn files(&self, paths: Vec<String>) -> Result<TableDescriptor> {
        if !self.shared.lock().superuser {
            let message = "must be superuser or have privileges of the pg_read_server_files role \
                           to read a file";
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        super::parquet::relation(paths)
    }

    fn sleep(&self, duration: Duration) -> Result<()> {
        self.wait(async {
            tokio::time::sleep(duration).await;
            Ok(())
        })
    }

    fn lock(&self, request: AdvisoryRequest) -> Result<bool> {
        let Some(wait) = self.shared.lock().settings.as_ref().map(lock_wait) else {
            return Err(Error::internal("a session without settings"));
        };
        self.wait(self.advisory.take(request, wait))
    }

    fn unlock(&self, key: AdvisoryKey, exclusive: bool) -> Result<bool> {
        let owned = self.wait(self.advisory.give_up(key, exclusive))?;
        if !owned {
            self.warn(format!("you don't own a lock of type {}", mode_name(exclusive)));
        }
        Ok(owned)
    }

    fn unlock_all(&self) -> Result<()> {
        self.wait(self.advisory.give_up_all())
    }

    fn signal(&self, pid: i32, signal: Signal) -> Result<bool> {
        let Some(other) = self.registry.find(pid) else {
            self.warn(format!("PID {pid} is not a PostgreSQL backend process"));
            return Ok(false);
        };
        self.may_signal(&other, signal)?;
        let Signal::Terminate(wait) = signal else {
            other.cancel();
            return Ok(true);
        };
        other.terminate();
        if wait.is_zero() || pid == self.backend.pid {
            return Ok(true);
        }
        let gone = async {
            while self.registry.find(pid).is_some() {
                tokio::time::sleep(TERMINATED_INTERVAL).await;
            }
        };
        let ended = self.wait(async { Ok(tokio::time::timeout(wait, gone).await.is_ok()) })?;
        if !ended {
            let waited = wait.as_millis();
            self.warn(format!(
                "backend with PID {pid} did not terminate within {waited} milliseconds"
            ));
        }
        Ok(ended)
    }

    fn set_config(&self, name: &str, value: Option<&str>, local: bool) -> Result<String> {
        let mut shared = self.shared.lock();
        let source = Source::Session { superuser: shared.superuser };
        let Some(settings) = &mut shared.settings else {
            return Err(Error::internal("a session without settings"));
        };
        settings.set(name, value, local, 1, source)?;
        let (_, shown) = settings.show(name)?;
        shared.changes.push(Change {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            local,
        });
        Ok(shown)
    }
}
