//! Floats in text: the fewest digits that read back the same, laid out as C's `%g` would.

use super::invalid_syntax;
use crate::error::{Error, Result, SqlState};
use crate::types::numeric::trim_space;

/// What C's strtod would read of the whole text.
fn parse(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let unsigned = match bytes.first()? {
        b'+' | b'-' => &text[1..],
        _ => text,
    };
    if unsigned.len() > 2 && unsigned.as_bytes()[0] == b'0' && unsigned.as_bytes()[1] | 32 == b'x' {
        let value = parse_hexadecimal(&unsigned[2..])?;
        return Some(if bytes[0] == b'-' { -value } else { value });
    }
    // Rust reads what C does, and refuses a second sign; its own words are C's too.
    text.parse().ok()
}

/// Digits of base 16 with a point and a binary exponent (`1.8p3`).
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = match text.split_once(['p', 'P']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0f64;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    let shift = exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    Some(value * 2f64.powi(shift))
}

/// Whether the digits before any exponent are all zero.
fn is_zero_text(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let is_hexadecimal = digits.starts_with("0x") || digits.starts_with("0X");
    let end = digits.find(if is_hexadecimal { ['p', 'P'] } else { ['e', 'E'] });
    !digits[..end.unwrap_or(digits.len())].contains(|c: char| c.is_ascii_hexdigit() && c != '0')
}

fn out_of_range(type_name: &str, text: &str) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{text}\" is out of range for type {type_name}"),
    )
}

fn is_infinity(text: &str) -> bool {
    text.trim_start_matches(['+', '-']).starts_with(['i', 'I'])
}

/// Reads a double precision.
pub(super) fn parse_f64(text: &str) -> Result<f64> {
    let trimmed = trim_space(text);
    let value = parse(trimmed).ok_or_else(|| invalid_syntax("double precision", text))?;
    let lost = value.is_infinite() && !is_infinity(trimmed);
    if lost || (value == 0.0 && !is_zero_text(trimmed)) {
        return Err(out_of_range("double precision", trimmed));
    }
    Ok(value)
}

/// Reads a real.
pub(super) fn parse_f32(text: &str) -> Result<f32> {
    let trimmed = trim_space(text);
    let value = match trimmed.parse::<f32>() {
        Ok(value) => value,
        Err(_) => parse(trimmed).ok_or_else(|| invalid_syntax("real", text))? as f32,
    };
    let lost = value.is_infinite() && !is_infinity(trimmed);
    if lost || (value == 0.0 && !is_zero_text(trimmed)) {
        return Err(out_of_range("real", trimmed));
    }
    Ok(value)
}

/// Writes a double precision.
pub fn write_f64(value: f64, extra_digits: i32, out: &mut String) {
    if write_special(value, out) {
        return;
    }
    if extra_digits > 0 {
        layout(&format!("{value:e}"), 15, out);
    } else {
        let digits = (15 + extra_digits).max(1);
        layout(&format!("{:.*e}", digits as usize - 1, value), digits, out);
    }
}

/// Writes a real.
pub fn write_f32(value: f32, extra_digits: i32, out: &mut String) {
    if write_special(f64::from(value), out) {
        return;
    }
    if extra_digits > 0 {
        layout(&format!("{value:e}"), 6, out);
    } else {
        let digits = (6 + extra_digits).max(1);
        layout(&format!("{:.*e}", digits as usize - 1, value), digits, out);
    }
}

fn write_special(value: f64, out: &mut String) -> bool {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    !value.is_finite()
}

/// Lays out `d.ddde±x`: plainly for exponents from -4 below `exponent_max`, else with an exponent
/// of at least two digits. Trailing zeros of the fraction are dropped.
fn layout(scientific: &str, exponent_max: i32, out: &mut String) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (first, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    out.push_str(sign);
    if !(-4..exponent_max).contains(&exponent) {
        out.push_str(first);
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
        }
        out.push('e');
        out.push(if exponent < 0 { '-' } else { '+' });
        if exponent.abs() < 10 {
            out.push('0');
        }
        super::write_i64(i64::from(exponent.abs()), out);
    } else if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', -exponent as usize - 1));
        out.push_str(first);
        out.push_str(fraction);
    } else {
        let before = exponent as usize;
        out.push_str(first);
        if fraction.len() <= before {
            out.push_str(fraction);
            out.extend(std::iter::repeat_n('0', before - fraction.len()));
        } else {
            out.push_str(&fraction[..before]);
            out.push('.');
            out.push_str(&fraction[before..]);
        }
    }
}
