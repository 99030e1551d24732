//! Intervals from text: words and numbers (`1 day 02:00 ago`), SQL's (`1-2 3 4:05`), ISO 8601's.
//!
//! Fields are read from the last to the first, so that a unit is known before its number. The
//! rules are PostgreSQL's.

use super::{Field, Fields, Interval, IntervalStyle, MONTH_DAYS, out_of_range};
use crate::error::Result;
use crate::types::datetime::Fault;
use crate::types::datetime::field::{self, Kind, fraction, fraction_micros};
use crate::types::datetime::field::{leading_i32, leading_i64};
use crate::types::datetime::unit::{self, Unit};
use crate::types::datetime::{DAY, HOUR, MINUTE, SECOND};

/// Largest number that ISO 8601's form takes: below it a float has its whole part exactly.
const ISO_NUMBER_MAX: f64 = 1e15;

/// What units have been read, as bits; the same twice is an error.
type Seen = u32;
const SECOND_PART: Seen = 1;
const MILLISECOND: Seen = 1 << 1;
const MICROSECOND: Seen = 1 << 2;
const MINUTE_PART: Seen = 1 << 3;
const HOUR_PART: Seen = 1 << 4;
const SECONDS: Seen = SECOND_PART | MILLISECOND | MICROSECOND;
const CLOCK: Seen = HOUR_PART | MINUTE_PART | SECONDS;
const DAYS: Seen = 1 << 5;
const WEEKS: Seen = 1 << 6;
const MONTHS: Seen = 1 << 7;
const YEARS: Seen = 1 << 8;
const DECADES: Seen = 1 << 9;
const CENTURIES: Seen = 1 << 10;
const MILLENNIA: Seen = 1 << 11;

impl Interval {
    /// Reads the text form. The fields of a modifier say what a number without unit means; the
    /// modifier is not applied otherwise.
    pub fn parse(text: &str, style: IntervalStyle, typmod: i32) -> Result<Interval> {
        let words = field::split(text).and_then(|fields| read_fields(&fields, style, typmod));
        let sums = match words {
            Err(Fault::Syntax) => read_iso(text),
            other => other,
        };
        let sums = sums.map_err(|fault| match fault {
            Fault::Range => Fault::Interval.error("interval", text),
            fault => fault.error("interval", text),
        })?;
        let months = i64::from(sums.years) * 12 + i64::from(sums.months);
        let months = i32::try_from(months).map_err(|_| out_of_range())?;
        Ok(Interval { months, days: sums.days, micros: sums.micros })
    }
}

/// The sums so far.
#[derive(Clone, Copy, Default)]
struct Sums {
    years: i32,
    months: i32,
    days: i32,
    micros: i64,
}

/// A number: its whole part and its fraction, of one sign.
#[derive(Clone, Copy)]
struct Number {
    whole: i64,
    fraction: f64,
}

fn add_i32(to: &mut i32, value: i64, factor: i32) -> Result<(), Fault> {
    let value = i32::try_from(value).ok().and_then(|v| v.checked_mul(factor));
    *to = value.and_then(|v| to.checked_add(v)).ok_or(Fault::Range)?;
    Ok(())
}

impl Sums {
    fn add_micros(&mut self, n: Number, unit: i64) -> Result<(), Fault> {
        let whole = n.whole.checked_mul(unit).and_then(|v| self.micros.checked_add(v));
        self.micros = whole.ok_or(Fault::Range)?;
        self.add_fraction(n.fraction, unit)
    }

    /// Adds a fraction of a unit, rounded to microseconds.
    fn add_fraction(&mut self, fraction: f64, unit: i64) -> Result<(), Fault> {
        let scaled = fraction * unit as f64;
        let rest = scaled.fract();
        let round = i64::from(rest > 0.5) - i64::from(rest < -0.5);
        let micros = self.micros.checked_add(scaled as i64 + round);
        self.micros = micros.ok_or(Fault::Range)?;
        Ok(())
    }

    fn add_days(&mut self, n: Number, days: i32) -> Result<(), Fault> {
        add_i32(&mut self.days, n.whole, days)?;
        self.add_fraction_of_days(n.fraction, days)
    }

    fn add_fraction_of_days(&mut self, fraction: f64, days: i32) -> Result<(), Fault> {
        let scaled = fraction * f64::from(days);
        add_i32(&mut self.days, scaled as i64, 1)?;
        self.add_fraction(scaled.fract(), DAY)
    }

    fn add_months(&mut self, n: Number) -> Result<(), Fault> {
        add_i32(&mut self.months, n.whole, 1)?;
        self.add_fraction_of_days(n.fraction, MONTH_DAYS)
    }

