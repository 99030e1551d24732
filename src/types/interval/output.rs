//! Text of intervals, in the four styles of `IntervalStyle`.

use super::{Interval, IntervalStyle};
use crate::types::datetime::{HOUR, MINUTE, SECOND};
use crate::types::datetime::{push_fraction, push_padded};
use crate::types::io::write_i64;

/// An interval in the units people count in; time parts have one sign.
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

impl Parts {
    fn of(i: &Interval) -> Parts {
        Parts {
            years: i64::from(i.months / 12),
            months: i64::from(i.months % 12),
            days: i64::from(i.days),
            hours: i.micros / HOUR,
            minutes: i.micros / MINUTE % 60,
            seconds: i.micros / SECOND % 60,
            micros: i.micros % SECOND,
        }
    }

    fn time_is_zero(&self) -> bool {
        self.hours == 0 && self.minutes == 0 && self.seconds == 0 && self.micros == 0
    }

    fn time_is_negative(&self) -> bool {
        self.hours < 0 || self.minutes < 0 || self.seconds < 0 || self.micros < 0
    }

    fn negated(&self) -> Parts {
        Parts {
            years: -self.years,
            months: -self.months,
            days: -self.days,
            hours: -self.hours,
            minutes: -self.minutes,
            seconds: -self.seconds,
            micros: -self.micros,
        }
    }

    /// Seconds without sign, of at least `width` digits, with their fraction.
    fn push_seconds(&self, width: usize, out: &mut String) {
        push_padded(self.seconds.unsigned_abs() as i32, width.max(1), out);
        push_fraction(self.micros.unsigned_abs() as i32, out);
    }
}

fn push_abs(value: i64, out: &mut String) {
    out.push_str(&value.unsigned_abs().to_string());
}

impl Interval {
    /// Writes the text form.
    pub fn write_to(&self, style: IntervalStyle, out: &mut String) {
        let parts = Parts::of(self);
        match style {
            IntervalStyle::Postgres => write_postgres(&parts, out),
            IntervalStyle::PostgresVerbose => write_verbose(&parts, out),
            IntervalStyle::SqlStandard => write_sql(&parts, out),
            IntervalStyle::Iso8601 => write_iso(&parts, out),
        }
    }
}

/// `1 year -2 days +03:04:05`: a part after a negative one shows its plus.
fn write_postgres(p: &Parts, out: &mut String) {
    let mut is_zero = true;
    let mut is_before = false;
    for (value, unit) in [(p.years, "year"), (p.months, "mon"), (p.days, "day")] {
        if value == 0 {
            continue;
        }
        if !is_zero {
            out.push(' ');
        }
        if is_before && value > 0 {
            out.push('+');
        }
        write_i64(value, out);
        out.push(' ');
        out.push_str(unit);
        if value != 1 {
            out.push('s');
        }
        is_before = value < 0;
        is_zero = false;
    }
    if !is_zero && p.time_is_zero() {
        return;
    }
    if !is_zero {
        out.push(' ');
    }
    if p.time_is_negative() {
        out.push('-');
    } else if is_before {
        out.push('+');
    }
    let hours = p.hours.unsigned_abs();
    if hours < 10 {
        out.push('0');
    }
    push_abs(p.hours, out);
    out.push(':');
    push_padded(p.minutes.unsigned_abs() as i32, 2, out);
    out.push(':');
    p.push_seconds(2, out);
}

/// `@ 1 year 2 days 3 secs ago`: the first part's sign turns them all.
fn write_verbose(p: &Parts, out: &mut String) {
    out.push('@');
    let mut is_zero = true;
    let mut is_before = false;
    for (value, unit) in [
        (p.years, "year"),
        (p.months, "mon"),
        (p.days, "day"),
        (p.hours, "hour"),
        (p.minutes, "min"),
    ] {
        if value == 0 {
            continue;
        }
        if is_zero {
            is_before = value < 0;
        }
        let value = if is_before { -value } else { value };
        out.push(' ');
        write_i64(value, out);
        out.push(' ');
        out.push_str(unit);
        if value != 1 {
            out.push('s');
        }
        is_zero = false;
    }
    if p.seconds != 0 || p.micros != 0 {
        out.push(' ');
        let negative = p.seconds < 0 || p.micros < 0;
        if is_zero {
            is_before = negative;
        } else if negative != is_before {
            out.push('-');
        }
        p.push_seconds(1, out);
        out.push_str(if p.seconds.abs() != 1 || p.micros != 0 { " secs" } else { " sec" });
        is_zero = false;
    }
    if is_zero {
        out.push_str(" 0");
    }
    if is_before {
        out.push_str(" ago");
    }
}

/// `1-2`, `3 4:05:06`; mixed ones with a sign on each part.
fn write_sql(p: &Parts, out: &mut String) {
    let parts = [p.years, p.months, p.days, p.hours, p.minutes, p.seconds, p.micros];
    let has_negative = parts.iter().any(|&v| v < 0);
    let has_positive = parts.iter().any(|&v| v > 0);
    let has_year_month = p.years != 0 || p.months != 0;
    let has_day_time = p.days != 0 || !p.time_is_zero();
    if !has_negative && !has_positive {
        return out.push('0');
    }
    let time = |p: &Parts, out: &mut String| {
        push_abs(p.hours, out);
        out.push(':');
        push_padded(p.minutes.unsigned_abs() as i32, 2, out);
        out.push(':');
        p.push_seconds(2, out);
    };
    if (has_negative && has_positive) || (has_year_month && has_day_time) {
        let sign = |negative: bool| if negative { '-' } else { '+' };
        out.push(sign(p.years < 0 || p.months < 0));
        push_abs(p.years, out);
        out.push('-');
        push_abs(p.months, out);
        out.push(' ');
        out.push(sign(p.days < 0));
        push_abs(p.days, out);
        out.push(' ');
        out.push(sign(p.time_is_negative()));
        return time(p, out);
    }
    let p = if has_negative {
        out.push('-');
        &p.negated()
    } else {
        p
    };
    if has_year_month {
        push_abs(p.years, out);
        out.push('-');
        return push_abs(p.months, out);
    }
    if p.days != 0 {
        push_abs(p.days, out);
        out.push(' ');
    }
    time(p, out);
}

/// `P1Y2M3DT4H5M6S`, a sign on each part.
fn write_iso(p: &Parts, out: &mut String) {
    let start = out.len();
    out.push('P');
    let part = |value: i64, unit: char, out: &mut String| {
        if value != 0 {
            write_i64(value, out);
            out.push(unit);
        }
    };
    part(p.years, 'Y', out);
    part(p.months, 'M', out);
    part(p.days, 'D', out);
    if !p.time_is_zero() {
        out.push('T');
    }
    part(p.hours, 'H', out);
    part(p.minutes, 'M', out);
    if p.seconds != 0 || p.micros != 0 {
        if p.seconds < 0 || p.micros < 0 {
            out.push('-');
        }
        p.push_seconds(1, out);
        out.push('S');
    }
    if out.len() == start + 1 {
        out.push_str("T0S");
    }
}
