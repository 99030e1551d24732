//! Types, functions, operators, casts, aggregates, operator classes: rows that no user changes.
//!
//! They are made from the tables that the binder resolves with, so the two never disagree. The
//! functions that read and write values (`int4in`, …) are known by name only and come from
//! `io_functions.txt`; nobody can call them.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::super::descriptor::oids;
use super::cells::*;
use super::objects::{BTREE, HEAP};
use crate::functions::{self, CastContext, CastMethod, FunctionKind, Operator, Volatility};
use crate::types::pg_type::{self, TypeInfo};
use crate::types::{Row, SqlType};

/// `oid|name|result|arguments|volatility|strict`, from PostgreSQL 15.
const IO_FUNCTIONS: &str = include_str!("io_functions.txt");
/// Languages `internal`, `c` and `sql`.
const LANGUAGES: [(u32, &str); 3] = [(12, "internal"), (13, "c"), (14, "sql")];
/// Collations: the database's own, the two names of bytes, and SQL's name of it.
const COLLATIONS: [(u32, &str, u8, i32, Option<&str>); 4] = [
    (100, "default", b'd', -1, None),
    (950, "C", b'c', -1, Some("C")),
    (951, "POSIX", b'c', -1, Some("POSIX")),
    (12340, "ucs_basic", b'c', 6, Some("C")),
];
/// `pg_cast` gives its rows no fixed OIDs; these count up from here.
const CAST_OID_BASE: u32 = 10_100;

/// Operator classes of btree: OID, name, family, family's name, type, whether the default.
#[rustfmt::skip]
const OPERATOR_CLASSES: &[(u32, &str, u32, &str, u32, bool)] = &[
    (10003, "bool_ops", 424, "bool_ops", 16, true),
    (10006, "bytea_ops", 428, "bytea_ops", 17, true),
    (10007, "char_ops", 429, "char_ops", 18, true),
    (10028, "name_ops", 1994, "text_ops", 19, true),
    (3124, "int8_ops", 1976, "integer_ops", 20, true),
    (1979, "int2_ops", 1976, "integer_ops", 21, true),
    (1978, "int4_ops", 1976, "integer_ops", 23, true),
    (3126, "text_ops", 1994, "text_ops", 25, true),
    (4217, "text_pattern_ops", 2095, "text_pattern_ops", 25, false),
    (4218, "varchar_pattern_ops", 2095, "text_pattern_ops", 25, false),
    (10044, "varchar_ops", 1994, "text_ops", 25, false),
    (1981, "oid_ops", 1989, "oid_ops", 26, true),
    (10012, "float4_ops", 1970, "float_ops", 700, true),
    (3123, "float8_ops", 1970, "float_ops", 701, true),
    (10004, "bpchar_ops", 426, "bpchar_ops", 1042, true),
    (4219, "bpchar_pattern_ops", 2097, "bpchar_pattern_ops", 1042, false),
    (3122, "date_ops", 434, "datetime_ops", 1082, true),
    (10038, "time_ops", 1996, "time_ops", 1083, true),
    (3128, "timestamp_ops", 434, "datetime_ops", 1114, true),
    (3127, "timestamptz_ops", 434, "datetime_ops", 1184, true),
    (10022, "interval_ops", 1982, "interval_ops", 1186, true),
    (3125, "numeric_ops", 1988, "numeric_ops", 1700, true),
    (10000, "array_ops", 397, "array_ops", 2277, true),
    (10065, "uuid_ops", 2968, "uuid_ops", 2950, true),
    (10088, "jsonb_ops", 4033, "jsonb_ops", 3802, true),
];

/// The rows of a relation of this module; none if it is not one.
pub(super) fn rows(name: &str) -> Option<Vec<Row>> {
    Some(match name {
        "pg_type" => all_types(),
        "pg_proc" => all_functions(),
        "pg_operator" => functions::all_operators().iter().map(|o| operator(o)).collect(),
        "pg_cast" => casts(),
        "pg_aggregate" => aggregates(),
        "pg_am" => vec![
            vec![oid(HEAP), text("heap"), oid(3), char(b't')],
            vec![oid(BTREE), text("btree"), oid(330), char(b'i')],
        ],
        "pg_opclass" => operator_classes(),
        "pg_opfamily" => operator_families(),
        "pg_amop" => strategies(),
        "pg_language" => LANGUAGES.iter().map(|(id, name)| language(*id, name)).collect(),
        "pg_collation" => COLLATIONS.iter().map(collation).collect(),
        _ => return None,
    })
}

