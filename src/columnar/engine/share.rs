//! Views that gateways share: taking what others made, and making one at a time.
//!
//! A refresh looks for a newer generation first. Where there is none it claims the build, which
//! keeps others from doing the same work; what decides is the manifest, created if absent. Who
//! comes second throws its draft away and takes the other's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Engine;
use super::refresh::{Next, Why};
use super::table::{Generation, TableEntry, is_of};
use crate::columnar::files::Files;
use crate::columnar::manifest::Manifest;
use crate::columnar::shared::{Claim, Shared, folder_name, names_of};
use crate::columnar::view::build::adopt;
use crate::error::{Error, Result, SqlState};
use crate::types::descriptor::TableId;

/// Pause before looking again whether another builder is done.
const BUILDER_PAUSE: Duration = Duration::from_millis(100);
/// Times that files of a generation are gone before they are copied, and a newer one is taken.
const ADOPT_TRIES_MAX: u32 = 3;
/// Folders of tables that are gone are looked for no more often than this.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
/// A builder says that it lives four times before others take it for gone.
const BEATS: u32 = 4;
/// Numbers of files that one build has for itself.
const FILES_BITS: u32 = 16;

/// What there is in a shared folder.
struct Found {
    /// The number of the newest generation; zero: none.
    number: u64,
    /// It, if this gateway has it and it shows the table.
    generation: Option<Arc<Generation>>,
}

impl Engine {
    /// Where a table's views are shared.
    pub(super) fn shared(&self, entry: &TableEntry) -> Option<Shared> {
        let store = self.options.shared.as_ref()?;
        let table = entry.descriptor.lock();
        Some(store.table(table.id, table.columnar_since))
    }

    /// Whether that folder is still where a table's views are shared.
    pub(super) fn is_shared_in(&self, entry: &TableEntry, shared: &Shared) -> bool {
        !entry.is_discarded() && self.shared(entry).is_some_and(|now| now.name == shared.name)
    }

    /// Removes a folder whose table has no view, or another one, in the background.
    pub(super) fn remove_shared(&self, shared: Option<Shared>) {
        let Some(shared) = shared else { return };
        self.handle().spawn(async move {
            if let Err(e) = shared.remove_all().await {
                tracing::warn!(folder = shared.name, error = ?e, "a view stays for now");
            }
        });
    }

    /// Whether another gateway has made a newer view; looks from time to time.
    pub(super) async fn is_newer_shared(&self, entry: &TableEntry) -> Result<bool> {
        let Some(shared) = self.shared(entry) else { return Ok(false) };
        let now = self.clock.monotonic();
        {
            let mut looked = entry.looked_at.lock();
            if looked.is_some_and(|at| now.saturating_sub(at) < self.options.shared_interval) {
                return Ok(false);
            }
            *looked = Some(now);
        }
        let ours = entry.newest().map(|g| g.view.manifest.generation);
        Ok(shared.newest_number().await? > ours)
    }

    /// Removes, in the background and not too often, what is shared of tables other than these
    /// once nobody writes there any more.
    pub fn sweep_shared(&self, tables: Vec<(TableId, u64)>) {
        let Some(store) = self.options.shared.clone() else { return };
        let now = self.clock.monotonic();
        {
            let mut swept = self.swept_at.lock();
            if swept.is_some_and(|at| now.saturating_sub(at) < SWEEP_INTERVAL) {
                return;
            }
            *swept = Some(now);
        }
        let wall = self.clock.wall_micros();
        self.handle().spawn(async move {
            let known = tables.iter().map(|(table, since)| folder_name(*table, *since)).collect();
            if let Err(e) = store.sweep(&known, wall).await {
                tracing::debug!(error = ?e, "shared views were not looked through");
            }
        });
    }

    /// Brings a view to a new snapshot, by whichever gateway makes one first.
    pub(super) async fn refresh_shared(
        &self,
        entry: &Arc<TableEntry>,
        shared: &Shared,
        why: Why,
    ) -> Result<()> {
        let wanted = match why {
            Why::Asked => Some(self.store.snapshot().await?),
            Why::Due => None,
        };
        let mut beat = 0;
        loop {
            let found = self.take_newest(entry, shared).await?;
            let fresh = match &wanted {
                Some(hold) => {
                    found.generation.as_ref().is_some_and(|g| g.view.manifest.at >= hold.at)
                }
                None => !self.is_due(entry).await?,
            };
            if fresh {
                return Ok(());
            }
            if !self.claim(entry, shared, &mut beat).await? {
                if why == Why::Due {
                    return Ok(());
                }
                tokio::time::sleep(BUILDER_PAUSE).await;
                continue;
            }
            if !self.build_shared(entry, shared, found, beat).await? {
                continue;
            }
            if !self.is_shared_in(entry, shared) {
                // The schema changed meanwhile, and what was there is gone.
                return shared.remove_all().await;
            }
            if let Err(e) = shared.clean().await {
                tracing::debug!(folder = shared.name, error = ?e, "old views stay for now");
            }
            return Ok(());
        }
    }

    /// Asks to be the builder.
    async fn claim(&self, entry: &TableEntry, shared: &Shared, beat: &mut u64) -> Result<bool> {
        let now = self.clock.monotonic();
        let silent = {
            let seen = entry.claim_seen.lock();
            let silent = now.saturating_sub(seen.1) > self.options.claim_patience;
            silent.then(|| seen.0.clone()).filter(|claim| !claim.is_empty())
        };
        *beat += 1;
        match shared.claim(&self.beat(*beat), silent.as_ref()).await? {
            Claim::Ours => Ok(true),
            Claim::Theirs(claim) => {
                let mut seen = entry.claim_seen.lock();
                if seen.0 != claim {
                    *seen = (claim, now);
                }
                Ok(false)
            }
        }
    }

