//! The analytical engine of a gateway: its threads and memory, and the views of its tables.
//!
//! Everything wide runs on the engine's own runtime and in its own memory pool, which spills into
//! the engine's folder: a query over its memory fails alone with 53200, and point reads, on the
//! other runtime and of a higher priority, do not wait for scans.
//!
//! A table's view comes into being in the background ([`Engine::enable`]), is refreshed when enough
//! changed or some time passed, and is made anew when a file of it turns out damaged. Meanwhile,
//! and for snapshots older than every generation kept, [`Engine::provider`] says 55000 and the
//! caller takes the row path.

mod exporter;
mod open;
mod priority;
mod publish;
mod quota;
mod refresh;
mod run;
mod share;
mod table;
mod yielding;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::delta::{DeltaLimits, Overlay, OwnWrite, RowReader};
use super::export::FileOptions;
use super::files::{Files, LocalFiles};
use super::query::ViewTable;
use super::query::cache::ChunkCache;
use super::shared::ViewStore;
use super::spread::Spread;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result, SqlState};
use crate::kv::{Hold, SharedStore};
use crate::types::descriptor::{ColumnId, TableDescriptor, TableId};
pub use exporter::{ExportRequest, Exported, Exporter};
pub use open::OpenView;
pub use quota::Quota;
pub use run::{BatchStream, Turn};
use table::{Generation, TableEntry};
pub use table::{ViewState, ViewStatus};

/// Memory that makes another partition of a query worth having. Sorts of several partitions merge
/// theirs into one while others still fill the memory, and a merge cannot spill; one partition
/// alone sorts any number of rows in 24 MiB.
const PARTITION_BYTES_MIN: usize = 96 << 20;

/// Sorts of one partition that the memory must be enough for, at least to merge what they spilled.
const SORTS_AT_ONCE: usize = 8;

/// The smaller side of a join that one thread builds alone, times the threads: the larger side then
/// needs no partitions, and what is known of its keys has no branch for each. On two threads the
/// 22 queries of TPC-H take a fifth less processor time; of four times as much they wait longer for
/// the one thread than they win.
const COLLECT_BYTES: usize = 32 << 20;
/// The same, where only rows are known.
const COLLECT_ROWS: usize = 2_000_000;

/// One in so many of the engine's memory is what the changed rows of a view may take,
const DELTA_MEMORY_MAX: usize = 2;
/// and one in so many makes it be refreshed.
const DELTA_MEMORY_DUE: usize = 8;

/// Settings of the engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where views and spilled data lie.
    pub dir: PathBuf,
    /// Memory of all analytical queries together; beyond it they spill, then fail.
    pub memory_bytes: usize,
    /// Disk that spilled data may take.
    pub spill_bytes: u64,
    /// Memory for decoded columns.
    pub cache_bytes: usize,
    /// Threads, and partitions of a plan.
    pub threads: usize,
    /// Analytical queries that run at once; others wait.
    pub queries_max: usize,
    /// Changed keys beyond which a query waits for a refresh on the row path.
    pub delta_keys_max: usize,
    /// Changed keys that make a view be refreshed, at least.
    pub refresh_keys_min: usize,
    /// Changed keys that make a view be refreshed, in percent of its rows, at least.
    pub refresh_percent: u64,
    /// Age at which a view with any change is refreshed.
    pub refresh_age: Duration,
    /// How long views keep the store's versions at their snapshots after somebody wanted them.
    pub past_kept: Duration,
    /// How often the background looks.
    pub check_interval: Duration,
    /// Pause after a failed build.
    pub retry_pause: Duration,
    /// How files are laid out.
    pub file: FileOptions,
    /// Where views are shared with other gateways of the keyspace; none: each has its own.
    pub shared: Option<Arc<ViewStore>>,
    /// How often it is looked for newer views of others.
    pub shared_interval: Duration,
    /// A builder that has said nothing for this long is taken for gone.
    pub claim_patience: Duration,
    /// Who makes files of whole tables; none: they are read through the store.
    pub exporter: Option<Arc<dyn Exporter>>,
    /// Rows from which it is asked to: fewer are read sooner than nodes flush theirs.
    pub export_rows_min: u64,
}

