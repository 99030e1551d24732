//! The long form of a number: base 10000 digits, as PostgreSQL keeps and sends them.
//!
//! `digits[0]` counts `10000^weight`. Stripped, neither end of `digits` is zero and zero has no
//! digits, weight 0 and no sign. `dscale` is what text shows; no digit lies beyond it. All
//! results are exact or rounded half away from zero.

use std::cmp::Ordering;

use super::{POW10, SMALL_SCALE_MAX};

pub(super) const BASE: u32 = 10_000;
/// Decimal digits of one digit.
pub(super) const GROUP: i32 = 4;

#[derive(Clone, Debug)]
pub(super) struct Var {
    pub negative: bool,
    pub weight: i32,
    pub dscale: i32,
    pub digits: Vec<u16>,
}

impl Var {
    pub fn zero(dscale: i32) -> Var {
        Var { negative: false, weight: 0, dscale, digits: Vec::new() }
    }

    pub fn one() -> Var {
        Var::from_i128(1, 0)
    }

    pub fn from_i128(mantissa: i128, scale: u32) -> Var {
        // Aligned to whole groups after the point.
        let groups = scale.div_ceil(4) as i32;
        let pad = (groups * GROUP) as u32 - scale;
        let mut rest = mantissa.unsigned_abs();
        let mut digits = Vec::with_capacity(11);
        if pad > 0 && rest > 0 {
            let low = 10u128.pow(4 - pad);
            digits.push(((rest % low) * 10u128.pow(pad)) as u16);
            rest /= low;
        }
        while rest > 0 {
            digits.push((rest % u128::from(BASE)) as u16);
            rest /= u128::from(BASE);
        }
        digits.reverse();
        let weight = digits.len() as i32 - 1 - groups;
        let mut v = Var { negative: mantissa < 0, weight, dscale: scale as i32, digits };
        v.strip();
        v
    }

    /// From decimal digits (values 0 to 9), of which the first counts `10^(before - 1)`.
    pub fn from_decimal(negative: bool, decimal: &[u8], before: i32, dscale: i32) -> Var {
        let weight = (before - 1).div_euclid(GROUP);
        let lead = (weight + 1) * GROUP - before;
        let mut digits = Vec::with_capacity((decimal.len() + 7) / 4);
        let mut digit = 0u16;
        let mut filled = lead;
        for &d in decimal {
            digit = digit * 10 + u16::from(d);
            filled += 1;
            if filled == GROUP {
                digits.push(digit);
                (digit, filled) = (0, 0);
            }
        }
        if filled > 0 {
            digits.push(digit * 10u16.pow((GROUP - filled) as u32));
        }
        let mut v = Var { negative, weight, dscale, digits };
        v.strip();
        v
    }

    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    pub fn sign(&self) -> i32 {
        match (self.is_zero(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    pub fn is_integral(&self) -> bool {
        self.digits.len() as i32 <= self.weight + 1
    }

    pub fn strip(&mut self) {
        let lead = self.digits.iter().take_while(|&&d| d == 0).count();
        if lead > 0 {
            self.digits.drain(..lead);
            self.weight -= lead as i32;
        }
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.weight = 0;
            self.negative = false;
        }
    }

    /// The digit that counts `10000^place`.
    pub fn at(&self, place: i32) -> u16 {
        let index = self.weight - place;
        usize::try_from(index).ok().and_then(|i| self.digits.get(i)).copied().unwrap_or(0)
    }

    /// Place of the last digit.
    fn last_place(&self) -> i32 {
        self.weight + 1 - self.digits.len() as i32
    }

    /// As mantissa and scale, if they fit.
    pub fn to_small(&self) -> Option<(i64, u8)> {
        if self.dscale > SMALL_SCALE_MAX as i32 {
            return None;
        }
        let mantissa = self.to_scaled(self.dscale)?;
        Some((i64::try_from(mantissa).ok()?, self.dscale as u8))
    }

    /// The value times `10^scale`, if that is a whole number and fits.
    pub fn to_scaled(&self, scale: i32) -> Option<i128> {
        if self.is_zero() {
            return Some(0);
        }
        if (self.weight + 1) * GROUP + scale > 42 {
            return None;
        }
        let mut n: i128 = 0;
        for &d in &self.digits {
            n = n.checked_mul(i128::from(BASE))?.checked_add(i128::from(d))?;
        }
        let shift = self.last_place() * GROUP + scale;
        if shift >= 0 {
            n = n.checked_mul(super::pow10(shift as u32)?)?;
        } else {
            let power = super::pow10(shift.unsigned_abs())?;
            if n % power != 0 {
                return None;
            }
            n /= power;
        }
        Some(if self.negative { -n } else { n })
    }

    /// The same value showing no trailing zeros.
    pub fn without_trailing_zeros(&self) -> Var {
        let mut v = self.clone();
        v.dscale = self.min_scale();
        v
    }

    /// Decimals needed to show the value exactly.
    pub fn min_scale(&self) -> i32 {
        if self.is_integral() {
            return 0;
        }
        let last = self.digits.last().copied().unwrap_or(0);
        let zeros = (1..4).take_while(|&k| last % 10u16.pow(k) == 0).count() as i32;
        -self.last_place() * GROUP - zeros
    }

    pub fn compare(&self, other: &Var) -> Ordering {
        match (self.sign(), other.sign()) {
            (a, b) if a != b => a.cmp(&b),
            (0, _) => Ordering::Equal,
            (1, _) => self.compare_abs(other),
            _ => other.compare_abs(self),
        }
    }

    pub fn compare_abs(&self, other: &Var) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => {
                self.weight.cmp(&other.weight).then_with(|| self.digits.cmp(&other.digits))
            }
        }
    }

