//! SQL text to tokens, by the rules of PostgreSQL's scanner (`scan.l`).
//!
//! A token is its kind and its bytes in the text; values are decoded when the parser asks. A text
//! that cannot be scanned to its end gives the tokens before the fault and a last
//! [`Kind::Invalid`], so that a syntax error before the fault is reported first.

use std::sync::Arc;

use super::keywords::Keyword;
use super::{near_error, position_at};
use crate::error::{Error, Result, SqlState};

/// Names are cut to this many bytes.
pub const NAME_BYTES_MAX: usize = 63;

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
            let end = self.char_end(self.at);
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

/// A word as a name: ASCII letters in lower case, cut to [`NAME_BYTES_MAX`].
pub fn fold(word: &str) -> Arc<str> {
    let word = cut(word);
    if word.bytes().any(|b| b.is_ascii_uppercase()) {
        Arc::from(word.to_ascii_lowercase())
    } else {
        Arc::from(word)
    }
}

/// A name cut to [`NAME_BYTES_MAX`], at a character's end.
pub fn cut(name: &str) -> &str {
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let mut end = NAME_BYTES_MAX;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// The name that a `"…"` token holds.
pub fn quoted_name(source: &str) -> Arc<str> {
    let inner = &source[1..source.len() - 1];
    if inner.contains('"') {
        Arc::from(cut(&inner.replace("\"\"", "\"")))
    } else {
        Arc::from(cut(inner))
    }
}

/// The value of a string token.
pub fn string_value(text: &str, token: Token) -> Result<String> {
    let source = &text[token.start as usize..token.end as usize];
    let decoded = match token.kind {
        Kind::DollarString => {
            let tag = source[1..].find('$').map_or(0, |i| i + 2);
            return Ok(source[tag..source.len() - tag].to_owned());
        }
        Kind::EscapeString => unescape(&join_parts(&source[1..], true)),
        Kind::UnicodeString => unescape_unicode(&join_parts(&source[2..], false), '\\'),
        _ if source.starts_with(['n', 'N']) => return Ok(join_parts(&source[1..], false)),
        _ => return Ok(join_parts(source, false)),
    };
    decoded.map_err(|e| e.at(position_at(text, token.start)))
}

/// The name that a `U&"…"` token holds.
pub fn unicode_name(text: &str, token: Token, escape: char) -> Result<Arc<str>> {
    let source = &text[token.start as usize + 2..token.end as usize];
    let name = quoted_name(source);
    let decoded = unescape_unicode(&name, escape);
    Ok(Arc::from(cut(&decoded.map_err(|e| e.at(position_at(text, token.start)))?)))
}

/// The value of a `U&'…'` token with an escape character of its own.
pub fn unicode_string(text: &str, token: Token, escape: char) -> Result<String> {
    let source = &text[token.start as usize + 2..token.end as usize];
    unescape_unicode(&join_parts(source, false), escape)
        .map_err(|e| e.at(position_at(text, token.start)))
}

/// The bodies of a string's quoted parts, joined; doubled quotes single, backslashes kept.
fn join_parts(source: &str, escapes: bool) -> String {
    let inner = &source[1..source.len() - 1];
    if !inner.contains('\'') {
        return inner.to_owned();
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' && escapes {
            out.push(c);
            out.extend(chars.next());
        } else if c != '\'' {
            out.push(c);
        } else if chars.next_if_eq(&'\'').is_some() {
            out.push('\'');
        } else {
            skip_to_quote(&mut chars);
        }
    }
    out
}

/// Skips blanks and comments between two parts of a string, and the quote after them.
fn skip_to_quote(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.next() {
        if c == '\'' {
            return;
        }
        if c == '-' {
            while chars.next_if(|c| !matches!(c, '\n' | '\r')).is_some() {}
        }
    }
}

fn invalid_escape(message: &str) -> Error {
    Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, message)
}

