//! A timestamp put together from the fields that a picture found.

use super::dates::{Calendar, parse};
use super::scan::{Fields, scan};
use super::times::JULIAN_EPOCH;
use crate::error::{Error, Result, SqlState};
use crate::types::datetime::{
    self, DATE_END, DATE_MIN, DAY, HOUR, MINUTE, SECOND, TimeZone, civil_from_days,
    days_from_civil, days_in_month, is_leap_year,
};

/// Hours that a zone's offset can have.
const ZONE_HOURS_MAX: i32 = 15;

/// A date and a time of day as read.
struct Read {
    year: i32,
    month: i32,
    day: i32,
    micros: i64,
    /// Seconds east of Greenwich.
    offset: Option<i32>,
    fraction_digits: u32,
}

fn overflow(text: &str) -> Error {
    let message = format!("date/time field value out of range: \"{text}\"");
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

/// `to_timestamp(text, picture)`
pub(super) fn timestamp(text: &str, picture: &str, zone: &TimeZone) -> Result<i64> {
    let read = read(text, picture)?;
    let out_of_range = || Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range");
    let days = days_from_civil(read.year, read.month, read.day);
    let local = days.checked_mul(DAY).and_then(|d| d.checked_add(read.micros));
    let local = local.ok_or_else(out_of_range)?;
    let offset = read.offset.unwrap_or_else(|| zone.offset_of_local(local));
    let t = local.checked_sub(i64::from(offset) * SECOND).ok_or_else(out_of_range)?;
    let t = datetime::check_timestamp(t).map_err(|_| out_of_range())?;
    match read.fraction_digits {
        0 => Ok(t),
        digits => datetime::round_timestamp(t, digits as i32),
    }
}

/// `to_date(text, picture)`
pub(super) fn date(text: &str, picture: &str) -> Result<i32> {
    let read = read(text, picture)?;
    let days = days_from_civil(read.year, read.month, read.day);
    match i32::try_from(days) {
        Ok(days) if (DATE_MIN..DATE_END).contains(&days) => Ok(days),
        _ => Err(Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date out of range: \"{text}\""),
        )),
    }
}

fn read(text: &str, picture: &str) -> Result<Read> {
    let fields = scan(&parse(picture), text)?;
    let micros = time_of_day(&fields, text)?;
    let mut read = Read {
        year: 0,
        month: 1,
        day: 1,
        micros,
        offset: offset(&fields, text)?,
        fraction_digits: fields.fraction_digits,
    };
    set_date(&fields, &mut read, text)?;
    Ok(read)
}

fn time_of_day(f: &Fields, text: &str) -> Result<i64> {
    let of_day = f.seconds_of_day;
    let (mut hour, mut minute, mut second) = (of_day / 3600, of_day % 3600 / 60, of_day % 60);
    for (set, value) in [(&mut second, f.second), (&mut minute, f.minute), (&mut hour, f.hour)] {
        if value != 0 {
            *set = value;
        }
    }
    if f.half_day {
        if !(1..=12).contains(&hour) {
            let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
            return Err(Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
                .with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
        }
        match (f.afternoon != 0, hour) {
            (true, ..12) => hour += 12,
            (false, 12) => hour = 0,
            _ => {}
        }
    }
    let micros = i64::from(f.milliseconds) * 1000 + i64::from(f.microseconds);
    let fits = (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second)
        && (0..SECOND).contains(&micros);
    if !fits {
        return Err(overflow(text));
    }
    Ok(i64::from(hour) * HOUR + i64::from(minute) * MINUTE + i64::from(second) * SECOND + micros)
}

fn offset(f: &Fields, text: &str) -> Result<Option<i32>> {
    if f.zone_sign == 0 {
        return Ok(None);
    }
    let fits = (0..=ZONE_HOURS_MAX).contains(&f.zone_hour) && (0..60).contains(&f.zone_minute);
    if !fits {
        return Err(Error::new(
            SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
            format!("time zone displacement out of range: \"{text}\""),
        ));
    }
    Ok(Some(f.zone_sign * (f.zone_hour * 3600 + f.zone_minute * 60)))
}

/// The year by YYYY, or by the century and two digits; none if neither was read.
fn year_of(f: &Fields) -> Option<i32> {
    let before = f.before_christ != 0;
    let century = if before { -f.century } else { f.century };
    if f.year != 0 {
        if f.century != 0 && f.year_digits <= 2 {
            return Some(match (f.year % 100, century) {
                (0, 0..) => century * 100,
                (0, _) => century * 100 + 1,
                (year, 0..) => year + (century - 1) * 100,
                (year, _) => (century + 1) * 100 - year + 1,
            });
        }
        let year = if before { f.year.wrapping_neg() } else { f.year };
        // There is no year 0.
        return Some(if year < 0 { year + 1 } else { year });
    }
    match century {
        0 => None,
        1.. => Some((century - 1) * 100 + 1),
        _ => Some(century * 100 + 1),
    }
}

/// Days since 2000 of the Monday of an ISO year's week.
fn monday_of_week(year: i32, week: i32) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    // 2000-01-03 was a Monday.
    let monday = fourth - (fourth - 2).rem_euclid(7);
    monday + (i64::from(week) - 1) * 7
}

