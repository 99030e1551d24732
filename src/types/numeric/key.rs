//! Numbers as key bytes: ordered as the numbers are, prefix-free, one form for equal numbers.
//!
//! A finite number is `0.d₁d₂… × 10^E` with d₁ ≠ 0. Header, exponent, then pairs of digits, each
//! byte twice the pair's value, plus one if another pair follows. Negative numbers have the same
//! bytes, all inverted.
//!
//! ```text
//! 0f        -Infinity
//! 3a … 7a   negative (inverted)
//! 80        zero
//! 85 …      positive, E < -20: E + 2^31 in four bytes follow
//! 86 … c4   positive, E = header - 86 - 20
//! c5 …      positive, E > 42: four bytes follow
//! f0        Infinity
//! f1        NaN
//! ```
//! 1234.5 is E = 4: `9e` `19` (12, more) `45` (34, more) `64` (50, last).

use super::{Numeric, POW10, Repr, digit_count};
use crate::error::{Error, Result};
use crate::types::numeric::var::{GROUP, Var};

const NEG_INF: u8 = 0x0f;
const ZERO: u8 = 0x80;
const EXP_LOW: u8 = 0x85;
const EXP_FIRST: u8 = 0x86;
const EXP_HIGH: u8 = 0xc5;
const POS_INF: u8 = 0xf0;
const NAN: u8 = 0xf1;
/// The exponent that [`EXP_FIRST`] stands for.
const EXP_MIN: i32 = -20;
/// The last exponent with a header of its own.
const EXP_MAX: i32 = EXP_MIN + (EXP_HIGH - EXP_FIRST) as i32 - 1;

impl Numeric {
    /// Appends the key form.
    pub fn encode_key(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Repr::NegInf => out.push(NEG_INF),
            Repr::PosInf => out.push(POS_INF),
            Repr::NaN => out.push(NAN),
            Repr::Small { mantissa: 0, .. } => out.push(ZERO),
            Repr::Small { mantissa, scale } => {
                encode_small(*mantissa, i32::from(*scale), out);
            }
            Repr::Big(v) => encode_big(v, out),
        }
    }

    /// Reads a key form off the front. The number shows as few decimals as it needs.
    pub fn decode_key(input: &mut &[u8]) -> Result<Numeric> {
        let corrupted = || Error::corrupted("a numeric key ends early or has an unknown header");
        let take = |input: &mut &[u8]| {
            let (&first, rest) = input.split_first().ok_or_else(corrupted)?;
            *input = rest;
            Ok::<u8, Error>(first)
        };
        let header = take(input)?;
        match header {
            NEG_INF => return Ok(Numeric::NEG_INFINITY),
            ZERO => return Ok(Numeric::ZERO),
            POS_INF => return Ok(Numeric::INFINITY),
            NAN => return Ok(Numeric::NAN),
            _ => {}
        }
        let negative = header < ZERO;
        let mask = if negative { 0xff } else { 0 };
        let exponent = match header ^ mask {
            EXP_LOW | EXP_HIGH => {
                let mut n = 0u32;
                for _ in 0..4 {
                    n = (n << 8) | u32::from(take(input)? ^ mask);
                }
                (n ^ (1 << 31)) as i32
            }
            h @ EXP_FIRST..EXP_HIGH => i32::from(h - EXP_FIRST) + EXP_MIN,
            _ => return Err(corrupted()),
        };
        let mut decimal = Vec::with_capacity(20);
        loop {
            let byte = take(input)? ^ mask;
            let pair = byte >> 1;
            if pair > 99 {
                return Err(corrupted());
            }
            decimal.push(pair / 10);
            decimal.push(pair % 10);
            if byte & 1 == 0 {
                break;
            }
        }
        if decimal.last() == Some(&0) {
            decimal.pop();
        }
        let dscale = (decimal.len() as i32 - exponent).max(0);
        Numeric::from_var(Var::from_decimal(negative, &decimal, exponent, dscale))
    }
}

fn encode_small(mantissa: i64, scale: i32, out: &mut Vec<u8>) {
    let magnitude = mantissa.unsigned_abs();
    let count = digit_count(u128::from(magnitude)) as i32;
    let start = out.len();
    encode_exponent(count - scale, out);
    // Twenty digits, so that the leading one stands first: ten pairs at most.
    let mut rest = u128::from(magnitude) * u128::from(POW10[(19 - count) as usize].unsigned_abs());
    rest *= 10;
    let mut unit = 10u128.pow(18);
    loop {
        let pair = (rest / unit) as u8;
        rest %= unit;
        if rest == 0 {
            out.push(pair << 1);
            break;
        }
        out.push((pair << 1) | 1);
        unit /= 100;
    }
    if mantissa < 0 {
        invert(&mut out[start..]);
    }
}

fn encode_big(v: &Var, out: &mut Vec<u8>) {
    if v.is_zero() {
        return out.push(ZERO);
    }
    let mut decimal = Vec::with_capacity(v.digits.len() * 4);
    for &group in &v.digits {
        for power in [1000, 100, 10, 1] {
            decimal.push((group / power % 10) as u8);
        }
    }
    let lead = decimal.iter().take_while(|&&d| d == 0).count();
    while decimal.last() == Some(&0) {
        decimal.pop();
    }
    let start = out.len();
    encode_exponent((v.weight + 1) * GROUP - lead as i32, out);
    let pairs = decimal[lead..].chunks(2);
    let last = pairs.len() - 1;
    for (i, pair) in pairs.enumerate() {
        let value = pair[0] * 10 + pair.get(1).copied().unwrap_or(0);
        out.push((value << 1) | u8::from(i < last));
    }
    if v.negative {
        invert(&mut out[start..]);
    }
}

fn encode_exponent(exponent: i32, out: &mut Vec<u8>) {
    if (EXP_MIN..=EXP_MAX).contains(&exponent) {
        return out.push(EXP_FIRST + (exponent - EXP_MIN) as u8);
    }
    out.push(if exponent < 0 { EXP_LOW } else { EXP_HIGH });
    out.extend_from_slice(&(exponent as u32 ^ (1 << 31)).to_be_bytes());
}

fn invert(bytes: &mut [u8]) {
    for b in bytes {
        *b = !*b;
    }
}
