//! `has_*_privilege`: every role may do everything to what exists.

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::casts::relation;
use crate::types::Datum;

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
