//! Operands: constants, columns, parentheses, CASE, casts, and what follows them (`[…]`, `.x`,
//! `::type`).

use super::super::ast::*;
use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::expr::Grammar;
use super::{COLUMN_NAMES, FUNCTION_NAMES, Parser, is_string};
use crate::error::Result;

/// What stood between parentheses.
pub(super) enum Parens {
    /// A query.
    Query(Box<Query>),
    /// Expressions: at least one.
    Exprs(Vec<Expr>),
}

impl Parser<'_> {
    /// An operand with its subscripts, fields and casts.
    pub(super) fn primary(&mut self) -> Result<Expr> {
        let opens = matches!(self.kind(), Kind::Char(b'(') | Kind::Param);
        let expr = self.bare_primary()?;
        let indirect = opens || matches!(expr.kind, ExprKind::Column(_));
        self.postfix(expr, indirect)
    }

    /// Subscripts and fields, where `indirect` says that the operand may have them, then casts.
    fn postfix(&mut self, mut expr: Expr, mut indirect: bool) -> Result<Expr> {
        let mut chain = 0;
        loop {
            let at = self.at();
            match self.kind() {
                Kind::Typecast => {
                    self.advance();
                    let ty = self.type_name()?;
                    expr = Expr::new(ExprKind::Cast(Box::new(expr), ty), at);
                    indirect = false;
                }
                Kind::Char(b'[') if indirect => expr = self.subscript(expr)?,
                Kind::Char(b'.') if indirect => {
                    self.advance();
                    expr = if self.eat_char(b'*') {
                        Expr::new(ExprKind::FieldStar(Box::new(expr)), at)
                    } else {
                        let field = self.label()?;
                        Expr::new(ExprKind::Field(Box::new(expr), field), at)
                    };
                }
                _ => return Ok(expr),
            }
            chain += 1;
            if self.depth + chain > super::NESTING_MAX {
                return Err(super::too_deep());
            }
        }
    }

    /// `[index]` or `[lower:upper]`.
    fn subscript(&mut self, base: Expr) -> Result<Expr> {
        let at = self.at();
        self.expect_char(b'[')?;
        let base = Box::new(base);
        let mut lower = None;
        if !self.is_char(b':') {
            let index = Box::new(self.expr()?);
            if self.eat_char(b']') {
                return Ok(Expr::new(ExprKind::Subscript(base, index), at));
            }
            lower = Some(index);
        }
        self.expect_char(b':')?;
        let upper = if self.is_char(b']') { None } else { Some(Box::new(self.expr()?)) };
        self.expect_char(b']')?;
        Ok(Expr::new(ExprKind::Slice(base, lower, upper), at))
    }

    fn bare_primary(&mut self) -> Result<Expr> {
        let token = self.peek();
        let at = token.start;
        match token.kind {
            Kind::Integer | Kind::Decimal => {
                self.advance();
                Ok(match self.lifted.binary_search(&at) {
                    Ok(index) => Expr::new(ExprKind::Param(index as u32 + 1), at),
                    Err(_) => Expr::new(ExprKind::Number(self.source(token).into()), at),
                })
            }
            kind if is_string(kind) => Ok(Expr::new(ExprKind::String(self.string()?), at)),
            Kind::BitString => {
                self.advance();
                Ok(Expr::new(ExprKind::Bits(self.source(token).into()), at))
            }
            Kind::Param => {
                self.advance();
                let number = self.source(token)[1..].parse();
                let number: i32 = number.map_err(|_| self.no_parameter(token))?;
                Ok(Expr::new(ExprKind::Param(number as u32), at))
            }
            Kind::Char(b'(') => {
                self.advance();
                Ok(match self.parens_content()? {
                    Parens::Query(query) => Expr::new(ExprKind::Query(query), at),
                    Parens::Exprs(mut items) if items.len() == 1 => items.remove(0),
                    Parens::Exprs(items) => Expr::new(ExprKind::Row(items), at),
                })
            }
            Kind::Keyword(keyword) => self.keyword_primary(keyword),
            Kind::Word | Kind::QuotedName | Kind::UnicodeName => self.name_primary(),
            _ => Err(self.unexpected()),
        }
    }

    fn no_parameter(&self, token: super::Token) -> crate::error::Error {
        let number = &self.source(token)[1..];
        crate::error::Error::new(
            crate::error::SqlState::UNDEFINED_PARAMETER,
            format!("there is no parameter ${number}"),
        )
        .at(super::position_at(self.text, token.start))
    }

    /// What is between parentheses, the closing one included. A parenthesized query may turn out
    /// to be an operand of a longer expression, or of a set operation.
    pub(super) fn parens_content(&mut self) -> Result<Parens> {
        let content = if self.begins_query(0) {
            Parens::Query(Box::new(self.query()?))
        } else if self.is_char(b'(') && self.opens_query() {
            let at = self.at();
            self.advance();
            match self.nested(Self::parens_content)? {
                Parens::Query(query) if self.is_char(b')') => Parens::Query(query),
                Parens::Query(query) if self.continues_query() => {
                    Parens::Query(Box::new(self.query_after(*query)?))
                }
                Parens::Query(query) => {
                    let first = Expr::new(ExprKind::Query(query), at);
                    Parens::Exprs(self.exprs_after(first)?)
                }
                Parens::Exprs(mut items) => {
                    let first = match items.len() {
                        1 => items.remove(0),
                        _ => Expr::new(ExprKind::Row(items), at),
                    };
                    Parens::Exprs(self.exprs_after(first)?)
                }
            }
        } else {
            Parens::Exprs(self.list(Self::expr)?)
        };
        self.expect_char(b')')?;
        Ok(content)
    }

    /// A list of expressions whose first operand was taken already.
    fn exprs_after(&mut self, first: Expr) -> Result<Vec<Expr>> {
        let first = self.postfix(first, true)?;
        let mut items = vec![self.infix(first, 0, Grammar::Full)?];
        while self.eat_char(b',') {
            items.push(self.expr()?);
        }
        Ok(items)
    }

    /// Whether the token `ahead` begins a query.
    pub(super) fn begins_query(&self, ahead: usize) -> bool {
        match self.peek_at(ahead).kind {
            Kind::Keyword(K::Select | K::With | K::Table) => true,
            Kind::Keyword(K::Values) => self.is_char_at(ahead + 1, b'('),
            _ => false,
        }
    }

    /// Whether the first token that is no opening parenthesis begins a query.
    pub(super) fn opens_query(&self) -> bool {
        // More parentheses than may be nested are that error, whatever is in them.
        let mut ahead = 0;
        while ahead <= super::NESTING_MAX && self.is_char_at(ahead, b'(') {
            ahead += 1;
        }
        ahead > super::NESTING_MAX || (ahead > 0 && self.begins_query(ahead))
    }

    /// An operand that begins with a keyword.
    fn keyword_primary(&mut self, keyword: K) -> Result<Expr> {
        let at = self.at();
        match keyword {
            K::Null => self.constant(ExprKind::Null),
            K::True => self.constant(ExprKind::Bool(true)),
            K::False => self.constant(ExprKind::Bool(false)),
            K::Case => self.case(),
            K::Array => self.array(),
            K::Exists if self.is_char_at(1, b'(') => {
                self.advance();
                self.advance();
                match self.parens_content()? {
                    Parens::Query(query) => Ok(Expr::new(ExprKind::Exists(query), at)),
                    Parens::Exprs(items) => {
                        let at = items.first().map_or(at, Expr::start);
                        Err(self.error_at_offset(at))
                    }
                }
            }
            K::Row if self.is_char_at(1, b'(') => {
                self.advance();
                self.advance();
                let items = if self.is_char(b')') { Vec::new() } else { self.list(Self::expr)? };
                self.expect_char(b')')?;
                Ok(Expr::new(ExprKind::Row(items), at))
            }
            K::Cast => {
                self.advance();
                self.expect_char(b'(')?;
                let expr = self.expr()?;
                self.expect(K::As)?;
                let ty = self.type_name()?;
                self.expect_char(b')')?;
                Ok(Expr::new(ExprKind::Cast(Box::new(expr), ty), at))
            }
            _ => {
                if let Some(expr) = self.special_form(keyword)? {
                    return Ok(expr);
                }
                if let Some(literal) = self.typed_literal(keyword)? {
                    return Ok(literal);
                }
                self.name_primary()
            }
        }
    }

    fn constant(&mut self, kind: ExprKind) -> Result<Expr> {
        let at = self.advance().start;
        Ok(Expr::new(kind, at))
    }

    /// The syntax error at the token that begins at `at`.
    pub(super) fn error_at_offset(&self, at: Offset) -> crate::error::Error {
        match self.tokens.iter().find(|t| t.start == at) {
            Some(token) => self.error_near("syntax error", *token),
            None => self.unexpected(),
        }
    }

    fn case(&mut self) -> Result<Expr> {
        let at = self.advance().start;
        let operand = if self.is(K::When) { None } else { Some(self.expr()?) };
        let mut arms = Vec::new();
        while self.is(K::When) {
            let when_at = self.advance().start;
            let condition = self.expr()?;
            self.expect(K::Then)?;
            arms.push((condition, self.expr()?, when_at));
        }
        if arms.is_empty() {
            return Err(self.unexpected());
        }
        let otherwise = if self.eat(K::Else) { Some(self.expr()?) } else { None };
        self.expect(K::End)?;
        let case = Case { operand, arms, otherwise };
        Ok(Expr::new(ExprKind::Case(Box::new(case)), at))
    }

    /// `ARRAY[…]` and `ARRAY(query)`.
    fn array(&mut self) -> Result<Expr> {
        let at = self.advance().start;
        if self.is_char(b'[') {
            let mut array = self.array_elements()?;
            array.at = at;
            return Ok(array);
        }
        self.expect_char(b'(')?;
        match self.parens_content()? {
            Parens::Query(query) => Ok(Expr::new(ExprKind::ArrayQuery(query), at)),
            Parens::Exprs(items) => {
                Err(self.error_at_offset(items.first().map_or(at, Expr::start)))
            }
        }
    }

    /// `[a, b]`, and `[[…], […]]` of such.
    fn array_elements(&mut self) -> Result<Expr> {
        let at = self.at();
        self.expect_char(b'[')?;
        let items = if self.is_char(b']') {
            Vec::new()
        } else if self.is_char(b'[') {
            self.nested(|p| p.list(Self::array_elements))?
        } else {
            self.list(Self::expr)?
        };
        self.expect_char(b']')?;
        Ok(Expr::new(ExprKind::Array(items), at))
    }

    /// A column, a call, or `type 'literal'`.
    fn name_primary(&mut self) -> Result<Expr> {
        let at = self.at();
        let as_column = self.is_name_at(0, COLUMN_NAMES);
        let as_function =
            self.is_name_at(0, FUNCTION_NAMES) || (as_column && self.is_char_at(1, b'.'));
        if !as_column && !as_function {
            return Err(self.unexpected());
        }
        let mut parts = vec![self.take_name()?];
        while self.is_char(b'.') {
            self.advance();
            if self.is_char(b'*') {
                if !as_column {
                    return Err(self.error_at_offset(at));
                }
                self.advance();
                return Ok(Expr::new(ExprKind::Star(parts), at));
            }
            parts.push(self.label()?);
        }
        if as_function && self.is_char(b'(') {
            return self.call(parts);
        }
        if as_function && self.at_string() {
            let ty =
                TypeName { name: parts, modifiers: Vec::new(), array: false, set_of: false, at };
            return self.literal_of(ty);
        }
        if as_column { Ok(Expr::new(ExprKind::Column(parts), at)) } else { Err(self.unexpected()) }
    }

    /// The string after a type's name: a constant of that type.
    pub(super) fn literal_of(&mut self, ty: TypeName) -> Result<Expr> {
        let value_at = self.at();
        let value = Expr::new(ExprKind::String(self.string()?), value_at);
        let at = ty.at;
        Ok(Expr::new(ExprKind::Cast(Box::new(value), ty), at))
    }

    /// `type 'literal'` of the types that the grammar names itself.
    fn typed_literal(&mut self, keyword: K) -> Result<Option<Expr>> {
        let begins_type = matches!(
            keyword,
            K::Int
                | K::Integer
                | K::Smallint
                | K::Bigint
                | K::Real
                | K::Float
                | K::Decimal
                | K::Dec
                | K::Numeric
                | K::Boolean
                | K::Bit
                | K::Char
                | K::Character
                | K::Nchar
                | K::National
                | K::Varchar
                | K::Timestamp
                | K::Time
                | K::Interval
        ) || (keyword == K::Double && self.is_at(1, K::Precision));
        if !begins_type {
            return Ok(None);
        }
        let from = self.next;
        let commits = self.is_char_at(1, b'(') || is_string(self.peek_at(1).kind);
        let interval = keyword == K::Interval;
        let parsed = self.simple_type(!interval);
        match parsed {
            Ok(ty) if self.at_string() => {
                let mut literal = self.literal_of(ty)?;
                if interval
                    && let ExprKind::Cast(_, ty) = &mut literal.kind
                    && ty.modifiers.is_empty()
                {
                    self.interval_fields(ty)?;
                }
                Ok(Some(literal))
            }
            Err(e) if commits => Err(e),
            _ if commits => Err(self.unexpected()),
            _ => {
                self.next = from;
                Ok(None)
            }
        }
    }

    /// Whether a name stands here that could label an output column without AS.
    pub(super) fn at_bare_label(&self) -> bool {
        match self.kind() {
            Kind::Word | Kind::QuotedName | Kind::UnicodeName => true,
            Kind::Keyword(keyword) => keyword.bare_label(),
            _ => false,
        }
    }
}
