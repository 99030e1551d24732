//! Strings: text, varchar, char(n), name; and bytea.

mod basic;
mod bytes;
mod encode;
mod format;
mod like;
mod md5;
mod quote;
mod regex;
mod slice;
pub(super) mod table;
mod unicode;

pub use quote::{quote_identifier, quote_literal};
pub(super) use regex::{regexp_matches, regexp_split_to_table};
