//! Rows, straight from datums into the output buffer.
//!
//! No message is built in between: the length is filled in once the row stands. Integers and text,
//! which most results are made of, take no detour through the scratch string.

use bytes::BufMut;

use super::output::Output;
use crate::error::{Error, Result, SqlState};
use crate::session::{Field, ResultFormats};
use crate::types::Datum;
use crate::types::io::{self, FormatSettings};

/// Longest message a client can be sent: PostgreSQL's `MaxAllocSize`.
const ROW_BYTES_MAX: usize = 0x3fff_ffff;

/// Digits of a 64-bit number, sign included.
const INTEGER_LEN_MAX: usize = 20;

/// Encodes a row. A row that is too large is taken back, and 54000.
pub fn data_row(
    output: &mut Output,
    scratch: &mut String,
    row: &[Datum],
    fields: &[Field],
    formats: &ResultFormats,
    settings: &FormatSettings,
) -> Result<()> {
    debug_assert_eq!(row.len(), fields.len());
    let at = output.begin(b'D');
    output.buffer().put_u16(fields.len() as u16);
    for (i, (datum, field)) in row.iter().zip(fields).enumerate() {
        let buffer = output.buffer();
        if datum.is_null() {
            buffer.put_i32(-1);
            continue;
        }
        let start = buffer.len();
        buffer.put_i32(0);
        match datum {
            _ if formats.is_binary(i) => io::write_binary(datum, field.ty, buffer),
            Datum::Int4(v) => put_integer(i64::from(*v), buffer),
            Datum::Int8(v) => put_integer(*v, buffer),
            Datum::Text(text) => buffer.put_slice(text.as_bytes()),
            _ => {
                scratch.clear();
                io::write_text(datum, field.ty, settings, scratch);
                buffer.put_slice(scratch.as_bytes());
            }
        }
        let len = (buffer.len() - start - 4) as i32;
        buffer[start..start + 4].copy_from_slice(&len.to_be_bytes());
        if buffer.len() - at > ROW_BYTES_MAX {
            let bytes = buffer.len() - at;
            buffer.truncate(at - 1);
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "row is too large to send")
                .with_detail(format!("It has more than {bytes} bytes.")));
        }
    }
    output.end(at);
    Ok(())
}

/// Decimal digits of a number.
fn put_integer(value: i64, buffer: &mut bytes::BytesMut) {
    let mut digits = [0; INTEGER_LEN_MAX];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    buffer.put_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SqlType;

    #[test]
    fn integers_have_their_digits() {
        for value in [0, 7, -1, 10, i64::MAX, i64::MIN, i64::from(i32::MIN)] {
            let mut buffer = bytes::BytesMut::new();
            put_integer(value, &mut buffer);
            assert_eq!(buffer, value.to_string());
        }
    }

    #[test]
    fn a_row_of_both_formats() {
        let fields = [
            Field::new("a", SqlType::INT4),
            Field::new("b", SqlType::TEXT),
            Field::new("c", SqlType::INT4),
            Field::new("d", SqlType::BOOL),
        ];
        let formats = ResultFormats::Each(Box::new([false, false, true, false]));
        let row = [Datum::Int4(-5), Datum::Null, Datum::Int4(1), Datum::Bool(true)];
        let mut output = Output::default();
        let settings = FormatSettings::default();
        data_row(&mut output, &mut String::new(), &row, &fields, &formats, &settings).unwrap();
        let expected =
            b"D\0\0\0\x1d\0\x04\0\0\0\x02-5\xff\xff\xff\xff\0\0\0\x04\0\0\0\x01\0\0\0\x01t";
        assert_eq!(output.pending(), expected);
    }
}
