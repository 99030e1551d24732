//! Calls: functions, aggregates, window functions, and the forms with a syntax of their own.

use super::super::ast::*;
use super::super::bound::{FrameExclude, FrameUnit};
use super::super::keywords::Keyword as K;
use super::super::lexer::Kind;
use super::expr::special_call;
use super::{Parser, is_string};
use crate::error::{Error, Result, SqlState};

impl Parser<'_> {
    /// A call of `name`, at its opening parenthesis.
    pub(super) fn call(&mut self, name: QualifiedName) -> Result<Expr> {
        let at = name[0].at;
        self.expect_char(b'(')?;
        let mut call = empty_call(name);
        if self.eat_char(b'*') {
            call.star = true;
        } else if !self.is_char(b')') {
            if !self.eat(K::All) {
                call.distinct = self.eat(K::Distinct);
            }
            loop {
                if !call.distinct && self.eat(K::Variadic) {
                    call.variadic = true;
                }
                call.args.push(self.argument()?);
                if call.variadic || !self.eat_char(b',') {
                    break;
                }
            }
            call.order_by = self.order_by()?;
        }
        self.expect_char(b')')?;
        // `type(modifiers) 'literal'`, as `func_name '(' … ')' Sconst` of the grammar.
        if is_string(self.kind()) && plain(&call) {
            let modifiers = call.args.into_iter().map(|a| a.expr).collect();
            let ty = TypeName { name: call.name, modifiers, array: false, set_of: false, at };
            return self.literal_of(ty);
        }
        self.call_clauses(&mut call)?;
        Ok(Expr::new(ExprKind::Call(Box::new(call)), at))
    }

    /// WITHIN GROUP, FILTER, OVER.
    fn call_clauses(&mut self, call: &mut Call) -> Result<()> {
        if self.is(K::Within) && self.is_at(1, K::Group) {
            let at = self.at();
            self.advance();
            self.advance();
            self.expect_char(b'(')?;
            if !self.is(K::Order) {
                return Err(self.unexpected());
            }
            call.within_group = self.order_by()?;
            self.expect_char(b')')?;
            let fault = if !call.order_by.is_empty() {
                "cannot use multiple ORDER BY clauses with WITHIN GROUP"
            } else if call.distinct {
                "cannot use DISTINCT with WITHIN GROUP"
            } else if call.variadic {
                "cannot use VARIADIC with WITHIN GROUP"
            } else {
                ""
            };
            if !fault.is_empty() {
                return Err(self.error(fault, at));
            }
        }
        if self.is(K::Filter) && self.is_char_at(1, b'(') {
            self.advance();
            self.advance();
            self.expect(K::Where)?;
            call.filter = Some(self.expr()?);
            self.expect_char(b')')?;
        }
        if self.eat(K::Over) {
            call.over = Some(if self.is_char(b'(') {
                Over::Window(Box::new(self.window_spec()?))
            } else {
                Over::Name(self.column_name()?)
            });
        }
        Ok(())
    }

    /// `expr`, `name => expr`, `name := expr`.
    fn argument(&mut self) -> Result<Argument> {
        if matches!(self.peek_at(1).kind, Kind::Arrow | Kind::ColonEquals)
            && self.is_name_at(0, super::FUNCTION_NAMES)
        {
            let name = self.take_name()?;
            self.advance();
            return Ok(Argument { name: Some(name), expr: self.expr()? });
        }
        Ok(Argument { name: None, expr: self.expr()? })
    }

    /// `(base PARTITION BY … ORDER BY … frame)`
    pub(super) fn window_spec(&mut self) -> Result<WindowSpec> {
        let at = self.at();
        self.expect_char(b'(')?;
        let frame_or_partition = matches!(
            self.kind(),
            Kind::Keyword(K::Partition | K::Range | K::Rows | K::Groups | K::Order)
        );
        let base = if !frame_or_partition && self.is_name_at(0, super::COLUMN_NAMES) {
            Some(self.take_name()?)
        } else {
            None
        };
        let mut partition_by = Vec::new();
        if self.eat(K::Partition) {
            self.expect(K::By)?;
            partition_by = self.list(Self::expr)?;
        }
        let order_by = self.order_by()?;
        let frame = self.frame()?;
        self.expect_char(b')')?;
        Ok(WindowSpec { base, partition_by, order_by, frame, at })
    }

    fn frame(&mut self) -> Result<Option<FrameSpec>> {
        let at = self.at();
        let unit = match self.kind() {
            Kind::Keyword(K::Rows) => FrameUnit::Rows,
            Kind::Keyword(K::Range) => FrameUnit::Range,
            Kind::Keyword(K::Groups) => FrameUnit::Groups,
            _ => return Ok(None),
        };
        self.advance();
        let start_at = self.at();
        let (start, end) = if self.eat(K::Between) {
            let start_at = self.at();
            let start = self.frame_edge()?;
            self.expect(K::And)?;
            let end_at = self.at();
            let end = self.frame_edge()?;
            self.check_frame(&start, start_at, &end, end_at)?;
            (start, end)
        } else {
            let start = self.frame_edge()?;
            let fault = match start {
                FrameEdge::UnboundedFollowing => "frame start cannot be UNBOUNDED FOLLOWING",
                FrameEdge::Following(_) => {
                    "frame starting from following row cannot end with current row"
                }
                _ => "",
            };
            if !fault.is_empty() {
                return Err(self.windowing_error(fault, start_at));
            }
            (start, FrameEdge::CurrentRow)
        };
        let mut exclude = FrameExclude::NoOthers;
        if self.eat(K::Exclude) {
            exclude = if self.eat_all(&[K::Current, K::Row]) {
                FrameExclude::CurrentRow
            } else if self.eat(K::Group) {
                FrameExclude::Group
            } else if self.eat(K::Ties) {
                FrameExclude::Ties
            } else if self.eat_all(&[K::No, K::Others]) {
                FrameExclude::NoOthers
            } else {
                return Err(self.unexpected());
            };
        }
        Ok(Some(FrameSpec { unit, start, end, exclude, at }))
    }

    fn windowing_error(&self, message: &str, at: Offset) -> Error {
        Error::new(SqlState::WINDOWING_ERROR, message).at(super::position_at(self.text, at))
    }

    fn check_frame(
        &self,
        start: &FrameEdge,
        start_at: Offset,
        end: &FrameEdge,
        end_at: Offset,
    ) -> Result<()> {
        use FrameEdge::*;
        let (fault, at) = match (start, end) {
            (UnboundedFollowing, _) => ("frame start cannot be UNBOUNDED FOLLOWING", start_at),
            (_, UnboundedPreceding) => ("frame end cannot be UNBOUNDED PRECEDING", end_at),
            (CurrentRow, Preceding(_)) => {
                ("frame starting from current row cannot have preceding rows", end_at)
            }
            (Following(_), Preceding(_) | CurrentRow) => {
                ("frame starting from following row cannot have preceding rows", end_at)
            }
            _ => return Ok(()),
        };
        Err(self.windowing_error(fault, at))
    }

    fn frame_edge(&mut self) -> Result<FrameEdge> {
        if self.is(K::Unbounded) && (self.is_at(1, K::Preceding) || self.is_at(1, K::Following)) {
            self.advance();
            let preceding = self.advance().kind == Kind::Keyword(K::Preceding);
            return Ok(match preceding {
                true => FrameEdge::UnboundedPreceding,
                false => FrameEdge::UnboundedFollowing,
            });
        }
        if self.eat_all(&[K::Current, K::Row]) {
            return Ok(FrameEdge::CurrentRow);
        }
        let offset = Box::new(self.expr()?);
        if self.eat(K::Preceding) {
            Ok(FrameEdge::Preceding(offset))
        } else if self.eat(K::Following) {
            Ok(FrameEdge::Following(offset))
        } else {
            Err(self.unexpected())
        }
    }

    /// Functions with a syntax of their own, and values without parentheses.
    pub(super) fn special_form(&mut self, keyword: K) -> Result<Option<Expr>> {
        let at = self.at();
        let value = match keyword {
            K::CurrentDate => SqlValue::CurrentDate,
            K::CurrentRole => SqlValue::CurrentRole,
            K::CurrentUser => SqlValue::CurrentUser,
            K::User => SqlValue::User,
            K::SessionUser => SqlValue::SessionUser,
            K::CurrentCatalog => SqlValue::CurrentCatalog,
            K::CurrentSchema if !self.is_char_at(1, b'(') => SqlValue::CurrentSchema,
            K::CurrentTime | K::CurrentTimestamp | K::Localtime | K::Localtimestamp => {
                self.advance();
                let mut precision = None;
                if self.eat_char(b'(') {
                    precision = Some(self.integer()?);
                    self.expect_char(b')')?;
                }
                let value = match keyword {
                    K::CurrentTime => SqlValue::CurrentTime(precision),
                    K::CurrentTimestamp => SqlValue::CurrentTimestamp(precision),
                    K::Localtime => SqlValue::LocalTime(precision),
                    _ => SqlValue::LocalTimestamp(precision),
                };
                return Ok(Some(Expr::new(ExprKind::Value(value), at)));
            }
            K::Collation if self.is_at(1, K::For) => {
                self.advance();
                self.advance();
                self.expect_char(b'(')?;
                let arg = self.expr()?;
                self.expect_char(b')')?;
                return Ok(Some(special_call("pg_collation_for", vec![arg], at)));
            }
            _ if self.is_char_at(1, b'(') => return self.special_call(keyword),
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(Expr::new(ExprKind::Value(value), at)))
    }

    /// Forms `KEYWORD(…)`.
    fn special_call(&mut self, keyword: K) -> Result<Option<Expr>> {
        let at = self.at();
        let parse: fn(&mut Self, Offset) -> Result<Expr> = match keyword {
            K::Coalesce => |p, at| Ok(Expr::new(ExprKind::Coalesce(p.list(Self::expr)?), at)),
            K::Greatest => |p, at| Ok(Expr::new(ExprKind::Extreme(true, p.list(Self::expr)?), at)),
            K::Least => |p, at| Ok(Expr::new(ExprKind::Extreme(false, p.list(Self::expr)?), at)),
            K::Grouping => |p, at| Ok(Expr::new(ExprKind::Grouping(p.list(Self::expr)?), at)),
            K::Nullif => |p, at| {
                let left = Box::new(p.expr()?);
                p.expect_char(b',')?;
                Ok(Expr::new(ExprKind::NullIf(left, Box::new(p.expr()?)), at))
            },
            K::Extract => Self::extract,
            K::Overlay => Self::overlay,
            K::Position => |p, at| {
                let needle = p.restricted_expr()?;
                p.expect(K::In)?;
                let text = p.restricted_expr()?;
                Ok(special_call("position", vec![text, needle], at))
            },
            K::Substring => Self::substring,
            K::Trim => Self::trim,
            K::Normalize => |p, at| {
                let mut args = vec![p.expr()?];
                if p.eat_char(b',') {
                    let form_at = p.at();
                    let form = p.label()?;
                    args.push(Expr::new(ExprKind::String(form.name), form_at));
                }
                Ok(special_call("normalize", args, at))
            },
            K::Treat
            | K::Xmlconcat
            | K::Xmlelement
            | K::Xmlexists
            | K::Xmlforest
            | K::Xmlparse
            | K::Xmlpi
            | K::Xmlroot
            | K::Xmlserialize => {
                return Err(self.unsupported(keyword.word().to_ascii_uppercase(), at));
            }
            _ => return Ok(None),
        };
        self.advance();
        self.advance();
        let expr = parse(self, at)?;
        self.expect_char(b')')?;
        Ok(Some(expr))
    }

    /// `field FROM expr`
    fn extract(&mut self, at: Offset) -> Result<Expr> {
        let field_at = self.at();
        let field = if self.at_string() { self.string()? } else { self.label()?.name };
        self.expect(K::From)?;
        let source = self.expr()?;
        let field = Expr::new(ExprKind::String(field), field_at);
        Ok(special_call("extract", vec![field, source], at))
    }

    /// `text PLACING new FROM start [FOR length]`, or plain arguments.
    fn overlay(&mut self, at: Offset) -> Result<Expr> {
        let first = self.argument()?;
        if !self.eat(K::Placing) {
            return self.plain_call("overlay", first, at);
        }
        let new = self.expr()?;
        self.expect(K::From)?;
        let start = self.expr()?;
        let mut args = vec![first.expr, new, start];
        if self.eat(K::For) {
            args.push(self.expr()?);
        }
        Ok(special_call("overlay", args, at))
    }

    /// `text FROM start FOR length` in its variations, or plain arguments.
    fn substring(&mut self, at: Offset) -> Result<Expr> {
        if self.is_char(b')') {
            return Ok(plain_empty_call("substring", at));
        }
        let first = self.argument()?;
        let mut args = vec![first.expr];
        if self.eat(K::From) {
            args.push(self.expr()?);
            if self.eat(K::For) {
                args.push(self.expr()?);
            }
        } else if self.eat(K::For) {
            let length = self.expr()?;
            if self.eat(K::From) {
                args.push(self.expr()?);
                args.push(length);
            } else {
                // A length alone counts from 1, and is an integer: else it could be a pattern.
                let int4 = super::types::builtin_type("int4", length.at);
                args.push(Expr::new(ExprKind::Number("1".into()), at));
                let at = length.at;
                args.push(Expr::new(ExprKind::Cast(Box::new(length), int4), at));
            }
        } else if self.eat(K::Similar) {
            args.push(self.expr()?);
            self.expect(K::Escape)?;
            args.push(self.expr()?);
        } else {
            let expr = args.remove(0);
            return self.plain_call("substring", Argument { name: first.name, expr }, at);
        }
        Ok(special_call("substring", args, at))
    }

    /// `[BOTH|LEADING|TRAILING] [characters] FROM text`, or plain arguments.
    fn trim(&mut self, at: Offset) -> Result<Expr> {
        let name = if self.eat(K::Leading) {
            "ltrim"
        } else if self.eat(K::Trailing) {
            "rtrim"
        } else {
            self.eat(K::Both);
            "btrim"
        };
        if self.eat(K::From) {
            return Ok(special_call(name, self.list(Self::expr)?, at));
        }
        let first = self.expr()?;
        if self.eat(K::From) {
            let mut args = self.list(Self::expr)?;
            args.push(first);
            return Ok(special_call(name, args, at));
        }
        let mut args = vec![first];
        while self.eat_char(b',') {
            args.push(self.expr()?);
        }
        Ok(special_call(name, args, at))
    }

    /// The rest of a call with plain arguments, of which the first was taken.
    fn plain_call(&mut self, name: &str, first: Argument, at: Offset) -> Result<Expr> {
        let mut call = empty_call(vec![Ident { name: name.into(), at }]);
        call.args.push(first);
        while self.eat_char(b',') {
            call.args.push(self.argument()?);
        }
        Ok(Expr::new(ExprKind::Call(Box::new(call)), at))
    }
}

/// A call without arguments or clauses.
fn empty_call(name: QualifiedName) -> Call {
    Call {
        name,
        special: false,
        args: Vec::new(),
        star: false,
        variadic: false,
        distinct: false,
        order_by: Vec::new(),
        within_group: Vec::new(),
        filter: None,
        over: None,
    }
}

fn plain_empty_call(name: &str, at: Offset) -> Expr {
    Expr::new(ExprKind::Call(Box::new(empty_call(vec![Ident { name: name.into(), at }]))), at)
}

/// Whether a call is nothing but a name and unnamed arguments.
fn plain(call: &Call) -> bool {
    !call.star
        && !call.distinct
        && !call.variadic
        && call.order_by.is_empty()
        && !call.args.is_empty()
        && call.args.iter().all(|a| a.name.is_none())
}
