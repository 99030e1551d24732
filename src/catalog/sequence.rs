//! Where sequences stand.
//!
//! A sequence's counter is no part of any transaction: values are taken in blocks by small commits
//! of their own and given out from memory, so that `nextval` neither waits for other transactions
//! nor comes back after a rollback. A crash loses at most the rest of a block, as PostgreSQL's
//! write-ahead log of 32 values does. `ALTER SEQUENCE … RESTART` is transactional: it begins a new
//! generation, whose counter is another key.
//!
//! Other gateways have blocks of their own, and learn of a `setval` as of a change of the schema:
//! it writes the catalog's header again, unchanged. Who knows a newer schema than a block was last
//! looked at under reads the counter, which counts the `setval`s. So a statement that begins after
//! `setval` was acknowledged goes on from there on any gateway, but for one whose transaction
//! keeps an older snapshot. `last_value` is what this gateway gave out last.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::counter::autonomous_txn;
use super::descriptor::SequenceDescriptor;
use super::object::{COUNTER_SPACE, Kind, ObjectId};
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result, SqlState};
use crate::kv::{Commit, CommitOutcome, Expect, Key, SharedStore, Version, Write};

/// Values taken from the store at once, as PostgreSQL logs ahead.
const BLOCK: i64 = 32;
/// A sequence that is used up block after block takes larger ones, up to this.
const BLOCK_MAX: i64 = 1024;
/// Attempts at a block against other gateways before giving up.
const ATTEMPTS_MAX: usize = 64;

/// Which counter: a sequence and its generation.
type CounterId = (u32, u32);

/// What the store holds of a sequence: every value up to `last` may have been given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    last: i64,
    called: bool,
    /// How often it was set: blocks of before are void.
    #[serde(default)]
    epoch: u64,
}

/// Values at hand.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// The last value given out by this process.
    last: i64,
    /// How many more there are.
    left: i64,
    /// What lies between them.
    step: i64,
    /// How many there were.
    size: i64,
    /// The sequence's version that it was taken for.
    version: u64,
    /// The counter's, when it was taken.
    epoch: u64,
    /// The newest change of the schema that was known when the counter was read last.
    schema: Timestamp,
}

impl Block {
    /// The last value of the block: where the store thinks the sequence is.
    fn end(&self) -> i64 {
        self.last.wrapping_add(self.left.wrapping_mul(self.step))
    }
}

/// What one session remembers, for `currval` and `lastval`.
#[derive(Default)]
struct SessionValues {
    last: Option<u32>,
    values: HashMap<u32, i64>,
}

/// All sequences of a process.
pub struct Sequences {
    store: SharedStore,
    clock: Arc<dyn Clock>,
    blocks: Mutex<HashMap<CounterId, Block>>,
    sessions: Mutex<HashMap<i32, SessionValues>>,
    /// One block is taken at a time, so that sessions do not take several for one.
    taking: tokio::sync::Mutex<()>,
}

impl Sequences {
    pub(super) fn new(store: SharedStore, clock: Arc<dyn Clock>) -> Sequences {
        Sequences {
            store,
            clock,
            blocks: Mutex::default(),
            sessions: Mutex::default(),
            taking: tokio::sync::Mutex::new(()),
        }
    }

    /// `nextval`. 2200H at the end of a sequence that does not cycle.
    pub async fn next(&self, sequence: &SequenceDescriptor, session: i32) -> Result<i64> {
        let value = loop {
            if let Some(value) = self.from_block(sequence) {
                break value;
            }
            let _taking = self.taking.lock().await;
            // Another session may have taken a block while this one waited.
            if let Some(value) = self.from_block(sequence) {
                break value;
            }
            self.take_block(sequence).await?;
        };
        self.remember(sequence, session, value);
        Ok(value)
    }

    /// `nextval` from code that cannot wait: the thread does, when a block is used up.
    pub fn next_now(&self, sequence: &SequenceDescriptor, session: i32) -> Result<i64> {
        match self.from_block(sequence) {
            Some(value) => {
                self.remember(sequence, session, value);
                Ok(value)
            }
            None => wait(self.next(sequence, session)),
        }
    }

    fn remember(&self, sequence: &SequenceDescriptor, session: i32, value: i64) {
        let mut sessions = self.sessions.lock();
        let remembered = sessions.entry(session).or_default();
        remembered.last = Some(sequence.oid);
        remembered.values.insert(sequence.oid, value);
    }

