//! The operators of `pg_operator`, each naming its function by OID. Those whose function is not
//! there are left out of the registry.

mod arithmetic;
mod comparison;
mod other;

use super::registry::OperatorEntry;
use crate::types::SqlType;

/// Every table of operators.
pub(super) static TABLES: &[&[OperatorEntry]] =
    &[comparison::OPERATORS, arithmetic::OPERATORS, other::OPERATORS];

const fn op(
    oid: u32,
    name: &'static str,
    left: Option<SqlType>,
    right: SqlType,
    function: u32,
    commutator: Option<&'static str>,
    negator: Option<&'static str>,
) -> OperatorEntry {
    OperatorEntry { oid, name, left, right, function, commutator, negator }
}
