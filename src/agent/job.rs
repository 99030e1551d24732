//! One export: the rows of a table at a timestamp, from snapshots of a quorum of its replicas,
//! as base files in the shared view store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::http::Peer;
use super::message::{Order, Replica, State};
use super::node::Node;
use crate::clock::Clock;
use crate::columnar::engine::Exported;
use crate::columnar::export::{EntrySource, FileSink, Progress, TableShape};
use crate::columnar::files::LocalFiles;
use crate::columnar::manifest::FileKind;
use crate::columnar::replicas;
use crate::columnar::shared::{ViewStore, names_of};
use crate::error::{Error, Result};
use crate::kv::Segments;
use crate::types::io::hex;

const MICROS: i64 = 1_000_000;
/// What an SSTable is known by.
const DATA: &str = "-Data.db";

/// What a job works with.
pub(super) struct Place {
    pub host: String,
    pub node: Arc<Node>,
    pub store: Arc<ViewStore>,
    /// Where files of other replicas are copied to, and rows are sorted.
    pub scratch: PathBuf,
    pub clock: Arc<dyn Clock>,
}

/// A running or finished export.
#[derive(Default)]
pub(super) struct Job {
    phase: Mutex<&'static str>,
    copied: AtomicU64,
    pub progress: Progress,
    outcome: Mutex<Option<std::result::Result<Exported, Failure>>>,
}

/// What went wrong, and with whose files or agent.
struct Failure {
    host: Option<String>,
    error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { host: None, error }
    }
}

impl Job {
    /// How far it is.
    pub fn state(&self) -> State {
        let mut state = State {
            phase: (*self.phase.lock()).to_owned(),
            bytes_copied: self.copied.load(Ordering::Relaxed),
            rows_done: self.progress.rows_done.load(Ordering::Relaxed),
            bytes_done: self.progress.bytes_done.load(Ordering::Relaxed),
            ..State::default()
        };
        match &*self.outcome.lock() {
            None => {}
            Some(Ok(exported)) => {
                "done".clone_into(&mut state.phase);
                state.exported = Some(exported.clone());
            }
            Some(Err(Failure { host, error })) => {
                "failed".clone_into(&mut state.phase);
                state.error = Some(error.message().to_owned());
                state.host.clone_from(host);
            }
        }
        state
    }

    /// Whether something came of it.
    pub fn is_ended(&self) -> bool {
        self.outcome.lock().is_some()
    }

    /// Runs to the end. Blocking.
    pub fn run(&self, place: &Place, order: &Order) {
        let outcome = self.export(place, order);
        if let Err(failure) = &outcome {
            let (host, error) = (&failure.host, &failure.error);
            tracing::warn!(table = %order.request.table.name, ?host, ?error, "an export failed");
        }
        *self.outcome.lock() = Some(outcome);
    }

    fn export(&self, place: &Place, order: &Order) -> Result<Exported, Failure> {
        let scratch = tempfile::Builder::new().prefix("export-").tempdir_in(&place.scratch);
        let scratch = scratch.map_err(Error::from)?;
        let runtime = tokio::runtime::Handle::current();
        *self.phase.lock() = "copying";
        let mut files: Vec<(String, PathBuf)> = Vec::new();
        for replica in &order.replicas {
            let own = replica.host == place.host;
            let found = match own {
                true => own_files(place, replica),
                false => runtime.block_on(self.copy(replica, scratch.path())),
            };
            let found =
                found.map_err(|error| Failure { host: Some(replica.host.clone()), error })?;
            files.extend(found.into_iter().map(|file| (replica.host.clone(), file)));
        }
        *self.phase.lock() = "reading";
        let request = &order.request;
        let paths: Vec<PathBuf> = files.iter().map(|(_, file)| file.clone()).collect();
        let now = place.clock.wall_micros() / MICROS;
        let (space, at) = (request.table.space(), request.at);
        let read = replicas::read(&paths, space, at, scratch.path(), now, &self.progress);
        let read = read.map_err(|error| {
            // Errors of files name them, or another component of the same SSTable.
            let of = |file: &PathBuf| {
                let stem = file.to_string_lossy().replace("-Data.db", "-");
                error.message().contains(&stem)
            };
            let host = files.iter().find(|(_, file)| of(file)).map(|(host, _)| host.clone());
            Failure { host, error }
        })?;
        *self.phase.lock() = "writing";
        let shape = TableShape::new(&request.table)?;
        let written = LocalFiles::create(scratch.path().join("files"))?;
        let sink =
            FileSink::new(&written, &shape, &request.file, &self.progress, request.first_file);
        let mut sink = sink;
        let mut rows: Box<dyn Segments> = match read.rows {
            Some(sorted) => Box::new(sorted),
            None => Box::new(EntrySource::new(Vec::new())),
        };
        sink.export(FileKind::Base, rows.as_mut())?;
        let (records, next_file) = sink.into_files();
        *self.phase.lock() = "sending";
        let shared = place.store.folder(&request.folder);
        for name in names_of(&records) {
            self.progress.check()?;
            runtime.block_on(shared.send(&written, &name))?;
        }
        let unsettled = read.unsettled.iter().map(|key| hex(key.tail())).collect();
        Ok(Exported { records, next_file, unsettled, from: String::new() })
    }

    /// Copies a replica's files; gives its SSTables.
    async fn copy(&self, replica: &Replica, scratch: &Path) -> Result<Vec<PathBuf>> {
        let peer = Peer { address: replica.address.clone(), secret: replica.secret.clone() };
        let mut files = Vec::new();
        for file in &replica.taken.files {
            self.progress.check()?;
            let Some((number, name)) = file.name.split_once('/') else { continue };
            let plain = |part: &str| !part.contains('/') && !part.starts_with('.');
            if !plain(number) || !plain(name) || !plain(&replica.host) {
                return Err(Error::corrupted(format!("a file is named {}", file.name)));
            }
            let folder = scratch.join(&replica.host).join(number);
            std::fs::create_dir_all(&folder)?;
            let path = format!("/snapshots/{}/{}", replica.taken.snapshot, file.name);
            let copied = |bytes| {
                self.copied.fetch_add(bytes, Ordering::Relaxed);
            };
            let to = folder.join(name);
            peer.download(&path, &to, file.bytes, &copied).await?;
            files.extend(Some(to).filter(|_| name.ends_with(DATA)));
        }
        Ok(files)
    }
}

/// The SSTables of a snapshot on this agent's own node.
fn own_files(place: &Place, replica: &Replica) -> Result<Vec<PathBuf>> {
    let snapshot = &replica.taken.snapshot;
    let mut files = Vec::new();
    for file in &replica.taken.files {
        let path = place.node.file(snapshot, &file.name);
        let path = path.ok_or_else(|| {
            Error::corrupted(format!("{} of snapshot {snapshot} is gone", file.name))
        })?;
        files.extend(Some(path).filter(|_| file.name.ends_with(DATA)));
    }
    Ok(files)
}
