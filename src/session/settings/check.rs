//! Checks of single parameters, beyond their kind: PostgreSQL's check hooks.
//!
//! A value that PostgreSQL has and Sluice does not is 0A000, naming it; a wrong value is 22023.

use super::table::Setting;
use super::value::{self, invalid};
use crate::error::{Error, Result};
use crate::types::NAME_BYTES_MAX;
use crate::types::datetime::TimeZone;

/// Parameters whose other values would change answers and are not built: only this one is taken.
const FIXED: [(&str, &str); 9] = [
    ("array_nulls", "on"),
    ("lc_messages", "C"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("role", "none"),
    ("session_replication_role", "origin"),
    ("standard_conforming_strings", "on"),
    ("transform_null_equals", "off"),
];

/// The value as it is kept. `server`: the value comes from the server itself and is right.
pub fn canonical(setting: &Setting, input: &str, current: &str, server: bool) -> Result<String> {
    if server {
        return Ok(input.to_owned());
    }
    let kept = value::canonical(setting, input)?;
    if let Some((name, only)) = FIXED.iter().find(|(name, _)| *name == setting.name)
        && !kept.eq_ignore_ascii_case(only)
        && !(name.starts_with("lc_") && matches!(kept.as_str(), "" | "POSIX"))
    {
        return Err(Error::unsupported(format!("setting \"{name}\" to \"{kept}\""))
            .with_hint(format!("The only value is \"{only}\".")));
    }
    match setting.name {
        "application_name" => Ok(application_name(&kept)),
        "client_encoding" => client_encoding(&kept),
        "DateStyle" => date_style(&kept, current),
        "TimeZone" => time_zone(&kept),
        "sluice.read_engines" => read_engines(&kept),
        _ => Ok(kept),
    }
}

/// Printable ASCII, cut to the length of a name.
fn application_name(input: &str) -> String {
    let clean = |b: u8| if (32..127).contains(&b) { char::from(b) } else { '?' };
    input.bytes().take(NAME_BYTES_MAX).map(clean).collect()
}

/// UTF8; SQL_ASCII too, which asks for no conversion.
fn client_encoding(input: &str) -> Result<String> {
    let letters: String =
        input.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    match letters.as_str() {
        "UTF8" | "UNICODE" => Ok("UTF8".to_owned()),
        "SQLASCII" => Ok("SQL_ASCII".to_owned()),
        name if ENCODINGS.contains(&name) => {
            Err(Error::unsupported(format!("client encoding \"{input}\""))
                .with_hint("Use client_encoding UTF8."))
        }
        _ => Err(invalid("client_encoding", input)),
    }
}

/// PostgreSQL's other encodings, letters and digits only.
const ENCODINGS: [&str; 58] = [
    "ABC",
    "ALT",
    "BIG5",
    "EUCCN",
    "EUCJIS2004",
    "EUCJP",
    "EUCKR",
    "EUCTW",
    "GB18030",
    "GBK",
    "ISO88591",
    "ISO885910",
    "ISO885913",
    "ISO885914",
    "ISO885915",
    "ISO885916",
    "ISO88592",
    "ISO88593",
    "ISO88594",
    "ISO88595",
    "ISO88596",
    "ISO88597",
    "ISO88598",
    "ISO88599",
    "JOHAB",
    "KOI8",
    "KOI8R",
    "KOI8U",
    "LATIN1",
    "LATIN10",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "MSKANJI",
    "MULEINTERNAL",
    "SHIFTJIS",
    "SHIFTJIS2004",
    "SJIS",
    "TCVN",
    "TCVN5712",
    "UHC",
    "VSCII",
    "WIN",
    "WIN1250",
    "WIN1251",
    "WIN1252",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1256",
    "WIN1257",
    "WIN1258",
    "WIN866",
];

/// A style, an order of day, month and year, or both; what is left out stays as it is.
fn date_style(input: &str, current: &str) -> Result<String> {
    let (mut style, mut order) = (None, None);
    let mut conflict = false;
    for word in input.split(',').map(str::trim) {
        let lower = word.to_ascii_lowercase();
        let found_style = match lower.as_str() {
            "iso" => Some("ISO"),
            "sql" => Some("SQL"),
            "german" => Some("German"),
            w if w.starts_with("postgres") => Some("Postgres"),
            _ => None,
        };
        let found_order = match lower.as_str() {
            "ymd" => Some("YMD"),
            "dmy" => Some("DMY"),
            "mdy" | "us" => Some("MDY"),
            w if w.starts_with("euro") => Some("DMY"),
            w if w.starts_with("noneuro") => Some("MDY"),
            _ => None,
        };
        if lower == "default" {
            style = style.or(Some("ISO"));
            order = order.or(Some("MDY"));
        } else if found_style.is_none() && found_order.is_none() {
            return Err(invalid("DateStyle", input)
                .with_detail(format!("Unrecognized key word: \"{lower}\".")));
        }
        conflict |= found_style.is_some() && style.is_some() && style != found_style;
        conflict |= found_order.is_some() && order.is_some() && order != found_order;
        style = found_style.or(style);
        order = found_order.or(order);
    }
    if conflict {
        return Err(
            invalid("DateStyle", input).with_detail("Conflicting \"datestyle\" specifications.")
        );
    }
    if style == Some("German") && order.is_none() {
        order = Some("DMY");
    }
    let (old_style, old_order) = current.split_once(", ").unwrap_or(("ISO", "MDY"));
    Ok(format!("{}, {}", style.unwrap_or(old_style), order.unwrap_or(old_order)))
}

/// A zone of the IANA database, hours east of Greenwich, or a POSIX rule.
fn time_zone(input: &str) -> Result<String> {
    match TimeZone::from_setting(input) {
        Some(zone) => Ok(zone.name().to_owned()),
        None => Err(invalid("TimeZone", input)),
    }
}

/// `row`, `columnar`, or both.
fn read_engines(input: &str) -> Result<String> {
    let words: Vec<String> = input.split(',').map(|w| w.trim().to_ascii_lowercase()).collect();
    if let Some(wrong) = words.iter().find(|w| !matches!(w.as_str(), "row" | "columnar")) {
        return Err(invalid("sluice.read_engines", input)
            .with_detail(format!("Unrecognized key word: \"{wrong}\"."))
            .with_hint("Available values: row, columnar."));
    }
    let mut kept: Vec<&str> = Vec::new();
    for word in &words {
        if !kept.contains(&word.as_str()) {
            kept.push(word);
        }
    }
    Ok(kept.join(","))
}
