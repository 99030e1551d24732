//! Functions of dates, times and intervals.

use super::{arithmetic, fields, now};
use crate::functions::Function;
use crate::functions::signature::scalar;
use crate::functions::signature::types::*;

/// The functions.
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(1141, "date_pli", &[DATE, INT4], DATE, arithmetic::date_plus_days),
    scalar(2550, "integer_pl_date", &[INT4, DATE], DATE, arithmetic::days_plus_date),
    scalar(1142, "date_mii", &[DATE, INT4], DATE, arithmetic::date_minus_days),
    scalar(1140, "date_mi", &[DATE, DATE], INT4, arithmetic::date_minus_date),
    scalar(2071, "date_pl_interval", &[DATE, INTERVAL], TIMESTAMP, arithmetic::date_plus_interval),
    scalar(2546, "interval_pl_date", &[INTERVAL, DATE], TIMESTAMP, arithmetic::interval_plus_date),
    scalar(2072, "date_mi_interval", &[DATE, INTERVAL], TIMESTAMP, arithmetic::date_minus_interval),
    scalar(1272, "datetime_pl", &[DATE, TIME], TIMESTAMP, arithmetic::date_plus_time),
    scalar(1296, "timedate_pl", &[TIME, DATE], TIMESTAMP, arithmetic::time_plus_date),
    scalar(1747, "time_pl_interval", &[TIME, INTERVAL], TIME, arithmetic::time_plus_interval),
    scalar(1848, "interval_pl_time", &[INTERVAL, TIME], TIME, arithmetic::interval_plus_time),
    scalar(1748, "time_mi_interval", &[TIME, INTERVAL], TIME, arithmetic::time_minus_interval),
    scalar(1690, "time_mi_time", &[TIME, TIME], INTERVAL, arithmetic::time_minus_time),
    scalar(
        2032,
        "timestamp_pl_interval",
        &[TIMESTAMP, INTERVAL],
        TIMESTAMP,
        arithmetic::timestamp_plus_interval,
    ),
    scalar(
        2548,
        "interval_pl_timestamp",
        &[INTERVAL, TIMESTAMP],
        TIMESTAMP,
        arithmetic::interval_plus_timestamp,
    ),
    scalar(
        2033,
        "timestamp_mi_interval",
        &[TIMESTAMP, INTERVAL],
        TIMESTAMP,
        arithmetic::timestamp_minus_interval,
    ),
    scalar(
        2031,
        "timestamp_mi",
        &[TIMESTAMP, TIMESTAMP],
        INTERVAL,
        arithmetic::timestamp_minus_timestamp,
    ),
    scalar(
        1189,
        "timestamptz_pl_interval",
        &[TIMESTAMPTZ, INTERVAL],
        TIMESTAMPTZ,
        arithmetic::timestamptz_plus_interval,
    )
    .stable(),
    scalar(
        2549,
        "interval_pl_timestamptz",
        &[INTERVAL, TIMESTAMPTZ],
        TIMESTAMPTZ,
        arithmetic::interval_plus_timestamptz,
    )
    .stable(),
    scalar(
        1190,
        "timestamptz_mi_interval",
        &[TIMESTAMPTZ, INTERVAL],
        TIMESTAMPTZ,
        arithmetic::timestamptz_minus_interval,
    )
    .stable(),
    scalar(
        1188,
        "timestamptz_mi",
        &[TIMESTAMPTZ, TIMESTAMPTZ],
        INTERVAL,
        arithmetic::timestamptz_minus_timestamptz,
    ),
    scalar(
        1169,
        "interval_pl",
        &[INTERVAL, INTERVAL],
        INTERVAL,
        arithmetic::interval_plus_interval,
    ),
    scalar(
        1170,
        "interval_mi",
        &[INTERVAL, INTERVAL],
        INTERVAL,
        arithmetic::interval_minus_interval,
    ),
    scalar(1168, "interval_um", &[INTERVAL], INTERVAL, arithmetic::negate_interval),
    scalar(1618, "interval_mul", &[INTERVAL, FLOAT8], INTERVAL, arithmetic::interval_times),
    scalar(1624, "mul_d_interval", &[FLOAT8, INTERVAL], INTERVAL, arithmetic::times_interval),
    scalar(1326, "interval_div", &[INTERVAL, FLOAT8], INTERVAL, arithmetic::interval_divided),
    scalar(1295, "justify_days", &[INTERVAL], INTERVAL, arithmetic::justify_days),
    scalar(1175, "justify_hours", &[INTERVAL], INTERVAL, arithmetic::justify_hours),
    scalar(2711, "justify_interval", &[INTERVAL], INTERVAL, arithmetic::justify_interval),
    scalar(2058, "age", &[TIMESTAMP, TIMESTAMP], INTERVAL, arithmetic::timestamp_age),
    scalar(2059, "age", &[TIMESTAMP], INTERVAL, arithmetic::timestamp_age_today).stable(),
    scalar(1199, "age", &[TIMESTAMPTZ, TIMESTAMPTZ], INTERVAL, arithmetic::timestamptz_age),
    scalar(1386, "age", &[TIMESTAMPTZ], INTERVAL, arithmetic::timestamptz_age_today).stable(),
    scalar(6177, "date_bin", &[INTERVAL, TIMESTAMP, TIMESTAMP], TIMESTAMP, arithmetic::date_bin),
    scalar(
        6178,
        "date_bin",
        &[INTERVAL, TIMESTAMPTZ, TIMESTAMPTZ],
        TIMESTAMPTZ,
        arithmetic::date_bin_tz,
    ),
    scalar(2069, "timezone", &[TEXT, TIMESTAMP], TIMESTAMPTZ, arithmetic::from_zone_name),
    scalar(1159, "timezone", &[TEXT, TIMESTAMPTZ], TIMESTAMP, arithmetic::at_zone_name),
    scalar(2070, "timezone", &[INTERVAL, TIMESTAMP], TIMESTAMPTZ, arithmetic::from_zone_interval),
    scalar(1026, "timezone", &[INTERVAL, TIMESTAMPTZ], TIMESTAMP, arithmetic::at_zone_interval),
    scalar(2024, "timestamp", &[DATE], TIMESTAMP, arithmetic::cast_date_to_timestamp),
    scalar(1174, "timestamptz", &[DATE], TIMESTAMPTZ, arithmetic::cast_date_to_timestamptz)
        .stable(),
    scalar(2029, "date", &[TIMESTAMP], DATE, arithmetic::cast_timestamp_to_date),
    scalar(1316, "time", &[TIMESTAMP], TIME, arithmetic::cast_timestamp_to_time),
    scalar(
        2028,
        "timestamptz",
        &[TIMESTAMP],
        TIMESTAMPTZ,
        arithmetic::cast_timestamp_to_timestamptz,
    )
    .stable(),
    scalar(2027, "timestamp", &[TIMESTAMPTZ], TIMESTAMP, arithmetic::cast_timestamptz_to_timestamp)
        .stable(),
    scalar(1178, "date", &[TIMESTAMPTZ], DATE, arithmetic::cast_timestamptz_to_date).stable(),
    scalar(2019, "time", &[TIMESTAMPTZ], TIME, arithmetic::cast_timestamptz_to_time).stable(),
    scalar(1370, "interval", &[TIME], INTERVAL, arithmetic::cast_time_to_interval),
    scalar(1419, "time", &[INTERVAL], TIME, arithmetic::cast_interval_to_time),
    scalar(2025, "timestamp", &[DATE, TIME], TIMESTAMP, arithmetic::date_plus_time),
    scalar(1968, "time", &[TIME, INT4], TIME, arithmetic::to_digits),
    scalar(1961, "timestamp", &[TIMESTAMP, INT4], TIMESTAMP, arithmetic::to_digits),
    scalar(1967, "timestamptz", &[TIMESTAMPTZ, INT4], TIMESTAMPTZ, arithmetic::to_digits),
    scalar(1200, "interval", &[INTERVAL, INT4], INTERVAL, arithmetic::to_digits),
    scalar(1373, "isfinite", &[DATE], BOOL, arithmetic::is_finite_date),
    scalar(2048, "isfinite", &[TIMESTAMP], BOOL, arithmetic::is_finite_timestamp),
    scalar(1389, "isfinite", &[TIMESTAMPTZ], BOOL, arithmetic::is_finite_timestamptz),
    scalar(1390, "isfinite", &[INTERVAL], BOOL, arithmetic::is_finite_interval),
    scalar(
        2041,
        "overlaps",
        &[TIMESTAMP, TIMESTAMP, TIMESTAMP, TIMESTAMP],
        BOOL,
        arithmetic::overlaps,
    )
    .nullable(),
    scalar(
        1304,
        "overlaps",
        &[TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ],
        BOOL,
        arithmetic::overlaps,
    )
    .nullable(),
    scalar(
        1305,
        "overlaps",
        &[TIMESTAMPTZ, INTERVAL, TIMESTAMPTZ, INTERVAL],
        BOOL,
        arithmetic::timestamptz_overlaps::<true, true>,
    )
    .nullable()
    .stable(),
    scalar(
        1306,
        "overlaps",
        &[TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ, INTERVAL],
        BOOL,
        arithmetic::timestamptz_overlaps::<false, true>,
    )
    .nullable()
    .stable(),
    scalar(
        1307,
        "overlaps",
        &[TIMESTAMPTZ, INTERVAL, TIMESTAMPTZ, TIMESTAMPTZ],
        BOOL,
        arithmetic::timestamptz_overlaps::<true, false>,
    )
    .nullable()
    .stable(),
    scalar(
        1309,
        "overlaps",
        &[TIME, INTERVAL, TIME, INTERVAL],
        BOOL,
        arithmetic::time_overlaps::<true, true>,
    )
    .nullable(),
    scalar(
        1310,
        "overlaps",
        &[TIME, TIME, TIME, INTERVAL],
        BOOL,
        arithmetic::time_overlaps::<false, true>,
    )
    .nullable(),
    scalar(
        1311,
        "overlaps",
        &[TIME, INTERVAL, TIME, TIME],
        BOOL,
        arithmetic::time_overlaps::<true, false>,
    )
    .nullable(),
    scalar(
        2042,
        "overlaps",
        &[TIMESTAMP, INTERVAL, TIMESTAMP, INTERVAL],
        BOOL,
        arithmetic::timestamp_overlaps::<true, true>,
    )
    .nullable(),
    scalar(
        2043,
        "overlaps",
        &[TIMESTAMP, TIMESTAMP, TIMESTAMP, INTERVAL],
        BOOL,
        arithmetic::timestamp_overlaps::<false, true>,
    )
    .nullable(),
    scalar(
        2044,
        "overlaps",
        &[TIMESTAMP, INTERVAL, TIMESTAMP, TIMESTAMP],
        BOOL,
        arithmetic::timestamp_overlaps::<true, false>,
    )
    .nullable(),
    scalar(1308, "overlaps", &[TIME, TIME, TIME, TIME], BOOL, arithmetic::overlaps).nullable(),
    scalar(6202, "extract", &[TEXT, TIMESTAMP], NUMERIC, fields::extract_from_timestamp),
    scalar(6203, "extract", &[TEXT, TIMESTAMPTZ], NUMERIC, fields::extract_from_timestamptz)
        .stable(),
    scalar(6199, "extract", &[TEXT, DATE], NUMERIC, fields::extract_from_date),
    scalar(6200, "extract", &[TEXT, TIME], NUMERIC, fields::extract_from_time),
    scalar(6204, "extract", &[TEXT, INTERVAL], NUMERIC, fields::extract_from_interval),
    scalar(2021, "date_part", &[TEXT, TIMESTAMP], FLOAT8, fields::part_of_timestamp),
    scalar(1171, "date_part", &[TEXT, TIMESTAMPTZ], FLOAT8, fields::part_of_timestamptz).stable(),
    scalar(1384, "date_part", &[TEXT, DATE], FLOAT8, fields::part_of_date),
    scalar(1385, "date_part", &[TEXT, TIME], FLOAT8, fields::part_of_time),
    scalar(1172, "date_part", &[TEXT, INTERVAL], FLOAT8, fields::part_of_interval),
    scalar(2020, "date_trunc", &[TEXT, TIMESTAMP], TIMESTAMP, fields::truncate_timestamp),
    scalar(1217, "date_trunc", &[TEXT, TIMESTAMPTZ], TIMESTAMPTZ, fields::truncate_timestamptz)
        .stable(),
    scalar(
        1284,
        "date_trunc",
        &[TEXT, TIMESTAMPTZ, TEXT],
        TIMESTAMPTZ,
        fields::truncate_timestamptz_in_zone,
    )
    .stable(),
    scalar(1218, "date_trunc", &[TEXT, INTERVAL], INTERVAL, fields::truncate_interval),
    scalar(3846, "make_date", &[INT4, INT4, INT4], DATE, fields::make_date),
    scalar(3847, "make_time", &[INT4, INT4, FLOAT8], TIME, fields::make_time),
    scalar(
        3461,
        "make_timestamp",
        &[INT4, INT4, INT4, INT4, INT4, FLOAT8],
        TIMESTAMP,
        fields::make_timestamp,
    ),
    scalar(
        3462,
        "make_timestamptz",
        &[INT4, INT4, INT4, INT4, INT4, FLOAT8],
        TIMESTAMPTZ,
        fields::make_timestamptz,
    )
    .stable(),
    scalar(
        3463,
        "make_timestamptz",
        &[INT4, INT4, INT4, INT4, INT4, FLOAT8, TEXT],
        TIMESTAMPTZ,
        fields::make_timestamptz,
    )
    .stable(),
    scalar(
        3464,
        "make_interval",
        &[INT4, INT4, INT4, INT4, INT4, INT4, FLOAT8],
        INTERVAL,
        fields::make_interval,
    )
    .defaults(7),
    scalar(1158, "to_timestamp", &[FLOAT8], TIMESTAMPTZ, fields::to_timestamp),
    scalar(1299, "now", &[], TIMESTAMPTZ, now::transaction).stable(),
    scalar(2647, "transaction_timestamp", &[], TIMESTAMPTZ, now::transaction).stable(),
    scalar(2648, "statement_timestamp", &[], TIMESTAMPTZ, now::statement).stable(),
    scalar(2649, "clock_timestamp", &[], TIMESTAMPTZ, now::clock).volatile(),
    scalar(274, "timeofday", &[], TEXT, now::time_of_day).volatile(),
];
