//! Foreign tables: rows of the cluster's own tables, read and written where they lie.
//!
//! Nothing here is part of the transaction. A scan sends one SELECT for each key that its access
//! names, or one over the ring, page by page, and evaluates all conditions on what comes. A write
//! is of one row, with a condition.

mod scan;
mod write;

pub use scan::{ForeignNode, KEYS_AT_ONCE, fetch_all};
pub use write::ForeignWriteNode;

use super::context::ExecContext;
use crate::error::{Error, Result, SqlState};
use crate::functions::SessionInfo;
use crate::kv::SharedStore;
use crate::kv::foreign::{Consistency, Foreign};
use crate::txn::Isolation;
use crate::types::descriptor::TableDescriptor;

/// `sluice.consistency`
fn consistency(session: &SessionInfo) -> Consistency {
    let set = session.settings.get("sluice.consistency");
    set.and_then(|name| Consistency::named(name)).unwrap_or_default()
}

/// The cluster behind a store.
fn cluster(store: &SharedStore) -> Result<&dyn Foreign> {
    store.foreign().ok_or_else(|| {
        let message = "the store of this foreign table's cluster is another one";
        Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
    })
}

/// 25004 where a transaction promises a snapshot that a foreign table has not.
fn check_isolation(ctx: &ExecContext<'_>, table: &TableDescriptor) -> Result<()> {
    let allowed = ctx.eval.session.settings.get("sluice.allow_nontransactional_reads");
    if ctx.txn.isolation() == Isolation::ReadCommitted || allowed.is_some_and(|on| on == "on") {
        return Ok(());
    }
    let message = format!(
        "foreign table \"{}\" cannot be used at an isolation level above READ COMMITTED",
        table.name
    );
    Err(Error::new(SqlState::INAPPROPRIATE_ISOLATION_LEVEL, message)
        .with_detail("Its rows are outside the transaction and its snapshot.")
        .with_hint("SET sluice.allow_nontransactional_reads = on takes them as they are."))
}
