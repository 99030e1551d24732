//! Parquet files of others: what `COPY … (FORMAT parquet)` writes and reads, and what
//! `read_parquet` reads (schemas/parquet-exchange.md).
//!
//! These files are for other programs, so each value is what they take it for: arrays are lists,
//! uuid and json say so, and what Parquet has no exact form for is text. The views' own files
//! keep the wire forms of such values instead ([`super::values`]).
//!
//! Files are the server's: local ones, by absolute path. Nothing here decides who may touch them.

pub mod files;
pub mod read;
pub mod table;
mod types;
pub mod write;

use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

pub use types::FileColumn;

use crate::error::{Error, Result, SqlState};

/// The local file that a path of a statement names.
///
/// # Errors
/// 42602 for a relative path, 0A000 for a URL other than `file://`.
pub fn local_path(written: &str, relative: &str) -> Result<PathBuf> {
    let path = match written.split_once("://") {
        Some(("file", path)) => path,
        Some((scheme, _)) => {
            let what = format!("a file by a \"{scheme}://\" URL");
            return Err(Error::unsupported(what).with_hint("Name a file of the server."));
        }
        None => written,
    };
    if !path.starts_with('/') {
        return Err(Error::new(SqlState::INVALID_NAME, relative.to_owned()));
    }
    Ok(PathBuf::from(path))
}

/// An error of the file system about a file, in PostgreSQL's words; `why` it was touched.
fn file_error(doing: &str, path: &Path, why: &str, e: std::io::Error) -> Error {
    let code = Error::from(std::io::Error::from(e.kind())).code();
    let code = match e.kind() {
        std::io::ErrorKind::NotFound => SqlState::UNDEFINED_FILE,
        std::io::ErrorKind::PermissionDenied => SqlState::INSUFFICIENT_PRIVILEGE,
        _ => code,
    };
    let reason = reason(&e);
    let shown = path.display();
    Error::new(code, format!("could not {doing} file \"{shown}\"{why}: {reason}")).with_source(e)
}

/// What the system says of an error, without its number.
fn reason(e: &std::io::Error) -> String {
    let text = e.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// An error of the Parquet library about a file that somebody else wrote.
fn damaged(path: &Path, e: ParquetError) -> Error {
    let shown = path.display();
    if let ParquetError::External(inner) = e {
        return match inner.downcast::<std::io::Error>() {
            Ok(io) => file_error("read", path, "", *io),
            Err(inner) => Error::new(
                SqlState::BAD_COPY_FILE_FORMAT,
                format!("could not read file \"{shown}\": {inner}"),
            ),
        };
    }
    Error::new(SqlState::BAD_COPY_FILE_FORMAT, format!("file \"{shown}\" is not valid Parquet"))
        .with_detail(e.to_string())
}
