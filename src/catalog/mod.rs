//! The catalog: one versioned schema snapshot, kept in the store.
//!
//! ```text
//! store (objects, names, counters) ──load──▶ Catalog ──snapshot()──▶ sessions, binder, planner
//!        ▲                                      ▲
//!        └── change::* through the DDL's Txn ──▶ overlay ── publish() after its commit
//! ```
//!
//! Descriptors are written in the transaction that runs the DDL, so DDL is as atomic and as
//! isolated as any other write; the session keeps the overlay it gets back for the rest of that
//! transaction. [`Catalog::publish`] orders overlays by commit timestamp, object by object.
//!
//! It does not parse SQL: defaults and CHECK conditions are stored as text that `sql` binds. It
//! checks no permissions.

pub mod change;
mod counter;
pub mod descriptor;
pub mod foreign;
mod leftovers;
mod lookup;
pub mod names;
mod native;
pub mod object;
mod quote;
pub mod sequence;
mod snapshot;
pub mod system;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

pub use lookup::{check_definition, index_definition, key_definition};
pub use native::describe;
pub use quote::{quote_ident, quote_literal};
pub use snapshot::{CatalogSnapshot, Change, IndexRef, Relation, visible_indexes};

use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result, SqlState};
use crate::kv::{Commit, CommitOutcome, Expect, KeyRange, PageLimit, SharedStore, SpaceId, Write};
use crate::types::descriptor::RelationKind;
use counter::{Counter, autonomous_txn};
use descriptor::{RoleDescriptor, oids};
use object::{FORMAT, Header, Kind, OBJECT_SPACE, Object, ObjectId};
use sequence::Sequences;

/// Spaces below this one are the catalog's.
pub const FIRST_USER_SPACE: u32 = 100;
/// How much of the catalog is read at once when it is loaded.
const LOAD_PAGE: PageLimit = PageLimit { rows_max: 1000, bytes_max: 1 << 20 };
/// Dropped objects whose time of death is remembered, to order late publications.
const TOMBSTONES_MAX: usize = 4096;
/// Dropped spaces that are taken out of the catalog at once: each time is a change of the schema.
const FORGOTTEN_AT_ONCE: usize = 16;

/// Who and what a new store starts with.
#[derive(Clone, Debug)]
pub struct Initial {
    /// Name of the database.
    pub database: String,
    /// Name of the superuser.
    pub role: String,
    /// The superuser's SCRAM verifier; none: only `trust` lets it in.
    pub password: Option<String>,
}

/// The shared catalog of a process.
pub struct Catalog {
    store: SharedStore,
    clock: Arc<dyn Clock>,
    oids: Counter,
    spaces: Counter,
    current: RwLock<Arc<CatalogSnapshot>>,
    /// Where `current` lies, to compare with: statements ask much more often than it changes, and
    /// a lock or a count that all threads write to costs each of them.
    newest: AtomicUsize,
    /// When each object changed by this process was last changed.
    changed: Mutex<HashMap<ObjectId, Timestamp>>,
    /// The snapshot that the catalog was last read at.
    loaded_at: AtomicU64,
    /// It is read by one at a time.
    loading: tokio::sync::Mutex<()>,
    /// Commits of DDL that are not yet published.
    pending: watch::Sender<usize>,
    /// The same number.
    committing: AtomicUsize,
}

/// A commit of DDL on its way to publication.
pub struct Publication {
    catalog: Arc<Catalog>,
}

