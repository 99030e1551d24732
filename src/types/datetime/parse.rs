//! Dates and times from text.

use crate::error::{Error, Result};
use crate::types::io::FormatSettings;

/// Reads a date.
pub fn parse_date(_text: &str, _settings: &FormatSettings, _now: i64) -> Result<i32> {
    Err(Error::unsupported("input of type date"))
}

/// Reads a time of day.
pub fn parse_time(_text: &str, _settings: &FormatSettings, _now: i64) -> Result<i64> {
    Err(Error::unsupported("input of type time"))
}

/// Reads a timestamp.
pub fn parse_timestamp(_text: &str, _settings: &FormatSettings, _now: i64) -> Result<i64> {
    Err(Error::unsupported("input of type timestamp"))
}

/// Reads a timestamp with time zone.
pub fn parse_timestamptz(_text: &str, _settings: &FormatSettings, _now: i64) -> Result<i64> {
    Err(Error::unsupported("input of type timestamp with time zone"))
}
