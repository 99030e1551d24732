//! The second step of reading dates and times: what the fields mean together.
//!
//! Each field adds to what is known; a part known twice is an error. A field's meaning depends on
//! its look and on what is known before it: the first number of `DateStyle`'s order, a run of
//! digits as a date or a time, a word as a month or a zone. The rules are PostgreSQL's.

mod number;

use super::abbreviation::{self, Meaning};
use super::field::{Field, Kind, leading_i32};
use super::word::{self, Word};
use super::{
    Civil, DAY, Fault, HOUR, MINUTE, SECOND, TimeZone, civil_from_days, days_from_civil,
    days_in_month, split_timestamp,
};
use crate::types::io::FormatSettings;

/// What reading knows beside the text.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub settings: &'a FormatSettings,
    /// The transaction's time, in UTC.
    pub now: i64,
}

/// Whether the fields count, or a word stood for the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Fields,
    Epoch,
    Infinity,
    NegInfinity,
}

/// What was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoded {
    pub moment: Moment,
    pub date: Civil,
    /// Time of day.
    pub micros: i64,
    /// Seconds east of UTC.
    pub offset: i32,
}

/// Parts of a date or time, as bits.
type Parts = u32;
const YEAR: Parts = 1;
const MONTH: Parts = 1 << 1;
const DAY_OF_MONTH: Parts = 1 << 2;
const DATE: Parts = YEAR | MONTH | DAY_OF_MONTH;
const TIME: Parts = 1 << 3;
const ZONE: Parts = 1 << 4;
const DAY_OF_YEAR: Parts = 1 << 5;
const SUMMER: Parts = 1 << 6;
const HALF: Parts = 1 << 7;
const ERA: Parts = 1 << 8;
const WEEKDAY: Parts = 1 << 9;
const MOMENT: Parts = 1 << 10;

/// Largest hour of a zone's offset.
const OFFSET_HOURS_MAX: i32 = 15;

/// Where the zone's offset comes from.
enum ZoneSource {
    /// It is known, or the session's zone gives it.
    Known,
    Named(TimeZone),
    Abbreviation(String, TimeZone),
}

/// The word before, which says what the next field is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    None,
    Julian,
    Time,
    Other,
}

struct Decoder<'a> {
    reading: Reading<'a>,
    /// Whether only a time is wanted: a date is taken where the zone needs one.
    time_only: bool,
    known: Parts,
    moment: Moment,
    year: i32,
    month: i32,
    day: i32,
    day_of_year: i32,
    hour: i32,
    minute: i32,
    second: i32,
    micros: i32,
    offset: i32,
    zone: ZoneSource,
    label: Label,
    text_month: bool,
    julian: bool,
    short_year: bool,
    bc: bool,
    afternoon: Option<bool>,
}

/// Reads a date with or without a time.
pub(super) fn decode_datetime(fields: &[Field], reading: Reading<'_>) -> Result<Decoded, Fault> {
    let mut d = Decoder::new(reading, false);
    for i in 0..fields.len() {
        d.field(fields, i)?;
    }
    d.finish_date()?;
    d.finish_half()?;
    if d.moment == Moment::Fields {
        if d.known & DATE != DATE {
            return Err(Fault::Syntax);
        }
        d.finish_zone()?;
    }
    Ok(d.decoded())
}

/// Reads a time of day.
pub(super) fn decode_time(fields: &[Field], reading: Reading<'_>) -> Result<Decoded, Fault> {
    let mut d = Decoder::new(reading, true);
    for i in 0..fields.len() {
        d.field(fields, i)?;
    }
    d.finish_date()?;
    d.finish_half()?;
    check_time(d.hour, d.minute, d.second, d.micros)?;
    if d.known & TIME == 0 {
        return Err(Fault::Syntax);
    }
    let fixed_zone = d.known & ZONE != 0 && matches!(d.zone, ZoneSource::Known);
    if d.known & SUMMER != 0 && !fixed_zone {
        return Err(Fault::Syntax);
    }
    // Only a zone of one offset goes without a date.
    if let ZoneSource::Named(zone) = &d.zone
        && zone.fixed_offset().is_none()
        && d.known & DATE != DATE
    {
        return Err(Fault::Syntax);
    }
    Ok(d.decoded())
}

