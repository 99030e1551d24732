//! `concat`, `format`, and quoting: what takes values of any type as text.

use crate::error::{Error, Result, SqlState};
use crate::functions::call::{arg, one, optional};
use crate::functions::{EvalContext, text_out};
use crate::types::{Array, Datum, SqlType};

use super::basic::{VALUE_BYTES_MAX, too_large};
use super::quote::{quote_identifier, quote_literal};

/// `concat(…)`: NULLs are nothing.
pub(super) fn concat(context: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    let mut out = String::new();
    for (datum, ty) in a.iter().zip(types) {
        text_out(context, datum, *ty, &mut out);
    }
    Ok(Datum::text(out))
}

/// `concat_ws(separator, …)`: NULLs are left out.
pub(super) fn concat_ws(context: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    let Some(separator) = optional::<&str>(a, 0)? else { return Ok(Datum::Null) };
    let mut out = String::new();
    let values = a.iter().zip(types).skip(1).filter(|(datum, _)| !datum.is_null());
    for (i, (datum, ty)) in values.enumerate() {
        if i > 0 {
            out.push_str(separator);
        }
        text_out(context, datum, *ty, &mut out);
    }
    Ok(Datum::text(out))
}

/// `array_to_string(array, separator [, text for NULL])`
pub(super) fn array_to_string(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (Some(array), Some(separator)) = (optional::<&Array>(a, 0)?, optional::<&str>(a, 1)?)
    else {
        return Ok(Datum::Null);
    };
    let null: Option<&str> = optional(a, 2)?;
    let element = SqlType::of(array.element);
    let mut out = String::new();
    let mut first = true;
    for value in array.values.iter().filter(|v| !v.is_null() || null.is_some()) {
        if !first {
            out.push_str(separator);
        }
        first = false;
        match value {
            Datum::Null => out.push_str(null.unwrap_or("")),
            value => text_out(context, value, element, &mut out),
        }
    }
    Ok(Datum::text(out))
}

/// `quote_literal(anyelement)`, `quote_nullable(anyelement)`
pub(super) fn quote_value(context: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    if a[0].is_null() {
        return Ok(Datum::text("NULL"));
    }
    let mut text = String::new();
    text_out(context, &a[0], types[0], &mut text);
    Ok(Datum::text(quote_literal(&text)))
}

pub(super) fn quote_ident(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| quote_identifier(name).into_owned())
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// One `%[position$][-][width]type`.
struct Specifier {
    position: Option<i32>,
    left: bool,
    width: Width,
    kind: char,
}

enum Width {
    None,
    Fixed(i32),
    /// `*`, or `*position$`
    Argument(Option<i32>),
}

/// `format(text, …)`
pub(super) fn format(context: &EvalContext, types: &[SqlType], a: &[Datum]) -> Result<Datum> {
    let Some(template) = optional::<&str>(a, 0)? else { return Ok(Datum::Null) };
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    // The argument used last; the template is number 0.
    let mut used = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (specifier, after) = parse_specifier(rest)?;
        rest = after;
        let mut take = |position: Option<i32>| -> Result<usize> {
            used = position.map_or(used + 1, |p| p as usize);
            match used < a.len() {
                true => Ok(used),
                false => Err(invalid("too few arguments for format()")),
            }
        };
        let (mut width, mut left) = (0, specifier.left);
        match specifier.width {
            Width::None => {}
            Width::Fixed(w) => width = w,
            Width::Argument(position) => {
                let i = take(position)?;
                width = width_argument(context, types[i], &a[i])?;
            }
        }
        if width < 0 {
            left = true;
            width = width.checked_neg().ok_or_else(|| invalid("number is out of range"))?;
        }
        let i = take(specifier.position)?;
        let text = converted(context, specifier.kind, types[i], &a[i])?;
        push_padded(&mut out, &text, width as usize, left)?;
    }
    out.push_str(rest);
    Ok(Datum::text(out))
}

fn converted(context: &EvalContext, kind: char, ty: SqlType, datum: &Datum) -> Result<String> {
    if datum.is_null() {
        return match kind {
            's' => Ok(String::new()),
            'L' => Ok("NULL".to_owned()),
            _ => Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "null values cannot be formatted as an SQL identifier",
            )),
        };
    }
    let mut text = String::new();
    text_out(context, datum, ty, &mut text);
    Ok(match kind {
        's' => text,
        'L' => quote_literal(&text),
        _ => quote_identifier(&text).into_owned(),
    })
}

fn width_argument(context: &EvalContext, ty: SqlType, datum: &Datum) -> Result<i32> {
    match datum {
        Datum::Null => Ok(0),
        Datum::Int4(w) => Ok(*w),
        Datum::Int2(w) => Ok(i32::from(*w)),
        other => {
            let cast = crate::functions::apply_cast(
                context,
                crate::functions::apply_cast(context, other.clone(), ty, SqlType::TEXT, true)?,
                SqlType::TEXT,
                SqlType::INT4,
                true,
            )?;
            arg(&[cast], 0)
        }
    }
}

fn push_padded(out: &mut String, text: &str, width: usize, left: bool) -> Result<()> {
    let missing = width.saturating_sub(text.chars().count());
    if missing > VALUE_BYTES_MAX {
        return Err(too_large());
    }
    let blanks = std::iter::repeat_n(' ', missing);
    if left {
        out.push_str(text);
        out.extend(blanks);
    } else {
        out.extend(blanks);
        out.push_str(text);
    }
    Ok(())
}

/// Reads what follows a `%`, and gives what follows it.
fn parse_specifier(rest: &str) -> Result<(Specifier, &str)> {
    let unterminated = || {
        invalid("unterminated format() type specifier").with_hint("For a single \"%\" use \"%%\".")
    };
    let mut specifier = Specifier { position: None, left: false, width: Width::None, kind: 's' };
    let mut rest = rest;
    // Digits are a position if `$` follows, else a width.
    if let (Some(number), after) = digits(rest)? {
        if let Some(after) = after.strip_prefix('$') {
            specifier.position = Some(position(number)?);
            rest = after;
        } else {
            specifier.width = Width::Fixed(number);
            rest = after;
        }
    }
    if matches!(specifier.width, Width::None) {
        while let Some(after) = rest.strip_prefix('-') {
            specifier.left = true;
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('*') {
            rest = after;
            let (number, after) = digits(rest)?;
            let named = number.map(position).transpose()?;
            if named.is_some() {
                rest = after
                    .strip_prefix('$')
                    .ok_or_else(|| invalid("width argument position must be ended by \"$\""))?;
            }
            specifier.width = Width::Argument(named);
        } else if let (Some(number), after) = digits(rest)? {
            specifier.width = Width::Fixed(number);
            rest = after;
        }
    }
    let kind = rest.chars().next().ok_or_else(unterminated)?;
    if !matches!(kind, 's' | 'I' | 'L') {
        return Err(invalid(format!("unrecognized format() type specifier \"{kind}\""))
            .with_hint("For a single \"%\" use \"%%\"."));
    }
    specifier.kind = kind;
    Ok((specifier, &rest[1..]))
}

fn position(number: i32) -> Result<i32> {
    match number {
        0 => Err(invalid("format specifies argument 0, but arguments are numbered from 1")),
        n => Ok(n),
    }
}

fn digits(s: &str) -> Result<(Option<i32>, &str)> {
    let end = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    match end {
        0 => Ok((None, s)),
        _ => {
            let number = s[..end].parse().map_err(|_| {
                Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range")
            })?;
            Ok((Some(number), &s[end..]))
        }
    }
}
