//! One agent's share of an export: rows of a part of the ring at a timestamp, from snapshots of a
//! quorum of its replicas, then base files of a range of keys in the shared view store.
//!
//! ```text
//! collect: snapshots of a quorum ─▶ merged, rows at T of the share's tokens ─▶ sorted, sampled
//! cut:     sorted rows ─▶ a part for each agent, by keys      (not where one agent does it all)
//! write:   one part of every agent ─▶ merged ─▶ Parquet ─▶ view store
//! ```
//!
//! The gateway has each step begun once the one before has ended at all agents. What is collected
//! and cut stays in a folder of the export's own until that is forgotten.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::message::{Cut, Order, OthersPart, Part, Replica, State, Write};
use super::node::Node;
use crate::clock::Clock;
use crate::columnar::engine::Exported;
use crate::columnar::export::{FileSink, Progress, TableShape};
use crate::columnar::files::LocalFiles;
use crate::columnar::manifest::FileKind;
use crate::columnar::replicas::{self, Sample};
use crate::columnar::shared::{ViewStore, names_of};
use crate::error::{Error, Result};
use crate::kv::lwt::Sorted;
use crate::types::io::{hex, unhex};

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
pub(super) struct Job {
    place: Arc<Place>,
    order: Order,
    scratch: TempDir,
    state: Mutex<State>,
    copied: AtomicU64,
    pub progress: Progress,
    /// Rows, until they are cut or written.
    collected: Mutex<Option<Sorted>>,
    /// Parts of them.
    cut: Mutex<Vec<PathBuf>>,
    unsettled: Mutex<Vec<String>>,
    /// When somebody last asked for it.
    asked: Mutex<Duration>,
}

/// What is to be done next.
pub(super) enum Step {
    Collect,
    Cut(Cut),
    Write(Write),
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

fn of_host(host: &str) -> impl Fn(Error) -> Failure {
    move |error| Failure { host: Some(host.to_owned()), error }
}

impl Job {
    /// One that has not begun.
    pub fn new(place: Arc<Place>, order: Order) -> Result<Job> {
        let scratch = tempfile::Builder::new().prefix("export-").tempdir_in(&place.scratch)?;
        let asked = Mutex::new(place.clock.monotonic());
        Ok(Job {
            place,
            order,
            scratch,
            state: Mutex::default(),
            copied: AtomicU64::new(0),
            progress: Progress::default(),
            collected: Mutex::default(),
            cut: Mutex::default(),
            unsettled: Mutex::default(),
            asked,
        })
    }

    /// How far it is.
    pub fn state(&self) -> State {
        State {
            bytes_copied: self.copied.load(Ordering::Relaxed),
            rows_done: self.progress.rows_done.load(Ordering::Relaxed),
            bytes_done: self.progress.bytes_done.load(Ordering::Relaxed),
            ..self.state.lock().clone()
        }
    }

    /// Notes that somebody asks for it.
    pub fn touch(&self) {
        *self.asked.lock() = self.place.clock.monotonic();
    }

    /// How long nobody has.
    pub fn forgotten_for(&self) -> Duration {
        self.place.clock.monotonic().saturating_sub(*self.asked.lock())
    }

    /// The file of one of its parts.
    pub fn part(&self, number: &str) -> Option<PathBuf> {
        let number: usize = number.parse().ok()?;
        self.cut.lock().get(number).cloned()
    }

    fn note_copied(&self, bytes: u64) {
        self.copied.fetch_add(bytes, Ordering::Relaxed);
    }

    fn enter(&self, phase: &str) {
        phase.clone_into(&mut self.state.lock().phase);
    }

    /// Goes on by a step, if it stands where that can be done.
    pub fn begin(&self, step: &Step) -> bool {
        let (before, first) = match step {
            Step::Collect => ("", "copying"),
            Step::Cut(_) => ("collected", "cutting"),
            Step::Write(Write { part: Some(_), .. }) => ("cut", "fetching"),
            Step::Write(_) => ("collected", "writing"),
        };
        let mut state = self.state.lock();
        let fits = state.phase == before;
        if fits {
            first.clone_into(&mut state.phase);
        }
        fits
    }

    /// Does a step that has begun. Blocking.
    pub fn run(&self, step: Step) {
        let done = match step {
            Step::Collect => self.collect(),
            Step::Cut(cut) => self.cut(&cut).map_err(Failure::from),
            Step::Write(write) => self.write(&write),
        };
        if let Err(Failure { host, error }) = done {
            let table = &self.order.request.table.name;
            tracing::warn!(table, ?host, ?error, "an export failed");
            let mut state = self.state.lock();
            "failed".clone_into(&mut state.phase);
            state.error = Some(error.message().to_owned());
            state.host = host;
        }
    }

    fn collect(&self) -> Result<(), Failure> {
        let (place, runtime) = (&self.place, tokio::runtime::Handle::current());
        let mut files: Vec<(String, PathBuf)> = Vec::new();
        for replica in &self.order.replicas {
            let host = &replica.agent.host;
            let found = match *host == place.host {
                true => own_files(place, replica),
                false => runtime.block_on(self.copy(replica)),
            };
            let found = found.map_err(of_host(host))?;
            files.extend(found.into_iter().map(|file| (host.clone(), file)));
        }
        self.enter("reading");
        let request = &self.order.request;
        let paths: Vec<PathBuf> = files.iter().map(|(_, file)| file.clone()).collect();
        let now = place.clock.wall_micros() / MICROS;
        let rows = (request.table.space(), request.at);
        let (scratch, progress) = (self.scratch.path(), &self.progress);
        let read = replicas::read(&paths, self.order.tokens, rows, scratch, now, progress);
        let read = read.map_err(|error| {
            // Errors of files name them, or another component of the same SSTable.
            let of = |file: &PathBuf| {
                let stem = file.to_string_lossy().replace("-Data.db", "-");
                error.message().contains(&stem)
            };
            let host = files.iter().find(|(_, file)| of(file)).map(|(host, _)| host.clone());
            Failure { host, error }
        })?;
        *self.unsettled.lock() = read.unsettled.iter().map(|key| hex(key.tail())).collect();
        self.has_collected(read.rows, read.sample);
        Ok(())
    }

