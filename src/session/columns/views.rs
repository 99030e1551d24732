//! Which tables have views: the engine follows the schema.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::super::POSTGRES_EPOCH_MICROS;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::columnar::engine::{Engine, EngineOptions, Exporter, ViewState, ViewStatus};
use crate::columnar::export::Progress;
use crate::columnar::shared::ViewStore;
use crate::error::{Error, Result, SqlState};
use crate::exec::StoreStatistics;
use crate::kv::SharedStore;
use crate::plan::{AccessCosts, ColumnarQuery, Path, Statistics};
use crate::types::descriptor::{ColumnId, TableDescriptor};
use crate::types::{Datum, Interval, Row};

/// Where views lie and what analytical queries may take.
#[derive(Clone, Debug)]
pub struct ColumnOptions {
    /// Folder of views and of spilled data.
    pub dir: PathBuf,
    /// Memory of all analytical queries together.
    pub memory_bytes: usize,
    /// Memory for decoded columns.
    pub cache_bytes: usize,
    /// Where views are shared with other gateways.
    pub shared: Option<Arc<ViewStore>>,
    /// Who makes files of whole tables there.
    pub exporter: Option<Arc<dyn Exporter>>,
    /// Rows from which it is asked to.
    pub export_rows_min: u64,
    /// Who shares scans.
    #[cfg(feature = "spread")]
    pub spread: Option<crate::columnar::spread::SpreadOptions>,
}

/// The views of a database.
pub struct ColumnPath {
    pub(super) engine: Option<Arc<Engine>>,
    /// One at a time brings the engine up to the schema.
    following: Mutex<()>,
}

impl ColumnPath {
    /// No views: `columnar = on` is refused.
    pub fn none() -> ColumnPath {
        ColumnPath { engine: None, following: Mutex::default() }
    }

    /// Starts the engine, without views.
    pub fn start(
        store: SharedStore,
        clock: Arc<dyn Clock>,
        options: ColumnOptions,
    ) -> Result<ColumnPath> {
        let settings = EngineOptions {
            memory_bytes: options.memory_bytes,
            cache_bytes: options.cache_bytes,
            shared: options.shared,
            exporter: options.exporter,
            export_rows_min: options.export_rows_min,
            ..EngineOptions::new(options.dir)
        };
        #[cfg(feature = "spread")]
        let clock_of = clock.clone();
        let engine = Engine::start(store, clock, settings)?;
        #[cfg(feature = "spread")]
        if let Some(options) = &options.spread {
            use crate::columnar::lower::named;
            use crate::columnar::spread::{Functions, Spread};
            let functions =
                Functions { scalars: named::scalars(), aggregates: named::aggregates() };
            engine.spread_over(Spread::start(&engine, options, functions, clock_of)?);
        }
        Ok(ColumnPath { engine: Some(engine), following: Mutex::default() })
    }

    /// Whether tables can have views.
    pub fn is_available(&self) -> bool {
        self.engine.is_some()
    }

    /// Makes views of the tables that want one, and drops the others. Reads files.
    pub fn follow(&self, catalog: &Catalog) {
        let Some(engine) = &self.engine else { return };
        let _one = self.following.lock();
        let snapshot = catalog.snapshot();
        for (id, _) in engine.statuses() {
            if !snapshot.table_by_id(id).is_some_and(|t| t.columnar) {
                engine.disable(id);
            }
        }
        let tables = snapshot.tables().filter(|t| t.columnar);
        engine.sweep_shared(tables.map(|t| (t.id, t.columnar_since)).collect());
        for table in snapshot.tables().filter(|t| t.columnar) {
            if let Err(error) = engine.enable(table) {
                tracing::error!(table = %table.name, ?error, "no columnar view can be kept");
            }
        }
    }

    /// Has the engine know the schema as it is now: it follows in the background.
    pub(in crate::session) async fn catch_up(self: &Arc<Self>, catalog: &Arc<Catalog>) {
        let (columns, catalog) = (self.clone(), catalog.clone());
        // What fails there is told there.
        let _ = tokio::task::spawn_blocking(move || columns.follow(&catalog)).await;
    }

