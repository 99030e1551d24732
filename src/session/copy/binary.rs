//! COPY's binary format: a signature, rows of length-prefixed fields, a trailer.

use bytes::{Buf, BytesMut};

use super::CopyColumn;
use crate::error::{Error, Result, SqlState};
use crate::types::{Datum, Row, SqlType, io};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, length of the header extension.
const HEADER_LEN: usize = 19;
const FLAGS_END: usize = 15;
/// Bits of the flags that a reader must know or refuse; one that it once knew.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
const WITH_OIDS: u32 = 1 << 16;
/// PostgreSQL's limit of one field.
const FIELD_BYTES_MAX: usize = 0x3fff_fffe;

fn malformed(message: impl Into<String>) -> Error {
    Error::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

/// Where in the data an error was met.
pub enum Spot {
    /// Before the first row.
    Header,
    /// In a row.
    Row,
    /// In its field of that number.
    Field(usize),
}

/// An error, and where it was met.
type Fault = (Error, Spot);

/// Where in the stream the reader is.
#[derive(Default)]
pub struct ReaderState {
    header_read: bool,
    trailer_read: bool,
}

impl ReaderState {
    /// The next row, if it has arrived whole; none also after the trailer.
    pub fn next(
        &mut self,
        data: &mut BytesMut,
        types: &[SqlType],
        last: bool,
    ) -> Result<Option<Row>, Fault> {
        if self.trailer_read {
            return if data.is_empty() {
                Ok(None)
            } else {
                Err((malformed("received copy data after EOF marker"), Spot::Row))
            };
        }
        if !self.header_read && !self.header(data, last).map_err(|e| (e, Spot::Header))? {
            return Ok(None);
        }
        let Some(len) = row_len(data, types.len(), last)? else { return Ok(None) };
        let mut bytes = data.split_to(len);
        if bytes.get_i16() == -1 {
            self.trailer_read = true;
            return self.next(data, types, last);
        }
        let mut row = Vec::with_capacity(types.len());
        for (at, ty) in types.iter().enumerate() {
            let len = bytes.get_i32();
            row.push(match usize::try_from(len) {
                Ok(len) => {
                    let datum = io::parse_binary(&bytes.split_to(len), *ty);
                    datum.map_err(|e| (e, Spot::Field(at)))?
                }
                Err(_) => Datum::Null,
            });
        }
        Ok(Some(row))
    }

    /// Takes the header off, if it has arrived whole.
    fn header(&mut self, data: &mut BytesMut, last: bool) -> Result<bool> {
        let known = data.len().min(SIGNATURE.len());
        if data[..known] != SIGNATURE[..known] {
            return Err(malformed("COPY file signature not recognized"));
        }
        let missing = |what: &str| match last {
            true => Err(malformed(what)),
            false => Ok(false),
        };
        if known < SIGNATURE.len() {
            return missing("COPY file signature not recognized");
        }
        if data.len() < FLAGS_END {
            return missing("invalid COPY file header (missing flags)");
        }
        let flags = u32::from_be_bytes([data[11], data[12], data[13], data[14]]);
        if flags & WITH_OIDS != 0 {
            return Err(malformed("invalid COPY file header (WITH OIDS)"));
        }
        if flags & CRITICAL_FLAGS != 0 {
            return Err(malformed("unrecognized critical flags in COPY file header"));
        }
        if data.len() < HEADER_LEN {
            return missing("invalid COPY file header (missing length)");
        }
        let extension = i32::from_be_bytes([data[15], data[16], data[17], data[18]]);
        let Ok(extension) = usize::try_from(extension) else {
            return Err(malformed("invalid COPY file header (missing length)"));
        };
        if data.len() < HEADER_LEN + extension {
            return missing("invalid COPY file header (wrong length)");
        }
        data.advance(HEADER_LEN + extension);
        self.header_read = true;
        Ok(true)
    }
}

/// Bytes of the next row; none if it has not arrived whole, or if the `last` data ends before it:
/// as in PostgreSQL, the trailer may be missing.
fn row_len(data: &[u8], columns: usize, last: bool) -> Result<Option<usize>, Fault> {
    let Some(count) = data.first_chunk::<2>() else { return Ok(None) };
    let count = i16::from_be_bytes(*count);
    if count == -1 {
        return Ok(Some(2));
    }
    if usize::try_from(count).ok() != Some(columns) {
        let message = format!("row field count is {count}, expected {columns}");
        return Err((malformed(message), Spot::Row));
    }
    let mut at = 2;
    for field in 0..columns {
        let missing = || match last {
            true => Err((malformed("unexpected EOF in COPY data"), Spot::Field(field))),
            false => Ok(None),
        };
        let Some(len) = data.get(at..).and_then(|d| d.first_chunk::<4>()) else {
            return missing();
        };
        let len = i32::from_be_bytes(*len);
        if len < -1 {
            return Err((malformed("invalid field size"), Spot::Field(field)));
        }
        let len = usize::try_from(len).unwrap_or(0);
        if len > FIELD_BYTES_MAX {
            let error = Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "out of memory").with_detail(
                format!("Cannot enlarge string buffer containing 0 bytes by {len} more bytes."),
            );
            return Err((error, Spot::Field(field)));
        }
        at += 4 + len;
        if data.len() < at {
            return missing();
        }
    }
    Ok(Some(at))
}

/// Appends the signature and an empty header.
pub fn write_header(out: &mut BytesMut) {
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[0; 8]);
}

/// Appends a row.
pub fn write_row(row: &[Datum], columns: &[CopyColumn], out: &mut BytesMut) {
    out.extend_from_slice(&(row.len() as i16).to_be_bytes());
    for (datum, column) in row.iter().zip(columns) {
        if datum.is_null() {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            continue;
        }
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        io::write_binary(datum, column.ty, out);
        let len = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }
}

/// Appends the trailer.
pub fn write_trailer(out: &mut BytesMut) {
    out.extend_from_slice(&(-1i16).to_be_bytes());
}
