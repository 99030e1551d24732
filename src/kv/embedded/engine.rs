//! The LSM engine: opening its folder, its keyspaces, its errors. The only place that knows fjall.
//!
//! ```text
//! DIR/FORMAT    one line, written before anything else: which layout this is
//! DIR/engine/   fjall's own folder; it locks it against a second process
//!     heads     key                      → head (see `head`)
//!     changes   space, commit ts, number → keys changed (see `changes`)
//!     old       key, ~ts                 → versions spilled from memory (see `history`)
//!     bulk      notes of huge commits (see `bulk`)
//!     meta      name                     → the store's own notes
//! ```
//!
//! Keyspaces are made once and never deleted or cleared: fjall keeps a journal for ever whose
//! keyspace was cleared before its flush.

use std::io::{ErrorKind, Write as _};
use std::ops::Bound;
use std::path::Path;

use bytes::Bytes;

use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::config::{
    BloomConstructionPolicy, HashRatioPolicy, PinningPolicy, RestartIntervalPolicy,
};
use fjall::{AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions};

use super::EmbeddedOptions;
use crate::error::{Error, Result, SqlState};

/// The layout this program reads and writes.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const FORMAT_PREFIX: &str = "sluice embedded store, format ";
/// Bytes of journals before memtables are flushed to free them.
const JOURNAL_BYTES_MAX: u64 = 128 << 20;
/// Threads that flush and compact. With more than one, fjall 3.1's first passes on every message
/// that is not a flush, and spins while another compacts: a core lost for as long as that takes.
const WORKERS: usize = 1;
/// Memtable of the keyspaces that hold little.
const SMALL_MEMTABLE_BYTES: u64 = 4 << 20;
/// Memtable of the keyspaces that take much at times.
const SIDE_MEMTABLE_BYTES: u64 = 8 << 20;
/// Target size of a table file.
const TABLE_BYTES: u64 = 32 << 20;
/// Heads until a block is full. With the last of them and what it has besides it stays below the
/// allocator's class of 4 KiB, where the next takes 5.
const HEADS_BLOCK_BYTES: u32 = 3584;
/// Heads in a block that share what their keys begin with. A lookup walks over half of them.
const HEADS_RESTART_INTERVAL: u8 = 4;
/// Runs in the first level before they are compacted.
const L0_RUNS: u8 = 8;
/// Sealed memtables, and runs in the first level, from which on bulk work waits. fjall itself
/// makes every writer sleep at 4 and at 20.
const SEALED_BUSY: usize = 3;
const L0_RUNS_BUSY: usize = 12;

/// The open engine.
pub(super) struct Engine {
    pub db: Database,
    pub heads: Keyspace,
    pub changes: Keyspace,
    pub old: Keyspace,
    pub bulk: Keyspace,
    pub meta: Keyspace,
}

impl Engine {
    /// Opens or makes the folder. 55006 if another process has it, 55000 if its format is newer.
    pub fn open(options: &EmbeddedOptions) -> Result<Engine> {
        std::fs::create_dir_all(&options.dir)?;
        check_format(&options.dir)?;
        let db = Database::builder(options.dir.join("engine"))
            .cache_size(options.cache_bytes)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .manual_journal_persist(true)
            .worker_threads(WORKERS)
            .open()
            .map_err(|e| opening(e, &options.dir))?;
        let open = |name: &str, options: fn(u64) -> KeyspaceCreateOptions, memtable: u64| {
            db.keyspace(name, || options(memtable)).map_err(error)
        };
        Ok(Engine {
            heads: open("heads", heads_options, options.memtable_bytes)?,
            changes: open("changes", side_options, SMALL_MEMTABLE_BYTES)?,
            old: open("old", side_options, SIDE_MEMTABLE_BYTES)?,
            bulk: open("bulk", side_options, SIDE_MEMTABLE_BYTES)?,
            meta: open("meta", side_options, SMALL_MEMTABLE_BYTES)?,
            db,
        })
    }

    /// Drops the files of the heads that lie in a range of keys nobody reads or writes any more.
    /// Waits for compactions that are running.
    pub fn drop_files(&self, range: (Bound<Bytes>, Bound<Bytes>)) -> Result<()> {
        self.heads.tree.drop_range(range).map_err(|e| error(e.into()))
    }

    /// Begins to write all memtables to files.
    pub fn flush_memtables(&self) -> Result<()> {
        for keyspace in self.all() {
            keyspace.rotate_memtable().map_err(error)?;
        }
        Ok(())
    }

    /// Whether memtables are still on their way to files.
    pub fn is_flushing(&self) -> bool {
        self.all().iter().any(|keyspace| keyspace.sealed_memtable_count() > 0)
    }

    fn all(&self) -> [&Keyspace; 5] {
        [&self.heads, &self.changes, &self.old, &self.bulk, &self.meta]
    }

