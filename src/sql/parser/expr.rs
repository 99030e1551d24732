//! Operators: precedence and the forms that stand between operands.
//!
//! The levels are those of `gram.y`. Comparisons, IN/LIKE/BETWEEN and IS do not associate:
//! `1 < 2 < 3` is a syntax error.

use std::sync::Arc;

use super::super::ast::*;
use super::super::keywords::Keyword as K;
use super::super::lexer::{Kind, Token};
use super::primary::Parens;
use super::{NESTING_MAX, Parser, too_deep};
use crate::error::Result;

const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const IS: u8 = 4;
const COMPARISON: u8 = 5;
const MATCHING: u8 = 6;
const OPERATOR: u8 = 8;
const ADDITION: u8 = 9;
const MULTIPLICATION: u8 = 10;
const POWER: u8 = 11;
const AT: u8 = 12;
const COLLATE: u8 = 13;
const SIGN: u8 = 14;

/// Which of the grammar's two kinds of expression: `b_expr` lacks what could be confused with
/// the keywords around it (AND, NOT, IN, LIKE, BETWEEN, IS NULL, COLLATE, AT TIME ZONE).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Grammar {
    /// `a_expr`
    Full,
    /// `b_expr`
    Restricted,
}

impl Parser<'_> {
    /// An expression (`a_expr`).
    pub fn expr(&mut self) -> Result<Expr> {
        self.operators(0, Grammar::Full)
    }

    /// An expression without boolean operators at its top (`b_expr`).
    pub(super) fn restricted_expr(&mut self) -> Result<Expr> {
        self.operators(0, Grammar::Restricted)
    }

    /// Operators that bind at least as strongly as `min`.
    fn operators(&mut self, min: u8, grammar: Grammar) -> Result<Expr> {
        self.nested(|p| {
            let left = p.prefix(grammar)?;
            p.infix(left, min, grammar)
        })
    }

    /// Prefix operators, then a primary expression.
    fn prefix(&mut self, grammar: Grammar) -> Result<Expr> {
        let token = self.peek();
        let at = token.start;
        match token.kind {
            Kind::Char(b'-') => {
                self.advance();
                let operand = self.operators(SIGN, grammar)?;
                Ok(negate(operand, at))
            }
            Kind::Char(b'+') => {
                self.advance();
                let operand = self.operators(SIGN, grammar)?;
                Ok(Expr::new(ExprKind::Unary(builtin("+"), Box::new(operand)), at))
            }
            Kind::Keyword(K::Not) if grammar == Grammar::Full => {
                self.advance();
                let operand = self.operators(NOT, grammar)?;
                Ok(Expr::new(ExprKind::Not(Box::new(operand)), at))
            }
            Kind::Operator => {
                self.advance();
                let operator = OperatorName { schema: None, name: self.source(token).into() };
                let operand = self.operators(OPERATOR + 1, grammar)?;
                Ok(Expr::new(ExprKind::Unary(operator, Box::new(operand)), at))
            }
            Kind::Keyword(K::Operator) if self.is_char_at(1, b'(') => {
                let operator = self.written_operator()?;
                let operand = self.operators(OPERATOR + 1, grammar)?;
                Ok(Expr::new(ExprKind::Unary(operator, Box::new(operand)), at))
            }
            Kind::Keyword(K::Default) if grammar == Grammar::Full => {
                self.advance();
                Ok(Expr::new(ExprKind::Default, at))
            }
            _ => self.primary(),
        }
    }

    /// Everything that follows `left` and binds at least as strongly as `min`.
    pub(super) fn infix(&mut self, mut left: Expr, min: u8, grammar: Grammar) -> Result<Expr> {
        let mut chain = 0;
        let mut last_level = 0;
        loop {
            let Some((level, token)) = self.next_level(grammar) else { return Ok(left) };
            if level < min {
                return Ok(left);
            }
            if level == last_level && matches!(level, IS | COMPARISON | MATCHING) {
                return Err(self.unexpected());
            }
            chain += 1;
            if self.depth + chain > NESTING_MAX && !matches!(level, AND | OR) {
                return Err(too_deep());
            }
            left = match level {
                OR | AND => self.logical(left, level)?,
                IS => self.is_test(left, grammar)?,
                AT => self.at_time_zone(left)?,
                COLLATE => {
                    self.advance();
                    let name = self.qualified_name()?;
                    Expr::new(ExprKind::Collate(Box::new(left), name), token.start)
                }
                MATCHING => self.matching(left)?,
                _ => self.binary(left, level, grammar)?,
            };
            // What ends in no operand, such as IS NULL, may be followed by its like.
            let open_ended = matches!(
                left.kind,
                ExprKind::Binary(..)
                    | ExprKind::Like(_)
                    | ExprKind::Between(_)
                    | ExprKind::IsDistinct(..)
            );
            last_level = if open_ended { level } else { 0 };
        }
    }

    /// How strongly the next token binds, if it stands between operands.
    fn next_level(&self, grammar: Grammar) -> Option<(u8, Token)> {
        let token = self.peek();
        let level = match token.kind {
            Kind::Char(b'<' | b'>' | b'=')
            | Kind::LessEqual
            | Kind::GreaterEqual
            | Kind::NotEqual => COMPARISON,
            Kind::Char(b'+' | b'-') => ADDITION,
            Kind::Char(b'*' | b'/' | b'%') => MULTIPLICATION,
            Kind::Char(b'^') => POWER,
            Kind::Operator => OPERATOR,
            Kind::Keyword(_) if self.ends_operand(1) => return None,
            Kind::Keyword(keyword) => match keyword {
                K::Operator if self.is_char_at(1, b'(') => OPERATOR,
                K::Is if grammar == Grammar::Full || self.is_distinct_next() => IS,
                _ if grammar == Grammar::Restricted => return None,
                K::Or => OR,
                K::And => AND,
                K::Isnull | K::Notnull => IS,
                K::Similar if !self.is_at(1, K::To) => return None,
                K::Between | K::In | K::Like | K::Ilike | K::Similar => MATCHING,
                K::Not => match self.peek_at(1).kind {
                    Kind::Keyword(K::Between | K::In | K::Like | K::Ilike | K::Similar) => MATCHING,
                    _ => return None,
                },
                K::At if self.is_at(1, K::Time) => AT,
                K::Collate => COLLATE,
                K::Overlaps => OPERATOR,
                _ => return None,
            },
            _ => return None,
        };
        Some((level, token))
    }

    /// Whether the token `ahead` can only follow an operand: a keyword before it is a label then
    /// (`SELECT a is FROM t`).
    fn ends_operand(&self, ahead: usize) -> bool {
        matches!(
            self.peek_at(ahead).kind,
            Kind::Eof | Kind::Char(b',' | b')' | b']' | b';') | Kind::Keyword(K::From)
        ) && !matches!(self.kind(), Kind::Keyword(K::Isnull | K::Notnull))
    }

    fn is_distinct_next(&self) -> bool {
        self.is_at(1, K::Distinct) || (self.is_at(1, K::Not) && self.is_at(2, K::Distinct))
    }

    /// A whole chain of ANDs, or of ORs.
    fn logical(&mut self, left: Expr, level: u8) -> Result<Expr> {
        let keyword = if level == AND { K::And } else { K::Or };
        let at = self.at();
        let mut items = vec![left];
        while self.eat(keyword) {
            items.push(self.operators(level + 1, Grammar::Full)?);
        }
        let kind = if level == AND { ExprKind::And(items) } else { ExprKind::Or(items) };
        Ok(Expr::new(kind, at))
    }

    /// `IS …`, `ISNULL`, `NOTNULL`.
    fn is_test(&mut self, left: Expr, grammar: Grammar) -> Result<Expr> {
        let token = self.advance();
        let at = token.start;
        let left = Box::new(left);
        if token.kind != Kind::Keyword(K::Is) {
            let negated = token.kind == Kind::Keyword(K::Notnull);
            return Ok(Expr::new(ExprKind::IsNull(left, negated), at));
        }
        let negated = self.eat(K::Not);
        let kind = match self.kind() {
            Kind::Keyword(K::Null) => ExprKind::IsNull(left, negated),
            Kind::Keyword(K::True) => ExprKind::IsBool(left, Some(true), negated),
            Kind::Keyword(K::False) => ExprKind::IsBool(left, Some(false), negated),
            Kind::Keyword(K::Unknown) => ExprKind::IsBool(left, None, negated),
            Kind::Keyword(K::Distinct) => {
                self.advance();
                self.expect(K::From)?;
                let right = self.operators(IS + 1, grammar)?;
                return Ok(Expr::new(ExprKind::IsDistinct(left, Box::new(right), negated), at));
            }
            Kind::Keyword(
                word @ (K::Document | K::Normalized | K::Nfc | K::Nfd | K::Nfkc | K::Nfkd),
            ) => {
                let word = if word == K::Document { word } else { K::Normalized };
                let name = word.word().to_ascii_uppercase();
                return Err(self.unsupported(format_args!("IS {name}"), at));
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(Expr::new(kind, at))
    }

    fn at_time_zone(&mut self, left: Expr) -> Result<Expr> {
        let at = self.advance().start;
        self.expect(K::Time)?;
        self.expect(K::Zone)?;
        let zone = self.operators(AT + 1, Grammar::Full)?;
        Ok(special_call("timezone", vec![zone, left], at))
    }

    /// `[NOT] IN`, `[NOT] BETWEEN`, `[NOT] LIKE` and its kin.
    fn matching(&mut self, left: Expr) -> Result<Expr> {
        let at = self.at();
        let negated = self.eat(K::Not);
        let Kind::Keyword(keyword) = self.advance().kind else { return Err(self.unexpected()) };
        match keyword {
            K::In => self.in_list(left, negated, at),
            K::Between => {
                let symmetric = self.eat(K::Symmetric);
                if !symmetric {
                    self.eat(K::Asymmetric);
                }
                let low = self.restricted_expr()?;
                self.expect(K::And)?;
                let high = self.operators(MATCHING + 1, Grammar::Full)?;
                let between = Between { expr: left, low, high, negated, symmetric };
                Ok(Expr::new(ExprKind::Between(Box::new(between)), at))
            }
            K::Similar => {
                self.expect(K::To)?;
                let pattern = self.pattern("similar_to_escape", true)?;
                let operator = if negated { "!~" } else { "~" };
                Ok(like(operator, left, pattern, at))
            }
            _ => {
                let operator = match (keyword, negated) {
                    (K::Like, false) => "~~",
                    (K::Like, true) => "!~~",
                    (_, false) => "~~*",
                    (_, true) => "!~~*",
                };
                if self.at_quantifier() {
                    return self.quantified(left, builtin(operator), at);
                }
                let pattern = self.pattern("like_escape", false)?;
                Ok(like(operator, left, pattern, at))
            }
        }
    }

    /// A pattern with its ESCAPE, as a call of `function` where there is one (`always`: in any
    /// case).
    fn pattern(&mut self, function: &str, always: bool) -> Result<Expr> {
        let pattern = self.operators(MATCHING + 1, Grammar::Full)?;
        let at = self.at();
        if self.eat(K::Escape) {
            let escape = self.operators(MATCHING + 1, Grammar::Full)?;
            return Ok(special_call(function, vec![pattern, escape], at));
        }
        let at = pattern.at;
        Ok(if always { special_call(function, vec![pattern], at) } else { pattern })
    }

    fn in_list(&mut self, left: Expr, negated: bool, at: Offset) -> Result<Expr> {
        self.expect_char(b'(')?;
        let left = Box::new(left);
        let kind = match self.parens_content()? {
            Parens::Query(query) => ExprKind::InQuery(left, query, negated),
            Parens::Exprs(list) => ExprKind::InList(left, list, negated),
        };
        Ok(Expr::new(kind, at))
    }

    /// A binary operator, or one before ANY or ALL.
    fn binary(&mut self, left: Expr, level: u8, grammar: Grammar) -> Result<Expr> {
        let token = self.peek();
        let at = token.start;
        if token.kind == Kind::Keyword(K::Overlaps) {
            return self.overlaps(left);
        }
        let operator = if token.kind == Kind::Keyword(K::Operator) {
            self.written_operator()?
        } else {
            self.advance();
            builtin(match self.source(token) {
                "!=" => "<>",
                symbol => symbol,
            })
        };
        if grammar == Grammar::Full && self.at_quantifier() {
            return self.quantified(left, operator, at);
        }
        let right = self.operators(level + 1, grammar)?;
        Ok(Expr::new(ExprKind::Binary(operator, Box::new(left), Box::new(right)), at))
    }

    fn at_quantifier(&self) -> bool {
        matches!(self.kind(), Kind::Keyword(K::Any | K::Some | K::All))
    }

    /// `left op ANY|SOME|ALL (query or array)`.
    fn quantified(&mut self, left: Expr, operator: OperatorName, at: Offset) -> Result<Expr> {
        let any = self.advance().kind != Kind::Keyword(K::All);
        let left = Box::new(left);
        self.expect_char(b'(')?;
        let kind = match self.parens_content()? {
            Parens::Query(query) => ExprKind::AnyAllQuery(left, operator, any, query),
            Parens::Exprs(mut items) => match (items.pop(), items.is_empty()) {
                (Some(array), true) => ExprKind::AnyAll(left, operator, any, Box::new(array)),
                _ => return Err(self.unexpected()),
            },
        };
        Ok(Expr::new(kind, at))
    }

    /// `(a, b) OVERLAPS (c, d)`
    fn overlaps(&mut self, left: Expr) -> Result<Expr> {
        let at = self.advance().start;
        let right = self.operators(OPERATOR + 1, Grammar::Full)?;
        let mut args = Vec::with_capacity(4);
        for (side, row) in [("left", left), ("right", right)] {
            let start = row.start();
            match row.kind {
                ExprKind::Row(items) if items.len() == 2 => args.extend(items),
                ExprKind::Row(_) => {
                    return Err(self.error(
                        format!("wrong number of parameters on {side} side of OVERLAPS expression"),
                        start,
                    ));
                }
                _ if side == "left" => return Err(self.error_at_offset(at)),
                _ => {
                    let last = self.tokens[self.next.saturating_sub(1)];
                    return Err(self.error_near("syntax error", last));
                }
            }
        }
        Ok(special_call("overlaps", args, at))
    }

    /// `OPERATOR(schema.op)`
    pub(super) fn written_operator(&mut self) -> Result<OperatorName> {
        self.expect(K::Operator)?;
        self.expect_char(b'(')?;
        let mut schema = None;
        while self.is_name_at(0, super::COLUMN_NAMES) {
            schema = Some(self.take_name()?);
            self.expect_char(b'.')?;
        }
        let name = self.operator_symbol()?;
        self.expect_char(b')')?;
        Ok(OperatorName { schema, name })
    }

    /// An operator's symbol (`all_Op`).
    pub(super) fn operator_symbol(&mut self) -> Result<Arc<str>> {
        let token = self.peek();
        match token.kind {
            Kind::Char(b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>' | b'=')
            | Kind::LessEqual
            | Kind::GreaterEqual
            | Kind::Operator => {
                self.advance();
                Ok(self.source(token).into())
            }
            Kind::NotEqual => {
                self.advance();
                Ok("<>".into())
            }
            _ => Err(self.unexpected()),
        }
    }
}

/// An operator looked up by the search path.
pub(super) fn builtin(symbol: &str) -> OperatorName {
    OperatorName { schema: None, name: symbol.into() }
}

fn like(operator: &'static str, expr: Expr, pattern: Expr, at: Offset) -> Expr {
    Expr::new(ExprKind::Like(Box::new(Like { operator, expr, pattern })), at)
}

/// A minus sign: folded into a number, else an operator.
fn negate(operand: Expr, at: Offset) -> Expr {
    match operand.kind {
        ExprKind::Number(digits) => {
            let digits = match digits.strip_prefix('-') {
                Some(positive) => positive.into(),
                None => format!("-{digits}").into(),
            };
            Expr::new(ExprKind::Number(digits), at)
        }
        kind => {
            let operand = Expr::new(kind, operand.at);
            Expr::new(ExprKind::Unary(builtin("-"), Box::new(operand)), at)
        }
    }
}

/// A call that the grammar makes of a special form; its function is in pg_catalog.
pub(super) fn special_call(name: &str, args: Vec<Expr>, at: Offset) -> Expr {
    let args = args.into_iter().map(|expr| Argument { name: None, expr }).collect();
    let call = Call {
        name: vec![Ident { name: name.into(), at }],
        special: true,
        args,
        star: false,
        variadic: false,
        distinct: false,
        order_by: Vec::new(),
        within_group: Vec::new(),
        filter: None,
        over: None,
    };
    Expr::new(ExprKind::Call(Box::new(call)), at)
}
