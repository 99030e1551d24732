//! Making and refreshing views.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::exporter::adopt_exported;
use super::share::{is_second, offer};
use super::table::TableEntry;
use super::{Engine, Generation};
use crate::columnar::delta::{changes_since, wait_resolved};
use crate::columnar::export::Progress;
use crate::columnar::shared::{Shared, names_of};
use crate::columnar::view::View;
use crate::columnar::view::build::{Build, Share, changes_max, is_worth_changing};
use crate::error::{Error, Result, SqlState};
use crate::kv::{Cursor, Hold, Key, KeyRange};
use crate::types::descriptor::{TableDescriptor, TableId};

/// Why a view is refreshed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// A statement says so.
    Asked,
    /// It has grown old, or is not there.
    Due,
}

/// A generation that is to be made.
pub(super) struct Next {
    /// Its number.
    pub(super) generation: u64,
    /// The number of its first file.
    pub(super) first_file: u64,
    /// The one before, if that is whole.
    pub(super) before: Option<Arc<Generation>>,
    /// Where it is shown to other gateways.
    pub(super) shared: Option<Shared>,
}

impl Engine {
    /// Brings a table's view to a new snapshot; makes it if there is none. Returns when queries
    /// see it. The refresh goes on if the caller does not wait.
    pub async fn refresh(&self, table: TableId) -> Result<()> {
        loop {
            let entry = self.entry(table);
            self.run_refresh(table, Why::Asked).await?;
            // The table may have lost its view meanwhile, and got another one.
            if entry.is_some_and(|entry| !entry.is_discarded()) {
                return Ok(());
            }
        }
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
        if let Some(shared) = self.shared(entry) {
            let refreshed = self.refresh_shared(entry, &shared, why).await;
            // Also what another gateway made, which may have gone before it did this.
            self.publish(entry).await;
            return refreshed;
        }
        // Another refresh may have ended meanwhile.
        if why == Why::Due && !self.is_due(entry).await? {
            return Ok(());
        }
        let newest = entry.newest();
        let (generation, first_file) = newest.as_ref().map_or((1, 0), |g| {
            let manifest = &g.view.manifest;
            (manifest.generation + 1, manifest.next_file)
        });
        let before = newest.filter(|_| !entry.is_broken());
        self.build(entry, Next { generation, first_file, before, shared: None }).await
    }

    /// Makes the next generation.
    pub(super) async fn build(&self, entry: &Arc<TableEntry>, next: Next) -> Result<()> {
        entry.none_wanted();
        let table = entry.descriptor.lock().clone();
        // Before the snapshot: what is seen there is no older than this.
        let now_micros = self.clock.wall_micros();
        let hold = self.store.snapshot().await?;
        wait_resolved(&self.store, hold.at).await?;
        let cursor = self.store.cursor_at(table.space(), hold.at).await?;
        let before = next.before.clone().filter(|g| g.is_of(&table));
        let progress = Arc::new(Progress::default());
        let estimate = self.store.estimate(&KeyRange::all(table.space())).await?;
        progress.rows_total.store(estimate.rows, Ordering::Relaxed);
        *entry.progress.lock() = Some(progress.clone());
        let built = self.make(entry, &next, before, (table, &hold, cursor, now_micros, &progress));
        let built = built.await;
        *entry.progress.lock() = None;
        entry.install(built?, self.keeps_past().then_some(hold), self.store.oldest());
        self.publish(entry).await;
        self.forget(entry).await
    }