/// OID of the operator class that orders a type in an index.
pub(super) fn operator_class(ty: SqlType) -> u32 {
    // varchar is ordered as text.
    let input = match ty.oid() {
        _ if ty.is_array => 2277,
        1043 => 25,
        other => other,
    };
    OPERATOR_CLASSES.iter().find(|c| c.4 == input && c.5).map_or(0, |c| c.0)
}

/// OID of a type's collation; arrays have their element's.
pub(super) fn collation_of(ty: SqlType) -> u32 {
    pg_type::info(ty.base).collation
}

struct IoFunction {
    oid: u32,
    name: &'static str,
    result: u32,
    args: Vec<u32>,
    volatility: u8,
    strict: bool,
}

fn io_functions() -> &'static HashMap<&'static str, IoFunction> {
    static READ: OnceLock<HashMap<&'static str, IoFunction>> = OnceLock::new();
    READ.get_or_init(|| {
        let read = |line: &'static str| {
            let mut parts = line.split('|');
            let oid = parts.next()?.parse().ok()?;
            let name = parts.next()?;
            let result = parts.next()?.parse().ok()?;
            let args = parts.next()?.split(',').filter_map(|a| a.parse().ok()).collect();
            let volatility = *parts.next()?.as_bytes().first()?;
            let strict = parts.next()? == "t";
            Some((name, IoFunction { oid, name, result, args, volatility, strict }))
        };
        IO_FUNCTIONS.lines().filter_map(read).collect()
    })
}

/// OID of a function that reads or writes values; 0 for no name.
pub fn io_function(name: &str) -> u32 {
    io_functions().get(name).map_or(0, |f| f.oid)
}

fn all_types() -> Vec<Row> {
    let mut rows = Vec::with_capacity(pg_type::TYPES.len() * 2);
    for ty in pg_type::TYPES {
        rows.push(base_type(ty));
        if ty.array_oid != 0 {
            rows.push(array_type(ty));
        }
    }
    rows
}

/// What a base type's row and its array type's row do not share.
struct TypeRow {
    oid: u32,
    name: String,
    len: i16,
    by_value: bool,
    kind: char,
    category: char,
    preferred: bool,
    subscript: &'static str,
    element: u32,
    array: u32,
    functions: [String; 4],
    analyze: &'static str,
    align: char,
    storage: char,
}

fn type_row(ty: &TypeInfo, row: TypeRow) -> Row {
    let [input, output, receive, send] = row.functions;
    vec![
        oid(row.oid),
        text(row.name),
        oid(oids::PG_CATALOG),
        oid(oids::BOOTSTRAP_ROLE),
        int2(row.len),
        bool(row.by_value),
        char(row.kind as u8),
        char(row.category as u8),
        bool(row.preferred),
        bool(true), // typisdefined
        char(b','),
        oid(0), // typrelid
        oid(io_function(row.subscript)),
        oid(row.element),
        oid(row.array),
        oid(io_function(&input)),
        oid(io_function(&output)),
        oid(io_function(&receive)),
        oid(io_function(&send)),
        oid(ty.modifier_input().map_or(0, |f| io_function(&f))),
        oid(ty.modifier_output().map_or(0, |f| io_function(&f))),
        oid(io_function(row.analyze)),
        char(row.align as u8),
        char(row.storage as u8),
        bool(false), // typnotnull
        oid(0),      // typbasetype
        int4(-1),
        int4(0),
        oid(ty.collation),
        NULL, // typdefaultbin
        NULL, // typdefault
        NULL, // typacl
    ]
}

fn base_type(ty: &TypeInfo) -> Row {
    let subscript = match (ty.name, ty.element_oid) {
        ("jsonb", _) => "jsonb_subscript_handler",
        ("name", _) => "raw_array_subscript_handler",
        (_, 0) => "",
        _ => "array_subscript_handler",
    };
    let row = TypeRow {
        oid: ty.oid(),
        name: ty.name.to_owned(),
        len: ty.len,
        by_value: ty.by_value,
        kind: ty.kind,
        category: ty.category,
        preferred: ty.preferred,
        subscript,
        element: ty.element_oid,
        array: ty.array_oid,
        functions: [ty.input, ty.output, ty.receive, ty.send].map(str::to_owned),
        analyze: "",
        align: ty.align,
        storage: ty.storage,
    };
    type_row(ty, row)
}

fn array_type(ty: &TypeInfo) -> Row {
    let row = TypeRow {
        oid: ty.array_oid,
        name: ty.array_name(),
        len: -1,
        by_value: false,
        kind: ty.kind,
        category: 'A',
        preferred: false,
        subscript: "array_subscript_handler",
        element: ty.oid(),
        array: 0,
        functions: ["array_in", "array_out", "array_recv", "array_send"].map(str::to_owned),
        analyze: "array_typanalyze",
        align: ty.array_align(),
        storage: 'x',
    };
    type_row(ty, row)
}

