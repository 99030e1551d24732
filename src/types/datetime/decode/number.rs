//! What numbers mean: parts of a date in order, digits run together, times with colons.

use super::super::field::{Field, Kind, fraction, fraction_micros, leading_i32};
use super::super::word::{self, Word};
use super::super::{DAY, DateOrder, EPOCH_JULIAN, Fault, civil_from_days, clock_from_micros};
use super::{
    DATE, DAY_OF_MONTH, DAY_OF_YEAR, Decoder, ERA, HALF, Label, MOMENT, MONTH, Parts, SUMMER, TIME,
    WEEKDAY, YEAR, check_time,
};

impl Decoder<'_> {
    /// A number behind a word that says what it is.
    pub(super) fn labelled_number(&mut self, text: &str) -> Result<Parts, Fault> {
        let label = std::mem::replace(&mut self.label, Label::None);
        let (value, rest) = leading_i32(text).ok_or(Fault::Range)?;
        if !rest.is_empty() && !rest.starts_with('.') {
            return Err(Fault::Syntax);
        }
        match label {
            Label::Julian => {
                if value < 0 {
                    return Err(Fault::Range);
                }
                self.set_julian(value);
                if rest.is_empty() {
                    return Ok(DATE);
                }
                let fraction = fraction(rest)?;
                let clock = clock_from_micros((fraction * DAY as f64) as i64);
                (self.hour, self.minute) = (clock.hour, clock.minute);
                (self.second, self.micros) = (clock.second, clock.micros);
                Ok(DATE | TIME)
            }
            Label::Time => match self.digit_run(text, self.known | DATE)? {
                TIME => Ok(TIME),
                _ => Err(Fault::Syntax),
            },
            _ => Err(Fault::Syntax),
        }
    }

    pub(super) fn set_julian(&mut self, julian: i32) {
        let days = i64::from(julian) - i64::from(EPOCH_JULIAN);
        self.set_date(civil_from_days(days.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32));
        self.julian = true;
    }

    pub(super) fn number_field(&mut self, fields: &[Field], i: usize) -> Result<Parts, Fault> {
        let text = fields[i].text.as_str();
        let known = self.known_for_number();
        let point = text.find('.');
        if self.time_only {
            return match point {
                Some(_)
                    if i == 0
                        && fields.len() >= 2
                        && fields[fields.len() - 1].kind == Kind::Date =>
                {
                    self.date(text)
                }
                Some(at) if at > 2 => self.digit_run(text, known),
                Some(_) => Err(Fault::Syntax),
                None if text.len() > 4 => self.digit_run(text, known),
                None => self.number(text, known),
            };
        }
        match point {
            Some(_) if self.known & DATE == 0 => self.date(text),
            Some(at) if at > 2 => self.digit_run(text, known),
            _ if text.len() >= 6 && (self.known & DATE == 0 || self.known & TIME == 0) => {
                self.digit_run(text, known)
            }
            _ => self.number(text, known),
        }
    }

    /// A date of fields with separators: a month in letters first, then numbers in order.
    pub(super) fn date(&mut self, text: &str) -> Result<Parts, Fault> {
        let pieces = date_pieces(text)?;
        let mut parts = 0;
        let mut text_month = false;
        let mut numbers = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if piece.starts_with(|c: char| c.is_ascii_digit()) {
                numbers.push(piece);
                continue;
            }
            match word::lookup(piece) {
                Some(Word::Ignored) => continue,
                Some(Word::Month(month)) => self.month = month,
                _ => return Err(Fault::Syntax),
            }
            if (self.known | parts) & MONTH != 0 {
                return Err(Fault::Syntax);
            }
            parts |= MONTH;
            text_month = true;
        }
        let had_text_month = std::mem::replace(&mut self.text_month, text_month);
        for piece in numbers {
            let part = self.number(piece, self.known | parts)?;
            if (self.known | parts) & part != 0 {
                return Err(Fault::Syntax);
            }
            parts |= part;
        }
        self.text_month = had_text_month;
        let all = (self.known | parts) & (DATE | TIME | ERA | HALF | WEEKDAY | SUMMER | MOMENT);
        if all == DATE { Ok(parts) } else { Err(Fault::Syntax) }
    }

    /// One number, which what is known already makes a year, month, day or time.
    pub(super) fn number(&mut self, text: &str, known: Parts) -> Result<Parts, Fault> {
        let (value, rest) = leading_i32(text).ok_or(Fault::Range)?;
        if rest.len() == text.len() {
            return Err(Fault::Syntax);
        }
        if rest.starts_with('.') {
            // 2001.360 or 040506.789
            if text.len() - rest.len() > 2 {
                return self.digit_run(text, known | DATE);
            }
            self.micros = fraction_micros(rest)?;
        } else if !rest.is_empty() {
            return Err(Fault::Syntax);
        }
        let length = text.len();
        if length == 3 && known & DATE == YEAR && (1..=366).contains(&value) {
            self.day_of_year = value;
            return Ok(DAY_OF_YEAR | MONTH | DAY_OF_MONTH);
        }
        let order = self.reading.settings.date_style.order;
        let year_first = length >= 3 || order == DateOrder::Ymd;
        let part = match known & DATE {
            0 if year_first => YEAR,
            0 if order == DateOrder::Dmy => DAY_OF_MONTH,
            0 => MONTH,
            YEAR => MONTH,
            MONTH if self.text_month && year_first => YEAR,
            MONTH => DAY_OF_MONTH,
            known if known == YEAR | MONTH => {
                if self.text_month && length >= 3 && self.short_year {
                    // What looked like the year was the day: 08-jan-1999 in order YMD.
                    self.day = self.year;
                    self.year = value;
                    self.short_year = false;
                    return Ok(DAY_OF_MONTH);
                }
                DAY_OF_MONTH
            }
            DAY_OF_MONTH => MONTH,
            known if known == MONTH | DAY_OF_MONTH => YEAR,
            DATE => return self.digit_run(text, known),
            _ => return Err(Fault::Syntax),
        };
        match part {
            YEAR => {
                self.year = value;
                self.short_year = length <= 2;
            }
            MONTH => self.month = value,
            _ => self.day = value,
        }
        Ok(part)
    }

    /// Digits run together: `yymmdd`, `yyyymmdd`, `hhmm`, `hhmmss`, the last with a fraction.
    pub(super) fn digit_run(&mut self, text: &str, known: Parts) -> Result<Parts, Fault> {
        let number = |digits: &str| digits.parse::<i32>().map_err(|_| Fault::Range);
        let mut digits = text;
        if let Some(at) = text.find('.') {
            let fraction = &text[at..];
            let end = 1 + fraction[1..].bytes().take_while(u8::is_ascii_digit).count();
            self.micros = fraction_micros(&fraction[..end])?;
            digits = &text[..at];
        } else if known & DATE != DATE && digits.len() >= 6 {
            let (rest, day) = digits.split_at(digits.len() - 2);
            let (year, month) = rest.split_at(rest.len() - 2);
            (self.year, self.month, self.day) = (number(year)?, number(month)?, number(day)?);
            if year.len() == 2 {
                self.short_year = true;
            }
            return Ok(DATE);
        }
        if known & TIME == 0 && matches!(digits.len(), 4 | 6) {
            self.hour = number(&digits[..2])?;
            self.minute = number(&digits[2..4])?;
            self.second = if digits.len() == 6 { number(&digits[4..])? } else { 0 };
            return Ok(TIME);
        }
        Err(Fault::Syntax)
    }

    /// `hh:mm`, `hh:mm:ss.fff` or `mm:ss.fff`.
    pub(super) fn clock(&mut self, text: &str) -> Result<Parts, Fault> {
        let number = |text| leading_i32(text).ok_or(Fault::Range);
        let (first, rest) = number(text)?;
        let rest = rest.strip_prefix(':').ok_or(Fault::Syntax)?;
        let (second, rest) = number(rest)?;
        (self.hour, self.minute, self.second, self.micros) = (first, second, 0, 0);
        if rest.starts_with('.') {
            self.micros = fraction_micros(rest)?;
            (self.hour, self.minute, self.second) = (0, first, second);
        } else if let Some(rest) = rest.strip_prefix(':') {
            let (third, rest) = number(rest)?;
            self.second = third;
            if rest.starts_with('.') {
                self.micros = fraction_micros(rest)?;
            } else if !rest.is_empty() {
                return Err(Fault::Syntax);
            }
        } else if !rest.is_empty() {
            return Err(Fault::Syntax);
        }
        check_time(self.hour, self.minute, self.second, self.micros)?;
        Ok(TIME)
    }
}

/// Runs of digits and of letters; one character between two of them is a separator.
fn date_pieces(text: &str) -> Result<Vec<&str>, Fault> {
    let bytes = text.as_bytes();
    let mut pieces = Vec::with_capacity(3);
    let mut at = 0;
    while at < bytes.len() {
        while at < bytes.len() && !bytes[at].is_ascii_alphanumeric() {
            at += 1;
        }
        let start = at;
        let Some(first) = bytes.get(at) else {
            return Err(Fault::Syntax);
        };
        let digits = first.is_ascii_digit();
        while at < bytes.len()
            && bytes[at].is_ascii_alphanumeric()
            && bytes[at].is_ascii_digit() == digits
        {
            at += 1;
        }
        pieces.push(&text[start..at]);
        at += 1;
    }
    Ok(pieces)
}
