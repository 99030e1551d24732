//! `has_*_privilege`: every role may do everything to what exists. And what is granted where nobody
//! has granted anything.

use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::arg;
use crate::functions::casts::relation;
use crate::types::{Array, BaseType, Datum};

/// Kinds of objects, and what is granted of each to its owner and to everybody (PostgreSQL's
/// `acldefault`, `src/backend/utils/adt/acl.c`).
const DEFAULTS: &[(u8, &str, &str)] = &[
    (b'c', "", ""),
    (b'r', "arwdDxt", ""),
    (b's', "rwU", ""),
    (b'd', "CTc", "Tc"),
    (b'f', "X", "X"),
    (b'l', "U", "U"),
    (b'L', "rw", ""),
    (b'n', "UC", ""),
    (b'p', "sA", ""),
    (b't', "C", ""),
    (b'F', "U", ""),
    (b'S', "U", ""),
    (b'T', "U", "U"),
];

/// Privileges that some kind of object has.
const PRIVILEGES: &[&str] = &[
    "ALTER SYSTEM",
    "CONNECT",
    "CREATE",
    "DELETE",
    "EXECUTE",
    "INSERT",
    "MEMBER",
    "REFERENCES",
    "RULE",
    "SELECT",
    "SET",
    "TEMP",
    "TEMPORARY",
    "TRIGGER",
    "TRUNCATE",
    "UPDATE",
    "USAGE",
];

/// 22023 for words that are no privilege; several may stand between commas.
fn check(words: &str) -> Result<()> {
    for word in words.split(',') {
        let word = word.trim().to_ascii_uppercase();
        let word = word.strip_suffix(" WITH GRANT OPTION").unwrap_or(&word);
        let word = word.strip_suffix(" WITH ADMIN OPTION").unwrap_or(word);
        if !PRIVILEGES.contains(&word) {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized privilege type: \"{}\"", words.trim()),
            ));
        }
    }
    Ok(())
}

/// The privilege is the last argument.
fn words(a: &[Datum]) -> Result<()> {
    match a.last() {
        Some(Datum::Text(words)) => check(words),
        _ => Ok(()),
    }
}

fn missing(code: SqlState, what: &str, name: &str) -> Error {
    Error::new(code, format!("{what} \"{name}\" does not exist"))
}

/// The role, if one is given before the object.
fn check_role(context: &EvalContext, role: &Datum) -> Result<()> {
    match role {
        Datum::Text(name) if **name != *"public" && context.catalog.role_oid(name).is_none() => {
            Err(missing(SqlState::UNDEFINED_OBJECT, "role", name))
        }
        _ => Ok(()),
    }
}

/// `has_table_privilege([role,] table, privilege)`
pub(super) fn of_table(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    words(a)?;
    if let [role, _, _] = a {
        check_role(context, role)?;
    }
    on_table(context, &a[a.len() - 2])
}

/// `has_any_column_privilege` has the arguments of `has_table_privilege`;
/// `has_column_privilege([role,] table, column, privilege)` one more.
pub(super) fn of_column(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    words(a)?;
    if let [role, _, _, _] = a {
        check_role(context, role)?;
    }
    on_table(context, &a[a.len() - 3])
}

fn on_table(context: &EvalContext, table: &Datum) -> Result<Datum> {
    match table {
        Datum::Text(name) => match relation(context, name)? {
            Some(_) => Ok(Datum::Bool(true)),
            None => Err(missing(SqlState::UNDEFINED_TABLE, "relation", name)),
        },
        Datum::Oid(oid) => {
            Ok(context.catalog.relation_name(*oid).map_or(Datum::Null, |_| Datum::Bool(true)))
        }
        _ => Ok(Datum::Bool(true)),
    }
}

/// `has_schema_privilege([role,] schema, privilege)`
pub(super) fn of_schema(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    words(a)?;
    if let [role, _, _] = a {
        check_role(context, role)?;
    }
    match &a[a.len() - 2] {
        Datum::Text(name) if context.catalog.schema_oid(name).is_none() => {
            Err(missing(SqlState::INVALID_SCHEMA_NAME, "schema", name))
        }
        Datum::Oid(oid) if context.catalog.schema_name(*oid).is_none() => Ok(Datum::Null),
        _ => Ok(Datum::Bool(true)),
    }
}

/// Of databases, functions, types, languages, tablespaces and roles.
pub(super) fn of_others(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    words(a)?;
    if let [role, _, _] = a {
        check_role(context, role)?;
    }
    Ok(Datum::Bool(true))
}

/// `acldefault(kind, owner)`
pub(super) fn default_acl(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let [Datum::Char(kind), _] = a else { return Ok(Datum::Null) };
    let owner: u32 = arg(a, 1)?;
    let Some((_, own, all)) = DEFAULTS.iter().find(|d| d.0 == *kind) else {
        let message = format!("unrecognized objtype abbreviation: {}", char::from(*kind));
        return Err(Error::new(SqlState::INTERNAL_ERROR, message));
    };
    let name = context.catalog.role_name(owner).unwrap_or_else(|| owner.to_string());
    // 0 is everybody.
    let whom = if owner == 0 { "" } else { &name };
    let granted = [("", all), (whom, own)];
    let items = granted.iter().filter(|(_, what)| !what.is_empty());
    let items = items.map(|(whom, what)| Datum::text(format!("{whom}={what}/{name}")));
    Ok(Datum::Array(Arc::new(Array::new(BaseType::AclItem, items.collect()))))
}
