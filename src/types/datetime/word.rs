//! Words of dates and times: months, days, units, and what stands for a moment.

/// What a word means where a date or time is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Month(i32),
    Weekday,
    /// Nothing: `at`, `on`.
    Ignored,
    Am,
    Pm,
    Ad,
    Bc,
    /// The next number is a Julian day.
    Julian,
    /// The next field is a time (`t`).
    Time,
    /// A unit that no date or time takes in front of a number.
    Unit,
    /// `dst` after a zone.
    SummerTime,
    NegInfinity,
    Infinity,
    Epoch,
    Now,
    Today,
    Tomorrow,
    Yesterday,
    /// `allballs`: midnight UTC.
    Midnight,
}

/// The meaning of a word in lower case, zones aside.
pub(super) fn lookup(word: &str) -> Option<Word> {
    if let Some(month) = month(word) {
        return Some(Word::Month(month));
    }
    Some(match word {
        "sun" | "sunday" | "mon" | "monday" | "tue" | "tues" | "tuesday" | "wed" | "weds"
        | "wednesday" | "thu" | "thur" | "thurs" | "thursday" | "fri" | "friday" | "sat"
        | "saturday" => Word::Weekday,
        "at" | "on" => Word::Ignored,
        "am" => Word::Am,
        "pm" => Word::Pm,
        "ad" => Word::Ad,
        "bc" => Word::Bc,
        "j" | "jd" | "julian" => Word::Julian,
        "t" => Word::Time,
        "d" | "dow" | "doy" | "h" | "isodow" | "isoyear" | "m" | "mm" | "s" | "y" => Word::Unit,
        "dst" => Word::SummerTime,
        "-infinity" => Word::NegInfinity,
        "infinity" => Word::Infinity,
        "epoch" => Word::Epoch,
        "now" => Word::Now,
        "today" => Word::Today,
        "tomorrow" => Word::Tomorrow,
        "yesterday" => Word::Yesterday,
        "allballs" => Word::Midnight,
        _ => return None,
    })
}

fn month(word: &str) -> Option<i32> {
    Some(match word {
        "jan" | "january" => 1,
        "feb" | "february" => 2,
        "mar" | "march" => 3,
        "apr" | "april" => 4,
        "may" => 5,
        "jun" | "june" => 6,
        "jul" | "july" => 7,
        "aug" | "august" => 8,
        "sep" | "sept" | "september" => 9,
        "oct" | "october" => 10,
        "nov" | "november" => 11,
        "dec" | "december" => 12,
        _ => return None,
    })
}
