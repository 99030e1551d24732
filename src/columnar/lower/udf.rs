//! Scalar functions as DataFusion sees them.
//!
//! [`DatumUdf`] evaluates one function or cast of `functions` row by row: always right, never
//! fast. [`ArithmeticUdf`] is the checked, vectorized form of the operators that wide scans live
//! on; a property test holds the two equal.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Decimal128Array, Float64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::{arity, numeric};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::columnar::values::{ColumnBuilder, ColumnReader};
use crate::error::{Error, SqlState};
use crate::functions::{self, EvalContext, Function};
use crate::types::{Datum, SqlType};

/// Raised where a decimal leaves 128 bits: the statement is exact on the row path only, and the
/// caller runs it there. Never sent to a client.
pub const TOO_WIDE: SqlState = SqlState(*b"SL001");

/// An error of ours on its way through DataFusion.
pub fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

pub(super) fn too_wide() -> DataFusionError {
    external(Error::new(TOO_WIDE, "a decimal left 128 bits"))
}

/// What a [`DatumUdf`] does.
#[derive(Clone, Debug)]
pub enum DatumOperation {
    /// Calls a function.
    Call(&'static Function),
    /// Casts its one argument, explicitly or not.
    Cast(bool),
}

/// A function over datums.
#[derive(Clone)]
pub struct DatumUdf {
    operation: DatumOperation,
    args: Vec<SqlType>,
    result: SqlType,
    data_type: DataType,
    signature: Signature,
    name: String,
    context: EvalContext,
}

impl DatumUdf {
    /// The expression that applies `operation` to `args`.
    pub fn expression(
        operation: DatumOperation,
        args: Vec<(Expr, SqlType)>,
        result: SqlType,
        data_type: DataType,
        context: &EvalContext,
    ) -> Expr {
        let volatility = match &operation {
            DatumOperation::Call(f) if f.volatility == functions::Volatility::Volatile => {
                Volatility::Volatile
            }
            _ => Volatility::Stable,
        };
        let name = match &operation {
            DatumOperation::Call(f) => format!("{}#{}", f.name, f.oid),
            DatumOperation::Cast(_) => crate::types::pg_type::format_type(result),
        };
        let (exprs, types): (Vec<Expr>, Vec<SqlType>) = args.into_iter().unzip();
        let udf = DatumUdf {
            operation,
            args: types,
            result,
            data_type,
            signature: Signature::variadic_any(volatility),
            name,
            context: context.clone(),
        };
        ScalarUDF::from(udf).call(exprs)
    }

    fn evaluate(&self, args: &[Datum]) -> Result<Datum, Error> {
        match &self.operation {
            DatumOperation::Call(f) => functions::eval_call(f, &self.context, args),
            DatumOperation::Cast(explicit) => functions::apply_cast(
                &self.context,
                args[0].clone(),
                self.args[0],
                self.result,
                *explicit,
            ),
        }
    }

    fn run(&self, arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef, Error> {
        let readers: Vec<ColumnReader<'_>> =
            self.args.iter().zip(arrays).map(|(ty, a)| ColumnReader::new(*ty, a)).collect();
        let mut builder = ColumnBuilder::new(self.result, &self.data_type, rows)?;
        let mut args = Vec::with_capacity(readers.len());
        for row in 0..rows {
            args.clear();
            for reader in &readers {
                args.push(reader.datum(row)?);
            }
            builder.append(&self.evaluate(&args)?)?;
        }
        Ok(builder.finish())
    }
}

impl std::fmt::Debug for DatumUdf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for DatumUdf {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.args == other.args && self.result == other.result
    }
}

impl Eq for DatumUdf {}

impl Hash for DatumUdf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.args.hash(state);
    }
}

impl ScalarUDFImpl for DatumUdf {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let scalar = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)))
            && !args.args.is_empty();
        let rows = if scalar { 1 } else { args.number_rows };
        let arrays = args
            .args
            .iter()
            .map(|a| a.clone().into_array(rows))
            .collect::<DfResult<Vec<ArrayRef>>>()?;
        let array = self.run(&arrays, rows).map_err(external)?;
        if scalar {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(
                &array, 0,
            )?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// The arithmetic operators with a vectorized form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Checked arithmetic on two arrays of one Arrow type (decimals: of any two scales).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArithmeticUdf {
    operation: Arithmetic,
    data_type: DataType,
    signature: Signature,
    /// Says all of it.
    name: String,
}

impl ArithmeticUdf {
    /// `left operation right`, of Arrow type `data_type`: an integer type, Float64, or the
    /// Decimal128(38, s) whose scale the operation gives.
    pub fn expression(operation: Arithmetic, left: Expr, right: Expr, data_type: DataType) -> Expr {
        ScalarUDF::from(ArithmeticUdf::new(operation, data_type)).call(vec![left, right])
    }

