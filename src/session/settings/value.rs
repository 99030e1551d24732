//! Reading and printing the values of parameters: numbers with units, Booleans, enums.
//!
//! Values are kept as text in base units (`pg_settings.setting`); `SHOW` prints the largest unit
//! that divides them, as PostgreSQL's guc.c does.

use super::table::{Kind, Setting, Unit};
use crate::error::{Error, Result, SqlState};

/// Units of memory in bytes, largest first.
const MEMORY: [(&str, u64); 5] =
    [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10), ("B", 1)];

/// Units of time in microseconds, largest first.
const TIME: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// 22023, naming the parameter and the value.
pub fn invalid(name: &str, value: &str) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"{name}\": \"{value}\""),
    )
}

/// The value as it is kept: checked against kind and bounds, in base units.
pub fn canonical(setting: &Setting, input: &str) -> Result<String> {
    match &setting.kind {
        Kind::Bool => match parse_bool(input) {
            Some(value) => Ok(if value { "on" } else { "off" }.to_owned()),
            None => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("parameter \"{}\" requires a Boolean value", setting.name),
            )),
        },
        Kind::Int { min, max } => canonical_int(setting, input, *min, *max),
        Kind::Real { min, max } => canonical_real(setting, input, *min, *max),
        Kind::Enum(values) => match find_word(values, input) {
            Some(word) => Ok(word.to_owned()),
            None => Err(invalid(setting.name, input)
                .with_hint(format!("Available values: {}.", values.join(", ")))),
        },
        Kind::Text => Ok(input.to_owned()),
    }
}

/// What `SHOW` prints of a kept value.
pub fn show(setting: &Setting, kept: &str) -> String {
    let units: &[(&str, u64)] = match setting.unit {
        Unit::None => return kept.to_owned(),
        Unit::Bytes(_) => &MEMORY,
        Unit::Micros(_) => &TIME,
    };
    let (Unit::Bytes(base) | Unit::Micros(base)) = setting.unit else {
        return kept.to_owned();
    };
    match &setting.kind {
        Kind::Int { .. } => {
            let Ok(value @ 1..) = kept.parse::<u64>() else { return kept.to_owned() };
            let total = u128::from(value) * u128::from(base);
            let unit = units.iter().find(|(_, size)| total.is_multiple_of(u128::from(*size)));
            unit.map_or_else(
                || kept.to_owned(),
                |(name, size)| format!("{}{name}", total / u128::from(*size)),
            )
        }
        _ => {
            let Ok(value) = kept.parse::<f64>() else { return kept.to_owned() };
            if value <= 0.0 {
                return kept.to_owned();
            }
            let total = value * base as f64;
            let unit = units.iter().find(|(_, size)| (total / *size as f64).fract() == 0.0);
            unit.map_or_else(
                || kept.to_owned(),
                |(name, size)| format!("{}{name}", total / *size as f64),
            )
        }
    }
}

/// A Boolean as guc.c reads it: unique prefixes of true, false, yes, no, on, off; 1 and 0.
pub fn parse_bool(input: &str) -> Option<bool> {
    let word = input.trim().to_ascii_lowercase();
    match word.as_str() {
        "1" | "on" => Some(true),
        "0" | "of" | "off" => Some(false),
        "" | "o" => None,
        w if "true".starts_with(w) || "yes".starts_with(w) => Some(true),
        w if "false".starts_with(w) || "no".starts_with(w) => Some(false),
        _ => None,
    }
}

/// The word of an enum; those with on and off take Boolean spellings too, and the message levels
/// their old names.
fn find_word<'a>(values: &[&'a str], input: &str) -> Option<&'a str> {
    let find = |wanted: &str| values.iter().copied().find(|v| v.eq_ignore_ascii_case(wanted));
    find(input).or_else(|| match input.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => find("on"),
        "false" | "no" | "0" => find("off"),
        "debug" => find("debug2"),
        "info" if find("notice").is_some() => Some("info"),
        _ => None,
    })
}

fn canonical_int(setting: &Setting, input: &str, min: i64, max: i64) -> Result<String> {
    let number = parse_number(setting, input)?;
    let rounded = number.round_ties_even();
    if rounded > f64::from(i32::MAX) || rounded < f64::from(i32::MIN) {
        return Err(invalid(setting.name, input).with_hint("Value exceeds integer range."));
    }
    let value = rounded as i64;
    if value < min || value > max {
        return Err(out_of_range(setting, &value.to_string(), &min.to_string(), &max.to_string()));
    }
    Ok(value.to_string())
}

fn canonical_real(setting: &Setting, input: &str, min: f64, max: f64) -> Result<String> {
    let value = parse_number(setting, input)?;
    if value < min || value > max {
        return Err(out_of_range(setting, &value.to_string(), &bound(min), &bound(max)));
    }
    Ok(value.to_string())
}

