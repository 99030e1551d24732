//! Functions about the server, the session and the catalog.

use super::{
    advisory, catalog, control, definitions, names, privileges, sequences, session, sizes,
};
use crate::functions::Function;
use crate::functions::signature::types::*;
use crate::functions::signature::{scalar, set, typed};

/// The functions.
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(89, "version", &[], TEXT, session::version).stable(),
    scalar(746, "session_user", &[], NAME, session::session_user).stable(),
    scalar(745, "current_user", &[], NAME, session::current_user).stable(),
    scalar(710, "getpgusername", &[], NAME, session::current_user).stable(),
    scalar(861, "current_database", &[], NAME, session::current_database).stable(),
    scalar(1402, "current_schema", &[], NAME, session::current_schema).stable(),
    scalar(1403, "current_schemas", &[BOOL], NAME_ARRAY, session::current_schemas).stable(),
    scalar(2077, "current_setting", &[TEXT], TEXT, session::current_setting).stable(),
    scalar(3294, "current_setting", &[TEXT, BOOL], TEXT, session::current_setting).stable(),
    scalar(2078, "set_config", &[TEXT, TEXT, BOOL], TEXT, control::set_config)
        .nullable()
        .volatile(),
    scalar(2626, "pg_sleep", &[FLOAT8], VOID, control::sleep).waits(),
    scalar(3935, "pg_sleep_for", &[INTERVAL], VOID, control::sleep_interval).waits(),
    scalar(3936, "pg_sleep_until", &[TIMESTAMPTZ], VOID, control::sleep_until).waits(),
    scalar(2880, "pg_advisory_lock", &[INT8], VOID, advisory::lock).waits(),
    scalar(2886, "pg_advisory_lock", &[INT4, INT4], VOID, advisory::lock).waits(),
    scalar(2881, "pg_advisory_lock_shared", &[INT8], VOID, advisory::lock_shared).waits(),
    scalar(2887, "pg_advisory_lock_shared", &[INT4, INT4], VOID, advisory::lock_shared).waits(),
    scalar(2882, "pg_try_advisory_lock", &[INT8], BOOL, advisory::try_lock).waits(),
    scalar(2888, "pg_try_advisory_lock", &[INT4, INT4], BOOL, advisory::try_lock).waits(),
    scalar(2883, "pg_try_advisory_lock_shared", &[INT8], BOOL, advisory::try_lock_shared)
        .volatile(),
    scalar(2889, "pg_try_advisory_lock_shared", &[INT4, INT4], BOOL, advisory::try_lock_shared)
        .volatile(),
    scalar(2884, "pg_advisory_unlock", &[INT8], BOOL, advisory::unlock).waits(),
    scalar(2890, "pg_advisory_unlock", &[INT4, INT4], BOOL, advisory::unlock).waits(),
    scalar(2885, "pg_advisory_unlock_shared", &[INT8], BOOL, advisory::unlock_shared).waits(),
    scalar(2891, "pg_advisory_unlock_shared", &[INT4, INT4], BOOL, advisory::unlock_shared)
        .volatile(),
    scalar(3089, "pg_advisory_xact_lock", &[INT8], VOID, advisory::xact_lock).waits(),
    scalar(3093, "pg_advisory_xact_lock", &[INT4, INT4], VOID, advisory::xact_lock).waits(),
    scalar(3090, "pg_advisory_xact_lock_shared", &[INT8], VOID, advisory::xact_lock_shared)
        .volatile(),
    scalar(3094, "pg_advisory_xact_lock_shared", &[INT4, INT4], VOID, advisory::xact_lock_shared)
        .volatile(),
    scalar(3091, "pg_try_advisory_xact_lock", &[INT8], BOOL, advisory::try_xact_lock).waits(),
    scalar(3095, "pg_try_advisory_xact_lock", &[INT4, INT4], BOOL, advisory::try_xact_lock)
        .volatile(),
    scalar(3092, "pg_try_advisory_xact_lock_shared", &[INT8], BOOL, advisory::try_xact_lock_shared)
        .volatile(),
    scalar(
        3096,
        "pg_try_advisory_xact_lock_shared",
        &[INT4, INT4],
        BOOL,
        advisory::try_xact_lock_shared,
    )
    .volatile(),
    scalar(2892, "pg_advisory_unlock_all", &[], VOID, advisory::unlock_all).waits(),
    scalar(2171, "pg_cancel_backend", &[INT4], BOOL, control::cancel_backend).waits(),
    scalar(2096, "pg_terminate_backend", &[INT4, INT8], BOOL, control::terminate_backend)
        .waits()
        .defaults(1),
    scalar(2026, "pg_backend_pid", &[], INT4, session::backend_pid).stable(),
    scalar(1574, "nextval", &[REGCLASS], INT8, sequences::next).volatile(),
    scalar(1575, "currval", &[REGCLASS], INT8, sequences::current).volatile(),
    scalar(1576, "setval", &[REGCLASS, INT8], INT8, sequences::set).volatile(),
    scalar(1765, "setval", &[REGCLASS, INT8, BOOL], INT8, sequences::set).volatile(),
    scalar(2559, "lastval", &[], INT8, sequences::last).volatile(),
    scalar(4032, "pg_sequence_last_value", &[REGCLASS], INT8, sequences::last_value).volatile(),
    scalar(3810, "pg_is_in_recovery", &[], BOOL, session::no).volatile(),
    scalar(2855, "pg_is_other_temp_schema", &[OID], BOOL, session::no).stable(),
    scalar(3298, "row_security_active", &[OID], BOOL, session::no).stable(),
    scalar(3299, "row_security_active", &[TEXT], BOOL, session::no).stable(),
    scalar(315, "pg_jit_available", &[], BOOL, session::no).volatile(),
    scalar(2854, "pg_my_temp_schema", &[], OID, session::no_oid).stable(),
    typed(1619, "pg_typeof", &[ANY], REGTYPE, session::type_of).nullable(),
    scalar(438, "num_nulls", &[ANY], INT4, session::count_nulls).nullable().variadic(),
    scalar(440, "num_nonnulls", &[ANY], INT4, session::count_values).nullable().variadic(),
    scalar(3432, "gen_random_uuid", &[], UUID, session::random_uuid).volatile(),
    scalar(1597, "pg_encoding_to_char", &[INT4], NAME, session::encoding_to_char).stable(),
    scalar(1264, "pg_char_to_encoding", &[NAME], INT4, session::char_to_encoding).stable(),
    scalar(1039, "getdatabaseencoding", &[], NAME, session::utf8).stable(),
    scalar(810, "pg_client_encoding", &[], NAME, session::utf8).stable(),
    scalar(1081, "format_type", &[OID, INT4], TEXT, names::format_type).nullable().stable(),
    scalar(3495, "to_regclass", &[TEXT], REGCLASS, names::to_regclass).stable(),
    scalar(3493, "to_regtype", &[TEXT], REGTYPE, names::to_regtype).stable(),
    scalar(4086, "to_regnamespace", &[TEXT], REGNAMESPACE, names::to_regnamespace).stable(),
    scalar(4093, "to_regrole", &[TEXT], REGROLE, names::to_regrole).stable(),
    scalar(3494, "to_regproc", &[TEXT], REGPROC, names::to_regproc).stable(),
    scalar(3479, "to_regprocedure", &[TEXT], REGPROCEDURE, names::to_regprocedure).stable(),
    scalar(3492, "to_regoper", &[TEXT], REGOPER, names::to_regoper).stable(),
    scalar(1079, "regclass", &[TEXT], REGCLASS, names::text_to_regclass).stable(),
    scalar(2079, "pg_table_is_visible", &[OID], BOOL, names::table_is_visible).stable(),
    scalar(2080, "pg_type_is_visible", &[OID], BOOL, names::type_is_visible).stable(),
    scalar(2081, "pg_function_is_visible", &[OID], BOOL, names::function_is_visible).stable(),
    scalar(2082, "pg_operator_is_visible", &[OID], BOOL, names::operator_is_visible).stable(),
    scalar(2083, "pg_opclass_is_visible", &[OID], BOOL, names::builtin_is_visible).stable(),
    scalar(3829, "pg_opfamily_is_visible", &[OID], BOOL, names::builtin_is_visible).stable(),
    scalar(3815, "pg_collation_is_visible", &[OID], BOOL, names::builtin_is_visible).stable(),
    scalar(2093, "pg_conversion_is_visible", &[OID], BOOL, names::builtin_is_visible).stable(),
    scalar(3758, "pg_ts_config_is_visible", &[OID], BOOL, names::builtin_is_visible).stable(),
    scalar(3757, "pg_ts_dict_is_visible", &[OID], BOOL, names::builtin_is_visible).stable(),
    scalar(3756, "pg_ts_parser_is_visible", &[OID], BOOL, names::builtin_is_visible).stable(),
    scalar(3768, "pg_ts_template_is_visible", &[OID], BOOL, names::builtin_is_visible).stable(),
    scalar(1642, "pg_get_userbyid", &[OID], NAME, names::user_by_id).stable(),
    scalar(2162, "pg_get_function_arguments", &[OID], TEXT, names::function_arguments).stable(),
    scalar(2232, "pg_get_function_identity_arguments", &[OID], TEXT, names::function_arguments)
        .stable(),
    scalar(2165, "pg_get_function_result", &[OID], TEXT, names::function_result).stable(),
    scalar(1665, "pg_get_serial_sequence", &[TEXT, TEXT], TEXT, definitions::serial_sequence)
        .stable(),
    scalar(6197, "pg_get_function_sqlbody", &[OID], TEXT, definitions::nothing).stable(),
    scalar(3808, "pg_get_function_arg_default", &[OID, INT4], TEXT, definitions::nothing).stable(),
    scalar(1268, "parse_ident", &[TEXT, BOOL], TEXT_ARRAY, names::parse_ident).defaults(1),
    scalar(1716, "pg_get_expr", &[PG_NODE_TREE, OID], TEXT, definitions::expression).stable(),
    scalar(2509, "pg_get_expr", &[PG_NODE_TREE, OID, BOOL], TEXT, definitions::expression).stable(),
    scalar(1643, "pg_get_indexdef", &[OID], TEXT, definitions::index).stable(),
    scalar(2507, "pg_get_indexdef", &[OID, INT4, BOOL], TEXT, definitions::index).stable(),
    scalar(1387, "pg_get_constraintdef", &[OID], TEXT, definitions::constraint).stable(),
    scalar(2508, "pg_get_constraintdef", &[OID, BOOL], TEXT, definitions::constraint).stable(),
    scalar(1641, "pg_get_viewdef", &[OID], TEXT, definitions::nothing).stable(),
    scalar(2506, "pg_get_viewdef", &[OID, BOOL], TEXT, definitions::nothing).stable(),
    scalar(1573, "pg_get_ruledef", &[OID], TEXT, definitions::nothing).stable(),
    scalar(2504, "pg_get_ruledef", &[OID, BOOL], TEXT, definitions::nothing).stable(),
    scalar(1662, "pg_get_triggerdef", &[OID], TEXT, definitions::nothing).stable(),
    scalar(2730, "pg_get_triggerdef", &[OID, BOOL], TEXT, definitions::nothing).stable(),
    scalar(3352, "pg_get_partkeydef", &[OID], TEXT, definitions::nothing).stable(),
    scalar(3408, "pg_get_partition_constraintdef", &[OID], TEXT, definitions::nothing).stable(),
    scalar(3415, "pg_get_statisticsobjdef", &[OID], TEXT, definitions::nothing).stable(),
    scalar(6174, "pg_get_statisticsobjdef_columns", &[OID], TEXT, definitions::nothing).stable(),
    scalar(3424, "pg_partition_root", &[REGCLASS], REGCLASS, definitions::nothing),
    scalar(3778, "pg_tablespace_location", &[OID], TEXT, definitions::no_location).stable(),
    scalar(1215, "obj_description", &[OID, NAME], TEXT, definitions::comment).stable(),
    scalar(1348, "obj_description", &[OID], TEXT, definitions::comment).stable(),
    scalar(1993, "shobj_description", &[OID, NAME], TEXT, definitions::comment).stable(),
    scalar(1216, "col_description", &[OID, INT4], TEXT, definitions::column_comment).stable(),
    scalar(6121, "pg_relation_is_publishable", &[REGCLASS], BOOL, definitions::is_publishable)
        .stable(),
    set(3425, "pg_partition_ancestors", &[REGCLASS], REGCLASS, catalog::no_partitions, &[])
        .volatile(),
    scalar(2325, "pg_relation_size", &[REGCLASS], INT8, sizes::relation).volatile(),
    scalar(2332, "pg_relation_size", &[REGCLASS, TEXT], INT8, sizes::relation).volatile(),
    scalar(2997, "pg_table_size", &[REGCLASS], INT8, sizes::relation).volatile(),
    scalar(2286, "pg_total_relation_size", &[REGCLASS], INT8, sizes::relation).volatile(),
    scalar(2288, "pg_size_pretty", &[INT8], TEXT, sizes::size_pretty),
    scalar(3166, "pg_size_pretty", &[NUMERIC], TEXT, sizes::numeric_size_pretty),
    scalar(1922, "has_table_privilege", &[NAME, TEXT, TEXT], BOOL, privileges::of_table).stable(),
    scalar(1923, "has_table_privilege", &[NAME, OID, TEXT], BOOL, privileges::of_table).stable(),
    scalar(1924, "has_table_privilege", &[OID, TEXT, TEXT], BOOL, privileges::of_table).stable(),
    scalar(1925, "has_table_privilege", &[OID, OID, TEXT], BOOL, privileges::of_table).stable(),
    scalar(1926, "has_table_privilege", &[TEXT, TEXT], BOOL, privileges::of_table).stable(),
    scalar(1927, "has_table_privilege", &[OID, TEXT], BOOL, privileges::of_table).stable(),
    scalar(2250, "has_database_privilege", &[NAME, TEXT, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2251, "has_database_privilege", &[NAME, OID, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2252, "has_database_privilege", &[OID, TEXT, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2253, "has_database_privilege", &[OID, OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2254, "has_database_privilege", &[TEXT, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2255, "has_database_privilege", &[OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2256, "has_function_privilege", &[NAME, TEXT, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2257, "has_function_privilege", &[NAME, OID, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2258, "has_function_privilege", &[OID, TEXT, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2259, "has_function_privilege", &[OID, OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2260, "has_function_privilege", &[TEXT, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2261, "has_function_privilege", &[OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2262, "has_language_privilege", &[NAME, TEXT, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2263, "has_language_privilege", &[NAME, OID, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2264, "has_language_privilege", &[OID, TEXT, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2265, "has_language_privilege", &[OID, OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2266, "has_language_privilege", &[TEXT, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2267, "has_language_privilege", &[OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2268, "has_schema_privilege", &[NAME, TEXT, TEXT], BOOL, privileges::of_schema).stable(),
    scalar(2269, "has_schema_privilege", &[NAME, OID, TEXT], BOOL, privileges::of_schema).stable(),
    scalar(2270, "has_schema_privilege", &[OID, TEXT, TEXT], BOOL, privileges::of_schema).stable(),
    scalar(2271, "has_schema_privilege", &[OID, OID, TEXT], BOOL, privileges::of_schema).stable(),
    scalar(2272, "has_schema_privilege", &[TEXT, TEXT], BOOL, privileges::of_schema).stable(),
    scalar(2273, "has_schema_privilege", &[OID, TEXT], BOOL, privileges::of_schema).stable(),
    scalar(2390, "has_tablespace_privilege", &[NAME, TEXT, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2391, "has_tablespace_privilege", &[NAME, OID, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2392, "has_tablespace_privilege", &[OID, TEXT, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2393, "has_tablespace_privilege", &[OID, OID, TEXT], BOOL, privileges::of_others)
        .stable(),
    scalar(2394, "has_tablespace_privilege", &[TEXT, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2395, "has_tablespace_privilege", &[OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(3943, "acldefault", &[CHAR, OID], ACLITEM_ARRAY, privileges::default_acl),
    scalar(2705, "pg_has_role", &[NAME, NAME, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2706, "pg_has_role", &[NAME, OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2707, "pg_has_role", &[OID, NAME, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2708, "pg_has_role", &[OID, OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2709, "pg_has_role", &[NAME, TEXT], BOOL, privileges::of_others).stable(),
    scalar(2710, "pg_has_role", &[OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(3012, "has_column_privilege", &[NAME, TEXT, TEXT, TEXT], BOOL, privileges::of_column)
        .stable(),
    scalar(3013, "has_column_privilege", &[NAME, TEXT, INT2, TEXT], BOOL, privileges::of_column)
        .stable(),
    scalar(3014, "has_column_privilege", &[NAME, OID, TEXT, TEXT], BOOL, privileges::of_column)
        .stable(),
    scalar(3015, "has_column_privilege", &[NAME, OID, INT2, TEXT], BOOL, privileges::of_column)
        .stable(),
    scalar(3016, "has_column_privilege", &[OID, TEXT, TEXT, TEXT], BOOL, privileges::of_column)
        .stable(),
    scalar(3017, "has_column_privilege", &[OID, TEXT, INT2, TEXT], BOOL, privileges::of_column)
        .stable(),
    scalar(3018, "has_column_privilege", &[OID, OID, TEXT, TEXT], BOOL, privileges::of_column)
        .stable(),
    scalar(3019, "has_column_privilege", &[OID, OID, INT2, TEXT], BOOL, privileges::of_column)
        .stable(),
    scalar(3020, "has_column_privilege", &[TEXT, TEXT, TEXT], BOOL, privileges::of_column).stable(),
    scalar(3021, "has_column_privilege", &[TEXT, INT2, TEXT], BOOL, privileges::of_column).stable(),
    scalar(3022, "has_column_privilege", &[OID, TEXT, TEXT], BOOL, privileges::of_column).stable(),
    scalar(3023, "has_column_privilege", &[OID, INT2, TEXT], BOOL, privileges::of_column).stable(),
    scalar(3024, "has_any_column_privilege", &[NAME, TEXT, TEXT], BOOL, privileges::of_table)
        .stable(),
    scalar(3025, "has_any_column_privilege", &[NAME, OID, TEXT], BOOL, privileges::of_table)
        .stable(),
    scalar(3026, "has_any_column_privilege", &[OID, TEXT, TEXT], BOOL, privileges::of_table)
        .stable(),
    scalar(3027, "has_any_column_privilege", &[OID, OID, TEXT], BOOL, privileges::of_table)
        .stable(),
    scalar(3028, "has_any_column_privilege", &[TEXT, TEXT], BOOL, privileges::of_table).stable(),
    scalar(3029, "has_any_column_privilege", &[OID, TEXT], BOOL, privileges::of_table).stable(),
    scalar(3138, "has_type_privilege", &[NAME, TEXT, TEXT], BOOL, privileges::of_others).stable(),
    scalar(3139, "has_type_privilege", &[NAME, OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(3140, "has_type_privilege", &[OID, TEXT, TEXT], BOOL, privileges::of_others).stable(),
    scalar(3141, "has_type_privilege", &[OID, OID, TEXT], BOOL, privileges::of_others).stable(),
    scalar(3142, "has_type_privilege", &[TEXT, TEXT], BOOL, privileges::of_others).stable(),
    scalar(3143, "has_type_privilege", &[OID, TEXT], BOOL, privileges::of_others).stable(),
];
