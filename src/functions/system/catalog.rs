//! Sets about the catalog.

use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::sets::Rows;
use crate::types::Datum;

/// The ancestors of a partition, the partitions of a table: no table is partitioned.
pub(super) fn no_partitions(_: &EvalContext, _: &[Datum]) -> Result<Rows> {
    Ok(Box::new(std::iter::empty()))
}
