//! Bytes of keys and rows.
