//! The order of values that Cassandra's types define, on stored bytes.
//!
//! Clusterings, elements of sets and keys of maps are sorted by it. No bytes at all come first.
//! Bytes that are no value of their type compare as bytes, so that nothing here fails: what is
//! wrong with them is said when they are made into columns.

use std::cmp::Ordering;

use super::bytes::Cursor;
use super::numbers;
use super::types::{CqlType, Place};

/// Compares two clustering values; null comes first, in descending order too.
pub(super) fn clustering(place: &Place, a: Option<&[u8]>, b: Option<&[u8]>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) if place.reversed => values(&place.ty, b, a),
        (Some(a), Some(b)) => values(&place.ty, a, b),
    }
}

/// Compares paths of cells within a column: elements of sets, keys of maps, places in lists and
/// user types.
pub(super) fn paths(ty: &CqlType, a: &[u8], b: &[u8]) -> Ordering {
    match ty {
        CqlType::Set(element) => values(element, a, b),
        CqlType::Map(key, _) => values(key, a, b),
        CqlType::List(_) => values(&CqlType::TimeUuid, a, b),
        _ => values(&CqlType::SmallInt, a, b),
    }
}

/// Compares two values of a type.
pub(super) fn values(ty: &CqlType, a: &[u8], b: &[u8]) -> Ordering {
    if a.is_empty() || b.is_empty() {
        return a.len().cmp(&b.len());
    }
    match ty {
        CqlType::TinyInt
        | CqlType::SmallInt
        | CqlType::Int
        | CqlType::BigInt
        | CqlType::Counter
        | CqlType::Timestamp => signed(a, b),
        CqlType::Float => floats(a, b, |v: [u8; 4]| f64::from(f32::from_be_bytes(v))),
        CqlType::Double => floats(a, b, f64::from_be_bytes),
        CqlType::Uuid => uuids(a, b),
        CqlType::TimeUuid => time_uuids(a, b),
        CqlType::Varint => varints(a, b),
        CqlType::Decimal => decimals(a, b),
        CqlType::List(element) | CqlType::Set(element) => lists(a, b, &[element]),
        CqlType::Map(key, value) => lists(a, b, &[key, value]),
        CqlType::Tuple(parts) => tuples(a, b, parts.iter()),
        CqlType::User(user) => tuples(a, b, user.fields.iter().map(|(_, ty)| ty)),
        CqlType::Vector(element, n) => vectors(a, b, element, *n),
        _ => a.cmp(b),
    }
}

fn signed(a: &[u8], b: &[u8]) -> Ordering {
    let first = |v: &[u8]| v.first().map_or(0, |b| *b as i8);
    first(a).cmp(&first(b)).then_with(|| a.cmp(b))
}

/// As Java compares: minus zero before zero, all NaNs equal and last.
fn floats<const N: usize>(a: &[u8], b: &[u8], number: fn([u8; N]) -> f64) -> Ordering {
    let (Ok(x), Ok(y)) = (a.try_into(), b.try_into()) else { return a.cmp(b) };
    let one = |v: f64| if v.is_nan() { f64::NAN.abs() } else { v };
    one(number(x)).total_cmp(&one(number(y)))
}

fn halves(v: &[u8]) -> Option<(u64, u64)> {
    let whole = u128::from_be_bytes(v.try_into().ok()?);
    Some(((whole >> 64) as u64, whole as u64))
}

/// The time in a version 1 UUID's first half.
fn time_of(high: u64) -> u64 {
    (high & 0xfff) << 48 | (high >> 16 & 0xffff) << 32 | high >> 32
}

fn uuids(a: &[u8], b: &[u8]) -> Ordering {
    let (Some((a_high, a_low)), Some((b_high, b_low))) = (halves(a), halves(b)) else {
        return a.cmp(b);
    };
    let version = |high: u64| high >> 12 & 0xf;
    version(a_high)
        .cmp(&version(b_high))
        .then_with(|| match version(a_high) {
            1 => time_of(a_high).cmp(&time_of(b_high)),
            _ => a_high.cmp(&b_high),
        })
        .then_with(|| a_low.cmp(&b_low))
}

