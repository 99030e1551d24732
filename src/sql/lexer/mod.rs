//! SQL text to tokens, by the rules of PostgreSQL's scanner (`scan.l`).
//!
//! A token is its kind and its bytes in the text; values are decoded when the parser asks. A text
//! that cannot be scanned to its end gives the tokens before the fault and a last
//! [`Kind::Invalid`], so that a syntax error before the fault is reported first.

mod value;

pub use value::{cut, fold, quoted_name, string_value, unicode_name, unicode_string};

use super::keywords::Keyword;
use super::near_error;
use crate::error::{Error, Result};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An unquoted word that is a keyword.
    Keyword(Keyword),
    /// An unquoted word that is not.
    Word,
    /// `"…"`
    QuotedName,
    /// `U&"…"`
    UnicodeName,
    /// `'…'`
    String,
    /// `E'…'`
    EscapeString,
    /// `U&'…'`
    UnicodeString,
    /// `B'…'` and `X'…'`
    BitString,
    /// `$tag$…$tag$`
    DollarString,
    /// Digits only.
    Integer,
    /// With a point or an exponent.
    Decimal,
    /// `$n`
    Param,
    /// One of `( ) [ ] , ; : . + - * / % ^ < > =`, and any byte that begins nothing.
    Char(u8),
    /// `::`
    Typecast,
    /// `..`
    DotDot,
    /// `:=`
    ColonEquals,
    /// `=>`
    Arrow,
    /// `<=`
    LessEqual,
    /// `>=`
    GreaterEqual,
    /// `<>` and `!=`
    NotEqual,
    /// Any other operator.
    Operator,
    /// What could not be scanned; always last.
    Invalid,
    /// The end.
    Eof,
}

/// A token: `text[start..end]`.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its first byte.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
}

impl Token {
    /// Its bytes in the text.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The tokens of a text, [`Kind::Eof`] or [`Kind::Invalid`] last.
pub struct Tokens {
    /// In order.
    pub tokens: Vec<Token>,
    /// Why the last is [`Kind::Invalid`].
    pub fault: Option<Error>,
    /// `/*+ … */` comments: the bytes inside.
    pub hints: Vec<(u32, u32)>,
}

/// Scans a text (shorter than 4 GiB).
pub fn scan(text: &str) -> Tokens {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at: 0, hints: Vec::new() };
    let mut tokens = Vec::with_capacity(text.len() / 4 + 2);
    loop {
        let (start, kind) = match lexer.skip_blanks().and_then(|()| {
            let start = lexer.at;
            lexer.token().map(|kind| (start, kind))
        }) {
            Ok(found) => found,
            Err(fault) => {
                let end = text.len() as u32;
                let start = (lexer.at as u32).min(end);
                tokens.push(Token { kind: Kind::Invalid, start, end });
                return Tokens { tokens, fault: Some(fault), hints: lexer.hints };
            }
        };
        tokens.push(Token { kind, start: start as u32, end: lexer.at as u32 });
        if kind == Kind::Eof {
            return Tokens { tokens, fault: None, hints: lexer.hints };
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    hints: Vec<(u32, u32)>,
}

fn begins_name(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || b >= 0x80
}

fn continues_name(b: u8) -> bool {
    begins_name(b) || b.is_ascii_digit() || b == b'$'
}

fn is_operator(b: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&b)
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self, from: usize) -> &[u8] {
        self.bytes.get(from..).unwrap_or_default()
    }

    fn fault(&self, message: &str, start: usize, end: usize) -> Error {
        near_error(self.text, message, start as u32, end as u32)
    }

