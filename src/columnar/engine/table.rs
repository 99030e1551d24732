//! One table's view in the engine: its generations and its state.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::publish::Published;
use crate::clock::Timestamp;
use crate::columnar::delta::Delta;
use crate::columnar::export::Progress;
use crate::columnar::files::Files;
use crate::columnar::manifest::{self, ColumnStatistics};
use crate::columnar::query::prune::GroupBounds;
use crate::columnar::view::{View, remove_orphans};
use crate::error::{Error, Result, SqlState};
use crate::kv::Hold;
use crate::types::descriptor::{ColumnId, TableDescriptor};

/// The newest generations are kept for what runs beside a refresh, and the one that the oldest
/// snapshot still needs: three at most.
const GENERATIONS_RECENT: usize = 2;

/// A generation in use.
pub(super) struct Generation {
    pub(super) view: Arc<View>,
    /// Keeps the store's versions at the view's snapshot, while somebody reads there.
    pub(super) hold: Mutex<Option<Hold>>,
    pub(super) delta: Delta,
    pub(super) bounds: Arc<GroupBounds>,
}

impl Generation {
    pub(super) fn new(view: View) -> Generation {
        let view = Arc::new(view);
        let bounds = Arc::new(GroupBounds::new(view.clone()));
        Generation { delta: Delta::new(&view), hold: Mutex::default(), view, bounds }
    }

    /// Whether it is a view of the table's rows, with nothing missed since.
    pub(super) fn is_of(&self, table: &TableDescriptor) -> bool {
        shows(&self.view, table)
    }
}

fn shows(view: &View, table: &TableDescriptor) -> bool {
    is_of(&view.shape.table, table)
}

/// Whether a view made of the one is one of the other's rows.
pub(super) fn is_of(made: &TableDescriptor, table: &TableDescriptor) -> bool {
    made.space() == table.space() && made.columnar_since == table.columnar_since
}

/// A table's place in the engine.
pub(super) struct TableEntry {
    pub(super) files: Arc<dyn Files>,
    pub(super) descriptor: Mutex<TableDescriptor>,
    /// Oldest first.
    pub(super) generations: Mutex<Vec<Arc<Generation>>>,
    /// One build at a time.
    pub(super) building: tokio::sync::Mutex<()>,
    pub(super) progress: Mutex<Option<Arc<Progress>>>,
    pub(super) last_error: Mutex<Option<Error>>,
    /// Before this (wall clock), no build is tried again.
    pub(super) retry_at: AtomicI64,
    /// The claim of another builder, and since when it says the same (monotonic).
    pub(super) claim_seen: Mutex<(Bytes, Duration)>,
    /// When it was last looked for views of others (monotonic).
    pub(super) looked_at: Mutex<Option<Duration>>,
    /// Where its files lie, if other programs may look there.
    pub(super) folder: Option<PathBuf>,
    /// One at a time publishes it.
    pub(super) publishing: tokio::sync::Mutex<()>,
    pub(super) published: Mutex<Published>,
    broken: AtomicBool,
    wanted: AtomicBool,
    discarded: AtomicBool,
}

/// What a view can do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewState {
    /// There is none yet.
    Absent,
    /// It serves queries.
    Ready,
    /// It cannot be made or read, and why; it will be tried again.
    Failed(String),
}

/// A view's status.
#[derive(Clone, Debug)]
pub struct ViewStatus {
    /// What it can do.
    pub state: ViewState,
    /// Generation; 0 for none.
    pub generation: u64,
    /// The table's `columnar_since` that it was made for.
    pub of: u64,
    /// Its snapshot.
    pub at: Timestamp,
    /// When it was made: microseconds since 1970.
    pub made_micros: i64,
    /// Live rows.
    pub rows: u64,
    /// Rows in its files that are dead.
    pub dead_rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Its files.
    pub files: usize,
    /// Keys known to have changed since it was made.
    pub changed_keys: usize,
    /// What it was made from.
    pub source: String,
    /// What went wrong last, if nothing went well since.
    pub last_error: Option<String>,
    /// The metadata it is published by, or why it is not.
    pub iceberg: Option<String>,
    /// What is known of its columns.
    pub columns: Vec<(ColumnId, ColumnStatistics)>,
    /// The build that runs, if one does.
    pub progress: Option<Arc<Progress>>,
}

