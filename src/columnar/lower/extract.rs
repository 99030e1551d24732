//! EXTRACT of calendar fields, vectorized.

use arrow::array::AsArray as _;
use arrow::compute::{DatePart, cast, date_part};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::udf::too_wide;
use crate::columnar::values::DECIMAL_PRECISION_MAX;

#[derive(Debug, PartialEq, Eq)]
struct Field(DatePart);

impl std::hash::Hash for Field {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::mem::discriminant(&self.0).hash(state);
    }
}

/// Year, month or day of a date or a timestamp, as a decimal of scale 0.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExtractUdf {
    field: Field,
    signature: Signature,
}

impl ExtractUdf {
    /// The function of this field; of others than these three, the day.
    pub fn new(part: DatePart) -> ExtractUdf {
        ExtractUdf { field: Field(part), signature: Signature::any(1, Volatility::Immutable) }
    }
}

/// Years at which Arrow's calendar and PostgreSQL's may part (infinities, BC): left to datums.
const EXTRACT_YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

impl ScalarUDFImpl for ExtractUdf {
    fn name(&self) -> &str {
        match self.field.0 {
            DatePart::Year => "extract_year",
            DatePart::Month => "extract_month",
            _ => "extract_day",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Decimal128(DECIMAL_PRECISION_MAX, 0))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let array = args.args[0].clone().into_array(args.number_rows)?;
        let years = date_part(&array, DatePart::Year)?;
        let plain =
            years.as_primitive::<Int32Type>().iter().flatten().all(|y| EXTRACT_YEARS.contains(&y));
        if !plain {
            return Err(too_wide());
        }
        let part = match self.field.0 {
            DatePart::Year => years,
            part => date_part(&array, part)?,
        };
        let target = DataType::Decimal128(DECIMAL_PRECISION_MAX, 0);
        Ok(ColumnarValue::Array(cast(&part, &target)?))
    }
}