/// What sets one row of `pg_proc` apart from the others.
struct Proc<'a> {
    oid: u32,
    name: &'a str,
    kind: u8,
    rows: f32,
    variadic: u32,
    strict: bool,
    volatility: u8,
    defaults: usize,
    result: u32,
    args: Vec<u32>,
    outputs: &'a [(&'a str, SqlType)],
}

impl Proc<'_> {
    fn row(self) -> Row {
        let is_set = self.rows > 0.0;
        let (all, modes, names) = match self.outputs {
            [] | [_] => (NULL, NULL, NULL),
            outputs => {
                let types = outputs.iter().map(|(_, ty)| ty.oid());
                let inputs = self.args.len();
                let names = std::iter::repeat_n("", inputs).chain(outputs.iter().map(|o| o.0));
                let modes = std::iter::repeat_n("i", inputs);
                let modes = modes.chain(std::iter::repeat_n("o", outputs.len()));
                let chars = modes.map(|m| char(m.as_bytes()[0])).collect();
                (
                    oid_array(self.args.iter().copied().chain(types)),
                    char_array(chars),
                    text_array(names),
                )
            }
        };
        vec![
            oid(self.oid),
            text(self.name),
            oid(oids::PG_CATALOG),
            oid(oids::BOOTSTRAP_ROLE),
            oid(LANGUAGES[0].0),
            float4(1.0),
            float4(self.rows),
            oid(self.variadic),
            oid(0), // prosupport
            char(self.kind),
            bool(false), // prosecdef
            bool(false), // proleakproof
            bool(self.strict),
            bool(is_set),
            char(self.volatility),
            char(b's'),
            int2(self.args.len() as i16),
            int2(self.defaults as i16),
            oid(self.result),
            oid_vector(self.args.into_iter()),
            all,
            modes,
            names,
            NULL, // proargdefaults
            NULL, // protrftypes
            text(self.name),
            NULL, // probin
            NULL, // prosqlbody
            NULL, // proconfig
            NULL, // proacl
        ]
    }
}

fn all_functions() -> Vec<Row> {
    let mut rows: Vec<Row> = functions::all_functions().iter().map(|f| function(f)).collect();
    let called: std::collections::HashSet<u32> =
        functions::all_functions().iter().map(|f| f.oid).collect();
    for f in io_functions().values().filter(|f| !called.contains(&f.oid)) {
        rows.push(
            Proc {
                oid: f.oid,
                name: f.name,
                kind: b'f',
                rows: 0.0,
                variadic: 0,
                strict: f.strict,
                volatility: f.volatility,
                defaults: 0,
                result: f.result,
                args: f.args.clone(),
                outputs: &[],
            }
            .row(),
        );
    }
    rows
}

/// Rows that PostgreSQL guesses a set-returning function gives.
const SET_ROWS: f32 = 1000.0;

fn function(f: &functions::Function) -> Row {
    let (kind, rows, outputs): (u8, f32, &[(&str, SqlType)]) = match f.kind {
        FunctionKind::Set(_, outputs) => (b'f', SET_ROWS, outputs),
        FunctionKind::Aggregate(_) => (b'a', 0.0, &[]),
        FunctionKind::Window(_) => (b'w', 0.0, &[]),
        _ => (b'f', 0.0, &[]),
    };
    let variadic = match f.args.last() {
        Some(last) if f.variadic && last.is_array => last.element().oid(),
        Some(last) if f.variadic => last.oid(),
        _ => 0,
    };
    Proc {
        oid: f.oid,
        name: f.name,
        kind,
        rows,
        variadic,
        strict: f.strict,
        volatility: match f.volatility {
            Volatility::Immutable => b'i',
            Volatility::Stable => b's',
            Volatility::Volatile => b'v',
        },
        defaults: f.defaults,
        result: f.result.oid(),
        args: f.args.iter().map(|a| a.oid()).collect(),
        outputs,
    }
    .row()
}

fn operator(operator: &Operator) -> Row {
    let (left, right) = (operator.left, operator.right);
    let commutator = operator.commutator.map_or(0, |name| operator_oid(name, Some(right), left));
    let negator = operator.negator.map_or(0, |name| operator_oid(name, left, Some(right)));
    let equal = operator.name == "=" && operator.commutator == Some("=");
    vec![
        oid(operator.oid),
        text(operator.name),
        oid(oids::PG_CATALOG),
        oid(oids::BOOTSTRAP_ROLE),
        char(if left.is_some() { b'b' } else { b'l' }),
        bool(equal),
        bool(equal),
        oid(left.map_or(0, SqlType::oid)),
        oid(right.oid()),
        oid(operator.function.result.oid()),
        oid(commutator),
        oid(negator),
        oid(operator.function.oid),
        oid(0), // oprrest
        oid(0), // oprjoin
    ]
}