fn set_date(f: &Fields, read: &mut Read, text: &str) -> Result<()> {
    let (mut checks_month, mut checks_day) = (false, false);
    let year = year_of(f);
    read.year = year.unwrap_or(0);
    let put = |read: &mut Read, days: i64| {
        let civil = civil_from_days(i32::try_from(days).unwrap_or(i32::MAX));
        (read.year, read.month, read.day) = (civil.year, civil.month, civil.day);
    };
    if f.julian != 0 {
        put(read, i64::from(f.julian) - i64::from(JULIAN_EPOCH));
    }
    let (mut day_of_year, mut day) = (f.day_of_year, f.day);
    if f.week != 0 {
        if f.calendar == Calendar::IsoWeek {
            // Sunday, 1 here, is the last day of its ISO week.
            let shift = match f.day_of_week {
                0 => 0,
                1 => 6,
                day => day - 2,
            };
            put(read, monday_of_week(read.year, f.week) + i64::from(shift));
        } else {
            day_of_year = f.week.wrapping_sub(1).wrapping_mul(7).wrapping_add(1);
        }
    }
    if f.week_of_month != 0 {
        day = f.week_of_month.wrapping_sub(1).wrapping_mul(7).wrapping_add(1);
    }
    if day != 0 {
        read.day = day;
        checks_day = true;
    }
    if f.month != 0 {
        read.month = f.month;
        checks_month = true;
    }
    if day_of_year != 0 && (read.month <= 1 || read.day <= 1) {
        if read.year == 0 && f.before_christ == 0 {
            let message = "cannot calculate day of year without year information";
            return Err(Error::new(SqlState::INVALID_DATETIME_FORMAT, message));
        }
        if f.calendar == Calendar::IsoWeek {
            put(read, monday_of_week(read.year, 1) - 1 + i64::from(day_of_year));
        } else {
            set_day_of_year(read, day_of_year);
            (checks_month, checks_day) = (true, true);
        }
    }
    let valid = (!checks_month || (1..=12).contains(&read.month))
        && (!checks_day || (1..=31).contains(&read.day))
        && (!(checks_month && checks_day && year.is_some())
            || read.day <= days_in_month(read.year, read.month));
    if valid { Ok(()) } else { Err(overflow(text)) }
}

fn set_day_of_year(read: &mut Read, day_of_year: i32) {
    const BEFORE: [i32; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let before = |month: usize| BEFORE[month] + i32::from(month >= 2 && is_leap_year(read.year));
    let month = (1..=12).find(|m| day_of_year <= before(*m)).unwrap_or(13);
    let first = before(month - 1);
    if read.month <= 1 {
        read.month = month as i32;
    }
    if read.day <= 1 {
        read.day = day_of_year - first;
    }
}