    fn add_years(&mut self, n: Number, years: i32) -> Result<(), Fault> {
        add_i32(&mut self.years, n.whole, years)?;
        let months = (n.fraction * f64::from(years) * 12.0).round_ties_even();
        add_i32(&mut self.months, months as i64, 1)
    }

    fn negated(self) -> Result<Sums, Fault> {
        let negate = || {
            Some(Sums {
                years: self.years.checked_neg()?,
                months: self.months.checked_neg()?,
                days: self.days.checked_neg()?,
                micros: self.micros.checked_neg()?,
            })
        };
        negate().ok_or(Fault::Range)
    }

    /// Adds a number of a unit; what was seen by that.
    fn add(&mut self, n: Number, unit: Unit) -> Result<Seen, Fault> {
        Ok(match unit {
            Unit::Microsecond => {
                self.add_micros(n, 1)?;
                MICROSECOND
            }
            Unit::Millisecond => {
                self.add_micros(n, 1000)?;
                MILLISECOND
            }
            Unit::Second => {
                self.add_micros(n, SECOND)?;
                if n.fraction == 0.0 { SECOND_PART } else { SECONDS }
            }
            Unit::Minute => {
                self.add_micros(n, MINUTE)?;
                MINUTE_PART
            }
            Unit::Hour => {
                self.add_micros(n, HOUR)?;
                HOUR_PART
            }
            Unit::Day => {
                self.add_days(n, 1)?;
                DAYS
            }
            Unit::Week => {
                self.add_days(n, 7)?;
                WEEKS
            }
            Unit::Month => {
                self.add_months(n)?;
                MONTHS
            }
            Unit::Year => {
                self.add_years(n, 1)?;
                YEARS
            }
            Unit::Decade => {
                self.add_years(n, 10)?;
                DECADES
            }
            Unit::Century => {
                self.add_years(n, 100)?;
                CENTURIES
            }
            Unit::Millennium => {
                self.add_years(n, 1000)?;
                MILLENNIA
            }
            _ => return Err(Fault::Syntax),
        })
    }
}

/// The unit of the last number, if it names none.
fn default_unit(fields: Fields) -> Unit {
    match fields.last {
        Field::Year => Unit::Year,
        Field::Month => Unit::Month,
        Field::Day => Unit::Day,
        Field::Hour => Unit::Hour,
        Field::Minute => Unit::Minute,
        Field::Second => Unit::Second,
    }
}

fn read_fields(fields: &[field::Field], style: IntervalStyle, typmod: i32) -> Result<Sums, Fault> {
    let signed = |f: &field::Field| f.text.starts_with(['+', '-']);
    // SQL's leading sign is that of all fields, if no other has one.
    let negative = style == IntervalStyle::SqlStandard
        && fields.first().is_some_and(|f| f.text.starts_with('-'))
        && !fields[1..].iter().any(signed);
    let modifier = Fields::of(typmod);
    let mut sums = Sums::default();
    let mut seen = 0;
    let mut ago = false;
    // The unit of the number before; none: as the modifier says. `Some(None)`: no unit at all.
    let mut unit: Option<Option<Unit>> = None;
    for f in fields.iter().rev() {
        let part = match f.kind {
            Kind::Time => {
                sums.micros = read_clock(&f.text, modifier)?;
                if negative {
                    sums.micros = -sums.micros;
                }
                unit = Some(Some(Unit::Day));
                CLOCK
            }
            Kind::Signed if f.text.contains(':') && read_clock(&f.text[1..], modifier).is_ok() => {
                let micros = read_clock(&f.text[1..], modifier)?;
                let minus = f.text.starts_with('-');
                sums.micros = if minus || negative { -micros } else { micros };
                unit = Some(Some(Unit::Day));
                CLOCK
            }
            Kind::Signed | Kind::Date | Kind::Number => {
                let named = unit.unwrap_or_else(|| Some(default_unit(modifier)));
                let (number, unit_read) = read_number(&f.text, named, negative)?;
                let part = sums.add(number, unit_read)?;
                // Before hours come days.
                let next = if unit_read == Unit::Hour { Unit::Day } else { unit_read };
                unit = Some(Some(next));
                part
            }
            Kind::Word | Kind::Special if f.text == "ago" => {
                ago = true;
                unit = Some(None);
                0
            }
            Kind::Word | Kind::Special => {
                unit = Some(Some(unit::lookup(&f.text).ok_or(Fault::Syntax)?));
                0
            }
        };
        if part & seen != 0 {
            return Err(Fault::Syntax);
        }
        seen |= part;
    }
    if seen == 0 {
        return Err(Fault::Syntax);
    }
    if ago { sums.negated() } else { Ok(sums) }
}

