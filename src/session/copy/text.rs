//! COPY's text format: fields between delimiters, backslash escapes.

use std::borrow::Cow;

use bytes::BytesMut;

use super::{CopyOptions, Scan};
use crate::error::Result;

/// Length of the first line and of it with its end; none while the end has not arrived.
pub fn line_end(data: &[u8], last: bool, scan: &mut Scan) -> Option<(usize, usize)> {
    let mut from = scan.at;
    while let Some(at) = data[from..].iter().position(|b| *b == b'\n').map(|p| p + from) {
        // An odd run of backslashes before the newline makes it data.
        let escapes = data[..at].iter().rev().take_while(|b| **b == b'\\').count();
        if escapes % 2 == 0 {
            let line = if at > 0 && data[at - 1] == b'\r' { at - 1 } else { at };
            return Some((line, at + 1));
        }
        from = at + 1;
    }
    scan.at = data.len();
    last.then_some((data.strip_suffix(b"\r").map_or(data.len(), <[u8]>::len), data.len()))
}

/// The fields of a line, escapes resolved; the NULL string, compared before that, is none.
pub fn split<'a>(line: &'a str, options: &CopyOptions) -> Result<Vec<Option<Cow<'a, str>>>> {
    let bytes = line.as_bytes();
    let mut fields = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let mut escaped = false;
    loop {
        match bytes.get(at) {
            Some(b'\\') => {
                escaped = true;
                at += 2;
                continue;
            }
            Some(b) if *b != options.delimiter => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let end = at.min(bytes.len());
        let raw = &line[start..end];
        fields.push(if raw == options.null {
            None
        } else if escaped {
            Some(Cow::Owned(unescape(raw)?))
        } else {
            Some(Cow::Borrowed(raw))
        });
        if at >= bytes.len() {
            return Ok(fields);
        }
        at += 1;
        start = at;
        escaped = false;
    }
}

fn unescape(raw: &str) -> Result<String> {
    let bytes = raw.as_bytes();
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(code) = bytes.get(at).copied() else {
            out.push(b'\\');
            break;
        };
        at += 1;
        match code {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(0x0b),
            b'0'..=b'7' => {
                let (value, used) = digits(&bytes[at - 1..], 8, 3);
                out.push(value as u8);
                at += used - 1;
            }
            b'x' => match digits(&bytes[at..], 16, 2) {
                (_, 0) => out.push(b'x'),
                (value, used) => {
                    out.push(value as u8);
                    at += used;
                }
            },
            other => out.push(other),
        }
    }
    String::from_utf8(out).map_err(|e| {
        let shown = e.as_bytes().get(e.utf8_error().valid_up_to()).copied().unwrap_or_default();
        crate::error::Error::new(
            crate::error::SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {shown:#04x}"),
        )
    })
}

/// The number at the start of `bytes` in a base, and how many digits it has, at most `most`.
fn digits(bytes: &[u8], base: u32, most: usize) -> (u32, usize) {
    let mut value = 0;
    let mut used = 0;
    for byte in bytes.iter().take(most) {
        let Some(digit) = (*byte as char).to_digit(base) else { break };
        value = value * base + digit;
        used += 1;
    }
    (value & 0xff, used)
}

/// Appends a value with what would be read otherwise escaped.
pub fn write_field(value: &str, delimiter: u8, out: &mut BytesMut) {
    let bytes = value.as_bytes();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let code = match byte {
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            b'\\' => b'\\',
            other if *other == delimiter => delimiter,
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..at]);
        out.extend_from_slice(&[b'\\', code]);
        start = at + 1;
    }
    out.extend_from_slice(&bytes[start..]);
}