    /// Whether bulk writers should wait, so that small commits do not have to.
    pub fn is_busy(&self) -> bool {
        [&self.heads, &self.bulk, &self.old].iter().any(|keyspace| {
            keyspace.sealed_memtable_count() >= SEALED_BUSY
                || keyspace.tree.l0_run_count() >= L0_RUNS_BUSY
        })
    }
}

fn heads_options(memtable_bytes: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable_bytes)
        .manual_journal_persist(true)
        .data_block_size_policy(BlockSizePolicy::all(HEADS_BLOCK_BYTES))
        .data_block_hash_ratio_policy(HashRatioPolicy::all(1.0))
        .data_block_restart_interval_policy(RestartIntervalPolicy::all(HEADS_RESTART_INTERVAL))
        .index_block_pinning_policy(PinningPolicy::all(true))
        .data_block_compression_policy(CompressionPolicy::new([
            CompressionType::None,
            CompressionType::None,
            CompressionType::Lz4,
        ]))
        .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(
            BloomConstructionPolicy::BitsPerKey(10.0),
        )))
        .compaction_strategy(leveled())
}

fn side_options(memtable_bytes: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable_bytes)
        .manual_journal_persist(true)
        .compaction_strategy(leveled())
}

fn leveled() -> std::sync::Arc<Leveled> {
    let strategy =
        Leveled::default().with_l0_threshold(L0_RUNS).with_table_target_size(TABLE_BYTES);
    std::sync::Arc::new(strategy)
}

/// Reads the folder's format, or writes it into a new folder.
fn check_format(dir: &Path) -> Result<()> {
    let path = dir.join(FORMAT_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let format = text.trim_end().strip_prefix(FORMAT_PREFIX);
            let format = format.and_then(|f| f.parse::<u32>().ok()).ok_or_else(|| {
                Error::corrupted(format!("{} does not name a format: {text:?}", path.display()))
            })?;
            if format > FORMAT {
                return Err(Error::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!(
                        "data folder {} has format {format}, and this program reads up to format \
                         {FORMAT}",
                        dir.display()
                    ),
                )
                .with_hint("Start it with the version that wrote it, or a later one."));
            }
            Ok(())
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            if dir.join("engine").exists() {
                let message = format!("data folder {} has lost its FORMAT file", dir.display());
                return Err(Error::corrupted(message));
            }
            if let Some(other) = foreign_entry(dir)? {
                let message =
                    format!("folder {} is not empty and holds no database", dir.display());
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                    .with_detail(format!("It contains \"{other}\"."))
                    .with_hint("Give an empty folder, or a new one: it is made."));
            }
            let new = dir.join("FORMAT.new");
            let mut file = std::fs::File::create(&new)?;
            writeln!(file, "{FORMAT_PREFIX}{FORMAT}")?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            std::fs::File::open(dir)?.sync_all()?;
            Ok(())
        }
        Err(e) => Err(e.into()),
    }
}

/// Something in a folder that should be empty, other than what file systems put there.
fn foreign_entry(dir: &Path) -> Result<Option<String>> {
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "lost+found" && name != "FORMAT.new" {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn opening(e: fjall::Error, dir: &Path) -> Error {
    if let fjall::Error::Locked = e {
        let message = format!("data folder {} is in use by another process", dir.display());
        return Error::new(SqlState::OBJECT_IN_USE, message)
            .with_hint("Stop that one first, or give this one a folder of its own.");
    }
    error(e).with_context(format!("opening data folder {}", dir.display()))
}

/// An engine error of which it is known that nothing was written.
pub(super) fn error(e: fjall::Error) -> Error {
    match e {
        fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => e.into(),
        fjall::Error::Poisoned => failed(),
        e @ (fjall::Error::Storage(_)
        | fjall::Error::JournalRecovery(_)
        | fjall::Error::InvalidVersion(_)
        | fjall::Error::Decompress(_)
        | fjall::Error::InvalidTrailer
        | fjall::Error::InvalidTag(_)
        | fjall::Error::Unrecoverable) => {
            Error::corrupted(format!("stored data cannot be read: {e}")).with_source(e)
        }
        e => Error::new(SqlState::IO_ERROR, format!("storage engine: {e}")).with_source(e),
    }
}

/// The error of writes after one has failed.
fn failed() -> Error {
    Error::new(SqlState::IO_ERROR, "the store takes no writes since one of them failed")
        .with_hint("See the log for the cause, and restart when it is removed.")
}

/// The error of a commit whose write or fsync failed: it may be in the journal or not.
pub(super) fn undetermined(e: &fjall::Error) -> Error {
    if let fjall::Error::Poisoned = e {
        return failed();
    }
    let message = "it is not known whether the commit happened";
    Error::new(SqlState::STATEMENT_COMPLETION_UNKNOWN, message)
        .with_detail(format!("Writing the journal failed: {e}."))
        .with_hint("Restart the server, and look before trying it again.")
}