/// Decodes backslash escapes.
fn unescape(body: &str) -> Result<String> {
    let mut out: Vec<u8> = Vec::with_capacity(body.len());
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        match chars.next() {
            Some('b') => out.push(8),
            Some('f') => out.push(12),
            Some('n') => out.push(b'\n'),
            Some('r') => out.push(b'\r'),
            Some('t') => out.push(b'\t'),
            Some(first @ '0'..='7') => {
                let mut value = first as u32 - '0' as u32;
                for _ in 0..2 {
                    let Some(d) = chars.next_if(|c| ('0'..='7').contains(c)) else { break };
                    value = value * 8 + (d as u32 - '0' as u32);
                }
                out.push(value as u8);
            }
            Some('x') if chars.peek().is_some_and(char::is_ascii_hexdigit) => {
                let mut value = 0;
                for _ in 0..2 {
                    let Some(d) = chars.next_if(char::is_ascii_hexdigit) else { break };
                    value = value * 16 + d.to_digit(16).unwrap_or(0);
                }
                out.push(value as u8);
            }
            Some(size @ ('u' | 'U')) => {
                let digits = if size == 'u' { 4 } else { 8 };
                let c = unicode_escape(&mut chars, digits).ok_or_else(|| {
                    invalid_escape("invalid Unicode escape")
                        .with_hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.")
                })?;
                out.extend(c?.encode_utf8(&mut [0; 4]).bytes());
            }
            Some(other) => out.extend(other.encode_utf8(&mut [0; 4]).bytes()),
            None => {}
        }
    }
    if out.contains(&0) {
        return Err(invalid_bytes(&[0]));
    }
    String::from_utf8(out).map_err(|e| {
        let bytes = e.as_bytes();
        let from = e.utf8_error().valid_up_to();
        let length = e.utf8_error().error_len().unwrap_or(1);
        invalid_bytes(&bytes[from..(from + length).min(bytes.len())])
    })
}

fn invalid_bytes(bytes: &[u8]) -> Error {
    let hex: Vec<String> = bytes.iter().map(|b| format!("0x{b:02x}")).collect();
    Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", hex.join(" ")),
    )
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// `digits` hexadecimal digits as a character; surrogates come in pairs, the second with its own
/// backslash and letter. None: not an escape; an error inside: not a character.
fn unicode_escape(chars: &mut Chars<'_>, digits: u32) -> Option<Result<char>> {
    let first = hex_number(chars, digits)?;
    if (0xdc00..0xe000).contains(&first) {
        return Some(Err(Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair")));
    }
    if !(0xd800..0xdc00).contains(&first) {
        return Some(to_char(first));
    }
    let pair_fault = || Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair");
    let second = (chars.next() == Some('\\'))
        .then(|| match chars.peek() {
            Some('u') => chars.next().and_then(|_| hex_number(chars, 4)),
            Some('U') => chars.next().and_then(|_| hex_number(chars, 8)),
            Some('+') => chars.next().and_then(|_| hex_number(chars, 6)),
            _ => hex_number(chars, 4),
        })
        .flatten();
    match second {
        Some(low @ 0xdc00..0xe000) => {
            Some(to_char(0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00)))
        }
        _ => Some(Err(pair_fault())),
    }
}

fn hex_number(chars: &mut Chars<'_>, digits: u32) -> Option<u32> {
    let mut value: u32 = 0;
    for _ in 0..digits {
        value = value.checked_mul(16)? + chars.next()?.to_digit(16)?;
    }
    Some(value)
}

fn to_char(code: u32) -> Result<char> {
    char::from_u32(code)
        .filter(|c| *c != '\0')
        .ok_or_else(|| Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape value"))
}

/// Decodes `\XXXX` and `\+XXXXXX`.
fn unescape_unicode(body: &str, escape: char) -> Result<String> {
    let mut out = String::with_capacity(body.len());
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        if c != escape {
            out.push(c);
        } else if chars.next_if_eq(&escape).is_some() {
            out.push(escape);
        } else {
            let digits = if chars.next_if_eq(&'+').is_some() { 6 } else { 4 };
            let decoded = unicode_escape(&mut chars, digits).ok_or_else(|| {
                Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
                    .with_hint("Unicode escapes must be \\XXXX or \\+XXXXXX.")
            })?;
            out.push(decoded?);
        }
    }
    Ok(out)
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
    fn strings_decode() {
        let value = |text: &str| {
            let token = scan(text).tokens[0];
            string_value(text, token)
        };
        assert_eq!(value("'it''s'").unwrap(), "it's");
        assert_eq!(value("'one'\n 'two'").unwrap(), "onetwo");
        assert_eq!(value("E'a\\tb\\\\\\'\\x41\\101\\u00e9'").unwrap(), "a\tb\\'AA\u{e9}");
        assert_eq!(value("$x$ a 'b' $x$").unwrap(), " a 'b' ");
        assert_eq!(value("U&'d\\0061t\\+000061'").unwrap(), "data");
        assert_eq!(value("E'\\xff'").unwrap_err().code().as_str(), "22021");
        assert_eq!(value("E'\\u12'").unwrap_err().code().as_str(), "22025");
    }

    #[test]
    fn faults_come_last() {
        let scanned = scan("SELECT 'abc");
        assert_eq!(scanned.tokens.last().map(|t| t.kind), Some(Kind::Invalid));
        let fault = scanned.fault.unwrap();
        assert_eq!(fault.message(), "unterminated quoted string at or near \"'abc\"");
        assert_eq!(fault.fields().position, Some(8));
        let fault = scan("select 123abc").fault.unwrap();
        assert_eq!(fault.message(), "trailing junk after numeric literal at or near \"123a\"");
    }
}
