//! Rows as keys of hash tables: equal as `IS NOT DISTINCT FROM` has it.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::functions::{compare, hash_datum};
use crate::types::Datum;

/// A row that hashes and compares by its values; NULLs are equal to each other.
#[derive(Clone, Debug)]
pub struct RowKey(pub Vec<Datum>);

impl PartialEq for RowKey {
    fn eq(&self, other: &RowKey) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| same_value(a, b))
    }
}

impl Eq for RowKey {}

impl Hash for RowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|d| hash_datum(d, state));
    }
}

/// Whether two values are not distinct.
pub fn same_value(a: &Datum, b: &Datum) -> bool {
    match (a.is_null(), b.is_null()) {
        (false, false) => compare(a, b) == Ordering::Equal,
        (a, b) => a == b,
    }
}

/// Gives integers of every width one form, so that int4 meets int8 in a join.
pub fn widen(datum: Datum) -> Datum {
    match datum {
        Datum::Int2(v) => Datum::Int8(v.into()),
        Datum::Int4(v) => Datum::Int8(v.into()),
        other => other,
    }
}

/// A char(n) without its trailing blanks, which do not count in comparisons.
pub fn trimmed(datum: Datum) -> Datum {
    match datum {
        Datum::Text(text) if text.ends_with(' ') => Datum::text(text.trim_end_matches(' ')),
        other => other,
    }
}

/// The key that `row` makes: all its values, char(n) at the places `padded` without blanks.
pub fn row_key(row: &[Datum], padded: &[usize]) -> RowKey {
    let mut values = row.to_vec();
    for place in padded {
        let value = std::mem::replace(&mut values[*place], Datum::Null);
        values[*place] = trimmed(value);
    }
    RowKey(values)
}