/// By time, then by the other bytes as signed ones.
fn time_uuids(a: &[u8], b: &[u8]) -> Ordering {
    let (Some((a_high, a_low)), Some((b_high, b_low))) = (halves(a), halves(b)) else {
        return a.cmp(b);
    };
    const SIGNS: u64 = 0x8080_8080_8080_8080;
    time_of(a_high).cmp(&time_of(b_high)).then_with(|| (a_low ^ SIGNS).cmp(&(b_low ^ SIGNS)))
}

fn varints(a: &[u8], b: &[u8]) -> Ordering {
    let negative = |v: &[u8]| v.first().is_some_and(|b| *b >= 0x80);
    if negative(a) != negative(b) {
        return negative(b).cmp(&negative(a));
    }
    // Without the bytes that only repeat the sign.
    let sign = if negative(a) { 0xff } else { 0 };
    let trim = |v: &'_ [u8]| v.iter().take_while(|b| **b == sign).count();
    let (a, b) = (&a[trim(a)..], &b[trim(b)..]);
    let by_length = if sign == 0 { a.len().cmp(&b.len()) } else { b.len().cmp(&a.len()) };
    by_length.then_with(|| a.cmp(b))
}

fn decimals(a: &[u8], b: &[u8]) -> Ordering {
    match (magnitude(a), magnitude(b)) {
        (Some(a), Some(b)) => a.sign.cmp(&b.sign).then_with(|| {
            let larger = a.exponent.cmp(&b.exponent).then_with(|| a.digits.cmp(&b.digits));
            if a.sign < 0 { larger.reverse() } else { larger }
        }),
        _ => a.cmp(b),
    }
}

/// A decimal as `sign × 0.digits × 10^exponent`, without zeros at either end.
struct Magnitude {
    sign: i8,
    exponent: i64,
    digits: String,
}

fn magnitude(bytes: &[u8]) -> Option<Magnitude> {
    let (scale, unscaled) = bytes.split_first_chunk::<4>()?;
    let mut text = String::new();
    numbers::write_varint(unscaled, &mut text).ok()?;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text.trim_start_matches('-');
    if digits == "0" {
        return Some(Magnitude { sign: 0, exponent: 0, digits: String::new() });
    }
    let exponent = digits.len() as i64 - i64::from(i32::from_be_bytes(*scale));
    Some(Magnitude { sign, exponent, digits: digits.trim_end_matches('0').to_owned() })
}

/// Collections: element by element, then the shorter first.
fn lists(a: &[u8], b: &[u8], types: &[&CqlType]) -> Ordering {
    let (mut x, mut y) = (Cursor::new(a), Cursor::new(b));
    let (Ok(x_count), Ok(y_count)) = (x.i32(), y.i32()) else { return a.cmp(b) };
    for _ in 0..x_count.min(y_count) {
        for ty in types {
            let (Some(x), Some(y)) = (part(&mut x), part(&mut y)) else { return a.cmp(b) };
            let order = values(ty, x.unwrap_or_default(), y.unwrap_or_default());
            if order != Ordering::Equal {
                return order;
            }
        }
    }
    x_count.cmp(&y_count)
}

