//! The operators `~`, `~*` and the functions `regexp_*` of one value.

use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{arg, optional, two};
use crate::functions::strings::slice::byte_at;
use crate::types::{Array, BaseType, Datum};

use super::{Groups, Options, Regex, compile};

const PLAIN: Options = Options {
    global: false,
    fold: false,
    literal: false,
    expanded: false,
    dot_stops: false,
    lines: false,
};
const FOLDED: Options = Options { fold: true, ..PLAIN };

pub(in crate::functions::strings) fn is_match(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |text: &str, pattern: &str| Ok(compile(pattern, PLAIN)?.is_match(text)))
}

pub(in crate::functions::strings) fn is_no_match(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |text: &str, pattern: &str| Ok(!compile(pattern, PLAIN)?.is_match(text)))
}

pub(in crate::functions::strings) fn is_match_folded(
    _: &EvalContext,
    a: &[Datum],
) -> Result<Datum> {
    two(a, |text: &str, pattern: &str| Ok(compile(pattern, FOLDED)?.is_match(text)))
}

pub(in crate::functions::strings) fn is_no_match_folded(
    _: &EvalContext,
    a: &[Datum],
) -> Result<Datum> {
    two(a, |text: &str, pattern: &str| Ok(!compile(pattern, FOLDED)?.is_match(text)))
}

/// The options that the argument at `i` names.
pub(super) fn options(a: &[Datum], i: usize) -> Result<Options> {
    let mut options = PLAIN;
    for letter in optional::<&str>(a, i)?.unwrap_or("").chars() {
        options.set(letter)?;
    }
    Ok(options)
}

/// 22023 where a function that finds one match or says itself how many is given `g`.
pub(super) fn refuse_global(options: Options, function: &str) -> Result<Options> {
    if !options.global {
        return Ok(options);
    }
    let message = format!("{function}() does not support the \"global\" option");
    let error = Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    Err(match function {
        "regexp_match" => error.with_hint("Use the regexp_matches function instead."),
        _ => error,
    })
}

/// The groups of a match as texts; the whole match where there are none.
pub(super) fn group_texts(text: &str, groups: &Groups) -> Datum {
    let wanted = if groups.len() > 1 { &groups[1..] } else { &groups[..] };
    let values = wanted.iter().map(|g| g.map_or(Datum::Null, |(b, e)| Datum::text(&text[b..e])));
    Datum::Array(Arc::new(Array {
        element: BaseType::Text,
        lower_bound: 1,
        values: values.collect(),
    }))
}

pub(in crate::functions::strings) fn regexp_match(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (text, pattern): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
    let options = refuse_global(options(a, 2)?, "regexp_match")?;
    let found = compile(pattern, options)?.find_at(text, 0)?;
    Ok(found.map_or(Datum::Null, |groups| group_texts(text, &groups)))
}

/// `substring(text from pattern)`: the first group if there is one.
pub(in crate::functions::strings) fn substring(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (text, pattern): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
    let Some(groups) = compile(pattern, PLAIN)?.find_at(text, 0)? else {
        return Ok(Datum::Null);
    };
    let wanted = groups.get(1).unwrap_or(&groups[0]);
    Ok(wanted.map_or(Datum::Null, |(b, e)| Datum::text(&text[b..e])))
}

pub(in crate::functions::strings) fn regexp_like(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (text, pattern): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
    let options = refuse_global(options(a, 2)?, "regexp_like")?;
    Ok(Datum::Bool(compile(pattern, options)?.is_match(text)))
}

/// All matches from `from` on; an empty match moves the search on by one character.
pub(super) fn find_all(regex: &Regex, text: &str, from: usize) -> Result<Vec<Groups>> {
    let mut found = Vec::new();
    let mut from = from;
    while from <= text.len()
        && let Some(groups) = regex.find_at(text, from)?
    {
        let (begin, end) = groups[0].unwrap_or_default();
        found.push(groups);
        from = next_from(text, begin, end);
    }
    Ok(found)
}

/// Where to search after a match: one character on if it was empty.
fn next_from(text: &str, begin: usize, end: usize) -> usize {
    match text[end..].chars().next() {
        Some(c) if begin == end => end + c.len_utf8(),
        None if begin == end => end + 1,
        _ => end,
    }
}

/// An int4 argument that must be at least `min`, or its default.
fn parameter(a: &[Datum], i: usize, name: &str, min: i32, default: i32) -> Result<i32> {
    match optional(a, i)? {
        None => Ok(default),
        Some(value) if value < min => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"{name}\": {value}"),
        )),
        Some(value) => Ok(value),
    }
}

/// The byte that character `start` (from 1) begins at; none beyond the end.
fn start_byte(text: &str, start: i32) -> Option<usize> {
    let skipped = start as usize - 1;
    (skipped <= text.chars().count()).then(|| byte_at(text, skipped))
}

/// `regexp_count(text, pattern [, start [, flags]])`
pub(in crate::functions::strings) fn regexp_count(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (text, pattern): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
    let start = parameter(a, 2, "start", 1, 1)?;
    let options = refuse_global(options(a, 3)?, "regexp_count")?;
    let regex = compile(pattern, options)?;
    let count = match start_byte(text, start) {
        Some(from) => find_all(&regex, text, from)?.len(),
        None => 0,
    };
    Ok(Datum::Int4(count as i32))
}

