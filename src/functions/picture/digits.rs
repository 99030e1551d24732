//! The patterns of number pictures.

use super::{Node, plain};
use crate::error::{Error, Result, SqlState};

/// What a pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digit {
    Comma,
    Point,
    Zero,
    Nine,
    Blank,
    Currency,
    LocalPoint,
    Exponent,
    Fill,
    Group,
    Minus,
    Plus,
    Bracket,
    Roman {
        upper: bool,
    },
    EitherSign,
    Sign,
    Ordinal {
        upper: bool,
    },
    Shift,
    /// Read, and means nothing.
    Nothing,
}

/// A pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    name: &'static str,
    pub digit: Digit,
}

const fn p(name: &'static str, digit: Digit) -> Pattern {
    Pattern { name, digit }
}

static PATTERNS: &[Pattern] = &[
    p(",", Digit::Comma),
    p(".", Digit::Point),
    p("0", Digit::Zero),
    p("9", Digit::Nine),
    p("B", Digit::Blank),
    p("C", Digit::Nothing),
    p("D", Digit::LocalPoint),
    p("EEEE", Digit::Exponent),
    p("FM", Digit::Fill),
    p("G", Digit::Group),
    p("L", Digit::Currency),
    p("MI", Digit::Minus),
    p("PL", Digit::Plus),
    p("PR", Digit::Bracket),
    p("RN", Digit::Roman { upper: true }),
    p("SG", Digit::EitherSign),
    p("SP", Digit::Nothing),
    p("S", Digit::Sign),
    p("TH", Digit::Ordinal { upper: true }),
    p("V", Digit::Shift),
    p("b", Digit::Blank),
    p("c", Digit::Nothing),
    p("d", Digit::LocalPoint),
    p("eeee", Digit::Exponent),
    p("fm", Digit::Fill),
    p("g", Digit::Group),
    p("l", Digit::Currency),
    p("mi", Digit::Minus),
    p("pl", Digit::Plus),
    p("pr", Digit::Bracket),
    p("rn", Digit::Roman { upper: false }),
    p("sg", Digit::EitherSign),
    p("sp", Digit::Nothing),
    p("s", Digit::Sign),
    p("th", Digit::Ordinal { upper: false }),
    p("v", Digit::Shift),
];

/// Where `S` puts the sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SignPlace {
    /// There is no `S`.
    #[default]
    None,
    Before,
    After,
}

/// What a picture says of its number as a whole.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a pattern that was met")]
pub(super) struct Shape {
    /// Digits before the point.
    pub before: i32,
    /// Digits behind it.
    pub after: i32,
    /// Digits behind `V`.
    pub shift: i32,
    pub zero_start: i32,
    pub zero_end: i32,
    pub sign_place: SignPlace,
    /// Digits before `S`.
    pub before_sign: i32,
    pub decimal: bool,
    pub zero: bool,
    pub blank: bool,
    pub fill: bool,
    pub sign: bool,
    pub bracket: bool,
    pub minus: bool,
    pub plus: bool,
    pub roman: bool,
    pub shifts: bool,
    pub exponent: bool,
}

fn syntax(message: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

impl Shape {
    fn note(&mut self, digit: Digit) -> Result<()> {
        if self.exponent && digit != Digit::Exponent {
            return Err(syntax("\"EEEE\" must be the last pattern used"));
        }
        match digit {
            Digit::Nine if self.bracket => return Err(syntax("\"9\" must be ahead of \"PR\"")),
            Digit::Nine if self.shifts => self.shift += 1,
            Digit::Nine if self.decimal => self.after += 1,
            Digit::Nine => self.before += 1,
            Digit::Zero if self.bracket => return Err(syntax("\"0\" must be ahead of \"PR\"")),
            Digit::Zero => {
                if !self.zero && !self.decimal {
                    self.zero = true;
                    self.zero_start = self.before + 1;
                }
                *if self.decimal { &mut self.after } else { &mut self.before } += 1;
                self.zero_end = self.before + self.after;
            }
            Digit::Blank => self.blank |= self.before == 0 && self.after == 0 && !self.zero,
            Digit::LocalPoint | Digit::Point => {
                if self.decimal {
                    return Err(syntax("multiple decimal points"));
                }
                if self.shifts {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.decimal = true;
            }
            Digit::Fill => self.fill = true,
            Digit::Roman { .. } => self.roman = true,
            Digit::Shift if self.decimal => {
                return Err(syntax("cannot use \"V\" and decimal point together"));
            }
            Digit::Shift => self.shifts = true,
            Digit::Exponent => return self.note_exponent(),
            _ => return self.note_sign(digit),
        }
        Ok(())
    }

    fn note_sign(&mut self, digit: Digit) -> Result<()> {
        match digit {
            Digit::Sign => {
                if self.sign {
                    return Err(syntax("cannot use \"S\" twice"));
                }
                if self.plus || self.minus || self.bracket {
                    let message = "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together";
                    return Err(syntax(message));
                }
                self.sign = true;
                self.sign_place = SignPlace::After;
                if !self.decimal {
                    self.sign_place = SignPlace::Before;
                    self.before_sign = self.before;
                }
            }
            Digit::Minus if self.sign => {
                return Err(syntax("cannot use \"S\" and \"MI\" together"));
            }
            Digit::Plus if self.sign => {
                return Err(syntax("cannot use \"S\" and \"PL\" together"));
            }
            Digit::EitherSign if self.sign => {
                return Err(syntax("cannot use \"S\" and \"SG\" together"));
            }
            Digit::Bracket if self.sign || self.plus || self.minus => {
                let message = "cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together";
                return Err(syntax(message));
            }
            Digit::Minus => self.minus = true,
            Digit::Plus => self.plus = true,
            Digit::EitherSign => (self.minus, self.plus) = (true, true),
            Digit::Bracket => self.bracket = true,
            _ => {}
        }
        Ok(())
    }

    fn note_exponent(&mut self) -> Result<()> {
        if self.exponent {
            return Err(syntax("cannot use \"EEEE\" twice"));
        }
        let others = self.blank
            || self.fill
            || self.sign
            || self.bracket
            || self.minus
            || self.plus
            || self.roman
            || self.shifts;
        if others {
            let detail =
                "\"EEEE\" may only be used together with digit and decimal point patterns.";
            let error = syntax("\"EEEE\" is incompatible with other formats");
            return Err(error.with_detail(detail));
        }
        self.exponent = true;
        Ok(())
    }
}

/// Reads a picture.
pub(super) fn parse(picture: &str) -> Result<(Vec<Node<Pattern>>, Shape)> {
    let (mut out, mut shape) = (Vec::new(), Shape::default());
    let mut rest = picture;
    while !rest.is_empty() {
        match PATTERNS.iter().find(|p| rest.starts_with(p.name)) {
            Some(pattern) => {
                shape.note(pattern.digit)?;
                out.push(Node::Pattern(pattern, 0));
                rest = &rest[pattern.name.len()..];
            }
            None => rest = &rest[plain(rest, false, &mut out)..],
        }
    }
    Ok((out, shape))
}
