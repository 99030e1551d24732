//! The tables agree with PostgreSQL 15's own.

use std::collections::HashMap;

use crate::functions::{
    CastContext, FunctionKind, Volatility, all_casts, all_functions, all_operators,
};
use crate::types::SqlType;

/// One line for each row of `pg_proc`, `pg_operator`, `pg_cast` that could be in the registry.
const POSTGRES: &str = include_str!("postgres15.tsv");

fn lines(table: &str) -> HashMap<String, Vec<&'static str>> {
    let rows = POSTGRES.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row[0] == table).map(|row| (row[1].to_owned(), row)).collect()
}

/// PostgreSQL's OID of a type; of an array of it, the element's with a bracket.
fn oid(ty: SqlType) -> String {
    format!("{}{}", ty.base as u32, if ty.is_array { "[]" } else { "" })
}

#[test]
fn functions_are_those_of_pg_proc() {
    let rows = lines("proc");
    let mut seen = std::collections::HashSet::new();
    for f in all_functions() {
        assert!(seen.insert(f.oid), "{f:?} twice");
        let Some(row) = rows.get(&f.oid.to_string()) else {
            assert!(f.name.starts_with('$'), "{f:?} is not in pg_proc");
            continue;
        };
        let args: Vec<String> = f.args.iter().copied().map(oid).collect();
        let kind = match f.kind {
            FunctionKind::Scalar(_) | FunctionKind::Typed(_) => "f",
            FunctionKind::Set(..) => "s",
            FunctionKind::Aggregate(_) => "a",
            FunctionKind::Window(_) => "w",
        };
        let volatility = match f.volatility {
            Volatility::Immutable => "i",
            Volatility::Stable => "s",
            Volatility::Volatile => "v",
        };
        let ours = format!(
            "{} {} {} {} {volatility} {} {} {kind}",
            f.name,
            args.join(","),
            oid(f.result),
            f.strict,
            f.variadic,
            f.defaults
        );
        assert_eq!(ours, row[2..].join(" "), "{f:?}");
    }
}

#[test]
fn operators_are_those_of_pg_operator() {
    let rows = lines("operator");
    for o in all_operators() {
        let ours = format!(
            "{} {} {} {} {} {}",
            o.name,
            o.left.map_or("-".to_owned(), oid),
            oid(o.right),
            o.function.oid,
            o.commutator.unwrap_or("-"),
            o.negator.unwrap_or("-"),
        );
        assert_eq!(ours, rows[&o.oid.to_string()][2..].join(" "), "{o:?}");
    }
}

#[test]
fn casts_are_those_of_pg_cast() {
    let rows = lines("cast");
    for c in all_casts() {
        let context = match c.context {
            CastContext::Implicit => "i",
            CastContext::Assignment => "a",
            CastContext::Explicit => "e",
        };
        let key = format!("{}>{}", oid(c.source), oid(c.target));
        assert_eq!(context, rows[&key][2], "{c:?}");
    }
}

#[test]
fn operators_call_their_functions() {
    let context = super::context::context();
    let plus = crate::functions::operators_named("+");
    let plus = plus.iter().find(|o| o.left == Some(SqlType::INT4) && o.right == SqlType::INT4);
    let add = |a, b| {
        let args = [crate::types::Datum::Int4(a), crate::types::Datum::Int4(b)];
        crate::functions::eval_call(plus.unwrap().function, &context, &args)
    };
    assert!(matches!(add(1, 2), Ok(crate::types::Datum::Int4(3))));
    assert_eq!(add(i32::MAX, 1).unwrap_err().message(), "integer out of range");
}