/// `regexp_instr(text, pattern [, start [, N [, endoption [, flags [, subexpr]]]]])`
pub(in crate::functions::strings) fn regexp_instr(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (text, pattern): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
    let start = parameter(a, 2, "start", 1, 1)?;
    let nth = parameter(a, 3, "n", 1, 1)?;
    let end_option = parameter(a, 4, "endoption", 0, 0)?;
    if end_option > 1 {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"endoption\": {end_option}"),
        ));
    }
    let options = refuse_global(options(a, 5)?, "regexp_instr")?;
    let group = parameter(a, 6, "subexpr", 0, 0)?;
    let found = nth_group(text, pattern, options, start, nth, group)?;
    Ok(Datum::Int4(found.map_or(0, |(begin, end)| {
        let at = if end_option == 1 { end } else { begin };
        text[..at].chars().count() as i32 + 1
    })))
}

/// `regexp_substr(text, pattern [, start [, N [, flags [, subexpr]]]])`
pub(in crate::functions::strings) fn regexp_substr(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (text, pattern): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
    let start = parameter(a, 2, "start", 1, 1)?;
    let nth = parameter(a, 3, "n", 1, 1)?;
    let options = refuse_global(options(a, 4)?, "regexp_substr")?;
    let group = parameter(a, 5, "subexpr", 0, 0)?;
    let found = nth_group(text, pattern, options, start, nth, group)?;
    Ok(found.map_or(Datum::Null, |(begin, end)| Datum::text(&text[begin..end])))
}

/// The span of a group in the nth match.
fn nth_group(
    text: &str,
    pattern: &str,
    options: Options,
    start: i32,
    nth: i32,
    group: i32,
) -> Result<Option<(usize, usize)>> {
    let regex = compile(pattern, options)?;
    let Some(from) = start_byte(text, start) else { return Ok(None) };
    let found = find_all(&regex, text, from)?;
    let groups = found.get(nth as usize - 1);
    Ok(groups.and_then(|g| g.get(group as usize).copied().flatten()))
}

/// `regexp_replace(text, pattern, replacement [, flags])`
pub(in crate::functions::strings) fn regexp_replace(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    // A number where flags were meant, quoted: `regexp_replace('x', 'y', 'z', '1')`.
    if let Some(flags) = optional::<&str>(a, 3)?
        && flags.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid regular expression option: \"{}\"", &flags[..1]),
        )
        .with_hint(
            "If you meant to use regexp_replace() with a start parameter, cast the fourth \
             argument to integer explicitly.",
        ));
    }
    let options = options(a, 3)?;
    replace(arg(a, 0)?, arg(a, 1)?, arg(a, 2)?, options, 1, !options.global as i32)
}

/// `regexp_replace(text, pattern, replacement, start [, N [, flags]])`
pub(in crate::functions::strings) fn regexp_replace_from(
    _: &EvalContext,
    a: &[Datum],
) -> Result<Datum> {
    let start = parameter(a, 3, "start", 1, 1)?;
    let nth = parameter(a, 4, "n", 0, 1)?;
    let options = options(a, 5)?;
    let nth = if a.len() < 5 && options.global { 0 } else { nth };
    replace(arg(a, 0)?, arg(a, 1)?, arg(a, 2)?, options, start, nth)
}

/// Replaces the nth match from character `start` on; all of them for 0.
fn replace(
    text: &str,
    pattern: &str,
    replacement: &str,
    options: Options,
    start: i32,
    nth: i32,
) -> Result<Datum> {
    let regex = compile(pattern, options)?;
    let Some(mut from) = start_byte(text, start) else { return Ok(Datum::text(text)) };
    let mut out = String::with_capacity(text.len());
    let (mut copied, mut count) = (0, 0);
    while from <= text.len()
        && let Some(groups) = regex.find_at(text, from)?
    {
        let (begin, end) = groups[0].unwrap_or_default();
        from = next_from(text, begin, end);
        count += 1;
        if nth > 0 && count != nth {
            continue;
        }
        out.push_str(&text[copied..begin]);
        expand(replacement, text, &groups, &mut out);
        copied = end;
        if nth > 0 {
            break;
        }
    }
    out.push_str(&text[copied..]);
    Ok(Datum::text(out))
}

/// Writes the replacement: `\1` to `\9` are groups, `\&` the match, `\\` a backslash.
fn expand(replacement: &str, text: &str, groups: &Groups, out: &mut String) {
    let mut rest = replacement;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let group = match rest.bytes().next() {
            Some(b'&') => 0,
            Some(c @ b'1'..=b'9') => usize::from(c - b'0'),
            Some(b'\\') => {
                out.push('\\');
                rest = &rest[1..];
                continue;
            }
            // Not an escape: the backslash stays.
            _ => {
                out.push('\\');
                continue;
            }
        };
        rest = &rest[1..];
        if let Some((begin, end)) = groups.get(group).copied().flatten() {
            out.push_str(&text[begin..end]);
        }
    }
    out.push_str(rest);
}
