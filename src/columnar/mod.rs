//! The column path.

pub mod lower;
pub mod values;
