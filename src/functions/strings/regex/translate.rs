//! PostgreSQL's advanced regular expressions, written in the syntax of the `regex` crates.
//!
//! The parser reads the pattern once and writes an equal one in which nothing depends on modes:
//! brackets become explicit ranges, `.`, `^` and `$` say what they mean under the newline flags,
//! letters stand for both cases where case does not count. Classes and case are ASCII's (the
//! locale is C). Back-references and lookaround have no counterpart and are refused by name.

use crate::error::{Error, Result, SqlState};

use super::set::CharSet;

/// The largest repetition count.
const REPEAT_MAX: u32 = 255;
/// How deep parentheses nest.
const DEPTH_MAX: usize = 250;

/// The options of a regular expression, from a flags argument or embedded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// All matches, where a function asks for one.
    pub global: bool,
    /// Case does not count.
    pub fold: bool,
    /// The pattern is the text to find.
    pub literal: bool,
    /// Blanks and comments in the pattern do not count.
    pub expanded: bool,
    /// `.` and `[^x]` stop at newlines.
    pub dot_stops: bool,
    /// `^` and `$` stand at each line's ends.
    pub lines: bool,
}

impl Options {
    /// Applies one option letter.
    pub fn set(&mut self, letter: char) -> Result<()> {
        match letter {
            'g' => self.global = true,
            'c' => self.fold = false,
            'i' => self.fold = true,
            'm' | 'n' => (self.dot_stops, self.lines) = (true, true),
            'p' => (self.dot_stops, self.lines) = (true, false),
            's' => (self.dot_stops, self.lines) = (false, false),
            'w' => (self.dot_stops, self.lines) = (false, true),
            'q' => self.literal = true,
            't' => self.expanded = false,
            'x' => self.expanded = true,
            'b' | 'e' => {
                return Err(Error::unsupported(format!("regular expression option \"{letter}\"")));
            }
            _ => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid regular expression option: \"{letter}\""),
                ));
            }
        }
        Ok(())
    }
}

/// A translated pattern.
pub(super) struct Translated {
    /// The pattern for the `regex` crates.
    pub pattern: String,
    /// Whether the shortest match is wanted, by the first quantifier.
    pub shortest: bool,
    /// Whether the first match found from the left may not be the one wanted.
    pub ambiguous: bool,
}

/// 2201B in PostgreSQL's words.
pub(super) fn invalid(what: &str) -> Error {
    Error::new(SqlState::INVALID_REGULAR_EXPRESSION, format!("invalid regular expression: {what}"))
}

/// Translates a pattern.
pub(super) fn translate(pattern: &str, options: Options) -> Result<Translated> {
    let mut parser = Parser {
        chars: pattern.chars().collect(),
        at: 0,
        options,
        out: String::with_capacity(pattern.len() * 2),
        quantifiers: 0,
        alternatives: false,
        lazy: false,
    };
    parser.prefixes()?;
    let preference = if parser.options.literal {
        while let Some(c) = parser.next() {
            parser.literal(c);
        }
        Preference::None
    } else {
        let preference = parser.alternation(0)?;
        if parser.at < parser.chars.len() {
            return Err(invalid("parentheses () not balanced"));
        }
        preference
    };
    Ok(Translated {
        ambiguous: parser.alternatives || parser.lazy || parser.quantifiers > 1,
        pattern: parser.out,
        shortest: preference == Preference::Short,
    })
}

