//! The node beside an agent, and the snapshots there that are the agent's.
//!
//! A snapshot's name says whose it is: `sluice-<keyspace>-<16 random digits>`. Each has a lease
//! here and a time to live in Cassandra, so that it goes even where its agent never comes back.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::message::{FileEntry, Taken};
use super::tool::{TOOL_TIMEOUT, Tool};
use crate::clock::Clock;
use crate::error::{Error, Result, SqlState};

/// Components of an SSTable that a reader of its rows asks for.
const COMPONENTS: [&str; 7] = [
    "-Data.db",
    "-Statistics.db",
    "-CompressionInfo.db",
    "-CRC.db",
    "-Digest.crc32",
    "-TOC.txt",
    "schema.cql",
];
/// Where Cassandra says what a snapshot has.
const MANIFEST: &str = "manifest.json";

/// A node.
pub struct Node {
    tool: Tool,
    data_dirs: Vec<PathBuf>,
    keyspace: String,
    clock: Arc<dyn Clock>,
    /// Snapshots taken, and when their leases end (monotonic).
    leases: Mutex<HashMap<String, Duration>>,
}

impl Node {
    /// A node that is administered by this tool.
    ///
    /// # Errors
    /// 22023 for data folders that are not there.
    pub fn new(
        tool: Tool,
        data_dirs: Vec<PathBuf>,
        keyspace: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Node> {
        if let Some(missing) = data_dirs.iter().find(|dir| !dir.is_dir()) {
            let message = format!("the data folder {} is not there", missing.display());
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .with_hint("Give data_file_directories of cassandra.yaml."));
        }
        let keyspace = keyspace.to_owned();
        Ok(Node { tool, data_dirs, keyspace, clock, leases: Mutex::default() })
    }

    fn prefix(&self) -> String {
        format!("sluice-{}-", self.keyspace)
    }

    /// Takes a snapshot of a table, flushed first, under a lease.
    pub async fn take(&self, table: &str, lease: Duration) -> Result<Taken> {
        let mut random = [0; 8];
        self.clock.random(&mut random);
        let name = format!("{}{:016x}", self.prefix(), u64::from_be_bytes(random));
        // The lease first: what is half taken is removed too.
        self.leases.lock().insert(name.clone(), self.clock.monotonic() + TOOL_TIMEOUT + lease);
        if let Err(e) = self.tool.snapshot(&self.keyspace, table, &name).await {
            // It may be there in part.
            self.leases.lock().insert(name, Duration::ZERO);
            return Err(e);
        }
        match self.files_of(&name) {
            Ok(files) => {
                self.leases.lock().insert(name.clone(), self.clock.monotonic() + lease);
                Ok(Taken { snapshot: name, files })
            }
            Err(e) => {
                self.leases.lock().insert(name.clone(), Duration::ZERO);
                let message = format!("snapshot {name} is not whole: {}", e.message());
                Err(Error::new(SqlState::IO_ERROR, message)
                    .with_hint("Somebody removed it, or a data folder of the node was not given."))
            }
        }
    }

