//! Type names to types.

use super::super::ast::{Expr, ExprKind, TypeName};
use super::super::parser::types::INTERVAL_FULL_RANGE;
use super::Binder;
use crate::error::{Error, Result, SqlState};
use crate::types::{BaseType, SqlType, interval, pg_type};

/// Types of PostgreSQL that Sluice knows by name only.
const UNSUPPORTED_TYPES: &[&str] = &[
    "bit",
    "varbit",
    "timetz",
    "money",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "tsvector",
    "tsquery",
    "xml",
    "jsonpath",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "int4multirange",
    "int8multirange",
    "nummultirange",
    "tsmultirange",
    "tstzmultirange",
    "datemultirange",
    "pg_lsn",
    "txid_snapshot",
    "pg_snapshot",
    "xid8",
    "cid",
    "tid",
    "refcursor",
    "regconfig",
    "regdictionary",
    "regoperator",
    "regcollation",
];

impl Binder<'_> {
    /// The type that a name means. 42704 if there is none.
    pub fn resolve_type(&self, ty: &TypeName) -> Result<SqlType> {
        if ty.set_of {
            return Err(self.unsupported("SETOF", ty.at));
        }
        resolve(ty).map_err(|e| self.locate(e, ty.at))
    }
}

/// The type that a name means, for errors without a position.
pub fn resolve(ty: &TypeName) -> Result<SqlType> {
    let (schema, name) = match ty.name.as_slice() {
        [name] => (None, name),
        [schema, name] => (Some(schema), name),
        [_, schema, name] => (Some(schema), name),
        _ => return Err(missing(ty)),
    };
    let found = match schema {
        Some(schema) if &*schema.name != "pg_catalog" => return Err(missing(ty)),
        Some(_) => pg_type::by_typname(&name.name),
        // The grammar's own spellings come qualified: here a bare name is a typname.
        None => pg_type::by_typname(&name.name),
    };
    let Some(mut found) = found else {
        if UNSUPPORTED_TYPES.contains(&&*name.name) {
            return Err(Error::unsupported(format_args!("type {}", name.name)));
        }
        return Err(missing(ty));
    };
    if !ty.modifiers.is_empty() {
        found.typmod = modifier(found, &ty.modifiers)?;
    }
    if ty.array {
        // Arrays of arrays are arrays of more dimensions.
        return pg_type::array_of(if found.is_array { found.element() } else { found })
            .ok_or_else(|| missing(ty));
    }
    Ok(found)
}

fn missing(ty: &TypeName) -> Error {
    let name = ty.name.iter().map(|p| &*p.name).collect::<Vec<_>>().join(".");
    let bounds = if ty.array { "[]" } else { "" };
    let message = format!("type \"{name}{bounds}\" does not exist");
    Error::new(SqlState::UNDEFINED_OBJECT, message)
}

fn modifier(ty: SqlType, modifiers: &[Expr]) -> Result<i32> {
    let args = modifiers.iter().map(|m| match &m.kind {
        ExprKind::Number(digits) => digits.parse::<i32>().map_err(|_| bad_modifier()),
        _ => Err(bad_modifier()),
    });
    let args = args.collect::<Result<Vec<i32>>>()?;
    if ty.base == BaseType::Interval {
        return interval_modifier(&args);
    }
    pg_type::modifier_from_args(ty.base, &args)
}

/// The modifier of an interval: a mask of its fields, and the digits of its seconds.
fn interval_modifier(args: &[i32]) -> Result<i32> {
    let (mask, digits) = match args {
        [mask] => (*mask, None),
        [mask, digits] => (*mask, Some(*digits)),
        _ => return Err(bad_modifier()),
    };
    if mask == INTERVAL_FULL_RANGE {
        return interval::modifier(None, digits);
    }
    let plain = interval::modifier(None, Some(digits.unwrap_or(0)))?;
    let digits = digits.map_or(ALL_DIGITS, |_| plain & ALL_DIGITS);
    Ok((mask << 16) | digits)
}

/// An interval's digits when none are given.
const ALL_DIGITS: i32 = 0xffff;

fn bad_modifier() -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        "type modifiers must be simple constants or identifiers",
    )
}