/// Which of several matches an expression wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Preference {
    None,
    Long,
    Short,
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    options: Options,
    out: String,
    quantifiers: usize,
    alternatives: bool,
    lazy: bool,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = text.chars().enumerate().all(|(i, c)| self.peek_at(i) == Some(c));
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// `***=`, `***:` and `(?letters)` at the beginning.
    fn prefixes(&mut self) -> Result<()> {
        if self.options.literal {
            return Ok(());
        }
        if self.eat("***=") {
            self.options.literal = true;
            return Ok(());
        }
        if self.eat("***") && !self.eat(":") {
            return Err(invalid("quantifier operand invalid"));
        }
        let letters = self.peek() == Some('(')
            && self.peek_at(1) == Some('?')
            && self.peek_at(2).is_some_and(|c| c.is_ascii_alphabetic());
        if letters {
            self.at += 2;
            loop {
                match self.next() {
                    Some(')') => break,
                    Some('g') | None => return Err(invalid("invalid embedded option")),
                    Some(c) => {
                        self.options.set(c).map_err(|_| invalid("invalid embedded option"))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Blanks and comments that do not count: `(?#…)` always, more in the expanded syntax.
    fn skip(&mut self) {
        loop {
            if self.eat("(?#") {
                while self.next().is_some_and(|c| c != ')') {}
            } else if self.options.expanded && self.peek().is_some_and(|c| c.is_ascii_whitespace())
            {
                self.at += 1;
            } else if self.options.expanded && self.peek() == Some('#') {
                while self.next().is_some_and(|c| c != '\n') {}
            } else {
                return;
            }
        }
    }

    fn alternation(&mut self, depth: usize) -> Result<Preference> {
        if depth > DEPTH_MAX {
            return Err(Error::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                "regular expression is too complex",
            ));
        }
        let mut preference = self.branch(depth)?;
        while self.peek() == Some('|') {
            self.at += 1;
            self.out.push('|');
            self.alternatives = true;
            self.branch(depth)?;
            preference = Preference::Long;
        }
        Ok(preference)
    }

    fn branch(&mut self, depth: usize) -> Result<Preference> {
        let mut preference = Preference::None;
        loop {
            self.skip();
            let start = self.out.len();
            let atom = match self.peek() {
                None | Some('|') => return Ok(preference),
                Some(')') if depth > 0 => return Ok(preference),
                Some(')') => return Err(invalid("parentheses () not balanced")),
                Some(_) => self.atom(depth)?,
            };
            self.skip();
            let quantified = match atom {
                Atom::Constraint => {
                    if self.at_quantifier() {
                        return Err(invalid("quantifier operand invalid"));
                    }
                    Preference::None
                }
                Atom::Of(inner) => self.quantifier(start, inner)?,
            };
            if preference == Preference::None {
                preference = quantified;
            }
        }
    }

    fn at_quantifier(&self) -> bool {
        match self.peek() {
            Some('*' | '+' | '?') => true,
            Some('{') => self.peek_at(1).is_some_and(|c| c.is_ascii_digit()),
            _ => false,
        }
    }

    /// The quantifier after the atom that was written from `start` on.
    fn quantifier(&mut self, start: usize, inner: Preference) -> Result<Preference> {
        if !self.at_quantifier() {
            return Ok(inner);
        }
        let mut written = String::new();
        let mut fixed = false;
        match self.next() {
            Some('{') => {
                let low = self.count()?;
                let high = match self.peek() {
                    Some(',') => {
                        self.at += 1;
                        match self.peek() {
                            Some('}') => None,
                            _ => Some(self.count()?),
                        }
                    }
                    _ => {
                        fixed = true;
                        Some(low)
                    }
                };
                if self.next() != Some('}') {
                    return Err(invalid("invalid repetition count(s)"));
                }
                if high.is_some_and(|high| high < low) {
                    return Err(invalid("invalid repetition count(s)"));
                }
                written = match high {
                    None => format!("{{{low},}}"),
                    Some(high) => format!("{{{low},{high}}}"),
                };
            }
            Some(c) => written.push(c),
            None => {}
        }
        let lazy = self.peek() == Some('?');
        if lazy {
            self.at += 1;
            written.push('?');
        }
        self.skip();
        if self.at_quantifier() {
            return Err(invalid("quantifier operand invalid"));
        }
        self.out.insert_str(start, "(?:");
        self.out.push(')');
        self.out.push_str(&written);
        self.quantifiers += 1;
        self.lazy |= lazy;
        Ok(match (fixed, lazy) {
            (true, _) => inner,
            (false, true) => Preference::Short,
            (false, false) => Preference::Long,
        })
    }

    fn count(&mut self) -> Result<u32> {
        let mut n: Option<u32> = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            self.at += 1;
            n = Some(n.unwrap_or(0) * 10 + digit);
            if n > Some(REPEAT_MAX) {
                return Err(invalid("invalid repetition count(s)"));
            }
        }
        n.ok_or_else(|| invalid("invalid repetition count(s)"))
    }

    fn atom(&mut self, depth: usize) -> Result<Atom> {
        match self.next() {
            Some('(') => self.group(depth),
            Some('[') => self.bracket(),
            Some('.') => {
                self.out.push_str(if self.options.dot_stops { "[^\\n]" } else { "(?s:.)" });
                Ok(Atom::Of(Preference::None))
            }
            Some('^') => {
                self.out.push_str(if self.options.lines { "(?m:^)" } else { "\\A" });
                Ok(Atom::Constraint)
            }
            Some('$') => {
                self.out.push_str(if self.options.lines { "(?m:$)" } else { "\\z" });
                Ok(Atom::Constraint)
            }
            Some('\\') => self.escape(),
            Some('*' | '+' | '?') => Err(invalid("quantifier operand invalid")),
            Some('{') if self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                Err(invalid("quantifier operand invalid"))
            }
            Some(c) => {
                self.literal(c);
                Ok(Atom::Of(Preference::None))
            }
            None => Ok(Atom::Constraint),
        }
    }

    fn group(&mut self, depth: usize) -> Result<Atom> {
        let mut open = "(";
        if self.peek() == Some('?') {
            self.at += 1;
            match self.next() {
                Some(':') => open = "(?:",
                Some('=' | '!' | '<') => {
                    return Err(Error::unsupported("lookaround in a regular expression"));
                }
                _ => return Err(invalid("quantifier operand invalid")),
            }
        }
        self.out.push_str(open);
        let preference = self.alternation(depth + 1)?;
        if self.next() != Some(')') {
            return Err(invalid("parentheses () not balanced"));
        }
        self.out.push(')');
        Ok(Atom::Of(preference))
    }

    fn literal(&mut self, c: char) {
        CharSet::of(c).folded(self.options.fold).write(&mut self.out);
    }

    fn escape(&mut self) -> Result<Atom> {
        let c = self.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
        let constraint = match c {
            'A' => Some("\\A"),
            'Z' => Some("\\z"),
            'm' => Some("(?-u:\\b{start})"),
            'M' => Some("(?-u:\\b{end})"),
            'y' => Some("(?-u:\\b)"),
            'Y' => Some("(?-u:\\B)"),
            _ => None,
        };
        if let Some(written) = constraint {
            self.out.push_str(written);
            return Ok(Atom::Constraint);
        }
        if let Some(set) = CharSet::class_escape(c) {
            // A negated class stops at newlines as [^…] does.
            let set = match c.is_ascii_uppercase() && self.options.dot_stops {
                true => set.without_newline(),
                false => set,
            };
            set.write(&mut self.out);
            return Ok(Atom::Of(Preference::None));
        }
        if matches!(c, '1'..='9') {
            return Err(Error::unsupported("a back-reference in a regular expression"));
        }
        let literal = self.character_escape(c)?;
        self.literal(literal);
        Ok(Atom::Of(Preference::None))
    }

    /// The character that `\c…` stands for.
    fn character_escape(&mut self, c: char) -> Result<char> {
        Ok(match c {
            'a' => '\x07',
            'b' => '\x08',
            'B' => '\\',
            'c' => {
                let c = self.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
                char::from((c as u32 & 0x1f) as u8)
            }
            'e' => '\x1b',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'u' => self.code(16, 4, 4)?,
            'U' => self.code(16, 8, 8)?,
            'x' => self.code(16, 1, 255)?,
            '0' => self.code(8, 0, 2)?,
            c if c.is_ascii_alphanumeric() => return Err(invalid("invalid escape \\ sequence")),
            c => c,
        })
    }

    /// A character by the digits of its code.
    fn code(&mut self, radix: u32, min: usize, max: usize) -> Result<char> {
        let mut code: u32 = 0;
        let mut digits = 0;
        while digits < max
            && let Some(digit) = self.peek().and_then(|c| c.to_digit(radix))
        {
            self.at += 1;
            digits += 1;
            code = code.saturating_mul(radix).saturating_add(digit);
        }
        let c = if digits < min { None } else { char::from_u32(code) };
        c.ok_or_else(|| invalid("invalid escape \\ sequence"))
    }

    /// A bracket expression, after its `[`.
    fn bracket(&mut self) -> Result<Atom> {
        for (written, constraint) in [("[:<:]]", "(?-u:\\b{start})"), ("[:>:]]", "(?-u:\\b{end})")]
        {
            if self.eat(written) {
                self.out.push_str(constraint);
                return Ok(Atom::Constraint);
            }
        }
        let negated = self.eat("^");
        let mut set = CharSet::default();
        let mut first = true;
        loop {
            match self.peek() {
                None => return Err(invalid("brackets [] not balanced")),
                Some(']') if !first => break,
                Some(_) => self.bracket_item(&mut set)?,
            }
            first = false;
        }
        self.at += 1;
        let mut set = set.folded(self.options.fold);
        if negated {
            set = set.complement();
            if self.options.dot_stops {
                set = set.without_newline();
            }
        }
        set.write(&mut self.out);
        Ok(Atom::Of(Preference::None))
    }

    /// A class, a character or a range.
    fn bracket_item(&mut self, set: &mut CharSet) -> Result<()> {
        if self.eat("[:") {
            let name = self.bracket_name(':')?;
            let class = CharSet::class(&name, self.options.fold);
            set.add(&class.ok_or_else(|| invalid("invalid character class"))?);
            return Ok(());
        }
        if self.peek() == Some('\\')
            && let Some(class) = self.peek_at(1).and_then(CharSet::class_escape)
        {
            self.at += 2;
            set.add(&class);
            return Ok(());
        }
        let low = self.bracket_char()?;
        let is_range = self.peek() == Some('-') && self.peek_at(1).is_some_and(|c| c != ']');
        let high = match is_range {
            true => {
                self.at += 1;
                self.bracket_char()?
            }
            false => low,
        };
        if high < low {
            return Err(invalid("invalid character range"));
        }
        set.add_range(low, high);
        Ok(())
    }

    /// One character: itself, escaped, or by its collating name of one character.
    fn bracket_char(&mut self) -> Result<char> {
        if self.eat("[.") {
            return self.collating('.');
        }
        if self.eat("[=") {
            return self.collating('=');
        }
        match self.next() {
            None => Err(invalid("brackets [] not balanced")),
            Some('\\') => {
                let c = self.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
                self.character_escape(c)
            }
            Some(c) => Ok(c),
        }
    }

    fn collating(&mut self, end: char) -> Result<char> {
        let name = self.bracket_name(end)?;
        let mut chars = name.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(c),
            _ => Err(Error::unsupported("a named collating element in a regular expression")),
        }
    }

    /// The name up to `:]`, `.]` or `=]`.
    fn bracket_name(&mut self, end: char) -> Result<String> {
        let mut name = String::new();
        while let Some(c) = self.next() {
            if c == end && self.peek() == Some(']') && !name.is_empty() {
                self.at += 1;
                return Ok(name);
            }
            name.push(c);
        }
        Err(invalid("brackets [] not balanced"))
    }
}

/// What was read: something that matches characters, with its preference, or a place.
enum Atom {
    Of(Preference),
    Constraint,
}
