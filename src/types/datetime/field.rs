//! The first step of reading dates, times and intervals: text cut into fields.
//!
//! A field is what a run of characters looks like, before anything is known of what it means: a
//! date with its separators, a time with colons, a number, a word, something signed. Letters come
//! out in lower case; blanks and stray punctuation only separate.

use super::Fault;

/// Most fields that any text may have.
const FIELDS_MAX: usize = 25;
/// Longest text that is looked at.
const TEXT_BYTES_MAX: usize = 250;

/// What a field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::types) enum Kind {
    Number,
    Word,
    /// Digits or words with separators between.
    Date,
    /// Digits with colons.
    Time,
    /// A sign and digits: a zone's offset, or a signed number of an interval.
    Signed,
    /// A sign and a word.
    Special,
}

/// A field of a text.
#[derive(Clone, Debug)]
pub(in crate::types) struct Field {
    pub kind: Kind,
    pub text: String,
}

/// Cuts a text into its fields.
pub(in crate::types) fn split(text: &str) -> Result<Vec<Field>, Fault> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Fault::Syntax);
    }
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0, taken: String::new() };
    let mut fields = Vec::with_capacity(4);
    while let Some(b) = cursor.peek() {
        if is_space(b) {
            cursor.at += 1;
            continue;
        }
        if fields.len() >= FIELDS_MAX {
            return Err(Fault::Syntax);
        }
        cursor.taken.clear();
        let kind = match b {
            b'0'..=b'9' => cursor.digits(),
            b'.' => {
                cursor.take();
                cursor.take_while(|b| b.is_ascii_digit());
                Kind::Number
            }
            b'a'..=b'z' | b'A'..=b'Z' => cursor.word(),
            b'+' | b'-' => cursor.signed()?,
            _ if b.is_ascii_punctuation() => {
                cursor.at += 1;
                continue;
            }
            _ => return Err(Fault::Syntax),
        };
        fields.push(Field { kind, text: std::mem::take(&mut cursor.taken) });
    }
    Ok(fields)
}

fn is_space(b: u8) -> bool {
    b.is_ascii_whitespace() || b == 0x0b
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    taken: String,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn peek_is(&self, test: impl Fn(u8) -> bool) -> bool {
        self.peek().is_some_and(test)
    }

    fn take(&mut self) {
        if let Some(b) = self.peek() {
            self.taken.push(b.to_ascii_lowercase() as char);
            self.at += 1;
        }
    }

    fn take_while(&mut self, test: impl Fn(u8) -> bool) {
        while self.peek_is(&test) {
            self.take();
        }
    }

    fn digits(&mut self) -> Kind {
        self.take_while(|b| b.is_ascii_digit());
        match self.peek() {
            Some(b':') => {
                self.take_while(|b| b.is_ascii_digit() || b == b':' || b == b'.');
                Kind::Time
            }
            Some(delimiter @ (b'-' | b'/' | b'.')) => {
                self.take();
                if !self.peek_is(|b| b.is_ascii_digit()) {
                    // A month may be in letters: 08-jan-1999.
                    self.take_while(|b| b.is_ascii_alphanumeric() || b == delimiter);
                    return Kind::Date;
                }
                self.take_while(|b| b.is_ascii_digit());
                if self.peek() == Some(delimiter) {
                    self.take_while(|b| b.is_ascii_digit() || b == delimiter);
                    return Kind::Date;
                }
                if delimiter == b'.' { Kind::Number } else { Kind::Date }
            }
            _ => Kind::Number,
        }
    }

    fn word(&mut self) -> Kind {
        self.take_while(|b| b.is_ascii_alphabetic());
        // A zone (america/new_york, gmt+3), or a month with what belongs to it.
        let is_date = match self.peek() {
            Some(b'-' | b'/' | b'.') => true,
            Some(b'+' | b'0'..=b'9') => super::word::lookup(&self.taken).is_none(),
            _ => false,
        };
        if !is_date {
            return Kind::Word;
        }
        self.take_while(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'/' | b'_' | b'.' | b':')
        });
        Kind::Date
    }

    fn signed(&mut self) -> Result<Kind, Fault> {
        self.take();
        while self.peek_is(is_space) {
            self.at += 1;
        }
        if self.peek_is(|b| b.is_ascii_digit()) {
            self.take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-'));
            Ok(Kind::Signed)
        } else if self.peek_is(|b| b.is_ascii_alphabetic()) {
            self.take_while(|b| b.is_ascii_alphabetic());
            Ok(Kind::Special)
        } else {
            Err(Fault::Syntax)
        }
    }
}

/// A leading number as C's strtol reads it, and what follows. None where it does not fit.
pub(in crate::types) fn leading_i32(text: &str) -> Option<(i32, &str)> {
    let (value, rest) = leading_i64(text)?;
    Some((i32::try_from(value).ok()?, rest))
}

/// A leading number as C's strtoll reads it, and what follows. None where it does not fit. Text
/// without digits is 0, and all of it follows.
pub(in crate::types) fn leading_i64(text: &str) -> Option<(i64, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Some((0, text));
    }
    let end = text.len() - unsigned.len() + digits;
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Microseconds of a fraction of a second, from its point on.
pub(in crate::types) fn fraction_micros(text: &str) -> Result<i32, Fault> {
    Ok((fraction(text)? * 1e6).round_ties_even() as i32)
}

/// The value of a fraction, from its point on; a point alone is none.
pub(in crate::types) fn fraction(text: &str) -> Result<f64, Fault> {
    if text == "." {
        return Ok(0.0);
    }
    if !text[1..].bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    text.parse().map_err(|_| Fault::Syntax)
}