impl TableEntry {
    /// An entry with the view that the folder has, if it is whole.
    pub(super) fn load(
        table: &TableDescriptor,
        files: Arc<dyn Files>,
        folder: Option<PathBuf>,
    ) -> Result<TableEntry> {
        let loaded = match View::load(&files) {
            Ok(Some(view)) if shows(&view, table) => Some(view),
            Ok(_) => None,
            Err(e) => {
                // Refused by name, and made anew from the store.
                tracing::warn!(table = %table.name, error = ?e, "columnar view is not usable");
                None
            }
        };
        remove_orphans(files.as_ref(), loaded.as_ref().map(|v| &v.manifest))?;
        let is_new = loaded.is_none();
        let entry = TableEntry {
            files,
            descriptor: Mutex::new(table.clone()),
            generations: Mutex::new(
                loaded.into_iter().map(|v| Arc::new(Generation::new(v))).collect(),
            ),
            building: tokio::sync::Mutex::default(),
            progress: Mutex::default(),
            last_error: Mutex::default(),
            retry_at: AtomicI64::new(i64::MIN),
            claim_seen: Mutex::default(),
            looked_at: Mutex::default(),
            folder,
            publishing: tokio::sync::Mutex::default(),
            published: Mutex::default(),
            broken: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            discarded: AtomicBool::new(false),
        };
        if is_new {
            // Its generations count from 1 again, and the files that it names are gone.
            entry.remove_metadata();
        }
        Ok(entry)
    }

    pub(super) fn set_descriptor(&self, table: &TableDescriptor) {
        let mut descriptor = self.descriptor.lock();
        if descriptor.columns != table.columns
            || descriptor.space() != table.space()
            || descriptor.columnar_since != table.columnar_since
        {
            self.want_refresh();
        }
        *descriptor = table.clone();
    }

    /// The newest generation that can show `table` at `at`, or why there is none.
    pub(super) fn generation_for(
        &self,
        table: &TableDescriptor,
        at: Timestamp,
    ) -> Result<Arc<Generation>, String> {
        if self.broken.load(Ordering::SeqCst) {
            return Err("It is being made anew.".into());
        }
        let generations = self.generations.lock();
        if generations.is_empty() {
            let failed = self.last_error.lock().as_ref().map(|e| e.message().to_owned());
            return Err(failed.unwrap_or_else(|| "It is being made.".into()));
        }
        let fitting = generations.iter().rev().find(|g| g.view.manifest.at <= at && g.is_of(table));
        fitting.cloned().ok_or_else(|| "The snapshot is older than the view.".into())
    }

    pub(super) fn newest(&self) -> Option<Arc<Generation>> {
        self.generations.lock().last().cloned()
    }

    /// The newest generation's snapshot, and when it was taken, if it shows `table`.
    pub(super) fn newest_of(&self, table: &TableDescriptor) -> Option<(Timestamp, i64)> {
        let newest = self.newest().filter(|g| !self.is_broken() && g.is_of(table))?;
        Some((newest.view.manifest.at, newest.view.manifest.made_micros))
    }