/// Whether a time of day is one, up to 24:00:00.
fn check_time(hour: i32, minute: i32, second: i32, micros: i32) -> Result<(), Fault> {
    let total = total_micros(hour, minute, second, micros);
    let ok = (0..=24).contains(&hour)
        && (0..=59).contains(&minute)
        && (0..=60).contains(&second)
        && (0..=SECOND as i32).contains(&micros)
        && total <= DAY;
    if ok { Ok(()) } else { Err(Fault::Range) }
}

fn total_micros(hour: i32, minute: i32, second: i32, micros: i32) -> i64 {
    let whole = i64::from(hour) * HOUR + i64::from(minute) * MINUTE + i64::from(second) * SECOND;
    whole + i64::from(micros)
}

/// Reads a zone's offset (`+05`, `-0530`, `+01:30:15`): seconds east of UTC.
pub(super) fn decode_offset(text: &str) -> Result<i32, Fault> {
    let Some(rest) = text.strip_prefix(['+', '-']) else {
        return Err(Fault::Syntax);
    };
    let number = |text| leading_i32(text).ok_or(Fault::Offset);
    let (mut hours, mut rest) = number(rest)?;
    let (mut minutes, mut seconds) = (0, 0);
    if let Some(tail) = rest.strip_prefix(':') {
        (minutes, rest) = number(tail)?;
        if let Some(tail) = rest.strip_prefix(':') {
            (seconds, rest) = number(tail)?;
        }
    } else if rest.is_empty() && text.len() > 3 {
        (hours, minutes) = (hours / 100, hours % 100);
    }
    let sixty = 0..60;
    if !(0..=OFFSET_HOURS_MAX).contains(&hours)
        || !sixty.contains(&minutes)
        || !sixty.contains(&seconds)
    {
        return Err(Fault::Offset);
    }
    if !rest.is_empty() {
        return Err(Fault::Syntax);
    }
    let offset = (hours * 60 + minutes) * 60 + seconds;
    Ok(if text.starts_with('-') { -offset } else { offset })
}

