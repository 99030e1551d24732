//! Sessions with the cluster: the process's first, and one more for each event loop beside it.
//!
//! The driver's connections live on the event loop that opened them. A request from another thread
//! wakes that thread, and its answer wakes the first: between two idle cores that takes longer than
//! all else that a gateway does for a point read, and on busy ones it is two switches for each
//! request. So a thread of connections has a session of its own, which it opens the first time it
//! asks for something; until that is there, and where it cannot be had, it uses the first.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use scylla::client::session::Session;
use tokio::runtime::{Handle, Id, RuntimeFlavor};

use super::CassandraOptions;
use super::connect;

/// Before an event loop tries again to open its session.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// The sessions of a gateway.
pub(super) struct Sessions {
    first: Arc<Session>,
    /// The event loop of the first.
    runtime: Id,
    options: CassandraOptions,
    datacenter: String,
    /// Those of other event loops; none while one is being opened.
    near: RwLock<HashMap<Id, Option<Arc<Session>>>>,
}

impl Sessions {
    /// With the first, which was opened on this event loop.
    pub fn new(first: Session, options: &CassandraOptions, datacenter: &str) -> Arc<Sessions> {
        Arc::new(Sessions {
            first: Arc::new(first),
            runtime: Handle::current().id(),
            options: options.clone(),
            datacenter: datacenter.to_owned(),
            near: RwLock::default(),
        })
    }

    /// The first.
    pub fn first(&self) -> &Session {
        &self.first
    }

    /// That of this event loop.
    pub fn here(self: &Arc<Self>) -> Arc<Session> {
        let handle = Handle::current();
        let id = handle.id();
        // A pool's threads have no event loop of their own.
        if id == self.runtime || handle.runtime_flavor() != RuntimeFlavor::CurrentThread {
            return self.first.clone();
        }
        match self.near.read().get(&id) {
            Some(Some(session)) => return session.clone(),
            Some(None) => return self.first.clone(),
            None => {}
        }
        if self.near.write().insert(id, None).is_none() {
            let sessions = self.clone();
            handle.spawn(async move { sessions.open(id).await });
        }
        self.first.clone()
    }

    async fn open(self: Arc<Self>, id: Id) {
        loop {
            match connect::near(&self.options, &self.datacenter).await {
                Ok(session) => {
                    self.near.write().insert(id, Some(Arc::new(session)));
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "a thread has no connections of its own yet");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            }
        }
    }
}
