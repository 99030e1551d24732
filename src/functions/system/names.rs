//! Types, relations and functions by name and by OID.

use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::functions::call::{arg, one, optional};
use crate::functions::casts::{
    find_type, functions_in, operators_in, procedure, relation, split_name, split_quoted,
};
use crate::functions::{EvalContext, Function, FunctionKind, all_operators, function_by_oid};
use crate::types::{Array, BaseType, Datum, SqlType, pg_type};

/// `format_type(oid, typmod)`: a NULL typmod asks for the bare name.
pub(super) fn format_type(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (oid, typmod) = (optional::<u32>(a, 0)?, optional::<i32>(a, 1)?);
    let Some(oid) = oid else { return Ok(Datum::Null) };
    Ok(Datum::text(match pg_type::by_oid(oid) {
        None if oid == 0 => "-".to_owned(),
        None => "???".to_owned(),
        // Without any modifier, not even -1, what SQL calls character is meant.
        Some(SqlType { base: BaseType::Bpchar, is_array, .. }) if typmod.is_none() => {
            if is_array { "character[]" } else { "character" }.to_owned()
        }
        Some(ty) => pg_type::format_type(SqlType { typmod: typmod.unwrap_or(-1), ..ty }),
    }))
}

fn oid_or_null(oid: Option<u32>) -> Datum {
    oid.map_or(Datum::Null, Datum::Oid)
}

pub(super) fn to_regclass(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| relation(context, name).map(oid_or_null))
}

pub(super) fn to_regtype(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| oid_or_null(find_type(name).map(SqlType::oid)))
}

pub(super) fn to_regnamespace(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| {
        Ok(oid_or_null(split_name(name)?.pop().and_then(|n| context.catalog.schema_oid(&n))))
    })
}

pub(super) fn to_regrole(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| {
        Ok(oid_or_null(split_name(name)?.pop().and_then(|n| context.catalog.role_oid(&n))))
    })
}

pub(super) fn to_regproc(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| {
        Ok(match functions_in(name)? {
            [one] => Datum::Oid(one.oid),
            _ => Datum::Null,
        })
    })
}

pub(super) fn to_regprocedure(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| procedure(name).map(oid_or_null))
}

pub(super) fn to_regoper(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| match operators_in(name) {
        [one] => Datum::Oid(one.oid),
        _ => Datum::Null,
    })
}

/// `regclass(text)`
pub(super) fn text_to_regclass(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| crate::functions::text_in(context, name, SqlType::of(BaseType::Regclass)))
}

/// Whether the search path finds this relation under its bare name.
pub(super) fn table_is_visible(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| {
        let (_, name) = context.catalog.relation_name(oid)?;
        let found = context.catalog.relation_oid(None, &name, &context.session.search_path);
        Some(found == Some(oid))
    })
}

/// Types, functions and operators all lie in `pg_catalog`, which is always searched.
pub(super) fn type_is_visible(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| pg_type::by_oid(oid).map(|_| true))
}

pub(super) fn function_is_visible(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| function_by_oid(oid).map(|_| true))
}

pub(super) fn operator_is_visible(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| all_operators().iter().any(|o| o.oid == oid).then_some(true))
}

/// Operator classes, collations and conversions are built in, and so visible.
pub(super) fn builtin_is_visible(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| (oid != 0).then_some(true))
}

pub(super) fn user_by_id(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| {
        context.catalog.role_name(oid).unwrap_or_else(|| format!("unknown (OID={oid})"))
    })
}

fn argument_list(f: &Function) -> String {
    let last = f.args.len().saturating_sub(1);
    let args = f.args.iter().enumerate().map(|(i, ty)| {
        let name = pg_type::format_type(*ty);
        if f.variadic && i == last { format!("VARIADIC {name}") } else { name }
    });
    args.collect::<Vec<_>>().join(", ")
}

pub(super) fn function_arguments(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| function_by_oid(oid).map(argument_list))
}

pub(super) fn function_result(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| {
        function_by_oid(oid).map(|f| {
            let set = matches!(f.kind, FunctionKind::Set(..));
            format!("{}{}", if set { "SETOF " } else { "" }, pg_type::format_type(f.result))
        })
    })
}

/// `parse_ident(text [, strict])`: the parts of a qualified name.
pub(super) fn parse_ident(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (text, strict): (&str, bool) = (arg(a, 0)?, optional(a, 1)?.unwrap_or(true));
    let invalid = |detail: Option<String>| {
        let message = format!("string is not a valid identifier: \"{text}\"");
        let error = Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
        match detail {
            Some(detail) => error.with_detail(detail),
            None => error,
        }
    };
    let space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c');
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(space);
    let mut after_dot = false;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (part, after) = split_quoted(quoted)
                .ok_or_else(|| invalid(Some("String has unclosed double quotes.".to_owned())))?;
            if part.is_empty() {
                return Err(invalid(Some("Quoted identifier must not be empty.".to_owned())));
            }
            parts.push(part);
            rest = after;
        } else {
            let begins = |c: char| c == '_' || c.is_ascii_alphabetic() || !c.is_ascii();
            let belongs = |c: char| begins(c) || c.is_ascii_digit() || c == '$';
            if !rest.starts_with(begins) {
                return Err(invalid(match rest.chars().next() {
                    _ if after_dot => Some("No valid identifier after \".\".".to_owned()),
                    Some('.') => Some("No valid identifier before \".\".".to_owned()),
                    _ => None,
                }));
            }
            let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
            parts.push(rest[..end].to_ascii_lowercase());
            rest = &rest[end..];
        }
        rest = rest.trim_start_matches(space);
        match rest.strip_prefix('.') {
            Some(after) => {
                rest = after.trim_start_matches(space);
                after_dot = true;
            }
            None if rest.is_empty() || !strict => break,
            None => return Err(invalid(None)),
        }
    }
    Ok(Datum::Array(Arc::new(Array::new(
        BaseType::Text,
        parts.into_iter().map(Datum::text).collect(),
    ))))
}
