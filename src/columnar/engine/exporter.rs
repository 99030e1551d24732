//! Base files that others make of a table's rows, where somebody does.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Engine;
use super::refresh::Next;
use crate::clock::Timestamp;
use crate::columnar::export::{FileOptions, Progress};
use crate::columnar::files::Files;
use crate::columnar::manifest::FileRecord;
use crate::columnar::shared::{Shared, names_of};
use crate::columnar::view::View;
use crate::columnar::view::build::{Build, VersionReader};
use crate::error::{Error, Result};
use crate::types::descriptor::TableDescriptor;
use crate::types::io::unhex;

/// What is asked for: all rows of a table at a timestamp, which the caller holds and has seen
/// resolved, in files of a shared folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportRequest {
    /// The table, as it is at the timestamp.
    pub table: TableDescriptor,
    /// The timestamp.
    pub at: Timestamp,
    /// The folder's name within that of the keyspace.
    pub folder: String,
    /// The number of the first file.
    pub first_file: u64,
    /// How files are laid out.
    pub file: FileOptions,
}

/// What was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exported {
    /// The files.
    pub records: Vec<FileRecord>,
    /// The number of the next one.
    pub next_file: u64,
    /// Keys whose rows are in no file, and are to be read through the store: their tails, in
    /// hexadecimal and in order.
    pub unsettled: Vec<String>,
    /// Of what, for people.
    pub from: String,
}

/// Who makes them.
#[async_trait]
pub trait Exporter: Send + Sync + std::fmt::Debug {
    /// Makes files, by as many as `shares` at once; none: there is nobody who does. After an error
    /// nothing is left that matters, and the rows are read through the store.
    async fn export(
        &self,
        request: &ExportRequest,
        shares: usize,
        progress: &Progress,
    ) -> Result<Option<Exported>>;
}

impl Engine {
    /// Has somebody make the files of a whole view; or why nobody did, where that was tried.
    pub(super) async fn exported(
        &self,
        table: &TableDescriptor,
        at: Timestamp,
        next: &Next,
        (rows, progress): (u64, &Arc<Progress>),
    ) -> Result<Option<Exported>, String> {
        let (Some(exporter), Some(shared)) = (&self.options.exporter, &next.shared) else {
            return Ok(None);
        };
        if rows < self.options.export_rows_min {
            return Ok(None);
        }
        let request = ExportRequest {
            table: table.clone(),
            at,
            folder: shared.name.clone(),
            first_file: next.first_file,
            file: self.options.file.clone(),
        };
        // Each has as many rows as are worth an agent.
        let shares = (rows / self.options.export_rows_min.max(1)) as usize;
        match self.export_held(exporter.as_ref(), &request, shares, progress).await {
            Ok(exported) => Ok(exported),
            Err(e) => {
                tracing::warn!(table = %table.name, error = ?e,
                    "a view is made through the store and not from the nodes' files");
                Err(e.message().to_owned())
            }
        }
    }

    async fn export_held(
        &self,
        exporter: &dyn Exporter,
        request: &ExportRequest,
        shares: usize,
        progress: &Progress,
    ) -> Result<Option<Exported>> {
        let exported = exporter.export(request, shares, progress).await?;
        let Some(exported) = exported else { return Ok(None) };
        // Nobody heeds the hold of a gateway that was retired meanwhile. One that is finds that
        // out by taking a snapshot; if it has joined again, it is above the timestamp.
        drop(self.store.snapshot().await?);
        drop(self.store.hold(request.at)?);
        Ok(Some(exported))
    }
}

/// A view of exported files, which are copied to the folder first. Blocking.
pub(super) fn adopt_exported(
    build: &Build<'_>,
    files: &Arc<dyn Files>,
    shared: &Shared,
    exported: &Exported,
    read: &mut VersionReader<'_>,
    newest: Option<&View>,
) -> Result<View> {
    let runtime = tokio::runtime::Handle::current();
    let names = names_of(&exported.records);
    let fetched =
        names.iter().try_for_each(|name| runtime.block_on(shared.fetch(files.as_ref(), name)));
    let adopted = fetched.and_then(|()| {
        let loose: Option<Vec<Bytes>> =
            exported.unsettled.iter().map(|text| unhex(text).map(Bytes::from)).collect();
        let loose = loose.ok_or_else(|| Error::corrupted("a key is not hexadecimal"))?;
        let Exported { records, next_file, from, .. } = exported;
        build.of_files((records, *next_file), from, &loose, read, newest)
    });
    if adopted.is_err() {
        names.iter().for_each(|name| drop(files.remove(name)));
        runtime.block_on(shared.discard(&names));
    }
    adopted
}