impl EngineOptions {
    /// The defaults, with everything below `dir`.
    pub fn new(dir: PathBuf) -> EngineOptions {
        EngineOptions {
            dir,
            memory_bytes: 1 << 30,
            spill_bytes: 16 << 30,
            cache_bytes: 1 << 30,
            threads: std::thread::available_parallelism().map_or(2, NonZeroUsize::get),
            queries_max: 8,
            delta_keys_max: 1_000_000,
            refresh_keys_min: 50_000,
            refresh_percent: 10,
            refresh_age: Duration::from_secs(300),
            past_kept: Duration::from_secs(900),
            check_interval: Duration::from_secs(1),
            retry_pause: Duration::from_secs(30),
            file: FileOptions::default(),
            shared: None,
            shared_interval: Duration::from_secs(2),
            claim_patience: Duration::from_secs(10),
            exporter: None,
            export_rows_min: 100_000,
        }
    }

    /// What the delta of a view may hold.
    fn delta_limits(&self) -> DeltaLimits {
        DeltaLimits { keys: self.delta_keys_max, bytes: self.memory_bytes / DELTA_MEMORY_MAX }
    }

    /// Changed rows, by their number and bytes, from which a view of `rows` is refreshed. Making a
    /// view costs more than a scan gains from it while few rows have changed: of TPC-H's lineitem,
    /// scans with one in twenty changed take as long as those of the view alone.
    fn delta_due(&self, rows: u64) -> DeltaLimits {
        let share = rows as usize / 100 * self.refresh_percent as usize;
        let keys = share.max(self.refresh_keys_min).min(self.delta_keys_max / 2);
        DeltaLimits { keys, bytes: self.memory_bytes / DELTA_MEMORY_DUE }
    }
}

/// The engine.
pub struct Engine {
    store: SharedStore,
    clock: Arc<dyn Clock>,
    options: EngineOptions,
    runtime: Option<Runtime>,
    environment: Arc<RuntimeEnv>,
    /// What queries without limits of their own are planned with. Making one registers all of
    /// DataFusion's functions, and those who ask share their thread with others' statements.
    context: OnceLock<SessionContext>,
    cache: Arc<ChunkCache>,
    /// Of rows that changed.
    rows: RowReader,
    admission: Arc<Semaphore>,
    shares: quota::Shares,
    tables: Mutex<HashMap<TableId, Arc<TableEntry>>>,
    /// When somebody last wanted to read at a view's own snapshot (wall clock).
    past_wanted: AtomicI64,
    /// What others know this process by, where it builds.
    builder: u64,
    /// When shared folders were last looked through (monotonic).
    swept_at: Mutex<Option<Duration>>,
    /// The gateways that have shares of its scans.
    spread: OnceLock<Arc<Spread>>,
    this: Weak<Engine>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.options.dir.display())
    }
}

/// A scan of one table that a plan needs.
pub struct ScanRequest {
    /// The table, as the transaction sees it.
    pub table: Arc<TableDescriptor>,
    /// The snapshot. At a view's own, the view alone is read and the store is not asked.
    pub hold: Arc<Hold>,
    /// The transaction's own writes to the table's rows.
    pub own: Vec<OwnWrite>,
    /// The columns wanted, in this order; the provider's are named `c0`, `c1`, ….
    pub columns: Vec<ColumnId>,
    /// Changed keys beyond which the view is refreshed first; not more than the engine's own.
    pub delta_keys_max: usize,
}

