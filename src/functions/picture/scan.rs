//! Fields read from a text by a date picture.

use super::dates::{Calendar, Field, Pattern};
use super::times::{DAYS, DAYS_SHORT, MONTHS, MONTHS_SHORT, ROMAN_MONTHS, skip_space};
use super::{FILL, Node, ORDINAL_LOWER, ORDINAL_UPPER, is_separator, is_space};
use crate::error::{Error, Result, SqlState};

/// What was read; 0 where nothing was.
#[derive(Debug)]
pub(super) struct Fields {
    pub calendar: Calendar,
    pub half_day: bool,
    pub hour: i32,
    pub afternoon: i32,
    pub minute: i32,
    pub second: i32,
    pub seconds_of_day: i32,
    pub day_of_week: i32,
    pub day: i32,
    pub day_of_year: i32,
    pub month: i32,
    pub milliseconds: i32,
    pub year: i32,
    pub before_christ: i32,
    pub week: i32,
    pub week_of_month: i32,
    pub century: i32,
    pub julian: i32,
    pub microseconds: i32,
    pub year_digits: u32,
    pub fraction_digits: u32,
    pub zone_sign: i32,
    pub zone_hour: i32,
    pub zone_minute: i32,
}

impl Fields {
    fn new() -> Fields {
        Fields {
            calendar: Calendar::Either,
            half_day: false,
            hour: 0,
            afternoon: 0,
            minute: 0,
            second: 0,
            seconds_of_day: 0,
            day_of_week: 0,
            day: 0,
            day_of_year: 0,
            month: 0,
            milliseconds: 0,
            year: 0,
            before_christ: 0,
            week: 0,
            week_of_month: 0,
            century: 0,
            julian: 0,
            microseconds: 0,
            year_digits: 0,
            fraction_digits: 0,
            zone_sign: 0,
            zone_hour: 0,
            zone_minute: 0,
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

/// Reads a text by a picture.
pub(super) fn scan(nodes: &[Node<Pattern>], text: &str) -> Result<Fields> {
    let mut scanner = Scanner { whole: text, rest: text, fields: Fields::new(), skipped: 0 };
    let mut exact = false;
    for (i, node) in nodes.iter().enumerate() {
        if scanner.rest.is_empty() {
            break;
        }
        let fixes = matches!(node, Node::Pattern(p, _) if p.field == Field::Exact);
        let leads = matches!(node, Node::Pattern(..)) || i == 0;
        if !exact && !fixes && leads {
            scanner.skip_spaces();
        }
        match node {
            Node::Space(_) | Node::Separator(_) => scanner.between(exact),
            Node::Text(_) => scanner.text(exact),
            Node::Pattern(pattern, modifiers) => {
                exact |= fixes;
                let next = Next { after: nodes.get(i + 1), modifiers: *modifiers };
                scanner.field(pattern, next)?;
                if !exact {
                    scanner.skipped = 0;
                    scanner.skip_spaces();
                }
            }
        }
    }
    Ok(scanner.fields)
}

/// What stands behind a pattern.
#[derive(Clone, Copy)]
struct Next<'a> {
    after: Option<&'a Node<Pattern>>,
    modifiers: u8,
}

impl Next<'_> {
    fn has_ordinal(self) -> bool {
        self.modifiers & (ORDINAL_UPPER | ORDINAL_LOWER) != 0
    }

    /// Whether a number may take all digits there are.
    fn is_open(self) -> bool {
        self.modifiers & FILL != 0
            || self.has_ordinal()
            || match self.after {
                None => true,
                Some(Node::Pattern(pattern, _)) => !pattern.is_digit(),
                Some(Node::Space(c) | Node::Separator(c) | Node::Text(c)) => !c.is_ascii_digit(),
            }
    }
}

struct Scanner<'a> {
    whole: &'a str,
    rest: &'a str,
    fields: Fields,
    /// Characters skipped beyond those that the picture has.
    skipped: i32,
}

