//! One-dimensional arrays.

use super::{BaseType, Datum};

/// A one-dimensional array; without values it has no dimension.
#[derive(Clone, Debug)]
pub struct Array {
    /// Type of the elements.
    pub element: BaseType,
    /// Index of the first element, 1 unless said otherwise.
    pub lower_bound: i32,
    /// The elements.
    pub values: Vec<Datum>,
}
