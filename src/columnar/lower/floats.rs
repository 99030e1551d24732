//! Floats as integers of the same order, by which their minimum and maximum are PostgreSQL's:
//! NaN is above all numbers, and DataFusion's own depend on the order in which it meets one.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// A float's place among all of its width, or the float of a place.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FloatPlace {
    /// float8, not float4.
    wide: bool,
    /// From the place to the float.
    back: bool,
    signature: Signature,
}

impl FloatPlace {
    pub(super) fn new(wide: bool, back: bool) -> FloatPlace {
        FloatPlace { wide, back, signature: Signature::any(1, Volatility::Immutable) }
    }
}

/// The place of a float of this type; none: it is no float.
pub(super) fn place_of(value: Expr, data_type: &DataType) -> Option<Expr> {
    let wide = is_wide(data_type)?;
    Some(ScalarUDF::from(FloatPlace::new(wide, false)).call(vec![value]))
}

/// The float of this type at a place.
pub(super) fn float_at(place: Expr, data_type: &DataType) -> Expr {
    match is_wide(data_type) {
        Some(wide) => ScalarUDF::from(FloatPlace::new(wide, true)).call(vec![place]),
        None => place,
    }
}

fn is_wide(data_type: &DataType) -> Option<bool> {
    match data_type {
        DataType::Float32 => Some(false),
        DataType::Float64 => Some(true),
        _ => None,
    }
}

/// IEEE 754's bits as a number that rises with the value (-0 just below 0), and back again.
fn turned32(bits: i32) -> i32 {
    bits ^ (((bits >> 31) as u32) >> 1) as i32
}

fn turned64(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

impl ScalarUDFImpl for FloatPlace {
    fn name(&self) -> &str {
        match (self.wide, self.back) {
            (false, false) => "place_of_float4",
            (true, false) => "place_of_float8",
            (false, true) => "float4_at",
            (true, true) => "float8_at",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(match (self.wide, self.back) {
            (false, false) => DataType::Int32,
            (true, false) => DataType::Int64,
            (false, true) => DataType::Float32,
            (true, true) => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let array = args.args[0].clone().into_array(args.number_rows)?;
        // All NaNs are one value in SQL.
        let one32 = |v: f32| if v.is_nan() { f32::NAN } else { v };
        let one64 = |v: f64| if v.is_nan() { f64::NAN } else { v };
        let turned: ArrayRef = match (self.wide, self.back) {
            (false, false) => Arc::new(
                array
                    .as_primitive::<Float32Type>()
                    .unary::<_, Int32Type>(|v| turned32(one32(v).to_bits() as i32)),
            ),
            (true, false) => Arc::new(
                array
                    .as_primitive::<Float64Type>()
                    .unary::<_, Int64Type>(|v| turned64(one64(v).to_bits() as i64)),
            ),
            (false, true) => Arc::new(
                array
                    .as_primitive::<Int32Type>()
                    .unary::<_, Float32Type>(|v| f32::from_bits(turned32(v) as u32)),
            ),
            (true, true) => Arc::new(
                array
                    .as_primitive::<Int64Type>()
                    .unary::<_, Float64Type>(|v| f64::from_bits(turned64(v) as u64)),
            ),
        };
        Ok(ColumnarValue::Array(turned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_order_and_lead_back() {
        let values = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.5,
            -f64::MIN_POSITIVE,
            -5e-324,
            -0.0,
            0.0,
            5e-324,
            1.0,
            f64::MAX,
            f64::INFINITY,
            f64::NAN,
        ];
        let places = values.map(|v| turned64(v.to_bits() as i64));
        assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
        let back = places.map(|place| f64::from_bits(turned64(place) as u64).to_bits());
        assert_eq!(back, values.map(f64::to_bits));
        let narrow = values.map(|v| turned32((v as f32).to_bits() as i32));
        assert!(narrow.is_sorted(), "{narrow:?}");
        let back = narrow.map(|place| f32::from_bits(turned32(place) as u32).to_bits());
        assert_eq!(back, values.map(|v| (v as f32).to_bits()));
    }
}
