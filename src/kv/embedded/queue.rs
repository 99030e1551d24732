//! What waits for the store's one writer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::bulk::{Bulk, Extents};
use super::changes::Place;
use crate::error::{Error, Result, SqlState};
use crate::kv::{Commit, CommitOutcome, Key, SpaceId, Write};

/// Bytes of keys and values that go into one batch and one fsync.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Something for the writer to do.
pub(super) enum Work {
    /// A whole commit; without writes only validated.
    Commit(Commit),
    /// Part of a bulk commit.
    Chunk { bulk: Arc<Bulk>, writes: Vec<Write>, extents: Box<Extents> },
    /// Its end: the commit without its writes.
    FinishBulk { bulk: Arc<Bulk>, commit: Commit, extents: Box<Extents> },
    /// Restores heads that an unfinished bulk commit replaced.
    UndoChunk { bulk: Arc<Bulk>, keys: Vec<Key> },
    /// All of them are restored.
    ForgetBulk { bulk: Arc<Bulk> },
    /// Removes heads whatever they are.
    Remove { keys: Vec<Bytes> },
    /// Removes change log records of a space up to a place.
    Trim { space: SpaceId, upto: Place, records: Vec<Bytes> },
    /// Nothing more will come.
    Stop,
}

/// How work ended.
pub(super) enum Done {
    /// A commit.
    Outcome(CommitOutcome),
    /// A chunk, with what was written so far.
    Extents(Box<Extents>),
    /// Everything else.
    Ok,
}

/// Work, and who waits for it.
pub(super) struct Job {
    pub work: Work,
    pub reply: oneshot::Sender<Result<Done>>,
}

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    arrived: Condvar,
}

#[derive(Default)]
struct Inner {
    jobs: VecDeque<Job>,
    closed: bool,
    /// The writer waits for so many jobs; fewer do not wake it.
    wanted: usize,
}

impl Queue {
    /// Adds work; its answer comes through the receiver. 57P03 when the store is closed.
    pub fn push(&self, work: Work) -> Result<oneshot::Receiver<Result<Done>>> {
        let (reply, answer) = oneshot::channel();
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Error::new(SqlState::CANNOT_CONNECT_NOW, "the store is closed"));
        }
        inner.closed = matches!(work, Work::Stop);
        inner.jobs.push_back(Job { work, reply });
        let enough = inner.jobs.len() >= inner.wanted || inner.closed;
        drop(inner);
        if enough {
            self.arrived.notify_one();
        }
        Ok(answer)
    }

    /// Waits for work, at most so long.
    pub fn wait(&self, wait: Option<Duration>) {
        let mut inner = self.inner.lock();
        if inner.jobs.is_empty() {
            match wait {
                Some(wait) => {
                    self.arrived.wait_for(&mut inner, wait);
                }
                None => self.arrived.wait_while(&mut inner, |i| i.jobs.is_empty()),
            }
        }
    }

    /// Takes what has arrived, at most a group's worth.
    pub fn take(&self) -> Vec<Job> {
        let mut inner = self.inner.lock();
        let mut bytes = 0;
        let mut jobs = Vec::with_capacity(inner.jobs.len());
        while bytes < GROUP_BYTES_MAX
            && let Some(job) = inner.jobs.pop_front()
        {
            bytes += job.bytes();
            jobs.push(job);
        }
        jobs
    }

    /// Waits until so many jobs are here, at most so long; how many there are then.
    pub fn gather(&self, wanted: usize, most: Duration) -> usize {
        let mut inner = self.inner.lock();
        if inner.jobs.len() < wanted && !inner.closed {
            inner.wanted = wanted;
            self.arrived.wait_for(&mut inner, most);
            inner.wanted = 0;
        }
        inner.jobs.len()
    }

    /// How many jobs wait, and whether all of them are commits.
    pub fn waiting(&self) -> (usize, bool) {
        let inner = self.inner.lock();
        let commits = inner.jobs.iter().all(|job| matches!(job.work, Work::Commit(_)));
        (inner.jobs.len(), commits)
    }

    /// Puts work that had to wait for something else before what has arrived since.
    pub fn put_back(&self, jobs: Vec<Job>) {
        let mut inner = self.inner.lock();
        for job in jobs.into_iter().rev() {
            inner.jobs.push_front(job);
        }
    }

    /// The writer is gone: nothing is answered any more.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.jobs.clear();
    }
}

impl Job {
    fn bytes(&self) -> usize {
        match &self.work {
            Work::Commit(Commit { writes, .. }) | Work::Chunk { writes, .. } => {
                writes.iter().map(write_bytes).sum()
            }
            _ => 0,
        }
    }
}

/// Bytes of a write.
pub(super) fn write_bytes(write: &Write) -> usize {
    write.key.bytes().len() + write.value.as_ref().map_or(0, Bytes::len)
}
