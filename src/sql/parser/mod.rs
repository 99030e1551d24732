//! The parser: PostgreSQL's grammar for queries, expressions, INSERT, UPDATE, DELETE and session
//! commands and DDL, by recursive descent and operator precedence over [`super::lexer`]'s tokens.
//!
//! Nesting is bounded by [`NESTING_MAX`] and the stack grows on the heap, so that no
//! statement can overflow it.

pub mod alter;
pub mod call;
pub mod constraint;
mod copy;
pub mod create;
pub mod cursor;
pub mod ddl;
pub mod dml;
pub mod expr;
mod foreign;
pub mod from;
pub mod primary;
pub mod query;
pub mod role;
pub mod session;
pub mod types;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::sync::Arc;

use super::ast::{Ident, Offset, QualifiedName};
use super::keywords::{Category, Keyword};
use super::lexer::{self, Kind, Token, Tokens};
use super::{near_error, position_at};
use crate::error::{Error, Result, SqlState};

/// How deep expressions, queries and joins may nest; the whole pipeline recurses at most so deep.
pub const NESTING_MAX: usize = 6_000;
/// Stack that must be left before another level is entered.
const STACK_RED_ZONE_BYTES: usize = 128 * 1024;
/// Stack added at once when that is not left.
const STACK_GROWTH_BYTES: usize = 2 * 1024 * 1024;

/// Runs `f` with enough stack left for another level of recursion.
pub fn with_stack<T>(f: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_RED_ZONE_BYTES, STACK_GROWTH_BYTES, f)
}

/// 54001, as PostgreSQL says it.
pub fn too_deep() -> Error {
    Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded").with_hint(
        "Increase the configuration parameter \"max_stack_depth\" (currently 2048kB), after \
         ensuring the platform's stack depth limit is adequate.",
    )
}

/// A position in a token stream.
pub struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    next: usize,
    depth: usize,
    fault: Cell<Option<Error>>,
    hints: &'a [(u32, u32)],
    /// Where integers stand that are read as parameters.
    lifted: &'a [u32],
}

