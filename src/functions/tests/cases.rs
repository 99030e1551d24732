//! Calls with PostgreSQL 15's answers (`cases/*.tsv`).
//!
//! A line is tab-separated: kind (`fn`, `op`, `cast`, `assign`, `agg`, `set`), name or target
//! type, arguments as `type:value` (an aggregate's rows are parted by ` ~ `), and what PostgreSQL
//! answered: `= text` or `! SQLSTATE message`.

use crate::error::{Error, Result};
use crate::functions::{
    EvalContext, Function, FunctionKind, apply_cast, equality, eval_typed, functions_named,
    operators_named, text_in, text_out,
};
use crate::types::{BaseType, Datum, SqlType, io, pg_type};

use super::context::context;

/// Undoes the escapes of the file.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(c) => out.push(c),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

fn parse_type(name: &str) -> SqlType {
    let (name, is_array) = match name.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (base, args) = match name.split_once('(') {
        Some((base, args)) => {
            let args = args.trim_end_matches(')').split(',');
            (base, args.map(|n| n.trim().parse().unwrap()).collect::<Vec<i32>>())
        }
        None => (name, Vec::new()),
    };
    let ty = match base {
        "interval day" => SqlType::with_typmod(BaseType::Interval, (8 << 16) | 0xffff),
        "\"char\"" => SqlType::of(BaseType::SingleChar),
        _ => pg_type::by_name(base).unwrap_or_else(|| panic!("no type {base}")),
    };
    let typmod = match (base, args.is_empty()) {
        // SQL's char without a length is char(1).
        ("char", true) => 5,
        ("interval day", true) => ty.typmod,
        (_, true) => -1,
        _ => pg_type::modifier_from_args(ty.base, &args).unwrap(),
    };
    SqlType { is_array: is_array || ty.is_array, typmod, ..ty }
}

fn value(context: &EvalContext, ty: SqlType, text: &str) -> Result<Datum> {
    match text {
        "NULL" => Ok(Datum::Null),
        text => {
            let datum = text_in(context, &plain(text), ty.plain())?;
            apply_cast(context, datum, ty.plain(), ty, true)
        }
    }
}

fn argument(context: &EvalContext, text: &str) -> Result<(Datum, SqlType)> {
    let (ty, text) = text.split_once(':').unwrap();
    let ty = parse_type(ty);
    Ok((value(context, ty, text)?, ty))
}

/// Whether a declared argument takes a type as it is. `char` in SQL is bpchar.
fn takes(declared: SqlType, given: SqlType) -> bool {
    match declared.base {
        BaseType::Any | BaseType::AnyElement | BaseType::AnyCompatible => true,
        BaseType::AnyNonArray => !given.is_array,
        BaseType::AnyArray | BaseType::AnyCompatibleArray => given.is_array,
        BaseType::Text | BaseType::Name if !declared.is_array => {
            declared.same(given) || given.same(SqlType::VARCHAR) || given.same(SqlType::TEXT)
        }
        _ => declared.same(given),
    }
}

fn accepts(f: &Function, types: &[SqlType]) -> bool {
    let fixed = f.args.len() - usize::from(f.variadic);
    let count = match f.variadic {
        true => types.len() > fixed,
        false => types.len() <= fixed && types.len() + f.defaults >= fixed,
    };
    count
        && types.iter().enumerate().all(|(i, ty)| match f.args.get(i) {
            Some(declared) if i < fixed => takes(*declared, *ty),
            _ => takes(f.args[fixed].element(), *ty),
        })
}

fn function(name: &str, types: &[SqlType]) -> &'static Function {
    let candidates = functions_named(name);
    let exact = |f: &&&Function| {
        f.args.len() == types.len() && f.args.iter().zip(types).all(|(a, b)| a.same(*b))
    };
    let found = candidates.iter().find(exact);
    let found = found.or_else(|| candidates.iter().find(|f| accepts(f, types)));
    found.unwrap_or_else(|| panic!("no function {name}{types:?}"))
}

fn operator(name: &str, types: &[SqlType]) -> &'static Function {
    let candidates = operators_named(name).iter().filter(|o| match (o.left, types) {
        (None, [right]) => takes(o.right, *right),
        (Some(left), [l, r]) => takes(left, *l) && takes(o.right, *r),
        _ => false,
    });
    // Of polymorphic ones that which takes arrays as arrays.
    let found = candidates.max_by_key(|o| {
        let array = |ty: SqlType| ty.base == BaseType::AnyCompatibleArray;
        usize::from(array(o.right)) + usize::from(o.left.is_some_and(array))
    });
    found.unwrap_or_else(|| panic!("no operator {name}{types:?}")).function
}

