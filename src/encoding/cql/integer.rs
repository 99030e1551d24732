//! Integers of any size: two's complement as `varint` has them, digits as numeric has them.
//! And the variable-length integers of durations and vectors.

/// A limb of nine decimal digits.
const LIMB: u64 = 1_000_000_000;
/// Digits in a limb.
const LIMB_DIGITS: usize = 9;

/// The decimal digits of a two's complement number, with its sign.
pub fn digits(bytes: &[u8]) -> String {
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if negative {
        negate(&mut magnitude);
    }
    let mut limbs: Vec<u64> = Vec::new();
    while magnitude.iter().any(|b| *b != 0) {
        let mut rest = 0;
        for byte in &mut magnitude {
            let value = rest << 8 | u64::from(*byte);
            *byte = (value / LIMB) as u8;
            rest = value % LIMB;
        }
        limbs.push(rest);
    }
    let mut out = String::from(if negative { "-" } else { "" });
    match limbs.pop() {
        None => out.push('0'),
        Some(first) => out.push_str(&first.to_string()),
    }
    for limb in limbs.iter().rev() {
        out.push_str(&format!("{limb:0width$}", width = LIMB_DIGITS));
    }
    out
}

/// The shortest two's complement form of a number in decimal digits; none if they are not digits.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text),
    };
    let mut magnitude: Vec<u8> = Vec::new(); // least significant first
    for digit in unsigned.chars() {
        let mut carry = digit.to_digit(10)?;
        for byte in &mut magnitude {
            carry += u32::from(*byte) * 10;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            magnitude.push(carry as u8);
        }
    }
    magnitude.push(0);
    magnitude.reverse();
    if negative {
        negate(&mut magnitude);
    }
    let redundant = magnitude.windows(2).take_while(|pair| {
        pair[0] == 0 && pair[1] & 0x80 == 0 || pair[0] == 0xff && pair[1] & 0x80 != 0
    });
    let redundant = redundant.count();
    Some(magnitude.split_off(redundant))
}

fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        let (value, over) = (!*byte).overflowing_add(u8::from(carry));
        *byte = value;
        carry = over;
    }
}

/// Takes an unsigned integer of variable length: as many leading ones in its first byte as bytes
/// follow it.
pub fn take_unsigned(input: &mut &[u8]) -> Option<u64> {
    let (first, rest) = input.split_first()?;
    let more = first.leading_ones() as usize;
    let (tail, rest) = rest.split_at_checked(more)?;
    let head = if more >= 7 { 0 } else { u64::from(*first) & (0x7f >> more) };
    *input = rest;
    Some(tail.iter().fold(head, |value, byte| value << 8 | u64::from(*byte)))
}

/// Appends an unsigned integer of variable length.
pub fn put_unsigned(value: u64, out: &mut Vec<u8>) {
    let bits = 64 - value.leading_zeros() as usize;
    let more = if bits == 0 { 0 } else { ((bits - 1) / 7).min(8) };
    let bytes = value.to_be_bytes();
    if more == 8 {
        out.push(0xff);
        out.extend_from_slice(&bytes);
        return;
    }
    let own = &bytes[7 - more..];
    let marks = !(0xff_u16 >> more) as u8;
    out.push(own[0] | marks);
    out.extend_from_slice(&own[1..]);
}

/// Takes a signed integer of variable length (zigzag).
pub fn take_signed(input: &mut &[u8]) -> Option<i64> {
    let value = take_unsigned(input)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// Appends a signed integer of variable length.
pub fn put_signed(value: i64, out: &mut Vec<u8>) {
    put_unsigned((value << 1 ^ value >> 63) as u64, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_go_both_ways() {
        for text in [
            "0",
            "1",
            "-1",
            "127",
            "128",
            "-128",
            "-129",
            "255",
            "256",
            "1000000000",
            "123456789012345678901234567890123456789012345678901234567890",
            "-123456789012345678901234567890000000000000000000000000000001",
        ] {
            let there = bytes(text).expect("digits");
            assert_eq!(digits(&there), text, "{there:?}");
        }
        assert_eq!(bytes("128"), Some(vec![0, 128]));
        assert_eq!(bytes("-128"), Some(vec![128]));
        assert_eq!(bytes("0"), Some(vec![0]));
        assert_eq!(bytes("1x"), None);
    }

    #[test]
    fn integers_of_variable_length_go_both_ways() {
        for value in [0, 1, 63, 64, -1, -64, 8191, 8192, 1 << 40, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_signed(value, &mut out);
            let mut input = out.as_slice();
            assert_eq!(take_signed(&mut input), Some(value), "{out:?}");
            assert!(input.is_empty());
        }
        let mut out = Vec::new();
        put_unsigned(256, &mut out);
        assert_eq!(out, [0x81, 0x00]);
        assert_eq!(take_unsigned(&mut [0x81].as_slice()), None);
    }
}
