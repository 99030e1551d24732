//! Bytes of keys and rows.
//!
//! [`key`] is the order-preserving code of key columns, [`row`] the tagged code of the others,
//! [`table`] puts both together for one table: row → key and value, index entries, and back.
//! [`cql`] is how a foreign table's values come.
//! `schemas/rows.md` is the contract; nothing here does input or output.

pub mod cql;
pub mod key;
pub mod row;
pub mod table;
