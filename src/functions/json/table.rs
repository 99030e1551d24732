//! Functions of JSON.

use super::{build, edit, jsonb, plain};
use crate::functions::Function;
use crate::functions::signature::types::*;
use crate::functions::signature::{scalar, typed};

/// The functions.
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(3947, "json_object_field", &[JSON, TEXT], JSON, plain::get),
    scalar(3948, "json_object_field_text", &[JSON, TEXT], TEXT, plain::get_text),
    scalar(3949, "json_array_element", &[JSON, INT4], JSON, plain::at),
    scalar(3950, "json_array_element_text", &[JSON, INT4], TEXT, plain::at_text),
    scalar(3951, "json_extract_path", &[JSON, TEXT_ARRAY], JSON, plain::get_path).variadic(),
    scalar(3953, "json_extract_path_text", &[JSON, TEXT_ARRAY], TEXT, plain::get_path_text)
        .variadic(),
    scalar(3968, "json_typeof", &[JSON], TEXT, plain::type_name),
    scalar(3956, "json_array_length", &[JSON], INT4, plain::array_length),
    scalar(3261, "json_strip_nulls", &[JSON], JSON, plain::strip_nulls),
    scalar(3202, "json_object", &[TEXT_ARRAY], JSON, plain::object),
    scalar(3203, "json_object", &[TEXT_ARRAY, TEXT_ARRAY], JSON, plain::object),
    scalar(3263, "jsonb_object", &[TEXT_ARRAY], JSONB, plain::object_b),
    scalar(3264, "jsonb_object", &[TEXT_ARRAY, TEXT_ARRAY], JSONB, plain::object_b),
    typed(3176, "to_json", &[ANYELEMENT], JSON, build::to_json),
    typed(3787, "to_jsonb", &[ANYELEMENT], JSONB, build::to_jsonb),
    scalar(3153, "array_to_json", &[ANYARRAY], JSON, build::array_to_json).stable(),
    scalar(3154, "array_to_json", &[ANYARRAY, BOOL], JSON, build::array_to_json).stable(),
    scalar(3155, "row_to_json", &[RECORD], JSON, build::row_to_json).stable(),
    scalar(3156, "row_to_json", &[RECORD, BOOL], JSON, build::row_to_json).stable(),
    typed(3201, "json_build_object", &[], JSON, build::object).nullable(),
    typed(3200, "json_build_object", &[ANY], JSON, build::object).nullable().variadic(),
    typed(3274, "jsonb_build_object", &[], JSONB, build::object_b).nullable(),
    typed(3273, "jsonb_build_object", &[ANY], JSONB, build::object_b).nullable().variadic(),
    typed(3199, "json_build_array", &[], JSON, build::array).nullable(),
    typed(3198, "json_build_array", &[ANY], JSON, build::array).nullable().variadic(),
    typed(3272, "jsonb_build_array", &[], JSONB, build::array_b).nullable(),
    typed(3271, "jsonb_build_array", &[ANY], JSONB, build::array_b).nullable().variadic(),
    scalar(3478, "jsonb_object_field", &[JSONB, TEXT], JSONB, jsonb::get),
    scalar(3214, "jsonb_object_field_text", &[JSONB, TEXT], TEXT, jsonb::get_text),
    scalar(3215, "jsonb_array_element", &[JSONB, INT4], JSONB, jsonb::at),
    scalar(3216, "jsonb_array_element_text", &[JSONB, INT4], TEXT, jsonb::at_text),
    scalar(3217, "jsonb_extract_path", &[JSONB, TEXT_ARRAY], JSONB, jsonb::get_path).variadic(),
    scalar(3940, "jsonb_extract_path_text", &[JSONB, TEXT_ARRAY], TEXT, jsonb::get_path_text)
        .variadic(),
    scalar(3210, "jsonb_typeof", &[JSONB], TEXT, jsonb::type_name),
    scalar(3207, "jsonb_array_length", &[JSONB], INT4, jsonb::array_length),
    scalar(4046, "jsonb_contains", &[JSONB, JSONB], BOOL, jsonb::contains),
    scalar(4050, "jsonb_contained", &[JSONB, JSONB], BOOL, jsonb::contained),
    scalar(4047, "jsonb_exists", &[JSONB, TEXT], BOOL, jsonb::exists),
    scalar(4048, "jsonb_exists_any", &[JSONB, TEXT_ARRAY], BOOL, jsonb::exists_any),
    scalar(4049, "jsonb_exists_all", &[JSONB, TEXT_ARRAY], BOOL, jsonb::exists_all),
    scalar(3306, "jsonb_pretty", &[JSONB], TEXT, jsonb::pretty),
    scalar(3301, "jsonb_concat", &[JSONB, JSONB], JSONB, edit::concatenate),
    scalar(3302, "jsonb_delete", &[JSONB, TEXT], JSONB, edit::delete_key),
    scalar(3303, "jsonb_delete", &[JSONB, INT4], JSONB, edit::delete_at),
    scalar(3343, "jsonb_delete", &[JSONB, TEXT_ARRAY], JSONB, edit::delete_keys).variadic(),
    scalar(3304, "jsonb_delete_path", &[JSONB, TEXT_ARRAY], JSONB, edit::delete_path),
    scalar(3305, "jsonb_set", &[JSONB, TEXT_ARRAY, JSONB, BOOL], JSONB, edit::set).defaults(1),
    scalar(5054, "jsonb_set_lax", &[JSONB, TEXT_ARRAY, JSONB, BOOL, TEXT], JSONB, edit::set_lax)
        .nullable()
        .defaults(2),
    scalar(3579, "jsonb_insert", &[JSONB, TEXT_ARRAY, JSONB, BOOL], JSONB, edit::insert)
        .defaults(1),
    scalar(3262, "jsonb_strip_nulls", &[JSONB], JSONB, edit::strip_nulls),
    scalar(3556, "bool", &[JSONB], BOOL, jsonb::to_bool),
    scalar(3449, "numeric", &[JSONB], NUMERIC, jsonb::to_numeric),
    scalar(3450, "int2", &[JSONB], INT2, jsonb::to_int2),
    scalar(3451, "int4", &[JSONB], INT4, jsonb::to_int4),
    scalar(3452, "int8", &[JSONB], INT8, jsonb::to_int8),
    scalar(3453, "float4", &[JSONB], FLOAT4, jsonb::to_float4),
    scalar(2580, "float8", &[JSONB], FLOAT8, jsonb::to_float8),
    typed(9001, "$row_json", &[ANY_ARRAY], JSON, build::named_row).nullable().variadic(),
];