    pub(super) fn new(operation: Arithmetic, data_type: DataType) -> ArithmeticUdf {
        let verb = match operation {
            Arithmetic::Add => "add",
            Arithmetic::Subtract => "subtract",
            Arithmetic::Multiply => "multiply",
            Arithmetic::Divide => "divide",
            Arithmetic::Remainder => "remainder",
        };
        let of = match &data_type {
            DataType::Decimal128(_, scale) => format!("numeric_{scale}"),
            other => other.to_string().to_lowercase(),
        };
        let signature = Signature::any(2, Volatility::Immutable);
        ArithmeticUdf { operation, data_type, signature, name: format!("checked_{verb}_{of}") }
    }

    fn integers(&self, left: &ArrayRef, right: &ArrayRef) -> DfResult<ArrayRef> {
        let result = match self.operation {
            Arithmetic::Add => numeric::add(left, right),
            Arithmetic::Subtract => numeric::sub(left, right),
            Arithmetic::Multiply => numeric::mul(left, right),
            Arithmetic::Divide => numeric::div(left, right),
            Arithmetic::Remainder => numeric::rem(left, right),
        };
        result.map_err(|e| external(self.integer_error(&e)))
    }

    fn integer_error(&self, error: &ArrowError) -> Error {
        if matches!(error, ArrowError::DivideByZero) {
            return division_by_zero();
        }
        let name = match self.data_type {
            DataType::Int16 => "smallint",
            DataType::Int32 => "integer",
            _ => "bigint",
        };
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"))
    }

    fn floats(&self, left: &Float64Array, right: &Float64Array) -> DfResult<ArrayRef> {
        let operation = self.operation;
        let result: Float64Array = arity::try_binary(left, right, |a, b| {
            float_operation(operation, a, b).map_err(|e| ArrowError::ExternalError(Box::new(e)))
        })
        .map_err(unwrap_arrow)?;
        Ok(Arc::new(result))
    }

    fn decimals(&self, left: &Decimal128Array, right: &Decimal128Array) -> DfResult<ArrayRef> {
        let DataType::Decimal128(_, scale) = self.data_type else {
            return Err(external(Error::internal("decimal arithmetic without a scale")));
        };
        // Before adding, both sides are brought to the result's scale; products add scales.
        let (up_left, up_right) = match self.operation {
            Arithmetic::Multiply => (1, 1),
            _ => (power_of_ten(scale - left.scale())?, power_of_ten(scale - right.scale())?),
        };
        let operation = self.operation;
        let narrow = i64::try_from(up_left).ok().zip(i64::try_from(up_right).ok());
        let narrow = narrow.filter(|_| all_narrow(left.values()) && all_narrow(right.values()));
        let result: Decimal128Array = match narrow {
            Some(ups) => {
                let values = narrow_decimals(operation, left.values(), right.values(), ups);
                Decimal128Array::new(values.into(), NullBuffer::union(left.nulls(), right.nulls()))
            }
            None => arity::try_binary::<_, _, _, Decimal128Type>(left, right, |a, b| {
                let a = if up_left == 1 { Some(a) } else { a.checked_mul(up_left) };
                let b = if up_right == 1 { Some(b) } else { b.checked_mul(up_right) };
                let (Some(a), Some(b)) = (a, b) else { return Err(wide_arrow()) };
                match operation {
                    Arithmetic::Add => a.checked_add(b),
                    Arithmetic::Subtract => a.checked_sub(b),
                    _ => a.checked_mul(b),
                }
                .ok_or_else(wide_arrow)
            })
            .map_err(unwrap_arrow)?,
        };
        Ok(Arc::new(result.with_data_type(self.data_type.clone())))
    }
}

/// Whether all values fit 64 bits, as most decimals do.
fn all_narrow(values: &[i128]) -> bool {
    let beyond = |v: &i128| (v >> 64) as i64 ^ (*v as i64 >> 63);
    values.iter().fold(0, |any, value| any | beyond(value)) == 0
}

/// The operation on values of 64 bits, each first multiplied by its side's power of ten. Nothing
/// is checked: products of 64 bits fit 127, and so does the sum of two.
fn narrow_decimals(
    operation: Arithmetic,
    left: &[i128],
    right: &[i128],
    (up_left, up_right): (i64, i64),
) -> Vec<i128> {
    let product = |a: i128, b: i64| i128::from(a as i64) * i128::from(b);
    let pairs = left.iter().zip(right);
    match operation {
        Arithmetic::Add => {
            pairs.map(|(a, b)| product(*a, up_left) + product(*b, up_right)).collect()
        }
        Arithmetic::Subtract => {
            pairs.map(|(a, b)| product(*a, up_left) - product(*b, up_right)).collect()
        }
        _ => pairs.map(|(a, b)| product(*a, *b as i64)).collect(),
    }
}

fn power_of_ten(exponent: i8) -> DfResult<i128> {
    u32::try_from(exponent).ok().and_then(|e| 10i128.checked_pow(e)).ok_or_else(too_wide)
}

