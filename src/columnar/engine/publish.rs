//! Showing views to readers of Iceberg, after every generation.

use std::path::PathBuf;
use std::sync::Arc;

use super::Engine;
use super::table::TableEntry;
use crate::columnar::iceberg::{FOLDER, Place, publish};

/// What came of publishing a view.
#[derive(Clone, Debug, Default)]
pub(super) struct Published {
    /// The generation that was published last.
    pub(super) generation: u64,
    /// Its metadata.
    pub(super) metadata: Option<String>,
    /// What went wrong, if nothing went well since.
    pub(super) failed: Option<String>,
    /// Before this (wall clock), it is not tried again.
    pub(super) retry_at: i64,
}

impl Engine {
    /// Publishes a view's newest generation, if that is not done. What goes wrong is told in the
    /// view's status, and tried again later.
    pub(super) async fn publish(&self, entry: &Arc<TableEntry>) {
        let _one = entry.publishing.lock().await;
        let Some(newest) = entry.newest().filter(|_| !entry.is_broken()) else { return };
        let generation = newest.view.manifest.generation;
        let now = self.clock.wall_micros();
        {
            let published = entry.published.lock();
            if published.generation == generation || now < published.retry_at {
                return;
            }
        }
        let place = match self.shared(entry) {
            Some(shared) => Place::Shared(shared),
            None => match &entry.folder {
                Some(folder) => Place::Local(folder.clone()),
                None => return,
            },
        };
        let outcome = publish(&newest.view, &place).await;
        if entry.is_discarded() {
            entry.remove_metadata();
            return;
        }
        let mut published = entry.published.lock();
        match outcome {
            Ok(metadata) => {
                let metadata = Some(metadata);
                *published = Published { generation, metadata, ..Published::default() };
            }
            Err(e) => {
                let pause = self.options.retry_pause.as_micros() as i64;
                published.retry_at = now.saturating_add(pause);
                published.failed = Some(e.message().to_owned());
                tracing::warn!(table = %entry.descriptor.lock().name, error = ?e,
                    "columnar view was not published as an Iceberg table");
            }
        }
    }
}

impl TableEntry {
    /// Removes what was published in the view's own folder.
    pub(super) fn remove_metadata(&self) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder.join(FOLDER));
        }
    }

    /// Where the newest metadata is, or why there is none.
    pub(super) fn published(&self) -> Option<String> {
        let published = self.published.lock();
        let failed = published.failed.as_ref().map(|why| format!("failed: {why}"));
        failed.or_else(|| published.metadata.clone())
    }
}

/// A folder's path as others on this machine can use it.
pub(super) fn absolute(folder: PathBuf) -> PathBuf {
    folder.canonicalize().unwrap_or(folder)
}