impl Publication {
    /// The commit succeeded at `ts`.
    pub fn publish(self, overlay: &CatalogSnapshot, ts: Timestamp) {
        self.catalog.publish(overlay, ts);
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.catalog.pending.send_modify(|pending| *pending -= 1);
        self.catalog.committing.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Catalog {
    /// Loads the catalog of a store; a store without one is initialized first.
    pub async fn open(
        store: SharedStore,
        clock: Arc<dyn Clock>,
        initial: &Initial,
    ) -> Result<Arc<Catalog>> {
        if read_header(&store).await?.is_none() {
            initialize(&store, clock.as_ref(), initial).await?;
        }
        Catalog::load(store, clock).await
    }

    /// Whether a store has no catalog yet.
    pub async fn is_missing(store: &SharedStore) -> Result<bool> {
        Ok(read_header(store).await?.is_none())
    }

    /// Loads the catalog of an initialized store.
    pub async fn load(store: SharedStore, clock: Arc<dyn Clock>) -> Result<Arc<Catalog>> {
        match read_header(&store).await? {
            None => {
                return Err(Error::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "the store has no catalog",
                ));
            }
            Some(header) if header.format > FORMAT => {
                return Err(Error::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!(
                        "the catalog has format {}, which is newer than format {FORMAT} of this \
                         version",
                        header.format
                    ),
                )
                .with_hint("Start a newer version of sluice on this data."));
            }
            Some(_) => {}
        }
        let (snapshot, loaded_at) = read_objects(&store).await?;
        let sequences = Sequences::new(store.clone(), clock.clone());
        let snapshot = Arc::new(snapshot.with_sequences(Arc::new(sequences)));
        let counter = |name, first| Counter::new(name, first, store.clone(), clock.clone());
        Ok(Arc::new(Catalog {
            oids: counter("oid", oids::FIRST_USER),
            spaces: counter("space", FIRST_USER_SPACE),
            newest: AtomicUsize::new(address(&snapshot)),
            current: RwLock::new(snapshot),
            changed: Mutex::default(),
            loaded_at: AtomicU64::new(loaded_at.0),
            loading: tokio::sync::Mutex::new(()),
            pending: watch::Sender::new(0),
            committing: AtomicUsize::new(0),
            store,
            clock,
        }))
    }

    /// The schema as of the last publication.
    pub fn snapshot(&self) -> Arc<CatalogSnapshot> {
        Arc::clone(&self.current.read())
    }

    /// Whether a snapshot is that of the last publication.
    pub fn is_newest(&self, snapshot: &Arc<CatalogSnapshot>) -> bool {
        // Whoever asks holds it, so nothing else can lie there.
        self.newest.load(Ordering::SeqCst) == address(snapshot)
    }

    /// Whether [`Catalog::settled`] would give this snapshot, without waiting.
    pub fn is_settled(&self, snapshot: &Arc<CatalogSnapshot>) -> bool {
        // In this order: a commit is counted until it is published.
        self.committing.load(Ordering::SeqCst) == 0 && !self.is_behind() && self.is_newest(snapshot)
    }

    fn replace(&self, current: &mut Arc<CatalogSnapshot>, next: CatalogSnapshot) {
        *current = Arc::new(next);
        self.newest.store(address(current), Ordering::SeqCst);
    }

    /// What a transaction with uncommitted DDL sees now: the newest published schema with its
    /// own changes on top. Gives `overlay` itself back where nothing was published since.
    ///
    /// `read_at` is the snapshot that the transaction reads rows at: an index that is newer has no
    /// entries there for rows that are older, so it is shown as not yet readable, and so is a table
    /// that was loaded later, whose rows do not tell.
    pub fn rebase(
        &self,
        overlay: &Arc<CatalogSnapshot>,
        read_at: Option<Timestamp>,
    ) -> Arc<CatalogSnapshot> {
        let current = self.snapshot();
        let rebased = match overlay.changes() {
            [] => current,
            _ if overlay.base() == current.base() => Arc::clone(overlay),
            changes => {
                let mut next = CatalogSnapshot::clone(&current);
                for change in changes {
                    next.change(change.id, change.object.clone());
                }
                Arc::new(next)
            }
        };
        match read_at {
            Some(at) => rebased.read_at(at),
            None => rebased,
        }
    }

    /// Announces that a transaction with DDL is about to commit: until the guard is gone,
    /// [`Catalog::settled`] waits.
    pub fn publication(self: &Arc<Self>) -> Publication {
        self.committing.fetch_add(1, Ordering::SeqCst);
        self.pending.send_modify(|pending| *pending += 1);
        Publication { catalog: Arc::clone(self) }
    }

    /// The schema once no commit of DDL is on its way to publication. A statement that holds its
    /// tables' locks compares their versions in it with those it was bound against: DDL gives its
    /// locks up at its commit, a moment before it is published.
    ///
    /// Where other gateways change the schema too, their changes are in it that the last snapshot
    /// or table lock of this one covers.
    pub async fn settled(&self) -> Result<Arc<CatalogSnapshot>> {
        if *self.pending.borrow() > 0 {
            let mut pending = self.pending.subscribe();
            // The sender lives as long as the catalog.
            let _ = pending.wait_for(|pending| *pending == 0).await;
        }
        while self.is_behind() {
            let _one = self.loading.lock().await;
            if self.is_behind() {
                self.load_again().await?;
            }
        }
        Ok(self.snapshot())
    }

