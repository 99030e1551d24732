//! Folders that a process has to itself.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Error, Result, SqlState};

/// Start of the name of folders that last as long as their process.
const TEMPORARY: &str = "sluice-views-";
/// Held locked by the process that a folder belongs to.
const LOCK: &str = "lock";

/// A folder of this process alone.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
    /// Removes it, where it does not stay.
    _temporary: Option<TempDir>,
}

impl Folder {
    /// A folder that stays; made if it is missing.
    ///
    /// # Errors
    /// 58030 where it cannot be made, 55006 where another process has it.
    pub fn open(path: &Path) -> Result<Folder> {
        make(path)?;
        let lock = File::create(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path: path.to_owned(), _lock: lock, _temporary: None }),
            Err(TryLockError::WouldBlock) => {
                let message = format!("the folder {} belongs to another process", path.display());
                Err(Error::new(SqlState::OBJECT_IN_USE, message)
                    .with_hint("Give every gateway a --data folder of its own."))
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// A folder that goes with this value; those that killed processes left go now.
    pub fn temporary() -> Result<Folder> {
        let place = std::env::temp_dir();
        for found in std::fs::read_dir(&place)?.flatten() {
            let ours = found.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY));
            // One without the file is just being made.
            if ours
                && let Ok(lock) = File::open(found.path().join(LOCK))
                && lock.try_lock().is_ok()
            {
                let _ = std::fs::remove_dir_all(found.path());
            }
        }
        let made = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(&place)?;
        let folder = Folder::open(made.path())?;
        Ok(Folder { _temporary: Some(made), ..folder })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a folder if it is missing.
pub(super) fn make(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| {
        let message = format!("could not use the data folder {}: {e}", path.display());
        Error::new(SqlState::IO_ERROR, message)
            .with_hint("Give --data a folder that this user may write to.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_and_a_temporary_one_goes() {
        let temporary = Folder::temporary().unwrap();
        let error = Folder::open(temporary.path()).err().unwrap();
        assert_eq!(error.code(), SqlState::OBJECT_IN_USE);
        let path = temporary.path().to_owned();
        drop(temporary);
        assert!(!path.exists());
        // As a killed process leaves it.
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join(LOCK), "").unwrap();
        let other = Folder::temporary().unwrap();
        assert!(!path.exists() && other.path().exists());
    }
}
