//! Set-returning functions and window functions.

use super::series;
use crate::functions::Function;
use crate::functions::WindowFn;
use crate::functions::signature::types::*;
use crate::functions::signature::{aggregate, set, window};
use crate::functions::{aggregates, arrays, json, strings};

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
    aggregate(3986, "rank", &[ANY], INT8, aggregates::rank).variadic(),
    aggregate(3988, "percent_rank", &[ANY], FLOAT8, aggregates::percent_rank).variadic(),
    aggregate(3990, "cume_dist", &[ANY], FLOAT8, aggregates::cume_dist).variadic(),
    aggregate(3992, "dense_rank", &[ANY], INT8, aggregates::dense_rank).variadic(),
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
    set(2763, "regexp_matches", &[TEXT, TEXT], TEXT_ARRAY, strings::regexp_matches, &[]),
    set(2764, "regexp_matches", &[TEXT, TEXT, TEXT], TEXT_ARRAY, strings::regexp_matches, &[]),
    set(2765, "regexp_split_to_table", &[TEXT, TEXT], TEXT, strings::regexp_split_to_table, &[]),
    set(
        2766,
        "regexp_split_to_table",
        &[TEXT, TEXT, TEXT],
        TEXT,
        strings::regexp_split_to_table,
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
    set(2289, "pg_options_to_table", &[TEXT_ARRAY], RECORD, arrays::options, arrays::OPTIONS)
        .stable(),
    set(2331, "unnest", &[ANYARRAY], ANYELEMENT, arrays::unnest, &[]),
    set(1192, "generate_subscripts", &[ANYARRAY, INT4], INT4, arrays::generate_subscripts, &[]),
    set(
        1191,
        "generate_subscripts",
        &[ANYARRAY, INT4, BOOL],
        INT4,
        arrays::generate_subscripts,
        &[],
    ),
    set(6160, "string_to_table", &[TEXT, TEXT], TEXT, arrays::string_to_table, &[]).nullable(),
    set(6161, "string_to_table", &[TEXT, TEXT, TEXT], TEXT, arrays::string_to_table, &[])
        .nullable(),
    set(3958, "json_each", &[JSON], RECORD, json::json_each, json::MEMBERS),
    set(3959, "json_each_text", &[JSON], RECORD, json::json_each_text, json::MEMBERS_TEXT),
    set(3955, "json_array_elements", &[JSON], JSON, json::json_array_elements, json::ELEMENTS),
    set(
        3969,
        "json_array_elements_text",
        &[JSON],
        TEXT,
        json::json_array_elements_text,
        json::ELEMENTS_TEXT,
    ),
    set(3957, "json_object_keys", &[JSON], TEXT, json::json_object_keys, &[]),
    set(3208, "jsonb_each", &[JSONB], RECORD, json::jsonb_each, json::MEMBERS_B),
    set(3932, "jsonb_each_text", &[JSONB], RECORD, json::jsonb_each_text, json::MEMBERS_TEXT),
    set(
        3219,
        "jsonb_array_elements",
        &[JSONB],
        JSONB,
        json::jsonb_array_elements,
        json::ELEMENTS_B,
    ),
    set(
        3465,
        "jsonb_array_elements_text",
        &[JSONB],
        TEXT,
        json::jsonb_array_elements_text,
        json::ELEMENTS_TEXT,
    ),
    set(3931, "jsonb_object_keys", &[JSONB], TEXT, json::jsonb_object_keys, &[]),
];
