//! Exact decimal numbers, as PostgreSQL's numeric.

/// An exact decimal number of any size.
#[derive(Clone, Debug)]
pub struct Numeric(pub(crate) i64);
