//! Units of time, by the names that intervals, `extract` and `date_trunc` take.

/// A unit, or another field that `extract` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    /// Offset of the zone in seconds.
    Timezone,
    TimezoneHour,
    TimezoneMinute,
    /// Seconds since 1970.
    Epoch,
    /// Day of the week, Sunday 0.
    DayOfWeek,
    /// Day of the week, Monday 1.
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Julian,
}

/// Letters of a word that count.
const WORD_MAX: usize = 10;

/// The unit of this name, lower case.
pub(in crate::types) fn lookup(word: &str) -> Option<Unit> {
    let word = word.get(..WORD_MAX).unwrap_or(word);
    Some(match word {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" => Unit::Microsecond,
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" => Unit::Millisecond,
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "qtr" | "quarter" => Unit::Quarter,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        "dec" | "decs" | "decade" | "decades" => Unit::Decade,
        "c" | "cent" | "century" | "centuries" => Unit::Century,
        "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
        "timezone" => Unit::Timezone,
        "timezone_h" => Unit::TimezoneHour,
        "timezone_m" => Unit::TimezoneMinute,
        _ => return None,
    })
}

/// The field of this name that `extract` gives, of any case.
pub fn field(name: &str) -> Option<Unit> {
    let word = name.to_ascii_lowercase();
    lookup(&word).or(match word.as_str() {
        "epoch" => Some(Unit::Epoch),
        "dow" => Some(Unit::DayOfWeek),
        "isodow" => Some(Unit::IsoDayOfWeek),
        "doy" => Some(Unit::DayOfYear),
        "isoyear" => Some(Unit::IsoYear),
        "julian" | "j" | "jd" => Some(Unit::Julian),
        _ => None,
    })
}