impl Engine {
    /// Starts an engine without tables.
    pub fn start(
        store: SharedStore,
        clock: Arc<dyn Clock>,
        options: EngineOptions,
    ) -> Result<Arc<Engine>> {
        let spill = options.dir.join("spill");
        // What an earlier process spilled is of no use to anybody.
        let _ = std::fs::remove_dir_all(&spill);
        std::fs::create_dir_all(&spill)
            .map_err(|e| super::files::io_error("create directory", &spill.to_string_lossy(), e))?;
        let pool = TrackConsumersPool::new(
            FairSpillPool::new(options.memory_bytes),
            NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN),
        );
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![spill]))
            .with_max_temp_directory_size(options.spill_bytes);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(disk)
            .build()
            .map_err(|e| Error::internal(format!("analytical engine: {e}")))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name("analytics")
            .on_thread_start(priority::lower)
            .enable_all()
            .build()?;
        let mut builder = [0; 8];
        clock.random(&mut builder);
        let engine = Arc::new_cyclic(|this| Engine {
            rows: RowReader::new(store.clone()),
            store,
            clock,
            builder: u64::from_be_bytes(builder),
            swept_at: Mutex::default(),
            spread: OnceLock::new(),
            cache: Arc::new(ChunkCache::new(options.cache_bytes)),
            admission: Arc::new(Semaphore::new(options.queries_max.max(1))),
            options,
            shares: quota::Shares::default(),
            environment: Arc::new(environment),
            context: OnceLock::new(),
            tables: Mutex::default(),
            past_wanted: AtomicI64::new(i64::MIN),
            this: this.clone(),
            runtime: Some(runtime),
        });
        engine.handle().spawn(refresh::watch(Arc::downgrade(&engine)));
        Ok(engine)
    }

    pub(super) fn handle(&self) -> tokio::runtime::Handle {
        match &self.runtime {
            Some(runtime) => runtime.handle().clone(),
            None => unreachable!("the runtime goes only with the engine"),
        }
    }

    /// Gives others shares of its scans from now on.
    #[cfg(feature = "spread")]
    pub fn spread_over(&self, spread: Spread) {
        // Once for a process.
        let _ = self.spread.set(Arc::new(spread));
    }

    /// Keeps a view of `table` from now on, or tells the engine of a change of its descriptor.
    /// A view on disk is used if it is whole; otherwise one is made in the background.
    pub fn enable(&self, table: &TableDescriptor) -> Result<()> {
        if let Some(entry) = self.entry(table.id) {
            let before = self.shared(&entry);
            entry.set_descriptor(table);
            self.remove_shared(before.filter(|before| !self.is_shared_in(&entry, before)));
            return Ok(());
        }
        let dir = self.options.dir.join("views").join(table.id.0.to_string());
        let files = Arc::new(LocalFiles::create(dir.clone())?);
        self.enable_at(table, files, Some(publish::absolute(dir)))
    }

    /// Like [`Engine::enable`], with the view in a folder of the caller's, and not published.
    pub fn enable_in(&self, table: &TableDescriptor, files: Arc<dyn Files>) -> Result<()> {
        self.enable_at(table, files, None)
    }

    fn enable_at(
        &self,
        table: &TableDescriptor,
        files: Arc<dyn Files>,
        folder: Option<PathBuf>,
    ) -> Result<()> {
        let entry = Arc::new(TableEntry::load(table, files, folder)?);
        self.tables.lock().insert(table.id, entry);
        Ok(())
    }

    /// Keeps no view of the table any more; its files go when nobody reads them.
    pub fn disable(&self, table: TableId) {
        let entry = self.tables.lock().remove(&table);
        if let Some(entry) = entry {
            entry.discard();
            self.remove_shared(self.shared(&entry));
        }
    }

    /// What is known of a table's view; none if it has none.
    pub fn status(&self, table: TableId) -> Option<ViewStatus> {
        self.entry(table).map(|entry| entry.status())
    }

    /// The statuses of all tables with a view.
    pub fn statuses(&self) -> Vec<(TableId, ViewStatus)> {
        let tables = self.tables.lock();
        tables.iter().map(|(id, entry)| (*id, entry.status())).collect()
    }

    /// The newest snapshot of a table's view, and when it was taken (microseconds since 1970);
    /// none if it has no view that can be read. For some time from now on, views that are made
    /// keep the store's versions at their snapshots: a query over several tables reads all of
    /// them at one.
    pub fn newest_view(&self, table: &TableDescriptor) -> Option<(Timestamp, i64)> {
        self.past_wanted.store(self.clock.wall_micros(), Ordering::Relaxed);
        self.entry(table.id)?.newest_of(table)
    }

    /// Whether views keep the store's versions at their snapshots.
    fn keeps_past(&self) -> bool {
        let since = self.past_wanted.load(Ordering::Relaxed);
        let age = self.clock.wall_micros().saturating_sub(since);
        age < self.options.past_kept.as_micros() as i64
    }

    /// Bytes of decoded columns kept.
    pub fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    fn entry(&self, table: TableId) -> Option<Arc<TableEntry>> {
        self.tables.lock().get(&table).cloned()
    }

    /// A table at a snapshot, through its view and what changed since. 55000 if there is no view
    /// that can show it: none yet, the snapshot is older, or too much changed.
    pub async fn provider(&self, request: ScanRequest) -> Result<Arc<ViewTable>> {
        let Some(engine) = self.this.upgrade() else {
            return Err(Error::internal("the analytical engine has stopped"));
        };
        let task = self.handle().spawn(async move { engine.provide(request).await });
        task.await.map_err(|e| Error::internal(format!("analytical engine: {e}")))?
    }

    async fn provide(&self, request: ScanRequest) -> Result<Arc<ViewTable>> {
        let table = &request.table;
        let unready = |why: String| {
            Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("columnar view of table \"{}\" is not ready", table.name),
            )
            .with_detail(why)
        };
        let entry = self.entry(table.id).ok_or_else(|| unready("The table has no view.".into()))?;
        let generation = entry.generation_for(table, request.hold.at).map_err(unready)?;
        let view = &generation.view;
        let columns = request.columns.iter().map(|id| {
            let wanted = table.column_by_id(*id);
            let found = view.shape.columns.iter().position(|c| c.id == *id);
            match (found, wanted) {
                (Some(at), Some(c)) if view.shape.columns[at].ty == c.ty => Ok(at),
                _ => Err(unready(format!("The view was made before column {} was.", id.0))),
            }
        });
        let columns: Vec<usize> = columns.collect::<Result<_>>()?;
        let delta = &generation.delta;
        let overlay = match request.own.is_empty() && request.hold.at == view.manifest.at {
            true => Ok(Some(Overlay::nothing_since(view))),
            false => {
                let keys = request.delta_keys_max.min(self.options.delta_keys_max);
                let limits = DeltaLimits { keys, ..self.options.delta_limits() };
                delta.overlay(view, &self.rows, request.hold.at, &request.own, limits).await
            }
        };
        let overlay = match overlay {
            Ok(Some(overlay)) => overlay,
            Ok(None) => {
                entry.want_refresh();
                return Err(unready("Too much changed since it was made.".into()));
            }
            Err(e) => {
                entry.failed_reading(&e);
                return Err(match e.code() {
                    SqlState::SNAPSHOT_TOO_OLD
                    | SqlState::DATA_CORRUPTED
                    | SqlState::NUMERIC_VALUE_OUT_OF_RANGE => unready(e.message().to_owned()),
                    _ => e,
                });
            }
        };
        let open = self.opened(entry, generation.clone());
        let snapshot = open.snapshot(overlay, request.hold);
        Ok(Arc::new(ViewTable::new(Arc::new(snapshot), columns)))
    }

    /// A session of DataFusion with the engine's memory and parallelism.
    pub fn context(&self) -> SessionContext {
        let make = || self.context_within(self.options.memory_bytes, &self.environment);
        self.context.get_or_init(make).clone()
    }

    fn context_within(&self, memory_bytes: usize, environment: &Arc<RuntimeEnv>) -> SessionContext {
        let enough = memory_bytes / PARTITION_BYTES_MIN;
        let partitions = self.options.threads.min(enough).max(1);
        let mut config = SessionConfig::new()
            .with_target_partitions(partitions)
            .with_batch_size(super::query::scan::OUTPUT_ROWS)
            .with_information_schema(false);
        // Statistics of a view come from its manifest; there are no files for DataFusion to list.
        let execution = &mut config.options_mut().execution;
        execution.collect_statistics = false;
        // Kept for merging by every sort of every partition: of little memory only a little.
        let share = memory_bytes / (SORTS_AT_ONCE * partitions);
        execution.sort_spill_reservation_bytes = share.min(execution.sort_spill_reservation_bytes);
        let optimizer = &mut config.options_mut().optimizer;
        let bytes = &mut optimizer.hash_join_single_partition_threshold;
        *bytes = (COLLECT_BYTES / partitions).max(*bytes);
        let rows = &mut optimizer.hash_join_single_partition_threshold_rows;
        *rows = (COLLECT_ROWS / partitions).max(*rows);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(environment.clone())
            .with_default_features()
            .build();
        SessionContext::new_with_state(state)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The last user may be a task of some runtime, where waiting for threads is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
