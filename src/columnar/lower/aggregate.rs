//! Aggregates: native where DataFusion's answer is PostgreSQL's, exact sums of our own.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{AggregateUDF, Expr as DfExpr, lit};

use super::expr::{ExprLowering, Lowered};
use super::floats::place_of;
use super::sums::{ExactSum, SumKind};
use crate::error::{Error, Result};
use crate::sql::bound::AggregateCall;
use crate::types::BaseType;
use crate::types::pg_type::format_type;

/// A lowered aggregate: the expression and the Arrow type it gives.
pub struct LoweredAggregate {
    /// The call.
    pub expr: DfExpr,
    /// The Arrow type of what it stands for.
    pub data_type: DataType,
    /// It gives places of floats, not floats.
    pub is_place: bool,
}

fn refuse<T>(what: String) -> Result<T> {
    Err(Error::unsupported(format!("{what} on the column path")))
}

/// Lowers an aggregate call.
pub fn lower_aggregate(scope: &ExprLowering<'_>, call: &AggregateCall) -> Result<LoweredAggregate> {
    let name = call.function.name;
    if !call.order_by.is_empty() {
        return refuse(format!("{name} with ORDER BY"));
    }
    let args = call.args.iter().map(|a| scope.lower(a)).collect::<Result<Vec<_>>>()?;
    if !matches!(name, "sum" | "avg" | "count") && args.iter().any(|a| a.scale.is_some()) {
        return refuse(format!("{name} of a CASE with mixed scales"));
    }
    let Chosen { udaf, data_type, args, is_place } = choose(name, args, call)?;
    scope.may_be_wide(&data_type);
    let filter = match &call.filter {
        Some(filter) => Some(Box::new(scope.lower(filter)?.expr)),
        None => None,
    };
    let function = AggregateFunction::new_udf(udaf, args, call.distinct, filter, Vec::new(), None);
    Ok(LoweredAggregate { expr: DfExpr::AggregateFunction(function), data_type, is_place })
}

/// DataFusion's aggregate for a call.
struct Chosen {
    udaf: Arc<AggregateUDF>,
    data_type: DataType,
    args: Vec<DfExpr>,
    is_place: bool,
}

fn choose(name: &str, mut args: Vec<Lowered>, call: &AggregateCall) -> Result<Chosen> {
    let chosen = |udaf, data_type, args| Ok(Chosen { udaf, data_type, args, is_place: false });
    let Some(arg) = args.pop() else {
        return if name == "count" {
            chosen(count_udaf(), DataType::Int64, vec![lit(1i64)])
        } else {
            refuse(format!("{name}()"))
        };
    };
    if !args.is_empty() {
        return refuse(format!("{name} of several arguments"));
    }
    let one = |arg: Lowered| vec![arg.expr];
    match (name, arg.ty.base) {
        ("count", _) if !call.distinct || groupable(&arg) => {
            chosen(count_udaf(), DataType::Int64, one(arg))
        }
        ("min" | "max", _) => {
            let udaf = if name == "min" { min_udaf() } else { max_udaf() };
            let data_type = arg.data_type.clone();
            match place_of(arg.expr.clone(), &data_type) {
                Some(place) => Ok(Chosen { udaf, data_type, args: vec![place], is_place: true }),
                None if ordered(&arg) => chosen(udaf, data_type, one(arg)),
                None => refuse(format!("{name} of {}", format_type(arg.ty))),
            }
        }
        ("sum", BaseType::Int2 | BaseType::Int4) if !call.distinct => {
            chosen(sum_udaf(), DataType::Int64, one(arg))
        }
        ("sum" | "avg", BaseType::Float8) if !call.distinct => {
            let udaf = if name == "sum" { sum_udaf() } else { avg_udaf() };
            chosen(udaf, DataType::Float64, one(arg))
        }
        ("sum" | "avg", BaseType::Int2 | BaseType::Int4 | BaseType::Int8 | BaseType::Numeric)
            if !call.distinct =>
        {
            let scale = match arg.data_type {
                DataType::Decimal128(_, scale) => scale,
                DataType::Int16 | DataType::Int32 | DataType::Int64 => 0,
                _ => return refuse(format!("{name} of numerics without a scale")),
            };
            let kind = if name == "sum" { SumKind::Sum } else { SumKind::Avg };
            let exact = ExactSum::new(kind, scale, arg.scale.is_some());
            let data_type = exact.result_type();
            let args = std::iter::once(arg.expr).chain(arg.scale.map(|s| *s)).collect();
            chosen(Arc::new(AggregateUDF::from(exact)), data_type, args)
        }
        _ => refuse(format!("{name} of {}", format_type(arg.ty))),
    }
}

/// Whether equal values have equal Arrow values, so that grouping by them is exact.
pub fn groupable(value: &Lowered) -> bool {
    use DataType::*;
    match &value.data_type {
        Float32 | Float64 => false,
        Binary => value.ty.same(crate::types::SqlType::BYTEA),
        FixedSizeBinary(_) => value.ty.base == BaseType::Uuid,
        Utf8View => {
            value.ty.base != BaseType::Json
                && (value.ty.base != BaseType::Bpchar || value.ty.typmod > 4)
        }
        _ => value.scale.is_none(),
    }
}

/// Whether Arrow's order of the values is PostgreSQL's.
pub fn ordered(value: &Lowered) -> bool {
    use DataType::*;
    match &value.data_type {
        Float32 | Float64 | Binary => value.ty.same(crate::types::SqlType::BYTEA),
        FixedSizeBinary(_) => value.ty.base == BaseType::Uuid,
        Utf8View => matches!(value.ty.base, BaseType::Text | BaseType::Varchar | BaseType::Name),
        _ => value.scale.is_none(),
    }
}