    pub fn neg(mut self) -> Var {
        self.negative = !self.negative && !self.is_zero();
        self
    }

    pub fn add(&self, other: &Var) -> Var {
        let mut v = if self.negative == other.negative {
            add_abs(self, other)
        } else {
            match self.compare_abs(other) {
                Ordering::Equal => Var::zero(0),
                Ordering::Greater => sub_abs(self, other),
                Ordering::Less => sub_abs(other, self),
            }
        };
        v.dscale = self.dscale.max(other.dscale);
        v
    }

    pub fn sub(&self, other: &Var) -> Var {
        self.add(&other.clone().neg())
    }

    /// The exact product; its scale is the sum of both.
    pub fn mul(&self, other: &Var) -> Var {
        let dscale = self.dscale + other.dscale;
        if self.is_zero() || other.is_zero() {
            return Var::zero(dscale);
        }
        let (long, short) = if self.digits.len() >= other.digits.len() {
            (&self.digits, &other.digits)
        } else {
            (&other.digits, &self.digits)
        };
        let mut sums = vec![0u64; long.len() + short.len()];
        for (i, &a) in short.iter().enumerate() {
            for (j, &b) in long.iter().enumerate() {
                sums[i + j + 1] += u64::from(a) * u64::from(b);
            }
        }
        let mut carry = 0;
        for s in sums.iter_mut().rev() {
            *s += carry;
            carry = *s / u64::from(BASE);
            *s %= u64::from(BASE);
        }
        let mut v = Var {
            negative: self.negative != other.negative,
            weight: self.weight + other.weight + 1,
            dscale,
            digits: sums.iter().map(|&s| s as u16).collect(),
        };
        v.strip();
        v
    }

    /// The product rounded to `rscale` decimals.
    pub fn mul_rounded(&self, other: &Var, rscale: i32) -> Var {
        self.mul(other).rounded(rscale)
    }

