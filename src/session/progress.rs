//! How far running COPYs are: `pg_stat_progress_copy`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::database::Database;
use super::registry::Backend;
use crate::types::{Datum, Row};

/// One COPY.
#[derive(Debug, Default)]
pub struct CopyProgress {
    /// The table's OID; 0: a query.
    relation: u32,
    /// Into the table, not out of it.
    from: bool,
    /// A file of the server, not the client.
    file: bool,
    bytes: AtomicU64,
    rows: AtomicU64,
    excluded: AtomicU64,
}

impl CopyProgress {
    /// A COPY into a table, or out of a table or query (0), that has just begun.
    pub fn new(relation: u32, from: bool, file: bool) -> CopyProgress {
        CopyProgress { relation, from, file, ..CopyProgress::default() }
    }

    /// Takes note of data that came or went.
    pub fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Takes note of rows that are through, and of others that WHERE left out.
    pub fn add_rows(&self, rows: u64, excluded: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.excluded.fetch_add(excluded, Ordering::Relaxed);
    }

    fn row(&self, pid: i32, database: u32, name: &str) -> Row {
        let count = |counter: &AtomicU64| Datum::Int8(counter.load(Ordering::Relaxed) as i64);
        vec![
            Datum::Int4(pid),
            Datum::Oid(database),
            Datum::text(name),
            Datum::Oid(self.relation),
            Datum::text(if self.from { "COPY FROM" } else { "COPY TO" }),
            Datum::text(if self.file { "FILE" } else { "PIPE" }),
            count(&self.bytes),
            // Of data that comes from the client nobody knows; Parquet's rows are not counted in
            // bytes.
            Datum::Int8(0),
            count(&self.rows),
            count(&self.excluded),
        ]
    }
}

/// The COPY that a session runs.
pub type Slot = Mutex<Option<Arc<CopyProgress>>>;

/// Shows a COPY while it lives.
pub struct Shown {
    backend: Arc<Backend>,
    /// What is shown.
    pub progress: Arc<CopyProgress>,
}

impl Shown {
    /// Shows `progress` as that of `backend`'s statement.
    pub fn new(backend: &Arc<Backend>, progress: CopyProgress) -> Shown {
        let progress = Arc::new(progress);
        *backend.copying.lock() = Some(progress.clone());
        Shown { backend: backend.clone(), progress }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        *self.backend.copying.lock() = None;
    }
}

/// The rows of `pg_stat_progress_copy`.
pub(super) fn rows(database: &Database) -> Vec<Row> {
    let snapshot = database.catalog.snapshot();
    let (oid, name) = (snapshot.database().oid, &snapshot.database().name);
    let row = |backend: &Arc<Backend>| {
        let progress = backend.copying.lock().clone()?;
        Some(progress.row(backend.pid, oid, name))
    };
    database.registry.all().iter().filter_map(row).collect()
}
