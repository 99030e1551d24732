//! DDL, through sqlparser.
//!
//! sqlparser is given tokens of our lexer and a dialect whose expression hook is our own expression
//! parser: in its syntax tree every expression is an [`Expr::Identifier`] that holds the source
//! text ([`expression_text`]), which is what descriptors keep. Locations carry byte offsets in
//! `line` (from 1) and character positions in `column`, so errors point where PostgreSQL does.

use std::cell::Cell;
use std::sync::Arc;

use sqlparser::ast::{self, Expr, Ident};
use sqlparser::dialect::{Dialect, PostgreSqlDialect};
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, Span, Token as Sql, TokenWithSpan, Word};

use super::super::ast::TypeName;
use super::super::keywords::Keyword as K;
use super::super::lexer::{self, Kind, Token, Tokens};
use super::super::statement::StatementKind;
use super::{Parser, too_deep};
use crate::error::{Error, Result};

/// How deep sqlparser may recurse.
const DDL_NESTING_MAX: usize = 200;

/// A DDL statement; what it says is for this module's binders alone.
#[derive(Clone, Debug)]
pub struct DdlStatement {
    /// sqlparser's tree.
    #[allow(dead_code, reason = "for the binders of DDL")]
    pub(in crate::sql) ast: ast::Statement,
}

/// The source text of an expression in sqlparser's tree.
#[allow(dead_code, reason = "for the binders of DDL")]
pub(in crate::sql) fn expression_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Identifier(ident) => Some(&ident.value),
        _ => None,
    }
}

/// The column that an expression in sqlparser's tree names, if it is only a name.
#[allow(dead_code, reason = "for the binders of DDL")]
pub(in crate::sql) fn column_of(expr: &Expr) -> Option<Arc<str>> {
    let text = expression_text(expr)?;
    let mut scanned = lexer::scan(text);
    let mut parser = Parser::new(text, &mut scanned);
    let name = parser.column_name().ok()?;
    parser.expect_end().ok()?;
    Some(name.name)
}

/// A type of sqlparser's tree as ours.
#[allow(dead_code, reason = "for the binders of DDL")]
pub(in crate::sql) fn type_name(ty: &ast::DataType) -> Result<TypeName> {
    let text = ty.to_string();
    let mut scanned = lexer::scan(&text);
    let mut parser = Parser::new(&text, &mut scanned);
    let ty = parser.type_name()?;
    parser.expect_end()?;
    Ok(ty)
}

/// The character position of a location in sqlparser's tree, 0 if it has none.
#[allow(dead_code, reason = "for the binders of DDL")]
pub(in crate::sql) fn position_of(span: Span) -> u32 {
    span.start.column as u32
}

