//! The patterns of date and time pictures.

use super::{FILL, LOCAL, Node, ORDINAL_LOWER, ORDINAL_UPPER, plain};

/// What a pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Meridiem {
        dots: bool,
    },
    Era {
        dots: bool,
    },
    Century,
    DayName,
    DayShort,
    DayOfYear,
    IsoDayOfYear,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    Fraction(u32),
    Exact,
    Hour24,
    Hour12,
    IsoWeek,
    /// Digits of the ISO year.
    IsoYear(u32),
    Julian,
    Minute,
    Month,
    MonthName,
    MonthShort,
    Millisecond,
    Microsecond,
    Offset,
    Quarter,
    RomanMonth,
    SecondsOfDay,
    Second,
    ZoneHour,
    ZoneMinute,
    Zone,
    Week,
    WeekOfMonth,
    YearWithComma,
    /// Digits of the year.
    Year(u32),
}

/// How a word is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Capital,
    Lower,
}

/// Which calendar a field belongs to, where the two must not be mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calendar {
    Either,
    Gregorian,
    IsoWeek,
}

/// A pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    pub name: &'static str,
    pub field: Field,
    pub case: Case,
}

impl Pattern {
    /// Whether it begins with a digit in what is read.
    pub fn is_digit(&self) -> bool {
        use Field::*;
        !matches!(
            self.field,
            Meridiem { .. }
                | Era { .. }
                | DayName
                | DayShort
                | MonthName
                | MonthShort
                | Exact
                | Offset
                | RomanMonth
                | ZoneHour
                | Zone
        )
    }

    /// Which calendar it belongs to.
    pub fn calendar(&self) -> Calendar {
        use Field::*;
        match self.field {
            IsoDayOfYear | IsoDayOfWeek | IsoWeek | IsoYear(_) => Calendar::IsoWeek,
            DayOfYear | Day | DayOfWeek | Month | MonthName | MonthShort | RomanMonth | Week
            | WeekOfMonth | YearWithComma | Year(_) => Calendar::Gregorian,
            _ => Calendar::Either,
        }
    }
}

const fn p(name: &'static str, field: Field, case: Case) -> Pattern {
    Pattern { name, field, case }
}

