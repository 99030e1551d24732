//! What functions of `pg_proc` do, read off their names.

use datafusion::logical_expr::Operator;

use super::udf::Arithmetic;

/// The comparison a function of `pg_proc` makes, read off its name (`int84lt`, `date_eq`, …).
pub fn comparison(name: &str) -> Option<Operator> {
    let operators = [
        ("eq", Operator::Eq),
        ("ne", Operator::NotEq),
        ("lt", Operator::Lt),
        ("le", Operator::LtEq),
        ("gt", Operator::Gt),
        ("ge", Operator::GtEq),
    ];
    let (stem, tail) = name.split_at_checked(name.len().checked_sub(2)?)?;
    let operator = operators.iter().find(|(n, _)| *n == tail)?.1;
    let stem = stem.trim_end_matches('_').trim_start_matches("text_");
    let known = [
        "int2",
        "int4",
        "int8",
        "int24",
        "int42",
        "int28",
        "int82",
        "int48",
        "int84",
        "numeric",
        "float4",
        "float8",
        "float48",
        "float84",
        "text",
        "bool",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "uuid",
        "bpchar",
        "oid",
        "char",
        "name",
        "bytea",
    ];
    known.contains(&stem).then_some(operator)
}

/// The comparison of a date with a timestamp, seen from the date; and whether the timestamp stands
/// first.
pub fn date_operator(name: &str) -> Option<(Operator, bool)> {
    let (tail, swapped) = match (name.strip_prefix("date_"), name.strip_prefix("timestamp_")) {
        (Some(rest), _) => (rest.strip_suffix("_timestamp")?, false),
        (None, Some(rest)) => (rest.strip_suffix("_date")?, true),
        _ => return None,
    };
    let operator = match tail {
        "lt" => Operator::Lt,
        "le" => Operator::LtEq,
        "gt" => Operator::Gt,
        "ge" => Operator::GtEq,
        "eq" => Operator::Eq,
        "ne" => Operator::NotEq,
        _ => return None,
    };
    let operator = if swapped { operator.swap()? } else { operator };
    Some((operator, swapped))
}

/// The arithmetic a function of `pg_proc` does.
pub fn arithmetic(name: &str) -> Option<Arithmetic> {
    let stem_of = |tail: &str| name.strip_suffix(tail);
    let known = |stem: &str| {
        matches!(
            stem,
            "int2"
                | "int4"
                | "int8"
                | "int24"
                | "int42"
                | "int28"
                | "int82"
                | "int48"
                | "int84"
                | "float8"
                | "numeric_"
        )
    };
    [
        ("pl", Arithmetic::Add),
        ("add", Arithmetic::Add),
        ("mi", Arithmetic::Subtract),
        ("sub", Arithmetic::Subtract),
        ("mul", Arithmetic::Multiply),
        ("div", Arithmetic::Divide),
        ("mod", Arithmetic::Remainder),
    ]
    .into_iter()
    .find(|(tail, _)| stem_of(tail).is_some_and(known))
    .map(|(_, a)| a)
}
