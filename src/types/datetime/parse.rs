//! Dates and times from text.
//!
//! The form that programs write (`2024-02-29 12:34:56.789+02`) is read straight from its bytes;
//! everything else goes through `field` and `decode`.

use super::decode::{Decoded, Moment, Reading, decode_datetime, decode_time};
use super::{
    Civil, DATE_INFINITY, DATE_NEG_INFINITY, DAY, EPOCH_UNIX_SECONDS, Fault, HOUR, INFINITY,
    MINUTE, NEG_INFINITY, SECOND, check_date, check_timestamp, days_from_civil, days_in_month,
    field,
};
use crate::error::{Error, Result, SqlState};
use crate::types::io::FormatSettings;

/// Days from 1970-01-01 back to 2000-01-01.
const UNIX_EPOCH_DAYS: i32 = -(EPOCH_UNIX_SECONDS / 86_400) as i32;

/// Reads a date. `now` is the transaction's time, microseconds since 2000-01-01 UTC.
pub fn parse_date(text: &str, settings: &FormatSettings, now: i64) -> Result<i32> {
    let bytes = text.as_bytes();
    if bytes.len() == 10
        && let Some(days) = plain_date(bytes)
    {
        return Ok(days);
    }
    let reading = Reading { settings, now };
    let decoded = field::split(text)
        .and_then(|fields| decode_datetime(&fields, reading))
        .map_err(|fault| fault.error("date", text))?;
    match decoded.moment {
        Moment::Infinity => return Ok(DATE_INFINITY),
        Moment::NegInfinity => return Ok(DATE_NEG_INFINITY),
        Moment::Epoch => return Ok(UNIX_EPOCH_DAYS),
        Moment::Fields => {}
    }
    days_of(decoded.date)
        .and_then(|days| check_date(days).ok())
        .ok_or_else(|| range_error("date", text))
}

/// Reads a time of day; a zone is read and dropped.
pub fn parse_time(text: &str, settings: &FormatSettings, now: i64) -> Result<i64> {
    if let Some((micros, [])) = plain_time(text.as_bytes()) {
        return Ok(micros);
    }
    let reading = Reading { settings, now };
    field::split(text)
        .and_then(|fields| decode_time(&fields, reading))
        .map(|decoded| decoded.micros)
        .map_err(|fault| fault.error("time", text))
}

/// Reads a timestamp; a zone is read and dropped.
pub fn parse_timestamp(text: &str, settings: &FormatSettings, now: i64) -> Result<i64> {
    if let Some((local, [])) = plain_timestamp(text.as_bytes()) {
        return Ok(local);
    }
    let (decoded, fixed) = decode("timestamp", text, settings, now)?;
    if let Some(fixed) = fixed {
        return Ok(fixed);
    }
    local_micros(&decoded)
        .and_then(|t| check_timestamp(t).ok())
        .ok_or_else(|| range_error("timestamp", text))
}

/// Reads a timestamp with time zone; the session's zone where it names none.
pub fn parse_timestamptz(text: &str, settings: &FormatSettings, now: i64) -> Result<i64> {
    if let Some((local, rest)) = plain_timestamp(text.as_bytes())
        && let Some(offset) = plain_offset(rest)
    {
        let offset = offset.unwrap_or_else(|| settings.time_zone.offset_of_local(local));
        return Ok(local - i64::from(offset) * SECOND);
    }
    let name = "timestamp with time zone";
    let (decoded, fixed) = decode(name, text, settings, now)?;
    if let Some(fixed) = fixed {
        return Ok(fixed);
    }
    let utc = || {
        let local = local_micros(&decoded)?;
        let t = local.checked_sub(i64::from(decoded.offset) * SECOND)?;
        check_timestamp(t).ok()
    };
    utc().ok_or_else(|| range_error("timestamp", text))
}

/// The fields of a timestamp, or the value itself where a word stands for it.
fn decode(
    name: &str,
    text: &str,
    settings: &FormatSettings,
    now: i64,
) -> Result<(Decoded, Option<i64>)> {
    let reading = Reading { settings, now };
    let decoded = field::split(text)
        .and_then(|fields| decode_datetime(&fields, reading))
        .map_err(|fault| fault.error(name, text))?;
    let fixed = match decoded.moment {
        Moment::Infinity => Some(INFINITY),
        Moment::NegInfinity => Some(NEG_INFINITY),
        Moment::Epoch => Some(-EPOCH_UNIX_SECONDS * SECOND),
        Moment::Fields => None,
    };
    Ok((decoded, fixed))
}

