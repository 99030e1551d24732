//! A sketch of how many distinct values a column has: HyperLogLog (Flajolet et al., 2007).
//!
//! Each file of a view keeps one for every column, so that a refresh that rewrites some files can
//! still estimate the whole. Deleted values stay counted until their file is written anew.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, TimeUnit};
use arrow::datatypes::{
    Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use arrow::datatypes::{Time64MicrosecondType, TimestampMicrosecondType, UInt32Type};

/// Registers of a sketch; the standard error is 1.04 / √2048 = 2.3 %.
pub const REGISTERS: usize = 2048;
const INDEX_BITS: u32 = REGISTERS.trailing_zeros();

/// The sketch of one column.
#[derive(Clone, PartialEq, Eq)]
pub struct Sketch {
    registers: Vec<u8>,
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch { registers: vec![0; REGISTERS] }
    }
}

impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sketch(~{})", self.estimate())
    }
}

/// A 64-bit mix of 64 bits (the finalizer of MurmurHash3): stored sketches depend on it.
fn mix(mut v: u64) -> u64 {
    v ^= v >> 33;
    v = v.wrapping_mul(0xff51_afd7_ed55_8ccd);
    v ^= v >> 33;
    v = v.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    v ^ (v >> 33)
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut state = mix(bytes.len() as u64 ^ 0x9e37_79b9_7f4a_7c15);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state ^ u64::from_le_bytes(word));
    }
    state
}

impl Sketch {
    /// From stored registers; none if there are not [`REGISTERS`] of them.
    pub fn from_registers(registers: &[u8]) -> Option<Sketch> {
        (registers.len() == REGISTERS).then(|| Sketch { registers: registers.to_vec() })
    }

    /// The registers, to store.
    pub fn registers(&self) -> &[u8] {
        &self.registers
    }

    fn add_hash(&mut self, hash: u64) {
        let index = (hash >> (64 - INDEX_BITS)) as usize;
        let rank = ((hash << INDEX_BITS).leading_zeros().min(64 - INDEX_BITS) + 1) as u8;
        let register = &mut self.registers[index];
        *register = (*register).max(rank);
    }

    /// Takes every value of an array; NULLs do not count.
    pub fn add_array(&mut self, array: &ArrayRef) {
        macro_rules! primitive {
            ($ty:ty, $value:ident => $bits:expr) => {
                for $value in array.as_primitive::<$ty>().iter().flatten() {
                    self.add_hash(mix($bits as u64));
                }
            };
        }
        match array.data_type() {
            DataType::Int16 => primitive!(Int16Type, v => v),
            DataType::Int32 => primitive!(Int32Type, v => v),
            DataType::Int64 => primitive!(Int64Type, v => v),
            DataType::Int8 => primitive!(Int8Type, v => v),
            DataType::UInt32 => primitive!(UInt32Type, v => v),
            DataType::Date32 => primitive!(Date32Type, v => v),
            DataType::Float32 => primitive!(Float32Type, v => v.to_bits()),
            DataType::Float64 => primitive!(Float64Type, v => v.to_bits()),
            DataType::Decimal128(..) => primitive!(Decimal128Type, v => v ^ (v >> 64)),
            DataType::Time64(TimeUnit::Microsecond) => primitive!(Time64MicrosecondType, v => v),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                primitive!(TimestampMicrosecondType, v => v);
            }
            DataType::Boolean => {
                for v in array.as_boolean().iter().flatten() {
                    self.add_hash(mix(u64::from(v)));
                }
            }
            DataType::Utf8View => {
                for v in array.as_string_view().iter().flatten() {
                    self.add_hash(hash_bytes(v.as_bytes()));
                }
            }
            DataType::Binary => {
                for v in array.as_binary::<i32>().iter().flatten() {
                    self.add_hash(hash_bytes(v));
                }
            }
            DataType::FixedSizeBinary(_) => {
                for v in array.as_fixed_size_binary().iter().flatten() {
                    self.add_hash(hash_bytes(v));
                }
            }
            other => debug_assert!(false, "no column has type {other}"),
        }
    }

    /// Takes all that another sketch has taken.
    pub fn merge(&mut self, other: &Sketch) {
        for (a, b) in self.registers.iter_mut().zip(&other.registers) {
            *a = (*a).max(*b);
        }
    }

    /// The estimate.
    pub fn estimate(&self) -> u64 {
        let m = REGISTERS as f64;
        let sum: f64 = self.registers.iter().map(|r| (-f64::from(*r)).exp2()).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let zeros = self.registers.iter().filter(|r| **r == 0).count();
        let estimate = if raw <= 2.5 * m && zeros > 0 { m * (m / zeros as f64).ln() } else { raw };
        estimate.round() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn estimates_are_near() {
        for n in [0u64, 1, 10, 1_000, 100_000] {
            let mut numbers = Sketch::default();
            numbers.add_array(&(Arc::new(Int64Array::from_iter_values(0..n as i64)) as ArrayRef));
            numbers.add_array(&(Arc::new(Int64Array::from_iter_values(0..n as i64)) as ArrayRef));
            let mut texts = Sketch::default();
            let values = (0..n).map(|i| format!("customer number {i}"));
            texts.add_array(&(Arc::new(StringViewArray::from_iter_values(values)) as ArrayRef));
            for sketch in [numbers, texts] {
                let off = sketch.estimate().abs_diff(n);
                assert!(off * 100 <= n * 8, "{} of {n}", sketch.estimate());
            }
        }
    }

    #[test]
    fn merging_is_taking_both() {
        let array = |from, to| Arc::new(Int64Array::from_iter_values(from..to)) as ArrayRef;
        let (mut a, mut b, mut both) = (Sketch::default(), Sketch::default(), Sketch::default());
        a.add_array(&array(0, 500));
        b.add_array(&array(300, 900));
        both.add_array(&array(0, 900));
        a.merge(&b);
        assert_eq!(a, both);
        assert_eq!(Sketch::from_registers(a.registers()), Some(both));
    }
}