    /// Skips blanks and comments; keeps hints.
    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            let b = self.peek(0);
            if self.at >= self.bytes.len() {
                return Ok(());
            } else if is_blank(b) {
                self.at += 1;
            } else if b == b'-' && self.peek(1) == b'-' {
                while self.at < self.bytes.len() && !matches!(self.peek(0), b'\n' | b'\r') {
                    self.at += 1;
                }
            } else if b == b'/' && self.peek(1) == b'*' {
                self.skip_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    fn skip_comment(&mut self) -> Result<()> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            if self.at >= self.bytes.len() {
                self.at = start;
                return Err(self.fault("unterminated /* comment", start, self.bytes.len()));
            }
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        break;
                    }
                }
                _ => self.at += 1,
            }
        }
        if self.bytes[start + 2] == b'+' {
            self.hints.push((start as u32 + 3, self.at as u32 - 2));
        }
        Ok(())
    }

    fn token(&mut self) -> Result<Kind> {
        if self.at >= self.bytes.len() {
            return Ok(Kind::Eof);
        }
        let b = self.peek(0);
        match b {
            b'e' | b'E' if self.peek(1) == b'\'' => self.quoted(2, b'\'', Kind::EscapeString),
            b'b' | b'B' | b'x' | b'X' if self.peek(1) == b'\'' => {
                self.quoted(2, b'\'', Kind::BitString)
            }
            b'n' | b'N' if self.peek(1) == b'\'' => self.quoted(2, b'\'', Kind::String),
            b'u' | b'U' if self.peek(1) == b'&' && self.peek(2) == b'\'' => {
                self.quoted(3, b'\'', Kind::UnicodeString)
            }
            b'u' | b'U' if self.peek(1) == b'&' && self.peek(2) == b'"' => {
                self.quoted(3, b'"', Kind::UnicodeName)
            }
            b'\'' => self.quoted(1, b'\'', Kind::String),
            b'"' => self.quoted(1, b'"', Kind::QuotedName),
            b'$' => self.dollar(),
            b'.' if self.peek(1) == b'.' => Ok(self.take(2, Kind::DotDot)),
            b'.' if self.peek(1).is_ascii_digit() => self.number(),
            b':' if self.peek(1) == b':' => Ok(self.take(2, Kind::Typecast)),
            b':' if self.peek(1) == b'=' => Ok(self.take(2, Kind::ColonEquals)),
            b'0'..=b'9' => self.number(),
            _ if begins_name(b) => Ok(self.word()),
            _ if is_operator(b) => Ok(self.operator()),
            _ => Ok(self.take(1, Kind::Char(b))),
        }
    }

    fn take(&mut self, length: usize, kind: Kind) -> Kind {
        self.at += length;
        kind
    }

    fn word(&mut self) -> Kind {
        let start = self.at;
        while continues_name(self.peek(0)) {
            self.at += 1;
        }
        Keyword::find(&self.text[start..self.at]).map_or(Kind::Word, Kind::Keyword)
    }

    /// A quoted string or name whose body begins `prefix` bytes on. Strings go on in a next pair
    /// of quotes when only blanks with a line break are between.
    fn quoted(&mut self, prefix: usize, quote: u8, kind: Kind) -> Result<Kind> {
        let start = self.at;
        self.at += prefix;
        let escapes = kind == Kind::EscapeString;
        loop {
            let Some(&b) = self.bytes.get(self.at) else {
                self.at = start;
                let what = match (quote, kind) {
                    (b'"', _) => "unterminated quoted identifier",
                    (_, Kind::BitString) if matches!(self.peek(0), b'x' | b'X') => {
                        "unterminated hexadecimal string literal"
                    }
                    (_, Kind::BitString) => "unterminated bit string literal",
                    _ => "unterminated quoted string",
                };
                return Err(self.fault(what, start, self.bytes.len()));
            };
            if b == b'\\' && escapes {
                self.at = (self.at + 2).min(self.bytes.len());
            } else if b != quote {
                self.at += 1;
            } else if self.peek(1) == quote {
                self.at += 2;
            } else {
                self.at += 1;
                let Some(next) = self.continuation(quote) else { break };
                self.at = next;
            }
        }
        if quote == b'"' && self.at - start == prefix + 1 {
            let end = self.at;
            self.at = start;
            return Err(self.fault("zero-length delimited identifier", start, end));
        }
        Ok(kind)
    }

    /// The byte after the quote that continues a string which just closed.
    fn continuation(&self, quote: u8) -> Option<usize> {
        if quote != b'\'' {
            return None;
        }
        let mut at = self.at;
        let mut broken = false;
        loop {
            match self.rest(at) {
                [b @ (b'\n' | b'\r'), ..] => {
                    broken |= matches!(b, b'\n' | b'\r');
                    at += 1;
                }
                [b, ..] if is_blank(*b) => at += 1,
                [b'-', b'-', ..] => {
                    while !matches!(self.rest(at), [] | [b'\n' | b'\r', ..]) {
                        at += 1;
                    }
                }
                [b'\'', ..] if broken => return Some(at + 1),
                _ => return None,
            }
        }
    }

    fn dollar(&mut self) -> Result<Kind> {
        let start = self.at;
        if self.peek(1).is_ascii_digit() {
            self.at += 1;
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
            if begins_name(self.peek(0)) {
                let end = self.char_end(self.at);
                self.at = start;
                return Err(self.fault("trailing junk after parameter", start, end));
            }
            return Ok(Kind::Param);
        }
        let mut tag_end = start + 1;
        while self.bytes.get(tag_end).is_some_and(|b| continues_name(*b) && *b != b'$') {
            tag_end += 1;
        }
        if self.bytes.get(tag_end) != Some(&b'$') {
            return Ok(self.take(1, Kind::Char(b'$')));
        }
        let tag = &self.text[start..=tag_end];
        match self.text[tag_end + 1..].find(tag) {
            Some(body) => {
                self.at = tag_end + 1 + body + tag.len();
                Ok(Kind::DollarString)
            }
            None => Err(self.fault("unterminated dollar-quoted string", start, self.bytes.len())),
        }
    }

    /// The end of the character that begins at `at`.
    fn char_end(&self, at: usize) -> usize {
        at + self.text[at..].chars().next().map_or(0, char::len_utf8)
    }

    fn digits(&mut self) {
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<Kind> {
        let start = self.at;
        let mut kind = Kind::Integer;
        self.digits();
        if self.peek(0) == b'.' && self.peek(1) != b'.' {
            kind = Kind::Decimal;
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), b'e' | b'E') {
            let signed = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if self.peek(1 + signed).is_ascii_digit() {
                kind = Kind::Decimal;
                self.at += 1 + signed;
                self.digits();
            } else {
                let end = self.at + 1 + signed;
                self.at = start;
                return Err(self.fault("trailing junk after numeric literal", start, end));
            }
        }
        if begins_name(self.peek(0)) {
            while continues_name(self.peek(0)) {
                self.at += 1;
            }
            let end = self.at;
            self.at = start;
            return Err(self.fault("trailing junk after numeric literal", start, end));
        }
        Ok(kind)
    }

    /// The longest run of operator characters, cut before a comment; a run of several gives up its
    /// trailing signs unless it holds a character that SQL's own operators lack.
    fn operator(&mut self) -> Kind {
        let start = self.at;
        let mut end = start;
        while end < self.bytes.len() && is_operator(self.bytes[end]) {
            if end > start
                && (self.rest(end).starts_with(b"--") || self.rest(end).starts_with(b"/*"))
            {
                break;
            }
            end += 1;
        }
        let signs = |b: u8| matches!(b, b'+' | b'-');
        if !self.bytes[start..end].iter().any(|b| b"~!@#^&|`?%".contains(b)) {
            while end - start > 1 && signs(self.bytes[end - 1]) {
                end -= 1;
            }
        }
        self.at = end;
        match &self.bytes[start..end] {
            [b] if b"+-*/%^<>=".contains(b) => Kind::Char(*b),
            b"=>" => Kind::Arrow,
            b"<=" => Kind::LessEqual,
            b">=" => Kind::GreaterEqual,
            b"<>" | b"!=" => Kind::NotEqual,
            _ => Kind::Operator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        let scanned = scan(text);
        scanned
            .tokens
            .iter()
            .filter(|t| t.kind != Kind::Eof)
            .map(|t| (t.kind, &text[t.start as usize..t.end as usize]))
            .collect()
    }

    #[test]
    fn operators_split_as_in_postgres() {
        assert_eq!(
            kinds("1<-2"),
            [
                (Kind::Integer, "1"),
                (Kind::Char(b'<'), "<"),
                (Kind::Char(b'-'), "-"),
                (Kind::Integer, "2")
            ]
        );
        assert_eq!(kinds("a@-b")[1], (Kind::Operator, "@-"));
        assert_eq!(kinds("a->>'x'")[1], (Kind::Operator, "->>"));
        assert_eq!(kinds("2*-- note\n3").len(), 3);
        assert_eq!(kinds("2*/* note */3").len(), 3);
        assert_eq!(kinds("a!=b")[1].0, Kind::NotEqual);
        assert_eq!(kinds("x::int")[1].0, Kind::Typecast);
        assert_eq!(kinds("1..5").len(), 3);
        assert_eq!(kinds("1.5e3"), [(Kind::Decimal, "1.5e3")]);
        assert_eq!(kinds(".5"), [(Kind::Decimal, ".5")]);
    }

    #[test]
    fn faults_come_last() {
        let scanned = scan("SELECT 'abc");
        assert_eq!(scanned.tokens.last().map(|t| t.kind), Some(Kind::Invalid));
        let fault = scanned.fault.unwrap();
        assert_eq!(fault.message(), "unterminated quoted string at or near \"'abc\"");
        assert_eq!(fault.fields().position, Some(8));
        let fault = scan("select 123abc").fault.unwrap();
        assert_eq!(fault.message(), "trailing junk after numeric literal at or near \"123abc\"");
    }
}
