//! Functions of arrays.

use super::{edit, query, split};
use crate::functions::Function;
use crate::functions::signature::types::*;
use crate::functions::signature::{scalar, typed};

/// The functions.
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(2176, "array_length", &[ANYARRAY, INT4], INT4, query::length),
    scalar(2091, "array_lower", &[ANYARRAY, INT4], INT4, query::lower),
    scalar(2092, "array_upper", &[ANYARRAY, INT4], INT4, query::upper),
    scalar(748, "array_ndims", &[ANYARRAY], INT4, query::dimensions),
    scalar(747, "array_dims", &[ANYARRAY], TEXT, query::dimension_text),
    scalar(3179, "cardinality", &[ANYARRAY], INT4, query::cardinality),
    scalar(3277, "array_position", &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE], INT4, query::position)
        .nullable(),
    scalar(
        3278,
        "array_position",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE, INT4],
        INT4,
        query::position,
    )
    .nullable(),
    scalar(
        3279,
        "array_positions",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE],
        INT4_ARRAY,
        query::positions,
    )
    .nullable(),
    scalar(2748, "arraycontains", &[ANYARRAY, ANYARRAY], BOOL, query::contains),
    scalar(2749, "arraycontained", &[ANYARRAY, ANYARRAY], BOOL, query::contained),
    scalar(2747, "arrayoverlap", &[ANYARRAY, ANYARRAY], BOOL, query::overlap),
    typed(
        378,
        "array_append",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE],
        ANYCOMPATIBLEARRAY,
        edit::append,
    )
    .nullable()
    .immutable(),
    typed(
        379,
        "array_prepend",
        &[ANYCOMPATIBLE, ANYCOMPATIBLEARRAY],
        ANYCOMPATIBLEARRAY,
        edit::prepend,
    )
    .nullable()
    .immutable(),
    scalar(
        383,
        "array_cat",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLEARRAY],
        ANYCOMPATIBLEARRAY,
        edit::concatenate,
    )
    .nullable(),
    scalar(
        3167,
        "array_remove",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE],
        ANYCOMPATIBLEARRAY,
        edit::remove,
    )
    .nullable(),
    scalar(
        3168,
        "array_replace",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE, ANYCOMPATIBLE],
        ANYCOMPATIBLEARRAY,
        edit::replace,
    )
    .nullable(),
    scalar(6172, "trim_array", &[ANYARRAY, INT4], ANYARRAY, edit::trim),
    typed(1193, "array_fill", &[ANYELEMENT, INT4_ARRAY], ANYARRAY, edit::fill)
        .nullable()
        .immutable(),
    typed(1286, "array_fill", &[ANYELEMENT, INT4_ARRAY, INT4_ARRAY], ANYARRAY, edit::fill)
        .nullable()
        .immutable(),
    scalar(394, "string_to_array", &[TEXT, TEXT], TEXT_ARRAY, split::string_to_array).nullable(),
    scalar(376, "string_to_array", &[TEXT, TEXT, TEXT], TEXT_ARRAY, split::string_to_array)
        .nullable(),
];
