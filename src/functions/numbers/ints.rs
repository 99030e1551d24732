//! Arithmetic of int2, int4 and int8, mixed too. Checked: 22003 on overflow, 22012 on division
//! by zero.

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{Arg, Ret, one, two};
use crate::types::Datum;

/// One of the integer types; all of their arithmetic is done in 64 bits and narrowed.
pub(in crate::functions) trait Int: for<'a> Arg<'a> + Ret + Copy {
    /// PostgreSQL's name of the type.
    const NAME: &'static str;
    /// As an int8.
    fn wide(self) -> i64;
    /// From an int8, if it is in range.
    fn narrow(wide: i64) -> Option<Self>;
    /// Bits of the type that shifts are done in (int2 is promoted to int4).
    const SHIFT_BITS: u32;
}

impl Int for i16 {
    const NAME: &'static str = "smallint";
    const SHIFT_BITS: u32 = 32;
    fn wide(self) -> i64 {
        self.into()
    }
    fn narrow(wide: i64) -> Option<i16> {
        wide.try_into().ok()
    }
}

impl Int for i32 {
    const NAME: &'static str = "integer";
    const SHIFT_BITS: u32 = 32;
    fn wide(self) -> i64 {
        self.into()
    }
    fn narrow(wide: i64) -> Option<i32> {
        wide.try_into().ok()
    }
}

impl Int for i64 {
    const NAME: &'static str = "bigint";
    const SHIFT_BITS: u32 = 64;
    fn wide(self) -> i64 {
        self
    }
    fn narrow(wide: i64) -> Option<i64> {
        Some(wide)
    }
}

/// 22003 naming the type.
#[cold]
pub(in crate::functions) fn out_of_range(type_name: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{type_name} out of range"))
}

/// 22012
#[cold]
pub(in crate::functions) fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// The result in its type.
#[inline]
pub(in crate::functions) fn narrow<R: Int>(wide: Option<i64>) -> Result<R> {
    wide.and_then(R::narrow).ok_or_else(|| out_of_range(R::NAME))
}

pub(super) fn add<A: Int, B: Int, R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: A, y: B| narrow::<R>(x.wide().checked_add(y.wide())))
}

pub(super) fn subtract<A: Int, B: Int, R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: A, y: B| narrow::<R>(x.wide().checked_sub(y.wide())))
}

pub(super) fn multiply<A: Int, B: Int, R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: A, y: B| narrow::<R>(x.wide().checked_mul(y.wide())))
}

/// Truncates towards zero.
pub(super) fn divide<A: Int, B: Int, R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: A, y: B| match y.wide() {
        0 => Err(division_by_zero()),
        y => narrow::<R>(x.wide().checked_div(y)),
    })
}

/// The sign is the dividend's.
pub(super) fn remainder<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: R, y: R| match y.wide() {
        0 => Err(division_by_zero()),
        y => narrow::<R>(Some(x.wide().wrapping_rem(y))),
    })
}

pub(super) fn negate<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: R| narrow::<R>(x.wide().checked_neg()))
}

pub(super) fn absolute<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: R| narrow::<R>(x.wide().checked_abs()))
}

/// Unary plus of any type.
pub(super) fn same(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Datum::clone)
}

pub(super) fn bit_and<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: R, y: R| narrow::<R>(Some(x.wide() & y.wide())))
}

pub(super) fn bit_or<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: R, y: R| narrow::<R>(Some(x.wide() | y.wide())))
}

pub(super) fn bit_xor<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: R, y: R| narrow::<R>(Some(x.wide() ^ y.wide())))
}

pub(super) fn bit_not<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: R| narrow::<R>(Some(!x.wide())))
}

/// Shifts as the processor does: the count is taken modulo the width, high bits fall off.
pub(super) fn shift_left<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: R, count: i32| {
        let shifted = x.wide() << (count as u32 % R::SHIFT_BITS);
        match R::NAME {
            "smallint" => Datum::Int2(shifted as i16),
            "integer" => Datum::Int4(shifted as i32),
            _ => Datum::Int8(shifted),
        }
    })
}

pub(super) fn shift_right<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: R, count: i32| narrow::<R>(Some(x.wide() >> (count as u32 % R::SHIFT_BITS))))
}

/// The smaller type into the wider, or the wider into the smaller with 22003.
pub(super) fn convert<A: Int, R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: A| narrow::<R>(Some(x.wide())))
}

pub(super) fn greatest_common_divisor<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: R, y: R| narrow::<R>(i64::try_from(gcd(x.wide(), y.wide())).ok()))
}

pub(super) fn least_common_multiple<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |x: R, y: R| {
        let (x, y) = (x.wide(), y.wide());
        let product = match gcd(x, y) {
            0 => Some(0),
            divisor => (x.unsigned_abs() / divisor).checked_mul(y.unsigned_abs()),
        };
        narrow::<R>(product.and_then(|p| i64::try_from(p).ok()))
    })
}

fn gcd(x: i64, y: i64) -> u64 {
    let (mut x, mut y) = (x.unsigned_abs(), y.unsigned_abs());
    while y != 0 {
        (x, y) = (y, x % y);
    }
    x
}

pub(super) fn to_bool(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: i32| x != 0)
}

pub(super) fn from_bool(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, i32::from as fn(bool) -> i32)
}

/// int8 to oid; int2 and int4 are oids as they are.
pub(super) fn to_oid(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: i64| u32::try_from(x).map_err(|_| out_of_range("OID")))
}

pub(super) fn from_oid(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: u32| i64::from(x))
}

pub(super) fn to_hex<R: Int>(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |x: R| match R::NAME {
        "integer" => format!("{:x}", x.wide() as i32),
        _ => format!("{:x}", x.wide()),
    })
}

#[cfg(test)]
mod tests {
    use super::gcd;

    #[test]
    fn divisors() {
        assert_eq!(gcd(0, 0), 0);
        assert_eq!(gcd(-6, 4), 2);
        assert_eq!(gcd(i64::MIN, 0), 1 << 63);
    }
}
