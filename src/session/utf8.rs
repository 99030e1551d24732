//! Text from clients: UTF-8 without zero bytes.

use crate::error::{Error, Result, SqlState};

/// The text that `bytes` are, or 22021 showing the first wrong sequence.
pub fn text(bytes: &[u8]) -> Result<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => match bytes.iter().position(|b| *b == 0) {
            None => Ok(text),
            Some(at) => Err(invalid_encoding(&bytes[at..])),
        },
        Err(e) => {
            let at = bytes[..e.valid_up_to()].iter().position(|b| *b == 0);
            Err(invalid_encoding(&bytes[at.unwrap_or(e.valid_up_to())..]))
        }
    }
}

/// 22021, showing as many bytes as the first of them announces.
fn invalid_encoding(bytes: &[u8]) -> Error {
    let announced = match bytes.first() {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf7) => 4,
        _ => 1,
    };
    let shown: Vec<String> = bytes.iter().take(announced).map(|b| format!("0x{b:02x}")).collect();
    Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_sequence_is_shown() {
        for (bytes, shown) in [
            (&b"ab\0\xff"[..], "0x00"),
            (b"a\xff\0", "0xff"),
            (b"\xc3\x28", "0xc3 0x28"),
            (b"\xe2\x82", "0xe2 0x82"),
            (b"\xf0\x9f\x98", "0xf0 0x9f 0x98"),
            (b"\xed\xa0\x80", "0xed 0xa0 0x80"),
        ] {
            let message = format!("invalid byte sequence for encoding \"UTF8\": {shown}");
            assert_eq!(text(bytes).unwrap_err().message(), message);
        }
        assert_eq!(text("é".as_bytes()).unwrap(), "é");
    }
}
