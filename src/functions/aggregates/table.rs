//! The aggregates.

use super::basic::*;
use super::new;
use crate::functions::Function;
use crate::functions::comparison::{Blanks, Same};
use crate::functions::signature::aggregate;
use crate::functions::signature::types::*;

/// The functions.
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    aggregate(2803, "count", &[], INT8, new::<Count>),
    aggregate(2147, "count", &[ANY], INT8, new::<Count>),
    aggregate(2109, "sum", &[INT2], INT8, new::<SumInts<i16>>),
    aggregate(2108, "sum", &[INT4], INT8, new::<SumInts<i32>>),
    aggregate(2110, "sum", &[FLOAT4], FLOAT4, new::<SumFloats<f32>>),
    aggregate(2111, "sum", &[FLOAT8], FLOAT8, new::<SumFloats<f64>>),
    aggregate(2131, "min", &[INT8], INT8, new::<Extreme<Same, false>>),
    aggregate(2132, "min", &[INT4], INT4, new::<Extreme<Same, false>>),
    aggregate(2133, "min", &[INT2], INT2, new::<Extreme<Same, false>>),
    aggregate(2134, "min", &[OID], OID, new::<Extreme<Same, false>>),
    aggregate(2135, "min", &[FLOAT4], FLOAT4, new::<Extreme<Same, false>>),
    aggregate(2136, "min", &[FLOAT8], FLOAT8, new::<Extreme<Same, false>>),
    aggregate(2138, "min", &[DATE], DATE, new::<Extreme<Same, false>>),
    aggregate(2139, "min", &[TIME], TIME, new::<Extreme<Same, false>>),
    aggregate(2142, "min", &[TIMESTAMP], TIMESTAMP, new::<Extreme<Same, false>>),
    aggregate(2143, "min", &[TIMESTAMPTZ], TIMESTAMPTZ, new::<Extreme<Same, false>>),
    aggregate(2144, "min", &[INTERVAL], INTERVAL, new::<Extreme<Same, false>>),
    aggregate(2145, "min", &[TEXT], TEXT, new::<Extreme<Same, false>>),
    aggregate(2146, "min", &[NUMERIC], NUMERIC, new::<Extreme<Same, false>>),
    aggregate(2051, "min", &[ANYARRAY], ANYARRAY, new::<Extreme<Same, false>>),
    aggregate(2245, "min", &[BPCHAR], BPCHAR, new::<Extreme<Blanks, false>>),
    aggregate(2115, "max", &[INT8], INT8, new::<Extreme<Same, true>>),
    aggregate(2116, "max", &[INT4], INT4, new::<Extreme<Same, true>>),
    aggregate(2117, "max", &[INT2], INT2, new::<Extreme<Same, true>>),
    aggregate(2118, "max", &[OID], OID, new::<Extreme<Same, true>>),
    aggregate(2119, "max", &[FLOAT4], FLOAT4, new::<Extreme<Same, true>>),
    aggregate(2120, "max", &[FLOAT8], FLOAT8, new::<Extreme<Same, true>>),
    aggregate(2122, "max", &[DATE], DATE, new::<Extreme<Same, true>>),
    aggregate(2123, "max", &[TIME], TIME, new::<Extreme<Same, true>>),
    aggregate(2126, "max", &[TIMESTAMP], TIMESTAMP, new::<Extreme<Same, true>>),
    aggregate(2127, "max", &[TIMESTAMPTZ], TIMESTAMPTZ, new::<Extreme<Same, true>>),
    aggregate(2128, "max", &[INTERVAL], INTERVAL, new::<Extreme<Same, true>>),
    aggregate(2129, "max", &[TEXT], TEXT, new::<Extreme<Same, true>>),
    aggregate(2130, "max", &[NUMERIC], NUMERIC, new::<Extreme<Same, true>>),
    aggregate(2050, "max", &[ANYARRAY], ANYARRAY, new::<Extreme<Same, true>>),
    aggregate(2244, "max", &[BPCHAR], BPCHAR, new::<Extreme<Blanks, true>>),
];
