//! The column path.

pub mod export;
pub mod files;
#[cfg(test)]
mod fixture;
pub mod lower;
pub mod manifest;
pub mod mask;
pub mod rows;
pub mod values;