fn range_error(what: &str, text: &str) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range: \"{text}\""))
}

fn days_of(date: Civil) -> Option<i32> {
    i32::try_from(days_from_civil(date.year, date.month, date.day)).ok()
}

fn local_micros(decoded: &Decoded) -> Option<i64> {
    let days = i64::from(days_of(decoded.date)?);
    // The last day in range ends beyond what an i64 of it alone would tell.
    i64::try_from(i128::from(days) * i128::from(DAY) + i128::from(decoded.micros)).ok()
}

/// Two digits.
fn pair(bytes: &[u8]) -> Option<i32> {
    match bytes {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', ..] => {
            Some(i32::from(a - b'0') * 10 + i32::from(b - b'0'))
        }
        _ => None,
    }
}

/// `YYYY-MM-DD` at the front, of a day there is.
fn plain_date(bytes: &[u8]) -> Option<i32> {
    if bytes.len() < 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = pair(bytes)? * 100 + pair(&bytes[2..])?;
    let (month, day) = (pair(&bytes[5..])?, pair(&bytes[8..])?);
    let valid = year > 0 && (1..=12).contains(&month);
    if !valid || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day) as i32)
}

/// `HH:MM:SS[.ffffff]` at the front, below 24:00, and what follows.
fn plain_time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    if bytes.len() < 8 || bytes[2] != b':' || bytes[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (pair(bytes)?, pair(&bytes[3..])?, pair(&bytes[6..])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = i64::from(hour) * HOUR + i64::from(minute) * MINUTE + i64::from(second) * SECOND;
    let Some(fraction) = bytes[8..].strip_prefix(b".") else {
        return Some((micros, &bytes[8..]));
    };
    let count = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=6).contains(&count) {
        return None;
    }
    let value = fraction[..count].iter().fold(0, |v, b| v * 10 + i64::from(b - b'0'));
    Some((micros + value * 10i64.pow(6 - count as u32), &fraction[count..]))
}

/// `YYYY-MM-DD HH:MM:SS[.ffffff]`, or with a `T`, at the front, and what follows.
fn plain_timestamp(bytes: &[u8]) -> Option<(i64, &[u8])> {
    if bytes.len() < 19 || !matches!(bytes[10], b' ' | b'T') {
        return None;
    }
    let days = plain_date(bytes)?;
    let (micros, rest) = plain_time(&bytes[11..])?;
    Some((i64::from(days) * DAY + micros, rest))
}

/// A zone after a timestamp: none at all, `Z`, `+HH`, `+HHMM` or `+HH:MM`; seconds east of UTC.
fn plain_offset(bytes: &[u8]) -> Option<Option<i32>> {
    let (sign, digits) = match bytes {
        [] => return Some(None),
        [b'Z' | b'z'] => return Some(Some(0)),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let hours = pair(digits)?;
    let minutes = match digits.len() {
        2 => 0,
        4 => pair(&digits[2..])?,
        5 if digits[2] == b':' => pair(&digits[3..])?,
        _ => return None,
    };
    (hours <= 15 && minutes <= 59).then_some(Some(sign * (hours * 3600 + minutes * 60)))
}

impl Fault {
    /// The error that names the type and shows the text.
    pub(in crate::types) fn error(self, type_name: &str, text: &str) -> Error {
        let overflow = |what: &str| format!("{what} out of range: \"{text}\"");
        let field = "date/time field value";
        match self {
            Fault::Syntax => Error::new(
                SqlState::INVALID_DATETIME_FORMAT,
                format!("invalid input syntax for type {type_name}: \"{text}\""),
            ),
            Fault::Range => Error::new(SqlState::DATETIME_FIELD_OVERFLOW, overflow(field)),
            Fault::DayOrMonth => Error::new(SqlState::DATETIME_FIELD_OVERFLOW, overflow(field))
                .with_hint("Perhaps you need a different \"datestyle\" setting."),
            Fault::Interval => {
                Error::new(SqlState::INTERVAL_FIELD_OVERFLOW, overflow("interval field value"))
            }
            Fault::Offset => Error::new(
                SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                overflow("time zone displacement"),
            ),
            Fault::Zone(name) => unknown_zone(&name),
        }
    }
}

/// `time zone "…" not recognized` (22023).
pub(super) fn unknown_zone(name: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized"))
}
