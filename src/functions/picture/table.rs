//! `to_char`, `to_timestamp`, `to_date`, `to_number`.

use super::digits::Shape;
use super::number::{Digits, exponent_hashes, read, write, write_roman};
use super::{dates, digits, reading, times};
use crate::error::Result;
use crate::functions::call::{Date, Timestamp, Timestamptz, arg, two};
use crate::functions::numbers::ints::out_of_range;
use crate::functions::signature::scalar;
use crate::functions::signature::types::*;
use crate::functions::{EvalContext, Function};
use crate::types::datetime::{is_infinite, timestamptz_to_timestamp};
use crate::types::{Datum, Interval, Numeric};

/// The functions.
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(2049, "to_char", &[TIMESTAMP, TEXT], TEXT, timestamp_to_char).stable(),
    scalar(1770, "to_char", &[TIMESTAMPTZ, TEXT], TEXT, timestamptz_to_char).stable(),
    scalar(1768, "to_char", &[INTERVAL, TEXT], TEXT, interval_to_char).stable(),
    scalar(1772, "to_char", &[NUMERIC, TEXT], TEXT, numeric_to_char).stable(),
    scalar(1773, "to_char", &[INT4, TEXT], TEXT, int4_to_char).stable(),
    scalar(1774, "to_char", &[INT8, TEXT], TEXT, int8_to_char).stable(),
    scalar(1775, "to_char", &[FLOAT4, TEXT], TEXT, float4_to_char).stable(),
    scalar(1776, "to_char", &[FLOAT8, TEXT], TEXT, float8_to_char).stable(),
    scalar(1777, "to_number", &[TEXT, TEXT], NUMERIC, to_number).stable(),
    scalar(1778, "to_timestamp", &[TEXT, TEXT], TIMESTAMPTZ, to_timestamp).stable(),
    scalar(1780, "to_date", &[TEXT, TEXT], DATE, to_date).stable(),
];

fn timestamp_to_char(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: Timestamp, picture: &str| {
        if picture.is_empty() || is_infinite(t.0) {
            return Ok(None);
        }
        let moment = times::Moment::of_timestamp(t.0, None);
        times::write(&dates::parse(picture), &moment).map(Some)
    })
}

fn timestamptz_to_char(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |t: Timestamptz, picture: &str| {
        if picture.is_empty() || is_infinite(t.0) {
            return Ok(None);
        }
        let zone = &context.session.format.time_zone;
        let named = zone.at(t.0, |offset, abbreviation, _| (offset, abbreviation.to_owned()));
        let local = timestamptz_to_timestamp(t.0, zone)?;
        let moment = times::Moment::of_timestamp(local, Some(named));
        times::write(&dates::parse(picture), &moment).map(Some)
    })
}

fn interval_to_char(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |interval: &Interval, picture: &str| {
        if picture.is_empty() {
            return Ok(None);
        }
        times::write(&dates::parse(picture), &times::Moment::of_interval(interval)).map(Some)
    })
}

fn to_timestamp(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |text: &str, picture: &str| {
        let zone = &context.session.format.time_zone;
        reading::timestamp(text, picture, zone).map(Timestamptz)
    })
}

fn to_date(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |text: &str, picture: &str| reading::date(text, picture).map(Date))
}

/// The digits of a number rounded to the picture's places, and its sign.
fn signed(text: String) -> (String, bool) {
    match text.strip_prefix('-') {
        Some(digits) => (digits.to_owned(), true),
        None => (text, false),
    }
}

fn power_of_ten(exponent: i32) -> Result<Numeric> {
    Numeric::from_i64(10).power(&Numeric::from_i64(exponent.into()))
}

/// A number as `d.ddde+dd`, a blank for a plus.
fn scientific(value: &Numeric, shape: &Shape) -> Result<String> {
    if !value.is_finite() {
        return Ok(exponent_hashes(shape));
    }
    let text = value.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let exponent = match whole.trim_start_matches('0').len() {
        0 => fraction.find(|c| c != '0').map_or(0, |zeros| -(zeros as i32) - 1),
        digits => digits as i32 - 1,
    };
    let places = shape.after - exponent;
    let rounded = value.abs().round(places)?;
    let scaled = match exponent {
        0.. => rounded.mul(&Numeric::from_i128(1, exponent.unsigned_abs()))?,
        _ => rounded.mul(&power_of_ten(-exponent)?)?,
    };
    let mantissa = scaled.round(shape.after)?;
    let sign = if value.sign() < 0 { '-' } else { ' ' };
    let mark = if exponent < 0 { '-' } else { '+' };
    Ok(format!("{sign}{mantissa}e{mark}{:02}", exponent.abs()))
}

