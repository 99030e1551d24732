//! Ordered-set and hypothetical-set aggregates: `f(direct) WITHIN GROUP (ORDER BY key)`.
//!
//! They are given the direct arguments and the keys of each row, rows in the order of the keys.
//! Hypothetical-set aggregates are also told of each key whether it descends and whether NULLs
//! come first.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::functions::call::{Ret, arg};
use crate::functions::numbers::percent_g;
use crate::functions::{Accumulator, EvalContext, compare};
use crate::types::{Array, Datum, SqlType};

/// How many parts an argument of a hypothetical-set aggregate has: the value, the key, whether it
/// descends, whether NULLs come first.
const PARTS: usize = 4;

fn check(percentile: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&percentile) {
        return Ok(percentile);
    }
    Err(Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("percentile value {} is not between 0 and 1", percent_g(percentile)),
    ))
}

/// `percentile_cont`, `percentile_disc`: of one percentile, or of an array of them.
pub(super) struct Percentile<const CONTINUOUS: bool> {
    key: SqlType,
    percentile: Option<Datum>,
    values: Vec<Datum>,
}

impl<const CONTINUOUS: bool> Percentile<CONTINUOUS> {
    pub fn new(types: &[SqlType]) -> Percentile<CONTINUOUS> {
        let key = types.get(1).copied().unwrap_or(SqlType::UNKNOWN);
        Percentile { key, percentile: None, values: Vec::new() }
    }

    fn at(&self, percentile: f64) -> Result<Datum> {
        let rows = self.values.len();
        if !CONTINUOUS {
            let row = (percentile * rows as f64).ceil() as usize;
            return Ok(self.values[row.saturating_sub(1)].clone());
        }
        let place = percentile * (rows - 1) as f64;
        let (first, second) = (place.floor(), place.ceil());
        let (low, high) = (&self.values[first as usize], &self.values[second as usize]);
        if first == second {
            return Ok(low.clone());
        }
        between(low, high, place - first)
    }
}

/// The value at a proportion of the way between two.
fn between(low: &Datum, high: &Datum, proportion: f64) -> Result<Datum> {
    match (low, high) {
        (Datum::Float8(low), Datum::Float8(high)) => {
            Ok(Datum::Float8(low + proportion * (high - low)))
        }
        (Datum::Interval(low), Datum::Interval(high)) => {
            high.sub(low)?.mul(proportion)?.add(low)?.datum()
        }
        _ => Err(Error::internal("a percentile between values of this type")),
    }
}

impl<const CONTINUOUS: bool> Accumulator for Percentile<CONTINUOUS> {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        self.percentile.get_or_insert_with(|| args[0].clone());
        if !args[1].is_null() {
            self.values.push(args[1].clone());
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        match &self.percentile {
            None | Some(Datum::Null) => Ok(Datum::Null),
            Some(Datum::Array(percentiles)) => {
                if self.values.is_empty() {
                    return Ok(Datum::Null);
                }
                let of = |percentile: &Datum| match percentile {
                    Datum::Null => Ok(Datum::Null),
                    other => self.at(check(arg(std::slice::from_ref(other), 0)?)?),
                };
                let values = percentiles.values.iter().map(of).collect::<Result<_>>()?;
                let element = self.key.base;
                let lower_bound = percentiles.lower_bound;
                Ok(Datum::Array(Arc::new(Array { element, lower_bound, values })))
            }
            Some(one) => {
                let percentile = check(arg(std::slice::from_ref(one), 0)?)?;
                if self.values.is_empty() { Ok(Datum::Null) } else { self.at(percentile) }
            }
        }
    }
}

/// `mode`: the value that is there most often, the first of several.
#[derive(Default)]
pub(super) struct Mode {
    best: Option<(Datum, u64)>,
    running: Option<(Datum, u64)>,
}

impl Accumulator for Mode {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        let value = &args[0];
        if value.is_null() {
            return Ok(());
        }
        match &mut self.running {
            Some((same, count)) if compare(same, value).is_eq() => *count += 1,
            running => *running = Some((value.clone(), 1)),
        }
        let most = self.best.as_ref().map_or(0, |(_, count)| *count);
        if self.running.as_ref().is_some_and(|(_, count)| *count > most) {
            self.best.clone_from(&self.running);
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        Ok(self.best.as_ref().map_or(Datum::Null, |(value, _)| value.clone()))
    }
}

/// What a hypothetical row's place is counted as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
}

/// `rank`, `dense_rank`, `percent_rank`, `cume_dist` of a row that is not there.
pub(super) struct Hypothetical {
    place: Place,
    rows: u64,
    before: u64,
    equal: u64,
    distinct: u64,
    last: Option<Vec<Datum>>,
}

impl Hypothetical {
    pub fn new(place: Place) -> Hypothetical {
        Hypothetical { place, rows: 0, before: 0, equal: 0, distinct: 0, last: None }
    }
}

/// How a row's keys lie to the hypothetical row's.
fn order(args: &[Datum]) -> Ordering {
    let keys = args.len() / PARTS;
    for i in 0..keys {
        let (value, key) = (&args[i], &args[keys + i]);
        let flag = |at: usize| matches!(args[at * keys + i], Datum::Bool(true));
        let (descends, nulls_first) = (flag(2), flag(3));
        let order = match (key.is_null(), value.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => {
                if nulls_first {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (false, true) => {
                if nulls_first {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (false, false) if descends => compare(value, key),
            (false, false) => compare(key, value),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

impl Accumulator for Hypothetical {
    fn add(&mut self, _: &EvalContext, args: &[Datum]) -> Result<()> {
        self.rows += 1;
        match order(args) {
            Ordering::Less => {
                self.before += 1;
                let count = args.len() / PARTS;
                let keys = &args[count..2 * count];
                let same = |last: &Vec<Datum>| {
                    last.iter().zip(keys).all(|(a, b)| match (a.is_null(), b.is_null()) {
                        (false, false) => compare(a, b).is_eq(),
                        (a, b) => a == b,
                    })
                };
                if !self.last.as_ref().is_some_and(same) {
                    self.distinct += 1;
                    self.last = Some(keys.to_vec());
                }
            }
            Ordering::Equal => self.equal += 1,
            Ordering::Greater => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<Datum> {
        let (rows, before) = (self.rows as f64, self.before as f64);
        Ok(match self.place {
            Place::Rank => Datum::Int8(self.before as i64 + 1),
            Place::DenseRank => Datum::Int8(self.distinct as i64 + 1),
            Place::PercentRank if self.rows == 0 => Datum::Float8(0.0),
            Place::PercentRank => Datum::Float8(before / rows),
            Place::CumeDist => Datum::Float8((before + self.equal as f64 + 1.0) / (rows + 1.0)),
        })
    }
}
