//! Intervals from text.

use super::{Interval, IntervalStyle};
use crate::error::{Error, Result};

impl Interval {
    /// Reads the text form. A modifier's fields say what a bare number means.
    pub fn parse(_text: &str, _style: IntervalStyle, _typmod: i32) -> Result<Interval> {
        Err(Error::unsupported("input of type interval"))
    }
}
