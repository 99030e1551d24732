//! Operators of texts, patterns, arrays and JSON.

use crate::functions::registry::OperatorEntry;
use crate::functions::signature::types::*;

use super::op;

/// By symbol, then OID.
pub(super) static OPERATORS: &[OperatorEntry] =
    &[op(654, "||", Some(TEXT), TEXT, 1258, None, None)];
