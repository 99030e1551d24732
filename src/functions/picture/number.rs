//! Numbers written by a picture, and read by one.
//!
//! The writer walks over the picture with the number's digits beside it, as PostgreSQL's
//! NUM_processor does; its state and their updates have the same order, since the corner cases
//! depend on it.

use super::digits::{Digit, Pattern, Shape, SignPlace};
use super::{Node, ORDINAL_LOWER, ORDINAL_UPPER, ordinal, roman};
use crate::error::{Error, Result};

/// The width of a Roman number.
const ROMAN_WIDTH: usize = 15;

/// What a pattern writes that finds no digit left: nothing behind it is shown.
const END: char = '\0';

/// A number as digits: what is before its sign, and what its picture says.
pub(super) struct Digits {
    /// Digits with a point, without a sign.
    pub text: String,
    pub negative: bool,
    /// Places of the picture that the number has no digit for.
    pub spaces: i32,
}

impl Digits {
    /// Digits fitted into a picture: blanks before them, or `#` if they are too many.
    pub fn fit(text: String, negative: bool, shape: &Shape) -> Digits {
        let before = text.find('.').unwrap_or(text.len()) as i32;
        if before > shape.before {
            let hashes = |n: i32| "#".repeat(n.max(0) as usize);
            let text = format!("{}.{}", hashes(shape.before), hashes(shape.after));
            return Digits { text, negative, spaces: 0 };
        }
        Digits { text, negative, spaces: shape.before - before }
    }
}

/// `#` where a number without digits should have an exponent.
pub(super) fn exponent_hashes(shape: &Shape) -> String {
    let hashes = |n: i32| "#".repeat(n.max(0) as usize);
    format!(" {}.{}", hashes(shape.before), hashes(shape.after + 4))
}

/// Writes a Roman number by a picture.
pub(super) fn write_roman(nodes: &[Node<Pattern>], shape: &Shape, number: i32) -> String {
    let digits = roman(number);
    let mut out = String::new();
    for node in nodes {
        match node {
            Node::Pattern(Pattern { digit: Digit::Roman { upper }, .. }, _) => {
                let text = if *upper { digits.clone() } else { digits.to_ascii_lowercase() };
                let width = if shape.fill { 0 } else { ROMAN_WIDTH };
                out.push_str(&format!("{text:>width$}"));
            }
            Node::Pattern(Pattern { digit, .. }, _) => match digit {
                Digit::Comma | Digit::Group | Digit::Minus | Digit::Plus if !shape.fill => {
                    out.push(' ');
                }
                Digit::Currency => out.push(' '),
                Digit::EitherSign => out.push('\0'),
                _ => {}
            },
            Node::Space(c) | Node::Separator(c) | Node::Text(c) => out.push(*c),
        }
    }
    out.replace('\0', "")
}

/// Writes a number by a picture.
pub(super) fn write(nodes: &[Node<Pattern>], shape: Shape, digits: &Digits) -> Result<String> {
    let mut writer = Writer::new(shape, digits);
    for node in nodes {
        match node {
            Node::Pattern(pattern, _) => writer.pattern(pattern.digit)?,
            Node::Space(c) | Node::Separator(c) | Node::Text(c) => writer.out.push(*c),
        }
    }
    writer.out.truncate(writer.out.find(END).unwrap_or(writer.out.len()));
    Ok(writer.out)
}

struct Writer<'a> {
    shape: Shape,
    number: &'a [u8],
    /// The digit that comes next.
    next: usize,
    negative: bool,
    spaces: i32,
    /// The last digit that is not a trailing zero, where those are left out.
    last_relevant: Option<usize>,
    sign_wrote: bool,
    in_number: bool,
    /// The picture's place, of those for digits.
    place: i32,
    places: i32,
    out: String,
}

