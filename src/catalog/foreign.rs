//! What `pg_catalog` and `information_schema` say of foreign tables: one wrapper and one server,
//! on a store that is on a cluster, and a row for each table.

/// The server: the cluster that the store is on.
pub const SERVER: &str = "cluster";
