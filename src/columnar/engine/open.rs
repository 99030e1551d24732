//! Views that scans are made of.

use std::sync::Arc;

use super::Engine;
use super::table::{Generation, TableEntry};
use crate::columnar::delta::Overlay;
use crate::columnar::query::ViewSnapshot;
use crate::columnar::query::cache::ChunkCache;
use crate::columnar::view::View;
use crate::kv::Hold;

/// A generation of a table's view, for as long as somebody scans it.
pub struct OpenView {
    pub(super) entry: Arc<TableEntry>,
    pub(super) generation: Arc<Generation>,
    pub(super) cache: Arc<ChunkCache>,
}

impl OpenView {
    /// The view.
    pub fn view(&self) -> &Arc<View> {
        &self.generation.view
    }

    /// The view with what a snapshot has beside it.
    pub fn snapshot(&self, overlay: Overlay, hold: Arc<Hold>) -> ViewSnapshot {
        let damaged = Arc::downgrade(&self.entry);
        ViewSnapshot {
            view: self.generation.view.clone(),
            bounds: self.generation.bounds.clone(),
            overlay,
            cache: self.cache.clone(),
            hold,
            damaged: Box::new(move |e| {
                if let Some(entry) = damaged.upgrade() {
                    entry.failed_reading(e);
                }
            }),
        }
    }
}

#[cfg(feature = "spread")]
impl Engine {
    /// The generation of a table's view that is the one looked for, if this gateway has it.
    pub fn open_view(
        &self,
        table: crate::types::descriptor::TableId,
        wanted: impl Fn(&View) -> bool,
    ) -> Option<OpenView> {
        let entry = self.entry(table)?;
        let generation = {
            let generations = entry.generations.lock();
            generations.iter().find(|generation| wanted(&generation.view)).cloned()
        }?;
        Some(self.opened(entry, generation))
    }

    /// What plans run in.
    pub fn environment(&self) -> Arc<datafusion::execution::runtime_env::RuntimeEnv> {
        self.environment.clone()
    }
}

impl Engine {
    pub(super) fn opened(&self, entry: Arc<TableEntry>, generation: Arc<Generation>) -> OpenView {
        OpenView { entry, generation, cache: self.cache.clone() }
    }
}