    async fn make(
        &self,
        entry: &Arc<TableEntry>,
        next: &Next,
        before: Option<Arc<Generation>>,
        (table, hold, cursor, now_micros, progress): (
            TableDescriptor,
            &Hold,
            Cursor,
            i64,
            &Arc<Progress>,
        ),
    ) -> Result<View> {
        let changed = match &before {
            Some(g) => {
                let (view, cursor) = (&g.view, &g.view.manifest.cursor);
                let changed = changes_since(&self.store, view, cursor, changes_max(view)).await;
                changed.ok().flatten().map(|(changed, _)| changed.into_keys().collect())
            }
            // Without a view, or a change log that still goes back to it, all is read.
            None => None,
        };
        let changed: Option<BTreeSet<Bytes>> = changed;
        let before = before.filter(|before| {
            changed.as_ref().is_some_and(|c| is_worth_changing(&before.view, &table, c.len()))
        });
        let rows = progress.rows_total.load(Ordering::Relaxed);
        let (exported, why) = match &before {
            Some(_) => (None, None),
            None => match self.exported(&table, hold.at, next, (rows, progress)).await {
                Ok(exported) => (exported, None),
                Err(why) => (None, Some(why)),
            },
        };
        let (store, rows_of) = (self.store.clone(), self.rows.clone());
        let (files, at) = (entry.files.clone(), hold.at);
        let (options, progress) = (self.options.file.clone(), progress.clone());
        let runtime = tokio::runtime::Handle::current();
        let newest = entry.newest();
        let Next { generation, first_file, shared, .. } = next;
        let (generation, first_file, shared) = (*generation, *first_file, shared.clone());
        let built = tokio::task::spawn_blocking(move || {
            let there = exported.as_ref().map_or(Vec::new(), |e| names_of(&e.records));
            let share = shared.as_ref().map(|shared| offer(shared, &files, &runtime, &there));
            let build = Build {
                files: &files,
                table: &table,
                at,
                cursor,
                options: &options,
                progress: &progress,
                now_micros,
                generation,
                first_file,
                share: share.as_ref().map(|share| share as &Share<'_>),
            };
            let read = &mut |keys: &[Key]| runtime.block_on(rows_of.versions(keys, at));
            let newest = newest.as_ref().map(|g| g.view.as_ref());
            match (&before, &changed, &exported, &shared) {
                (Some(before), Some(changed), _, _) => {
                    build.incremental(&store, &before.view, changed, read)
                }
                (_, _, Some(exported), Some(shared)) => {
                    match adopt_exported(&build, &files, shared, exported, read, newest) {
                        Err(e) if !is_second(&e) => {
                            build.whole(&store, Some(e.message().to_owned()), newest)
                        }
                        adopted => adopted,
                    }
                }
                _ => build.whole(&store, why, newest),
            }
        });
        built.await.map_err(|e| Error::internal(format!("export of a table: {e}")))?
    }

    /// Trims the change log to what the kept generations need, and the cache to their files.
    pub(super) async fn forget(&self, entry: &TableEntry) -> Result<()> {
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
    pub(super) async fn is_due(&self, entry: &TableEntry) -> Result<bool> {
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
        let (delta, limits) = (&newest.delta, self.options.delta_limits());
        let advanced = delta.advance(&newest.view, &self.rows, hold.at, limits).await;
        let is_within = advanced.inspect_err(|e| entry.failed_reading(e))?;
        let manifest = &newest.view.manifest;
        let due = self.options.delta_due(manifest.rows);
        let changed = delta.changed();
        let is_old = || {
            let age = now.saturating_sub(manifest.made_micros);
            age >= self.options.refresh_age.as_micros() as i64
        };
        let is_much = changed >= due.keys || delta.bytes() >= due.bytes;
        Ok(!is_within || is_much || changed > 0 && is_old())
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
            let due = match engine.is_newer_shared(&entry).await {
                Ok(false) => engine.is_due(&entry).await,
                newer => newer,
            };
            match due {
                Ok(true) => {
                    // Its failure is kept in the entry, and said there.
                    let _ = engine.run_refresh(id, Why::Due).await;
                }
                // What an earlier process made, or another gateway, or what went wrong.
                Ok(false) => engine.publish(&entry).await,
                Err(e) => tracing::debug!(table = id.0, error = ?e, "changes were not read"),
            }
        }
        let interval = engine.options.check_interval;
        drop(engine);
        tokio::time::sleep(interval).await;
    }
}