fn operator_oid(name: &str, left: Option<SqlType>, right: Option<SqlType>) -> u32 {
    let same = |a: Option<SqlType>, b: Option<SqlType>| match (a, b) {
        (Some(a), Some(b)) => a.same(b),
        (None, None) => true,
        _ => false,
    };
    let named = functions::operators_named(name);
    let found = named.iter().find(|o| same(o.left, left) && same(Some(o.right), right));
    found.map_or(0, |o| o.oid)
}

fn casts() -> Vec<Row> {
    let mut rows = Vec::new();
    for (cast, number) in functions::all_casts().iter().zip(CAST_OID_BASE..) {
        let (function, method) = match cast.method {
            CastMethod::Function(f) => (f.oid, b'f'),
            CastMethod::Binary => (0, b'b'),
            CastMethod::Text => (0, b'i'),
        };
        let context = match cast.context {
            CastContext::Implicit => b'i',
            CastContext::Assignment => b'a',
            CastContext::Explicit => b'e',
        };
        rows.push(vec![
            oid(number),
            oid(cast.source.oid()),
            oid(cast.target.oid()),
            oid(function),
            char(context),
            char(method),
        ]);
    }
    rows
}

fn aggregates() -> Vec<Row> {
    let is_aggregate = |f: &&&functions::Function| matches!(f.kind, FunctionKind::Aggregate(_));
    let row = |f: &&functions::Function| {
        let mut row = vec![oid(f.oid), char(b'n'), int2(0)];
        row.extend(std::iter::repeat_n(oid(0), 8));
        row.extend([bool(false), bool(false), char(b'r'), char(b'r')]);
        row.extend([oid(0), oid(f.result.oid()), int4(0), oid(0), int4(0), NULL, NULL]);
        row
    };
    functions::all_functions().iter().filter(is_aggregate).map(row).collect()
}

fn operator_classes() -> Vec<Row> {
    let row = |(id, name, family, _, ty, default): &(u32, &str, u32, &str, u32, bool)| {
        vec![
            oid(*id),
            oid(BTREE),
            text(name),
            oid(oids::PG_CATALOG),
            oid(oids::BOOTSTRAP_ROLE),
            oid(*family),
            oid(*ty),
            bool(*default),
            oid(0),
        ]
    };
    OPERATOR_CLASSES.iter().map(row).collect()
}

fn operator_families() -> Vec<Row> {
    let mut families: Vec<(u32, &str)> = OPERATOR_CLASSES.iter().map(|c| (c.2, c.3)).collect();
    families.sort_unstable();
    families.dedup();
    let row = |(id, name): (u32, &str)| {
        vec![oid(id), oid(BTREE), text(name), oid(oids::PG_CATALOG), oid(oids::BOOTSTRAP_ROLE)]
    };
    families.into_iter().map(row).collect()
}

/// `pg_amop`: btree's five strategies for each default class.
fn strategies() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut number = 0;
    for (_, _, family, _, ty, _) in OPERATOR_CLASSES.iter().filter(|c| c.5) {
        let Some(ty) = pg_type::by_oid(*ty) else { continue };
        for (symbol, strategy) in ["<", "<=", "=", ">=", ">"].into_iter().zip(1..) {
            let operator = operator_oid(symbol, Some(ty), Some(ty));
            if operator == 0 {
                continue;
            }
            number += 1;
            rows.push(vec![
                oid(CAST_OID_BASE + 1000 + number),
                oid(*family),
                oid(ty.oid()),
                oid(ty.oid()),
                int2(strategy),
                char(b's'),
                oid(operator),
                oid(BTREE),
                oid(0),
            ]);
        }
    }
    rows
}

fn language(id: u32, name: &str) -> Row {
    let trusted = name == "sql";
    vec![
        oid(id),
        text(name),
        oid(oids::BOOTSTRAP_ROLE),
        bool(false),
        bool(trusted),
        oid(0),
        oid(0),
        oid(0),
        NULL,
    ]
}

fn collation((id, name, provider, encoding, locale): &(u32, &str, u8, i32, Option<&str>)) -> Row {
    vec![
        oid(*id),
        text(name),
        oid(oids::PG_CATALOG),
        oid(oids::BOOTSTRAP_ROLE),
        char(*provider),
        bool(true),
        int4(*encoding),
        text_or_null(*locale),
        text_or_null(*locale),
        NULL,
        NULL,
    ]
}