/// Tuples and user types: null first; parts that are not there are null.
fn tuples<'a>(a: &[u8], b: &[u8], types: impl Iterator<Item = &'a CqlType>) -> Ordering {
    let (mut x, mut y) = (Cursor::new(a), Cursor::new(b));
    for ty in types {
        let next = |cursor: &mut Cursor<'_>| cursor.remaining() > 0;
        let one = if next(&mut x) { part(&mut x) } else { Some(None) };
        let other = if next(&mut y) { part(&mut y) } else { Some(None) };
        let order = match (one, other) {
            (Some(Some(x)), Some(Some(y))) => values(ty, x, y),
            (Some(x), Some(y)) => x.is_some().cmp(&y.is_some()),
            _ => return a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn vectors<'a>(a: &'a [u8], b: &'a [u8], element: &CqlType, n: usize) -> Ordering {
    let (mut x, mut y) = (Cursor::new(a), Cursor::new(b));
    let next = |cursor: &mut Cursor<'a>| match element.fixed_length() {
        Some(n) => cursor.take(n),
        None => cursor.prefixed(),
    };
    for _ in 0..n {
        let (Ok(x), Ok(y)) = (next(&mut x), next(&mut y)) else { return a.cmp(b) };
        let order = values(element, x, y);
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// A part of a frozen value: nothing where the bytes end, `Some(None)` for null.
fn part<'a>(cursor: &mut Cursor<'a>) -> Option<Option<&'a [u8]>> {
    match usize::try_from(cursor.i32().ok()?) {
        Ok(n) => cursor.take(n).ok().map(Some),
        Err(_) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values in their order.
    fn ordered(ty: &CqlType, all: &[&[u8]]) {
        for (n, a) in all.iter().enumerate() {
            for (m, b) in all.iter().enumerate() {
                assert_eq!(values(ty, a, b), n.cmp(&m), "{ty}: {a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn numbers_compare_as_numbers() {
        let int = |n: i32| n.to_be_bytes();
        ordered(&CqlType::Int, &[b"", &int(i32::MIN), &int(-1), &int(0), &int(7), &int(i32::MAX)]);
        ordered(&CqlType::Varint, &[&[0xfe, 0xff], &[0x80], &[0xff], &[0], &[0, 0x80], &[1, 0]]);
        assert_eq!(values(&CqlType::Varint, &[0, 1], &[1]), Ordering::Equal);
        let double = |n: f64| n.to_be_bytes();
        let all = [f64::NEG_INFINITY, -1.0, -0.0, 0.0, 1.0, f64::INFINITY, f64::NAN];
        let all = all.map(double);
        ordered(&CqlType::Double, &all.iter().map(|d| d.as_slice()).collect::<Vec<_>>());
        let decimal = |scale: i32, v: i8| [&scale.to_be_bytes()[..], &[v as u8]].concat();
        let all = [decimal(0, -12), decimal(1, -12), decimal(0, 0), decimal(2, 12), decimal(1, 12)];
        ordered(&CqlType::Decimal, &all.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(values(&CqlType::Decimal, &decimal(1, 10), &decimal(0, 1)), Ordering::Equal);
    }

    #[test]
    fn time_uuids_compare_by_time() {
        let early = 0xffff_ffff_0000_1000_8000_0000_0000_0000_u128.to_be_bytes();
        let late = 0x0000_0000_0001_1000_8000_0000_0000_0000_u128.to_be_bytes();
        let signed = 0x0000_0000_0001_1000_7f00_0000_0000_0000_u128.to_be_bytes();
        ordered(&CqlType::TimeUuid, &[&early, &late, &signed]);
        ordered(&CqlType::Uuid, &[&early, &signed, &late]);
    }

    #[test]
    fn parts_compare_in_turn() {
        let list = |parts: &[i32]| {
            let mut bytes = (parts.len() as i32).to_be_bytes().to_vec();
            for part in parts {
                bytes.extend_from_slice(&[0, 0, 0, 4]);
                bytes.extend_from_slice(&part.to_be_bytes());
            }
            bytes
        };
        let ty = CqlType::List(Box::new(CqlType::Int));
        ordered(&ty, &[&list(&[]), &list(&[-1, 5]), &list(&[1]), &list(&[1, 0]), &list(&[2])]);
        let ty = CqlType::Tuple(vec![CqlType::Int, CqlType::Int]);
        let null = [0xff; 4];
        let one = &list(&[1])[4..];
        let (none, both) = ([&null[..], one].concat(), [one, one].concat());
        ordered(&ty, &[&none, one, &both]);
    }
}
