//! `to_char`, `to_timestamp`, `to_date`, `to_number`: values by a picture of their text.
//!
//! A picture is read once into [`Node`]s: patterns, and the characters between them. The rules are
//! those of PostgreSQL's formatting.c, odd corners included.

mod dates;
mod digits;
mod number;
mod reading;
mod scan;
pub(super) mod table;
mod times;

use crate::error::{Error, Result, SqlState};

/// `FM` before a pattern.
const FILL: u8 = 1;
/// `TM` before a pattern.
const LOCAL: u8 = 2;
/// `TH` behind a pattern.
const ORDINAL_UPPER: u8 = 4;
/// `th` behind a pattern.
const ORDINAL_LOWER: u8 = 8;

/// A piece of a picture; `P` is the patterns' table.
#[derive(Clone, Copy, Debug)]
enum Node<P: 'static> {
    /// A pattern, with its modifiers.
    Pattern(&'static P, u8),
    /// Blank space.
    Space(char),
    /// A punctuation mark, of date pictures.
    Separator(char),
    /// Any other character, and all between double quotes.
    Text(char),
}

/// Whether a character is ASCII punctuation.
fn is_separator(c: char) -> bool {
    c.is_ascii_graphic() && !c.is_ascii_alphanumeric()
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Reads the characters of a picture that no pattern begins with.
fn plain<P>(rest: &str, separators: bool, out: &mut Vec<Node<P>>) -> usize {
    if let Some(quoted) = rest.strip_prefix('"') {
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => return at + 2,
                '\\' => out.push(Node::Text(chars.next().map_or(c, |(_, next)| next))),
                c => out.push(Node::Text(c)),
            }
        }
        return rest.len();
    }
    // A backslash means something only before a double quote.
    let skipped = usize::from(rest.starts_with("\\\""));
    let Some(c) = rest[skipped..].chars().next() else { return rest.len() };
    out.push(match c {
        c if separators && is_separator(c) => Node::Separator(c),
        c if is_space(c) => Node::Space(c),
        c => Node::Text(c),
    });
    skipped + c.len_utf8()
}

/// Adds `st`, `nd`, `rd` or `th` to a number's digits.
fn ordinal(digits: &str, modifiers: u8) -> Result<&'static str> {
    let mut backwards = digits.bytes().rev();
    let last = backwards.next().unwrap_or(b' ');
    if !last.is_ascii_digit() {
        let message = format!("\"{digits}\" is not a number");
        return Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message));
    }
    let teen = backwards.next() == Some(b'1');
    let at = match last {
        b'1' if !teen => 0,
        b'2' if !teen => 1,
        b'3' if !teen => 2,
        _ => 3,
    };
    let upper = modifiers & ORDINAL_UPPER != 0;
    Ok(if upper { ["ST", "ND", "RD", "TH"][at] } else { ["st", "nd", "rd", "th"][at] })
}

/// Roman digits of a number of 1 to 3999, in upper case; `#` for any other.
fn roman(number: i32) -> String {
    const ONES: [&str; 10] = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"];
    const TENS: [&str; 10] = ["", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC"];
    const HUNDREDS: [&str; 10] = ["", "C", "CC", "CCC", "CD", "D", "DC", "DCC", "DCCC", "CM"];
    if !(1..=3999).contains(&number) {
        return "#".repeat(15);
    }
    let digit = |unit: i32| (number / unit % 10) as usize;
    let thousands = "M".repeat(digit(1000));
    [thousands.as_str(), HUNDREDS[digit(100)], TENS[digit(10)], ONES[digit(1)]].concat()
}