/// Which number of [`Fields`] a pattern sets.
type Slot = fn(&mut Fields) -> &mut i32;

impl Scanner<'_> {
    fn skip_spaces(&mut self) {
        let after = skip_space(self.rest);
        self.skipped += (self.rest.len() - after.len()) as i32;
        self.rest = after;
    }

    fn skip_one(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    /// A space or a mark of the picture: one of the text's, if there is one.
    fn between(&mut self, exact: bool) {
        if exact {
            return self.skip_one();
        }
        self.skipped -= 1;
        if self.rest.starts_with(|c| is_space(c) || is_separator(c)) {
            self.skip_one();
            self.skipped += 1;
        }
    }

    /// Another character of the picture: any one of the text's, unless more were skipped.
    fn text(&mut self, exact: bool) {
        if !exact && self.skipped > 0 {
            self.skipped -= 1;
        } else {
            self.skip_one();
        }
    }

    fn set(&mut self, slot: Slot, value: i32, pattern: &Pattern) -> Result<()> {
        let place = slot(&mut self.fields);
        if *place != 0 && *place != value {
            let message =
                format!("conflicting values for \"{}\" field in formatting string", pattern.name);
            let detail = "This value contradicts a previous setting for the same field type.";
            return Err(invalid(message).with_detail(detail));
        }
        *place = value;
        Ok(())
    }

    /// An integer: exactly `width` digits, or all there are if nothing else could be meant.
    /// Gives the characters taken.
    fn integer(
        &mut self,
        slot: Option<Slot>,
        width: usize,
        pattern: &Pattern,
        next: Next<'_>,
    ) -> Result<usize> {
        let start = self.rest;
        let trimmed = skip_space(start);
        let copy: String = trimmed.chars().take(width).collect();
        let (value, taken) = if next.is_open() {
            let (value, used) = leading_integer(start);
            (value, used)
        } else {
            if trimmed.len() < width {
                let message =
                    format!("source string too short for \"{}\" formatting field", pattern.name);
                let detail = format!(
                    "Field requires {width} characters, but only {} remain.",
                    trimmed.len()
                );
                return Err(invalid(message).with_detail(detail).with_hint(NOT_FIXED));
            }
            let (value, used) = leading_integer(&copy);
            if used > 0 && used < width {
                let message = format!("invalid value \"{copy}\" for \"{}\"", pattern.name);
                let detail =
                    format!("Field requires {width} characters, but only {used} could be parsed.");
                return Err(invalid(message).with_detail(detail).with_hint(NOT_FIXED));
            }
            (value, if used == 0 { 0 } else { start.len() - trimmed.len() + used })
        };
        if taken == 0 {
            let message = format!("invalid value \"{copy}\" for \"{}\"", pattern.name);
            return Err(invalid(message).with_detail("Value must be an integer."));
        }
        let value = value.and_then(|v| i32::try_from(v).ok()).ok_or_else(|| {
            let message =
                format!("value for \"{}\" in source string is out of range", pattern.name);
            Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message).with_detail(format!(
                "Value must be in the range {} to {}.",
                i32::MIN,
                i32::MAX
            ))
        })?;
        if let Some(slot) = slot {
            self.set(slot, value, pattern)?;
        }
        self.rest = &start[taken..];
        Ok(taken)
    }

    /// One of several words, in any case: its place in the list.
    fn word(&mut self, words: &[&str], pattern: &Pattern) -> Result<i32> {
        let matches = |word: &&str| {
            self.rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        let Some(place) = words.iter().position(matches) else {
            let shown = self.rest.split(is_space).next().unwrap_or_default();
            let message = format!("invalid value \"{shown}\" for \"{}\"", pattern.name);
            let detail = "The given value did not match any of the allowed values for this field.";
            return Err(invalid(message).with_detail(detail));
        };
        self.rest = &self.rest[words[place].len()..];
        Ok(place as i32)
    }

    fn convention(&mut self, pattern: &Pattern) -> Result<()> {
        match (self.fields.calendar, pattern.calendar()) {
            (_, Calendar::Either) => {}
            (Calendar::Either, calendar) => self.fields.calendar = calendar,
            (before, calendar) if before == calendar => {}
            _ => {
                let message = "invalid combination of date conventions";
                return Err(invalid(message.to_owned()).with_hint(
                    "Do not mix Gregorian and ISO week date conventions in a formatting template.",
                ));
            }
        }
        Ok(())
    }

    fn field(&mut self, pattern: &Pattern, next: Next<'_>) -> Result<()> {
        self.convention(pattern)?;
        let plain: Option<(Slot, usize)> = match pattern.field {
            Field::Hour24 => Some((|f| &mut f.hour, 2)),
            Field::Minute => Some((|f| &mut f.minute, 2)),
            Field::Second => Some((|f| &mut f.second, 2)),
            Field::SecondsOfDay => Some((|f| &mut f.seconds_of_day, pattern.name.len())),
            Field::Month => Some((|f| &mut f.month, 2)),
            Field::DayOfYear | Field::IsoDayOfYear => Some((|f| &mut f.day_of_year, 3)),
            Field::Day => Some((|f| &mut f.day, 2)),
            Field::DayOfWeek => Some((|f| &mut f.day_of_week, 1)),
            Field::Week | Field::IsoWeek => Some((|f| &mut f.week, 2)),
            Field::Century => Some((|f| &mut f.century, 2)),
            Field::WeekOfMonth => Some((|f| &mut f.week_of_month, 1)),
            Field::Julian => Some((|f| &mut f.julian, 1)),
            Field::Hour12 => {
                self.fields.half_day = true;
                Some((|f| &mut f.hour, 2))
            }
            Field::Quarter => {
                // Which of its dates is meant, nobody knows.
                self.integer(None, 1, pattern, next)?;
                None
            }
            _ => {
                self.special(pattern, next)?;
                None
            }
        };
        if let Some((slot, width)) = plain {
            self.integer(Some(slot), width, pattern, next)?;
        }
        let numeric = pattern.is_digit() && pattern.field != Field::ZoneMinute;
        if numeric && next.has_ordinal() {
            self.skip_one();
            self.skip_one();
        }
        Ok(())
    }

    fn special(&mut self, pattern: &Pattern, next: Next<'_>) -> Result<()> {
        match pattern.field {
            Field::Meridiem { dots } => {
                let words = if dots { ["a.m.", "p.m."] } else { ["am", "pm"] };
                let value = self.word(&words, pattern)?;
                self.set(|f| &mut f.afternoon, value, pattern)?;
                self.fields.half_day = true;
            }
            Field::Era { dots } => {
                let words = if dots { ["a.d.", "b.c."] } else { ["ad", "bc"] };
                let value = self.word(&words, pattern)?;
                self.set(|f| &mut f.before_christ, value, pattern)?;
            }
            Field::MonthName | Field::MonthShort => {
                let long = pattern.field == Field::MonthName;
                let value = self.word(if long { &MONTHS } else { &MONTHS_SHORT }, pattern)?;
                self.set(|f| &mut f.month, value + 1, pattern)?;
            }
            Field::RomanMonth => {
                let value = self.word(&ROMAN_MONTHS, pattern)?;
                self.set(|f| &mut f.month, 12 - value, pattern)?;
            }
            Field::DayName | Field::DayShort => {
                let long = pattern.field == Field::DayName;
                let value = self.word(if long { &DAYS } else { &DAYS_SHORT }, pattern)?;
                self.set(|f| &mut f.day_of_week, value, pattern)?;
                self.fields.day_of_week += 1;
            }
            Field::IsoDayOfWeek => {
                self.integer(Some(|f| &mut f.day_of_week), 1, pattern, next)?;
                self.fields.day_of_week += 1;
                if self.fields.day_of_week > 7 {
                    self.fields.day_of_week = 1;
                }
            }
            Field::Millisecond | Field::Microsecond | Field::Fraction(_) => {
                self.fraction(pattern, next)?;
            }
            Field::Zone | Field::Offset => {
                return Err(Error::unsupported_message(format!(
                    "formatting field \"{}\" is only supported in to_char",
                    pattern.name
                )));
            }
            Field::ZoneHour => self.zone_hour(pattern, next)?,
            Field::ZoneMinute => {
                if self.fields.zone_sign == 0 {
                    self.fields.zone_sign = 1;
                }
                self.integer(Some(|f| &mut f.zone_minute), 2, pattern, next)?;
            }
            Field::YearWithComma => self.year_with_comma(pattern)?,
            Field::Year(digits) | Field::IsoYear(digits) => {
                let used = self.integer(Some(|f| &mut f.year), digits as usize, pattern, next)?;
                if digits < 4 && used < 4 {
                    self.fields.year = near_2020(self.fields.year);
                }
                self.fields.year_digits = digits;
            }
            _ => {}
        }
        Ok(())
    }

    /// Digits behind the point, however many there are.
    fn fraction(&mut self, pattern: &Pattern, next: Next<'_>) -> Result<()> {
        if pattern.field == Field::Millisecond {
            let used = self.integer(Some(|f| &mut f.milliseconds), 3, pattern, next)?;
            self.fields.milliseconds *= scale(used, 3);
            return Ok(());
        }
        let width = match pattern.field {
            Field::Fraction(digits) => {
                self.fields.fraction_digits = digits;
                digits as usize
            }
            _ => 6,
        };
        let used = self.integer(Some(|f| &mut f.microseconds), width, pattern, next)?;
        self.fields.microseconds *= scale(used, 6);
        Ok(())
    }

    /// The sign may have been taken for a separator before.
    fn zone_hour(&mut self, pattern: &Pattern, next: Next<'_>) -> Result<()> {
        let read = self.whole.len() - self.rest.len();
        self.fields.zone_sign = match self.rest.as_bytes().first() {
            Some(sign @ (b'+' | b'-' | b' ')) => {
                self.rest = &self.rest[1..];
                if *sign == b'-' { -1 } else { 1 }
            }
            _ if self.skipped > 0 && self.whole[..read].ends_with('-') => -1,
            _ => 1,
        };
        self.integer(Some(|f| &mut f.zone_hour), 2, pattern, next).map(drop)
    }

    fn year_with_comma(&mut self, pattern: &Pattern) -> Result<()> {
        let bad = || invalid("invalid input string for \"Y,YYY\"".to_owned());
        let (thousands, used) = leading_integer(self.rest);
        let after = self.rest[used..].strip_prefix(',').filter(|_| used > 0).ok_or_else(bad)?;
        let digits = after.bytes().take(3).take_while(u8::is_ascii_digit).count();
        let years: i64 = after[..digits].parse().map_err(|_| bad())?;
        let whole = thousands.and_then(|t| t.checked_mul(1000)?.checked_add(years));
        let whole = whole.and_then(|y| i32::try_from(y).ok()).ok_or_else(bad)?;
        self.set(|f| &mut f.year, whole, pattern)?;
        self.fields.year_digits = 4;
        self.rest = &after[digits..];
        Ok(())
    }
}

const NOT_FIXED: &str = "If your source string is not fixed-width, try using the \"FM\" modifier.";

/// What C's strtol reads: the value, none if it is too large, and the bytes it took.
fn leading_integer(text: &str) -> (Option<i64>, usize) {
    let trimmed = skip_space(text);
    let sign = usize::from(trimmed.starts_with(['+', '-']));
    let digits = trimmed[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return (Some(0), 0);
    }
    let used = sign + digits;
    (trimmed[..used].parse().ok(), text.len() - trimmed.len() + used)
}

/// What a fraction of `used` digits is to be multiplied with to have `width`.
fn scale(used: usize, width: usize) -> i32 {
    10_i32.pow(width.saturating_sub(used.max(1)) as u32)
}

/// The year nearest to 2020 that ends with these digits.
fn near_2020(year: i32) -> i32 {
    match year {
        ..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}