    /// The files of a snapshot: all that Cassandra says it has. What is missing would be rows that
    /// are missing.
    fn files_of(&self, snapshot: &str) -> Result<Vec<FileEntry>> {
        #[derive(serde::Deserialize)]
        struct Manifest {
            files: Vec<String>,
        }
        let mut files = Vec::new();
        let mut manifest: Option<Manifest> = None;
        for (number, folder) in self.folders(snapshot) {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                let file = entry.file_name().to_string_lossy().into_owned();
                if file == MANIFEST {
                    let text = std::fs::read(entry.path())?;
                    let read = serde_json::from_slice(&text);
                    manifest = Some(read.map_err(|e| Error::corrupted(e.to_string()))?);
                } else if COMPONENTS.iter().any(|c| file.ends_with(c)) {
                    let bytes = entry.metadata()?.len();
                    files.push(FileEntry { name: format!("{number}/{file}"), bytes });
                }
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let manifest = manifest.ok_or_else(|| Error::corrupted(format!("it has no {MANIFEST}")))?;
        let is_there = |data: &&String| {
            files.iter().any(|f| f.name.split_once('/').is_some_and(|(_, name)| name == *data))
        };
        match manifest.files.iter().find(|data| !is_there(data)) {
            Some(missing) => Err(Error::corrupted(format!("it has no {missing}"))),
            None => Ok(files),
        }
    }

    /// Folders of tables of the keyspace, with the number of the data folder they are in.
    fn tables(&self) -> Vec<(usize, PathBuf)> {
        let mut tables = Vec::new();
        for (number, data) in self.data_dirs.iter().enumerate() {
            let listed = std::fs::read_dir(data.join(&self.keyspace)).into_iter().flatten();
            tables.extend(listed.flatten().map(|entry| (number, entry.path())));
        }
        tables
    }

    /// The folders of a snapshot, with the numbers of their data folders.
    pub fn folders(&self, snapshot: &str) -> Vec<(usize, PathBuf)> {
        let all = self.tables().into_iter();
        let all = all.map(|(number, table)| (number, table.join("snapshots").join(snapshot)));
        all.filter(|(_, folder)| folder.is_dir()).collect()
    }

    /// The path of a snapshot's file, by [`FileEntry::name`]. None: there is no such file.
    pub fn file(&self, snapshot: &str, name: &str) -> Option<PathBuf> {
        let (number, file) = name.split_once('/')?;
        let plain = |part: &str| !part.contains('/') && !part.starts_with('.');
        if !snapshot.starts_with(&self.prefix()) || !plain(file) || !plain(snapshot) {
            return None;
        }
        let number: usize = number.parse().ok()?;
        let folders = self.folders(snapshot).into_iter().filter(|(n, _)| *n == number);
        folders.map(|(_, folder)| folder.join(file)).find(|path| path.is_file())
    }

    /// Makes a snapshot stay. False: it is not one of this agent's.
    pub fn renew(&self, snapshot: &str, lease: Duration) -> bool {
        match self.leases.lock().get_mut(snapshot) {
            Some(until) => {
                *until = self.clock.monotonic() + lease;
                true
            }
            None => false,
        }
    }

    /// Snapshots under a lease.
    pub fn leased(&self) -> Vec<String> {
        let mut names: Vec<String> = self.leases.lock().keys().cloned().collect();
        names.sort();
        names
    }

    /// Snapshots of this keyspace that agents took, whenever.
    pub fn found(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (_, table) in self.tables() {
            let listed = std::fs::read_dir(table.join("snapshots")).into_iter().flatten();
            let listed = listed.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
            names.extend(listed.filter(|name| name.starts_with(&self.prefix())));
        }
        names.sort();
        names.dedup();
        names
    }

    /// Removes a snapshot; one that is gone already is no error.
    pub async fn release(&self, snapshot: &str) -> Result<()> {
        if !snapshot.starts_with(&self.prefix()) {
            let message = format!("{snapshot} is not a snapshot of an agent of this keyspace");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        let tables: BTreeSet<String> =
            self.folders(snapshot).iter().filter_map(|(_, folder)| table_of(folder)).collect();
        for table in tables {
            if let Err(e) = self.tool.clear(&self.keyspace, &table, snapshot).await {
                // The files of a node that is down are there to be removed all the same.
                tracing::debug!(snapshot, error = ?e, "the node does not remove a snapshot");
            }
        }
        for (_, folder) in self.folders(snapshot) {
            remove(&folder)?;
        }
        self.leases.lock().remove(snapshot);
        Ok(())
    }

    /// Removes snapshots whose lease has ended, and those that nobody has one for: what the
    /// node was still taking when its agent was killed.
    pub async fn reap(&self) {
        let now = self.clock.monotonic();
        // One that is just being taken has its lease before it is found.
        for name in self.found() {
            self.leases.lock().entry(name).or_insert(Duration::ZERO);
        }
        let ended: Vec<String> = {
            let leases = self.leases.lock();
            leases.iter().filter(|(_, until)| **until < now).map(|(name, _)| name.clone()).collect()
        };
        for name in ended {
            if let Err(e) = self.release(&name).await {
                tracing::warn!(snapshot = name, error = ?e, "a snapshot stays for now");
            }
        }
    }

    /// Removes what agents of an earlier life, or this one, have taken.
    pub async fn release_all(&self) {
        for name in self.found() {
            match self.release(&name).await {
                Ok(()) => tracing::info!(snapshot = name, "removed a snapshot"),
                Err(e) => {
                    tracing::warn!(snapshot = name, error = ?e, "a snapshot stays for now");
                    self.leases.lock().insert(name, Duration::ZERO);
                }
            }
        }
    }
}

/// The table of a snapshot's folder: `<table>-<id>/snapshots/<name>`.
fn table_of(folder: &Path) -> Option<String> {
    let table = folder.ancestors().nth(2)?.file_name()?.to_str()?;
    table.rsplit_once('-').map(|(name, _)| name.to_owned())
}

/// Removes what the node left of a snapshot.
fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}
