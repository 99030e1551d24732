//! What functions ask of the session they run in: `pg_sleep`, `set_config`.
//!
//! A function has no hold of the session. What it sets is checked against a copy of the settings
//! and waits here until the session takes it over, after the batch of rows it ran in.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::registry::Backend;
use super::settings::{Settings, Source};
use crate::error::{Error, Result};
use crate::functions::SessionHooks;

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
}

/// The session as functions have it.
pub struct Hooks {
    /// Who interrupts.
    pub backend: Arc<Backend>,
    /// What is shared.
    pub shared: Arc<Mutex<Shared>>,
}

impl SessionHooks for Hooks {
    fn sleep(&self, duration: Duration) -> Result<()> {
        let wait = async {
            tokio::time::sleep(duration).await;
            Ok(())
        };
        let wait = self.backend.interruptible(wait);
        match Handle::try_current() {
            Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
                tokio::task::block_in_place(|| handle.block_on(wait))
            }
            _ => Err(Error::unsupported("waiting on this thread")),
        }
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
