//! Set-returning functions and window functions.

use super::series;
use crate::functions::Function;
use crate::functions::WindowFn;
use crate::functions::signature::types::*;
use crate::functions::signature::{set, window};

/// The functions.
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    set(1067, "generate_series", &[INT4, INT4], INT4, series::ints::<i32>, &[]),
    set(1066, "generate_series", &[INT4, INT4, INT4], INT4, series::ints::<i32>, &[]),
    set(1069, "generate_series", &[INT8, INT8], INT8, series::ints::<i64>, &[]),
    set(1068, "generate_series", &[INT8, INT8, INT8], INT8, series::ints::<i64>, &[]),
    window(3100, "row_number", &[], INT8, WindowFn::RowNumber).nullable(),
    window(3101, "rank", &[], INT8, WindowFn::Rank).nullable(),
    window(3102, "dense_rank", &[], INT8, WindowFn::DenseRank).nullable(),
    window(3103, "percent_rank", &[], FLOAT8, WindowFn::PercentRank).nullable(),
    window(3104, "cume_dist", &[], FLOAT8, WindowFn::CumeDist).nullable(),
    window(3105, "ntile", &[INT4], INT4, WindowFn::Ntile),
    window(3106, "lag", &[ANYELEMENT], ANYELEMENT, WindowFn::Lag),
    window(3107, "lag", &[ANYELEMENT, INT4], ANYELEMENT, WindowFn::Lag),
    window(3108, "lag", &[ANYCOMPATIBLE, INT4, ANYCOMPATIBLE], ANYCOMPATIBLE, WindowFn::Lag),
    window(3109, "lead", &[ANYELEMENT], ANYELEMENT, WindowFn::Lead),
    window(3110, "lead", &[ANYELEMENT, INT4], ANYELEMENT, WindowFn::Lead),
    window(3111, "lead", &[ANYCOMPATIBLE, INT4, ANYCOMPATIBLE], ANYCOMPATIBLE, WindowFn::Lead),
    window(3112, "first_value", &[ANYELEMENT], ANYELEMENT, WindowFn::FirstValue),
    window(3113, "last_value", &[ANYELEMENT], ANYELEMENT, WindowFn::LastValue),
    window(3114, "nth_value", &[ANYELEMENT, INT4], ANYELEMENT, WindowFn::NthValue),
    set(
        2763,
        "regexp_matches",
        &[TEXT, TEXT],
        TEXT_ARRAY,
        crate::functions::strings::regexp_matches,
        &[],
    ),
    set(
        2764,
        "regexp_matches",
        &[TEXT, TEXT, TEXT],
        TEXT_ARRAY,
        crate::functions::strings::regexp_matches,
        &[],
    ),
    set(
        2765,
        "regexp_split_to_table",
        &[TEXT, TEXT],
        TEXT,
        crate::functions::strings::regexp_split_to_table,
        &[],
    ),
    set(
        2766,
        "regexp_split_to_table",
        &[TEXT, TEXT, TEXT],
        TEXT,
        crate::functions::strings::regexp_split_to_table,
        &[],
    ),
    set(3260, "generate_series", &[NUMERIC, NUMERIC], NUMERIC, series::numerics, &[]),
    set(3259, "generate_series", &[NUMERIC, NUMERIC, NUMERIC], NUMERIC, series::numerics, &[]),
    set(
        938,
        "generate_series",
        &[TIMESTAMP, TIMESTAMP, INTERVAL],
        TIMESTAMP,
        series::timestamps,
        &[],
    ),
    set(
        939,
        "generate_series",
        &[TIMESTAMPTZ, TIMESTAMPTZ, INTERVAL],
        TIMESTAMPTZ,
        series::timestamptzs,
        &[],
    )
    .stable(),
];