    /// Whether another gateway changed the schema since it was read.
    fn is_behind(&self) -> bool {
        self.store.schema().0 > self.loaded_at.load(Ordering::SeqCst)
    }

    /// Takes in what other gateways have changed up to now. Whether there was something that
    /// `known` does not have, whoever took it in.
    pub async fn refresh(&self, known: &Arc<CatalogSnapshot>) -> Result<bool> {
        if self.store.schema() == Timestamp::ZERO {
            return Ok(false);
        }
        self.store.snapshot().await?;
        Ok(!Arc::ptr_eq(known, &self.settled().await?))
    }

    /// Reads the whole catalog again: after a commit whose outcome is not known.
    pub async fn reload(&self) -> Result<()> {
        let _one = self.loading.lock().await;
        self.load_again().await
    }

    async fn load_again(&self) -> Result<()> {
        loop {
            let (loaded, at) = read_objects(&self.store).await?;
            let changed = self.changed.lock();
            // What was published meanwhile may be newer than what was read.
            if changed.values().any(|ts| *ts > at) {
                continue;
            }
            let mut current = self.current.write();
            let mut next = loaded.succeeding(&current);
            next.note_indexes_since(&current, at);
            self.replace(&mut current, next);
            self.loaded_at.store(at.0, Ordering::SeqCst);
            return Ok(());
        }
    }

    /// Makes a committed transaction's changes everybody's. `ts` is its commit timestamp: of two
    /// changes of one object the later commit stays, in whatever order they are published.
    pub fn publish(&self, overlay: &CatalogSnapshot, ts: Timestamp) {
        if overlay.changes().is_empty() {
            return;
        }
        let mut changed = self.changed.lock();
        if ts.0 <= self.loaded_at.load(Ordering::SeqCst) {
            return;
        }
        let mut current = self.current.write();
        let mut next = CatalogSnapshot::clone(&current);
        for change in overlay.changes() {
            if changed.get(&change.id).is_some_and(|seen| *seen > ts) {
                continue;
            }
            match (change.id, &change.object) {
                (ObjectId::Plain(Kind::Garbage, _), None) => changed.remove(&change.id),
                _ => changed.insert(change.id, ts),
            };
            next.note_new_indexes(change, ts);
            next.change(change.id, change.object.clone().map(|object| object.committed(ts)));
        }
        self.replace(&mut current, next.published());
        if changed.len() > TOMBSTONES_MAX {
            let mut times: Vec<Timestamp> = changed.values().copied().collect();
            let middle = times.len() / 2;
            let cut = *times.select_nth_unstable(middle).1;
            let is_garbage = |id: &ObjectId| matches!(id, ObjectId::Plain(Kind::Garbage, _));
            changed.retain(|id, seen| *seen >= cut || is_garbage(id));
        }
    }

    /// Drops the spaces that committed DROPs and TRUNCATEs left behind, as far as nobody reads at
    /// a snapshot in which they are alive; gives how many are left. Call it after publishing and
    /// once at start; a crash in between only leaves work for the next call.
    pub async fn collect_garbage(&self) -> Result<usize> {
        // What others dropped was dead when the catalog was read.
        let loaded_at = Timestamp(self.loaded_at.load(Ordering::SeqCst));
        let of_space = |space: SpaceId| ObjectId::Plain(Kind::Garbage, space.0);
        let is_dead = |space: &SpaceId| {
            let died = self.changed.lock().get(&of_space(*space)).copied().unwrap_or(loaded_at);
            self.store.oldest() >= died
        };
        let (dead, alive): (Vec<SpaceId>, Vec<SpaceId>) =
            self.snapshot().garbage().partition(is_dead);
        for spaces in dead.chunks(FORGOTTEN_AT_ONCE) {
            for space in spaces {
                self.store.drop_space(*space).await?;
            }
            self.forget_garbage(spaces.iter().map(|space| of_space(*space)).collect()).await?;
        }
        Ok(alive.len())
    }

    async fn forget_garbage(&self, ids: Vec<ObjectId>) -> Result<()> {
        let forgotten = |id: &ObjectId| Write {
            key: id.key(),
            value: None,
            expect: Expect::Any,
            tracked: false,
        };
        let at = self.store.snapshot().await?.at;
        let commit = Commit {
            txn: autonomous_txn(self.clock.as_ref()),
            snapshot: at,
            reads: Vec::new(),
            ranges: Vec::new(),
            writes: ids.iter().map(forgotten).collect(),
        };
        if let CommitOutcome::Committed(ts) = self.store.commit(commit).await? {
            let mut overlay = CatalogSnapshot::clone(&self.snapshot());
            ids.into_iter().for_each(|id| overlay.change(id, None));
            self.publish(&overlay, ts);
        }
        Ok(())
    }

