//! Functions about the server, the session and the catalog.

mod advisory;
mod catalog;
mod control;
mod definitions;
mod names;
mod privileges;
mod sequences;
mod session;
mod sizes;
pub(super) mod table;
