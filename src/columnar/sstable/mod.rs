//! Cassandra's tables from their files on disk, without Cassandra: SSTables as Arrow batches.
//!
//! ```text
//! files ─▶ statistics: header ─▶ table: columns of all files ◀─ definition
//!    └───▶ data: blocks, checksums, compression ─▶ reader: partitions, rows, markers
//!                                                      └─▶ merge ─▶ scan: batches ─▶ dump
//! ```
//!
//! [`table::Table::open`] takes files of one table, from one node or several, and
//! [`table::Table::scan`] gives the rows that `SELECT *` would, had a node all of these files and
//! nothing else. Columns map to Arrow as `schemas/sstable.md` says.
//!
//! Invariants: what is not understood is refused, with file and offset, and never skipped; no bytes
//! make anything here panic; memory is a block and the longest row for each file, and one batch;
//! one time decides for a whole run what has expired. Cassandra's sources are the authority.
//!
//! Not here: indexes and filters (every file is read from its beginning), and the commit log.

mod bytes;
mod clustering;
mod collections;
mod compare;
mod compression;
mod counter;
mod data;
mod definition;
pub mod dump;
pub mod files;
mod merge;
mod numbers;
mod reader;
mod row;
pub mod scan;
pub mod statistics;
pub mod table;
#[cfg(test)]
mod tests;
pub mod text;
pub mod token;
pub mod types;
pub mod values;