/// The type of a result, as far as its text form needs it.
fn result_type(declared: SqlType, datum: &Datum) -> SqlType {
    match declared.base {
        BaseType::AnyElement
        | BaseType::AnyArray
        | BaseType::AnyCompatible
        | BaseType::AnyCompatibleArray => io::type_of(datum),
        _ => declared,
    }
}

/// As a cast to text shows it.
fn shown(context: &EvalContext, datum: &Datum, ty: SqlType) -> String {
    match datum {
        Datum::Null => "NULL".to_owned(),
        Datum::Bool(b) => b.to_string(),
        Datum::Text(text) if ty.same(SqlType::BPCHAR) => text.trim_end_matches(' ').to_owned(),
        datum => {
            let mut out = String::new();
            text_out(context, datum, ty, &mut out);
            out
        }
    }
}

fn run(context: &EvalContext, kind: &str, name: &str, args: &[&str]) -> Result<String> {
    if kind == "agg" {
        return aggregate(context, name, args);
    }
    let (datums, types): (Vec<Datum>, Vec<SqlType>) =
        args.iter().map(|a| argument(context, a)).collect::<Result<Vec<_>>>()?.into_iter().unzip();
    match kind {
        "fn" | "op" => {
            let f = if kind == "fn" { function(name, &types) } else { operator(name, &types) };
            let result = eval_typed(f, context, &types, &datums)?;
            Ok(shown(context, &result, result_type(f.result, &result)))
        }
        "cast" | "assign" => {
            let target = parse_type(name);
            let result = apply_cast(context, datums[0].clone(), types[0], target, kind == "cast")?;
            Ok(shown(context, &result, target))
        }
        "set" => {
            let f = function(name, &types);
            let FunctionKind::Set(code, _) = f.kind else { panic!("{name} is no set") };
            if f.strict && datums.iter().any(Datum::is_null) {
                return Ok(String::new());
            }
            let mut rows = Vec::new();
            for row in code(context, &datums)? {
                let row = row?;
                rows.push(match &row[..] {
                    [one] => shown(context, one, result_type(f.result, one)),
                    _ => shown(
                        context,
                        &Datum::Record(std::sync::Arc::new(row.into())),
                        SqlType::RECORD,
                    ),
                });
            }
            Ok(rows.join(";"))
        }
        _ => panic!("kind {kind}"),
    }
}

fn aggregate(context: &EvalContext, name: &str, args: &[&str]) -> Result<String> {
    let columns: Vec<(SqlType, Vec<&str>)> = args
        .iter()
        .map(|a| {
            let (ty, values) = a.split_once(':').unwrap();
            (parse_type(ty), values.split(" ~ ").filter(|_| !values.is_empty()).collect())
        })
        .collect();
    let types: Vec<SqlType> = columns.iter().map(|(ty, _)| *ty).collect();
    let f = function(name, &types);
    let FunctionKind::Aggregate(make) = f.kind else { panic!("{name} is no aggregate") };
    let mut state = make(&types);
    for row in 0..columns[0].1.len() {
        let datums = columns.iter().map(|(ty, values)| value(context, *ty, values[row]));
        state.add(context, &datums.collect::<Result<Vec<_>>>()?)?;
    }
    let result = state.finish(context)?;
    Ok(shown(context, &result, result_type(f.result, &result)))
}

/// The answer in the words of the file.
fn answer(result: Result<String>) -> String {
    match result {
        Ok(text) => format!("= {text}"),
        Err(e) => format!("! {} {}", e.code(), message(&e)),
    }
}

fn message(e: &Error) -> String {
    e.message().to_owned()
}

/// Runs every case of a file and reports all that differ.
fn check(cases: &str) {
    let context = context();
    let mut wrong = Vec::new();
    for line in cases.lines() {
        let mut fields: Vec<&str> = line.split('\t').collect();
        let expected = fields.pop().unwrap();
        let got = answer(run(&context, fields[0], fields[1], &fields[2..]));
        if got != plain(expected) {
            wrong.push(format!("{}\n  expected {expected}\n  got      {got}", fields.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{} differ from PostgreSQL:\n{}", wrong.len(), wrong.join("\n"));
}

macro_rules! case_files {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                check(include_str!(concat!("cases/", stringify!($name), ".tsv")));
            }
        )*
    };
}

case_files!(aggregates, arrays, json, numbers, regex, strings, system, times);

#[test]
fn every_comparable_type_has_an_equality() {
    assert_eq!(equality(SqlType::VARCHAR).unwrap().name, "texteq");
    assert_eq!(equality(SqlType::array_of(BaseType::Int4)).unwrap().name, "array_eq");
    assert!(equality(SqlType::JSON).is_none());
}
