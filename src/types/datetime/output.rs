//! Text of dates and times, in the four styles of `DateStyle`.

use super::{
    Civil, DATE_INFINITY, DATE_NEG_INFINITY, DateFormat, DateOrder, DateStyle, INFINITY,
    NEG_INFINITY, SECOND, civil_from_days, clock_from_micros, split_timestamp, weekday,
};
use crate::types::io::FormatSettings;

/// Short names of the days, from Sunday.
pub(super) const DAYS_SHORT: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
/// Short names of the months.
pub(super) const MONTHS_SHORT: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Writes a number with at least `width` digits.
pub(in crate::types) fn push_padded(value: i32, width: usize, out: &mut String) {
    let mut buf = [b'0'; 10];
    let mut at = buf.len();
    let mut rest = value.unsigned_abs();
    while rest > 0 {
        at -= 1;
        buf[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let start = at.min(buf.len() - width);
    out.push_str(std::str::from_utf8(&buf[start..]).unwrap_or_default());
}

/// Writes the fraction of a second, without zeros at its end; nothing for none.
pub(in crate::types) fn push_fraction(micros: i32, out: &mut String) {
    if micros == 0 {
        return;
    }
    let (mut value, mut width) = (micros, 6);
    while value % 10 == 0 {
        value /= 10;
        width -= 1;
    }
    out.push('.');
    push_padded(value, width, out);
}

/// Two digits of a number below 100.
fn pair(value: i32) -> [u8; 2] {
    [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]
}

fn push_ascii(bytes: &[u8], out: &mut String) {
    out.push_str(std::str::from_utf8(bytes).unwrap_or_default());
}

fn push_clock(micros: i64, out: &mut String) {
    let c = clock_from_micros(micros);
    let ([a, b], [d, e], [f, g]) = (pair(c.hour), pair(c.minute), pair(c.second));
    push_ascii(&[a, b, b':', d, e, b':', f, g], out);
    push_fraction(c.micros, out);
}

/// Year as people count it; BC is said at the end of the whole text.
fn shown_year(c: Civil) -> i32 {
    if c.year > 0 { c.year } else { 1 - c.year }
}

fn push_date(c: Civil, style: DateStyle, out: &mut String) {
    let separator = match style.format {
        DateFormat::Iso => {
            push_padded(shown_year(c), 4, out);
            let ([a, b], [d, e]) = (pair(c.month), pair(c.day));
            return push_ascii(&[b'-', a, b, b'-', d, e], out);
        }
        DateFormat::Sql => '/',
        DateFormat::Postgres => '-',
        DateFormat::German => '.',
    };
    let day_first = style.order == DateOrder::Dmy || style.format == DateFormat::German;
    let (first, second) = if day_first { (c.day, c.month) } else { (c.month, c.day) };
    push_padded(first, 2, out);
    out.push(separator);
    push_padded(second, 2, out);
    out.push(separator);
    push_padded(shown_year(c), 4, out);
}

/// Writes a date.
pub fn write_date(days: i32, style: DateStyle, out: &mut String) {
    match days {
        DATE_INFINITY => return out.push_str("infinity"),
        DATE_NEG_INFINITY => return out.push_str("-infinity"),
        _ => {}
    }
    let c = civil_from_days(days);
    push_date(c, style, out);
    if c.year <= 0 {
        out.push_str(" BC");
    }
}

/// Writes a time of day.
pub fn write_time(micros: i64, out: &mut String) {
    push_clock(micros, out);
}

/// What a time zone adds: its offset east of UTC in seconds, and its abbreviation.
struct ZoneText<'a> {
    offset: i32,
    abbreviation: Option<&'a str>,
}

/// Writes a timestamp.
pub fn write_timestamp(t: i64, style: DateStyle, out: &mut String) {
    write_any(t, style, None, out);
}

/// Writes a timestamp with time zone, in the session's zone.
pub fn write_timestamptz(t: i64, settings: &FormatSettings, out: &mut String) {
    if matches!(t, INFINITY | NEG_INFINITY) {
        return write_any(t, settings.date_style, None, out);
    }
    settings.time_zone.at(t, |offset, abbreviation, _| {
        let local = t + i64::from(offset) * SECOND;
        let zone = ZoneText { offset, abbreviation: Some(abbreviation) };
        write_any(local, settings.date_style, Some(zone), out);
    });
}

fn write_any(t: i64, style: DateStyle, zone: Option<ZoneText<'_>>, out: &mut String) {
    match t {
        INFINITY => return out.push_str("infinity"),
        NEG_INFINITY => return out.push_str("-infinity"),
        _ => {}
    }
    let (days, micros) = split_timestamp(t);
    let c = civil_from_days(days);
    if style.format == DateFormat::Postgres {
        out.push_str(DAYS_SHORT[weekday(days) as usize]);
        out.push(' ');
        let month = MONTHS_SHORT[(c.month - 1) as usize];
        if style.order == DateOrder::Dmy {
            push_padded(c.day, 2, out);
            out.push(' ');
            out.push_str(month);
        } else {
            out.push_str(month);
            out.push(' ');
            push_padded(c.day, 2, out);
        }
        out.push(' ');
        push_clock(micros, out);
        out.push(' ');
        push_padded(shown_year(c), 4, out);
    } else {
        push_date(c, style, out);
        out.push(' ');
        push_clock(micros, out);
    }
    if let Some(zone) = zone {
        match zone.abbreviation {
            Some(name) if style.format != DateFormat::Iso && !name.is_empty() => {
                out.push(' ');
                out.push_str(name);
            }
            _ => push_offset(zone.offset, out),
        }
    }
    if c.year <= 0 {
        out.push_str(" BC");
    }
}

/// Writes an offset east of UTC: hours, and minutes and seconds where there are any.
pub(super) fn push_offset(offset: i32, out: &mut String) {
    out.push(if offset < 0 { '-' } else { '+' });
    let seconds = offset.abs();
    push_padded(seconds / 3600, 2, out);
    if seconds % 3600 != 0 {
        out.push(':');
        push_padded(seconds / 60 % 60, 2, out);
    }
    if seconds % 60 != 0 {
        out.push(':');
        push_padded(seconds % 60, 2, out);
    }
}
