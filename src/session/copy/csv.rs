//! COPY's CSV format: quoted fields may hold delimiters, quotes and line ends.

use std::borrow::Cow;

use bytes::BytesMut;

use super::{CopyOptions, Scan};
use crate::error::Result;

/// Length of the first line and of it with its end; none while the end has not arrived. A line
/// end inside quotes is data.
pub fn line_end(
    data: &[u8],
    options: &CopyOptions,
    last: bool,
    scan: &mut Scan,
) -> Option<(usize, usize)> {
    let Scan { mut at, mut quoted, .. } = *scan;
    while at < data.len() {
        let byte = data[at];
        if quoted && byte == options.escape && options.escape != options.quote {
            at += 2;
            continue;
        }
        if byte == options.quote {
            quoted = !quoted;
        } else if !quoted && byte == b'\n' {
            let line = if at > 0 && data[at - 1] == b'\r' { at - 1 } else { at };
            return Some((line, at + 1));
        } else if byte == b'\n' {
            scan.embedded += 1;
        }
        at += 1;
    }
    (scan.at, scan.quoted) = (at, quoted);
    (last && !quoted)
        .then_some((data.strip_suffix(b"\r").map_or(data.len(), <[u8]>::len), data.len()))
}

/// The fields of a line. An unquoted NULL string is none, unless forced otherwise.
pub fn split<'a>(line: &'a str, options: &CopyOptions) -> Result<Vec<Option<Cow<'a, str>>>> {
    let bytes = line.as_bytes();
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let start = at;
        let mut quoted_any = false;
        let mut value: Option<Vec<u8>> = None;
        while at < bytes.len() && bytes[at] != options.delimiter {
            if bytes[at] != options.quote {
                if let Some(value) = &mut value {
                    value.push(bytes[at]);
                }
                at += 1;
                continue;
            }
            let out = value.get_or_insert_with(|| bytes[start..at].to_vec());
            quoted_any = true;
            at = quoted_part(bytes, at + 1, options, out);
        }
        let text = match value {
            None => Cow::Borrowed(&line[start..at]),
            // Quote, escape and delimiter are ASCII: what lies between is whole characters.
            Some(value) => Cow::Owned(String::from_utf8_lossy(&value).into_owned()),
        };
        let column = fields.len();
        let null = if quoted_any {
            text == options.null && options.force_null.covers(column)
        } else {
            text == options.null && !options.force_not_null.covers(column)
        };
        fields.push((!null).then_some(text));
        if at >= bytes.len() {
            return Ok(fields);
        }
        at += 1;
    }
}

/// Copies a quoted part, from after its quote; gives the place after its closing quote.
fn quoted_part(bytes: &[u8], from: usize, options: &CopyOptions, out: &mut Vec<u8>) -> usize {
    let mut at = from;
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        if byte == options.escape {
            match bytes.get(at) {
                Some(next) if *next == options.escape || *next == options.quote => {
                    out.push(*next);
                    at += 1;
                    continue;
                }
                _ => {}
            }
        }
        if byte == options.quote {
            return at;
        }
        out.push(byte);
    }
    at
}

/// Appends a value, quoted if it must be. `single`: it is the only column, where `\.` would end
/// the data.
pub fn write_field(
    value: &str,
    options: &CopyOptions,
    force: bool,
    single: bool,
    out: &mut BytesMut,
) {
    let bytes = value.as_bytes();
    let special =
        |b: &u8| *b == options.delimiter || *b == options.quote || matches!(*b, b'\n' | b'\r');
    let must =
        force || value == options.null || (single && value == "\\.") || bytes.iter().any(special);
    if !must {
        out.extend_from_slice(bytes);
        return;
    }
    out.extend_from_slice(&[options.quote]);
    for byte in bytes {
        if *byte == options.quote || *byte == options.escape {
            out.extend_from_slice(&[options.escape]);
        }
        out.extend_from_slice(&[*byte]);
    }
    out.extend_from_slice(&[options.quote]);
}
