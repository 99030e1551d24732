//! Type names, with the spellings that the grammar itself knows.

use super::super::ast::*;
use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::{FUNCTION_NAMES, Parser};
use crate::error::Result;

/// Bits of an interval's field mask, as in PostgreSQL's typmod (`INTERVAL_MASK`).
mod field {
    pub(super) const MONTH: i32 = 1 << 1;
    pub(super) const YEAR: i32 = 1 << 2;
    pub(super) const DAY: i32 = 1 << 3;
    pub(super) const HOUR: i32 = 1 << 10;
    pub(super) const MINUTE: i32 = 1 << 11;
    pub(super) const SECOND: i32 = 1 << 12;
}

/// The mask of an interval with all fields.
pub const INTERVAL_FULL_RANGE: i32 = 0x7fff;

impl Parser<'_> {
    /// `Typename`
    pub fn type_name(&mut self) -> Result<TypeName> {
        let at = self.at();
        let set_of = self.eat(K::Setof);
        let mut ty = self.simple_type(true)?;
        ty.set_of = set_of;
        ty.at = at;
        if self.eat(K::Array) {
            ty.array = true;
            if self.eat_char(b'[') {
                self.integer()?;
                self.expect_char(b']')?;
            }
            return Ok(ty);
        }
        while self.eat_char(b'[') {
            ty.array = true;
            if !self.is_char(b']') {
                self.integer()?;
            }
            self.expect_char(b']')?;
        }
        Ok(ty)
    }

    /// A type without array bounds. `fields`: whether an interval's fields may follow (in a
    /// literal they follow the string).
    pub(super) fn simple_type(&mut self, fields: bool) -> Result<TypeName> {
        let at = self.at();
        let Kind::Keyword(keyword) = self.kind() else { return self.generic_type() };
        let name = match keyword {
            K::Int | K::Integer => "int4",
            K::Smallint => "int2",
            K::Bigint => "int8",
            K::Real => "float4",
            K::Boolean => "bool",
            K::Float => {
                self.advance();
                return self.float(at);
            }
            K::Double if self.is_at(1, K::Precision) => {
                self.advance();
                "float8"
            }
            K::Decimal | K::Dec | K::Numeric => {
                self.advance();
                let mut ty = builtin_type("numeric", at);
                ty.modifiers = self.modifiers()?;
                return Ok(ty);
            }
            K::Bit => {
                self.advance();
                let name = if self.eat(K::Varying) { "varbit" } else { "bit" };
                let mut ty = builtin_type(name, at);
                ty.modifiers = self.modifiers()?;
                return Ok(ty);
            }
            K::Char | K::Character | K::Nchar | K::National | K::Varchar => {
                return self.character(keyword, at);
            }
            K::Timestamp | K::Time => return self.date_time(keyword, at),
            K::Interval => {
                self.advance();
                let mut ty = builtin_type("interval", at);
                if self.is_char(b'(') {
                    self.advance();
                    let precision = self.integer()?;
                    self.expect_char(b')')?;
                    ty.modifiers = vec![number(INTERVAL_FULL_RANGE, at), number(precision, at)];
                } else if fields {
                    self.interval_fields(&mut ty)?;
                }
                return Ok(ty);
            }
            _ => return self.generic_type(),
        };
        self.advance();
        Ok(builtin_type(name, at))
    }

    fn generic_type(&mut self) -> Result<TypeName> {
        let at = self.at();
        if !self.is_name_at(0, FUNCTION_NAMES) {
            return Err(self.unexpected());
        }
        let mut name = vec![self.take_name()?];
        while self.eat_char(b'.') {
            name.push(self.label()?);
        }
        let modifiers = self.modifiers()?;
        Ok(TypeName { name, modifiers, array: false, set_of: false, at })
    }

    /// `(a, b)` after a type.
    fn modifiers(&mut self) -> Result<Vec<Expr>> {
        if self.is_char(b'(') { self.parens(Self::expr) } else { Ok(Vec::new()) }
    }

    /// `FLOAT`, `FLOAT(p)`
    fn float(&mut self, at: Offset) -> Result<TypeName> {
        if !self.eat_char(b'(') {
            return Ok(builtin_type("float8", at));
        }
        let precision_at = self.at();
        let precision = self.integer()?;
        self.expect_char(b')')?;
        let message = match precision {
            1..=24 => return Ok(builtin_type("float4", at)),
            25..=53 => return Ok(builtin_type("float8", at)),
            ..1 => "precision for type float must be at least 1 bit",
            _ => "precision for type float must be less than 54 bits",
        };
        let position = super::position_at(self.text, precision_at);
        let code = crate::error::SqlState::INVALID_PARAMETER_VALUE;
        Err(crate::error::Error::new(code, message).at(position))
    }

    fn character(&mut self, keyword: K, at: Offset) -> Result<TypeName> {
        self.advance();
        if keyword == K::National && !self.eat(K::Character) {
            self.expect(K::Char)?;
        }
        let varying = keyword == K::Varchar || self.eat(K::Varying);
        let mut ty = builtin_type(if varying { "varchar" } else { "bpchar" }, at);
        if self.eat_char(b'(') {
            let length_at = self.at();
            let length = self.integer()?;
            self.expect_char(b')')?;
            ty.modifiers = vec![number(length, length_at)];
        } else if !varying {
            ty.modifiers = vec![number(1, at)];
        }
        Ok(ty)
    }

    fn date_time(&mut self, keyword: K, at: Offset) -> Result<TypeName> {
        self.advance();
        let mut modifiers = Vec::new();
        if self.eat_char(b'(') {
            let precision_at = self.at();
            modifiers.push(number(self.integer()?, precision_at));
            self.expect_char(b')')?;
        }
        let with_zone = if self.is(K::With) && self.is_at(1, K::Time) {
            self.advance();
            true
        } else if self.is(K::Without) && self.is_at(1, K::Time) {
            self.advance();
            false
        } else {
            let mut ty = builtin_type(if keyword == K::Time { "time" } else { "timestamp" }, at);
            ty.modifiers = modifiers;
            return Ok(ty);
        };
        self.expect(K::Time)?;
        self.expect(K::Zone)?;
        let mut ty = builtin_type(
            match (keyword, with_zone) {
                (K::Time, true) => "timetz",
                (K::Time, false) => "time",
                (_, true) => "timestamptz",
                (_, false) => "timestamp",
            },
            at,
        );
        ty.modifiers = modifiers;
        Ok(ty)
    }

    /// `YEAR TO MONTH`, `SECOND(3)`, … after INTERVAL or its literal.
    pub(super) fn interval_fields(&mut self, ty: &mut TypeName) -> Result<()> {
        let at = self.at();
        let Kind::Keyword(first) = self.kind() else { return Ok(()) };
        let order = [K::Year, K::Month, K::Day, K::Hour, K::Minute, K::Second];
        let masks =
            [field::YEAR, field::MONTH, field::DAY, field::HOUR, field::MINUTE, field::SECOND];
        let Some(from) = order.iter().position(|k| *k == first) else { return Ok(()) };
        self.advance();
        let mut to = from;
        if self.is(K::To) {
            let Kind::Keyword(last) = self.peek_at(1).kind else { return Err(self.unexpected()) };
            let allowed = match first {
                K::Year => &[K::Month][..],
                K::Day => &[K::Hour, K::Minute, K::Second],
                K::Hour => &[K::Minute, K::Second],
                K::Minute => &[K::Second],
                _ => &[],
            };
            if allowed.is_empty() {
                return Err(self.unexpected());
            }
            self.advance();
            if !allowed.contains(&last) {
                return Err(self.unexpected());
            }
            self.advance();
            to = order.iter().position(|k| *k == last).unwrap_or(from);
        }
        let mask = masks[from..=to].iter().fold(0, |all, bit| all | bit);
        ty.modifiers.insert(0, number(mask, at));
        if order[to] == K::Second && self.eat_char(b'(') {
            let precision_at = self.at();
            let precision = self.integer()?;
            self.expect_char(b')')?;
            ty.modifiers.truncate(1);
            ty.modifiers.push(number(precision, precision_at));
        } else if ty.modifiers.len() > 1 {
            ty.modifiers.remove(1);
        }
        Ok(())
    }
}

fn number(value: i32, at: Offset) -> Expr {
    Expr::new(ExprKind::Number(value.to_string().into()), at)
}

/// A type that the grammar names.
pub(super) fn builtin_type(name: &str, at: Offset) -> TypeName {
    let parts = ["pg_catalog", name];
    let name = parts.iter().map(|part| Ident { name: (*part).into(), at }).collect();
    TypeName { name, modifiers: Vec::new(), array: false, set_of: false, at }
}