/// Every pattern, those first that begin with another. Lower case has the same but for words,
/// which say how they are written.
static PATTERNS: &[Pattern] = &[
    p("A.D.", Field::Era { dots: true }, Case::Upper),
    p("A.M.", Field::Meridiem { dots: true }, Case::Upper),
    p("AD", Field::Era { dots: false }, Case::Upper),
    p("AM", Field::Meridiem { dots: false }, Case::Upper),
    p("B.C.", Field::Era { dots: true }, Case::Upper),
    p("BC", Field::Era { dots: false }, Case::Upper),
    p("CC", Field::Century, Case::Upper),
    p("DAY", Field::DayName, Case::Upper),
    p("DDD", Field::DayOfYear, Case::Upper),
    p("DD", Field::Day, Case::Upper),
    p("DY", Field::DayShort, Case::Upper),
    p("Day", Field::DayName, Case::Capital),
    p("Dy", Field::DayShort, Case::Capital),
    p("D", Field::DayOfWeek, Case::Upper),
    p("FF1", Field::Fraction(1), Case::Upper),
    p("FF2", Field::Fraction(2), Case::Upper),
    p("FF3", Field::Fraction(3), Case::Upper),
    p("FF4", Field::Fraction(4), Case::Upper),
    p("FF5", Field::Fraction(5), Case::Upper),
    p("FF6", Field::Fraction(6), Case::Upper),
    p("FX", Field::Exact, Case::Upper),
    p("HH24", Field::Hour24, Case::Upper),
    p("HH12", Field::Hour12, Case::Upper),
    p("HH", Field::Hour12, Case::Upper),
    p("IDDD", Field::IsoDayOfYear, Case::Upper),
    p("ID", Field::IsoDayOfWeek, Case::Upper),
    p("IW", Field::IsoWeek, Case::Upper),
    p("IYYY", Field::IsoYear(4), Case::Upper),
    p("IYY", Field::IsoYear(3), Case::Upper),
    p("IY", Field::IsoYear(2), Case::Upper),
    p("I", Field::IsoYear(1), Case::Upper),
    p("J", Field::Julian, Case::Upper),
    p("MI", Field::Minute, Case::Upper),
    p("MM", Field::Month, Case::Upper),
    p("MONTH", Field::MonthName, Case::Upper),
    p("MON", Field::MonthShort, Case::Upper),
    p("MS", Field::Millisecond, Case::Upper),
    p("Month", Field::MonthName, Case::Capital),
    p("Mon", Field::MonthShort, Case::Capital),
    p("OF", Field::Offset, Case::Upper),
    p("P.M.", Field::Meridiem { dots: true }, Case::Upper),
    p("PM", Field::Meridiem { dots: false }, Case::Upper),
    p("Q", Field::Quarter, Case::Upper),
    p("RM", Field::RomanMonth, Case::Upper),
    p("SSSSS", Field::SecondsOfDay, Case::Upper),
    p("SSSS", Field::SecondsOfDay, Case::Upper),
    p("SS", Field::Second, Case::Upper),
    p("TZH", Field::ZoneHour, Case::Upper),
    p("TZM", Field::ZoneMinute, Case::Upper),
    p("TZ", Field::Zone, Case::Upper),
    p("US", Field::Microsecond, Case::Upper),
    p("WW", Field::Week, Case::Upper),
    p("W", Field::WeekOfMonth, Case::Upper),
    p("Y,YYY", Field::YearWithComma, Case::Upper),
    p("YYYY", Field::Year(4), Case::Upper),
    p("YYY", Field::Year(3), Case::Upper),
    p("YY", Field::Year(2), Case::Upper),
    p("Y", Field::Year(1), Case::Upper),
    p("a.d.", Field::Era { dots: true }, Case::Lower),
    p("a.m.", Field::Meridiem { dots: true }, Case::Lower),
    p("ad", Field::Era { dots: false }, Case::Lower),
    p("am", Field::Meridiem { dots: false }, Case::Lower),
    p("b.c.", Field::Era { dots: true }, Case::Lower),
    p("bc", Field::Era { dots: false }, Case::Lower),
    p("cc", Field::Century, Case::Lower),
    p("day", Field::DayName, Case::Lower),
    p("ddd", Field::DayOfYear, Case::Lower),
    p("dd", Field::Day, Case::Lower),
    p("dy", Field::DayShort, Case::Lower),
    p("d", Field::DayOfWeek, Case::Lower),
    p("ff1", Field::Fraction(1), Case::Lower),
    p("ff2", Field::Fraction(2), Case::Lower),
    p("ff3", Field::Fraction(3), Case::Lower),
    p("ff4", Field::Fraction(4), Case::Lower),
    p("ff5", Field::Fraction(5), Case::Lower),
    p("ff6", Field::Fraction(6), Case::Lower),
    p("fx", Field::Exact, Case::Lower),
    p("hh24", Field::Hour24, Case::Lower),
    p("hh12", Field::Hour12, Case::Lower),
    p("hh", Field::Hour12, Case::Lower),
    p("iddd", Field::IsoDayOfYear, Case::Lower),
    p("id", Field::IsoDayOfWeek, Case::Lower),
    p("iw", Field::IsoWeek, Case::Lower),
    p("iyyy", Field::IsoYear(4), Case::Lower),
    p("iyy", Field::IsoYear(3), Case::Lower),
    p("iy", Field::IsoYear(2), Case::Lower),
    p("i", Field::IsoYear(1), Case::Lower),
    p("j", Field::Julian, Case::Lower),
    p("mi", Field::Minute, Case::Lower),
    p("mm", Field::Month, Case::Lower),
    p("month", Field::MonthName, Case::Lower),
    p("mon", Field::MonthShort, Case::Lower),
    p("ms", Field::Millisecond, Case::Lower),
    p("of", Field::Offset, Case::Lower),
    p("p.m.", Field::Meridiem { dots: true }, Case::Lower),
    p("pm", Field::Meridiem { dots: false }, Case::Lower),
    p("q", Field::Quarter, Case::Lower),
    p("rm", Field::RomanMonth, Case::Lower),
    p("sssss", Field::SecondsOfDay, Case::Lower),
    p("ssss", Field::SecondsOfDay, Case::Lower),
    p("ss", Field::Second, Case::Lower),
    p("tzh", Field::ZoneHour, Case::Lower),
    p("tzm", Field::ZoneMinute, Case::Lower),
    p("tz", Field::Zone, Case::Lower),
    p("us", Field::Microsecond, Case::Lower),
    p("ww", Field::Week, Case::Lower),
    p("w", Field::WeekOfMonth, Case::Lower),
    p("y,yyy", Field::YearWithComma, Case::Lower),
    p("yyyy", Field::Year(4), Case::Lower),
    p("yyy", Field::Year(3), Case::Lower),
    p("yy", Field::Year(2), Case::Lower),
    p("y", Field::Year(1), Case::Lower),
];

/// Reads a picture.
pub(super) fn parse(picture: &str) -> Vec<Node<Pattern>> {
    let mut out = Vec::new();
    let mut rest = picture;
    while !rest.is_empty() {
        let mut modifiers = match rest.get(..2) {
            Some("FM" | "fm") => FILL,
            Some("TM" | "tm") => LOCAL,
            _ => 0,
        };
        if modifiers != 0 {
            rest = &rest[2..];
        }
        if rest.is_empty() {
            break;
        }
        let Some(pattern) = PATTERNS.iter().find(|p| rest.starts_with(p.name)) else {
            rest = &rest[plain(rest, true, &mut out)..];
            continue;
        };
        rest = &rest[pattern.name.len()..];
        let behind = match rest.get(..2) {
            Some("TH") => ORDINAL_UPPER,
            Some("th") => ORDINAL_LOWER,
            // Spelling out was never built: it is read, and means nothing.
            Some("SP") => 0,
            _ => {
                out.push(Node::Pattern(pattern, modifiers));
                continue;
            }
        };
        modifiers |= behind;
        rest = &rest[2..];
        out.push(Node::Pattern(pattern, modifiers));
    }
    out
}