/// A bound as C's `%g` prints it.
pub fn bound(value: f64) -> String {
    if value == f64::MAX { "1.79769e+308".to_owned() } else { value.to_string() }
}

fn out_of_range(setting: &Setting, value: &str, min: &str, max: &str) -> Error {
    let space = if setting.unit_name.is_empty() { "" } else { " " };
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!(
            "{value}{space}{} is outside the valid range for parameter \"{}\" ({min} .. {max})",
            setting.unit_name, setting.name
        ),
    )
}

/// A number with an optional unit, in the setting's base unit.
fn parse_number(setting: &Setting, input: &str) -> Result<f64> {
    let text = input.trim();
    let (number, rest) = split_number(text);
    let Some(number) = number else { return Err(invalid(setting.name, input)) };
    let unit = rest.trim();
    if unit.is_empty() {
        return Ok(number);
    }
    let (units, base): (&[(&str, u64)], u64) = match setting.unit {
        Unit::None => return Err(invalid(setting.name, input)),
        Unit::Bytes(base) => (&MEMORY, base),
        Unit::Micros(base) => (&TIME, base),
    };
    match units.iter().find(|(name, _)| *name == unit) {
        Some((_, size)) => Ok(number * *size as f64 / base as f64),
        None => Err(invalid(setting.name, input).with_hint(match setting.unit {
            Unit::Bytes(_) => {
                "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."
            }
            _ => {
                "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \
                 \"d\"."
            }
        })),
    }
}

/// The number that `text` begins with, and what follows. Hexadecimal is read as C reads it.
fn split_number(text: &str) -> (Option<f64>, &str) {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign_len = text.len() - unsigned.len();
    if let Some(hex) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let value = i64::from_str_radix(&hex[..end], 16).ok();
        let value = value.map(|v| if text.starts_with('-') { -v } else { v } as f64);
        return (value, &hex[end..]);
    }
    let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    let mut end = digits(unsigned);
    if unsigned[end..].starts_with('.') {
        end += 1 + digits(&unsigned[end + 1..]);
    }
    if unsigned[end..].starts_with(['e', 'E']) {
        let exponent = &unsigned[end + 1..];
        let after_sign = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let count = digits(after_sign);
        if count > 0 {
            end += 1 + (exponent.len() - after_sign.len()) + count;
        }
    }
    let end = sign_len + end;
    (text[..end].parse().ok(), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::super::table::table;
    use super::*;

    fn check(name: &str, input: &str, expected: &str) {
        let setting = table().get(table().find(name).unwrap());
        match canonical(setting, input) {
            Ok(kept) => assert_eq!(show(setting, &kept), expected, "{name} = {input}"),
            Err(e) => assert_eq!(e.message(), expected, "{name} = {input}"),
        }
    }

    #[test]
    fn numbers_with_units() {
        check("statement_timeout", "5 s", "5s");
        check("statement_timeout", "1.5min", "90s");
        check("statement_timeout", "90061ms", "90061ms");
        check("statement_timeout", "0", "0");
        check("work_mem", "1.5GB", "1536MB");
        check("vacuum_cost_delay", "1500us", "1500us");
        check("vacuum_cost_delay", "7ms", "7ms");
        check("seq_page_cost", "1e2", "100");
        check("geqo_threshold", "3.7", "4");
        check("geqo_threshold", "0x10", "16");
    }

    #[test]
    fn wrong_numbers() {
        let range = "-1 ms is outside the valid range for parameter \"statement_timeout\" \
                     (0 .. 2147483647)";
        check("statement_timeout", "-1", range);
        for (name, value) in [
            ("statement_timeout", "5x"),
            ("statement_timeout", "abc"),
            ("statement_timeout", "99999999999"),
            ("statement_timeout", "1e300"),
            ("work_mem", ""),
            ("work_mem", "é"),
            ("seq_page_cost", "1kB"),
        ] {
            check(name, value, &format!("invalid value for parameter \"{name}\": \"{value}\""));
        }
        check(
            "seq_page_cost",
            "-1",
            "-1 is outside the valid range for parameter \"seq_page_cost\" (0 .. 1.79769e+308)",
        );
    }

    #[test]
    fn words() {
        check("bytea_output", "HEX", "hex");
        check("synchronous_commit", "yes", "on");
        check("client_min_messages", "debug", "debug2");
        check("enable_sort", "t", "on");
        check("enable_sort", "of", "off");
        check("enable_sort", "o", "parameter \"enable_sort\" requires a Boolean value");
        check("enable_sort", "", "parameter \"enable_sort\" requires a Boolean value");
        check("bytea_output", "foo", "invalid value for parameter \"bytea_output\": \"foo\"");
    }
}
