//! JSON from text, by RFC 8259, with PostgreSQL's words for what is wrong.

use std::sync::Arc;

use super::Json;
use crate::error::{Error, Result, SqlState};
use crate::types::Numeric;

/// Deepest nesting read: every later walk over a value recurses this deep at most.
const DEPTH_MAX: usize = 1000;
/// Bytes of the offending line that an error shows.
const CONTEXT_BYTES_MAX: usize = 50;

/// Checks that text is JSON. 22P02 with detail and context where it is not.
pub fn validate(text: &str) -> Result<()> {
    Parser::new(text, false).document().map(|_| ())
}

impl Json {
    /// Reads JSON text. 22P02 where it is none, 22P05 for `\u0000`.
    pub fn parse(text: &str) -> Result<Json> {
        Parser::new(text, true).document()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    Comma,
    Colon,
    String,
    Number,
    True,
    False,
    Null,
    /// No token at all.
    Invalid,
    End,
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// Whether a value is wanted: strings unescaped, numbers read.
    build: bool,
    token: Token,
    start: usize,
    end: usize,
    /// The string read last, unescaped, if a value is wanted.
    string: String,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, build: bool) -> Parser<'a> {
        Parser {
            text,
            bytes: text.as_bytes(),
            build,
            token: Token::Invalid,
            start: 0,
            end: 0,
            string: String::new(),
        }
    }

    fn document(&mut self) -> Result<Json> {
        self.advance()?;
        let value = self.value(0)?;
        if self.token != Token::End {
            return Err(self.expected("end of input"));
        }
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Result<Json> {
        if depth > DEPTH_MAX {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
                .with_detail(format!("JSON is nested more than {DEPTH_MAX} levels deep.")));
        }
        let value = match self.token {
            Token::ObjectStart => return self.object(depth),
            Token::ArrayStart => return self.array(depth),
            Token::String => Json::String(Arc::from(self.string.as_str())),
            Token::Number if self.build => {
                Json::Number(Numeric::parse(&self.text[self.start..self.end])?)
            }
            Token::Number | Token::Null => Json::Null,
            Token::True => Json::Bool(true),
            Token::False => Json::Bool(false),
            _ => return Err(self.expected("JSON value")),
        };
        self.advance()?;
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<Json> {
        let mut items = Vec::new();
        self.advance()?;
        if self.token != Token::ArrayEnd {
            loop {
                let item = self.value(depth + 1)?;
                if self.build {
                    items.push(item);
                }
                match self.token {
                    Token::Comma => self.advance()?,
                    Token::ArrayEnd => break,
                    _ => return Err(self.expected("\",\" or \"]\"")),
                }
            }
        }
        self.advance()?;
        Ok(Json::Array(items))
    }

    fn object(&mut self, depth: usize) -> Result<Json> {
        let mut pairs = Vec::new();
        self.advance()?;
        if self.token != Token::ObjectEnd {
            if self.token != Token::String {
                return Err(self.expected("string or \"}\""));
            }
            loop {
                if self.token != Token::String {
                    return Err(self.expected("string"));
                }
                let key: Arc<str> = Arc::from(self.string.as_str());
                self.advance()?;
                if self.token != Token::Colon {
                    return Err(self.expected("\":\""));
                }
                self.advance()?;
                let value = self.value(depth + 1)?;
                if self.build {
                    pairs.push((key, value));
                }
                match self.token {
                    Token::Comma => self.advance()?,
                    Token::ObjectEnd => break,
                    _ => return Err(self.expected("\",\" or \"}\"")),
                }
            }
        }
        self.advance()?;
        Ok(Json::object(pairs))
    }

    /// Reads the next token.
    fn advance(&mut self) -> Result<()> {
        let mut at = self.end;
        while matches!(self.bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            at += 1;
        }
        self.start = at;
        self.end = at + 1;
        self.token = match self.bytes.get(at) {
            None => {
                self.end = at;
                Token::End
            }
            Some(b'{') => Token::ObjectStart,
            Some(b'}') => Token::ObjectEnd,
            Some(b'[') => Token::ArrayStart,
            Some(b']') => Token::ArrayEnd,
            Some(b',') => Token::Comma,
            Some(b':') => Token::Colon,
            Some(b'"') => return self.read_string(),
            Some(b'-' | b'0'..=b'9') => return self.read_number(),
            Some(_) => return self.read_word(),
        };
        Ok(())
    }

    fn read_word(&mut self) -> Result<()> {
        let run = self.bytes[self.start..].iter().take_while(|&&b| is_word_byte(b)).count();
        // A byte that no word has stands alone.
        let first = self.text[self.start..].chars().next().map_or(1, char::len_utf8);
        self.end = self.start + if run == 0 { first } else { run };
        self.token = match &self.text[self.start..self.end] {
            "true" => Token::True,
            "false" => Token::False,
            "null" => Token::Null,
            _ => {
                self.token = Token::Invalid;
                return Err(self.invalid_token());
            }
        };
        Ok(())
    }

    fn read_number(&mut self) -> Result<()> {
        let digits = |at: usize| self.bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut at = self.start;
        let mut valid = true;
        if self.bytes[at] == b'-' {
            at += 1;
        }
        let whole = digits(at);
        // No digit, or more after a leading zero.
        if whole == 0 || (whole > 1 && self.bytes[at] == b'0') {
            valid = false;
        }
        at += whole;
        if valid && self.bytes.get(at) == Some(&b'.') {
            let count = digits(at + 1);
            valid = count > 0;
            at += 1 + count;
        }
        if valid && matches!(self.bytes.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(self.bytes.get(at + 1), Some(b'+' | b'-')));
            let count = digits(at.min(self.bytes.len()));
            valid = count > 0;
            at += count;
        }
        let rest = self.bytes[at.min(self.bytes.len())..].iter();
        let junk = rest.take_while(|&&b| is_word_byte(b)).count();
        self.end = at + junk;
        self.token = Token::Number;
        if valid && junk == 0 { Ok(()) } else { Err(self.invalid_token()) }
    }

    fn read_string(&mut self) -> Result<()> {
        self.token = Token::String;
        self.string.clear();
        let mut at = self.start + 1;
        loop {
            // Everything up to the next byte that means something.
            let run = self.bytes[at..]
                .iter()
                .take_while(|&&b| b != b'"' && b != b'\\' && b >= b' ')
                .count();
            if self.build {
                self.string.push_str(&self.text[at..at + run]);
            }
            at += run;
            match self.bytes.get(at) {
                None => {
                    self.end = at;
                    return Err(self.syntax_error("Token \"", self.token_text(), "\" is invalid."));
                }
                Some(b'"') => {
                    self.end = at + 1;
                    return Ok(());
                }
                Some(b'\\') => at = self.read_escape(at + 1)?,
                Some(&b) => {
                    self.end = at;
                    let shown = format!("0x{b:02x}");
                    return Err(self.syntax_error(
                        "Character with value ",
                        &shown,
                        " must be escaped.",
                    ));
                }
            }
        }
    }

    /// Reads what follows a backslash; gives the place after it.
    fn read_escape(&mut self, at: usize) -> Result<usize> {
        let c = match self.bytes.get(at) {
            None => {
                self.end = at;
                return Err(self.invalid_token());
            }
            Some(b'u') => return self.read_unicode_escape(at + 1),
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(_) => {
                let c = self.text[at..].chars().next().map_or(1, char::len_utf8);
                self.end = at + c;
                let shown = self.text[at..at + c].to_owned();
                return Err(self.syntax_error("Escape sequence \"\\", &shown, "\" is invalid."));
            }
        };
        if self.build {
            self.string.push(c);
        }
        Ok(at + 1)
    }

    fn read_unicode_escape(&mut self, at: usize) -> Result<usize> {
        let high = self.read_code_unit(at)?;
        if !self.build {
            return Ok(at + 4);
        }
        let low_surrogate = |unit: u32| (0xdc00..0xe000).contains(&unit);
        if high == 0 {
            return Err(Error::new(
                SqlState::UNTRANSLATABLE_CHARACTER,
                "unsupported Unicode escape sequence",
            )
            .with_detail("\\u0000 cannot be converted to text.")
            .with_context(self.context_at(at + 4)));
        }
        if low_surrogate(high) {
            return Err(self.surrogate_error(at + 4, "low surrogate must follow a high surrogate"));
        }
        if !(0xd800..0xdc00).contains(&high) {
            self.string.push(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
            return Ok(at + 4);
        }
        let follows = |me: &Self, at: usize| me.bytes[at..].starts_with(b"\\u");
        if !follows(self, at + 4) {
            let end = (at + 5).min(self.bytes.len());
            return Err(self.surrogate_error(end, "low surrogate must follow a high surrogate"));
        }
        let low = self.read_code_unit(at + 6)?;
        if (0xd800..0xdc00).contains(&low) {
            let what = "high surrogate must not follow a high surrogate";
            return Err(self.surrogate_error(at + 10, what));
        }
        if !low_surrogate(low) {
            let what = "low surrogate must follow a high surrogate";
            return Err(self.surrogate_error(at + 10, what));
        }
        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        self.string.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        Ok(at + 10)
    }

    fn read_code_unit(&mut self, at: usize) -> Result<u32> {
        let mut unit = 0;
        for i in at..at + 4 {
            let digit = self.bytes.get(i).and_then(|&b| (b as char).to_digit(16));
            match digit {
                Some(digit) => unit = unit * 16 + digit,
                None if i >= self.bytes.len() => {
                    self.end = i;
                    return Err(self.invalid_token());
                }
                None => {
                    self.end = i + self.text[i..].chars().next().map_or(1, char::len_utf8);
                    return Err(self.syntax_error(
                        "\"\\u\" must be followed by four hexadecimal digits",
                        "",
                        ".",
                    ));
                }
            }
        }
        Ok(unit)
    }

    fn surrogate_error(&mut self, end: usize, what: &str) -> Error {
        self.end = end;
        self.syntax_error("Unicode ", what, ".")
    }

    fn token_text(&self) -> &'a str {
        // Errors may point into a character; the token is shown up to its end.
        let mut end = self.end.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        &self.text[self.start.min(end)..end]
    }

    fn expected(&self, what: &str) -> Error {
        if self.token == Token::End {
            return self.syntax_error("The input string ended unexpectedly", "", ".");
        }
        let head = format!("Expected {what}, but found \"");
        self.syntax_error(&head, self.token_text(), "\".")
    }

    fn invalid_token(&self) -> Error {
        self.syntax_error("Token \"", self.token_text(), "\" is invalid.")
    }

    fn syntax_error(&self, head: &str, shown: &str, tail: &str) -> Error {
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
            .with_detail(format!("{head}{shown}{tail}"))
            .with_context(self.context_at(self.end))
    }

    /// The line up to where it went wrong, cut to a length that can be read.
    fn context_at(&self, end: usize) -> String {
        let mut end = end.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        let before = &self.bytes[..self.start.min(end)];
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        let mut start = line_start;
        while end - start >= CONTEXT_BYTES_MAX {
            start += self.text[start..].chars().next().map_or(1, char::len_utf8);
        }
        if start - line_start <= 3 {
            start = line_start;
        }
        let prefix = if start > line_start { "..." } else { "" };
        let goes_on =
            self.token != Token::End && !matches!(self.bytes.get(end), None | Some(b'\n' | b'\r'));
        let suffix = if goes_on { "..." } else { "" };
        format!("JSON data, line {line}: {prefix}{}{suffix}", &self.text[start..end])
    }
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}