    fn from_block(&self, sequence: &SequenceDescriptor) -> Option<i64> {
        let schema = self.store.schema();
        let mut blocks = self.blocks.lock();
        let block = blocks.get_mut(&id(sequence))?;
        if block.left == 0 || block.version != sequence.version || block.schema != schema {
            return None;
        }
        block.left -= 1;
        block.last += sequence.increment;
        Some(block.last)
    }

    async fn take_block(&self, sequence: &SequenceDescriptor) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let schema = self.store.schema();
            let (mut position, expect) = self.read(sequence).await?;
            let epoch = position.map_or(0, |p| p.epoch);
            if self.look_again(sequence, epoch, schema) {
                return Ok(());
            }
            let before = self.blocks.lock().get(&id(sequence)).copied();
            // What is left of a block taken before an ALTER is given back.
            if let (Some(block), Some(stored)) = (&before, &mut position)
                && stored.called
                && stored.epoch == block.epoch
                && stored.last == block.end()
            {
                stored.last = block.last;
            }
            let size = match before {
                Some(block) if block.left == 0 => (block.size * 2).min(BLOCK_MAX),
                _ => BLOCK,
            };
            let first = first_value(sequence, position)?;
            let room = match sequence.increment > 0 {
                true => {
                    (i128::from(sequence.max) - i128::from(first)) / i128::from(sequence.increment)
                }
                false => {
                    (i128::from(first) - i128::from(sequence.min)) / -i128::from(sequence.increment)
                }
            };
            let more = i64::try_from(room).unwrap_or(i64::MAX).min(size.max(sequence.cache) - 1);
            let last = first + more * sequence.increment;
            let taken = Position { last, called: true, epoch };
            if self.write(sequence, taken, expect, None).await? {
                // The first value given out is one step after `last`.
                let block = Block {
                    last: first.wrapping_sub(sequence.increment),
                    left: more + 1,
                    step: sequence.increment,
                    size,
                    version: sequence.version,
                    epoch,
                    schema,
                };
                self.blocks.lock().insert(id(sequence), block);
                return Ok(());
            }
        }
        Err(Error::new(
            SqlState::SERIALIZATION_FAILURE,
            format!("could not advance sequence \"{}\" against other gateways", sequence.name),
        ))
    }

    /// Whether the block at hand still serves, now that its counter was read again.
    fn look_again(&self, sequence: &SequenceDescriptor, epoch: u64, schema: Timestamp) -> bool {
        let mut blocks = self.blocks.lock();
        let Some(block) = blocks.get_mut(&id(sequence)) else { return false };
        let serves = block.left > 0 && block.version == sequence.version && block.epoch == epoch;
        if serves {
            block.schema = block.schema.max(schema);
        }
        serves
    }

    /// `setval`. 22003 outside the sequence's bounds.
    pub async fn set(
        &self,
        sequence: &SequenceDescriptor,
        value: i64,
        called: bool,
        session: i32,
    ) -> Result<()> {
        if !(sequence.min..=sequence.max).contains(&value) {
            return Err(Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
                    sequence.name, sequence.min, sequence.max
                ),
            ));
        }
        let _taking = self.taking.lock().await;
        for _ in 0..ATTEMPTS_MAX {
            let (position, expect) = self.read(sequence).await?;
            let epoch = position.map_or(0, |p| p.epoch) + 1;
            let told = self.header().await?;
            if self.write(sequence, Position { last: value, called, epoch }, expect, told).await? {
                self.blocks.lock().remove(&id(sequence));
                if called {
                    let mut sessions = self.sessions.lock();
                    sessions.entry(session).or_default().values.insert(sequence.oid, value);
                }
                return Ok(());
            }
        }
        Err(Error::new(
            SqlState::SERIALIZATION_FAILURE,
            format!("could not set sequence \"{}\" against other gateways", sequence.name),
        ))
    }

    /// `currval`: the value that this session got last.
    pub fn current(&self, sequence: u32, session: i32) -> Option<i64> {
        self.sessions.lock().get(&session)?.values.get(&sequence).copied()
    }

    /// The sequence that `lastval` is about: the one this session called last.
    pub fn last_called(&self, session: i32) -> Option<u32> {
        self.sessions.lock().get(&session)?.last
    }

    /// A session ended: nothing of it is remembered.
    pub fn end_session(&self, session: i32) {
        self.sessions.lock().remove(&session);
    }

    /// `last_value` and `is_called`, as a SELECT from the sequence shows them.
    pub async fn position(&self, sequence: &SequenceDescriptor) -> Result<(i64, bool)> {
        let schema = self.store.schema();
        let block = self.blocks.lock().get(&id(sequence)).copied();
        if let Some(block) = block.filter(|block| block.schema == schema) {
            return Ok((block.last, true));
        }
        let position = self.read(sequence).await?.0;
        let epoch = position.map_or(0, |p| p.epoch);
        if let Some(block) = block.filter(|block| block.epoch == epoch) {
            return Ok((block.last, true));
        }
        Ok(position.map_or((sequence.start_at, false), |p| (p.last, p.called)))
    }

    /// The last value that this process gave out.
    pub fn last_given(&self, sequence: &SequenceDescriptor) -> Option<i64> {
        self.blocks.lock().get(&id(sequence)).map(|block| block.last)
    }

    async fn read(&self, sequence: &SequenceDescriptor) -> Result<(Option<Position>, Expect)> {
        let hold = self.store.snapshot().await?;
        let version = self.store.get(&counter_key(sequence), hold.at).await?;
        let Some(Version { ts, value: Some(value) }) = version else {
            return Ok((None, Expect::Absent));
        };
        let position = serde_json::from_slice(&value).map_err(|e| {
            Error::corrupted(format!("position of sequence {}: {e}", sequence.oid)).with_source(e)
        })?;
        Ok((Some(position), Expect::Unchanged(ts)))
    }

    /// The catalog's header as it is, to be written with what other gateways are to notice. None:
    /// there are no others.
    async fn header(&self) -> Result<Option<Write>> {
        if self.store.schema() == Timestamp::ZERO {
            return Ok(None);
        }
        let key = ObjectId::Plain(Kind::Header, 0).key();
        let hold = self.store.snapshot().await?;
        let value = self.store.get(&key, hold.at).await?.and_then(|version| version.value);
        Ok(value.map(|v| Write { key, value: Some(v), expect: Expect::Any, tracked: false }))
    }

    /// Writes a position, and something more; false if another gateway was first.
    async fn write(
        &self,
        sequence: &SequenceDescriptor,
        position: Position,
        expect: Expect,
        more: Option<Write>,
    ) -> Result<bool> {
        let value = serde_json::to_vec(&position)
            .map_err(|e| Error::internal("a sequence's position").with_source(e))?;
        let write = Write {
            key: counter_key(sequence),
            value: Some(Bytes::from(value)),
            expect,
            tracked: false,
        };
        let commit = Commit {
            txn: autonomous_txn(self.clock.as_ref()),
            snapshot: self.store.snapshot().await?.at,
            reads: Vec::new(),
            ranges: Vec::new(),
            writes: std::iter::once(write).chain(more).collect(),
        };
        Ok(matches!(self.store.commit(commit).await?, CommitOutcome::Committed(_)))
    }
}

