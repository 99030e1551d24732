//! What `pg_catalog` and `information_schema` say of foreign tables: one wrapper and one server,
//! on a store that is on a cluster, and a row for each table.

use super::descriptor::oids;
use super::system::cells::{NULL, oid, text, text_array};
use crate::types::descriptor::{ColumnId, ForeignDescriptor, TableDescriptor};
use crate::types::{Datum, Row};

/// The server: the cluster that the store is on.
pub const SERVER: &str = "cluster";
/// The wrapper that its tables are reached by.
pub const WRAPPER: &str = "cql";
/// OIDs of both, below those of users' objects.
const WRAPPER_OID: u32 = 16_000;
const SERVER_OID: u32 = 16_001;

/// `pg_foreign_data_wrapper` on a cluster.
pub fn wrappers() -> Vec<Row> {
    let owner = oid(oids::BOOTSTRAP_ROLE);
    vec![vec![oid(WRAPPER_OID), text(WRAPPER), owner, oid(0), oid(0), NULL, NULL]]
}

/// `pg_foreign_server` on a cluster.
pub fn servers() -> Vec<Row> {
    let owner = oid(oids::BOOTSTRAP_ROLE);
    let granted = NULL;
    vec![vec![oid(SERVER_OID), text(SERVER), owner, oid(WRAPPER_OID), NULL, NULL, granted, NULL]]
}

/// The options that make a foreign table again.
pub(super) fn options(foreign: &ForeignDescriptor) -> [(&'static str, &str); 2] {
    [("keyspace", &foreign.keyspace), ("table", &foreign.table)]
}

/// A row of `pg_foreign_table`.
pub(super) fn table_row(table: &TableDescriptor) -> Option<Row> {
    let foreign = table.foreign.as_deref()?;
    let options = options(foreign).map(|(name, value)| format!("{name}={value}"));
    Some(vec![oid(table.id.0), oid(SERVER_OID), text_array(options)])
}

/// `attfdwoptions`: the column's name in the cluster, where it is another one.
pub(super) fn column_options(table: &TableDescriptor, column: ColumnId) -> Datum {
    let remote = table.foreign.as_deref().and_then(|foreign| foreign.column(column));
    match (remote, table.column_by_id(column)) {
        (Some(remote), Some(own)) if remote.name != own.name => {
            text_array([format!("column_name={}", remote.name)])
        }
        _ => NULL,
    }
}