impl Parser<'_> {
    /// CREATE, ALTER, DROP, TRUNCATE, COMMENT, GRANT, REVOKE.
    pub(super) fn ddl(&mut self) -> Result<StatementKind> {
        if let Some(name) = self.unsupported_ddl() {
            self.skip_statement();
            return Ok(StatementKind::Unsupported(name));
        }
        let from = self.next;
        self.skip_statement();
        if self.kind() == Kind::Invalid {
            return Err(self.unexpected());
        }
        let tokens: Arc<[Token]> = self.tokens[from..self.next].into();
        let dialect = DdlDialect { text: self.text.into(), tokens, fault: Cell::new(None) };
        let converted = self.convert(&dialect.tokens)?;
        let mut parser = sqlparser::parser::Parser::new(&dialect)
            .with_recursion_limit(DDL_NESTING_MAX)
            .with_tokens_with_locations(converted);
        let parsed = parser.parse_statement().and_then(|ast| {
            let rest = parser.peek_token();
            if rest.token == Sql::EOF { Ok(ast) } else { parser.expected("end of statement", rest) }
        });
        match parsed {
            Ok(ast) => Ok(StatementKind::Ddl(Box::new(DdlStatement { ast }))),
            Err(e) => Err(dialect.fault.take().unwrap_or_else(|| self.ddl_error(from, &e))),
        }
    }

    /// The name of a kind of DDL that Sluice does not have.
    fn unsupported_ddl(&self) -> Option<String> {
        let Kind::Keyword(verb @ (K::Create | K::Alter | K::Drop)) = self.kind() else {
            return None;
        };
        let mut ahead = 1;
        let mut words = vec![verb.word()];
        loop {
            let Kind::Keyword(keyword) = self.peek_at(ahead).kind else { return None };
            ahead += 1;
            match keyword {
                K::Or | K::Replace | K::Unique | K::Global | K::Local => {}
                K::Temp | K::Temporary | K::Unlogged => {}
                K::Materialized
                | K::Foreign
                | K::Text
                | K::Event
                | K::Default
                | K::Access
                | K::Operator
                | K::Trusted
                | K::Procedural
                | K::Recursive
                | K::Large => {
                    words.push(keyword.word());
                }
                K::Table if words.len() == 1 => break,
                K::Index | K::Schema | K::Role | K::User | K::Database => return None,
                _ => {
                    words.push(keyword.word());
                    return Some(words.join(" ").to_ascii_uppercase());
                }
            }
        }
        if verb == K::Create && self.creates_from_query(ahead) {
            return Some("CREATE TABLE AS".to_owned());
        }
        None
    }

    /// Whether CREATE TABLE, past that word, goes on with AS.
    fn creates_from_query(&self, mut ahead: usize) -> bool {
        let mut depth = 0usize;
        loop {
            match self.peek_at(ahead).kind {
                Kind::Char(b'(') => depth += 1,
                Kind::Char(b')') => depth = depth.saturating_sub(1),
                Kind::Eof | Kind::Invalid | Kind::Char(b';') => return false,
                Kind::Keyword(K::As) if depth == 0 => {
                    let next = self.peek_at(ahead + 1).kind;
                    return matches!(
                        next,
                        Kind::Char(b'(')
                            | Kind::Keyword(
                                K::Select | K::With | K::Values | K::Table | K::Execute
                            )
                    );
                }
                _ => {}
            }
            ahead += 1;
        }
    }

    fn convert(&self, tokens: &[Token]) -> Result<Vec<TokenWithSpan>> {
        let mut out = Vec::with_capacity(tokens.len());
        let mut byte = 0;
        let mut column = 1;
        let mut locate = |offset: u32| {
            let offset = offset as usize;
            column += self.text[byte..offset].chars().count() as u64;
            byte = offset;
            Location { line: offset as u64 + 1, column }
        };
        for token in tokens {
            let span = Span { start: locate(token.start), end: locate(token.end) };
            out.push(TokenWithSpan { token: convert_token(self.text, *token)?, span });
        }
        Ok(out)
    }

    /// sqlparser's error as PostgreSQL's: it names the token at which it stopped.
    fn ddl_error(&self, from: usize, error: &ParserError) -> Error {
        let message = match error {
            ParserError::RecursionLimitExceeded => return too_deep(),
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        };
        let line = message
            .rsplit_once(" at Line: ")
            .and_then(|(_, location)| location.split_once(','))
            .and_then(|(line, _)| line.parse::<u32>().ok());
        let found = line
            .and_then(|line| self.tokens[from..=self.next].iter().find(|t| t.start + 1 == line));
        match found {
            Some(token) => self.error_near("syntax error", *token),
            None => self.unexpected(),
        }
    }
}

/// One of our tokens as sqlparser's.
fn convert_token(text: &str, token: Token) -> Result<Sql> {
    let source = &text[token.start as usize..token.end as usize];
    Ok(match token.kind {
        Kind::Keyword(_) | Kind::Word => Sql::make_word(&lexer::fold(source), None),
        Kind::QuotedName => quoted_word(&lexer::quoted_name(source)),
        Kind::UnicodeName => quoted_word(&lexer::unicode_name(text, token, '\\')?),
        Kind::String | Kind::EscapeString | Kind::DollarString | Kind::UnicodeString => {
            Sql::SingleQuotedString(lexer::string_value(text, token)?)
        }
        Kind::BitString => Sql::SingleQuotedByteStringLiteral(source.to_owned()),
        Kind::Integer | Kind::Decimal => Sql::Number(source.to_owned(), false),
        Kind::Param => Sql::Placeholder(source.to_owned()),
        Kind::Typecast => Sql::DoubleColon,
        Kind::ColonEquals => Sql::Assignment,
        Kind::Arrow => Sql::RArrow,
        Kind::LessEqual => Sql::LtEq,
        Kind::GreaterEqual => Sql::GtEq,
        Kind::NotEqual => Sql::Neq,
        Kind::Char(c) => match c {
            b'(' => Sql::LParen,
            b')' => Sql::RParen,
            b'[' => Sql::LBracket,
            b']' => Sql::RBracket,
            b',' => Sql::Comma,
            b';' => Sql::SemiColon,
            b':' => Sql::Colon,
            b'.' => Sql::Period,
            b'+' => Sql::Plus,
            b'-' => Sql::Minus,
            b'*' => Sql::Mul,
            b'/' => Sql::Div,
            b'%' => Sql::Mod,
            b'^' => Sql::Caret,
            b'<' => Sql::Lt,
            b'>' => Sql::Gt,
            b'=' => Sql::Eq,
            _ => Sql::Char(c as char),
        },
        Kind::DotDot | Kind::Operator | Kind::Invalid | Kind::Eof => {
            Sql::CustomBinaryOperator(source.to_owned())
        }
    })
}

