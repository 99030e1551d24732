//! From SQL text to the bound tree.
//!
//! [`parse`] turns a text into [`ParsedStatement`]s: [`lexer`] → [`parser`] → [`ast`]. [`bind`]
//! resolves names, types and overloads by PostgreSQL's rules and gives [`bound`] trees.

pub mod ast;
pub mod bind;
pub mod bound;
pub mod ddl;
pub mod keywords;
pub mod lexer;
pub mod lifted;
pub mod parser;
pub mod statement;
pub mod walk;

use std::sync::Arc;

pub use statement::{ParsedStatement, StatementKind};

use crate::error::{Error, Result, SqlState};

/// The longest text that is parsed.
pub const TEXT_BYTES_MAX: usize = 1 << 30;

/// Parses a text of any number of statements.
pub fn parse(text: &str) -> Result<Vec<ParsedStatement>> {
    if text.len() >= TEXT_BYTES_MAX {
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "statement is too long"));
    }
    let mut scanned = lexer::scan(text);
    let whole: Arc<str> = Arc::from(text);
    parser::Parser::new(text, &mut scanned).statements(&whole)
}

/// Parses one expression: a DEFAULT or CHECK of a descriptor.
pub fn parse_expression(text: &str) -> Result<ast::Expr> {
    let mut scanned = lexer::scan(text);
    let mut parser = parser::Parser::new(text, &mut scanned);
    let expr = parser.expr()?;
    parser.expect_end()?;
    Ok(expr)
}

/// The position that a byte offset is for a client: characters, from 1.
pub fn position_at(text: &str, offset: u32) -> u32 {
    let before = text.get(..offset as usize).unwrap_or(text);
    before.chars().count() as u32 + 1
}

/// 42601 with what stands at `start..end`.
fn near_error(text: &str, message: &str, start: u32, end: u32) -> Error {
    let near = text.get(start as usize..end as usize).unwrap_or_default();
    let message = if near.is_empty() {
        format!("{message} at end of input")
    } else {
        format!("{message} at or near \"{near}\"")
    };
    Error::new(SqlState::SYNTAX_ERROR, message).at(position_at(text, start))
}
