//! DECLARE, FETCH, MOVE, CLOSE.

use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::super::statement::{Declare, FETCH_ALL, Fetch, FetchDirection, StatementKind};
use super::Parser;
use crate::error::{Error, Result, SqlState};

impl Parser<'_> {
    /// DECLARE, at its keyword.
    pub(super) fn declare(&mut self) -> Result<StatementKind> {
        self.expect(K::Declare)?;
        let name = self.column_name()?.name.to_string();
        let (mut binary, mut scroll, mut no_scroll) = (false, false, false);
        let (mut insensitive, mut asensitive) = (false, false);
        loop {
            if self.eat_all(&[K::No, K::Scroll]) {
                no_scroll = true;
            } else if self.eat(K::Scroll) {
                scroll = true;
            } else if self.eat(K::Binary) {
                binary = true;
            } else if self.eat(K::Insensitive) {
                insensitive = true;
            } else if self.eat(K::Asensitive) {
                asensitive = true;
            } else {
                break;
            }
        }
        self.expect(K::Cursor)?;
        let hold = self.eat_all(&[K::With, K::Hold]);
        if !hold {
            self.eat_all(&[K::Without, K::Hold]);
        }
        self.expect(K::For)?;
        if !matches!(
            self.kind(),
            Kind::Keyword(K::Select | K::Values | K::Table | K::With) | Kind::Char(b'(')
        ) {
            return Err(self.unexpected());
        }
        let query = self.query()?;
        let both = |options: &str| {
            let message = format!("cannot specify both {options}");
            Err(Error::new(SqlState::INVALID_CURSOR_DEFINITION, message))
        };
        if scroll && no_scroll {
            return both("SCROLL and NO SCROLL");
        }
        if insensitive && asensitive {
            return both("INSENSITIVE and ASENSITIVE");
        }
        let scroll = (scroll || no_scroll).then_some(scroll);
        let declare = Declare { name, binary, insensitive, scroll, hold, query };
        Ok(StatementKind::Declare(Box::new(declare)))
    }

    /// FETCH or MOVE, at its keyword.
    pub(super) fn fetch(&mut self) -> Result<StatementKind> {
        let moves = self.is(K::Move);
        self.advance();
        let direction = self.fetch_direction()?;
        if !self.eat(K::From) {
            self.eat(K::In);
        }
        let name = self.column_name()?.name.to_string();
        Ok(StatementKind::Fetch(Fetch { name, direction, moves }))
    }

    fn fetch_direction(&mut self) -> Result<FetchDirection> {
        use FetchDirection::*;
        let Kind::Keyword(keyword) = self.kind() else {
            return match self.starts_count() {
                true => self.count().map(Forward),
                false => Ok(Forward(1)),
            };
        };
        // A word alone is the cursor's name.
        if keyword != K::All && matches!(self.peek_at(1).kind, Kind::Eof | Kind::Char(b';')) {
            return Ok(Forward(1));
        }
        let direction = match keyword {
            K::Next => Forward(1),
            K::Prior => Backward(1),
            K::First => Absolute(1),
            K::Last => Absolute(-1),
            K::All => Forward(FETCH_ALL),
            K::Absolute | K::Relative | K::Forward | K::Backward => {
                self.advance();
                return match keyword {
                    K::Absolute => self.count().map(Absolute),
                    K::Relative => self.count().map(Relative),
                    K::Forward => self.optional_count().map(Forward),
                    _ => self.optional_count().map(Backward),
                };
            }
            _ => return Ok(Forward(1)),
        };
        self.advance();
        Ok(direction)
    }

    fn starts_count(&self) -> bool {
        matches!(self.kind(), Kind::Integer | Kind::Char(b'+' | b'-'))
    }

    /// A signed integer, ALL, or nothing, which is 1.
    fn optional_count(&mut self) -> Result<i64> {
        if self.eat(K::All) {
            Ok(FETCH_ALL)
        } else if self.starts_count() {
            self.count()
        } else {
            Ok(1)
        }
    }

    fn count(&mut self) -> Result<i64> {
        let negative = self.eat_char(b'-');
        if !negative {
            self.eat_char(b'+');
        }
        let value = i64::from(self.integer()?);
        Ok(if negative { -value } else { value })
    }

    /// CLOSE, at its keyword.
    pub(super) fn close(&mut self) -> Result<StatementKind> {
        self.expect(K::Close)?;
        let name = match self.eat(K::All) {
            true => None,
            false => Some(self.column_name()?.name.to_string()),
        };
        Ok(StatementKind::Close(name))
    }
}