fn numeric_to_char(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |value: &Numeric, picture: &str| {
        let (nodes, mut shape) = digits::parse(picture)?;
        if shape.roman {
            return Ok(write_roman(&nodes, &shape, value.to_i32().unwrap_or(i32::MAX)));
        }
        if shape.exponent {
            return scientific(value, &shape);
        }
        let mut value = value.clone();
        if shape.shifts {
            value = value.mul(&power_of_ten(shape.shift)?)?;
            shape.before += shape.shift;
        }
        let (text, negative) = signed(value.round(shape.after)?.to_string());
        write(&nodes, shape, &Digits::fit(text, negative, &shape))
    })
}

/// An integer by a picture. One of 32 bits that is shifted out of them wraps, as PostgreSQL's.
fn int_to_char(value: i64, picture: &str, narrow: bool) -> Result<String> {
    let (nodes, mut shape) = digits::parse(picture)?;
    if shape.roman {
        let value = i32::try_from(value).map_err(|_| out_of_range("integer"))?;
        return Ok(write_roman(&nodes, &shape, value));
    }
    if shape.exponent {
        return scientific(&Numeric::from_i64(value), &shape);
    }
    let mut value = value;
    if shape.shifts {
        let factor = u32::try_from(shape.shift).ok().and_then(|n| 10_i64.checked_pow(n));
        let shifted = factor.and_then(|factor| value.checked_mul(factor));
        value = shifted.ok_or_else(|| out_of_range("bigint"))?;
        if narrow {
            value = i64::from(value as i32);
        }
        shape.before += shape.shift;
    }
    let (mut text, negative) = signed(value.to_string());
    if shape.after > 0 {
        text.push('.');
        text.push_str(&"0".repeat(shape.after as usize));
    }
    write(&nodes, shape, &Digits::fit(text, negative, &shape))
}

fn int4_to_char(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |value: i32, picture: &str| int_to_char(value.into(), picture, true))
}

fn int8_to_char(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |value: i64, picture: &str| int_to_char(value, picture, false))
}

/// A float by a picture: `digits` are those that its type is sure of.
fn float_to_char(value: f64, picture: &str, sure: i32, narrow: bool) -> Result<String> {
    let (nodes, mut shape) = digits::parse(picture)?;
    if shape.roman {
        return Ok(write_roman(&nodes, &shape, value.round_ties_even() as i32));
    }
    if shape.exponent {
        if !value.is_finite() {
            return Ok(exponent_hashes(&shape));
        }
        let text = format!("{:.*e}", shape.after.max(0) as usize, value.abs());
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if value.is_sign_negative() { '-' } else { ' ' };
        let mark = if exponent < 0 { '-' } else { '+' };
        return Ok(format!("{sign}{mantissa}e{mark}{:02}", exponent.abs()));
    }
    let mut value = value;
    if shape.shifts {
        let factor = 10_f64.powi(shape.shift);
        value = if narrow { f64::from((value * factor) as f32) } else { value * factor };
        shape.before += shape.shift;
    }
    let fixed = |value: f64, places: i32| match value {
        _ if value.is_nan() => "NaN".to_owned(),
        _ if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        _ => format!("{value:.*}", places.max(0) as usize),
    };
    let whole = fixed(value.abs(), 0).len() as i32;
    shape.after = match whole {
        _ if whole >= sure => 0,
        _ => shape.after.min(sure - whole),
    };
    let (text, negative) = signed(fixed(value, shape.after));
    write(&nodes, shape, &Digits::fit(text, negative, &shape))
}

fn float4_to_char(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |value: f32, picture: &str| float_to_char(value.into(), picture, 6, true))
}

fn float8_to_char(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |value: f64, picture: &str| float_to_char(value, picture, 15, false))
}

fn to_number(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (text, picture): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
    if picture.is_empty() {
        return Ok(Datum::Null);
    }
    let (nodes, shape) = digits::parse(picture)?;
    let (digits, after) = read(&nodes, &shape, text)?;
    let precision = shape.before + shape.shift + after;
    let typmod = (precision << 16 | after) + 4;
    let mut value = Numeric::parse(&digits)?.apply_typmod(typmod)?;
    if shape.shifts {
        value = value.mul(&power_of_ten(-shape.shift)?)?;
    }
    Ok(Datum::Numeric(value))
}
