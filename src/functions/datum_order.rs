//! The default order and hash of datums: what sorting, grouping and joining go by.
//!
//! Both sides have one type. Text compares by bytes (the C collation), NaN equals itself and comes
//! last, arrays and records compare item by item with NULL items last and equal to each other.
//!
//! A `char(n)` compares without its trailing blanks. Within one column of fixed length all values
//! are padded alike and [`compare`] is right; where lengths may differ (a union of two lengths),
//! strip them first, as the `bpchar` operators do.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::types::{Array, Datum};

/// The default btree order of two datums of one type. NULL comes last and equals NULL, as within
/// arrays and records.
#[inline]
pub fn compare(a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Int4(a), Datum::Int4(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b)) => a.cmp(b),
        (Datum::Text(a), Datum::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.cmp(b),
        _ => compare_others(a, b),
    }
}

fn compare_others(a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Int2(a), Datum::Int2(b)) => a.cmp(b),
        (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
        (Datum::Float4(a), Datum::Float4(b)) => compare_floats((*a).into(), (*b).into()),
        (Datum::Float8(a), Datum::Float8(b)) => compare_floats(*a, *b),
        (Datum::Bytea(a), Datum::Bytea(b)) => a.cmp(b),
        (Datum::Char(a), Datum::Char(b)) => a.cmp(b),
        (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Time(a), Datum::Time(b))
        | (Datum::Timestamp(a), Datum::Timestamp(b))
        | (Datum::Timestamptz(a), Datum::Timestamptz(b)) => a.cmp(b),
        (Datum::Interval(a), Datum::Interval(b)) => a.cmp(b),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        (Datum::Jsonb(a), Datum::Jsonb(b)) => a.compare(b),
        (Datum::Array(a), Datum::Array(b)) => compare_arrays(a, b),
        (Datum::Record(a), Datum::Record(b)) => compare_items(a, b),
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Greater,
        (_, Datum::Null) => Ordering::Less,
        _ => rank(a).cmp(&rank(b)),
    }
}

/// Keeps the order total should two types ever meet, which the binder prevents.
fn rank(d: &Datum) -> u8 {
    match d {
        Datum::Null => u8::MAX,
        Datum::Bool(_) => 0,
        Datum::Int2(_) => 1,
        Datum::Int4(_) => 2,
        Datum::Int8(_) => 3,
        Datum::Oid(_) => 4,
        Datum::Float4(_) => 5,
        Datum::Float8(_) => 6,
        Datum::Numeric(_) => 7,
        Datum::Text(_) => 8,
        Datum::Bytea(_) => 9,
        Datum::Char(_) => 10,
        Datum::Date(_) => 11,
        Datum::Time(_) => 12,
        Datum::Timestamp(_) => 13,
        Datum::Timestamptz(_) => 14,
        Datum::Interval(_) => 15,
        Datum::Uuid(_) => 16,
        Datum::Jsonb(_) => 17,
        Datum::Array(_) => 18,
        Datum::Record(_) => 19,
    }
}

/// PostgreSQL's order of floats: -0 equals 0, NaN equals NaN and is above all.
pub(super) fn compare_floats(a: f64, b: f64) -> Ordering {
    match a.partial_cmp(&b) {
        Some(order) => order,
        None => a.is_nan().cmp(&b.is_nan()),
    }
}

/// Arrays: items first, then the number of items, then where they start.
fn compare_arrays(a: &Array, b: &Array) -> Ordering {
    compare_items(&a.values, &b.values).then_with(|| match (a.values.len(), b.values.len()) {
        (0, 0) => Ordering::Equal,
        _ => a.lower_bound.cmp(&b.lower_bound),
    })
}

fn compare_items(a: &[Datum], b: &[Datum]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(a, b)| compare(a, b))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Hashes so that datums that are equal by [`compare`] hash alike.
pub fn hash_datum(datum: &Datum, state: &mut impl Hasher) {
    match datum {
        Datum::Null => u8::MAX.hash(state),
        Datum::Bool(v) => v.hash(state),
        Datum::Int2(v) => v.hash(state),
        Datum::Int4(v) => v.hash(state),
        Datum::Int8(v) => v.hash(state),
        Datum::Oid(v) => v.hash(state),
        Datum::Float4(v) => hash_float((*v).into(), state),
        Datum::Float8(v) => hash_float(*v, state),
        Datum::Text(v) => v.hash(state),
        Datum::Bytea(v) => v.hash(state),
        Datum::Char(v) => v.hash(state),
        Datum::Date(v) => v.hash(state),
        Datum::Time(v) | Datum::Timestamp(v) | Datum::Timestamptz(v) => v.hash(state),
        Datum::Uuid(v) => v.hash(state),
        Datum::Array(v) => hash_items(&v.values, state),
        Datum::Record(v) => hash_items(v, state),
        Datum::Numeric(v) => v.hash(state),
        Datum::Interval(v) => v.hash(state),
        Datum::Jsonb(v) => v.hash(state),
    }
}

fn hash_items(items: &[Datum], state: &mut impl Hasher) {
    items.len().hash(state);
    items.iter().for_each(|item| hash_datum(item, state));
}

/// All zeros alike, all NaN alike.
fn hash_float(v: f64, state: &mut impl Hasher) {
    let canonical = match v {
        0.0 => 0.0,
        v if v.is_nan() => f64::NAN,
        v => v,
    };
    canonical.to_bits().hash(state);
}
