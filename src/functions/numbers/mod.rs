//! Numbers: integers, floats, numeric, and the functions over them.

pub(super) mod floats;
pub(super) mod ints;
mod math;
pub(super) mod numerics;
pub(super) mod table;