fn id(sequence: &SequenceDescriptor) -> CounterId {
    (sequence.oid, sequence.generation)
}

/// Where a sequence's position lies.
pub(super) fn counter_key(sequence: &SequenceDescriptor) -> Key {
    let mut tail = vec![b'q'];
    tail.extend_from_slice(&sequence.oid.to_be_bytes());
    tail.extend_from_slice(&sequence.generation.to_be_bytes());
    Key::new(COUNTER_SPACE, &tail, tail.len())
}

/// The value after a position.
fn first_value(sequence: &SequenceDescriptor, position: Option<Position>) -> Result<i64> {
    let last = match position {
        None => return Ok(sequence.start_at),
        Some(Position { last, called: false, .. }) => return Ok(last),
        Some(Position { last, called: true, .. }) => last,
    };
    let next = last.checked_add(sequence.increment);
    let ascending = sequence.increment > 0;
    match next.filter(|next| (sequence.min..=sequence.max).contains(next)) {
        Some(next) => Ok(next),
        None if sequence.cycle && ascending => Ok(sequence.min),
        None if sequence.cycle => Ok(sequence.max),
        None => {
            let (which, bound) = match ascending {
                true => ("maximum", sequence.max),
                false => ("minimum", sequence.min),
            };
            Err(Error::new(
                SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED,
                format!(
                    "nextval: reached {which} value of sequence \"{}\" ({bound})",
                    sequence.name
                ),
            ))
        }
    }
}

/// Runs a future to its end on this thread. On a runtime of several threads others take over what
/// this one had to do. On a home thread of connections nobody does: the store there must be one
/// that needs no event loop, as the embedded one, whose writer is a thread of its own.
pub(super) fn wait<T>(work: impl Future<Output = T>) -> T {
    let flavor = tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor());
    match flavor {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => {
            tokio::task::block_in_place(|| park_on(work))
        }
        _ => park_on(work),
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn park_on<T>(work: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut work, mut context) = (pin!(work), Context::from_waker(&waker));
    loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
