//! One-dimensional arrays and their text form (`{1,NULL,"a b"}`).
//!
//! Arrays of more dimensions are refused by name. Element text goes through the callers'
//! functions, so that nothing here depends on the element's type.

use super::numeric::is_space;
use super::{BaseType, Datum};
use crate::error::{Error, Result, SqlState};

/// A one-dimensional array; without values it has no dimension.
#[derive(Clone, Debug)]
pub struct Array {
    /// Type of the elements.
    pub element: BaseType,
    /// Index of the first element, 1 unless said otherwise.
    pub lower_bound: i32,
    /// The elements.
    pub values: Vec<Datum>,
}

impl Array {
    /// An array counted from 1.
    pub fn new(element: BaseType, values: Vec<Datum>) -> Array {
        Array { element, lower_bound: 1, values }
    }

    /// The index of the last element; none without elements.
    pub fn upper_bound(&self) -> Option<i32> {
        let count = i32::try_from(self.values.len()).ok().filter(|&n| n > 0)?;
        self.lower_bound.checked_add(count - 1)
    }

    /// The element at an index; none outside the bounds.
    pub fn get(&self, index: i32) -> Option<&Datum> {
        let offset = i64::from(index) - i64::from(self.lower_bound);
        self.values.get(usize::try_from(offset).ok()?)
    }
}

fn malformed(text: &str, detail: &str) -> Error {
    let message = format!("malformed array literal: \"{text}\"");
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message).with_detail(detail)
}

fn unexpected(text: &str, c: char) -> Error {
    malformed(text, &format!("Unexpected \"{c}\" character."))
}

/// Reads an array; `parse_element` makes a value of one element's text.
pub fn parse(
    text: &str,
    element: BaseType,
    mut parse_element: impl FnMut(&str) -> Result<Datum>,
) -> Result<Array> {
    let (bounds, body) = parse_bounds(text)?;
    let Some(body) = body.strip_prefix('{') else {
        let detail = if bounds.is_some() {
            "Array contents must start with \"{\"."
        } else {
            "Array value must start with \"{\" or dimension information."
        };
        return Err(malformed(text, detail));
    };
    let mut items = Items { text, rest: body, item: String::new() };
    let mut values = Vec::new();
    let mut open = !items.at_end_of_empty();
    while open {
        let quoted = items.read_item()?;
        values.push(if !quoted && items.item.eq_ignore_ascii_case("null") {
            Datum::Null
        } else {
            parse_element(&items.item)?
        });
        open = items.read_delimiter()?;
    }
    if !items.rest.trim_matches(is_space).is_empty() {
        return Err(malformed(text, "Junk after closing right brace."));
    }
    if bounds.is_some_and(|(_, count)| count != values.len() as i64) {
        return Err(malformed(text, "Specified array dimensions do not match array contents."));
    }
    let lower_bound = bounds.map_or(1, |(lower, _)| lower);
    Ok(Array { element, lower_bound, values })
}

/// Reads `[lower:upper]=` in front, if it is there: the lower bound and the number of elements.
fn parse_bounds(text: &str) -> Result<(Option<(i32, i64)>, &str)> {
    let start = text.trim_start_matches(is_space);
    let Some(inner) = start.strip_prefix('[') else {
        return Ok((None, start));
    };
    let (first, rest) = split_number(inner);
    if first.is_empty() {
        let detail = "\"[\" must introduce explicitly-specified array dimensions.";
        return Err(malformed(text, detail));
    }
    let (lower, upper, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let (second, rest) = split_number(rest);
            if second.is_empty() {
                return Err(malformed(text, "Missing array dimension value."));
            }
            (bound(first)?, bound(second)?, rest)
        }
        None => (1, bound(first)?, rest),
    };
    let Some(rest) = rest.strip_prefix(']') else {
        return Err(malformed(text, "Missing \"]\" after array dimensions."));
    };
    if upper < lower {
        return Err(Error::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "upper bound cannot be less than lower bound",
        ));
    }
    let rest = rest.trim_start_matches(is_space);
    if rest.starts_with('[') {
        return Err(Error::unsupported("an array of more than one dimension"));
    }
    let Some(rest) = rest.strip_prefix('=') else {
        return Err(malformed(text, "Missing \"=\" after array dimensions."));
    };
    let count = i64::from(upper) - i64::from(lower) + 1;
    Ok((Some((lower, count)), rest.trim_start_matches(is_space)))
}

