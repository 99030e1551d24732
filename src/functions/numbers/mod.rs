//! Numbers: integers, floats, numeric, and the functions over them.

pub(super) mod floats;
pub(super) mod ints;
pub(super) mod table;