    /// Makes the background refresh the view soon.
    pub(super) fn want_refresh(&self) {
        self.wanted.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked for a refresh.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// One begins: none is asked for any more.
    pub(super) fn none_wanted(&self) {
        self.wanted.store(false, Ordering::SeqCst);
    }

    /// Whether the view must be made anew.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }

    /// Takes note of an error that reading the view or its changes met.
    pub(super) fn failed_reading(&self, e: &Error) {
        let broken = matches!(
            e.code(),
            SqlState::DATA_CORRUPTED
                | SqlState::IO_ERROR
                | SqlState::UNDEFINED_FILE
                | SqlState::SNAPSHOT_TOO_OLD
        );
        if broken && !self.broken.swap(true, Ordering::SeqCst) {
            tracing::warn!(table = %self.descriptor.lock().name, error = ?e,
                "columnar view is not usable; it is made anew");
        }
    }

    /// Makes `view` the newest generation. Queries over older ones go on. `hold` keeps the
    /// store's versions at its snapshot for readers that are not exact; `oldest` is what anybody
    /// still reads at.
    pub(super) fn install(&self, view: View, hold: Option<Hold>, oldest: Timestamp) {
        let mut generations = self.generations.lock();
        if self.broken.swap(false, Ordering::SeqCst) {
            generations.clear();
        }
        if self.discarded.load(Ordering::SeqCst) {
            view.files.iter().for_each(|file| file.retire());
            let _ = self.files.remove(manifest::NAME);
            return;
        }
        generations.iter().for_each(|older| *older.hold.lock() = None);
        let generation = Generation::new(view);
        *generation.hold.lock() = hold;
        generations.push(Arc::new(generation));
        // Where the oldest snapshot is older than all, later ones may need the first.
        let needed = generations.iter().rposition(|g| g.view.manifest.at <= oldest).unwrap_or(0);
        let recent = generations.len().saturating_sub(GENERATIONS_RECENT);
        let mut place = 0..;
        generations.retain(|_| place.next().is_some_and(|i| i >= recent || i == needed));
        *self.last_error.lock() = None;
    }

    /// Whether nobody keeps the view any more.
    pub(super) fn is_discarded(&self) -> bool {
        self.discarded.load(Ordering::SeqCst)
    }

    /// Lets all files go.
    pub(super) fn discard(&self) {
        self.discarded.store(true, Ordering::SeqCst);
        if let Some(progress) = self.progress.lock().as_ref() {
            progress.stop();
        }
        let generations = std::mem::take(&mut *self.generations.lock());
        self.remove_metadata();
        let _ = self.files.remove(manifest::NAME);
        for generation in generations {
            generation.view.files.iter().for_each(|file| file.retire());
            if let Some(masks) = &generation.view.manifest.masks {
                let _ = self.files.remove(&masks.name);
            }
        }
    }

    pub(super) fn status(&self) -> ViewStatus {
        let newest = self.newest();
        let failed = self.last_error.lock().as_ref().map(|e| e.message().to_owned());
        let last_error = failed.clone();
        let state = match (&newest, failed) {
            (Some(_), _) if !self.is_broken() => ViewState::Ready,
            (_, Some(why)) => ViewState::Failed(why),
            _ => ViewState::Absent,
        };
        let manifest = newest.as_ref().map(|g| &g.view.manifest);
        let files = manifest.map_or(&[][..], |m| &m.files);
        let columns = manifest.map_or(Vec::new(), |m| {
            m.columns.iter().map(|c| c.id).zip(m.statistics.iter().cloned()).collect()
        });
        let rows = manifest.map_or(0, |m| m.rows);
        ViewStatus {
            state,
            generation: manifest.map_or(0, |m| m.generation),
            of: manifest.map_or(0, |m| m.table.columnar_since),
            at: manifest.map_or(Timestamp::ZERO, |m| m.at),
            made_micros: manifest.map_or(0, |m| m.made_micros),
            rows,
            dead_rows: files.iter().map(|f| u64::from(f.rows)).sum::<u64>() - rows,
            bytes: files.iter().map(|f| f.bytes + f.index_bytes).sum(),
            files: files.len(),
            changed_keys: newest.as_ref().map_or(0, |g| g.delta.changed()),
            source: manifest.map_or(String::new(), |m| m.source.to_string()),
            last_error,
            iceberg: self.published(),
            columns,
            progress: self.progress.lock().clone(),
        }
    }
}