fn split_number(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_digit() || c == '-' || c == '+';
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

fn bound(digits: &str) -> Result<i32> {
    digits.parse().map_err(|_| {
        Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{digits}\" is out of range for type integer"),
        )
    })
}

/// The elements between the braces.
struct Items<'a> {
    text: &'a str,
    rest: &'a str,
    /// Text of the element read last.
    item: String,
}

impl Items<'_> {
    /// Takes the brace that closes an array without elements, if that is what follows.
    fn at_end_of_empty(&mut self) -> bool {
        match self.rest.trim_start_matches(is_space).strip_prefix('}') {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn end(&self) -> Error {
        malformed(self.text, "Unexpected end of input.")
    }

    /// Reads one element into `item`; whether any of it was quoted or escaped.
    fn read_item(&mut self) -> Result<bool> {
        self.item.clear();
        self.rest = self.rest.trim_start_matches(is_space);
        if let Some(rest) = self.rest.strip_prefix('"') {
            self.rest = rest;
            self.read_quoted()?;
            return Ok(true);
        }
        let mut escaped = false;
        // Blanks at the end do not count, unless escaped.
        let mut end = 0;
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                ',' | '}' => {
                    if self.item.is_empty() {
                        return Err(unexpected(self.text, c));
                    }
                    self.rest = &self.rest[at..];
                    self.item.truncate(end);
                    return Ok(escaped);
                }
                '{' if self.item.is_empty() => {
                    return Err(Error::unsupported("an array of more than one dimension"));
                }
                '{' => return Err(unexpected(self.text, c)),
                '"' => return Err(malformed(self.text, "Unexpected array element.")),
                '\\' => {
                    let (_, c) = chars.next().ok_or_else(|| self.end())?;
                    escaped = true;
                    self.item.push(c);
                    end = self.item.len();
                }
                c => {
                    self.item.push(c);
                    if !is_space(c) {
                        end = self.item.len();
                    }
                }
            }
        }
        Err(self.end())
    }

    fn read_quoted(&mut self) -> Result<()> {
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(());
                }
                '\\' => {
                    let (_, c) = chars.next().ok_or_else(|| self.end())?;
                    self.item.push(c);
                }
                c => self.item.push(c),
            }
        }
        Err(self.end())
    }

    /// Reads what follows an element; whether another one does.
    fn read_delimiter(&mut self) -> Result<bool> {
        let rest = self.rest.trim_start_matches(is_space);
        let next = rest.chars().next().ok_or_else(|| self.end())?;
        self.rest = &rest[next.len_utf8()..];
        match next {
            ',' => Ok(true),
            '}' => Ok(false),
            '{' | '\\' => Err(unexpected(self.text, next)),
            _ => Err(malformed(self.text, "Unexpected array element.")),
        }
    }
}

/// Writes an array; `write_element` writes the text of one element.
pub fn write(array: &Array, out: &mut String, mut write_element: impl FnMut(&Datum, &mut String)) {
    if let Some(upper) = array.upper_bound()
        && array.lower_bound != 1
    {
        out.push('[');
        super::io::write_i64(i64::from(array.lower_bound), out);
        out.push(':');
        super::io::write_i64(i64::from(upper), out);
        out.push_str("]=");
    }
    out.push('{');
    for (i, value) in array.values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        if value.is_null() {
            out.push_str("NULL");
            continue;
        }
        let start = out.len();
        write_element(value, out);
        if needs_quotes(&out[start..]) {
            quote_from(start, out);
        }
    }
    out.push('}');
}

fn needs_quotes(item: &str) -> bool {
    item.is_empty()
        || item.eq_ignore_ascii_case("null")
        || item.contains(|c: char| matches!(c, '"' | '\\' | '{' | '}' | ',') || is_space(c))
}

/// Puts quotes around what was written from `start` on.
fn quote_from(start: usize, out: &mut String) {
    let item = out.split_off(start);
    out.push('"');
    for c in item.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}