    /// The quotient rounded, or cut, at `rscale` decimals. The divisor is not zero.
    pub fn div(&self, other: &Var, rscale: i32, round: bool) -> Var {
        debug_assert!(!other.is_zero());
        if self.is_zero() {
            return Var::zero(rscale.max(0));
        }
        // One place more than shown, so that cutting the rest there does not change rounding.
        let last_place = -(rscale.div_euclid(GROUP) + 2);
        let weight = self.weight - other.weight;
        let count = (weight - last_place + 1).max(0) as usize;
        let mut v = Var {
            negative: self.negative != other.negative,
            weight,
            dscale: rscale,
            digits: long_division(&self.digits, &other.digits, count),
        };
        v.strip();
        if round { v.rounded(rscale) } else { v.truncated(rscale) }
    }

    /// Rounded half away from zero to `rscale` decimals (negative: tens, hundreds), showing them.
    pub fn rounded(self, rscale: i32) -> Var {
        self.cut(rscale, true)
    }

    /// Cut to `rscale` decimals, showing them.
    pub fn truncated(self, rscale: i32) -> Var {
        self.cut(rscale, false)
    }

    fn cut(mut self, rscale: i32, round: bool) -> Var {
        self.dscale = rscale.max(0);
        // Decimal digits to keep, counted from the first digit's group.
        let keep = (self.weight + 1) * GROUP + rscale;
        if keep >= self.digits.len() as i32 * GROUP {
            return self;
        }
        if keep < 0 {
            return Var::zero(self.dscale);
        }
        let (whole, part) = ((keep / GROUP) as usize, (keep % GROUP) as u32);
        let unit = 10u16.pow(4 - part);
        let cut_digit = self.digits[whole];
        // Of the group cut into, `unit` is what one kept unit counts (10000: nothing is kept).
        let (kept, up) = if part == 0 {
            (0, cut_digit >= 5000)
        } else {
            (cut_digit - cut_digit % unit, cut_digit % unit >= unit / 2)
        };
        self.digits.truncate(whole);
        let mut carry = u16::from(round && up);
        if part > 0 {
            let digit = kept + carry * unit;
            carry = digit / BASE as u16;
            self.digits.push(digit % BASE as u16);
        }
        let end = whole;
        for d in self.digits[..end].iter_mut().rev() {
            if carry == 0 {
                break;
            }
            *d += 1;
            carry = *d / BASE as u16;
            *d %= BASE as u16;
        }
        if carry > 0 {
            self.digits.insert(0, carry);
            self.weight += 1;
        }
        self.strip();
        self
    }

    /// Writes the text form.
    pub fn write_to(&self, out: &mut String) {
        let mut buf = Vec::with_capacity(self.digits.len() * 4 + 8);
        if self.negative {
            buf.push(b'-');
        }
        let start = buf.len();
        for place in (0..=self.weight).rev() {
            push_group(&mut buf, self.at(place));
        }
        let zeros = buf[start..].iter().take_while(|&&b| b == b'0').count();
        buf.drain(start..start + zeros);
        if buf.len() == start {
            buf.push(b'0');
        }
        if self.dscale > 0 {
            buf.push(b'.');
            let end = buf.len() + self.dscale as usize;
            let mut place = -1;
            while buf.len() < end {
                push_group(&mut buf, self.at(place));
                place -= 1;
            }
            buf.truncate(end);
        }
        out.push_str(std::str::from_utf8(&buf).unwrap_or_default());
    }
}

fn push_group(buf: &mut Vec<u8>, group: u16) {
    for power in [1000, 100, 10, 1] {
        buf.push(b'0' + (group / power % 10) as u8);
    }
}

fn add_abs(a: &Var, b: &Var) -> Var {
    if a.is_zero() || b.is_zero() {
        return if a.is_zero() { b.clone() } else { a.clone() };
    }
    let top = a.weight.max(b.weight) + 1;
    let bottom = a.last_place().min(b.last_place());
    let mut digits = vec![0u16; (top - bottom + 1) as usize];
    let mut carry = 0;
    for (i, place) in (bottom..=top).enumerate() {
        let sum = a.at(place) + b.at(place) + carry;
        carry = u16::from(sum >= BASE as u16);
        digits[(top - bottom) as usize - i] = sum - carry * BASE as u16;
    }
    let mut v = Var { negative: a.negative, weight: top, dscale: 0, digits };
    v.strip();
    v
}