impl<'a> Writer<'a> {
    fn new(mut shape: Shape, digits: &'a Digits) -> Writer<'a> {
        let number = digits.text.as_bytes();
        if shape.zero_start > 0 {
            shape.zero_start -= 1;
        }
        let sign_wrote = if shape.plus || shape.minus {
            shape.minus || !shape.plus
        } else {
            if !digits.negative && shape.fill {
                shape.bracket = false;
            }
            if shape.sign_place == SignPlace::Before && shape.before == shape.before_sign {
                shape.sign_place = SignPlace::After;
            }
            !digits.negative && shape.fill && !shape.sign
        };
        let mut last_relevant = None;
        if shape.fill && shape.decimal {
            last_relevant = number.iter().position(|b| *b == b'.').map(|point| {
                let tail = number[point + 1..].iter().rposition(|b| *b != b'0');
                tail.map_or(point, |at| point + 1 + at)
            });
            if let Some(last) = last_relevant.as_mut()
                && shape.zero_end > digits.spaces
            {
                let zero = (shape.zero_end - digits.spaces).min(number.len() as i32 - 1);
                *last = (*last).max(usize::try_from(zero).unwrap_or(0));
            }
        }
        let mut places = shape.after + shape.before - 1;
        if !sign_wrote && digits.spaces == 0 {
            places += 1;
        }
        Writer {
            shape,
            number,
            next: 0,
            negative: digits.negative,
            spaces: digits.spaces,
            last_relevant,
            sign_wrote,
            in_number: false,
            place: 0,
            places,
            out: String::new(),
        }
    }

    fn pattern(&mut self, digit: Digit) -> Result<()> {
        match digit {
            Digit::Nine | Digit::Zero | Digit::Point | Digit::LocalPoint => self.digit(digit),
            Digit::Comma | Digit::Group => match (self.in_number, self.shape.fill) {
                (true, _) => self.out.push(','),
                (false, true) => {}
                (false, false) => self.out.push(' '),
            },
            Digit::Currency => self.out.push(' '),
            Digit::Ordinal { upper } => {
                let hashes = self.number.first() == Some(&b'#');
                if !hashes && !self.negative && !self.shape.decimal {
                    let text = String::from_utf8_lossy(self.number);
                    let modifier = if upper { ORDINAL_UPPER } else { ORDINAL_LOWER };
                    self.out.push_str(ordinal(&text, modifier)?);
                }
            }
            Digit::Minus => match (self.negative, self.shape.fill) {
                (true, _) => self.out.push('-'),
                (false, true) => {}
                (false, false) => self.out.push(' '),
            },
            Digit::Plus => match (self.negative, self.shape.fill) {
                (false, _) => self.out.push('+'),
                (true, true) => {}
                (true, false) => self.out.push(' '),
            },
            Digit::EitherSign => self.out.push(if self.negative { '-' } else { '+' }),
            _ => {}
        }
        Ok(())
    }

    /// Whether the zero before the point is left out: `0.1` by `9.9`.
    fn is_leading_zero(&self) -> bool {
        !self.shape.zero
            && self.next == 0
            && self.number.first() == Some(&b'0')
            && self.shape.after != 0
    }

    fn ends_with_point(&self) -> bool {
        self.last_relevant.is_some_and(|at| self.number.get(at) == Some(&b'.'))
    }

    fn write_sign(&mut self) {
        let reached =
            self.place >= self.spaces || (self.shape.zero && self.shape.zero_start == self.place);
        if self.sign_wrote || !reached || (self.is_leading_zero() && !self.ends_with_point()) {
            return;
        }
        if self.shape.sign {
            if self.shape.sign_place == SignPlace::Before {
                self.out.push(if self.negative { '-' } else { '+' });
                self.sign_wrote = true;
            }
            return;
        }
        match (self.shape.bracket, self.negative) {
            (true, negative) => self.out.push(if negative { '<' } else { ' ' }),
            (false, true) => self.out.push('-'),
            (false, false) if self.shape.fill => {}
            (false, false) => self.out.push(' '),
        }
        self.sign_wrote = true;
    }

    fn digit(&mut self, digit: Digit) {
        self.in_number = false;
        self.write_sign();
        let zeros = self.shape.zero && self.shape.zero_start <= self.place;
        if self.place < self.spaces && !zeros {
            if !self.shape.fill {
                self.out.push(' ');
            }
        } else if self.place < self.spaces {
            self.out.push('0');
            self.in_number = true;
        } else {
            self.own_digit(digit);
        }
        let mut end = self.places + i32::from(self.spaces != 0) + i32::from(self.shape.decimal);
        if self.last_relevant == Some(self.next) {
            end = self.place;
        }
        if self.place + 1 == end {
            if self.sign_wrote && self.shape.bracket {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.shape.sign && self.shape.sign_place == SignPlace::After {
                self.out.push(if self.negative { '-' } else { '+' });
            }
        }
        self.place += 1;
    }

    fn own_digit(&mut self, digit: Digit) {
        let current = self.number.get(self.next).copied();
        match current {
            Some(b'.') => {
                if !self.ends_with_point() || self.shape.fill {
                    self.out.push('.');
                }
            }
            _ if self.last_relevant.is_some_and(|last| self.next > last)
                && digit != Digit::Zero => {}
            _ if self.is_leading_zero() => {
                if !self.shape.fill {
                    self.out.push(' ');
                } else if self.ends_with_point() {
                    self.out.push('0');
                }
            }
            Some(byte) => {
                self.out.push(char::from(byte));
                self.in_number = true;
            }
            // Beyond its digits stands the end of the whole text.
            None => self.out.push(END),
        }
        if current.is_some() {
            self.next += 1;
        }
    }
}

/// Reads a number by a picture: its text, and how many digits stand behind the point.
pub(super) fn read(nodes: &[Node<Pattern>], shape: &Shape, text: &str) -> Result<(String, i32)> {
    if shape.exponent {
        return Err(Error::unsupported_message("\"EEEE\" not supported for input"));
    }
    if shape.roman {
        return Err(Error::unsupported_message("\"RN\" not supported for input"));
    }
    let mut reader = Reader {
        shape,
        rest: text,
        sign: ' ',
        digits: String::new(),
        before: 0,
        after: 0,
        point: false,
    };
    for node in nodes {
        if reader.rest.is_empty() {
            break;
        }
        match node {
            Node::Pattern(pattern, _) => reader.pattern(pattern.digit),
            Node::Space(_) | Node::Separator(_) | Node::Text(_) => reader.skip(),
        }
    }
    let digits = reader.digits.strip_suffix('.').unwrap_or(&reader.digits);
    Ok((format!("{}{digits}", reader.sign), reader.after))
}

struct Reader<'a> {
    shape: &'a Shape,
    rest: &'a str,
    sign: char,
    digits: String,
    before: i32,
    after: i32,
    point: bool,
}

impl Reader<'_> {
    fn skip(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    fn first(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Skips characters that cannot belong to a number.
    fn skip_others(&mut self, count: usize) {
        for _ in 0..count {
            if self.first().is_none_or(|c| "0123456789.,+-".contains(c)) {
                return;
            }
            self.skip();
        }
    }

    fn pattern(&mut self, digit: Digit) {
        match digit {
            Digit::Nine | Digit::Zero | Digit::Point | Digit::LocalPoint => {
                self.digit(digit);
                self.skip();
            }
            Digit::Comma | Digit::Group if self.shape.fill || self.first() != Some(',') => {}
            Digit::Comma | Digit::Group => self.skip(),
            Digit::Currency => self.skip_others(1),
            Digit::Ordinal { .. } if self.sign == '-' || self.shape.decimal => {}
            Digit::Ordinal { .. } => self.skip_others(2),
            Digit::Minus | Digit::Plus | Digit::EitherSign => {
                let wanted = match digit {
                    Digit::Minus => "-",
                    Digit::Plus => "+",
                    _ => "+-",
                };
                match self.first().filter(|c| wanted.contains(*c)) {
                    Some(sign) => {
                        self.sign = sign;
                        self.skip();
                    }
                    None => self.skip_others(1),
                }
            }
            _ => {}
        }
    }

    /// Reads a digit, or the point, or a sign beside them. The character read last is left for
    /// the caller to skip.
    fn digit(&mut self, digit: Digit) {
        if self.first() == Some(' ') {
            self.skip();
        }
        let leads = matches!(digit, Digit::Zero | Digit::Nine) && self.before + self.after == 0;
        if self.sign == ' ' && leads {
            let by_sign = self.shape.sign && self.shape.sign_place == SignPlace::Before;
            match self.first() {
                Some(sign @ ('-' | '+')) if by_sign || !self.shape.sign || sign != ' ' => {
                    self.sign = sign;
                    self.skip();
                }
                Some('<') if self.shape.bracket => {
                    self.sign = '-';
                    self.skip();
                }
                _ => {}
            }
        }
        let Some(current) = self.first() else { return };
        let mut is_read = false;
        if current.is_ascii_digit() {
            if self.point && self.after == self.shape.after {
                return;
            }
            self.digits.push(current);
            *if self.point { &mut self.after } else { &mut self.before } += 1;
            is_read = true;
        } else if self.shape.decimal && !self.point && current == '.' {
            self.digits.push('.');
            self.point = true;
            is_read = true;
        }
        if self.sign == ' ' && self.before + self.after > 0 {
            let mut ahead = self.rest.chars();
            ahead.next();
            let next = ahead.clone().next();
            if self.shape.sign && is_read && next.is_some_and(|c| !c.is_ascii_digit()) {
                if let Some(sign @ ('-' | '+')) = next {
                    self.sign = sign;
                    self.rest = ahead.as_str();
                }
            } else if !is_read
                && !self.shape.sign
                && (self.shape.plus || self.shape.minus)
                && matches!(current, '-' | '+')
            {
                self.sign = current;
            }
        }
    }
}
