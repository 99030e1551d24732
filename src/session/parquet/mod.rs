//! COPY of Parquet files. A build without the feature `columnar` refuses it by name.

#[cfg(feature = "columnar")]
mod copy;
#[cfg(not(feature = "columnar"))]
mod off;
