//! Sizes of relations, and sizes to read.

use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::call::one;
use crate::types::{Datum, Numeric};

/// `pg_relation_size(relation [, fork])`, `pg_table_size`, `pg_total_relation_size`
pub(super) fn relation(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| context.catalog.relation_size(oid))
}

/// A unit: its name, below what it is used, whether one more bit is kept to round by.
struct Unit {
    name: &'static str,
    limit: i128,
    rounds: bool,
    bits: u32,
}

const fn unit(name: &'static str, bits: u32) -> Unit {
    Unit { name, limit: 20 * 1024 - 1, rounds: true, bits }
}

const UNITS: [Unit; 6] = [
    Unit { name: "bytes", limit: 10 * 1024, rounds: false, bits: 0 },
    unit("kB", 10),
    unit("MB", 20),
    unit("GB", 30),
    unit("TB", 40),
    unit("PB", 50),
];

fn pretty(size: i128) -> String {
    let mut size = size;
    for (i, unit) in UNITS.iter().enumerate() {
        match UNITS.get(i + 1) {
            Some(next) if size.abs() >= unit.limit => {
                let kept = u32::from(unit.rounds);
                let bits = next.bits - unit.bits - u32::from(next.rounds) + kept;
                size /= 1 << bits;
            }
            _ => {
                if unit.rounds {
                    size = (size + i128::from(size >= 0)) / 2;
                }
                return format!("{size} {}", unit.name);
            }
        }
    }
    format!("{size} bytes")
}

pub(super) fn size_pretty(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |size: i64| pretty(size.into()))
}

pub(super) fn numeric_size_pretty(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |size: &Numeric| {
        let whole = size.trunc(0)?.to_i128_scaled(0);
        Ok(match whole {
            Some(whole) if whole.abs() >= UNITS[0].limit => pretty(whole),
            _ => format!("{size} bytes"),
        })
    })
}