    /// Asks the store how large every table and index is, for `pg_table_size` and `reltuples`.
    /// Gives the rows of the tables.
    pub async fn refresh_sizes(&self) -> Result<Vec<(SpaceId, u64)>> {
        let snapshot = self.snapshot();
        let (mut sizes, mut rows) = (HashMap::new(), Vec::new());
        for table in snapshot.tables().filter(|t| t.kind == RelationKind::Table) {
            let estimate = self.store.estimate(&KeyRange::all(table.space())).await?;
            rows.push((table.space(), estimate.rows));
            sizes.insert(table.id.0, estimate);
            for index in &table.indexes {
                let entries = self.store.estimate(&KeyRange::all(index.space)).await?;
                sizes.insert(index.oid, entries);
            }
        }
        *snapshot.sizes().write() = sizes;
        Ok(rows)
    }

    /// An OID that nothing ever had.
    pub async fn next_oid(&self) -> Result<u32> {
        self.oids.next().await
    }

    /// A space that nothing ever had; whoever uses it claims it first.
    async fn next_space(&self) -> Result<SpaceId> {
        self.spaces.next().await.map(SpaceId)
    }

    /// Says where the rows of a system relation about the running process come from; without it
    /// the relation is empty.
    pub fn provide(&self, relation: &'static str, provider: system::Provider) {
        self.snapshot().providers().write().insert(relation, provider);
    }

    /// The store that the catalog is in.
    pub fn store(&self) -> &SharedStore {
        &self.store
    }

    /// The clock that the catalog was opened with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

fn address(snapshot: &Arc<CatalogSnapshot>) -> usize {
    Arc::as_ptr(snapshot).addr()
}

async fn read_header(store: &SharedStore) -> Result<Option<Header>> {
    let id = ObjectId::Plain(Kind::Header, 0);
    let hold = store.snapshot().await?;
    let version = store.get(&id.key(), hold.at).await?;
    let Some(value) = version.and_then(|v| v.value) else { return Ok(None) };
    match Object::decode(id, &value)? {
        Object::Header(header) => Ok(Some(header)),
        other => Err(Error::internal(format!("catalog header reads as {:?}", other.id()))),
    }
}

async fn initialize(store: &SharedStore, clock: &dyn Clock, initial: &Initial) -> Result<()> {
    let role = RoleDescriptor::bootstrap(&initial.role, initial.password.clone());
    let mut objects = vec![Object::Header(Header { format: FORMAT })];
    objects.extend(snapshot::initial_objects(&initial.database, role));
    let mut writes = Vec::new();
    for object in &objects {
        writes.push(Write {
            key: object.id().key(),
            value: Some(object.encode()?),
            expect: Expect::Absent,
            tracked: false,
        });
        let name = match object {
            Object::Schema(s) => object::Name::Schema(&s.name).key(),
            Object::Role(r) => object::Name::Role(&r.name).key(),
            _ => continue,
        };
        let ObjectId::Plain(_, oid) = object.id() else { continue };
        writes.push(Write {
            key: name,
            value: Some(object::Name::value(oid)),
            expect: Expect::Absent,
            tracked: false,
        });
    }
    let snapshot = store.snapshot().await?.at;
    let txn = autonomous_txn(clock);
    let commit = Commit { txn, snapshot, reads: Vec::new(), ranges: Vec::new(), writes };
    // A conflict means that another gateway was first: its catalog is as good.
    store.commit(commit).await.map(|_| ())
}

async fn read_objects(store: &SharedStore) -> Result<(CatalogSnapshot, Timestamp)> {
    let mut snapshot = CatalogSnapshot::empty("", "");
    let hold = store.snapshot().await?;
    let range = KeyRange::all(OBJECT_SPACE);
    let mut from = None;
    loop {
        let page = store.scan(&range, hold.at, false, LOAD_PAGE, from).await?;
        for entry in &page.entries {
            let id = ObjectId::from_key(&entry.key)?;
            snapshot.put(Object::decode(id, &entry.value)?.committed(entry.ts));
        }
        from = page.next;
        if from.is_none() {
            return Ok((snapshot.owned_by_bootstrap(), hold.at));
        }
    }
}
