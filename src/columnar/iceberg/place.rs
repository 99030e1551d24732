//! Where a view's Iceberg metadata lies: beside its files, in the folder `metadata`.

use std::path::PathBuf;

use super::super::files::{Files, LocalFiles, read_whole, replace};
use super::super::shared::Shared;
use crate::error::{Error, Result, SqlState};

/// Name of the folder.
pub const FOLDER: &str = "metadata";

/// The folder of a view.
pub enum Place {
    /// On this machine; absolute.
    Local(PathBuf),
    /// In the object store that gateways share.
    Shared(Shared),
}

impl Place {
    /// The table's location.
    pub fn location(&self) -> String {
        match self {
            Place::Local(folder) => format!("file://{}", folder.display()),
            Place::Shared(shared) => shared.url(),
        }
    }

    /// Where a data file is.
    pub(super) fn data(&self, name: &str) -> String {
        format!("{}/{name}", self.location())
    }

    /// Where a file of the metadata is.
    pub(super) fn metadata(&self, name: &str) -> String {
        format!("{}/{FOLDER}/{name}", self.location())
    }

    fn files(folder: PathBuf) -> Result<LocalFiles> {
        LocalFiles::create(folder.join(FOLDER))
    }

    /// Writes a file, whole or not at all.
    pub(super) async fn write(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        match self {
            Place::Local(folder) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                blocking(move || replace(&Place::files(folder)?, &name, &bytes)).await
            }
            Place::Shared(shared) => shared.put_in(FOLDER, name, bytes).await,
        }
    }

    /// A small file's text; none if it is not there.
    pub(super) async fn read(&self, name: &str) -> Result<Option<String>> {
        let bytes = match self {
            Place::Local(folder) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                blocking(move || read_whole(&Place::files(folder)?, &name)).await
            }
            Place::Shared(shared) => shared.read_in(FOLDER, name).await,
        };
        match bytes {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(e) if e.code() == SqlState::UNDEFINED_FILE => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Names of the files that are there.
    pub(super) async fn list(&self) -> Result<Vec<String>> {
        match self {
            Place::Local(folder) => {
                let folder = folder.clone();
                blocking(move || Place::files(folder)?.list()).await
            }
            Place::Shared(shared) => shared.list_in(FOLDER).await,
        }
    }

    /// Removes a file; what cannot be removed stays.
    pub(super) async fn remove(&self, name: &str) {
        match self {
            Place::Local(folder) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                let _ = blocking(move || Place::files(folder)?.remove(&name)).await;
            }
            Place::Shared(shared) => shared.remove_in(FOLDER, name).await,
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::internal(format!("Iceberg metadata: {e}")))?
}
