//! Which tables have views: the engine follows the schema.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::columnar::engine::{Engine, EngineOptions, ViewState, ViewStatus};
use crate::error::Result;
use crate::kv::SharedStore;
use crate::plan::ColumnarQuery;

/// Where views lie and what analytical queries may take.
#[derive(Clone, Debug)]
pub struct ColumnOptions {
    /// Folder of views and of spilled data.
    pub dir: PathBuf,
    /// Memory of all analytical queries together.
    pub memory_bytes: usize,
    /// Memory for decoded columns.
    pub cache_bytes: usize,
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
            ..EngineOptions::new(options.dir)
        };
        let engine = Engine::start(store, clock, settings)?;
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
        for table in snapshot.tables().filter(|t| t.columnar) {
            if let Err(error) = engine.enable(table) {
                tracing::error!(table = %table.name, ?error, "no columnar view can be kept");
            }
        }
    }

    /// Waits for the views of accesses that have no other path.
    pub(in crate::session) async fn wait_ready(&self, query: &ColumnarQuery) -> Result<()> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let forced =
            query.routes.iter().filter(|r| r.forced && r.path == crate::plan::Path::Column);
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
}