/// A number with its unit: `years-months` has its own.
fn read_number(text: &str, unit: Option<Unit>, negative: bool) -> Result<(Number, Unit), Fault> {
    let minus = text.starts_with('-');
    let (whole, rest) = leading_i64(text).ok_or(Fault::Range)?;
    // A point alone in front is a number too: strtoll then reads nothing.
    if rest.len() == text.len() && !rest.starts_with('.') {
        return Err(Fault::Syntax);
    }
    let mut number = Number { whole, fraction: 0.0 };
    let mut unit = unit;
    if let Some(months) = rest.strip_prefix('-') {
        let (months, rest) = leading_i32(months).ok_or(Fault::Range)?;
        if !(0..12).contains(&months) {
            return Err(Fault::Range);
        }
        if !rest.is_empty() {
            return Err(Fault::Syntax);
        }
        let months = i64::from(if minus { -months } else { months });
        let total = whole.checked_mul(12).and_then(|m| m.checked_add(months));
        number.whole = total.ok_or(Fault::Range)?;
        unit = Some(Unit::Month);
    } else if rest.starts_with('.') {
        number.fraction = fraction(rest)?;
        if minus {
            number.fraction = -number.fraction;
        }
    } else if !rest.is_empty() {
        return Err(Fault::Syntax);
    }
    if negative {
        number.whole = number.whole.checked_abs().map_or(number.whole, |v| -v);
        number.fraction = -number.fraction.abs();
    }
    Ok((number, unit.ok_or(Fault::Syntax)?))
}

/// `hh:mm`, `hh:mm:ss.fff`, `mm:ss.fff`, in microseconds.
fn read_clock(text: &str, modifier: Fields) -> Result<i64, Fault> {
    let number = |text| leading_i32(text).ok_or(Fault::Range);
    let (first, rest) = leading_i64(text).ok_or(Fault::Range)?;
    let rest = rest.strip_prefix(':').ok_or(Fault::Syntax)?;
    let (second, rest) = number(rest)?;
    let minutes = || i32::try_from(first).map_err(|_| Fault::Range);
    let minute_to_second = modifier.first == Field::Minute && modifier.last == Field::Second;
    let (hours, minutes, seconds, micros) = if rest.is_empty() && minute_to_second {
        (0, minutes()?, second, 0)
    } else if rest.is_empty() {
        (first, second, 0, 0)
    } else if rest.starts_with('.') {
        (0, minutes()?, second, fraction_micros(rest)?)
    } else {
        let rest = rest.strip_prefix(':').ok_or(Fault::Syntax)?;
        let (third, rest) = number(rest)?;
        let micros = match rest.as_bytes().first() {
            None => 0,
            Some(b'.') => fraction_micros(rest)?,
            Some(_) => return Err(Fault::Syntax),
        };
        (first, second, third, micros)
    };
    if hours < 0 || !(0..60).contains(&minutes) || !(0..=60).contains(&seconds) {
        return Err(Fault::Range);
    }
    let below = i64::from(minutes) * MINUTE + i64::from(seconds) * SECOND + i64::from(micros);
    hours.checked_mul(HOUR).and_then(|h| h.checked_add(below)).ok_or(Fault::Range)
}

/// Reads ISO 8601's forms: designators (`P1Y2DT3H`), basic and extended alternatives.
fn read_iso(text: &str) -> Result<Sums, Fault> {
    let Some(rest) = text.strip_prefix('P').filter(|rest| !rest.is_empty()) else {
        return Err(Fault::Syntax);
    };
    let mut r = IsoReader { rest, sums: Sums::default() };
    let mut in_date = true;
    let mut has_field = false;
    while !r.rest.is_empty() {
        if let Some(rest) = r.rest.strip_prefix('T') {
            r.rest = rest;
            (in_date, has_field) = (false, false);
            continue;
        }
        let more = if in_date { r.date_field(has_field)? } else { r.time_field(has_field)? };
        match more {
            More::Fields => has_field = true,
            More::Time => (in_date, has_field) = (false, false),
            More::Nothing => break,
        }
    }
    Ok(r.sums)
}

/// What follows a field.
enum More {
    Fields,
    Time,
    Nothing,
}

struct IsoReader<'a> {
    rest: &'a str,
    sums: Sums,
}

