//! The system's own relations: `pg_catalog` and `information_schema`.

use std::sync::Arc;

use crate::functions::EvalContext;
use crate::types::Row;
use crate::types::descriptor::TableDescriptor;

/// Gives the rows of a system relation that is about the running process (`pg_stat_activity`,
/// `pg_settings`, …), as seen by a session.
pub type Provider = Arc<dyn Fn(&EvalContext) -> Vec<Row> + Send + Sync>;

/// A system relation by name.
pub fn table(_schema: &str, _name: &str) -> Option<Arc<TableDescriptor>> {
    None
}

/// A system relation by OID.
pub fn table_by_oid(_oid: u32) -> Option<Arc<TableDescriptor>> {
    None
}
