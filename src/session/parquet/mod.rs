//! Parquet files in COPY and in `read_parquet`. A build without the feature `columnar` refuses
//! them by name.

#[cfg(feature = "columnar")]
mod copy;
#[cfg(not(feature = "columnar"))]
mod off;

use crate::error::Result;
use crate::types::descriptor::TableDescriptor;

/// The files of these paths as a relation.
#[cfg(feature = "columnar")]
pub(super) fn relation(paths: Vec<String>) -> Result<TableDescriptor> {
    crate::columnar::exchange::files::Files::relation(paths)
}

/// The files of these paths as a relation.
#[cfg(not(feature = "columnar"))]
pub(super) fn relation(_: Vec<String>) -> Result<TableDescriptor> {
    Err(off::missing())
}