impl IsoReader<'_> {
    /// A number, and how many digits it begins with.
    fn number(&mut self) -> Result<(Number, usize), Fault> {
        let text = self.rest;
        if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') {
            return Err(Fault::Syntax);
        }
        let end = float_length(text);
        let value: f64 = text[..end].parse().map_err(|_| Fault::Syntax)?;
        if !(-ISO_NUMBER_MAX..=ISO_NUMBER_MAX).contains(&value) {
            return Err(Fault::Range);
        }
        self.rest = &text[end..];
        let digits = text.strip_prefix('-').unwrap_or(text);
        let width = digits.bytes().take_while(u8::is_ascii_digit).count();
        let whole = value.trunc();
        Ok((Number { whole: whole as i64, fraction: value - whole }, width))
    }

    fn take_unit(&mut self) -> Option<char> {
        let unit = self.rest.chars().next()?;
        self.rest = &self.rest[unit.len_utf8()..];
        Some(unit)
    }

    fn date_field(&mut self, has_field: bool) -> Result<More, Fault> {
        let (n, width) = self.number()?;
        let unit = self.take_unit();
        match unit {
            Some('Y') => self.sums.add_years(n, 1)?,
            Some('M') => self.sums.add_months(n)?,
            Some('W') => self.sums.add_days(n, 7)?,
            Some('D') => self.sums.add_days(n, 1)?,
            None | Some('T') if width == 8 && !has_field => {
                let part = |whole| Number { whole, fraction: 0.0 };
                self.sums.add_years(part(n.whole / 10_000), 1)?;
                self.sums.add_months(part(n.whole / 100 % 100))?;
                self.sums.add_days(Number { whole: n.whole % 100, fraction: n.fraction }, 1)?;
                return Ok(if unit.is_none() { More::Nothing } else { More::Time });
            }
            None | Some('T' | '-') if !has_field => return self.extended_date(n, unit),
            _ => return Err(Fault::Syntax),
        }
        Ok(More::Fields)
    }

    /// `years-months-days`, each but the first optional.
    fn extended_date(&mut self, years: Number, unit: Option<char>) -> Result<More, Fault> {
        self.sums.add_years(years, 1)?;
        match unit {
            None => return Ok(More::Nothing),
            Some('T') => return Ok(More::Time),
            Some(_) => {}
        }
        let (months, _) = self.number()?;
        self.sums.add_months(months)?;
        if self.rest.is_empty() {
            return Ok(More::Nothing);
        }
        if !self.rest.starts_with('T') {
            self.rest = self.rest.strip_prefix('-').ok_or(Fault::Syntax)?;
            let (days, _) = self.number()?;
            self.sums.add_days(days, 1)?;
        }
        match self.take_unit() {
            None => Ok(More::Nothing),
            Some('T') => Ok(More::Time),
            Some(_) => Err(Fault::Syntax),
        }
    }

    fn time_field(&mut self, has_field: bool) -> Result<More, Fault> {
        let (n, width) = self.number()?;
        let part = |whole| Number { whole, fraction: 0.0 };
        match self.take_unit() {
            Some('H') => self.sums.add_micros(n, HOUR)?,
            Some('M') => self.sums.add_micros(n, MINUTE)?,
            Some('S') => self.sums.add_micros(n, SECOND)?,
            None if width == 6 && !has_field => {
                self.sums.add_micros(part(n.whole / 10_000), HOUR)?;
                self.sums.add_micros(part(n.whole / 100 % 100), MINUTE)?;
                self.sums.add_micros(part(n.whole % 100), SECOND)?;
                self.sums.add_fraction(n.fraction, 1)?;
                return Ok(More::Nothing);
            }
            None if !has_field => {
                self.sums.add_micros(n, HOUR)?;
                return Ok(More::Nothing);
            }
            Some(':') if !has_field => {
                self.sums.add_micros(n, HOUR)?;
                let (minutes, _) = self.number()?;
                self.sums.add_micros(minutes, MINUTE)?;
                if self.rest.is_empty() {
                    return Ok(More::Nothing);
                }
                self.rest = self.rest.strip_prefix(':').ok_or(Fault::Syntax)?;
                let (seconds, _) = self.number()?;
                self.sums.add_micros(seconds, SECOND)?;
                return if self.rest.is_empty() { Ok(More::Nothing) } else { Err(Fault::Syntax) };
            }
            _ => return Err(Fault::Syntax),
        }
        Ok(More::Fields)
    }
}

/// How much of a text C's strtod would read.
fn float_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |at: usize| bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += digits(at);
    if bytes.get(at) == Some(&b'.') {
        at += 1 + digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let count = digits((at + 1 + sign).min(bytes.len()));
        if count > 0 {
            at += 1 + sign + count;
        }
    }
    at
}
