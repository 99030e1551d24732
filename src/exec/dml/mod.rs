//! INSERT, UPDATE, DELETE and row locks.
//!
//! Each function takes a batch of rows that the statement's source gave, and does for all of them
//! together what can be done together: one lock call for a batch of keys. A row is changed only
//! under its lock and from its newest version:
//!
//! ```text
//! INSERT   check row ─▶ lock its key and unique entries ─▶ nobody there? ─▶ put
//!                                                          ON CONFLICT  ─▶ skip, or update
//! UPDATE   lock row ─▶ changed since the snapshot? recheck ─▶ new row, check ─▶ put
//! DELETE   lock row ─▶ changed since the snapshot? recheck ─▶ delete
//! ```
//!
//! At READ COMMITTED a row that was changed since the statement's snapshot is looked at again in
//! its newest version (PostgreSQL's EvalPlanQual); above that, `Txn::lock` has failed already.
//! Row and index entries go into one commit, so an index never disagrees with its table.

mod constraints;
mod copy;
mod deferred;
mod delete;
pub(super) mod foreign;
mod insert;
mod lock_rows;
pub mod nodes;
mod referencing;
mod update;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

pub use copy::{CopyNode, CopyPlace};
pub use deferred::{DeferredChecks, DeferredMark};
pub use delete::{delete, delete_found};
pub use foreign::check_deferred;
pub use insert::{Way, insert};
pub use lock_rows::lock_rows;
pub use update::{update, update_found};

use super::context::ExecContext;
use crate::clock::Timestamp;
use crate::encoding::table::TableCodec;
use crate::error::{Error, Result};
use crate::kv::{Key, Locked};
use crate::plan::node::Target;
use crate::types::{Datum, Row};

/// What a statement that writes keeps between its batches.
#[derive(Default)]
pub struct WriteState {
    /// Rows written: the number in the command tag.
    pub affected: u64,
    /// Rows that this statement wrote already: UPDATE and DELETE take a row once, ON CONFLICT DO
    /// UPDATE refuses the second time.
    touched: HashSet<Key>,
    /// Rows that foreign keys are to be checked for, at the statement's end.
    pub(super) events: Vec<Arc<foreign::Event>>,
}

/// A row under its lock.
struct Newest {
    /// Its value; none: there is no row any more.
    value: Option<Bytes>,
    /// Whether it was committed after the statement's snapshot.
    changed: bool,
}

/// What a locked key holds now: the transaction's own write before anything committed.
fn newest(ctx: &ExecContext<'_>, key: &Key, locked: &Locked, snapshot: Timestamp) -> Newest {
    if let Some(own) = ctx.txn.own(key) {
        return Newest { value: own, changed: false };
    }
    match &locked.current {
        Some(version) => Newest { value: version.value.clone(), changed: version.ts > snapshot },
        None => Newest { value: None, changed: false },
    }
}

/// The key that a source row carries as bytea.
fn row_key(codec: &TableCodec, datum: &Datum) -> Result<Option<Key>> {
    match datum {
        Datum::Bytea(tail) => codec.key_from_tail(tail).map(Some),
        // The null-extended side of an outer join has no row.
        Datum::Null => Ok(None),
        other => Err(Error::internal(format!("row key is {other:?}"))),
    }
}

/// The keys of a batch, each row once, in the order of the rows.
fn targets(
    codec: &TableCodec,
    rows: Vec<Row>,
    at: usize,
    state: &mut WriteState,
) -> Result<Vec<(Key, Row)>> {
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(key) = row_key(codec, &row[at])?
            && state.touched.insert(key.clone())
        {
            out.push((key, row));
        }
    }
    Ok(out)
}

/// Removes a row and its index entries.
fn remove(ctx: &mut ExecContext<'_>, target: &Target, key: &Key, row: &[Datum]) -> Result<()> {
    for index in &target.indexes {
        let entry = index.codec.entry(row, key)?;
        ctx.txn.delete(entry.key, false)?;
    }
    ctx.txn.delete(key.clone(), target.table.columnar)
}
