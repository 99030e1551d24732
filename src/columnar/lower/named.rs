//! The functions of lowered plans that their names say all of: a plan that has no others can be
//! given to another process, which looks them up.

use std::sync::Arc;

use arrow::compute::DatePart;
use arrow::datatypes::DataType;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

use super::extract::ExtractUdf;
use super::floats::FloatPlace;
use super::sums::{ExactSum, SumKind};
use super::udf::{Arithmetic, ArithmeticUdf, NumericSortKey};
use crate::columnar::values::DECIMAL_PRECISION_MAX;

fn scales() -> impl Iterator<Item = i8> {
    0..=DECIMAL_PRECISION_MAX as i8
}

/// All scalar ones.
pub fn scalars() -> Vec<Arc<ScalarUDF>> {
    let plain = [DataType::Int16, DataType::Int32, DataType::Int64, DataType::Float64];
    let decimals = scales().map(|scale| DataType::Decimal128(DECIMAL_PRECISION_MAX, scale));
    let types: Vec<DataType> = plain.into_iter().chain(decimals).collect();
    let operations = [
        Arithmetic::Add,
        Arithmetic::Subtract,
        Arithmetic::Multiply,
        Arithmetic::Divide,
        Arithmetic::Remainder,
    ];
    let arithmetic = operations.iter().flat_map(|operation| {
        types.iter().map(|of| ScalarUDF::from(ArithmeticUdf::new(*operation, of.clone())))
    });
    let parts = [DatePart::Year, DatePart::Month, DatePart::Day];
    let parts = parts.into_iter().map(|part| ScalarUDF::from(ExtractUdf::new(part)));
    let key = ScalarUDF::from(NumericSortKey::default());
    let both = [false, true];
    let places = both.iter().flat_map(|wide| both.map(|back| FloatPlace::new(*wide, back)));
    let places = places.map(ScalarUDF::from);
    arithmetic.chain(parts).chain([key]).chain(places).map(Arc::new).collect()
}

/// All aggregates.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let sum = |kind, mixed| scales().map(move |scale| ExactSum::new(kind, scale, mixed));
    let kinds = [SumKind::Sum, SumKind::Avg];
    let all = kinds.into_iter().flat_map(|kind| sum(kind, false).chain(sum(kind, true)));
    all.map(|sum| Arc::new(AggregateUDF::from(sum))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_differ() {
        let (scalars, aggregates) = (scalars(), aggregates());
        let names: HashSet<&str> =
            scalars.iter().map(|f| f.name()).chain(aggregates.iter().map(|f| f.name())).collect();
        assert_eq!(names.len(), scalars.len() + aggregates.len());
        assert!(names.contains("checked_multiply_numeric_4"));
        assert!(names.contains("exact_avg_mixed_2"));
    }
}
