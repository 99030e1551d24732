//! JSON: `json` keeps its text as written, `jsonb` is a tree.

mod aggregates;
mod build;
mod edit;
mod jsonb;
mod plain;
mod raw;
mod sets;
pub(super) mod table;

pub(super) use aggregates::{json_agg, json_object_agg, jsonb_agg, jsonb_object_agg};
pub(super) use sets::*;