    /// Ends the first step.
    pub fn has_collected(&self, rows: Sorted, sample: Sample) {
        *self.collected.lock() = Some(rows);
        let mut state = self.state.lock();
        state.sample = Some(sample);
        "collected".clone_into(&mut state.phase);
    }

    fn cut(&self, cut: &Cut) -> Result<()> {
        let bounds: Option<Vec<Bytes>> =
            cut.bounds.iter().map(|bound| unhex(bound).map(Bytes::from)).collect();
        let bounds = bounds.ok_or_else(|| Error::corrupted("a bound is not hexadecimal"))?;
        let rows = self.collected.lock().take();
        let rows = rows.ok_or_else(|| Error::internal("there is nothing to cut"))?;
        let runs = rows.part(&bounds, self.scratch.path())?;
        let parts = runs.iter().map(|run| checked(run)).collect::<Result<_>>()?;
        *self.cut.lock() = runs;
        let mut state = self.state.lock();
        state.parts = parts;
        "cut".clone_into(&mut state.phase);
        Ok(())
    }

    fn write(&self, write: &Write) -> Result<(), Failure> {
        let runtime = tokio::runtime::Handle::current();
        let mut rows = match write.part {
            None => self.collected.lock().take(),
            Some(part) => Some(self.merged(part, &write.others)?),
        };
        let rows = rows.as_mut().ok_or_else(|| Error::internal("there is nothing to write"))?;
        self.enter("writing");
        let request = &self.order.request;
        let shape = TableShape::new(&request.table)?;
        let written = LocalFiles::create(self.scratch.path().join("files"))?;
        let first = write.first_file;
        let mut sink = FileSink::new(&written, &shape, &request.file, &self.progress, first);
        sink.export(FileKind::Base, rows)?;
        let (records, next_file) = sink.into_files();
        self.enter("sending");
        let shared = self.place.store.folder(&request.folder);
        for name in names_of(&records) {
            self.progress.check()?;
            runtime.block_on(shared.send(&written, &name))?;
        }
        let unsettled = std::mem::take(&mut *self.unsettled.lock());
        let mut state = self.state.lock();
        state.exported = Some(Exported { records, next_file, unsettled, from: String::new() });
        "done".clone_into(&mut state.phase);
        Ok(())
    }

    /// A part of what all agents have collected.
    fn merged(&self, part: usize, others: &[OthersPart]) -> Result<Sorted, Failure> {
        let own = self.cut.lock().get(part).cloned();
        let own = own.ok_or_else(|| Error::internal("there is no such part"))?;
        let mut runs = vec![own];
        for (n, other) in others.iter().enumerate() {
            self.progress.check()?;
            let to = self.scratch.path().join(format!("of-{n}"));
            let fetched = tokio::runtime::Handle::current().block_on(self.fetch(other, &to));
            fetched.map_err(of_host(&other.agent.host))?;
            runs.push(to);
        }
        Ok(Sorted::merge(&runs)?)
    }

    /// Copies another agent's part.
    async fn fetch(&self, other: &OthersPart, to: &Path) -> Result<()> {
        let OthersPart { agent, path, part } = other;
        let copied = |bytes| self.note_copied(bytes);
        agent.peer().download(path, to, part.bytes, &copied).await?;
        match checked(to)? == *part {
            true => Ok(()),
            false => Err(Error::corrupted("a part has another checksum")),
        }
    }

    /// Copies a replica's files; gives its SSTables.
    async fn copy(&self, replica: &Replica) -> Result<Vec<PathBuf>> {
        let (peer, host) = (replica.agent.peer(), &replica.agent.host);
        let mut files = Vec::new();
        for file in &replica.taken.files {
            self.progress.check()?;
            let Some((number, name)) = file.name.split_once('/') else { continue };
            let plain = |part: &str| !part.contains('/') && !part.starts_with('.');
            if !plain(number) || !plain(name) || !plain(host) {
                return Err(Error::corrupted(format!("a file is named {}", file.name)));
            }
            let folder = self.scratch.path().join(host).join(number);
            std::fs::create_dir_all(&folder)?;
            let path = format!("/snapshots/{}/{}", replica.taken.snapshot, file.name);
            let copied = |bytes| self.note_copied(bytes);
            let to = folder.join(name);
            peer.download(&path, &to, file.bytes, &copied).await?;
            files.extend(Some(to).filter(|_| name.ends_with(DATA)));
        }
        Ok(files)
    }
}

/// Length and checksum of a part.
fn checked(path: &Path) -> Result<Part> {
    let mut crc = crc32fast::Hasher::new();
    let mut file = std::fs::File::open(path)?;
    let mut block = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match std::io::Read::read(&mut file, &mut block)? {
            0 => return Ok(Part { bytes, crc: crc.finalize() }),
            read => {
                crc.update(&block[..read]);
                bytes += read as u64;
            }
        }
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
