//! Strings: text, varchar, char(n), name.

mod basic;
pub(super) mod table;