impl<'a> Decoder<'a> {
    fn new(reading: Reading<'a>, time_only: bool) -> Decoder<'a> {
        Decoder {
            reading,
            time_only,
            known: 0,
            moment: Moment::Fields,
            year: 0,
            month: 0,
            day: 0,
            day_of_year: 0,
            hour: 0,
            minute: 0,
            second: 0,
            micros: 0,
            offset: 0,
            zone: ZoneSource::Known,
            label: Label::None,
            text_month: false,
            julian: false,
            short_year: false,
            bc: false,
            afternoon: None,
        }
    }

    fn decoded(&self) -> Decoded {
        Decoded {
            moment: self.moment,
            date: Civil { year: self.year, month: self.month, day: self.day },
            micros: total_micros(self.hour, self.minute, self.second, self.micros),
            offset: self.offset,
        }
    }

    /// What counts as known where a run of digits is read: a time is all that is wanted, or not.
    fn known_for_number(&self) -> Parts {
        if self.time_only { self.known | DATE } else { self.known }
    }

    fn field(&mut self, fields: &[Field], i: usize) -> Result<(), Fault> {
        let text = fields[i].text.as_str();
        let parts = match fields[i].kind {
            Kind::Date => self.date_field(fields, i)?,
            Kind::Time => {
                match self.label {
                    Label::None => {}
                    Label::Time => self.label = Label::None,
                    _ => return Err(Fault::Syntax),
                }
                self.clock(text)?
            }
            Kind::Signed => {
                self.offset = decode_offset(text)?;
                ZONE
            }
            Kind::Number if self.label != Label::None => self.labelled_number(text)?,
            Kind::Number => self.number_field(fields, i)?,
            Kind::Word | Kind::Special => match self.word_field(fields, i)? {
                Some(parts) => parts,
                None => return Ok(()),
            },
        };
        if parts & self.known != 0 {
            return Err(Fault::Syntax);
        }
        self.known |= parts;
        Ok(())
    }

    fn date_field(&mut self, fields: &[Field], i: usize) -> Result<Parts, Fault> {
        let text = fields[i].text.as_str();
        if self.time_only {
            let dated = i == 0
                && fields.len() >= 2
                && (fields[fields.len() - 1].kind == Kind::Date || fields[1].kind == Kind::Time);
            return if dated { self.date(text) } else { self.time_with_zone(text) };
        }
        if self.label == Label::Julian {
            // A Julian day with a zone run on: j2451187-08.
            let (days, rest) = leading_i32(text).filter(|(n, _)| *n >= 0).ok_or(Fault::Range)?;
            self.set_julian(days);
            self.offset = decode_offset(rest)?;
            self.label = Label::None;
            return Ok(DATE | TIME | ZONE);
        }
        let has_day = self.known & (MONTH | DAY_OF_MONTH) == MONTH | DAY_OF_MONTH;
        if self.label != Label::None || has_day {
            return self.time_with_zone(text);
        }
        self.date(text)
    }

    /// A time of digits alone with its zone run on (`040506-08`), or a zone's name.
    fn time_with_zone(&mut self, text: &str) -> Result<Parts, Fault> {
        let digits_first = text.starts_with(|c: char| c.is_ascii_digit());
        if !digits_first && self.label == Label::None {
            let zone = TimeZone::named(text).ok_or_else(|| Fault::Zone(text.to_owned()))?;
            self.zone = ZoneSource::Named(zone);
            return Ok(ZONE);
        }
        match self.label {
            Label::None => {}
            Label::Time => self.label = Label::None,
            _ => return Err(Fault::Syntax),
        }
        if self.known & TIME != 0 {
            return Err(Fault::Syntax);
        }
        let at = text.find('-').ok_or(Fault::Syntax)?;
        self.offset = decode_offset(&text[at..])?;
        let known = self.known_for_number();
        Ok(self.digit_run(&text[..at], known)? | ZONE)
    }

    fn set_date(&mut self, date: Civil) {
        (self.year, self.month, self.day) = (date.year, date.month, date.day);
    }

    /// What a word adds; none for words without meaning.
    fn word_field(&mut self, fields: &[Field], i: usize) -> Result<Option<Parts>, Fault> {
        let text = fields[i].text.as_str();
        match abbreviation::lookup(text) {
            Some(Meaning::Fixed(offset, _)) => {
                self.offset = offset;
                return Ok(Some(ZONE));
            }
            Some(Meaning::Zone(name)) => {
                let zone = TimeZone::named(name).ok_or_else(|| Fault::Zone(name.to_owned()))?;
                self.zone = ZoneSource::Abbreviation(text.to_owned(), zone);
                return Ok(Some(ZONE));
            }
            None => {}
        }
        let Some(word) = word::lookup(text) else {
            let zone = TimeZone::named(text).ok_or(Fault::Syntax)?;
            self.zone = ZoneSource::Named(zone);
            return Ok(Some(ZONE));
        };
        Ok(Some(match word {
            Word::Ignored => return Ok(None),
            Word::Month(month) => self.text_month(month),
            Word::Weekday => WEEKDAY,
            Word::Am | Word::Pm => {
                self.afternoon = Some(word == Word::Pm);
                HALF
            }
            Word::Ad | Word::Bc => {
                self.bc = word == Word::Bc;
                ERA
            }
            Word::SummerTime => {
                self.offset += 3600;
                SUMMER
            }
            Word::Julian | Word::Unit => {
                self.label = if word == Word::Julian { Label::Julian } else { Label::Other };
                0
            }
            Word::Time => {
                let follows = fields.get(i + 1).is_some_and(|next| {
                    matches!(next.kind, Kind::Number | Kind::Time | Kind::Date)
                });
                if !follows || (!self.time_only && self.known & DATE != DATE) {
                    return Err(Fault::Syntax);
                }
                self.label = Label::Time;
                0
            }
            _ => self.moment_word(word)?,
        }))
    }

    /// A month in letters. A number read as the month before was the day.
    fn text_month(&mut self, month: i32) -> Parts {
        let was_day = self.known & MONTH != 0
            && !self.text_month
            && self.known & DAY_OF_MONTH == 0
            && (1..=31).contains(&self.month);
        if was_day {
            self.day = self.month;
        }
        self.text_month = true;
        self.month = month;
        if was_day { DAY_OF_MONTH } else { MONTH }
    }

    /// A word that stands for a moment.
    fn moment_word(&mut self, word: Word) -> Result<Parts, Fault> {
        let zone = &self.reading.settings.time_zone;
        let (days, micros) = split_timestamp(zone.to_local(self.reading.now).unwrap_or(0));
        let day_shift = match word {
            Word::Midnight => {
                (self.hour, self.minute, self.second, self.micros) = (0, 0, 0, 0);
                self.offset = 0;
                return Ok(TIME | ZONE);
            }
            Word::Now => {
                let c = super::clock_from_micros(micros);
                (self.hour, self.minute) = (c.hour, c.minute);
                (self.second, self.micros) = (c.second, c.micros);
                if self.time_only {
                    return Ok(TIME);
                }
                self.offset = zone.offset_at(self.reading.now);
                self.set_date(civil_from_days(days));
                return Ok(DATE | TIME | ZONE);
            }
            _ if self.time_only => return Err(Fault::Syntax),
            Word::Today => 0,
            Word::Tomorrow => 1,
            Word::Yesterday => -1,
            Word::Epoch | Word::Infinity | Word::NegInfinity => {
                self.moment = match word {
                    Word::Epoch => Moment::Epoch,
                    Word::Infinity => Moment::Infinity,
                    _ => Moment::NegInfinity,
                };
                return Ok(MOMENT);
            }
            _ => return Err(Fault::Syntax),
        };
        self.set_date(civil_from_days(days + day_shift));
        self.moment = Moment::Fields;
        Ok(DATE)
    }

    /// Checks and completes year, month and day.
    fn finish_date(&mut self) -> Result<(), Fault> {
        if self.moment != Moment::Fields {
            return Ok(());
        }
        if self.known & YEAR != 0 && !self.julian {
            if self.bc {
                if self.year <= 0 {
                    return Err(Fault::Range);
                }
                self.year = 1 - self.year;
            } else if self.short_year {
                match self.year {
                    ..0 => return Err(Fault::Range),
                    0..70 => self.year += 2000,
                    70..100 => self.year += 1900,
                    _ => {}
                }
            } else if self.year <= 0 {
                return Err(Fault::Range);
            }
        }
        if self.known & DAY_OF_YEAR != 0 {
            let days = days_from_civil(self.year, 1, 1) + i64::from(self.day_of_year) - 1;
            self.set_date(civil_from_days(i32::try_from(days).map_err(|_| Fault::Range)?));
        }
        if self.known & MONTH != 0 && !(1..=12).contains(&self.month) {
            return Err(Fault::DayOrMonth);
        }
        if self.known & DAY_OF_MONTH != 0 && !(1..=31).contains(&self.day) {
            return Err(Fault::DayOrMonth);
        }
        if self.known & DATE == DATE && self.day > days_in_month(self.year, self.month) {
            return Err(Fault::Range);
        }
        Ok(())
    }

    fn finish_half(&mut self) -> Result<(), Fault> {
        match self.afternoon {
            None => return Ok(()),
            Some(_) if self.hour > 12 => return Err(Fault::Range),
            Some(false) if self.hour == 12 => self.hour = 0,
            Some(true) if self.hour != 12 => self.hour += 12,
            Some(_) => {}
        }
        Ok(())
    }

    /// The zone's offset at the local time read.
    fn finish_zone(&mut self) -> Result<(), Fault> {
        let days = days_from_civil(self.year, self.month, self.day);
        let micros = total_micros(self.hour, self.minute, self.second, self.micros);
        let local = days.saturating_mul(DAY).saturating_add(micros);
        let summer = self.known & SUMMER != 0;
        match &self.zone {
            ZoneSource::Named(_) | ZoneSource::Abbreviation(..) if summer => {
                return Err(Fault::Syntax);
            }
            ZoneSource::Named(zone) => self.offset = zone.offset_of_local(local),
            ZoneSource::Abbreviation(name, zone) => {
                self.offset = zone.offset_of_abbreviation(name, local);
            }
            ZoneSource::Known if self.known & ZONE == 0 => {
                if summer {
                    return Err(Fault::Syntax);
                }
                self.offset = self.reading.settings.time_zone.offset_of_local(local);
            }
            ZoneSource::Known => {}
        }
        Ok(())
    }
}
