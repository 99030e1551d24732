//! JSON values.

/// A jsonb value.
#[derive(Clone, Debug)]
pub enum Json {
    /// null
    Null,
}