    fn beat(&self, beat: u64) -> Bytes {
        format!("{:016x} {beat}", self.builder).into()
    }

    /// Makes the generation after the one found. False: another gateway's came first.
    async fn build_shared(
        &self,
        entry: &Arc<TableEntry>,
        shared: &Shared,
        found: Found,
        beat: u64,
    ) -> Result<bool> {
        let mut random = [0; 8];
        self.clock.random(&mut random);
        // Positive in 64 bits, and with room for the numbers of this build's files.
        let first_file = (u64::from_be_bytes(random) >> (FILES_BITS + 1)) << FILES_BITS;
        let next = Next {
            generation: found.number + 1,
            first_file,
            before: found.generation.filter(|_| !entry.is_broken()),
            shared: Some(shared.clone()),
        };
        let done = Notify::new();
        let build = async {
            let built = self.build(entry, next).await;
            done.notify_one();
            built
        };
        let alive = async {
            let mut beat = beat;
            while timeout(self.options.claim_patience / BEATS, done.notified()).await.is_err() {
                beat += 1;
                // A builder that is taken for gone may still come first.
                let _ = shared.renew(&self.beat(beat)).await;
            }
        };
        // No beat is under way when the claim is given up: it would make it again.
        let (built, ()) = tokio::join!(build, alive);
        shared.give_up().await;
        match built {
            Ok(()) => Ok(true),
            Err(e) if is_second(&e) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Takes the newest generation there is, if this gateway has it not.
    async fn take_newest(&self, entry: &Arc<TableEntry>, shared: &Shared) -> Result<Found> {
        let mut attempt = 0;
        loop {
            let Some((number, manifest)) = shared.newest().await? else {
                return Ok(Found { number: 0, generation: None });
            };
            let table = entry.descriptor.lock().clone();
            let manifest = match manifest {
                Ok(manifest) if is_of(&manifest.table, &table) => manifest,
                Ok(_) => return Ok(Found { number, generation: None }),
                Err(e) => {
                    // The next generation is made from the store.
                    tracing::warn!(table = %table.name, error = ?e, "shared view is not usable");
                    return Ok(Found { number, generation: None });
                }
            };
            let newest = entry.newest();
            let same = newest.clone().filter(|g| g.view.manifest == manifest);
            if same.is_some() {
                return Ok(Found { number, generation: same.filter(|_| !entry.is_broken()) });
            }
            match self.take(entry, shared, manifest, newest).await {
                Ok(()) => return Ok(Found { number, generation: entry.newest() }),
                // Superseded meanwhile, and removed.
                Err(e) if e.code() == SqlState::UNDEFINED_FILE && attempt < ADOPT_TRIES_MAX => {
                    attempt += 1;
                }
                Err(e)
                    if matches!(e.code(), SqlState::UNDEFINED_FILE | SqlState::DATA_CORRUPTED) =>
                {
                    tracing::warn!(table = %table.name, error = ?e, "shared view is not usable");
                    return Ok(Found { number, generation: None });
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Copies what a generation has beyond the one here, and installs it.
    async fn take(
        &self,
        entry: &Arc<TableEntry>,
        shared: &Shared,
        manifest: Manifest,
        newest: Option<Arc<Generation>>,
    ) -> Result<()> {
        let here = |number: u64| {
            newest.iter().any(|g| g.view.files.iter().any(|f| f.record.number == number))
        };
        let new: Vec<_> = manifest.files.iter().filter(|f| !here(f.number)).cloned().collect();
        let mut names = names_of(&new);
        names.extend(manifest.masks.iter().map(|masks| masks.name.clone()));
        let (folder, shared) = (entry.files.clone(), shared.clone());
        let runtime = tokio::runtime::Handle::current();
        let taken = tokio::task::spawn_blocking(move || {
            let fetched = runtime.block_on(async {
                for name in &names {
                    shared.fetch(folder.as_ref(), name).await?;
                }
                Ok(())
            });
            let before = newest.as_ref().map(|g| g.view.as_ref());
            let taken = fetched.and_then(|()| adopt(&folder, manifest, before));
            if taken.is_err() {
                names.iter().for_each(|name| drop(folder.remove(name)));
            }
            taken
        });
        let taken = taken.await.map_err(|e| Error::internal(format!("a shared view: {e}")))?;
        entry.install(taken?, None, self.store.oldest());
        self.forget(entry).await
    }
}

/// Another gateway's generation came first.
fn second() -> Error {
    Error::new(SqlState::OBJECT_IN_USE, "another gateway has made the view's next generation")
}

/// Whether a draft was given up because another's came first.
pub(super) fn is_second(e: &Error) -> bool {
    e.code() == SqlState::OBJECT_IN_USE
}

/// Copies a draft's files out, but those that are there, and creates its manifest.
pub(super) fn offer<'a>(
    shared: &'a Shared,
    files: &'a Arc<dyn Files>,
    runtime: &'a tokio::runtime::Handle,
    there: &'a [String],
) -> impl Fn(&Manifest, &[String]) -> Result<()> + 'a {
    move |manifest, names| {
        let offered = runtime.block_on(async {
            for name in names.iter().filter(|name| !there.contains(name)) {
                shared.send(files.as_ref(), name).await?;
            }
            shared.create(manifest).await
        });
        match offered {
            Ok(true) => Ok(()),
            other => {
                runtime.block_on(shared.discard(names));
                other.and(Err(second()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
