//! Making and refreshing views.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::table::TableEntry;
use super::{Engine, Generation};
use crate::columnar::delta::{changes_since, read_versions, wait_resolved};
use crate::columnar::export::Progress;
use crate::columnar::view::build::Build;
use crate::error::{Error, Result, SqlState};
use crate::kv::KeyRange;
use crate::types::descriptor::TableId;

/// Why a view is refreshed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// A statement says so.
    Asked,
    /// It has grown old, or is not there.
    Due,
}

impl Engine {
    /// Brings a table's view to a new snapshot; makes it if there is none. Returns when queries
    /// see it. The refresh goes on if the caller does not wait.
    pub async fn refresh(&self, table: TableId) -> Result<()> {
        self.run_refresh(table, Why::Asked).await
    }

    async fn run_refresh(&self, table: TableId, why: Why) -> Result<()> {
        let (Some(entry), Some(engine)) = (self.entry(table), self.this.upgrade()) else {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("table {} has no columnar view", table.0),
            ));
        };
        let task = self.handle().spawn(async move {
            let refreshed = engine.refresh_entry(&entry, why).await;
            if let Err(e) = &refreshed {
                let pause = engine.options.retry_pause.as_micros() as i64;
                let retry_at = engine.clock.wall_micros().saturating_add(pause);
                entry.retry_at.store(retry_at, Ordering::SeqCst);
                tracing::warn!(table = %entry.descriptor.lock().name, error = ?e,
                    "columnar view was not refreshed");
                let copy = Error::new(e.code(), e.message());
                *entry.last_error.lock() = Some(copy);
            }
            refreshed
        });
        task.await.map_err(|e| Error::internal(format!("refresh of a columnar view: {e}")))?
    }

    async fn refresh_entry(&self, entry: &Arc<TableEntry>, why: Why) -> Result<()> {
        let _building = entry.building.lock().await;
        // Another refresh may have ended meanwhile.
        if why == Why::Due && !self.is_due(entry).await? {
            return Ok(());
        }
        entry.none_wanted();
        let table = entry.descriptor.lock().clone();
        // Before the snapshot: what is seen there is no older than this.
        let now_micros = self.clock.wall_micros();
        let hold = self.store.snapshot().await?;
        wait_resolved(&self.store, hold.at).await?;
        let cursor = self.store.cursor_at(table.space(), hold.at).await?;
        let before: Option<Arc<Generation>> = entry.newest().filter(|_| !entry.is_broken());
        let before = before.filter(|g| g.is_of(&table));
        let progress = Arc::new(Progress::default());
        let estimate = self.store.estimate(&KeyRange::all(table.space())).await?;
        progress.rows_total.store(estimate.rows, Ordering::Relaxed);
        *entry.progress.lock() = Some(progress.clone());
        let changed = match &before {
            Some(g) => changes_since(&self.store, &g.view, &g.view.manifest.cursor).await,
            None => Ok(Default::default()),
        };
        let (store, files) = (self.store.clone(), entry.files.clone());
        let options = self.options.file.clone();
        let runtime = tokio::runtime::Handle::current();
        let at = hold.at;
        let newest = entry.newest();
        let built = tokio::task::spawn_blocking(move || {
            let build = Build {
                files: &files,
                table: &table,
                at,
                cursor,
                options: &options,
                progress: &progress,
                now_micros,
            };
            match (before, changed) {
                (Some(before), Ok((changed, _))) => {
                    let changed = changed.into_keys().collect();
                    build.incremental(&store, &before.view, &changed, &mut |keys| {
                        runtime.block_on(read_versions(&store, keys, at))
                    })
                }
                // Without a view, or a change log that still goes back to it, all is read.
                _ => build.whole(&store, newest.as_ref().map(|g| g.view.as_ref())),
            }
        });
        let built = built.await.map_err(|e| Error::internal(format!("export of a table: {e}")));
        *entry.progress.lock() = None;
        entry.install(built??, self.keeps_past().then_some(hold));
        self.forget(entry).await
    }

    /// Trims the change log to what the kept generations need, and the cache to their files.
    async fn forget(&self, entry: &TableEntry) -> Result<()> {
        let oldest = entry.generations.lock().first().cloned();
        if let Some(oldest) = oldest {
            let space = oldest.view.shape.table.space();
            self.store.trim_changes(space, &oldest.view.manifest.cursor).await?;
        }
        let entries: Vec<Arc<TableEntry>> = self.tables.lock().values().cloned().collect();
        let mut used = std::collections::HashSet::new();
        for entry in entries {
            for generation in entry.generations.lock().iter() {
                used.extend(generation.view.files.iter().map(|f| f.id));
            }
        }
        self.cache.retain(|file| used.contains(&file));
        Ok(())
    }

    /// Whether a view should be refreshed now.
    async fn is_due(&self, entry: &TableEntry) -> Result<bool> {
        let now = self.clock.wall_micros();
        if now < entry.retry_at.load(Ordering::SeqCst) {
            return Ok(false);
        }
        let Some(newest) = entry.newest().filter(|_| !entry.is_broken()) else { return Ok(true) };
        if entry.is_wanted() {
            return Ok(true);
        }
        // Held, that what the log names can be read.
        let hold = self.store.snapshot().await?;
        let changed = newest.delta.advance(&newest.view, &self.store, hold.at).await;
        let changed = changed.inspect_err(|e| entry.failed_reading(e))?;
        let manifest = &newest.view.manifest;
        let share = manifest.rows as usize / 100 * self.options.refresh_percent as usize;
        let age = now.saturating_sub(manifest.made_micros);
        Ok(changed >= share.max(self.options.refresh_keys_min)
            || changed > 0 && age >= self.options.refresh_age.as_micros() as i64)
    }
}

/// Looks after every view for as long as the engine lives.
pub(super) async fn watch(engine: Weak<Engine>) {
    loop {
        let Some(engine) = engine.upgrade() else { return };
        let entries: Vec<(TableId, Arc<TableEntry>)> =
            engine.tables.lock().iter().map(|(id, entry)| (*id, entry.clone())).collect();
        for (id, entry) in entries {
            if !engine.keeps_past()
                && let Some(newest) = entry.newest()
            {
                *newest.hold.lock() = None;
            }
            match engine.is_due(&entry).await {
                Ok(true) => {
                    // Its failure is kept in the entry, and said there.
                    let _ = engine.run_refresh(id, Why::Due).await;
                }
                Ok(false) => {}
                Err(e) => tracing::debug!(table = id.0, error = ?e, "changes were not read"),
            }
        }
        let interval = engine.options.check_interval;
        drop(engine);
        tokio::time::sleep(interval).await;
    }
}