    /// Waits for the views of accesses that have no other path.
    pub(in crate::session) async fn wait_ready(&self, query: &ColumnarQuery) -> Result<()> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let forced = query.routes.iter().filter(|r| r.forced && r.path == Path::Column);
        let forced = forced.filter(|route| route.table.files.is_none());
        for route in forced {
            let table = &route.table;
            if engine.status(table.id).is_none() {
                engine.enable(table)?;
            }
            let ready = |s: ViewStatus| s.state == ViewState::Ready && s.of == table.columnar_since;
            if !engine.status(table.id).is_some_and(ready) {
                engine.refresh(table.id).await?;
            }
        }
        Ok(())
    }

    /// Brings a table's view up to now; makes it if there is none yet.
    pub(in crate::session) async fn refresh(&self, table: &TableDescriptor) -> Result<()> {
        let engine = self.engine.as_ref().filter(|_| table.columnar);
        let Some(engine) = engine else {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("table \"{}\" has no columnar view", table.name),
            )
            .with_hint(format!("ALTER TABLE {} SET (columnar = on) makes one.", table.name)));
        };
        if engine.status(table.id).is_none() {
            engine.enable(table)?;
        }
        engine.refresh(table.id).await
    }

    /// The rows of `pg_stat_columnar_views`.
    pub(in crate::session) fn status_rows(&self, catalog: &Catalog, now: i64) -> Vec<Row> {
        let Some(engine) = &self.engine else { return Vec::new() };
        let snapshot = catalog.snapshot();
        let mut rows = Vec::new();
        for (id, status) in engine.statuses() {
            if let Some(table) = snapshot.table_by_id(id) {
                rows.push(status_row(&table, &status, now));
            }
        }
        rows
    }
}

/// Sizes of tables from the store, and what views know of their columns.
pub struct ViewStatistics<'a> {
    /// Sizes.
    pub store: &'a StoreStatistics,
    /// Views.
    pub views: &'a ColumnPath,
}

impl Statistics for ViewStatistics<'_> {
    fn rows(&self, table: &TableDescriptor) -> Option<f64> {
        self.store.rows(table)
    }

    fn costs(&self) -> AccessCosts {
        self.store.costs()
    }

    fn distinct(&self, table: &TableDescriptor, column: ColumnId) -> Option<f64> {
        if !table.columnar {
            return self.store.distinct(table, column);
        }
        let status = self.views.engine.as_ref()?.status(table.id)?;
        let known = status.columns.iter().find(|(id, _)| *id == column)?;
        Some(known.1.distinct as f64).filter(|distinct| *distinct > 0.0)
    }
}

fn status_row(table: &TableDescriptor, status: &ViewStatus, now: i64) -> Row {
    let building = status.progress.as_ref();
    let (state, failed) = match &status.state {
        _ if building.is_some() => ("building", None),
        ViewState::Ready => ("ready", None),
        ViewState::Absent => ("absent", None),
        ViewState::Failed(why) => ("failed", Some(why)),
    };
    let made = status.generation > 0;
    let if_made = |datum: Datum| if made { datum } else { Datum::Null };
    let count = |number: u64| Datum::Int8(i64::try_from(number).unwrap_or(i64::MAX));
    let progress = |read: fn(&Progress) -> &AtomicU64| {
        building.map_or(Datum::Null, |p| count(read(p).load(Ordering::Relaxed)))
    };
    let age = Interval { months: 0, days: 0, micros: (now - status.made_micros).max(0) };
    vec![
        Datum::Oid(table.id.0),
        Datum::text(table.schema.as_str()),
        Datum::text(table.name.as_str()),
        Datum::text(state),
        if_made(count(status.generation)),
        if_made(Datum::Timestamptz(status.made_micros - POSTGRES_EPOCH_MICROS)),
        if_made(Datum::Interval(Box::new(age))),
        if_made(count(status.rows)),
        if_made(count(status.dead_rows)),
        if_made(count(status.changed_keys as u64)),
        if_made(count(status.files as u64)),
        if_made(count(status.bytes)),
        progress(|p| &p.rows_total),
        progress(|p| &p.rows_done),
        failed.or(status.last_error.as_ref()).map_or(Datum::Null, |why| Datum::text(why.as_str())),
        if_made(Datum::text(status.source.as_str())),
        status.iceberg.as_ref().map_or(Datum::Null, |path| Datum::text(path.as_str())),
    ]
}
