//! Texts of values whose bytes are not their text: varint, decimal, inet.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::values::Wrong;

/// Decimal digits that are split off a large number at once.
const DIGITS: u32 = 9;

/// Decimal text of a two's-complement big-endian integer of any length.
pub(super) fn write_varint(bytes: &[u8], text: &mut String) -> Result<(), Wrong> {
    if bytes.len() <= 16 {
        let negative = bytes.first().is_some_and(|b| *b >= 0x80);
        let mut whole = [if negative { 0xff } else { 0 }; 16];
        whole[16 - bytes.len()..].copy_from_slice(bytes);
        let _ = write!(text, "{}", i128::from_be_bytes(whole));
        return Ok(());
    }
    let negative = bytes[0] >= 0x80;
    // The magnitude as 32-bit words, most significant first.
    let lead = (4 - bytes.len() % 4) % 4;
    let mut padded = vec![if negative { 0xff } else { 0 }; lead];
    padded.extend_from_slice(bytes);
    let mut words: Vec<u32> =
        padded.chunks_exact(4).map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]])).collect();
    if negative {
        let mut carry = true;
        for word in words.iter_mut().rev() {
            (*word, carry) = (!*word).overflowing_add(u32::from(carry));
        }
        text.push('-');
    }
    let mut groups = Vec::new();
    while words.iter().any(|w| *w != 0) {
        let mut rest = 0_u64;
        for word in &mut words {
            let value = rest << 32 | u64::from(*word);
            *word = (value / u64::from(10_u32.pow(DIGITS))) as u32;
            rest = value % u64::from(10_u32.pow(DIGITS));
        }
        groups.push(rest);
    }
    let mut groups = groups.iter().rev();
    let _ = write!(text, "{}", groups.next().unwrap_or(&0));
    groups.for_each(|group| {
        let _ = write!(text, "{group:09}");
    });
    Ok(())
}

/// A decimal, with an exponent where Java's `BigDecimal` writes one: scale in 32 bits, then a
/// varint.
pub(super) fn write_decimal(bytes: &[u8], text: &mut String) -> Result<(), Wrong> {
    let (scale, unscaled) = bytes.split_first_chunk::<4>().ok_or("a decimal has no scale")?;
    let scale = i64::from(i32::from_be_bytes(*scale));
    if unscaled.is_empty() {
        return Err("a decimal has no digits");
    }
    let start = text.len();
    write_varint(unscaled, text)?;
    if scale == 0 {
        return Ok(());
    }
    let sign = usize::from(text[start..].starts_with('-'));
    let first = start + sign;
    let digits = (text.len() - first) as i64;
    let adjusted = digits - 1 - scale;
    if scale > 0 && adjusted >= -6 {
        if scale >= digits {
            let zeros = "0".repeat((scale - digits) as usize);
            text.insert_str(first, &format!("0.{zeros}"));
        } else {
            text.insert(first + (digits - scale) as usize, '.');
        }
        return Ok(());
    }
    if digits > 1 {
        text.insert(first + 1, '.');
    }
    if adjusted != 0 {
        let _ = write!(text, "E{adjusted:+}");
    }
    Ok(())
}

/// An address of 4 or 16 bytes.
pub(super) fn write_inet(bytes: &[u8], text: &mut String) -> Result<(), Wrong> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        let _ = write!(text, "{}", Ipv4Addr::from(four));
    } else if let Ok(sixteen) = <[u8; 16]>::try_from(bytes) {
        let _ = write!(text, "{}", Ipv6Addr::from(sixteen));
    } else {
        return Err("an address has neither 4 nor 16 bytes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(bytes: &[u8]) -> String {
        let mut text = String::new();
        write_varint(bytes, &mut text).unwrap();
        text
    }

    fn decimal(scale: i32, unscaled: &[u8]) -> String {
        let mut text = String::new();
        write_decimal(&[&scale.to_be_bytes(), unscaled].concat(), &mut text).unwrap();
        text
    }

    #[test]
    fn integers_of_any_length() {
        assert_eq!([varint(&[0]), varint(&[0xff]), varint(&[1, 0])], ["0", "-1", "256"]);
        let mut large = [0; 20];
        large[0] = 1;
        assert_eq!(varint(&large), "5708990770823839524233143877797980545530986496");
        large[0] = 0xff;
        assert_eq!(varint(&large), "-5708990770823839524233143877797980545530986496");
        assert_eq!(varint(&[0; 17]), "0");
        assert_eq!(varint(&[0xff; 23]), "-1");
    }

    #[test]
    fn decimals_are_written_as_java_does() {
        assert_eq!(decimal(0, &[5]), "5");
        assert_eq!(decimal(2, &[5]), "0.05");
        assert_eq!(decimal(2, &[0x04, 0xd2]), "12.34");
        assert_eq!(decimal(-2, &[0x04, 0xd2]), "1.234E+5");
        assert_eq!(decimal(10, &[1]), "1E-10");
        assert_eq!(decimal(7, &[1]), "1E-7");
        assert_eq!(decimal(6, &[0xff]), "-0.000001");
        assert_eq!(decimal(1, &[0]), "0.0");
        assert_eq!(decimal(-3, &[0]), "0E+3");
        assert_eq!(decimal(4, &[0xfb, 0x2e]), "-0.1234");
    }
}