fn quoted_word(name: &str) -> Sql {
    Sql::Word(Word {
        value: name.to_owned(),
        quote_style: Some('"'),
        keyword: sqlparser::keywords::Keyword::NoKeyword,
    })
}

/// PostgreSQL's dialect with expressions left to us.
struct DdlDialect {
    text: Arc<str>,
    tokens: Arc<[Token]>,
    fault: Cell<Option<Error>>,
}

impl std::fmt::Debug for DdlDialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DdlDialect")
    }
}

impl DdlDialect {
    /// Parses the expression that begins at the parser's next token and takes its tokens.
    fn expression(&self, parser: &mut sqlparser::parser::Parser<'_>) -> Option<Expr> {
        let start = (parser.peek_token_ref().span.start.line as u32).checked_sub(1)?;
        let first = self.tokens.binary_search_by_key(&start, |t| t.start).ok()?;
        let end = self.tokens.last().map_or(0, |t| t.end);
        let mut tokens = self.tokens[first..].to_vec();
        tokens.push(Token { kind: Kind::Eof, start: end, end });
        let mut scanned = Tokens { tokens, fault: None, hints: Vec::new() };
        let mut ours = Parser::new(&self.text, &mut scanned);
        let taken = match ours.expr() {
            Ok(_) => ours.next,
            // Options take words that no expression could be: `columnar = on`.
            Err(_) if ours.next == 0 && ours.is(K::On) => 1,
            Err(e) => {
                self.fault.set(Some(e));
                return None;
            }
        };
        let last = self.tokens[first + taken - 1];
        let start_location = parser.peek_token_ref().span.start;
        let mut end_location = start_location;
        for _ in 0..taken {
            end_location = parser.next_token().span.end;
        }
        let mut ident = Ident::new(&self.text[start as usize..last.end as usize]);
        ident.span = Span { start: start_location, end: end_location };
        Some(Expr::Identifier(ident))
    }
}

impl Dialect for DdlDialect {
    fn dialect(&self) -> std::any::TypeId {
        std::any::TypeId::of::<PostgreSqlDialect>()
    }

    fn parse_prefix(
        &self,
        parser: &mut sqlparser::parser::Parser<'_>,
    ) -> Option<Result<Expr, ParserError>> {
        Some(match self.expression(parser) {
            Some(expr) => Ok(expr),
            None => {
                let found = parser.peek_token();
                parser.expected("an expression", found)
            }
        })
    }

    fn get_next_precedence(
        &self,
        _: &sqlparser::parser::Parser<'_>,
    ) -> Option<Result<u8, ParserError>> {
        Some(Ok(self.prec_unknown()))
    }

    fn identifier_quote_style(&self, _: &str) -> Option<char> {
        Some('"')
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '"'
    }

    fn is_identifier_start(&self, c: char) -> bool {
        PostgreSqlDialect {}.is_identifier_start(c)
    }

    fn is_identifier_part(&self, c: char) -> bool {
        PostgreSqlDialect {}.is_identifier_part(c)
    }

    fn is_table_alias(
        &self,
        keyword: &sqlparser::keywords::Keyword,
        parser: &mut sqlparser::parser::Parser<'_>,
    ) -> bool {
        PostgreSqlDialect {}.is_table_alias(keyword, parser)
    }

    fn supports_alter_user_as_alter_role(&self) -> bool {
        true
    }

    fn supports_create_index_with_clause(&self) -> bool {
        true
    }

    fn supports_exclude_constraint(&self) -> bool {
        true
    }

    fn supports_comment_on(&self) -> bool {
        true
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }

    fn supports_geometric_types(&self) -> bool {
        true
    }

    fn supports_alter_column_type_using(&self) -> bool {
        true
    }

    fn supports_interval_options(&self) -> bool {
        true
    }

    fn supports_create_table_like_parenthesized(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }
}