fn wide_arrow() -> ArrowError {
    ArrowError::ExternalError(Box::new(Error::new(TOO_WIDE, "a decimal left 128 bits")))
}

fn unwrap_arrow(error: ArrowError) -> DataFusionError {
    match error {
        ArrowError::ExternalError(e) => DataFusionError::External(e),
        other => DataFusionError::ArrowError(Box::new(other), None),
    }
}

fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

fn float_operation(operation: Arithmetic, a: f64, b: f64) -> Result<f64, Error> {
    let out_of_range = |what: &str| {
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value out of range: {what}"))
    };
    let result = match operation {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide if b == 0.0 && !a.is_nan() => return Err(division_by_zero()),
        Arithmetic::Divide => a / b,
        Arithmetic::Remainder => a % b,
    };
    if result.is_infinite() && !a.is_infinite() && !b.is_infinite() {
        return Err(out_of_range("overflow"));
    }
    let product = matches!(operation, Arithmetic::Multiply | Arithmetic::Divide);
    let vanished = match operation {
        Arithmetic::Multiply => a != 0.0 && b != 0.0,
        _ => a != 0.0 && !b.is_infinite(),
    };
    if product && result == 0.0 && vanished {
        return Err(out_of_range("underflow"));
    }
    Ok(result)
}

impl ScalarUDFImpl for ArithmeticUdf {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let rows = args.number_rows;
        let [left, right] = args.args.as_slice() else {
            return Err(external(Error::internal("arithmetic takes two arguments")));
        };
        let left = left.clone().into_array(rows)?;
        let right = right.clone().into_array(rows)?;
        let array = match &self.data_type {
            DataType::Decimal128(..) => self.decimals(left.as_primitive(), right.as_primitive())?,
            DataType::Float64 => self
                .floats(left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>())?,
            _ => self.integers(&left, &right)?,
        };
        debug_assert_eq!(array.len(), rows);
        Ok(ColumnarValue::Array(array))
    }
}

/// The order-preserving code of a numeric in bytes form: what DataFusion sorts by.
pub fn numeric_sort_key(value: Expr) -> Expr {
    ScalarUDF::from(NumericSortKey::default()).call(vec![value])
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct NumericSortKey {
    signature: Signature,
}

impl Default for NumericSortKey {
    fn default() -> NumericSortKey {
        NumericSortKey { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NumericSortKey {
    fn name(&self) -> &str {
        "numeric_sort_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let array = args.args[0].clone().into_array(args.number_rows)?;
        let reader = ColumnReader::new(SqlType::NUMERIC, &array);
        let mut builder = arrow::array::BinaryBuilder::with_capacity(array.len(), 0);
        let mut key = Vec::new();
        for row in 0..array.len() {
            match reader.datum(row).map_err(external)? {
                Datum::Numeric(v) => {
                    key.clear();
                    v.encode_key(&mut key);
                    builder.append_value(&key);
                }
                _ => builder.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_scale(values: &[i128], scale: i8) -> Decimal128Array {
        Decimal128Array::from(values.to_vec()).with_data_type(DataType::Decimal128(38, scale))
    }

    /// Alone, two values of 64 bits are not checked; beside a wider one they are.
    #[test]
    fn decimals_of_64_bits_and_wider_ones_agree() {
        let edges = [0, 1, -1, 7, i64::MAX.into(), i64::MIN.into()];
        let wider = i128::from(i64::MAX) + 1;
        for operation in [Arithmetic::Add, Arithmetic::Subtract, Arithmetic::Multiply] {
            let (up, scale) = match operation {
                Arithmetic::Multiply => (1, 7),
                _ => (1000, 5),
            };
            let udf = ArithmeticUdf::new(operation, DataType::Decimal128(38, scale));
            for (a, b) in edges.iter().flat_map(|a| edges.map(|b| (*a, b))) {
                let expected = match operation {
                    Arithmetic::Add => a + b * up,
                    Arithmetic::Subtract => a - b * up,
                    _ => a * b,
                };
                for (left, right) in [(vec![a], vec![b]), (vec![a, wider], vec![b, 2])] {
                    let result = udf.decimals(&of_scale(&left, 5), &of_scale(&right, 2)).unwrap();
                    assert_eq!(result.as_primitive::<Decimal128Type>().value(0), expected);
                }
            }
        }
    }

    #[test]
    fn a_decimal_beyond_128_bits_is_told() {
        let udf = ArithmeticUdf::new(Arithmetic::Multiply, DataType::Decimal128(38, 0));
        let most = of_scale(&[i128::MAX / 2], 0);
        assert!(udf.decimals(&most, &of_scale(&[3], 0)).is_err());
        let udf = ArithmeticUdf::new(Arithmetic::Add, DataType::Decimal128(38, 0));
        assert!(udf.decimals(&of_scale(&[i128::MAX], 0), &of_scale(&[1], 0)).is_err());
    }
}