impl<'a> Parser<'a> {
    /// A parser at the start of `scanned`.
    pub fn new(text: &'a str, scanned: &'a mut Tokens) -> Parser<'a> {
        let fault = Cell::new(scanned.fault.take());
        let (tokens, hints) = (&scanned.tokens, &scanned.hints);
        Parser { text, tokens, next: 0, depth: 0, fault, hints, lifted: &[] }
    }

    /// Reads the integers at these bytes, in rising order, as parameters `$1`, `$2`, ….
    pub fn lifting(self, starts: &'a [u32]) -> Parser<'a> {
        Parser { lifted: starts, ..self }
    }

    /// The next token.
    fn peek(&self) -> Token {
        self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    /// The token `ahead` of the next.
    fn peek_at(&self, ahead: usize) -> Token {
        self.tokens[(self.next + ahead).min(self.tokens.len() - 1)]
    }

    fn kind(&self) -> Kind {
        self.peek().kind
    }

    /// The byte where the next token begins.
    fn at(&self) -> Offset {
        self.peek().start
    }

    /// The byte after the last token taken.
    fn end(&self) -> Offset {
        self.next.checked_sub(1).map_or(0, |i| self.tokens[i.min(self.tokens.len() - 1)].end)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek();
        if self.next < self.tokens.len() - 1 {
            self.next += 1;
        }
        token
    }

    fn source(&self, token: Token) -> &'a str {
        &self.text[token.start as usize..token.end as usize]
    }

    fn is(&self, keyword: Keyword) -> bool {
        self.kind() == Kind::Keyword(keyword)
    }

    fn is_at(&self, ahead: usize, keyword: Keyword) -> bool {
        self.peek_at(ahead).kind == Kind::Keyword(keyword)
    }

    fn is_char(&self, c: u8) -> bool {
        self.kind() == Kind::Char(c)
    }

    fn is_char_at(&self, ahead: usize, c: u8) -> bool {
        self.peek_at(ahead).kind == Kind::Char(c)
    }

    fn eat(&mut self, keyword: Keyword) -> bool {
        let found = self.is(keyword);
        if found {
            self.next += 1;
        }
        found
    }

    /// Takes all of `keywords` if they are next, or none.
    fn eat_all(&mut self, keywords: &[Keyword]) -> bool {
        let found = keywords.iter().enumerate().all(|(i, k)| self.is_at(i, *k));
        if found {
            self.next += keywords.len();
        }
        found
    }

    fn eat_char(&mut self, c: u8) -> bool {
        let found = self.is_char(c);
        if found {
            self.next += 1;
        }
        found
    }

    fn expect(&mut self, keyword: Keyword) -> Result<()> {
        if self.eat(keyword) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_char(&mut self, c: u8) -> Result<()> {
        if self.eat_char(c) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// 42601 at the next token; what the scanner found wrong, if that is next.
    pub fn unexpected(&self) -> Error {
        let token = self.peek();
        if token.kind == Kind::Invalid
            && let Some(fault) = self.fault.take()
        {
            return fault;
        }
        near_error(self.text, "syntax error", token.start, token.end)
    }

    /// An error of the grammar with a message of its own.
    fn error(&self, message: impl Into<String>, at: Offset) -> Error {
        Error::new(SqlState::SYNTAX_ERROR, message).at(position_at(self.text, at))
    }

    /// 0A000, pointing at `at`.
    fn unsupported(&self, what: impl std::fmt::Display, at: Offset) -> Error {
        Error::unsupported(what).at(position_at(self.text, at))
    }

    /// Runs `f` one level deeper.
    fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= NESTING_MAX {
            return Err(too_deep());
        }
        self.depth += 1;
        let result = with_stack(|| f(self));
        self.depth -= 1;
        result
    }

    /// Fails unless everything was taken.
    pub fn expect_end(&self) -> Result<()> {
        if self.kind() == Kind::Eof { Ok(()) } else { Err(self.unexpected()) }
    }

    /// `item (, item)*`
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat_char(b',') {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `( item (, item)* )`
    fn parens<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect_char(b'(')?;
        let items = self.list(item)?;
        self.expect_char(b')')?;
        Ok(items)
    }

    /// Whether the token `ahead` is a name of one of these keyword categories, or no keyword.
    fn is_name_at(&self, ahead: usize, categories: &[Category]) -> bool {
        match self.peek_at(ahead).kind {
            Kind::Word | Kind::QuotedName | Kind::UnicodeName => true,
            Kind::Keyword(keyword) => categories.contains(&keyword.category()),
            _ => false,
        }
    }

    /// The next token as a name, whatever it is.
    fn take_name(&mut self) -> Result<Ident> {
        let token = self.advance();
        let at = token.start;
        let name = match token.kind {
            Kind::Keyword(keyword) => Arc::from(keyword.word()),
            Kind::QuotedName => lexer::quoted_name(self.source(token)),
            Kind::UnicodeName => {
                let escape = self.unicode_escape()?;
                lexer::unicode_name(self.text, token, escape)?
            }
            _ => lexer::fold(self.source(token)),
        };
        Ok(Ident { name, at })
    }

    /// `UESCAPE 'c'` after a Unicode literal or name.
    fn unicode_escape(&mut self) -> Result<char> {
        if !self.eat(Keyword::Uescape) {
            return Ok('\\');
        }
        let token = self.peek();
        let body = if token.kind == Kind::String { self.source(token) } else { Default::default() };
        let mut chars = body.trim_matches('\'').chars();
        let escape = match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_ascii_hexdigit() && !"+'\" \t\n\r".contains(c) => c,
            _ => return Err(self.error_near("invalid Unicode escape character", token)),
        };
        self.advance();
        Ok(escape)
    }

    fn error_near(&self, message: &str, token: Token) -> Error {
        near_error(self.text, message, token.start, token.end)
    }

    fn name_of(&mut self, categories: &[Category]) -> Result<Ident> {
        if self.is_name_at(0, categories) { self.take_name() } else { Err(self.unexpected()) }
    }

    /// `ColId`: a column or table name.
    fn column_name(&mut self) -> Result<Ident> {
        self.name_of(COLUMN_NAMES)
    }

    /// `ColLabel`: any word.
    fn label(&mut self) -> Result<Ident> {
        self.name_of(LABELS)
    }

    /// `ColId (. attr)*` without subscripts: a table's, type's or other object's name.
    fn qualified_name(&mut self) -> Result<QualifiedName> {
        let mut parts = vec![self.column_name()?];
        while self.eat_char(b'.') {
            parts.push(self.label()?);
        }
        Ok(parts)
    }

    /// A string literal of any kind.
    fn string(&mut self) -> Result<Arc<str>> {
        let token = self.peek();
        match token.kind {
            Kind::String | Kind::EscapeString | Kind::DollarString => {
                self.advance();
                Ok(Arc::from(lexer::string_value(self.text, token)?))
            }
            Kind::UnicodeString => {
                self.advance();
                let escape = self.unicode_escape()?;
                Ok(Arc::from(lexer::unicode_string(self.text, token, escape)?))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn at_string(&self) -> bool {
        is_string(self.kind())
    }

    /// An unsigned integer that fits int4.
    fn integer(&mut self) -> Result<i32> {
        let token = self.peek();
        match (token.kind, self.source(token).parse()) {
            (Kind::Integer, Ok(value)) => {
                self.advance();
                Ok(value)
            }
            _ => Err(self.unexpected()),
        }
    }
}

fn is_string(kind: Kind) -> bool {
    matches!(kind, Kind::String | Kind::EscapeString | Kind::DollarString | Kind::UnicodeString)
}

/// What may name a column or table without quotes.
const COLUMN_NAMES: &[Category] = &[Category::Unreserved, Category::ColumnName];
/// What may name a function or type without quotes.
const FUNCTION_NAMES: &[Category] = &[Category::Unreserved, Category::TypeOrFunction];
/// What may stand after AS or a point.
const LABELS: &[Category] =
    &[Category::Unreserved, Category::ColumnName, Category::TypeOrFunction, Category::Reserved];
