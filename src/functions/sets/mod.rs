//! Set-returning functions and window functions.

mod series;
pub(super) mod table;

use crate::error::Result;
use crate::types::Row;

/// The rows of a set-returning function.
pub(super) type Rows = Box<dyn Iterator<Item = Result<Row>> + Send>;