/// `|a| - |b|` with the sign of `a`, for |a| > |b|.
fn sub_abs(a: &Var, b: &Var) -> Var {
    if b.is_zero() {
        return a.clone();
    }
    let top = a.weight.max(b.weight);
    let bottom = a.last_place().min(b.last_place());
    let mut digits = vec![0u16; (top - bottom + 1) as usize];
    let mut borrow = 0;
    for (i, place) in (bottom..=top).enumerate() {
        let (x, y) = (a.at(place), b.at(place) + borrow);
        borrow = u16::from(x < y);
        digits[(top - bottom) as usize - i] = x + borrow * BASE as u16 - y;
    }
    let mut v = Var { negative: a.negative, weight: top, dscale: 0, digits };
    v.strip();
    v
}

/// The first `count` digits of a quotient, the first of which stands where those of `a` and `b`
/// are aligned; what is below is cut. Knuth's algorithm D (The Art of Computer Programming 4.3.1).
fn long_division(a: &[u16], b: &[u16], count: usize) -> Vec<u16> {
    let base = u64::from(BASE);
    if let [divisor] = b {
        let divisor = u64::from(*divisor);
        let mut rest = 0;
        return (0..count)
            .map(|i| {
                let n = rest * base + a.get(i).map_or(0, |&d| u64::from(d));
                rest = n % divisor;
                (n / divisor) as u16
            })
            .collect();
    }
    let scale = base / (u64::from(b[0]) + 1);
    let divisor = scaled(b, scale, b.len());
    // One digit in front for the carry; enough zeros behind for `count` steps.
    let length = (count + divisor.len()).max(a.len() + 1);
    let mut rest = vec![0u64];
    rest.extend(a.iter().map(|&d| u64::from(d)));
    rest.resize(length + 1, 0);
    scale_in_place(&mut rest, scale);
    let n = divisor.len();
    let mut quotient = Vec::with_capacity(count);
    for i in 0..count {
        let top = rest[i] * base + rest[i + 1];
        let mut q = (top / divisor[0]).min(base - 1);
        while q * divisor[1] > (top - q * divisor[0]) * base + rest[i + 2]
            && top - q * divisor[0] < base
        {
            q -= 1;
        }
        let mut borrow = 0i64;
        for j in (0..n).rev() {
            let value = rest[i + j + 1] as i64 - (q * divisor[j]) as i64 + borrow;
            rest[i + j + 1] = value.rem_euclid(base as i64) as u64;
            borrow = value.div_euclid(base as i64);
        }
        let value = rest[i] as i64 + borrow;
        if value < 0 {
            q -= 1;
            let mut carry = 0;
            for j in (0..n).rev() {
                let sum = rest[i + j + 1] + divisor[j] + carry;
                rest[i + j + 1] = sum % base;
                carry = sum / base;
            }
        }
        rest[i] = 0;
        quotient.push(q as u16);
    }
    quotient
}

fn scaled(digits: &[u16], factor: u64, length: usize) -> Vec<u64> {
    let mut out: Vec<u64> = digits.iter().map(|&d| u64::from(d)).collect();
    out.resize(length, 0);
    scale_in_place(&mut out, factor);
    out
}

/// Multiplies; the first digit takes the last carry.
fn scale_in_place(digits: &mut [u64], factor: u64) {
    let mut carry = 0;
    for d in digits.iter_mut().rev() {
        let value = *d * factor + carry;
        *d = value % u64::from(BASE);
        carry = value / u64::from(BASE);
    }
    debug_assert_eq!(carry, 0, "the first digit has room");
}

/// `10^n` for small n.
pub(super) fn small_pow10(n: i32) -> i64 {
    POW10[n.clamp(0, 18) as usize]
}
